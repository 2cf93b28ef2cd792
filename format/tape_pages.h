/* SPDX-License-Identifier: MIT */
/*
 * tape_pages.h - the pages of a tape's snapshots while it is written, private
 * to format/: what each page's content is now, what the snapshot that is being
 * taken adds, and, in a ring tape, what it was at the oldest snapshot kept.
 */
#ifndef TAPE_PAGES_H
#define TAPE_PAGES_H

#include <stdatomic.h>

#include "tape_contents.h"
#include "tape_leaf_ids.h"
#include "tape_private.h"

/* Page ids of neighbouring pages; TAPE_PAGE_NONE: no such page. */
struct tape_leaf {
	uint64_t key; /* gfn / TAPE_LEAF_PAGES */
	unsigned nr_pending;
	bool has_oldest;
	bool is_kept;  /* in the queue of those whose pending ids are in memory */
	bool is_away;  /* its pending ids are not */
	bool is_saved; /* they are as they were put away last */
	uint32_t pending_bytes, committed_bytes;
	uint64_t slot, sum; /* of where they are put away; 0: nowhere yet */
	struct tape_leaf *next_kept;
	struct tape_leaf_ids pending; /* added since the last commit */
	struct tape_leaf_ids oldest;  /* as of the oldest snapshot kept */
	struct tape_leaf_ids committed;
};

/* A chunk that is filled, or is being compressed. */
struct tape_page_job {
	struct tape_page_job *next; /* of whoever compresses it */
	struct tape_chunk_header header;
	int zstd_level;
	struct ZSTD_CCtx_s *zstd; /* from the first run on until tape_page_queue_rest() */
	uint8_t *raw;             /* owned */
	struct tape_chunk *chunk;
	int result;
	struct tape_error error;
	atomic_bool is_done; /* released by whoever ran it, acquired by the writer's thread */
};

/* Those from first on, nr_posted of them, are being compressed; the one behind them is filled. */
struct tape_page_queue {
	struct tape_page_job *jobs;
	unsigned nr_jobs, first, nr_posted;
	struct tape_page_coder coder; /* post NULL: compressed at once */
};

/* What bounds the memory that leaves take. */
struct tape_kept {
	struct tape_page_spill spill; /* write NULL: there is none */
	struct tape_leaf *oldest, *newest;
	size_t pending_bytes, committed_bytes;
	uint64_t nr_slots;
	bool has_failed;
};

struct tape_pages {
	struct tape_writer *writer;
	struct tape_kept kept;
	int zstd_level;
	struct tape_contents *contents;
	struct tape_refs refs;     /* of ids; ring tapes only */
	struct tape_leaf **leaves; /* open addressing, by key */
	size_t nr_leaves, leaves_room;
	struct tape_page_queue queue;
	uint32_t nr_batch, batch_room; /* pages of the job that is filled */
	uint64_t next_id;
	uint64_t ordinal;
	struct tape_pages_stats stats;
};

/* Of this page; NULL: no memory. */
struct tape_leaf *tape_pages_leaf(struct tape_pages *pages, uint64_t gfn);
/* Those of which wanted is true, in order of gfn; the caller frees it. NULL: no memory. */
struct tape_leaf **tape_pages_sorted(const struct tape_pages *pages, bool (*wanted)(const struct tape_leaf *leaf),
				     size_t *count);

/* ---- tape_page_jobs.c: chunks on their way --------------------------- */

int tape_page_queue_init(struct tape_pages *pages, unsigned nr_jobs);
/* Waits for those that are being compressed, and drops them. */
void tape_page_queue_deinit(struct tape_page_queue *queue);
/* All chunks were appended: what only the next ones need takes no memory until then. */
void tape_page_queue_rest(struct tape_page_queue *queue);
/* Where the next page goes; NULL and *result: an earlier chunk failed. */
uint8_t *tape_pages_place(struct tape_pages *pages, int *result, struct tape_error *error);
/* What was placed becomes a chunk. */
int tape_pages_flush(struct tape_pages *pages, struct tape_error *error);
/* All chunks are appended. */
int tape_pages_drain(struct tape_pages *pages, struct tape_error *error);

/* ---- tape_page_spill.c: leaves that are not in memory ----------------- */

/* Before pending ids are looked at. -EIO: what was put away is not as it was. */
int tape_pages_need_pending(struct tape_pages *pages, struct tape_leaf *leaf);
/* Pending ids were set, or looked at: those of other leaves may have to go. */
void tape_pages_note_pending(struct tape_pages *pages, struct tape_leaf *leaf, bool is_changed);
/* It has none any more. */
void tape_pages_drop_pending(struct tape_pages *pages, struct tape_leaf *leaf);
/* No leaf has any. */
void tape_pages_rest_pending(struct tape_pages *pages);
/* Committed ids were set: where they are too many, they are forgotten. */
void tape_pages_note_committed(struct tape_pages *pages, struct tape_leaf *leaf);

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
