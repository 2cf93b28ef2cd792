/* SPDX-License-Identifier: MIT */
/* Any bytes as the kernel's image: a table that is found must be whole and sorted, and its names reachable. */
#include <stdlib.h>
#include <string.h>

#include "linux/kallsyms.h"

#define IMAGE_GVA 0xffffffff81000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accept(void *ctx, const struct kallsyms *symbols)
{
	unsigned *calls = ctx;

	for (uint32_t i = 0; i < symbols->nr; i++) {
		uint64_t address;

		if (i && symbols->symbols[i].address < symbols->symbols[i - 1].address)
			abort();
		if (!kallsyms_lookup(symbols, kallsyms_name(symbols, i), &address))
			abort();
		if (symbols->symbols[kallsyms_first_at(symbols, address)].address != address)
			abort();
	}
	/* Let the search go on at first: all later candidates are tried, too. */
	return ++*calls == 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kallsyms *symbols;
	unsigned calls = 0;

	vmtape_error_destroy(kallsyms_find(&symbols, data, size, IMAGE_GVA, accept, &calls));
	kallsyms_destroy(symbols);
	return 0;
}
