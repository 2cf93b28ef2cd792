/* SPDX-License-Identifier: MIT */
/*
 * plan_torture.h - what must hold for any bytes that plan_validate() accepts:
 * every range runs over any memory and gives fragments that the record parser
 * takes, and the text form gives the identical plan back. Aborts if not.
 */
#ifndef PLAN_TORTURE_H
#define PLAN_TORTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "plan_exec.h"
#include "trap_record.h"

/* Memory whose holes and contents follow from the address and from bytes, which are often pointers and lengths. */
struct torture_memory {
	const uint8_t *bytes;
	size_t size;
};

#define TORTURE_ASSERT(condition)                                                       \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static inline int torture_read(void *ctx, __u64 gva, void *dst, __u32 len, int kernel)
{
	const struct torture_memory *memory = ctx;
	uint64_t hash = (gva >> 12) * 0x9e3779b97f4a7c15ull;
	uint8_t *out = dst;
	__u32 readable = len, in_page = 4096 - (gva & 4095);

	TORTURE_ASSERT(len && gva >> 63 == (uint64_t) !!kernel);
	/* one page in four is missing, and one behind it in two */
	if (hash >> 62 == 0)
		return 0;
	if (hash >> 61 & 1 && readable > in_page)
		readable = in_page;
	for (__u32 done = 0, n; done < readable; done += n) {
		size_t from = (gva + done) % memory->size;

		n = memory->size - from < readable - done ? (__u32)(memory->size - from) : readable - done;
		memcpy(out + done, memory->bytes + from, n);
	}
	return (int)readable;
}

static inline void torture_range(const void *plan, struct plan_range range, uint8_t abi, struct torture_memory *memory,
				 const __u64 *regs, uint32_t limit_bytes)
{
	static struct plan_exec exec;
	struct trap_record header = {.type = TRAP_EXIT};
	uint8_t *record = malloc(sizeof(header) + limit_bytes);
	struct trap_view view;
	const char *why = NULL;
	uint32_t again;

	TORTURE_ASSERT(record);
	plan_exec_init(&exec, plan, abi, regs, torture_read, memory, record + sizeof(header), limit_bytes);
	again = plan_exec_run(&exec, range);
	TORTURE_ASSERT(!(again >> range.count));
	plan_exec_again(&exec, range, again);
	TORTURE_ASSERT(exec.used_bytes <= limit_bytes && !(exec.flags & ~TRAP_F_CUT));
	header.size_bytes = (uint32_t)sizeof(header) + exec.used_bytes;
	header.nr_fragments = exec.nr_fragments;
	header.flags = exec.flags;
	memcpy(record, &header, sizeof(header));
	if (trap_view_parse(&view, record, header.size_bytes, &why) != (int)header.size_bytes) {
		fprintf(stderr, "interpreter made a bad record: %s\n", why);
		abort();
	}
	free(record);
}

static inline void torture_run(const void *plan, struct torture_memory *memory)
{
	const struct plan_header *header = plan_get_header(plan);
	uint32_t limit_bytes = header->max_record_bytes - (uint32_t)sizeof(struct trap_record);
	__u64 regs[TRAP_REGS];

	for (unsigned i = 0; i < TRAP_REGS; i++) {
		memcpy(&regs[i], memory->bytes + i * 8 % (memory->size - 7), 8);
		if (i % 3 == 0)
			regs[i] &= 0x7fffffffffff;
	}
	torture_range(plan, header->identity, 0, memory, regs, limit_bytes);
	torture_range(plan, header->diverted, 0, memory, regs, limit_bytes);
	torture_range(plan, header->default_enter, 0, memory, regs, limit_bytes);
	torture_range(plan, header->default_exit, TRAP_ABI_I386, memory, regs, limit_bytes / 2);
	for (unsigned i = 0; i < header->nr_calls; i++) {
		const struct plan_call *call = plan_calls(plan) + i;

		TORTURE_ASSERT(plan_find_call(plan, call->abi, call->nr) == call);
		torture_range(plan, call->enter, call->abi, memory, regs, limit_bytes);
		torture_range(plan, call->exit, call->abi, memory, regs, limit_bytes / 3);
	}
	plan_wants_cr3(plan, regs[0]);
}

static inline void torture_text(const void *plan, size_t size, const struct plan_names *names)
{
	struct plan_error error = {0};
	char *text = NULL;
	size_t length, again_size = 0;
	FILE *out = open_memstream(&text, &length);
	void *again = NULL;

	TORTURE_ASSERT(out && !plan_print(out, plan, size, names) && !fclose(out));
	if (plan_parse(text, names, &again, &again_size, &error)) {
		fprintf(stderr, "line %u: %s\n%s", error.line, error.message, text);
		abort();
	}
	TORTURE_ASSERT(again_size == size && !memcmp(again, plan, size));
	free(again);
	free(text);
}

#endif
