/* SPDX-License-Identifier: MIT */
#include "level_policy.h"

#include <stdbool.h>

#define LEVEL_1     1  /* its step */
#define CALM_BLOCKS 8  /* in a row, before one step up */
#define SPARE_BUSY  12 /* level 3 takes about twice the time of level 1, which must stay below TIRED_BUSY */
#define TIRED_BUSY  40 /* above, nothing but level 1 or faster */
#define DISK_BEHIND 50
#define RING_BEHIND 50 /* a ring is emptied from an eighth on, so less than this is ordinary */
#define SLACK       10 /* so that a load at the edge does not change the level with each block */

/*
 * A step, and the pressure from which on it, or a faster one, is taken. Level 2 takes more time than 3 and saves less;
 * -2 and -4 are not worth a step.
 */
static const struct {
	int level;
	unsigned pressure;
} ladder[] = {
	{LEVEL_HIGH, 0}, {1, 0}, {-1, 25}, {-3, 40}, {-5, 55}, {LEVEL_STORED, 75},
};
#define STEPS (sizeof(ladder) / sizeof(ladder[0]))

void level_policy_init(struct level_policy *policy)
{
	*policy = (struct level_policy){.step = LEVEL_1};
}

static unsigned forced_step(unsigned pressure)
{
	unsigned step = LEVEL_1;

	while (step + 1 < STEPS && pressure >= ladder[step + 1].pressure)
		step++;
	return step;
}

int level_policy_next(struct level_policy *policy, const struct level_load *load)
{
	bool disk_behind = load->unwritten >= DISK_BEHIND;
	unsigned pressure = load->waiting;
	bool may_rise;

	/*
	 * Rings fill up, too, when the disk is behind and there are no blocks to empty them into: faster levels, with
	 * their longer chunks, would make that worse.
	 */
	if (!disk_behind && load->ring >= RING_BEHIND && load->ring > pressure)
		pressure = load->ring;
	if (policy->step < forced_step(pressure) &&
	    (forced_step(pressure) > LEVEL_1 || (load->busy >= TIRED_BUSY && !disk_behind))) {
		policy->step = forced_step(pressure);
		policy->calm = 0;
		return ladder[policy->step].level;
	}
	if (policy->step > LEVEL_1)
		may_rise = pressure + SLACK < ladder[policy->step].pressure;
	else
		may_rise = policy->step > 0 && pressure + SLACK < ladder[LEVEL_1 + 1].pressure &&
			   (load->busy < SPARE_BUSY || disk_behind);
	policy->calm = may_rise ? policy->calm + 1 : 0;
	if (policy->calm >= CALM_BLOCKS) {
		policy->step--;
		policy->calm = 0;
	}
	return ladder[policy->step].level;
}
