/* SPDX-License-Identifier: MIT */
/* test_doubted_fds.c - where paths start when another thread, another root or another namespace comes in between, and
 * calls whose end was not seen. */
#include "check.h"
#include "fds_fixture.h"

#define MADE         0302      /* O_RDWR|O_CREAT|O_EXCL */
#define PATH_OF_LINK 012400000 /* O_PATH|O_NOFOLLOW */
#define TMPFILE      020200002 /* O_TMPFILE|O_RDWR */
#define DIRECTORY    0200000
#define IN_ROOT      0x10
#define NEWNS        0x20000
#define SHARE_FILES  0x400

static void open_how(uint64_t dirfd, const char *path, const uint64_t *how, int64_t ret)
{
	struct fixture_record r = fds_entry(10, 10, NR_OPENAT2, dirfd, 0x1000, 0x2000);

	fds_bytes(&r, PLAN_LABEL_ARG0 + 1, path, strlen(path));
	if (how)
		fds_bytes(&r, PLAN_LABEL_ARG0 + 2, how, 24);
	fds_feed(r);
	fds_leave(10, 10, NR_OPENAT2, ret);
}

/* struct open_how {flags, mode, resolve} */
static void test_open_how(void)
{
	fds_start();
	fds_open(10, "/r", DIRECTORY, 3);
	open_how(3, "/etc/passwd", (const uint64_t[3]){0}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/etc/passwd");
	open_how(3, "/etc/passwd", (const uint64_t[3]){0, 0, IN_ROOT}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/r/etc/passwd");
	open_how(3, "//", (const uint64_t[3]){DIRECTORY, 0, IN_ROOT}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/r");
	open_how(3, "a/../../x", (const uint64_t[3]){0, 0, IN_ROOT}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/r/a/../../x?");
	open_how(3, "/proc/self/fd/3", (const uint64_t[3]){0, 0, IN_ROOT}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/r/proc/self/fd/3");
	open_how(AT_FDCWD_, "/tmp", (const uint64_t[3]){TMPFILE}, 4);
	CHECK_STR(fds_shown(10, 10, 4), "file");
	open_how(AT_FDCWD_, "/proc/self/fd/3", (const uint64_t[3]){PATH_OF_LINK}, 4);
	CHECK(strncmp(fds_shown(10, 10, 4), "/r", 2) != 0);
	open_how(AT_FDCWD_, "/x", NULL, 4);
	CHECK_STR(fds_shown(10, 10, 4), "/x?");
	fds_stop();
}

static void start_threads(void)
{
	fds_start();
	fds_open(10, "/a", DIRECTORY, 5);
	fds_open(10, "/b", DIRECTORY, 7);
	fds_path(10, NR_CHDIR, "/a", 0);
	fds_call(10, 10, NR_CLONE, THREAD_FLAGS, 0, 11);
}

/* While a thread's call is under way, another one changes what its path starts from. */
static void test_base_is_taken(void)
{
	enum { NOTHING, TAKEN, TAKEN_BACK, GOES, HAS_GONE, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct fixture_record r = fds_entry(10, 11, NR_OPENAT, way < GOES ? 5 : AT_FDCWD_, 0x1000, 0);

		start_threads();
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, "x", 1);
		fds_feed(r);
		if (way == TAKEN || way == TAKEN_BACK)
			fds_call(10, 10, NR_DUP2, 7, 5, 5);
		if (way == TAKEN_BACK)
			fds_open(10, "/a", DIRECTORY, 5);
		if (way >= GOES)
			fds_enter_path(10, 10, NR_CHDIR, "/b");
		if (way == HAS_GONE)
			fds_leave(10, 10, NR_CHDIR, 0);
		fds_leave(10, 11, NR_OPENAT, 3);
		if (way == GOES)
			fds_leave(10, 10, NR_CHDIR, 0);
		CHECK_STR(fds_shown(10, 10, 3), way ? "/a/x?" : "/a/x");
		fds_stop();
	}
}

static void test_directory_is_taken(void)
{
	start_threads();
	fds_feed(fds_entry(10, 11, NR_FCHDIR, 5, 0, 0));
	fds_call(10, 10, NR_DUP2, 7, 5, 5);
	fds_leave(10, 11, NR_FCHDIR, 0);
	fds_open(10, "x", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/a/x?");
	fds_stop();
	/* which of two was the later one */
	start_threads();
	fds_enter_path(10, 11, NR_CHDIR, "/a/c");
	fds_enter_path(10, 10, NR_CHDIR, "/b");
	fds_leave(10, 11, NR_CHDIR, 0);
	fds_leave(10, 10, NR_CHDIR, 0);
	fds_open(10, "x", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/b/x?");
	fds_path(10, NR_CHDIR, "/b", 0);
	fds_open(10, "x", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/b/x");
	fds_stop();
}

/* Whether the call of thread 11 went well is not seen. */
static void end_unseen(bool has_exit, uint64_t nr)
{
	struct fixture_record r = fixture_exit(++fds_now, 10, 11, nr, 0);

	/* a signal's handler has begun, and where the result lies was not recorded */
	r.flags = TRAP_F_DIVERTED;
	if (has_exit)
		fds_feed(r);
	else
		fds_call(10, 11, NR_LSEEK, 99, 0, 0);
}

static void test_unseen_ends(void)
{
	enum { CHDIR, FCHDIR, CHROOT, CONNECT, CLOEXEC, CASES };
	static const uint64_t numbers[CASES] = {NR_CHDIR, NR_FCHDIR, NR_CHROOT, NR_CONNECT, NR_FCNTL};
	static const uint8_t server[16] = {2, 0, 0, 80, 10, 0, 0, 2};

	for (int way = 0; way < 2 * CASES; way++) {
		uint64_t nr = numbers[way / 2];
		/* of the descriptor 7, or what 8 is to be told or to connect to */
		struct fixture_record r = fds_entry(10, 11, nr, way / 2 == FCHDIR ? 7 : 8, 2, 1);

		start_threads();
		fds_call(10, 10, NR_SOCKET, 2, 1, 8);
		if (way / 2 == CONNECT) {
			r.args[2] = sizeof(server);
			fds_bytes(&r, PLAN_LABEL_ARG0 + 1, server, sizeof(server));
		}
		if (way / 2 == CHDIR || way / 2 == CHROOT)
			fds_enter_path(10, 11, nr, "/b");
		else
			fds_feed(r);
		end_unseen(way % 2, nr);
		fds_open(10, "x", 0, 3);
		CHECK_STR(fds_shown(10, 10, 3), way / 2 <= FCHDIR ? "/a/x?" : "/a/x");
		fds_open(10, "/x", 0, 3);
		CHECK_STR(fds_shown(10, 10, 3), way / 2 == CHROOT ? "/x?" : "/x");
		CHECK_STR(fds_shown(10, 10, 8), way / 2 >= CONNECT ? "TCP?" : "TCP");
		CHECK_STR(fds_shown(10, 10, 5), "/a");
		fds_stop();
	}
	/* it may have left what it shared */
	start_threads();
	fds_feed(fds_entry(10, 11, NR_UNSHARE, SHARE_FILES, 0, 0));
	end_unseen(1, NR_UNSHARE);
	CHECK_STR(fds_shown(10, 11, 5), "/a?");
	CHECK_STR(fds_shown(10, 10, 5), "/a");
	fds_stop();
	/* by a thread that was killed in it */
	start_threads();
	fds_enter_path(10, 11, NR_CHDIR, "/b");
	fds_feed(fds_entry(10, 11, NR_EXIT, 0, 0, 0));
	fds_open(10, "x", 0, 3);
	CHECK_STR(fds_shown(10, 10, 3), "/a/x?");
	fds_stop();
}

/* The same path in another mount namespace is another file's. */
static void test_other_namespace(void)
{
	for (int own = 0; own < 2; own++) {
		fds_start();
		fds_open(10, "/t/x", MADE, 3);
		fds_call(10, 10, NR_FORK, 0, 0, 11);
		if (own)
			fds_call(11, 11, NR_UNSHARE, NEWNS, 0, 0);
		fds_path(11, NR_UNLINK, "/t/x", 0);
		CHECK_STR(fds_shown(10, 10, 3), own ? "/t/x (deleted)?" : "/t/x (deleted)");
		fds_stop();
	}
}

/* A datagram socket may go to one after another. */
static void test_reconnected(void)
{
	static const char *const paths[] = {"/run/a", "/run/b"};

	fds_start();
	fds_call(10, 10, NR_SOCKET, 1, 2, 3);
	for (int i = 0; i < 2; i++) {
		uint8_t address[32] = {1, 0};
		struct fixture_record r = fds_entry(10, 10, NR_CONNECT, 3, 0x1000, sizeof(address));

		memcpy(address + 2, paths[i], 6);
		fds_bytes(&r, PLAN_LABEL_ARG0 + 1, address, sizeof(address));
		fds_feed(r);
		fds_leave(10, 10, NR_CONNECT, 0);
	}
	CHECK_STR(fds_shown(10, 10, 3), "UNIX-DGRAM:/run/b");
	fds_stop();
}

int main(void)
{
	test_open_how();
	test_base_is_taken();
	test_directory_is_taken();
	test_unseen_ends();
	test_other_namespace();
	test_reconnected();
	return 0;
}
