/* SPDX-License-Identifier: MIT */
/* test_linux_mounts.c - whether a file's path is the only one, by the mounts of its file system. */
#include "check.h"
#include "linux/linux_mounts.h"
#include "linux_guest_fixture.h"

enum { POINT = 24, VFSMOUNT = 32, INSTANCE = 64, NAMESPACE = 80 };

static struct linux_guest_fixture fixture;
static struct linux_guest *guest;

static bool is_only(int which)
{
	struct linux_mounts *mounts;
	struct linux_paths *paths;
	uint64_t mnt = fixture.mounts[which] + VFSMOUNT;
	bool only;

	linux_guest_fixture_reopen(&fixture);
	CHECK(!linux_paths_create(&paths, guest, fixture.memory));
	CHECK(!linux_mounts_create(&mounts, guest, fixture.memory, paths));
	only = linux_mounts_is_only(mounts, mnt);
	CHECK(only == linux_mounts_is_only(mounts, mnt));
	linux_mounts_destroy(mounts);
	linux_paths_destroy(paths);
	return only;
}

static void put(int which, unsigned at, uint64_t value)
{
	linux_guest_fixture_put(&fixture, fixture.mounts[which] + at, value, 8);
}

int main(void)
{
	fixture.levels = 4;
	linux_guest_fixture_build(&fixture);
	CHECK(!linux_guest_identify(&guest, fixture.memory, &fixture.vcpu, 1, NULL));
	/* the other mount of its file system is the kernel's own */
	CHECK(is_only(FIXTURE_MOUNT_ROOT));
	CHECK(is_only(FIXTURE_MOUNT_DEEP));
	CHECK(!is_only(FIXTURE_MOUNT_BIND));
	/* bound elsewhere */
	put(FIXTURE_MOUNT_BIND, NAMESPACE, fixture.mount_namespace);
	CHECK(is_only(FIXTURE_MOUNT_ROOT));
	CHECK(!is_only(FIXTURE_MOUNT_DEEP));
	CHECK(!is_only(FIXTURE_MOUNT_BIND));
	/* in a namespace that nobody is in */
	put(FIXTURE_MOUNT_BIND, NAMESPACE, fixture.mount_namespace + 8);
	CHECK(is_only(FIXTURE_MOUNT_DEEP));
	/* the same place again, as a copied namespace has it */
	put(FIXTURE_MOUNT_BIND, NAMESPACE, fixture.mount_namespace);
	put(FIXTURE_MOUNT_BIND, POINT, fixture.mount_point);
	CHECK(is_only(FIXTURE_MOUNT_DEEP));
	CHECK(is_only(FIXTURE_MOUNT_BIND));
	/* another part of it, there */
	put(FIXTURE_MOUNT_BIND, VFSMOUNT, fixture.exe_directory);
	CHECK(!is_only(FIXTURE_MOUNT_DEEP));
	put(FIXTURE_MOUNT_BIND, NAMESPACE, 0);
	CHECK(is_only(FIXTURE_MOUNT_DEEP));
	/* what it is mounted on has another name itself */
	put(FIXTURE_MOUNT_ROOT, NAMESPACE, 0);
	CHECK(!is_only(FIXTURE_MOUNT_DEEP));
	put(FIXTURE_MOUNT_ROOT, NAMESPACE, fixture.mount_namespace);
	CHECK(is_only(FIXTURE_MOUNT_DEEP));
	/* a list that never ends, and one that leads nowhere */
	put(FIXTURE_MOUNT_BIND, INSTANCE, fixture.mounts[FIXTURE_MOUNT_DEEP] + INSTANCE);
	CHECK(!is_only(FIXTURE_MOUNT_DEEP));
	put(FIXTURE_MOUNT_BIND, INSTANCE, 0);
	CHECK(!is_only(FIXTURE_MOUNT_DEEP));
	linux_guest_destroy(guest);
	linux_guest_fixture_deinit(&fixture);
	return 0;
}
