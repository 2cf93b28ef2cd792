/* SPDX-License-Identifier: MIT */
#include "tape_thread_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop.h"

#define MAX_IN_A_ROW 4 /* blocks while pages wait */
#define REAP_NS      (20 * NS_PER_MS)

static void kick(void *ctx)
{
	struct tape_thread *thread = ctx;

	pthread_mutex_lock(&thread->lock);
	thread->kicked = true;
	pthread_cond_signal(&thread->kicked_cond);
	pthread_mutex_unlock(&thread->lock);
}

/* ---- the thread ------------------------------------------------------ */

void tape_thread_sleep(struct tape_thread *thread, uint64_t ns)
{
	uint64_t until_ns = now_ns() + ns;
	struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};

	pthread_cond_timedwait(&thread->kicked_cond, &thread->lock, &until);
}

static void run_job(struct tape_thread *thread, struct job *job)
{
	switch (job->kind) {
	case JOB_CHUNK:
		tape_store_chunk(thread, job->chunk);
		break;
	case JOB_PAGES:
		tape_store_pages(thread, job->batch);
		tape_thread_batch_put(thread, job->batch);
		break;
	case JOB_COMMIT:
		tape_store_commit(thread, &job->info);
		break;
	case JOB_FLUSH:
		tape_store_flush(thread);
		break;
	case JOB_COPY:
		tape_rotation_copy(thread, job);
		break;
	case JOB_ROTATE:
		tape_rotation_rotate(thread, job);
		break;
	case JOB_FINISH:
		tape_rotation_finish(thread, job);
		break;
	}
	tape_store_note_size(thread);
	pthread_mutex_lock(&thread->lock);
	thread->last_done = job->number;
	pthread_mutex_unlock(&thread->lock);
	tape_chunk_destroy(job->first[0]);
	tape_chunk_destroy(job->first[1]);
	free(job);
	thread->wake(thread->wake_ctx);
}

/* The next job; one that ends the tape only when all records are on it. */
static struct job *take_job(struct tape_thread *thread)
{
	bool empty = pipeline_is_empty(thread->pipeline), busy = tape_pages_is_busy(thread->pages);
	struct job *job;

	pthread_mutex_lock(&thread->lock);
	job = thread->head;
	if (job && job->kind == JOB_FINISH && !empty)
		job = NULL;
	/* Nor does a record wait for pages to be compressed. */
	if (job && job->kind == JOB_PAGES && busy && !thread->failed)
		job = NULL;
	if (job) {
		thread->head = job->next;
		if (!thread->head)
			thread->tail = NULL;
	}
	pthread_mutex_unlock(&thread->lock);
	return job;
}

/* Next is one that costs hardly more than a block. */
static bool short_job_waits(struct tape_thread *thread)
{
	bool waits;

	pthread_mutex_lock(&thread->lock);
	waits = thread->head && thread->head->kind != JOB_PAGES && thread->head->kind != JOB_FINISH;
	pthread_mutex_unlock(&thread->lock);
	return waits;
}

/* Sleeps until there is something to do, or for a moment while writes are in flight. False: the end. */
static bool wait_for_work(struct tape_thread *thread)
{
	uint64_t wait_ns = tape_store_sign_old(thread) * 1000000;
	bool ending;

	if (uring_sink_reap(thread->sink, false))
		wait_ns = REAP_NS;
	tape_store_check(thread);
	pthread_mutex_lock(&thread->lock);
	if (!thread->kicked && !thread->ending) {
		if (wait_ns)
			tape_thread_sleep(thread, wait_ns);
		else
			pthread_cond_wait(&thread->kicked_cond, &thread->lock);
	}
	/* Cleared before the caller looks, so that what comes behind its look is not missed. */
	thread->kicked = false;
	ending = thread->ending;
	pthread_mutex_unlock(&thread->lock);
	return !ending;
}

static void *run(void *arg)
{
	struct tape_thread *thread = arg;
	unsigned in_a_row = 0;

	pthread_setname_np(pthread_self(), "vmtape-tape");
	while (!thread->finished) {
		struct block *block = pipeline_take(thread->pipeline);
		struct job *job;

		tape_store_collect(thread);
		if (block) {
			tape_store_block(thread, block);
			/* Under load there is always a block: then a snapshot, or the next tape, would never come. */
			if (++in_a_row < MAX_IN_A_ROW && !short_job_waits(thread))
				continue;
		}
		in_a_row = 0;
		job = take_job(thread);
		if (job)
			run_job(thread, job);
		else if (!block && !wait_for_work(thread))
			break;
	}
	return NULL;
}

/* ---- made and ended -------------------------------------------------- */

int tape_thread_create(struct tape_thread **out, int fd, uint64_t ring_bytes, const struct tape_key *sign_key,
		       unsigned nr_encoders, int zstd_level, void (*wake)(void *ctx), void *wake_ctx,
		       struct record_error *error)
{
	struct tape_thread *thread = calloc(1, sizeof(*thread));
	struct tape_error tape_error = {0};
	pthread_condattr_t attr;
	struct tape_sink sink;
	int ret;

	*out = NULL;
	if (!thread)
		return record_error_set(error, -ENOMEM, "out of memory");
	spill_file_init(&thread->map_spill, NULL);
	pthread_mutex_init(&thread->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&thread->kicked_cond, &attr);
	pthread_condattr_destroy(&attr);
	thread->fd = fd;
	thread->zstd_level = zstd_level;
	thread->ring_bytes = ring_bytes;
	thread->sign_key = sign_key;
	thread->give_up_ns = LOOP_NEVER;
	thread->wake = wake;
	thread->wake_ctx = wake_ctx;

	thread->page_pool = page_pool_create(kick, thread);
	if (!thread->page_pool) {
		ret = record_error_set(error, -ENOMEM, "out of memory");
		goto failed;
	}
	ret = uring_sink_create(&thread->sink, fd, IN_FLIGHT_MAX_BYTES, getenv("VMTAPE_NO_URING") != NULL);
	if (ret) {
		record_error_set(error, ret, "out of memory");
		goto failed;
	}
	if (!uring_sink_is_uring(thread->sink))
		report("io_uring is not permitted here: writing with pwritev, which waits for a slow disk");
	sink = uring_sink_as_tape_sink(thread->sink);
	if (ring_bytes)
		ret = tape_writer_create_ring(&thread->writer, &sink, ring_bytes, &tape_error);
	else
		ret = tape_writer_create(&thread->writer, &sink, &tape_error);
	if (!ret && sign_key)
		ret = tape_writer_sign_with(thread->writer, sign_key, &tape_error);
	if (!ret)
		ret = tape_store_open_pages(thread, thread->writer, &thread->pages, &tape_error);
	if (ret) {
		record_error_set(error, ret, "starting the tape: %s",
				 tape_error.message[0] ? tape_error.message : strerror(-ret));
		goto failed;
	}
	ret = pipeline_create(&thread->pipeline, nr_encoders, zstd_level, kick, thread, error);
	if (ret)
		goto failed;
	ret = -pthread_create(&thread->thread, NULL, run, thread);
	if (ret) {
		record_error_set(error, ret, "cannot start a thread: %s", strerror(-ret));
		goto failed;
	}
	thread->started = true;
	*out = thread;
	return 0;
failed:
	tape_thread_destroy(thread);
	return ret;
}

void tape_job_destroy(struct job *job)
{
	tape_chunk_destroy(job->chunk);
	tape_chunk_destroy(job->first[0]);
	tape_chunk_destroy(job->first[1]);
	free(job->batch);
	free(job);
}

void tape_thread_destroy(struct tape_thread *thread)
{
	if (!thread)
		return;
	if (thread->started) {
		pthread_mutex_lock(&thread->lock);
		thread->ending = true;
		pthread_cond_signal(&thread->kicked_cond);
		pthread_mutex_unlock(&thread->lock);
		pthread_join(thread->thread, NULL);
	}
	tape_store_count(thread, UINT64_MAX, true);
	pipeline_destroy(thread->pipeline);
	tape_pages_destroy(thread->pages);
	spill_file_deinit(&thread->map_spill);
	free(thread->map_path);
	page_pool_destroy(thread->page_pool);
	/* What is in flight belongs to the writer until it is done. */
	if (thread->sink)
		uring_sink_reap(thread->sink, true);
	tape_writer_destroy(thread->writer);
	uring_sink_destroy(thread->sink);
	while (thread->head) {
		struct job *job = thread->head;

		thread->head = job->next;
		tape_job_destroy(job);
	}
	while (thread->free_batches) {
		struct page_batch *batch = thread->free_batches;

		thread->free_batches = batch->next;
		free(batch);
	}
	pthread_cond_destroy(&thread->kicked_cond);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}

struct pipeline *tape_thread_pipeline(struct tape_thread *thread)
{
	return thread->pipeline;
}
