/* SPDX-License-Identifier: MIT */
/*
 * call_live.h - the calls of a tape that is still being written, each when it
 * is over: in order of their ends, as a call that blocks for hours must not hold
 * back all others. They are those that call_stream.h gives when the tape is
 * read afterwards. One thread an object.
 */
#ifndef CALL_LIVE_H
#define CALL_LIVE_H

#include "call_stream.h"

struct call_live;
/* Entries at or after from_tsc; 0: all. The session's guest should be known, if it ever will be. */
struct vmtape_error *call_live_create(struct call_live **out, struct session *session, uint64_t from_tsc);
void call_live_destroy(struct call_live *live);
/* As call_stream_options.fds: before the first call. */
struct vmtape_error *call_live_want_fds(struct call_live *live);
/* The tracker's records, for tracker_until(), tracker_rest() and so on. */
struct tracker *call_live_tracker(struct call_live *live);
/* *more is false when there is nothing for now; the item is valid until the next call. */
struct vmtape_error *call_live_next(struct call_live *live, struct call_item *item, bool *more);
/* The tape has its end, and all of it was read: the calls that are left are open. call_live_next() gives them. */
struct vmtape_error *call_live_finish(struct call_live *live);

#endif
