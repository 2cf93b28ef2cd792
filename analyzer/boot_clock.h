/* SPDX-License-Identifier: MIT */
/*
 * boot_clock.h - the guest's boot clock (in which the start times of its tasks
 * are given) against the TSC, by what the tape shows: who is seen was born
 * before, and those seen right after their birth make the bound tight.
 */
#ifndef BOOT_CLOCK_H
#define BOOT_CLOCK_H

#include "session.h"

struct boot_clock {
	bool known;
	uint64_t base_tsc;
	double base_ns; /* boot clock at base_tsc, or a little less */
	double ns_per_tick;
};

/* Reads part of the tape. */
struct vmtape_error *boot_clock_create(struct boot_clock *out, struct session *session);
/* TSC value of a moment of the boot clock; may lie before the tape, and be negative. */
double boot_clock_tsc(const struct boot_clock *clock, uint64_t boot_ns);
/* UTC; -1: not known. */
int64_t boot_clock_utc(const struct boot_clock *clock, const struct guest_clock *utc, uint64_t boot_ns);

#endif
