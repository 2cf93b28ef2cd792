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
#include "tape_read.h"

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
	static const char *const without[] = {"continues", "start_", NULL};
	struct out_file *file;
	struct tape_copy *out;
	struct vmtape_error *error = out_file_create(&file, path, true);

	CHECK(!error);
	CHECK(!tape_copy_create(&out, file));
	for (unsigned i = 0; i < nr_parts && !error; i++) {
		struct session *session;

		CHECK(!session_open_memory(&session, parts[i].file->bytes, parts[i].file->size_bytes, NULL));
		error = tape_copy_metas(out, session, without + (i ? 0 : 2));
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

static void read_file(const char *path, struct fixture_file *out)
{
	FILE *file = fopen(path, "rb");
	long size_bytes;

	CHECK(file && !fseek(file, 0, SEEK_END));
	size_bytes = ftell(file);
	CHECK(size_bytes > 0 && !fseek(file, 0, SEEK_SET));
	out->size_bytes = (size_t)size_bytes;
	out->bytes = malloc(out->size_bytes);
	CHECK(out->bytes && fread(out->bytes, 1, out->size_bytes, file) == out->size_bytes);
	fclose(file);
}

/* The payload of the first or last chunk of vCPU 0's records is not what it was. */
static void damage_records(struct fixture_file *file, bool last)
{
	struct tape_reader *reader;
	uint64_t offset = 0;

	CHECK_INT(tape_reader_open_memory(&reader, file->bytes, file->size_bytes, NULL), 0);
	for (size_t i = 0; i < reader->nr_chunks && (last || !offset); i++)
		if (reader->chunks[i].header.type == TAPE_CHUNK_TRAPS && !reader->chunks[i].header.vcpu)
			offset = reader->chunks[i].offset;
	tape_reader_close(reader);
	CHECK(offset != 0);
	file->bytes[offset + TAPE_CHUNK_HEADER_BYTES + 9] ^= 1;
}

/* What damage has taken at the seam is missing, as it would be elsewhere. */
static void test_damaged_seam(const char *path)
{
	for (unsigned damaged = 0; damaged < 2; damaged++) {
		struct fixture_file tapes[2] = {0};
		struct part parts[2] = {{&tapes[0], whole(2, false)}, {&tapes[1], whole(2, true)}};
		struct tape_copy_stats stats;

		make_tape(&tapes[0], 0, 2, "vm_name=guest\n");
		make_tape(&tapes[1], 2, 4, "vm_name=guest\n");
		damage_records(&tapes[damaged], !damaged);
		CHECK(!copy(path, parts, 2, &stats));
		CHECK_INT(stats.missing_records, 500);
		CHECK_INT(stats.records, 3500);
		unlink(path);
		fixture_file_deinit(&tapes[0]);
		fixture_file_deinit(&tapes[1]);
	}
}

/* Cuts of one tape that overlap are the tape again. */
static void test_overlap(const struct fixture_file *file, const char *path)
{
	char halves[2][256];
	struct fixture_file tapes[2] = {0};
	struct tape_copy_stats stats;
	struct part cuts[2] = {
		{file, {.to_tsc = 2700, .last_snapshot = 4}},
		{file, {.from_tsc = 2000, .to_tsc = UINT64_MAX, .first_snapshot = 2, .last_snapshot = 5}}};
	struct part parts[2] = {{&tapes[0], whole(5, false)}, {&tapes[1], whole(4, true)}};
	struct vmtape_error *error;

	for (unsigned i = 0; i < 2; i++) {
		snprintf(halves[i], sizeof(halves[i]), "%s/half%u.vmt", folder, i);
		CHECK(!copy(halves[i], &cuts[i], 1, &stats));
		read_file(halves[i], &tapes[i]);
		unlink(halves[i]);
	}
	CHECK(!copy(path, parts, 2, &stats));
	CHECK_INT(stats.twice_records, 2 * (1700 - 1000));
	CHECK_INT(stats.skipped_snapshots, 3);
	CHECK_INT(stats.missing_records + stats.missing_pages, 0);
	check_tape(path, 0, NR_CALLS, 0, NR_SNAPSHOTS);

	/* The other way round nothing joins them. */
	parts[0] = (struct part){&tapes[1], whole(4, false)};
	parts[1] = (struct part){&tapes[0], whole(5, true)};
	error = copy(path, parts, 2, &stats);
	CHECK(error && strstr(error->message, "not in order"));
	vmtape_error_destroy(error);
	fixture_file_deinit(&tapes[0]);
	fixture_file_deinit(&tapes[1]);
}

/* A recorder that began anew: numbers are the same, times are not. */
static void test_other_recording(const char *path)
{
	struct fixture_file a = {0}, b = {0};
	struct part parts[2] = {
		{&a, {.to_tsc = UINT64_MAX, .first_snapshot = -1, .last_snapshot = -1}},
		{&b, {.to_tsc = UINT64_MAX, .first_snapshot = -1, .last_snapshot = -1, .continues = true}}};
	struct tape_copy_stats stats;
	struct vmtape_error *error;

	for (unsigned i = 0; i < 2; i++) {
		struct tape_writer *writer = fixture_writer(i ? &b : &a, 256u << 10);
		struct byte_buffer records = {0};

		for (unsigned seq = 0; seq < 100 + i * 100; seq++) {
			struct fixture_call call = {.type = TRAP_ENTER, .seq = seq, .tsc = 1000 + i * 50 + seq};

			fixture_add_call(&records, &call);
		}
		fixture_append_traps(writer, 0, &records);
		CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){.records = 100 + i * 100}, NULL), 0);
		tape_writer_destroy(writer);
		byte_buffer_deinit(&records);
	}
	error = copy(path, parts, 2, &stats);
	CHECK(error && strstr(error->message, "not of one recording"));
	vmtape_error_destroy(error);
	fixture_file_deinit(&a);
	fixture_file_deinit(&b);
}

/* ---- snapshots out of order ------------------------------------------ */

#define SMALL_PAGES 16u

/* Snapshot id changes the page of that number alone. */
static uint64_t small_content(unsigned page, unsigned id)
{
	return page && page <= id ? 1000 + page : 1 + page;
}

struct small {
	unsigned id;
	uint64_t tsc;
};

static void make_small(struct fixture_file *file, const struct small *list, unsigned count)
{
	struct tape_writer *writer = fixture_writer(file, 256u << 10);
	struct tape_ram_range range = {0, SMALL_PAGES * 4096};
	uint8_t page[TAPE_PAGE_BYTES];
	struct tape_pages *pages;

	CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
	for (unsigned s = 0; s < count; s++) {
		struct tape_snapshot_info info = {
			.id = list[s].id, .tsc = list[s].tsc, .nr_ranges = 1, .ranges = &range, .base = !s};

		for (unsigned i = 0; i < SMALL_PAGES; i++) {
			if (s && i != list[s].id)
				continue;
			fixture_page(page, small_content(i, list[s].id));
			CHECK_INT(tape_pages_add(pages, i, page, NULL), 0);
		}
		CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
	}
	tape_pages_destroy(pages);
	CHECK_INT(tape_writer_finish(writer, "done", &(struct tape_totals){.snapshots = count}, NULL), 0);
	tape_writer_destroy(writer);
}

static void check_small(const char *path, const struct small *list, unsigned count)
{
	uint8_t page[TAPE_PAGE_BYTES], want[TAPE_PAGE_BYTES];
	struct tape_reader *reader;

	CHECK_INT(tape_reader_open(&reader, path, NULL), 0);
	CHECK_INT(tape_reader_info(reader)->nr_snapshots, count);
	for (unsigned s = 0; s < count; s++) {
		CHECK_INT(tape_reader_snapshot(reader, s)->info.id, list[s].id);
		for (unsigned i = 0; i < SMALL_PAGES; i++) {
			fixture_page(want, small_content(i, list[s].id));
			CHECK_INT(tape_reader_page(reader, s, i, page, NULL), 0);
			CHECK(!memcmp(page, want, sizeof(page)));
		}
	}
	tape_reader_close(reader);
}

static void test_reset(const char *path)
{
	static const struct small reset[] = {{0, 1000}, {1, 1500}, {2, 300}, {3, 1600}};
	static const struct small late[] = {{0, 1000}, {1, 2000}},
				  behind[] = {{2, 1500}, {3, 1600}, {4, 2500}, {5, 2600}};
	static const struct small both[] = {{0, 1000}, {1, 2000}, {4, 2500}, {5, 2600}};
	struct fixture_file a = {0}, b = {0}, c = {0};
	struct part part = {&a, whole(4, false)}, parts[2] = {{&b, whole(2, false)}, {&c, whole(4, true)}};
	struct tape_copy_stats stats;

	/* The guest was reset within the tape. */
	make_small(&a, reset, 4);
	CHECK(!copy(path, &part, 1, &stats));
	CHECK_INT(stats.skipped_snapshots, 0);
	check_small(path, reset, 4);

	/* What builds on those that are left out is whole. */
	make_small(&b, late, 2);
	make_small(&c, behind, 4);
	CHECK(!copy(path, parts, 2, &stats));
	CHECK_INT(stats.skipped_snapshots, 2);
	check_small(path, both, 4);
	fixture_file_deinit(&a);
	fixture_file_deinit(&b);
	fixture_file_deinit(&c);
}

/* The guest was reset between two tapes: by the wall clock, the second is later than its TSC says. */
static void test_reset_between(void)
{
	static const struct {
		uint64_t tsc, realtime_ns;
		bool reset;
	} seconds[] = {
		{9000, 8000000000ull, false},     /* 4 s later, and the TSC, too */
		{4900, 3900000000ull, false},     /* they overlap, as cuts do */
		{10, 60000000000ull, true},       /* a minute later, from zero again */
		{9000, 90000000000000ull, false}, /* the host's clock was set */
	};
	struct tape_ram_range range = {0, 4096};

	for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		struct fixture_file tapes[2] = {0};
		struct session *sessions[2];

		for (unsigned n = 0; n < 2; n++) {
			struct tape_writer *writer = fixture_writer(&tapes[n], 256u << 10);
			struct byte_buffer records = {0};
			uint64_t tsc = n ? seconds[i].tsc : 1000, ns = n ? seconds[i].realtime_ns : 0;
			struct tape_pages *pages;

			CHECK_INT(tape_pages_create(&pages, writer, 1, NULL), 0);
			for (unsigned s = 0; s < 2; s++) {
				struct tape_snapshot_info info = {.id = s,
								  .tsc = tsc + s * 4000,
								  .realtime_ns = 1700000000000000000ull + ns +
										 s * 4000000000ull,
								  .nr_ranges = 1,
								  .ranges = &range,
								  .base = !s};
				struct fixture_call call = {.type = TRAP_ENTER, .seq = 2 * n + s, .tsc = info.tsc};

				CHECK_INT(tape_pages_commit(pages, &info, NULL), 0);
				fixture_add_call(&records, &call);
			}
			fixture_append_traps(writer, 0, &records);
			tape_pages_destroy(pages);
			CHECK_INT(tape_writer_finish(writer, "done",
						     &(struct tape_totals){.records = 2, .snapshots = 2}, NULL),
				  0);
			tape_writer_destroy(writer);
			byte_buffer_deinit(&records);
			CHECK(!session_open_memory(&sessions[n], tapes[n].bytes, tapes[n].size_bytes, NULL));
		}
		CHECK_INT(tape_copy_was_reset(sessions[0], sessions[1]), seconds[i].reset);
		for (unsigned n = 0; n < 2; n++) {
			session_close(sessions[n]);
			fixture_file_deinit(&tapes[n]);
		}
	}
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
	test_damaged_seam(path);
	test_overlap(&file, path);
	test_other_recording(path);
	test_reset_between();
	test_reset(path);
	unlink(path);
	fixture_file_deinit(&file);
	CHECK(!rmdir(folder));
	return 0;
}
