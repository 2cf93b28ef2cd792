/* SPDX-License-Identifier: MIT */
/*
 * process_fds.h - descriptors and directories of the guest's threads, followed
 * from call to call and healed by snapshots. A fact that a lost record may have
 * outdated is uncertain until something tells again. Private to process*.c and
 * the tracker; off until process_fds_want().
 */
#ifndef PROCESS_FDS_H
#define PROCESS_FDS_H

#include "call_fds.h"
#include "fd_calls.h"
#include "fd_table.h"
#include "processes.h"

struct fd_thread;

/* Before the first record. false: no memory. */
bool process_fds_want(struct processes *p);
void process_fds_deinit(struct processes *p);
/* Not every call is recorded from tsc on: nothing is sure. Nor is what was told until then, if all are recorded again.
 */
void process_fds_partial(struct processes *p, bool partial, uint64_t tsc);

/* A call that may change descriptors, of a thread that is not known: nothing that was told until now is sure. */
void process_fds_unattributed(struct processes *p);

/* Calls are not recorded that take what sockets carry: fd_call_is_receive(). */
void process_fds_lose_links(struct processes *p);

/* What a call that enters or ends does. out is filled: its references are the caller's. */
void process_fds_enter(struct processes *p, const struct trap_view *view, const struct fd_call *call,
		       struct call_fds *out);
void process_fds_exit(struct processes *p, const struct trap_view *view, const struct fd_call *call,
		      struct call_fds *out);

/* ---- what the process table tells of (i: thread) ----------------------- */

/* It has run for the first time; its parent, by its thread id, may be in the fork that made it. */
void process_fds_born(struct processes *p, uint32_t i, int32_t parent_tid);
/* The fork of thread i has returned this child. */
void process_fds_forked(struct processes *p, uint32_t i, uint32_t child);
void process_fds_executed(struct processes *p, uint32_t i);
void process_fds_gone(struct processes *p, uint32_t i);

/* ---- snapshots --------------------------------------------------------- */

/* The task's descriptors and directories, as the guest's memory has them. */
struct linux_state;
struct vmtape_error *process_fds_snapshot(struct processes *p, struct linux_state *state,
					  const struct linux_task *task);
void process_fds_snapshot_begin(struct processes *p);
/* whole: the list had an end. */
void process_fds_snapshot_end(struct processes *p, bool whole);

/* ---- answers ------------------------------------------------------------ */

struct process_fd {
	int32_t fd;
	struct fd_object *object; /* lent */
	bool cloexec, uncertain;
};
void process_fds_each(const struct processes *p, int32_t tid, void (*each)(void *ctx, const struct process_fd *fd),
		      void *ctx);
/* "": not known. */
const char *process_fds_cwd(const struct processes *p, int32_t tid, bool *uncertain);

#endif
