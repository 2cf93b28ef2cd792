/* SPDX-License-Identifier: MIT */
#include "call_live.h"

#include <stdlib.h>
#include <string.h>

#include "tracker.h"
#include "u64_map.h"

/* Entries of calls that have not ended; a call that enters when there are more is shown as it is then. */
#define OPEN_BYTES (256u << 20)

struct live_call {
	struct live_call *next; /* in the list of what is to be shown */
	bool is_gap, uncertain;
	enum call_state state;
	struct call_thread thread;
	struct call_fds fds;
	size_t enter_bytes, exit_bytes;
	uint8_t *exit; /* NULL: none */
	uint8_t enter[];
};

struct call_live {
	struct session *session;
	uint64_t from_tsc;
	struct tracker *tracker;
	struct u64_map open; /* number: struct live_call * */
	size_t open_bytes;
	struct live_call *first, **last; /* to be shown */
	struct live_call *shown;
	bool gap_seen, finished, fds;
	struct vmtape_error *failed;
};

static void drop(struct live_call *call)
{
	if (call) {
		free(call->exit);
		call_fds_release(&call->fds);
	}
	free(call);
}

static struct live_call *new_call(struct call_live *live, const struct trap_view *enter, const struct trap_view *exit)
{
	size_t enter_bytes = enter ? enter->header.size_bytes : 0;
	struct live_call *call = calloc(1, sizeof(*call) + enter_bytes);

	if (call && exit) {
		call->exit = malloc(exit->header.size_bytes);
		call->exit_bytes = exit->header.size_bytes;
	}
	if (!call || (exit && !call->exit)) {
		drop(call);
		live->failed = &vmtape_error_no_memory;
		return NULL;
	}
	call->enter_bytes = enter_bytes;
	if (enter)
		memcpy(call->enter, enter->raw, enter_bytes);
	if (exit)
		memcpy(call->exit, exit->raw, call->exit_bytes);
	return call;
}

static void show_later(struct call_live *live, struct live_call *call)
{
	*live->last = call;
	live->last = &call->next;
}

/* ---- the tracker's callbacks ----------------------------------------- */

static void on_begin(void *ctx, uint64_t number, const struct trap_view *enter, const struct call_thread *thread)
{
	struct call_live *live = ctx;
	struct live_call *call;

	if (enter->header.tsc < live->from_tsc)
		return;
	call = new_call(live, enter, NULL);
	if (!call)
		return;
	call->thread = *thread;
	if (live->fds) {
		call->fds = *tracker_fds(live->tracker);
		call_fds_hold(&call->fds);
	}
	if (live->open_bytes + call->enter_bytes > OPEN_BYTES) {
		call->state = CALL_OPEN;
		call->uncertain = true;
		show_later(live, call);
	} else if (u64_map_set(&live->open, number, (uintptr_t)call)) {
		live->open_bytes += call->enter_bytes;
	} else {
		drop(call);
		live->failed = &vmtape_error_no_memory;
	}
}

static void on_end(void *ctx, uint64_t number, const struct pairing_end *end)
{
	struct call_live *live = ctx;
	struct live_call *call;
	uint64_t at;

	if (!u64_map_get(&live->open, number, &at))
		return;
	call = (struct live_call *)(uintptr_t)at;
	u64_map_remove(&live->open, number);
	live->open_bytes -= call->enter_bytes;
	call->state = end->state;
	call->uncertain = end->uncertain;
	show_later(live, call);
	if (!end->exit)
		return;
	if (live->fds)
		call_fds_take_result(&call->fds, tracker_fds(live->tracker));
	call->exit = malloc(end->exit->header.size_bytes);
	if (!call->exit) {
		live->failed = &vmtape_error_no_memory;
		return;
	}
	call->exit_bytes = end->exit->header.size_bytes;
	memcpy(call->exit, end->exit->raw, call->exit_bytes);
}

static void on_exit_only(void *ctx, uint64_t number, const struct trap_view *exit, const struct call_thread *thread)
{
	struct call_live *live = ctx;
	struct live_call *call;

	/* A tape entered in its middle has most such entries before that, not lost. */
	if (exit->header.tsc < live->from_tsc ||
	    (tracker_has_skipped(live->tracker) && !live->gap_seen && trap_view_has(exit, TRAP_REG_NR)))
		return;
	call = new_call(live, NULL, exit);
	if (!call)
		return;
	call->state = CALL_EXIT_ONLY;
	call->thread = *thread;
	show_later(live, call);
}

static void on_gap(void *ctx, uint64_t number, const struct trap_view *view)
{
	struct call_live *live = ctx;
	struct live_call *call;

	live->gap_seen = true;
	if (view->header.tsc < live->from_tsc)
		return;
	call = new_call(live, view, NULL);
	if (!call)
		return;
	call->is_gap = true;
	show_later(live, call);
}

/* ---- made and ended -------------------------------------------------- */

struct vmtape_error *call_live_create(struct call_live **out, struct session *session, uint64_t from_tsc)
{
	struct call_live *live = calloc(1, sizeof(*live));
	struct tracker_sink sink = {NULL, on_begin, on_end, on_exit_only, on_gap, live};
	struct vmtape_error *error;

	if (!live)
		return &vmtape_error_no_memory;
	live->session = session;
	live->from_tsc = from_tsc;
	live->last = &live->first;
	error = tracker_create(&live->tracker, session, &sink, from_tsc);
	if (error) {
		call_live_destroy(live);
		return error;
	}
	*out = live;
	return NULL;
}

void call_live_destroy(struct call_live *live)
{
	if (!live)
		return;
	tracker_destroy(live->tracker);
	for (size_t i = 0; i < live->open.room; i++)
		if (live->open.slots[i].used)
			drop((struct live_call *)(uintptr_t)live->open.slots[i].value);
	while (live->first) {
		struct live_call *call = live->first;

		live->first = call->next;
		drop(call);
	}
	u64_map_deinit(&live->open);
	drop(live->shown);
	free(live);
}

struct vmtape_error *call_live_want_fds(struct call_live *live)
{
	live->fds = true;
	return tracker_want_fds(live->tracker);
}

struct tracker *call_live_tracker(struct call_live *live)
{
	return live->tracker;
}

/* ---- calls ----------------------------------------------------------- */

static void show(struct call_live *live, struct call_item *item)
{
	const struct live_call *call = live->shown;
	struct trap_view enter, exit;
	bool has_enter = call->enter_bytes && trap_view_parse(&enter, call->enter, call->enter_bytes, NULL) > 0;
	bool has_exit = call->exit && trap_view_parse(&exit, call->exit, call->exit_bytes, NULL) > 0;

	item->is_gap = call->is_gap;
	if (call->is_gap) {
		trap_view_gap(&enter, &item->gap);
		item->gap_tsc = enter.header.tsc;
		item->gap_vcpu = enter.header.vcpu;
		return;
	}
	call_build(&item->call, live->session, call->state, has_enter ? &enter : NULL, has_exit ? &exit : NULL,
		   &call->thread, call->uncertain);
	item->call.fds = live->fds ? &call->fds : NULL;
}

struct vmtape_error *call_live_next(struct call_live *live, struct call_item *item, bool *more)
{
	drop(live->shown);
	live->shown = NULL;
	*more = true;
	while (!live->first && *more && !live->finished) {
		struct vmtape_error *error = tracker_live_step(live->tracker, more);

		if (error || live->failed)
			return error ? error : live->failed;
	}
	*more = live->first != NULL;
	if (!live->first)
		return NULL;
	live->shown = live->first;
	live->first = live->shown->next;
	if (!live->first)
		live->last = &live->first;
	show(live, item);
	return NULL;
}

struct vmtape_error *call_live_finish(struct call_live *live)
{
	struct vmtape_error *error = NULL;
	bool more = true;

	tracker_until(live->tracker, UINT64_MAX);
	while (more && !error && !live->failed)
		error = tracker_step(live->tracker, &more);
	live->finished = true;
	return error ? error : live->failed;
}
