/* SPDX-License-Identifier: MIT */
/*
 * tape_thread_private.h - the tape thread from inside: its state, and the parts
 * that it is made of. Private to tape_thread.c, tape_jobs.c, tape_store.c and
 * tape_rotation.c; all but tape_jobs.c run in the thread, or while there is none.
 */
#ifndef TAPE_THREAD_PRIVATE_H
#define TAPE_THREAD_PRIVATE_H

#include <pthread.h>

#include "page_pool.h"
#include "spill_file.h"
#include "tape_backlog.h"
#include "tape_thread.h"
#include "uring_sink.h"

/* With what the pipeline holds, and the batches of pages, this keeps the recorder below 64 MiB. */
#define IN_FLIGHT_MAX_BYTES (8u << 20)

enum job_kind { JOB_CHUNK, JOB_PAGES, JOB_COMMIT, JOB_FLUSH, JOB_COPY, JOB_ROTATE, JOB_FINISH };

struct job {
	struct job *next;
	enum job_kind kind;
	uint64_t number;
	struct tape_chunk *chunk;
	struct page_batch *batch;
	struct tape_snapshot_info info; /* its arrays lie behind the job */
	uint64_t lost_records;
	int fd; /* of the next tape; or of a copy */
	int from_fd;
	struct tape_chunk *first[2]; /* of the next tape */
	char reason[TAPE_REASON_ROOM];
};

struct tape_thread {
	pthread_mutex_t lock;
	pthread_cond_t kicked_cond;
	bool kicked;
	bool ending; /* without a finish */
	bool waits_when_full;
	bool is_waiting;     /* for room on the disk */
	uint64_t give_up_ns; /* to wait for it; LOOP_NEVER: for as long as it takes */
	struct job *head, *tail;
	uint64_t last_posted, last_done;
	struct page_batch *free_batches;
	unsigned nr_batches;
	struct record_error error; /* first; error.error 0: none */
	struct record_error rotate_error;
	struct tape_copy copy;
	uint64_t alarm_bytes; /* 0: none */
	struct tape_stats stats;

	void (*wake)(void *ctx);
	void *wake_ctx;
	pthread_t thread;
	bool started;
	struct pipeline *pipeline;
	struct page_pool *page_pool;
	char *map_path;
	struct spill_file map_spill; /* of pages; beside map_path */

	/* The thread's own: */
	int fd;
	int zstd_level;
	const struct tape_key *sign_key; /* NULL: not signed */
	uint64_t ring_bytes;             /* 0: the tape grows */
	struct {
		struct tape_totals totals;
		struct tape_pages_stats pages;
	} before; /* on the tapes before this one */
	struct uring_sink *sink;
	struct tape_writer *writer;
	struct tape_pages *pages;
	struct tape_backlog backlog;
	bool failed;
	bool finished;
};

/* With the lock: sleeps until it is kicked, or this long. */
void tape_thread_sleep(struct tape_thread *thread, uint64_t ns);
void tape_job_destroy(struct job *job);

/* ---- tape_store.c: what is written ------------------------------------ */

/* Records that are in the file by now, or (lost) never will be. */
void tape_store_count(struct tape_thread *thread, uint64_t written_bytes, bool lost);
void tape_store_fail(struct tape_thread *thread, int error, const char *what, const struct tape_error *tape_error);
/* What the file says to what was written: waits for room on a full disk, and fails where there is nothing to wait for.
 */
void tape_store_check(struct tape_thread *thread);
void tape_store_note_size(struct tape_thread *thread);
/* Takes the chunk. */
void tape_store_chunk(struct tape_thread *thread, struct tape_chunk *chunk);
/* Takes the block. */
void tape_store_block(struct tape_thread *thread, struct block *block);
void tape_store_pages(struct tape_thread *thread, const struct page_batch *batch);
/* Those that were compressed meanwhile. */
void tape_store_collect(struct tape_thread *thread);
/* A writer's pages, compressed by our threads. */
int tape_store_open_pages(struct tape_thread *thread, struct tape_writer *writer, struct tape_pages **out,
			  struct tape_error *error);
void tape_store_commit(struct tape_thread *thread, const struct tape_snapshot_info *info);
/* Of all tapes. */
void tape_store_pages_stats(const struct tape_thread *thread, struct tape_pages_stats *out);
/* Until all is in the file, or it failed. */
void tape_store_flush(struct tape_thread *thread);
/* Nothing comes any more: what came last is signed all the same. Returns for how long that can wait, 0: for ever. */
uint64_t tape_store_sign_old(struct tape_thread *thread);

/* ---- tape_rotation.c: how a tape ends, and what comes then ------------- */

void tape_rotation_finish(struct tape_thread *thread, const struct job *job);
void tape_rotation_copy(struct tape_thread *thread, const struct job *job);
void tape_rotation_rotate(struct tape_thread *thread, struct job *job);

#endif
