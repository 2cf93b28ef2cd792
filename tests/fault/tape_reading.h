/* SPDX-License-Identifier: MIT */
/* tape_reading.h - reads all that a tape in a test has, whatever is wrong with it, and counts the problems that verify
 * finds. */
#ifndef TAPE_READING_H
#define TAPE_READING_H

#include <stddef.h>
#include <stdint.h>

#include "tape.h"

struct tape_reading {
	int opened; /* 0, or why not */
	uint64_t records, pages, problems;
};

/* Takes reader; opened is set by the caller, if it is not 0. */
void tape_reading_all(struct tape_reading *out, struct tape_reader *reader);
/* From a copy of exactly this size, so that a sanitizer sees a read behind it. */
void tape_reading_memory(struct tape_reading *out, const uint8_t *bytes, size_t size_bytes);

/* The golden tapes; exits when one is not there. Freed by the caller. */
#define NR_GOLDEN_TAPES 1
uint8_t *tape_reading_golden(unsigned index, size_t *size_bytes);

#endif
