/* SPDX-License-Identifier: MIT */
#include "call_batch.h"

#include <stdlib.h>

void call_batch_deinit(struct call_batch *batch)
{
	free(batch->calls);
	free(batch->fds);
	free(batch->blocks);
	*batch = (struct call_batch){0};
}

static bool open_record(const struct stored_record *record, struct trap_view *out)
{
	if (record->block)
		trap_view_open(out, record->bytes);
	return record->block;
}

void call_batch_item(const struct call_batch *batch, uint32_t i, struct call_item *item)
{
	const struct stored_call *stored = &batch->calls[i];
	struct trap_view *enter = &item->call.enter, *exit = &item->call.exit;
	bool has_enter = open_record(&stored->enter, enter);

	item->is_gap = stored->kind == STORED_GAP;
	if (item->is_gap) {
		trap_view_gap(enter, &item->gap);
		item->gap_tsc = enter->header.tsc;
		item->gap_vcpu = enter->header.vcpu;
		return;
	}
	if (!open_record(&stored->exit, exit))
		exit = NULL;
	call_build(&item->call, batch->session, (enum call_state)stored->state, has_enter ? enter : NULL, exit,
		   &stored->thread, stored->uncertain);
	item->call.fds = batch->has_fds ? &batch->fds[i] : NULL;
}
