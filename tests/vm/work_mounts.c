/* SPDX-License-Identifier: MIT */
/*
 * work_mounts.c - system calls on mounts, roots and namespaces, each in a
 * namespace of its own, so that the guest stays as it is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "workload.h"

/* By number: <sys/mount.h> and <linux/mount.h> don't go together. */
static long mount_by(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	return syscall(SYS_mount, source, target, type, flags, data);
}

static void old_way(void)
{
	must(mount_by("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mount_by("a source", "old", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700"));
	must(mount_by(NULL, "old", NULL, MS_REMOUNT | MS_RDONLY, "size=2m"));
	fails(open("old/file", O_WRONLY | O_CREAT, 0600), EROFS);
	must(mkdir("bound", 0700));
	must(mount_by("old", "bound", NULL, MS_BIND, NULL));
	must(mount_by(NULL, "bound", NULL, MS_SHARED, NULL));
	fails(mount_by("none", "absent", "tmpfs", 0, NULL), ENOENT);
	fails(mount_by("none", "old", "nosuchfs", 0, NULL), ENODEV);
	fails(mount_by("none", "old", "tmpfs", 0, "size=nonsense"), EINVAL);
	must(syscall(SYS_umount2, "bound", 2 /* MNT_DETACH */));
	must(syscall(SYS_umount2, "old", 8 /* UMOUNT_NOFOLLOW */));
	fails(syscall(SYS_umount2, "old", 0), EINVAL);
	fails(syscall(SYS_umount2, "old", 1 << 20), EINVAL);
	must(rmdir("bound"));
}

static void new_way(void)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC};
	char buf[1024];

	int fs = must(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
	must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "1m", 0));
	must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", "by fsconfig", 0));
	fails(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "nonsense", NULL, 0), EINVAL);
	fails(syscall(SYS_fsconfig, fs, 77, NULL, NULL, 0), EOPNOTSUPP);
	must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	may(read(fs, buf, sizeof(buf)));
	int mount = must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_RELATIME));
	must(syscall(SYS_move_mount, mount, "", AT_FDCWD, "new", MOVE_MOUNT_F_EMPTY_PATH));
	fails(syscall(SYS_move_mount, mount, "", AT_FDCWD, "absent", MOVE_MOUNT_F_EMPTY_PATH), ENOENT);
	must(close(mount));
	must(close(fs));
	must(close(must(open("new/file", O_WRONLY | O_CREAT, 0600))));
	must(syscall(SYS_mount_setattr, AT_FDCWD, "new", 0, &attributes, sizeof(attributes)));
	fails(open("new/another", O_WRONLY | O_CREAT, 0600), EROFS);
	attributes = (struct mount_attr){.attr_clr = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
	must(syscall(SYS_mount_setattr, AT_FDCWD, "new", AT_RECURSIVE, &attributes, sizeof(attributes)));
	fails(syscall(SYS_mount_setattr, -1, "new", 0, &attributes, 3), EINVAL);
	int tree = must(syscall(SYS_open_tree, AT_FDCWD, "new", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	must(close(tree));
	fails(syscall(SYS_open_tree, AT_FDCWD, "absent", 0), ENOENT);
	int picked = must(syscall(SYS_fspick, AT_FDCWD, "new", FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT));
	must(syscall(SYS_fsconfig, picked, FSCONFIG_SET_STRING, "size", "2m", 0));
	must(syscall(SYS_fsconfig, picked, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	must(close(picked));
	fails(syscall(SYS_fsopen, "nosuchfs", 0), ENODEV);
	fails(syscall(SYS_fsopen, "tmpfs", 1 << 20), EINVAL);
	fails(syscall(SYS_fsmount, 99, 0, 0), EBADF);
	fails(syscall(SYS_fspick, AT_FDCWD, "absent", 0), ENOENT);
	must(syscall(SYS_umount2, "new", 0));
}

/* Calls of which strace's version may not know more than the number. */
static void young_calls(void)
{
	struct {
		unsigned size, spare;
		unsigned long mount_id, param;
	} request = {24, 0, 0xffffffffffffffff /* LSMT_ROOT */, 0};
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
	unsigned long list[64], answer[64];

	may(syscall(NR_listmount, &request, list, 64, 0));
	request.mount_id = list[0];
	request.param = 3;
	may(syscall(NR_statmount, &request, answer, sizeof(answer), 0));
	may(syscall(NR_statmount, &request, answer, sizeof(answer), 99));
	may(close(may(syscall(NR_open_tree_attr, AT_FDCWD, "new", OPEN_TREE_CLONE, &attributes, sizeof(attributes)))));
	may(syscall(NR_listns, &request, list, 64, 0));
}

static void other_root(void)
{
	must(mount_by("none", "new", "tmpfs", 0, NULL));
	must(mkdir("new/put_old", 0700));
	must(chdir("new"));
	fails(syscall(SYS_pivot_root, ".", "absent"), ENOENT);
	if (syscall(SYS_pivot_root, ".", "put_old") == -1)
		must(chroot(".")); /* the first root file system can't be moved */
	must(chdir("/"));
	fails(chroot("absent"), ENOENT);
	must(close(must(open("/in the new root", O_WRONLY | O_CREAT, 0600))));
}

static void in_child(void (*function)(void), int namespaces)
{
	int status;

	if (must(fork()) == 0) {
		must(unshare(namespaces));
		function();
		_exit(0);
	}
	must(wait(&status));
	if (status != 0)
		exit(1);
}

static void names(void)
{
	int own = must(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
	int first = must(open("/proc/1/ns/uts", O_RDONLY | O_CLOEXEC));

	must(sethostname("another \"name\"", 14));
	must(setdomainname("example.org", 11));
	fails(syscall(SYS_sethostname, "x", 65), EINVAL);
	fails(syscall(SYS_setdomainname, 16, 5), EFAULT);
	must(setns(first, CLONE_NEWUTS));
	must(setns(own, 0));
	fails(setns(own, CLONE_NEWNET), EINVAL);
	fails(setns(99, 0), EBADF);
	fails(unshare(0x7f), EINVAL);
	int pidfd = must(syscall(SYS_pidfd_open, 1, 0));
	must(setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC));
	must(close(pidfd));
	must(close(first));
	must(close(own));
}

static void user_namespace(void)
{
	int fd = must(open("/proc/self/uid_map", O_WRONLY));

	must(write(fd, "0 0 1\n", 6));
	must(close(fd));
	must(getuid());
	may(mount_by("none", "/proc/1", "tmpfs", 0, NULL));
	may(getgid());
}

static void pid_namespace(void)
{
	int status;

	if (must(fork()) == 0) {
		if (must(getpid()) != 1)
			_exit(1);
		must(getppid());
		_exit(0);
	}
	must(wait(&status));
	if (status != 0)
		_exit(1);
}

int main(void)
{
	char work[] = "/tmp/work_mounts.XXXXXX";

	if (!mkdtemp(work))
		return 1;
	must(chdir(work));
	must(mkdir("old", 0700));
	must(mkdir("new", 0700));
	in_child(old_way, CLONE_NEWNS);
	in_child(new_way, CLONE_NEWNS | CLONE_FS);
	in_child(young_calls, CLONE_NEWNS);
	in_child(other_root, CLONE_NEWNS | CLONE_FILES);
	in_child(names, CLONE_NEWUTS | CLONE_NEWIPC);
	in_child(user_namespace, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWCGROUP);
	in_child(pid_namespace, CLONE_NEWPID | CLONE_NEWTIME);
	must(rmdir("old"));
	must(rmdir("new"));
	must(chdir("/"));
	must(rmdir(work));
	return 0;
}
