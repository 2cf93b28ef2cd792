/* SPDX-License-Identifier: MIT */
/*
 * What renames, unlinks and mounts do to the names of open files and of directories
 * that processes are in. Names are as calls gave them, with symbolic links left as they
 * are; so a change that seems to be a file's may be another's, and the other way
 * round: what is not certain is marked.
 */
#include <string.h>

#include "fd_record.h"
#include "process_fds_private.h"

#define RENAME_EXCHANGE_ 2
#define AT_REMOVEDIR_    0x200
#define MNT_DETACH_      2
#define MOVE_EMPTY_PATH_ 4             /* MOVE_MOUNT_F_EMPTY_PATH */
#define MS_MAGIC_        0xc0ed0000ull /* of old, above flags of 16 bits */
#define MS_MOVE_         0x2000        /* if none of MS_REMOUNT, MS_BIND, MS_UNBINDABLE, _PRIVATE, _SLAVE, _SHARED */
#define MS_NO_MOVE_      (0x20ull | 0x1000 | 0x20000 | 0x40000 | 0x80000 | 0x100000)

static const char deleted[] = " (deleted)";
#define DELETED_BYTES (sizeof(deleted) - 1)

enum match { NO_MATCH, SAME, BELOW, PERHAPS };

static bool is_deleted(const char *name, size_t n)
{
	return n > DELETED_BYTES && !memcmp(name + n - DELETED_BYTES, deleted, DELETED_BYTES);
}

static const char *last_component(const struct fd_object *path, size_t *n)
{
	const char *slash = memrchr(path->name, '/', path->name_len), *at = slash ? slash + 1 : path->name;

	*n = path->name_len - (size_t)(at - path->name);
	return at;
}

static bool is_plain(const struct fd_object *path)
{
	return path->name[0] == '/' && !fd_path_goes_up(path->name, path->name_len);
}

/*
 * path: NULL: not known; not absolute: only its last name is known. only: what is below can't be meant. alone: name is
 * the kernel's, and no other leads to that file.
 */
static enum match match(const char *name, size_t n, const struct fd_object *path, bool only, bool alone)
{
	size_t len;
	const char *component;

	if (!path)
		return PERHAPS;
	if (is_plain(path) && n >= path->name_len && !memcmp(name, path->name, path->name_len)) {
		if (n == path->name_len)
			return SAME;
		if (!only && name[path->name_len] == '/')
			return BELOW;
	}
	if (alone && path->origin >= FD_NAME_PLACED)
		return NO_MATCH;
	component = last_component(path, &len);
	return fd_path_has(name, n, component, len, only) ? PERHAPS : NO_MATCH;
}

/* The name behind the change, in out; 0: there is none that is known. */
static size_t put_name(const struct fd_name_change *change, bool from_target, enum match how, const char *name,
		       size_t n, char out[FD_NAME_BYTES])
{
	const struct fd_object *from = from_target ? change->target : change->path;
	const struct fd_object *to = from_target ? change->path : change->target;
	size_t at = 0;

	if (change->effect == FD_NAMES_REMOVE || (from_target && !change->exchanges)) {
		if (how != SAME || n + DELETED_BYTES >= FD_NAME_BYTES)
			return 0;
		memcpy(out, name, n);
		memcpy(out + n, deleted, DELETED_BYTES);
		return n + DELETED_BYTES;
	}
	if (change->effect == FD_NAMES_DETACH || !to || to->name[0] != '/' || (how != SAME && how != BELOW))
		return 0;
	at = to->name_len;
	if (at + n - from->name_len >= FD_NAME_BYTES)
		return 0;
	memcpy(out, to->name, at);
	memcpy(out + at, name + from->name_len, n - from->name_len);
	return at + n - from->name_len;
}

/* What the change may be to this name; *from_target: as what the renamed one has replaced, or was exchanged with. */
static enum match find(const struct fd_name_change *change, const char *name, size_t n, bool alone, bool *from_target)
{
	enum match how, other;

	*from_target = false;
	if (change->effect == FD_NAMES_PIVOT)
		return PERHAPS;
	how = match(name, n, change->path, change->effect == FD_NAMES_REMOVE, alone);
	if ((how == NO_MATCH || how == PERHAPS) && change->effect == FD_NAMES_MOVE) {
		other = match(name, n, change->target, !change->exchanges, alone);
		*from_target = other == SAME || other == BELOW;
		how = other == NO_MATCH ? how : other;
	}
	if (how == NO_MATCH && change->anywhere)
		return PERHAPS;
	/* removed before, or one that is really called so: then it is this one */
	return how == SAME && is_deleted(name, n) ? PERHAPS : how;
}

static bool is_known(const struct fd_name_change *change)
{
	return change->path && !change->anywhere && (change->target || change->effect != FD_NAMES_MOVE);
}

static bool may_concern(const struct fd_name_change *change, uint64_t mask)
{
	return !is_known(change) || change->mask & mask;
}

/* Is there a file that it may concern? Each name that does has the last part of one of both paths. */
static bool may_concern_any(const struct fd_room *room, const struct fd_name_change *change)
{
	if (!is_known(change))
		return true;
	return fd_last_name_count(change->path, room->named) ||
	       (change->target && fd_last_name_count(change->target, room->named));
}

/* Of two names of the same file, renaming one to the other does nothing. */
static bool may_be_nothing(const struct fd_name_change *change, const struct fd_object *object, enum match how)
{
	return change->effect == FD_NAMES_MOVE && how == SAME && object->linked && object->kind != FD_DIRECTORY;
}

/*
 * Sure is the change of a file that the process itself has open, by a name that the kernel gave, or that it was made
 * by. Behind any other name there may be a symbolic link, which is what was changed.
 */
static bool is_certain(const struct processes *p, const struct fd_thread *t, const struct fd_name_change *change,
		       const struct fd_file *file, enum match how)
{
	uint8_t origin = file->object->origin;

	/* in another mount namespace the same name is another file's */
	if (file->mount_ns != change->mount_ns)
		return false;
	/* what is mounted since, or just now, may hide it, and then it is another that was changed */
	return file->mount_seq == p->fds->room.mount_seq && !p->fds->room.nr_mounting && !t->unsure && !t->guessed &&
	       (origin >= FD_NAME_KERNEL || (origin == FD_NAME_MADE && how == SAME)) &&
	       file->held_seq == p->fds->room.name_seq;
}

/* Of a name that a rename has given. */
static uint8_t origin_of_new(const struct fd_object *to, enum match how)
{
	return how == SAME && to->origin >= FD_NAME_KERNEL ? to->origin : FD_NAME_MADE;
}

static void add_link(struct fd_file *file)
{
	struct fd_object *old = file->object, *fresh;

	if (old->linked || old->kind != FD_FILE)
		return;
	fresh = fd_object_create(FD_FILE, old->name, old->name_len);
	if (fresh) {
		fresh->origin = old->origin;
		fresh->linked = true;
		fd_file_set(file, fresh);
	} else {
		file->doubtful = true;
	}
}

static void change_file(struct processes *p, const struct fd_thread *t, const struct fd_name_change *change,
			struct fd_file *file)
{
	const struct fd_object *old = file->object;
	char name[FD_NAME_BYTES];
	struct fd_object *fresh;
	bool from_target, certain, keeps, alone;
	enum match how;
	size_t n;

	if (!file->mask || !may_concern(change, file->mask))
		return;
	alone = old->origin == FD_NAME_ONLY && file->named_seq < change->begin_seq &&
		file->mount_seq == p->fds->room.mount_seq && !p->fds->room.nr_mounting;
	how = find(change, old->name, old->name_len, alone, &from_target);
	if (how == NO_MATCH)
		return;
	if (change->effect == FD_NAMES_ADD) {
		add_link(file);
		return;
	}
	if (change->effect == FD_NAMES_PIVOT && !fd_ns_may_be(file->mount_ns, change->mount_ns))
		return;
	/* named while the call was under way: before the change, or behind it */
	if (change->perhaps || file->named_seq >= change->begin_seq) {
		file->doubtful = true;
		return;
	}
	certain = change->effect <= FD_NAMES_REMOVE && is_certain(p, t, change, file, how) &&
		  !may_be_nothing(change, old, how);
	n = put_name(change, from_target, how, old->name, old->name_len, name);
	fresh = n ? fd_object_create((enum fd_kind)old->kind, name, n) : NULL;
	file->doubtful |= !fresh || !certain;
	if (!fresh)
		return;
	/* above its last part, the new name is as the call gave it */
	keeps = change->effect == FD_NAMES_REMOVE || (from_target && !change->exchanges);
	fresh->linked = old->linked;
	if (certain)
		fresh->origin = keeps ? old->origin : origin_of_new(from_target ? change->path : change->target, how);
	fd_file_set(file, fresh);
	file->named_seq = p->fds->room.name_seq;
	file->mount_seq = p->fds->room.mount_seq;
}

/* Where processes are. What chdir was given may have been a symbolic link, too: never sure. */
static void change_fs(struct processes *p, const struct fd_name_change *change, struct fd_fs *fs)
{
	char name[FD_NAME_BYTES];
	const struct fd_room *room = &p->fds->room;
	bool from_target, alone;
	enum match how;
	size_t n;

	if (!fs || fs->name_seq == p->fds->room.name_seq)
		return;
	if (change->effect == FD_NAMES_PIVOT && !fd_ns_may_be(fs->cwd_mount_ns, change->mount_ns) &&
	    !fd_ns_may_be(fs->mount_ns, change->mount_ns))
		return;
	fs->name_seq = p->fds->room.name_seq;
	for (int root = 0; root < 2; root++) {
		const char *old = root ? fs->root : fs->cwd;

		if (old[0] != '/')
			continue;
		alone = !root && fs->cwd_origin == FD_NAME_ONLY && fs->cwd_name_seq < change->begin_seq &&
			fs->cwd_mount_seq == room->mount_seq && !room->nr_mounting;
		how = find(change, old, strlen(old), alone, &from_target);
		if (how == NO_MATCH)
			continue;
		/* told while the call was under way: before the change, or behind it */
		n = change->perhaps || (!root && fs->cwd_name_seq >= change->begin_seq)
			    ? 0
			    : put_name(change, from_target, how, old, strlen(old), name);
		if (n && root)
			fs->root = process_table_directory(p, name, n);
		else if (n)
			process_fd_set_cwd(p, fs, process_table_directory(p, name, n), FD_NAME_GIVEN);
		if (root && !fs->root[0])
			fs->root = "?";
		*(root ? &fs->root_confirmed : &fs->confirmed) = fd_gaps(p) - 1;
		fs->seq++;
	}
}

static void remember(struct process_fds *fds, const struct fd_name_change *change)
{
	struct fd_name_change *slot = &fds->changes[fds->nr_changes++ % FD_NAME_CHANGES];

	fds->forgotten_seq = slot->end_seq;
	fd_object_release(slot->path);
	fd_object_release(slot->target);
	*slot = *change;
	fd_object_hold(slot->path);
	fd_object_hold(slot->target);
}

void process_fds_names_deinit(struct process_fds *fds)
{
	for (size_t i = 0; i < FD_NAME_CHANGES; i++) {
		fd_object_release(fds->changes[i].path);
		fd_object_release(fds->changes[i].target);
	}
}

bool process_fds_name_is_current(const struct processes *p, const struct fd_thread *t, const struct fd_object *object)
{
	uint64_t mask = object ? fd_name_mask(object) : 0;

	if (!mask)
		return true;
	if (p->fds->forgotten_seq > t->name_seq)
		return false;
	for (size_t i = 0; i < FD_NAME_CHANGES; i++) {
		const struct fd_name_change *change = &p->fds->changes[i];
		bool from_target;

		if (change->end_seq > t->name_seq && may_concern(change, mask) &&
		    find(change, object->name, object->name_len, false, &from_target) != NO_MATCH)
			return false;
	}
	return true;
}

/* ---- the calls ------------------------------------------------------------- */

/* One whose beginning is not known, or that is too long, keeps its last part. */
static struct fd_object *path_of(const struct fd_thread *t, const struct fd_object *base, const char *path, size_t n)
{
	struct fd_object *object;
	const char *slash;

	if (!path || !n)
		return NULL;
	object = fd_path_object(FD_FILE, t->fs ? t->fs->root : "", base ? base->name : NULL, path, n);
	if (object && base && path[0] != '/')
		object->origin = fd_name_origin_in(base->origin, path, n);
	if (object)
		return object;
	while (n && path[n - 1] == '/')
		n--;
	slash = memrchr(path, '/', n);
	if (slash) {
		n -= (size_t)(slash + 1 - path);
		path = slash + 1;
	}
	/* that is the name of nothing */
	if ((n == 1 || n == 2) && !memcmp(path, "..", n))
		return NULL;
	return n && n < FD_NAME_BYTES ? fd_object_create(FD_FILE, path, n) : NULL;
}

static void note_absolute(struct processes *p, struct fd_thread *t, const char *path, size_t n)
{
	if (!path || path[0] != '/')
		return;
	t->unsure |= t->fs && !fd_root_is_sure(p, t);
	/* the way up ends at the root */
	t->unsure |= t->fs && t->fs->root[0] && fd_path_goes_up(path, n);
	t->mount_ns = t->fs && !fd_path_is_in_proc(path, n) ? t->fs->mount_ns : 0;
}

/* dirfd: the argument that the path starts from, if it is relative; -1: none. */
static struct fd_object *enter_path_of(struct processes *p, struct fd_thread *t, const struct trap_view *view, int arg,
				       int dirfd, struct fd_object **base)
{
	size_t n;
	const char *path = fd_record_string(view, arg, false, &n);

	if (!path || path[0] != '/')
		*base = process_fd_base(p, t, dirfd);
	note_absolute(p, t, path, n);
	return path_of(t, *base, path, path ? n : 0);
}

static struct fd_object *late_path_of(struct processes *p, struct fd_thread *t, const struct trap_view *view, int arg,
				      const struct fd_object *base)
{
	size_t n;
	const char *path = fd_record_string(view, arg, true, &n);

	note_absolute(p, t, path, n);
	return path_of(t, base, path, path ? n : 0);
}

static int target_path(const struct fd_call *call)
{
	return call->dirfd < 0 ? call->path + 1 : call->path + 2;
}

enum fd_name_effect process_fds_names_effect(const struct fd_thread *t)
{
	uint64_t flags = t->call->flags < 0 ? 0 : t->args[t->call->flags];

	if (t->call->action == FD_DO_MOUNT && (flags & 0xffff0000u) == MS_MAGIC_)
		flags &= 0xffff;
	switch (t->call->action) {
	case FD_DO_RENAME:
		return FD_NAMES_MOVE;
	case FD_DO_UNLINK:
		return FD_NAMES_REMOVE;
	case FD_DO_LINK:
		return FD_NAMES_ADD;
	case FD_DO_MOUNT:
		return flags & MS_MOVE_ && !(flags & MS_NO_MOVE_) ? FD_NAMES_MOUNT : FD_NAMES_STAY;
	case FD_DO_MOVE_MOUNT:
		return t->from_nowhere ? FD_NAMES_STAY : FD_NAMES_MOUNT;
	case FD_DO_UMOUNT:
		return flags & MNT_DETACH_ ? FD_NAMES_DETACH : FD_NAMES_STAY;
	case FD_DO_PIVOT:
		return FD_NAMES_PIVOT;
	default:
		return FD_NAMES_STAY;
	}
}

static bool has_target(enum fd_name_effect effect)
{
	return effect == FD_NAMES_MOVE || effect == FD_NAMES_MOUNT;
}

/* Of a file that is given by its descriptor: with AT_EMPTY_PATH and its kin, or by one of the kernel's links. */
static bool enter_by_descriptor(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const struct fd_call *call = t->call;
	size_t n = 0;
	const char *path = fd_record_string(view, call->path, false, &n);
	bool is_empty = fd_record_is_empty(view, call->path);

	if (call->action == FD_DO_MOVE_MOUNT && is_empty) {
		process_fd_take_source(p, t, 0);
		/* the copy of a tree, or a new one, has the name of a root, if any */
		t->from_nowhere =
			t->file && !t->unsure && (t->file->object->name[0] != '/' || t->file->object->name_len == 1);
		t->object = t->file && !t->from_nowhere
				    ? fd_object_create(FD_FILE, t->file->object->name, t->file->object->name_len)
				    : NULL;
		return true;
	}
	if (call->action == FD_DO_LINK && is_empty)
		process_fd_take_source(p, t, 0);
	else if ((call->action != FD_DO_LINK && call->action != FD_DO_MOUNT && call->action != FD_DO_UMOUNT) || !path ||
		 !process_fd_link(p, t, &path, &n) || n)
		return false;
	if (t->file && call->action == FD_DO_LINK)
		add_link(t->file);
	t->object = t->file ? fd_object_create(FD_FILE, t->file->object->name, t->file->object->name_len) : NULL;
	return true;
}

/* Of a mount that is moved or detached: may its name have another last part than its path? */
static bool may_lead_elsewhere(const struct fd_thread *t, const struct fd_name_change *change)
{
	const struct fd_object *path = t->object;

	return (change->effect == FD_NAMES_MOUNT || change->effect == FD_NAMES_DETACH) && path &&
	       (t->unsure || fd_path_goes_up(path->name, path->name_len) ||
		fd_path_is_in_proc(path->name, path->name_len));
}

static void fill(struct fd_name_change *change, const struct fd_thread *t)
{
	uint64_t flags = t->call->flags < 0 ? 0 : t->args[t->call->flags];

	if (t->unsure && t->object)
		t->object->origin = FD_NAME_GIVEN;
	if (t->unsure && t->target)
		t->target->origin = FD_NAME_GIVEN;
	change->effect = process_fds_names_effect(t);
	change->path = t->object;
	change->target = t->target;
	change->exchanges = change->effect == FD_NAMES_MOVE && flags & RENAME_EXCHANGE_;
	change->directories =
		change->effect != FD_NAMES_ADD && (change->effect != FD_NAMES_REMOVE || t->call->removes_directory ||
						   (t->call->flags >= 0 && flags & AT_REMOVEDIR_));
	change->anywhere = may_lead_elsewhere(t, change);
	change->mount_ns = change->effect != FD_NAMES_PIVOT ? t->mount_ns : t->fs ? t->fs->mount_ns : 0;
	change->begin_seq = t->name_seq;
	change->mask = (t->object ? fd_last_name_mask(t->object) : 0) | (t->target ? fd_last_name_mask(t->target) : 0);
}

/* t: whose call it was; NULL: not known. */
static void apply(struct processes *p, const struct fd_thread *t, struct fd_name_change *change)
{
	change->end_seq = ++p->fds->room.name_seq;
	if (change->effect != FD_NAMES_ADD)
		remember(p->fds, change);
	if (may_concern_any(&p->fds->room, change)) {
		for (uint32_t fd = 0; t && fd < t->files->room; fd++)
			if (t->files->slots[fd].file)
				t->files->slots[fd].file->held_seq = change->end_seq;
		for (struct fd_file *file = p->fds->room.files; file; file = file->next)
			change_file(p, t, change, file);
	}
	for (uint32_t i = 0; change->directories && i < p->used; i++)
		if (p->threads[i].used && p->threads[i].fd)
			change_fs(p, change, p->threads[i].fd->fs);
}

/* The file has more names as soon as the call does its work, which may be long before its end. */
static void note_link(struct processes *p, const struct fd_thread *t)
{
	struct fd_name_change change = {.perhaps = true};

	fill(&change, t);
	apply(p, NULL, &change);
}

void process_fds_names_enter(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const struct fd_call *call = t->call;
	enum fd_name_effect effect;

	uint64_t mount_ns;

	t->name_seq = ++p->fds->room.name_seq;
	if (call->path >= 0 && !enter_by_descriptor(p, t, view))
		t->object = enter_path_of(p, t, view, call->path, call->dirfd, &t->base);
	mount_ns = t->mount_ns;
	effect = process_fds_names_effect(t);
	if (has_target(effect))
		t->target = enter_path_of(p, t, view, target_path(call), call->dirfd < 0 ? -1 : call->dirfd + 2,
					  &t->target_base);
	t->mount_ns = mount_ns;
	if (effect == FD_NAMES_ADD)
		note_link(p, t);
}

/* At the exit of one that went well. */
void process_fds_names_changed(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	enum fd_name_effect effect = process_fds_names_effect(t);
	struct fd_name_change change = {0};

	if (effect == FD_NAMES_STAY)
		return;
	if (!t->object && t->call->path >= 0)
		t->object = late_path_of(p, t, view, t->call->path, t->base);
	if (!t->target && has_target(effect))
		t->target = late_path_of(p, t, view, target_path(t->call), t->target_base);
	if (t->by_link)
		process_fd_link_late(p, t);
	if (t->call->action == FD_DO_MOVE_MOUNT && t->file)
		t->unsure |= !process_fd_is_still(p, t);
	t->unsure |= t->base && !process_fd_base_is_still(p, t, t->call->dirfd);
	t->unsure |= t->target_base && !process_fd_base_is_still(p, t, t->call->dirfd < 0 ? -1 : t->call->dirfd + 2);
	/* another thread has gone elsewhere, or may have */
	t->unsure |= t->fs && (t->fs->seq != t->fs_seq || fd_is_moved(t));
	if (has_target(effect) && t->object && t->target && fd_object_same(t->object, t->target))
		return;
	fill(&change, t);
	apply(p, t, &change);
}

void process_fds_names_unseen(struct processes *p, const struct fd_thread *t)
{
	struct fd_name_change change = {.perhaps = true};

	if (!t->in_call || process_fds_names_effect(t) == FD_NAMES_STAY)
		return;
	fill(&change, t);
	apply(p, NULL, &change);
}

/* What moves or detaches mounts can't be told from what does not. */
void process_fds_names_alone(struct processes *p, const struct fd_call *call)
{
	static const uint8_t effects[] = {
		[FD_DO_RENAME] = FD_NAMES_MOVE, [FD_DO_UNLINK] = FD_NAMES_REMOVE,    [FD_DO_LINK] = FD_NAMES_ADD,
		[FD_DO_MOUNT] = FD_NAMES_MOUNT, [FD_DO_MOVE_MOUNT] = FD_NAMES_MOUNT, [FD_DO_UMOUNT] = FD_NAMES_DETACH,
		[FD_DO_PIVOT] = FD_NAMES_PIVOT,
	};
	struct fd_name_change change = {.perhaps = true};

	change.effect = call->action < sizeof(effects) ? effects[call->action] : FD_NAMES_STAY;
	if (change.effect == FD_NAMES_STAY)
		return;
	change.directories = change.effect != FD_NAMES_ADD &&
			     (change.effect != FD_NAMES_REMOVE || call->removes_directory || call->flags >= 0);
	apply(p, NULL, &change);
}
