/* SPDX-License-Identifier: MIT */
/* test_processes.c - the table of threads: identity, fork, exec, exit, wait, adoption, snapshots, gaps. */
#include "call_fixture.h"
#include "check.h"
#include "processes.h"

#define NR_READ       0
#define NR_CLONE      56
#define NR_EXECVE     59
#define NR_EXIT       60
#define NR_WAIT4      61
#define NR_PRCTL      157
#define NR_EXIT_GROUP 231

#define CLONE_THREAD_FLAGS 0x3d0f00

static uint64_t gone_tasks[16];
static size_t nr_gone;

static void on_gone(void *ctx, uint64_t task)
{
	CHECK(nr_gone < 16);
	gone_tasks[nr_gone++] = task;
}

static struct processes *table(void)
{
	struct processes *p;

	nr_gone = 0;
	FIXTURE_OK(processes_create(&p, on_gone, NULL));
	return p;
}

static void feed(struct processes *p, struct fixture_record r)
{
	struct trap_view view = fixture_view(&r);
	enum call_role role =
		r.type == TRAP_ENTER ? call_role_of(linux_syscall_name(r.abi, (uint32_t)r.nr)) : CALL_ROLE_NONE;

	FIXTURE_OK(processes_before(p, &view));
	FIXTURE_OK(processes_after(p, &view, role));
}

static void identity(struct processes *p, uint64_t tsc, int32_t pid, int32_t tid, const char *comm, int32_t ppid,
		     uint64_t start_ns)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, 0);
	uint64_t parent = (uint64_t)ppid << 32 | (uint32_t)ppid;
	char name[16] = {0};

	memcpy(name, comm, strlen(comm));
	r.type = TRAP_IDENTITY;
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = name, .len_bytes = 16};
	r.fragments[1] = (struct fixture_fragment){.label = PLAN_LABEL_PARENT, .bytes = &parent, .len_bytes = 8};
	r.fragments[2] = (struct fixture_fragment){.label = PLAN_LABEL_START_TIME, .bytes = &start_ns, .len_bytes = 8};
	r.nr_fragments = 3;
	feed(p, r);
}

static struct call_thread who(struct processes *p, int32_t pid, int32_t tid)
{
	struct fixture_record r = fixture_enter(0, pid, tid, NR_READ);
	struct trap_view view = fixture_view(&r);
	struct call_thread thread;

	processes_identify(p, &view, &thread);
	return thread;
}

static void call(struct processes *p, uint64_t tsc, int32_t pid, int32_t tid, uint64_t nr, int64_t ret)
{
	feed(p, fixture_enter(tsc, pid, tid, nr));
	feed(p, fixture_exit(tsc + 1, pid, tid, nr, ret));
}

static void execute(struct processes *p, uint64_t tsc, int32_t pid, int32_t tid, const char *path, int64_t ret)
{
	struct fixture_record r = fixture_enter(tsc, pid, tid, NR_EXECVE);

	r.fragments[0] =
		(struct fixture_fragment){.label = PLAN_LABEL_ARG0, .bytes = path, .len_bytes = (uint16_t)strlen(path)};
	r.nr_fragments = 1;
	feed(p, r);
	if (!ret && pid != tid) {
		r = fixture_exit(tsc + 1, pid, tid, NR_EXECVE, ret);
		r.tid = pid;
		r.flags = TRAP_F_DIVERTED;
		feed(p, r);
		return;
	}
	feed(p, fixture_exit(tsc + 1, pid, tid, NR_EXECVE, ret));
}

static void wait_for(struct processes *p, uint64_t tsc, int32_t pid, int32_t child, uint32_t status)
{
	struct fixture_record r = fixture_exit(tsc + 1, pid, pid, NR_WAIT4, child);

	feed(p, fixture_enter(tsc, pid, pid, NR_WAIT4));
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_ARG0 + 1, .bytes = &status, .len_bytes = 4};
	r.nr_fragments = 1;
	feed(p, r);
}

static void test_fork_exec_wait(void)
{
	struct processes *p = table();
	const struct process_thread *child;

	CHECK_INT(who(p, 10, 10).pid, 10);
	CHECK_STR(who(p, 10, 10).comm, "");
	identity(p, 1, 10, 10, "sh", 1, 1000);
	execute(p, 2, 10, 10, "/bin/sh", 0);
	CHECK_STR(who(p, 10, 10).exe, "/bin/sh");
	CHECK_INT(who(p, 10, 10).ppid, 1);

	/* Known by its parent's return before it has run. */
	call(p, 4, 10, 10, NR_CLONE, 11);
	child = processes_by_tid(p, 11);
	CHECK(child && !child->task);
	CHECK_INT(child->ppid, 10);
	CHECK_STR(child->comm, "sh");
	identity(p, 6, 11, 11, "sh", 10, 2000);
	CHECK_INT(processes_count(p), 2);
	CHECK_STR(who(p, 11, 11).exe, "/bin/sh");

	/* A failed execve changes nothing; one of a relative path leaves the program unknown. */
	execute(p, 8, 11, 11, "/usr/bin/cat", -2);
	CHECK_STR(who(p, 11, 11).exe, "/bin/sh");
	execute(p, 10, 11, 11, "./cat", 0);
	CHECK_STR(who(p, 11, 11).exe, "");
	execute(p, 12, 11, 11, "/usr/bin/cat", 0);
	CHECK_STR(who(p, 11, 11).exe, "/usr/bin/cat");

	/* A program that starts itself again is the same program. */
	execute(p, 13, 11, 11, "/proc/self/exe", 0);
	CHECK_STR(who(p, 11, 11).exe, "/usr/bin/cat");

	/* Stopped is not ended. */
	wait_for(p, 14, 10, 11, 0x137f);
	CHECK(processes_by_tid(p, 11));
	feed(p, fixture_enter(16, 11, 11, NR_EXIT_GROUP));
	CHECK(processes_by_tid(p, 11)->zombie);
	/* A tracer's wait is not the parent's. */
	identity(p, 17, 50, 50, "strace", 1, 100);
	wait_for(p, 18, 50, 11, 0);
	CHECK(processes_by_tid(p, 11));
	wait_for(p, 20, 10, 11, 0);
	CHECK(!processes_by_tid(p, 11));
	processes_destroy(p);
}

/* The fork's exit and the next entry were lost: an exit with another number is not its result. */
static void test_exit_of_other_call(void)
{
	struct processes *p = table();
	struct fixture_record execve = fixture_enter(20, 10, 10, NR_EXECVE), other;

	feed(p, fixture_enter(10, 10, 10, NR_CLONE));
	feed(p, fixture_exit(11, 10, 10, NR_READ, 12));
	CHECK(!processes_by_tid(p, 12));
	CHECK(!processes_by_tid(p, 10)->in_call);
	call(p, 12, 10, 10, NR_CLONE, 12);
	CHECK(processes_by_tid(p, 12));
	execve.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_ARG0, .bytes = "/a", .len_bytes = 2};
	execve.nr_fragments = 1;
	feed(p, execve);
	feed(p, fixture_exit(21, 10, 10, NR_READ, 0));
	CHECK_STR(who(p, 10, 10).exe, "");
	/* A 32-bit program begins; the number is that of its ABI, or of the caller's. */
	feed(p, execve);
	other = fixture_exit(22, 10, 10, 11, 0);
	other.abi = TRAP_ABI_I386;
	feed(p, other);
	CHECK_STR(who(p, 10, 10).exe, "/a");
	processes_destroy(p);
}

static void test_threads(void)
{
	struct fixture_record r;
	struct processes *p = table();

	identity(p, 1, 20, 20, "server", 1, 1000);
	r = fixture_enter(2, 20, 20, NR_CLONE);
	r.args[0] = CLONE_THREAD_FLAGS;
	feed(p, r);
	feed(p, fixture_exit(3, 20, 20, NR_CLONE, 21));
	CHECK_INT(processes_by_tid(p, 21)->pid, 20);
	CHECK_INT(processes_by_tid(p, 21)->ppid, 1);
	identity(p, 4, 20, 21, "worker", 1, 2000);
	identity(p, 5, 20, 22, "worker", 1, 3000);
	CHECK_INT(who(p, 20, 21).tid, 21);
	CHECK_STR(who(p, 20, 21).comm, "worker");

	/* One thread ends, the others stay. */
	feed(p, fixture_enter(6, 20, 22, NR_EXIT));
	CHECK(!processes_by_tid(p, 22));
	CHECK_INT(processes_count(p), 2);

	/* execve of the second thread: the first is gone, its id and start time live on. */
	nr_gone = 0;
	execute(p, 7, 20, 21, "/bin/true", 0);
	CHECK_INT(nr_gone, 1);
	CHECK(gone_tasks[0] == 0xffff888000000000ull + 20 * 0x1000);
	CHECK_INT(processes_count(p), 1);
	CHECK(processes_by_tid(p, 20)->task == 0xffff888000000000ull + 21 * 0x1000);
	CHECK_STR(processes_by_tid(p, 20)->exe, "/bin/true");
	processes_destroy(p);
}

/* The producer tells the new identity before the exit: it is the same thread all the same. */
static void test_exec_identity(void)
{
	struct fixture_record enter = fixture_enter(3, 25, 26, NR_EXECVE),
			      exit_record = fixture_exit(5, 25, 26, NR_EXECVE, 0), told = fixture_enter(4, 25, 25, 0);
	struct processes *p = table();
	uint64_t start_ns = 1000;

	identity(p, 1, 25, 25, "first", 1, 1000);
	identity(p, 2, 25, 26, "second", 1, 2000);
	feed(p, enter);
	nr_gone = 0;
	told.type = TRAP_IDENTITY;
	told.task = enter.task;
	told.fragments[0] =
		(struct fixture_fragment){.label = PLAN_LABEL_START_TIME, .bytes = &start_ns, .len_bytes = 8};
	told.nr_fragments = 1;
	feed(p, told);
	CHECK_INT(nr_gone, 1);
	CHECK(gone_tasks[0] != enter.task);
	exit_record.tid = 25;
	exit_record.flags = TRAP_F_DIVERTED;
	feed(p, exit_record);
	CHECK_INT(nr_gone, 1);
	CHECK_INT(processes_count(p), 1);
	CHECK(processes_by_tid(p, 25)->task == enter.task);
	processes_destroy(p);
}

static void test_adoption(void)
{
	struct fixture_record r;
	struct processes *p = table();

	identity(p, 1, 1, 1, "init", 0, 1);
	identity(p, 2, 30, 30, "manager", 1, 2);
	identity(p, 3, 31, 31, "shell", 30, 3);
	identity(p, 4, 32, 32, "daemon", 31, 4);
	feed(p, fixture_enter(5, 31, 31, NR_EXIT_GROUP));
	CHECK_INT(who(p, 32, 32).ppid, 1);
	wait_for(p, 6, 30, 31, 0);
	CHECK_INT(who(p, 32, 32).ppid, 1);
	/* Another process gets the id later: it is nobody's parent. */
	identity(p, 8, 31, 31, "other", 30, 8);
	CHECK_INT(who(p, 31, 31).ppid, 30);
	feed(p, fixture_enter(9, 31, 31, NR_EXIT_GROUP));

	/* A subreaper takes the place of the first process. */
	r = fixture_enter(10, 30, 30, NR_PRCTL);
	r.args[0] = 36;
	r.args[1] = 1;
	feed(p, r);
	feed(p, fixture_exit(11, 30, 30, NR_PRCTL, 0));
	identity(p, 12, 33, 33, "shell", 30, 12);
	identity(p, 13, 34, 34, "daemon", 33, 13);
	feed(p, fixture_enter(14, 33, 33, NR_EXIT_GROUP));
	CHECK_INT(who(p, 34, 34).ppid, 30);
	processes_destroy(p);
}

static struct linux_task task_of(int32_t pid, int32_t tid, const char *comm, int32_t ppid, uint64_t start_ns)
{
	struct linux_task task = {
		.task = GVA(0xffff888000000000ull + (uint64_t)tid * 0x1000),
		.pid = tid,
		.tgid = pid,
		.ppid = ppid,
		.start_ns = start_ns,
		.uid = 7,
		.cr3 = 0x1000000ull + (uint64_t)pid * 0x2000,
		.exe = "/sbin/thing",
	};

	memcpy(task.comm, comm, strlen(comm));
	return task;
}

static void test_snapshots(void)
{
	struct linux_task init = task_of(1, 1, "init", 0, 1), idle = task_of(40, 40, "idle", 1, 2),
			  busy = task_of(41, 41, "busy", 1, 3);
	struct processes *p = table();
	struct fixture_record r;
	struct trap_view view;
	struct call_thread thread;

	identity(p, 1, 42, 42, "ended", 1, 3);
	call(p, 2, 42, 42, NR_CLONE, 43);
	processes_snapshot_begin(p, 10);
	FIXTURE_OK(processes_snapshot_add(p, &init));
	FIXTURE_OK(processes_snapshot_add(p, &idle));
	FIXTURE_OK(processes_snapshot_add(p, &busy));
	processes_snapshot_end(p, true);
	CHECK_INT(processes_count(p), 3);
	CHECK(!processes_by_tid(p, 42) && !processes_by_tid(p, 43));
	CHECK_INT(processes_by_tid(p, 40)->uid, 7);
	CHECK_STR(who(p, 40, 40).exe, "/sbin/thing");

	/* Without a task word, the address space names the process. */
	r = fixture_enter(11, 41, 41, NR_READ);
	r.task = 0;
	r.cr3 |= 0x1003;
	view = fixture_view(&r);
	processes_identify(p, &view, &thread);
	CHECK_INT(thread.pid, -1);
	processes_set_cr3_mask(p, ~0x1fffull);
	processes_identify(p, &view, &thread);
	CHECK_INT(thread.pid, 41);
	CHECK_INT(thread.tid, 41);

	/* The same memory, another thread: born later. */
	busy.start_ns = 999;
	memcpy(busy.comm, "fresh", 6);
	processes_snapshot_begin(p, 20);
	FIXTURE_OK(processes_snapshot_add(p, &busy));
	processes_snapshot_end(p, false);
	CHECK_STR(who(p, 41, 41).comm, "fresh");
	processes_destroy(p);
}

static void test_hints(void)
{
	struct linux_task task = task_of(60, 60, "daemon", 1, 5), other = task_of(61, 61, "sh", 1, 6);
	struct processes *p = table();

	FIXTURE_OK(processes_hint(p, &task));
	FIXTURE_OK(processes_hint(p, &other));
	call(p, 1, 60, 60, NR_READ, 0);
	CHECK_STR(who(p, 60, 60).comm, "daemon");
	CHECK_STR(who(p, 60, 60).exe, "/sbin/thing");
	CHECK_INT(who(p, 60, 60).ppid, 1);
	/* It had another name then: the snapshot's program is a later one. */
	identity(p, 2, 61, 61, "login", 1, 6);
	CHECK_STR(who(p, 61, 61).comm, "login");
	CHECK_STR(who(p, 61, 61).exe, "");
	processes_destroy(p);
}

static void test_gap(void)
{
	struct fixture_record gap = {.type = TRAP_GAP, .tsc = 5, .gap = {.lost_records = 1}};
	struct processes *p = table();

	identity(p, 1, 70, 70, "cat", 1, 1);
	CHECK(!who(p, 70, 70).uncertain);
	feed(p, gap);
	CHECK(who(p, 70, 70).uncertain);
	identity(p, 6, 70, 70, "dog", 1, 1);
	CHECK(!who(p, 70, 70).uncertain);
	CHECK_STR(who(p, 70, 70).comm, "dog");
	processes_destroy(p);
}

/* Something was not told of, up to a time: what is told from then on is certain. */
static void test_doubt(void)
{
	struct processes *p = table();

	identity(p, 10, 20, 20, "a", 1, 100);
	identity(p, 11, 21, 21, "b", 1, 101);
	identity(p, 12, 22, 22, "c", 1, 102);
	CHECK(!who(p, 20, 20).uncertain);
	processes_doubt(p, 50);
	CHECK(who(p, 20, 20).uncertain);
	identity(p, 40, 21, 21, "b", 1, 101);
	identity(p, 50, 22, 22, "c", 1, 102);
	CHECK(who(p, 20, 20).uncertain && who(p, 21, 21).uncertain && !who(p, 22, 22).uncertain);
	processes_destroy(p);
}

static void test_reused_memory(void)
{
	struct processes *p = table();
	struct fixture_record r;

	identity(p, 1, 80, 80, "old", 1, 1);
	nr_gone = 0;
	r = fixture_enter(2, 80, 80, NR_READ);
	r.pid = r.tid = 81;
	feed(p, r);
	CHECK_INT(nr_gone, 1);
	CHECK(!processes_by_tid(p, 80));
	CHECK_STR(processes_by_tid(p, 81)->comm, "");
	/* Same ids, but born again. */
	identity(p, 3, 82, 82, "one", 1, 5);
	identity(p, 4, 82, 82, "two", 1, 6);
	CHECK_INT(nr_gone, 2);
	CHECK_STR(who(p, 82, 82).comm, "two");
	processes_destroy(p);
}

static bool spell_path(void *ctx, uint64_t tsc, const struct process_exe *exe, char *out, size_t size_bytes)
{
	unsigned *asked = ctx;

	++*asked;
	CHECK_INT(exe->mnt, 0x1111);
	/* the last one's dentry has become another file's */
	snprintf(out, size_bytes, "%s", exe->dentry == 0x2222 ? "/usr/bin/busybox" : "/etc/other");
	return exe->dentry != 0x4444;
}

/* The identity record that an execve is followed by. */
static void tell_exe(struct processes *p, uint64_t tsc, int32_t pid, uint64_t dentry, const char *name)
{
	struct fixture_record r = fixture_enter(tsc, pid, pid, 0);
	uint64_t path[2] = {0x1111, dentry};

	r.type = TRAP_IDENTITY;
	r.fragments[0] = (struct fixture_fragment){.label = PLAN_LABEL_EXE, .bytes = path, .len_bytes = 16};
	r.fragments[1] =
		(struct fixture_fragment){.label = PLAN_LABEL_EXE, .bytes = name, .len_bytes = (uint16_t)strlen(name)};
	r.nr_fragments = 2;
	feed(p, r);
}

static void test_executable(void)
{
	static const struct {
		const char *path;
		uint64_t dentry;
		const char *name, *exe;
	} cases[] = {
		{"/root/script.sh", 0x2222, "busybox", "/usr/bin/busybox"},
		{"/bin/tool", 0x3333, "tool", "/bin/tool"}, /* found another's name, but what was executed fits */
		{"/bin/link", 0x3333, "tool", ""},
		{"/bin/tool", 0x4444, "tool", "/bin/tool"}, /* not in any snapshot */
		{"/root/script.sh", 0x4444, "sh", ""},
		{"relative", 0x2222, "busybox", "/usr/bin/busybox"},
	};
	struct processes *p = table();
	unsigned asked = 0;

	processes_set_exe(p, spell_path, &asked);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture_record r = fixture_enter(10 * i + 1, 10, 10, NR_EXECVE);

		r.fragments[0] = (struct fixture_fragment){
			.label = PLAN_LABEL_ARG0, .bytes = cases[i].path, .len_bytes = (uint16_t)strlen(cases[i].path)};
		r.nr_fragments = 1;
		feed(p, r);
		tell_exe(p, 10 * i + 2, 10, cases[i].dentry, cases[i].name);
		feed(p, fixture_exit(10 * i + 3, 10, 10, NR_EXECVE, 0));
		CHECK_STR(who(p, 10, 10).exe, cases[i].exe);
	}
	CHECK_INT(asked, 5); /* the last one was known already */
	processes_destroy(p);
}

int main(void)
{
	test_fork_exec_wait();
	test_exit_of_other_call();
	test_executable();
	test_threads();
	test_exec_identity();
	test_adoption();
	test_snapshots();
	test_hints();
	test_gap();
	test_doubt();
	test_reused_memory();
	return 0;
}
