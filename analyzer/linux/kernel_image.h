/* SPDX-License-Identifier: MIT */
/*
 * kernel_image.h - the mapped image of the guest's kernel, copied out in one
 * piece: what lies around LSTAR in the 1 GiB at the top half's end where x86-64
 * Linux maps itself. Holes (freed init memory, pages not recorded) read as 0.
 */
#ifndef KERNEL_IMAGE_H
#define KERNEL_IMAGE_H

#include <stdbool.h>

#include "guest_memory.h"

struct kernel_image {
	gva_t start;
	size_t size_bytes;
	uint8_t *bytes;           /* mapped: its pages are large ones where the host has them */
	size_t slack_bytes;       /* mapped before them */
	struct guest_space space; /* that it was read with */
};

/* Is LSTAR where x86-64 Linux, and nobody else, puts its entry code? */
bool kernel_image_may_hold(gva_t lstar);
/*
 * Without code, what may be executed reads as 0, too: a third of a kernel has nothing that tells what it is, once it
 * has made the rest not executable. NOT_FOUND: this address space maps no kernel there.
 */
struct vmtape_error *kernel_image_read(struct kernel_image *out, struct guest_memory *memory, struct guest_space space,
				       gva_t lstar, bool with_code);
void kernel_image_deinit(struct kernel_image *image);
/* The bytes at gva, or NULL unless all of them are inside. */
const uint8_t *kernel_image_at(const struct kernel_image *image, uint64_t gva, size_t size_bytes);

/*
 * For when no vCPU's CR3 leads anywhere: search all of physical memory for
 * kallsyms with entry_SYSCALL_64 at lstar, and give the kernel's own page tables.
 */
struct vmtape_error *kernel_scan_space(struct guest_space *out, struct guest_memory *memory, int levels, gva_t lstar);

#endif
