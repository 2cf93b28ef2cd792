/* SPDX-License-Identifier: MIT */
/*
 * tape_brief_read.c - briefs of a tape's chunks, slot by slot: a few slots'
 * are kept, as vCPUs are not all in the same one.
 */
#include <errno.h>

#include "tape_read.h"

#define KEPT_SLOTS 8u

struct kept_slot {
	bool used;
	size_t slot;
	uint64_t clock;
	struct tape_scratch payload;
	struct tape_briefs_view view; /* in payload; empty: nothing is known */
	uint32_t *numbers;            /* of the brief, by chunk of the slot */
};

struct tape_brief_cache {
	struct kept_slot slots[KEPT_SLOTS];
	struct tape_brief brief;
	uint64_t clock;
};

static void forget(struct kept_slot *kept)
{
	tape_briefs_view_deinit(&kept->view);
	free(kept->numbers);
	kept->numbers = NULL;
	kept->used = false;
}

void tape_brief_cache_destroy(struct tape_brief_cache *cache)
{
	for (unsigned i = 0; cache && i < KEPT_SLOTS; i++) {
		forget(&cache->slots[i]);
		free(cache->slots[i].payload.data);
	}
	if (cache)
		tape_brief_deinit(&cache->brief);
	free(cache);
}

/* An index that is damaged, or has no briefs, leaves everything unknown. */
static int read_slot(struct tape_reader *reader, struct kept_slot *kept, size_t number)
{
	const struct tape_slot *slot = &reader->slots[number];
	struct tape_index index = {0};
	uint32_t nr_briefs = 0;
	const char *why = NULL;
	int result;

	kept->numbers = calloc(slot->nr_chunks + 1, sizeof(*kept->numbers));
	if (!kept->numbers)
		return -ENOMEM;
	for (size_t i = 0; i < slot->nr_chunks; i++) {
		kept->numbers[i] = nr_briefs;
		nr_briefs += tape_has_events(&reader->chunks[slot->first_chunk + i].header);
	}
	if (slot->index_chunk == SIZE_MAX || !nr_briefs)
		return 0;
	result = tape_load(reader, &reader->chunks[slot->index_chunk], &kept->payload);
	if (!result)
		result = tape_index_decode(&index, kept->payload.data,
					   reader->chunks[slot->index_chunk].header.raw_bytes,
					   (uint32_t)(reader->chunks[slot->index_chunk].offset - slot->start), &why);
	if (!result && index.briefs_at && index.nr_entries + 1u == slot->nr_chunks)
		result = tape_briefs_decode(&kept->view, index.briefs_at, index.briefs_bytes, nr_briefs, &why);
	tape_index_deinit(&index);
	return result == -ENOMEM ? result : 0;
}

static int get_slot(struct tape_reader *reader, size_t number, struct kept_slot **out)
{
	struct tape_brief_cache *cache = reader->briefs;
	struct kept_slot *oldest = &cache->slots[0];
	int result;

	for (unsigned i = 0; i < KEPT_SLOTS; i++) {
		struct kept_slot *kept = &cache->slots[i];

		if (kept->used && kept->slot == number) {
			kept->clock = ++cache->clock;
			*out = kept;
			return 0;
		}
		if (!kept->used || (oldest->used && kept->clock < oldest->clock))
			oldest = kept;
	}
	forget(oldest);
	result = read_slot(reader, oldest, number);
	if (result) {
		forget(oldest);
		return result;
	}
	oldest->used = true;
	oldest->slot = number;
	oldest->clock = ++cache->clock;
	*out = oldest;
	return 0;
}

int tape_reader_brief(struct tape_reader *reader, size_t number, struct tape_chunk_brief *out)
{
	const struct tape_stored_chunk *chunk = &reader->chunks[number];
	const struct tape_chunk_header *header = &chunk->header;
	const struct tape_slot *slot = &reader->slots[chunk->slot];
	struct tape_brief *brief;
	struct kept_slot *kept;
	int result;

	*out = (struct tape_chunk_brief){
		.number = number,
		.vcpu = header->vcpu,
		.nr_records = header->nr_items,
		.min_tsc = header->min_tsc,
		.max_tsc = header->max_tsc,
		.first_seq = header->first_seq,
		.last_seq = header->last_seq,
	};
	if (!reader->briefs)
		reader->briefs = calloc(1, sizeof(*reader->briefs));
	if (!reader->briefs)
		return -ENOMEM;
	result = get_slot(reader, chunk->slot, &kept);
	if (result || !kept->view.nr_briefs)
		return result;
	brief = &reader->briefs->brief;
	result = tape_brief_get(&kept->view, kept->numbers[number - slot->first_chunk], header->vcpu, header->min_tsc,
				brief);
	if (result)
		return result;
	out->known = brief->flags & TAPE_BRIEF_KNOWN;
	out->has_unnumbered = brief->flags & TAPE_BRIEF_UNNUMBERED;
	out->has_nameless = brief->flags & TAPE_BRIEF_NAMELESS;
	out->nr_nrs = (uint32_t)(brief->nrs.size_bytes / 4);
	out->nrs = brief->nrs.data;
	out->rows = brief->rows.data;
	out->rows_bytes = brief->rows.size_bytes;
	return 0;
}

uint32_t tape_brief_nr(const struct tape_chunk_brief *brief, uint32_t i, uint8_t *abi)
{
	uint32_t key = get_le32(brief->nrs + 4 * (size_t)i);

	*abi = (uint8_t)(key >> 28);
	return key & 0x0fffffff;
}

int tape_reader_briefs(struct tape_reader *reader, void (*found)(void *ctx, const struct tape_chunk_brief *brief),
		       void *ctx, size_t *nr_chunks, struct tape_error *error)
{
	struct tape_chunk_brief brief;

	*nr_chunks = reader->nr_chunks;
	for (size_t i = 0; i < reader->nr_chunks; i++) {
		if (reader->chunks[i].bad || !tape_has_events(&reader->chunks[i].header))
			continue;
		if (tape_reader_brief(reader, i, &brief))
			return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for what a slot holds");
		found(ctx, &brief);
	}
	return 0;
}

int tape_reader_gaps(struct tape_reader *reader, size_t number, void (*found)(void *ctx, const struct trap_gap *gap),
		     void *ctx, struct tape_error *error)
{
	struct tape_stored_chunk *chunk = &reader->chunks[number];
	struct tape_scratch raw = {0};
	int result = tape_load(reader, chunk, &raw);
	struct trap_view view;
	struct trap_gap gap;
	size_t size_bytes;

	/* As a cursor does: a record that is not valid is left out, and so is all behind a length that can't be. */
	for (size_t at = 0; !result && chunk->header.raw_bytes - at >= sizeof(struct trap_record); at += size_bytes) {
		size_bytes = get_le32(raw.data + at + offsetof(struct trap_record, size_bytes));
		if (size_bytes < sizeof(struct trap_record) || size_bytes > chunk->header.raw_bytes - at ||
		    size_bytes & 7)
			break;
		if (raw.data[at + offsetof(struct trap_record, type)] != TRAP_GAP ||
		    trap_view_parse(&view, raw.data + at, size_bytes, NULL) <= 0 ||
		    view.header.vcpu != chunk->header.vcpu)
			continue;
		trap_view_gap(&view, &gap);
		found(ctx, &gap);
	}
	free(raw.data);
	if (!result || result == -EBADMSG)
		return result;
	return tape_fail(error, result, chunk->offset, "cannot read a TRAPS chunk: %s", strerror(-result));
}
