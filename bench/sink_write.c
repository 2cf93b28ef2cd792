/* SPDX-License-Identifier: MIT */
/*
 * sink_write.c - what it costs to bring a tape's chunks into a file: the
 * recorder's sink beside other ways, in one run, each way in turn. CPU time is
 * the process's own, io_uring's workers included; the kernel's write-back of
 * cached pages, which only the ways with O_DIRECT do not leave to others, is
 * not in it. A figure, not a test.
 *
 * usage: bench_sink_write FILE [MIB [REPETITIONS]]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "uring_sink.h"

#define IN_FLIGHT_BYTES (32u << 20)
#define BLOCK_BYTES     (1u << 20) /* of the ways with O_DIRECT */
#define NR_BLOCKS       8
#define MAX_REPETITIONS 64
#define DEPTH           64

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- ways ------------------------------------------------------------ */

struct way {
	const char *name;
	void (*run)(int fd, uint64_t total_bytes, size_t chunk_bytes);
	bool direct;
};

static uint8_t *source; /* what is written, of BLOCK_BYTES */

static uint64_t pause_ns; /* before each chunk */

/* As the writer does it: a buffer of its own for each chunk, freed when it is written. */
static uint8_t *make_chunk(size_t size_bytes)
{
	uint8_t *buffer = malloc(size_bytes);

	if (pause_ns)
		nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
	if (!buffer)
		die("memory");
	memcpy(buffer, source, size_bytes);
	return buffer;
}

static void written(void *ctx, void *buffer, int result)
{
	if (result < 0) {
		errno = -result;
		die("write");
	}
	free(buffer);
}

static void run_sink(int fd, uint64_t total_bytes, size_t chunk_bytes, bool without_uring)
{
	struct uring_sink *sink;
	struct tape_sink out;

	if (uring_sink_create(&sink, fd, IN_FLIGHT_BYTES, without_uring))
		die("sink");
	if (!without_uring && !uring_sink_is_uring(sink))
		die("io_uring");
	out = uring_sink_as_tape_sink(sink);
	for (uint64_t at = 0; at < total_bytes; at += chunk_bytes)
		if (out.write(out.ctx, at, make_chunk(chunk_bytes), chunk_bytes, written, NULL))
			die("write");
	uring_sink_reap(sink, true);
	uring_sink_destroy(sink);
}

static void run_recorder(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_sink(fd, total_bytes, chunk_bytes, false);
}

static void run_recorder_plain(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_sink(fd, total_bytes, chunk_bytes, true);
}

/* Many in the kernel, one a chunk, each behind a barrier. */
static void run_drained(int fd, uint64_t total_bytes, size_t chunk_bytes, bool registered)
{
	unsigned in_flight = 0;
	struct io_uring ring;

	if (io_uring_queue_init(DEPTH, &ring, 0) || (registered && io_uring_register_files(&ring, &fd, 1)))
		die("io_uring");
	for (uint64_t at = 0; at < total_bytes || in_flight;) {
		struct io_uring_cqe *cqe;

		if (at < total_bytes && in_flight < DEPTH && in_flight * chunk_bytes < IN_FLIGHT_BYTES) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
			uint8_t *buffer = make_chunk(chunk_bytes);

			io_uring_prep_write(sqe, registered ? 0 : fd, buffer, (unsigned)chunk_bytes, at);
			sqe->flags |= IOSQE_IO_DRAIN | (registered ? IOSQE_FIXED_FILE : 0);
			io_uring_sqe_set_data(sqe, buffer);
			io_uring_submit(&ring);
			in_flight++;
			at += chunk_bytes;
			if (io_uring_peek_cqe(&ring, &cqe))
				continue;
		} else if (io_uring_wait_cqe(&ring, &cqe)) {
			die("io_uring");
		}
		if (cqe->res != (int)chunk_bytes) {
			errno = cqe->res < 0 ? -cqe->res : EIO;
			die("write");
		}
		free(io_uring_cqe_get_data(cqe));
		io_uring_cqe_seen(&ring, cqe);
		in_flight--;
	}
	io_uring_queue_exit(&ring);
}

static void run_drain(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_drained(fd, total_bytes, chunk_bytes, false);
}

static void run_drain_registered(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_drained(fd, total_bytes, chunk_bytes, true);
}

static void run_pwrite(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	for (uint64_t at = 0; at < total_bytes; at += chunk_bytes) {
		uint8_t *buffer = make_chunk(chunk_bytes);

		if (pwrite(fd, buffer, chunk_bytes, (off_t)at) != (ssize_t)chunk_bytes)
			die("pwrite");
		free(buffer);
	}
}

/*
 * Chunks do not end where a disk's blocks do: they are copied into blocks, which
 * are written one behind the other, several in the kernel.
 */
static void run_blocks(int fd, uint64_t total_bytes, size_t chunk_bytes, bool registered)
{
	static uint8_t *blocks;
	struct iovec buffers[NR_BLOCKS];
	unsigned in_flight = 0, current = 0;
	struct io_uring ring;
	size_t fill = 0;
	uint64_t block_at = 0;

	if (!blocks && posix_memalign((void **)&blocks, 4096, (size_t)NR_BLOCKS * BLOCK_BYTES))
		die("memory");
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		buffers[i] = (struct iovec){blocks + (size_t)i * BLOCK_BYTES, BLOCK_BYTES};
	if (io_uring_queue_init(NR_BLOCKS, &ring, 0) || io_uring_register_files(&ring, &fd, 1) ||
	    (registered && io_uring_register_buffers(&ring, buffers, NR_BLOCKS)))
		die("io_uring");
	for (uint64_t at = 0; at < total_bytes; at += chunk_bytes) {
		uint8_t *chunk = make_chunk(chunk_bytes), *from = chunk;
		size_t left = chunk_bytes;

		while (left) {
			size_t n = BLOCK_BYTES - fill < left ? BLOCK_BYTES - fill : left;
			struct io_uring_sqe *sqe;
			struct io_uring_cqe *cqe;

			memcpy((uint8_t *)buffers[current].iov_base + fill, from, n);
			fill += n;
			from += n;
			left -= n;
			if (fill < BLOCK_BYTES)
				break;
			sqe = io_uring_get_sqe(&ring);
			if (registered)
				io_uring_prep_write_fixed(sqe, 0, buffers[current].iov_base, BLOCK_BYTES, block_at,
							  (int)current);
			else
				io_uring_prep_write(sqe, 0, buffers[current].iov_base, BLOCK_BYTES, block_at);
			sqe->flags |= IOSQE_FIXED_FILE;
			io_uring_submit(&ring);
			block_at += BLOCK_BYTES;
			current = (current + 1) % NR_BLOCKS;
			fill = 0;
			/* One less than there are: the next one is free. Completions of one depth come about in order.
			 */
			if (++in_flight < NR_BLOCKS)
				continue;
			while (in_flight >= NR_BLOCKS / 2) {
				if (io_uring_wait_cqe(&ring, &cqe) || cqe->res != (int)BLOCK_BYTES)
					die("io_uring");
				io_uring_cqe_seen(&ring, cqe);
				in_flight--;
			}
		}
		free(chunk);
	}
	for (struct io_uring_cqe *cqe; in_flight; in_flight--) {
		if (io_uring_wait_cqe(&ring, &cqe) || cqe->res != (int)BLOCK_BYTES)
			die("io_uring");
		io_uring_cqe_seen(&ring, cqe);
	}
	io_uring_queue_exit(&ring);
}

static void run_direct(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_blocks(fd, total_bytes, chunk_bytes, false);
}

static void run_direct_registered(int fd, uint64_t total_bytes, size_t chunk_bytes)
{
	run_blocks(fd, total_bytes, chunk_bytes, true);
}

static const struct way ways[] = {
	{"the recorder's sink, io_uring", run_recorder, false},
	{"the recorder's sink, pwritev", run_recorder_plain, false},
	{"pwrite, one a chunk", run_pwrite, false},
	{"io_uring, one a chunk, barriers", run_drain, false},
	{"the same, registered file", run_drain_registered, false},
	{"O_DIRECT, blocks of 1 MiB, registered file", run_direct, true},
	{"the same, registered buffers", run_direct_registered, true},
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- measuring ------------------------------------------------------- */

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Includes io_uring's workers. */
static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct figure {
	double cpu_us_per_mib, mib_per_s;
};

static struct figure measure(const struct way *way, const char *path, uint64_t total_bytes, size_t chunk_bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (way->direct ? O_DIRECT : 0), 0600);
	double mib = (double)total_bytes / (1 << 20), cpu, wall;

	if (fd < 0)
		die(path);
	cpu = cpu_seconds();
	wall = seconds(CLOCK_MONOTONIC);
	way->run(fd, total_bytes, chunk_bytes);
	cpu = cpu_seconds() - cpu;
	if (fdatasync(fd))
		die("fdatasync");
	wall = seconds(CLOCK_MONOTONIC) - wall;
	close(fd);
	unlink(path);
	return (struct figure){cpu * 1e6 / mib, mib / wall};
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_way(const struct way *way, const struct figure *figures, unsigned repetitions)
{
	double cpu[MAX_REPETITIONS], rate[MAX_REPETITIONS];

	for (unsigned i = 0; i < repetitions; i++) {
		cpu[i] = figures[i].cpu_us_per_mib;
		rate[i] = figures[i].mib_per_s;
	}
	qsort(cpu, repetitions, sizeof(*cpu), by_value);
	qsort(rate, repetitions, sizeof(*rate), by_value);
	printf("  %-44s %6.0f (%4.0f to %4.0f) us CPU/MiB  %6.0f (%4.0f to %4.0f) MiB/s\n", way->name,
	       cpu[repetitions / 2], cpu[0], cpu[repetitions - 1], rate[repetitions / 2], rate[0],
	       rate[repetitions - 1]);
}

int main(int argc, char **argv)
{
	static const struct {
		size_t chunk_bytes;
		uint64_t pause_ns; /* 1 ms: no faster than a busy guest's tape grows */
	} loads[] = {{128u << 10, 1000000}, {16u << 10, 0}, {128u << 10, 0}, {512u << 10, 0}};
	static struct figure figures[NR_WAYS][MAX_REPETITIONS];
	unsigned long mib = argc > 2 ? strtoul(argv[2], NULL, 0) : 256,
		      repetitions = argc > 3 ? strtoul(argv[3], NULL, 0) : 7;

	if (argc < 2 || argc > 4 || mib < 16 || mib > 65536 || repetitions < 1 || repetitions > MAX_REPETITIONS) {
		fprintf(stderr, "usage: %s FILE [MIB (16 to 65536) [REPETITIONS (1 to %d)]]\n", argv[0],
			MAX_REPETITIONS);
		return 2;
	}
	source = malloc(BLOCK_BYTES);
	if (!source)
		die("memory");
	for (size_t i = 0; i < BLOCK_BYTES; i++)
		source[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t c = 0; c < sizeof(loads) / sizeof(loads[0]); c++) {
		pause_ns = loads[c].pause_ns;
		for (unsigned r = 0; r < repetitions; r++)
			for (size_t w = 0; w < NR_WAYS; w++)
				figures[w][r] = measure(&ways[w], argv[1], (uint64_t)mib << 20, loads[c].chunk_bytes);
		printf("chunks of %zu KiB, %s, %lu MiB, %lu repetitions; median (least to greatest), sync included:\n",
		       loads[c].chunk_bytes >> 10, pause_ns ? "one a millisecond" : "as fast as can be", mib,
		       repetitions);
		for (size_t w = 0; w < NR_WAYS; w++)
			print_way(&ways[w], figures[w], (unsigned)repetitions);
	}
	free(source);
	return 0;
}
