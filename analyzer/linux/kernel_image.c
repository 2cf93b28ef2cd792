/* SPDX-License-Identifier: MIT */
#include "kernel_image.h"

#include <string.h>
#include <sys/mman.h>

/* __START_KERNEL_map and its largest KERNEL_IMAGE_SIZE (arch/x86/include/asm/page_64_types.h). */
#define KERNEL_MAP       0xffffffff80000000ull
#define KERNEL_MAP_BYTES (1ull << 30)

#define SLOT_BYTES      (2ull << 20)
#define NR_SLOTS        (KERNEL_MAP_BYTES / SLOT_BYTES)
#define MAX_HOLE_SLOTS  8u /* modules, without KASLR, begin 512 MiB up */
#define MAX_IMAGE_SLOTS 128u

#define ENTRY_PRESENT  0x001ull
#define ENTRY_LARGE    0x080ull
#define ENTRY_NX       (1ull << 63)
#define ENTRY_GPA_MASK 0x000ffffffffff000ull

static uint64_t table_entry(const uint8_t *table, unsigned i)
{
	uint64_t value = 0;

	for (int byte = 7; byte >= 0; byte--)
		value = value << 8 | table[8 * i + byte];
	return value;
}

/* The page of 2 MiB entries that maps the kernel's gigabyte. */
static struct vmtape_error *read_slots(struct guest_memory *memory, struct guest_space space,
				       uint64_t entries[NR_SLOTS])
{
	uint64_t table = space.cr3 & ENTRY_GPA_MASK;

	for (int level = space.levels; level >= 2; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		struct vmtape_error *error;
		const uint8_t *page;
		uint64_t entry;

		error = guest_memory_page(memory, table / GUEST_PAGE_BYTES, &page);
		if (error)
			return error;
		if (level == 2) {
			for (unsigned i = 0; i < NR_SLOTS; i++)
				entries[i] = table_entry(page, i);
			return NULL;
		}
		entry = table_entry(page, KERNEL_MAP >> shift & 511);
		if (!(entry & ENTRY_PRESENT) || entry & ENTRY_LARGE)
			break;
		table = entry & ENTRY_GPA_MASK;
	}
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND, "CR3 0x%llx maps no kernel", (unsigned long long)space.cr3);
}

static void copy_page(struct guest_memory *memory, uint64_t gpa, uint8_t *out)
{
	const uint8_t *page;
	struct vmtape_error *error = guest_memory_page(memory, gpa / GUEST_PAGE_BYTES, &page);

	if (error)
		vmtape_error_destroy(error);
	else
		memcpy(out, page, GUEST_PAGE_BYTES);
}

static void copy_slot(struct guest_memory *memory, uint64_t entry, bool with_code, uint8_t *out)
{
	uint8_t table[GUEST_PAGE_BYTES] = {0};

	if (!(entry & ENTRY_PRESENT) || (entry & ENTRY_LARGE && !(entry & ENTRY_NX) && !with_code))
		return;
	if (entry & ENTRY_LARGE) {
		for (uint64_t at = 0; at < SLOT_BYTES; at += GUEST_PAGE_BYTES)
			copy_page(memory, (entry & ENTRY_GPA_MASK & ~(SLOT_BYTES - 1)) + at, out + at);
		return;
	}
	copy_page(memory, entry & ENTRY_GPA_MASK, table);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t page = table_entry(table, i);

		if (page & ENTRY_PRESENT && (page & ENTRY_NX || with_code))
			copy_page(memory, page & ENTRY_GPA_MASK, out + (size_t)i * GUEST_PAGE_BYTES);
	}
}

bool kernel_image_may_hold(gva_t lstar)
{
	return lstar.v >= KERNEL_MAP && lstar.v - KERNEL_MAP < KERNEL_MAP_BYTES;
}

/* Zeros. A fault for each of 13,000 pages would take longer than to look for the symbols in them. */
static bool map_room(struct kernel_image *image)
{
	uint8_t *room =
		mmap(NULL, image->size_bytes + SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return false;
	image->slack_bytes = -(uintptr_t)room % SLOT_BYTES;
	image->bytes = room + image->slack_bytes;
	madvise(image->bytes, image->size_bytes, MADV_HUGEPAGE);
	return true;
}

struct vmtape_error *kernel_image_read(struct kernel_image *out, struct guest_memory *memory, struct guest_space space,
				       gva_t lstar, bool with_code)
{
	uint64_t entries[NR_SLOTS];
	struct vmtape_error *error;
	unsigned at, first, last;

	*out = (struct kernel_image){.space = space};
	if (!kernel_image_may_hold(lstar))
		return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, lstar.v,
					      "LSTAR is not where x86-64 Linux maps itself");
	error = read_slots(memory, space, entries);
	if (error)
		return error;
	at = first = last = (lstar.v - KERNEL_MAP) / SLOT_BYTES;
	if (!(entries[at] & ENTRY_PRESENT))
		return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, lstar.v, "CR3 0x%llx does not map LSTAR",
					      (unsigned long long)space.cr3);
	for (unsigned i = at; i < NR_SLOTS && i - last <= MAX_HOLE_SLOTS && i - at < MAX_IMAGE_SLOTS; i++)
		if (entries[i] & ENTRY_PRESENT)
			last = i;
	for (unsigned i = at; first - i <= MAX_HOLE_SLOTS && at - i < MAX_IMAGE_SLOTS; i--) {
		if (entries[i] & ENTRY_PRESENT)
			first = i;
		if (!i)
			break;
	}
	out->size_bytes = (last - first + 1) * SLOT_BYTES;
	out->start = GVA(KERNEL_MAP + first * SLOT_BYTES);
	if (!map_room(out))
		return &vmtape_error_no_memory;
	for (unsigned i = first; i <= last; i++)
		copy_slot(memory, entries[i], with_code, out->bytes + (i - first) * SLOT_BYTES);
	return NULL;
}

void kernel_image_deinit(struct kernel_image *image)
{
	if (image->bytes)
		munmap(image->bytes - image->slack_bytes, image->size_bytes + SLOT_BYTES);
	*image = (struct kernel_image){0};
}

const uint8_t *kernel_image_at(const struct kernel_image *image, uint64_t gva, size_t size_bytes)
{
	if (gva < image->start.v || gva - image->start.v > image->size_bytes ||
	    size_bytes > image->size_bytes - (gva - image->start.v))
		return NULL;
	return image->bytes + (gva - image->start.v);
}
