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
	out->nr_pages = extent->gfn + extent->count - gfn;
	switch (tape_extent_id(extent, gfn - extent->gfn)) {
	case TAPE_PAGE_NONE:
		out->kind = TAPE_RUN_NONE;
		break;
	case TAPE_PAGE_LOST:
		out->kind = TAPE_RUN_LOST;
		break;
	case TAPE_PAGE_ZERO:
		out->kind = TAPE_RUN_ZERO;
		break;
	default:
		out->kind = TAPE_RUN_STORED;
		break;
	}
	return 0;
}
