/* SPDX-License-Identifier: MIT */
/* What a call returned, as strace prints it behind the "=". */
#include <string.h>
#include <time.h>

#include "arg_decode.h"
#include "arg_put.h"
#include "multiplexed.h"
#include "plan_abi.h"
#include "ret_names.h"
#include "user_abi.h"

#define LAST_ERRNO 4095

const char *call_error_name(const struct call *call)
{
	if (!call->ret_known || call->ret >= 0 || call->ret < -LAST_ERRNO)
		return NULL;
	return linux_errno_name((int)-call->ret);
}

static void put_error(int number, struct strbuf *out)
{
	const char *name = linux_errno_name(number), *text = errno_text(number);

	strbuf_put(out, errno_is_restart(number) ? "? " : "-1 ");
	if (name)
		strbuf_put(out, name);
	else
		strbuf_printf(out, "(errno %d)", number);
	if (name && text) {
		strbuf_put(out, " (");
		strbuf_put(out, text);
		strbuf_put_char(out, ')');
	}
}

static void put_hex_or_zero(uint64_t value, struct strbuf *out)
{
	if (value)
		strbuf_put_hex(out, value);
	else
		strbuf_put_char(out, '0');
}

static void put_flags(const char *prefix, const struct name_set *names, uint64_t value, bool zero_too,
		      struct strbuf *out)
{
	put_hex_or_zero(value, out);
	if (!value && !zero_too)
		return;
	strbuf_printf(out, " (%s", prefix);
	name_set_put_flags(names, value, out);
	strbuf_put_char(out, ')');
}

static void put_named(const struct name_set *names, int64_t value, struct strbuf *out)
{
	const char *name = name_set_find(names, (uint64_t)value);

	strbuf_put_i64(out, value);
	if (name)
		strbuf_printf(out, " (%s)", name);
}

/* "(Timeout)", "([{fd=3, revents=POLLIN}], left {…})" */
struct ready {
	const struct call *call;
	struct strbuf *out;
	bool any;
};

static void put_separator(struct ready *r)
{
	strbuf_put(r->out, r->any ? ", " : " (");
	r->any = true;
}

static bool select_arg(const struct ready *r, struct arg_context *ctx, struct call_meaning *scratch, int index)
{
	arg_context_begin(ctx, r->call, scratch, r->out);
	return arg_context_select(ctx, index);
}

static void put_left(struct ready *r, int index)
{
	struct call_meaning scratch;
	struct arg_context ctx;
	struct captured piece;
	struct record_reader reader = {0};

	if (!select_arg(r, &ctx, &scratch, index) || ctx.arg.kind != ARG_RECORD || !arg_value(&ctx) ||
	    !arg_piece(&ctx, CAPTURED_AFTER, &piece) || piece.len < record_size(ctx.arg.layout, ctx.narrow))
		return;
	put_separator(r);
	strbuf_put(r->out, "left ");
	reader = (struct record_reader){.data = piece.data, .len = piece.len, .narrow = ctx.narrow};
	record_put(ctx.arg.layout, &reader, r->out);
}

#define POLLFD_BYTES 8

static void put_ready_poll(struct ready *r)
{
	struct call_meaning scratch;
	struct arg_context ctx;
	struct captured piece;
	uint64_t items;
	bool any = false;

	if (!select_arg(r, &ctx, &scratch, 0) || !arg_length(&ctx, &items) ||
	    !arg_piece(&ctx, CAPTURED_AFTER, &piece) || piece.len / POLLFD_BYTES < items)
		return;
	put_separator(r);
	strbuf_put_char(r->out, '[');
	for (uint64_t i = 0; i < items; i++) {
		struct record_reader reader = {.data = piece.data, .len = piece.len, .at = (size_t)i * POLLFD_BYTES};
		int32_t fd = (int32_t)read_u32(&reader);
		uint16_t events;

		read_u16(&reader);
		events = read_u16(&reader);
		if (!events)
			continue;
		strbuf_printf(r->out, "%s{fd=%d, revents=", any ? ", " : "", fd);
		name_set_put_flags(&names_poll_events, events, r->out);
		strbuf_put_char(r->out, '}');
		any = true;
	}
	strbuf_put_char(r->out, ']');
}

static bool set_is_empty(const struct captured *piece, uint64_t count)
{
	for (uint64_t fd = 0; fd < count && fd / 8 < piece->len; fd++) {
		if (piece->data[fd / 8] >> fd % 8 & 1)
			return false;
	}
	return true;
}

static void put_ready_sets(struct ready *r)
{
	static const char *const names[] = {"in ", "out ", "except "};
	uint64_t count = (uint32_t)r->call->args[0];

	for (int i = 0; i < 3; i++) {
		struct call_meaning scratch;
		struct arg_context ctx;
		struct captured piece;

		if (!select_arg(r, &ctx, &scratch, i + 1) || ctx.arg.kind != ARG_FDSET || !arg_value(&ctx) ||
		    !arg_piece(&ctx, CAPTURED_AFTER, &piece) || piece.len < (count + 7) / 8 ||
		    set_is_empty(&piece, count))
			continue;
		put_separator(r);
		strbuf_put(r->out, names[i]);
		put_fd_set(&piece, count, r->out);
	}
}

static void put_ready(const struct call *call, enum ret_kind kind, struct strbuf *out)
{
	struct ready r = {.call = call, .out = out};

	strbuf_put_i64(out, call->ret);
	if (!call->ret) {
		strbuf_put(out, " (Timeout)");
		return;
	}
	if (kind == RET_POLL) {
		put_ready_poll(&r);
		put_left(&r, 2);
	} else {
		put_ready_sets(&r);
		put_left(&r, 4);
	}
	if (r.any)
		strbuf_put_char(out, ')');
}

static void put_when(int64_t seconds, struct strbuf *out)
{
	time_t when = seconds;
	struct tm tm;
	char text[64];

	strbuf_put_i64(out, seconds);
	if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+0000", &tm))
		strbuf_printf(out, " (%s)", text);
}

static void put_result(const struct call *call, enum ret_kind kind, const struct name_set *names, struct strbuf *out)
{
	uint64_t value = call->abi == TRAP_ABI_I386 ? (uint32_t)call->ret : (uint64_t)call->ret;

	switch (kind) {
	case RET_ADDRESS:
	case RET_HEX:
		if (kind == RET_ADDRESS)
			put_address(value, out);
		else
			put_hex_or_zero(value, out);
		break;
	case RET_OCTAL:
		put_octal((uint32_t)value, out);
		break;
	case RET_FLAGS:
		put_flags("flags ", names, value, name_set_find(names, 0), out);
		break;
	case RET_SEALS:
		put_flags("seals ", names, value, false, out);
		break;
	case RET_NAMES:
		put_flags("", names, value, names->enum_mask, out);
		break;
	case RET_NAME:
		put_named(names, call->ret, out);
		break;
	case RET_SIGNAL:
		strbuf_put_i64(out, call->ret);
		if (!call->ret)
			break;
		strbuf_put(out, " (");
		if (!signal_name_put((uint32_t)call->ret, out))
			strbuf_put_i64(out, call->ret);
		strbuf_put_char(out, ')');
		break;
	case RET_POLL:
	case RET_SELECT:
		put_ready(call, kind, out);
		break;
	case RET_HANDLER:
		put_hex_or_zero(value, out);
		strbuf_put(out, " (");
		put_handler(value, out);
		strbuf_put_char(out, ')');
		break;
	case RET_PRIORITY:
		strbuf_put_i64(out, call->ret);
		strbuf_put(out, " (");
		put_io_priority(value, out);
		strbuf_put_char(out, ')');
		break;
	case RET_TIME:
		put_when(call->ret, out);
		break;
	default:
		strbuf_put_i64(out, call->ret);
		break;
	}
}

void call_ret_text(const struct call *call, struct strbuf *out)
{
	const struct call_meaning *meaning;
	const struct arg_variant *variant;
	const struct call_spec *spec;
	struct call_meaning scratch;
	struct call inner;

	meaning = call_meaning_of(call->syscall, &scratch);
	spec = meaning->spec;
	/* ipc/syscall.c: ipc(SHMAT) returns 0 and writes the address to where its third argument points */
	if (meaning->oddity >= ODDITY_SOCKETCALL && multiplexed_inner(call, &inner) &&
	    strcmp(inner.syscall->name, "shmat")) {
		call = &inner;
		spec = call_spec_of(call->syscall);
	}
	if (!call->ret_known) {
		strbuf_put_char(out, '?');
		return;
	}
	if (call->ret < 0 && call->ret >= -LAST_ERRNO) {
		put_error((int)-call->ret, out);
		return;
	}
	variant = call->args_known ? call_variant(spec, call->args) : NULL;
	if (variant && variant->ret)
		put_result(call, (enum ret_kind)variant->ret, variant->ret_names, out);
	else if (spec)
		put_result(call, (enum ret_kind)spec->ret, spec->ret_names, out);
	else
		strbuf_put_i64(out, call->ret);
}

static uint64_t frame_reg(const struct captured *frame, enum user_frame_reg reg)
{
	struct record_reader r = {.data = frame->data, .len = frame->len, .at = USER_FRAME_REG((size_t)reg)};

	return read_u64(&r);
}

#define USER_CS       0x33u /* arch/x86/include/asm/segment.h: __USER_CS */
#define SYSCALL_BYTES 2

bool call_sigframe_result(const struct call *call, int64_t *ret)
{
	struct captured frame;
	uint64_t rip, entry;

	if (!call->has_exit || call->exit.header.abi != TRAP_ABI_X86_64 ||
	    !captured_find(call, CAPTURED_AFTER, PLAN_LABEL_SIGFRAME, call->exit.regs[TRAP_REG_RSP], &frame) ||
	    frame.len < USER_FRAME_REG((size_t)USER_FRAME_CS) + 8)
		return false;
	if ((uint16_t)frame_reg(&frame, USER_FRAME_CS) != USER_CS)
		return false;
	/* SYSCALL left the address behind it in RCX; RIP is that, or back at the instruction to make the call again. */
	rip = frame_reg(&frame, USER_FRAME_RIP);
	entry = frame_reg(&frame, USER_FRAME_RCX);
	if (call->has_enter && trap_view_has(&call->enter, TRAP_REG_RIP))
		entry = call->enter.regs[TRAP_REG_RIP];
	if (rip == entry - SYSCALL_BYTES) {
		*ret = -512; /* ERESTARTSYS: the handler allows that the call be made again */
		return true;
	}
	if (rip != entry)
		return false;
	*ret = (int64_t)frame_reg(&frame, USER_FRAME_RAX);
	return true;
}
