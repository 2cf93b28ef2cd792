/* SPDX-License-Identifier: MIT */
/*
 * skip_compare.h - for tests of the analyzer: a filter that passes over parts of
 * the tape must show what one that reads all of it shows. Exits on a difference.
 */
#ifndef SKIP_COMPARE_H
#define SKIP_COMPARE_H

#include "call_stream.h"

/* Of all comparisons so far; lines in bytes, of each comparison with a NUL. */
struct skip_counts {
	uint64_t records, skipped, lines, filters;
};

/* The options' filter and read_all are set here. */
void skip_compare(struct session *session, const char *text, struct call_stream_options options,
		  struct skip_counts *counts);

#endif
