/* SPDX-License-Identifier: MIT */
/*
 * tape_cursor.c - all records in order of time: a heap of lanes, one a vCPU,
 * each with one decompressed chunk. A lane that was not reached yet, or was
 * evicted because there are very many, has none. What a ring tape says of its
 * tasks at its oldest slot is one more lane.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_lane.h"

#define MAX_LOADED_BYTES (256ull << 20)
#define MAX_KEPT_LANES   64u /* whose memory is kept from chunk to chunk */

/* ---- heap ------------------------------------------------------------ */

static void sift_down(struct tape_cursor *cursor, size_t i)
{
	struct tape_lane *lane = cursor->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= cursor->nr_heap)
			break;
		if (child + 1 < cursor->nr_heap && tape_lane_before(cursor->heap[child + 1], cursor->heap[child]))
			child++;
		if (!tape_lane_before(cursor->heap[child], lane))
			break;
		cursor->heap[i] = cursor->heap[child];
		i = child;
	}
	cursor->heap[i] = lane;
}

/* Is the top where it belongs? */
static inline bool is_first(const struct tape_cursor *cursor)
{
	return (cursor->nr_heap < 2 || !tape_lane_before(cursor->heap[1], cursor->heap[0])) &&
	       (cursor->nr_heap < 3 || !tape_lane_before(cursor->heap[2], cursor->heap[0]));
}

void tape_cursor_sort(struct tape_cursor *cursor)
{
	for (size_t i = cursor->nr_heap; i-- > 0;)
		sift_down(cursor, i);
}

static void remove_top(struct tape_cursor *cursor)
{
	cursor->heap[0] = cursor->heap[--cursor->nr_heap];
	if (cursor->nr_heap)
		sift_down(cursor, 0);
}

/* ---- records --------------------------------------------------------- */

/* Moves the top lane to its next chunk, or out of the heap. */
static void next_chunk(struct tape_cursor *cursor, struct tape_lane *lane)
{
	tape_lane_unload(cursor, lane);
	if (cursor->forgets && !tape_lane_chunk(cursor, lane)->gone) {
		tape_lane_chunk(cursor, lane)->gone = true;
		cursor->reader->nr_gone++;
	}
	lane->at = 0;
	lane->is_brief = false;
	if (++lane->now == lane->end) {
		tape_lane_give_back(lane);
		remove_top(cursor);
		return;
	}
	/* With many lanes, what is not loaded would add up beyond the limit. */
	if (cursor->nr_lanes > MAX_KEPT_LANES)
		tape_lane_give_back(lane);
	lane->key = tape_lane_chunk(cursor, lane)->header.min_tsc;
	sift_down(cursor, 0);
}

static size_t no_record(struct tape_cursor *cursor, const struct tape_lane *lane)
{
	tape_reader_problem(cursor->reader, tape_lane_chunk(cursor, lane)->offset,
			    "TRAPS chunk: no record at byte %zu of its contents; left out the rest", lane->at);
	return 0;
}

/*
 * Size of the record at lane->at, 0 at the end of the chunk or where no record
 * can be: then the rest of the chunk is given up.
 */
static inline size_t record_bytes(struct tape_cursor *cursor, const struct tape_lane *lane, uint64_t *tsc)
{
	size_t left_bytes = lane->end_bytes - lane->at, size_bytes = 0;
	const uint8_t *record = lane->raw.data + lane->at;

	if (!left_bytes)
		return 0;
	if (left_bytes >= sizeof(struct trap_record))
		size_bytes = get_le32(record + offsetof(struct trap_record, size_bytes));
	if (size_bytes < sizeof(struct trap_record) || size_bytes > left_bytes || size_bytes & 7)
		return no_record(cursor, lane);
	*tsc = get_le64(record + offsetof(struct trap_record, tsc));
	return size_bytes;
}

/* Steps over the record at the top of the heap. */
static inline void step(struct tape_cursor *cursor, struct tape_lane *lane, size_t size_bytes)
{
	uint64_t tsc = 0;

	lane->at += size_bytes;
	if (!record_bytes(cursor, lane, &tsc)) {
		next_chunk(cursor, lane);
		return;
	}
	lane->key = tsc;
	if (!is_first(cursor))
		sift_down(cursor, 0);
}

void tape_cursor_settle(struct tape_cursor *cursor)
{
	cursor->run = NULL;
	if (cursor->pending_bytes && cursor->nr_heap)
		step(cursor, cursor->heap[0], cursor->pending_bytes);
	cursor->pending_bytes = 0;
}

/* ---- the cursor ------------------------------------------------------ */

static void rewind_lane(struct tape_cursor *cursor, struct tape_lane *lane)
{
	if (lane->now < lane->end)
		tape_lane_unload(cursor, lane);
	lane->at = 0;
	lane->is_brief = false;
	lane->seeking = true;
	for (lane->now = lane->first; lane->now < lane->end; lane->now++)
		if (tape_lane_chunk(cursor, lane)->header.max_tsc >= cursor->seek_tsc)
			break;
	if (lane->now == lane->end)
		return;
	lane->key = tape_lane_chunk(cursor, lane)->header.min_tsc;
	cursor->heap[cursor->nr_heap++] = lane;
}

static void rewind_lanes(struct tape_cursor *cursor)
{
	tape_lane_stop_ahead(cursor);
	cursor->nr_heap = 0;
	cursor->run = NULL;
	cursor->pending_bytes = 0;
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		rewind_lane(cursor, &cursor->lanes[i]);
	rewind_lane(cursor, &cursor->carried);
	tape_cursor_sort(cursor);
}

int tape_cursor_create(struct tape_cursor **out, struct tape_reader *reader, struct tape_error *error)
{
	struct tape_cursor *cursor = calloc(1, sizeof(*cursor));
	size_t nr_lanes = 0;

	for (size_t i = 0; i < reader->nr_traps; i++)
		nr_lanes += !i || reader->chunks[reader->traps[i]].header.vcpu !=
					  reader->chunks[reader->traps[i - 1]].header.vcpu;
	if (cursor) {
		cursor->reader = reader;
		cursor->max_loaded_bytes = MAX_LOADED_BYTES;
		cursor->until_tsc = UINT64_MAX;
		cursor->open = trap_view_fastest_open();
		cursor->lanes = calloc(nr_lanes + 1, sizeof(*cursor->lanes));
		cursor->heap = calloc(nr_lanes + 2, sizeof(struct tape_lane *));
	}
	if (!cursor || !cursor->lanes || !cursor->heap) {
		tape_cursor_destroy(cursor);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a cursor");
	}
	for (size_t i = 0; i < reader->nr_traps; i++) {
		uint16_t vcpu = reader->chunks[reader->traps[i]].header.vcpu;

		if (!cursor->nr_lanes || cursor->lanes[cursor->nr_lanes - 1].vcpu != vcpu)
			cursor->lanes[cursor->nr_lanes++] = (struct tape_lane){.vcpu = vcpu, .first = i, .now = i};
		cursor->lanes[cursor->nr_lanes - 1].end = i + 1;
	}
	rewind_lanes(cursor);
	*out = cursor;
	return 0;
}

void tape_cursor_destroy(struct tape_cursor *cursor)
{
	if (!cursor)
		return;
	tape_ahead_destroy(cursor->ahead);
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		free(cursor->lanes[i].raw.data);
	free(cursor->carried.raw.data);
	free(cursor->lanes);
	free(cursor->heap);
	free(cursor);
}

int tape_cursor_want_carried(struct tape_cursor *cursor, uint64_t *since_tsc, struct tape_error *error)
{
	struct tape_reader *reader = cursor->reader;
	struct tape_lane *lane = &cursor->carried;

	*since_tsc = 0;
	/* As long as nothing was overwritten, all that they say is in the records themselves. */
	if (cursor->wants_carried || !reader->info.nr_overwritten)
		return 0;
	/* The oldest slot's; where that is damaged, the next one's says most of it. */
	for (size_t i = 0; i < reader->nr_carried; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[reader->carried[i]];
		int result = tape_load(reader, chunk, &lane->raw);

		if (result == -EBADMSG)
			continue;
		if (result)
			return tape_fail(error, result, chunk->offset, "cannot read a TRAPS chunk: %s",
					 strerror(-result));
		*since_tsc = chunk->header.first_seq;
		lane->vcpu = TAPE_NO_VCPU;
		lane->first = lane->now = i;
		lane->end = i + 1;
		cursor->wants_carried = true;
		rewind_lanes(cursor);
		break;
	}
	return 0;
}

int tape_cursor_read_ahead(struct tape_cursor *cursor, unsigned nr_threads, struct tape_error *error)
{
	int result;

	tape_lane_stop_ahead(cursor);
	tape_ahead_destroy(cursor->ahead);
	cursor->ahead = NULL;
	if (!nr_threads)
		return 0;
	result = tape_ahead_create(&cursor->ahead, nr_threads);
	return result ? tape_fail(error, result, TAPE_NO_OFFSET, "cannot read ahead in %u threads: %s", nr_threads,
				  strerror(-result))
		      : 0;
}

bool tape_cursor_is_carried(const struct tape_cursor *cursor)
{
	return cursor->pending_bytes && cursor->nr_heap &&
	       (cursor->heap[0] == &cursor->carried || cursor->heap[0]->is_brief);
}

void tape_cursor_skip(struct tape_cursor *cursor, const struct tape_skipper *skipper)
{
	cursor->skipper = skipper ? *skipper : (struct tape_skipper){0};
}

void tape_cursor_limit(struct tape_cursor *cursor, uint64_t max_loaded_bytes)
{
	cursor->max_loaded_bytes = max_loaded_bytes;
}

void tape_cursor_until(struct tape_cursor *cursor, uint64_t tsc)
{
	cursor->until_tsc = tsc;
	cursor->run = NULL;
}

int tape_cursor_seek(struct tape_cursor *cursor, uint64_t tsc, struct tape_error *error)
{
	cursor->seek_tsc = tsc;
	rewind_lanes(cursor);
	return 0;
}

/* Makes the chunk of the top lane available and its key exact. 1: do it again, the top may be another. */
static int ready(struct tape_cursor *cursor, struct tape_lane *lane, struct tape_error *error)
{
	uint64_t tsc = 0;
	int result = tape_lane_load(cursor, lane);

	if (result == -EBADMSG) {
		/* Overwritten since it was chosen: the next slot's says the same, and more. */
		if (lane == &cursor->carried && lane->end < cursor->reader->nr_carried)
			lane->end++;
		next_chunk(cursor, lane);
		return 1;
	}
	if (result)
		return tape_fail(error, result, tape_lane_chunk(cursor, lane)->offset, "cannot read a TRAPS chunk: %s",
				 strerror(-result));
	if (!record_bytes(cursor, lane, &tsc)) {
		next_chunk(cursor, lane);
		return 1;
	}
	/* Only up to the first that is late enough: from there on the vCPU's own order counts. */
	while (lane->seeking && tsc < cursor->seek_tsc) {
		lane->at += record_bytes(cursor, lane, &tsc);
		if (!record_bytes(cursor, lane, &tsc)) {
			next_chunk(cursor, lane);
			return 1;
		}
	}
	lane->seeking = false;
	if (tsc == lane->key)
		return 0;
	lane->key = tsc;
	sift_down(cursor, 0);
	return 1;
}

/* NULL, or why this record is not one that its lane may have. */
static inline const char *judge(const struct tape_lane *lane, const struct trap_view *view)
{
	if (view->header.type == TRAP_PAD)
		return "it is filler";
	if (lane->vcpu == TAPE_NO_VCPU)
		return view->header.type == TRAP_IDENTITY ? NULL : "it says of no task what it is";
	return view->header.vcpu == lane->vcpu ? NULL : "it is of another vCPU";
}

/* Opens the record that the lane is at: 1, or, when it is left out, 0. */
static inline int open_record(struct tape_cursor *cursor, const struct tape_lane *lane, size_t size_bytes,
			      struct trap_view *out)
{
	const uint8_t *record = lane->raw.data + lane->at;
	const char *why = "it is filler";
	int result = 1;

	if (lane->is_sound)
		cursor->open(out, record);
	else
		result = trap_view_parse(out, record, size_bytes, &why);
	if (result > 0)
		why = judge(lane, out);
	if (result > 0 && !why)
		return 1;
	tape_reader_problem(cursor->reader, tape_lane_chunk(cursor, lane)->offset,
			    "TRAPS chunk: record at byte %zu left out: %s", lane->at, why);
	return 0;
}

/* The lane at the top gave a record: up to which TSC need its next ones not be compared with those of other lanes? */
static void begin_run(struct tape_cursor *cursor, struct tape_lane *lane)
{
	/* Records that are not sound, and carried ones, are judged one by one. */
	if (!lane->is_sound || lane->vcpu == TAPE_NO_VCPU)
		return;
	cursor->run = lane;
	cursor->run_until_tsc = cursor->until_tsc;
	for (size_t i = 1; i < cursor->nr_heap && i < 3; i++)
		if (cursor->heap[i]->key < cursor->run_until_tsc)
			cursor->run_until_tsc = cursor->heap[i]->key;
}

static void give_out(struct tape_cursor *cursor, const struct tape_lane *lane, size_t size_bytes)
{
	cursor->pending_bytes = size_bytes;
	if (lane->key > cursor->given_tsc)
		cursor->given_tsc = lane->key;
}

static __attribute__((noinline)) int next_of_all(struct tape_cursor *cursor, struct trap_view *out,
						 struct tape_error *error)
{
	tape_cursor_settle(cursor);
	while (cursor->nr_heap) {
		struct tape_lane *lane = cursor->heap[0];
		size_t size_bytes;

		if (!lane->loaded) {
			int result = ready(cursor, lane, error);

			if (result < 0)
				return result;
			if (result)
				continue;
		}
		if (lane->key > cursor->until_tsc)
			return 0;
		/* It was looked at when the lane came to it. */
		size_bytes = get_le32(lane->raw.data + lane->at + offsetof(struct trap_record, size_bytes));
		if (open_record(cursor, lane, size_bytes, out)) {
			give_out(cursor, lane, size_bytes);
			begin_run(cursor, lane);
			return 1;
		}
		step(cursor, lane, size_bytes);
	}
	return 0;
}

/* Most records are of a run: what else there may be is left to the function above. */
int tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error)
{
	struct tape_lane *lane = cursor->run;
	const uint8_t *record;
	uint64_t tsc;
	size_t at;

	if (!lane)
		return next_of_all(cursor, out, error);
	at = lane->at + cursor->pending_bytes;
	if (at == lane->end_bytes)
		return next_of_all(cursor, out, error);
	record = lane->raw.data + at;
	tsc = get_le64(record + offsetof(struct trap_record, tsc));
	if (tsc >= cursor->run_until_tsc || get_le16(record + offsetof(struct trap_record, vcpu)) != lane->vcpu)
		return next_of_all(cursor, out, error);
	lane->at = at;
	lane->key = tsc;
	give_out(cursor, lane, get_le32(record + offsetof(struct trap_record, size_bytes)));
	cursor->open(out, record);
	return 1;
}
