/* SPDX-License-Identifier: MIT */
#include "call_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

/* The first line must not wait for a large batch. */
#define FIRST_BATCH_CALLS 16u

struct pool {
	struct call_stream *stream;
	const struct call_pool_job *job;
	uint32_t max_calls;

	pthread_mutex_t reading; /* the stream, and: */
	uint64_t nr_taken;
	uint32_t next_calls; /* size of the next batch */
	bool at_end;         /* nothing more is to be taken */

	pthread_mutex_t turns; /* and: */
	pthread_cond_t turn_came;
	uint64_t turn; /* number of the batch that is delivered next */
	bool stopped;  /* nothing more is to be delivered */
	struct vmtape_error *error;
};

struct pool_thread {
	struct pool *pool;
	void *worker;
	pthread_t id;
};

/* false: there is none, but an error or the end may wait for its turn. */
static bool take(struct pool *pool, struct call_batch *batch, uint64_t *number, struct vmtape_error **error)
{
	bool more = false;

	*error = NULL;
	pthread_mutex_lock(&pool->reading);
	call_stream_give_back(pool->stream, batch);
	if (!pool->at_end) {
		*error = call_stream_take(pool->stream, batch, pool->next_calls, &more);
		pool->next_calls = pool->next_calls < pool->max_calls / 2 ? pool->next_calls * 2 : pool->max_calls;
		pool->at_end = *error || !more;
		*number = pool->nr_taken;
		pool->nr_taken += more;
	}
	pthread_mutex_unlock(&pool->reading);
	return more;
}

/* false: all is over. */
static bool await_turn(struct pool *pool, uint64_t number)
{
	bool is_over;

	pthread_mutex_lock(&pool->turns);
	while (pool->turn != number && !pool->stopped)
		pthread_cond_wait(&pool->turn_came, &pool->turns);
	is_over = pool->stopped;
	pthread_mutex_unlock(&pool->turns);
	return !is_over;
}

static void end_turn(struct pool *pool, bool stop)
{
	pthread_mutex_lock(&pool->turns);
	pool->turn++;
	pool->stopped |= stop;
	pthread_cond_broadcast(&pool->turn_came);
	pthread_mutex_unlock(&pool->turns);
	if (!stop)
		return;
	pthread_mutex_lock(&pool->reading);
	pool->at_end = true;
	pthread_mutex_unlock(&pool->reading);
}

static void fail(struct pool *pool, uint64_t number, struct vmtape_error *error)
{
	bool is_wanted = await_turn(pool, number);

	pthread_mutex_lock(&pool->turns);
	if (is_wanted)
		pool->error = error;
	else
		vmtape_error_destroy(error);
	pthread_mutex_unlock(&pool->turns);
}

static void *run(void *ctx)
{
	struct pool_thread *thread = ctx;
	struct pool *pool = thread->pool;
	const struct call_pool_job *job = pool->job;
	struct call_batch batch = {0};
	struct vmtape_error *error;
	uint64_t number = 0;

	while (take(pool, &batch, &number, &error)) {
		job->work(job->ctx, thread->worker, &batch);
		if (await_turn(pool, number))
			end_turn(pool, !job->deliver(job->ctx, thread->worker, &batch));
	}
	if (error)
		fail(pool, number, error);
	call_batch_deinit(&batch);
	return NULL;
}

/* How many there are then. */
static unsigned start(struct pool_thread *threads, unsigned nr_threads)
{
	unsigned i;

	for (i = 1; i < nr_threads && !pthread_create(&threads[i].id, NULL, run, &threads[i]); i++)
		;
	return i;
}

struct vmtape_error *call_pool_run(struct call_stream *stream, const struct call_pool_job *job,
				   const struct call_pool_options *options)
{
	unsigned nr_threads = options->nr_threads < CALL_POOL_MAX_THREADS ? options->nr_threads : CALL_POOL_MAX_THREADS;
	struct pool_thread threads[CALL_POOL_MAX_THREADS];
	struct pool pool = {.stream = stream,
			    .job = job,
			    .max_calls = options->batch_calls ? options->batch_calls : CALL_POOL_BATCH_CALLS,
			    .reading = PTHREAD_MUTEX_INITIALIZER,
			    .turns = PTHREAD_MUTEX_INITIALIZER,
			    .turn_came = PTHREAD_COND_INITIALIZER};

	pool.next_calls = pool.max_calls < FIRST_BATCH_CALLS ? pool.max_calls : FIRST_BATCH_CALLS;
	for (unsigned i = 0; i < nr_threads || !i; i++)
		threads[i] =
			(struct pool_thread){.pool = &pool, .worker = (char *)job->workers + i * job->worker_bytes};
	nr_threads = start(threads, nr_threads);
	run(&threads[0]);
	for (unsigned i = 1; i < nr_threads; i++)
		pthread_join(threads[i].id, NULL);
	pthread_mutex_destroy(&pool.reading);
	pthread_mutex_destroy(&pool.turns);
	pthread_cond_destroy(&pool.turn_came);
	return pool.error;
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
