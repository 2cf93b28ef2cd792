/* SPDX-License-Identifier: MIT */
/*
 * tape_expand.c - decoder of TRAPS layout 2, for bytes from outside. A stream
 * may be read past its end, into the next one or the slack, before that is
 * found out; each record must fit into what is left of the rows; time is linear
 * in payload and rows.
 */
#include "tape_expand.h"

/*
 * Streams from which nearly each record takes something. They are looked at only every RECORDS_AT_ONCE records, whether
 * they were long enough: what lies behind them is other streams, or the slack. The compiler keeps them in registers,
 * which it can't do with what a byte that is stored might overlap.
 */
struct ahead {
	const uint8_t *time_0, *time_1, *time_1_exit, *masks, *tokens;
	const uint8_t *controls, *one, *low, *next, *rest;
	uint64_t seq, tsc;
	unsigned code; /* that the next record of the task is expected to have, or COMPACT_NONE */
	uint8_t *follower;
};

/* A pointer that is used again and again: the compiler would rather make it anew each time. */
#define KEEP(pointer) __asm__("" : "+r"(pointer))

#define RECORDS_AT_ONCE 8u
_Static_assert(COMPACT_SLACK_BYTES >= RECORDS_AT_ONCE * 6 * (COMPACT_REGS + 1) + 8, "what so many records can take");

/* ---- head ------------------------------------------------------------ */

static ALWAYS_INLINE bool get_time(struct expansion *x, struct ahead *ahead, bool is_exit)
{
	uint8_t low = *ahead->time_0++, next = is_exit ? *ahead->time_1_exit : *ahead->time_1;
	uint64_t upper = 0;

	ahead->time_1_exit += is_exit;
	ahead->time_1 += !is_exit;
	if (next == 255 && !expansion_varint(x, &upper))
		return false;
	ahead->tsc += ((upper + next) << 8) + low;
	return true;
}

/* Another task; false: it is not there, or can't be. */
static bool get_task(struct expansion *x)
{
	const uint8_t *place = expansion_take(x, COMPACT_CODES, 1), *key;
	struct compact_model *model = x->model;

	if (!place || (*place >= COMPACT_TASKS && *place != COMPACT_NEW_TASK))
		return false;
	if (*place != COMPACT_NEW_TASK) {
		model->task = &model->tasks[*place];
		return true;
	}
	key = expansion_take(x, COMPACT_AUX, 8);
	if (!key)
		return false;
	model->task = &model->tasks[compact_task_place(get_le64(key))];
	model->task->key = get_le64(key);
	return true;
}

static bool is_plain(const uint8_t *head)
{
	struct trap_record record = {0};

	memcpy((uint8_t *)&record + COMPACT_HEAD_AT, head, COMPACT_HEAD_BYTES);
	return trap_record_is_plain(&record);
}

/* The code of a shape, which may be new; false: it is not there, or names none. */
static bool get_code(struct expansion *x, unsigned *code)
{
	const uint8_t *next = expansion_take(x, COMPACT_CODES, 1), *head;
	struct compact_shape *shape;

	if (!next)
		return false;
	*code = *next;
	if (*code != COMPACT_NEW)
		return *code < x->model->nr_shapes;
	head = expansion_take(x, COMPACT_AUX, COMPACT_HEAD_BYTES);
	if (!head)
		return false;
	x->is_sound &= is_plain(head);
	*code = compact_shape_add(x->model, head);
	shape = &x->model->shapes[*code];
	return shape->call_at == COMPACT_NONE || expansion_varint(x, &shape->call);
}

/* What comes before the time of a record that did not come as expected: NULL, or what is wrong. */
static __attribute__((noinline)) const char *get_head(struct expansion *x, unsigned token)
{
	uint64_t jump = 0;

	if (token > COMPACT_RAW)
		return "a token is wrong";
	if (token & COMPACT_T_TASK && !get_task(x))
		return "a task is missing or wrong";
	x->code = compact_expected_code(x->model, &x->follower);
	if (token & COMPACT_T_CODE) {
		if (!get_code(x, &x->code))
			return "a code is missing or names no shape";
		/* Those that it had may be forgotten now. */
		compact_expected_code(x->model, &x->follower);
	} else if (x->code == COMPACT_NONE) {
		return "no shape is expected";
	}
	if (token & COMPACT_T_SEQ && !expansion_varint(x, &jump))
		return "a sequence number is missing";
	x->seq_jump = compact_unzigzag(jump);
	return NULL;
}

/* ---- registers ------------------------------------------------------- */

/*
 * What a control says: of which of these a value is the sum, and how many bytes of each stream its difference has.
 * There is no branch on it: it is as good as random.
 */
struct control {
	uint64_t row, task, step, again;
	uint64_t one, longer; /* bits of the difference, by where it stands */
	uint8_t nr_one, nr_longer, nr_rest;
	uint8_t reg, other; /* of the task: all bits of the register that is coded, or another one */
} __attribute__((aligned(64)));

#define ALL       UINT64_MAX
#define BITS(n)   (ALL >> (64 - 8 * (n)))
#define ONE       .one = 0xff, .nr_one = 1
#define OF_TASK   .task = ALL, .reg = 0xff
#define LONGER(n) .longer = BITS(n), .nr_longer = 1, .nr_rest = (n)-2

static const struct control controls[COMPACT_CONTROLS_MAX + 1] = {
	[COMPACT_SAME] = {OF_TASK},
	[COMPACT_ROW_DELTA + 1] = {.row = ALL, ONE},
	[COMPACT_ROW_DELTA + 2] = {.row = ALL, LONGER(2)},
	[COMPACT_ROW_DELTA + 3] = {.row = ALL, LONGER(3)},
	[COMPACT_ROW_DELTA + 4] = {.row = ALL, LONGER(4)},
	[COMPACT_ROW_DELTA + 5] = {.row = ALL, LONGER(5)},
	[COMPACT_ROW_DELTA + 6] = {.row = ALL, LONGER(6)},
	[COMPACT_ROW_DELTA + 7] = {.row = ALL, LONGER(7)},
	[COMPACT_ROW_DELTA + 8] = {.row = ALL, LONGER(8)},
	[COMPACT_SMALL + 1] = {ONE},
	[COMPACT_SMALL + 2] = {LONGER(2)},
	[COMPACT_AGAIN] = {.row = ALL, .again = ALL},
	[COMPACT_TASK_DELTA + 1] = {OF_TASK, ONE},
	[COMPACT_TASK_DELTA + 2] = {OF_TASK, LONGER(2)},
	[COMPACT_TASK_DELTA + 3] = {OF_TASK, LONGER(3)},
	[COMPACT_TASK_DELTA + 4] = {OF_TASK, LONGER(4)},
	[COMPACT_TASK_DELTA + 5] = {OF_TASK, LONGER(5)},
	[COMPACT_TASK_DELTA + 6] = {OF_TASK, LONGER(6)},
	[COMPACT_TASK_DELTA + 7] = {OF_TASK, LONGER(7)},
	[COMPACT_TASK_DELTA + 8] = {OF_TASK, LONGER(8)},
	[COMPACT_TASK_REG + 0] = {.task = ALL, .other = TRAP_REG_RAX},
	[COMPACT_TASK_REG + 1] = {.task = ALL, .other = TRAP_REG_RDX},
	[COMPACT_TASK_REG + 2] = {.task = ALL, .other = TRAP_REG_RSI},
	[COMPACT_TASK_REG + 3] = {.task = ALL, .other = TRAP_REG_RDI},
	[COMPACT_STEP] = {.row = ALL, .step = ALL},
};

#undef ALL
#undef BITS
#undef ONE
#undef LONGER
#undef OF_TASK

/* One changed register; false: its control is wrong. */
static ALWAYS_INLINE bool get_value(struct ahead *ahead, const uint64_t *task, uint64_t row, int32_t step, unsigned reg,
				    uint64_t *last, uint64_t *out)
{
	unsigned number = *ahead->controls++;
	const struct control *control = &controls[number <= COMPACT_CONTROLS_MAX ? number : 0];
	uint64_t longer = *ahead->low | (uint64_t)*ahead->next << 8 | get_le64(ahead->rest) << 16;
	uint64_t value = (*ahead->one & control->one) | (longer & control->longer);

	ahead->one += control->nr_one;
	ahead->low += control->nr_longer;
	ahead->next += control->nr_longer;
	ahead->rest += control->nr_rest;
	value = compact_unzigzag(value) + (row & control->row) + (*last & control->again) +
		((uint64_t)(int64_t)step & control->step) +
		(task[(reg & control->reg) | control->other] & control->task);
	*last = value - row;
	*out = value;
	return number <= COMPACT_CONTROLS_MAX;
}

/* The mask of registers that are to be read, if it is another one; false: it can't be. */
static ALWAYS_INLINE bool get_mask(struct ahead *ahead, const struct compact_shape *shape, unsigned token,
				   uint32_t *mask)
{
	uint32_t other = (uint32_t)(get_le32(ahead->masks) & ((1ull << 8 * shape->mask_bytes) - 1));
	uint32_t is_other = -(token & COMPACT_T_MASK);

	_Static_assert(COMPACT_T_MASK == 1, "all bits are made of it");
	*mask ^= (*mask ^ other) & is_other;
	ahead->masks += shape->mask_bytes & is_other;
	return !(*mask & shape->known_mask);
}

/* An RSP that is not what was expected; false: it can't be. */
static ALWAYS_INLINE bool get_stack(struct ahead *ahead, struct compact_task *task, unsigned token, uint64_t *expected,
				    uint64_t *last)
{
	uint64_t rsp = *expected;

	if (token & COMPACT_T_STACK) {
		if (!get_value(ahead, task->regs, rsp, 0, TRAP_REG_RSP, last, &rsp))
			return false;
		task->regs[TRAP_REG_RSP] = rsp;
		*expected = rsp;
	}
	task->rsp = rsp;
	return true;
}

static const char wrong_time[] = "a time is missing";
static const char wrong_value[] = "a register's value is wrong";
static const char wrong_mask[] = "a mask is wrong";

static ALWAYS_INLINE void put_four(uint8_t *to, const uint64_t *values, const uint8_t *from)
{
	put_le64(to, values[from[0]]);
	put_le64(to + 8, values[from[1]]);
	put_le64(to + 16, values[from[2]]);
	put_le64(to + 24, values[from[3]]);
}

/* In the record, what compact_know() is to the row. */
static ALWAYS_INLINE void put_known(uint8_t *regs, const struct compact_shape *shape, uint64_t rsp, uint64_t key)
{
	if (shape->stack_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->stack_at, rsp);
	if (shape->task_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->task_at, key);
	if (shape->call_at != COMPACT_NONE)
		put_le64(regs + 8 * shape->call_at, shape->call);
}

/* The registers of an exit behind its entry. */
static ALWAYS_INLINE const char *get_exit(struct compact_model *model, struct compact_task *task, struct ahead *ahead,
					  struct compact_shape *shape, unsigned token, uint8_t *regs)
{
	struct compact_row *row = &model->rows[task->enter_row];
	const uint8_t *from = compact_pair(model, shape);
	uint64_t last = 0, value;

	if (shape->stack_at != COMPACT_NONE && !get_stack(ahead, task, token, &task->rsp, &last))
		return wrong_value;
	/* Eight at a time: what is too much is there, and goes where what follows in the record will be. */
	for (unsigned i = 0, nr_regs = shape->nr_regs; i < nr_regs; i += 8) {
		put_four(regs + 8 * i, row->values, from + i);
		put_four(regs + 8 * i + 32, row->values, from + i + 4);
	}
	put_known(regs, shape, task->rsp, task->key);
	if (!get_mask(ahead, shape, token, &row->exit_mask))
		return wrong_mask;
	for (uint32_t changed = row->exit_mask; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed), at = from[i], reg = shape->reg[i];

		if (!get_value(ahead, task->regs, row->values[at], row->steps[at], reg, &last, &value))
			return wrong_value;
		put_le64(regs + 8 * i, value);
		task->regs[reg] = value;
		if (at < COMPACT_RESULTS)
			compact_learn(row, at, value);
	}
	return NULL;
}

/* Those of any other record. */
static ALWAYS_INLINE const char *get_others(struct compact_model *model, struct compact_task *task, struct ahead *ahead,
					    struct compact_shape *shape, unsigned token, uint8_t *regs)
{
	uint64_t last = 0, rsp = 0, value;
	struct compact_row *row;

	if (shape->stack_at != COMPACT_NONE) {
		if (!get_stack(ahead, task, token, compact_stack(model, shape), &last))
			return wrong_value;
		rsp = task->rsp;
	}
	row = compact_row(model, shape, rsp);
	compact_know(row->values + COMPACT_RESULTS, shape, rsp, task->key);
	if (!get_mask(ahead, shape, token, &row->mask))
		return wrong_mask;
	for (uint32_t changed = row->mask; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed), at = COMPACT_RESULTS + i, reg = shape->reg[i];

		if (!get_value(ahead, task->regs, row->values[at], row->steps[at], reg, &last, &value))
			return wrong_value;
		task->regs[reg] = value;
		compact_learn(row, at, value);
	}
	/* Many at a time, as above. */
	put_le64s(regs, &row->values[COMPACT_RESULTS], 12);
	for (unsigned i = 12, nr_regs = shape->nr_regs; i < nr_regs; i += 4)
		put_le64s(regs + 8 * i, &row->values[COMPACT_RESULTS + i], 4);
	return NULL;
}

/* ---- records --------------------------------------------------------- */

static __attribute__((noinline)) const char *get_raw(struct expansion *x)
{
	const uint8_t *bytes;
	struct trap_view view;
	uint64_t size_bytes;

	if (!expansion_varint(x, &size_bytes) || size_bytes < sizeof(struct trap_record) / 8 ||
	    size_bytes > TRAP_RECORD_MAX_BYTES / 8)
		return "a record's size is missing or wrong";
	size_bytes *= 8;
	if (size_bytes > expansion_room(x))
		return "a record is longer than the rows";
	bytes = expansion_take(x, COMPACT_BYTES, size_bytes - COMPACT_HEAD_AT);
	if (!bytes)
		return "a record's bytes are missing";
	put_le32(x->row, (uint32_t)size_bytes);
	memcpy(x->row + COMPACT_HEAD_AT, bytes, size_bytes - COMPACT_HEAD_AT);
	x->is_sound &= trap_view_parse(&view, x->row, size_bytes, NULL) > 0;
	x->row += size_bytes;
	return NULL;
}

/* Of a record that has a shape: what is not behind its registers. */
static ALWAYS_INLINE void put_head(struct ahead *ahead, const struct compact_shape *shape, uint8_t *record,
				   uint32_t size_bytes)
{
	put_le32(record, size_bytes);
	memcpy(record + COMPACT_HEAD_AT, shape->head, COMPACT_HEAD_BYTES);
	put_le64(record + offsetof(struct trap_record, seq), ahead->seq++);
	put_le64(record + offsetof(struct trap_record, tsc), ahead->tsc);
}

static ALWAYS_INLINE const char *get_record(struct expansion *x, struct ahead *ahead)
{
	struct compact_model *model = x->model;
	unsigned token = *ahead->tokens++;
	struct compact_shape *shape;
	struct compact_task *task;
	uint8_t *record = x->row;
	uint32_t size_bytes;
	const char *why;

	if (token & ~(COMPACT_T_MASK | COMPACT_T_STACK)) {
		if (token == COMPACT_RAW) {
			why = get_raw(x);
			if (why)
				return why;
			ahead->seq = get_le64(record + offsetof(struct trap_record, seq)) + 1;
			ahead->tsc = get_le64(record + offsetof(struct trap_record, tsc));
			return NULL;
		}
		why = get_head(x, token);
		if (why)
			return why;
		ahead->code = x->code;
		ahead->follower = x->follower;
		ahead->seq += x->seq_jump;
	} else if (ahead->code == COMPACT_NONE) {
		return "no shape is expected";
	}
	task = model->task;
	KEEP(task);
	shape = &model->shapes[ahead->code];
	KEEP(shape);
	size_bytes = (uint32_t)sizeof(struct trap_record) + 8u * shape->nr_regs;
	if (expansion_room(x) < size_bytes)
		return "a record is longer than the rows";
	if (compact_is_paired(task, shape)) {
		if (!get_time(x, ahead, true))
			return wrong_time;
		put_head(ahead, shape, record, size_bytes);
		compact_follow_paired(task, ahead->follower, ahead->code);
		why = get_exit(model, task, ahead, shape, token, record + sizeof(struct trap_record));
	} else {
		if (!get_time(x, ahead, shape->is_exit))
			return wrong_time;
		put_head(ahead, shape, record, size_bytes);
		compact_follow(model, shape, ahead->follower, ahead->code);
		why = get_others(model, task, ahead, shape, token, record + sizeof(struct trap_record));
	}
	if (why)
		return why;
	if (shape->is_enter) {
		ahead->follower = &shape->next_code;
		ahead->code = shape->next_code;
	} else {
		ahead->code = compact_expected_call(model, task, &ahead->follower);
	}
	x->row += size_bytes;
	return shape->nr_fragments ? tape_expand_fragments(x, shape, record) : NULL;
}

/* Where the streams are that are read ahead of their ends, and whether they are there yet. */
static struct ahead take_ahead(const struct expansion *x)
{
	return (struct ahead){.time_0 = x->at[COMPACT_TIME_0],
			      .time_1 = x->at[COMPACT_TIME_1],
			      .time_1_exit = x->at[COMPACT_TIME_1_EXIT],
			      .masks = x->at[COMPACT_MASKS],
			      .tokens = x->at[COMPACT_TOKENS],
			      .controls = x->at[COMPACT_CONTROLS],
			      .one = x->at[COMPACT_VALUES_1],
			      .low = x->at[COMPACT_VALUES_LOW],
			      .next = x->at[COMPACT_VALUES_NEXT],
			      .rest = x->at[COMPACT_VALUES_REST],
			      .code = COMPACT_NONE};
}

static ALWAYS_INLINE bool is_past(const struct expansion *x, const struct ahead *ahead)
{
	return (ahead->time_0 > x->end[COMPACT_TIME_0]) | (ahead->time_1 > x->end[COMPACT_TIME_1]) |
	       (ahead->time_1_exit > x->end[COMPACT_TIME_1_EXIT]) | (ahead->masks > x->end[COMPACT_MASKS]) |
	       (ahead->tokens > x->end[COMPACT_TOKENS]) | (ahead->controls > x->end[COMPACT_CONTROLS]) |
	       (ahead->one > x->end[COMPACT_VALUES_1]) | (ahead->low > x->end[COMPACT_VALUES_LOW]) |
	       (ahead->next > x->end[COMPACT_VALUES_NEXT]) | (ahead->rest > x->end[COMPACT_VALUES_REST]);
}

/* Are all streams at their ends, where they are to be behind the last record? */
static bool is_used_up(struct expansion *x, const struct ahead *ahead)
{
	x->at[COMPACT_TIME_0] = ahead->time_0;
	x->at[COMPACT_TIME_1] = ahead->time_1;
	x->at[COMPACT_TIME_1_EXIT] = ahead->time_1_exit;
	x->at[COMPACT_MASKS] = ahead->masks;
	x->at[COMPACT_TOKENS] = ahead->tokens;
	x->at[COMPACT_CONTROLS] = ahead->controls;
	x->at[COMPACT_VALUES_1] = ahead->one;
	x->at[COMPACT_VALUES_LOW] = ahead->low;
	x->at[COMPACT_VALUES_NEXT] = ahead->next;
	x->at[COMPACT_VALUES_REST] = ahead->rest;
	return !memcmp(x->at, x->end, sizeof(x->at));
}

static const char *get_records(struct expansion *x)
{
	struct ahead ahead = take_ahead(x);
	const char *why = NULL;

	while (!why && x->row < x->rows_end) {
		unsigned left = RECORDS_AT_ONCE;

		do
			why = get_record(x, &ahead);
		while (!why && --left && x->row < x->rows_end);
		/* What was made of bytes behind a stream's end may be wrong in any way. */
		if (is_past(x, &ahead))
			why = "its streams end early";
	}
	return why || is_used_up(x, &ahead) ? why : "its streams hold more than the rows";
}

const char *tape_expand(struct compact_model *model, uint8_t *rows, size_t rows_bytes, const uint8_t *payload,
			size_t size_bytes)
{
	struct expansion x = {
		.model = model, .row = rows, .rows = rows, .rows_end = rows + rows_bytes, .is_sound = true};
	struct byte_reader reader = byte_reader(payload, size_bytes);
	uint64_t lengths[COMPACT_STREAMS];
	const char *why;

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
	why = get_records(&x);
	model->is_sound = x.is_sound;
	return why;
}
