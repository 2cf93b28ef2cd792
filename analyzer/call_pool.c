/* SPDX-License-Identifier: MIT */
#include "call_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

/* The first line must not wait for a large batch. */
#define FIRST_BATCH_CALLS 16u

/* A batch on its way: taken, worked on, delivered; then the place is free for another. */
struct place {
	struct call_batch batch;
	void *worker;
	bool is_done; /* worked on, waits for its turn */
};

struct pool {
	struct call_stream *stream;
	const struct call_pool_job *job;
	uint32_t max_calls;
	struct place *places; /* of batch number n: n modulo nr_places */
	unsigned nr_places;

	pthread_mutex_t reading; /* the stream, and: */
	uint64_t nr_taken;
	uint32_t next_calls; /* size of the next batch */
	bool at_end;         /* nothing more is to be taken */
	struct vmtape_error *error;

	pthread_mutex_t turns; /* and: */
	pthread_cond_t turn_came;
	uint64_t turn;      /* number of the batch that is delivered next */
	bool is_delivering; /* somebody is at it */
	bool stopped;       /* nothing more is to be delivered */
};

/* false: all is over. */
static bool await_place(struct pool *pool, uint64_t number)
{
	bool is_over;

	pthread_mutex_lock(&pool->turns);
	while (number - pool->turn >= pool->nr_places && !pool->stopped)
		pthread_cond_wait(&pool->turn_came, &pool->turns);
	is_over = pool->stopped;
	pthread_mutex_unlock(&pool->turns);
	return !is_over;
}

/* NULL: there is nothing more. */
static struct place *take(struct pool *pool)
{
	struct place *place = NULL;
	bool more = false;

	pthread_mutex_lock(&pool->reading);
	if (!pool->at_end && await_place(pool, pool->nr_taken)) {
		place = &pool->places[pool->nr_taken % pool->nr_places];
		call_stream_give_back(pool->stream, &place->batch);
		pool->error = call_stream_take(pool->stream, &place->batch, pool->next_calls, &more);
		pool->next_calls = pool->next_calls < pool->max_calls / 2 ? pool->next_calls * 2 : pool->max_calls;
		pool->nr_taken += more;
	}
	pool->at_end |= !more;
	pthread_mutex_unlock(&pool->reading);
	return more ? place : NULL;
}

/* This one and those behind it that are done, unless somebody is at it, who will see that this one is. */
static void deliver(struct pool *pool, struct place *place)
{
	const struct call_pool_job *job = pool->job;

	pthread_mutex_lock(&pool->turns);
	place->is_done = true;
	while (!pool->is_delivering && !pool->stopped) {
		bool goes_on;

		place = &pool->places[pool->turn % pool->nr_places];
		if (!place->is_done)
			break;
		pool->is_delivering = true;
		pthread_mutex_unlock(&pool->turns);
		goes_on = job->deliver(job->ctx, place->worker, &place->batch);
		pthread_mutex_lock(&pool->turns);
		pool->is_delivering = false;
		pool->stopped = !goes_on;
		if (!goes_on)
			call_stream_stop(pool->stream);
		place->is_done = false;
		pool->turn++;
		pthread_cond_broadcast(&pool->turn_came);
	}
	pthread_mutex_unlock(&pool->turns);
}

static void *run(void *ctx)
{
	struct pool *pool = ctx;
	struct place *place;

	while ((place = take(pool))) {
		pool->job->work(pool->job->ctx, place->worker, &place->batch);
		deliver(pool, place);
	}
	return NULL;
}

struct vmtape_error *call_pool_run(struct call_stream *stream, const struct call_pool_job *job,
				   const struct call_pool_options *options)
{
	struct pool pool = {.stream = stream,
			    .job = job,
			    .max_calls = options->batch_calls ? options->batch_calls : CALL_POOL_BATCH_CALLS,
			    .nr_places = call_pool_workers(options->nr_threads),
			    .reading = PTHREAD_MUTEX_INITIALIZER,
			    .turns = PTHREAD_MUTEX_INITIALIZER,
			    .turn_came = PTHREAD_COND_INITIALIZER};
	pthread_t threads[CALL_POOL_MAX_THREADS];
	unsigned nr_threads = 1;

	pool.places = calloc(pool.nr_places, sizeof(*pool.places));
	if (!pool.places)
		return &vmtape_error_no_memory;
	pool.next_calls = pool.max_calls < FIRST_BATCH_CALLS ? pool.max_calls : FIRST_BATCH_CALLS;
	for (unsigned i = 0; i < pool.nr_places; i++)
		pool.places[i].worker = (char *)job->workers + i * job->worker_bytes;
	while (nr_threads < options->nr_threads && nr_threads < CALL_POOL_MAX_THREADS &&
	       !pthread_create(&threads[nr_threads], NULL, run, &pool))
		nr_threads++;
	run(&pool);
	while (nr_threads > 1)
		pthread_join(threads[--nr_threads], NULL);
	for (unsigned i = 0; i < pool.nr_places; i++) {
		call_stream_give_back(stream, &pool.places[i].batch);
		call_batch_deinit(&pool.places[i].batch);
	}
	free(pool.places);
	pthread_mutex_destroy(&pool.reading);
	pthread_mutex_destroy(&pool.turns);
	pthread_cond_destroy(&pool.turn_came);
	if (!pool.stopped)
		return pool.error;
	vmtape_error_destroy(pool.error);
	return NULL;
}

unsigned call_pool_workers(unsigned nr_threads)
{
	return nr_threads > 1 ? 2 * (nr_threads < CALL_POOL_MAX_THREADS ? nr_threads : CALL_POOL_MAX_THREADS) : 1;
}

unsigned call_pool_read_ahead(unsigned nr_threads)
{
	return nr_threads > 1;
}

unsigned call_pool_default_threads(void)
{
	cpu_set_t cpus;
	unsigned n;

	/* More CPUs than the set has room for are enough, too. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return errno == EINVAL ? CALL_POOL_DEFAULT_THREADS : 1;
	n = (unsigned)CPU_COUNT(&cpus);
	return n < CALL_POOL_DEFAULT_THREADS ? n : CALL_POOL_DEFAULT_THREADS;
}
