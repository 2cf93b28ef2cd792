/* SPDX-License-Identifier: MIT */
/* plan_scan.c - see plan_scan.h. */
#include "plan_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int plan_scan_fail(struct plan_scan *scan, const char *where, const char *format, ...)
{
	va_list args;
	int n;

	if (!scan->error)
		return -EINVAL;
	scan->error->line = scan->line;
	n = snprintf(scan->error->message, sizeof(scan->error->message),
		     "column %zu: ", (size_t)(where - scan->line_start) + 1);
	va_start(args, format);
	vsnprintf(scan->error->message + n, sizeof(scan->error->message) - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

int plan_scan_fail_memory(struct plan_scan *scan)
{
	if (scan->error) {
		scan->error->line = scan->line;
		snprintf(scan->error->message, sizeof(scan->error->message), "no memory");
	}
	return -ENOMEM;
}

void plan_scan_space(struct plan_scan *scan)
{
	while (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r')
		scan->at++;
}

/* The rest of the line is empty or a comment. */

bool plan_scan_at_end(struct plan_scan *scan)
{
	plan_scan_space(scan);
	return !*scan->at || *scan->at == '\n' || *scan->at == '#';
}

int plan_scan_expect_end(struct plan_scan *scan)
{
	return plan_scan_at_end(scan) ? 0 : plan_scan_fail(scan, scan->at, "nothing more belongs on this line");
}

bool plan_scan_is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool plan_scan_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The word at the cursor, into scan->word; -1 for none or one that is too long. */
int plan_scan_word(struct plan_scan *scan, const char *what)
{
	size_t n = 0;

	while (plan_scan_is_word(scan->at[n]))
		n++;
	if (!n)
		return plan_scan_fail(scan, scan->at, "expected %s", what);
	if (n >= sizeof(scan->word))
		return plan_scan_fail(scan, scan->at, "word is too long for %s", what);
	memcpy(scan->word, scan->at, n);
	scan->word[n] = 0;
	scan->at += n;
	return 0;
}

bool plan_scan_char(struct plan_scan *scan, char c)
{
	if (*scan->at != c)
		return false;
	scan->at++;
	return true;
}

int plan_scan_expect(struct plan_scan *scan, char c)
{
	return plan_scan_char(scan, c) ? 0 : plan_scan_fail(scan, scan->at, "expected '%c'", c);
}

static int digit_value(char c)
{
	if (plan_scan_is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Decimal, or hexadecimal behind 0x. */
int plan_scan_number(struct plan_scan *scan, uint64_t most, const char *what, uint64_t *out)
{
	const char *start = scan->at;
	unsigned base = 10;
	uint64_t value = 0;

	if (!plan_scan_is_digit(*scan->at))
		return plan_scan_fail(scan, start, "expected %s, a number", what);
	if (scan->at[0] == '0' && (scan->at[1] == 'x' || scan->at[1] == 'X')) {
		base = 16;
		scan->at += 2;
		if (digit_value(*scan->at) >= 16)
			return plan_scan_fail(scan, scan->at, "expected hexadecimal digits");
	}
	for (; digit_value(*scan->at) < (int)base; scan->at++) {
		unsigned digit = (unsigned)digit_value(*scan->at);

		if (digit > most || value > (most - digit) / base)
			return plan_scan_fail(scan, start, "%s is over %" PRIu64, what, most);
		value = value * base + digit;
	}
	if (plan_scan_is_word(*scan->at))
		return plan_scan_fail(scan, scan->at, "expected %s, a number", what);
	*out = value;
	return 0;
}

/* +n or -n. */
int plan_scan_offset(struct plan_scan *scan, uint64_t most, int64_t *out)
{
	bool negative = *scan->at == '-';
	uint64_t size;
	int err;

	if (*scan->at != '+' && *scan->at != '-')
		return plan_scan_fail(scan, scan->at, "expected an offset: + or - and a number");
	scan->at++;
	err = plan_scan_number(scan, negative ? most + 1 : most, "offset", &size);
	if (!err)
		*out = (int64_t)(negative ? 0 - size : size);
	return err;
}
