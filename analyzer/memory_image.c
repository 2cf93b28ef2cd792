/* SPDX-License-Identifier: MIT */
#include "memory_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define MAX_GPA (1ull << 52)

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	struct memory_image *image = ctx;

	return tape_reader_page(session_reader(image->session), image->snapshot, gfn, out, NULL);
}

static struct vmtape_error *take_ranges(struct memory_image *image)
{
	const struct tape_snapshot_info *info = image->info;
	uint64_t end = 0;

	if (info->nr_ranges > MEMORY_IMAGE_MAX_RANGES)
		return vmtape_error_create(VMTAPE_ERROR_FORMAT,
					   "snapshot %u names %u ranges of RAM, more than a machine has",
					   image->snapshot, info->nr_ranges);
	image->ranges = calloc(info->nr_ranges + 1u, sizeof(*image->ranges));
	if (!image->ranges)
		return &vmtape_error_no_memory;
	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		const struct tape_ram_range *range = &info->ranges[i];

		if (!range->size_bytes)
			continue;
		if (range->gpa % GUEST_PAGE_BYTES || range->gpa < end || range->size_bytes > MAX_GPA ||
		    range->gpa > MAX_GPA - range->size_bytes)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, range->gpa,
						      "snapshot %u: range %u of RAM begins within a page, overlaps the "
						      "one before or lies where no memory can be",
						      image->snapshot, i);
		end = range->gpa + range->size_bytes;
		image->ranges[image->nr_ranges++] = (struct guest_range){GPA(range->gpa), range->size_bytes};
		image->ram_bytes += range->size_bytes;
	}
	if (!image->nr_ranges)
		return vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "snapshot %u names no RAM", image->snapshot);
	return NULL;
}

struct vmtape_error *memory_image_init(struct memory_image *image, struct session *session, uint32_t snapshot)
{
	struct guest_memory_source source = {.read_page = read_page, .ctx = image};
	struct vmtape_error *error;

	*image = (struct memory_image){.session = session,
				       .snapshot = snapshot,
				       .info = &tape_reader_snapshot(session_reader(session), snapshot)->info};
	if (image->info->nr_regs && image->info->nr_vcpus <= MEMORY_IMAGE_MAX_VCPUS)
		image->nr_vcpus = image->info->nr_vcpus;
	error = take_ranges(image);
	source.ranges = image->ranges;
	source.nr_ranges = image->nr_ranges;
	if (!error)
		error = guest_memory_create(&image->memory, &source);
	if (error)
		memory_image_deinit(image);
	return error;
}

void memory_image_deinit(struct memory_image *image)
{
	guest_memory_destroy(image->memory);
	free(image->ranges);
	*image = (struct memory_image){0};
}

uint64_t memory_image_register(const struct memory_image *image, uint32_t vcpu, unsigned reg)
{
	const struct tape_snapshot_info *info = image->info;

	return vcpu < image->nr_vcpus && reg < info->nr_regs ? info->vcpu_regs[(size_t)vcpu * info->nr_regs + reg] : 0;
}

/* ---- pages ----------------------------------------------------------- */

static void note_missing(struct memory_image *image, uint64_t gfn, uint64_t nr_pages, bool damaged)
{
	*(damaged ? &image->nr_damaged : &image->nr_not_recorded) += nr_pages;
	if (!image->nr_missing_runs || image->missing_end != gfn) {
		if (image->nr_missing_runs < MEMORY_IMAGE_NAMED)
			image->missing[image->nr_missing_runs].start = GPA(gfn * GUEST_PAGE_BYTES);
		image->nr_missing_runs++;
	}
	if (image->nr_missing_runs <= MEMORY_IMAGE_NAMED)
		image->missing[image->nr_missing_runs - 1].nr_pages += nr_pages;
	image->missing_end = gfn + nr_pages;
}

static struct vmtape_error *write_page(struct memory_image *image, struct out_file *file, uint64_t gfn,
				       size_t size_bytes)
{
	struct tape_error why = {.offset = TAPE_NO_OFFSET};
	uint8_t page[GUEST_PAGE_BYTES];
	int result = tape_reader_page(session_reader(image->session), image->snapshot, gfn, page, &why);

	if (!result)
		return out_file_write(file, page, size_bytes);
	if (result == -ENOMEM)
		return &vmtape_error_no_memory;
	note_missing(image, gfn, 1, result != -ENOENT);
	return out_file_zeros(file, size_bytes);
}

struct vmtape_error *memory_image_write(struct memory_image *image, struct out_file *file, size_t range,
					void (*progress)(void *ctx, uint64_t nr_pages), void *ctx)
{
	uint64_t at = image->ranges[range].start.v, end = at + image->ranges[range].size_bytes;
	struct vmtape_error *error = NULL;

	while (at < end && !error) {
		uint64_t gfn = at / GUEST_PAGE_BYTES, nr_pages, left_bytes = end - at, bytes;
		struct tape_error why = {.offset = TAPE_NO_OFFSET};
		struct tape_page_run run;

		if (tape_reader_page_run(session_reader(image->session), image->snapshot, gfn, &run, &why))
			return vmtape_error_create(VMTAPE_ERROR_IO, "%s", why.message);
		/* The last page of a range may be a part of one. */
		nr_pages = run.nr_pages < (left_bytes + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES
				   ? run.nr_pages
				   : (left_bytes + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES;
		bytes = nr_pages * GUEST_PAGE_BYTES < left_bytes ? nr_pages * GUEST_PAGE_BYTES : left_bytes;
		if (run.kind != TAPE_RUN_STORED) {
			if (run.kind != TAPE_RUN_ZERO)
				note_missing(image, gfn, nr_pages, run.kind == TAPE_RUN_LOST);
			error = out_file_zeros(file, bytes);
			image->nr_pages += nr_pages;
			at += bytes;
			continue;
		}
		for (uint64_t i = 0; i < nr_pages && !error; i++) {
			uint64_t n = end - at < GUEST_PAGE_BYTES ? end - at : GUEST_PAGE_BYTES;

			error = write_page(image, file, gfn + i, (size_t)n);
			at += n;
			if (!(++image->nr_pages % 4096) && progress)
				progress(ctx, image->nr_pages);
		}
	}
	return error;
}

/* ---- raw and LiME ---------------------------------------------------- */

struct vmtape_error *memory_export_raw(const struct memory_export *job)
{
	struct vmtape_error *error = NULL;
	uint64_t end = 0;

	for (size_t i = 0; i < job->image->nr_ranges && !error; i++) {
		const struct guest_range *range = &job->image->ranges[i];

		error = out_file_zeros(job->file, range->start.v - end);
		if (!error)
			error = memory_image_write(job->image, job->file, i, job->progress, job->progress_ctx);
		end = range->start.v + range->size_bytes;
	}
	return error;
}

/* Source: LiME's documentation, "LiME Memory Range Header Version 1 Specification". */
#define LIME_MAGIC        0x4c694d45u
#define LIME_VERSION      1u
#define LIME_HEADER_BYTES 32u

struct vmtape_error *memory_export_lime(const struct memory_export *job)
{
	struct vmtape_error *error = NULL;

	for (size_t i = 0; i < job->image->nr_ranges && !error; i++) {
		const struct guest_range *range = &job->image->ranges[i];
		uint8_t header[LIME_HEADER_BYTES] = {0};

		put_le32(header, LIME_MAGIC);
		put_le32(header + 4, LIME_VERSION);
		put_le64(header + 8, range->start.v);
		put_le64(header + 16, range->start.v + range->size_bytes - 1);
		error = out_file_write(job->file, header, sizeof(header));
		if (!error)
			error = memory_image_write(job->image, job->file, i, job->progress, job->progress_ctx);
	}
	return error;
}
