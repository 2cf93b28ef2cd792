/* SPDX-License-Identifier: MIT */
/*
 * recorder_load.c - the real recorder under a load: a producer thread writes
 * event_stream.h into a real ring; drain thread, compression, tape thread and the
 * writes to a real file are those of vmtape-record. Prints "name value" lines.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench_clock.h"
#include "cpu_list.h"
#include "drain.h"
#include "event_stream.h"
#include "load_options.h"
#include "tape_thread.h"
#include "trap_record.h"
#include "trap_ring_producer.h"

#define BIT(reg) (1u << TRAP_REG_##reg)
#define ENTER_MASK                                                                                                   \
	(BIT(RAX) | BIT(RDX) | BIT(RSP) | BIT(RSI) | BIT(RDI) | BIT(R8) | BIT(R9) | BIT(R10) | BIT(RIP) | BIT(CR3) | \
	 BIT(TASK) | BIT(TASK_ID))
#define EXIT_MASK (BIT(RAX) | BIT(RSP) | BIT(RIP) | BIT(CR3) | BIT(TASK) | BIT(TASK_ID) | BIT(NR))

#define DISCARD_BEHIND_BYTES (1ull << 30)

struct load {
	const struct load_options *options;
	const struct event_stream *stream;
	struct trap_writer writer;
	int data_fd;
	atomic_bool done;
	uint64_t appended, signals, wall_ns, cpu_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "recorder_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void die_of(const struct record_error *error)
{
	fprintf(stderr, "recorder_load: %s\n", error->message);
	exit(2);
}

/* ---- producer -------------------------------------------------------- */

static void signal_data(struct load *load)
{
	const uint64_t one = 1;

	load->signals++;
	if (write(load->data_fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

static struct trap_record *reserve(struct load *load, uint32_t size_bytes, uint64_t tsc)
{
	struct trap_record *record = trap_writer_reserve(&load->writer, size_bytes);

	while (!record && load->options->wait_for_room) {
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		record = trap_writer_reserve(&load->writer, size_bytes);
	}
	if (!record)
		trap_writer_drop(&load->writer, tsc);
	return record;
}

static void append(struct load *load, const struct stream_event *event)
{
	uint32_t regs_bytes = 8 * (event->is_exit ? EVENT_EXIT_REGS : EVENT_ENTER_REGS);
	uint32_t path_bytes = load->options->no_paths ? 0 : event->path_bytes;
	uint32_t size_bytes = (uint32_t)sizeof(struct trap_record) + regs_bytes;
	uint64_t tsc = bench_tsc();
	struct trap_record *record;

	if (path_bytes)
		size_bytes += (uint32_t)sizeof(struct trap_fragment) + ((path_bytes + 7) & ~7u);
	record = reserve(load, size_bytes, tsc);
	if (!record)
		return;
	record->type = event->is_exit ? TRAP_EXIT : TRAP_ENTER;
	record->abi = TRAP_ABI_X86_64;
	record->via = event->is_exit ? TRAP_VIA_SYSRET : TRAP_VIA_SYSCALL;
	record->flags = 0;
	record->nr_fragments = path_bytes != 0;
	record->reg_mask = event->is_exit ? EXIT_MASK : ENTER_MASK;
	record->tsc = tsc;
	/* Not one memcpy of a length that varies: a producer gathers registers one by one. */
	for (uint32_t i = 0; i < regs_bytes / 8; i++)
		((uint64_t *)(record + 1))[i] = event->regs[i];
	if (path_bytes) {
		uint8_t *behind = (uint8_t *)(record + 1) + regs_bytes;
		struct trap_fragment *fragment = (struct trap_fragment *)behind;

		*fragment = (struct trap_fragment){
			.gva = event->regs[ENTER_RSI],
			.want_bytes = path_bytes,
			.len_bytes = (uint16_t)path_bytes,
		};
		memset(behind + sizeof(*fragment) + (path_bytes & ~7u), 0, path_bytes & 7 ? 8 : 0);
		memcpy(fragment + 1, event->path, path_bytes);
	}
	trap_writer_commit(&load->writer, size_bytes);
	load->appended++;
	if (trap_writer_should_signal(&load->writer))
		signal_data(load);
}

static void *produce(void *arg)
{
	struct load *load = arg;
	const struct load_options *options = load->options;
	uint64_t start_ns, made = 0, limit = options->events ? options->events : UINT64_MAX;
	struct record_error error = {0};
	struct pace pace;

	if (options->producer_pinned && cpu_list_pin(&options->producer_cpus, &error))
		die_of(&error);
	start_ns = bench_clock_ns(CLOCK_MONOTONIC);
	pace = pace_start(options->rate);
	if (options->idle) {
		usleep((useconds_t)(options->seconds * 1e6));
		limit = 0;
	}
	while (made < limit) {
		uint64_t n = pace_wait(&pace);

		if (!options->events && bench_clock_ns(CLOCK_MONOTONIC) - start_ns >= options->seconds * 1e9)
			break;
		for (; n && made < limit; n--, made++)
			append(load, &load->stream->events[made & (EVENT_STREAM_EVENTS - 1)]);
	}
	load->wall_ns = bench_clock_ns(CLOCK_MONOTONIC) - start_ns;
	load->cpu_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	atomic_store(&load->done, true);
	return NULL;
}

/* ---- what it cost ---------------------------------------------------- */

struct usage {
	uint64_t cpu_ns; /* of the process without this thread, which only watches */
	long minor_faults;
};

static struct usage usage_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (struct usage){
		.cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - bench_clock_ns(CLOCK_THREAD_CPUTIME_ID),
		.minor_faults = usage.ru_minflt,
	};
}

/* A line for each thread of the recorder; the kernel's workers for its writes are threads, too. */
static void print_threads(double seconds)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;

	if (!folder)
		die("/proc/self/task");
	while ((entry = readdir(folder))) {
		char path[300], line[256], name[32] = "";
		unsigned long long cpu_ns = 0, switches = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &cpu_ns) != 1)
			cpu_ns = 0;
		fclose(file);
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "Name: %31s", name) != 1)
				sscanf(line, "voluntary_ctxt_switches: %llu", &switches);
		fclose(file);
		if (!strncmp(name, "vmtape-", 7) || !strncmp(name, "iou-", 4))
			printf("thread_%s %.1f ms CPU, %.2f voluntary switches/s\n", name, (double)cpu_ns / 1e6,
			       (double)switches / seconds);
	}
	closedir(folder);
}

/* Resident memory without what is shared, which are the rings. */
static long resident_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	long kib = 0, value;
	char line[256];

	if (!status)
		die("/proc/self/status");
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "RssAnon: %ld", &value) == 1 || sscanf(line, "RssFile: %ld", &value) == 1)
			kib += value;
	fclose(status);
	return kib;
}

/* A recording that is larger than the disk: what lies far behind is given back, off the recorder's threads. */
static void discard_old(int fd, uint64_t file_bytes, uint64_t *discarded)
{
	uint64_t end = file_bytes > DISCARD_BEHIND_BYTES ? (file_bytes - DISCARD_BEHIND_BYTES) & ~4095ull : 0;

	if (end <= *discarded)
		return;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)*discarded, (off_t)(end - *discarded)))
		die("punching a hole");
	*discarded = end;
}

static void watch(struct load *load, struct tape_thread *tape, int fd, long base_kib, long *most_kib)
{
	const struct load_options *options = load->options;
	uint64_t start_ns = bench_clock_ns(CLOCK_MONOTONIC), next_ns = start_ns, discarded = 0;

	while (!atomic_load(&load->done)) {
		uint64_t now = bench_clock_ns(CLOCK_MONOTONIC);
		struct tape_stats stats;
		long kib;

		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		if (!options->sample_s && !options->discard)
			continue;
		tape_thread_get_stats(tape, &stats);
		if (options->discard)
			discard_old(fd, stats.file_bytes, &discarded);
		kib = resident_kib() - base_kib;
		*most_kib = kib > *most_kib ? kib : *most_kib;
		if (options->sample_s && now >= next_ns) {
			printf("memory %.1f s, %" PRIu64 " events, %ld KiB\n", (double)(now - start_ns) / 1e9,
			       stats.traps.events, kib);
			fflush(stdout);
			next_ns += (uint64_t)(options->sample_s * 1e9);
		}
	}
}

/* ---- reading back ---------------------------------------------------- */

/* Every number is there, or a gap record says that it is not; registers and paths are those of the stream. */
static void read_back(const struct load *load, const char *path)
{
	uint64_t seq = 0, events = 0, lost = 0, gaps = 0, wrong = 0;
	struct tape_error error = {0};
	struct tape_cursor *cursor;
	struct tape_reader *reader;
	struct trap_view view;
	int ret;

	if (tape_reader_open(&reader, path, &error) || tape_cursor_create(&cursor, reader, &error)) {
		fprintf(stderr, "recorder_load: %s\n", error.message);
		exit(1);
	}
	while ((ret = tape_cursor_next(cursor, &view, &error)) > 0) {
		/* a lost event took a number and a place in the stream, a gap record only a number */
		const struct stream_event *event;

		if (view.header.type == TRAP_GAP) {
			struct trap_gap gap;

			trap_view_gap(&view, &gap);
			wrong += gap.first_seq != seq;
			seq += gap.lost_records;
			lost += gap.lost_records;
			wrong += view.header.seq != seq;
			seq++;
			gaps++;
			continue;
		}
		wrong += view.header.seq != seq;
		event = &load->stream->events[(seq - gaps) & (EVENT_STREAM_EVENTS - 1)];
		wrong += view.header.type != (event->is_exit ? TRAP_EXIT : TRAP_ENTER);
		wrong += view.regs[TRAP_REG_RAX] != event->regs[0];
		wrong += view.header.nr_fragments != (event->path_bytes && !load->options->no_paths);
		if (view.header.nr_fragments) {
			struct trap_fragment fragment;
			const uint8_t *bytes;
			size_t position = 0;

			wrong += !trap_view_next_fragment(&view, &position, &fragment, &bytes) ||
				 fragment.len_bytes != event->path_bytes ||
				 memcmp(bytes, event->path, fragment.len_bytes);
		}
		seq++;
		events++;
	}
	wrong += ret < 0;
	wrong += lost != load->writer.lost_records || events != load->appended;
	printf("read_back_events %" PRIu64 "\nread_back_lost %" PRIu64 "\nread_back_gaps %" PRIu64
	       "\nread_back_wrong %" PRIu64 "\n",
	       events, lost, gaps, wrong);
	tape_cursor_destroy(cursor);
	tape_reader_close(reader);
	if (wrong)
		exit(1);
}

/* ---- the recorder ---------------------------------------------------- */

static void on_wake(void *ctx)
{
	const uint64_t one = 1;

	if (write(*(int *)ctx, &one, sizeof(one)) < 0)
		return;
}

static void wait_wake(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) < 0)
		die("eventfd");
}

static void make_ring(struct load *load, struct trap_ring *ring)
{
	const struct load_options *options = load->options;
	size_t memory_bytes = trap_ring_memory_bytes(options->ring_bytes);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	void *memory;

	load->data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0 || load->data_fd < 0 || ftruncate(fd, (off_t)memory_bytes))
		die("ring memory");
	memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	trap_writer_init(&load->writer, memory, options->ring_bytes, drain_watermark_bytes(options->ring_bytes), 0);
	if (trap_ring_init(ring, fd, memory_bytes, dup(load->data_fd), -1))
		die("the ring was not accepted");
}

static void print_results(const struct load *load, const struct tape_stats *stats, const struct drain_stats *rings,
			  const struct usage *before, const struct usage *after)
{
	double made = (double)(load->appended + load->writer.lost_records),
	       n = load->appended ? (double)load->appended : 1;
	double wall_s = (double)load->wall_ns / 1e9;
	uint64_t recorder_ns = after->cpu_ns - before->cpu_ns - load->cpu_ns;

	printf("events %" PRIu64 "\nlost %llu\nseconds %.3f\nrate %.0f\n", load->appended, load->writer.lost_records,
	       wall_s, made / wall_s);
	printf("producer_ns %.2f\nrecorder_ns %.2f\n", (double)load->cpu_ns / made, (double)recorder_ns / n);
	printf("recorder_cpu_ms_per_minute %.2f\n", (double)recorder_ns / 1e6 * 60 / wall_s);
	printf("minor_faults %ld\n", after->minor_faults - before->minor_faults);
	printf("raw_bytes_per_event %.2f\nbytes_per_event %.3f\nfile_bytes %" PRIu64 "\n",
	       (double)stats->traps.raw_bytes / n, (double)stats->traps.stored_bytes / n, stats->file_bytes);
	printf("level %.2f\nsignals %" PRIu64 "\nstalls %" PRIu64 "\n",
	       stats->traps.chunks > stats->traps.stored_chunks
		       ? (double)stats->traps.level_sum / (double)(stats->traps.chunks - stats->traps.stored_chunks)
		       : 0.0,
	       load->signals, rings->stalls);
}

static void run(const struct load_options *options, const struct event_stream *stream)
{
	struct load load = {.options = options, .stream = stream};
	int wake_fd = eventfd(0, EFD_CLOEXEC);
	int fd = open(options->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct record_error error = {0};
	struct tape_thread *tape;
	struct tape_stats stats;
	struct drain_stats rings;
	struct usage before, after;
	struct trap_ring ring;
	struct drain *drain;
	long base_kib, most_kib = 0;
	pthread_t producer;
	uint64_t job;

	if (fd < 0 || wake_fd < 0)
		die(options->path);
	make_ring(&load, &ring);
	if (options->pinned && cpu_list_pin(&options->cpus, &error))
		die_of(&error);
	base_kib = resident_kib();
	before = usage_now();
	if (tape_thread_create(&tape, fd, 0, NULL, pipeline_default_threads(), options->level, on_wake, &wake_fd,
			       &error) ||
	    drain_create(&drain, tape_thread_pipeline(tape), options->flush_ms, on_wake, &wake_fd, &error) ||
	    drain_add_ring(drain, &ring, &error))
		die_of(&error);
	if (pthread_create(&producer, NULL, produce, &load))
		die("thread");
	watch(&load, tape, fd, base_kib, &most_kib);
	pthread_join(producer, NULL);
	print_threads((double)load.wall_ns / 1e9);
	if (options->rest_s > 0) {
		usleep((useconds_t)(options->rest_s * 1e6));
		printf("memory_after_rest_kib %ld\n", resident_kib() - base_kib);
	}
	while (!trap_writer_flush_gap(&load.writer))
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	drain_finish(drain);
	while (!drain_is_finished(drain))
		wait_wake(wake_fd);
	if (drain_error(drain, &error))
		die_of(&error);
	drain_get_stats(drain, &rings);
	job = tape_thread_finish(tape, "the load is over", load.writer.lost_records);
	while (!tape_thread_is_done(tape, job))
		wait_wake(wake_fd);
	after = usage_now();
	if (tape_thread_error(tape, &error))
		die_of(&error);
	tape_thread_get_stats(tape, &stats);
	drain_destroy(drain);
	tape_thread_destroy(tape);
	close(fd);
	if (options->sample_s || options->discard)
		printf("memory_most_kib %ld\n", most_kib);
	print_results(&load, &stats, &rings, &before, &after);
	if (options->read_back)
		read_back(&load, options->path);
	if (!options->keep)
		unlink(options->path);
}

int main(int argc, char **argv)
{
	struct event_stream *stream = event_stream_create(1);
	struct load_options options;

	load_options_parse(&options, argc, argv);
	if (!stream)
		die("no memory");
	printf("path_share %.3f\npath_bytes_per_event %.2f\n", stream->path_share, stream->path_bytes_average);
	run(&options, stream);
	free(stream);
	return 0;
}
