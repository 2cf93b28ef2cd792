/* SPDX-License-Identifier: MIT */
/*
 * control.h - the words of the control socket: a line is a command, each is
 * answered by a line that is one JSON object with "ok" first. Also the other end
 * of it, for vmtape-record --send.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "record_options.h"
#include "report.h"

enum control_verb {
	CONTROL_STATUS,
	CONTROL_SNAPSHOT,
	CONTROL_ROTATE,
	CONTROL_STOP,
	CONTROL_NOTE,
	CONTROL_TRIGGER,
	CONTROL_VERBS
};

struct control_command {
	enum control_verb verb;
	char text[RECORD_TEXT_MAX_BYTES + 1]; /* clean; empty: none */
};

/* A line without its end, NUL-terminated, from anybody: 0, or -EINVAL and *why, static. */
int control_parse(struct control_command *out, const char *line, const char **why);
/* Bytes of the first line with its end, 0: it is not whole. For client_server.h. */
size_t control_measure(const char *text, size_t size_bytes);
/* As a JSON string, in quotes. */
void control_put_string(FILE *out, const char *text);

/* Sends a command, prints the answer. Exit status: 0 ok, 1 refused, 2 error, which is reported. */
int control_send(const char *path, char *const *words, unsigned nr_words);

#endif
