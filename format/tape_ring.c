/* SPDX-License-Identifier: MIT */
/*
 * tape_ring.c - see tape_ring.h. Slots are cleaned well before their places are
 * taken, as far as the slots that are written have room for what they hand on:
 * a run of slots that are needed whole, as a base snapshot leaves it, then does
 * not come as a surprise. What was taken out of a slot waits in two queues.
 */
#include "tape_ring.h"

#include <errno.h>
#include <inttypes.h>

#include "tape_ring_state.h"

/*
 * Of so many places, one may be cleaned before it is taken: more would fill the
 * ring with contents that are there twice. It is enough for a run of slots that
 * are needed whole and take half of the ring, if a quarter of each slot is new.
 */
#define PLACES_PER_AHEAD 8u
#define MIN_AHEAD        2u

/* Who runs takes at most this part of a slot, before compression: some 2,000 tasks in one of 4 MiB. */
#define TASKS_PER_SLOT  8u
#define TASKS_MAX_BYTES TAPE_TRAPS_MAX_BYTES
/* After so many snapshots all vCPUs have shown how late their records come. */
#define SNAPSHOTS_TO_SETTLE 3u

int tape_ring_create(struct tape_ring **out, const struct tape_sink *sink, const struct tape_identity *identity,
		     struct tape_error *error)
{
	struct tape_ring *ring = calloc(1, sizeof(*ring));

	if (ring)
		ring->slots = calloc(identity->nr_places, sizeof(*ring->slots));
	if (!ring || !ring->slots) {
		free(ring);
		return tape_fail(error, -ENOMEM, TAPE_NO_OFFSET, "no memory for a ring tape");
	}
	ring->sink = *sink;
	ring->slot_bytes = identity->slot_bytes;
	ring->nr_places = identity->nr_places;
	ring->full_ordinal = RING_NO_ORDINAL;
	ring->tasks.max_bytes = identity->slot_bytes / TASKS_PER_SLOT;
	if (ring->tasks.max_bytes > TASKS_MAX_BYTES)
		ring->tasks.max_bytes = TASKS_MAX_BYTES;
	for (uint32_t i = 0; i < ring->nr_places; i++)
		ring->slots[i].min_tsc = UINT64_MAX;
	*out = ring;
	return 0;
}

static void free_queue(struct ring_queue *queue)
{
	while (queue->head) {
		struct ring_carried *carried = queue->head;

		queue->head = carried->next;
		tape_chunk_destroy(carried->chunk);
		free(carried);
	}
}

void tape_ring_destroy(struct tape_ring *ring)
{
	if (!ring)
		return;
	for (uint32_t i = 0; i < ring->nr_places; i++)
		free(ring->slots[i].chunks);
	free(ring->slots);
	free_queue(&ring->others);
	free_queue(&ring->pages_queue);
	ring_meta_deinit(&ring->meta);
	ring_tasks_deinit(&ring->tasks);
	free(ring->plans);
	free(ring->stored);
	free(ring);
}

void tape_ring_set_pages(struct tape_ring *ring, struct tape_pages *pages)
{
	ring->pages = pages;
}

/* ---- what is where --------------------------------------------------- */

uint64_t tape_ring_first_snapshot(const struct tape_ring *ring, uint64_t slot_seq)
{
	/* What was found when the slot that gives way was cleaned. */
	return slot_seq < ring->nr_places ? 0 : ring->slots[slot_seq % ring->nr_places].first_snapshot;
}

static int note_plan(struct tape_ring *ring, uint64_t id)
{
	struct ring_plan *plans;

	for (size_t i = 0; i < ring->nr_plans; i++)
		if (ring->plans[i].superseded_seq == UINT64_MAX)
			ring->plans[i].superseded_seq = ring->now_seq;
	plans = reallocarray(ring->plans, ring->nr_plans + 1, sizeof(*plans));
	if (!plans)
		return -ENOMEM;
	plans[ring->nr_plans++] = (struct ring_plan){id, UINT64_MAX};
	ring->plans = plans;
	return 0;
}

static bool is_carried_type(uint16_t type)
{
	return type == TAPE_CHUNK_META || type == TAPE_CHUNK_PLAN || type == TAPE_CHUNK_PAGES ||
	       type == TAPE_CHUNK_PAGE_MAP || type == TAPE_CHUNK_SNAPSHOT;
}

int tape_ring_chunk_placed(struct tape_ring *ring, uint32_t slot_offset, const struct tape_chunk *chunk)
{
	struct ring_slot *slot = &ring->slots[ring->now_seq % ring->nr_places];
	const struct tape_chunk_header *header = &chunk->header;
	const uint8_t *payload = chunk->buffer + TAPE_CHUNK_HEADER_BYTES;
	int result = 0;

	if (header->type == TAPE_CHUNK_TRAPS && !(header->flags & TAPE_F_CARRIED)) {
		if (header->min_tsc < slot->min_tsc)
			slot->min_tsc = header->min_tsc;
		return ring_tasks_add(&ring->tasks, chunk);
	}
	if (!is_carried_type(header->type))
		return 0;
	if (slot->nr_chunks == slot->room) {
		uint32_t room = slot->room ? slot->room * 2 : 16;
		struct ring_chunk *chunks = reallocarray(slot->chunks, room, sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		slot->chunks = chunks;
		slot->room = room;
	}
	slot->chunks[slot->nr_chunks++] = (struct ring_chunk){
		.slot_offset = slot_offset,
		.is_base = header->type == TAPE_CHUNK_SNAPSHOT && tape_snapshot_is_base(payload),
		.header = *header,
	};
	if (header->type == TAPE_CHUNK_PAGE_MAP) {
		ring->map_bytes = header->last_seq ? ring->map_bytes : 0;
		ring->map_bytes += tape_chunk_bytes(header);
		if (ring->map_bytes > ring->max_map_bytes)
			ring->max_map_bytes = ring->map_bytes;
	}
	if (header->type == TAPE_CHUNK_SNAPSHOT && header->first_seq + 1 >= SNAPSHOTS_TO_SETTLE)
		ring->tasks.settled = true;
	if (header->type == TAPE_CHUNK_META && !(header->flags & TAPE_F_CARRIED))
		result = ring_meta_add(&ring->meta, (const char *)payload, header->stored_bytes);
	else if (header->type == TAPE_CHUNK_PLAN && !(header->flags & TAPE_F_CARRIED))
		result = note_plan(ring, header->first_seq);
	return result;
}

/* ---- queues ---------------------------------------------------------- */

int ring_carry(struct tape_ring *ring, struct tape_chunk *chunk)
{
	bool is_pages = chunk->header.type == TAPE_CHUNK_PAGES;
	struct ring_queue *queue = is_pages ? &ring->pages_queue : &ring->others;
	struct ring_carried *carried = malloc(sizeof(*carried));

	if (!carried) {
		tape_chunk_destroy(chunk);
		return -ENOMEM;
	}
	*carried = (struct ring_carried){.chunk = chunk, .from_seq = ring->next_clean};
	if (queue->tail && queue->head)
		queue->tail->next = carried;
	else
		queue->head = carried;
	queue->tail = carried;
	queue->size_bytes += tape_chunk_bytes(&chunk->header);
	return 0;
}

static struct tape_chunk *take_from(struct ring_queue *queue)
{
	struct ring_carried *carried = queue->head;
	struct tape_chunk *chunk = carried->chunk;

	queue->head = carried->next;
	queue->size_bytes -= tape_chunk_bytes(&chunk->header);
	free(carried);
	return chunk;
}

struct tape_chunk *tape_ring_take(struct tape_ring *ring)
{
	return take_from(ring->others.head ? &ring->others : &ring->pages_queue);
}

/* ---- how far ahead --------------------------------------------------- */

uint64_t tape_ring_ahead(const struct tape_ring *ring)
{
	uint64_t done = ring->next_clean, next = ring->now_seq + 1;

	if (ring->others.head && ring->others.head->from_seq < done)
		done = ring->others.head->from_seq;
	if (ring->pages_queue.head && ring->pages_queue.head->from_seq < done)
		done = ring->pages_queue.head->from_seq;
	return done + ring->nr_places > next ? done + ring->nr_places - next : 0;
}

/* A map of all pages can be longer than a slot: then there must be more of them to place it in. */
static uint64_t wanted_ahead(const struct tape_ring *ring)
{
	uint64_t wanted = ring->nr_places / PLACES_PER_AHEAD;

	wanted = wanted > MIN_AHEAD ? wanted : MIN_AHEAD;
	wanted += 2 * ring->max_map_bytes / (ring->slot_bytes / 2);
	return wanted < ring->nr_places / 2 ? wanted : ring->nr_places / 2;
}

bool tape_ring_is_pressed(const struct tape_ring *ring)
{
	return tape_ring_ahead(ring) <= wanted_ahead(ring) / 2;
}

bool tape_ring_is_overfull(const struct tape_ring *ring)
{
	uint64_t room = (ring->nr_places - MIN_AHEAD) * (uint64_t)ring->slot_bytes;

	return ring->pages && tape_pages_live_bytes(ring->pages) > room - room / 8;
}

void tape_ring_give_up_pages(struct tape_ring *ring)
{
	while (ring->pages_queue.head) {
		struct tape_chunk *chunk = take_from(&ring->pages_queue);

		ring_lose_pages(ring, chunk);
		tape_chunk_destroy(chunk);
	}
}

void tape_ring_slot_opened(struct tape_ring *ring, uint64_t slot_seq)
{
	struct ring_slot *slot = &ring->slots[slot_seq % ring->nr_places];

	slot->min_tsc = UINT64_MAX;
	slot->nr_chunks = 0;
	ring->now_seq = slot_seq;
}

int tape_ring_tasks(struct tape_ring *ring, struct tape_chunk **out, struct tape_error *error)
{
	uint64_t since_tsc = ring_sure_snapshot(ring, ring_tasks_late_tsc(&ring->tasks));

	return ring_tasks_encode(&ring->tasks, since_tsc, out, error);
}

int tape_ring_next(struct tape_ring *ring, const struct tape_chunk **out, struct tape_error *error)
{
	const struct ring_carried *first;
	int result = 0;

	while (!result && !ring->others.head && !ring->pages_queue.head && ring->next_clean < ring->now_seq &&
	       tape_ring_ahead(ring) < wanted_ahead(ring)) {
		result = ring_clean(ring, ring->next_clean, error);
		ring->next_clean++;
	}
	first = ring->others.head ? ring->others.head : ring->pages_queue.head;
	*out = first && !result ? first->chunk : NULL;
	return result;
}
