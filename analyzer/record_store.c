/* SPDX-License-Identifier: MIT */
#include "record_store.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SPARE 64u

void record_store_deinit(struct record_store *store)
{
	free(store->filling);
	while (store->spare) {
		struct record_block *block = store->spare;

		store->spare = block->next;
		free(block);
	}
	*store = (struct record_store){0};
}

static void recycle(struct record_store *store, struct record_block *block)
{
	if (block->room_bytes != RECORD_BLOCK_BYTES || store->nr_spare >= MAX_SPARE) {
		free(block);
		return;
	}
	block->next = store->spare;
	store->spare = block;
	store->nr_spare++;
}

/* The block is in nobody's hands and not the one that is being filled. */
static void release(struct record_store *store, struct record_block *block)
{
	if (!block->kept && !block->lent && block != store->filling)
		recycle(store, block);
}

static struct record_block *new_block(struct record_store *store, uint32_t room_bytes)
{
	struct record_block *block = store->spare;

	if (block && room_bytes == RECORD_BLOCK_BYTES) {
		store->spare = block->next;
		store->nr_spare--;
	} else {
		block = malloc(sizeof(*block) + room_bytes);
		if (!block)
			return NULL;
	}
	block->next = NULL;
	block->room_bytes = room_bytes;
	block->used_bytes = block->kept = block->lent = 0;
	block->lent_for = 0;
	return block;
}

/* NULL: no memory, and the last one stays. */
static struct record_block *next_block(struct record_store *store)
{
	struct record_block *full = store->filling, *block;

	if (full && !full->kept && !full->lent) {
		full->used_bytes = 0;
		return full;
	}
	block = new_block(store, RECORD_BLOCK_BYTES);
	if (!block)
		return NULL;
	store->filling = block;
	return block;
}

static void put(struct record_store *store, struct record_block *block, const void *bytes, uint32_t size_bytes,
		struct stored_record *out)
{
	*out = (struct stored_record){0};
	if (!block)
		return;
	out->block = block;
	out->bytes = block->bytes + block->used_bytes;
	memcpy(block->bytes + block->used_bytes, bytes, size_bytes);
	block->used_bytes += size_bytes;
	store->kept_bytes += block->kept++ ? size_bytes : block->used_bytes;
}

void record_store_add(struct record_store *store, const void *bytes, uint32_t size_bytes, struct stored_record *out)
{
	struct record_block *block = store->filling;

	if (size_bytes > RECORD_BLOCK_BYTES / 4)
		block = new_block(store, size_bytes);
	else if (!block || block->room_bytes - block->used_bytes < size_bytes)
		block = next_block(store);
	put(store, block, bytes, size_bytes, out);
}

void record_store_add_alone(struct record_store *store, const void *bytes, uint32_t size_bytes,
			    struct stored_record *out)
{
	put(store, new_block(store, size_bytes), bytes, size_bytes, out);
}

void record_store_drop(struct record_store *store, struct stored_record *record)
{
	struct record_block *block = record->block;

	*record = (struct stored_record){0};
	if (!block || --block->kept)
		return;
	store->kept_bytes -= block->used_bytes;
	/* The one that is being filled begins anew, while it is still in the cache. */
	if (block == store->filling && !block->lent)
		block->used_bytes = 0;
	release(store, block);
}

void record_store_lend(struct record_block *block)
{
	block->lent++;
}

void record_store_give_back(struct record_store *store, struct record_block *block)
{
	block->lent--;
	release(store, block);
}
