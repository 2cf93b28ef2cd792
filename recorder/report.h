/* SPDX-License-Identifier: MIT */
/*
 * report.h - errors of the recorder, and its lines on stderr. Lines from any
 * thread; each starts with the program's name and replaces the live line, or,
 * when the journal reads them, with its priority, as sd-daemon(3) has it.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct record_error {
	int error; /* negative errno */
	char message[512];
};

/* Fills error (may be NULL) and returns the errno, so that a caller can return it on. */
int record_error_set(struct record_error *error, int negative_errno, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A notice: not shown when quiet. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Shown always: the summary; what was lost; why it could not go on. */
void report_always(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Looks whether stderr is the journal. */
void report_init(void);
void report_set_quiet(bool quiet);
/* Line without an end that the next report replaces; only for a terminal. */
void report_live(const char *line);

/* Copy text that somebody else wrote, up to its NUL: what is no UTF-8, or could drive a terminal, becomes '?'. room >
 * 0. */
void report_clean(char *out, size_t room, const char *text, size_t size_bytes);

#endif
