/* SPDX-License-Identifier: MIT */
/* kallsyms_fixture.h - writes kernel symbol tables as scripts/kallsyms.c would, in every order and encoding. */
#ifndef KALLSYMS_FIXTURE_H
#define KALLSYMS_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

struct fixture_symbol {
	uint64_t address;
	const char *name; /* with the type letter: "Tinit" */
};

enum fixture_encoding { FIXTURE_WHOLE, FIXTURE_PLACE, FIXTURE_BASE, FIXTURE_BASE_PERCPU };

struct kallsyms_fixture {
	const struct fixture_symbol *symbols; /* by rising address */
	uint32_t nr;
	enum fixture_encoding encoding;
	int addresses_first;   /* the order until 6.4 */
	int seqs_before_token; /* ... with seqs_of_names, 6.2 to 6.4 */
	unsigned alignment;    /* 4 or 8 */
	unsigned marker_bytes; /* 4 or 8 */
	uint64_t base;         /* relative_base */
	uint64_t image_gva;
};

/* Writes at offset (aligned to 8) of image; returns the end. The tables must fit. */
size_t kallsyms_fixture_write(const struct kallsyms_fixture *fixture, uint8_t *image, size_t offset);

#endif
