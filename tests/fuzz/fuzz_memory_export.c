/* SPDX-License-Identifier: MIT */
/*
 * fuzz_memory_export.c - memory of hostile tapes as core, raw image and LiME. A file has the bytes that its form
 * says, or none. An input becomes one form, as its hash says, with a kernel that is known or without; and the next
 * one with all checksums right.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz_hash.h"
#include "fuzz_must.h"
#include "memory_image.h"
#include "tape_repair.h"

#define MAX_BYTES     (1u << 20)
#define MAX_RAM_BYTES (64u << 20) /* more only takes longer */
#define MAX_SNAPSHOTS 4u
#define FORMS         6u
#define NOWHERE       "/dev/shm/fuzz_memory_export.never" /* no file gets this name: none is finished */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void export_one(struct memory_image *image, unsigned form)
{
	static const char note[] = "OSRELEASE=6.66\nPAGESIZE=4096\n";
	struct memory_export job = {.image = image, .vmcoreinfo = note, .vmcoreinfo_bytes = sizeof(note) - 1};
	struct vmtape_error *error;

	if (image->nr_ranges && form % 2 && image->ranges[0].size_bytes > 2 * GUEST_PAGE_BYTES) {
		job.direct_map = GVA(0xffff888000000000ull);
		job.kernel_gva = GVA(0xffffffff81000000ull);
		job.kernel = (struct guest_range){GPA(image->ranges[0].start.v & ~(uint64_t)(GUEST_PAGE_BYTES - 1)),
						  GUEST_PAGE_BYTES};
	}
	if (out_file_create(&job.file, NOWHERE, true))
		abort();
	image->nr_pages = image->nr_not_recorded = image->nr_damaged = image->nr_missing_runs = 0;
	error = form / 2 == 0   ? memory_export_elf(&job)
		: form / 2 == 1 ? memory_export_raw(&job)
				: memory_export_lime(&job);
	if (!error)
		FUZZ_MUST(image->nr_not_recorded + image->nr_damaged <= image->nr_pages);
	vmtape_error_destroy(error);
	out_file_destroy(job.file);
}

/* form: core, raw or LiME, twice each: without and with a kernel that is known. */
static void export_all(const uint8_t *bytes, size_t size_bytes, unsigned form)
{
	struct session *session;
	struct vmtape_error *error = session_open_memory(&session, bytes, size_bytes, NULL);

	for (uint32_t i = 0; !error && i < session_info(session)->nr_snapshots && i < MAX_SNAPSHOTS; i++) {
		struct memory_image image;
		struct vmtape_error *bad = memory_image_init(&image, session, i);

		if (!bad && image.ram_bytes <= MAX_RAM_BYTES)
			export_one(&image, form);
		if (!bad)
			memory_image_deinit(&image);
		vmtape_error_destroy(bad);
	}
	if (!error)
		session_close(session);
	vmtape_error_destroy(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	unsigned form;
	uint8_t *copy;

	if (size_bytes > MAX_BYTES)
		return 0;
	copy = malloc(size_bytes + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size_bytes);
	form = (unsigned)(fuzz_hash(data, size_bytes) % FORMS);
	export_all(copy, size_bytes, form);
	tape_repair(copy, size_bytes);
	export_all(copy, size_bytes, (form + 1) % FORMS);
	free(copy);
	return 0;
}
