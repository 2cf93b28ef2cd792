/* SPDX-License-Identifier: MIT */
/* test_tape_roundtrip.c - what is written to a tape is read back: records in time order, meta, plans, the end. */
#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "tape_fixture.h"

#define NR_VCPUS   3u
#define NR_RECORDS 5000u /* a vCPU */
#define SLOT_BYTES (16u << 10)

static uint64_t tsc_of(unsigned vcpu, uint64_t seq)
{
	return 1000 + seq * 10 + vcpu * 3;
}

static void fill(struct byte_buffer *records, uint16_t vcpu, uint64_t first, uint64_t count)
{
	char text[32];

	for (uint64_t seq = first; seq < first + count; seq++) {
		snprintf(text, sizeof(text), "/etc/file-%" PRIu64, seq % 37);
		fixture_add_call(records, &(struct fixture_call){.type = seq & 1 ? TRAP_EXIT : TRAP_ENTER,
								 .vcpu = vcpu,
								 .seq = seq,
								 .tsc = tsc_of(vcpu, seq),
								 .nr = (seq >> 1) % 300,
								 .cr3 = (0x1000 + (seq / 500) * 0x2000) | vcpu,
								 .text = seq & 1 ? NULL : text});
	}
}

static void write_tape(struct fixture_file *file)
{
	struct tape_writer *writer = fixture_writer(file, SLOT_BYTES);
	const struct tape_totals totals = {NR_VCPUS * NR_RECORDS, 7, 0};
	struct byte_buffer records = {0};

	fixture_append_meta(writer, "host=a\nguest=first\n");
	for (uint64_t first = 0; first < NR_RECORDS; first += 100)
		for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
			fill(&records, vcpu, first, 100);
			fixture_append_traps(writer, vcpu, &records);
		}
	fixture_append_meta(writer, "guest=second");
	CHECK_INT(tape_writer_finish(writer, "test done", &totals, NULL), 0);
	CHECK_INT(tape_writer_size_bytes(writer), file->size_bytes);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
}

static void check_info(struct tape_reader *reader)
{
	const struct tape_info *info = tape_reader_info(reader);
	const struct tape_problem *problems;
	struct fixture_report report = {.loud = true};

	CHECK_INT(info->version, 1);
	CHECK_INT(info->uuid[0], 0xa0);
	CHECK_INT(info->nr_vcpus, NR_VCPUS);
	CHECK_INT(info->nr_records, NR_VCPUS * NR_RECORDS);
	CHECK_INT(info->first_tsc, tsc_of(0, 0));
	CHECK_INT(info->last_tsc, tsc_of(NR_VCPUS - 1, NR_RECORDS - 1));
	CHECK(info->nr_slots >= 2);
	CHECK(info->finished);
	CHECK_STR(info->end_reason, "test done");
	CHECK_INT(info->totals.lost_records, 7);
	CHECK_STR(tape_reader_meta(reader, "guest"), "second");
	CHECK_STR(tape_reader_meta(reader, "host"), "a");
	CHECK(!tape_reader_meta(reader, "hos"));
	CHECK_INT(tape_reader_problems(reader, &problems), 0);
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
}

/* From TSC from on: all of each vCPU in its order, merged by time, byte for byte. */
static void check_records(struct tape_cursor *cursor, uint64_t from)
{
	uint64_t next[NR_VCPUS] = {0}, last_tsc = 0, count = 0, expected = 0;
	struct byte_buffer record = {0};
	struct trap_view view;

	for (unsigned vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
		while (next[vcpu] < NR_RECORDS && tsc_of(vcpu, next[vcpu]) < from)
			next[vcpu]++;
		expected += NR_RECORDS - next[vcpu];
	}
	while (tape_cursor_next(cursor, &view, NULL) == 1) {
		uint16_t vcpu = view.header.vcpu;

		CHECK(vcpu < NR_VCPUS);
		CHECK(view.header.tsc >= last_tsc);
		last_tsc = view.header.tsc;
		CHECK_INT(view.header.seq, next[vcpu]);
		record.size_bytes = 0;
		fill(&record, vcpu, next[vcpu], 1);
		CHECK_INT(view.header.size_bytes, record.size_bytes);
		CHECK(!memcmp(view.raw, record.data, record.size_bytes));
		next[vcpu]++;
		count++;
	}
	CHECK_INT(count, expected);
	byte_buffer_deinit(&record);
}

static void check_seeks(struct tape_reader *reader)
{
	static const uint64_t times[] = {0, 1000, 1001, 3507, 25000, 50990, 51000, UINT64_MAX, 0};
	struct tape_cursor *cursor;

	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	check_records(cursor, 0);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		CHECK_INT(tape_cursor_seek(cursor, times[i], NULL), 0);
		check_records(cursor, times[i]);
	}
	tape_cursor_destroy(cursor);
}

static void test_file(const struct fixture_file *file)
{
	char path[] = "/tmp/test-tape-XXXXXX";
	int fd = mkstemp(path);
	FILE *stream = fdopen(fd, "wb");
	struct tape_reader *reader;
	struct tape_error error;

	CHECK(stream);
	CHECK_INT(fwrite(file->bytes, 1, file->size_bytes, stream), file->size_bytes);
	CHECK_INT(fclose(stream), 0);
	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	check_info(reader);
	check_seeks(reader);
	tape_reader_close(reader);
	remove(path);
	CHECK_INT(tape_reader_open(&reader, path, &error), -ENOENT);
	CHECK(strstr(error.message, path));
	CHECK_INT(tape_reader_open(&reader, "/dev/null", &error), -EMEDIUMTYPE);
}

/* A slot that never reached the disk, as a hole in the file: all else is read, and the hole is told of. */
static void test_hole(const struct fixture_file *file)
{
	char path[] = "/tmp/test-tape-XXXXXX";
	int fd = mkstemp(path);
	struct fixture_report report = {0};
	const struct tape_problem *problems;
	struct tape_reader *reader;

	CHECK(file->size_bytes > 3 * SLOT_BYTES);
	CHECK_INT(pwrite(fd, file->bytes, SLOT_BYTES, 0), SLOT_BYTES);
	CHECK_INT(pwrite(fd, file->bytes + 2 * SLOT_BYTES, file->size_bytes - 2 * SLOT_BYTES, 2 * SLOT_BYTES),
		  file->size_bytes - 2 * SLOT_BYTES);
	CHECK_INT(close(fd), 0);
	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	CHECK(tape_reader_info(reader)->finished);
	CHECK_STR(tape_reader_meta(reader, "guest"), "second");
	CHECK_INT(tape_reader_problems(reader, &problems), 1);
	CHECK_INT(problems[0].offset, SLOT_BYTES);
	/* The records that are missing are named, for each vCPU, and the end's counts do not fit. */
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 1 + NR_VCPUS + 1);
	tape_reader_close(reader);
	remove(path);
}

static void test_plans(void)
{
	uint8_t plan[sizeof(struct plan_header) + 8] = {0};
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct tape_reader *reader;
	struct tape_chunk *chunk;
	const void *got;
	size_t size_bytes;

	put_le32(plan, PLAN_MAGIC);
	put_le32(plan + offsetof(struct plan_header, size_bytes), sizeof(plan));
	CHECK_INT(tape_chunk_encode_plan(&chunk, plan, sizeof(plan) - 1, NULL), -EINVAL);
	for (uint32_t id = 40; id < 43; id++) {
		put_le32(plan + offsetof(struct plan_header, plan_id), id);
		CHECK_INT(tape_chunk_encode_plan(&chunk, plan, sizeof(plan), NULL), 0);
		CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
	}
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_info(reader)->nr_plans, 3);
	CHECK_INT(tape_reader_plan(reader, 41, &got, &size_bytes), 0);
	CHECK_INT(size_bytes, sizeof(plan));
	CHECK_INT(get_le32((const uint8_t *)got + offsetof(struct plan_header, plan_id)), 41);
	CHECK_INT(tape_reader_plan(reader, 44, &got, &size_bytes), -ENOENT);
	tape_reader_close(reader);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

int main(void)
{
	struct fixture_file file = {0};
	struct tape_reader *reader;

	write_tape(&file);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	check_info(reader);
	check_seeks(reader);
	tape_reader_close(reader);
	test_file(&file);
	test_hole(&file);
	test_plans();
	fixture_file_deinit(&file);
	return 0;
}
