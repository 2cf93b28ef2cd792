/* SPDX-License-Identifier: MIT */
/*
 * arg_spec.h - what one argument of a system call means, and what a call's name
 * says of all of them: looked up once for a guest's call, not at each event.
 */
#ifndef ARG_SPEC_H
#define ARG_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#define LINUX_SYSCALL_ARGS 6

struct call_spec;
struct name_set;
struct record_layout;

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

struct arg_spec {
	uint8_t kind;      /* enum arg_kind */
	uint8_t direction; /* enum arg_direction, of pointers */
	uint8_t len;       /* enum arg_length */
	uint8_t when;      /* enum arg_when */
	const struct name_set *names;
	const struct record_layout *layout;
};

/* Calls that are not shown as their list of arguments says. */
enum call_oddity {
	ODDITY_NONE,
	ODDITY_SIGRETURN, /* its argument is the frame on the stack */
	ODDITY_CLONE,     /* arguments with names, in another order */
	/* calls of i386 that stand for another, which a number, or memory, says */
	ODDITY_SOCKETCALL,
	ODDITY_IPC,
	ODDITY_OLD_MMAP,
	ODDITY_OLD_SELECT,
};

/* An argument's C type as a number. */
enum arg_width {
	WIDTH_POINTER,
	WIDTH_WORD,
	WIDTH_S32,
	WIDTH_U32,
	WIDTH_U16,
};

struct call_meaning {
	bool settled;
	uint8_t nr_args;
	uint8_t oddity;                           /* enum call_oddity */
	uint8_t named_again;                      /* a bit for each argument that has an earlier one's name */
	uint8_t widths[LINUX_SYSCALL_ARGS];       /* enum arg_width */
	uint8_t name_bytes[LINUX_SYSCALL_ARGS];   /* length of the name; 0: none, or JSON must escape it */
	const struct call_spec *spec;             /* NULL: only types are known */
	struct arg_spec args[LINUX_SYSCALL_ARGS]; /* where no variant says otherwise */
};

#endif
