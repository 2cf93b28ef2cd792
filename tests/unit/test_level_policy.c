/* SPDX-License-Identifier: MIT */
/* test_level_policy.c - levels fall at once when compression is behind, come back slowly, and follow the disk. */
#include "check.h"
#include "level_policy.h"

/* How hard it presses; stored is the least. */
static int rank(int level)
{
	return level == LEVEL_STORED ? -100 : level;
}

static int last_of(struct level_policy *policy, const struct level_load *load, unsigned nr_blocks)
{
	int level = 0;

	while (nr_blocks--)
		level = level_policy_next(policy, load);
	return level;
}

static void test_quiet(void)
{
	struct level_policy policy;
	unsigned rises = 0;
	int level, last;

	level_policy_init(&policy);
	last = level_policy_next(&policy, &(struct level_load){.busy = 5});
	CHECK_INT(last, 1);
	for (unsigned i = 0; i < 100; i++) {
		level = level_policy_next(&policy, &(struct level_load){.busy = 5});
		CHECK(level >= last);
		rises += level != last;
		last = level;
	}
	CHECK_INT(last, LEVEL_HIGH);
	CHECK_INT(rises, 1);
	/* what doubled its time by rising stays there */
	CHECK_INT(last_of(&policy, &(struct level_load){.busy = 30}, 100), LEVEL_HIGH);
	CHECK_INT(last_of(&policy, &(struct level_load){.busy = 60}, 1), 1);
	CHECK_INT(last_of(&policy, &(struct level_load){.busy = 60}, 100), 1);
}

static void test_pressure(void)
{
	int last = 100;

	for (unsigned waiting = 0; waiting <= 100; waiting++) {
		struct level_load load = {.waiting = waiting, .busy = 100, .ring = 12};
		struct level_policy policy;
		int level;

		/* the first block already gets it */
		level_policy_init(&policy);
		level = level_policy_next(&policy, &load);
		CHECK(rank(level) <= rank(last));
		CHECK(waiting >= 25 || level == 1);
		CHECK(waiting < 25 || rank(level) < 0);
		CHECK(waiting < 75 || level == LEVEL_STORED);
		/* and keeps it as long as the load is the same */
		CHECK_INT(last_of(&policy, &load, 50), level);
		/* a full ring presses as much, half-full is ordinary */
		level_policy_init(&policy);
		load = (struct level_load){.ring = waiting, .busy = 100};
		CHECK_INT(level_policy_next(&policy, &load), waiting < 50 ? 1 : level);
		last = level;
	}
}

/* It comes back a step at a time, each after a while of calm. */
static void test_recovery(void)
{
	struct level_policy policy;
	unsigned blocks = 0;
	int level, last;

	level_policy_init(&policy);
	last = level_policy_next(&policy, &(struct level_load){.waiting = 90, .busy = 100});
	CHECK_INT(last, LEVEL_STORED);
	while (last != 1) {
		level = level_policy_next(&policy, &(struct level_load){.waiting = 5, .busy = 70});
		CHECK(rank(level) >= rank(last));
		last = level;
		CHECK(++blocks < 100);
	}
	CHECK(blocks >= 20);
	/* 70 per cent busy: no more than that */
	CHECK_INT(last_of(&policy, &(struct level_load){.waiting = 5, .busy = 70}, 100), 1);
}

/* A slow disk fills up everything; only better compression helps. */
static void test_disk(void)
{
	struct level_load load = {.unwritten = 80, .ring = 100, .busy = 60};
	struct level_policy policy;

	level_policy_init(&policy);
	CHECK_INT(level_policy_next(&policy, &load), 1);
	CHECK_INT(last_of(&policy, &load, 50), LEVEL_HIGH);
	/* unless compression is behind as well */
	load.waiting = 60;
	CHECK_INT(level_policy_next(&policy, &load), -5);
}

/* At the edge of two levels it does not go to and fro with each block. */
static void test_edge(void)
{
	struct level_policy policy;
	unsigned changes = 0;
	int last = 0;

	level_policy_init(&policy);
	for (unsigned i = 0; i < 1000; i++) {
		int level = level_policy_next(&policy, &(struct level_load){.waiting = 37 + i % 6, .busy = 100});

		changes += level != last;
		last = level;
	}
	CHECK(changes <= 3);
}

int main(void)
{
	test_quiet();
	test_pressure();
	test_recovery();
	test_disk();
	test_edge();
	return 0;
}
