/* SPDX-License-Identifier: MIT */
/*
 * tape_pages.c - collects the pages of snapshots: each content is stored once
 * in a tape, zeros not at all, and a page that did not change is left out.
 */
#include <errno.h>

#include "tape_pages.h"
#include "tape_ring.h"

int tape_pages_create(struct tape_pages **out, struct tape_writer *writer, int zstd_level, struct tape_error *error)
{
	struct tape_pages *pages = calloc(1, sizeof(*pages));
	/* Small parts of a slot, so that little of it stays empty when they do not compress; 2 fit in the smallest. */
	uint32_t room = tape_writer_slot_bytes(writer) / 8 / TAPE_PAGE_BYTES;

	if (!pages)
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for pages");
	pages->writer = writer;
	pages->zstd_level = zstd_level;
	room = room > 2 ? room : 2;
	pages->batch_room = room < TAPE_PAGES_MAX ? room : TAPE_PAGES_MAX;
	pages->leaves_room = 256;
	pages->contents = tape_contents_create();
	pages->leaves = calloc(pages->leaves_room, sizeof(*pages->leaves));
	if (!pages->contents || !pages->leaves || tape_page_queue_init(pages, 1)) {
		tape_pages_destroy(pages);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory, or no random numbers, for pages");
	}
	if (tape_writer_ring(writer))
		tape_ring_set_pages(tape_writer_ring(writer), pages);
	*out = pages;
	return 0;
}

static void leaf_destroy(struct tape_leaf *leaf)
{
	if (!leaf)
		return;
	tape_leaf_ids_deinit(&leaf->pending);
	tape_leaf_ids_deinit(&leaf->oldest);
	tape_leaf_ids_deinit(&leaf->committed);
	free(leaf);
}

void tape_pages_destroy(struct tape_pages *pages)
{
	if (!pages)
		return;
	if (tape_writer_ring(pages->writer))
		tape_ring_set_pages(tape_writer_ring(pages->writer), NULL);
	tape_pages_rest_pending(pages);
	for (size_t i = 0; i < pages->leaves_room && pages->leaves; i++)
		leaf_destroy(pages->leaves[i]);
	free(pages->leaves);
	tape_contents_destroy(pages->contents);
	tape_refs_deinit(&pages->refs);
	tape_page_queue_deinit(&pages->queue);
	free(pages);
}

void tape_pages_get_stats(const struct tape_pages *pages, struct tape_pages_stats *out)
{
	*out = pages->stats;
	out->live_bytes = tape_pages_live_bytes(pages);
}

/* ---- leaves ---------------------------------------------------------- */

static struct tape_leaf **find_leaf(struct tape_leaf **leaves, size_t room, uint64_t key)
{
	for (size_t i = key * 0x9e3779b97f4a7c15u >> 32 & (room - 1);; i = (i + 1) & (room - 1))
		if (!leaves[i] || leaves[i]->key == key)
			return &leaves[i];
}

static int grow_leaves(struct tape_pages *pages)
{
	size_t room = pages->leaves_room * 2;
	struct tape_leaf **leaves;

	if (pages->nr_leaves < pages->leaves_room / 4 * 3)
		return 0;
	leaves = calloc(room, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	for (size_t i = 0; i < pages->leaves_room; i++)
		if (pages->leaves[i])
			*find_leaf(leaves, room, pages->leaves[i]->key) = pages->leaves[i];
	free(pages->leaves);
	pages->leaves = leaves;
	pages->leaves_room = room;
	return 0;
}

struct tape_leaf *tape_pages_leaf(struct tape_pages *pages, uint64_t gfn)
{
	struct tape_leaf **place, *leaf;

	if (grow_leaves(pages))
		return NULL;
	place = find_leaf(pages->leaves, pages->leaves_room, gfn / TAPE_LEAF_PAGES);
	if (*place)
		return *place;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->key = gfn / TAPE_LEAF_PAGES;
	*place = leaf;
	pages->nr_leaves++;
	return leaf;
}

static int compare_leaves(const void *a, const void *b)
{
	const struct tape_leaf *const *x = a, *const *y = b;

	return ((*x)->key > (*y)->key) - ((*x)->key < (*y)->key);
}

struct tape_leaf **tape_pages_sorted(const struct tape_pages *pages, bool (*wanted)(const struct tape_leaf *leaf),
				     size_t *count)
{
	struct tape_leaf **list = malloc((pages->nr_leaves + 1) * sizeof(struct tape_leaf *));

	*count = 0;
	for (size_t i = 0; i < pages->leaves_room && list; i++)
		if (pages->leaves[i] && wanted(pages->leaves[i]))
			list[(*count)++] = pages->leaves[i];
	if (list)
		qsort(list, *count, sizeof(struct tape_leaf *), compare_leaves);
	return list;
}

/* ---- adding ---------------------------------------------------------- */

/* Id of this content, which is stored if it is new. */
static int store(struct tape_pages *pages, const void *page, uint64_t *id, bool *is_new, struct tape_error *error)
{
	uint64_t *known = tape_contents_find(pages->contents, page);
	uint8_t *place;
	int result;

	*id = *known;
	/* What a ring tape has let go is as new. */
	*is_new =
		*id == TAPE_CONTENT_NONE || (tape_writer_ring(pages->writer) && !tape_refs_is_kept(&pages->refs, *id));
	if (!*is_new)
		return 0;
	place = tape_pages_place(pages, &result, error);
	if (!place)
		return result;
	*id = *known = pages->next_id++;
	memcpy(place, page, TAPE_PAGE_BYTES);
	return pages->nr_batch == pages->batch_room ? tape_pages_flush(pages, error) : 0;
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, TAPE_PAGE_BYTES - 1);
}

/* In a ring tape, ids are counted from here on: while they are pending, and as part of each snapshot that counts. */
static int set_pending(struct tape_pages *pages, struct tape_leaf *leaf, unsigned index, uint64_t id)
{
	uint64_t before = tape_leaf_ids_get(&leaf->pending, index);

	if (tape_leaf_ids_set(&leaf->pending, index, id))
		return -ENOMEM;
	leaf->nr_pending += before == TAPE_PAGE_NONE;
	tape_pages_note_pending(pages, leaf, true);
	if (!tape_writer_ring(pages->writer))
		return 0;
	if (id != TAPE_PAGE_ZERO && tape_refs_get(&pages->refs, id))
		return -ENOMEM;
	tape_refs_put(&pages->refs, before);
	return 0;
}

static int need_pending(struct tape_pages *pages, struct tape_leaf *leaf, struct tape_error *error)
{
	int result = tape_pages_need_pending(pages, leaf);

	if (result == -ENOMEM)
		return tape_fail(error, result, TAPE_NO_OFFSET, "no memory for a map of pages");
	return result ? tape_fail(error, result, TAPE_NO_OFFSET, "the map of pages could not be read back") : 0;
}

int tape_pages_add(struct tape_pages *pages, uint64_t gfn, const void *page, struct tape_error *error)
{
	struct tape_leaf *leaf = gfn < TAPE_MAX_GFN ? tape_pages_leaf(pages, gfn) : NULL;
	uint64_t id = TAPE_PAGE_ZERO;
	bool is_new = false;
	int result = 0;

	if (gfn >= TAPE_MAX_GFN)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "gfn 0x%llx is too high", (unsigned long long)gfn);
	if (leaf)
		result = need_pending(pages, leaf, error);
	if (leaf && !result && !is_zero(page))
		result = store(pages, page, &id, &is_new, error);
	if (result)
		return result;
	if (!leaf || set_pending(pages, leaf, gfn % TAPE_LEAF_PAGES, id))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
	pages->stats.added++;
	if (is_new)
		pages->stats.stored++;
	else if (tape_leaf_ids_get(&leaf->committed, gfn % TAPE_LEAF_PAGES) == id)
		pages->stats.unchanged++;
	else if (id == TAPE_PAGE_ZERO)
		pages->stats.zero++;
	else
		pages->stats.duplicate++;
	return 0;
}

/* ---- commit ---------------------------------------------------------- */

static bool has_pending(const struct tape_leaf *leaf)
{
	return leaf->nr_pending;
}

static int append(void *ctx, struct tape_chunk *chunk, struct tape_error *error)
{
	return tape_writer_append(ctx, chunk, error);
}

static int write_map(struct tape_pages *pages, bool base, struct tape_map_writer *map)
{
	size_t nr_leaves;
	struct tape_leaf **leaves = tape_pages_sorted(pages, has_pending, &nr_leaves);
	int result = 0;

	if (!leaves)
		return tape_fail(map->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
	for (size_t i = 0; i < nr_leaves; i++) {
		struct tape_leaf *leaf = leaves[i];

		if (!result)
			result = need_pending(pages, leaf, map->error);
		for (unsigned j = 0; j < TAPE_LEAF_PAGES && !result; j++) {
			uint64_t id = tape_leaf_ids_get(&leaf->pending, j);

			if (id != TAPE_PAGE_NONE && (base || id != tape_leaf_ids_get(&leaf->committed, j)))
				result = tape_map_writer_add(map, leaf->key * TAPE_LEAF_PAGES + j, id);
		}
	}
	free(leaves);
	return result ? result : tape_map_writer_finish(map);
}

static int write_snapshot(struct tape_pages *pages, const struct tape_snapshot_info *info,
			  const struct tape_map_writer *map)
{
	const struct tape_snapshot_cost *cost = &info->cost;
	const struct tape_chunk_header header = {
		.type = TAPE_CHUNK_SNAPSHOT,
		.layout = cost->nr_pauses ? TAPE_LAYOUT_2 : TAPE_LAYOUT_1,
		.vcpu = TAPE_NO_VCPU,
		.nr_items = map->nr_parts,
		.min_tsc = info->tsc,
		.max_tsc = info->tsc,
		.first_seq = pages->ordinal,
		.last_seq = pages->ordinal,
	};
	struct byte_buffer payload = {0};
	struct tape_chunk *chunk = NULL;
	int result;

	byte_buffer_add_u64(&payload, pages->ordinal);
	byte_buffer_add_u64(&payload, info->id);
	byte_buffer_add_u64(&payload, info->tsc);
	byte_buffer_add_u64(&payload, info->realtime_ns);
	byte_buffer_add_u64(&payload, info->pause_ns);
	byte_buffer_add_u32(&payload, info->base ? 1 : 0);
	byte_buffer_add_u32(&payload, map->nr_parts);
	byte_buffer_add_u64(&payload, map->nr_pages);
	byte_buffer_add_u64(&payload, map->nr_zero);
	byte_buffer_add_u32(&payload, info->nr_ranges);
	byte_buffer_add_u32(&payload, info->nr_vcpus);
	byte_buffer_add_u32(&payload, info->nr_regs);
	byte_buffer_add_u32(&payload, cost->nr_pauses);
	if (cost->nr_pauses) {
		byte_buffer_add_u64(&payload, cost->longest_pause_ns);
		byte_buffer_add_u64(&payload, cost->duration_ns);
		byte_buffer_add_u64(&payload, cost->dirty_pages);
		byte_buffer_add_u64(&payload, cost->paused_pages);
		byte_buffer_add_u64(&payload, cost->protected_pages);
		byte_buffer_add_u64(&payload, cost->running_pages);
	}
	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		byte_buffer_add_u64(&payload, info->ranges[i].gpa);
		byte_buffer_add_u64(&payload, info->ranges[i].size_bytes);
	}
	for (size_t i = 0; i < (size_t)info->nr_vcpus * info->nr_regs; i++)
		byte_buffer_add_u64(&payload, info->vcpu_regs[i]);
	if (payload.bad)
		result = tape_fail(map->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a snapshot");
	else
		result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, map->error);
	byte_buffer_deinit(&payload);
	return result ? result : tape_writer_append(pages->writer, chunk, map->error);
}

static int leaf_commit(struct tape_pages *pages, struct tape_leaf *leaf, bool base, struct tape_error *error)
{
	int result = 0;

	if (!leaf->nr_pending && !base)
		return 0;
	/* A base needs them no more than what it puts in their place: then they are not known. */
	if (!base)
		result = need_pending(pages, leaf, error);
	for (unsigned j = 0; j < TAPE_LEAF_PAGES && !result; j++) {
		uint64_t id = tape_leaf_ids_get(&leaf->pending, j);

		/* One that the map does not bring is not counted for it. */
		if (!base && id != TAPE_PAGE_NONE && id == tape_leaf_ids_get(&leaf->committed, j))
			tape_refs_put(&pages->refs, id);
		else if (!base && id != TAPE_PAGE_NONE)
			result = tape_leaf_ids_set(&leaf->committed, j, id)
					 ? tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages")
					 : 0;
	}
	/* What a base does not bring is no more. */
	if (base) {
		tape_leaf_ids_deinit(&leaf->committed);
		leaf->committed = leaf->pending;
		leaf->pending = (struct tape_leaf_ids){0};
	}
	tape_leaf_ids_pack(&leaf->committed);
	tape_pages_note_committed(pages, leaf);
	tape_pages_drop_pending(pages, leaf);
	return result;
}

int tape_pages_commit(struct tape_pages *pages, const struct tape_snapshot_info *info, struct tape_error *error)
{
	struct tape_map_writer map = {.emit = append, .ctx = pages->writer, .ordinal = pages->ordinal, .error = error};
	int result = tape_pages_flush(pages, error);

	if (!result)
		result = tape_pages_drain(pages, error);
	if (!result)
		tape_page_queue_rest(&pages->queue);
	if (!result)
		result = tape_map_writer_init(&map, tape_writer_slot_bytes(pages->writer));
	if (!result)
		result = write_map(pages, info->base, &map);
	if (!result)
		result = write_snapshot(pages, info, &map);
	tape_map_writer_deinit(&map);
	if (result)
		return result;
	for (size_t i = 0; i < pages->leaves_room && !result; i++)
		if (pages->leaves[i])
			result = leaf_commit(pages, pages->leaves[i], info->base, error);
	if (!result)
		tape_pages_rest_pending(pages);
	pages->ordinal++;
	return result;
}
