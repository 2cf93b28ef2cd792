/* SPDX-License-Identifier: MIT */
#include "page_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void page_feed_deinit(struct page_feed *feed)
{
	if (feed->tape)
		tape_thread_batch_put(feed->tape, feed->batch);
	feed->batch = NULL;
	held_pages_deinit(&feed->held);
	free(feed->beside);
	feed->beside = NULL;
}

void page_feed_send(struct page_feed *feed)
{
	if (feed->batch)
		tape_thread_post_pages(feed->tape, feed->batch);
	feed->batch = NULL;
}

/* A batch with room for at least one run. */
static int need_batch(struct page_feed *feed, struct record_error *error)
{
	struct page_batch *batch = feed->batch;

	if (batch && (batch->nr_runs == BATCH_PAGES || batch->nr_data_pages == BATCH_PAGES ||
		      batch->nr_zero_pages >= BATCH_ZERO_PAGES))
		page_feed_send(feed);
	while (!feed->batch) {
		struct record_error why;

		if (tape_thread_error(feed->tape, &why)) {
			*error = why;
			return why.error;
		}
		feed->batch = tape_thread_batch_get(feed->tape);
		if (feed->batch)
			break;
		/* It may last for days. */
		if (tape_thread_is_waiting(feed->tape))
			return record_error_set(error, -ENOSPC, "the disk is full");
		/* Woken when one comes back. */
		if (loop_wait(feed->loop, NULL, 0, now_ns() + NS_PER_S) == LOOP_STOP_NOW)
			return record_error_set(error, -EINTR, "stopped at once");
	}
	return 0;
}

static struct page_run *add_run(struct page_batch *batch, uint64_t gfn, uint32_t nr_pages)
{
	struct page_run *run = &batch->runs[batch->nr_runs++];

	run->gfn = gfn;
	run->nr_pages = nr_pages;
	return run;
}

int page_feed_zeros(struct page_feed *feed, uint64_t gfn, uint64_t nr_pages, struct record_error *error)
{
	while (nr_pages) {
		int ret = need_batch(feed, error);
		uint32_t n;

		if (ret)
			return ret;
		n = BATCH_ZERO_PAGES - feed->batch->nr_zero_pages;
		if (nr_pages < n)
			n = (uint32_t)nr_pages;
		add_run(feed->batch, gfn, n)->first_page = -1;
		feed->batch->nr_zero_pages += n;
		gfn += n;
		nr_pages -= n;
	}
	return 0;
}

static int read_source(const struct page_source *source, uint8_t *to, uint32_t nr_pages, struct record_error *error)
{
	size_t size_bytes = (size_t)nr_pages * GUEST_PAGE_BYTES;

	return source->block ? ram_block_read(source->block, source->offset, to, size_bytes, error)
			     : staging_read(source->staging, source->offset, to, size_bytes, error);
}

/* Room for up to *nr_pages at the end of a batch; NULL and an error: none. */
static uint8_t *place_in_batch(struct page_feed *feed, uint32_t *nr_pages, int *ret, struct record_error *error)
{
	struct page_batch *batch;

	*ret = need_batch(feed, error);
	if (*ret)
		return NULL;
	batch = feed->batch;
	if (*nr_pages > BATCH_PAGES - batch->nr_data_pages)
		*nr_pages = BATCH_PAGES - batch->nr_data_pages;
	return batch->data[batch->nr_data_pages];
}

static void fill_batch(struct page_batch *batch, uint64_t gfn, uint32_t nr_pages)
{
	add_run(batch, gfn, nr_pages)->first_page = (int32_t)batch->nr_data_pages;
	batch->nr_data_pages += nr_pages;
}

/* Pages that are in memory already. */
static int feed_copies(struct page_feed *feed, uint64_t gfn, const uint8_t *pages, uint32_t nr_pages,
		       struct record_error *error)
{
	while (nr_pages) {
		uint32_t n = nr_pages;
		int ret;
		uint8_t *to = place_in_batch(feed, &n, &ret, error);

		if (ret)
			return ret;
		memcpy(to, pages, (size_t)n * GUEST_PAGE_BYTES);
		fill_batch(feed->batch, gfn, n);
		pages += (size_t)n * GUEST_PAGE_BYTES;
		gfn += n;
		nr_pages -= n;
	}
	return 0;
}

/* The file beside the tape failed, most likely for want of room: all goes to the tape, in order, which knows what to
 * do. */
static int stop_holding(struct page_feed *feed, int why, uint64_t gfn, const uint8_t *pages, uint32_t nr_pages,
			struct record_error *error)
{
	int ret;

	if (!feed->told_no_file)
		report_warning("pages of a snapshot cannot wait in a file beside the tape: %s: snapshots take longer",
			       strerror(-why));
	feed->told_no_file = true;
	feed->holds = false;
	ret = page_feed_release(feed, error);
	return ret ? ret : feed_copies(feed, gfn, pages, nr_pages, error);
}

/* As many of them as fit in one place. */
static int feed_run(struct page_feed *feed, uint64_t gfn, uint32_t *nr_pages, const struct page_source *source,
		    bool may_hold, struct record_error *error)
{
	uint8_t *to = may_hold && feed->holds ? held_pages_place(&feed->held, gfn, nr_pages) : NULL;
	int ret;

	if (to) {
		ret = read_source(source, to, *nr_pages, error);
		if (ret)
			return ret;
		ret = held_pages_placed(&feed->held);
		return ret ? stop_holding(feed, ret, gfn, to, *nr_pages, error) : 0;
	}
	to = place_in_batch(feed, nr_pages, &ret, error);
	if (!ret)
		ret = read_source(source, to, *nr_pages, error);
	if (!ret)
		fill_batch(feed->batch, gfn, *nr_pages);
	return ret;
}

int page_feed_pages(struct page_feed *feed, uint64_t gfn, uint64_t nr_pages, struct page_source source, bool may_hold,
		    struct record_error *error)
{
	while (nr_pages) {
		uint32_t n = nr_pages < UINT32_MAX ? (uint32_t)nr_pages : UINT32_MAX;
		int ret = feed_run(feed, gfn, &n, &source, may_hold, error);

		if (ret)
			return ret;
		feed->copied_pages += n;
		source.offset += (uint64_t)n * GUEST_PAGE_BYTES;
		gfn += n;
		nr_pages -= n;
	}
	return 0;
}

int page_feed_release(struct page_feed *feed, struct record_error *error)
{
	struct held_pages *held = &feed->held;
	const uint32_t *order = held_pages_sort(held);
	size_t i = 0;

	while (i < held->nr_pages && held->gfns[order[i]] != HELD_NO_GFN) {
		uint64_t gfn = held->gfns[order[i]];
		uint32_t n = 1, room = BATCH_PAGES;
		int ret;
		uint8_t *to = place_in_batch(feed, &room, &ret, error);

		if (ret)
			return ret;
		while (n < room && i + n < held->nr_pages && held->gfns[order[i + n]] == gfn + n)
			n++;
		ret = held_pages_read(held, order + i, n, to);
		if (ret)
			return record_error_set(error, ret, "pages that waited beside the tape are lost: %s",
						strerror(-ret));
		fill_batch(feed->batch, gfn, n);
		i += n;
	}
	held_pages_clear(held);
	return 0;
}

int page_feed_make_room(struct page_feed *feed, uint64_t nr_pages, struct record_error *error)
{
	struct held_pages *held = &feed->held;

	/* Room is the tape's first. */
	held_pages_look(held, nr_pages, !tape_thread_is_waiting(feed->tape));
	feed->holds = nr_pages <= held->limit;
	/* What is released now must not come behind newer contents of the same page. */
	return nr_pages + held->nr_pages <= held->limit ? 0 : page_feed_release(feed, error);
}
