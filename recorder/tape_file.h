/* SPDX-License-Identifier: MIT */
/*
 * tape_file.h - the file that becomes the tape. Nothing of an old file is lost,
 * and no new one stays behind, before the recording really begins.
 */
#ifndef TAPE_FILE_H
#define TAPE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

struct tape_file {
	int fd; /* -1: not open */
	const char *path;
	bool created; /* by us */
	bool begun;
};

/* Creates path (mode 0600), or opens what is there when force. */
int tape_file_open(struct tape_file *file, const char *path, bool force, struct record_error *error);
/* From here on the file is ours: it is emptied, and room for size_bytes is reserved (0: none). */
int tape_file_begin(struct tape_file *file, uint64_t size_bytes, struct record_error *error);
/* Closes and removes it, begun or not; not one that was there before. */
void tape_file_discard(struct tape_file *file);
/* Closes; removes a file that was created for a recording that did not begin. */
void tape_file_close(struct tape_file *file);

#endif
