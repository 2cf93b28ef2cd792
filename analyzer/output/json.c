/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "arg_plain.h"
#include "call_fd_text.h"
#include "linux/arg_decode.h"
#include "linux/name_set.h"
#include "output/output.h"

/* 2^53: beyond, parsers that keep numbers as doubles lose digits. */
#define EXACT_MAX (INT64_C(1) << 53)

static void put_key(struct strbuf *out, const char *key)
{
	strbuf_put(out, ", \"");
	strbuf_put(out, key);
	strbuf_put(out, "\": ");
}

static void put_string(struct strbuf *out, const void *bytes, size_t n)
{
	strbuf_put_char(out, '"');
	strbuf_put_json(out, bytes, n);
	strbuf_put_char(out, '"');
}

static void put_text(struct strbuf *out, const char *text)
{
	if (text)
		put_string(out, text, strlen(text));
	else
		strbuf_put(out, "null");
}

static void put_hex(struct strbuf *out, uint64_t value)
{
	strbuf_put_char(out, '"');
	strbuf_put_hex(out, value);
	strbuf_put_char(out, '"');
}

void output_json_number(struct strbuf *out, int64_t value)
{
	if (value > -EXACT_MAX && value < EXACT_MAX)
		strbuf_put_i64(out, value);
	else
		put_hex(out, (uint64_t)value);
}

static void put_time(struct strbuf *out, int64_t time_ns)
{
	if (time_ns < 0) {
		strbuf_put(out, "null");
		return;
	}
	strbuf_put_char(out, '"');
	time_put_iso(out, time_ns);
	strbuf_put_char(out, '"');
}

static void put_known(struct strbuf *out, bool known, int64_t value)
{
	if (known)
		strbuf_put_i64(out, value);
	else
		strbuf_put(out, "null");
}

void output_json_thread(struct strbuf *out, const struct call_thread *thread)
{
	strbuf_put(out, "\"pid\": ");
	put_known(out, thread->pid >= 0, thread->pid);
	put_key(out, "tid");
	put_known(out, thread->tid >= 0, thread->tid);
	put_key(out, "ppid");
	put_known(out, thread->ppid >= 0, thread->ppid);
	put_key(out, "process");
	put_text(out, thread->comm[0] ? thread->comm : NULL);
	put_key(out, "exe");
	put_text(out, thread->exe && thread->exe[0] ? thread->exe : NULL);
}

static void put_arg(struct strbuf *out, const struct call *call, int i)
{
	struct strbuf plain = {0};
	enum arg_plain kind = call_arg_plain(call, i, &plain);
	bool is_pointer;
	int64_t number = call_arg_number(call, i, &is_pointer);

	strbuf_put(out, "{\"value\": ");
	if (is_pointer)
		put_hex(out, call->args[i]);
	else
		output_json_number(out, number);
	if (kind != ARG_PLAIN_NUMBER) {
		put_key(out, "text");
		put_string(out, plain.data ? plain.data : "", plain.len);
	}
	if (kind == ARG_PLAIN_CUT)
		strbuf_put(out, ", \"truncated\": true");
	strbuf_put_char(out, '}');
	strbuf_deinit(&plain);
}

/* Some kernels give two arguments of a call one name: an object's keys must differ. */
static void put_arg_key(struct strbuf *out, const struct call *call, int i)
{
	const char *name = call_arg_name(call, i);
	bool again = false;

	for (int earlier = 0; earlier < i; earlier++)
		again |= !strcmp(name, call_arg_name(call, earlier));
	strbuf_put_char(out, '"');
	strbuf_put_json(out, name, strlen(name));
	if (again)
		strbuf_printf(out, "_%d", i);
	strbuf_put(out, "\": ");
}

static void put_args(struct strbuf *out, const struct call *call)
{
	int n = call_shown_args(call);

	if (!call->args_known) {
		strbuf_put(out, "null");
		return;
	}
	strbuf_put_char(out, '{');
	for (int i = 0; i < n; i++) {
		if (i)
			strbuf_put(out, ", ");
		put_arg_key(out, call, i);
		put_arg(out, call, i);
	}
	strbuf_put_char(out, '}');
}

void output_json_call(struct strbuf *out, const struct call *call)
{
	static const char *const states[] = {"complete", "no-exit", "open", "exit-only"};

	strbuf_put(out, "{\"time\": ");
	put_time(out, call->time_ns);
	put_key(out, "tsc");
	strbuf_put_u64(out, call->tsc);
	put_key(out, "vcpu");
	strbuf_put_u64(out, call->vcpu);
	put_key(out, "abi");
	put_text(out, output_abi_name(call->abi));
	strbuf_put(out, ", ");
	output_json_thread(out, &call->thread);
	put_key(out, "syscall");
	put_text(out, call->syscall ? call->syscall->name : NULL);
	put_key(out, "nr");
	put_known(out, call->nr_known, call->nr);
	put_key(out, "args");
	put_args(out, call);
	call_put_fd_json(call, out);
	put_key(out, "ret");
	if (call->ret_known)
		output_json_number(out, call->ret);
	else
		strbuf_put(out, "null");
	put_key(out, "error");
	put_text(out, call_error_name(call));
	put_key(out, "duration_ns");
	put_known(out, call->duration_ns >= 0, call->duration_ns);
	put_key(out, "state");
	put_text(out, states[call->state]);
	if (call->interrupted)
		strbuf_put(out, ", \"interrupted\": true");
	if (call->signal) {
		put_key(out, "signal");
		strbuf_put_char(out, '"');
		signal_name_put(call->signal, out);
		strbuf_put_char(out, '"');
	}
	if (call->uncertain || call->thread.uncertain)
		strbuf_put(out, ", \"uncertain\": true");
	strbuf_put(out, "}\n");
}

void output_json_gap(struct strbuf *out, const struct call_item *item, const struct guest_clock *clock)
{
	strbuf_put(out, "{\"time\": ");
	put_time(out, guest_clock_ns(clock, item->gap_tsc));
	put_key(out, "tsc");
	strbuf_put_u64(out, item->gap_tsc);
	put_key(out, "vcpu");
	strbuf_put_u64(out, item->gap_vcpu);
	strbuf_printf(out,
		      ", \"gap\": {\"lost_records\": %" PRIu64 ", \"first_seq\": %" PRIu64 ", \"first_tsc\": %" PRIu64
		      ", \"last_tsc\": %" PRIu64 ", \"first_time\": ",
		      (uint64_t)item->gap.lost_records, (uint64_t)item->gap.first_seq, (uint64_t)item->gap.first_tsc,
		      (uint64_t)item->gap.last_tsc);
	put_time(out, guest_clock_ns(clock, item->gap.first_tsc));
	put_key(out, "last_time");
	put_time(out, guest_clock_ns(clock, item->gap.last_tsc));
	strbuf_put(out, "}}\n");
}

/* ---- raw traps ------------------------------------------------------- */

static void put_fragments(struct strbuf *out, const struct trap_view *view)
{
	static const char *const statuses[] = {"whole", "cut", "not-present", "not-canonical"};
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;
	bool first = true;

	strbuf_put_char(out, '[');
	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		unsigned status = fragment.status & (unsigned)~TRAP_FRAG_AGAIN;

		strbuf_printf(out, "%s{\"label\": %u, \"gva\": \"0x%" PRIx64 "\", \"status\": ", first ? "" : ", ",
			      fragment.label, (uint64_t)fragment.gva);
		put_text(out, status < TRAP_FRAG_STATUSES ? statuses[status] : NULL);
		if (fragment.status & TRAP_FRAG_AGAIN)
			strbuf_put(out, ", \"again\": true");
		strbuf_printf(out, ", \"want_bytes\": %u, \"hex\": \"", fragment.want_bytes);
		for (unsigned i = 0; i < fragment.len_bytes; i++)
			strbuf_printf(out, "%02x", bytes[i]);
		strbuf_put(out, "\"}");
		first = false;
	}
	strbuf_put_char(out, ']');
}

static void put_body(struct strbuf *out, const struct trap_view *view)
{
	struct trap_plan_change plan;
	struct trap_mark mark;
	struct trap_gap gap;

	switch (view->header.type) {
	case TRAP_GAP:
		trap_view_gap(view, &gap);
		strbuf_printf(out,
			      ", \"gap\": {\"lost_records\": %" PRIu64 ", \"first_seq\": %" PRIu64
			      ", \"first_tsc\": %" PRIu64 ", \"last_tsc\": %" PRIu64 "}",
			      (uint64_t)gap.lost_records, (uint64_t)gap.first_seq, (uint64_t)gap.first_tsc,
			      (uint64_t)gap.last_tsc);
		break;
	case TRAP_MARK:
		trap_view_mark(view, &mark);
		strbuf_printf(out, ", \"mark\": {\"snapshot_id\": %" PRIu64 ", \"realtime_ns\": %" PRIu64 "}",
			      (uint64_t)mark.snapshot_id, (uint64_t)mark.realtime_ns);
		break;
	case TRAP_PLAN:
		trap_view_plan(view, &plan);
		strbuf_printf(out, ", \"plan\": {\"plan_id\": %u}", plan.plan_id);
		break;
	default:
		break;
	}
}

void output_json_trap(struct strbuf *out, const struct output_trap *trap)
{
	const struct trap_view *view = trap->view;
	bool first = true;

	strbuf_put(out, "{\"time\": ");
	put_time(out, trap->time_ns);
	put_key(out, "tsc");
	strbuf_put_u64(out, view->header.tsc);
	put_key(out, "vcpu");
	strbuf_put_u64(out, view->header.vcpu);
	put_key(out, "seq");
	strbuf_put_u64(out, view->header.seq);
	put_key(out, "type");
	put_text(out, output_type_name(view->header.type));
	put_key(out, "abi");
	put_text(out, output_abi_name(view->header.abi));
	put_key(out, "via");
	put_text(out, output_via_name(view->header.via));
	put_key(out, "flags");
	strbuf_put_u64(out, view->header.flags);
	strbuf_put(out, ", ");
	output_json_thread(out, trap->thread);
	put_key(out, "syscall");
	put_text(out, trap->call && trap->call->syscall ? trap->call->syscall->name : NULL);
	put_key(out, "nr");
	put_known(out, trap->call && trap->call->nr_known, trap->call ? trap->call->nr : 0);
	put_key(out, "regs");
	strbuf_put_char(out, '{');
	for (int reg = 0; reg < TRAP_REGS; reg++) {
		if (!trap_view_has(view, (enum trap_reg)reg))
			continue;
		strbuf_printf(out, "%s\"%s\": \"0x%" PRIx64 "\"", first ? "" : ", ", output_reg_name(reg),
			      view->regs[reg]);
		first = false;
	}
	strbuf_put_char(out, '}');
	put_body(out, view);
	put_key(out, "fragments");
	put_fragments(out, view);
	strbuf_put(out, "}\n");
}
