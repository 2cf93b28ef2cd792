/* SPDX-License-Identifier: MIT */
/*
 * semantics.h - what each argument of a Linux system call means: one table, by
 * name, over defaults that follow from the C types of the guest's own metadata.
 * The capture plan and the decoder both read it. All of it is constant data.
 */
#ifndef SEMANTICS_H
#define SEMANTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "name_set.h"

enum arg_kind {
	ARG_DEFAULT = 0, /* by the guest's type */

	ARG_HIDDEN, /* strace leaves it out */

	/* numbers; nothing behind them */
	ARG_INT,     /* 32 bits, signed */
	ARG_UINT,    /* 32 bits */
	ARG_LONG,    /* word, signed */
	ARG_ULONG,   /* word */
	ARG_HEX,     /* word: "0", "0x1f" */
	ARG_HEX32,   /* 32 bits: "0", "0x1f" */
	ARG_ADDRESS, /* word: "NULL", "0x7f…" */
	ARG_FD,
	ARG_DIRFD,
	ARG_ID,        /* uid, gid: -1 is no change */
	ARG_MODE,      /* permissions in octal */
	ARG_FMODE,     /* with the file's type */
	ARG_IPC_FLAGS, /* names, then permissions */
	ARG_DEVICE,    /* makedev(…) */
	ARG_SIGNAL,
	ARG_NAME,        /* one of names */
	ARG_FLAGS,       /* a sum of names */
	ARG_CLONE_FLAGS, /* with the signal of the child's end in the lowest byte */
	ARG_IOCTL,
	ARG_OPTION_NAME, /* of the socket level in argument 1 */
	ARG_PROTOCOL,    /* of the family in argument 0 */
	ARG_HANDLER,     /* of a signal */
	ARG_OLD_SIGSET,  /* 32 signals */
	ARG_WIDE,        /* 64 bits, signed, in x32's calls too */
	ARG_PAIR,        /* 64 bits: this argument, and the next as the high half */
	ARG_PAIR_HIGH,   /* … this one is the high half */
	ARG_PAIR_FLAGS,  /* a sum of names */
	ARG_PAGES,       /* as bytes: "0x1000" */
	ARG_QUOTA,       /* QCMD(command, type) */
	ARG_PRIORITY,    /* IOPRIO_PRIO_VALUE(class, data) */

	ARG_POINTERS,              /* kinds from here on are pointers to something that is captured */
	ARG_STRING = ARG_POINTERS, /* up to NUL */
	ARG_BUFFER,                /* bytes, as a string; the length is in len */
	ARG_STRINGS,               /* argv */
	ARG_ENVIRON,
	ARG_IOVEC,   /* len: number of items; out: the result is the number of bytes */
	ARG_RECORD,  /* one struct of layout */
	ARG_RECORDS, /* array of layout; len: number of items */
	ARG_SOCKADDR,
	ARG_SOCKLEN, /* "[128 => 16]" */
	ARG_OPTION,  /* value of a socket option */
	ARG_SIGSET,
	ARG_SIGSET_PAIR, /* pselect6: address and size of a signal set */
	ARG_FDSET,       /* len: number of descriptors */
	ARG_CPUSET,
	ARG_MESSAGE, /* struct msghdr */
	ARG_DIRENTS,
	ARG_CLONE_ARGS,
	ARG_SIZED,          /* one struct of layout, as long as len says: a program may know a shorter or longer one */
	ARG_MESSAGES,       /* array of struct mmsghdr; len: number of items */
	ARG_QUEUED,         /* struct msgbuf: type and text; len: bytes of text */
	ARG_NODES,          /* set of memory nodes; len: their largest number + 1, in bits */
	ARG_CONTROL_BLOCKS, /* array of pointers to struct iocb; len: number of items */
};

enum arg_direction {
	ARG_IN = 1,
	ARG_OUT = 2,
	ARG_INOUT = 3,
};

/* What the result must be for an out argument to mean something. */
enum arg_when {
	ARG_WHEN_OK,
	ARG_WHEN_POSITIVE,
	ARG_WHEN_INTERRUPTED,
};

/* Where the length of a pointer's target comes from. */
enum arg_length {
	LEN_ARG0 = 0,  /* to 5: that argument, in bytes or items */
	LEN_RET = 8,   /* the result */
	LEN_AT = 16,   /* to 21: the 32-bit number that the argument points at */
	LEN_OWN0 = 24, /* the 32-bit number at the target's start */
	LEN_OWN4 = 25, /* … behind its first four bytes */
	LEN_NONE = 32,
};

struct record_layout;

struct arg_spec {
	uint8_t kind;      /* enum arg_kind */
	uint8_t direction; /* enum arg_direction, of pointers */
	uint8_t len;       /* enum arg_length */
	uint8_t when;      /* enum arg_when */
	const struct name_set *names;
	const struct record_layout *layout;
};

/* What the result is. */
enum ret_kind {
	RET_INT = 0,
	RET_ADDRESS,
	RET_OCTAL,
	RET_HEX,
	RET_FLAGS, /* "0x1 (flags FD_CLOEXEC)" */
	RET_SEALS, /* "0x2 (seals F_SEAL_SHRINK)" */
	RET_NAMES, /* "0x40000 (PER_LINUX|ADDR_NO_RANDOMIZE)" */
	RET_NAME,  /* "1 (SUID_DUMP_USER)" */
	RET_POLL,  /* with what is ready */
	RET_SELECT,
	RET_SIGNAL,
	RET_TIME,
	RET_PRIORITY, /* of ioprio_get */
	RET_HANDLER,
};

/* call_spec.flags */
#define CALL_F_NEW_IDENTITY 0x01 /* changes who the caller is, or makes a new task */
#define CALL_F_NO_RETURN    0x02
#define CALL_F_NEW_IMAGE    0x04 /* after success the arguments' memory is gone */
#define CALL_F_ODD_ON_I386  0x08 /* the 32-bit call has another list of arguments: show its numbers only */

/* Arguments that depend on the value of another: fcntl, ioctl, prctl, futex. */
#define VARIANT_ARGS 4
struct arg_variant {
	uint32_t value;
	uint8_t nr_args;
	uint8_t ret; /* enum ret_kind */
	const struct name_set *ret_names;
	struct arg_spec args[VARIANT_ARGS];
};

struct variant_set {
	uint8_t selector; /* number of the argument that decides */
	uint8_t at;       /* first of the arguments that it decides about */
	uint32_t mask;    /* of the selector's value */
	const struct arg_variant *variants;
	size_t n;
};

struct call_spec {
	const char *name;
	uint8_t flags;
	uint8_t ret; /* enum ret_kind */
	const struct name_set *ret_names;
	struct arg_spec args[LINUX_SYSCALL_ARGS];
	const struct variant_set *variants;
	int (*nr_shown)(const struct call *call); /* NULL: all */
};

/* By the name that user space uses; NULL: only types are known. */
const struct call_spec *call_spec_find(const char *name);
/* By name and ABI: 32-bit calls may have another list of arguments. syscall may be NULL. */
const struct call_spec *call_spec_of(const struct linux_syscall *syscall);
size_t call_spec_count(void);
const struct call_spec *call_spec_get(size_t index);

/* variants.c */
extern const struct variant_set variants_fcntl, variants_ioctl, variants_prctl, variants_futex, variants_arch_prctl,
	variants_epoll_ctl, variants_futex_time64, variants_ptrace;
/* variants_kernel.c */
extern const struct variant_set variants_bpf, variants_keyctl, variants_quotactl, variants_quotactl_fd,
	variants_seccomp, variants_landlock, variants_fsconfig, variants_shmctl, variants_msgctl, variants_semctl,
	variants_uring_register, variants_uring_enter;
/* semantics_kernel.c: the calls that are not in semantics.c */
extern const struct call_spec kernel_calls[];
extern const size_t nr_kernel_calls;
/* semantics_i386.c: names begin with "i386:" or "x32:" */
extern const struct call_spec i386_calls[];
extern const size_t nr_i386_calls;
/* NULL: the call has none, or none for this value. */
const struct arg_variant *call_variant(const struct call_spec *spec, const uint64_t *args);

/* Number of arguments: the guest's own, else what the table has. spec may be NULL. */
int call_spec_nr_args(const struct linux_syscall *syscall, const struct call_spec *spec);
/* By the C type alone. */
void arg_spec_by_type(const char *type_text, const char *name, struct arg_spec *out);
/* Meaning of argument i by table or type; variant may be NULL. */
void call_spec_arg(const struct linux_syscall *syscall, const struct call_spec *spec, const struct arg_variant *variant,
		   int i, struct arg_spec *out);

#endif
