/* SPDX-License-Identifier: MIT */
/* call_touch.h - how a call touches files and sockets: which of its descriptors it reads or writes, which paths it
 * names. */
#ifndef CALL_TOUCH_H
#define CALL_TOUCH_H

#include "call.h"

enum touch {
	TOUCH_NOTHING,
	TOUCH_OPEN,
	TOUCH_DATA,     /* in and out are descriptors; the result is the number of bytes */
	TOUCH_MESSAGES, /* the same, and the result is a number of messages */
	TOUCH_MAP,
	TOUCH_REMOVE,
	TOUCH_RENAME,
	TOUCH_EXEC,
	TOUCH_CHANGE, /* its name, owner, size and so on, or a new one that is no file: mkdir */
	TOUCH_CONNECT,
	TOUCH_ACCEPT,
	TOUCH_LISTEN,
};

/* Numbers of arguments; -1: none. */
struct call_touch {
	uint8_t what; /* enum touch */
	int8_t in, out;
	int8_t dirs[2], paths[2];
	int8_t fd; /* in place of a path */
};

/* By the name of the call. Kept by number, so that each call costs a look-up. */
struct touch_cache {
	uint8_t known[TRAP_ABIS][1024]; /* 0: not looked up; else position + 1 */
};
/* NULL: it touches nothing. */
const struct call_touch *call_touch(struct touch_cache *cache, const struct call *call);
/* Path i that the call names, made absolute; NULL: not known. The caller releases it. *uncertain is or-ed. */
struct fd_object *call_touch_path(const struct call *call, const struct call_touch *touch, int i, bool *uncertain);

#endif
