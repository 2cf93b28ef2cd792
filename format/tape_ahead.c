/* SPDX-License-Identifier: MIT */
/* tape_ahead.c - loading in other threads; see tape_ahead.h. */
#include <errno.h>
#include <pthread.h>

#include "tape_ahead.h"

enum state { FREE, WAITING, LOADING, DONE };

/* Whoever has made it LOADING has it alone until it is DONE; of a FREE or DONE one the asking thread has what it holds.
 */
struct job {
	enum state state;
	size_t place;
	uint64_t order; /* in which it was asked for */
	struct tape_stored_chunk chunk;
	struct tape_origin from;
	struct tape_scratch raw;
	struct tape_ahead_loaded loaded;
};

struct worker {
	struct tape_ahead *ahead;
	struct tape_loader loader;
	pthread_t thread;
};

struct tape_ahead {
	pthread_mutex_t lock;
	pthread_cond_t wanted; /* something waits, or it ends */
	pthread_cond_t done;
	bool ends;
	uint64_t nr_asked;
	unsigned nr_jobs, nr_workers;
	struct job *jobs;
	struct worker *workers;
};

static struct job *oldest_waiting(struct tape_ahead *ahead)
{
	struct job *oldest = NULL;

	for (unsigned i = 0; i < ahead->nr_jobs; i++)
		if (ahead->jobs[i].state == WAITING && (!oldest || ahead->jobs[i].order < oldest->order))
			oldest = &ahead->jobs[i];
	return oldest;
}

/* With the lock held, which is given back meanwhile. */
static void work_on(struct tape_ahead *ahead, struct job *job, struct tape_loader *loader)
{
	job->state = LOADING;
	pthread_mutex_unlock(&ahead->lock);
	job->loaded.result = tape_loader_load(loader, &job->from, &job->chunk, &job->raw);
	job->loaded.is_sound = loader->is_sound;
	job->loaded.header = job->chunk.header;
	memcpy(job->loaded.why, loader->why, sizeof(job->loaded.why));
	pthread_mutex_lock(&ahead->lock);
	job->state = DONE;
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct tape_ahead *ahead = worker->ahead;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->ends) {
		struct job *job = oldest_waiting(ahead);

		if (job) {
			work_on(ahead, job, &worker->loader);
			pthread_cond_signal(&ahead->done);
		} else {
			pthread_cond_wait(&ahead->wanted, &ahead->lock);
		}
	}
	pthread_mutex_unlock(&ahead->lock);
	return NULL;
}

int tape_ahead_create(struct tape_ahead **out, unsigned nr_threads)
{
	struct tape_ahead *ahead;
	int result = 0;

	_Static_assert(sizeof(ahead->jobs->loaded.why) == sizeof(ahead->workers->loader.why), "what is copied");
	if (!nr_threads || nr_threads > TAPE_AHEAD_MAX)
		return -EINVAL;
	ahead = calloc(1, sizeof(*ahead));
	if (!ahead)
		return -ENOMEM;
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->wanted, NULL);
	pthread_cond_init(&ahead->done, NULL);
	ahead->nr_jobs = TAPE_AHEAD_CHUNKS(nr_threads);
	ahead->jobs = calloc(ahead->nr_jobs, sizeof(*ahead->jobs));
	ahead->workers = calloc(nr_threads, sizeof(*ahead->workers));
	if (!ahead->jobs || !ahead->workers)
		result = -ENOMEM;
	for (unsigned i = 0; i < nr_threads && !result; i++) {
		ahead->workers[i].ahead = ahead;
		result = -pthread_create(&ahead->workers[i].thread, NULL, run, &ahead->workers[i]);
		ahead->nr_workers += !result;
	}
	if (result)
		tape_ahead_destroy(ahead);
	else
		*out = ahead;
	return result;
}

void tape_ahead_destroy(struct tape_ahead *ahead)
{
	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	ahead->ends = true;
	pthread_cond_broadcast(&ahead->wanted);
	pthread_mutex_unlock(&ahead->lock);
	for (unsigned i = 0; i < ahead->nr_workers; i++) {
		pthread_join(ahead->workers[i].thread, NULL);
		tape_loader_deinit(&ahead->workers[i].loader);
	}
	for (unsigned i = 0; i < ahead->nr_jobs && ahead->jobs; i++)
		free(ahead->jobs[i].raw.data);
	pthread_cond_destroy(&ahead->done);
	pthread_cond_destroy(&ahead->wanted);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead->jobs);
	free(ahead->workers);
	free(ahead);
}

/* The asking thread alone makes jobs FREE, and takes them from that: to it, this does not change. */
static struct job *free_job(const struct tape_ahead *ahead)
{
	struct job *found = NULL;

	pthread_mutex_lock((pthread_mutex_t *)&ahead->lock);
	for (unsigned i = 0; i < ahead->nr_jobs && !found; i++)
		if (ahead->jobs[i].state == FREE)
			found = &ahead->jobs[i];
	pthread_mutex_unlock((pthread_mutex_t *)&ahead->lock);
	return found;
}

bool tape_ahead_has_room(const struct tape_ahead *ahead)
{
	return free_job(ahead);
}

void tape_ahead_ask(struct tape_ahead *ahead, size_t place, const struct tape_stored_chunk *chunk,
		    const struct tape_origin *from)
{
	struct job *job = free_job(ahead);

	job->place = place;
	job->chunk = *chunk;
	job->from = *from;
	pthread_mutex_lock(&ahead->lock);
	job->order = ahead->nr_asked++;
	job->state = WAITING;
	pthread_cond_signal(&ahead->wanted);
	pthread_mutex_unlock(&ahead->lock);
}

static struct job *find_job(struct tape_ahead *ahead, size_t place)
{
	for (unsigned i = 0; i < ahead->nr_jobs; i++)
		if (ahead->jobs[i].state != FREE && ahead->jobs[i].place == place)
			return &ahead->jobs[i];
	return NULL;
}

bool tape_ahead_take(struct tape_ahead *ahead, size_t place, struct tape_loader *loader, struct tape_scratch *raw,
		     struct tape_ahead_loaded *out)
{
	struct job *job;

	pthread_mutex_lock(&ahead->lock);
	job = find_job(ahead, place);
	while (job && job->state != DONE) {
		struct job *next = job->state == WAITING ? job : oldest_waiting(ahead);

		if (next)
			work_on(ahead, next, loader);
		else
			pthread_cond_wait(&ahead->done, &ahead->lock);
	}
	if (job) {
		struct tape_scratch other = *raw;

		*out = job->loaded;
		*raw = job->raw;
		job->raw = other;
		job->state = FREE;
	}
	pthread_mutex_unlock(&ahead->lock);
	return job;
}

void tape_ahead_drop(struct tape_ahead *ahead, bool (*passed)(const void *ctx, size_t place), const void *ctx)
{
	pthread_mutex_lock(&ahead->lock);
	for (unsigned i = 0; i < ahead->nr_jobs; i++) {
		struct job *job = &ahead->jobs[i];

		if (job->state == FREE || (passed && !passed(ctx, job->place)))
			continue;
		while (job->state == LOADING)
			pthread_cond_wait(&ahead->done, &ahead->lock);
		job->state = FREE;
	}
	pthread_mutex_unlock(&ahead->lock);
}
