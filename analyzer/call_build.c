/* SPDX-License-Identifier: MIT */
/* From the records of an entry and an exit to a struct call: numbers, arguments, result, times. */
#include <stddef.h>
#include <string.h>

#include "call_stream.h"
#include "linux/arg_decode.h"

#define SYSCALL_BYTES      2 /* SYSCALL, SYSENTER and INT 0x80 alike */
#define ERESTARTSYS_RESULT (-512)
#define LAST_SIGNAL        64 /* Linux's _NSIG */

static const enum trap_reg x86_64_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX,
							      TRAP_REG_R10, TRAP_REG_R8,  TRAP_REG_R9};
static const enum trap_reg i386_args[LINUX_SYSCALL_ARGS] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX,
							    TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP};

static void take_args(struct call *call)
{
	const struct trap_view *enter = &call->enter;
	bool narrow = call->abi == TRAP_ABI_I386;

	call->args_known = true;
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		enum trap_reg reg = narrow ? i386_args[i] : x86_64_args[i];

		/* The 32-bit SYSCALL takes ECX for itself: its stub brings the second argument in EBP. */
		if (narrow && i == 1 && enter->header.via == TRAP_VIA_SYSCALL)
			reg = TRAP_REG_RBP;
		call->args[i] = narrow ? (uint32_t)enter->regs[reg] : enter->regs[reg];
		if (!trap_view_has(enter, reg) && (!call->syscall || i < call->syscall->nr_args))
			call->args_known = false;
	}
}

/*
 * What a diverted exit returned. An execve that went well starts a new program,
 * rt_sigreturn goes on where a signal had struck: RAX is the result as it
 * stands. A call that the kernel makes again returns to its own instruction.
 * Otherwise a handler runs, and the result lies in the frame on its stack.
 */
static void take_diverted_result(struct call *call)
{
	enum call_role role = call_role_of(call->syscall ? call->syscall->name : NULL);

	call->ret_known = role == CALL_ROLE_SIGRETURN || (role == CALL_ROLE_EXEC && call->ret == 0);
	if (call->ret_known)
		return;
	call->interrupted = true;
	if (call->has_enter && trap_view_has(&call->enter, TRAP_REG_RIP) &&
	    call->exit.regs[TRAP_REG_RIP] + SYSCALL_BYTES == call->enter.regs[TRAP_REG_RIP]) {
		call->ret = ERESTARTSYS_RESULT;
		call->ret_known = true;
		return;
	}
	call->ret_known = call_sigframe_result(call, &call->ret);
	/* The frame shows that it is a handler: RDI is its first argument. */
	if (call->ret_known && call->exit.regs[TRAP_REG_RDI] <= LAST_SIGNAL)
		call->signal = (uint8_t)call->exit.regs[TRAP_REG_RDI];
}

static void take_result(struct call *call)
{
	uint64_t rax = call->exit.regs[TRAP_REG_RAX];

	if (!trap_view_has(&call->exit, TRAP_REG_RAX))
		return;
	call->ret = call->abi == TRAP_ABI_I386 ? (int32_t)(uint32_t)rax : (int64_t)rax;
	if (call->exit.header.flags & TRAP_F_DIVERTED)
		take_diverted_result(call);
	else
		call->ret_known = true;
}

void call_build(struct call *out, struct session *session, enum call_state state, const struct trap_view *enter,
		const struct trap_view *exit, const struct call_thread *thread, bool uncertain)
{
	const struct trap_view *first = enter ? enter : exit;
	const struct guest_clock *clock = session_clock(session);

	/* The views may be the call's own, and are large. */
	memset(out, 0, offsetof(struct call, enter));
	out->state = state;
	out->abi = first->header.abi;
	out->vcpu = first->header.vcpu;
	out->tsc = first->header.tsc;
	out->time_ns = guest_clock_ns(clock, out->tsc);
	out->duration_ns = -1;
	out->thread = *thread;
	out->uncertain = uncertain;
	out->has_enter = enter;
	out->has_exit = exit;
	if (!enter)
		memset(&out->enter, 0, sizeof(out->enter));
	else if (enter != &out->enter)
		out->enter = *enter;
	if (!exit)
		memset(&out->exit, 0, sizeof(out->exit));
	else if (exit != &out->exit)
		out->exit = *exit;
	if (enter) {
		out->nr_known = trap_view_has(enter, TRAP_REG_RAX);
		out->nr = trap_syscall_nr(out->abi, enter->regs[TRAP_REG_RAX]);
	} else {
		out->nr_known = trap_view_has(exit, TRAP_REG_NR);
		out->nr = trap_syscall_nr(out->abi, exit->regs[TRAP_REG_NR]);
	}
	if (out->nr_known)
		out->syscall = session_syscall(session, out->tsc, out->abi, out->nr);
	if (enter)
		take_args(out);
	if (!exit)
		return;
	out->end_tsc = exit->header.tsc;
	if (enter)
		out->duration_ns = guest_clock_duration_ns(clock, out->tsc, out->end_tsc);
	take_result(out);
}
