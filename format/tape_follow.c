/* SPDX-License-Identifier: MIT */
/*
 * tape_follow.c - takes in what a recorder has added to a tape since it was
 * opened. A slot is read on from its last chunk until the next slot's header is
 * there. What a ring has overwritten, and what was read and is not needed any
 * more, is forgotten, so that following for days takes no more memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "tape_read.h"

#define KEPT_GONE 256 /* chunks that are gone; with more, and half of all, the lists are made anew */

/* ---- slots ----------------------------------------------------------- */

static uint64_t start_of(const struct tape_reader *reader, uint64_t seq)
{
	uint32_t nr_places = reader->identity.nr_places;

	return (nr_places ? seq % nr_places : seq) * reader->identity.slot_bytes;
}

/* Number of the slot whose header is where this one's will be: 1, 0 if there is none, or a negative errno. */
static int look_for(struct tape_reader *reader, uint64_t seq, uint64_t *found)
{
	struct tape_slot_header header;
	int result = tape_scan_header(reader, start_of(reader, seq), &header);

	if (result <= 0)
		return result == -ENODATA ? 0 : result;
	*found = header.seq;
	return result;
}

/* The last slot that is known is complete. What is missing of it is damage. */
static int end_slot(struct tape_reader *reader)
{
	struct tape_slot *last = &reader->slots[reader->nr_slots - 1];
	int result = tape_scan_on(reader, reader->nr_slots - 1, false);

	last->closed = last->closed || last->index_chunk != SIZE_MAX;
	return result;
}

/* The next one, if it is still there: in a ring its place may just be taken by another. */
static int add_slot(struct tape_reader *reader, uint64_t seq, bool growing)
{
	size_t nr_slots = reader->nr_slots;
	int result;

	if (start_of(reader, seq) >= reader->source.size_bytes)
		return 0;
	result = tape_scan_slot(reader, start_of(reader, seq), seq, growing);
	if (result || reader->slots[nr_slots].seq == seq)
		return result;
	reader->nr_chunks = reader->slots[nr_slots].first_chunk;
	reader->nr_slots = nr_slots;
	return 0;
}

/* The recorder was all around the ring meanwhile. */
static int go_around(struct tape_reader *reader, struct tape_error *error)
{
	uint32_t nr_places = reader->identity.nr_places;
	uint64_t newest;
	int result = tape_scan_newest(reader, &newest, error);

	if (result <= 0)
		return result;
	reader->was_overtaken = true;
	result = 0;
	for (uint64_t seq = newest + 1 - nr_places; seq <= newest && !result; seq++)
		result = add_slot(reader, seq, seq == newest);
	return result;
}

static int scan_more(struct tape_reader *reader, struct tape_error *error)
{
	/* One that was not even begun when it was looked at. */
	while (reader->nr_slots && !reader->slots[reader->nr_slots - 1].has_header &&
	       !reader->slots[reader->nr_slots - 1].nr_chunks)
		reader->nr_slots--;
	if (!reader->nr_slots) {
		int result = add_slot(reader, 0, true);

		if (result || !reader->nr_slots)
			return result;
	}
	for (;;) {
		uint64_t next = reader->slots[reader->nr_slots - 1].seq + 1, found = 0;
		int result = tape_scan_on(reader, reader->nr_slots - 1, true);

		if (result >= 0)
			result = look_for(reader, next, &found);
		if (result > 0 && found > next)
			return go_around(reader, error);
		/* Is only its header damaged? */
		if (result >= 0 && found != next) {
			result = look_for(reader, next + 1, &found);
			found = result > 0 && found == next + 1 ? next : 0;
		}
		if (result < 0 || found != next)
			return result < 0 ? result : 0;
		result = end_slot(reader);
		if (!result)
			result = add_slot(reader, next, true);
		if (result || reader->slots[reader->nr_slots - 1].seq != next)
			return result;
	}
}

/* ---- what is gone ---------------------------------------------------- */

static bool is_overwritten(const struct tape_reader *reader, const struct tape_slot *slot, uint64_t newest)
{
	return reader->identity.nr_places && slot->seq + reader->identity.nr_places <= newest;
}

/* Their places have younger slots. */
static void leave_overwritten(struct tape_reader *reader)
{
	uint64_t newest = reader->nr_slots ? reader->slots[reader->nr_slots - 1].seq : 0;

	for (size_t i = 0; i < reader->nr_slots && is_overwritten(reader, &reader->slots[i], newest); i++)
		for (size_t j = 0; j < reader->slots[i].nr_chunks; j++) {
			struct tape_stored_chunk *chunk = &reader->chunks[reader->slots[i].first_chunk + j];

			reader->nr_gone += !chunk->gone;
			chunk->gone = chunk->bad = true;
		}
	if (reader->identity.nr_places && newest >= reader->identity.nr_places)
		reader->info.nr_overwritten = newest + 1 - reader->identity.nr_places;
}

static void keep_listed(size_t *list, size_t *nr, const size_t *moved)
{
	size_t kept = 0;

	for (size_t i = 0; i < *nr; i++)
		if (moved[list[i]] != SIZE_MAX)
			list[kept++] = moved[list[i]];
	*nr = kept;
}

static void keep_plans(struct tape_reader *reader, const size_t *moved)
{
	size_t kept = 0;

	for (size_t i = 0; i < reader->nr_plans; i++) {
		struct tape_cached_plan plan = reader->plans[i];

		if (moved[plan.chunk] == SIZE_MAX) {
			free(plan.data);
			continue;
		}
		plan.chunk = moved[plan.chunk];
		reader->plans[kept++] = plan;
	}
	reader->nr_plans = kept;
	reader->info.nr_plans = (uint32_t)kept;
}

/* New places of the chunks that stay, in moved; SIZE_MAX: it goes. */
static void move_chunks(struct tape_reader *reader, size_t *moved)
{
	uint64_t newest = reader->slots[reader->nr_slots - 1].seq;
	size_t nr = 0, nr_slots = 0;

	for (size_t i = 0; i < reader->nr_slots; i++) {
		struct tape_slot slot = reader->slots[i];
		size_t first = slot.first_chunk, count = slot.nr_chunks, index = slot.index_chunk;

		slot.first_chunk = nr;
		slot.nr_chunks = 0;
		slot.index_chunk = SIZE_MAX;
		for (size_t j = first; j < first + count; j++) {
			struct tape_stored_chunk chunk = reader->chunks[j];

			moved[j] = SIZE_MAX;
			if (chunk.gone && !chunk.held)
				continue;
			if (j == index)
				slot.index_chunk = nr;
			chunk.slot = (uint32_t)nr_slots;
			slot.nr_chunks++;
			moved[j] = nr;
			reader->chunks[nr++] = chunk;
		}
		if (slot.nr_chunks || !is_overwritten(reader, &slot, newest))
			reader->slots[nr_slots++] = slot;
	}
	reader->nr_chunks = nr;
	reader->nr_slots = nr_slots;
}

static int forget_gone(struct tape_reader *reader)
{
	size_t *moved;

	if (!reader->nr_slots || reader->nr_gone < KEPT_GONE || reader->nr_gone < reader->nr_chunks / 2)
		return 0;
	moved = reallocarray(NULL, reader->nr_chunks, sizeof(*moved));
	if (!moved)
		return -ENOMEM;
	move_chunks(reader, moved);
	keep_listed(reader->traps, &reader->nr_traps, moved);
	keep_listed(reader->carried, &reader->nr_carried, moved);
	keep_listed(reader->page_chunks, &reader->nr_page_chunks, moved);
	keep_listed(reader->maps, &reader->nr_maps, moved);
	keep_plans(reader, moved);
	free(moved);
	for (unsigned i = 0; i < TAPE_PAGE_CACHE; i++) {
		free(reader->cache[i].data);
		reader->cache[i] = (struct tape_cached_pages){0};
	}
	tape_extents_deinit(&reader->page_index);
	reader->page_index_built = false;
	reader->nr_gone = 0;
	for (size_t i = 0; i < reader->nr_chunks; i++)
		reader->nr_gone += reader->chunks[i].gone;
	return 0;
}

/* ---- refresh --------------------------------------------------------- */

static int measure(struct tape_reader *reader, struct tape_error *error)
{
	struct tape_source *source = &reader->source;
	uint8_t bytes[TAPE_FILE_HEADER_BYTES];
	struct tape_identity identity;
	struct stat status;
	bool intact = false;

	if (source->fd < 0)
		return 0;
	if (fstat(source->fd, &status))
		return tape_fail(error, -errno, TAPE_NO_OFFSET, "the tape cannot be looked at: %s", strerror(errno));
	if ((uint64_t)status.st_size < source->size_bytes)
		return tape_fail(error, -ESTALE, (uint64_t)status.st_size, "the tape was cut short while it was read");
	source->size_bytes = reader->info.size_bytes = (uint64_t)status.st_size;
	/* Somebody may have begun another tape in the same file. */
	if (!tape_source_read(source, 0, bytes, sizeof(bytes)) && tape_get_file_header(bytes, &identity, &intact) &&
	    intact && memcmp(identity.uuid, reader->identity.uuid, sizeof(identity.uuid)))
		return tape_fail(error, -ESTALE, 0, "another tape was begun in the file while it was read");
	return 0;
}

/* Pages with numbers that are all behind those that are known need no new index. */
static void grow_page_index(struct tape_reader *reader, size_t from)
{
	bool has_pages = false;

	for (size_t i = from; i < reader->nr_chunks; i++)
		has_pages |= reader->chunks[i].header.type == TAPE_CHUNK_PAGES;
	if (!reader->page_index_built || !has_pages)
		return;
	if (!reader->identity.nr_places && !tape_page_index_grow(reader, from))
		return;
	tape_extents_deinit(&reader->page_index);
	reader->page_index_built = false;
}

int tape_reader_refresh(struct tape_reader *reader, struct tape_error *error)
{
	size_t from;
	int result;

	reader->generation++;
	if (reader->info.finished)
		return 0;
	/* Slots get chunks, and an index, or lose some, and have other places in the list. */
	tape_brief_cache_destroy(reader->briefs);
	reader->briefs = NULL;
	result = measure(reader, error);
	if (!result && forget_gone(reader))
		result = tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for the list of chunks");
	from = reader->nr_chunks;
	if (!result)
		result = scan_more(reader, error);
	if (result < 0)
		return error && error->message[0]
			       ? result
			       : tape_fail(error, result, TAPE_NO_OFFSET, "cannot read on: %s", strerror(-result));
	if (reader->nr_slots)
		tape_scan_drop_torn(reader, from);
	reader->info.nr_slots = (uint32_t)reader->nr_slots;
	leave_overwritten(reader);
	result = tape_reader_take(reader, from, error);
	if (result)
		return result;
	grow_page_index(reader, from);
	tape_snapshots_trim(reader);
	return reader->nr_chunks > from;
}
