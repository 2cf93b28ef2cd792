/* SPDX-License-Identifier: MIT */
/*
 * fd_workload - opens all kinds of descriptors in several processes.
 *   state    sets them up, writes the processes' ids to /tmp/fd.pids, waits; at SIGUSR1 closes most, and waits again
 *   churn N  N processes that open, copy and close files without rest: each file's content is its path
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER      "/tmp/fdw"
#define CHURN       "/tmp/churn"
#define CHURN_FILES 64

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int must(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static void note_pid(const char *role)
{
	FILE *out = fopen("/tmp/fd.pids", "ae");

	if (!out)
		die("fd.pids");
	fprintf(out, "%s %d\n", role, getpid());
	fclose(out);
}

static void wait_for_signal(int number)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigwait(&set, &got);
}

static struct sockaddr_in address_of(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static int connection[2]; /* both ends of one */

static void open_sockets(void)
{
	struct sockaddr_in server = address_of(4711), peer = address_of(53);
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6, .sin6_port = htons(4712), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = FOLDER "/sock"};
	socklen_t len = sizeof(server);
	int listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"), client, one = 1, pair[2], fd;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(listener, (struct sockaddr *)&server, sizeof(server)), "bind");
	must(listen(listener, 5), "listen");
	client = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(connect(client, (struct sockaddr *)&server, sizeof(server)), "connect");
	must(getsockname(client, (struct sockaddr *)&peer, &len), "getsockname");
	must(accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC), "accept");
	must(send(client, "hello", 5, 0), "send");
	peer = address_of(53);
	fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	must(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), "connect");
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&six, sizeof(six)) || listen(fd, 1)))
		close(fd);
	fd = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	unlink(local.sun_path);
	must(bind(fd, (struct sockaddr *)&local, sizeof(local)), "bind");
	must(listen(fd, 1), "listen");
	client = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	must(connect(client, (struct sockaddr *)&local, sizeof(local)), "connect");
	connection[0] = client;
	connection[1] = must(accept(fd, NULL, NULL), "accept");
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
}

/* A descriptor goes through two sockets, and is closed on the first side; many: with the first of two messages. */
static int pass(int from, int to, int fd, bool many)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &data,
						   .msg_iovlen = 1,
						   .msg_control = control,
						   .msg_controllen = sizeof(control)}},
				      {.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}}};
	struct msghdr *message = &messages[0].msg_hdr;
	struct cmsghdr *item = CMSG_FIRSTHDR(message);

	*item = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(item), &fd, sizeof(fd));
	must(many ? sendmmsg(from, messages, 2, 0) : (int)sendmsg(from, message, 0), "send");
	close(fd);
	close(from);
	must(open("/etc/group", O_RDONLY), "group");
	must(many ? recvmmsg(to, messages, 2, 0, NULL) : (int)recvmsg(to, message, 0), "receive");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(message)), sizeof(fd));
	return fd;
}

static void pass_one(const char *path, bool many)
{
	int pair[2], fd = must(open(path, O_CREAT | O_RDWR, 0644), path);

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	pass(pair[0], pair[1], fd, many);
}

/* Through a connection that was there when a snapshot was taken. */
static void pass_connected(void)
{
	int fd = must(open(FOLDER "/connected", O_CREAT | O_RDWR, 0644), "connected");

	must(dup2(pass(connection[0], connection[1], fd, false), 100), "dup2");
}

/* A child that ends at once, by its descriptor. */
static void clone_with_pidfd(void)
{
	int pidfd = -1;
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} args = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (!child)
		_exit(0);
	must((int)child, "clone3");
	waitpid((pid_t)child, NULL, 0);
}

/* Files that are called otherwise than they were opened. */
static void change_names(void)
{
	const int flags = O_CREAT | O_EXCL | O_RDWR;

	unlink(FOLDER "/made");
	must(open(FOLDER "/made", flags, 0644), "made");
	must(rename(FOLDER "/made", FOLDER "/renamed"), "rename");
	must(open(FOLDER "/made", flags, 0644), "made");
	must(unlink(FOLDER "/made"), "unlink");
	must(open(FOLDER "/made", flags, 0644), "made");
}

/* By links of the kernel's, and without reading or writing. */
static void open_otherwise(void)
{
	char path[64];
	int fd = must(open(FOLDER "/dir/by_link", O_CREAT | O_RDWR, 0644), "by_link");
	int dir = must(open(FOLDER "/dir", O_PATH | O_DIRECTORY), "path");

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(open(path, O_RDONLY), path);
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d/inside", dir);
	must(open(path, O_RDONLY), path);
	must(dup(dir), "dup");
	syscall(SYS_close_range, 200, 300, 0);
}

/* What files are called then can't be told for sure from the calls: /proc's name, or a mark. */
static void make_unsure(void)
{
	const int flags = O_CREAT | O_EXCL | O_RDWR;

	mkdir(FOLDER "/marked", 0755);
	mkdir(FOLDER "/marked/from", 0755);
	mkdir(FOLDER "/marked/to", 0755);
	unlink(FOLDER "/marked/a");
	unlink(FOLDER "/marked/b");
	must(open(FOLDER "/marked/a", flags, 0644), "a");
	must(link(FOLDER "/marked/a", FOLDER "/marked/b"), "link");
	must(rename(FOLDER "/marked/a", FOLDER "/marked/b"), "rename");
	must(mount("none", FOLDER "/marked/from", "tmpfs", 0, NULL), "mount");
	must(open(FOLDER "/marked/from/file", flags, 0644), "file");
	must(mount(FOLDER "/marked/from", FOLDER "/marked/to", NULL, MS_MOVE, NULL), "move");
	must(mount("none", FOLDER "/marked/from", "tmpfs", 0, NULL), "mount");
	must(open(FOLDER "/marked/from/marked_file", flags, 0644), "marked_file");
	must(umount2(FOLDER "/marked/from", MNT_DETACH), "umount");
	must(umount2(FOLDER "/marked/to", MNT_DETACH), "umount");
}

static int directory;

/* In a directory that was open at the snapshot: /dev/null is another file, and is there still. */
static void remove_a_null(void)
{
	must(openat(directory, "null", O_CREAT | O_RDWR, 0644), "null");
	must(unlinkat(directory, "null", 0), "unlinkat");
}

static void open_all(void)
{
	int pair[2], dir, fd;
	sigset_t set;

	must(open("/etc/passwd", O_RDONLY), "passwd");
	must(open("/dev/null", O_RDWR | O_CLOEXEC), "null");
	must(mkdir(FOLDER "/dir", 0755) && errno != EEXIST ? -1 : 0, "mkdir");
	dir = must(open(FOLDER "/dir", O_RDONLY | O_DIRECTORY), "dir");
	directory = dir;
	must(openat(dir, "inside", O_CREAT | O_RDWR, 0644), "inside");
	must(chdir(FOLDER), "chdir");
	must(open("relative", O_CREAT | O_RDWR | O_CLOEXEC, 0644), "relative");
	fd = must(open("./dir/moved", O_CREAT | O_RDWR, 0644), "moved");
	must(dup2(fd, 40), "dup2");
	must(dup(fd), "dup");
	must(fcntl(fd, F_DUPFD_CLOEXEC, 50), "fcntl");
	must(dup3(fd, 41, O_CLOEXEC), "dup3");
	must(pipe2(pair, O_CLOEXEC), "pipe2");
	must(pipe(pair), "pipe");
	must(eventfd(0, 0), "eventfd");
	must(epoll_create1(EPOLL_CLOEXEC), "epoll");
	must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd");
	sigemptyset(&set);
	must(signalfd(-1, &set, 0), "signalfd");
	must(inotify_init1(0), "inotify");
	must((int)syscall(SYS_memfd_create, "box", 0), "memfd");
	open_sockets();
	/* a hole, filled again */
	close(fd);
	must(open("/etc/group", O_RDONLY), "group");
	must(fchdir(dir), "fchdir");
	must(open("last", O_CREAT | O_RDWR, 0644), "last");
	pass_one(FOLDER "/passed", false);
	pass_one(FOLDER "/passed_many", true);
	clone_with_pidfd();
	open_otherwise();
	make_unsure();
	change_names();
}

static void map_all(void)
{
	int fd = must(open("/etc/passwd", O_RDONLY), "passwd");
	char *many = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (many == MAP_FAILED || file == MAP_FAILED)
		die("mmap");
	must(mprotect(many + 4 * 4096, 4096, PROT_READ), "mprotect");
	must(munmap(many + 8 * 4096, 2 * 4096), "munmap");
	close(fd);
	sbrk(3 * 4096);
}

static void *in_thread(void *unused)
{
	must(open("/etc/hostname", O_CREAT | O_RDONLY, 0644), "hostname");
	wait_for_signal(SIGTERM);
	return NULL;
}

static void run_child(const char *self)
{
	pid_t child = must(fork(), "fork");

	if (child)
		return;
	close(3);
	must(open("/etc/hosts", O_CREAT | O_RDONLY, 0644), "hosts");
	execl(self, self, "child", (char *)NULL);
	die("execl");
}

static int run_state(const char *self)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	mkdir(FOLDER, 0755);
	open_all();
	map_all();
	if (pthread_create(&thread, NULL, in_thread, NULL))
		die("pthread_create");
	run_child(self);
	usleep(200000);
	note_pid("parent");
	wait_for_signal(SIGUSR1);
	pass_connected();
	remove_a_null();
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	must(open("/etc/group", O_RDONLY), "group");
	must(chdir("/etc"), "chdir");
	map_all();
	note_pid("closed");
	wait_for_signal(SIGUSR2);
	kill(0, SIGKILL);
	return 0;
}

static void run_child_program(void)
{
	must(open("/etc/passwd", O_RDONLY | O_CLOEXEC), "passwd");
	note_pid("child");
	for (;;)
		pause();
}

/* ---- churn ------------------------------------------------------------- */

static void look_at(int fd)
{
	char text[64];

	if (pread(fd, text, sizeof(text), 0) < 0 && errno != EBADF)
		die("pread");
}

static int any_file(unsigned *seed)
{
	char path[64];

	snprintf(path, sizeof(path), CHURN "/%u", rand_r(seed) % CHURN_FILES);
	return must(open(path, O_RDONLY | (rand_r(seed) % 2 ? O_CLOEXEC : 0)), path);
}

static void churn(unsigned seed)
{
	for (;;) {
		int fds[4];

		for (int i = 0; i < 4; i++) {
			fds[i] = any_file(&seed);
			look_at(fds[i]);
		}
		must(dup2(fds[0], fds[3]), "dup2");
		look_at(fds[3]);
		if (rand_r(&seed) % 16 == 0) {
			pid_t child = fork();

			if (!child) {
				int fd;

				close(fds[1]);
				fd = any_file(&seed);
				look_at(fds[2]);
				look_at(fd);
				_exit(0);
			}
			waitpid(child, NULL, 0);
		}
		for (int i = 0; i < 4; i++) {
			look_at(fds[i]);
			close(fds[i]);
		}
	}
}

static int run_churn(int n)
{
	mkdir(CHURN, 0755);
	for (int i = 0; i < CHURN_FILES; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), CHURN "/%d", i);
		fd = must(open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644), path);
		if (write(fd, path, strlen(path)) < 0)
			die("write");
		close(fd);
	}
	for (int i = 1; i < n; i++)
		if (!must(fork(), "fork"))
			churn((unsigned)i);
	churn(0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "state"))
		return run_state(argv[0]);
	if (argc > 1 && !strcmp(argv[1], "child"))
		run_child_program();
	if (argc > 2 && !strcmp(argv[1], "churn"))
		return run_churn(atoi(argv[2]));
	fprintf(stderr, "usage: fd_workload state | child | churn N\n");
	return 2;
}
