/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * trap_ring_producer.h - the producer's side of a trap ring (trap_abi.h), for
 * kernel, QEMU and user space. One thread a ring at a time. Nothing that the
 * consumer can write is believed: all state lives in the private struct
 * trap_writer, and a tail that cannot be is taken for a full ring.
 */
#ifndef TRAP_RING_PRODUCER_H
#define TRAP_RING_PRODUCER_H

#include "trap_abi.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

/* Defined before this header is included, these replace the compiler's builtins (kernel: smp_load_acquire() ...). */
#ifndef TRAP_LOAD_ACQUIRE
#define TRAP_LOAD_ACQUIRE(p)         __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define TRAP_STORE_RELEASE(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)
#define TRAP_STORE_RELAXED(p, value) __atomic_store_n(p, value, __ATOMIC_RELAXED)
#define TRAP_FULL_BARRIER()          __sync_synchronize()
#endif

struct trap_writer {
	struct trap_ring_producer *shared; /* only written */
	const struct trap_ring_consumer *consumer;
	__u8 *data;
	__u64 data_bytes;
	__u64 mask; /* data_bytes - 1 */
	__u64 watermark_bytes;
	__u32 max_record_bytes; /* largest record that the ring takes */
	__u64 head;             /* published */
	__u64 tail;             /* the consumer's, when we last looked and it made sense */
	__u64 signalled_tail;   /* tail for which the eventfd was last signalled */
	__u64 look_at;          /* head from which on trap_writer_should_signal() looks at the tail again */
	__u64 look_bytes;       /* between two looks while the ring is above its watermark */
	__u64 record_position;  /* of the reserved record, behind padding and gap */
	__u64 seq;              /* of the next record */
	struct trap_gap untold; /* losses that no gap record tells of yet */
	__u64 lost_records;
	__u64 blocked_ns;
	__u16 vcpu;
};

#define TRAP_GAP_BYTES ((__u32)(sizeof(struct trap_record) + sizeof(struct trap_gap)))

/* At most so many bytes come between two looks at the tail, so that a record costs a small part of a barrier. */
#define TRAP_LOOK_BYTES 4096u

/* So far ahead of a record its successors' lines are fetched. */
#define TRAP_PREFETCH_BYTES 1536u

/* Size of the shared memory of a ring with data_bytes (a power of two) of data. */
static inline __u64 trap_ring_memory_bytes(__u64 data_bytes)
{
	return 2 * (__u64)TRAP_RING_PAGE + data_bytes;
}

static inline int trap_ring_data_bytes_valid(__u64 data_bytes)
{
	return data_bytes >= TRAP_RING_MIN_BYTES && data_bytes <= TRAP_RING_MAX_BYTES &&
	       !(data_bytes & (data_bytes - 1));
}

/*
 * Lays out a ring in memory (zeroed, page-aligned, trap_ring_memory_bytes()
 * long, alive as long as the writer). data_bytes must be valid;
 * watermark_bytes is brought into 1..data_bytes / 2, the bytes between two
 * looks included: a ring too full for a record is then always above it.
 */
static inline void trap_writer_init(struct trap_writer *w, void *memory, __u64 data_bytes, __u64 watermark_bytes,
				    __u16 vcpu)
{
	struct trap_ring_producer *shared = (struct trap_ring_producer *)memory;
	__u64 most = data_bytes / 2 - 2 * TRAP_GAP_BYTES;

	if (!watermark_bytes)
		watermark_bytes = 1;
	if (watermark_bytes > data_bytes / 2 - TRAP_LOOK_BYTES)
		watermark_bytes = data_bytes / 2 - TRAP_LOOK_BYTES;

	memset(w, 0, sizeof(*w));
	w->shared = shared;
	w->consumer = (const struct trap_ring_consumer *)((__u8 *)memory + TRAP_RING_PAGE);
	w->data = (__u8 *)memory + 2 * TRAP_RING_PAGE;
	w->data_bytes = data_bytes;
	w->mask = data_bytes - 1;
	w->watermark_bytes = watermark_bytes;
	w->max_record_bytes = most < TRAP_RECORD_MAX_BYTES ? (__u32)most : TRAP_RECORD_MAX_BYTES;
	w->signalled_tail = ~0ull; /* no record ends there */
	w->look_at = watermark_bytes;
	w->look_bytes = watermark_bytes / 8 < TRAP_LOOK_BYTES ? watermark_bytes / 8 : TRAP_LOOK_BYTES;
	w->vcpu = vcpu;

	shared->version = TRAP_ABI_VERSION;
	shared->vcpu = vcpu;
	shared->data_bytes = data_bytes;
	shared->watermark_bytes = watermark_bytes;
	shared->magic = TRAP_RING_MAGIC;
}

/*
 * Largest record that the ring takes: one that fits into the empty ring
 * wherever head stands, with padding and a gap record before it.
 */
static inline __u32 trap_writer_max_record(const struct trap_writer *w)
{
	return w->max_record_bytes;
}

/* Where a record of size_bytes goes that would begin at position: behind padding if it does not fit before the end. */
static inline __u64 trap_writer_place(const struct trap_writer *w, __u64 position, __u32 size_bytes)
{
	__u64 left = w->data_bytes - (position & w->mask);

	return size_bytes <= left ? position : position + left;
}

static inline int trap_writer_has_room(struct trap_writer *w, __u64 end)
{
	__u64 tail;

	if (end - w->tail <= w->data_bytes)
		return 1;
	/* pairs with the consumer's release store of tail: it has copied the bytes that we will overwrite */
	tail = TRAP_LOAD_ACQUIRE(&w->consumer->tail);
	if (w->head - tail <= w->data_bytes) {
		w->tail = tail;
		if (end - tail <= w->data_bytes)
			return 1;
	}
	w->look_at = w->head; /* whoever sleeps meanwhile is told at once */
	return 0;
}

static inline void trap_writer_pad(struct trap_writer *w, __u64 from, __u64 to)
{
	struct trap_record *pad = (struct trap_record *)(w->data + (from & w->mask));

	if (from == to)
		return;
	pad->size_bytes = (__u32)(to - from);
	pad->type = TRAP_PAD;
	pad->abi = 0;
	pad->via = 0;
	pad->flags = 0;
}

/* The gap record that tells of all losses so far; it gets the number behind theirs. */
static inline void trap_writer_put_gap(struct trap_writer *w, __u64 position)
{
	struct trap_record *gap = (struct trap_record *)(w->data + (position & w->mask));

	memset(gap, 0, sizeof(*gap));
	gap->size_bytes = TRAP_GAP_BYTES;
	gap->type = TRAP_GAP;
	gap->vcpu = w->vcpu;
	gap->seq = w->seq;
	gap->tsc = w->untold.first_tsc; /* others must know of it when they come to what it may have hidden */
	memcpy(gap + 1, &w->untold, sizeof(w->untold));
}

/* For a record that does not fit right behind the last one by the known tail, or that a gap record must precede. */
static inline struct trap_record *trap_writer_reserve_behind(struct trap_writer *w, __u32 size_bytes)
{
	__u64 gap_position = w->head, after_gap = w->head, position;

	if (w->untold.lost_records) {
		gap_position = trap_writer_place(w, w->head, TRAP_GAP_BYTES);
		after_gap = gap_position + TRAP_GAP_BYTES;
	}
	position = trap_writer_place(w, after_gap, size_bytes);
	if (!trap_writer_has_room(w, position + size_bytes))
		return NULL;

	if (w->untold.lost_records) {
		trap_writer_pad(w, w->head, gap_position);
		trap_writer_put_gap(w, gap_position);
	}
	trap_writer_pad(w, after_gap, position);
	w->record_position = position;
	return (struct trap_record *)(w->data + (position & w->mask));
}

/*
 * Room for a record of up to size_bytes, or NULL when the ring is full (or
 * size_bytes is over trap_writer_max_record()): then wait, or call
 * trap_writer_drop(). The caller fills all but size_bytes, vcpu and seq.
 * Nothing is seen by the consumer before trap_writer_commit(); without it the
 * reservation is void.
 */
static inline struct trap_record *trap_writer_reserve(struct trap_writer *w, __u32 size_bytes)
{
	__u64 offset = w->head & w->mask;

	if (size_bytes < sizeof(struct trap_record) || size_bytes > w->max_record_bytes)
		return NULL;
	size_bytes = (size_bytes + 7) & ~7u;
	if (__builtin_expect(w->untold.lost_records || offset + size_bytes > w->data_bytes ||
				     w->head + size_bytes - w->tail > w->data_bytes,
			     0))
		return trap_writer_reserve_behind(w, size_bytes);
	w->record_position = w->head;
	/* The consumer's reads have left these lines shared: they come back while the next records are made. */
	__builtin_prefetch(w->data + ((offset + TRAP_PREFETCH_BYTES) & w->mask), 1);
	__builtin_prefetch(w->data + ((offset + TRAP_PREFETCH_BYTES + 64) & w->mask), 1);
	return (struct trap_record *)(w->data + offset);
}

static inline void trap_writer_publish(struct trap_writer *w, __u64 head)
{
	TRAP_STORE_RELAXED(&w->shared->next_seq, w->seq);
	w->head = head;
	/* pairs with the consumer's acquire load of head: what it sees below head is whole */
	TRAP_STORE_RELEASE(&w->shared->head, head);
}

/* Hands over the reserved record, of which size_bytes (at most what was reserved) are used. */
static inline void trap_writer_commit(struct trap_writer *w, __u32 size_bytes)
{
	struct trap_record *record = (struct trap_record *)(w->data + (w->record_position & w->mask));

	size_bytes = (size_bytes + 7) & ~7u;
	if (__builtin_expect(w->untold.lost_records != 0, 0)) {
		w->untold.lost_records = 0;
		w->seq++;
	}
	record->size_bytes = size_bytes;
	record->vcpu = w->vcpu;
	record->seq = w->seq++;
	trap_writer_publish(w, w->record_position + size_bytes);
}

/* Counts a record that found no room; it takes a number, and the next record that fits is preceded by a gap record. */
static inline void trap_writer_drop(struct trap_writer *w, __u64 tsc)
{
	if (!w->untold.lost_records++) {
		w->untold.first_seq = w->seq;
		w->untold.first_tsc = tsc;
	}
	w->untold.last_tsc = tsc;
	w->seq++;
	w->lost_records++;
	TRAP_STORE_RELAXED(&w->shared->next_seq, w->seq);
	TRAP_STORE_RELAXED(&w->shared->lost_records, w->lost_records);
}

/* At the end of recording, when no record may follow: tells of untold losses. 0: the ring is still full. */
static inline int trap_writer_flush_gap(struct trap_writer *w)
{
	__u64 position;

	if (!w->untold.lost_records)
		return 1;
	position = trap_writer_place(w, w->head, TRAP_GAP_BYTES);
	if (!trap_writer_has_room(w, position + TRAP_GAP_BYTES))
		return 0;
	trap_writer_pad(w, w->head, position);
	trap_writer_put_gap(w, position);
	w->untold.lost_records = 0;
	w->seq++;
	trap_writer_publish(w, position + TRAP_GAP_BYTES);
	return 1;
}

/*
 * After commit: must the data eventfd be signalled? At most once for each
 * value of tail, so never once per record. The consumer does the mirror image:
 * store tail; full barrier; load head; sleep only if fill < watermark_bytes.
 *
 * A look is: store of head, full barrier, load of tail. Its barrier and the
 * consumer's last one before a sleep have an order. If ours is first, the
 * consumer sees this head, and does not sleep above the watermark; if it is
 * second, we see the tail that the consumer sleeps with. So there must be a
 * look where the fill may reach the watermark, by the tail that was seen last:
 * the real one is not behind it. Above the watermark this tail was signalled,
 * and what can follow is that the consumer moves and sleeps again, unseen: one
 * look in look_bytes finds it. When this returns, the ring of a consumer that
 * sleeps unsignalled holds less than watermark_bytes + look_bytes.
 */
static inline int trap_writer_should_signal(struct trap_writer *w)
{
	__u64 tail;

	if (__builtin_expect(w->head < w->look_at, 1))
		return 0;
	/* between our store of head and load of tail; pairs with the barrier of trap_ring_drain() */
	TRAP_FULL_BARRIER();
	tail = TRAP_LOAD_ACQUIRE(&w->consumer->tail);
	if (w->head - tail <= w->data_bytes)
		w->tail = tail;
	if (w->head - tail < w->watermark_bytes) {
		w->look_at = tail + w->watermark_bytes;
		return 0;
	}
	w->look_at = w->head + w->look_bytes;
	if (tail == w->signalled_tail)
		return 0;
	w->signalled_tail = tail;
	return 1;
}

/*
 * Policy "block": after a reservation failed, announces that the producer will
 * sleep on the room eventfd. Reserve once more before sleeping; the consumer
 * stores tail, full barrier, loads waiting. Signal the data eventfd, too.
 */
static inline void trap_writer_wait_begin(struct trap_writer *w)
{
	TRAP_STORE_RELAXED(&w->shared->waiting, 1);
	/* between our store of waiting and load of tail; pairs with the barrier of trap_ring_drain() */
	TRAP_FULL_BARRIER();
}

static inline void trap_writer_wait_end(struct trap_writer *w, __u64 blocked_ns)
{
	w->blocked_ns += blocked_ns;
	TRAP_STORE_RELAXED(&w->shared->waiting, 0);
	TRAP_STORE_RELAXED(&w->shared->blocked_ns, w->blocked_ns);
}

#endif
