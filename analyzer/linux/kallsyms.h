/* SPDX-License-Identifier: MIT */
/*
 * kallsyms.h - the kernel's own symbol table, found in its image by structure:
 * table order, number encoding and alignment are tried, never derived from a
 * version. The result is plain data and outlives the image.
 */
#ifndef KALLSYMS_H
#define KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct kallsyms_symbol {
	uint64_t address;
	uint32_t name; /* offset in names */
	char type;     /* as nm prints it */
};

struct kallsyms_bucket {
	uint32_t number; /* index of the symbol, + 1; 0: empty */
	uint32_t tag;    /* of its name's hash */
};

struct kallsyms {
	struct kallsyms_symbol *symbols; /* by rising address */
	uint32_t nr;
	char *names;                     /* NUL-terminated each */
	struct kallsyms_bucket *buckets; /* by hash of the name */
	uint32_t bucket_mask;
	uint64_t hash_seed;
	char layout[96]; /* what was recognised, for people */
};

/* Is this the table of the kernel that runs? Leftovers of a decompressor hold another one. */
typedef bool (*kallsyms_accept_fn)(void *ctx, const struct kallsyms *symbols);

/* The first table in image (mapped at image_gva) that is whole and accepted. NOT_FOUND says how far the search came. */
struct vmtape_error *kallsyms_find(struct kallsyms **out, const uint8_t *image, size_t size_bytes, uint64_t image_gva,
				   kallsyms_accept_fn accept, void *ctx);
void kallsyms_destroy(struct kallsyms *symbols);

/* A global symbol before a local one of the same name. */
bool kallsyms_lookup(const struct kallsyms *symbols, const char *name, uint64_t *address);
static inline const char *kallsyms_name(const struct kallsyms *symbols, uint32_t index)
{
	return symbols->names + symbols->symbols[index].name;
}
/* First index with an address >= this; nr if there is none. */
uint32_t kallsyms_first_at(const struct kallsyms *symbols, uint64_t address);

/* Where the strings of the token table's digits begin, searching from *from; false: no more. Moves *from on. */
bool kallsyms_next_hint(const uint8_t *image, size_t size_bytes, size_t *from, size_t *hint);

#endif
