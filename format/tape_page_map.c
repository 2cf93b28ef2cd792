/* SPDX-License-Identifier: MIT */
/*
 * tape_page_map.c - which pages a snapshot brings and where their contents
 * are: the payload of a PAGE_MAP chunk, and maps in memory as sorted extents,
 * whose size is bounded by that of the chunks that they come from.
 */
#include <errno.h>

#include "tape_private.h"

/* ---- extents --------------------------------------------------------- */

static bool same_for_all(uint64_t id)
{
	return id & TAPE_EXTENT_SAME;
}

/* Id of the page that is delta pages into the extent. */
static uint64_t id_at(uint64_t id, uint64_t delta)
{
	return same_for_all(id) ? id : id + delta;
}

uint64_t tape_extent_id(const struct tape_extent *extent, uint64_t n)
{
	uint64_t id = id_at(extent->id, n);

	/* A page of a run of equal ones: its id without the mark. */
	return id >= TAPE_PAGE_NONE ? id : id & ~TAPE_EXTENT_SAME;
}

void tape_extents_deinit(struct tape_extents *extents)
{
	free(extents->list);
	*extents = (struct tape_extents){0};
}

/* Can a run of count pages at the end of which id would come be joined to it? */
static bool joins(struct tape_extent *last, uint64_t gfn, uint64_t id)
{
	if (last->gfn + last->count != gfn)
		return false;
	if (last->id == id && same_for_all(id))
		return true;
	return !same_for_all(last->id) && !same_for_all(id) && last->id + last->count == id;
}

int tape_extents_add(struct tape_extents *extents, uint64_t gfn, uint64_t count, uint64_t id)
{
	if (!count)
		return 0;
	if (extents->count && joins(&extents->list[extents->count - 1], gfn, id)) {
		extents->list[extents->count - 1].count += count;
		return 0;
	}
	if (extents->count == extents->room) {
		size_t room = extents->room ? extents->room * 2 : 64;
		struct tape_extent *list = reallocarray(extents->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		extents->list = list;
		extents->room = room;
	}
	extents->list[extents->count++] = (struct tape_extent){gfn, count, id};
	return 0;
}

const struct tape_extent *tape_extents_at(const struct tape_extents *extents, uint64_t gfn)
{
	size_t low = 0, high = extents->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct tape_extent *extent = &extents->list[middle];

		if (gfn < extent->gfn)
			high = middle;
		else if (gfn - extent->gfn >= extent->count)
			low = middle + 1;
		else
			return extent;
	}
	return NULL;
}

uint64_t tape_extents_find(const struct tape_extents *extents, uint64_t gfn)
{
	const struct tape_extent *extent = tape_extents_at(extents, gfn);

	return extent ? tape_extent_id(extent, gfn - extent->gfn) : TAPE_PAGE_NONE;
}

int tape_extents_merge(struct tape_extents *out, const struct tape_extents *lower, const struct tape_extents *upper)
{
	size_t i = 0, j = 0;
	uint64_t gfn = 0; /* everything below is in out */

	while (i < lower->count || j < upper->count) {
		const struct tape_extent *low = i < lower->count ? &lower->list[i] : NULL;
		const struct tape_extent *up = j < upper->count ? &upper->list[j] : NULL;
		const struct tape_extent *take = low;
		uint64_t from, to;

		if (low && low->gfn + low->count <= gfn) {
			i++;
			continue;
		}
		if (!low || (up && up->gfn <= (low->gfn > gfn ? low->gfn : gfn))) {
			take = up;
			j++;
		}
		from = take->gfn > gfn ? take->gfn : gfn;
		to = take->gfn + take->count;
		if (take == low && up && up->gfn < to)
			to = up->gfn;
		if (tape_extents_add(out, from, to - from, id_at(take->id, from - take->gfn)))
			return -ENOMEM;
		gfn = to;
	}
	return 0;
}

/* ---- payload of a PAGE_MAP chunk ------------------------------------- */

static uint64_t zigzag(uint64_t delta)
{
	return delta << 1 ^ (uint64_t)((int64_t)delta >> 63);
}

static uint64_t unzigzag(uint64_t value)
{
	return value >> 1 ^ -(value & 1);
}

/* Ids of the pages that are not zero, in order, as runs of growing or equal ids. Returns the number of runs. */
static uint32_t encode_runs(struct byte_buffer *out, const struct tape_page_place *places, size_t nr_places)
{
	uint64_t predicted = 0;
	uint32_t nr_runs = 0;

	for (size_t i = 0; i < nr_places;) {
		uint64_t first = places[i].id, count = 1, step = 1;

		if (first == TAPE_PAGE_ZERO) {
			i++;
			continue;
		}
		for (i++; i < nr_places; i++) {
			uint64_t id = places[i].id;

			if (id == TAPE_PAGE_ZERO)
				continue;
			if (count == 1 && id == first)
				step = 0;
			else if (id != first + count * step)
				break;
			count++;
		}
		byte_buffer_add_varint(out, count << 1 | step);
		byte_buffer_add_varint(out, zigzag(first - predicted));
		predicted = first + (count - 1) * step + 1;
		nr_runs++;
	}
	return nr_runs;
}

static uint32_t encode_set(struct byte_buffer *out, roaring_bitmap_t *set)
{
	size_t size_bytes;
	uint8_t *at;

	roaring_bitmap_run_optimize(set);
	size_bytes = roaring_bitmap_portable_size_in_bytes(set);
	at = byte_buffer_extend(out, size_bytes);
	if (at)
		roaring_bitmap_portable_serialize(set, (char *)at);
	return (uint32_t)size_bytes;
}

size_t tape_page_map_encode(struct byte_buffer *out, uint64_t ordinal, uint32_t part,
			    const struct tape_page_place *places, size_t nr_places, size_t max_pages)
{
	uint64_t base = nr_places ? places[0].gfn & ~0xffffull : 0;
	roaring_bitmap_t *brought = roaring_bitmap_create(), *zero = roaring_bitmap_create();
	uint32_t brought_bytes, zero_bytes, nr_runs;
	size_t count = 0, head = out->size_bytes;

	if (!brought || !zero)
		out->bad = true;
	for (; !out->bad && count < nr_places && count < max_pages; count++) {
		uint64_t at = places[count].gfn - base;

		if (at > UINT32_MAX)
			break;
		roaring_bitmap_add(brought, (uint32_t)at);
		if (places[count].id == TAPE_PAGE_ZERO)
			roaring_bitmap_add(zero, (uint32_t)at);
	}
	byte_buffer_add_u64(out, ordinal);
	byte_buffer_add_u64(out, base);
	byte_buffer_add_u32(out, part);
	byte_buffer_extend(out, 12);
	if (!out->bad) {
		brought_bytes = encode_set(out, brought);
		zero_bytes = encode_set(out, zero);
		nr_runs = encode_runs(out, places, count);
	}
	if (!out->bad) {
		put_le32(out->data + head + 20, brought_bytes);
		put_le32(out->data + head + 24, zero_bytes);
		put_le32(out->data + head + 28, nr_runs);
	}
	if (brought)
		roaring_bitmap_free(brought);
	if (zero)
		roaring_bitmap_free(zero);
	return out->bad ? 0 : count;
}

int tape_map_writer_init(struct tape_map_writer *map, uint32_t slot_bytes)
{
	/* Worst case is 32 bytes a page, and half a slot must hold a part. */
	size_t limit = slot_bytes / 64;

	map->max_pages = limit < TAPE_MAP_MAX_PAGES ? limit : TAPE_MAP_MAX_PAGES;
	map->places = malloc(map->max_pages * sizeof(*map->places));
	return map->places ? 0 : tape_fail(map->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
}

void tape_map_writer_deinit(struct tape_map_writer *map)
{
	free(map->places);
	map->places = NULL;
}

/* What was collected becomes one part, or, at gaps of 2^32 pages, more. */
int tape_map_writer_finish(struct tape_map_writer *map)
{
	size_t done = 0;
	int result = 0;

	while (done < map->nr_places && !result) {
		struct byte_buffer payload = {0};
		struct tape_chunk_header header = {.type = TAPE_CHUNK_PAGE_MAP,
						   .vcpu = TAPE_NO_VCPU,
						   .flags = map->flags,
						   .first_seq = map->ordinal,
						   .last_seq = map->nr_parts};
		struct tape_chunk *chunk = NULL;
		size_t took = tape_page_map_encode(&payload, map->ordinal, map->nr_parts, map->places + done,
						   map->nr_places - done, map->max_pages);

		header.nr_items = (uint32_t)took;
		if (!took)
			result = tape_fail(map->error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a map of pages");
		else
			result = tape_chunk_encode(&chunk, &header, payload.data, payload.size_bytes, 0, map->error);
		byte_buffer_deinit(&payload);
		if (!result)
			result = map->emit(map->ctx, chunk, map->error);
		done += took;
		map->nr_parts++;
	}
	map->nr_places = 0;
	return result;
}

int tape_map_writer_add(struct tape_map_writer *map, uint64_t gfn, uint64_t id)
{
	map->places[map->nr_places++] = (struct tape_page_place){gfn, id};
	map->nr_pages++;
	map->nr_zero += id == TAPE_PAGE_ZERO;
	return map->nr_places == map->max_pages ? tape_map_writer_finish(map) : 0;
}

static roaring_bitmap_t *decode_set(struct byte_reader *reader, uint32_t size_bytes)
{
	const uint8_t *bytes = byte_reader_take(reader, size_bytes);
	roaring_bitmap_t *set;

	if (!bytes)
		return NULL;
	set = roaring_bitmap_portable_deserialize_safe((const char *)bytes, size_bytes);
	if (set && roaring_bitmap_internal_validate(set, NULL) &&
	    roaring_bitmap_portable_size_in_bytes(set) == size_bytes)
		return set;
	if (set)
		roaring_bitmap_free(set);
	return NULL;
}

struct run_reader {
	struct byte_reader bytes;
	uint32_t left_runs;
	uint64_t count, id, step, predicted;
};

/* Next page id; TAPE_PAGE_NONE when there is none, or it is not valid. */
static uint64_t next_id(struct run_reader *runs)
{
	uint64_t id;

	if (!runs->count) {
		uint64_t head;

		if (!runs->left_runs)
			return TAPE_PAGE_NONE;
		runs->left_runs--;
		head = byte_reader_varint(&runs->bytes);
		runs->count = head >> 1;
		runs->step = head & 1;
		runs->id = runs->predicted + unzigzag(byte_reader_varint(&runs->bytes));
		if (runs->bytes.bad || !runs->count)
			return TAPE_PAGE_NONE;
	}
	id = runs->id;
	if (id >= TAPE_PAGE_MAX)
		return TAPE_PAGE_NONE;
	if (--runs->count)
		runs->id += runs->step;
	else
		runs->predicted = id + 1;
	return id;
}

static bool continues(const struct tape_extent *run, uint64_t id)
{
	if (same_for_all(run->id))
		return run->id == (id | TAPE_EXTENT_SAME);
	return run->id + run->count == id;
}

/* Walks the sets in order and gives each page that is not zero the next id. */
static int add_places(struct tape_extents *extents, const roaring_bitmap_t *brought, const roaring_bitmap_t *zero,
		      uint64_t base, struct run_reader *runs, const char **why)
{
	roaring_uint32_iterator_t pages, zeros;
	struct tape_extent now = {0};
	int result = 0;

	roaring_iterator_init(zero, &zeros);
	for (roaring_iterator_init(brought, &pages); pages.has_value && !result;
	     roaring_uint32_iterator_advance(&pages)) {
		uint64_t id = TAPE_PAGE_ZERO;

		if (zeros.has_value && zeros.current_value == pages.current_value)
			roaring_uint32_iterator_advance(&zeros);
		else
			id = next_id(runs);
		if (id == TAPE_PAGE_NONE) {
			*why = "its page ids are not valid, or fewer than its pages";
			return -EBADMSG;
		}
		/* A second page with the id of the first makes a run of equal pages. */
		if (now.count == 1 && now.id == id && id < TAPE_PAGE_MAX && now.gfn + 1 == base + pages.current_value)
			now.id |= TAPE_EXTENT_SAME;
		if (now.count && now.gfn + now.count == base + pages.current_value && continues(&now, id)) {
			now.count++;
			continue;
		}
		result = tape_extents_add(extents, now.gfn, now.count, now.id);
		now = (struct tape_extent){base + pages.current_value, 1, id};
	}
	return result ? result : tape_extents_add(extents, now.gfn, now.count, now.id);
}

static const char *check_sets(const roaring_bitmap_t *brought, const roaring_bitmap_t *zero,
			      const struct tape_extents *extents, uint64_t base)
{
	const struct tape_extent *last = extents->count ? &extents->list[extents->count - 1] : NULL;

	if (!brought || !zero)
		return "its set of pages is not valid";
	if (!roaring_bitmap_is_subset(zero, brought))
		return "its zero pages are not among its pages";
	if (roaring_bitmap_get_cardinality(brought) > TAPE_MAP_MAX_PAGES || roaring_bitmap_is_empty(brought))
		return "it has no pages, or too many";
	if (base >= TAPE_MAX_GFN || (last && last->gfn + last->count > base + roaring_bitmap_minimum(brought)))
		return "its pages do not lie behind those of the part before";
	return NULL;
}

int tape_page_map_decode(struct tape_page_map *out, struct tape_extents *extents, const uint8_t *payload,
			 size_t size_bytes, const char **why)
{
	struct byte_reader reader = byte_reader(payload, size_bytes);
	roaring_bitmap_t *brought, *zero;
	uint32_t brought_bytes, zero_bytes;
	struct run_reader runs = {0};
	uint64_t base;
	int result = -EBADMSG;

	out->ordinal = byte_reader_u64(&reader);
	base = byte_reader_u64(&reader);
	out->part = byte_reader_u32(&reader);
	brought_bytes = byte_reader_u32(&reader);
	zero_bytes = byte_reader_u32(&reader);
	runs.left_runs = byte_reader_u32(&reader);
	brought = decode_set(&reader, brought_bytes);
	zero = decode_set(&reader, zero_bytes);
	*why = check_sets(brought, zero, extents, base);
	if (!*why) {
		runs.bytes = reader;
		out->nr_pages = roaring_bitmap_get_cardinality(brought);
		out->nr_zero = roaring_bitmap_get_cardinality(zero);
		result = add_places(extents, brought, zero, base, &runs, why);
		if (!result && (runs.left_runs || runs.count || runs.bytes.left_bytes)) {
			*why = "it has more page ids than pages";
			result = -EBADMSG;
		}
	}
	if (brought)
		roaring_bitmap_free(brought);
	if (zero)
		roaring_bitmap_free(zero);
	return result;
}
