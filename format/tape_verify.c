/* SPDX-License-Identifier: MIT */
/*
 * tape_verify.c - reads a whole tape and checks that all of it agrees: sums,
 * indices, records and their numbers, snapshots, and what the end says.
 */
#include <errno.h>
#include <inttypes.h>

#include "tape_read.h"

struct vcpu_sequence {
	uint64_t next_seq;
	bool started;
};

struct verify {
	struct tape_reader *reader;
	struct tape_scratch raw;
	struct vcpu_sequence *sequences;                        /* by vCPU */
	struct tape_touched touched;                            /* by the records of this slot */
	bool slot_is_whole;                                     /* all its chunks could be read */
	uint64_t nr_chunks, nr_records, nr_pages, nr_snapshots; /* before the end chunk */
	bool saw_end;
	struct {
		struct tape_index index;
		struct tape_scratch payload;
		struct tape_briefs_view briefs; /* in payload */
		struct tape_brief brief;        /* the last one that was taken out of them */
		uint32_t next_brief;            /* of the chunk of records that comes */
		bool there;                     /* index and, if it has some, briefs are decoded */
		const char *why;                /* what is wrong with the index itself */
		const char *briefs_why;         /* and with its briefs: the first that was found */
	} slot;
	struct tape_seal_check seal;
};

/* ---- records --------------------------------------------------------- */

static void check_sequence(struct verify *verify, const struct tape_stored_chunk *chunk, const struct trap_view *view)
{
	struct vcpu_sequence *sequence = &verify->sequences[view->header.vcpu];
	uint64_t seq = view->header.seq;

	if (sequence->started && seq < sequence->next_seq)
		tape_reader_report(verify->reader, chunk->offset,
				   "vCPU %u: record %" PRIu64 " comes after record %" PRIu64, view->header.vcpu, seq,
				   sequence->next_seq - 1);
	if (sequence->started && seq > sequence->next_seq) {
		struct trap_gap gap = {0};

		if (view->header.type == TRAP_GAP)
			trap_view_gap(view, &gap);
		if (gap.first_seq != sequence->next_seq || gap.lost_records != seq - sequence->next_seq)
			tape_reader_report(verify->reader, chunk->offset,
					   "vCPU %u: records %" PRIu64 " to %" PRIu64
					   " are missing, and no gap record tells of them",
					   view->header.vcpu, sequence->next_seq, seq - 1);
	}
	sequence->started = true;
	sequence->next_seq = seq + 1;
}

static void check_records(struct verify *verify, const struct tape_stored_chunk *chunk)
{
	size_t size_bytes = chunk->header.raw_bytes;

	for (size_t at = 0; at < size_bytes;) {
		const char *why = "filler";
		struct trap_view view;
		int result = trap_view_parse(&view, verify->raw.data + at, size_bytes - at, &why);

		if (result <= 0 || view.header.type == TRAP_PAD || view.header.vcpu != chunk->header.vcpu) {
			tape_reader_report(verify->reader, chunk->offset,
					   "TRAPS chunk: record at byte %zu is not valid: %s", at,
					   result > 0 && view.header.type ? "it is of another vCPU" : why);
			/* Its size was checked by tape_rows_walk(). */
			at += get_le32(verify->raw.data + at);
			continue;
		}
		check_sequence(verify, chunk, &view);
		at += (size_t)result;
	}
}

/* State, not events: they are in no sequence. */
static void check_carried(struct verify *verify, const struct tape_stored_chunk *chunk, uint64_t nr_records)
{
	uint64_t last_tsc = 0;

	for (size_t at = 0; at < chunk->header.raw_bytes;) {
		const uint8_t *record = verify->raw.data + at;
		const char *why = "it is no identity record of a task";
		struct trap_view view;
		int result = trap_view_parse(&view, record, chunk->header.raw_bytes - at, &why);

		if (result > 0 && view.header.type == TRAP_IDENTITY && view.regs[TRAP_REG_TASK])
			why = view.header.tsc < last_tsc ? "it comes after a later one" : NULL;
		if (why)
			tape_reader_report(verify->reader, chunk->offset,
					   "carried TRAPS chunk: record at byte %zu is not valid: %s", at, why);
		last_tsc = get_le64(record + offsetof(struct trap_record, tsc));
		at += get_le32(record);
	}
	if (!verify->reader->identity.nr_places)
		tape_reader_report(verify->reader, chunk->offset,
				   "carried TRAPS chunk of %" PRIu64 " records in a tape that is no ring", nr_records);
}

static bool do_rows_fit(const struct tape_chunk_header *header, const struct tape_rows *rows)
{
	if (rows->nr_records != header->nr_items || rows->min_tsc != header->min_tsc ||
	    rows->max_tsc != header->max_tsc)
		return false;
	return header->flags & TAPE_F_CARRIED ||
	       (rows->first_seq == header->first_seq && rows->last_seq == header->last_seq);
}

/* A brief that says nothing is right of any chunk. */
static int check_brief(struct verify *verify, const struct tape_chunk_header *header, uint32_t number)
{
	const struct tape_briefs_view *briefs = &verify->slot.briefs;
	struct tape_brief *told = &verify->slot.brief, made;
	int result;

	if (number >= briefs->nr_briefs || verify->slot.briefs_why)
		return 0;
	result = tape_brief_get(briefs, number, header->vcpu, header->min_tsc, told);
	if (result || !told->flags)
		return result;
	result = tape_brief_make(&made, verify->raw.data, header->raw_bytes);
	if (!result && !tape_brief_equal(told, &made))
		verify->slot.briefs_why = "a brief of it is not that of its chunk's records";
	tape_brief_deinit(&made);
	return result;
}

/* brief: number of its brief, if it is not carried. */
static int check_traps(struct verify *verify, const struct tape_stored_chunk *chunk, uint32_t brief)
{
	const struct tape_chunk_header *header = &chunk->header;
	struct tape_rows rows;
	size_t bad_at = 0;
	int result = tape_rows_walk(&rows, verify->raw.data, header->raw_bytes, &bad_at);

	if (result == -ENOMEM)
		return result;
	if (result) {
		verify->slot_is_whole = false;
		tape_reader_report(verify->reader, chunk->offset, "TRAPS chunk: no record at byte %zu of its contents",
				   bad_at);
		return 0;
	}
	if (!do_rows_fit(header, &rows))
		tape_reader_report(verify->reader, chunk->offset, "TRAPS chunk: header and records disagree");
	if (header->flags & TAPE_F_CARRIED) {
		check_carried(verify, chunk, rows.nr_records);
		tape_touched_deinit(&rows.touched);
		return 0;
	}
	result = check_brief(verify, header, brief);
	if (result) {
		tape_touched_deinit(&rows.touched);
		return result;
	}
	check_records(verify, chunk);
	verify->nr_records += rows.nr_records;
	if (!verify->touched.nrs)
		verify->touched = rows.touched;
	else {
		roaring_bitmap_or_inplace(verify->touched.nrs, rows.touched.nrs);
		roaring64_bitmap_or_inplace(verify->touched.spaces, rows.touched.spaces);
		tape_touched_deinit(&rows.touched);
	}
	return 0;
}

/* ---- slots ----------------------------------------------------------- */

static bool same_nrs(const roaring_bitmap_t *a, const roaring_bitmap_t *b)
{
	if (!a || !b)
		return (!a || roaring_bitmap_is_empty(a)) && (!b || roaring_bitmap_is_empty(b));
	return roaring_bitmap_equals(a, b);
}

static bool same_spaces(const roaring64_bitmap_t *a, const roaring64_bitmap_t *b)
{
	if (!a || !b)
		return (!a || roaring64_bitmap_is_empty(a)) && (!b || roaring64_bitmap_is_empty(b));
	return roaring64_bitmap_equals(a, b);
}

static const char *compare_index(const struct verify *verify, const struct tape_slot *slot,
				 const struct tape_index *index)
{
	const struct tape_reader *reader = verify->reader;

	if (index->nr_entries + 1u != slot->nr_chunks)
		return "it lists other chunks than the slot has";
	for (uint32_t i = 0; i < index->nr_entries; i++) {
		const struct tape_stored_chunk *chunk = &reader->chunks[slot->first_chunk + i];
		const struct tape_chunk_header *a = &index->entries[i].header, *b = &chunk->header;

		if (slot->start + index->entries[i].slot_offset != chunk->offset || a->type != b->type ||
		    a->codec != b->codec || a->layout != b->layout || a->stored_bytes != b->stored_bytes ||
		    a->raw_bytes != b->raw_bytes || a->vcpu != b->vcpu || a->flags != b->flags ||
		    a->nr_items != b->nr_items || a->min_tsc != b->min_tsc || a->max_tsc != b->max_tsc ||
		    a->first_seq != b->first_seq || a->last_seq != b->last_seq)
			return "it says otherwise than a chunk's header";
	}
	if (verify->slot_is_whole && index->has_nrs && !same_nrs(index->touched.nrs, verify->touched.nrs))
		return "its system-call numbers are not those of the records";
	if (verify->slot_is_whole && index->has_spaces && !same_spaces(index->touched.spaces, verify->touched.spaces))
		return "its address spaces are not those of the records";
	return NULL;
}

/* Before its chunks are looked at, so that what is compared with them need not be kept of them. */
static int load_index(struct verify *verify, const struct tape_slot *slot)
{
	struct tape_reader *reader = verify->reader;
	struct tape_index *index = &verify->slot.index;
	struct tape_stored_chunk *chunk;
	uint32_t nr_briefs = 0;
	int result;

	verify->slot.next_brief = 0;
	verify->slot.there = false;
	verify->slot.why = verify->slot.briefs_why = NULL;
	if (slot->index_chunk == SIZE_MAX)
		return 0; /* listed when the tape was opened, if it should be there */
	chunk = &reader->chunks[slot->index_chunk];
	result = tape_load(reader, chunk, &verify->slot.payload);
	if (result)
		return result == -ENOMEM ? result : 0;
	verify->slot.there = true;
	result = tape_index_decode(index, verify->slot.payload.data, chunk->header.raw_bytes,
				   (uint32_t)(chunk->offset - slot->start), &verify->slot.why);
	if (result || !index->briefs_at)
		return result == -ENOMEM ? result : 0;
	for (size_t i = 0; i < slot->nr_chunks; i++)
		nr_briefs += tape_has_events(&reader->chunks[slot->first_chunk + i].header);
	result = tape_briefs_decode(&verify->slot.briefs, index->briefs_at, index->briefs_bytes, nr_briefs,
				    &verify->slot.briefs_why);
	return result == -ENOMEM ? result : 0;
}

static void drop_index(struct verify *verify)
{
	tape_index_deinit(&verify->slot.index);
	tape_briefs_view_deinit(&verify->slot.briefs);
}

static void check_index(struct verify *verify, const struct tape_slot *slot)
{
	const char *why = verify->slot.why;

	if (!verify->slot.there)
		return;
	if (!why)
		why = compare_index(verify, slot, &verify->slot.index);
	if (!why && verify->slot_is_whole)
		why = verify->slot.briefs_why;
	if (why)
		tape_reader_report(verify->reader, verify->reader->chunks[slot->index_chunk].offset, "INDEX chunk: %s",
				   why);
}

static void check_padding(struct verify *verify, const struct tape_stored_chunk *chunk)
{
	uint8_t padding[8] = {0}, zeros[8] = {0};
	uint32_t size_bytes = tape_pad_bytes(chunk->header.stored_bytes);
	uint64_t offset = chunk->offset + TAPE_CHUNK_HEADER_BYTES + chunk->header.stored_bytes;

	if (tape_source_read(&verify->reader->source, offset, padding, size_bytes) || memcmp(padding, zeros, 8))
		tape_reader_report(verify->reader, offset, "padding behind the %s chunk is not zero",
				   tape_type_name(chunk->header.type));
}

static int check_chunk(struct verify *verify, struct tape_stored_chunk *chunk)
{
	struct tape_reader *reader = verify->reader;
	bool known = chunk->header.type >= TAPE_CHUNK_META && chunk->header.type < TAPE_CHUNK_TYPES;
	uint32_t brief = verify->slot.next_brief;
	const uint8_t *stored;
	int result;

	/* By what is listed, whether it can be loaded or not. */
	verify->slot.next_brief += tape_has_events(&chunk->header);
	verify->saw_end = verify->saw_end || chunk->header.type == TAPE_CHUNK_END;
	verify->nr_chunks += chunk->header.type != TAPE_CHUNK_INDEX && !verify->saw_end;
	result = known ? tape_load(reader, chunk, &verify->raw) : tape_load_stored(reader, chunk, &stored);
	if (result) {
		verify->slot_is_whole = false;
		return result == -ENOMEM ? result : 0;
	}
	check_padding(verify, chunk);
	if (chunk->header.type == TAPE_CHUNK_PAGES)
		verify->nr_pages += chunk->header.nr_items;
	else if (chunk->header.type == TAPE_CHUNK_SNAPSHOT)
		verify->nr_snapshots++;
	return chunk->header.type == TAPE_CHUNK_TRAPS ? check_traps(verify, chunk, brief) : 0;
}

static int check_slot(struct verify *verify, const struct tape_slot *slot)
{
	struct tape_reader *reader = verify->reader;
	int result = load_index(verify, slot);

	verify->slot_is_whole = true;
	for (size_t i = 0; i < slot->nr_chunks && !result; i++) {
		struct tape_stored_chunk *chunk = &reader->chunks[slot->first_chunk + i];

		result = check_chunk(verify, chunk);
		if (!chunk->bad && !chunk->from_index && chunk->header.number != i) {
			verify->slot_is_whole = false;
			tape_reader_report(reader, chunk->offset, "chunk %u of the slot follows %zu others",
					   chunk->header.number, i);
		}
	}
	if (!result)
		check_index(verify, slot);
	tape_touched_deinit(&verify->touched);
	drop_index(verify);
	return result;
}

/* ---- snapshots ------------------------------------------------------- */

static void check_contents_there(struct verify *verify, uint32_t index, const struct tape_extents *extents)
{
	struct tape_reader *reader = verify->reader;
	uint64_t missing = 0;

	for (size_t i = 0; i < extents->count; i++) {
		const struct tape_extent *extent = &extents->list[i];
		uint64_t id = extent->id & ~TAPE_EXTENT_SAME, count = extent->id & TAPE_EXTENT_SAME ? 1 : extent->count;

		if (extent->id == TAPE_PAGE_ZERO || extent->id == TAPE_PAGE_LOST)
			continue;
		while (count) {
			uint64_t there = 1;
			uint32_t page;
			const struct tape_stored_chunk *chunk = tape_page_index_find(reader, id, &page, &there);

			if (!chunk || chunk->bad) {
				there = 1;
				missing++;
			}
			there = there < count ? there : count;
			id += there;
			count -= there;
		}
	}
	if (missing)
		tape_reader_report(reader, reader->snapshots[index].offset,
				   "snapshot %" PRIu64 ": contents of %" PRIu64 " pages are missing or damaged",
				   reader->snapshots[index].ordinal, missing);
}

static int check_snapshot(struct verify *verify, uint32_t index)
{
	struct tape_reader *reader = verify->reader;
	const struct tape_stored_snapshot *snapshot = &reader->snapshots[index];
	struct tape_extents extents = {0};
	const struct tape_extents *view;
	struct tape_page_map sum;
	bool whole;
	int result = tape_snapshot_extents(reader, index, &extents, &sum, &whole);

	if (!result && !whole)
		tape_reader_report(reader, snapshot->offset, "snapshot %" PRIu64 ": parts of its map are missing",
				   snapshot->ordinal);
	else if (!result && (sum.nr_pages != snapshot->snapshot.nr_pages || sum.nr_zero != snapshot->snapshot.nr_zero))
		tape_reader_report(reader, snapshot->offset,
				   "snapshot %" PRIu64 " says %" PRIu64 " pages, its map %" PRIu64, snapshot->ordinal,
				   snapshot->snapshot.nr_pages, sum.nr_pages);
	if (!result && index > reader->first_snapshot && reader->snapshots[index - 1].ordinal + 1 != snapshot->ordinal)
		tape_reader_report(reader, snapshot->offset, "snapshots %" PRIu64 " to %" PRIu64 " are missing",
				   reader->snapshots[index - 1].ordinal + 1, snapshot->ordinal - 1);
	/* The first one's pages come from all those on which it builds, and only in part from each of them. */
	if (!result && index == reader->first_snapshot)
		result = tape_snapshot_view(reader, index, &view);
	if (!result)
		check_contents_there(verify, index, index == reader->first_snapshot ? view : &extents);
	tape_extents_deinit(&extents);
	return result;
}

static void check_page_numbers(struct verify *verify)
{
	const struct tape_reader *reader = verify->reader;
	uint64_t next_id = 0;

	for (size_t i = 0; i < reader->nr_page_chunks; i++) {
		const struct tape_stored_chunk *chunk = &reader->chunks[reader->page_chunks[i]];

		if (chunk->header.flags & TAPE_F_CARRIED)
			continue;
		if (chunk->header.first_seq < next_id)
			tape_reader_report(verify->reader, chunk->offset,
					   "PAGES chunk: page %" PRIu64 " is there twice", chunk->header.first_seq);
		next_id = chunk->header.last_seq + 1;
	}
}

/* ---- all ------------------------------------------------------------- */

static void check_end(struct verify *verify)
{
	struct tape_reader *reader = verify->reader;
	if (!reader->info.finished) {
		tape_reader_report(reader, reader->info.size_bytes, "cut off: the tape was not finished");
		return;
	}
	if (reader->identity.nr_places)
		return; /* it tells of all that ever was on the tape */
	if (reader->written.chunks != verify->nr_chunks || reader->written.records != verify->nr_records ||
	    reader->written.pages != verify->nr_pages || reader->written.snapshots != verify->nr_snapshots)
		tape_reader_report(reader, reader->info.size_bytes,
				   "the end tells of %" PRIu64 " chunks, %" PRIu64 " records, %" PRIu64
				   " pages and %" PRIu64 " snapshots; there are %" PRIu64 ", %" PRIu64 ", %" PRIu64
				   " and %" PRIu64,
				   reader->written.chunks, reader->written.records, reader->written.pages,
				   reader->written.snapshots, verify->nr_chunks, verify->nr_records, verify->nr_pages,
				   verify->nr_snapshots);
}

static int check_all(struct verify *verify)
{
	struct tape_reader *reader = verify->reader;
	int result = tape_seal_check_begin(&verify->seal, reader);

	for (size_t i = 0; i < reader->nr_slots && !result; i++) {
		result = check_slot(verify, &reader->slots[i]);
		if (!result)
			tape_seal_check_slot(&verify->seal, &reader->slots[i]);
	}
	if (!result)
		result = tape_page_index_build(reader);
	for (size_t i = reader->first_snapshot; i < reader->nr_snapshots && !result; i++)
		result = check_snapshot(verify, (uint32_t)i);
	if (!result) {
		check_page_numbers(verify);
		tape_seal_check_end(&verify->seal);
		check_end(verify);
	}
	return result;
}

uint64_t tape_reader_verify(struct tape_reader *reader, void (*report)(void *ctx, uint64_t offset, const char *message),
			    void *ctx)
{
	struct verify verify = {.reader = reader};
	int result = -ENOMEM;

	reader->nr_reported = reader->nr_problems;
	for (size_t i = 0; i < reader->nr_problems; i++)
		report(ctx, reader->problems[i].offset, reader->problems[i].message);
	reader->report = report;
	reader->report_ctx = ctx;
	verify.sequences = calloc(TAPE_NO_VCPU + 1u, sizeof(*verify.sequences));
	if (verify.sequences)
		result = check_all(&verify);
	if (result)
		tape_reader_report(reader, TAPE_NO_OFFSET, "cannot check all of it: %s", strerror(-result));
	reader->report = NULL;
	free(verify.sequences);
	free(verify.raw.data);
	free(verify.slot.payload.data);
	tape_brief_deinit(&verify.slot.brief);
	tape_touched_deinit(&verify.touched);
	return reader->nr_reported;
}
