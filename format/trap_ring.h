/* SPDX-License-Identifier: MIT */
/*
 * trap_ring.h - the consumer's side of a trap ring (trap_abi.h). The producer
 * may be hostile: whatever it writes, nothing outside the ring is touched.
 * One thread a ring. 0 or negative errno.
 */
#ifndef TRAP_RING_H
#define TRAP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trap_abi.h"

/* Of all records that were drained. */
struct trap_ring_counts {
	uint64_t records;
	uint64_t calls; /* enter, exit */
	uint64_t gaps;
	uint64_t gap_lost;           /* records that the gaps stand for */
	uint64_t last_seq, last_tsc; /* of the last record, once there is one */
};

struct trap_ring {
	void *memory;
	size_t memory_bytes;
	uint64_t data_bytes; /* read once, checked */
	uint64_t tail;       /* our own copy; the shared one is only written */
	uint32_t vcpu;
	struct trap_ring_counts counts;
	int data_fd; /* readable when the watermark is reached */
	int room_fd; /* timerfd to arm when a waiting producer got room; -1: it looks at the tail itself */
};

/*
 * Maps the ring and checks its head; takes the descriptors (closes them in _deinit, or at once on error). Of memory
 * that is no regular file the caller knows that it can't shrink.
 */
int trap_ring_init(struct trap_ring *ring, int memory_fd, size_t memory_bytes, int data_fd, int room_fd);
void trap_ring_deinit(struct trap_ring *ring);

/* Bytes that wait in the ring; more than the ring holds means a broken producer: -EBADMSG. */
int64_t trap_ring_fill_bytes(const struct trap_ring *ring);
/* Does a vCPU wait for room (block policy)? It may want more than a ring below its watermark has. */
bool trap_ring_is_waited_for(const struct trap_ring *ring);

/*
 * Copy whole records, without padding, to buffer (room for at least
 * TRAP_RECORD_MAX_BYTES), then give their room back to the producer. Returns
 * bytes copied (0: empty), or -EBADMSG on a broken ring. Each record's size
 * and type were checked, nothing else. A gap that cannot be read counts as a
 * record only.
 */
int64_t trap_ring_drain(struct trap_ring *ring, void *buffer, size_t size_bytes);

#endif
