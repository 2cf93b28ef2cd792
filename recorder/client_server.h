/* SPDX-License-Identifier: MIT */
/*
 * client_server.h - a UNIX stream socket for programs beside the recorder: each
 * request is a text, each answer one, too. Nothing here waits: clients are few,
 * requests short, and who is slow, silent or too many is sent away. Main thread.
 */
#ifndef CLIENT_SERVER_H
#define CLIENT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report.h"

#define CLIENT_SERVER_MAX_REQUEST_BYTES 4096
#define CLIENT_SERVER_MAX_CLIENTS       8

struct client_server;

struct client_server_kind {
	mode_t mode;      /* of the socket's file */
	uint64_t idle_ms; /* a client without a whole request for so long is sent away */
	bool closes;      /* one request a client */
	/* Bytes of the first request in text, 0: it is not whole. Text may be anything, and has no NUL behind it. */
	size_t (*measure)(const char *text, size_t size_bytes);
	/* Answers with client_server_answer(), now or later; text ends with a NUL that is not counted. */
	void (*serve)(void *ctx, uint64_t client, const char *text, size_t size_bytes);
	/* What a client is told whose request is too long. */
	const char *too_long;
};

/* Makes the socket; a stale one in its place is removed, anything else is not. path must outlive the server. */
int client_server_create(struct client_server **out, const char *path, const struct client_server_kind *kind, void *ctx,
			 struct record_error *error);
/* Removes the socket's file, if it is still ours. */
void client_server_destroy(struct client_server *server);
/* Readable when there is something to serve. */
int client_server_fd(const struct client_server *server);
void client_server_serve(struct client_server *server);
/* To be called about once a second: clients' time limits. */
void client_server_expire(struct client_server *server);
/* A client that has gone meanwhile is no error. */
void client_server_answer(struct client_server *server, uint64_t client, const char *text, size_t size_bytes);

#endif
