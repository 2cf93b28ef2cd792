/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * plan_abi.h - binary encoding of a capture plan: what a producer copies of
 * guest memory at each trap. Shared by kernel, QEMU and user space.
 *
 * A plan is one block: struct plan_header, then nr_calls struct plan_call
 * sorted by (abi, nr) without repeats, then nr_steps struct plan_step, then
 * nr_cr3 __u64 (address spaces to record; none: all). size_bytes is exactly
 * their sum. No loops and no jumps; plan_validate() in plan_exec.h is the one
 * judge of what is valid.
 */
#ifndef PLAN_ABI_H
#define PLAN_ABI_H

#include <linux/types.h>

#define PLAN_MAGIC   0x4e4c5054u /* "TPLN" */
#define PLAN_VERSION 1

#define PLAN_MAX_CALLS        2048
#define PLAN_MAX_STEPS        8192
#define PLAN_MAX_CR3          256
#define PLAN_MAX_CALL_STEPS   16   /* in one range */
#define PLAN_MAX_RECORD_BYTES 4096 /* default; a plan may ask for up to TRAP_RECORD_MAX_BYTES / 2 */
#define PLAN_MAX_ITEMS        64   /* strings of an array, iovecs */

/* A run of steps. count 0: none. */
struct plan_range {
	__u16 first;
	__u16 count;
};

/*
 * How to find who runs: the task word is the 8 bytes at base register + offset,
 * the id word the 8 bytes at task word + id_offset; both are kernel reads.
 * A kernel read uses CR3 & kernel_cr3_mask | kernel_cr3_set (Linux PTI: clears bits 11 and 12).
 */
#define PLAN_TASK_VALID    0x01
#define PLAN_TASK_ID_VALID 0x02
struct plan_task {
	__u8 flags;
	__u8 base; /* enum trap_reg: KERNEL_GS_BASE (the kernel's own, while user mode's is active) */
	__u16 reserved;
	__s32 id_offset;
	__s64 offset;
	__u64 kernel_cr3_mask;
	__u64 kernel_cr3_set;
};

/* plan_header.flags */
#define PLAN_F_DEFAULT_SKIP 0x01 /* calls that are not in the table are not recorded */
#define PLAN_F_SKIP_ENTER   0x02 /* direction filter, for all calls */
#define PLAN_F_SKIP_EXIT    0x04

struct plan_header {
	__u32 magic;
	__u16 version;
	__u16 flags;
	__u32 size_bytes;
	__u32 plan_id; /* chosen by who compiled it; repeated in TRAP_PLAN records */
	__u16 nr_calls;
	__u16 nr_steps;
	__u16 nr_cr3;
	__u16 max_record_bytes;
	__u32 enter_regs; /* registers of enter records: bits of enum trap_reg; the producer adds TASK, TASK_ID */
	__u32 exit_regs;
	struct plan_task task;
	struct plan_range identity;      /* run when the task or id word changed, and after PLAN_CALL_IDENTITY */
	struct plan_range diverted;      /* run, besides the call's own, at exits with TRAP_F_DIVERTED */
	struct plan_range default_enter; /* for calls that are not in the table */
	struct plan_range default_exit;
};

/* plan_call.flags */
#define PLAN_CALL_SKIP      0x01 /* record neither entry nor exit */
#define PLAN_CALL_IDENTITY  0x02 /* changes who a task is: identity record before its exit record */
#define PLAN_CALL_NO_RETURN 0x04 /* never returns (exit): keep no open call, forget who runs */

struct plan_call {
	__u32 nr; /* low 32 bits of RAX; x32: without bit 30 */
	__u8 abi; /* enum trap_abi */
	__u8 flags;
	__u16 reserved;
	struct plan_range enter;
	struct plan_range exit;
};

enum plan_op {
	PLAN_OP_VALUE = 1,   /* read len (1, 2, 4, 8) bytes as a number for later steps; no fragment */
	PLAN_OP_BYTES = 2,   /* fragment of len bytes */
	PLAN_OP_STRING = 3,  /* fragment up to NUL, at most cap */
	PLAN_OP_STRINGS = 4, /* array of pointers up to NULL or max_items: its own fragment, then one string each */
	PLAN_OP_IOVEC = 5,   /* array of {pointer, length}: its own fragment, then one of data each */
	PLAN_OPS
};

/*
 * Where a step's address and length come from: a register (enum trap_reg) or an
 * earlier step's value. At exit, argument registers have their values of the
 * entry; only RAX is the result.
 */
#define PLAN_SRC_VALUE 0x40 /* | index, within the range, of an earlier PLAN_OP_VALUE step */
#define PLAN_SRC_CONST 0xff /* len_from only: length is len */

/* plan_step.flags */
#define PLAN_STEP_KERNEL   0x01 /* kernel address, read with the kernel's CR3 */
#define PLAN_STEP_AGAIN    0x02 /* entry: if not present, read again at exit */
#define PLAN_STEP_IF_OK    0x04 /* exit: only if the result is no error (not in -4095..-1) */
#define PLAN_STEP_QUIET    0x08 /* no fragment when nothing could be read */
#define PLAN_STEP_LEN32    0x10 /* length source: low 32 bits, signed; negative is 0 */
#define PLAN_STEP_PTR32    0x20 /* pointers and sizes in memory are 4 bytes; address source: low 32 bits */
#define PLAN_STEP_DIVERTED 0x40 /* exit: only if it is diverted, TRAP_F_DIVERTED */

/*
 * length = len_from == PLAN_SRC_CONST ? len : source * len; at most cap bytes
 * are taken (STRINGS, IOVEC: cap for each item, max_items items).
 */
struct plan_step {
	__u8 op;
	__u8 flags;
	__u8 base;
	__u8 len_from;
	__s32 offset;
	__u32 len;
	__u16 cap;
	__u8 max_items;
	__u8 label; /* goes into the fragment; meaning is the analyzer's: enum plan_label */
};

/* What the analyzer calls its steps; a producer only copies it. */
enum plan_label {
	PLAN_LABEL_ARG0 = 0,   /* 0-5: what argument n points at */
	PLAN_LABEL_DEEP0 = 16, /* 16-21: what lies behind a pointer inside that */
	PLAN_LABEL_RET = 32,   /* what the result points at */
	PLAN_LABEL_COMM = 48,
	PLAN_LABEL_PARENT, /* id word of the parent process */
	PLAN_LABEL_START_TIME,
	PLAN_LABEL_SIGFRAME, /* user stack at a diverted exit */
	PLAN_LABEL_MM,
	PLAN_LABEL_EXE,
};

#endif
