/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <pthread.h>
#include <stdarg.h>
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

void report_clean(char *out, size_t room, const char *text, size_t size_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < size_bytes && text[i] && n + 1 < room; i++) {
		unsigned char c = (unsigned char)text[i];

		out[n++] = c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) ? '?' : (char)c;
	}
	out[n] = '\0';
}
