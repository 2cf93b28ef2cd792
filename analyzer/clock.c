/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <stdlib.h>
#include <string.h>

static int by_tsc(const void *a, const void *b)
{
	const struct clock_pair *x = a, *y = b;

	return x->tsc < y->tsc ? -1 : x->tsc > y->tsc;
}

bool guest_clock_init(struct guest_clock *clock, const struct clock_pair *pairs, size_t nr_pairs, uint64_t tsc_hz)
{
	*clock = (struct guest_clock){0};
	if (tsc_hz)
		clock->ns_per_tick = 1e9 / (double)tsc_hz;
	if (!nr_pairs)
		return true;
	clock->pairs = malloc(nr_pairs * sizeof(*pairs));
	if (!clock->pairs)
		return false;
	memcpy(clock->pairs, pairs, nr_pairs * sizeof(*pairs));
	qsort(clock->pairs, nr_pairs, sizeof(*pairs), by_tsc);
	for (size_t i = 0; i < nr_pairs; i++) {
		struct clock_pair pair = clock->pairs[i];
		const struct clock_pair *last = clock->nr_pairs ? &clock->pairs[clock->nr_pairs - 1] : NULL;

		/* A host clock that was set back must not make time run backwards within the tape. */
		if (pair.realtime_ns > INT64_MAX / 2 ||
		    (last && (pair.tsc == last->tsc || pair.realtime_ns <= last->realtime_ns)))
			continue;
		clock->pairs[clock->nr_pairs++] = pair;
	}
	if (clock->ns_per_tick == 0 && clock->nr_pairs > 1) {
		const struct clock_pair *first = clock->pairs, *last = &clock->pairs[clock->nr_pairs - 1];

		clock->ns_per_tick =
			(double)(last->realtime_ns - first->realtime_ns) / (double)(last->tsc - first->tsc);
	}
	return true;
}

void guest_clock_deinit(struct guest_clock *clock)
{
	free(clock->pairs);
	*clock = (struct guest_clock){0};
}

/* ns kept within what a time can be, so that nothing overflows later. */
static int64_t clamp_ns(double ns)
{
	return ns < 0 ? 0 : ns > 9.2e18 ? INT64_MAX : (int64_t)ns;
}

/* The last pair at or before tsc, else the first. */
static size_t pair_before(const struct guest_clock *clock, uint64_t tsc)
{
	size_t low = 0, high = clock->nr_pairs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (clock->pairs[middle].tsc <= tsc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : 0;
}

/* Slope behind this pair: to the next one, so that two snapshots agree with what the host's clock showed. */
static double slope(const struct guest_clock *clock, size_t i, bool before_first)
{
	const struct clock_pair *a = &clock->pairs[i];

	if (before_first || i + 1 >= clock->nr_pairs)
		return clock->ns_per_tick;
	return (double)(a[1].realtime_ns - a[0].realtime_ns) / (double)(a[1].tsc - a[0].tsc);
}

int64_t guest_clock_ns(const struct guest_clock *clock, uint64_t tsc)
{
	const struct clock_pair *pair;
	double ticks;
	size_t i;

	if (!clock->nr_pairs || clock->ns_per_tick == 0)
		return -1;
	i = pair_before(clock, tsc);
	pair = &clock->pairs[i];
	if (tsc < pair->tsc) {
		double ns = (double)(pair->tsc - tsc) * clock->ns_per_tick;

		return ns > (double)pair->realtime_ns ? 0 : (int64_t)pair->realtime_ns - (int64_t)ns;
	}
	/* A double holds the difference to the pair, never the whole time: 1.7e18 ns would lose 256 ns. */
	ticks = (double)(tsc - pair->tsc) * slope(clock, i, false);
	return ticks > 4e18 ? INT64_MAX : (int64_t)pair->realtime_ns + clamp_ns(ticks);
}

int64_t guest_clock_duration_ns(const struct guest_clock *clock, uint64_t from_tsc, uint64_t to_tsc)
{
	if (clock->ns_per_tick == 0 || to_tsc < from_tsc)
		return -1;
	return clamp_ns((double)(to_tsc - from_tsc) * clock->ns_per_tick + 0.5);
}

bool guest_clock_tsc(const struct guest_clock *clock, int64_t time_ns, uint64_t *tsc)
{
	const struct clock_pair *pair;
	size_t i = 0;
	double ticks;

	if (!clock->nr_pairs || clock->ns_per_tick == 0)
		return false;
	while (i + 1 < clock->nr_pairs && (int64_t)clock->pairs[i + 1].realtime_ns <= time_ns)
		i++;
	pair = &clock->pairs[i];
	if (time_ns < (int64_t)pair->realtime_ns) {
		ticks = (double)((int64_t)pair->realtime_ns - time_ns) / clock->ns_per_tick;
		*tsc = ticks >= (double)pair->tsc ? 0 : pair->tsc - (uint64_t)ticks;
		return true;
	}
	ticks = (double)(time_ns - (int64_t)pair->realtime_ns) / slope(clock, i, false);
	if (ticks > 1.8e19 || pair->tsc > UINT64_MAX - (uint64_t)ticks - 1)
		*tsc = UINT64_MAX;
	else
		*tsc = pair->tsc + (uint64_t)ticks;
	while (*tsc < UINT64_MAX && guest_clock_ns(clock, *tsc) < time_ns && ticks < 1.8e19)
		++*tsc;
	return true;
}
