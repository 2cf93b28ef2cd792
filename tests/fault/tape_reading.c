/* SPDX-License-Identifier: MIT */
#include "tape_reading.h"

#include <stdlib.h>

#include "check.h"
#include "trap_record.h"

#define MAX_RECORDS 100000u
#define MAX_GFN     64u

static void note_problem(void *ctx, uint64_t offset, const char *message)
{
	struct tape_reading *reading = ctx;

	CHECK(message && message[0]);
	reading->problems++;
}

void tape_reading_all(struct tape_reading *out, struct tape_reader *reader)
{
	struct tape_cursor *cursor;
	uint8_t page[TAPE_PAGE_BYTES];
	struct trap_view view;
	uint64_t since_tsc;

	*out = (struct tape_reading){0};
	if (!tape_cursor_create(&cursor, reader, NULL)) {
		CHECK_INT(tape_cursor_want_carried(cursor, &since_tsc, NULL), 0);
		while (out->records < MAX_RECORDS && tape_cursor_next(cursor, &view, NULL) == 1)
			out->records++;
		tape_cursor_destroy(cursor);
	}
	for (uint32_t i = 0; i < tape_reader_info(reader)->nr_snapshots && i < 16; i++)
		for (uint64_t gfn = 0; gfn < MAX_GFN; gfn++)
			out->pages += !tape_reader_page(reader, i, gfn, page, NULL);
	CHECK_INT(tape_reader_verify(reader, note_problem, out), out->problems);
	tape_reader_close(reader);
}

void tape_reading_memory(struct tape_reading *out, const uint8_t *bytes, size_t size_bytes)
{
	uint8_t *copy = malloc(size_bytes ? size_bytes : 1);
	struct tape_reader *reader;
	struct tape_error error = {0};

	CHECK(copy);
	if (size_bytes)
		memcpy(copy, bytes, size_bytes);
	*out = (struct tape_reading){.opened = tape_reader_open_memory(&reader, copy, size_bytes, &error)};
	if (!out->opened)
		tape_reading_all(out, reader);
	else
		CHECK(error.message[0]);
	free(copy);
}

uint8_t *tape_reading_golden(unsigned index, size_t *size_bytes)
{
	static const char *const paths[NR_GOLDEN_TAPES] = {"golden/small-v1.vmt"};
	FILE *file = fopen(paths[index], "rb");
	uint8_t *bytes = malloc(1u << 20);

	if (!file)
		fprintf(stderr, "%s cannot be read\n", paths[index]);
	CHECK(file && bytes);
	*size_bytes = fread(bytes, 1, 1u << 20, file);
	CHECK(*size_bytes && *size_bytes < 1u << 20);
	fclose(file);
	return bytes;
}
