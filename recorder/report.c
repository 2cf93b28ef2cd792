/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_quiet;
static bool live_shown;

int record_error_set(struct record_error *error, int negative_errno, const char *format, ...)
{
	if (error) {
		va_list args;

		error->error = negative_errno;
		va_start(args, format);
		vsnprintf(error->message, sizeof(error->message), format, args);
		va_end(args);
	}
	return negative_errno;
}

void report_set_quiet(bool quiet)
{
	pthread_mutex_lock(&lock);
	is_quiet = quiet;
	pthread_mutex_unlock(&lock);
}

static void print_line(bool always, const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
	pthread_mutex_lock(&lock);
	if (always || !is_quiet) {
		/* One write, so that lines of a producer on the same terminal do not cut it in two. */
		fprintf(stderr, "%svmtape-record: %s\n", live_shown ? "\r\033[K" : "", line);
		live_shown = false;
	}
	pthread_mutex_unlock(&lock);
}

void report(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(false, format, args);
	va_end(args);
}

void report_always(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(true, format, args);
	va_end(args);
}

void report_live(const char *line)
{
	pthread_mutex_lock(&lock);
	if (!is_quiet) {
		fprintf(stderr, "\r%s\033[K", line);
		fflush(stderr);
		live_shown = true;
	}
	pthread_mutex_unlock(&lock);
}

/* Length of the well-formed UTF-8 sequence at text, which is not a control character; 0: there is none. */
static size_t utf8_bytes(const unsigned char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = text[0] < 0x80 ? 1 : (text[0] & 0xe0) == 0xc0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : 4;
	uint32_t code = n == 1 ? text[0] : text[0] & (0x7fu >> n);

	if (n > left || (n == 4 && (text[0] & 0xf8) != 0xf0))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : n;
}

void report_clean(char *out, size_t room, const char *text, size_t size_bytes)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t left = strnlen(text, size_bytes), at = 0;

	while (left) {
		size_t n = utf8_bytes(from, left);

		if (at + (n ? n : 1) >= room)
			break;
		if (n)
			memcpy(out + at, from, n);
		else
			out[at] = '?';
		at += n ? n : 1;
		from += n ? n : 1;
		left -= n ? n : 1;
	}
	out[at] = '\0';
}
