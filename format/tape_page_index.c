/* SPDX-License-Identifier: MIT */
/*
 * tape_page_index.c - where the contents of each page number are: runs of
 * numbers that lie one behind the other in a PAGES chunk. In a ring tape a
 * content may be there more than once; the youngest copy counts.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_read.h"

/* The id of a run's extent: chunk and page in it, as one number that grows with the page. */
#define PAGE_BITS 8

static int add_listed(struct tape_reader *reader, size_t number, struct tape_extents *out)
{
	struct tape_stored_chunk *chunk = &reader->chunks[number];
	size_t list_bytes, size_bytes = chunk->header.stored_bytes;
	uint64_t ids[TAPE_PAGES_MAX];
	const uint8_t *payload;
	int result;

	if (size_bytes > TAPE_PAGE_IDS_MAX_BYTES)
		size_bytes = TAPE_PAGE_IDS_MAX_BYTES;
	/* The checksum is looked at when a page is read: one that the list tells wrongly is not given out. */
	result = tape_source_get(&reader->source, chunk->offset + TAPE_CHUNK_HEADER_BYTES, size_bytes, &reader->scratch,
				 &payload);
	if (result == -ENOMEM)
		return result;
	if (result || !tape_page_ids_decode(ids, &list_bytes, &chunk->header, payload, size_bytes)) {
		chunk->bad = true;
		tape_reader_problem(reader, chunk->offset, "PAGES chunk has page numbers that cannot be");
		return 0;
	}
	for (uint32_t i = 0; i < chunk->header.nr_items; i++)
		if (tape_extents_add(out, ids[i], 1, (uint64_t)number << PAGE_BITS | i))
			return -ENOMEM;
	return 0;
}

static int add_chunk(struct tape_reader *reader, size_t number, struct tape_extents *out)
{
	const struct tape_chunk_header *header = &reader->chunks[number].header;

	/* Overwritten since it was listed. */
	if (reader->chunks[number].gone)
		return 0;
	if (header->layout == TAPE_LAYOUT_2)
		return add_listed(reader, number, out);
	return tape_extents_add(out, header->first_seq, header->nr_items, (uint64_t)number << PAGE_BITS);
}

/* Chunks first to last of the list, the later ones over the earlier. */
static int merge(struct tape_reader *reader, size_t first, size_t last, struct tape_extents *out)
{
	struct tape_extents lower = {0}, upper = {0};
	size_t middle = first + (last - first) / 2;
	int result;

	if (first == last)
		return add_chunk(reader, reader->page_chunks[first], out);
	result = merge(reader, first, middle, &lower);
	if (!result)
		result = merge(reader, middle + 1, last, &upper);
	if (!result)
		result = tape_extents_merge(out, &lower, &upper);
	tape_extents_deinit(&lower);
	tape_extents_deinit(&upper);
	return result;
}

int tape_page_index_build(struct tape_reader *reader)
{
	int result = 0;

	if (reader->page_index_built)
		return 0;
	if (reader->nr_page_chunks)
		result = merge(reader, 0, reader->nr_page_chunks - 1, &reader->page_index);
	if (result)
		tape_extents_deinit(&reader->page_index);
	reader->page_index_built = !result;
	return result;
}

int tape_page_index_grow(struct tape_reader *reader, size_t from)
{
	for (size_t i = from; i < reader->nr_chunks; i++) {
		const struct tape_stored_chunk *chunk = &reader->chunks[i];
		const struct tape_extents *index = &reader->page_index;
		const struct tape_extent *last = index->count ? &index->list[index->count - 1] : NULL;

		if (chunk->header.type != TAPE_CHUNK_PAGES || chunk->bad)
			continue;
		if (last && chunk->header.first_seq < last->gfn + last->count)
			return -EEXIST;
		if (add_chunk(reader, i, &reader->page_index))
			return -ENOMEM;
	}
	return 0;
}

struct tape_stored_chunk *tape_page_index_find(struct tape_reader *reader, uint64_t id, uint32_t *page,
					       uint64_t *nr_pages)
{
	const struct tape_extent *extent = tape_extents_at(&reader->page_index, id);
	uint64_t at;

	if (!extent)
		return NULL;
	at = extent->id + (id - extent->gfn);
	*page = (uint32_t)at & ((1u << PAGE_BITS) - 1);
	*nr_pages = extent->count - (id - extent->gfn);
	return &reader->chunks[at >> PAGE_BITS];
}
