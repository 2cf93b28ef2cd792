/* SPDX-License-Identifier: MIT */
#include "pipeline.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"
#include "level_policy.h"
#include "loop.h"

#define MAX_THREADS    8
#define BUSY_WINDOW_NS (250 * NS_PER_MS)

/* Memory for records, while nobody uses it. */
struct spare {
	struct spare *next;
};

struct pipeline {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a block was sealed, or it ends */
	struct block *head;  /* oldest of those sealed and not taken */
	struct block *tail;
	struct block *to_encode;                            /* first that no thread has; NULL: none */
	struct block *free;                                 /* without data */
	struct spare *spare;                                /* last used first, as its bytes may still be in a cache */
	uint64_t open_bytes, waiting_bytes, encoding_bytes; /* raw: places of TAPE_TRAPS_MAX_BYTES */
	uint64_t encoded_bytes;                             /* of chunks */
	bool ending;
	bool starved; /* block_get() had none */
	int zstd_level;
	struct level_policy policy;
	uint64_t busy_ns, window_ns; /* compression time since the window began, and when that was */
	unsigned busy_percent;       /* of the window before */
	atomic_uint ring_percent;
	void (*kick)(void *ctx);
	void *kick_ctx;
	void (*room)(void *ctx);
	void *room_ctx;
	unsigned nr_threads;
	pthread_t threads[MAX_THREADS];
};

void record_tally_add(struct record_tally *sum, const struct record_tally *more)
{
	sum->records += more->records;
	sum->events += more->events;
	sum->gaps += more->gaps;
	sum->gap_lost += more->gap_lost;
	sum->raw_bytes += more->raw_bytes;
	sum->stored_bytes += more->stored_bytes;
	sum->chunks += more->chunks;
	sum->stored_chunks += more->stored_chunks;
	sum->level_sum += more->level_sum;
}

unsigned pipeline_default_threads(void)
{
	unsigned cpus = cpu_list_allowed();

	return cpus >= 16 ? 4 : cpus >= 8 ? 2 : 1;
}

/* ---- compression threads --------------------------------------------- */

/* *tape is the thread's own; it is made for its first block. */
static void encode(struct block *block, struct tape_encoder **tape, int level)
{
	struct tape_error error = {0};
	int ret = 0;

	if (!*tape)
		ret = tape_encoder_create(tape, level, &error);
	if (!ret) {
		tape_encoder_set_level(*tape, level);
		ret = tape_encoder_traps(*tape, &block->chunk, block->vcpu, block->data, block->size_bytes, &error);
	}
	if (ret) {
		block->chunk = NULL;
		record_error_set(&block->error, ret, "vCPU %u: records cannot be stored: %s", block->vcpu,
				 error.message[0] ? error.message : strerror(-ret));
		return;
	}
	block->tally.raw_bytes = block->size_bytes;
	block->tally.stored_bytes = tape_chunk_stored_bytes(block->chunk);
	block->tally.chunks = 1;
	block->tally.stored_chunks = !level || level == LEVEL_STORED;
	block->tally.level_sum = level == LEVEL_STORED ? 0 : level;
}

static unsigned percent_of_room(uint64_t bytes)
{
	return (unsigned)(bytes * 100 / PIPELINE_MAX_BYTES);
}

/* Under the lock. */
static int choose_level(struct pipeline *pipeline)
{
	const struct level_load load = {
		.waiting = percent_of_room(pipeline->waiting_bytes),
		.ring = atomic_load_explicit(&pipeline->ring_percent, memory_order_relaxed),
		.unwritten = percent_of_room(pipeline->encoded_bytes),
		.busy = pipeline->busy_percent,
	};

	return pipeline->zstd_level == LEVEL_AUTO ? level_policy_next(&pipeline->policy, &load) : pipeline->zstd_level;
}

/* Under the lock. */
static void note_busy(struct pipeline *pipeline, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t window_ns = end_ns - pipeline->window_ns;

	pipeline->busy_ns += end_ns - start_ns;
	if (window_ns < BUSY_WINDOW_NS)
		return;
	pipeline->busy_percent = (unsigned)(pipeline->busy_ns * 100 / (window_ns * pipeline->nr_threads));
	pipeline->busy_ns = 0;
	pipeline->window_ns = end_ns;
}

/* Under the lock: the memory of a block's records can be used again. */
static void release_data(struct pipeline *pipeline, struct block *block)
{
	struct spare *spare = (struct spare *)block->data;

	block->data = NULL;
	spare->next = pipeline->spare;
	pipeline->spare = spare;
}

/* Under the lock, so that who is told cannot go away meanwhile. */
static void tell_room(struct pipeline *pipeline)
{
	if (pipeline->starved && pipeline->room)
		pipeline->room(pipeline->room_ctx);
	pipeline->starved = false;
}

static void encode_next(struct pipeline *pipeline, struct tape_encoder **tape, struct block *block)
{
	uint64_t start_ns;
	bool is_first;
	int level;

	pipeline->to_encode = block->next;
	block->state = BLOCK_ENCODING;
	pipeline->waiting_bytes -= TAPE_TRAPS_MAX_BYTES;
	pipeline->encoding_bytes += TAPE_TRAPS_MAX_BYTES;
	level = choose_level(pipeline);
	pthread_mutex_unlock(&pipeline->lock);
	start_ns = now_ns();
	encode(block, tape, level);
	pthread_mutex_lock(&pipeline->lock);
	note_busy(pipeline, start_ns, now_ns());
	release_data(pipeline, block);
	pipeline->encoding_bytes -= TAPE_TRAPS_MAX_BYTES;
	pipeline->encoded_bytes += block->tally.stored_bytes;
	block->state = BLOCK_ENCODED;
	is_first = block == pipeline->head;
	tell_room(pipeline);
	if (!is_first)
		return;
	pthread_mutex_unlock(&pipeline->lock);
	pipeline->kick(pipeline->kick_ctx);
	pthread_mutex_lock(&pipeline->lock);
}

static void *encoder(void *arg)
{
	struct pipeline *pipeline = arg;
	struct tape_encoder *tape = NULL;

	pthread_setname_np(pthread_self(), "vmtape-zstd");
	pthread_mutex_lock(&pipeline->lock);
	while (!pipeline->ending) {
		if (pipeline->to_encode)
			encode_next(pipeline, &tape, pipeline->to_encode);
		else
			pthread_cond_wait(&pipeline->work, &pipeline->lock);
	}
	pthread_mutex_unlock(&pipeline->lock);
	tape_encoder_destroy(tape);
	return NULL;
}

/* ---- made and ended -------------------------------------------------- */

/*
 * Buffers of chunks are freed as fast as they are made. By default malloc would return each to the kernel, which clears
 * every page of the next one; so it keeps them, until pipeline_trim().
 */
static void keep_freed_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 2 * TAPE_TRAPS_MAX_BYTES);
	mallopt(M_TRIM_THRESHOLD, PIPELINE_MAX_BYTES);
}

int pipeline_create(struct pipeline **out, unsigned nr_threads, int zstd_level, void (*kick)(void *ctx), void *ctx,
		    struct record_error *error)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));

	*out = pipeline;
	if (!pipeline)
		return record_error_set(error, -ENOMEM, "out of memory");
	keep_freed_memory();
	pthread_mutex_init(&pipeline->lock, NULL);
	pthread_cond_init(&pipeline->work, NULL);
	pipeline->zstd_level = zstd_level;
	level_policy_init(&pipeline->policy);
	pipeline->window_ns = now_ns();
	pipeline->kick = kick;
	pipeline->kick_ctx = ctx;
	/* The threads look at it. */
	pipeline->nr_threads = nr_threads < MAX_THREADS ? nr_threads : MAX_THREADS;
	for (unsigned i = 0; i < pipeline->nr_threads; i++) {
		int ret = pthread_create(&pipeline->threads[i], NULL, encoder, pipeline);

		if (ret) {
			pthread_mutex_lock(&pipeline->lock);
			pipeline->nr_threads = i;
			pthread_mutex_unlock(&pipeline->lock);
			pipeline_destroy(pipeline);
			*out = NULL;
			return record_error_set(error, -ret, "cannot start a thread: %s", strerror(ret));
		}
	}
	return 0;
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		tape_chunk_destroy(block->chunk);
		free(block->data);
		free(block);
		block = next;
	}
}

static void free_spares(struct spare *spare)
{
	while (spare) {
		struct spare *next = spare->next;

		free(spare);
		spare = next;
	}
}

void pipeline_destroy(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	pthread_mutex_lock(&pipeline->lock);
	pipeline->ending = true;
	pthread_cond_broadcast(&pipeline->work);
	pthread_mutex_unlock(&pipeline->lock);
	for (unsigned i = 0; i < pipeline->nr_threads; i++)
		pthread_join(pipeline->threads[i], NULL);
	free_blocks(pipeline->head);
	free_blocks(pipeline->free);
	free_spares(pipeline->spare);
	pthread_cond_destroy(&pipeline->work);
	pthread_mutex_destroy(&pipeline->lock);
	free(pipeline);
}

/* ---- blocks ---------------------------------------------------------- */

void pipeline_on_room(struct pipeline *pipeline, void (*room)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&pipeline->lock);
	pipeline->room = room;
	pipeline->room_ctx = ctx;
	pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_note_ring(struct pipeline *pipeline, unsigned fill_percent)
{
	atomic_store_explicit(&pipeline->ring_percent, fill_percent, memory_order_relaxed);
}

struct block *pipeline_block_get(struct pipeline *pipeline)
{
	uint8_t *data = NULL;
	struct block *block = NULL;
	uint64_t held_bytes;

	pthread_mutex_lock(&pipeline->lock);
	held_bytes =
		pipeline->open_bytes + pipeline->waiting_bytes + pipeline->encoding_bytes + pipeline->encoded_bytes;
	if (held_bytes + TAPE_TRAPS_MAX_BYTES > PIPELINE_MAX_BYTES)
		goto none;
	block = pipeline->free;
	if (block)
		pipeline->free = block->next;
	else
		block = malloc(sizeof(*block));
	data = (uint8_t *)pipeline->spare;
	if (data)
		pipeline->spare = pipeline->spare->next;
	else
		data = malloc(TAPE_TRAPS_MAX_BYTES);
	if (!block || !data)
		goto none;
	*block = (struct block){.data = data};
	pipeline->open_bytes += TAPE_TRAPS_MAX_BYTES;
	pthread_mutex_unlock(&pipeline->lock);
	return block;
none:
	pipeline->starved = true;
	pthread_mutex_unlock(&pipeline->lock);
	free(block);
	free(data);
	return NULL;
}

void pipeline_block_seal(struct pipeline *pipeline, struct block *block)
{
	pthread_mutex_lock(&pipeline->lock);
	block->state = BLOCK_SEALED;
	block->next = NULL;
	if (pipeline->tail)
		pipeline->tail->next = block;
	else
		pipeline->head = block;
	pipeline->tail = block;
	if (!pipeline->to_encode)
		pipeline->to_encode = block;
	pipeline->open_bytes -= TAPE_TRAPS_MAX_BYTES;
	pipeline->waiting_bytes += TAPE_TRAPS_MAX_BYTES;
	pthread_cond_signal(&pipeline->work);
	pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_block_put(struct pipeline *pipeline, struct block *block)
{
	tape_chunk_destroy(block->chunk);
	block->chunk = NULL;
	pthread_mutex_lock(&pipeline->lock);
	if (block->state == BLOCK_OPEN) {
		release_data(pipeline, block);
		pipeline->open_bytes -= TAPE_TRAPS_MAX_BYTES;
		tell_room(pipeline);
	}
	block->next = pipeline->free;
	pipeline->free = block;
	pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_trim(struct pipeline *pipeline)
{
	struct spare *spare;
	struct block *blocks;

	pthread_mutex_lock(&pipeline->lock);
	spare = pipeline->spare;
	pipeline->spare = NULL;
	blocks = pipeline->free;
	pipeline->free = NULL;
	pthread_mutex_unlock(&pipeline->lock);
	free_spares(spare);
	free_blocks(blocks);
	malloc_trim(0);
}

struct block *pipeline_take(struct pipeline *pipeline)
{
	struct block *block;

	pthread_mutex_lock(&pipeline->lock);
	block = pipeline->head;
	if (block && block->state == BLOCK_ENCODED) {
		pipeline->head = block->next;
		if (!pipeline->head)
			pipeline->tail = NULL;
		pipeline->encoded_bytes -= block->tally.stored_bytes;
		tell_room(pipeline);
	} else {
		block = NULL;
	}
	pthread_mutex_unlock(&pipeline->lock);
	return block;
}

bool pipeline_is_empty(struct pipeline *pipeline)
{
	bool empty;

	pthread_mutex_lock(&pipeline->lock);
	empty = !pipeline->head;
	pthread_mutex_unlock(&pipeline->lock);
	return empty;
}
