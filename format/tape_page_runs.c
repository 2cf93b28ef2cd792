/* SPDX-License-Identifier: MIT */
/* tape_page_runs.c - what kind of pages a snapshot has, run by run: who walks all of memory need not ask for each page.
 */
#include <errno.h>

#include "tape_read.h"

/* Index of the first extent that ends behind gfn. */
static size_t first_behind(const struct tape_extents *extents, uint64_t gfn)
{
	size_t low = 0, high = extents->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct tape_extent *extent = &extents->list[middle];

		if (extent->gfn + extent->count <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum tape_run_kind kind_of(uint64_t id)
{
	switch (id) {
	case TAPE_PAGE_NONE:
		return TAPE_RUN_NONE;
	case TAPE_PAGE_LOST:
		return TAPE_RUN_LOST;
	case TAPE_PAGE_ZERO:
		return TAPE_RUN_ZERO;
	default:
		return TAPE_RUN_STORED;
	}
}

int tape_reader_page_run(struct tape_reader *reader, uint32_t index, uint64_t gfn, struct tape_page_run *out,
			 struct tape_error *error)
{
	const struct tape_extents *extents;
	const struct tape_extent *extent;
	size_t at;
	int result;

	if (index >= reader->nr_snapshots - reader->first_snapshot)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "the tape has no snapshot %u", index);
	result = tape_snapshot_view(reader, index + (uint32_t)reader->first_snapshot, &extents);
	if (result)
		return tape_fail(error, result, TAPE_NO_OFFSET, "no memory for the page map of snapshot %u", index);
	at = first_behind(extents, gfn);
	if (at == extents->count) {
		*out = (struct tape_page_run){TAPE_RUN_NONE, gfn < TAPE_MAX_GFN ? TAPE_MAX_GFN - gfn : 1};
		return 0;
	}
	extent = &extents->list[at];
	if (extent->gfn > gfn) {
		*out = (struct tape_page_run){TAPE_RUN_NONE, extent->gfn - gfn};
		return 0;
	}
	*out = (struct tape_page_run){kind_of(tape_extent_id(extent, gfn - extent->gfn)),
				      extent->gfn + extent->count - gfn};
	return 0;
}

int tape_reader_brought_runs(struct tape_reader *reader, uint32_t index,
			     int (*found)(void *ctx, uint64_t gfn, const struct tape_page_run *run), void *ctx,
			     bool *whole, struct tape_error *error)
{
	struct tape_extents extents = {0};
	struct tape_page_map sum;
	const struct tape_stored_snapshot *snapshot;
	int result;

	if (index >= reader->nr_snapshots - reader->first_snapshot)
		return tape_fail(error, -EINVAL, TAPE_NO_OFFSET, "the tape has no snapshot %u", index);
	index += (uint32_t)reader->first_snapshot;
	snapshot = &reader->snapshots[index];
	result = tape_snapshot_extents(reader, index, &extents, &sum, whole);
	if (result)
		tape_fail(error, result, TAPE_NO_OFFSET, "no memory for the page map of snapshot %u", index);
	*whole = *whole && (snapshot->snapshot.info.base ||
			    (index && reader->snapshots[index - 1].ordinal + 1 == snapshot->ordinal));
	for (size_t i = 0; i < extents.count && !result; i++) {
		const struct tape_extent *extent = &extents.list[i];
		struct tape_page_run run = {kind_of(tape_extent_id(extent, 0)), extent->count};

		result = found(ctx, extent->gfn, &run);
	}
	tape_extents_deinit(&extents);
	return result;
}
