/* SPDX-License-Identifier: MIT */
/*
 * held_pages.h - pages of a snapshot that is not finished, by gfn, newest
 * contents only: a page that the guest writes again is copied over instead of
 * being compressed twice, and copying them does not wait for the tape. The first
 * few thousand are in memory, the others in a file beside the tape. One thread.
 */
#ifndef HELD_PAGES_H
#define HELD_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_ram.h"
#include "spill_file.h"

#define HELD_MEMORY_PAGES 1024u /* 4 MiB */
#define HELD_NO_GFN       UINT64_MAX

struct held_pages {
	uint8_t (*memory)[GUEST_PAGE_BYTES];  /* of the first HELD_MEMORY_PAGES */
	uint8_t (*passing)[GUEST_PAGE_BYTES]; /* on their way to the file */
	struct spill_file spill;              /* the others */
	size_t max_pages, nr_pages;
	size_t limit;       /* of nr_pages, by held_pages_look() */
	uint64_t *gfns;     /* of each page; HELD_NO_GFN: it was lost on its way to the file */
	uint64_t *sums;     /* of those in the file */
	uint32_t *table;    /* open addressing: index of a page and 1; 0: free */
	size_t table_room;  /* a power of two, more than max_pages */
	uint32_t *in_order; /* of held_pages_sort() */
	uint32_t placed_at, nr_placed;
};

/* Beside this file (NULL: only in memory). -ENOMEM: there is no room for so many, and nothing is held. */
int held_pages_init(struct held_pages *held, size_t max_pages, const char *beside);
void held_pages_deinit(struct held_pages *held);
/* Before so many pages: how many can be held, by the room that is on the disk now. Before the first, only in memory. */
void held_pages_look(struct held_pages *held, uint64_t nr_pages, bool may_use_file);
/*
 * Where the contents of nr_pages successive pages go, which the caller fills
 * and then calls held_pages_placed(); *nr_pages becomes less where they do not
 * lie together. NULL: full.
 */
uint8_t *held_pages_place(struct held_pages *held, uint64_t gfn, uint32_t *nr_pages);
/* A negative errno: the file cannot take them. They are where they were placed, and not held. */
int held_pages_placed(struct held_pages *held);
/* Indexes of all pages by rising gfn, lost ones last; valid until the next page is placed. */
const uint32_t *held_pages_sort(struct held_pages *held);
/* -EIO: the file does not give back what was written to it. */
int held_pages_read(const struct held_pages *held, const uint32_t *indexes, uint32_t nr_pages, uint8_t *out);
void held_pages_clear(struct held_pages *held);

#endif
