/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * plan_validate.h - the one validator of capture plans (plan_abi.h), for
 * kernel, QEMU and user space. It also makes the encoding unique: ranges take
 * the steps in the order identity, diverted, default entry and exit, then entry
 * and exit of each call, without holes and without sharing.
 */
#ifndef PLAN_VALIDATE_H
#define PLAN_VALIDATE_H

#include "plan_abi.h"
#include "trap_abi.h"

#include <linux/errno.h>
#ifndef __KERNEL__
#include <stddef.h>
#endif

#define PLAN_MIN_RECORD_BYTES 512 /* header, all registers and something to say */
#define PLAN_MAX_STEP_CAP     (TRAP_RECORD_MAX_BYTES / 2)

/* ---- the block's parts ------------------------------------------------ */

static inline const struct plan_call *plan_calls(const void *plan)
{
	return (const struct plan_call *)((const __u8 *)plan + sizeof(struct plan_header));
}

static inline const struct plan_step *plan_steps(const void *plan)
{
	return (const struct plan_step *)(plan_calls(plan) + ((const struct plan_header *)plan)->nr_calls);
}

static inline const __u64 *plan_cr3s(const void *plan)
{
	return (const __u64 *)(plan_steps(plan) + ((const struct plan_header *)plan)->nr_steps);
}

/* ---- validation ------------------------------------------------------- */

enum plan_place { PLAN_AT_ENTER, PLAN_AT_EXIT, PLAN_AT_IDENTITY };

static inline int plan_source_valid(const struct plan_step *range, unsigned int index, __u8 source)
{
	unsigned int value = source & ~PLAN_SRC_VALUE;

	if (!(source & PLAN_SRC_VALUE))
		return source < TRAP_REGS;
	return value < index && range[value].op == PLAN_OP_VALUE;
}

static inline const char *plan_step_fault(const struct plan_step *range, unsigned int index, enum plan_place place)
{
	const struct plan_step *s = &range[index];
	const __u8 all = PLAN_STEP_KERNEL | PLAN_STEP_AGAIN | PLAN_STEP_IF_OK | PLAN_STEP_QUIET | PLAN_STEP_LEN32 |
			 PLAN_STEP_PTR32 | PLAN_STEP_DIVERTED;
	int has_source = s->len_from != PLAN_SRC_CONST;
	__u32 entry = s->flags & PLAN_STEP_PTR32 ? 8 : 16;

	if (s->op < PLAN_OP_VALUE || s->op >= PLAN_OPS)
		return "unknown step operation";
	if (s->flags & ~all)
		return "unknown step flags";
	if (!plan_source_valid(range, index, s->base))
		return "step's address is neither a register nor an earlier value";
	if (has_source && !plan_source_valid(range, index, s->len_from))
		return "step's length is neither a register nor an earlier value";
	if ((s->flags & PLAN_STEP_AGAIN) && place != PLAN_AT_ENTER)
		return "only entry steps can be read again";
	if ((s->flags & (PLAN_STEP_IF_OK | PLAN_STEP_DIVERTED)) && place != PLAN_AT_EXIT)
		return "only exit steps can depend on the result";
	if ((s->flags & PLAN_STEP_LEN32) && !has_source)
		return "a constant length has no 32-bit source";
	if ((s->flags & PLAN_STEP_KERNEL) && (s->flags & (PLAN_STEP_AGAIN | PLAN_STEP_PTR32)))
		return "kernel memory is neither read again nor at 32-bit addresses";

	if (s->op == PLAN_OP_VALUE) {
		if (has_source || (s->len != 1 && s->len != 2 && s->len != 4 && s->len != 8))
			return "a value is 1, 2, 4 or 8 bytes long";
		if (s->cap || s->max_items || s->label)
			return "a value has no cap, items or label";
		if (s->flags & (PLAN_STEP_AGAIN | PLAN_STEP_QUIET))
			return "a value is no fragment that could be quiet or read again";
		return (const char *)0;
	}
	if (!s->cap || s->cap > PLAN_MAX_STEP_CAP)
		return "step's cap is out of range";

	if (s->op == PLAN_OP_STRINGS || s->op == PLAN_OP_IOVEC) {
		if (!s->max_items || s->max_items > PLAN_MAX_ITEMS)
			return "step's number of items is out of range";
	} else if (s->max_items) {
		return "step takes no items";
	}

	switch (s->op) {
	case PLAN_OP_BYTES:
		if (!s->len)
			return "length is always 0";
		break;
	case PLAN_OP_IOVEC:
		if (has_source ? s->len != entry : !s->len || s->len % entry)
			return "length does not fit the size of an iovec";
		break;
	default:
		if (has_source || s->len)
			return "strings have no length";
	}
	return (const char *)0;
}

/* Ranges take the steps in order, without holes: next is the step that a range of any length must begin with. */
static inline const char *plan_range_fault(const void *plan, struct plan_range range, enum plan_place place,
					   unsigned int *next)
{
	const struct plan_header *header = (const struct plan_header *)plan;
	unsigned int i;

	if (!range.count)
		return range.first ? "empty range with a first step" : (const char *)0;
	if (range.count > PLAN_MAX_CALL_STEPS)
		return "too many steps in a range";
	if (range.first != *next || range.count > header->nr_steps - *next)
		return "ranges do not follow each other";
	*next += range.count;
	for (i = 0; i < range.count; i++) {
		const char *fault = plan_step_fault(plan_steps(plan) + range.first, i, place);

		if (fault)
			return fault;
	}
	return (const char *)0;
}

static inline const char *plan_call_fault(const void *plan, unsigned int index, unsigned int *next)
{
	const struct plan_call *call = plan_calls(plan) + index, *before = call - 1;
	const char *fault;

	if (call->abi >= TRAP_ABIS)
		return "unknown system-call ABI";
	if (call->abi != TRAP_ABI_I386 && (call->nr & 0x40000000u))
		return "system-call number with the bit of x32";
	if (call->flags & ~(PLAN_CALL_SKIP | PLAN_CALL_IDENTITY | PLAN_CALL_NO_RETURN))
		return "unknown call flags";
	if (call->reserved)
		return "reserved field of a call is not 0";
	if (index && (before->abi > call->abi || (before->abi == call->abi && before->nr >= call->nr)))
		return "calls are not in order";
	if ((call->flags & PLAN_CALL_SKIP) && (call->enter.count || call->exit.count))
		return "steps for a call that is skipped";
	if ((call->flags & PLAN_CALL_NO_RETURN) && call->exit.count)
		return "exit steps for a call that never returns";
	fault = plan_range_fault(plan, call->enter, PLAN_AT_ENTER, next);
	return fault ? fault : plan_range_fault(plan, call->exit, PLAN_AT_EXIT, next);
}

static inline const char *plan_task_fault(const struct plan_task *task)
{
	if (task->flags & ~(PLAN_TASK_VALID | PLAN_TASK_ID_VALID))
		return "unknown task flags";
	if (task->reserved)
		return "reserved field of the task word is not 0";
	if (!(task->flags & PLAN_TASK_VALID) && (task->flags || task->base || task->offset))
		return "fields of a task word that is not valid";
	if (!(task->flags & PLAN_TASK_ID_VALID) && task->id_offset)
		return "offset of an id word that is not valid";
	if (task->base >= TRAP_REGS)
		return "task word's base is no register";
	return (const char *)0;
}

static inline const char *plan_fault(const void *plan, size_t size_bytes)
{
	const struct plan_header *header = (const struct plan_header *)plan;
	const char *fault;
	unsigned int i, next = 0;
	int kernel = 0;

	if ((unsigned long)plan % 8)
		return "plan is not aligned to 8 bytes";
	if (size_bytes < sizeof(*header))
		return "plan is shorter than its header";
	if (header->magic != PLAN_MAGIC)
		return "not a capture plan";
	if (header->version != PLAN_VERSION)
		return "plan of an unknown version";
	if (header->nr_calls > PLAN_MAX_CALLS || header->nr_steps > PLAN_MAX_STEPS || header->nr_cr3 > PLAN_MAX_CR3)
		return "too many calls, steps or address spaces";
	if (header->size_bytes != size_bytes ||
	    size_bytes != sizeof(*header) + header->nr_calls * sizeof(struct plan_call) +
				  header->nr_steps * sizeof(struct plan_step) + header->nr_cr3 * sizeof(__u64))
		return "plan's size does not match its counts";
	if (header->flags & ~(PLAN_F_DEFAULT_SKIP | PLAN_F_SKIP_ENTER | PLAN_F_SKIP_EXIT))
		return "unknown plan flags";
	if ((header->flags & PLAN_F_SKIP_ENTER) && (header->flags & PLAN_F_SKIP_EXIT))
		return "plan skips both entry and exit";
	if (header->max_record_bytes < PLAN_MIN_RECORD_BYTES || header->max_record_bytes > TRAP_RECORD_MAX_BYTES / 2 ||
	    header->max_record_bytes % 8)
		return "largest record is out of range or no multiple of 8";
	if (header->enter_regs >> TRAP_REGS || header->exit_regs >> TRAP_REGS)
		return "unknown registers";
	fault = plan_task_fault(&header->task);
	if (fault)
		return fault;
	if ((header->flags & PLAN_F_DEFAULT_SKIP) && (header->default_enter.count || header->default_exit.count))
		return "default steps, but other calls are skipped";

	fault = plan_range_fault(plan, header->identity, PLAN_AT_IDENTITY, &next);
	if (!fault)
		fault = plan_range_fault(plan, header->diverted, PLAN_AT_IDENTITY, &next);
	if (!fault)
		fault = plan_range_fault(plan, header->default_enter, PLAN_AT_ENTER, &next);
	if (!fault)
		fault = plan_range_fault(plan, header->default_exit, PLAN_AT_EXIT, &next);
	for (i = 0; !fault && i < header->nr_calls; i++)
		fault = plan_call_fault(plan, i, &next);
	if (fault)
		return fault;
	if (next != header->nr_steps)
		return "steps that belong to no range";

	for (i = 0; i < header->nr_steps; i++)
		kernel |= plan_steps(plan)[i].flags & PLAN_STEP_KERNEL;
	if ((kernel || header->task.flags) && !header->task.kernel_cr3_mask && !header->task.kernel_cr3_set)
		return "kernel reads without a kernel CR3";
	for (i = 0; i < header->nr_cr3; i++) {
		if (plan_cr3s(plan)[i] & 0xfff || plan_cr3s(plan)[i] >> 52)
			return "address space is no page-table root";
		if (i && plan_cr3s(plan)[i - 1] >= plan_cr3s(plan)[i])
			return "address spaces are not in order";
	}
	return (const char *)0;
}

/* 0, or -EINVAL and *why (why may be NULL). plan must not change while it is in use: copy it from others' memory first.
 */
static inline int plan_validate(const void *plan, size_t size_bytes, const char **why)
{
	const char *fault = plan_fault(plan, size_bytes);

	if (fault && why)
		*why = fault;
	return fault ? -EINVAL : 0;
}

#endif
