/* SPDX-License-Identifier: MIT */
/*
 * trap_record.h - take a raw record apart, believing nothing that it says.
 * A view points into the record's bytes and lives as long as they do.
 */
#ifndef TRAP_RECORD_H
#define TRAP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "trap_abi.h"

struct trap_view {
	struct trap_record header;
	uint64_t regs[TRAP_REGS]; /* 0 where reg_mask has no bit */
	const uint8_t *fragments; /* header.nr_fragments of them, checked */
	size_t fragments_bytes;
	const uint8_t *body; /* of GAP, MARK, PLAN; NULL for the others */
	const uint8_t *raw;
};

/*
 * Check and open the record at data, of which size_bytes bytes are there.
 * Returns its size (> 0), -EAGAIN when it is not all there, -EBADMSG when it is
 * not a record; *why (may be NULL) then says what is wrong.
 */
int trap_view_parse(struct trap_view *out, const void *data, size_t size_bytes, const char **why);

/* The same of a record that was checked so before: nothing is checked again. */
typedef void trap_view_opener(struct trap_view *out, const void *record);
trap_view_opener trap_view_open;
/* What does the same, as quickly as this processor can: for who opens very many. */
trap_view_opener *trap_view_fastest_open(void);

/* Is it the header of an ENTER, EXIT or IDENTITY record, whatever its size? */
bool trap_record_is_plain(const struct trap_record *header);

static inline bool trap_view_has(const struct trap_view *view, enum trap_reg reg)
{
	return view->header.reg_mask >> reg & 1;
}

/* Fragments in order: start with position 0; false at the end. bytes points into the record. */
static inline bool trap_view_next_fragment(const struct trap_view *view, size_t *position, struct trap_fragment *out,
					   const uint8_t **bytes)
{
	if (*position >= view->fragments_bytes)
		return false;
	memcpy(out, view->fragments + *position, sizeof(*out));
	*bytes = view->fragments + *position + sizeof(*out);
	*position += sizeof(*out) + ((out->len_bytes + (size_t)7) & ~(size_t)7);
	return true;
}

void trap_view_gap(const struct trap_view *view, struct trap_gap *out);
void trap_view_mark(const struct trap_view *view, struct trap_mark *out);
void trap_view_plan(const struct trap_view *view, struct trap_plan_change *out);

#endif
