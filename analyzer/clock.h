/* SPDX-License-Identifier: MIT */
/*
 * clock.h - from the guest's TSC to UTC and back, by the (TSC, wall clock)
 * pairs of a tape's snapshots and, beyond them, the frequency of the TSC.
 * Times are nanoseconds since 1970. Also how times are written and read. Any
 * number of threads may use a clock that is there.
 */
#ifndef VMTAPE_CLOCK_H
#define VMTAPE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "strbuf.h"

struct clock_pair {
	uint64_t tsc;
	uint64_t realtime_ns;
};

struct guest_clock {
	struct clock_pair *pairs; /* both rise strictly */
	size_t nr_pairs;
	double ns_per_tick; /* 0: not known */
};

/*
 * Keeps what rises of the pairs, which may come in any order. tsc_hz 0: not
 * known; the slope between first and last pair serves then. false: out of memory.
 */
bool guest_clock_init(struct guest_clock *clock, const struct clock_pair *pairs, size_t nr_pairs, uint64_t tsc_hz);
void guest_clock_deinit(struct guest_clock *clock);

/* -1: the tape cannot tell. */
int64_t guest_clock_ns(const struct guest_clock *clock, uint64_t tsc);
int64_t guest_clock_duration_ns(const struct guest_clock *clock, uint64_t from_tsc, uint64_t to_tsc);
/* First TSC value at or after this time; false: the tape has no clock. */
bool guest_clock_tsc(const struct guest_clock *clock, int64_t time_ns, uint64_t *tsc);

/* "12:00:01.123456", in UTC or local time. */
void time_put_clock(struct strbuf *out, int64_t time_ns, bool local);
/* "2025-01-02T12:00:01.123456789Z" */
void time_put_iso(struct strbuf *out, int64_t time_ns);
/* "2025-01-02 12:00:01.123" for tables. */
void time_put_date(struct strbuf *out, int64_t time_ns, bool local);

/*
 * "+1.5" (seconds after start_ns), "12:00:01.5" (on the day of start_ns, or the
 * next when that lies more than 12 hours before it), or ISO 8601 with Z, ±hh:mm
 * or, as time of day, UTC or local time.
 */
struct vmtape_error *time_parse(const char *text, int64_t start_ns, bool local, int64_t *out);

#endif
