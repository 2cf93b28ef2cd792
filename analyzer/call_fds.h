/* SPDX-License-Identifier: MIT */
/*
 * call_fds.h - what the descriptors of one call refer to, as known when it was
 * entered (its result: when it ended). Holds references.
 */
#ifndef CALL_FDS_H
#define CALL_FDS_H

#include "fd_object.h"
#include "linux/linux_guest.h"

#define CALL_FDS_RET LINUX_SYSCALL_ARGS /* in place of an argument's number */

struct call_fds {
	struct fd_object *objects[LINUX_SYSCALL_ARGS + 1]; /* NULL: not known, or no descriptor */
	uint8_t args;                                      /* which arguments are descriptors, a bit each */
	uint8_t dir_args;                                  /* those that may be AT_FDCWD */
	uint8_t uncertain;                                 /* a bit each, CALL_FDS_RET included */
	bool makes_fd;                                     /* the result, if there is one, is a descriptor */
	bool in_memory; /* socketcall: the arguments are those of the call that it stands for, first is the first */
	int32_t first;
	bool cwd_uncertain, root_uncertain;
	const char *cwd;  /* NULL or "": not known */
	const char *root; /* NULL or "": not known to be another than "/"; "?": another, and not known */
};

static inline void call_fds_hold(const struct call_fds *fds)
{
	for (int i = 0; i <= LINUX_SYSCALL_ARGS; i++)
		if (fds->objects[i])
			fd_object_hold(fds->objects[i]);
}

static inline void call_fds_release(struct call_fds *fds)
{
	for (int i = 0; i <= LINUX_SYSCALL_ARGS; i++) {
		if (fds->objects[i])
			fd_object_release(fds->objects[i]);
		fds->objects[i] = NULL;
	}
}

/* What another pass over the tape found out about the end of the call. */
static inline void call_fds_take_result(struct call_fds *fds, const struct call_fds *from)
{
	fd_object_release(fds->objects[CALL_FDS_RET]);
	fds->objects[CALL_FDS_RET] = fd_object_hold(from->objects[CALL_FDS_RET]);
	fds->makes_fd |= from->makes_fd;
	fds->uncertain &= (uint8_t) ~(1u << CALL_FDS_RET);
	fds->uncertain |= from->uncertain & (1u << CALL_FDS_RET);
}

#endif
