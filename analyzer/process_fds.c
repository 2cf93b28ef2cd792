/* SPDX-License-Identifier: MIT */
/* What system calls do to descriptors and directories. */
#include "process_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fd_link.h"
#include "fd_record.h"
#include "linux/user_abi.h"
#include "process_fds_private.h"

#define F_DUPFD_CLOEXEC_     1030
#define FIOCLEX_             0x5451
#define FIONCLEX_            0x5450
#define CLOSE_RANGE_UNSHARE_ 2
#define CLOSE_RANGE_CLOEXEC_ 4
#define EINPROGRESS_         (-115)
#define EBADF_               (-9)
#define INIT_PIDNS           0xeffffffcu /* linux/proc_ns.h: PROC_PID_INIT_INO */
#define SQPOLL_              2           /* linux/io_uring.h: IORING_SETUP_SQPOLL */
#define LAST_ERRNO           (-4095)
#define O_TMPFILE_BIT        020000000u

/* ---- paths --------------------------------------------------------------- */

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

static void enter_path(struct processes *p, struct fd_thread *t, const struct trap_view *view)
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
static void late_path(struct processes *p, struct fd_thread *t, const struct trap_view *view)
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

/* ---- changes ------------------------------------------------------------- */

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

	return call->cloexec == UINT32_MAX || t->openat2_cloexec ||
	       (call->flags >= 0 && t->args[call->flags] & call->cloexec);
}

static void close_range(struct processes *p, struct fd_thread *t, bool at_exit)
{
	uint64_t first = (uint32_t)t->args[0], last = (uint32_t)t->args[1], flags = t->args[2];

	if (flags & CLOSE_RANGE_UNSHARE_ && !at_exit)
		process_fds_unshare_files(p, t);
	if (!!(flags & CLOSE_RANGE_CLOEXEC_) != at_exit)
		return;
	for (uint64_t fd = first; fd <= last && fd < t->files->room; fd++) {
		if (!t->files->slots[fd].file)
			continue;
		if (at_exit)
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

/* What a socket is told of, on top of what was known, if that is sure. */
static void tell_socket(struct processes *p, struct fd_thread *t, const uint8_t *address, size_t n, bool is_peer,
			uint64_t tsc)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);
	bool sure = slot && fd_is_sure(p, t, slot) && slot->file->object->kind == FD_SOCKET;
	struct fd_socket socket = sure ? slot->file->object->socket : (struct fd_socket){0};
	const char *path = "", *name = sure ? slot->file->object->name : "";
	size_t path_len, name_len = sure ? slot->file->object->name_len : 0;
	struct fd_endpoint endpoint;
	struct fd_object *object;
	uint16_t family;

	if (!address || !fd_sockaddr_read(address, n, &family, &endpoint, &path, &path_len)) {
		/* the address is another now, and not known */
		endpoint = (struct fd_endpoint){0};
		path_len = 0;
		family = socket.family;
	}
	if (!socket.family)
		socket.family = family;
	if (family != socket.family) /* AF_UNSPEC takes the peer away */
		endpoint = (struct fd_endpoint){0};
	if (path_len && path[0] && name_len < 2) {
		name = path;
		name_len = path_len;
	} else if (path_len > 1 && !path[0] && name_len < 2) {
		char text[FD_NAME_BYTES];

		text[0] = '@';
		path_len = path_len < sizeof(text) ? path_len : sizeof(text);
		memcpy(text + 1, path + 1, path_len - 1);
		object = NULL;
		if (is_peer)
			socket.role = FD_ROLE_CLIENT;
		object = fd_object_create_socket(&socket, text, path_len);
		goto set;
	}
	if (is_peer) {
		socket.peer = endpoint;
	} else {
		socket.local = endpoint;
		if (!endpoint.port) /* the kernel chooses one */
			socket.local.known = false;
	}
	if (is_peer && t->call->action == FD_DO_CONNECT)
		socket.role = FD_ROLE_CLIENT;
	object = fd_object_create_socket(&socket, name, name_len);
set:
	if (!object)
		return;
	if (sure)
		fd_file_set(slot->file, object);
	else
		process_fd_set(p, t, (int32_t)(uint32_t)t->args[0], fd_file_create(&p->fds->room, object),
			       slot && slot->cloexec, false, tsc);
}

static void listening(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);
	struct fd_object *old = slot ? slot->file->object : NULL;
	struct fd_socket socket;

	if (!old || old->kind != FD_SOCKET || !fd_is_sure(p, t, slot))
		return;
	socket = old->socket;
	socket.listening = true;
	socket.role = FD_ROLE_SERVER;
	fd_file_set(slot->file, fd_object_create_socket(&socket, old->name, old->name_len));
}

static bool is_any(const struct fd_endpoint *endpoint)
{
	static const uint8_t any[sizeof(endpoint->address)];

	return !memcmp(endpoint->address, any, sizeof(any));
}

static struct fd_object *accepted(struct fd_thread *t, const struct trap_view *view)
{
	struct fd_object *listener = t->file ? t->file->object : NULL;
	struct fd_socket socket = {0};
	const char *path;
	size_t n, path_len;
	uint16_t family;
	bool whole;
	const uint8_t *address = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);

	if (listener && listener->kind == FD_SOCKET) {
		socket = listener->socket;
		socket.listening = false;
		socket.peer = (struct fd_endpoint){0};
		if (socket.local.known && is_any(&socket.local))
			socket.local.known = false;
	}
	socket.role = FD_ROLE_SERVER;
	if (address && fd_sockaddr_read(address, n, &family, &socket.peer, &path, &path_len) &&
	    (!socket.family || socket.family == family))
		socket.family = family;
	else
		socket.peer = (struct fd_endpoint){0};
	return fd_object_create_socket(&socket, listener ? listener->name : "",
				       listener && socket.family == AF_UNIX ? listener->name_len : 0);
}

/* Two descriptors that the call has written to memory. */
static void made_pair(struct processes *p, struct fd_thread *t, const struct trap_view *view, int arg,
		      struct fd_object *(*make)(const struct fd_thread *t))
{
	size_t n;
	bool whole;
	const uint8_t *bytes = fd_record_piece(view, (uint8_t)(PLAN_LABEL_ARG0 + arg), false, &n, &whole);
	struct fd_file *pair[2];

	if (!bytes || n < 8)
		return;
	for (size_t i = 0; i < 2; i++)
		pair[i] = fd_file_create(&p->fds->room, make(t));
	if (t->call->action == FD_DO_SOCKETPAIR && pair[0] && pair[1])
		fd_link_join(pair[0], pair[1], fd_gaps(p));
	for (size_t i = 0; i < 2; i++)
		process_fd_set(p, t, (int32_t)fd_record_u32(bytes + 4 * i), pair[i], process_fd_cloexec(t), false,
			       view->header.tsc);
}

static struct fd_object *make_pipe(const struct fd_thread *t)
{
	return fd_object_create(FD_PIPE, "", 0);
}

static struct fd_object *make_socket(const struct fd_thread *t)
{
	struct fd_socket socket = {
		.family = (uint16_t)t->args[0], .type = (uint8_t)(t->args[1] & 0xf), .protocol = (uint8_t)t->args[2]};

	return fd_object_create_socket(&socket, "", 0);
}

static struct fd_object *make_new(const struct fd_thread *t)
{
	static const char *const names[FD_KINDS] = {
		[FD_EVENTFD] = "[eventfd]",   [FD_EPOLL] = "[eventpoll]",         [FD_TIMERFD] = "[timerfd]",
		[FD_SIGNALFD] = "[signalfd]", [FD_INOTIFY] = "inotify",           [FD_FANOTIFY] = "[fanotify]",
		[FD_IO_URING] = "[io_uring]", [FD_USERFAULTFD] = "[userfaultfd]", [FD_PERF] = "[perf_event]",
	};
	char text[64] = "";

	if (names[t->call->kind])
		snprintf(text, sizeof(text), "anon_inode:%s", names[t->call->kind]);
	return fd_object_create((enum fd_kind)t->call->kind, text, strlen(text));
}

static struct fd_object *make_memfd(const struct trap_view *enter, const struct fd_thread *t)
{
	char text[FD_NAME_BYTES];
	size_t n;
	const char *name = fd_record_string(enter, t->call->path, false, &n);
	int len = name ? snprintf(text, sizeof(text), "/memfd:%.*s (deleted)", (int)(n < 256 ? n : 256), name) : 0;

	return len > 0 ? fd_object_create(FD_MEMFD, text, (size_t)len) : NULL;
}

/* A number of another namespace's is none that the table of processes has. */
static struct fd_object *make_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, int32_t pid)
{
	uint32_t pidns = p->threads[i].pub.pidns;
	char text[32];

	t->unsure |= !pidns;
	if (pidns && pidns != INIT_PIDNS)
		return fd_object_create(FD_PIDFD, "anon_inode:[pidfd]", 18);
	snprintf(text, sizeof(text), "pid:%d", pid);
	return fd_object_create(FD_PIDFD, text, strlen(text));
}

/* What pidfd_getfd copies; NULL: not known. */
static struct fd_slot *slot_of_other(struct processes *p, struct fd_thread *t)
{
	const struct fd_slot *pidfd = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]);
	struct fd_slot *slot;
	uint32_t i;
	int pid;

	if (!pidfd || pidfd->file->object->kind != FD_PIDFD || sscanf(pidfd->file->object->name, "pid:%d", &pid) != 1)
		return NULL;
	i = process_table_find(&p->by_tid, (uint32_t)pid);
	if (i == PROCESS_NONE || !p->threads[i].fd || !p->threads[i].fd->files)
		return NULL;
	slot = fd_table_slot(p->threads[i].fd->files, (int32_t)(uint32_t)t->args[1]);
	t->unsure |= slot && (!fd_is_sure(p, p->threads[i].fd, slot) || !fd_is_sure(p, t, pidfd));
	return slot;
}

/* Both, another thread and the other process, may have changed theirs meanwhile: then it is the one or the other. */
static struct fd_file *copied_from_other(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = slot_of_other(p, t);

	if (t->file && slot && slot->file == t->file)
		return fd_file_hold(t->file);
	t->unsure = true;
	return fd_file_create(&p->fds->room, fd_object_create(FD_RECEIVED, "", 0));
}

/* The descriptor that clone and clone3 write to memory. */
static void made_pidfd(struct processes *p, uint32_t i, struct fd_thread *t, const struct trap_view *view, int64_t ret)
{
	const uint8_t *bytes;
	size_t n;
	bool whole;

	if (ret <= 0 || !t->clone_flags_known || !(t->clone_flags & CLONE_PIDFD_FLAG))
		return;
	if (t->call->action == FD_DO_CLONE)
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 2, false, &n, &whole);
	else
		bytes = t->pidfd_gva ? fd_record_piece_at(view, PLAN_LABEL_DEEP0, t->pidfd_gva, &n, &whole) : NULL;
	if (bytes && n >= 4) {
		struct fd_object *object = make_pidfd(p, i, t, (int32_t)ret);

		process_fd_set(p, t, (int32_t)fd_record_u32(bytes), fd_file_create(&p->fds->room, object), true,
			       t->unsure, view->header.tsc);
	}
}

/* Which inner call of socketcall it was is not known: a socket may be called otherwise now, and ret may be a new one.
 */
static void any_socket_call(struct processes *p, struct fd_thread *t)
{
	for (uint32_t fd = 0; fd < t->files->room; fd++) {
		const struct fd_file *file = t->files->slots[fd].file;

		if (file && file->object->kind == FD_SOCKET)
			t->files->slots[fd].confirmed = fd_gaps(p) - 1;
	}
	p->fds->room.blind_sends++;
}

static void change_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const char *path;
	uint32_t confirmed;

	if (!t->fs)
		return;
	if (t->call->path >= 0)
		late_path(p, t, view);
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

static void set_uid(struct processes *p, uint32_t i, uint32_t uid, bool sure)
{
	struct thread_entry *entry = &p->threads[i];

	if (uid == UINT32_MAX || (entry->pub.uid_known && entry->pub.uid == uid))
		return;
	entry->pub.uid = uid;
	entry->pub.uid_known = sure;
}

/* ---- entry ---------------------------------------------------------------- */

static void fill_args(struct processes *p, struct fd_thread *t, const struct fd_call *call, struct call_fds *out)
{
	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		const struct fd_slot *slot;

		if (!(call->fd_args & 1u << i))
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

void process_fd_take_source(struct processes *p, struct fd_thread *t, int arg)
{
	const struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[arg]);

	t->file = slot ? fd_file_hold(slot->file) : NULL;
	t->unsure = slot && !fd_is_sure(p, t, slot);
}

/* From now on it may be the copy, or what it was. */
static void doubt_target(struct processes *p, struct fd_thread *t)
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

static bool target_is_same(const struct fd_thread *t)
{
	const struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1]);

	return (slot ? slot->seq : 0) == (t->has_target ? t->target_seq : 0);
}

static void restore_target(struct fd_thread *t)
{
	if (t->has_target && target_is_same(t))
		fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1])->confirmed = t->target_confirmed;
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
		t->openat2_cloexec = bytes && n >= 8 && fd_record_u64(bytes) & O_CLOEXEC;
		enter_path(p, t, view);
		break;
	case FD_DO_OPEN:
	case FD_DO_CHDIR:
	case FD_DO_CHROOT:
		enter_path(p, t, view);
		break;
	case FD_DO_FCHDIR:
		process_fd_take_source(p, t, 0);
		t->object = t->file && t->file->object->name[0] == '/' ? fd_object_hold(t->file->object) : NULL;
		break;
	case FD_DO_MEMFD:
		t->object = make_memfd(view, t);
		break;
	case FD_DO_DUP2:
	case FD_DO_DUP3:
		process_fd_take_source(p, t, 0);
		doubt_target(p, t);
		break;
	case FD_DO_DUP:
	case FD_DO_FCNTL:
	case FD_DO_IOCTL:
	case FD_DO_ACCEPT:
	case FD_DO_LISTEN:
	case FD_DO_GETSOCKNAME:
	case FD_DO_GETPEERNAME:
	case FD_DO_GETDENTS:
		process_fd_take_source(p, t, 0);
		break;
	case FD_DO_RENAME:
	case FD_DO_UNLINK:
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
		slot = slot_of_other(p, t);
		t->file = slot ? fd_file_hold(slot->file) : NULL;
		break;
	case FD_DO_IO_URING:
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		/* a thread of the kernel's takes what is asked for, without a call */
		t->ring_polls = !bytes || n < 12 || fd_record_u32(bytes + 8) & SQPOLL_;
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
		close_range(p, t, false);
		break;
	default:
		break;
	}
}

void process_fd_call_over(struct fd_thread *t)
{
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
	t->in_call = t->unsure = t->openat2_cloexec = t->has_target = false;
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
	process_fds_names_unseen(p, t);
	process_fd_call_over(t);
	t->in_call = true;
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

/* The exit of a call whose entry was lost: a new descriptor is not known, and any may have been closed. */
static void exit_alone(struct processes *p, struct fd_thread *t, const struct fd_call *call, bool known, int64_t ret)
{
	if ((call->action == FD_DO_RENAME || call->action == FD_DO_UNLINK) && (!known || ret >= 0))
		process_fds_names_alone(p, call);
	if (makes_fd(call, NULL))
		fd_table_clear(t->files, ret);
	else if (call->action == FD_DO_SOCKETCALL)
		any_socket_call(p, t);
	else if (t->fs && call->action == FD_DO_CHROOT && ret >= 0)
		t->fs->root = "?";
	else if (t->fs && call->action == FD_DO_CHROOT)
		t->fs->root_confirmed = fd_gaps(p) - 1;
	else if (t->fs && (call->action == FD_DO_CHDIR || call->action == FD_DO_FCHDIR))
		t->fs->confirmed = fd_gaps(p) - 1;
	if (call->action != FD_DO_CLOSE && call->action != FD_DO_CLOSE_RANGE)
		return;
	for (uint32_t fd = 0; fd < t->files->room; fd++)
		t->files->slots[fd].confirmed = fd_gaps(p) - 1;
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
	late_path(p, t, view);
	if (!t->object)
		t->object = fd_object_create(kind_of_open(t, open_flags(t)), "", 0);
	put_result(p, t, ret, fd_file_create(&p->fds->room, fd_object_hold(t->object)), process_fd_cloexec(t),
		   view->header.tsc, out);
}

static void end_socket_call(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret)
{
	uint64_t tsc = view->header.tsc;
	const uint8_t *bytes;
	size_t n = 0;
	bool whole;

	switch (t->call->action) {
	case FD_DO_BIND:
	case FD_DO_CONNECT:
		if (ret && !(t->call->action == FD_DO_CONNECT && ret == EINPROGRESS_))
			return;
		if (!process_fd_is_still(p, t))
			return;
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, true, &n, &whole);
		if (n > (uint32_t)t->args[2])
			n = (uint32_t)t->args[2];
		if (t->object)
			tell_socket(p, t, (const uint8_t *)t->object->name, t->object->name_len,
				    t->call->action == FD_DO_CONNECT, tsc);
		else
			tell_socket(p, t, bytes, n, t->call->action == FD_DO_CONNECT, tsc);
		return;
	case FD_DO_GETSOCKNAME:
	case FD_DO_GETPEERNAME:
		bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		if (!ret && bytes && process_fd_is_still(p, t))
			tell_socket(p, t, bytes, n, t->call->action == FD_DO_GETPEERNAME, tsc);
		return;
	case FD_DO_LISTEN:
		if (!ret && process_fd_is_still(p, t))
			listening(p, t);
		return;
	default:
		return;
	}
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
	case FD_DO_NEW:
		file = fd_file_create(&p->fds->room, t->call->kind == FD_PIDFD
							     ? make_pidfd(p, i, t, (int32_t)(uint32_t)t->args[0])
							     : make_new(t));
		put_result(p, t, ret, file, process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_IO_URING:
		put_result(p, t, ret, fd_file_create(&p->fds->room, make_new(t)), true, tsc, out);
		if (t->ring_polls)
			process_fd_is_async(p, t->files);
		return;
	case FD_DO_CLONE:
	case FD_DO_CLONE3:
		made_pidfd(p, i, t, view, ret);
		return;
	case FD_DO_SOCKETCALL:
		any_socket_call(p, t);
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
			put_result(p, t, ret, fd_file_create(&p->fds->room, make_new(t)), process_fd_cloexec(t), tsc,
				   out);
		return;
	case FD_DO_SOCKET:
		put_result(p, t, ret, fd_file_create(&p->fds->room, make_socket(t)), process_fd_cloexec(t), tsc, out);
		return;
	case FD_DO_ACCEPT:
		put_result(p, t, ret, fd_file_create(&p->fds->room, accepted(t, view)), process_fd_cloexec(t), tsc,
			   out);
		return;
	case FD_DO_PIDFD_GETFD:
		put_result(p, t, ret, copied_from_other(p, t), true, tsc, out);
		return;
	case FD_DO_DUP2:
		if ((uint32_t)t->args[0] == (uint32_t)t->args[1])
			return;
		/* fall through */
	case FD_DO_DUP3:
		t->unsure |= !target_is_same(t);
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
		if (slot && ((uint32_t)t->args[1] == FIOCLEX_ || (uint32_t)t->args[1] == FIONCLEX_) &&
		    process_fd_is_still(p, t))
			slot->cloexec = (uint32_t)t->args[1] == FIOCLEX_;
		return;
	case FD_DO_PIPE:
		made_pair(p, t, view, 0, make_pipe);
		return;
	case FD_DO_SOCKETPAIR:
		made_pair(p, t, view, 3, make_socket);
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
		close_range(p, t, true);
		if (t->snapshots != p->fds->snapshots)
			close_range(p, t, false);
		return;
	case FD_DO_RENAME:
	case FD_DO_UNLINK:
		process_fds_names_changed(p, t, view);
		return;
	case FD_DO_CHDIR:
	case FD_DO_CHROOT:
	case FD_DO_FCHDIR:
		change_directory(p, t, view);
		return;
	case FD_DO_UNSHARE:
		if (t->args[0] & CLONE_NEWPID_FLAG)
			p->threads[i].pub.child_pidns = 0;
		if (t->args[0] & CLONE_FILES_FLAG)
			process_fds_unshare_files(p, t);
		if (t->args[0] & (CLONE_FS_FLAG | CLONE_NEWNS_FLAG))
			process_fds_unshare_fs(t);
		return;
	case FD_DO_LOSE_NAMES:
		p->threads[i].pub.child_pidns = 0;
		if (t->fs) {
			process_fds_unshare_fs(t);
			t->fs->cwd = "";
			/* that of the namespace, or below where it was */
			if (t->fs->root[0])
				t->fs->root = "?";
			t->fs->seq++;
		}
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
	int64_t ret;
	bool known;

	memset(out, 0, sizeof(*out));
	if (!t || !t->files)
		return;
	known = fd_record_result(view, &ret);
	if (!known)
		ret = INT64_MIN;
	if (!t->in_call || t->gaps != fd_gaps(p) || (call && call != t->outer)) {
		process_fds_names_unseen(p, t);
		if (call)
			exit_alone(p, t, call, known, known ? ret : -1);
		process_fd_call_over(t);
		return;
	}
	if (t->call->action == FD_DO_BIND || t->call->action == FD_DO_CONNECT || t->call->action == FD_DO_GETSOCKNAME ||
	    t->call->action == FD_DO_GETPEERNAME || t->call->action == FD_DO_LISTEN)
		end_socket_call(p, t, view, ret);
	else if (t->call->action == FD_DO_SENDMSG || t->call->action == FD_DO_SENDMMSG ||
		 t->call->action == FD_DO_RECVMSG || t->call->action == FD_DO_RECVMMSG || t->call->action == FD_DO_RECV)
		process_fds_rights_exit(p, t, view, known, ret);
	else if (t->call->action != FD_DO_NOTHING && ret >= 0)
		end(p, i, t, view, ret, out);
	else if (!known && (t->call->action == FD_DO_RENAME || t->call->action == FD_DO_UNLINK))
		process_fds_names_unseen(p, t);
	else if (known && (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3))
		restore_target(t);
	else if (known && t->call->action == FD_DO_CLOSE && ret == EBADF_)
		fd_table_closed_nothing(t->files, (uint32_t)t->args[0], (uint32_t)t->args[0]);
	else if (!known && (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3))
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[1]);
	process_fd_call_over(t);
}
