/* SPDX-License-Identifier: MIT */
#include "processes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "process_table.h"

struct vmtape_error *processes_create(struct processes **out, void (*gone)(void *ctx, uint64_t task), void *ctx)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (!p)
		return &vmtape_error_no_memory;
	p->gone = gone;
	p->ctx = ctx;
	p->free = PROCESS_NONE;
	p->cr3_mask = ~0ull;
	p->family = 1;
	*out = p;
	return NULL;
}

void processes_destroy(struct processes *p)
{
	if (!p)
		return;
	process_fds_deinit(p);
	for (size_t i = 0; i < p->nr_strings; i++)
		free(p->string_list[i]);
	free(p->string_list);
	free(p->threads);
	free(p->hints);
	u64_map_deinit(&p->by_task);
	u64_map_deinit(&p->by_tid);
	u64_map_deinit(&p->by_pid);
	u64_map_deinit(&p->by_cr3);
	u64_map_deinit(&p->dead_tsc);
	u64_map_deinit(&p->dead_parent);
	u64_map_deinit(&p->hint_by_task);
	u64_map_deinit(&p->exes);
	u64_map_deinit(&p->strings);
	free(p);
}

void processes_set_cr3_mask(struct processes *p, uint64_t mask)
{
	p->cr3_mask = mask;
}

void processes_set_exe(struct processes *p, process_exe_fn *find, void *ctx)
{
	p->find_exe = find;
	p->find_exe_ctx = ctx;
}

/* ---- table ----------------------------------------------------------- */

uint32_t process_table_find(const struct u64_map *map, uint64_t key)
{
	uint64_t i;

	return u64_map_get(map, key, &i) ? (uint32_t)i : PROCESS_NONE;
}

static uint64_t id_key(int32_t id)
{
	return (uint32_t)id;
}

/* PCID and the no-flush bit are not part of an address space. */
static uint64_t cr3_key(const struct processes *p, uint64_t cr3)
{
	return cr3 & p->cr3_mask & 0x000ffffffffff000ull;
}

static void join_process(struct processes *p, uint32_t i)
{
	struct thread_entry *t = &p->threads[i];

	t->next_mate = process_table_find(&p->by_pid, id_key(t->pub.pid));
	u64_map_set(&p->by_pid, id_key(t->pub.pid), i);
}

static void leave_process(struct processes *p, uint32_t i)
{
	struct thread_entry *t = &p->threads[i];
	uint32_t first = process_table_find(&p->by_pid, id_key(t->pub.pid));

	if (first == i) {
		if (t->next_mate == PROCESS_NONE)
			u64_map_remove(&p->by_pid, id_key(t->pub.pid));
		else
			u64_map_set(&p->by_pid, id_key(t->pub.pid), t->next_mate);
		return;
	}
	for (uint32_t at = first; at != PROCESS_NONE; at = p->threads[at].next_mate) {
		if (p->threads[at].next_mate != i)
			continue;
		p->threads[at].next_mate = t->next_mate;
		return;
	}
}

uint32_t process_table_add(struct processes *p, uint64_t task, int32_t pid, int32_t tid, uint64_t tsc)
{
	uint32_t i = p->free;

	if (p->count >= PROCESSES_MAX)
		return PROCESS_NONE;
	if (i != PROCESS_NONE) {
		p->free = p->threads[i].next_mate;
	} else {
		if (p->used == p->room) {
			uint32_t room = p->room ? p->room * 2 : 256;
			struct thread_entry *threads = realloc(p->threads, room * sizeof(*threads));

			if (!threads)
				return PROCESS_NONE;
			p->threads = threads;
			p->room = room;
		}
		i = p->used++;
	}
	p->threads[i] = (struct thread_entry){
		.used = true,
		.on_snapshot = true,
		.pub = {.task = task,
			.pid = pid,
			.tid = tid,
			.ppid = -1,
			.exe = "",
			.cmdline = "",
			.container = "",
			.first_tsc = tsc},
	};
	process_table_confirm(p, &p->threads[i], tsc);
	/* A map that can't grow leaves the thread unfound, never wrong. */
	if (task)
		u64_map_set(&p->by_task, task, i);
	u64_map_set(&p->by_tid, id_key(tid), i);
	join_process(p, i);
	p->family++;
	u64_map_remove(&p->dead_tsc, id_key(pid));
	p->count++;
	return i;
}

static void forget_cr3(struct processes *p, uint32_t i)
{
	uint64_t key = cr3_key(p, p->threads[i].pub.cr3);

	if (key && process_table_find(&p->by_cr3, key) == i)
		u64_map_remove(&p->by_cr3, key);
}

void process_table_remove(struct processes *p, uint32_t i, uint64_t tsc)
{
	struct thread_entry *t = &p->threads[i];

	if (p->gone && t->pub.task)
		p->gone(p->ctx, t->pub.task);
	if (t->pub.task && process_table_find(&p->by_task, t->pub.task) == i)
		u64_map_remove(&p->by_task, t->pub.task);
	if (process_table_find(&p->by_tid, id_key(t->pub.tid)) == i)
		u64_map_remove(&p->by_tid, id_key(t->pub.tid));
	process_fds_gone(p, i);
	forget_cr3(p, i);
	leave_process(p, i);
	if (process_table_find(&p->by_pid, id_key(t->pub.pid)) == PROCESS_NONE) {
		if (p->dead_tsc.count >= PROCESSES_MAX) {
			u64_map_clear(&p->dead_tsc);
			u64_map_clear(&p->dead_parent);
		}
		u64_map_set(&p->dead_tsc, id_key(t->pub.pid), tsc);
		u64_map_set(&p->dead_parent, id_key(t->pub.pid), id_key(t->pub.ppid));
	}
	p->family++;
	t->used = false;
	t->next_mate = p->free;
	p->free = i;
	p->count--;
}

void process_table_confirm(const struct processes *p, struct thread_entry *t, uint64_t tsc)
{
	/* one that only was there during the loss is as uncertain as one that nothing told of since */
	t->confirmed = tsc >= p->lossy_until ? p->gaps : p->gaps - 1;
}

void process_table_rename(struct processes *p, uint32_t i, int32_t pid, int32_t tid)
{
	struct thread_entry *t = &p->threads[i];

	if (process_table_find(&p->by_tid, id_key(t->pub.tid)) == i)
		u64_map_remove(&p->by_tid, id_key(t->pub.tid));
	leave_process(p, i);
	t->pub.pid = pid;
	t->pub.tid = tid;
	u64_map_set(&p->by_tid, id_key(tid), i);
	join_process(p, i);
	p->family++;
}

/* used: of what has room for max_bytes only; NULL: all of it. */
static const char *keep_string(struct processes *p, const void *bytes, size_t n, size_t *used, size_t max_bytes)
{
	uint64_t hash = XXH3_64bits(bytes, n), at;
	char *copy;

	if (u64_map_get(&p->strings, hash, &at)) {
		const char *known = (const char *)(uintptr_t)at;

		if (strlen(known) == n && !memcmp(known, bytes, n))
			return known;
	}
	if (!n || memchr(bytes, 0, n))
		return "";
	if (p->string_bytes + n + 1 > PROCESSES_EXE_BYTES || (used && *used + n + 1 > max_bytes)) {
		p->strings_full = true;
		return "";
	}
	if (p->nr_strings == p->room_strings) {
		size_t room = p->room_strings ? p->room_strings * 2 : 64;
		char **list = realloc(p->string_list, room * sizeof(*list));

		if (!list)
			return "";
		p->string_list = list;
		p->room_strings = room;
	}
	copy = strndup(bytes, n);
	if (!copy)
		return "";
	p->string_list[p->nr_strings++] = copy;
	p->string_bytes += n + 1;
	if (used)
		*used += n + 1;
	u64_map_set(&p->strings, hash, (uintptr_t)copy);
	return copy;
}

const char *process_table_string(struct processes *p, const void *bytes, size_t n)
{
	return keep_string(p, bytes, n, NULL, 0);
}

const char *process_table_cmdline(struct processes *p, const void *bytes, size_t n)
{
	return keep_string(p, bytes, n, &p->cmdline_bytes, PROCESSES_CMDLINE_BYTES);
}

const char *process_table_directory(struct processes *p, const void *bytes, size_t n)
{
	return keep_string(p, bytes, n, &p->directory_bytes, PROCESSES_DIRECTORY_BYTES);
}

bool processes_are_full(const struct processes *p)
{
	return p->strings_full;
}

static void inherit_from(struct thread_entry *t, const struct thread_entry *from, bool same_process)
{
	if (!t->pub.comm[0])
		memcpy(t->pub.comm, from->pub.comm, sizeof(t->pub.comm));
	if (same_process && t->pub.ppid < 0) {
		t->pub.ppid = from->pub.ppid;
		t->ppid_tsc = from->ppid_tsc;
	}
	/* A name that differs tells of an execve that was not seen. */
	if (same_process || !strcmp(t->pub.comm, from->pub.comm))
		t->pub.exe = from->pub.exe;
	if (same_process)
		t->pub.cmdline = from->pub.cmdline;
	t->pub.container = from->pub.container;
	if (same_process) {
		t->pub.pidns = from->pub.pidns;
		t->pub.child_pidns = from->pub.child_pidns;
	}
	t->pub.uid = from->pub.uid;
	t->pub.uid_known = from->pub.uid_known;
}

void process_table_inherit(struct processes *p, uint32_t i)
{
	struct thread_entry *t = &p->threads[i];
	uint32_t mate, parent;

	for (mate = process_table_find(&p->by_pid, id_key(t->pub.pid)); mate != PROCESS_NONE;
	     mate = p->threads[mate].next_mate) {
		if (mate == i)
			continue;
		inherit_from(t, &p->threads[mate], true);
		p->family++;
		return;
	}
	parent = t->pub.ppid > 0 ? process_table_find(&p->by_tid, id_key(t->pub.ppid)) : PROCESS_NONE;
	if (parent != PROCESS_NONE && t->pub.comm[0] && p->threads[parent].confirmed == p->gaps)
		inherit_from(t, &p->threads[parent], false);
}

/* ---- snapshots ------------------------------------------------------- */

void processes_snapshot_begin(struct processes *p, uint64_t tsc)
{
	p->snapshot_tsc = tsc;
	process_fds_snapshot_begin(p);
	for (uint32_t i = 0; i < p->used; i++)
		p->threads[i].on_snapshot = false;
}

static bool same_task(const struct process_thread *t, const struct linux_task *task)
{
	return t->tid == task->pid && (!t->start_ns || !task->start_ns || t->start_ns == task->start_ns);
}

static void describe(struct processes *p, uint32_t i, const struct linux_task *task)
{
	struct thread_entry *t = &p->threads[i];

	memcpy(t->pub.comm, task->comm, sizeof(t->pub.comm));
	t->pub.comm[sizeof(t->pub.comm) - 1] = '\0';
	t->pub.ppid = task->ppid;
	t->ppid_tsc = p->snapshot_tsc;
	p->family++;
	t->pub.start_ns = task->start_ns;
	t->pub.uid = task->uid;
	t->pub.uid_known = true;
	t->pub.kernel_thread = task->kernel_thread;
	t->pub.zombie = task->exiting;
	if (task->exe[0])
		t->pub.exe = process_table_string(p, task->exe, strnlen(task->exe, sizeof(task->exe)));
	forget_cr3(p, i);
	t->pub.cr3 = task->cr3;
	/* Threads of a process share it: its first one stands for all. */
	if (cr3_key(p, task->cr3) &&
	    (task->pid == task->tgid || process_table_find(&p->by_cr3, cr3_key(p, task->cr3)) == PROCESS_NONE))
		u64_map_set(&p->by_cr3, cr3_key(p, task->cr3), i);
	process_table_confirm(p, t, p->snapshot_tsc);
	t->on_snapshot = true;
}

struct vmtape_error *processes_snapshot_add(struct processes *p, const struct linux_task *task)
{
	uint32_t i = process_table_find(&p->by_task, task->task.v);
	uint32_t by_tid = process_table_find(&p->by_tid, id_key(task->pid));

	if (i != PROCESS_NONE && !same_task(&p->threads[i].pub, task)) {
		process_table_remove(p, i, p->snapshot_tsc);
		by_tid = process_table_find(&p->by_tid, id_key(task->pid));
		i = PROCESS_NONE;
	}
	if (i == PROCESS_NONE && by_tid != PROCESS_NONE) {
		if (!p->threads[by_tid].pub.task && p->threads[by_tid].pub.pid == task->tgid) {
			i = by_tid;
			p->threads[i].pub.task = task->task.v;
			u64_map_set(&p->by_task, task->task.v, i);
		} else {
			process_table_remove(p, by_tid, p->snapshot_tsc);
		}
	}
	if (i == PROCESS_NONE)
		i = process_table_add(p, task->task.v, task->tgid, task->pid, p->snapshot_tsc);
	if (i == PROCESS_NONE)
		return p->count >= PROCESSES_MAX ? NULL : &vmtape_error_no_memory;
	if (p->threads[i].pub.pid != task->tgid)
		process_table_rename(p, i, task->tgid, task->pid);
	describe(p, i, task);
	return NULL;
}

void processes_snapshot_end(struct processes *p, bool whole)
{
	for (uint32_t i = 0; i < p->used; i++)
		if (whole && p->threads[i].used && !p->threads[i].on_snapshot)
			process_table_remove(p, i, p->snapshot_tsc);
	process_fds_snapshot_end(p, whole);
}

struct vmtape_error *processes_hint(struct processes *p, const struct linux_task *task)
{
	if (p->nr_hints >= PROCESSES_MAX)
		return NULL;
	if (p->nr_hints == p->room_hints) {
		size_t room = p->room_hints ? p->room_hints * 2 : 256;
		struct linux_task *hints = realloc(p->hints, room * sizeof(*hints));

		if (!hints)
			return &vmtape_error_no_memory;
		p->hints = hints;
		p->room_hints = room;
	}
	p->hints[p->nr_hints] = *task;
	if (!u64_map_set(&p->hint_by_task, task->task.v, p->nr_hints))
		return &vmtape_error_no_memory;
	p->nr_hints++;
	return NULL;
}

/* ---- answers --------------------------------------------------------- */

static void fill(struct processes *p, uint32_t i, struct call_thread *out)
{
	struct thread_entry *t = &p->threads[i];

	if (t->family_seen != p->family) {
		t->parent = processes_parent(p, &t->pub);
		t->family_seen = p->family;
	}
	out->pid = t->pub.pid;
	out->tid = t->pub.tid;
	out->ppid = t->parent;
	memcpy(out->comm, t->pub.comm, sizeof(out->comm));
	out->exe = t->pub.exe;
	out->uncertain = t->confirmed != p->gaps;
	out->cmdline = t->pub.cmdline;
	out->container = t->pub.container;
	out->pidns = t->pub.pidns;
	out->uid = t->pub.uid;
	out->uid_known = t->pub.uid_known;
	if (p->fds)
		out->cwd = process_fds_cwd(p, t->pub.tid, &out->cwd_uncertain);
}

/* Without a task word, an address space names the process, and the thread if it is the only one. */
static uint32_t by_address_space(const struct processes *p, const struct trap_view *view)
{
	uint64_t key = cr3_key(p, view->regs[TRAP_REG_CR3]);

	return key ? process_table_find(&p->by_cr3, key) : PROCESS_NONE;
}

void processes_identify(struct processes *p, const struct trap_view *view, struct call_thread *out)
{
	uint64_t task = view->regs[TRAP_REG_TASK], id = view->regs[TRAP_REG_TASK_ID];
	uint32_t i;

	*out = (struct call_thread){.task = task, .pid = -1, .tid = -1, .ppid = -1, .exe = ""};
	if (task) {
		i = process_table_find_task(p, task, view->header.vcpu);
		if (i != PROCESS_NONE && (!id || (int32_t)(uint32_t)id == p->threads[i].pub.tid)) {
			fill(p, i, out);
			return;
		}
		if (trap_view_has(view, TRAP_REG_TASK_ID)) {
			out->tid = (int32_t)(uint32_t)id;
			out->pid = (int32_t)(id >> 32);
		}
		return;
	}
	i = by_address_space(p, view);
	if (i == PROCESS_NONE)
		return;
	fill(p, i, out);
	i = process_table_find(&p->by_pid, id_key(out->pid));
	if (i == PROCESS_NONE || p->threads[i].next_mate != PROCESS_NONE)
		out->tid = -1;
}

const struct process_thread *processes_by_tid(const struct processes *p, int32_t tid)
{
	uint32_t i = process_table_find(&p->by_tid, id_key(tid));

	return i == PROCESS_NONE ? NULL : &p->threads[i].pub;
}

int32_t processes_parent(const struct processes *p, const struct process_thread *thread)
{
	const struct thread_entry *t = (const struct thread_entry *)thread;
	int32_t pid = thread->ppid;
	uint64_t died = 0, next;

	if (pid <= 0)
		return pid;
	if (process_table_find(&p->by_pid, id_key(pid)) != PROCESS_NONE) {
		const struct process_thread *parent = processes_by_tid(p, pid);

		if (!parent || !parent->zombie)
			return pid;
	} else if (!u64_map_get(&p->dead_tsc, id_key(pid), &died) || died < t->ppid_tsc) {
		return pid;
	}
	/* Adopted, as the kernel does it: by the nearest ancestor that is a subreaper, else by the first process. */
	for (int depth = 0; depth < 64 && pid > 1; depth++) {
		const struct process_thread *ancestor = processes_by_tid(p, pid);

		if (ancestor && ancestor->subreaper && !ancestor->zombie)
			return pid;
		if (ancestor)
			pid = ancestor->ppid;
		else if (u64_map_get(&p->dead_parent, id_key(pid), &next))
			pid = (int32_t)(uint32_t)next;
		else
			break;
	}
	return 1;
}

size_t processes_count(const struct processes *p)
{
	return p->count;
}

void processes_each(const struct processes *p, void (*each)(void *ctx, const struct process_thread *thread), void *ctx)
{
	for (uint32_t i = 0; i < p->used; i++)
		if (p->threads[i].used)
			each(ctx, &p->threads[i].pub);
}
