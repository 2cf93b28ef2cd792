/* SPDX-License-Identifier: MIT */
/*
 * page_copy.c - how fast pages of a guest get onto a tape: read from a memfd and
 * given to the tape thread as a snapshot is, beside the two things that bound it,
 * in turn: zstd alone on the same pages with as many threads, and plain writes of
 * as many bytes as the tape has. Prints "name value" lines, medians of the rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "loop.h"
#include "page_feed.h"
#include "page_pool.h"
#include "tape_thread.h"

#define CHUNK_BYTES (512u << 10) /* as on the tape */
#define LEVEL       1
#define MAX_ROUNDS  99

struct copy {
	const char *path;
	int memory_fd;
	uint8_t *memory; /* the same, mapped */
	size_t size_bytes;
	unsigned nr_threads;
	atomic_size_t next;   /* for zstd's threads */
	atomic_size_t packed; /* bytes that it made */
	size_t tape_bytes;
};

static void die(const char *what)
{
	fprintf(stderr, "page_copy: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A third does not compress, a third does as program text, a third as pointers and counters; no page is there twice. */
static void fill(uint8_t *memory, size_t size_bytes)
{
	static const char *const words[] = {"return ", "struct ", "static ", "value", "->", "next", ";\n\t", "(void)"};
	uint64_t state = 88172645463325252u;

	for (size_t at = 0; at < size_bytes; at += 4096) {
		unsigned kind = (unsigned)(at / 4096 / 32 % 3);
		uint8_t *page = memory + at;

		for (size_t i = 0; i < 4096 && kind != 1; i += 8) {
			uint64_t word = random_next(&state);

			if (kind == 2)
				word = i % 32 ? word & 0xff : 0xffff888000000000u | (word & 0x3ffffff8);
			memcpy(page + i, &word, sizeof(word));
		}
		for (size_t i = 0; i < 4096 && kind == 1;) {
			uint64_t word = random_next(&state);
			size_t n = (size_t)snprintf((char *)page + i, 4096 - i, "%s%x", words[word % 8],
						    word % 3 ? 0 : (unsigned)(word >> 40));

			i += n;
		}
	}
}

static void *compress(void *arg)
{
	struct copy *copy = arg;
	size_t room = ZSTD_compressBound(CHUNK_BYTES), at;
	uint8_t *out = malloc(room);

	if (!out)
		die("no memory");
	while ((at = atomic_fetch_add(&copy->next, CHUNK_BYTES)) < copy->size_bytes) {
		size_t n = ZSTD_compress(out, room, copy->memory + at, CHUNK_BYTES, LEVEL);

		if (ZSTD_isError(n))
			die("zstd");
		atomic_fetch_add(&copy->packed, n);
	}
	free(out);
	return NULL;
}

static double run_zstd(struct copy *copy)
{
	uint64_t start_ns = now_ns();
	pthread_t threads[16];

	atomic_store(&copy->next, 0);
	atomic_store(&copy->packed, 0);
	for (unsigned i = 0; i < copy->nr_threads; i++)
		if (pthread_create(&threads[i], NULL, compress, copy))
			die("thread");
	for (unsigned i = 0; i < copy->nr_threads; i++)
		pthread_join(threads[i], NULL);
	return (double)(now_ns() - start_ns) / 1e9;
}

static int open_out(const struct copy *copy)
{
	int fd = open(copy->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die(copy->path);
	return fd;
}

static double run_write(const struct copy *copy)
{
	int fd = open_out(copy);
	uint64_t start_ns = now_ns();

	for (size_t at = 0; at < copy->tape_bytes; at += CHUNK_BYTES)
		if (pwrite(fd, copy->memory + at % copy->size_bytes, CHUNK_BYTES, (off_t)at) != CHUNK_BYTES)
			die(copy->path);
	close(fd);
	return (double)(now_ns() - start_ns) / 1e9;
}

static void on_wake(void *ctx)
{
	loop_wake(ctx);
}

static void check(int ret, const struct record_error *error)
{
	if (!ret)
		return;
	fprintf(stderr, "page_copy: %s\n", error->message);
	exit(2);
}

static double run_tape(struct copy *copy, struct loop *loop)
{
	const struct tape_ram_range range = {.size_bytes = copy->size_bytes};
	const struct tape_snapshot_info info = {.id = 1, .tsc = 1, .nr_ranges = 1, .ranges = &range, .base = true};
	const struct ram_block block = {.fd = copy->memory_fd, .size_bytes = copy->size_bytes};
	struct page_feed feed = {.loop = loop};
	struct record_error error = {0};
	struct tape_stats stats;
	int fd = open_out(copy);
	uint64_t start_ns, job;
	double seconds;

	check(tape_thread_create(&feed.tape, fd, 0, NULL, 1, LEVEL, on_wake, loop, &error), &error);
	start_ns = now_ns();
	for (uint64_t page = 0; page < copy->size_bytes / 4096; page += BATCH_PAGES)
		check(page_feed_pages(&feed, page, BATCH_PAGES,
				      (struct page_source){.block = &block, .offset = page * 4096}, false, &error),
		      &error);
	page_feed_send(&feed);
	tape_thread_post_commit(feed.tape, &info);
	job = tape_thread_post_flush(feed.tape);
	while (!tape_thread_is_done(feed.tape, job))
		loop_wait(loop, NULL, 0, now_ns() + 1000000000);
	seconds = (double)(now_ns() - start_ns) / 1e9;
	check(tape_thread_error(feed.tape, &error), &error);
	tape_thread_get_stats(feed.tape, &stats);
	copy->tape_bytes = stats.file_bytes;
	page_feed_deinit(&feed);
	tape_thread_destroy(feed.tape);
	close(fd);
	return seconds;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

int main(int argc, char **argv)
{
	unsigned mib = argc > 2 ? (unsigned)atoi(argv[2]) : 512, rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 5;
	double zstd[MAX_ROUNDS], written[MAX_ROUNDS], tape[MAX_ROUNDS], share[MAX_ROUNDS];
	struct record_error error = {0};
	struct copy copy;
	struct loop loop;

	if (argc < 2 || argc > 4 || !mib || mib > 4096 || !rounds || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: page_copy FILE [MiB [ROUNDS]]\n");
		return 2;
	}
	copy = (struct copy){.path = argv[1],
			     .memory_fd = memfd_create("pages", MFD_CLOEXEC),
			     .size_bytes = (size_t)mib << 20,
			     .nr_threads = page_pool_default_threads()};
	if (copy.memory_fd < 0 || ftruncate(copy.memory_fd, (off_t)copy.size_bytes))
		die("memory");
	copy.memory = mmap(NULL, copy.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, copy.memory_fd, 0);
	if (copy.memory == MAP_FAILED)
		die("memory");
	fill(copy.memory, copy.size_bytes);
	check(loop_init(&loop, &error), &error);
	for (unsigned i = 0; i < rounds; i++) {
		double bound;

		tape[i] = run_tape(&copy, &loop);
		zstd[i] = run_zstd(&copy);
		written[i] = run_write(&copy);
		bound = zstd[i] > written[i] ? zstd[i] : written[i];
		share[i] = bound / tape[i] * 100;
	}
	unlink(copy.path);
	printf("threads %u\nMiB %u\ntape_MiB %zu\nzstd_MiB %zu\n", copy.nr_threads, mib, copy.tape_bytes >> 20,
	       atomic_load(&copy.packed) >> 20);
	printf("tape_MiB_s %.0f\nzstd_MiB_s %.0f\nwrite_MiB_s %.0f\n", mib / median(tape, rounds),
	       mib / median(zstd, rounds), mib / median(written, rounds));
	printf("percent_of_bound %.0f\n", median(share, rounds));
	printf("percent_lowest %.0f\npercent_highest %.0f\n", share[0], share[rounds - 1]);
	loop_deinit(&loop);
	return 0;
}
