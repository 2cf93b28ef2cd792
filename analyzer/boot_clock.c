/* SPDX-License-Identifier: MIT */
#include "boot_clock.h"

#include <inttypes.h>

/* Any busy minute shows births enough; more only costs time. */
#define MAX_RECORDS   4000000u
#define MAX_SNAPSHOTS 16u

struct observer {
	struct boot_clock *clock;
	uint64_t tsc;
};

/* At this TSC value, the boot clock had passed start_ns. */
static void observe(struct boot_clock *clock, uint64_t tsc, uint64_t start_ns)
{
	double at_base = (double)start_ns - ((double)tsc - (double)clock->base_tsc) * clock->ns_per_tick;

	if (!clock->known || at_base > clock->base_ns)
		clock->base_ns = at_base;
	clock->known = true;
}

static void observe_task(void *ctx, const struct linux_task *task)
{
	struct observer *observer = ctx;

	observe(observer->clock, observer->tsc, task->start_ns);
}

static void observe_identity(struct boot_clock *clock, const struct trap_view *view)
{
	struct trap_fragment fragment;
	const uint8_t *bytes;
	size_t position = 0;

	while (trap_view_next_fragment(view, &position, &fragment, &bytes)) {
		uint64_t start_ns = 0;

		if (fragment.label != PLAN_LABEL_START_TIME || fragment.len_bytes < 8)
			continue;
		for (int i = 7; i >= 0; i--)
			start_ns = start_ns << 8 | bytes[i];
		observe(clock, view->header.tsc, start_ns);
	}
}

/* *user_tsc: of the first task that was seen to run. */
static struct vmtape_error *scan(struct boot_clock *clock, struct session *session, uint64_t *user_tsc)
{
	struct tape_error error = {.offset = TAPE_NO_OFFSET};
	struct tape_cursor *cursor;
	struct trap_view view;
	int result = tape_cursor_create(&cursor, session_reader(session), &error);

	if (!result) {
		for (unsigned i = 0; i < MAX_RECORDS; i++) {
			result = tape_cursor_next(cursor, &view, &error);
			if (result <= 0)
				break;
			if (view.header.type != TRAP_IDENTITY || !session_guest_at(session, view.header.tsc))
				continue;
			if (!*user_tsc)
				*user_tsc = view.header.tsc;
			observe_identity(clock, &view);
		}
		tape_cursor_destroy(cursor);
	}
	if (result >= 0)
		return NULL;
	return vmtape_error_create(VMTAPE_ERROR_IO, "offset %" PRIu64 ": %s", error.offset, error.message);
}

struct vmtape_error *boot_clock_create(struct boot_clock *out, struct session *session)
{
	const struct tape_info *info = session_info(session);
	uint32_t step = info->nr_snapshots / MAX_SNAPSHOTS + 1;
	struct vmtape_error *error;
	uint64_t user_tsc = 0;

	*out = (struct boot_clock){.base_tsc = info->first_tsc, .ns_per_tick = session_clock(session)->ns_per_tick};
	if (out->ns_per_tick == 0)
		return NULL;
	error = scan(out, session, &user_tsc);
	if (error || !session_guest(session))
		return error;
	for (uint32_t i = 0; i < info->nr_snapshots; i += step) {
		struct observer observer = {out, tape_reader_snapshot(session_reader(session), i)->info.tsc};

		/*
		 * While the kernel boots, its clock loses ticks: later births
		 * would seem to be long before they were.
		 */
		if (observer.tsc >= user_tsc && session_guest_at(session, observer.tsc))
			vmtape_error_destroy(session_tasks(session, i, observe_task, &observer));
	}
	return NULL;
}

double boot_clock_tsc(const struct boot_clock *clock, uint64_t boot_ns)
{
	return (double)clock->base_tsc + ((double)boot_ns - clock->base_ns) / clock->ns_per_tick;
}

int64_t boot_clock_utc(const struct boot_clock *clock, const struct guest_clock *utc, uint64_t boot_ns)
{
	int64_t base = guest_clock_ns(utc, clock->base_tsc);
	double delta = (double)boot_ns - clock->base_ns;

	if (!clock->known || base < 0 || delta < -(double)base || delta > 4e18)
		return -1;
	return base + (int64_t)delta;
}
