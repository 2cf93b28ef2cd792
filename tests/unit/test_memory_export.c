/* SPDX-License-Identifier: MIT */
/*
 * test_memory_export.c - memory of a tape as core, raw image and LiME: each byte is the snapshot's, what is not on
 * the tape is zeros and is named, a damaged or hostile tape gives what is sound or is refused.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "memory_image.h"
#include "tape_fixture.h"
#include "vcpu_state.h"

#define LOW_PAGES  300u
#define HIGH_GPA   0x4000000ull
#define HIGH_PAGES 40u
#define NR_VCPUS   2u
#define ABSENT     UINT64_MAX

static char folder[] = "/tmp/vmtape-memory.XXXXXX";

static char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* Number of the page's content: some are zero, some are not there. */
static uint64_t content_of(uint64_t page)
{
	if (page % 50 == 7 || page == 8)
		return ABSENT;
	return page % 3 ? page : 0;
}

static const struct tape_ram_range good_ranges[] = {{0, LOW_PAGES * 4096}, {HIGH_GPA, HIGH_PAGES * 4096 - 100}};

static void make_tape(struct fixture_file *file, const struct tape_snapshot_info *change)
{
	struct tape_writer *writer = fixture_writer(file, 256u << 10);
	uint64_t regs[NR_VCPUS * VCPU_REGS];
	struct tape_snapshot_info info = {.id = 1,
					  .tsc = 1000,
					  .realtime_ns = 1700000000000000000ull,
					  .nr_vcpus = NR_VCPUS,
					  .nr_regs = VCPU_REGS,
					  .vcpu_regs = regs,
					  .nr_ranges = 2,
					  .ranges = good_ranges,
					  .base = true};
	struct tape_pages *pages;
	uint8_t bytes[TAPE_PAGE_BYTES];

	for (unsigned i = 0; i < NR_VCPUS * VCPU_REGS; i++)
		regs[i] = 0x1000 + i;
	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	for (uint64_t i = 0; i < LOW_PAGES + HIGH_PAGES; i++) {
		if (content_of(i) == ABSENT)
			continue;
		fixture_page(bytes, content_of(i));
		CHECK_INT(tape_pages_add(pages, i < LOW_PAGES ? i : HIGH_GPA / 4096 + i - LOW_PAGES, bytes, NULL), 0);
	}
	if (change) {
		info.ranges = change->ranges;
		info.nr_ranges = change->nr_ranges;
		info.nr_vcpus = change->nr_vcpus;
		info.nr_regs = change->nr_regs;
	}
	CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){.snapshots = 1}, NULL), 0);
	tape_writer_destroy(writer);
}

static uint8_t *slurp(const char *path, size_t *size_bytes)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	uint8_t *bytes;

	CHECK(file && !fstat(fileno(file), &status));
	*size_bytes = (size_t)status.st_size;
	bytes = malloc(*size_bytes + 1);
	CHECK(bytes && fread(bytes, 1, *size_bytes, file) == *size_bytes);
	fclose(file);
	return bytes;
}

/* Bytes of a range as they must be. */
static bool range_is_right(const uint8_t *at, size_t range)
{
	uint64_t first = range ? LOW_PAGES : 0, left = good_ranges[range].size_bytes;
	uint8_t page[TAPE_PAGE_BYTES];

	for (uint64_t i = first; left; i++) {
		size_t n = left < sizeof(page) ? (size_t)left : sizeof(page);

		fixture_page(page, content_of(i) == ABSENT ? 0 : content_of(i));
		if (memcmp(at, page, n))
			return false;
		at += n;
		left -= n;
	}
	return true;
}

typedef struct vmtape_error *(*export_fn)(const struct memory_export *job);

static struct vmtape_error *export(const struct fixture_file *file, export_fn form, const char *path,
				   struct memory_image *image)
{
	static const char text[] = "OSRELEASE=test\n";
	struct memory_export job = {.image = image,
				    .vmcoreinfo = text,
				    .vmcoreinfo_bytes = sizeof(text) - 1,
				    .direct_map = GVA(0xffff888000000000ull),
				    .kernel_gva = GVA(0xffffffff81000000ull),
				    .kernel = {GPA(0x10000), 0x20000}};
	struct session *session;
	struct vmtape_error *error = session_open_memory(&session, file->bytes, file->size_bytes, NULL);

	if (error)
		return error;
	error = memory_image_init(image, session, 0);
	if (!error)
		error = out_file_create(&job.file, path, true);
	if (!error)
		error = form(&job);
	if (!error)
		error = out_file_finish(job.file);
	out_file_destroy(job.file);
	session_close(session);
	return error;
}

static void check_missing(const struct memory_image *image)
{
	uint64_t absent = 0;

	for (uint64_t i = 0; i < LOW_PAGES + HIGH_PAGES; i++)
		absent += content_of(i) == ABSENT;
	CHECK_INT(image->nr_pages, LOW_PAGES + HIGH_PAGES);
	CHECK_INT(image->nr_not_recorded, absent);
	CHECK_INT(image->nr_damaged, 0);
	CHECK_INT(image->nr_missing_runs, absent - 1);
	CHECK_INT(image->missing[0].start.v, 7 * 4096);
	CHECK_INT(image->missing[0].nr_pages, 2);
	CHECK_INT(image->missing[1].start.v, 57 * 4096);
	CHECK_INT(image->missing[1].nr_pages, 1);
}

static void test_raw_and_lime(const struct fixture_file *file)
{
	struct memory_image image;
	size_t size_bytes;
	struct stat status;
	uint8_t *bytes;
	char *path = path_of("raw");

	CHECK(!export(file, memory_export_raw, path, &image));
	check_missing(&image);
	memory_image_deinit(&image);
	bytes = slurp(path, &size_bytes);
	CHECK_INT(size_bytes, HIGH_GPA + good_ranges[1].size_bytes);
	CHECK(range_is_right(bytes, 0) && range_is_right(bytes + HIGH_GPA, 1));
	free(bytes);
	CHECK(!stat(path, &status) && status.st_blocks * 512 < (1 << 23));
	CHECK_INT(status.st_mode & 0777, 0600);
	unlink(path);

	path = path_of("lime");
	CHECK(!export(file, memory_export_lime, path, &image));
	check_missing(&image);
	memory_image_deinit(&image);
	bytes = slurp(path, &size_bytes);
	CHECK_INT(size_bytes, 64 + good_ranges[0].size_bytes + good_ranges[1].size_bytes);
	CHECK(range_is_right(bytes + 32, 0) && range_is_right(bytes + 64 + good_ranges[0].size_bytes, 1));
	CHECK_INT(get_le32(bytes + 32 + good_ranges[0].size_bytes), 0x4c694d45);
	CHECK_INT(get_le64(bytes + 32 + good_ranges[0].size_bytes + 8), HIGH_GPA);
	CHECK_INT(get_le64(bytes + 32 + good_ranges[0].size_bytes + 16), HIGH_GPA + good_ranges[1].size_bytes - 1);
	free(bytes);
	unlink(path);
}

static void test_core(const struct fixture_file *file)
{
	static const unsigned loads_of[] = {0, 0, 1};
	struct memory_image image;
	const uint8_t *note, *notes_end;
	unsigned nr_status = 0, nr_qemu = 0, nr_info = 0;
	char *path = path_of("core");
	size_t size_bytes;
	uint8_t *bytes;

	CHECK(!export(file, memory_export_elf, path, &image));
	check_missing(&image);
	memory_image_deinit(&image);
	bytes = slurp(path, &size_bytes);
	CHECK(!memcmp(bytes, ELFMAG, SELFMAG));
	CHECK_INT(get_le16(bytes + 56), 4);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *head = bytes + 64 + 56 * (i + 1);
		uint64_t at = get_le64(head + 8), gpa = get_le64(head + 24), length = get_le64(head + 32);

		CHECK_INT(get_le32(head), PT_LOAD);
		CHECK(at <= size_bytes && length <= size_bytes - at);
		if (!i) {
			const uint8_t *low = bytes + get_le64(head + 56 + 8);

			CHECK_INT(get_le64(head + 16), 0xffffffff81000000ull);
			CHECK_INT(gpa, 0x10000);
			CHECK_INT(length, 0x20000);
			CHECK(bytes + at == low + gpa);
			continue;
		}
		CHECK_INT(gpa, good_ranges[loads_of[i]].gpa);
		CHECK_INT(length, good_ranges[loads_of[i]].size_bytes);
		CHECK_INT(get_le64(head + 16), 0xffff888000000000ull + gpa);
		CHECK(range_is_right(bytes + at, loads_of[i]));
	}
	note = bytes + get_le64(bytes + 64 + 8);
	notes_end = note + get_le64(bytes + 64 + 32);
	while (note < notes_end) {
		uint32_t name_bytes = get_le32(note), desc_bytes = get_le32(note + 4);
		const char *name = (const char *)note + 12;
		const uint8_t *desc = note + 12 + (name_bytes + 3) / 4 * 4;

		if (!strcmp(name, "CORE")) {
			CHECK_INT(desc_bytes, 336);
			CHECK_INT(get_le32(desc + 32), nr_status + 1);
			/* R15 comes first, RIP is the 17th, GS the last. */
			CHECK_INT(get_le64(desc + 112), 0x1000 + nr_status * VCPU_REGS + TRAP_REG_R15);
			CHECK_INT(get_le64(desc + 112 + 16 * 8), 0x1000 + nr_status * VCPU_REGS + TRAP_REG_RIP);
			CHECK_INT(get_le64(desc + 112 + 26 * 8), 0x1000 + nr_status * VCPU_REGS + VCPU_GS_SELECTOR);
			nr_status++;
		} else if (!strcmp(name, "QEMU")) {
			CHECK_INT(desc_bytes, 440);
			CHECK_INT(get_le64(desc + 416), 0x1000 + nr_qemu * VCPU_REGS + TRAP_REG_CR3);
			nr_qemu++;
		} else {
			CHECK(!strcmp(name, "VMCOREINFO") && !memcmp(desc, "OSRELEASE=test\n", desc_bytes));
			nr_info++;
		}
		note = desc + (desc_bytes + 3) / 4 * 4;
	}
	CHECK(note == notes_end);
	CHECK_INT(nr_status, NR_VCPUS);
	CHECK_INT(nr_qemu, NR_VCPUS);
	CHECK_INT(nr_info, 1);
	free(bytes);
	unlink(path);
}

static void refuse(const struct tape_ram_range *ranges, uint32_t nr_ranges)
{
	struct tape_snapshot_info change = {.ranges = ranges, .nr_ranges = nr_ranges};
	struct fixture_file file = {0};
	struct memory_image image;
	struct vmtape_error *error;
	struct stat status;

	make_tape(&file, &change);
	error = export(&file, memory_export_elf, path_of("refused"), &image);
	CHECK(error != NULL);
	vmtape_error_destroy(error);
	memory_image_deinit(&image);
	CHECK(stat(path_of("refused"), &status) && errno == ENOENT);
	fixture_file_deinit(&file);
}

static void test_hostile(void)
{
	static const struct tape_ram_range overlap[] = {{0, 8192}, {4096, 4096}}, falling[] = {{8192, 4096}, {0, 4096}};
	static const struct tape_ram_range beyond[] = {{(1ull << 52) - 4096, 8192}}, crooked[] = {{5, 4096}};
	struct tape_snapshot_info many = {.ranges = good_ranges, .nr_ranges = 2, .nr_vcpus = UINT32_MAX};
	struct fixture_file file = {0};
	struct memory_image image;

	refuse(overlap, 2);
	refuse(falling, 2);
	refuse(beyond, 1);
	refuse(crooked, 1);
	refuse(NULL, 0);

	make_tape(&file, &many); /* four billion vCPUs without a register */
	CHECK(!export(&file, memory_export_elf, path_of("many"), &image));
	CHECK_INT(image.nr_vcpus, 0);
	memory_image_deinit(&image);
	unlink(path_of("many"));
	fixture_file_deinit(&file);
}

/* Whatever byte is damaged: a page is right, or zeros that are counted. */
static void test_damage(const struct fixture_file *file)
{
	uint64_t random = 5, damaged = 0;

	for (unsigned round = 0; round < 60; round++) {
		struct fixture_file copy = {.size_bytes = file->size_bytes};
		struct memory_image image = {0};
		struct vmtape_error *error;
		char *path = path_of("damaged");
		size_t size_bytes;

		copy.bytes = malloc(file->size_bytes);
		CHECK(copy.bytes != NULL);
		memcpy(copy.bytes, file->bytes, file->size_bytes);
		copy.bytes[600 + fixture_random(&random) % (file->size_bytes - 600)] ^= 0x10;
		error = export(&copy, memory_export_lime, path, &image);
		if (!error) {
			uint8_t *bytes = slurp(path, &size_bytes), page[TAPE_PAGE_BYTES];
			uint64_t wrong = 0;

			for (uint64_t i = 0; i < LOW_PAGES; i++) {
				fixture_page(page, content_of(i) == ABSENT ? 0 : content_of(i));
				if (memcmp(bytes + 32 + i * 4096, page, 4096)) {
					wrong++;
					fixture_page(page, 0);
					CHECK(!memcmp(bytes + 32 + i * 4096, page, 4096));
				}
			}
			CHECK(wrong <= image.nr_damaged + image.nr_not_recorded);
			damaged += image.nr_damaged > 0;
			free(bytes);
			unlink(path);
		}
		vmtape_error_destroy(error);
		memory_image_deinit(&image);
		free(copy.bytes);
	}
	CHECK(damaged > 10);
}

static void test_out_file(void)
{
	char *path = path_of("out");
	struct out_file *file;
	struct vmtape_error *error;
	struct stat status;
	size_t size_bytes;
	uint8_t *bytes;

	CHECK(!out_file_create(&file, path, false));
	CHECK(!out_file_write(file, "abc", 3));
	CHECK(stat(path, &status) != 0);
	out_file_destroy(file); /* not finished: nothing is there */
	CHECK(stat(path, &status) != 0);

	CHECK(!out_file_create(&file, path, false));
	CHECK(!out_file_write(file, "abc", 3) && !out_file_zeros(file, 5) && !out_file_zeros(file, 100000));
	CHECK(!out_file_write(file, "def", 3) && !out_file_zeros(file, 8192));
	CHECK(!out_file_finish(file));
	out_file_destroy(file);
	bytes = slurp(path, &size_bytes);
	CHECK_INT(size_bytes, 3 + 5 + 100000 + 3 + 8192);
	CHECK(!memcmp(bytes, "abc\0\0", 5) && !memcmp(bytes + 100008, "def\0", 4) && !bytes[50000]);
	free(bytes);

	error = out_file_create(&file, path, false);
	CHECK(error && strstr(error->message, "--force"));
	vmtape_error_destroy(error);
	CHECK(!out_file_create(&file, path, true) && !out_file_write(file, "new", 3) && !out_file_finish(file));
	out_file_destroy(file);
	bytes = slurp(path, &size_bytes);
	CHECK(size_bytes == 3 && !memcmp(bytes, "new", 3));
	free(bytes);
	error = out_file_create(&file, folder, true);
	CHECK(error != NULL);
	vmtape_error_destroy(error);
	/* Somebody else was quicker. */
	unlink(path);
	CHECK(!out_file_create(&file, path, false) && !out_file_write(file, "mine", 4));
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	error = out_file_finish(file);
	CHECK(error && strstr(error->message, "it exists"));
	vmtape_error_destroy(error);
	out_file_destroy(file);
	unlink(path);
	CHECK(!out_file_create(&file, "/dev/null", false) && !out_file_zeros(file, 1 << 20) && !out_file_finish(file));
	CHECK_INT(out_file_fd(file), -1);
	out_file_destroy(file);
}

int main(void)
{
	struct fixture_file file = {0};

	CHECK(mkdtemp(folder) != NULL);
	make_tape(&file, NULL);
	test_out_file();
	test_raw_and_lime(&file);
	test_core(&file);
	test_hostile();
	test_damage(&file);
	fixture_file_deinit(&file);
	CHECK(!rmdir(folder));
	return 0;
}
