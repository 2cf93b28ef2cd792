/* SPDX-License-Identifier: MIT */
/*
 * make_golden.c - wrote the tapes of tests/golden, once; they are never written
 * again (another zstd may compress otherwise), only read by tests. A new
 * version of the format, or a feature, adds a file. small-v1.vmt is from before
 * there were layout 2 and append_odd().
 *
 *   make_golden small OUT.vmt     small-v1-layout2.vmt
 *   make_golden ring OUT.vmt      ring-v1.vmt
 *   make_golden signed OUT.vmt    small-v1-signed.vmt, with golden/test-sign-key.pem
 *   make_golden cost OUT.vmt      cost-v1.vmt, whose snapshots tell what they cost
 */
#include "check.h"
#include "tape_fixture.h"

#define SLOT_BYTES (16u << 10)

static const char *const paths[] = {"/etc/passwd", "/usr/lib/locale/C.utf8", "\xc3\xa4\n\"x\"", ""};

static void append_calls(struct tape_writer *writer, uint16_t vcpu, uint64_t *seq, unsigned count)
{
	struct byte_buffer records = {0};

	for (unsigned i = 0; i < count; i++, ++*seq) {
		struct fixture_call call = {.type = *seq & 1 ? TRAP_EXIT : TRAP_ENTER,
					    .vcpu = vcpu,
					    .seq = *seq,
					    .tsc = 5000 + *seq * 100 + vcpu * 50,
					    .nr = (*seq >> 1) * 7 % 450,
					    .cr3 = 0x1234000 + (*seq / 8 << 13) + (vcpu ? 1ull << 63 : 0)};

		if (*seq % 4 == 0)
			call.text = paths[*seq / 4 % 4];
		fixture_add_call(&records, &call);
	}
	fixture_append_traps(writer, vcpu, &records);
	byte_buffer_deinit(&records);
}

static void append_gap(struct tape_writer *writer, uint16_t vcpu, uint64_t *seq)
{
	const struct trap_gap gap = {.lost_records = 11, .first_seq = *seq, .first_tsc = 9000, .last_tsc = 9100};
	struct byte_buffer records = {0};

	*seq += gap.lost_records;
	fixture_add_gap(&records, vcpu, *seq, 5000 + *seq * 100, &gap);
	++*seq;
	fixture_append_traps(writer, vcpu, &records);
	byte_buffer_deinit(&records);
}

/* A record with the fragments given by their lengths; address and wanted length are of all kinds that a layout tells
 * apart. */
static void add_odd(struct byte_buffer *out, uint64_t seq, uint32_t mask, uint64_t nr, const uint16_t *lengths,
		    unsigned n)
{
	size_t start = out->size_bytes;

	byte_buffer_add_u32(out, 0);
	byte_buffer_add_u32(out, TRAP_ENTER | TRAP_ABI_I386 << 8 | TRAP_VIA_INT80 << 16);
	byte_buffer_add_u16(out, 0);
	byte_buffer_add_u16(out, (uint16_t)n);
	byte_buffer_add_u32(out, mask);
	byte_buffer_add_u64(out, seq);
	byte_buffer_add_u64(out, 5000 + seq * 100);
	for (uint32_t left = mask, i = 0; left; left &= left - 1, i++)
		byte_buffer_add_u64(out, i ? (0x7ffe00001000 + nr * 0x10) << (i & 3) : nr);
	for (unsigned i = 0; i < n; i++) {
		uint64_t gva = i % 3 ? 0x555500000000 + seq * 64 + i : (0x7ffe00001000 + nr * 0x10) << 1;
		static const uint32_t wants[] = {0, 1, UINT32_MAX, 70000};

		byte_buffer_add_u64(out, gva);
		byte_buffer_add_u32(out, i % 5 == 4 ? 0 : lengths[i] + wants[(i + seq) % 4]);
		byte_buffer_add_u16(out, lengths[i]);
		byte_buffer_add_u8(out, (uint8_t)(i % 2 ? TRAP_FRAG_CUT : TRAP_FRAG_WHOLE));
		byte_buffer_add_u8(out, (uint8_t)(i % 6));
		for (unsigned j = 0; j < ((lengths[i] + 7u) & ~7u); j++)
			byte_buffer_add_u8(out, j < lengths[i] ? (uint8_t)('a' + (j + nr) % 20) : 0);
	}
	put_le32(out->data + start, (uint32_t)(out->size_bytes - start));
}

/* What layout 2 has rules for: more shapes than codes, fragments of all kinds, times and tasks far apart, odd
 * registers. */
static void append_odd(struct tape_writer *writer, uint64_t *seq)
{
	static const uint16_t lengths[] = {0, 300, 7, 255, 8, 254, 40, 1};
	const struct trap_gap gap = {.lost_records = 3, .first_seq = *seq + 40, .first_tsc = 8000, .last_tsc = 8100};
	struct byte_buffer records = {0};

	for (unsigned i = 0; i < 40; i++)
		add_odd(&records, (*seq)++, 0x4043 + (i % 3 << 20), i % 7, lengths + i % 4, i % 5);
	*seq += gap.lost_records;
	fixture_add_gap(&records, 0, (*seq)++, 8000, &gap);
	for (unsigned i = 0; i < 300; i++)
		fixture_add_call(&records,
				 &(struct fixture_call){.type = TRAP_EXIT,
							.seq = (*seq)++,
							.tsc = 5000 + *seq * 100 + (i == 200 ? 1ull << 40 : 0),
							.nr = i % 270 * 3,
							.cr3 = 0x1234000 + (i * i % 90 << 13)});
	fixture_append_traps(writer, 0, &records);
	byte_buffer_deinit(&records);
}

static void append_plan(struct tape_writer *writer)
{
	uint8_t plan[sizeof(struct plan_header)] = {0};
	struct tape_chunk *chunk;

	put_le32(plan, PLAN_MAGIC);
	put_le16(plan + offsetof(struct plan_header, version), PLAN_VERSION);
	put_le32(plan + offsetof(struct plan_header, size_bytes), sizeof(plan));
	put_le32(plan + offsetof(struct plan_header, plan_id), 17);
	put_le16(plan + offsetof(struct plan_header, max_record_bytes), PLAN_MAX_RECORD_BYTES);
	CHECK_INT(tape_chunk_encode_plan(&chunk, plan, sizeof(plan), NULL), 0);
	CHECK_INT(tape_writer_append(writer, chunk, NULL), 0);
}

static void append_snapshot(struct tape_writer *writer, struct tape_pages *pages, unsigned number, bool cost)
{
	const struct tape_snapshot_cost costs = {.nr_pauses = 2 + number,
						 .longest_pause_ns = 300000 + number,
						 .duration_ns = 1ull << 40 | number,
						 .dirty_pages = 1000 + number,
						 .paused_pages = 20 + number,
						 .protected_pages = 70000 * number,
						 .running_pages = 3ull << 33 | number};
	/* The second range lies beyond 2^32 pages, the first has pages that are never brought. */
	static const struct tape_ram_range ranges[] = {{0, 40 * 4096}, {0x100000800000, 6 * 4096}};
	uint8_t page[TAPE_PAGE_BYTES];
	uint64_t regs[2 * VCPU_REGS];

	for (size_t i = 0; i < 2 * VCPU_REGS; i++)
		regs[i] = number * 0x1000000000000 + i * i;
	for (unsigned i = 0; i < 36; i++) {
		if (number && i % 5)
			continue;
		fixture_page(page, i < 8 ? 0 : i < 14 ? 4 : i == 20 ? 41 : 2 * (i / 3) + 100 * number);
		CHECK_INT(tape_pages_add(pages, i, page, NULL), 0);
	}
	for (unsigned i = number; i < 6; i++) {
		fixture_page(page, i == 3 ? 0 : 2 * i + 2);
		CHECK_INT(tape_pages_add(pages, 0x100000800 + i, page, NULL), 0);
	}
	CHECK_INT(tape_pages_commit(pages,
				    &(struct tape_snapshot_info){.id = 700 + number,
								 .tsc = 6000 + number * 10000,
								 .realtime_ns = 1700000000000000123u + number,
								 .pause_ns = 345678,
								 .cost = cost ? costs : (struct tape_snapshot_cost){0},
								 .nr_vcpus = 2,
								 .nr_regs = VCPU_REGS,
								 .vcpu_regs = regs,
								 .nr_ranges = 2,
								 .ranges = ranges,
								 .base = !number},
				    NULL),
		  0);
}

static void write_small(struct tape_writer *writer, struct tape_pages *pages, bool cost)
{
	uint64_t seqs[2] = {0};

	append_snapshot(writer, pages, 0, cost);
	append_plan(writer);
	for (unsigned round = 0; round < 6; round++) {
		append_calls(writer, 0, &seqs[0], 24);
		append_calls(writer, 1, &seqs[1], 17);
		if (round == 3)
			append_gap(writer, 1, &seqs[1]);
		if (round == 4)
			append_snapshot(writer, pages, 1, cost);
		/* Does nothing without a key. */
		if (round % 2)
			CHECK_INT(tape_writer_sign(writer, NULL), 0);
	}
	append_odd(writer, &seqs[0]);
	fixture_append_meta(writer, "producer=golden tape");
}

static void add_task(struct byte_buffer *out, uint16_t vcpu, uint64_t seq, uint64_t task, const char *name)
{
	byte_buffer_add_u32(out, 32 + 3 * 8 + 16 + 16);
	byte_buffer_add_u32(out, TRAP_IDENTITY);
	byte_buffer_add_u16(out, vcpu);
	byte_buffer_add_u16(out, 1);
	byte_buffer_add_u32(out, 1u << TRAP_REG_CR3 | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID);
	byte_buffer_add_u64(out, seq);
	byte_buffer_add_u64(out, 5000 + seq * 100 + vcpu * 50);
	byte_buffer_add_u64(out, 0x1234000 + (task << 13));
	byte_buffer_add_u64(out, 0xffff888000000000u + task * 0x2000);
	byte_buffer_add_u64(out, (100 + task) << 32 | (100 + task));
	byte_buffer_add_u64(out, 0xffff888000000b80u + task * 0x2000);
	byte_buffer_add_u32(out, 16);
	byte_buffer_add_u16(out, 16);
	byte_buffer_add_u16(out, TRAP_FRAG_WHOLE | PLAN_LABEL_COMM << 8);
	for (unsigned i = 0; i < 16; i++)
		byte_buffer_add_u8(out, i < strlen(name) ? (uint8_t)name[i] : 0);
}

/* Who tasks are: by another name now and then; there are more of them than a slot tells of. */
static void append_tasks(struct tape_writer *writer, uint16_t vcpu, uint64_t *seq, unsigned round)
{
	static const char *const names[] = {"init", "bash", "a name of 15 ch", "cat"};
	struct byte_buffer records = {0};

	for (unsigned i = 0; i < 3; i++) {
		uint64_t task = (round * 3 + i) % 40;

		add_task(&records, vcpu, (*seq)++, task, names[(task + round / 50) % 4]);
	}
	fixture_append_traps(writer, vcpu, &records);
	byte_buffer_deinit(&records);
}

/* Some times round, with pages of all ages. */
static void write_ring(struct tape_writer *writer, struct tape_pages *pages)
{
	static const struct tape_ram_range range = {0, 40 * 4096};
	uint8_t page[TAPE_PAGE_BYTES];
	uint64_t seqs[2] = {0};

	append_snapshot(writer, pages, 0, false);
	append_plan(writer);
	for (unsigned round = 0; round < 600; round++) {
		append_calls(writer, round % 2, &seqs[round % 2], 20);
		append_tasks(writer, round % 2, &seqs[round % 2], round);
		if (round % 12)
			continue;
		for (unsigned i = 0; i < 3; i++) {
			fixture_page(page, 1000 + 2 * round + 3 * i);
			CHECK_INT(tape_pages_add(pages, (round / 12 + i * 11) % 36, page, NULL), 0);
		}
		CHECK_INT(tape_pages_commit(pages,
					    &(struct tape_snapshot_info){.id = 800 + round,
									 .tsc = 5000 + round * 1000,
									 .nr_ranges = 1,
									 .ranges = &range},
					    NULL),
			  0);
	}
}

int main(int argc, char **argv)
{
	bool ring = argc == 3 && !strcmp(argv[1], "ring"), is_signed = argc == 3 && !strcmp(argv[1], "signed");
	struct fixture_file file = {0};
	struct tape_writer *writer;
	struct tape_pages *pages;
	FILE *out;

	CHECK_INT(argc, 3);
	CHECK(ring || is_signed || !strcmp(argv[1], "small") || !strcmp(argv[1], "cost"));
	writer = is_signed ? fixture_sealed_writer(&file, SLOT_BYTES, "golden/test-sign-key.pem")
			   : fixture_ring_writer(&file, SLOT_BYTES, ring ? 8 : 0);
	CHECK_INT(tape_pages_create(&pages, writer, 3, NULL), 0);
	fixture_append_meta(writer, "producer=golden\ntsc_hz=1000000000\nvm.name=\xc3\xa4=b\n");
	if (ring)
		write_ring(writer, pages);
	else
		write_small(writer, pages, !strcmp(argv[1], "cost"));
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "the end", &(struct tape_totals){6 * 41 + 1 + 341, 14, 2}, NULL), 0);
	tape_writer_destroy(writer);
	out = fopen(argv[2], "wbx");
	if (!out)
		perror(argv[2]);
	CHECK(out);
	CHECK_INT(fwrite(file.bytes, 1, file.size_bytes, out), file.size_bytes);
	CHECK_INT(fclose(out), 0);
	fixture_file_deinit(&file);
	return 0;
}
