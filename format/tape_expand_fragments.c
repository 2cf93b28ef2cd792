/* SPDX-License-Identifier: MIT */
/* tape_expand_fragments.c - decoder of TRAPS layout 2: fragments, their addresses and contents. */
#include "tape_expand.h"

/* Replaces the description if there is another one; false: it is not there, or not one of this shape. */
static bool get_template(struct expansion *x, const struct compact_shape *shape, bool is_new,
			 struct compact_template *template)
{
	if (is_new) {
		const uint8_t *bytes = expansion_take(x, COMPACT_AUX, COMPACT_TEMPLATE_BYTES);

		if (!bytes)
			return false;
		template->source = bytes[0];
		template->status = bytes[1];
		template->label = bytes[2];
		template->want = bytes[3];
		x->is_sound &= (template->status & ~TRAP_FRAG_AGAIN) < TRAP_FRAG_STATUSES;
	}
	/* The first one is zeros, which a record without registers can't use. */
	return (template->source < shape->nr_regs ||
		(template->source >= COMPACT_FROM_NOWHERE && template->source <= COMPACT_FROM_TASK) ||
		(template->source >= COMPACT_FROM_ENTER && template->source < COMPACT_FROM_ENTER + COMPACT_REGS)) &&
	       template->want < COMPACT_WANTS;
}

/* The address of a fragment, unless it comes from its contents; false: it is not there. */
static bool get_gva(struct expansion *x, struct compact_template *template, const uint8_t *regs, uint64_t *out)
{
	const struct compact_model *model = x->model;
	uint64_t difference;

	if (template->source < COMPACT_FROM_NOWHERE) {
		*out = get_le64(regs + 8 * template->source);
	} else if (template->source >= COMPACT_FROM_ENTER) {
		*out = compact_of_enter(model, template->source - COMPACT_FROM_ENTER);
	} else if (template->source == COMPACT_FROM_TASK) {
		*out = model->task->key + template->offset;
	} else if (template->source == COMPACT_FROM_NOWHERE) {
		if (!expansion_varint(x, &difference))
			return false;
		*out = model->last_gva + compact_unzigzag(difference);
		template->offset = *out - model->task->key;
	}
	return true;
}

static bool get_want(struct expansion *x, uint8_t want, uint16_t len_bytes, uint32_t *out)
{
	uint64_t value = want == COMPACT_WANT_0 ? 0 : len_bytes + (want == COMPACT_WANT_LEN_1);

	if (want == COMPACT_WANT_AUX && (!expansion_varint(x, &value) || value > UINT32_MAX))
		return false;
	*out = (uint32_t)value;
	return true;
}

/* The contents of a fragment, somewhere in the payload or in the rows before. */
struct contents {
	const uint8_t *bytes;
	uint16_t len_bytes;
	uint16_t number; /* or COMPACT_NO_CONTENT */
};

/* New ones; false: they are not there. */
static bool get_new_contents(struct expansion *x, struct contents *out)
{
	const uint8_t *len = expansion_take(x, COMPACT_FRAGMENTS, 1);

	if (!len)
		return false;
	out->len_bytes = *len;
	if (out->len_bytes == 255) {
		len = expansion_take(x, COMPACT_AUX, 2);
		if (!len)
			return false;
		out->len_bytes = get_le16(len);
	}
	out->number = COMPACT_NO_CONTENT;
	/* They will lie behind the fragment's head, if it fits; if not, nobody asks for them. */
	if (compact_has_number(out->len_bytes))
		out->number = compact_content_add(x->model,
						  (uint32_t)(x->row - x->rows) + (uint32_t)sizeof(struct trap_fragment),
						  out->len_bytes);
	out->bytes = expansion_take(x, COMPACT_BYTES, out->len_bytes);
	return out->bytes;
}

/* there: number of those that were last at the fragment's address. False: they are not there. */
static bool get_contents(struct expansion *x, unsigned kind, uint16_t there, struct contents *out)
{
	const struct compact_content *content;

	if (kind == COMPACT_F_NEW)
		return get_new_contents(x, out);
	out->number = there;
	if (kind == COMPACT_F_NUMBER) {
		const uint8_t *number = expansion_take(x, COMPACT_FRAGMENTS, 2);

		if (!number)
			return false;
		out->number = get_le16(number);
	}
	if (out->number >= COMPACT_CONTENTS || out->number >= x->model->contents_made)
		return false;
	content = &x->model->contents[out->number];
	out->len_bytes = content->len_bytes;
	out->bytes = x->rows + content->at;
	return true;
}

static const char *get_fragment(struct expansion *x, struct compact_shape *shape, unsigned index, const uint8_t *regs)
{
	struct compact_template *template =
		&shape->templates[index < COMPACT_TEMPLATES ? index : COMPACT_TEMPLATES - 1];
	const uint8_t *head = expansion_take(x, COMPACT_FRAGMENTS, 1);
	uint32_t want_bytes, padded_bytes;
	struct contents contents;
	uint16_t len_bytes;
	uint64_t gva = 0;

	if (!head || *head > COMPACT_F_MAX || !get_template(x, shape, *head & COMPACT_F_TEMPLATE, template))
		return "a fragment's description is missing or wrong";
	if (template->source == COMPACT_FROM_CONTENT && (*head & ~COMPACT_F_TEMPLATE) != COMPACT_F_NUMBER)
		return "a fragment's address and contents come from each other";
	if (!get_gva(x, template, regs, &gva))
		return "a fragment's address is missing";
	if (!get_contents(x, *head & ~COMPACT_F_TEMPLATE, *compact_content_at(x->model, gva), &contents))
		return "a fragment's contents are missing";
	if (template->source == COMPACT_FROM_CONTENT)
		gva = x->model->contents[contents.number].gva;
	len_bytes = contents.len_bytes;
	if (!get_want(x, template->want, len_bytes, &want_bytes))
		return "a fragment's wanted length is missing";
	x->model->last_gva = gva;
	if (contents.number != COMPACT_NO_CONTENT) {
		x->model->contents[contents.number].gva = gva;
		*compact_content_at(x->model, gva) = contents.number;
	}
	padded_bytes = compact_padded(len_bytes);
	if (expansion_room(x) < sizeof(struct trap_fragment) + padded_bytes)
		return "a fragment is longer than the rows";
	put_le64(x->row, gva);
	put_le32(x->row + offsetof(struct trap_fragment, want_bytes), want_bytes);
	put_le16(x->row + offsetof(struct trap_fragment, len_bytes), len_bytes);
	x->row[offsetof(struct trap_fragment, status)] = template->status;
	x->row[offsetof(struct trap_fragment, label)] = template->label;
	x->row += sizeof(struct trap_fragment);
	memset(x->row + padded_bytes - (padded_bytes ? 8 : 0), 0, padded_bytes ? 8 : 0);
	memcpy(x->row, contents.bytes, len_bytes);
	x->row += padded_bytes;
	return NULL;
}

const char *tape_expand_fragments(struct expansion *x, struct compact_shape *shape, uint8_t *record)
{
	for (unsigned i = 0; i < shape->nr_fragments; i++) {
		const char *why = get_fragment(x, shape, i, record + sizeof(struct trap_record));

		if (why)
			return why;
	}
	if ((size_t)(x->row - record) > TRAP_RECORD_MAX_BYTES)
		return "a record is longer than any";
	put_le32(record, (uint32_t)(x->row - record));
	return NULL;
}
