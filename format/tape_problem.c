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

/* Widens the span of TSC values by the chunk; or, where that lies before or behind the range, narrows it. */
static void take_span(struct tape_reported *out, const struct tape_stored_chunk *chunk, bool *inside)
{
	uint64_t end = chunk->offset + tape_chunk_bytes(&chunk->header);

	if (end > out->from && chunk->offset < out->to) {
		if (!*inside || chunk->header.min_tsc < out->first_tsc)
			out->first_tsc = chunk->header.min_tsc;
		if (!*inside || chunk->header.max_tsc > out->last_tsc)
			out->last_tsc = chunk->header.max_tsc;
		*inside = true;
	} else if (!*inside && end <= out->from && chunk->header.max_tsc > out->first_tsc) {
		out->first_tsc = chunk->header.max_tsc;
	} else if (!*inside && chunk->offset >= out->to && chunk->header.min_tsc < out->last_tsc) {
		out->last_tsc = chunk->header.min_tsc;
	}
}

void tape_reader_reported(const struct tape_reader *reader, uint64_t offset, struct tape_reported *out)
{
	bool inside = false;

	*out = reader->reported;
	if (!out->to)
		*out = (struct tape_reported){.from = offset, .to = offset + (offset != TAPE_NO_OFFSET)};
	out->first_tsc = 0;
	out->last_tsc = UINT64_MAX;
	for (size_t i = 0; i < reader->nr_traps && offset != TAPE_NO_OFFSET; i++)
		take_span(out, &reader->chunks[reader->traps[i]], &inside);
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
