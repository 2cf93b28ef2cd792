/* SPDX-License-Identifier: MIT */
/* test_client_server.c - a client keeps its place while a child that another thread starts has sockets of ours. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "client_server.h"
#include "control.h"
#include "pause.h"
#include "socket_client.h"

static void serve(void *ctx, uint64_t client, const char *text, size_t size_bytes)
{
	*(uint64_t *)ctx = client;
}

static void check_answer(struct client_server *server, int fd, uint64_t client, const char *line)
{
	char *answer;

	client_server_answer(server, client, line, strlen(line));
	client_server_serve(server);
	answer = socket_client_read(fd, 1);
	CHECK_STR(answer, line);
	free(answer);
}

int main(void)
{
	static const struct client_server_kind kind = {
		.mode = 0600, .idle_ms = 60000, .measure = control_measure, .serve = serve, .too_long = "no\n"};
	char folder[] = "/tmp/vmtape-test-XXXXXX", path[64];
	struct client_server *server;
	struct record_error error;
	int first, second, status;
	uint64_t client = 0;
	pid_t child;

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	CHECK_INT(client_server_create(&server, path, &kind, &client, &error), 0);
	first = socket_client_connect(path);
	client_server_serve(server);
	socket_client_send(first, "one\n", 4);
	client_server_serve(server);
	CHECK_INT(client, 1);
	check_answer(server, first, client, "fine\n");

	child = fork();
	CHECK(child >= 0);
	if (!child) {
		/* it has our end of the first one's connection, and not the other end */
		close(first);
		for (;;)
			pause();
	}
	close(first);
	/* whether the child has closed its own or not */
	for (int i = 0; i < 50; i++) {
		client_server_serve(server);
		pause_ms(1);
	}
	second = socket_client_connect(path);
	client_server_serve(server);
	socket_client_send(second, "two\n", 4);
	for (int i = 0; i < 4; i++)
		client_server_serve(server);
	CHECK_INT(client, 2);
	check_answer(server, second, client, "late\n");

	kill(child, SIGKILL);
	CHECK_INT(waitpid(child, &status, 0), child);
	close(second);
	client_server_destroy(server);
	CHECK_INT(rmdir(folder), 0);
	return 0;
}
