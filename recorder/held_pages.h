/* SPDX-License-Identifier: MIT */
/*
 * held_pages.h - pages of a snapshot that is not finished, by gfn, newest
 * contents only: a page that the guest writes again is copied over instead of
 * being compressed twice, and copying them does not wait for the tape. One
 * thread; memory is taken as it is needed, up to a limit.
 */
#ifndef HELD_PAGES_H
#define HELD_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "guest_ram.h"

struct held_pages {
	uint8_t (*pages)[GUEST_PAGE_BYTES];
	size_t max_pages, nr_pages;
	uint64_t *gfns;     /* of each page */
	uint32_t *table;    /* open addressing: index of a page and 1; 0: free */
	size_t table_room;  /* a power of two, more than max_pages */
	uint32_t *in_order; /* of held_pages_sort() */
};

/* -ENOMEM: there is no room for so many, and nothing is held. */
int held_pages_init(struct held_pages *held, size_t max_pages);
void held_pages_deinit(struct held_pages *held);
/*
 * Where the contents of nr_pages successive pages go, which the caller fills;
 * *nr_pages becomes less where they do not lie together. NULL: full.
 */
uint8_t *held_pages_place(struct held_pages *held, uint64_t gfn, uint32_t *nr_pages);
/* Indexes of all pages by rising gfn; valid until the next page is placed. */
const uint32_t *held_pages_sort(struct held_pages *held);
void held_pages_clear(struct held_pages *held);

#endif
