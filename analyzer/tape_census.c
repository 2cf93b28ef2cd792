/* SPDX-License-Identifier: MIT */
#include "tape_census.h"

#include <inttypes.h>

#include "sequence.h"

static void count(struct tape_census *c, const struct trap_view *view)
{
	bool is_call = view->header.type == TRAP_ENTER || view->header.type == TRAP_EXIT;

	c->types[view->header.type < TRAP_TYPES ? view->header.type : TRAP_PAD]++;
	c->raw_bytes += view->header.size_bytes;
	c->cut_records += (view->header.flags & TRAP_F_CUT) != 0;
	if (view->header.type == TRAP_GAP) {
		struct trap_gap gap;

		trap_view_gap(view, &gap);
		if (!c->gaps++)
			c->first_gap_tsc = gap.first_tsc;
		c->last_gap_tsc = gap.last_tsc;
		c->lost_records += gap.lost_records;
	}
	if (!is_call)
		return;
	c->without_task += !view->regs[TRAP_REG_TASK];
	if (view->header.via < TRAP_VIAS)
		c->vias[view->header.via]++;
	if (view->header.type == TRAP_ENTER && view->header.abi < TRAP_ABIS)
		c->abis[view->header.abi]++;
	c->unpaired_exits += view->header.type == TRAP_EXIT && (view->header.flags & TRAP_F_UNPAIRED);
}

struct vmtape_error *tape_census_take(struct tape_census *out, struct session *session,
				      void (*progress)(void *ctx, uint64_t records), void *ctx)
{
	struct tape_error error = {.offset = TAPE_NO_OFFSET};
	struct tape_cursor *cursor;
	struct sequence sequence = {0};
	struct trap_gap missing;
	struct trap_view view;
	uint64_t records = 0;
	int result = tape_cursor_create(&cursor, session_reader(session), &error);

	*out = (struct tape_census){0};
	if (!result) {
		while ((result = tape_cursor_next(cursor, &view, &error)) > 0) {
			count(out, &view);
			if (sequence_next(&sequence, &view, &missing))
				out->missing_records += missing.lost_records;
			if (progress)
				progress(ctx, ++records);
		}
		tape_cursor_destroy(cursor);
	}
	sequence_deinit(&sequence);
	if (result >= 0)
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_IO, "offset %" PRIu64 ": %s", error.offset, error.message);
}
