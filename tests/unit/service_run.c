/* SPDX-License-Identifier: MIT */
#include "service_run.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static void set_environment(const struct service_setup *setup, int log)
{
	char text[64];
	struct stat st;

	unsetenv("JOURNAL_STREAM");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("INVOCATION_ID");
	if (fstat(log, &st))
		_exit(126);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino + (setup->wrong_journal ? 1 : 0));
	if (setup->journal || setup->wrong_journal)
		setenv("JOURNAL_STREAM", text, 1);
	if (setup->notify_path) {
		setenv("NOTIFY_SOCKET", setup->notify_path, 1);
		setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	}
	if (setup->program_folder)
		setenv("LD_LIBRARY_PATH", setup->program_folder, 1);
	if (setup->watchdog_usec)
		setenv("WATCHDOG_USEC", setup->watchdog_usec, 1);
}

static void run_child(const struct service_setup *setup, int log, char **argv)
{
	set_environment(setup, log);
	dup2(log, STDERR_FILENO);
	dup2(log, STDOUT_FILENO);
	if (setup->uid && (setgroups(0, NULL) || setresgid(setup->uid, setup->uid, setup->uid) ||
			   setresuid(setup->uid, setup->uid, setup->uid) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		_exit(126);
	/* After the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(argv[0], argv);
	_exit(127);
}

void service_run_start(struct record_run *run, const struct service_setup *setup, const char *const *options)
{
	char *argv[RECORD_RUN_MAX_OPTIONS + 8] = {(char *)record_run_path(), "--connect", (char *)setup->socket_path,
						  "-o", run->tape_path};
	char program[256];
	unsigned n = 5;
	int log;

	*run = (struct record_run){0};
	snprintf(run->log_path, sizeof(run->log_path), "%s/record.log", setup->folder);
	if (setup->output)
		snprintf(run->tape_path, sizeof(run->tape_path), "%s", setup->output);
	else
		snprintf(run->tape_path, sizeof(run->tape_path), "%s/out.vmt", setup->folder);
	if (setup->program_folder) {
		snprintf(program, sizeof(program), "%s/vmtape-record", setup->program_folder);
		argv[0] = program;
	}
	for (; *options; options++) {
		CHECK(n < RECORD_RUN_MAX_OPTIONS + 7);
		argv[n++] = (char *)*options;
	}
	fflush(NULL);
	unlink(run->log_path);
	log = open(run->log_path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	CHECK(log >= 0);
	run->pid = fork();
	CHECK(run->pid >= 0);
	if (run->pid == 0)
		run_child(setup, log, argv);
	close(log);
}

void service_run_stop(struct record_run *run, int signal_number, int status, const char *said)
{
	kill(run->pid, signal_number);
	record_run_wait(run, 30);
	record_run_check(run, status, said);
}
