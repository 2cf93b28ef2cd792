/* SPDX-License-Identifier: MIT */
/* trap_ring.c - consumer of a trap ring; the producer's side is trap_ring_producer.h. */
#include "trap_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "trap_record.h"

/* Copied and walked at a time, while it is in a near cache; more than any record. */
#define RUN_BYTES (4 * TRAP_RECORD_MAX_BYTES)

static struct trap_ring_producer *ring_producer(const struct trap_ring *ring)
{
	return ring->memory;
}

static struct trap_ring_consumer *ring_consumer(const struct trap_ring *ring)
{
	return (struct trap_ring_consumer *)((uint8_t *)ring->memory + TRAP_RING_PAGE);
}

static const uint8_t *ring_data(const struct trap_ring *ring)
{
	return (const uint8_t *)ring->memory + 2 * TRAP_RING_PAGE;
}

static int map_ring(struct trap_ring *ring, int memory_fd)
{
	struct stat st;
	bool is_file;

	if (fstat(memory_fd, &st))
		return -errno;
	/* Shared memory that is shorter, or becomes so, would kill us with SIGBUS. */
	is_file = S_ISREG(st.st_mode);
	if (is_file) {
		if (st.st_size < 0 || (uint64_t)st.st_size < ring->memory_bytes)
			return -EBADMSG;
		fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK);
	}
	ring->memory = mmap(NULL, ring->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	if (ring->memory == MAP_FAILED) {
		ring->memory = NULL;
		return -errno;
	}
	/* A kernel's ring tells no size: all of its pages are touched here, where one that is missing is an error. */
	if (!is_file && madvise(ring->memory, ring->memory_bytes, MADV_POPULATE_READ) && errno != EINVAL)
		return -EBADMSG;
	return 0;
}

static int check_head(struct trap_ring *ring)
{
	struct trap_ring_producer *shared = ring_producer(ring);
	uint64_t data_bytes = __atomic_load_n(&shared->data_bytes, __ATOMIC_RELAXED);

	if (shared->magic != TRAP_RING_MAGIC)
		return -EBADMSG;
	if (shared->version != TRAP_ABI_VERSION)
		return -EPROTONOSUPPORT;
	if (data_bytes < TRAP_RING_MIN_BYTES || data_bytes > TRAP_RING_MAX_BYTES || (data_bytes & (data_bytes - 1)) ||
	    ring->memory_bytes != 2 * (uint64_t)TRAP_RING_PAGE + data_bytes)
		return -EBADMSG;
	ring->data_bytes = data_bytes;
	ring->vcpu = shared->vcpu;
	/* not 0 when another consumer was here before us */
	ring->tail = __atomic_load_n(&ring_consumer(ring)->tail, __ATOMIC_RELAXED);
	return ring->tail % 8 || trap_ring_fill_bytes(ring) < 0 ? -EBADMSG : 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int trap_ring_init(struct trap_ring *ring, int memory_fd, size_t memory_bytes, int data_fd, int room_fd)
{
	int err;

	*ring = (struct trap_ring){.memory_bytes = memory_bytes, .data_fd = data_fd, .room_fd = room_fd};
	err = memory_bytes < 2 * TRAP_RING_PAGE + TRAP_RING_MIN_BYTES ? -EBADMSG : map_ring(ring, memory_fd);
	close_fd(memory_fd);
	if (!err)
		err = check_head(ring);
	if (err)
		trap_ring_deinit(ring);
	return err;
}

void trap_ring_deinit(struct trap_ring *ring)
{
	if (ring->memory)
		munmap(ring->memory, ring->memory_bytes);
	close_fd(ring->data_fd);
	close_fd(ring->room_fd);
	*ring = (struct trap_ring){.data_fd = -1, .room_fd = -1};
}

int64_t trap_ring_fill_bytes(const struct trap_ring *ring)
{
	/* pairs with the release store in trap_writer_publish(): below head, records are whole */
	uint64_t head = __atomic_load_n(&ring_producer(ring)->head, __ATOMIC_ACQUIRE);
	uint64_t fill_bytes = head - ring->tail;

	if (fill_bytes > ring->data_bytes || head % 8)
		return -EBADMSG;
	return (int64_t)fill_bytes;
}

static void count_gap(struct trap_ring_counts *counts, const uint8_t *record, uint32_t size_bytes)
{
	struct trap_view view;
	struct trap_gap gap;

	if (trap_view_parse(&view, record, size_bytes, NULL) <= 0)
		return;
	trap_view_gap(&view, &gap);
	counts->gaps++;
	counts->gap_lost += gap.lost_records;
}

/*
 * Walks the run_bytes at run, a private copy of what lies at the tail; there
 * are there_bytes up to the head or the end of the data, whichever is nearer.
 * Returns the bytes of whole records, which are counted; *pad_bytes is the
 * padding behind them.
 */
static int64_t walk_run(struct trap_ring_counts *counts, const uint8_t *run, size_t run_bytes, uint64_t there_bytes,
			bool to_end, uint64_t *pad_bytes)
{
	uint64_t at = 0, last = 0, records = 0, calls = 0;
	bool is_bad = false;

	*pad_bytes = 0;
	while (at < run_bytes) {
		uint32_t size_bytes;
		uint8_t type = run[at + offsetof(struct trap_record, type)];

		memcpy(&size_bytes, run + at, sizeof(size_bytes));
		is_bad = type >= TRAP_TYPES || size_bytes > TRAP_RECORD_MAX_BYTES || size_bytes % 8 ||
			 size_bytes < (type == TRAP_PAD ? 8 : sizeof(struct trap_record)) ||
			 size_bytes > there_bytes - at ||
			 (type == TRAP_PAD && (!to_end || at + size_bytes != there_bytes));
		if (is_bad)
			break;
		if (type == TRAP_PAD) {
			*pad_bytes = size_bytes;
			break;
		}
		if (size_bytes > run_bytes - at)
			break;
		if (type == TRAP_GAP)
			count_gap(counts, run + at, size_bytes);
		calls += type == TRAP_ENTER || type == TRAP_EXIT;
		records++;
		last = at;
		at += size_bytes;
	}
	counts->records += records;
	counts->calls += calls;
	if (records) {
		memcpy(&counts->last_seq, run + last + offsetof(struct trap_record, seq), sizeof(counts->last_seq));
		memcpy(&counts->last_tsc, run + last + offsetof(struct trap_record, tsc), sizeof(counts->last_tsc));
	}
	/* what came before is good */
	return is_bad && !at ? -EBADMSG : (int64_t)at;
}

bool trap_ring_is_waited_for(const struct trap_ring *ring)
{
	return __atomic_load_n(&ring_producer(ring)->waiting, __ATOMIC_RELAXED);
}

/* Gives room back. What follows sees a head no older than this. */
static void store_tail(struct trap_ring *ring, uint64_t tail)
{
	static const struct itimerspec now = {.it_value.tv_nsec = 1};

	ring->tail = tail;
	/* pairs with the acquire load in trap_writer_has_room(): our copy is done */
	__atomic_store_n(&ring_consumer(ring)->tail, tail, __ATOMIC_RELEASE);
	/*
	 * Between our store of tail and loads of head (the caller's next
	 * trap_ring_fill_bytes()) and of waiting; pairs with the barriers of
	 * trap_writer_should_signal() and trap_writer_wait_begin().
	 */
	__sync_synchronize();
	/*
	 * Never sleep on a descriptor that the producer chose: whatever it does to a timer, arming it does not
	 * block. One that can't be armed harms the producer alone.
	 */
	if (ring->room_fd >= 0 && trap_ring_is_waited_for(ring))
		timerfd_settime(ring->room_fd, 0, &now, NULL);
}

int64_t trap_ring_drain(struct trap_ring *ring, void *buffer, size_t size_bytes)
{
	int64_t fill_bytes = trap_ring_fill_bytes(ring);
	uint64_t tail = ring->tail, head = tail + (uint64_t)fill_bytes;
	uint8_t *out = buffer;
	size_t done = 0;

	if (fill_bytes < 0)
		return fill_bytes;
	size_bytes &= ~(size_t)7;
	while (tail != head && done < size_bytes) {
		uint64_t offset = tail & (ring->data_bytes - 1), there_bytes = ring->data_bytes - offset, pad_bytes;
		bool to_end = there_bytes <= head - tail;
		size_t room_bytes = size_bytes - done, run_bytes;
		int64_t walked;

		if (!to_end)
			there_bytes = head - tail;
		/* copied first and walked then: what was checked can't change any more */
		run_bytes = there_bytes < room_bytes ? there_bytes : room_bytes;
		if (run_bytes > RUN_BYTES)
			run_bytes = RUN_BYTES;
		memcpy(out + done, ring_data(ring) + offset, run_bytes);
		walked = walk_run(&ring->counts, out + done, run_bytes, there_bytes, to_end, &pad_bytes);
		if (walked < 0) {
			/* what came before is good; the next call will stumble here again */
			if (done || tail != ring->tail)
				break;
			return walked;
		}
		done += (size_t)walked;
		tail += (uint64_t)walked + pad_bytes;
		/* the next record is bad, or there is no room for it */
		if (!pad_bytes && (uint64_t)walked < there_bytes && (!walked || run_bytes < RUN_BYTES))
			break;
	}
	if (tail != ring->tail)
		store_tail(ring, tail);
	return (int64_t)done;
}
