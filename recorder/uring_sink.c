/* SPDX-License-Identifier: MIT */
#include "uring_sink.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"

#define RETRY_NS     NS_PER_S
#define MAX_IOVECS   64u
#define SUBMIT_BYTES (4u << 20) /* at a time; the rest goes on then */
#define RING_ENTRIES 4

struct sink_write {
	struct sink_write *next;
	uint8_t *buffer;
	size_t size_bytes;
	uint64_t offset;
	void (*done)(void *done_ctx, void *buffer, int result);
	void *done_ctx;
};

/*
 * The kernel has at most one submission, which begins at the head of the queue
 * and takes along what lies right behind it in the file. So the file always is
 * a prefix, without a barrier for each write, and a write that found no room
 * can be tried again before anything else is.
 */
struct uring_sink {
	struct io_uring ring;
	bool is_uring;
	bool in_kernel;
	int fd;
	uint64_t max_bytes;
	struct sink_write *head, *tail;
	size_t head_written; /* bytes of the head that are in the file */
	uint64_t queued_bytes;
	uint64_t given_bytes, written_bytes;
	unsigned nr_queued;
	struct sink_write *free;
	int full_error;    /* a write found no room, and not all is written since; 0: none */
	uint64_t retry_ns; /* not before; 0: at once */
	int error;
	uint64_t error_offset;
	struct iovec iovecs[MAX_IOVECS];
};

/* Takes the head off the queue. */
static void finish_head(struct uring_sink *sink, int result)
{
	struct sink_write *write = sink->head;
	void (*done)(void *, void *, int) = write->done;
	void *done_ctx = write->done_ctx, *buffer = write->buffer;

	sink->head = write->next;
	if (!sink->head)
		sink->tail = NULL;
	sink->head_written = 0;
	sink->nr_queued--;
	sink->queued_bytes -= write->size_bytes;
	if (!result)
		sink->written_bytes += write->size_bytes;
	write->next = sink->free;
	sink->free = write;
	if (done)
		done(done_ctx, buffer, result);
}

/* What comes behind a failed write would stand behind a hole: all that waits fails with it. */
static void fail(struct uring_sink *sink, int error)
{
	if (!sink->error) {
		sink->error = error;
		sink->error_offset = sink->head ? sink->head->offset + sink->head_written : 0;
	}
	while (sink->head)
		finish_head(sink, error);
	sink->full_error = 0;
}

/* The head's rest and its successors in the file. Returns their number. */
static unsigned gather(struct uring_sink *sink)
{
	size_t skip = sink->head_written, left = SUBMIT_BYTES;
	const struct sink_write *write = sink->head;
	unsigned n = 0;

	while (write && n < MAX_IOVECS && left) {
		size_t size_bytes = write->size_bytes - skip;
		uint64_t end = write->offset + write->size_bytes;

		size_bytes = size_bytes < left ? size_bytes : left;
		sink->iovecs[n++] = (struct iovec){write->buffer + skip, size_bytes};
		left -= size_bytes;
		skip = 0;
		write = write->next;
		if (write && write->offset != end)
			break;
	}
	return n;
}

static void complete(struct uring_sink *sink, int64_t result)
{
	sink->in_kernel = false;
	if (result == -EINTR || result == -EAGAIN)
		return;
	if (result == -ENOSPC || result == -EDQUOT) {
		sink->full_error = (int)result;
		sink->retry_ns = now_ns() + RETRY_NS;
		return;
	}
	if (result <= 0) {
		fail(sink, result ? (int)result : -EIO); /* a regular file takes at least a byte or says why not */
		return;
	}
	sink->retry_ns = 0;
	while (result) {
		size_t rest = sink->head->size_bytes - sink->head_written;

		if ((uint64_t)result < rest) {
			sink->head_written += (size_t)result;
			return;
		}
		result -= (int64_t)rest;
		finish_head(sink, 0);
	}
	if (!sink->head)
		sink->full_error = 0;
}

static void submit(struct uring_sink *sink)
{
	unsigned n = gather(sink);
	uint64_t offset = sink->head->offset + sink->head_written;
	struct io_uring_sqe *sqe;
	int ret = -EBUSY;

	sink->in_kernel = true;
	if (!sink->is_uring) {
		ssize_t written = pwritev(sink->fd, sink->iovecs, (int)n, (off_t)offset);

		complete(sink, written < 0 ? -errno : written);
		return;
	}
	sqe = io_uring_get_sqe(&sink->ring);
	if (sqe) {
		io_uring_prep_writev(sqe, sink->fd, sink->iovecs, n, offset);
		do
			ret = io_uring_submit(&sink->ring);
		while (ret == -EINTR || ret == -EAGAIN);
	}
	/* What could not be submitted stays in the ring: nothing may be submitted any more, and nothing is. */
	if (ret < 0)
		complete(sink, ret == -EBUSY ? -EIO : ret);
}

/* Keeps the kernel busy, as long as there is something to write and no reason to wait. */
static void pump(struct uring_sink *sink)
{
	while (sink->head && !sink->in_kernel && (!sink->retry_ns || now_ns() >= sink->retry_ns)) {
		sink->retry_ns = 0;
		submit(sink);
	}
}

/* Take the completion; false when it is not there (and wait is not asked for). */
static bool take_completion(struct uring_sink *sink, bool wait)
{
	struct io_uring_cqe *cqe;
	int ret, result;

	do
		ret = wait ? io_uring_wait_cqe(&sink->ring, &cqe) : io_uring_peek_cqe(&sink->ring, &cqe);
	while (wait && ret == -EINTR);
	if (ret)
		return false;
	result = cqe->res;
	io_uring_cqe_seen(&sink->ring, cqe);
	complete(sink, result);
	return true;
}

unsigned uring_sink_reap(struct uring_sink *sink, bool wait_all)
{
	do
		pump(sink);
	while (sink->in_kernel && take_completion(sink, wait_all));
	return sink->nr_queued;
}

/* An error that is returned means that done is not called: the caller keeps the buffer. */
static int sink_write(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		      void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	struct uring_sink *sink = ctx;
	struct sink_write *write;

	if (sink->error)
		return sink->error;
	write = sink->free;
	if (write)
		sink->free = write->next;
	else
		write = malloc(sizeof(*write));
	if (!write)
		return -ENOMEM;
	*write = (struct sink_write){NULL, buffer, size_bytes, offset, done, done_ctx};
	if (sink->tail)
		sink->tail->next = write;
	else
		sink->head = write;
	sink->tail = write;
	sink->nr_queued++;
	sink->queued_bytes += size_bytes;
	sink->given_bytes += size_bytes;
	uring_sink_reap(sink, false);
	/* While there is no room, it is the caller's part to bring no more. */
	while (sink->queued_bytes > sink->max_bytes && sink->in_kernel && take_completion(sink, true))
		pump(sink);
	return 0;
}

/* What of the write lies in the size_bytes from offset on. */
static void overlay(const struct sink_write *write, uint64_t offset, uint8_t *out, size_t size_bytes)
{
	uint64_t from = write->offset > offset ? write->offset : offset;
	uint64_t write_end = write->offset + write->size_bytes, end = offset + size_bytes;
	uint64_t to = write_end < end ? write_end : end;

	if (from < to)
		memcpy(out + (from - offset), write->buffer + (from - write->offset), to - from);
}

/* What was written before, on its way to the file or not. */
static int sink_read(void *ctx, uint64_t offset, void *buffer, size_t size_bytes)
{
	struct uring_sink *sink = ctx;
	uint8_t *out = buffer;
	size_t done = 0;

	if (sink->error)
		return sink->error;
	while (done < size_bytes) {
		ssize_t n = pread(sink->fd, out + done, size_bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	memset(out + done, 0, size_bytes - done);
	for (const struct sink_write *write = sink->head; write; write = write->next)
		overlay(write, offset, out, size_bytes);
	return 0;
}

/* The kernel's own threads for our writes run wherever they like, unless they are told where we may run. */
static void pin_workers(struct uring_sink *sink)
{
	cpu_set_t cpus;

	/* Older kernels can't: then they run anywhere. */
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		io_uring_register_iowq_aff(&sink->ring, sizeof(cpus), &cpus);
}

int uring_sink_create(struct uring_sink **out, int fd, uint64_t max_bytes, bool without_uring)
{
	struct uring_sink *sink = calloc(1, sizeof(*sink));

	*out = sink;
	if (!sink)
		return -ENOMEM;
	sink->fd = fd;
	sink->max_bytes = max_bytes;
	sink->is_uring = !without_uring && !io_uring_queue_init(RING_ENTRIES, &sink->ring, 0);
	if (sink->is_uring)
		pin_workers(sink);
	return 0;
}

void uring_sink_destroy(struct uring_sink *sink)
{
	if (!sink)
		return;
	uring_sink_reap(sink, true);
	fail(sink, -ECANCELED);
	if (sink->is_uring)
		io_uring_queue_exit(&sink->ring);
	while (sink->free) {
		struct sink_write *write = sink->free;

		sink->free = write->next;
		free(write);
	}
	free(sink);
}

struct tape_sink uring_sink_as_tape_sink(struct uring_sink *sink)
{
	return (struct tape_sink){.write = sink_write, .ctx = sink, .read = sink_read};
}

bool uring_sink_is_uring(const struct uring_sink *sink)
{
	return sink->is_uring;
}

bool uring_sink_is_full(const struct uring_sink *sink)
{
	return sink->full_error != 0;
}

void uring_sink_give_up(struct uring_sink *sink)
{
	uring_sink_reap(sink, true);
	if (sink->full_error)
		fail(sink, sink->full_error);
}

uint64_t uring_sink_given_bytes(const struct uring_sink *sink)
{
	return sink->given_bytes;
}

uint64_t uring_sink_written_bytes(const struct uring_sink *sink)
{
	return sink->written_bytes;
}

int uring_sink_error(const struct uring_sink *sink, uint64_t *offset)
{
	if (sink->error && offset)
		*offset = sink->error_offset;
	return sink->error;
}
