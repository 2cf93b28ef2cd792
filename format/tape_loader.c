/* SPDX-License-Identifier: MIT */
/* tape_loader.c - reads, checks and decompresses one chunk; see tape_loader.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "tape_read.h"

#define CACHE_LINE 64u

void tape_loader_deinit(struct tape_loader *loader)
{
	free(loader->stored.data);
	free(loader->compact.data);
	free(loader->model);
	ZSTD_freeDCtx(loader->zstd);
	*loader = (struct tape_loader){0};
}

static int bad(struct tape_loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int bad(struct tape_loader *loader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(loader->why, sizeof(loader->why), format, arguments);
	va_end(arguments);
	return -EBADMSG;
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

static int not_read(struct tape_loader *loader, int result)
{
	return bad(loader, "%s", result == -ENODATA ? "is cut off" : strerror(-result));
}

int tape_loader_header(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk)
{
	uint8_t bytes[TAPE_CHUNK_HEADER_BYTES];
	struct tape_chunk_header header;
	int result = tape_source_read(from->source, chunk->offset, bytes, sizeof(bytes));

	if (result)
		return not_read(loader, result);
	if (!tape_get_chunk_header(bytes, &header))
		return bad(loader, "has a damaged header (checksum)");
	if (!same_header(&header, &chunk->header) || header.tag != from->tag ||
	    header.slot_seq != (uint32_t)from->slot_seq)
		return bad(loader, "is not the one that the slot's index tells of");
	chunk->header = header;
	chunk->from_index = false;
	return 0;
}

int tape_loader_stored(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk,
		       const uint8_t **out)
{
	int result = chunk->from_index ? tape_loader_header(loader, from, chunk) : 0;

	if (result)
		return result;
	result = tape_source_get(from->source, chunk->offset + TAPE_CHUNK_HEADER_BYTES, chunk->header.stored_bytes,
				 &loader->stored, out);
	if (result == -ENOMEM)
		return result;
	if (result)
		return not_read(loader, result);
	if (tape_hash(*out, chunk->header.stored_bytes) != chunk->header.payload_hash)
		return bad(loader, "is damaged (checksum)");
	return 0;
}

/* Payload as its layout has it, in out->data, which has room. 0 and its size, or -EBADMSG. */
static int get_payload(struct tape_loader *loader, const struct tape_chunk_header *header, const uint8_t *stored,
		       struct tape_scratch *out, size_t *out_bytes)
{
	size_t size_bytes = header->stored_bytes, list_bytes;
	uint64_t ids[TAPE_PAGES_MAX];

	if (header->type == TAPE_CHUNK_PAGES && header->layout == TAPE_LAYOUT_2) {
		if (!tape_page_ids_decode(ids, &list_bytes, header, stored, size_bytes))
			return bad(loader, "has page numbers that cannot be");
		stored += list_bytes;
		size_bytes -= list_bytes;
	}
	if (header->codec == TAPE_STORED) {
		if (size_bytes > header->raw_bytes)
			return bad(loader, "says two lengths");
		memcpy(out->data, stored, size_bytes);
	} else {
		size_bytes = ZSTD_decompressDCtx(loader->zstd, out->data, header->raw_bytes, stored, size_bytes);
		if (ZSTD_isError(size_bytes))
			return bad(loader, "does not decompress to its length");
	}
	*out_bytes = size_bytes;
	return 0;
}

/* Rows of a chunk of layout 2 in raw->data. */
static int expand(struct tape_loader *loader, const struct tape_chunk_header *header, const uint8_t *stored,
		  struct tape_scratch *raw)
{
	size_t size_bytes;
	const char *why;
	int result;

	if (!loader->model)
		loader->model =
			aligned_alloc(CACHE_LINE, (sizeof(*loader->model) + CACHE_LINE - 1) & ~(CACHE_LINE - 1));
	if (!loader->model || tape_scratch_reserve(&loader->compact, header->raw_bytes + COMPACT_SLACK_BYTES) ||
	    tape_scratch_reserve(raw, header->raw_bytes + COMPACT_ROWS_SLACK_BYTES))
		return -ENOMEM;
	result = get_payload(loader, header, stored, &loader->compact, &size_bytes);
	if (result)
		return result;
	memset(loader->compact.data + size_bytes, 0, COMPACT_SLACK_BYTES);
	why = tape_expand(loader->model, raw->data, header->raw_bytes, loader->compact.data, size_bytes);
	if (why)
		return bad(loader, "does not give its records: %s", why);
	loader->is_sound = loader->model->is_sound;
	return 0;
}

int tape_loader_load(struct tape_loader *loader, const struct tape_origin *from, struct tape_stored_chunk *chunk,
		     struct tape_scratch *raw)
{
	const struct tape_chunk_header *header = &chunk->header;
	const uint8_t *stored;
	const char *why;
	size_t size_bytes;
	int result = tape_loader_stored(loader, from, chunk, &stored);

	loader->is_sound = false;
	if (result)
		return result;
	/* A header that an index repeated was not judged before. */
	why = tape_judge_header(header);
	if (why)
		return bad(loader, "%s", why);
	if (header->codec == TAPE_ZSTD && !loader->zstd)
		loader->zstd = ZSTD_createDCtx();
	if (header->codec == TAPE_ZSTD && !loader->zstd)
		return -ENOMEM;
	if (header->type == TAPE_CHUNK_TRAPS && header->layout == TAPE_LAYOUT_2)
		return expand(loader, header, stored, raw);
	if (tape_scratch_reserve(raw, header->raw_bytes))
		return -ENOMEM;
	result = get_payload(loader, header, stored, raw, &size_bytes);
	if (!result && size_bytes != header->raw_bytes)
		result = bad(loader, "does not decompress to its length");
	return result;
}
