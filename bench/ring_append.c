/* SPDX-License-Identifier: MIT */
/*
 * ring_append.c - what a register-only record costs the producer: reserve,
 * fill (RDTSC included), commit, wake-up check and the eventfd writes that it
 * asks for, in CPU time of the producer's thread; and the same with a string,
 * which lttng_peer.c sends through LTTng. A figure, not a test.
 */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "trap_ring.h"
#include "trap_ring_producer.h"

#define RING_BYTES  (16ull << 20)
#define REPETITIONS 21
#define BATCHES     8
#define GOAL_NS     40.0

#define BIT(reg) (1u << TRAP_REG_##reg)
/* an entry as a Linux guest's plan asks for it, and one with all that an unknown guest needs */
#define LINUX_REGS                                                                                                   \
	(BIT(RAX) | BIT(RDI) | BIT(RSI) | BIT(RDX) | BIT(R10) | BIT(R8) | BIT(R9) | BIT(RSP) | BIT(RIP) | BIT(CR3) | \
	 BIT(TASK) | BIT(TASK_ID))
#define ALL_REGS ((1u << TRAP_REGS) - 1)
/* a call with its number, address, arguments and a string of 32 bytes: what lttng_peer.c sends */
#define CALL_REGS  (BIT(RAX) | BIT(RDI) | BIT(RSI) | BIT(RDX) | BIT(R10) | BIT(R8) | BIT(R9) | BIT(RIP))
#define TEXT_BYTES 32u

struct bench {
	struct trap_writer writer;
	struct trap_ring ring;
	int data_fd;
	atomic_bool stop;
	uint64_t records, drops, signals;
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t read_tsc(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint32_t record_bytes(uint32_t mask, const char *text)
{
	return (uint32_t)(sizeof(struct trap_record) + 8 * (size_t)__builtin_popcount(mask) +
			  (text ? sizeof(struct trap_fragment) + TEXT_BYTES : 0));
}

/* As a producer does it: registers lie in the CPU's state, a mask says which to take. */
static inline __attribute__((always_inline)) void append(struct bench *bench, const uint64_t *cpu, uint32_t mask,
							 const char *text)
{
	uint32_t size_bytes = record_bytes(mask, text);
	uint64_t tsc = read_tsc();
	struct trap_record *record = trap_writer_reserve(&bench->writer, size_bytes);
	const uint64_t one = 1;
	uint64_t *regs;

	if (!record) {
		trap_writer_drop(&bench->writer, tsc);
		bench->drops++;
		return;
	}
	record->type = TRAP_ENTER;
	record->abi = TRAP_ABI_X86_64;
	record->via = TRAP_VIA_SYSCALL;
	record->flags = 0;
	record->nr_fragments = text != NULL;
	record->reg_mask = mask;
	record->tsc = tsc;
	regs = (uint64_t *)(record + 1);
	if (mask == CALL_REGS) {
		/* known when it is compiled, as LTTng's layout is */
		static const uint8_t order[] = {TRAP_REG_RAX, TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI,
						TRAP_REG_R8,  TRAP_REG_R9,  TRAP_REG_R10, TRAP_REG_RIP};

#pragma GCC unroll 8
		for (unsigned i = 0; i < sizeof(order); i++)
			*regs++ = cpu[order[i]];
	} else {
		for (uint32_t left = mask; left; left &= left - 1)
			*regs++ = cpu[__builtin_ctz(left)];
	}
	if (text) {
		struct trap_fragment *fragment = (struct trap_fragment *)regs;

		*fragment = (struct trap_fragment){
			.gva = cpu[TRAP_REG_RSI], .want_bytes = TEXT_BYTES, .len_bytes = TEXT_BYTES};
		memcpy(fragment + 1, text, TEXT_BYTES);
	}
	trap_writer_commit(&bench->writer, size_bytes);
	bench->records++;
	if (trap_writer_should_signal(&bench->writer)) {
		bench->signals++;
		if (write(bench->data_fd, &one, sizeof(one)) != sizeof(one))
			die("eventfd");
	}
}

static void *consume(void *arg)
{
	static uint8_t buffer[4 << 20];
	struct bench *bench = arg;

	while (!atomic_load(&bench->stop)) {
		struct pollfd event = {.fd = bench->ring.data_fd, .events = POLLIN};
		uint64_t value;

		/* the time-out empties the ring between batches */
		if (poll(&event, 1, 1) == 1 && read(event.fd, &value, sizeof(value)) != sizeof(value))
			die("eventfd");
		while (trap_ring_drain(&bench->ring, buffer, sizeof(buffer)) > 0)
			;
	}
	return NULL;
}

/* CPU ns a record, of batches that fit into the ring; it is emptied between them, off the clock. */
static double repetition(struct bench *bench, uint32_t mask, const char *text, bool live)
{
	uint64_t cpu[TRAP_REGS], spent_ns = 0;
	uint64_t batch = RING_BYTES / 2 / record_bytes(mask, text);
	struct trap_ring_consumer *consumer =
		(struct trap_ring_consumer *)((uint8_t *)bench->ring.memory + TRAP_RING_PAGE);

	for (unsigned i = 0; i < TRAP_REGS; i++)
		cpu[i] = 0x9e3779b97f4a7c15ull * i;
	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t start_ns = cpu_ns();

		for (uint64_t n = 0; n < batch; n++) {
			/* what the guest does between two calls may change any of them */
			__asm__ volatile("" : : "r"(cpu) : "memory");
			append(bench, cpu, mask, text);
		}
		spent_ns += cpu_ns() - start_ns;
		if (!live)
			__atomic_store_n(&consumer->tail, bench->writer.head, __ATOMIC_RELEASE);
		while (__atomic_load_n(&consumer->tail, __ATOMIC_ACQUIRE) != bench->writer.head)
			usleep(200);
	}
	return (double)spent_ns / (double)(BATCHES * batch);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, uint32_t mask, const char *text, bool live)
{
	size_t memory_bytes = trap_ring_memory_bytes(RING_BYTES);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	struct bench bench = {.data_fd = eventfd(0, EFD_NONBLOCK)};
	double ns[REPETITIONS];
	pthread_t thread;
	void *memory;

	if (fd < 0 || bench.data_fd < 0 || ftruncate(fd, (off_t)memory_bytes))
		die("ring memory");
	memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	trap_writer_init(&bench.writer, memory, RING_BYTES, RING_BYTES / 8, 0);
	if (trap_ring_init(&bench.ring, fd, memory_bytes, dup(bench.data_fd), -1)) {
		fprintf(stderr, "ring was not accepted\n");
		exit(2);
	}
	if (live && pthread_create(&thread, NULL, consume, &bench))
		die("thread");

	repetition(&bench, mask, text, live); /* warms up */
	bench.records = bench.signals = 0;
	for (unsigned i = 0; i < REPETITIONS; i++)
		ns[i] = repetition(&bench, mask, text, live);
	if (live) {
		atomic_store(&bench.stop, true);
		pthread_join(thread, NULL);
	}
	if (!name) {
		for (unsigned i = 0; i < REPETITIONS; i++)
			printf("append_ns %.2f\n", ns[i]);
		goto end;
	}
	qsort(ns, REPETITIONS, sizeof(ns[0]), by_value);
	printf("| %-42s | %7d | %9.1f | %5.1f - %5.1f | %4.0f | %-3s | %8" PRIu64 " | %7" PRIu64 " | %5" PRIu64 " |\n",
	       name, __builtin_popcount(mask), ns[REPETITIONS / 2], ns[0], ns[REPETITIONS - 1], GOAL_NS,
	       ns[REPETITIONS / 2] <= GOAL_NS ? "yes" : "no", bench.records, bench.signals, bench.drops);
	fflush(stdout);
end:
	trap_ring_deinit(&bench.ring);
	munmap(memory, memory_bytes);
	close(bench.data_fd);
}

/* "call": only the call with its string, and only figures, for throughput.py. */
int main(int argc, char **argv)
{
	static const char text[TEXT_BYTES + 1] = "/usr/lib/x86_64-linux-gnu/libc.s";

	if (argc > 1) {
		if (argc > 2 || strcmp(argv[1], "call")) {
			fprintf(stderr, "Usage: bench_ring_append [call]\n");
			return 2;
		}
		measure(NULL, CALL_REGS, text, false);
		return 0;
	}
	printf("CPU time of the producer for one record, %d repetitions of %d batches of %llu MiB\n\n", REPETITIONS,
	       BATCHES, RING_BYTES >> 21);
	printf("| %-42s | regs    | median ns | min - max     | goal | met | records  | wakeups | lost  |\n", "case");
	printf("|--------------------------------------------|---------|-----------|---------------|------|-----|------"
	       "----|"
	       "---------|-------|\n");
	measure("no consumer, Linux entry", LINUX_REGS, NULL, false);
	measure("no consumer, all registers", ALL_REGS, NULL, false);
	measure("no consumer, call and 32 bytes", CALL_REGS, text, false);
	measure("live consumer, Linux entry", LINUX_REGS, NULL, true);
	measure("live consumer, all registers", ALL_REGS, NULL, true);
	measure("live consumer, call and 32 bytes", CALL_REGS, text, true);
	return 0;
}
