/* SPDX-License-Identifier: MIT */
/*
 * tape_pages.c - collects the pages of snapshots: each content is stored once
 * in a tape, zeros not at all, and a page that did not change is left out.
 * Memory grows with the number of different pages (32 to 64 bytes each).
 */
#include <errno.h>
#include <sys/random.h>
#include <xxhash.h>

#include "tape_private.h"

#define LEAF_PAGES 512u

/* Page ids of LEAF_PAGES neighbouring pages. */
struct leaf {
	uint64_t key; /* gfn / LEAF_PAGES */
	uint64_t nr_pending;
	uint64_t committed[LEAF_PAGES];
	uint64_t pending[LEAF_PAGES]; /* TAPE_PAGE_NONE: not added since the last commit */
};

struct content {
	XXH128_hash_t hash;
	uint64_t id_plus_1; /* 0: free */
};

struct tape_pages {
	struct tape_writer *writer;
	int zstd_level;
	/* Secret and random, so that a guest cannot make up two pages of the same hash. */
	uint64_t seed;
	struct content *contents; /* open addressing */
	size_t nr_contents, contents_room;
	struct leaf **leaves; /* open addressing, by key */
	size_t nr_leaves, leaves_room;
	uint8_t *batch;
	uint32_t nr_batch, batch_room;
	uint64_t next_id;
	uint64_t ordinal;
	struct tape_pages_stats stats;
};

int tape_pages_create(struct tape_pages **out, struct tape_writer *writer, int zstd_level, struct tape_error *error)
{
	struct tape_pages *pages = calloc(1, sizeof(*pages));
	uint32_t room = tape_writer_slot_bytes(writer) / 2 / TAPE_PAGE_BYTES;

	if (!pages)
		goto no_memory;
	pages->writer = writer;
	pages->zstd_level = zstd_level;
	pages->batch_room = room < TAPE_PAGES_MAX ? room : TAPE_PAGES_MAX;
	pages->contents_room = 4096;
	pages->leaves_room = 256;
	pages->contents = calloc(pages->contents_room, sizeof(*pages->contents));
	pages->leaves = calloc(pages->leaves_room, sizeof(*pages->leaves));
	pages->batch = malloc((size_t)pages->batch_room * TAPE_PAGE_BYTES);
	if (!pages->contents || !pages->leaves || !pages->batch)
		goto no_memory;
	if (getrandom(&pages->seed, sizeof(pages->seed), 0) != sizeof(pages->seed)) {
		tape_pages_destroy(pages);
		return tape_fail(error, -EIO, TAPE_NO_OFFSET, "no random numbers for the page hash");
	}
	*out = pages;
	return 0;
no_memory:
	tape_pages_destroy(pages);
	return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for pages");
}

void tape_pages_destroy(struct tape_pages *pages)
{
	if (!pages)
		return;
	for (size_t i = 0; i < pages->leaves_room && pages->leaves; i++)
		free(pages->leaves[i]);
	free(pages->leaves);
	free(pages->contents);
	free(pages->batch);
	free(pages);
}

void tape_pages_get_stats(const struct tape_pages *pages, struct tape_pages_stats *out)
{
	*out = pages->stats;
}

/* ---- tables ---------------------------------------------------------- */

static struct content *find_content(struct content *contents, size_t room, XXH128_hash_t hash)
{
	for (size_t i = hash.low64 & (room - 1);; i = (i + 1) & (room - 1))
		if (!contents[i].id_plus_1 || XXH128_isEqual(contents[i].hash, hash))
			return &contents[i];
}

static int grow_contents(struct tape_pages *pages)
{
	size_t room = pages->contents_room * 2;
	struct content *contents;

	if (pages->nr_contents < pages->contents_room / 4 * 3)
		return 0;
	contents = calloc(room, sizeof(*contents));
	if (!contents)
		return -ENOMEM;
	for (size_t i = 0; i < pages->contents_room; i++)
		if (pages->contents[i].id_plus_1)
			*find_content(contents, room, pages->contents[i].hash) = pages->contents[i];
	free(pages->contents);
	pages->contents = contents;
	pages->contents_room = room;
	return 0;
}

static struct leaf **find_leaf(struct leaf **leaves, size_t room, uint64_t key)
{
	for (size_t i = key * 0x9e3779b97f4a7c15u >> 32 & (room - 1);; i = (i + 1) & (room - 1))
		if (!leaves[i] || leaves[i]->key == key)
			return &leaves[i];
}

static int grow_leaves(struct tape_pages *pages)
{
	size_t room = pages->leaves_room * 2;
	struct leaf **leaves;

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

static struct leaf *get_leaf(struct tape_pages *pages, uint64_t gfn)
{
	struct leaf **place, *leaf;

	if (grow_leaves(pages))
		return NULL;
	place = find_leaf(pages->leaves, pages->leaves_room, gfn / LEAF_PAGES);
	if (*place)
		return *place;
	leaf = malloc(sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->key = gfn / LEAF_PAGES;
	leaf->nr_pending = 0;
	for (unsigned i = 0; i < LEAF_PAGES; i++)
		leaf->committed[i] = leaf->pending[i] = TAPE_PAGE_NONE;
	*place = leaf;
	pages->nr_leaves++;
	return leaf;
}

/* ---- adding ---------------------------------------------------------- */

static int flush_batch(struct tape_pages *pages, struct tape_error *error)
{
	const struct tape_chunk_header header = {
		.type = TAPE_CHUNK_PAGES,
		.vcpu = TAPE_NO_VCPU,
		.nr_items = pages->nr_batch,
		.first_seq = pages->next_id - pages->nr_batch,
		.last_seq = pages->next_id - 1,
	};
	struct tape_chunk *chunk;
	int result;

	if (!pages->nr_batch)
		return 0;
	result = tape_chunk_encode(&chunk, &header, pages->batch, (size_t)pages->nr_batch * TAPE_PAGE_BYTES,
				   pages->zstd_level, error);
	if (result)
		return result;
	pages->nr_batch = 0;
	pages->stats.stored_bytes += tape_chunk_stored_bytes(chunk);
	return tape_writer_append(pages->writer, chunk, error);
}

/* Id of this content, which is stored if it is new. */
static int store(struct tape_pages *pages, const void *page, uint64_t *id, bool *is_new, struct tape_error *error)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(page, TAPE_PAGE_BYTES, pages->seed);
	struct content *content;

	*is_new = false;
	if (grow_contents(pages))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for %zu pages", pages->nr_contents);
	content = find_content(pages->contents, pages->contents_room, hash);
	if (content->id_plus_1) {
		*id = content->id_plus_1 - 1;
		return 0;
	}
	*is_new = true;
	*id = pages->next_id++;
	*content = (struct content){hash, *id + 1};
	pages->nr_contents++;
	memcpy(pages->batch + (size_t)pages->nr_batch++ * TAPE_PAGE_BYTES, page, TAPE_PAGE_BYTES);
	return pages->nr_batch == pages->batch_room ? flush_batch(pages, error) : 0;
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, TAPE_PAGE_BYTES - 1);
}

int tape_pages_add(struct tape_pages *pages, uint64_t gfn, const void *page, struct tape_error *error)
{
	struct leaf *leaf = gfn < TAPE_MAX_GFN ? get_leaf(pages, gfn) : NULL;
	uint64_t id = TAPE_PAGE_ZERO, *pending;
	bool is_new = false;
	int result;

	if (gfn >= TAPE_MAX_GFN)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "gfn 0x%llx is too high", (unsigned long long)gfn);
	if (!leaf)
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
	if (!is_zero(page)) {
		result = store(pages, page, &id, &is_new, error);
		if (result)
			return result;
	}
	pending = &leaf->pending[gfn % LEAF_PAGES];
	leaf->nr_pending += *pending == TAPE_PAGE_NONE;
	*pending = id;
	pages->stats.added++;
	if (is_new)
		pages->stats.stored++;
	else if (leaf->committed[gfn % LEAF_PAGES] == id)
		pages->stats.unchanged++;
	else if (id == TAPE_PAGE_ZERO)
		pages->stats.zero++;
	else
		pages->stats.duplicate++;
	return 0;
}

/* ---- commit ---------------------------------------------------------- */

static int compare_leaves(const void *a, const void *b)
{
	const struct leaf *const *x = a, *const *y = b;

	return ((*x)->key > (*y)->key) - ((*x)->key < (*y)->key);
}

/* Leaves with pages that were added, sorted; NULL: no memory. */
static struct leaf **pending_leaves(const struct tape_pages *pages, size_t *count)
{
	struct leaf **list = malloc((pages->nr_leaves + 1) * sizeof(*list));

	*count = 0;
	for (size_t i = 0; i < pages->leaves_room && list; i++)
		if (pages->leaves[i] && pages->leaves[i]->nr_pending)
			list[(*count)++] = pages->leaves[i];
	if (list)
		qsort(list, *count, sizeof(*list), compare_leaves);
	return list;
}

struct commit {
	struct tape_pages *pages;
	const struct tape_snapshot_info *info;
	struct tape_page_place *places; /* sorted by gfn, not yet written */
	size_t nr_places, max_places;
	uint32_t nr_parts;
	uint64_t nr_pages, nr_zero;
	struct tape_error *error;
};

/* Writes the places that were collected as one part, or, at gaps of 2^32 pages, more. */
static int write_parts(struct commit *commit)
{
	struct tape_pages *pages = commit->pages;
	size_t done = 0;
	int result = 0;

	while (done < commit->nr_places && !result) {
		struct byte_buffer payload = {0};
		struct tape_chunk_header header = {.type = TAPE_CHUNK_PAGE_MAP,
						   .vcpu = TAPE_NO_VCPU,
						   .first_seq = pages->ordinal,
						   .last_seq = commit->nr_parts};
		struct tape_chunk *chunk = NULL;
		size_t took = tape_page_map_encode(&payload, pages->ordinal, commit->nr_parts, commit->places + done,
						   commit->nr_places - done, commit->max_places);

		header.nr_items = (uint32_t)took;
		if (!took)
			result = tape_fail(commit->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
		else
			result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, commit->error);
		byte_buffer_deinit(&payload);
		if (!result)
			result = tape_writer_append(pages->writer, chunk, commit->error);
		done += took;
		commit->nr_parts++;
	}
	commit->nr_places = 0;
	return result;
}

static int write_maps(struct commit *commit, struct leaf **leaves, size_t nr_leaves)
{
	for (size_t i = 0; i < nr_leaves; i++) {
		const struct leaf *leaf = leaves[i];

		for (unsigned j = 0; j < LEAF_PAGES; j++) {
			uint64_t id = leaf->pending[j];

			if (id == TAPE_PAGE_NONE || (!commit->info->base && id == leaf->committed[j]))
				continue;
			commit->places[commit->nr_places++] = (struct tape_page_place){leaf->key * LEAF_PAGES + j, id};
			commit->nr_pages++;
			commit->nr_zero += id == TAPE_PAGE_ZERO;
			if (commit->nr_places == commit->max_places) {
				int result = write_parts(commit);

				if (result)
					return result;
			}
		}
	}
	return write_parts(commit);
}

static int write_snapshot(struct commit *commit)
{
	const struct tape_snapshot_info *info = commit->info;
	const struct tape_snapshot_cost *cost = &info->cost;
	const struct tape_chunk_header header = {
		.type = TAPE_CHUNK_SNAPSHOT,
		.layout = cost->nr_pauses ? TAPE_LAYOUT_2 : TAPE_LAYOUT_1,
		.vcpu = TAPE_NO_VCPU,
		.nr_items = commit->nr_parts,
		.min_tsc = info->tsc,
		.max_tsc = info->tsc,
		.first_seq = commit->pages->ordinal,
		.last_seq = commit->pages->ordinal,
	};
	struct byte_buffer payload = {0};
	struct tape_chunk *chunk = NULL;
	int result;

	byte_buffer_add_u64(&payload, commit->pages->ordinal);
	byte_buffer_add_u64(&payload, info->id);
	byte_buffer_add_u64(&payload, info->tsc);
	byte_buffer_add_u64(&payload, info->realtime_ns);
	byte_buffer_add_u64(&payload, info->pause_ns);
	byte_buffer_add_u32(&payload, info->base ? 1 : 0);
	byte_buffer_add_u32(&payload, commit->nr_parts);
	byte_buffer_add_u64(&payload, commit->nr_pages);
	byte_buffer_add_u64(&payload, commit->nr_zero);
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
		result = tape_fail(commit->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a snapshot");
	else
		result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, commit->error);
	byte_buffer_deinit(&payload);
	return result ? result : tape_writer_append(commit->pages->writer, chunk, commit->error);
}

static void leaves_committed(struct tape_pages *pages, bool base)
{
	for (size_t i = 0; i < pages->leaves_room; i++) {
		struct leaf *leaf = pages->leaves[i];

		if (!leaf || (!leaf->nr_pending && !base))
			continue;
		for (unsigned j = 0; j < LEAF_PAGES; j++) {
			/* What a base does not bring is no more. */
			if (leaf->pending[j] != TAPE_PAGE_NONE || base)
				leaf->committed[j] = leaf->pending[j];
			leaf->pending[j] = TAPE_PAGE_NONE;
		}
		leaf->nr_pending = 0;
	}
}

int tape_pages_commit(struct tape_pages *pages, const struct tape_snapshot_info *info, struct tape_error *error)
{
	/* Worst case is 32 bytes a page, and half a slot must hold a part. */
	size_t limit = tape_writer_slot_bytes(pages->writer) / 64;
	struct commit commit = {.pages = pages, .info = info, .error = error};
	struct leaf **leaves = NULL;
	size_t nr_leaves;
	int result = flush_batch(pages, error);

	if (result)
		return result;
	commit.max_places = limit < TAPE_MAP_MAX_PAGES ? limit : TAPE_MAP_MAX_PAGES;
	commit.places = malloc(commit.max_places * sizeof(*commit.places));
	leaves = pending_leaves(pages, &nr_leaves);
	if (!commit.places || !leaves)
		result = tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
	if (!result)
		result = write_maps(&commit, leaves, nr_leaves);
	if (!result)
		result = write_snapshot(&commit);
	free(commit.places);
	free(leaves);
	if (result)
		return result;
	leaves_committed(pages, info->base);
	pages->ordinal++;
	return 0;
}
