/* SPDX-License-Identifier: MIT */
/* call_builder.h - makes a struct call by hand: its raw records, piece by piece. For tests and fuzz targets. */
#ifndef CALL_BUILDER_H
#define CALL_BUILDER_H

#include <stdlib.h>
#include <string.h>

#include "call.h"

struct record_builder {
	uint8_t bytes[TRAP_RECORD_MAX_BYTES];
	size_t used;
	uint16_t fragments;
	uint64_t rsp, rip;
};

struct call_builder {
	struct linux_syscall syscall;
	struct call call;
	struct record_builder enter, exit;
};

#define BUILDER_REGS (1u << TRAP_REG_RAX | 1u << TRAP_REG_RSP | 1u << TRAP_REG_RIP)

static inline void record_builder_reset(struct record_builder *b)
{
	b->used = sizeof(struct trap_record) + (size_t)8 * 3;
	b->fragments = 0;
	b->rsp = b->rip = 0;
}

/* false: no room. */
static inline bool record_builder_add(struct record_builder *b, uint8_t label, uint8_t status, uint64_t gva,
				      uint32_t want_bytes, const void *bytes, size_t len)
{
	struct trap_fragment fragment = {
		.gva = gva, .want_bytes = want_bytes, .len_bytes = (uint16_t)len, .status = status, .label = label};
	size_t padded = (len + 7) & ~(size_t)7;

	if (len > UINT16_MAX || sizeof(b->bytes) - b->used < sizeof(fragment) + padded)
		return false;
	memcpy(b->bytes + b->used, &fragment, sizeof(fragment));
	memset(b->bytes + b->used + sizeof(fragment), 0, padded);
	if (len)
		memcpy(b->bytes + b->used + sizeof(fragment), bytes, len);
	b->used += sizeof(fragment) + padded;
	b->fragments++;
	return true;
}

/* Through the parser that real records go through. */
static inline void record_builder_finish(struct record_builder *b, uint8_t type, uint8_t abi, uint64_t rax,
					 struct trap_view *view)
{
	struct trap_record head = {.size_bytes = (uint32_t)b->used,
				   .type = type,
				   .abi = abi,
				   .nr_fragments = b->fragments,
				   .reg_mask = BUILDER_REGS};
	uint64_t regs[3] = {rax, b->rsp, b->rip};

	memcpy(b->bytes, &head, sizeof(head));
	memcpy(b->bytes + sizeof(head), regs, sizeof(regs));
	if (trap_view_parse(view, b->bytes, b->used, NULL) <= 0)
		abort();
}

static inline void call_builder_init(struct call_builder *b, uint8_t abi, const char *name)
{
	int64_t nr = linux_syscall_nr(abi, name);

	memset(&b->syscall, 0, sizeof(b->syscall));
	memset(&b->call, 0, sizeof(b->call));
	record_builder_reset(&b->enter);
	record_builder_reset(&b->exit);
	b->syscall.abi = abi;
	b->syscall.nr = b->call.nr = nr < 0 ? 0 : (uint32_t)nr;
	b->call.nr_known = nr >= 0;
	b->syscall.name = name;
	b->syscall.nr_args = -1;
	b->call.abi = abi;
	b->call.syscall = &b->syscall;
	b->call.args_known = true;
}

static inline void call_builder_finish(struct call_builder *b, bool returned, int64_t ret)
{
	b->call.has_enter = true;
	record_builder_finish(&b->enter, TRAP_ENTER, b->call.abi, 0, &b->call.enter);
	if (!returned)
		return;
	b->call.has_exit = b->call.ret_known = true;
	b->call.ret = ret;
	record_builder_finish(&b->exit, TRAP_EXIT, b->call.abi, (uint64_t)ret, &b->call.exit);
}

#endif
