/* SPDX-License-Identifier: MIT */
/* multiplexed.h - calls of 32-bit programs that stand for others: socketcall, ipc, old mmap and select. */
#ifndef MULTIPLEXED_H
#define MULTIPLEXED_H

#include "call.h"
#include "strbuf.h"

/* The call that this one stands for, with the same records; false: for none, or its arguments were not taken. */
bool multiplexed_inner(const struct call *call, struct call *out);
/* What socketcall(number, ...) stands for; NULL: nothing. */
#define MULTIPLEXED_SOCKET_CALLS 21u /* numbers below that */
const struct linux_syscall *multiplexed_socket_call(uint32_t number);
void multiplexed_args_text(const struct call *call, const struct call *inner, struct strbuf *out);

#endif
