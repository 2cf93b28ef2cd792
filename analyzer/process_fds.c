/* SPDX-License-Identifier: MIT */
/* What system calls do to descriptors and directories. */
#include <fcntl.h>
#include <string.h>

#include "fd_link.h"
#include "fd_record.h"
#include "linux/user_abi.h"
#include "process_fds_private.h"

#define F_DUPFD_CLOEXEC_     1030
#define FIOCLEX_             0x5451
#define FIONCLEX_            0x5450
#define CLOSE_RANGE_UNSHARE_ 2
#define CLOSE_RANGE_CLOEXEC_ 4
#define TREE_CLONE_          1           /* OPEN_TREE_CLONE */
#define SECCOMP_ADD_FD_      0x40182103u /* linux/seccomp.h: SECCOMP_IOCTL_NOTIF_ADDFD */
#define OPEN_HOW_BYTES       24          /* linux/openat2.h: struct open_how {u64 flags, mode, resolve} */
/* linux/io_uring.h: IORING_SETUP_SQPOLL, IORING_SETUP_REGISTERED_FD_ONLY, IORING_ENTER_REGISTERED_RING,
 * IORING_REGISTER_USE_REGISTERED_RING */
#define SQPOLL_          2u
#define REGISTERED_ONLY_ (1u << 15)
#define BY_INDEX_        (1u << 4)
#define INDEXED_         (1u << 31)

static void set_uid(struct processes *p, uint32_t i, uint32_t uid, bool sure)
{
	struct thread_entry *entry = &p->threads[i];

	if (uid == UINT32_MAX || (entry->pub.uid_known && entry->pub.uid == uid))
		return;
	entry->pub.uid = uid;
	entry->pub.uid_known = sure;
}

/* ---- entry ---------------------------------------------------------------- */

/* The ring is given by its number in a list of the thread's own, and not by a descriptor. */
static bool is_by_index(const struct fd_call *call, const struct fd_thread *t)
{
	return (call->action == FD_DO_IO_URING_ENTER && t->args[3] & BY_INDEX_) ||
	       (call->action == FD_DO_IO_URING_REGISTER && t->args[1] & INDEXED_);
}

static void fill_args(struct processes *p, struct fd_thread *t, const struct fd_call *call, struct call_fds *out)
{
	if (is_by_index(call, t))
		out->args = 0;
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		const struct fd_slot *slot;

		if (!(out->args & 1u << i))
			continue;
		slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[i]);
		if (!slot)
			continue;
		out->objects[i] = fd_object_hold(slot->file->object);
		if (!fd_is_sure(p, t, slot))
			out->uncertain |= (uint8_t)(1u << i);
	}
	if (t->fs) {
		out->cwd = t->fs->cwd;
		out->root = t->fs->root;
		out->cwd_uncertain = !fd_cwd_is_sure(p, t);
		out->root_uncertain = !fd_root_is_sure(p, t);
	}
}

static bool changes_mounts(const struct fd_call *call)
{
	return call->action == FD_DO_MOUNT || call->action == FD_DO_MOVE_MOUNT || call->action == FD_DO_UMOUNT ||
	       call->action == FD_DO_PIVOT || call->action == FD_DO_LOSE_NAMES;
}

static void change_mounts(struct processes *p, struct fd_thread *t, bool begins)
{
	t->mounts = begins;
	p->fds->room.mount_seq++;
	p->fds->room.nr_mounting += begins ? 1 : -1u;
}

static void begin(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	bool whole;
	const uint8_t *bytes;
	const struct fd_slot *slot;

	switch (t->call->action) {
	case FD_DO_OPENAT2:
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 2, false, &n, &whole);
		if (bytes && n >= OPEN_HOW_BYTES) {
			t->how_flags = fd_record_u64(bytes);
			t->how_resolve = fd_record_u64(bytes + 16);
		} else {
			t->unsure = true;
		}
		process_fd_path_enter(p, t, view);
		break;
	case FD_DO_CHDIR:
	case FD_DO_CHROOT:
		process_fd_moves(t, true);
		/* fall through */
	case FD_DO_OPEN:
	case FD_DO_OPEN_TREE:
		process_fd_path_enter(p, t, view);
		break;
	case FD_DO_MOUNT:
	case FD_DO_MOVE_MOUNT:
	case FD_DO_UMOUNT:
	case FD_DO_PIVOT:
		change_mounts(p, t, true);
		process_fds_names_enter(p, t, view);
		break;
	case FD_DO_LOSE_NAMES:
		change_mounts(p, t, true);
		break;
	case FD_DO_FCHDIR:
		process_fd_moves(t, true);
		process_fd_take_source(p, t, 0);
		t->object = t->file && t->file->object->name[0] == '/' ? fd_object_hold(t->file->object) : NULL;
		break;
	case FD_DO_MEMFD:
		t->object = process_fd_make_memfd(view, t);
		break;
	case FD_DO_DUP2:
	case FD_DO_DUP3:
		process_fd_take_source(p, t, 0);
		process_fd_doubt_target(p, t);
		break;
	case FD_DO_DUP:
	case FD_DO_FCNTL:
	case FD_DO_LISTEN:
	case FD_DO_GETDENTS:
		process_fd_take_source(p, t, 0);
		break;
	case FD_DO_IOCTL:
		/* into the table of whoever's call is being decided */
		if ((uint32_t)t->args[1] == SECCOMP_ADD_FD_)
			process_fds_unattributed(p);
		process_fd_take_source(p, t, 0);
		break;
	case FD_DO_ACCEPT:
	case FD_DO_GETSOCKNAME:
	case FD_DO_GETPEERNAME:
		process_fd_take_address_room(t, view);
		process_fd_take_source(p, t, 0);
		break;
	case FD_DO_RENAME:
	case FD_DO_UNLINK:
	case FD_DO_LINK:
		process_fds_names_enter(p, t, view);
		break;
	case FD_DO_SENDMSG:
	case FD_DO_SENDMMSG:
	case FD_DO_RECVMSG:
	case FD_DO_RECVMMSG:
	case FD_DO_RECV:
		process_fds_rights_enter(p, t, view);
		break;
	case FD_DO_CLONE3:
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0, false, &n, &whole);
		t->pidfd_gva = bytes && n >= CLONE_ARGS_PIDFD + 8 ? fd_record_u64(bytes + CLONE_ARGS_PIDFD) : 0;
		break;
	case FD_DO_PIDFD_GETFD:
		slot = process_fd_slot_of_other(p, t);
		t->file = slot ? fd_file_hold(slot->file) : NULL;
		break;
	case FD_DO_IO_URING:
		t->ring_flags = UINT32_MAX;
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		/* polling, a thread of the kernel's takes what is asked for, without a call */
		if (bytes && n >= 12)
			t->ring_flags = fd_record_u32(bytes + 8);
		break;
	case FD_DO_IO_URING_ENTER:
		/* What it asks for lies in memory that both share, and is not captured: it may open and close. */
		process_fd_is_async(p, t->files);
		break;
	case FD_DO_BIND:
	case FD_DO_CONNECT:
		process_fd_take_source(p, t, 0);
		fd_link_break(t->file);
		/* kept as a name until it is known how the call ends */
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		if (bytes && n > (uint32_t)t->args[2])
			n = (uint32_t)t->args[2];
		t->object = bytes ? fd_object_create(FD_OTHER, (const char *)bytes, n) : NULL;
		break;
	case FD_DO_CLOSE:
		/* Another thread may get the number before this call is seen to end. */
		if (!fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]))
			fd_table_closes_unknown(t->files, (uint32_t)t->args[0], (uint32_t)t->args[0]);
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[0]);
		break;
	case FD_DO_CLOSE_RANGE:
		if (!(t->args[2] & (CLOSE_RANGE_CLOEXEC_ | CLOSE_RANGE_UNSHARE_)))
			fd_table_closes_unknown(t->files, (uint32_t)t->args[0], (uint32_t)t->args[1]);
		process_fd_close_range(p, t, false);
		break;
	default:
		break;
	}
}

void process_fd_call_over(struct processes *p, struct fd_thread *t)
{
	if (t->mounts)
		change_mounts(p, t, false);
	process_fd_moves(t, false);
	if (t->waits)
		fd_link_wait(t->file, false);
	fd_object_release(t->object);
	fd_object_release(t->base);
	fd_object_release(t->target);
	fd_object_release(t->target_base);
	fd_file_release(t->file);
	t->object = t->base = t->target = t->target_base = NULL;
	t->file = NULL;
	t->message_id = 0;
	t->waits = false;
	t->by_link = false;
	t->mount_ns = t->how_flags = t->how_resolve = 0;
	t->in_call = t->unsure = t->has_target = t->from_nowhere = false;
}

static void note_clone_flags(struct fd_thread *t, const struct trap_view *view)
{
	t->delivered = false;
	t->child = 0;
	t->clone_flags_known = process_clone_flags(view, &t->clone_flags);
}

/* The call that socketcall stands for, whose arguments lie in memory. */
static void enter_socketcall(struct processes *p, struct fd_thread *t, const struct trap_view *view,
			     struct call_fds *out)
{
	uint64_t number = t->args[0];
	size_t n;
	bool whole;
	const uint8_t *bytes = fd_record_piece(view, PLAN_LABEL_DEEP0 + 1, false, &n, &whole);

	if (!bytes || n < 4 * (size_t)LINUX_SYSCALL_ARGS || number >= MULTIPLEXED_SOCKET_CALLS ||
	    !fd_call_of_socketcall(number, &p->fds->socketcalls[number]))
		return;
	t->call = &p->fds->socketcalls[number];
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++)
		t->args[i] = fd_record_u32(bytes + 4 * i);
	out->args = t->call->fd_args;
	out->in_memory = true;
	out->first = (int32_t)(uint32_t)t->args[0];
}

void process_fds_enter(struct processes *p, const struct trap_view *view, const struct fd_call *call,
		       struct call_fds *out)
{
	uint32_t i = process_table_find(&p->by_task, view->regs[TRAP_REG_TASK]);
	struct fd_thread *t = i == PROCESS_NONE ? NULL : process_fd_thread(p, i);

	memset(out, 0, sizeof(*out));
	out->args = call->fd_args;
	out->dir_args = call->dir_args;
	if (!t || !t->files)
		return;
	process_fd_call_unseen(p, t);
	process_fd_call_over(p, t);
	t->in_call = true;
	t->at = i;
	t->call = t->outer = call;
	t->abi = view->header.abi;
	t->nr = trap_syscall_nr(t->abi, view->regs[TRAP_REG_RAX]);
	fd_record_args(view, t->args);
	t->gaps = fd_gaps(p);
	t->snapshots = p->fds->snapshots;
	t->fs_seq = t->fs ? t->fs->seq : 0;
	t->fs_root = t->fs ? t->fs->root : "";
	t->files_seq = t->files->seq;
	t->files_then = t->files;
	t->name_seq = p->fds->room.name_seq;
	note_clone_flags(t, view);
	if (call->action == FD_DO_SOCKETCALL)
		enter_socketcall(p, t, view, out);
	fill_args(p, t, t->call, out);
	if (t->call->action != FD_DO_NOTHING)
		begin(p, t, view);
}

/* ---- exit ------------------------------------------------------------------ */

static bool makes_fd(const struct fd_call *call, const struct fd_thread *t)
{
	switch (call->action) {
	case FD_DO_OPEN:
	case FD_DO_OPENAT2:
	case FD_DO_OPEN_TREE:
	case FD_DO_NEW:
	case FD_DO_MEMFD:
	case FD_DO_SIGNALFD:
	case FD_DO_IO_URING:
	case FD_DO_PIDFD_GETFD:
	case FD_DO_DUP:
	case FD_DO_DUP2:
	case FD_DO_DUP3:
	case FD_DO_SOCKET:
	case FD_DO_ACCEPT:
		return true;
	case FD_DO_FCNTL:
		return t && ((uint32_t)t->args[1] == F_DUPFD || (uint32_t)t->args[1] == F_DUPFD_CLOEXEC_);
	default:
		return false;
	}
}

/* Of namespaces and mounts that are others now. */
static void lose_directories(struct processes *p, struct fd_thread *t)
{
	if (!t->fs)
		return;
	process_fds_unshare_fs(t);
	process_fd_set_cwd(p, t->fs, "", FD_NAME_GIVEN);
	/* that of the namespace, or below where it was */
	if (t->fs->root[0])
		t->fs->root = "?";
	t->fs->seq++;
}

/* Of a thread in namespaces that are not known. */
static void lose_namespaces(struct processes *p, struct fd_thread *t)
{
	lose_directories(p, t);
	if (t->fs)
		t->fs->mount_ns = t->fs->cwd_mount_ns = 0;
}

static void doubt_numbers(struct processes *p, struct fd_table *files, uint64_t first, uint64_t last)
{
	for (uint64_t fd = first; fd <= last && fd < files->room; fd++)
		files->slots[fd].confirmed = fd_gaps(p) - 1;
}

/* A call may have changed where fs is, and did not tell to where. */
static void doubt_directory(struct processes *p, struct fd_fs *fs, bool root)
{
	*(root ? &fs->root_confirmed : &fs->confirmed) = fd_gaps(p) - 1;
	fs->seq++;
}

/* A call has been made, or may have been, and half of it was not seen: what does not depend on which half. */
static void doubt_thread(struct processes *p, struct fd_thread *t, const struct fd_call *call)
{
	switch (call->action) {
	case FD_DO_SOCKETCALL:
		process_fds_any_socket_call(p, t);
		return;
	case FD_DO_PIVOT:
		lose_directories(p, t);
		return;
	case FD_DO_LOSE_NAMES:
		lose_namespaces(p, t);
		return;
	case FD_DO_UNSHARE: /* it may share its table and directories still, or not */
		t->guessed = true;
		return;
	default:
		return;
	}
}

/* The exit of a call whose entry was lost: a new descriptor is not known, and any may have been closed. */
static void exit_alone(struct processes *p, struct fd_thread *t, const struct fd_call *call, bool known, int64_t ret)
{
	if (changes_mounts(call))
		p->fds->room.mount_seq++;
	/* a close that fails may have closed it */
	if (known && ret < 0 && !(call->action == FD_DO_CONNECT && ret == EINPROGRESS_) &&
	    !(call->action == FD_DO_CLOSE && ret != EBADF_))
		return;
	process_fds_names_alone(p, call);
	process_fds_rights_alone(p, call);
	if (makes_fd(call, NULL))
		fd_table_clear(t->files, ret);
	switch (call->action) {
	case FD_DO_BIND:
	case FD_DO_CONNECT:
		process_fds_any_socket_call(p, t);
		return;
	case FD_DO_CHROOT:
		if (t->fs)
			t->fs->root = "?";
		return;
	case FD_DO_CHDIR:
	case FD_DO_FCHDIR:
		if (t->fs)
			doubt_directory(p, t->fs, false);
		return;
	case FD_DO_CLOSE:
	case FD_DO_CLOSE_RANGE:
		doubt_numbers(p, t->files, 0, UINT32_MAX);
		return;
	default:
		doubt_thread(p, t, call);
		return;
	}
}

/* An ioctl or fcntl that tells whether an exec closes the descriptor. */
static bool sets_cloexec(const struct fd_thread *t)
{
	uint32_t command = (uint32_t)t->args[1];

	return t->call->action == FD_DO_FCNTL ? command == F_SETFD : command == FIOCLEX_ || command == FIONCLEX_;
}

void process_fd_call_unseen(struct processes *p, struct fd_thread *t)
{
	struct fd_fs *fs = t->moves ? t->moves : t->fs;

	if (!t->in_call || !t->files)
		return;
	process_fds_names_unseen(p, t);
	process_fds_rights_unseen(p, t);
	switch (t->call->action) {
	case FD_DO_DUP2:
	case FD_DO_DUP3:
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[1]);
		return;
	case FD_DO_FCNTL:
	case FD_DO_IOCTL:
		if (sets_cloexec(t))
			doubt_numbers(p, t->files, (uint32_t)t->args[0], (uint32_t)t->args[0]);
		return;
	case FD_DO_CLOSE:
		if (t->snapshots != p->fds->snapshots)
			fd_table_clear(t->files, (int32_t)(uint32_t)t->args[0]);
		return;
	case FD_DO_CLOSE_RANGE:
		doubt_numbers(p, t->files, (uint32_t)t->args[0], (uint32_t)t->args[1]);
		return;
	case FD_DO_BIND:
	case FD_DO_CONNECT:
		if (t->file)
			t->file->doubtful = true;
		return;
	case FD_DO_IO_URING:
		if (t->ring_flags & SQPOLL_) /* or not known */
			process_fd_is_async(p, t->files);
		return;
	case FD_DO_CHROOT:
	case FD_DO_CHDIR:
	case FD_DO_FCHDIR:
		if (fs)
			doubt_directory(p, fs, t->call->action == FD_DO_CHROOT);
		return;
	default:
		doubt_thread(p, t, t->call);
		return;
	}
}

static void put_result(struct processes *p, struct fd_thread *t, int64_t ret, struct fd_file *file, bool cloexec,
		       uint64_t tsc, struct call_fds *out)
{
	const struct fd_slot *slot;

	out->makes_fd = true;
	out->objects[CALL_FDS_RET] = file ? fd_object_hold(file->object) : NULL;
	process_fd_set(p, t, ret, file, cloexec, t->unsure, tsc);
	slot = fd_table_slot(t->files, ret);
	if (!slot) {
		/* no room for it */
		fd_object_release(out->objects[CALL_FDS_RET]);
		out->objects[CALL_FDS_RET] = NULL;
	} else if (slot->file == file ? !fd_is_sure(p, t, slot) : t->unsure) {
		out->uncertain |= 1u << CALL_FDS_RET;
	}
}

static void opened(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret,
		   struct call_fds *out)
{
	struct fd_file *file;

	process_fd_path_late(p, t, view);
	if (!t->object)
		t->object = process_fd_path_unknown(t);
	file = fd_file_create(&p->fds->room, fd_object_hold(t->object));
	if (file)
		file->mount_ns = t->mount_ns;
	put_result(p, t, ret, file, process_fd_cloexec(t), view->header.tsc, out);
}

static void end(struct processes *p, uint32_t i, struct fd_thread *t, const struct trap_view *view, int64_t ret,
		struct call_fds *out)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);
	uint64_t tsc = view->header.tsc;
	struct fd_file *file;

	switch (t->call->action) {
	case FD_DO_OPEN:
	case FD_DO_OPENAT2:
		opened(p, t, view, ret, out);
		return;
	case FD_DO_OPEN_TREE:
		if (!(t->args[2] & TREE_CLONE_))
			opened(p, t, view, ret, out);
		else /* mounted nowhere, it has no path */
			put_result(p, t, ret, fd_file_create(&p->fds->room, fd_object_create(FD_OTHER, "", 0)),
				   process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_NEW:
		file = fd_file_create(&p->fds->room,
				      t->call->kind == FD_PIDFD
					      ? process_fd_make_pidfd(p, i, t, (int32_t)(uint32_t)t->args[0])
					      : process_fd_make_new(t));
		put_result(p, t, ret, file, process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_IO_URING:
		/* not known: then it is one or the other */
		t->unsure |= t->ring_flags == UINT32_MAX;
		if (t->ring_flags == UINT32_MAX || !(t->ring_flags & REGISTERED_ONLY_))
			put_result(p, t, ret, fd_file_create(&p->fds->room, process_fd_make_new(t)), true, tsc, out);
		if (t->ring_flags & SQPOLL_)
			process_fd_is_async(p, t->files);
		return;
	case FD_DO_CLONE:
	case FD_DO_CLONE3:
		process_fd_made_pidfd(p, i, t, view, ret);
		return;
	case FD_DO_SOCKETCALL:
		process_fds_any_socket_call(p, t);
		fd_table_clear(t->files, ret);
		return;
	case FD_DO_MEMFD:
		if (!t->object)
			t->object = fd_object_create(FD_MEMFD, "", 0);
		put_result(p, t, ret, fd_file_create(&p->fds->room, fd_object_hold(t->object)), process_fd_cloexec(t),
			   tsc, out);
		return;
	case FD_DO_SIGNALFD:
		if ((int32_t)(uint32_t)t->args[0] == -1)
			put_result(p, t, ret, fd_file_create(&p->fds->room, process_fd_make_new(t)),
				   process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_SOCKET:
		put_result(p, t, ret, fd_file_create(&p->fds->room, process_fd_make_socket(t)), process_fd_cloexec(t),
			   tsc, out);
		return;
	case FD_DO_ACCEPT:
		put_result(p, t, ret, fd_file_create(&p->fds->room, process_fd_accepted(t, view)),
			   process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_PIDFD_GETFD:
		put_result(p, t, ret, process_fd_copied_from_other(p, t), true, tsc, out);
		return;
	case FD_DO_DUP2:
		if ((uint32_t)t->args[0] == (uint32_t)t->args[1])
			return;
		/* fall through */
	case FD_DO_DUP3:
		t->unsure |= !process_fd_target_is_same(t);
		/* fall through */
	case FD_DO_DUP:
		t->unsure |= !process_fd_is_still(p, t);
		put_result(p, t, ret, fd_file_hold(t->file), process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_FCNTL:
		if (!makes_fd(t->call, t) && (uint32_t)t->args[1] != F_SETFD)
			return;
		t->unsure |= !process_fd_is_still(p, t);
		if (makes_fd(t->call, t))
			put_result(p, t, ret, fd_file_hold(t->file), (uint32_t)t->args[1] == F_DUPFD_CLOEXEC_, tsc,
				   out);
		else if (slot)
			slot->cloexec = t->args[2] & FD_CLOEXEC;
		return;
	case FD_DO_IOCTL:
		if (slot && sets_cloexec(t) && process_fd_is_still(p, t))
			slot->cloexec = (uint32_t)t->args[1] == FIOCLEX_;
		return;
	case FD_DO_PIPE:
		process_fd_made_pair(p, t, view, 0, process_fd_make_pipe);
		return;
	case FD_DO_SOCKETPAIR:
		process_fd_made_pair(p, t, view, 3, process_fd_make_socket);
		return;
	case FD_DO_GETDENTS:
		if (slot && process_fd_is_still(p, t) && slot->file->object->kind == FD_FILE)
			fd_file_set(slot->file, fd_object_create(FD_DIRECTORY, slot->file->object->name,
								 slot->file->object->name_len));
		return;
	case FD_DO_CLOSE:
		/* Not yet done as the snapshot was taken that came in between. */
		if (t->snapshots != p->fds->snapshots && slot && slot->seq <= t->files->snapshot_seq)
			fd_table_clear(t->files, (int32_t)(uint32_t)t->args[0]);
		return;
	case FD_DO_CLOSE_RANGE:
		process_fd_close_range(p, t, true);
		if (t->snapshots != p->fds->snapshots)
			process_fd_close_range(p, t, false);
		return;
	case FD_DO_RENAME:
	case FD_DO_UNLINK:
	case FD_DO_LINK:
	case FD_DO_MOUNT:
	case FD_DO_MOVE_MOUNT:
	case FD_DO_UMOUNT:
		process_fds_names_changed(p, t, view);
		return;
	case FD_DO_PIVOT:
		process_fds_names_changed(p, t, view);
		lose_directories(p, t);
		return;
	case FD_DO_CHDIR:
	case FD_DO_CHROOT:
	case FD_DO_FCHDIR:
		process_fd_moves(t, false);
		process_fd_change_directory(p, t, view);
		return;
	case FD_DO_GETCWD:
		process_fd_told_directory(p, t, view);
		return;
	case FD_DO_UNSHARE:
		if (t->args[0] & CLONE_NEWPID_FLAG)
			p->threads[i].pub.child_pidns = 0;
		if (t->args[0] & CLONE_FILES_FLAG)
			process_fds_unshare_files(p, t);
		if (t->args[0] & (CLONE_FS_FLAG | CLONE_NEWNS_FLAG))
			process_fds_unshare_fs(t);
		if (t->args[0] & CLONE_NEWNS_FLAG && t->fs)
			process_fd_new_mounts(p, t->fs);
		return;
	case FD_DO_LOSE_NAMES:
		p->threads[i].pub.child_pidns = 0;
		lose_namespaces(p, t);
		return;
	case FD_DO_SETUID:
		set_uid(p, i, (uint32_t)t->args[0], false);
		return;
	case FD_DO_SETRESUID:
		set_uid(p, i, (uint32_t)t->args[0], true);
		return;
	default:
		return;
	}
}

void process_fds_exit(struct processes *p, const struct trap_view *view, const struct fd_call *call,
		      struct call_fds *out)
{
	uint32_t i = process_table_find(&p->by_task, view->regs[TRAP_REG_TASK]);
	struct fd_thread *t = i == PROCESS_NONE ? NULL : process_fd_thread(p, i);
	int64_t ret = -1;
	bool known;

	memset(out, 0, sizeof(*out));
	if (!t || !t->files)
		return;
	known = fd_record_result(view, &ret);
	if (!t->in_call || t->gaps != fd_gaps(p) || (call && call != t->outer)) {
		process_fd_call_unseen(p, t);
		if (call)
			exit_alone(p, t, call, known, ret);
		process_fd_call_over(p, t);
		return;
	}
	if (fd_call_is_message(t->call))
		process_fds_rights_exit(p, t, view, known, ret);
	else if (!known)
		process_fd_call_unseen(p, t);
	else if (t->call->action == FD_DO_BIND || t->call->action == FD_DO_CONNECT ||
		 t->call->action == FD_DO_GETSOCKNAME || t->call->action == FD_DO_GETPEERNAME ||
		 t->call->action == FD_DO_LISTEN)
		process_fds_socket_end(p, t, view, ret);
	else if (t->call->action != FD_DO_NOTHING && ret >= 0)
		end(p, i, t, view, ret, out);
	else if (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3)
		process_fd_restore_target(t);
	else if (t->call->action == FD_DO_CLOSE && ret == EBADF_)
		fd_table_closed_nothing(t->files, (uint32_t)t->args[0], (uint32_t)t->args[0]);
	process_fd_call_over(p, t);
}
