/* SPDX-License-Identifier: MIT */
/*
 * test_call_watch.c - what the recorder makes of the lines of the analyzer that
 * looks for calls: which are matches, however they come in pieces, and that what
 * it says is passed on. A script is the analyzer: the real one does not write a
 * line in two pieces on demand.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call_watch.h"
#include "check.h"
#include "loop.h"

#define MAX_MATCHES 16

struct matches {
	unsigned nr;
	char lines[MAX_MATCHES][200];
};

static char folder[] = "/tmp/vmtape-watch.XXXXXX";

static void note_match(void *ctx, const char *line)
{
	struct matches *matches = ctx;

	CHECK(matches->nr < MAX_MATCHES);
	snprintf(matches->lines[matches->nr++], sizeof(matches->lines[0]), "%s", line);
}

/* All that stderr was told, from the file that it is. */
static void read_told(char *out, size_t room)
{
	ssize_t n = pread(STDERR_FILENO, out, room - 1, 0);

	CHECK(n >= 0);
	out[n] = '\0';
}

/* Runs the script as the analyzer until it has ended. */
static void run(const char *body, struct matches *matches, char *told, size_t room)
{
	static const char head[] = "#!/bin/sh\ncase \"$*\" in *--check*) exit 0;; esac\n";
	int saved = dup(STDERR_FILENO), fd;
	struct call_watch watch;
	struct record_error error;
	char path[100];

	snprintf(path, sizeof(path), "%s/analyzer", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	CHECK(fd >= 0);
	CHECK(dprintf(fd, "%s%s", head, body) > 0);
	close(fd);
	setenv("VMTAPE", path, 1);
	snprintf(path, sizeof(path), "%s/told", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && saved >= 0);
	CHECK(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	*matches = (struct matches){0};
	CHECK_INT(call_watch_init(&watch, "filter", &error), 0);
	call_watch_start(&watch);
	call_watch_step(&watch, "tape", note_match, matches);
	/* It may have ended by now. */
	CHECK_INT(watch.nr_starts, 1);
	while (watch.pid) {
		struct pollfd fds[2] = {{.fd = watch.out_fd, .events = POLLIN},
					{.fd = watch.said_fd, .events = POLLIN}};

		CHECK(poll(fds, 2, 20000) > 0);
		call_watch_step(&watch, "tape", note_match, matches);
	}
	CHECK_INT(watch.nr_matches, matches->nr);
	call_watch_deinit(&watch);
	read_told(told, room);
	CHECK(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (text = strstr(text, part); text; text = strstr(text + 1, part))
		n++;
	return n;
}

/* A guest may give its processes any name, but not one that is as long as the mark of a gap. */
static void test_names(void)
{
	static const char body[] = "echo '10:00:00.000001 --- 5 records lost on vCPU 1 ---'\n"
				   "echo '10:00:00.000001 --- 1 record lost on vCPU 0, 10:00:00.000000 to "
				   "10:00:00.000001 ---'\n"
				   "echo '--:--:--.------ --- 12 records lost on vCPU 11 ---'\n"
				   "echo '10:00:00.000002 --- x[7] getpid() = 7 <0.000001>'\n"
				   "echo '10:00:00.000002 ---[7] getpid() = 7 <0.000001>'\n"
				   "echo '10:00:00.000003 --- 1 record los[7] getpid() = 7 <0.000001>'\n"
				   "echo '10:00:00.000004 --- records[7] open(\"--- 1 record lost on vCPU 0\") = 3'\n"
				   "echo '--:--:--.------ cat[8] getpid() = 8'\n";
	struct matches matches;
	char told[4096];

	run(body, &matches, told, sizeof(told));
	CHECK_INT(matches.nr, 5);
	CHECK(strstr(matches.lines[0], " --- x[7]"));
	CHECK(strstr(matches.lines[4], "cat[8]"));
}

static void test_pieces(void)
{
	static const char body[] = "printf '10:00:00.000001 cat[8]'; sleep 0.3; printf ' getpid() = 8\\n'\n"
				   "printf 'vmtape: first' >&2; sleep 0.3; printf ' thing\\n' >&2\n"
				   "sleep 0.3; printf '\\nsecond \\033[31mthing\\n' >&2; sleep 0.3\n"
				   "printf 'the last' >&2; exit 2\n";
	struct matches matches;
	char told[4096];

	run(body, &matches, told, sizeof(told));
	CHECK_INT(matches.nr, 1);
	CHECK_STR(matches.lines[0], "10:00:00.000001 cat[8] getpid() = 8");
	CHECK_INT(count(told, "--trigger-when: first thing\n"), 1);
	CHECK_INT(count(told, "--trigger-when: second ?[31mthing\n"), 1);
	CHECK_INT(count(told, "--trigger-when: the last"), 0);
	CHECK_INT(count(told, "vmtape ended with status 2: the last; again in 1 s"), 1);
}

int main(void)
{
	char path[100];

	CHECK(mkdtemp(folder));
	test_names();
	test_pieces();
	snprintf(path, sizeof(path), "%s/analyzer", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/told", folder);
	unlink(path);
	CHECK(!rmdir(folder));
	return 0;
}
