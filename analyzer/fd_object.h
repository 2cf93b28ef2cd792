/* SPDX-License-Identifier: MIT */
/*
 * fd_object.h - what a file descriptor refers to, as far as known. An object
 * never changes: what a socket learns later makes a new one, so that a call that
 * is shown late shows what was known as it was made. Counted references; one
 * thread at a time.
 */
#ifndef FD_OBJECT_H
#define FD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

enum fd_kind {
	FD_UNKNOWN,
	FD_FILE, /* opened by a path, and not known to be a directory */
	FD_DIRECTORY,
	FD_SOCKET,
	FD_PIPE,
	FD_EVENTFD,
	FD_EPOLL,
	FD_MEMFD,
	FD_TIMERFD,
	FD_SIGNALFD,
	FD_INOTIFY,
	FD_FANOTIFY,
	FD_IO_URING,
	FD_PIDFD,
	FD_USERFAULTFD,
	FD_BPF,
	FD_PERF,
	FD_RECEIVED, /* came from another process, and what it is was not to be seen */
	FD_OTHER,
	FD_KINDS
};

enum fd_role {
	FD_ROLE_UNKNOWN,
	FD_ROLE_CLIENT, /* it connected */
	FD_ROLE_SERVER, /* it listens, or was accepted */
};

struct fd_endpoint {
	bool known;
	uint16_t port;
	uint8_t address[16]; /* network order; IPv4: the first four bytes */
};

/* family and type by the guest's numbers; type 0: not known. */
struct fd_socket {
	uint16_t family;
	uint8_t type, protocol;
	uint8_t role; /* enum fd_role */
	bool listening;
	struct fd_endpoint local, peer; /* AF_INET and AF_INET6 only */
};

#define FD_NAME_BYTES 1024 /* longest name that is kept */

/* Where the name of a file or directory is from. */
enum fd_name_origin {
	FD_NAME_GIVEN,  /* a call's argument: symbolic links may be in it */
	FD_NAME_MADE,   /* the same, but for its last part: the call made that file (O_EXCL), or has renamed it */
	FD_NAME_KERNEL, /* a snapshot, or a call that followed no link from where that was known: where it really is */
	FD_NAME_PLACED, /* the same, and in a mount namespace that processes are in */
	FD_NAME_ONLY,   /* a snapshot: and no other name leads there, through whatever mount */
};

struct fd_object {
	uint32_t refs;
	uint8_t kind;   /* enum fd_kind */
	uint8_t origin; /* enum fd_name_origin; set by who has created it, before anybody else has it; so is */
	bool linked;    /* it may have more names, which are hard links */
	struct fd_socket socket;
	uint16_t name_len;
	char name[]; /* path, "pipe:[7]", path of a UNIX socket; empty: not known. NUL behind it */
};

/* Where the name is from of what a call finds by this path in a directory, following no link in its last part. */
uint8_t fd_name_origin_in(uint8_t directory_origin, const char *path, size_t n);

/* With one reference; NULL: no memory. A name that is too long is no name. */
struct fd_object *fd_object_create(enum fd_kind kind, const char *name, size_t name_len);
struct fd_object *fd_object_create_socket(const struct fd_socket *socket, const char *name, size_t name_len);
/* NULL is allowed in both; hold returns its argument. */
struct fd_object *fd_object_hold(struct fd_object *object);
void fd_object_release(struct fd_object *object);
/* A bit for each part of a path that may be renamed, and for the last of them; 0: it has no path. */
uint64_t fd_name_mask(const struct fd_object *object);
uint64_t fd_last_name_mask(const struct fd_object *object);
/* How often parts are in the paths of several objects, by their hashes; one of these comes, or goes. */
#define FD_NAME_PARTS 16384u
void fd_name_count(const struct fd_object *object, uint32_t counts[FD_NAME_PARTS], bool more);
/* For the last part of this one; 0: it is in none of them. */
uint32_t fd_last_name_count(const struct fd_object *object, const uint32_t counts[FD_NAME_PARTS]);
bool fd_object_same(const struct fd_object *a, const struct fd_object *b);

/* As Falco names types: "file", "ipv4", "unix", "event"; NULL: not known. */
const char *fd_object_type(const struct fd_object *object);
/* "/etc/passwd", "10.0.0.15:4242->10.0.0.2:80" (local, then peer; ? for what is not known); false: nothing to say. */
bool fd_object_put_name(const struct fd_object *object, struct strbuf *out);
/* "TCP", "UDP", "UNIX-STREAM", "NETLINK"; NULL: no socket, or not known. */
const char *fd_object_protocol(const struct fd_object *object);
bool fd_object_is_inet(const struct fd_object *object);
void fd_endpoint_put_address(const struct fd_object *object, const struct fd_endpoint *endpoint, struct strbuf *out);
/* "10.0.0.2:80", "[::1]:80", "?" */
void fd_endpoint_put(const struct fd_object *object, const struct fd_endpoint *endpoint, struct strbuf *out);

/* What a struct sockaddr says: fills the endpoint, or gives the path of a UNIX one. false: too short, another family.
 */
bool fd_sockaddr_read(const uint8_t *bytes, size_t n, uint16_t *family, struct fd_endpoint *out, const char **path,
		      size_t *path_len);

#endif
