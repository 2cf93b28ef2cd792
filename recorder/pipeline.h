/* SPDX-License-Identifier: MIT */
/*
 * pipeline.h - blocks of raw records on their way from the drain thread through
 * the compression threads to the tape thread. Blocks leave in the order in
 * which they were sealed, and their bytes are bounded: when the disk is slow,
 * block_get() has none, and the rings' own policy takes over. Memory is used
 * again and again, and given back when nothing comes any more.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"
#include "tape.h"

/* Raw records from block_get() until they are compressed, and chunks from then until they are taken. */
#define PIPELINE_MAX_BYTES  (16u << 20)
#define PIPELINE_MAX_BLOCKS (PIPELINE_MAX_BYTES / TAPE_TRAPS_MAX_BYTES)

/* What a block of records holds. */
struct record_tally {
	uint64_t records; /* all */
	uint64_t events;  /* enter, exit */
	uint64_t gaps;
	uint64_t gap_lost; /* records that the gaps stand for */
	uint64_t raw_bytes;
	uint64_t stored_bytes;
	uint64_t chunks;
	uint64_t stored_chunks; /* those without zstd, as there was no time */
	int64_t level_sum;      /* levels of the other chunks */
};
void record_tally_add(struct record_tally *sum, const struct record_tally *more);

enum block_state { BLOCK_OPEN, BLOCK_SEALED, BLOCK_ENCODING, BLOCK_ENCODED };

struct block {
	struct block *next;
	uint64_t first_ns; /* the oldest record is not older */
	size_t size_bytes;
	uint16_t vcpu;
	enum block_state state;
	struct tape_chunk *chunk; /* encoded; NULL on error */
	struct record_error error;
	struct record_tally tally; /* what is counted while it is open, its owner counts */
	uint8_t *data;             /* TAPE_TRAPS_MAX_BYTES; NULL when it is encoded */
};

struct pipeline;
/*
 * kick is called, from a compression thread, when a block is ready to be taken. zstd_level may be LEVEL_AUTO; no more
 * than 8 threads are made.
 */
int pipeline_create(struct pipeline **out, unsigned nr_threads, int zstd_level, void (*kick)(void *ctx), void *ctx,
		    struct record_error *error);
/* Ends the threads; blocks that are left are dropped. */
void pipeline_destroy(struct pipeline *pipeline);
/* Compression threads that suit the CPUs that this process may run on. */
unsigned pipeline_default_threads(void);

/* Drain thread: an empty block, or NULL while too many are on their way (or no memory). */
struct block *pipeline_block_get(struct pipeline *pipeline);
void pipeline_block_seal(struct pipeline *pipeline, struct block *block);
/* Any thread: a block that is not wanted any more, or was written. */
void pipeline_block_put(struct pipeline *pipeline, struct block *block);
/* Called, from any thread and under a lock, when block_get() had none and may have one now. NULL: nobody. */
void pipeline_on_room(struct pipeline *pipeline, void (*room)(void *ctx), void *ctx);
/* How full the fullest ring is, for the choice of the level. */
void pipeline_note_ring(struct pipeline *pipeline, unsigned fill_percent);
/* Frees the memory that is not in use: nothing has come for a while. */
void pipeline_trim(struct pipeline *pipeline);

/* Tape thread: the oldest block, if it is encoded. */
struct block *pipeline_take(struct pipeline *pipeline);
bool pipeline_is_empty(struct pipeline *pipeline);

#endif
