/* SPDX-License-Identifier: MIT */
/*
 * test_tape_follow.c - a reader that follows a tape while it is written, looking
 * in the middle of writes, too: it gives what one gives that reads the tape
 * afterwards, in the same order. Of a ring, a slow one misses what was
 * overwritten, and nothing it gives is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "tape_fixture.h"

#define SLOT_BYTES  (32u << 10)
#define NR_PLACES   12u
#define NR_VCPUS    3u
#define MAX_RECORDS 400000u
#define NR_PAGES    40u
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TURNS 2200u
#else
#define TURNS 5000u
#endif

struct given {
	uint16_t vcpu;
	uint64_t seq;
};

struct world {
	struct fixture_file file;
	struct tape_writer *writer;
	struct tape_pages *pages;
	char path[64];
	int fd;
	uint64_t random, tsc;
	uint64_t seqs[NR_VCPUS];
	uint64_t *tscs[NR_VCPUS]; /* of each record */
	struct byte_buffer waiting[NR_VCPUS];
	uint64_t first_waiting[NR_VCPUS]; /* TSC; UINT64_MAX: none */
	unsigned nr_snapshots;
	uint64_t now[NR_PAGES];

	struct tape_reader *reader;
	struct tape_cursor *cursor;
	unsigned one_in; /* how often it looks */
	uint64_t next[NR_VCPUS];
	uint64_t missed;
	struct given *given;
	size_t nr_given;
	uint64_t last_ordinal;
};

/* ---- the one that follows -------------------------------------------- */

static void take(struct world *world, const struct trap_view *view)
{
	uint16_t vcpu = view->header.vcpu;
	uint64_t seq = view->header.seq;

	CHECK(vcpu < NR_VCPUS && seq < world->seqs[vcpu]);
	CHECK_INT(view->header.tsc, world->tscs[vcpu][seq]);
	CHECK(seq >= world->next[vcpu]);
	world->missed += seq - world->next[vcpu];
	world->next[vcpu] = seq + 1;
	world->given[world->nr_given++] = (struct given){vcpu, seq};
}

/* The memory of the newest snapshot, which a ring keeps for sure. */
static void check_pages(struct world *world)
{
	const struct tape_info *info = tape_reader_info(world->reader);
	const struct tape_snapshot *newest;
	uint8_t page[TAPE_PAGE_BYTES], wanted[TAPE_PAGE_BYTES];

	if (!info->nr_snapshots)
		return;
	newest = tape_reader_snapshot(world->reader, info->nr_snapshots - 1);
	CHECK(newest->ordinal >= world->last_ordinal);
	world->last_ordinal = newest->ordinal;
	if (newest->ordinal + 1 != world->nr_snapshots)
		return;
	for (unsigned i = 0; i < NR_PAGES; i++) {
		fixture_page(wanted, world->now[i]);
		CHECK_INT(tape_reader_page(world->reader, info->nr_snapshots - 1, i * 3, page, NULL), 0);
		CHECK(!memcmp(page, wanted, sizeof(page)));
	}
}

static void look(struct world *world, bool pages)
{
	uint64_t until = world->tsc;
	struct tape_error error = {0};
	struct trap_view view;
	int result;

	for (unsigned i = 0; i < NR_VCPUS; i++)
		if (world->first_waiting[i] <= until)
			until = world->first_waiting[i] - 1;
	if (!world->reader) {
		if (tape_reader_open(&world->reader, world->path, &error)) {
			world->reader = NULL;
			return;
		}
		CHECK_INT(tape_cursor_create(&world->cursor, world->reader, NULL), 0);
		CHECK_INT(tape_cursor_read_ahead(world->cursor, fixture_random(&world->random) % 3, NULL), 0);
	}
	tape_cursor_rest(world->cursor);
	result = tape_reader_refresh(world->reader, &error);
	if (result < 0)
		fprintf(stderr, "%s\n", error.message);
	CHECK(result >= 0);
	CHECK_INT(tape_cursor_go_on(world->cursor, NULL), 0);
	tape_cursor_until(world->cursor, until);
	/* Sometimes it leaves off in the middle. */
	while (fixture_random(&world->random) % 5000 && (result = tape_cursor_next(world->cursor, &view, &error)) > 0)
		take(world, &view);
	CHECK(result >= 0);
	if (pages)
		check_pages(world);
}

/* ---- what is written ------------------------------------------------- */

/* Each write comes in pieces, and may be looked at between them. */
static void on_write(void *ctx, uint64_t offset, const void *buffer, size_t size_bytes)
{
	struct world *world = ctx;
	const uint8_t *bytes = buffer;

	while (size_bytes) {
		size_t n = fixture_random(&world->random) % 3 ? size_bytes
							      : 1 + fixture_random(&world->random) % size_bytes;

		CHECK_INT(pwrite(world->fd, bytes, n, (off_t)offset), n);
		bytes += n;
		offset += n;
		size_bytes -= n;
		if (fixture_random(&world->random) % world->one_in == 0)
			look(world, false);
	}
}

static void flush(struct world *world, uint16_t vcpu)
{
	struct byte_buffer records = world->waiting[vcpu];

	/* It may be looked at before it is in the file. */
	world->waiting[vcpu] = (struct byte_buffer){0};
	if (records.size_bytes)
		fixture_append_traps(world->writer, vcpu, &records);
	byte_buffer_deinit(&records);
	world->first_waiting[vcpu] = UINT64_MAX;
}

static void add_records(struct world *world)
{
	unsigned count = 1 + (unsigned)(fixture_random(&world->random) % 60);

	for (unsigned i = 0; i < count; i++) {
		/* The last one is mostly idle. */
		uint16_t vcpu = (uint16_t)(fixture_random(&world->random) % 100 ? fixture_random(&world->random) % 2
										: NR_VCPUS - 1);
		char text[64];
		struct fixture_call call = {.type = TRAP_ENTER,
					    .vcpu = vcpu,
					    .seq = world->seqs[vcpu],
					    .tsc = ++world->tsc,
					    .cr3 = 0x1000,
					    .text = text};

		CHECK(world->seqs[vcpu] < MAX_RECORDS);
		snprintf(text, sizeof(text), "/%016" PRIx64 "%016" PRIx64, fixture_random(&world->random),
			 fixture_random(&world->random));
		world->tscs[vcpu][world->seqs[vcpu]++] = call.tsc;
		if (world->first_waiting[vcpu] == UINT64_MAX)
			world->first_waiting[vcpu] = call.tsc;
		fixture_add_call(&world->waiting[vcpu], &call);
	}
	for (uint16_t i = 0; i < NR_VCPUS; i++)
		if (world->waiting[i].size_bytes > 3000 || !(fixture_random(&world->random) % 8))
			flush(world, i);
}

static void take_snapshot(struct world *world)
{
	uint64_t regs[2] = {world->nr_snapshots, 2};
	const struct tape_ram_range range = {0, NR_PAGES * 3 * 4096};
	const struct tape_snapshot_info info = {.id = world->nr_snapshots,
						.tsc = ++world->tsc,
						.realtime_ns = 1000 * world->tsc,
						.nr_vcpus = 1,
						.nr_regs = 2,
						.vcpu_regs = regs,
						.nr_ranges = 1,
						.ranges = &range,
						.base = !world->nr_snapshots};
	uint8_t page[TAPE_PAGE_BYTES];

	for (unsigned i = 0; i < NR_PAGES; i++) {
		if (world->nr_snapshots && fixture_random(&world->random) % 8)
			continue;
		world->now[i] = fixture_random(&world->random) % 4000;
		fixture_page(page, world->now[i]);
		CHECK_INT(tape_pages_add(world->pages, i * 3, page, NULL), 0);
	}
	CHECK_INT(tape_pages_commit(world->pages, &info, NULL), 0);
	world->nr_snapshots++;
}

static void world_init(struct world *world, uint32_t nr_places, unsigned one_in)
{
	*world = (struct world){.random = 11 + one_in, .tsc = 1000, .one_in = one_in};
	snprintf(world->path, sizeof(world->path), "/tmp/test_tape_follow-XXXXXX");
	world->fd = mkstemp(world->path);
	CHECK(world->fd >= 0);
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		world->tscs[i] = calloc(MAX_RECORDS, sizeof(uint64_t));
		world->first_waiting[i] = UINT64_MAX;
		CHECK(world->tscs[i]);
	}
	world->given = calloc(NR_VCPUS * (size_t)MAX_RECORDS, sizeof(*world->given));
	CHECK(world->given);
	world->file.before_write = on_write;
	world->file.before_write_ctx = world;
	world->writer = fixture_ring_writer(&world->file, SLOT_BYTES, nr_places);
	CHECK_INT(tape_pages_create(&world->pages, world->writer, 1, NULL), 0);
}

static void world_deinit(struct world *world)
{
	tape_cursor_destroy(world->cursor);
	tape_reader_close(world->reader);
	tape_pages_destroy(world->pages);
	tape_writer_destroy(world->writer);
	fixture_file_deinit(&world->file);
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		free(world->tscs[i]);
		byte_buffer_deinit(&world->waiting[i]);
	}
	free(world->given);
	close(world->fd);
	unlink(world->path);
}

static void write_all(struct world *world, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		add_records(world);
		if (i % 50 == 7)
			take_snapshot(world);
		if (i % 40 == 9)
			fixture_append_meta(world->writer, "note.1=here\nvm_name=x\n");
		if (fixture_random(&world->random) % world->one_in == 0)
			look(world, true);
	}
	for (uint16_t i = 0; i < NR_VCPUS; i++)
		flush(world, i);
	CHECK_INT(
		tape_writer_finish(world->writer, "continued in b.vmt: it is 3 s old", &(struct tape_totals){0}, NULL),
		0);
	for (unsigned i = 0; i < 200; i++)
		look(world, true);
}

/* ---- tests ----------------------------------------------------------- */

/* What is read afterwards. */
static void check_same(struct world *world)
{
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	size_t n = 0;

	CHECK_INT(tape_reader_open(&reader, world->path, NULL), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	for (; tape_cursor_next(cursor, &view, NULL) > 0; n++) {
		CHECK(n < world->nr_given);
		CHECK_INT(view.header.vcpu, world->given[n].vcpu);
		CHECK_INT(view.header.seq, world->given[n].seq);
	}
	CHECK_INT(n, world->nr_given);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, tape_reader_info(world->reader)->nr_snapshots);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
}

static void test_append(unsigned one_in)
{
	const struct tape_problem *problems;
	struct world world;

	world_init(&world, 0, one_in);
	write_all(&world, TURNS / 4);
	CHECK(tape_reader_info(world.reader)->finished);
	CHECK(!strncmp(tape_reader_info(world.reader)->end_reason, "continued in b.vmt", 18));
	CHECK_INT(world.missed, 0);
	CHECK_INT(tape_cursor_late(world.cursor), 0);
	/* It may have been opened in the middle of a write. */
	for (size_t i = tape_reader_problems(world.reader, &problems); i > 0; i--)
		CHECK(!strncmp(problems[i - 1].message, "cut off", 7));
	CHECK_INT(world.last_ordinal + 1, world.nr_snapshots);
	check_same(&world);
	printf("append: %zu records in %u slots, one look in %u\n", world.nr_given,
	       tape_reader_info(world.reader)->nr_slots, one_in);
	world_deinit(&world);
}

/* Slow enough, it misses some. */
static void test_ring(unsigned one_in, bool may_miss)
{
	uint64_t all = 0, wraps;
	struct world world;

	world_init(&world, NR_PLACES, one_in);
	write_all(&world, TURNS);
	CHECK(tape_reader_info(world.reader)->finished);
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		all += world.seqs[i];
		CHECK_INT(world.next[i], world.seqs[i]);
	}
	CHECK_INT(world.nr_given + world.missed, all);
	CHECK(may_miss == (world.missed > 0));
	CHECK_INT(tape_cursor_late(world.cursor), 0);
	CHECK_INT(world.last_ordinal + 1, world.nr_snapshots);
	wraps = (tape_reader_info(world.reader)->nr_overwritten + NR_PLACES) / NR_PLACES;
	CHECK(wraps > 8);
	printf("ring: %zu records given, %" PRIu64 " missed, %" PRIu64 " wraps, one look in %u\n", world.nr_given,
	       world.missed, wraps, one_in);
	world_deinit(&world);
}

/* Counting on from such a number would never end. */
static void test_number_too_large(void)
{
	uint8_t bytes[TAPE_SLOT_HEADER_BYTES];
	struct tape_slot_header header;
	struct world world;
	off_t place = (off_t)(UINT64_MAX % NR_PLACES) * SLOT_BYTES;

	world_init(&world, NR_PLACES, 1000000);
	for (unsigned i = 0; i < 300; i++)
		add_records(&world);
	CHECK_INT(pread(world.fd, bytes, sizeof(bytes), place), sizeof(bytes));
	CHECK(tape_get_slot_header(bytes, &header));
	header.seq = UINT64_MAX;
	tape_put_slot_header(bytes, &header);
	CHECK_INT(pwrite(world.fd, bytes, sizeof(bytes), place), sizeof(bytes));
	look(&world, false);
	CHECK(world.reader);
	look(&world, false);
	world_deinit(&world);
}

static void test_another_file(void)
{
	struct world world;
	struct tape_error error = {0};

	world_init(&world, 0, 1000000);
	add_records(&world);
	look(&world, false);
	CHECK(world.reader);
	CHECK(!ftruncate(world.fd, 300));
	tape_cursor_rest(world.cursor);
	CHECK_INT(tape_reader_refresh(world.reader, &error), -ESTALE);
	CHECK(strstr(error.message, "cut short"));
	world_deinit(&world);
}

int main(void)
{
	test_append(3);
	test_append(40);
	test_ring(3, false);
	test_ring(30, false);
	test_ring(4000, true);
	test_another_file();
	test_number_too_large();
	return 0;
}
