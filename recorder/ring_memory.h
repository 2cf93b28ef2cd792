/* SPDX-License-Identifier: MIT */
/*
 * ring_memory.h - may the descriptors that a VM sent be used as a ring's? Memory
 * that its sender can cut short under our mapping would kill us with SIGBUS, and
 * files that it serves itself (FUSE) could hang us. Errors as in report.h.
 */
#ifndef RING_MEMORY_H
#define RING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

/*
 * 0, or -EPROTO and why not. Good are
 * - a memfd of at least memory_bytes that is sealed against shrinking: nobody can
 *   take the seal off again;
 * - the file of a ring that KVM made. It can't be sealed, and need not be: it can't
 *   be truncated, KVM refuses to map more than there is, and its pages live as long
 *   as a mapping of them. Its name, which no user space can give to a file of its
 *   own, tells it.
 */
int ring_memory_check(int fd, uint64_t memory_bytes, struct record_error *error);

/* Of the kernel's own making (eventfd, timerfd ...), so that asking it for events waits for nobody? */
bool ring_fd_is_anonymous(int fd);

#endif
