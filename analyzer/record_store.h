/* SPDX-License-Identifier: MIT */
/*
 * record_store.h - copies of raw records, in blocks that are used again once
 * nothing in them is kept any more. A block counts as kept with all its bytes, so
 * what a few records pin is seen. Zero-initialise. One thread at a time.
 */
#ifndef RECORD_STORE_H
#define RECORD_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "trap_record.h"

/* A record longer than a quarter of it gets a block of its own. */
#define RECORD_BLOCK_BYTES (64u << 10)

struct record_block {
	struct record_block *next; /* of the spare ones */
	uint32_t room_bytes, used_bytes;
	uint32_t kept;     /* records that the store's user still keeps */
	uint32_t lent;     /* batches that have taken some along */
	uint64_t lent_for; /* number of the latest such batch */
	uint8_t bytes[];
};

struct record_store {
	struct record_block *filling; /* the one that takes the next record; NULL: none */
	struct record_block *spare;
	unsigned nr_spare;
	size_t kept_bytes; /* of blocks with records that are kept */
};

/* NULL: nothing stored. */
struct stored_record {
	struct record_block *block;
	const uint8_t *bytes;
};

static inline uint32_t stored_record_bytes(const struct stored_record *record)
{
	uint32_t size_bytes = 0;

	if (record->block)
		memcpy(&size_bytes, record->bytes + offsetof(struct trap_record, size_bytes), sizeof(size_bytes));
	return size_bytes;
}

/* Everything must have been dropped and given back. */
void record_store_deinit(struct record_store *store);
/* A checked record of this size; out->block is NULL when there is no memory. */
void record_store_add(struct record_store *store, const void *bytes, uint32_t size_bytes, struct stored_record *out);
/* In a block of its own, so that nothing else is counted longer because of it. */
void record_store_add_alone(struct record_store *store, const void *bytes, uint32_t size_bytes,
			    struct stored_record *out);
/* Keeps it no longer; the bytes stay as long as the block is lent. */
void record_store_drop(struct record_store *store, struct stored_record *record);
/* Both halves of that. */
void record_store_lend(struct record_block *block);
void record_store_give_back(struct record_store *store, struct record_block *block);

#endif
