/* SPDX-License-Identifier: MIT */
/*
 * read_all.c - reads every field of every record of a tape, merged in time
 * order, and tells what that took of the CPU, and of the clock. The sum is
 * printed so that nothing of it can be left out. With more than one thread the
 * others read ahead.
 *
 *   bench_read_all [--threads N] FILE.vmt
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_clock.h"
#include "tape.h"

static uint64_t sum_of(const struct trap_view *view)
{
	uint64_t sum = view->header.tsc + view->header.seq + view->header.vcpu + view->header.type;
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	for (uint32_t mask = view->header.reg_mask; mask; mask &= mask - 1)
		sum += view->regs[__builtin_ctz(mask)];
	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		sum += fragment.gva + fragment.want_bytes + fragment.status + fragment.label;
		for (unsigned i = 0; i < fragment.len_bytes; i++)
			sum += bytes[i];
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct tape_error error = {0};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t sum = 0, count = 0, cpu_ns, wall_ns;
	unsigned nr_threads = 1;
	int result;

	if (argc == 4 && !strcmp(argv[1], "--threads"))
		nr_threads = (unsigned)strtoul(argv[2], NULL, 10);
	if ((argc != 2 && argc != 4) || !nr_threads) {
		fprintf(stderr, "usage: bench_read_all [--threads N] FILE.vmt\n");
		return 2;
	}
	cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	wall_ns = bench_clock_ns(CLOCK_MONOTONIC);
	result = tape_reader_open(&reader, argv[argc - 1], &error);
	if (!result)
		result = tape_cursor_create(&cursor, reader, &error);
	if (!result)
		result = tape_cursor_read_ahead(cursor, nr_threads - 1, &error);
	while (!result && (result = tape_cursor_next(cursor, &view, &error)) == 1) {
		sum += sum_of(&view);
		count++;
		result = 0;
	}
	if (result) {
		fprintf(stderr, "bench_read_all: %s: %s\n", argv[argc - 1], error.message);
		return 2;
	}
	cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	wall_ns = bench_clock_ns(CLOCK_MONOTONIC) - wall_ns;
	printf("events %" PRIu64 "\nscan_ns %.2f\nwall_ns %.2f\nsum %" PRIu64 "\n", count,
	       count ? (double)cpu_ns / (double)count : 0, count ? (double)wall_ns / (double)count : 0, sum);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	return 0;
}
