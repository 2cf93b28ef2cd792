/* SPDX-License-Identifier: MIT */
#include "arg_decode.h"

#include <string.h>

#include <linux/sched.h>

#include "arg_put.h"
#include "multiplexed.h"
#include "plan_abi.h"
#include "user_abi.h"

static const struct call_spec *spec_of(const struct call *call)
{
	return call_spec_of(call->syscall);
}

/* Its argument is no register, but the frame on the stack that it returns through. */
static bool is_sigreturn(const struct call *call)
{
	return call->syscall && call->abi == TRAP_ABI_X86_64 && !strcmp(call->syscall->name, "rt_sigreturn");
}

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

int call_nr_args(const struct call *call)
{
	if (is_sigreturn(call))
		return 1;
	return call_spec_nr_args(call->syscall, spec_of(call));
}

const char *call_arg_name(const struct call *call, int i)
{
	static const char *const unknown[LINUX_SYSCALL_ARGS] = {"arg0", "arg1", "arg2", "arg3", "arg4", "arg5"};
	const char *name = NULL;

	if (i < 0 || i >= LINUX_SYSCALL_ARGS)
		return "arg";
	if (is_sigreturn(call))
		return "frame";
	if (call->syscall && (call->syscall->nr_args < 0 || i < call->syscall->nr_args))
		name = call->syscall->arg_names[i];
	return name && name[0] ? name : unknown[i];
}

bool arg_context_init(struct arg_context *ctx, const struct call *call, int index, struct strbuf *out)
{
	memset(ctx, 0, sizeof(*ctx));
	if (!call->args_known || index < 0 || index >= call_nr_args(call))
		return false;
	ctx->call = call;
	ctx->spec = spec_of(call);
	ctx->variant = call_variant(ctx->spec, call->args);
	ctx->index = index;
	ctx->narrow = user_abi_is_narrow(call->abi, call->nr);
	ctx->out = out;
	call_spec_arg(call->syscall, ctx->spec, ctx->variant, index, &ctx->arg);
	return true;
}

/* Above the arguments that this case of the call looks at. */
static bool is_beyond(const struct arg_context *ctx)
{
	if (ctx->variant && ctx->index >= ctx->variant->nr_args)
		return true;
	return ctx->spec && ctx->spec->nr_shown && ctx->index >= ctx->spec->nr_shown(ctx->call);
}

static bool put_arg(struct arg_context *ctx)
{
	size_t len = ctx->out->len;

	if (ctx->arg.kind < ARG_POINTERS)
		return put_number_arg(ctx);
	if (arg_value(ctx) && put_pointer_arg(ctx))
		return true;
	/* a printer that gives up has put nothing; this is for those of tomorrow */
	if (ctx->out->len > len) {
		ctx->out->len = len;
		ctx->out->data[len] = '\0';
	}
	put_address(arg_value(ctx), ctx->out);
	return !arg_value(ctx);
}

bool call_arg_text(const struct call *call, int i, struct strbuf *out)
{
	struct arg_context ctx;
	struct call inner;

	if (call->has_enter && i == 0 && is_sigreturn(call))
		return sigreturn_mask(call, out);
	if (!arg_context_init(&ctx, call, i, out)) {
		strbuf_put_char(out, '?');
		return false;
	}
	/* the arguments of the call that this one stands for are behind its last */
	if (i == call_nr_args(call) - 1 && multiplexed_inner(call, &inner)) {
		strbuf_put_char(out, '[');
		call_args_text(&inner, out);
		strbuf_put_char(out, ']');
		return true;
	}
	if (is_beyond(&ctx))
		ctx.arg.kind = ARG_HIDDEN;
	return put_arg(&ctx);
}

/* clone's arguments have names and another order in strace's account. */
static void put_clone_args(const struct call *call, struct strbuf *out)
{
	bool narrow = call->abi == TRAP_ABI_I386;
	int tls = narrow ? 3 : 4, child = narrow ? 4 : 3;
	uint64_t flags = call->args[0];
	struct arg_context ctx;

	strbuf_put(out, "child_stack=");
	put_address(call->args[1], out);
	strbuf_put(out, ", flags=");
	call_arg_text(call, 0, out);
	if (flags & (CLONE_PARENT_SETTID | CLONE_PIDFD) && arg_context_init(&ctx, call, 2, out)) {
		strbuf_put(out, ", parent_tid=");
		put_arg(&ctx);
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

void call_args_text(const struct call *call, struct strbuf *out)
{
	struct call inner;
	bool any = false;

	if (is_sigreturn(call)) {
		call_arg_text(call, 0, out);
		return;
	}
	if (!call->args_known) {
		strbuf_put_char(out, '?');
		return;
	}
	if (multiplexed_inner(call, &inner)) {
		multiplexed_args_text(call, &inner, out);
		return;
	}
	if (call->syscall && !strcmp(call->syscall->name, "clone")) {
		put_clone_args(call, out);
		return;
	}
	for (int i = 0; i < call_nr_args(call); i++) {
		struct arg_context ctx;

		if (!arg_context_init(&ctx, call, i, out) || ctx.arg.kind == ARG_HIDDEN || is_beyond(&ctx))
			continue;
		if (any)
			strbuf_put(out, ", ");
		any = true;
		ctx.brief = true;
		put_arg(&ctx);
	}
}
