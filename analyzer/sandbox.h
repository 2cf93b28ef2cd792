/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - from here on this process, which reads what attackers may have
 * written, makes no new files, connections, programs or processes, and opens
 * none but in the room that is left to it: a seccomp filter and, where the
 * kernel has it, Landlock. For good, and for all threads that come.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

#include "error.h"

struct sandbox_room {
	char *const *read; /* these files may be read, until sandbox_seal() */
	unsigned nr_read;
	const char *read_beside;  /* files in the folder of this one may be read; NULL: none */
	const char *write_beside; /* files in the folder of this one may be made, replaced and read; NULL: none */
	bool without_landlock;    /* as on a kernel that has none: for tests */
};

struct sandbox_state {
	int landlock_abi;   /* 0: it is not used */
	int landlock_error; /* why: positive errno; 0: it was not wanted */
};

/*
 * What the C library opens late (the time zone) is read before. Threads that there are already stay free. What is
 * refused then fails with EPERM or EACCES. An error: the process is as it was, or partly confined, and must end.
 */
struct vmtape_error *sandbox_enter(const struct sandbox_room *room, struct sandbox_state *state);
/* After it: what was to be opened has been, and nothing is any more, whatever the room. */
struct vmtape_error *sandbox_seal(void);

#endif
