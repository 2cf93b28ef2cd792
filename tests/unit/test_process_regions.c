/* SPDX-License-Identifier: MIT */
/* test_process_regions.c - memory regions: mapped over others, cut, protected, moved, and the heap. */
#include "check.h"
#include "process_maps.h"
#include "strbuf.h"

static struct process_maps m;

/* "10-20 rw- /f+0, …" in pages. */
static const char *text(void)
{
	static struct strbuf out;

	strbuf_reset(&out);
	strbuf_put(&out, "");
	for (size_t i = 0; i < m.count; i++) {
		const struct map_region *r = &m.regions[i];

		CHECK(r->start < r->end && (!i || m.regions[i - 1].end <= r->start));
		strbuf_printf(&out, "%s%" PRIx64 "-%" PRIx64 " %d", i ? ", " : "", r->start >> 12, r->end >> 12,
			      r->permissions);
		if (r->file)
			strbuf_printf(&out, " %s+%" PRIx64, r->file, r->offset_bytes >> 12);
		if (r->what[0])
			strbuf_printf(&out, " %s", r->what);
	}
	return out.data ? out.data : "";
}

static void map(uint64_t start, uint64_t end, uint8_t permissions, const char *file)
{
	struct map_region region = {
		.start = start << 12, .end = end << 12, .permissions = permissions, .file = (char *)file};

	CHECK(process_maps_map(&m, &region));
}

static void test_cut(void)
{
	map(0x10, 0x20, 3, NULL);
	map(0x30, 0x40, 1, "/f");
	CHECK_STR(text(), "10-20 3, 30-40 1 /f+0");
	CHECK(process_maps_unmap(&m, 0x34000, 0x36000));
	CHECK_STR(text(), "10-20 3, 30-34 1 /f+0, 36-40 1 /f+6");
	map(0x18, 0x32, 5, "/g");
	CHECK_STR(text(), "10-18 3, 18-32 5 /g+0, 32-34 1 /f+2, 36-40 1 /f+6");
	CHECK(process_maps_protect(&m, 0x31000, 0x37000, 7));
	CHECK_STR(text(), "10-18 3, 18-31 5 /g+0, 31-32 7 /g+19, 32-34 7 /f+2, 36-37 7 /f+6, 37-40 1 /f+7");
	CHECK(process_maps_unmap(&m, 0, UINT64_MAX));
	CHECK_STR(text(), "");
	CHECK(process_maps_unmap(&m, 0x5000, 0x5000) && process_maps_unmap(&m, 0x6000, 0x5000));
	process_maps_deinit(&m);
}

static void test_move(void)
{
	map(0x10, 0x20, 3, "/f");
	CHECK(process_maps_move(&m, 0x14000, 0x4000, 0x50000, 0x6000, false));
	CHECK_STR(text(), "10-14 3 /f+0, 18-20 3 /f+8, 50-56 3 /f+4");
	CHECK(process_maps_move(&m, 0x50000, 0x6000, 0x50000, 0x2000, false));
	CHECK_STR(text(), "10-14 3 /f+0, 18-20 3 /f+8, 50-52 3 /f+4");
	CHECK(!m.uncertain);
	/* of what nothing is known */
	CHECK(process_maps_move(&m, 0x90000, 0x1000, 0xa0000, 0x1000, false));
	CHECK(m.uncertain);
	CHECK(process_maps_move(&m, UINT64_MAX - 10, UINT64_MAX, UINT64_MAX - 5000, UINT64_MAX, false));
	process_maps_deinit(&m);
}

static void test_heap(void)
{
	/* not known where it began */
	CHECK(process_maps_set_brk(&m, 0x20000));
	CHECK_STR(text(), "");
	CHECK(process_maps_set_brk(&m, 0x21001));
	CHECK_STR(text(), "20-22 3 [heap]");
	CHECK(process_maps_set_brk(&m, 0x24000));
	CHECK_STR(text(), "20-24 3 [heap]");
	CHECK(process_maps_set_brk(&m, 0x21000));
	CHECK_STR(text(), "20-21 3 [heap]");
	process_maps_deinit(&m);
}

int main(void)
{
	test_cut();
	test_move();
	test_heap();
	return 0;
}
