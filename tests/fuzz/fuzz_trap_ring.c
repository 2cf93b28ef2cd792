/* SPDX-License-Identifier: MIT */
/*
 * Consumer of a ring that a hostile producer wrote. Input: __u64 head, __u64
 * tail, __u64 size of the buffer, then data from the tail's place on.
 */
#include <stdlib.h>
#include <string.h>

#include "trap_ring.h"

#define DATA_BYTES ((uint64_t)TRAP_RING_MIN_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *memory;
	struct trap_ring ring = {.memory_bytes = 2 * TRAP_RING_PAGE + DATA_BYTES, .data_fd = -1, .room_fd = -1};
	uint64_t head, tail, buffer_bytes, taken = 0;
	uint8_t *buffer;

	if (size < 24)
		return 0;
	memcpy(&head, data, 8);
	memcpy(&tail, data + 8, 8);
	memcpy(&buffer_bytes, data + 16, 8);
	data += 24;
	size -= 24;
	if (!memory && !(memory = aligned_alloc(TRAP_RING_PAGE, ring.memory_bytes)))
		abort();
	memset(memory, 0, ring.memory_bytes);
	for (size_t i = 0; i < size && i < DATA_BYTES; i++)
		memory[2 * TRAP_RING_PAGE + ((tail & ~7ull) + i) % DATA_BYTES] = data[i];

	((struct trap_ring_producer *)memory)->head = head;
	ring.memory = memory;
	ring.data_bytes = DATA_BYTES;
	ring.tail = tail & ~7ull; /* the consumer's own, and so never unaligned */
	buffer_bytes = TRAP_RECORD_MAX_BYTES + buffer_bytes % (2 * TRAP_RECORD_MAX_BYTES);
	buffer = malloc(buffer_bytes);
	if (!buffer)
		abort();
	for (;;) {
		uint64_t before = ring.tail;
		int64_t got = trap_ring_drain(&ring, buffer, buffer_bytes);

		if (got < 0)
			break;
		if ((uint64_t)got > buffer_bytes || ring.tail - before < (uint64_t)got ||
		    ring.tail - before > DATA_BYTES)
			abort();
		taken += ring.tail - before;
		/* an empty ring, or progress; never more than there was */
		if (taken > DATA_BYTES)
			abort();
		if (ring.tail == before)
			break;
		/* each record has a size and a type that can be */
		for (int64_t at = 0; at < got;) {
			struct trap_record record;

			memcpy(&record, buffer + at, sizeof(record));
			if (record.type == TRAP_PAD || record.type >= TRAP_TYPES ||
			    record.size_bytes < sizeof(record) || record.size_bytes > got - at)
				abort();
			at += record.size_bytes;
		}
	}
	free(buffer);
	return 0;
}
