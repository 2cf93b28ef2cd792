/* SPDX-License-Identifier: MIT */
/*
 * arg_decode.h - what a Linux system call's arguments and result mean, and what
 * a capture plan must take for it: one table of meanings (linux/semantics.c)
 * over the types that the guest's own metadata gives drives both. Nothing here
 * keeps anything between calls: any number of threads may decode at once.
 */
#ifndef ARG_DECODE_H
#define ARG_DECODE_H

#include "call.h"
#include "plan.h"
#include "strbuf.h"

/* Number of arguments to show. */
int call_nr_args(const struct call *call);
/* "dfd"; never NULL ("arg0" where it is not known). */
const char *call_arg_name(const struct call *call, int i);
/*
 * Text as strace prints it: AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC,
 * {tv_sec=1, tv_nsec=0}, 0x7ffc… for what was not captured. Guest bytes are
 * escaped. true: the text says more than the bare number.
 */
bool call_arg_text(const struct call *call, int i, struct strbuf *out);
/* The same, but nothing is put for the bare number. */
bool call_arg_more(const struct call *call, int i, struct strbuf *out);
/*
 * A buffer that was read from, or written to, a descriptor that carries structs (inotify, fanotify, signalfd, eventfd,
 * timerfd), as a list of these: "[{wd=1, mask=IN_CREATE, cookie=0, name=\"a\"}]". Needs call->fds. false: nothing put.
 */
bool call_arg_records(const struct call *call, int i, struct strbuf *out);
/*
 * What strace prints between the parentheses: without the arguments that this
 * case of the call does not look at, long structs and environments abbreviated.
 */
void call_args_text(const struct call *call, struct strbuf *out);
/* "3", "0x7f…", "-1 ENOENT (No such file or directory)", "?" */
void call_ret_text(const struct call *call, struct strbuf *out);
/* "ENOENT" or NULL if the call did not fail or its result is not known. */
const char *call_error_name(const struct call *call);
const char *linux_errno_name(int number);
/*
 * Result of a call whose exit went to a signal handler, from the handler's frame;
 * -512 (ERESTARTSYS) if the call will be made again. false: not to be seen.
 */
bool call_sigframe_result(const struct call *call, int64_t *ret);

/* What of the calls a plan is to record; all zero: everything. */
struct linux_plan_choice {
	bool (*wants)(void *ctx, const struct linux_syscall *syscall); /* NULL: every call */
	void *ctx;
	uint16_t flags; /* PLAN_F_SKIP_ENTER, PLAN_F_SKIP_EXIT */
};
/* Compile the capture plan for this guest; both x86-64 and i386 tables. The caller frees *plan. */
struct vmtape_error *linux_plan_compile(const struct linux_guest *guest, uint32_t plan_id,
					const struct linux_plan_choice *choice, void **plan, size_t *size_bytes);

#endif
