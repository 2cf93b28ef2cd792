/* SPDX-License-Identifier: MIT */
/*
 * analyzer_child.h - the analyzer, `vmtape`, as a child process: the recorder
 * itself knows no operating system. Main thread.
 */
#ifndef ANALYZER_CHILD_H
#define ANALYZER_CHILD_H

#include <sys/types.h>

#include "report.h"

/* $VMTAPE, beside our own program, or in the PATH; *path is the caller's. */
int analyzer_find(char **path, struct record_error *error);
/*
 * argv[0] is the program. A group of its own, no input, default signals. 0 or a
 * negative errno; *pid is 0 then.
 */
int analyzer_spawn(pid_t *pid, char *const *argv, int output_fd, int error_fd);

#endif
