/* SPDX-License-Identifier: MIT */
/* Paths that calls give: of what they open, and of directories that they go to. */
#include <fcntl.h>
#include <string.h>

#include "fd_record.h"
#include "process_fds_private.h"

#define O_TMPFILE_BIT    020000000u
#define RESOLVE_IN_ROOT_ 0x10u /* linux/openat2.h */

/* Where it is stays known, if what is mounted has changed since; whether something else leads there does not. */
static struct fd_object *base_named(const struct fd_object *like, const char *name, size_t n, uint8_t origin,
				    bool is_current)
{
	struct fd_object *object = fd_object_create(like ? (enum fd_kind)like->kind : FD_DIRECTORY, name, n);

	if (object)
		object->origin = origin > FD_NAME_KERNEL && !is_current ? FD_NAME_KERNEL : origin;
	return object;
}

/* A mount namespace that nobody else is in yet; where the process is in the old one, it is in the copy. */
void process_fd_new_mounts(struct processes *p, struct fd_fs *fs)
{
	uint64_t fresh = ++p->fds->room.last_mount_ns;

	fs->cwd_mount_ns = fs->cwd_mount_ns && fs->cwd_mount_ns == fs->mount_ns ? fresh : 0;
	fs->mount_ns = fresh;
}

void process_fd_set_cwd(struct processes *p, struct fd_fs *fs, const char *cwd, uint8_t origin)
{
	fs->cwd = cwd;
	fs->cwd_origin = cwd[0] == '/' ? origin : FD_NAME_GIVEN;
	fs->cwd_name_seq = p->fds->room.name_seq;
	fs->cwd_mount_seq = p->fds->room.mount_seq;
}

struct fd_object *process_fd_base(struct processes *p, struct fd_thread *t, int arg)
{
	const struct fd_room *room = &p->fds->room;
	const struct fd_object *object;
	const struct fd_slot *slot;
	int32_t dirfd = arg < 0 ? FD_AT_CWD : (int32_t)(uint32_t)t->args[arg];

	if (dirfd == FD_AT_CWD) {
		t->unsure |= t->fs && !fd_cwd_is_sure(p, t);
		if (!t->fs || !t->fs->cwd[0])
			return NULL;
		t->mount_ns = t->fs->cwd_mount_ns;
		return base_named(NULL, t->fs->cwd, strlen(t->fs->cwd), t->fs->cwd_origin,
				  t->fs->cwd_mount_seq == room->mount_seq);
	}
	slot = fd_table_slot(t->files, dirfd);
	if (!slot || slot->file->object->kind == FD_SOCKET)
		return NULL;
	t->unsure |= !fd_is_sure(p, t, slot);
	object = slot->file->object;
	t->mount_ns = slot->file->mount_ns;
	if (object->origin > FD_NAME_KERNEL && slot->file->mount_seq != room->mount_seq)
		return base_named(object, object->name, object->name_len, object->origin, false);
	return fd_object_hold(slot->file->object);
}

bool process_fd_base_is_still(const struct processes *p, const struct fd_thread *t, int arg)
{
	int32_t dirfd = arg < 0 ? FD_AT_CWD : (int32_t)(uint32_t)t->args[arg];
	const struct fd_slot *slot;

	/* whoever goes elsewhere is looked at for all paths */
	if (dirfd == FD_AT_CWD)
		return true;
	slot = fd_table_slot(t->files, dirfd);
	return slot && slot->seq <= t->files_seq && fd_is_sure(p, t, slot);
}

static enum fd_kind kind_of_open(const struct fd_thread *t, uint64_t flags)
{
	bool directory = flags & O_DIRECTORY && !(flags & O_TMPFILE_BIT);

	return t->call->kind == FD_FILE && directory ? FD_DIRECTORY : (enum fd_kind)t->call->kind;
}

/* What the kernel's own links lead to has the name of that, not the link's. */
static void make_linked(struct fd_thread *t, uint64_t flags)
{
	fd_object_release(t->object);
	t->object = t->file && !(flags & O_NOFOLLOW) ? fd_object_hold(t->file->object) : NULL;
}

static void make_path(struct fd_thread *t, const char *path, size_t n, uint64_t flags)
{
	const char *root = t->fs ? t->fs->root : "";
	bool made = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
	uint8_t origin;

	fd_object_release(t->object);
	t->object = NULL;
	if (!path || !n || flags & O_TMPFILE_BIT)
		return;
	t->object = fd_path_object(kind_of_open(t, flags), root, t->base ? t->base->name : NULL, path, n);
	if (!t->object)
		return;
	if (made)
		t->object->origin = FD_NAME_MADE;
	t->object->linked = !made && t->object->kind == FD_FILE;
	/* the last part is no link, or it is the link that is opened */
	if (t->base && path[0] != '/' && !t->unsure && (made || flags & O_NOFOLLOW)) {
		origin = fd_name_origin_in(t->base->origin, path, n);
		t->object->origin = origin > t->object->origin ? origin : t->object->origin;
	}
}

static uint64_t open_flags(const struct fd_thread *t)
{
	if (t->call->action == FD_DO_OPENAT2)
		return t->how_flags;
	return t->call->action == FD_DO_OPEN && t->call->flags >= 0 ? (uint32_t)t->args[t->call->flags] : 0;
}

struct fd_object *process_fd_path_unknown(const struct fd_thread *t)
{
	return fd_object_create(kind_of_open(t, open_flags(t)), "", 0);
}

/* openat2 with the directory that it starts from as the root of all. */
static bool is_rooted(const struct fd_thread *t)
{
	return t->how_resolve & RESOLVE_IN_ROOT_;
}

static void take_path(struct processes *p, struct fd_thread *t, const char *path, size_t n)
{
	uint64_t flags = open_flags(t);

	if (is_rooted(t)) {
		t->unsure |= fd_path_goes_up(path, n);
		for (; n > 1 && path[0] == '/'; n--)
			path++;
		make_path(t, path[0] == '/' ? "." : path, n, flags);
		return;
	}
	t->unsure |= path[0] == '/' && t->fs && !fd_root_is_sure(p, t);
	/* the way up ends at the root */
	t->unsure |= path[0] == '/' && t->fs && t->fs->root[0] && fd_path_goes_up(path, n);
	if (path[0] == '/')
		t->mount_ns = t->fs && !fd_path_is_in_proc(path, n) ? t->fs->mount_ns : 0;
	if (!process_fd_link(p, t, &path, &n)) {
		make_path(t, path, n, flags);
	} else if (!n) {
		if (!(flags & O_TMPFILE_BIT))
			make_linked(t, flags);
		t->mount_ns = t->file ? t->file->mount_ns : 0;
	} else if (t->file) {
		t->mount_ns = t->file->mount_ns;
		fd_object_release(t->base);
		t->base = fd_object_hold(t->file->object);
		make_path(t, path, n, flags);
	}
}

void process_fd_path_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = fd_record_string(view, t->call->path, false, &n);

	if (!path || path[0] != '/' || is_rooted(t))
		t->base = process_fd_base(p, t, t->call->dirfd);
	if (path)
		take_path(p, t, path, n);
}

/* At the exit: a path that was not in memory yet, and whether what it starts from has changed meanwhile. */
void process_fd_path_late(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = t->object ? NULL : fd_record_string(view, t->call->path, true, &n);

	if (path)
		take_path(p, t, path, n);
	if (t->by_link)
		process_fd_link_late(p, t);
	else if (t->base)
		t->unsure |= !process_fd_base_is_still(p, t, t->call->dirfd);
	t->unsure |= path && t->by_link && t->files->seq != t->files_seq;
	t->unsure |= !process_fds_name_is_current(p, t, t->object);
	/* another thread has gone elsewhere, or may have */
	t->unsure |= t->fs && fd_is_moved(t);
	t->unsure |= t->fs && t->fs->seq != t->fs_seq && (t->base || t->fs->root[0] || t->fs_root[0]);
}

void process_fd_moves(struct fd_thread *t, bool begins)
{
	if (t->moves)
		t->moves->nr_moving--;
	fd_fs_release(t->moves);
	t->moves = begins ? fd_fs_hold(t->fs) : NULL;
	if (t->moves)
		t->moves->nr_moving++;
}

void process_fd_change_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const char *path;
	uint32_t confirmed;

	if (!t->fs)
		return;
	if (t->call->path >= 0)
		process_fd_path_late(p, t, view);
	else {
		t->unsure |= !process_fds_name_is_current(p, t, t->object) || !process_fd_is_still(p, t);
		t->mount_ns = t->file ? t->file->mount_ns : 0;
	}
	t->unsure |= t->guessed && t->fs->refs > 1;
	/* of two that overlap, which was the later one is not to be seen */
	t->unsure |= fd_is_moved(t) || t->fs->seq != t->fs_seq;
	confirmed = t->unsure ? fd_gaps(p) - 1 : fd_confirmed(p, view->header.tsc);
	path = t->object ? process_table_directory(p, t->object->name, t->object->name_len) : "";
	if (t->call->action == FD_DO_CHROOT) {
		t->fs->root = !path[0] ? "?" : !strcmp(path, "/") ? "" : path;
		t->fs->root_confirmed = confirmed;
		t->fs->mount_ns = t->mount_ns;
	} else {
		process_fd_set_cwd(p, t->fs, path, t->object ? t->object->origin : FD_NAME_GIVEN);
		t->fs->cwd_mount_ns = t->mount_ns;
		t->fs->confirmed = confirmed;
	}
	t->fs->seq++;
}

/* As the kernel calls it, below the process's own root. */
void process_fd_told_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	struct fd_object *object;
	size_t n;
	const char *path = fd_record_string(view, t->call->path, false, &n);

	if (!t->fs || !path || path[0] != '/' || t->fs->root[0] || fd_is_moved(t) || t->fs->seq != t->fs_seq ||
	    (t->guessed && t->fs->refs > 1))
		return;
	object = fd_object_create(FD_DIRECTORY, path, n);
	if (object && object->name_len && process_fds_name_is_current(p, t, object)) {
		path = process_table_directory(p, object->name, object->name_len);
		if (path[0]) {
			t->fs->seq += strcmp(t->fs->cwd, path) != 0;
			process_fd_set_cwd(p, t->fs, path, FD_NAME_KERNEL);
			t->fs->confirmed = fd_root_is_sure(p, t) ? fd_confirmed(p, view->header.tsc) : fd_gaps(p) - 1;
		}
	}
	fd_object_release(object);
}
