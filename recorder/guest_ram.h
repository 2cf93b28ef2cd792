/* SPDX-License-Identifier: MIT */
/*
 * guest_ram.h - the map of the VM's RAM: blocks, where the guest sees them, and
 * the descriptors of those that are shared. Shared blocks are read with pread:
 * a mapping would allocate, in the VM's memory, each hole that it reads, and
 * would kill us with SIGBUS were the file cut short.
 */
#ifndef GUEST_RAM_H
#define GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer_proto.h"
#include "report.h"
#include "tape.h"

#define GUEST_PAGE_BYTES     4096u
#define GUEST_RAM_MAX_BLOCKS 1024
#define GUEST_RAM_MAX_BYTES  (4ull << 40)

struct ram_block {
	char name[64];  /* clean */
	int fd;         /* -1: not shared */
	bool fd_is_own; /* not the VM's own description of the file: may be sought in */
	uint64_t fd_offset;
	uint64_t size_bytes;
	uint32_t nr_ranges;
	struct proto_ram_range *ranges;
};

struct guest_ram {
	uint32_t nr_blocks;
	struct ram_block *blocks;
	/* what the guest sees, sorted, neighbours joined */
	uint32_t nr_ranges;
	struct tape_ram_range *ranges;
};

/* Checks a PROTO_RAM_BLOCK body and adds it; takes fd (-1: none) in any case. */
int guest_ram_add(struct guest_ram *ram, const void *body, size_t size_bytes, int fd, struct record_error *error);
/* After the last block. */
int guest_ram_finish(struct guest_ram *ram, struct record_error *error);
void guest_ram_deinit(struct guest_ram *ram);

uint64_t guest_ram_bytes(const struct guest_ram *ram);        /* that the guest sees */
uint64_t guest_ram_shared_bytes(const struct guest_ram *ram); /* of these, in shared blocks */
static inline uint64_t ram_block_pages(const struct ram_block *block)
{
	return block->size_bytes / GUEST_PAGE_BYTES;
}
static inline uint64_t ram_block_words(const struct ram_block *block)
{
	return (ram_block_pages(block) + 63) / 64;
}

/* The same blocks in the same order, wherever they are mapped? */
bool guest_ram_same_blocks(const struct guest_ram *a, const struct guest_ram *b);
/* Is this range of a block mapped, at this place, in other, too? */
bool guest_ram_has_range(const struct guest_ram *other, const struct ram_block *block,
			 const struct proto_ram_range *range);

/* Bytes of a shared block from offset on; -EIO when the file has become shorter. */
int ram_block_read(const struct ram_block *block, uint64_t offset, void *buffer, size_t size_bytes,
		   struct record_error *error);
/* So many bytes of a shared block, from offset on, were never written: they are zeros. 0: not known to be. */
uint64_t ram_block_hole_bytes(const struct ram_block *block, uint64_t offset);

#endif
