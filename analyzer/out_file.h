/* SPDX-License-Identifier: MIT */
/*
 * out_file.h - a file that a command makes: written from front to back, whole
 * or not there at all. A new file has no name until it is finished, and holes
 * where zeros are; a pipe, a device or "-" (standard output) is written straight
 * to, and never sought in. What holds guest memory is for its owner alone: 0600.
 */
#ifndef OUT_FILE_H
#define OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct out_file;
/* An existing file is refused unless force; it is replaced when the new one is whole. */
struct vmtape_error *out_file_create(struct out_file **out, const char *path, bool force);
/* What was not finished leaves nothing behind; NULL is allowed. */
void out_file_destroy(struct out_file *file);

struct vmtape_error *out_file_write(struct out_file *file, const void *bytes, size_t size_bytes);
struct vmtape_error *out_file_zeros(struct out_file *file, uint64_t size_bytes);
/* Writes what is left and gives the file its name. */
struct vmtape_error *out_file_finish(struct out_file *file);

/* The descriptor, for who writes a new file by offsets and not by the functions above; -1: it is none of those. */
int out_file_fd(const struct out_file *file);

#endif
