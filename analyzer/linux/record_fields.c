/* SPDX-License-Identifier: MIT */
/* Structs that a table of fields describes: "{a=1, b=FLAG}". */
#include <string.h>

#include "record_layout.h"

static uint64_t read_sized(struct record_reader *r, size_t size_bytes)
{
	switch (size_bytes) {
	case 1:
		return read_u8(r);
	case 2:
		return read_u16(r);
	case 4:
		return read_u32(r);
	case 8:
		return read_u64(r);
	default:
		return read_word(r);
	}
}

static int64_t sign_extend(uint64_t value, size_t size_bytes)
{
	unsigned shift = 64 - 8 * (unsigned)size_bytes;

	return (int64_t)(value << shift) >> shift;
}

static void put_hex_or_zero(uint64_t value, struct strbuf *out)
{
	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put_char(out, '0');
}

static void put_number(const struct record_field *field, uint64_t value, size_t size_bytes, struct strbuf *out)
{
	switch ((enum field_kind)field->kind) {
	case FIELD_SIGNED:
		strbuf_put_i64(out, sign_extend(value, size_bytes));
		break;
	case FIELD_HEX:
		put_hex_or_zero(value, out);
		break;
	case FIELD_ADDRESS:
		if (value)
			strbuf_put_hex(out, value);
		else
			strbuf_put(out, "NULL");
		break;
	case FIELD_OCTAL:
		put_octal((uint32_t)value, out);
		break;
	case FIELD_NAME:
		name_set_put_one(field->names, value, out);
		break;
	case FIELD_FLAGS:
		name_set_put_flags(field->names, value, out);
		break;
	case FIELD_SIGNAL:
		if (value > UINT32_MAX || !signal_name_put((uint32_t)value, out))
			strbuf_put_u64(out, value);
		break;
	default:
		strbuf_put_u64(out, value);
		break;
	}
}

static void put_text(struct record_reader *r, size_t n, struct strbuf *out)
{
	const char *text = r->at <= r->len ? (const char *)r->data + r->at : NULL;
	size_t left = text ? r->len - r->at : 0;

	strbuf_put_char(out, '"');
	if (left)
		strbuf_put_escaped(out, text, strnlen(text, n < left ? n : left));
	strbuf_put_char(out, '"');
	read_skip(r, n);
}

static void put_field(const struct record_field *field, struct record_reader *r, struct strbuf *out)
{
	size_t n = field->n ? field->n : 1, size_bytes = field->size_bytes ? field->size_bytes : r->narrow ? 4 : 8;

	if (field->kind == FIELD_TEXT) {
		put_text(r, field->n, out);
		return;
	}
	if (field->n)
		strbuf_put_char(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			strbuf_put(out, ", ");
		if (field->kind == FIELD_RECORD)
			record_put(field->layout, r, out);
		else
			put_number(field, read_sized(r, size_bytes), size_bytes, out);
	}
	if (field->n)
		strbuf_put_char(out, ']');
}

static bool is_left_out(const struct record_field *field, const struct record_reader *r, bool *more)
{
	struct record_reader ahead = *r;
	size_t items = field->n ? field->n : 1;

	if (field->flags & FIELD_F_VERBOSE && r->brief) {
		*more = true;
		return true;
	}
	if (field->flags & FIELD_F_NONZERO && field->kind != FIELD_RECORD && field->kind != FIELD_TEXT) {
		while (items--) {
			if (read_sized(&ahead, field->size_bytes))
				return false;
		}
		return true;
	}
	return false;
}

void record_put_members(const struct record_layout *layout, struct record_reader *r, struct strbuf *out)
{
	bool any = false, more = false, placed = false;
	size_t start = r->at;

	for (const struct record_field *field = layout->fields; field->kind != FIELD_END; field++) {
		bool left_out;

		if (field->at) {
			r->at = start + field->at - 1;
			placed = true;
		}
		if (field->kind == FIELD_SKIP) {
			read_skip(r, field->n);
			continue;
		}
		/* as its maker knew the struct, shorter than here */
		if (r->sized && r->at >= r->len)
			break;
		left_out = is_left_out(field, r, &more);
		if (left_out) {
			struct strbuf nowhere = {0};

			put_field(field, r, &nowhere);
			strbuf_deinit(&nowhere);
			continue;
		}
		if (any)
			strbuf_put(out, ", ");
		any = true;
		/* of the guest's BTF, perhaps */
		if (field->name) {
			strbuf_put_escaped(out, field->name, strlen(field->name));
			strbuf_put_char(out, '=');
		}
		put_field(field, r, out);
	}
	if (placed)
		r->at = start + layout->size_bytes;
	if (more)
		strbuf_put(out, any ? ", ..." : "...");
}

void record_put(const struct record_layout *layout, struct record_reader *r, struct strbuf *out)
{
	if (layout->put) {
		layout->put(r, out);
		return;
	}
	strbuf_put_char(out, '{');
	record_put_members(layout, r, out);
	strbuf_put_char(out, '}');
}
