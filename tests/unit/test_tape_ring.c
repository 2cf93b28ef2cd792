/* SPDX-License-Identifier: MIT */
/*
 * test_tape_ring.c - ring tapes against a model of the guest, over many wraps.
 * At any moment, cut as a kill would cut it, the tape decodes from its oldest
 * record on: records without a hole, a snapshot not younger than they are, each
 * page of each snapshot, meta lines and plans.
 */
#include <errno.h>

#include "check.h"
#include "plan_abi.h"
#include "tape_fixture.h"

#define SLOT_BYTES    (256u << 10)
#define NR_PLACES     16u
#define NR_PAGES      1400u
#define MAX_SNAPSHOTS 4000u
#define NR_VCPUS      2u
#define ABSENT        UINT64_MAX

struct world {
	struct fixture_file file;
	struct tape_writer *writer;
	struct tape_pages *pages;
	uint64_t random;
	uint64_t tsc;
	uint64_t seqs[NR_VCPUS];
	uint64_t now[NR_PAGES];
	uint64_t (*at)[NR_PAGES]; /* by ordinal */
	uint64_t *tscs;
	unsigned nr_snapshots;
	uint32_t plan_id;
	uint64_t fresh;    /* number of the next new content */
	unsigned nr_pages; /* of the guest */
	bool may_lose;     /* the ring is too small for the guest */
	bool is_cut;       /* what is on its way may be missing */
	unsigned nr_checks, nr_lost;
	struct fixture_coder coder;
	uint64_t cut_random;
};

static void world_init(struct world *world, unsigned nr_pages)
{
	*world = (struct world){.random = 7, .tsc = 1000, .fresh = 10, .nr_pages = nr_pages};
	world->at = calloc(MAX_SNAPSHOTS, sizeof(*world->at));
	world->tscs = calloc(MAX_SNAPSHOTS, sizeof(*world->tscs));
	CHECK(world->at && world->tscs);
	for (unsigned i = 0; i < NR_PAGES; i++)
		world->now[i] = ABSENT;
	world->writer = fixture_ring_writer(&world->file, SLOT_BYTES, NR_PLACES);
	CHECK_INT(tape_pages_create(&world->pages, world->writer, 1, NULL), 0);
}

static void world_deinit(struct world *world)
{
	tape_pages_destroy(world->pages);
	tape_writer_destroy(world->writer);
	fixture_file_deinit(&world->file);
	free(world->at);
	free(world->tscs);
}

/* ---- what happens ---------------------------------------------------- */

static void add_records(struct world *world, unsigned count)
{
	uint16_t vcpu = (uint16_t)(fixture_random(&world->random) % NR_VCPUS);
	struct byte_buffer records = {0};

	for (unsigned i = 0; i < count; i++) {
		char text[64];
		struct fixture_call call = {.type = TRAP_ENTER,
					    .vcpu = vcpu,
					    .seq = world->seqs[vcpu]++,
					    .tsc = world->tsc++,
					    .text = text};

		call.nr = fixture_random(&world->random) % 300;
		call.cr3 = 0x1000 * (1 + call.nr % 5);
		snprintf(text, sizeof(text), "/%016" PRIx64 "%016" PRIx64, fixture_random(&world->random),
			 fixture_random(&world->random));
		fixture_add_call(&records, &call);
	}
	fixture_append_traps(world->writer, vcpu, &records);
	byte_buffer_deinit(&records);
}

static void set_page(struct world *world, unsigned page, uint64_t number)
{
	uint8_t bytes[TAPE_PAGE_BYTES];

	fixture_page(bytes, number);
	CHECK_INT(tape_pages_add(world->pages, page * 3, bytes, NULL), 0);
	world->now[page] = number;
}

/* Mostly new contents that do not compress, some zeros, some copies of another page, some as they were. */
static void change_pages(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned page = (unsigned)(fixture_random(&world->random) % world->nr_pages);
		unsigned other = (unsigned)(fixture_random(&world->random) % world->nr_pages);

		switch (fixture_random(&world->random) % 8) {
		case 0:
			set_page(world, page, 0);
			break;
		case 1:
			if (world->now[other] != ABSENT)
				set_page(world, page, world->now[other]);
			break;
		case 2:
			if (world->now[page] != ABSENT)
				set_page(world, page, world->now[page]);
			break;
		default:
			set_page(world, page, world->fresh++ * 2 + 1);
		}
	}
}

static void take_snapshot(struct world *world, bool base)
{
	uint64_t regs[2] = {world->nr_snapshots, 2};
	const struct tape_ram_range range = {0, NR_PAGES * 4096};

	if (base) {
		for (unsigned i = 0; i < NR_PAGES; i++)
			world->now[i] = ABSENT;
		for (unsigned i = 0; i < world->nr_pages; i++)
			set_page(world, i, i % 4 ? world->fresh++ * 2 + 1 : 0);
	}
	CHECK(world->nr_snapshots < MAX_SNAPSHOTS);
	CHECK_INT(tape_pages_commit(world->pages,
				    &(struct tape_snapshot_info){.id = world->nr_snapshots,
								 .tsc = ++world->tsc,
								 .nr_vcpus = 1,
								 .nr_regs = 2,
								 .vcpu_regs = regs,
								 .nr_ranges = 1,
								 .ranges = &range,
								 .base = base},
				    NULL),
		  0);
	world->tscs[world->nr_snapshots] = world->tsc++;
	memcpy(world->at[world->nr_snapshots++], world->now, sizeof(world->now));
}

static void add_plan(struct world *world)
{
	struct plan_header plan = {.magic = PLAN_MAGIC, .size_bytes = sizeof(plan), .plan_id = ++world->plan_id};
	struct tape_chunk *chunk;
	char text[64];

	CHECK_INT(tape_chunk_encode_plan(&chunk, &plan, sizeof(plan), NULL), 0);
	CHECK_INT(tape_writer_append(world->writer, chunk, NULL), 0);
	snprintf(text, sizeof(text), "plan=%u\nplan.%u=yes\n", world->plan_id, world->plan_id % 3);
	fixture_append_meta(world->writer, text);
}

/* ---- what must be there ---------------------------------------------- */

static uint64_t check_records(const struct world *world, struct tape_reader *reader)
{
	uint64_t next[NR_VCPUS], oldest = UINT64_MAX;
	struct tape_cursor *cursor;
	struct trap_view view;

	for (unsigned i = 0; i < NR_VCPUS; i++)
		next[i] = UINT64_MAX;
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1) {
		uint16_t vcpu = view.header.vcpu;

		CHECK(next[vcpu] == UINT64_MAX || next[vcpu] == view.header.seq);
		next[vcpu] = view.header.seq + 1;
		oldest = view.header.tsc < oldest ? view.header.tsc : oldest;
	}
	tape_cursor_destroy(cursor);
	for (unsigned i = 0; i < NR_VCPUS && !world->is_cut; i++)
		CHECK(next[i] == UINT64_MAX || next[i] == world->seqs[i]);
	return oldest;
}

/* Number of pages that could not be had. */
static unsigned check_snapshot(const struct world *world, struct tape_reader *reader, uint32_t index)
{
	unsigned ordinal = (unsigned)tape_reader_snapshot(reader, index)->info.id, lost = 0;
	uint8_t got[TAPE_PAGE_BYTES], expected[TAPE_PAGE_BYTES];

	CHECK_INT(tape_reader_snapshot(reader, index)->info.vcpu_regs[0], ordinal);
	for (unsigned page = 0; page < NR_PAGES; page++) {
		uint64_t number = world->at[ordinal][page];
		int result = tape_reader_page(reader, index, page * 3, got, NULL);

		if (world->may_lose && result == -EBADMSG) {
			lost++;
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
	return lost;
}

static void check_bytes(struct world *world, const void *bytes, size_t size_bytes, bool all_snapshots)
{
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	const struct tape_info *info;
	uint64_t oldest;
	char text[32];

	CHECK(size_bytes <= (size_t)SLOT_BYTES * NR_PLACES);
	CHECK_INT(tape_reader_open_memory(&reader, bytes, size_bytes, NULL), 0);
	info = tape_reader_info(reader);
	oldest = check_records(world, reader);
	if (world->nr_snapshots) {
		uint64_t first_tsc = tape_reader_snapshot(reader, 0)->info.tsc;

		CHECK(first_tsc <= oldest || tape_reader_snapshot(reader, 0)->info.id == 0);
		if (!world->is_cut)
			CHECK_INT(tape_reader_snapshot(reader, info->nr_snapshots - 1)->info.id,
				  world->nr_snapshots - 1);
	}
	for (uint32_t i = 0; i < info->nr_snapshots; i += all_snapshots || !i ? 1 : 11)
		world->nr_lost += check_snapshot(world, reader, i);
	if (world->plan_id && !world->is_cut) {
		const void *plan;

		CHECK_INT(tape_reader_plan(reader, world->plan_id, &plan, &size_bytes), 0);
		snprintf(text, sizeof(text), "%u", world->plan_id);
		CHECK_STR(tape_reader_meta(reader, "plan"), text);
		CHECK_STR(tape_reader_meta(reader, "first"), "kept");
	}
	report.loud = info->finished;
	if (!world->may_lose && !world->is_cut)
		CHECK_INT(tape_reader_verify(reader, fixture_report, &report), !info->finished);
	tape_reader_close(reader);
	world->nr_checks++;
}

static void check_tape(struct world *world, bool all_snapshots)
{
	fixture_complete(&world->file);
	check_bytes(world, world->file.bytes, world->file.size_bytes, all_snapshots);
}

/* ---- tests ----------------------------------------------------------- */

static uint64_t nr_wraps(const struct world *world)
{
	uint64_t newest = 0;

	for (size_t start = 0; start < world->file.size_bytes; start += SLOT_BYTES) {
		struct tape_slot_header header;

		if (tape_get_slot_header(world->file.bytes + (start ? start : TAPE_FILE_HEADER_BYTES), &header) &&
		    header.seq > newest)
			newest = header.seq;
	}
	return newest / NR_PLACES;
}

/* A guest that lives in a quarter of the ring; its pages are compressed at once, or later, too. */
static void test_life(bool write_later)
{
	struct world world;
	const struct tape_totals totals = {0};

	world_init(&world, 200);
	world.file.write_later = write_later;
	if (write_later) {
		const struct tape_page_coder coder = fixture_page_coder(&world.coder);

		CHECK_INT(tape_pages_encode_with(world.pages, &coder, NULL), 0);
	}
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	add_records(&world, 50);
	take_snapshot(&world, true);
	check_tape(&world, true);
	for (unsigned round = 0; round < 2500; round++) {
		add_records(&world, 20 + (unsigned)(fixture_random(&world.random) % 200));
		if (round % 5 == 0) {
			change_pages(&world, 12);
			take_snapshot(&world, false);
		}
		if (round % 400 == 100)
			add_plan(&world);
		if (round == 1333)
			take_snapshot(&world, true);
		if (round % 97 == 0)
			check_tape(&world, false);
	}
	CHECK(nr_wraps(&world) >= 10);
	check_tape(&world, true);
	CHECK_INT(tape_writer_finish(world.writer, "done", &totals, NULL), 0);
	check_tape(&world, true);
	printf("%" PRIu64 " wraps, %u snapshots, %u looks\n", nr_wraps(&world), world.nr_snapshots, world.nr_checks);
	world_deinit(&world);
}

/* A kill in the middle of this write: some of it is there. */
static void cut_here(void *ctx, uint64_t offset, const void *buffer, size_t size_bytes)
{
	struct world *world = ctx;
	size_t part = fixture_random(&world->cut_random) % (size_bytes + 1), end = offset + part;
	size_t all = world->file.size_bytes > end ? world->file.size_bytes : end;
	uint8_t *bytes;

	if (fixture_random(&world->cut_random) % 61 || !world->file.size_bytes)
		return;
	bytes = calloc(1, all);
	CHECK(bytes);
	memcpy(bytes, world->file.bytes, world->file.size_bytes);
	memcpy(bytes + offset, buffer, part);
	world->is_cut = true;
	check_bytes(world, bytes, all, true);
	world->is_cut = false;
	free(bytes);
}

static void test_kills(void)
{
	struct world world;

	world_init(&world, 200);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	take_snapshot(&world, true);
	world.file.before_write = cut_here;
	world.file.before_write_ctx = &world;
	for (unsigned round = 0; round < 1200; round++) {
		add_records(&world, 20 + (unsigned)(fixture_random(&world.random) % 200));
		if (round % 5 == 0) {
			change_pages(&world, 12);
			take_snapshot(&world, false);
		}
	}
	CHECK(world.nr_checks > 20);
	printf("%" PRIu64 " wraps, cut %u times\n", nr_wraps(&world), world.nr_checks);
	world_deinit(&world);
}

/* Memory that takes three quarters of the ring: little is left for events, but nothing is given up. */
static void test_nearly_full(void)
{
	struct tape_pages_stats stats;
	struct world world;

	world_init(&world, 880);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	take_snapshot(&world, true);
	for (unsigned round = 0; round < 600; round++) {
		if (round % 5 == 0) {
			change_pages(&world, 12);
			take_snapshot(&world, false);
		}
		add_records(&world, 20 + (unsigned)(fixture_random(&world.random) % 200));
		if (round % 197 == 0)
			check_tape(&world, false);
	}
	tape_pages_get_stats(world.pages, &stats);
	CHECK_INT(stats.lost, 0);
	check_tape(&world, true);
	printf("nearly full: %" PRIu64 " wraps, %" PRIu64 " of %u KiB are pages in use\n", nr_wraps(&world),
	       stats.live_bytes / 1024, SLOT_BYTES * NR_PLACES / 1024);
	world_deinit(&world);
}

/* Memory that takes more than the ring: records go on, snapshots lack pages, and nothing false is given out. */
static void test_too_small(void)
{
	struct tape_pages_stats stats;
	struct world world;

	world_init(&world, NR_PAGES);
	world.may_lose = true;
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	for (unsigned round = 0; round < 160; round++) {
		if (round % 5 == 0) {
			change_pages(&world, 900);
			take_snapshot(&world, false);
		}
		add_records(&world, 100);
		if (round % 79 == 0)
			check_tape(&world, true);
	}
	tape_pages_get_stats(world.pages, &stats);
	printf("too small: %" PRIu64 " wraps, %" PRIu64 " pages given up, %u not there when looked for\n",
	       nr_wraps(&world), stats.lost, world.nr_lost);
	world_deinit(&world);
}

/* Every 61st byte damaged: the reader never gives out a wrong page or record, and verify sees it. */
static void test_damage(void)
{
	const struct tape_totals totals = {0};
	struct world world;
	unsigned unseen = 0;

	world_init(&world, 60);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	take_snapshot(&world, true);
	for (unsigned round = 0; round < 1500; round++) {
		add_records(&world, 150);
		if (round % 9 == 0) {
			change_pages(&world, 5);
			take_snapshot(&world, false);
		}
	}
	CHECK(nr_wraps(&world) >= 2);
	CHECK_INT(tape_writer_finish(world.writer, "done", &totals, NULL), 0);
	world.may_lose = true;
	for (unsigned i = 0; i < 100; i++) {
		size_t at = fixture_random(&world.random) % world.file.size_bytes;
		struct fixture_report report = {0};
		struct tape_reader *reader;

		world.file.bytes[at] ^= 0x40;
		CHECK_INT(tape_reader_open_memory(&reader, world.file.bytes, world.file.size_bytes, NULL), 0);
		for (uint32_t n = 0; n < tape_reader_info(reader)->nr_snapshots; n += 5)
			check_snapshot(&world, reader, n);
		unseen += !tape_reader_verify(reader, fixture_report, &report);
		tape_reader_close(reader);
		world.file.bytes[at] ^= 0x40;
	}
	/* What lies between an index and its trailer, or behind the end, belongs to no slot. */
	CHECK(unseen < 30);
	world_deinit(&world);
}

/* A reader that opened the tape some slots ago: what it finds overwritten is no damage, and is told once. */
static void test_read_while_recording(void)
{
	const struct tape_problem *problems;
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	struct world world;
	uint8_t *then;

	world_init(&world, 60);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	while (!nr_wraps(&world))
		add_records(&world, 150);
	/* The same memory changes under the reader, as a file does. */
	then = malloc((size_t)SLOT_BYTES * NR_PLACES);
	CHECK(then);
	memcpy(then, world.file.bytes, (size_t)SLOT_BYTES * NR_PLACES);
	CHECK_INT(tape_reader_open_memory(&reader, then, (size_t)SLOT_BYTES * NR_PLACES, NULL), 0);
	CHECK_INT(tape_reader_problems(reader, &problems), 0);
	for (unsigned i = 0; i < 300; i++)
		add_records(&world, 150);
	memcpy(then, world.file.bytes, (size_t)SLOT_BYTES * NR_PLACES);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1)
		continue;
	CHECK_INT(tape_reader_problems(reader, &problems), 1);
	CHECK(strstr(problems[0].message, "overwritten"));
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	free(then);
	world_deinit(&world);
}

int main(void)
{
	test_read_while_recording();
	test_life(false);
	test_life(true);
	test_kills();
	test_nearly_full();
	test_too_small();
	test_damage();
	return 0;
}
