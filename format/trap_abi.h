/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * trap_abi.h - the ring and the raw record that a producer (patched QEMU,
 * patched KVM) hands to a recorder, and that a tape keeps.
 *
 * Shared by kernel, QEMU and user space: fixed-width types, little-endian,
 * natural alignment, no pointers. All sizes are in bytes. The producer trusts
 * nothing that the consumer can write, and the consumer checks every size,
 * type and length before it believes them.
 */
#ifndef TRAP_ABI_H
#define TRAP_ABI_H

#include <linux/types.h>

#define TRAP_ABI_VERSION 1

/*
 * Ring: one a vCPU, one file descriptor each.
 *
 *   0                 struct trap_ring_producer   written by the producer only
 *   TRAP_RING_PAGE    struct trap_ring_consumer   written by the consumer only
 *   2*TRAP_RING_PAGE  data, data_bytes long, a power of two
 *
 * head and tail are free-running byte positions; the record at position p
 * starts at data + (p & (data_bytes - 1)). A record never wraps: where it does
 * not fit before the end of the data, a TRAP_PAD record fills the rest.
 */
#define TRAP_RING_PAGE      4096u
#define TRAP_RING_MAGIC     0x31474e5250415254ull /* "TRAPRNG1" */
#define TRAP_RING_MIN_BYTES (64u << 10)
#define TRAP_RING_MAX_BYTES (1u << 30)

struct trap_ring_producer {
	__u64 magic;
	__u32 version; /* TRAP_ABI_VERSION */
	__u32 vcpu;
	__u64 data_bytes;
	__u64 watermark_bytes; /* the data eventfd is signalled at this fill, or little above it */
	__u64 reserved[4];
	/* release store after the record is whole; pairs with the consumer's acquire load */
	__u64 head __attribute__((aligned(64)));
	__u64 next_seq;     /* number that the next record will get */
	__u64 lost_records; /* since the ring was made */
	__u64 blocked_ns;   /* time that the guest waited for room */
	__u32 waiting;      /* the producer sleeps until tail moves */
	__u32 reserved2;
};

struct trap_ring_consumer {
	/* release store after the records are copied out; pairs with the producer's acquire load */
	__u64 tail;
};

enum trap_type {
	TRAP_PAD = 0,      /* filler up to the end of the data: only size_bytes and type */
	TRAP_ENTER = 1,    /* a system call begins */
	TRAP_EXIT = 2,     /* a system call ends */
	TRAP_IDENTITY = 3, /* who runs on this vCPU from here on */
	TRAP_GAP = 4,      /* struct trap_gap: records were lost before this one */
	TRAP_MARK = 5,     /* struct trap_mark: a snapshot was taken here */
	TRAP_PLAN = 6,     /* struct trap_plan_change: another plan from here on */
	TRAP_TYPES
};

enum trap_abi {
	TRAP_ABI_X86_64 = 0,
	TRAP_ABI_X32 = 1, /* 64-bit entry, bit 30 of the number is set */
	TRAP_ABI_I386 = 2,
	TRAP_ABIS
};

/* The instruction that entered or left the kernel. */
enum trap_via {
	TRAP_VIA_NONE = 0,
	TRAP_VIA_SYSCALL = 1,
	TRAP_VIA_SYSRET = 2,
	TRAP_VIA_SYSENTER = 3,
	TRAP_VIA_SYSEXIT = 4,
	TRAP_VIA_INT80 = 5,
	TRAP_VIA_IRET = 6,
	TRAP_VIAS
};

/* trap_record.flags */
#define TRAP_F_CPL0     0x01 /* SYSCALL executed at CPL 0 */
#define TRAP_F_DIVERTED 0x02 /* exit to another RIP than the one behind the call: signal, exec, sigreturn */
#define TRAP_F_UNPAIRED 0x04 /* exit whose entry the producer did not see; TRAP_REG_NR is absent */
#define TRAP_F_CUT      0x08 /* the record reached its size limit; later fragments were left out */

/*
 * Registers of a record, in the order of the bits of reg_mask. 0 to 15 are
 * numbered as x86 encodes them. RIP of an enter record is the address of the
 * instruction behind the one that trapped, so that it equals RIP of its exit.
 */
enum trap_reg {
	TRAP_REG_RAX = 0,
	TRAP_REG_RCX,
	TRAP_REG_RDX,
	TRAP_REG_RBX,
	TRAP_REG_RSP,
	TRAP_REG_RBP,
	TRAP_REG_RSI,
	TRAP_REG_RDI,
	TRAP_REG_R8,
	TRAP_REG_R9,
	TRAP_REG_R10,
	TRAP_REG_R11,
	TRAP_REG_R12,
	TRAP_REG_R13,
	TRAP_REG_R14,
	TRAP_REG_R15,
	TRAP_REG_RIP,
	TRAP_REG_RFLAGS,
	TRAP_REG_CR3,
	TRAP_REG_FS_BASE,
	TRAP_REG_GS_BASE,
	TRAP_REG_KERNEL_GS_BASE,
	TRAP_REG_TASK,    /* plan's task word: what identifies the thread (Linux: task_struct) */
	TRAP_REG_TASK_ID, /* plan's id word at the task (Linux: pid | tgid << 32) */
	TRAP_REG_NR,      /* exit: RAX at the entry that this exit ends */
	TRAP_REGS
};

/*
 * A record: this header, then the registers of reg_mask (8 bytes each, lowest
 * bit first), then nr_fragments times struct trap_fragment. TRAP_GAP, TRAP_MARK
 * and TRAP_PLAN have reg_mask 0, no fragments, and their body behind the header.
 */
struct trap_record {
	__u32 size_bytes; /* whole record, a multiple of 8 */
	__u8 type;        /* enum trap_type */
	__u8 abi;         /* enum trap_abi */
	__u8 via;         /* enum trap_via */
	__u8 flags;       /* TRAP_F_* */
	__u16 vcpu;
	__u16 nr_fragments;
	__u32 reg_mask;
	__u64 seq; /* a vCPU's records, lost ones too, are numbered from 0 without a hole; TRAP_PAD has none */
	__u64 tsc; /* guest's TSC; TRAP_GAP: of the first lost record */
};

#define TRAP_RECORD_MAX_BYTES 65536u

enum trap_fragment_status {
	TRAP_FRAG_WHOLE = 0,         /* all that was asked for */
	TRAP_FRAG_CUT = 1,           /* cut at the cap of the step or of the record */
	TRAP_FRAG_NOT_PRESENT = 2,   /* a page was not mapped; bytes holds what lies before it */
	TRAP_FRAG_NOT_CANONICAL = 3, /* not a user (or, for kernel reads, kernel) address */
	TRAP_FRAG_STATUSES
};
#define TRAP_FRAG_AGAIN 0x80 /* or'ed to status: an entry step, read again at exit */

/* A piece of guest memory; len_bytes bytes follow, padded with zeros to 8. */
struct trap_fragment {
	__u64 gva;
	__u32 want_bytes; /* asked for, before any cap; strings: 0 when the end was not seen */
	__u16 len_bytes;  /* taken; a string without its NUL */
	__u8 status;      /* enum trap_fragment_status, TRAP_FRAG_AGAIN */
	__u8 label;       /* of the plan step that asked: plan_abi.h */
};

struct trap_gap {
	__u64 lost_records;
	__u64 first_seq;
	__u64 first_tsc; /* of the first lost record */
	__u64 last_tsc;  /* of the last lost record */
};

struct trap_mark {
	__u64 snapshot_id;
	__u64 realtime_ns; /* host's CLOCK_REALTIME at the mark's tsc */
};

struct trap_plan_change {
	__u32 plan_id;
	__u32 reserved;
};

#endif
