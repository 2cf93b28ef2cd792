/* SPDX-License-Identifier: MIT */
#include "btf_layouts.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LAYOUTS      512
#define MAX_FIELDS       64
#define MAX_DEPTH        3
#define MAX_STRUCT_BYTES 512 /* of a record's 4 KiB, at entry and exit */
#define MAX_SHOWN_ITEMS  16
#define MAX_NAME_BYTES   64

struct btf_layout {
	struct record_layout layout;
	struct record_field *fields;
	char name[MAX_NAME_BYTES];
	bool usable;
};

struct btf_layouts {
	const struct btf_types *types;
	struct btf_layout *items[MAX_LAYOUTS];
	size_t n;
};

struct btf_layouts *btf_layouts_create(const struct btf_types *types)
{
	struct btf_layouts *layouts = calloc(1, sizeof(*layouts));

	if (layouts)
		layouts->types = types;
	return layouts;
}

void btf_layouts_destroy(struct btf_layouts *layouts)
{
	if (!layouts)
		return;
	for (size_t i = 0; i < layouts->n; i++) {
		free(layouts->items[i]->fields);
		free(layouts->items[i]);
	}
	free(layouts);
}

static struct btf_layout *get(struct btf_layouts *layouts, const char *name, unsigned depth);

/* false: this member is passed over; the next says where it lies. */
static bool make_field(struct btf_layouts *layouts, const struct btf_member_info *member, unsigned depth,
		       struct record_field *out)
{
	struct btf_layout *inner;

	*out = (struct record_field){.name = member->name,
				     .size_bytes = (uint8_t)member->size_bytes,
				     .at = (uint16_t)(member->offset_bytes + 1)};
	if (member->nr_items > MAX_SHOWN_ITEMS && member->kind != BTF_MEMBER_TEXT)
		return false;
	out->n = (uint16_t)member->nr_items;
	switch (member->kind) {
	case BTF_MEMBER_SIGNED:
		out->kind = FIELD_SIGNED;
		break;
	case BTF_MEMBER_UNSIGNED:
		out->kind = FIELD_UNSIGNED;
		break;
	case BTF_MEMBER_POINTER:
		out->kind = FIELD_ADDRESS;
		break;
	case BTF_MEMBER_TEXT:
		out->kind = FIELD_TEXT;
		out->size_bytes = 0;
		return true;
	case BTF_MEMBER_STRUCT:
		inner = get(layouts, member->type_name, depth + 1);
		if (!inner || !inner->usable || inner->layout.size_bytes != member->size_bytes)
			return false;
		out->kind = FIELD_RECORD;
		out->size_bytes = 0;
		out->layout = &inner->layout;
		return true;
	default:
		return false;
	}
	return member->size_bytes == 1 || member->size_bytes == 2 || member->size_bytes == 4 || member->size_bytes == 8;
}

static void make(struct btf_layouts *layouts, struct btf_layout *layout, unsigned depth)
{
	struct btf_member_info members[MAX_FIELDS];
	uint32_t size_bytes = 0;
	size_t n, used = 0, end = 0;

	vmtape_error_destroy(btf_types_size(layouts->types, layout->name, &size_bytes));
	if (!size_bytes || size_bytes > MAX_STRUCT_BYTES)
		return;
	n = btf_types_members(layouts->types, layout->name, members, MAX_FIELDS);
	layout->fields = calloc(n + 1, sizeof(*layout->fields));
	if (!layout->fields)
		return;
	for (size_t i = 0; i < n; i++) {
		struct record_field field;
		size_t bytes = members[i].size_bytes * (members[i].nr_items ? (size_t)members[i].nr_items : 1);

		/* the reader goes by natural alignment: a packed struct is not for it */
		if (members[i].kind < BTF_MEMBER_TEXT && members[i].size_bytes &&
		    members[i].offset_bytes % members[i].size_bytes)
			return;
		/* one behind the other, so that what is shown is never more than there are bytes */
		if (members[i].offset_bytes < end || bytes > size_bytes || members[i].offset_bytes > size_bytes - bytes)
			continue;
		if (!make_field(layouts, &members[i], depth, &field))
			continue;
		layout->fields[used++] = field;
		end = members[i].offset_bytes + bytes;
	}
	layout->layout.size_bytes = (uint16_t)size_bytes;
	layout->layout.direction = ARG_INOUT;
	layout->layout.fields = layout->fields;
	layout->layout.written = &layout->layout;
	layout->usable = used;
}

/* Made once a name; a struct within itself finds the one that is not usable yet. */
static struct btf_layout *get(struct btf_layouts *layouts, const char *name, unsigned depth)
{
	struct btf_layout *layout;

	for (size_t i = 0; i < layouts->n; i++) {
		if (!strcmp(layouts->items[i]->name, name))
			return layouts->items[i];
	}
	if (depth > MAX_DEPTH || layouts->n == MAX_LAYOUTS || strlen(name) >= MAX_NAME_BYTES)
		return NULL;
	layout = calloc(1, sizeof(*layout));
	if (!layout)
		return NULL;
	strcpy(layout->name, name);
	layouts->items[layouts->n++] = layout;
	make(layouts, layout, depth);
	return layout;
}

const struct record_layout *btf_layouts_find(struct btf_layouts *layouts, const char *type)
{
	char name[MAX_NAME_BYTES] = "struct ";
	const char *start, *end;
	struct btf_layout *layout;

	if (!layouts || !type)
		return NULL;
	start = strstr(type, "struct ");
	if (!start || (start != type && strncmp(type, "const ", 6)))
		return NULL;
	start += strlen("struct ");
	end = start + strcspn(start, " *");
	if (strspn(end, " *") != strlen(end) || !strchr(end, '*') || strchr(strchr(end, '*') + 1, '*') ||
	    (size_t)(end - start) + sizeof("struct ") > sizeof(name))
		return NULL;
	memcpy(name + strlen("struct "), start, (size_t)(end - start));
	name[strlen("struct ") + (size_t)(end - start)] = '\0';
	layout = get(layouts, name, 0);
	return layout && layout->usable ? &layout->layout : NULL;
}
