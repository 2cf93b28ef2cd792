/* SPDX-License-Identifier: MIT */
/* super_block.s_mounts links all mounts of a file system, those of all namespaces. */
#include "linux_mounts.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAMESPACES 64u
#define MAX_SB_MOUNTS  512u /* of one file system */
#define MAX_NESTED     32u
#define KNOWN_MOUNTS   256u   /* whose answer is kept */
#define MAX_PLACES     16384u /* paths that are made for one object, so that a hostile guest's memory ends */

enum {
	TASK_NSPROXY,
	NSPROXY_MOUNTS,
	MNT_ROOT,
	MNT_SB,
	SB_MOUNTS,
	MOUNT_MNT,
	MOUNT_PARENT,
	MOUNT_NS,
	MOUNT_INSTANCE,
	FIELDS
};

struct linux_mounts {
	const struct linux_guest *guest;
	struct guest_memory *memory;
	struct linux_paths *paths;
	struct linux_field fields[FIELDS];
	bool able, listed; /* listed: namespaces are all that processes are in */
	uint64_t namespaces[MAX_NAMESPACES];
	uint32_t nr_places;
	size_t nr_namespaces; /* MAX_NAMESPACES + 1: more */
	struct {
		uint64_t mnt;
		bool alone;
	} known[KNOWN_MOUNTS];
};

struct vmtape_error *linux_mounts_create(struct linux_mounts **out, const struct linux_guest *guest,
					 struct guest_memory *memory, struct linux_paths *paths)
{
	static const struct linux_field fields[FIELDS] = {
		[TASK_NSPROXY] = {.type = "struct task_struct", .member = "nsproxy"},
		[NSPROXY_MOUNTS] = {.type = "struct nsproxy", .member = "mnt_ns"},
		[MNT_ROOT] = {.type = "struct vfsmount", .member = "mnt_root"},
		[MNT_SB] = {.type = "struct vfsmount", .member = "mnt_sb"},
		[SB_MOUNTS] = {.type = "struct super_block", .member = "s_mounts"},
		[MOUNT_MNT] = {.type = "struct mount", .member = "mnt"},
		[MOUNT_PARENT] = {.type = "struct mount", .member = "mnt_parent"},
		[MOUNT_NS] = {.type = "struct mount", .member = "mnt_ns"},
		[MOUNT_INSTANCE] = {.type = "struct mount", .member = "mnt_instance"},
	};
	struct linux_mounts *mounts = calloc(1, sizeof(*mounts));
	struct vmtape_error *error;

	*out = mounts;
	if (!mounts)
		return &vmtape_error_no_memory;
	mounts->guest = guest;
	mounts->memory = memory;
	mounts->paths = paths;
	memcpy(mounts->fields, fields, sizeof(fields));
	error = linux_fields_find(guest, mounts->fields, FIELDS);
	/* a list_head of two pointers: another kind of list would be read wrongly */
	mounts->able = !error && mounts->fields[SB_MOUNTS].at.size_bytes == 16 &&
		       mounts->fields[MOUNT_INSTANCE].at.size_bytes == 16;
	vmtape_error_destroy(error);
	return NULL;
}

void linux_mounts_destroy(struct linux_mounts *mounts)
{
	free(mounts);
}

static bool get(struct linux_mounts *mounts, uint64_t base, int field, uint64_t *out)
{
	struct vmtape_error *error = linux_field_read(mounts->guest, mounts->memory, base, &mounts->fields[field], out);

	vmtape_error_destroy(error);
	return !error;
}

/* ---- namespaces ----------------------------------------------------------- */

static bool is_lived_in(const struct linux_mounts *mounts, uint64_t namespace)
{
	for (size_t i = 0; i < mounts->nr_namespaces; i++)
		if (mounts->namespaces[i] == namespace)
			return true;
	return false;
}

/* The kernel has mounts of its own, and a namespace of a thread of its own, that no process's path leads through. */
static void add_namespace(void *ctx, const struct linux_task *task)
{
	struct linux_mounts *mounts = ctx;
	uint64_t proxy, namespace;

	if (task->kernel_thread || mounts->nr_namespaces > MAX_NAMESPACES)
		return;
	if (!get(mounts, task->task.v, TASK_NSPROXY, &proxy)) {
		mounts->nr_namespaces = MAX_NAMESPACES + 1;
		return;
	}
	/* one that is ending has none */
	if (!proxy)
		return;
	if (!get(mounts, proxy, NSPROXY_MOUNTS, &namespace) ||
	    (mounts->nr_namespaces == MAX_NAMESPACES && !is_lived_in(mounts, namespace)))
		mounts->nr_namespaces = MAX_NAMESPACES + 1;
	else if (!is_lived_in(mounts, namespace))
		mounts->namespaces[mounts->nr_namespaces++] = namespace;
}

static bool list_namespaces(struct linux_mounts *mounts)
{
	struct vmtape_error *error;

	if (!mounts->listed) {
		mounts->listed = true;
		error = linux_guest_tasks(mounts->guest, mounts->memory, add_namespace, mounts);
		if (error)
			mounts->nr_namespaces = MAX_NAMESPACES + 1;
		vmtape_error_destroy(error);
	}
	return mounts->nr_namespaces && mounts->nr_namespaces <= MAX_NAMESPACES;
}

/* ---- mounts ----------------------------------------------------------------- */

static bool place_of(struct linux_mounts *mounts, uint64_t mnt, uint64_t root, char out[LINUX_PATH_BYTES])
{
	struct vmtape_error *error;

	if (++mounts->nr_places > MAX_PLACES)
		return false;
	error = linux_path_of(mounts->paths, mnt, root, out);
	vmtape_error_destroy(error);
	return !error && out[0] == '/';
}

/* All other mounts of this one's file system that a process's path may lead through have the same root at the same
 * place. */
static bool look_alone(struct linux_mounts *mounts, uint64_t mnt)
{
	uint64_t mount = mnt - mounts->fields[MOUNT_MNT].at.offset_bytes, namespace, root, sb, head, at;
	const struct guest_space space = mounts->guest->facts.kernel_space;
	char place[LINUX_PATH_BYTES], other_place[LINUX_PATH_BYTES];

	if (!get(mounts, mount, MOUNT_NS, &namespace) || !is_lived_in(mounts, namespace) ||
	    !get(mounts, mnt, MNT_ROOT, &root) || !get(mounts, mnt, MNT_SB, &sb) || !place_of(mounts, mnt, root, place))
		return false;
	head = sb + mounts->fields[SB_MOUNTS].at.offset_bytes;
	at = head;
	for (unsigned i = 0; i <= MAX_SB_MOUNTS; i++) {
		struct vmtape_error *error = guest_read_u64(mounts->memory, space, GVA(at), &at);
		uint64_t other, other_mnt, other_root;

		vmtape_error_destroy(error);
		if (error)
			return false;
		if (at == head)
			return true;
		other = at - mounts->fields[MOUNT_INSTANCE].at.offset_bytes;
		other_mnt = other + mounts->fields[MOUNT_MNT].at.offset_bytes;
		if (other_mnt == mnt)
			continue;
		if (!get(mounts, other, MOUNT_NS, &namespace))
			return false;
		if (!is_lived_in(mounts, namespace))
			continue;
		if (!get(mounts, other_mnt, MNT_ROOT, &other_root) || other_root != root ||
		    !place_of(mounts, other_mnt, root, other_place) || strcmp(place, other_place) != 0)
			return false;
	}
	return false;
}

static bool is_alone(struct linux_mounts *mounts, uint64_t mnt)
{
	size_t at = mnt / 64 % KNOWN_MOUNTS;

	if (mounts->known[at].mnt != mnt) {
		mounts->known[at].alone = look_alone(mounts, mnt);
		mounts->known[at].mnt = mnt;
	}
	return mounts->known[at].alone;
}

bool linux_mounts_is_only(struct linux_mounts *mounts, uint64_t mnt)
{
	if (!mounts->able || !mnt || !list_namespaces(mounts))
		return false;
	for (unsigned i = 0; i < MAX_NESTED; i++) {
		uint64_t mount = mnt - mounts->fields[MOUNT_MNT].at.offset_bytes, parent;

		if (!is_alone(mounts, mnt) || !get(mounts, mount, MOUNT_PARENT, &parent))
			return false;
		if (parent == mount)
			return true;
		mnt = parent + mounts->fields[MOUNT_MNT].at.offset_bytes;
	}
	return false;
}

uint64_t linux_mounts_namespace(struct linux_mounts *mounts, uint64_t mnt)
{
	uint64_t namespace;

	if (!mounts->able || !mnt ||
	    !get(mounts, mnt - mounts->fields[MOUNT_MNT].at.offset_bytes, MOUNT_NS, &namespace))
		return 0;
	return namespace;
}
