/* SPDX-License-Identifier: MIT */
/*
 * page_order_check.c - proves that each snapshot of a tape is memory at one moment.
 *
 *   page_order_check TAPE TAG PAGES [--mix]
 *
 * page_writer.c wrote PAGES pages in a known order, over and over. In memory of one moment, those up to some position
 * hold one generation and the others that before; a page that was copied too early or too late breaks the order.
 * --mix puts a page in a hundred from the next snapshot into each, as late copying would: all must be found out then.
 * Exit status: 0 all snapshots are of one moment (--mix: none), 1 not so, 2 the tape cannot be read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "tape.h"

struct place {
	uint64_t gfn, position;
};

struct state {
	struct tape_reader *reader;
	uint64_t tag;
	struct place *places; /* by position */
	uint64_t nr_places;
};

static uint64_t word(const uint8_t *page, unsigned index)
{
	return get_le64(page + index * 8);
}

static void die(const char *what)
{
	fprintf(stderr, "page_order_check: %s\n", what);
	exit(2);
}

/* Pages with the tag, as snapshot 0 has them. */
static void find_places(struct state *state)
{
	const struct tape_snapshot_info *info = &tape_reader_snapshot(state->reader, 0)->info;
	uint8_t page[TAPE_PAGE_BYTES];

	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		uint64_t first = info->ranges[i].gpa / TAPE_PAGE_BYTES;

		for (uint64_t gfn = first; gfn < first + info->ranges[i].size_bytes / TAPE_PAGE_BYTES; gfn++) {
			struct place *place;

			if (tape_reader_page(state->reader, 0, gfn, page, NULL) || word(page, 0) != state->tag)
				continue;
			if (word(page, 1) >= state->nr_places)
				die("a page has a position behind the last");
			place = &state->places[word(page, 1)];
			if (place->gfn)
				die("a position is there twice");
			*place = (struct place){.gfn = gfn, .position = word(page, 1)};
		}
	}
	for (uint64_t i = 0; i < state->nr_places; i++)
		if (!state->places[i].gfn)
			die("not all of the pages are in the first snapshot");
}

/* True: in order. */
static bool check_snapshot(struct state *state, uint32_t index, bool mix)
{
	uint64_t newest = 0, split = 0, nr_wrong = 0, nr_changes = 0, last = 0;
	uint8_t page[TAPE_PAGE_BYTES];
	bool torn = false;

	for (uint64_t i = 0; i < state->nr_places; i++) {
		const struct place *place = &state->places[i];
		uint32_t from = mix && i % 100 == 50 ? index + 1 : index;
		uint64_t head, tail;

		if (tape_reader_page(state->reader, from, place->gfn, page, NULL))
			die("a page cannot be read");
		if (word(page, 0) != state->tag || word(page, 1) != place->position)
			die("the pages have moved");
		head = word(page, 2);
		tail = word(page, TAPE_PAGE_BYTES / 8 - 1);
		if (!i)
			newest = head;
		if (i && head != last) {
			nr_changes++;
			split = i;
		}
		last = head;
		/* The one page that was being written, the last of the newest, has its generation only at its
		 * beginning. */
		nr_wrong += head > newest || head + 1 < newest || (torn && head == newest);
		torn = tail != head;
		nr_wrong += torn && (tail + 1 != head || head != newest);
	}
	printf("snapshot %" PRIu32 ": %" PRIu64 " pages, generation %" PRIu64 " up to position %" PRIu64 "%s\n", index,
	       state->nr_places, newest, nr_changes ? split : state->nr_places,
	       nr_wrong || nr_changes > 1 ? ": NOT OF ONE MOMENT" : "");
	return !nr_wrong && nr_changes <= 1;
}

int main(int argc, char **argv)
{
	bool mix = argc > 4 && !strcmp(argv[4], "--mix");
	struct tape_error error = {0};
	struct state state = {0};
	uint32_t nr_snapshots, nr_good = 0;

	if (argc < 4)
		die("usage: page_order_check TAPE TAG PAGES [--mix]");
	state.tag = strtoull(argv[2], NULL, 0);
	state.nr_places = strtoull(argv[3], NULL, 0);
	state.places = calloc(state.nr_places + 1, sizeof(*state.places));
	if (!state.places)
		die("out of memory");
	if (tape_reader_open(&state.reader, argv[1], &error))
		die(error.message);
	nr_snapshots = tape_reader_info(state.reader)->nr_snapshots;
	if (nr_snapshots < 2)
		die("the tape has fewer than two snapshots");
	find_places(&state);
	nr_snapshots -= mix;
	for (uint32_t i = 0; i < nr_snapshots; i++)
		nr_good += check_snapshot(&state, i, mix);
	tape_reader_close(state.reader);
	free(state.places);
	return nr_good == (mix ? 0 : nr_snapshots) ? 0 : 1;
}
