/* SPDX-License-Identifier: MIT */
/*
 * test_tape_snapshot.c - pages of snapshots against a model of the guest's
 * memory: every page at every snapshot, stored once each; and with damage, a
 * page is right or refused, never an old or another one.
 */
#include <errno.h>

#include "check.h"
#include "tape_fixture.h"

#define NR_PAGES     3000u
#define NR_SNAPSHOTS 24u
#define SLOT_BYTES   (256u << 10)
#define NR_REGS      5u

#define ABSENT UINT64_MAX

struct model {
	uint64_t now[NR_PAGES]; /* number of fixture_page(), or ABSENT */
	uint64_t at[NR_SNAPSHOTS][NR_PAGES];
	struct fixture_file file;
};

/* Scattered over more than 2^32 pages. */
static uint64_t gfn_of(unsigned page)
{
	if (page < 2000)
		return page;
	if (page < 2500)
		return 0x100000 + (uint64_t)(page - 2000) * 7;
	return 0x5ffffff00 + page;
}

static void add(struct tape_pages *pages, struct model *model, unsigned page, uint64_t number)
{
	uint8_t bytes[TAPE_PAGE_BYTES];

	fixture_page(bytes, number);
	CHECK_INT(tape_pages_add(pages, gfn_of(page), bytes, NULL), 0);
	model->now[page] = number;
}

static void commit(struct tape_pages *pages, struct model *model, unsigned snapshot, bool base)
{
	const struct tape_ram_range ranges[] = {{0, 2000 * 4096}, {0x100000000, 500 * 4096 + snapshot}};
	struct tape_snapshot_cost cost = {0};
	uint64_t regs[2 * NR_REGS];

	for (unsigned i = 0; i < 2 * NR_REGS; i++)
		regs[i] = snapshot * 1000 + i;
	/* Of each third one it is not known. */
	if (snapshot % 3)
		cost = (struct tape_snapshot_cost){.nr_pauses = snapshot,
						   .longest_pause_ns = 1u << 20 | snapshot,
						   .duration_ns = 2u << 20 | snapshot,
						   .dirty_pages = 3u << 20 | snapshot,
						   .paused_pages = 4u << 20 | snapshot,
						   .protected_pages = 5u << 20 | snapshot,
						   .running_pages = UINT64_MAX - snapshot};
	CHECK_INT(tape_pages_commit(pages,
				    &(struct tape_snapshot_info){.id = 500 + snapshot,
								 .tsc = 7000 + snapshot,
								 .realtime_ns = 8000 + snapshot,
								 .pause_ns = 9000 + snapshot,
								 .cost = cost,
								 .nr_vcpus = 2,
								 .nr_regs = NR_REGS,
								 .vcpu_regs = regs,
								 .nr_ranges = 2,
								 .ranges = ranges,
								 .base = base},
				    NULL),
		  0);
	memcpy(model->at[snapshot], model->now, sizeof(model->now));
}

/* Where a map waits: not at all while can_write is not set. */
struct away {
	uint8_t bytes[64 * 4096];
	bool can_write;
	int read_result;
	unsigned reads_left; /* until that; 0: never */
	unsigned nr_writes, nr_reads, nr_clears;
};

static int away_write(void *ctx, uint64_t offset, const void *data, size_t size_bytes)
{
	struct away *away = ctx;

	if (!away->can_write)
		return -ENOSPC;
	CHECK(offset <= sizeof(away->bytes) && size_bytes <= sizeof(away->bytes) - offset);
	memcpy(away->bytes + offset, data, size_bytes);
	away->nr_writes++;
	return 0;
}

static int away_read(void *ctx, uint64_t offset, void *data, size_t size_bytes)
{
	struct away *away = ctx;

	CHECK(offset <= sizeof(away->bytes) && size_bytes <= sizeof(away->bytes) - offset);
	memcpy(data, away->bytes + offset, size_bytes);
	away->nr_reads++;
	return away->reads_left && !--away->reads_left ? away->read_result : 0;
}

static void away_clear(void *ctx)
{
	struct away *away = ctx;

	memset(away->bytes, 0xee, sizeof(away->bytes));
	away->nr_clears++;
}

/* Room for about a leaf. */
static void spill_to(struct tape_pages *pages, struct away *away)
{
	tape_pages_spill_to(
		pages,
		&(struct tape_page_spill){
			.write = away_write, .read = away_read, .clear = away_clear, .ctx = away, .max_bytes = 2500});
}

/* Snapshots 0 and 15 are bases; the second one without the pages from 2900 on. */
static void write_tape(struct model *model, struct fixture_coder *coder, struct away *away)
{
	struct tape_writer *writer = fixture_writer(&model->file, SLOT_BYTES);
	const struct tape_totals totals = {0, 0, NR_SNAPSHOTS};
	struct tape_pages_stats stats;
	struct tape_pages *pages;
	uint64_t state = 1;

	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	if (coder) {
		const struct tape_page_coder page_coder = fixture_page_coder(coder);

		CHECK_INT(tape_pages_encode_with(pages, &page_coder, NULL), 0);
	}
	if (away)
		spill_to(pages, away);
	for (unsigned page = 0; page < NR_PAGES; page++)
		model->now[page] = ABSENT;
	for (unsigned snapshot = 0; snapshot < NR_SNAPSHOTS; snapshot++) {
		bool base = snapshot == 0 || snapshot == 15;

		for (unsigned page = 0; page < NR_PAGES && base; page++) {
			model->now[page] = ABSENT;
			if (!snapshot || page < 2900)
				add(pages, model, page, page % 3 ? 2 * (page / 5) + snapshot : 0);
		}
		/* Some more than once, some as they were, some never seen; zeros, copies, new ones. */
		for (unsigned i = 0; i < 150; i++) {
			unsigned page = (unsigned)(fixture_random(&state) % NR_PAGES);
			uint64_t number = fixture_random(&state) % 4000;

			if (model->now[page] != ABSENT && i % 3 == 0)
				number = model->now[page];
			add(pages, model, page, i % 7 ? number : 0);
		}
		commit(pages, model, snapshot, base);
	}
	tape_pages_get_stats(pages, &stats);
	CHECK_INT(stats.added, stats.zero + stats.duplicate + stats.unchanged + stats.stored);
	CHECK(stats.zero && stats.duplicate && stats.unchanged);
	CHECK(stats.stored < 4100); /* as many contents as there are */
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done", &totals, NULL), 0);
	tape_writer_destroy(writer);
}

/* Number of pages that could not be had. */
static unsigned check_pages(struct tape_reader *reader, const struct model *model, uint32_t index, unsigned snapshot)
{
	uint8_t got[TAPE_PAGE_BYTES], expected[TAPE_PAGE_BYTES];
	struct tape_error error;
	unsigned refused = 0;

	for (unsigned page = 0; page < NR_PAGES; page++) {
		uint64_t number = model->at[snapshot][page];
		int result = tape_reader_page(reader, index, gfn_of(page), got, &error);

		if (result == -EBADMSG) {
			refused++;
			continue;
		}
		if (number == ABSENT) {
			CHECK_INT(result, -ENOENT);
			continue;
		}
		CHECK_INT(result, 0);
		fixture_page(expected, number);
		CHECK(!memcmp(got, expected, sizeof(got)));
	}
	return refused;
}

static void check_info(struct tape_reader *reader, unsigned snapshot)
{
	const struct tape_snapshot *got = tape_reader_snapshot(reader, snapshot);
	const struct tape_snapshot_cost *cost = &got->info.cost;
	bool known = snapshot % 3;

	CHECK(got);
	CHECK_INT(got->info.id, 500 + snapshot);
	CHECK_INT(got->info.tsc, 7000 + snapshot);
	CHECK_INT(got->info.realtime_ns, 8000 + snapshot);
	CHECK_INT(got->info.pause_ns, 9000 + snapshot);
	CHECK_INT(cost->nr_pauses, known ? snapshot : 0);
	CHECK_INT(cost->longest_pause_ns, known ? 1u << 20 | snapshot : 0);
	CHECK_INT(cost->duration_ns, known ? 2u << 20 | snapshot : 0);
	CHECK_INT(cost->dirty_pages, known ? 3u << 20 | snapshot : 0);
	CHECK_INT(cost->paused_pages, known ? 4u << 20 | snapshot : 0);
	CHECK_INT(cost->protected_pages, known ? 5u << 20 | snapshot : 0);
	CHECK(cost->running_pages == (known ? UINT64_MAX - snapshot : 0));
	CHECK_INT(got->info.base, snapshot == 0 || snapshot == 15);
	CHECK_INT(got->info.nr_vcpus, 2);
	CHECK_INT(got->info.nr_regs, NR_REGS);
	CHECK_INT(got->info.vcpu_regs[2 * NR_REGS - 1], snapshot * 1000 + 2 * NR_REGS - 1);
	CHECK_INT(got->info.nr_ranges, 2);
	CHECK_INT(got->info.ranges[1].gpa, 0x100000000);
	CHECK_INT(got->info.ranges[1].size_bytes, 500 * 4096 + snapshot);
	CHECK(got->nr_zero < got->nr_pages);
	CHECK(got->info.base ? got->nr_pages >= 2900 : got->nr_pages <= 150);
}

static void test_all(const struct model *model)
{
	static const unsigned order[] = {0, 23, 5, 14, 15, 16, 1, 22, 7, 0};
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	uint8_t page[TAPE_PAGE_BYTES];

	CHECK_INT(tape_reader_open_memory(&reader, model->file.bytes, model->file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, NR_SNAPSHOTS);
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		CHECK_INT(check_pages(reader, model, order[i], order[i]), 0);
	for (unsigned snapshot = 0; snapshot < NR_SNAPSHOTS; snapshot++) {
		check_info(reader, snapshot);
		CHECK_INT(check_pages(reader, model, snapshot, snapshot), 0);
	}
	CHECK_INT(tape_reader_page(reader, 0, gfn_of(NR_PAGES), page, NULL), -ENOENT);
	CHECK_INT(tape_reader_page(reader, 0, UINT64_MAX, page, NULL), -ENOENT);
	CHECK_INT(tape_reader_page(reader, NR_SNAPSHOTS, 0, page, NULL), -EINVAL);
	CHECK(!tape_reader_snapshot(reader, NR_SNAPSHOTS));
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	tape_reader_close(reader);
}

/* One damaged chunk of the type, each in turn: what is still given out is right. */
static void test_damage(struct model *model, uint16_t type)
{
	struct tape_chunk_header header;
	unsigned damaged = 0, refused = 0;

	for (size_t offset = 0; offset + TAPE_CHUNK_HEADER_BYTES < model->file.size_bytes; offset += 8) {
		uint8_t *payload = model->file.bytes + offset + TAPE_CHUNK_HEADER_BYTES;
		struct fixture_report report = {0};
		struct tape_reader *reader;

		if (!tape_get_chunk_header(model->file.bytes + offset, &header) || header.type != type)
			continue;
		if (damaged++ % 3 && damaged > 12)
			continue; /* there are many */
		payload[header.stored_bytes / 2] ^= 0x10;
		CHECK_INT(tape_reader_open_memory(&reader, model->file.bytes, model->file.size_bytes, NULL), 0);
		for (uint32_t index = 0; index < tape_reader_info(reader)->nr_snapshots; index += 5)
			refused += check_pages(reader, model, index,
					       (unsigned)(tape_reader_snapshot(reader, index)->info.id - 500));
		CHECK(tape_reader_verify(reader, fixture_report, &report) > 0);
		tape_reader_close(reader);
		payload[header.stored_bytes / 2] ^= 0x10;
	}
	CHECK(damaged > 3);
	CHECK(refused > 0);
}

/* Chunks of pages are in the order of their pages, whoever compressed them first. */
static void test_order(const struct model *model)
{
	struct tape_chunk_header header;
	uint64_t next_id = 0;

	for (size_t offset = 0; offset + TAPE_CHUNK_HEADER_BYTES < model->file.size_bytes; offset += 8) {
		if (!tape_get_chunk_header(model->file.bytes + offset, &header) || header.type != TAPE_CHUNK_PAGES)
			continue;
		CHECK_INT(header.first_seq, next_id);
		next_id = header.last_seq + 1;
	}
	CHECK(next_id > 1000);
}

/* Pages of a snapshot that was never committed are not seen; those that nobody compressed yet are dropped. */
static void test_not_committed(struct fixture_coder *coder)
{
	static struct model model;
	const struct tape_page_coder page_coder = fixture_page_coder(coder);
	struct tape_writer *writer = fixture_writer(&model.file, SLOT_BYTES);
	uint8_t page[TAPE_PAGE_BYTES];
	struct tape_reader *reader;
	struct tape_pages *pages;

	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	CHECK_INT(tape_pages_encode_with(pages, &page_coder, NULL), 0);
	add(pages, &model, 7, 11);
	CHECK_INT(tape_pages_encode_with(pages, &page_coder, NULL), -EINVAL);
	add(pages, &model, 8, 0);
	commit(pages, &model, 0, true);
	for (unsigned i = 0; i < 100; i++)
		add(pages, &model, i, 1000 + i);
	CHECK_INT(tape_pages_add(pages, 1ull << 52, page, NULL), -EINVAL);
	CHECK_INT(tape_reader_open_memory(&reader, model.file.bytes, model.file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, 1);
	CHECK_INT(tape_reader_page(reader, 0, 9, page, NULL), -ENOENT);
	CHECK_INT(tape_reader_page(reader, 0, 8, page, NULL), 0);
	CHECK_INT(page[0], 0);
	CHECK(tape_reader_info(reader)->pages_raw_bytes > 4096);
	tape_reader_close(reader);
	tape_pages_destroy(pages);
	tape_writer_destroy(writer);
	fixture_file_deinit(&model.file);
}

/* The map of the pages has no room in memory; then, it has none elsewhere either; then, it comes back changed. */
static void test_away(struct model *model)
{
	static struct away away = {.can_write = true};
	uint8_t bytes[TAPE_PAGE_BYTES];
	struct tape_writer *writer;
	struct tape_pages *pages;
	struct tape_error error;
	uint64_t state = 9;
	unsigned gfn;
	int result;

	memset(model, 0, sizeof(*model));
	write_tape(model, NULL, &away);
	printf("%u leaves were put away, %u came back\n", away.nr_writes, away.nr_reads);
	CHECK(away.nr_writes > 100);
	CHECK(away.nr_reads > 100);
	CHECK_INT(away.nr_clears, NR_SNAPSHOTS);
	test_all(model);
	fixture_file_deinit(&model->file);

	away = (struct away){.can_write = false};
	memset(model, 0, sizeof(*model));
	write_tape(model, NULL, &away);
	CHECK_INT(away.nr_reads, 0);
	test_all(model);
	fixture_file_deinit(&model->file);

	away = (struct away){.can_write = true};
	memset(model, 0, sizeof(*model));
	writer = fixture_writer(&model->file, SLOT_BYTES);
	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	spill_to(pages, &away);
	for (gfn = 0; gfn < 2000; gfn++) {
		fixture_page(bytes, fixture_random(&state) % 50 + 1);
		CHECK_INT(tape_pages_add(pages, gfn, bytes, NULL), 0);
	}
	CHECK(away.nr_writes);
	away.bytes[100] ^= 1;
	result = tape_pages_add(pages, 0, bytes, &error);
	CHECK_INT(result, -EIO);
	CHECK(strstr(error.message, "map of pages"));
	result = tape_pages_commit(pages, &(struct tape_snapshot_info){.id = 1, .base = true}, &error);
	CHECK_INT(result, -EIO);
	tape_pages_destroy(pages);
	tape_writer_destroy(writer);
	fixture_file_deinit(&model->file);
}

/* Why a map did not come back is kept, and said, wherever it was wanted: in turn each read of a commit fails. */
static void test_not_back(struct model *model)
{
	static const int results[] = {-ENOMEM, -EIO};
	static struct away away;
	uint8_t bytes[TAPE_PAGE_BYTES];
	unsigned nr_failed = 0;

	for (unsigned round = 0; round < 20; round++) {
		const struct tape_snapshot_info info = {.id = 1, .base = false};
		struct tape_error error = {.offset = TAPE_NO_OFFSET};
		struct tape_writer *writer;
		struct tape_pages *pages;
		uint64_t state = 9;
		int result;

		away = (struct away){.can_write = true};
		memset(model, 0, sizeof(*model));
		writer = fixture_writer(&model->file, SLOT_BYTES);
		CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
		spill_to(pages, &away);
		for (unsigned gfn = 0; gfn < 2000; gfn++) {
			fixture_page(bytes, fixture_random(&state) % 50 + 1);
			CHECK_INT(tape_pages_add(pages, gfn, bytes, NULL), 0);
		}
		away.read_result = results[round % 2];
		away.reads_left = round / 2 + 1;
		result = tape_pages_commit(pages, &info, &error);
		if (!away.reads_left) {
			CHECK_INT(result, results[round % 2]);
			CHECK(strstr(error.message, round % 2 ? "read back" : "no memory"));
			nr_failed++;
		}
		tape_pages_destroy(pages);
		tape_writer_destroy(writer);
		fixture_file_deinit(&model->file);
	}
	printf("%u commits failed\n", nr_failed);
	CHECK(nr_failed >= 10);
}

int main(void)
{
	static struct model model;
	struct fixture_coder coder = {0};

	write_tape(&model, NULL, NULL);
	test_all(&model);
	test_order(&model);
	test_damage(&model, TAPE_CHUNK_PAGE_MAP);
	test_damage(&model, TAPE_CHUNK_SNAPSHOT);
	test_damage(&model, TAPE_CHUNK_PAGES);
	fixture_file_deinit(&model.file);
	memset(&model, 0, sizeof(model));
	write_tape(&model, &coder, NULL);
	test_all(&model);
	test_order(&model);
	fixture_file_deinit(&model.file);
	test_not_committed(&coder);
	test_away(&model);
	test_not_back(&model);
	return 0;
}
