/* SPDX-License-Identifier: MIT */
/*
 * Trap ring with a real producer and a real consumer thread that sleeps on the
 * eventfd: a million records, every number checked, and no lost wake-up (the
 * sleep has no other way out than its descriptor; a time-out fails the test).
 * One producer stops at the fill at which no consumer may sleep any more, until
 * it sees that none does: test_trap_ring_model.c tells why that must be so.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "trap_record.h"
#include "trap_ring.h"
#include "trap_ring_producer.h"

#define DATA_BYTES (256ull << 10)
#define LOST_MS    20000

struct run {
	uint64_t nr_records;
	bool block;
	unsigned slow_every;  /* consumer naps after so many drains; 0: never */
	unsigned pause_every; /* producer naps after so many records; 0: never */
	uint64_t stop_bytes;  /* producer waits at this fill until the consumer moves; 0: never */
	int data_fd, room_fd;
	struct trap_writer writer;
	struct trap_ring ring;
	atomic_bool done;
	/* producer's count, consumer's count */
	uint64_t dropped, signals, waits;
	uint64_t records, lost, gaps, sleeps;
};

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	CHECK_INT(write(fd, &one, sizeof(one)), sizeof(one));
}

static void wait_fd(int fd, const char *who)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};
	uint64_t value;

	if (poll(&event, 1, LOST_MS) != 1) {
		fprintf(stderr, "%s slept and was not woken\n", who);
		exit(1);
	}
	CHECK_INT(read(fd, &value, sizeof(value)), sizeof(value));
}

static struct trap_record *reserve_blocking(struct run *run, uint32_t size_bytes)
{
	struct trap_record *record;

	for (;;) {
		trap_writer_wait_begin(&run->writer);
		record = trap_writer_reserve(&run->writer, size_bytes);
		if (!record) {
			run->waits++;
			signal_fd(run->data_fd);
			wait_fd(run->room_fd, "producer");
		}
		trap_writer_wait_end(&run->writer, 0);
		if (record)
			return record;
	}
}

/* At this fill nobody may sleep who was not signalled. */
static void wait_for_consumer(const struct trap_writer *writer, uint64_t fill_bytes)
{
	struct timespec started, now;

	clock_gettime(CLOCK_MONOTONIC, &started);
	while (writer->head - __atomic_load_n(&writer->consumer->tail, __ATOMIC_ACQUIRE) >= fill_bytes) {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - started.tv_sec > LOST_MS / 1000) {
			fprintf(stderr, "the consumer slept above the watermark, and was not woken\n");
			exit(1);
		}
	}
}

static void *produce(void *arg)
{
	struct run *run = arg;
	uint64_t random = 0x9e3779b97f4a7c15ull;

	for (uint64_t i = 0; i < run->nr_records; i++) {
		uint32_t words, size_bytes;
		struct trap_record *record;
		uint64_t *payload;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		words = (uint32_t)(random % TRAP_REGS);
		size_bytes = (uint32_t)sizeof(*record) + 8 * words;
		/* more than is used, as a producer does that does not know yet */
		record = trap_writer_reserve(&run->writer, size_bytes + 512);
		if (!record && run->block)
			record = reserve_blocking(run, size_bytes + 512);
		if (!record) {
			trap_writer_drop(&run->writer, i);
			run->dropped++;
		} else {
			memset(record, 0, sizeof(*record));
			record->type = TRAP_ENTER;
			record->tsc = i;
			record->reg_mask = (1u << words) - 1;
			payload = (uint64_t *)(record + 1);
			for (uint32_t j = 0; j < words; j++)
				payload[j] = i * 31 + j;
			trap_writer_commit(&run->writer, size_bytes);
		}
		if (trap_writer_should_signal(&run->writer)) {
			signal_fd(run->data_fd);
			run->signals++;
		}
		if (run->stop_bytes)
			wait_for_consumer(&run->writer, run->stop_bytes);
		if (run->pause_every && !(i % run->pause_every))
			nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
	atomic_store(&run->done, true);
	signal_fd(run->data_fd);
	return NULL;
}

static void check_records(struct run *run, const uint8_t *data, int64_t size, uint64_t *seq, uint64_t *tsc)
{
	for (int64_t at = 0; at < size;) {
		struct trap_view view;
		int n = trap_view_parse(&view, data + at, (size_t)(size - at), NULL);

		CHECK(n > 0);
		at += n;
		if (view.header.type == TRAP_GAP) {
			struct trap_gap gap;

			trap_view_gap(&view, &gap);
			CHECK_INT(gap.first_seq, *seq);
			CHECK_INT(gap.first_tsc, *tsc);
			CHECK_INT(gap.last_tsc, *tsc + gap.lost_records - 1);
			*seq += gap.lost_records;
			*tsc += gap.lost_records;
			run->lost += gap.lost_records;
			run->gaps++;
		} else {
			unsigned words = (unsigned)__builtin_popcount(view.header.reg_mask);

			CHECK_INT(view.header.tsc, *tsc);
			for (unsigned j = 0; j < words; j++)
				CHECK(view.regs[j] == *tsc * 31 + j);
			(*tsc)++;
			run->records++;
		}
		CHECK_INT(view.header.seq, *seq);
		(*seq)++;
	}
}

static void *consume(void *arg)
{
	static uint8_t buffer[2 * TRAP_RECORD_MAX_BYTES];
	struct run *run = arg;
	uint64_t seq = 0, tsc = 0, drains = 0;

	for (;;) {
		bool done = atomic_load(&run->done);
		int64_t got = trap_ring_drain(&run->ring, buffer, sizeof(buffer));

		CHECK(got >= 0);
		check_records(run, buffer, got, &seq, &tsc);
		if (run->slow_every && !(++drains % run->slow_every))
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		if (got)
			continue;
		if (done)
			return NULL;
		/* the drain that found nothing stored no tail: only the one before did, and its barrier still holds */
		if (trap_ring_fill_bytes(&run->ring) < (int64_t)run->writer.watermark_bytes) {
			wait_fd(run->ring.data_fd, "consumer");
			run->sleeps++;
		}
	}
}

static void run_threads(const char *name, uint64_t nr_records, bool block, unsigned slow_every, unsigned pause_every,
			uint64_t watermark_bytes)
{
	size_t size = trap_ring_memory_bytes(DATA_BYTES);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	struct run run = {
		.nr_records = nr_records, .block = block, .slow_every = slow_every, .pause_every = pause_every};
	pthread_t producer, consumer;
	void *memory;

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	trap_writer_init(&run.writer, memory, DATA_BYTES, watermark_bytes ? watermark_bytes : DATA_BYTES / 8, 0);
	if (watermark_bytes)
		run.stop_bytes = watermark_bytes + run.writer.look_bytes;
	run.data_fd = eventfd(0, 0);
	run.room_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	CHECK_INT(trap_ring_init(&run.ring, fd, size, dup(run.data_fd), dup(run.room_fd)), 0);

	CHECK_INT(pthread_create(&consumer, NULL, consume, &run), 0);
	CHECK_INT(pthread_create(&producer, NULL, produce, &run), 0);
	CHECK_INT(pthread_join(producer, NULL), 0);
	CHECK_INT(pthread_join(consumer, NULL), 0);

	/* losses at the very end are told by nobody but the counter, unless flushed */
	CHECK_INT(run.records + run.lost + run.writer.untold.lost_records, nr_records);
	CHECK_INT(run.writer.shared->lost_records, run.dropped);
	CHECK(!block || !run.dropped);
	/* a wake-up serves many records */
	CHECK(watermark_bytes || run.signals <= nr_records / 20);
	printf("%s: %" PRIu64 " records, %" PRIu64 " lost in %" PRIu64 " gaps, %" PRIu64 " signals, %" PRIu64
	       " sleeps, %" PRIu64 " waits for room\n",
	       name, run.records, run.lost, run.gaps, run.signals, run.sleeps, run.waits);
	/* a consumer that hardly got to run slept as hardly */
	if (pause_every)
		CHECK(run.sleeps > 10 || run.dropped > nr_records / 4);
	/* told by gaps, or, when the consumer did not get to run again, by the counter alone */
	if (slow_every && !block)
		CHECK(run.dropped > 0);
	trap_ring_deinit(&run.ring);
	munmap(memory, size);
	close(run.data_fd);
	close(run.room_fd);
}

int main(void)
{
	run_threads("drop", 1000000, false, 0, 0, 0);
	run_threads("drop, slow consumer", 300000, false, 3, 0, 0);
	run_threads("block", 500000, true, 0, 0, 0);
	run_threads("block, slow consumer", 100000, true, 5, 0, 0);
	run_threads("drop, slow producer", 300000, false, 0, 61, 0);
	run_threads("drop, stops above the watermark", 30000, false, 0, 0, 64);
	return 0;
}
