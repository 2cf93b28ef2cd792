/* SPDX-License-Identifier: MIT */
#include "linux_state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "linux_state_private.h"

#define MAX_CGROUP_DEPTH 64
#define MAX_PID_LEVEL    32 /* MAX_PID_NS_LEVEL */
#define MAX_SUBSYS       16
#define CONTAINER_DIGITS 64

bool linux_state_get(struct linux_state *s, uint64_t base, int field, uint64_t *out)
{
	struct vmtape_error *error;

	*out = 0;
	if (!s->fields[field].at.size_bytes)
		return false;
	error = linux_field_read(s->guest, s->memory, base, &s->fields[field], out);
	vmtape_error_destroy(error);
	return !error;
}

#define NEED(type_, member_)                               \
	{                                                  \
		.type = "struct " type_, .member = member_ \
	}
#define MAYBE(type_, member_)                                                \
	{                                                                    \
		.type = "struct " type_, .member = member_, .optional = true \
	}

struct vmtape_error *linux_state_create(struct linux_state **out, const struct linux_guest *guest,
					struct guest_memory *memory)
{
	static const struct linux_field fields[STATE_FIELDS] = {
		[STATE_FILES] = NEED("task_struct", "files"),
		[STATE_FS] = MAYBE("task_struct", "fs"),
		[STATE_MM] = MAYBE("task_struct", "mm"),
		[STATE_CGROUPS] = MAYBE("task_struct", "cgroups"),
		[STATE_THREAD_PID] = MAYBE("task_struct", "thread_pid"),
		[STATE_FDT] = NEED("files_struct", "fdt"),
		[STATE_MAX_FDS] = NEED("fdtable", "max_fds"),
		[STATE_FD] = NEED("fdtable", "fd"),
		[STATE_CLOSE_ON_EXEC] = MAYBE("fdtable", "close_on_exec"),
		[STATE_F_FLAGS] = NEED("file", "f_flags"),
		[STATE_F_MNT] = MAYBE("file", "f_path.mnt"),
		[STATE_F_INODE] = MAYBE("file", "f_inode"),
		[STATE_PRIVATE_DATA] = MAYBE("file", "private_data"),
		[STATE_I_NLINK] = MAYBE("inode", "i_nlink"),
		[STATE_I_MODE] = MAYBE("inode", "i_mode"),
		[STATE_PWD_MNT] = MAYBE("fs_struct", "pwd.mnt"),
		[STATE_PWD_DENTRY] = MAYBE("fs_struct", "pwd.dentry"),
		[STATE_ROOT_MNT] = MAYBE("fs_struct", "root.mnt"),
		[STATE_ROOT_DENTRY] = MAYBE("fs_struct", "root.dentry"),
		[STATE_ARG_START] = MAYBE("mm_struct", "arg_start"),
		[STATE_ARG_END] = MAYBE("mm_struct", "arg_end"),
		[STATE_SOCK] = MAYBE("socket", "sk"),
		[STATE_SK_FAMILY] = MAYBE("sock", "__sk_common.skc_family"),
		[STATE_SK_QUEUED] = MAYBE("sock", "sk_receive_queue.qlen"),
		[STATE_SK_STATE] = MAYBE("sock", "__sk_common.skc_state"),
		[STATE_SK_NUM] = MAYBE("sock", "__sk_common.skc_num"),
		[STATE_SK_DPORT] = MAYBE("sock", "__sk_common.skc_dport"),
		[STATE_SK_SADDR] = MAYBE("sock", "__sk_common.skc_rcv_saddr"),
		[STATE_SK_DADDR] = MAYBE("sock", "__sk_common.skc_daddr"),
		[STATE_SK_SADDR6] = MAYBE("sock", "__sk_common.skc_v6_rcv_saddr"),
		[STATE_SK_DADDR6] = MAYBE("sock", "__sk_common.skc_v6_daddr"),
		[STATE_SK_TYPE] = MAYBE("sock", "sk_type"),
		[STATE_SK_PROTOCOL] = MAYBE("sock", "sk_protocol"),
		[STATE_UNIX_ADDR] = MAYBE("unix_sock", "addr"),
		[STATE_UNIX_PEER] = MAYBE("unix_sock", "peer"),
		[STATE_UNIX_LEN] = MAYBE("unix_address", "len"),
		[STATE_UNIX_NAME] = MAYBE("unix_address", "name"),
		[STATE_DFL_CGRP] = MAYBE("css_set", "dfl_cgrp"),
		[STATE_SUBSYS] = MAYBE("css_set", "subsys"),
		[STATE_CSS_CGROUP] = MAYBE("cgroup_subsys_state", "cgroup"),
		[STATE_KN] = MAYBE("cgroup", "kn"),
		[STATE_KN_NAME] = MAYBE("kernfs_node", "name"),
		/* Linux 6.15 renamed it: 633488947ef6. */
		[STATE_KN_PARENT] = MAYBE("kernfs_node", "parent"),
		[STATE_KN_PARENT_NEW] = MAYBE("kernfs_node", "__parent"),
		[STATE_NSPROXY] = MAYBE("task_struct", "nsproxy"),
		[STATE_CHILD_PIDNS] = MAYBE("nsproxy", "pid_ns_for_children"),
		[STATE_PID_LEVEL] = MAYBE("pid", "level"),
		[STATE_PID_NUMBERS] = MAYBE("pid", "numbers"),
		[STATE_UPID_NS] = MAYBE("upid", "ns"),
		[STATE_PIDNS_INUM] = MAYBE("pid_namespace", "ns.inum"),
	};
	struct linux_state *s = calloc(1, sizeof(*s));
	struct vmtape_error *error;

	*out = NULL;
	if (!s)
		return &vmtape_error_no_memory;
	s->guest = guest;
	s->memory = memory;
	memcpy(s->fields, fields, sizeof(fields));
	error = linux_fields_find(guest, s->fields, STATE_FIELDS);
	if (!error)
		error = linux_paths_create(&s->paths, guest, memory);
	if (!error)
		error = linux_mounts_create(&s->mounts, guest, memory, s->paths);
	if (error) {
		linux_state_destroy(s);
		return error;
	}
	vmtape_error_destroy(linux_guest_type_size(guest, "struct upid", &s->upid_bytes));
	*out = s;
	return NULL;
}

void linux_state_destroy(struct linux_state *s)
{
	if (!s)
		return;
	linux_mounts_destroy(s->mounts);
	linux_paths_destroy(s->paths);
	free(s);
}

/* ---- directories ----------------------------------------------------------- */

static void read_directory(struct linux_state *s, uint64_t fs, int mnt_field, int dentry_field,
			   char out[LINUX_PATH_BYTES], uint64_t *mount_ns, bool *only)
{
	uint64_t mnt, dentry;
	struct vmtape_error *error;

	out[0] = '\0';
	if (!linux_state_get(s, fs, mnt_field, &mnt) || !linux_state_get(s, fs, dentry_field, &dentry))
		return;
	error = linux_path_of(s->paths, mnt, dentry, out);
	if (error || out[0] != '/') /* "..." has lost its beginning */
		out[0] = '\0';
	else
		*mount_ns = linux_mounts_namespace(s->mounts, mnt);
	if (out[0])
		*only = linux_mounts_is_only(s->mounts, mnt);
	vmtape_error_destroy(error);
}

/* ---- command line ------------------------------------------------------------ */

/* In the process's own memory, where it may have been changed; a NUL behind each argument. */
static void read_cmdline(struct linux_state *s, uint64_t mm, uint64_t cr3)
{
	struct guest_space space = {cr3, s->guest->facts.levels};
	uint64_t start, end;
	struct vmtape_error *error;
	size_t n;

	s->cmdline_mm = mm;
	s->cmdline_len = 0;
	if (!linux_state_get(s, mm, STATE_ARG_START, &start) || !linux_state_get(s, mm, STATE_ARG_END, &end) ||
	    end <= start || !cr3)
		return;
	n = end - start < sizeof(s->cmdline) ? (size_t)(end - start) : sizeof(s->cmdline);
	error = guest_read_virt(s->memory, space, GVA(start), s->cmdline, n);
	vmtape_error_destroy(error);
	if (error)
		return;
	while (n && !s->cmdline[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		if (!s->cmdline[i])
			s->cmdline[i] = ' ';
	s->cmdline_len = n;
}

/* ---- container ---------------------------------------------------------------- */

/* docker-<id>.scope, cri-containerd-<id>.scope, libpod-<id>, or the id alone. */
static bool container_in(const char *name, char out[CONTAINER_DIGITS + 1])
{
	size_t run = 0;

	for (const char *at = name;; at++) {
		if (isxdigit((unsigned char)*at) && !isupper((unsigned char)*at)) {
			run++;
			continue;
		}
		if (run == CONTAINER_DIGITS) {
			memcpy(out, at - CONTAINER_DIGITS, CONTAINER_DIGITS);
			out[CONTAINER_DIGITS] = '\0';
			return true;
		}
		run = 0;
		if (!*at)
			return false;
	}
}

/* From the task's cgroup up. */
static bool container_of_cgroup(struct linux_state *s, uint64_t cgroup, char out[CONTAINER_DIGITS + 1])
{
	uint64_t node, name;
	char text[256];

	if (!cgroup || !linux_state_get(s, cgroup, STATE_KN, &node))
		return false;
	for (int depth = 0; node && depth < MAX_CGROUP_DEPTH; depth++) {
		struct vmtape_error *error;

		if (!linux_state_get(s, node, STATE_KN_NAME, &name) || !name)
			return false;
		error = guest_read_string(s->memory, s->guest->facts.kernel_space, GVA(name), text, sizeof(text));
		vmtape_error_destroy(error);
		if (error)
			return false;
		if (container_in(text, out))
			return true;
		if (!linux_state_get(s, node, STATE_KN_PARENT, &node) &&
		    !linux_state_get(s, node, STATE_KN_PARENT_NEW, &node))
			return false;
	}
	return false;
}

/* The unified hierarchy, or, where each controller has its own, one of those. */
static void read_container(struct linux_state *s, uint64_t task, char out[CONTAINER_DIGITS + 1])
{
	uint64_t set, cgroup, css;
	uint32_t n = s->fields[STATE_SUBSYS].at.size_bytes / 8;

	if (!linux_state_get(s, task, STATE_CGROUPS, &set) || !set)
		return;
	if (linux_state_get(s, set, STATE_DFL_CGRP, &cgroup) && container_of_cgroup(s, cgroup, out))
		return;
	for (uint32_t i = 0; i < n && i < MAX_SUBSYS; i++) {
		struct vmtape_error *error =
			guest_read_u64(s->memory, s->guest->facts.kernel_space,
				       GVA(set + s->fields[STATE_SUBSYS].at.offset_bytes + 8 * (uint64_t)i), &css);

		vmtape_error_destroy(error);
		if (!error && css && linux_state_get(s, css, STATE_CSS_CGROUP, &cgroup) &&
		    container_of_cgroup(s, cgroup, out))
			return;
	}
}

static uint32_t read_pidns(struct linux_state *s, uint64_t task)
{
	uint64_t pid, level, ns, inum, at;

	if (!linux_state_get(s, task, STATE_THREAD_PID, &pid) || !pid ||
	    !linux_state_get(s, pid, STATE_PID_LEVEL, &level) || level > MAX_PID_LEVEL || !s->upid_bytes)
		return 0;
	at = pid + s->fields[STATE_PID_NUMBERS].at.offset_bytes + level * s->upid_bytes;
	if (!linux_state_get(s, at, STATE_UPID_NS, &ns) || !linux_state_get(s, ns, STATE_PIDNS_INUM, &inum))
		return 0;
	return (uint32_t)inum;
}

static uint32_t read_child_pidns(struct linux_state *s, uint64_t task)
{
	uint64_t proxy, ns, inum;

	if (!linux_state_get(s, task, STATE_NSPROXY, &proxy) || !proxy ||
	    !linux_state_get(s, proxy, STATE_CHILD_PIDNS, &ns) || !linux_state_get(s, ns, STATE_PIDNS_INUM, &inum))
		return 0;
	return (uint32_t)inum;
}

struct vmtape_error *linux_state_task(struct linux_state *s, const struct linux_task *task,
				      struct linux_task_state *out)
{
	uint64_t mm;
	bool root_only;

	memset(out, 0, sizeof(*out));
	/* That these can't be read is no failure: a task may be just ending. */
	linux_state_get(s, task->task.v, STATE_FILES, &out->files);
	if (linux_state_get(s, task->task.v, STATE_FS, &out->fs) && out->fs) {
		read_directory(s, out->fs, STATE_PWD_MNT, STATE_PWD_DENTRY, out->cwd, &out->cwd_mount_ns,
			       &out->cwd_only);
		read_directory(s, out->fs, STATE_ROOT_MNT, STATE_ROOT_DENTRY, out->root, &out->root_mount_ns,
			       &root_only);
	}
	if (!task->kernel_thread && linux_state_get(s, task->task.v, STATE_MM, &mm) && mm) {
		if (mm != s->cmdline_mm)
			read_cmdline(s, mm, task->cr3);
		memcpy(out->cmdline, s->cmdline, s->cmdline_len);
		out->cmdline_len = s->cmdline_len;
	}
	read_container(s, task->task.v, out->container);
	out->pidns = read_pidns(s, task->task.v);
	out->child_pidns = read_child_pidns(s, task->task.v);
	return NULL;
}
