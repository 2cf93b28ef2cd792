/* SPDX-License-Identifier: MIT */
/* fd_record.h - what the record of a call shows of it: arguments, bytes that they point at, result. */
#ifndef FD_RECORD_H
#define FD_RECORD_H

#include "call.h"
#include "linux/linux_guest.h"

void fd_record_args(const struct trap_view *view, uint64_t out[LINUX_SYSCALL_ARGS]);
/* The first fragment of this label, with at least one byte; lent, as long as the record. again: read again at the exit.
 */
const uint8_t *fd_record_piece(const struct trap_view *view, uint8_t label, bool again, size_t *n, bool *whole);
/* That of exactly this address. */
const uint8_t *fd_record_piece_at(const struct trap_view *view, uint8_t label, uint64_t gva, size_t *n, bool *whole);
/* A string that is known to its end. */
const char *fd_record_string(const struct trap_view *view, int arg, bool again, size_t *n);
/* Is the string at the entry known to be empty? */
bool fd_record_is_empty(const struct trap_view *view, int arg);
/* false: what it returned is not to be seen. */
bool fd_record_result(const struct trap_view *view, int64_t *ret);

static inline uint32_t fd_record_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t fd_record_u64(const uint8_t *p)
{
	return fd_record_u32(p) | (uint64_t)fd_record_u32(p + 4) << 32;
}

#endif
