/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "arg_plain.h"
#include "call_fd_text.h"
#include "filter.h"
#include "linux/arg_decode.h"
#include "linux/name_set.h"
#include "output/output.h"

void output_put_thread(struct strbuf *out, const struct call_thread *thread, uint64_t cr3)
{
	if (thread->comm[0])
		strbuf_put_escaped(out, thread->comm, strlen(thread->comm));
	if (!thread->comm[0] || thread->uncertain)
		strbuf_put_char(out, '?');
	strbuf_put_char(out, '[');
	if (thread->pid >= 0) {
		strbuf_put_i64(out, thread->pid);
	} else if (cr3) {
		strbuf_put(out, "cr3=");
		strbuf_put_hex(out, cr3 & UINT64_C(0x000ffffffffff000));
	} else {
		strbuf_put_char(out, '?');
	}
	if (thread->tid != thread->pid && thread->pid >= 0) {
		strbuf_put_char(out, '/');
		if (thread->tid >= 0)
			strbuf_put_i64(out, thread->tid);
		else
			strbuf_put_char(out, '?');
	}
	strbuf_put_char(out, ']');
}

/* Seconds with six digits, as strace -T has them; more digits would pretend. */
static void put_duration(struct strbuf *out, int64_t ns)
{
	strbuf_put_i64(out, ns / 1000000000);
	strbuf_put_char(out, '.');
	strbuf_put_padded(out, (uint64_t)(ns % 1000000000 / 1000), 6);
}

void output_text_call(struct strbuf *out, const struct call *call, const struct output_options *options)
{
	uint64_t cr3 = call->has_enter ? call->enter.regs[TRAP_REG_CR3] : call->exit.regs[TRAP_REG_CR3];
	const struct terminal *terminal = &options->terminal;
	char buffer[32];
	const char *name = call_shown_name(call, buffer, sizeof(buffer));
	bool failed = terminal->color && call_error_name(call);

	terminal_style(terminal, out, STYLE_FAINT);
	time_put_clock(out, call->time_ns, options->local);
	terminal_plain(terminal, out);
	strbuf_put_char(out, ' ');
	terminal_style(terminal, out, STYLE_NAME);
	output_put_thread(out, &call->thread, cr3);
	terminal_plain(terminal, out);
	strbuf_put_char(out, ' ');
	if (call->state == CALL_EXIT_ONLY)
		strbuf_put(out, "<... ");
	strbuf_put(out, name);
	if (call->abi != TRAP_ABI_X86_64) {
		strbuf_put_char(out, '/');
		strbuf_put(out, output_abi_name(call->abi));
	}
	if (call->state == CALL_EXIT_ONLY) {
		strbuf_put(out, " resumed>");
	} else {
		strbuf_put_char(out, '(');
		call_shown_arg_list(call, out);
	}
	strbuf_put_char(out, ')');
	if (call->state == CALL_OPEN) {
		strbuf_put(out, " <unfinished ...>");
	} else {
		strbuf_put(out, " = ");
		if (call->ret_known) {
			if (failed)
				terminal_style(terminal, out, STYLE_ERROR);
			call_ret_text(call, out);
			if (failed)
				terminal_plain(terminal, out);
			call_put_fd_name(call, CALL_FDS_RET, out);
		} else {
			strbuf_put_char(out, '?');
		}
	}
	if (call->interrupted) {
		strbuf_put(out, " <interrupted");
		if (call->signal) {
			strbuf_put(out, " by ");
			signal_name_put(call->signal, out);
		}
		strbuf_put_char(out, '>');
	}
	if (call->duration_ns >= 0) {
		strbuf_put(out, " <");
		put_duration(out, call->duration_ns);
		strbuf_put_char(out, '>');
	}
	if (call->uncertain)
		strbuf_put(out, " <uncertain>");
	strbuf_put_char(out, '\n');
}

void output_text_gap(struct strbuf *out, const struct call_item *item, const struct guest_clock *clock,
		     const struct output_options *options)
{
	terminal_style(&options->terminal, out, STYLE_ERROR);
	time_put_clock(out, guest_clock_ns(clock, item->gap_tsc), options->local);
	strbuf_printf(out, " --- %" PRIu64 " record%s lost on vCPU %u", (uint64_t)item->gap.lost_records,
		      item->gap.lost_records == 1 ? "" : "s", item->gap_vcpu);
	if (guest_clock_ns(clock, item->gap.first_tsc) >= 0) {
		strbuf_put(out, ", ");
		time_put_clock(out, guest_clock_ns(clock, item->gap.first_tsc), options->local);
		strbuf_put(out, " to ");
		time_put_clock(out, guest_clock_ns(clock, item->gap.last_tsc), options->local);
	}
	strbuf_put(out, " ---");
	terminal_plain(&options->terminal, out);
	strbuf_put_char(out, '\n');
}
