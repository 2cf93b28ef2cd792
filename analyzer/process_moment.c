/* SPDX-License-Identifier: MIT */
#include "process_moment.h"

#include <stdlib.h>

/* A tape that is read in less than a second or so: from its start more is known, as of files by which path. */
#define FROM_START_RECORDS   2000000u
#define FROM_START_SNAPSHOTS 32u

struct vmtape_error *process_moment_create(struct tracker **out, struct session *session,
					   const struct tracker_sink *sink, uint64_t tsc)
{
	const struct tape_info *info = session_info(session);
	bool from_start = info->nr_records <= FROM_START_RECORDS && info->nr_snapshots <= FROM_START_SNAPSHOTS;
	struct vmtape_error *error = tracker_create(out, session, sink, from_start ? 0 : tsc);
	bool more = true;

	if (error)
		return error;
	error = tracker_want_fds(*out);
	while (!error && more)
		error = tracker_step_until(*out, tsc, &more);
	if (error)
		tracker_destroy(*out);
	return error;
}

struct gather {
	const struct process_thread **threads;
	size_t count;
};

static void add(void *ctx, const struct process_thread *thread)
{
	struct gather *gather = ctx;

	if (thread->pid == thread->tid && !thread->zombie)
		gather->threads[gather->count++] = thread;
}

static int by_pid(const void *a, const void *b)
{
	const struct process_thread *x = *(const struct process_thread *const *)a;
	const struct process_thread *y = *(const struct process_thread *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

struct vmtape_error *process_moment_processes(struct tracker *moment, const struct process_thread ***out, size_t *count)
{
	const struct processes *processes = tracker_processes(moment);
	struct gather gather = {.threads = calloc(processes_count(processes) + 1, sizeof(*gather.threads))};

	if (!gather.threads)
		return &vmtape_error_no_memory;
	processes_each(processes, add, &gather);
	qsort(gather.threads, gather.count, sizeof(*gather.threads), by_pid);
	*out = gather.threads;
	*count = gather.count;
	return NULL;
}
