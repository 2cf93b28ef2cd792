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
	uint8_t *rows;
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

static bool get_seq(struct expansion *x)
{
	uint64_t jump;

	if (!take_varint(x, &jump))
		return false;
	x->model->next_seq += compact_unzigzag(jump);
	return true;
}

/* Another task; false: it is not there, or can't be. */
static bool get_task(struct expansion *x)
{
	const uint8_t *place = take(x, COMPACT_CODES, 1), *key;
	struct compact_model *model = x->model;

	if (!place || (*place >= COMPACT_TASKS && *place != COMPACT_NEW_TASK))
		return false;
	if (*place != COMPACT_NEW_TASK) {
		model->task = &model->tasks[*place];
		return true;
	}
	key = take(x, COMPACT_AUX, 8);
	if (!key)
		return false;
	model->task = &model->tasks[compact_task_place(get_le64(key))];
	model->task->key = get_le64(key);
	return true;
}

/* The code of a shape, which may be new; false: it is not there, or names none. */
static bool get_code(struct expansion *x, unsigned *code)
{
	const uint8_t *next = take(x, COMPACT_CODES, 1), *head;
	struct compact_shape *shape;

	if (!next)
		return false;
	*code = *next;
	if (*code != COMPACT_NEW)
		return *code < x->model->nr_shapes;
	head = take(x, COMPACT_AUX, COMPACT_HEAD_BYTES);
	if (!head)
		return false;
	*code = compact_shape_add(x->model, head);
	shape = &x->model->shapes[*code];
	return shape->call_at == COMPACT_NONE || take_varint(x, &shape->call);
}

/* ---- registers ------------------------------------------------------- */

enum base { BASE_ROW, BASE_TASK, BASE_ZERO, BASE_STEP, BASE_AGAIN, BASE_TASK_REG, BASES = BASE_TASK_REG + 4 };

static const struct {
	uint8_t base;
	uint8_t size_bytes;
} controls[COMPACT_CONTROLS_MAX + 1] = {
	[COMPACT_SAME] = {BASE_TASK, 0},
	[COMPACT_ROW_DELTA + 1] = {BASE_ROW, 1},
	[COMPACT_ROW_DELTA + 2] = {BASE_ROW, 2},
	[COMPACT_ROW_DELTA + 3] = {BASE_ROW, 3},
	[COMPACT_ROW_DELTA + 4] = {BASE_ROW, 4},
	[COMPACT_ROW_DELTA + 5] = {BASE_ROW, 5},
	[COMPACT_ROW_DELTA + 6] = {BASE_ROW, 6},
	[COMPACT_ROW_DELTA + 7] = {BASE_ROW, 7},
	[COMPACT_ROW_DELTA + 8] = {BASE_ROW, 8},
	[COMPACT_SMALL + 1] = {BASE_ZERO, 1},
	[COMPACT_SMALL + 2] = {BASE_ZERO, 2},
	[COMPACT_AGAIN] = {BASE_AGAIN, 0},
	[COMPACT_TASK_DELTA + 1] = {BASE_TASK, 1},
	[COMPACT_TASK_DELTA + 2] = {BASE_TASK, 2},
	[COMPACT_TASK_DELTA + 3] = {BASE_TASK, 3},
	[COMPACT_TASK_DELTA + 4] = {BASE_TASK, 4},
	[COMPACT_TASK_DELTA + 5] = {BASE_TASK, 5},
	[COMPACT_TASK_DELTA + 6] = {BASE_TASK, 6},
	[COMPACT_TASK_DELTA + 7] = {BASE_TASK, 7},
	[COMPACT_TASK_DELTA + 8] = {BASE_TASK, 8},
	[COMPACT_TASK_REG + 0] = {BASE_TASK_REG + 0, 0},
	[COMPACT_TASK_REG + 1] = {BASE_TASK_REG + 1, 0},
	[COMPACT_TASK_REG + 2] = {BASE_TASK_REG + 2, 0},
	[COMPACT_TASK_REG + 3] = {BASE_TASK_REG + 3, 0},
	[COMPACT_STEP] = {BASE_STEP, 0},
};

/* Are there values for any record? Then none of them has to be looked for. */
static inline bool has_plenty(const struct expansion *x)
{
	return left_in(x, COMPACT_CONTROLS) > COMPACT_REGS && left_in(x, COMPACT_VALUES_1) > COMPACT_REGS &&
	       left_in(x, COMPACT_VALUES_LOW) > COMPACT_REGS && left_in(x, COMPACT_VALUES_NEXT) > COMPACT_REGS &&
	       left_in(x, COMPACT_VALUES_REST) > 6 * COMPACT_REGS;
}

static inline unsigned rest_bytes(unsigned size_bytes)
{
	return size_bytes > 2 ? size_bytes - 2 : 0;
}

static inline bool has_value(const struct expansion *x, unsigned size_bytes)
{
	return left_in(x, COMPACT_VALUES_1) >= (size_bytes == 1) &&
	       left_in(x, COMPACT_VALUES_LOW) >= (size_bytes > 1) &&
	       left_in(x, COMPACT_VALUES_NEXT) >= (size_bytes > 1) &&
	       left_in(x, COMPACT_VALUES_REST) >= rest_bytes(size_bytes);
}

/* A value that is there. Its size is as good as random: there is no branch on it. */
static inline uint64_t take_value(struct expansion *x, unsigned size_bytes)
{
	static const uint64_t masks[] = {
		0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, UINT64_MAX};
	uint64_t longer = *x->at[COMPACT_VALUES_LOW] | (uint64_t)*x->at[COMPACT_VALUES_NEXT] << 8 |
			  get_le64(x->at[COMPACT_VALUES_REST]) << 16;
	uint64_t value = size_bytes == 1 ? *x->at[COMPACT_VALUES_1] : longer & masks[size_bytes];

	x->at[COMPACT_VALUES_1] += size_bytes == 1;
	x->at[COMPACT_VALUES_LOW] += size_bytes > 1;
	x->at[COMPACT_VALUES_NEXT] += size_bytes > 1;
	x->at[COMPACT_VALUES_REST] += rest_bytes(size_bytes);
	return value;
}

/* One changed register; false: its control is wrong, or its value is not there. */
static inline bool get_value(struct expansion *x, bool plenty, uint64_t row, int32_t step, unsigned reg, uint64_t *last,
			     uint64_t *out)
{
	const uint64_t *task = x->model->task->regs;
	uint8_t control = *x->at[COMPACT_CONTROLS]++;
	uint64_t bases[BASES], value;
	unsigned size_bytes;

	if (control > COMPACT_CONTROLS_MAX)
		return false;
	size_bytes = controls[control].size_bytes;
	if (!plenty && !has_value(x, size_bytes))
		return false;
	bases[BASE_ROW] = row;
	bases[BASE_TASK] = task[reg];
	bases[BASE_ZERO] = 0;
	bases[BASE_STEP] = row + (uint64_t)(int64_t)step;
	bases[BASE_AGAIN] = row + *last;
	for (unsigned i = 0; i < sizeof(compact_task_regs); i++)
		bases[BASE_TASK_REG + i] = task[compact_task_regs[i]];
	value = bases[controls[control].base] + compact_unzigzag(take_value(x, size_bytes));
	*last = value - row;
	*out = value;
	return true;
}

/* The mask of registers that are to be read, if it is another one; false: they or their controls are not there, or
 * can't be. */
static inline bool get_mask(struct expansion *x, bool plenty, const struct compact_shape *shape, unsigned token,
			    uint32_t *mask)
{

	if (token & COMPACT_T_MASK) {
		const uint8_t *bytes = take(x, COMPACT_MASKS, shape->mask_bytes);

		if (!bytes)
			return false;
		*mask = (uint32_t)(get_le32(bytes) & ((1ull << 8 * shape->mask_bytes) - 1));
	}
	return !(*mask & shape->known_mask) &&
	       (plenty || left_in(x, COMPACT_CONTROLS) >= (size_t)__builtin_popcount(*mask));
}

/* An RSP that is not what was expected; false: it is not there. */
static inline bool get_stack(struct expansion *x, bool plenty, unsigned token, uint64_t *expected, uint64_t *last)
{
	struct compact_task *task = x->model->task;

	if (token & COMPACT_T_STACK) {
		if (!left_in(x, COMPACT_CONTROLS) ||
		    !get_value(x, plenty, *expected, 0, TRAP_REG_RSP, last, &task->regs[TRAP_REG_RSP]))
			return false;
		*expected = task->regs[TRAP_REG_RSP];
	}
	task->rsp = *expected;
	return true;
}

/* The registers of an exit behind its entry. */
static ALWAYS_INLINE const char *get_exit(struct expansion *x, bool plenty, struct compact_shape *shape, unsigned token,
					  uint8_t *regs)
{
	struct compact_model *model = x->model;
	struct compact_task *task = model->task;
	struct compact_row *row = &model->rows[task->enter_row];
	const uint8_t *from = compact_pair(model, shape);
	uint64_t last = 0, value;

	if (shape->stack_at != COMPACT_NONE && !get_stack(x, plenty, token, &task->rsp, &last))
		return "a register's value is missing";
	for (unsigned i = 0, nr_regs = shape->nr_regs; i < nr_regs; i++)
		put_le64(regs + 8 * i, row->values[from[i]]);
	if (shape->stack_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->stack_at, task->rsp);
	if (shape->task_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->task_at, task->key);
	if (shape->call_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->call_at, shape->call);
	if (!get_mask(x, plenty, shape, token, &row->exit_mask))
		return "a mask is missing or wrong, or has no controls";
	for (uint32_t changed = row->exit_mask; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed), at = from[i], reg = shape->reg[i];

		if (!get_value(x, plenty, row->values[at], row->steps[at], reg, &last, &value))
			return "a register's value is missing";
		put_le64(regs + 8 * i, value);
		task->regs[reg] = value;
		if (at < COMPACT_RESULTS)
			compact_learn(row, at, value);
	}
	return NULL;
}

/* Those of any other record. */
static ALWAYS_INLINE const char *get_others(struct expansion *x, bool plenty, struct compact_shape *shape,
					    unsigned token, uint8_t *regs)
{
	struct compact_model *model = x->model;
	struct compact_task *task = model->task;
	uint64_t last = 0, rsp = 0, value;
	struct compact_row *row;

	if (shape->stack_at != COMPACT_NONE) {
		if (!get_stack(x, plenty, token, compact_stack(model, shape), &last))
			return "a register's value is missing";
		rsp = task->rsp;
	}
	row = compact_row(model, shape, rsp);
	compact_know(row->values + COMPACT_RESULTS, shape, rsp, task->key);
	if (!get_mask(x, plenty, shape, token, &row->mask))
		return "a mask is missing or wrong, or has no controls";
	for (uint32_t changed = row->mask; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed), at = COMPACT_RESULTS + i, reg = shape->reg[i];

		if (!get_value(x, plenty, row->values[at], row->steps[at], reg, &last, &value))
			return "a register's value is missing";
		task->regs[reg] = value;
		compact_learn(row, at, value);
	}
	for (unsigned i = 0, nr_regs = shape->nr_regs; i < nr_regs; i++)
		put_le64(regs + 8 * i, row->values[COMPACT_RESULTS + i]);
	return NULL;
}

static inline const char *get_regs(struct expansion *x, bool plenty, struct compact_shape *shape, unsigned token,
				   bool is_paired, uint8_t *regs)
{
	return is_paired ? get_exit(x, plenty, shape, token, regs) : get_others(x, plenty, shape, token, regs);
}

/* ---- fragments ------------------------------------------------------- */

/* Replaces the description if there is another one; false: it is not there, or not one of this shape. */
static bool get_template(struct expansion *x, const struct compact_shape *shape, bool is_new,
			 struct compact_template *template)
{
	if (is_new) {
		const uint8_t *bytes = take(x, COMPACT_AUX, COMPACT_TEMPLATE_BYTES);

		if (!bytes)
			return false;
		template->source = bytes[0];
		template->status = bytes[1];
		template->label = bytes[2];
		template->want = bytes[3];
	}
	/* The first one is zeros, which a record without registers can't use. */
	return (template->source < shape->nr_regs ||
		(template->source >= COMPACT_FROM_NOWHERE && template->source <= COMPACT_FROM_TASK) ||
		(template->source >= COMPACT_FROM_ENTER && template->source < COMPACT_FROM_ENTER + COMPACT_REGS)) &&
	       template->want < COMPACT_WANTS;
}

/* The address of a fragment, unless it comes from its contents; false: it is not there. */
static bool get_gva(struct expansion *x, struct compact_template *template, const uint8_t *regs, uint64_t *out)
{
	const struct compact_model *model = x->model;
	uint64_t difference;

	if (template->source < COMPACT_FROM_NOWHERE) {
		*out = get_le64(regs + 8 * template->source);
	} else if (template->source >= COMPACT_FROM_ENTER) {
		*out = compact_of_enter(model, template->source - COMPACT_FROM_ENTER);
	} else if (template->source == COMPACT_FROM_TASK) {
		*out = model->task->key + template->offset;
	} else if (template->source == COMPACT_FROM_NOWHERE) {
		if (!take_varint(x, &difference))
			return false;
		*out = model->last_gva + compact_unzigzag(difference);
		template->offset = *out - model->task->key;
	}
	return true;
}

static bool get_want(struct expansion *x, uint8_t want, uint16_t len_bytes, uint32_t *out)
{
	uint64_t value = want == COMPACT_WANT_0 ? 0 : len_bytes + (want == COMPACT_WANT_LEN_1);

	if (want == COMPACT_WANT_AUX && (!take_varint(x, &value) || value > UINT32_MAX))
		return false;
	*out = (uint32_t)value;
	return true;
}

/* The contents of a fragment, somewhere in the payload or in the rows before. */
struct contents {
	const uint8_t *bytes;
	uint16_t len_bytes;
	uint16_t number; /* or COMPACT_NO_CONTENT */
};

/* New ones; false: they are not there. */
static bool get_new_contents(struct expansion *x, struct contents *out)
{
	const uint8_t *len = take(x, COMPACT_FRAGMENTS, 1);

	if (!len)
		return false;
	out->len_bytes = *len;
	if (out->len_bytes == 255) {
		len = take(x, COMPACT_AUX, 2);
		if (!len)
			return false;
		out->len_bytes = get_le16(len);
	}
	out->number = COMPACT_NO_CONTENT;
	/* They will lie behind the fragment's head, if it fits; if not, nobody asks for them. */
	if (compact_has_number(out->len_bytes))
		out->number = compact_content_add(x->model,
						  (uint32_t)(x->row - x->rows) + (uint32_t)sizeof(struct trap_fragment),
						  out->len_bytes);
	out->bytes = take(x, COMPACT_BYTES, out->len_bytes);
	return out->bytes;
}

/* there: number of those that were last at the fragment's address. False: they are not there. */
static bool get_contents(struct expansion *x, unsigned kind, uint16_t there, struct contents *out)
{
	const struct compact_content *content;

	if (kind == COMPACT_F_NEW)
		return get_new_contents(x, out);
	out->number = there;
	if (kind == COMPACT_F_NUMBER) {
		const uint8_t *number = take(x, COMPACT_FRAGMENTS, 2);

		if (!number)
			return false;
		out->number = get_le16(number);
	}
	if (out->number >= COMPACT_CONTENTS || out->number >= x->model->contents_made)
		return false;
	content = &x->model->contents[out->number];
	out->len_bytes = content->len_bytes;
	out->bytes = x->rows + content->at;
	return true;
}

static const char *get_fragment(struct expansion *x, struct compact_shape *shape, unsigned index, const uint8_t *regs)
{
	struct compact_template *template =
		&shape->templates[index < COMPACT_TEMPLATES ? index : COMPACT_TEMPLATES - 1];
	const uint8_t *head = take(x, COMPACT_FRAGMENTS, 1);
	uint32_t want_bytes, padded_bytes;
	struct contents contents;
	uint16_t len_bytes;
	uint64_t gva = 0;

	if (!head || *head > COMPACT_F_MAX || !get_template(x, shape, *head & COMPACT_F_TEMPLATE, template))
		return "a fragment's description is missing or wrong";
	if (template->source == COMPACT_FROM_CONTENT && (*head & ~COMPACT_F_TEMPLATE) != COMPACT_F_NUMBER)
		return "a fragment's address and contents come from each other";
	if (!get_gva(x, template, regs, &gva))
		return "a fragment's address is missing";
	if (!get_contents(x, *head & ~COMPACT_F_TEMPLATE, *compact_content_at(x->model, gva), &contents))
		return "a fragment's contents are missing";
	if (template->source == COMPACT_FROM_CONTENT)
		gva = x->model->contents[contents.number].gva;
	len_bytes = contents.len_bytes;
	if (!get_want(x, template->want, len_bytes, &want_bytes))
		return "a fragment's wanted length is missing";
	x->model->last_gva = gva;
	if (contents.number != COMPACT_NO_CONTENT) {
		x->model->contents[contents.number].gva = gva;
		*compact_content_at(x->model, gva) = contents.number;
	}
	padded_bytes = compact_padded(len_bytes);
	if (room_bytes(x) < sizeof(struct trap_fragment) + padded_bytes)
		return "a fragment is longer than the rows";
	put_le64(x->row, gva);
	put_le32(x->row + offsetof(struct trap_fragment, want_bytes), want_bytes);
	put_le16(x->row + offsetof(struct trap_fragment, len_bytes), len_bytes);
	x->row[offsetof(struct trap_fragment, status)] = template->status;
	x->row[offsetof(struct trap_fragment, label)] = template->label;
	x->row += sizeof(struct trap_fragment);
	memset(x->row + padded_bytes - (padded_bytes ? 8 : 0), 0, padded_bytes ? 8 : 0);
	memcpy(x->row, contents.bytes, len_bytes);
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
	const uint8_t *next = take(x, COMPACT_TOKENS, 1);
	struct compact_shape *shape;
	uint8_t *record = x->row, *follower;
	unsigned token, code;
	const char *why;
	bool is_paired;

	if (!next)
		return "tokens end early";
	token = *next;
	if (token == COMPACT_RAW)
		return get_raw(x);
	if (token > COMPACT_RAW)
		return "a token is wrong";
	if (token & COMPACT_T_TASK && !get_task(x))
		return "a task is missing or wrong";
	code = compact_expected_code(model, &follower);
	if (token & COMPACT_T_CODE) {
		if (!get_code(x, &code))
			return "a code is missing or names no shape";
		/* Those that it had may be forgotten now. */
		compact_expected_code(model, &follower);
	} else if (code == COMPACT_NONE) {
		return "no shape is expected";
	}
	if (token & COMPACT_T_SEQ && !get_seq(x))
		return "a sequence number is missing";
	shape = &model->shapes[code];
	if (!get_time(x, shape->is_exit))
		return "a time is missing";
	if (room_bytes(x) < sizeof(struct trap_record) + 8u * shape->nr_regs)
		return "a record is longer than the rows";
	memcpy(record + COMPACT_HEAD_AT, shape->head, COMPACT_HEAD_BYTES);
	put_le64(record + offsetof(struct trap_record, seq), model->next_seq++);
	put_le64(record + offsetof(struct trap_record, tsc), model->last_tsc);
	x->row += sizeof(struct trap_record) + 8u * shape->nr_regs;
	is_paired = compact_follow(model, shape, follower, code);
	if (has_plenty(x))
		why = get_regs(x, true, shape, token, is_paired, record + sizeof(struct trap_record));
	else
		why = get_regs(x, false, shape, token, is_paired, record + sizeof(struct trap_record));
	if (!shape->is_enter)
		compact_prefetch(model);
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
	struct expansion x = {.model = model, .row = rows, .rows = rows, .rows_end = rows + rows_bytes};
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
