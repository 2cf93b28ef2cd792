/* SPDX-License-Identifier: MIT */
/* socket_client.h - the test's end of the recorder's own sockets (metrics, control). */
#ifndef SOCKET_CLIENT_H
#define SOCKET_CLIENT_H

#include <stddef.h>

/* Connects to a UNIX stream socket, waiting up to 20 s for somebody to listen there. */
int socket_client_connect(const char *path);
/* Sends all of the text; a peer that has gone is no failure. */
void socket_client_send(int fd, const char *text, size_t size_bytes);
/* Reads to the end (or, with line, of the first line), at most 20 s; the caller frees it. */
char *socket_client_read(int fd, int line);
/* Connects, sends text, reads to the end, closes. */
char *socket_client_ask(const char *path, const char *text);

#endif
