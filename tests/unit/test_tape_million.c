/* SPDX-License-Identifier: MIT */
/*
 * test_tape_million.c - a million records of four vCPUs, with gaps, through a
 * tape of full-size slots and back, all compared. Prints compression and CPU
 * time, and checks neither.
 */
#include <time.h>

#include "check.h"
#include "tape_fixture.h"

#define NR_VCPUS    4u
#define NR_RECORDS  250000u /* a vCPU, gap records included */
#define CHUNK_BYTES (1u << 20)

struct stream {
	uint16_t vcpu;
	uint64_t state;
	uint64_t seq, tsc;
	uint64_t made;
	struct fixture_call open; /* call that its exit will end */
	bool in_call;
};

static const char *const paths[] = {"/usr/bin/gcc",        "/lib/x86_64-linux-gnu/libc.so.6",
				    "/etc/ld.so.cache",    "/home/user/project/src/main.c",
				    "/proc/self/status",   "/tmp/cc8xPq2f.s",
				    "/usr/include/stdio.h"};

static void stream_init(struct stream *stream, uint16_t vcpu)
{
	*stream = (struct stream){.vcpu = vcpu, .state = vcpu + 1, .tsc = 1000000 + vcpu * 17};
}

/* Next record of the stream, appended: a few calls are most of the traffic, processes change now and then. */
static void stream_next(struct stream *stream, struct byte_buffer *out)
{
	static const uint16_t numbers[] = {0, 0, 0, 1, 1, 1, 3, 5, 9, 257, 257, 262, 202, 39, 217, 61};
	uint64_t random = fixture_random(&stream->state);

	stream->made++;
	stream->tsc += 300 + random % 5000;
	if (stream->made % 60000 == 0) {
		const struct trap_gap gap = {123, stream->seq, stream->tsc - 200, stream->tsc - 100};

		stream->seq += gap.lost_records;
		fixture_add_gap(out, stream->vcpu, stream->seq++, stream->tsc, &gap);
		return;
	}
	if (stream->in_call) {
		stream->open.type = TRAP_EXIT;
		stream->open.text = NULL;
	} else {
		uint64_t process = (random >> 20) % 100 < 98 && stream->made > 1
					   ? stream->open.cr3
					   : 0x10000000 + (random >> 30) % 40 * 0x3000;

		stream->open = (struct fixture_call){
			.type = TRAP_ENTER, .vcpu = stream->vcpu, .nr = numbers[random >> 8 & 15], .cr3 = process};
		if (stream->open.nr == 257 || stream->open.nr == 262)
			stream->open.text = paths[(random >> 40) % 7];
	}
	stream->open.seq = stream->seq++;
	stream->open.tsc = stream->tsc;
	fixture_add_call(out, &stream->open);
	stream->in_call = !stream->in_call;
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double append(struct tape_writer *writer, uint16_t vcpu, struct byte_buffer *records)
{
	struct tape_chunk *chunk;
	double from_ns = cpu_ns();

	CHECK_INT(tape_chunk_encode_traps(&chunk, vcpu, records->data, records->size_bytes, 1, NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
	records->size_bytes = 0;
	return cpu_ns() - from_ns;
}

static void write_tape(struct fixture_file *file)
{
	struct tape_writer *writer = fixture_writer(file, 1u << 20);
	const struct tape_totals totals = {NR_VCPUS * NR_RECORDS, 0, 0};
	struct byte_buffer records[NR_VCPUS] = {0};
	struct stream streams[NR_VCPUS];
	double ns = 0;

	for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++)
		stream_init(&streams[vcpu], vcpu);
	for (uint64_t i = 0; i < NR_RECORDS; i++)
		for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
			if (records[vcpu].size_bytes > CHUNK_BYTES - TRAP_RECORD_MAX_BYTES)
				ns += append(writer, vcpu, &records[vcpu]);
			stream_next(&streams[vcpu], &records[vcpu]);
		}
	for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
		ns += append(writer, vcpu, &records[vcpu]);
		byte_buffer_deinit(&records[vcpu]);
	}
	CHECK_INT(tape_writer_finish(writer, "done", &totals, NULL), 0);
	tape_writer_destroy(writer);
	printf("encode and append: %.1f ns a record\n", ns / (NR_VCPUS * NR_RECORDS));
}

static void compare(struct tape_reader *reader)
{
	struct byte_buffer expected = {0};
	struct stream streams[NR_VCPUS];
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t last_tsc = 0, count = 0;

	for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++)
		stream_init(&streams[vcpu], vcpu);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1) {
		CHECK(view.header.vcpu < NR_VCPUS);
		CHECK(view.header.tsc >= last_tsc);
		last_tsc = view.header.tsc;
		expected.size_bytes = 0;
		stream_next(&streams[view.header.vcpu], &expected);
		CHECK_INT(view.header.size_bytes, expected.size_bytes);
		CHECK(!memcmp(view.raw, expected.data, expected.size_bytes));
		count++;
	}
	CHECK_INT(count, NR_VCPUS * NR_RECORDS);
	tape_cursor_destroy(cursor);
	byte_buffer_deinit(&expected);
}

static void measure(struct tape_reader *reader)
{
	const struct tape_info *info = tape_reader_info(reader);
	struct tape_cursor *cursor;
	struct trap_view view;
	double ns = cpu_ns();
	uint64_t sum = 0;

	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1)
		sum += view.regs[TRAP_REG_RAX] + view.header.tsc;
	CHECK(sum);
	tape_cursor_destroy(cursor);
	printf("cursor: %.1f ns a record\n", (cpu_ns() - ns) / (double)info->nr_records);
	printf("%.1f bytes a record raw, %.2f stored: %.1f to 1\n",
	       (double)info->traps_raw_bytes / (double)info->nr_records,
	       (double)info->traps_stored_bytes / (double)info->nr_records,
	       (double)info->traps_raw_bytes / (double)info->traps_stored_bytes);
}

int main(void)
{
	struct fixture_report report = {.loud = true};
	struct fixture_file file = {0};
	struct tape_reader *reader;

	write_tape(&file);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_info(reader)->nr_records, NR_VCPUS * NR_RECORDS);
	CHECK(tape_reader_info(reader)->nr_slots > 1);
	measure(reader);
	compare(reader);
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	tape_reader_close(reader);
	fixture_file_deinit(&file);
	return 0;
}
