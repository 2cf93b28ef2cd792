/* SPDX-License-Identifier: MIT */
/* test_u64_map.c - the hash map against a plain array, with many removals; and the latency buckets. */
#include "check.h"
#include "histogram.h"
#include "u64_map.h"

#define KEYS 5000

static uint64_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 20;
}

static void test_map(void)
{
	static uint64_t model[KEYS]; /* value + 1; 0: absent */
	struct u64_map map = {0};
	uint64_t state = 1, value;
	size_t count = 0;

	CHECK(!u64_map_get(&map, 0, &value) && !u64_map_remove(&map, 0));
	for (int i = 0; i < 400000; i++) {
		uint64_t index = random_next(&state) % KEYS, key = index << 12 | 0xffff888000000000ull * (index & 1);

		if (random_next(&state) % 3) {
			CHECK(u64_map_set(&map, key, (uint64_t)i));
			count += !model[index];
			model[index] = (uint64_t)i + 1;
		} else {
			CHECK_INT(u64_map_remove(&map, key), model[index] != 0);
			count -= model[index] != 0;
			model[index] = 0;
		}
		CHECK_INT(map.count, count);
		index = random_next(&state) % KEYS;
		key = index << 12 | 0xffff888000000000ull * (index & 1);
		CHECK_INT(u64_map_get(&map, key, &value), model[index] != 0);
		CHECK(!model[index] || value == model[index] - 1);
	}
	u64_map_clear(&map);
	CHECK(!u64_map_get(&map, 0, NULL));
	u64_map_deinit(&map);
}

static void test_histogram(void)
{
	struct histogram h = {0};
	struct histogram one = {0};

	CHECK_INT(histogram_percentile(&h, 0.5), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		histogram_add(&h, i);
	CHECK_INT(h.count, 100000);
	CHECK_INT(h.max, 100000);
	for (int percent = 1; percent < 100; percent++) {
		double exact = percent * 1000.0, got = (double)histogram_percentile(&h, percent / 100.0);

		CHECK(got <= exact + 1 && got >= exact * 15 / 16 - 1);
	}
	histogram_add(&one, UINT64_MAX);
	histogram_add(&one, UINT64_MAX);
	CHECK(one.total == UINT64_MAX && histogram_percentile(&one, 0.99) >= UINT64_MAX / 16 * 15);
}

int main(void)
{
	test_map();
	test_histogram();
	return 0;
}
