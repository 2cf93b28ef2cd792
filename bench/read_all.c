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

/* Of eight at a time. */
static uint64_t sum_of_bytes(const uint8_t *bytes, size_t size_bytes)
{
	const uint64_t every_other = 0x00ff00ff00ff00ffull;
	uint64_t sum = 0;

	for (; size_bytes >= 8; size_bytes -= 8, bytes += 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		sum += ((word & every_other) + (word >> 8 & every_other)) * 0x0001000100010001ull >> 48;
	}
	while (size_bytes)
		sum += bytes[--size_bytes];
	return sum;
}

/* Four sums at a time: one alone would wait for itself. Registers that a record has not are 0. */
static uint64_t sum_of_regs(const uint64_t regs[TRAP_REGS])
{
	uint64_t sums[4] = {0};

	_Static_assert(TRAP_REGS == 25, "one is left");
	for (unsigned i = 0; i < 24; i += 4)
		for (unsigned j = 0; j < 4; j++)
			sums[j] += regs[i + j];
	return sums[0] + sums[1] + sums[2] + sums[3] + regs[24];
}

static uint64_t sum_of(const struct trap_view *view)
{
	uint64_t sum = view->header.tsc + view->header.seq + view->header.vcpu + view->header.type;
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	sum += sum_of_regs(view->regs);
	while (trap_view_next_fragment(view, &position, &fragment, &bytes))
		sum += fragment.gva + fragment.want_bytes + fragment.status + fragment.label +
		       sum_of_bytes(bytes, fragment.len_bytes);
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
