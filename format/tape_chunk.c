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
	free(chunk->buffer);
	free(chunk);
}

size_t tape_chunk_stored_bytes(const struct tape_chunk *chunk)
{
	return tape_chunk_bytes(&chunk->header);
}

/* Compressed size, or 0 when it is not smaller by an eighth: then decompressing it is not worth the time. */
static size_t compress(uint8_t *out, size_t room_bytes, const void *raw, size_t raw_bytes, int zstd_level)
{
	size_t size_bytes;

	if (!zstd_level || !raw_bytes)
		return 0;
	size_bytes = ZSTD_compress(out, room_bytes, raw, raw_bytes, zstd_level);
	return ZSTD_isError(size_bytes) || size_bytes > raw_bytes - raw_bytes / 8 ? 0 : size_bytes;
}

int tape_chunk_encode(struct tape_chunk **out, const struct tape_chunk_header *header, const void *raw,
		      size_t raw_bytes, int zstd_level, struct tape_error *error)
{
	struct tape_chunk *chunk;
	size_t room_bytes = zstd_level ? ZSTD_compressBound(raw_bytes) : raw_bytes;
	size_t stored_bytes;
	uint8_t *payload, *fit;

	if (raw_bytes > tape_raw_limit(header->type))
		return tape_fail(error, -EMSGSIZE, TAPE_NO_OFFSET, "%s chunk of %zu bytes: at most %u",
				 tape_type_name(header->type), raw_bytes, tape_raw_limit(header->type));
	chunk = calloc(1, sizeof(*chunk));
	if (chunk)
		chunk->buffer = malloc(TAPE_CHUNK_HEADER_BYTES + room_bytes + 8);
	if (!chunk || !chunk->buffer) {
		free(chunk);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a chunk of %zu bytes", raw_bytes);
	}
	payload = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	chunk->header = *header;
	chunk->header.layout = header->layout ? header->layout : TAPE_LAYOUT_1;
	chunk->header.codec = TAPE_ZSTD;
	stored_bytes = compress(payload, room_bytes, raw, raw_bytes, zstd_level);
	if (!stored_bytes) {
		chunk->header.codec = TAPE_STORED;
		stored_bytes = raw_bytes;
		if (raw_bytes)
			memcpy(payload, raw, raw_bytes);
	}
	chunk->header.raw_bytes = (uint32_t)raw_bytes;
	chunk->header.stored_bytes = (uint32_t)stored_bytes;
	chunk->header.payload_hash = tape_hash(payload, stored_bytes);
	memset(payload + stored_bytes, 0, tape_pad_bytes((uint32_t)stored_bytes));
	/* It may wait long for the disk: give back what compression saved. */
	fit = realloc(chunk->buffer, tape_chunk_bytes(&chunk->header));
	if (fit)
		chunk->buffer = fit;
	*out = chunk;
	return 0;
}

int tape_chunk_encode_traps(struct tape_chunk **out, uint16_t vcpu, const void *records, size_t size_bytes,
			    int zstd_level, struct tape_error *error)
{
	struct tape_chunk_header header = {.type = TAPE_CHUNK_TRAPS, .vcpu = vcpu};
	struct tape_rows rows;
	size_t bad_at = 0;
	int result;

	if (!size_bytes || vcpu == TAPE_NO_VCPU)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "no records, or vCPU %u", vcpu);
	result = tape_rows_walk(&rows, records, size_bytes, &bad_at);
	if (result)
		return tape_fail(error, result, TAPE_NO_OFFSET,
				 result == -EBADMSG ? "vCPU %u: size of the record at byte %zu is wrong"
						    : "vCPU %u: no memory at byte %zu of the records",
				 vcpu, bad_at);
	header.nr_items = rows.nr_records;
	header.min_tsc = rows.min_tsc;
	header.max_tsc = rows.max_tsc;
	header.first_seq = rows.first_seq;
	header.last_seq = rows.last_seq;
	result = tape_chunk_encode(out, &header, records, size_bytes, zstd_level, error);
	if (result)
		tape_touched_deinit(&rows.touched);
	else
		(*out)->touched = rows.touched;
	return result;
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
