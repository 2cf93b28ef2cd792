/* SPDX-License-Identifier: MIT */
/*
 * tape_cursor_grow.c - a cursor on a tape that is still being written: rests
 * while the reader looks for new chunks, then finds its places again.
 */
#include <errno.h>

#include "tape_lane.h"

static void rest_lane(struct tape_cursor *cursor, struct tape_lane *lane)
{
	const struct tape_stored_chunk *chunk;
	size_t now = lane->now;

	lane->passed = now >= lane->end;
	/* One without chunks stays as it was. */
	if (lane->first == lane->end)
		return;
	lane->now -= lane->passed;
	chunk = tape_lane_chunk(cursor, lane);
	lane->now = now;
	lane->rest_slot = cursor->reader->slots[chunk->slot].seq;
	lane->rest_number = chunk->header.number;
}

void tape_cursor_rest(struct tape_cursor *cursor)
{
	tape_cursor_settle(cursor);
	tape_lane_stop_ahead(cursor);
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		rest_lane(cursor, &cursor->lanes[i]);
	rest_lane(cursor, &cursor->carried);
}

/* Is it the chunk that the lane was in? A hostile tape may have two of that number; the one that is loaded is held. */
static bool was_in(const struct tape_cursor *cursor, const struct tape_lane *lane,
		   const struct tape_stored_chunk *chunk)
{
	return cursor->reader->slots[chunk->slot].seq == lane->rest_slot && chunk->header.number == lane->rest_number &&
	       (!lane->loaded || chunk->held);
}

/*
 * Those that were begun are given to their end. What younger slots say is new only to who was overtaken by the writer,
 * or had not begun with the oldest when it was overwritten.
 */
static void find_carried(struct tape_cursor *cursor)
{
	struct tape_reader *reader = cursor->reader;
	struct tape_lane *lane = &cursor->carried;
	bool begun = lane->first < lane->end, again = begun && !lane->passed && !lane->loaded && !lane->at;

	for (size_t i = 0; i < reader->nr_carried && begun && !lane->passed; i++) {
		const struct tape_stored_chunk *chunk = &reader->chunks[reader->carried[i]];

		if ((chunk->bad && !lane->loaded) || !was_in(cursor, lane, chunk))
			continue;
		lane->first = lane->now = i;
		lane->end = i + 1;
		cursor->heap[cursor->nr_heap++] = lane;
		return;
	}
	lane->first = lane->now = lane->end = 0;
	if (!cursor->wants_carried || !(again || reader->was_overtaken))
		return;
	reader->was_overtaken = false;
	for (size_t i = 0; i < reader->nr_carried; i++) {
		if (reader->chunks[reader->carried[i]].bad)
			continue;
		lane->first = lane->now = i;
		lane->end = i + 1;
		lane->at = 0;
		lane->loaded = lane->is_brief = false;
		lane->seeking = true;
		lane->key = tape_lane_chunk(cursor, lane)->header.min_tsc;
		cursor->heap[cursor->nr_heap++] = lane;
		return;
	}
}

/* The first chunk that is behind what was passed, or the one that it was in. */
static void find_place(struct tape_cursor *cursor, struct tape_lane *lane)
{
	const struct tape_reader *reader = cursor->reader;
	bool same = false;

	for (lane->now = lane->first; lane->now < lane->end; lane->now++) {
		const struct tape_stored_chunk *chunk = tape_lane_chunk(cursor, lane);
		uint64_t seq = reader->slots[chunk->slot].seq;

		same = was_in(cursor, lane, chunk);
		if (lane->is_new || seq > lane->rest_slot || (same && !lane->passed) ||
		    (seq == lane->rest_slot && chunk->header.number > lane->rest_number))
			break;
	}
	if (lane->end > lane->first && reader->chunks[reader->traps[lane->end - 1]].header.max_tsc > lane->newest_tsc)
		lane->newest_tsc = reader->chunks[reader->traps[lane->end - 1]].header.max_tsc;
	if (lane->now == lane->end || (same && !lane->passed && !lane->is_new))
		return;
	if (tape_lane_chunk(cursor, lane)->header.min_tsc < cursor->given_tsc && (lane->passed || lane->is_new))
		cursor->nr_late++;
	if (lane->loaded)
		cursor->loaded_bytes -= lane->end_bytes;
	lane->loaded = lane->is_brief = false;
	lane->at = 0;
	lane->key = tape_lane_chunk(cursor, lane)->header.min_tsc;
}

/* Lanes of all vCPUs that there are now, in order; those that were there keep what they have. */
static int relist_lanes(struct tape_cursor *cursor)
{
	const struct tape_reader *reader = cursor->reader;
	size_t room = cursor->nr_lanes + 1, nr = 0, old = 0, i = 0;
	struct tape_lane *lanes, **heap;

	for (size_t j = 1; j < reader->nr_traps; j++)
		room += reader->chunks[reader->traps[j]].header.vcpu !=
			reader->chunks[reader->traps[j - 1]].header.vcpu;
	lanes = calloc(room, sizeof(*lanes));
	heap = reallocarray(cursor->heap, room + 1, sizeof(struct tape_lane *));
	if (heap)
		cursor->heap = heap;
	if (!lanes || !heap) {
		free(lanes);
		return -ENOMEM;
	}
	while (old < cursor->nr_lanes || i < reader->nr_traps) {
		uint32_t vcpu = i < reader->nr_traps ? reader->chunks[reader->traps[i]].header.vcpu : UINT32_MAX;
		struct tape_lane *lane = &lanes[nr++];

		if (old < cursor->nr_lanes && cursor->lanes[old].vcpu <= vcpu)
			*lane = cursor->lanes[old++];
		else
			*lane = (struct tape_lane){.vcpu = (uint16_t)vcpu, .seeking = true, .is_new = true};
		lane->first = i;
		while (i < reader->nr_traps && reader->chunks[reader->traps[i]].header.vcpu == lane->vcpu)
			i++;
		lane->end = i;
	}
	free(cursor->lanes);
	cursor->lanes = lanes;
	cursor->nr_lanes = nr;
	return 0;
}

int tape_cursor_go_on(struct tape_cursor *cursor, struct tape_error *error)
{
	if (relist_lanes(cursor))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a cursor");
	cursor->forgets = true;
	cursor->nr_heap = 0;
	for (size_t i = 0; i < cursor->nr_lanes; i++) {
		struct tape_lane *lane = &cursor->lanes[i];

		find_place(cursor, lane);
		lane->is_new = false;
		if (lane->now < lane->end)
			cursor->heap[cursor->nr_heap++] = lane;
	}
	find_carried(cursor);
	tape_cursor_sort(cursor);
	return 0;
}

uint64_t tape_cursor_frontier(const struct tape_cursor *cursor, uint32_t nr_vcpus)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < cursor->nr_lanes; i++)
		if (cursor->lanes[i].newest_tsc < least)
			least = cursor->lanes[i].newest_tsc;
	return cursor->nr_lanes && cursor->nr_lanes >= nr_vcpus ? least : 0;
}

uint64_t tape_cursor_late(const struct tape_cursor *cursor)
{
	return cursor->nr_late;
}
