/* SPDX-License-Identifier: MIT */
/*
 * page_feed.h - takes the pages of a snapshot to the tape thread in batches:
 * at once, or held back until the snapshot is whole, so that copying them does
 * not wait for compression and each goes to the tape once. Main thread; while the tape
 * thread has too many batches, this waits. Errors as in producer.h.
 */
#ifndef PAGE_FEED_H
#define PAGE_FEED_H

#include "held_pages.h"
#include "loop.h"
#include "producer_calls.h"
#include "tape_thread.h"

struct page_feed {
	struct tape_thread *tape;
	struct loop *loop;
	struct page_batch *batch; /* being filled */
	struct held_pages held;
	char *beside;          /* path of the first tape, owned; NULL: no file for pages that are held */
	bool holds;            /* as page_feed_make_room() found */
	bool told_no_file;     /* beside the tape, for those that are held */
	uint64_t copied_pages; /* of shared blocks and staging memory; the caller clears it */
};

/* Where pages are read from: a shared block, or the staging memory (block is NULL). */
struct page_source {
	const struct ram_block *block;
	const struct staging *staging;
	uint64_t offset; /* of the first page */
};

void page_feed_deinit(struct page_feed *feed);
int page_feed_zeros(struct page_feed *feed, uint64_t gfn, uint64_t nr_pages, struct record_error *error);
/* Read at once in any case; may_hold: if there is room. */
int page_feed_pages(struct page_feed *feed, uint64_t gfn, uint64_t nr_pages, struct page_source source, bool may_hold,
		    struct record_error *error);
/* The pages that are held go to the tape thread. */
int page_feed_release(struct page_feed *feed, struct record_error *error);
/* Before so many pages that may have been held before: releases those, and holds none from here on, if need be. */
int page_feed_make_room(struct page_feed *feed, uint64_t nr_pages, struct record_error *error);
/* Posts what is not a full batch yet. */
void page_feed_send(struct page_feed *feed);

#endif
