/* SPDX-License-Identifier: MIT */
/*
 * tape_compact.c - encoder of TRAPS layout 2: takes records apart into streams
 * of what the model did not predict. Believes nothing but sizes, as
 * tape_rows_walk(), whose work it does in the same pass.
 */
#include <errno.h>

#include "tape_compact.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CACHE_LINE    64u
#define CONTENT_SLOTS 4096u /* a power of two */
#define HASH_SLOTS    1024u /* a power of two, more than COMPACT_SHAPES */
#define MAX_RECORDS   (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_record))
#define MAX_REGS      (TAPE_TRAPS_MAX_BYTES / 8)

/*
 * Room for the worst that TAPE_TRAPS_MAX_BYTES of records can bring. AUX: of a
 * record at most 10 (number) + 8 (task) + 22 (shape) + 8 (time), or 3 (size); of a
 * fragment, which takes 16 bytes of its record, 4 + 2 + 10 + 5. Values are put
 * with 8 bytes at a time.
 */
static const uint32_t stream_room[COMPACT_STREAMS] = {
	[COMPACT_TOKENS] = MAX_RECORDS,
	[COMPACT_CODES] = 2 * MAX_RECORDS,
	[COMPACT_MASKS] = 4 * MAX_RECORDS + 4,
	[COMPACT_CONTROLS] = MAX_REGS,
	[COMPACT_VALUES_1] = MAX_REGS + 1,
	[COMPACT_VALUES_LOW] = MAX_REGS + 1,
	[COMPACT_VALUES_NEXT] = MAX_REGS + 1,
	[COMPACT_VALUES_REST] = 6 * MAX_REGS + 8,
	[COMPACT_TIME_0] = MAX_RECORDS,
	[COMPACT_TIME_1] = MAX_RECORDS + 1,
	[COMPACT_TIME_1_EXIT] = MAX_RECORDS + 1,
	[COMPACT_AUX] = 48 * MAX_RECORDS + 21 * (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_fragment)),
	[COMPACT_FRAGMENTS] = 3 * (TAPE_TRAPS_MAX_BYTES / sizeof(struct trap_fragment)),
	[COMPACT_BYTES] = TAPE_TRAPS_MAX_BYTES,
};

struct tape_compactor {
	struct compact_model model;
	struct tape_touch touch;
	uint64_t last_cr3;
	uint8_t *start[COMPACT_STREAMS];
	uint8_t *at[COMPACT_STREAMS];
	uint8_t lengths[COMPACT_HEADER_MAX_BYTES];
	const uint8_t *records;
	uint8_t codes[HASH_SLOTS];        /* by hash of a shape: its code, or COMPACT_NONE */
	uint16_t contents[CONTENT_SLOTS]; /* by hash: number of the contents, or any other */
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
	struct tape_compactor *compactor =
		aligned_alloc(CACHE_LINE, (sizeof(*compactor) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
	bool whole = compactor;

	if (whole)
		memset(compactor, 0, sizeof(*compactor));
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
	at = compact_hash(get_le64(record + COMPACT_HEAD_AT) ^ (uint64_t)mask << 13 ^
			  (uint64_t)compact_hash(call) << 32);
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
	put_bytes(c, COMPACT_AUX, head, COMPACT_HEAD_BYTES);
	if (shape->call_at != COMPACT_NONE)
		put_varint(c, shape->call);
	/* All records of this shape touch the same number. */
	tape_touch_record(&c->touch, record, get_le32(record));
	return code;
}

/* What comes before the registers: sets bits of the token. */
struct head {
	uint8_t *follower;
	unsigned code; /* COMPACT_NONE: of a new shape */
	uint8_t token;
};

static void switch_task(struct tape_compactor *c, uint64_t key)
{
	struct compact_model *model = &c->model;
	unsigned place = compact_task_place(key);

	model->task = &model->tasks[place];
	if (model->task->key == key) {
		put_u8(c, COMPACT_CODES, place);
		return;
	}
	model->task->key = key;
	put_u8(c, COMPACT_CODES, COMPACT_NEW_TASK);
	put_le64(c->at[COMPACT_AUX], key);
	c->at[COMPACT_AUX] += 8;
}

/* The task and shape of a record that did not come as expected. */
static void put_head_slowly(struct tape_compactor *c, struct head *head, const uint8_t *record)
{
	const uint8_t *regs = record + sizeof(struct trap_record);
	uint32_t mask = mask_of(record);
	unsigned key_reg = mask >> TRAP_REG_TASK & 1 ? TRAP_REG_TASK : TRAP_REG_CR3;

	if (mask >> key_reg & 1) {
		uint64_t key = get_le64(regs + 8 * __builtin_popcount(mask & ((1u << key_reg) - 1)));

		if (key != c->model.task->key) {
			head->token |= COMPACT_T_TASK;
			switch_task(c, key);
		}
	}
	head->code = c->codes[find_shape(c, record)];
	if (head->code == compact_expected_code(&c->model, &head->follower) && head->code != COMPACT_NONE)
		return;
	head->token |= COMPACT_T_CODE;
	if (head->code == COMPACT_NONE) {
		put_u8(c, COMPACT_CODES, COMPACT_NEW);
		head->code = add_shape(c, record);
		/* Those that it had may be forgotten now. */
		compact_expected_code(&c->model, &head->follower);
	} else {
		put_u8(c, COMPACT_CODES, head->code);
	}
}

/* False: it is not regular, and so can have no shape. */
static ALWAYS_INLINE bool put_head(struct tape_compactor *c, struct head *head, const uint8_t *record,
				   uint32_t size_bytes)
{
	struct compact_model *model = &c->model;
	unsigned code = compact_expected_code(model, &head->follower);

	head->code = code;
	if (code != COMPACT_NONE) {
		const struct compact_shape *shape = &model->shapes[code];
		const uint8_t *regs = record + sizeof(struct trap_record);

		if (size_bytes >= sizeof(struct trap_record) + 8u * shape->nr_regs && is_shape(shape, record) &&
		    (shape->task_at == COMPACT_NONE || get_le64(regs + 8 * shape->task_at) == model->task->key))
			return is_regular(record, size_bytes, shape->nr_regs);
	}
	if (!is_regular(record, size_bytes, (unsigned)__builtin_popcount(mask_of(record))))
		return false;
	put_head_slowly(c, head, record);
	return true;
}

/* ---- registers ------------------------------------------------------- */

static inline unsigned value_bytes(uint64_t value)
{
	return (71u - (unsigned)__builtin_clzll(value | 1)) / 8;
}

/*
 * Where the streams end that each record may go to. The compiler keeps them in registers, which it can't do with what a
 * byte that is stored might overlap.
 */
struct ends {
	uint8_t *time_0, *time_1, *time_1_exit, *masks, *tokens;
	uint8_t *controls, *one, *low, *next, *rest;
	uint64_t last; /* difference of the changed register before */
};

static inline struct ends take_ends(const struct tape_compactor *c)
{
	return (struct ends){.time_0 = c->at[COMPACT_TIME_0],
			     .time_1 = c->at[COMPACT_TIME_1],
			     .time_1_exit = c->at[COMPACT_TIME_1_EXIT],
			     .masks = c->at[COMPACT_MASKS],
			     .tokens = c->at[COMPACT_TOKENS],
			     .controls = c->at[COMPACT_CONTROLS],
			     .one = c->at[COMPACT_VALUES_1],
			     .low = c->at[COMPACT_VALUES_LOW],
			     .next = c->at[COMPACT_VALUES_NEXT],
			     .rest = c->at[COMPACT_VALUES_REST]};
}

static inline void keep_ends(struct tape_compactor *c, const struct ends *ends)
{
	c->at[COMPACT_TIME_0] = ends->time_0;
	c->at[COMPACT_TIME_1] = ends->time_1;
	c->at[COMPACT_TIME_1_EXIT] = ends->time_1_exit;
	c->at[COMPACT_MASKS] = ends->masks;
	c->at[COMPACT_TOKENS] = ends->tokens;
	c->at[COMPACT_CONTROLS] = ends->controls;
	c->at[COMPACT_VALUES_1] = ends->one;
	c->at[COMPACT_VALUES_LOW] = ends->low;
	c->at[COMPACT_VALUES_NEXT] = ends->next;
	c->at[COMPACT_VALUES_REST] = ends->rest;
}

/* Controls without a value by bits of what fits, the best one first. */
static const uint8_t plain_controls[] = {
	COMPACT_STEP,         COMPACT_SAME,         COMPACT_AGAIN,        COMPACT_TASK_REG,
	COMPACT_TASK_REG + 1, COMPACT_TASK_REG + 2, COMPACT_TASK_REG + 3, 0 /* not plain */,
};
#define NOT_PLAIN (1u << (sizeof(plain_controls) - 1))

/* How large a value is is as good as random: there is no branch on it. */
static ALWAYS_INLINE void put_coded(struct ends *to, unsigned control, unsigned size_bytes, uint64_t coded)
{
	*to->controls++ = (uint8_t)control;
	*to->one = *to->low = (uint8_t)coded;
	*to->next = (uint8_t)(coded >> 8);
	put_le64(to->rest, coded >> 16);
	to->one += size_bytes == 1;
	to->low += size_bytes > 1;
	to->next += size_bytes > 1;
	to->rest += size_bytes > 2 ? size_bytes - 2 : 0;
}

/*
 * task: registers of the task; reg: which one this is; step: by which it last changed. Which way is best is as good as
 * random: without branches it takes half the time.
 */
static ALWAYS_INLINE void put_value(struct ends *to, uint64_t value, uint64_t row, int32_t step, const uint64_t *task,
				    unsigned reg)
{
	uint64_t difference = value - row, coded = compact_zigzag(difference), small = compact_zigzag(value),
		 other = compact_zigzag(value - task[reg]);
	unsigned size_bytes = value_bytes(coded), small_bytes = value_bytes(small), other_bytes = value_bytes(other);
	unsigned control = COMPACT_ROW_DELTA + size_bytes, plain = NOT_PLAIN;
	bool is_small = small_bytes <= 2 && small_bytes <= size_bytes;
	bool is_other = other_bytes < size_bytes && size_bytes > 2 && !is_small;

	plain |= (unsigned)(difference == (uint64_t)(int64_t)step) | (unsigned)(value == task[reg]) << 1 |
		 (unsigned)(difference == to->last) << 2 | (unsigned)(value == task[compact_task_regs[0]]) << 3 |
		 (unsigned)(value == task[compact_task_regs[1]]) << 4 |
		 (unsigned)(value == task[compact_task_regs[2]]) << 5 |
		 (unsigned)(value == task[compact_task_regs[3]]) << 6;
	to->last = difference;
	control = is_small ? COMPACT_SMALL + small_bytes : control;
	coded = is_small ? small : coded;
	size_bytes = is_small ? small_bytes : size_bytes;
	control = is_other ? COMPACT_TASK_DELTA + other_bytes : control;
	coded = is_other ? other : coded;
	size_bytes = is_other ? other_bytes : size_bytes;
	control = plain != NOT_PLAIN ? plain_controls[__builtin_ctz(plain) & 7] : control;
	size_bytes = plain != NOT_PLAIN ? 0 : size_bytes;
	put_coded(to, control, size_bytes, coded);
}

/* The same for who has no time to look for what is best: from the row, always. */
static ALWAYS_INLINE void put_difference(struct ends *to, uint64_t value, uint64_t row)
{
	uint64_t coded = compact_zigzag(value - row);
	unsigned size_bytes = value_bytes(coded);

	put_coded(to, COMPACT_ROW_DELTA + size_bytes, size_bytes, coded);
}

/* Which registers are not those of the row; they do not depend on one another. */
#ifdef __SSE2__
static ALWAYS_INLINE uint32_t differing(const uint8_t *regs, const uint64_t *row, unsigned nr_regs)
{
	uint32_t same = 0;
	unsigned i = 0;

	/* Of each half of a register a bit: of two registers four. */
#define SAME(n)                                                                                                    \
	((uint32_t)_mm_movemask_ps(                                                                                \
		_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_loadu_si128((const __m128i *)(const void *)(regs + 8 * (n))), \
						 _mm_loadu_si128((const __m128i *)(const void *)(row + (n)))))))
	for (; i + 2 <= nr_regs; i += 2) {
		uint32_t halves = SAME(i);

		halves &= halves >> 1;
		same |= ((halves & 1) | (halves >> 1 & 2)) << i;
	}
#undef SAME
	if (i < nr_regs)
		same |= (uint32_t)(get_le64(regs + 8 * i) == row[i]) << i;
	return (uint32_t)((1ull << nr_regs) - 1) & ~same;
}
#else
static ALWAYS_INLINE uint32_t differing(const uint8_t *regs, const uint64_t *row, unsigned nr_regs)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < nr_regs; i++)
		mask |= (uint32_t)(get_le64(regs + 8 * i) != row[i]) << i;
	return mask;
}
#endif

/* Returns bits of the token. */
static ALWAYS_INLINE unsigned put_regs(struct tape_compactor *c, struct ends *to, struct compact_shape *shape,
				       const uint8_t *regs, bool is_paired, bool is_quick)
{
	struct compact_model *model = &c->model;
	struct compact_task *task = model->task;
	const uint8_t *from = compact_from_itself;
	unsigned token = 0, nr_learnt = COMPACT_VALUES;
	struct compact_row *row;
	uint32_t changed = 0, *mask;
	uint64_t rsp = 0;

	to->last = 0;
	if (shape->stack_at != COMPACT_NONE) {
		uint64_t *stack = is_paired ? &task->rsp : compact_stack(model, shape);

		rsp = get_le64(regs + 8 * shape->stack_at);
		if (rsp != *stack) {
			token |= COMPACT_T_STACK;
			if (is_quick)
				put_difference(to, rsp, *stack);
			else
				put_value(to, rsp, *stack, 0, task->regs, TRAP_REG_RSP);
			task->regs[TRAP_REG_RSP] = rsp;
			*stack = rsp;
		}
		task->rsp = rsp;
	}
	if (is_paired) {
		row = &model->rows[task->enter_row];
		from = compact_pair(model, shape);
		mask = &row->exit_mask;
		nr_learnt = COMPACT_RESULTS;
		for (unsigned i = 0, nr_regs = shape->nr_regs; i < nr_regs; i++)
			changed |= (uint32_t)(get_le64(regs + 8 * i) != row->values[from[i]]) << i;
	} else {
		row = compact_row(model, shape, rsp);
		mask = &row->mask;
		changed = differing(regs, row->values + COMPACT_RESULTS, shape->nr_regs);
		if (changed & shape->known_mask)
			compact_know(row->values + COMPACT_RESULTS, shape, rsp, task->key);
	}
	changed &= ~shape->known_mask;
	put_le32(to->masks, changed);
	if (changed != *mask) {
		token |= COMPACT_T_MASK;
		to->masks += shape->mask_bytes;
		*mask = changed;
	}
	for (; changed; changed &= changed - 1) {
		unsigned i = (unsigned)__builtin_ctz(changed), at = from[i], reg = shape->reg[i];
		uint64_t value = get_le64(regs + 8 * i);

		if (is_quick)
			put_difference(to, value, row->values[at]);
		else
			put_value(to, value, row->values[at], row->steps[at], task->regs, reg);
		task->regs[reg] = value;
		if (at < nr_learnt)
			compact_learn(row, at, value);
	}
	if (shape->cr3_at != COMPACT_NONE && get_le64(regs + 8 * shape->cr3_at) != c->last_cr3) {
		c->last_cr3 = get_le64(regs + 8 * shape->cr3_at);
		tape_touch_space(&c->touch, c->last_cr3);
	}
	return token;
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

/* What a source gives; content: number of the fragment's contents. */
static bool comes_from(const struct tape_compactor *c, const struct compact_template *template,
		       const struct compact_shape *shape, const uint8_t *regs, uint16_t content, uint64_t gva)
{
	unsigned source = template->source;

	if (source < shape->nr_regs)
		return get_le64(regs + 8 * source) == gva;
	if (source >= COMPACT_FROM_ENTER)
		return compact_of_enter(&c->model, source - COMPACT_FROM_ENTER) == gva;
	if (source == COMPACT_FROM_TASK)
		return c->model.task->key + template->offset == gva;
	return source == COMPACT_FROM_CONTENT && content != COMPACT_NO_CONTENT && c->model.contents[content].gva == gva;
}

static uint8_t find_source(const struct tape_compactor *c, const struct compact_template *template,
			   const struct compact_shape *shape, const uint8_t *regs, uint16_t content, uint64_t gva)
{
	const struct compact_model *model = &c->model;
	const struct compact_task *task = model->task;

	for (uint8_t i = 0; i < shape->nr_regs; i++)
		if (get_le64(regs + 8 * i) == gva)
			return i;
	if (task->key + template->offset == gva)
		return COMPACT_FROM_TASK;
	if (content != COMPACT_NO_CONTENT && model->contents[content].gva == gva)
		return COMPACT_FROM_CONTENT;
	if (!shape->is_enter && task->enter_row != COMPACT_NO_ROW) {
		const struct compact_shape *enter = &model->shapes[task->enter_code];
		const uint64_t *row = model->rows[task->enter_row].values + COMPACT_RESULTS;

		for (unsigned i = 0; i < enter->nr_regs; i++)
			if (row[i] == gva)
				return COMPACT_FROM_ENTER + enter->reg[i];
	}
	return COMPACT_FROM_NOWHERE;
}

static uint32_t hash_content(const uint8_t *bytes, uint32_t len_bytes)
{
	uint64_t first = 0, middle = 0, last = 0;

	if (len_bytes < 8) {
		memcpy(&first, bytes, len_bytes);
	} else {
		first = get_le64(bytes);
		middle = get_le64(bytes + (len_bytes - 8) / 2);
		last = get_le64(bytes + len_bytes - 8);
	}
	return compact_hash(first ^ compact_hash(middle + len_bytes) ^ (last << 23 | last >> 41)) & (CONTENT_SLOTS - 1);
}

static bool is_content(const struct tape_compactor *c, uint32_t number, const uint8_t *bytes, uint32_t len_bytes)
{
	const struct compact_content *content = &c->model.contents[number & (COMPACT_CONTENTS - 1)];

	return number < COMPACT_CONTENTS && number < c->model.contents_made && content->len_bytes == len_bytes &&
	       !memcmp(c->records + content->at, bytes, len_bytes);
}

struct content {
	uint16_t number; /* or COMPACT_NO_CONTENT */
	uint8_t kind;    /* COMPACT_F_* */
};

/* Contents that have a number, or get one now. */
static struct content find_content(struct tape_compactor *c, uint64_t gva, const uint8_t *bytes, uint16_t len_bytes)
{
	uint16_t *there = compact_content_at(&c->model, gva), *known;
	struct content content = {.kind = COMPACT_F_THERE};

	if (!is_content(c, *there, bytes, len_bytes)) {
		known = &c->contents[hash_content(bytes, len_bytes)];
		content.kind = COMPACT_F_NUMBER;
		if (!is_content(c, *known, bytes, len_bytes)) {
			*known = compact_content_add(&c->model, (uint32_t)(bytes - c->records), len_bytes);
			content.kind = COMPACT_F_NEW;
		}
		*there = *known;
	}
	content.number = *there;
	return content;
}

static void put_content(struct tape_compactor *c, const struct content *content, const uint8_t *bytes,
			uint16_t len_bytes)
{
	if (content->kind == COMPACT_F_NUMBER) {
		put_le16(c->at[COMPACT_FRAGMENTS], content->number);
		c->at[COMPACT_FRAGMENTS] += 2;
	} else if (content->kind == COMPACT_F_NEW) {
		put_u8(c, COMPACT_FRAGMENTS, len_bytes < 255 ? len_bytes : 255);
		if (len_bytes >= 255) {
			put_le16(c->at[COMPACT_AUX], len_bytes);
			c->at[COMPACT_AUX] += 2;
		}
		put_bytes(c, COMPACT_BYTES, bytes, len_bytes);
	}
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
		const uint8_t *bytes = at + sizeof(struct trap_fragment);
		struct content content = {COMPACT_NO_CONTENT, COMPACT_F_NEW};
		uint16_t teller;
		bool is_new;

		new.status = at[offsetof(struct trap_fragment, status)];
		new.label = at[offsetof(struct trap_fragment, label)];
		if (compact_has_number(len_bytes))
			content = find_content(c, gva, bytes, len_bytes);
		/* What is told by the address can't tell it. */
		teller = content.kind == COMPACT_F_NUMBER ? content.number : COMPACT_NO_CONTENT;
		if (!comes_from(c, &new, shape, regs, teller, gva))
			new.source = find_source(c, &new, shape, regs, teller, gva);
		if (!want_fits(new.want, want_bytes, len_bytes))
			for (new.want = 0; !want_fits(new.want, want_bytes, len_bytes); new.want++)
				;
		is_new = memcmp(&new, template, COMPACT_TEMPLATE_BYTES) != 0;
		put_u8(c, COMPACT_FRAGMENTS, content.kind | is_new);
		if (is_new)
			put_bytes(c, COMPACT_AUX, &new, COMPACT_TEMPLATE_BYTES);
		if (new.source == COMPACT_FROM_NOWHERE) {
			put_varint(c, compact_zigzag(gva - c->model.last_gva));
			new.offset = gva - c->model.task->key;
		}
		*template = new;
		put_content(c, &content, bytes, len_bytes);
		if (new.want == COMPACT_WANT_AUX)
			put_varint(c, want_bytes);
		c->model.last_gva = gva;
		if (content.number != COMPACT_NO_CONTENT)
			c->model.contents[content.number].gva = gva;
		at += sizeof(struct trap_fragment) + compact_padded(len_bytes);
	}
}

/* ---- records --------------------------------------------------------- */

static ALWAYS_INLINE void put_time(struct tape_compactor *c, struct ends *to, uint64_t tsc, bool is_exit)
{
	uint64_t passed = tsc - c->model.last_tsc, upper = passed >> 8;
	uint8_t next = upper < 255 ? (uint8_t)upper : 255;

	c->model.last_tsc = tsc;
	*to->time_0++ = (uint8_t)passed;
	/* Which one it is is as good as random: it is stored in both, and one of them goes on. */
	*to->time_1 = *to->time_1_exit = next;
	to->time_1 += !is_exit;
	to->time_1_exit += is_exit;
	if (upper >= 255)
		put_varint(c, upper - 255);
}

static void put_raw(struct tape_compactor *c, const uint8_t *record, uint32_t size_bytes)
{
	put_varint(c, size_bytes / 8);
	put_bytes(c, COMPACT_BYTES, record + COMPACT_HEAD_AT, size_bytes - COMPACT_HEAD_AT);
	tape_touch_record(&c->touch, record, size_bytes);
	c->model.last_tsc = get_le64(record + offsetof(struct trap_record, tsc));
	c->model.next_seq = get_le64(record + offsetof(struct trap_record, seq)) + 1;
}

static ALWAYS_INLINE void put_record(struct tape_compactor *c, struct ends *to, const uint8_t *record,
				     uint32_t size_bytes, bool is_quick)
{
	struct compact_model *model = &c->model;
	uint64_t seq = get_le64(record + offsetof(struct trap_record, seq));
	const uint8_t *regs = record + sizeof(struct trap_record);
	struct head head = {0};
	struct compact_shape *shape;
	unsigned token;
	bool is_paired;

	if (!put_head(c, &head, record, size_bytes)) {
		*to->tokens++ = COMPACT_RAW;
		put_raw(c, record, size_bytes);
		return;
	}
	token = head.token;
	if (seq != model->next_seq) {
		token |= COMPACT_T_SEQ;
		put_varint(c, compact_zigzag(seq - model->next_seq));
	}
	model->next_seq = seq + 1;
	shape = &model->shapes[head.code];
	put_time(c, to, get_le64(record + offsetof(struct trap_record, tsc)), shape->is_exit);
	is_paired = compact_is_paired(model->task, shape);
	if (is_paired)
		compact_follow_paired(model->task, head.follower, head.code);
	else
		compact_follow(model, shape, head.follower, head.code);
	*to->tokens++ = (uint8_t)(token | put_regs(c, to, shape, regs, is_paired, is_quick));
	if (shape->nr_fragments)
		put_fragments(c, shape, regs);
}

static void begin(struct tape_compactor *c, const uint8_t *records)
{
	compact_model_init(&c->model);
	memset(c->codes, COMPACT_NONE, sizeof(c->codes));
	memset(c->contents, 0, sizeof(c->contents));
	memcpy(c->at, c->start, sizeof(c->at));
	c->records = records;
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

/* All records; returns the bytes that are whole ones. What is counted is kept apart, as above. */
static ALWAYS_INLINE size_t put_records(struct tape_compactor *c, struct tape_rows *out, size_t size_bytes,
					bool is_quick)
{
	const uint8_t *records = c->records, *record = records;
	uint64_t min_tsc = UINT64_MAX, max_tsc = 0;
	struct ends ends = take_ends(c);
	uint32_t nr_records = 0;
	size_t at = 0;

	while (at < size_bytes) {
		uint32_t record_bytes = tape_row_bytes(records + at, size_bytes - at);
		uint64_t tsc;

		if (!record_bytes)
			break;
		record = records + at;
		tsc = get_le64(record + offsetof(struct trap_record, tsc));
		min_tsc = tsc < min_tsc ? tsc : min_tsc;
		max_tsc = tsc > max_tsc ? tsc : max_tsc;
		nr_records++;
		if (tape_row_is_noted(record))
			tape_rows_note(&out->tasks, record);
		put_record(c, &ends, record, record_bytes, is_quick);
		at += record_bytes;
	}
	keep_ends(c, &ends);
	out->nr_records = nr_records;
	out->min_tsc = nr_records ? min_tsc : 0;
	out->max_tsc = max_tsc;
	out->first_seq = nr_records ? get_le64(records + offsetof(struct trap_record, seq)) : 0;
	out->last_seq = nr_records ? get_le64(record + offsetof(struct trap_record, seq)) : 0;
	return at;
}

int tape_compact(struct tape_compactor *compactor, struct tape_compacted *compacted, struct tape_rows *out,
		 const uint8_t *records, size_t size_bytes, bool is_quick, size_t *bad_at)
{
	*out = (struct tape_rows){0};
	*compacted = (struct tape_compacted){0};
	if (tape_touch_begin(&compactor->touch, &out->touched))
		return -ENOMEM;
	begin(compactor, records);
	*bad_at = is_quick ? put_records(compactor, out, size_bytes, true)
			   : put_records(compactor, out, size_bytes, false);
	if (*bad_at < size_bytes) {
		tape_touched_deinit(&out->touched);
		return -EBADMSG;
	}
	tape_touch_finish(&compactor->touch);
	finish(compactor, compacted, size_bytes);
	return 0;
}
