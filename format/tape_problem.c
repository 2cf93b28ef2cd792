/* SPDX-License-Identifier: MIT */
/* tape_problem.c - what a reader finds wrong in a tape: a list with offsets, and verify's reports. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "tape_read.h"

#define MESSAGE_BYTES 256

static void report(struct tape_reader *reader, uint64_t offset, const char *message)
{
	reader->nr_reported++;
	reader->report(reader->report_ctx, offset, message);
}

static void list(struct tape_reader *reader, uint64_t offset, const char *message)
{
	if (reader->nr_problems == reader->problems_room) {
		size_t room = reader->problems_room ? reader->problems_room * 2 : 16;
		struct tape_problem *problems = reallocarray(reader->problems, room, sizeof(*problems));

		if (!problems)
			return;
		reader->problems = problems;
		reader->problems_room = room;
	}
	message = strdup(message);
	if (message)
		reader->problems[reader->nr_problems++] = (struct tape_problem){offset, message};
}

int tape_reader_problem(struct tape_reader *reader, uint64_t offset, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (reader->nr_problems < TAPE_MAX_PROBLEMS)
		list(reader, offset, message);
	else if (reader->nr_problems == TAPE_MAX_PROBLEMS)
		list(reader, offset, "more problems from here on, which are not listed");
	if (reader->report)
		report(reader, offset, message);
	return -EBADMSG;
}

void tape_reader_report(struct tape_reader *reader, uint64_t offset, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (reader->report)
		report(reader, offset, message);
}

size_t tape_reader_problems(const struct tape_reader *reader, const struct tape_problem **out)
{
	*out = reader->problems;
	return reader->nr_problems;
}
