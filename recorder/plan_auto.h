/* SPDX-License-Identifier: MIT */
/*
 * plan_auto.h - has the analyzer compile a plan from the tape as it is so far:
 * a child process, `vmtape plan --binary -o FILE [--filter EXPR] TAPE`, that nothing waits for.
 * Main thread.
 */
#ifndef PLAN_AUTO_H
#define PLAN_AUTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report.h"

struct plan_auto {
	char *command;      /* of the analyzer */
	const char *filter; /* NULL: all calls; lives longer than we do */
	pid_t pid;          /* 0: none runs */
	int pid_fd;         /* readable when it ended; -1: none runs */
	int output_fd;      /* what it says on stdout and stderr */
	uint64_t kill_ns;
	bool killed;
	char folder[256];
	char plan_path[300];
};

enum plan_auto_result {
	PLAN_AUTO_RUNS,    /* not yet */
	PLAN_AUTO_FOUND,   /* *plan is the caller's, valid */
	PLAN_AUTO_NOT_YET, /* no guest known in this snapshot */
	PLAN_AUTO_FAILED,  /* text says why */
};

/* Finds the analyzer: $VMTAPE, beside our own program, or in the PATH. */
int plan_auto_init(struct plan_auto *auto_plan, const char *filter, struct record_error *error);
/* Has the analyzer check the filter, and waits for that: before anything is recorded. */
int plan_auto_check(struct plan_auto *auto_plan, struct record_error *error);
void plan_auto_deinit(struct plan_auto *auto_plan);
/* Ends the child, if one runs, and forgets what it found. */
void plan_auto_abort(struct plan_auto *auto_plan);
bool plan_auto_is_running(const struct plan_auto *auto_plan);
int plan_auto_start(struct plan_auto *auto_plan, const char *tape_path, struct record_error *error);
/* Never waits. text gets the first line that the analyzer said. */
enum plan_auto_result plan_auto_poll(struct plan_auto *auto_plan, void **plan, size_t *size_bytes, char *text,
				     size_t text_room);

#endif
