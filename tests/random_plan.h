/* SPDX-License-Identifier: MIT */
/* random_plan.h - valid capture plans of every shape, for tests; the same plan for the same state. */
#ifndef RANDOM_PLAN_H
#define RANDOM_PLAN_H

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "plan.h"
#include "plan_validate.h"

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull >> 8;
}

/* A register or an earlier value of the range. */
static inline uint8_t random_source(uint64_t *state, const struct plan_step *range, unsigned index)
{
	unsigned value = index ? (unsigned)(random_next(state) % index) : 0;

	if (index && range[value].op == PLAN_OP_VALUE && random_next(state) % 2)
		return (uint8_t)(PLAN_SRC_VALUE | value);
	return (uint8_t)(random_next(state) % TRAP_REGS);
}

static inline void random_step(uint64_t *state, struct plan_step *range, unsigned index, enum plan_place place)
{
	struct plan_step *s = &range[index];
	unsigned flags = (unsigned)random_next(state);

	memset(s, 0, sizeof(*s));
	s->op = (uint8_t)(PLAN_OP_VALUE + random_next(state) % (PLAN_OPS - PLAN_OP_VALUE));
	s->base = random_source(state, range, index);
	s->len_from = PLAN_SRC_CONST;
	s->offset = (int32_t)(random_next(state) >> random_next(state) % 40);
	if (flags & 1)
		s->flags |= PLAN_STEP_PTR32;
	else if (flags & 2)
		s->flags |= PLAN_STEP_KERNEL;
	if (flags & 4 && place == PLAN_AT_EXIT)
		s->flags |= PLAN_STEP_IF_OK;
	if (flags & 128 && place == PLAN_AT_EXIT)
		s->flags |= PLAN_STEP_DIVERTED;
	if (s->op == PLAN_OP_VALUE) {
		s->len = 1u << random_next(state) % 4;
		return;
	}
	if (flags & 8)
		s->flags |= PLAN_STEP_QUIET;
	if (flags & 16 && place == PLAN_AT_ENTER && !(s->flags & PLAN_STEP_KERNEL))
		s->flags |= PLAN_STEP_AGAIN;
	s->label = (uint8_t)random_next(state);
	s->cap = (uint16_t)(1 + random_next(state) % (flags & 32 ? 64 : PLAN_MAX_STEP_CAP));
	if (s->op == PLAN_OP_STRINGS || s->op == PLAN_OP_IOVEC)
		s->max_items = (uint8_t)(1 + random_next(state) % PLAN_MAX_ITEMS);
	if ((s->op == PLAN_OP_BYTES || s->op == PLAN_OP_IOVEC) && flags & 64) {
		s->len_from = random_source(state, range, index);
		if (flags & 128)
			s->flags |= PLAN_STEP_LEN32;
	}
	if (s->op == PLAN_OP_BYTES) {
		s->len = (uint32_t)(1 + (random_next(state) & UINT32_MAX >> random_next(state) % 32) % UINT32_MAX);
		if (s->len_from == PLAN_SRC_CONST && flags & 256)
			s->len = s->cap;
	} else if (s->op == PLAN_OP_IOVEC) {
		s->len = s->flags & PLAN_STEP_PTR32 ? 8 : 16;
		if (s->len_from == PLAN_SRC_CONST)
			s->len *= (uint32_t)(1 + random_next(state) % (1u << 27));
	}
}

static inline size_t random_steps(uint64_t *state, struct plan_step *steps, enum plan_place place)
{
	size_t n = random_next(state) % 4 ? random_next(state) % 5 : random_next(state) % (PLAN_MAX_CALL_STEPS + 1);

	for (size_t i = 0; i < n; i++)
		random_step(state, steps, (unsigned)i, place);
	return n;
}

/* Valid, or the test fails. The caller frees it. */
static inline void *random_plan(uint64_t *state, size_t *size_bytes)
{
	static const enum plan_place places[] = {PLAN_AT_IDENTITY, PLAN_AT_IDENTITY, PLAN_AT_ENTER, PLAN_AT_EXIT};
	struct plan_step enter[PLAN_MAX_CALL_STEPS], leave[PLAN_MAX_CALL_STEPS];
	struct plan_task task = {.kernel_cr3_mask = random_next(state) | 1,
				 .kernel_cr3_set = random_next(state) & 4096};
	struct plan_builder *builder;
	struct plan_error error;
	unsigned bits = (unsigned)random_next(state);
	uint16_t flags = 0;
	void *plan;

	CHECK_INT(plan_builder_create(&builder, (uint32_t)random_next(state)), 0);
	plan_builder_set_max_record(builder, (uint16_t)(PLAN_MIN_RECORD_BYTES + random_next(state) % 4000 * 8));
	plan_builder_set_regs(builder, (uint32_t)random_next(state) & ((1u << TRAP_REGS) - 1),
			      (uint32_t)random_next(state) & ((1u << TRAP_REGS) - 1));
	if (bits & 1)
		flags |= PLAN_F_DEFAULT_SKIP;
	if (bits & 2)
		flags |= bits & 4 ? PLAN_F_SKIP_ENTER : PLAN_F_SKIP_EXIT;
	plan_builder_set_flags(builder, flags);
	if (bits & 8) {
		task.flags = PLAN_TASK_VALID;
		task.base = (uint8_t)(random_next(state) % TRAP_REGS);
		task.offset = (int64_t)(random_next(state) << 8 >> random_next(state) % 64);
		if (bits & 16) {
			task.flags |= PLAN_TASK_ID_VALID;
			task.id_offset = (int32_t)random_next(state);
		}
	}
	plan_builder_set_task(builder, &task);
	for (unsigned slot = 0; slot < (bits & 1 ? 2 : 4); slot++)
		CHECK_INT(plan_builder_set_steps(builder, slot, enter, random_steps(state, enter, places[slot])), 0);
	for (uint64_t n = random_next(state) % 5; n; n--)
		CHECK_INT(plan_builder_add_cr3(builder, random_next(state)), 0);
	for (uint64_t n = random_next(state) % 40; n; n--) {
		uint8_t abi = (uint8_t)(random_next(state) % TRAP_ABIS);
		uint32_t nr = (uint32_t)random_next(state) >> random_next(state) % 32;
		unsigned call_flags = random_next(state) % 3 ? 0 : (unsigned)(random_next(state) % 8);
		size_t nr_enter = random_steps(state, enter, PLAN_AT_ENTER);
		size_t nr_exit = random_steps(state, leave, PLAN_AT_EXIT);

		if (abi != TRAP_ABI_I386)
			nr &= ~0x40000000u;
		if (call_flags & (PLAN_CALL_SKIP | PLAN_CALL_NO_RETURN))
			nr_exit = 0;
		if (call_flags & PLAN_CALL_SKIP)
			nr_enter = 0;
		CHECK_INT(plan_builder_set_call(builder, abi, nr, (uint8_t)call_flags, enter, nr_enter, leave, nr_exit),
			  0);
	}
	if (plan_builder_finish(builder, &plan, size_bytes, &error)) {
		fprintf(stderr, "random plan is not valid: %s\n", error.message);
		exit(1);
	}
	plan_builder_destroy(builder);
	return plan;
}

#endif
