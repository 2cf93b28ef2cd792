/* SPDX-License-Identifier: MIT */
/* Who has which table of descriptors: fork, threads, exec, exit, and what snapshots say of it. */
#include <stdlib.h>
#include <string.h>

#include "fd_link.h"
#include "linux/linux_state.h"
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

static void drop_maps(struct processes *p)
{
	for (size_t i = 0; i < p->fds->by_file.room; i++)
		if (p->fds->by_file.slots[i].used)
			fd_file_release((struct fd_file *)(uintptr_t)p->fds->by_file.slots[i].value);
	for (size_t i = 0; i < p->fds->by_files.room; i++)
		if (p->fds->by_files.slots[i].used)
			fd_table_release(&p->fds->room, (struct fd_table *)(uintptr_t)p->fds->by_files.slots[i].value);
	for (size_t i = 0; i < p->fds->by_fs.room; i++)
		if (p->fds->by_fs.slots[i].used)
			fd_fs_release((struct fd_fs *)(uintptr_t)p->fds->by_fs.slots[i].value);
	u64_map_deinit(&p->fds->by_file);
	u64_map_deinit(&p->fds->by_files);
	u64_map_deinit(&p->fds->by_fs);
}

void process_fds_deinit(struct processes *p)
{
	if (!p->fds)
		return;
	for (uint32_t i = 0; i < p->used; i++)
		if (p->threads[i].used && p->threads[i].fd)
			drop_thread(p, p->threads[i].fd);
	drop_maps(p);
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

static bool knows_all(const struct processes *p)
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

static struct fd_thread *bare_thread(struct processes *p, uint32_t i)
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
	struct fd_thread *t = bare_thread(p, i);

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

static void use_table(struct processes *p, struct fd_thread *t, struct fd_table *table)
{
	fd_table_hold(table);
	if (t->files)
		fd_table_release(&p->fds->room, t->files);
	t->files = table;
}

static void use_fs(struct fd_thread *t, struct fd_fs *fs)
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
		use_table(p, child, parent->files);
	} else {
		if (!child->files || child->files->refs > 1)
			use_table(p, child, NULL);
		if (!child->files)
			child->files = fd_table_create();
		if (!child->files)
			return;
		fd_table_merge(&p->fds->room, child->files, parent->files, parent->files_seq);
		child->files->async |= parent->files->async;
	}
	child->files->adopted = true;
	if (parent->clone_flags & CLONE_FS_FLAG) {
		use_fs(child, parent->fs);
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
	child = parent ? bare_thread(p, i) : NULL;
	if (!child)
		return;
	inherit(p, parent, child);
	/* One that has been there for long may have shown up just now. */
	child->guessed = !knows_all(p);
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
	child = bare_thread(p, child_at);
	if (!child)
		return;
	if (parent->delivered && parent->child != p->threads[child_at].pub.tid) {
		/* It was another's: what that has is not known. */
		uint32_t wrong = process_table_find(&p->by_tid, (uint32_t)parent->child);

		if (wrong != PROCESS_NONE && p->threads[wrong].fd) {
			use_table(p, p->threads[wrong].fd, NULL);
			use_fs(p->threads[wrong].fd, NULL);
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
	/* It may have been killed behind that, or before. */
	if (t->in_call && t->files && (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3))
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[1]);
	process_fds_names_unseen(p, t);
	entry->fd = NULL;
	drop_thread(p, t);
}

/* ---- snapshots -------------------------------------------------------------- */

struct load {
	struct processes *p;
	struct fd_thread *t;
	uint8_t *seen; /* a bit for each slot of the table */
	uint32_t seen_bits;
	bool async, unknown; /* an io_uring, or something that may be one, is among them */
};

void process_fds_snapshot_begin(struct processes *p)
{
	if (!p->fds)
		return;
	p->fds->snapshots++;
	p->fds->whole = false;
}

static void forget_made(uint64_t *mount_ns)
{
	if (*mount_ns <= FD_NS_MADE_MAX)
		*mount_ns = 0;
}

/* Snapshots know namespaces by their address. What one has not told of is in any. */
static void forget_made_namespaces(struct processes *p)
{
	for (struct fd_file *file = p->fds->room.files; file; file = file->next)
		forget_made(&file->mount_ns);
	for (uint32_t i = 0; i < p->used; i++) {
		struct fd_fs *fs = p->threads[i].used && p->threads[i].fd ? p->threads[i].fd->fs : NULL;

		if (fs) {
			forget_made(&fs->mount_ns);
			forget_made(&fs->cwd_mount_ns);
		}
	}
}

void process_fds_snapshot_end(struct processes *p, bool whole)
{
	if (!p->fds)
		return;
	drop_maps(p);
	forget_made_namespaces(p);
	p->fds->whole |= whole;
	p->fds->whole_gaps = fd_confirmed(p, p->snapshot_tsc);
}

/* What the call told is more than the kernel's list can. */
static void keep_roles(const struct fd_object *old, struct fd_object *fresh)
{
	if (old->kind != FD_SOCKET || fresh->kind != FD_SOCKET || old->socket.family != fresh->socket.family)
		return;
	if (!fresh->socket.role && old->socket.local.port == fresh->socket.local.port &&
	    old->socket.peer.port == fresh->socket.peer.port)
		fresh->socket.role = old->socket.role;
}

/* Whose a pidfd is, the call told, and the kernel's name for it does not. */
static bool is_same(const struct processes *p, const struct fd_thread *t, const struct fd_slot *slot,
		    const struct fd_object *fresh)
{
	return fd_object_same(slot->file->object, fresh) ||
	       (slot->file->object->kind == FD_PIDFD && fresh->kind == FD_PIDFD && fd_is_sure(p, t, slot));
}

static void load_file(void *ctx, const struct linux_open_file *found)
{
	struct load *load = ctx;
	struct processes *p = load->p;
	struct fd_slot *slot = fd_table_slot(load->t->files, found->fd);
	struct fd_object *fresh;
	struct fd_file *file;
	uint64_t at;

	if (found->fd >= 0 && (uint32_t)found->fd < load->seen_bits)
		load->seen[found->fd / 8] |= (uint8_t)(1u << found->fd % 8);
	load->async |= found->kind == FD_IO_URING;
	load->unknown |= found->kind == FD_UNKNOWN;
	/* its pages were not recorded: what the calls told stays */
	if (found->kind == FD_UNKNOWN && slot)
		return;
	if (u64_map_get(&p->fds->by_file, found->file, &at)) {
		file = (struct fd_file *)(uintptr_t)at;
	} else {
		fresh = found->kind == FD_SOCKET
				? fd_object_create_socket(&found->socket, found->name, found->name_len)
				: fd_object_create((enum fd_kind)found->kind, found->name, found->name_len);
		if (fresh && fd_name_mask(fresh))
			fresh->origin = found->only ? FD_NAME_ONLY : FD_NAME_KERNEL;
		if (fresh)
			fresh->linked = fresh->kind == FD_FILE && found->nr_links != 1;
		if (slot && fresh)
			keep_roles(slot->file->object, fresh);
		if (slot && fresh && is_same(p, load->t, slot, fresh)) {
			file = fd_file_hold(slot->file);
			if (fresh->origin != file->object->origin || fresh->linked != file->object->linked)
				fd_file_set(file, fresh);
			else
				fd_object_release(fresh);
		} else {
			file = fd_file_create(&p->fds->room, fresh);
		}
		if (file && !u64_map_set(&p->fds->by_file, found->file, (uintptr_t)file)) {
			fd_file_release(file);
			file = NULL;
		}
		if (!file) { /* no room: what was known may be there no longer */
			fd_table_clear(load->t->files, found->fd);
			return;
		}
	}
	file->doubtful = false;
	file->named_seq = p->fds->room.name_seq;
	file->mount_seq = p->fds->room.mount_seq;
	file->mount_ns = found->mount_ns;
	if (slot && slot->file == file) {
		slot->cloexec = found->cloexec;
		slot->confirmed = fd_confirmed(p, p->snapshot_tsc);
	} else {
		fd_table_set(&p->fds->room, load->t->files, found->fd, fd_file_hold(file), found->cloexec,
			     fd_confirmed(p, p->snapshot_tsc));
	}
}

static struct vmtape_error *load_files(struct processes *p, struct linux_state *state, struct fd_thread *t,
				       uint64_t files)
{
	struct load load = {.p = p, .t = t, .seen_bits = t->files->room};
	struct vmtape_error *error;

	load.seen = calloc(load.seen_bits / 8 + 1, 1);
	if (!load.seen)
		return &vmtape_error_no_memory;
	error = linux_state_files(state, files, load_file, &load);
	t->files->async = load.async || (t->files->async && (error || load.unknown));
	p->fds->any_async |= t->files->async;
	/* of a table that could not be read to its end, what is not on it may be open */
	for (uint32_t fd = 0; !error && fd < load.seen_bits; fd++)
		if (t->files->slots[fd].file && !(load.seen[fd / 8] & 1u << fd % 8))
			fd_table_clear(t->files, fd);
	free(load.seen);
	t->files->snapshot_seq = t->files->seq;
	t->files->adopted = true;
	return error;
}

static struct vmtape_error *take_files(struct processes *p, struct linux_state *state, struct fd_thread *t,
				       uint64_t files)
{
	struct fd_table *own;
	uint64_t at;

	if (!files) {
		use_table(p, t, NULL);
		return NULL;
	}
	if (u64_map_get(&p->fds->by_files, files, &at)) {
		use_table(p, t, (struct fd_table *)(uintptr_t)at);
		t->guessed = false;
		return NULL;
	}
	/* Those that were thought to share it come with their own, or with this one, later in the list. */
	if (!t->files || t->files->refs > 1) {
		own = fd_table_create();
		if (!own)
			return &vmtape_error_no_memory;
		if (t->files)
			fd_table_merge(&p->fds->room, own, t->files, UINT64_MAX);
		use_table(p, t, own);
		fd_table_release(&p->fds->room, own);
	}
	t->guessed = false;
	if (!u64_map_set(&p->fds->by_files, files, (uintptr_t)t->files))
		return &vmtape_error_no_memory;
	fd_table_hold(t->files);
	return load_files(p, state, t, files);
}

static void take_fs(struct processes *p, struct fd_thread *t, const struct linux_task_state *told)
{
	uint64_t at;
	const char *cwd, *root;

	if (told->fs && u64_map_get(&p->fds->by_fs, told->fs, &at)) {
		use_fs(t, (struct fd_fs *)(uintptr_t)at);
		return;
	}
	cwd = process_table_directory(p, told->cwd, strlen(told->cwd));
	root = strcmp(told->root, "/") ? process_table_directory(p, told->root, strlen(told->root)) : "";
	if (told->root[0] && told->root[1] && !root[0])
		root = "?";
	if (!t->fs || t->fs->refs > 1) {
		struct fd_fs *own = fd_fs_create(t->fs);

		fd_fs_release(t->fs);
		t->fs = own;
	}
	if (!t->fs)
		return;
	/* what could not be read stays as it was */
	if (cwd[0]) {
		t->fs->seq += strcmp(t->fs->cwd, cwd) != 0;
		process_fd_set_cwd(p, t->fs, cwd, told->cwd_only ? FD_NAME_ONLY : FD_NAME_KERNEL);
		t->fs->cwd_mount_ns = told->cwd_mount_ns;
		t->fs->confirmed = fd_confirmed(p, p->snapshot_tsc);
	}
	t->fs->mount_ns = told->root_mount_ns;
	if (told->root[0]) {
		t->fs->seq += strcmp(t->fs->root, root) != 0;
		t->fs->root = root;
		t->fs->root_confirmed = fd_confirmed(p, p->snapshot_tsc);
	}
	if (told->fs && u64_map_set(&p->fds->by_fs, told->fs, (uintptr_t)t->fs))
		fd_fs_hold(t->fs);
}

/* A thread that goes elsewhere takes along all that share where it is. */
static void take_moves(struct fd_thread *t)
{
	if (t->moves && t->moves != t->fs)
		process_fd_moves(t, true);
}

struct vmtape_error *process_fds_snapshot(struct processes *p, struct linux_state *state, const struct linux_task *task)
{
	uint32_t i = process_table_find(&p->by_task, task->task.v);
	struct linux_task_state told;
	struct thread_entry *entry;
	struct vmtape_error *error;
	struct fd_thread *t;

	if (!p->fds || i == PROCESS_NONE)
		return NULL;
	error = linux_state_task(state, task, &told);
	if (error)
		return error;
	entry = &p->threads[i];
	if (told.cmdline_len)
		entry->pub.cmdline = process_table_cmdline(p, told.cmdline, told.cmdline_len);
	entry->pub.container = process_table_string(p, told.container, strlen(told.container));
	entry->pub.pidns = told.pidns;
	entry->pub.child_pidns = told.child_pidns;
	t = bare_thread(p, i);
	if (!t)
		return NULL;
	take_fs(p, t, &told);
	take_moves(t);
	return take_files(p, state, t, told.files);
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
