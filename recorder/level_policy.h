/* SPDX-License-Identifier: MIT */
/*
 * level_policy.h - which level the next block gets, from what waits where.
 * Falling behind costs level at once, down to prediction alone; level comes back
 * step by step, and only while there is time to spare. No clock, no threads.
 */
#ifndef LEVEL_POLICY_H
#define LEVEL_POLICY_H

#include <limits.h>

#include "tape.h"

#define LEVEL_AUTO   INT_MIN              /* as an option: leave it to the policy */
#define LEVEL_STORED TAPE_LEVEL_PREDICTED /* predicted, not compressed */
#define LEVEL_HIGH   3                    /* the highest that the policy takes */

/* In percent of what there is room for. */
struct level_load {
	unsigned waiting;   /* blocks that wait for a compression thread */
	unsigned ring;      /* the fullest ring */
	unsigned unwritten; /* compressed chunks that wait for the disk */
	unsigned busy;      /* of the compression threads' recent time */
};

struct level_policy {
	unsigned step; /* on the ladder; 0 is the highest level */
	unsigned calm; /* blocks in a row that left time to spare */
};

void level_policy_init(struct level_policy *policy);
int level_policy_next(struct level_policy *policy, const struct level_load *load);

#endif
