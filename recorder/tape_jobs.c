/* SPDX-License-Identifier: MIT */
/*
 * tape_jobs.c - the tape thread as the others see it: jobs for it, and what it
 * tells of itself.
 */
#include <stdlib.h>
#include <string.h>

#include "tape_thread_private.h"

static uint64_t post(struct tape_thread *thread, struct job *job)
{
	uint64_t number;

	pthread_mutex_lock(&thread->lock);
	number = job->number = ++thread->last_posted;
	job->next = NULL;
	if (thread->tail)
		thread->tail->next = job;
	else
		thread->head = job;
	thread->tail = job;
	thread->kicked = true;
	pthread_cond_signal(&thread->kicked_cond);
	pthread_mutex_unlock(&thread->lock);
	return number;
}

static struct job *job_create(enum job_kind kind, size_t extra_bytes)
{
	struct job *job = calloc(1, sizeof(*job) + extra_bytes);

	/* A few hundred bytes: where they are not to be had, there is nothing left to save. */
	if (!job) {
		report_error("out of memory");
		abort();
	}
	job->kind = kind;
	return job;
}

uint64_t tape_thread_post_chunk(struct tape_thread *thread, struct tape_chunk *chunk)
{
	struct job *job = job_create(JOB_CHUNK, 0);

	job->chunk = chunk;
	return post(thread, job);
}

struct page_batch *tape_thread_batch_get(struct tape_thread *thread)
{
	struct page_batch *batch;

	pthread_mutex_lock(&thread->lock);
	batch = thread->free_batches;
	if (batch) {
		thread->free_batches = batch->next;
	} else if (thread->nr_batches < BATCH_MAX_COUNT) {
		batch = malloc(sizeof(*batch));
		thread->nr_batches += batch != NULL;
	}
	pthread_mutex_unlock(&thread->lock);
	if (batch) {
		batch->next = NULL;
		batch->nr_runs = batch->nr_data_pages = batch->nr_zero_pages = 0;
	}
	return batch;
}

void tape_thread_batch_put(struct tape_thread *thread, struct page_batch *batch)
{
	if (!batch)
		return;
	pthread_mutex_lock(&thread->lock);
	batch->next = thread->free_batches;
	thread->free_batches = batch;
	pthread_mutex_unlock(&thread->lock);
}

uint64_t tape_thread_post_pages(struct tape_thread *thread, struct page_batch *batch)
{
	struct job *job = job_create(JOB_PAGES, 0);

	job->batch = batch;
	return post(thread, job);
}

uint64_t tape_thread_post_commit(struct tape_thread *thread, const struct tape_snapshot_info *info)
{
	size_t regs_bytes = (size_t)info->nr_vcpus * info->nr_regs * sizeof(uint64_t);
	size_t ranges_bytes = info->nr_ranges * sizeof(struct tape_ram_range);
	struct job *job = job_create(JOB_COMMIT, regs_bytes + ranges_bytes);
	uint8_t *behind = (uint8_t *)(job + 1);

	job->info = *info;
	job->info.vcpu_regs = (uint64_t *)behind;
	job->info.ranges = (struct tape_ram_range *)(behind + regs_bytes);
	if (regs_bytes)
		memcpy(behind, info->vcpu_regs, regs_bytes);
	if (ranges_bytes)
		memcpy(behind + regs_bytes, info->ranges, ranges_bytes);
	return post(thread, job);
}

uint64_t tape_thread_post_flush(struct tape_thread *thread)
{
	return post(thread, job_create(JOB_FLUSH, 0));
}

uint64_t tape_thread_post_rotate(struct tape_thread *thread, int fd, const char *reason, struct tape_chunk *meta,
				 struct tape_chunk *plan)
{
	struct job *job = job_create(JOB_ROTATE, 0);

	job->fd = fd;
	job->first[0] = meta;
	job->first[1] = plan;
	strncpy(job->reason, reason, sizeof(job->reason) - 1);
	return post(thread, job);
}

int tape_thread_rotate_error(struct tape_thread *thread, struct record_error *out)
{
	pthread_mutex_lock(&thread->lock);
	*out = thread->rotate_error;
	pthread_mutex_unlock(&thread->lock);
	return out->error;
}

uint64_t tape_thread_post_copy(struct tape_thread *thread, int from_fd, int to_fd)
{
	struct job *job = job_create(JOB_COPY, 0);

	job->from_fd = from_fd;
	job->fd = to_fd;
	return post(thread, job);
}

void tape_thread_get_copy(struct tape_thread *thread, struct tape_copy *out)
{
	pthread_mutex_lock(&thread->lock);
	*out = thread->copy;
	pthread_mutex_unlock(&thread->lock);
}

void tape_thread_set_alarm(struct tape_thread *thread, uint64_t file_bytes)
{
	pthread_mutex_lock(&thread->lock);
	thread->alarm_bytes = file_bytes;
	pthread_mutex_unlock(&thread->lock);
}

uint64_t tape_thread_finish(struct tape_thread *thread, const char *reason, uint64_t lost_records)
{
	struct job *job = job_create(JOB_FINISH, 0);

	job->lost_records = lost_records;
	strncpy(job->reason, reason, sizeof(job->reason) - 1);
	return post(thread, job);
}

void tape_thread_spill_beside(struct tape_thread *thread, const char *path)
{
	pthread_mutex_lock(&thread->lock);
	free(thread->map_path);
	thread->map_path = strdup(path);
	/* Without memory for it the map stays in memory, too. */
	thread->map_spill.beside = thread->map_path;
	pthread_mutex_unlock(&thread->lock);
}

void tape_thread_wait_when_full(struct tape_thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	thread->waits_when_full = true;
	pthread_mutex_unlock(&thread->lock);
}

bool tape_thread_is_waiting(struct tape_thread *thread)
{
	bool is_waiting;

	pthread_mutex_lock(&thread->lock);
	is_waiting = thread->is_waiting;
	pthread_mutex_unlock(&thread->lock);
	return is_waiting;
}

void tape_thread_give_up_at(struct tape_thread *thread, uint64_t at_ns)
{
	pthread_mutex_lock(&thread->lock);
	if (at_ns < thread->give_up_ns)
		thread->give_up_ns = at_ns;
	pthread_mutex_unlock(&thread->lock);
}

bool tape_thread_is_done(struct tape_thread *thread, uint64_t number)
{
	bool done;

	pthread_mutex_lock(&thread->lock);
	done = thread->last_done >= number;
	pthread_mutex_unlock(&thread->lock);
	return done;
}

int tape_thread_error(struct tape_thread *thread, struct record_error *out)
{
	int error;

	pthread_mutex_lock(&thread->lock);
	error = thread->error.error;
	if (error && out)
		*out = thread->error;
	pthread_mutex_unlock(&thread->lock);
	return error;
}

void tape_thread_get_stats(struct tape_thread *thread, struct tape_stats *out)
{
	pthread_mutex_lock(&thread->lock);
	*out = thread->stats;
	pthread_mutex_unlock(&thread->lock);
}
