/* SPDX-License-Identifier: MIT */
/*
 * pairing.h - which exit belongs to which entry. A call is its thread's (the
 * task word), never its vCPU's. Where the producer had no task word, address
 * space and stack pointer stand in for it, which is a guess: see
 * pairing_guesses(). Calls are numbered in order of entry; an exit without
 * entry takes a number of its own. One thread an object.
 */
#ifndef PAIRING_H
#define PAIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

/* What pairing must know of a call by its name. */
enum call_role {
	CALL_ROLE_NONE,
	CALL_ROLE_EXIT,       /* ends the thread; never returns */
	CALL_ROLE_EXIT_GROUP, /* ends the process; never returns */
	CALL_ROLE_EXEC,       /* on success, the thread goes on as leader of its process */
	CALL_ROLE_SIGRETURN,  /* returns to what a signal had interrupted */
	CALL_ROLE_FORK,       /* returns the new thread's id */
	CALL_ROLE_WAIT4,
	CALL_ROLE_WAITID,
	CALL_ROLE_PRCTL,
};
enum call_role call_role_of(const char *name); /* NULL: CALL_ROLE_NONE */

struct pairing_end {
	enum call_state state;
	bool uncertain;               /* a gap lies between entry and end */
	const struct trap_view *exit; /* NULL unless complete */
};

struct pairing_sink {
	/* The record is only lent. */
	void (*begin)(void *ctx, uint64_t call, const struct trap_view *enter);
	void (*end)(void *ctx, uint64_t call, const struct pairing_end *end);
	void (*exit_only)(void *ctx, uint64_t call, const struct trap_view *exit);
	enum call_role (*role)(void *ctx, uint8_t abi, uint32_t nr);
	void *ctx;
};

struct pairing;
struct vmtape_error *pairing_create(struct pairing **out, const struct pairing_sink *sink);
void pairing_destroy(struct pairing *pairing);

/* Records in order of time. TRAP_ENTER, TRAP_EXIT and TRAP_GAP count, others are passed over. */
struct vmtape_error *pairing_feed(struct pairing *pairing, const struct trap_view *view);
/* This TRAP_EXIT, if it is fed next, ends the open call of the thread whose task word it has. */
bool pairing_is_end(struct pairing *pairing, const struct trap_view *exit);
/* The thread is known to be gone: its open call has no exit. */
void pairing_end_task(struct pairing *pairing, uint64_t task);
/* End of tape: what is open stays open. */
void pairing_finish(struct pairing *pairing);
/* A number for something else that is shown among the calls. */
uint64_t pairing_take_number(struct pairing *pairing);

/* The open call of this task; false: none. */
struct pairing_open {
	uint64_t tsc;
	uint32_t nr;
	uint8_t abi;
};
bool pairing_open_call(const struct pairing *pairing, uint64_t task, struct pairing_open *out);

/* Calls whose pairing had no task word to go by. */
uint64_t pairing_guesses(const struct pairing *pairing);

/* Number of a call: low 32 bits, without x32's bit. */
static inline uint32_t trap_syscall_nr(uint8_t abi, uint64_t rax)
{
	return (uint32_t)rax & (abi == TRAP_ABI_X32 ? ~(1u << 30) : ~0u);
}

#endif
