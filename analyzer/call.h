/* SPDX-License-Identifier: MIT */
/*
 * call.h - one system call: its entry and exit joined, who made it, when. What
 * pairing makes and what decoding and output read. Valid until the next call is
 * asked for, unless said otherwise.
 */
#ifndef CALL_H
#define CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "call_fds.h"
#include "linux/linux_guest.h"
#include "trap_record.h"

enum call_state {
	CALL_COMPLETE,  /* entry and exit seen */
	CALL_NO_EXIT,   /* left another way: exit, exec in another thread, killed */
	CALL_OPEN,      /* the tape ended first */
	CALL_EXIT_ONLY, /* entered before the tape, or its entry was lost */
};

/* A process or thread as known at the time of the call; unknown fields are -1, 0 or empty. */
struct call_thread {
	uint64_t task; /* plan's task word; 0: the tape has none */
	int32_t pid;   /* process id (tgid); -1: not known */
	int32_t tid;   /* -1: not known */
	int32_t ppid;
	char comm[16 + 1];
	const char *exe; /* "" : not known */
	bool uncertain;  /* a gap came between, nothing has confirmed it since */
	/* NULL or "": not known. Where descriptors are followed only, but for uid. */
	const char *cwd, *cmdline, *container;
	uint32_t pidns; /* 0: not known */
	uint32_t uid;
	bool uid_known;
	bool cwd_uncertain;
};

struct call {
	uint8_t abi;
	bool nr_known;
	uint32_t nr;
	const struct linux_syscall *syscall; /* NULL: guest unknown, or no such call */
	uint64_t args[LINUX_SYSCALL_ARGS];   /* by the ABI's registers; 32-bit ABIs: zero-extended */
	bool args_known;
	bool ret_known;
	int64_t ret; /* sign-extended by ABI */
	enum call_state state;
	bool interrupted; /* exit was diverted to a signal handler; ret is from its frame if known */
	uint8_t signal;   /* of that handler, by the guest's number; 0: not known */
	bool uncertain;   /* records were lost between entry and end: the end may be another call's */
	bool has_enter, has_exit;
	uint64_t tsc;        /* of the entry, or of the exit if there is no entry */
	uint64_t end_tsc;    /* of the exit; 0: none */
	int64_t time_ns;     /* UTC, since 1970; -1: the tape has no clock pair */
	int64_t duration_ns; /* -1: not known */
	uint16_t vcpu;       /* of the entry, or of the exit if there is no entry */
	struct call_thread thread;
	const struct call_fds *fds; /* NULL: not followed */
	bool show_fds;              /* text: names behind descriptors */
	struct trap_view enter, exit;
};

#endif
