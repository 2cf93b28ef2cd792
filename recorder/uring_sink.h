/* SPDX-License-Identifier: MIT */
/*
 * uring_sink.h - where a tape's bytes go: a file, through io_uring, or pwrite
 * where the host does not permit io_uring. Writes reach the file in the order
 * in which they were given, so that a killed recorder leaves a prefix. One
 * thread; done callbacks run inside the functions of this header.
 */
#ifndef URING_SINK_H
#define URING_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "tape.h"

struct uring_sink;

/* Borrows fd, which can be read, too, if the tape is a ring. max_bytes bounds what is in flight; without_uring: pwrite
 * at once. */
int uring_sink_create(struct uring_sink **out, int fd, uint64_t max_bytes, bool without_uring);
/* Waits for what is in flight. */
void uring_sink_destroy(struct uring_sink *sink);
struct tape_sink uring_sink_as_tape_sink(struct uring_sink *sink);
/* False: pwrite. */
bool uring_sink_is_uring(const struct uring_sink *sink);
/* Take what is complete; with wait_all wait for all. Returns the number still in flight. */
unsigned uring_sink_reap(struct uring_sink *sink, bool wait_all);
/* First write error (negative errno, sticky) and its file offset; 0: none. */
int uring_sink_error(const struct uring_sink *sink, uint64_t *offset);

#endif
