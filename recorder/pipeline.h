/* SPDX-License-Identifier: MIT */
/*
 * pipeline.h - blocks of raw records on their way from the drain thread through
 * the compression threads to the tape thread. Blocks leave in the order in
 * which they were sealed, and their number is bounded: when the disk is slow,
 * block_get() has none, and the rings' own policy takes over.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"
#include "tape.h"

#define PIPELINE_MAX_BLOCKS 64

/* What a block of records holds. */
struct record_tally {
	uint64_t records; /* all */
	uint64_t events;  /* enter, exit */
	uint64_t gaps;
	uint64_t gap_lost; /* records that the gaps stand for */
	uint64_t raw_bytes;
	uint64_t stored_bytes;
};
void record_tally_add(struct record_tally *sum, const struct record_tally *more);

enum block_state { BLOCK_OPEN, BLOCK_SEALED, BLOCK_ENCODING, BLOCK_ENCODED };

struct block {
	struct block *next;
	uint64_t first_ns; /* when the oldest record came */
	size_t size_bytes;
	uint16_t vcpu;
	enum block_state state;
	struct tape_chunk *chunk; /* encoded; NULL on error */
	struct record_error error;
	struct record_tally tally;
	uint8_t data[TAPE_TRAPS_MAX_BYTES];
};

struct pipeline;
/* kick is called, from a compression thread, when a block is ready to be taken. */
int pipeline_create(struct pipeline **out, unsigned nr_threads, int zstd_level, void (*kick)(void *ctx), void *ctx,
		    struct record_error *error);
/* Ends the threads; blocks that are left are dropped. */
void pipeline_destroy(struct pipeline *pipeline);

/* Drain thread: an empty block, or NULL while too many are on their way (or no memory). */
struct block *pipeline_block_get(struct pipeline *pipeline);
void pipeline_block_seal(struct pipeline *pipeline, struct block *block);
/* Any thread: a block that is not wanted any more, or was written. */
void pipeline_block_put(struct pipeline *pipeline, struct block *block);

/* Tape thread: the oldest block, if it is encoded. */
struct block *pipeline_take(struct pipeline *pipeline);
bool pipeline_is_empty(struct pipeline *pipeline);

#endif
