/* SPDX-License-Identifier: MIT */
/*
 * test_drain.c - drain thread, pipeline and tape thread on real rings: what
 * nobody signals is on the tape within the flush time, an idle ring costs next
 * to nothing, more rings than blocks are served, and none is lost to a stall.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "drain.h"
#include "level_policy.h"
#include "loop.h"
#include "tape_thread.h"
#include "trap_record.h"
#include "trap_ring_producer.h"

#define MAX_RINGS    48u
#define RECORD_BYTES 256u

struct rig {
	char path[64];
	int fd, wake_fd;
	struct tape_thread *tape;
	struct drain *drain;
	unsigned nr_rings;
	struct trap_writer writers[MAX_RINGS];
	int data_fds[MAX_RINGS];
};

static void on_wake(void *ctx)
{
	const uint64_t one = 1;

	CHECK_INT(write(*(int *)ctx, &one, sizeof(one)), sizeof(one));
}

static void nap_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l}, NULL);
}

static void add_ring(struct rig *rig, uint64_t ring_bytes)
{
	size_t memory_bytes = trap_ring_memory_bytes(ring_bytes);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	unsigned n = rig->nr_rings++;
	struct record_error error;
	struct trap_ring ring;
	void *memory;

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)memory_bytes));
	memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	trap_writer_init(&rig->writers[n], memory, ring_bytes, drain_watermark_bytes(ring_bytes), (uint16_t)n);
	rig->data_fds[n] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK_INT(trap_ring_init(&ring, fd, memory_bytes, dup(rig->data_fds[n]), -1), 0);
	CHECK_INT(drain_add_ring(rig->drain, &ring, &error), 0);
}

static void rig_init(struct rig *rig, int level, uint64_t flush_ms)
{
	struct record_error error;

	*rig = (struct rig){.path = "/tmp/vmtape-drain-XXXXXX"};
	rig->fd = mkstemp(rig->path);
	rig->wake_fd = eventfd(0, EFD_CLOEXEC);
	CHECK(rig->fd >= 0 && rig->wake_fd >= 0);
	CHECK_INT(tape_thread_create(&rig->tape, rig->fd, 0, NULL, 2, level, on_wake, &rig->wake_fd, &error), 0);
	CHECK_INT(drain_create(&rig->drain, tape_thread_pipeline(rig->tape), flush_ms, on_wake, &rig->wake_fd, &error),
		  0);
}

static void wait_wake(struct rig *rig)
{
	uint64_t value;

	CHECK_INT(read(rig->wake_fd, &value, sizeof(value)), sizeof(value));
}

/* True: it fitted. Contents follow from the number, and compress badly. */
static bool append(struct rig *rig, unsigned vcpu)
{
	struct trap_writer *writer = &rig->writers[vcpu];
	struct trap_record *record = trap_writer_reserve(writer, RECORD_BYTES);
	uint64_t random = writer->seq * 0x9e3779b97f4a7c15ull + vcpu + 1;

	if (!record)
		return false;
	memset(record, 0, sizeof(*record));
	record->type = TRAP_ENTER;
	record->tsc = now_ns();
	record->nr_fragments = 1;
	((struct trap_fragment *)(record + 1))[0] =
		(struct trap_fragment){.len_bytes = RECORD_BYTES - sizeof(*record) - sizeof(struct trap_fragment)};
	for (uint8_t *at = (uint8_t *)(record + 1) + sizeof(struct trap_fragment);
	     at < (uint8_t *)record + RECORD_BYTES; at += 8) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		memcpy(at, &random, 8);
	}
	trap_writer_commit(writer, RECORD_BYTES);
	if (trap_writer_should_signal(writer))
		on_wake(&rig->data_fds[vcpu]);
	return true;
}

static uint64_t records_on_tape(struct rig *rig)
{
	struct tape_stats stats;

	tape_thread_get_stats(rig->tape, &stats);
	CHECK_INT(tape_thread_error(rig->tape, NULL), 0);
	return stats.traps.records;
}

/* Ends it; each ring's records are all on the tape, in order. */
static void rig_deinit(struct rig *rig)
{
	uint64_t next_seq[MAX_RINGS] = {0}, job;
	struct tape_error error = {0};
	struct tape_cursor *cursor;
	struct tape_reader *reader;
	struct trap_view view;
	int ret;

	drain_finish(rig->drain);
	while (!drain_is_finished(rig->drain))
		wait_wake(rig);
	job = tape_thread_finish(rig->tape, "test", 0);
	while (!tape_thread_is_done(rig->tape, job))
		wait_wake(rig);
	CHECK_INT(tape_thread_error(rig->tape, NULL), 0);
	drain_destroy(rig->drain);
	tape_thread_destroy(rig->tape);
	CHECK_INT(tape_reader_open(&reader, rig->path, &error), 0);
	CHECK_INT(tape_cursor_create(&cursor, reader, &error), 0);
	while ((ret = tape_cursor_next(cursor, &view, &error)) > 0) {
		CHECK(view.header.vcpu < rig->nr_rings);
		CHECK_INT(view.header.seq, next_seq[view.header.vcpu]++);
	}
	CHECK_INT(ret, 0);
	for (unsigned i = 0; i < rig->nr_rings; i++) {
		CHECK_INT(next_seq[i], rig->writers[i].seq);
		munmap(rig->writers[i].shared, trap_ring_memory_bytes(rig->writers[i].data_bytes));
		close(rig->data_fds[i]);
	}
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	close(rig->fd);
	close(rig->wake_fd);
	unlink(rig->path);
}

/* Sleeps of the recorder's threads so far. */
static uint64_t nr_sleeps(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	uint64_t sum = 0;

	CHECK(folder);
	while ((entry = readdir(folder))) {
		char path[300], line[128], name[32] = "";
		uint64_t count = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "Name: %31s", name) != 1)
				sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count);
		fclose(file);
		sum += strncmp(name, "vmtape-", 7) ? 0 : count;
	}
	closedir(folder);
	return sum;
}

/* One record, far below any watermark, long after the thread went to sleep. */
static void test_lone_record(uint64_t ring_bytes)
{
	uint64_t started_ns, sleeps;
	struct rig rig;

	rig_init(&rig, 1, 1000);
	add_ring(&rig, ring_bytes);
	nap_ms(300);
	sleeps = nr_sleeps();
	nap_ms(2500);
	sleeps = nr_sleeps() - sleeps;
	/* drain 3 or 4, the others none; a thread that polls would have hundreds */
	printf("idle for 2.5 s: %" PRIu64 " sleeps of all threads\n", sleeps);
	CHECK(sleeps >= 2 && sleeps <= 8);
	started_ns = now_ns();
	CHECK(append(&rig, 0));
	while (!records_on_tape(&rig)) {
		nap_ms(5);
		CHECK(now_ns() - started_ns < 10 * NS_PER_S);
	}
	printf("a lone record was on the tape after %.0f ms\n", (double)(now_ns() - started_ns) / NS_PER_MS);
	rig_deinit(&rig);
}

/* All of them above the watermark at once, and not enough to fill a block. */
static void test_many_rings(void)
{
	uint64_t wanted = 0;
	struct rig rig;

	CHECK(MAX_RINGS > PIPELINE_MAX_BLOCKS);
	rig_init(&rig, LEVEL_STORED, 60000);
	for (unsigned i = 0; i < MAX_RINGS; i++)
		add_ring(&rig, 64u << 10);
	for (unsigned turn = 0; turn < 200; turn++) {
		for (unsigned i = 0; i < MAX_RINGS; i++)
			for (unsigned n = 0; n < 10 + i; n++)
				while (!append(&rig, i))
					nap_ms(1);
	}
	for (unsigned i = 0; i < MAX_RINGS; i++)
		wanted += rig.writers[i].seq;
	printf("%u rings: %" PRIu64 " records, %" PRIu64 " on the tape before the end\n", MAX_RINGS, wanted,
	       records_on_tape(&rig));
	/* the flush time is far away: blocks went on because there were too few */
	CHECK(records_on_tape(&rig) > wanted / 2);
	rig_deinit(&rig);
}

/* One ring, faster than compression at this level: the thread waits for blocks, and is woken for them. */
static void test_stall(void)
{
	struct drain_stats stats;
	struct rig rig;

	rig_init(&rig, 19, 60000);
	add_ring(&rig, 1u << 20);
	for (unsigned n = 0; n < (24u << 20) / RECORD_BYTES; n++)
		while (!append(&rig, 0))
			nap_ms(1);
	drain_get_stats(rig.drain, &stats);
	printf("%" PRIu64 " stalls\n", stats.stalls);
	CHECK(stats.stalls > 0);
	CHECK_INT(stats.lost_records, 0);
	rig_deinit(&rig);
}

int main(void)
{
	test_lone_record(8u << 20);
	test_lone_record(64u << 10);
	test_many_rings();
	test_stall();
	return 0;
}
