/* SPDX-License-Identifier: MIT */
/* Numbers of descriptors: what is put there, copied and closed, and what other threads did to it meanwhile. */
#include <fcntl.h>

#include "process_fds_private.h"

#define CLOSE_RANGE_UNSHARE_ 2
#define CLOSE_RANGE_CLOEXEC_ 4

/*
 * Since this call began, another one that was seen to end has been given the same number, and as a close counts from
 * its beginning, the number is still that one's: this call's was closed before. So it was if a close of an unknown
 * number may have been of this one; or that was another file, and this one is still open.
 */
static bool was_taken_again(struct processes *p, const struct fd_thread *t, int64_t fd, bool *unsure)
{
	struct fd_slot *slot = fd_table_slot(t->files, fd);
	bool closed;

	if (t->files != t->files_then || t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3)
		return false;
	closed = fd_table_may_be_closed(t->files, fd, t->files_seq);
	*unsure |= closed;
	if (!slot || slot->seq <= t->files_seq)
		return false;
	/* what closed it was not seen: then which of them is the later one is not known either */
	if (!closed)
		slot->confirmed = fd_gaps(p) - 1;
	return true;
}

void process_fd_set(struct processes *p, struct fd_thread *t, int64_t fd, struct fd_file *file, bool cloexec,
		    bool unsure, uint64_t tsc)
{
	uint32_t confirmed = fd_confirmed(p, tsc);

	if (file && was_taken_again(p, t, fd, &unsure)) {
		fd_file_release(file);
		return;
	}
	/* others, whose table it may not be after all, are to see it as unsure, too */
	unsure |= t->guessed && t->files->refs > 1;
	if (!file) {
		fd_table_clear(t->files, fd);
		return;
	}
	fd_table_set(&p->fds->room, t->files, fd, file, cloexec, unsure ? fd_gaps(p) - 1 : confirmed);
}

bool process_fd_cloexec(const struct fd_thread *t)
{
	const struct fd_call *call = t->call;

	return call->cloexec == UINT32_MAX || t->how_flags & O_CLOEXEC ||
	       (call->flags >= 0 && t->args[call->flags] & call->cloexec);
}

void process_fd_close_range(struct processes *p, struct fd_thread *t, bool at_exit)
{
	uint64_t first = (uint32_t)t->args[0], last = (uint32_t)t->args[1], flags = t->args[2];

	/* in a table of its own, which it has once the call has gone well */
	if (flags & CLOSE_RANGE_UNSHARE_) {
		if (!at_exit)
			return;
		process_fds_unshare_files(p, t);
	} else if (!!(flags & CLOSE_RANGE_CLOEXEC_) != at_exit) {
		return;
	}
	for (uint64_t fd = first; fd <= last && fd < t->files->room; fd++) {
		if (!t->files->slots[fd].file)
			continue;
		if (flags & CLOSE_RANGE_CLOEXEC_)
			t->files->slots[fd].cloexec = 1;
		else
			fd_table_clear(t->files, (int64_t)fd);
	}
}

static void doubt_file(struct processes *p, struct fd_table *files, const struct fd_file *file)
{
	for (uint32_t fd = 0; file && fd < files->room; fd++)
		if (files->slots[fd].file == file)
			files->slots[fd].confirmed = fd_gaps(p) - 1;
}

/*
 * Whether the first argument is still what it was as the call began. If not, another thread has closed or replaced
 * it, and which of the two the call has changed is not known.
 */
bool process_fd_is_still(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);

	if ((slot ? slot->file : NULL) == t->file)
		return true;
	doubt_file(p, t->files, t->file);
	if (slot)
		slot->confirmed = fd_gaps(p) - 1;
	return false;
}

void process_fd_take_source(struct processes *p, struct fd_thread *t, int arg)
{
	const struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[arg]);

	t->file = slot ? fd_file_hold(slot->file) : NULL;
	t->unsure = slot && !fd_is_sure(p, t, slot);
}

/* From now on it may be the copy, or what it was. */
void process_fd_doubt_target(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1]);

	if ((uint32_t)t->args[0] == (uint32_t)t->args[1])
		return;
	if (!slot) {
		fd_table_closes_unknown(t->files, (uint32_t)t->args[1], (uint32_t)t->args[1]);
		return;
	}
	t->has_target = true;
	t->target_confirmed = slot->confirmed;
	t->target_seq = slot->seq;
	slot->confirmed = fd_gaps(p) - 1;
}

bool process_fd_target_is_same(const struct fd_thread *t)
{
	const struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1]);

	return (slot ? slot->seq : 0) == (t->has_target ? t->target_seq : 0);
}

void process_fd_restore_target(struct fd_thread *t)
{
	if (t->has_target && process_fd_target_is_same(t))
		fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1])->confirmed = t->target_confirmed;
}
