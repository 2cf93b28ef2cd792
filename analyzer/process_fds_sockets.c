/* SPDX-License-Identifier: MIT */
/* What calls tell of sockets. */
#include <string.h>
#include <sys/socket.h>

#include "fd_record.h"
#include "process_fds_private.h"

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
	/* a datagram socket that goes to another, or to none: its name may be that of the one before */
	if (t->call->action == FD_DO_CONNECT && socket.role == FD_ROLE_CLIENT)
		name_len = 0;
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

void process_fd_take_address_room(struct fd_thread *t, const struct trap_view *view)
{
	size_t n;
	bool whole;
	const uint8_t *bytes = fd_record_piece(view, PLAN_LABEL_ARG0 + 2, false, &n, &whole);

	t->address_room = bytes && n >= 4 ? fd_record_u32(bytes) : 0;
}

/* NULL: there was no room for all of it, and what is behind was there before. */
static const uint8_t *written_address(const struct fd_thread *t, const struct trap_view *view, size_t *n)
{
	bool whole;
	const uint8_t *address = fd_record_piece(view, PLAN_LABEL_ARG0 + 1, false, n, &whole);

	return address && *n <= t->address_room ? address : NULL;
}

struct fd_object *process_fd_accepted(struct fd_thread *t, const struct trap_view *view)
{
	struct fd_object *listener = t->file ? t->file->object : NULL;
	struct fd_socket socket = {0};
	const char *path;
	size_t n, path_len;
	uint16_t family;
	const uint8_t *address = written_address(t, view, &n);

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

struct fd_object *process_fd_make_socket(const struct fd_thread *t)
{
	struct fd_socket socket = {
		.family = (uint16_t)t->args[0], .type = (uint8_t)(t->args[1] & 0xf), .protocol = (uint8_t)t->args[2]};

	return fd_object_create_socket(&socket, "", 0);
}

void process_fds_any_socket_call(struct processes *p, struct fd_thread *t)
{
	for (uint32_t fd = 0; fd < t->files->room; fd++) {
		struct fd_file *file = t->files->slots[fd].file;

		if (file && file->object->kind == FD_SOCKET)
			file->doubtful = true;
	}
	p->fds->room.blind_sends++;
}

void process_fds_socket_end(struct processes *p, struct fd_thread *t, const struct trap_view *view, int64_t ret)
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
		bytes = written_address(t, view, &n);
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
