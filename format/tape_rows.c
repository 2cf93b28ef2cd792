/* SPDX-License-Identifier: MIT */
/*
 * tape_rows.c - one fast walk over the raw records of a chunk: counts, bounds,
 * and what they touch. Only sizes must be right; a record that lies about
 * anything else is kept as it is, for a producer must not be able to stop a
 * recording with it.
 */
#include <errno.h>

#include "tape_private.h"

#define NOT_A_SPACE UINT64_MAX

void tape_touched_deinit(struct tape_touched *touched)
{
	if (touched->nrs)
		roaring_bitmap_free(touched->nrs);
	if (touched->spaces)
		roaring64_bitmap_free(touched->spaces);
	*touched = (struct tape_touched){0};
}

int tape_touch_begin(struct tape_touch *touch, struct tape_touched *out)
{
	memset(touch->dense, 0, sizeof(touch->dense));
	for (unsigned i = 0; i < TAPE_TOUCH_RECENT; i++)
		touch->recent[i] = NOT_A_SPACE;
	touch->unknown = false;
	touch->out = out;
	out->nrs = roaring_bitmap_create();
	out->spaces = roaring64_bitmap_create();
	if (out->nrs && out->spaces)
		return 0;
	tape_touched_deinit(out);
	return -ENOMEM;
}

void tape_touch_nr(struct tape_touch *touch, uint8_t abi, uint64_t rax)
{
	uint32_t key = tape_nr_key(abi, rax);

	if (abi < TRAP_ABIS && (key & 0x0fffffff) < TAPE_TOUCH_NRS)
		touch->dense[abi][key & 0x0fffffff] = 1;
	else
		roaring_bitmap_add(touch->out->nrs, key);
}

void tape_touch_space(struct tape_touch *touch, uint64_t cr3)
{
	uint64_t key = tape_space_key(cr3);
	uint64_t *recent = &touch->recent[(key ^ key >> 8) & (TAPE_TOUCH_RECENT - 1)];

	if (*recent == key)
		return;
	*recent = key;
	roaring64_bitmap_add(touch->out->spaces, key);
}

void tape_touch_record(struct tape_touch *touch, const uint8_t *record, uint32_t size_bytes)
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
		tape_touch_nr(touch, abi, REG(TRAP_REG_RAX));
	else if (type == TRAP_EXIT && HAS(TRAP_REG_NR))
		tape_touch_nr(touch, abi, REG(TRAP_REG_NR));
	else if (type == TRAP_ENTER || type == TRAP_EXIT)
		touch->unknown = true;
	if (HAS(TRAP_REG_CR3))
		tape_touch_space(touch, REG(TRAP_REG_CR3));
#undef HAS
#undef REG
}

void tape_touch_finish(struct tape_touch *touch)
{
	for (unsigned abi = 0; abi < TRAP_ABIS; abi++)
		for (unsigned nr = 0; nr < TAPE_TOUCH_NRS; nr++)
			if (touch->dense[abi][nr])
				roaring_bitmap_add(touch->out->nrs, tape_nr_key((uint8_t)abi, nr));
	if (touch->unknown)
		roaring_bitmap_add(touch->out->nrs, TAPE_NR_UNKNOWN);
	roaring_bitmap_run_optimize(touch->out->nrs);
}

uint64_t tape_row_task(const uint8_t *record, uint32_t size_bytes)
{
	uint32_t mask = get_le32(record + offsetof(struct trap_record, reg_mask));
	size_t at = sizeof(struct trap_record) + 8 * (size_t)__builtin_popcount(mask & ((1u << TRAP_REG_TASK) - 1));

	return mask >> TRAP_REG_TASK & 1 && at + 8 <= size_bytes ? get_le64(record + at) : 0;
}

/* Its place, or the free one where it belongs. */
static uint32_t find_task(const struct tape_rows_tasks *tasks, uint64_t task)
{
	uint32_t at = (uint32_t)((task * 0x9e3779b97f4a7c15u) >> 40);

	for (at &= TAPE_ROWS_TASKS - 1; tasks->task[at] && tasks->task[at] != task;)
		at = (at + 1) & (TAPE_ROWS_TASKS - 1);
	return at;
}

static void note_task(struct tape_rows_tasks *tasks, const uint8_t *record)
{
	uint64_t task = tape_row_task(record, get_le32(record));
	uint32_t at = find_task(tasks, task);

	if (!task)
		return;
	if (!tasks->task[at] && tasks->count == TAPE_ROWS_TASKS / 4 * 3) {
		tasks->crowded = true;
		return;
	}
	tasks->count += !tasks->task[at];
	tasks->task[at] = task;
	tasks->record[at] = record;
}

void tape_rows_note(struct tape_rows_tasks *tasks, const uint8_t *record)
{
	if (record[offsetof(struct trap_record, type)] == TRAP_IDENTITY) {
		note_task(tasks, record);
	} else if (get_le32(record) >= sizeof(struct trap_record) + sizeof(struct trap_gap)) {
		uint64_t last_tsc = get_le64(record + sizeof(struct trap_record) + offsetof(struct trap_gap, last_tsc));

		tasks->lossy_tsc = last_tsc > tasks->lossy_tsc ? last_tsc : tasks->lossy_tsc;
	}
}

void tape_rows_gather(const struct tape_rows_tasks *tasks, const uint8_t *records, size_t size_bytes,
		      struct byte_buffer *out)
{
	for (uint32_t i = 0; i < TAPE_ROWS_TASKS && tasks->count; i++)
		if (tasks->task[i])
			byte_buffer_add(out, tasks->record[i], get_le32(tasks->record[i]));
	for (size_t at = 0; at < size_bytes && tasks->crowded; at += get_le32(records + at)) {
		const uint8_t *record = records + at;
		uint64_t task = tape_row_task(record, get_le32(record));

		if (record[offsetof(struct trap_record, type)] == TRAP_IDENTITY && task &&
		    !tasks->task[find_task(tasks, task)])
			byte_buffer_add(out, record, get_le32(record));
	}
}

int tape_rows_walk(struct tape_rows *out, const uint8_t *records, size_t size_bytes, size_t *bad_at)
{
	struct tape_touch touch;
	size_t at = 0;

	*out = (struct tape_rows){.min_tsc = UINT64_MAX};
	if (tape_touch_begin(&touch, &out->touched))
		return -ENOMEM;
	while (at < size_bytes) {
		const uint8_t *record = records + at;
		uint32_t record_bytes = tape_row_bytes(record, size_bytes - at);

		if (!record_bytes) {
			*bad_at = at;
			tape_touched_deinit(&out->touched);
			return -EBADMSG;
		}
		tape_rows_count(out, record);
		tape_touch_record(&touch, record, record_bytes);
		at += record_bytes;
	}
	if (!out->nr_records)
		out->min_tsc = 0;
	tape_touch_finish(&touch);
	return 0;
}
