/* SPDX-License-Identifier: MIT */
/*
 * The room descriptor of a ring is the producer's choice, and shared with it: one that makes an eventfd blocking, and
 * fills it between any look at it and a write to it, must not hang the consumer. Nor must one that plays with a timer.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "trap_ring.h"
#include "trap_ring_producer.h"

#define DATA_BYTES ((uint64_t)TRAP_RING_MIN_BYTES)
#define STUCK_MS   500
#define LIMIT_S    30

struct attack {
	int fd;
	atomic_uint drains; /* that the consumer has done */
	atomic_bool ended;
};

/* Does the consumer still go on? While it does not, the attacker keeps the eventfd full. */
static bool goes_on(struct attack *attack)
{
	unsigned before = atomic_load(&attack->drains);

	for (int ms = 0; ms < STUCK_MS; ms++) {
		if (atomic_load(&attack->drains) != before || atomic_load(&attack->ended))
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

static void write_now(int fd, uint64_t value)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (write(fd, &value, sizeof(value)) < 0)
		CHECK(poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 0) >= 0);
	fcntl(fd, F_SETFL, 0);
}

static void *attack_eventfd(void *arg)
{
	struct attack *attack = arg;

	while (!atomic_load(&attack->ended)) {
		uint64_t count;

		/* all but full, so that a look finds room; and full, when somebody has looked */
		write_now(attack->fd, 0xfffffffffffffffd);
		write_now(attack->fd, 1);
		if (!goes_on(attack))
			return NULL;
		if (poll(&(struct pollfd){.fd = attack->fd, .events = POLLIN}, 1, 0) == 1)
			CHECK_INT(read(attack->fd, &count, sizeof(count)), sizeof(count));
	}
	return NULL;
}

static void *attack_timerfd(void *arg)
{
	static const struct itimerspec soon = {.it_interval.tv_nsec = 1, .it_value.tv_nsec = 1}, never;
	struct attack *attack = arg;

	while (!atomic_load(&attack->ended)) {
		CHECK(!timerfd_settime(attack->fd, 0, &soon, NULL));
		CHECK(!timerfd_settime(attack->fd, TFD_TIMER_ABSTIME, &never, NULL));
		fcntl(attack->fd, F_SETFL, 0);
	}
	return NULL;
}

/* A producer that always waits for room: each drain has to tell it. */
static void run(int room_fd, void *(*run_attack)(void *arg), unsigned nr_drains)
{
	static uint8_t buffer[2 * TRAP_RECORD_MAX_BYTES];
	size_t size = trap_ring_memory_bytes(DATA_BYTES);
	int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct attack attack = {.fd = dup(room_fd)};
	struct trap_writer writer;
	struct trap_ring ring;
	pthread_t thread;
	void *memory;

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	trap_writer_init(&writer, memory, DATA_BYTES, DATA_BYTES / 8, 0);
	CHECK_INT(trap_ring_init(&ring, fd, size, eventfd(0, 0), room_fd), 0);
	trap_writer_wait_begin(&writer);
	CHECK_INT(pthread_create(&thread, NULL, run_attack, &attack), 0);
	for (unsigned i = 0; i < nr_drains; i++) {
		struct trap_record *record = trap_writer_reserve(&writer, sizeof(*record));

		CHECK(record);
		memset(record, 0, sizeof(*record));
		record->type = TRAP_ENTER;
		trap_writer_commit(&writer, sizeof(*record));
		CHECK_INT(trap_ring_drain(&ring, buffer, sizeof(buffer)), sizeof(*record));
		atomic_fetch_add(&attack.drains, 1);
	}
	atomic_store(&attack.ended, true);
	CHECK_INT(pthread_join(thread, NULL), 0);
	trap_ring_deinit(&ring);
	munmap(memory, size);
	close(attack.fd);
}

int main(void)
{
	/* A consumer that hangs is killed, and the test has failed. */
	alarm(LIMIT_S);
	run(eventfd(0, 0), attack_eventfd, 400000);
	run(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), attack_timerfd, 20000);
	return 0;
}
