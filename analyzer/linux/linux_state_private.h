/* SPDX-License-Identifier: MIT */
/* linux_state_private.h - between linux_state.c and linux_fds.c. */
#ifndef LINUX_STATE_PRIVATE_H
#define LINUX_STATE_PRIVATE_H

#include "linux_mounts.h"
#include "linux_state.h"

enum linux_state_field {
	STATE_FILES,
	STATE_FS,
	STATE_MM,
	STATE_CGROUPS,
	STATE_THREAD_PID,
	STATE_FDT,
	STATE_MAX_FDS,
	STATE_FD,
	STATE_CLOSE_ON_EXEC,
	STATE_F_FLAGS,
	STATE_F_MNT,
	STATE_F_INODE,
	STATE_PRIVATE_DATA,
	STATE_I_NLINK,
	STATE_I_MODE,
	STATE_PWD_MNT,
	STATE_PWD_DENTRY,
	STATE_ROOT_MNT,
	STATE_ROOT_DENTRY,
	STATE_ARG_START,
	STATE_ARG_END,
	STATE_SOCK,
	STATE_SK_FAMILY,
	STATE_SK_QUEUED,
	STATE_SK_STATE,
	STATE_SK_NUM,
	STATE_SK_DPORT,
	STATE_SK_SADDR,
	STATE_SK_DADDR,
	STATE_SK_SADDR6,
	STATE_SK_DADDR6,
	STATE_SK_TYPE,
	STATE_SK_PROTOCOL,
	STATE_UNIX_ADDR,
	STATE_UNIX_PEER,
	STATE_UNIX_LEN,
	STATE_UNIX_NAME,
	STATE_DFL_CGRP,
	STATE_SUBSYS,
	STATE_CSS_CGROUP,
	STATE_KN,
	STATE_KN_NAME,
	STATE_KN_PARENT,
	STATE_KN_PARENT_NEW,
	STATE_NSPROXY,
	STATE_CHILD_PIDNS,
	STATE_PID_LEVEL,
	STATE_PID_NUMBERS,
	STATE_UPID_NS,
	STATE_PIDNS_INUM,
	STATE_FIELDS
};

struct linux_state {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_paths *paths;
	struct linux_mounts *mounts;
	struct linux_field fields[STATE_FIELDS];
	uint32_t upid_bytes;
	uint64_t nr_files, nr_slots; /* so far: open ones, and places for such */
	/* The threads of a process share it, and its command line is read once. */
	uint64_t cmdline_mm;
	char cmdline[1024];
	size_t cmdline_len;
	char link[LINUX_PATH_BYTES], text[256];
};

/* false: no such member, or its page was not recorded; *out is 0 then. */
bool linux_state_get(struct linux_state *state, uint64_t base, int field, uint64_t *out);

#endif
