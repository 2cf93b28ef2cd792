/* SPDX-License-Identifier: MIT */
/*
 * memory_image.h - a guest's physical memory at one snapshot, from front to
 * back, and what of it is not on the tape. For what exports it. Addresses are
 * guest-physical. One thread an object; the session must outlive it.
 */
#ifndef MEMORY_IMAGE_H
#define MEMORY_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "guest_memory.h"
#include "out_file.h"
#include "session.h"

#define MEMORY_IMAGE_MAX_RANGES 65000u /* as many as program headers can tell of, and a note */
#define MEMORY_IMAGE_MAX_VCPUS  65535u
#define MEMORY_IMAGE_NAMED      16u /* runs of missing pages that are named */

struct memory_run {
	gpa_t start;
	uint64_t nr_pages;
};

struct memory_image {
	struct session *session;
	uint32_t snapshot;
	const struct tape_snapshot_info *info;
	struct guest_range *ranges; /* RAM, ascending, none empty, below 2^52 */
	size_t nr_ranges;
	uint64_t ram_bytes;
	uint32_t nr_vcpus; /* with registers */
	struct guest_memory *memory;

	/* Filled by memory_image_write(). */
	uint64_t nr_pages;        /* written */
	uint64_t nr_not_recorded; /* of them, zeros in their place */
	uint64_t nr_damaged;      /* the same, as the tape is damaged */
	uint64_t nr_missing_runs;
	uint64_t missing_end;                          /* gfn behind the last of them */
	struct memory_run missing[MEMORY_IMAGE_NAMED]; /* the first of them */
};

/* A snapshot whose ranges can't be RAM is refused. */
struct vmtape_error *memory_image_init(struct memory_image *image, struct session *session, uint32_t snapshot);
void memory_image_deinit(struct memory_image *image);

/* Register of a vCPU by enum vcpu_reg; 0: not recorded. */
uint64_t memory_image_register(const struct memory_image *image, uint32_t vcpu, unsigned reg);

/* Bytes of one range to the file. progress(ctx, pages) is called now and then with the pages written so far. */
struct vmtape_error *memory_image_write(struct memory_image *image, struct out_file *file, size_t range,
					void (*progress)(void *ctx, uint64_t nr_pages), void *ctx);

/* ---- forms ----------------------------------------------------------- */

struct memory_export {
	struct memory_image *image;
	struct out_file *file;
	void (*progress)(void *ctx, uint64_t nr_pages);
	void *progress_ctx;
	const void *vmcoreinfo; /* text of the note; ELF only. NULL: none */
	size_t vmcoreinfo_bytes;
	/* Where the kernel sees this memory; ELF only. 0 and empty: not known. */
	gva_t direct_map;
	gva_t kernel_gva;
	struct guest_range kernel; /* its image, which lies in one range of RAM */
};

/*
 * An ELF64 core with QEMU's notes of the registers and PT_LOADs of physical memory. Where the kernel is known they bear
 * the addresses of its direct map, and one more, for the same bytes, those of its image, as in /proc/vmcore.
 */
struct vmtape_error *memory_export_elf(const struct memory_export *job);
/* One image from address 0 on. */
struct vmtape_error *memory_export_raw(const struct memory_export *job);
/* LiME's format, version 1. */
struct vmtape_error *memory_export_lime(const struct memory_export *job);

#endif
