/* SPDX-License-Identifier: MIT */
/* Physical reads over ranges and the cache; virtual reads over 4 and 5 levels, large pages, holes and hostile tables.
 */
#include "check.h"
#include "guest_memory.h"

#include <errno.h>

#define LOW_PAGES   2048u
#define HIGH_START  0x100000000ull
#define HIGH_PAGES  16u
#define PRESENT     0x3ull
#define LARGE       0x80ull
#define NO_EXECUTE  (1ull << 63)
#define MISSING_GFN 100u
#define BROKEN_GFN  101u

struct ram {
	uint8_t low[LOW_PAGES][GUEST_PAGE_BYTES];
	uint8_t high[HIGH_PAGES][GUEST_PAGE_BYTES];
	unsigned reads;
};

static struct ram ram;

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	struct ram *r = ctx;

	r->reads++;
	if (gfn == MISSING_GFN)
		return -ENOENT;
	if (gfn == BROKEN_GFN)
		return -EIO;
	if (gfn < LOW_PAGES)
		memcpy(out, r->low[gfn], GUEST_PAGE_BYTES);
	else if (gfn >= HIGH_START / GUEST_PAGE_BYTES && gfn < HIGH_START / GUEST_PAGE_BYTES + HIGH_PAGES)
		memcpy(out, r->high[gfn - HIGH_START / GUEST_PAGE_BYTES], GUEST_PAGE_BYTES);
	else
		return -ENOENT;
	return 0;
}

static const struct guest_range ranges[] = {
	{{0}, LOW_PAGES *(uint64_t)GUEST_PAGE_BYTES},
	{{HIGH_START}, HIGH_PAGES *(uint64_t)GUEST_PAGE_BYTES - 100}, /* the last page is not whole */
};

static struct guest_memory *open_memory(void)
{
	struct guest_memory_source source = {read_page, &ram, ranges, 2};
	struct guest_memory *memory;

	CHECK(!guest_memory_create(&memory, &source));
	return memory;
}

static void expect(struct vmtape_error *error, enum vmtape_error_code code)
{
	CHECK(error != NULL);
	CHECK_INT(error->code, code);
	vmtape_error_destroy(error);
}

static void put_entry(unsigned table_gfn, unsigned index, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		ram.low[table_gfn][8 * index + i] = value >> 8 * i;
}

/*
 * Five tables at pages 1 to 5: 5 is the top of five levels, 4 of four. One page
 * of 4 KiB each at the start, 2 MiB and 1 GiB pages, the top half by one entry.
 */
static void make_tables(void)
{
	put_entry(5, 0, 0x4000 | PRESENT);
	put_entry(5, 511, 0x4000 | PRESENT | NO_EXECUTE);
	put_entry(4, 0, 0x3000 | PRESENT);
	put_entry(4, 511, 0x3000 | PRESENT | NO_EXECUTE);
	put_entry(3, 0, 0x2000 | PRESENT);
	put_entry(3, 1, HIGH_START | PRESENT | LARGE);        /* 1 GiB */
	put_entry(3, 2, (LOW_PAGES * 4096ull - 0) | PRESENT); /* a table outside of RAM */
	put_entry(3, 3, MISSING_GFN * 4096ull | PRESENT);
	put_entry(3, 511, 0x2000 | PRESENT);
	put_entry(2, 0, 0x1000 | PRESENT);
	put_entry(2, 1, 0x200000 | 0x1000 | PRESENT | LARGE); /* 2 MiB, PAT bit set */
	put_entry(2, 511, 0x1000 | PRESENT);
	put_entry(1, 0, 0x10000 | PRESENT | LARGE); /* 4 KiB: bit 7 is PAT */
	put_entry(1, 1, 0x14000 | PRESENT | NO_EXECUTE);
	put_entry(1, 2, 0x12000); /* not present */
	put_entry(1, 3, MISSING_GFN * 4096ull | PRESENT);
	put_entry(1, 511, 0x11000 | PRESENT);
}

static void physical_reads(void)
{
	struct guest_memory *memory = open_memory();
	uint8_t bytes[3 * GUEST_PAGE_BYTES];
	const uint8_t *first, *page;
	unsigned reads;

	for (unsigned i = 600; i < 1300; i++)
		memset(ram.low[i], i & 0xff, GUEST_PAGE_BYTES);
	CHECK(!guest_read_phys(memory, GPA(600 * 4096 + 4000), bytes, 4096 + 200));
	CHECK_INT(bytes[95], 600 & 0xff);
	CHECK_INT(bytes[96], 601 & 0xff);
	CHECK_INT(bytes[4096 + 199], 602 & 0xff);
	CHECK(!guest_read_phys(memory, GPA(600 * 4096), bytes, 0));

	/* A page stays valid until 64 more were read; one that was just used is no read again. */
	CHECK(!guest_memory_page(memory, 700, &first));
	for (unsigned i = 701; i < 765; i++)
		CHECK(!guest_memory_page(memory, i, &page));
	CHECK_INT(first[0], 700 & 0xff);
	reads = ram.reads;
	CHECK(!guest_memory_page(memory, 700, &page));
	CHECK(page == first);
	CHECK_INT(ram.reads, reads);
	/* Far more pages than the cache holds, back and forth. */
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 600; i < 1300; i++) {
			CHECK(!guest_memory_page(memory, i, &page));
			CHECK_INT(page[17], i & 0xff);
			CHECK(!guest_memory_page(memory, 600 + (i * 7) % 700, &page));
			CHECK_INT(page[17], (600 + (i * 7) % 700) & 0xff);
		}
	}

	CHECK(guest_memory_page(memory, MISSING_GFN, &page) == &vmtape_error_not_recorded);
	CHECK(!page);
	expect(guest_memory_page(memory, BROKEN_GFN, &page), VMTAPE_ERROR_IO);
	expect(guest_read_phys(memory, GPA(LOW_PAGES * 4096ull - 4), bytes, 8), VMTAPE_ERROR_NOT_RECORDED);
	expect(guest_read_phys(memory, GPA(HIGH_START - 4), bytes, 8), VMTAPE_ERROR_NOT_RECORDED);
	expect(guest_read_phys(memory, GPA(HIGH_START + (HIGH_PAGES - 1) * 4096ull), bytes, 8),
	       VMTAPE_ERROR_NOT_RECORDED);
	expect(guest_read_phys(memory, GPA(UINT64_MAX - 4), bytes, 8), VMTAPE_ERROR_NOT_RECORDED);
	expect(guest_memory_page(memory, UINT64_MAX, &page), VMTAPE_ERROR_NOT_RECORDED);
	CHECK(!guest_read_phys(memory, GPA(HIGH_START), bytes, 8));
	guest_memory_destroy(memory);
}

static void check_translation(struct guest_memory *memory, struct guest_space space, uint64_t gva, uint64_t gpa)
{
	gpa_t out;
	struct vmtape_error *error = guest_translate(memory, space, GVA(gva), &out);

	if (error)
		fprintf(stderr, "0x%" PRIx64 ": %s\n", gva, error->message);
	CHECK(!error);
	CHECK_INT(out.v, gpa);
}

static void virtual_reads(void)
{
	struct guest_memory *memory = open_memory();
	struct guest_space four = {0x4000 | 0xfff, 4}, five = {0x5000, 5}, six = {0x5000, 6};
	char text[64];
	uint8_t bytes[8192];
	uint64_t value;
	uint32_t narrow;
	gpa_t gpa;

	for (int i = 0; i < 2; i++) {
		struct guest_space space = i ? five : four;

		check_translation(memory, space, 0x123, 0x10123);
		check_translation(memory, space, 0x1fff, 0x14fff);
		check_translation(memory, space, 0x200000 + 0x54321, 0x200000 + 0x54321);
		check_translation(memory, space, 0x40000000 + 0x8123456, HIGH_START + 0x8123456);
		check_translation(memory, space, 0xfffffffffffff123ull, 0x11123);
		expect(guest_translate(memory, space, GVA(0x2000), &gpa), VMTAPE_ERROR_NOT_FOUND);
		expect(guest_translate(memory, space, GVA(0x80000000), &gpa), VMTAPE_ERROR_NOT_RECORDED);
		expect(guest_translate(memory, space, GVA(0xc0000000), &gpa), VMTAPE_ERROR_NOT_RECORDED);
		expect(guest_translate(memory, space, GVA(0x8000000000ull), &gpa), VMTAPE_ERROR_NOT_FOUND);
	}
	expect(guest_translate(memory, four, GVA(0x800000000000ull), &gpa), VMTAPE_ERROR_NOT_FOUND);
	expect(guest_translate(memory, five, GVA(0x100000000000000ull), &gpa), VMTAPE_ERROR_NOT_FOUND);
	expect(guest_translate(memory, six, GVA(0), &gpa), VMTAPE_ERROR_UNSUPPORTED);

	/* Across two pages that are not neighbours in physical memory. */
	memcpy(ram.low[0x10] + 4096 - 5, "hello", 5);
	memcpy(ram.low[0x14], ", world", 8);
	CHECK(!guest_read_string(memory, four, GVA(0x1000 - 5), text, sizeof(text)));
	CHECK_STR(text, "hello, world");
	CHECK(!guest_read_string(memory, four, GVA(0x1000 - 5), text, 8));
	CHECK_STR(text, "hello, ");
	CHECK(!guest_read_u64(memory, four, GVA(0x1000 - 4), &value));
	CHECK_INT(value, 0x6f77202c6f6c6c65ull);
	CHECK(!guest_read_u32(memory, five, GVA(0x1000), &narrow));
	CHECK_INT(narrow, 0x6f77202c);
	CHECK(!guest_read_virt(memory, four, GVA(0), bytes, 8192));
	CHECK(!memcmp(bytes + 4096 - 5, "hello, world", 13));
	expect(guest_read_virt(memory, four, GVA(0), bytes, 8193), VMTAPE_ERROR_NOT_FOUND);

	/* A string that ends before the hole is whole; one that runs into it keeps what was there. */
	memset(ram.low[0x14] + 4090, 'x', 6);
	guest_memory_destroy(memory);
	memory = open_memory();
	expect(guest_read_string(memory, four, GVA(0x2000 - 6), text, sizeof(text)), VMTAPE_ERROR_NOT_FOUND);
	CHECK_STR(text, "xxxxxx");
	CHECK(!guest_read_string(memory, four, GVA(0x2000 - 6), text, 7));
	expect(guest_read_string(memory, four, GVA(0x3000), text, sizeof(text)), VMTAPE_ERROR_NOT_RECORDED);
	CHECK_STR(text, "");
	expect(guest_read_virt(memory, four, GVA(UINT64_MAX - 3), bytes, 8), VMTAPE_ERROR_NOT_FOUND);
	/* Nor does one go on at address 0. */
	memset(ram.low[0x11] + 4092, 'y', 4);
	guest_memory_destroy(memory);
	memory = open_memory();
	expect(guest_read_string(memory, four, GVA(UINT64_MAX - 3), text, sizeof(text)), VMTAPE_ERROR_NOT_FOUND);
	CHECK_STR(text, "yyyy");
	CHECK(!guest_read_string(memory, four, GVA(UINT64_MAX - 3), text, 5));
	CHECK_STR(text, "yyyy");
	CHECK(!guest_read_virt(memory, four, GVA(UINT64_MAX - 3), bytes, 4));
	guest_memory_destroy(memory);
}

static void hostile_tables(void)
{
	struct guest_memory *memory;
	struct guest_space four = {0x6000, 4}, five = {0x5000, 5};
	gpa_t gpa;

	/* A table that is its own child at each level ends after as many steps as there are levels. */
	put_entry(6, 0, 0x6000 | PRESENT);
	/* Reserved bits: a large page at the top two levels. */
	put_entry(6, 1, 0x6000 | PRESENT | LARGE);
	put_entry(5, 1, 0x4000 | PRESENT | LARGE);
	memory = open_memory();
	check_translation(memory, four, 0x77, 0x6077);
	expect(guest_translate(memory, four, GVA(1ull << 39), &gpa), VMTAPE_ERROR_FORMAT);
	expect(guest_translate(memory, five, GVA(1ull << 48), &gpa), VMTAPE_ERROR_FORMAT);
	guest_memory_destroy(memory);
}

static void bad_ranges(void)
{
	static const struct guest_range overlap[] = {{{0}, 0x2000}, {{0x1000}, 0x1000}};
	static const struct guest_range wraps[] = {{{UINT64_MAX - 0xfff}, 0x2000}};
	struct guest_memory_source source = {read_page, &ram, overlap, 2};
	struct guest_memory *memory;

	expect(guest_memory_create(&memory, &source), VMTAPE_ERROR_FORMAT);
	source.ranges = wraps;
	source.nr_ranges = 1;
	expect(guest_memory_create(&memory, &source), VMTAPE_ERROR_FORMAT);
	guest_memory_destroy(NULL);
}

static void errors_say_where(void)
{
	struct vmtape_error *error = vmtape_error_create(VMTAPE_ERROR_USAGE, "no %s", "field");

	CHECK_STR(error->message, "no field");
	CHECK_INT(error->address, UINT64_MAX);
	vmtape_error_destroy(error);
	error = vmtape_error_create_at(VMTAPE_ERROR_FORMAT, 0xffff888000001000ull, "%d bad", 3);
	CHECK_STR(error->message, "3 bad (guest address 0xffff888000001000)");
	CHECK_INT(error->address, 0xffff888000001000ull);
	vmtape_error_destroy(error);
	vmtape_error_destroy(NULL);
	vmtape_error_destroy(&vmtape_error_no_memory);
	CHECK_STR(vmtape_error_not_recorded.message, "memory was not recorded");
}

int main(void)
{
	make_tables();
	physical_reads();
	virtual_reads();
	hostile_tables();
	bad_ranges();
	errors_say_where();
	return 0;
}
