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

#define STALL_MS 100             /* at most; room wakes it */
#define QUIET_NS (10 * NS_PER_S) /* without a record: memory is given back */
#define NEVER_NS UINT64_MAX

struct drain_ring {
	struct trap_ring ring;
	struct block *block; /* being filled; NULL: none */
	uint64_t since_ns;   /* what is in the ring is not older */
	uint64_t take_bytes; /* it is left alone with less, until that is due */
	uint64_t next_seq;   /* behind the last record that came */
	uint64_t last_tsc;   /* of it */
	bool is_ended;       /* its last loss is told of */
};

struct drain {
	pthread_t thread;
	bool started;
	struct pipeline *pipeline;
	uint64_t age_ns; /* at which records leave the ring and their block is sealed */
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

/* What one look at all rings found. */
struct look {
	uint64_t now_ns;
	bool any_due; /* a ring's records must go on now */
	bool is_last; /* all must, as it ends */
	bool stalled; /* some is left as there was no block */
	bool again;   /* a ring reached its watermark meanwhile */
	uint64_t moved_bytes;
	unsigned fill_percent;
};

static void nudge(void *ctx)
{
	const uint64_t one = 1;
	struct drain *drain = ctx;

	if (write(drain->wake_fd, &one, sizeof(one)) < 0)
		return;
}

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

/* With many rings all blocks may be open: the fullest one has to go on. */
static void seal_fullest(struct drain *drain)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);
	struct drain_ring *fullest = NULL;

	for (unsigned i = 0; i < nr_rings; i++) {
		struct drain_ring *ring = drain->rings[i];

		if (ring->block && (!fullest || ring->block->size_bytes > fullest->block->size_bytes))
			fullest = ring;
	}
	if (fullest)
		seal(drain, fullest);
}

static bool is_full(const struct block *block)
{
	return TAPE_TRAPS_MAX_BYTES - block->size_bytes < TRAP_RECORD_MAX_BYTES;
}

/* A block to fill with room for any record. False: the pipeline is full. */
static bool need_block(struct drain *drain, struct drain_ring *ring)
{
	if (ring->block && is_full(ring->block))
		seal(drain, ring);
	if (!ring->block) {
		ring->block = pipeline_block_get(drain->pipeline);
		if (!ring->block) {
			seal_fullest(drain);
			return false;
		}
		ring->block->vcpu = (uint16_t)ring->ring.vcpu;
		ring->block->first_ns = ring->since_ns;
	}
	return true;
}

/* When the oldest record of a ring has to go on, if it came just after it was last known that there was none. */
static uint64_t due_ns(const struct drain *drain, const struct drain_ring *ring)
{
	return (ring->block ? ring->block->first_ns : ring->since_ns) + drain->age_ns;
}

/* Bytes of one ring into a block. 0: only padding was left. */
static int64_t move(struct drain *drain, struct drain_ring *ring)
{
	struct trap_ring_counts before = ring->ring.counts, *after = &ring->ring.counts;
	struct block *block = ring->block;
	int64_t n =
		trap_ring_drain(&ring->ring, block->data + block->size_bytes, TAPE_TRAPS_MAX_BYTES - block->size_bytes);

	if (n <= 0)
		return n < 0 ? fail(drain, ring) : 0;
	block->size_bytes += (size_t)n;
	block->tally.records += after->records - before.records;
	block->tally.events += after->calls - before.calls;
	block->tally.gaps += after->gaps - before.gaps;
	block->tally.gap_lost += after->gap_lost - before.gap_lost;
	ring->next_seq = after->last_seq + 1;
	ring->last_tsc = after->last_tsc;
	return n;
}

/*
 * What is in the ring now, and no more, so that a busy vCPU does not keep us
 * from the others. A big ring's rest that fills no block stays in it until it is due.
 */
static int empty_ring(struct drain *drain, struct drain_ring *ring, struct look *look)
{
	uint64_t due = due_ns(drain, ring), least_bytes;
	/* Who is half-way due goes along with who is due, so that all are due together next time. */
	bool is_due =
		look->is_last || due <= look->now_ns || (look->any_due && due - look->now_ns <= drain->age_ns / 2);
	int64_t fill = trap_ring_fill_bytes(&ring->ring), moved = 0;
	unsigned percent;

	if (fill < 0)
		return fail(drain, ring);
	percent = (unsigned)((uint64_t)fill * 100 / ring->ring.data_bytes);
	look->fill_percent = percent > look->fill_percent ? percent : look->fill_percent;
	least_bytes = is_due || trap_ring_is_waited_for(&ring->ring) ? 1 : ring->take_bytes;
	while (moved < fill && (uint64_t)(fill - moved) >= least_bytes) {
		int64_t n;

		if (!need_block(drain, ring)) {
			look->stalled = true;
			break;
		}
		n = move(drain, ring);
		if (n < 0)
			return (int)n;
		if (n == 0) {
			moved = fill;
			break;
		}
		moved += n;
		if (is_full(ring->block))
			seal(drain, ring);
	}
	look->moved_bytes += (uint64_t)moved;
	/* Padding is no record; more than was there when we looked came after it. */
	if (moved >= fill)
		ring->since_ns = look->now_ns;
	if (ring->block && (is_due || !ring->block->size_bytes))
		seal(drain, ring);
	return 0;
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

/* One look at all rings. */
static int pass(struct drain *drain, struct look *look)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);

	look->now_ns = now_ns();
	for (unsigned i = 0; i < nr_rings; i++)
		look->any_due |= due_ns(drain, drain->rings[i]) <= look->now_ns;
	for (unsigned i = 0; i < nr_rings; i++) {
		int ret = empty_ring(drain, drain->rings[(drain->turn + i) % nr_rings], look);

		if (ret)
			return ret;
	}
	/* The producer signals once for a tail, and may have done so before we stored this one. */
	for (unsigned i = 0; i < nr_rings; i++)
		look->again |= trap_ring_fill_bytes(&drain->rings[i]->ring) >= (int64_t)drain->rings[i]->take_bytes;
	atomic_store_explicit(&drain->fill_percent, look->fill_percent, memory_order_relaxed);
	pipeline_note_ring(drain->pipeline, look->fill_percent);
	/* When blocks are few, who comes first gets them all: each in turn, or a busy vCPU would starve the others. */
	if (look->stalled)
		drain->turn++;
	count_losses(drain);
	return 0;
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
		ring->block->tally.records++;
		ring->block->tally.gaps++;
		ring->block->tally.gap_lost += gap.lost_records;
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

/*
 * How long it may sleep. Only a ring that reaches its watermark wakes us: a lone
 * record in an empty ring is seen when we look by ourselves. It may have come
 * just after the last look, so the sleep must end at that look plus the age
 * at which records have to go on; age_ns leaves the rest of the flush time
 * for compression and the disk. That is also all an idle VM costs.
 */
static int sleep_ms(const struct drain *drain)
{
	unsigned nr_rings = atomic_load_explicit(&drain->nr_rings, memory_order_acquire);
	uint64_t until = NEVER_NS, now = now_ns();

	for (unsigned i = 0; i < nr_rings; i++) {
		uint64_t due = due_ns(drain, drain->rings[i]);

		until = due < until ? due : until;
	}
	if (until == NEVER_NS)
		return -1; /* the first ring wakes us */
	return until <= now ? 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static void wait_rings(struct drain *drain, const struct look *look)
{
	struct epoll_event events[16];

	if (look->stalled) {
		atomic_fetch_add_explicit(&drain->stalls, 1, memory_order_relaxed);
		epoll_wait(drain->epoll_fd, events, 16, STALL_MS);
	} else if (!look->again) {
		epoll_wait(drain->epoll_fd, events, 16, sleep_ms(drain));
	}
}

static void *run(void *arg)
{
	struct drain *drain = arg;
	uint64_t last_moved_ns = 0;

	pthread_setname_np(pthread_self(), "vmtape-drain");
	while (!atomic_load_explicit(&drain->ending, memory_order_acquire)) {
		/* Read before the look: what is in the rings when it becomes true is all that there will be. */
		struct look look = {.is_last = atomic_load_explicit(&drain->finishing, memory_order_acquire)};

		if (pass(drain, &look))
			break;
		if (look.is_last && !look.stalled) {
			if (tell_last_losses(drain))
				break;
			look.stalled = true;
		}
		if (look.moved_bytes) {
			last_moved_ns = look.now_ns;
		} else if (last_moved_ns && look.now_ns - last_moved_ns >= QUIET_NS) {
			pipeline_trim(drain->pipeline);
			last_moved_ns = 0;
		}
		wait_rings(drain, &look);
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
	pipeline_on_room(pipeline, nudge, drain);
	drain->age_ns = flush_ms * NS_PER_MS * 4 / 5;
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

void drain_destroy(struct drain *drain)
{
	if (!drain)
		return;
	if (drain->started) {
		atomic_store_explicit(&drain->ending, true, memory_order_release);
		nudge(drain);
		pthread_join(drain->thread, NULL);
	}
	pipeline_on_room(drain->pipeline, NULL, NULL);
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

uint64_t drain_watermark_bytes(uint64_t ring_bytes)
{
	/* A block's worth; of small rings less, as they must have room for what comes until we run. */
	return ring_bytes / 8 < TAPE_TRAPS_MAX_BYTES ? ring_bytes / 8 : TAPE_TRAPS_MAX_BYTES;
}

/* Not more than the watermark that the producer has: below it, nobody would wake us. */
static uint64_t take_bytes(const struct trap_ring *ring)
{
	const struct trap_ring_producer *head = ring->memory;
	uint64_t ours = drain_watermark_bytes(ring->data_bytes);
	uint64_t theirs = __atomic_load_n(&head->watermark_bytes, __ATOMIC_RELAXED);

	return theirs && theirs < ours ? theirs : ours;
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
	added->take_bytes = take_bytes(ring);
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
