/* SPDX-License-Identifier: MIT */
/*
 * tape_scan.c - finds the slots and chunks of a tape: by the index of each
 * slot that was closed, by walking from header to header in the others. After
 * damage it looks for the next header that is intact and of the same slot.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_read.h"

#define SEARCH_BYTES (256u << 10)
#define MAX_SLOT_SEQ (1ull << 62) /* no recorder gets there; what counts on behind it must not wrap */

struct slot_scan {
	struct tape_reader *reader;
	struct tape_slot *slot;
	uint64_t first; /* file offsets: of the first chunk */
	uint64_t limit; /* behind the last byte that is there */
	uint64_t slot_end;
	uint32_t number; /* of the slot, in the reader's list */
	bool growing;    /* it is being written: what is no chunk is not there yet */
};

static int add_slot(struct tape_reader *reader, const struct tape_slot *slot)
{
	if (reader->nr_slots == reader->slots_room) {
		size_t room = reader->slots_room ? reader->slots_room * 2 : 16;
		struct tape_slot *slots = reallocarray(reader->slots, room, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		reader->slots = slots;
		reader->slots_room = room;
	}
	reader->slots[reader->nr_slots++] = *slot;
	return 0;
}

static const char *judge_pages(const struct tape_chunk_header *header)
{
	if (!header->nr_items || header->nr_items > TAPE_PAGES_MAX ||
	    header->raw_bytes != header->nr_items * TAPE_PAGE_BYTES || header->first_seq >= TAPE_PAGE_MAX)
		return "has page numbers that do not fit its length";
	if (header->layout == TAPE_LAYOUT_1 && header->last_seq - header->first_seq != header->nr_items - 1)
		return "has page numbers that do not fit its length";
	return NULL;
}

const char *tape_judge_header(const struct tape_chunk_header *header)
{
	uint32_t limit = tape_raw_limit(header->type), prefix_bytes = 0;
	bool packed = header->type == TAPE_CHUNK_TRAPS || header->type == TAPE_CHUNK_PAGES;

	if (header->type < TAPE_CHUNK_META || header->type >= TAPE_CHUNK_TYPES)
		return NULL; /* of a newer version: skipped */
	if (header->type == TAPE_CHUNK_PAGES && header->layout == TAPE_LAYOUT_2)
		prefix_bytes = TAPE_PAGE_IDS_MAX_BYTES;
	else if (header->layout != TAPE_LAYOUT_1 &&
		 (header->layout != TAPE_LAYOUT_2 ||
		  (header->type != TAPE_CHUNK_TRAPS && header->type != TAPE_CHUNK_SNAPSHOT)))
		return "has a layout that this version does not know";
	if (header->codec != TAPE_STORED && (header->codec != TAPE_ZSTD || !packed))
		return "has a codec that it must not have";
	if (header->raw_bytes > limit || header->stored_bytes > limit + prefix_bytes)
		return "is larger than any of its type";
	if (header->codec == TAPE_STORED && (header->layout == TAPE_LAYOUT_1 || !packed) &&
	    header->raw_bytes != header->stored_bytes)
		return "says two lengths";
	if (packed && header->layout == TAPE_LAYOUT_2 && header->stored_bytes > header->raw_bytes + prefix_bytes)
		return "is longer than its records";
	if (header->type == TAPE_CHUNK_TRAPS && ((header->vcpu == TAPE_NO_VCPU) != !!(header->flags & TAPE_F_CARRIED) ||
						 header->nr_items > header->raw_bytes / sizeof(struct trap_record)))
		return "has more records than bytes, or no vCPU";
	return header->type == TAPE_CHUNK_PAGES ? judge_pages(header) : NULL;
}

static int add_chunk(struct slot_scan *scan, uint64_t offset, const struct tape_chunk_header *header, bool from_index)
{
	struct tape_reader *reader = scan->reader;
	struct tape_stored_chunk *chunk;
	const char *why = tape_judge_header(header);

	if (reader->nr_chunks == reader->chunks_room) {
		size_t room = reader->chunks_room ? reader->chunks_room * 2 : 64;
		struct tape_stored_chunk *chunks = reallocarray(reader->chunks, room, sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		reader->chunks = chunks;
		reader->chunks_room = room;
	}
	chunk = &reader->chunks[reader->nr_chunks++];
	*chunk = (struct tape_stored_chunk){
		.offset = offset, .slot = scan->number, .from_index = from_index, .header = *header};
	scan->slot->nr_chunks++;
	scan->slot->end = offset + tape_chunk_bytes(header);
	if (why) {
		chunk->bad = true;
		tape_reader_problem(reader, offset, "%s chunk %s", tape_type_name(header->type), why);
	}
	return 0;
}

static bool is_ours(const struct slot_scan *scan, const struct tape_chunk_header *header)
{
	return header->tag == scan->reader->tag && header->slot_seq == (uint32_t)scan->slot->seq;
}

/* ---- by index -------------------------------------------------------- */

static int add_indexed(struct slot_scan *scan, uint64_t index_offset, const struct tape_chunk_header *index_header,
		       const struct tape_index *index)
{
	for (uint32_t i = 0; i < index->nr_entries; i++) {
		struct tape_chunk_header header = index->entries[i].header;

		header.number = i;
		if (add_chunk(scan, scan->slot->start + index->entries[i].slot_offset, &header, true))
			return -ENOMEM;
	}
	scan->slot->index_chunk = scan->reader->nr_chunks;
	return add_chunk(scan, index_offset, index_header, false);
}

/* 1: done; 0: there is no index to go by; or -ENOMEM. */
static int scan_by_index(struct slot_scan *scan)
{
	struct tape_reader *reader = scan->reader;
	uint8_t bytes[TAPE_CHUNK_HEADER_BYTES];
	uint64_t trailer = scan->slot_end - TAPE_SLOT_TRAILER_BYTES, offset;
	struct tape_chunk_header header;
	struct tape_index index = {0};
	const char *why = NULL;
	const uint8_t *payload;
	uint32_t index_offset;
	int result;

	if (scan->limit < scan->slot_end || tape_source_read(&reader->source, trailer, bytes, TAPE_SLOT_TRAILER_BYTES))
		return 0;
	if (!tape_get_slot_trailer(bytes, reader->tag, scan->slot->seq, &index_offset))
		return 0;
	scan->slot->closed = true;
	offset = scan->slot->start + index_offset;
	if (offset < scan->first || offset & 7 || offset + TAPE_CHUNK_HEADER_BYTES > trailer ||
	    tape_source_read(&reader->source, offset, bytes, sizeof(bytes)) || !tape_get_chunk_header(bytes, &header) ||
	    !is_ours(scan, &header) || header.type != TAPE_CHUNK_INDEX || tape_judge_header(&header) ||
	    offset + tape_chunk_bytes(&header) > trailer) {
		tape_reader_problem(reader, offset, "index of the slot is damaged; its chunks are searched for");
		return 0;
	}
	result = tape_source_get(&reader->source, offset + TAPE_CHUNK_HEADER_BYTES, header.stored_bytes,
				 &reader->scratch, &payload);
	if (result == -ENOMEM)
		return result;
	if (result || tape_hash(payload, header.stored_bytes) != header.payload_hash)
		why = "checksum";
	else
		result = tape_index_decode(&index, payload, header.stored_bytes, index_offset, &why);
	if (result == -ENOMEM)
		return result;
	if (!why && index.nr_entries && scan->slot->start + index.entries[0].slot_offset < scan->first)
		why = "a chunk of it lies in the slot's header";
	if (why) {
		tape_reader_problem(reader, offset, "index of the slot is damaged (%s); its chunks are searched for",
				    why);
		tape_index_deinit(&index);
		return 0;
	}
	result = add_indexed(scan, offset, &header, &index);
	tape_index_deinit(&index);
	return result ? result : 1;
}

/* ---- by walking ------------------------------------------------------ */

enum walk { WALK_CHUNK, WALK_CUT, WALK_NOTHING };

/* What is at this offset? */
static enum walk look(const struct slot_scan *scan, uint64_t offset, struct tape_chunk_header *header)
{
	uint8_t bytes[TAPE_CHUNK_HEADER_BYTES];
	uint64_t end;

	if (offset + sizeof(bytes) > scan->limit ||
	    tape_source_read(&scan->reader->source, offset, bytes, sizeof(bytes)) ||
	    !tape_get_chunk_header(bytes, header) || !is_ours(scan, header))
		return WALK_NOTHING;
	end = offset + tape_chunk_bytes(header);
	if (end > scan->slot_end)
		return WALK_NOTHING;
	return end > scan->limit ? WALK_CUT : WALK_CHUNK;
}

/* Offset of the next chunk of this slot, or scan->limit. */
static int search(struct slot_scan *scan, uint64_t offset, uint64_t *found)
{
	struct tape_chunk_header header;

	while (offset < scan->limit) {
		uint64_t left_bytes = scan->limit - offset;
		size_t window_bytes = left_bytes < SEARCH_BYTES ? left_bytes : SEARCH_BYTES;
		const uint8_t *window;
		int result =
			tape_source_get(&scan->reader->source, offset, window_bytes, &scan->reader->scratch, &window);

		if (result == -ENOMEM)
			return result;
		if (result)
			break;
		for (size_t i = 0; i + 8 <= window_bytes; i += 8) {
			if (tape_is_chunk_magic(window + i) && look(scan, offset + i, &header) == WALK_CHUNK) {
				*found = offset + i;
				return 0;
			}
		}
		offset += window_bytes;
	}
	*found = scan->limit;
	return 0;
}

static int walk(struct slot_scan *scan)
{
	struct tape_reader *reader = scan->reader;
	struct tape_chunk_header header;
	uint64_t offset = scan->first;

	while (offset < scan->limit) {
		enum walk what = look(scan, offset, &header);
		uint64_t next;

		if (what == WALK_CUT || (what == WALK_NOTHING && scan->growing))
			return 0;
		if (what == WALK_NOTHING) {
			int result = search(scan, offset + 8, &next);

			if (result)
				return result;
			if (next >= scan->limit)
				return 0;
			/* Both may have been written since the first look, as the file is written in order. */
			if (look(scan, offset, &header) == WALK_CHUNK)
				continue;
			tape_reader_problem(reader, offset, "%" PRIu64 " bytes are damaged or were never written",
					    next - offset);
			offset = next;
			continue;
		}
		if (header.type == TAPE_CHUNK_INDEX)
			scan->slot->index_chunk = reader->nr_chunks;
		if (add_chunk(scan, offset, &header, false))
			return -ENOMEM;
		if (header.type == TAPE_CHUNK_INDEX)
			return 0;
		offset += tape_chunk_bytes(&header);
	}
	return 0;
}

/* ---- slots ----------------------------------------------------------- */

static bool same_tape(const struct tape_identity *a, const struct tape_identity *b)
{
	return a->version == b->version && a->slot_bytes == b->slot_bytes &&
	       a->required_features == b->required_features && a->nr_places == b->nr_places &&
	       !memcmp(a->uuid, b->uuid, 16);
}

int tape_scan_header(struct tape_reader *reader, uint64_t start, struct tape_slot_header *out)
{
	uint64_t offset = start + (start ? 0 : TAPE_FILE_HEADER_BYTES);
	uint32_t nr_places = reader->identity.nr_places;
	uint8_t bytes[TAPE_SLOT_HEADER_BYTES];
	int result = tape_source_read(&reader->source, offset, bytes, sizeof(bytes));

	if (result)
		return result;
	return tape_get_slot_header(bytes, out) && out->seq < MAX_SLOT_SEQ &&
	       same_tape(&out->identity, &reader->identity) &&
	       (!nr_places || out->seq % nr_places == start / reader->identity.slot_bytes);
}

static struct slot_scan scan_of(struct tape_reader *reader, struct tape_slot *slot, bool growing)
{
	struct slot_scan scan = {.reader = reader,
				 .slot = slot,
				 .slot_end = slot->start + reader->identity.slot_bytes,
				 .growing = growing};

	scan.limit = scan.slot_end < reader->source.size_bytes ? scan.slot_end : reader->source.size_bytes;
	return scan;
}

int tape_scan_slot(struct tape_reader *reader, uint64_t start, uint64_t slot_seq, bool growing)
{
	struct tape_slot slot = {
		.start = start, .seq = slot_seq, .first_chunk = reader->nr_chunks, .index_chunk = SIZE_MAX};
	struct slot_scan scan = scan_of(reader, &slot, growing);
	uint64_t header_offset = start + (start ? 0 : TAPE_FILE_HEADER_BYTES);
	struct tape_slot_header header;
	int result;

	scan.number = (uint32_t)reader->nr_slots;
	scan.first = header_offset + TAPE_SLOT_HEADER_BYTES;
	slot.end = scan.first;
	result = tape_scan_header(reader, start, &header);
	if (result == -ENODATA) {
		slot.end = header_offset;
		return add_slot(reader, &slot);
	}
	if (result < 0)
		return result;
	if (result) {
		slot.has_header = true;
		slot.seq = header.seq;
		slot.first_snapshot = header.first_snapshot;
	}
	result = scan_by_index(&scan);
	if (!result)
		result = walk(&scan);
	if (result < 0)
		return result;
	if (!slot.has_header && slot.nr_chunks)
		tape_reader_problem(reader, header_offset, "header of the slot is damaged");
	else if (!slot.has_header)
		slot.end = header_offset;
	return add_slot(reader, &slot);
}

int tape_scan_on(struct tape_reader *reader, size_t number, bool growing)
{
	struct tape_slot *slot = &reader->slots[number];
	struct slot_scan scan = scan_of(reader, slot, growing);

	if (slot->index_chunk != SIZE_MAX)
		return 0;
	scan.number = (uint32_t)number;
	scan.first = slot->end;
	return walk(&scan);
}

static int compare_slots(const void *a, const void *b)
{
	const struct tape_slot *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq > y->seq ? 1 : -1;
	return (x->start > y->start) - (x->start < y->start);
}

/* Chunks are in file order; make it the order of slot sequence numbers. */
static int sort_by_seq(struct tape_reader *reader)
{
	struct tape_stored_chunk *chunks;
	size_t nr = 0;
	bool sorted = true;

	for (size_t i = 1; i < reader->nr_slots; i++)
		sorted = sorted && reader->slots[i - 1].seq <= reader->slots[i].seq;
	if (sorted)
		return 0;
	chunks = reallocarray(NULL, reader->nr_chunks + 1, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	qsort(reader->slots, reader->nr_slots, sizeof(*reader->slots), compare_slots);
	for (size_t i = 0; i < reader->nr_slots; i++) {
		struct tape_slot *slot = &reader->slots[i];
		size_t first = nr;

		for (size_t j = 0; j < slot->nr_chunks; j++) {
			chunks[nr] = reader->chunks[slot->first_chunk + j];
			chunks[nr++].slot = (uint32_t)i;
		}
		if (slot->index_chunk != SIZE_MAX)
			slot->index_chunk = slot->index_chunk - slot->first_chunk + first;
		slot->first_chunk = first;
	}
	free(reader->chunks);
	reader->chunks = chunks;
	reader->chunks_room = reader->nr_chunks + 1;
	return 0;
}

/* ---- how it ends ----------------------------------------------------- */

static bool has_end(const struct tape_reader *reader)
{
	for (size_t i = reader->nr_chunks; i > 0 && i + 4 > reader->nr_chunks; i--)
		if (reader->chunks[i - 1].header.type == TAPE_CHUNK_END && !reader->chunks[i - 1].bad)
			return true;
	return false;
}

static bool all_zero(struct tape_reader *reader, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t data = tape_source_next_data(&reader->source, from);
		size_t window_bytes;
		const uint8_t *window;

		if (data >= to)
			break;
		from = data;
		window_bytes = to - from < SEARCH_BYTES ? to - from : SEARCH_BYTES;
		if (tape_source_get(&reader->source, from, window_bytes, &reader->scratch, &window))
			return false;
		for (size_t i = 0; i < window_bytes; i++)
			if (window[i])
				return false;
		from += window_bytes;
	}
	return true;
}

void tape_scan_drop_torn(struct tape_reader *reader, size_t from)
{
	struct tape_slot *last = &reader->slots[reader->nr_slots - 1];

	while (last->nr_chunks && reader->nr_chunks > from) {
		struct tape_stored_chunk *chunk = &reader->chunks[reader->nr_chunks - 1];
		const uint8_t *payload;

		if (chunk->bad)
			break;
		if (!tape_source_get(&reader->source, chunk->offset + TAPE_CHUNK_HEADER_BYTES,
				     chunk->header.stored_bytes, &reader->scratch, &payload) &&
		    tape_hash(payload, chunk->header.stored_bytes) == chunk->header.payload_hash)
			break;
		last->end = chunk->offset;
		last->nr_chunks--;
		reader->nr_chunks--;
	}
	/* An index without END: this slot was about to be closed. */
	if (last->index_chunk != SIZE_MAX && last->index_chunk >= reader->nr_chunks)
		last->index_chunk = SIZE_MAX;
}

/*
 * Did the file end before the index that follows END was whole? In a ring the bytes there are those of an older slot,
 * or damage: nobody can tell.
 */
static bool index_is_cut(struct tape_reader *reader, struct tape_slot *last)
{
	uint64_t size_bytes = reader->source.size_bytes;
	struct slot_scan scan = {.reader = reader,
				 .slot = last,
				 .limit = size_bytes,
				 .slot_end = last->start + reader->identity.slot_bytes};
	struct tape_chunk_header header;

	if (reader->identity.nr_places)
		return false;
	return last->end + TAPE_CHUNK_HEADER_BYTES > size_bytes || all_zero(reader, last->end, size_bytes) ||
	       look(&scan, last->end, &header) == WALK_CUT;
}

static void judge_end(struct tape_reader *reader)
{
	struct tape_slot *last = &reader->slots[reader->nr_slots - 1];
	uint64_t size_bytes = reader->source.size_bytes;

	for (size_t i = 0; i + 1 < reader->nr_slots; i++) {
		const struct tape_slot *slot = &reader->slots[i];

		if (slot->closed)
			continue;
		if (slot->index_chunk != SIZE_MAX)
			tape_reader_problem(reader, slot->start + reader->identity.slot_bytes - TAPE_SLOT_TRAILER_BYTES,
					    "trailer of the slot is damaged or missing");
		else if (slot->has_header || slot->nr_chunks)
			tape_reader_problem(reader, slot->end,
					    "slot was not closed: its index is missing, and maybe "
					    "chunks before that");
		else
			tape_reader_problem(reader, slot->start, "slot is missing, or damaged as a whole");
	}
	reader->info.finished = has_end(reader);
	if (last->closed) {
		if (reader->info.finished)
			return;
		last->end = last->start + reader->identity.slot_bytes;
	} else if (!reader->info.finished) {
		tape_scan_drop_torn(reader, 0);
	}
	if (reader->info.finished && last->index_chunk == SIZE_MAX)
		tape_reader_problem(reader, last->end,
				    index_is_cut(reader, last) ? "cut off: all is there but the index of the last slot"
							       : "index of the last slot is missing or damaged");
	else if (!reader->identity.nr_places && last->end < size_bytes && !all_zero(reader, last->end, size_bytes))
		tape_reader_problem(reader, last->end,
				    reader->info.finished ? "%" PRIu64 " bytes behind the end of the tape"
							  : "cut off: the tape was not finished, %" PRIu64
							    " bytes of an incomplete chunk",
				    size_bytes - last->end);
}

static int scan_error(struct tape_error *error, int result, uint64_t start)
{
	return tape_fail(error, result, start, "cannot read the slot: %s", strerror(-result));
}

/* Slots stand in the order of their numbers, and the file ends with the last. */
static int scan_places(struct tape_reader *reader, struct tape_error *error)
{
	uint64_t slot_bytes = reader->identity.slot_bytes;

	for (uint64_t start = 0; start < reader->source.size_bytes; start += slot_bytes) {
		uint64_t data = tape_source_next_data(&reader->source, start);
		int result;

		if (data >= start + slot_bytes) {
			tape_reader_problem(reader, start, "%" PRIu64 " bytes were never written", data - start);
			start = data - data % slot_bytes;
			if (data >= reader->source.size_bytes)
				break;
		}
		result = tape_scan_slot(reader, start, start / slot_bytes, false);
		if (result)
			return scan_error(error, result, start);
	}
	return 0;
}

int tape_scan_newest(struct tape_reader *reader, uint64_t *newest, struct tape_error *error)
{
	uint64_t slot_bytes = reader->identity.slot_bytes;
	uint32_t nr_places = reader->identity.nr_places;
	int found = 0;

	*newest = 0;
	for (uint64_t place = 0; place < nr_places; place++) {
		struct tape_slot_header header;
		int result = tape_scan_header(reader, place * slot_bytes, &header);

		if (result == -ENODATA)
			break;
		if (result < 0)
			return scan_error(error, result, place * slot_bytes);
		if (result && (!found || header.seq > *newest))
			*newest = header.seq;
		found = found || result;
	}
	return found;
}

/* Slot n stands in place n modulo nr_places; the newest tells which of them should be there. */
static int scan_ring(struct tape_reader *reader, struct tape_error *error)
{
	uint64_t slot_bytes = reader->identity.slot_bytes, newest, oldest, nr_cut = 0;
	uint32_t nr_places = reader->identity.nr_places;
	int found = tape_scan_newest(reader, &newest, error);

	if (found <= 0)
		return found;
	oldest = newest < nr_places ? 0 : newest + 1 - nr_places;
	reader->info.nr_overwritten = oldest;
	for (uint64_t seq = oldest; seq <= newest; seq++) {
		uint64_t start = seq % nr_places * slot_bytes;
		int result = 0;

		if (start >= reader->source.size_bytes)
			nr_cut++;
		else
			result = tape_scan_slot(reader, start, seq, false);
		if (result)
			return scan_error(error, result, start);
	}
	if (nr_cut)
		tape_reader_problem(reader, reader->source.size_bytes,
				    "the file was cut short: %" PRIu64 " slots of the ring are missing", nr_cut);
	return 0;
}

int tape_scan(struct tape_reader *reader, struct tape_error *error)
{
	int result = reader->identity.nr_places ? scan_ring(reader, error) : scan_places(reader, error);

	if (result)
		return result;
	if (sort_by_seq(reader))
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for the list of chunks");
	if (reader->nr_slots)
		judge_end(reader);
	reader->info.nr_slots = (uint32_t)reader->nr_slots;
	return 0;
}
