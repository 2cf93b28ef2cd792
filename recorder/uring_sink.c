/* SPDX-License-Identifier: MIT */
#include "uring_sink.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define SINK_DEPTH 64

struct sink_write {
	struct sink_write *next_free;
	uint8_t *buffer;
	size_t size_bytes;
	size_t written;
	uint64_t offset;
	void (*done)(void *done_ctx, void *buffer, int result);
	void *done_ctx;
};

struct uring_sink {
	struct io_uring ring;
	bool is_uring;
	bool is_broken; /* a submission failed for good */
	int fd;
	unsigned in_flight;
	uint64_t in_flight_bytes;
	uint64_t max_bytes;
	int error;
	uint64_t error_offset;
	struct sink_write *free;
	struct sink_write writes[SINK_DEPTH];
};

static void note_error(struct uring_sink *sink, int error, uint64_t offset)
{
	if (!sink->error) {
		sink->error = error;
		sink->error_offset = offset;
	}
}

/* The rest of the write, or all of it. */
static int submit(struct uring_sink *sink, struct sink_write *write)
{
	struct io_uring_sqe *sqe = sink->is_broken ? NULL : io_uring_get_sqe(&sink->ring);
	size_t rest = write->size_bytes - write->written;
	int ret;

	if (!sqe)
		return -EBUSY;
	/* The kernel takes at most 2 GiB at a time; what is left comes back as a short write. */
	io_uring_prep_write(sqe, sink->fd, write->buffer + write->written, rest > 1u << 30 ? 1u << 30 : (unsigned)rest,
			    write->offset + write->written);
	/* In order: a hole before data that is there would cost the reader what lies behind it. */
	sqe->flags |= IOSQE_IO_DRAIN;
	io_uring_sqe_set_data(sqe, write);
	do
		ret = io_uring_submit(&sink->ring);
	while (ret == -EINTR || ret == -EAGAIN);
	/* What could not be submitted stays in the queue, with a buffer that is freed: nothing may follow. */
	sink->is_broken = ret < 0;
	return ret < 0 ? ret : 0;
}

static void finish(struct uring_sink *sink, struct sink_write *write, int result)
{
	void (*done)(void *, void *, int) = write->done;
	void *done_ctx = write->done_ctx, *buffer = write->buffer;

	if (result < 0)
		note_error(sink, result, write->offset + write->written);
	sink->in_flight--;
	sink->in_flight_bytes -= write->size_bytes;
	write->buffer = NULL;
	write->next_free = sink->free;
	sink->free = write;
	if (done)
		done(done_ctx, buffer, result);
}

static void complete(struct uring_sink *sink, struct sink_write *write, int result)
{
	if (result == -EINTR || result == -EAGAIN) {
		result = submit(sink, write);
		if (!result)
			return;
	} else if (result == 0) {
		result = -EIO; /* a regular file takes at least a byte or says why not */
	} else if (result > 0) {
		write->written += (size_t)result;
		if (write->written >= write->size_bytes) {
			finish(sink, write, 0);
			return;
		}
		result = submit(sink, write);
		if (!result)
			return;
	}
	finish(sink, write, result);
}

/* Take one completion; false when there is none (and wait is not asked for). */
static bool take_one(struct uring_sink *sink, bool wait)
{
	struct io_uring_cqe *cqe;
	struct sink_write *write;
	int ret, result;

	do
		ret = wait ? io_uring_wait_cqe(&sink->ring, &cqe) : io_uring_peek_cqe(&sink->ring, &cqe);
	while (wait && ret == -EINTR);
	if (ret)
		return false;
	write = io_uring_cqe_get_data(cqe);
	result = cqe->res;
	io_uring_cqe_seen(&sink->ring, cqe);
	complete(sink, write, result);
	return true;
}

unsigned uring_sink_reap(struct uring_sink *sink, bool wait_all)
{
	while (sink->in_flight && take_one(sink, wait_all))
		;
	return sink->in_flight;
}

static int write_uring(struct uring_sink *sink, struct sink_write *from)
{
	struct sink_write *write;
	int ret;

	while (sink->in_flight && take_one(sink, false))
		;
	while (sink->in_flight && (!sink->free || sink->in_flight_bytes + from->size_bytes > sink->max_bytes))
		if (!take_one(sink, true))
			return -EIO;
	/* What comes behind a failed write would stand behind a hole. */
	if (sink->error)
		return sink->error;
	write = sink->free;
	sink->free = write->next_free;
	*write = *from;
	sink->in_flight++;
	sink->in_flight_bytes += write->size_bytes;
	ret = submit(sink, write);
	if (ret) {
		write->done = NULL;
		finish(sink, write, ret);
	}
	return ret;
}

static int write_plain(struct uring_sink *sink, struct sink_write *write)
{
	while (write->written < write->size_bytes) {
		ssize_t n = pwrite(sink->fd, write->buffer + write->written, write->size_bytes - write->written,
				   (off_t)(write->offset + write->written));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			note_error(sink, n < 0 ? -errno : -EIO, write->offset + write->written);
			return sink->error;
		}
		write->written += (size_t)n;
	}
	if (write->done)
		write->done(write->done_ctx, write->buffer, 0);
	return 0;
}

/* An error that is returned means that done is not called: the caller keeps the buffer. */
static int sink_write(void *ctx, uint64_t offset, void *buffer, size_t size_bytes,
		      void (*done)(void *done_ctx, void *buffer, int result), void *done_ctx)
{
	struct uring_sink *sink = ctx;
	struct sink_write write = {
		.buffer = buffer,
		.size_bytes = size_bytes,
		.offset = offset,
		.done = done,
		.done_ctx = done_ctx,
	};

	if (sink->error)
		return sink->error;
	return sink->is_uring ? write_uring(sink, &write) : write_plain(sink, &write);
}

static bool is_in_flight(const struct uring_sink *sink, uint64_t offset, size_t size_bytes)
{
	for (unsigned i = 0; i < SINK_DEPTH; i++) {
		const struct sink_write *write = &sink->writes[i];

		if (write->buffer && write->offset < offset + size_bytes && offset < write->offset + write->size_bytes)
			return true;
	}
	return false;
}

/* What was written before; a write of it that is still on its way is waited for. */
static int sink_read(void *ctx, uint64_t offset, void *buffer, size_t size_bytes)
{
	struct uring_sink *sink = ctx;
	uint8_t *out = buffer;

	while (sink->in_flight && is_in_flight(sink, offset, size_bytes))
		if (!take_one(sink, true))
			return -EIO;
	if (sink->error)
		return sink->error;
	while (size_bytes) {
		ssize_t n = pread(sink->fd, out, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		out += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
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
	for (unsigned i = 0; i < SINK_DEPTH; i++) {
		sink->writes[i].next_free = sink->free;
		sink->free = &sink->writes[i];
	}
	sink->is_uring = !without_uring && !io_uring_queue_init(SINK_DEPTH, &sink->ring, 0);
	if (sink->is_uring)
		pin_workers(sink);
	return 0;
}

void uring_sink_destroy(struct uring_sink *sink)
{
	if (!sink)
		return;
	if (sink->is_uring) {
		uring_sink_reap(sink, true);
		io_uring_queue_exit(&sink->ring);
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

int uring_sink_error(const struct uring_sink *sink, uint64_t *offset)
{
	if (sink->error && offset)
		*offset = sink->error_offset;
	return sink->error;
}
