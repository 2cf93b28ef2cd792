/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * plan_exec.h - interpreter of capture plans (plan_abi.h), for kernel, QEMU and
 * user space: no allocation, no recursion, every loop bounded by the plan's own
 * limits. Only for plans that plan_validate() accepted.
 */
#ifndef PLAN_EXEC_H
#define PLAN_EXEC_H

#include "plan_validate.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

/* ---- what a producer asks of a plan ------------------------------------ */

/* NULL: not in the table. */
static inline const struct plan_call *plan_lookup(const void *plan, __u8 abi, __u32 nr)
{
	const struct plan_call *calls = plan_calls(plan);
	unsigned int low = 0, high = ((const struct plan_header *)plan)->nr_calls;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct plan_call *call = &calls[middle];

		if (call->abi == abi && call->nr == nr)
			return call;
		if (call->abi < abi || (call->abi == abi && call->nr < nr))
			low = middle + 1;
		else
			high = middle;
	}
	return (const struct plan_call *)0;
}

/* CR3 for kernel reads while cr3 is loaded. */
static inline __u64 plan_kernel_cr3(const void *plan, __u64 cr3)
{
	const struct plan_task *task = &((const struct plan_header *)plan)->task;

	return (cr3 & task->kernel_cr3_mask) | task->kernel_cr3_set;
}

/* Is this address space recorded? Told apart by the kernel's page-table root, without PCID and flags. */
static inline int plan_wants_cr3(const void *plan, __u64 cr3)
{
	const struct plan_task *task = &((const struct plan_header *)plan)->task;
	const __u64 root = 0x000ffffffffff000ull;
	unsigned int low = 0, high = ((const struct plan_header *)plan)->nr_cr3;

	if (!high)
		return 1;
	if (task->kernel_cr3_mask)
		cr3 = plan_kernel_cr3(plan, cr3);
	cr3 &= root;
	while (low < high) {
		unsigned int middle = (low + high) / 2;
		__u64 found = plan_cr3s(plan)[middle];

		if (found == cr3)
			return 1;
		if (found < cr3)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* ---- interpreter -------------------------------------------------------- */

/*
 * Reads guest memory without faulting: up to len bytes from gva to dst, with
 * the kernel's CR3 if kernel is set. Returns how many bytes from the start
 * could be read, 0 to len.
 */
typedef int plan_read_fn(void *ctx, __u64 gva, void *dst, __u32 len, int kernel);

/* Over 1 KiB: keep one a vCPU rather than on a kernel stack. */
struct plan_exec {
	/* results, which several runs add to */
	__u32 used_bytes;
	__u16 nr_fragments;
	__u8 flags; /* TRAP_F_CUT: the limit was reached, and nothing is added any more */

	__u8 abi;
	__u8 diverted; /* the exit has TRAP_F_DIVERTED; set between plan_exec_init() and the first run */
	__u32 limit_bytes;
	__u8 *out;
	const struct plan_step *steps;
	const __u64 *regs;
	plan_read_fn *read;
	void *ctx;

	/* of the range that runs */
	__u8 again;           /* TRAP_FRAG_AGAIN or 0 */
	__u8 missing;         /* the step that runs found a page that is not present */
	__u16 values_known;   /* bit i: values[i] was read */
	__u16 values_missing; /* bit i: it lies on a page that is not present */
	__u64 values[PLAN_MAX_CALL_STEPS];
	__u64 items[2 * PLAN_MAX_ITEMS];
};

/*
 * regs: TRAP_REGS values; at exit RAX is the result and the argument registers
 * have their values of the entry. Fragments go to out, at most limit_bytes.
 */
static inline void plan_exec_init(struct plan_exec *x, const void *plan, __u8 abi, const __u64 *regs,
				  plan_read_fn *read, void *ctx, void *out, __u32 limit_bytes)
{
	x->used_bytes = 0;
	x->nr_fragments = 0;
	x->flags = 0;
	x->abi = abi;
	x->diverted = 0;
	x->limit_bytes = limit_bytes & ~7u;
	x->out = (__u8 *)out;
	x->steps = plan_steps(plan);
	x->regs = regs;
	x->read = read;
	x->ctx = ctx;
}

/* Bytes from gva to the end of the addresses that the step may read; 0: it may not read there. */
static inline __u64 plan_exec_span(const struct plan_step *s, __u64 gva)
{
	if (s->flags & PLAN_STEP_KERNEL)
		return gva >> 63 ? 0 - gva : 0;
	if (s->flags & PLAN_STEP_PTR32)
		return gva >> 32 ? 0 : (1ull << 32) - gva;
	return gva >> 63 ? 0 : (1ull << 63) - gva;
}

static inline __u32 plan_exec_read(struct plan_exec *x, const struct plan_step *s, __u64 gva, void *dst, __u32 len)
{
	__u64 span = plan_exec_span(s, gva);
	int got;

	if (len > span)
		len = (__u32)span;
	if (!len)
		return 0;
	got = x->read(x->ctx, gva, dst, len, !!(s->flags & PLAN_STEP_KERNEL));
	if (got < 0)
		return 0;
	return (__u32)got < len ? (__u32)got : len;
}

/* Data of the next fragment, and room for it; NULL: not even its head fits. */
static inline __u8 *plan_exec_open(struct plan_exec *x, __u32 *room_bytes)
{
	__u32 left = x->limit_bytes - x->used_bytes;

	if (left < sizeof(struct trap_fragment)) {
		x->flags |= TRAP_F_CUT;
		return (__u8 *)0;
	}
	*room_bytes = left - (__u32)sizeof(struct trap_fragment);
	return x->out + x->used_bytes + sizeof(struct trap_fragment);
}

/* Ends the fragment whose len_bytes are in place. read_any 0: nothing could be read, and a quiet step says nothing. */
static inline void plan_exec_close(struct plan_exec *x, const struct plan_step *s, __u64 gva, __u64 want_bytes,
				   __u32 len_bytes, __u8 status, int read_any)
{
	struct trap_fragment fragment;
	__u8 *at = x->out + x->used_bytes;
	__u32 padded = (len_bytes + 7) & ~7u;

	/* that nothing was there is known from the entry: again only says what is new */
	if (!read_any && ((s->flags & PLAN_STEP_QUIET) || x->again))
		return;
	fragment.gva = gva;
	fragment.want_bytes = want_bytes < 0xffffffffu ? (__u32)want_bytes : 0xffffffffu;
	fragment.len_bytes = (__u16)len_bytes;
	fragment.status = status | x->again;
	fragment.label = s->label;
	memcpy(at, &fragment, sizeof(fragment));
	memset(at + sizeof(fragment) + len_bytes, 0, padded - len_bytes);
	x->used_bytes += (__u32)sizeof(fragment) + padded;
	x->nr_fragments++;
}

static inline void plan_exec_bytes(struct plan_exec *x, const struct plan_step *s, __u64 gva, __u64 want_bytes)
{
	__u32 take = want_bytes < s->cap ? (__u32)want_bytes : s->cap, room, got;
	__u8 status = want_bytes > s->cap ? TRAP_FRAG_CUT : TRAP_FRAG_WHOLE, *data = plan_exec_open(x, &room);
	int no_room = 0;

	if (!data)
		return;
	if (!plan_exec_span(s, gva)) {
		plan_exec_close(x, s, gva, want_bytes, 0, TRAP_FRAG_NOT_CANONICAL, 0);
		return;
	}
	if (take > room) {
		take = room;
		status = TRAP_FRAG_CUT;
		no_room = 1;
	}
	got = plan_exec_read(x, s, gva, data, take);
	if (got < take) {
		status = TRAP_FRAG_NOT_PRESENT;
		x->missing = 1;
	} else if (no_room) {
		x->flags |= TRAP_F_CUT;
	}
	plan_exec_close(x, s, gva, want_bytes, got, status, got != 0);
}

/* want_bytes of a string whose end was seen counts its NUL, and so is never 0. */
static inline void plan_exec_string(struct plan_exec *x, const struct plan_step *s, __u64 gva)
{
	__u32 room, most = s->cap, len = 0;
	__u8 status = TRAP_FRAG_CUT, *data = plan_exec_open(x, &room);

	if (!data)
		return;
	if (!plan_exec_span(s, gva)) {
		plan_exec_close(x, s, gva, 0, 0, TRAP_FRAG_NOT_CANONICAL, 0);
		return;
	}
	if (most > room)
		most = room;
	while (len < most) {
		/* most strings are short: not a page at once */
		__u32 chunk = 4096 - ((gva + len) & 4095), got, i = 0;

		if (chunk > 256)
			chunk = 256;
		if (chunk > most - len)
			chunk = most - len;
		got = plan_exec_read(x, s, gva + len, data + len, chunk);
		while (i < got && data[len + i])
			i++;
		len += i;
		if (i < got) {
			plan_exec_close(x, s, gva, len + 1, len, TRAP_FRAG_WHOLE, 1);
			return;
		}
		if (got < chunk) {
			status = TRAP_FRAG_NOT_PRESENT;
			x->missing = 1;
			break;
		}
	}
	if (status == TRAP_FRAG_CUT && most < s->cap)
		x->flags |= TRAP_F_CUT;
	plan_exec_close(x, s, gva, 0, len, status, len != 0);
}

static inline __u64 plan_exec_item(const struct plan_exec *x, const struct plan_step *s, unsigned int index)
{
	__u32 narrow;

	if (!(s->flags & PLAN_STEP_PTR32))
		return x->items[index];
	memcpy(&narrow, (const __u8 *)x->items + 4 * index, 4);
	return narrow;
}

/*
 * The array's own fragment: up to wanted entries of entry_bytes, which stay in
 * items. With ends, it ends before a zero, as of strings. Returns how many
 * entries it holds; they are taken from items, as out is shared with the consumer.
 */
static inline __u32 plan_exec_array(struct plan_exec *x, const struct plan_step *s, __u64 gva, __u64 want_bytes,
				    __u32 entry_bytes, int ends)
{
	__u32 room, entries = s->max_items, got, count = 0;
	__u8 status = TRAP_FRAG_WHOLE, *data = plan_exec_open(x, &room);

	if (!data)
		return 0;
	if (!plan_exec_span(s, gva)) {
		plan_exec_close(x, s, gva, want_bytes, 0, TRAP_FRAG_NOT_CANONICAL, 0);
		return 0;
	}
	if (!ends && want_bytes / entry_bytes <= entries)
		entries = (__u32)(want_bytes / entry_bytes);
	else
		status = TRAP_FRAG_CUT;
	got = plan_exec_read(x, s, gva, x->items, entries * entry_bytes) / entry_bytes;
	if (ends) {
		while (count < got && plan_exec_item(x, s, count))
			count++;
		if (count < got) {
			status = TRAP_FRAG_WHOLE;
			entries = count;
			want_bytes = (count + 1) * entry_bytes;
		}
	} else {
		count = got;
	}
	if (count < entries) {
		status = TRAP_FRAG_NOT_PRESENT;
		x->missing = 1;
	}
	if (count * entry_bytes > room) {
		count = room / entry_bytes;
		status = TRAP_FRAG_CUT;
		x->flags |= TRAP_F_CUT;
	}
	memcpy(data, x->items, count * entry_bytes);
	plan_exec_close(x, s, gva, want_bytes, count * entry_bytes, status, got != 0);
	return count;
}

static inline void plan_exec_strings(struct plan_exec *x, const struct plan_step *s, __u64 gva)
{
	__u32 i, count = plan_exec_array(x, s, gva, 0, s->flags & PLAN_STEP_PTR32 ? 4 : 8, 1);

	for (i = 0; i < count && !(x->flags & TRAP_F_CUT); i++)
		plan_exec_string(x, s, plan_exec_item(x, s, i));
}

static inline void plan_exec_iovec(struct plan_exec *x, const struct plan_step *s, __u64 gva, __u64 want_bytes)
{
	__u32 i, count = plan_exec_array(x, s, gva, want_bytes, s->flags & PLAN_STEP_PTR32 ? 8 : 16, 0);

	for (i = 0; i < count && !(x->flags & TRAP_F_CUT); i++)
		plan_exec_bytes(x, s, plan_exec_item(x, s, 2 * i), plan_exec_item(x, s, 2 * i + 1));
}

/* 1: *out is the source's value. */
static inline int plan_exec_source(struct plan_exec *x, __u8 source, __u64 *out)
{
	unsigned int value = source & ~PLAN_SRC_VALUE;

	if (!(source & PLAN_SRC_VALUE)) {
		*out = x->regs[source];
		return 1;
	}
	if (x->values_missing >> value & 1)
		x->missing = 1;
	*out = x->values[value];
	return x->values_known >> value & 1;
}

static inline int plan_exec_failed(const struct plan_exec *x)
{
	__s64 result = (__s64)x->regs[TRAP_REG_RAX];

	if (x->abi == TRAP_ABI_I386)
		result = (__s32)result;
	return result < 0 && result >= -4095;
}

static inline void plan_exec_step(struct plan_exec *x, const struct plan_step *s, unsigned int index)
{
	__u64 gva, want_bytes = s->len;

	x->missing = 0;
	if ((s->flags & PLAN_STEP_DIVERTED) && !x->diverted)
		return;
	if ((s->flags & PLAN_STEP_IF_OK) && plan_exec_failed(x))
		return;
	if (!plan_exec_source(x, s->base, &gva))
		return;
	gva += (__u64)(__s64)s->offset;
	if (s->flags & PLAN_STEP_PTR32)
		gva &= 0xffffffffu;

	if (s->len_from != PLAN_SRC_CONST) {
		__u64 count;

		if (!plan_exec_source(x, s->len_from, &count))
			return;
		if (s->flags & PLAN_STEP_LEN32)
			count = (__s32)count < 0 ? 0 : (__u32)count;
		/* far over any cap already, and the product cannot overflow */
		if (count > 0xffffffffu)
			count = 0xffffffffu;
		want_bytes = count * s->len;
	}

	switch (s->op) {
	case PLAN_OP_VALUE:
		x->values[index] = 0;
		if (plan_exec_read(x, s, gva, &x->values[index], s->len) == s->len)
			x->values_known |= 1u << index;
		else if (plan_exec_span(s, gva))
			x->missing = 1;
		break;
	case PLAN_OP_BYTES:
		plan_exec_bytes(x, s, gva, want_bytes);
		break;
	case PLAN_OP_STRING:
		plan_exec_string(x, s, gva);
		break;
	case PLAN_OP_STRINGS:
		plan_exec_strings(x, s, gva);
		break;
	case PLAN_OP_IOVEC:
		plan_exec_iovec(x, s, gva, want_bytes);
		break;
	}
}

/* Steps of the range, those of the mask only. Returns which AGAIN steps were not, or not wholly, present. */
static inline __u32 plan_exec_masked(struct plan_exec *x, struct plan_range range, __u32 mask)
{
	const struct plan_step *steps = x->steps + range.first;
	__u32 again = 0;
	unsigned int i;

	x->values_known = 0;
	x->values_missing = 0;
	for (i = 0; i < range.count && !(x->flags & TRAP_F_CUT); i++) {
		if (!(mask >> i & 1))
			continue;
		plan_exec_step(x, &steps[i], i);
		if (!x->missing)
			continue;
		if (steps[i].op == PLAN_OP_VALUE)
			x->values_missing |= 1u << i;
		else if (steps[i].flags & PLAN_STEP_AGAIN)
			again |= 1u << i;
	}
	return again;
}

/* Runs the range. Returns a mask for plan_exec_again(): 0, or AGAIN steps of which something was not present. */
static inline __u32 plan_exec_run(struct plan_exec *x, struct plan_range range)
{
	x->again = 0;
	return plan_exec_masked(x, range, 0xffffffffu);
}

/* At exit, first thing: reads the steps of mask again, with the values that they need; what is there now is added. */
static inline void plan_exec_again(struct plan_exec *x, struct plan_range range, __u32 mask)
{
	const struct plan_step *steps = x->steps + range.first;
	unsigned int i;

	for (i = range.count; i-- > 0;) {
		if (!(mask >> i & 1))
			continue;
		if (steps[i].base & PLAN_SRC_VALUE)
			mask |= 1u << (steps[i].base & ~PLAN_SRC_VALUE);
		if (steps[i].len_from != PLAN_SRC_CONST && (steps[i].len_from & PLAN_SRC_VALUE))
			mask |= 1u << (steps[i].len_from & ~PLAN_SRC_VALUE);
	}
	x->again = TRAP_FRAG_AGAIN;
	plan_exec_masked(x, range, mask);
}

#endif
