/* SPDX-License-Identifier: MIT */
#include "held_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#define PASSING_PAGES 64u

/* Not there before it is written to. */
static void *map_pages(size_t nr_pages)
{
	void *memory = mmap(NULL, nr_pages * GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int held_pages_init(struct held_pages *held, size_t max_pages, const char *beside)
{
	size_t room = 64;

	*held = (struct held_pages){0};
	spill_file_init(&held->spill, beside);
	if (!max_pages)
		return 0;
	if (max_pages >= UINT32_MAX / 4)
		return -ENOMEM;
	while (room < max_pages * 2)
		room *= 2;
	held->max_pages = max_pages;
	held->limit = max_pages < HELD_MEMORY_PAGES ? max_pages : HELD_MEMORY_PAGES;
	held->table_room = room;
	held->memory = map_pages(HELD_MEMORY_PAGES);
	held->passing = map_pages(PASSING_PAGES);
	held->gfns = malloc(max_pages * sizeof(*held->gfns));
	held->sums = malloc(max_pages * sizeof(*held->sums));
	held->table = calloc(room, sizeof(*held->table));
	held->in_order = malloc(max_pages * sizeof(*held->in_order));
	if (!held->memory || !held->passing || !held->gfns || !held->sums || !held->table || !held->in_order) {
		held_pages_deinit(held);
		return -ENOMEM;
	}
	return 0;
}

void held_pages_deinit(struct held_pages *held)
{
	if (held->memory)
		munmap(held->memory, (size_t)HELD_MEMORY_PAGES * GUEST_PAGE_BYTES);
	if (held->passing)
		munmap(held->passing, (size_t)PASSING_PAGES * GUEST_PAGE_BYTES);
	/* Zeroed from the start: nothing was ever opened. */
	if (held->max_pages)
		spill_file_deinit(&held->spill);
	free(held->gfns);
	free(held->sums);
	free(held->table);
	free(held->in_order);
	*held = (struct held_pages){0};
}

/* The file's room is looked at once a round: what fails later nevertheless is told then. */
void held_pages_look(struct held_pages *held, uint64_t nr_pages, bool may_use_file)
{
	size_t in_memory = held->max_pages < HELD_MEMORY_PAGES ? held->max_pages : HELD_MEMORY_PAGES;

	/* A round may bring more than it told of: a page that the guest sees at two places. */
	held->limit = in_memory;
	if (nr_pages + held->nr_pages <= in_memory || nr_pages > held->max_pages || !may_use_file)
		return;
	if (spill_file_has_room(&held->spill, (held->max_pages - in_memory) * GUEST_PAGE_BYTES))
		held->limit = held->max_pages;
}

static uint32_t *find(const struct held_pages *held, uint64_t gfn)
{
	size_t at = (gfn * 0x9e3779b97f4a7c15u >> 24) & (held->table_room - 1);

	while (held->table[at] && held->gfns[held->table[at] - 1] != gfn)
		at = (at + 1) & (held->table_room - 1);
	return &held->table[at];
}

/* Index of a page that is there or was added; -1: full. */
static int64_t find_or_add(struct held_pages *held, uint64_t gfn)
{
	uint32_t *entry;

	if (!held->max_pages)
		return -1;
	entry = find(held, gfn);
	if (!*entry) {
		if (held->nr_pages >= held->limit)
			return -1;
		held->gfns[held->nr_pages++] = gfn;
		*entry = (uint32_t)held->nr_pages;
	}
	return (int64_t)*entry - 1;
}

uint8_t *held_pages_place(struct held_pages *held, uint64_t gfn, uint32_t *nr_pages)
{
	int64_t first = find_or_add(held, gfn);
	uint32_t n = 1, limit;

	if (first < 0)
		return NULL;
	limit = first < HELD_MEMORY_PAGES ? HELD_MEMORY_PAGES - (uint32_t)first : PASSING_PAGES;
	if (*nr_pages < limit)
		limit = *nr_pages;
	/* A page that lies elsewhere, would come to, or finds no room ends the run: none is added without contents. */
	for (; n < limit; n++) {
		uint32_t entry = *find(held, gfn + n);

		if ((entry ? entry - 1 : held->nr_pages) != (size_t)first + n || find_or_add(held, gfn + n) < 0)
			break;
	}
	*nr_pages = n;
	held->placed_at = (uint32_t)first;
	held->nr_placed = n;
	return first < HELD_MEMORY_PAGES ? held->memory[first] : held->passing[0];
}

static uint64_t spill_offset(uint32_t index)
{
	return (uint64_t)(index - HELD_MEMORY_PAGES) * GUEST_PAGE_BYTES;
}

int held_pages_placed(struct held_pages *held)
{
	uint32_t first = held->placed_at, n = held->nr_placed;
	int ret;

	if (first < HELD_MEMORY_PAGES)
		return 0;
	ret = spill_file_write(&held->spill, spill_offset(first), held->passing, (size_t)n * GUEST_PAGE_BYTES);
	for (uint32_t i = 0; i < n; i++) {
		if (ret)
			held->gfns[first + i] = HELD_NO_GFN;
		else
			held->sums[first + i] = XXH3_64bits(held->passing[i], GUEST_PAGE_BYTES);
	}
	return ret;
}

static int by_gfn(const void *a, const void *b, void *arg)
{
	const struct held_pages *held = arg;
	uint64_t left = held->gfns[*(const uint32_t *)a], right = held->gfns[*(const uint32_t *)b];

	return (left > right) - (left < right);
}

const uint32_t *held_pages_sort(struct held_pages *held)
{
	for (size_t i = 0; i < held->nr_pages; i++)
		held->in_order[i] = (uint32_t)i;
	if (held->nr_pages > 1)
		qsort_r(held->in_order, held->nr_pages, sizeof(*held->in_order), by_gfn, held);
	return held->in_order;
}

int held_pages_read(const struct held_pages *held, const uint32_t *indexes, uint32_t nr_pages, uint8_t *out)
{
	uint32_t n;

	for (uint32_t i = 0; i < nr_pages; i += n) {
		uint32_t first = indexes[i];
		uint8_t *to = out + (size_t)i * GUEST_PAGE_BYTES;
		int ret;

		n = 1;
		if (first < HELD_MEMORY_PAGES) {
			memcpy(to, held->memory[first], GUEST_PAGE_BYTES);
			continue;
		}
		while (i + n < nr_pages && indexes[i + n] == first + n)
			n++;
		ret = spill_file_read(&held->spill, spill_offset(first), to, (size_t)n * GUEST_PAGE_BYTES);
		if (ret)
			return ret;
		/* A device that fails in the background says so to nobody: the cache is dropped, and old bytes come. */
		for (uint32_t k = 0; k < n; k++)
			if (XXH3_64bits(to + (size_t)k * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES) != held->sums[first + k])
				return -EIO;
	}
	return 0;
}

void held_pages_clear(struct held_pages *held)
{
	if (!held->nr_pages)
		return;
	if (held->nr_pages > HELD_MEMORY_PAGES)
		spill_file_clear(&held->spill);
	memset(held->table, 0, held->table_room * sizeof(*held->table));
	held->nr_pages = 0;
}
