/* SPDX-License-Identifier: MIT */
/*
 * tape_chunk.c - encodes chunks: compresses the payload and fills the header,
 * but for the slot that the writer will choose. Any thread.
 */
#include <errno.h>
#include <zstd.h>

#include "tape_private.h"

void tape_chunk_destroy(struct tape_chunk *chunk)
{
	if (!chunk)
		return;
	tape_touched_deinit(&chunk->touched);
	byte_buffer_deinit(&chunk->identities);
	tape_brief_deinit(&chunk->brief);
	free(chunk->buffer);
	free(chunk);
}

size_t tape_chunk_stored_bytes(const struct tape_chunk *chunk)
{
	return tape_chunk_bytes(&chunk->header);
}

/* How a payload is compressed: by a context and what is set in it, or (NULL) at a level; 0: not at all. */
struct effort {
	ZSTD_CCtx *zstd;
	int level;
};

/* Compressed size, or 0 when it is not smaller by an eighth: then decompressing it is not worth the time. */
static size_t compress(uint8_t *out, size_t room_bytes, const void *raw, size_t raw_bytes, struct effort effort)
{
	size_t size_bytes;

	if (!raw_bytes || (!effort.zstd && !effort.level))
		return 0;
	size_bytes = effort.zstd ? ZSTD_compress2(effort.zstd, out, room_bytes, raw, raw_bytes)
				 : ZSTD_compress(out, room_bytes, raw, raw_bytes, effort.level);
	return ZSTD_isError(size_bytes) || size_bytes > raw_bytes - raw_bytes / 8 ? 0 : size_bytes;
}

int tape_chunk_wrap(struct tape_chunk **out, const struct tape_chunk_header *header, const void *payload,
		    size_t stored_bytes, struct tape_error *error)
{
	struct tape_chunk *chunk = calloc(1, sizeof(*chunk));
	uint32_t pad_bytes = tape_pad_bytes((uint32_t)stored_bytes);
	uint8_t *at;

	if (chunk)
		chunk->buffer = malloc(TAPE_CHUNK_HEADER_BYTES + stored_bytes + pad_bytes);
	if (!chunk || !chunk->buffer) {
		free(chunk);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a chunk of %zu bytes", stored_bytes);
	}
	at = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	memcpy(at, payload, stored_bytes);
	memset(at + stored_bytes, 0, pad_bytes);
	chunk->header = *header;
	chunk->header.stored_bytes = (uint32_t)stored_bytes;
	chunk->header.payload_hash = tape_hash(at, stored_bytes);
	tape_chunk_digest(chunk);
	*out = chunk;
	return 0;
}

/* With prefix_bytes of prefix, which stay as they are, before the payload. */
static int encode(struct tape_chunk **out, const struct tape_chunk_header *header, const void *prefix,
		  size_t prefix_bytes, const void *raw, size_t raw_bytes, struct effort effort,
		  struct tape_error *error)
{
	struct tape_chunk *chunk;
	size_t room_bytes = effort.zstd || effort.level ? ZSTD_compressBound(raw_bytes) : raw_bytes;
	size_t stored_bytes;
	uint8_t *payload, *fit;

	if (raw_bytes > tape_raw_limit(header->type))
		return tape_fail(error, -EMSGSIZE, TAPE_NO_OFFSET, "%s chunk of %zu bytes: at most %u",
				 tape_type_name(header->type), raw_bytes, tape_raw_limit(header->type));
	chunk = calloc(1, sizeof(*chunk));
	if (chunk)
		chunk->buffer = malloc(TAPE_CHUNK_HEADER_BYTES + prefix_bytes + room_bytes + 8);
	if (!chunk || !chunk->buffer) {
		free(chunk);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a chunk of %zu bytes", raw_bytes);
	}
	payload = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	chunk->header = *header;
	chunk->header.codec = TAPE_ZSTD;
	if (prefix_bytes)
		memcpy(payload, prefix, prefix_bytes);
	stored_bytes = compress(payload + prefix_bytes, room_bytes, raw, raw_bytes, effort);
	if (!stored_bytes) {
		chunk->header.codec = TAPE_STORED;
		stored_bytes = raw_bytes;
		if (raw_bytes)
			memcpy(payload + prefix_bytes, raw, raw_bytes);
	}
	stored_bytes += prefix_bytes;
	chunk->header.raw_bytes = (uint32_t)raw_bytes;
	chunk->header.stored_bytes = (uint32_t)stored_bytes;
	chunk->header.payload_hash = tape_hash(payload, stored_bytes);
	memset(payload + stored_bytes, 0, tape_pad_bytes((uint32_t)stored_bytes));
	tape_chunk_digest(chunk);
	/* It may wait long for the disk: give back what compression saved. */
	fit = realloc(chunk->buffer, tape_chunk_bytes(&chunk->header));
	if (fit)
		chunk->buffer = fit;
	*out = chunk;
	return 0;
}

int tape_chunk_encode(struct tape_chunk **out, const struct tape_chunk_header *header, const void *raw,
		      size_t raw_bytes, int zstd_level, struct tape_error *error)
{
	struct tape_chunk_header with_layout = *header;

	with_layout.layout = header->layout ? header->layout : TAPE_LAYOUT_1;
	return encode(out, &with_layout, NULL, 0, raw, raw_bytes, (struct effort){.level = zstd_level}, error);
}

int tape_chunk_encode_by(struct tape_chunk **out, const struct tape_chunk_header *header, const void *raw,
			 size_t raw_bytes, ZSTD_CCtx *zstd, struct tape_error *error)
{
	return encode(out, header, NULL, 0, raw, raw_bytes, (struct effort){.zstd = zstd}, error);
}

int tape_chunk_encode_pages(struct tape_chunk **out, const uint64_t *ids, uint32_t nr_pages, const void *contents,
			    int zstd_level, struct tape_error *error)
{
	const struct tape_chunk_header header = {
		.type = TAPE_CHUNK_PAGES,
		.layout = TAPE_LAYOUT_2,
		.vcpu = TAPE_NO_VCPU,
		.flags = TAPE_F_CARRIED,
		.nr_items = nr_pages,
		.first_seq = ids[0],
		.last_seq = ids[nr_pages - 1],
	};
	struct byte_buffer list = {0};
	int result;

	for (uint32_t i = 1; i < nr_pages; i++)
		byte_buffer_add_varint(&list, ids[i] - ids[i - 1] - 1);
	if (list.bad)
		result = tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a chunk of pages");
	else
		result = encode(out, &header, list.data, list.size_bytes, contents, (size_t)nr_pages * TAPE_PAGE_BYTES,
				(struct effort){.level = zstd_level}, error);
	byte_buffer_deinit(&list);
	return result;
}

bool tape_page_ids_decode(uint64_t ids[TAPE_PAGES_MAX], size_t *list_bytes, const struct tape_chunk_header *header,
			  const uint8_t *payload, size_t size_bytes)
{
	struct byte_reader reader = byte_reader(payload, size_bytes);

	ids[0] = header->first_seq;
	for (uint32_t i = 1; i < header->nr_items; i++) {
		uint64_t step = byte_reader_varint(&reader);

		/* Both are below 2^62, so that the sum does not wrap. */
		if (reader.bad || step >= TAPE_PAGE_MAX || ids[i - 1] + 1 + step >= TAPE_PAGE_MAX)
			return false;
		ids[i] = ids[i - 1] + 1 + step;
	}
	*list_bytes = size_bytes - reader.left_bytes;
	return ids[header->nr_items - 1] == header->last_seq;
}

int tape_chunk_encode_meta(struct tape_chunk **out, const char *text, struct tape_error *error)
{
	const struct tape_chunk_header header = {.type = TAPE_CHUNK_META, .vcpu = TAPE_NO_VCPU};

	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		const char *equals = memchr(line, '=', length);

		if (length && (!equals || equals == line))
			return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "meta line \"%.*s\" is not key=value",
					 length > 80 ? 80 : (int)length, line);
		line += length + (line[length] == '\n');
	}
	return tape_chunk_encode(out, &header, text, strlen(text), 0, error);
}

int tape_chunk_encode_plan(struct tape_chunk **out, const void *plan, size_t size_bytes, struct tape_error *error)
{
	struct tape_chunk_header header = {.type = TAPE_CHUNK_PLAN, .vcpu = TAPE_NO_VCPU, .nr_items = 1};
	const uint8_t *bytes = plan;

	if (size_bytes < sizeof(struct plan_header) || get_le32(bytes) != PLAN_MAGIC ||
	    get_le32(bytes + offsetof(struct plan_header, size_bytes)) != size_bytes)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "not a capture plan of %zu bytes", size_bytes);
	header.first_seq = header.last_seq = get_le32(bytes + offsetof(struct plan_header, plan_id));
	return tape_chunk_encode(out, &header, plan, size_bytes, 0, error);
}
