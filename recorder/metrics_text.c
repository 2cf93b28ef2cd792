/* SPDX-License-Identifier: MIT */
/* metrics_text.c - the figures as Prometheus reads them: HELP, TYPE, one sample each, labels escaped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "metrics.h"

struct writer {
	FILE *out;
	char label[512]; /* {vm="..."} */
};

/* Names come from strangers: backslash, quote and newline are what the format escapes. */
static void make_label(char *out, size_t room, const char *vm_name)
{
	size_t at = (size_t)snprintf(out, room, "{vm=\"");

	for (const char *c = vm_name; *c && at + 5 < room; c++) {
		if (*c == '\\' || *c == '"' || *c == '\n')
			out[at++] = '\\';
		out[at++] = *c == '\n' ? 'n' : *c;
	}
	snprintf(out + at, room - at, "\"}");
}

static void head(struct writer *writer, const char *name, const char *type, const char *help)
{
	fprintf(writer->out, "# HELP vmtape_%s %s\n# TYPE vmtape_%s %s\n", name, help, name, type);
}

static void count(struct writer *writer, const char *name, uint64_t value, const char *help)
{
	head(writer, name, "counter", help);
	fprintf(writer->out, "vmtape_%s%s %" PRIu64 "\n", name, writer->label, value);
}

static void gauge(struct writer *writer, const char *name, double value, const char *help)
{
	head(writer, name, "gauge", help);
	fprintf(writer->out, "vmtape_%s%s %.17g\n", name, writer->label, value);
}

static void seconds(struct writer *writer, const char *name, const char *type, uint64_t ns, const char *help)
{
	head(writer, name, type, help);
	fprintf(writer->out, "vmtape_%s%s %" PRIu64 ".%09" PRIu64 "\n", name, writer->label, ns / (uint64_t)NS_PER_S,
		ns % (uint64_t)NS_PER_S);
}

static void put_run(struct writer *writer, const struct metrics_values *values)
{
	gauge(writer, "up", values->is_up, "1 while the VM is recorded, 0 when the recording has ended.");
	gauge(writer, "start_time_seconds", values->start_time_s, "When the recording began, Unix time.");
	gauge(writer, "update_time_seconds", values->now_s, "When these figures were taken, Unix time.");
	gauge(writer, "vcpus", values->nr_vcpus, "vCPUs of the VM at the start.");
}

static void put_records(struct writer *writer, const struct metrics_values *values)
{
	const struct record_tally *traps = &values->tape.traps;

	count(writer, "events_total", traps->events, "Entries and exits of system calls on the tape.");
	count(writer, "records_total", traps->records, "Records of all types on the tape.");
	count(writer, "lost_records_total", values->lost_records, "Records that were lost for want of room in a ring.");
	count(writer, "gaps_total", traps->gaps, "Places on the tape where records are missing, each counted there.");
	count(writer, "discarded_records_total", values->tape.discarded,
	      "Records that came after the tape could not be written any more.");
	count(writer, "record_raw_bytes_total", traps->raw_bytes, "Records on the tape, before compression.");
	count(writer, "record_stored_bytes_total", traps->stored_bytes, "Records on the tape, compressed.");
}

static void put_rings(struct writer *writer, const struct metrics_values *values)
{
	gauge(writer, "ring_fill_ratio", values->rings.fill_percent / 100.0,
	      "Fill of the fullest ring at the last look, 0 to 1.");
	seconds(writer, "guest_blocked_seconds_total", "counter", values->rings.blocked_ns,
		"Time that vCPUs waited for room in the rings (--on-full block), all together.");
	count(writer, "stalls_total", values->rings.stalls, "Looks at which the rings waited for compression or disk.");
}

static void put_tape(struct writer *writer, const struct metrics_values *values)
{
	const struct tape_stats *tape = &values->tape;

	gauge(writer, "tape_bytes", (double)tape->file_bytes, "Size of the tape that is being written.");
	count(writer, "tape_written_bytes_total", tape->closed_bytes + tape->file_bytes,
	      "Size of all tapes of this run together.");
	count(writer, "tapes_total", tape->nr_tapes + 1u, "Tapes of this run, the one that is being written included.");
	count(writer, "triggers_total", values->triggers, "Triggers of --on-trigger.");
	count(writer, "trigger_matches_total", values->matches, "Calls that matched --trigger-when.");
	count(writer, "trigger_watch_starts_total", values->watch_starts,
	      "Starts of what looks for such calls; more than one: it died, and calls were missed.");
	count(writer, "tape_copies_total", values->copies, "Copies of the tape that triggers made.");
	count(writer, "tape_copies_failed_total", values->copies_failed, "Copies that could not be made.");
	count(writer, "tape_write_errors_total", tape->write_errors, "Writes of the tape that failed.");
}

static void put_snapshots(struct writer *writer, const struct metrics_values *values)
{
	const struct tape_pages_stats *pages = &values->tape.pages;

	count(writer, "snapshots_total", values->tape.snapshots, "Memory snapshots on the tape.");
	count(writer, "snapshots_failed_total", values->snapshots_failed, "Snapshots that could not be taken.");
	seconds(writer, "snapshot_pause_seconds_total", "counter", values->all_pauses_ns,
		"Time that the guest was paused for snapshots.");
	seconds(writer, "snapshot_pause_last_seconds", "gauge", values->last_pause_ns, "Pause of the last snapshot.");
	seconds(writer, "snapshot_pause_max_seconds", "gauge", values->max_pause_ns, "Longest pause of a snapshot.");
	count(writer, "pages_total", pages->added, "Guest pages read for snapshots.");
	count(writer, "pages_zero_total", pages->zero, "Of these, all zero: not stored.");
	count(writer, "pages_duplicate_total", pages->duplicate, "Of these, on the tape already: not stored again.");
	count(writer, "pages_unchanged_total", pages->unchanged, "Of these, as at the snapshot before: not stored.");
	count(writer, "pages_stored_total", pages->stored, "Of these, stored.");
	count(writer, "page_stored_bytes_total", pages->stored_bytes, "Stored pages, compressed.");
}

char *metrics_text(const struct metrics_values *values, size_t *size_bytes)
{
	struct writer writer = {0};
	char *text = NULL;

	writer.out = open_memstream(&text, size_bytes);
	if (!writer.out)
		return NULL;
	make_label(writer.label, sizeof(writer.label), values->vm_name);
	put_run(&writer, values);
	put_records(&writer, values);
	put_rings(&writer, values);
	put_tape(&writer, values);
	put_snapshots(&writer, values);
	if (fclose(writer.out)) {
		free(text);
		return NULL;
	}
	return text;
}
