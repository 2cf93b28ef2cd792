/* SPDX-License-Identifier: MIT */
/* tape_load.c - reads, checks and decompresses one chunk; one that fails is marked bad and reported once. */
#include <errno.h>

#include "tape_read.h"

/* Has a recorder that is still at work on a ring tape taken the slot's place since it was looked at? */
static bool is_overwritten(const struct tape_reader *reader, const struct tape_slot *slot)
{
	uint8_t bytes[TAPE_SLOT_HEADER_BYTES];
	struct tape_slot_header header;

	return reader->identity.nr_places &&
	       !tape_source_read(&reader->source, slot->start + (slot->start ? 0 : TAPE_FILE_HEADER_BYTES), bytes,
				 sizeof(bytes)) &&
	       tape_get_slot_header(bytes, &header) && header.seq > slot->seq;
}

static int turn_bad(struct tape_reader *reader, struct tape_stored_chunk *chunk, const char *why)
{
	chunk->bad = true;
	if (is_overwritten(reader, &reader->slots[chunk->slot])) {
		if (!reader->told_overwritten)
			tape_reader_problem(reader, chunk->offset,
					    "slots from here on were overwritten while the tape was read: it is still "
					    "being recorded");
		reader->told_overwritten = true;
		return -EBADMSG;
	}
	return tape_reader_problem(reader, chunk->offset, "%s chunk %s", tape_type_name(chunk->header.type), why);
}

/* What an index entry and the header before the payload must both say. */
static bool same_header(const struct tape_chunk_header *a, const struct tape_chunk_header *b)
{
	return a->type == b->type && a->codec == b->codec && a->layout == b->layout &&
	       a->stored_bytes == b->stored_bytes && a->raw_bytes == b->raw_bytes && a->vcpu == b->vcpu &&
	       a->flags == b->flags && a->number == b->number && a->nr_items == b->nr_items &&
	       a->min_tsc == b->min_tsc && a->max_tsc == b->max_tsc && a->first_seq == b->first_seq &&
	       a->last_seq == b->last_seq;
}

int tape_check_header(struct tape_reader *reader, struct tape_stored_chunk *chunk)
{
	uint8_t bytes[TAPE_CHUNK_HEADER_BYTES];
	struct tape_chunk_header header;
	int result = tape_source_read(&reader->source, chunk->offset, bytes, sizeof(bytes));

	if (result)
		return turn_bad(reader, chunk, result == -ENODATA ? "is cut off" : strerror(-result));
	if (!tape_get_chunk_header(bytes, &header))
		return turn_bad(reader, chunk, "has a damaged header (checksum)");
	if (!same_header(&header, &chunk->header) || header.tag != reader->tag ||
	    header.slot_seq != (uint32_t)reader->slots[chunk->slot].seq)
		return turn_bad(reader, chunk, "is not the one that the slot's index tells of");
	chunk->header = header;
	chunk->from_index = false;
	return 0;
}

int tape_load_stored(struct tape_reader *reader, struct tape_stored_chunk *chunk, const uint8_t **out)
{
	int result;

	if (chunk->bad)
		return -EBADMSG;
	if (chunk->from_index && tape_check_header(reader, chunk))
		return -EBADMSG;
	result = tape_source_get(&reader->source, chunk->offset + TAPE_CHUNK_HEADER_BYTES, chunk->header.stored_bytes,
				 &reader->scratch, out);
	if (result == -ENOMEM)
		return result;
	if (result)
		return turn_bad(reader, chunk, result == -ENODATA ? "is cut off" : strerror(-result));
	if (tape_hash(*out, chunk->header.stored_bytes) != chunk->header.payload_hash)
		return turn_bad(reader, chunk, "is damaged (checksum)");
	return 0;
}

int tape_load(struct tape_reader *reader, struct tape_stored_chunk *chunk, struct tape_scratch *raw)
{
	const uint8_t *stored;
	size_t size_bytes, stored_bytes = chunk->header.stored_bytes;
	int result = tape_load_stored(reader, chunk, &stored);

	if (result)
		return result;
	if (chunk->header.raw_bytes > tape_raw_limit(chunk->header.type))
		return turn_bad(reader, chunk, "is larger than any of its type");
	if (chunk->header.type == TAPE_CHUNK_PAGES && chunk->header.layout == TAPE_LAYOUT_2) {
		uint64_t ids[TAPE_PAGES_MAX];
		size_t list_bytes;

		if (!tape_page_ids_decode(ids, &list_bytes, &chunk->header, stored, stored_bytes))
			return turn_bad(reader, chunk, "has page numbers that cannot be");
		stored += list_bytes;
		stored_bytes -= list_bytes;
	}
	if (tape_scratch_reserve(raw, chunk->header.raw_bytes))
		return -ENOMEM;
	if (chunk->header.codec == TAPE_STORED) {
		if (stored_bytes != chunk->header.raw_bytes)
			return turn_bad(reader, chunk, "says two lengths");
		memcpy(raw->data, stored, chunk->header.raw_bytes);
		return 0;
	}
	if (!reader->zstd)
		reader->zstd = ZSTD_createDCtx();
	if (!reader->zstd)
		return -ENOMEM;
	size_bytes = ZSTD_decompressDCtx(reader->zstd, raw->data, chunk->header.raw_bytes, stored, stored_bytes);
	if (ZSTD_isError(size_bytes) || size_bytes != chunk->header.raw_bytes)
		return turn_bad(reader, chunk, "does not decompress to its length");
	return 0;
}
