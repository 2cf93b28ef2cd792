/* SPDX-License-Identifier: MIT */
#include "tape_leaf_ids.h"

#include <errno.h>

#include "tape_private.h"

/* 2 KiB, as much as a list of near ids takes. */
#define MAX_RUNS 128u
#define MIN_ROOM 4u

struct tape_id_run {
	uint64_t id; /* of the first page */
	uint16_t first;
	uint16_t step; /* 0 or 1; 0 in a run of one page */
};

void tape_leaf_ids_deinit(struct tape_leaf_ids *ids)
{
	free(ids->runs);
	free(ids->near);
	free(ids->list);
	*ids = (struct tape_leaf_ids){0};
}

static unsigned run_end(const struct tape_leaf_ids *ids, unsigned run)
{
	return run + 1 < ids->nr_runs ? ids->runs[run + 1].first : TAPE_LEAF_PAGES;
}

static unsigned find_run(const struct tape_leaf_ids *ids, unsigned index)
{
	unsigned low = 0, high = ids->nr_runs;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (ids->runs[middle].first <= index)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static uint64_t run_id(const struct tape_id_run *run, unsigned index)
{
	return run->step ? run->id + (index - run->first) : run->id;
}

/* ---- ids of 32 bits -------------------------------------------------- */

#define NEAR_NONE  UINT32_MAX
#define NEAR_ZERO  (UINT32_MAX - 1)
#define NEAR_BELOW (1u << 31)

static bool is_near(uint64_t id, uint64_t base)
{
	return id == TAPE_PAGE_NONE || id == TAPE_PAGE_ZERO || (id >= base && id - base < NEAR_ZERO);
}

static uint32_t to_near(uint64_t id, uint64_t base)
{
	return id == TAPE_PAGE_NONE ? NEAR_NONE : id == TAPE_PAGE_ZERO ? NEAR_ZERO : (uint32_t)(id - base);
}

static uint64_t from_near(uint32_t near, uint64_t base)
{
	return near == NEAR_NONE ? TAPE_PAGE_NONE : near == NEAR_ZERO ? TAPE_PAGE_ZERO : base + near;
}

uint64_t tape_leaf_ids_get(const struct tape_leaf_ids *ids, unsigned index)
{
	if (ids->near)
		return from_near(ids->near[index], ids->base);
	if (ids->list)
		return ids->list[index];
	return ids->nr_runs ? run_id(&ids->runs[find_run(ids, index)], index) : TAPE_PAGE_NONE;
}

/* Where a list of near ids could begin that is to hold this one, too; with room below, as ids come in any order. */
static uint64_t find_base(const struct tape_leaf_ids *ids, uint64_t id)
{
	uint64_t base = id;

	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++) {
		uint64_t other = tape_leaf_ids_get(ids, i);

		base = other < base ? other : base;
	}
	return base > NEAR_BELOW ? base - NEAR_BELOW : 0;
}

static bool all_near(const struct tape_leaf_ids *ids, uint64_t base)
{
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		if (!is_near(tape_leaf_ids_get(ids, i), base))
			return false;
	return true;
}

/* A list that can hold this id, too. */
static int make_list(struct tape_leaf_ids *ids, uint64_t id)
{
	struct tape_leaf_ids made = {.base = find_base(ids, id)};

	if (is_near(id, made.base) && all_near(ids, made.base))
		made.near = malloc(TAPE_LEAF_PAGES * sizeof(*made.near));
	else
		made.list = malloc(TAPE_LEAF_PAGES * sizeof(*made.list));
	if (!made.near && !made.list)
		return -ENOMEM;
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++) {
		uint64_t other = tape_leaf_ids_get(ids, i);

		if (made.near)
			made.near[i] = to_near(other, made.base);
		else
			made.list[i] = other;
	}
	tape_leaf_ids_deinit(ids);
	*ids = made;
	return 0;
}

static bool has_list(const struct tape_leaf_ids *ids)
{
	return ids->near || ids->list;
}

/* Room for two runs more. */
static int make_room(struct tape_leaf_ids *ids)
{
	unsigned room = ids->room * 2u > MIN_ROOM ? ids->room * 2u : MIN_ROOM;
	struct tape_id_run *runs;

	if (ids->nr_runs + 2u <= ids->room)
		return 0;
	runs = realloc(ids->runs, room * sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	if (!ids->nr_runs)
		runs[ids->nr_runs++] = (struct tape_id_run){.id = TAPE_PAGE_NONE};
	ids->runs = runs;
	ids->room = (uint16_t)room;
	return 0;
}

/* Does id, at the page behind the run's length pages, go on with it? *step: as the run's must be then. */
static bool goes_on(const struct tape_id_run *run, unsigned length, uint64_t id, uint16_t *step)
{
	bool rises = run->id < TAPE_PAGE_MAX && id == run->id + length;

	*step = rises;
	if (length == 1)
		return rises || id == run->id;
	return run->step ? rises : id == run->id;
}

static void insert_run(struct tape_leaf_ids *ids, unsigned at, struct tape_id_run run)
{
	memmove(&ids->runs[at + 1], &ids->runs[at], (ids->nr_runs - at) * sizeof(run));
	ids->runs[at] = run;
	ids->nr_runs++;
}

static void remove_run(struct tape_leaf_ids *ids, unsigned at)
{
	ids->nr_runs--;
	memmove(&ids->runs[at], &ids->runs[at + 1], (ids->nr_runs - at) * sizeof(*ids->runs));
}

/* Makes the page a run of its own; returns which. */
static unsigned cut_out(struct tape_leaf_ids *ids, unsigned index)
{
	unsigned at = find_run(ids, index), end = run_end(ids, at);
	struct tape_id_run run = ids->runs[at];

	if (end - index > 1)
		insert_run(ids, at + 1,
			   (struct tape_id_run){.id = run_id(&run, index + 1),
						.first = (uint16_t)(index + 1),
						.step = end - index > 2 ? run.step : 0});
	if (index > run.first) {
		if (index - run.first == 1)
			ids->runs[at].step = 0;
		insert_run(ids, ++at, (struct tape_id_run){.first = (uint16_t)index});
	}
	return at;
}

/* Joins a run with the one behind it, if they are one. */
static bool join(struct tape_leaf_ids *ids, unsigned at)
{
	unsigned length, next_length;
	uint16_t step;

	if (at + 1 >= ids->nr_runs)
		return false;
	length = ids->runs[at + 1].first - ids->runs[at].first;
	next_length = run_end(ids, at + 1) - ids->runs[at + 1].first;
	if (!goes_on(&ids->runs[at], length, ids->runs[at + 1].id, &step) ||
	    (next_length > 1 && ids->runs[at + 1].step != step))
		return false;
	ids->runs[at].step = step;
	remove_run(ids, at + 1);
	return true;
}

int tape_leaf_ids_set(struct tape_leaf_ids *ids, unsigned index, uint64_t id)
{
	unsigned at;

	if (tape_leaf_ids_get(ids, index) == id)
		return 0;
	if (ids->near && !is_near(id, ids->base) && make_list(ids, id))
		return -ENOMEM;
	if (!has_list(ids) && (ids->nr_runs + 2u > MAX_RUNS ? make_list(ids, id) : make_room(ids)))
		return -ENOMEM;
	if (ids->near) {
		ids->near[index] = to_near(id, ids->base);
		return 0;
	}
	if (ids->list) {
		ids->list[index] = id;
		return 0;
	}
	at = cut_out(ids, index);
	ids->runs[at].id = id;
	ids->runs[at].step = 0;
	join(ids, at);
	if (at)
		join(ids, at - 1);
	return 0;
}

size_t tape_leaf_ids_bytes(const struct tape_leaf_ids *ids)
{
	return ids->room * sizeof(*ids->runs) + (ids->near ? TAPE_LEAF_PAGES * sizeof(*ids->near) : 0) +
	       (ids->list ? TAPE_LEAF_PAGES * sizeof(*ids->list) : 0);
}

/* As runs, if they are few enough. */
static bool make_runs(struct tape_leaf_ids *ids)
{
	struct tape_leaf_ids made = {0};

	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++) {
		if (!tape_leaf_ids_set(&made, i, tape_leaf_ids_get(ids, i)) && !has_list(&made))
			continue;
		tape_leaf_ids_deinit(&made);
		return false;
	}
	tape_leaf_ids_deinit(ids);
	*ids = made;
	return true;
}

void tape_leaf_ids_pack(struct tape_leaf_ids *ids)
{
	struct tape_id_run *fit;

	if (has_list(ids) && !make_runs(ids) && ids->list)
		make_list(ids, TAPE_PAGE_NONE);
	fit = ids->nr_runs ? realloc(ids->runs, ids->nr_runs * sizeof(*fit)) : NULL;
	if (fit) {
		ids->runs = fit;
		ids->room = ids->nr_runs;
	}
}
