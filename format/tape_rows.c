/* SPDX-License-Identifier: MIT */
/*
 * tape_rows.c - one fast walk over the raw records of a chunk: counts, bounds,
 * and what they touch. Only sizes must be right; a record that lies about
 * anything else is kept as it is, for a producer must not be able to stop a
 * recording with it.
 */
#include <errno.h>

#include "tape_private.h"

#define DENSE_NRS   1024u
#define RECENT      256u /* a power of two */
#define NOT_A_SPACE UINT64_MAX

struct touched_walk {
	struct tape_touched *out;
	uint8_t dense[TRAP_ABIS][DENSE_NRS];
	uint64_t recent[RECENT];
	bool unknown;
};

void tape_touched_deinit(struct tape_touched *touched)
{
	if (touched->nrs)
		roaring_bitmap_free(touched->nrs);
	if (touched->spaces)
		roaring64_bitmap_free(touched->spaces);
	*touched = (struct tape_touched){0};
}

static int touched_init(struct tape_touched *touched)
{
	touched->nrs = roaring_bitmap_create();
	touched->spaces = roaring64_bitmap_create();
	if (touched->nrs && touched->spaces)
		return 0;
	tape_touched_deinit(touched);
	return -ENOMEM;
}

static void touch_nr(struct touched_walk *walk, uint8_t abi, uint64_t rax)
{
	uint32_t key = tape_nr_key(abi, rax);

	if (abi < TRAP_ABIS && (key & 0x0fffffff) < DENSE_NRS)
		walk->dense[abi][key & 0x0fffffff] = 1;
	else
		roaring_bitmap_add(walk->out->nrs, key);
}

static void touch_space(struct touched_walk *walk, uint64_t cr3)
{
	uint64_t key = tape_space_key(cr3);
	uint64_t *recent = &walk->recent[(key ^ key >> 8) & (RECENT - 1)];

	if (*recent == key)
		return;
	*recent = key;
	roaring64_bitmap_add(walk->out->spaces, key);
}

static void touch_record(struct touched_walk *walk, const uint8_t *record, uint32_t size_bytes)
{
	uint32_t mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	const uint8_t *regs = record + sizeof(struct trap_record);
	uint8_t type = record[offsetof(struct trap_record, type)];
	uint8_t abi = record[offsetof(struct trap_record, abi)];

	if (sizeof(struct trap_record) + 8 * (size_t)__builtin_popcount(mask) > size_bytes)
		return;
#define HAS(reg) (mask >> (reg)&1)
#define REG(reg) get_le64(regs + 8 * __builtin_popcount(mask & ((1u << (reg)) - 1)))
	if (type == TRAP_ENTER && HAS(TRAP_REG_RAX))
		touch_nr(walk, abi, REG(TRAP_REG_RAX));
	else if (type == TRAP_EXIT && HAS(TRAP_REG_NR))
		touch_nr(walk, abi, REG(TRAP_REG_NR));
	else if (type == TRAP_ENTER || type == TRAP_EXIT)
		walk->unknown = true;
	if (HAS(TRAP_REG_CR3))
		touch_space(walk, REG(TRAP_REG_CR3));
#undef HAS
#undef REG
}

static void touched_finish(struct touched_walk *walk)
{
	for (unsigned abi = 0; abi < TRAP_ABIS; abi++)
		for (unsigned nr = 0; nr < DENSE_NRS; nr++)
			if (walk->dense[abi][nr])
				roaring_bitmap_add(walk->out->nrs, tape_nr_key((uint8_t)abi, nr));
	if (walk->unknown)
		roaring_bitmap_add(walk->out->nrs, TAPE_NR_UNKNOWN);
	roaring_bitmap_run_optimize(walk->out->nrs);
}

int tape_rows_walk(struct tape_rows *out, const uint8_t *records, size_t size_bytes, size_t *bad_at)
{
	struct touched_walk walk = {.out = &out->touched};
	size_t at = 0;

	*out = (struct tape_rows){.min_tsc = UINT64_MAX};
	if (touched_init(&out->touched))
		return -ENOMEM;
	for (unsigned i = 0; i < RECENT; i++)
		walk.recent[i] = NOT_A_SPACE;
	while (at < size_bytes) {
		const uint8_t *record = records + at;
		size_t left_bytes = size_bytes - at;
		uint32_t record_bytes = 0;
		uint64_t tsc;

		if (left_bytes >= sizeof(struct trap_record))
			record_bytes = get_le32(record);
		if (record_bytes < sizeof(struct trap_record) || record_bytes > left_bytes || record_bytes & 7 ||
		    record_bytes > TRAP_RECORD_MAX_BYTES) {
			*bad_at = at;
			tape_touched_deinit(&out->touched);
			return -EBADMSG;
		}
		tsc = get_le64(record + offsetof(struct trap_record, tsc));
		out->min_tsc = tsc < out->min_tsc ? tsc : out->min_tsc;
		out->max_tsc = tsc > out->max_tsc ? tsc : out->max_tsc;
		out->last_seq = get_le64(record + offsetof(struct trap_record, seq));
		if (!out->nr_records++)
			out->first_seq = out->last_seq;
		touch_record(&walk, record, record_bytes);
		at += record_bytes;
	}
	if (!out->nr_records)
		out->min_tsc = 0;
	touched_finish(&walk);
	return 0;
}
