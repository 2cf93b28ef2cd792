/* SPDX-License-Identifier: MIT */
/*
 * call_pool.h - all calls of a stream, by several threads: each takes the next
 * batch from the stream, which is one at a time, and works on it beside the
 * others. What is delivered is as with one thread, and in order, by whoever has
 * just done what comes next. Memory is bounded: call_pool_workers() batches with
 * CALL_BATCH_BYTES of records each, what the work makes of them, and what
 * call_pool_read_ahead() threads have loaded (tape_ahead.h).
 */
#ifndef CALL_POOL_H
#define CALL_POOL_H

#include "call_batch.h"

#define CALL_POOL_MAX_THREADS     64u
#define CALL_POOL_DEFAULT_THREADS 4u
#define CALL_POOL_BATCH_CALLS     1024u

struct call_pool_job {
	/* At the same time as others, each with a batch and a worker of its own; changes nothing but that. */
	void (*work)(void *ctx, void *worker, const struct call_batch *batch);
	/* One at a time, in order; false: that was all that is wanted. */
	bool (*deliver)(void *ctx, void *worker, const struct call_batch *batch);
	void *ctx;
	void *workers; /* call_pool_workers() of them, behind each other */
	size_t worker_bytes;
};

struct call_pool_options {
	unsigned nr_threads;  /* the caller's is one of them; 0 is 1. When some can't be made, there are fewer */
	uint32_t batch_calls; /* 0: CALL_POOL_BATCH_CALLS; small ones are for tests */
};

/* An error of the stream comes when all before it has been delivered. */
struct vmtape_error *call_pool_run(struct call_stream *stream, const struct call_pool_job *job,
				   const struct call_pool_options *options);

/* Batches that are on their way at a time; each has a worker of its own. */
unsigned call_pool_workers(unsigned nr_threads);
/* call_stream_options.read_ahead for them: loading takes less of a core than the rest of what is done one at a time. */
unsigned call_pool_read_ahead(unsigned nr_threads);
/* As many as there are CPUs for this process, and no more than CALL_POOL_DEFAULT_THREADS. */
unsigned call_pool_default_threads(void);

#endif
