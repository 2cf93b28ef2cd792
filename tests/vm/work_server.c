/* SPDX-License-Identifier: MIT */
/*
 * work_server.c - a server of several threads and a client of several threads.
 * One thread accepts, with epoll; of the connections it gives every other one
 * to a thread that serves by epoll, the rest to one that serves through
 * io_uring, made by raw system calls. A connection asks for lines until it ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "workload.h"

#define CLIENTS  4
#define REQUESTS 12
#define STOP     (-2)

/* A thread that serves: descriptors come to it through a pipe, STOP ends it. */
struct server {
	int inbox[2];
	pthread_t thread;
};

static int answer(const char *request, int n, char *reply, int size)
{
	return snprintf(reply, size, "%.*s answered by %ld\n", n - 1, request, (long)syscall(SYS_gettid));
}

/* A tracer's stops break it as signals do. */
static int wait_for_events(int epfd, struct epoll_event *events, int size, int timeout_ms)
{
	int n;

	do
		n = (int)may(epoll_wait(epfd, events, size, timeout_ms));
	while (n == -1 && errno == EINTR);
	return (int)must(n);
}

static void *serve_by_epoll(void *argument)
{
	struct server *server = argument;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = server->inbox[0]}, got[8];
	char request[256], reply[512];
	int epfd = must(epoll_create1(EPOLL_CLOEXEC)), fd;

	prctl(PR_SET_NAME, "by-epoll");
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, server->inbox[0], &event));
	for (;;) {
		int n = wait_for_events(epfd, got, 8, 5000);
		for (int i = 0; i < n; i++) {
			fd = got[i].data.fd;
			if (fd == server->inbox[0]) {
				must(read(fd, &fd, sizeof(fd)));
				if (fd == STOP) {
					must(close(epfd));
					return NULL;
				}
				event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
				must(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event));
				continue;
			}
			long length = must(recv(fd, request, sizeof(request), MSG_DONTWAIT));
			if (length == 0) {
				must(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL));
				must(close(fd));
				continue;
			}
			must(send(fd, reply, answer(request, length, reply, sizeof(reply)), MSG_NOSIGNAL));
		}
	}
}

struct ring {
	int fd;
	char *memory;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

static void ring_setup(struct ring *ring, unsigned entries)
{
	memset(ring, 0, sizeof(*ring));
	ring->fd = must(syscall(SYS_io_uring_setup, entries, &ring->params));
	size_t size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	must((long)ring->memory);
	ring->sqes = mmap(NULL, entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			  ring->fd, IORING_OFF_SQES);
	must((long)ring->sqes);
}

/* One operation, waited for; its result. */
static int ring_try(struct ring *ring, int opcode, int fd, void *buffer, unsigned size)
{
	unsigned *head = (unsigned *)(ring->memory + ring->params.cq_off.head);
	unsigned *tail = (unsigned *)(ring->memory + ring->params.sq_off.tail);
	unsigned index = *tail & (ring->params.sq_entries - 1);

	memset(&ring->sqes[index], 0, sizeof(ring->sqes[index]));
	ring->sqes[index].opcode = opcode;
	ring->sqes[index].fd = fd;
	ring->sqes[index].addr = (unsigned long)buffer;
	ring->sqes[index].len = size;
	((unsigned *)(ring->memory + ring->params.sq_off.array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	while (*head == __atomic_load_n((unsigned *)(ring->memory + ring->params.cq_off.tail), __ATOMIC_ACQUIRE)) {
		unsigned left = *tail - __atomic_load_n((unsigned *)(ring->memory + ring->params.sq_off.head),
							__ATOMIC_ACQUIRE);

		may(syscall(SYS_io_uring_enter, ring->fd, left, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	}
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(ring->memory + ring->params.cq_off.cqes);
	int result = cqes[*head & (ring->params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* One operation, until it is done. */
static int ring_do(struct ring *ring, int opcode, int fd, void *buffer, unsigned size)
{
	int result;

	do
		result = ring_try(ring, opcode, fd, buffer, size);
	while (result == -EINTR || result == -EAGAIN);
	return result;
}

static void *serve_by_uring(void *argument)
{
	struct server *server = argument;
	char request[256], reply[512];
	struct ring ring;
	int fd, length;

	prctl(PR_SET_NAME, "by-uring");
	ring_setup(&ring, 4);
	for (;;) {
		if (ring_do(&ring, IORING_OP_READ, server->inbox[0], &fd, sizeof(fd)) != sizeof(fd) || fd == STOP)
			break;
		while ((length = ring_do(&ring, IORING_OP_RECV, fd, request, sizeof(request))) > 0) {
			length = answer(request, length, reply, sizeof(reply));
			int sent = ring_do(&ring, IORING_OP_SEND, fd, reply, length);
			if (sent != length) {
				fprintf(stderr, "sent by ring: %d of %d\n", sent, length);
				exit(1);
			}
		}
		if (ring_do(&ring, IORING_OP_CLOSE, fd, NULL, 0) != 0)
			exit(1);
	}
	must(close(ring.fd));
	return NULL;
}

static struct sockaddr_in address = {.sin_family = AF_INET};

static void *ask(void *argument)
{
	char request[64], reply[256];
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	for (int i = 0; i < REQUESTS; i++) {
		int n = snprintf(request, sizeof(request), "request %d of \"client\" %s\n", i, (char *)argument);

		must(write(fd, request, n));
		long got = must(recv(fd, reply, sizeof(reply), 0));
		if (got <= n || memcmp(request, reply, n - 1) != 0) {
			fprintf(stderr, "request %d of %s: %ld bytes came\n", i, (char *)argument, got);
			exit(1);
		}
	}
	must(shutdown(fd, SHUT_WR));
	if (must(recv(fd, reply, sizeof(reply), 0)) != 0)
		exit(1);
	must(close(fd));
	return NULL;
}

static int client(void)
{
	pthread_t threads[CLIENTS];

	prctl(PR_SET_NAME, "client");
	for (int i = 0; i < CLIENTS; i++)
		pthread_create(&threads[i], NULL, ask, (char *[]){"one", "two", "three", "four"}[i]);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

int main(void)
{
	struct server by_epoll, by_uring;
	struct epoll_event event = {.events = EPOLLIN}, got;
	socklen_t length = sizeof(address);
	int status, stop = STOP;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int server = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	must(bind(server, (struct sockaddr *)&address, sizeof(address)));
	must(listen(server, 16));
	must(getsockname(server, (struct sockaddr *)&address, &length));
	pid_t child = must(fork());
	if (child == 0)
		_exit(client());
	must(pipe2(by_epoll.inbox, O_CLOEXEC));
	must(pipe2(by_uring.inbox, O_CLOEXEC));
	pthread_create(&by_epoll.thread, NULL, serve_by_epoll, &by_epoll);
	pthread_create(&by_uring.thread, NULL, serve_by_uring, &by_uring);
	int epfd = must(epoll_create1(0));
	event.data.fd = server;
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, server, &event));
	for (int served = 0; served < CLIENTS;) {
		wait_for_events(epfd, &got, 1, -1);
		int fd = (int)may(accept4(server, NULL, NULL, SOCK_CLOEXEC));
		if (fd >= 0)
			must(write((served++ % 2 ? by_uring : by_epoll).inbox[1], &fd, sizeof(fd)));
	}
	must(waitpid(child, &status, 0));
	must(write(by_epoll.inbox[1], &stop, sizeof(stop)));
	must(write(by_uring.inbox[1], &stop, sizeof(stop)));
	pthread_join(by_epoll.thread, NULL);
	pthread_join(by_uring.thread, NULL);
	must(close(epfd));
	must(close(server));
	return status != 0;
}
