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
	uint8_t followers[256];    /* by code: the one that came behind it last */
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
	const uint8_t *head = record + COMPACT_HEAD_AT;

	return get_le64(shape->head) == get_le64(head) && get_le32(shape->head + 8) == get_le32(head + 8) &&
	       shape->call == call_of(shape, record + sizeof(struct trap_record));
}

static inline uint32_t mask_of(const uint8_t *record)
{
	return get_le32(record + offsetof(struct trap_record, reg_mask));
}

/* Its place in codes[], or the free one where it belongs. */
static uint32_t find_shape(const struct tape_compactor *c, const uint8_t *record)
{
	uint32_t mask = mask_of(record), at;
	const uint8_t *regs = record + sizeof(struct trap_record);
	uint64_t call = 0;

	if (record[offsetof(struct trap_record, type)] == TRAP_ENTER)
		call = mask & 1 ? get_le64(regs) : 0;
	else if (mask >> TRAP_REG_NR & 1)
		call = get_le64(regs + 8 * __builtin_popcount(mask & ((1u << TRAP_REG_NR) - 1)));
	at = compact_hash(get_le64(record + COMPACT_HEAD_AT) ^ (uint64_t)mask << 13 ^ call << 40);
	for (;; at++) {
		unsigned code = c->codes[at &= HASH_SLOTS - 1];

		if (code == COMPACT_NONE || is_shape(&c->model.shapes[code], record))
			return at;
	}
}

/* Is the record just what its registers and its fragments' lengths say, zeros between them? */
static inline bool is_regular(const uint8_t *record, uint32_t size_bytes, unsigned nr_regs)
{
	uint32_t at = (uint32_t)sizeof(struct trap_record) + 8 * nr_regs;

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
	c->codes[find_shape(c, record)] = (uint8_t)code;
	put_u8(c, COMPACT_CODES, COMPACT_NEW);
	put_bytes(c, COMPACT_AUX, head, COMPACT_HEAD_BYTES);
	if (shape->call_at != COMPACT_NONE)
		put_varint(c, shape->call);
	/* All records of this shape touch the same number. */
	tape_touch_record(&c->touch, record, get_le32(record));
	return code;
}

/* The record's shape, COMPACT_NONE for a new one; false: it can have none, as it is not regular. */
static inline bool get_code(struct tape_compactor *c, const uint8_t *record, uint32_t size_bytes, unsigned *code)
{
	uint8_t *follower = &c->followers[c->model.history & 0xff];
	const struct compact_shape *guess = *follower < c->model.nr_shapes ? &c->model.shapes[*follower] : NULL;

	if (guess && size_bytes >= sizeof(struct trap_record) + 8u * guess->nr_regs && is_shape(guess, record)) {
		*code = *follower;
		return is_regular(record, size_bytes, guess->nr_regs);
	}
	if (!is_regular(record, size_bytes, (unsigned)__builtin_popcount(mask_of(record))))
		return false;
	*code = *follower = c->codes[find_shape(c, record)];
	return true;
}

/* ---- registers ------------------------------------------------------- */

static inline unsigned value_bytes(uint64_t value)
{
	return (71u - (unsigned)__builtin_clzll(value | 1)) / 8;
}

/* The streams that a register may go to, in a place where the compiler can keep them in registers. */
struct value_streams {
	uint8_t *controls;
	uint8_t *values[3]; /* by value_stream[] */
	uint64_t last;      /* difference of the changed register before */
};

static const uint8_t value_stream[9] = {0, 0, 1, 2, 2, 2, 2, 2, 2};

/* task: registers of the task; reg: which one this is. */
static inline void put_value(struct value_streams *to, uint64_t value, uint64_t row, const uint64_t *task, unsigned reg)
{
	uint64_t difference = value - row, again = to->last, coded, small;
	unsigned size_bytes, control;

	to->last = difference;
	if (value == task[reg]) {
		*to->controls++ = COMPACT_SAME;
		return;
	}
	for (unsigned i = 0; i < sizeof(compact_task_regs); i++) {
		if (value == task[compact_task_regs[i]]) {
			*to->controls++ = (uint8_t)(COMPACT_TASK_REG + i);
			return;
		}
	}
	if (difference == again) {
		*to->controls++ = COMPACT_AGAIN;
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
		uint64_t other = compact_zigzag(value - task[reg]);
		unsigned other_bytes = value_bytes(other);

		if (other_bytes < size_bytes) {
			coded = other;
			size_bytes = other_bytes;
			control = COMPACT_TASK_DELTA + size_bytes;
		}
	}
	*to->controls++ = (uint8_t)control;
	put_le64(to->values[value_stream[size_bytes]], coded);
	to->values[value_stream[size_bytes]] += size_bytes;
}

static inline void put_regs(struct tape_compactor *c, unsigned code, const uint8_t *regs)
{
	struct value_streams to = {c->at[COMPACT_CONTROLS],
				   {c->at[COMPACT_VALUES_1], c->at[COMPACT_VALUES_2], c->at[COMPACT_VALUES_N]},
				   0};
	struct compact_model *model = &c->model;
	struct compact_shape *shape = &model->shapes[code];
	uint64_t *stack = compact_stack(model, code), *row, rsp = 0;
	unsigned nr_regs = shape->nr_regs;
	uint32_t changed = 0, rsp_bit = 0;

	if (shape->stack_at != COMPACT_NONE) {
		rsp = get_le64(regs + 8 * shape->stack_at);
		if (rsp != *stack) {
			rsp_bit = 1u << shape->stack_at;
			put_value(&to, rsp, *stack, model->task, TRAP_REG_RSP);
			*stack = rsp;
		}
	}
	row = compact_row(model, shape, rsp);
	if (shape->stack_at != COMPACT_NONE)
		row[shape->stack_at] = rsp;
	if (shape->call_at != COMPACT_NONE)
		row[shape->call_at] = shape->call;
	for (unsigned i = nr_regs; i-- > 0;)
		changed = changed + changed + (get_le64(regs + 8 * i) != row[i]);
	put_le32(c->at[COMPACT_MASKS], changed | rsp_bit);
	c->at[COMPACT_MASKS] += compact_mask_bytes(shape);
	if (shape->task_at != COMPACT_NONE) {
		uint64_t task = get_le64(regs + 8 * shape->task_at);

		if (changed >> shape->task_at & 1)
			put_value(&to, task, row[shape->task_at], model->task, TRAP_REG_TASK);
		changed &= ~(1u << shape->task_at);
		row[shape->task_at] = task;
		compact_set_task(model, task);
	}
	if (rsp_bit)
		model->task[TRAP_REG_RSP] = rsp;
	for (; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed);
		uint64_t value = get_le64(regs + 8 * i);

		put_value(&to, value, row[i], model->task, shape->reg[i]);
		compact_learn(model, shape, row, i, value);
	}
	c->at[COMPACT_CONTROLS] = to.controls;
	memcpy(&c->at[COMPACT_VALUES_1], to.values, sizeof(to.values));
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
			&shape->templates[i < COMPACT_TEMPLATES ? i : COMPACT_TEMPLATES - 1],
					new = *template;
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

	if (!get_code(c, record, size_bytes, &code)) {
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
	if (code == COMPACT_NONE)
		code = add_shape(c, record);
	else
		put_u8(c, COMPACT_CODES, code);
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
	memset(c->followers, COMPACT_NONE, sizeof(c->followers));
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
