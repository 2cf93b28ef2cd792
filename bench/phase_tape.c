/* SPDX-License-Identifier: MIT */
/*
 * phase_tape OUT.vmt EVENTS [EVENTS_A_FORK] - a tape of the benches' stream on two
 * vCPUs for questions about a part of it: ptrace is called in a five-hundredth of
 * the tape only, in its middle, by every second call there. Calls that change who
 * runs are made as seldom as is asked for (0: never): a wait that finds nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event_stream.h"
#include "tape.h"
#include "trap_record.h"

#define NR_VCPUS    2u
#define BLOCK_BYTES (1u << 20)
#define NR_GETPID   39
#define NR_WAIT4    61
#define NR_PTRACE   101
#define TICKS       5000u /* between two records */
#define TSC_HZ      1000000000ull
#define BIT(reg)    (1u << TRAP_REG_##reg)
#define ENTER_MASK                                                                                                   \
	(BIT(RAX) | BIT(RDX) | BIT(RSP) | BIT(RSI) | BIT(RDI) | BIT(R8) | BIT(R9) | BIT(R10) | BIT(RIP) | BIT(CR3) | \
	 BIT(TASK) | BIT(TASK_ID))
#define EXIT_MASK (BIT(RAX) | BIT(RSP) | BIT(RIP) | BIT(CR3) | BIT(TASK) | BIT(TASK_ID) | BIT(NR))

struct vcpu {
	uint8_t block[BLOCK_BYTES];
	size_t size_bytes;
	uint64_t next_seq, last_task;
	uint64_t position;       /* in the stream */
	uint64_t calls, renamed; /* number that the open call has instead, by task */
};

struct maker {
	struct tape_writer *writer;
	struct tape_encoder *encoder;
	struct vcpu vcpus[NR_VCPUS];
	int fd;
};

static void die(const char *what)
{
	fprintf(stderr, "phase_tape: %s\n", what);
	exit(2);
}

static int write_bytes(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		       void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	const struct maker *maker = ctx;
	ssize_t n = pwrite(maker->fd, buffer, size_bytes, (off_t)offset);

	done(done_ctx, buffer, n == (ssize_t)size_bytes ? (int)n : n < 0 ? -errno : -EIO);
	return 0;
}

static void flush(struct maker *maker, unsigned vcpu)
{
	struct vcpu *v = &maker->vcpus[vcpu];
	struct tape_error error;
	struct tape_chunk *chunk;

	if (!v->size_bytes)
		return;
	if (tape_encoder_traps(maker->encoder, &chunk, (uint16_t)vcpu, v->block, v->size_bytes, &error) ||
	    tape_writer_append(maker->writer, chunk, &error))
		die(error.message);
	v->size_bytes = 0;
}

static void put(struct maker *maker, unsigned vcpu, const struct trap_record *head, const uint64_t *regs,
		const struct stream_event *event)
{
	struct vcpu *v = &maker->vcpus[vcpu];
	size_t regs_bytes = 8 * (size_t)__builtin_popcount(head->reg_mask);
	size_t path_bytes = head->nr_fragments ? event->path_bytes : 0;
	struct trap_record record = *head;
	struct trap_fragment fragment = {.want_bytes = (uint32_t)path_bytes, .len_bytes = (uint16_t)path_bytes};
	uint8_t *at;

	record.size_bytes = (uint32_t)(sizeof(record) + regs_bytes);
	if (path_bytes)
		record.size_bytes += (uint32_t)(sizeof(fragment) + ((path_bytes + 7) & ~7u));
	if (v->size_bytes + record.size_bytes > BLOCK_BYTES)
		flush(maker, vcpu);
	record.seq = v->next_seq++;
	record.vcpu = (uint16_t)vcpu;
	at = v->block + v->size_bytes;
	memset(at, 0, record.size_bytes);
	memcpy(at, &record, sizeof(record));
	memcpy(at + sizeof(record), regs, regs_bytes);
	if (path_bytes) {
		fragment.gva = event->regs[ENTER_RSI];
		memcpy(at + sizeof(record) + regs_bytes, &fragment, sizeof(fragment));
		memcpy(at + sizeof(record) + regs_bytes + sizeof(fragment), event->path, path_bytes);
	}
	v->size_bytes += record.size_bytes;
}

static bool changes_who_runs(uint64_t nr)
{
	static const uint64_t numbers[] = {15, 56, 57, 58, 59, 60, 61, 157, 231, 247, 322, 435};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (nr == numbers[i])
			return true;
	return false;
}

/* One record of the stream, and before it who runs, where that is another task than before. */
static void put_event(struct maker *maker, unsigned vcpu, const struct stream_event *event, uint64_t tsc, uint64_t nr)
{
	struct vcpu *v = &maker->vcpus[vcpu];
	uint64_t regs[EVENT_ENTER_REGS], task = event->regs[event->is_exit ? EXIT_TASK : ENTER_TASK];
	struct trap_record record = {.abi = TRAP_ABI_X86_64, .tsc = tsc};

	memcpy(regs, event->regs, sizeof(regs));
	if (task != v->last_task) {
		uint64_t who[2] = {task, event->regs[event->is_exit ? EXIT_TASK_ID : ENTER_TASK_ID]};

		record.type = TRAP_IDENTITY;
		record.reg_mask = BIT(TASK) | BIT(TASK_ID);
		put(maker, vcpu, &record, who, event);
		v->last_task = task;
	}
	record.type = event->is_exit ? TRAP_EXIT : TRAP_ENTER;
	record.via = event->is_exit ? TRAP_VIA_SYSRET : TRAP_VIA_SYSCALL;
	record.reg_mask = event->is_exit ? EXIT_MASK : ENTER_MASK;
	record.nr_fragments = event->path_bytes != 0;
	regs[event->is_exit ? EXIT_NR : ENTER_RAX] = nr;
	put(maker, vcpu, &record, regs, event);
}

/* Each task's open call keeps the number that it was entered with: tasks are few, so a list by their number serves. */
#define MAX_TASKS 64u
struct open_call {
	uint64_t task, nr;
};

static uint64_t *open_nr(struct open_call *open, uint64_t task)
{
	for (unsigned i = 0; i < MAX_TASKS; i++)
		if (open[i].task == task || !open[i].task) {
			open[i].task = task;
			return &open[i].nr;
		}
	die("more tasks than the stream has");
	return NULL;
}

static void make(struct maker *maker, uint64_t nr_events, uint64_t events_a_fork)
{
	struct event_stream *streams[NR_VCPUS];
	struct open_call open[NR_VCPUS][MAX_TASKS] = {0};
	uint64_t from = nr_events / 2, to = from + nr_events / 500, since_fork = 0, matches = 0;

	for (unsigned v = 0; v < NR_VCPUS; v++) {
		streams[v] = event_stream_create(v + 1);
		if (!streams[v])
			die("no memory");
	}
	for (uint64_t i = 0; i < nr_events; i++) {
		unsigned vcpu = (unsigned)(i % NR_VCPUS);
		struct stream_event event = streams[vcpu]->events[i / NR_VCPUS % EVENT_STREAM_EVENTS];
		uint64_t *number;

		/* The vCPUs' tasks are others. */
		event.regs[event.is_exit ? EXIT_TASK : ENTER_TASK] += vcpu << 24;
		event.regs[event.is_exit ? EXIT_TASK_ID : ENTER_TASK_ID] += vcpu * 0x100000001000ull;
		number = open_nr(open[vcpu], event.regs[event.is_exit ? EXIT_TASK : ENTER_TASK]);
		since_fork++;
		if (!event.is_exit) {
			*number = event.regs[ENTER_RAX];
			if (changes_who_runs(*number))
				*number = NR_GETPID;
			if (i >= from && i < to && i / NR_VCPUS % 2) {
				*number = NR_PTRACE;
				matches++;
			} else if (events_a_fork && since_fork >= events_a_fork) {
				*number = NR_WAIT4;
				since_fork = 0;
			}
		}
		if (event.is_exit && *number == NR_WAIT4)
			event.regs[EXIT_RAX] = (uint64_t)-10;
		put_event(maker, vcpu, &event, (i + 1) * TICKS, *number);
	}
	for (unsigned v = 0; v < NR_VCPUS; v++) {
		flush(maker, v);
		free(streams[v]);
	}
	printf("%" PRIu64 " events, %" PRIu64 " of them enter ptrace\n", nr_events, matches);
}

int main(int argc, char **argv)
{
	struct maker *maker = calloc(1, sizeof(*maker));
	struct tape_sink sink = {.write = write_bytes, .ctx = maker};
	struct tape_totals totals = {0};
	struct tape_error error;
	struct tape_chunk *meta;

	if (argc < 3 || !maker || !strtoull(argv[2], NULL, 10)) {
		fprintf(stderr, "usage: phase_tape OUT.vmt EVENTS [EVENTS_A_FORK]\n");
		return 2;
	}
	maker->fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (maker->fd < 0)
		die(strerror(errno));
	if (tape_writer_create(&maker->writer, &sink, &error) || tape_encoder_create(&maker->encoder, 1, &error) ||
	    tape_chunk_encode_meta(&meta, "tsc_hz=1000000000\nvm_name=phases\n", &error) ||
	    tape_writer_append(maker->writer, meta, &error))
		die(error.message);
	make(maker, strtoull(argv[2], NULL, 10), argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
	totals.records = maker->vcpus[0].next_seq + maker->vcpus[1].next_seq;
	if (tape_writer_finish(maker->writer, "made", &totals, &error))
		die(error.message);
	tape_encoder_destroy(maker->encoder);
	tape_writer_destroy(maker->writer);
	close(maker->fd);
	free(maker);
	return 0;
}
