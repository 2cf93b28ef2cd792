/* SPDX-License-Identifier: MIT */
/* What snapshots say of descriptors and directories. */
#include <stdlib.h>
#include <string.h>

#include "linux/linux_state.h"
#include "process_fds_private.h"

void process_fds_drop_snapshot(struct processes *p)
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
	p->fds->settled = process_fds_know_all(p);
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
	process_fds_drop_snapshot(p);
	forget_made_namespaces(p);
	p->fds->whole |= whole;
	p->fds->whole_gaps = fd_confirmed(p, p->snapshot_tsc);
	process_fds_rights_link(p);
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
	bool is_fresh;
	uint64_t at;

	if (found->fd >= 0 && (uint32_t)found->fd < load->seen_bits)
		load->seen[found->fd / 8] |= (uint8_t)(1u << found->fd % 8);
	load->async |= found->kind == FD_IO_URING;
	load->unknown |= found->kind == FD_UNKNOWN;
	/* its pages were not recorded: what the calls told stays */
	if (found->kind == FD_UNKNOWN && slot)
		return;
	is_fresh = !u64_map_get(&p->fds->by_file, found->file, &at);
	if (!is_fresh) {
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
		/* what was one file before a loss may be two that look alike */
		if (slot && fresh && slot->file->snapshot != p->fds->snapshots && is_same(p, load->t, slot, fresh)) {
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
	if (is_fresh)
		process_fds_rights_socket(p, file, found->sock, found->peer, found->queue_is_empty);
	file->snapshot = p->fds->snapshots;
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
		process_fd_use_table(p, t, NULL);
		return NULL;
	}
	if (u64_map_get(&p->fds->by_files, files, &at)) {
		process_fd_use_table(p, t, (struct fd_table *)(uintptr_t)at);
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
		process_fd_use_table(p, t, own);
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
		process_fd_use_fs(t, (struct fd_fs *)(uintptr_t)at);
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
	t = process_fd_bare_thread(p, i);
	if (!t)
		return NULL;
	take_fs(p, t, &told);
	take_moves(t);
	return take_files(p, state, t, told.files);
}
