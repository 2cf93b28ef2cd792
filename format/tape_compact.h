/* SPDX-License-Identifier: MIT */
/*
 * tape_compact.h - what encoder and decoder of TRAPS layout 2 share (FORMAT.md,
 * "layout 2"): the streams, and the model that predicts a record from those
 * before it. Both sides change the model by the functions here and nowhere else.
 */
#ifndef TAPE_COMPACT_H
#define TAPE_COMPACT_H

#include "tape_private.h"

/* What is on the way of each record: a call would keep its variables in memory. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* In the order of the payload: from those in which only the frequency of bytes helps to those in which bytes repeat. */
enum compact_stream {
	COMPACT_TIME_0,      /* lowest byte of the time since the record before */
	COMPACT_TIME_1,      /* the next one */
	COMPACT_TIME_1_EXIT, /* the same, of exits */
	COMPACT_VALUES_1,    /* values of one byte */
	COMPACT_VALUES_LOW,  /* lowest byte of longer ones */
	COMPACT_VALUES_NEXT, /* the next one */
	COMPACT_MASKS,       /* which registers differ from their row, where these are others than last time */
	COMPACT_CODES,       /* which task, which shape, where that was not predicted */
	COMPACT_TOKENS,      /* of each record: what of it was not predicted */
	COMPACT_VALUES_REST, /* the other bytes of longer values */
	COMPACT_CONTROLS,    /* one for each register that differs: how it is coded */
	COMPACT_AUX,         /* what is rare */
	COMPACT_FRAGMENTS,   /* one to three bytes each */
	COMPACT_BYTES,       /* contents of fragments, and records that have no shape */
	COMPACT_STREAMS
};

/* Bits of a token; it is 0 for a record that came as predicted. */
#define COMPACT_T_MASK  0x01u /* a mask is there */
#define COMPACT_T_CODE  0x02u /* a code */
#define COMPACT_T_TASK  0x04u /* another task than that of the record before */
#define COMPACT_T_STACK 0x08u /* another RSP than expected */
#define COMPACT_T_SEQ   0x10u /* its sequence number is not the next one */
#define COMPACT_RAW     0x20u /* alone: a record as it is */

#define COMPACT_SHAPES 252u /* codes are below; all are forgotten when another one comes */
#define COMPACT_NEW    252u /* instead of a code: another shape, which takes the next one */

#define COMPACT_REGS       32u   /* bits of reg_mask, known or not */
#define COMPACT_ROWS       2048u /* a power of two */
#define COMPACT_RESULTS    4u    /* of a row: RAX, RCX, R11, others */
#define COMPACT_VALUES     (COMPACT_RESULTS + COMPACT_REGS)
#define COMPACT_STACKS     4096u /* a power of two */
#define COMPACT_FOLLOWERS  4096u /* a power of two */
#define COMPACT_TASKS      64u   /* a power of two */
#define COMPACT_TEMPLATES  8u
#define COMPACT_CONTENTS   1024u /* a power of two */
#define COMPACT_PLACES     2048u /* a power of two */
#define COMPACT_NONE       255u
#define COMPACT_NO_ROW     0xffffu
#define COMPACT_NO_CONTENT 0xffffu

#define COMPACT_NEW_TASK 255u /* instead of a task's place: its number follows in COMPACT_AUX */

/* Controls: how a register's value is coded. Values are zigzag, n bytes, little-endian. */
#define COMPACT_SAME         0u  /* as the task's last one */
#define COMPACT_ROW_DELTA    0u  /* + n: the row's and a value of n bytes */
#define COMPACT_SMALL        8u  /* + n: a value of n bytes, 1 or 2 */
#define COMPACT_AGAIN        11u /* the row's and the difference of the changed register before */
#define COMPACT_TASK_DELTA   11u /* + n: the task's last one and a value of n bytes */
#define COMPACT_TASK_REG     20u /* + n: as the task's last compact_task_regs[n] */
#define COMPACT_STEP         24u /* the row's and the difference by which it last changed */
#define COMPACT_CONTROLS_MAX 24u

static const uint8_t compact_task_regs[] = {TRAP_REG_RAX, TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI};

/* What a fragment has in common with the one at its place in the shape's record before. */
struct compact_template {
	uint8_t source; /* where gva comes from: the register at this place of the record, or one of those below */
	uint8_t status;
	uint8_t label;
	uint8_t want;    /* enum compact_want */
	uint64_t offset; /* for COMPACT_FROM_TASK: of gva from the task's key, when it last came from nowhere */
};
#define COMPACT_TEMPLATE_BYTES 4u /* without the offset */

#define COMPACT_FROM_NOWHERE 32u /* a varint in COMPACT_AUX: difference from the gva before */
#define COMPACT_FROM_CONTENT 33u /* where these contents were last */
#define COMPACT_FROM_TASK    34u /* the task's key and the template's offset */
#define COMPACT_FROM_ENTER   64u /* + enum trap_reg: that register of the task's last entry */

enum compact_want {
	COMPACT_WANT_LEN,   /* want_bytes is len_bytes */
	COMPACT_WANT_LEN_1, /* len_bytes + 1 */
	COMPACT_WANT_0,
	COMPACT_WANT_AUX, /* a varint in COMPACT_AUX */
	COMPACT_WANTS
};

/* Head of a fragment in COMPACT_FRAGMENTS: bit 0, another template; the rest, where its contents are. */
#define COMPACT_F_TEMPLATE 0x01u
#define COMPACT_F_NEW      0x00u /* in COMPACT_BYTES; their length follows */
#define COMPACT_F_THERE    0x02u /* those that were last at this address */
#define COMPACT_F_NUMBER   0x04u /* those with the number that follows */
#define COMPACT_F_MAX      0x05u

/* Contents of these lengths are numbered when they are new, and can be had again. */
#define COMPACT_CONTENT_MIN_BYTES 4u
#define COMPACT_CONTENT_MAX_BYTES 254u

struct compact_content {
	uint64_t gva; /* where they were last */
	uint32_t at;  /* in the records of this chunk */
	uint16_t len_bytes;
};

#define COMPACT_HEAD_AT    4u /* of a record: type to reg_mask */
#define COMPACT_HEAD_BYTES 12u

struct compact_shape {
	uint8_t head[COMPACT_HEAD_BYTES];
	uint8_t nr_regs;
	uint8_t mask_bytes;
	uint8_t call_at;     /* indices into reg, or COMPACT_NONE */
	uint8_t task_at;     /* of the register that tells tasks apart */
	uint32_t mask;       /* reg_mask */
	uint32_t known_mask; /* bits that no mask has: of registers known without it, and behind the last one */
	uint64_t call;       /* the number of the system call, when call_at says where it is */
	uint16_t nr_fragments;
	uint8_t stack_at;
	uint8_t cr3_at;
	bool is_enter, is_exit;
	uint16_t last_row;          /* of its record before, or COMPACT_NO_ROW */
	uint8_t next_code;          /* of an entry: what came last behind one, or COMPACT_NONE */
	uint8_t from_code;          /* of an exit: the entry's code that from[] is for, or COMPACT_NONE */
	uint8_t reg[COMPACT_REGS];  /* enum trap_reg of each register, in order */
	uint8_t at[COMPACT_REGS];   /* index of each enum trap_reg, or COMPACT_NONE */
	uint8_t from[COMPACT_REGS]; /* of an exit: where in its entry's row what is expected of each register is */
	struct compact_template templates[COMPACT_TEMPLATES];
};

struct compact_task {
	uint64_t key;     /* value of the register that tells tasks apart */
	uint64_t rsp;     /* of its last record that has one */
	uint32_t history; /* codes of its last records but paired exits, the last one in the low byte */
	uint32_t salt;    /* different for each place */
	uint16_t last_row;
	uint16_t enter_row; /* of its last entry, or COMPACT_NO_ROW */
	uint8_t enter_code;
	uint8_t last_code;           /* of those in history, the last one */
	uint8_t row_code;            /* of the record that had last_row */
	bool in_call;                /* the record before was its entry */
	uint64_t regs[COMPACT_REGS]; /* those that changed, by enum trap_reg */
};

/* Of an entry: first what its exit has and it has not, then its registers, in order. */
struct compact_row {
	uint32_t mask;      /* registers that were changed last time */
	uint32_t exit_mask; /* those of its exit */
	uint64_t values[COMPACT_VALUES];
	int32_t steps[COMPACT_VALUES]; /* by which it last changed; 0: by too much */
	uint8_t unused[8];             /* to whole cache lines */
};
_Static_assert(sizeof(struct compact_row) % 64 == 0, "whole cache lines");

struct compact_model {
	struct compact_row rows[COMPACT_ROWS]; /* of those that have a key; first, so that each begins a cache line */
	struct compact_shape shapes[COMPACT_SHAPES];
	uint32_t nr_shapes;
	bool is_sound;          /* of the decoder: see tape_expand() */
	uint32_t contents_made; /* numbers are mod COMPACT_CONTENTS */
	uint64_t next_seq;
	uint64_t last_tsc;
	uint64_t last_gva;
	struct compact_task *task;              /* of the record before */
	uint64_t stacks[COMPACT_STACKS];        /* RSP, by task and history */
	uint32_t keys[COMPACT_ROWS];            /* of rows; 0: none. Apart from them: more fit into a cache. */
	uint8_t followers[COMPACT_FOLLOWERS];   /* code, by those of the three records before; or COMPACT_NONE */
	uint8_t last_followers[COMPACT_SHAPES]; /* code, by that of the record before */
	struct compact_content contents[COMPACT_CONTENTS];
	uint16_t contents_at[COMPACT_PLACES]; /* numbers, by hash of gva; COMPACT_NO_CONTENT */
	struct compact_task tasks[COMPACT_TASKS];
};

static inline uint32_t compact_hash(uint64_t value)
{
	return (uint32_t)((value * 0x9e3779b97f4a7c15ull) >> 32);
}

static inline void compact_forget_shapes(struct compact_model *model)
{
	model->nr_shapes = 0;
	memset(model->keys, 0, sizeof(model->keys));
	memset(model->followers, COMPACT_NONE, sizeof(model->followers));
	memset(model->last_followers, COMPACT_NONE, sizeof(model->last_followers));
	for (unsigned i = 0; i < COMPACT_TASKS; i++) {
		model->tasks[i].last_row = COMPACT_NO_ROW;
		model->tasks[i].enter_row = COMPACT_NO_ROW;
		model->tasks[i].in_call = false;
	}
}

static inline void compact_model_init(struct compact_model *model)
{
	model->contents_made = 0;
	model->next_seq = 0;
	model->last_tsc = 0;
	model->last_gva = 0;
	memset(model->contents_at, 0xff, sizeof(model->contents_at));
	memset(model->stacks, 0, sizeof(model->stacks));
	memset(model->tasks, 0, sizeof(model->tasks));
	for (unsigned i = 0; i < COMPACT_TASKS; i++)
		model->tasks[i].salt = (i + 1) << 24;
	model->task = model->tasks;
	compact_forget_shapes(model);
}

/* A shape that was not seen before takes the next code, which is returned; call is not set. */
static inline unsigned compact_shape_add(struct compact_model *model, const uint8_t *head)
{
	uint32_t mask = get_le32(head + 8);
	struct compact_shape *shape;

	if (model->nr_shapes == COMPACT_SHAPES)
		compact_forget_shapes(model);
	shape = &model->shapes[model->nr_shapes];
	*shape = (struct compact_shape){.mask = mask,
					.nr_fragments = get_le16(head + 6),
					.is_enter = head[0] == TRAP_ENTER,
					.is_exit = head[0] == TRAP_EXIT,
					.last_row = COMPACT_NO_ROW,
					.next_code = COMPACT_NONE,
					.from_code = COMPACT_NONE};
	memcpy(shape->head, head, COMPACT_HEAD_BYTES);
	memset(shape->at, COMPACT_NONE, sizeof(shape->at));
	for (; mask; mask &= mask - 1) {
		uint8_t reg = (uint8_t)__builtin_ctz(mask);

		shape->at[reg] = shape->nr_regs;
		shape->reg[shape->nr_regs++] = reg;
	}
	shape->mask_bytes = (uint8_t)((shape->nr_regs + 7u) / 8);
	shape->call_at = shape->at[head[0] == TRAP_ENTER ? TRAP_REG_RAX : TRAP_REG_NR];
	shape->stack_at = shape->at[TRAP_REG_RSP];
	shape->cr3_at = shape->at[TRAP_REG_CR3];
	shape->task_at = shape->at[TRAP_REG_TASK] != COMPACT_NONE ? shape->at[TRAP_REG_TASK] : shape->cr3_at;
	shape->known_mask = (uint32_t) ~((1ull << shape->nr_regs) - 1);
	for (unsigned i = 0; i < shape->nr_regs; i++)
		if (i == shape->call_at || i == shape->stack_at || i == shape->task_at)
			shape->known_mask |= 1u << i;
	return model->nr_shapes++;
}

/* The place of a task, by the register that tells tasks apart. */
static inline unsigned compact_task_place(uint64_t key)
{
	return compact_hash(key) & (COMPACT_TASKS - 1);
}

/* The code that is expected next of the task, which is not in a call; COMPACT_NONE: none is. */
static ALWAYS_INLINE unsigned compact_expected_call(struct compact_model *model, const struct compact_task *task,
						    uint8_t **follower)
{
	*follower = &model->followers[compact_hash(task->history & 0xffffff) & (COMPACT_FOLLOWERS - 1)];
	return **follower == COMPACT_NONE ? model->last_followers[task->last_code] : **follower;
}

/* The same of a task that may be in a call. */
static inline unsigned compact_expected_code(struct compact_model *model, uint8_t **follower)
{
	const struct compact_task *task = model->task;

	if (!task->in_call)
		return compact_expected_call(model, task, follower);
	*follower = &model->shapes[task->enter_code].next_code;
	return **follower;
}

/* Is a record of this shape the exit of the task's entry? */
static ALWAYS_INLINE bool compact_is_paired(const struct compact_task *task, const struct compact_shape *shape)
{
	return shape->is_exit && task->in_call;
}

/*
 * The task's record has this code, which becomes the follower. A paired exit is no part of the history, and is told by
 * the entry's row.
 */
static ALWAYS_INLINE void compact_follow_paired(struct compact_task *task, uint8_t *follower, unsigned code)
{
	*follower = (uint8_t)code;
	task->in_call = false;
}

/* The same of any other record. */
static ALWAYS_INLINE void compact_follow(struct compact_model *model, const struct compact_shape *shape,
					 uint8_t *follower, unsigned code)
{
	struct compact_task *task = model->task;

	*follower = (uint8_t)code;
	if (!task->in_call)
		model->last_followers[task->last_code] = (uint8_t)code;
	task->last_code = (uint8_t)code;
	task->history = task->history << 8 | code;
	task->in_call = shape->is_enter;
}

static inline uint32_t compact_stack_at(const struct compact_task *task, uint32_t history)
{
	return compact_hash((history & 0xffffff) ^ (uint64_t)task->salt << 8) & (COMPACT_STACKS - 1);
}

/* Where the RSP is that is expected of the record, whose code was followed; it is to be set to the right one. */
static inline uint64_t *compact_stack(struct compact_model *model, const struct compact_shape *shape)
{
	struct compact_task *task = model->task;

	if (shape->is_exit)
		return &task->rsp;
	return &model->stacks[compact_stack_at(task, task->history)];
}

/* Registers that belong to the task, and those that a call leaves as they are. */
#define COMPACT_OF_TASK                                                                                         \
	(1u << TRAP_REG_CR3 | 1u << TRAP_REG_FS_BASE | 1u << TRAP_REG_GS_BASE | 1u << TRAP_REG_KERNEL_GS_BASE | \
	 1u << TRAP_REG_TASK | 1u << TRAP_REG_TASK_ID)
#define COMPACT_CHANGED_BY_CALL (1u << TRAP_REG_RAX | 1u << TRAP_REG_RCX | 1u << TRAP_REG_R11)

/* Rows are cleared and copied so often that a call, or a string instruction, would cost more than its work. */
static inline void compact_clear(struct compact_row *row)
{
	static const uint8_t zeros[64];

	for (size_t at = 0; at < sizeof(*row); at += sizeof(zeros))
		memcpy((uint8_t *)row + at, zeros, sizeof(zeros));
}

/* A multiple of 4 bytes. */
static inline void compact_copy(void *to, const void *from, size_t size_bytes)
{
	size_t at = 0;

	for (; at + 32 <= size_bytes; at += 32)
		memcpy((uint8_t *)to + at, (const uint8_t *)from + at, 32);
	for (; at < size_bytes; at += 4)
		memcpy((uint8_t *)to + at, (const uint8_t *)from + at, 4);
}

/* Nothing is known of this record's registers: what its shape had last, and what its task has. */
static inline void compact_row_replace(struct compact_model *model, struct compact_shape *shape, uint32_t at)
{
	struct compact_row *row = &model->rows[at];
	uint32_t kept = shape->is_exit ? ~COMPACT_CHANGED_BY_CALL : COMPACT_OF_TASK;
	size_t nr_values = COMPACT_RESULTS + shape->nr_regs;

	if (shape->last_row == COMPACT_NO_ROW) {
		compact_clear(row);
	} else if (shape->last_row != at) {
		const struct compact_row *last = &model->rows[shape->last_row];

		row->mask = last->mask;
		row->exit_mask = last->exit_mask;
		compact_copy(row->values, last->values, nr_values * sizeof(row->values[0]));
		compact_copy(row->steps, last->steps, nr_values * sizeof(row->steps[0]));
	}
	if (model->task->last_row != COMPACT_NO_ROW) {
		const uint64_t *before = model->rows[model->task->last_row].values + COMPACT_RESULTS;
		const struct compact_shape *other = &model->shapes[model->task->row_code];
		uint64_t *regs = row->values + COMPACT_RESULTS;

		for (uint32_t both = shape->mask & other->mask & kept; both; both &= both - 1) {
			unsigned reg = (unsigned)__builtin_ctz(both);

			regs[shape->at[reg]] = before[other->at[reg]];
		}
	}
}

/* Where the row is of the record behind these codes. */
static inline uint32_t compact_row_key(uint64_t rsp, uint32_t history)
{
	return (compact_hash(rsp) + (history & 0xffff) * 0x85ebca6bu) | 1;
}

static inline uint32_t compact_row_at(uint32_t key)
{
	return compact_hash(key) & (COMPACT_ROWS - 1);
}

/*
 * The registers to expect in this record, whose RSP is known (0: it has none):
 * those of the task's last one with its shape, RSP and shape before. RSP tells where
 * the program is better than RIP, which is mostly in the C library.
 */
static inline struct compact_row *compact_row(struct compact_model *model, struct compact_shape *shape, uint64_t rsp)
{
	struct compact_task *task = model->task;
	uint32_t key = compact_row_key(rsp, task->history), at = compact_row_at(key);

	if (model->keys[at] != key) {
		/* What was there in another chunk, or before shapes were forgotten, the other side need not have. */
		if (!model->keys[at])
			compact_clear(&model->rows[at]);
		model->keys[at] = key;
		compact_row_replace(model, shape, at);
	}
	shape->last_row = (uint16_t)at;
	task->last_row = (uint16_t)at;
	task->row_code = (uint8_t)task->history;
	if (shape->is_enter) {
		task->enter_row = (uint16_t)at;
		task->enter_code = (uint8_t)task->history;
	}
	return &model->rows[at];
}

/* Where in its row the registers of a record are that is not a paired exit. */
static const uint8_t compact_from_itself[COMPACT_REGS] = {
	4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
	20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
};

/* Where in the row of an entry the registers of its exit are. */
static inline const uint8_t *compact_pair(const struct compact_model *model, struct compact_shape *shape)
{
	unsigned code = model->task->enter_code;
	const struct compact_shape *enter = &model->shapes[code];

	if (shape->from_code == code)
		return shape->from;
	shape->from_code = (uint8_t)code;
	for (unsigned i = 0; i < shape->nr_regs; i++) {
		unsigned reg = shape->reg[i];

		if (reg == TRAP_REG_RAX)
			shape->from[i] = 0;
		else if (reg == TRAP_REG_RCX)
			shape->from[i] = 1;
		else if (reg == TRAP_REG_R11)
			shape->from[i] = 2;
		else if (enter->at[reg] == COMPACT_NONE)
			shape->from[i] = 3;
		else
			shape->from[i] = (uint8_t)(COMPACT_RESULTS + enter->at[reg]);
	}
	return shape->from;
}

/* What is known of a record's registers before a mask is. */
static inline void compact_know(uint64_t *regs, const struct compact_shape *shape, uint64_t rsp, uint64_t key)
{
	if (shape->stack_at != COMPACT_NONE)
		regs[shape->stack_at] = rsp;
	if (shape->task_at != COMPACT_NONE)
		regs[shape->task_at] = key;
	if (shape->call_at != COMPACT_NONE)
		regs[shape->call_at] = shape->call;
}

/* What the row says at this place is another value. */
static inline void compact_learn(struct compact_row *row, unsigned at, uint64_t value)
{
	uint64_t step = value - row->values[at];

	row->steps[at] = (uint64_t)(int64_t)(int32_t)step == step ? (int32_t)step : 0;
	row->values[at] = value;
}

static inline bool compact_has_number(uint32_t len_bytes)
{
	return len_bytes >= COMPACT_CONTENT_MIN_BYTES && len_bytes <= COMPACT_CONTENT_MAX_BYTES;
}

/* The number of new contents. */
static inline uint16_t compact_content_add(struct compact_model *model, uint32_t at, uint16_t len_bytes)
{
	uint16_t number = (uint16_t)(model->contents_made & (COMPACT_CONTENTS - 1));

	model->contents[number] = (struct compact_content){0, at, len_bytes};
	model->contents_made++;
	return number;
}

/* A register of the task's last entry; 0: it has none, or there was no entry. */
static inline uint64_t compact_of_enter(const struct compact_model *model, unsigned reg)
{
	const struct compact_task *task = model->task;
	unsigned at;

	if (task->enter_row == COMPACT_NO_ROW)
		return 0;
	at = model->shapes[task->enter_code].at[reg];
	return at == COMPACT_NONE ? 0 : model->rows[task->enter_row].values[COMPACT_RESULTS + at];
}

/* Where the number of the contents is that were last at this address. */
static inline uint16_t *compact_content_at(struct compact_model *model, uint64_t gva)
{
	return &model->contents_at[compact_hash(gva) & (COMPACT_PLACES - 1)];
}

static inline uint64_t compact_zigzag(uint64_t difference)
{
	return difference << 1 ^ -(difference >> 63);
}

static inline uint64_t compact_unzigzag(uint64_t value)
{
	return value >> 1 ^ -(value & 1);
}

static inline uint32_t compact_padded(uint32_t size_bytes)
{
	return (size_bytes + 7) & ~7u;
}

#define COMPACT_HEADER_MAX_BYTES (5u * COMPACT_STREAMS)

/* ---- tape_compact.c -------------------------------------------------- */

/* Memory for the payload of one chunk after another; one thread at a time. */
struct tape_compactor;
struct tape_compactor *tape_compactor_create(void); /* NULL: no memory */
void tape_compactor_destroy(struct tape_compactor *compactor);

/* The streams of a payload; they live until the compactor's next one. */
struct tape_compacted {
	struct {
		const uint8_t *data;
		size_t size_bytes;
	} parts[COMPACT_STREAMS + 1]; /* the lengths, then the streams */
	size_t size_bytes;            /* of all of them */
};

/*
 * What tape_rows_walk() does, and the payload besides. Same results; parts is
 * empty when it would be larger than the records. size_bytes is at most
 * TAPE_TRAPS_MAX_BYTES. is_quick: values take more bytes, and less time.
 */
int tape_compact(struct tape_compactor *compactor, struct tape_compacted *compacted, struct tape_rows *out,
		 const uint8_t *records, size_t size_bytes, bool is_quick, size_t *bad_at);

/* ---- tape_expand.c --------------------------------------------------- */

/*
 * Bytes from outside: restores exactly rows_bytes of records from a payload,
 * behind which COMPACT_SLACK_BYTES may be read, in rows, behind which
 * COMPACT_ROWS_SLACK_BYTES may be written. NULL, or what is wrong.
 * model->is_sound then tells whether trap_view_parse() would take each record:
 * if so, trap_view_open() will do.
 */
#define COMPACT_SLACK_BYTES      2048u
#define COMPACT_ROWS_SLACK_BYTES (sizeof(struct trap_record) + 8 * COMPACT_REGS)
const char *tape_expand(struct compact_model *model, uint8_t *rows, size_t rows_bytes, const uint8_t *payload,
			size_t size_bytes);

#endif
