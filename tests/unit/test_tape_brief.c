/* SPDX-License-Identifier: MIT */
/*
 * test_tape_brief.c - briefs of chunks: what they say of records made by hand,
 * that a tape gives them back, also one that grows, that verify tells one that
 * lies, and that hostile ones do no harm. With an argument, writes a tape for
 * tape_decode.py; with a second one, a small tape of two vCPUs.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "tape_fixture.h"
#include "tape_read.h"

#define SLOT_BYTES (4u << 20)
#define TASK_A     0xffff888000001000ull
#define TASK_B     0xffff888000002000ull
#define REGS_ENTER (1u << TRAP_REG_RAX | 1u << TRAP_REG_CR3 | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID)
#define REGS_EXIT  (1u << TRAP_REG_RAX | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID | 1u << TRAP_REG_NR)

struct made {
	uint8_t type, abi;
	uint32_t mask;
	uint64_t nr, task, id;
	const char *comm;
};

static uint64_t next_seq, next_tsc;
static uint16_t made_vcpu = 3;

static void put(struct byte_buffer *out, const struct made *m)
{
	const uint64_t regs[TRAP_REGS] = {[TRAP_REG_RAX] = m->type == TRAP_ENTER ? m->nr : 7,
					  [TRAP_REG_CR3] = 0x5000,
					  [TRAP_REG_TASK] = m->task,
					  [TRAP_REG_TASK_ID] = m->id,
					  [TRAP_REG_NR] = m->nr};
	size_t text_bytes = m->comm ? (strlen(m->comm) + 7) & ~(size_t)7 : 0;
	struct trap_record head = {.type = m->type, .abi = m->abi, .reg_mask = m->mask, .vcpu = made_vcpu};
	struct trap_fragment fragment = {.gva = 9};

	head.size_bytes = (uint32_t)(sizeof(head) + 8 * (size_t)__builtin_popcount(m->mask) +
				     (m->comm ? sizeof(fragment) + text_bytes : 0));
	head.nr_fragments = m->comm != NULL;
	head.seq = next_seq++;
	head.tsc = next_tsc += 10;
	byte_buffer_add(out, &head, sizeof(head));
	for (unsigned reg = 0; reg < TRAP_REGS; reg++)
		if (m->mask >> reg & 1)
			byte_buffer_add_u64(out, regs[reg]);
	if (m->comm) {
		char text[128] = {0};

		memcpy(text, m->comm, strlen(m->comm));
		fragment.len_bytes = (uint16_t)strlen(m->comm);
		byte_buffer_add(out, &fragment, sizeof(fragment));
		byte_buffer_add(out, text, text_bytes);
	}
	CHECK(!out->bad);
}

static struct tape_brief brief_of(const struct made *list, size_t count)
{
	struct byte_buffer records = {0};
	struct tape_brief brief;

	for (size_t i = 0; i < count; i++)
		put(&records, &list[i]);
	CHECK_INT(tape_brief_make(&brief, records.data, records.size_bytes), 0);
	byte_buffer_deinit(&records);
	return brief;
}

#define BRIEF_OF(...) \
	brief_of((const struct made[]){__VA_ARGS__}, sizeof((const struct made[]){__VA_ARGS__}) / sizeof(struct made))
#define ENTER(number, who, name)                                                                          \
	{                                                                                                 \
		.type = TRAP_ENTER, .mask = REGS_ENTER, .nr = (number), .task = (who), .id = (name), NULL \
	}
#define EXIT(number, who, name)                                                                         \
	{                                                                                               \
		.type = TRAP_EXIT, .mask = REGS_EXIT, .nr = (number), .task = (who), .id = (name), NULL \
	}
#define IDENTITY(who, name, text)                                                                            \
	{                                                                                                    \
		.type = TRAP_IDENTITY, .mask = REGS_ENTER & ~1u, .task = (who), .id = (name), .comm = (text) \
	}

static void check(struct tape_brief brief, uint8_t flags, uint32_t nr_rows, uint32_t nr_nrs, const uint32_t *nrs)
{
	CHECK_INT(brief.flags, flags);
	CHECK_INT(brief.nr_rows, nr_rows);
	CHECK_INT(brief.nrs.size_bytes, 4 * nr_nrs);
	for (uint32_t i = 0; i < nr_nrs; i++)
		CHECK_INT(get_le32(brief.nrs.data + 4 * (size_t)i), nrs[i]);
	tape_brief_deinit(&brief);
}

static void test_contents(void)
{
	/* Calls in rising order, by ABI; x32's bit is not part of a number. A row when a task comes first. */
	check(BRIEF_OF(ENTER(9, TASK_A, 1), EXIT(9, TASK_A, 1), ENTER(3, TASK_A, 1), ENTER(3, TASK_B, 2)),
	      TAPE_BRIEF_KNOWN, 2, 2, (const uint32_t[]){3, 9});
	check(BRIEF_OF({TRAP_ENTER, TRAP_ABI_X32, REGS_ENTER, 1u << 30 | 5, TASK_A, 1, NULL},
		       {TRAP_ENTER, TRAP_ABI_I386, REGS_ENTER, 5, TASK_A, 1, NULL}),
	      TAPE_BRIEF_KNOWN, 1, 2, (const uint32_t[]){1u << 28 | 5, 2u << 28 | 5});
	/* What identity records say again is left out; what is new, and what was so before, is not. */
	check(BRIEF_OF(IDENTITY(TASK_A, 1, "cat"), ENTER(0, TASK_A, 1), IDENTITY(TASK_B, 2, "cat"),
		       IDENTITY(TASK_A, 1, "cat"), IDENTITY(TASK_A, 1, "dog"), IDENTITY(TASK_A, 1, "cat")),
	      TAPE_BRIEF_KNOWN, 4, 1, (const uint32_t[]){0});
	/* The word of a task that another one has now. */
	check(BRIEF_OF(ENTER(0, TASK_A, 1), ENTER(0, TASK_A, 2), EXIT(0, TASK_A, 2), ENTER(0, TASK_A, 1)),
	      TAPE_BRIEF_KNOWN, 3, 1, (const uint32_t[]){0});
	/* Who it is was not told yet, though it ran. */
	check(BRIEF_OF(ENTER(0, TASK_A, 1), IDENTITY(TASK_A, 1, "cat"), IDENTITY(TASK_A, 1, "cat")), TAPE_BRIEF_KNOWN,
	      2, 1, (const uint32_t[]){0});
	check(BRIEF_OF({TRAP_EXIT, 0, REGS_EXIT & ~(1u << TRAP_REG_NR), 0, TASK_A, 1, NULL}),
	      TAPE_BRIEF_KNOWN | TAPE_BRIEF_UNNUMBERED, 1, 0, NULL);
	check(BRIEF_OF({TRAP_ENTER, 0, REGS_ENTER & ~(1u << TRAP_REG_TASK), 4, 0, 1, NULL}, ENTER(4, 0, 1)),
	      TAPE_BRIEF_KNOWN | TAPE_BRIEF_NAMELESS, 0, 1, (const uint32_t[]){4});
	/* Of these nothing is said. */
	check(BRIEF_OF(ENTER(1024, TASK_A, 1)), 0, 0, 0, NULL);
	check(BRIEF_OF(ENTER(~0ull, TASK_A, 1)), 0, 0, 0, NULL);
	check(BRIEF_OF({TRAP_TYPES, 0, REGS_ENTER, 0, TASK_A, 1, NULL}), 0, 0, 0, NULL);
	check(BRIEF_OF({TRAP_ENTER, TRAP_ABIS, REGS_ENTER, 0, TASK_A, 1, NULL}), 0, 0, 0, NULL);
}

static void test_limits(void)
{
	for (unsigned nr = TAPE_BRIEF_ROWS - 1; nr <= TAPE_BRIEF_ROWS + 1; nr++) {
		struct made *list = calloc(nr, sizeof(*list));
		struct tape_brief brief;

		CHECK(list);
		for (unsigned i = 0; i < nr; i++)
			list[i] = (struct made)ENTER(1, TASK_A + i * 64, i + 1);
		brief = brief_of(list, nr);
		CHECK_INT(brief.flags, nr <= TAPE_BRIEF_ROWS ? TAPE_BRIEF_KNOWN : 0);
		tape_brief_deinit(&brief);
		free(list);
	}
}

/* ---- a section by hand ----------------------------------------------- */

/* One chunk's brief, of this one text so many times. */
static int decode_made(const char *comm, unsigned nr_rows, size_t odd_at)
{
	struct tape_brief brief = BRIEF_OF(IDENTITY(TASK_A, 1, comm));
	struct byte_buffer section = {0};
	struct tape_briefs_view view;
	const char *why = NULL;
	size_t at;
	int result;

	CHECK_INT(brief.nr_rows, 1);
	byte_buffer_add_varint(&section, 1);
	at = section.size_bytes;
	byte_buffer_add(&section, brief.rows.data, brief.rows.size_bytes);
	memset(section.data + at + offsetof(struct trap_record, vcpu), 0, 2);
	memset(section.data + at + offsetof(struct trap_record, tsc), 0, 8);
	if (odd_at)
		section.data[at + odd_at] = 1;
	byte_buffer_add_u8(&section, TAPE_BRIEF_KNOWN);
	byte_buffer_add_varint(&section, 0);
	byte_buffer_add_varint(&section, nr_rows);
	for (unsigned i = 0; i < nr_rows; i++) {
		byte_buffer_add_varint(&section, 0);
		byte_buffer_add_varint(&section, 2);
	}
	CHECK(!section.bad);
	result = tape_briefs_decode(&view, section.data, section.size_bytes, 1, &why);
	CHECK(result == 0 || (result == -EBADMSG && why));
	tape_briefs_view_deinit(&view);
	tape_brief_deinit(&brief);
	byte_buffer_deinit(&section);
	return result;
}

static void test_made(void)
{
	static const size_t zeros[] = {offsetof(struct trap_record, abi),   offsetof(struct trap_record, via),
				       offsetof(struct trap_record, flags), offsetof(struct trap_record, vcpu),
				       offsetof(struct trap_record, seq),   offsetof(struct trap_record, tsc)};
	char comm[73];

	/* 128 bytes a row, 256 of them; then 136. */
	memset(comm, 'c', sizeof(comm));
	comm[64] = 0;
	CHECK_INT(decode_made(comm, TAPE_BRIEF_ROWS, 0), 0);
	comm[64] = 'c';
	comm[72] = 0;
	CHECK_INT(decode_made(comm, 240, 0), 0);
	CHECK_INT(decode_made(comm, 241, 0), -EBADMSG);
	for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		CHECK_INT(decode_made("cat", 1, zeros[i]), -EBADMSG);
}

/* ---- on a tape ------------------------------------------------------- */

static void write_tape(struct fixture_file *file)
{
	static const char *const comms[] = {"cat", "dog", "sh"};
	struct tape_totals totals = {0};
	struct tape_writer *writer = fixture_writer(file, SLOT_BYTES);
	uint64_t state = 5;

	next_seq = next_tsc = 0;
	for (unsigned chunk = 0; chunk < 60; chunk++) {
		struct byte_buffer records = {0};

		for (unsigned i = 0; i < 200; i++) {
			uint64_t which = fixture_random(&state) % 12, nr = fixture_random(&state) % 30 * (chunk % 5);
			const char *comm = comms[fixture_random(&state) % 3];
			struct made made = which % 3 == 0   ? (struct made)IDENTITY(TASK_A + which * 64, which, comm)
					   : which % 3 == 1 ? (struct made)ENTER(nr, TASK_A + which * 64, which)
							    : (struct made)EXIT(nr, TASK_A + which * 64, which);

			put(&records, &made);
		}
		fixture_append_traps(writer, 3, &records);
		byte_buffer_deinit(&records);
	}
	totals.records = next_seq;
	CHECK_INT(tape_writer_finish(writer, "made", &totals, NULL), 0);
	tape_writer_destroy(writer);
}

static void check_one(void *ctx, const struct tape_chunk_brief *found)
{
	struct tape_reader *reader = ctx;
	struct tape_scratch raw = {0};
	struct tape_brief brief;

	CHECK(found->known && found->vcpu == 3);
	CHECK_INT(tape_load(reader, &reader->chunks[found->number], &raw), 0);
	CHECK_INT(tape_brief_make(&brief, raw.data, reader->chunks[found->number].header.raw_bytes), 0);
	CHECK_INT(brief.nrs.size_bytes, 4 * found->nr_nrs);
	CHECK_INT(brief.rows.size_bytes, found->rows_bytes);
	CHECK(!memcmp(brief.nrs.data, found->nrs, brief.nrs.size_bytes));
	CHECK(!memcmp(brief.rows.data, found->rows, brief.rows.size_bytes));
	tape_brief_deinit(&brief);
	free(raw.data);
}

static void count_unknown(void *ctx, const struct tape_chunk_brief *found)
{
	CHECK(!found->known);
	++*(unsigned *)ctx;
}

static void count_problem(void *ctx, uint64_t offset, const char *message)
{
	(void)offset;
	*(uint64_t *)ctx += strstr(message, "brief of it is not that of its chunk's records") != NULL;
}

static uint64_t lies(const struct fixture_file *file)
{
	struct tape_reader *reader;
	uint64_t told = 0;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	tape_reader_verify(reader, count_problem, &told);
	tape_reader_close(reader);
	return told;
}

static uint64_t index_at(const struct fixture_file *file, struct tape_chunk_header *header)
{
	struct tape_reader *reader;
	uint64_t offset;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	CHECK(reader->slots[0].index_chunk != SIZE_MAX);
	*header = reader->chunks[reader->slots[0].index_chunk].header;
	offset = reader->chunks[reader->slots[0].index_chunk].offset;
	tape_reader_close(reader);
	return offset;
}

/* A number of a call, the last row's time: the index says otherwise than the records, and every checksum fits. */
static void test_forged(struct fixture_file *file)
{
	struct tape_chunk_header header;
	uint64_t offset = index_at(file, &header);
	uint8_t *payload = file->bytes + offset + TAPE_CHUNK_HEADER_BYTES;
	uint8_t *last = payload + header.stored_bytes - 1;

	CHECK_INT(lies(file), 0);
	*last ^= 2;
	header.payload_hash = tape_hash(payload, header.stored_bytes);
	tape_put_chunk_header(file->bytes + offset, &header);
	CHECK_INT(lies(file), 1);
	*last ^= 2;
	header.payload_hash = tape_hash(payload, header.stored_bytes);
	tape_put_chunk_header(file->bytes + offset, &header);
	CHECK_INT(lies(file), 0);
}

static void test_hostile(const struct fixture_file *file)
{
	struct tape_chunk_header header;
	uint64_t offset = index_at(file, &header), state = 9;
	struct tape_brief brief = {0};
	struct tape_index index;
	const char *why = NULL;
	unsigned good = 0;
	uint8_t *section;

	CHECK_INT(tape_index_decode(&index, file->bytes + offset + TAPE_CHUNK_HEADER_BYTES, header.stored_bytes,
				    SLOT_BYTES, &why),
		  0);
	section = malloc(index.briefs_bytes);
	CHECK(section && index.briefs_at);
	for (unsigned round = 0; round < 20000; round++) {
		size_t size_bytes = round % 3 ? index.briefs_bytes : fixture_random(&state) % index.briefs_bytes;
		struct tape_briefs_view view;
		int result;

		memcpy(section, index.briefs_at, index.briefs_bytes);
		for (unsigned i = 0; i < 1 + round % 3; i++)
			section[fixture_random(&state) % index.briefs_bytes] = (uint8_t)fixture_random(&state);
		result = tape_briefs_decode(&view, section, size_bytes, 60, &why);
		CHECK(result == 0 || (result == -EBADMSG && why));
		for (uint32_t i = 0; !result && i < view.nr_briefs; i++)
			CHECK_INT(tape_brief_get(&view, i, 1, 2, &brief), 0);
		good += !result;
		tape_briefs_view_deinit(&view);
	}
	CHECK(good > 100 && good < 19000);
	tape_brief_deinit(&brief);
	free(section);
	tape_index_deinit(&index);
}

/* An index that is not there yet, then is. */
static void test_growing(const struct fixture_file *file)
{
	struct tape_reader *reader;
	size_t nr_chunks, nr_before;
	unsigned count = 0;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes / 2, NULL), 0);
	CHECK_INT(tape_reader_briefs(reader, count_unknown, &count, &nr_before, NULL), 0);
	CHECK(count > 10 && count < 60);
	reader->source.size_bytes = file->size_bytes;
	CHECK_INT(tape_reader_refresh(reader, NULL), 1);
	CHECK_INT(tape_reader_briefs(reader, check_one, reader, &nr_chunks, NULL), 0);
	CHECK(nr_chunks > nr_before);
	tape_reader_close(reader);
}

/* ---- chunks that are skipped ----------------------------------------- */

/* Two vCPUs, whose chunks begin at different times. */
static void write_two(struct fixture_file *file)
{
	struct tape_writer *writer = fixture_writer(file, SLOT_BYTES);
	struct tape_totals totals = {0};
	uint64_t seqs[2] = {0}, tscs[2] = {0, 5};

	for (unsigned i = 0; i < 20; i++) {
		struct byte_buffer records = {0};

		made_vcpu = i & 1;
		next_seq = seqs[made_vcpu];
		next_tsc = tscs[made_vcpu];
		for (unsigned n = 0; n < (made_vcpu ? 20 : 30); n++) {
			struct made made = IDENTITY(TASK_A + n % 25 * 64, n, "cat");

			put(&records, &made);
		}
		seqs[made_vcpu] = next_seq;
		tscs[made_vcpu] = next_tsc;
		fixture_append_traps(writer, made_vcpu, &records);
		byte_buffer_deinit(&records);
	}
	made_vcpu = 3;
	totals.records = seqs[0] + seqs[1];
	CHECK_INT(tape_writer_finish(writer, "made", &totals, NULL), 0);
	tape_writer_destroy(writer);
}

static bool is_of_first(void *ctx, size_t number)
{
	const struct tape_reader *reader = ctx;

	return reader->chunks[number].header.vcpu == 0;
}

static bool is_any(void *ctx, size_t number)
{
	(void)ctx;
	(void)number;
	return true;
}

static bool skip_it(void *ctx, const struct tape_chunk_brief *brief)
{
	(void)ctx;
	CHECK(brief->known);
	return true;
}

/* Skipped lanes are evicted, too; their index can't be had any more after so many records. */
static void check_skipped(const struct fixture_file *file, bool (*may)(void *ctx, size_t number), unsigned damage_after)
{
	struct tape_chunk_header header;
	uint8_t *index = file->bytes + index_at(file, &header) + TAPE_CHUNK_HEADER_BYTES;
	const struct tape_problem *problems;
	uint64_t count = 0, last_tsc = 0;
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	size_t nr_problems;
	int result;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	tape_cursor_skip(cursor, &(struct tape_skipper){may, skip_it, reader});
	tape_cursor_limit(cursor, 1);
	while ((result = tape_cursor_next(cursor, &view, NULL)) == 1) {
		CHECK(view.header.tsc >= last_tsc);
		last_tsc = view.header.tsc;
		if (++count != damage_after)
			continue;
		*index ^= 1;
		tape_brief_cache_destroy(reader->briefs);
		reader->briefs = NULL;
	}
	CHECK_INT(result, 0);
	nr_problems = tape_reader_problems(reader, &problems);
	for (size_t i = 0; i < nr_problems; i++)
		CHECK(!strstr(problems[i].message, "no record at byte"));
	if (damage_after) {
		CHECK(count > damage_after && count < 500);
		*index ^= 1;
	} else
		CHECK_INT(count, 500);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

static void write_out(const struct fixture_file *file, const char *path)
{
	FILE *out = fopen(path, "wb");

	CHECK(out && fwrite(file->bytes, 1, file->size_bytes, out) == file->size_bytes && !fclose(out));
}

static void test_skipped(void)
{
	struct fixture_file file = {0};

	write_two(&file);
	check_skipped(&file, is_of_first, 0);
	check_skipped(&file, is_any, 0);
	for (unsigned after = 100; after < 200; after += 7) {
		check_skipped(&file, is_of_first, after);
		check_skipped(&file, is_any, after);
	}
	fixture_file_deinit(&file);
}

static void test_tape(void)
{
	struct fixture_file file = {0};
	struct tape_reader *reader;
	size_t nr_chunks;

	write_tape(&file);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_briefs(reader, check_one, reader, &nr_chunks, NULL), 0);
	CHECK(nr_chunks >= 60);
	tape_reader_close(reader);
	test_growing(&file);
	test_forged(&file);
	test_hostile(&file);
	fixture_file_deinit(&file);
}

int main(int argc, char **argv)
{
	struct fixture_file file = {0};

	if (argc > 1) {
		if (argc > 2)
			write_two(&file);
		else
			write_tape(&file);
		write_out(&file, argv[1]);
		fixture_file_deinit(&file);
		return 0;
	}
	test_contents();
	test_limits();
	test_made();
	test_tape();
	test_skipped();
	return 0;
}
