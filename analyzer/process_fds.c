/* SPDX-License-Identifier: MIT */
/* What system calls do to descriptors and directories. */
#include "process_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "linux/arg_decode.h"
#include "linux/user_abi.h"
#include "process_fds_private.h"

#define F_DUPFD_CLOEXEC_     1030
#define FIOCLEX_             0x5451
#define FIONCLEX_            0x5450
#define CLOSE_RANGE_UNSHARE_ 2
#define CLOSE_RANGE_CLOEXEC_ 4
#define EINPROGRESS_         (-115)
#define SOL_SOCKET_          1
#define SCM_RIGHTS_          1
#define LAST_ERRNO           (-4095)
#define O_TMPFILE_BIT        020000000u

/* ---- records ------------------------------------------------------------- */

static void read_args(const struct trap_view *view, uint64_t out[LINUX_SYSCALL_ARGS])
{
	static const enum trap_reg wide[] = {TRAP_REG_RDI, TRAP_REG_RSI, TRAP_REG_RDX,
					     TRAP_REG_R10, TRAP_REG_R8,  TRAP_REG_R9};
	static const enum trap_reg narrow[] = {TRAP_REG_RBX, TRAP_REG_RCX, TRAP_REG_RDX,
					       TRAP_REG_RSI, TRAP_REG_RDI, TRAP_REG_RBP};
	bool small = view->header.abi == TRAP_ABI_I386;

	for (int i = 0; i < LINUX_SYSCALL_ARGS; i++) {
		enum trap_reg reg = small ? narrow[i] : wide[i];

		/* The 32-bit SYSCALL takes ECX for itself: its stub brings the second argument in EBP. */
		if (small && i == 1 && view->header.via == TRAP_VIA_SYSCALL)
			reg = TRAP_REG_RBP;
		out[i] = small ? (uint32_t)view->regs[reg] : view->regs[reg];
	}
}

/* The first fragment of this label, with at least one byte. */
static const uint8_t *piece(const struct trap_view *view, uint8_t label, bool again, size_t *n, bool *whole)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label != label || !fragment.len_bytes || again != !!(fragment.status & TRAP_FRAG_AGAIN))
			continue;
		*n = fragment.len_bytes;
		*whole = (fragment.status & ~TRAP_FRAG_AGAIN) == TRAP_FRAG_WHOLE;
		return bytes;
	}
	return NULL;
}

/* A string that is known to its end. The generic plan takes plain bytes: a NUL tells then. */
static const char *string_piece(const struct trap_view *view, int arg, bool again, size_t *n)
{
	bool whole;
	const uint8_t *bytes = piece(view, (uint8_t)(PLAN_LABEL_ARG0 + arg), again, n, &whole);
	size_t len;

	if (!bytes)
		return NULL;
	len = strnlen((const char *)bytes, *n);
	if (len == *n && !whole)
		return NULL;
	*n = len;
	return (const char *)bytes;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* false: what it returned is not to be seen. */
static bool result_of_exit(const struct trap_view *view, int64_t *ret)
{
	struct call call = {.has_exit = true};

	if (!trap_view_has(view, TRAP_REG_RAX))
		return false;
	*ret = view->header.abi == TRAP_ABI_I386 ? (int32_t)(uint32_t)view->regs[TRAP_REG_RAX]
						 : (int64_t)view->regs[TRAP_REG_RAX];
	if (!(view->header.flags & TRAP_F_DIVERTED))
		return true;
	call.exit = *view;
	call.abi = view->header.abi;
	return call_sigframe_result(&call, ret);
}

/* ---- paths --------------------------------------------------------------- */

/* Where a relative path of this call starts; NULL: not known. */
static struct fd_object *base_of(struct processes *p, struct fd_thread *t, const struct fd_call *call)
{
	const struct fd_slot *slot;
	int32_t dirfd = call->dirfd < 0 ? AT_FDCWD_ : (int32_t)(uint32_t)t->args[call->dirfd];

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
}

static uint64_t open_flags(const struct fd_thread *t)
{
	return t->call->action == FD_DO_OPEN && t->call->flags >= 0 ? (uint32_t)t->args[t->call->flags] : 0;
}

static void enter_path(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = string_piece(view, t->call->path, false, &n);

	if (!path || path[0] != '/')
		t->base = base_of(p, t, t->call);
	t->unsure |= path && path[0] == '/' && t->fs && !fd_root_is_sure(p, t);
	if (path)
		make_path(t, path, n, open_flags(t));
}

/* At the exit: a path that was not in memory yet, and whether what it starts from has changed meanwhile. */
static void late_path(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	const char *path = t->object ? NULL : string_piece(view, t->call->path, true, &n);

	t->unsure |= path && path[0] == '/' && t->fs && !fd_root_is_sure(p, t);
	if (path)
		make_path(t, path, n, open_flags(t));
	/* another thread has gone elsewhere */
	t->unsure |= t->fs && t->fs->seq != t->fs_seq && (t->base || t->fs->root[0] || t->fs_root[0]);
}

/* ---- changes ------------------------------------------------------------- */

static void set_slot(struct processes *p, struct fd_thread *t, int64_t fd, struct fd_file *file, bool cloexec,
		     bool unsure, uint64_t tsc)
{
	uint32_t confirmed = fd_confirmed(p, tsc);

	/* others, whose table it may not be after all, are to see it as unsure, too */
	unsure |= t->guessed && t->files->refs > 1;
	if (!file) {
		fd_table_clear(t->files, fd);
		return;
	}
	fd_table_set(&p->fds->room, t->files, fd, file, cloexec, unsure ? fd_gaps(p) - 1 : confirmed);
}

static bool cloexec_of(const struct fd_thread *t)
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
static bool is_still(struct processes *p, struct fd_thread *t)
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
		set_slot(p, t, (int32_t)(uint32_t)t->args[0], fd_file_create(&p->fds->room, object),
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
	const uint8_t *address = piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);

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
	const uint8_t *bytes = piece(view, (uint8_t)(PLAN_LABEL_ARG0 + arg), false, &n, &whole);

	for (size_t i = 0; bytes && n >= 8 && i < 2; i++)
		set_slot(p, t, (int32_t)le32(bytes + 4 * i), fd_file_create(&p->fds->room, make(t)), cloexec_of(t),
			 false, view->header.tsc);
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

	if (t->call->kind == FD_PIDFD)
		snprintf(text, sizeof(text), "pid:%d", (int32_t)(uint32_t)t->args[0]);
	else if (names[t->call->kind])
		snprintf(text, sizeof(text), "anon_inode:%s", names[t->call->kind]);
	return fd_object_create((enum fd_kind)t->call->kind, text, strlen(text));
}

static struct fd_object *make_memfd(const struct trap_view *enter, const struct fd_thread *t)
{
	char text[FD_NAME_BYTES];
	size_t n;
	const char *name = string_piece(enter, t->call->path, false, &n);
	int len = name ? snprintf(text, sizeof(text), "/memfd:%.*s (deleted)", (int)(n < 256 ? n : 256), name) : 0;

	return len > 0 ? fd_object_create(FD_MEMFD, text, (size_t)len) : NULL;
}

/* Descriptors in the list of struct cmsghdr {size_t len; int level, type}: what they are is the sender's matter. */
static void received(struct fd_thread *t, const struct trap_view *view)
{
	const struct user_msghdr *layout = user_msghdr(view->header.abi == TRAP_ABI_I386);
	size_t word = view->header.abi == TRAP_ABI_I386 ? 4 : 8, head = word + 8, at = 0;
	struct trap_fragment fragment;
	const uint8_t *bytes, *list = NULL;
	size_t position = 0, n = 0;
	uint64_t control = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		if (fragment.label == PLAN_LABEL_ARG0 + 1 && fragment.len_bytes >= layout->size_bytes)
			control = word == 8 ? le64(bytes + layout->control) : le32(bytes + layout->control);
		else if (fragment.label == PLAN_LABEL_DEEP0 + 1 && control && fragment.gva == control)
			list = bytes, n = fragment.len_bytes;
	}
	while (list && n - at >= head) {
		uint64_t len = word == 8 ? le64(list + at) : le32(list + at);

		if (len < head || len > n - at)
			return;
		if (le32(list + at + word) == SOL_SOCKET_ && le32(list + at + word + 4) == SCM_RIGHTS_)
			for (size_t i = at + head; i + 4 <= at + len; i += 4)
				fd_table_clear(t->files, (int32_t)le32(list + i));
		at += (len + word - 1) / word * word;
		if (at > n)
			return;
	}
}

static struct fd_file *file_of_other(struct processes *p, struct fd_thread *t, bool *unsure)
{
	const struct fd_slot *pidfd = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[0]), *slot;
	uint32_t i;
	int pid;

	if (!pidfd || pidfd->file->object->kind != FD_PIDFD || sscanf(pidfd->file->object->name, "pid:%d", &pid) != 1)
		return NULL;
	i = process_table_find(&p->by_tid, (uint32_t)pid);
	if (i == PROCESS_NONE || !p->threads[i].fd || !p->threads[i].fd->files)
		return NULL;
	slot = fd_table_slot(p->threads[i].fd->files, (int32_t)(uint32_t)t->args[1]);
	*unsure = !slot || !fd_is_sure(p, p->threads[i].fd, slot) || !fd_is_sure(p, t, pidfd);
	return slot ? fd_file_hold(slot->file) : NULL;
}

static void change_directory(struct processes *p, struct fd_thread *t, const struct trap_view *view)
{
	const char *path;
	uint32_t confirmed;

	if (!t->fs)
		return;
	if (t->call->path >= 0)
		late_path(p, t, view);
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

static void take_source(struct processes *p, struct fd_thread *t, int arg)
{
	const struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[arg]);

	t->file = slot ? fd_file_hold(slot->file) : NULL;
	t->unsure = slot && !fd_is_sure(p, t, slot);
}

/* From now on it may be the copy, or what it was. */
static void doubt_target(struct processes *p, struct fd_thread *t)
{
	struct fd_slot *slot = fd_table_slot(t->files, (int32_t)(uint32_t)t->args[1]);

	if ((uint32_t)t->args[0] == (uint32_t)t->args[1] || !slot)
		return;
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

	switch (t->call->action) {
	case FD_DO_OPENAT2:
		bytes = piece(view, PLAN_LABEL_ARG0 + 2, false, &n, &whole);
		t->openat2_cloexec = bytes && n >= 8 && le64(bytes) & O_CLOEXEC;
		enter_path(p, t, view);
		break;
	case FD_DO_OPEN:
	case FD_DO_CHDIR:
	case FD_DO_CHROOT:
		enter_path(p, t, view);
		break;
	case FD_DO_FCHDIR:
		take_source(p, t, 0);
		t->object = t->file && t->file->object->name[0] == '/' ? fd_object_hold(t->file->object) : NULL;
		break;
	case FD_DO_MEMFD:
		t->object = make_memfd(view, t);
		break;
	case FD_DO_DUP2:
	case FD_DO_DUP3:
		take_source(p, t, 0);
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
		take_source(p, t, 0);
		break;
	case FD_DO_BIND:
	case FD_DO_CONNECT:
		take_source(p, t, 0);
		/* kept as a name until it is known how the call ends */
		bytes = piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		if (bytes && n > (uint32_t)t->args[2])
			n = (uint32_t)t->args[2];
		t->object = bytes ? fd_object_create(FD_OTHER, (const char *)bytes, n) : NULL;
		break;
	case FD_DO_CLOSE:
		/* Another thread may get the number before this call is seen to end. */
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[0]);
		break;
	case FD_DO_CLOSE_RANGE:
		close_range(p, t, false);
		break;
	default:
		break;
	}
}

void process_fd_call_over(struct fd_thread *t)
{
	fd_object_release(t->object);
	fd_object_release(t->base);
	fd_file_release(t->file);
	t->object = t->base = NULL;
	t->file = NULL;
	t->in_call = t->unsure = t->openat2_cloexec = t->has_target = false;
}

static void note_clone_flags(struct fd_thread *t, const struct trap_view *view)
{
	t->delivered = false;
	t->child = 0;
	t->clone_flags_known = process_clone_flags(view, &t->clone_flags);
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
	process_fd_call_over(t);
	t->in_call = true;
	t->call = call;
	t->abi = view->header.abi;
	t->nr = trap_syscall_nr(t->abi, view->regs[TRAP_REG_RAX]);
	read_args(view, t->args);
	t->gaps = fd_gaps(p);
	t->snapshots = p->fds->snapshots;
	t->fs_seq = t->fs ? t->fs->seq : 0;
	t->fs_root = t->fs ? t->fs->root : "";
	t->files_seq = t->files->seq;
	note_clone_flags(t, view);
	fill_args(p, t, call, out);
	if (call->action != FD_DO_NOTHING)
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
static void exit_alone(struct processes *p, struct fd_thread *t, const struct fd_call *call, int64_t ret)
{
	if (makes_fd(call, NULL))
		fd_table_clear(t->files, ret);
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
	set_slot(p, t, ret, file, cloexec, t->unsure, tsc);
	slot = fd_table_slot(t->files, ret);
	if (!slot)
		return;
	out->objects[CALL_FDS_RET] = fd_object_hold(slot->file->object);
	if (!fd_is_sure(p, t, slot))
		out->uncertain |= 1u << CALL_FDS_RET;
}

static void opened(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret,
		   struct call_fds *out)
{
	late_path(p, t, view);
	if (!t->object)
		t->object = fd_object_create(kind_of_open(t, open_flags(t)), "", 0);
	put_result(p, t, ret, fd_file_create(&p->fds->room, fd_object_hold(t->object)), cloexec_of(t), view->header.tsc,
		   out);
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
		if (!is_still(p, t))
			return;
		bytes = piece(view, PLAN_LABEL_ARG0 + 1, true, &n, &whole);
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
		bytes = piece(view, PLAN_LABEL_ARG0 + 1, false, &n, &whole);
		if (!ret && bytes && is_still(p, t))
			tell_socket(p, t, bytes, n, t->call->action == FD_DO_GETPEERNAME, tsc);
		return;
	case FD_DO_LISTEN:
		if (!ret && is_still(p, t))
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
		put_result(p, t, ret, fd_file_create(&p->fds->room, make_new(t)), cloexec_of(t), tsc, out);
		t->files->async |= t->call->kind == FD_IO_URING;
		return;
	case FD_DO_MEMFD:
		if (!t->object)
			t->object = fd_object_create(FD_MEMFD, "", 0);
		put_result(p, t, ret, fd_file_create(&p->fds->room, fd_object_hold(t->object)), cloexec_of(t), tsc,
			   out);
		return;
	case FD_DO_SIGNALFD:
		if ((int32_t)(uint32_t)t->args[0] == -1)
			put_result(p, t, ret, fd_file_create(&p->fds->room, make_new(t)), cloexec_of(t), tsc, out);
		return;
	case FD_DO_SOCKET:
		put_result(p, t, ret, fd_file_create(&p->fds->room, make_socket(t)), cloexec_of(t), tsc, out);
		return;
	case FD_DO_ACCEPT:
		put_result(p, t, ret, fd_file_create(&p->fds->room, accepted(t, view)), cloexec_of(t), tsc, out);
		return;
	case FD_DO_PIDFD_GETFD:
		file = file_of_other(p, t, &t->unsure);
		put_result(p, t, ret, file, true, tsc, out);
		return;
	case FD_DO_DUP2:
		if ((uint32_t)t->args[0] == (uint32_t)t->args[1])
			return;
		/* fall through */
	case FD_DO_DUP3:
		t->unsure |= !target_is_same(t);
		/* fall through */
	case FD_DO_DUP:
		t->unsure |= !is_still(p, t);
		put_result(p, t, ret, fd_file_hold(t->file), cloexec_of(t), tsc, out);
		return;
	case FD_DO_FCNTL:
		if (!makes_fd(t->call, t) && (uint32_t)t->args[1] != F_SETFD)
			return;
		t->unsure |= !is_still(p, t);
		if (makes_fd(t->call, t))
			put_result(p, t, ret, fd_file_hold(t->file), (uint32_t)t->args[1] == F_DUPFD_CLOEXEC_, tsc,
				   out);
		else if (slot)
			slot->cloexec = t->args[2] & FD_CLOEXEC;
		return;
	case FD_DO_IOCTL:
		if (slot && ((uint32_t)t->args[1] == FIOCLEX_ || (uint32_t)t->args[1] == FIONCLEX_) && is_still(p, t))
			slot->cloexec = (uint32_t)t->args[1] == FIOCLEX_;
		return;
	case FD_DO_PIPE:
		made_pair(p, t, view, 0, make_pipe);
		return;
	case FD_DO_SOCKETPAIR:
		made_pair(p, t, view, 3, make_socket);
		return;
	case FD_DO_RECVMSG:
		received(t, view);
		return;
	case FD_DO_GETDENTS:
		if (slot && is_still(p, t) && slot->file->object->kind == FD_FILE)
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
	known = result_of_exit(view, &ret);
	if (!known)
		ret = INT64_MIN;
	if (!t->in_call || t->gaps != fd_gaps(p) || (call && call != t->call)) {
		if (call)
			exit_alone(p, t, call, known ? ret : -1);
		process_fd_call_over(t);
		return;
	}
	if (t->call->action == FD_DO_BIND || t->call->action == FD_DO_CONNECT || t->call->action == FD_DO_GETSOCKNAME ||
	    t->call->action == FD_DO_GETPEERNAME || t->call->action == FD_DO_LISTEN)
		end_socket_call(p, t, view, ret);
	else if (t->call->action != FD_DO_NOTHING && ret >= 0)
		end(p, i, t, view, ret, out);
	else if (known && (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3))
		restore_target(t);
	else if (!known && (t->call->action == FD_DO_DUP2 || t->call->action == FD_DO_DUP3))
		fd_table_clear(t->files, (int32_t)(uint32_t)t->args[1]);
	process_fd_call_over(t);
}
