/* SPDX-License-Identifier: MIT */
#include "held_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Kept between snapshots, so that the next one does not fault it in again. */
#define KEEP_PAGES 4096u

int held_pages_init(struct held_pages *held, size_t max_pages)
{
	size_t room = 64;
	void *memory;

	*held = (struct held_pages){0};
	if (!max_pages)
		return 0;
	while (room < max_pages * 2)
		room *= 2;
	/* Not there before it is written to. */
	memory = mmap(NULL, max_pages * GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* A large page is one fault instead of 512. */
	madvise(memory, max_pages * GUEST_PAGE_BYTES, MADV_HUGEPAGE);
	held->pages = memory;
	held->max_pages = max_pages;
	held->table_room = room;
	held->gfns = malloc(max_pages * sizeof(*held->gfns));
	held->table = calloc(room, sizeof(*held->table));
	held->in_order = malloc(max_pages * sizeof(*held->in_order));
	if (!held->gfns || !held->table || !held->in_order) {
		held_pages_deinit(held);
		return -ENOMEM;
	}
	return 0;
}

void held_pages_deinit(struct held_pages *held)
{
	if (held->pages)
		munmap(held->pages, held->max_pages * GUEST_PAGE_BYTES);
	free(held->gfns);
	free(held->table);
	free(held->in_order);
	*held = (struct held_pages){0};
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
		if (held->nr_pages == held->max_pages)
			return -1;
		held->gfns[held->nr_pages++] = gfn;
		*entry = (uint32_t)held->nr_pages;
	}
	return (int64_t)*entry - 1;
}

uint8_t *held_pages_place(struct held_pages *held, uint64_t gfn, uint32_t *nr_pages)
{
	int64_t first = find_or_add(held, gfn);
	uint32_t n = 1;

	if (first < 0)
		return NULL;
	/* A page that lies elsewhere or finds no room ends the run; one that was added for nothing is filled next. */
	while (n < *nr_pages && find_or_add(held, gfn + n) == first + n)
		n++;
	*nr_pages = n;
	return held->pages[first];
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

void held_pages_clear(struct held_pages *held)
{
	if (held->nr_pages > KEEP_PAGES)
		madvise(held->pages[KEEP_PAGES], (held->nr_pages - KEEP_PAGES) * GUEST_PAGE_BYTES, MADV_DONTNEED);
	if (held->nr_pages)
		memset(held->table, 0, held->table_room * sizeof(*held->table));
	held->nr_pages = 0;
}
