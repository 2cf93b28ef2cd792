/* SPDX-License-Identifier: MIT */
/* fuzz_hash.h - what a target does with an input, where it can't do all: any change of a byte may choose another. */
#ifndef FUZZ_HASH_H
#define FUZZ_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t fuzz_hash(const uint8_t *bytes, size_t size_bytes)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < size_bytes; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return (uint32_t)(hash >> 32);
}

#endif
