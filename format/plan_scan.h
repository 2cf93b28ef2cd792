/* SPDX-License-Identifier: MIT */
/*
 * plan_scan.h - cursor over a plan's text: words, numbers and errors with line
 * and column. 0, or -EINVAL once the error is set.
 */
#ifndef PLAN_SCAN_H
#define PLAN_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"
#include "plan_words.h"

struct plan_scan {
	const char *at; /* next character */
	const char *line_start;
	unsigned line;
	struct plan_error *error; /* may be NULL */
	char word[PLAN_MAX_WORD]; /* that plan_scan_word() took last */
};

/* Always -EINVAL; where is in the current line. */
int plan_scan_fail(struct plan_scan *scan, const char *where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int plan_scan_fail_memory(struct plan_scan *scan); /* -ENOMEM */

bool plan_scan_is_word(char c);
bool plan_scan_is_digit(char c);
void plan_scan_space(struct plan_scan *scan);
bool plan_scan_at_end(struct plan_scan *scan); /* skips spaces: is the rest of the line empty or a comment? */
int plan_scan_expect_end(struct plan_scan *scan);
bool plan_scan_char(struct plan_scan *scan, char c); /* takes it if it is next */
int plan_scan_expect(struct plan_scan *scan, char c);
/* what: for the error, as "expected WHAT" */
int plan_scan_word(struct plan_scan *scan, const char *what);
/* Decimal, or hexadecimal behind 0x, up to most. */
int plan_scan_number(struct plan_scan *scan, uint64_t most, const char *what, uint64_t *out);
/* +n or -n, -most - 1 to most. */
int plan_scan_offset(struct plan_scan *scan, uint64_t most, int64_t *out);

#endif
