/* SPDX-License-Identifier: MIT */
/*
 * tape_compact.h - what encoder and decoder of TRAPS layout 2 share (FORMAT.md,
 * "layout 2"): the streams, and the model that predicts a record from those
 * before it. Both sides change the model by the functions here and nowhere else.
 */
#ifndef TAPE_COMPACT_H
#define TAPE_COMPACT_H

#include "tape_private.h"

/* In the order of the payload. */
enum compact_stream {
	COMPACT_CODES,       /* what comes next: a record of a known shape, or COMPACT_NEW … */
	COMPACT_MASKS,       /* which registers differ from their row */
	COMPACT_CONTROLS,    /* one for each of those: how it is coded */
	COMPACT_VALUES_1,    /* of one byte */
	COMPACT_VALUES_2,    /* of two */
	COMPACT_VALUES_N,    /* of three to eight */
	COMPACT_TIME_0,      /* lowest byte of the time since the record before */
	COMPACT_TIME_1,      /* the next one */
	COMPACT_TIME_1_EXIT, /* the same, of exits */
	COMPACT_AUX,         /* what is rare */
	COMPACT_FRAGMENTS,   /* two bytes each */
	COMPACT_BYTES,       /* contents of fragments, and records that have no shape */
	COMPACT_STREAMS
};

#define COMPACT_SHAPES 252u /* codes are below; all are forgotten when another one comes */
#define COMPACT_NEW    252u /* a record of another shape, which takes the next code */
#define COMPACT_RAW    253u /* a record as it is */
#define COMPACT_SEQ    254u /* its sequence number is not the next one; another code follows */

#define COMPACT_REGS      32u   /* bits of reg_mask, known or not */
#define COMPACT_ROWS      2048u /* a power of two */
#define COMPACT_STACKS    1024u /* a power of two */
#define COMPACT_TASKS     64u   /* a power of two */
#define COMPACT_TEMPLATES 4u
#define COMPACT_NONE      255u

/* Controls: how a register's value is coded. Values are zigzag, n bytes, little-endian. */
#define COMPACT_SAME         0u  /* as the task's last one */
#define COMPACT_ROW_DELTA    0u  /* + n: the row's and a value of n bytes */
#define COMPACT_SMALL        8u  /* + n: a value of n bytes, 1 or 2 */
#define COMPACT_AGAIN        11u /* the row's and the difference of the changed register before */
#define COMPACT_TASK_DELTA   11u /* + n: the task's last one and a value of n bytes */
#define COMPACT_TASK_REG     20u /* + n: as the task's last compact_task_regs[n] */
#define COMPACT_CONTROLS_MAX 23u

static const uint8_t compact_task_regs[] = {TRAP_REG_RAX, TRAP_REG_RDX, TRAP_REG_RSI, TRAP_REG_RDI};

/* What a fragment has in common with the one at its place in the shape's record before. */
struct compact_template {
	uint8_t source; /* index of the register that equals gva, or COMPACT_NO_SOURCE */
	uint8_t status;
	uint8_t label;
	uint8_t want; /* enum compact_want */
};

#define COMPACT_NO_SOURCE 32u

enum compact_want {
	COMPACT_WANT_LEN,   /* want_bytes is len_bytes */
	COMPACT_WANT_LEN_1, /* len_bytes + 1 */
	COMPACT_WANT_0,
	COMPACT_WANT_AUX, /* a varint in COMPACT_AUX */
	COMPACT_WANTS
};

#define COMPACT_HEAD_AT    4u /* of a record: type to reg_mask */
#define COMPACT_HEAD_BYTES 12u

struct compact_shape {
	uint8_t head[COMPACT_HEAD_BYTES];
	uint64_t call; /* the number of the system call, when call_at says where it is */
	uint16_t nr_fragments;
	uint8_t nr_regs;
	uint8_t call_at; /* indices into reg, or COMPACT_NONE */
	uint8_t task_at;
	uint8_t stack_at;
	uint8_t cr3_at;
	bool is_exit;
	uint16_t last_row;         /* of its record before, or COMPACT_ROWS */
	uint8_t reg[COMPACT_REGS]; /* enum trap_reg of each register, in order */
	struct compact_template templates[COMPACT_TEMPLATES];
};

struct compact_model {
	uint32_t nr_shapes;
	uint32_t history; /* codes of the last records, the last one in the low byte */
	uint64_t next_seq;
	uint64_t last_tsc;
	uint64_t last_gva;
	uint64_t *task;                  /* of the record before: registers that changed, by enum trap_reg */
	uint64_t stacks[COMPACT_STACKS]; /* RSP, by history */
	uint32_t row_keys[COMPACT_ROWS];
	struct compact_shape shapes[COMPACT_SHAPES];
	uint64_t tasks[COMPACT_TASKS][COMPACT_REGS];
	uint64_t rows[COMPACT_ROWS][COMPACT_REGS]; /* of those that have a key; the first nr_regs of each count */
};

static inline void compact_model_init(struct compact_model *model)
{
	model->nr_shapes = 0;
	model->history = 0;
	model->next_seq = 0;
	model->last_tsc = 0;
	model->last_gva = 0;
	memset(model->stacks, 0, sizeof(model->stacks));
	memset(model->row_keys, 0, sizeof(model->row_keys));
	memset(model->tasks, 0, sizeof(model->tasks));
	model->task = model->tasks[0];
}

static inline uint32_t compact_hash(uint64_t value)
{
	return (uint32_t)((value * 0x9e3779b97f4a7c15ull) >> 32);
}

/* A shape that was not seen before takes the next code, which is returned; call is not set. */
static inline unsigned compact_shape_add(struct compact_model *model, const uint8_t *head)
{
	uint32_t mask = get_le32(head + 8);
	struct compact_shape *shape;

	if (model->nr_shapes == COMPACT_SHAPES) {
		model->nr_shapes = 0;
		memset(model->row_keys, 0, sizeof(model->row_keys));
	}
	shape = &model->shapes[model->nr_shapes];
	*shape = (struct compact_shape){.nr_fragments = get_le16(head + 6),
					.call_at = COMPACT_NONE,
					.task_at = COMPACT_NONE,
					.stack_at = COMPACT_NONE,
					.cr3_at = COMPACT_NONE,
					.is_exit = head[0] == TRAP_EXIT,
					.last_row = COMPACT_ROWS};
	memcpy(shape->head, head, COMPACT_HEAD_BYTES);
	for (; mask; mask &= mask - 1) {
		uint8_t reg = (uint8_t)__builtin_ctz(mask);

		if (reg == (head[0] == TRAP_ENTER ? TRAP_REG_RAX : TRAP_REG_NR))
			shape->call_at = shape->nr_regs;
		if (reg == TRAP_REG_TASK)
			shape->task_at = shape->nr_regs;
		if (reg == TRAP_REG_RSP)
			shape->stack_at = shape->nr_regs;
		if (reg == TRAP_REG_CR3)
			shape->cr3_at = shape->nr_regs;
		shape->reg[shape->nr_regs++] = reg;
	}
	return model->nr_shapes++;
}

/* A record of the shape code comes: where RSP is that it had when this shape last came behind the same two. */
static inline uint64_t *compact_stack(struct compact_model *model, unsigned code)
{
	model->history = model->history << 8 | code;
	return &model->stacks[compact_hash((model->history & 0xffffff) | 0x1000000) & (COMPACT_STACKS - 1)];
}

/*
 * The registers to expect in this record, whose RSP is known (0: it has none):
 * those of the last one with its shape, RSP and shape before. RSP tells where
 * the program is better than RIP, which is mostly in the C library.
 */
static inline uint64_t *compact_row(struct compact_model *model, struct compact_shape *shape, uint64_t rsp)
{
	uint32_t key = (compact_hash(rsp) + (model->history & 0xffff) * 0x85ebca6bu) | 1;
	uint32_t at = compact_hash(key) & (COMPACT_ROWS - 1);

	if (model->row_keys[at] != key) {
		model->row_keys[at] = key;
		if (shape->last_row == COMPACT_ROWS)
			memset(model->rows[at], 0, sizeof(model->rows[at]));
		else if (shape->last_row != at)
			memcpy(model->rows[at], model->rows[shape->last_row], sizeof(model->rows[at]));
	}
	shape->last_row = (uint16_t)at;
	return model->rows[at];
}

/* From here on the record is of this task. */
static inline void compact_set_task(struct compact_model *model, uint64_t task)
{
	model->task = model->tasks[compact_hash(task) & (COMPACT_TASKS - 1)];
	model->task[TRAP_REG_TASK] = task;
}

/* Register i of a record is another one than the row says. */
static inline void compact_learn(struct compact_model *model, const struct compact_shape *shape, uint64_t *row,
				 unsigned i, uint64_t value)
{
	row[i] = value;
	model->task[shape->reg[i]] = value;
}

static inline uint64_t compact_zigzag(uint64_t difference)
{
	return difference << 1 ^ -(difference >> 63);
}

static inline uint64_t compact_unzigzag(uint64_t value)
{
	return value >> 1 ^ -(value & 1);
}

static inline uint32_t compact_mask_bytes(const struct compact_shape *shape)
{
	return (shape->nr_regs + 7u) / 8;
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
 * TAPE_TRAPS_MAX_BYTES.
 */
int tape_compact(struct tape_compactor *compactor, struct tape_compacted *compacted, struct tape_rows *out,
		 const uint8_t *records, size_t size_bytes, size_t *bad_at);

/* ---- tape_expand.c --------------------------------------------------- */

/*
 * Bytes from outside: restores exactly rows_bytes of records from a payload,
 * behind which COMPACT_SLACK_BYTES may be read. NULL, or what is wrong.
 */
#define COMPACT_SLACK_BYTES 8u
const char *tape_expand(struct compact_model *model, uint8_t *rows, size_t rows_bytes, const uint8_t *payload,
			size_t size_bytes);

#endif
