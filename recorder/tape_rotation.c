/* SPDX-License-Identifier: MIT */
/*
 * tape_rotation.c - how a tape ends, how it is copied, and how the next one
 * takes its place without the loss of a record.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "file_worker.h"
#include "tape_thread_private.h"

/* Of all tapes: what is on them, or on its way. */
static struct tape_totals count_all(struct tape_thread *thread)
{
	struct tape_totals all;

	pthread_mutex_lock(&thread->lock);
	all.records = thread->stats.traps.records + thread->backlog.records;
	all.lost_records = thread->stats.traps.gap_lost + thread->backlog.gap_lost;
	all.snapshots = thread->stats.snapshots;
	pthread_mutex_unlock(&thread->lock);
	return all;
}

static struct tape_totals of_this_tape(const struct tape_thread *thread, const struct tape_totals *all)
{
	const struct tape_totals *before = &thread->before.totals;

	return (struct tape_totals){.records = all->records - before->records,
				    .lost_records = all->lost_records - before->lost_records,
				    .snapshots = all->snapshots - before->snapshots};
}

void tape_rotation_finish(struct tape_thread *thread, const struct job *job)
{
	struct tape_totals all = count_all(thread), totals;
	struct tape_error error = {0};
	int ret;

	thread->finished = true;
	if (!thread->failed) {
		/* The rings may know of more than the gaps on the tape tell. */
		if (all.lost_records < job->lost_records)
			all.lost_records = job->lost_records;
		totals = of_this_tape(thread, &all);
		ret = tape_writer_finish(thread->writer, job->reason, &totals, &error);
		if (ret)
			tape_store_fail(thread, ret, "ending the tape", &error);
	}
	tape_store_flush(thread);
	/* Some file systems find out only now that they have no room. */
	if (!thread->failed && fdatasync(thread->fd) && errno != EINVAL)
		tape_store_fail(thread, -errno, "syncing", NULL);
}

void tape_rotation_copy(struct tape_thread *thread, const struct job *job)
{
	struct tape_copy copy = {0};

	tape_store_flush(thread);
	if (thread->failed) {
		copy.error = -EIO;
	} else {
		copy.size_bytes = tape_writer_size_bytes(thread->writer);
		copy.is_cloned = !ioctl(job->fd, FICLONE, job->from_fd);
		/* Of a ring any part may be written over next: records wait while it is copied. */
		if (!copy.is_cloned && thread->ring_bytes) {
			copy.error = file_copy(job->from_fd, copy.size_bytes, job->fd);
			copy.is_cloned = true;
		}
	}
	pthread_mutex_lock(&thread->lock);
	thread->copy = copy;
	pthread_mutex_unlock(&thread->lock);
}

/* ---- from one tape to the next --------------------------------------- */

struct next_tape {
	struct uring_sink *sink;
	struct tape_writer *writer;
	struct tape_pages *pages;
};

static void next_tape_drop(struct next_tape *next)
{
	tape_pages_destroy(next->pages);
	if (next->sink)
		uring_sink_reap(next->sink, true);
	tape_writer_destroy(next->writer);
	uring_sink_destroy(next->sink);
}

/* Begins the next tape, as far as a file that has no room would show it. */
static int next_tape_begin(struct tape_thread *thread, struct job *job, struct next_tape *next,
			   struct tape_error *error)
{
	struct tape_sink sink;
	int ret = uring_sink_create(&next->sink, job->fd, IN_FLIGHT_MAX_BYTES, !uring_sink_is_uring(thread->sink));

	if (ret)
		return ret;
	sink = uring_sink_as_tape_sink(next->sink);
	ret = tape_writer_create(&next->writer, &sink, error);
	if (!ret && thread->sign_key)
		ret = tape_writer_sign_with(next->writer, thread->sign_key, error);
	for (unsigned i = 0; i < 2 && !ret; i++) {
		ret = tape_writer_append(next->writer, job->first[i], error);
		job->first[i] = NULL;
	}
	if (!ret)
		ret = tape_store_open_pages(thread, next->writer, &next->pages, error);
	if (!ret) {
		/* Where there is no room, the tape before is written on. */
		uring_sink_give_up(next->sink);
		ret = uring_sink_error(next->sink, NULL);
	}
	return ret;
}

/* What is counted for the tape that ends here. */
static void close_account(struct tape_thread *thread, struct tape_totals *totals)
{
	const struct tape_totals all = count_all(thread);

	*totals = of_this_tape(thread, &all);
	thread->before.totals = all;
	tape_store_pages_stats(thread, &thread->before.pages);
}

static void switch_tapes(struct tape_thread *thread, struct next_tape *next, int fd)
{
	struct next_tape old = {thread->sink, thread->writer, thread->pages};

	pthread_mutex_lock(&thread->lock);
	thread->stats.closed_bytes += tape_writer_size_bytes(old.writer);
	thread->stats.nr_tapes++;
	pthread_mutex_unlock(&thread->lock);
	thread->sink = next->sink;
	thread->writer = next->writer;
	thread->pages = next->pages;
	thread->fd = fd;
	*next = old;
}

/* What the chain of the tape that ended came to: who has only the next one's signatures can tell if it was altered. */
static int name_chain(const struct tape_thread *thread, struct next_tape *next, struct tape_error *error)
{
	char text[sizeof("continues_chain=\n") + 2 * TAPE_CHAIN_BYTES] = "continues_chain=";
	uint8_t value[TAPE_CHAIN_BYTES];
	struct tape_chunk *chunk = NULL;
	size_t n = strlen(text);
	int ret;

	tape_writer_chain(thread->writer, value);
	for (unsigned i = 0; i < TAPE_CHAIN_BYTES; i++)
		n += (size_t)sprintf(text + n, "%02x", value[i]);
	strcpy(text + n, "\n");
	ret = tape_chunk_encode_meta(&chunk, text, error);
	return ret ? ret : tape_writer_append(next->writer, chunk, error);
}

void tape_rotation_rotate(struct tape_thread *thread, struct job *job)
{
	struct record_error why = {0};
	struct tape_error error = {0};
	struct next_tape next = {0};
	struct tape_totals totals;
	int ret;

	if (thread->failed) {
		record_error_set(&why, -EIO, "the tape before could not be written");
	} else if ((ret = next_tape_begin(thread, job, &next, &error))) {
		record_error_set(&why, ret, "%s", error.message[0] ? error.message : strerror(-ret));
	} else {
		close_account(thread, &totals);
		ret = tape_writer_finish(thread->writer, job->reason, &totals, &error);
		if (ret)
			tape_store_fail(thread, ret, "ending the tape", &error);
		/* Nothing of it is on its way any more: what is counted from here on is the next one's. */
		tape_store_flush(thread);
		if (!thread->failed && (ret = name_chain(thread, &next, &error)))
			tape_store_fail(thread, ret, "beginning the next tape", &error);
		if (thread->failed)
			record_error_set(&why, -EIO, "the tape before could not be ended");
		else
			switch_tapes(thread, &next, job->fd);
	}
	next_tape_drop(&next);
	pthread_mutex_lock(&thread->lock);
	thread->rotate_error = why;
	pthread_mutex_unlock(&thread->lock);
}
