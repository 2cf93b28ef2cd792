/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pager_pid;

bool terminal_set_color(struct terminal *terminal, const char *when)
{
	static const char *const names[] = {"auto", "always", "never"};

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(when, names[i]))
			continue;
		terminal->when_color = (enum terminal_when)i;
		return true;
	}
	return false;
}

static bool wants_color(const struct terminal *terminal)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (terminal->when_color != TERMINAL_AUTO)
		return terminal->when_color == TERMINAL_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
}

static const char *pager_command(void)
{
	const char *command = getenv("VMTAPE_PAGER");

	if (!command)
		command = getenv("PAGER");
	if (!command)
		command = "less";
	return *command && strcmp(command, "cat") ? command : NULL;
}

/* Not before there is something to show: until then the screen is the command's. */
static void run_pager(const char *command, int from)
{
	struct pollfd output = {.fd = from, .events = POLLIN};

	signal(SIGINT, SIG_IGN);
	while (poll(&output, 1, -1) < 0 && errno == EINTR)
		;
	if (!(output.revents & POLLIN))
		_exit(0);
	signal(SIGINT, SIG_DFL);
	dup2(from, STDIN_FILENO);
	setenv("LESS", "FRX", 0);
	setenv("LV", "-c", 0);
	execlp("sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* Ctrl-C while more is to come: the pager, which has the screen, decides itself when it has had enough. */
static void wait_interrupted(int number)
{
	(void)number;
	close(STDOUT_FILENO);
	while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(130);
}

static void begin_pager(void)
{
	struct sigaction interrupted = {.sa_handler = wait_interrupted};
	const char *command = pager_command();
	int ends[2];

	if (!command || !isatty(STDOUT_FILENO) || pipe2(ends, O_CLOEXEC))
		return;
	fflush(stdout);
	pager_pid = fork();
	if (pager_pid == 0) {
		close(ends[1]);
		run_pager(command, ends[0]);
	}
	close(ends[0]);
	if (pager_pid > 0) {
		dup2(ends[1], STDOUT_FILENO);
		sigaction(SIGINT, &interrupted, NULL);
	}
	close(ends[1]);
}

void terminal_begin(struct terminal *terminal)
{
	terminal->color = wants_color(terminal);
	if (!terminal->no_pager && !pager_pid)
		begin_pager();
	terminal->paged = pager_pid > 0;
}

void terminal_end(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int status;

	if (pager_pid <= 0)
		return;
	/* Ctrl-C is for the pager, which decides itself. */
	sigaction(SIGINT, &ignore, NULL);
	fflush(stdout);
	close(STDOUT_FILENO);
	while (waitpid(pager_pid, &status, 0) < 0 && errno == EINTR)
		;
	pager_pid = 0;
}

void terminal_style(const struct terminal *terminal, struct strbuf *out, enum terminal_style style)
{
	static const char *const codes[] = {"\033[1m", "\033[36m", "\033[31m", "\033[2m"};

	if (terminal->color)
		strbuf_put(out, codes[style]);
}

void terminal_plain(const struct terminal *terminal, struct strbuf *out)
{
	if (terminal->color)
		strbuf_put(out, "\033[0m");
}
