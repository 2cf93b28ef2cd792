/* SPDX-License-Identifier: MIT */
/*
 * tape_lane.c - loads the chunk that a lane is at, itself or by the threads
 * that read ahead, within the memory that the cursor may take.
 */
#include <errno.h>

#include "tape_lane.h"

#define MAX_AHEAD_LANES 1024u /* all are looked at for each chunk that is asked for: with more, nothing is */

void tape_lane_unload(struct tape_cursor *cursor, struct tape_lane *lane)
{
	if (lane->loaded) {
		cursor->loaded_bytes -= lane->end_bytes;
		tape_lane_chunk(cursor, lane)->held = false;
	}
	lane->loaded = false;
}

void tape_lane_give_back(struct tape_lane *lane)
{
	free(lane->raw.data);
	lane->raw = (struct tape_scratch){0};
}

/* The lane that is needed last gives its memory back. False: there is none. */
static bool evict_one(struct tape_cursor *cursor, const struct tape_lane *keep)
{
	struct tape_lane *last = NULL;

	for (size_t i = 0; i < cursor->nr_lanes; i++) {
		struct tape_lane *lane = &cursor->lanes[i];

		if (lane != keep && lane->loaded && (!last || tape_lane_before(last, lane)))
			last = lane;
	}
	if (!last)
		return false;
	tape_lane_unload(cursor, last);
	tape_lane_give_back(last);
	return true;
}

/* For so many bytes of this lane. */
static void make_room(struct tape_cursor *cursor, const struct tape_lane *lane, size_t size_bytes)
{
	while (cursor->loaded_bytes + size_bytes > cursor->max_loaded_bytes && evict_one(cursor, lane))
		;
}

/* The first chunk of the lane that was neither loaded nor asked for. */
static size_t next_to_ask(const struct tape_lane *lane)
{
	size_t next = lane->now + lane->loaded;

	return lane->asked > next ? lane->asked : next;
}

static bool may_skip(const struct tape_cursor *cursor, const struct tape_stored_chunk *chunk)
{
	const struct tape_skipper *skipper = &cursor->skipper;

	/* Of a bad one the record behind it tells, and what is lost with it. */
	return !chunk->bad && skipper->may && skipper->may(skipper->ctx, (size_t)(chunk - cursor->reader->chunks));
}

/* Asks for what will be needed next, as far as one can know: chunks are needed by their least TSC. */
static void ask_ahead(struct tape_cursor *cursor)
{
	const struct tape_reader *reader = cursor->reader;

	while (tape_ahead_has_room(cursor->ahead)) {
		const struct tape_stored_chunk *first = NULL;
		struct tape_lane *of = NULL;
		struct tape_origin from;

		for (size_t i = 0; i < cursor->nr_lanes; i++) {
			struct tape_lane *lane = &cursor->lanes[i];
			const struct tape_stored_chunk *chunk;

			if (next_to_ask(lane) >= lane->end)
				continue;
			chunk = &reader->chunks[reader->traps[next_to_ask(lane)]];
			if (first && chunk->header.min_tsc >= first->header.min_tsc)
				continue;
			first = chunk;
			of = lane;
		}
		if (!first || first->header.min_tsc > cursor->until_tsc)
			return;
		of->asked = next_to_ask(of);
		from = tape_chunk_origin(reader, first);
		if (!first->bad && !may_skip(cursor, first))
			tape_ahead_ask(cursor->ahead, of->asked, first, &from);
		of->asked++;
	}
}

/* Has its lane gone past this chunk, or has it what is in it? */
static bool is_passed(const void *ctx, size_t place)
{
	const struct tape_cursor *cursor = ctx;

	for (size_t i = 0; i < cursor->nr_lanes; i++) {
		const struct tape_lane *lane = &cursor->lanes[i];

		if (place >= lane->first && place < lane->end)
			return place < lane->now + lane->loaded;
	}
	return true;
}

static bool reads_ahead(const struct tape_cursor *cursor)
{
	return cursor->ahead && cursor->nr_lanes <= MAX_AHEAD_LANES;
}

static int load_ahead(struct tape_cursor *cursor, struct tape_lane *lane, struct tape_stored_chunk *chunk)
{
	struct tape_ahead_loaded loaded;

	/* A chunk that was left out without being loaded would keep its place for ever. */
	if (!tape_ahead_has_room(cursor->ahead))
		tape_ahead_drop(cursor->ahead, is_passed, cursor);
	ask_ahead(cursor);
	if (!tape_ahead_take(cursor->ahead, lane->now, &cursor->reader->loader, &lane->raw, &loaded)) {
		int result = tape_load(cursor->reader, chunk, &lane->raw);

		lane->is_sound = cursor->reader->loader.is_sound;
		return result;
	}
	if (loaded.result)
		return tape_load_failed(cursor->reader, chunk, loaded.result, loaded.why);
	chunk->header = loaded.header;
	chunk->from_index = false;
	lane->is_sound = loaded.is_sound;
	return 0;
}

void tape_lane_stop_ahead(struct tape_cursor *cursor)
{
	if (cursor->ahead)
		tape_ahead_drop(cursor->ahead, NULL, NULL);
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		cursor->lanes[i].asked = 0;
}

/* Asks whether the chunk that comes is wanted. 1: it is not, and its rows are there. */
static int load_brief(struct tape_cursor *cursor, struct tape_lane *lane)
{
	const struct tape_skipper *skipper = &cursor->skipper;
	struct tape_stored_chunk *chunk = tape_lane_chunk(cursor, lane);
	struct tape_chunk_brief brief;
	int result;

	/* What was skipped once stays so: its rows were given out, as far as the lane has come. */
	if (lane == &cursor->carried || (!lane->is_brief && (lane->at || !may_skip(cursor, chunk))))
		return 0;
	result = tape_reader_brief(cursor->reader, (size_t)(chunk - cursor->reader->chunks), &brief);
	if (result || (!lane->is_brief && !(brief.known && skipper->skip(skipper->ctx, &brief))))
		return result;
	/* The index can't be had any more, or is another one: of a tape that is being written, or is hostile. */
	if (lane->is_brief && (!brief.known || lane->at > brief.rows_bytes))
		return -EBADMSG;
	make_room(cursor, lane, brief.rows_bytes);
	if (tape_scratch_reserve(&lane->raw, brief.rows_bytes + 1))
		return -ENOMEM;
	if (brief.rows_bytes)
		memcpy(lane->raw.data, brief.rows, brief.rows_bytes);
	lane->end_bytes = brief.rows_bytes;
	lane->is_brief = lane->loaded = chunk->held = true;
	lane->is_sound = false;
	cursor->loaded_bytes += lane->end_bytes;
	return 1;
}

int tape_lane_load(struct tape_cursor *cursor, struct tape_lane *lane)
{
	struct tape_stored_chunk *chunk = tape_lane_chunk(cursor, lane);
	int result = load_brief(cursor, lane);

	if (result)
		return result < 0 ? result : 0;
	make_room(cursor, lane, chunk->header.raw_bytes);
	if (reads_ahead(cursor) && lane != &cursor->carried && !chunk->bad) {
		result = load_ahead(cursor, lane, chunk);
	} else {
		result = tape_load(cursor->reader, chunk, &lane->raw);
		lane->is_sound = cursor->reader->loader.is_sound;
	}
	if (result)
		return result;
	lane->loaded = chunk->held = true;
	lane->end_bytes = chunk->header.raw_bytes;
	cursor->loaded_bytes += lane->end_bytes;
	if (reads_ahead(cursor))
		ask_ahead(cursor);
	return 0;
}
