/* SPDX-License-Identifier: MIT */
#include "pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 8

struct pipeline {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a block was sealed, or it ends */
	struct block *head;  /* oldest of those sealed and not taken */
	struct block *tail;
	struct block *to_encode; /* first that no thread has; NULL: none */
	struct block *free;
	unsigned nr_queued;
	bool ending;
	int zstd_level;
	void (*kick)(void *ctx);
	void *kick_ctx;
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
}

/*
 * The ring checked each record's size; nothing else of it is believed. A gap
 * record that cannot be read is stored as it is, and counts for nothing.
 */
static int tally_block(struct block *block)
{
	struct record_tally *tally = &block->tally;
	size_t at = 0;

	*tally = (struct record_tally){.raw_bytes = block->size_bytes};
	while (block->size_bytes - at >= sizeof(struct trap_record)) {
		struct trap_record record;
		struct trap_view view;

		memcpy(&record, block->data + at, sizeof(record));
		if (record.size_bytes < sizeof(record) || record.size_bytes > block->size_bytes - at)
			break;
		tally->records++;
		tally->events += record.type == TRAP_ENTER || record.type == TRAP_EXIT;
		if (record.type == TRAP_GAP && trap_view_parse(&view, block->data + at, record.size_bytes, NULL) > 0) {
			struct trap_gap gap;

			trap_view_gap(&view, &gap);
			tally->gaps++;
			tally->gap_lost += gap.lost_records;
		}
		at += record.size_bytes;
	}
	if (at != block->size_bytes)
		return record_error_set(&block->error, -EBADMSG, "vCPU %u: a record is cut in two", block->vcpu);
	return 0;
}

/* *tape is the thread's own; it is made for its first block. */
static void encode(struct pipeline *pipeline, struct tape_encoder **tape, struct block *block)
{
	struct tape_error error = {0};
	int ret = 0;

	if (tally_block(block))
		return;
	if (!*tape)
		ret = tape_encoder_create(tape, pipeline->zstd_level, &error);
	if (!ret)
		ret = tape_encoder_traps(*tape, &block->chunk, block->vcpu, block->data, block->size_bytes, &error);
	if (ret) {
		block->chunk = NULL;
		record_error_set(&block->error, ret, "vCPU %u: records cannot be stored: %s", block->vcpu,
				 error.message[0] ? error.message : strerror(-ret));
		return;
	}
	block->tally.stored_bytes = tape_chunk_stored_bytes(block->chunk);
}

static void *encoder(void *arg)
{
	struct pipeline *pipeline = arg;
	struct tape_encoder *tape = NULL;

	pthread_mutex_lock(&pipeline->lock);
	for (;;) {
		struct block *block = pipeline->to_encode;

		if (pipeline->ending)
			break;
		if (!block) {
			pthread_cond_wait(&pipeline->work, &pipeline->lock);
			continue;
		}
		pipeline->to_encode = block->next;
		block->state = BLOCK_ENCODING;
		pthread_mutex_unlock(&pipeline->lock);
		encode(pipeline, &tape, block);
		pthread_mutex_lock(&pipeline->lock);
		block->state = BLOCK_ENCODED;
		if (block == pipeline->head) {
			pthread_mutex_unlock(&pipeline->lock);
			pipeline->kick(pipeline->kick_ctx);
			pthread_mutex_lock(&pipeline->lock);
		}
	}
	pthread_mutex_unlock(&pipeline->lock);
	tape_encoder_destroy(tape);
	return NULL;
}

int pipeline_create(struct pipeline **out, unsigned nr_threads, int zstd_level, void (*kick)(void *ctx), void *ctx,
		    struct record_error *error)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));

	*out = pipeline;
	if (!pipeline)
		return record_error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&pipeline->lock, NULL);
	pthread_cond_init(&pipeline->work, NULL);
	pipeline->zstd_level = zstd_level;
	pipeline->kick = kick;
	pipeline->kick_ctx = ctx;
	for (unsigned i = 0; i < nr_threads && i < MAX_THREADS; i++) {
		int ret = pthread_create(&pipeline->threads[i], NULL, encoder, pipeline);

		if (ret) {
			pipeline_destroy(pipeline);
			*out = NULL;
			return record_error_set(error, -ret, "cannot start a thread: %s", strerror(ret));
		}
		pipeline->nr_threads++;
	}
	return 0;
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		tape_chunk_destroy(block->chunk);
		free(block);
		block = next;
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
	pthread_cond_destroy(&pipeline->work);
	pthread_mutex_destroy(&pipeline->lock);
	free(pipeline);
}

struct block *pipeline_block_get(struct pipeline *pipeline)
{
	struct block *block = NULL;
	bool full;

	pthread_mutex_lock(&pipeline->lock);
	full = pipeline->nr_queued >= PIPELINE_MAX_BLOCKS;
	if (!full && pipeline->free) {
		block = pipeline->free;
		pipeline->free = block->next;
	}
	pthread_mutex_unlock(&pipeline->lock);
	if (full)
		return NULL;
	if (!block)
		block = malloc(sizeof(*block));
	if (block) {
		block->next = NULL;
		block->first_ns = 0;
		block->size_bytes = 0;
		block->vcpu = 0;
		block->state = BLOCK_OPEN;
		block->chunk = NULL;
		block->error.error = 0;
	}
	return block;
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
	pipeline->nr_queued++;
	pthread_cond_signal(&pipeline->work);
	pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_block_put(struct pipeline *pipeline, struct block *block)
{
	tape_chunk_destroy(block->chunk);
	block->chunk = NULL;
	pthread_mutex_lock(&pipeline->lock);
	block->next = pipeline->free;
	pipeline->free = block;
	pthread_mutex_unlock(&pipeline->lock);
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
		pipeline->nr_queued--;
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
