/* SPDX-License-Identifier: MIT */
/*
 * tape_compact.c - encoder of TRAPS layout 2: takes records apart into streams
 * of what the model did not predict. Believes nothing but sizes, as
 * tape_rows_walk(), whose work it does in the same pass.
 */
#include <errno.h>

#include "tape_compact.h"

#define HASH_SLOTS  1024u /* a power of two, more than COMPACT_SHAPES */
#define MAX_RECORDS (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_record))
#define MAX_REGS    (TAPE_TRAPS_MAX_BYTES / 8)

/*
 * Room for the worst that TAPE_TRAPS_MAX_BYTES of records can bring. AUX: of a
 * record at most 10 (number) + 22 (shape) + 8 (time) or 3 (size); of a fragment,
 * which takes 16 bytes of its record, 4 + 2 + 10 + 5. Values are put with 8
 * bytes at a time.
 */
static const uint32_t stream_room[COMPACT_STREAMS] = {
	[COMPACT_CODES] = 2 * MAX_RECORDS,
	[COMPACT_MASKS] = 4 * MAX_RECORDS,
	[COMPACT_CONTROLS] = MAX_REGS,
	[COMPACT_VALUES_1] = MAX_REGS + 8,
	[COMPACT_VALUES_2] = 2 * MAX_REGS + 8,
	[COMPACT_VALUES_N] = 8 * MAX_REGS + 8,
	[COMPACT_TIME_0] = MAX_RECORDS,
	[COMPACT_TIME_1] = MAX_RECORDS,
	[COMPACT_TIME_1_EXIT] = MAX_RECORDS,
	[COMPACT_AUX] = 40 * MAX_RECORDS + 21 * (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_fragment)),
	[COMPACT_FRAGMENTS] = 2 * (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_fragment)),
	[COMPACT_BYTES] = TAPE_TRAPS_MAX_BYTES,
};

struct tape_compactor {
	struct compact_model model;
	struct tape_touch touch;
	uint64_t last_cr3;
	uint8_t *start[COMPACT_STREAMS];
	uint8_t *at[COMPACT_STREAMS];
	uint8_t lengths[COMPACT_HEADER_MAX_BYTES];
	uint8_t codes[HASH_SLOTS]; /* by hash of a shape: its code, or COMPACT_NONE */
};

void tape_compactor_destroy(struct tape_compactor *compactor)
{
	if (!compactor)
		return;
	for (unsigned i = 0; i < COMPACT_STREAMS; i++)
		free(compactor->start[i]);
	free(compactor);
}

struct tape_compactor *tape_compactor_create(void)
{
	struct tape_compactor *compactor = calloc(1, sizeof(*compactor));
	bool whole = compactor;

	for (unsigned i = 0; whole && i < COMPACT_STREAMS; i++) {
		compactor->start[i] = malloc(stream_room[i]);
		whole = compactor->start[i];
	}
	if (whole)
		return compactor;
	tape_compactor_destroy(compactor);
	return NULL;
}

static inline void put_u8(struct tape_compactor *c, enum compact_stream stream, unsigned value)
{
	*c->at[stream]++ = (uint8_t)value;
}

static inline uint8_t *put_varint_at(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

static void put_varint(struct tape_compactor *c, uint64_t value)
{
	c->at[COMPACT_AUX] = put_varint_at(c->at[COMPACT_AUX], value);
}

static void put_bytes(struct tape_compactor *c, enum compact_stream stream, const void *bytes, size_t size_bytes)
{
	memcpy(c->at[stream], bytes, size_bytes);
	c->at[stream] += size_bytes;
}

/* ---- shapes ---------------------------------------------------------- */

static inline uint64_t call_of(const struct compact_shape *shape, const uint8_t *regs)
{
	return shape->call_at == COMPACT_NONE ? 0 : get_le64(regs + 8 * shape->call_at);
}

static inline bool is_shape(const struct compact_shape *shape, const uint8_t *record)
{
	return !memcmp(shape->head, record + COMPACT_HEAD_AT, COMPACT_HEAD_BYTES) &&
	       (shape->call_at == COMPACT_NONE ||
		shape->call == get_le64(record + sizeof(struct trap_record) + 8 * shape->call_at));
}

static unsigned add_shape(struct tape_compactor *c, const uint8_t *record)
{
	const uint8_t *head = record + COMPACT_HEAD_AT, *regs = record + sizeof(struct trap_record);
	struct compact_shape *shape;
	unsigned code;

	if (c->model.nr_shapes == COMPACT_SHAPES)
		memset(c->codes, COMPACT_NONE, sizeof(c->codes));
	code = compact_shape_add(&c->model, head);
	shape = &c->model.shapes[code];
	shape->call = call_of(shape, regs);
	put_u8(c, COMPACT_CODES, COMPACT_NEW);
	put_bytes(c, COMPACT_AUX, head, COMPACT_HEAD_BYTES);
	if (shape->call_at != COMPACT_NONE)
		put_varint(c, shape->call);
	/* All records of this shape touch the same number. */
	tape_touch_record(&c->touch, record, get_le32(record));
	return code;
}

/* Code of the record's shape, which is put. */
static inline unsigned put_shape(struct tape_compactor *c, const uint8_t *record)
{
	uint32_t mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	const uint8_t *regs = record + sizeof(struct trap_record);
	uint64_t call = 0;
	uint32_t home, at;
	unsigned code;

	/* a guess at the call's number, good enough for a hash */
	if (record[offsetof(struct trap_record, type)] == TRAP_ENTER)
		call = mask & 1 ? get_le64(regs) : 0;
	else if (mask >> TRAP_REG_NR & 1)
		call = get_le64(regs + 8 * (__builtin_popcount(mask & ((1u << TRAP_REG_NR) - 1))));
	home = compact_hash(get_le64(record + COMPACT_HEAD_AT) ^ (uint64_t)mask << 13 ^ call << 40);
	for (at = home; (code = c->codes[at & (HASH_SLOTS - 1)]) != COMPACT_NONE; at++) {
		if (is_shape(&c->model.shapes[code], record)) {
			put_u8(c, COMPACT_CODES, code);
			return code;
		}
	}
	if (c->model.nr_shapes == COMPACT_SHAPES)
		at = home; /* the table will be empty */
	code = add_shape(c, record);
	c->codes[at & (HASH_SLOTS - 1)] = (uint8_t)code;
	return code;
}

/* ---- registers ------------------------------------------------------- */

static inline unsigned value_bytes(uint64_t value)
{
	return (71u - (unsigned)__builtin_clzll(value | 1)) / 8;
}

static inline void put_value(struct tape_compactor *c, uint64_t value, uint64_t row, uint64_t task, uint64_t *last)
{
	uint64_t difference = value - row, again = *last, coded, small;
	unsigned size_bytes, control;
	enum compact_stream stream;

	*last = difference;
	if (value == task) {
		put_u8(c, COMPACT_CONTROLS, COMPACT_SAME);
		return;
	}
	if (difference == again) {
		put_u8(c, COMPACT_CONTROLS, COMPACT_AGAIN);
		return;
	}
	coded = compact_zigzag(difference);
	small = compact_zigzag(value);
	size_bytes = value_bytes(coded);
	control = COMPACT_ROW_DELTA + size_bytes;
	if (small < 0x10000 && value_bytes(small) <= size_bytes) {
		coded = small;
		size_bytes = value_bytes(small);
		control = COMPACT_SMALL + size_bytes;
	} else if (size_bytes > 2) {
		uint64_t other = compact_zigzag(value - task);
		unsigned other_bytes = value_bytes(other);

		if (other_bytes < size_bytes) {
			coded = other;
			size_bytes = other_bytes;
			control = COMPACT_TASK_DELTA + size_bytes;
		}
	}
	put_u8(c, COMPACT_CONTROLS, control);
	stream = size_bytes == 1   ? COMPACT_VALUES_1
		 : size_bytes == 2 ? COMPACT_VALUES_2
				   : COMPACT_VALUES_N;
	put_le64(c->at[stream], coded);
	c->at[stream] += size_bytes;
}

static inline void put_regs(struct tape_compactor *c, unsigned code, const uint8_t *regs)
{
	struct compact_model *model = &c->model;
	struct compact_shape *shape = &model->shapes[code];
	uint64_t *row = compact_row(model, code), last = 0;
	unsigned mask_bytes = compact_mask_bytes(shape);
	uint32_t changed = 0;

	for (unsigned i = 0; i < shape->nr_regs; i++)
		changed |= (uint32_t)(get_le64(regs + 8 * i) != row[i]) << i;
	if (shape->call_at != COMPACT_NONE)
		changed &= ~(1u << shape->call_at);
	put_le32(c->at[COMPACT_MASKS], changed);
	c->at[COMPACT_MASKS] += mask_bytes;
	if (shape->task_at != COMPACT_NONE) {
		uint64_t task = get_le64(regs + 8 * shape->task_at);

		if (changed >> shape->task_at & 1)
			put_value(c, task, row[shape->task_at], model->task[TRAP_REG_TASK], &last);
		changed &= ~(1u << shape->task_at);
		compact_set_task(model, task);
	}
	for (; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed);

		put_value(c, get_le64(regs + 8 * i), row[i], model->task[shape->reg[i]], &last);
	}
	compact_learn(model, shape, row, regs);
	if (shape->cr3_at != COMPACT_NONE && row[shape->cr3_at] != c->last_cr3) {
		c->last_cr3 = row[shape->cr3_at];
		tape_touch_space(&c->touch, c->last_cr3);
	}
}

/* ---- fragments ------------------------------------------------------- */

static bool want_fits(uint8_t want, uint32_t want_bytes, uint16_t len_bytes)
{
	switch (want) {
	case COMPACT_WANT_LEN:
		return want_bytes == len_bytes;
	case COMPACT_WANT_LEN_1:
		return want_bytes == len_bytes + 1u;
	case COMPACT_WANT_0:
		return !want_bytes;
	default:
		return true;
	}
}

static uint8_t find_source(const struct compact_shape *shape, const uint8_t *regs, uint64_t gva)
{
	for (uint8_t i = 0; i < shape->nr_regs; i++)
		if (get_le64(regs + 8 * i) == gva)
			return i;
	return COMPACT_NO_SOURCE;
}

static void put_fragments(struct tape_compactor *c, struct compact_shape *shape, const uint8_t *regs)
{
	const uint8_t *at = regs + 8 * shape->nr_regs;

	for (unsigned i = 0; i < shape->nr_fragments; i++) {
		struct compact_template *template =
			&shape->templates[i < COMPACT_TEMPLATES ? i : COMPACT_TEMPLATES - 1], new = *template;
		uint64_t gva = get_le64(at);
		uint32_t want_bytes = get_le32(at + offsetof(struct trap_fragment, want_bytes));
		uint16_t len_bytes = get_le16(at + offsetof(struct trap_fragment, len_bytes));

		new.status = at[offsetof(struct trap_fragment, status)];
		new.label = at[offsetof(struct trap_fragment, label)];
		if (new.source >= shape->nr_regs || get_le64(regs + 8 * new.source) != gva)
			new.source = find_source(shape, regs, gva);
		if (!want_fits(new.want, want_bytes, len_bytes))
			for (new.want = 0; !want_fits(new.want, want_bytes, len_bytes); new.want++)
				;
		put_u8(c, COMPACT_FRAGMENTS, memcmp(&new, template, sizeof(new)) != 0);
		if (c->at[COMPACT_FRAGMENTS][-1])
			put_bytes(c, COMPACT_AUX, &new, sizeof(new));
		*template = new;
		put_u8(c, COMPACT_FRAGMENTS, len_bytes < 255 ? len_bytes : 255);
		if (len_bytes >= 255) {
			put_le16(c->at[COMPACT_AUX], len_bytes);
			c->at[COMPACT_AUX] += 2;
		}
		if (new.source == COMPACT_NO_SOURCE)
			put_varint(c, compact_zigzag(gva - c->model.last_gva));
		if (new.want == COMPACT_WANT_AUX)
			put_varint(c, want_bytes);
		c->model.last_gva = gva;
		put_bytes(c, COMPACT_BYTES, at + sizeof(struct trap_fragment), len_bytes);
		at += sizeof(struct trap_fragment) + compact_padded(len_bytes);
	}
}

/* ---- records --------------------------------------------------------- */

/* Is it just what its shape and its fragments' lengths say, zeros between them? */
static inline bool is_regular(const uint8_t *record, uint32_t size_bytes)
{
	uint32_t mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	uint32_t at = (uint32_t)sizeof(struct trap_record) + 8 * (uint32_t)__builtin_popcount(mask);

	for (unsigned left = get_le16(record + offsetof(struct trap_record, nr_fragments)); left; left--) {
		uint32_t len_bytes, end;

		if (at > size_bytes || size_bytes - at < sizeof(struct trap_fragment))
			return false;
		len_bytes = get_le16(record + at + offsetof(struct trap_fragment, len_bytes));
		at += (uint32_t)sizeof(struct trap_fragment);
		end = at + compact_padded(len_bytes);
		if (end > size_bytes)
			return false;
		for (at += len_bytes; at < end; at++)
			if (record[at])
				return false;
	}
	return at == size_bytes;
}

static inline void put_time(struct tape_compactor *c, uint64_t tsc, bool is_exit)
{
	uint64_t passed = tsc - c->model.last_tsc, upper = passed >> 8;

	c->model.last_tsc = tsc;
	put_u8(c, COMPACT_TIME_0, (unsigned)(passed & 0xff));
	put_u8(c, is_exit ? COMPACT_TIME_1_EXIT : COMPACT_TIME_1, upper < 255 ? (unsigned)upper : 255);
	if (upper >= 255)
		put_varint(c, upper - 255);
}

static inline void put_record(struct tape_compactor *c, const uint8_t *record, uint32_t size_bytes)
{
	struct compact_model *model = &c->model;
	uint64_t seq = get_le64(record + offsetof(struct trap_record, seq));
	uint64_t tsc = get_le64(record + offsetof(struct trap_record, tsc));
	const uint8_t *regs = record + sizeof(struct trap_record);
	struct compact_shape *shape;
	unsigned code;

	if (!is_regular(record, size_bytes)) {
		put_u8(c, COMPACT_CODES, COMPACT_RAW);
		put_varint(c, size_bytes / 8);
		put_bytes(c, COMPACT_BYTES, record + COMPACT_HEAD_AT, size_bytes - COMPACT_HEAD_AT);
		tape_touch_record(&c->touch, record, size_bytes);
		model->last_tsc = tsc;
		model->next_seq = seq + 1;
		return;
	}
	if (seq != model->next_seq) {
		put_u8(c, COMPACT_CODES, COMPACT_SEQ);
		put_varint(c, compact_zigzag(seq - model->next_seq));
	}
	model->next_seq = seq + 1;
	code = put_shape(c, record);
	shape = &model->shapes[code];
	put_time(c, tsc, shape->is_exit);
	put_regs(c, code, regs);
	if (shape->nr_fragments)
		put_fragments(c, shape, regs);
}

static void begin(struct tape_compactor *c)
{
	compact_model_init(&c->model);
	memset(c->codes, COMPACT_NONE, sizeof(c->codes));
	memcpy(c->at, c->start, sizeof(c->at));
	c->last_cr3 = 0;
}

static void finish(struct tape_compactor *c, struct tape_compacted *out, size_t rows_bytes)
{
	uint8_t *lengths = c->lengths;

	for (unsigned i = 0; i < COMPACT_STREAMS; i++) {
		out->parts[i + 1].data = c->start[i];
		out->parts[i + 1].size_bytes = (size_t)(c->at[i] - c->start[i]);
		out->size_bytes += out->parts[i + 1].size_bytes;
		lengths = put_varint_at(lengths, out->parts[i + 1].size_bytes);
	}
	out->parts[0].data = c->lengths;
	out->parts[0].size_bytes = (size_t)(lengths - c->lengths);
	out->size_bytes += out->parts[0].size_bytes;
	if (out->size_bytes > rows_bytes)
		*out = (struct tape_compacted){0};
}

int tape_compact(struct tape_compactor *compactor, struct tape_compacted *compacted, struct tape_rows *out,
		 const uint8_t *records, size_t size_bytes, size_t *bad_at)
{
	*out = (struct tape_rows){.min_tsc = UINT64_MAX};
	*compacted = (struct tape_compacted){0};
	if (tape_touch_begin(&compactor->touch, &out->touched))
		return -ENOMEM;
	begin(compactor);
	for (size_t at = 0; at < size_bytes;) {
		const uint8_t *record = records + at;
		uint32_t record_bytes = tape_row_bytes(record, size_bytes - at);

		if (!record_bytes) {
			*bad_at = at;
			tape_touched_deinit(&out->touched);
			return -EBADMSG;
		}
		tape_rows_count(out, record);
		put_record(compactor, record, record_bytes);
		at += record_bytes;
	}
	if (!out->nr_records)
		out->min_tsc = 0;
	tape_touch_finish(&compactor->touch);
	finish(compactor, compacted, size_bytes);
	return 0;
}
