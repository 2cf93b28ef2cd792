/* SPDX-License-Identifier: MIT */
/* tape_layout.c - headers of file, slot and chunk, to bytes and back; FORMAT.md has the tables. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>

#include "tape_private.h"

/* As PNG's: a transfer that changes line ends or bit 7 shows at once. */
static const uint8_t file_magic[8] = {0x89, 'V', 'M', 'T', '\r', '\n', 0x1a, '\n'};
static const uint8_t slot_magic[8] = {'V', 'M', 'T', 'S', 'L', 'O', 'T', 0x1a};
static const uint8_t trailer_magic[8] = {'V', 'M', 'T', 'C', 'L', 'O', 'S', 0x1a};
static const uint8_t chunk_magic[4] = {'C', 'H', 'N', 'K'};

int tape_fail(struct tape_error *error, int code, uint64_t offset, const char *format, ...)
{
	va_list args;

	if (!error)
		return code;
	error->error = code;
	error->offset = offset;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return code;
}

uint64_t tape_hash(const void *bytes, size_t size_bytes)
{
	return XXH3_64bits(bytes, size_bytes);
}

uint64_t tape_tag(const uint8_t uuid[16])
{
	return tape_hash(uuid, 16);
}

static void put_hash(uint8_t *bytes, size_t size_bytes)
{
	put_le64(bytes + size_bytes - 8, tape_hash(bytes, size_bytes - 8));
}

static bool hash_fits(const uint8_t *bytes, size_t size_bytes)
{
	return get_le64(bytes + size_bytes - 8) == tape_hash(bytes, size_bytes - 8);
}

void tape_put_file_header(uint8_t bytes[TAPE_FILE_HEADER_BYTES], const struct tape_identity *identity)
{
	memset(bytes, 0, TAPE_FILE_HEADER_BYTES);
	memcpy(bytes, file_magic, 8);
	put_le16(bytes + 8, identity->version);
	put_le16(bytes + 10, TAPE_FILE_HEADER_BYTES);
	put_le32(bytes + 12, identity->slot_bytes);
	put_le64(bytes + 16, identity->compat_features);
	put_le64(bytes + 24, identity->required_features);
	memcpy(bytes + 32, identity->uuid, 16);
	put_le64(bytes + 48, identity->created_ns);
	put_le32(bytes + 56, identity->nr_places);
	put_hash(bytes, TAPE_FILE_HEADER_BYTES);
}

bool tape_get_file_header(const uint8_t bytes[TAPE_FILE_HEADER_BYTES], struct tape_identity *out, bool *intact)
{
	if (memcmp(bytes, file_magic, 8))
		return false;
	*intact = hash_fits(bytes, TAPE_FILE_HEADER_BYTES) && get_le16(bytes + 10) == TAPE_FILE_HEADER_BYTES;
	out->version = get_le16(bytes + 8);
	out->slot_bytes = get_le32(bytes + 12);
	out->compat_features = get_le64(bytes + 16);
	out->required_features = get_le64(bytes + 24);
	memcpy(out->uuid, bytes + 32, 16);
	out->created_ns = get_le64(bytes + 48);
	out->nr_places = out->required_features & TAPE_FEATURE_RING ? get_le32(bytes + 56) : 0;
	return true;
}

void tape_put_slot_header(uint8_t bytes[TAPE_SLOT_HEADER_BYTES], const struct tape_slot_header *header)
{
	const struct tape_identity *identity = &header->identity;

	memset(bytes, 0, TAPE_SLOT_HEADER_BYTES);
	memcpy(bytes, slot_magic, 8);
	put_le16(bytes + 8, identity->version);
	put_le16(bytes + 10, TAPE_SLOT_HEADER_BYTES);
	put_le32(bytes + 12, identity->slot_bytes);
	put_le64(bytes + 16, header->seq);
	put_le64(bytes + 24, identity->required_features);
	memcpy(bytes + 32, identity->uuid, 16);
	put_le64(bytes + 48, identity->created_ns);
	put_le64(bytes + 56, identity->compat_features);
	put_le64(bytes + 96, header->first_snapshot);
	put_le32(bytes + 104, identity->nr_places);
	put_hash(bytes, TAPE_SLOT_HEADER_BYTES);
}

bool tape_get_slot_header(const uint8_t bytes[TAPE_SLOT_HEADER_BYTES], struct tape_slot_header *out)
{
	struct tape_identity *identity = &out->identity;

	if (memcmp(bytes, slot_magic, 8) || !hash_fits(bytes, TAPE_SLOT_HEADER_BYTES))
		return false;
	identity->version = get_le16(bytes + 8);
	identity->slot_bytes = get_le32(bytes + 12);
	out->seq = get_le64(bytes + 16);
	identity->required_features = get_le64(bytes + 24);
	memcpy(identity->uuid, bytes + 32, 16);
	identity->created_ns = get_le64(bytes + 48);
	identity->compat_features = get_le64(bytes + 56);
	out->first_snapshot = get_le64(bytes + 96);
	identity->nr_places = identity->required_features & TAPE_FEATURE_RING ? get_le32(bytes + 104) : 0;
	return get_le16(bytes + 10) == TAPE_SLOT_HEADER_BYTES;
}

void tape_put_slot_chain(uint8_t bytes[TAPE_SLOT_HEADER_BYTES], const uint8_t value[TAPE_CHAIN_BYTES])
{
	memcpy(bytes + 64, value, TAPE_CHAIN_BYTES);
	put_hash(bytes, TAPE_SLOT_HEADER_BYTES);
}

void tape_put_slot_trailer(uint8_t bytes[TAPE_SLOT_TRAILER_BYTES], uint64_t tag, uint64_t slot_seq,
			   uint32_t index_offset)
{
	memcpy(bytes, trailer_magic, 8);
	put_le64(bytes + 8, slot_seq);
	put_le32(bytes + 16, index_offset);
	/* Half of the tag is enough here: the index chunk has all of it. */
	put_le32(bytes + 20, (uint32_t)tag);
	put_hash(bytes, TAPE_SLOT_TRAILER_BYTES);
}

bool tape_get_slot_trailer(const uint8_t bytes[TAPE_SLOT_TRAILER_BYTES], uint64_t tag, uint64_t slot_seq,
			   uint32_t *index_offset)
{
	*index_offset = get_le32(bytes + 16);
	return !memcmp(bytes, trailer_magic, 8) && hash_fits(bytes, TAPE_SLOT_TRAILER_BYTES) &&
	       get_le64(bytes + 8) == slot_seq && get_le32(bytes + 20) == (uint32_t)tag;
}

void tape_put_chunk_header(uint8_t bytes[TAPE_CHUNK_HEADER_BYTES], const struct tape_chunk_header *header)
{
	memset(bytes, 0, TAPE_CHUNK_HEADER_BYTES);
	memcpy(bytes, chunk_magic, 4);
	put_le16(bytes + 4, header->type);
	bytes[6] = header->codec;
	bytes[7] = header->layout;
	put_le32(bytes + 8, header->stored_bytes);
	put_le32(bytes + 12, header->raw_bytes);
	put_le64(bytes + 16, header->tag);
	put_le32(bytes + 24, header->slot_seq);
	put_le32(bytes + 28, header->number);
	put_le16(bytes + 32, header->vcpu);
	put_le16(bytes + 34, header->flags);
	put_le32(bytes + 36, header->nr_items);
	put_le64(bytes + 40, header->min_tsc);
	put_le64(bytes + 48, header->max_tsc);
	put_le64(bytes + 56, header->first_seq);
	put_le64(bytes + 64, header->last_seq);
	put_le64(bytes + 80, header->payload_hash);
	put_hash(bytes, TAPE_CHUNK_HEADER_BYTES);
}

bool tape_get_chunk_header(const uint8_t bytes[TAPE_CHUNK_HEADER_BYTES], struct tape_chunk_header *out)
{
	if (!tape_is_chunk_magic(bytes) || !hash_fits(bytes, TAPE_CHUNK_HEADER_BYTES))
		return false;
	out->type = get_le16(bytes + 4);
	out->codec = bytes[6];
	out->layout = bytes[7];
	out->stored_bytes = get_le32(bytes + 8);
	out->raw_bytes = get_le32(bytes + 12);
	out->tag = get_le64(bytes + 16);
	out->slot_seq = get_le32(bytes + 24);
	out->number = get_le32(bytes + 28);
	out->vcpu = get_le16(bytes + 32);
	out->flags = get_le16(bytes + 34);
	out->nr_items = get_le32(bytes + 36);
	out->min_tsc = get_le64(bytes + 40);
	out->max_tsc = get_le64(bytes + 48);
	out->first_seq = get_le64(bytes + 56);
	out->last_seq = get_le64(bytes + 64);
	out->payload_hash = get_le64(bytes + 80);
	return true;
}

bool tape_is_chunk_magic(const uint8_t bytes[4])
{
	return !memcmp(bytes, chunk_magic, 4);
}

bool tape_snapshot_is_base(const uint8_t *payload)
{
	return get_le32(payload + 40) & 1;
}

void tape_snapshot_make_full(struct tape_chunk *chunk, const struct tape_map_writer *map)
{
	uint8_t *payload = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;

	put_le32(payload + 40, get_le32(payload + 40) | 1);
	put_le32(payload + 44, map->nr_parts);
	put_le64(payload + 48, map->nr_pages);
	put_le64(payload + 56, map->nr_zero);
	chunk->header.payload_hash = tape_hash(payload, chunk->header.stored_bytes);
	tape_chunk_digest(chunk);
}

uint32_t tape_raw_limit(uint16_t type)
{
	switch (type) {
	case TAPE_CHUNK_TRAPS:
		return TAPE_TRAPS_MAX_BYTES;
	case TAPE_CHUNK_PAGES:
		return TAPE_PAGES_MAX * TAPE_PAGE_BYTES;
	case TAPE_CHUNK_META:
		return TAPE_META_MAX_BYTES;
	default:
		return TAPE_RAW_MAX_BYTES;
	}
}

const char *tape_type_name(uint16_t type)
{
	static const char *const names[] = {
		[TAPE_CHUNK_META] = "META",   [TAPE_CHUNK_PLAN] = "PLAN",         [TAPE_CHUNK_TRAPS] = "TRAPS",
		[TAPE_CHUNK_PAGES] = "PAGES", [TAPE_CHUNK_SNAPSHOT] = "SNAPSHOT", [TAPE_CHUNK_INDEX] = "INDEX",
		[TAPE_CHUNK_END] = "END",     [TAPE_CHUNK_PAGE_MAP] = "PAGE_MAP", [TAPE_CHUNK_SIGNATURE] = "SIGNATURE",
	};

	return type < sizeof(names) / sizeof(*names) && names[type] ? names[type] : "unknown";
}
