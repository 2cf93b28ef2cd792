/* SPDX-License-Identifier: MIT */
#include "record_run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "pause.h"

const char *record_run_path(void)
{
	return VMTAPE_RECORD_PATH;
}

static void run_child(const struct record_run *run, uint64_t fsize_bytes, char **argv)
{
	int log = open(run->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	if (fsize_bytes) {
		struct rlimit limit = {.rlim_cur = fsize_bytes, .rlim_max = fsize_bytes};

		setrlimit(RLIMIT_FSIZE, &limit);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDERR_FILENO);
	dup2(log, STDOUT_FILENO);
	execv(VMTAPE_RECORD_PATH, argv);
	_exit(127);
}

static void start(struct record_run *run, const char *socket_path, const char *folder, uint64_t fsize_bytes,
		  const char *const *options, va_list more)
{
	char *argv[RECORD_RUN_MAX_OPTIONS + 8] = {(char *)VMTAPE_RECORD_PATH, "--connect", (char *)socket_path, "-o",
						  run->tape_path};
	static unsigned number;
	unsigned n = 5;

	*run = (struct record_run){0};
	snprintf(run->tape_path, sizeof(run->tape_path), "%s/out.vmt", folder);
	snprintf(run->log_path, sizeof(run->log_path), "%s.%u.log", folder,
		 number++); /* the folder may be a full disk */
	while (options && *options && n < RECORD_RUN_MAX_OPTIONS)
		argv[n++] = (char *)*options++;
	while ((argv[n] = va_arg(more, char *)))
		CHECK(++n < RECORD_RUN_MAX_OPTIONS + 7);
	fflush(NULL);
	unlink(run->log_path);
	run->pid = fork();
	CHECK(run->pid >= 0);
	if (run->pid == 0)
		run_child(run, fsize_bytes, argv);
}

void record_run_start(struct record_run *run, const char *socket_path, const char *folder, uint64_t fsize_bytes, ...)
{
	va_list options;

	va_start(options, fsize_bytes);
	start(run, socket_path, folder, fsize_bytes, NULL, options);
	va_end(options);
}

void record_run_start_with(struct record_run *run, const char *socket_path, const char *folder, uint64_t fsize_bytes,
			   const char *const *options, ...)
{
	va_list more;

	va_start(more, options);
	start(run, socket_path, folder, fsize_bytes, options, more);
	va_end(more);
}

static void read_log(struct record_run *run)
{
	int fd = open(run->log_path, O_RDONLY);
	struct stat st = {0};

	free(run->text);
	run->text = NULL;
	if (fd >= 0)
		CHECK(!fstat(fd, &st));
	run->text = calloc(1, (size_t)st.st_size + 1);
	CHECK(run->text);
	if (fd >= 0) {
		CHECK(read(fd, run->text, (size_t)st.st_size) >= 0);
		close(fd);
	}
}

/* What waits in the pipeline is encoded before the end, which a sanitizer makes slow. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PATIENCE 4
#else
#define PATIENCE 1
#endif

void record_run_wait(struct record_run *run, unsigned timeout_s)
{
	int status;
	pid_t ended = 0;

	timeout_s *= PATIENCE;

	for (unsigned i = 0; i < timeout_s * 100 && !ended; i++) {
		ended = waitpid(run->pid, &status, WNOHANG);
		if (!ended)
			pause_ms(10);
	}
	read_log(run);
	if (!ended) {
		fprintf(stderr, "vmtape-record did not end in %u s; it said:\n%s", timeout_s, run->text);
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	}
	CHECK(ended == run->pid);
	run->pid = 0;
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void record_run_expect_text(struct record_run *run, const char *text)
{
	for (unsigned i = 0; i < 4000; i++) {
		read_log(run);
		if (record_run_said(run, text))
			return;
		pause_ms(10);
	}
	fprintf(stderr, "vmtape-record did not say \"%s\", but:\n%s", text, run->text);
	kill(run->pid, SIGKILL);
	CHECK(false);
}

bool record_run_said(const struct record_run *run, const char *text)
{
	return strstr(run->text, text) != NULL;
}

void record_run_check(const struct record_run *run, int status, const char *said)
{
	if (run->status == status && (!said || record_run_said(run, said)))
		return;
	fprintf(stderr, "vmtape-record ended with %d (%d was due), without saying \"%s\", but:\n%s", run->status,
		status, said ? said : "", run->text);
	exit(1);
}

void record_run_deinit(struct record_run *run)
{
	if (run->pid) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	}
	unlink(run->tape_path);
	unlink(run->log_path);
	free(run->text);
	run->text = NULL;
}

struct tape_reader *record_run_open_tape(const struct record_run *run)
{
	struct tape_error error = {0};
	struct tape_reader *reader = NULL;

	if (tape_reader_open(&reader, run->tape_path, &error)) {
		fprintf(stderr, "%s: %s (at %" PRIu64 ")\n", run->tape_path, error.message, error.offset);
		exit(1);
	}
	return reader;
}

struct verify {
	unsigned nr_other;
	bool cut_off;
};

static void note_problem(void *ctx, uint64_t offset, const char *message)
{
	struct verify *verify = ctx;

	if (!strncmp(message, "cut off", 7)) {
		verify->cut_off = true;
		return;
	}
	fprintf(stderr, "problem at %" PRIu64 ": %s\n", offset, message);
	verify->nr_other++;
}

unsigned record_run_verify(struct tape_reader *reader, bool *cut_off)
{
	struct verify verify = {0};

	tape_reader_verify(reader, note_problem, &verify);
	*cut_off = verify.cut_off || !tape_reader_info(reader)->finished;
	return verify.nr_other;
}
