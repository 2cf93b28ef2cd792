/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tape_compact.c - TRAPS layout 2, both ways: a payload from outside
 * (after four bytes, how many rows it claims), and records from a hostile
 * producer, which must come back as they were.
 */
#include "tape_compact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static struct compact_model model;
static struct tape_compactor *compactor;

static void fail_if(bool failed)
{
	if (failed)
		abort();
}

/* Rows must come back, unless they are not rows. */
static void round_trip(const uint8_t *rows, size_t rows_bytes)
{
	struct tape_compacted compacted;
	struct tape_rows walked, found;
	uint8_t *payload, *again;
	size_t bad_at, at = 0;

	if (rows_bytes > TAPE_TRAPS_MAX_BYTES || tape_rows_walk(&walked, rows, rows_bytes, &bad_at))
		return;
	if (!compactor)
		compactor = tape_compactor_create();
	fail_if(!compactor ||
		tape_compact(compactor, &compacted, &found, rows, rows_bytes, (rows_bytes & 8) != 0, &bad_at));
	fail_if(!roaring_bitmap_equals(walked.touched.nrs, found.touched.nrs) ||
		!roaring64_bitmap_equals(walked.touched.spaces, found.touched.spaces));
	tape_touched_deinit(&walked.touched);
	tape_touched_deinit(&found.touched);
	payload = malloc(compacted.size_bytes + COMPACT_SLACK_BYTES);
	again = malloc(rows_bytes + COMPACT_ROWS_SLACK_BYTES);
	fail_if(!payload || !again);
	for (unsigned i = 0; i <= COMPACT_STREAMS && compacted.size_bytes; i++) {
		memcpy(payload + at, compacted.parts[i].data, compacted.parts[i].size_bytes);
		at += compacted.parts[i].size_bytes;
	}
	memset(payload + at, 0, COMPACT_SLACK_BYTES);
	memset(&model, 0xa5, sizeof(model));
	fail_if(at && (tape_expand(&model, again, rows_bytes, payload, at) || memcmp(again, rows, rows_bytes)));
	free(payload);
	free(again);
}

/* Gives each record the size that is left, where what it says can't be. */
static void chain(uint8_t *rows, size_t rows_bytes)
{
	for (size_t at = 0; rows_bytes - at >= sizeof(struct trap_record);) {
		size_t left_bytes = rows_bytes - at;
		uint32_t size_bytes = get_le32(rows + at) & 0x7ff8;

		if (size_bytes < sizeof(struct trap_record) || size_bytes > left_bytes)
			size_bytes = sizeof(struct trap_record);
		if (left_bytes - size_bytes < sizeof(struct trap_record))
			size_bytes = (uint32_t)left_bytes & ~7u;
		if (size_bytes > TRAP_RECORD_MAX_BYTES)
			return;
		put_le32(rows + at, size_bytes);
		at += size_bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	uint8_t *payload, *rows;
	uint32_t rows_bytes;

	if (size_bytes < 4 || size_bytes > TAPE_TRAPS_MAX_BYTES)
		return 0;
	rows_bytes = get_le32(data) % (64u << 10);
	payload = malloc(size_bytes - 4 + COMPACT_SLACK_BYTES);
	rows = malloc(rows_bytes + COMPACT_ROWS_SLACK_BYTES);
	fail_if(!payload || !rows);
	memcpy(payload, data + 4, size_bytes - 4);
	memset(payload + size_bytes - 4, 0, COMPACT_SLACK_BYTES);
	if (!tape_expand(&model, rows, rows_bytes, payload, size_bytes - 4))
		round_trip(rows, rows_bytes);
	free(rows);
	size_bytes &= ~(size_t)7;
	memcpy(payload, data, size_bytes);
	chain(payload, size_bytes);
	round_trip(payload, size_bytes);
	free(payload);
	return 0;
}
