/* SPDX-License-Identifier: MIT */
/*
 * test_tape_compact.c - TRAPS layout 2: any rows come back byte for byte,
 * whatever they say of themselves; the index learns the same as from a walk
 * over them; and payloads that are cut or changed are refused or give rows.
 */
#include <errno.h>
#include <zstd.h>

#include "check.h"
#include "tape_compact.h"
#include "tape_fixture.h"
#include "trap_record.h"

static uint64_t state = 1;
static struct tape_compactor *compactor;
static struct compact_model *model;
static uint8_t *expanded; /* as large as any rows */

static uint64_t below(uint64_t limit)
{
	return fixture_random(&state) % limit;
}

static uint8_t *payload_of(const struct tape_compacted *compacted)
{
	uint8_t *payload = malloc(compacted->size_bytes + COMPACT_SLACK_BYTES);
	size_t at = 0;

	CHECK(payload);
	for (unsigned i = 0; i <= COMPACT_STREAMS; i++) {
		memcpy(payload + at, compacted->parts[i].data, compacted->parts[i].size_bytes);
		at += compacted->parts[i].size_bytes;
	}
	CHECK_INT(at, compacted->size_bytes);
	memset(payload + at, 0xaa, COMPACT_SLACK_BYTES);
	return payload;
}

static void same_rows(const struct tape_rows *a, const struct tape_rows *b)
{
	CHECK_INT(a->nr_records, b->nr_records);
	CHECK_INT(a->min_tsc, b->min_tsc);
	CHECK_INT(a->max_tsc, b->max_tsc);
	CHECK_INT(a->first_seq, b->first_seq);
	CHECK_INT(a->last_seq, b->last_seq);
	CHECK(roaring_bitmap_equals(a->touched.nrs, b->touched.nrs));
	CHECK(roaring64_bitmap_equals(a->touched.spaces, b->touched.spaces));
}

static unsigned nr_sound, nr_unsound;

/* Whoever is told that records need not be checked may rely on it. */
static void check_soundness(const uint8_t *rows, size_t rows_bytes)
{
	struct trap_view view, same;
	bool sound = true;

	for (size_t at = 0; at < rows_bytes; at += get_le32(rows + at)) {
		if (trap_view_parse(&view, rows + at, get_le32(rows + at), NULL) <= 0) {
			sound = false;
			continue;
		}
		memset(&same, 0x5a, sizeof(same));
		trap_view_fastest_open()(&same, rows + at);
		CHECK(!memcmp(&view.header, &same.header, sizeof(view.header)));
		CHECK(!memcmp(view.regs, same.regs, sizeof(view.regs)));
		CHECK(view.raw == same.raw && view.body == same.body && view.fragments == same.fragments);
		CHECK_INT(view.fragments_bytes, same.fragments_bytes);
	}
	CHECK_INT(model->is_sound, sound);
	nr_sound += sound;
	nr_unsound += !sound;
}

/* Payload of the rows, which were expanded and compared; NULL when it would be larger. */
static uint8_t *round_trip(const struct byte_buffer *rows, size_t *size_bytes)
{
	struct tape_compacted compacted;
	struct tape_rows walked, found;
	size_t bad_at;
	uint8_t *payload;

	CHECK(!rows->bad);
	CHECK_INT(tape_rows_walk(&walked, rows->data, rows->size_bytes, &bad_at), 0);
	CHECK_INT(tape_compact(compactor, &compacted, &found, rows->data, rows->size_bytes, rows->size_bytes % 16 == 0,
			       &bad_at),
		  0);
	same_rows(&walked, &found);
	tape_touched_deinit(&walked.touched);
	tape_touched_deinit(&found.touched);
	*size_bytes = compacted.size_bytes;
	CHECK(*size_bytes <= rows->size_bytes);
	if (!*size_bytes)
		return NULL;
	payload = payload_of(&compacted);
	memset(expanded, 0x55, rows->size_bytes + COMPACT_ROWS_SLACK_BYTES);
	/* Nothing of an earlier chunk may count. */
	memset(model, 0xa5, sizeof(*model));
	CHECK(!tape_expand(model, expanded, rows->size_bytes, payload, *size_bytes));
	CHECK(!memcmp(expanded, rows->data, rows->size_bytes));
	check_soundness(expanded, rows->size_bytes);
	return payload;
}

static void round_trip_only(struct byte_buffer *rows)
{
	size_t size_bytes;

	free(round_trip(rows, &size_bytes));
	byte_buffer_deinit(rows);
}

/* ---- rows ------------------------------------------------------------ */

struct source {
	uint64_t seq, tsc;
	unsigned variety; /* of calls, tasks and values */
};

static void add_fragment(struct byte_buffer *out, uint64_t gva, unsigned variety)
{
	static const uint16_t lengths[] = {0, 1, 8, 12, 254, 255, 256, 700};
	uint16_t len_bytes = lengths[below(variety > 2 ? 8 : 4)];

	byte_buffer_add_u64(out, below(3) ? gva : fixture_random(&state));
	byte_buffer_add_u32(out, below(2) ? len_bytes + (uint32_t)below(2) : (uint32_t)below(2) * 70000);
	byte_buffer_add_u16(out, len_bytes);
	byte_buffer_add_u8(out, (uint8_t)below(variety));
	byte_buffer_add_u8(out, (uint8_t)below(variety));
	for (unsigned i = 0; i < compact_padded(len_bytes); i++)
		byte_buffer_add_u8(out, i < len_bytes ? (uint8_t)below(variety) : 0);
}

/* A record that says of itself what it is, however odd. */
static void add_regular(struct byte_buffer *out, struct source *source)
{
	static const uint32_t masks[] = {0, 1, 0x17505d1, 0x1d501d1, 0xffffffff, 0x80000000, 0xc50011};
	size_t start = out->size_bytes;
	uint32_t mask = masks[below(source->variety > 6 ? 7 : source->variety)];
	uint16_t nr_fragments = (uint16_t)(below(4) ? 0 : below(7));
	uint64_t gva = 0;

	source->seq += below(50) ? 1 : below(1000);
	source->tsc += below(100) ? below(70000) : fixture_random(&state);
	byte_buffer_add_u32(out, 0);
	byte_buffer_add_u8(out, (uint8_t)(1 + below(source->variety)));
	byte_buffer_add_u8(out, (uint8_t)below(3));
	byte_buffer_add_u16(out, (uint16_t)below(source->variety));
	byte_buffer_add_u16(out, 7);
	byte_buffer_add_u16(out, nr_fragments);
	byte_buffer_add_u32(out, mask);
	byte_buffer_add_u64(out, source->seq);
	byte_buffer_add_u64(out, source->tsc);
	for (; mask; mask &= mask - 1) {
		gva = below(3) ? below(source->variety) << (mask & 0x3f) : fixture_random(&state) >> below(64);
		byte_buffer_add_u64(out, gva);
	}
	for (unsigned i = 0; i < nr_fragments; i++)
		add_fragment(out, gva, source->variety);
	put_le32(out->data + start, (uint32_t)(out->size_bytes - start));
}

/* Nothing in it is true but its size. */
static void add_noise(struct byte_buffer *out)
{
	uint32_t size_bytes = 32 + 8 * (uint32_t)below(below(20) ? 30 : 4000);
	uint8_t *at = byte_buffer_extend(out, size_bytes);

	for (uint32_t i = 0; i < size_bytes; i += 8)
		put_le64(at + i, below(2) ? fixture_random(&state) : below(4));
	put_le32(at, size_bytes);
}

static void test_random(void)
{
	for (unsigned round = 0; round < 300; round++) {
		struct source source = {.variety = 1 + (unsigned)below(round % 4 ? 9 : 60)};
		size_t target_bytes = below(round % 10 ? 20000 : TAPE_TRAPS_MAX_BYTES - TRAP_RECORD_MAX_BYTES);
		unsigned noise = round % 3 ? 0 : 2 + (unsigned)below(200);
		struct byte_buffer rows = {0};

		do {
			if (noise && !below(noise))
				add_noise(&rows);
			else
				add_regular(&rows, &source);
		} while (rows.size_bytes < target_bytes);
		round_trip_only(&rows);
	}
}

/* ---- corners --------------------------------------------------------- */

static void add_calls(struct byte_buffer *rows, unsigned count, unsigned nrs, const char *text)
{
	for (uint64_t seq = 0; seq < count; seq++)
		fixture_add_call(rows, &(struct fixture_call){.type = seq & 1 ? TRAP_EXIT : TRAP_ENTER,
							      .seq = seq,
							      .tsc = 1000 + seq * 700,
							      .nr = (seq >> 1) % nrs,
							      .cr3 = (seq / 100) << 13,
							      .text = text});
}

static void test_corners(void)
{
	const struct trap_gap gap = {.lost_records = 5, .first_seq = 100, .first_tsc = 20, .last_tsc = 90};
	struct byte_buffer rows = {0};
	size_t size_bytes;
	uint8_t *payload;

	/* more calls than there are codes, again and again */
	add_calls(&rows, 4000, 600, NULL);
	round_trip_only(&rows);
	/* an address space of 0, which rows begin with */
	add_calls(&rows, 1, 1, "x");
	round_trip_only(&rows);
	/* time that goes back, and numbers that do */
	add_calls(&rows, 10, 2, NULL);
	add_calls(&rows, 10, 2, "/etc/passwd");
	fixture_add_gap(&rows, 0, 105, 20, &gap);
	add_calls(&rows, 10, 2, NULL);
	round_trip_only(&rows);
	/* as many records as a chunk can have: alike, and none like another */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < TAPE_TRAPS_MAX_BYTES / 32; i++) {
			uint8_t *at = byte_buffer_extend(&rows, 32);

			memset(at, 0, 32);
			for (unsigned j = 0; pass && j < 32; j += 8)
				put_le64(at + j, fixture_random(&state));
			put_le32(at, 32);
			if (pass)
				put_le32(at + 12, 0);
		}
		round_trip_only(&rows);
	}
	/* what calls look like becomes much smaller */
	add_calls(&rows, 5000, 7, NULL);
	payload = round_trip(&rows, &size_bytes);
	CHECK(payload && size_bytes < rows.size_bytes / 8);
	free(payload);
	byte_buffer_deinit(&rows);
}

/* A size that is wrong is found where the walk finds it. */
/* An identity record of no task, with RSP, and with RSI and RDI or without. */
static void add_identity(struct byte_buffer *rows, uint64_t seq, uint64_t rsp, const uint64_t *rdi)
{
	uint32_t mask = 1u << TRAP_REG_RSP | 1u << TRAP_REG_TASK;

	mask |= rdi ? 1u << TRAP_REG_RSI | 1u << TRAP_REG_RDI : 0;
	byte_buffer_add_u32(rows, 32 + 8 * (uint32_t)__builtin_popcount(mask));
	byte_buffer_add_u8(rows, TRAP_IDENTITY);
	byte_buffer_add_u8(rows, 0);
	byte_buffer_add_u16(rows, 0);
	byte_buffer_add_u16(rows, 0);
	byte_buffer_add_u16(rows, 0);
	byte_buffer_add_u32(rows, mask);
	byte_buffer_add_u64(rows, seq);
	byte_buffer_add_u64(rows, 1000 + seq);
	byte_buffer_add_u64(rows, rsp);
	if (rdi) {
		byte_buffer_add_u64(rows, 0);
		byte_buffer_add_u64(rows, *rdi);
	}
	byte_buffer_add_u64(rows, 0);
}

/*
 * Two shapes whose RSPs lead to the same row, the one with more registers last: what it expects of those that the
 * other has not must not come from a chunk before.
 */
static void test_leftovers(void)
{
	const uint64_t rdi = 0x123456789abcdef0;
	struct byte_buffer rows = {0};

	for (unsigned i = 0; i < 3; i++) {
		add_identity(&rows, 0, 0x1000, NULL);
		add_identity(&rows, 1, 0x2000, NULL);
		add_identity(&rows, 2, 0x37479d2259f9, &rdi);
		add_calls(&rows, 1000, 20, NULL);
		round_trip_only(&rows);
		add_calls(&rows, 2000, 60, "/etc/passwd");
		round_trip_only(&rows);
	}
}

static void test_bad_sizes(void)
{
	struct byte_buffer rows = {0};
	struct tape_compacted compacted;
	struct tape_rows found;
	size_t bad_at = 0;

	add_calls(&rows, 3, 1, NULL);
	CHECK_INT(tape_compact(compactor, &compacted, &found, rows.data, rows.size_bytes - 8, false, &bad_at),
		  -EBADMSG);
	CHECK_INT(bad_at, rows.size_bytes - get_le32(rows.data));
	put_le32(rows.data, 36);
	CHECK_INT(tape_compact(compactor, &compacted, &found, rows.data, rows.size_bytes, true, &bad_at), -EBADMSG);
	CHECK_INT(bad_at, 0);
	byte_buffer_deinit(&rows);
}

/* ---- chunks ---------------------------------------------------------- */

/* Decompresses and expands as a reader does. */
static void check_chunk(const struct tape_chunk *chunk, const struct byte_buffer *rows)
{
	const uint8_t *stored = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	uint8_t *payload = calloc(1, rows->size_bytes + COMPACT_SLACK_BYTES);
	size_t size_bytes = chunk->header.stored_bytes;

	CHECK(payload);
	if (chunk->header.codec == TAPE_ZSTD)
		size_bytes = ZSTD_decompress(payload, rows->size_bytes, stored, size_bytes);
	else
		memcpy(payload, stored, size_bytes);
	CHECK(!ZSTD_isError(size_bytes));
	CHECK(!tape_expand(model, expanded, rows->size_bytes, payload, size_bytes));
	CHECK(!memcmp(expanded, rows->data, rows->size_bytes));
	free(payload);
}

static void test_chunks(void)
{
	static const int levels[] = {1, 3, -1, -3, -5, TAPE_LEVEL_PREDICTED, 1};
	struct byte_buffer rows = {0};
	struct tape_encoder *encoder;
	struct tape_chunk *chunk;

	CHECK_INT(tape_encoder_create(&encoder, 1, NULL), 0);
	for (unsigned i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		tape_encoder_set_level(encoder, levels[i]);
		add_calls(&rows, 100 + 500 * i, 7, "/usr/bin/env");
		CHECK_INT(tape_encoder_traps(encoder, &chunk, 3, rows.data, rows.size_bytes, NULL), 0);
		CHECK_INT(chunk->header.layout, TAPE_LAYOUT_2);
		CHECK_INT(chunk->header.codec, levels[i] == TAPE_LEVEL_PREDICTED ? TAPE_STORED : TAPE_ZSTD);
		check_chunk(chunk, &rows);
		CHECK_INT(chunk->header.raw_bytes, rows.size_bytes);
		tape_chunk_destroy(chunk);
		rows.size_bytes = 0;
	}
	tape_encoder_set_level(encoder, 1);
	/* noise stays as it is */
	while (rows.size_bytes < 50000)
		put_le32(memset(byte_buffer_extend(&rows, 32), 0x99, 32), 32);
	for (size_t at = 0; at < rows.size_bytes; at += 32)
		for (unsigned j = 8; j < 32; j += 8)
			put_le64(rows.data + at + j, fixture_random(&state));
	CHECK_INT(tape_encoder_traps(encoder, &chunk, 3, rows.data, rows.size_bytes, NULL), 0);
	CHECK_INT(chunk->header.layout, TAPE_LAYOUT_1);
	tape_chunk_destroy(chunk);
	CHECK_INT(tape_encoder_traps(encoder, &chunk, 3, rows.data, 0, NULL), -EINVAL);
	CHECK_INT(tape_encoder_traps(encoder, &chunk, TAPE_NO_VCPU, rows.data, 32, NULL), -EINVAL);
	CHECK_INT(tape_encoder_traps(encoder, &chunk, 3, rows.data, TAPE_TRAPS_MAX_BYTES + 8, NULL), -EMSGSIZE);
	tape_encoder_destroy(encoder);
	/* level 0 stores rows */
	CHECK_INT(tape_chunk_encode_traps(&chunk, 3, rows.data, rows.size_bytes, 0, NULL), 0);
	CHECK_INT(chunk->header.layout, TAPE_LAYOUT_1);
	CHECK_INT(chunk->header.codec, TAPE_STORED);
	tape_chunk_destroy(chunk);
	byte_buffer_deinit(&rows);
}

/* ---- payloads from outside ------------------------------------------- */

/* Refused, or rows that chain up. Both buffers are just as large as they may be. */
static bool expand(const uint8_t *payload, size_t size_bytes, size_t rows_bytes)
{
	uint8_t *copy = malloc(size_bytes + COMPACT_SLACK_BYTES), *rows = malloc(rows_bytes + COMPACT_ROWS_SLACK_BYTES);
	struct tape_rows walked;
	size_t bad_at;
	bool refused;

	CHECK(copy && rows);
	memcpy(copy, payload, size_bytes);
	memset(copy + size_bytes, 0, COMPACT_SLACK_BYTES);
	refused = tape_expand(model, rows, rows_bytes, copy, size_bytes);
	if (!refused) {
		CHECK_INT(tape_rows_walk(&walked, rows, rows_bytes, &bad_at), 0);
		tape_touched_deinit(&walked.touched);
		check_soundness(rows, rows_bytes);
	}
	free(copy);
	free(rows);
	return !refused;
}

/* Rows whose payload is cut and changed. */
static void torture(struct byte_buffer *rows)
{
	unsigned refused = 0;
	size_t size_bytes;
	uint8_t *payload = round_trip(rows, &size_bytes);

	CHECK(payload);
	for (size_t cut = 0; cut < size_bytes; cut++)
		CHECK(!expand(payload, cut, rows->size_bytes));
	CHECK(!expand(payload, size_bytes, rows->size_bytes - 8));
	CHECK(!expand(payload, size_bytes, rows->size_bytes + 8));
	CHECK(!expand(payload, size_bytes, 0));
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = below(size_bytes);
		uint8_t old = payload[at];

		payload[at] = (uint8_t)below(256);
		refused += !expand(payload, size_bytes, rows->size_bytes);
		payload[at] = old;
	}
	CHECK(refused > 1000);
	free(payload);
	byte_buffer_deinit(rows);
}

static void test_hostile(void)
{
	struct source source = {.variety = 5};
	struct byte_buffer rows = {0};

	add_calls(&rows, 100, 9, "/usr/bin/env");
	torture(&rows);
	add_calls(&rows, 100, 9, "/usr/bin/env");
	for (unsigned i = 0; i < 100; i++)
		add_regular(&rows, &source);
	add_noise(&rows);
	torture(&rows);
}

/* A fragment that names a register of a record without any, at the end of the rows. */
static void test_no_source(void)
{
	static const uint8_t payload[] = {
		1,           1,
		0,           0,
		0,           0,
		0,           1,
		1,           0,
		0,           12,
		2,           0,              /* lengths of the streams */
		0,           0,              /* times */
		COMPACT_NEW, COMPACT_T_CODE, /* a shape with one fragment */
		TRAP_ENTER,  0,
		0,           0,
		0,           0,
		1,           0,
		0,           0,
		0,           0, /* that shape */
		0,           0, /* its fragment */
	};
	uint8_t copy[sizeof(payload)];

	/* From nowhere it would be right, but then its address is missing. */
	CHECK(!expand(payload, sizeof(payload), 32));
	CHECK(!expand(payload, sizeof(payload), 48));
	/* Without the fragment it is a record. */
	memcpy(copy, payload, sizeof(copy));
	copy[12] = 0;
	copy[24] = 0;
	CHECK(expand(copy, sizeof(copy) - 2, 32));
}

/* Rows of one call with one fragment, whose address and contents come from where the text says. */
static void add_read(struct byte_buffer *rows, uint8_t type, uint64_t seq, uint64_t task, uint64_t gva,
		     const char *text)
{
	uint32_t len_bytes = (uint32_t)strlen(text), mask = 1u << TRAP_REG_RSP | 1u << TRAP_REG_TASK;
	size_t start = rows->size_bytes;

	mask |= type == TRAP_ENTER ? 1u << TRAP_REG_RAX | 1u << TRAP_REG_RSI : 1u << TRAP_REG_NR;
	byte_buffer_add_u32(rows, 0);
	byte_buffer_add_u8(rows, type);
	byte_buffer_add_u8(rows, 0);
	byte_buffer_add_u16(rows, 0);
	byte_buffer_add_u16(rows, 0);
	byte_buffer_add_u16(rows, type == TRAP_EXIT);
	byte_buffer_add_u32(rows, mask);
	byte_buffer_add_u64(rows, seq);
	byte_buffer_add_u64(rows, 100 * seq);
	if (type == TRAP_ENTER)
		byte_buffer_add_u64(rows, 17);
	byte_buffer_add_u64(rows, 0x7ffc0000 + task);
	if (type == TRAP_ENTER)
		byte_buffer_add_u64(rows, gva);
	byte_buffer_add_u64(rows, task);
	if (type == TRAP_EXIT) {
		byte_buffer_add_u64(rows, 17);
		byte_buffer_add_u64(rows, gva);
		byte_buffer_add_u32(rows, len_bytes);
		byte_buffer_add_u16(rows, (uint16_t)len_bytes);
		byte_buffer_add_u16(rows, 0);
		byte_buffer_add(rows, text, len_bytes);
		for (; len_bytes % 8; len_bytes++)
			byte_buffer_add_u8(rows, 0);
	}
	put_le32(rows->data + start, (uint32_t)(rows->size_bytes - start));
}

/*
 * What a call leaves behind at an address that only its entry has, of two tasks in turn: after the first ones that
 * costs next to nothing, whether the contents are those that were there or those that were elsewhere.
 */
static void test_contents(void)
{
	static const char *const texts[] = {"the first of the texts, which is long",
					    "the second one, which is not shorter"};
	struct byte_buffer rows = {0};
	size_t few_bytes, many_bytes;

	for (uint64_t i = 0, seq = 0; i < 1000; i++) {
		for (uint64_t task = 0; task < 2; task++)
			add_read(&rows, TRAP_ENTER, seq++, 0x1000 + task, 0x5000 + 64 * (i % 3), "");
		for (uint64_t task = 0; task < 2; task++)
			add_read(&rows, TRAP_EXIT, seq++, 0x1000 + task, 0x5000 + 64 * (i % 3), texts[i / 7 % 2]);
		if (i == 99)
			free(round_trip(&rows, &few_bytes));
	}
	free(round_trip(&rows, &many_bytes));
	/* 3600 records more: a token, two bytes of time and a step of RSI, of every other a fragment, and a task each
	 */
	CHECK(many_bytes - few_bytes < 3600 * 8);
	/* More contents than have numbers, and numbers that are used again. */
	rows.size_bytes = 0;
	for (uint64_t seq = 0; seq < 6000; seq++) {
		char text[32];

		snprintf(text, sizeof(text), "text %u", (unsigned)below(3000));
		add_read(&rows, seq & 1 ? TRAP_EXIT : TRAP_ENTER, seq, 0x1000, 0x5000 + below(9), text);
	}
	round_trip_only(&rows);
}

int main(void)
{
	compactor = tape_compactor_create();
	model = malloc(sizeof(*model));
	expanded = malloc(TAPE_TRAPS_MAX_BYTES + COMPACT_ROWS_SLACK_BYTES);
	CHECK(compactor && model && expanded);
	test_random();
	test_corners();
	test_leftovers();
	test_bad_sizes();
	test_chunks();
	test_hostile();
	test_no_source();
	test_contents();
	/* Both happen: the test reaches what it is for. */
	CHECK(nr_sound > 1000 && nr_unsound > 1000);
	tape_compactor_destroy(compactor);
	free(model);
	free(expanded);
	return 0;
}
