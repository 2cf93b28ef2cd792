/* SPDX-License-Identifier: MIT */
#include "ram_snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Pages that the VM may copy in the last pause: 0.6 to 1.2 us each, so about half a ms beside the 0.2 ms that a pause
 * takes in any case. As long as each round leaves clearly less than the one before, it goes on; at a guest that writes
 * faster than that, the VM is asked to take what there is, by the means that pauses the guest least.
 */
#define PAUSE_PAGES 512
#define MAX_ROUNDS  12

/*
 * Pages that wait for the snapshot to become whole, at most half of the guest's: a round that is larger goes to the
 * tape at once, which takes three times as long, and longer where the recorder gets little of a CPU.
 */
#define HELD_MAX_BYTES (512u << 20)

/* Shortest time over which the TSC's rate is measured: 1 us of doubt in each pair is 20 ppm then. */
#define RATE_MIN_NS (100 * NS_PER_MS)

#define READ_PAGES (PROTO_MAX_READ_BYTES / GUEST_PAGE_BYTES)
/* Clean pages that a READ_RAM takes along rather than being asked twice: 64 KiB cost less than a round trip. */
#define BRIDGE_PAGES 16

void ram_snapshot_init(struct ram_snapshot *snapshot, struct producer *producer, struct tape_thread *tape,
		       struct loop *loop)
{
	*snapshot = (struct ram_snapshot){
		.producer = producer,
		.feed = {.tape = tape, .loop = loop},
		.staging = {.fd = -1},
		.is_base = true,
	};
}

void ram_snapshot_deinit(struct ram_snapshot *snapshot)
{
	guest_ram_deinit(&snapshot->ram);
	guest_ram_deinit(&snapshot->old_ram);
	staging_deinit(&snapshot->staging);
	page_feed_deinit(&snapshot->feed);
}

/* ---- bitmaps --------------------------------------------------------- */

/* NULL bitmap: all pages. First page >= page with this value, or end. */
static uint64_t find(const uint64_t *bitmap, uint64_t page, uint64_t end, bool value)
{
	if (!bitmap)
		return value ? page : end;
	while (page < end) {
		uint64_t word = (value ? bitmap[page / 64] : ~bitmap[page / 64]) >> (page % 64);

		if (word) {
			page += (unsigned)__builtin_ctzll(word);
			return page < end ? page : end;
		}
		page = (page / 64 + 1) * 64;
	}
	return end;
}

/* Bitmaps of all blocks, one behind the other, checked against the number of pages that was said. */
static int read_bitmaps(struct ram_snapshot *snapshot, const struct proto_snapshot_data *said, uint64_t **out,
			struct record_error *error)
{
	const struct guest_ram *ram = &snapshot->ram;
	uint64_t nr_words = 0, nr_set = 0, at = 0, *words;
	int ret;

	for (uint32_t i = 0; i < ram->nr_blocks; i++)
		nr_words += ram_block_words(&ram->blocks[i]);
	words = malloc((nr_words + 1) * sizeof(*words));
	if (!words)
		return record_error_set(error, -ENOMEM, "out of memory");
	ret = staging_read(&snapshot->staging, said->bitmaps_offset, words, nr_words * sizeof(*words), error);
	for (uint32_t i = 0; i < ram->nr_blocks && !ret; i++) {
		uint64_t n = ram_block_words(&ram->blocks[i]), pages = ram_block_pages(&ram->blocks[i]);

		if (pages % 64 && words[at + n - 1] >> (pages % 64))
			ret = record_error_set(error, -EPROTO, "a snapshot has dirty pages behind the end of block %s",
					       ram->blocks[i].name);
		for (uint64_t w = at; w < at + n; w++)
			nr_set += (unsigned)__builtin_popcountll(words[w]);
		at += n;
	}
	if (!ret && nr_set != said->nr_pages)
		ret = record_error_set(error, -EPROTO,
				       "a snapshot says that %" PRIu64 " pages are dirty, and lists %" PRIu64,
				       (uint64_t)said->nr_pages, nr_set);
	if (ret)
		free(words);
	else
		*out = words;
	return ret;
}

/* ---- pages while the guest runs -------------------------------------- */

/* A part of a block that the guest sees at one place; first and last in pages of the block, last not included. */
struct window {
	uint32_t block;
	uint64_t first, last;
	uint64_t gfn; /* of first */
};

static int read_shared(struct ram_snapshot *snapshot, const struct window *window, const uint64_t *bitmap,
		       struct record_error *error)
{
	const struct ram_block *block = &snapshot->ram.blocks[window->block];
	uint64_t page = find(bitmap, window->first, window->last, true);
	int ret = 0;

	while (page < window->last && !ret) {
		uint64_t n = find(bitmap, page, window->last, false) - page, offset = page * GUEST_PAGE_BYTES;
		uint64_t gfn = window->gfn + (page - window->first), holes;

		if (n > BATCH_PAGES && bitmap)
			n = BATCH_PAGES;
		holes = bitmap ? 0 : ram_block_hole_bytes(block, offset) / GUEST_PAGE_BYTES;
		if (holes) {
			n = holes < n ? holes : n;
			ret = page_feed_zeros(&snapshot->feed, gfn, n, error);
		} else {
			n = n < BATCH_PAGES ? n : BATCH_PAGES;
			ret = page_feed_pages(&snapshot->feed, gfn, n,
					      (struct page_source){.block = block, .offset = offset}, bitmap, error);
		}
		page = find(bitmap, page + n, window->last, true);
	}
	return ret;
}

/* How far a READ_RAM that begins at page may go: up to a long run of clean pages. */
static uint64_t find_span_end(const uint64_t *bitmap, uint64_t page, uint64_t last)
{
	uint64_t limit = last - page > READ_PAGES ? page + READ_PAGES : last;
	uint64_t end = find(bitmap, page, limit, false);

	while (end < limit) {
		uint64_t next = find(bitmap, end, limit, true);

		if (next == limit || next - end > BRIDGE_PAGES)
			break;
		end = find(bitmap, next, limit, false);
	}
	return end;
}

static int read_private(struct ram_snapshot *snapshot, const struct window *window, const uint64_t *bitmap,
			struct record_error *error)
{
	uint64_t page = find(bitmap, window->first, window->last, true);

	while (page < window->last) {
		uint64_t end = find_span_end(bitmap, page, window->last), start = page;
		int ret = producer_read_ram(snapshot->producer, window->block, page * GUEST_PAGE_BYTES,
					    (end - page) * GUEST_PAGE_BYTES, &snapshot->staging, error);

		while (!ret && page < end) {
			uint64_t n = find(bitmap, page, end, false) - page;
			const struct page_source source = {.staging = &snapshot->staging,
							   .offset = (page - start) * GUEST_PAGE_BYTES};

			ret = page_feed_pages(&snapshot->feed, window->gfn + (page - window->first), n, source, bitmap,
					      error);
			page = find(bitmap, page + n, end, true);
		}
		if (ret)
			return ret;
		page = find(bitmap, end, window->last, true);
	}
	return 0;
}

/* Pages of all blocks as they are now: those of the bitmaps, or (NULL) all that old_ram has not. */
static int read_running(struct ram_snapshot *snapshot, const uint64_t *bitmaps, struct record_error *error)
{
	const struct guest_ram *ram = &snapshot->ram;
	uint64_t at = 0;

	for (uint32_t b = 0; b < ram->nr_blocks; b++) {
		const struct ram_block *block = &ram->blocks[b];

		for (uint32_t r = 0; r < block->nr_ranges; r++) {
			const struct proto_ram_range *range = &block->ranges[r];
			const struct window window = {
				.block = b,
				.first = range->block_offset / GUEST_PAGE_BYTES,
				.last = (range->block_offset + range->size_bytes) / GUEST_PAGE_BYTES,
				.gfn = range->gpa / GUEST_PAGE_BYTES,
			};
			const uint64_t *bitmap = bitmaps ? bitmaps + at : NULL;
			int ret;

			if (!bitmaps && guest_ram_has_range(&snapshot->old_ram, block, range))
				continue;
			if (block->fd >= 0)
				ret = read_shared(snapshot, &window, bitmap, error);
			else
				ret = read_private(snapshot, &window, bitmap, error);
			if (ret)
				return ret;
		}
		at += ram_block_words(block);
	}
	return 0;
}

/* ---- pages of the pause ---------------------------------------------- */

static int add_staged(struct ram_snapshot *snapshot, const struct ram_block *block, uint64_t page, uint64_t staged_at,
		      struct record_error *error)
{
	uint64_t offset = page * GUEST_PAGE_BYTES;

	for (uint32_t r = 0; r < block->nr_ranges; r++) {
		const struct proto_ram_range *range = &block->ranges[r];
		int ret;

		if (offset < range->block_offset || offset - range->block_offset >= range->size_bytes)
			continue;
		ret = page_feed_pages(&snapshot->feed, (range->gpa + (offset - range->block_offset)) / GUEST_PAGE_BYTES,
				      1, (struct page_source){.staging = &snapshot->staging, .offset = staged_at}, true,
				      error);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_staged(struct ram_snapshot *snapshot, const struct proto_snapshot_data *said, const uint64_t *bitmaps,
		       struct record_error *error)
{
	const struct guest_ram *ram = &snapshot->ram;
	uint64_t at = 0, staged_at = said->pages_offset;

	for (uint32_t b = 0; b < ram->nr_blocks; b++) {
		const struct ram_block *block = &ram->blocks[b];
		uint64_t end = ram_block_pages(block);

		for (uint64_t page = find(bitmaps + at, 0, end, true); page < end;
		     page = find(bitmaps + at, page + 1, end, true)) {
			int ret = add_staged(snapshot, block, page, staged_at, error);

			if (ret)
				return ret;
			staged_at += GUEST_PAGE_BYTES;
		}
		at += ram_block_words(block);
	}
	return 0;
}

/* ---- what it costs the guest ----------------------------------------- */

static void note_pause(struct snapshot_figures *figures, const struct proto_snapshot_data *said)
{
	struct tape_snapshot_cost *cost = &figures->cost;

	cost->nr_pauses++;
	figures->pause_ns += said->pause_ns;
	if (said->pause_ns > cost->longest_pause_ns)
		cost->longest_pause_ns = said->pause_ns;
}

/* A round's pages, before they are read. */
static void note_round(struct snapshot_figures *figures, const struct proto_snapshot_data *said)
{
	note_pause(figures, said);
	if (!figures->nr_rounds++)
		figures->cost.dirty_pages = said->nr_pages;
	if (said->whole) {
		figures->cost.protected_pages = said->nr_protected;
		figures->cost.paused_pages = said->nr_pages - said->nr_protected;
	}
}

/* ---- the TSC's rate -------------------------------------------------- */

/*
 * A pause before anything is read. What is dirty does not matter then, as all is read after it; and without its clocks,
 * a tape with one snapshot could not tell any time.
 */
static int look_first(struct ram_snapshot *snapshot, struct record_error *error)
{
	struct proto_snapshot_data said;
	int ret = producer_snapshot(snapshot->producer, 0, 0, &snapshot->ram, &snapshot->staging, &said, error);

	if (ret)
		return ret;
	note_pause(&snapshot->figures, &said);
	snapshot->rate.first_tsc = said.tsc;
	snapshot->rate.first_ns = said.monotonic_ns;
	snapshot->has_looked = true;
	return 0;
}

/* Pairs too near to each other make a bad rate. */
static int wait_for_rate(struct ram_snapshot *snapshot, uint64_t started_ns, struct record_error *error)
{
	while (now_ns() < started_ns + RATE_MIN_NS)
		if (loop_wait(snapshot->feed.loop, NULL, 0, started_ns + RATE_MIN_NS) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	return 0;
}

/* Goes to the tape at the first snapshot, and again each time that it can be told twice as well. */
static int tell_rate(struct ram_snapshot *snapshot, const struct proto_snapshot_data *said, struct record_error *error)
{
	struct tsc_rate *rate = &snapshot->rate;
	uint64_t span_ns = said->monotonic_ns - rate->first_ns, ticks = said->tsc - rate->first_tsc;
	struct tape_error why = {0};
	struct tape_chunk *chunk;
	char text[64];
	int ret;

	if (!rate->first_ns || said->monotonic_ns <= rate->first_ns || said->tsc <= rate->first_tsc ||
	    span_ns < 2 * rate->told_span_ns)
		return 0;
	snprintf(text, sizeof(text), "tsc_hz=%.0f\n", (double)ticks * NS_PER_S / (double)span_ns);
	ret = tape_chunk_encode_meta(&chunk, text, &why);
	if (ret)
		return record_error_set(error, ret, "the rate of the TSC cannot be stored: %s", why.message);
	tape_thread_post_chunk(snapshot->feed.tape, chunk);
	rate->told_span_ns = span_ns;
	return 0;
}

static int commit(struct ram_snapshot *snapshot, const struct proto_snapshot_data *said, struct record_error *error)
{
	const struct snapshot_figures *figures = &snapshot->figures;
	size_t nr_regs = (size_t)said->nr_vcpus * said->nr_regs;
	uint64_t *regs = calloc(nr_regs + 1, sizeof(*regs));
	struct tape_snapshot_info info = {
		.id = said->snapshot_id,
		.tsc = said->tsc,
		.realtime_ns = said->realtime_ns,
		.pause_ns = figures->pause_ns,
		.cost = figures->cost,
		.nr_vcpus = said->nr_vcpus,
		.nr_regs = said->nr_regs,
		.vcpu_regs = regs,
		.nr_ranges = snapshot->ram.nr_ranges,
		.ranges = snapshot->ram.ranges,
		.base = snapshot->is_base,
	};
	int ret;

	if (!regs)
		return record_error_set(error, -ENOMEM, "out of memory");
	info.cost.duration_ns = now_ns() - figures->started_ns;
	ret = staging_read(&snapshot->staging, said->vcpus_offset, regs, nr_regs * sizeof(*regs), error);
	if (!ret && snapshot->rate.is_wanted)
		ret = tell_rate(snapshot, said, error);
	if (!ret)
		ret = page_feed_release(&snapshot->feed, error);
	if (!ret) {
		page_feed_send(&snapshot->feed);
		snapshot->last_job = tape_thread_post_commit(snapshot->feed.tape, &info);
		snapshot->is_base = false;
		snapshot->committed++;
	}
	free(regs);
	return ret;
}

/* The dirty pages of a round are forgotten by the VM, and we could not read them. */
static void read_all_again(struct ram_snapshot *snapshot)
{
	held_pages_clear(&snapshot->feed.held);
	guest_ram_deinit(&snapshot->old_ram);
	snapshot->is_base = true;
}

/*
 * One round: *whole when it ended in a commit. The map may change while the VM
 * makes its answer. Blocks that only moved keep their place in the bitmaps, and
 * the old map serves for this snapshot; else the bitmaps cannot be read.
 */
static int take_round(struct ram_snapshot *snapshot, uint64_t max_pages, bool *whole, uint64_t *nr_dirty,
		      struct record_error *error)
{
	struct proto_snapshot_data said;
	struct guest_ram new_ram = {0};
	uint64_t *bitmaps = NULL;
	int answered = producer_snapshot(snapshot->producer, snapshot->last_id, max_pages, &snapshot->ram,
					 &snapshot->staging, &said, error);
	int ret = 0;

	*nr_dirty = 0;
	if (answered && answered != -EPROTO)
		return answered;
	if (!answered) {
		note_round(&snapshot->figures, &said);
		*nr_dirty = said.nr_pages;
	}
	if (snapshot->map_changed) {
		snapshot->map_changed = false;
		ret = producer_get_ram(snapshot->producer, &new_ram, error);
		if (!ret && !guest_ram_same_blocks(&snapshot->ram, &new_ram)) {
			ram_snapshot_set_map(snapshot, &new_ram);
			read_all_again(snapshot);
			return -EAGAIN;
		}
	}
	if (!ret)
		ret = answered;
	if (!ret && !said.whole && max_pages == UINT64_MAX)
		ret = record_error_set(error, -EPROTO, "a snapshot without a limit is not whole");
	if (!ret)
		ret = read_bitmaps(snapshot, &said, &bitmaps, error);
	if (!ret)
		ret = page_feed_make_room(&snapshot->feed, said.nr_pages, error);
	if (!ret && said.whole) {
		snapshot->figures.cost.running_pages = snapshot->feed.copied_pages;
		ret = read_staged(snapshot, &said, bitmaps, error);
	} else if (!ret) {
		ret = read_running(snapshot, bitmaps, error);
	}
	free(bitmaps);
	/* Under the new map, a page number that is held may be another page's. */
	if (!ret && new_ram.nr_blocks)
		ret = page_feed_release(&snapshot->feed, error);
	if (!ret && said.whole)
		ret = commit(snapshot, &said, error);
	*whole = !ret && said.whole;
	if (ret)
		read_all_again(snapshot);
	if (new_ram.nr_blocks && !ret)
		ram_snapshot_set_map(snapshot, &new_ram);
	guest_ram_deinit(&new_ram);
	return ret;
}

static size_t held_max_pages(const struct guest_ram *ram)
{
	uint64_t half_bytes = guest_ram_bytes(ram) / 2;

	return (half_bytes < HELD_MAX_BYTES ? half_bytes : HELD_MAX_BYTES) / GUEST_PAGE_BYTES;
}

/* The map is on the tape from here on: only what it does not hold comes whole later. */
static int remember_map(struct ram_snapshot *snapshot, struct record_error *error)
{
	struct guest_ram copy = {.blocks = calloc(snapshot->ram.nr_blocks + 1, sizeof(*copy.blocks))};

	if (!copy.blocks)
		return record_error_set(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < snapshot->ram.nr_blocks; i++) {
		const struct ram_block *from = &snapshot->ram.blocks[i];
		struct ram_block *to = &copy.blocks[copy.nr_blocks++];

		*to = *from;
		to->fd = -1;
		to->ranges = calloc(from->nr_ranges + 1, sizeof(*to->ranges));
		if (!to->ranges) {
			guest_ram_deinit(&copy);
			return record_error_set(error, -ENOMEM, "out of memory");
		}
		memcpy(to->ranges, from->ranges, from->nr_ranges * sizeof(*to->ranges));
	}
	guest_ram_deinit(&snapshot->old_ram);
	snapshot->old_ram = copy;
	return 0;
}

void ram_snapshot_set_map(struct ram_snapshot *snapshot, struct guest_ram *ram)
{
	guest_ram_deinit(&snapshot->ram);
	snapshot->ram = *ram;
	*ram = (struct guest_ram){0};
}

void ram_snapshot_restart(struct ram_snapshot *snapshot)
{
	/* What a snapshot that failed left over. */
	tape_thread_batch_put(snapshot->feed.tape, snapshot->feed.batch);
	snapshot->feed.batch = NULL;
	snapshot->rate.told_span_ns = 0;
	read_all_again(snapshot);
}

void ram_snapshot_give_room(struct ram_snapshot *snapshot)
{
	if (snapshot->feed.held.nr_pages)
		ram_snapshot_restart(snapshot);
}

static int update_map(struct ram_snapshot *snapshot, struct record_error *error)
{
	struct guest_ram ram = {0};
	int ret;

	snapshot->map_changed = false;
	ret = producer_get_ram(snapshot->producer, &ram, error);
	if (!ret)
		ram_snapshot_set_map(snapshot, &ram);
	guest_ram_deinit(&ram);
	return ret;
}

/*
 * Rounds until one is whole. Most guests write to ever the same pages, so that few rounds do; where they don't get
 * fewer, there is no use in more of them.
 */
static int take_rounds(struct ram_snapshot *snapshot, bool starts_rate, struct record_error *error)
{
	uint64_t max_pages = PAUSE_PAGES, last_dirty = UINT64_MAX;
	unsigned changes = 0, round = 0;
	bool whole = false;

	while (!whole) {
		uint64_t nr_dirty;
		int ret = read_running(snapshot, NULL, error);

		if (!ret)
			ret = remember_map(snapshot, error);
		if (!ret && starts_rate)
			ret = wait_for_rate(snapshot, snapshot->figures.started_ns, error);
		if (!ret)
			ret = take_round(snapshot, max_pages, &whole, &nr_dirty, error);
		if (ret == -EAGAIN) {
			if (++changes == 8)
				return record_error_set(error, -EREMOTEIO, "the memory map does not come to rest");
			continue;
		}
		if (ret)
			return ret;
		if (nr_dirty > last_dirty / 4 * 3 || ++round == MAX_ROUNDS)
			max_pages = UINT64_MAX;
		last_dirty = nr_dirty;
	}
	return 0;
}

int ram_snapshot_take(struct ram_snapshot *snapshot, struct record_error *error)
{
	bool starts_rate = snapshot->rate.is_wanted && !snapshot->has_looked;
	int ret = 0;

	snapshot->last_id++;
	snapshot->figures = (struct snapshot_figures){.started_ns = now_ns()};
	snapshot->feed.copied_pages = 0;
	/* Without room to hold pages in, they go to the tape at once. */
	if (!snapshot->feed.held.max_pages)
		held_pages_init(&snapshot->feed.held, held_max_pages(&snapshot->ram), snapshot->feed.beside);
	/* What an attempt that failed has held is older than anything read from here on. */
	ret = page_feed_release(&snapshot->feed, error);
	if (ret)
		read_all_again(snapshot);
	if (!ret && snapshot->map_changed)
		ret = update_map(snapshot, error);
	if (!ret && !snapshot->has_looked)
		ret = look_first(snapshot, error);
	return ret ? ret : take_rounds(snapshot, starts_rate, error);
}
