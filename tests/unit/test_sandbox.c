/* SPDX-License-Identifier: MIT */
/*
 * test_sandbox.c - inside the sandbox, what an analysis does works, and what an
 * attacker would do fails. Each case is a child process, with Landlock and without.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* Under a sanitizer, whose runtime is in the process, threads and large memory make calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static char folder[] = "/tmp/vmtape-test-XXXXXX";
static char inside[64], made[64], moved[64];
static const char outside[] = "/etc/passwd";
static int open_file;
static pid_t parent;

/* ---- what may be tried ----------------------------------------------- */

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	return fd >= 0 && !close(fd);
}

static bool read_inside(void)
{
	return opens(inside, O_RDONLY);
}

static bool read_outside(void)
{
	return opens(outside, O_RDONLY);
}

static bool read_made(void)
{
	return opens(made, O_RDONLY);
}

static bool write_inside(void)
{
	return opens(inside, O_RDWR);
}

static bool make_inside(void)
{
	return opens(made, O_WRONLY | O_CREAT | O_EXCL);
}

static bool make_nameless(void)
{
	return opens(folder, O_WRONLY | O_TMPFILE);
}

static bool rename_inside(void)
{
	return !rename(made, moved);
}

static bool unlink_inside(void)
{
	return !unlink(inside);
}

static bool make_folder(void)
{
	return !mkdir(moved, 0700);
}

static bool make_link(void)
{
	return !link(inside, moved);
}

static bool make_outside(void)
{
	return opens("/tmp/vmtape-test-outside", O_WRONLY | O_CREAT);
}

static bool connect_out(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool connect_local(void)
{
	int fds[2];

	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || !socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static bool run_program(void)
{
	char *args[] = {(char *)"true", NULL};

	execv("/bin/true", args);
	return false;
}

static bool make_process(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	return child > 0;
}

static bool trace(void)
{
	return !ptrace(PTRACE_TRACEME, 0, NULL, NULL) || !ptrace(PTRACE_ATTACH, parent, NULL, NULL);
}

static bool send_signal(void)
{
	return !kill(parent, 0);
}

static bool new_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
	       !mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static bool type_at_terminal(void)
{
	char c = '\n';

	/* Not the terminal's own refusal, which comes first without a filter. */
	return !ioctl(open_file, TIOCSTI, &c) || errno != EPERM;
}

static bool use_open_file(void)
{
	char bytes[4];
	struct stat info;

	return pread(open_file, bytes, sizeof(bytes), 0) == 4 && !memcmp(bytes, "tape", 4) &&
	       lseek(open_file, 0, SEEK_END) == 4 && !fstat(open_file, &info) && write(open_file, "x", 1) == 1 &&
	       !ftruncate(open_file, 4) && !isatty(open_file);
}

static void *in_thread(void *ctx)
{
	*(int *)ctx = 1;
	return NULL;
}

static bool use_threads(void)
{
	pthread_t thread;
	int ran = 0;

	return !pthread_create(&thread, NULL, in_thread, &ran) && !pthread_join(thread, NULL) && ran;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static bool use_memory(void)
{
	static int numbers[100000];
	char *block = malloc(20u << 20);

	if (!block)
		return false;
	memset(block, 1, 20u << 20);
	block = realloc(block, 30u << 20);
	free(block);
	for (int i = 0; i < 100000; i++)
		numbers[i] = -i;
	qsort(numbers, 100000, sizeof(int), compare);
	return block && numbers[0] == -99999;
}

/* The zone's file was read before. */
static bool use_time(void)
{
	struct timespec moment = {0, 1000000};
	time_t at = 1780000000;
	struct tm local;

	return !nanosleep(&moment, NULL) && localtime_r(&at, &local) && local.tm_gmtoff == 3 * 3600;
}

/* ---- cases ----------------------------------------------------------- */

enum {
	NEVER = 0,
	ALWAYS = 1,         /* works in any room */
	READING = 2,        /* with room to read, of the folder */
	WRITING = 4,        /* with room to write */
	LANDLOCK = 8,       /* only Landlock tells it apart: without it, works where a folder is open */
	FILE_OPEN = 16,     /* with room to read that file alone */
	LANDLOCK_FILE = 32, /* only Landlock tells this file from others of the folder */
};

static const struct {
	const char *name;
	bool (*attempt)(void);
	unsigned works;
	bool not_sanitized;
} cases[] = {
	{"read a file of the folder", read_inside, READING | WRITING | FILE_OPEN, false},
	{"read a file elsewhere", read_outside, LANDLOCK | READING | WRITING | FILE_OPEN, false},
	{"read another file of the folder", read_made, LANDLOCK_FILE | READING | WRITING | FILE_OPEN, false},
	{"write a file of the folder", write_inside, WRITING, false},
	{"make a file in the folder", make_inside, WRITING, false},
	{"make a file without a name", make_nameless, WRITING, false},
	{"rename a file of the folder", rename_inside, WRITING, false},
	{"make a folder", make_folder, NEVER, false},
	{"make a link", make_link, WRITING, false},
	{"make a file elsewhere", make_outside, LANDLOCK | WRITING, false},
	{"remove a file of the folder", unlink_inside, WRITING, false},
	{"connect by TCP", connect_out, NEVER, false},
	{"connect by UNIX sockets", connect_local, NEVER, false},
	{"run a program", run_program, NEVER, false},
	{"make a process", make_process, NEVER, true},
	{"trace", trace, NEVER, false},
	{"send a signal", send_signal, NEVER, false},
	{"bring in new code", new_code, NEVER, false},
	{"type at the terminal", type_at_terminal, NEVER, false},
	{"use a file that is open", use_open_file, ALWAYS, false},
	{"use threads", use_threads, ALWAYS, true},
	{"use memory", use_memory, ALWAYS, true},
	{"use the time", use_time, ALWAYS, false},
};

enum { WORKED = 10, REFUSED = 11, NO_SANDBOX = 12 };

static int attempt(size_t number, const struct sandbox_room *room, bool sealed)
{
	struct sandbox_state state;
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		if (room && sandbox_enter(room, &state))
			_exit(NO_SANDBOX);
		if (sealed && sandbox_seal())
			_exit(NO_SANDBOX);
		errno = 0;
		/* A program that runs in our place ends with 0. */
		_exit(cases[number].attempt() ? WORKED : REFUSED);
	}
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status) ? WEXITSTATUS(status) : WORKED;
}

/* As each attempt finds it. */
static void prepare(void)
{
	int fd = open(inside, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0 && !close(fd));
	unlink(made);
	unlink(moved);
	rmdir(moved);
	unlink("/tmp/vmtape-test-outside");
}

static bool should_work(unsigned works, const struct sandbox_room *room)
{
	bool has_folder = (works & READING && room->read_beside) || (works & WRITING && room->write_beside);
	bool has_room = has_folder || (works & FILE_OPEN && room->read);

	if (works & LANDLOCK_FILE)
		return has_folder || (room->without_landlock && has_room);
	if (works & LANDLOCK)
		return room->without_landlock && has_room;
	return works & ALWAYS || has_room;
}

static void test_room(const char *what, const struct sandbox_room *room, bool sealed)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int result;

		if (SANITIZED && cases[i].not_sanitized)
			continue;
		prepare();
		if (cases[i].attempt == rename_inside || cases[i].attempt == read_made)
			CHECK(make_inside());
		result = attempt(i, room, sealed);
		if (result !=
		    (should_work(sealed ? cases[i].works & ALWAYS : cases[i].works, room) ? WORKED : REFUSED)) {
			fprintf(stderr, "%s%s: %s: %s\n", what, room->without_landlock ? ", without Landlock" : "",
				cases[i].name,
				result == WORKED    ? "it worked"
				: result == REFUSED ? "refused"
						    : "?");
			exit(1);
		}
	}
}

/* Free, all of it works: so it is the sandbox that refuses. */
static void test_free(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare();
		if (cases[i].attempt == rename_inside || cases[i].attempt == read_made)
			CHECK(make_inside());
		/* A container may refuse these by itself. */
		if (cases[i].attempt == trace || cases[i].attempt == make_nameless)
			continue;
		if (attempt(i, NULL, false) != WORKED) {
			fprintf(stderr, "without sandbox: %s: refused\n", cases[i].name);
			exit(1);
		}
	}
}

static void remove_all(void)
{
	if (getpid() != parent)
		return;
	prepare();
	unlink(inside);
	rmdir(folder);
}

int main(void)
{
	struct sandbox_room none = {0}, one = {.read = (char *[]){inside}, .nr_read = 1},
			    reading = {.read_beside = inside}, writing = {.write_beside = made};
	struct sandbox_state state = {0};
	pid_t child;
	int status;

	setenv("TZ", "VMT-3", 1);
	CHECK(mkdtemp(folder));
	parent = getpid();
	atexit(remove_all);
	snprintf(inside, sizeof(inside), "%s/inside", folder);
	snprintf(made, sizeof(made), "%s/made", folder);
	snprintf(moved, sizeof(moved), "%s/moved", folder);
	open_file = fileno(tmpfile());
	CHECK(open_file >= 0);
	CHECK_INT(write(open_file, "tape", 4), 4);

	test_free();
	child = fork();
	if (!child)
		_exit(sandbox_enter(&none, &state) ? 255 : state.landlock_abi);
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 255);
	printf("Landlock ABI %d\n", WEXITSTATUS(status));
	for (int without = WEXITSTATUS(status) ? 0 : 1; without < 2; without++) {
		none.without_landlock = reading.without_landlock = writing.without_landlock = without;
		one.without_landlock = without;
		test_room("no room", &none, false);
		test_room("room for one file", &one, false);
		test_room("room for one file, sealed", &one, true);
		test_room("room to read", &reading, false);
		test_room("room to write", &writing, false);
	}
	return 0;
}
