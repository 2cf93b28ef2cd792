/* SPDX-License-Identifier: MIT */
/*
 * tape_snapshot.c - snapshots of a tape and the pages as of each: a view is the
 * base, and the increments behind it laid over it. Where a map is missing or
 * damaged, the pages that it may have brought count as lost, not as old.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_read.h"

#define TRIM_SNAPSHOTS 64

/* ---- list of snapshots ----------------------------------------------- */

static void decode_cost(struct tape_snapshot_cost *out, struct byte_reader *reader)
{
	out->longest_pause_ns = byte_reader_u64(reader);
	out->duration_ns = byte_reader_u64(reader);
	out->dirty_pages = byte_reader_u64(reader);
	out->paused_pages = byte_reader_u64(reader);
	out->protected_pages = byte_reader_u64(reader);
	out->running_pages = byte_reader_u64(reader);
}

static const char *decode_snapshot(struct tape_stored_snapshot *out, uint8_t layout, const uint8_t *payload,
				   size_t size_bytes)
{
	struct byte_reader reader = byte_reader(payload, size_bytes);
	struct tape_snapshot_info *info = &out->snapshot.info;
	uint64_t need_bytes, nr_words;
	struct tape_ram_range *ranges;
	uint64_t *regs;
	uint32_t flags, nr_pauses;

	out->ordinal = byte_reader_u64(&reader);
	info->id = byte_reader_u64(&reader);
	info->tsc = byte_reader_u64(&reader);
	info->realtime_ns = byte_reader_u64(&reader);
	info->pause_ns = byte_reader_u64(&reader);
	flags = byte_reader_u32(&reader);
	info->base = flags & 1;
	out->nr_maps = byte_reader_u32(&reader);
	out->snapshot.nr_pages = byte_reader_u64(&reader);
	out->snapshot.nr_zero = byte_reader_u64(&reader);
	info->nr_ranges = byte_reader_u32(&reader);
	info->nr_vcpus = byte_reader_u32(&reader);
	info->nr_regs = byte_reader_u32(&reader);
	nr_pauses = byte_reader_u32(&reader);
	if (layout == TAPE_LAYOUT_2) {
		info->cost.nr_pauses = nr_pauses;
		decode_cost(&info->cost, &reader);
		if (!nr_pauses)
			return "came about without a pause";
	}
	nr_words = (uint64_t)info->nr_vcpus * info->nr_regs;
	need_bytes = (uint64_t)info->nr_ranges * 16;
	if (reader.bad || need_bytes > reader.left_bytes || nr_words != (reader.left_bytes - need_bytes) / 8 ||
	    reader.left_bytes % 8)
		return "has counts that do not fit its length";
	ranges = reallocarray(NULL, info->nr_ranges + 1u, sizeof(*ranges));
	regs = reallocarray(NULL, nr_words + 1, sizeof(*regs));
	info->ranges = ranges;
	info->vcpu_regs = regs;
	if (!ranges || !regs)
		return "needs more memory than there is";
	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		ranges[i].gpa = byte_reader_u64(&reader);
		ranges[i].size_bytes = byte_reader_u64(&reader);
		if (ranges[i].size_bytes > TAPE_MAX_GFN * TAPE_PAGE_BYTES - 1 ||
		    ranges[i].gpa > UINT64_MAX - ranges[i].size_bytes)
			return "has a range of memory that can't be";
	}
	for (uint64_t i = 0; i < nr_words; i++)
		regs[i] = byte_reader_u64(&reader);
	return NULL;
}

static void free_snapshot(struct tape_stored_snapshot *snapshot)
{
	free((void *)snapshot->snapshot.info.ranges);
	free((void *)snapshot->snapshot.info.vcpu_regs);
}

/* One whose map was made anew serves instead of the increment that it was. */
static int compare_snapshots(const void *a, const void *b)
{
	const struct tape_stored_snapshot *x = a, *y = b;

	if (x->ordinal != y->ordinal)
		return x->ordinal > y->ordinal ? 1 : -1;
	if (x->full != y->full)
		return x->full ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* What is older than the newest slot says counts no more: it may be gone in part. */
static void find_first(struct tape_reader *reader)
{
	uint64_t first = 0;

	reader->first_snapshot = 0;
	for (size_t i = 0; i < reader->nr_slots && reader->identity.nr_places; i++)
		if (reader->slots[i].has_header)
			first = reader->slots[i].first_snapshot;
	while (reader->first_snapshot < reader->nr_snapshots &&
	       reader->snapshots[reader->first_snapshot].ordinal < first)
		reader->first_snapshot++;
	reader->info.nr_snapshots = (uint32_t)(reader->nr_snapshots - reader->first_snapshot);
}

/* Where an ordinal that was known before stands elsewhere now, views do not know it any more. */
static void check_views(struct tape_reader *reader, const uint64_t *ordinals, size_t nr)
{
	bool moved = reader->nr_snapshots < nr;

	for (size_t i = 0; i < nr && !moved; i++)
		moved = reader->snapshots[i].ordinal != ordinals[i];
	for (unsigned i = 0; i < TAPE_VIEWS && moved; i++)
		reader->views[i].used = 0;
}

/* Sorted, each once. */
static void settle(struct tape_reader *reader)
{
	struct tape_stored_snapshot *list = reader->snapshots;
	size_t kept = 0;

	qsort(list, reader->nr_snapshots, sizeof(*list), compare_snapshots);
	for (size_t i = 0; i < reader->nr_snapshots; i++) {
		if (kept && list[kept - 1].ordinal == list[i].ordinal) {
			if (!reader->identity.nr_places)
				tape_reader_problem(reader, list[i].offset, "snapshot %" PRIu64 " is there twice",
						    list[i].ordinal);
			free_snapshot(&list[i]);
			continue;
		}
		list[kept++] = list[i];
	}
	reader->nr_snapshots = kept;
}

int tape_snapshots_add(struct tape_reader *reader, size_t from, struct tape_error *error)
{
	struct tape_stored_snapshot *list;
	size_t nr_before = reader->nr_snapshots, nr_new = 0;
	uint64_t *ordinals;

	for (size_t i = from; i < reader->nr_chunks; i++)
		nr_new += reader->chunks[i].header.type == TAPE_CHUNK_SNAPSHOT;
	if (!nr_new) {
		find_first(reader);
		return 0;
	}
	list = reallocarray(reader->snapshots, nr_before + nr_new + 1, sizeof(*list));
	ordinals = list ? reallocarray(NULL, nr_before + 1, sizeof(*ordinals)) : NULL;
	if (list)
		reader->snapshots = list;
	if (!ordinals)
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for the list of snapshots");
	for (size_t i = 0; i < nr_before; i++)
		ordinals[i] = list[i].ordinal;
	for (size_t i = from; i < reader->nr_chunks; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[i];
		struct tape_stored_snapshot *next = &list[reader->nr_snapshots];
		const uint8_t *payload;
		const char *why;

		if (chunk->header.type != TAPE_CHUNK_SNAPSHOT || tape_load_stored(reader, chunk, &payload))
			continue;
		*next = (struct tape_stored_snapshot){0};
		why = decode_snapshot(next, chunk->header.layout, payload, chunk->header.stored_bytes);
		if (why) {
			chunk->bad = true;
			tape_reader_problem(reader, chunk->offset, "SNAPSHOT chunk %s", why);
			free_snapshot(next);
			continue;
		}
		next->snapshot.ordinal = next->ordinal;
		next->full = chunk->header.flags & TAPE_F_FULL;
		next->offset = chunk->offset;
		reader->nr_snapshots++;
	}
	settle(reader);
	check_views(reader, ordinals, nr_before);
	free(ordinals);
	find_first(reader);
	return 0;
}

void tape_snapshots_trim(struct tape_reader *reader)
{
	size_t first = reader->first_snapshot;

	if (first >= reader->nr_snapshots)
		return;
	while (first && !reader->snapshots[first].snapshot.info.base)
		first--;
	if (first < TRIM_SNAPSHOTS)
		return;
	for (size_t i = 0; i < first; i++)
		free_snapshot(&reader->snapshots[i]);
	reader->nr_snapshots -= first;
	reader->first_snapshot -= first;
	memmove(reader->snapshots, reader->snapshots + first, reader->nr_snapshots * sizeof(*reader->snapshots));
	for (unsigned i = 0; i < TAPE_VIEWS; i++)
		reader->views[i].used = 0;
}

void tape_snapshots_deinit(struct tape_reader *reader)
{
	for (size_t i = 0; i < reader->nr_snapshots; i++)
		free_snapshot(&reader->snapshots[i]);
	free(reader->snapshots);
	for (unsigned i = 0; i < TAPE_VIEWS; i++)
		tape_extents_deinit(&reader->views[i].extents);
	for (unsigned i = 0; i < TAPE_PAGE_CACHE; i++)
		free(reader->cache[i].data);
}

const struct tape_snapshot *tape_reader_snapshot(const struct tape_reader *reader, uint32_t index)
{
	if (index >= reader->nr_snapshots - reader->first_snapshot)
		return NULL;
	return &reader->snapshots[reader->first_snapshot + index].snapshot;
}

/* ---- what one snapshot brings ---------------------------------------- */

static uint64_t extents_end(const struct tape_extents *extents)
{
	const struct tape_extent *last = extents->count ? &extents->list[extents->count - 1] : NULL;

	return last ? last->gfn + last->count : 0;
}

static int append_extents(struct tape_extents *out, const struct tape_extents *extents)
{
	for (size_t i = 0; i < extents->count; i++)
		if (tape_extents_add(out, extents->list[i].gfn, extents->list[i].count, extents->list[i].id))
			return -ENOMEM;
	return 0;
}

/* Everything from the end of out up to gfn may have been in a part that is missing. */
static int append_lost(struct tape_extents *out, uint64_t gfn)
{
	uint64_t end = extents_end(out);

	return gfn > end ? tape_extents_add(out, end, gfn - end, TAPE_PAGE_LOST) : 0;
}

static int load_part(struct tape_reader *reader, struct tape_stored_chunk *chunk, uint64_t ordinal,
		     struct tape_extents *out, struct tape_page_map *part)
{
	const uint8_t *payload;
	const char *why = NULL;
	int result = tape_load_stored(reader, chunk, &payload);

	if (result)
		return result;
	result = tape_page_map_decode(part, out, payload, chunk->header.stored_bytes, &why);
	if (result == -ENOMEM)
		return result;
	if (!why && (part->ordinal != ordinal || part->part != chunk->header.last_seq ||
		     part->nr_pages != chunk->header.nr_items))
		why = "it says otherwise than its header";
	if (!why)
		return 0;
	chunk->bad = true;
	return tape_reader_problem(reader, chunk->offset, "PAGE_MAP chunk is not valid: %s", why);
}

/* First entry of reader->maps with this ordinal or a later one. */
static size_t find_maps(const struct tape_reader *reader, uint64_t ordinal)
{
	size_t low = 0, high = reader->nr_maps;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (reader->chunks[reader->maps[middle]].header.first_seq < ordinal)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int tape_snapshot_extents(struct tape_reader *reader, uint32_t index, struct tape_extents *out,
			  struct tape_page_map *sum, bool *whole)
{
	const struct tape_stored_snapshot *snapshot = &reader->snapshots[index];
	uint64_t next_part = 0;
	bool lost = false;

	*sum = (struct tape_page_map){.ordinal = snapshot->ordinal};
	*whole = true;
	for (size_t i = find_maps(reader, snapshot->ordinal); i < reader->nr_maps; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[reader->maps[i]];
		struct tape_extents extents = {0};
		struct tape_page_map part;
		int result;

		if (chunk->header.first_seq != snapshot->ordinal)
			break;
		if (!(chunk->header.flags & TAPE_F_FULL) == snapshot->full)
			continue;
		if (chunk->header.last_seq < next_part || chunk->header.last_seq >= snapshot->nr_maps)
			continue; /* twice, or more than the snapshot has */
		result = load_part(reader, chunk, snapshot->ordinal, &extents, &part);
		if (!result && extents.list[0].gfn < extents_end(out)) {
			chunk->bad = true;
			result = tape_reader_problem(reader, chunk->offset,
						     "PAGE_MAP chunk is not behind the part before it");
		}
		if (!result) {
			lost = lost || chunk->header.last_seq != next_part;
			next_part = chunk->header.last_seq + 1;
			if ((lost && append_lost(out, extents.list[0].gfn)) || append_extents(out, &extents))
				result = -ENOMEM;
			*whole = *whole && !lost;
			lost = false;
			sum->nr_pages += part.nr_pages;
			sum->nr_zero += part.nr_zero;
		}
		tape_extents_deinit(&extents);
		if (result == -ENOMEM)
			return result;
	}
	if (next_part == snapshot->nr_maps)
		return 0;
	*whole = false;
	return append_lost(out, TAPE_MAX_GFN);
}

/* ---- views ----------------------------------------------------------- */

/* Snapshots first to last, one over the other. */
static int merge_layers(struct tape_reader *reader, uint32_t first, uint32_t last, struct tape_extents *out)
{
	struct tape_extents lower = {0}, upper = {0};
	struct tape_page_map sum;
	uint32_t middle = first + (last - first) / 2;
	bool whole;
	int result;

	if (first == last)
		return tape_snapshot_extents(reader, first, out, &sum, &whole);
	result = merge_layers(reader, first, middle, &lower);
	if (!result)
		result = merge_layers(reader, middle + 1, last, &upper);
	if (!result)
		result = tape_extents_merge(out, &lower, &upper);
	tape_extents_deinit(&lower);
	tape_extents_deinit(&upper);
	return result;
}

/* Where the view of index starts; *unknown: snapshots before that are missing on the tape. */
static uint32_t find_base(const struct tape_reader *reader, uint32_t index, bool *unknown)
{
	*unknown = false;
	for (;; index--) {
		const struct tape_stored_snapshot *snapshot = &reader->snapshots[index];

		if (snapshot->snapshot.info.base)
			return index;
		*unknown = index ? reader->snapshots[index - 1].ordinal + 1 != snapshot->ordinal : snapshot->ordinal;
		if (!index || *unknown)
			return index;
	}
}

static int build_view(struct tape_reader *reader, struct tape_view *view, uint32_t index)
{
	struct tape_extents lower = {0}, upper = {0}, *below = &lower;
	bool unknown;
	uint32_t first = find_base(reader, index, &unknown);
	int result = unknown ? append_lost(&lower, TAPE_MAX_GFN) : 0;

	/* The latest view between base and index saves the way up to it. */
	for (unsigned i = 0; i < TAPE_VIEWS; i++) {
		struct tape_view *other = &reader->views[i];

		if (other->used && other != view && other->index >= first && other->index < index) {
			first = other->index + 1;
			below = &other->extents;
		}
	}
	if (!result)
		result = merge_layers(reader, first, index, &upper);
	tape_extents_deinit(&view->extents);
	view->used = 0;
	if (!result)
		result = tape_extents_merge(&view->extents, below, &upper);
	tape_extents_deinit(&lower);
	tape_extents_deinit(&upper);
	view->index = index;
	return result;
}

static int get_view(struct tape_reader *reader, uint32_t index, struct tape_view **out)
{
	struct tape_view *oldest = &reader->views[0];
	int result;

	for (unsigned i = 0; i < TAPE_VIEWS; i++) {
		struct tape_view *view = &reader->views[i];

		if (view->used && view->index == index) {
			view->used = ++reader->clock;
			*out = view;
			return 0;
		}
		if (view->used < oldest->used)
			oldest = view;
	}
	result = build_view(reader, oldest, index);
	if (result)
		return result;
	oldest->used = ++reader->clock;
	*out = oldest;
	return 0;
}

/* ---- pages ----------------------------------------------------------- */

static int get_pages(struct tape_reader *reader, struct tape_stored_chunk *chunk, const uint8_t **out)
{
	size_t number = (size_t)(chunk - reader->chunks);
	struct tape_cached_pages *oldest = &reader->cache[0];
	struct tape_scratch raw;
	int result;

	for (unsigned i = 0; i < TAPE_PAGE_CACHE; i++) {
		struct tape_cached_pages *pages = &reader->cache[i];

		if (pages->data && pages->chunk == number) {
			pages->used = ++reader->clock;
			*out = pages->data;
			return 0;
		}
		if (pages->used < oldest->used)
			oldest = pages;
	}
	/* Its memory serves again: new memory costs a fault a page. */
	raw = (struct tape_scratch){oldest->data, oldest->room_bytes};
	result = tape_load(reader, chunk, &raw);
	*oldest = (struct tape_cached_pages){raw.data, raw.room_bytes, SIZE_MAX, 0};
	if (result)
		return result;
	oldest->chunk = number;
	oldest->used = ++reader->clock;
	*out = raw.data;
	return 0;
}

int tape_snapshot_view(struct tape_reader *reader, uint32_t index, const struct tape_extents **out)
{
	struct tape_view *view;
	int result = get_view(reader, index, &view);

	*out = result ? NULL : &view->extents;
	return result;
}

int tape_reader_page(struct tape_reader *reader, uint32_t index, uint64_t gfn, void *page, struct tape_error *error)
{
	struct tape_stored_chunk *chunk;
	const uint8_t *pages;
	struct tape_view *view;
	uint64_t id, more;
	uint32_t at;
	int result;

	if (index >= reader->nr_snapshots - reader->first_snapshot)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "the tape has no snapshot %u", index);
	index += (uint32_t)reader->first_snapshot;
	result = tape_page_index_build(reader);
	if (!result)
		result = get_view(reader, index, &view);
	if (result)
		return tape_fail(error, result, TAPE_NO_OFFSET, "no memory for the page map of snapshot %u", index);
	id = tape_extents_find(&view->extents, gfn);
	if (id == TAPE_PAGE_NONE)
		return tape_fail(error, -ENOENT, TAPE_NO_OFFSET, "page 0x%" PRIx64 " is not recorded", gfn);
	if (id == TAPE_PAGE_LOST)
		return tape_fail(error, -EBADMSG, reader->snapshots[index].offset,
				 "page 0x%" PRIx64 ": the map that would tell where it is is damaged or missing", gfn);
	if (id == TAPE_PAGE_ZERO) {
		memset(page, 0, TAPE_PAGE_BYTES);
		return 0;
	}
	chunk = tape_page_index_find(reader, id, &at, &more);
	if (!chunk)
		return tape_fail(error, -EBADMSG, TAPE_NO_OFFSET,
				 "page 0x%" PRIx64 ": its contents (number %" PRIu64 ") are missing", gfn, id);
	result = get_pages(reader, chunk, &pages);
	if (result)
		return tape_fail(error, result, chunk->offset, "page 0x%" PRIx64 ": its chunk is damaged", gfn);
	memcpy(page, pages + (size_t)at * TAPE_PAGE_BYTES, TAPE_PAGE_BYTES);
	return 0;
}
