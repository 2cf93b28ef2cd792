/* SPDX-License-Identifier: MIT */
#include "record_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

/* "1,234,567" */
static const char *grouped(char *out, size_t room, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	size_t at = 0;

	for (int i = 0; i < n && at + 2 < room; i++) {
		if (i && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static const char *sized(char *out, size_t room, uint64_t bytes)
{
	if (bytes < 1u << 20)
		snprintf(out, room, "%.1f KiB", (double)bytes / 1024);
	else if (bytes < 1u << 30)
		snprintf(out, room, "%.1f MiB", (double)bytes / (1u << 20));
	else
		snprintf(out, room, "%.2f GiB", (double)bytes / (1u << 30));
	return out;
}

void record_progress_init(struct record_progress *progress, struct tape_thread *tape, struct drain *drain,
			  const char *producer)
{
	*progress = (struct record_progress){
		.tape = tape,
		.drain = drain,
		.started_ns = now_ns(),
		.last_ns = now_ns(),
		.is_terminal = isatty(STDERR_FILENO) == 1,
		.producer = producer,
	};
}

struct drain_stats record_progress_rings(const struct record_progress *progress)
{
	struct drain_stats stats = progress->final_drain;

	if (progress->drain)
		drain_get_stats(progress->drain, &stats);
	return stats;
}

void record_progress_tick(void *ctx)
{
	struct record_progress *progress = ctx;
	struct drain_stats rings = record_progress_rings(progress);
	char rate[32], events[32], size[32], lost[64] = "none lost", line[256];
	struct tape_stats stats;
	uint64_t now = now_ns();
	double seconds = (double)(now - progress->last_ns) / NS_PER_S;

	if (!progress->is_terminal || seconds <= 0)
		return;
	tape_thread_get_stats(progress->tape, &stats);
	grouped(rate, sizeof(rate), (uint64_t)((double)(stats.traps.events - progress->last_events) / seconds));
	grouped(events, sizeof(events), stats.traps.events);
	sized(size, sizeof(size), stats.file_bytes);
	if (rings.lost_records) {
		char number[32];

		snprintf(lost, sizeof(lost), "%s LOST", grouped(number, sizeof(number), rings.lost_records));
	}
	snprintf(line, sizeof(line), "%s: %s events/s  %s events  %s  rings %u%%  tape %s  %" PRIu64 " snapshots",
		 progress->producer, rate, events, lost, rings.fill_percent, size, stats.snapshots);
	report_live(line);
	progress->last_events = stats.traps.events;
	progress->last_ns = now;
}

uint64_t record_progress_lost(const struct record_progress *progress)
{
	struct drain_stats rings = record_progress_rings(progress);
	struct tape_stats stats;

	tape_thread_get_stats(progress->tape, &stats);
	return rings.lost_records > stats.traps.gap_lost ? rings.lost_records : stats.traps.gap_lost;
}

void record_progress_summary(const struct record_progress *progress, const char *path, const char *reason)
{
	struct drain_stats rings = record_progress_rings(progress);
	char events[32], size[32], traps[32], pages[32], lost[64] = "none lost", per_event[48] = "", tapes[48] = "";
	uint64_t lost_records = record_progress_lost(progress);
	struct tape_stats stats;

	tape_thread_get_stats(progress->tape, &stats);
	if (lost_records) {
		char number[32];

		snprintf(lost, sizeof(lost), "%s LOST", grouped(number, sizeof(number), lost_records));
	}
	if (stats.discarded) {
		char number[32];

		snprintf(lost, sizeof(lost), "%s LOST after the failure",
			 grouped(number, sizeof(number), lost_records + stats.discarded));
	}
	if (stats.traps.events)
		snprintf(per_event, sizeof(per_event), ", %.2f B/event",
			 (double)stats.traps.stored_bytes / (double)stats.traps.events);
	if (stats.nr_tapes)
		snprintf(tapes, sizeof(tapes), " in %u tapes", stats.nr_tapes + 1);
	report_always("%s: %s events, %s, %" PRIu64 " snapshot%s, %s%s (events %s%s; memory %s) in %.1f s; %s", path,
		      grouped(events, sizeof(events), stats.traps.events), lost, stats.snapshots,
		      stats.snapshots == 1 ? "" : "s", sized(size, sizeof(size), stats.closed_bytes + stats.file_bytes),
		      tapes, sized(traps, sizeof(traps), stats.traps.stored_bytes), per_event,
		      sized(pages, sizeof(pages), stats.pages.stored_bytes),
		      (double)(now_ns() - progress->started_ns) / NS_PER_S, reason);
	if (lost_records > stats.traps.gap_lost)
		report_warning("%" PRIu64 " records were lost at the very end, behind the last one on the tape",
			       lost_records - stats.traps.gap_lost);
	if (stats.traps.gap_lost)
		report_warning("%" PRIu64 " records were lost in %" PRIu64 " gap%s: `vmtape events %s` shows where",
			       stats.traps.gap_lost, stats.traps.gaps, stats.traps.gaps == 1 ? "" : "s", path);
	if (stats.waited_ns)
		report_warning("the disk was full for %.1f s", (double)stats.waited_ns / NS_PER_S);
	if (rings.stalls && !stats.waited_ns && (lost_records || rings.blocked_ns))
		report("disk or compression could not keep up; a lower --level or larger --ring-bytes may help");
	if (rings.blocked_ns)
		report("the guest waited %.3f s for room in the rings, all vCPUs together",
		       (double)rings.blocked_ns / NS_PER_S);
}
