/* SPDX-License-Identifier: MIT */
/* Pages come through a least-recently-used cache, so that a page stays valid for 64 further reads, as promised. */
#include "guest_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_PAGES   512u
#define CACHE_BUCKETS 1024u
#define NO_SLOT       UINT16_MAX

#define PTE_PRESENT  0x001ull
#define PTE_LARGE    0x080ull
#define PTE_GPA_MASK 0x000ffffffffff000ull

struct cache_slot {
	uint64_t gfn;
	bool used;
	uint16_t chain;        /* next in the bucket */
	uint16_t newer, older; /* LRU list */
};

struct guest_memory {
	struct guest_memory_source source;
	uint16_t newest, oldest;
	uint16_t buckets[CACHE_BUCKETS];
	struct cache_slot slots[CACHE_PAGES];
	uint8_t *pages;
};

struct vmtape_error *guest_memory_create(struct guest_memory **out, const struct guest_memory_source *source)
{
	struct guest_memory *memory;
	uint64_t end = 0;

	*out = NULL;
	for (size_t i = 0; i < source->nr_ranges; i++) {
		const struct guest_range *range = &source->ranges[i];

		if (range->start.v < end || range->size_bytes > UINT64_MAX - range->start.v)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, range->start.v,
						      "RAM range %zu overlaps the one before or wraps", i);
		end = range->start.v + range->size_bytes;
	}
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return &vmtape_error_no_memory;
	memory->pages = malloc((size_t)CACHE_PAGES * GUEST_PAGE_BYTES);
	if (!memory->pages) {
		free(memory);
		return &vmtape_error_no_memory;
	}
	memory->source = *source;
	for (size_t i = 0; i < CACHE_BUCKETS; i++)
		memory->buckets[i] = NO_SLOT;
	for (unsigned i = 0; i < CACHE_PAGES; i++) {
		memory->slots[i].older = i + 1 < CACHE_PAGES ? i + 1 : NO_SLOT;
		memory->slots[i].newer = i ? i - 1 : NO_SLOT;
		memory->slots[i].chain = NO_SLOT;
	}
	memory->newest = 0;
	memory->oldest = CACHE_PAGES - 1;
	*out = memory;
	return NULL;
}

void guest_memory_destroy(struct guest_memory *memory)
{
	if (!memory)
		return;
	free(memory->pages);
	free(memory);
}

const struct guest_range *guest_memory_ranges(const struct guest_memory *memory, size_t *n)
{
	*n = memory->source.nr_ranges;
	return memory->source.ranges;
}

/* ---- page cache ------------------------------------------------------ */

static size_t cache_bucket(uint64_t gfn)
{
	return (gfn * 0x9e3779b97f4a7c15ull) >> 54;
}

static void cache_make_newest(struct guest_memory *memory, uint16_t i)
{
	struct cache_slot *slot = &memory->slots[i];

	if (memory->newest == i)
		return;
	memory->slots[slot->newer].older = slot->older;
	if (slot->older != NO_SLOT)
		memory->slots[slot->older].newer = slot->newer;
	else
		memory->oldest = slot->newer;
	slot->older = memory->newest;
	slot->newer = NO_SLOT;
	memory->slots[memory->newest].newer = i;
	memory->newest = i;
}

static void cache_unlink(struct guest_memory *memory, uint16_t i)
{
	uint16_t *link = &memory->buckets[cache_bucket(memory->slots[i].gfn)];

	while (*link != i)
		link = &memory->slots[*link].chain;
	*link = memory->slots[i].chain;
	memory->slots[i].used = false;
}

static bool is_ram(const struct guest_memory *memory, uint64_t gfn)
{
	size_t low = 0, high = memory->source.nr_ranges;
	uint64_t gpa;

	if (gfn > UINT64_MAX / GUEST_PAGE_BYTES)
		return false;
	gpa = gfn * GUEST_PAGE_BYTES;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct guest_range *range = &memory->source.ranges[middle];

		if (gpa < range->start.v)
			high = middle;
		else if (gpa - range->start.v >= range->size_bytes)
			low = middle + 1;
		else
			return range->size_bytes - (gpa - range->start.v) >= GUEST_PAGE_BYTES;
	}
	return false;
}

struct vmtape_error *guest_memory_page(struct guest_memory *memory, uint64_t gfn, const uint8_t **out)
{
	size_t bucket = cache_bucket(gfn);
	struct cache_slot *slot;
	uint8_t *page;
	uint16_t i;
	int ret;

	*out = NULL;
	for (i = memory->buckets[bucket]; i != NO_SLOT; i = memory->slots[i].chain) {
		if (memory->slots[i].gfn == gfn) {
			cache_make_newest(memory, i);
			*out = memory->pages + (size_t)i * GUEST_PAGE_BYTES;
			return NULL;
		}
	}
	if (!is_ram(memory, gfn))
		return &vmtape_error_not_recorded;

	i = memory->oldest;
	slot = &memory->slots[i];
	if (slot->used)
		cache_unlink(memory, i);
	page = memory->pages + (size_t)i * GUEST_PAGE_BYTES;
	ret = memory->source.read_page(memory->source.ctx, gfn, page);
	if (ret == -ENOENT)
		return &vmtape_error_not_recorded;
	if (ret)
		return vmtape_error_create_at(VMTAPE_ERROR_IO, gfn * GUEST_PAGE_BYTES, "cannot read page: %s",
					      strerror(-ret));
	slot->gfn = gfn;
	slot->used = true;
	slot->chain = memory->buckets[bucket];
	memory->buckets[bucket] = i;
	cache_make_newest(memory, i);
	*out = page;
	return NULL;
}

struct vmtape_error *guest_read_phys(struct guest_memory *memory, gpa_t gpa, void *out, size_t size_bytes)
{
	uint8_t *to = out;

	if (size_bytes > UINT64_MAX - gpa.v)
		return &vmtape_error_not_recorded;
	while (size_bytes) {
		size_t offset = gpa.v % GUEST_PAGE_BYTES, n = GUEST_PAGE_BYTES - offset;
		struct vmtape_error *error;
		const uint8_t *page;

		if (n > size_bytes)
			n = size_bytes;
		error = guest_memory_page(memory, gpa.v / GUEST_PAGE_BYTES, &page);
		if (error)
			return error;
		memcpy(to, page + offset, n);
		to += n;
		gpa.v += n;
		size_bytes -= n;
	}
	return NULL;
}

/* ---- virtual addresses ----------------------------------------------- */

static uint64_t get_le64(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

static struct vmtape_error *translate(struct guest_memory *memory, struct guest_space space, gva_t gva, gpa_t *out)
{
	unsigned unused_bits = space.levels == 5 ? 7 : 16;
	uint64_t table = space.cr3 & PTE_GPA_MASK;

	if (space.levels != 4 && space.levels != 5)
		return vmtape_error_create(VMTAPE_ERROR_UNSUPPORTED, "page tables with %d levels", space.levels);
	if ((uint64_t)((int64_t)(gva.v << unused_bits) >> unused_bits) != gva.v)
		return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, gva.v, "address is not canonical");

	for (int level = space.levels; level >= 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t entry, offset_mask = (1ull << shift) - 1;
		struct vmtape_error *error;
		const uint8_t *page;

		error = guest_memory_page(memory, table / GUEST_PAGE_BYTES, &page);
		if (error)
			return error;
		entry = get_le64(page + 8 * (gva.v >> shift & 511));
		if (!(entry & PTE_PRESENT))
			return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, gva.v, "address is not mapped");
		/* Level 1 has PAT where levels 2 and 3 have the large-page bit; 4 and 5 must have it clear. */
		if (level == 1 || (level <= 3 && entry & PTE_LARGE)) {
			*out = GPA((entry & PTE_GPA_MASK & ~offset_mask) | (gva.v & offset_mask));
			return NULL;
		}
		if (entry & PTE_LARGE)
			return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva.v, "reserved bit in a page table");
		table = entry & PTE_GPA_MASK;
	}
	return vmtape_error_create_at(VMTAPE_ERROR_FORMAT, gva.v, "page table has no last level");
}

struct vmtape_error *guest_translate(struct guest_memory *memory, struct guest_space space, gva_t gva, gpa_t *out)
{
	*out = GPA(0);
	return translate(memory, space, gva, out);
}

struct vmtape_error *guest_read_virt(struct guest_memory *memory, struct guest_space space, gva_t gva, void *out,
				     size_t size_bytes)
{
	uint8_t *to = out;

	if (size_bytes && size_bytes - 1 > UINT64_MAX - gva.v)
		return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, gva.v, "read of %zu bytes wraps", size_bytes);
	while (size_bytes) {
		size_t n = GUEST_PAGE_BYTES - gva.v % GUEST_PAGE_BYTES;
		struct vmtape_error *error;
		gpa_t gpa;

		if (n > size_bytes)
			n = size_bytes;
		error = translate(memory, space, gva, &gpa);
		if (!error)
			error = guest_read_phys(memory, gpa, to, n);
		if (error)
			return error;
		to += n;
		gva.v += n;
		size_bytes -= n;
	}
	return NULL;
}

struct vmtape_error *guest_read_u64(struct guest_memory *memory, struct guest_space space, gva_t gva, uint64_t *out)
{
	uint8_t bytes[8];
	struct vmtape_error *error = guest_read_virt(memory, space, gva, bytes, sizeof(bytes));

	*out = error ? 0 : get_le64(bytes);
	return error;
}

struct vmtape_error *guest_read_u32(struct guest_memory *memory, struct guest_space space, gva_t gva, uint32_t *out)
{
	uint8_t bytes[8] = {0};
	struct vmtape_error *error = guest_read_virt(memory, space, gva, bytes, 4);

	*out = error ? 0 : (uint32_t)get_le64(bytes);
	return error;
}

struct vmtape_error *guest_read_string(struct guest_memory *memory, struct guest_space space, gva_t gva, char *out,
				       size_t size_bytes)
{
	size_t room = size_bytes ? size_bytes - 1 : 0;

	if (!size_bytes)
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "no room for a string");
	out[0] = '\0';
	/* Page by page: the string may end just before a page that is not there. */
	while (room) {
		size_t n = GUEST_PAGE_BYTES - gva.v % GUEST_PAGE_BYTES, len;
		struct vmtape_error *error;

		if (n > room)
			n = room;
		error = guest_read_virt(memory, space, gva, out, n);
		if (error) {
			out[0] = '\0';
			return error;
		}
		len = strnlen(out, n);
		out += len;
		*out = '\0';
		if (len < n)
			return NULL;
		gva.v += n;
		room -= n;
		if (!gva.v && room)
			return vmtape_error_create_at(VMTAPE_ERROR_NOT_FOUND, UINT64_MAX,
						      "the string has no end where the address space ends");
	}
	return NULL;
}
