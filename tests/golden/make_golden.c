/* SPDX-License-Identifier: MIT */
/*
 * make_golden.c - wrote tests/golden/small-v1.vmt, once, and cost-v1.vmt, whose
 * snapshots tell what they cost; they are never written again (another zstd may
 * compress otherwise), only read by tests. A new version of the format adds a
 * file.
 *
 *   make_golden OUT.vmt [--cost]
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

int main(int argc, char **argv)
{
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, SLOT_BYTES);
	struct tape_pages *pages;
	uint64_t seqs[2] = {0};
	bool cost = argc == 3 && !strcmp(argv[2], "--cost");
	FILE *out;

	CHECK(argc == 2 || cost);
	CHECK_INT(tape_pages_create(&pages, writer, 3, NULL), 0);
	fixture_append_meta(writer, "producer=golden\ntsc_hz=1000000000\nvm.name=\xc3\xa4=b\n");
	append_snapshot(writer, pages, 0, cost);
	append_plan(writer);
	for (unsigned round = 0; round < 6; round++) {
		append_calls(writer, 0, &seqs[0], 24);
		append_calls(writer, 1, &seqs[1], 17);
		if (round == 3)
			append_gap(writer, 1, &seqs[1]);
		if (round == 4)
			append_snapshot(writer, pages, 1, cost);
	}
	fixture_append_meta(writer, "producer=golden tape");
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "the end", &(struct tape_totals){6 * 41 + 1, 11, 2}, NULL), 0);
	tape_writer_destroy(writer);
	out = fopen(argv[1], "wbx");
	if (!out)
		perror(argv[1]);
	CHECK(out);
	CHECK_INT(fwrite(file.bytes, 1, file.size_bytes, out), file.size_bytes);
	CHECK_INT(fclose(out), 0);
	fixture_file_deinit(&file);
	return 0;
}
