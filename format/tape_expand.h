/* SPDX-License-Identifier: MIT */
/*
 * tape_expand.h - the state of the decoder of TRAPS layout 2, and how it takes
 * bytes from outside; private to it.
 */
#ifndef TAPE_EXPAND_H
#define TAPE_EXPAND_H

#include "tape_compact.h"
#include "trap_record.h"

struct expansion {
	struct compact_model *model;
	const uint8_t *at[COMPACT_STREAMS]; /* of those that are not in struct ahead */
	const uint8_t *end[COMPACT_STREAMS];
	uint8_t *row; /* where the next record goes */
	uint8_t *rows;
	uint8_t *rows_end;
	bool is_sound;
	/* What is found out of a record that did not come as expected: */
	unsigned code;
	uint8_t *follower;
	uint64_t seq_jump;
};

static inline size_t expansion_left(const struct expansion *x, enum compact_stream stream)
{
	return (size_t)(x->end[stream] - x->at[stream]);
}

static inline size_t expansion_room(const struct expansion *x)
{
	return (size_t)(x->rows_end - x->row);
}

/* The next bytes of the stream, or NULL. */
static inline const uint8_t *expansion_take(struct expansion *x, enum compact_stream stream, size_t size_bytes)
{
	const uint8_t *at = x->at[stream];

	if (size_bytes > expansion_left(x, stream))
		return NULL;
	x->at[stream] = at + size_bytes;
	return at;
}

static inline bool expansion_varint(struct expansion *x, uint64_t *out)
{
	struct byte_reader reader = byte_reader(x->at[COMPACT_AUX], expansion_left(x, COMPACT_AUX));

	*out = byte_reader_varint(&reader);
	x->at[COMPACT_AUX] = reader.at;
	return !reader.bad;
}

/* ---- tape_expand_fragments.c ----------------------------------------- */

/* The fragments of the record, whose registers are there, at x->row; and its size. NULL, or what is wrong. */
const char *tape_expand_fragments(struct expansion *x, struct compact_shape *shape, uint8_t *record);

#endif
