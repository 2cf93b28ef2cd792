/* SPDX-License-Identifier: MIT */
/*
 * session.h - an opened tape with what is known of its guest: clock, memory at
 * each snapshot, and, once it is asked for, the operating system. One thread
 * an object; what is returned lives as long as the session, unless said otherwise.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "clock.h"
#include "linux/linux_guest.h"
#include "pairing.h"
#include "tape.h"

struct session_options {
	bool assume_linux; /* name the calls of an unknown guest by Linux's uapi numbers */
	FILE *log;         /* steps of the identification; NULL: none */
};

struct session;
struct vmtape_error *session_open(struct session **out, const char *path, const struct session_options *options);
/* The bytes must outlive the session. */
struct vmtape_error *session_open_memory(struct session **out, const void *data, size_t size_bytes,
					 const struct session_options *options);
void session_close(struct session *session);

struct tape_reader *session_reader(struct session *session);
const struct tape_info *session_info(const struct session *session);
const struct guest_clock *session_clock(const struct session *session);
/* Times of the first and last thing on the tape; -1: no clock. */
int64_t session_start_ns(const struct session *session);
int64_t session_end_ns(const struct session *session);

/*
 * Takes in what was written since; *more: anything. Indices of snapshots may have changed. A guest that is asked for
 * and not known is looked for in each snapshot that comes, and another one after a reset: what session_guest() and its
 * system calls returned before is then gone.
 */
struct vmtape_error *session_refresh(struct session *session, bool *more);
/* Snapshots that came since and were looked at in vain, or not. */
unsigned session_tries(const struct session *session);

/* ---- guest ----------------------------------------------------------- */

/*
 * Who the guest is, by the newest snapshot that tells; the first call does the
 * work. NULL: not identified, and session_guest_problem() says what was missing.
 */
const struct linux_guest *session_guest(struct session *session);
const struct vmtape_error *session_guest_problem(const struct session *session);
/* The snapshot that told. */
uint32_t session_guest_snapshot(const struct session *session);
/*
 * Was that guest running then? A reset brings another one with other addresses;
 * what lies between two boots' snapshots belongs to neither.
 */
bool session_guest_at(struct session *session, uint64_t tsc);
/* Boots that the snapshots show, told apart by where their kernel lies. */
unsigned session_boots(struct session *session);

/* Name and prototype of a call at that time; NULL: not known. */
const struct linux_syscall *session_syscall(struct session *session, uint64_t tsc, uint8_t abi, uint32_t nr);
/* The same as a role, cheap enough for each record. */
enum call_role session_role(struct session *session, uint64_t tsc, uint8_t abi, uint32_t nr);

/* ---- memory ---------------------------------------------------------- */

/* Last snapshot at or before tsc, or -1. */
int64_t session_snapshot_at(const struct session *session, uint64_t tsc);
/* The identified guest's tasks in that snapshot, if it was running then. */
struct vmtape_error *session_tasks(struct session *session, uint32_t snapshot,
				   void (*found)(void *ctx, const struct linux_task *task), void *ctx);
/* Runs fn with that snapshot's memory, if the identified guest was running then. */
struct vmtape_error *session_with_memory(struct session *session, uint32_t snapshot,
					 struct vmtape_error *(*fn)(void *ctx, const struct linux_guest *guest,
								    struct guest_memory *memory),
					 void *ctx);
/* Path of the executable by the snapshot after tsc, or else the one before; false: neither tells. */
bool session_exe_path(struct session *session, uint64_t tsc, gva_t mnt, gva_t dentry, char *out, size_t size_bytes);

#endif
