/* SPDX-License-Identifier: MIT */
/*
 * test_tape_fault.c - a small tape cut at every byte, with every byte flipped,
 * of the future, of foreign making, and of a disk that failed or lagged.
 */
#include <errno.h>

#include "check.h"
#include "tape_fixture.h"

#define SLOT_BYTES (16u << 10)
#define NR_VCPUS   2u
#define NR_RECORDS 10u /* a chunk */
#define NR_ROUNDS  5u

/* What was on the tape when it was so long. */
struct progress {
	uint64_t size_bytes;
	uint64_t nr_records[NR_VCPUS];
	uint32_t nr_snapshots;
};

struct small_tape {
	struct fixture_file file;
	struct progress progress[NR_ROUNDS * (NR_VCPUS + 1)];
	size_t nr_progress;
};

static void fill(struct byte_buffer *records, uint16_t vcpu, uint64_t first)
{
	for (uint64_t seq = first; seq < first + NR_RECORDS; seq++)
		fixture_add_call(records, &(struct fixture_call){.type = seq & 1 ? TRAP_EXIT : TRAP_ENTER,
								 .vcpu = vcpu,
								 .seq = seq,
								 .tsc = 100 + seq * 10 + vcpu,
								 .nr = seq % 11,
								 .cr3 = 0x5000 + (seq % 3 << 12),
								 .text = seq & 1 ? NULL : "/bin/true"});
}

static void note(struct small_tape *tape, const struct progress *progress)
{
	tape->progress[tape->nr_progress] = *progress;
	tape->progress[tape->nr_progress++].size_bytes = tape->file.size_bytes;
}

/* Two slots; each round: a chunk a vCPU and a snapshot of a few pages, some of them incompressible. */
static void write_tape(struct small_tape *tape)
{
	struct tape_writer *writer = fixture_writer(&tape->file, SLOT_BYTES);
	const uint64_t regs[2] = {1, 2};
	const struct tape_ram_range range = {0, 1 << 20};
	struct byte_buffer records = {0};
	struct progress progress = {0};
	struct tape_pages *pages;
	uint8_t page[TAPE_PAGE_BYTES];

	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	fixture_append_meta(writer, "guest=small");
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		struct tape_snapshot_info info = {.id = round,
						  .nr_vcpus = 2,
						  .nr_regs = 1,
						  .vcpu_regs = regs,
						  .nr_ranges = 1,
						  .ranges = &range,
						  .base = !round};

		for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
			fill(&records, vcpu, round * NR_RECORDS);
			fixture_append_traps(writer, vcpu, &records);
			progress.nr_records[vcpu] += NR_RECORDS;
			note(tape, &progress);
		}
		for (unsigned i = 0; i < 3; i++) {
			fixture_page(page, i == 2 && round % 3 ? 0 : round * 8 + i * 2 + (i || round % 5 ? 2 : 1));
			CHECK_INT(tape_pages_add(pages, i + round % 2 * 5, page, NULL), 0);
		}
		CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
		progress.nr_snapshots++;
		note(tape, &progress);
	}
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done",
				     &(struct tape_totals){NR_VCPUS * NR_ROUNDS * NR_RECORDS, 0, NR_ROUNDS}, NULL),
		  0);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
	printf("tape of %zu bytes\n", tape->file.size_bytes);
	CHECK(tape->file.size_bytes > SLOT_BYTES && tape->file.size_bytes < 3 * SLOT_BYTES);
}

/* Reads all there is; each vCPU's records must be its first ones. */
static void count_records(struct tape_reader *reader, uint64_t counts[NR_VCPUS])
{
	struct tape_cursor *cursor;
	struct trap_view view;

	memset(counts, 0, NR_VCPUS * sizeof(*counts));
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1) {
		CHECK(view.header.vcpu < NR_VCPUS);
		CHECK_INT(view.header.seq, counts[view.header.vcpu]);
		counts[view.header.vcpu]++;
	}
	tape_cursor_destroy(cursor);
}

static uint32_t count_snapshots(struct tape_reader *reader)
{
	uint32_t nr = tape_reader_info(reader)->nr_snapshots, whole = 0;
	uint8_t page[TAPE_PAGE_BYTES];

	for (uint32_t i = 0; i < nr; i++) {
		int result = tape_reader_page(reader, i, i % 2 * 5, page, NULL);

		whole += result == 0;
	}
	return whole;
}

static void test_cut_everywhere(const struct small_tape *tape)
{
	size_t at = 0; /* what must be there */

	for (size_t size_bytes = 0; size_bytes < tape->file.size_bytes; size_bytes++) {
		/* A copy of exactly this size: reading behind it shows. */
		uint8_t *bytes = malloc(size_bytes ? size_bytes : 1);
		struct fixture_report report = {0};
		const struct tape_problem *problems;
		struct tape_reader *reader = NULL;
		struct tape_error error = {0};
		uint64_t counts[NR_VCPUS];
		size_t nr_problems;
		int result;

		CHECK(bytes);
		memcpy(bytes, tape->file.bytes, size_bytes);
		while (at + 1 < tape->nr_progress && tape->progress[at + 1].size_bytes <= size_bytes)
			at++;
		result = tape_reader_open_memory(&reader, bytes, size_bytes, &error);
		if (size_bytes < TAPE_FILE_HEADER_BYTES) {
			CHECK_INT(result, size_bytes < 8 ? -EMEDIUMTYPE : -EBADMSG);
			CHECK(error.message[0]);
			free(bytes);
			continue;
		}
		CHECK_INT(result, 0);
		count_records(reader, counts);
		if (tape->progress[at].size_bytes <= size_bytes) {
			for (unsigned vcpu = 0; vcpu < NR_VCPUS; vcpu++)
				CHECK(counts[vcpu] >= tape->progress[at].nr_records[vcpu]);
			CHECK(count_snapshots(reader) >= tape->progress[at].nr_snapshots);
		}
		nr_problems = tape_reader_problems(reader, &problems);
		if (size_bytes % SLOT_BYTES)
			for (size_t i = 0; i < nr_problems; i++)
				CHECK(!strncmp(problems[i].message, "cut off", 7));
		CHECK(tape_reader_verify(reader, fixture_report, &report) > 0);
		tape_reader_close(reader);
		free(bytes);
	}
}

/* Marks what lies between the index of each closed slot and its trailer: nothing is there. */
static void find_unused(const struct small_tape *tape, bool *unused)
{
	uint64_t tag = tape_tag(tape->file.bytes + 32);

	for (size_t slot = 0; (slot + 1) * SLOT_BYTES <= tape->file.size_bytes; slot++) {
		size_t start = slot * SLOT_BYTES, trailer = start + SLOT_BYTES - TAPE_SLOT_TRAILER_BYTES, end;
		struct tape_chunk_header header;
		uint32_t index_offset;

		CHECK(tape_get_slot_trailer(tape->file.bytes + trailer, tag, slot, &index_offset));
		CHECK(tape_get_chunk_header(tape->file.bytes + start + index_offset, &header));
		end = start + index_offset + tape_chunk_bytes(&header);
		CHECK(trailer - end < SLOT_BYTES / 2);
		memset(unused + end, true, trailer - end);
	}
}

static void test_flip_everywhere(struct small_tape *tape)
{
	static bool unused[3 * SLOT_BYTES];

	find_unused(tape, unused);

	for (size_t offset = 0; offset < tape->file.size_bytes; offset++) {
		uint8_t *byte = &tape->file.bytes[offset];
		struct fixture_report report = {0};
		struct tape_reader *reader;
		struct tape_error error = {0};
		uint64_t found;

		*byte ^= (uint8_t)(1u << offset % 8);
		if (tape_reader_open_memory(&reader, tape->file.bytes, tape->file.size_bytes, &error)) {
			/* Slot 0 says the same as the file header. */
			fprintf(stderr, "offset %zu: %s\n", offset, error.message);
			CHECK(!"a tape with one damaged byte must open");
		}
		found = tape_reader_verify(reader, fixture_report, &report);
		CHECK_INT(found, report.count);
		if (unused[offset]) {
			CHECK_INT(found, 0);
		} else if (!found) {
			fprintf(stderr, "offset %zu: not found\n", offset);
			CHECK(found);
		}
		tape_reader_close(reader);
		*byte ^= (uint8_t)(1u << offset % 8);
	}
}

/* ---- other tapes ----------------------------------------------------- */

static void rewrite_headers(struct small_tape *tape, uint16_t version, uint64_t required)
{
	struct tape_identity identity;
	bool intact;

	CHECK(tape_get_file_header(tape->file.bytes, &identity, &intact) && intact);
	identity.version = version;
	identity.required_features = required;
	tape_put_file_header(tape->file.bytes, &identity);
}

static void test_future(struct small_tape *tape)
{
	struct tape_reader *reader;
	struct tape_error error;

	rewrite_headers(tape, TAPE_VERSION + 1, 0);
	CHECK_INT(tape_reader_open_memory(&reader, tape->file.bytes, tape->file.size_bytes, &error), -EPROTONOSUPPORT);
	CHECK(strstr(error.message, "version 2"));
	rewrite_headers(tape, TAPE_VERSION, 1ull << 40);
	CHECK_INT(tape_reader_open_memory(&reader, tape->file.bytes, tape->file.size_bytes, &error), -EPROTONOSUPPORT);
	CHECK(strstr(error.message, "0x10000000000"));
	CHECK_INT(error.offset, 24);
	rewrite_headers(tape, TAPE_VERSION, 0);
}

static void test_not_a_tape(void)
{
	static const char *const texts[] = {"", "#!/bin/sh\n", "\177ELF", "\x89VMT\r\n\x1a", "\x89PNG\r\n\x1a\n"};
	uint8_t bytes[20000];
	uint64_t state = 99;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct tape_reader *reader;
		struct tape_error error;

		CHECK_INT(tape_reader_open_memory(&reader, texts[i], strlen(texts[i]), &error), -EMEDIUMTYPE);
		CHECK(strstr(error.message, "not a tape"));
	}
	for (unsigned round = 0; round < 500; round++) {
		size_t size_bytes = fixture_random(&state) % sizeof(bytes);
		struct tape_reader *reader;

		for (size_t i = 0; i < size_bytes; i++)
			bytes[i] = (uint8_t)fixture_random(&state);
		CHECK_INT(tape_reader_open_memory(&reader, bytes, size_bytes, NULL), -EMEDIUMTYPE);
	}
}

/* Chunks of a type that this version does not know are stepped over. */
static void test_unknown_chunk(void)
{
	const struct tape_chunk_header header = {.type = 99, .vcpu = TAPE_NO_VCPU};
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct fixture_report report = {.loud = true};
	struct tape_chunk *chunk;
	struct tape_reader *reader;

	CHECK_INT(tape_chunk_encode(&chunk, &header, "from the future", 15, 0, NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
	fixture_append_meta(writer, "after=it");
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_STR(tape_reader_meta(reader, "after"), "it");
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	tape_reader_close(reader);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

/* ---- records --------------------------------------------------------- */

static uint64_t verify_records(void (*fill_records)(struct byte_buffer *records), uint64_t *nr_read)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct fixture_report report = {0};
	struct byte_buffer records = {0};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;

	fill_records(&records);
	fixture_append_traps(writer, 0, &records);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	tape_reader_verify(reader, fixture_report, &report);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	for (*nr_read = 0; tape_cursor_next(cursor, &view, NULL) == 1;)
		++*nr_read;
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
	fixture_file_deinit(&file);
	return report.count;
}

static void add_seq(struct byte_buffer *records, uint64_t seq)
{
	fixture_add_call(records, &(struct fixture_call){.type = TRAP_ENTER, .seq = seq, .tsc = seq});
}

static void announced_hole(struct byte_buffer *records)
{
	add_seq(records, 4);
	fixture_add_gap(records, 0, 9, 9, &(struct trap_gap){.lost_records = 4, .first_seq = 5});
	add_seq(records, 10);
}

static void silent_hole(struct byte_buffer *records)
{
	add_seq(records, 4);
	add_seq(records, 6);
}

static void hole_larger_than_announced(struct byte_buffer *records)
{
	add_seq(records, 4);
	fixture_add_gap(records, 0, 9, 9, &(struct trap_gap){.lost_records = 3, .first_seq = 5});
}

static void backwards(struct byte_buffer *records)
{
	add_seq(records, 4);
	add_seq(records, 4);
}

/* A broken record is kept by the writer, and costs the reader only itself. */
static void broken_record(struct byte_buffer *records)
{
	add_seq(records, 0);
	add_seq(records, 1);
	records->data[records->size_bytes / 2 + offsetof(struct trap_record, type)] = 77;
	add_seq(records, 2);
}

static void foreign_record(struct byte_buffer *records)
{
	add_seq(records, 0);
	fixture_add_call(records, &(struct fixture_call){.type = TRAP_ENTER, .vcpu = 1, .seq = 1});
	add_seq(records, 1);
}

static void test_records(void)
{
	struct byte_buffer records = {0};
	struct tape_chunk *chunk;
	struct tape_error error;
	uint64_t nr;

	CHECK_INT(verify_records(announced_hole, &nr), 0);
	CHECK_INT(nr, 3);
	CHECK_INT(verify_records(silent_hole, &nr), 1);
	CHECK_INT(verify_records(hole_larger_than_announced, &nr), 1);
	CHECK_INT(verify_records(backwards, &nr), 1);
	CHECK_INT(verify_records(broken_record, &nr), 2); /* it, and the hole that it leaves */
	CHECK_INT(nr, 2);
	CHECK_INT(verify_records(foreign_record, &nr), 1);
	CHECK_INT(nr, 2);

	add_seq(&records, 0);
	CHECK_INT(tape_chunk_encode_traps(&chunk, 0, records.data, records.size_bytes - 8, 1, &error), -EBADMSG);
	CHECK(strstr(error.message, "byte 0"));
	CHECK_INT(tape_chunk_encode_traps(&chunk, 0, records.data, 0, 1, &error), -EINVAL);
	byte_buffer_deinit(&records);
	CHECK_INT(tape_chunk_encode_meta(&chunk, "good=1\nbad\n", &error), -EINVAL);
	CHECK(strstr(error.message, "\"bad\""));
}

/* ---- disks ----------------------------------------------------------- */

static void test_full_disk(void)
{
	struct fixture_file file = {.write_later = true};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct tape_reader *reader;
	struct tape_chunk *chunk;
	struct tape_error error;

	fixture_append_meta(writer, "a=1");
	fixture_complete(&file);
	file.fail_from = file.size_bytes;
	fixture_append_meta(writer, "b=1");
	fixture_append_meta(writer, "c=1");
	CHECK_INT(tape_writer_check(writer, &error), 0);
	fixture_complete(&file);
	CHECK_INT(tape_writer_check(writer, &error), -ENOSPC);
	CHECK_INT(error.offset, file.fail_from);
	CHECK_INT(tape_chunk_encode_meta(&chunk, "d=1", NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, &error), -ENOSPC);
	CHECK(strstr(error.message, "No space left"));
	CHECK_INT(tape_writer_finish(writer, "x", &(struct tape_totals){0}, NULL), -ENOSPC);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_STR(tape_reader_meta(reader, "a"), "1");
	CHECK(!tape_reader_info(reader)->finished);
	tape_reader_close(reader);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

/* The writer may be gone before its last writes are done. */
static void test_writer_ends_first(void)
{
	struct fixture_file file = {.write_later = true};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct tape_reader *reader;

	fixture_append_meta(writer, "a=1");
	CHECK_INT(tape_writer_finish(writer, "x", &(struct tape_totals){0}, NULL), 0);
	CHECK_INT(file.size_bytes, 0);
	tape_writer_destroy(writer);
	fixture_complete(&file);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK(tape_reader_info(reader)->finished);
	tape_reader_close(reader);
	fixture_file_deinit(&file);
}

static void test_too_large(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	char *text = malloc(TAPE_META_MAX_BYTES + 2);
	struct tape_chunk *chunk;
	struct tape_error error;

	CHECK(text);
	memset(text, 'x', TAPE_META_MAX_BYTES + 1);
	text[1] = '=';
	text[TAPE_META_MAX_BYTES + 1] = 0;
	CHECK_INT(tape_chunk_encode_meta(&chunk, text, &error), -EMSGSIZE);
	text[TAPE_META_MAX_BYTES] = 0;
	CHECK_INT(tape_chunk_encode_meta(&chunk, text, &error), 0);
	CHECK_INT(tape_writer_append(writer, chunk, &error), -EMSGSIZE);
	fixture_append_meta(writer, "still=here");
	free(text);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

int main(void)
{
	static struct small_tape tape;

	write_tape(&tape);
	test_cut_everywhere(&tape);
	test_flip_everywhere(&tape);
	test_future(&tape);
	test_not_a_tape();
	test_unknown_chunk();
	test_records();
	test_full_disk();
	test_writer_ends_first();
	test_too_large();
	fixture_file_deinit(&tape.file);
	return 0;
}
