/* SPDX-License-Identifier: MIT */
/*
 * decode_workload.c - system calls of many kinds, the same at each run, for
 * decode_truth.py. Works in the current directory, which must be empty. Most
 * results do not matter: a call that is refused is shown, too.
 */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/futex.h>
#include <linux/openat2.h>

#define S(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define NOBODY       ((void *)8) /* no address of this program */

static char buffer[8192];

static void files(void)
{
	struct iovec parts[3] = {{"abc", 3}, {"defg", 4}, {"", 0}}, room[2] = {{buffer, 4}, {buffer + 100, 100}};
	struct stat st;
	loff_t offset = 0;
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), out, fds[2];

	S(write, fd, "hello\nworld\t\1\0012\"\\\377", 19);
	S(write, fd, "", 0);
	S(pwrite64, fd, "xy", 2, 100L);
	S(lseek, fd, 2, SEEK_SET);
	S(read, fd, buffer, 100);
	S(read, fd, buffer, 0);
	S(read, fd, buffer, 100);
	S(read, -1, buffer, 9);
	S(read, fd, NOBODY, 9);
	S(pread64, fd, buffer, 5, 2L);
	S(writev, fd, parts, 3);
	S(lseek, fd, 0, SEEK_SET);
	S(readv, fd, room, 2);
	S(preadv, fd, room, 2, 100L, 0L);
	S(pwritev2, fd, parts, 2, 5L, 0L, 0);
	S(readv, -1, room, 2);
	memset(buffer, 'x', 300);
	S(write, fd, buffer, 300);
	S(fstat, fd, &st);
	S(stat, "/dev/null", &st);
	S(lstat, "/proc/self", &st);
	S(stat, "nonexistent", &st);
	S(newfstatat, AT_FDCWD, "/tmp", &st, AT_SYMLINK_NOFOLLOW);
	S(statx, AT_FDCWD, "/nonexistent", AT_SYMLINK_NOFOLLOW, 0xfff, buffer);
	S(ftruncate, fd, 5000);
	S(fallocate, fd, 1, 0L, 100L);
	S(fadvise64, fd, 0L, 0L, POSIX_FADV_SEQUENTIAL);
	out = open("out", O_WRONLY | O_CREAT | O_EXCL, 0600);
	S(sendfile, out, fd, &offset, 10L);
	S(copy_file_range, fd, &offset, out, 0L, 5L, 0);
	S(pipe, fds);
	S(pipe2, fds, O_CLOEXEC | O_NONBLOCK);
	S(read, fds[0], buffer, 1);
	S(splice, fd, &offset, fds[1], 0L, 5L, 1);
	S(memfd_create, "mem", 3);
	S(close, out);
	S(close, 99);
	S(getdents64, fd, buffer, 100);
}

static void names(void)
{
	struct timespec times[2] = {{1, 500}, {0, UTIME_OMIT}};
	struct timeval old_times[2] = {{1, 2}, {3, 4}};
	struct open_how how = {.flags = O_RDONLY | O_CREAT, .mode = 0644, .resolve = RESOLVE_NO_SYMLINKS};
	int folder = open(".", O_RDONLY | O_DIRECTORY), watch;

	S(getcwd, buffer, 1L);
	S(chdir, "/nonexistent");
	S(fchdir, folder);
	S(mkdir, "d", 0700);
	S(mkdirat, folder, "d2", 07);
	S(rename, "f", "g");
	S(renameat, AT_FDCWD, "g", folder, "f");
	S(renameat2, AT_FDCWD, "f", AT_FDCWD, "out", RENAME_NOREPLACE);
	S(link, "f", "l");
	S(linkat, folder, "f", folder, "l2", AT_SYMLINK_FOLLOW);
	S(symlink, "target", "s");
	S(symlinkat, "target", folder, "s2");
	S(readlink, "s", buffer, 100L);
	S(readlinkat, folder, "s2", buffer, 2L);
	S(readlink, "f", buffer, 100L);
	S(chmod, "f", 04755);
	S(fchmodat, folder, "f", 0);
	S(fchownat, folder, "f", -1, -1, AT_SYMLINK_NOFOLLOW);
	S(utimensat, folder, "f", times, 0);
	S(utimensat, AT_FDCWD, "f", 0L, AT_SYMLINK_NOFOLLOW);
	S(utimes, "f", old_times);
	S(access, "f", R_OK | W_OK);
	S(faccessat, AT_FDCWD, "f", F_OK);
	S(faccessat2, AT_FDCWD, "nope", X_OK, AT_EACCESS);
	S(mknod, "fifo", S_IFIFO | 0600, 0);
	S(mknodat, folder, "/nonexistent/dev", S_IFCHR | 0600, 0x103);
	S(openat2, AT_FDCWD, "f", &how, sizeof(how));
	S(openat, AT_FDCWD, NOBODY, 0);
	S(open, 0L, O_TMPFILE | O_RDWR, 0600);
	S(unlink, "l");
	S(unlinkat, folder, "d2", AT_REMOVEDIR);
	S(rmdir, "f");
	S(umask, 022);
	S(getxattr, "f", "user.none", buffer, 100L);
	S(mount, "none", "/nonexistent", "tmpfs", MS_RDONLY | MS_NOSUID, "size=1k");
	S(umount2, "/nonexistent", 8);
	watch = (int)S(inotify_init1, IN_NONBLOCK);
	S(inotify_add_watch, watch, ".", IN_CREATE | IN_DELETE);
	S(getdents64, folder, NOBODY, 4096);
}

static void descriptors(void)
{
	struct flock lock = {F_WRLCK, SEEK_SET, 1, 2, 0};
	int fd = open("f", O_RDWR), size = 0, on = 1;

	S(dup2, fd, 20);
	S(dup3, fd, 21, O_CLOEXEC);
	S(fcntl, fd, F_GETFD);
	S(fcntl, fd, F_SETFD, FD_CLOEXEC);
	S(fcntl, fd, F_GETFD);
	S(fcntl, fd, F_GETFL);
	S(fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK);
	S(fcntl, fd, F_DUPFD_CLOEXEC, 30);
	S(fcntl, fd, F_SETLK, &lock);
	lock.l_type = F_RDLCK;
	S(fcntl, fd, F_GETLK, &lock);
	S(fcntl, fd, F_GETPIPE_SZ);
	S(fcntl, fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT);
	S(membarrier, 0, 0, 0);
	S(membarrier, 0, 1, 2);
	S(fcntl, fd, 12345, 9L);
	S(flock, fd, LOCK_EX | LOCK_NB);
	S(ioctl, fd, TCGETS, buffer);
	S(ioctl, fd, TIOCGWINSZ, buffer);
	S(ioctl, fd, FIONREAD, &size);
	S(ioctl, fd, FIONBIO, &on);
	S(ioctl, fd, FIOCLEX);
	S(ioctl, fd, 0x12345678, 5L);
	S(close_range, 50, 60, 0);
}

static void memory(void)
{
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	S(mprotect, map, 4096L, PROT_READ);
	S(madvise, map, 8192L, MADV_DONTNEED);
	S(mremap, map, 8192L, 4096L, MREMAP_MAYMOVE);
	S(msync, map, 4096L, MS_SYNC);
	S(munmap, map, 4096L);
	S(brk, 0L);
	S(mmap, 0L, 4096L, PROT_READ, MAP_SHARED, 99, 0x1000L);
}

static void handler(int number)
{
}

static void processes(void)
{
	static char *const arguments[] = {"true", "a b", "c\n", NULL}, *const environment[] = {"A=1", "B=2", NULL};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct timespec nap = {0, 1000};
	sigset_t set;
	int status;
	pid_t child = fork();

	if (!child)
		_exit(3);
	S(wait4, child, &status, 0, 0L);
	S(wait4, child, &status, WNOHANG, 0L);
	S(execve, "/nonexistent", arguments, environment);
	S(execveat, AT_FDCWD, "/nonexistent", arguments, 0L, AT_EMPTY_PATH);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&action.sa_mask, SIGINT);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGINT, NULL, &action);
	S(rt_sigprocmask, SIG_BLOCK, &set, 0L, 8L);
	S(kill, getpid(), SIGUSR1);
	S(rt_sigpending, &set, 8L);
	S(rt_sigprocmask, SIG_UNBLOCK, &set, 0L, 8L);
	S(rt_sigtimedwait, &set, 0L, &nap, 8L);
	S(nanosleep, &nap, buffer);
	S(clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, 0L);
	S(sigaltstack, 0L, 0L);
	S(prctl, PR_SET_NAME, "newname");
	S(prctl, PR_GET_NAME, buffer);
	S(prctl, PR_SET_PDEATHSIG, SIGKILL);
	S(prctl, PR_GET_DUMPABLE);
	S(arch_prctl, 0x3001, 0L);
	S(getpriority, PRIO_PROCESS, 0);
	S(getresuid, buffer, buffer + 4, buffer + 8);
	S(setgroups, 70000, NOBODY);
	S(unshare, 0);
	S(getrlimit, RLIMIT_CPU, buffer);
	S(prlimit64, 0, RLIMIT_STACK, 0L, buffer);
	S(sched_setscheduler, 0, SCHED_OTHER, NOBODY);
	S(uname, buffer);
	S(personality, 0xffffffffu);
	S(futex, buffer + 4096, FUTEX_WAIT_PRIVATE, 1, 0L);
	S(futex, buffer + 4096, FUTEX_WAKE, 1);
	S(getrandom, buffer, 0L, GRND_NONBLOCK);
}

static void sockets(void)
{
	struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_un local = {AF_UNIX, "socket"}, peer;
	struct iovec parts[2] = {{"abc", 3}, {"defg", 4}}, room = {buffer, 100};
	struct msghdr send = {.msg_iov = parts, .msg_iovlen = 2}, receive = {.msg_iov = &room, .msg_iovlen = 1};
	socklen_t len = sizeof(peer);
	int fd, pair[2], on = 1;

	inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	S(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &on, 4);
	S(setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &on, 4);
	S(getsockopt, fd, SOL_SOCKET, SO_TYPE, buffer, &len);
	S(connect, 99, &inet, sizeof(inet));
	S(connect, 99, &inet, 1);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	S(bind, fd, &local, sizeof(local));
	len = sizeof(peer);
	S(getsockname, fd, &peer, &len);
	S(sendto, fd, "dg", 2L, MSG_NOSIGNAL, &local, sizeof(local));
	len = sizeof(peer);
	S(recvfrom, fd, buffer, 100L, 0, &peer, &len);
	S(recvfrom, fd, buffer, 100L, MSG_DONTWAIT, 0L, 0L);
	S(socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
	S(sendmsg, pair[0], &send, 0);
	S(recvmsg, pair[1], &receive, 0);
	S(recvmsg, pair[1], &receive, MSG_DONTWAIT);
	S(shutdown, pair[0], SHUT_WR);
	S(accept4, 99, 0L, 0L, SOCK_NONBLOCK);
	S(listen, 99, 5);
}

static void waiting(void)
{
	struct itimerspec timer = {{0, 0}, {1, 0}};
	struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 7}}, events[4];
	struct pollfd fds[2] = {{-1, POLLIN, 0}, {0, POLLIN, 0}};
	int ready = (int)S(eventfd2, 1, EFD_NONBLOCK), ep = (int)S(epoll_create1, EPOLL_CLOEXEC), fd;
	struct timeval none = {0, 0};
	sigset_t set;
	fd_set in;

	fds[1].fd = ready;
	S(poll, fds, 2, 1000);
	S(poll, fds, 1, 0);
	S(epoll_ctl, ep, EPOLL_CTL_ADD, ready, &event);
	S(epoll_wait, ep, events, 4, 0);
	S(epoll_wait, ep, events, 4, 0);
	FD_ZERO(&in);
	FD_SET(ready, &in);
	S(select, ready + 1, &in, 0L, 0L, &none);
	S(select, 0, 0L, 0L, 0L, &none);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	S(signalfd4, -1, &set, 8L, SFD_CLOEXEC);
	fd = (int)S(timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC);
	S(timerfd_settime, fd, 0, &timer, 0L);
	S(clock_gettime, 77, buffer);
}

int main(void)
{
	files();
	names();
	descriptors();
	memory();
	processes();
	sockets();
	waiting();
	S(exit_group, 7);
}
