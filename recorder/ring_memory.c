/* SPDX-License-Identifier: MIT */
#include "ring_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "trap_ring.h"

/* Names as /proc shows them. Only the kernel makes such files; the path of any other begins with a slash. */
#define ANON_PREFIX   "anon_inode:"
#define KVM_RING_NAME ANON_PREFIX "kvm-trap-ring"

/* The link is not followed: no file system is asked. */
static void get_name(int fd, char *name, size_t room)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, room - 1);
	name[n < 0 ? 0 : n] = '\0';
}

bool ring_fd_is_anonymous(int fd)
{
	char name[64];

	get_name(fd, name, sizeof(name));
	return !strncmp(name, ANON_PREFIX, strlen(ANON_PREFIX));
}

static bool is_kvm_ring(int fd)
{
	char name[64];

	get_name(fd, name, sizeof(name));
	return !strcmp(name, KVM_RING_NAME);
}

static int check_memfd(int fd, const struct stat *st, uint64_t memory_bytes, struct record_error *error)
{
	int seals;

	if (st->st_size < 0 || (uint64_t)st->st_size < memory_bytes)
		return record_error_set(error, -EPROTO, "a ring's memory has not the %" PRIu64 " bytes it should have",
					memory_bytes);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return record_error_set(error, -EPROTO, "a ring's memory is not sealed against shrinking");
	return 0;
}

int ring_memory_check(int fd, uint64_t memory_bytes, struct record_error *error)
{
	struct statfs fs;
	struct stat st;

	if (memory_bytes > TRAP_RING_MAX_BYTES + 2ull * TRAP_RING_PAGE)
		return record_error_set(error, -EPROTO, "a ring's memory cannot be %" PRIu64 " bytes long",
					memory_bytes);
	if (is_kvm_ring(fd))
		return 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC)
		return check_memfd(fd, &st, memory_bytes, error);
	return record_error_set(error, -EPROTO, "a ring's memory is neither a memfd nor a ring of KVM's");
}
