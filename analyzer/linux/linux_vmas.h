/* SPDX-License-Identifier: MIT */
/*
 * linux_vmas.h - the memory regions of a process in a snapshot, as /proc/PID/maps
 * has them: by the maple tree of 6.1 and newer, or the list of older kernels.
 */
#ifndef LINUX_VMAS_H
#define LINUX_VMAS_H

#include "linux_guest.h"

struct linux_vma {
	uint64_t start, end;
	uint64_t offset_bytes; /* in the file */
	bool read, write, exec, shared;
	const char *file; /* path; "": none. Lent. */
};

struct linux_mm {
	uint64_t start_brk, brk, stack, vdso; /* 0: not known */
};

/*
 * Regions by address; a part that can't be read is an error after those that were found. *has_mm is false for a kernel
 * thread, or a process that has ended.
 */
struct vmtape_error *linux_guest_vmas(const struct linux_guest *guest, struct guest_memory *memory, gva_t task,
				      struct linux_mm *mm, bool *has_mm,
				      void (*found)(void *ctx, const struct linux_vma *vma), void *ctx);

#endif
