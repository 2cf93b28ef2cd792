/* SPDX-License-Identifier: MIT */
/* test_linked_fds.c - descriptors that are opened, or given, otherwise than by a path of their own: the kernel's links
 * to descriptors, numbers of registered rings. */
#include "check.h"
#include "fds_fixture.h"

#define MADE             0302      /* O_RDWR|O_CREAT|O_EXCL */
#define PATH_OF_LINK     012400000 /* O_PATH|O_NOFOLLOW */
#define DIRECTORY        0200000
#define ENTER_REGISTERED 16
#define REGISTERED_ONLY  (1u << 15)
#define INDEXED          (1u << 31)
#define CLOSE_UNSHARE    2
#define CLOSE_CLOEXEC    4

static void test_links(void)
{
	fds_start();
	fds_open(10, "/t/made", MADE, 3);
	fds_open(10, "/t/d", DIRECTORY, 4);
	fds_call(10, 10, NR_PIPE, 0x1000, 0, 0);
	fds_open(10, "/proc/self/fd/3", 0, 10);
	CHECK_STR(fds_shown(10, 10, 10), "/t/made");
	fds_open(10, "/proc/thread-self/fd/4/x", MADE, 11);
	CHECK_STR(fds_shown(10, 10, 11), "/t/d/x");
	fds_open(10, "/proc/self/fd/4//", DIRECTORY, 12);
	CHECK_STR(fds_shown(10, 10, 12), "/t/d");
	/* what these lead to is a custom */
	fds_open(10, "/dev/fd/3", 0, 13);
	CHECK_STR(fds_shown(10, 10, 13), "/t/made?");
	fds_call(10, 10, NR_DUP2, 3, 1, 1);
	fds_open(10, "/dev/stdout", 0, 14);
	CHECK_STR(fds_shown(10, 10, 14), "/t/made?");
	fds_open(20, "/proc/10/fd/3", 0, 3);
	CHECK_STR(fds_shown(20, 20, 3), "/t/made?");
	/* nothing is known of it; no link at all; the link itself */
	fds_open(10, "/proc/self/fd/99", 0, 15);
	CHECK_STR(fds_shown(10, 10, 15), "file?");
	fds_open(10, "/proc/self/fdinfo/3", 0, 15);
	CHECK_STR(fds_shown(10, 10, 15), "/proc/self/fdinfo/3");
	fds_open(10, "/proc/self/fd/3x", 0, 15);
	CHECK_STR(fds_shown(10, 10, 15), "/proc/self/fd/3x");
	fds_open(10, "/proc/self/fd/", DIRECTORY, 15);
	CHECK_STR(fds_shown(10, 10, 15), "/proc/self/fd");
	fds_open(10, "/proc/self/fd/99999999999", 0, 15);
	CHECK_STR(fds_shown(10, 10, 15), "/proc/self/fd/99999999999");
	fds_open(10, "/proc/self/fd/3", PATH_OF_LINK, 15);
	CHECK(strncmp(fds_shown(10, 10, 15), "/t", 2) != 0);
	fds_stop();
}

/* A name that changed, and one that is not sure, are the link's, too. */
static void test_links_follow(void)
{
	fds_start();
	fds_open(10, "/t/made", MADE, 3);
	fds_path(10, NR_UNLINK, "/t/made", 0);
	fds_open(10, "/proc/self/fd/3", 0, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/t/made (deleted)");
	fds_open(10, "/t/d", DIRECTORY, 5);
	fds_path(10, NR_CHDIR, "/proc/self/fd/5", 0);
	fds_open(10, "here", 0, 6);
	CHECK_STR(fds_shown(10, 10, 6), "/t/d/here");
	fds_gap(0);
	fds_open(10, "/proc/self/fd/3", 0, 7);
	CHECK_STR(fds_shown(10, 10, 7), "/t/made (deleted)?");
	fds_stop();
}

/* Another thread gives the number to another file while the call is under way. */
static void test_link_is_taken(void)
{
	for (int which = 0; which < 3; which++) {
		fds_start();
		fds_open(10, "/t/a", 0, 3);
		fds_open(10, "/t/b", 0, 4);
		fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 11);
		fds_enter_open(10, 11, "/proc/self/fd/3", 0);
		if (which == 1)
			fds_call(10, 10, NR_CLOSE, 3, 0, 0);
		else if (which == 2)
			fds_call(10, 10, NR_DUP2, 4, 3, 3);
		fds_leave(10, 11, NR_OPENAT, 5);
		CHECK_STR(fds_shown(10, 10, 5), which ? "/t/a?" : "/t/a");
		fds_stop();
	}
}

static void setup_ring(int32_t pid, const uint32_t *flags, int64_t ret)
{
	struct fixture_record r = fds_entry(pid, pid, NR_IO_URING, 8, 0x1000, 0);
	uint32_t params[30] = {0};

	if (flags)
		params[2] = *flags;
	if (flags)
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, params, sizeof(params));
	fds_feed(r);
	fds_leave(pid, pid, NR_IO_URING, ret);
}

/* A ring's number among the registered ones is no descriptor. */
static void test_registered_rings(void)
{
	struct fixture_record r;

	fds_start();
	fds_open(10, "/t/a", 0, 0);
	setup_ring(10, &(uint32_t){REGISTERED_ONLY}, 0);
	CHECK(!fds_last.makes_fd);
	CHECK_STR(fds_shown(10, 10, 0), "/t/a");
	r = fds_entry(10, 10, NR_RING_REG, 0, INDEXED | 2, 0);
	fds_feed(r);
	CHECK(!fds_last.args && !fds_last.objects[0]);
	fds_leave(10, 10, NR_RING_REG, 0);
	fds_call(10, 10, NR_RING_REG, 0, 2, 0);
	fds_feed(fds_entry(10, 10, NR_RING_REG, 0, 2, 0));
	CHECK(fds_last.args == 1 && fds_last.objects[0]);
	fds_leave(10, 10, NR_RING_REG, 0);
	r = fds_entry(10, 10, NR_RING_ENTER, 0, 1, 1);
	r.args[3] = ENTER_REGISTERED;
	fds_feed(r);
	CHECK(!fds_last.args && !fds_last.objects[0]);
	fds_leave(10, 10, NR_RING_ENTER, 1);
	fds_stop();
	fds_start();
	setup_ring(10, &(uint32_t){0}, 5);
	CHECK_STR(fds_shown(10, 10, 5), "anon_inode:[io_uring]");
	/* how it was made is not known */
	setup_ring(20, NULL, 5);
	CHECK_STR(fds_shown(20, 20, 5), "anon_inode:[io_uring]?");
	fds_stop();
}

static void close_range_of(int32_t tid, uint64_t flags, int64_t ret)
{
	fds_feed(fds_entry(10, tid, NR_CLOSE_RANGE, 3, 5, flags));
	fds_leave(10, tid, NR_CLOSE_RANGE, ret);
}

/* close_range and unshare may give a thread a table of its own: what others did meanwhile is in it, or not. */
static void test_own_tables(void)
{
	for (int way = 0; way < 4; way++) {
		fds_start();
		fds_open(10, "/t/a", 0, 3);
		fds_open(10, "/t/b", 02000000, 6);
		fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 11);
		if (way == 0) {
			close_range_of(11, CLOSE_UNSHARE, -12);
			CHECK_STR(fds_shown(10, 11, 3), "/t/a");
			fds_open(10, "/t/c", 0, 4);
			CHECK_STR(fds_shown(10, 11, 4), "/t/c");
		} else if (way == 1) {
			close_range_of(11, CLOSE_UNSHARE, 0);
			CHECK_STR(fds_shown(10, 10, 3), "/t/a");
			CHECK_STR(fds_shown(10, 11, 3), "-");
			CHECK_STR(fds_shown(10, 11, 6), "/t/b");
			fds_open(10, "/t/c", 0, 4);
			CHECK_STR(fds_shown(10, 11, 4), "-");
		} else if (way == 2) {
			close_range_of(11, CLOSE_UNSHARE | CLOSE_CLOEXEC, 0);
			CHECK_STR(fds_shown(10, 11, 3), "/t/a");
			fds_call(10, 11, NR_EXECVE, 0, 0, 0);
			CHECK_STR(fds_shown(10, 11, 3), "-");
		} else {
			fds_feed(fds_entry(10, 11, NR_UNSHARE, 0x400, 0, 0));
			fds_call(10, 10, NR_CLOSE, 6, 0, 0);
			fds_open(10, "/t/c", 0, 4);
			fds_leave(10, 11, NR_UNSHARE, 0);
			CHECK_STR(fds_shown(10, 11, 3), "/t/a");
			CHECK_STR(fds_shown(10, 11, 4), "/t/c?");
			CHECK_STR(fds_shown(10, 11, 6), "-");
			CHECK_STR(fds_shown(10, 10, 4), "/t/c");
		}
		fds_stop();
	}
}

int main(void)
{
	test_links();
	test_links_follow();
	test_link_is_taken();
	test_registered_rings();
	test_own_tables();
	return 0;
}
