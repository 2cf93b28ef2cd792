/* SPDX-License-Identifier: MIT */
/*
 * tape_pages.h - the pages of a tape's snapshots while it is written, private
 * to format/: what each page's content is now, what the snapshot that is being
 * taken adds, and, in a ring tape, what it was at the oldest snapshot kept.
 */
#ifndef TAPE_PAGES_H
#define TAPE_PAGES_H

#include "tape_contents.h"
#include "tape_private.h"

#define TAPE_LEAF_PAGES 512u

/* Page ids of neighbouring pages; TAPE_PAGE_NONE: no such page. */
struct tape_leaf {
	uint64_t key; /* gfn / TAPE_LEAF_PAGES */
	uint64_t nr_pending;
	uint64_t *pending; /* NULL, or added since the last commit */
	uint64_t *oldest;  /* NULL, or as of the oldest snapshot kept */
	uint64_t committed[TAPE_LEAF_PAGES];
};

struct tape_pages {
	struct tape_writer *writer;
	int zstd_level;
	struct tape_contents *contents;
	struct tape_refs refs;     /* of ids; ring tapes only */
	struct tape_leaf **leaves; /* open addressing, by key */
	size_t nr_leaves, leaves_room;
	uint8_t *batch;
	uint32_t nr_batch, batch_room;
	uint64_t next_id;
	uint64_t ordinal;
	struct tape_pages_stats stats;
};

/* Of this page; NULL: no memory. */
struct tape_leaf *tape_pages_leaf(struct tape_pages *pages, uint64_t gfn);
/* TAPE_LEAF_PAGES times TAPE_PAGE_NONE; NULL: no memory. */
uint64_t *tape_leaf_ids(void);
/* Those of which wanted is true, in order of gfn; the caller frees it. NULL: no memory. */
struct tape_leaf **tape_pages_sorted(const struct tape_pages *pages, bool (*wanted)(const struct tape_leaf *leaf),
				     size_t *count);

/* ---- tape_pages_ring.c: what a ring tape must keep ------------------- */

/* Ids that neither a snapshot that counts nor one that is being taken uses are not live. */
bool tape_pages_is_live(const struct tape_pages *pages, uint64_t id);
/* What live contents take on the tape, about. */
uint64_t tape_pages_live_bytes(const struct tape_pages *pages);
/* A live id's content could not be carried forward. */
void tape_pages_lose(struct tape_pages *pages, uint64_t id);
/* The snapshot behind the oldest one becomes the oldest: what it brings replaces, or (base) is all there is. */
int tape_pages_advance(struct tape_pages *pages, const struct tape_extents *brought, bool base);
/* Map of all pages at the oldest snapshot. */
int tape_pages_write_oldest(const struct tape_pages *pages, struct tape_map_writer *map);

#endif
