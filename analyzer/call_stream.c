/* SPDX-License-Identifier: MIT */
#include "call_stream.h"

#include <stdlib.h>
#include <string.h>

#include "skip_plan.h"
#include "tracker.h"
#include "u64_map.h"

/* Exits that the second reader keeps for the first; when it has more, their calls are shown as not ended. */
#define AHEAD_BYTES (256u << 20)

struct raw_record {
	uint8_t *bytes;
	size_t size_bytes;
};

enum waiting_kind {
	WAITING_CALL,
	WAITING_GAP,
	WAITING_NOTHING, /* out of the time asked for */
};

struct waiting {
	enum waiting_kind kind;
	bool done, uncertain;
	enum call_state state;
	struct raw_record enter, exit;
	struct call_thread thread;
	struct call_fds fds; /* if they are wanted */
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
	struct waiting *window; /* ring of options.window_calls */
	uint64_t head, tail;    /* numbers of calls: oldest that waits, next to come */
	size_t window_bytes;
	bool at_end, closed; /* closed: what enters now is later than asked for */
	bool gap_seen;
	struct waiting shown; /* what the last item points into */
	struct ahead ahead;
	struct vmtape_error *failed;
};

static bool copy_record(struct raw_record *out, const struct trap_view *view)
{
	out->size_bytes = view->header.size_bytes;
	out->bytes = malloc(out->size_bytes);
	if (!out->bytes)
		return false;
	memcpy(out->bytes, view->raw, out->size_bytes);
	return true;
}

static void drop_record(struct raw_record *record)
{
	free(record->bytes);
	*record = (struct raw_record){0};
}

static void drop_waiting(struct waiting *waiting)
{
	drop_record(&waiting->enter);
	drop_record(&waiting->exit);
	call_fds_release(&waiting->fds);
}

static void drop_resolution(struct resolution *resolution)
{
	if (!resolution)
		return;
	drop_record(&resolution->exit);
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
	    (a->next_number - number + 1 < s->options.window_calls && a->bytes - began < CALL_WINDOW_BYTES))
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
	struct waiting *waiting = &s->window[s->head % s->options.window_calls];
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
		if (s->ahead.at_end)
			break;
		error = tracker_step(s->ahead.tracker, &more);
		if (error || s->failed)
			return error ? error : s->failed;
		s->ahead.at_end = !more;
	}
	waiting->done = true;
	waiting->state = CALL_OPEN;
	if (!resolution)
		return NULL;
	waiting->state = resolution->state;
	waiting->uncertain = resolution->uncertain;
	waiting->exit = resolution->exit;
	s->window_bytes += waiting->exit.size_bytes;
	call_fds_take_result(&waiting->fds, &resolution->fds);
	call_fds_release(&resolution->fds);
	free(resolution);
	return NULL;
}

/* ---- first reader ---------------------------------------------------- */

static struct waiting *new_waiting(struct call_stream *s, uint64_t number, const struct trap_view *view)
{
	struct waiting *waiting;

	s->tail = number + 1;
	waiting = &s->window[number % s->options.window_calls];
	*waiting = (struct waiting){.kind = WAITING_NOTHING, .done = true};
	if (view->header.tsc < s->options.from_tsc)
		return NULL;
	return waiting;
}

static void keep(struct call_stream *s, struct raw_record *out, const struct trap_view *view)
{
	if (copy_record(out, view))
		s->window_bytes += out->size_bytes;
	else
		s->failed = &vmtape_error_no_memory;
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
	struct waiting *waiting;

	if (is_late(s, enter))
		return;
	waiting = new_waiting(s, number, enter);
	if (!waiting || !is_wanted(s, enter, TRAP_REG_RAX))
		return;
	waiting->kind = WAITING_CALL;
	waiting->done = false;
	waiting->thread = *thread;
	if (s->options.fds) {
		waiting->fds = *tracker_fds(s->tracker);
		call_fds_hold(&waiting->fds);
	}
	keep(s, &waiting->enter, enter);
}

static void on_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct call_stream *s = ctx;
	struct waiting *waiting;
	struct resolution *resolution = take_resolution(&s->ahead, number);

	drop_resolution(resolution);
	if (number < s->head || number >= s->tail)
		return;
	waiting = &s->window[number % s->options.window_calls];
	if (waiting->kind != WAITING_CALL || waiting->done)
		return;
	waiting->done = true;
	waiting->state = end->state;
	waiting->uncertain = end->uncertain;
	if (end->exit && s->options.fds)
		call_fds_take_result(&waiting->fds, tracker_fds(s->tracker));
	if (end->exit)
		keep(s, &waiting->exit, end->exit);
}

static void on_exit_only(void *ctx, uint64_t number, const struct trap_view *exit, const struct call_thread *thread)
{
	struct call_stream *s = ctx;
	struct waiting *waiting;

	if (is_late(s, exit))
		return;
	waiting = new_waiting(s, number, exit);
	/* A tape entered in its middle has most such entries before the time asked for, not lost. */
	if (!waiting || !is_wanted(s, exit, TRAP_REG_NR) ||
	    (tracker_has_passed(s->tracker) && trap_view_has(exit, TRAP_REG_NR)) ||
	    (tracker_has_skipped(s->tracker) && !s->gap_seen && trap_view_has(exit, TRAP_REG_NR) &&
	     !s->options.spanning))
		return;
	waiting->kind = WAITING_CALL;
	waiting->state = CALL_EXIT_ONLY;
	waiting->thread = *thread;
	keep(s, &waiting->exit, exit);
}

static void on_gap(void *ctx, uint64_t number, const struct trap_view *view)
{
	struct call_stream *s = ctx;
	struct waiting *waiting;

	s->gap_seen = true;
	if (is_late(s, view))
		return;
	waiting = new_waiting(s, number, view);
	if (!waiting)
		return;
	waiting->kind = WAITING_GAP;
	keep(s, &waiting->enter, view);
}

/* Descriptors are changed by nearly every part of a tape. */
static struct vmtape_error *make_skip_plan(struct call_stream *s)
{
	const struct call_stream_options *o = &s->options;
	const struct skip_question question = {o->filter, o->from_tsc, o->to_tsc, o->fds || o->read_all};

	if (o->spanning || (!o->filter && !o->from_tsc && o->to_tsc == UINT64_MAX))
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
	s->window = calloc(s->options.window_calls, sizeof(*s->window));
	error = s->window ? make_skip_plan(s) : &vmtape_error_no_memory;
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
	*out = s;
	return NULL;
}

void call_stream_destroy(struct call_stream *s)
{
	if (!s)
		return;
	tracker_destroy(s->tracker);
	tracker_destroy(s->ahead.tracker);
	skip_plan_destroy(s->skip);
	for (; s->window && s->head < s->tail; s->head++)
		drop_waiting(&s->window[s->head % s->options.window_calls]);
	for (size_t i = 0; i < s->ahead.resolved.room; i++) {
		struct resolution *resolution = (struct resolution *)(uintptr_t)s->ahead.resolved.slots[i].value;

		if (!s->ahead.resolved.slots[i].used)
			continue;
		drop_resolution(resolution);
	}
	u64_map_deinit(&s->ahead.resolved);
	u64_map_deinit(&s->ahead.begun);
	drop_waiting(&s->shown);
	free(s->window);
	free(s);
}

/* One record makes at most two numbers (a call that it begins, and a gap never with it); keep room for them. */
static bool is_full(const struct call_stream *s)
{
	return s->tail - s->head + 2 > s->options.window_calls || s->window_bytes > CALL_WINDOW_BYTES;
}

/* The head of the window is done, or there is none left. */
static struct vmtape_error *ready_head(struct call_stream *s)
{
	for (;;) {
		struct vmtape_error *error = NULL;
		bool more;

		if (s->head < s->tail && s->window[s->head % s->options.window_calls].done)
			return NULL;
		if (s->head == s->tail && (s->at_end || s->closed))
			return NULL;
		if (s->head < s->tail && is_full(s)) {
			error = resolve_head(s);
		} else {
			error = tracker_step(s->tracker, &more);
			s->at_end = !more;
		}
		if (error || s->failed)
			return error ? error : s->failed;
	}
}

static void show(struct call_stream *s, struct call_item *item)
{
	struct trap_view enter, exit;
	bool has_enter = s->shown.enter.bytes &&
			 trap_view_parse(&enter, s->shown.enter.bytes, s->shown.enter.size_bytes, NULL) > 0;
	bool has_exit =
		s->shown.exit.bytes && trap_view_parse(&exit, s->shown.exit.bytes, s->shown.exit.size_bytes, NULL) > 0;

	item->is_gap = s->shown.kind == WAITING_GAP;
	if (item->is_gap) {
		trap_view_gap(&enter, &item->gap);
		item->gap_tsc = enter.header.tsc;
		item->gap_vcpu = enter.header.vcpu;
		return;
	}
	call_build(&item->call, s->session, s->shown.state, has_enter ? &enter : NULL, has_exit ? &exit : NULL,
		   &s->shown.thread, s->shown.uncertain);
	item->call.fds = s->options.fds ? &s->shown.fds : NULL;
}

struct vmtape_error *call_stream_next(struct call_stream *s, struct call_item *item, bool *more)
{
	*more = false;
	drop_waiting(&s->shown);
	for (;;) {
		struct vmtape_error *error = ready_head(s);

		if (error)
			return error;
		if (s->head == s->tail)
			return NULL;
		s->shown = s->window[s->head % s->options.window_calls];
		s->head++;
		s->window_bytes -= s->shown.enter.size_bytes + s->shown.exit.size_bytes;
		if (s->shown.kind == WAITING_NOTHING)
			continue;
		show(s, item);
		*more = true;
		return NULL;
	}
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
