/* SPDX-License-Identifier: MIT */
/*
 * tape_index.c - the index that closes a slot: its chunks, and bitmaps of the
 * system-call numbers and address spaces in it, and briefs, to bytes and back.
 */
#include <errno.h>

#include "tape_private.h"

/* More distinct address spaces in one slot: leave the set out, which means "any". */
#define MAX_SPACES 16384u
#define MAX_NRS    16384u
/* Briefs take at most one of so many parts of a slot. */
#define BRIEFS_SHARE    16u
#define BRIEFS_MIN_SLOT (256u << 10)

void tape_index_deinit(struct tape_index *index)
{
	tape_touched_deinit(&index->touched);
	tape_briefs_deinit(&index->briefs);
	free(index->entries);
	*index = (struct tape_index){0};
}

void tape_index_reset(struct tape_index *index, uint32_t slot_bytes)
{
	tape_touched_deinit(&index->touched);
	/* A small slot has few chunks, and nothing to spare. */
	tape_briefs_reset(&index->briefs, slot_bytes < BRIEFS_MIN_SLOT ? 0 : slot_bytes / BRIEFS_SHARE);
	index->nr_entries = 0;
	index->has_nrs = index->has_spaces = true;
}

static size_t nrs_bytes(const struct tape_touched *touched)
{
	return touched->nrs ? roaring_bitmap_portable_size_in_bytes(touched->nrs) : 8;
}

static size_t spaces_bytes(const struct tape_touched *touched)
{
	return touched->spaces ? roaring64_bitmap_portable_size_in_bytes(touched->spaces) : 8;
}

size_t tape_index_bound(const struct tape_index *index, const struct tape_chunk *chunk)
{
	/* 40: three section heads and their padding. The union of two sets is no longer than both together. */
	size_t bytes = TAPE_INDEX_HEAD_BYTES + (size_t)index->nr_entries * TAPE_INDEX_ENTRY_BYTES +
		       nrs_bytes(&index->touched) + spaces_bytes(&index->touched) + 40;

	if (chunk)
		bytes += TAPE_INDEX_ENTRY_BYTES + nrs_bytes(&chunk->touched) + spaces_bytes(&chunk->touched);
	return bytes +
	       tape_briefs_bound(&index->briefs, chunk && tape_has_events(&chunk->header) ? &chunk->brief : NULL);
}

static int add_touched(struct tape_index *index, const struct tape_touched *touched)
{
	struct tape_touched *all = &index->touched;

	if (touched->nrs && index->has_nrs) {
		if (!all->nrs)
			all->nrs = roaring_bitmap_create();
		if (!all->nrs)
			return -ENOMEM;
		roaring_bitmap_or_inplace(all->nrs, touched->nrs);
		roaring_bitmap_run_optimize(all->nrs);
		index->has_nrs = roaring_bitmap_get_cardinality(all->nrs) <= MAX_NRS;
	}
	if (touched->spaces && index->has_spaces) {
		if (!all->spaces)
			all->spaces = roaring64_bitmap_create();
		if (!all->spaces)
			return -ENOMEM;
		roaring64_bitmap_or_inplace(all->spaces, touched->spaces);
		roaring64_bitmap_run_optimize(all->spaces);
		index->has_spaces = roaring64_bitmap_get_cardinality(all->spaces) <= MAX_SPACES;
	}
	if (!index->has_nrs && all->nrs) {
		roaring_bitmap_free(all->nrs);
		all->nrs = NULL;
	}
	if (!index->has_spaces && all->spaces) {
		roaring64_bitmap_free(all->spaces);
		all->spaces = NULL;
	}
	return 0;
}

int tape_index_add(struct tape_index *index, const struct tape_chunk *chunk, uint32_t slot_offset)
{
	if (index->nr_entries == index->room) {
		uint32_t room = index->room ? index->room * 2 : 64;
		struct tape_index_entry *entries = realloc(index->entries, room * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		index->entries = entries;
		index->room = room;
	}
	index->entries[index->nr_entries++] = (struct tape_index_entry){slot_offset, chunk->header};
	if (tape_has_events(&chunk->header) && tape_briefs_add(&index->briefs, &chunk->brief, &chunk->header))
		return -ENOMEM;
	return add_touched(index, &chunk->touched);
}

static void encode_entry(struct byte_buffer *out, const struct tape_index_entry *entry)
{
	const struct tape_chunk_header *header = &entry->header;

	byte_buffer_add_u32(out, entry->slot_offset);
	byte_buffer_add_u32(out, header->stored_bytes);
	byte_buffer_add_u32(out, header->raw_bytes);
	byte_buffer_add_u16(out, header->type);
	byte_buffer_add_u16(out, header->vcpu);
	byte_buffer_add_u8(out, header->codec);
	byte_buffer_add_u8(out, header->layout);
	byte_buffer_add_u16(out, header->flags);
	byte_buffer_add_u32(out, header->nr_items);
	byte_buffer_add_u64(out, header->min_tsc);
	byte_buffer_add_u64(out, header->max_tsc);
	byte_buffer_add_u64(out, header->first_seq);
	byte_buffer_add_u64(out, header->last_seq);
}

static void encode_nrs(struct byte_buffer *out, const roaring_bitmap_t *nrs)
{
	size_t size_bytes = roaring_bitmap_portable_size_in_bytes(nrs);
	uint8_t *at;

	byte_buffer_add_u32(out, TAPE_SECTION_NRS);
	byte_buffer_add_u32(out, (uint32_t)size_bytes);
	at = byte_buffer_extend(out, size_bytes);
	if (at)
		roaring_bitmap_portable_serialize(nrs, (char *)at);
}

static void encode_spaces(struct byte_buffer *out, const roaring64_bitmap_t *spaces)
{
	size_t size_bytes = roaring64_bitmap_portable_size_in_bytes(spaces);
	uint8_t *at;

	byte_buffer_add_u32(out, TAPE_SECTION_SPACES);
	byte_buffer_add_u32(out, (uint32_t)size_bytes);
	at = byte_buffer_extend(out, size_bytes);
	if (at)
		roaring64_bitmap_portable_serialize(spaces, (char *)at);
}

static void encode_briefs(struct byte_buffer *out, const struct tape_briefs *briefs)
{
	size_t start;

	byte_buffer_add_u32(out, TAPE_SECTION_BRIEFS);
	byte_buffer_add_u32(out, 0);
	start = out->size_bytes;
	tape_briefs_encode(briefs, out);
	if (!out->bad)
		put_le32(out->data + start - 4, (uint32_t)(out->size_bytes - start));
}

void tape_index_encode(const struct tape_index *index, struct byte_buffer *out)
{
	struct tape_touched empty = {roaring_bitmap_create(), roaring64_bitmap_create()};
	const struct tape_touched *touched = &index->touched;

	byte_buffer_add_u32(out, index->nr_entries);
	byte_buffer_add_u32(out, (uint32_t)index->has_nrs + index->has_spaces + (index->briefs.list.size_bytes > 0));
	byte_buffer_add_u64(out, 0);
	for (uint32_t i = 0; i < index->nr_entries; i++)
		encode_entry(out, &index->entries[i]);
	if (!empty.nrs || !empty.spaces)
		out->bad = true;
	if (index->has_nrs && !out->bad)
		encode_nrs(out, touched->nrs ? touched->nrs : empty.nrs);
	if (index->has_spaces && !out->bad)
		encode_spaces(out, touched->spaces ? touched->spaces : empty.spaces);
	if (index->briefs.list.size_bytes && !out->bad)
		encode_briefs(out, &index->briefs);
	tape_touched_deinit(&empty);
}

static bool decode_entry(struct byte_reader *reader, struct tape_index_entry *entry)
{
	struct tape_chunk_header *header = &entry->header;

	entry->slot_offset = byte_reader_u32(reader);
	header->stored_bytes = byte_reader_u32(reader);
	header->raw_bytes = byte_reader_u32(reader);
	header->type = byte_reader_u16(reader);
	header->vcpu = byte_reader_u16(reader);
	header->codec = byte_reader_u8(reader);
	header->layout = byte_reader_u8(reader);
	header->flags = byte_reader_u16(reader);
	header->nr_items = byte_reader_u32(reader);
	header->min_tsc = byte_reader_u64(reader);
	header->max_tsc = byte_reader_u64(reader);
	header->first_seq = byte_reader_u64(reader);
	header->last_seq = byte_reader_u64(reader);
	return !reader->bad;
}

/* Chunks must follow one another without overlap, inside the slot. */
static const char *decode_entries(struct tape_index *out, struct byte_reader *reader, uint32_t nr, uint32_t slot_bytes)
{
	uint64_t end = TAPE_SLOT_HEADER_BYTES;

	for (uint32_t i = 0; i < nr; i++) {
		struct tape_index_entry *entry = &out->entries[i];

		if (!decode_entry(reader, entry))
			return "its list of chunks is cut off";
		if (entry->slot_offset < end || entry->slot_offset & 7)
			return "its chunks overlap";
		end = entry->slot_offset + tape_chunk_bytes(&entry->header);
		if (end > slot_bytes)
			return "a chunk of it lies outside the slot";
	}
	out->nr_entries = nr;
	return NULL;
}

static const char *decode_section(struct tape_index *out, struct byte_reader *reader)
{
	uint32_t id = byte_reader_u32(reader);
	uint32_t size_bytes = byte_reader_u32(reader);
	const uint8_t *bytes = byte_reader_take(reader, size_bytes);

	if (!bytes)
		return "a section of it is cut off";
	if (id == TAPE_SECTION_NRS && !out->has_nrs) {
		out->touched.nrs = roaring_bitmap_portable_deserialize_safe((const char *)bytes, size_bytes);
		out->has_nrs = true;
		if (!out->touched.nrs || !roaring_bitmap_internal_validate(out->touched.nrs, NULL) ||
		    roaring_bitmap_portable_size_in_bytes(out->touched.nrs) != size_bytes)
			return "its set of system-call numbers is not valid";
	} else if (id == TAPE_SECTION_SPACES && !out->has_spaces) {
		out->touched.spaces = roaring64_bitmap_portable_deserialize_safe((const char *)bytes, size_bytes);
		out->has_spaces = true;
		if (!out->touched.spaces || !roaring64_bitmap_internal_validate(out->touched.spaces, NULL) ||
		    roaring64_bitmap_portable_size_in_bytes(out->touched.spaces) != size_bytes)
			return "its set of address spaces is not valid";
	} else if (id == TAPE_SECTION_BRIEFS) {
		out->briefs_at = bytes;
		out->briefs_bytes = size_bytes;
	}
	return NULL;
}

int tape_index_decode(struct tape_index *out, const uint8_t *payload, size_t size_bytes, uint32_t slot_bytes,
		      const char **why)
{
	struct byte_reader reader = byte_reader(payload, size_bytes);
	uint32_t nr = byte_reader_u32(&reader);
	uint32_t nr_sections = byte_reader_u32(&reader);

	byte_reader_u64(&reader);
	*out = (struct tape_index){0};
	if (reader.bad || nr > reader.left_bytes / TAPE_INDEX_ENTRY_BYTES || nr_sections > reader.left_bytes / 8) {
		*why = "its counts do not fit its size";
		return -EBADMSG;
	}
	out->entries = calloc(nr ? nr : 1, sizeof(*out->entries));
	if (!out->entries)
		return -ENOMEM;
	out->room = nr;
	*why = decode_entries(out, &reader, nr, slot_bytes);
	for (uint32_t i = 0; i < nr_sections && !*why; i++)
		*why = decode_section(out, &reader);
	if (!*why && reader.left_bytes)
		*why = "bytes are left over behind its sections";
	if (*why) {
		tape_index_deinit(out);
		return -EBADMSG;
	}
	return 0;
}
