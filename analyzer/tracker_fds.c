/* SPDX-License-Identifier: MIT */
/* What the tracker has followed of descriptors, and which plans leave calls out that change them. */
#include "tracker_private.h"

#include <errno.h>
#include <stdlib.h>

#include "plan.h"
#include "process_fds.h"

#define MAX_PLAN_ID 4096

/* A call that is not recorded, and may change what is followed here. */
static bool misses_call(struct tracker *t, const struct plan_call *skipped)
{
	const struct linux_guest *guest = session_guest(t->session);
	const struct linux_syscall *syscall;
	struct fd_call call;

	if (!(skipped->flags & PLAN_CALL_SKIP))
		return false;
	syscall = guest && skipped->abi < TRAP_ABIS ? linux_guest_syscall(guest, skipped->abi, skipped->nr)
						    : session_syscall(t->session, t->tsc, skipped->abi, skipped->nr);
	if (!syscall)
		return true;
	fd_call_of(syscall, &call);
	if (fd_call_is_receive(&call)) {
		process_fds_lose_links(t->processes);
		return false;
	}
	return fd_call_is_change(&call) || call_role_of(syscall->name) != CALL_ROLE_NONE;
}

/* A plan that leaves calls out, or can't be read: descriptors may be closed and opened unseen. */
static bool leaves_out(struct tracker *t, uint32_t plan_id)
{
	const uint16_t skips = PLAN_F_DEFAULT_SKIP | PLAN_F_SKIP_ENTER | PLAN_F_SKIP_EXIT;
	const struct plan_header *header;
	const void *plan;
	size_t size_bytes;

	if (tape_reader_plan(session_reader(t->session), plan_id, &plan, &size_bytes) || size_bytes < sizeof(*header))
		return true;
	header = plan_get_header(plan);
	if (header->flags & skips || header->nr_cr3 ||
	    size_bytes < sizeof(*header) + header->nr_calls * sizeof(struct plan_call))
		return true;
	for (unsigned i = 0; i < header->nr_calls; i++)
		if (misses_call(t, (const struct plan_call *)(header + 1) + i))
			return true;
	return false;
}

static void note_plan(struct tracker *t, const struct trap_view *view)
{
	struct trap_plan_change change;

	trap_view_plan(view, &change);
	/* Each vCPU has its own moment of the change. */
	if (tracker_any_leaves_out(t))
		process_fds_partial(t->processes, true, view->header.tsc);
	process_fds_partial(t->processes, leaves_out(t, change.plan_id), view->header.tsc);
}

bool tracker_any_leaves_out(struct tracker *t)
{
	const void *plan;
	size_t size_bytes;

	if (t->plans_seen)
		return t->any_leaves_out;
	t->plans_seen = true;
	t->any_leaves_out = false;
	for (uint32_t id = 0; id < MAX_PLAN_ID && !t->any_leaves_out; id++)
		t->any_leaves_out = tape_reader_plan(session_reader(t->session), id, &plan, &size_bytes) != -ENOENT &&
				    leaves_out(t, id);
	return t->any_leaves_out;
}

struct vmtape_error *tracker_want_fds(struct tracker *t)
{
	for (int abi = 0; abi < TRAP_ABIS; abi++) {
		t->fd_calls[abi] = calloc(TRACKER_FD_CALLS, sizeof(**t->fd_calls));
		t->fd_calls_known[abi] = calloc(TRACKER_FD_CALLS, 1);
		if (!t->fd_calls[abi] || !t->fd_calls_known[abi])
			return &vmtape_error_no_memory;
	}
	t->fd_guest = session_guest(t->session);
	t->fds_wanted = true;
	if (!process_fds_want(t->processes))
		return &vmtape_error_no_memory;
	process_fds_partial(t->processes, tracker_any_leaves_out(t), 0);
	/* vmtape cut -f keeps what tells of descriptors, but not what takes them from sockets */
	if (tape_reader_meta(session_reader(t->session), "cut_filter"))
		process_fds_lose_links(t->processes);
	return NULL;
}

const struct call_fds *tracker_fds(const struct tracker *t)
{
	return t->fds_wanted ? &t->fds : NULL;
}

static const struct fd_call *fd_call_at(struct tracker *t, uint8_t abi, uint32_t nr)
{
	if (abi >= TRAP_ABIS || nr >= TRACKER_FD_CALLS)
		return NULL;
	if (!t->fd_calls_known[abi][nr]) {
		const struct linux_syscall *syscall = session_syscall(t->session, t->tsc, abi, nr);

		fd_call_of(syscall, &t->fd_calls[abi][nr]);
		t->fd_calls_known[abi][nr] = syscall != NULL;
	}
	return &t->fd_calls[abi][nr];
}

/* May a record that names no thread be of a call that changes what is followed here? */
static bool may_change(struct tracker *t, const struct trap_view *view)
{
	bool is_enter = view->header.type == TRAP_ENTER;
	uint32_t nr = trap_syscall_nr(view->header.abi, view->regs[is_enter ? TRAP_REG_RAX : TRAP_REG_NR]);
	const struct linux_syscall *syscall = NULL;
	const struct fd_call *call = fd_call_at(t, view->header.abi, nr);

	if (call && (is_enter || trap_view_has(view, TRAP_REG_NR)))
		syscall = session_syscall(t->session, t->tsc, view->header.abi, nr);
	return !syscall || fd_call_is_change(call) || call_role_of(syscall->name) != CALL_ROLE_NONE;
}

void tracker_follow_fds(struct tracker *t, const struct trap_view *view)
{
	static const struct fd_call other = {.dirfd = -1, .path = -1, .flags = -1};
	const struct fd_call *call;

	call_fds_release(&t->fds);
	t->fds = (struct call_fds){0};
	/* The first plan of a recording knows no threads yet: whose descriptors these are, nothing tells. */
	if ((view->header.type == TRAP_ENTER || view->header.type == TRAP_EXIT) && !view->regs[TRAP_REG_TASK] &&
	    may_change(t, view))
		process_fds_unattributed(t->processes);
	if (view->header.type == TRAP_ENTER) {
		call = fd_call_at(t, view->header.abi, trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_RAX]));
		process_fds_enter(t->processes, view, call ? call : &other, &t->fds);
	} else if (view->header.type == TRAP_EXIT) {
		call = trap_view_has(view, TRAP_REG_NR)
			       ? fd_call_at(t, view->header.abi,
					    trap_syscall_nr(view->header.abi, view->regs[TRAP_REG_NR]))
			       : NULL;
		process_fds_exit(t->processes, view, call, &t->fds);
	} else if (view->header.type == TRAP_PLAN) {
		note_plan(t, view);
	}
}
