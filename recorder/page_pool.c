/* SPDX-License-Identifier: MIT */
#include "page_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "cpu_list.h"

#define MAX_THREADS 4
/* So that none waits for the tape thread between two chunks. */
#define MORE_JOBS 2

struct page_thread {
	struct page_pool *pool;
	struct tape_page_job *job; /* NULL: it has none */
	pthread_t thread;
};

struct page_pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a chunk came, or it ends */
	pthread_cond_t done; /* with one chunk */
	struct tape_page_job *head, *tail;
	bool ending;
	void (*kick)(void *ctx);
	void *kick_ctx;
	unsigned nr_threads, nr_started; /* of the tape thread */
	struct page_thread threads[MAX_THREADS];
};

unsigned page_pool_default_threads(void)
{
	unsigned cpus = cpu_list_allowed(), half = (cpus + 1) / 2;

	if (cpus <= 2)
		return cpus;
	return half < MAX_THREADS ? half : MAX_THREADS;
}

struct page_pool *page_pool_create(void (*kick)(void *ctx), void *ctx)
{
	struct page_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->kick = kick;
	pool->kick_ctx = ctx;
	pool->nr_threads = page_pool_default_threads();
	return pool;
}

void page_pool_destroy(struct page_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nr_started; i++)
		pthread_join(pool->threads[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* Under the lock: the oldest that no thread has. */
static struct tape_page_job *take(struct page_pool *pool)
{
	struct tape_page_job *job = pool->head;

	if (!job)
		return NULL;
	pool->head = *tape_page_job_next(job);
	if (!pool->head)
		pool->tail = NULL;
	return job;
}

static void *run(void *arg)
{
	struct page_thread *thread = arg;
	struct page_pool *pool = thread->pool;

	pthread_setname_np(pthread_self(), "vmtape-pages");
	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		thread->job = take(pool);
		if (!thread->job) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		tape_page_job_run(thread->job);
		pthread_mutex_lock(&pool->lock);
		thread->job = NULL;
		pthread_cond_broadcast(&pool->done);
		pthread_mutex_unlock(&pool->lock);
		pool->kick(pool->kick_ctx);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void start_one(struct page_pool *pool)
{
	struct page_thread *thread = &pool->threads[pool->nr_started];

	thread->pool = pool;
	if (pthread_create(&thread->thread, NULL, run, thread))
		pool->nr_threads = pool->nr_started; /* those that there are must do */
	else
		pool->nr_started++;
}

/* ---- the tape thread ------------------------------------------------- */

static void post(void *ctx, struct tape_page_job *job)
{
	struct page_pool *pool = ctx;

	while (pool->nr_started < pool->nr_threads)
		start_one(pool);
	if (!pool->nr_started) {
		tape_page_job_run(job);
		return;
	}
	*tape_page_job_next(job) = NULL;
	pthread_mutex_lock(&pool->lock);
	if (pool->tail)
		*tape_page_job_next(pool->tail) = job;
	else
		pool->head = job;
	pool->tail = job;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

/* Under the lock. */
static bool has(const struct page_pool *pool, const struct tape_page_job *job)
{
	for (struct tape_page_job *at = pool->head; at; at = *tape_page_job_next(at))
		if (at == job)
			return true;
	for (unsigned i = 0; i < pool->nr_started; i++)
		if (pool->threads[i].job == job)
			return true;
	return false;
}

static void wait_for(void *ctx, struct tape_page_job *job)
{
	struct page_pool *pool = ctx;

	pthread_mutex_lock(&pool->lock);
	while (has(pool, job))
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

struct tape_page_coder page_pool_coder(struct page_pool *pool)
{
	return (struct tape_page_coder){
		.max_jobs = pool->nr_threads + MORE_JOBS, .post = post, .wait = wait_for, .ctx = pool};
}
