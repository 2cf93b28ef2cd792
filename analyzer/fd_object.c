/* SPDX-License-Identifier: MIT */
#include "fd_object.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FAMILY_BYTES 2

struct fd_object *fd_object_create(enum fd_kind kind, const char *name, size_t name_len)
{
	struct fd_object *object;

	if (name_len >= FD_NAME_BYTES)
		name_len = 0;
	object = calloc(1, sizeof(*object) + name_len + 1);
	if (!object)
		return NULL;
	object->refs = 1;
	object->kind = (uint8_t)kind;
	object->name_len = (uint16_t)name_len;
	if (name_len)
		memcpy(object->name, name, name_len);
	return object;
}

struct fd_object *fd_object_create_socket(const struct fd_socket *socket, const char *name, size_t name_len)
{
	struct fd_object *object = fd_object_create(FD_SOCKET, name, name_len);

	if (object)
		object->socket = *socket;
	return object;
}

struct fd_object *fd_object_hold(struct fd_object *object)
{
	if (object)
		object->refs++;
	return object;
}

void fd_object_release(struct fd_object *object)
{
	if (object && !--object->refs)
		free(object);
}

uint8_t fd_name_origin_in(uint8_t directory_origin, const char *path, size_t n)
{
	if (directory_origin < FD_NAME_KERNEL || !n || memchr(path, '/', n) || (n == 1 && path[0] == '.') ||
	    (n == 2 && path[0] == '.' && path[1] == '.'))
		return FD_NAME_GIVEN;
	/* something may be mounted there, which has other names, too */
	return directory_origin == FD_NAME_KERNEL ? FD_NAME_KERNEL : FD_NAME_PLACED;
}

static bool same_endpoint(const struct fd_endpoint *a, const struct fd_endpoint *b)
{
	return a->known == b->known &&
	       (!a->known || (a->port == b->port && !memcmp(a->address, b->address, sizeof(a->address))));
}

bool fd_object_same(const struct fd_object *a, const struct fd_object *b)
{
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind || a->name_len != b->name_len || memcmp(a->name, b->name, a->name_len))
		return false;
	return a->kind != FD_SOCKET ||
	       (a->socket.family == b->socket.family && a->socket.type == b->socket.type &&
		a->socket.listening == b->socket.listening && same_endpoint(&a->socket.local, &b->socket.local) &&
		same_endpoint(&a->socket.peer, &b->socket.peer));
}

static uint64_t component_hash(const char *text, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	return hash;
}

/* The hash of the part at *at, which goes on to the next; false: there is none. */
static bool next_part(const char **at, const char *end, uint64_t *hash)
{
	const char *slash, *stop;

	if (*at >= end)
		return false;
	slash = memchr(*at + 1, '/', (size_t)(end - *at - 1));
	stop = slash ? slash : end;
	*hash = component_hash(*at + 1, (size_t)(stop - *at - 1));
	*at = stop;
	return true;
}

static uint64_t last_hash(const struct fd_object *object)
{
	const char *slash = memrchr(object->name, '/', object->name_len), *at = slash ? slash + 1 : object->name;

	return component_hash(at, object->name_len - (size_t)(at - object->name));
}

static bool may_be_renamed(const struct fd_object *object)
{
	return (object->kind == FD_FILE || object->kind == FD_DIRECTORY) && object->name[0] == '/';
}

uint64_t fd_name_mask(const struct fd_object *object)
{
	const char *at = object->name, *end = object->name + object->name_len;
	uint64_t mask = 0, hash;

	while (may_be_renamed(object) && next_part(&at, end, &hash))
		mask |= 1ull << (hash >> 58);
	return mask;
}

uint64_t fd_last_name_mask(const struct fd_object *object)
{
	return 1ull << (last_hash(object) >> 58);
}

void fd_name_count(const struct fd_object *object, uint32_t counts[FD_NAME_PARTS], bool more)
{
	const char *at = object->name, *end = object->name + object->name_len;
	uint64_t hash;

	while (may_be_renamed(object) && next_part(&at, end, &hash))
		counts[hash % FD_NAME_PARTS] += more ? 1 : -1u;
}

uint32_t fd_last_name_count(const struct fd_object *object, const uint32_t counts[FD_NAME_PARTS])
{
	return counts[last_hash(object) % FD_NAME_PARTS];
}

bool fd_object_is_inet(const struct fd_object *object)
{
	return object && object->kind == FD_SOCKET &&
	       (object->socket.family == AF_INET || object->socket.family == AF_INET6);
}

const char *fd_object_type(const struct fd_object *object)
{
	static const char *const names[FD_KINDS] = {
		[FD_FILE] = "file",
		[FD_DIRECTORY] = "directory",
		[FD_PIPE] = "pipe",
		[FD_EVENTFD] = "event",
		[FD_EPOLL] = "eventpoll",
		[FD_MEMFD] = "memfd",
		[FD_TIMERFD] = "timerfd",
		[FD_SIGNALFD] = "signalfd",
		[FD_INOTIFY] = "inotify",
		[FD_FANOTIFY] = "fanotify",
		[FD_IO_URING] = "io_uring",
		[FD_PIDFD] = "pidfd",
		[FD_USERFAULTFD] = "userfaultfd",
		[FD_BPF] = "bpf",
		[FD_PERF] = "perf",
		[FD_RECEIVED] = "received",
		[FD_OTHER] = "other",
	};

	if (!object)
		return NULL;
	if (object->kind != FD_SOCKET)
		return object->kind < FD_KINDS ? names[object->kind] : NULL;
	switch (object->socket.family) {
	case AF_INET:
		return "ipv4";
	case AF_INET6:
		return "ipv6";
	case AF_UNIX:
		return "unix";
	case AF_NETLINK:
		return "netlink";
	case AF_PACKET:
		return "packet";
	case AF_VSOCK:
		return "vsock";
	default:
		return "socket";
	}
}

const char *fd_object_protocol(const struct fd_object *object)
{
	const struct fd_socket *s;

	if (!object || object->kind != FD_SOCKET)
		return NULL;
	s = &object->socket;
	switch (s->family) {
	case AF_INET:
	case AF_INET6:
		if (s->type == SOCK_STREAM)
			return !s->protocol || s->protocol == IPPROTO_TCP ? "TCP" : "STREAM";
		if (s->type == SOCK_DGRAM)
			return !s->protocol || s->protocol == IPPROTO_UDP ? "UDP" : "DGRAM";
		return s->type == SOCK_RAW ? "RAW" : NULL;
	case AF_UNIX:
		return s->type == SOCK_STREAM      ? "UNIX-STREAM"
		       : s->type == SOCK_DGRAM     ? "UNIX-DGRAM"
		       : s->type == SOCK_SEQPACKET ? "UNIX-SEQPACKET"
						   : "UNIX";
	case AF_NETLINK:
		return "NETLINK";
	case AF_PACKET:
		return "PACKET";
	default:
		return NULL;
	}
}

void fd_endpoint_put_address(const struct fd_object *object, const struct fd_endpoint *endpoint, struct strbuf *out)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (endpoint->known)
		inet_ntop(object->socket.family == AF_INET ? AF_INET : AF_INET6, endpoint->address, text, sizeof(text));
	strbuf_put(out, text);
}

void fd_endpoint_put(const struct fd_object *object, const struct fd_endpoint *endpoint, struct strbuf *out)
{
	bool brackets = endpoint->known && object->socket.family == AF_INET6;

	if (brackets)
		strbuf_put_char(out, '[');
	fd_endpoint_put_address(object, endpoint, out);
	if (brackets)
		strbuf_put_char(out, ']');
	if (endpoint->port)
		strbuf_printf(out, ":%u", endpoint->port);
}

bool fd_object_put_name(const struct fd_object *object, struct strbuf *out)
{
	const struct fd_socket *s;

	if (!object)
		return false;
	s = &object->socket;
	if (!fd_object_is_inet(object) || (!s->local.known && !s->local.port && !s->peer.known && !s->peer.port)) {
		strbuf_put_bytes(out, object->name, object->name_len);
		return object->name_len;
	}
	fd_endpoint_put(object, &s->local, out);
	if (!s->peer.known && !s->peer.port)
		return true;
	strbuf_put(out, "->");
	fd_endpoint_put(object, &s->peer, out);
	return true;
}

bool fd_sockaddr_read(const uint8_t *bytes, size_t n, uint16_t *family, struct fd_endpoint *out, const char **path,
		      size_t *path_len)
{
	*out = (struct fd_endpoint){0};
	*path_len = 0;
	if (n < FAMILY_BYTES)
		return false;
	*family = (uint16_t)(bytes[0] | bytes[1] << 8);
	if (*family == AF_UNIX) {
		*path = (const char *)bytes + FAMILY_BYTES;
		*path_len = n - FAMILY_BYTES;
		/* abstract names begin with a NUL, and have their length by the address's alone */
		if (*path_len && (*path)[0])
			*path_len = strnlen(*path, *path_len);
		return true;
	}
	if (*family == AF_INET && n >= 8) { /* family, port, address */
		memcpy(out->address, bytes + 4, 4);
	} else if (*family == AF_INET6 && n >= 24) { /* family, port, flow, address */
		memcpy(out->address, bytes + 8, 16);
	} else {
		return false;
	}
	out->port = (uint16_t)(bytes[2] << 8 | bytes[3]);
	out->known = true;
	return true;
}
