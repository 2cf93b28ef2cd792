/* SPDX-License-Identifier: MIT */
/*
 * page_map.c - what a recorder's format code remembers of a large guest's pages:
 * bench_page_map [GIB [ROUNDS]] gives so many GiB (64) of made-up pages to a tape
 * that goes nowhere, as ROUNDS (2) base snapshots, and prints the memory that the
 * process has then. A quarter of the pages is zero, a quarter one of 1,000 contents
 * that come again and again, half is like no other: no two neighbours go on with
 * each other, which is the worst that a map can hold. "runs" as a third argument:
 * 256 pages of a kind lie together, as most memory is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tape.h"

#define PAGES_PER_GIB  (1u << 18)
#define NR_COMMON      1000u
#define PAGES_TOGETHER 256u

static _Noreturn void die(const char *what, const struct tape_error *error)
{
	fprintf(stderr, "page_map: %s: %s\n", what, error ? error->message : strerror(errno));
	exit(2);
}

static int drop(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	(void)ctx;
	(void)offset;
	(void)size_bytes;
	done(done_ctx, buffer, 0);
	return 0;
}

/* ---- where the map waits: a file without a name in the folder of temporary files ---- */

#define MAP_MAX_BYTES (6u << 20) /* as the recorder's */

static uint64_t written_bytes;

static int write_map(void *ctx, uint64_t offset, const void *data, size_t size_bytes)
{
	written_bytes += size_bytes;
	return pwrite(*(int *)ctx, data, size_bytes, (off_t)offset) == (ssize_t)size_bytes ? 0 : -EIO;
}

static int read_map(void *ctx, uint64_t offset, void *data, size_t size_bytes)
{
	return pread(*(int *)ctx, data, size_bytes, (off_t)offset) == (ssize_t)size_bytes ? 0 : -EIO;
}

static void clear_map(void *ctx)
{
	if (ftruncate(*(int *)ctx, 0))
		die("ftruncate", NULL);
}

static double rss_mib(void)
{
	unsigned long size, resident;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
		die("/proc/self/statm", NULL);
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 31;
	value *= 0x7fb5d329728ea185u;
	value ^= value >> 27;
	value *= 0x81dadef4bc2dd44du;
	return value ^ value >> 33;
}

/* The page's contents differ from others' in the first word only: it is not compression that is looked at. */
static void fill(uint64_t *page, uint64_t gfn, unsigned round, uint64_t together)
{
	uint64_t random = mix(gfn / together + 1), kind = random & 3;

	memset(page, 0, TAPE_PAGE_BYTES);
	if (kind == 1)
		page[0] = 1 + (random >> 8) % NR_COMMON;
	else if (kind > 1)
		page[0] = (uint64_t)(round + 1) << 48 | gfn;
}

int main(int argc, char **argv)
{
	uint64_t gib = argc > 1 ? strtoull(argv[1], NULL, 0) : 64;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 2;
	uint64_t together = argc > 3 && !strcmp(argv[3], "runs") ? PAGES_TOGETHER : 1;
	const struct tape_sink sink = {.write = drop};
	struct tape_error error;
	struct tape_writer *writer;
	struct tape_pages *pages;
	uint64_t page[TAPE_PAGE_BYTES / 8];
	int fd;

	if (!gib || gib > 1024 || !rounds || argc > 4 || (argc > 3 && together == 1)) {
		fprintf(stderr, "usage: bench_page_map [GIB [ROUNDS [runs]]]\n");
		return 2;
	}
	if (tape_writer_create(&writer, &sink, &error) || tape_pages_create(&pages, writer, 1, &error))
		die("no tape", &error);
	fd = open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		die(P_tmpdir, NULL);
	tape_pages_spill_to(pages, &(struct tape_page_spill){.write = write_map,
							     .read = read_map,
							     .clear = clear_map,
							     .ctx = &fd,
							     .max_bytes = MAP_MAX_BYTES});
	printf("before_mib %.1f\n", rss_mib());
	for (unsigned round = 0; round < rounds; round++) {
		const struct tape_snapshot_info info = {.id = round + 1, .tsc = round + 1, .base = true};
		double most = 0, began = cpu_s();

		for (uint64_t gfn = 0; gfn < gib * PAGES_PER_GIB; gfn++) {
			fill(page, gfn, round, together);
			if (tape_pages_add(pages, gfn, page, &error))
				die("a page", &error);
		}
		most = rss_mib();
		if (tape_pages_commit(pages, &info, &error))
			die("a snapshot", &error);
		printf("snapshot_%u_most_mib %.1f\nsnapshot_%u_after_mib %.1f\nsnapshot_%u_us_a_page %.2f\n", round,
		       most, round, rss_mib(), round, (cpu_s() - began) * 1e6 / (double)(gib * PAGES_PER_GIB));
		fflush(stdout);
	}
	printf("map_written_mib %.1f\n", (double)written_bytes / (1 << 20));
	tape_pages_destroy(pages);
	close(fd);
	tape_writer_destroy(writer);
	return 0;
}
