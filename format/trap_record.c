/* SPDX-License-Identifier: MIT */
/* trap_record.c - the one place where raw records are checked; see trap_record.h. */
#include "trap_record.h"

#include <errno.h>
#include <string.h>

#define TRAP_F_ALL (TRAP_F_CPL0 | TRAP_F_DIVERTED | TRAP_F_UNPAIRED | TRAP_F_CUT)

static int bad(const char **why, const char *what)
{
	if (why)
		*why = what;
	return -EBADMSG;
}

static size_t padded(size_t size_bytes)
{
	return (size_bytes + 7) & ~(size_t)7;
}

static size_t body_bytes(uint8_t type)
{
	switch (type) {
	case TRAP_GAP:
		return sizeof(struct trap_gap);
	case TRAP_MARK:
		return sizeof(struct trap_mark);
	case TRAP_PLAN:
		return sizeof(struct trap_plan_change);
	default:
		return 0;
	}
}

static int check_fragments(const struct trap_view *view, const char **why)
{
	size_t at = 0;

	for (unsigned i = 0; i < view->header.nr_fragments; i++) {
		struct trap_fragment fragment;

		if (view->fragments_bytes - at < sizeof(fragment))
			return bad(why, "fragment lies past the end of its record");
		memcpy(&fragment, view->fragments + at, sizeof(fragment));
		at += sizeof(fragment);
		if ((fragment.status & ~TRAP_FRAG_AGAIN) >= TRAP_FRAG_STATUSES)
			return bad(why, "fragment of unknown status");
		if (view->fragments_bytes - at < padded(fragment.len_bytes))
			return bad(why, "fragment is longer than its record");
		at += padded(fragment.len_bytes);
	}
	if (at != view->fragments_bytes)
		return bad(why, "bytes behind the last fragment");
	return 0;
}

int trap_view_parse(struct trap_view *out, const void *data, size_t size_bytes, const char **why)
{
	const uint8_t *bytes = data;
	struct trap_record *header = &out->header;
	size_t at = sizeof(*header);

	if (size_bytes < sizeof(*header))
		return -EAGAIN;
	memcpy(header, bytes, sizeof(*header));
	if (header->size_bytes < sizeof(*header) || header->size_bytes > TRAP_RECORD_MAX_BYTES ||
	    header->size_bytes % 8)
		return bad(why, "impossible record size");
	if (header->type == TRAP_PAD || header->type >= TRAP_TYPES)
		return bad(why, "unknown record type");
	if (header->abi >= TRAP_ABIS)
		return bad(why, "unknown system-call ABI");
	if (header->via >= TRAP_VIAS)
		return bad(why, "unknown instruction of entry or exit");
	if (header->flags & ~TRAP_F_ALL)
		return bad(why, "unknown record flags");
	if (header->reg_mask >> TRAP_REGS)
		return bad(why, "unknown registers");
	if (header->size_bytes > size_bytes)
		return -EAGAIN;

	out->raw = bytes;
	out->body = NULL;
	out->fragments = NULL;
	out->fragments_bytes = 0;
	memset(out->regs, 0, sizeof(out->regs));

	if (body_bytes(header->type)) {
		if (header->reg_mask || header->nr_fragments)
			return bad(why, "registers or fragments in a record that has none");
		if (header->size_bytes != at + body_bytes(header->type))
			return bad(why, "record size does not match its type");
		out->body = bytes + at;
		return (int)header->size_bytes;
	}

	if (header->size_bytes - at < 8 * (size_t)__builtin_popcount(header->reg_mask))
		return bad(why, "registers lie past the end of their record");
	for (unsigned reg = 0; reg < TRAP_REGS; reg++) {
		if (!trap_view_has(out, reg))
			continue;
		memcpy(&out->regs[reg], bytes + at, 8);
		at += 8;
	}
	out->fragments = bytes + at;
	out->fragments_bytes = header->size_bytes - at;
	if (check_fragments(out, why))
		return -EBADMSG;
	return (int)header->size_bytes;
}

bool trap_view_next_fragment(const struct trap_view *view, size_t *position, struct trap_fragment *out,
			     const uint8_t **bytes)
{
	if (*position >= view->fragments_bytes)
		return false;
	memcpy(out, view->fragments + *position, sizeof(*out));
	*bytes = view->fragments + *position + sizeof(*out);
	*position += sizeof(*out) + padded(out->len_bytes);
	return true;
}

/* A view of another type gives zeros. */
static void copy_body(const struct trap_view *view, uint8_t type, void *out, size_t size_bytes)
{
	if (view->header.type == type && view->body)
		memcpy(out, view->body, size_bytes);
	else
		memset(out, 0, size_bytes);
}

void trap_view_gap(const struct trap_view *view, struct trap_gap *out)
{
	copy_body(view, TRAP_GAP, out, sizeof(*out));
}

void trap_view_mark(const struct trap_view *view, struct trap_mark *out)
{
	copy_body(view, TRAP_MARK, out, sizeof(*out));
}

void trap_view_plan(const struct trap_view *view, struct trap_plan_change *out)
{
	copy_body(view, TRAP_PLAN, out, sizeof(*out));
}
