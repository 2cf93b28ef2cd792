/* SPDX-License-Identifier: MIT */
/* test_renamed_fds.c - names of open files and of directories, when they are renamed, replaced or removed. */
#include "check.h"
#include "fds_fixture.h"

#define MADE       0302 /* O_RDWR|O_CREAT|O_EXCL */
#define REMOVEDIR_ 0x200
#define EXCHANGE_  2
#define NOFOLLOW   0400000

static void enter_change(int32_t pid, int32_t tid, uint64_t nr, const char *path, const char *target)
{
	struct fixture_record r = fds_entry(pid, tid, nr, 0x1000, 0x1000, 0);

	if (path)
		fds_bytes(&r, PLAN_LABEL_ARG0, path, strlen(path));
	if (target)
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, target, strlen(target));
	fds_feed(r);
}

static void change(int32_t pid, uint64_t nr, const char *path, const char *target, int64_t ret)
{
	enter_change(pid, pid, nr, path, target);
	fds_leave(pid, pid, nr, ret);
}

static void change_dir(int32_t pid, const char *path)
{
	change(pid, NR_CHDIR, path, NULL, 0);
}

static void rename_at(int32_t pid, uint64_t dir, const char *path, uint64_t dir2, const char *target, uint64_t flags)
{
	struct fixture_record r = fds_entry(pid, pid, NR_RENAMEAT2, dir, 0x1000, dir2);

	r.args[3] = 0x2000;
	r.args[4] = flags;
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	fds_bytes(&r, PLAN_LABEL_ARG0 + 3, target, strlen(target));
	fds_feed(r);
	fds_leave(pid, pid, NR_RENAMEAT2, 0);
}

static void test_own_file(void)
{
	fds_start();
	fds_open(10, "/t/x.new", MADE, 3);
	fds_open(10, "/t/other", 0, 4);
	change(10, NR_RENAME, "/t/x.new", "/t/x", -2);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x.new");
	change(10, NR_RENAME, "/t/x.new", "/t/x", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x");
	CHECK_STR(fds_shown(10, 10, 4), "/t/other");
	change(10, NR_UNLINK, "/t//./x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)");
	/* another file, by the same name: the first one can't be reached any more */
	fds_open(10, "/t/x", MADE, 5);
	change(10, NR_RENAME, "/t/x", "/t/y", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)");
	CHECK_STR(fds_shown(10, 10, 5), "/t/y");
	fds_stop();
}

/* A file may really be called so; and directories above a removed one are renamed as those above others. */
static void test_called_deleted(void)
{
	fds_start();
	fds_open(10, "/t/x (deleted)", MADE, 3);
	fds_open(10, "/t/y (deleted)", MADE, 4);
	fds_open(10, "/t/z", MADE, 5);
	change(10, NR_RENAME, "/t/x (deleted)", "/t/x", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)?");
	CHECK_STR(fds_shown(10, 10, 4), "/t/y (deleted)");
	change(10, NR_UNLINK, "/t/z", NULL, 0);
	change(10, NR_RENAME, "/t", "/u", 0);
	CHECK_STR(fds_shown(10, 10, 4), "/u/y (deleted)?");
	CHECK_STR(fds_shown(10, 10, 5), "/u/z (deleted)?");
	fds_stop();
}

/* What a name of a call's leads to may be a link, which was renamed alone; and another process may mean another file.
 */
static void test_not_certain(void)
{
	fds_start();
	fds_open(10, "/t/log", 0, 3);
	fds_open(10, "/t/made", MADE, 4);
	fds_open(10, "/t/a/b/file", MADE, 5);
	fds_open(10, "/t/goal", 0, 6);
	fds_open(10, "/t/logs", 0, 7);
	change(10, NR_RENAME, "/t/log", "/t/log.1", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/log.1?");
	change(20, NR_RENAME, "/t/made", "/t/goal", 0);
	CHECK_STR(fds_shown(10, 10, 4), "/t/goal?");
	CHECK_STR(fds_shown(10, 10, 6), "/t/goal (deleted)?");
	change(10, NR_RENAME, "/t/a", "/u", 0);
	CHECK_STR(fds_shown(10, 10, 5), "/u/b/file?");
	CHECK_STR(fds_shown(10, 10, 7), "/t/logs");
	/* it is told anew */
	fds_open(10, "/t/log.1", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/t/log.1");
	fds_stop();
}

/* What a snapshot tells of a descriptor: names are the kernel's. */
static void told(int32_t pid, uint64_t fd, enum fd_name_origin origin)
{
	fds_feed(fds_entry(pid, pid, NR_LSEEK, fd, 0, 0));
	fds_last.objects[0]->origin = (uint8_t)origin;
	fds_last.objects[0]->linked = false;
	fds_leave(pid, pid, NR_LSEEK, 0);
}

static void told_by_kernel(int32_t pid, uint64_t fd)
{
	told(pid, fd, FD_NAME_KERNEL);
}

/* Where the kernel's name was, a directory above is known, too; what a rename gives it is a call's name. */
static void test_kernels_names(void)
{
	fds_start();
	fds_open(10, "/t/a/x", 0, 3);
	told_by_kernel(10, 3);
	change(10, NR_RENAME, "/t/a", "/link/b", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/link/b/x");
	change(10, NR_RENAME, "/link/b/x", "/link/b/y", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/link/b/y");
	change(10, NR_RENAME, "/link/b", "/c", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/c/y?");
	fds_open(10, "/t/z", 0, 3);
	told_by_kernel(10, 3);
	change(10, NR_UNLINK, "/t/z", NULL, 0);
	change(10, NR_RENAME, "/t", "/u", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/u/z (deleted)");
	fds_stop();
}

static void test_directories(void)
{
	fds_start();
	fds_open(10, "/t", 0200000, 3);
	change_dir(10, "/t/job");
	fds_open(10, "here", MADE, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/t/job/here");
	rename_at(10, AT_FDCWD_, "here", 3, "there", 0);
	CHECK_STR(fds_shown(10, 10, 4), "/t/there");
	fds_open(10, "/t/a", MADE, 5);
	fds_open(10, "/t/b", MADE, 6);
	rename_at(10, 3, "a", 3, "b", EXCHANGE_);
	CHECK_STR(fds_shown(10, 10, 5), "/t/b");
	CHECK_STR(fds_shown(10, 10, 6), "/t/a");
	rename_at(10, 3, "job", 3, "play", 0);
	fds_open(10, "new", MADE, 7);
	CHECK_STR(fds_shown(10, 10, 7), "/t/play/new?");
	CHECK(fds_last_cwd_uncertain);
	struct fixture_record r = fds_entry(10, 10, NR_UNLINKAT, AT_FDCWD_, 0x1000, REMOVEDIR_);
	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "/t/play", 7);
	fds_feed(r);
	fds_leave(10, 10, NR_UNLINKAT, 0);
	fds_feed(fds_entry(10, 10, NR_OPENAT, AT_FDCWD_, 0x1000, 0));
	CHECK_STR(fds_last.cwd, "/t/play (deleted)");
	fds_leave(10, 10, NR_OPENAT, -2);
	fds_stop();
}

/* Where a change was is not known: what may be meant is marked. */
static void test_unknown_places(void)
{
	fds_start();
	fds_open(10, "/t/x", MADE, 3);
	fds_open(10, "/t/z", MADE, 4);
	change(20, NR_UNLINK, "x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	CHECK_STR(fds_shown(10, 10, 4), "/t/z");
	fds_open(10, "/t/x", MADE, 3);
	change(20, NR_UNLINK, "/link/x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	fds_open(10, "/t/x", MADE, 3);
	change(20, NR_RENAME, "/t/../t/x", "/t/y", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	/* a directory above, elsewhere */
	fds_open(10, "/t/x", MADE, 3);
	change(20, NR_RENAME, "/link/t", "/link/u", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	/* and removed, it could not have been one above */
	fds_open(10, "/t/x", MADE, 3);
	change(20, NR_RMDIR, "/link/t", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x");
	CHECK_STR(fds_shown(10, 10, 4), "/t/z?");
	/* a path that was not to be read */
	change(20, NR_UNLINK, NULL, NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	fds_stop();
}

/* Of two calls at the same time either may be the first. */
static void test_at_the_same_time(void)
{
	fds_start();
	enter_change(20, 20, NR_RENAME, "/t/x", "/t/y");
	fds_open(10, "/t/x", MADE, 3);
	fds_open(10, "/t/z", MADE, 4);
	fds_leave(20, 20, NR_RENAME, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	CHECK_STR(fds_shown(10, 10, 4), "/t/z");
	for (int many = 0; many < 2; many++) {
		fds_enter_open(10, 10, "/t/x", 0);
		change(20, NR_UNLINK, many ? "/u/0" : "/t/x", NULL, 0);
		for (int i = 0; many && i < 70; i++)
			change(20, NR_UNLINK, "/u/1", NULL, 0);
		fds_leave(10, 10, NR_OPENAT, 5);
		CHECK_STR(fds_shown(10, 10, 5), "/t/x?");
		fds_open(10, "/t/x", 0, 5);
		CHECK_STR(fds_shown(10, 10, 5), "/t/x");
	}
	fds_enter_open(10, 10, "/t/x", 0);
	change(20, NR_UNLINK, "/u/1", NULL, 0);
	fds_leave(10, 10, NR_OPENAT, 5);
	CHECK_STR(fds_shown(10, 10, 5), "/t/x");
	fds_stop();
}

/* How a call ended was not seen: it may have happened, or not. */
static void test_unseen_ends(void)
{
	enum { NEXT_ENTRY, OTHER_EXIT, GAP, NO_RESULT, KILLED, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct fixture_record r = fixture_exit(++fds_now, 20, 20, NR_RENAME, 0);

		fds_start();
		fds_open(10, "/t/x", MADE, 3);
		fds_open(10, "/t/z", MADE, 4);
		fds_open(10, "/t/a", 0200000, 5);
		change_dir(10, "/t/job");
		if (way == KILLED)
			fds_call(20, 20, NR_CLONE, THREAD_FLAGS, 0, 21);
		enter_change(20, way == KILLED ? 21 : 20, NR_RENAME, "/t/x", "/t/job");
		if (way == GAP) {
			fds_gap(0);
			fds_open(10, "/t/x", MADE, 3);
			fds_open(10, "/t/z", MADE, 4);
			change_dir(10, "/t/job");
			fds_leave(20, 20, NR_RENAME, -2);
		} else if (way == OTHER_EXIT) {
			fds_leave(20, 20, NR_LSEEK, 0);
		} else if (way == NO_RESULT) {
			r.flags = TRAP_F_DIVERTED;
			fds_feed(r);
		} else if (way == KILLED) {
			fds_feed(fds_entry(20, 20, NR_EXIT_GROUP, 0, 0, 0));
		} else {
			fds_call(20, 20, NR_LSEEK, 0, 0, 0);
		}
		CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
		CHECK(fds_last_cwd_uncertain);
		/* behind a loss, "/" may be another */
		CHECK_STR(fds_shown(10, 10, 4), way == GAP ? "/t/z?" : "/t/z");
		fds_stop();
	}
}

/* The entry was not seen: any name may be meant; but what fails changes nothing, and unlink takes no directory. */
static void test_exit_alone(void)
{
	fds_start();
	fds_open(10, "/t/x", MADE, 3);
	change_dir(10, "/t/job");
	fds_leave(20, 20, NR_UNLINK, -2);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x");
	fds_leave(20, 20, NR_UNLINK, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	CHECK(!fds_last_cwd_uncertain);
	fds_leave(20, 20, NR_RENAME, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	CHECK(fds_last_cwd_uncertain);
	fds_stop();
}

static void test_long_names(void)
{
	char long_name[1000], path[1024];

	fds_start();
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	snprintf(path, sizeof(path), "/t/%s", long_name);
	fds_open(10, path, MADE, 3);
	change(10, NR_RENAME, "/t", "/a/longer/one/where/the/name/has/no/room", 0);
	CHECK(strchr(fds_shown(10, 10, 3), '?'));
	/* a path that is too long to be kept: its last part tells what may be meant */
	fds_open(10, "/t/x", MADE, 3);
	fds_open(10, "/t/y", MADE, 4);
	snprintf(path, sizeof(path), "/t/%.990s/link/././x", long_name);
	for (size_t i = 253; i < 900; i += 250)
		path[i] = '/';
	CHECK(strlen(path) < FD_NAME_BYTES);
	for (int too_long = 0; too_long < 2; too_long++) {
		char longer[2100];

		snprintf(longer, sizeof(longer), "/%s%s", too_long ? long_name : "u", path);
		fds_open(10, "/t/x", MADE, 3);
		change(10, NR_UNLINK, longer, NULL, 0);
		CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
		CHECK_STR(fds_shown(10, 10, 4), "/t/y");
	}
	fds_stop();
}

/* What is kept of all files is bounded: where a longer name has no room, the old one is marked. */
static void test_no_room(void)
{
	char long_name[1000] = "/";
	int nr_old = 0, nr_new = 0;

	fds_start();
	memset(long_name + 1, 'n', sizeof(long_name) - 2);
	for (int64_t fd = 0; fd < 65536; fd++)
		fds_open(10, "/t/x", 0, fd);
	change(20, NR_RENAME, "/t", long_name, 0);
	for (uint64_t fd = 0; fd < 65536; fd += 64) {
		const char *name = fds_shown(10, 10, fd);

		CHECK(name[strlen(name) - 1] == '?');
		nr_old += !strcmp(name, "/t/x?");
		nr_new += !strncmp(name, long_name, sizeof(long_name) - 1);
	}
	CHECK(nr_old && nr_new && nr_old + nr_new == 1024);
	fds_stop();
}

/* Many files are open: what a change costs is seen in those that it may concern alone. */
static void test_many_files(void)
{
	char name[32];

	fds_start();
	for (int fd = 0; fd < 30000; fd++) {
		snprintf(name, sizeof(name), "/t/a/%d", fd % 100);
		fds_open(10, name, MADE, fd);
		told_by_kernel(10, (uint64_t)fd);
	}
	for (int i = 0; i < 30000; i++)
		change(10, NR_UNLINK, "/t/none", NULL, 0);
	change(10, NR_RENAME, "/t", "/u", 0);
	CHECK_STR(fds_shown(10, 10, 29999), "/u/a/99");
	change(10, NR_UNLINK, "/u/a/99", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 29999), "/u/a/99 (deleted)");
	fds_call(10, 10, NR_CLOSE, 29999, 0, 0);
	CHECK_STR(fds_shown(10, 10, 29899), "/u/a/99 (deleted)");
	fds_stop();
}

/* Below a root that is not known, of an absolute path the last part is. */
static void test_roots(void)
{
	fds_start();
	fds_open(10, "/t/x", MADE, 3);
	fds_open(10, "/t/z", MADE, 4);
	fds_call(10, 10, NR_CHROOT, 0x1000, 0, 0);
	change(10, NR_RENAME, "/t/x", "/t/y", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x?");
	CHECK_STR(fds_shown(10, 10, 4), "/t/z");
	fds_stop();
	fds_start();
	change(10, NR_CHROOT, "/jail", NULL, 0);
	fds_open(10, "/x", MADE, 3);
	change(10, NR_RENAME, "/x", "/y", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/jail/y");
	fds_stop();
}

static void unlink_at(int32_t pid, uint64_t dir, const char *path)
{
	struct fixture_record r = fds_entry(pid, pid, NR_UNLINKAT, dir, 0x1000, 0);

	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	fds_feed(r);
	fds_leave(pid, pid, NR_UNLINKAT, 0);
}

static void open_at(int32_t pid, uint64_t dir, const char *path, uint64_t flags, int64_t fd)
{
	struct fixture_record r = fds_entry(pid, pid, NR_OPENAT, dir, 0x1000, flags);

	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	fds_feed(r);
	fds_leave(pid, pid, NR_OPENAT, fd);
}

/* 10 has /dev/null open, 20 the directory /t/d as its descriptor 3 and its working directory. */
static void start_places(enum fd_name_origin of_file, enum fd_name_origin of_directory)
{
	fds_start();
	fds_open(10, "/dev/null", 0, 3);
	told(10, 3, of_file);
	fds_open(20, "/t/d", 0200000, 3);
	told(20, 3, of_directory);
	fds_call(20, 20, NR_FCHDIR, 3, 0, 0);
}

/* Two names of the kernel's that differ are two files, if no mount gives them more names. */
static void test_elsewhere(void)
{
	enum {
		BY_DIRECTORY,
		BY_CWD,
		RENAMED,
		REPLACED,
		BELOW_IT,
		LAST_SURE = BELOW_IT,
		BY_LINK,
		LONGER,
		DOTS,
		BY_CHDIR,
		BY_PATH,
		MOUNTED,
		MOUNTING,
		MOUNTED_UNSEEN,
		OTHER_THREAD,
		WAYS
	};

	for (int way = 0; way < WAYS; way++) {
		start_places(FD_NAME_ONLY, FD_NAME_ONLY);
		if (way == BY_DIRECTORY) {
			unlink_at(20, 3, "null");
		} else if (way == BY_CWD) {
			change(20, NR_UNLINK, "null", NULL, 0);
		} else if (way == RENAMED) {
			rename_at(20, 3, "null", AT_FDCWD_, "nil", 0);
		} else if (way == REPLACED) {
			rename_at(20, AT_FDCWD_, "nil", 3, "null", 0);
		} else if (way == BELOW_IT) {
			open_at(20, 3, "e", NOFOLLOW | 0200000, 4);
			unlink_at(20, 4, "null");
		} else if (way == BY_LINK) {
			open_at(20, 3, "e", 0200000, 4);
			unlink_at(20, 4, "null");
		} else if (way == LONGER) {
			unlink_at(20, 3, "e/null");
		} else if (way == DOTS) {
			open_at(20, 3, "..", NOFOLLOW | 0200000, 4);
			unlink_at(20, 4, "null");
		} else if (way == BY_CHDIR) {
			change_dir(20, "/t/d");
			change(20, NR_UNLINK, "null", NULL, 0);
		} else if (way == BY_PATH) {
			change(20, NR_UNLINK, "/t/d/null", NULL, 0);
		} else if (way == MOUNTED) {
			fds_call(30, 30, NR_MOUNT, 0, 0, 0);
			unlink_at(20, 3, "null");
		} else if (way == MOUNTING) {
			fds_feed(fds_entry(30, 30, NR_MOUNT, 0, 0, 0));
			unlink_at(20, 3, "null");
		} else if (way == MOUNTED_UNSEEN) {
			fds_leave(30, 30, NR_MOUNT, 0);
			unlink_at(20, 3, "null");
		} else {
			/* while another thread goes elsewhere */
			fds_call(20, 20, NR_CLONE, THREAD_FLAGS, 0, 21);
			fds_feed(fds_entry(20, 21, NR_CHDIR, 0x1000, 0, 0));
			change(20, NR_UNLINK, "null", NULL, 0);
		}
		CHECK_STR(fds_shown(10, 10, 3), way <= LAST_SURE ? "/dev/null" : "/dev/null?");
		fds_stop();
	}
	for (int lesser = 0; lesser < 3; lesser++) {
		start_places(lesser == 1 ? FD_NAME_PLACED : FD_NAME_ONLY, lesser == 2 ? FD_NAME_KERNEL : FD_NAME_ONLY);
		unlink_at(20, 3, "null");
		CHECK_STR(fds_shown(10, 10, 3), lesser ? "/dev/null?" : "/dev/null");
		fds_stop();
	}
}

/* Where a process is does not end by another directory's removal. */
static void test_other_directory(void)
{
	for (int way = 0; way < 2; way++) {
		struct fixture_record r;

		start_places(FD_NAME_ONLY, FD_NAME_ONLY);
		fds_open(30, "/u", 0200000, 3);
		told(30, 3, way ? FD_NAME_KERNEL : FD_NAME_ONLY);
		r = fds_entry(30, 30, NR_UNLINKAT, 3, 0x1000, REMOVEDIR_);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "d", 1);
		fds_feed(r);
		fds_leave(30, 30, NR_UNLINKAT, 0);
		fds_shown(20, 20, 3);
		CHECK(fds_last_cwd_uncertain == (way == 1));
		fds_stop();
	}
}

/* What was mounted since may hide the file that has this name. */
static void test_hidden(void)
{
	fds_start();
	fds_open(10, "/t/x", MADE, 3);
	fds_call(30, 30, NR_MOUNT, 0, 0, 0);
	change(10, NR_UNLINK, "/t/x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)?");
	fds_feed(fds_entry(30, 30, NR_MOUNT, 0, 0, 0));
	fds_open(10, "/t/x", MADE, 3);
	change(10, NR_UNLINK, "/t/x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)?");
	fds_leave(30, 30, NR_MOUNT, -1);
	fds_open(10, "/t/x", MADE, 3);
	change(10, NR_UNLINK, "/t/x", NULL, 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/x (deleted)");
	fds_stop();
}

static void told_cwd(int32_t pid, const char *path, int64_t ret)
{
	struct fixture_record r;

	fds_feed(fds_entry(pid, pid, NR_GETCWD, 0x1000, 0, 0));
	r = fixture_exit(++fds_now, pid, pid, NR_GETCWD, ret);
	fds_bytes(&r, PLAN_LABEL_ARG0, path, strlen(path));
	fds_feed(r);
}

/* getcwd tells where the process is, whatever it is said to be. */
static void test_getcwd(void)
{
	fds_start();
	change_dir(10, "/link");
	change(20, NR_RENAME, "/elsewhere/link", "/y", 0);
	told_cwd(10, "/wrong", -34);
	told_cwd(10, "(unreachable)/x", 10);
	fds_open(10, "x", MADE, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/link/x?");
	CHECK(fds_last_cwd_uncertain);
	told_cwd(10, "/t/job", 7);
	fds_open(10, "x", MADE, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/t/job/x");
	CHECK(!fds_last_cwd_uncertain);
	/* the file's place is known by that */
	change(10, NR_RENAME, "/t/job", "/t/play", 0);
	CHECK_STR(fds_shown(10, 10, 3), "/t/play/x");
	/* below another root it is not */
	change(10, NR_CHROOT, "/jail", NULL, 0);
	change_dir(10, "/a");
	told_cwd(10, "/b", 3);
	fds_open(10, "y", MADE, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/jail/a/y");
	fds_stop();
}

int main(void)
{
	test_elsewhere();
	test_other_directory();
	test_hidden();
	test_getcwd();
	test_own_file();
	test_called_deleted();
	test_not_certain();
	test_kernels_names();
	test_directories();
	test_unknown_places();
	test_at_the_same_time();
	test_unseen_ends();
	test_exit_alone();
	test_long_names();
	test_no_room();
	test_many_files();
	test_roots();
	return 0;
}
