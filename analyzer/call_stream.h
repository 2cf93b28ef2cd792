/* SPDX-License-Identifier: MIT */
/*
 * call_stream.h - the calls of a tape in order of entry, each with its exit,
 * and the gaps between them. Calls wait for their exit in a window of bounded
 * size; for one that outlasts the window, a second reader runs ahead to where
 * it ends. One thread an object.
 */
#ifndef CALL_STREAM_H
#define CALL_STREAM_H

#include "call.h"
#include "filter.h"
#include "session.h"

/* Calls, and bytes of their records, that may wait behind one that has not ended yet. */
#define CALL_WINDOW_CALLS 65536u
#define CALL_WINDOW_BYTES (64u << 20)

struct call_item {
	bool is_gap;
	struct call call;    /* unless is_gap */
	struct trap_gap gap; /* if is_gap */
	uint64_t gap_tsc;    /* of the first lost record */
	uint16_t gap_vcpu;
};

struct call_stream_options {
	uint64_t from_tsc;     /* entries at or after */
	uint64_t to_tsc;       /* entries before; UINT64_MAX: all */
	uint32_t window_calls; /* 0: the default; small ones are for tests */
	size_t window_bytes;   /* likewise */
	bool spanning;         /* also exits of calls that began before from_tsc, as CALL_EXIT_ONLY */
	unsigned read_ahead;   /* threads that load chunks before they are needed */
	bool fds;              /* follow descriptors: call.fds, and what else struct call_thread says of it */
	/* Calls that can't match may be left out, and parts of the tape with them. Borrowed. */
	const struct filter *filter;
	bool read_all; /* nevertheless read all parts */
};

struct call_stream;
struct vmtape_error *call_stream_create(struct call_stream **out, struct session *session,
					const struct call_stream_options *options);
void call_stream_destroy(struct call_stream *stream);
/* *more is false at the end; the item is valid until the next call. */
struct vmtape_error *call_stream_next(struct call_stream *stream, struct call_item *item, bool *more);

/*
 * Up to max_calls of the calls and gaps that come next, and about CALL_BATCH_BYTES of records, into a batch that is
 * empty: fewer, if the next one is far off or takes long to end, but none only at the end. An error comes when all
 * calls before it have been taken: *more is false then, as at the end.
 */
#define CALL_BATCH_BYTES (1u << 20)
struct call_batch;
struct vmtape_error *call_stream_take(struct call_stream *stream, struct call_batch *batch, uint32_t max_calls,
				      bool *more);
/* Empties it. */
void call_stream_give_back(struct call_stream *stream, struct call_batch *batch);
/* Nothing more is wanted: whoever waits for calls gets what is there, or the end. Any thread. */
void call_stream_stop(struct call_stream *stream);

struct call_stream_stats {
	uint64_t records; /* read so far */
	uint64_t guesses; /* paired without a task word */
	bool names_full;  /* processes_are_full() */
	bool ran_ahead;   /* the second reader was needed */
};
void call_stream_get_stats(const struct call_stream *stream, struct call_stream_stats *out);

/* ---- building ------------------------------------------------------- */

/* What is known of a call, by its records; enter or exit may be NULL, or the call's own views. Any thread. */
void call_build(struct call *out, struct session *session, enum call_state state, const struct trap_view *enter,
		const struct trap_view *exit, const struct call_thread *thread, bool uncertain);

#endif
