/* SPDX-License-Identifier: MIT */
/* As the kernel's d_path() does it: up the dentries, across mount points, to the root of the mount namespace. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linux_guest_private.h"

#define MAX_COMPONENTS 512u
#define MAX_MOUNTS     128u
#define NAME_BYTES     256u /* NAME_MAX and its NUL */

enum {
	FILE_MNT,
	FILE_DENTRY,
	DENTRY_PARENT,
	DENTRY_NAME,
	DENTRY_LEN,
	DENTRY_HASH,
	DENTRY_INODE,
	DENTRY_SB,
	MOUNT_MNT,
	MOUNT_PARENT,
	MOUNT_POINT,
	MNT_ROOT,
	SB_TYPE,
	TYPE_NAME,
	INODE_INO,
	FIELDS
};

struct linux_paths {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_field fields[FIELDS];
};

struct vmtape_error *linux_paths_create(struct linux_paths **out, const struct linux_guest *guest,
					struct guest_memory *memory)
{
	static const struct linux_field fields[FIELDS] = {
		[FILE_MNT] = {.type = "struct file", .member = "f_path.mnt"},
		[FILE_DENTRY] = {.type = "struct file", .member = "f_path.dentry"},
		[DENTRY_PARENT] = {.type = "struct dentry", .member = "d_parent"},
		[DENTRY_NAME] = {.type = "struct dentry", .member = "d_name.name"},
		[DENTRY_LEN] = {.type = "struct dentry", .member = "d_name.len"},
		[DENTRY_HASH] = {.type = "struct dentry", .member = "d_hash.pprev"},
		[DENTRY_INODE] = {.type = "struct dentry", .member = "d_inode"},
		[DENTRY_SB] = {.type = "struct dentry", .member = "d_sb"},
		[MOUNT_MNT] = {.type = "struct mount", .member = "mnt"},
		[MOUNT_PARENT] = {.type = "struct mount", .member = "mnt_parent"},
		[MOUNT_POINT] = {.type = "struct mount", .member = "mnt_mountpoint"},
		[MNT_ROOT] = {.type = "struct vfsmount", .member = "mnt_root"},
		[SB_TYPE] = {.type = "struct super_block", .member = "s_type"},
		[TYPE_NAME] = {.type = "struct file_system_type", .member = "name"},
		[INODE_INO] = {.type = "struct inode", .member = "i_ino"},
	};
	struct linux_paths *paths = calloc(1, sizeof(*paths));
	struct vmtape_error *error;

	*out = NULL;
	if (!paths)
		return &vmtape_error_no_memory;
	paths->guest = guest;
	paths->memory = memory;
	memcpy(paths->fields, fields, sizeof(fields));
	error = linux_fields_find(guest, paths->fields, FIELDS);
	if (error) {
		free(paths);
		return error;
	}
	*out = paths;
	return NULL;
}

void linux_paths_destroy(struct linux_paths *paths)
{
	free(paths);
}

static struct vmtape_error *get(struct linux_paths *paths, uint64_t base, int field, uint64_t *out)
{
	return linux_field_read(paths->guest, paths->memory, base, &paths->fields[field], out);
}

static struct vmtape_error *read_name(struct linux_paths *paths, uint64_t dentry, char out[NAME_BYTES])
{
	struct vmtape_error *error;
	uint64_t name, len;

	error = get(paths, dentry, DENTRY_NAME, &name);
	if (!error)
		error = get(paths, dentry, DENTRY_LEN, &len);
	if (error)
		return error;
	if (len >= NAME_BYTES)
		return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, dentry, "file name of %" PRIu64 " bytes", len);
	error = guest_read_virt(paths->memory, paths->guest->facts.kernel_space, GVA(name), out, len);
	out[error ? 0 : len] = '\0';
	return error;
}

/* Files without a place in a tree: pipes, sockets and their like. Their file systems name them by d_dname(). */
static struct vmtape_error *describe_pseudo(struct linux_paths *paths, uint64_t dentry, char out[LINUX_PATH_BYTES])
{
	char type[32] = "", name[NAME_BYTES];
	struct vmtape_error *error;
	uint64_t sb, fs, text, inode, number = 0;

	error = read_name(paths, dentry, name);
	if (!error)
		error = get(paths, dentry, DENTRY_SB, &sb);
	if (!error)
		error = get(paths, sb, SB_TYPE, &fs);
	if (!error)
		error = get(paths, fs, TYPE_NAME, &text);
	if (!error)
		error = guest_read_string(paths->memory, paths->guest->facts.kernel_space, GVA(text), type,
					  sizeof(type));
	if (!error)
		error = get(paths, dentry, DENTRY_INODE, &inode);
	if (!error)
		error = get(paths, inode, INODE_INO, &number);
	if (error)
		return error;
	if (!strcmp(type, "pipefs"))
		snprintf(out, LINUX_PATH_BYTES, "pipe:[%" PRIu64 "]", number);
	else if (!strcmp(type, "sockfs"))
		snprintf(out, LINUX_PATH_BYTES, "socket:[%" PRIu64 "]", number);
	else if (!strcmp(type, "anon_inodefs"))
		snprintf(out, LINUX_PATH_BYTES, "anon_inode:%s", name);
	else if (!strcmp(type, "pidfs"))
		snprintf(out, LINUX_PATH_BYTES, "anon_inode:[pidfd]");
	else if (!strcmp(type, "nsfs"))
		snprintf(out, LINUX_PATH_BYTES, "ns:[%" PRIu64 "]", number);
	else if (!strcmp(type, "dmabuf"))
		snprintf(out, LINUX_PATH_BYTES, "/dmabuf:%s", name);
	else /* simple_dname(): memfd, shared memory */
		snprintf(out, LINUX_PATH_BYTES, "/%s (deleted)", name);
	return NULL;
}

/* A path is put together from its end. */
struct path_text {
	char *buffer; /* LINUX_PATH_BYTES */
	size_t start; /* of the text in it */
	bool cut;
};

static void put_before(struct path_text *text, const char *bytes, size_t n)
{
	if (text->cut)
		return;
	if (n > text->start) {
		bytes += n - text->start;
		n = text->start;
		text->cut = true;
	}
	text->start -= n;
	memcpy(text->buffer + text->start, bytes, n);
	if (text->cut)
		memcpy(text->buffer, "...", 3);
}

static struct vmtape_error *climb(struct linux_paths *paths, uint64_t mnt, uint64_t dentry, struct path_text *text)
{
	unsigned mounts = 0;

	for (unsigned i = 0; i < MAX_COMPONENTS && !text->cut; i++) {
		struct vmtape_error *error;
		uint64_t root, parent, mount, parent_mount, mount_offset = paths->fields[MOUNT_MNT].at.offset_bytes;
		char name[NAME_BYTES];

		error = get(paths, mnt, MNT_ROOT, &root);
		if (error)
			return error;
		while (dentry == root) {
			mount = mnt - mount_offset;
			error = get(paths, mount, MOUNT_PARENT, &parent_mount);
			if (error)
				return error;
			if (parent_mount == mount)
				return NULL;
			error = get(paths, mount, MOUNT_POINT, &dentry);
			if (error)
				return error;
			mnt = parent_mount + mount_offset;
			error = get(paths, mnt, MNT_ROOT, &root);
			if (error)
				return error;
			if (++mounts > MAX_MOUNTS)
				return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, mount, "mounts nest endlessly");
		}
		error = get(paths, dentry, DENTRY_PARENT, &parent);
		if (error)
			return error;
		if (parent == dentry) /* a tree that hangs nowhere */
			return NULL;
		error = read_name(paths, dentry, name);
		if (error)
			return error;
		put_before(text, name, strlen(name));
		put_before(text, "/", 1);
		dentry = parent;
	}
	if (text->cut)
		return NULL;
	return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, dentry, "directories nest endlessly");
}

struct vmtape_error *linux_path_of(struct linux_paths *paths, uint64_t mnt, uint64_t dentry, char out[LINUX_PATH_BYTES])
{
	static const char deleted[] = " (deleted)";
	char buffer[LINUX_PATH_BYTES];
	struct path_text text = {.buffer = buffer, .start = sizeof(buffer) - 1};
	uint64_t parent, root, hash;
	struct vmtape_error *error;

	out[0] = '\0';
	buffer[sizeof(buffer) - 1] = '\0';
	error = get(paths, dentry, DENTRY_PARENT, &parent);
	if (!error)
		error = get(paths, dentry, DENTRY_HASH, &hash);
	if (!error)
		error = get(paths, mnt, MNT_ROOT, &root);
	if (error)
		return error;
	if (parent == dentry && root != dentry)
		return describe_pseudo(paths, dentry, out);
	if (parent != dentry && !hash)
		put_before(&text, deleted, strlen(deleted));
	error = climb(paths, mnt, dentry, &text);
	if (error)
		return error;
	if (text.start == sizeof(buffer) - 1)
		put_before(&text, "/", 1);
	memcpy(out, buffer + text.start, sizeof(buffer) - text.start);
	return NULL;
}

struct vmtape_error *linux_path_of_file(struct linux_paths *paths, uint64_t file, char out[LINUX_PATH_BYTES])
{
	uint64_t mnt, dentry;
	struct vmtape_error *error;

	out[0] = '\0';
	error = get(paths, file, FILE_MNT, &mnt);
	if (!error)
		error = get(paths, file, FILE_DENTRY, &dentry);
	return error ? error : linux_path_of(paths, mnt, dentry, out);
}

struct vmtape_error *linux_guest_path(const struct linux_guest *guest, struct guest_memory *memory, gva_t mnt,
				      gva_t dentry, char *out, size_t size_bytes)
{
	char path[LINUX_PATH_BYTES];
	struct linux_paths *paths;
	struct vmtape_error *error = linux_paths_create(&paths, guest, memory);

	if (error)
		return error;
	error = linux_path_of(paths, mnt.v, dentry.v, path);
	linux_paths_destroy(paths);
	if (!error && strlen(path) >= size_bytes)
		error = vmtape_error_create_at(VMTAPE_ERROR_USAGE, dentry.v, "no room for the path");
	if (!error)
		memcpy(out, path, strlen(path) + 1);
	return error;
}
