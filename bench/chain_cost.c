/* SPDX-License-Identifier: MIT */
/*
 * chain_cost.c - what the hash chain and the signatures cost, in CPU time: a
 * link by size, a signature, and of chunks of records and of pages the digest,
 * which the thread that encodes them makes, and what is left for the thread
 * that places them, with and without the chain in turn. A figure, not a test.
 *
 *   bench_chain_cost [KEY.pem]
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tape_seal.h"

#define REPETITIONS  9
#define RECORD_BYTES 128u /* an entry with twelve registers */
#define NR_RECORDS   (TAPE_TRAPS_MAX_BYTES / RECORD_BYTES)
#define PAGES_BYTES  (TAPE_PAGES_MAX * TAPE_PAGE_BYTES)
#define NR_CHUNKS    24u

static uint8_t block[TAPE_TRAPS_MAX_BYTES];

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts; prints median (lowest - highest). */
static double print_spread(const char *name, double *values, const char *unit)
{
	qsort(values, REPETITIONS, sizeof(*values), compare);
	printf("%-34s %9.3f (%.3f - %.3f) %s\n", name, values[REPETITIONS / 2], values[0], values[REPETITIONS - 1],
	       unit);
	return values[REPETITIONS / 2];
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static void measure_link(size_t size_bytes)
{
	uint8_t value[TAPE_CHAIN_BYTES] = {0}, digest[TAPE_CHAIN_BYTES];
	double values[REPETITIONS];
	unsigned count = (unsigned)((8u << 20) / size_bytes);
	char name[64];

	for (unsigned r = 0; r < REPETITIONS; r++) {
		double start = cpu_ns();

		for (unsigned i = 0; i < count; i++) {
			tape_chain_digest(digest, block + TAPE_CHUNK_HEADER_BYTES,
					  size_bytes - TAPE_CHUNK_HEADER_BYTES);
			tape_chain_link_chunk(value, block, digest);
		}
		values[r] = (cpu_ns() - start) / count / ((double)size_bytes / 1024);
	}
	snprintf(name, sizeof(name), "link of a chunk of %zu bytes", size_bytes);
	print_spread(name, values, "ns per KiB");
}

static void measure_signature(const char *key_path)
{
	struct tape_signature signature = {.number = 3};
	uint8_t payload[TAPE_SIGNATURE_BYTES];
	double sign[REPETITIONS], check[REPETITIONS];
	struct tape_error error;
	struct tape_key *key;
	bool exposed;

	if (tape_key_load(&key, key_path, &exposed, &error)) {
		fprintf(stderr, "%s\n", error.message);
		exit(2);
	}
	for (unsigned r = 0; r < REPETITIONS; r++) {
		double start = cpu_ns(), middle;

		for (unsigned i = 0; i < 200; i++)
			tape_put_signature(payload, &signature, key);
		middle = cpu_ns();
		for (unsigned i = 0; i < 200; i++)
			if (!tape_get_signature(payload, &signature))
				abort();
		sign[r] = (middle - start) / 200e3;
		check[r] = (cpu_ns() - middle) / 200e3;
	}
	print_spread("a signature made", sign, "us");
	print_spread("a signature checked", check, "us");
	tape_key_destroy(key);
}

/* ---- share ----------------------------------------------------------- */

static int discard(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		   void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	*(uint64_t *)ctx += size_bytes;
	done(done_ctx, buffer, 0);
	return 0;
}

/* As a busy guest makes them: counters that rise, few different calls and tasks, pointers of small entropy. */
static void fill_records(uint64_t *state)
{
	static uint64_t seq, tsc;

	memset(block, 0, sizeof(block));
	for (unsigned i = 0; i < NR_RECORDS; i++, seq++) {
		uint8_t *at = block + i * RECORD_BYTES;
		uint64_t random = next_random(state);

		put_le32(at, RECORD_BYTES);
		at[4] = seq & 1 ? TRAP_EXIT : TRAP_ENTER;
		put_le64(at + 16, seq);
		put_le64(at + 24, tsc += 1500 + random % 512);
		put_le64(at + 32, random >> 9 & 7);
		put_le64(at + 40, 0x7ffc00001000 + (random >> 12 & 0xff) * 16);
		put_le64(at + 48, 0x55550000 + (random >> 20 & 0xf) * 4096);
		put_le64(at + 56, random >> 24 & 0x3ff);
		put_le64(at + 96, 0xffff888003a0c000 + (random >> 40 & 3) * 0x2000);
	}
}

/* Half of each page is like text, a quarter is random, the rest zero. */
static void fill_pages(uint64_t *state)
{
	memset(block, 0, sizeof(block));
	for (unsigned page = 0; page < TAPE_PAGES_MAX; page++) {
		uint8_t *at = block + page * TAPE_PAGE_BYTES;

		for (unsigned i = 0; i < 2048; i++)
			at[i] = (uint8_t)("etaoin shrdlu cm"[next_random(state) >> 20 & 15]);
		for (unsigned i = 2048; i < 3072; i += 8)
			put_le64(at + i, next_random(state));
	}
}

static struct tape_chunk *encode(bool pages)
{
	const struct tape_chunk_header header = {.type = TAPE_CHUNK_PAGES,
						 .vcpu = TAPE_NO_VCPU,
						 .nr_items = TAPE_PAGES_MAX,
						 .last_seq = TAPE_PAGES_MAX - 1};
	struct tape_chunk *chunk;
	int result = pages ? tape_chunk_encode(&chunk, &header, block, PAGES_BYTES, 1, NULL)
			   : tape_chunk_encode_traps(&chunk, 0, block, sizeof(block), 1, NULL);

	if (result)
		abort();
	return chunk;
}

/* CPU time of NR_CHUNKS chunks; encode_ns is without digest_ns. */
static void write_chunks(bool pages, bool chain, double *encode_ns, double *digest_ns, double *place_ns,
			 uint64_t *written_bytes)
{
	struct tape_identity identity = {.version = TAPE_VERSION,
					 .slot_bytes = TAPE_SLOT_BYTES,
					 .compat_features = chain ? TAPE_COMPAT_CHAIN : 0};
	const struct tape_sink sink = {.write = discard, .ctx = written_bytes};
	struct tape_writer *writer;
	uint64_t state = 88172645463325252u;

	*encode_ns = *digest_ns = *place_ns = 0;
	*written_bytes = 0;
	if (tape_writer_create_as(&writer, &sink, &identity, NULL))
		abort();
	for (unsigned i = 0; i < NR_CHUNKS; i++) {
		struct tape_chunk *chunk;
		double start, middle, again;

		if (pages)
			fill_pages(&state);
		else
			fill_records(&state);
		start = cpu_ns();
		chunk = encode(pages);
		middle = cpu_ns();
		tape_chunk_digest(chunk);
		again = cpu_ns();
		if (tape_writer_append(writer, chunk, NULL))
			abort();
		*place_ns += cpu_ns() - again;
		*digest_ns += again - middle;
		*encode_ns += middle - start - (again - middle);
	}
	tape_writer_destroy(writer);
}

static void measure_share(bool pages)
{
	double encode_ns[REPETITIONS], digest_ns[REPETITIONS], share[REPETITIONS], extra_ns[REPETITIONS];
	uint64_t bytes = 0;

	for (unsigned r = 0; r < REPETITIONS; r++) {
		double without, with, encode_with, digest_with;

		write_chunks(pages, false, &encode_ns[r], &digest_ns[r], &without, &bytes);
		write_chunks(pages, true, &encode_with, &digest_with, &with, &bytes);
		share[r] = 100 * digest_ns[r] / (encode_ns[r] + without);
		encode_ns[r] /= NR_CHUNKS * 1e3;
		digest_ns[r] /= NR_CHUNKS * 1e3;
		extra_ns[r] = (with - without) / (NR_CHUNKS * 1e3);
	}
	printf("%s: 1 MiB becomes %.0f KiB\n", pages ? "pages" : "records", (double)bytes / NR_CHUNKS / 1024);
	print_spread("  encoding of 1 MiB", encode_ns, "us");
	print_spread("  its digest, same thread", digest_ns, "us");
	print_spread("  which is", share, "% of encoding and placing");
	print_spread("  the placing thread's link", extra_ns, "us");
}

int main(int argc, char **argv)
{
	uint64_t state = 1;

	if (sodium_init() < 0)
		return 2;
	fill_pages(&state);
	measure_link(512);
	measure_link(4096);
	measure_link(64 << 10);
	measure_link(1 << 20);
	if (argc > 1)
		measure_signature(argv[1]);
	measure_share(false);
	measure_share(true);
	return 0;
}
