/* SPDX-License-Identifier: MIT */
/*
 * drain.h - the thread that empties the trap rings into blocks. It sleeps until
 * a ring passes its watermark or its records get too old; it never waits for the
 * disk: while the pipeline takes no block, the rings' own policy rules.
 */
#ifndef DRAIN_H
#define DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline.h"
#include "report.h"
#include "trap_ring.h"

struct drain_stats {
	uint64_t lost_records; /* as the rings' heads count them */
	uint64_t blocked_ns;   /* that the guest waited for room, all vCPUs */
	unsigned fill_percent; /* of the fullest ring, at the last look */
	uint64_t stalls;       /* looks at which disk or compression were behind, and the rings had to wait */
};

/* The watermark to ask for, so that a ring is emptied in pieces that fill blocks. */
uint64_t drain_watermark_bytes(uint64_t ring_bytes);

struct drain;
/* wake is called, from its thread, when it failed or finished. */
int drain_create(struct drain **out, struct pipeline *pipeline, uint64_t flush_ms, void (*wake)(void *ctx),
		 void *wake_ctx, struct record_error *error);
/* Ends the thread, whatever is left in the rings, and closes them. */
void drain_destroy(struct drain *drain);

/* Main thread, at any time; takes the ring, even when it fails. */
int drain_add_ring(struct drain *drain, struct trap_ring *ring, struct record_error *error);
/* Trapping is off: take what is left, seal all blocks, end. */
void drain_finish(struct drain *drain);
bool drain_is_finished(const struct drain *drain);
/* 0, or why it ended by itself: a ring is broken. What came before is kept. */
int drain_error(const struct drain *drain, struct record_error *out);
void drain_get_stats(const struct drain *drain, struct drain_stats *out);

#endif
