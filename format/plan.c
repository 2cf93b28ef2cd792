/* SPDX-License-Identifier: MIT */
/* plan.c - builds capture plans and looks into them; see plan.h. The rules are those of plan_validate.h. */
#include "plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plan_exec.h"
#include "plan_words.h"

/* ---- look at ---------------------------------------------------------- */

const struct plan_header *plan_get_header(const void *plan)
{
	return plan;
}

const struct plan_call *plan_find_call(const void *plan, uint8_t abi, uint32_t nr)
{
	return plan_lookup(plan, abi, nr);
}

const struct plan_step *plan_get_steps(const void *plan, struct plan_range range)
{
	return plan_steps(plan) + range.first;
}

static int plan_error_set(struct plan_error *error, int err, const char *format, ...)
{
	va_list args;

	if (error) {
		error->line = 0;
		va_start(args, format);
		vsnprintf(error->message, sizeof(error->message), format, args);
		va_end(args);
	}
	return err;
}

/* Says which call or range is at fault; only once sizes and counts are known to be good. */
static int locate_fault(const void *plan, const char *fault, struct plan_error *error)
{
	const struct plan_header *header = plan;
	const struct {
		const char *name;
		struct plan_range range;
		enum plan_place place;
	} ranges[] = {
		{"identity", header->identity, PLAN_AT_IDENTITY},
		{"diverted", header->diverted, PLAN_AT_IDENTITY},
		{"default enter", header->default_enter, PLAN_AT_ENTER},
		{"default exit", header->default_exit, PLAN_AT_EXIT},
	};
	unsigned next = 0;
	const char *found;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		found = plan_range_fault(plan, ranges[i].range, ranges[i].place, &next);
		if (found && !strcmp(found, fault))
			return plan_error_set(error, -EINVAL, "%s: %s", ranges[i].name, fault);
		if (found)
			break;
	}
	for (unsigned i = 0; i < header->nr_calls; i++) {
		const struct plan_call *call = plan_calls(plan) + i;

		found = plan_call_fault(plan, i, &next);
		if (found && !strcmp(found, fault))
			return plan_error_set(error, -EINVAL, "call %s%u: %s", plan_abi_prefix(call->abi), call->nr,
					      fault);
		if (found)
			break;
	}
	return plan_error_set(error, -EINVAL, "%s", fault);
}

int plan_check(const void *plan, size_t size_bytes, struct plan_error *error)
{
	const struct plan_header *header = plan;
	const char *fault;

	if (!plan_validate(plan, size_bytes, &fault))
		return 0;
	if ((uintptr_t)plan % 8 || size_bytes < sizeof(*header) || header->size_bytes != size_bytes ||
	    size_bytes != sizeof(*header) + header->nr_calls * sizeof(struct plan_call) +
				  header->nr_steps * sizeof(struct plan_step) + header->nr_cr3 * sizeof(uint64_t))
		return plan_error_set(error, -EINVAL, "%s", fault);
	return locate_fault(plan, fault, error);
}

/* ---- build ------------------------------------------------------------ */

struct build_call {
	uint32_t nr;
	uint8_t abi;
	uint8_t flags;
	uint8_t nr_enter;
	uint8_t nr_exit;
	struct plan_step *steps; /* entry's, then exit's */
};

struct plan_builder {
	struct plan_header header;
	struct plan_step slots[4][PLAN_MAX_CALL_STEPS]; /* by enum plan_slot */
	size_t nr_slots[4];
	struct build_call *calls; /* in order of (abi, nr) */
	size_t nr_calls, room_calls;
	uint64_t cr3s[PLAN_MAX_CR3]; /* in order */
	size_t nr_cr3s;
};

int plan_builder_create(struct plan_builder **out, uint32_t plan_id)
{
	struct plan_builder *builder = calloc(1, sizeof(*builder));

	*out = builder;
	if (!builder)
		return -ENOMEM;
	builder->header.magic = PLAN_MAGIC;
	builder->header.version = PLAN_VERSION;
	builder->header.plan_id = plan_id;
	builder->header.max_record_bytes = PLAN_MAX_RECORD_BYTES;
	builder->header.enter_regs = PLAN_DEFAULT_ENTER_REGS;
	builder->header.exit_regs = PLAN_DEFAULT_EXIT_REGS;
	return 0;
}

void plan_builder_destroy(struct plan_builder *builder)
{
	if (!builder)
		return;
	for (size_t i = 0; i < builder->nr_calls; i++)
		free(builder->calls[i].steps);
	free(builder->calls);
	free(builder);
}

void plan_builder_set_task(struct plan_builder *builder, const struct plan_task *task)
{
	builder->header.task = *task;
}

void plan_builder_set_regs(struct plan_builder *builder, uint32_t enter_regs, uint32_t exit_regs)
{
	builder->header.enter_regs = enter_regs;
	builder->header.exit_regs = exit_regs;
}

void plan_builder_set_flags(struct plan_builder *builder, uint16_t flags)
{
	builder->header.flags = flags;
}

void plan_builder_set_max_record(struct plan_builder *builder, uint16_t size_bytes)
{
	builder->header.max_record_bytes = size_bytes;
}

int plan_builder_set_steps(struct plan_builder *builder, enum plan_slot slot, const struct plan_step *steps, size_t n)
{
	if (n > PLAN_MAX_CALL_STEPS)
		return -E2BIG;
	if (n)
		memcpy(builder->slots[slot], steps, n * sizeof(*steps));
	builder->nr_slots[slot] = n;
	return 0;
}

/* Index of the call, or of the place where it belongs. */
static size_t find_place(const struct plan_builder *builder, uint8_t abi, uint32_t nr)
{
	size_t low = 0, high = builder->nr_calls;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct build_call *call = &builder->calls[middle];

		if (call->abi < abi || (call->abi == abi && call->nr < nr))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int plan_builder_set_call(struct plan_builder *builder, uint8_t abi, uint32_t nr, uint8_t flags,
			  const struct plan_step *enter, size_t nr_enter, const struct plan_step *exit, size_t nr_exit)
{
	size_t at = find_place(builder, abi, nr);
	bool known = at < builder->nr_calls && builder->calls[at].abi == abi && builder->calls[at].nr == nr;
	struct build_call *call;
	struct plan_step *steps = NULL;

	if (nr_enter > PLAN_MAX_CALL_STEPS || nr_exit > PLAN_MAX_CALL_STEPS)
		return -E2BIG;
	if (!known && builder->nr_calls == PLAN_MAX_CALLS)
		return -E2BIG;
	if (!known && builder->nr_calls == builder->room_calls) {
		size_t room = builder->room_calls ? 2 * builder->room_calls : 64;

		call = realloc(builder->calls, room * sizeof(*call));
		if (!call)
			return -ENOMEM;
		builder->calls = call;
		builder->room_calls = room;
	}
	if (nr_enter + nr_exit) {
		steps = malloc((nr_enter + nr_exit) * sizeof(*steps));
		if (!steps)
			return -ENOMEM;
		if (nr_enter)
			memcpy(steps, enter, nr_enter * sizeof(*steps));
		if (nr_exit)
			memcpy(steps + nr_enter, exit, nr_exit * sizeof(*steps));
	}
	call = &builder->calls[at];
	if (known) {
		free(call->steps);
	} else {
		memmove(call + 1, call, (builder->nr_calls - at) * sizeof(*call));
		builder->nr_calls++;
	}
	*call = (struct build_call){.nr = nr,
				    .abi = abi,
				    .flags = flags,
				    .nr_enter = (uint8_t)nr_enter,
				    .nr_exit = (uint8_t)nr_exit,
				    .steps = steps};
	return 0;
}

int plan_builder_add_cr3(struct plan_builder *builder, uint64_t cr3)
{
	size_t at = 0;

	cr3 &= 0x000ffffffffff000ull; /* no PCID, no flags: plan_wants_cr3() */
	while (at < builder->nr_cr3s && builder->cr3s[at] < cr3)
		at++;
	if (at < builder->nr_cr3s && builder->cr3s[at] == cr3)
		return 0;
	if (builder->nr_cr3s == PLAN_MAX_CR3)
		return -E2BIG;
	memmove(&builder->cr3s[at + 1], &builder->cr3s[at], (builder->nr_cr3s - at) * sizeof(builder->cr3s[0]));
	builder->cr3s[at] = cr3;
	builder->nr_cr3s++;
	return 0;
}

static struct plan_range put_steps(uint8_t *plan, size_t steps_offset, size_t *next, const struct plan_step *steps,
				   size_t n)
{
	struct plan_range range = {0};

	if (!n)
		return range;
	memcpy(plan + steps_offset + *next * sizeof(*steps), steps, n * sizeof(*steps));
	range.first = (uint16_t)*next;
	range.count = (uint16_t)n;
	*next += n;
	return range;
}

static size_t count_steps(const struct plan_builder *builder)
{
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		n += builder->nr_slots[i];
	for (size_t i = 0; i < builder->nr_calls; i++)
		n += builder->calls[i].nr_enter + builder->calls[i].nr_exit;
	return n;
}

int plan_builder_finish(struct plan_builder *builder, void **out, size_t *size_bytes, struct plan_error *error)
{
	size_t nr_steps = count_steps(builder), next = 0;
	size_t calls_offset = sizeof(struct plan_header);
	size_t steps_offset = calls_offset + builder->nr_calls * sizeof(struct plan_call);
	size_t cr3s_offset = steps_offset + nr_steps * sizeof(struct plan_step);
	size_t size = cr3s_offset + builder->nr_cr3s * sizeof(uint64_t);
	struct plan_header header = builder->header;
	uint8_t *plan;
	int err;

	*out = NULL;
	if (nr_steps > PLAN_MAX_STEPS)
		return plan_error_set(error, -E2BIG, "%zu steps; a plan has at most %d", nr_steps, PLAN_MAX_STEPS);
	plan = malloc(size);
	if (!plan)
		return plan_error_set(error, -ENOMEM, "no memory for a plan of %zu bytes", size);

	header.size_bytes = (uint32_t)size;
	header.nr_calls = (uint16_t)builder->nr_calls;
	header.nr_steps = (uint16_t)nr_steps;
	header.nr_cr3 = (uint16_t)builder->nr_cr3s;
	header.identity =
		put_steps(plan, steps_offset, &next, builder->slots[PLAN_IDENTITY], builder->nr_slots[PLAN_IDENTITY]);
	header.diverted =
		put_steps(plan, steps_offset, &next, builder->slots[PLAN_DIVERTED], builder->nr_slots[PLAN_DIVERTED]);
	header.default_enter = put_steps(plan, steps_offset, &next, builder->slots[PLAN_DEFAULT_ENTER],
					 builder->nr_slots[PLAN_DEFAULT_ENTER]);
	header.default_exit = put_steps(plan, steps_offset, &next, builder->slots[PLAN_DEFAULT_EXIT],
					builder->nr_slots[PLAN_DEFAULT_EXIT]);
	memcpy(plan, &header, sizeof(header));
	for (size_t i = 0; i < builder->nr_calls; i++) {
		const struct build_call *from = &builder->calls[i];
		struct plan_call call = {.nr = from->nr, .abi = from->abi, .flags = from->flags};

		call.enter = put_steps(plan, steps_offset, &next, from->steps, from->nr_enter);
		if (from->nr_exit)
			call.exit = put_steps(plan, steps_offset, &next, from->steps + from->nr_enter, from->nr_exit);
		memcpy(plan + calls_offset + i * sizeof(call), &call, sizeof(call));
	}
	memcpy(plan + cr3s_offset, builder->cr3s, builder->nr_cr3s * sizeof(uint64_t));

	err = plan_check(plan, size, error);
	if (err) {
		free(plan);
		return err;
	}
	*out = plan;
	*size_bytes = size;
	return 0;
}

/* ---- generic ---------------------------------------------------------- */

int plan_generic(uint32_t plan_id, void **out, size_t *size_bytes)
{
	/*
	 * Arguments of both ABIs, as one range serves all calls. Labels are those of
	 * x86-64, where a register is an argument of both.
	 */
	static const struct {
		uint8_t reg, label;
	} args[] = {
		{TRAP_REG_RDI, 0}, {TRAP_REG_RSI, 1}, {TRAP_REG_RDX, 2}, {TRAP_REG_R10, 3}, {TRAP_REG_R8, 4},
		{TRAP_REG_R9, 5},  {TRAP_REG_RBX, 0}, {TRAP_REG_RCX, 1}, {TRAP_REG_RBP, 5},
	};
	struct plan_step steps[sizeof(args) / sizeof(args[0])];
	struct plan_builder *builder;
	int err;

	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		steps[i] = (struct plan_step){.op = PLAN_OP_BYTES,
					      .flags = PLAN_STEP_QUIET,
					      .base = args[i].reg,
					      .len_from = PLAN_SRC_CONST,
					      .len = 64,
					      .cap = 64,
					      .label = (uint8_t)(PLAN_LABEL_ARG0 + args[i].label)};
	err = plan_builder_create(&builder, plan_id);
	if (err)
		return err;
	err = plan_builder_set_steps(builder, PLAN_DEFAULT_ENTER, steps, sizeof(args) / sizeof(args[0]));
	if (!err)
		err = plan_builder_finish(builder, out, size_bytes, NULL);
	plan_builder_destroy(builder);
	return err;
}
