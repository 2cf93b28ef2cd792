/* SPDX-License-Identifier: MIT */
/*
 * tape_ring_clean.c - what of a slot must outlive it. Kept is what the records
 * in younger slots need: the oldest snapshot that counts is the last one that
 * is not younger than all of them; from it on, each can be told whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <zstd.h>

#include "tape_ring_state.h"

/* A chunk of which so many eighths are in use is copied as it is. */
#define COPY_EIGHTHS 7u

struct clean {
	struct tape_ring *ring;
	uint64_t slot_seq;
	struct ring_slot *slot;
	struct tape_error *error;
	bool has_oldest;   /* there is a snapshot: ring->first_snapshot */
	uint64_t base;     /* ordinal of the base snapshot at or before that */
	bool base_is_full; /* its map was made anew */
	bool wants_meta, wants_full;
	/* pages that are in use, of chunks most of whose pages are not */
	uint64_t ids[TAPE_PAGES_MAX];
	uint32_t nr_batch, batch_room;
	uint8_t *batch;
	uint8_t *raw; /* one chunk's */
};

/* ---- reading back ---------------------------------------------------- */

static int read_back(struct tape_ring *ring, uint64_t slot_seq, const struct ring_chunk *chunk, const uint8_t **out,
		     struct tape_error *error)
{
	uint64_t offset = slot_seq % ring->nr_places * ring->slot_bytes + chunk->slot_offset + TAPE_CHUNK_HEADER_BYTES;
	uint32_t size_bytes = chunk->header.stored_bytes;
	int result;

	if (size_bytes > ring->stored_room_bytes || !ring->stored) {
		free(ring->stored);
		ring->stored_room_bytes = 0;
		ring->stored = malloc(size_bytes + 4096u);
		if (!ring->stored)
			return tape_fail(error, -ENOMEM, offset, "no memory to carry a chunk forward");
		ring->stored_room_bytes = size_bytes + 4096u;
	}
	result = ring->sink.read(ring->sink.ctx, offset, ring->stored, size_bytes);
	if (result)
		return tape_fail(error, result, offset, "reading back what the ring tape must keep: %s",
				 strerror(-result));
	if (tape_hash(ring->stored, size_bytes) != chunk->header.payload_hash)
		return tape_fail(error, -EBADMSG, offset, "what was written reads back as something else");
	*out = ring->stored;
	return 0;
}

static int no_memory(struct tape_error *error)
{
	return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for what the ring tape must keep");
}

static int carry(struct clean *clean, struct tape_chunk *chunk)
{
	return ring_carry(clean->ring, chunk) ? no_memory(clean->error) : 0;
}

static int carry_copy(struct clean *clean, const struct tape_chunk_header *header, const uint8_t *payload)
{
	struct tape_chunk *copy;
	int result = tape_chunk_wrap(&copy, header, payload, header->stored_bytes, clean->error);

	if (result)
		return result;
	copy->header.flags |= TAPE_F_CARRIED;
	return carry(clean, copy);
}

static int carry_as_is(struct clean *clean, const struct ring_chunk *chunk)
{
	const uint8_t *payload;
	int result = read_back(clean->ring, clean->slot_seq, chunk, &payload, clean->error);

	return result ? result : carry_copy(clean, &chunk->header, payload);
}

/* ---- snapshots ------------------------------------------------------- */

typedef void (*chunk_fn)(void *ctx, uint64_t slot_seq, const struct ring_chunk *chunk);

/* All chunks of this type, the oldest slot's first. */
static void for_each(const struct tape_ring *ring, uint16_t type, chunk_fn fn, void *ctx)
{
	uint64_t first = ring->now_seq < ring->nr_places ? 0 : ring->now_seq + 1 - ring->nr_places;

	for (uint64_t seq = first; seq <= ring->now_seq; seq++) {
		const struct ring_slot *slot = &ring->slots[seq % ring->nr_places];

		for (uint32_t i = 0; i < slot->nr_chunks; i++)
			if (slot->chunks[i].header.type == type)
				fn(ctx, seq, &slot->chunks[i]);
	}
}

struct oldest_search {
	uint64_t tsc; /* least one of the records that stay */
	uint64_t found, newest, first;
};

static void look_for_oldest(void *ctx, uint64_t slot_seq, const struct ring_chunk *chunk)
{
	struct oldest_search *search = ctx;
	uint64_t ordinal = chunk->header.first_seq;

	if (search->first == RING_NO_ORDINAL || ordinal < search->first)
		search->first = ordinal;
	if (search->newest == RING_NO_ORDINAL || ordinal > search->newest)
		search->newest = ordinal;
	if (chunk->header.min_tsc <= search->tsc && (search->found == RING_NO_ORDINAL || ordinal > search->found))
		search->found = ordinal;
}

/*
 * The last snapshot that is not younger than tsc, or the first there is; RING_NO_ORDINAL:
 * there is none yet. Never the newest, which can be on the tape before what was recorded until then.
 */
static uint64_t oldest_for(const struct tape_ring *ring, uint64_t tsc)
{
	struct oldest_search search = {tsc, RING_NO_ORDINAL, RING_NO_ORDINAL, RING_NO_ORDINAL};
	uint64_t oldest;

	for_each(ring, TAPE_CHUNK_SNAPSHOT, look_for_oldest, &search);
	if (search.newest == RING_NO_ORDINAL)
		return RING_NO_ORDINAL;
	oldest = search.found == RING_NO_ORDINAL ? search.first : search.found;
	return oldest == search.newest && oldest > search.first ? oldest - 1 : oldest;
}

/* The oldest snapshot that counts when the slot is gone. Records that are still on their way may be older than those.
 */
static uint64_t find_oldest(const struct tape_ring *ring, uint64_t slot_seq)
{
	uint64_t tsc = ring_tasks_late_tsc(&ring->tasks), oldest;

	for (uint64_t seq = slot_seq + 1; seq <= ring->now_seq; seq++) {
		const struct ring_slot *slot = &ring->slots[seq % ring->nr_places];

		tsc = slot->min_tsc < tsc ? slot->min_tsc : tsc;
	}
	oldest = oldest_for(ring, tsc);
	return oldest == RING_NO_ORDINAL || oldest > ring->first_snapshot ? oldest : ring->first_snapshot;
}

struct snapshot_search {
	uint64_t ordinal;
	bool original; /* not one made anew */
	uint64_t slot_seq;
	const struct ring_chunk *chunk; /* the youngest copy; NULL: none */
	/* of maps: copies of each part */
	uint32_t nr_parts;
	const struct ring_chunk **parts;
	uint64_t *part_seqs;
};

static void look_for_snapshot(void *ctx, uint64_t slot_seq, const struct ring_chunk *chunk)
{
	struct snapshot_search *search = ctx;

	if (chunk->header.first_seq != search->ordinal || (search->original && chunk->header.flags & TAPE_F_FULL))
		return;
	search->slot_seq = slot_seq;
	search->chunk = chunk;
}

uint64_t ring_sure_snapshot(const struct tape_ring *ring, uint64_t late_tsc)
{
	struct snapshot_search search = {.ordinal = oldest_for(ring, late_tsc)};

	for_each(ring, TAPE_CHUNK_SNAPSHOT, look_for_snapshot, &search);
	return search.chunk && search.chunk->header.min_tsc <= late_tsc ? search.chunk->header.min_tsc : 0;
}

static void look_for_parts(void *ctx, uint64_t slot_seq, const struct ring_chunk *chunk)
{
	struct snapshot_search *search = ctx;

	if (chunk->header.first_seq != search->ordinal || chunk->header.flags & TAPE_F_FULL ||
	    chunk->header.last_seq >= search->nr_parts)
		return;
	search->parts[chunk->header.last_seq] = chunk;
	search->part_seqs[chunk->header.last_seq] = slot_seq;
}

static int read_parts(struct tape_ring *ring, const struct snapshot_search *search, struct tape_extents *out,
		      struct tape_error *error)
{
	for (uint32_t i = 0; i < search->nr_parts; i++) {
		struct tape_page_map part;
		const uint8_t *payload;
		const char *why = "it is not on the tape";
		int result = -EBADMSG;

		if (search->parts[i]) {
			result = read_back(ring, search->part_seqs[i], search->parts[i], &payload, error);
			if (result)
				return result;
			result = tape_page_map_decode(&part, out, payload, search->parts[i]->header.stored_bytes, &why);
		}
		if (result)
			return tape_fail(error, result, TAPE_NO_OFFSET, "map of snapshot %" PRIu64 ": %s",
					 search->ordinal, result == -ENOMEM ? "no memory" : why);
	}
	return 0;
}

/* The next snapshot's pages become part of the memory at the oldest one. */
static int advance_one(struct tape_ring *ring, struct tape_error *error)
{
	struct snapshot_search search = {.ordinal = ring->advanced, .original = true};
	struct tape_extents brought = {0};
	int result;

	for_each(ring, TAPE_CHUNK_SNAPSHOT, look_for_snapshot, &search);
	if (!search.chunk)
		return tape_fail(error, -EBADMSG, TAPE_NO_OFFSET, "snapshot %" PRIu64 " is not on the tape",
				 ring->advanced);
	search.nr_parts = search.chunk->header.nr_items;
	search.parts = calloc(search.nr_parts + 1u, sizeof(struct ring_chunk *));
	search.part_seqs = calloc(search.nr_parts + 1u, sizeof(*search.part_seqs));
	result = search.parts && search.part_seqs ? 0 : no_memory(error);
	if (!result) {
		for_each(ring, TAPE_CHUNK_PAGE_MAP, look_for_parts, &search);
		result = read_parts(ring, &search, &brought, error);
	}
	if (!result && tape_pages_advance(ring->pages, &brought, search.chunk->is_base))
		result = no_memory(error);
	ring->advanced += !result;
	free(search.parts);
	free(search.part_seqs);
	tape_extents_deinit(&brought);
	return result;
}

static int emit_full(void *ctx, struct tape_chunk *chunk, struct tape_error *error)
{
	return carry(ctx, chunk);
}

/* The oldest snapshot that counts becomes one that brings all pages: those before it may go. */
static int carry_full(struct clean *clean)
{
	struct tape_ring *ring = clean->ring;
	struct snapshot_search search = {.ordinal = ring->first_snapshot};
	struct tape_map_writer map = {.emit = emit_full,
				      .ctx = clean,
				      .ordinal = ring->first_snapshot,
				      .flags = TAPE_F_CARRIED | TAPE_F_FULL,
				      .error = clean->error};
	struct tape_chunk *chunk = NULL;
	const uint8_t *payload;
	int result = tape_map_writer_init(&map, ring->slot_bytes);

	if (!result)
		result = tape_pages_write_oldest(ring->pages, &map);
	for_each(ring, TAPE_CHUNK_SNAPSHOT, look_for_snapshot, &search);
	if (!result)
		result = search.chunk ? read_back(ring, search.slot_seq, search.chunk, &payload, clean->error)
				      : -EBADMSG;
	if (!result) {
		struct tape_chunk_header header = search.chunk->header;

		header.flags = TAPE_F_CARRIED | TAPE_F_FULL;
		header.nr_items = map.nr_parts;
		result = tape_chunk_wrap(&chunk, &header, payload, header.stored_bytes, clean->error);
	}
	if (!result) {
		tape_snapshot_make_full(chunk, &map);
		ring->full_ordinal = ring->first_snapshot;
		ring->full_from_seq = ring->now_seq;
		result = carry(clean, chunk);
	}
	tape_map_writer_deinit(&map);
	return result;
}

static void look_for_base(void *ctx, uint64_t slot_seq, const struct ring_chunk *chunk)
{
	struct clean *clean = ctx;
	uint64_t ordinal = chunk->header.first_seq;

	/* Before the first one there is nothing that it could build on. */
	if ((chunk->is_base || !ordinal) && ordinal <= clean->ring->first_snapshot &&
	    (clean->base == RING_NO_ORDINAL || ordinal > clean->base))
		clean->base = ordinal;
}

/* SNAPSHOT and PAGE_MAP: behind the oldest snapshot that counts, or part of one that is not committed yet? */
static bool is_younger(const struct clean *clean, const struct tape_chunk_header *header)
{
	return !clean->has_oldest || header->first_seq > clean->ring->first_snapshot;
}

/* Is it part of the way from the base to the oldest snapshot that counts? */
static bool is_on_way(const struct clean *clean, const struct tape_chunk_header *header)
{
	const struct tape_ring *ring = clean->ring;
	bool is_full = header->flags & TAPE_F_FULL;

	if (!clean->base_is_full)
		return !is_full && header->first_seq >= clean->base;
	if (is_full)
		return header->first_seq == clean->base && clean->slot_seq >= ring->full_from_seq;
	return header->first_seq > clean->base;
}

/* ---- pages ----------------------------------------------------------- */

static int flush_batch(struct clean *clean)
{
	struct tape_chunk *chunk;
	int result;

	if (!clean->nr_batch)
		return 0;
	result = tape_chunk_encode_pages(&chunk, clean->ids, clean->nr_batch, clean->batch,
					 clean->ring->pages->zstd_level, clean->error);
	clean->nr_batch = 0;
	return result ? result : carry(clean, chunk);
}

static int add_to_batch(struct clean *clean, uint64_t id, const uint8_t *page)
{
	int result = 0;

	if (clean->nr_batch == clean->batch_room || (clean->nr_batch && clean->ids[clean->nr_batch - 1] >= id))
		result = flush_batch(clean);
	clean->ids[clean->nr_batch] = id;
	memcpy(clean->batch + (size_t)clean->nr_batch++ * TAPE_PAGE_BYTES, page, TAPE_PAGE_BYTES);
	return result;
}

static int repack(struct clean *clean, const struct tape_chunk_header *header, const uint64_t *ids,
		  const uint8_t *stored, size_t stored_bytes)
{
	const uint8_t *contents = stored;
	int result = 0;

	if (!clean->raw)
		clean->raw = malloc(TAPE_PAGES_MAX * TAPE_PAGE_BYTES);
	if (!clean->batch)
		clean->batch = malloc((size_t)clean->batch_room * TAPE_PAGE_BYTES);
	if (!clean->raw || !clean->batch)
		return no_memory(clean->error);
	if (header->codec == TAPE_ZSTD) {
		size_t raw_bytes = ZSTD_decompress(clean->raw, header->raw_bytes, stored, stored_bytes);

		if (ZSTD_isError(raw_bytes) || raw_bytes != header->raw_bytes)
			return tape_fail(clean->error, -EBADMSG, TAPE_NO_OFFSET, "pages do not decompress");
		contents = clean->raw;
	}
	for (uint32_t i = 0; i < header->nr_items && !result; i++)
		if (tape_pages_is_live(clean->ring->pages, ids[i]))
			result = add_to_batch(clean, ids[i], contents + (size_t)i * TAPE_PAGE_BYTES);
	return result;
}

/* False when the ids can't be told. */
static bool page_ids(uint64_t ids[TAPE_PAGES_MAX], size_t *list_bytes, const struct tape_chunk_header *header,
		     const uint8_t *payload)
{
	*list_bytes = 0;
	if (header->layout == TAPE_LAYOUT_2)
		return tape_page_ids_decode(ids, list_bytes, header, payload, header->stored_bytes);
	for (uint32_t i = 0; i < header->nr_items; i++)
		ids[i] = header->first_seq + i;
	return true;
}

void ring_lose_pages(struct tape_ring *ring, const struct tape_chunk *chunk)
{
	uint64_t ids[TAPE_PAGES_MAX];
	size_t list_bytes;

	if (!ring->pages || !page_ids(ids, &list_bytes, &chunk->header, chunk->buffer + TAPE_CHUNK_HEADER_BYTES))
		return;
	for (uint32_t i = 0; i < chunk->header.nr_items; i++)
		tape_pages_lose(ring->pages, ids[i]);
}

static uint32_t count_live(const struct tape_ring *ring, const uint64_t *ids, uint32_t nr_pages)
{
	uint32_t nr_live = 0;

	for (uint32_t i = 0; i < nr_pages; i++)
		nr_live += tape_pages_is_live(ring->pages, ids[i]);
	return nr_live;
}

static int clean_pages(struct clean *clean, const struct ring_chunk *chunk)
{
	const struct tape_chunk_header *header = &chunk->header;
	struct tape_ring *ring = clean->ring;
	uint64_t ids[TAPE_PAGES_MAX];
	const uint8_t *payload = NULL;
	size_t list_bytes;
	uint32_t nr_live;
	int result;

	if (!ring->pages)
		return 0;
	if (header->layout == TAPE_LAYOUT_1) {
		page_ids(ids, &list_bytes, header, NULL);
		if (!count_live(ring, ids, header->nr_items))
			return 0;
	}
	result = read_back(ring, clean->slot_seq, chunk, &payload, clean->error);
	if (result)
		return result;
	if (!page_ids(ids, &list_bytes, header, payload))
		return tape_fail(clean->error, -EBADMSG, TAPE_NO_OFFSET, "page numbers that cannot be");
	nr_live = count_live(ring, ids, header->nr_items);
	if (!nr_live)
		return 0;
	if (nr_live * 8 >= header->nr_items * COPY_EIGHTHS)
		return carry_copy(clean, header, payload);
	return repack(clean, header, ids, payload + list_bytes, header->stored_bytes - list_bytes);
}

/* ---- a slot ---------------------------------------------------------- */

/* A plan is kept for as long as records that were made under it may be: a whole round longer than their slots. */
static bool is_plan_needed(const struct tape_ring *ring, uint64_t slot_seq, uint64_t id)
{
	for (size_t i = ring->nr_plans; i-- > 0;)
		if (ring->plans[i].id == id)
			return ring->plans[i].superseded_seq == UINT64_MAX ||
			       slot_seq < ring->plans[i].superseded_seq + ring->nr_places;
	return false;
}

static int clean_chunk(struct clean *clean, const struct ring_chunk *chunk)
{
	const struct tape_chunk_header *header = &chunk->header;

	switch (header->type) {
	case TAPE_CHUNK_META:
		clean->wants_meta = true;
		return 0;
	case TAPE_CHUNK_PLAN:
		return is_plan_needed(clean->ring, clean->slot_seq, header->first_seq) ? carry_as_is(clean, chunk) : 0;
	case TAPE_CHUNK_PAGES:
		return clean_pages(clean, chunk);
	case TAPE_CHUNK_PAGE_MAP:
	case TAPE_CHUNK_SNAPSHOT:
		if (is_younger(clean, header))
			return carry_as_is(clean, chunk);
		clean->wants_full = clean->wants_full || is_on_way(clean, header);
		return 0;
	default:
		return 0;
	}
}

int ring_clean(struct tape_ring *ring, uint64_t slot_seq, struct tape_error *error)
{
	struct clean clean = {.ring = ring,
			      .slot_seq = slot_seq,
			      .slot = &ring->slots[slot_seq % ring->nr_places],
			      .error = error,
			      .base = RING_NO_ORDINAL,
			      .batch_room = ring->pages ? ring->pages->batch_room : 0};
	uint64_t oldest = ring->pages ? find_oldest(ring, slot_seq) : RING_NO_ORDINAL;
	int result = 0;

	if (oldest != RING_NO_ORDINAL) {
		ring->first_snapshot = oldest;
		while (ring->advanced <= oldest && !result)
			result = advance_one(ring, error);
		for_each(ring, TAPE_CHUNK_SNAPSHOT, look_for_base, &clean);
		clean.base_is_full = clean.base == ring->full_ordinal;
		clean.has_oldest = true;
	}
	clean.slot->first_snapshot = ring->first_snapshot;
	for (uint32_t i = 0; i < clean.slot->nr_chunks && !result; i++)
		result = clean_chunk(&clean, &clean.slot->chunks[i]);
	if (!result)
		result = flush_batch(&clean);
	if (!result && clean.wants_meta)
		result = ring_carry_meta(ring, error);
	if (!result && clean.wants_full)
		result = carry_full(&clean);
	free(clean.batch);
	free(clean.raw);
	return result;
}
