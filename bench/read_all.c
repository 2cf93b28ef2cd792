/* SPDX-License-Identifier: MIT */
/*
 * read_all.c - reads every field of every record of a tape, merged in time
 * order, and tells what that took of the CPU. The sum is printed so that nothing
 * of it can be left out.
 *
 *   bench_read_all FILE.vmt
 */
#include <inttypes.h>
#include <stdio.h>

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
	uint64_t sum = 0, count = 0, began_ns;
	int result;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_read_all FILE.vmt\n");
		return 2;
	}
	began_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	result = tape_reader_open(&reader, argv[1], &error);
	if (!result)
		result = tape_cursor_create(&cursor, reader, &error);
	while (!result && (result = tape_cursor_next(cursor, &view, &error)) == 1) {
		sum += sum_of(&view);
		count++;
		result = 0;
	}
	if (result) {
		fprintf(stderr, "bench_read_all: %s: %s\n", argv[1], error.message);
		return 2;
	}
	printf("events %" PRIu64 "\nscan_ns %.2f\nsum %" PRIu64 "\n", count,
	       count ? (double)(bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns) / (double)count : 0, sum);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	return 0;
}
