/* SPDX-License-Identifier: MIT */
/*
 * tape_lane.h - what a cursor is made of: lanes, one a vCPU, each with the
 * chunks of that vCPU and at most one of them loaded. Private to the cursor.
 */
#ifndef TAPE_LANE_H
#define TAPE_LANE_H

#include "tape_ahead.h"
#include "tape_read.h"

struct tape_lane {
	uint16_t vcpu;     /* TAPE_NO_VCPU: carried records */
	size_t first, end; /* of reader->traps, or of reader->carried */
	size_t now;        /* chunk that the position is in */
	size_t asked;      /* those before it were asked for ahead, as far as they are behind now */
	struct tape_scratch raw;
	bool loaded;
	bool is_sound;    /* its records need not be checked again */
	bool seeking;     /* nothing at or behind the time that was sought was found yet */
	bool is_brief;    /* of a chunk that is skipped; has its rows */
	size_t at;        /* of the next record, in the chunk, */
	size_t end_bytes; /* which is so long; or its brief's rows are */
	uint64_t key;     /* its TSC, or, at the start of a chunk, the least TSC of that */
	/* While the reader is refreshed: */
	uint64_t rest_slot; /* the chunk that it is in, or, with passed, was in last: its slot's number, */
	uint32_t rest_number;
	bool passed;
	bool is_new;
	uint64_t newest_tsc;
};

struct tape_cursor {
	struct tape_reader *reader;
	struct tape_ahead *ahead; /* NULL: nothing is loaded before it is needed */
	struct tape_lane *lanes;
	size_t nr_lanes;
	struct tape_lane **heap;
	size_t nr_heap;
	uint64_t loaded_bytes, max_loaded_bytes;
	uint64_t seek_tsc;
	/* The top of the heap, as long as what it gives comes before all others: of a TSC below. NULL: unknown. */
	struct tape_lane *run;
	uint64_t run_until_tsc;
	trap_view_opener *open;
	size_t pending_bytes;     /* of the record that was given out last, at the top of the heap */
	struct tape_lane carried; /* in the heap, not among the lanes */
	bool wants_carried;
	struct tape_skipper skipper;
	uint64_t until_tsc;
	uint64_t given_tsc; /* of the latest record that was given out */
	bool forgets;       /* chunks that it has passed */
	uint64_t nr_late;
};

/* Carried records come before all others of their time. */
static inline bool tape_lane_before(const struct tape_lane *a, const struct tape_lane *b)
{
	return a->key != b->key ? a->key < b->key : (uint16_t)(a->vcpu + 1) < (uint16_t)(b->vcpu + 1);
}

static inline struct tape_stored_chunk *tape_lane_chunk(const struct tape_cursor *cursor, const struct tape_lane *lane)
{
	const size_t *list = lane == &cursor->carried ? cursor->reader->carried : cursor->reader->traps;

	return &cursor->reader->chunks[list[lane->now]];
}

/* ---- tape_lane.c ----------------------------------------------------- */

/* 0, -EBADMSG when the chunk is damaged, or another error: makes the chunk that the lane is at available. */
int tape_lane_load(struct tape_cursor *cursor, struct tape_lane *lane);
void tape_lane_unload(struct tape_cursor *cursor, struct tape_lane *lane);
/* Its memory, of a lane that is not loaded. */
void tape_lane_give_back(struct tape_lane *lane);
/* Nothing is asked for any more: lanes or chunks are about to change. */
void tape_lane_stop_ahead(struct tape_cursor *cursor);

/* ---- tape_cursor.c --------------------------------------------------- */

/* Steps over the record that was given out last. */
void tape_cursor_settle(struct tape_cursor *cursor);
/* Puts all lanes of the heap where they belong. */
void tape_cursor_sort(struct tape_cursor *cursor);

#endif
