/* SPDX-License-Identifier: MIT */
#include "guest_tape.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "call_fixture.h"
#include "check.h"
#include "linux_guest_fixture.h"
#include "tape_fixture.h"

#define NR_READ   0
#define NR_STAT   4
#define NR_OPENAT 257
#define PRESENT   7 /* and writable, and for user mode */

static void put_entry(struct linux_guest_fixture *guest, uint64_t table, unsigned index, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		guest->ram[table + 8 * index + i] = (uint8_t)(value >> 8 * i);
}

static void put_user_memory(struct linux_guest_fixture *guest)
{
	uint64_t tables = GUEST_TAPE_PAGE + 0x10000;

	put_entry(guest, FIXTURE_PGD_GPA, GUEST_TAPE_PATH >> 39 & 511, tables | PRESENT);
	put_entry(guest, tables, GUEST_TAPE_PATH >> 30 & 511, (tables + 0x1000) | PRESENT);
	put_entry(guest, tables + 0x1000, GUEST_TAPE_PATH >> 21 & 511, (tables + 0x2000) | PRESENT);
	put_entry(guest, tables + 0x2000, GUEST_TAPE_PATH >> 12 & 511, GUEST_TAPE_PAGE | PRESENT);
	strcpy((char *)guest->ram + GUEST_TAPE_PAGE, "/etc/passwd");
	strcpy((char *)guest->ram + GUEST_TAPE_PAGE + 0x100, "before the read");
}

static void put_snapshot(struct tape_writer *writer, struct linux_guest_fixture *guest)
{
	struct tape_ram_range range = {0, FIXTURE_RAM_BYTES};
	struct tape_snapshot_info info = {
		.tsc = GUEST_TAPE_TSC,
		.realtime_ns = FIXTURE_TIME_NS + GUEST_TAPE_TSC,
		.base = true,
		.vcpu_regs = guest->regs,
		.nr_vcpus = 1,
		.nr_regs = VCPU_REGS,
		.ranges = &range,
		.nr_ranges = 1,
	};
	struct tape_pages *pages;

	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	for (uint64_t gfn = 0; gfn < FIXTURE_RAM_BYTES / TAPE_PAGE_BYTES; gfn++)
		CHECK_INT(tape_pages_add(pages, gfn, guest->ram + gfn * TAPE_PAGE_BYTES, NULL), 0);
	CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
	tape_pages_destroy(pages);
}

static void add(struct byte_buffer *out, const struct fixture_record *record)
{
	struct trap_view view = fixture_view(record);

	byte_buffer_add(out, view.raw, view.header.size_bytes);
}

static struct fixture_fragment text_at(uint64_t gva, uint8_t label, const char *text)
{
	uint16_t length = (uint16_t)strlen(text);

	return (struct fixture_fragment){
		.label = label, .gva = gva, .bytes = text, .len_bytes = length, .want_bytes = length + 1u};
}

static struct fixture_record of_app(const struct linux_guest_fixture *guest, struct fixture_record r)
{
	r.task = r.tid == 100 ? guest->leader : guest->thread;
	r.cr3 = FIXTURE_PGD_GPA;
	return r;
}

static void put_calls(struct tape_writer *writer, const struct linux_guest_fixture *guest)
{
	static const char name[16] = "cat";
	struct byte_buffer out = {0};
	struct fixture_record r = of_app(guest, fixture_enter(2000, 100, 100, NR_OPENAT));

	r.args[0] = (uint32_t)AT_FDCWD;
	r.args[1] = GUEST_TAPE_PATH;
	r.fragments[r.nr_fragments++] = text_at(GUEST_TAPE_PATH, PLAN_LABEL_ARG0 + 1, "/etc/passwd");
	add(&out, &r);
	r = of_app(guest, fixture_exit(3000, 100, 100, NR_OPENAT, 3));
	add(&out, &r);

	r = of_app(guest, fixture_enter(4000, 100, 100, NR_READ));
	r.args[0] = 3;
	r.args[1] = GUEST_TAPE_BUFFER;
	r.args[2] = 4096;
	add(&out, &r);
	r = of_app(guest, fixture_exit(5000, 100, 100, NR_READ, 8));
	r.fragments[r.nr_fragments++] = (struct fixture_fragment){
		.label = PLAN_LABEL_ARG0 + 1, .gva = GUEST_TAPE_BUFFER, .bytes = "root:x:0", .len_bytes = 8};
	add(&out, &r);

	r = of_app(guest, fixture_enter(6000, 100, 101, NR_STAT));
	r.args[0] = GUEST_TAPE_NEXT;
	r.fragments[r.nr_fragments++] = text_at(GUEST_TAPE_NEXT, PLAN_LABEL_ARG0, "/nothing");
	add(&out, &r);
	r = of_app(guest, fixture_exit(7000, 100, 101, NR_STAT, -2));
	add(&out, &r);

	r = fixture_enter(8000, 200, 200, 0);
	r.type = TRAP_IDENTITY;
	r.fragments[r.nr_fragments++] =
		(struct fixture_fragment){.label = PLAN_LABEL_COMM, .bytes = name, .len_bytes = sizeof(name)};
	add(&out, &r);
	r = fixture_enter(8100, 200, 200, NR_OPENAT);
	r.args[0] = (uint32_t)AT_FDCWD;
	r.args[1] = 0x7ffc00001000ull;
	r.fragments[r.nr_fragments++] = text_at(r.args[1], PLAN_LABEL_ARG0 + 1, "/etc/shadow");
	add(&out, &r);
	r = fixture_exit(8200, 200, 200, NR_OPENAT, -13);
	add(&out, &r);
	r = fixture_enter(8300, 200, 200, 999);
	add(&out, &r);
	r = fixture_exit(8400, 200, 200, 999, -38);
	add(&out, &r);

	r = of_app(guest, fixture_enter(9000, 100, 100, NR_READ));
	r.args[0] = 3;
	r.args[1] = GUEST_TAPE_BUFFER;
	r.args[2] = 4096;
	add(&out, &r);
	fixture_append_traps(writer, 0, &out);
	byte_buffer_deinit(&out);
}

void guest_tape_write(const char *path)
{
	struct linux_guest_fixture guest = {.levels = 4};
	struct fixture_file file = {0};
	struct tape_writer *writer = fixture_writer(&file, 1u << 20);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	linux_guest_fixture_build(&guest);
	put_user_memory(&guest);
	fixture_append_meta(writer, "tsc_hz=1000000000\nvm_name=fixture\n");
	put_snapshot(writer, &guest);
	put_calls(writer, &guest);
	CHECK_INT(tape_writer_finish(writer, "stopped", &(struct tape_totals){12, 0, 1}, NULL), 0);
	tape_writer_destroy(writer);
	CHECK_INT(write(fd, file.bytes, file.size_bytes), file.size_bytes);
	CHECK_INT(close(fd), 0);
	fixture_file_deinit(&file);
	linux_guest_fixture_deinit(&guest);
}
