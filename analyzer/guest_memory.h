/* SPDX-License-Identifier: MIT */
/*
 * guest_memory.h - guest memory at one moment (a snapshot): physical pages from
 * a callback, virtual addresses by walking the guest's own 4- or 5-level page
 * tables. Reads never leave the pages that were recorded: a missing page is
 * vmtape_error_not_recorded. One thread an object.
 */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "guest_addr.h"

#define GUEST_PAGE_BYTES 4096u

struct guest_range {
	gpa_t start;
	uint64_t size_bytes;
};

struct guest_memory_source {
	/* Copy the page (4096 bytes) to out; 0, -ENOENT: not recorded, or another negative errno. */
	int (*read_page)(void *ctx, uint64_t gfn, void *out);
	void *ctx;
	const struct guest_range *ranges; /* RAM, ascending; must outlive the object */
	size_t nr_ranges;
};

struct guest_memory;
struct vmtape_error *guest_memory_create(struct guest_memory **out, const struct guest_memory_source *source);
void guest_memory_destroy(struct guest_memory *memory);

const struct guest_range *guest_memory_ranges(const struct guest_memory *memory, size_t *n);

/* A cached page (valid until 64 more pages were read), or not recorded. */
struct vmtape_error *guest_memory_page(struct guest_memory *memory, uint64_t gfn, const uint8_t **out);
struct vmtape_error *guest_read_phys(struct guest_memory *memory, gpa_t gpa, void *out, size_t size_bytes);

/* An address space: CR3 (flag bits are ignored) and whether CR4.LA57 is set. */
struct guest_space {
	uint64_t cr3;
	int levels; /* 4 or 5 */
};
struct vmtape_error *guest_translate(struct guest_memory *memory, struct guest_space space, gva_t gva, gpa_t *out);
struct vmtape_error *guest_read_virt(struct guest_memory *memory, struct guest_space space, gva_t gva, void *out,
				     size_t size_bytes);
struct vmtape_error *guest_read_u64(struct guest_memory *memory, struct guest_space space, gva_t gva, uint64_t *out);
struct vmtape_error *guest_read_u32(struct guest_memory *memory, struct guest_space space, gva_t gva, uint32_t *out);
/* NUL-terminated; at most size_bytes - 1 bytes are kept, out is always terminated. */
struct vmtape_error *guest_read_string(struct guest_memory *memory, struct guest_space space, gva_t gva, char *out,
				       size_t size_bytes);

#endif
