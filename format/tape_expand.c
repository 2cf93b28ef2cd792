/* SPDX-License-Identifier: MIT */
/*
 * tape_expand.c - decoder of TRAPS layout 2, for bytes from outside. Each
 * stream is read to its own end only, each record must fit into what is left
 * of the rows; time is linear in payload and rows.
 */
#include "tape_compact.h"

struct expansion {
	struct compact_model *model;
	const uint8_t *at[COMPACT_STREAMS];
	const uint8_t *end[COMPACT_STREAMS];
	uint8_t *row; /* where the next record goes */
	uint8_t *rows_end;
};

static inline size_t left_in(const struct expansion *x, enum compact_stream stream)
{
	return (size_t)(x->end[stream] - x->at[stream]);
}

static inline size_t room_bytes(const struct expansion *x)
{
	return (size_t)(x->rows_end - x->row);
}

/* The next bytes of the stream, or NULL. */
static inline const uint8_t *take(struct expansion *x, enum compact_stream stream, size_t size_bytes)
{
	const uint8_t *at = x->at[stream];

	if (size_bytes > left_in(x, stream))
		return NULL;
	x->at[stream] = at + size_bytes;
	return at;
}

static bool take_varint(struct expansion *x, uint64_t *out)
{
	struct byte_reader reader = byte_reader(x->at[COMPACT_AUX], left_in(x, COMPACT_AUX));

	*out = byte_reader_varint(&reader);
	x->at[COMPACT_AUX] = reader.at;
	return !reader.bad;
}

/* ---- head ------------------------------------------------------------ */

static bool get_time(struct expansion *x, bool is_exit)
{
	const uint8_t *low = take(x, COMPACT_TIME_0, 1);
	const uint8_t *next = take(x, is_exit ? COMPACT_TIME_1_EXIT : COMPACT_TIME_1, 1);
	uint64_t upper = 0;

	if (!low || !next || (*next == 255 && !take_varint(x, &upper)))
		return false;
	x->model->last_tsc += ((upper + *next) << 8) + *low;
	return true;
}

/* A new shape's code; false: it is not there. */
static bool get_shape(struct expansion *x, unsigned *code)
{
	const uint8_t *head = take(x, COMPACT_AUX, COMPACT_HEAD_BYTES);
	struct compact_shape *shape;

	if (!head)
		return false;
	*code = compact_shape_add(x->model, head);
	shape = &x->model->shapes[*code];
	return shape->call_at == COMPACT_NONE || take_varint(x, &shape->call);
}

/* ---- registers ------------------------------------------------------- */

enum base { BASE_ROW, BASE_TASK, BASE_ZERO };

static const struct {
	uint8_t base;
	uint8_t size_bytes;
	uint8_t stream;
} controls[COMPACT_CONTROLS_MAX + 1] = {
	[COMPACT_SAME] = {BASE_TASK, 0, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 1] = {BASE_ROW, 1, COMPACT_VALUES_1},
	[COMPACT_ROW_DELTA + 2] = {BASE_ROW, 2, COMPACT_VALUES_2},
	[COMPACT_ROW_DELTA + 3] = {BASE_ROW, 3, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 4] = {BASE_ROW, 4, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 5] = {BASE_ROW, 5, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 6] = {BASE_ROW, 6, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 7] = {BASE_ROW, 7, COMPACT_VALUES_N},
	[COMPACT_ROW_DELTA + 8] = {BASE_ROW, 8, COMPACT_VALUES_N},
	[COMPACT_SMALL + 1] = {BASE_ZERO, 1, COMPACT_VALUES_1},
	[COMPACT_SMALL + 2] = {BASE_ZERO, 2, COMPACT_VALUES_2},
	[COMPACT_AGAIN] = {BASE_ROW, 0, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 1] = {BASE_TASK, 1, COMPACT_VALUES_1},
	[COMPACT_TASK_DELTA + 2] = {BASE_TASK, 2, COMPACT_VALUES_2},
	[COMPACT_TASK_DELTA + 3] = {BASE_TASK, 3, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 4] = {BASE_TASK, 4, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 5] = {BASE_TASK, 5, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 6] = {BASE_TASK, 6, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 7] = {BASE_TASK, 7, COMPACT_VALUES_N},
	[COMPACT_TASK_DELTA + 8] = {BASE_TASK, 8, COMPACT_VALUES_N},
	[COMPACT_TASK_REG + 0] = {BASE_TASK, 0, COMPACT_VALUES_N},
	[COMPACT_TASK_REG + 1] = {BASE_TASK, 0, COMPACT_VALUES_N},
	[COMPACT_TASK_REG + 2] = {BASE_TASK, 0, COMPACT_VALUES_N},
	[COMPACT_TASK_REG + 3] = {BASE_TASK, 0, COMPACT_VALUES_N},
};

/* One changed register; false: its control or value is not there. */
static inline bool get_value(struct expansion *x, uint64_t row, unsigned reg, uint64_t *last, uint64_t *out)
{
	const uint64_t *task = x->model->task;
	uint64_t bases[] = {[BASE_ROW] = row, [BASE_TASK] = task[reg], [BASE_ZERO] = 0};
	uint8_t control = *x->at[COMPACT_CONTROLS]++, stream;
	unsigned size_bytes;
	uint64_t value = 0;

	if (control > COMPACT_CONTROLS_MAX)
		return false;
	if (control >= COMPACT_TASK_REG)
		bases[BASE_TASK] = task[compact_task_regs[control - COMPACT_TASK_REG]];
	size_bytes = controls[control].size_bytes;
	stream = controls[control].stream;
	if (size_bytes > left_in(x, stream))
		return false;
	if (size_bytes) {
		value = get_le64(x->at[stream]) & UINT64_MAX >> (64 - 8 * size_bytes);
		x->at[stream] += size_bytes;
	}
	value = bases[controls[control].base] + compact_unzigzag(value);
	if (control == COMPACT_AGAIN)
		value += *last;
	*last = value - row;
	*out = value;
	return true;
}

/* The mask of registers that are to be read; false: it or their controls are not there, or it is wrong. */
static inline bool get_mask(struct expansion *x, const struct compact_shape *shape, uint32_t *out)
{
	const uint8_t *mask = take(x, COMPACT_MASKS, compact_mask_bytes(shape));
	uint32_t changed;

	if (!mask)
		return false;
	changed = (uint32_t)(get_le32(mask) & ((1ull << 8 * compact_mask_bytes(shape)) - 1));
	*out = changed;
	if ((uint64_t)changed >> shape->nr_regs || (shape->call_at != COMPACT_NONE && changed >> shape->call_at & 1))
		return false;
	return left_in(x, COMPACT_CONTROLS) >= COMPACT_REGS ||
	       left_in(x, COMPACT_CONTROLS) >= (size_t)__builtin_popcount(changed);
}

static inline const char *get_regs(struct expansion *x, unsigned code, uint8_t *regs)
{
	struct compact_model *model = x->model;
	struct compact_shape *shape = &model->shapes[code];
	uint64_t *stack = compact_stack(model, code), *row, last = 0, rsp = 0, value;
	bool new_rsp = false;
	uint32_t changed;

	if (!get_mask(x, shape, &changed))
		return "a mask is missing or wrong, or has no controls";
	if (shape->stack_at != COMPACT_NONE) {
		new_rsp = changed >> shape->stack_at & 1;
		changed &= ~(1u << shape->stack_at);
		if (new_rsp && !get_value(x, *stack, TRAP_REG_RSP, &last, stack))
			return "a register's value is missing";
		rsp = *stack;
	}
	row = compact_row(model, shape, rsp);
	if (shape->stack_at != COMPACT_NONE)
		row[shape->stack_at] = rsp;
	if (shape->call_at != COMPACT_NONE)
		row[shape->call_at] = shape->call;
	if (shape->task_at != COMPACT_NONE) {
		value = row[shape->task_at];
		if (changed >> shape->task_at & 1 && !get_value(x, value, TRAP_REG_TASK, &last, &value))
			return "a register's value is missing";
		changed &= ~(1u << shape->task_at);
		row[shape->task_at] = value;
		compact_set_task(model, value);
	}
	if (new_rsp)
		model->task[TRAP_REG_RSP] = rsp;
	for (; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed);

		if (!get_value(x, row[i], shape->reg[i], &last, &value))
			return "a register's value is missing";
		compact_learn(model, shape, row, i, value);
	}
	for (unsigned i = 0, nr_regs = shape->nr_regs; i < nr_regs; i++)
		put_le64(regs + 8 * i, row[i]);
	return NULL;
}

/* ---- fragments ------------------------------------------------------- */

/* Replaces the description if there is another one; false: it is not there, or not one of this shape. */
static bool get_template(struct expansion *x, const struct compact_shape *shape, bool is_new,
			 struct compact_template *template)
{
	if (is_new) {
		const uint8_t *bytes = take(x, COMPACT_AUX, 4);

		if (!bytes)
			return false;
		*template = (struct compact_template){bytes[0], bytes[1], bytes[2], bytes[3]};
	}
	/* The first one is zeros, which a record without registers can't use. */
	return (template->source < shape->nr_regs || template->source == COMPACT_NO_SOURCE) &&
	       template->want < COMPACT_WANTS;
}

static bool get_want(struct expansion *x, uint8_t want, uint16_t len_bytes, uint32_t *out)
{
	uint64_t value = want == COMPACT_WANT_0 ? 0 : len_bytes + (want == COMPACT_WANT_LEN_1);

	if (want == COMPACT_WANT_AUX && (!take_varint(x, &value) || value > UINT32_MAX))
		return false;
	*out = (uint32_t)value;
	return true;
}

static const char *get_fragment(struct expansion *x, struct compact_shape *shape, unsigned number, const uint8_t *regs)
{
	struct compact_template *template =
		&shape->templates[number < COMPACT_TEMPLATES ? number : COMPACT_TEMPLATES - 1];
	const uint8_t *head = take(x, COMPACT_FRAGMENTS, 2), *bytes;
	uint32_t want_bytes, padded_bytes;
	uint16_t len_bytes;
	uint64_t gva;

	if (!head || !get_template(x, shape, head[0], template))
		return "a fragment's description is missing or wrong";
	len_bytes = head[1];
	if (len_bytes == 255) {
		const uint8_t *len = take(x, COMPACT_AUX, 2);

		if (!len)
			return "a fragment's length is missing";
		len_bytes = get_le16(len);
	}
	if (template->source == COMPACT_NO_SOURCE) {
		if (!take_varint(x, &gva))
			return "a fragment's address is missing";
		gva = x->model->last_gva + compact_unzigzag(gva);
	} else {
		gva = get_le64(regs + 8 * template->source);
	}
	if (!get_want(x, template->want, len_bytes, &want_bytes))
		return "a fragment's wanted length is missing";
	x->model->last_gva = gva;
	padded_bytes = compact_padded(len_bytes);
	if (room_bytes(x) < sizeof(struct trap_fragment) + padded_bytes)
		return "a fragment is longer than the rows";
	bytes = take(x, COMPACT_BYTES, len_bytes);
	if (!bytes)
		return "a fragment's bytes are missing";
	put_le64(x->row, gva);
	put_le32(x->row + offsetof(struct trap_fragment, want_bytes), want_bytes);
	put_le16(x->row + offsetof(struct trap_fragment, len_bytes), len_bytes);
	x->row[offsetof(struct trap_fragment, status)] = template->status;
	x->row[offsetof(struct trap_fragment, label)] = template->label;
	x->row += sizeof(struct trap_fragment);
	memset(x->row + padded_bytes - (padded_bytes ? 8 : 0), 0, padded_bytes ? 8 : 0);
	memcpy(x->row, bytes, len_bytes);
	x->row += padded_bytes;
	return NULL;
}

/* ---- records --------------------------------------------------------- */

static const char *get_raw(struct expansion *x)
{
	const uint8_t *bytes;
	uint64_t size_bytes;

	if (!take_varint(x, &size_bytes) || size_bytes < sizeof(struct trap_record) / 8 ||
	    size_bytes > TRAP_RECORD_MAX_BYTES / 8)
		return "a record's size is missing or wrong";
	size_bytes *= 8;
	if (size_bytes > room_bytes(x))
		return "a record is longer than the rows";
	bytes = take(x, COMPACT_BYTES, size_bytes - COMPACT_HEAD_AT);
	if (!bytes)
		return "a record's bytes are missing";
	put_le32(x->row, (uint32_t)size_bytes);
	memcpy(x->row + COMPACT_HEAD_AT, bytes, size_bytes - COMPACT_HEAD_AT);
	x->model->last_tsc = get_le64(x->row + offsetof(struct trap_record, tsc));
	x->model->next_seq = get_le64(x->row + offsetof(struct trap_record, seq)) + 1;
	x->row += size_bytes;
	return NULL;
}

static inline const char *get_record(struct expansion *x)
{
	struct compact_model *model = x->model;
	const uint8_t *next = take(x, COMPACT_CODES, 1);
	struct compact_shape *shape;
	uint8_t *record = x->row;
	const char *why;
	uint64_t jump;
	unsigned code;

	if (next && *next == COMPACT_RAW)
		return get_raw(x);
	if (next && *next == COMPACT_SEQ) {
		next = take(x, COMPACT_CODES, 1);
		if (!take_varint(x, &jump))
			return "a sequence number is missing";
		model->next_seq += compact_unzigzag(jump);
	}
	if (!next)
		return "codes end early";
	code = *next;
	if (code == COMPACT_NEW ? !get_shape(x, &code) : code >= model->nr_shapes)
		return "a code names no shape";
	shape = &model->shapes[code];
	if (!get_time(x, shape->is_exit))
		return "a time is missing";
	if (room_bytes(x) < sizeof(struct trap_record) + 8u * shape->nr_regs)
		return "a record is longer than the rows";
	memcpy(record + COMPACT_HEAD_AT, shape->head, COMPACT_HEAD_BYTES);
	put_le64(record + offsetof(struct trap_record, seq), model->next_seq++);
	put_le64(record + offsetof(struct trap_record, tsc), model->last_tsc);
	x->row += sizeof(struct trap_record) + 8u * shape->nr_regs;
	why = get_regs(x, code, record + sizeof(struct trap_record));
	for (unsigned i = 0; !why && i < shape->nr_fragments; i++)
		why = get_fragment(x, shape, i, record + sizeof(struct trap_record));
	if (!why && (size_t)(x->row - record) > TRAP_RECORD_MAX_BYTES)
		return "a record is longer than any";
	put_le32(record, (uint32_t)(x->row - record));
	return why;
}

const char *tape_expand(struct compact_model *model, uint8_t *rows, size_t rows_bytes, const uint8_t *payload,
			size_t size_bytes)
{
	struct expansion x = {.model = model, .row = rows, .rows_end = rows + rows_bytes};
	struct byte_reader reader = byte_reader(payload, size_bytes);
	uint64_t lengths[COMPACT_STREAMS];

	for (unsigned i = 0; i < COMPACT_STREAMS; i++)
		lengths[i] = byte_reader_varint(&reader);
	for (unsigned i = 0; i < COMPACT_STREAMS; i++) {
		x.at[i] = byte_reader_take(&reader, lengths[i]);
		if (!x.at[i])
			return "its streams are longer than it is";
		x.end[i] = x.at[i] + lengths[i];
	}
	if (reader.left_bytes)
		return "it is longer than its streams";
	compact_model_init(model);
	while (x.row < x.rows_end) {
		const char *why = get_record(&x);

		if (why)
			return why;
	}
	for (unsigned i = 0; i < COMPACT_STREAMS; i++)
		if (x.at[i] != x.end[i])
			return "its streams hold more than the rows";
	return NULL;
}
