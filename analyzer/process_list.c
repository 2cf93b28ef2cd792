/* SPDX-License-Identifier: MIT */
#include "process_list.h"

#include <stdlib.h>
#include <string.h>

#include "boot_clock.h"
#include "tracker.h"
#include "u64_map.h"

/* Guest's clocks are read a little after the TSC of the record that shows a birth. */
#define BIRTH_SLACK_NS 2e6
/* A tape that is read in less than a second or so. */
#define FROM_START_RECORDS   2000000u
#define FROM_START_SNAPSHOTS 32u

struct builder {
	struct session *session;
	struct process_list *list;
	const struct processes *processes;
	struct u64_map by_pid; /* row of a process */
	size_t room, threads_room;
	uint64_t tsc;
	struct boot_clock boot;
	struct vmtape_error *error;
};

static struct process_row *row_of(struct builder *b, int32_t pid)
{
	struct process_list *list = b->list;
	uint64_t at;

	if (u64_map_get(&b->by_pid, (uint32_t)pid, &at))
		return &list->rows[at];
	if (list->count == b->room) {
		size_t room = b->room ? b->room * 2 : 256;
		struct process_row *rows = realloc(list->rows, room * sizeof(*rows));

		if (!rows)
			goto fail;
		list->rows = rows;
		b->room = room;
	}
	if (!u64_map_set(&b->by_pid, (uint32_t)pid, list->count))
		goto fail;
	list->rows[list->count] = (struct process_row){.ppid = -1, .started_ns = -1};
	list->rows[list->count].leader.pid = -1;
	return &list->rows[list->count++];
fail:
	b->error = &vmtape_error_no_memory;
	return NULL;
}

static bool list_thread(struct builder *b, const struct process_thread *thread)
{
	struct process_list *list = b->list;

	if (list->nr_threads == b->threads_room) {
		size_t room = b->threads_room ? b->threads_room * 2 : 64;
		struct process_list_thread *threads = reallocarray(list->threads, room, sizeof(*threads));

		if (!threads)
			return false;
		list->threads = threads;
		b->threads_room = room;
	}
	list->threads[list->nr_threads] = (struct process_list_thread){*thread, -1};
	list->threads[list->nr_threads++].thread.exe = "";
	return true;
}

static void add_thread(struct builder *b, const struct process_thread *thread, int32_t ppid)
{
	struct process_row *row = b->error ? NULL : row_of(b, thread->pid);

	if (!row)
		return;
	row->nr_threads++;
	if (thread->tid != thread->pid && !list_thread(b, thread)) {
		b->error = &vmtape_error_no_memory;
		return;
	}
	if (row->leader.pid >= 0 && thread->tid != thread->pid)
		return;
	free(row->exe);
	row->leader = *thread;
	row->ppid = ppid;
	row->exe = strdup(thread->exe);
	if (!row->exe)
		b->error = &vmtape_error_no_memory;
}

static void add_known(void *ctx, const struct process_thread *thread)
{
	struct builder *b = ctx;

	add_thread(b, thread, processes_parent(b->processes, thread));
}

/* ---- those that only the next snapshot knows -------------------------- */

struct later {
	struct builder *builder;
	struct u64_map known; /* threads that the list has */
};

static void add_later(void *ctx, const struct linux_task *task)
{
	struct later *later = ctx;
	struct builder *b = later->builder;
	struct process_thread thread = {
		.task = task->task.v,
		.pid = task->tgid,
		.tid = task->pid,
		.ppid = task->ppid,
		.exe = task->exe,
		.start_ns = task->start_ns,
		.uid = task->uid,
		.uid_known = true,
		.kernel_thread = task->kernel_thread,
		.zombie = task->exiting,
	};

	if (u64_map_get(&later->known, (uint32_t)task->pid, NULL) || !b->boot.known)
		return;
	if (boot_clock_tsc(&b->boot, task->start_ns) > (double)b->tsc + BIRTH_SLACK_NS / b->boot.ns_per_tick)
		return;
	memcpy(thread.comm, task->comm, sizeof(thread.comm));
	add_thread(b, &thread, task->ppid);
}

static void note_thread(void *ctx, const struct process_thread *thread)
{
	u64_map_set(ctx, (uint32_t)thread->tid, 1);
}

/* First snapshot after the moment, of the same boot; -1: none. */
static int64_t next_snapshot(struct session *session, uint64_t tsc)
{
	for (uint32_t i = 0; i < session_info(session)->nr_snapshots; i++) {
		uint64_t at = tape_reader_snapshot(session_reader(session), i)->info.tsc;

		if (at > tsc && session_guest_at(session, at))
			return i;
	}
	return -1;
}

static void add_from_next(struct builder *b, int64_t index)
{
	struct later later = {.builder = b};

	processes_each(b->processes, note_thread, &later.known);
	vmtape_error_destroy(session_tasks(b->session, (uint32_t)index, add_later, &later));
	u64_map_deinit(&later.known);
}

/* ---- tree ------------------------------------------------------------ */

static int by_pid(const void *a, const void *b)
{
	const struct process_row *x = a, *y = b;

	return x->leader.pid < y->leader.pid ? -1 : x->leader.pid > y->leader.pid;
}

static int by_parent(const void *a, const void *b)
{
	const struct process_row *x = *(struct process_row *const *)a, *y = *(struct process_row *const *)b;

	if (x->ppid != y->ppid)
		return x->ppid < y->ppid ? -1 : 1;
	return by_pid(x, y);
}

struct tree {
	struct process_row **children; /* by parent */
	struct process_row *sorted;
	bool *placed; /* by position in the list */
	size_t count, nr_sorted;
};

static size_t first_child(const struct tree *tree, int32_t ppid)
{
	size_t low = 0, high = tree->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tree->children[middle]->ppid < ppid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A hostile guest's parents may form a ring: nobody is placed twice. Depth is bounded by their number, not by the
 * stack. */
static bool place(struct tree *tree, struct process_list *list, size_t root)
{
	struct {
		size_t next;
		int32_t pid;
	} *stack = calloc(tree->count + 1, sizeof(*stack));
	size_t depth = 0;

	if (!stack)
		return false;
	list->rows[root].depth = 0;
	tree->placed[root] = true;
	tree->sorted[tree->nr_sorted++] = list->rows[root];
	stack[0].pid = list->rows[root].leader.pid;
	stack[0].next = first_child(tree, stack[0].pid);
	for (;;) {
		size_t at = stack[depth].next++;
		struct process_row *child = at < tree->count ? tree->children[at] : NULL;

		if (!child || child->ppid != stack[depth].pid) {
			if (!depth--)
				break;
			continue;
		}
		if (tree->placed[child - list->rows])
			continue;
		tree->placed[child - list->rows] = true;
		child->depth = depth + 1;
		child->last_child = at + 1 == tree->count || tree->children[at + 1]->ppid != child->ppid;
		tree->sorted[tree->nr_sorted++] = *child;
		depth++;
		stack[depth].pid = child->leader.pid;
		stack[depth].next = first_child(tree, child->leader.pid);
	}
	free(stack);
	return true;
}

static struct vmtape_error *sort(struct process_list *list)
{
	struct tree tree = {.count = list->count};
	struct u64_map pids = {0};
	bool good;

	if (!list->count)
		return NULL;
	qsort(list->rows, list->count, sizeof(*list->rows), by_pid);
	tree.children = calloc(list->count + 1, sizeof(struct process_row *));
	tree.sorted = calloc(list->count + 1, sizeof(*tree.sorted));
	tree.placed = calloc(list->count + 1, sizeof(*tree.placed));
	good = tree.children && tree.sorted && tree.placed;
	for (size_t i = 0; good && i < list->count; i++) {
		tree.children[i] = &list->rows[i];
		good = u64_map_set(&pids, (uint32_t)list->rows[i].leader.pid, i);
	}
	if (good)
		qsort(tree.children, list->count, sizeof(struct process_row *), by_parent);
	for (size_t i = 0; good && i < list->count; i++)
		if (list->rows[i].ppid <= 0 || !u64_map_get(&pids, (uint32_t)list->rows[i].ppid, NULL))
			good = place(&tree, list, i);
	for (size_t i = 0; good && i < list->count; i++)
		if (!tree.placed[i])
			good = place(&tree, list, i);
	if (good) {
		free(list->rows);
		list->rows = tree.sorted;
		tree.sorted = NULL;
	}
	u64_map_deinit(&pids);
	free(tree.children);
	free(tree.sorted);
	free(tree.placed);
	return good ? NULL : &vmtape_error_no_memory;
}

static void set_start_times(struct builder *b)
{
	for (size_t i = 0; i < b->list->count; i++) {
		struct process_row *row = &b->list->rows[i];

		/* Process 1 starts with the clock at 0, or nearly. */
		if (row->leader.start_ns || row->leader.pid == 1)
			row->started_ns = boot_clock_utc(&b->boot, session_clock(b->session), row->leader.start_ns);
	}
	for (size_t i = 0; i < b->list->nr_threads; i++) {
		struct process_list_thread *thread = &b->list->threads[i];

		if (thread->thread.start_ns)
			thread->started_ns =
				boot_clock_utc(&b->boot, session_clock(b->session), thread->thread.start_ns);
	}
}

static int by_thread(const void *a, const void *b)
{
	const struct process_thread *x = &((const struct process_list_thread *)a)->thread;
	const struct process_thread *y = &((const struct process_list_thread *)b)->thread;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

const struct process_list_thread *process_list_threads(const struct process_list *list, const struct process_row *row,
						       size_t *count)
{
	size_t low = 0, high = list->nr_threads;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->threads[middle].thread.pid < row->leader.pid)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < list->nr_threads && list->threads[low + *count].thread.pid == row->leader.pid;)
		++*count;
	return list->threads + low;
}

struct vmtape_error *process_list_create(struct process_list *out, struct session *session, uint64_t tsc)
{
	struct builder b = {.session = session, .list = out, .tsc = tsc};
	struct tracker_sink sink = {0};
	struct tracker *tracker;
	struct vmtape_error *error;
	int64_t snapshot = next_snapshot(session, tsc);
	const struct tape_info *info = session_info(session);
	/* From the start, more is known: which call a thread has been in since long ago. */
	bool from_start = info->nr_records <= FROM_START_RECORDS && info->nr_snapshots <= FROM_START_SNAPSHOTS;
	bool more = true;

	*out = (struct process_list){0};
	error = tracker_create(&tracker, session, &sink, from_start ? 0 : tsc);
	if (error)
		return error;
	while (!error && more)
		error = tracker_step_until(tracker, tsc, &more);
	if (!error) {
		b.processes = tracker_processes(tracker);
		processes_each(b.processes, add_known, &b);
		error = boot_clock_create(&b.boot, session);
	}
	if (!error && snapshot >= 0)
		add_from_next(&b, snapshot);
	if (!error)
		error = b.error;
	if (!error) {
		set_start_times(&b);
		if (out->nr_threads)
			qsort(out->threads, out->nr_threads, sizeof(*out->threads), by_thread);
		error = sort(out);
	}
	tracker_destroy(tracker);
	u64_map_deinit(&b.by_pid);
	if (error)
		process_list_deinit(out);
	return error;
}

void process_list_deinit(struct process_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->rows[i].exe);
	free(list->rows);
	free(list->threads);
	*list = (struct process_list){0};
}
