/* SPDX-License-Identifier: MIT */
#include "btf_types.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES       24u /* of version 1; a longer one has more sections behind, which are not needed */
#define TYPE_BYTES         12u
#define MAX_BTF_BYTES      (128u << 20)
#define MAX_DEPTH          24u
#define MAX_MEMBERS_TRIED  1000000u
#define MAX_MEMBERS_LISTED 10000u
#define MAX_NAME_BYTES     128u

struct btf_types {
	struct btf *btf;
	uint32_t *by_name; /* ids of named types, by name, then structs first */
	size_t nr_by_name;
};

/* ---- checks before libbpf -------------------------------------------- */

struct section {
	const uint8_t *bytes;
	uint32_t size;
};

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static struct vmtape_error *damaged(size_t offset, const char *what)
{
	return vmtape_error_create(VMTAPE_ERROR_FORMAT, "BTF is damaged at offset %zu: %s", offset, what);
}

static struct vmtape_error *read_header(const uint8_t *data, size_t size, struct section *types,
					struct section *strings)
{
	uint32_t header_bytes, type_off, str_off;
	size_t left;

	if (size < HEADER_BYTES || size > MAX_BTF_BYTES)
		return damaged(0, "impossible size");
	if (data[0] != 0x9f || data[1] != 0xeb)
		return damaged(0, "no BTF magic");
	if (data[2] != BTF_VERSION)
		return vmtape_error_create(VMTAPE_ERROR_UNSUPPORTED, "BTF version %u is not known", data[2]);
	header_bytes = get_u32(data + 4);
	if (header_bytes < HEADER_BYTES || header_bytes > size || header_bytes % 4)
		return damaged(4, "header length");
	left = size - header_bytes;
	type_off = get_u32(data + 8);
	types->size = get_u32(data + 12);
	if (type_off > left || types->size > left - type_off || type_off % 4 || types->size % 4)
		return damaged(8, "type section");
	str_off = get_u32(data + 16);
	strings->size = get_u32(data + 20);
	if (str_off > left || strings->size > left - str_off || !strings->size)
		return damaged(16, "string section");
	types->bytes = data + header_bytes + type_off;
	strings->bytes = data + header_bytes + str_off;
	if (strings->bytes[0] || strings->bytes[strings->size - 1])
		return damaged(header_bytes + str_off, "strings do not begin and end with NUL");
	return NULL;
}

/* Bytes behind struct btf_type; false: kind not known. */
static bool extra_bytes(uint32_t kind, uint32_t vlen, uint32_t *out)
{
	switch (kind) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		*out = 0;
		return true;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		*out = 4;
		return true;
	case BTF_KIND_ARRAY:
		*out = 12;
		return true;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		*out = 12 * vlen;
		return true;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		*out = 8 * vlen;
		return true;
	default:
		return false;
	}
}

/* All ids that the record at type names, 0 (void) included, must exist; so must its strings. */
static bool references_are_valid(const uint8_t *type, uint32_t nr_types, uint32_t strings_size)
{
	uint32_t info = get_u32(type + 4), reference = get_u32(type + 8), vlen = BTF_INFO_VLEN(info);
	const uint8_t *extra = type + TYPE_BYTES;

	if (get_u32(type) >= strings_size)
		return false;
	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_TYPE_TAG:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return reference <= nr_types;
	case BTF_KIND_ARRAY:
		return get_u32(extra) <= nr_types && get_u32(extra + 4) <= nr_types;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (uint32_t i = 0; i < vlen; i++)
			if (get_u32(extra + 12 * i) >= strings_size || get_u32(extra + 12 * i + 4) > nr_types)
				return false;
		return true;
	case BTF_KIND_FUNC_PROTO:
		for (uint32_t i = 0; i < vlen; i++)
			if (get_u32(extra + 8 * i) >= strings_size || get_u32(extra + 8 * i + 4) > nr_types)
				return false;
		return reference <= nr_types;
	case BTF_KIND_DATASEC:
		for (uint32_t i = 0; i < vlen; i++)
			if (get_u32(extra + 12 * i) > nr_types)
				return false;
		return true;
	case BTF_KIND_ENUM:
		for (uint32_t i = 0; i < vlen; i++)
			if (get_u32(extra + 8 * i) >= strings_size)
				return false;
		return true;
	case BTF_KIND_ENUM64:
		for (uint32_t i = 0; i < vlen; i++)
			if (get_u32(extra + 12 * i) >= strings_size)
				return false;
		return true;
	default:
		return true;
	}
}

static struct vmtape_error *check_types(const struct section *types, const struct section *strings)
{
	uint32_t nr_types = 0, extra = 0;

	/* Ids may point forward: count first. */
	for (uint32_t at = 0; at < types->size; at += TYPE_BYTES + extra, nr_types++) {
		uint32_t info;

		if (types->size - at < TYPE_BYTES)
			return damaged(at, "last type is cut off");
		info = get_u32(types->bytes + at + 4);
		if (!extra_bytes(BTF_INFO_KIND(info), BTF_INFO_VLEN(info), &extra))
			return vmtape_error_create(VMTAPE_ERROR_UNSUPPORTED, "BTF kind %u of type %u is not known",
						   BTF_INFO_KIND(info), nr_types + 1);
		if (types->size - at - TYPE_BYTES < extra)
			return damaged(at, "members reach past the end");
	}
	if (!nr_types)
		return damaged(0, "no types");
	for (uint32_t at = 0; at < types->size; at += TYPE_BYTES + extra) {
		uint32_t info = get_u32(types->bytes + at + 4);

		if (!references_are_valid(types->bytes + at, nr_types, strings->size))
			return damaged(at, "type or name that does not exist");
		extra_bytes(BTF_INFO_KIND(info), BTF_INFO_VLEN(info), &extra);
	}
	return NULL;
}

/* libbpf gets a header of our own making and only the two sections that were checked. */
static struct btf *parse(const struct section *types, const struct section *strings)
{
	struct btf_header header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = HEADER_BYTES,
		.type_len = types->size,
		.str_off = types->size,
		.str_len = strings->size,
	};
	size_t size = HEADER_BYTES + (size_t)types->size + strings->size;
	uint8_t *copy = malloc(size);
	struct btf *btf;

	if (!copy) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(copy, &header, HEADER_BYTES);
	memcpy(copy + HEADER_BYTES, types->bytes, types->size);
	memcpy(copy + HEADER_BYTES + types->size, strings->bytes, strings->size);
	btf = btf__new(copy, size);
	free(copy);
	return btf;
}

/* ---- types by name --------------------------------------------------- */

static int kind_rank(const struct btf_type *type)
{
	switch (btf_kind(type)) {
	case BTF_KIND_STRUCT:
		return 1;
	case BTF_KIND_UNION:
		return 2;
	case BTF_KIND_TYPEDEF:
		return 3;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return 4;
	case BTF_KIND_INT:
		return 5;
	default:
		return 0;
	}
}

static const char *type_name(const struct btf_types *types, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(types->btf, id);
	const char *name = type ? btf__name_by_offset(types->btf, type->name_off) : NULL;

	return name ? name : "";
}

static int compare_names(const void *a, const void *b, void *ctx)
{
	const struct btf_types *types = ctx;
	uint32_t id_a = *(const uint32_t *)a, id_b = *(const uint32_t *)b;
	int order = strcmp(type_name(types, id_a), type_name(types, id_b));

	if (!order)
		order = kind_rank(btf__type_by_id(types->btf, id_a)) - kind_rank(btf__type_by_id(types->btf, id_b));
	return order ? order : (id_a > id_b) - (id_a < id_b);
}

static bool index_names(struct btf_types *types)
{
	uint32_t count = btf__type_cnt(types->btf);

	types->by_name = malloc(count * sizeof(*types->by_name));
	if (!types->by_name)
		return false;
	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(types->btf, id);

		if (type && kind_rank(type) && type_name(types, id)[0])
			types->by_name[types->nr_by_name++] = id;
	}
	qsort_r(types->by_name, types->nr_by_name, sizeof(*types->by_name), compare_names, types);
	return true;
}

/* Index in by_name of the first type with this name. */
static size_t first_named(const struct btf_types *types, const char *name)
{
	size_t low = 0, high = types->nr_by_name;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(type_name(types, types->by_name[middle]), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* "struct x" → "x" and the rank that is wanted; 0: any. */
static const char *split_kind(const char *type, int *rank)
{
	static const struct {
		const char *prefix;
		int rank;
	} kinds[] = {{"struct ", 1}, {"union ", 2}, {"enum ", 4}};

	*rank = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (!strncmp(type, kinds[i].prefix, n)) {
			*rank = kinds[i].rank;
			return type + n;
		}
	}
	return type;
}

struct vmtape_error *btf_types_create(struct btf_types **out, const void *data, size_t size_bytes)
{
	struct section types = {0}, strings = {0};
	struct vmtape_error *error;
	struct btf_types *made;

	*out = NULL;
	error = read_header(data, size_bytes, &types, &strings);
	if (!error)
		error = check_types(&types, &strings);
	if (error)
		return error;
	made = calloc(1, sizeof(*made));
	if (!made)
		return &vmtape_error_no_memory;
	made->btf = parse(&types, &strings);
	if (!made->btf) {
		int number = errno;

		free(made);
		if (number == ENOMEM)
			return &vmtape_error_no_memory;
		return vmtape_error_create(VMTAPE_ERROR_FORMAT, "libbpf refuses the BTF: %s", strerror(number));
	}
	if (!index_names(made)) {
		btf_types_destroy(made);
		return &vmtape_error_no_memory;
	}
	*out = made;
	return NULL;
}

void btf_types_destroy(struct btf_types *types)
{
	if (!types)
		return;
	btf__free(types->btf);
	free(types->by_name);
	free(types);
}

size_t btf_types_count(const struct btf_types *types)
{
	return btf__type_cnt(types->btf) - 1;
}

/* ---- members --------------------------------------------------------- */

static const struct btf_type *skip_modifiers(const struct btf_types *types, uint32_t id)
{
	for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
		const struct btf_type *type = btf__type_by_id(types->btf, id);

		if (!type)
			return NULL;
		switch (btf_kind(type)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = type->type;
			break;
		default:
			return type;
		}
	}
	return NULL;
}

struct lookup {
	const struct btf_types *types;
	unsigned budget; /* hostile types may nest into one another endlessly */
	uint64_t bit_offset;
	uint32_t nr_bits;
	uint32_t type_id; /* of the member */
};

static bool find_member(struct lookup *lookup, uint32_t id, const char *name, unsigned depth)
{
	const struct btf_type *type = skip_modifiers(lookup->types, id);

	if (!type || !btf_is_composite(type) || depth > MAX_DEPTH)
		return false;
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *member = &btf_members(type)[i];
		const char *member_name = btf__name_by_offset(lookup->types->btf, member->name_off);
		uint32_t bit_offset = btf_member_bit_offset(type, i);

		if (!lookup->budget)
			return false;
		lookup->budget--;
		if (member_name && !strcmp(member_name, name)) {
			lookup->bit_offset += bit_offset;
			lookup->nr_bits = btf_member_bitfield_size(type, i);
			lookup->type_id = member->type;
			return true;
		}
		if (member_name && !member_name[0] && find_member(lookup, member->type, name, depth + 1)) {
			lookup->bit_offset += bit_offset;
			return true;
		}
	}
	return false;
}

static bool find_path(struct lookup *lookup, uint32_t id, const char *path)
{
	char name[MAX_NAME_BYTES];

	lookup->bit_offset = 0;
	lookup->type_id = id;
	for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(name) || !n)
			return false;
		memcpy(name, path, n);
		name[n] = '\0';
		if (!find_member(lookup, lookup->type_id, name, 0))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
	return false;
}

struct vmtape_error *btf_types_member(const struct btf_types *types, const char *type, const char *path,
				      struct btf_field *out)
{
	struct lookup lookup = {.types = types, .budget = MAX_MEMBERS_TRIED};
	bool type_seen = false;
	int rank;
	const char *name = split_kind(type, &rank);

	*out = (struct btf_field){0};
	/* Different structs may bear one name in different source files: the one with the member is meant. */
	for (size_t i = first_named(types, name); i < types->nr_by_name; i++) {
		uint32_t id = types->by_name[i];
		int64_t size;

		if (strcmp(type_name(types, id), name))
			break;
		if (rank && kind_rank(btf__type_by_id(types->btf, id)) != rank)
			continue;
		type_seen = true;
		if (!find_path(&lookup, id, path))
			continue;
		size = btf__resolve_size(types->btf, lookup.type_id);
		if (size < 0 || size > UINT32_MAX)
			size = 0; /* flexible array members, incomplete types */
		if (lookup.bit_offset / 8 > UINT32_MAX)
			break;
		*out = (struct btf_field){
			.offset_bytes = lookup.bit_offset / 8,
			.size_bytes = size,
			.bit_shift = lookup.bit_offset % 8,
			.nr_bits = lookup.nr_bits,
		};
		return NULL;
	}
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
				   type_seen ? "type %s has no member %s" : "no type %s (member %s)", type, path);
}

struct member_list {
	const struct btf_types *types;
	struct btf_member_info *out;
	size_t n, room;
	unsigned budget;
};

static void describe_member(const struct btf_types *types, uint32_t id, struct btf_member_info *out)
{
	const struct btf_type *type = skip_modifiers(types, id);
	int64_t size;

	out->kind = BTF_MEMBER_OTHER;
	if (type && btf_is_array(type)) {
		uint32_t nr_items = btf_array(type)->nelems;

		id = btf_array(type)->type;
		type = skip_modifiers(types, id);
		/* none: a flexible array, which is no part of the struct */
		if (!nr_items || nr_items > UINT16_MAX || !type || btf_is_array(type))
			return;
		out->nr_items = nr_items;
	}
	size = btf__resolve_size(types->btf, id);
	if (!type || size <= 0 || size > UINT16_MAX)
		return;
	out->size_bytes = (uint32_t)size;
	if (btf_is_int(type)) {
		out->kind = btf_int_encoding(type) & BTF_INT_SIGNED ? BTF_MEMBER_SIGNED : BTF_MEMBER_UNSIGNED;
		if (size == 1 && out->nr_items && !strcmp(btf__name_by_offset(types->btf, type->name_off), "char"))
			out->kind = BTF_MEMBER_TEXT;
	} else if (btf_is_any_enum(type)) {
		out->kind = BTF_MEMBER_SIGNED;
	} else if (btf_is_ptr(type)) {
		out->kind = BTF_MEMBER_POINTER;
	} else if (btf_is_struct(type)) {
		const char *name = btf__name_by_offset(types->btf, type->name_off);

		if (name && name[0] &&
		    snprintf(out->type_name, sizeof(out->type_name), "struct %s", name) < (int)sizeof(out->type_name))
			out->kind = BTF_MEMBER_STRUCT;
	}
}

static void list_members(struct member_list *list, uint32_t id, uint64_t bits_before, unsigned depth)
{
	const struct btf_type *type = skip_modifiers(list->types, id);

	if (!type || !btf_is_composite(type) || depth > MAX_DEPTH)
		return;
	for (uint32_t i = 0; i < btf_vlen(type) && list->n < list->room && list->budget; i++) {
		const struct btf_member *member = &btf_members(type)[i];
		const char *name = btf__name_by_offset(list->types->btf, member->name_off);
		uint64_t bits = bits_before + btf_member_bit_offset(type, i);

		list->budget--;
		if (!name || !name[0]) {
			list_members(list, member->type, bits, depth + 1);
		} else {
			struct btf_member_info *out = &list->out[list->n++];

			*out = (struct btf_member_info){.name = name, .offset_bytes = (uint32_t)(bits / 8)};
			if (btf_member_bitfield_size(type, i) || bits % 8 || bits / 8 > UINT16_MAX - 1)
				out->kind = BTF_MEMBER_OTHER;
			else
				describe_member(list->types, member->type, out);
		}
		if (btf_is_union(type))
			break;
	}
}

size_t btf_types_members(const struct btf_types *types, const char *type, struct btf_member_info *out, size_t room)
{
	struct member_list list = {.types = types, .out = out, .room = room, .budget = MAX_MEMBERS_LISTED};
	int rank;
	const char *name = split_kind(type, &rank);

	for (size_t i = first_named(types, name); i < types->nr_by_name; i++) {
		uint32_t id = types->by_name[i];

		if (strcmp(type_name(types, id), name))
			break;
		if (rank && kind_rank(btf__type_by_id(types->btf, id)) != rank)
			continue;
		list_members(&list, id, 0, 0);
		break;
	}
	return list.n;
}

struct vmtape_error *btf_types_size(const struct btf_types *types, const char *type, uint32_t *size_bytes)
{
	int rank;
	const char *name = split_kind(type, &rank);

	*size_bytes = 0;
	for (size_t i = first_named(types, name); i < types->nr_by_name; i++) {
		uint32_t id = types->by_name[i];
		int64_t size;

		if (strcmp(type_name(types, id), name))
			break;
		if (rank && kind_rank(btf__type_by_id(types->btf, id)) != rank)
			continue;
		size = btf__resolve_size(types->btf, id);
		if (size >= 0 && size <= UINT32_MAX) {
			*size_bytes = size;
			return NULL;
		}
	}
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "no type %s", type);
}
