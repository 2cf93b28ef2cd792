/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "arg_plain.h"
#include "call_fd_text.h"
#include "linux/arg_decode.h"
#include "linux/name_set.h"
#include "linux/semantics.h"
#include "output/output.h"

/* 2^53: beyond, parsers that keep numbers as doubles lose digits. */
#define EXACT_MAX (INT64_C(1) << 53)

/* What lies between a value and the next: one piece of text, whose length the compiler knows. */
#define KEY(name) ", \"" name "\": "

static void put_text(struct strbuf *out, const char *text)
{
	if (text)
		strbuf_put_json_string(out, text, strlen(text));
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
	strbuf_put(out, KEY("tid"));
	put_known(out, thread->tid >= 0, thread->tid);
	strbuf_put(out, KEY("ppid"));
	put_known(out, thread->ppid >= 0, thread->ppid);
	strbuf_put(out, KEY("process"));
	put_text(out, thread->comm[0] ? thread->comm : NULL);
	strbuf_put(out, KEY("exe"));
	put_text(out, thread->exe && thread->exe[0] ? thread->exe : NULL);
}

/* A string without escapes is the guest's bytes as they stand there. */
static bool is_bare_string(const struct strbuf *text, size_t *n, bool *cut)
{
	size_t end = text->len;

	if (end < 2 || text->data[0] != '"' || memchr(text->data, '\\', end))
		return false;
	*cut = end >= 5 && !memcmp(text->data + end - 4, "\"...", 4);
	if (*cut)
		end -= 3;
	*n = end - 2;
	return text->data[end - 1] == '"' && !memchr(text->data + 1, '"', *n);
}

/* true: the string is longer. */
static bool put_arg_text(struct strbuf *out, const struct strbuf *text)
{
	struct strbuf plain = {0};
	enum arg_plain kind;
	bool cut;
	size_t n;

	if (is_bare_string(text, &n, &cut)) {
		strbuf_put_json_string(out, text->data + 1, n);
		return cut;
	}
	if (!text->len || text->data[0] != '"') {
		strbuf_put_json_string(out, text->data ? text->data : "", text->len);
		return false;
	}
	kind = text_to_plain(text->data, text->len, &plain);
	strbuf_put_json_string(out, plain.data ? plain.data : "", plain.len);
	strbuf_deinit(&plain);
	return kind == ARG_PLAIN_CUT;
}

/* Most arguments' text. */
#define ARG_BYTES 512

static void put_arg(struct strbuf *out, const struct call *call, int i)
{
	char memory[ARG_BYTES];
	struct strbuf text;
	bool is_pointer;
	int64_t number = call_arg_number(call, i, &is_pointer);

	strbuf_init_on(&text, memory, sizeof(memory));
	strbuf_put(out, "{\"value\": ");
	if (is_pointer)
		put_hex(out, call->args[i]);
	else
		output_json_number(out, number);
	if (call_shown_more(call, i, &text) && text.len) {
		strbuf_put(out, KEY("text"));
		if (put_arg_text(out, &text))
			strbuf_put(out, ", \"truncated\": true");
	}
	strbuf_cut(&text, 0);
	if (call_arg_records(call, i, &text)) {
		strbuf_put(out, KEY("records"));
		strbuf_put_json_string(out, text.data, text.len);
	}
	strbuf_put_char(out, '}');
	strbuf_deinit(&text);
}

/* An object's keys must differ. */
static void put_arg_key(struct strbuf *out, const struct call *call, const struct call_meaning *meaning, int i)
{
	const char *name;

	strbuf_put_char(out, '"');
	if (meaning->name_bytes[i] && meaning->oddity != ODDITY_SIGRETURN) {
		strbuf_put_bytes(out, call->syscall->arg_names[i], meaning->name_bytes[i]);
	} else {
		name = call_arg_name(call, i);
		strbuf_put_json(out, name, strlen(name));
	}
	if (meaning->named_again >> i & 1) {
		strbuf_put_char(out, '_');
		strbuf_put_i64(out, i);
	}
	strbuf_put(out, "\": ");
}

static void put_args(struct strbuf *out, const struct call *call)
{
	struct call_meaning scratch;
	const struct call_meaning *meaning = call_meaning_of(call->syscall, &scratch);
	int n = call_shown_args(call);

	if (!call->args_known) {
		strbuf_put(out, "null");
		return;
	}
	strbuf_put_char(out, '{');
	for (int i = 0; i < n; i++) {
		if (i)
			strbuf_put(out, ", ");
		put_arg_key(out, call, meaning, i);
		put_arg(out, call, i);
	}
	strbuf_put_char(out, '}');
}

void output_json_call(struct strbuf *out, const struct call *call)
{
	static const char *const states[] = {"complete", "no-exit", "open", "exit-only"};

	strbuf_put(out, "{\"time\": ");
	put_time(out, call->time_ns);
	strbuf_put(out, KEY("tsc"));
	strbuf_put_u64(out, call->tsc);
	strbuf_put(out, KEY("vcpu"));
	strbuf_put_u64(out, call->vcpu);
	strbuf_put(out, ", \"abi\": \"");
	strbuf_put(out, output_abi_name(call->abi));
	strbuf_put(out, "\", ");
	output_json_thread(out, &call->thread);
	strbuf_put(out, KEY("syscall"));
	put_text(out, call->syscall ? call->syscall->name : NULL);
	strbuf_put(out, KEY("nr"));
	put_known(out, call->nr_known, call->nr);
	strbuf_put(out, KEY("args"));
	put_args(out, call);
	call_put_fd_json(call, out);
	strbuf_put(out, KEY("ret"));
	if (call->ret_known)
		output_json_number(out, call->ret);
	else
		strbuf_put(out, "null");
	strbuf_put(out, KEY("error"));
	put_text(out, call_error_name(call));
	strbuf_put(out, KEY("duration_ns"));
	put_known(out, call->duration_ns >= 0, call->duration_ns);
	strbuf_put(out, ", \"state\": \"");
	strbuf_put(out, states[call->state]);
	strbuf_put_char(out, '"');
	if (call->interrupted)
		strbuf_put(out, ", \"interrupted\": true");
	if (call->signal) {
		strbuf_put(out, ", \"signal\": \"");
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
	strbuf_put(out, KEY("tsc"));
	strbuf_put_u64(out, item->gap_tsc);
	strbuf_put(out, KEY("vcpu"));
	strbuf_put_u64(out, item->gap_vcpu);
	strbuf_printf(out,
		      ", \"gap\": {\"lost_records\": %" PRIu64 ", \"first_seq\": %" PRIu64 ", \"first_tsc\": %" PRIu64
		      ", \"last_tsc\": %" PRIu64 ", \"first_time\": ",
		      (uint64_t)item->gap.lost_records, (uint64_t)item->gap.first_seq, (uint64_t)item->gap.first_tsc,
		      (uint64_t)item->gap.last_tsc);
	put_time(out, guest_clock_ns(clock, item->gap.first_tsc));
	strbuf_put(out, KEY("last_time"));
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
		strbuf_put_hex_bytes(out, bytes, fragment.len_bytes);
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
	strbuf_put(out, KEY("tsc"));
	strbuf_put_u64(out, view->header.tsc);
	strbuf_put(out, KEY("vcpu"));
	strbuf_put_u64(out, view->header.vcpu);
	strbuf_put(out, KEY("seq"));
	strbuf_put_u64(out, view->header.seq);
	strbuf_put(out, KEY("type"));
	put_text(out, output_type_name(view->header.type));
	strbuf_put(out, KEY("abi"));
	put_text(out, output_abi_name(view->header.abi));
	strbuf_put(out, KEY("via"));
	put_text(out, output_via_name(view->header.via));
	strbuf_put(out, KEY("flags"));
	strbuf_put_u64(out, view->header.flags);
	strbuf_put(out, ", ");
	output_json_thread(out, trap->thread);
	strbuf_put(out, KEY("syscall"));
	put_text(out, trap->call && trap->call->syscall ? trap->call->syscall->name : NULL);
	strbuf_put(out, KEY("nr"));
	put_known(out, trap->call && trap->call->nr_known, trap->call ? trap->call->nr : 0);
	strbuf_put(out, KEY("regs"));
	strbuf_put_char(out, '{');
	for (int reg = 0; reg < TRAP_REGS; reg++) {
		if (!trap_view_has(view, (enum trap_reg)reg))
			continue;
		strbuf_put(out, first ? "\"" : ", \"");
		strbuf_put(out, output_reg_name(reg));
		strbuf_put(out, "\": ");
		put_hex(out, view->regs[reg]);
		first = false;
	}
	strbuf_put_char(out, '}');
	put_body(out, view);
	strbuf_put(out, KEY("fragments"));
	put_fragments(out, view);
	strbuf_put(out, "}\n");
}
