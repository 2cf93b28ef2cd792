/* SPDX-License-Identifier: MIT */
/* Paths that calls give: of what they open, and of directories that they go to. */
#include <fcntl.h>
#include <string.h>

#include "fd_record.h"
#include "process_fds_private.h"

#define O_TMPFILE_BIT 020000000u

struct fd_object *process_fd_base(struct processes *p, struct fd_thread *t, int arg)
{
	const struct fd_slot *slot;
	int32_t dirfd = arg < 0 ? AT_FDCWD_ : (int32_t)(uint32_t)t->args[arg];

	if (dirfd == AT_FDCWD_) {
		t->unsure |= t->fs && !fd_cwd_is_sure(p, t);
		return t->fs && t->fs->cwd[0] ? fd_object_create(FD_DIRECTORY, t->fs->cwd, strlen(t->fs->cwd)) : NULL;
	}
	slot = fd_table_slot(t->files, dirfd);
	if (!slot || slot->file->object->kind == FD_SOCKET)
		return NULL;
	t->unsure |= !fd_is_sure(p, t, slot);
	return fd_object_hold(slot->file->object);
}

static enum fd_kind kind_of_open(const struct fd_thread *t, uint64_t flags)
{
	return t->call->kind == FD_FILE && flags & O_DIRECTORY ? FD_DIRECTORY : (enum fd_kind)t->call->kind;
}

static void make_path(struct fd_thread *t, const char *path, size_t n, uint64_t flags)
{
	const char *root = t->fs ? t->fs->root : "";

	fd_object_release(t->object);
	t->object = NULL;
	if (!path || !n || flags & O_TMPFILE_BIT)
		return;
	/* a symbolic link of the kernel's own that leads to another descriptor has no name of its own */
	t->object = fd_path_object(kind_of_open(t, flags), root, t->base ? t->base->name : NULL, path, n);
	if (t->object && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		t->object->origin = FD_NAME_MADE;
}

static uint64_t open_flags(const struct fd_thread *t)
{
	return t->call->action == FD_DO_OPEN && t->call->flags >= 0 ? (uint32_t)t->args[t->call->flags] : 0;
}

struct fd_object *process_fd_path_unknown(const struct fd_thread *t)
{
	return fd_object_create(kind_of_open(t, open_flags(t)), "", 0);
}

void process_fd_path_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = fd_record_string(view, t->call->path, false, &n);

	if (!path || path[0] != '/')
		t->base = process_fd_base(p, t, t->call->dirfd);
	t->unsure |= path && path[0] == '/' && t->fs && !fd_root_is_sure(p, t);
	if (path)
		make_path(t, path, n, open_flags(t));
}

/* At the exit: a path that was not in memory yet, and whether what it starts from has changed meanwhile. */
void process_fd_path_late(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = t->object ? NULL : fd_record_string(view, t->call->path, true, &n);

	t->unsure |= path && path[0] == '/' && t->fs && !fd_root_is_sure(p, t);
	if (path)
		make_path(t, path, n, open_flags(t));
	t->unsure |= !process_fds_name_is_current(p, t, t->object);
	/* another thread has gone elsewhere */
	t->unsure |= t->fs && t->fs->seq != t->fs_seq && (t->base || t->fs->root[0] || t->fs_root[0]);
}

void process_fd_change_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const char *path;
	uint32_t confirmed;

	if (!t->fs)
		return;
	if (t->call->path >= 0)
		process_fd_path_late(p, t, view);
	else
		t->unsure |= !process_fds_name_is_current(p, t, t->object);
	t->unsure |= t->guessed && t->fs->refs > 1;
	confirmed = t->unsure ? fd_gaps(p) - 1 : fd_confirmed(p, view->header.tsc);
	path = t->object ? process_table_directory(p, t->object->name, t->object->name_len) : "";
	if (t->call->action == FD_DO_CHROOT) {
		t->fs->root = !path[0] ? "?" : !strcmp(path, "/") ? "" : path;
		t->fs->root_confirmed = confirmed;
	} else {
		t->fs->cwd = path;
		t->fs->confirmed = confirmed;
	}
	t->fs->seq++;
}
