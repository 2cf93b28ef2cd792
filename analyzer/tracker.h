/* SPDX-License-Identifier: MIT */
/*
 * tracker.h - walks a tape's records in order of time and keeps, at each, who
 * runs and which calls are open: cursor, pairing, process table and the
 * snapshots that heal it. One thread an object.
 */
#ifndef TRACKER_H
#define TRACKER_H

#include "pairing.h"
#include "processes.h"
#include "session.h"
#include "skip_plan.h"

/* Any may be NULL. Views and threads are lent. Numbers rise in order of time. */
struct tracker_sink {
	/* Each record, after the table knows who made it and before it is paired. */
	void (*record)(void *ctx, const struct trap_view *view, const struct call_thread *thread);
	void (*begin)(void *ctx, uint64_t number, const struct trap_view *enter, const struct call_thread *thread);
	/* In begin and end, tracker_fds() has what the call's descriptors are. */
	void (*end)(void *ctx, uint64_t number, const struct pairing_end *end);
	void (*exit_only)(void *ctx, uint64_t number, const struct trap_view *exit, const struct call_thread *thread);
	void (*gap)(void *ctx, uint64_t number, const struct trap_view *view);
	void *ctx;
};

struct tracker;
/*
 * Starts at the last snapshot at or before from_tsc (0: with the first record),
 * as only from there on it can be known who is who.
 */
struct vmtape_error *tracker_create(struct tracker **out, struct session *session, const struct tracker_sink *sink,
				    uint64_t from_tsc);
void tracker_destroy(struct tracker *tracker);
/*
 * Follow descriptors, directories and command lines, too: before the first step. The threads and ends of calls that the
 * sink gets have them then.
 */
struct vmtape_error *tracker_want_fds(struct tracker *tracker);
/*
 * Passes over chunks in which the plan finds nothing: before the first step, and not with descriptors. All that is
 * known of who runs and which calls are open is as if they had been read. The plan is borrowed.
 */
void tracker_skip(struct tracker *tracker, struct skip_plan *plan);
/* What the thread of the record at hand did last was passed over: the entry of an exit without one is there. */
bool tracker_has_passed(const struct tracker *tracker);
/*
 * Chunks are loaded by so many other threads before they are needed; where no thread can be made, they are not. Before
 * the first step.
 */
void tracker_read_ahead(struct tracker *tracker, unsigned nr_threads);
/* One record on; *more is false at the end, when the calls that are left have been ended as open. */
struct vmtape_error *tracker_step(struct tracker *tracker, bool *more);
/* The same, but only if the next record is at or before tsc, and ends no call. */
struct vmtape_error *tracker_step_until(struct tracker *tracker, uint64_t tsc, bool *more);

/*
 * On a tape that grows. live_step is one record on, too, up to the time that tracker_until() was told last, and ends
 * nothing when there is none: *more is false then. A snapshot that the records tell of must be on the tape before what
 * follows: tracker_awaits() until then, unless it is told to skip it.
 */
struct vmtape_error *tracker_live_step(struct tracker *tracker, bool *more);
void tracker_until(struct tracker *tracker, uint64_t tsc);
bool tracker_awaits(const struct tracker *tracker);
void tracker_skip_snapshot(struct tracker *tracker);
/* Around session_refresh(). */
void tracker_rest(struct tracker *tracker);
struct vmtape_error *tracker_go_on(struct tracker *tracker);
const struct tape_cursor *tracker_cursor(const struct tracker *tracker);

struct processes *tracker_processes(struct tracker *tracker);
/* Of the record at hand, if it begins or ends a call; lent. NULL: descriptors are not followed. */
const struct call_fds *tracker_fds(const struct tracker *tracker);
const struct pairing *tracker_pairing(const struct tracker *tracker);
uint64_t tracker_records(const struct tracker *tracker);
/* Of the latest record, or row of what was passed over; 0: none yet. */
uint64_t tracker_tsc(const struct tracker *tracker);
/* true: the tape was entered in its middle. */
bool tracker_has_skipped(const struct tracker *tracker);

#endif
