/* SPDX-License-Identifier: MIT */
/*
 * call_watch.h - has the analyzer look for calls that match a filter, on the
 * tape as it is written: a child process, `vmtape events --follow -f FILTER`,
 * which follows the recording from tape to tape. It reads files only, at a low
 * priority; what becomes of it never holds up the recording. Main thread.
 */
#ifndef CALL_WATCH_H
#define CALL_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "report.h"

#define CALL_WATCH_LINE_BYTES 4096 /* of a match; the rest of a longer line is left out */

struct call_watch {
	const char *filter; /* NULL: nothing is looked for */
	char *command;
	pid_t pid;         /* 0: none runs */
	int out_fd;        /* matches, one a line; -1: none runs */
	int said_fd;       /* what else it says */
	uint64_t start_ns; /* when it began, or, when none runs, will begin; LOOP_NEVER: not any more */
	uint64_t wait_ns;  /* before it begins again */
	bool was_started;
	uint64_t cpu_ns; /* of those that have ended */
	uint64_t nr_starts, nr_matches;
	char line[CALL_WATCH_LINE_BYTES];
	size_t line_bytes;
	char said[256]; /* last line */
	size_t said_bytes;
	bool said_is_whole; /* its newline came */
};

/* filter lives longer than we do. Has the analyzer check it, and waits for that: before anything is recorded. */
int call_watch_init(struct call_watch *watch, const char *filter, struct record_error *error);
void call_watch_deinit(struct call_watch *watch);
/* The tape is begun. */
void call_watch_start(struct call_watch *watch);
/*
 * Begins it, or begins it again, when it is time, with the tape at hand; tells of its end; and reads: match is called
 * for each line; what else it says is warned of. Waits only for the end of a child that has closed its output.
 */
void call_watch_step(struct call_watch *watch, const char *tape_path, void (*match)(void *ctx, const char *line),
		     void *ctx);
/* When to do the next step at the latest; it is also due when out_fd or said_fd can be read. */
uint64_t call_watch_until_ns(const struct call_watch *watch);
/* Ends it. */
void call_watch_stop(struct call_watch *watch);
/* CPU time that it took so far. */
uint64_t call_watch_cpu_ns(const struct call_watch *watch);

#endif
