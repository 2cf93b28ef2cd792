/* SPDX-License-Identifier: MIT */
/* user_abi.h - offsets of the kernel's user ABI on x86 that both the capture plan and the decoder go by. */
#ifndef USER_ABI_H
#define USER_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trap_abi.h"

/*
 * Pointers and words in the call's structs are 32 bits wide: i386's all; x32's
 * where the call has a number of its own, from 512 on
 * (arch/x86/entry/syscalls/syscall_64.tbl). x32's times and offsets in files are
 * 64 bits wide even there: its entries in semantics_i386.c say so.
 */
#define X32_FIRST_OWN_NR 512u
static inline bool user_abi_is_narrow(uint8_t abi, uint32_t nr)
{
	return abi == TRAP_ABI_I386 || (abi == TRAP_ABI_X32 && nr >= X32_FIRST_OWN_NR);
}

#define USER_COMM_BYTES 16 /* linux/sched.h: TASK_COMM_LEN, of prctl(PR_GET_NAME) */

/* linux/sched.h: struct clone_args */
#define CLONE_ARGS_BYTES      88
#define CLONE_ARGS_PIDFD      8
#define CLONE_ARGS_PARENT_TID 24

/* struct msghdr */
struct user_msghdr {
	uint8_t size_bytes, name, name_len, iov, iov_len, control, control_len, flags;
};

static inline const struct user_msghdr *user_msghdr(bool narrow)
{
	static const struct user_msghdr wide = {56, 0, 8, 16, 24, 32, 40, 48}, small = {28, 0, 4, 8, 12, 16, 20, 24};

	return narrow ? &small : &wide;
}

/*
 * x86-64 signal frame (arch/x86/include/asm/sigframe.h: struct rt_sigframe): return
 * address, then struct ucontext {flags, link, stack_t, struct sigcontext, mask}.
 * A handler starts with RSP at the frame; in rt_sigreturn it is at the ucontext.
 */
#define USER_FRAME_UCONTEXT   8
#define USER_UCONTEXT_REGS    40 /* uapi/asm/sigcontext.h: r8-r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags, cs… */
#define USER_UCONTEXT_SIGMASK 296
#define USER_FRAME_REG(index) (USER_FRAME_UCONTEXT + USER_UCONTEXT_REGS + (index)*8)
enum user_frame_reg {
	USER_FRAME_RDI = 8,
	USER_FRAME_RAX = 13,
	USER_FRAME_RCX = 14,
	USER_FRAME_RSP = 15,
	USER_FRAME_RIP = 16,
	USER_FRAME_CS = 18,
};

#define USER_STACK_ARGV 8 /* from RSP of a new 64-bit program: argc, then argv and NULL */

#endif
