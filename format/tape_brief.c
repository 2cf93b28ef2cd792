/* SPDX-License-Identifier: MIT */
/* tape_brief.c - briefs of TRAPS chunks: made from records, put into a slot's index and taken out of it. */
#include "tape_brief.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tape_private.h"
#include "trap_record.h"

#define PLACES (2 * TAPE_BRIEF_TEXTS) /* powers of two */
#define TASKS  (2 * TAPE_BRIEF_ROWS)
#define SEQ_AT offsetof(struct trap_record, seq)
#define TSC_AT offsetof(struct trap_record, tsc)
#define HEAD   sizeof(struct trap_record)
#define NO_ROW UINT32_MAX
/* Texts take one of so many parts of the chunks at most, besides what a slot has room for in any case. */
#define TEXTS_SHARE 64u
#define TEXTS_LEAST 32u
#define TASK_BIT    (1u << TRAP_REG_TASK)
#define ID_BIT      (1u << TRAP_REG_TASK_ID)
#define NR_BIT      (1u << TRAP_REG_NR)

void tape_brief_deinit(struct tape_brief *brief)
{
	byte_buffer_deinit(&brief->nrs);
	byte_buffer_deinit(&brief->rows);
	*brief = (struct tape_brief){0};
}

bool tape_brief_equal(const struct tape_brief *a, const struct tape_brief *b)
{
	return a->flags == b->flags && a->nr_rows == b->nr_rows && a->nrs.size_bytes == b->nrs.size_bytes &&
	       a->rows.size_bytes == b->rows.size_bytes &&
	       (!a->nrs.size_bytes || !memcmp(a->nrs.data, b->nrs.data, a->nrs.size_bytes)) &&
	       (!a->rows.size_bytes || !memcmp(a->rows.data, b->rows.data, a->rows.size_bytes));
}

/* ---- from records ---------------------------------------------------- */

struct known_task {
	uint64_t task, id;
	bool used, has_id;
	uint32_t row; /* its last identity record: where that is in rows; NO_ROW: only that it ran */
};

struct maker {
	struct tape_brief *out;
	uint8_t dense[TRAP_ABIS][TAPE_BRIEF_NRS];
	struct known_task tasks[TASKS];
	struct known_task *last;
	struct {
		uint32_t mask;
		unsigned nr_regs;
	} counted[TRAP_TYPES]; /* masks that came last: to count bits is half of the work */
	bool odd;
};

/* Registers of a record that counts; they are the last ones of it. */
struct names {
	uint64_t task, id;
	bool has_task, has_id;
};

static struct known_task *find_task(struct maker *m, uint64_t task)
{
	uint32_t at = (uint32_t)((task * 0x9e3779b97f4a7c15ull) >> 40) % TASKS;

	while (m->tasks[at].used && m->tasks[at].task != task)
		at = (at + 1) % TASKS;
	return &m->tasks[at];
}

/* Header, task registers and fragments, without what differs each time. */
static uint32_t put_row(struct maker *m, const uint8_t *record, const struct names *names, bool with_fragments)
{
	uint32_t mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	size_t regs_bytes = 8 * (size_t)__builtin_popcount(mask);
	size_t fragments_bytes = with_fragments ? get_le32(record) - HEAD - regs_bytes : 0;
	size_t row_bytes = HEAD + 8u * (names->has_task + names->has_id) + fragments_bytes;
	uint32_t offset = (uint32_t)m->out->rows.size_bytes;
	struct trap_view view;
	uint8_t *row, *at;

	/* What a reader leaves out tells of nobody. */
	if (m->out->nr_rows == TAPE_BRIEF_ROWS || offset + row_bytes > TAPE_BRIEF_MAX_BYTES ||
	    trap_view_parse(&view, record, get_le32(record), NULL) <= 0) {
		m->odd = true;
		return NO_ROW;
	}
	row = byte_buffer_extend(&m->out->rows, row_bytes);
	if (!row)
		return NO_ROW;
	m->out->nr_rows++;
	memset(row, 0, HEAD);
	put_le32(row, (uint32_t)row_bytes);
	row[offsetof(struct trap_record, type)] = TRAP_IDENTITY;
	memcpy(row + offsetof(struct trap_record, vcpu), record + offsetof(struct trap_record, vcpu), 2);
	if (with_fragments)
		memcpy(row + offsetof(struct trap_record, nr_fragments),
		       record + offsetof(struct trap_record, nr_fragments), 2);
	put_le32(row + offsetof(struct trap_record, reg_mask), TASK_BIT | (names->has_id ? ID_BIT : 0));
	memcpy(row + TSC_AT, record + TSC_AT, 8);
	at = row + HEAD;
	put_le64(at, names->task);
	if (names->has_id)
		put_le64(at + 8, names->id);
	at += 8u * (1u + names->has_id);
	if (fragments_bytes)
		memcpy(at, record + HEAD + regs_bytes, fragments_bytes);
	return offset;
}

/* Does the row that was put last say the same as that one before it? */
static bool says_the_same(const struct maker *m, uint32_t before, uint32_t now)
{
	const uint8_t *a = m->out->rows.data + before, *b = m->out->rows.data + now;

	return get_le32(a) == get_le32(b) && !memcmp(a, b, TSC_AT) && !memcmp(a + HEAD, b + HEAD, get_le32(a) - HEAD);
}

static void note_task(struct maker *m, const uint8_t *record, const struct names *names, bool is_identity)
{
	struct known_task *task = m->last;
	bool is_new, is_other;
	uint32_t row;

	if (!task || task->task != names->task)
		task = find_task(m, names->task);
	is_new = !task->used;
	is_other = is_new || task->has_id != names->has_id || task->id != names->id;
	m->last = task;
	if (!is_identity && !is_other)
		return;
	row = put_row(m, record, names, is_identity);
	if (row == NO_ROW)
		return;
	if (is_identity && !is_other && task->row != NO_ROW && says_the_same(m, task->row, row)) {
		m->out->rows.size_bytes = row;
		m->out->nr_rows--;
		return;
	}
	*task = (struct known_task){.task = names->task,
				    .id = names->id,
				    .used = true,
				    .has_id = names->has_id,
				    .row = is_identity ? row : NO_ROW};
}

static void note_number(struct maker *m, uint8_t abi, bool known, uint64_t value)
{
	uint32_t nr = (uint32_t)value & (abi == TRAP_ABI_X32 ? ~(1u << 30) : ~0u);

	if (!known)
		m->out->flags |= TAPE_BRIEF_UNNUMBERED;
	else if (nr < TAPE_BRIEF_NRS)
		m->dense[abi][nr] = 1;
	else
		m->odd = true;
}

static void note_record(struct maker *m, const uint8_t *record)
{
	uint32_t size_bytes = get_le32(record), mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	uint8_t type = record[offsetof(struct trap_record, type)], abi = record[offsetof(struct trap_record, abi)];
	struct names names = {0};
	unsigned nr_regs;
	uint64_t number = 0;
	const uint8_t *at;

	if (type == TRAP_MARK || type == TRAP_PLAN)
		return;
	if (type != TRAP_ENTER && type != TRAP_EXIT && type != TRAP_IDENTITY) {
		m->odd = true;
		return;
	}
	if (m->counted[type].mask != mask) {
		m->counted[type].mask = mask;
		m->counted[type].nr_regs = (unsigned)__builtin_popcount(mask);
	}
	nr_regs = m->counted[type].nr_regs;
	if (mask >> TRAP_REGS || HEAD + 8u * nr_regs > size_bytes || abi >= TRAP_ABIS) {
		m->odd = true;
		return;
	}
	at = record + HEAD + 8u * nr_regs;
	if (mask & NR_BIT)
		number = get_le64(at -= 8);
	if (mask & ID_BIT) {
		names.id = get_le64(at -= 8);
		names.has_id = true;
	}
	if (mask & TASK_BIT) {
		names.task = get_le64(at - 8);
		names.has_task = names.task != 0;
	}
	if (type == TRAP_ENTER)
		note_number(m, abi, mask & 1, mask & 1 ? get_le64(record + HEAD) : 0);
	else if (type == TRAP_EXIT)
		note_number(m, abi, mask & NR_BIT, number);
	if (names.has_task)
		note_task(m, record, &names, type == TRAP_IDENTITY);
	else if (type != TRAP_IDENTITY)
		m->out->flags |= TAPE_BRIEF_NAMELESS;
}

int tape_brief_make(struct tape_brief *out, const uint8_t *records, size_t size_bytes)
{
	struct maker *m = calloc(1, sizeof(*m));

	*out = (struct tape_brief){0};
	if (!m)
		return -ENOMEM;
	m->out = out;
	for (size_t at = 0; at < size_bytes && !m->odd; at += get_le32(records + at))
		note_record(m, records + at);
	for (uint32_t abi = 0; abi < TRAP_ABIS && !m->odd; abi++)
		for (uint32_t nr = 0; nr < TAPE_BRIEF_NRS; nr++)
			if (m->dense[abi][nr])
				byte_buffer_add_u32(&out->nrs, tape_nr_key((uint8_t)abi, nr));
	if (out->nrs.bad || out->rows.bad) {
		free(m);
		tape_brief_deinit(out);
		return -ENOMEM;
	}
	if (m->odd)
		tape_brief_deinit(out);
	else
		out->flags |= TAPE_BRIEF_KNOWN;
	free(m);
	return 0;
}

/* ---- written --------------------------------------------------------- */

void tape_briefs_deinit(struct tape_briefs *briefs)
{
	byte_buffer_deinit(&briefs->texts);
	byte_buffer_deinit(&briefs->list);
	free(briefs->places);
	*briefs = (struct tape_briefs){0};
}

void tape_briefs_reset(struct tape_briefs *briefs, uint32_t max_bytes)
{
	briefs->max_bytes = max_bytes;
	briefs->texts_room = max_bytes / TEXTS_LEAST;
	briefs->texts.size_bytes = briefs->list.size_bytes = 0;
	briefs->nr_texts = 0;
	if (briefs->places)
		memset(briefs->places, 0, PLACES * sizeof(*briefs->places));
}

/* Numbers below 2^32 take 5 bytes at most, a time 10. */
static size_t cost_of(const struct tape_brief *brief)
{
	return 1 + 5 + brief->nrs.size_bytes / 4 * 5 + 5 + brief->nr_rows * 15u + brief->rows.size_bytes;
}

static bool has_room(const struct tape_briefs *briefs, const struct tape_brief *brief)
{
	return briefs->texts.size_bytes + briefs->list.size_bytes + cost_of(brief) <= briefs->max_bytes &&
	       briefs->nr_texts + brief->nr_rows <= TAPE_BRIEF_TEXTS;
}

size_t tape_briefs_bound(const struct tape_briefs *briefs, const struct tape_brief *more)
{
	size_t bytes = 5 + briefs->texts.size_bytes + briefs->list.size_bytes;

	if (!briefs->max_bytes)
		return 0;
	return more ? bytes + (has_room(briefs, more) ? cost_of(more) : 1) : bytes;
}

/* The place of this row's text, or the free one where it belongs. */
static struct tape_brief_text *find_text(const struct tape_briefs *briefs, const uint8_t *text)
{
	uint32_t size_bytes = get_le32(text), at = (uint32_t)tape_hash(text, size_bytes) % PLACES;

	for (;; at = (at + 1) % PLACES) {
		struct tape_brief_text *place = &briefs->places[at];

		if (!place->used || (get_le32(briefs->texts.data + place->offset) == size_bytes &&
				     !memcmp(briefs->texts.data + place->offset, text, size_bytes)))
			return place;
	}
}

static void take_text(uint8_t text[TAPE_BRIEF_MAX_BYTES], const uint8_t *row)
{
	memcpy(text, row, get_le32(row));
	memset(text + offsetof(struct trap_record, vcpu), 0, 2);
	memset(text + TSC_AT, 0, 8);
}

/* Number of the text of this row, which becomes one if there is none. */
static int text_of(struct tape_briefs *briefs, const uint8_t *row, uint32_t *number)
{
	uint8_t text[TAPE_BRIEF_MAX_BYTES];
	struct tape_brief_text *place;

	take_text(text, row);
	place = find_text(briefs, text);
	if (!place->used) {
		*place = (struct tape_brief_text){(uint32_t)briefs->texts.size_bytes, briefs->nr_texts++, true};
		byte_buffer_add(&briefs->texts, text, get_le32(text));
	}
	*number = place->number;
	return briefs->texts.bad ? -ENOMEM : 0;
}

/* Bytes of those of its texts that are not there yet. */
static size_t new_bytes(const struct tape_briefs *briefs, const struct tape_brief *brief)
{
	uint8_t text[TAPE_BRIEF_MAX_BYTES];
	size_t bytes = 0;

	for (size_t at = 0; at < brief->rows.size_bytes; at += get_le32(brief->rows.data + at)) {
		take_text(text, brief->rows.data + at);
		bytes += find_text(briefs, text)->used ? 0 : get_le32(text);
	}
	return bytes;
}

int tape_briefs_add(struct tape_briefs *briefs, const struct tape_brief *brief, const struct tape_chunk_header *header)
{
	uint32_t nr_nrs = (uint32_t)(brief->nrs.size_bytes / 4), before = 0, number;
	uint64_t last_tsc = header->min_tsc;

	if (!briefs->max_bytes)
		return 0;
	if (!briefs->places)
		briefs->places = calloc(PLACES, sizeof(*briefs->places));
	if (!briefs->places)
		return -ENOMEM;
	briefs->texts_room += header->stored_bytes / TEXTS_SHARE;
	/* Where many processes begin, a chunk has calls for which it must be read in any case. */
	if (!(brief->flags & TAPE_BRIEF_KNOWN) || !has_room(briefs, brief) ||
	    briefs->texts.size_bytes + new_bytes(briefs, brief) > briefs->texts_room) {
		byte_buffer_add_u8(&briefs->list, 0);
		return briefs->list.bad ? -ENOMEM : 0;
	}
	byte_buffer_add_u8(&briefs->list, brief->flags);
	byte_buffer_add_varint(&briefs->list, nr_nrs);
	for (uint32_t i = 0; i < nr_nrs; i++) {
		uint32_t nr = get_le32(brief->nrs.data + 4 * (size_t)i);

		byte_buffer_add_varint(&briefs->list, nr - before);
		before = nr;
	}
	byte_buffer_add_varint(&briefs->list, brief->nr_rows);
	for (size_t at = 0; at < brief->rows.size_bytes; at += get_le32(brief->rows.data + at)) {
		uint64_t tsc = get_le64(brief->rows.data + at + TSC_AT), passed = tsc - last_tsc;

		if (text_of(briefs, brief->rows.data + at, &number))
			return -ENOMEM;
		byte_buffer_add_varint(&briefs->list, number);
		byte_buffer_add_varint(&briefs->list, passed << 1 ^ -(passed >> 63));
		last_tsc = tsc;
	}
	return briefs->list.bad ? -ENOMEM : 0;
}

void tape_briefs_encode(const struct tape_briefs *briefs, struct byte_buffer *out)
{
	byte_buffer_add_varint(out, briefs->nr_texts);
	byte_buffer_add(out, briefs->texts.data, briefs->texts.size_bytes);
	byte_buffer_add(out, briefs->list.data, briefs->list.size_bytes);
}

/* ---- read ------------------------------------------------------------ */

void tape_briefs_view_deinit(struct tape_briefs_view *view)
{
	free(view->texts);
	free(view->briefs);
	*view = (struct tape_briefs_view){0};
}

/* Is it what put_row() and take_text() leave of a record? */
static bool is_text(const struct trap_view *view)
{
	const struct trap_record *header = &view->header;

	return header->type == TRAP_IDENTITY && !header->abi && !header->via && !header->flags && !header->vcpu &&
	       !header->seq && !header->tsc && !(header->reg_mask & ~(TASK_BIT | ID_BIT)) && view->regs[TRAP_REG_TASK];
}

static const char *decode_texts(struct tape_briefs_view *out, struct byte_reader *reader, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct trap_view view;
		int size_bytes = trap_view_parse(&view, reader->at, reader->left_bytes, NULL);

		if (size_bytes <= 0 || !is_text(&view))
			return "a record of its briefs is not valid";
		out->texts[i] = byte_reader_take(reader, (size_t)size_bytes);
	}
	out->nr_texts = nr;
	return NULL;
}

/* Steps over one. */
static bool check_brief(const struct tape_briefs_view *view, struct byte_reader *reader)
{
	uint8_t flags = byte_reader_u8(reader);
	uint64_t nr, last = 0;
	size_t rows_bytes = 0;

	if (reader->bad || flags & ~TAPE_BRIEF_ALL || (flags && !(flags & TAPE_BRIEF_KNOWN)))
		return false;
	if (!flags)
		return true;
	nr = byte_reader_varint(reader);
	if (reader->bad || nr > TRAP_ABIS * TAPE_BRIEF_NRS)
		return false;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t step = byte_reader_varint(reader);

		if (reader->bad || step > UINT32_MAX || (i && !step))
			return false;
		last += step;
		if (last >> 28 >= TRAP_ABIS || (last & 0x0fffffff) >= TAPE_BRIEF_NRS)
			return false;
	}
	nr = byte_reader_varint(reader);
	if (reader->bad || nr > TAPE_BRIEF_ROWS)
		return false;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t text = byte_reader_varint(reader);

		byte_reader_varint(reader);
		if (reader->bad || text >= view->nr_texts)
			return false;
		rows_bytes += get_le32(view->texts[text]);
		if (rows_bytes > TAPE_BRIEF_MAX_BYTES)
			return false;
	}
	return true;
}

int tape_briefs_decode(struct tape_briefs_view *out, const uint8_t *section, size_t size_bytes, uint32_t nr_chunks,
		       const char **why)
{
	struct byte_reader reader = byte_reader(section, size_bytes);
	uint64_t nr_texts = byte_reader_varint(&reader);

	*out = (struct tape_briefs_view){0};
	*why = NULL;
	if (reader.bad || nr_texts > TAPE_BRIEF_TEXTS || nr_chunks > reader.left_bytes) {
		*why = "its briefs are too many, or too few";
		return -EBADMSG;
	}
	out->texts = calloc(nr_texts + 1, sizeof(*out->texts));
	out->briefs = calloc(nr_chunks + 1, sizeof(*out->briefs));
	if (!out->texts || !out->briefs) {
		tape_briefs_view_deinit(out);
		return -ENOMEM;
	}
	*why = decode_texts(out, &reader, (uint32_t)nr_texts);
	for (; out->nr_briefs < nr_chunks && !*why; out->nr_briefs++) {
		out->briefs[out->nr_briefs] = reader;
		if (!check_brief(out, &reader))
			*why = "a brief of it is not valid";
	}
	if (!*why && reader.left_bytes)
		*why = "bytes are left over behind its briefs";
	if (!*why)
		return 0;
	tape_briefs_view_deinit(out);
	return -EBADMSG;
}

int tape_brief_get(const struct tape_briefs_view *view, uint32_t number, uint16_t vcpu, uint64_t min_tsc,
		   struct tape_brief *out)
{
	struct byte_reader reader = view->briefs[number];
	uint32_t nr = 0, count;
	uint64_t tsc = min_tsc;

	out->nrs.size_bytes = out->rows.size_bytes = 0;
	out->nr_rows = 0;
	out->flags = byte_reader_u8(&reader);
	if (!out->flags)
		return 0;
	count = (uint32_t)byte_reader_varint(&reader);
	for (uint32_t i = 0; i < count; i++) {
		nr += (uint32_t)byte_reader_varint(&reader);
		byte_buffer_add_u32(&out->nrs, nr);
	}
	out->nr_rows = (uint32_t)byte_reader_varint(&reader);
	for (uint32_t i = 0; i < out->nr_rows; i++) {
		const uint8_t *text = view->texts[byte_reader_varint(&reader)];
		uint64_t step = byte_reader_varint(&reader);
		uint8_t *row = byte_buffer_extend(&out->rows, get_le32(text));

		if (!row)
			break;
		tsc += step >> 1 ^ -(step & 1);
		memcpy(row, text, get_le32(text));
		put_le16(row + offsetof(struct trap_record, vcpu), vcpu);
		put_le64(row + TSC_AT, tsc);
	}
	return out->nrs.bad || out->rows.bad ? -ENOMEM : 0;
}
