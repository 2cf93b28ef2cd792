/* SPDX-License-Identifier: MIT */
/*
 * work_paths.c - system calls on paths and descriptors in their newer and rarer
 * forms: openat2, the *at calls, handles, attributes, notification, locks,
 * copying between descriptors, and their errors.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <utime.h>

#include "workload.h"

static void open_forms(int dir)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	struct open_how create = {.flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0640};

	must(close(must(syscall(SYS_openat2, dir, "made", &create, sizeof(create)))));
	fails(syscall(SYS_openat2, dir, "made", &create, sizeof(create)), EEXIST);
	must(close(must(syscall(SYS_openat2, dir, "made", &how, sizeof(how)))));
	fails(syscall(SYS_openat2, dir, "/etc/passwd", &how, sizeof(how)), EXDEV);
	fails(syscall(SYS_openat2, dir, "to made", &how, sizeof(how)), ENOENT);
	how.resolve = 1 << 30;
	fails(syscall(SYS_openat2, dir, "made", &how, sizeof(how)), EINVAL);
	fails(syscall(SYS_openat2, dir, "made", &how, 3), EINVAL);
	fails(syscall(SYS_openat2, dir, "made", NULL, sizeof(how)), EFAULT);
	must(close(must(openat(dir, "made", O_WRONLY | O_APPEND | O_NONBLOCK | O_SYNC))));
	must(close(must(openat(dir, ".", O_RDWR | O_TMPFILE, 0600))));
	must(close(must(openat(dir, "made", O_PATH | O_NOFOLLOW))));
	must(close(must(open("/dev/null", O_RDWR | O_DSYNC | O_NOCTTY | O_LARGEFILE))));
	must(close(must(creat("created", 0604))));
	fails(creat("absent/created", 0600), ENOENT);
	must(unlink("created"));
	fails(openat(99, "made", O_RDONLY), EBADF);
}

static void at_forms(int dir)
{
	struct stat st;
	char buf[300];

	must(linkat(dir, "made", dir, "linked", 0));
	must(symlinkat("made", dir, "to made"));
	must(linkat(dir, "to made", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	must(readlinkat(dir, "to made", buf, sizeof(buf)));
	must(readlinkat(dir, "to made", buf, 2)); /* cut */
	fails(readlinkat(dir, "made", buf, sizeof(buf)), EINVAL);
	must(mknodat(dir, "fifo", S_IFIFO | 0600, 0));
	must(mknodat(dir, "null", S_IFCHR | 0666, makedev(1, 3)));
	must(mknod("zero", S_IFCHR | 0644, makedev(1, 5)));
	fails(mknodat(dir, "odd", S_IFDIR | 0600, 0), EPERM);
	must(fchmodat(dir, "made", 04755, 0));
	must(fchownat(dir, "to made", 1000, 1000, AT_SYMLINK_NOFOLLOW));
	must(fchownat(dir, "made", 0, -1, 0));
	must(lchown("to made", 0, 0));
	must(fstatat(dir, "fifo", &st, 0));
	must(fstatat(dir, "null", &st, AT_NO_AUTOMOUNT));
	must(fstatat(dir, "", &st, AT_EMPTY_PATH));
	fails(fstatat(dir, "", &st, 0), ENOENT);
	must(stat("zero", &st));
	must(lstat("to made", &st));
	must(faccessat(dir, "made", X_OK, 0));
	must(syscall(SYS_faccessat, dir, "made", R_OK | W_OK));
	must(syscall(SYS_faccessat2, dir, "to made", F_OK, AT_SYMLINK_NOFOLLOW));
	fails(syscall(SYS_faccessat2, dir, "absent", R_OK, AT_EACCESS), ENOENT);
	may(syscall(NR_fchmodat2, dir, "made", 0700, AT_SYMLINK_NOFOLLOW));
	may(syscall(NR_fchmodat2, dir, "absent", 0700, 0));
	must(renameat(dir, "linked", AT_FDCWD, "renamed"));
	must(renameat2(dir, "renamed", dir, "renamed again", RENAME_NOREPLACE));
	fails(renameat2(dir, "renamed again", dir, "made", RENAME_NOREPLACE), EEXIST);
	must(syscall(SYS_rename, "renamed again", "renamed"));
	must(unlinkat(dir, "renamed", 0));
	must(unlinkat(dir, "followed", 0));
	must(unlinkat(dir, "fifo", 0));
	must(unlinkat(dir, "null", 0));
	must(unlink("zero"));
	must(mkdirat(dir, "below", 0711));
	fails(unlinkat(dir, "below", 0), EISDIR);
	must(unlinkat(dir, "below", AT_REMOVEDIR));
}

static void statx_forms(int dir)
{
	struct statx stx;

	must(statx(dir, "made", AT_STATX_SYNC_AS_STAT, STATX_ALL, &stx));
	must(statx(dir, "to made", AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_MODE | STATX_SIZE, &stx));
	must(statx(dir, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &stx));
	must(statx(AT_FDCWD, "/dev/null", 0, STATX_TYPE | STATX_INO | STATX_NLINK | STATX_UID | STATX_GID, &stx));
	fails(statx(dir, "absent", 0, 0, &stx), ENOENT);
	fails(statx(dir, "made", 1 << 30, STATX_ALL, &stx), EINVAL);
}

static void times(int dir)
{
	struct utimbuf when = {1000000000, 1234567890};
	struct timeval pair[2] = {{1000000001, 250000}, {1000000002, 999999}};
	struct timespec exact[2] = {{1000000003, 123456789}, {0, UTIME_NOW}};

	must(utime("made", &when));
	must(utime("made", NULL));
	must(syscall(SYS_utimes, "made", pair));
	must(syscall(SYS_futimesat, dir, "made", pair));
	must(syscall(SYS_futimesat, dir, "made", NULL));
	must(utimensat(dir, "to made", exact, AT_SYMLINK_NOFOLLOW));
	must(syscall(SYS_utimensat, dir, NULL, exact, 0));
	must(utimensat(dir, "made", NULL, 0));
	exact[0].tv_nsec = 1000000000;
	fails(utimensat(dir, "made", exact, 0), EINVAL);
	fails(utime("absent", &when), ENOENT);
	fails(syscall(SYS_utimes, "made", (void *)16), EFAULT);
}

static void handles(int dir)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = {.head.handle_bytes = 0};
	int mount_id;

	fails(name_to_handle_at(dir, "made", &handle.head, &mount_id, 0), EOVERFLOW);
	handle.head.handle_bytes = MAX_HANDLE_SZ;
	must(name_to_handle_at(dir, "made", &handle.head, &mount_id, AT_SYMLINK_FOLLOW));
	must(close(must(open_by_handle_at(dir, &handle.head, O_RDONLY))));
	memset(handle.bytes, 0x5a, sizeof(handle.bytes));
	fails(open_by_handle_at(dir, &handle.head, O_RDWR), ESTALE);
}

static void attributes(int fd)
{
	char buf[256], binary[5] = {1, 0, (char)0xff, '"', '\\'};

	may(setxattr("made", "user.empty", "", 0, 0));
	must(setxattr("made", "trusted.one", "first value", 11, XATTR_CREATE));
	fails(setxattr("made", "trusted.one", "x", 1, XATTR_CREATE), EEXIST);
	must(lsetxattr("to made", "trusted.link", "on a link", 9, 0));
	must(fsetxattr(fd, "trusted.two", binary, sizeof(binary), 0));
	must(fsetxattr(fd, "trusted.two", binary, 3, XATTR_REPLACE));
	must(getxattr("made", "trusted.one", buf, sizeof(buf)));
	must(getxattr("made", "trusted.one", NULL, 0));
	fails(getxattr("made", "trusted.one", buf, 3), ERANGE);
	must(lgetxattr("to made", "trusted.link", buf, sizeof(buf)));
	must(fgetxattr(fd, "trusted.two", buf, sizeof(buf)));
	fails(fgetxattr(fd, "trusted.absent", buf, sizeof(buf)), ENODATA);
	must(listxattr("made", buf, sizeof(buf)));
	must(llistxattr("to made", buf, sizeof(buf)));
	must(flistxattr(fd, buf, sizeof(buf)));
	must(flistxattr(fd, NULL, 0));
	must(removexattr("made", "trusted.one"));
	must(lremovexattr("to made", "trusted.link"));
	must(fremovexattr(fd, "trusted.two"));
	fails(removexattr("made", "trusted.one"), ENODATA);
	struct {
		unsigned long value;
		unsigned size, flags;
	} args = {(unsigned long)buf, sizeof(buf), 0};
	may(syscall(NR_setxattrat, AT_FDCWD, "made", 0, "trusted.at", &args, sizeof(args)));
	may(syscall(NR_getxattrat, AT_FDCWD, "made", 0, "trusted.at", &args, sizeof(args)));
	may(syscall(NR_listxattrat, AT_FDCWD, "made", 0, buf, sizeof(buf)));
	may(syscall(NR_removexattrat, AT_FDCWD, "made", 0, "trusted.at"));
	may(syscall(NR_file_getattr, AT_FDCWD, "made", buf, 24, 0));
}

static void copying(int fd)
{
	loff_t from = 10, to = 3;
	off_t at = 5;
	char buf[64], more[16];
	int pipes[2];

	must(pipe2(pipes, O_CLOEXEC));
	struct iovec parts[2] = {{"gathered ", 9}, {"in two parts", 12}}, into[2] = {{buf, 7}, {more, sizeof(more)}};
	must(pwritev2(fd, parts, 2, 0, RWF_DSYNC | RWF_HIPRI));
	must(pwritev2(fd, parts, 1, -1, RWF_APPEND));
	must(preadv2(fd, into, 2, 0, 0));
	fails(preadv2(fd, into, 2, 0, 1 << 30), EOPNOTSUPP);
	fails(pwritev(fd, parts, 2, -5), EINVAL);
	must(pwrite64(fd, "0123456789abcdef", 16, 1ll << 33));
	must(pread64(fd, buf, 16, 1ll << 33));
	must(ftruncate(fd, 100));
	must(vmsplice(pipes[1], parts, 2, SPLICE_F_GIFT));
	must(splice(pipes[0], NULL, fd, &to, 9, SPLICE_F_MOVE | SPLICE_F_MORE));
	must(splice(fd, &from, pipes[1], NULL, 20, SPLICE_F_NONBLOCK));
	must(read(pipes[0], buf, sizeof(buf)));
	fails(splice(fd, NULL, fd, NULL, 20, 0), EINVAL);
	fails(tee(fd, pipes[1], 5, 0), EINVAL);
	int other = must(open("other", O_RDWR | O_CREAT, 0600));
	must(sendfile(other, fd, &at, 30));
	must(sendfile(other, fd, NULL, 0));
	fails(sendfile(other, 99, &at, 30), EBADF);
	from = 1, to = 2;
	must(copy_file_range(fd, &from, other, &to, 25, 0));
	fails(copy_file_range(fd, &from, other, &to, 25, 1), EINVAL);
	must(fallocate(other, FALLOC_FL_KEEP_SIZE, 0, 65536));
	must(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	fails(fallocate(other, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
	must(lseek(other, 0, SEEK_DATA) + 1);
	must(lseek(other, 0, SEEK_HOLE) + 1);
	must(readahead(fd, 0, 4096));
	must(syscall(SYS_fadvise64, fd, 0, 4096, POSIX_FADV_SEQUENTIAL));
	fails(syscall(SYS_fadvise64, fd, 0, 4096, 77), EINVAL);
	must(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	must(syncfs(fd));
	sync();
	may(syscall(NR_cachestat, fd, (unsigned long[]){0, 4096}, buf, 0));
	must(close(other));
	must(close(pipes[0]));
	must(close(pipes[1]));
	must(unlink("other"));
}

static void descriptors(int fd)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = 0};
	struct f_owner_ex owner = {F_OWNER_PID, 0};
	unsigned long long hint = RWH_WRITE_LIFE_SHORT;
	int flags = 0, pipes[2];

	owner.pid = getpid();
	must(fcntl(fd, F_GETLK, &lock));
	lock.l_type = F_WRLCK;
	must(fcntl(fd, F_SETLKW, &lock));
	lock.l_type = F_UNLCK;
	must(fcntl(fd, F_SETLK, &lock));
	lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 7, .l_len = 9};
	must(fcntl(fd, F_OFD_SETLK, &lock));
	must(fcntl(fd, F_OFD_GETLK, &lock));
	must(fcntl(fd, F_SETLEASE, F_WRLCK) == -1 && errno != EAGAIN ? -1 : 0);
	must(fcntl(fd, F_GETLEASE) + 1);
	may(fcntl(fd, F_SETLEASE, F_UNLCK));
	must(fcntl(fd, F_SETOWN, getpid()));
	must(fcntl(fd, F_GETOWN) + 1);
	must(fcntl(fd, F_SETOWN_EX, &owner));
	must(fcntl(fd, F_GETOWN_EX, &owner));
	must(fcntl(fd, F_SETSIG, SIGIO));
	must(fcntl(fd, F_GETSIG));
	may(fcntl(fd, F_SET_RW_HINT, &hint));
	may(fcntl(fd, F_GET_RW_HINT, &hint));
	must(close(must(fcntl(fd, F_DUPFD, 50))));
	must(close(must(fcntl(fd, F_DUPFD_CLOEXEC, 60))));
	must(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	must(fcntl(fd, F_GETFL));
	must(fcntl(fd, F_GETFD) + 1);
	fails(fcntl(fd, 4321, 1), EINVAL);
	must(pipe(pipes));
	must(fcntl(pipes[0], F_SETPIPE_SZ, 8192));
	must(fcntl(pipes[0], F_GETPIPE_SZ));
	fails(fcntl(fd, F_GETPIPE_SZ), EBADF);
	int sealed = must(memfd_create("sealed \"memfd\"", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
	must(fcntl(sealed, F_GET_SEALS));
	fails(fcntl(sealed, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	may(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	may(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	must(ioctl(fd, FIONREAD, &flags));
	flags = 1;
	must(ioctl(pipes[0], FIONBIO, &flags));
	must(ioctl(pipes[0], FIOCLEX));
	must(ioctl(pipes[0], FIONCLEX));
	fails(ioctl(pipes[0], TCGETS, (char[100]){0}), ENOTTY);
	fails(ioctl(fd, 0x12345678, 7), ENOTTY);
	must(syscall(SYS_close_range, sealed, sealed, 4 /* CLOSE_RANGE_CLOEXEC */));
	must(syscall(SYS_close_range, 200, ~0u, 2 /* CLOSE_RANGE_UNSHARE */));
	fails(syscall(SYS_close_range, 9, 8, 0), EINVAL);
	must(close(pipes[0]));
	must(close(pipes[1]));
	must(close(sealed));
}

static void terminals(void)
{
	struct termios modes;
	struct winsize size = {25, 80, 0, 0};
	char name[64];
	int number, unlock = 0;

	int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(ioctl(master, TIOCSPTLCK, &unlock));
	must(ioctl(master, TIOCGPTN, &number));
	snprintf(name, sizeof(name), "/dev/pts/%d", number);
	int slave = must(open(name, O_RDWR | O_NOCTTY));
	must(ioctl(slave, TCGETS, &modes));
	modes.c_lflag &= ~(ICANON | ECHO);
	must(ioctl(slave, TCSETS, &modes));
	must(ioctl(slave, TCSETSW, &modes));
	must(ioctl(master, TIOCSWINSZ, &size));
	must(ioctl(slave, TIOCGWINSZ, &size));
	must(write(master, "typed\n", 6));
	must(read(slave, name, sizeof(name)));
	must(ioctl(slave, TCFLSH, TCIOFLUSH));
	fails(ioctl(slave, TIOCGPGRP, &number), ENOTTY);
	must(close(slave));
	must(close(master));
}

static void notification(int dir)
{
	char buf[4096];

	int ifd = must(syscall(SYS_inotify_init));
	must(inotify_add_watch(ifd, ".", IN_ALL_EVENTS | IN_ONLYDIR));
	must(close(must(openat(dir, "noticed by inotify", O_WRONLY | O_CREAT, 0600))));
	must(unlinkat(dir, "noticed by inotify", 0));
	must(read(ifd, buf, sizeof(buf)));
	fails(inotify_add_watch(ifd, "absent", IN_OPEN), ENOENT);
	fails(inotify_rm_watch(ifd, 99), EINVAL);
	must(close(ifd));
	int ffd = (int)may(syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY));
	may(syscall(SYS_fanotify_mark, ffd, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE, dir, "made"));
	must(close(must(openat(dir, "made", O_RDONLY))));
	may(read(ffd, buf, sizeof(buf)));
	may(syscall(SYS_fanotify_mark, ffd, FAN_MARK_REMOVE, FAN_OPEN, dir, "absent"));
	may(syscall(SYS_fanotify_mark, ffd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
	may(syscall(SYS_fanotify_init, 0x7fffffff, 0));
	may(close(ffd));
}

static void old_forms(void)
{
	struct statfs fs;
	char buf[2048];

	int fd = must(open("/etc", O_RDONLY | O_DIRECTORY));
	while (must(syscall(SYS_getdents, fd, buf, sizeof(buf))) > 0)
		;
	must(lseek(fd, 0, SEEK_SET));
	fails(syscall(SYS_getdents, fd, buf, 1), EINVAL);
	fails(syscall(SYS_getdents64, fd, buf, 1), EINVAL);
	must(fstatfs(fd, &fs));
	must(close(fd));
	must(statfs("/proc", &fs));
	fails(statfs("/absent", &fs), ENOENT);
	may(syscall(SYS_ustat, 1, buf));
	may(syscall(SYS_sysfs, 3));
	may(syscall(SYS_sysfs, 1, "tmpfs"));
	may(syscall(SYS_uselib, "/lib/absent"));
	must(access("made", W_OK));
	fails(access("absent", R_OK), ENOENT);
	must(getcwd(buf, sizeof(buf)) ? 0 : -1);
	fails(syscall(SYS_getcwd, buf, 2), ERANGE);
	fails(syscall(SYS_getcwd, 16, 100), EFAULT);
}

int main(void)
{
	char work[] = "/tmp/work_paths.XXXXXX";

	if (!mkdtemp(work))
		return 1;
	must(chdir(work));
	int dir = must(open(work, O_RDONLY | O_DIRECTORY));
	open_forms(dir);
	at_forms(dir);
	statx_forms(dir);
	times(dir);
	handles(dir);
	int fd = must(openat(dir, "made", O_RDWR));
	attributes(fd);
	copying(fd);
	descriptors(fd);
	terminals();
	old_forms();
	must(close(fd));
	notification(dir);
	must(unlink("to made"));
	must(unlink("made"));
	must(chdir("/"));
	must(rmdir(work));
	return 0;
}
