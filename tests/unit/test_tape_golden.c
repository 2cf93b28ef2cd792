/* SPDX-License-Identifier: MIT */
/*
 * test_tape_golden.c - tapes of each version of the format are read as they
 * always were: contents as text, compared with the file beside the tape.
 * tools/tape_decode.py prints the same from FORMAT.md alone.
 *
 *   test_tape_golden TAPE    prints instead
 */
#include <unistd.h>

#include "check.h"
#include "tape_fixture.h"
#include "tape_read.h"
#include "tape_seal.h"

static uint64_t fnv(const uint8_t *bytes, size_t size_bytes)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < size_bytes; i++)
		value = (value ^ bytes[i]) * 0x100000001b3;
	return value;
}

/* ---- slots ----------------------------------------------------------- */

static void dump_spaces(FILE *out, const roaring64_bitmap_t *spaces)
{
	roaring64_iterator_t *at = roaring64_iterator_create(spaces);

	for (; roaring64_iterator_has_value(at); roaring64_iterator_advance(at))
		fprintf(out, " %" PRIu64, roaring64_iterator_value(at));
	roaring64_iterator_free(at);
}

static void dump_slot(FILE *out, struct tape_reader *reader, const struct tape_slot *slot)
{
	struct tape_stored_chunk *chunk = &reader->chunks[slot->index_chunk];
	struct tape_scratch raw = {0};
	roaring_uint32_iterator_t nr;
	struct tape_index index;
	const char *why;

	CHECK(slot->index_chunk != SIZE_MAX);
	CHECK_INT(tape_load(reader, chunk, &raw), 0);
	CHECK_INT(tape_index_decode(&index, raw.data, chunk->header.raw_bytes, reader->identity.slot_bytes, &why), 0);
	fprintf(out, "slot %" PRIu64 " %s types", slot->seq, slot->closed ? "closed" : "open");
	for (size_t i = 0; i < slot->nr_chunks; i++)
		fprintf(out, " %u", reader->chunks[slot->first_chunk + i].header.type);
	fputs(" calls ", out);
	roaring_iterator_init(index.touched.nrs, &nr);
	for (const char *space = ""; nr.has_value; roaring_uint32_iterator_advance(&nr), space = " ")
		fprintf(out, "%s%u", space, nr.current_value);
	fputs(" spaces", out);
	if (roaring64_bitmap_is_empty(index.touched.spaces))
		fputs(" ", out);
	dump_spaces(out, index.touched.spaces);
	fputs("\n", out);
	tape_index_deinit(&index);
	free(raw.data);
}

static void dump_hex(FILE *out, const char *name, const uint8_t *bytes, size_t size_bytes)
{
	fprintf(out, " %s ", name);
	for (size_t i = 0; i < size_bytes; i++)
		fprintf(out, "%02x", bytes[i]);
}

/* After verify, which has followed the chain. */
static void dump_seal(FILE *out, struct tape_reader *reader)
{
	for (size_t i = 0; i < reader->nr_chunks; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[i];
		struct tape_signature signature;
		const uint8_t *payload;

		if (chunk->header.type != TAPE_CHUNK_SIGNATURE)
			continue;
		CHECK_INT(tape_load_stored(reader, chunk, &payload), 0);
		CHECK(tape_get_signature(payload, &signature));
		fprintf(out, "signature slot %" PRIu64 " chunk %u time %" PRIu64, signature.slot_seq, signature.number,
			signature.time_ns);
		dump_hex(out, "key", signature.public_key, TAPE_PUBLIC_KEY_BYTES);
		dump_hex(out, "value", signature.value, TAPE_CHAIN_BYTES);
		fputs("\n", out);
	}
	if (!tape_reader_info(reader)->has_chain)
		return;
	fputs("chain", out);
	dump_hex(out, "value", tape_reader_seal(reader)->value, TAPE_CHAIN_BYTES);
	fputs("\n", out);
}

/* ---- contents -------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp(((const struct tape_meta_line *)a)->key, ((const struct tape_meta_line *)b)->key);
}

static void dump_meta(FILE *out, struct tape_reader *reader)
{
	size_t size_bytes = reader->nr_metas * sizeof(struct tape_meta_line);
	struct tape_meta_line *lines = malloc(size_bytes + 1);

	CHECK(lines);
	memcpy(lines, reader->metas, size_bytes);
	qsort(lines, reader->nr_metas, sizeof(*lines), compare_keys);
	for (size_t i = 0; i < reader->nr_metas; i++)
		if (!i || strcmp(lines[i].key, lines[i - 1].key))
			fprintf(out, "meta %s=%s\n", lines[i].key, tape_reader_meta(reader, lines[i].key));
	free(lines);
}

static void dump_plans(FILE *out, struct tape_reader *reader)
{
	for (size_t i = 0; i < reader->nr_plans; i++) {
		uint32_t id = (uint32_t)reader->chunks[reader->plans[i].chunk].header.first_seq;
		const void *plan;
		size_t size_bytes;

		CHECK_INT(tape_reader_plan(reader, id, &plan, &size_bytes), 0);
		fprintf(out, "plan %u %016" PRIx64 "\n", id, fnv(plan, size_bytes));
	}
}

static void dump_records(FILE *out, struct tape_reader *reader, bool carried)
{
	struct tape_cursor *cursor;
	struct trap_view view;
	uint64_t since_tsc;
	int result;

	CHECK_INT(tape_cursor_create(&cursor, reader, NULL), 0);
	if (carried) {
		CHECK_INT(tape_cursor_want_carried(cursor, &since_tsc, NULL), 0);
		if (tape_reader_info(reader)->nr_carried)
			fprintf(out, "carried since %" PRIu64 "\n", since_tsc);
	}
	while ((result = tape_cursor_next(cursor, &view, NULL)) == 1) {
		if (tape_cursor_is_carried(cursor) != carried)
			continue;
		fprintf(out, "%s tsc %llu vcpu %u seq %llu type %u bytes %u %016" PRIx64 "\n",
			carried ? "carried" : "record", (unsigned long long)view.header.tsc, view.header.vcpu,
			(unsigned long long)view.header.seq, view.header.type, view.header.size_bytes,
			fnv(view.raw, view.header.size_bytes));
	}
	CHECK_INT(result, 0);
	tape_cursor_destroy(cursor);
}

static void dump_snapshot(FILE *out, struct tape_reader *reader, uint32_t index)
{
	const struct tape_snapshot *snapshot = tape_reader_snapshot(reader, index);
	const struct tape_snapshot_info *info = &snapshot->info;
	const struct tape_snapshot_cost *cost = &info->cost;
	struct byte_buffer regs = {0};
	uint8_t page[TAPE_PAGE_BYTES];

	fprintf(out,
		"snapshot %" PRIu64 " id %" PRIu64 " tsc %" PRIu64 " realtime %" PRIu64 " pause %" PRIu64
		" base %d pages %" PRIu64 " zero %" PRIu64 "\n",
		reader->snapshots[reader->first_snapshot + index].ordinal, info->id, info->tsc, info->realtime_ns,
		info->pause_ns, info->base, snapshot->nr_pages, snapshot->nr_zero);
	if (cost->nr_pauses)
		fprintf(out,
			"pauses %u longest %" PRIu64 " duration %" PRIu64 " dirty %" PRIu64 " paused %" PRIu64
			" protected %" PRIu64 " running %" PRIu64 "\n",
			cost->nr_pauses, cost->longest_pause_ns, cost->duration_ns, cost->dirty_pages,
			cost->paused_pages, cost->protected_pages, cost->running_pages);
	for (size_t i = 0; i < (size_t)info->nr_vcpus * info->nr_regs; i++)
		byte_buffer_add_u64(&regs, info->vcpu_regs[i]);
	fprintf(out, "registers %u %u %016" PRIx64 "\n", info->nr_vcpus, info->nr_regs,
		fnv(regs.data, regs.size_bytes));
	byte_buffer_deinit(&regs);
	for (uint32_t i = 0; i < info->nr_ranges; i++) {
		const struct tape_ram_range *range = &info->ranges[i];

		fprintf(out, "range %" PRIu64 " %" PRIu64 "\n", range->gpa, range->size_bytes);
		for (uint64_t gpa = range->gpa; gpa < range->gpa + range->size_bytes; gpa += TAPE_PAGE_BYTES)
			if (!tape_reader_page(reader, index, gpa / TAPE_PAGE_BYTES, page, NULL))
				fprintf(out, "page %" PRIu64 " %016" PRIx64 "\n", gpa / TAPE_PAGE_BYTES,
					fnv(page, sizeof(page)));
	}
}

static void dump(FILE *out, struct tape_reader *reader)
{
	const struct tape_info *info = tape_reader_info(reader);

	fprintf(out, "tape version %u uuid ", info->version);
	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "%02x", info->uuid[i]);
	fprintf(out, " created %" PRIu64 "\n", info->created_ns);
	for (size_t i = 0; i < reader->nr_slots; i++)
		dump_slot(out, reader, &reader->slots[i]);
	dump_seal(out, reader);
	dump_meta(out, reader);
	dump_plans(out, reader);
	dump_records(out, reader, true);
	dump_records(out, reader, false);
	for (uint32_t i = 0; i < info->nr_snapshots; i++)
		dump_snapshot(out, reader, i);
	if (info->finished)
		fprintf(out, "end records %" PRIu64 " lost %" PRIu64 " snapshots %" PRIu64 " reason %s\n",
			info->totals.records, info->totals.lost_records, info->totals.snapshots, info->end_reason);
}

static void compare(const char *text, const char *path)
{
	FILE *expected = fopen(path, "r");
	char line[4096];
	unsigned number = 0;

	CHECK(expected);
	for (; fgets(line, sizeof(line), expected); text += strlen(line)) {
		number++;
		if (!strncmp(text, line, strlen(line)))
			continue;
		fprintf(stderr, "%s:%u: expected: %s got: %.*s\n", path, number, line, (int)strcspn(text, "\n"), text);
		exit(1);
	}
	CHECK(number > 100);
	CHECK_STR(text, "");
	fclose(expected);
}

/* The contents as text; the caller frees it. */
static char *read_tape(const char *path)
{
	struct fixture_report report = {.loud = true};
	struct tape_reader *reader;
	struct tape_error error;
	char *text = NULL;
	size_t size_bytes = 0;
	FILE *out = open_memstream(&text, &size_bytes);

	CHECK(out);
	if (tape_reader_open(&reader, path, &error)) {
		fprintf(stderr, "%s: %s\n", path, error.message);
		exit(1);
	}
	CHECK_INT(tape_reader_verify(reader, fixture_report, &report), 0);
	dump(out, reader);
	CHECK_INT(fclose(out), 0);
	tape_reader_close(reader);
	return text;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"small-v1", "small-v1-signed", "small-v1-layout2", "ring-v1", "cost-v1"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && argc == 1; i++) {
		char tape[64], expected[64], *text;

		snprintf(tape, sizeof(tape), "golden/%s.vmt", names[i]);
		snprintf(expected, sizeof(expected), "golden/%s.txt", names[i]);
		text = read_tape(tape);
		compare(text, expected);
		free(text);
	}
	if (argc > 1) {
		char *text = read_tape(argv[1]);

		fputs(text, stdout);
		free(text);
	}
	return 0;
}
