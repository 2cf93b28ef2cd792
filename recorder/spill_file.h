/* SPDX-License-Identifier: MIT */
/*
 * spill_file.h - a file without a name beside the tape, for what is too much for
 * memory and is wanted for seconds only: mostly it is gone before the kernel has
 * written it. What waits in the kernel's cache to be written is bounded. One thread.
 */
#ifndef SPILL_FILE_H
#define SPILL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spill_file {
	const char *beside; /* the tape's path, borrowed; NULL: there can be no file */
	int fd;             /* -1: not open */
	uint64_t unsynced_bytes;
};

void spill_file_init(struct spill_file *spill, const char *beside);
void spill_file_deinit(struct spill_file *spill);
/* Opens it, if need be. False: there is not that much room to spare, or no such file can be made. */
bool spill_file_has_room(struct spill_file *spill, uint64_t size_bytes);
/* All of it, or a negative errno. */
int spill_file_write(struct spill_file *spill, uint64_t offset, const void *data, size_t size_bytes);
int spill_file_read(const struct spill_file *spill, uint64_t offset, void *data, size_t size_bytes);
/* Gives its room back; what was not written yet never will be. */
void spill_file_clear(struct spill_file *spill);

#endif
