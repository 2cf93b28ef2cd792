/* SPDX-License-Identifier: MIT */
/*
 * guest_tape.h - a tape of an identified Linux guest, made by hand: a snapshot
 * with processes and user memory, and a few calls behind it. Everything exits on failure.
 */
#ifndef GUEST_TAPE_H
#define GUEST_TAPE_H

#include <stdint.h>

/* The process "app", 100, with a thread 101: user memory that the snapshot has. */
#define GUEST_TAPE_PATH   0x7f0000001000ull /* "/etc/passwd" */
#define GUEST_TAPE_BUFFER 0x7f0000001100ull /* "before the read" */
#define GUEST_TAPE_PAGE   0x700000ull       /* guest-physical, of both */
#define GUEST_TAPE_NEXT   0x7f0000002000ull /* not mapped */
#define GUEST_TAPE_TSC    1000ull           /* of the snapshot */
#define GUEST_TAPE_CALLS  6

void guest_tape_write(const char *path);

#endif
