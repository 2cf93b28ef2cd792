/* SPDX-License-Identifier: MIT */
#include "client_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

#define SEND_PATIENCE_NS (5 * NS_PER_S)
#define DEAF_NS          (1 * NS_PER_S)

struct client {
	int fd;      /* -1: free */
	uint64_t id; /* never used twice */
	uint64_t until_ns;
	bool is_served;  /* has a request that was not answered yet */
	bool is_leaving; /* to be closed when all is sent */
	bool has_ended;  /* sends nothing any more */
	size_t have_bytes;
	char request[CLIENT_SERVER_MAX_REQUEST_BYTES + 1];
	char *answer; /* what is left to send */
	size_t answer_bytes, sent_bytes;
};

struct client_server {
	const char *path;
	const struct client_server_kind *kind;
	void *ctx;
	int listen_fd;
	int epoll_fd;
	dev_t device;
	ino_t inode;
	uint64_t last_id;
	uint64_t deaf_until_ns; /* 0: new clients are taken */
	struct client clients[CLIENT_SERVER_MAX_CLIENTS];
};

/* ---- clients --------------------------------------------------------- */

static void client_close(const struct client_server *server, struct client *client)
{
	/* Until it runs its program, a child that another thread starts has the socket, too, and events would go on. */
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
	close(client->fd);
	free(client->answer);
	client->fd = -1;
	client->answer = NULL;
}

static void client_watch(struct client_server *server, struct client *client)
{
	struct epoll_event event = {.data.ptr = client};

	/* A client that waits for an answer is not read from: what it floods us with stays in its own socket. */
	if (client->answer)
		event.events = EPOLLOUT;
	else if (!client->is_served)
		event.events = EPOLLIN;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event))
		client_close(server, client);
}

static void client_rest(struct client_server *server, struct client *client)
{
	client->until_ns = now_ns() + server->kind->idle_ms * NS_PER_MS;
}

static void client_say(const struct client_server *server, struct client *client, const char *text, size_t size_bytes)
{
	client->answer = malloc(size_bytes);
	if (!client->answer) {
		client_close(server, client);
		return;
	}
	memcpy(client->answer, text, size_bytes);
	client->answer_bytes = size_bytes;
	client->sent_bytes = 0;
	client->until_ns = now_ns() + SEND_PATIENCE_NS;
}

/* Serves the next whole request, if there is one. */
static void client_next(struct client_server *server, struct client *client)
{
	const struct client_server_kind *kind = server->kind;
	size_t request_bytes = kind->measure(client->request, client->have_bytes);
	char kept;

	if (request_bytes) {
		kept = client->request[request_bytes];
		client->request[request_bytes] = '\0';
		client->is_served = true;
		client->is_leaving |= kind->closes;
		kind->serve(server->ctx, client->id, client->request, request_bytes);
		client->request[request_bytes] = kept;
		client->have_bytes -= request_bytes;
		memmove(client->request, client->request + request_bytes, client->have_bytes);
	} else if (client->have_bytes >= CLIENT_SERVER_MAX_REQUEST_BYTES) {
		client->is_leaving = true;
		client_say(server, client, kind->too_long, strlen(kind->too_long));
	} else if (client->has_ended) {
		client_close(server, client);
	}
}

/* One read, so that no client keeps us from the others. */
static void client_read(struct client_server *server, struct client *client)
{
	ssize_t n = recv(client->fd, client->request + client->have_bytes,
			 CLIENT_SERVER_MAX_REQUEST_BYTES - client->have_bytes, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		client_close(server, client);
		return;
	}
	client->has_ended |= n == 0;
	client->have_bytes += (size_t)n;
	client_next(server, client);
}

static void client_write(struct client_server *server, struct client *client)
{
	while (client->sent_bytes < client->answer_bytes) {
		ssize_t n = send(client->fd, client->answer + client->sent_bytes,
				 client->answer_bytes - client->sent_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			client_close(server, client);
			return;
		}
		client->sent_bytes += (size_t)n;
	}
	free(client->answer);
	client->answer = NULL;
	if (client->is_leaving) {
		client_close(server, client);
		return;
	}
	client_rest(server, client);
	client_next(server, client);
}

/* ---- new clients ----------------------------------------------------- */

static void listen_again(struct client_server *server, bool again)
{
	struct epoll_event event = {.events = again ? EPOLLIN : 0, .data.ptr = NULL};

	epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->listen_fd, &event);
	server->deaf_until_ns = again ? 0 : now_ns() + DEAF_NS;
}

/* A free place; if there is none, that of the client whose time is up first. Who waits for us keeps his. */
static struct client *find_place(struct client_server *server)
{
	struct client *first = NULL;

	for (unsigned i = 0; i < CLIENT_SERVER_MAX_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->fd < 0)
			return client;
		if (!client->is_served && (!first || client->until_ns < first->until_ns))
			first = client;
	}
	if (first)
		client_close(server, first);
	return first;
}

static void take_client(struct client_server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN};
	struct client *client;

	if (fd < 0) {
		/* Out of descriptors: it would be readable for ever. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			listen_again(server, false);
		return;
	}
	client = find_place(server);
	if (!client) {
		close(fd);
		return;
	}
	memset(client, 0, offsetof(struct client, request));
	client->fd = fd;
	client->id = ++server->last_id;
	client->answer = NULL;
	client_rest(server, client);
	event.data.ptr = client;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		client_close(server, client);
}

/* ---- made and ended -------------------------------------------------- */

/* A socket that nobody listens at is what a killed recorder left behind. */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct record_error *error)
{
	struct stat st;
	int fd, ret;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return record_error_set(error, -EEXIST, "%s: is there already, and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return record_error_set(error, -errno, "%s: %s", path, strerror(errno));
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	if (ret != ECONNREFUSED)
		return record_error_set(error, -EADDRINUSE, "%s: another program listens there", path);
	unlink(path);
	return 0;
}

static int listen_at(struct client_server *server, struct record_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int ret;

	if (strlen(server->path) >= sizeof(address.sun_path))
		return record_error_set(error, -ENAMETOOLONG,
					"%s: longer than the %zu bytes that a socket's path can have", server->path,
					sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, server->path, strlen(server->path) + 1);
	ret = remove_stale(server->path, &address, error);
	if (ret)
		return ret;
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listen_fd < 0 || bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)))
		return record_error_set(error, -errno, "%s: cannot be made a socket: %s", server->path,
					strerror(errno));
	/* Nobody can connect before listen(), whatever the umask was. */
	if (lstat(server->path, &st) || chmod(server->path, server->kind->mode) || listen(server->listen_fd, 8))
		return record_error_set(error, -errno, "%s: cannot be listened at: %s", server->path, strerror(errno));
	server->device = st.st_dev;
	server->inode = st.st_ino;
	return 0;
}

int client_server_create(struct client_server **out, const char *path, const struct client_server_kind *kind, void *ctx,
			 struct record_error *error)
{
	struct client_server *server = calloc(1, sizeof(*server));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int ret;

	*out = NULL;
	if (!server)
		return record_error_set(error, -ENOMEM, "out of memory");
	server->path = path;
	server->kind = kind;
	server->ctx = ctx;
	server->listen_fd = -1;
	for (unsigned i = 0; i < CLIENT_SERVER_MAX_CLIENTS; i++)
		server->clients[i].fd = -1;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = listen_at(server, error);
	if (!ret && (server->epoll_fd < 0 || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event)))
		ret = record_error_set(error, -errno, "%s: cannot be waited for: %s", path, strerror(errno));
	if (ret) {
		client_server_destroy(server);
		return ret;
	}
	*out = server;
	return 0;
}

void client_server_destroy(struct client_server *server)
{
	struct stat st;

	if (!server)
		return;
	for (unsigned i = 0; i < CLIENT_SERVER_MAX_CLIENTS; i++)
		if (server->clients[i].fd >= 0)
			client_close(server, &server->clients[i]);
	if (server->inode && !lstat(server->path, &st) && st.st_dev == server->device && st.st_ino == server->inode)
		unlink(server->path);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->epoll_fd >= 0)
		close(server->epoll_fd);
	free(server);
}

/* ---- serving --------------------------------------------------------- */

int client_server_fd(const struct client_server *server)
{
	return server->epoll_fd;
}

void client_server_serve(struct client_server *server)
{
	struct epoll_event events[CLIENT_SERVER_MAX_CLIENTS + 1];
	int n = epoll_wait(server->epoll_fd, events, CLIENT_SERVER_MAX_CLIENTS + 1, 0);
	bool knocked = false;

	for (int i = 0; i < n; i++) {
		struct client *client = events[i].data.ptr;

		if (!client) {
			knocked = true;
			continue;
		}
		if (client->fd < 0)
			continue;
		/* One that hung up while it waits for its answer. */
		if (client->is_served && !client->answer) {
			client_close(server, client);
			continue;
		}
		if (client->answer)
			client_write(server, client);
		else
			client_read(server, client);
		if (client->fd >= 0)
			client_watch(server, client);
	}
	/* Last, as it may give away the place of a client that an event is for. */
	if (knocked)
		take_client(server);
}

void client_server_expire(struct client_server *server)
{
	uint64_t now = now_ns();

	for (unsigned i = 0; i < CLIENT_SERVER_MAX_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->fd >= 0 && (!client->is_served || client->answer) && now >= client->until_ns)
			client_close(server, client);
	}
	if (server->deaf_until_ns && now >= server->deaf_until_ns)
		listen_again(server, true);
}

void client_server_answer(struct client_server *server, uint64_t id, const char *text, size_t size_bytes)
{
	for (unsigned i = 0; i < CLIENT_SERVER_MAX_CLIENTS; i++) {
		struct client *client = &server->clients[i];

		if (client->fd < 0 || client->id != id || !client->is_served)
			continue;
		client->is_served = false;
		client_say(server, client, text, size_bytes);
		if (client->fd >= 0)
			client_watch(server, client);
		return;
	}
}
