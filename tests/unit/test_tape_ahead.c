/* SPDX-License-Identifier: MIT */
/*
 * test_tape_ahead.c - a cursor that has chunks loaded ahead gives what one gives
 * that has not: the same records in the same order, the same problems, on tapes
 * that are whole and damaged, from any time, up to any, with little memory, and
 * when it ends in the middle.
 */
#include <errno.h>

#include "check.h"
#include "tape_ahead.h"
#include "tape_fixture.h"

#define NR_VCPUS   3u
#define SLOT_BYTES (64u << 10)

static uint64_t state = 1;

static uint64_t below(uint64_t limit)
{
	return fixture_random(&state) % limit;
}

/* Chunks of different lengths; some begin before the one before them has ended. */
static void make_tape(struct fixture_file *file)
{
	struct tape_writer *writer = fixture_writer(file, SLOT_BYTES);
	struct tape_totals totals = {0};
	uint64_t seqs[NR_VCPUS] = {0}, tscs[NR_VCPUS] = {0};

	for (unsigned i = 0; i < 200; i++) {
		struct byte_buffer records = {0};
		struct fixture_call call = {.vcpu = (uint16_t)below(NR_VCPUS), .cr3 = 0x1000};
		unsigned count = 1 + (unsigned)below(200);

		for (unsigned n = 0; n < count; n++) {
			call.type = n & 1 ? TRAP_EXIT : TRAP_ENTER;
			call.seq = seqs[call.vcpu]++;
			call.tsc = tscs[call.vcpu] += below(50);
			call.nr = below(4);
			call.text = below(3) ? NULL : "/etc/passwd";
			fixture_add_call(&records, &call);
		}
		/* Now and then one that is of no known type, so that each record of the chunk is checked. */
		if (!below(8))
			records.data[offsetof(struct trap_record, type)] = TRAP_TYPES;
		totals.records += count;
		fixture_append_traps(writer, call.vcpu, &records);
		byte_buffer_deinit(&records);
	}
	CHECK_INT(tape_writer_finish(writer, "done", &totals, NULL), 0);
	tape_writer_destroy(writer);
}

/* What a reader has given, in one number, and how much of it. */
struct account {
	uint64_t hash, count, problems;
};

static void add(struct account *account, const void *bytes, size_t size_bytes)
{
	account->hash = account->hash * 31 + tape_hash(bytes, size_bytes);
}

struct way {
	unsigned nr_threads;
	uint64_t from, until, limit_bytes;
	uint64_t at_most; /* records, before it goes back to from; 0: it never does */
};

static struct account read_all(const struct fixture_file *file, const struct way *way)
{
	struct account account = {0};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	const struct tape_problem *problems;
	uint64_t left = way->at_most;
	int result;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	CHECK_INT(tape_cursor_read_ahead(cursor, way->nr_threads, NULL), 0);
	if (way->limit_bytes)
		tape_cursor_limit(cursor, way->limit_bytes);
	if (way->until)
		tape_cursor_until(cursor, way->until);
	CHECK_INT(tape_cursor_seek(cursor, way->from, NULL), 0);
	while ((result = tape_cursor_next(cursor, &view, NULL)) == 1) {
		add(&account, view.raw, view.header.size_bytes);
		add(&account, view.regs, sizeof(view.regs));
		account.count++;
		if (left && !--left)
			CHECK_INT(tape_cursor_seek(cursor, way->from, NULL), 0);
	}
	CHECK_INT(result, 0);
	account.problems = tape_reader_problems(reader, &problems);
	for (size_t i = 0; i < account.problems; i++)
		add(&account, problems[i].message, strlen(problems[i].message));
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	return account;
}

static struct account compare(const struct fixture_file *file, struct way way)
{
	struct account alone, helped;

	way.nr_threads = 0;
	alone = read_all(file, &way);
	for (unsigned i = 0; i < 2; i++) {
		static const unsigned numbers[] = {1, 3};

		way.nr_threads = numbers[i];
		helped = read_all(file, &way);
		CHECK_INT(helped.count, alone.count);
		CHECK_INT(helped.problems, alone.problems);
		CHECK(helped.hash == alone.hash);
	}
	return alone;
}

static void test_whole(const struct fixture_file *file)
{
	struct account all = compare(file, (struct way){0}), other;

	CHECK(all.count > 10000);
	CHECK(all.problems > 5);
	other = compare(file, (struct way){.from = 40000});
	CHECK(other.count && other.count < all.count);
	other = compare(file, (struct way){.from = 20000, .until = 50000});
	CHECK(other.count && other.count < all.count);
	other = compare(file, (struct way){.limit_bytes = 1});
	CHECK_INT(other.count, all.count);
	other = compare(file, (struct way){.from = 50000, .at_most = 3000});
	CHECK(other.count > 3000);
}

/* Bytes anywhere: of headers, payloads, indexes. */
static void test_damaged(const struct fixture_file *truth)
{
	struct fixture_file file = {.bytes = malloc(truth->size_bytes), .size_bytes = truth->size_bytes};
	uint64_t lost = 0, all = read_all(truth, &(struct way){0}).count;

	CHECK(file.bytes);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(file.bytes, truth->bytes, file.size_bytes);
		for (unsigned n = 0; n < 8; n++)
			file.bytes[TAPE_PAGE_BYTES + below(file.size_bytes - TAPE_PAGE_BYTES)] ^=
				(uint8_t)(1 + below(255));
		lost += all - compare(&file, (struct way){0}).count;
	}
	CHECK(lost > 100);
	free(file.bytes);
}

/* It is left in the middle, while threads work; and told another number then. */
static void test_in_the_middle(const struct fixture_file *file)
{
	for (unsigned i = 0; i < 16; i++) {
		struct tape_reader *reader;
		struct tape_cursor *cursor;
		struct trap_view view;
		uint64_t count, wanted = below(5000);

		CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
		CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
		CHECK_INT(tape_cursor_read_ahead(cursor, 1 + i % 4, NULL), 0);
		for (count = 0; count < wanted; count++)
			CHECK_INT(tape_cursor_next(cursor, &view, NULL), 1);
		if (i & 1) {
			CHECK_INT(tape_cursor_read_ahead(cursor, i % 3, NULL), 0);
			while (tape_cursor_next(cursor, &view, NULL) == 1)
				count++;
			CHECK_INT(count, read_all(file, &(struct way){0}).count);
		}
		tape_cursor_destroy(cursor);
		tape_reader_close(reader);
	}
}

static void test_numbers(const struct fixture_file *file)
{
	struct tape_error error = {0};
	struct tape_ahead *ahead;
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;

	CHECK_INT(tape_ahead_create(&ahead, 0), -EINVAL);
	CHECK_INT(tape_ahead_create(&ahead, TAPE_AHEAD_MAX + 1), -EINVAL);
	tape_ahead_destroy(NULL);
	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	CHECK_INT(tape_cursor_read_ahead(cursor, TAPE_AHEAD_MAX + 1, &error), -EINVAL);
	CHECK(strstr(error.message, "65 threads"));
	/* It goes on without. */
	CHECK_INT(tape_cursor_next(cursor, &view, NULL), 1);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

int main(void)
{
	struct fixture_file file = {0};

	make_tape(&file);
	test_whole(&file);
	test_damaged(&file);
	test_in_the_middle(&file);
	test_numbers(&file);
	fixture_file_deinit(&file);
	return 0;
}
