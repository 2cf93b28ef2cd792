/* SPDX-License-Identifier: MIT */
#include "socket_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define PATIENCE_MS 20000

int socket_client_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	CHECK(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(fd >= 0);
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		CHECK(errno == ENOENT || errno == ECONNREFUSED);
		close(fd);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	fprintf(stderr, "nobody listens at %s\n", path);
	CHECK(false);
	return -1;
}

void socket_client_send(int fd, const char *text, size_t size_bytes)
{
	while (size_bytes) {
		ssize_t n = send(fd, text, size_bytes, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		size_bytes -= (size_t)n;
	}
}

char *socket_client_read(int fd, int line)
{
	size_t have = 0, room = 1 << 16;
	char *text = malloc(room);

	CHECK(text);
	for (;;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		ssize_t n;

		CHECK_INT(poll(&readable, 1, PATIENCE_MS), 1);
		CHECK(have + 1 < room);
		n = read(fd, text + have, line ? 1 : room - 1 - have);
		if (n < 0)
			CHECK_INT(errno, ECONNRESET);
		if (n <= 0)
			break;
		have += (size_t)n;
		if (line && text[have - 1] == '\n')
			break;
	}
	text[have] = '\0';
	return text;
}

char *socket_client_ask(const char *path, const char *text)
{
	int fd = socket_client_connect(path);
	char *answer;

	socket_client_send(fd, text, strlen(text));
	answer = socket_client_read(fd, 0);
	close(fd);
	return answer;
}
