/* SPDX-License-Identifier: MIT */
/* test_held_pages.c - pages that are held, against a model: the newest contents of each, in order, up to the limit. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "held_pages.h"

#define MAX_PAGES 5000u
#define NR_GFNS   20000u
#define RUN       50u

static char beside[200];

struct model {
	uint64_t stamp[NR_GFNS]; /* 0: not held */
	size_t nr;
};

static uint64_t gfn_of(unsigned i)
{
	return i < NR_GFNS / 2 ? i : (1ull << 38) + i * (uint64_t)(i % 7 ? 1 : 3);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A run of pages, as a round brings it; what finds no room is refused from there on. */
static void place_run(struct held_pages *held, struct model *model, unsigned first, unsigned count, uint64_t stamp)
{
	unsigned i = first;

	while (i < first + count) {
		uint32_t n = first + count - i;
		uint8_t *to = held_pages_place(held, i, &n);

		if (!to) {
			/* Full, and this one is not held. */
			CHECK_INT(model->nr, MAX_PAGES);
			CHECK(!model->stamp[i]);
			i++;
			continue;
		}
		CHECK(n >= 1 && n <= first + count - i);
		for (uint32_t k = 0; k < n; k++) {
			memset(to + (size_t)k * GUEST_PAGE_BYTES, (int)(stamp & 0xff), GUEST_PAGE_BYTES);
			memcpy(to + (size_t)k * GUEST_PAGE_BYTES, &stamp, sizeof(stamp));
			model->nr += !model->stamp[i + k];
			model->stamp[i + k] = stamp;
		}
		CHECK_INT(held_pages_placed(held), 0);
		i += n;
	}
}

static void check_all(struct held_pages *held, const struct model *model)
{
	const uint32_t *order = held_pages_sort(held);

	CHECK_INT(held->nr_pages, model->nr);
	for (size_t i = 0; i < held->nr_pages; i++) {
		uint64_t gfn = held->gfns[order[i]], stamp;
		uint8_t page[GUEST_PAGE_BYTES];

		CHECK(!i || held->gfns[order[i - 1]] < gfn);
		CHECK_INT(held_pages_read(held, &order[i], 1, page), 0);
		memcpy(&stamp, page, sizeof(stamp));
		CHECK(gfn < NR_GFNS);
		CHECK_INT(stamp, model->stamp[gfn]);
		CHECK_INT(page[GUEST_PAGE_BYTES - 1], stamp & 0xff);
	}
}

static void test_random(void)
{
	static struct model model;
	struct held_pages held;
	uint64_t state = 88172645463325252u, stamp = 0;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, beside), 0);
	held_pages_look(&held, MAX_PAGES, true);
	for (unsigned round = 0; round < 8; round++) {
		memset(&model, 0, sizeof(model));
		for (unsigned i = 0; i < 400; i++) {
			unsigned count = 1 + (unsigned)(random_next(&state) % (i % 5 ? 8 : 90));

			place_run(&held, &model, (unsigned)(random_next(&state) % (NR_GFNS - 100)), count, ++stamp);
			if (i % 100 == 99)
				check_all(&held, &model);
		}
		CHECK(round || model.nr > 4096);
		held_pages_clear(&held);
		CHECK_INT(held.nr_pages, 0);
	}
	held_pages_deinit(&held);
}

/* Far apart, as in a guest with holes in its memory. */
static void test_far(void)
{
	static uint8_t pages[RUN][GUEST_PAGE_BYTES];
	const uint32_t *order;
	struct held_pages held;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, beside), 0);
	held_pages_look(&held, MAX_PAGES, true);
	for (unsigned i = 0; i < MAX_PAGES; i++) {
		uint32_t n = 1;
		uint64_t gfn = gfn_of(i * 3);
		uint8_t *to = held_pages_place(&held, gfn, &n);

		CHECK(to);
		memcpy(to, &gfn, sizeof(gfn));
		CHECK_INT(held_pages_placed(&held), 0);
	}
	order = held_pages_sort(&held);
	CHECK_INT(held.nr_pages, MAX_PAGES);
	for (unsigned i = 0; i < MAX_PAGES; i += RUN) {
		CHECK_INT(held_pages_read(&held, &order[i], RUN, pages[0]), 0);
		for (unsigned k = 0; k < RUN; k++)
			CHECK(!memcmp(pages[k], &held.gfns[order[i + k]], sizeof(uint64_t)));
	}
	held_pages_deinit(&held);
}

static void test_none(void)
{
	struct held_pages held;
	uint32_t n = 3;

	CHECK_INT(held_pages_init(&held, 0, beside), 0);
	CHECK(!held_pages_place(&held, 1, &n));
	held_pages_sort(&held);
	held_pages_clear(&held);
	held_pages_deinit(&held);
	CHECK_INT(held_pages_init(&held, SIZE_MAX >> 14, beside), -ENOMEM);
	CHECK_INT(held.max_pages, 0);
}

/* No file: as many as memory holds. */
static void test_memory_only(const char *where)
{
	struct held_pages held;
	uint32_t n = 1;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, where), 0);
	held_pages_look(&held, MAX_PAGES, true);
	CHECK_INT(held.limit, HELD_MEMORY_PAGES);
	for (unsigned i = 0; i < HELD_MEMORY_PAGES; i++) {
		n = 1;
		CHECK(held_pages_place(&held, i, &n));
		CHECK_INT(held_pages_placed(&held), 0);
	}
	CHECK(!held_pages_place(&held, HELD_MEMORY_PAGES, &n));
	held_pages_deinit(&held);
}

static uint8_t *place_one(struct held_pages *held, uint64_t gfn)
{
	uint32_t n = 1;
	uint8_t *to = held_pages_place(held, gfn, &n);

	CHECK(to);
	memset(to, (int)gfn & 0xff, GUEST_PAGE_BYTES);
	return to;
}

static void fill(uint8_t *pages, uint64_t gfn, uint32_t nr_pages)
{
	for (uint32_t i = 0; i < nr_pages; i++)
		memset(pages + (size_t)i * GUEST_PAGE_BYTES, (int)(gfn + i) & 0xff, GUEST_PAGE_BYTES);
}

/* A run that ends early has entered no page behind its end, whose contents nobody fills. */
static void test_ends_run(void)
{
	struct held_pages held;
	uint32_t n = 1;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, NULL), 0);
	fill(held_pages_place(&held, 10, &n), 10, n);
	CHECK_INT(held_pages_placed(&held), 0);
	fill(held_pages_place(&held, 50, &n), 50, n);
	CHECK_INT(held_pages_placed(&held), 0);
	/* 10 is there, so that 11 would lie behind 50. */
	n = 3;
	fill(held_pages_place(&held, 10, &n), 10, 1);
	CHECK_INT(n, 1);
	CHECK_INT(held_pages_placed(&held), 0);
	CHECK_INT(held.nr_pages, 2);
	/* 8 and 9 lie together, 10 elsewhere. */
	n = 4;
	fill(held_pages_place(&held, 8, &n), 8, 2);
	CHECK_INT(n, 2);
	CHECK_INT(held_pages_placed(&held), 0);
	CHECK_INT(held.nr_pages, 4);
	held_pages_deinit(&held);
}

/* A file that was not looked for takes no page, as there is none, nor one that must not grow. */
static void test_no_look(void)
{
	struct held_pages held;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, beside), 0);
	held_pages_look(&held, 10, true);
	CHECK_INT(held.limit, HELD_MEMORY_PAGES);
	held_pages_look(&held, MAX_PAGES + 1, true);
	CHECK_INT(held.limit, HELD_MEMORY_PAGES);
	held_pages_look(&held, MAX_PAGES, true);
	CHECK_INT(held.limit, MAX_PAGES);
	CHECK(held.spill.fd >= 0);
	held_pages_look(&held, MAX_PAGES, false);
	CHECK_INT(held.limit, HELD_MEMORY_PAGES);
	held_pages_deinit(&held);
}

/* A full disk, then a file that does not give back what it was given. */
static void test_fault(void)
{
	struct rlimit old, limit;
	struct held_pages held;
	uint8_t page[GUEST_PAGE_BYTES];
	const uint32_t *order;
	uint8_t *to;

	CHECK_INT(held_pages_init(&held, MAX_PAGES, beside), 0);
	held_pages_look(&held, MAX_PAGES, true);
	CHECK_INT(held.limit, MAX_PAGES);
	for (unsigned i = 0; i < HELD_MEMORY_PAGES + 4; i++) {
		place_one(&held, i);
		CHECK_INT(held_pages_placed(&held), 0);
	}
	CHECK(!getrlimit(RLIMIT_FSIZE, &old));
	limit = (struct rlimit){.rlim_cur = 4 * GUEST_PAGE_BYTES, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	to = place_one(&held, HELD_MEMORY_PAGES + 4);
	CHECK_INT(held_pages_placed(&held), -EFBIG);
	CHECK_INT(to[0], (HELD_MEMORY_PAGES + 4) & 0xff);
	CHECK(!setrlimit(RLIMIT_FSIZE, &old));
	order = held_pages_sort(&held);
	CHECK(held.gfns[order[HELD_MEMORY_PAGES + 4]] == HELD_NO_GFN);
	CHECK_INT(held_pages_read(&held, &order[HELD_MEMORY_PAGES + 2], 1, page), 0);
	CHECK_INT(page[0], (HELD_MEMORY_PAGES + 2) & 0xff);

	CHECK(pwrite(held.spill.fd, "?", 1, 2 * GUEST_PAGE_BYTES + 17) == 1);
	CHECK_INT(held_pages_read(&held, &order[HELD_MEMORY_PAGES + 2], 1, page), -EIO);
	CHECK_INT(held_pages_read(&held, &order[HELD_MEMORY_PAGES + 3], 1, page), 0);
	CHECK(!ftruncate(held.spill.fd, GUEST_PAGE_BYTES));
	CHECK_INT(held_pages_read(&held, &order[HELD_MEMORY_PAGES + 3], 1, page), -EIO);
	held_pages_deinit(&held);
}

int main(void)
{
	char folder[] = "/tmp/vmtape-held.XXXXXX";

	CHECK(mkdtemp(folder));
	snprintf(beside, sizeof(beside), "%s/tape", folder);
	test_random();
	test_far();
	test_none();
	test_memory_only(NULL);
	test_memory_only("/proc/none/tape");
	test_ends_run();
	test_no_look();
	test_fault();
	/* Nothing stayed behind. */
	CHECK(!rmdir(folder));
	return 0;
}
