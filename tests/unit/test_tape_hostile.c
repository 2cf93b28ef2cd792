/* SPDX-License-Identifier: MIT */
/*
 * test_tape_hostile.c - tapes whose checksums are right and whose contents
 * lie: they are found out, and cost no more memory than they may.
 */
#include <errno.h>

#include "check.h"
#include "tape_fixture.h"
#include "tape_read.h"

#define SLOT_BYTES (64u << 10) /* all in one slot; */
#define SLOT_SMALL (16u << 10) /* in several, which readers open by their index */
#define NR_VCPUS   5u
#define NR_RECORDS 300u /* a vCPU */

struct found {
	uint64_t count;
	char first[256];
};

static void report(void *ctx, uint64_t offset, const char *message)
{
	struct found *found = ctx;

	if (!found->count++)
		snprintf(found->first, sizeof(found->first), "%s", message);
}

static void write_tape(struct fixture_file *file, uint32_t slot_bytes)
{
	struct tape_writer *writer = fixture_writer(file, slot_bytes);
	const struct tape_ram_range range = {0, 1 << 20};
	struct byte_buffer records = {0};
	struct tape_pages *pages;
	uint8_t page[TAPE_PAGE_BYTES];

	fixture_append_meta(writer, "guest=liar");
	for (uint16_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
		for (uint64_t seq = 0; seq < NR_RECORDS; seq++) {
			fixture_add_call(&records, &(struct fixture_call){.type = TRAP_ENTER,
									  .vcpu = vcpu,
									  .seq = seq,
									  .tsc = seq * 10 + vcpu,
									  .nr = seq % 7,
									  .cr3 = 0x1000});
			if (seq % 20 == 19)
				fixture_append_traps(writer, vcpu, &records);
		}
	}
	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	for (unsigned i = 0; i < 20; i++) {
		fixture_page(page, i % 4 ? 2 * i : 0);
		CHECK_INT(tape_pages_add(pages, i, page, NULL), 0);
	}
	CHECK_INT(tape_pages_commit(pages, &(struct tape_snapshot_info){.nr_ranges = 1, .ranges = &range, .base = true},
				    NULL),
		  0);
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){NR_VCPUS * NR_RECORDS, 0, 1}, NULL), 0);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
}

/* ---- lies ------------------------------------------------------------ */

static uint8_t *find_chunk(const struct fixture_file *file, uint16_t type, struct tape_chunk_header *header)
{
	for (size_t offset = 0; offset + TAPE_CHUNK_HEADER_BYTES <= file->size_bytes; offset += 8)
		if (tape_get_chunk_header(file->bytes + offset, header) && header->type == type)
			return file->bytes + offset;
	CHECK(!"no chunk of that type");
	return NULL;
}

/* A copy of the tape with another header and payload (same length) of one chunk, and right checksums. */
typedef void (*lie_fn)(struct tape_chunk_header *header, uint8_t *payload);

static struct found read_lie(const struct fixture_file *truth, uint16_t type, lie_fn lie)
{
	struct fixture_file file = {.bytes = malloc(truth->size_bytes), .size_bytes = truth->size_bytes};
	struct tape_chunk_header header;
	struct found found = {0};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	uint8_t *chunk, page[TAPE_PAGE_BYTES];
	uint32_t stored_bytes;

	CHECK(file.bytes);
	memcpy(file.bytes, truth->bytes, truth->size_bytes);
	chunk = find_chunk(&file, type, &header);
	stored_bytes = header.stored_bytes;
	lie(&header, chunk + TAPE_CHUNK_HEADER_BYTES);
	header.payload_hash = tape_hash(chunk + TAPE_CHUNK_HEADER_BYTES, stored_bytes);
	tape_put_chunk_header(chunk, &header);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1)
		CHECK(view.header.vcpu < NR_VCPUS);
	tape_cursor_destroy(cursor);
	for (uint64_t gfn = 0; gfn < 32; gfn++)
		tape_reader_page(reader, 0, gfn, page, NULL);
	tape_reader_verify(reader, report, &found);
	tape_reader_close(reader);
	free(file.bytes);
	return found;
}

static void no_lie(struct tape_chunk_header *header, uint8_t *payload)
{
}

static void other_vcpu(struct tape_chunk_header *header, uint8_t *payload)
{
	header->vcpu = 4000;
}

static void no_vcpu(struct tape_chunk_header *header, uint8_t *payload)
{
	header->vcpu = TAPE_NO_VCPU;
}

static void other_tsc(struct tape_chunk_header *header, uint8_t *payload)
{
	header->max_tsc += 1000;
}

static void more_records(struct tape_chunk_header *header, uint8_t *payload)
{
	header->nr_items++;
}

/* times 4096, as 32 bits, the length of one page */
static void pages_that_wrap(struct tape_chunk_header *header, uint8_t *payload)
{
	header->nr_items = 0x100001;
	header->raw_bytes = 4096;
	header->last_seq = header->first_seq + 0x100000;
}

static void more_raw_bytes(struct tape_chunk_header *header, uint8_t *payload)
{
	header->raw_bytes += 8;
}

static void fewer_raw_bytes(struct tape_chunk_header *header, uint8_t *payload)
{
	header->raw_bytes -= 8;
}

static void too_many_raw_bytes(struct tape_chunk_header *header, uint8_t *payload)
{
	header->raw_bytes = UINT32_MAX - 7;
}

static void unknown_layout(struct tape_chunk_header *header, uint8_t *payload)
{
	header->layout = 3;
}

static void layout_1(struct tape_chunk_header *header, uint8_t *payload)
{
	header->layout = TAPE_LAYOUT_1;
}

static void layout_2(struct tape_chunk_header *header, uint8_t *payload)
{
	header->layout = TAPE_LAYOUT_2;
}

static void fewer_rows_than_payload(struct tape_chunk_header *header, uint8_t *payload)
{
	header->raw_bytes = header->stored_bytes - 1;
	header->nr_items = 1;
}

static void unknown_layout_3(struct tape_chunk_header *header, uint8_t *payload)
{
	header->layout = 3;
}

/* As layout 2, the first range and registers are what it cost. */
static void layout_without_pauses(struct tape_chunk_header *header, uint8_t *payload)
{
	header->layout = 2;
}

static void unknown_codec(struct tape_chunk_header *header, uint8_t *payload)
{
	header->codec = 2;
}

static void packed(struct tape_chunk_header *header, uint8_t *payload)
{
	header->codec = TAPE_ZSTD;
}

static void wrong_number(struct tape_chunk_header *header, uint8_t *payload)
{
	header->number += 3;
}

static void wrong_seqs(struct tape_chunk_header *header, uint8_t *payload)
{
	header->first_seq += 1;
	header->last_seq += 1;
}

static void past_the_end(struct tape_chunk_header *header, uint8_t *payload)
{
	header->stored_bytes = UINT32_MAX;
}

/* Payload of an INDEX: 16 bytes, then entries of 56; sections behind. */
static uint8_t *section(const struct tape_chunk_header *header, uint8_t *payload, uint32_t kind)
{
	uint8_t *at = payload + TAPE_INDEX_HEAD_BYTES + TAPE_INDEX_ENTRY_BYTES * header->nr_items;

	while (get_le32(at) != kind)
		at += 8 + get_le32(at + 4);
	return at + 8;
}

static void other_nrs(struct tape_chunk_header *header, uint8_t *payload)
{
	uint8_t *set = section(header, payload, TAPE_SECTION_NRS);

	/* One run, 0 to 6, or an array: the last two bytes are of a member or a length. */
	set[get_le32(set - 4) - 2] ^= 1;
}

static void other_spaces(struct tape_chunk_header *header, uint8_t *payload)
{
	uint8_t *set = section(header, payload, TAPE_SECTION_SPACES);

	set[get_le32(set - 4) - 2] ^= 2;
}

static void broken_set(struct tape_chunk_header *header, uint8_t *payload)
{
	memset(section(header, payload, TAPE_SECTION_NRS), 0xff, 8);
}

static void other_entry(struct tape_chunk_header *header, uint8_t *payload)
{
	payload[TAPE_INDEX_HEAD_BYTES + 24] ^= 1;
}

static void too_many_entries(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le32(payload, 0x10000000);
}

static void too_many_parts(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le32(payload + 44, UINT32_MAX);
}

static void too_many_regs(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le32(payload + 68, 0x10000);
	put_le32(payload + 72, 0x10000);
}

static void other_page_count(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le64(payload + 48, 21);
}

static void other_ordinal(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le64(payload, 9);
}

static void no_such_page(struct tape_chunk_header *header, uint8_t *payload)
{
	/* First id of the last run. */
	payload[header->stored_bytes - 1] = 0x7e;
}

static void runs_without_end(struct tape_chunk_header *header, uint8_t *payload)
{
	payload[header->stored_bytes - 1] = 0xff;
}

static void more_runs(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le32(payload + 28, UINT32_MAX);
}

static void no_pages(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le32(payload + 20, 0);
}

static void huge_base(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le64(payload + 8, UINT64_MAX - 3);
}

static void no_key(struct tape_chunk_header *header, uint8_t *payload)
{
	payload[0] = '=';
}

static void short_end(struct tape_chunk_header *header, uint8_t *payload)
{
	put_le64(payload + 32, 1);
}

static void carried_lie(struct tape_chunk_header *header, uint8_t *payload)
{
	header->flags |= TAPE_F_CARRIED;
}

static void test_lies(const struct fixture_file *truth, bool check_messages)
{
	static const struct {
		uint16_t type;
		lie_fn lie;
		const char *message; /* part of the first problem; NULL: any */
	} lies[] = {
		{TAPE_CHUNK_TRAPS, other_vcpu, NULL},
		{TAPE_CHUNK_TRAPS, no_vcpu, "no vCPU"},
		{TAPE_CHUNK_TRAPS, carried_lie, "no vCPU"},
		{TAPE_CHUNK_TRAPS, other_tsc, "disagree"},
		{TAPE_CHUNK_TRAPS, more_records, "disagree"},
		{TAPE_CHUNK_TRAPS, more_raw_bytes, "does not give its records"},
		{TAPE_CHUNK_TRAPS, fewer_raw_bytes, "does not give its records"},
		{TAPE_CHUNK_TRAPS, fewer_rows_than_payload, "longer than its records"},
		{TAPE_CHUNK_TRAPS, too_many_raw_bytes, "larger than any"},
		{TAPE_CHUNK_TRAPS, unknown_layout, "layout"},
		{TAPE_CHUNK_TRAPS, layout_1, "decompress"},
		{TAPE_CHUNK_META, layout_2, "layout"},
		{TAPE_CHUNK_PAGES, layout_2, "page numbers"},
		{TAPE_CHUNK_SNAPSHOT, unknown_layout_3, "layout"},
		{TAPE_CHUNK_SNAPSHOT, layout_without_pauses, "pause"},
		{TAPE_CHUNK_TRAPS, unknown_codec, "codec"},
		{TAPE_CHUNK_TRAPS, wrong_number, "follows"},
		{TAPE_CHUNK_TRAPS, wrong_seqs, "disagree"},
		{TAPE_CHUNK_TRAPS, past_the_end, "damaged"},
		{TAPE_CHUNK_META, packed, "codec"},
		{TAPE_CHUNK_META, more_raw_bytes, "two lengths"},
		{TAPE_CHUNK_META, no_key, "key=value"},
		{TAPE_CHUNK_PAGES, more_records, "page numbers"},
		{TAPE_CHUNK_PAGES, pages_that_wrap, "page numbers"},
		{TAPE_CHUNK_PAGES, wrong_seqs, NULL},
		{TAPE_CHUNK_PAGES, too_many_raw_bytes, "larger than any"},
		{TAPE_CHUNK_SNAPSHOT, too_many_parts, NULL},
		{TAPE_CHUNK_SNAPSHOT, too_many_regs, "counts"},
		{TAPE_CHUNK_SNAPSHOT, other_page_count, "says 21 pages"},
		{TAPE_CHUNK_SNAPSHOT, other_ordinal, NULL},
		{TAPE_CHUNK_PAGE_MAP, other_ordinal, "otherwise"},
		{TAPE_CHUNK_PAGE_MAP, wrong_seqs, NULL},
		{TAPE_CHUNK_PAGE_MAP, no_such_page, NULL},
		{TAPE_CHUNK_PAGE_MAP, runs_without_end, "page ids"},
		{TAPE_CHUNK_PAGE_MAP, more_runs, "page ids"},
		{TAPE_CHUNK_PAGE_MAP, no_pages, "set of pages"},
		{TAPE_CHUNK_PAGE_MAP, huge_base, "lie behind"},
		{TAPE_CHUNK_INDEX, other_nrs, "system-call numbers"},
		{TAPE_CHUNK_INDEX, other_spaces, "address spaces"},
		{TAPE_CHUNK_INDEX, broken_set, "not valid"},
		{TAPE_CHUNK_INDEX, other_entry, "otherwise"},
		{TAPE_CHUNK_INDEX, too_many_entries, "counts"},
		{TAPE_CHUNK_END, short_end, "the end tells"},
	};

	CHECK_INT(read_lie(truth, TAPE_CHUNK_META, no_lie).count, 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct found found = read_lie(truth, lies[i].type, lies[i].lie);

		if (!found.count || (check_messages && lies[i].message && !strstr(found.first, lies[i].message))) {
			fprintf(stderr, "lie %zu: %" PRIu64 " found, the first \"%s\", expected \"%s\"\n", i,
				found.count, found.first, lies[i].message ? lies[i].message : "");
			exit(1);
		}
	}
}

/* ---- others ---------------------------------------------------------- */

/* The index of a slot knows calls whose number nobody saw, and all three ABIs. */
static void test_index_sets(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct byte_buffer records = {0};
	struct tape_chunk_header header;
	struct tape_index index;
	const char *why;
	uint8_t *chunk;

	fixture_add_call(&records, &(struct fixture_call){.type = TRAP_ENTER, .nr = 5, .cr3 = 1ull << 63 | 0x7123});
	fixture_add_call(&records, &(struct fixture_call){.type = TRAP_ENTER, .seq = 1, .nr = 0x40000009});
	records.data[records.size_bytes / 2 + offsetof(struct trap_record, abi)] = TRAP_ABI_X32;
	fixture_add_call(&records, &(struct fixture_call){.type = TRAP_EXIT, .seq = 2, .nr = 3000});
	fixture_append_traps(writer, 0, &records);
	fixture_add_call(&records, &(struct fixture_call){.type = TRAP_EXIT, .seq = 3, .nr = 77});
	/* Without its number: CR3 stands in the place of NR, and the mask says so. */
	put_le32(records.data + offsetof(struct trap_record, reg_mask),
		 1u << TRAP_REG_RAX | 1u << TRAP_REG_CR3 | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID |
			 1u << TRAP_REG_R8);
	fixture_append_traps(writer, 0, &records);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
	chunk = find_chunk(&file, TAPE_CHUNK_INDEX, &header);
	CHECK_INT(tape_index_decode(&index, chunk + TAPE_CHUNK_HEADER_BYTES, header.raw_bytes, SLOT_BYTES, &why), 0);
	CHECK_INT(index.nr_entries, 3);
	CHECK_INT(roaring_bitmap_get_cardinality(index.touched.nrs), 4);
	CHECK(roaring_bitmap_contains(index.touched.nrs, 5));
	CHECK(roaring_bitmap_contains(index.touched.nrs, 1u << 28 | 9));
	CHECK(roaring_bitmap_contains(index.touched.nrs, 3000));
	CHECK(roaring_bitmap_contains(index.touched.nrs, TAPE_NR_UNKNOWN));
	CHECK(roaring64_bitmap_contains(index.touched.spaces, 7));
	CHECK(!roaring64_bitmap_contains(index.touched.spaces, 8));
	tape_index_deinit(&index);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
	fixture_file_deinit(&file);
}

/* What is carried must be identity records, in order, on a ring tape; and it never counts as records. */
static void test_carried(void)
{
	static const struct {
		uint32_t nr_places;
		uint8_t type;
		bool backwards;
		const char *message; /* NULL: all is well */
	} cases[] = {
		{8, TRAP_IDENTITY, false, NULL},
		{8, TRAP_ENTER, false, "it is no identity record of a task"},
		{8, TRAP_IDENTITY, true, "it comes after a later one"},
		{0, TRAP_IDENTITY, false, "no ring"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fixture_file file = {0};
		struct tape_writer *writer = fixture_ring_writer(&file, SLOT_SMALL, cases[i].nr_places);
		struct byte_buffer records = {0};
		struct found found = {0};
		struct tape_reader *reader;
		struct tape_cursor *cursor;
		struct trap_view view;
		struct tape_chunk *chunk;

		for (uint64_t n = 0; n < 3; n++) {
			struct fixture_call call = {
				.type = TRAP_ENTER, .vcpu = (uint16_t)n, .seq = 7 * n, .cr3 = 0x2000 * n};
			size_t at = records.size_bytes;

			call.tsc = cases[i].backwards ? 100 - n : 100 + n;
			fixture_add_call(&records, &call);
			records.data[at + offsetof(struct trap_record, type)] = cases[i].type;
		}
		CHECK_INT(tape_chunk_encode_traps(&chunk, 0, records.data, records.size_bytes, 1, NULL), 0);
		chunk->header.vcpu = TAPE_NO_VCPU;
		chunk->header.flags = TAPE_F_CARRIED;
		chunk->header.first_seq = chunk->header.last_seq = 0;
		tape_touched_deinit(&chunk->touched);
		CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
		CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){0}, NULL), 0);
		CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
		CHECK_INT(tape_reader_info(reader)->nr_records, 0);
		CHECK_INT(tape_reader_info(reader)->nr_vcpus, 0);
		CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
		CHECK_INT(tape_cursor_next(cursor, &view, NULL), 0);
		tape_cursor_destroy(cursor);
		tape_reader_verify(reader, report, &found);
		CHECK_INT(!found.count, !cases[i].message);
		CHECK(!cases[i].message || strstr(found.first, cases[i].message));
		tape_reader_close(reader);
		tape_writer_destroy(writer);
		byte_buffer_deinit(&records);
		fixture_file_deinit(&file);
	}
}

/* With memory for one chunk only, five vCPUs come out all the same. */
static void test_little_memory(const struct fixture_file *truth)
{
	uint64_t next[NR_VCPUS] = {0}, last_tsc = 0, count = 0;
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;

	CHECK_INT(tape_reader_open_memory(&reader, truth->bytes, truth->size_bytes, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	tape_cursor_limit(cursor, 1);
	for (; tape_cursor_next(cursor, &view, NULL) == 1; count++) {
		CHECK(view.header.tsc >= last_tsc);
		last_tsc = view.header.tsc;
		CHECK_INT(view.header.seq, next[view.header.vcpu]++);
	}
	CHECK_INT(count, NR_VCPUS * NR_RECORDS);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

/* The last chunk's header reached the disk, its payload did not; and a hole before a chunk that did. */
static void test_late_writes(void)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	const struct tape_problem *problems;
	struct tape_reader *reader;
	size_t sizes[4];

	for (unsigned i = 0; i < 4; i++) {
		sizes[i] = file.size_bytes;
		fixture_append_meta(writer, i == 0 ? "a=0" : i == 1 ? "b=1" : i == 2 ? "c=2" : "d=3");
	}
	memset(file.bytes + sizes[3] + TAPE_CHUNK_HEADER_BYTES, 0, 8);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_problems(reader, &problems), 1);
	CHECK(!strncmp(problems[0].message, "cut off", 7));
	CHECK_INT(problems[0].offset, sizes[3]);
	CHECK_STR(tape_reader_meta(reader, "c"), "2");
	CHECK(!tape_reader_meta(reader, "d"));
	tape_reader_close(reader);

	memset(file.bytes + sizes[1], 0, sizes[2] - sizes[1]);
	CHECK_INT(tape_reader_open_memory(&reader, file.bytes, file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_problems(reader, &problems), 2);
	CHECK_INT(problems[0].offset, sizes[1]);
	CHECK(strstr(problems[0].message, "never written"));
	CHECK_STR(tape_reader_meta(reader, "a"), "0");
	CHECK_STR(tape_reader_meta(reader, "c"), "2");
	tape_reader_close(reader);
	tape_writer_destroy(writer);
	fixture_file_deinit(&file);
}

int main(void)
{
	struct fixture_file file = {0};

	write_tape(&file, SLOT_BYTES);
	CHECK(file.size_bytes < SLOT_BYTES);
	test_lies(&file, true);
	test_index_sets();
	test_carried();
	test_little_memory(&file);
	test_late_writes();
	fixture_file_deinit(&file);
	write_tape(&file, SLOT_SMALL);
	CHECK(file.size_bytes > SLOT_SMALL);
	test_lies(&file, false);
	fixture_file_deinit(&file);
	return 0;
}
