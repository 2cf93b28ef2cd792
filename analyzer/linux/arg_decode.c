/* SPDX-License-Identifier: MIT */
#include "arg_decode.h"

#include <string.h>

#include <linux/sched.h>

#include "arg_put.h"
#include "multiplexed.h"
#include "plan_abi.h"
#include "user_abi.h"

static bool sigreturn_mask(const struct call *call, struct strbuf *out)
{
	uint64_t gva = call->enter.regs[TRAP_REG_RSP] + USER_UCONTEXT_SIGMASK;
	struct captured piece;
	struct record_reader r;

	if (!captured_find(call, CAPTURED_BEFORE, PLAN_LABEL_ARG0, gva, &piece) || piece.len < 8)
		return false;
	r = (struct record_reader){.data = piece.data, .len = piece.len};
	strbuf_put(out, "{mask=");
	signal_set_put(read_u64(&r), out);
	strbuf_put_char(out, '}');
	return true;
}

static int nr_args(const struct call_meaning *meaning)
{
	return meaning->oddity == ODDITY_SIGRETURN ? 1 : meaning->nr_args;
}

int call_nr_args(const struct call *call)
{
	struct call_meaning scratch;

	return nr_args(call_meaning_of(call->syscall, &scratch));
}

const char *call_arg_name(const struct call *call, int i)
{
	static const char *const unknown[LINUX_SYSCALL_ARGS] = {"arg0", "arg1", "arg2", "arg3", "arg4", "arg5"};
	struct call_meaning scratch;
	const char *name = NULL;

	if (i < 0 || i >= LINUX_SYSCALL_ARGS)
		return "arg";
	if (call_meaning_of(call->syscall, &scratch)->oddity == ODDITY_SIGRETURN)
		return "frame";
	if (call->syscall && (call->syscall->nr_args < 0 || i < call->syscall->nr_args))
		name = call->syscall->arg_names[i];
	return name && name[0] ? name : unknown[i];
}

void arg_context_begin(struct arg_context *ctx, const struct call *call, struct call_meaning *scratch,
		       struct strbuf *out)
{
	ctx->call = call;
	ctx->meaning = call_meaning_of(call->syscall, scratch);
	ctx->spec = ctx->meaning->spec;
	ctx->variant = call_variant(ctx->spec, call->args);
	ctx->index = -1;
	ctx->narrow = user_abi_is_narrow(call->abi, call->nr);
	ctx->brief = false;
	ctx->out = out;
}

bool arg_context_select(struct arg_context *ctx, int index)
{
	if (!ctx->call->args_known || index < 0 || index >= nr_args(ctx->meaning))
		return false;
	ctx->index = index;
	if (ctx->variant)
		call_spec_arg(ctx->call->syscall, ctx->spec, ctx->variant, index, &ctx->arg);
	else
		ctx->arg = ctx->meaning->args[index];
	return true;
}

/* How many arguments this case of the call looks at. */
static int nr_looked_at(const struct arg_context *ctx)
{
	int n = LINUX_SYSCALL_ARGS, shown;

	if (ctx->variant)
		n = ctx->variant->nr_args;
	if (!ctx->spec || !ctx->spec->nr_shown)
		return n;
	shown = ctx->spec->nr_shown(ctx->call);
	return shown < n ? shown : n;
}

static bool put_arg(struct arg_context *ctx)
{
	size_t len = ctx->out->len;

	if (ctx->arg.kind < ARG_POINTERS)
		return put_number_arg(ctx);
	if (arg_value(ctx) && put_pointer_arg(ctx))
		return true;
	/* a printer that gives up has put nothing; this is for those of tomorrow */
	strbuf_cut(ctx->out, len);
	put_address(arg_value(ctx), ctx->out);
	return !arg_value(ctx);
}

/* The same for all calls: what it shows is the number alone. */
static bool is_bare_number(const struct arg_context *ctx)
{
	switch ((enum arg_kind)ctx->arg.kind) {
	case ARG_INT:
	case ARG_UINT:
	case ARG_LONG:
	case ARG_ULONG:
	case ARG_HEX:
	case ARG_HEX32:
	case ARG_FD:
	case ARG_ID:
	case ARG_WIDE:
	case ARG_PAGES:
	case ARG_HIDDEN:
		return true;
	default:
		return false;
	}
}

static bool put_arg_text(const struct call *call, int i, bool only_more, struct strbuf *out)
{
	struct call_meaning scratch;
	struct arg_context ctx;
	struct call inner;

	arg_context_begin(&ctx, call, &scratch, out);
	if (call->has_enter && i == 0 && ctx.meaning->oddity == ODDITY_SIGRETURN)
		return sigreturn_mask(call, out);
	if (!arg_context_select(&ctx, i)) {
		strbuf_put_char(out, '?');
		return false;
	}
	/* the arguments of the call that this one stands for are behind its last */
	if (ctx.meaning->oddity >= ODDITY_SOCKETCALL && i == nr_args(ctx.meaning) - 1 &&
	    multiplexed_inner(call, &inner)) {
		strbuf_put_char(out, '[');
		call_args_text(&inner, out);
		strbuf_put_char(out, ']');
		return true;
	}
	if (i >= nr_looked_at(&ctx))
		ctx.arg.kind = ARG_HIDDEN;
	return (only_more && is_bare_number(&ctx)) ? false : put_arg(&ctx);
}

bool call_arg_text(const struct call *call, int i, struct strbuf *out)
{
	return put_arg_text(call, i, false, out);
}

bool call_arg_more(const struct call *call, int i, struct strbuf *out)
{
	size_t len = out->len;

	if (put_arg_text(call, i, true, out))
		return true;
	strbuf_cut(out, len);
	return false;
}

bool call_arg_records(const struct call *call, int i, struct strbuf *out)
{
	struct call_meaning scratch;
	struct arg_context ctx;

	if (i != 1 || !call_has_fd_records(call))
		return false;
	arg_context_begin(&ctx, call, &scratch, out);
	return arg_context_select(&ctx, i) && put_buffer_records(&ctx);
}

/* clone's arguments have names and another order in strace's account. */
static void put_clone_args(struct arg_context *ctx)
{
	const struct call *call = ctx->call;
	bool narrow = call->abi == TRAP_ABI_I386;
	int tls = narrow ? 3 : 4, child = narrow ? 4 : 3;
	uint64_t flags = call->args[0];
	struct strbuf *out = ctx->out;

	strbuf_put(out, "child_stack=");
	put_address(call->args[1], out);
	strbuf_put(out, ", flags=");
	call_arg_text(call, 0, out);
	if (flags & (CLONE_PARENT_SETTID | CLONE_PIDFD) && arg_context_select(ctx, 2)) {
		strbuf_put(out, ", parent_tid=");
		put_arg(ctx);
	}
	if (flags & CLONE_SETTLS) {
		strbuf_put(out, ", tls=");
		put_address(call->args[tls], out);
	}
	if (flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID)) {
		strbuf_put(out, ", child_tidptr=");
		put_address(call->args[child], out);
	}
}

/* true: it was such a call. */
static bool put_odd_args(struct arg_context *ctx)
{
	const struct call *call = ctx->call;
	struct call inner;

	if (ctx->meaning->oddity == ODDITY_SIGRETURN) {
		call_arg_text(call, 0, ctx->out);
		return true;
	}
	if (!call->args_known)
		return false;
	if (ctx->meaning->oddity == ODDITY_CLONE) {
		put_clone_args(ctx);
		return true;
	}
	if (!multiplexed_inner(call, &inner))
		return false;
	multiplexed_args_text(call, &inner, ctx->out);
	return true;
}

void call_args_text(const struct call *call, struct strbuf *out)
{
	struct call_meaning scratch;
	struct arg_context ctx;
	bool any = false;
	int n;

	arg_context_begin(&ctx, call, &scratch, out);
	if (ctx.meaning->oddity && put_odd_args(&ctx))
		return;
	if (!call->args_known) {
		strbuf_put_char(out, '?');
		return;
	}
	n = nr_looked_at(&ctx);
	if (n > ctx.meaning->nr_args)
		n = ctx.meaning->nr_args;
	ctx.brief = true;
	for (int i = 0; i < n; i++) {
		if (!arg_context_select(&ctx, i) || ctx.arg.kind == ARG_HIDDEN)
			continue;
		if (any)
			strbuf_put(out, ", ");
		any = true;
		put_arg(&ctx);
	}
}
