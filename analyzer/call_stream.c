/* SPDX-License-Identifier: MIT */
#include "call_stream.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "call_batch.h"
#include "skip_plan.h"
#include "tracker.h"
#include "u64_map.h"

/* Exits that the second reader keeps for the first; when it has more, their calls are shown as not ended. */
#define AHEAD_BYTES (256u << 20)
/* Read, or passed over, for one call that has yet to come or to end, while those before it are not handed over. */
#define PATIENCE_RECORDS 2048u

struct raw_record {
	uint8_t *bytes;
	size_t size_bytes;
};

/* How a call ends that the first reader has yet to see end. */
struct resolution {
	enum call_state state;
	bool uncertain;
	struct raw_record exit;
	struct call_fds fds; /* the result only */
};

/* The second reader: the same tape from the same place, further on. */
struct ahead {
	struct tracker *tracker;
	bool at_end;
	uint64_t next_number;
	uint64_t bytes;          /* of all records so far */
	struct u64_map begun;    /* open call: bytes when it began */
	struct u64_map resolved; /* call: struct resolution * */
	size_t kept_bytes;
};

struct call_stream {
	struct session *session;
	struct call_stream_options options;
	struct skip_plan *skip; /* NULL: nothing is left out */
	struct tracker *tracker;
	struct stored_call
		*window; /* ring of at least options.window_calls; what is not within head and tail is void */
	struct call_fds *window_fds; /* one each, if they are wanted */
	uint64_t window_mask;
	uint64_t head, tail; /* numbers of calls: oldest that waits, next to come */
	struct record_store records;
	bool at_end, closed; /* closed: what enters now is later than asked for */
	bool gap_seen;
	struct call_batch shown; /* what the last item points into */
	uint64_t nr_batches;
	struct ahead ahead;
	struct vmtape_error *failed;
	struct vmtape_error *pending; /* for the next one who asks */
	atomic_bool stopped;
};

static bool is_stopped(struct call_stream *s)
{
	return atomic_load_explicit(&s->stopped, memory_order_relaxed);
}

static bool copy_record(struct raw_record *out, const struct trap_view *view)
{
	out->size_bytes = view->header.size_bytes;
	out->bytes = malloc(out->size_bytes);
	if (!out->bytes)
		return false;
	memcpy(out->bytes, view->raw, out->size_bytes);
	return true;
}

static struct stored_call *at(struct call_stream *s, uint64_t number)
{
	return &s->window[number & s->window_mask];
}

static struct call_fds *fds_at(struct call_stream *s, uint64_t number)
{
	return s->window_fds ? &s->window_fds[number & s->window_mask] : NULL;
}

static void keep(struct call_stream *s, struct stored_record *out, const struct trap_view *view)
{
	record_store_add(&s->records, view->raw, view->header.size_bytes, out);
	if (!out->block)
		s->failed = &vmtape_error_no_memory;
}

static void drop_resolution(struct resolution *resolution)
{
	if (!resolution)
		return;
	free(resolution->exit.bytes);
	call_fds_release(&resolution->fds);
	free(resolution);
}

/* ---- second reader --------------------------------------------------- */

static void ahead_begin(void *ctx, uint64_t number, const struct trap_view *enter, const struct call_thread *thread)
{
	struct call_stream *s = ctx;

	s->ahead.next_number = number + 1;
	if (!u64_map_set(&s->ahead.begun, number, s->ahead.bytes))
		s->failed = &vmtape_error_no_memory;
	s->ahead.bytes += enter->header.size_bytes;
}

/* Only what can outlast the window is kept: the first reader sees the others end by itself. */
static void ahead_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct call_stream *s = ctx;
	struct ahead *a = &s->ahead;
	struct resolution *resolution;
	uint64_t began = 0;

	if (end->exit)
		a->bytes += end->exit->header.size_bytes;
	u64_map_get(&a->begun, number, &began);
	u64_map_remove(&a->begun, number);
	if (number < s->head ||
	    (a->next_number - number + 1 < s->options.window_calls && a->bytes - began < s->options.window_bytes))
		return;
	resolution = calloc(1, sizeof(*resolution));
	if (!resolution)
		goto fail;
	resolution->state = end->state;
	resolution->uncertain = end->uncertain;
	if (end->exit && tracker_fds(a->tracker))
		call_fds_take_result(&resolution->fds, tracker_fds(a->tracker));
	if (end->exit && a->kept_bytes + end->exit->header.size_bytes > AHEAD_BYTES) {
		resolution->state = CALL_OPEN;
		resolution->uncertain = true;
	} else if (end->exit) {
		if (!copy_record(&resolution->exit, end->exit))
			goto fail;
		a->kept_bytes += resolution->exit.size_bytes;
	}
	if (u64_map_set(&a->resolved, number, (uintptr_t)resolution))
		return;
fail:
	drop_resolution(resolution);
	s->failed = &vmtape_error_no_memory;
}

static void ahead_exit_only(void *ctx, uint64_t number, const struct trap_view *exit, const struct call_thread *thread)
{
	struct call_stream *s = ctx;

	s->ahead.next_number = number + 1;
	s->ahead.bytes += exit->header.size_bytes;
}

static void ahead_gap(void *ctx, uint64_t number, const struct trap_view *view)
{
	struct call_stream *s = ctx;

	s->ahead.next_number = number + 1;
	s->ahead.bytes += view->header.size_bytes;
}

static struct resolution *take_resolution(struct ahead *a, uint64_t number)
{
	uint64_t at;

	if (!u64_map_get(&a->resolved, number, &at))
		return NULL;
	u64_map_remove(&a->resolved, number);
	a->kept_bytes -= ((struct resolution *)(uintptr_t)at)->exit.size_bytes;
	return (struct resolution *)(uintptr_t)at;
}

/* How the oldest call ends, which blocks the window. */
static struct vmtape_error *resolve_head(struct call_stream *s)
{
	struct stored_call *call = at(s, s->head);
	struct tracker_sink sink = {NULL, ahead_begin, ahead_end, ahead_exit_only, ahead_gap, s};
	struct resolution *resolution;
	struct vmtape_error *error;
	bool more;

	if (!s->ahead.tracker) {
		error = tracker_create(&s->ahead.tracker, s->session, &sink, s->options.from_tsc);
		if (!error && s->options.fds)
			error = tracker_want_fds(s->ahead.tracker);
		if (!error && s->skip)
			tracker_skip(s->ahead.tracker, s->skip);
		if (error)
			return error;
	}
	while (!(resolution = take_resolution(&s->ahead, s->head))) {
		if (s->ahead.at_end || is_stopped(s))
			break;
		error = tracker_step(s->ahead.tracker, &more);
		if (error || s->failed)
			return error ? error : s->failed;
		s->ahead.at_end = !more;
	}
	call->done = true;
	call->state = CALL_OPEN;
	if (!resolution)
		return NULL;
	call->state = resolution->state;
	call->uncertain = resolution->uncertain;
	if (resolution->exit.bytes) {
		/* It is no part of what the second reader counts from the next oldest call on. */
		record_store_add_alone(&s->records, resolution->exit.bytes, (uint32_t)resolution->exit.size_bytes,
				       &call->exit);
		if (!call->exit.block)
			s->failed = &vmtape_error_no_memory;
	}
	if (s->window_fds)
		call_fds_take_result(fds_at(s, s->head), &resolution->fds);
	drop_resolution(resolution);
	return s->failed;
}

/* ---- first reader ---------------------------------------------------- */

/* NULL: it is not wanted. */
static struct stored_call *new_call(struct call_stream *s, uint64_t number, const struct trap_view *view,
				    enum stored_kind kind)
{
	struct stored_call *call = at(s, number);
	struct call_fds *fds = fds_at(s, number);

	s->tail = number + 1;
	call->enter = call->exit = (struct stored_record){0};
	call->kind = STORED_NOTHING;
	call->done = true;
	call->uncertain = false;
	if (fds)
		*fds = (struct call_fds){0};
	if (view->header.tsc < s->options.from_tsc || kind == STORED_NOTHING)
		return NULL;
	call->kind = (uint8_t)kind;
	return call;
}

/* Nothing enters the window any more; what waits in it may still end. */
static bool is_late(struct call_stream *s, const struct trap_view *view)
{
	s->closed |= view->header.tsc >= s->options.to_tsc;
	return s->closed;
}

/* What can't match need not wait here, and could wait for an end that is passed over. */
static bool is_wanted(const struct call_stream *s, const struct trap_view *view, enum trap_reg reg)
{
	uint32_t nr = trap_syscall_nr(view->header.abi, view->regs[reg]);

	return !s->skip ||
	       skip_plan_wants(s->skip, view->header.tsc, view->header.abi, trap_view_has(view, reg) ? &nr : NULL);
}

static void on_begin(void *ctx, uint64_t number, const struct trap_view *enter, const struct call_thread *thread)
{
	struct call_stream *s = ctx;
	struct stored_call *call;

	if (is_late(s, enter))
		return;
	call = new_call(s, number, enter, is_wanted(s, enter, TRAP_REG_RAX) ? STORED_CALL : STORED_NOTHING);
	if (!call)
		return;
	call->done = false;
	call->thread = *thread;
	if (s->window_fds) {
		*fds_at(s, number) = *tracker_fds(s->tracker);
		call_fds_hold(fds_at(s, number));
	}
	keep(s, &call->enter, enter);
}

static void on_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct call_stream *s = ctx;
	struct stored_call *call;

	if (s->ahead.tracker)
		drop_resolution(take_resolution(&s->ahead, number));
	if (number < s->head || number >= s->tail)
		return;
	call = at(s, number);
	if (call->kind != STORED_CALL || call->done)
		return;
	call->done = true;
	call->state = (uint8_t)end->state;
	call->uncertain = end->uncertain;
	if (!end->exit)
		return;
	if (s->window_fds)
		call_fds_take_result(fds_at(s, number), tracker_fds(s->tracker));
	keep(s, &call->exit, end->exit);
}

static void on_exit_only(void *ctx, uint64_t number, const struct trap_view *exit, const struct call_thread *thread)
{
	struct call_stream *s = ctx;
	struct stored_call *call;
	bool is_shown;

	if (is_late(s, exit))
		return;
	/* A tape entered in its middle has most such entries before the time asked for, not lost. */
	is_shown = is_wanted(s, exit, TRAP_REG_NR) &&
		   !(tracker_has_passed(s->tracker) && trap_view_has(exit, TRAP_REG_NR)) &&
		   !(tracker_has_skipped(s->tracker) && !s->gap_seen && trap_view_has(exit, TRAP_REG_NR) &&
		     !s->options.spanning);
	call = new_call(s, number, exit, is_shown ? STORED_CALL : STORED_NOTHING);
	if (!call)
		return;
	call->state = CALL_EXIT_ONLY;
	call->thread = *thread;
	keep(s, &call->exit, exit);
}

static void on_gap(void *ctx, uint64_t number, const struct trap_view *view)
{
	struct call_stream *s = ctx;
	struct stored_call *call;

	s->gap_seen = true;
	if (is_late(s, view))
		return;
	call = new_call(s, number, view, STORED_GAP);
	if (call)
		keep(s, &call->enter, view);
}

/* Descriptors are changed by nearly every part of a tape. */
static struct vmtape_error *make_skip_plan(struct call_stream *s)
{
	const struct call_stream_options *o = &s->options;
	const struct skip_question question = {o->filter, o->from_tsc, o->to_tsc, false};

	if (o->fds || o->read_all || o->spanning || (!o->filter && !o->from_tsc && o->to_tsc == UINT64_MAX))
		return NULL;
	return skip_plan_create(&s->skip, s->session, &question);
}

struct vmtape_error *call_stream_create(struct call_stream **out, struct session *session,
					const struct call_stream_options *options)
{
	struct call_stream *s = calloc(1, sizeof(*s));
	struct tracker_sink sink = {NULL, on_begin, on_end, on_exit_only, on_gap, s};
	struct vmtape_error *error;

	if (!s)
		return &vmtape_error_no_memory;
	s->session = session;
	s->options = *options;
	if (!s->options.window_calls)
		s->options.window_calls = CALL_WINDOW_CALLS;
	if (!s->options.window_bytes)
		s->options.window_bytes = CALL_WINDOW_BYTES;
	while (s->window_mask + 1 < s->options.window_calls)
		s->window_mask = s->window_mask * 2 + 1;
	s->window = calloc(s->window_mask + 1, sizeof(*s->window));
	if (options->fds)
		s->window_fds = calloc(s->window_mask + 1, sizeof(*s->window_fds));
	error = s->window && (s->window_fds || !options->fds) ? make_skip_plan(s) : &vmtape_error_no_memory;
	if (!error)
		error = tracker_create(&s->tracker, session, &sink, options->from_tsc);
	if (!error && options->fds)
		error = tracker_want_fds(s->tracker);
	if (!error && s->skip)
		tracker_skip(s->tracker, s->skip);
	if (error) {
		call_stream_destroy(s);
		return error;
	}
	if (options->read_ahead)
		tracker_read_ahead(s->tracker, options->read_ahead);
	*out = s;
	return NULL;
}

void call_stream_destroy(struct call_stream *s)
{
	if (!s)
		return;
	call_stream_give_back(s, &s->shown);
	call_batch_deinit(&s->shown);
	tracker_destroy(s->tracker);
	tracker_destroy(s->ahead.tracker);
	skip_plan_destroy(s->skip);
	for (; s->window && s->head < s->tail; s->head++) {
		record_store_drop(&s->records, &at(s, s->head)->enter);
		record_store_drop(&s->records, &at(s, s->head)->exit);
		if (s->window_fds)
			call_fds_release(fds_at(s, s->head));
	}
	record_store_deinit(&s->records);
	for (size_t i = 0; i < s->ahead.resolved.room; i++) {
		struct resolution *resolution = (struct resolution *)(uintptr_t)s->ahead.resolved.slots[i].value;

		if (!s->ahead.resolved.slots[i].used)
			continue;
		drop_resolution(resolution);
	}
	u64_map_deinit(&s->ahead.resolved);
	u64_map_deinit(&s->ahead.begun);
	vmtape_error_destroy(s->pending);
	free(s->window);
	free(s->window_fds);
	free(s);
}

/*
 * One record makes at most two numbers (a call that it begins, and a gap never with it); keep room for them. Kept bytes
 * count whole blocks, the first of which may have been begun before the oldest call was: what the second reader counts
 * from there on is never less.
 */
static bool is_full(const struct call_stream *s)
{
	return s->tail - s->head + 2 > s->options.window_calls ||
	       s->records.kept_bytes > s->options.window_bytes + RECORD_BLOCK_BYTES;
}

/* *ready: the head of the window is done; else there is none left, or none until so many records were read. */
static struct vmtape_error *ready_head(struct call_stream *s, uint64_t until_records, bool *ready)
{
	*ready = false;
	for (;;) {
		struct vmtape_error *error = NULL;
		bool more;

		if (is_stopped(s))
			return NULL;
		*ready = s->head < s->tail && at(s, s->head)->done;
		if (*ready || (s->head == s->tail && (s->at_end || s->closed)))
			return NULL;
		if (tracker_records(s->tracker) >= until_records)
			return NULL;
		if (s->head < s->tail && is_full(s)) {
			error = resolve_head(s);
		} else {
			error = tracker_step(s->tracker, &more);
			s->at_end = !more;
			/* No call enters in what is passed over, which may be all the rest of the tape. */
			if (s->skip)
				s->closed |= tracker_tsc(s->tracker) >= s->options.to_tsc;
		}
		if (error || s->failed)
			return error ? error : s->failed;
	}
}

/* ---- batches --------------------------------------------------------- */

static bool reserve(struct call_batch *batch, uint32_t room, bool fds)
{
	struct stored_call *calls = reallocarray(batch->calls, room, sizeof(*calls));
	struct call_fds *all_fds = fds ? reallocarray(batch->fds, room, sizeof(*all_fds)) : NULL;

	if (calls)
		batch->calls = calls;
	if (all_fds)
		batch->fds = all_fds;
	if (!calls || (fds && !all_fds))
		return false;
	batch->room = room;
	return true;
}

/* The record's block goes with the batch. */
static bool lend(struct call_stream *s, struct call_batch *batch, const struct stored_record *record)
{
	struct record_block *block = record->block;

	if (!block || block->lent_for == s->nr_batches)
		return true;
	if (batch->nr_blocks == batch->room_blocks) {
		uint32_t room = batch->room_blocks ? batch->room_blocks * 2 : 16;
		struct record_block **blocks = reallocarray(batch->blocks, room, sizeof(struct record_block *));

		if (!blocks)
			return false;
		batch->blocks = blocks;
		batch->room_blocks = room;
	}
	batch->blocks[batch->nr_blocks++] = block;
	block->lent_for = s->nr_batches;
	record_store_lend(block);
	return true;
}

/* The oldest call of the window. */
static struct vmtape_error *move_head(struct call_stream *s, struct call_batch *batch, size_t *bytes)
{
	struct stored_call *call = at(s, s->head), *moved;
	struct stored_record enter = call->enter, exit = call->exit;

	if (call->kind != STORED_NOTHING) {
		if (batch->nr == batch->room && !reserve(batch, batch->room ? batch->room * 2 : 1, s->window_fds))
			return &vmtape_error_no_memory;
		if (!lend(s, batch, &enter) || !lend(s, batch, &exit))
			return &vmtape_error_no_memory;
		moved = &batch->calls[batch->nr];
		*moved = *call;
		*bytes += stored_record_bytes(&enter) + stored_record_bytes(&exit);
		if (s->window_fds)
			batch->fds[batch->nr] = *fds_at(s, s->head);
		batch->nr++;
	}
	record_store_drop(&s->records, &enter);
	record_store_drop(&s->records, &exit);
	s->head++;
	return NULL;
}

struct vmtape_error *call_stream_take(struct call_stream *s, struct call_batch *batch, uint32_t max_calls, bool *more)
{
	struct vmtape_error *error = s->pending;
	uint64_t until_records = UINT64_MAX;
	size_t bytes = 0;
	bool ready;

	s->pending = NULL;
	s->nr_batches++;
	batch->session = s->session;
	batch->has_fds = s->window_fds;
	while (!error && batch->nr < max_calls && bytes < CALL_BATCH_BYTES) {
		uint32_t nr = batch->nr;

		error = ready_head(s, until_records, &ready);
		if (error || !ready)
			break;
		error = move_head(s, batch, &bytes);
		/* Not all that is done is handed over. */
		if (batch->nr > nr)
			until_records = tracker_records(s->tracker) + PATIENCE_RECORDS;
	}
	*more = batch->nr;
	call_stream_get_stats(s, &batch->stats);
	if (error && !batch->nr) {
		call_stream_give_back(s, batch);
		return error;
	}
	s->pending = error;
	return NULL;
}

void call_stream_give_back(struct call_stream *s, struct call_batch *batch)
{
	for (uint32_t i = 0; i < batch->nr_blocks; i++)
		record_store_give_back(&s->records, batch->blocks[i]);
	for (uint32_t i = 0; i < batch->nr && batch->has_fds; i++)
		call_fds_release(&batch->fds[i]);
	batch->nr_blocks = batch->nr = 0;
}

struct vmtape_error *call_stream_next(struct call_stream *s, struct call_item *item, bool *more)
{
	struct vmtape_error *error;

	call_stream_give_back(s, &s->shown);
	error = call_stream_take(s, &s->shown, 1, more);
	if (!error && *more)
		call_batch_item(&s->shown, 0, item);
	return error;
}

void call_stream_stop(struct call_stream *s)
{
	atomic_store_explicit(&s->stopped, true, memory_order_relaxed);
}

void call_stream_get_stats(const struct call_stream *s, struct call_stream_stats *out)
{
	*out = (struct call_stream_stats){
		.records = tracker_records(s->tracker),
		.guesses = pairing_guesses(tracker_pairing(s->tracker)),
		.names_full = processes_are_full(tracker_processes(s->tracker)),
		.ran_ahead = s->ahead.tracker,
	};
}
