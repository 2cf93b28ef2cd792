/* SPDX-License-Identifier: MIT */
/* histogram.h - how long things took, in buckets that are at most 1/16 wide: percentiles of any number of values. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (16 * 61)

/* Zero-initialise. */
struct histogram {
	uint64_t count, total, max; /* total stays at UINT64_MAX when it overflows */
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* Adds all that other has. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);
/* Lowest value of the bucket that holds this part (0 to 1) of the values; 0: none. */
uint64_t histogram_percentile(const struct histogram *histogram, double part);

#endif
