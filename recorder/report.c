/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_quiet;
static bool live_shown;
static bool is_journal;

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

/* systemd says which device and inode the journal's stream is: stderr may have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *said = getenv("JOURNAL_STREAM");
	char real[64];
	struct stat st;

	if (!said || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(real, sizeof(real), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return !strcmp(said, real);
}

void report_init(void)
{
	bool journal = stderr_is_journal();

	pthread_mutex_lock(&lock);
	is_journal = journal;
	pthread_mutex_unlock(&lock);
}

static void print_line(int priority, bool always, const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
	/* A line more would be one without a name and priority. */
	for (char *c = line; (c = strchr(c, '\n'));)
		*c = '?';
	pthread_mutex_lock(&lock);
	/* One write, so that lines of a producer on the same terminal do not cut it in two. */
	if ((always || !is_quiet) && is_journal) {
		fprintf(stderr, "<%d>%s\n", priority, line);
	} else if (always || !is_quiet) {
		fprintf(stderr, "%svmtape-record: %s\n", live_shown ? "\r\033[K" : "", line);
		live_shown = false;
	}
	pthread_mutex_unlock(&lock);
}

#define PRINT(priority, always)                             \
	do {                                                \
		va_list args;                               \
		va_start(args, format);                     \
		print_line(priority, always, format, args); \
		va_end(args);                               \
	} while (0)

void report(const char *format, ...)
{
	PRINT(LOG_INFO, false);
}

void report_always(const char *format, ...)
{
	PRINT(LOG_NOTICE, true);
}

void report_warning(const char *format, ...)
{
	PRINT(LOG_WARNING, true);
}

void report_error(const char *format, ...)
{
	PRINT(LOG_ERR, true);
}

void report_live(const char *line)
{
	pthread_mutex_lock(&lock);
	if (!is_quiet && !is_journal) {
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
