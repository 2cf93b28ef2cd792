/* SPDX-License-Identifier: MIT */
/* vmtape info - what is on a tape: the guest, the time span, what was recorded, what was lost. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output/output.h"
#include "tape_census.h"
#include "tape_key.h"

struct info {
	const char *path;
	bool local, steps;
	struct session *session;
	const struct tape_info *tape;
	struct tape_census census;
	struct strbuf out;
	char *log; /* steps of the identification */
	size_t log_bytes;
};

static const char help[] =
	"Usage: vmtape info TAPE [OPTION]...\n"
	"Tell what is on a tape: which guest, when, how much, what was lost, and whether the tape is whole.\n\n"
	"      --steps           what was looked for to identify the guest, and what was found\n"
	"      --format FORMAT   text (default) or json: one object\n"
	"      --local           times in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"Exit status: 0 done, 2 bad usage or bad input. An unknown guest is told of, and is no failure.\n";

#define NUMBERED_MAX 1000 /* to be shown: a tape from a stranger may have any number */

/* Value of "name.n", or NULL. */
static const char *numbered_meta(struct info *i, char *key, size_t room, const char *name, unsigned n)
{
	snprintf(key, room, "%s.%u", name, n);
	return tape_reader_meta(session_reader(i->session), key);
}

/* ---- text ------------------------------------------------------------ */

static void label(struct info *i, const char *name)
{
	strbuf_printf(&i->out, "%-12s ", name);
}

static void line(struct info *i, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct info *i, const char *name, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	label(i, name);
	strbuf_put(&i->out, text);
	strbuf_put_char(&i->out, '\n');
}

static void put_bytes(struct strbuf *out, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	int unit = 0;

	while (value >= 1000 && unit < 4) {
		value /= 1024;
		unit++;
	}
	strbuf_printf(out, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* Guest's and VM's own words go out escaped. */
static void escaped(struct info *i, const char *name, const char *text)
{
	label(i, name);
	strbuf_put_escaped(&i->out, text, strlen(text));
	strbuf_put_char(&i->out, '\n');
}

static void put_guest(struct info *i)
{
	const struct linux_guest *guest = session_guest(i->session);
	const struct linux_guest_facts *facts;

	if (!guest) {
		escaped(i, "guest", "not identified; calls are shown by number");
		escaped(i, "", session_guest_problem(i->session)->message);
		return;
	}
	facts = linux_guest_facts(guest);
	escaped(i, "guest", facts->banner);
	line(i, "", "identified from snapshot %u: %zu symbols, %zu types, %zu described system calls",
	     session_guest_snapshot(i->session), facts->nr_symbols, facts->nr_types, facts->nr_syscall_names);
	line(i, "",
	     "kernel at 0x%" PRIx64 " (KASLR slide 0x%" PRIx64 "), physical 0x%" PRIx64
	     ", PTI %s, %d-level page tables",
	     facts->text.v, facts->kaslr_slide, facts->text_gpa.v, facts->pti ? "on" : "off", facts->levels);
	if (session_boots(i->session) > 1)
		line(i, "", "%u boots are on the tape: names are given for the one that was identified only",
		     session_boots(i->session));
}

/* What the recorder was told on the way: time and text. */
static void put_numbered(struct info *i, const char *name)
{
	const char *value;
	char key[32];

	for (unsigned n = 1; (value = numbered_meta(i, key, sizeof(key), name, n)); n++) {
		if (n > NUMBERED_MAX) {
			line(i, name, "... and more");
			return;
		}
		escaped(i, name, value);
	}
}

static void put_vm(struct info *i)
{
	static const char *const keys[][2] = {
		{"vm_name", "VM"},
		{"vm_uuid", "VM UUID"},
		{"qemu_version", "QEMU"},
		{"producer", "producer"},
		{"recorder_version", "recorder"},
		{"recorder_user", "user"},
		{"host_name", "host"},
		{"start_reason", "start"},
		{"continues", "continues"},
		{"continues_chain", "its chain"},
		{"note", "note"},
		{"cut_of", "cut of"},
		{"cut_filter", "filter"},
	};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		const char *value = tape_reader_meta(session_reader(i->session), keys[k][0]);

		if (value && value[0])
			escaped(i, keys[k][1], value);
	}
	put_numbered(i, "note");
	put_numbered(i, "trigger");
}

static void put_span(struct info *i)
{
	int64_t start = session_start_ns(i->session), end = session_end_ns(i->session);

	label(i, "time");
	if (start < 0) {
		strbuf_put(&i->out,
			   "not known: the tape holds no snapshot, and with it no pair of TSC and wall clock\n");
		return;
	}
	time_put_date(&i->out, start, i->local);
	strbuf_put(&i->out, " to ");
	time_put_date(&i->out, end, i->local);
	strbuf_printf(&i->out, "%s, %.3f s\n", i->local ? "" : " UTC", (double)(end - start) / 1e9);
}

static void put_records(struct info *i)
{
	const struct tape_census *c = &i->census;

	line(i, "vCPUs", "%u", i->tape->nr_vcpus);
	line(i, "records",
	     "%" PRIu64 ": %" PRIu64 " enter, %" PRIu64 " exit, %" PRIu64 " identity, %" PRIu64 " gap, %" PRIu64
	     " mark, %" PRIu64 " plan",
	     i->tape->nr_records, c->types[TRAP_ENTER], c->types[TRAP_EXIT], c->types[TRAP_IDENTITY],
	     c->types[TRAP_GAP], c->types[TRAP_MARK], c->types[TRAP_PLAN]);
	if (c->abis[TRAP_ABI_X32] || c->abis[TRAP_ABI_I386])
		line(i, "", "entries by ABI: %" PRIu64 " x86-64, %" PRIu64 " x32, %" PRIu64 " i386",
		     c->abis[TRAP_ABI_X86_64], c->abis[TRAP_ABI_X32], c->abis[TRAP_ABI_I386]);
	if (c->unpaired_exits)
		line(i, "", "%" PRIu64 " exits of calls that had been entered before the tape", c->unpaired_exits);
	if (c->without_task)
		line(i, "",
		     "%" PRIu64 " entries and exits name no thread: they are paired by address space and stack "
		     "pointer, which is a guess",
		     c->without_task);
	if (c->cut_records)
		line(i, "", "%" PRIu64 " records reached the plan's size limit", c->cut_records);
}

static void put_losses(struct info *i)
{
	const struct tape_census *c = &i->census;

	if (c->missing_records)
		line(i, "missing", "%" PRIu64 " records: the tape is damaged where they were", c->missing_records);
	if (!c->gaps) {
		line(i, "lost", "nothing");
		return;
	}
	label(i, "lost");
	strbuf_printf(&i->out, "%" PRIu64 " records in %" PRIu64 " gaps", c->lost_records, c->gaps);
	if (guest_clock_ns(session_clock(i->session), c->first_gap_tsc) >= 0) {
		strbuf_put(&i->out, ", ");
		time_put_clock(&i->out, guest_clock_ns(session_clock(i->session), c->first_gap_tsc), i->local);
		strbuf_put(&i->out, " to ");
		time_put_clock(&i->out, guest_clock_ns(session_clock(i->session), c->last_gap_tsc), i->local);
	}
	strbuf_put_char(&i->out, '\n');
}

static void put_sizes(struct info *i)
{
	label(i, "size");
	put_bytes(&i->out, i->tape->size_bytes);
	strbuf_printf(&i->out, " in %u slots; records ", i->tape->nr_slots);
	put_bytes(&i->out, i->tape->traps_stored_bytes);
	strbuf_put(&i->out, " (raw ");
	put_bytes(&i->out, i->tape->traps_raw_bytes);
	strbuf_put_char(&i->out, ')');
	if (i->tape->nr_records)
		strbuf_printf(&i->out, ", %.1f bytes each",
			      (double)i->tape->traps_stored_bytes / (double)i->tape->nr_records);
	strbuf_put(&i->out, "; memory ");
	put_bytes(&i->out, i->tape->pages_stored_bytes);
	strbuf_put(&i->out, " (raw ");
	put_bytes(&i->out, i->tape->pages_raw_bytes);
	strbuf_put(&i->out, ")\n");
	if (i->tape->ring_bytes) {
		label(i, "ring");
		put_bytes(&i->out, i->tape->ring_bytes);
		strbuf_printf(&i->out, "; %" PRIu64 " slots were overwritten, %.1f times round\n",
			      i->tape->nr_overwritten, (double)i->tape->nr_overwritten / i->tape->nr_slots);
	}
	line(i, "plans", "%u", i->tape->nr_plans);
}

/* Fingerprint of the key that the tape names; NULL: it is not signed. */
static const char *signer(struct info *i, char fingerprint[TAPE_FINGERPRINT_CHARS])
{
	uint8_t key[TAPE_PUBLIC_KEY_BYTES];

	if (!i->tape->has_chain || tape_reader_signer(session_reader(i->session), key))
		return NULL;
	tape_key_fingerprint(fingerprint, key);
	return fingerprint;
}

static void put_seal(struct info *i)
{
	char fingerprint[TAPE_FINGERPRINT_CHARS];

	if (signer(i, fingerprint))
		line(i, "hash chain", "yes; signed by %s (vmtape verify checks it)", fingerprint);
	else
		line(i, "hash chain", i->tape->has_chain ? "yes; not signed" : "no");
}

static void put_cost(struct info *i, const struct tape_snapshot_cost *cost)
{
	if (!cost->nr_pauses)
		return;
	strbuf_printf(&i->out, "%18s%u pause%s, %.1f ms at most; copied in them ", "", cost->nr_pauses,
		      cost->nr_pauses == 1 ? "" : "s", (double)cost->longest_pause_ns / 1e6);
	put_bytes(&i->out, cost->paused_pages * TAPE_PAGE_BYTES);
	strbuf_put(&i->out, ", while the guest ran ");
	put_bytes(&i->out, (cost->running_pages + cost->protected_pages) * TAPE_PAGE_BYTES);
	strbuf_printf(&i->out, ", %" PRIu64 " dirty pages at first; %.2f s\n", cost->dirty_pages,
		      (double)cost->duration_ns / 1e9);
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Median and extremes of the snapshots behind the base, which alone takes all of RAM. */
static void put_pauses(struct info *i)
{
	uint64_t *pauses = calloc(i->tape->nr_snapshots + 1u, sizeof(*pauses));
	uint32_t n = 0;

	for (uint32_t k = 0; pauses && k < i->tape->nr_snapshots; k++) {
		const struct tape_snapshot_info *info = &tape_reader_snapshot(session_reader(i->session), k)->info;

		if (!info->base)
			pauses[n++] = info->pause_ns;
	}
	if (n) {
		qsort(pauses, n, sizeof(*pauses), compare_u64);
		line(i, "", "%u increment%s: guest paused for %.1f ms (median; %.1f to %.1f)", n, n == 1 ? "" : "s",
		     (double)pauses[n / 2] / 1e6, (double)pauses[0] / 1e6, (double)pauses[n - 1] / 1e6);
	}
	free(pauses);
}

static void put_snapshots(struct info *i)
{
	line(i, "snapshots", "%u", i->tape->nr_snapshots);
	put_pauses(i);
	for (uint32_t n = 0; n < i->tape->nr_snapshots; n++) {
		const struct tape_snapshot *s = tape_reader_snapshot(session_reader(i->session), n);

		/* Of many, the ends tell. */
		if (i->tape->nr_snapshots > 20 && n == 10) {
			line(i, "", "... %u more ...", i->tape->nr_snapshots - 20);
			n = i->tape->nr_snapshots - 10;
			s = tape_reader_snapshot(session_reader(i->session), n);
		}
		strbuf_printf(&i->out, "%12s %4" PRIu64 "  ", "", s->info.id);
		time_put_date(&i->out, guest_clock_ns(session_clock(i->session), s->info.tsc), i->local);
		strbuf_printf(&i->out, "  %8" PRIu64 " pages, %8" PRIu64 " zero, pause %.1f ms%s\n", s->nr_pages,
			      s->nr_zero, (double)s->info.pause_ns / 1e6, s->info.base ? ", base" : "");
		put_cost(i, &s->info.cost);
	}
}

static void put_health(struct info *i)
{
	const struct tape_problem *problems;
	size_t n = tape_reader_problems(session_reader(i->session), &problems);

	if (i->tape->finished)
		escaped(i, "end", i->tape->end_reason && i->tape->end_reason[0] ? i->tape->end_reason : "clean");
	else
		escaped(i, "end", "none: the recorder was killed, or is still writing");
	if (!n)
		line(i, "health", "no damage seen (vmtape verify reads everything)");
	for (size_t k = 0; k < n; k++) {
		label(i, k ? "" : "health");
		strbuf_printf(&i->out, "offset %" PRIu64 ": ", problems[k].offset);
		strbuf_put_escaped(&i->out, problems[k].message, strlen(problems[k].message));
		strbuf_put_char(&i->out, '\n');
	}
}

/* ---- JSON ------------------------------------------------------------ */

static void json_text(struct info *i, const char *key, const char *text)
{
	strbuf_printf(&i->out, ", \"%s\": ", key);
	if (!text) {
		strbuf_put(&i->out, "null");
		return;
	}
	strbuf_put_char(&i->out, '"');
	strbuf_put_json(&i->out, text, strlen(text));
	strbuf_put_char(&i->out, '"');
}

static void json_time(struct info *i, const char *key, int64_t ns)
{
	struct strbuf text = {0};

	if (ns >= 0)
		time_put_iso(&text, ns);
	json_text(i, key, ns >= 0 ? text.data : NULL);
	strbuf_deinit(&text);
}

static void json_count(struct info *i, const char *key, uint64_t value)
{
	strbuf_printf(&i->out, ", \"%s\": %" PRIu64, key, value);
}

static void json_guest(struct info *i)
{
	const struct linux_guest *guest = session_guest(i->session);
	const struct linux_guest_facts *facts = guest ? linux_guest_facts(guest) : NULL;

	strbuf_put(&i->out, ", \"guest\": ");
	if (!facts) {
		strbuf_put(&i->out, "null");
		json_text(i, "guest_problem", session_guest_problem(i->session)->message);
		return;
	}
	strbuf_printf(&i->out, "{\"snapshot\": %u", session_guest_snapshot(i->session));
	json_text(i, "banner", facts->banner);
	json_text(i, "release", facts->release);
	strbuf_printf(&i->out,
		      ", \"text\": \"0x%" PRIx64 "\", \"kaslr_slide\": \"0x%" PRIx64
		      "\", \"pti\": %s, \"page_table_levels\": %d",
		      facts->text.v, facts->kaslr_slide, facts->pti ? "true" : "false", facts->levels);
	json_count(i, "symbols", facts->nr_symbols);
	json_count(i, "types", facts->nr_types);
	json_count(i, "described_syscalls", facts->nr_syscall_names);
	json_count(i, "boots", session_boots(i->session));
	strbuf_put_char(&i->out, '}');
}

static void json_numbered(struct info *i, const char *key, const char *name)
{
	const char *value;
	char one[32];

	strbuf_printf(&i->out, ", \"%s\": [", key);
	for (unsigned n = 1; n <= NUMBERED_MAX && (value = numbered_meta(i, one, sizeof(one), name, n)); n++) {
		strbuf_put(&i->out, n > 1 ? ", \"" : "\"");
		strbuf_put_json(&i->out, value, strlen(value));
		strbuf_put_char(&i->out, '"');
	}
	strbuf_put_char(&i->out, ']');
}

static void json_cost(struct info *i, const struct tape_snapshot_cost *cost)
{
	if (!cost->nr_pauses)
		return;
	json_count(i, "pauses", cost->nr_pauses);
	json_count(i, "longest_pause_ns", cost->longest_pause_ns);
	json_count(i, "duration_ns", cost->duration_ns);
	json_count(i, "dirty_pages", cost->dirty_pages);
	json_count(i, "pages_in_pause", cost->paused_pages);
	json_count(i, "pages_protected", cost->protected_pages);
	json_count(i, "pages_running", cost->running_pages);
}

static void json_snapshots(struct info *i)
{
	strbuf_put(&i->out, ", \"snapshots\": [");
	for (uint32_t n = 0; n < i->tape->nr_snapshots; n++) {
		const struct tape_snapshot *s = tape_reader_snapshot(session_reader(i->session), n);

		strbuf_printf(&i->out, "%s{\"id\": %" PRIu64, n ? ", " : "", s->info.id);
		json_time(i, "time", guest_clock_ns(session_clock(i->session), s->info.tsc));
		json_count(i, "tsc", s->info.tsc);
		json_count(i, "pages", s->nr_pages);
		json_count(i, "zero_pages", s->nr_zero);
		json_count(i, "pause_ns", s->info.pause_ns);
		json_cost(i, &s->info.cost);
		strbuf_printf(&i->out, ", \"base\": %s}", s->info.base ? "true" : "false");
	}
	strbuf_put_char(&i->out, ']');
}

static void json_problems(struct info *i)
{
	const struct tape_problem *problems;
	size_t n = tape_reader_problems(session_reader(i->session), &problems);

	strbuf_put(&i->out, ", \"problems\": [");
	for (size_t k = 0; k < n; k++) {
		strbuf_printf(&i->out, "%s{\"offset\": %" PRIu64, k ? ", " : "", problems[k].offset);
		json_text(i, "message", problems[k].message);
		strbuf_put_char(&i->out, '}');
	}
	strbuf_put_char(&i->out, ']');
}

static void put_json(struct info *i)
{
	static const char *const keys[] = {"vm_uuid",       "host_name",    "recorder_version", "recorder_pid",
					   "recorder_user", "start_reason", "continues",        "continues_chain",
					   "note",          "cut_of",       "cut_filter"};
	struct tape_reader *reader = session_reader(i->session);
	char fingerprint[TAPE_FINGERPRINT_CHARS];

	strbuf_printf(&i->out, "{\"version\": %u", i->tape->version);
	json_text(i, "vm_name", tape_reader_meta(reader, "vm_name"));
	json_text(i, "producer", tape_reader_meta(reader, "producer"));
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		json_text(i, keys[k], tape_reader_meta(reader, keys[k]));
	json_numbered(i, "notes", "note");
	json_numbered(i, "triggers", "trigger");
	json_guest(i);
	json_time(i, "start", session_start_ns(i->session));
	json_time(i, "end", session_end_ns(i->session));
	json_count(i, "vcpus", i->tape->nr_vcpus);
	json_count(i, "records", i->tape->nr_records);
	for (int type = TRAP_ENTER; type < TRAP_TYPES; type++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_records", output_type_name((uint8_t)type));
		json_count(i, key, i->census.types[type]);
	}
	json_count(i, "lost_records", i->census.lost_records);
	json_count(i, "missing_records", i->census.missing_records);
	json_count(i, "unpaired_exits", i->census.unpaired_exits);
	json_count(i, "without_task", i->census.without_task);
	json_count(i, "size_bytes", i->tape->size_bytes);
	if (i->tape->ring_bytes) {
		json_count(i, "ring_bytes", i->tape->ring_bytes);
		json_count(i, "overwritten_slots", i->tape->nr_overwritten);
		json_count(i, "carried_identities", i->tape->nr_carried);
	}
	json_count(i, "records_raw_bytes", i->tape->traps_raw_bytes);
	json_count(i, "records_stored_bytes", i->tape->traps_stored_bytes);
	json_count(i, "pages_raw_bytes", i->tape->pages_raw_bytes);
	json_count(i, "pages_stored_bytes", i->tape->pages_stored_bytes);
	json_count(i, "plans", i->tape->nr_plans);
	json_snapshots(i);
	strbuf_printf(&i->out, ", \"hash_chain\": %s", i->tape->has_chain ? "true" : "false");
	json_text(i, "signing_key", signer(i, fingerprint));
	strbuf_printf(&i->out, ", \"finished\": %s", i->tape->finished ? "true" : "false");
	json_text(i, "end_reason", i->tape->finished ? i->tape->end_reason : NULL);
	json_problems(i);
	strbuf_put(&i->out, "}\n");
}

/* ---- command --------------------------------------------------------- */

static void show_progress(void *ctx, uint64_t records)
{
	progress_show(ctx, records);
}

static struct vmtape_error *run(struct info *i, bool json)
{
	FILE *log = i->steps ? open_memstream(&i->log, &i->log_bytes) : NULL;
	struct session_options options = {.log = log};
	struct progress progress;
	struct vmtape_error *error = command_open(&i->session, i->path, &options);

	if (error) {
		if (log)
			fclose(log);
		return error;
	}
	i->tape = session_info(i->session);
	session_guest(i->session);
	if (log)
		fclose(log);
	progress_start(&progress, "info", i->tape->nr_records);
	error = tape_census_take(&i->census, i->session, show_progress, &progress);
	progress_end(&progress);
	if (error)
		return error;
	if (json) {
		put_json(i);
	} else {
		escaped(i, "tape", i->path);
		put_guest(i);
		if (i->log) {
			line(i, "steps", "%s", "");
			strbuf_put_bytes(&i->out, i->log, i->log_bytes);
		}
		put_vm(i);
		put_span(i);
		put_records(i);
		put_losses(i);
		put_snapshots(i);
		put_sizes(i);
		put_seal(i);
		put_health(i);
	}
	command_write(&i->out);
	return NULL;
}

int cmd_info(int argc, char **argv)
{
	enum { OPT_STEPS = 256, OPT_FORMAT, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"steps", no_argument, NULL, OPT_STEPS},
		{"format", required_argument, NULL, OPT_FORMAT},
		{"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	struct info i = {0};
	struct vmtape_error *error;
	bool json = false;
	int status, c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_STEPS:
			i.steps = true;
			break;
		case OPT_FORMAT:
			json = !strcmp(optarg, "json");
			if (!json && strcmp(optarg, "text"))
				return command_misused("info", "format \"%s\" is none of text, json", optarg);
			break;
		case OPT_LOCAL:
			i.local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("info", argv);
		}
	}
	i.path = command_operand("info", argc, argv, "tape");
	if (!i.path)
		return STATUS_BAD;
	error = run(&i, json);
	status = error ? command_failed(error) : command_finish(STATUS_DONE);
	strbuf_deinit(&i.out);
	free(i.log);
	session_close(i.session);
	return status;
}
