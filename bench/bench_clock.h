/* SPDX-License-Identifier: MIT */
/*
 * bench_clock.h - clocks of the benches, and a pace: events come in ticks of a
 * millisecond, between which the producer sleeps, so that waiting costs no CPU time.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PACE_TICK_NS   1000000ull
#define PACE_BEHIND_NS 5000000ull

static inline uint64_t bench_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t bench_tsc(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return bench_clock_ns(CLOCK_MONOTONIC);
#endif
}

struct pace {
	double events_per_tick; /* 0: as many as can be */
	uint64_t next_ns;
	double due; /* what part of an event is left over from the last tick */
};

static inline struct pace pace_start(double events_per_second)
{
	return (struct pace){
		.events_per_tick = events_per_second * PACE_TICK_NS / 1e9,
		.next_ns = bench_clock_ns(CLOCK_MONOTONIC),
	};
}

/* Sleeps until the next tick; returns how many events it has. Who was kept from running does not catch up in a burst.
 */
static inline uint64_t pace_wait(struct pace *pace)
{
	struct timespec until;
	uint64_t now, whole;

	if (pace->events_per_tick <= 0)
		return 4096;
	pace->next_ns += PACE_TICK_NS;
	now = bench_clock_ns(CLOCK_MONOTONIC);
	if (now > pace->next_ns + PACE_BEHIND_NS)
		pace->next_ns = now;
	until.tv_sec = (time_t)(pace->next_ns / 1000000000u);
	until.tv_nsec = (long)(pace->next_ns % 1000000000u);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	pace->due += pace->events_per_tick;
	whole = (uint64_t)pace->due;
	pace->due -= (double)whole;
	return whole;
}

#endif
