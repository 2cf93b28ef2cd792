/* SPDX-License-Identifier: MIT */
/* test_leaf_ids.c - page ids of 512 pages against a plain list: any order, runs that join and part, and few runs stay
 * few. */
#include <errno.h>

#include "check.h"
#include "tape_fixture.h"
#include "tape_leaf_ids.h"

static void check_all(const struct tape_leaf_ids *ids, const uint64_t *model)
{
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		CHECK(tape_leaf_ids_get(ids, i) == model[i]);
}

static void forget(struct tape_leaf_ids *ids, uint64_t *model)
{
	tape_leaf_ids_deinit(ids);
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		model[i] = TAPE_PAGE_NONE;
}

static void set(struct tape_leaf_ids *ids, uint64_t *model, unsigned index, uint64_t id)
{
	CHECK_INT(tape_leaf_ids_set(ids, index, id), 0);
	model[index] = id;
}

/* Many ids that go on with others, zeros and none; the highest id, behind which nothing may be counted on. */
static uint64_t random_id(uint64_t *state, const uint64_t *model, unsigned index)
{
	uint64_t number = fixture_random(state);

	switch (number % 8) {
	case 0:
		return TAPE_PAGE_NONE;
	case 1:
		return TAPE_PAGE_ZERO;
	case 2:
		return TAPE_PAGE_MAX - 1;
	case 3:
		return index && model[index - 1] < TAPE_PAGE_MAX - 1 ? model[index - 1] + 1 : 5;
	case 4:
		return index < TAPE_LEAF_PAGES - 1 ? model[index + 1] : 6;
	case 5:
		return 1000 + index;
	default:
		return number >> 8 & 3;
	}
}

static void test_random(void)
{
	struct tape_leaf_ids ids = {0};
	uint64_t model[TAPE_LEAF_PAGES], state = 5;

	for (unsigned life = 0; life < 60; life++) {
		forget(&ids, model);
		for (unsigned i = 0; i < 100 + life * 20; i++) {
			unsigned from = (unsigned)(fixture_random(&state) % TAPE_LEAF_PAGES);
			unsigned count = 1 + (unsigned)(fixture_random(&state) % (i % 7 ? 2 : 100));

			for (unsigned k = from; k < from + count && k < TAPE_LEAF_PAGES; k++)
				set(&ids, model, k, count > 2 ? 1000 + k : random_id(&state, model, k));
			if (i % 10 == 0)
				check_all(&ids, model);
			if (i % 50 == 49)
				tape_leaf_ids_pack(&ids);
		}
		check_all(&ids, model);
	}
	tape_leaf_ids_deinit(&ids);
}

/* What most memory is like takes a few runs, and does so again after it was a list. */
static void test_small(void)
{
	struct tape_leaf_ids ids = {0};
	uint64_t model[TAPE_LEAF_PAGES];

	forget(&ids, model);
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
		set(&ids, model, i, i < 300 ? TAPE_PAGE_ZERO : 7000 + i);
	CHECK_INT(ids.nr_runs, 2);
	for (unsigned i = 0; i < TAPE_LEAF_PAGES; i += 2)
		set(&ids, model, i, 3 * i);
	CHECK(ids.near);
	check_all(&ids, model);
	tape_leaf_ids_pack(&ids);
	CHECK(ids.near);
	for (unsigned i = TAPE_LEAF_PAGES; i--;)
		set(&ids, model, i, 90 + i);
	tape_leaf_ids_pack(&ids);
	CHECK_INT(ids.nr_runs, 1);
	check_all(&ids, model);
	for (unsigned i = TAPE_LEAF_PAGES; i--;)
		set(&ids, model, i, TAPE_PAGE_NONE);
	CHECK_INT(ids.nr_runs, 1);
	check_all(&ids, model);
	tape_leaf_ids_deinit(&ids);
}

/* Ids within 2^32 take half of what others do, whichever come first. */
static void test_near(void)
{
	static const uint64_t bases[] = {0, 5, (1ull << 31) + 7, 1ull << 40, TAPE_PAGE_MAX - (1ull << 33)};
	struct tape_leaf_ids ids = {0};
	uint64_t model[TAPE_LEAF_PAGES], first;

	for (unsigned k = 0; k < sizeof(bases) / sizeof(bases[0]); k++) {
		forget(&ids, model);
		for (unsigned i = 0; i < TAPE_LEAF_PAGES; i++)
			set(&ids, model, i,
			    i % 7 == 0   ? TAPE_PAGE_ZERO
			    : i % 7 == 1 ? TAPE_PAGE_NONE
					 : bases[k] + 3 * ((i * 77u) % TAPE_LEAF_PAGES));
		CHECK(ids.near);
		check_all(&ids, model);
		/* up to the last that it can tell from none and zero */
		first = ids.base;
		set(&ids, model, 9, first + UINT32_MAX - 2);
		CHECK(ids.near);
		check_all(&ids, model);
		set(&ids, model, 9, first + UINT32_MAX - 1);
		CHECK(ids.list);
		check_all(&ids, model);
		tape_leaf_ids_pack(&ids);
		check_all(&ids, model);
		set(&ids, model, 9, bases[k] + (1ull << 33) - 1);
		CHECK(ids.list);
		set(&ids, model, 10, TAPE_PAGE_LOST);
		check_all(&ids, model);
		tape_leaf_ids_pack(&ids);
		CHECK(ids.list);
		set(&ids, model, 9, bases[k] + 1);
		set(&ids, model, 10, bases[k] + 2);
		tape_leaf_ids_pack(&ids);
		CHECK(ids.near);
		check_all(&ids, model);
		/* below all that there are */
		if (bases[k]) {
			set(&ids, model, 11, bases[k] - 1);
			CHECK(ids.near);
			set(&ids, model, 11, 0);
			CHECK(bases[k] < UINT32_MAX ? ids.near != NULL : ids.list != NULL);
		}
		check_all(&ids, model);
	}
	tape_leaf_ids_deinit(&ids);
}

int main(void)
{
	test_random();
	test_small();
	test_near();
	return 0;
}
