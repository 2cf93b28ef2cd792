/* SPDX-License-Identifier: MIT */
/* record_progress.h - the live line on a terminal, and the summary at the end. Main thread. */
#ifndef RECORD_PROGRESS_H
#define RECORD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "drain.h"
#include "tape_thread.h"

struct record_progress {
	struct tape_thread *tape;
	struct drain *drain; /* NULL: not yet, or no more; then final_drain holds */
	struct drain_stats final_drain;
	uint64_t started_ns;
	uint64_t last_ns;
	uint64_t last_events;
	bool is_terminal;
	const char *producer; /* what traps, for people; static */
};

void record_progress_init(struct record_progress *progress, struct tape_thread *tape, struct drain *drain,
			  const char *producer);
/* ctx is a struct record_progress. */
void record_progress_tick(void *ctx);
/* Of the rings, while they are there and after. */
struct drain_stats record_progress_rings(const struct record_progress *progress);
/* Records that nobody will see again: the gaps' sum, or more when the end of a ring was lost. */
uint64_t record_progress_lost(const struct record_progress *progress);
void record_progress_summary(const struct record_progress *progress, const char *path, const char *reason);

#endif
