/* SPDX-License-Identifier: MIT */
/* record_run.h - runs the real vmtape-record for a test, and looks at what it said and wrote. */
#ifndef RECORD_RUN_H
#define RECORD_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tape.h"

struct record_run {
	pid_t pid;
	char tape_path[128];
	char log_path[128];
	char *text; /* what it said, after record_run_wait() */
	int status; /* exit status; 128 + n: killed by signal n */
};

#define RECORD_RUN_MAX_OPTIONS 24

/* Path of the program. */
const char *record_run_path(void);

/* Starts it on socket, with the tape in folder and the log beside it; options end with NULL. fsize_bytes: RLIMIT_FSIZE,
 * 0 none.
 */
void record_run_start(struct record_run *run, const char *socket_path, const char *folder, uint64_t fsize_bytes, ...)
	__attribute__((sentinel));
/* The same with the options in an array that ends with NULL, then more of them, up to another NULL (both may be empty).
 */
void record_run_start_with(struct record_run *run, const char *socket_path, const char *folder, uint64_t fsize_bytes,
			   const char *const *options, ...) __attribute__((sentinel));
/* Waits for its end; kills it, and fails, after timeout_s. */
void record_run_wait(struct record_run *run, unsigned timeout_s);
/* Waits until it has said this; fails after 20 s. */
void record_run_expect_text(struct record_run *run, const char *text);
bool record_run_said(const struct record_run *run, const char *text);
/* Fails, and shows all that was said, when the status or a part of the text is not as wanted. */
void record_run_check(const struct record_run *run, int status, const char *said);
/* Removes the tape and the log. */
void record_run_deinit(struct record_run *run);

/* Opens the tape; fails when it can't be opened. */
struct tape_reader *record_run_open_tape(const struct record_run *run);
/* Problems of the tape, without that of a cut-off end; each is printed. *cut_off: it has no end. */
unsigned record_run_verify(struct tape_reader *reader, bool *cut_off);

#endif
