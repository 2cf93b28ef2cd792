/* SPDX-License-Identifier: MIT */
/*
 * uring_sink.h - where a tape's bytes go: a file, through io_uring, or pwritev
 * where the host does not permit io_uring. Writes reach the file in the order
 * in which they were given, so that a killed recorder leaves a prefix; on a full
 * disk they wait, in memory. One thread; done callbacks run inside the functions
 * of this header.
 */
#ifndef URING_SINK_H
#define URING_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

struct uring_sink;

/*
 * Borrows fd, which can be read, too, if the tape is a ring. max_bytes bounds what is on its way; without_uring:
 * pwritev at once.
 */
int uring_sink_create(struct uring_sink **out, int fd, uint64_t max_bytes, bool without_uring);
/* Waits for what the kernel has; what found no room is dropped. */
void uring_sink_destroy(struct uring_sink *sink);
struct tape_sink uring_sink_as_tape_sink(struct uring_sink *sink);
/* False: pwritev. */
bool uring_sink_is_uring(const struct uring_sink *sink);
/*
 * Take what is complete and go on; with wait_all until all is written, or
 * nothing can be for now. Returns the number that is still on its way.
 */
unsigned uring_sink_reap(struct uring_sink *sink, bool wait_all);
/*
 * The file system has (or the quota leaves) no room, and not all that waited is
 * written since: reap() tries again each second. Meanwhile write() takes what
 * comes, over max_bytes, too.
 */
bool uring_sink_is_full(const struct uring_sink *sink);
/* When it is full: now that is an error. */
void uring_sink_give_up(struct uring_sink *sink);
/* Bytes of all writes that were given, and of those that were done, in that order, without an error. */
uint64_t uring_sink_given_bytes(const struct uring_sink *sink);
uint64_t uring_sink_written_bytes(const struct uring_sink *sink);
/* First write error (negative errno, sticky) and its file offset; 0: none. */
int uring_sink_error(const struct uring_sink *sink, uint64_t *offset);

#endif
