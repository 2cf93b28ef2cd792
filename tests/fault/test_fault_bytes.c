/* SPDX-License-Identifier: MIT */
/*
 * test_fault_bytes.c - small tapes damaged in every place (short: in many): bytes
 * flipped, pieces of each slot torn, cut at every length. verify finds each, and
 * all reading goes on around it. The one exception, by FORMAT.md: what lies
 * between a closed slot's index and its trailer, where nobody looks.
 */
#include "check.h"
#include "fault_rig.h"
#include "tape_private.h"
#include "tape_reading.h"

#define SECTOR_BYTES 512u

struct tape {
	uint8_t *bytes;
	size_t size_bytes;
	uint32_t slot_bytes;
	bool *unused;
	size_t nr_unused;
	struct tape_reading whole; /* what it has when nothing is wrong */
};

static void find_unused(struct tape *tape)
{
	uint64_t tag = tape_tag(tape->bytes + 32);

	for (size_t start = 0; start + tape->slot_bytes <= tape->size_bytes; start += tape->slot_bytes) {
		size_t trailer = start + tape->slot_bytes - TAPE_SLOT_TRAILER_BYTES, end;
		uint64_t slot_seq = get_le64(tape->bytes + trailer + 8);
		struct tape_chunk_header header;
		uint32_t index_offset;

		CHECK(tape_get_slot_trailer(tape->bytes + trailer, tag, slot_seq, &index_offset));
		CHECK(tape_get_chunk_header(tape->bytes + start + index_offset, &header));
		end = start + index_offset + tape_chunk_bytes(&header);
		memset(tape->unused + end, true, trailer - end);
		tape->nr_unused += trailer - end;
	}
}

static void load(struct tape *tape, unsigned index)
{
	*tape = (struct tape){0};
	tape->bytes = tape_reading_golden(index, &tape->size_bytes);
	tape->slot_bytes = get_le32(tape->bytes + 12);
	tape->unused = calloc(tape->size_bytes, sizeof(*tape->unused));
	CHECK(tape->unused);
	find_unused(tape);
	tape_reading_memory(&tape->whole, tape->bytes, tape->size_bytes);
	CHECK_INT(tape->whole.opened, 0);
	CHECK_INT(tape->whole.problems, 0);
	CHECK(tape->whole.records > 0 && tape->whole.pages > 0);
}

/* After damage from from to to: found, unless all of it is where nobody looks. */
static void check_damage(const struct tape *tape, size_t from, size_t to, const char *what, bool is_flip)
{
	struct tape_reading reading;
	bool is_used = false;

	for (size_t i = from; i < to; i++)
		is_used |= !tape->unused[i];
	tape_reading_memory(&reading, tape->bytes, tape->size_bytes);
	/* Slot 0 says the same as the file header. */
	if (is_flip)
		CHECK_INT(reading.opened, 0);
	if (reading.opened)
		return; /* both headers are gone: refused, and said so */
	if (is_used ? !reading.problems : reading.problems != 0) {
		fprintf(stderr, "%s, bytes %zu to %zu, %s: %" PRIu64 " problems\n", what, from, to,
			is_used ? "used" : "unused", reading.problems);
		CHECK(!"damage must be found, and nothing else");
	}
	/* A slot that stands in the place of another one is there twice. */
	if (is_flip)
		CHECK(reading.records <= tape->whole.records);
	if (!is_used)
		CHECK_INT(reading.records, tape->whole.records);
}

static uint64_t flip_all(struct tape *tape)
{
	uint64_t n = 0;
	/* unit.tape_fault flips a bit of each byte in each run, and looks less; short: some of them, others each time.
	 */
	size_t step = fault_is_long() ? 1 : 8, first = fault_below((unsigned)step);

	for (size_t offset = first; offset < tape->size_bytes; offset += step) {
		for (unsigned way = fault_is_long() ? 0 : fault_below(9); way < 9; way += fault_is_long() ? 1 : 9) {
			uint8_t mask = (uint8_t)(way < 8 ? 1u << way : 0xff);

			tape->bytes[offset] ^= mask;
			check_damage(tape, offset, offset + 1, "flipped", true);
			tape->bytes[offset] ^= mask;
			n++;
		}
	}
	return n;
}

/* A piece of a slot that never reached the disk: zeros, what stood there before, or noise. */
static uint64_t tear_all(struct tape *tape)
{
	uint8_t *old = malloc(tape->size_bytes);
	uint64_t n = 0;

	CHECK(old);
	memcpy(old, tape->bytes, tape->size_bytes);
	for (size_t from = 0; from < tape->size_bytes; from += SECTOR_BYTES) {
		for (size_t sectors = 1; from + (sectors - 1) * SECTOR_BYTES < tape->size_bytes; sectors *= 2) {
			size_t to = from + sectors * SECTOR_BYTES, differs = 0;

			if (to > tape->size_bytes)
				to = tape->size_bytes;
			for (unsigned way = 0; way < 3; way++) {
				bool used_differs = false;

				for (size_t i = from; i < to; i++) {
					/* the same place of the slot before, or of the next */
					size_t other = i >= tape->slot_bytes
							       ? i - tape->slot_bytes
							       : (i + tape->slot_bytes) % tape->size_bytes;

					tape->bytes[i] = way == 0 ? 0 : way == 1 ? old[other] : (uint8_t)random();
					differs += tape->bytes[i] != old[i];
					used_differs |= tape->bytes[i] != old[i] && !tape->unused[i];
				}
				if (used_differs) {
					check_damage(tape, from, to, "torn", false);
					n++;
				}
				memcpy(tape->bytes + from, old + from, to - from);
			}
			CHECK(differs || tape->unused[from]);
		}
	}
	free(old);
	return n;
}

/* Records are lost from the end only, and the less the longer it is. */
static uint64_t cut_all(const struct tape *tape)
{
	size_t step = fault_is_long() ? 1 : 29;
	uint64_t n = 0, before = 0;

	for (size_t size_bytes = 0; size_bytes < tape->size_bytes; size_bytes += step, n++) {
		struct tape_reading reading;

		tape_reading_memory(&reading, tape->bytes, size_bytes);
		CHECK_INT(reading.opened != 0, size_bytes < TAPE_FILE_HEADER_BYTES);
		if (reading.opened)
			continue;
		CHECK(reading.problems > 0);
		CHECK(reading.records >= before && reading.records <= tape->whole.records);
		before = reading.records;
	}
	CHECK(before > 0);
	return n;
}

int main(void)
{
	fault_seed();
	for (unsigned i = 0; i < NR_GOLDEN_TAPES; i++) {
		struct tape tape;
		uint64_t flips, tears, cuts;

		load(&tape, i);
		flips = flip_all(&tape);
		tears = tear_all(&tape);
		cuts = cut_all(&tape);
		printf("tape of %zu bytes, %zu of them where nobody looks: %" PRIu64 " flips, %" PRIu64
		       " tears, %" PRIu64 " cuts: each found\n",
		       tape.size_bytes, tape.nr_unused, flips, tears, cuts);
		free(tape.bytes);
		free(tape.unused);
	}
	return 0;
}
