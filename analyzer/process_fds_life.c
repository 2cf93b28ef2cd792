/* SPDX-License-Identifier: MIT */
/* Who has which table of descriptors: fork, threads, exec, exit, and what snapshots say of it. */
#include <stdlib.h>
#include <string.h>

#include "fd_link.h"
#include "process_fds_private.h"

bool process_fds_want(struct processes *p)
{
	if (!p->fds)
		p->fds = calloc(1, sizeof(*p->fds));
	return p->fds;
}

static void drop_thread(struct processes *p, struct fd_thread *t)
{
	process_fd_call_over(p, t);
	fd_table_release(&p->fds->room, t->files);
	fd_fs_release(t->fs);
	free(t);
	p->fds->nr_threads--;
}

void process_fds_deinit(struct processes *p)
{
	if (!p->fds)
		return;
	for (uint32_t i = 0; i < p->used; i++)
		if (p->threads[i].used && p->threads[i].fd)
			drop_thread(p, p->threads[i].fd);
	process_fds_drop_snapshot(p);
	process_fds_rights_drop(p);
	fd_link_drop_all(&p->fds->room);
	process_fds_names_deinit(p->fds);
	free(p->fds);
}

void process_fds_lose_links(struct processes *p)
{
	if (p->fds)
		p->fds->no_links = true;
}

void process_fd_is_async(struct processes *p, struct fd_table *files)
{
	files->async = true;
	p->fds->any_async = true;
}

void process_fds_partial(struct processes *p, bool partial, uint64_t tsc)
{
	if (!p->fds)
		return;
	if (p->fds->partial && !partial)
		processes_doubt(p, tsc);
	p->fds->partial = partial;
}

void process_fds_unattributed(struct processes *p)
{
	if (p->fds)
		p->fds->unattributed++;
}

bool process_fds_know_all(const struct processes *p)
{
	return p->fds->whole && p->fds->whole_gaps == fd_gaps(p);
}

/* Threads of one process share their descriptors, unless they took care not to: that is not known here. */
static void share_with_mate(struct processes *p, uint32_t i, struct fd_thread *t)
{
	uint32_t at = process_table_find(&p->by_pid, (uint32_t)p->threads[i].pub.pid);

	for (; at != PROCESS_NONE; at = p->threads[at].next_mate) {
		struct fd_thread *mate = p->threads[at].fd;

		if (at == i || !mate || !mate->files)
			continue;
		t->files = fd_table_hold(mate->files);
		if (!t->fs) /* a snapshot may have told */
			t->fs = fd_fs_hold(mate->fs);
		t->guessed = true;
		return;
	}
}

struct fd_thread *process_fd_bare_thread(struct processes *p, uint32_t i)
{
	struct thread_entry *entry = &p->threads[i];

	if (entry->fd || !p->fds || p->fds->nr_threads >= FD_THREADS_MAX)
		return entry->fd;
	entry->fd = calloc(1, sizeof(*entry->fd));
	p->fds->nr_threads += entry->fd != NULL;
	return entry->fd;
}

struct fd_thread *process_fd_thread(struct processes *p, uint32_t i)
{
	struct fd_thread *t = process_fd_bare_thread(p, i);

	if (!t || t->files)
		return t;
	share_with_mate(p, i, t);
	if (!t->files)
		t->files = fd_table_create();
	if (!t->fs) {
		t->fs = fd_fs_create(NULL);
		if (t->fs)
			t->fs->confirmed = t->fs->root_confirmed = fd_gaps(p);
	}
	return t;
}

void process_fds_unshare_files(struct processes *p, struct fd_thread *t)
{
	struct fd_table *own;

	if (t->files->refs == 1)
		return;
	own = fd_table_create();
	if (!own)
		return;
	fd_table_merge(&p->fds->room, own, t->files, UINT64_MAX);
	/* what others have changed since the call began may be so in the copy, or not */
	for (uint32_t fd = 0; t->in_call && fd < t->files->room && fd < own->room; fd++)
		if (t->files->slots[fd].seq > t->files_seq)
			own->slots[fd].confirmed = fd_gaps(p) - 1;
	own->adopted = t->files->adopted;
	own->async = t->files->async;
	fd_table_release(&p->fds->room, t->files);
	t->files = own;
}

void process_fds_unshare_fs(struct fd_thread *t)
{
	struct fd_fs *own = t->fs && t->fs->refs > 1 ? fd_fs_create(t->fs) : NULL;

	if (!own)
		return;
	fd_fs_release(t->fs);
	t->fs = own;
}

/* ---- birth ------------------------------------------------------------------ */

void process_fd_use_table(struct processes *p, struct fd_thread *t, struct fd_table *table)
{
	fd_table_hold(table);
	if (t->files)
		fd_table_release(&p->fds->room, t->files);
	t->files = table;
}

void process_fd_use_fs(struct fd_thread *t, struct fd_fs *fs)
{
	fd_fs_hold(fs);
	fd_fs_release(t->fs);
	t->fs = fs;
}

/* What the child did before its parent's call was understood stays. */
static void inherit(struct processes *p, struct fd_thread *parent, struct fd_thread *child)
{
	if (parent->clone_flags & CLONE_FILES_FLAG) {
		for (uint32_t fd = 0; child->files && child->files != parent->files && fd < child->files->room; fd++)
			if (child->files->slots[fd].seq)
				fd_table_clear(parent->files, fd);
		process_fd_use_table(p, child, parent->files);
	} else {
		if (!child->files || child->files->refs > 1)
			process_fd_use_table(p, child, NULL);
		if (!child->files)
			child->files = fd_table_create();
		if (!child->files)
			return;
		fd_table_merge(&p->fds->room, child->files, parent->files, parent->files_seq);
		child->files->async |= parent->files->async;
	}
	child->files->adopted = true;
	if (parent->clone_flags & CLONE_FS_FLAG) {
		process_fd_use_fs(child, parent->fs);
	} else if (parent->fs && (!child->fs || !child->fs->seq)) {
		fd_fs_release(child->fs);
		child->fs = fd_fs_create(parent->fs);
		/* another thread changed it while the call was under way */
		if (child->fs && parent->fs->seq != parent->fs_seq) {
			process_fd_set_cwd(p, child->fs, "", FD_NAME_GIVEN);
			child->fs->root = strcmp(parent->fs->root, parent->fs_root) ? "?" : parent->fs->root;
		}
		if (child->fs)
			child->fs->seq = 0;
		if (child->fs && parent->clone_flags & CLONE_NEWNS_FLAG)
			process_fd_new_mounts(p, child->fs);
		/* or is doing so */
		if (child->fs && parent->fs->nr_moving)
			child->fs->confirmed = child->fs->root_confirmed = fd_gaps(p) - 1;
	}
}

static bool is_forking(const struct thread_entry *entry)
{
	return entry->fd && entry->fd->files && entry->fd->in_call && entry->role == CALL_ROLE_FORK &&
	       entry->fd->clone_flags_known && !entry->fd->delivered;
}

/* The one thread of the process that makes another; several: any of them, if it makes no difference. */
static struct fd_thread *thread_maker(struct processes *p, uint32_t i, bool *only)
{
	uint32_t at = process_table_find(&p->by_pid, (uint32_t)p->threads[i].pub.pid);
	struct fd_thread *found = NULL;

	*only = true;
	for (; at != PROCESS_NONE; at = p->threads[at].next_mate) {
		const struct thread_entry *mate = &p->threads[at];

		if (at == i || !is_forking(mate) || !(mate->fd->clone_flags & CLONE_THREAD_BIT))
			continue;
		if (found && (mate->fd->files != found->files || mate->fd->fs != found->fs ||
			      !(mate->fd->clone_flags & found->clone_flags & CLONE_FILES_FLAG) ||
			      !(mate->fd->clone_flags & found->clone_flags & CLONE_FS_FLAG)))
			return NULL;
		*only = !found;
		found = mate->fd;
	}
	return found;
}

void process_fds_born(struct processes *p, uint32_t i, int32_t parent_tid)
{
	struct thread_entry *entry = &p->threads[i];
	uint32_t at = parent_tid > 0 ? process_table_find(&p->by_tid, (uint32_t)parent_tid) : PROCESS_NONE;
	struct fd_thread *parent = NULL, *child;
	bool only = true;

	if (!p->fds || (entry->fd && entry->fd->files && entry->fd->files->adopted))
		return;
	if (entry->pub.pid != entry->pub.tid)
		parent = thread_maker(p, i, &only);
	else if (at != PROCESS_NONE && at != i && is_forking(&p->threads[at]) &&
		 !(p->threads[at].fd->clone_flags & (CLONE_THREAD_BIT | CLONE_PARENT_BIT)))
		parent = p->threads[at].fd;
	child = parent ? process_fd_bare_thread(p, i) : NULL;
	if (!child)
		return;
	inherit(p, parent, child);
	/* One that has been there for long may have shown up just now. */
	child->guessed = !process_fds_know_all(p);
	if (!only)
		return;
	parent->delivered = true;
	parent->child = entry->pub.tid;
}

void process_fds_forked(struct processes *p, uint32_t i, uint32_t child_at)
{
	struct fd_thread *parent = p->threads[i].fd, *child;

	/* The call is over for process_fds_exit() already; what it began with is still there. */
	if (!p->fds || !parent || !parent->files || !parent->clone_flags_known || parent->gaps != fd_gaps(p))
		return;
	child = process_fd_bare_thread(p, child_at);
	if (!child)
		return;
	if (parent->delivered && parent->child != p->threads[child_at].pub.tid) {
		/* It was another's: what that has is not known. */
		uint32_t wrong = process_table_find(&p->by_tid, (uint32_t)parent->child);

		if (wrong != PROCESS_NONE && p->threads[wrong].fd) {
			process_fd_use_table(p, p->threads[wrong].fd, NULL);
			process_fd_use_fs(p->threads[wrong].fd, NULL);
		}
	} else if (parent->delivered) {
		child->guessed = parent->guessed;
		return;
	}
	if (child->files && child->files->adopted && !child->guessed)
		return;
	inherit(p, parent, child);
	child->guessed = parent->guessed;
}

void process_fds_executed(struct processes *p, uint32_t i)
{
	struct fd_thread *t = p->threads[i].fd;

	if (!t || !t->files)
		return;
	process_fds_unshare_files(p, t);
	fd_table_exec(t->files);
}

void process_fds_gone(struct processes *p, uint32_t i)
{
	struct thread_entry *entry = &p->threads[i];
	struct fd_thread *t = entry->fd;

	if (!t)
		return;
	/* It may have been killed behind what its call was to do, or before. */
	process_fd_call_unseen(p, t);
	entry->fd = NULL;
	drop_thread(p, t);
}

/* ---- answers ----------------------------------------------------------------- */

void process_fds_each(const struct processes *p, int32_t tid, void (*each)(void *ctx, const struct process_fd *fd),
		      void *ctx)
{
	uint32_t i = process_table_find(&p->by_tid, (uint32_t)tid);
	const struct fd_thread *t = i == PROCESS_NONE ? NULL : p->threads[i].fd;

	for (uint32_t fd = 0; t && t->files && fd < t->files->room; fd++) {
		const struct fd_slot *slot = fd_table_slot(t->files, fd);
		struct process_fd found = {.fd = (int32_t)fd};

		if (!slot)
			continue;
		found.object = slot->file->object;
		found.cloexec = slot->cloexec;
		found.uncertain = !fd_is_sure(p, t, slot);
		each(ctx, &found);
	}
}

const char *process_fds_cwd(const struct processes *p, int32_t tid, bool *uncertain)
{
	uint32_t i = process_table_find(&p->by_tid, (uint32_t)tid);
	const struct fd_thread *t = i == PROCESS_NONE ? NULL : p->threads[i].fd;

	*uncertain = t && t->fs && !fd_cwd_is_sure(p, t);
	return t && t->fs ? t->fs->cwd : "";
}
