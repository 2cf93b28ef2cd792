/* SPDX-License-Identifier: MIT */
/*
 * tape_store.c - what the tape thread writes, with its account of the records:
 * each counts as stored when it is in the file, and as lost when it never will be.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "level_policy.h"
#include "loop.h"
#include "tape_thread_private.h"

#define LOOK_NS (100 * NS_PER_MS) /* while the disk is full */

static const uint8_t zero_page[TAPE_PAGE_BYTES];

/* What is written counts; after a failure nothing else will be. */
void tape_store_count(struct tape_thread *thread, uint64_t written_bytes, bool lost)
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

void tape_store_fail(struct tape_thread *thread, int error, const char *what, const struct tape_error *tape_error)
{
	uint64_t offset = 0;
	int sink_error = uring_sink_error(thread->sink, &offset);
	struct record_error first;

	if (thread->failed)
		return;
	thread->failed = true;
	tape_store_count(thread, uring_sink_written_bytes(thread->sink), false);
	tape_store_count(thread, UINT64_MAX, true);
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
			tape_thread_sleep(thread, LOOK_NS);
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

void tape_store_check(struct tape_thread *thread)
{
	int error;

	if (uring_sink_is_full(thread->sink))
		wait_for_room(thread);
	tape_store_count(thread, uring_sink_written_bytes(thread->sink), false);
	error = uring_sink_error(thread->sink, NULL);
	if (error)
		tape_store_fail(thread, error, "writing", NULL);
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
		tape_store_count(thread, UINT64_MAX, true);
	else if (ret)
		tape_store_fail(thread, ret, what, &error);
	else
		tape_store_check(thread);
}

void tape_store_chunk(struct tape_thread *thread, struct tape_chunk *chunk)
{
	append(thread, chunk, NULL, "storing");
}

void tape_store_note_size(struct tape_thread *thread)
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

void tape_store_block(struct tape_thread *thread, struct block *block)
{
	if (!block->chunk) {
		refuse_block(thread, block);
	} else {
		struct tape_chunk *chunk = block->chunk;

		block->chunk = NULL;
		append(thread, chunk, &block->tally, "storing records");
		tape_store_note_size(thread);
	}
	pipeline_block_put(thread->pipeline, block);
}

void tape_store_pages(struct tape_thread *thread, const struct page_batch *batch)
{
	for (unsigned i = 0; i < batch->nr_runs && !thread->failed; i++) {
		const struct page_run *run = &batch->runs[i];

		for (uint32_t n = 0; n < run->nr_pages; n++) {
			const void *page = run->first_page < 0 ? zero_page : batch->data[run->first_page + (int)n];
			struct tape_error error = {0};
			int ret = tape_pages_add(thread->pages, run->gfn + n, page, &error);

			if (ret) {
				tape_store_fail(thread, ret, "storing guest memory", &error);
				break;
			}
		}
	}
	tape_store_check(thread);
}

void tape_store_collect(struct tape_thread *thread)
{
	struct tape_error error = {0};
	int ret = thread->failed ? 0 : tape_pages_collect(thread->pages, &error);

	if (ret)
		tape_store_fail(thread, ret, "storing guest memory", &error);
}

/* ---- the map of a large guest's pages -------------------------------- */

/* Of mixed memory of 6 GiB; most memory takes less. */
#define MAP_MAX_BYTES (6u << 20)

static int write_map(void *ctx, uint64_t offset, const void *data, size_t size_bytes)
{
	struct spill_file *spill = ctx;

	return spill_file_has_room(spill, size_bytes) ? spill_file_write(spill, offset, data, size_bytes) : -ENOSPC;
}

static int read_map(void *ctx, uint64_t offset, void *data, size_t size_bytes)
{
	return spill_file_read(ctx, offset, data, size_bytes);
}

static void clear_map(void *ctx)
{
	spill_file_clear(ctx);
}

int tape_store_open_pages(struct tape_thread *thread, struct tape_writer *writer, struct tape_pages **out,
			  struct tape_error *error)
{
	const struct tape_page_coder coder = page_pool_coder(thread->page_pool);
	int level = thread->zstd_level == LEVEL_AUTO ? 1 : thread->zstd_level == LEVEL_STORED ? 0 : thread->zstd_level;
	const struct tape_page_spill spill = {.write = write_map,
					      .read = read_map,
					      .clear = clear_map,
					      .ctx = &thread->map_spill,
					      .max_bytes = MAP_MAX_BYTES};
	int ret = tape_pages_create(out, writer, level, error);

	if (ret)
		return ret;
	tape_pages_spill_to(*out, &spill);
	return tape_pages_encode_with(*out, &coder, error);
}

void tape_store_pages_stats(const struct tape_thread *thread, struct tape_pages_stats *out)
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

void tape_store_commit(struct tape_thread *thread, const struct tape_snapshot_info *info)
{
	struct tape_error error = {0};
	struct tape_pages_stats pages;
	int ret;

	if (thread->failed)
		return;
	ret = tape_pages_commit(thread->pages, info, &error);
	if (ret) {
		tape_store_fail(thread, ret, "storing a snapshot", &error);
		return;
	}
	tape_store_pages_stats(thread, &pages);
	if (pages.lost && !thread->stats.pages.lost)
		report_warning("the ring is too small for the guest's memory, which takes about %" PRIu64
			       " MiB of it: pages are lost, and names may be; want a --ring-size of twice that",
			       pages.live_bytes >> 20);
	pthread_mutex_lock(&thread->lock);
	thread->stats.snapshots++;
	thread->stats.pages = pages;
	pthread_mutex_unlock(&thread->lock);
	tape_store_check(thread);
}

void tape_store_flush(struct tape_thread *thread)
{
	while (uring_sink_reap(thread->sink, true))
		tape_store_check(thread);
	tape_store_check(thread);
}

uint64_t tape_store_sign_old(struct tape_thread *thread)
{
	uint64_t unsigned_ms = thread->failed ? 0 : tape_writer_unsigned_ms(thread->writer);
	struct tape_error error = {0};
	int ret;

	if (unsigned_ms < TAPE_SIGN_MS)
		return unsigned_ms ? TAPE_SIGN_MS - unsigned_ms : 0;
	ret = tape_writer_sign(thread->writer, &error);
	if (ret)
		tape_store_fail(thread, ret, "signing", &error);
	tape_store_note_size(thread);
	return 0;
}
