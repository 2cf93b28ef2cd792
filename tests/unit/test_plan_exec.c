/* SPDX-License-Identifier: MIT */
/* Interpreter of plans over a synthetic memory with holes: each operation, status and flag. */
#include <stdbool.h>

#include "check.h"
#include "plan.h"
#include "plan_exec.h"
#include "trap_record.h"

#define KERNEL_BASE 0xffff888000000000ull

/* ---- guest memory: a few pages, some of them missing ----------------------- */

struct page {
	uint64_t gva;
	bool present;
	uint8_t bytes[4096];
};

static struct page pages[] = {
	{.gva = 0x10000, .present = true},        {.gva = 0x11000, .present = true},
	{.gva = 0x12000, .present = false},       {.gva = 0x13000, .present = true},
	{.gva = 0x7ffffffff000, .present = true}, {.gva = 0xfffff000, .present = true},
	{.gva = 0x100000000, .present = true},    {.gva = 0x7ffffffffffff000, .present = true},
	{.gva = KERNEL_BASE, .present = true},    {.gva = 0xfffffffffffff000, .present = true},
};
#define NR_PAGES (sizeof(pages) / sizeof(pages[0]))

static unsigned reads, reads_across, reads_kernel;

static struct page *find_page(uint64_t gva)
{
	for (size_t i = 0; i < NR_PAGES; i++)
		if (pages[i].gva == (gva & ~4095ull))
			return &pages[i];
	return NULL;
}

static int read_guest(void *ctx, __u64 gva, void *dst, __u32 len, int kernel)
{
	__u32 done = 0;

	reads++;
	reads_kernel += !!kernel;
	if (gva >> 12 != (gva + len - 1) >> 12)
		reads_across++;
	CHECK(len > 0);
	/* the interpreter never lets a read leave the half it may read in */
	CHECK_INT(gva >> 63, !!kernel);
	CHECK_INT((gva + len - 1) >> 63, !!kernel);
	while (done < len) {
		struct page *page = find_page(gva + done);
		__u32 offset = (gva + done) & 4095, n = 4096 - offset;

		if (!page || !page->present)
			break;
		if (n > len - done)
			n = len - done;
		memcpy((uint8_t *)dst + done, page->bytes + offset, n);
		done += n;
	}
	return (int)done;
}

static void poke(uint64_t gva, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct page *page = find_page(gva + i);

		CHECK(page);
		page->bytes[(gva + i) & 4095] = ((const uint8_t *)bytes)[i];
	}
}

static void poke_u64(uint64_t gva, uint64_t value)
{
	poke(gva, &value, 8);
}

static void poke_u32(uint64_t gva, uint32_t value)
{
	poke(gva, &value, 4);
}

static void memory_reset(void)
{
	for (size_t i = 0; i < NR_PAGES; i++) {
		pages[i].present = pages[i].gva != 0x12000;
		for (unsigned j = 0; j < 4096; j++)
			pages[i].bytes[j] = (uint8_t)(0x80 | (i * 7 + j * 13));
	}
	reads = reads_across = reads_kernel = 0;
}

/* ---- run one line of steps --------------------------------------------------- */

struct result {
	struct plan_exec x;
	void *plan;
	struct plan_range range;
	__u64 regs[TRAP_REGS];
	uint8_t *out;
	uint32_t limit_bytes;
	uint32_t again;
	/* parsed again by the record parser */
	unsigned n;
	struct trap_fragment fragment[80];
	const uint8_t *bytes[80];
	struct trap_view view;
	uint64_t record[(sizeof(struct trap_record) + 40000) / 8];
};

static struct result r;

static void load(const char *line)
{
	struct plan_error error;
	char text[1000];
	size_t size;

	free(r.plan);
	snprintf(text, sizeof(text), "vmtape-plan 1\nkernel-cr3 0xffffffffffffffff 0\n%s\n", line);
	if (plan_parse(text, NULL, &r.plan, &size, &error)) {
		fprintf(stderr, "%s\nline %u: %s\n", line, error.line, error.message);
		exit(1);
	}
	const struct plan_header *header = plan_get_header(r.plan);
	const struct plan_call *call = header->nr_calls ? plan_calls(r.plan) : NULL;

	r.range = !call ? header->identity : call->enter.count ? call->enter : call->exit;
	memory_reset();
	memset(r.regs, 0, sizeof(r.regs));
}

/* What came out must be what a record may hold. */
static void collect(void)
{
	struct trap_record header = {.type = TRAP_ENTER, .nr_fragments = r.x.nr_fragments, .flags = r.x.flags};
	size_t position = 0;

	CHECK(r.x.used_bytes <= r.limit_bytes && r.x.used_bytes % 8 == 0);
	CHECK((r.x.flags & ~TRAP_F_CUT) == 0);
	header.size_bytes = (uint32_t)sizeof(header) + r.x.used_bytes;
	memcpy(r.record, &header, sizeof(header));
	memcpy((uint8_t *)r.record + sizeof(header), r.out, r.x.used_bytes);
	CHECK_INT(trap_view_parse(&r.view, r.record, sizeof(r.record), NULL), header.size_bytes);
	for (r.n = 0; r.n < 80; r.n++)
		if (!trap_view_next_fragment(&r.view, &position, &r.fragment[r.n], &r.bytes[r.n]))
			break;
	CHECK_INT(r.n, r.x.nr_fragments);
}

static void run_abi(uint32_t limit_bytes, uint8_t abi)
{
	free(r.out);
	/* of just the size, so that a sanitizer sees a byte too many */
	r.out = malloc(limit_bytes ? limit_bytes : 1);
	CHECK(r.out);
	r.limit_bytes = limit_bytes;
	plan_exec_init(&r.x, r.plan, abi, r.regs, read_guest, NULL, r.out, limit_bytes);
	r.again = plan_exec_run(&r.x, r.range);
	collect();
}

static void run(uint32_t limit_bytes)
{
	run_abi(limit_bytes, TRAP_ABI_X86_64);
}

static void expect(unsigned i, uint64_t gva, uint32_t want, uint32_t len, uint8_t status, uint8_t label)
{
	CHECK(i < r.n);
	CHECK_INT(r.fragment[i].gva, gva);
	CHECK_INT(r.fragment[i].want_bytes, want);
	CHECK_INT(r.fragment[i].len_bytes, len);
	CHECK_INT(r.fragment[i].status, status);
	CHECK_INT(r.fragment[i].label, label);
	for (uint32_t j = 0; j < len; j++)
		CHECK(r.bytes[i][j] == find_page(gva + j)->bytes[(gva + j) & 4095]);
}

/* ---- tests --------------------------------------------------------------------- */

static void test_bytes(void)
{
	load("1 enter +0(arg1):bytes[100] +8(arg2):bytes[arg3*4,64] 77=-16(arg4):bytes[arg5,8192]!len32");
	r.regs[TRAP_REG_RSI] = 0x10ff0; /* across a page */
	r.regs[TRAP_REG_RDX] = 0x13000;
	r.regs[TRAP_REG_R10] = 10;
	r.regs[TRAP_REG_R8] = 0x13010;
	r.regs[TRAP_REG_R9] = 0xffffffff00000007ull;
	run(4096);
	CHECK_INT(r.n, 3);
	expect(0, 0x10ff0, 100, 100, TRAP_FRAG_WHOLE, 1);
	expect(1, 0x13008, 40, 40, TRAP_FRAG_WHOLE, 2);
	expect(2, 0x13000, 7, 7, TRAP_FRAG_WHOLE, 77);
	CHECK_INT(r.x.flags, 0);
	CHECK_INT(r.again, 0);

	/* capped; into a hole; a negative length is none */
	r.regs[TRAP_REG_R10] = 17;
	r.regs[TRAP_REG_RSI] = 0x11fd8;
	r.regs[TRAP_REG_R9] = 0x80000000;
	run(4096);
	expect(0, 0x11fd8, 100, 40, TRAP_FRAG_NOT_PRESENT, 1);
	expect(1, 0x13008, 68, 64, TRAP_FRAG_CUT, 2);
	expect(2, 0x13000, 0, 0, TRAP_FRAG_WHOLE, 77);

	/* lengths that overflow what a fragment can say */
	r.regs[TRAP_REG_R10] = UINT64_MAX;
	r.regs[TRAP_REG_RSI] = 0x12000;
	run(4096);
	expect(0, 0x12000, 100, 0, TRAP_FRAG_NOT_PRESENT, 1);
	expect(1, 0x13008, UINT32_MAX, 64, TRAP_FRAG_CUT, 2);
	r.regs[TRAP_REG_R10] = 0x40000000;
	run(4096);
	expect(1, 0x13008, UINT32_MAX, 64, TRAP_FRAG_CUT, 2);
}

static void test_addresses(void)
{
	load("1 enter +0(arg0):bytes[32] +0(arg1):string[32] +0(arg2):strings[8,8] +0(arg3):iovec[1,8,8] +0(arg4):u64 "
	     "+0($4):bytes[8]");
	r.regs[TRAP_REG_RDI] = KERNEL_BASE;
	r.regs[TRAP_REG_RSI] = 1ull << 63;
	r.regs[TRAP_REG_RDX] = UINT64_MAX;
	r.regs[TRAP_REG_R10] = 0xffff800000000000ull;
	r.regs[TRAP_REG_R8] = KERNEL_BASE;
	run(4096);
	CHECK_INT(r.n, 4);
	expect(0, KERNEL_BASE, 32, 0, TRAP_FRAG_NOT_CANONICAL, 0);
	expect(1, 1ull << 63, 0, 0, TRAP_FRAG_NOT_CANONICAL, 1);
	expect(2, UINT64_MAX, 0, 0, TRAP_FRAG_NOT_CANONICAL, 2);
	expect(3, 0xffff800000000000ull, 16, 0, TRAP_FRAG_NOT_CANONICAL, 3);
	CHECK_INT(reads, 0);

	/* up to the end of the user half, not beyond */
	r.regs[TRAP_REG_RDI] = 0x7ffffffffffffff0ull;
	run(4096);
	expect(0, 0x7ffffffffffffff0ull, 32, 16, TRAP_FRAG_NOT_PRESENT, 0);
	/* NULL is read as any other address: a guest may have mapped it */
	memset(r.regs, 0, sizeof(r.regs));
	run(4096);
	CHECK_INT(r.n, 4);
	expect(0, 0, 32, 0, TRAP_FRAG_NOT_PRESENT, 0);

	load("identity +0(task):bytes[16]!kernel +0(rdi):bytes[16]!kernel +0(rsi):bytes[32]!kernel");
	r.regs[TRAP_REG_TASK] = KERNEL_BASE;
	r.regs[TRAP_REG_RDI] = 0x10000;
	r.regs[TRAP_REG_RSI] = 0xfffffffffffffff0ull;
	run(4096);
	expect(0, KERNEL_BASE, 16, 16, TRAP_FRAG_WHOLE, 0);
	expect(1, 0x10000, 16, 0, TRAP_FRAG_NOT_CANONICAL, 0);
	expect(2, 0xfffffffffffffff0ull, 32, 16, TRAP_FRAG_NOT_PRESENT, 1);
	CHECK_INT(reads_kernel, 2);
}

static void test_string(void)
{
	load("1 enter +0(arg1):string[300]");
	r.regs[TRAP_REG_RSI] = 0x10f80;
	poke(0x10f80 + 290, "", 1);
	run(4096);
	expect(0, 0x10f80, 291, 290, TRAP_FRAG_WHOLE, 1);
	CHECK_INT(reads_across, 0);

	/* empty, of the cap's length, one byte longer */
	poke(0x10f80, "", 1);
	run(4096);
	expect(0, 0x10f80, 1, 0, TRAP_FRAG_WHOLE, 1);
	memory_reset();
	poke(0x10f80 + 299, "", 1);
	run(4096);
	expect(0, 0x10f80, 300, 299, TRAP_FRAG_WHOLE, 1);
	memory_reset();
	poke(0x10f80 + 300, "", 1);
	run(4096);
	expect(0, 0x10f80, 0, 300, TRAP_FRAG_CUT, 1);
	CHECK_INT(r.x.flags, 0);

	/* up to a missing page; its last byte is the NUL; nothing there at all */
	r.regs[TRAP_REG_RSI] = 0x11f00;
	run(4096);
	expect(0, 0x11f00, 0, 256, TRAP_FRAG_NOT_PRESENT, 1);
	poke(0x11fff, "", 1);
	run(4096);
	expect(0, 0x11f00, 256, 255, TRAP_FRAG_WHOLE, 1);
	r.regs[TRAP_REG_RSI] = 0x12abc;
	run(4096);
	expect(0, 0x12abc, 0, 0, TRAP_FRAG_NOT_PRESENT, 1);

	/* every place of the end around a page's */
	for (unsigned start = 0xfe0; start <= 0xfff; start++) {
		for (unsigned len = 0; len < 64; len++) {
			memory_reset();
			r.regs[TRAP_REG_RSI] = 0x10000 + start;
			poke(0x10000 + start + len, "", 1);
			run(4096);
			expect(0, 0x10000 + start, len + 1, len, TRAP_FRAG_WHOLE, 1);
			CHECK_INT(reads_across, 0);
		}
	}
}

static void test_strings(void)
{
	load("1 enter +0(arg1):strings[16,4]");
	r.regs[TRAP_REG_RSI] = 0x13000;
	for (unsigned i = 0; i < 8; i++)
		poke_u64(0x13000 + 8 * i, 0x10000 + 0x100 * i);
	poke(0x10003, "", 1);
	poke(0x10100, "", 1);
	poke_u64(0x13010, KERNEL_BASE);
	poke_u64(0x13018, 0x11ff8);
	run(4096);
	/* four of more than four */
	CHECK_INT(r.n, 5);
	expect(0, 0x13000, 0, 32, TRAP_FRAG_CUT, 1);
	expect(1, 0x10000, 4, 3, TRAP_FRAG_WHOLE, 1);
	expect(2, 0x10100, 1, 0, TRAP_FRAG_WHOLE, 1);
	expect(3, KERNEL_BASE, 0, 0, TRAP_FRAG_NOT_CANONICAL, 1);
	expect(4, 0x11ff8, 0, 8, TRAP_FRAG_NOT_PRESENT, 1);

	/* ended by NULL, at once, too */
	poke_u64(0x13010, 0);
	run(4096);
	CHECK_INT(r.n, 3);
	expect(0, 0x13000, 24, 16, TRAP_FRAG_WHOLE, 1);
	poke_u64(0x13000, 0);
	run(4096);
	CHECK_INT(r.n, 1);
	expect(0, 0x13000, 8, 0, TRAP_FRAG_WHOLE, 1);

	/* the array itself runs into a hole, in the middle of a pointer */
	memory_reset();
	r.regs[TRAP_REG_RSI] = 0x11ff4;
	poke_u64(0x11ff4, 0x10000);
	poke(0x10003, "", 1);
	run(4096);
	CHECK_INT(r.n, 2);
	expect(0, 0x11ff4, 0, 8, TRAP_FRAG_NOT_PRESENT, 1);
	expect(1, 0x10000, 4, 3, TRAP_FRAG_WHOLE, 1);
}

static void test_iovec(void)
{
	load("1 enter +0(arg1):iovec[arg2,16,3]");
	r.regs[TRAP_REG_RSI] = 0x13000;
	r.regs[TRAP_REG_RDX] = 3;
	poke_u64(0x13000, 0x10000);
	poke_u64(0x13008, 10);
	poke_u64(0x13010, 0x10100);
	poke_u64(0x13018, UINT64_MAX);
	poke_u64(0x13020, 0x11ffc);
	poke_u64(0x13028, 8);
	run(4096);
	CHECK_INT(r.n, 4);
	expect(0, 0x13000, 48, 48, TRAP_FRAG_WHOLE, 1);
	expect(1, 0x10000, 10, 10, TRAP_FRAG_WHOLE, 1);
	expect(2, 0x10100, UINT32_MAX, 16, TRAP_FRAG_CUT, 1);
	expect(3, 0x11ffc, 8, 4, TRAP_FRAG_NOT_PRESENT, 1);

	/* more than max_items, far more, none */
	r.regs[TRAP_REG_RDX] = 4;
	run(4096);
	CHECK_INT(r.n, 4);
	expect(0, 0x13000, 64, 48, TRAP_FRAG_CUT, 1);
	r.regs[TRAP_REG_RDX] = UINT64_MAX;
	run(4096);
	expect(0, 0x13000, UINT32_MAX, 48, TRAP_FRAG_CUT, 1);
	r.regs[TRAP_REG_RDX] = 0;
	run(4096);
	CHECK_INT(r.n, 1);
	expect(0, 0x13000, 0, 0, TRAP_FRAG_WHOLE, 1);

	/* through values: a msghdr */
	load("46 enter +16(arg1):u64 +24(arg1):u32 deep1=+0($0):iovec[$1,16,3]");
	r.regs[TRAP_REG_RSI] = 0x13800;
	poke_u64(0x13810, 0x13000);
	poke_u32(0x13818, 1);
	poke_u64(0x13000, 0x10000);
	poke_u64(0x13008, 5);
	run(4096);
	CHECK_INT(r.n, 2);
	expect(0, 0x13000, 16, 16, TRAP_FRAG_WHOLE, 17);
	expect(1, 0x10000, 5, 5, TRAP_FRAG_WHOLE, 17);
	/* no value, no step */
	r.regs[TRAP_REG_RSI] = 0x12000;
	run(4096);
	CHECK_INT(r.n, 0);
	CHECK_INT(r.again, 0);
}

static void test_ptr32(void)
{
	load("i386:1 enter +0(arg0):string[16]!ptr32 +0(arg1):strings[16,4]!ptr32 +0(arg2):iovec[2,16,4]!ptr32 "
	     "+4(arg3):bytes[8]!ptr32");
	/* upper halves are garbage */
	r.regs[TRAP_REG_RBX] = 0xdead000000010000ull;
	r.regs[TRAP_REG_RCX] = 0xffffffff00013000ull;
	r.regs[TRAP_REG_RDX] = 0x13100;
	r.regs[TRAP_REG_RSI] = 0xfffffffffffffffcull; /* + 4 wraps to 0 in 32 bits */
	poke(0x10003, "", 1);
	poke_u32(0x13000, 0x10100);
	poke_u32(0x13004, 0);
	poke(0x10101, "", 1);
	poke_u32(0x13100, 0x10200);
	poke_u32(0x13104, 3);
	poke_u32(0x13108, 0xfffffff8);
	poke_u32(0x1310c, 16); /* past 4 GiB */
	run_abi(4096, TRAP_ABI_I386);
	CHECK_INT(r.n, 7);
	expect(0, 0x10000, 4, 3, TRAP_FRAG_WHOLE, 0);
	expect(1, 0x13000, 8, 4, TRAP_FRAG_WHOLE, 1);
	expect(2, 0x10100, 2, 1, TRAP_FRAG_WHOLE, 1);
	expect(3, 0x13100, 16, 16, TRAP_FRAG_WHOLE, 2);
	expect(4, 0x10200, 3, 3, TRAP_FRAG_WHOLE, 2);
	expect(5, 0xfffffff8, 16, 8, TRAP_FRAG_NOT_PRESENT, 2);
	expect(6, 0, 8, 0, TRAP_FRAG_NOT_PRESENT, 3);
}

static void test_result(void)
{
	static const struct {
		uint64_t rax;
		uint8_t abi;
		bool ok;
	} results[] = {
		{0, TRAP_ABI_X86_64, true},
		{5, TRAP_ABI_X86_64, true},
		{(uint64_t)-1, TRAP_ABI_X86_64, false},
		{(uint64_t)-4095, TRAP_ABI_X86_64, false},
		{(uint64_t)-4096, TRAP_ABI_X86_64, true},
		{0xfffffffe, TRAP_ABI_X86_64, true},
		{0xfffffffe, TRAP_ABI_I386, false},
		{(uint64_t)-2, TRAP_ABI_I386, false},
		{0xf7fff000, TRAP_ABI_I386, true},
	};

	load("0 exit +0(arg1):bytes[ret,8]!ok +0(arg2):bytes[4]");
	r.regs[TRAP_REG_RSI] = 0x10000;
	r.regs[TRAP_REG_RDX] = 0x10100;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		r.regs[TRAP_REG_RAX] = results[i].rax;
		run_abi(4096, results[i].abi);
		CHECK_INT(r.n, results[i].ok ? 2 : 1);
		CHECK_INT(r.fragment[r.n - 1].gva, 0x10100);
	}
}

static void test_quiet(void)
{
	load("1 enter +0(arg0):bytes[8]!quiet +0(arg1):string[8]!quiet +0(arg2):strings[8,2]!quiet "
	     "+0(arg3):iovec[1,8,2]!quiet +0(arg4):bytes[64]!quiet +0(arg5):string[64]!quiet");
	r.regs[TRAP_REG_RDI] = 3;
	r.regs[TRAP_REG_RSI] = KERNEL_BASE;
	r.regs[TRAP_REG_RDX] = 0x12000;
	r.regs[TRAP_REG_R10] = UINT64_MAX;
	r.regs[TRAP_REG_R8] = 0x11ff0;
	r.regs[TRAP_REG_R9] = 0x13ff0;
	poke(0x13ff0, "", 1);
	run(4096);
	CHECK_INT(r.n, 2);
	expect(0, 0x11ff0, 64, 16, TRAP_FRAG_NOT_PRESENT, 4);
	expect(1, 0x13ff0, 1, 0, TRAP_FRAG_WHOLE, 5);
}

/* With every limit, what comes out is whole fragments, the first ones, and says that it was cut. */
static void test_limit(void)
{
	uint32_t whole;

	load("1 enter +0(arg0):bytes[20] +0(arg1):string[64] +0(arg2):strings[64,4] +0(arg3):iovec[2,32,4] "
	     "+0(arg4):bytes[9]");
	r.regs[TRAP_REG_RDI] = 0x10000;
	r.regs[TRAP_REG_RSI] = 0x10100;
	r.regs[TRAP_REG_RDX] = 0x13000;
	r.regs[TRAP_REG_R10] = 0x13100;
	r.regs[TRAP_REG_R8] = 0x10000;
	poke(0x10114, "", 1);
	poke_u64(0x13000, 0x10100);
	poke_u64(0x13008, 0x10108);
	poke_u64(0x13010, 0);
	poke_u64(0x13100, 0x10200);
	poke_u64(0x13108, 24);
	poke_u64(0x13110, 0x10300);
	poke_u64(0x13118, 7);
	run(4096);
	CHECK_INT(r.n, 9);
	CHECK_INT(r.x.flags, 0);
	whole = r.x.used_bytes;
	for (uint32_t limit = 0; limit < whole + 16; limit++) {
		run(limit);
		CHECK_INT(r.x.flags, limit < whole ? TRAP_F_CUT : 0);
		CHECK_INT(r.again, 0);
		for (unsigned i = 0; i < r.n; i++) {
			uint8_t status = r.fragment[i].status;

			CHECK(status == TRAP_FRAG_WHOLE || (status == TRAP_FRAG_CUT && i == r.n - 1));
		}
		CHECK(limit < 16 || r.n >= 1);
	}
	run(whole);
	CHECK_INT(r.n, 9);

	/* a string, as the last or only step, of each cap into each room */
	for (uint32_t cap = 1; cap < 40; cap++) {
		char line[64];

		snprintf(line, sizeof(line), "1 enter +0(arg0):string[%u]", cap);
		load(line);
		r.regs[TRAP_REG_RDI] = 0x10000;
		for (uint32_t room = 0; room < 48; room += 8) {
			run(16 + room);
			expect(0, 0x10000, 0, cap < room ? cap : room, TRAP_FRAG_CUT, 0);
			CHECK_INT(r.x.flags, cap > room ? TRAP_F_CUT : 0);
		}
	}
}

static void test_diverted(void)
{
	load("1 exit +0(arg1):bytes[8] +8(rsp):u64!diverted +0(arg1):bytes[$1,16]!diverted");
	r.regs[TRAP_REG_RSI] = 0x10ff0;
	r.regs[TRAP_REG_RSP] = 0x13000;
	run(4096);
	CHECK_INT(r.n, 1);
	expect(0, 0x10ff0, 8, 8, TRAP_FRAG_WHOLE, 1);

	plan_exec_init(&r.x, r.plan, TRAP_ABI_X86_64, r.regs, read_guest, NULL, r.out, 4096);
	r.x.diverted = 1;
	plan_exec_run(&r.x, r.range);
	collect();
	CHECK_INT(r.n, 2);
	expect(1, 0x10ff0, r.fragment[1].want_bytes, 16, TRAP_FRAG_CUT, 1);
}

static void test_again(void)
{
	load("1 enter +0(arg0):string[64]!again +0(arg1):u64 +0($1):bytes[16]!again +0(arg2):bytes[16] "
	     "+0(arg3):strings[16,4]!again +0(arg4):bytes[$1,64]!again");
	r.regs[TRAP_REG_RDI] = 0x11ff8;
	r.regs[TRAP_REG_RSI] = 0x12100;
	r.regs[TRAP_REG_RDX] = 0x12200;
	r.regs[TRAP_REG_R10] = 0x13000;
	r.regs[TRAP_REG_R8] = 0x10000;
	poke_u64(0x13000, 0x12300);
	poke_u64(0x13008, 0);
	run(4096);
	CHECK_INT(r.n, 4);
	expect(0, 0x11ff8, 0, 8, TRAP_FRAG_NOT_PRESENT, 0);
	expect(1, 0x12200, 16, 0, TRAP_FRAG_NOT_PRESENT, 2);
	expect(2, 0x13000, 16, 8, TRAP_FRAG_WHOLE, 3);
	expect(3, 0x12300, 0, 0, TRAP_FRAG_NOT_PRESENT, 3);
	CHECK_INT(r.again, 0x35);

	/* still not there: nothing new is said but what could be read */
	plan_exec_init(&r.x, r.plan, 0, r.regs, read_guest, NULL, r.out, r.limit_bytes);
	plan_exec_again(&r.x, r.range, r.again);
	collect();
	CHECK_INT(r.n, 2);
	expect(0, 0x11ff8, 0, 8, TRAP_FRAG_NOT_PRESENT | TRAP_FRAG_AGAIN, 0);
	expect(1, 0x13000, 16, 8, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 3);

	/* the kernel faulted it in */
	find_page(0x12000)->present = true;
	poke(0x12008, "", 1);
	poke_u64(0x12100, 0x12400);
	poke(0x12301, "", 1);
	plan_exec_init(&r.x, r.plan, 0, r.regs, read_guest, NULL, r.out, r.limit_bytes);
	plan_exec_again(&r.x, r.range, r.again);
	collect();
	CHECK_INT(r.n, 5);
	expect(0, 0x11ff8, 17, 16, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 0);
	expect(1, 0x12400, 16, 16, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 0);
	expect(2, 0x13000, 16, 8, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 3);
	expect(3, 0x12300, 2, 1, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 3);
	expect(4, 0x10000, 0x12400, 64, TRAP_FRAG_CUT | TRAP_FRAG_AGAIN, 4);

	/* a value that only a length needs is read again, too */
	load("1 enter +0(arg0):u64 +0(arg1):bytes[$0,64]!again +0(arg2):bytes[8]!again");
	r.regs[TRAP_REG_RDI] = 0x13000;
	r.regs[TRAP_REG_RSI] = 0x12000;
	r.regs[TRAP_REG_RDX] = 0x12ffc;
	poke_u64(0x13000, 5);
	run(4096);
	CHECK_INT(r.again, 6);
	find_page(0x12000)->present = true;
	plan_exec_init(&r.x, r.plan, 0, r.regs, read_guest, NULL, r.out, r.limit_bytes);
	plan_exec_again(&r.x, r.range, r.again);
	collect();
	CHECK_INT(r.n, 2);
	expect(0, 0x12000, 5, 5, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 1);
	expect(1, 0x12ffc, 8, 8, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 2);
}

static void test_again_mask(void)
{
	load("1 enter +0(arg0):string[64]!again +0(arg1):u64 +0($1):bytes[16]!again +0(arg2):bytes[16] "
	     "+0(arg3):strings[16,4]!again +0(arg4):bytes[$1,64]!again");
	r.regs[TRAP_REG_RDI] = 0x11ff8;
	r.regs[TRAP_REG_RSI] = 0x12100;
	r.regs[TRAP_REG_RDX] = 0x12200;
	r.regs[TRAP_REG_R10] = 0x13000;
	r.regs[TRAP_REG_R8] = 0x10000;
	find_page(0x12000)->present = true;
	poke(0x12008, "", 1);
	poke_u64(0x12100, 0x12400);
	poke_u64(0x13000, 0x12300);
	poke_u64(0x13008, 0);
	poke(0x12301, "", 1);
	run(4096);
	CHECK_INT(r.again, 0);

	/* only what the mask names, and exit steps behind it without the mark */
	plan_exec_init(&r.x, r.plan, 0, r.regs, read_guest, NULL, r.out, r.limit_bytes);
	plan_exec_again(&r.x, r.range, 1);
	CHECK_INT(plan_exec_run(&r.x, r.range), 0);
	collect();
	CHECK_INT(r.n, 7);
	expect(0, 0x11ff8, 17, 16, TRAP_FRAG_WHOLE | TRAP_FRAG_AGAIN, 0);
	expect(1, 0x11ff8, 17, 16, TRAP_FRAG_WHOLE, 0);
}

/* A reader that lies about what it read does no harm. */
static int read_lies(void *ctx, __u64 gva, void *dst, __u32 len, int kernel)
{
	memset(dst, 0x41, len);
	return *(int *)ctx;
}

static void test_lies(void)
{
	static int answers[] = {-1, -2147483647 - 1, 2147483647, 1, 0};

	load("1 enter +0(arg0):string[64] +0(arg0):bytes[64] +0(arg0):strings[64,4] +0(arg0):iovec[2,32,4] "
	     "+0(arg0):u64");
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		r.limit_bytes = 600;
		free(r.out);
		r.out = malloc(r.limit_bytes);
		plan_exec_init(&r.x, r.plan, 0, r.regs, read_lies, &answers[i], r.out, r.limit_bytes);
		plan_exec_run(&r.x, r.range);
		collect();
		CHECK_INT(r.fragment[0].len_bytes, answers[i] <= 0 ? 0 : answers[i] == 1 ? 1 : 64);
	}
}

static void test_filters(void)
{
	struct plan_error error;
	size_t size;
	void *plan;

	CHECK_INT(
		plan_parse(
			"vmtape-plan 1\nkernel-cr3 0xffffffffffffe7ff 0\ncr3 0x4000 0x2000 0xffffffffff000\n3 record\n"
			"i386:3 record\n7 record\nx32:1 record\n",
			NULL, &plan, &size, &error),
		0);
	/* PCID, PTI's bit and NOFLUSH do not tell address spaces apart */
	CHECK(plan_wants_cr3(plan, 0x2000));
	CHECK(plan_wants_cr3(plan, 0x8000000000003805ull));
	CHECK(plan_wants_cr3(plan, 0x4fff));
	CHECK(!plan_wants_cr3(plan, 0x6000));
	CHECK(!plan_wants_cr3(plan, 0));
	CHECK(plan_find_call(plan, TRAP_ABI_X86_64, 3) && plan_find_call(plan, TRAP_ABI_X86_64, 7));
	CHECK(plan_find_call(plan, TRAP_ABI_I386, 3) && plan_find_call(plan, TRAP_ABI_X32, 1));
	CHECK(!plan_find_call(plan, TRAP_ABI_I386, 7) && !plan_find_call(plan, TRAP_ABI_X86_64, 1));
	free(plan);
	CHECK_INT(plan_generic(1, &plan, &size), 0);
	CHECK(plan_wants_cr3(plan, 0x123456000));
	CHECK(!plan_find_call(plan, TRAP_ABI_X86_64, 0));
	free(plan);
}

int main(void)
{
	test_bytes();
	test_addresses();
	test_string();
	test_strings();
	test_iovec();
	test_ptr32();
	test_result();
	test_quiet();
	test_limit();
	test_diverted();
	test_again();
	test_again_mask();
	test_lies();
	test_filters();
	free(r.plan);
	free(r.out);
	return 0;
}
