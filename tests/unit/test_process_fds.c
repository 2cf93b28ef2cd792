/* SPDX-License-Identifier: MIT */
/* test_process_fds.c - descriptors followed from call to call: open, dup, fork, exec, threads, sockets, gaps, races. */
#include "check.h"
#include "fds_fixture.h"

static void test_paths(void)
{
	fds_start();
	fds_open(10, "/etc/passwd", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/etc/passwd");
	/* not known where this starts */
	fds_open(10, "notes", 0, 4);
	CHECK_STR(fds_shown(10, 10, 4), "file");
	fds_feed(fds_entry(10, 10, NR_CHDIR, 0x1000, 0, 0));
	fds_leave(10, 10, NR_CHDIR, 0);
	fds_open(10, "notes", 0, 5);
	CHECK_STR(fds_shown(10, 10, 5), "file");
	fds_path(10, NR_CHDIR, "/nowhere", -2);
	fds_path(10, NR_CHDIR, "/home//u/./", 0);
	fds_open(10, "./a/../notes", 0, 6);
	CHECK_STR(fds_shown(10, 10, 6), "/home/u/a/../notes");
	/* from a directory that is open */
	fds_open(10, "/srv", 0200000, 7);
	fds_feed((struct fixture_record)fds_entry(10, 10, NR_READ, 7, 0, 0));
	CHECK_STR(fd_object_type(fds_last.objects[0]), "directory");
	fds_leave(10, 10, NR_READ, -21);
	struct fixture_record r = fds_entry(10, 10, NR_OPENAT, 7, 0x1000, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "x", 1);
	fds_feed(r);
	fds_leave(10, 10, NR_OPENAT, 8);
	CHECK_STR(fds_shown(10, 10, 8), "/srv/x");
	/* cut off in its middle: no name; and one that failed changes nothing */
	r = fds_entry(10, 10, NR_OPENAT, AT_FDCWD_, 0x1000, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "/very/lo", 8);
	r.fragments[0].status = TRAP_FRAG_CUT;
	fds_feed(r);
	fds_leave(10, 10, NR_OPENAT, 9);
	CHECK_STR(fds_shown(10, 10, 9), "file");
	fds_enter_open(10, 10, "/absent", 0);
	fds_leave(10, 10, NR_OPENAT, -2);
	CHECK_STR(fds_shown(10, 10, 3), "/etc/passwd");
	/* read when it was in memory, at the exit */
	fds_feed(fds_entry(10, 10, NR_OPENAT, AT_FDCWD_, 0x1000, 0));
	r = fixture_exit(++fds_now, 10, 10, NR_OPENAT, 11);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "/late", 5);
	r.fragments[0].status = TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN;
	fds_feed(r);
	CHECK(fds_last.makes_fd && fds_last.objects[CALL_FDS_RET]);
	CHECK_STR(fds_shown(10, 10, 11), "/late");
	fds_stop();
}

/* Below a root that is not known, an absolute path is no name; one that may be outdated makes it unsure. */
static void test_root(void)
{
	struct fixture_record r;

	fds_start();
	fds_path(10, NR_CHROOT, "/jail", 0);
	fds_open(10, "/a", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/jail/a");
	fds_gap(0);
	fds_open(10, "/a", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/jail/a?");
	/* its path was in memory only at the exit */
	fds_feed(fds_entry(10, 10, NR_CHDIR, 0x1000, 0, 0));
	r = fixture_exit(++fds_now, 10, 10, NR_CHDIR, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0, "/d", 2);
	r.fragments[0].status = TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN;
	fds_feed(r);
	fds_open(10, "b", 0, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/jail/d/b?");
	fds_call(10, 10, NR_CHROOT, 0x1000, 0, 0);
	fds_open(10, "/a", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "file?");
	fds_stop();
	/* the way up ends at the root; and a loss may have hidden a chroot */
	fds_start();
	fds_path(10, NR_CHROOT, "/jail", 0);
	fds_open(10, "/../a", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/jail/../a?");
	fds_open(20, "/a", 0, 3);
	fds_gap(0);
	fds_open(20, "/b", 0, 4);
	CHECK_STR(fds_shown(20, 20, 4), "/b?");
	fds_stop();
}

static void test_dup_and_close(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	fds_call(10, 10, NR_DUP2, 3, 4, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/a");
	fds_call(10, 10, NR_CLOSE, 3, 0, 0);
	CHECK_STR(fds_shown(10, 10, 3), "-");
	CHECK_STR(fds_shown(10, 10, 4), "/a");
	/* of what is not known */
	fds_call(10, 10, NR_DUP2, 99, 4, 4);
	CHECK_STR(fds_shown(10, 10, 4), "-");
	fds_open(10, "/c", 0, 5);
	fds_call(10, 10, NR_FCNTL, 5, 0, 6);
	CHECK_STR(fds_shown(10, 10, 6), "/c");
	/* not closed by a call that failed */
	fds_call(10, 10, NR_DUP2, 6, 5, -9);
	CHECK_STR(fds_shown(10, 10, 5), "/c");
	fds_call(10, 10, NR_CLOSE_RANGE, 5, UINT32_MAX, 0);
	CHECK_STR(fds_shown(10, 10, 5), "-");
	CHECK_STR(fds_shown(10, 10, 6), "-");
	/* numbers that no process can have */
	fds_call(10, 10, NR_DUP2, 6, 0x7fffffff, 0x7fffffff);
	CHECK_STR(fds_shown(10, 10, 0xffffffffull), "-");
	CHECK_STR(fds_shown(10, 10, 0x7fffffff), "-");
	fds_stop();
}

static void test_fork_and_exec(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", O_CLOEXEC_, 4);
	fds_call(10, 10, NR_FORK, 0, 0, 11);
	CHECK_STR(fds_shown(11, 11, 3), "/a");
	CHECK_STR(fds_shown(11, 11, 4), "/b");
	fds_call(11, 11, NR_CLOSE, 3, 0, 0);
	CHECK_STR(fds_shown(11, 11, 3), "-");
	CHECK_STR(fds_shown(10, 10, 3), "/a");
	fds_feed(fds_entry(11, 11, NR_EXECVE, 0x1000, 0, 0));
	fds_leave(11, 11, NR_EXECVE, 0);
	CHECK_STR(fds_shown(11, 11, 4), "-");
	CHECK_STR(fds_shown(10, 10, 4), "/b");
	/* F_SETFD takes the mark away */
	fds_feed(fds_entry(10, 10, NR_FCNTL, 4, 2, 0));
	fds_leave(10, 10, NR_FCNTL, 0);
	fds_feed(fds_entry(10, 10, NR_EXECVE, 0x1000, 0, 0));
	fds_leave(10, 10, NR_EXECVE, 0);
	CHECK_STR(fds_shown(10, 10, 4), "/b");
	fds_stop();
}

/* Without arguments, the environment is no command line; what a pointer of clone leads to are no flags. */
static void test_exec_and_clone_arguments(void)
{
	static const uint64_t none[1], list[2] = {0x2000, 0}, flags[1];
	struct fixture_record r;

	fds_start();
	for (int with = 0; with < 2; with++) {
		r = fds_entry(10, 10, NR_EXECVE, 0x1000, 0x1100, 0x1200);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, with ? list : none, with ? 16 : 8);
		if (with)
			fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "cat", 3);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 2, list, 16);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 2, "A=B", 3);
		fds_feed(r);
		fds_leave(10, 10, NR_EXECVE, 0);
		CHECK_STR(processes_by_tid(fds_table, 10)->cmdline, with ? "cat" : "");
	}
	r = fds_entry(10, 10, NR_CLONE, THREAD_FLAGS, 0, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0, flags, 8);
	fds_feed(r);
	fds_leave(10, 10, NR_CLONE, 11);
	CHECK_INT(processes_by_tid(fds_table, 11)->pid, 10);
	fds_feed(fds_entry(10, 10, NR_CLONE3, 0x1000, 88, 0));
	fds_leave(10, 10, NR_CLONE3, 12);
	CHECK(!processes_by_tid(fds_table, 12));
	fds_stop();
}

/* However many command lines there are, executables and directories are known. */
static void test_many_command_lines(void)
{
	static const uint64_t list[2] = {0x2000, 0};
	char line[1000];

	fds_start();
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 70000; i++) {
		struct fixture_record r = fds_entry(10, 10, NR_EXECVE, 0x1000, 0x1100, 0x1200);

		fds_bytes(&r, PLAN_LABEL_ARG0, i ? "/bin/cat" : "/bin/sh", i ? 8 : 7);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, list, 16);
		snprintf(line, 8, "%07d", i);
		line[7] = ' ';
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, line, sizeof(line));
		fds_feed(r);
		fds_leave(10, 10, NR_EXECVE, 0);
	}
	CHECK_STR(processes_by_tid(fds_table, 10)->cmdline, "");
	CHECK(processes_are_full(fds_table));
	struct fixture_record r = fds_entry(10, 10, NR_EXECVE, 0x1000, 0, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0, "/bin/new", 8);
	fds_feed(r);
	fds_leave(10, 10, NR_EXECVE, 0);
	CHECK_STR(processes_by_tid(fds_table, 10)->exe, "/bin/new");
	fds_stop();
}

/* The child makes calls before its parent comes back: what it has is not sure until then, as it may be another's. */
static void test_child_is_first(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	fds_feed(fds_entry(10, 10, NR_FORK, 0, 0, 0));
	fds_identity(11, 11, 10);
	CHECK_STR(fds_shown(11, 11, 3), "/a?");
	fds_call(11, 11, NR_CLOSE, 4, 0, 0);
	fds_open(11, "/c", 0, 4);
	fds_leave(10, 10, NR_FORK, 11);
	CHECK_STR(fds_shown(11, 11, 3), "/a");
	CHECK_STR(fds_shown(11, 11, 4), "/c");
	CHECK_STR(fds_shown(10, 10, 4), "/b");
	/* it was another's child after all */
	fds_feed(fds_entry(10, 10, NR_FORK, 0, 0, 0));
	fds_identity(20, 20, 10);
	fds_leave(10, 10, NR_FORK, 12);
	CHECK_STR(fds_shown(20, 20, 3), "-");
	CHECK_STR(fds_shown(12, 12, 3), "/a");
	fds_stop();
}

/* Between the entry of the fork and the copy, another thread changes what is copied. */
static void test_fork_in_threads(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	CHECK_STR(fds_shown(10, 12, 3), "/a");
	fds_feed(fds_entry(10, 10, NR_FORK, 0, 0, 0));
	fds_call(10, 12, NR_CLOSE, 3, 0, 0);
	fds_enter_open(10, 12, "/c", 0);
	fds_leave(10, 12, NR_OPENAT, 3);
	fds_leave(10, 10, NR_FORK, 13);
	CHECK_STR(fds_shown(13, 13, 3), "-"); /* /a or /c */
	CHECK_STR(fds_shown(13, 13, 4), "/b");
	CHECK_STR(fds_shown(10, 10, 3), "/c");
	/* the number is free, and taken by another thread, before close is seen to end */
	fds_feed(fds_entry(10, 12, NR_CLOSE, 4, 0, 0));
	fds_enter_open(10, 10, "/d", 0);
	fds_leave(10, 10, NR_OPENAT, 4);
	fds_leave(10, 12, NR_CLOSE, 0);
	CHECK_STR(fds_shown(10, 12, 4), "/d");
	fds_stop();
}

/* room: bytes for the address, of which n are there behind the call. */
static void accepts(int32_t fd, uint32_t room, const uint8_t *address, size_t n, int64_t ret)
{
	struct fixture_record r = fds_entry(10, 10, NR_ACCEPT, (uint32_t)fd, 0x1000, 0x2000);

	fds_bytes(&r, PLAN_LABEL_ARG0 + 2, &room, sizeof(room));
	fds_feed(r);
	r = fixture_exit(++fds_now, 10, 10, NR_ACCEPT, ret);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, address, n);
	fds_feed(r);
}

static void test_sockets(void)
{
	static const uint8_t server[16] = {2, 0, 0, 80, 10, 0, 0, 2}, any[16] = {2, 0, 31, 144},
			     client[16] = {2, 0, 0x9c, 0x40, 10, 0, 0, 9},
			     path[12] = {1, 0, '/', 'r', 'u', 'n', '/', 's'};
	struct fixture_record r;

	fds_start();
	fds_feed(fds_entry(10, 10, NR_SOCKET, 2, 1, 0));
	fds_leave(10, 10, NR_SOCKET, 3);
	CHECK_STR(fds_shown(10, 10, 3), "TCP");
	r = fds_entry(10, 10, NR_CONNECT, 3, 0x1000, 16);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, server, sizeof(server));
	fds_feed(r);
	struct fd_object *before = fd_object_hold(fds_last.objects[0]);
	fds_leave(10, 10, NR_CONNECT, 0);
	CHECK_STR(fds_shown(10, 10, 3), "TCP:?->10.0.0.2:80");
	/* a call that is shown late shows what was known as it was made */
	CHECK(!before->socket.peer.known);
	fd_object_release(before);
	/* a server */
	fds_feed(fds_entry(10, 10, NR_SOCKET, 2, 1, 0));
	fds_leave(10, 10, NR_SOCKET, 4);
	r = fds_entry(10, 10, NR_BIND, 4, 0x1000, 16);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, any, sizeof(any));
	fds_feed(r);
	fds_leave(10, 10, NR_BIND, 0);
	fds_call(10, 10, NR_LISTEN, 4, 5, 0);
	CHECK_STR(fds_shown(10, 10, 4), "TCP:0.0.0.0:8080");
	accepts(4, sizeof(client), client, sizeof(client), 5);
	CHECK_STR(fds_shown(10, 10, 5), "TCP:?:8080->10.0.0.9:40000");
	/* what is behind the room that there was is not the kernel's */
	accepts(4, 7, client, sizeof(client), 5);
	CHECK_STR(fds_shown(10, 10, 5), "TCP:?:8080");
	fds_feed(fds_entry(10, 10, NR_SOCKET, 1, 1, 0));
	fds_leave(10, 10, NR_SOCKET, 6);
	r = fds_entry(10, 10, NR_CONNECT, 6, 0x1000, 9);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, sizeof(path));
	fds_feed(r);
	fds_leave(10, 10, NR_CONNECT, 0);
	CHECK_STR(fds_shown(10, 10, 6), "UNIX-STREAM:/run/s");
	/* dup and fork share what a socket learns later */
	fds_feed(fds_entry(10, 10, NR_PIPE, 0x1000, 0, 0));
	r = fixture_exit(++fds_now, 10, 10, NR_PIPE, 0);
	fds_bytes(&r, PLAN_LABEL_ARG0, (const uint32_t[]){7, 8}, 8);
	fds_feed(r);
	CHECK_STR(fds_shown(10, 10, 8), "pipe");
	fds_stop();
}

/* While one thread's call is under way, another closes or takes the number that it is about. */
static void test_races(void)
{
	static const uint8_t server[16] = {2, 0, 0, 80, 10, 0, 0, 2};
	struct fixture_record r;

	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	for (int same = 0; same < 2; same++) {
		fds_feed(fds_entry(10, 10, NR_SOCKET, 2, 1, 0));
		fds_leave(10, 10, NR_SOCKET, 4);
		r = fds_entry(10, 10, NR_CONNECT, 4, 0x1000, 16);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, server, sizeof(server));
		fds_feed(r);
		if (!same) {
			fds_call(10, 12, NR_CLOSE, 4, 0, 0);
			fds_feed(fds_entry(10, 12, NR_SOCKET, 2, 2, 0));
			fds_leave(10, 12, NR_SOCKET, 4);
		}
		fds_leave(10, 10, NR_CONNECT, 0);
		CHECK_STR(fds_shown(10, 12, 4), same ? "TCP:?->10.0.0.2:80" : "UDP?");
		fds_call(10, 12, NR_CLOSE, 4, 0, 0);
	}
	/* 5 is /b or /a, until dup2 has come back */
	fds_open(10, "/b", 0, 5);
	for (int good = 0; good < 2; good++) {
		fds_feed(fds_entry(10, 10, NR_DUP2, 3, 5, 0));
		CHECK_STR(fds_shown(10, 12, 5), "/b?");
		fds_leave(10, 10, NR_DUP2, good ? 5 : -16);
		CHECK_STR(fds_shown(10, 12, 5), good ? "/a" : "/b");
	}
	/* what it copies was replaced meanwhile */
	fds_feed(fds_entry(10, 10, NR_DUP2, 3, 5, 0));
	fds_call(10, 12, NR_CLOSE, 3, 0, 0);
	fds_enter_open(10, 12, "/c", 0);
	fds_leave(10, 12, NR_OPENAT, 3);
	fds_leave(10, 10, NR_DUP2, 5);
	CHECK_STR(fds_shown(10, 12, 5), "/a?");
	/* a thread that is only thought to share the table */
	fds_enter_open(10, 77, "/d", 0);
	fds_leave(10, 77, NR_OPENAT, 6);
	CHECK_STR(fds_shown(10, 10, 6), "/d?");
	fds_stop();
}

/* A number is closed, and given again, before the call that was given it first is seen to end. */
static void test_late_ends(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 12);
	/* of 12's, or of another that nothing is known of */
	fds_enter_open(10, 12, "/b", 0);
	fds_call(10, 10, NR_CLOSE, 4, 0, 0);
	fds_leave(10, 12, NR_OPENAT, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/b?");
	/* there was nothing */
	fds_enter_open(10, 12, "/c", 0);
	fds_call(10, 10, NR_CLOSE, 5, 0, -9);
	fds_leave(10, 12, NR_OPENAT, 5);
	CHECK_STR(fds_shown(10, 10, 5), "/c");
	/* what was closed was known: the number was free before */
	fds_enter_open(10, 12, "/d", 0);
	fds_call(10, 10, NR_CLOSE, 5, 0, 0);
	fds_leave(10, 12, NR_OPENAT, 5);
	CHECK_STR(fds_shown(10, 10, 5), "/d");
	/* closed and given again: the later one stays */
	fds_enter_open(10, 12, "/e", 0);
	fds_call(10, 10, NR_CLOSE, 6, 0, 0);
	fds_open(10, "/f", 0, 6);
	fds_leave(10, 12, NR_OPENAT, 6);
	CHECK_STR(fds_last.objects[CALL_FDS_RET]->name, "/e");
	CHECK_STR(fds_shown(10, 10, 6), "/f");
	/* closed by what was not seen: either may be the later one */
	fds_enter_open(10, 12, "/g", 0);
	fds_open(10, "/h", 0, 7);
	fds_leave(10, 12, NR_OPENAT, 7);
	CHECK_STR(fds_shown(10, 10, 7), "/h?");
	/* a range, and more closes than are remembered */
	fds_enter_open(10, 12, "/i", 0);
	fds_call(10, 10, NR_CLOSE_RANGE, 8, 20, 0);
	fds_leave(10, 12, NR_OPENAT, 9);
	CHECK_STR(fds_shown(10, 10, 9), "/i?");
	fds_enter_open(10, 12, "/j", 0);
	for (uint64_t fd = 100; fd < 120; fd++)
		fds_call(10, 10, NR_CLOSE, fd, 0, 0);
	fds_leave(10, 12, NR_OPENAT, 100);
	CHECK_STR(fds_shown(10, 10, 100), "/j?");
	fds_open(10, "/k", 0, 101);
	CHECK_STR(fds_shown(10, 10, 101), "/k");
	fds_stop();
}

static void test_gaps(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_open(10, "/b", 0, 4);
	fds_enter_open(10, 10, "/c", 0);
	fds_gap(0);
	/* whose exit this is, is not known */
	fds_leave(10, 10, NR_OPENAT, 4);
	CHECK_STR(fds_shown(10, 10, 4), "-");
	CHECK_STR(fds_shown(10, 10, 3), "/a?");
	/* "/" may be another; what has no path is sure */
	fds_open(10, "/d", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/d?");
	fds_call(10, 10, NR_SOCKET, 2, 1, 3);
	CHECK_STR(fds_shown(10, 10, 3), "TCP");
	/* told while records were still being lost */
	fds_gap(fds_now + 100);
	fds_call(10, 10, NR_SOCKET, 2, 1, 5);
	CHECK_STR(fds_shown(10, 10, 5), "TCP?");
	fds_now += 200;
	/* what comes of something uncertain is uncertain */
	fds_call(10, 10, NR_DUP2, 5, 6, 6);
	CHECK_STR(fds_shown(10, 10, 6), "TCP?");
	/* the exit of a close whose entry was lost */
	fds_call(10, 10, NR_SOCKET, 2, 1, 7);
	CHECK_STR(fds_shown(10, 10, 7), "TCP");
	fds_leave(10, 10, NR_CLOSE, 0);
	CHECK_STR(fds_shown(10, 10, 7), "TCP?");
	/* and of a call that made a descriptor */
	fds_leave(10, 10, NR_OPEN, 7);
	CHECK_STR(fds_shown(10, 10, 7), "-");
	fds_stop();
}

static void test_unseen_changes(void)
{
	fds_start();
	fds_open(10, "/a", 0, 3);
	fds_feed(fds_entry(10, 10, NR_IO_URING, 8, 0x1000, 0));
	fds_leave(10, 10, NR_IO_URING, 4);
	CHECK_STR(fds_shown(10, 10, 3), "/a?");
	fds_stop();
	fds_start();
	fds_open(10, "/a", 0, 3);
	process_fds_partial(fds_table, true, fds_now);
	CHECK_STR(fds_shown(10, 10, 3), "/a?");
	CHECK(fds_last_cwd_uncertain);
	/* all calls are recorded again: what was left out before stays unknown */
	process_fds_partial(fds_table, false, fds_now);
	CHECK_STR(fds_shown(10, 10, 3), "/a?");
	CHECK(fds_last_cwd_uncertain);
	fds_call(10, 10, NR_SOCKET, 2, 1, 4);
	CHECK_STR(fds_shown(10, 10, 4), "TCP");
	fds_stop();
}

/* A tape may say that each of many processes has the highest descriptor. */
static void test_bounds(void)
{
	fds_start();
	for (int32_t pid = 100; pid < 140; pid++)
		fds_open(pid, "/a", 0, (1 << 20) - 1);
	CHECK_STR(fds_shown(100, 100, (1 << 20) - 1), "/a");
	CHECK_STR(fds_shown(139, 139, (1 << 20) - 1), "-");
	fds_open(139, "/a", 0, 1 << 20);
	CHECK_STR(fds_shown(139, 139, 1 << 20), "-");
	fds_stop();
	/* or that it has many, with long names */
	char name[1000] = "/";
	memset(name + 1, 'x', sizeof(name) - 2);
	fds_start();
	for (int64_t fd = 0; fd < 65536; fd++)
		fds_open(10, name, 0, fd);
	CHECK(fds_shown(10, 10, 0)[0] == '/');
	CHECK_STR(fds_shown(10, 10, 65535), "-");
	fds_call(10, 10, NR_CLOSE, 3, 0, 0);
	fds_open(10, "/a", 0, 65535);
	CHECK_STR(fds_shown(10, 10, 65535), "/a");
	fds_stop();
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
	test_late_ends();
	test_gaps();
	test_unseen_changes();
	test_bounds();
	test_i386();
	return 0;
}
