/* SPDX-License-Identifier: MIT */
/*
 * call_fd_text.h - the descriptors of a call in its output, and which one of them the call is about. Objects are only
 * read, and no reference is taken: whoever has the call holds them.
 */
#ifndef CALL_FD_TEXT_H
#define CALL_FD_TEXT_H

#include "call.h"
#include "strbuf.h"

struct call_fd {
	int32_t num;
	struct fd_object *object; /* lent; NULL: not known */
	bool uncertain;
};

/* The descriptor that the call makes, else its first one; false: it has none. */
bool call_main_fd(const struct call *call, struct call_fd *out);
/* "</etc/passwd>" behind argument i, or behind the result (CALL_FDS_RET), if call->show_fds; "?" if it is uncertain. */
void call_put_fd_name(const struct call *call, int i, struct strbuf *out);
/* "TCP:10.0.0.15:4242->10.0.0.2:80", "/etc/passwd", or else the type; nothing if not even that is known. */
void fd_object_put_label(const struct fd_object *object, struct strbuf *out);
/* , "fd": {"num": 3, "type": "file", "name": "/etc/passwd"} if there is one. */
void call_put_fd_json(const struct call *call, struct strbuf *out);
/* "num": 3, "type": "ipv4", "name": "…", "protocol": "TCP" … without braces. */
void fd_object_put_json(const struct fd_object *object, struct strbuf *out);

#endif
