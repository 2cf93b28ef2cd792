/* SPDX-License-Identifier: MIT */
/*
 * work_files.c - system calls on files, directories, links and memory, with
 * long strings, odd bytes, every size of buffer, pages that were never touched,
 * and the common errors.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "workload.h"

/* On a page of its own that nothing reads before the kernel does. */
static const char untouched[4096] __attribute__((aligned(4096))) = "never/touched/by/user/space";

static char big[20000];

static void files(void)
{
	struct stat st;
	struct statx stx;
	char buf[256];

	int fd = must(open("plain", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
	must(write(fd, "hello, tape\n", 12));
	must(write(fd, "nul \0 and \x01\xff\xfe bytes", 18));
	must(write(fd, big, sizeof(big)));
	must(write(fd, "", 0));
	must(lseek(fd, 0, SEEK_SET));
	must(read(fd, buf, 5));
	must(read(fd, buf, sizeof(buf)));
	must(pread(fd, buf, 12, 3));
	must(pwrite(fd, "J", 1, 0));
	must(lseek(fd, -1, SEEK_END));
	must(read(fd, buf, 10));
	must(read(fd, buf, 10)); /* end of file */
	struct iovec out[3] = {{"one ", 4}, {"two ", 4}, {"three\n", 6}};
	must(writev(fd, out, 3));
	must(pwritev(fd, out, 2, 100));
	struct iovec in[2] = {{buf, 3}, {buf + 100, 50}};
	must(lseek(fd, 0, SEEK_SET));
	must(readv(fd, in, 2));
	must(preadv(fd, in, 2, 5));
	must(fstat(fd, &st));
	must(stat("plain", &st));
	must(lstat("plain", &st));
	must(fstatat(AT_FDCWD, "plain", &st, AT_SYMLINK_NOFOLLOW));
	must(statx(AT_FDCWD, "plain", 0, STATX_BASIC_STATS, &stx));
	must(access("plain", R_OK | W_OK));
	must(faccessat(AT_FDCWD, "plain", F_OK, AT_EACCESS));
	must(chmod("plain", 0600));
	must(fchmod(fd, 0644));
	must(chown("plain", 0, 0));
	must(fchown(fd, -1, 0));
	must(ftruncate(fd, 100));
	must(truncate("plain", 50));
	must(fallocate(fd, 0, 0, 8192));
	must(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	must(fsync(fd));
	must(fdatasync(fd));
	must(utimensat(AT_FDCWD, "plain", (struct timespec[2]){{1, 2}, {0, UTIME_OMIT}}, 0));
	must(flock(fd, LOCK_EX | LOCK_NB));
	must(flock(fd, LOCK_UN));
	must(fcntl(fd, F_GETFL));
	must(fcntl(fd, F_SETFD, FD_CLOEXEC));
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
	must(fcntl(fd, F_SETLK, &lock));
	must(setxattr("plain", "trusted.vmtape", "value", 5, 0));
	must(getxattr("plain", "trusted.vmtape", buf, sizeof(buf)));
	must(listxattr("plain", buf, sizeof(buf)));
	must(fremovexattr(fd, "trusted.vmtape"));
	int copy = must(creat("copy", 0600));
	must(lseek(fd, 0, SEEK_SET));
	must(sendfile(copy, fd, NULL, 20));
	must(copy_file_range(fd, NULL, copy, NULL, 10, 0));
	int other = must(dup(fd));
	must(dup2(fd, 100));
	must(dup3(fd, 101, O_CLOEXEC));
	must(syscall(SYS_close_range, 100, 101, 0));
	must(close(other));
	must(close(copy));
	must(close(fd));
	struct statfs fs;
	must(statfs(".", &fs));
	must(umask(022));
}

static void directories(void)
{
	char buf[4096];

	must(mkdir("dir", 0755));
	must(mkdirat(AT_FDCWD, "dir/sub", 0700));
	must(symlink("../plain", "dir/link"));
	must(readlink("dir/link", buf, sizeof(buf)));
	must(link("plain", "dir/hard"));
	must(rename("dir/hard", "dir/renamed"));
	must(renameat2(AT_FDCWD, "dir/renamed", AT_FDCWD, "dir/link", RENAME_EXCHANGE));
	must(mknod("dir/fifo", S_IFIFO | 0600, 0));
	int fd = must(open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (must(syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		;
	int file = must(openat(fd, "made by openat", O_WRONLY | O_CREAT, 0600));
	must(close(file));
	must(fchdir(fd));
	must(getcwd(buf, sizeof(buf)));
	must(chdir(".."));
	must(unlinkat(fd, "sub", AT_REMOVEDIR));
	must(unlinkat(fd, "made by openat", 0));
	must(unlink("dir/fifo"));
	must(unlink("dir/link"));
	must(unlink("dir/renamed"));
	must(close(fd));
	must(rmdir("dir"));
}

/* The kernel, not the program, is the first to read these paths: they are not present when the call enters. */
static void untouched_pages(void)
{
	fails(open(untouched, O_RDONLY), ENOENT);
	int fd = must(open("paths", O_RDWR | O_CREAT | O_TRUNC, 0600));
	must(ftruncate(fd, 5 * 4096));
	must(pwrite(fd, "from/a/mapped/file", 19, 0));
	must(pwrite(fd, "across/two/pages", 17, 2 * 4096 - 6));
	must(pwrite(fd, "from/a/private/mapping", 23, 3 * 4096));
	char *shared = mmap(NULL, 5 * 4096, PROT_READ, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	must(madvise(shared, 5 * 4096, MADV_RANDOM)); /* no fault-around */
	must(madvise(private, 5 * 4096, MADV_RANDOM));
	fails(open(shared, O_RDONLY), ENOENT);
	fails(open(shared + 2 * 4096 - 6, O_RDONLY), ENOENT);
	fails(open(private + 3 * 4096, O_RDONLY), ENOENT);
	must(write(fd, shared + 4 * 4096, 100));
	must(munmap(shared, 5 * 4096));
	must(munmap(private, 5 * 4096));
	must(close(fd));
	must(unlink("paths"));
}

static void odd_names(void)
{
	char name[300], path[5000];

	memset(name, 'n', 255);
	name[255] = 0;
	must(close(must(open(name, O_WRONLY | O_CREAT, 0600))));
	must(unlink(name));
	name[255] = 'n';
	name[256] = 0;
	fails(open(name, O_RDONLY), ENAMETOOLONG);
	path[0] = 0;
	for (int i = 0; i < 2000; i++)
		strcat(path, "./");
	strcat(path, "plain");
	must(close(must(open(path, O_RDONLY)))); /* 4,005 bytes */
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	fails(open(path, O_RDONLY), ENAMETOOLONG);
	static const char *const names[] = {"new\nline",      "tab\tand space", "quote\"back\\slash", "esc\033[31mred",
					    "utf-8 \xc3\xa4", "latin \xe4",     "\x01\x02\x7f\xff",   "'$(date)`"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		must(close(must(open(names[i], O_WRONLY | O_CREAT, 0600))));
		must(rename(names[i], "x"));
		must(unlink("x"));
	}
	fails(open("", O_RDONLY), ENOENT);
}

static void memory(void)
{
	char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char resident[256];

	must((long)m);
	m[5000] = 1;
	must(mprotect(m, 4096, PROT_READ));
	must(mincore(m, 1 << 20, resident));
	must(mlock(m, 8192));
	must(munlock(m, 8192));
	must(mprotect(m, 4096, PROT_READ | PROT_WRITE));
	m = mremap(m, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
	must((long)m);
	must(madvise(m, 2 << 20, MADV_DONTNEED));
	must(munmap(m, 2 << 20));
	int fd = must(memfd_create("a memfd", MFD_CLOEXEC));
	must(ftruncate(fd, 8192));
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(m, "synced");
	must(msync(m, 8192, MS_SYNC));
	must(munmap(m, 8192));
	must(close(fd));
	must((long)sbrk(65536));
	must((long)sbrk(-65536));
}

static void errors(void)
{
	char buf[16];

	fails(open("absent", O_RDONLY), ENOENT);
	fails(open("plain/below", O_RDONLY), ENOTDIR);
	fails(open("plain", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	fails(open(".", O_WRONLY), EISDIR);
	fails(open((const char *)16, O_RDONLY), EFAULT);
	fails(open((const char *)0x8000000000000000ul, O_RDONLY), EFAULT);
	fails(read(99, buf, sizeof(buf)), EBADF);
	fails(close(-1), EBADF);
	fails(lseek(0, 0, 77), EINVAL);
	int fd = must(open("plain", O_WRONLY));
	fails(syscall(SYS_write, fd, 16, 5), EFAULT);
	must(close(fd));
	fails(mkdir("plain", 0700), EEXIST);
	fails(rmdir("plain"), ENOTDIR);
	fails(unlink("absent"), ENOENT);
	fails(rename("absent", "anything"), ENOENT);
	fails(readlink("plain", buf, sizeof(buf)), EINVAL);
	fails(chdir("plain"), ENOTDIR);
	fails(dup2(99, 98), EBADF);
	fails(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	fails(munmap((void *)1, 4096), EINVAL);
	fails(syscall(1000), ENOSYS);
	must(symlink("loop", "loop"));
	fails(open("loop", O_RDONLY), ELOOP);
	must(unlink("loop"));
}

/* The i386 way in, from a 64-bit program: getpid, and a write of a string below 4 GiB. */
static void int80(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int result;

	must((long)low);
	strcpy(low, "absent by int 0x80");
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(20) : "memory", "r8", "r9", "r10", "r11");
	if (result != getpid())
		exit(1);
	/* open is 5 */
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(5), "b"(low), "c"(O_RDONLY), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result != -ENOENT)
		exit(1);
	must(munmap(low, 4096));
}

int main(void)
{
	char work[] = "/tmp/work_files.XXXXXX";

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = 'a' + i % 26;
	if (!mkdtemp(work))
		return 1;
	must(chdir(work));
	files();
	directories();
	untouched_pages();
	odd_names();
	memory();
	errors();
	int80();
	must(unlink("plain"));
	must(unlink("copy"));
	must(chdir("/"));
	must(rmdir(work));
	return 0;
}
