/* SPDX-License-Identifier: MIT */
#include "call_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "analyzer_child.h"
#include "loop.h"

#define NICE          10
#define OOM_SCORE     "500"
#define FIRST_WAIT_NS NS_PER_S
#define MAX_WAIT_NS   (60 * NS_PER_S)
#define HEALTHY_NS    (60 * NS_PER_S) /* one that ran for so long begins again soon */
#define READS_A_STEP  16

/* ---- made and ended -------------------------------------------------- */

static int check(struct call_watch *watch, struct record_error *error)
{
	char *argv[] = {watch->command, "events", "--check", "--filter", (char *)watch->filter, NULL};
	int fd = memfd_create("vmtape-filter-output", MFD_CLOEXEC), status = 0;
	int ret = fd < 0 ? -errno : analyzer_spawn(&watch->pid, argv, fd, fd);
	char said[512] = "", text[256];

	if (!ret && waitpid(watch->pid, &status, 0) < 0)
		ret = -errno;
	watch->pid = 0;
	if (ret)
		record_error_set(error, ret, "%s cannot be run: %s", watch->command, strerror(-ret));
	else if (status) {
		const char *line = said;
		ssize_t n = pread(fd, said, sizeof(said) - 1, 0);

		said[n > 0 ? n : 0] = '\0';
		line += strncmp(line, "vmtape: ", 8) ? 0 : 8;
		report_clean(text, sizeof(text), line, strcspn(line, "\n"));
		ret = record_error_set(error, -EINVAL, "--trigger-when: %s",
				       text[0] ? text : "the analyzer could not check the filter");
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

int call_watch_init(struct call_watch *watch, const char *filter, struct record_error *error)
{
	int ret;

	*watch = (struct call_watch){
		.filter = filter, .out_fd = -1, .said_fd = -1, .start_ns = LOOP_NEVER, .wait_ns = FIRST_WAIT_NS};
	if (!filter)
		return 0;
	ret = analyzer_find(&watch->command, error);
	return ret ? ret : check(watch, error);
}

/* Takes what the child left, and its end; it is asked, or made, to end first. */
static int reap(struct call_watch *watch, int signal_number)
{
	struct rusage usage;
	int status = 0;

	kill(watch->pid, signal_number);
	if (wait4(watch->pid, &status, 0, &usage) == watch->pid)
		watch->cpu_ns += ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * NS_PER_S +
				 ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
	watch->pid = 0;
	close(watch->out_fd);
	close(watch->said_fd);
	watch->out_fd = watch->said_fd = -1;
	watch->line_bytes = watch->said_bytes = 0;
	watch->said_is_whole = false;
	return status;
}

void call_watch_stop(struct call_watch *watch)
{
	watch->start_ns = LOOP_NEVER;
	if (watch->pid)
		reap(watch, SIGKILL);
}

void call_watch_deinit(struct call_watch *watch)
{
	call_watch_stop(watch);
	free(watch->command);
	watch->command = NULL;
}

void call_watch_start(struct call_watch *watch)
{
	if (watch->filter)
		watch->start_ns = now_ns();
}

uint64_t call_watch_until_ns(const struct call_watch *watch)
{
	return watch->pid ? LOOP_NEVER : watch->start_ns;
}

uint64_t call_watch_cpu_ns(const struct call_watch *watch)
{
	struct timespec used;
	clockid_t clock;

	if (!watch->pid || clock_getcpuclockid(watch->pid, &clock) || clock_gettime(clock, &used))
		return watch->cpu_ns;
	return watch->cpu_ns + (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* ---- the child ------------------------------------------------------- */

/* Later, and each time later. */
static void back_off(struct call_watch *watch, const char *why)
{
	if (watch->was_started && now_ns() - watch->start_ns >= HEALTHY_NS)
		watch->wait_ns = FIRST_WAIT_NS;
	report_warning("nobody looks for calls that match --trigger-when: %s; again in %llu s", why,
		       (unsigned long long)watch->wait_ns / NS_PER_S);
	watch->start_ns = now_ns() + watch->wait_ns;
	watch->wait_ns = watch->wait_ns * 2 < MAX_WAIT_NS ? watch->wait_ns * 2 : MAX_WAIT_NS;
}

/* If memory runs short, it is not the recorder that has to go. */
static void offer_first(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0)
		report("the process that looks for calls cannot be made the first to go when memory is short: %s",
		       strerror(errno));
	close(fd);
}

static int spawn(struct call_watch *watch, const char *tape_path)
{
	/* One that begins again has what came before it behind itself: a match of then has had its trigger. */
	char *argv[] = {watch->command, "events", "--follow", "--filter", (char *)watch->filter,
			"--",           NULL,     NULL,       NULL};
	int out[2], said[2], ret;

	if (watch->was_started) {
		argv[5] = "--new";
		argv[6] = "--";
	}
	argv[watch->was_started ? 7 : 6] = (char *)tape_path;
	if (pipe2(out, O_CLOEXEC))
		return -errno;
	if (pipe2(said, O_CLOEXEC)) {
		ret = -errno;
		close(out[0]);
		close(out[1]);
		return ret;
	}
	ret = analyzer_spawn(&watch->pid, argv, out[1], said[1]);
	close(out[1]);
	close(said[1]);
	if (ret) {
		close(out[0]);
		close(said[0]);
		return ret;
	}
	/* Only our ends, which are descriptions of their own. */
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(said[0], F_SETFL, O_NONBLOCK);
	setpriority(PRIO_PROCESS, (id_t)watch->pid, NICE);
	offer_first(watch->pid);
	watch->out_fd = out[0];
	watch->said_fd = said[0];
	return 0;
}

static void begin(struct call_watch *watch, const char *tape_path)
{
	char why[256];
	int ret = spawn(watch, tape_path);

	if (ret) {
		snprintf(why, sizeof(why), "%.150s cannot be run: %.80s", watch->command, strerror(-ret));
		back_off(watch, why);
		return;
	}
	if (watch->was_started)
		report("calls that match --trigger-when are looked for again; those since were not looked at");
	watch->was_started = true;
	watch->nr_starts++;
	watch->start_ns = now_ns();
}

static void take_end(struct call_watch *watch)
{
	char said[sizeof(watch->said)], why[400];
	int status;

	watch->said[watch->said_bytes] = '\0';
	report_clean(said, sizeof(said), watch->said, watch->said_bytes);
	status = reap(watch, SIGTERM);
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "vmtape was killed by signal %d", WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "vmtape ended with status %d%s%s", WEXITSTATUS(status), said[0] ? ": " : "",
			 said);
	back_off(watch, why);
}

/* ---- what it says ---------------------------------------------------- */

/*
 * Not a line that tells of lost records: "TIME --- 5 records lost on vCPU 1". Where that has its mark a call has the
 * process's name, which the guest chooses, but of which there are 15 bytes.
 */
static bool is_match(const char *line)
{
	const char *second = strchr(line, ' ');
	int end = 0;

	if (!second)
		return false;
	sscanf(second, " --- %*u record%n", &end);
	if (!end)
		return true;
	second += end;
	second += *second == 's';
	return strncmp(second, " lost on vCPU ", 14);
}

/* Whole lines; what is too long is cut. */
static void take_bytes(struct call_watch *watch, const char *bytes, size_t size_bytes,
		       void (*match)(void *ctx, const char *line), void *ctx)
{
	for (size_t i = 0; i < size_bytes; i++) {
		if (bytes[i] != '\n') {
			if (watch->line_bytes < sizeof(watch->line) - 1)
				watch->line[watch->line_bytes++] = bytes[i];
			continue;
		}
		watch->line[watch->line_bytes] = '\0';
		watch->line_bytes = 0;
		if (!is_match(watch->line))
			continue;
		watch->nr_matches++;
		match(ctx, watch->line);
	}
}

static void pass_on(const struct call_watch *watch)
{
	size_t skipped = watch->said_bytes >= 8 && !strncmp(watch->said, "vmtape: ", 8) ? 8 : 0;
	char text[sizeof(watch->said)];

	report_clean(text, sizeof(text), watch->said + skipped, watch->said_bytes - skipped);
	report_warning("--trigger-when: %s", text);
}

/* A line stays until the next one begins: it may be why the child ends. */
static void take_said(struct call_watch *watch, const char *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		if (bytes[i] == '\n') {
			if (!watch->said_is_whole && watch->said_bytes)
				pass_on(watch);
			watch->said_is_whole = true;
			continue;
		}
		if (watch->said_is_whole)
			watch->said_bytes = 0;
		watch->said_is_whole = false;
		if (watch->said_bytes < sizeof(watch->said) - 1)
			watch->said[watch->said_bytes++] = bytes[i];
	}
}

/* False: the other end is closed. */
static bool read_matches(struct call_watch *watch, void (*match)(void *ctx, const char *line), void *ctx)
{
	char bytes[16384];

	for (unsigned i = 0; i < READS_A_STEP; i++) {
		ssize_t n = read(watch->out_fd, bytes, sizeof(bytes));

		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		take_bytes(watch, bytes, (size_t)n, match, ctx);
	}
	return true;
}

static void read_said(struct call_watch *watch)
{
	char bytes[4096];

	for (unsigned i = 0; i < READS_A_STEP; i++) {
		ssize_t n = read(watch->said_fd, bytes, sizeof(bytes));

		if (n <= 0)
			break;
		take_said(watch, bytes, (size_t)n);
	}
}

void call_watch_step(struct call_watch *watch, const char *tape_path, void (*match)(void *ctx, const char *line),
		     void *ctx)
{
	if (!watch->pid && now_ns() >= watch->start_ns)
		begin(watch, tape_path);
	if (!watch->pid)
		return;
	read_said(watch);
	if (read_matches(watch, match, ctx))
		return;
	read_said(watch);
	take_end(watch);
}
