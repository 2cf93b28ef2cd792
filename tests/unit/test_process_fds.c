/* SPDX-License-Identifier: MIT */
/* test_process_fds.c - descriptors followed from call to call: open, dup, fork, exec, threads, sockets, gaps, races. */
#include "call_fd_text.h"
#include "call_fixture.h"
#include "check.h"
#include "process_fds.h"

#define NR_READ        0
#define NR_OPEN        2
#define NR_CLOSE       3
#define NR_PIPE        22
#define NR_DUP2        33
#define NR_SOCKET      41
#define NR_CONNECT     42
#define NR_ACCEPT      43
#define NR_BIND        49
#define NR_LISTEN      50
#define NR_CLONE       56
#define NR_FORK        57
#define NR_EXECVE      59
#define NR_FCNTL       72
#define NR_CHDIR       80
#define NR_CHROOT      161
#define NR_OPENAT      257
#define NR_IO_URING    425
#define NR_CLONE3      435
#define NR_CLOSE_RANGE 436
#define O_CLOEXEC_     02000000
#define THREAD_FLAGS   0x3d0f00
#define AT_FDCWD_      ((uint64_t)-100)

static struct processes *p;
static struct linux_syscall syscalls[512];
static struct fd_call calls[512];
static struct call_fds last;    /* of the latest record */
static bool last_cwd_uncertain; /* at shown() */

static void on_gone(void *ctx, uint64_t task)
{
}

static const struct fd_call *spec(uint64_t nr)
{
	CHECK(nr < 512);
	if (!syscalls[nr].name) {
		syscalls[nr] = (struct linux_syscall){
			.nr = (uint32_t)nr, .name = linux_syscall_name(TRAP_ABI_X86_64, (uint32_t)nr), .nr_args = -1};
		fd_call_of(&syscalls[nr], &calls[nr]);
	}
	return &calls[nr];
}

static void feed(struct fixture_record r)
{
	struct trap_view view = fixture_view(&r);
	enum call_role role =
		r.type == TRAP_ENTER ? call_role_of(linux_syscall_name(r.abi, (uint32_t)r.nr)) : CALL_ROLE_NONE;

	FIXTURE_OK(processes_before(p, &view));
	call_fds_release(&last);
	last = (struct call_fds){0};
	if (r.type == TRAP_ENTER)
		process_fds_enter(p, &view, spec(r.nr), &last);
	else if (r.type == TRAP_EXIT)
		process_fds_exit(p, &view, spec(r.nr), &last);
	FIXTURE_OK(processes_after(p, &view, role));
}

static void start(void)
{
	FIXTURE_OK(processes_create(&p, on_gone, NULL));
	CHECK(process_fds_want(p));
}

static void stop(void)
{
	call_fds_release(&last);
	last = (struct call_fds){0};
	processes_destroy(p);
}

static uint64_t now;

static struct fixture_record entry(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct fixture_record r = fixture_enter(++now, pid, tid, nr);

	r.args[0] = a;
	r.args[1] = b;
	r.args[2] = c;
	return r;
}

static void with_bytes(struct fixture_record *r, uint8_t label, const void *bytes, size_t n)
{
	r->fragments[r->nr_fragments++] = (struct fixture_fragment){
		.label = label, .status = TRAP_FRAG_WHOLE, .gva = 0x1000, .bytes = bytes, .len_bytes = (uint16_t)n};
}

static void enter_open(int32_t pid, int32_t tid, const char *path, uint64_t flags)
{
	struct fixture_record r = entry(pid, tid, NR_OPENAT, AT_FDCWD_, 0x1000, flags);

	with_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	feed(r);
}

static void leave(int32_t pid, int32_t tid, uint64_t nr, int64_t ret)
{
	feed(fixture_exit(++now, pid, tid, nr, ret));
}

static void open_file(int32_t pid, const char *path, uint64_t flags, int64_t fd)
{
	enter_open(pid, pid, path, flags);
	leave(pid, pid, NR_OPENAT, fd);
}

static void call(int32_t pid, int32_t tid, uint64_t nr, uint64_t a, uint64_t b, int64_t ret)
{
	feed(entry(pid, tid, nr, a, b, 0));
	leave(pid, tid, nr, ret);
}

/* "name", "name?" if it is uncertain, "-" if it is not known. */
static const char *shown(int32_t pid, int32_t tid, uint64_t fd)
{
	static struct strbuf text;

	feed(entry(pid, tid, NR_READ, fd, 0, 0));
	last_cwd_uncertain = last.cwd_uncertain;
	strbuf_reset(&text);
	if (!last.objects[0])
		strbuf_put(&text, "-");
	else
		fd_object_put_label(last.objects[0], &text);
	if (last.uncertain & 1)
		strbuf_put_char(&text, '?');
	leave(pid, tid, NR_READ, 0);
	return text.data;
}

static void gap(uint64_t last_tsc)
{
	struct fixture_record r = {.type = TRAP_GAP, .tsc = ++now};

	r.gap = (struct trap_gap){.lost_records = 3, .first_tsc = now, .last_tsc = last_tsc ? last_tsc : now};
	feed(r);
}

static void identity(int32_t pid, int32_t tid, int32_t parent)
{
	struct fixture_record r = fixture_enter(++now, pid, tid, 0);
	uint64_t word = (uint64_t)parent << 32 | (uint32_t)parent;
	char name[16] = "child";

	r.type = TRAP_IDENTITY;
	with_bytes(&r, PLAN_LABEL_COMM, name, sizeof(name));
	with_bytes(&r, PLAN_LABEL_PARENT, &word, 8);
	feed(r);
}

static void test_paths(void)
{
	start();
	open_file(10, "/etc/passwd", 0, 3);
	CHECK_STR(shown(10, 10, 3), "/etc/passwd");
	/* not known where this starts */
	open_file(10, "notes", 0, 4);
	CHECK_STR(shown(10, 10, 4), "file");
	feed(entry(10, 10, NR_CHDIR, 0x1000, 0, 0));
	leave(10, 10, NR_CHDIR, 0);
	open_file(10, "notes", 0, 5);
	CHECK_STR(shown(10, 10, 5), "file");
	for (int good = 0; good < 2; good++) {
		struct fixture_record r = entry(10, 10, NR_CHDIR, 0x1000, 0, 0);

		with_bytes(&r, PLAN_LABEL_ARG0, good ? "/home//u/./" : "/nowhere", good ? 11 : 8);
		feed(r);
		leave(10, 10, NR_CHDIR, good ? 0 : -2);
	}
	open_file(10, "./a/../notes", 0, 6);
	CHECK_STR(shown(10, 10, 6), "/home/u/a/../notes");
	/* from a directory that is open */
	open_file(10, "/srv", 0200000, 7);
	feed((struct fixture_record)entry(10, 10, NR_READ, 7, 0, 0));
	CHECK_STR(fd_object_type(last.objects[0]), "directory");
	leave(10, 10, NR_READ, -21);
	struct fixture_record r = entry(10, 10, NR_OPENAT, 7, 0x1000, 0);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, "x", 1);
	feed(r);
	leave(10, 10, NR_OPENAT, 8);
	CHECK_STR(shown(10, 10, 8), "/srv/x");
	/* cut off in its middle: no name; and one that failed changes nothing */
	r = entry(10, 10, NR_OPENAT, AT_FDCWD_, 0x1000, 0);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, "/very/lo", 8);
	r.fragments[0].status = TRAP_FRAG_CUT;
	feed(r);
	leave(10, 10, NR_OPENAT, 9);
	CHECK_STR(shown(10, 10, 9), "file");
	enter_open(10, 10, "/absent", 0);
	leave(10, 10, NR_OPENAT, -2);
	CHECK_STR(shown(10, 10, 3), "/etc/passwd");
	/* read when it was in memory, at the exit */
	feed(entry(10, 10, NR_OPENAT, AT_FDCWD_, 0x1000, 0));
	r = fixture_exit(++now, 10, 10, NR_OPENAT, 11);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, "/late", 5);
	r.fragments[0].status = TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN;
	feed(r);
	CHECK(last.makes_fd && last.objects[CALL_FDS_RET]);
	CHECK_STR(shown(10, 10, 11), "/late");
	stop();
}

/* Below a root that is not known, an absolute path is no name; one that may be outdated makes it unsure. */
static void test_root(void)
{
	struct fixture_record r;

	start();
	r = entry(10, 10, NR_CHROOT, 0x1000, 0, 0);
	with_bytes(&r, PLAN_LABEL_ARG0, "/jail", 5);
	feed(r);
	leave(10, 10, NR_CHROOT, 0);
	open_file(10, "/a", 0, 3);
	CHECK_STR(shown(10, 10, 3), "/jail/a");
	gap(0);
	open_file(10, "/a", 0, 3);
	CHECK_STR(shown(10, 10, 3), "/jail/a?");
	/* its path was in memory only at the exit */
	feed(entry(10, 10, NR_CHDIR, 0x1000, 0, 0));
	r = fixture_exit(++now, 10, 10, NR_CHDIR, 0);
	with_bytes(&r, PLAN_LABEL_ARG0, "/d", 2);
	r.fragments[0].status = TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN;
	feed(r);
	open_file(10, "b", 0, 4);
	CHECK_STR(shown(10, 10, 4), "/jail/d/b?");
	call(10, 10, NR_CHROOT, 0x1000, 0, 0);
	open_file(10, "/a", 0, 3);
	CHECK_STR(shown(10, 10, 3), "file");
	stop();
}

static void test_dup_and_close(void)
{
	start();
	open_file(10, "/a", 0, 3);
	open_file(10, "/b", 0, 4);
	call(10, 10, NR_DUP2, 3, 4, 4);
	CHECK_STR(shown(10, 10, 4), "/a");
	call(10, 10, NR_CLOSE, 3, 0, 0);
	CHECK_STR(shown(10, 10, 3), "-");
	CHECK_STR(shown(10, 10, 4), "/a");
	/* of what is not known */
	call(10, 10, NR_DUP2, 99, 4, 4);
	CHECK_STR(shown(10, 10, 4), "-");
	open_file(10, "/c", 0, 5);
	call(10, 10, NR_FCNTL, 5, 0, 6);
	CHECK_STR(shown(10, 10, 6), "/c");
	/* not closed by a call that failed */
	call(10, 10, NR_DUP2, 6, 5, -9);
	CHECK_STR(shown(10, 10, 5), "/c");
	call(10, 10, NR_CLOSE_RANGE, 5, UINT32_MAX, 0);
	CHECK_STR(shown(10, 10, 5), "-");
	CHECK_STR(shown(10, 10, 6), "-");
	/* numbers that no process can have */
	call(10, 10, NR_DUP2, 6, 0x7fffffff, 0x7fffffff);
	CHECK_STR(shown(10, 10, 0xffffffffull), "-");
	CHECK_STR(shown(10, 10, 0x7fffffff), "-");
	stop();
}

static void test_fork_and_exec(void)
{
	start();
	open_file(10, "/a", 0, 3);
	open_file(10, "/b", O_CLOEXEC_, 4);
	call(10, 10, NR_FORK, 0, 0, 11);
	CHECK_STR(shown(11, 11, 3), "/a");
	CHECK_STR(shown(11, 11, 4), "/b");
	call(11, 11, NR_CLOSE, 3, 0, 0);
	CHECK_STR(shown(11, 11, 3), "-");
	CHECK_STR(shown(10, 10, 3), "/a");
	feed(entry(11, 11, NR_EXECVE, 0x1000, 0, 0));
	leave(11, 11, NR_EXECVE, 0);
	CHECK_STR(shown(11, 11, 4), "-");
	CHECK_STR(shown(10, 10, 4), "/b");
	/* F_SETFD takes the mark away */
	feed(entry(10, 10, NR_FCNTL, 4, 2, 0));
	leave(10, 10, NR_FCNTL, 0);
	feed(entry(10, 10, NR_EXECVE, 0x1000, 0, 0));
	leave(10, 10, NR_EXECVE, 0);
	CHECK_STR(shown(10, 10, 4), "/b");
	stop();
}

/* Without arguments, the environment is no command line; what a pointer of clone leads to are no flags. */
static void test_exec_and_clone_arguments(void)
{
	static const uint64_t none[1], list[2] = {0x2000, 0}, flags[1];
	struct fixture_record r;

	start();
	for (int with = 0; with < 2; with++) {
		r = entry(10, 10, NR_EXECVE, 0x1000, 0x1100, 0x1200);
		with_bytes(&r, PLAN_LABEL_ARG0 + 1, with ? list : none, with ? 16 : 8);
		if (with)
			with_bytes(&r, PLAN_LABEL_ARG0 + 1, "cat", 3);
		with_bytes(&r, PLAN_LABEL_ARG0 + 2, list, 16);
		with_bytes(&r, PLAN_LABEL_ARG0 + 2, "A=B", 3);
		feed(r);
		leave(10, 10, NR_EXECVE, 0);
		CHECK_STR(processes_by_tid(p, 10)->cmdline, with ? "cat" : "");
	}
	r = entry(10, 10, NR_CLONE, THREAD_FLAGS, 0, 0);
	with_bytes(&r, PLAN_LABEL_ARG0, flags, 8);
	feed(r);
	leave(10, 10, NR_CLONE, 11);
	CHECK_INT(processes_by_tid(p, 11)->pid, 10);
	feed(entry(10, 10, NR_CLONE3, 0x1000, 88, 0));
	leave(10, 10, NR_CLONE3, 12);
	CHECK(!processes_by_tid(p, 12));
	stop();
}

/* However many command lines there are, executables and directories are known. */
static void test_many_command_lines(void)
{
	static const uint64_t list[2] = {0x2000, 0};
	char line[1000];

	start();
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 70000; i++) {
		struct fixture_record r = entry(10, 10, NR_EXECVE, 0x1000, 0x1100, 0x1200);

		with_bytes(&r, PLAN_LABEL_ARG0, i ? "/bin/cat" : "/bin/sh", i ? 8 : 7);
		with_bytes(&r, PLAN_LABEL_ARG0 + 1, list, 16);
		snprintf(line, 8, "%07d", i);
		line[7] = ' ';
		with_bytes(&r, PLAN_LABEL_ARG0 + 1, line, sizeof(line));
		feed(r);
		leave(10, 10, NR_EXECVE, 0);
	}
	CHECK_STR(processes_by_tid(p, 10)->cmdline, "");
	CHECK(processes_are_full(p));
	struct fixture_record r = entry(10, 10, NR_EXECVE, 0x1000, 0, 0);
	with_bytes(&r, PLAN_LABEL_ARG0, "/bin/new", 8);
	feed(r);
	leave(10, 10, NR_EXECVE, 0);
	CHECK_STR(processes_by_tid(p, 10)->exe, "/bin/new");
	stop();
}

/* The child makes calls before its parent comes back: what it has is not sure until then, as it may be another's. */
static void test_child_is_first(void)
{
	start();
	open_file(10, "/a", 0, 3);
	open_file(10, "/b", 0, 4);
	feed(entry(10, 10, NR_FORK, 0, 0, 0));
	identity(11, 11, 10);
	CHECK_STR(shown(11, 11, 3), "/a?");
	call(11, 11, NR_CLOSE, 4, 0, 0);
	open_file(11, "/c", 0, 4);
	leave(10, 10, NR_FORK, 11);
	CHECK_STR(shown(11, 11, 3), "/a");
	CHECK_STR(shown(11, 11, 4), "/c");
	CHECK_STR(shown(10, 10, 4), "/b");
	/* it was another's child after all */
	feed(entry(10, 10, NR_FORK, 0, 0, 0));
	identity(20, 20, 10);
	leave(10, 10, NR_FORK, 12);
	CHECK_STR(shown(20, 20, 3), "-");
	CHECK_STR(shown(12, 12, 3), "/a");
	stop();
}

/* Between the entry of the fork and the copy, another thread changes what is copied. */
static void test_fork_in_threads(void)
{
	start();
	open_file(10, "/a", 0, 3);
	open_file(10, "/b", 0, 4);
	call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	CHECK_STR(shown(10, 12, 3), "/a");
	feed(entry(10, 10, NR_FORK, 0, 0, 0));
	call(10, 12, NR_CLOSE, 3, 0, 0);
	enter_open(10, 12, "/c", 0);
	leave(10, 12, NR_OPENAT, 3);
	leave(10, 10, NR_FORK, 13);
	CHECK_STR(shown(13, 13, 3), "-"); /* /a or /c */
	CHECK_STR(shown(13, 13, 4), "/b");
	CHECK_STR(shown(10, 10, 3), "/c");
	/* the number is free, and taken by another thread, before close is seen to end */
	feed(entry(10, 12, NR_CLOSE, 4, 0, 0));
	enter_open(10, 10, "/d", 0);
	leave(10, 10, NR_OPENAT, 4);
	leave(10, 12, NR_CLOSE, 0);
	CHECK_STR(shown(10, 12, 4), "/d");
	stop();
}

static void test_sockets(void)
{
	static const uint8_t server[16] = {2, 0, 0, 80, 10, 0, 0, 2}, any[16] = {2, 0, 31, 144},
			     client[16] = {2, 0, 0x9c, 0x40, 10, 0, 0, 9},
			     path[12] = {1, 0, '/', 'r', 'u', 'n', '/', 's'};
	struct fixture_record r;

	start();
	feed(entry(10, 10, NR_SOCKET, 2, 1, 0));
	leave(10, 10, NR_SOCKET, 3);
	CHECK_STR(shown(10, 10, 3), "TCP");
	r = entry(10, 10, NR_CONNECT, 3, 0x1000, 16);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, server, sizeof(server));
	feed(r);
	struct fd_object *before = fd_object_hold(last.objects[0]);
	leave(10, 10, NR_CONNECT, 0);
	CHECK_STR(shown(10, 10, 3), "TCP:?->10.0.0.2:80");
	/* a call that is shown late shows what was known as it was made */
	CHECK(!before->socket.peer.known);
	fd_object_release(before);
	/* a server */
	feed(entry(10, 10, NR_SOCKET, 2, 1, 0));
	leave(10, 10, NR_SOCKET, 4);
	r = entry(10, 10, NR_BIND, 4, 0x1000, 16);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, any, sizeof(any));
	feed(r);
	leave(10, 10, NR_BIND, 0);
	call(10, 10, NR_LISTEN, 4, 5, 0);
	CHECK_STR(shown(10, 10, 4), "TCP:0.0.0.0:8080");
	feed(entry(10, 10, NR_ACCEPT, 4, 0x1000, 0x2000));
	r = fixture_exit(++now, 10, 10, NR_ACCEPT, 5);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, client, sizeof(client));
	feed(r);
	CHECK_STR(shown(10, 10, 5), "TCP:?:8080->10.0.0.9:40000");
	feed(entry(10, 10, NR_SOCKET, 1, 1, 0));
	leave(10, 10, NR_SOCKET, 6);
	r = entry(10, 10, NR_CONNECT, 6, 0x1000, 9);
	with_bytes(&r, PLAN_LABEL_ARG0 + 1, path, sizeof(path));
	feed(r);
	leave(10, 10, NR_CONNECT, 0);
	CHECK_STR(shown(10, 10, 6), "UNIX-STREAM:/run/s");
	/* dup and fork share what a socket learns later */
	feed(entry(10, 10, NR_PIPE, 0x1000, 0, 0));
	r = fixture_exit(++now, 10, 10, NR_PIPE, 0);
	with_bytes(&r, PLAN_LABEL_ARG0, (const uint32_t[]){7, 8}, 8);
	feed(r);
	CHECK_STR(shown(10, 10, 8), "pipe");
	stop();
}

/* While one thread's call is under way, another closes or takes the number that it is about. */
static void test_races(void)
{
	static const uint8_t server[16] = {2, 0, 0, 80, 10, 0, 0, 2};
	struct fixture_record r;

	start();
	open_file(10, "/a", 0, 3);
	call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	for (int same = 0; same < 2; same++) {
		feed(entry(10, 10, NR_SOCKET, 2, 1, 0));
		leave(10, 10, NR_SOCKET, 4);
		r = entry(10, 10, NR_CONNECT, 4, 0x1000, 16);
		with_bytes(&r, PLAN_LABEL_ARG0 + 1, server, sizeof(server));
		feed(r);
		if (!same) {
			call(10, 12, NR_CLOSE, 4, 0, 0);
			feed(entry(10, 12, NR_SOCKET, 2, 2, 0));
			leave(10, 12, NR_SOCKET, 4);
		}
		leave(10, 10, NR_CONNECT, 0);
		CHECK_STR(shown(10, 12, 4), same ? "TCP:?->10.0.0.2:80" : "UDP?");
		call(10, 12, NR_CLOSE, 4, 0, 0);
	}
	/* 5 is /b or /a, until dup2 has come back */
	open_file(10, "/b", 0, 5);
	for (int good = 0; good < 2; good++) {
		feed(entry(10, 10, NR_DUP2, 3, 5, 0));
		CHECK_STR(shown(10, 12, 5), "/b?");
		leave(10, 10, NR_DUP2, good ? 5 : -16);
		CHECK_STR(shown(10, 12, 5), good ? "/a" : "/b");
	}
	/* what it copies was replaced meanwhile */
	feed(entry(10, 10, NR_DUP2, 3, 5, 0));
	call(10, 12, NR_CLOSE, 3, 0, 0);
	enter_open(10, 12, "/c", 0);
	leave(10, 12, NR_OPENAT, 3);
	leave(10, 10, NR_DUP2, 5);
	CHECK_STR(shown(10, 12, 5), "/a?");
	/* a thread that is only thought to share the table */
	enter_open(10, 77, "/d", 0);
	leave(10, 77, NR_OPENAT, 6);
	CHECK_STR(shown(10, 10, 6), "/d?");
	stop();
}

static void test_gaps(void)
{
	start();
	open_file(10, "/a", 0, 3);
	open_file(10, "/b", 0, 4);
	enter_open(10, 10, "/c", 0);
	gap(0);
	/* whose exit this is, is not known */
	leave(10, 10, NR_OPENAT, 4);
	CHECK_STR(shown(10, 10, 4), "-");
	CHECK_STR(shown(10, 10, 3), "/a?");
	open_file(10, "/d", 0, 3);
	CHECK_STR(shown(10, 10, 3), "/d");
	/* told while records were still being lost */
	gap(now + 100);
	open_file(10, "/e", 0, 5);
	CHECK_STR(shown(10, 10, 5), "/e?");
	now += 200;
	/* what comes of something uncertain is uncertain */
	call(10, 10, NR_DUP2, 5, 6, 6);
	CHECK_STR(shown(10, 10, 6), "/e?");
	/* the exit of a close whose entry was lost */
	open_file(10, "/f", 0, 7);
	CHECK_STR(shown(10, 10, 7), "/f");
	leave(10, 10, NR_CLOSE, 0);
	CHECK_STR(shown(10, 10, 7), "/f?");
	/* and of a call that made a descriptor */
	leave(10, 10, NR_OPEN, 7);
	CHECK_STR(shown(10, 10, 7), "-");
	stop();
}

static void test_unseen_changes(void)
{
	start();
	open_file(10, "/a", 0, 3);
	feed(entry(10, 10, NR_IO_URING, 8, 0x1000, 0));
	leave(10, 10, NR_IO_URING, 4);
	CHECK_STR(shown(10, 10, 3), "/a?");
	stop();
	start();
	open_file(10, "/a", 0, 3);
	process_fds_partial(p, true, now);
	CHECK_STR(shown(10, 10, 3), "/a?");
	CHECK(last_cwd_uncertain);
	/* all calls are recorded again: what was left out before stays unknown */
	process_fds_partial(p, false, now);
	CHECK_STR(shown(10, 10, 3), "/a?");
	CHECK(last_cwd_uncertain);
	open_file(10, "/b", 0, 4);
	CHECK_STR(shown(10, 10, 4), "/b");
	stop();
}

/* A tape may say that each of many processes has the highest descriptor. */
static void test_bounds(void)
{
	start();
	for (int32_t pid = 100; pid < 140; pid++)
		open_file(pid, "/a", 0, (1 << 20) - 1);
	CHECK_STR(shown(100, 100, (1 << 20) - 1), "/a");
	CHECK_STR(shown(139, 139, (1 << 20) - 1), "-");
	open_file(139, "/a", 0, 1 << 20);
	CHECK_STR(shown(139, 139, 1 << 20), "-");
	stop();
	/* or that it has many, with long names */
	char name[1000] = "/";
	memset(name + 1, 'x', sizeof(name) - 2);
	start();
	for (int64_t fd = 0; fd < 65536; fd++)
		open_file(10, name, 0, fd);
	CHECK(shown(10, 10, 0)[0] == '/');
	CHECK_STR(shown(10, 10, 65535), "-");
	call(10, 10, NR_CLOSE, 3, 0, 0);
	open_file(10, "/a", 0, 65535);
	CHECK_STR(shown(10, 10, 65535), "/a");
	stop();
}

/* A call of i386 whose arguments are not the 64-bit one's: its own entry says where the descriptor is. */
static void test_i386(void)
{
	struct linux_syscall syscall = {.abi = TRAP_ABI_I386, .name = "fallocate", .nr_args = -1};
	struct fd_call call;

	fd_call_of(&syscall, &call);
	CHECK_INT(call.fd_args, 1);
}

int main(void)
{
	test_paths();
	test_root();
	test_dup_and_close();
	test_fork_and_exec();
	test_exec_and_clone_arguments();
	test_many_command_lines();
	test_child_is_first();
	test_fork_in_threads();
	test_sockets();
	test_races();
	test_gaps();
	test_unseen_changes();
	test_bounds();
	test_i386();
	return 0;
}
