/* SPDX-License-Identifier: MIT */
/* test_mounted_fds.c - names of open files and of directories that mounts and hard links make untrue. */
#include "check.h"
#include "fds_fixture.h"

#define MADE       0302 /* O_RDWR|O_CREAT|O_EXCL */
#define DIRECTORY  0200000
#define MOVE       0x2000
#define BIND       0x1000
#define MAGIC      0xc0ed0000
#define DETACH     2
#define EMPTY_PATH 4
#define TREE_CLONE 1
#define NEWNS      0x20000

static void enter_paths(int32_t pid, uint64_t nr, int at, const char *path, int at2, const char *path2,
			const uint64_t args[6])
{
	struct fixture_record r = fds_entry(pid, pid, nr, 0, 0, 0);

	memcpy(r.args, args, 6 * sizeof(args[0]));
	fds_bytes(&r, (uint8_t)(PLAN_LABEL_ARG0 + at), path, strlen(path));
	if (path2)
		fds_bytes(&r, (uint8_t)(PLAN_LABEL_ARG0 + at2), path2, strlen(path2));
	fds_feed(r);
}

static void mounts(int32_t pid, const char *path, const char *target, uint64_t flags, int64_t ret)
{
	enter_paths(pid, NR_MOUNT, 0, path, 1, target, (const uint64_t[6]){0x1000, 0x1000, 0, flags});
	fds_leave(pid, pid, NR_MOUNT, ret);
}

static void move_mount(int32_t pid, uint64_t dir, const char *path, const char *target, uint64_t flags)
{
	enter_paths(pid, NR_MOVE_MOUNT, 1, path, 3, target, (const uint64_t[6]){dir, 0x1000, AT_FDCWD_, 0x1000, flags});
	fds_leave(pid, pid, NR_MOVE_MOUNT, 0);
}

static void unmounts(int32_t pid, const char *path, uint64_t flags)
{
	enter_paths(pid, NR_UMOUNT2, 0, path, 0, NULL, (const uint64_t[6]){0x1000, flags});
	fds_leave(pid, pid, NR_UMOUNT2, 0);
}

static void opens_tree(int32_t pid, const char *path, uint64_t flags, int64_t fd)
{
	enter_paths(pid, NR_OPEN_TREE, 1, path, 0, NULL, (const uint64_t[6]){AT_FDCWD_, 0x1000, flags});
	fds_leave(pid, pid, NR_OPEN_TREE, fd);
}

static void start(void)
{
	fds_start();
	fds_open(10, "/m/a/x", MADE, 3);
	fds_open(10, "/u/x", MADE, 4);
	fds_open(10, "/n/y", MADE, 5);
	fds_path(10, NR_CHDIR, "/m/a", 0);
}

static void test_moved(void)
{
	enum {
		BY_MOUNT,
		BY_MAGIC,
		BY_LINK_OF_PROC,
		BY_PATH,
		BY_TREE,
		LAST_MOVE = BY_TREE,
		BIND_IT,
		BIND_MAGIC,
		FAILED,
		NEW_TREE,
		COPY,
		LAST_KNOWN = COPY,
		ENTRY_LOST,
		UNKNOWN_TREE,
		UNKNOWN_LINK,
		WAYS
	};

	for (int way = 0; way < WAYS; way++) {
		start();
		if (way == BY_MOUNT) {
			mounts(20, "/m", "/n", MOVE, 0);
		} else if (way == BY_MAGIC) {
			mounts(20, "/m", "/n", MAGIC | MOVE, 0);
		} else if (way == BY_LINK_OF_PROC) {
			fds_open(20, "/m", DIRECTORY, 7);
			mounts(20, "/proc/self/fd/7", "/n", MOVE, 0);
		} else if (way == BY_PATH) {
			move_mount(20, AT_FDCWD_, "/m", "/n", 0);
		} else if (way == BY_TREE) {
			opens_tree(20, "/m", 0, 7);
			CHECK_STR(fds_shown(20, 20, 7), "/m");
			move_mount(20, 7, "", "/n", EMPTY_PATH);
		} else if (way == BIND_IT) {
			mounts(20, "/m", "/n", BIND | MOVE, 0);
		} else if (way == BIND_MAGIC) {
			mounts(20, "/m", "/n", MAGIC | BIND | MOVE, 0);
		} else if (way == FAILED) {
			mounts(20, "/m", "/n", MOVE, -22);
		} else if (way == NEW_TREE) {
			fds_call(20, 20, NR_FSMOUNT, 9, 0, 8);
			move_mount(20, 8, "", "/n", EMPTY_PATH);
		} else if (way == UNKNOWN_TREE) {
			move_mount(20, 8, "", "/n", EMPTY_PATH);
		} else if (way == UNKNOWN_LINK) {
			mounts(20, "/proc/7/cwd", "/n", MOVE, 0);
		} else if (way == COPY) {
			opens_tree(20, "/m", TREE_CLONE, 7);
			CHECK_STR(fds_shown(20, 20, 7), "other");
			move_mount(20, 7, "", "/n", EMPTY_PATH);
		} else {
			fds_leave(20, 20, NR_MOUNT, 0);
		}
		if (way > LAST_KNOWN) {
			CHECK_STR(fds_shown(10, 10, 4), "/u/x?");
		} else {
			CHECK_STR(fds_shown(10, 10, 3), way <= LAST_MOVE ? "/n/a/x?" : "/m/a/x");
			CHECK(fds_last_cwd_uncertain == (way <= LAST_MOVE));
			CHECK_STR(fds_shown(10, 10, 4), "/u/x");
			CHECK_STR(fds_shown(10, 10, 5), "/n/y");
		}
		fds_stop();
	}
}

static void test_detached(void)
{
	for (int detach = 0; detach < 2; detach++) {
		start();
		unmounts(20, "/m", detach ? DETACH : 0);
		CHECK_STR(fds_shown(10, 10, 3), detach ? "/m/a/x?" : "/m/a/x");
		CHECK(fds_last_cwd_uncertain == (detach == 1));
		CHECK_STR(fds_shown(10, 10, 4), "/u/x");
		fds_stop();
	}
	/* where that is, is not known */
	start();
	unmounts(20, "/v/..", DETACH);
	CHECK_STR(fds_shown(10, 10, 3), "/m/a/x?");
	fds_stop();
	start();
	unmounts(20, ".", DETACH);
	CHECK_STR(fds_shown(10, 10, 3), "/m/a/x?");
	fds_stop();
}

static void pivots(int32_t pid)
{
	fds_call(pid, pid, NR_PIVOT_ROOT, 0x1000, 0x1000, 0);
}

/* In a namespace of its own, a new root changes the names of what was opened there. */
static void test_pivoted(void)
{
	start();
	pivots(20);
	/* whose is whose is not known */
	CHECK_STR(fds_shown(10, 10, 3), "/m/a/x?");
	CHECK_STR(fds_shown(10, 10, 4), "/u/x?");
	fds_stop();
	start();
	fds_call(10, 10, NR_UNSHARE, NEWNS, 0, 0);
	fds_open(10, "/v", MADE, 6);
	fds_call(20, 20, NR_CLONE, NEWNS, 0, 21);
	fds_open(21, "/w", MADE, 6);
	fds_open(21, "/proc/1/root/w", 0, 7);
	pivots(21);
	CHECK_STR(fds_shown(10, 10, 6), "/v");
	CHECK_STR(fds_shown(10, 10, 3), "/m/a/x?");
	CHECK_STR(fds_shown(21, 21, 6), "/w?");
	CHECK_STR(fds_shown(21, 21, 7), "/proc/1/root/w?");
	fds_open(21, "/w", MADE, 6);
	CHECK_STR(fds_shown(21, 21, 6), "/w");
	/* what a descriptor of elsewhere leads to is there */
	fds_open(10, "/d", DIRECTORY, 8);
	fds_call(10, 10, NR_FORK, 0, 0, 11);
	fds_call(11, 11, NR_UNSHARE, NEWNS, 0, 0);
	fds_call(11, 11, NR_FCHDIR, 8, 0, 0);
	fds_open(11, "in", MADE, 9);
	fds_open(11, "/w", MADE, 12);
	pivots(11);
	CHECK_STR(fds_shown(11, 11, 9), "/d/in");
	CHECK_STR(fds_shown(11, 11, 12), "/w?");
	CHECK_STR(fds_shown(10, 10, 6), "/v");
	fds_stop();
}

static void renames(int32_t pid, const char *path, const char *target)
{
	enter_paths(pid, NR_RENAME, 0, path, 1, target, (const uint64_t[6]){0x1000, 0x1000});
	fds_leave(pid, pid, NR_RENAME, 0);
}

/* Renaming a file to another name of its own does nothing. */
static void test_hard_links(void)
{
	enum { NONE, BY_LINK, BY_EMPTY_PATH, BY_PROC, UNDER_WAY, FROM_UNKNOWN, ENTRY_LOST, WAYS };

	for (int way = 0; way < WAYS; way++) {
		start();
		if (way == BY_LINK || way == UNDER_WAY) {
			enter_paths(20, NR_LINK, 0, "/u/x", 1, "/u/z", (const uint64_t[6]){0x1000, 0x1000});
			if (way == BY_LINK)
				fds_leave(20, 20, NR_LINK, 0);
		} else if (way == BY_EMPTY_PATH || way == BY_PROC) {
			enter_paths(10, NR_LINKAT, 1, way == BY_PROC ? "/proc/self/fd/4" : "", 3, "/u/z",
				    (const uint64_t[6]){way == BY_PROC ? AT_FDCWD_ : 4, 0x1000, AT_FDCWD_, 0x1000,
							way == BY_PROC ? 0x400 : 0x1000});
			fds_leave(10, 10, NR_LINKAT, 0);
		} else if (way == FROM_UNKNOWN) {
			enter_paths(20, NR_LINKAT, 1, "", 3, "/u/z",
				    (const uint64_t[6]){9, 0x1000, AT_FDCWD_, 0x1000, 0x1000});
			fds_leave(20, 20, NR_LINKAT, 0);
		} else if (way == ENTRY_LOST) {
			fds_leave(20, 20, NR_LINK, 0);
		}
		CHECK_STR(fds_shown(10, 10, 4), "/u/x");
		renames(10, "/u/x", "/u/z");
		CHECK_STR(fds_shown(10, 10, 4), way ? "/u/z?" : "/u/z");
		fds_stop();
	}
	/* a removal is that of the name; and one more name does not change what a path leads to */
	start();
	fds_enter_open(10, 10, "/u/x", 0);
	enter_paths(20, NR_LINK, 0, "/u/x", 1, "/u/z", (const uint64_t[6]){0x1000, 0x1000});
	fds_leave(20, 20, NR_LINK, 0);
	fds_leave(10, 10, NR_OPENAT, 6);
	CHECK_STR(fds_shown(10, 10, 6), "/u/x");
	fds_path(10, NR_UNLINK, "/u/x", 0);
	CHECK_STR(fds_shown(10, 10, 4), "/u/x (deleted)");
	fds_stop();
}

int main(void)
{
	test_moved();
	test_detached();
	test_pivoted();
	test_hard_links();
	return 0;
}
