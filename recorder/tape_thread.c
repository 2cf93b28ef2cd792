/* SPDX-License-Identifier: MIT */
#include "tape_thread.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "file_worker.h"
#include "level_policy.h"
#include "loop.h"
#include "tape_backlog.h"
#include "uring_sink.h"

/* With what the pipeline holds, and the batches of pages, this keeps the recorder below 64 MiB. */
#define IN_FLIGHT_MAX_BYTES (8u << 20)
#define MAX_IN_A_ROW        4 /* blocks while pages wait */
#define REAP_NS             (20 * NS_PER_MS)
#define LOOK_NS             (100 * NS_PER_MS) /* while the disk is full */

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

static const uint8_t zero_page[TAPE_PAGE_BYTES];

static void kick(void *ctx)
{
	struct tape_thread *thread = ctx;

	pthread_mutex_lock(&thread->lock);
	thread->kicked = true;
	pthread_cond_signal(&thread->kicked_cond);
	pthread_mutex_unlock(&thread->lock);
}

/* ---- the thread ------------------------------------------------------ */

/* What is written counts; after a failure nothing else will be. */
static void count_records(struct tape_thread *thread, uint64_t written_bytes, bool lost)
{
	struct record_tally sum = {0};

	tape_backlog_take(&thread->backlog, written_bytes, &sum);
	if (!sum.records)
		return;
	pthread_mutex_lock(&thread->lock);
	if (lost)
		thread->stats.discarded += sum.records;
	else
		record_tally_add(&thread->stats.traps, &sum);
	pthread_mutex_unlock(&thread->lock);
}

static void fail(struct tape_thread *thread, int error, const char *what, const struct tape_error *tape_error)
{
	uint64_t offset = 0;
	int sink_error = uring_sink_error(thread->sink, &offset);
	struct record_error first;

	if (thread->failed)
		return;
	thread->failed = true;
	count_records(thread, uring_sink_written_bytes(thread->sink), false);
	count_records(thread, UINT64_MAX, true);
	/* The sink knows where; what the writer says is the echo of it. */
	if (sink_error)
		record_error_set(&first, sink_error, "writing at offset %" PRIu64 ": %s", offset,
				 strerror(-sink_error));
	else
		record_error_set(&first, error, "%s: %s", what,
				 tape_error && tape_error->message[0] ? tape_error->message : strerror(-error));
	pthread_mutex_lock(&thread->lock);
	thread->stats.write_errors++;
	if (!thread->error.error || thread->error.error == -EBADMSG)
		thread->error = first;
	pthread_mutex_unlock(&thread->lock);
	thread->wake(thread->wake_ctx);
}

/* Records that cannot be stored: they are left out, and the session is told, but the tape can have a good end. */
static void refuse_block(struct tape_thread *thread, const struct block *block)
{
	pthread_mutex_lock(&thread->lock);
	if (!thread->error.error)
		thread->error = block->error;
	pthread_mutex_unlock(&thread->lock);
	thread->wake(thread->wake_ctx);
}

/* With the lock: until it is kicked, or this long. */
static void sleep_up_to(struct tape_thread *thread, uint64_t ns)
{
	uint64_t until_ns = now_ns() + ns;
	struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};

	pthread_cond_timedwait(&thread->kicked_cond, &thread->lock, &until);
}

/*
 * The disk is full. Nothing else can be done before there is room: records pile
 * up in the pipeline, then in the rings, whose policy rules. Ends when all that
 * waited is written, or by giving up.
 */
static void wait_for_room(struct tape_thread *thread)
{
	uint64_t started_ns = now_ns();
	bool gave_up = false;

	pthread_mutex_lock(&thread->lock);
	thread->is_waiting = thread->waits_when_full;
	pthread_mutex_unlock(&thread->lock);
	thread->wake(thread->wake_ctx);
	while (uring_sink_is_full(thread->sink) && !gave_up) {
		pthread_mutex_lock(&thread->lock);
		gave_up = thread->ending || !thread->waits_when_full || now_ns() >= thread->give_up_ns;
		if (!gave_up)
			sleep_up_to(thread, LOOK_NS);
		pthread_mutex_unlock(&thread->lock);
		uring_sink_reap(thread->sink, false);
	}
	if (gave_up)
		uring_sink_give_up(thread->sink);
	pthread_mutex_lock(&thread->lock);
	if (thread->is_waiting)
		thread->stats.waited_ns += now_ns() - started_ns;
	thread->is_waiting = false;
	pthread_mutex_unlock(&thread->lock);
	thread->wake(thread->wake_ctx);
}

static void check_sink(struct tape_thread *thread)
{
	int error;

	if (uring_sink_is_full(thread->sink))
		wait_for_room(thread);
	count_records(thread, uring_sink_written_bytes(thread->sink), false);
	error = uring_sink_error(thread->sink, NULL);
	if (error)
		fail(thread, error, "writing", NULL);
}

/* tally: of the records in it; NULL: none. */
static void append(struct tape_thread *thread, struct tape_chunk *chunk, const struct record_tally *tally,
		   const char *what)
{
	struct tape_error error = {0};
	int ret = thread->failed ? -ECANCELED : tape_writer_append(thread->writer, chunk, &error);

	if (thread->failed)
		tape_chunk_destroy(chunk);
	if (tally)
		tape_backlog_add(&thread->backlog, tally, ret ? UINT64_MAX : uring_sink_given_bytes(thread->sink));
	if (thread->failed)
		count_records(thread, UINT64_MAX, true);
	else if (ret)
		fail(thread, ret, what, &error);
	else
		check_sink(thread);
}

static void update_file_bytes(struct tape_thread *thread)
{
	uint64_t bytes = tape_writer_size_bytes(thread->writer);

	bool alarm;

	pthread_mutex_lock(&thread->lock);
	thread->stats.file_bytes = bytes;
	alarm = thread->alarm_bytes && bytes >= thread->alarm_bytes;
	if (alarm)
		thread->alarm_bytes = 0;
	pthread_mutex_unlock(&thread->lock);
	if (alarm)
		thread->wake(thread->wake_ctx);
}

static void write_block(struct tape_thread *thread, struct block *block)
{
	if (!block->chunk) {
		refuse_block(thread, block);
	} else {
		struct tape_chunk *chunk = block->chunk;

		block->chunk = NULL;
		append(thread, chunk, &block->tally, "storing records");
		update_file_bytes(thread);
	}
	pipeline_block_put(thread->pipeline, block);
}

static void add_pages(struct tape_thread *thread, const struct page_batch *batch)
{
	for (unsigned i = 0; i < batch->nr_runs && !thread->failed; i++) {
		const struct page_run *run = &batch->runs[i];

		for (uint32_t n = 0; n < run->nr_pages; n++) {
			const void *page = run->first_page < 0 ? zero_page : batch->data[run->first_page + (int)n];
			struct tape_error error = {0};
			int ret = tape_pages_add(thread->pages, run->gfn + n, page, &error);

			if (ret) {
				fail(thread, ret, "storing guest memory", &error);
				break;
			}
		}
	}
	check_sink(thread);
}

/* Of all tapes. */
static void get_pages_stats(const struct tape_thread *thread, struct tape_pages_stats *out)
{
	struct tape_pages_stats sum, before = thread->before.pages;

	tape_pages_get_stats(thread->pages, &sum);
	sum.added += before.added;
	sum.zero += before.zero;
	sum.duplicate += before.duplicate;
	sum.unchanged += before.unchanged;
	sum.stored += before.stored;
	sum.stored_bytes += before.stored_bytes;
	*out = sum;
}

static void commit(struct tape_thread *thread, const struct tape_snapshot_info *info)
{
	struct tape_error error = {0};
	struct tape_pages_stats pages;
	int ret;

	if (thread->failed)
		return;
	ret = tape_pages_commit(thread->pages, info, &error);
	if (ret) {
		fail(thread, ret, "storing a snapshot", &error);
		return;
	}
	get_pages_stats(thread, &pages);
	if (pages.lost && !thread->stats.pages.lost)
		report_warning("the ring is too small for the guest's memory, which takes about %" PRIu64
			       " MiB of it: pages are lost, and names may be; want a --ring-size of twice that",
			       pages.live_bytes >> 20);
	pthread_mutex_lock(&thread->lock);
	thread->stats.snapshots++;
	thread->stats.pages = pages;
	pthread_mutex_unlock(&thread->lock);
	check_sink(thread);
}

/* Until all is in the file, or it failed. */
static void flush(struct tape_thread *thread)
{
	while (uring_sink_reap(thread->sink, true))
		check_sink(thread);
	check_sink(thread);
}

/* Of all tapes: what is on them, or on its way. */
static struct tape_totals count_all(struct tape_thread *thread)
{
	struct tape_totals all;

	pthread_mutex_lock(&thread->lock);
	all.records = thread->stats.traps.records + thread->backlog.records;
	all.lost_records = thread->stats.traps.gap_lost + thread->backlog.gap_lost;
	all.snapshots = thread->stats.snapshots;
	pthread_mutex_unlock(&thread->lock);
	return all;
}

static struct tape_totals of_this_tape(const struct tape_thread *thread, const struct tape_totals *all)
{
	const struct tape_totals *before = &thread->before.totals;

	return (struct tape_totals){.records = all->records - before->records,
				    .lost_records = all->lost_records - before->lost_records,
				    .snapshots = all->snapshots - before->snapshots};
}

static void finish(struct tape_thread *thread, struct job *job)
{
	struct tape_totals all = count_all(thread), totals;
	struct tape_error error = {0};
	int ret;

	thread->finished = true;
	if (!thread->failed) {
		/* The rings may know of more than the gaps on the tape tell. */
		if (all.lost_records < job->lost_records)
			all.lost_records = job->lost_records;
		totals = of_this_tape(thread, &all);
		ret = tape_writer_finish(thread->writer, job->reason, &totals, &error);
		if (ret)
			fail(thread, ret, "ending the tape", &error);
	}
	flush(thread);
	/* Some file systems find out only now that they have no room. */
	if (!thread->failed && fdatasync(thread->fd) && errno != EINVAL)
		fail(thread, -errno, "syncing", NULL);
}

static void copy_tape(struct tape_thread *thread, const struct job *job)
{
	struct tape_copy copy = {0};

	flush(thread);
	if (thread->failed) {
		copy.error = -EIO;
	} else {
		copy.size_bytes = tape_writer_size_bytes(thread->writer);
		copy.is_cloned = !ioctl(job->fd, FICLONE, job->from_fd);
		/* Of a ring any part may be written over next: records wait while it is copied. */
		if (!copy.is_cloned && thread->ring_bytes) {
			copy.error = file_copy(job->from_fd, copy.size_bytes, job->fd);
			copy.is_cloned = true;
		}
	}
	pthread_mutex_lock(&thread->lock);
	thread->copy = copy;
	pthread_mutex_unlock(&thread->lock);
}

/* ---- from one tape to the next --------------------------------------- */

struct next_tape {
	struct uring_sink *sink;
	struct tape_writer *writer;
	struct tape_pages *pages;
};

static void next_tape_drop(struct next_tape *next)
{
	tape_pages_destroy(next->pages);
	if (next->sink)
		uring_sink_reap(next->sink, true);
	tape_writer_destroy(next->writer);
	uring_sink_destroy(next->sink);
}

/* Begins the next tape, as far as a file that has no room would show it. */
static int next_tape_begin(const struct tape_thread *thread, struct job *job, struct next_tape *next,
			   struct tape_error *error)
{
	struct tape_sink sink;
	int ret = uring_sink_create(&next->sink, job->fd, IN_FLIGHT_MAX_BYTES, !uring_sink_is_uring(thread->sink));

	if (ret)
		return ret;
	sink = uring_sink_as_tape_sink(next->sink);
	ret = tape_writer_create(&next->writer, &sink, error);
	if (!ret && thread->sign_key)
		ret = tape_writer_sign_with(next->writer, thread->sign_key, error);
	for (unsigned i = 0; i < 2 && !ret; i++) {
		ret = tape_writer_append(next->writer, job->first[i], error);
		job->first[i] = NULL;
	}
	if (!ret)
		ret = tape_pages_create(&next->pages, next->writer, thread->zstd_level, error);
	if (!ret) {
		/* Where there is no room, the tape before is written on. */
		uring_sink_give_up(next->sink);
		ret = uring_sink_error(next->sink, NULL);
	}
	return ret;
}

/* What is counted for the tape that ends here. */
static void close_account(struct tape_thread *thread, struct tape_totals *totals)
{
	const struct tape_totals all = count_all(thread);

	*totals = of_this_tape(thread, &all);
	thread->before.totals = all;
	get_pages_stats(thread, &thread->before.pages);
}

static void switch_tapes(struct tape_thread *thread, struct next_tape *next, int fd)
{
	struct next_tape old = {thread->sink, thread->writer, thread->pages};

	pthread_mutex_lock(&thread->lock);
	thread->stats.closed_bytes += tape_writer_size_bytes(old.writer);
	thread->stats.nr_tapes++;
	pthread_mutex_unlock(&thread->lock);
	thread->sink = next->sink;
	thread->writer = next->writer;
	thread->pages = next->pages;
	thread->fd = fd;
	*next = old;
}

static void rotate(struct tape_thread *thread, struct job *job)
{
	struct record_error why = {0};
	struct tape_error error = {0};
	struct next_tape next = {0};
	struct tape_totals totals;
	int ret;

	if (thread->failed) {
		record_error_set(&why, -EIO, "the tape before could not be written");
	} else if ((ret = next_tape_begin(thread, job, &next, &error))) {
		record_error_set(&why, ret, "%s", error.message[0] ? error.message : strerror(-ret));
	} else {
		close_account(thread, &totals);
		ret = tape_writer_finish(thread->writer, job->reason, &totals, &error);
		if (ret)
			fail(thread, ret, "ending the tape", &error);
		/* Nothing of it is on its way any more: what is counted from here on is the next one's. */
		flush(thread);
		if (thread->failed)
			record_error_set(&why, -EIO, "the tape before could not be ended");
		else
			switch_tapes(thread, &next, job->fd);
	}
	next_tape_drop(&next);
	pthread_mutex_lock(&thread->lock);
	thread->rotate_error = why;
	pthread_mutex_unlock(&thread->lock);
}

static void run_job(struct tape_thread *thread, struct job *job)
{
	switch (job->kind) {
	case JOB_CHUNK:
		append(thread, job->chunk, NULL, "storing");
		break;
	case JOB_PAGES:
		add_pages(thread, job->batch);
		tape_thread_batch_put(thread, job->batch);
		break;
	case JOB_COMMIT:
		commit(thread, &job->info);
		break;
	case JOB_FLUSH:
		flush(thread);
		break;
	case JOB_COPY:
		copy_tape(thread, job);
		break;
	case JOB_ROTATE:
		rotate(thread, job);
		break;
	case JOB_FINISH:
		finish(thread, job);
		break;
	}
	update_file_bytes(thread);
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
	bool empty = pipeline_is_empty(thread->pipeline);
	struct job *job;

	pthread_mutex_lock(&thread->lock);
	job = thread->head;
	if (job && job->kind == JOB_FINISH && !empty)
		job = NULL;
	if (job) {
		thread->head = job->next;
		if (!thread->head)
			thread->tail = NULL;
	}
	pthread_mutex_unlock(&thread->lock);
	return job;
}

/* Nothing comes any more: what came last is signed all the same. Returns for how long that can wait, 0: for ever. */
static uint64_t sign_old(struct tape_thread *thread)
{
	uint64_t unsigned_ms = thread->failed ? 0 : tape_writer_unsigned_ms(thread->writer);
	struct tape_error error = {0};
	int ret;

	if (unsigned_ms < TAPE_SIGN_MS)
		return unsigned_ms ? TAPE_SIGN_MS - unsigned_ms : 0;
	ret = tape_writer_sign(thread->writer, &error);
	if (ret)
		fail(thread, ret, "signing", &error);
	update_file_bytes(thread);
	return 0;
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
	uint64_t wait_ns = sign_old(thread) * 1000000;
	bool ending;

	if (uring_sink_reap(thread->sink, false))
		wait_ns = REAP_NS;
	check_sink(thread);
	pthread_mutex_lock(&thread->lock);
	if (!thread->kicked && !thread->ending) {
		if (wait_ns)
			sleep_up_to(thread, wait_ns);
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

		if (block) {
			write_block(thread, block);
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
		ret = tape_pages_create(&thread->pages, thread->writer, zstd_level == LEVEL_AUTO ? 1 : zstd_level,
					&tape_error);
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

static void free_job(struct job *job)
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
	count_records(thread, UINT64_MAX, true);
	pipeline_destroy(thread->pipeline);
	tape_pages_destroy(thread->pages);
	/* What is in flight belongs to the writer until it is done. */
	if (thread->sink)
		uring_sink_reap(thread->sink, true);
	tape_writer_destroy(thread->writer);
	uring_sink_destroy(thread->sink);
	while (thread->head) {
		struct job *job = thread->head;

		thread->head = job->next;
		free_job(job);
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

/* ---- jobs ------------------------------------------------------------ */

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
