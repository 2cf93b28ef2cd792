/* SPDX-License-Identifier: MIT */
#include "tape_leaf_ids.h"

#include <errno.h>

#include "tape_private.h"

/* 2 KiB, half of what the list takes. */
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

uint64_t tape_leaf_ids_get(const struct tape_leaf_ids *ids, unsigned index)
{
	if (ids->list)
		return ids->list[index];
	return ids->nr_runs ? run_id(&ids->runs[find_run(ids, index)], index) : TAPE_PAGE_NONE;
}

static int make_list(struct tape_leaf_ids *ids)
{
	uint64_t *list = malloc(TAPE_LEAF_PAGES * sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		list[i] = tape_leaf_ids_get(ids, i);
	tape_leaf_ids_deinit(ids);
	ids->list = list;
	return 0;
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
	if (!ids->list && (ids->nr_runs + 2u > MAX_RUNS ? make_list(ids) : make_room(ids)))
		return -ENOMEM;
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

void tape_leaf_ids_pack(struct tape_leaf_ids *ids)
{
	struct tape_leaf_ids packed = {0};
	struct tape_id_run *fit;

	for (unsigned i = 0; i < TAPE_LEAF_PAGES && ids->list; i++) {
		if (!tape_leaf_ids_set(&packed, i, ids->list[i]) && !packed.list)
			continue;
		tape_leaf_ids_deinit(&packed);
		return;
	}
	if (ids->list) {
		tape_leaf_ids_deinit(ids);
		*ids = packed;
	}
	fit = ids->nr_runs ? realloc(ids->runs, ids->nr_runs * sizeof(*fit)) : NULL;
	if (fit) {
		ids->runs = fit;
		ids->room = ids->nr_runs;
	}
}
