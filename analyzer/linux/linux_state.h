/* SPDX-License-Identifier: MIT */
/*
 * linux_state.h - what a task of a snapshot has open and where it is, beyond
 * linux_guest_tasks(): descriptors, directories, command line, container. What
 * cannot be read is empty; only a table of descriptors whose end is not known is
 * an error. Lives as long as the memory; one thread an object.
 */
#ifndef LINUX_STATE_H
#define LINUX_STATE_H

#include "fd_object.h"
#include "linux_guest.h"

struct linux_state;
struct vmtape_error *linux_state_create(struct linux_state **out, const struct linux_guest *guest,
					struct guest_memory *memory);
void linux_state_destroy(struct linux_state *state);

struct linux_task_state {
	uint64_t files, fs; /* addresses, the same for tasks that share them; 0: none */
	char cwd[512], root[512];
	uint64_t cwd_mount_ns, root_mount_ns; /* addresses of their mount namespaces; 0: not known */
	bool cwd_only;                        /* as linux_mounts_is_only() tells */
	char cmdline[1024];                   /* arguments joined by blanks */
	size_t cmdline_len;
	char container[64 + 1];      /* id of 64 digits out of the path of its cgroup */
	uint32_t pidns, child_pidns; /* its own, and of what it forks: inode numbers; 0: not known */
};
struct vmtape_error *linux_state_task(struct linux_state *state, const struct linux_task *task,
				      struct linux_task_state *out);

struct linux_open_file {
	int32_t fd;
	uint32_t flags; /* file.f_flags */
	bool cloexec;
	uint64_t file; /* address of the struct file, which dup and fork share */
	uint8_t kind;  /* enum fd_kind; FD_UNKNOWN: its pages were not recorded */
	struct fd_socket socket;
	uint64_t sock, peer; /* of a UNIX socket that is connected: addresses of its struct sock, and of its peer's */
	bool queue_is_empty; /* nothing that was sent to it waits to be received */
	const char *name;    /* lent; of sockets: path of a UNIX one */
	size_t name_len;
	bool only;         /* as linux_mounts_is_only() tells */
	uint64_t mount_ns; /* address of the mount namespace that it is in; 0: none, or not known */
	uint32_t nr_links; /* hard links; 0: none, or not known */
	const char *link;  /* as readlink of /proc/PID/fd/N gives it; "" if not known */
};
struct vmtape_error *linux_state_files(struct linux_state *state, uint64_t files,
				       void (*found)(void *ctx, const struct linux_open_file *file), void *ctx);

#endif
