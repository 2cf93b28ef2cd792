/* SPDX-License-Identifier: MIT */
/*
 * processes.h - who runs in the guest: the table of its threads, from
 * snapshots, identity records and the calls that change it (fork, exec, exit,
 * wait). What is not known stays unknown. All strings live as long as the
 * table. Feed it in order of time; one thread an object.
 */
#ifndef PROCESSES_H
#define PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "pairing.h"

struct process_thread {
	uint64_t task; /* 0: known by its parent's clone only, it has not run yet */
	int32_t pid, tid;
	int32_t ppid; /* -1: not known; 0: none */
	char comm[16 + 1];
	const char *exe; /* "": not known, or none */
	/* "": not known. Where descriptors are followed only: process_fds_want(). */
	const char *cmdline, *container;
	uint32_t pidns, child_pidns; /* its own, and that of what it forks; 0: not known */
	uint64_t start_ns;           /* since the guest's boot; 0: not known */
	uint64_t cr3;                /* of a snapshot; 0: not known, or kernel thread */
	uint32_t uid;
	bool uid_known;
	bool kernel_thread;
	bool zombie;
	bool subreaper;
	bool in_call; /* between entry and exit of call_nr */
	bool trapped; /* has made a call since it is known */
	uint8_t call_abi;
	uint32_t call_nr;
	uint64_t first_tsc; /* when the table got to know it */
};

struct processes;

/* gone (may be NULL): this thread has ended; called before it is forgotten. */
struct vmtape_error *processes_create(struct processes **out, void (*gone)(void *ctx, uint64_t task), void *ctx);
void processes_destroy(struct processes *processes);
/* User CR3 & mask is the CR3 that linux_task gives: linux_guest_facts.kernel_cr3_mask. */
void processes_set_cr3_mask(struct processes *processes, uint64_t mask);

/* An executable as the kernel knows it: its struct path, and the last name of it. */
struct process_exe {
	uint64_t mnt, dentry;
	char name[64 + 1];
};
/* Finds its path in the memory of about that time; false: not to be found. */
typedef bool process_exe_fn(void *ctx, uint64_t tsc, const struct process_exe *exe, char *out, size_t size_bytes);
void processes_set_exe(struct processes *processes, process_exe_fn *find, void *ctx);

/* ---- records --------------------------------------------------------- */

/* Before a record's call is attributed: who runs. Takes every type of record. */
struct vmtape_error *processes_before(struct processes *processes, const struct trap_view *view);
/* What was known may be outdated: of what happened up to until_tsc, something is missing. */
void processes_doubt(struct processes *processes, uint64_t until_tsc);
/* After it: what the call did, by its role (of the call that the record begins or ends). */
struct vmtape_error *processes_after(struct processes *processes, const struct trap_view *view, enum call_role role);

/* ---- snapshots ------------------------------------------------------- */

/* The kernel's list at a moment that the records fed so far lead up to: begin, each task, end. */
void processes_snapshot_begin(struct processes *processes, uint64_t tsc);
struct vmtape_error *processes_snapshot_add(struct processes *processes, const struct linux_task *task);
/* whole: the list had an end; threads that are not on it are gone. */
void processes_snapshot_end(struct processes *processes, bool whole);
/* A task of a later snapshot: tells what records alone do not, once that thread shows up. */
struct vmtape_error *processes_hint(struct processes *processes, const struct linux_task *task);

/* ---- answers --------------------------------------------------------- */

/* Who made this record, as far as known; never fails. */
void processes_identify(struct processes *processes, const struct trap_view *view, struct call_thread *out);
/* NULL: none. Valid until the table changes. */
const struct process_thread *processes_by_tid(const struct processes *processes, int32_t tid);
/* Process id of the parent now: its new one, if its own has ended. */
int32_t processes_parent(const struct processes *processes, const struct process_thread *thread);
/* Some program, command line or directory had no room any more, and is shown as not known. */
bool processes_are_full(const struct processes *processes);
size_t processes_count(const struct processes *processes);
void processes_each(const struct processes *processes, void (*each)(void *ctx, const struct process_thread *thread),
		    void *ctx);

#endif
