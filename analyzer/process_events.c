/* SPDX-License-Identifier: MIT */
/* What records tell about who runs: processes_before() and processes_after(). */
#include <string.h>

#include "linux/arg_decode.h"
#include "process_table.h"

#define CLONE_PARENT_FLAG       0x00008000ull
#define CLONE_NEWPID_BIT        0x20000000ull
#define CLONE_INTO_CGROUP_BIT   0x200000000ull
#define CLONE_THREAD_FLAG       0x00010000ull
#define PR_SET_CHILD_SUBREAPER_ 36
#define SIGCHLD_                17
#define CLD_DUMPED_             3
#define WNOWAIT_                0x01000000ull

static bool is_i386(const struct trap_view *view)
{
	return view->header.abi == TRAP_ABI_I386;
}

static uint64_t argument(const struct trap_view *view, int i)
{
	static const enum trap_reg x86_64[] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX, TRAP_REG_R10};
	static const enum trap_reg i386[] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX, TRAP_REG_RSI};

	return is_i386(view) ? (uint32_t)view->regs[i386[i]] : view->regs[x86_64[i]];
}

/* The fragment with this label, and at least so many bytes of it. */
static const uint8_t *labelled(const struct trap_view *view, uint8_t label, size_t least, struct trap_fragment *out)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != label || fragment.len_bytes < least)
			continue;
		*out = fragment;
		return bytes;
	}
	return NULL;
}

static uint64_t le(const uint8_t *bytes, int n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | bytes[n];
	return value;
}

/* ---- who runs -------------------------------------------------------- */

static void use_hint(struct processes *p, uint32_t i)
{
	struct thread_entry *t = &p->threads[i];
	const struct linux_task *hint;
	uint64_t at;

	if (!u64_map_get(&p->hint_by_task, t->pub.task, &at))
		return;
	hint = &p->hints[at];
	if (hint->pid != t->pub.tid || (t->pub.start_ns && hint->start_ns && t->pub.start_ns != hint->start_ns))
		return;
	if (!t->pub.comm[0])
		memcpy(t->pub.comm, hint->comm, sizeof(t->pub.comm));
	if (t->pub.ppid < 0)
		t->pub.ppid = hint->ppid;
	p->family++;
	if (!t->pub.start_ns)
		t->pub.start_ns = hint->start_ns;
	if (!t->pub.uid_known) {
		t->pub.uid = hint->uid;
		t->pub.uid_known = true;
	}
	if (!t->pub.exe[0] && !strcmp(t->pub.comm, hint->comm))
		t->pub.exe = process_table_string(p, hint->exe, strnlen(hint->exe, sizeof(hint->exe)));
}

/* execve makes its thread the first of the process, and gives it the start time of the one that was (de_thread()). */
static void become_first(struct processes *p, uint32_t i)
{
	process_table_rename(p, i, p->threads[i].pub.pid, p->threads[i].pub.pid);
	p->threads[i].pub.start_ns = 0;
}

/*
 * The entry of the thread that this record names. A task word with another id
 * is another thread in the same memory, but for execve, which makes the thread
 * the first of its process.
 */
static uint32_t thread_of(struct processes *p, const struct trap_view *view, bool *fresh)
{
	uint64_t task = view->regs[TRAP_REG_TASK], id = view->regs[TRAP_REG_TASK_ID];
	int32_t tid = (int32_t)(uint32_t)id, pid = (int32_t)(id >> 32);
	uint32_t i, other;

	*fresh = false;
	if (!task)
		return PROCESS_NONE;
	i = process_table_find_task(p, task, view->header.vcpu);
	if (!trap_view_has(view, TRAP_REG_TASK_ID) || tid <= 0 || pid <= 0)
		return i;
	if (i != PROCESS_NONE && p->threads[i].pub.tid == tid)
		return i;
	other = process_table_find(&p->by_tid, (uint32_t)tid);
	if (i != PROCESS_NONE && p->threads[i].role == CALL_ROLE_EXEC && p->threads[i].pub.pid == pid && pid == tid) {
		if (other != PROCESS_NONE)
			process_table_remove(p, other, view->header.tsc);
		become_first(p, i);
		return i;
	}
	if (i != PROCESS_NONE)
		process_table_remove(p, i, view->header.tsc);
	if (other != PROCESS_NONE && other != i) {
		if (!p->threads[other].pub.task && p->threads[other].pub.pid == pid) {
			p->threads[other].pub.task = task;
			u64_map_set(&p->by_task, task, other);
			return other;
		}
		process_table_remove(p, other, view->header.tsc);
	}
	*fresh = true;
	return process_table_add(p, task, pid, tid, view->header.tsc);
}

static void apply_identity(struct processes *p, const struct trap_view *view, uint32_t i, bool fresh)
{
	struct thread_entry *t = &p->threads[i];
	struct trap_fragment fragment;
	const uint8_t *bytes;

	bytes = labelled(view, PLAN_LABEL_START_TIME, 8, &fragment);
	if (bytes) {
		uint64_t start_ns = le(bytes, 8);

		if (t->pub.start_ns && start_ns && t->pub.start_ns != start_ns) {
			int32_t pid = t->pub.pid, tid = t->pub.tid;
			uint64_t task = t->pub.task;

			process_table_remove(p, i, view->header.tsc);
			i = process_table_add(p, task, pid, tid, view->header.tsc);
			if (i == PROCESS_NONE)
				return;
			t = &p->threads[i];
			fresh = true;
		}
		t->pub.start_ns = start_ns;
	}
	bytes = labelled(view, PLAN_LABEL_COMM, 1, &fragment);
	if (bytes) {
		size_t n = fragment.len_bytes < 16 ? fragment.len_bytes : 16;

		memset(t->pub.comm, 0, sizeof(t->pub.comm));
		memcpy(t->pub.comm, bytes, strnlen((const char *)bytes, n));
		process_table_confirm(p, t, view->header.tsc);
	}
	bytes = labelled(view, PLAN_LABEL_PARENT, 8, &fragment);
	if (bytes) {
		int32_t ppid = (int32_t)(le(bytes, 8) >> 32);

		p->family += t->pub.ppid != ppid;
		t->pub.ppid = ppid;
		t->ppid_tsc = view->header.tsc;
		t->family_seen = 0;
	}
	if (fresh) {
		use_hint(p, i);
		process_table_inherit(p, i);
	}
	if (bytes)
		process_fds_born(p, i, (int32_t)(uint32_t)le(bytes, 8));
	process_exe_apply(p, i, view);
}

void processes_doubt(struct processes *p, uint64_t until_tsc)
{
	p->gaps++;
	if (until_tsc > p->lossy_until)
		p->lossy_until = until_tsc;
}

struct vmtape_error *processes_before(struct processes *p, const struct trap_view *view)
{
	struct thread_entry *t;
	bool fresh;
	uint32_t i;

	if (view->header.type == TRAP_GAP) {
		struct trap_gap gap;

		trap_view_gap(view, &gap);
		processes_doubt(p, gap.last_tsc);
		return NULL;
	}
	if (view->header.type != TRAP_ENTER && view->header.type != TRAP_EXIT && view->header.type != TRAP_IDENTITY)
		return NULL;
	i = thread_of(p, view, &fresh);
	if (i == PROCESS_NONE)
		return NULL;
	t = &p->threads[i];
	t->pub.trapped = true;
	p->family += t->pub.zombie;
	t->pub.zombie = false;
	if (view->header.type == TRAP_IDENTITY) {
		apply_identity(p, view, i, fresh);
		return NULL;
	}
	if (fresh) {
		use_hint(p, i);
		process_table_inherit(p, i);
	}
	return NULL;
}

/* ---- what calls do --------------------------------------------------- */

/* Every thread of the process but this one is gone. */
static void end_mates(struct processes *p, uint32_t keep, uint64_t tsc)
{
	uint32_t at = process_table_find(&p->by_pid, (uint32_t)p->threads[keep].pub.pid);

	while (at != PROCESS_NONE) {
		uint32_t next = p->threads[at].next_mate;

		if (at != keep)
			process_table_remove(p, at, tsc);
		at = next;
	}
}

/* A path that is not absolute depends on a directory that is not known. */
static const char *exec_path(struct processes *p, const struct thread_entry *t, const uint8_t *path, size_t n)
{
	static const char self[] = "/proc/self/exe";

	if (n == sizeof(self) - 1 && !memcmp(path, self, n))
		return t->pub.exe;
	return path[0] == '/' ? process_table_string(p, path, n) : NULL;
}

/* fork and vfork: what their argument registers hold means nothing. clone3: the first 8 bytes of its structure. */
bool process_clone_flags(const struct trap_view *view, uint64_t *flags)
{
	uint32_t nr = trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]);
	struct trap_fragment fragment;
	const uint8_t *bytes;

	*flags = 0;
	if (is_i386(view) ? nr == 2 || nr == 190 : nr == 57 || nr == 58)
		return true;
	if (nr != 435) {
		*flags = argument(view, 0);
		return true;
	}
	bytes = labelled(view, PLAN_LABEL_ARG0, 8, &fragment);
	*flags = bytes ? le(bytes, 8) : 0;
	return bytes;
}

/* Of execve the path, execveat has a directory before that. */
static int exec_path_argument(uint8_t abi, uint32_t nr)
{
	static const uint32_t execveat[TRAP_ABIS] = {
		[TRAP_ABI_X86_64] = 322, [TRAP_ABI_X32] = 545, [TRAP_ABI_I386] = 358};

	return abi < TRAP_ABIS && nr == execveat[abi] ? 1 : 0;
}

/* The arguments of an execve, joined by blanks; NULL: not all were captured. The generic plan takes no strings. */
static const char *exec_cmdline(struct processes *p, const struct trap_view *view, int label)
{
	char text[1024];
	size_t len = 0, position = 0, seen = 0;
	struct trap_fragment fragment;
	const uint8_t *bytes;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != label)
			continue;
		if ((fragment.status & ~TRAP_FRAG_AGAIN) != TRAP_FRAG_WHOLE)
			return NULL;
		if (!seen++) /* the array itself */
			continue;
		if (len + fragment.len_bytes + 1 >= sizeof(text))
			return NULL;
		if (seen > 2)
			text[len++] = ' ';
		memcpy(text + len, bytes, strnlen((const char *)bytes, fragment.len_bytes));
		len += strnlen((const char *)bytes, fragment.len_bytes);
	}
	return seen > 1 ? process_table_cmdline(p, text, len) : NULL;
}

static void enter_call(struct processes *p, uint32_t i, const struct trap_view *view, enum call_role role)
{
	struct thread_entry *t = &p->threads[i];
	struct trap_fragment fragment;
	const uint8_t *bytes;

	t->pub.in_call = true;
	t->pub.call_abi = view->header.abi;
	t->pub.call_nr = trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]);
	t->role = role;
	if (role == CALL_ROLE_NONE)
		return;
	t->exec_path = NULL;
	t->exec_cmdline = NULL;
	t->exe_told = false;
	for (int a = 0; a < 3; a++)
		t->args[a] = argument(view, a);
	if (role == CALL_ROLE_EXEC) {
		int path = exec_path_argument(t->pub.call_abi, t->pub.call_nr);

		bytes = labelled(view, (uint8_t)(PLAN_LABEL_ARG0 + path), 1, &fragment);
		if (bytes && (fragment.status & ~TRAP_FRAG_AGAIN) == TRAP_FRAG_WHOLE)
			t->exec_path = exec_path(p, t, bytes, fragment.len_bytes);
		if (p->fds)
			t->exec_cmdline = exec_cmdline(p, view, PLAN_LABEL_ARG0 + path + 1);
	} else if (role == CALL_ROLE_FORK) {
		t->clone_flags_known = process_clone_flags(view, &t->clone_flags);
	} else if (role == CALL_ROLE_EXIT_GROUP) {
		t->pub.zombie = true;
		p->family++;
		end_mates(p, i, view->header.tsc);
		process_fds_gone(p, i);
		if (t->pub.tid != t->pub.pid)
			process_table_rename(p, i, t->pub.pid, t->pub.pid);
	} else if (role == CALL_ROLE_EXIT) {
		bool last = t->next_mate == PROCESS_NONE && process_table_find(&p->by_pid, (uint32_t)t->pub.pid) == i;

		/* The first thread's place is held until the whole process has ended. */
		if (last || t->pub.tid == t->pub.pid) {
			t->pub.zombie = true;
			p->family++;
			process_fds_gone(p, i);
		} else {
			process_table_remove(p, i, view->header.tsc);
		}
	}
}

static void exec_done(struct processes *p, uint32_t i, const struct trap_view *view)
{
	struct thread_entry *t = &p->threads[i];
	uint64_t tsc = view->header.tsc;
	const char *cmdline;

	end_mates(p, i, tsc);
	if (t->pub.tid != t->pub.pid)
		become_first(p, i);
	if (!t->exe_told)
		t->pub.exe = t->exec_path ? t->exec_path : "";
	/* The new program's own stack has it whole, where the caller's strings may not have been in memory. */
	cmdline = p->fds ? exec_cmdline(p, view,
					PLAN_LABEL_DEEP0 + exec_path_argument(t->pub.call_abi, t->pub.call_nr) + 1)
			 : NULL;
	t->pub.cmdline = cmdline ? cmdline : t->exec_cmdline ? t->exec_cmdline : "";
	process_fds_executed(p, i);
	if (t->pub.cr3 && process_table_find(&p->by_cr3, t->pub.cr3 & p->cr3_mask & 0x000ffffffffff000ull) == i)
		u64_map_remove(&p->by_cr3, t->pub.cr3 & p->cr3_mask & 0x000ffffffffff000ull);
	t->pub.cr3 = 0;
}

/* Namespace of process ids and container of what a fork has made. */
static void inherit_place(struct processes *p, uint32_t from, uint32_t to, uint64_t flags)
{
	const struct process_thread *parent = &p->threads[from].pub;
	struct process_thread *child = &p->threads[to].pub;

	child->pidns = flags & CLONE_THREAD_FLAG ? parent->pidns : flags & CLONE_NEWPID_BIT ? 0 : parent->child_pidns;
	child->child_pidns = flags & CLONE_THREAD_FLAG ? parent->child_pidns : child->pidns;
	child->container = flags & CLONE_INTO_CGROUP_BIT ? "" : parent->container;
}

static void fork_done(struct processes *p, uint32_t i, const struct trap_view *view, int32_t child)
{
	uint64_t flags = p->threads[i].clone_flags;
	bool thread = flags & CLONE_THREAD_FLAG;
	uint32_t at;

	/* The child may have run before its parent came back. */
	at = process_table_find(&p->by_tid, (uint32_t)child);
	if (at != PROCESS_NONE) {
		if (!p->threads[at].pub.pidns && p->threads[i].clone_flags_known)
			inherit_place(p, i, at, flags);
		process_fds_forked(p, i, at);
		return;
	}
	/* A thread, or a process: it tells itself when it runs. */
	if (!p->threads[i].clone_flags_known)
		return;
	at = process_table_add(p, 0, thread ? p->threads[i].pub.pid : child, child, view->header.tsc);
	if (at == PROCESS_NONE)
		return;
	memcpy(p->threads[at].pub.comm, p->threads[i].pub.comm, sizeof(p->threads[at].pub.comm));
	p->threads[at].pub.exe = p->threads[i].pub.exe;
	p->threads[at].pub.cmdline = p->threads[i].pub.cmdline;
	inherit_place(p, i, at, flags);
	process_fds_forked(p, i, at);
	p->threads[at].pub.uid = p->threads[i].pub.uid;
	p->threads[at].pub.uid_known = p->threads[i].pub.uid_known;
	p->threads[at].pub.ppid = thread || flags & CLONE_PARENT_FLAG ? p->threads[i].pub.ppid : p->threads[i].pub.pid;
	p->threads[at].ppid_tsc = view->header.tsc;
	p->family++;
	p->threads[at].confirmed = p->threads[i].confirmed;
}

/* The parent has taken the end of this process. */
static void reap(struct processes *p, int32_t parent, int32_t pid, uint64_t tsc)
{
	uint32_t i = process_table_find(&p->by_tid, (uint32_t)pid);

	/* A tracer, too, waits for processes; they end only for their parent. */
	if (i == PROCESS_NONE || p->threads[i].pub.pid != pid || processes_parent(p, &p->threads[i].pub) != parent)
		return;
	end_mates(p, i, tsc);
	process_table_remove(p, i, tsc);
}

static void wait4_done(struct processes *p, uint32_t i, const struct trap_view *view, int32_t pid)
{
	const struct thread_entry *t = &p->threads[i];
	const struct process_thread *child = processes_by_tid(p, pid);
	struct trap_fragment fragment;
	const uint8_t *bytes = labelled(view, PLAN_LABEL_ARG0 + 1, 4, &fragment);
	bool ended;

	if (bytes) {
		uint32_t status = (uint32_t)le(bytes, 4);

		ended = (status & 0xff) != 0x7f && status != 0xffff;
	} else {
		ended = child && child->zombie;
	}
	if (ended)
		reap(p, t->pub.pid, pid, view->header.tsc);
}

static void waitid_done(struct processes *p, uint32_t i, const struct trap_view *view)
{
	const struct thread_entry *t = &p->threads[i];
	struct trap_fragment fragment;
	/* siginfo_t: si_signo, si_errno, si_code, (padding on 64 bits,) si_pid */
	size_t pid_at = is_i386(view) ? 12 : 16;
	const uint8_t *info = labelled(view, PLAN_LABEL_ARG0 + 2, pid_at + 4, &fragment);
	uint64_t options = argument(view, 3);

	if (!info || le(info, 4) != SIGCHLD_ || le(info + 8, 4) - 1 >= CLD_DUMPED_)
		return;
	if (trap_view_has(view, is_i386(view) ? TRAP_REG_RSI : TRAP_REG_R10) && (options & WNOWAIT_))
		return;
	reap(p, t->pub.pid, (int32_t)(uint32_t)le(info + pid_at, 4), view->header.tsc);
}

/* A call that a signal found at its end has its result in the handler's frame. */
static int64_t diverted_result(const struct trap_view *view, int64_t ret)
{
	struct call call = {.has_exit = true};

	call.exit = *view;
	return call_sigframe_result(&call, &ret) ? ret : -1;
}

static int64_t result_of(const struct trap_view *view, enum call_role role)
{
	int64_t ret = is_i386(view) ? (int32_t)(uint32_t)view->regs[TRAP_REG_RAX] : (int64_t)view->regs[TRAP_REG_RAX];

	return view->header.flags & TRAP_F_DIVERTED && role != CALL_ROLE_EXEC ? diverted_result(view, ret) : ret;
}

/*
 * An exit whose call is known, and is another one: that one's entry was not seen. execve may return to another ABI,
 * where its number is another one.
 */
static bool is_of_other_call(const struct process_thread *t, enum call_role role, const struct trap_view *exit)
{
	return trap_view_has(exit, TRAP_REG_NR) && (role != CALL_ROLE_EXEC || exit->header.abi == t->call_abi) &&
	       trap_syscall_nr(exit->header.abi, exit->regs[TRAP_REG_NR]) != t->call_nr;
}

static void exit_call(struct processes *p, uint32_t i, const struct trap_view *view)
{
	struct thread_entry *t = &p->threads[i];
	enum call_role role = t->role;
	bool was_in_call = t->pub.in_call;
	int64_t ret;

	t->pub.in_call = false;
	t->role = CALL_ROLE_NONE;
	if (!was_in_call || role == CALL_ROLE_NONE || is_of_other_call(&t->pub, role, view))
		return;
	ret = result_of(view, role);
	if (role == CALL_ROLE_EXEC && ret == 0)
		exec_done(p, i, view);
	else if (role == CALL_ROLE_FORK && ret > 0 && ret <= INT32_MAX)
		fork_done(p, i, view, (int32_t)ret);
	else if (role == CALL_ROLE_WAIT4 && ret > 0 && ret <= INT32_MAX)
		wait4_done(p, i, view, (int32_t)ret);
	else if (role == CALL_ROLE_WAITID && ret == 0)
		waitid_done(p, i, view);
	else if (role == CALL_ROLE_PRCTL && ret == 0 && t->args[0] == PR_SET_CHILD_SUBREAPER_) {
		t->pub.subreaper = t->args[1] != 0;
		p->family++;
	}
}

struct vmtape_error *processes_after(struct processes *p, const struct trap_view *view, enum call_role role)
{
	uint32_t i;

	if (view->header.type != TRAP_ENTER && view->header.type != TRAP_EXIT)
		return NULL;
	i = view->regs[TRAP_REG_TASK] ? process_table_find_task(p, view->regs[TRAP_REG_TASK], view->header.vcpu)
				      : PROCESS_NONE;
	if (i == PROCESS_NONE)
		return NULL;
	if (view->header.type == TRAP_ENTER)
		enter_call(p, i, view, role);
	else if (view->header.type == TRAP_EXIT)
		exit_call(p, i, view);
	return NULL;
}
