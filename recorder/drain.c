/* SPDX-License-Identifier: MIT */
#include "drain.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "producer_calls.h"

#define BUSY_MS  10
#define STALL_MS 5

struct drain_ring {
	struct trap_ring ring;
	struct block *block; /* being filled; NULL: none */
	uint64_t next_seq;   /* behind the last record that came */
	uint64_t last_tsc;   /* of it */
	bool is_ended;       /* its last loss is told of */
};

struct drain {
	pthread_t thread;
	bool started;
	struct pipeline *pipeline;
	uint64_t seal_ns; /* age at which a block is sealed */
	int idle_ms;
	int epoll_fd;
	int wake_fd;
	void (*wake)(void *ctx);
	void *wake_ctx;

	struct drain_ring *rings[PRODUCER_MAX_VCPUS]; /* below nr_rings never changed again */
	atomic_uint nr_rings;
	unsigned turn; /* ring that is looked at first; the thread's own */
	atomic_bool finishing;
	atomic_bool ending;
	atomic_bool finished;
	atomic_bool failed; /* error is filled */
	struct record_error error;

	atomic_uint_fast64_t lost_records, blocked_ns, stalls;
	atomic_uint fill_percent;
};

/* ---- the thread ------------------------------------------------------ */

static void seal(struct drain *drain, struct drain_ring *ring)
{
	if (ring->block->size_bytes)
		pipeline_block_seal(drain->pipeline, ring->block);
	else
		pipeline_block_put(drain->pipeline, ring->block);
	ring->block = NULL;
}

static int fail(struct drain *drain, const struct drain_ring *ring)
{
	record_error_set(&drain->error, -EPROTO, "the ring of vCPU %u is broken: the VM wrote what is no record",
			 ring->ring.vcpu);
	atomic_store_explicit(&drain->failed, true, memory_order_release);
	return -EPROTO;
}

/* A block to fill with room for any record. False: the pipeline is full. */
static bool need_block(struct drain *drain, struct drain_ring *ring)
{
	if (ring->block && sizeof(ring->block->data) - ring->block->size_bytes < TRAP_RECORD_MAX_BYTES)
		seal(drain, ring);
	if (!ring->block) {
		ring->block = pipeline_block_get(drain->pipeline);
		if (!ring->block)
			return false;
		ring->block->vcpu = (uint16_t)ring->ring.vcpu;
		ring->block->first_ns = now_ns();
	}
	return true;
}

/* Where the numbers stand. The ring checked the records' sizes. */
static void note_last(struct drain_ring *ring, const uint8_t *records, size_t size_bytes)
{
	size_t at = 0, last = 0;
	struct trap_record record;

	while (at < size_bytes) {
		uint32_t record_bytes;

		last = at;
		memcpy(&record_bytes, records + at, sizeof(record_bytes));
		at += record_bytes;
	}
	memcpy(&record, records + last, sizeof(record));
	ring->next_seq = record.seq + 1;
	ring->last_tsc = record.tsc;
}

/*
 * What is in the ring now, and no more, so that a busy vCPU does not keep us
 * from the others. *stalled: some is left as there was no block.
 */
static int64_t empty_ring(struct drain *drain, struct drain_ring *ring, bool *stalled)
{
	int64_t fill = trap_ring_fill_bytes(&ring->ring), moved = 0;
	unsigned percent;

	if (fill < 0)
		return fail(drain, ring);
	percent = (unsigned)((uint64_t)fill * 100 / ring->ring.data_bytes);
	if (percent > atomic_load_explicit(&drain->fill_percent, memory_order_relaxed))
		atomic_store_explicit(&drain->fill_percent, percent, memory_order_relaxed);
	while (moved < fill) {
		struct block *block;
		int64_t n;

		if (!need_block(drain, ring)) {
			*stalled = true;
			break;
		}
		block = ring->block;
		n = trap_ring_drain(&ring->ring, block->data + block->size_bytes,
				    sizeof(block->data) - block->size_bytes);
		if (n < 0)
			return fail(drain, ring);
		if (n == 0)
			break; /* only padding was left */
		note_last(ring, block->data + block->size_bytes, (size_t)n);
		block->size_bytes += (size_t)n;
		moved += n;
	}
	if (ring->block && !ring->block->size_bytes)
		seal(drain, ring);
	return moved;
}

static void count_losses(struct drain *drain)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);
	uint64_t lost = 0, blocked = 0;

	for (unsigned i = 0; i < nr_rings; i++) {
		const struct trap_ring_producer *head = drain->rings[i]->ring.memory;

		lost += __atomic_load_n(&head->lost_records, __ATOMIC_RELAXED);
		blocked += __atomic_load_n(&head->blocked_ns, __ATOMIC_RELAXED);
	}
	atomic_store_explicit(&drain->lost_records, lost, memory_order_relaxed);
	atomic_store_explicit(&drain->blocked_ns, blocked, memory_order_relaxed);
}

/* One look at all rings. Returns bytes moved or an error. */
static int64_t pass(struct drain *drain, bool *stalled)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);
	uint64_t now = now_ns();
	int64_t moved = 0;

	atomic_store_explicit(&drain->fill_percent, 0, memory_order_relaxed);
	*stalled = false;
	for (unsigned i = 0; i < nr_rings; i++) {
		struct drain_ring *ring = drain->rings[(drain->turn + i) % nr_rings];
		int64_t n = empty_ring(drain, ring, stalled);

		if (n < 0)
			return n;
		moved += n;
		if (ring->block && now > ring->block->first_ns && now - ring->block->first_ns >= drain->seal_ns)
			seal(drain, ring);
	}
	/* When blocks are few, who comes first gets them all: each in turn, or a busy vCPU would starve the others. */
	if (*stalled)
		drain->turn++;
	count_losses(drain);
	return moved;
}

/*
 * A ring that was full to the end has no gap record for what was lost last: the
 * VM could not place one. The numbers tell how many, so one is made here. False:
 * the pipeline is full.
 */
static bool tell_last_losses(struct drain *drain)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);
	uint64_t last_tsc = 0;

	/* They may have gone on to be lost until the end, as far as any vCPU's records go. */
	for (unsigned i = 0; i < nr_rings; i++)
		if (drain->rings[i]->last_tsc > last_tsc)
			last_tsc = drain->rings[i]->last_tsc;
	for (unsigned i = 0; i < nr_rings; i++) {
		struct drain_ring *ring = drain->rings[i];
		const struct trap_ring_producer *head = ring->ring.memory;
		uint64_t next_seq = __atomic_load_n(&head->next_seq, __ATOMIC_RELAXED);
		struct trap_record record = {
			.size_bytes = sizeof(record) + sizeof(struct trap_gap),
			.type = TRAP_GAP,
			.vcpu = (uint16_t)ring->ring.vcpu,
			.seq = next_seq,
			.tsc = ring->last_tsc,
		};
		struct trap_gap gap = {
			.lost_records = next_seq - ring->next_seq,
			.first_seq = ring->next_seq,
			.first_tsc = ring->last_tsc,
			.last_tsc = last_tsc,
		};

		if (ring->is_ended || next_seq <= ring->next_seq)
			continue;
		if (!need_block(drain, ring))
			return false;
		memcpy(ring->block->data + ring->block->size_bytes, &record, sizeof(record));
		memcpy(ring->block->data + ring->block->size_bytes + sizeof(record), &gap, sizeof(gap));
		ring->block->size_bytes += record.size_bytes;
		ring->is_ended = true;
	}
	return true;
}

static void seal_all(struct drain *drain)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);

	for (unsigned i = 0; i < nr_rings; i++)
		if (drain->rings[i]->block)
			seal(drain, drain->rings[i]);
}

static void *run(void *arg)
{
	struct drain *drain = arg;

	while (!atomic_load_explicit(&drain->ending, memory_order_acquire)) {
		/* Read before the look: what is in the rings when it becomes true is all that there will be. */
		bool finishing = atomic_load_explicit(&drain->finishing, memory_order_acquire), stalled;
		int64_t moved = pass(drain, &stalled);
		struct epoll_event events[16];

		if (moved < 0)
			break;
		if (finishing && !stalled && tell_last_losses(drain))
			break;
		if (stalled || finishing) {
			struct timespec pause = {.tv_nsec = STALL_MS * 1000000};

			if (stalled)
				atomic_fetch_add_explicit(&drain->stalls, 1, memory_order_relaxed);
			nanosleep(&pause, NULL);
			continue;
		}
		epoll_wait(drain->epoll_fd, events, 16, moved ? BUSY_MS : drain->idle_ms);
	}
	seal_all(drain);
	count_losses(drain);
	atomic_store_explicit(&drain->finished, true, memory_order_release);
	drain->wake(drain->wake_ctx);
	return NULL;
}

/* ---- main thread ----------------------------------------------------- */

int drain_create(struct drain **out, struct pipeline *pipeline, uint64_t flush_ms, void (*wake)(void *ctx),
		 void *wake_ctx, struct record_error *error)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct drain *drain = calloc(1, sizeof(*drain));
	int ret = ENOMEM;

	*out = NULL;
	if (!drain)
		return record_error_set(error, -ENOMEM, "out of memory");
	drain->pipeline = pipeline;
	/* What lies in a ring, waits in a block and is compressed must be in the file within flush_ms. */
	drain->idle_ms = flush_ms / 10 > 100 ? 100 : (int)(flush_ms / 10);
	drain->seal_ns = (flush_ms * 3 / 4) * NS_PER_MS;
	drain->wake = wake;
	drain->wake_ctx = wake_ctx;
	drain->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	drain->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (drain->epoll_fd < 0 || drain->wake_fd < 0 ||
	    epoll_ctl(drain->epoll_fd, EPOLL_CTL_ADD, drain->wake_fd, &event))
		ret = errno;
	else
		ret = pthread_create(&drain->thread, NULL, run, drain);
	if (ret) {
		drain_destroy(drain);
		return record_error_set(error, -ret, "cannot start a thread: %s", strerror(ret));
	}
	drain->started = true;
	*out = drain;
	return 0;
}

static void nudge(struct drain *drain)
{
	uint64_t one = 1;

	if (write(drain->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void drain_destroy(struct drain *drain)
{
	if (!drain)
		return;
	if (drain->started) {
		atomic_store_explicit(&drain->ending, true, memory_order_release);
		nudge(drain);
		pthread_join(drain->thread, NULL);
	}
	for (unsigned i = 0; i < atomic_load(&drain->nr_rings); i++) {
		trap_ring_deinit(&drain->rings[i]->ring);
		free(drain->rings[i]);
	}
	if (drain->epoll_fd >= 0)
		close(drain->epoll_fd);
	if (drain->wake_fd >= 0)
		close(drain->wake_fd);
	free(drain);
}

int drain_add_ring(struct drain *drain, struct trap_ring *ring, struct record_error *error)
{
	/*
	 * Edge-triggered, so that the eventfd is never read: a read of a descriptor
	 * that the VM can make blocking could hang us.
	 */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_relaxed);
	struct drain_ring *added = NULL;
	int ret = 0;

	for (unsigned i = 0; i < nr_rings && !ret; i++)
		if (drain->rings[i]->ring.vcpu == ring->vcpu)
			ret = record_error_set(error, -EPROTO, "a second ring came for vCPU %u", ring->vcpu);
	if (!ret && nr_rings >= PRODUCER_MAX_VCPUS)
		ret = record_error_set(error, -EPROTO, "more than %u rings came", PRODUCER_MAX_VCPUS);
	if (!ret) {
		added = calloc(1, sizeof(*added));
		if (!added)
			ret = record_error_set(error, -ENOMEM, "out of memory");
	}
	if (!ret && epoll_ctl(drain->epoll_fd, EPOLL_CTL_ADD, ring->data_fd, &event))
		ret = record_error_set(error, -EPROTO, "vCPU %u: its ring cannot be waited for: %s", ring->vcpu,
				       strerror(errno));
	if (ret) {
		trap_ring_deinit(ring);
		free(added);
		return ret;
	}
	added->ring = *ring;
	drain->rings[nr_rings] = added;
	atomic_store_explicit(&drain->nr_rings, nr_rings + 1, memory_order_release);
	nudge(drain);
	return 0;
}

void drain_finish(struct drain *drain)
{
	atomic_store_explicit(&drain->finishing, true, memory_order_release);
	nudge(drain);
}

bool drain_is_finished(const struct drain *drain)
{
	return atomic_load_explicit(&drain->finished, memory_order_acquire);
}

int drain_error(const struct drain *drain, struct record_error *out)
{
	if (!atomic_load_explicit(&drain->failed, memory_order_acquire))
		return 0;
	if (out)
		*out = drain->error;
	return drain->error.error;
}

void drain_get_stats(const struct drain *drain, struct drain_stats *out)
{
	out->lost_records = atomic_load_explicit(&drain->lost_records, memory_order_relaxed);
	out->blocked_ns = atomic_load_explicit(&drain->blocked_ns, memory_order_relaxed);
	out->fill_percent = atomic_load_explicit(&drain->fill_percent, memory_order_relaxed);
	out->stalls = atomic_load_explicit(&drain->stalls, memory_order_relaxed);
}
