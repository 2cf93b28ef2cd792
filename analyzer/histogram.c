/* SPDX-License-Identifier: MIT */
#include "histogram.h"

/* Below 16 each value has its own bucket; above, each power of two has 16. */
static unsigned bucket_of(uint64_t value)
{
	unsigned power;

	if (value < 16)
		return (unsigned)value;
	power = 63u - (unsigned)__builtin_clzll(value);
	return 16 * (power - 3) + (unsigned)(value >> (power - 4) & 15);
}

static uint64_t value_of(unsigned bucket)
{
	if (bucket < 16)
		return bucket;
	return (16ull + bucket % 16) << (bucket / 16 - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
	unsigned bucket = bucket_of(value);

	h->count++;
	h->total = h->total > UINT64_MAX - value ? UINT64_MAX : h->total + value;
	h->max = value > h->max ? value : h->max;
	h->buckets[bucket] += h->buckets[bucket] < UINT32_MAX;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
	h->count += other->count;
	h->total = h->total > UINT64_MAX - other->total ? UINT64_MAX : h->total + other->total;
	h->max = other->max > h->max ? other->max : h->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t sum = (uint64_t)h->buckets[i] + other->buckets[i];

		h->buckets[i] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
	}
}

uint64_t histogram_percentile(const struct histogram *h, double part)
{
	uint64_t all = 0, seen = 0, wanted;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		all += h->buckets[i];
	if (!all)
		return 0;
	wanted = (uint64_t)(part * (double)all);
	wanted = wanted < all ? wanted : all - 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > wanted)
			return value_of(i) < h->max ? value_of(i) : h->max;
	}
	return h->max;
}
