/* SPDX-License-Identifier: MIT */
/*
 * tape_cursor.c - all records in order of time: a heap of lanes, one a vCPU,
 * each with one decompressed chunk. A lane that was not reached yet, or was
 * evicted because there are very many, has none. What a ring tape says of its
 * tasks at its oldest slot is one more lane.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_ahead.h"
#include "tape_read.h"

#define MAX_LOADED_BYTES (256ull << 20)
#define MAX_KEPT_LANES   64u   /* whose memory is kept from chunk to chunk */
#define MAX_AHEAD_LANES  1024u /* all are looked at for each chunk that is asked for: with more, nothing is */

struct lane {
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
	struct lane *lanes;
	size_t nr_lanes;
	struct lane **heap;
	size_t nr_heap;
	uint64_t loaded_bytes, max_loaded_bytes;
	uint64_t seek_tsc;
	size_t pending_bytes; /* of the record that was given out last, at the top of the heap */
	struct lane carried;  /* in the heap, not among the lanes */
	bool wants_carried;
	struct tape_skipper skipper;
	uint64_t until_tsc;
	uint64_t given_tsc; /* of the latest record that was given out */
	bool forgets;       /* chunks that it has passed */
	uint64_t nr_late;
};

/* ---- heap ------------------------------------------------------------ */

/* Carried records come before all others of their time. */
static inline bool before(const struct lane *a, const struct lane *b)
{
	return a->key != b->key ? a->key < b->key : (uint16_t)(a->vcpu + 1) < (uint16_t)(b->vcpu + 1);
}

static void sift_down(struct tape_cursor *cursor, size_t i)
{
	struct lane *lane = cursor->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= cursor->nr_heap)
			break;
		if (child + 1 < cursor->nr_heap && before(cursor->heap[child + 1], cursor->heap[child]))
			child++;
		if (!before(cursor->heap[child], lane))
			break;
		cursor->heap[i] = cursor->heap[child];
		i = child;
	}
	cursor->heap[i] = lane;
}

/* Is the top where it belongs? */
static inline bool is_first(const struct tape_cursor *cursor)
{
	return (cursor->nr_heap < 2 || !before(cursor->heap[1], cursor->heap[0])) &&
	       (cursor->nr_heap < 3 || !before(cursor->heap[2], cursor->heap[0]));
}

static void remove_top(struct tape_cursor *cursor)
{
	cursor->heap[0] = cursor->heap[--cursor->nr_heap];
	if (cursor->nr_heap)
		sift_down(cursor, 0);
}

/* ---- lanes ----------------------------------------------------------- */

static struct tape_stored_chunk *lane_chunk(const struct tape_cursor *cursor, const struct lane *lane)
{
	const size_t *list = lane == &cursor->carried ? cursor->reader->carried : cursor->reader->traps;

	return &cursor->reader->chunks[list[lane->now]];
}

static void unload(struct tape_cursor *cursor, struct lane *lane)
{
	if (lane->loaded) {
		cursor->loaded_bytes -= lane->end_bytes;
		lane_chunk(cursor, lane)->held = false;
	}
	lane->loaded = false;
}

static void give_back(struct lane *lane)
{
	free(lane->raw.data);
	lane->raw = (struct tape_scratch){0};
}

/* The lane that is needed last gives its memory back. False: there is none. */
static bool evict_one(struct tape_cursor *cursor, const struct lane *keep)
{
	struct lane *last = NULL;

	for (size_t i = 0; i < cursor->nr_lanes; i++) {
		struct lane *lane = &cursor->lanes[i];

		if (lane != keep && lane->loaded && (!last || before(last, lane)))
			last = lane;
	}
	if (!last)
		return false;
	unload(cursor, last);
	give_back(last);
	return true;
}

/* For so many bytes of this lane. */
static void make_room(struct tape_cursor *cursor, const struct lane *lane, size_t size_bytes)
{
	while (cursor->loaded_bytes + size_bytes > cursor->max_loaded_bytes && evict_one(cursor, lane))
		;
}

/* The first chunk of the lane that was neither loaded nor asked for. */
static size_t next_to_ask(const struct lane *lane)
{
	size_t next = lane->now + lane->loaded;

	return lane->asked > next ? lane->asked : next;
}

static bool may_skip(const struct tape_cursor *cursor, const struct tape_stored_chunk *chunk)
{
	const struct tape_skipper *skipper = &cursor->skipper;

	return skipper->may && skipper->may(skipper->ctx, (size_t)(chunk - cursor->reader->chunks));
}

/* Asks for what will be needed next, as far as one can know: chunks are needed by their least TSC. */
static void ask_ahead(struct tape_cursor *cursor)
{
	const struct tape_reader *reader = cursor->reader;

	while (tape_ahead_has_room(cursor->ahead)) {
		const struct tape_stored_chunk *first = NULL;
		struct lane *of = NULL;
		struct tape_origin from;

		for (size_t i = 0; i < cursor->nr_lanes; i++) {
			struct lane *lane = &cursor->lanes[i];
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
		const struct lane *lane = &cursor->lanes[i];

		if (place >= lane->first && place < lane->end)
			return place < lane->now + lane->loaded;
	}
	return true;
}

static bool reads_ahead(const struct tape_cursor *cursor)
{
	return cursor->ahead && cursor->nr_lanes <= MAX_AHEAD_LANES;
}

static int load_ahead(struct tape_cursor *cursor, struct lane *lane, struct tape_stored_chunk *chunk)
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

/* Nothing is asked for any more: lanes or chunks are about to change. */
static void stop_ahead(struct tape_cursor *cursor)
{
	if (cursor->ahead)
		tape_ahead_drop(cursor->ahead, NULL, NULL);
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		cursor->lanes[i].asked = 0;
}

/* Asks whether the chunk that comes is wanted. 1: it is not, and its rows are there. */
static int load_brief(struct tape_cursor *cursor, struct lane *lane)
{
	const struct tape_skipper *skipper = &cursor->skipper;
	struct tape_stored_chunk *chunk = lane_chunk(cursor, lane);
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

static int load(struct tape_cursor *cursor, struct lane *lane)
{
	struct tape_stored_chunk *chunk = lane_chunk(cursor, lane);
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

/* Moves the top lane to its next chunk, or out of the heap. */
static void next_chunk(struct tape_cursor *cursor, struct lane *lane)
{
	unload(cursor, lane);
	if (cursor->forgets && !lane_chunk(cursor, lane)->gone) {
		lane_chunk(cursor, lane)->gone = true;
		cursor->reader->nr_gone++;
	}
	lane->at = 0;
	lane->is_brief = false;
	if (++lane->now == lane->end) {
		give_back(lane);
		remove_top(cursor);
		return;
	}
	/* With many lanes, what is not loaded would add up beyond the limit. */
	if (cursor->nr_lanes > MAX_KEPT_LANES)
		give_back(lane);
	lane->key = lane_chunk(cursor, lane)->header.min_tsc;
	sift_down(cursor, 0);
}

static size_t no_record(struct tape_cursor *cursor, const struct lane *lane)
{
	tape_reader_problem(cursor->reader, lane_chunk(cursor, lane)->offset,
			    "TRAPS chunk: no record at byte %zu of its contents; left out the rest", lane->at);
	return 0;
}

/*
 * Size of the record at lane->at, 0 at the end of the chunk or where no record
 * can be: then the rest of the chunk is given up.
 */
static inline size_t record_bytes(struct tape_cursor *cursor, const struct lane *lane, uint64_t *tsc)
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
static inline void step(struct tape_cursor *cursor, struct lane *lane, size_t size_bytes)
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

/* ---- the cursor ------------------------------------------------------ */

static void rewind_lane(struct tape_cursor *cursor, struct lane *lane)
{
	if (lane->now < lane->end)
		unload(cursor, lane);
	lane->at = 0;
	lane->is_brief = false;
	lane->seeking = true;
	for (lane->now = lane->first; lane->now < lane->end; lane->now++)
		if (lane_chunk(cursor, lane)->header.max_tsc >= cursor->seek_tsc)
			break;
	if (lane->now == lane->end)
		return;
	lane->key = lane_chunk(cursor, lane)->header.min_tsc;
	cursor->heap[cursor->nr_heap++] = lane;
}

static void rewind_lanes(struct tape_cursor *cursor)
{
	stop_ahead(cursor);
	cursor->nr_heap = 0;
	cursor->pending_bytes = 0;
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		rewind_lane(cursor, &cursor->lanes[i]);
	rewind_lane(cursor, &cursor->carried);
	for (size_t i = cursor->nr_heap; i-- > 0;)
		sift_down(cursor, i);
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
		cursor->lanes = calloc(nr_lanes + 1, sizeof(*cursor->lanes));
		cursor->heap = calloc(nr_lanes + 2, sizeof(struct lane *));
	}
	if (!cursor || !cursor->lanes || !cursor->heap) {
		tape_cursor_destroy(cursor);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a cursor");
	}
	for (size_t i = 0; i < reader->nr_traps; i++) {
		uint16_t vcpu = reader->chunks[reader->traps[i]].header.vcpu;

		if (!cursor->nr_lanes || cursor->lanes[cursor->nr_lanes - 1].vcpu != vcpu)
			cursor->lanes[cursor->nr_lanes++] = (struct lane){.vcpu = vcpu, .first = i, .now = i};
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
	struct lane *lane = &cursor->carried;

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

	stop_ahead(cursor);
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
}

int tape_cursor_seek(struct tape_cursor *cursor, uint64_t tsc, struct tape_error *error)
{
	cursor->seek_tsc = tsc;
	rewind_lanes(cursor);
	return 0;
}

/* Makes the chunk of the top lane available and its key exact. 1: do it again, the top may be another. */
static int ready(struct tape_cursor *cursor, struct lane *lane, struct tape_error *error)
{
	uint64_t tsc = 0;
	int result = load(cursor, lane);

	if (result == -EBADMSG) {
		/* Overwritten since it was chosen: the next slot's says the same, and more. */
		if (lane == &cursor->carried && lane->end < cursor->reader->nr_carried)
			lane->end++;
		next_chunk(cursor, lane);
		return 1;
	}
	if (result)
		return tape_fail(error, result, lane_chunk(cursor, lane)->offset, "cannot read a TRAPS chunk: %s",
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
static inline const char *judge(const struct lane *lane, const struct trap_view *view)
{
	if (view->header.type == TRAP_PAD)
		return "it is filler";
	if (lane->vcpu == TAPE_NO_VCPU)
		return view->header.type == TRAP_IDENTITY ? NULL : "it says of no task what it is";
	return view->header.vcpu == lane->vcpu ? NULL : "it is of another vCPU";
}

/* Opens the record that the lane is at: 1, or, when it is left out, 0. */
static inline int open_record(struct tape_cursor *cursor, const struct lane *lane, size_t size_bytes,
			      struct trap_view *out)
{
	const uint8_t *record = lane->raw.data + lane->at;
	const char *why = "it is filler";
	int result = 1;

	if (lane->is_sound)
		trap_view_open(out, record);
	else
		result = trap_view_parse(out, record, size_bytes, &why);
	if (result > 0)
		why = judge(lane, out);
	if (result > 0 && !why)
		return 1;
	tape_reader_problem(cursor->reader, lane_chunk(cursor, lane)->offset,
			    "TRAPS chunk: record at byte %zu left out: %s", lane->at, why);
	return 0;
}

int tape_cursor_next(struct tape_cursor *cursor, struct trap_view *out, struct tape_error *error)
{
	if (cursor->pending_bytes && cursor->nr_heap)
		step(cursor, cursor->heap[0], cursor->pending_bytes);
	cursor->pending_bytes = 0;
	while (cursor->nr_heap) {
		struct lane *lane = cursor->heap[0];
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
			cursor->pending_bytes = size_bytes;
			if (lane->key > cursor->given_tsc)
				cursor->given_tsc = lane->key;
			return 1;
		}
		step(cursor, lane, size_bytes);
	}
	return 0;
}

/* ---- on a tape that grows -------------------------------------------- */

static void rest_lane(struct tape_cursor *cursor, struct lane *lane)
{
	const struct tape_stored_chunk *chunk;
	size_t now = lane->now;

	lane->passed = now >= lane->end;
	/* One without chunks stays as it was. */
	if (lane->first == lane->end)
		return;
	lane->now -= lane->passed;
	chunk = lane_chunk(cursor, lane);
	lane->now = now;
	lane->rest_slot = cursor->reader->slots[chunk->slot].seq;
	lane->rest_number = chunk->header.number;
}

void tape_cursor_rest(struct tape_cursor *cursor)
{
	if (cursor->pending_bytes && cursor->nr_heap)
		step(cursor, cursor->heap[0], cursor->pending_bytes);
	cursor->pending_bytes = 0;
	stop_ahead(cursor);
	for (size_t i = 0; i < cursor->nr_lanes; i++)
		rest_lane(cursor, &cursor->lanes[i]);
	rest_lane(cursor, &cursor->carried);
}

/* Is it the chunk that the lane was in? A hostile tape may have two of that number; the one that is loaded is held. */
static bool was_in(const struct tape_cursor *cursor, const struct lane *lane, const struct tape_stored_chunk *chunk)
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
	struct lane *lane = &cursor->carried;
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
		lane->key = lane_chunk(cursor, lane)->header.min_tsc;
		cursor->heap[cursor->nr_heap++] = lane;
		return;
	}
}

/* The first chunk that is behind what was passed, or the one that it was in. */
static void find_place(struct tape_cursor *cursor, struct lane *lane)
{
	const struct tape_reader *reader = cursor->reader;
	bool same = false;

	for (lane->now = lane->first; lane->now < lane->end; lane->now++) {
		const struct tape_stored_chunk *chunk = lane_chunk(cursor, lane);
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
	if (lane_chunk(cursor, lane)->header.min_tsc < cursor->given_tsc && (lane->passed || lane->is_new))
		cursor->nr_late++;
	lane->loaded = lane->is_brief = false;
	lane->at = 0;
	lane->key = lane_chunk(cursor, lane)->header.min_tsc;
}

/* Lanes of all vCPUs that there are now, in order; those that were there keep what they have. */
static int relist_lanes(struct tape_cursor *cursor)
{
	const struct tape_reader *reader = cursor->reader;
	size_t room = cursor->nr_lanes + 1, nr = 0, old = 0, i = 0;
	struct lane *lanes, **heap;

	for (size_t j = 1; j < reader->nr_traps; j++)
		room += reader->chunks[reader->traps[j]].header.vcpu !=
			reader->chunks[reader->traps[j - 1]].header.vcpu;
	lanes = calloc(room, sizeof(*lanes));
	heap = reallocarray(cursor->heap, room + 1, sizeof(struct lane *));
	if (heap)
		cursor->heap = heap;
	if (!lanes || !heap) {
		free(lanes);
		return -ENOMEM;
	}
	while (old < cursor->nr_lanes || i < reader->nr_traps) {
		uint32_t vcpu = i < reader->nr_traps ? reader->chunks[reader->traps[i]].header.vcpu : UINT32_MAX;
		struct lane *lane = &lanes[nr++];

		if (old < cursor->nr_lanes && cursor->lanes[old].vcpu <= vcpu)
			*lane = cursor->lanes[old++];
		else
			*lane = (struct lane){.vcpu = (uint16_t)vcpu, .seeking = true, .is_new = true};
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
		struct lane *lane = &cursor->lanes[i];

		find_place(cursor, lane);
		lane->is_new = false;
		if (lane->now < lane->end)
			cursor->heap[cursor->nr_heap++] = lane;
	}
	find_carried(cursor);
	for (size_t i = cursor->nr_heap; i-- > 0;)
		sift_down(cursor, i);
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
