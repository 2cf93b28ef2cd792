/* SPDX-License-Identifier: MIT */
/*
 * test_tape_copy.c - what vmtape cut and merge write: a tape that verify finds sound, with the records and the pages
 * of its origin; damage is left out, never filled with older contents; tapes that do not follow one another are
 * refused.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "tape_copy.h"
#include "tape_fixture.h"

#define NR_PAGES     600u
#define NR_SNAPSHOTS 6u
#define NR_CALLS     3000u /* on each of two vCPUs, one a TSC tick */

static char folder[] = "/tmp/vmtape-copy.XXXXXX";

/* Page contents of snapshot s: each third changes with each. */
static uint64_t content_at(unsigned page, unsigned snapshot)
{
	return page % 3 == 0 ? 1 + page + snapshot * 1000 : page % 7 == 0 ? 0 : page;
}

/* Snapshots and records [first, last) of six parts of time, 500 ticks each. */
static void make_tape(struct fixture_file *file, unsigned first, unsigned last, const char *meta)
{
	struct tape_writer *writer = fixture_writer(file, 256u << 10);
	struct tape_ram_range range = {0, NR_PAGES * 4096};
	struct byte_buffer records = {0};
	uint8_t page[TAPE_PAGE_BYTES];
	struct tape_pages *pages;

	fixture_append_meta(writer, meta);
	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	for (unsigned s = first; s < last; s++) {
		struct tape_snapshot_info info = {.id = s,
						  .tsc = 1000 + s * 500,
						  .realtime_ns = 1700000000000000000ull + s * 500000ull,
						  .nr_ranges = 1,
						  .ranges = &range,
						  .base = s == first};

		for (unsigned i = 0; i < NR_PAGES; i++) {
			if (s != first && i % 3)
				continue;
			fixture_page(page, content_at(i, s));
			CHECK_INT(tape_pages_add(pages, i, page, NULL), 0);
		}
		CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
		for (uint16_t vcpu = 0; vcpu < 2; vcpu++) {
			for (unsigned i = s * 500; i < s * 500 + 500; i++) {
				struct fixture_call call = {.type = i % 2 ? TRAP_EXIT : TRAP_ENTER,
							    .vcpu = vcpu,
							    .seq = i,
							    .tsc = 1000 + i,
							    .nr = i % 20,
							    .cr3 = 0x1000};

				fixture_add_call(&records, &call);
			}
			fixture_append_traps(writer, vcpu, &records);
		}
	}
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done",
				     &(struct tape_totals){.records = (last - first) * 1000, .snapshots = last - first},
				     NULL),
		  0);
	tape_writer_destroy(writer);
	byte_buffer_deinit(&records);
}

struct part {
	const struct fixture_file *file;
	struct tape_copy_part what;
};

static struct vmtape_error *copy(const char *path, const struct part *parts, unsigned nr_parts,
				 struct tape_copy_stats *stats)
{
	struct out_file *file;
	struct tape_copy *out;
	struct vmtape_error *error = out_file_create(&file, path, true);

	CHECK(!error);
	CHECK(!tape_copy_create(&out, file));
	for (unsigned i = 0; i < nr_parts && !error; i++) {
		struct session *session;

		CHECK(!session_open_memory(&session, parts[i].file->bytes, parts[i].file->size_bytes, NULL));
		error = tape_copy_metas(out, session, !i);
		if (!error)
			error = tape_copy_plans(out, session);
		if (!error)
			error = tape_copy_part(out, session, &parts[i].what);
		session_close(session);
	}
	tape_copy_get_stats(out, stats);
	if (!error)
		error = tape_copy_finish(out, "copied");
	if (!error)
		error = out_file_finish(file);
	tape_copy_destroy(out);
	out_file_destroy(file);
	return error;
}

/* Sound, with records [first, last) of both vCPUs, and pages of snapshots first_snapshot to last_snapshot. */
static void check_tape(const char *path, unsigned first, unsigned last, unsigned first_snapshot, unsigned nr_snapshots)
{
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	struct tape_cursor *cursor;
	struct trap_view view;
	uint8_t page[TAPE_PAGE_BYTES], want[TAPE_PAGE_BYTES];
	unsigned next[2] = {first, first};

	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	CHECK(tape_reader_info(reader)->finished);
	CHECK_INT(tape_reader_info(reader)->totals.records, 2 * (last - first));
	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	while (tape_cursor_next(cursor, &view, NULL) > 0) {
		CHECK_INT(view.header.seq, next[view.header.vcpu]);
		CHECK_INT(view.header.tsc, 1000 + next[view.header.vcpu]);
		next[view.header.vcpu]++;
	}
	CHECK(next[0] == last && next[1] == last);
	tape_cursor_destroy(cursor);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, nr_snapshots);
	for (unsigned s = 0; s < nr_snapshots; s++) {
		CHECK_INT(tape_reader_snapshot(reader, s)->info.id, first_snapshot + s);
		for (unsigned i = 0; i < NR_PAGES; i++) {
			fixture_page(want, content_at(i, first_snapshot + s));
			CHECK_INT(tape_reader_page(reader, s, i, page, NULL), 0);
			CHECK(!memcmp(page, want, sizeof(page)));
		}
	}
	tape_reader_close(reader);
}

static struct tape_copy_part whole(unsigned nr_snapshots, bool continues)
{
	return (struct tape_copy_part){
		.to_tsc = UINT64_MAX, .last_snapshot = (int64_t)nr_snapshots - 1, .continues = continues};
}

static void test_cut(const struct fixture_file *file, const char *path)
{
	struct tape_copy_stats stats;
	struct part part = {file, {.from_tsc = 2000, .to_tsc = 3200, .first_snapshot = 2, .last_snapshot = 4}};

	CHECK(!copy(path, &part, 1, &stats));
	CHECK_INT(stats.missing_records + stats.missing_pages, 0);
	check_tape(path, 1000, 2200, 2, 3);
	part.what = whole(NR_SNAPSHOTS, false);
	CHECK(!copy(path, &part, 1, &stats));
	check_tape(path, 0, NR_CALLS, 0, NR_SNAPSHOTS);
}

static void test_merge(const char *path)
{
	struct fixture_file a = {0}, b = {0}, c = {0};
	struct tape_copy_stats stats;
	struct vmtape_error *error;
	struct part parts[3] = {{&a, whole(2, false)}, {&b, whole(2, true)}, {&c, whole(2, true)}};
	const char *value = NULL, *key;
	struct tape_reader *reader;
	bool continues = false;

	make_tape(&a, 0, 2, "vm_name=guest\ncontinues=before\n");
	make_tape(&b, 2, 4, "vm_name=guest\ncontinues=a\nnote=middle\n");
	make_tape(&c, 4, 6, "vm_name=guest\ncontinues=b\n");
	CHECK(!copy(path, parts, 3, &stats));
	check_tape(path, 0, NR_CALLS, 0, NR_SNAPSHOTS);
	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	CHECK_STR(tape_reader_meta(reader, "continues"), "before");
	CHECK_STR(tape_reader_meta(reader, "note"), "middle");
	for (size_t i = 0; (key = tape_reader_meta_line(reader, i, &value)); i++)
		continues = continues || !strcmp(value, "a");
	CHECK(!continues);
	tape_reader_close(reader);
	unlink(path);

	/* A part is missing, or they are in another order: nothing is left. */
	parts[1] = parts[2];
	error = copy(path, parts, 2, &stats);
	CHECK(error && strstr(error->message, "a part is missing"));
	vmtape_error_destroy(error);
	parts[0].file = &b;
	parts[1].file = &a;
	error = copy(path, parts, 2, &stats);
	CHECK(error && strstr(error->message, "not in order"));
	vmtape_error_destroy(error);
	CHECK(access(path, F_OK) != 0);
	fixture_file_deinit(&a);
	fixture_file_deinit(&b);
	fixture_file_deinit(&c);
}

/* Any byte of the origin: what the copy has is right. */
static void test_damage(const struct fixture_file *file, const char *path)
{
	struct part part = {.what = whole(NR_SNAPSHOTS, false)};
	uint64_t random = 3, missing = 0;

	for (unsigned round = 0; round < 40; round++) {
		struct fixture_file damaged = {.size_bytes = file->size_bytes, .bytes = malloc(file->size_bytes)};
		struct tape_copy_stats stats;
		struct tape_reader *reader, *origin;
		uint8_t page[TAPE_PAGE_BYTES], want[TAPE_PAGE_BYTES];

		CHECK(damaged.bytes != NULL);
		memcpy(damaged.bytes, file->bytes, file->size_bytes);
		damaged.bytes[600 + fixture_random(&random) % (file->size_bytes - 600)] ^= 4;
		part.file = &damaged;
		CHECK_INT(tape_reader_open_memory(&origin, damaged.bytes, damaged.size_bytes, NULL), 0);
		part.what.last_snapshot = (int64_t)tape_reader_info(origin)->nr_snapshots - 1;
		part.what.first_snapshot = part.what.last_snapshot < 0 ? -1 : 0;
		tape_reader_close(origin);
		CHECK(!copy(path, &part, 1, &stats));
		missing += stats.missing_records + stats.missing_pages > 0;
		CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
		for (unsigned s = 0; s < tape_reader_info(reader)->nr_snapshots; s++) {
			unsigned id = (unsigned)tape_reader_snapshot(reader, s)->info.id;

			for (unsigned i = 0; i < NR_PAGES; i++) {
				int result = tape_reader_page(reader, s, i, page, NULL);

				CHECK(result == 0 || result == -ENOENT);
				fixture_page(want, content_at(i, id));
				CHECK(result || !memcmp(page, want, sizeof(page)));
			}
		}
		tape_reader_close(reader);
		free(damaged.bytes);
	}
	CHECK(missing > 10);
}

int main(void)
{
	struct fixture_file file = {0};
	char path[256];

	CHECK(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/out.vmt", folder);
	make_tape(&file, 0, NR_SNAPSHOTS, "vm_name=guest\n");
	test_cut(&file, path);
	test_damage(&file, path);
	unlink(path);
	test_merge(path);
	fixture_file_deinit(&file);
	CHECK(!rmdir(folder));
	return 0;
}
