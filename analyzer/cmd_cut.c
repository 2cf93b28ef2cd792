/* SPDX-License-Identifier: MIT */
/* vmtape cut - a part of a tape, as a tape of its own. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "cut_choice.h"
#include "tape_copy.h"

struct cut {
	const char *path, *output, *filter_text;
	bool force, local, assume_linux;
	struct command_span span;
	struct session *session;
	struct out_file *file;
	struct tape_copy *copy;
	struct cut_choice *choice; /* NULL: all records */
	struct progress progress;
};

static const char help[] =
	"Usage: vmtape cut TAPE -o OUT [--from TIME] [--to TIME] [-f FILTER] [OPTION]...\n"
	"Make a tape of a part of a tape, which can be decoded without the rest.\n\n"
	"  -o, --output OUT   the new tape\n"
	"      --force        overwrite OUT if it exists\n"
	"      --from TIME    from this time on; HH:MM:SS[.frac], +SECONDS from the start, ISO 8601\n"
	"      --to TIME      up to this time\n"
	"  -f, --filter FILTER\n"
	"                     calls that match (see vmtape events), and all that they are decoded by: such a cut "
	"can't\n"
	"                     be merged\n"
	"      --local        times in the local time zone, not UTC\n"
	"      --assume-linux with -f: name the calls of an unknown guest by Linux's numbers\n"
	"      --help         this text\n\n"
	"OUT begins with the snapshot before --from: who the processes are follows from it and the records since. The "
	"first\n"
	"snapshot behind --to is in it, too. Signatures are not carried over.\n"
	"Exit status: 0 done, 1 nothing is in that time or matches, 2 bad usage or bad input.\n";

static void progressed(void *ctx, uint64_t nr_records)
{
	struct cut *cut = ctx;

	progress_show(&cut->progress, nr_records);
}

static struct vmtape_error *add_time(struct cut *cut, const char *key, uint64_t tsc)
{
	struct strbuf text = {0};
	int64_t time_ns = guest_clock_ns(session_clock(cut->session), tsc);
	struct vmtape_error *error = NULL;

	if (time_ns >= 0) {
		time_put_iso(&text, time_ns);
		error = text.failed ? &vmtape_error_no_memory : tape_copy_meta(cut->copy, key, text.data);
	}
	strbuf_deinit(&text);
	return error;
}

/* Those of earlier cuts still hold: it may be one of a tape that has only what matches them. */
static struct vmtape_error *add_filter(struct cut *cut)
{
	const char *before = tape_reader_meta(session_reader(cut->session), "cut_filter");
	struct strbuf text = {0};
	struct vmtape_error *error;

	if (before)
		strbuf_printf(&text, "(%s) and ", before);
	strbuf_printf(&text, before ? "(%s)" : "%s", cut->filter_text);
	error = text.failed ? &vmtape_error_no_memory : tape_copy_meta(cut->copy, "cut_filter", text.data);
	strbuf_deinit(&text);
	return error;
}

/* Where it was cut from; a cut of a cut keeps only the last. What it begins behind does not go on from another tape. */
static struct vmtape_error *add_metas(struct cut *cut)
{
	static const char *const without[] = {"cut_", NULL}, *const without_start[] = {"cut_", "continues", NULL};
	const char *before = tape_reader_meta(session_reader(cut->session), "cut_filter");
	const uint8_t *uuid = session_info(cut->session)->uuid;
	struct vmtape_error *error;
	char text[33];

	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", uuid[i]);
	error = tape_copy_metas(cut->copy, cut->session, cut->span.from ? without_start : without);
	if (!error)
		error = tape_copy_meta(cut->copy, "cut_of", text);
	if (!error && !cut->filter_text && before)
		error = tape_copy_meta(cut->copy, "cut_filter", before);
	if (!error && cut->span.from)
		error = add_time(cut, "cut_from", cut->span.from_tsc);
	if (!error && cut->span.to)
		error = add_time(cut, "cut_to", cut->span.to_tsc);
	if (!error && cut->filter_text)
		error = add_filter(cut);
	return error;
}

static bool keeps(void *ctx, const struct trap_view *view)
{
	return cut_choice_keeps(ctx, view);
}

static struct vmtape_error *filter_calls(struct cut *cut, int *status)
{
	const struct filter_times times = {.local = cut->local, .start_ns = session_start_ns(cut->session)};
	struct filter *filter = NULL;
	struct vmtape_error *error = filter_create(&filter, cut->filter_text, &times);

	if (!error) {
		command_note_guest(cut->session);
		progress_start(&cut->progress, "filter", session_info(cut->session)->nr_records);
		error = cut_choice_create(&cut->choice, cut->session, filter, cut->span.from_tsc, cut->span.to_tsc,
					  progressed, cut);
		progress_end(&cut->progress);
	}
	filter_destroy(filter);
	if (!error && !cut_choice_calls(cut->choice)) {
		*status = STATUS_NOTHING;
		error = vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "%s: no call matches", cut->path);
	}
	return error;
}

static struct tape_copy_part choose(const struct cut *cut)
{
	struct tape_copy_part part = {.from_tsc = cut->span.from_tsc,
				      .to_tsc = cut->span.to_tsc,
				      .keep = cut->choice ? keeps : NULL,
				      .keep_ctx = cut->choice,
				      .progress = progressed,
				      .ctx = (void *)cut,
				      .first_snapshot = -1,
				      .last_snapshot = -1};
	uint32_t n = session_info(cut->session)->nr_snapshots;
	int64_t before = session_snapshot_at(cut->session, part.from_tsc);

	if (!n)
		return part;
	part.first_snapshot = before < 0 ? 0 : before;
	part.last_snapshot = part.first_snapshot;
	/* The next one tells of those who were born after the last. */
	while (part.last_snapshot + 1 < n &&
	       tape_reader_snapshot(session_reader(cut->session), (uint32_t)part.last_snapshot)->info.tsc < part.to_tsc)
		part.last_snapshot++;
	if (before >= 0)
		part.from_tsc = tape_reader_snapshot(session_reader(cut->session), (uint32_t)before)->info.tsc;
	return part;
}

static void say(struct cut *cut, const struct tape_copy_part *part)
{
	uint8_t key[TAPE_PUBLIC_KEY_BYTES];
	struct tape_copy_stats stats;
	struct strbuf text = {0};

	tape_copy_get_stats(cut->copy, &stats);
	strbuf_printf(&text, "vmtape: %s: %" PRIu64 " records and %" PRIu64 " snapshots", cut->output, stats.records,
		      stats.snapshots);
	if (part->first_snapshot >= 0) {
		strbuf_put(&text, ", from ");
		time_put_date(&text, guest_clock_ns(session_clock(cut->session), part->from_tsc), cut->local);
		strbuf_put(&text, cut->local ? " on" : " UTC on");
	}
	fprintf(stderr, "%s\n", text.failed ? "" : text.data);
	strbuf_deinit(&text);
	if (cut->choice)
		fprintf(stderr, "vmtape: %s: %" PRIu64 " calls match; %" PRIu64 " records are left out\n", cut->output,
			cut_choice_calls(cut->choice), stats.left_records);
	if (stats.missing_records)
		fprintf(stderr, "vmtape: %s: %" PRIu64 " records are missing, as %s is damaged\n", cut->output,
			stats.missing_records, cut->path);
	if (stats.missing_pages)
		fprintf(stderr, "vmtape: %s: %" PRIu64 " pages of its snapshots can't be had, and are left out\n",
			cut->path, stats.missing_pages);
	if (stats.missing_plans)
		fprintf(stderr, "vmtape: %s: %" PRIu64 " of its plans can't be had, and are left out\n", cut->path,
			stats.missing_plans);
	if (!tape_reader_signer(session_reader(cut->session), key))
		fprintf(stderr,
			"vmtape: %s is signed, %s is not: a signature is for a whole tape. Keep the original as "
			"evidence\n",
			cut->path, cut->output);
}

static struct vmtape_error *run(struct cut *cut, int *status)
{
	struct vmtape_error *error = command_confine_maker((char *[]){(char *)cut->path}, 1, cut->output);
	struct session_options options = {.assume_linux = cut->assume_linux};
	struct tape_copy_part part;

	if (!error)
		error = session_open(&cut->session, cut->path, &options);
	if (!error)
		error = command_resolve_span(&cut->span, cut->session, cut->local);
	if (!error && cut->span.from_tsc >= cut->span.to_tsc)
		error = vmtape_error_create(VMTAPE_ERROR_USAGE, "--from %s is not before --to %s",
					    cut->span.from ? cut->span.from : "the start", cut->span.to);
	if (!error &&
	    (!session_info(cut->session)->nr_records || cut->span.from_tsc > session_info(cut->session)->last_tsc ||
	     cut->span.to_tsc <= session_info(cut->session)->first_tsc)) {
		*status = STATUS_NOTHING;
		error = vmtape_error_create(VMTAPE_ERROR_NOT_RECORDED, "%s: there are no records in that time",
					    cut->path);
	}
	if (!error && cut->filter_text)
		error = filter_calls(cut, status);
	if (!error)
		error = out_file_create(&cut->file, cut->output, cut->force);
	if (!error && out_file_fd(cut->file) < 0)
		error = vmtape_error_create(VMTAPE_ERROR_USAGE, "%s: a tape can only be a file", cut->output);
	if (!error)
		error = tape_copy_create(&cut->copy, cut->file);
	if (!error)
		error = add_metas(cut);
	if (!error)
		error = tape_copy_plans(cut->copy, cut->session);
	if (error)
		return error;
	part = choose(cut);
	progress_start(&cut->progress, "cut", session_info(cut->session)->nr_records);
	error = tape_copy_part(cut->copy, cut->session, &part);
	progress_end(&cut->progress);
	if (error)
		return error;
	error = tape_copy_finish(cut->copy, "cut");
	if (!error)
		error = out_file_finish(cut->file);
	if (!error)
		say(cut, &part);
	return error;
}

static int read_options(struct cut *cut, int argc, char **argv)
{
	enum { OPT_FROM = 256, OPT_TO, OPT_FORCE, OPT_LOCAL, OPT_ASSUME_LINUX, OPT_HELP };
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"from", required_argument, NULL, OPT_FROM},
		{"to", required_argument, NULL, OPT_TO},
		{"filter", required_argument, NULL, 'f'},
		{"force", no_argument, NULL, OPT_FORCE},
		{"local", no_argument, NULL, OPT_LOCAL},
		{"assume-linux", no_argument, NULL, OPT_ASSUME_LINUX},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "f:o:", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			cut->output = optarg;
			break;
		case 'f':
			cut->filter_text = optarg;
			break;
		case OPT_FROM:
			cut->span.from = optarg;
			break;
		case OPT_TO:
			cut->span.to = optarg;
			break;
		case OPT_FORCE:
			cut->force = true;
			break;
		case OPT_ASSUME_LINUX:
			cut->assume_linux = true;
			break;
		case OPT_LOCAL:
			cut->local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("cut", argv);
		}
	}
	cut->path = command_operand("cut", argc, argv, "tape");
	if (!cut->path)
		return STATUS_BAD;
	if (!cut->output)
		return command_misused("cut", "say where to with -o OUT");
	return STATUS_GO_ON;
}

int cmd_cut(int argc, char **argv)
{
	struct cut cut = {0};
	struct vmtape_error *error;
	int status = read_options(&cut, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	status = STATUS_DONE;
	error = run(&cut, &status);
	if (error) {
		int given = status;

		status = command_failed(error);
		status = given == STATUS_NOTHING ? STATUS_NOTHING : status;
	}
	cut_choice_destroy(cut.choice);
	tape_copy_destroy(cut.copy);
	out_file_destroy(cut.file);
	session_close(cut.session);
	return status;
}
