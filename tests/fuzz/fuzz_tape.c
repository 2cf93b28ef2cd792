/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tape.c - a hostile tape, read in all ways. Checksums would keep a fuzzer
 * out, so each input is read as it is, and again with all checksums made right.
 */
#include "tape_read.h"
#include "tape_repair.h"

#define MAX_BYTES   (1u << 20)
#define MAX_RECORDS 20000u
#define MAX_PAGES   64u
#define FEW_BYTES   4096u /* of records, so that lanes are evicted */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void ask_about(void *ctx, uint64_t offset, const char *message)
{
	struct tape_reported reported;

	tape_reader_reported(ctx, offset, &reported);
}

/* By bits of the input, so that a mutation can change what is skipped. */
struct choice {
	const uint8_t *bytes;
	size_t size_bytes;
};

static bool may_skip(void *ctx, size_t number)
{
	const struct choice *choice = ctx;

	return !(choice->bytes[number * 31 % choice->size_bytes] & 0x40);
}

static bool skip(void *ctx, const struct tape_chunk_brief *brief)
{
	const struct choice *choice = ctx;

	return !(choice->bytes[brief->number * 37 % choice->size_bytes] & 1);
}

static void read_skipping(struct tape_reader *reader, struct choice *choice)
{
	const struct tape_info *info = tape_reader_info(reader);
	struct tape_cursor *cursor;
	struct trap_view view;

	if (tape_cursor_create(&cursor, reader, NULL))
		return;
	tape_cursor_limit(cursor, FEW_BYTES);
	tape_cursor_skip(cursor, &(struct tape_skipper){may_skip, skip, choice});
	for (unsigned i = 0; i < MAX_RECORDS && tape_cursor_next(cursor, &view, NULL) == 1; i++)
		tape_cursor_is_carried(cursor);
	tape_cursor_seek(cursor, info->first_tsc + (info->last_tsc - info->first_tsc) / 2, NULL);
	for (unsigned i = 0; i < 100 && tape_cursor_next(cursor, &view, NULL) == 1; i++)
		;
	tape_cursor_destroy(cursor);
}

static void read_records(struct tape_reader *reader)
{
	const struct tape_info *info = tape_reader_info(reader);
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t since_tsc;

	if (tape_cursor_create(&cursor, reader, NULL))
		return;
	for (unsigned i = 0; i < MAX_RECORDS && tape_cursor_next(cursor, &view, NULL) == 1; i++)
		;
	tape_cursor_seek(cursor, info->first_tsc + (info->last_tsc - info->first_tsc) / 2, NULL);
	for (unsigned i = 0; i < 100 && tape_cursor_next(cursor, &view, NULL) == 1; i++)
		;
	tape_cursor_want_carried(cursor, &since_tsc, NULL);
	for (unsigned i = 0; i < MAX_RECORDS && tape_cursor_next(cursor, &view, NULL) == 1; i++)
		tape_cursor_is_carried(cursor);
	tape_cursor_destroy(cursor);
}

static void read_pages(struct tape_reader *reader)
{
	static uint8_t page[TAPE_PAGE_BYTES];
	uint32_t nr = tape_reader_info(reader)->nr_snapshots;

	for (uint32_t i = 0; i < nr && i < 8; i++) {
		const struct tape_snapshot *snapshot = tape_reader_snapshot(reader, i);

		for (uint64_t gfn = 0; gfn < MAX_PAGES; gfn++)
			tape_reader_page(reader, i, gfn, page, NULL);
		for (uint32_t j = 0; j < snapshot->info.nr_ranges && j < 8; j++)
			tape_reader_page(reader, i, snapshot->info.ranges[j].gpa / TAPE_PAGE_BYTES, page, NULL);
	}
}

static void read_tape(const uint8_t *bytes, size_t size_bytes)
{
	const struct tape_problem *problems;
	struct tape_reader *reader;
	struct tape_error error;
	const void *plan;
	size_t plan_bytes;
	uint8_t key[TAPE_PUBLIC_KEY_BYTES];

	if (tape_reader_open_memory(&reader, bytes, size_bytes, &error))
		return;
	tape_reader_meta(reader, "producer");
	tape_reader_plan(reader, 17, &plan, &plan_bytes);
	read_records(reader);
	read_skipping(reader, &(struct choice){bytes, size_bytes});
	read_pages(reader);
	if (!tape_reader_signer(reader, key))
		tape_reader_expect(reader, key, NULL);
	tape_reader_verify(reader, ask_about, reader);
	tape_reader_problems(reader, &problems);
	tape_reader_close(reader);
}

/* The same, as it is being written: piece by piece, and some of it overwritten; all is read, or some is skipped. */
static void follow_tape(uint8_t *bytes, size_t size_bytes, struct choice *choice)
{
	struct tape_cursor *cursor = NULL;
	struct tape_reader *reader;
	struct trap_view view;

	if (tape_reader_open_memory(&reader, bytes, size_bytes / 4, NULL))
		return;
	if (!tape_cursor_create(&cursor, reader, NULL)) {
		if (choice) {
			tape_cursor_limit(cursor, FEW_BYTES);
			tape_cursor_skip(cursor, &(struct tape_skipper){may_skip, skip, choice});
		}
		for (unsigned part = 1; part <= 4; part++) {
			reader->source.size_bytes = part < 4 ? size_bytes / 4 * (part + 1) : size_bytes;
			if (reader->source.size_bytes > size_bytes)
				reader->source.size_bytes = size_bytes;
			if (part == 3)
				memset(bytes + size_bytes / 8, 0, size_bytes / 8);
			tape_cursor_rest(cursor);
			if (tape_reader_refresh(reader, NULL) < 0 || tape_cursor_go_on(cursor, NULL))
				break;
			tape_cursor_until(cursor, part < 3 ? tape_reader_info(reader)->last_tsc / 2 : UINT64_MAX);
			for (unsigned i = 0; i < MAX_RECORDS && tape_cursor_next(cursor, &view, NULL) == 1; i++)
				;
			read_pages(reader);
		}
		tape_cursor_frontier(cursor, 2);
	}
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct choice choice = {data, size_bytes};
	uint8_t *copy;

	if (size_bytes > MAX_BYTES)
		return 0;
	read_tape(data, size_bytes);
	copy = malloc(size_bytes + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size_bytes);
	tape_repair(copy, size_bytes);
	read_tape(copy, size_bytes);
	follow_tape(copy, size_bytes, NULL);
	memcpy(copy, data, size_bytes);
	tape_repair(copy, size_bytes);
	follow_tape(copy, size_bytes, &choice);
	free(copy);
	return 0;
}
