/* SPDX-License-Identifier: MIT */
/*
 * page_writer.c - dirties guest memory in a known order, for tests and figures of snapshots.
 *
 *   page_writer FILE MIB TAG fill 0 RUN      make FILE, of MIB mebibytes
 *   page_writer FILE MIB TAG once PAGES RUN  write so many of its pages once
 *   page_writer FILE MIB TAG steady RATE RUN write so many a second, over and over (0: as fast as it can)
 *
 * The order goes in runs of RUN successive pages, the runs spread over all of FILE. Each page holds TAG, its position
 * in the order and, at both ends, the generation in which it was written last: at any moment the pages up to some
 * position are of one generation, and the others of that before. SIGUSR1 prints how many pages were written, and the
 * longest time in which the program did not run, since the last SIGUSR1.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE_WORDS 512u
#define SPREAD     2654435761u /* a prime: no divisor of any number of runs here */

struct order {
	volatile uint64_t *memory;
	uint64_t nr_pages, run_pages, tag;
};

static volatile sig_atomic_t wants_report;

static void on_usr1(int signo)
{
	(void)signo;
	wants_report = 1;
}

static void write_page(const struct order *order, uint64_t position, uint64_t generation)
{
	uint64_t nr_runs = order->nr_pages / order->run_pages;
	uint64_t run = position / order->run_pages * SPREAD % nr_runs;
	volatile uint64_t *page = order->memory + (run * order->run_pages + position % order->run_pages) * PAGE_WORDS;

	page[0] = order->tag;
	page[1] = position;
	page[2] = generation;
	page[PAGE_WORDS - 1] = generation;
}

static double ticks_per_second(void)
{
	struct timespec from, to;
	uint64_t tsc = __rdtsc();

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &to);
	while ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9 < 0.2);
	return (double)(__rdtsc() - tsc) /
	       ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
}

static void write_steadily(const struct order *order, double rate)
{
	double hz = ticks_per_second(), due = 0;
	uint64_t position = 0, generation = 1, written = 0, longest = 0, last = __rdtsc();

	signal(SIGUSR1, on_usr1);
	printf("writing\n");
	fflush(stdout);
	for (;;) {
		uint64_t now = __rdtsc();

		longest = now - last > longest ? now - last : longest;
		due += rate > 0 ? (double)(now - last) / hz * rate : 64;
		last = now;
		/* What was missed in a stall is not made up for in one burst. */
		if (rate > 0 && due > rate / 20 + 1)
			due = rate / 20 + 1;
		for (unsigned n = 0; n < 64 && due >= 1; n++, due--, written++) {
			write_page(order, position, generation);
			if (++position == order->nr_pages) {
				position = 0;
				generation++;
			}
		}
		if (wants_report) {
			wants_report = 0;
			printf("pages %" PRIu64 " longest_gap_us %.0f\n", written, (double)longest / hz * 1e6);
			fflush(stdout);
			written = longest = 0;
			last = __rdtsc();
		}
	}
}

int main(int argc, char **argv)
{
	struct order order = {.run_pages = argc > 6 ? strtoull(argv[6], NULL, 0) : 1};
	uint64_t bytes, n;
	int fd;

	if (argc < 5 || !order.run_pages)
		return 2;
	bytes = strtoull(argv[2], NULL, 0) << 20;
	order.nr_pages = bytes / 4096 / order.run_pages * order.run_pages;
	order.tag = strtoull(argv[3], NULL, 0);
	n = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return perror(argv[1]), 1;
	order.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (order.memory == MAP_FAILED)
		return perror("mmap"), 1;
	if (!strcmp(argv[4], "fill")) {
		for (uint64_t i = 0; i < order.nr_pages; i++) {
			/* Contents that compress about as well as a program's data. */
			for (unsigned w = 3; w < PAGE_WORDS - 1; w++)
				order.memory[i * PAGE_WORDS + w] = (i * PAGE_WORDS + w) * SPREAD >> (w % 3 * 16);
			write_page(&order, i, 0);
		}
	} else if (!strcmp(argv[4], "once")) {
		for (uint64_t i = 0; i < n && i < order.nr_pages; i++)
			write_page(&order, i, (uint64_t)time(NULL) << 20 | i);
	} else if (!strcmp(argv[4], "steady")) {
		write_steadily(&order, (double)n);
	} else {
		return 2;
	}
	return 0;
}
