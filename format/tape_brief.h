/* SPDX-License-Identifier: MIT */
/*
 * tape_brief.h - what a TRAPS chunk holds, in brief, so that a reader can do
 * without it: the system calls in it, and who runs. FORMAT.md, INDEX, section 3.
 * Private to format/. 0 or negative errno; one thread an object.
 */
#ifndef TAPE_BRIEF_H
#define TAPE_BRIEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define TAPE_BRIEF_NRS       1024u /* numbers of system calls; a chunk with a greater one has no brief */
#define TAPE_BRIEF_ROWS      256u  /* at most, of a chunk */
#define TAPE_BRIEF_MAX_BYTES (32u << 10)
#define TAPE_BRIEF_TEXTS     4096u /* rows that differ in more than their time, at most, of a slot */

/* flags of a brief */
#define TAPE_BRIEF_KNOWN      0x01 /* without it, anything may be in the chunk */
#define TAPE_BRIEF_UNNUMBERED 0x02 /* it has an exit whose call is not known */
#define TAPE_BRIEF_NAMELESS   0x04 /* it has an entry or exit without a task word */
#define TAPE_BRIEF_ALL        0x07

struct tape_brief {
	uint8_t flags;
	uint32_t nr_rows;
	struct byte_buffer nrs;  /* u32 each, rising: as in section 1 */
	struct byte_buffer rows; /* TRAP_IDENTITY records: FORMAT.md */
};

void tape_brief_deinit(struct tape_brief *brief);
/* Of records whose sizes chain up. *out is as if nothing was known where they are too many, or odd. -ENOMEM */
int tape_brief_make(struct tape_brief *out, const uint8_t *records, size_t size_bytes);
bool tape_brief_equal(const struct tape_brief *a, const struct tape_brief *b);

/* ---- of a slot, as its index has them -------------------------------- */

struct tape_brief_text {
	uint32_t offset, number;
	bool used;
};

/* What is written. Zero-initialise and set max_bytes; 0: none are kept. */
struct tape_briefs {
	uint32_t max_bytes;
	uint64_t texts_room; /* bytes that texts may take so far */
	struct byte_buffer texts, list;
	uint32_t nr_texts;
	struct tape_brief_text *places; /* of texts, by hash */
};
void tape_briefs_deinit(struct tape_briefs *briefs);
void tape_briefs_reset(struct tape_briefs *briefs, uint32_t max_bytes); /* for a new slot */
/* Bytes of the section at most, with one more of them (NULL: as it is). */
size_t tape_briefs_bound(const struct tape_briefs *briefs, const struct tape_brief *more);
/* The brief of the slot's next chunk, which has this header. It is left out where it takes too much. */
struct tape_chunk_header;
int tape_briefs_add(struct tape_briefs *briefs, const struct tape_brief *brief, const struct tape_chunk_header *header);
void tape_briefs_encode(const struct tape_briefs *briefs, struct byte_buffer *out);

/* What is read: points into the section's bytes. */
struct tape_briefs_view {
	const uint8_t **texts;
	uint32_t nr_texts;
	struct byte_reader *briefs; /* one a chunk, each at its start */
	uint32_t nr_briefs;
};
/* Bytes from outside: 0, -ENOMEM, or -EBADMSG with *why. */
int tape_briefs_decode(struct tape_briefs_view *out, const uint8_t *section, size_t size_bytes, uint32_t nr_chunks,
		       const char **why);
void tape_briefs_view_deinit(struct tape_briefs_view *view);
/* One of them; out is emptied and filled, and keeps its memory. -ENOMEM */
int tape_brief_get(const struct tape_briefs_view *view, uint32_t number, uint16_t vcpu, uint64_t min_tsc,
		   struct tape_brief *out);

#endif
