/* SPDX-License-Identifier: MIT */
/*
 * work_ipc.c - system calls by which processes talk: pipes, UNIX, TCP and UDP
 * sockets, waiting for many descriptors, eventfd, timerfd, signalfd, inotify,
 * System V and POSIX IPC.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "workload.h"

static void pipes(void)
{
	int first[2], second[2], available;
	char buf[64];

	must(pipe(first));
	must(pipe2(second, O_NONBLOCK | O_CLOEXEC));
	must(write(first[1], "through a pipe", 14));
	must(ioctl(first[0], FIONREAD, &available));
	must(tee(first[0], second[1], 7, 0));
	must(splice(first[0], NULL, second[1], NULL, 100, 0));
	must(read(second[0], buf, sizeof(buf)));
	fails(read(second[0], buf, sizeof(buf)), EAGAIN);
	fails(ioctl(first[0], TIOCGWINSZ, buf), ENOTTY);
	fails(lseek(first[0], 0, SEEK_SET), ESPIPE);
	for (int i = 0; i < 2; i++) {
		must(close(first[i]));
		must(close(second[i]));
	}
}

static void unix_sockets(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/work_ipc.socket"};
	struct sockaddr_un hidden = {.sun_family = AF_UNIX, .sun_path = "\0abstract"};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = '!', buf[100];
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	memset(&control, 0, sizeof(control));
	control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	*(int *)CMSG_DATA(&control.header) = pair[0];
	must(sendmsg(pair[0], &message, 0));
	must(recvmsg(pair[1], &message, 0));
	must(send(pair[0], "by send", 7, MSG_NOSIGNAL));
	must(recv(pair[1], buf, sizeof(buf), 0));
	must(shutdown(pair[0], SHUT_WR));
	must(recv(pair[1], buf, sizeof(buf), 0));
	must(close(pair[0]));
	must(close(pair[1]));

	unlink(address.sun_path);
	int server = must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	must(bind(server, (struct sockaddr *)&address, sizeof(address)));
	must(listen(server, 5));
	int client = must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	must(connect(client, (struct sockaddr *)&address, sizeof(address)));
	int peer = must(accept4(server, NULL, NULL, SOCK_CLOEXEC));
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	must(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &length));
	must(close(peer));
	must(close(client));
	must(close(server));
	must(unlink(address.sun_path));
	client = must(socket(AF_UNIX, SOCK_STREAM, 0));
	fails(connect(client, (struct sockaddr *)&address, sizeof(address)), ENOENT);
	fails(connect(client, (struct sockaddr *)&hidden, offsetof(struct sockaddr_un, sun_path) + 9), ECONNREFUSED);
	must(close(client));
}

static void *serve(void *argument)
{
	int server = *(int *)argument;
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	char buf[256];

	int peer = must(accept(server, (struct sockaddr *)&from, &length));
	long n = must(recv(peer, buf, sizeof(buf), 0));
	must(send(peer, buf, n, MSG_NOSIGNAL));
	must(close(peer));
	return NULL;
}

static void internet_sockets(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, name;
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(9)};
	socklen_t length = sizeof(address);
	pthread_t thread;
	char buf[256];
	int one = 1;

	int server = must(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	must(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	must(bind(server, (struct sockaddr *)&address, sizeof(address)));
	must(getsockname(server, (struct sockaddr *)&address, &length));
	must(listen(server, 1));
	pthread_create(&thread, NULL, serve, &server);
	int client = must(socket(AF_INET, SOCK_STREAM, 0));
	must(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	must(connect(client, (struct sockaddr *)&address, sizeof(address)));
	must(getpeername(client, (struct sockaddr *)&name, &length));
	must(send(client, "GET / HTTP/1.0\r\n\r\n", 18, 0));
	must(recv(client, buf, sizeof(buf), MSG_WAITALL));
	pthread_join(thread, NULL);
	must(close(client));
	must(close(server));
	client = must(socket(AF_INET, SOCK_STREAM, 0));
	fails(connect(client, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
	must(close(client));

	server = must(socket(AF_INET, SOCK_DGRAM, 0));
	address.sin_port = 0;
	must(bind(server, (struct sockaddr *)&address, sizeof(address)));
	must(getsockname(server, (struct sockaddr *)&address, &length));
	client = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(sendto(client, "datagram", 8, 0, (struct sockaddr *)&address, sizeof(address)));
	must(recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&name, &length));
	struct iovec parts[2] = {{"two", 3}, {"parts", 5}};
	struct mmsghdr messages[2] = {
		{{.msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = parts, .msg_iovlen = 2}, 0},
		{{.msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = parts, .msg_iovlen = 1}, 0},
	};
	must(sendmmsg(client, messages, 2, 0));
	must(recv(server, buf, sizeof(buf), 0));
	fails(connect(client, (struct sockaddr *)&six, sizeof(six)), EAFNOSUPPORT);
	fails(bind(client, (struct sockaddr *)&address, 3), EINVAL);
	fails(listen(client, 1), EOPNOTSUPP);
	fails(send(0, buf, 1, 0), ENOTSOCK);
	must(close(client));
	must(close(server));
	fails(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
}

static void waiting(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x123456789abcdef}, got[4];
	struct timespec soon = {0, 1000000};
	struct timeval tv = {0, 1000};
	struct itimerspec timer = {{0, 0}, {0, 1000000}}, left;
	unsigned long long number = 5;
	struct signalfd_siginfo info;
	sigset_t set;
	fd_set fds;
	char buf[512];

	int efd = must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	int epfd = must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event));
	must(epoll_wait(epfd, got, 4, 0));
	must(write(efd, &number, 8));
	must(epoll_wait(epfd, got, 4, 1000));
	must(epoll_pwait(epfd, got, 4, 0, NULL));
	struct pollfd poll_fd[2] = {{efd, POLLIN, 0}, {-1, POLLOUT, 0}};
	must(poll(poll_fd, 2, 10));
	must(ppoll(poll_fd, 2, &soon, NULL));
	FD_ZERO(&fds);
	FD_SET(efd, &fds);
	must(select(efd + 1, &fds, NULL, NULL, &tv));
	must(pselect(efd + 1, &fds, NULL, NULL, &soon, NULL));
	must(read(efd, &number, 8));
	fails(read(efd, &number, 8), EAGAIN);
	must(epoll_ctl(epfd, EPOLL_CTL_DEL, efd, NULL));
	fails(epoll_ctl(epfd, EPOLL_CTL_DEL, efd, NULL), ENOENT);
	must(close(epfd));
	must(close(efd));

	int tfd = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	must(timerfd_settime(tfd, 0, &timer, NULL));
	must(timerfd_gettime(tfd, &left));
	must(read(tfd, &number, 8));
	must(close(tfd));

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	int sfd = must(signalfd(-1, &set, SFD_CLOEXEC));
	must(raise(SIGUSR2));
	must(read(sfd, &info, sizeof(info)));
	must(close(sfd));

	int ifd = must(inotify_init1(IN_CLOEXEC));
	int watch = must(inotify_add_watch(ifd, "/tmp", IN_CREATE | IN_DELETE));
	must(close(must(open("/tmp/noticed", O_WRONLY | O_CREAT, 0600))));
	must(unlink("/tmp/noticed"));
	must(read(ifd, buf, sizeof(buf)));
	must(inotify_rm_watch(ifd, watch));
	must(close(ifd));
}

static void system_v_and_posix(void)
{
	struct {
		long type;
		char text[16];
	} message = {3, "a message"};
	struct sembuf up = {0, 1, 0}, down = {0, -2, IPC_NOWAIT};
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 64};
	char buf[64];

	int id = must(shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600));
	void *memory = shmat(id, NULL, 0);
	must((long)memory);
	must(shmdt(memory));
	must(shmctl(id, IPC_RMID, NULL));
	id = must(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	must(semop(id, &up, 1));
	fails(semop(id, &down, 1), EAGAIN);
	must(semctl(id, 0, IPC_RMID));
	id = must(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	must(msgsnd(id, &message, 10, 0));
	must(msgrcv(id, &message, sizeof(message.text), 3, 0));
	fails(msgrcv(id, &message, sizeof(message.text), 3, IPC_NOWAIT), ENOMSG);
	must(msgctl(id, IPC_RMID, NULL));
	mqd_t queue = must(mq_open("/work_ipc", O_RDWR | O_CREAT, 0600, &attributes));
	must(mq_send(queue, "queued", 6, 1));
	must(mq_receive(queue, buf, sizeof(buf), NULL));
	must(close(queue));
	must(mq_unlink("/work_ipc"));
}

int main(void)
{
	pipes();
	unix_sockets();
	internet_sockets();
	waiting();
	system_v_and_posix();
	return 0;
}
