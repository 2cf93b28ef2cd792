/* SPDX-License-Identifier: MIT */
/* Physical memory is contiguous under the kernel's image: a hit in it gives the distance from virtual to physical. */
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"
#include "kernel_image.h"

#define KERNEL_MAP      0xffffffff80000000ull
#define LARGE_PAGE_MASK ((2ull << 20) - 1)

#define WINDOW_BYTES  (4u << 20)
#define OVERLAP_BYTES 64u /* the digits may lie across two windows */
/* Around a hit: kallsyms' other tables, and the banner, which lie in the same read-only section. */
#define AROUND_BYTES (24ull << 20)
#define MAX_HITS     64u

struct scan {
	struct guest_memory *memory;
	int levels;
	gva_t lstar;
	gpa_t start; /* of the bytes at hand */
	const uint8_t *bytes;
	size_t size;
	bool found;
	struct guest_space space;
};

/* What is missing reads as 0. */
static void read_physical(struct guest_memory *memory, uint64_t gpa, uint8_t *out, size_t size)
{
	memset(out, 0, size);
	for (size_t at = 0; at < size; at += GUEST_PAGE_BYTES) {
		const uint8_t *page;
		struct vmtape_error *error = guest_memory_page(memory, (gpa + at) / GUEST_PAGE_BYTES, &page);

		if (error)
			vmtape_error_destroy(error);
		else
			memcpy(out + at, page, GUEST_PAGE_BYTES);
	}
}

/* distance: virtual minus physical address. Do the page tables at init_top_pgt say the same? */
static bool try_distance(struct scan *scan, uint64_t top, uint64_t distance)
{
	struct guest_space space = {.cr3 = top - distance, .levels = scan->levels};
	struct vmtape_error *error;
	gpa_t gpa;

	if (distance & LARGE_PAGE_MASK || space.cr3 % GUEST_PAGE_BYTES)
		return false;
	error = guest_translate(scan->memory, space, scan->lstar, &gpa);
	if (error) {
		vmtape_error_destroy(error);
		return false;
	}
	if (gpa.v != scan->lstar.v - distance)
		return false;
	scan->space = space;
	scan->found = true;
	return true;
}

/*
 * The bytes were handed over as if mapped at KERNEL_MAP + physical address:
 * place-relative tables come out shifted by that, the others are right already.
 */
static bool is_running_kernel(void *ctx, const struct kallsyms *symbols)
{
	static const char banner_start[] = "Linux version ";
	struct scan *scan = ctx;
	uint64_t entry, top, banner;

	if (!kallsyms_lookup(symbols, "entry_SYSCALL_64", &entry) || !kallsyms_lookup(symbols, "init_top_pgt", &top))
		return false;
	if (entry != scan->lstar.v)
		return try_distance(scan, top + (scan->lstar.v - entry), scan->lstar.v - (entry - KERNEL_MAP));
	if (!kallsyms_lookup(symbols, "linux_banner", &banner))
		return false;
	for (size_t at = 0; at < scan->size;) {
		const uint8_t *hit = memmem(scan->bytes + at, scan->size - at, banner_start, strlen(banner_start));

		if (!hit)
			return false;
		at = hit - scan->bytes;
		if (try_distance(scan, top, banner - (scan->start.v + at)))
			return true;
		at++;
	}
	return false;
}

static struct vmtape_error *try_hit(struct scan *scan, const struct guest_range *range, uint64_t gpa)
{
	uint64_t end = range->start.v + range->size_bytes, start = range->start.v;
	struct kallsyms *symbols = NULL;
	struct vmtape_error *error;
	uint8_t *bytes;

	if (gpa - start > AROUND_BYTES)
		start = (gpa - AROUND_BYTES) & ~LARGE_PAGE_MASK;
	if (end - gpa > AROUND_BYTES)
		end = gpa + AROUND_BYTES;
	scan->start = GPA(start & ~(uint64_t)(GUEST_PAGE_BYTES - 1));
	scan->size = (end - scan->start.v) & ~(uint64_t)(GUEST_PAGE_BYTES - 1);
	bytes = malloc(scan->size);
	if (!bytes)
		return &vmtape_error_no_memory;
	read_physical(scan->memory, scan->start.v, bytes, scan->size);
	scan->bytes = bytes;
	error = kallsyms_find(&symbols, bytes, scan->size, KERNEL_MAP + scan->start.v, is_running_kernel, scan);
	kallsyms_destroy(symbols);
	free(bytes);
	if (error && error->code != VMTAPE_ERROR_NO_MEMORY) {
		vmtape_error_destroy(error);
		error = NULL;
	}
	return error;
}

static struct vmtape_error *scan_range(struct scan *scan, const struct guest_range *range, uint8_t *window,
				       unsigned *hits)
{
	uint64_t end = range->start.v + range->size_bytes, tried_up_to = 0;

	for (uint64_t at = range->start.v & ~(uint64_t)(GUEST_PAGE_BYTES - 1); at < end; at += WINDOW_BYTES) {
		size_t size = end - at < WINDOW_BYTES ? end - at : WINDOW_BYTES, from = 0, hint;

		memcpy(window, window + WINDOW_BYTES, OVERLAP_BYTES);
		read_physical(scan->memory, at, window + OVERLAP_BYTES, WINDOW_BYTES);
		while (kallsyms_next_hint(window, OVERLAP_BYTES + size, &from, &hint)) {
			uint64_t gpa = at + hint - OVERLAP_BYTES;
			struct vmtape_error *error;

			/* All hits around were searched with the first. */
			if (gpa < tried_up_to || gpa < range->start.v)
				continue;
			if (++*hits > MAX_HITS)
				return NULL;
			tried_up_to = gpa + AROUND_BYTES / 2;
			error = try_hit(scan, range, gpa);
			if (error || scan->found)
				return error;
		}
	}
	return NULL;
}

struct vmtape_error *kernel_scan_space(struct guest_space *out, struct guest_memory *memory, int levels, gva_t lstar)
{
	struct scan scan = {.memory = memory, .levels = levels, .lstar = lstar};
	struct vmtape_error *error = NULL;
	const struct guest_range *ranges;
	uint8_t *window = calloc(1, OVERLAP_BYTES + (size_t)WINDOW_BYTES);
	unsigned hits = 0;
	size_t n;

	if (!window)
		return &vmtape_error_no_memory;
	ranges = guest_memory_ranges(memory, &n);
	for (size_t i = 0; i < n && !error && !scan.found; i++)
		error = scan_range(&scan, &ranges[i], window, &hits);
	free(window);
	if (error)
		return error;
	if (!scan.found)
		return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
					   "no kallsyms of the running kernel in physical memory (%u places that look "
					   "like its token table)",
					   hits);
	*out = scan.space;
	return NULL;
}
