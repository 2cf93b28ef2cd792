/* SPDX-License-Identifier: MIT */
/*
 * trap_layout.c - what the layouts of TRAPS chunks cost: bytes an event and CPU
 * time to encode and decode, at several levels of zstd (-100: predicted, and
 * not compressed). An event is an entry or
 * an exit. A figure, not a test; but what comes back is compared.
 *
 *   bench_trap_layout FILE…     tapes, or raw records of one vCPU (bench/trap_stream.py)
 *
 * "registers" is the stream without fragments; what those add is told apart.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "tape_compact.h"

#define REPETITIONS 9

struct stream {
	uint8_t *bytes;
	size_t size_bytes;
	uint64_t events;
};

struct figure {
	double encode_ns[REPETITIONS], decode_ns[REPETITIONS]; /* an event */
	double stored_bytes;                                   /* an event, chunk headers included */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_trap_layout: %s\n", what);
	exit(2);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t record_bytes(const struct stream *stream, size_t at)
{
	uint32_t size_bytes = tape_row_bytes(stream->bytes + at, stream->size_bytes - at);

	if (!size_bytes)
		die("a file does not hold whole records");
	return size_bytes;
}

static void count_events(struct stream *stream)
{
	for (size_t at = 0; at < stream->size_bytes; at += record_bytes(stream, at)) {
		uint8_t type = stream->bytes[at + offsetof(struct trap_record, type)];

		stream->events += type == TRAP_ENTER || type == TRAP_EXIT;
	}
}

static void load(struct stream *stream, const char *path)
{
	FILE *file = fopen(path, "rb");
	long size_bytes;

	if (!file || fseek(file, 0, SEEK_END) || (size_bytes = ftell(file)) <= 0 || fseek(file, 0, SEEK_SET))
		die(path);
	*stream = (struct stream){.bytes = malloc((size_t)size_bytes), .size_bytes = (size_t)size_bytes};
	if (!stream->bytes || fread(stream->bytes, 1, stream->size_bytes, file) != stream->size_bytes)
		die(path);
	fclose(file);
}

/* The records of a tape, one vCPU after the other. */
static void load_tape(struct stream *stream, const char *path)
{
	struct byte_buffer all = {0};
	struct tape_cursor *cursor;
	struct tape_reader *reader;
	struct trap_view view;

	if (tape_reader_open(&reader, path, NULL))
		die(path);
	for (uint32_t vcpu = 0; vcpu < tape_reader_info(reader)->nr_vcpus; vcpu++) {
		if (tape_cursor_create(&cursor, reader, NULL))
			die("no memory");
		while (tape_cursor_next(cursor, &view, NULL) == 1)
			if (view.header.vcpu == vcpu)
				byte_buffer_add(&all, view.raw, view.header.size_bytes);
		tape_cursor_destroy(cursor);
	}
	tape_reader_close(reader);
	if (all.bad)
		die("no memory");
	*stream = (struct stream){.bytes = all.data, .size_bytes = all.size_bytes};
}

/* The same records without their fragments. */
static void strip(struct stream *out, const struct stream *stream)
{
	*out = (struct stream){.bytes = malloc(stream->size_bytes), .events = stream->events};
	if (!out->bytes)
		die("no memory");
	for (size_t at = 0; at < stream->size_bytes; at += record_bytes(stream, at)) {
		struct trap_record record;
		uint8_t *to = out->bytes + out->size_bytes;

		memcpy(&record, stream->bytes + at, sizeof(record));
		if (record.nr_fragments)
			record.size_bytes =
				(uint32_t)sizeof(record) + 8 * (uint32_t)__builtin_popcount(record.reg_mask);
		record.nr_fragments = 0;
		memcpy(to, stream->bytes + at, record.size_bytes);
		memcpy(to, &record, sizeof(record));
		out->size_bytes += record.size_bytes;
	}
}

/* End of the records from at on that a chunk takes. */
static size_t chunk_end(const struct stream *stream, size_t at)
{
	size_t end = at;

	while (end < stream->size_bytes && end + record_bytes(stream, end) - at <= TAPE_TRAPS_MAX_BYTES)
		end += record_bytes(stream, end);
	return end;
}

/* As chunks of layout 1 were encoded: a walk, then all rows to zstd. */
static struct tape_chunk *encode_rows(const uint8_t *rows, size_t size_bytes, int level)
{
	struct tape_chunk_header header = {.type = TAPE_CHUNK_TRAPS, .raw_bytes = (uint32_t)size_bytes};
	struct tape_chunk *chunk;
	struct tape_rows walked;
	size_t bad_at;

	if (tape_rows_walk(&walked, rows, size_bytes, &bad_at) ||
	    tape_chunk_encode(&chunk, &header, rows, size_bytes, level, NULL))
		die("rows are not encoded");
	chunk->touched = walked.touched;
	return chunk;
}

static void decode(const struct tape_chunk *chunk, ZSTD_DCtx *zstd, struct compact_model *model, uint8_t *payload,
		   uint8_t *rows)
{
	const struct tape_chunk_header *header = &chunk->header;
	const uint8_t *stored = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	uint8_t *to = header->layout == TAPE_LAYOUT_2 ? payload : rows;
	size_t size_bytes = header->stored_bytes;

	if (header->codec == TAPE_ZSTD)
		size_bytes = ZSTD_decompressDCtx(zstd, to, header->raw_bytes, stored, header->stored_bytes);
	else
		memcpy(to, stored, size_bytes);
	if (ZSTD_isError(size_bytes))
		die("a chunk does not decompress");
	if (header->layout == TAPE_LAYOUT_2 && tape_expand(model, rows, header->raw_bytes, payload, size_bytes))
		die("a chunk does not give its records");
}

static void measure(struct figure *figure, const struct stream *stream, unsigned layout, int level)
{
	struct compact_model *model = malloc(sizeof(*model));
	uint8_t *payload = malloc(TAPE_TRAPS_MAX_BYTES + COMPACT_SLACK_BYTES),
		*rows = malloc(TAPE_TRAPS_MAX_BYTES + COMPACT_ROWS_SLACK_BYTES);
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	struct tape_encoder *encoder;

	if (!model || !payload || !rows || !zstd || tape_encoder_create(&encoder, level, NULL))
		die("no memory");
	for (unsigned i = 0; i < REPETITIONS; i++) {
		uint64_t encode_ns = 0, decode_ns = 0, stored_bytes = 0;

		for (size_t at = 0, end; at < stream->size_bytes; at = end) {
			struct tape_chunk *chunk;
			uint64_t start_ns = cpu_ns(), middle_ns;

			end = chunk_end(stream, at);
			start_ns = cpu_ns();
			if (layout == TAPE_LAYOUT_1)
				chunk = encode_rows(stream->bytes + at, end - at, level);
			else if (tape_encoder_traps(encoder, &chunk, 0, stream->bytes + at, end - at, NULL))
				die("records are not encoded");
			middle_ns = cpu_ns();
			decode(chunk, zstd, model, payload, rows);
			decode_ns += cpu_ns() - middle_ns;
			encode_ns += middle_ns - start_ns;
			if (memcmp(rows, stream->bytes + at, end - at))
				die("other records come back");
			stored_bytes += tape_chunk_stored_bytes(chunk);
			tape_chunk_destroy(chunk);
		}
		figure->encode_ns[i] = (double)encode_ns / (double)stream->events;
		figure->decode_ns[i] = (double)decode_ns / (double)stream->events;
		figure->stored_bytes = (double)stored_bytes / (double)stream->events;
	}
	tape_encoder_destroy(encoder);
	ZSTD_freeDCtx(zstd);
	free(model);
	free(payload);
	free(rows);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(double *ns)
{
	qsort(ns, REPETITIONS, sizeof(ns[0]), by_value);
	printf(" %6.1f (%5.1f - %5.1f) |", ns[REPETITIONS / 2], ns[0], ns[REPETITIONS - 1]);
}

int main(int argc, char **argv)
{
	static const int levels[] = {TAPE_LEVEL_PREDICTED, -5, -1, 1, 3};

	for (int i = 1; i < argc; i++) {
		struct stream all, registers;
		double raw_bytes;

		if (strlen(argv[i]) > 4 && !strcmp(argv[i] + strlen(argv[i]) - 4, ".vmt"))
			load_tape(&all, argv[i]);
		else
			load(&all, argv[i]);
		count_events(&all);
		strip(&registers, &all);
		if (!all.events)
			die("there is no event");
		raw_bytes = (double)registers.size_bytes / (double)registers.events;
		printf("%s: %" PRIu64
		       " events; raw, registers %.1f B an event, fragments %.1f; median of %d (min - max)\n\n",
		       argv[i], all.events, raw_bytes, (double)all.size_bytes / (double)all.events - raw_bytes,
		       REPETITIONS);
		printf("| layout | zstd | registers, B | + fragments, B | encode, CPU ns an event | decode, all        "
		       "   "
		       "|\n|--------|------|--------------|----------------|-------------------------|----------------"
		       "-------|\n");
		for (unsigned level = 0; level < sizeof(levels) / sizeof(*levels); level++) {
			for (unsigned layout = TAPE_LAYOUT_1; layout <= TAPE_LAYOUT_2; layout++) {
				struct figure alone, whole;

				/* Rows are not predicted. */
				if (layout == TAPE_LAYOUT_1 && levels[level] == TAPE_LEVEL_PREDICTED)
					continue;
				measure(&alone, &registers, layout, levels[level]);
				measure(&whole, &all, layout, levels[level]);
				printf("| %6u | %4d | %12.3f | %14.3f |", layout, levels[level], alone.stored_bytes,
				       whole.stored_bytes - alone.stored_bytes);
				print_times(whole.encode_ns);
				print_times(whole.decode_ns);
				printf("\n");
				fflush(stdout);
			}
		}
		printf("\n");
		free(all.bytes);
		free(registers.bytes);
	}
	return argc < 2 ? 2 : 0;
}
