/* SPDX-License-Identifier: MIT */
/* tape_repair.h - checksums would keep a fuzzer out of a tape: makes all of them right, whatever the rest says. */
#ifndef TAPE_REPAIR_H
#define TAPE_REPAIR_H

#include <stddef.h>
#include <stdint.h>

void tape_repair(uint8_t *bytes, size_t size_bytes);

#endif
