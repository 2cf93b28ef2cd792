/* SPDX-License-Identifier: MIT */
/*
 * fuzz_memory_read.c - what hooks read of a guest's memory whose page tables say anything: loops, huge pages, addresses
 * outside of RAM, pages that are not on the tape. The input is a list of reads, and of words in a few pages.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz_must.h"
#include "guest_memory.h"
#include "public_call.h"
#include "tape_fixture.h"
#include "vcpu_state.h"

#define NR_PAGES  12u
#define HIGH_GPA  0x100000000ull
#define MAX_READS 16u
#define MAX_READ  9000u
#define TSC       1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && in->at < in->end; i++)
		value |= (uint64_t)*in->at++ << 8 * i;
	return value;
}

/* Page tables point at each other far more often by numbers of pages that are there. */
static uint64_t word_of(struct input *in)
{
	uint64_t value = take(in, 8);

	return value & 0x8 ? value : (value & ~0x000fffffffff0000ull);
}

static void make_tape(struct fixture_file *file, struct input *in, unsigned levels)
{
	static const struct tape_ram_range ranges[] = {{0, (NR_PAGES - 2) * 4096}, {HIGH_GPA, 2 * 4096}};
	struct tape_writer *writer = fixture_writer(file, TAPE_SLOT_MIN_BYTES);
	uint64_t regs[VCPU_REGS] = {[VCPU_CR4] = levels == 5 ? 1 << 12 : 0};
	struct tape_snapshot_info info = {.id = 1,
					  .tsc = TSC,
					  .realtime_ns = 1700000000000000000ull,
					  .nr_vcpus = 1,
					  .nr_regs = VCPU_REGS,
					  .vcpu_regs = regs,
					  .nr_ranges = 2,
					  .ranges = ranges,
					  .base = true};
	static uint8_t pages[NR_PAGES][TAPE_PAGE_BYTES];
	unsigned absent = (unsigned)take(in, 2);
	struct tape_pages *out;

	memset(pages, 0, sizeof(pages));
	while (in->end - in->at >= 11) {
		unsigned page = (unsigned)take(in, 1) % NR_PAGES, slot = (unsigned)take(in, 2) % 512;
		uint64_t word = word_of(in);

		memcpy(pages[page] + 8 * (size_t)slot, &word, 8);
	}
	FUZZ_MUST((tape_pages_create(&out, writer, -1, NULL)) == 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		if (!(absent >> i & 1))
			FUZZ_MUST((uint64_t)(tape_pages_add(out,
							    i < NR_PAGES - 2 ? i : HIGH_GPA / 4096 + i - (NR_PAGES - 2),
							    pages[i], NULL)) == (uint64_t)(0));
	FUZZ_MUST((tape_pages_commit(out, &info, NULL)) == 0);
	tape_pages_destroy(out);
	FUZZ_MUST((uint64_t)(tape_writer_finish(writer, "done", &(struct tape_totals){.snapshots = 1}, NULL)) ==
		  (uint64_t)(0));
	tape_writer_destroy(writer);
}

struct wish {
	unsigned kind;
	uint64_t cr3, address;
	size_t size_bytes;
};

/* A buffer of just that size; what is not read of it stays as it was. */
static void read_one(struct vmtape_tape *tape, const struct wish *wish)
{
	uint8_t *buffer = malloc(wish->size_bytes ? wish->size_bytes : 1);
	struct vmtape_error *error;
	struct vmtape_read result;

	FUZZ_MUST(buffer != NULL);
	memset(buffer, 0xa5, wish->size_bytes);
	if (wish->kind == 0)
		error = vmtape_read_physical(tape, TSC, wish->address, buffer, wish->size_bytes, &result);
	else if (wish->kind == 1)
		error = vmtape_read_process(tape, TSC, (int32_t)wish->cr3, wish->address, buffer, wish->size_bytes,
					    &result);
	else
		error = vmtape_read_virtual(tape, TSC, wish->cr3, wish->address, buffer, wish->size_bytes, &result);
	if (!error) {
		FUZZ_MUST(result.size_bytes <= wish->size_bytes && result.captured_bytes == 0);
		FUZZ_MUST(!wish->size_bytes || (result.size_bytes == wish->size_bytes) == !result.why);
		FUZZ_MUST(result.snapshot == (result.size_bytes ? 0 : -1));
		/* behind the last address there is nothing, and no first one */
		FUZZ_MUST(!result.size_bytes || wish->address + (result.size_bytes - 1) >= wish->address);
		for (size_t i = result.size_bytes; i < wish->size_bytes; i++)
			FUZZ_MUST(buffer[i] == 0xa5);
	}
	vmtape_error_free(error);
	free(buffer);
}

/* The walk itself gives an address of RAM, or says why not. */
static void translate_one(struct guest_memory *memory, const struct wish *wish, int levels)
{
	struct guest_space space = {wish->cr3, levels};
	char text[300];
	gpa_t gpa;

	vmtape_error_destroy(guest_translate(memory, space, GVA(wish->address), &gpa));
	vmtape_error_destroy(guest_read_string(memory, space, GVA(wish->address), text, sizeof(text)));
	FUZZ_MUST(memchr(text, 0, sizeof(text)) != NULL);
}

static int read_page(void *ctx, uint64_t gfn, void *out)
{
	return tape_reader_page(ctx, 0, gfn, out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	static const struct guest_range ranges[] = {{{0}, (NR_PAGES - 2) * 4096}, {{HIGH_GPA}, 2 * 4096}};
	struct guest_memory_source source = {.read_page = read_page, .ranges = ranges, .nr_ranges = 2};
	struct input in = {data, data + size_bytes};
	struct fixture_file file = {0};
	struct vmtape_tape *tape = calloc(1, sizeof(*tape));
	struct wish wishes[MAX_READS];
	struct guest_memory *memory;
	unsigned head = (unsigned)take(&in, 1), nr = head % MAX_READS;
	int levels = head & 0x80 ? 5 : 4;

	for (unsigned i = 0; i < nr; i++)
		wishes[i] = (struct wish){.kind = (unsigned)take(&in, 1) % 4,
					  .cr3 = word_of(&in),
					  .address = take(&in, 8),
					  .size_bytes = (size_t)take(&in, 2) % MAX_READ};
	FUZZ_MUST(tape != NULL);
	make_tape(&file, &in, (unsigned)levels);
	FUZZ_MUST(!session_open_memory(&tape->session, file.bytes, file.size_bytes, NULL));
	source.ctx = session_reader(tape->session);
	FUZZ_MUST(!guest_memory_create(&memory, &source));
	for (unsigned i = 0; i < nr; i++) {
		read_one(tape, &wishes[i]);
		translate_one(memory, &wishes[i], levels);
	}
	guest_memory_destroy(memory);
	vmtape_close(tape);
	fixture_file_deinit(&file);
	return 0;
}
