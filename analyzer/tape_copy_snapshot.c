/* SPDX-License-Identifier: MIT */
/* Snapshots onto the new tape: what one brings, or all of its memory. */
#include "tape_copy_private.h"

#include <errno.h>

struct page_job {
	struct tape_copy *copy;
	struct tape_reader *reader;
	uint32_t index;
	bool all; /* what can't be had is counted, and left out; else it ends the job */
	uint64_t nr_missing;
	struct tape_error why; /* of the new tape */
	bool writing;          /* that it is of */
};

/* 0, -EBADMSG (a page can't be had), or another negative errno. */
static int copy_run(void *ctx, uint64_t gfn, const struct tape_page_run *run)
{
	static const uint8_t zeros[TAPE_PAGE_BYTES];
	struct page_job *job = ctx;
	uint8_t page[TAPE_PAGE_BYTES];

	if (run->kind == TAPE_RUN_NONE)
		return 0;
	if (run->kind == TAPE_RUN_LOST) {
		job->nr_missing += run->nr_pages;
		return job->all ? 0 : -EBADMSG;
	}
	for (uint64_t i = 0; i < run->nr_pages; i++) {
		const uint8_t *bytes = zeros;
		int result = 0;

		if (run->kind == TAPE_RUN_STORED) {
			result = tape_reader_page(job->reader, job->index, gfn + i, page, NULL);
			bytes = page;
		}
		if (result == -ENOMEM)
			return result;
		if (result) {
			job->nr_missing++;
			if (!job->all)
				return -EBADMSG;
			continue;
		}
		result = tape_pages_add(job->copy->pages, gfn + i, bytes, &job->why);
		if (result) {
			job->writing = true;
			return result;
		}
	}
	return 0;
}

static int copy_all(struct page_job *job, const struct tape_snapshot_info *info)
{
	uint64_t done = 0; /* ranges of a damaged tape may overlap: each page once */

	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		uint64_t gfn = info->ranges[i].gpa / TAPE_PAGE_BYTES, bytes = info->ranges[i].size_bytes;
		uint64_t end = gfn + bytes / TAPE_PAGE_BYTES + (bytes % TAPE_PAGE_BYTES != 0);

		for (gfn = gfn > done ? gfn : done; gfn < end; done = gfn) {
			struct tape_page_run run;
			int result = tape_reader_page_run(job->reader, job->index, gfn, &run, &job->why);

			if (result)
				return result;
			run.nr_pages = run.nr_pages < end - gfn ? run.nr_pages : end - gfn;
			result = copy_run(job, gfn, &run);
			if (result)
				return result;
			gfn += run.nr_pages;
		}
	}
	return 0;
}

struct vmtape_error *tape_copy_snapshot(struct tape_copy *copy, struct session *session, uint32_t index, bool first)
{
	struct page_job job = {.copy = copy, .reader = session_reader(session), .index = index};
	const struct tape_snapshot *snapshot = tape_reader_snapshot(job.reader, index);
	struct tape_snapshot_info info = snapshot->info;
	bool whole = false;
	int result = -EBADMSG;

	if (copy->has_seam && info.tsc <= copy->seam_tsc) {
		copy->stats.skipped_snapshots++;
		copy->has_skipped = true;
		return NULL;
	}
	job.why.offset = TAPE_NO_OFFSET;
	if (!first && !info.base && !copy->has_skipped) {
		result = tape_reader_brought_runs(job.reader, index, copy_run, &job, &whole, &job.why);
		if (!result && !whole)
			result = -EBADMSG;
	}
	if (result == -EBADMSG && !job.writing) {
		job.nr_missing = 0;
		job.all = true;
		info.base = true;
		result = copy_all(&job, &snapshot->info);
		copy->stats.missing_pages += job.nr_missing;
	}
	if (!result)
		result = tape_pages_commit(copy->pages, &info, &job.why);
	if (result)
		return tape_copy_failed(&job.why, result);
	copy->stats.snapshots++;
	copy->last_tsc = info.tsc;
	copy->has_skipped = false;
	return NULL;
}
