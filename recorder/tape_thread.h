/* SPDX-License-Identifier: MIT */
/*
 * tape_thread.h - the one thread that owns the tape writer. Records go first;
 * between them it does the jobs of the main thread, in order: chunks, pages of
 * guest memory in small batches (so that records never wait long), commits.
 * After the first error nothing is written any more: what is in the file stays.
 */
#ifndef TAPE_THREAD_H
#define TAPE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline.h"
#include "report.h"
#include "tape.h"

#define TAPE_REASON_ROOM 512 /* of the text at the end of a tape */

#define BATCH_PAGES      64
#define BATCH_MAX_COUNT  8
#define BATCH_ZERO_PAGES 4096 /* a batch takes no more pages of zeros than this */

/* Guest pages for the tape: runs of successive pages, with their contents or zero. */
struct page_run {
	uint64_t gfn;
	uint32_t nr_pages;
	int32_t first_page; /* in data; -1: zeros */
};
struct page_batch {
	struct page_batch *next;
	unsigned nr_runs;
	unsigned nr_data_pages;
	unsigned nr_zero_pages;
	struct page_run runs[BATCH_PAGES];
	uint8_t data[BATCH_PAGES][TAPE_PAGE_BYTES];
};

struct tape_stats {
	struct record_tally traps; /* placed on the tape */
	uint64_t discarded;        /* records that came after a write had failed */
	uint64_t waited_ns;        /* for room on a full disk, up to when it came or we gave up */
	uint64_t snapshots;
	uint64_t file_bytes;   /* of the tape that is being written */
	uint64_t closed_bytes; /* of those before it */
	unsigned nr_tapes;     /* that have ended before it */
	uint64_t write_errors;
	struct tape_pages_stats pages;
};

struct tape_thread;
/*
 * Borrows fd, which is empty, and sign_key (NULL: the tape is not signed). ring_bytes: size of a ring tape, or 0.
 * nr_encoders: number of compression threads; zstd_level may be LEVEL_AUTO. wake is called when a job is done, room
 * came, or it failed.
 */
int tape_thread_create(struct tape_thread **out, int fd, uint64_t ring_bytes, const struct tape_key *sign_key,
		       unsigned nr_encoders, int zstd_level, void (*wake)(void *ctx), void *wake_ctx,
		       struct record_error *error);
/* Ends the thread without a clean end of the tape, if tape_thread_finish() was not called. */
void tape_thread_destroy(struct tape_thread *thread);
struct pipeline *tape_thread_pipeline(struct tape_thread *thread);

/* Before the first pages: what of their map is too much for memory waits in a file without a name beside this one. */
void tape_thread_spill_beside(struct tape_thread *thread, const char *path);
/* From here on a full disk is no error: the thread waits for room, with all that it has not written. */
void tape_thread_wait_when_full(struct tape_thread *thread);
bool tape_thread_is_waiting(struct tape_thread *thread);
/* CLOCK_MONOTONIC; the earliest of all calls counts. */
void tape_thread_give_up_at(struct tape_thread *thread, uint64_t at_ns);

/* ---- jobs, from the main thread; each returns the job's number ------- */

/* Takes the chunk. */
uint64_t tape_thread_post_chunk(struct tape_thread *thread, struct tape_chunk *chunk);
/* NULL while too many are on their way. */
struct page_batch *tape_thread_batch_get(struct tape_thread *thread);
void tape_thread_batch_put(struct tape_thread *thread, struct page_batch *batch);
uint64_t tape_thread_post_pages(struct tape_thread *thread, struct page_batch *batch);
/* Copies info and what it points at. */
uint64_t tape_thread_post_commit(struct tape_thread *thread, const struct tape_snapshot_info *info);
/* Done when everything before it has been written to the file. */
uint64_t tape_thread_post_flush(struct tape_thread *thread);
/*
 * Ends the tape in good order, for this reason, and goes on in another one, without
 * the loss of a record: borrows fd, which is empty, and takes the chunks that it is
 * to begin with. When that one cannot be begun, the old one is written on. The
 * fd of the old one is the caller's again when the job is done and nothing failed.
 */
uint64_t tape_thread_post_rotate(struct tape_thread *thread, int fd, const char *reason, struct tape_chunk *meta,
				 struct tape_chunk *plan);
/* Of the last rotation that is done: 0, or why the old tape is written on. */
int tape_thread_rotate_error(struct tape_thread *thread, struct record_error *out);
/*
 * Writes out what there is so far: that part of the file is then a tape by itself,
 * without an end, and is not written to any more, so that whoever copies it may
 * take his time. Where the file system can, it is cloned at once; a ring, which
 * is written over, is copied at once, too, where it cannot. from_fd reads the
 * tape, to_fd is an empty file; both are borrowed until the job is done.
 */
struct tape_copy {
	int error; /* negative errno; 0: the part is there */
	uint64_t size_bytes;
	bool is_cloned; /* to_fd has all of it */
};
uint64_t tape_thread_post_copy(struct tape_thread *thread, int from_fd, int to_fd);
/* Of the last such job that is done. */
void tape_thread_get_copy(struct tape_thread *thread, struct tape_copy *out);
/* wake is called, once, when the tape has this size. 0: never. */
void tape_thread_set_alarm(struct tape_thread *thread, uint64_t file_bytes);
/* After the last block was sealed: writes what is left, the end of the tape, and ends the thread. */
uint64_t tape_thread_finish(struct tape_thread *thread, const char *reason, uint64_t lost_records);

/* All jobs up to this number are done (or were dropped after an error). 0 is done always. */
bool tape_thread_is_done(struct tape_thread *thread, uint64_t job);
/* 0, or the first error. */
int tape_thread_error(struct tape_thread *thread, struct record_error *out);
void tape_thread_get_stats(struct tape_thread *thread, struct tape_stats *out);

#endif
