/* SPDX-License-Identifier: MIT */
#include "analyzer_child.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static char *try_path(const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return NULL;
	if (!access(path, X_OK))
		return path;
	free(path);
	return NULL;
}

static char *find_in_path(void)
{
	const char *all = getenv("PATH");
	char *copy, *rest, *folder, *found = NULL;

	copy = rest = all ? strdup(all) : NULL;
	while (!found && copy && (folder = strsep(&rest, ":")))
		found = try_path(*folder ? folder : ".", "vmtape");
	free(copy);
	return found;
}

static char *find(void)
{
	const char *named = getenv("VMTAPE");
	char self[PATH_MAX], *found;
	ssize_t n;

	if (named && *named)
		return strdup(named);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		const char *folder;

		self[n] = '\0';
		folder = dirname(self);
		found = try_path(folder, "../analyzer/vmtape");
		if (!found)
			found = try_path(folder, "vmtape");
		if (found)
			return found;
	}
	return find_in_path();
}

int analyzer_find(char **path, struct record_error *error)
{
	*path = find();
	if (!*path)
		return record_error_set(error, -ENOENT,
					"the command vmtape was not found beside vmtape-record, in the PATH, or in "
					"$VMTAPE");
	return 0;
}

int analyzer_spawn(pid_t *pid, char *const *argv, int output_fd, int error_fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int ret;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGXFSZ);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
	posix_spawn_file_actions_adddup2(&actions, error_fd, 2);
	posix_spawnattr_init(&attr);
	/* A group of its own: an interrupt typed at the terminal is for the recorder to handle. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setpgroup(&attr, 0);
	ret = -posix_spawn(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		*pid = 0;
	return ret;
}
