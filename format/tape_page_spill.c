/* SPDX-License-Identifier: MIT */
/*
 * tape_page_spill.c - bounds the memory of the map of a large guest's pages: what
 * a snapshot that is being taken adds waits elsewhere, a leaf at a time, those first
 * that were read first; what is known of earlier snapshots is forgotten.
 */
#include <errno.h>
#include <xxhash.h>

#include "tape_pages.h"

void tape_pages_spill_to(struct tape_pages *pages, const struct tape_page_spill *spill)
{
	pages->kept.spill = *spill;
}

/* ---- pending --------------------------------------------------------- */

static void enqueue(struct tape_kept *kept, struct tape_leaf *leaf)
{
	leaf->is_kept = true;
	leaf->next_kept = NULL;
	if (kept->newest)
		kept->newest->next_kept = leaf;
	else
		kept->oldest = leaf;
	kept->newest = leaf;
}

static struct tape_leaf *dequeue(struct tape_kept *kept)
{
	struct tape_leaf *leaf = kept->oldest;

	kept->oldest = leaf->next_kept;
	if (!kept->oldest)
		kept->newest = NULL;
	leaf->is_kept = false;
	return leaf;
}

static void count(struct tape_kept *kept, struct tape_leaf *leaf)
{
	size_t size_bytes = tape_leaf_ids_bytes(&leaf->pending);

	kept->pending_bytes += size_bytes - leaf->pending_bytes;
	leaf->pending_bytes = (uint32_t)size_bytes;
}

static int save(struct tape_kept *kept, struct tape_leaf *leaf)
{
	uint8_t bytes[TAPE_LEAF_PAGES * 8];
	int result;

	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		put_le64(bytes + i * 8, tape_leaf_ids_get(&leaf->pending, i));
	if (!leaf->slot)
		leaf->slot = ++kept->nr_slots;
	result = kept->spill.write(kept->spill.ctx, (leaf->slot - 1) * sizeof(bytes), bytes, sizeof(bytes));
	if (result)
		return result;
	leaf->sum = XXH3_64bits(bytes, sizeof(bytes));
	leaf->is_saved = true;
	return 0;
}

/* Without a place for it, it stays, and so do all others. */
static void put_away(struct tape_kept *kept, struct tape_leaf *leaf)
{
	if (!leaf->pending_bytes)
		return;
	if (!leaf->is_saved && save(kept, leaf)) {
		kept->has_failed = true;
		return;
	}
	tape_leaf_ids_deinit(&leaf->pending);
	leaf->is_away = true;
	count(kept, leaf);
}

void tape_pages_note_pending(struct tape_pages *pages, struct tape_leaf *leaf, bool is_changed)
{
	struct tape_kept *kept = &pages->kept;

	if (is_changed)
		leaf->is_saved = false;
	count(kept, leaf);
	if (!leaf->is_kept)
		enqueue(kept, leaf);
	while (kept->spill.write && !kept->has_failed && kept->pending_bytes > kept->spill.max_bytes &&
	       kept->oldest != leaf)
		put_away(kept, dequeue(kept));
}

int tape_pages_need_pending(struct tape_pages *pages, struct tape_leaf *leaf)
{
	struct tape_kept *kept = &pages->kept;
	uint8_t bytes[TAPE_LEAF_PAGES * 8];
	int result;

	if (!leaf->is_away)
		return 0;
	result = kept->spill.read(kept->spill.ctx, (leaf->slot - 1) * sizeof(bytes), bytes, sizeof(bytes));
	if (result)
		return result;
	if (XXH3_64bits(bytes, sizeof(bytes)) != leaf->sum)
		return -EIO;
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		if (tape_leaf_ids_set(&leaf->pending, i, get_le64(bytes + i * 8))) {
			tape_leaf_ids_deinit(&leaf->pending);
			return -ENOMEM;
		}
	tape_leaf_ids_pack(&leaf->pending);
	leaf->is_away = false;
	tape_pages_note_pending(pages, leaf, false);
	return 0;
}

void tape_pages_drop_pending(struct tape_pages *pages, struct tape_leaf *leaf)
{
	tape_leaf_ids_deinit(&leaf->pending);
	leaf->nr_pending = 0;
	leaf->is_away = leaf->is_saved = false;
	leaf->slot = 0;
	count(&pages->kept, leaf);
}

void tape_pages_rest_pending(struct tape_pages *pages)
{
	struct tape_kept *kept = &pages->kept;

	while (kept->oldest)
		dequeue(kept);
	if (kept->nr_slots)
		kept->spill.clear(kept->spill.ctx);
	kept->nr_slots = 0;
	kept->has_failed = false;
}

/* ---- committed ------------------------------------------------------- */

/* A page of which nothing is known is brought again, if it was read again, with the number that its content has. */
void tape_pages_note_committed(struct tape_pages *pages, struct tape_leaf *leaf)
{
	size_t size_bytes = tape_leaf_ids_bytes(&leaf->committed);

	pages->kept.committed_bytes += size_bytes - leaf->committed_bytes;
	leaf->committed_bytes = (uint32_t)size_bytes;
	if (!pages->kept.spill.write || pages->kept.committed_bytes <= pages->kept.spill.max_bytes || !size_bytes)
		return;
	tape_leaf_ids_deinit(&leaf->committed);
	pages->kept.committed_bytes -= size_bytes;
	leaf->committed_bytes = 0;
}
