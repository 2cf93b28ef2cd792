/* SPDX-License-Identifier: MIT */
/* vmtape.h: raw traps. */
#include <stdlib.h>
#include <string.h>

#include "call_stream.h"
#include "output/output.h"
#include "public_call.h"
#include "tracker.h"

/* One step of the tracker gives a record, and before it what damage has left out. */
#define MAX_WAITING 4

struct waiting_record {
	uint8_t *bytes;
	size_t size_bytes, room;
	struct call_thread thread;
};

struct vmtape_traps {
	struct vmtape_tape *tape;
	struct tracker *tracker;
	struct filter *filter;
	uint64_t from_tsc, to_tsc;
	struct waiting_record waiting[MAX_WAITING];
	unsigned nr_waiting, next;
	bool at_end, failed;
	struct public_trap trap;
};

/* ---- from record to trap --------------------------------------------- */

static void show_registers(struct public_trap *out, const struct trap_view *view)
{
	out->shown.registers = out->registers;
	for (int reg = 0; reg < TRAP_REGS; reg++)
		if (trap_view_has(view, (enum trap_reg)reg))
			out->registers[out->shown.nr_registers++] =
				(struct vmtape_register){output_reg_name(reg), view->regs[reg]};
}

static bool show_fragments(struct public_trap *out, const struct trap_view *view)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	if (view->header.nr_fragments > out->fragments_room) {
		void *room = realloc(out->fragments, view->header.nr_fragments * sizeof(*out->fragments));

		if (!room)
			return false;
		out->fragments = room;
		out->fragments_room = view->header.nr_fragments;
	}
	out->shown.fragments = out->fragments;
	while (trap_view_next_fragment(view, &position, &fragment, &bytes) &&
	       out->shown.nr_fragments < out->fragments_room)
		out->fragments[out->shown.nr_fragments++] = (struct vmtape_fragment){
			.gva = fragment.gva,
			.bytes = bytes,
			.size_bytes = fragment.len_bytes,
			.whole = (fragment.status & ~TRAP_FRAG_AGAIN) == TRAP_FRAG_WHOLE,
		};
	return true;
}

struct vmtape_error *public_trap_show(struct public_trap *out, struct vmtape_tape *tape, const struct trap_view *view,
				      const struct call *call, const struct call_thread *thread)
{
	struct trap_gap gap;

	memcpy(out->comm, thread->comm, sizeof(out->comm));
	out->shown = (struct vmtape_trap){
		.type = output_type_name(view->header.type),
		.via = output_via_name(view->header.via),
		.abi = output_abi_name(view->header.abi),
		.flags = view->header.flags,
		.vcpu = view->header.vcpu,
		.seq = view->header.seq,
		.tsc = view->header.tsc,
		.time_ns = guest_clock_ns(session_clock(tape->session), view->header.tsc),
		.pid = thread->pid,
		.tid = thread->tid,
		.ppid = thread->ppid,
		.process = out->comm[0] ? out->comm : NULL,
		.exe = thread->exe && thread->exe[0] ? thread->exe : NULL,
		.name = call && call->syscall ? call->syscall->name : NULL,
		.nr = call && call->nr_known ? (int64_t)call->nr : -1,
	};
	if (view->header.type == TRAP_GAP) {
		trap_view_gap(view, &gap);
		out->shown.lost_records = gap.lost_records;
	}
	show_registers(out, view);
	return show_fragments(out, view) ? NULL : &vmtape_error_no_memory;
}

void public_trap_deinit(struct public_trap *trap)
{
	free(trap->fragments);
}

bool vmtape_trap_register(const struct vmtape_trap *trap, const char *name, uint64_t *value)
{
	for (size_t i = 0; i < trap->nr_registers; i++) {
		if (strcmp(trap->registers[i].name, name))
			continue;
		*value = trap->registers[i].value;
		return true;
	}
	return false;
}

/* ---- iteration ------------------------------------------------------- */

static void on_record(void *ctx, const struct trap_view *view, const struct call_thread *thread)
{
	struct vmtape_traps *traps = ctx;
	struct waiting_record *record;

	if (view->header.tsc < traps->from_tsc || view->header.tsc >= traps->to_tsc)
		return;
	if (traps->nr_waiting == MAX_WAITING) {
		traps->failed = true;
		return;
	}
	record = &traps->waiting[traps->nr_waiting];
	if (view->header.size_bytes > record->room) {
		free(record->bytes);
		record->room = 0;
		record->bytes = malloc(view->header.size_bytes);
		if (!record->bytes) {
			traps->failed = true;
			return;
		}
		record->room = view->header.size_bytes;
	}
	record->size_bytes = view->header.size_bytes;
	memcpy(record->bytes, view->raw, record->size_bytes);
	record->thread = *thread;
	traps->nr_waiting++;
}

struct vmtape_error *vmtape_traps_create(struct vmtape_traps **out, struct vmtape_tape *tape,
					 const struct vmtape_span *span)
{
	static const struct vmtape_span everything;
	struct vmtape_traps *traps = calloc(1, sizeof(*traps));
	struct tracker_sink sink = {.record = on_record, .ctx = traps};
	struct vmtape_error *error;

	*out = NULL;
	if (!traps)
		return &vmtape_error_no_memory;
	if (!span)
		span = &everything;
	traps->tape = tape;
	traps->from_tsc = span->from_tsc;
	traps->to_tsc = span->to_tsc ? span->to_tsc : UINT64_MAX;
	error = public_filter(&traps->filter, tape, span->filter);
	if (!error)
		error = tracker_create(&traps->tracker, tape->session, &sink, span->from_tsc);
	if (error) {
		vmtape_traps_destroy(traps);
		return error;
	}
	*out = traps;
	return NULL;
}

void vmtape_traps_destroy(struct vmtape_traps *traps)
{
	if (!traps)
		return;
	tracker_destroy(traps->tracker);
	filter_destroy(traps->filter);
	public_trap_deinit(&traps->trap);
	for (unsigned i = 0; i < MAX_WAITING; i++)
		free(traps->waiting[i].bytes);
	free(traps);
}

/* false: the filter leaves it out. */
static bool take(struct vmtape_traps *traps, struct waiting_record *record, struct vmtape_error **error)
{
	struct trap_view view;
	struct call call;
	bool enter, is_call;

	if (trap_view_parse(&view, record->bytes, record->size_bytes, NULL) <= 0)
		return false;
	enter = view.header.type == TRAP_ENTER;
	is_call = enter || view.header.type == TRAP_EXIT;
	if (is_call)
		call_build(&call, traps->tape->session, enter ? CALL_OPEN : CALL_EXIT_ONLY, enter ? &view : NULL,
			   enter ? NULL : &view, &record->thread, false);
	if (traps->filter && view.header.type != TRAP_GAP &&
	    (!is_call || !filter_match(traps->filter, &call, enter ? '>' : '<')))
		return false;
	*error = public_trap_show(&traps->trap, traps->tape, &view, is_call ? &call : NULL, &record->thread);
	return true;
}

struct vmtape_error *vmtape_traps_next(struct vmtape_traps *traps, const struct vmtape_trap **trap)
{
	struct vmtape_error *error = NULL;

	*trap = NULL;
	for (;;) {
		bool more;

		while (traps->next < traps->nr_waiting) {
			if (!take(traps, &traps->waiting[traps->next++], &error))
				continue;
			if (!error)
				*trap = &traps->trap.shown;
			return error;
		}
		if (traps->at_end)
			return NULL;
		traps->next = traps->nr_waiting = 0;
		error = tracker_step_until(traps->tracker, traps->to_tsc, &more);
		if (error || traps->failed)
			return error ? error : &vmtape_error_no_memory;
		traps->at_end = !more;
	}
}
