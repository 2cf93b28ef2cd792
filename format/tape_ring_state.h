/* SPDX-License-Identifier: MIT */
/* tape_ring_state.h - inside of a ring tape's carrying forward: tape_ring.c keeps the books, tape_ring_clean.c cleans.
 */
#ifndef TAPE_RING_STATE_H
#define TAPE_RING_STATE_H

#include "tape_pages.h"
#include "tape_ring.h"

#define RING_NO_ORDINAL UINT64_MAX

/* A chunk that may have to be carried: of any type but TRAPS. */
struct ring_chunk {
	uint32_t slot_offset;
	bool is_base; /* SNAPSHOT: brings all pages */
	struct tape_chunk_header header;
};

struct ring_slot {
	uint64_t min_tsc; /* of its records; UINT64_MAX: none */
	struct ring_chunk *chunks;
	uint32_t nr_chunks, room;
	uint64_t first_snapshot; /* ordinal of the oldest that counts when this slot is overwritten */
};

struct ring_carried {
	struct ring_carried *next;
	struct tape_chunk *chunk;
	uint64_t from_seq; /* of the slot that has the old copy */
};

struct ring_queue {
	struct ring_carried *head, *tail;
	uint64_t size_bytes;
};

struct ring_plan {
	uint64_t id;
	uint64_t superseded_seq; /* slot that got the next plan; UINT64_MAX: in force */
};

/* The latest value of each key. */
struct ring_meta {
	char **lines; /* "key=value" */
	size_t nr_lines;
};
int ring_meta_add(struct ring_meta *meta, const char *text, size_t size_bytes);
void ring_meta_deinit(struct ring_meta *meta);
/* ---- tape_ring_tasks.c ----------------------------------------------- */

struct ring_task;
/* Who runs: of each task what the latest identity records say. Zeroed but for max_bytes: empty. */
struct ring_tasks {
	size_t max_bytes; /* of the records that a slot begins with */
	struct ring_task *list;
	uint32_t count;
	uint32_t *places; /* open addressing, by task: its youngest version */
	uint32_t nr_places;
	struct byte_buffer bytes;
	uint64_t whole_since_tsc; /* of what was said before, some was lost, or left out for want of room */
	/* when records come */
	uint64_t *vcpu_tscs; /* of the last record of each vCPU; UINT64_MAX: none */
	uint32_t nr_vcpus;
	uint64_t newest_tsc, most_late;
	bool settled; /* most_late can be relied on */
};
void ring_tasks_deinit(struct ring_tasks *tasks);
/* A chunk of records is placed. -ENOMEM */
int ring_tasks_add(struct ring_tasks *tasks, const struct tape_chunk *chunk);
uint64_t ring_tasks_late_tsc(const struct ring_tasks *tasks);
/* The chunk for the beginning of a slot; NULL: none is needed. A snapshot of since_tsc tells what was before. */
int ring_tasks_encode(struct ring_tasks *tasks, uint64_t since_tsc, struct tape_chunk **out, struct tape_error *error);

struct tape_ring;
/* All of them, to be placed again. */
int ring_carry_meta(struct tape_ring *ring, struct tape_error *error);

struct tape_ring {
	struct tape_sink sink;
	uint32_t slot_bytes;
	uint32_t nr_places;
	struct tape_pages *pages; /* NULL: none */
	struct ring_slot *slots;  /* by number modulo nr_places */
	uint64_t now_seq;         /* of the open slot */
	uint64_t next_clean;      /* slots below were cleaned */
	struct ring_queue others, pages_queue;
	struct ring_meta meta;
	struct ring_tasks tasks;
	struct ring_plan *plans;
	size_t nr_plans;

	uint64_t first_snapshot; /* ordinal of the oldest that counts */
	uint64_t advanced;       /* ordinals below are in pages' oldest view */
	uint64_t full_ordinal;   /* of the last full map made; RING_NO_ORDINAL: none */
	uint64_t full_from_seq;  /* its chunks lie in slots from here on */
	uint64_t map_bytes;      /* of the last snapshot's map */
	uint64_t max_map_bytes;

	uint8_t *stored; /* a payload that was read back */
	size_t stored_room_bytes;
};

/* Takes the chunk, in order behind the others. -ENOMEM */
int ring_carry(struct tape_ring *ring, struct tape_chunk *chunk);

/* Puts all that must outlive this slot into the queues. */
int ring_clean(struct tape_ring *ring, uint64_t slot_seq, struct tape_error *error);
/* TSC of the last snapshot that a reader has whose oldest slot will be the open one; 0: there may be none. */
uint64_t ring_sure_snapshot(const struct tape_ring *ring, uint64_t late_tsc);
/* The pages of this PAGES chunk are not carried. */
void ring_lose_pages(struct tape_ring *ring, const struct tape_chunk *chunk);

#endif
