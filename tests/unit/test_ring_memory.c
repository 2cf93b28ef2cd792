/* SPDX-License-Identifier: MIT */
/* test_ring_memory.c - which descriptors the recorder maps as a ring: none that its sender could pull from under it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "check.h"
#include "ring_memory.h"
#include "trap_ring.h"

#define MEMORY_BYTES ((uint64_t)2 * TRAP_RING_PAGE + TRAP_RING_MIN_BYTES)

/* Takes fd. said: NULL when it is to be accepted. */
static void expect(int fd, uint64_t memory_bytes, const char *said)
{
	struct record_error error = {0};
	int ret;

	CHECK(fd >= 0);
	ret = ring_memory_check(fd, memory_bytes, &error);
	if (said && !strstr(error.message, said))
		fprintf(stderr, "said \"%s\", not \"%s\"\n", error.message, said);
	CHECK_INT(ret, said ? -EPROTO : 0);
	CHECK(!said || strstr(error.message, said));
	/* what is accepted stays as long as it is */
	CHECK(said || ftruncate(fd, 4096) < 0);
	close(fd);
}

static int memory(unsigned flags, uint64_t size_bytes)
{
	int fd = memfd_create("ring", MFD_CLOEXEC | flags);

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size_bytes));
	return fd;
}

/* A file of this name, of the right size; what is at folder is removed again. */
static int file(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, (off_t)MEMORY_BYTES));
	unlink(path);
	return fd;
}

int main(void)
{
	char folder[] = "/tmp/vmtape-test-XXXXXX", shared[] = "/dev/shm/vmtape-test-XXXXXX";
	int pipes[2];

	CHECK(mkdtemp(folder));
	expect(memory(MFD_ALLOW_SEALING, MEMORY_BYTES), MEMORY_BYTES, NULL);
	expect(memory(MFD_ALLOW_SEALING, MEMORY_BYTES + 4096), MEMORY_BYTES, NULL);
	expect(memory(MFD_ALLOW_SEALING, MEMORY_BYTES - 4096), MEMORY_BYTES, "should have");
	expect(memory(0, MEMORY_BYTES), MEMORY_BYTES, "not sealed");
	expect(memory(MFD_ALLOW_SEALING, MEMORY_BYTES), ~0ull, "cannot be");
	expect(memory(MFD_ALLOW_SEALING, MEMORY_BYTES), 2ull * TRAP_RING_MAX_BYTES, "cannot be");

	/* files of the kernel, but not rings of KVM's */
	expect(eventfd(0, EFD_CLOEXEC), MEMORY_BYTES, "nor a ring");
	expect(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), MEMORY_BYTES, "nor a ring");
	CHECK(!pipe(pipes));
	close(pipes[1]);
	expect(pipes[0], MEMORY_BYTES, "nor a ring");
	expect(open("/dev/zero", O_RDWR | O_CLOEXEC), MEMORY_BYTES, "nor a ring");

	/* a name is not enough: this one can be cut short */
	expect(file(folder, "anon_inode:kvm-trap-ring"), MEMORY_BYTES, "");
	CHECK(!chdir(folder));
	expect(file(".", "anon_inode:kvm-trap-ring"), MEMORY_BYTES, "");
	rmdir(folder);
	if (mkdtemp(shared)) {
		expect(file(shared, "memfd:ring (deleted)"), MEMORY_BYTES, "not sealed");
		expect(file(shared, "anon_inode:kvm-trap-ring"), MEMORY_BYTES, "not sealed");
		rmdir(shared);
	}

	/* for waking, the kernel's own files only: others could keep who asks them waiting */
	CHECK(ring_fd_is_anonymous(eventfd(0, EFD_CLOEXEC)));
	CHECK(ring_fd_is_anonymous(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
	CHECK(!ring_fd_is_anonymous(memory(0, 4096)));
	CHECK(!ring_fd_is_anonymous(-1));
	return 0;
}
