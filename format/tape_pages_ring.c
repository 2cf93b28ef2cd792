/* SPDX-License-Identifier: MIT */
/*
 * tape_pages_ring.c - the memory at the oldest snapshot that a ring tape keeps,
 * as page ids: as snapshots are left behind it takes over what the next one
 * brings, and the ids that it lets go are not carried forward any more.
 */
#include <errno.h>

#include "tape_pages.h"

bool tape_pages_is_live(const struct tape_pages *pages, uint64_t id)
{
	return tape_refs_is_live(&pages->refs, id);
}

uint64_t tape_pages_live_bytes(const struct tape_pages *pages)
{
	return pages->refs.count * (pages->stats.stored_bytes / (pages->stats.stored + 1));
}

void tape_pages_lose(struct tape_pages *pages, uint64_t id)
{
	pages->stats.lost += tape_refs_is_kept(&pages->refs, id);
	tape_refs_lose(&pages->refs, id);
}

/* The page's id of the oldest snapshot gives way to one that is counted already, as its own snapshot's. */
static int replace(struct tape_pages *pages, struct tape_leaf *leaf, unsigned index, uint64_t id)
{
	uint64_t before = tape_leaf_ids_get(&leaf->oldest, index);

	if (tape_leaf_ids_set(&leaf->oldest, index, id))
		return -ENOMEM;
	if (before < TAPE_PAGE_MAX)
		tape_refs_put(&pages->refs, before);
	return 0;
}

static void forget_all(struct tape_pages *pages)
{
	for (size_t i = 0; i < pages->leaves_room; i++) {
		struct tape_leaf *leaf = pages->leaves[i];

		for (unsigned j = 0; leaf && leaf->has_oldest && j < TAPE_LEAF_PAGES; j++) {
			uint64_t id = tape_leaf_ids_get(&leaf->oldest, j);

			if (id < TAPE_PAGE_MAX)
				tape_refs_put(&pages->refs, id);
		}
		if (leaf)
			tape_leaf_ids_deinit(&leaf->oldest);
	}
}

int tape_pages_advance(struct tape_pages *pages, const struct tape_extents *brought, bool base)
{
	if (base)
		forget_all(pages);
	for (size_t i = 0; i < brought->count; i++) {
		const struct tape_extent *extent = &brought->list[i];

		for (uint64_t n = 0; n < extent->count; n++) {
			struct tape_leaf *leaf = tape_pages_leaf(pages, extent->gfn + n);

			if (!leaf ||
			    replace(pages, leaf, (extent->gfn + n) % TAPE_LEAF_PAGES, tape_extent_id(extent, n)))
				return -ENOMEM;
			leaf->has_oldest = true;
		}
	}
	return 0;
}

static bool has_oldest(const struct tape_leaf *leaf)
{
	return leaf->has_oldest;
}

int tape_pages_write_oldest(const struct tape_pages *pages, struct tape_map_writer *map)
{
	size_t nr_leaves;
	struct tape_leaf **leaves = tape_pages_sorted(pages, has_oldest, &nr_leaves);
	int result = 0;

	if (!leaves)
		return tape_fail(map->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
	for (size_t i = 0; i < nr_leaves; i++)
		for (unsigned j = 0; j < TAPE_LEAF_PAGES && !result; j++) {
			uint64_t id = tape_leaf_ids_get(&leaves[i]->oldest, j);

			if (id != TAPE_PAGE_NONE)
				result = tape_map_writer_add(map, leaves[i]->key * TAPE_LEAF_PAGES + j, id);
		}
	free(leaves);
	return result ? result : tape_map_writer_finish(map);
}
