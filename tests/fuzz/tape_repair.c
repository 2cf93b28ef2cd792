/* SPDX-License-Identifier: MIT */
#include "tape_repair.h"

#include "tape_read.h"

static void put_hash(uint8_t *bytes, size_t size_bytes)
{
	put_le64(bytes + size_bytes - 8, tape_hash(bytes, size_bytes - 8));
}

/* Of the chunk at bytes, as far as it is there; returns its length, or 0: no chunk. */
static size_t repair_chunk(uint8_t *bytes, size_t left_bytes, uint64_t tag, uint64_t slot_seq)
{
	uint64_t stored_bytes;

	if (left_bytes < TAPE_CHUNK_HEADER_BYTES || !tape_is_chunk_magic(bytes))
		return 0;
	stored_bytes = get_le32(bytes + 8);
	if (stored_bytes > left_bytes - TAPE_CHUNK_HEADER_BYTES) {
		stored_bytes = left_bytes - TAPE_CHUNK_HEADER_BYTES;
		put_le32(bytes + 8, (uint32_t)stored_bytes);
	}
	/* What is stored has one length, and one thing less to guess. */
	if (!bytes[6])
		put_le32(bytes + 12, (uint32_t)stored_bytes);
	put_le64(bytes + 16, tag);
	put_le32(bytes + 24, (uint32_t)slot_seq);
	put_le64(bytes + 80, tape_hash(bytes + TAPE_CHUNK_HEADER_BYTES, stored_bytes));
	put_hash(bytes, TAPE_CHUNK_HEADER_BYTES);
	return TAPE_CHUNK_HEADER_BYTES + stored_bytes + tape_pad_bytes((uint32_t)stored_bytes);
}

void tape_repair(uint8_t *bytes, size_t size_bytes)
{
	uint32_t slot_bytes;
	uint64_t tag;

	if (size_bytes < TAPE_FILE_HEADER_BYTES)
		return;
	put_hash(bytes, TAPE_FILE_HEADER_BYTES);
	slot_bytes = get_le32(bytes + 12);
	tag = tape_tag(bytes + 32);
	if (slot_bytes < TAPE_SLOT_MIN_BYTES)
		return;
	for (size_t place = 0; place < size_bytes; place += slot_bytes) {
		size_t end = size_bytes - place > slot_bytes ? place + slot_bytes : size_bytes;
		size_t at = place + (place ? 0 : TAPE_FILE_HEADER_BYTES), length;
		uint64_t slot_seq;

		if (end - at < TAPE_SLOT_HEADER_BYTES)
			break;
		slot_seq = get_le64(bytes + at + 16);
		put_hash(bytes + at, TAPE_SLOT_HEADER_BYTES);
		for (at += TAPE_SLOT_HEADER_BYTES; at < end; at += length) {
			length = repair_chunk(bytes + at, end - at, tag, slot_seq);
			if (!length)
				break;
		}
		if (end == place + slot_bytes) {
			uint8_t *trailer = bytes + end - TAPE_SLOT_TRAILER_BYTES;

			put_le64(trailer + 8, slot_seq);
			put_le32(trailer + 20, (uint32_t)tag);
			put_hash(trailer, TAPE_SLOT_TRAILER_BYTES);
		}
	}
}
