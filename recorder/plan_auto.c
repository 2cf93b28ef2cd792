/* SPDX-License-Identifier: MIT */
#include "plan_auto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer_child.h"
#include "loop.h"
#include "plan.h"
#include "producer_proto.h"

#define TIME_LIMIT_NS (120 * NS_PER_S)
#define NICE          5

int plan_auto_init(struct plan_auto *auto_plan, const char *filter, struct record_error *error)
{
	*auto_plan = (struct plan_auto){.filter = filter, .pid_fd = -1, .output_fd = -1};
	return analyzer_find(&auto_plan->command, error);
}

/* ---- the child ------------------------------------------------------- */

static void forget(struct plan_auto *auto_plan)
{
	if (auto_plan->pid_fd >= 0)
		close(auto_plan->pid_fd);
	if (auto_plan->output_fd >= 0)
		close(auto_plan->output_fd);
	if (auto_plan->folder[0]) {
		unlink(auto_plan->plan_path);
		rmdir(auto_plan->folder);
	}
	auto_plan->pid = 0;
	auto_plan->pid_fd = auto_plan->output_fd = -1;
	auto_plan->folder[0] = '\0';
}

void plan_auto_abort(struct plan_auto *auto_plan)
{
	if (auto_plan->pid) {
		kill(auto_plan->pid, SIGKILL);
		waitpid(auto_plan->pid, NULL, 0);
	}
	forget(auto_plan);
}

void plan_auto_deinit(struct plan_auto *auto_plan)
{
	plan_auto_abort(auto_plan);
	free(auto_plan->command);
	auto_plan->command = NULL;
}

bool plan_auto_is_running(const struct plan_auto *auto_plan)
{
	return auto_plan->pid != 0;
}

static int make_folder(struct plan_auto *auto_plan)
{
	const char *parent = getenv("TMPDIR");

	if (!parent || !*parent || strlen(parent) > 200)
		parent = "/tmp";
	snprintf(auto_plan->folder, sizeof(auto_plan->folder), "%s/vmtape-plan-XXXXXX", parent);
	if (!mkdtemp(auto_plan->folder)) {
		int ret = -errno;

		auto_plan->folder[0] = '\0';
		return ret;
	}
	snprintf(auto_plan->plan_path, sizeof(auto_plan->plan_path), "%s/plan", auto_plan->folder);
	return 0;
}

static int spawn(struct plan_auto *auto_plan, char **argv)
{
	return analyzer_spawn(&auto_plan->pid, argv, auto_plan->output_fd, auto_plan->output_fd);
}

int plan_auto_start(struct plan_auto *auto_plan, const char *tape_path, struct record_error *error)
{
	char *argv[] = {auto_plan->command,        "plan", "--binary",        "-o", auto_plan->plan_path, "--filter",
			(char *)auto_plan->filter, "--",   (char *)tape_path, NULL};
	char **tail = argv + 5;
	int ret = make_folder(auto_plan);

	if (!auto_plan->filter) {
		tail[0] = "--";
		tail[1] = (char *)tape_path;
		tail[2] = NULL;
	}

	if (ret)
		return record_error_set(error, ret, "no folder for a plan in $TMPDIR or /tmp: %s", strerror(-ret));
	/* Not a pipe: nobody need read while it runs. */
	auto_plan->output_fd = memfd_create("vmtape-plan-output", MFD_CLOEXEC);
	ret = auto_plan->output_fd < 0 ? -errno : spawn(auto_plan, argv);
	if (ret) {
		forget(auto_plan);
		return record_error_set(error, ret, "%s cannot be run: %s", auto_plan->command, strerror(-ret));
	}
	setpriority(PRIO_PROCESS, (id_t)auto_plan->pid, NICE);
	auto_plan->pid_fd = (int)syscall(SYS_pidfd_open, auto_plan->pid, 0);
	auto_plan->kill_ns = now_ns() + TIME_LIMIT_NS;
	auto_plan->killed = false;
	return 0;
}

static void read_text(const struct plan_auto *auto_plan, char *text, size_t room)
{
	char said[512];
	ssize_t n = pread(auto_plan->output_fd, said, sizeof(said) - 1, 0);
	const char *line = said;

	text[0] = '\0';
	if (n <= 0)
		return;
	said[n] = '\0';
	line += strspn(line, "\n");
	if (!strncmp(line, "vmtape: ", 8))
		line += 8;
	report_clean(text, room, line, strcspn(line, "\n"));
}

int plan_auto_check(struct plan_auto *auto_plan, struct record_error *error)
{
	char *argv[] = {auto_plan->command, "plan", "--check", "--filter", (char *)auto_plan->filter, NULL};
	char text[256];
	int status = 0, ret;

	auto_plan->output_fd = memfd_create("vmtape-filter-output", MFD_CLOEXEC);
	ret = auto_plan->output_fd < 0 ? -errno : spawn(auto_plan, argv);
	if (!ret && waitpid(auto_plan->pid, &status, 0) < 0)
		ret = -errno;
	if (ret)
		record_error_set(error, ret, "%s cannot be run: %s", auto_plan->command, strerror(-ret));
	else if (status) {
		read_text(auto_plan, text, sizeof(text));
		ret = record_error_set(error, -EINVAL, "--filter: %s", text);
	}
	forget(auto_plan);
	return ret;
}

static int read_plan(const struct plan_auto *auto_plan, void **plan, size_t *size_bytes, struct plan_error *why)
{
	const size_t limit = PROTO_MAX_BYTES - sizeof(struct proto_start);
	int fd = open(auto_plan->plan_path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes = NULL;
	int ret = -EINVAL;

	snprintf(why->message, sizeof(why->message), "it wrote no plan");
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= limit) {
		bytes = malloc((size_t)st.st_size);
		if (bytes && read(fd, bytes, (size_t)st.st_size) == st.st_size)
			ret = plan_check(bytes, (size_t)st.st_size, why);
	}
	if (fd >= 0)
		close(fd);
	if (ret) {
		free(bytes);
		return ret;
	}
	*plan = bytes;
	*size_bytes = (size_t)st.st_size;
	return 0;
}

static enum plan_auto_result judge(struct plan_auto *auto_plan, int status, void **plan, size_t *size_bytes, char *text,
				   size_t room)
{
	struct plan_error why = {0};

	read_text(auto_plan, text, room);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (!read_plan(auto_plan, plan, size_bytes, &why))
			return PLAN_AUTO_FOUND;
		snprintf(text, room, "%s made a plan that is not valid: %s", auto_plan->command, why.message);
		return PLAN_AUTO_FAILED;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return PLAN_AUTO_NOT_YET;
	if (auto_plan->killed)
		snprintf(text, room, "%s took longer than %llu s", auto_plan->command, TIME_LIMIT_NS / NS_PER_S);
	else if (WIFSIGNALED(status))
		snprintf(text, room, "%s was killed by signal %d", auto_plan->command, WTERMSIG(status));
	else if (!text[0])
		snprintf(text, room, "%s ended with status %d", auto_plan->command, WEXITSTATUS(status));
	return PLAN_AUTO_FAILED;
}

enum plan_auto_result plan_auto_poll(struct plan_auto *auto_plan, void **plan, size_t *size_bytes, char *text,
				     size_t text_room)
{
	enum plan_auto_result result;
	pid_t ended;
	int status;

	ended = waitpid(auto_plan->pid, &status, WNOHANG);
	if (ended == 0 && now_ns() >= auto_plan->kill_ns && !auto_plan->killed) {
		auto_plan->killed = true;
		kill(auto_plan->pid, SIGKILL);
	}
	if (ended == 0)
		return PLAN_AUTO_RUNS;
	result = judge(auto_plan, ended < 0 ? 0 : status, plan, size_bytes, text, text_room);
	forget(auto_plan);
	return result;
}
