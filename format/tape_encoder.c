/* SPDX-License-Identifier: MIT */
/*
 * tape_encoder.c - encodes TRAPS chunks: layout 2 where it pays, else rows.
 * Keeps the memory that this takes from chunk to chunk.
 */
#include <errno.h>
#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_c_literalCompressionMode */
#include <zstd.h>

#include "tape_compact.h"

#define BLOCK_MIN_BYTES 512u /* shorter streams share a block's tables with the next one */

/*
 * How streams are compressed: those before lz by the frequency of their bytes alone, which takes a third of the time,
 * the others by what repeats in them, too, at this level of zstd.
 */
struct effort {
	enum compact_stream lz;
	int zstd_level;
	bool is_quick; /* values, too, are coded in the way that takes the least time */
};

static struct effort effort_of(int level)
{
	/* Low bytes of times are noise at any level. */
	if (level > 1)
		return (struct effort){COMPACT_TIME_1, level, false};
	if (level > 0)
		return (struct effort){COMPACT_VALUES_REST, level, false};
	if (level >= -2)
		return (struct effort){COMPACT_AUX, 1, false};
	if (level >= -4)
		return (struct effort){COMPACT_AUX, -1, false};
	return (struct effort){COMPACT_STREAMS, 1, level == TAPE_LEVEL_PREDICTED};
}

struct tape_encoder {
	int level;
	struct effort effort;
	ZSTD_CCtx *by_frequency;
	ZSTD_CCtx *zstd;
	struct tape_compactor *compactor;
	uint8_t *stored; /* the payload, until its size is known */
	size_t room_bytes;
};

void tape_encoder_destroy(struct tape_encoder *encoder)
{
	if (!encoder)
		return;
	ZSTD_freeCCtx(encoder->by_frequency);
	ZSTD_freeCCtx(encoder->zstd);
	tape_compactor_destroy(encoder->compactor);
	free(encoder->stored);
	free(encoder);
}

int tape_encoder_create(struct tape_encoder **out, int zstd_level, struct tape_error *error)
{
	struct tape_encoder *encoder = calloc(1, sizeof(*encoder));

	*out = NULL;
	if (encoder) {
		encoder->by_frequency = ZSTD_createCCtx();
		encoder->zstd = ZSTD_createCCtx();
		encoder->compactor = tape_compactor_create();
		/* each block that is ended early may cost a little more */
		encoder->room_bytes = ZSTD_compressBound(TAPE_TRAPS_MAX_BYTES) + (COMPACT_STREAMS + 2) * 32;
		encoder->stored = malloc(encoder->room_bytes);
	}
	if (!encoder || !encoder->by_frequency || !encoder->zstd || !encoder->compactor || !encoder->stored) {
		tape_encoder_destroy(encoder);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory to encode records");
	}
	/* Of a zstd that does not know the mode, this only makes larger chunks. */
	ZSTD_CCtx_setParameter(encoder->by_frequency, ZSTD_c_compressionLevel, ZSTD_minCLevel());
	ZSTD_CCtx_setParameter(encoder->by_frequency, ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman);
	tape_encoder_set_level(encoder, zstd_level);
	*out = encoder;
	return 0;
}

void tape_encoder_set_level(struct tape_encoder *encoder, int zstd_level)
{
	encoder->level = zstd_level;
	encoder->effort = effort_of(zstd_level);
	ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_compressionLevel, encoder->effort.zstd_level);
}

/*
 * One frame of some parts. Streams are unlike one another, so each of some size gets blocks,
 * and with them tables, of its own. False: it does not pay.
 */
static bool compress_parts(ZSTD_CCtx *zstd, ZSTD_outBuffer *out, const struct tape_compacted *compacted, unsigned from,
			   unsigned to)
{
	size_t block_bytes = 0, size_bytes = 0;

	for (unsigned i = from; i < to; i++)
		size_bytes += compacted->parts[i].size_bytes;
	ZSTD_CCtx_reset(zstd, ZSTD_reset_session_only);
	ZSTD_CCtx_setPledgedSrcSize(zstd, size_bytes);
	for (unsigned i = from; i < to; i++) {
		ZSTD_inBuffer in = {.src = compacted->parts[i].data, .size = compacted->parts[i].size_bytes};
		ZSTD_EndDirective then = ZSTD_e_continue;
		size_t left;

		block_bytes += in.size;
		if (i + 1 == to)
			then = ZSTD_e_end;
		else if (block_bytes >= BLOCK_MIN_BYTES)
			then = ZSTD_e_flush;
		do {
			left = ZSTD_compressStream2(zstd, out, &in, then);
			if (ZSTD_isError(left) || out->pos == out->size)
				return false;
		} while (then == ZSTD_e_continue ? in.pos < in.size : left);
		if (then == ZSTD_e_flush)
			block_bytes = 0;
	}
	return true;
}

/* Returns the size, or 0: it does not pay. */
static size_t compress(struct tape_encoder *encoder, const struct tape_compacted *compacted)
{
	ZSTD_outBuffer out = {.dst = encoder->stored, .size = encoder->room_bytes};
	/* The lengths are the first part. */
	unsigned lz = encoder->effort.lz + 1;

	if (encoder->level == TAPE_LEVEL_PREDICTED)
		return 0;
	if (!compress_parts(encoder->by_frequency, &out, compacted, 0, lz))
		return 0;
	if (lz <= COMPACT_STREAMS && !compress_parts(encoder->zstd, &out, compacted, lz, COMPACT_STREAMS + 1))
		return 0;
	return out.pos > compacted->size_bytes - compacted->size_bytes / 8 ? 0 : out.pos;
}

static size_t gather(struct tape_encoder *encoder, const struct tape_compacted *compacted)
{
	size_t at = 0;

	for (unsigned i = 0; i <= COMPACT_STREAMS; i++) {
		memcpy(encoder->stored + at, compacted->parts[i].data, compacted->parts[i].size_bytes);
		at += compacted->parts[i].size_bytes;
	}
	return at;
}

static int encode_layout_2(struct tape_encoder *encoder, struct tape_chunk **out, struct tape_chunk_header *header,
			   const struct tape_compacted *compacted, size_t rows_bytes, struct tape_error *error)
{
	size_t stored_bytes = compress(encoder, compacted);

	header->layout = TAPE_LAYOUT_2;
	header->codec = TAPE_ZSTD;
	if (!stored_bytes) {
		header->codec = TAPE_STORED;
		stored_bytes = gather(encoder, compacted);
	}
	header->raw_bytes = (uint32_t)rows_bytes;
	return tape_chunk_wrap(out, header, encoder->stored, stored_bytes, error);
}

int tape_encoder_traps(struct tape_encoder *encoder, struct tape_chunk **out, uint16_t vcpu, const void *records,
		       size_t size_bytes, struct tape_error *error)
{
	struct tape_chunk_header header = {.type = TAPE_CHUNK_TRAPS, .vcpu = vcpu};
	struct tape_compacted compacted = {0};
	struct tape_rows rows;
	size_t bad_at = 0;
	int result;

	if (!size_bytes || vcpu == TAPE_NO_VCPU)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "no records, or vCPU %u", vcpu);
	if (size_bytes > TAPE_TRAPS_MAX_BYTES)
		return tape_fail(error, -EMSGSIZE, TAPE_NO_OFFSET, "%zu bytes of records: at most %u in a chunk",
				 size_bytes, TAPE_TRAPS_MAX_BYTES);
	result = encoder->level ? tape_compact(encoder->compactor, &compacted, &rows, records, size_bytes,
					       encoder->effort.is_quick, &bad_at)
				: tape_rows_walk(&rows, records, size_bytes, &bad_at);
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
	if (compacted.size_bytes && compacted.size_bytes <= size_bytes - size_bytes / 8)
		result = encode_layout_2(encoder, out, &header, &compacted, size_bytes, error);
	else
		result = tape_chunk_encode(out, &header, records, size_bytes,
					   encoder->level == TAPE_LEVEL_PREDICTED ? 0 : encoder->level, error);
	if (result)
		tape_touched_deinit(&rows.touched);
	else
		(*out)->touched = rows.touched;
	if (!result)
		(*out)->lossy_tsc = rows.tasks.lossy_tsc;
	if (!result && rows.tasks.count) {
		tape_rows_gather(&rows.tasks, records, size_bytes, &(*out)->identities);
		if ((*out)->identities.bad) {
			tape_chunk_destroy(*out);
			*out = NULL;
			return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for who made the records");
		}
	}
	if (!result && tape_brief_make(&(*out)->brief, records, size_bytes)) {
		tape_chunk_destroy(*out);
		*out = NULL;
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for what the records are about");
	}
	return result;
}

int tape_chunk_encode_traps(struct tape_chunk **out, uint16_t vcpu, const void *records, size_t size_bytes,
			    int zstd_level, struct tape_error *error)
{
	struct tape_encoder *encoder;
	int result = tape_encoder_create(&encoder, zstd_level, error);

	if (result)
		return result;
	result = tape_encoder_traps(encoder, out, vcpu, records, size_bytes, error);
	tape_encoder_destroy(encoder);
	return result;
}
