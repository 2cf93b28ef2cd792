/* SPDX-License-Identifier: MIT */
/*
 * test_tape_ring.c - ring tapes against a model of the guest, over many wraps.
 * At any moment, cut as a kill would cut it, the tape decodes from its oldest
 * record on: records without a hole, a snapshot not younger than they are, each
 * page of each snapshot, meta lines and plans, and of each record who made it.
 */
#include <errno.h>

#include "check.h"
#include "plan_abi.h"
#include "tape_fixture.h"
#include "tape_ring_state.h"

#define SLOT_BYTES    (256u << 10)
#define NR_PLACES     16u
#define NR_PAGES      1400u
#define MAX_SNAPSHOTS 4000u
#define NR_VCPUS      3u
#define ABSENT        UINT64_MAX
#define MAX_TASKS     (1u << 20)
#define NO_TASK       UINT32_MAX
#define TASK_BASE     0xffff888000000000u
#define NAME_LABEL    PLAN_LABEL_COMM

/* A place for a task: who is there now. Names are numbers, each given once. */
struct world_task {
	uint32_t id, name;
};

struct world {
	struct fixture_file file;
	struct tape_writer *writer;
	struct tape_pages *pages;
	uint64_t random;
	uint64_t tsc;
	uint64_t seqs[NR_VCPUS];
	/* who runs: a vCPU says so when it is another than before, or when a task's name changed */
	unsigned nr_tasks, shown_tasks; /* places; the first are in the snapshots */
	struct world_task *tasks;
	uint32_t running[NR_VCPUS], told_id[NR_VCPUS];
	struct byte_buffer pending[NR_VCPUS]; /* records that are not on the tape yet */
	uint64_t *born;                       /* by name: its TSC */
	uint32_t nr_names, born_room;
	uint32_t **names; /* by ordinal: of the tasks, at that snapshot */
	uint64_t nr_named, nr_carried, nr_unsure;

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

static void world_init(struct world *world, unsigned nr_pages, unsigned nr_tasks)
{
	*world = (struct world){.random = 7, .tsc = 1000, .fresh = 10, .nr_pages = nr_pages, .nr_tasks = nr_tasks};
	world->at = calloc(MAX_SNAPSHOTS, sizeof(*world->at));
	world->tscs = calloc(MAX_SNAPSHOTS, sizeof(*world->tscs));
	world->names = calloc(MAX_SNAPSHOTS, sizeof(*world->names));
	world->tasks = calloc(nr_tasks, sizeof(*world->tasks));
	CHECK(world->at && world->tscs && world->names && world->tasks);
	for (unsigned i = 0; i < NR_PAGES; i++)
		world->now[i] = ABSENT;
	for (unsigned i = 0; i < NR_VCPUS; i++)
		world->running[i] = NO_TASK;
	world->shown_tasks = nr_tasks;
	world->writer = fixture_ring_writer(&world->file, SLOT_BYTES, NR_PLACES);
	CHECK_INT(tape_pages_create(&world->pages, world->writer, 1, NULL), 0);
}

static void world_deinit(struct world *world)
{
	tape_pages_destroy(world->pages);
	tape_writer_destroy(world->writer);
	fixture_file_deinit(&world->file);
	for (unsigned i = 0; i < MAX_SNAPSHOTS; i++)
		free(world->names[i]);
	for (unsigned i = 0; i < NR_VCPUS; i++)
		byte_buffer_deinit(&world->pending[i]);
	free(world->names);
	free(world->tasks);
	free(world->born);
	free(world->at);
	free(world->tscs);
}

static uint64_t below(struct world *world, uint64_t n)
{
	return fixture_random(&world->random) % n;
}

/* ---- what happens ---------------------------------------------------- */

/* Who made it, and, as a fragment, by which name; calls have some bytes more, which don't compress. */
static void put_record(struct world *world, unsigned vcpu, uint8_t type, uint32_t task)
{
	struct byte_buffer *out = &world->pending[vcpu];
	uint32_t mask = 1u << TRAP_REG_CR3 | 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID;
	uint16_t name_bytes = type == TRAP_ENTER ? 36 : 20;

	mask |= type == TRAP_ENTER ? 1u << TRAP_REG_RAX : 0;
	byte_buffer_add_u32(out, 32u + 8u * (uint32_t)__builtin_popcount(mask) + 16u + ((name_bytes + 7u) & ~7u));
	byte_buffer_add_u32(out, type | TRAP_ABI_X86_64 << 8);
	byte_buffer_add_u16(out, (uint16_t)vcpu);
	byte_buffer_add_u16(out, 1);
	byte_buffer_add_u32(out, mask);
	byte_buffer_add_u64(out, world->seqs[vcpu]++);
	byte_buffer_add_u64(out, world->tsc++);
	if (type == TRAP_ENTER)
		byte_buffer_add_u64(out, below(world, 300));
	byte_buffer_add_u64(out, 0x1000 * (1 + task % 5));
	byte_buffer_add_u64(out, TASK_BASE + task * 64u);
	byte_buffer_add_u64(out, world->tasks[task].id);
	byte_buffer_add_u64(out, TASK_BASE + task * 64u + 8);
	byte_buffer_add_u32(out, name_bytes);
	byte_buffer_add_u16(out, name_bytes);
	byte_buffer_add_u16(out, TRAP_FRAG_WHOLE | NAME_LABEL << 8);
	byte_buffer_add_u32(out, world->tasks[task].name);
	for (unsigned i = 4; i < ((name_bytes + 7u) & ~7u); i += 4)
		byte_buffer_add_u32(out, type == TRAP_ENTER && i < name_bytes ? (uint32_t)below(world, 1ull << 32) : 0);
}

static void put_mark(struct world *world, unsigned vcpu)
{
	struct byte_buffer *out = &world->pending[vcpu];

	byte_buffer_add_u32(out, 32 + 16);
	byte_buffer_add_u32(out, TRAP_MARK);
	byte_buffer_add_u16(out, (uint16_t)vcpu);
	byte_buffer_add_u16(out, 0);
	byte_buffer_add_u32(out, 0);
	byte_buffer_add_u64(out, world->seqs[vcpu]++);
	byte_buffer_add_u64(out, world->tsc);
	byte_buffer_add_u64(out, world->nr_snapshots);
	byte_buffer_add_u64(out, 0);
}

static void give_name(struct world *world, uint32_t task)
{
	if (world->nr_names == world->born_room) {
		world->born_room = world->born_room ? world->born_room * 2 : 1024;
		world->born = realloc(world->born, world->born_room * sizeof(*world->born));
		CHECK(world->born);
	}
	world->born[world->nr_names] = world->tsc;
	world->tasks[task].name = world->nr_names++;
}

static bool runs_elsewhere(const struct world *world, unsigned vcpu, uint32_t task)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		if (i != vcpu && world->running[i] == task)
			return true;
	return false;
}

/* Another task gets the vCPU: one from before, or a new one in its place. */
static void switch_to(struct world *world, unsigned vcpu, uint32_t task, bool is_new)
{
	if (runs_elsewhere(world, vcpu, task))
		return;
	if (is_new || !world->tasks[task].id) {
		world->tasks[task].id++;
		give_name(world, task);
	}
	if (world->running[vcpu] != task || world->told_id[vcpu] != world->tasks[task].id)
		put_record(world, vcpu, TRAP_IDENTITY, task);
	world->running[vcpu] = task;
	world->told_id[vcpu] = world->tasks[task].id;
}

static void flush(struct world *world, unsigned vcpu)
{
	if (world->pending[vcpu].size_bytes)
		fixture_append_traps(world->writer, (uint16_t)vcpu, &world->pending[vcpu]);
}

static void flush_all(struct world *world)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		flush(world, i);
}

/* vCPUs run side by side; what they did gets onto the tape sooner or later. The last one does little, and tells it
 * late. */
static void add_records(struct world *world, unsigned count)
{
	while (count--) {
		unsigned vcpu = (unsigned)(below(world, 50) ? below(world, NR_VCPUS - 1) : NR_VCPUS - 1);
		uint32_t task = world->running[vcpu];

		if (task == NO_TASK || !below(world, 6)) {
			switch_to(world, vcpu, (uint32_t)below(world, world->nr_tasks), !below(world, 4));
			task = world->running[vcpu];
		} else if (!below(world, 40)) {
			/* execve: another name, which is told at once */
			give_name(world, task);
			put_record(world, vcpu, TRAP_IDENTITY, task);
		}
		if (task != NO_TASK)
			put_record(world, vcpu, TRAP_ENTER, task);
		if (world->pending[vcpu].size_bytes > 12000 || !below(world, vcpu == NR_VCPUS - 1 ? 40 : 100))
			flush(world, vcpu);
	}
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
		unsigned page = (unsigned)below(world, world->nr_pages);
		unsigned other = (unsigned)below(world, world->nr_pages);

		switch (below(world, 8)) {
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
	world->tscs[world->nr_snapshots] = world->tsc;
	world->names[world->nr_snapshots] = malloc((world->shown_tasks + 1) * sizeof(uint32_t));
	CHECK(world->names[world->nr_snapshots]);
	for (unsigned i = 0; i < world->shown_tasks; i++)
		world->names[world->nr_snapshots][i] = world->tasks[i].id ? world->tasks[i].name : NO_TASK;
	for (unsigned i = 0; i < NR_VCPUS; i++)
		put_mark(world, i);
	world->tsc++;
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

/* The name in a record's first fragment. */
static uint32_t name_of(const struct trap_view *view)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	CHECK(trap_view_next_fragment(view, &position, &fragment, &bytes) && fragment.len_bytes >= 4);
	return get_le32(bytes);
}

static void pass_snapshots(const struct world *world, struct tape_reader *reader, uint64_t tsc, uint32_t *next,
			   uint32_t *known)
{
	for (; *next < tape_reader_info(reader)->nr_snapshots; ++*next) {
		const struct tape_snapshot_info *info = &tape_reader_snapshot(reader, *next)->info;

		if (info->tsc > tsc)
			return;
		memcpy(known, world->names[info->id], world->shown_tasks * sizeof(*known));
	}
}

/*
 * Who made each record, by what the tape tells up to then: snapshots, and identity
 * records, those that are carried among them. Where the tape says that some were left
 * out, names from before that may be wrong; no others.
 */
static void check_names(struct world *world, struct tape_reader *reader)
{
	uint32_t *known = malloc(world->nr_tasks * sizeof(*known)), next_snapshot = 0;
	uint64_t since_tsc, last_tsc = 0;
	struct tape_cursor *cursor;
	struct trap_view view;

	CHECK(known);
	memset(known, 0xff, world->nr_tasks * sizeof(*known));
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	CHECK_INT(tape_cursor_want_carried(cursor, &since_tsc, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) == 1) {
		uint64_t task = (view.regs[TRAP_REG_TASK] - TASK_BASE) / 64;
		bool is_carried = tape_cursor_is_carried(cursor);

		pass_snapshots(world, reader, view.header.tsc, &next_snapshot, known);
		world->nr_carried += is_carried;
		CHECK(!is_carried || (view.header.type == TRAP_IDENTITY && view.header.tsc >= last_tsc));
		last_tsc = is_carried ? view.header.tsc : last_tsc;
		if (view.header.type == TRAP_MARK)
			continue;
		CHECK(task < world->nr_tasks);
		if (view.header.type == TRAP_IDENTITY) {
			known[task] = name_of(&view);
			continue;
		}
		world->nr_named++;
		if (known[task] == name_of(&view) || world->may_lose)
			continue;
		if (world->born[name_of(&view)] >= since_tsc)
			fprintf(stderr,
				"record of TSC %" PRIu64 ": task %" PRIu64 " is %u (since %" PRIu64
				"), not %u; whole since %" PRIu64 "\n",
				(uint64_t)view.header.tsc, task, name_of(&view), world->born[name_of(&view)],
				known[task], since_tsc);
		CHECK(world->born[name_of(&view)] < since_tsc);
		world->nr_unsure++;
	}
	tape_cursor_destroy(cursor);
	free(known);
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
	check_names(world, reader);
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
	flush_all(world);
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

	world_init(&world, 200, 150);
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
		add_records(&world, 20 + (unsigned)below(&world, 200));
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

	world_init(&world, 200, 150);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	take_snapshot(&world, true);
	world.file.before_write = cut_here;
	world.file.before_write_ctx = &world;
	for (unsigned round = 0; round < 1200; round++) {
		add_records(&world, 20 + (unsigned)below(&world, 200));
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

	world_init(&world, 880, 150);
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	take_snapshot(&world, true);
	for (unsigned round = 0; round < 600; round++) {
		if (round % 5 == 0) {
			change_pages(&world, 12);
			take_snapshot(&world, false);
		}
		add_records(&world, 20 + (unsigned)below(&world, 200));
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

	world_init(&world, NR_PAGES, 150);
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

	world_init(&world, 60, 150);
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

	world_init(&world, 60, 150);
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

/*
 * A million tasks that live for a moment, more between two snapshots than a slot
 * has room for: memory and what is written stay bounded, and the tape says from
 * where on it knows them.
 */
static void test_many_tasks(void)
{
	const size_t max_bytes = SLOT_BYTES / 8;
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	struct world world;

	world_init(&world, 20, MAX_TASKS);
	world.shown_tasks = 1000;
	fixture_append_meta(world.writer, "first=kept\nplan=0\n");
	for (uint32_t task = 0; task < 1000000; task++) {
		const struct ring_tasks *tasks = &tape_writer_ring(world.writer)->tasks;
		unsigned vcpu = task % 2;

		if (task % 20000 == 0)
			take_snapshot(&world, !task);
		/* One on the last vCPU gets a new name behind each snapshot, and does something now and then. */
		if (task % 20000 == 1)
			switch_to(&world, 2, 0, true);
		if (task % 1000 == 1)
			put_record(&world, 2, TRAP_ENTER, 0);
		if (task % 5000 == 1)
			flush(&world, 2);
		switch_to(&world, vcpu, task, true);
		put_record(&world, vcpu, TRAP_ENTER, task);
		if (world.pending[vcpu].size_bytes > 50000)
			flush(&world, vcpu);
		CHECK(tasks->bytes.size_bytes <= 2 * max_bytes + TRAP_RECORD_MAX_BYTES);
		CHECK(tasks->nr_places <= 4 * max_bytes / 64);
		if (task % 250007 == 250006)
			check_tape(&world, true);
	}
	/* What is told is what there is room for: some 300 tasks, the last of them. */
	CHECK(world.nr_unsure && world.nr_carried >= world.nr_checks * (max_bytes / 200));
	CHECK_INT(tape_reader_open_memory(&reader, world.file.bytes, world.file.size_bytes, NULL), 0);
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 1);
	tape_reader_close(reader);
	printf("a million tasks: %" PRIu64 " wraps, %" PRIu64 " records named, %" PRIu64 " carried, %" PRIu64
	       " of tasks that had to be left out\n",
	       nr_wraps(&world), world.nr_named, world.nr_carried, world.nr_unsure);
	world_deinit(&world);
}

int main(void)
{
	test_many_tasks();
	test_read_while_recording();
	test_life(false);
	test_life(true);
	test_kills();
	test_nearly_full();
	test_too_small();
	test_damage();
	return 0;
}
