/* SPDX-License-Identifier: MIT */
/* vmtape events - system calls, or raw traps, one a line. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_pool.h"
#include "events.h"
#include "skip_plan.h"
#include "tracker.h"

static const char help[] =
	"Usage: vmtape events TAPE [OPTION]...\n"
	"Show system calls in order of entry, each with its result.\n\n"
	"  -f, --filter FILTER   only those that match, as in: proc.name = cat and evt.failed\n"
	"      --from TIME       entered at TIME or later: HH:MM:SS[.frac], +SECONDS from the start, ISO 8601\n"
	"      --to TIME         entered before TIME\n"
	"      --format FORMAT   text (default), json: one object a line, nitro: Nitro's array of raw traps\n"
	"      --show-fds        text: what each descriptor is, as in 3</etc/passwd>\n"
	"      --no-fds          json: without descriptors, which take reading all of the tape\n"
	"      --traps           raw traps instead of calls\n"
	"      --local           times in the local time zone, not UTC\n"
	"      --assume-linux    name the calls of an unknown guest by Linux's numbers\n"
	"      --count N         stop after N calls, or traps\n"
	"      --threads N       work by N threads; by default as many as there are CPUs, and 4 at most\n"
	"      --read-all        read also what the tape's index says cannot match\n"
	"      --follow          go on as the tape is written, and in the next one of its series; each call when it\n"
	"                        is over, until the end of the recording, or SIGINT\n"
	"      --new             with --follow: only what enters from now on\n"
	"      --hooks FILE      run the functions of FILE.py or FILE.so at each call: docs/hooks.md; with --traps "
	"and\n"
	"                        with nitro at each trap\n"
	"      --color WHEN      auto (default), always or never\n"
	"      --no-pager        no pager on a terminal\n"
	"      --check           only check the filter; no TAPE is needed\n"
	"      --help            this text\n\n"
	"Fields of a filter: proc.name proc.pid proc.ppid proc.exe proc.exepath proc.cmdline proc.cwd proc.pidns "
	"thread.tid\n"
	"  user.uid container.id container.full_id evt.type evt.dir (> or <, with --traps) evt.res evt.failed "
	"evt.latency\n"
	"  evt.cpu evt.time evt.state evt.abi evt.arg.NAME fd.num fd.type fd.name fd.l4proto fd.uncertain\n"
	"  fd.ip fd.port fd.lip fd.lport fd.rip fd.rport fd.cip fd.cport fd.sip fd.sport\n"
	"Operators: = != < <= > >= contains startswith endswith in (...) exists; and, or, not, parentheses.\n"
	"Exit status: 0 done, 1 no call matched, 2 bad usage or bad input, 3 a hook failed.\n";

#define STATUS_HOOKS 3 /* all was shown, but hooks have failed */

static bool read_count(struct events *e, const char *text)
{
	char *end;

	errno = 0;
	e->count = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && e->count;
}

static int read_options(struct events *e, int argc, char **argv)
{
	enum {
		OPT_FROM = 256,
		OPT_TO,
		OPT_FORMAT,
		OPT_TRAPS,
		OPT_SHOW_FDS,
		OPT_LOCAL,
		OPT_ASSUME,
		OPT_COUNT,
		OPT_THREADS,
		OPT_FOLLOW,
		OPT_NEW,
		OPT_HOOKS,
		OPT_COLOR,
		OPT_PAGER,
		OPT_CHECK,
		OPT_READ_ALL,
		OPT_NO_FDS,
		OPT_HELP
	};
	static const struct option options[] = {
		{"filter", required_argument, NULL, 'f'},      {"from", required_argument, NULL, OPT_FROM},
		{"to", required_argument, NULL, OPT_TO},       {"format", required_argument, NULL, OPT_FORMAT},
		{"show-fds", no_argument, NULL, OPT_SHOW_FDS}, {"traps", no_argument, NULL, OPT_TRAPS},
		{"local", no_argument, NULL, OPT_LOCAL},       {"assume-linux", no_argument, NULL, OPT_ASSUME},
		{"count", required_argument, NULL, OPT_COUNT}, {"threads", required_argument, NULL, OPT_THREADS},
		{"follow", no_argument, NULL, OPT_FOLLOW},     {"new", no_argument, NULL, OPT_NEW},
		{"check", no_argument, NULL, OPT_CHECK},       {"hooks", required_argument, NULL, OPT_HOOKS},
		{"color", required_argument, NULL, OPT_COLOR}, {"no-pager", no_argument, NULL, OPT_PAGER},
		{"read-all", no_argument, NULL, OPT_READ_ALL}, {"no-fds", no_argument, NULL, OPT_NO_FDS},
		{"help", no_argument, NULL, OPT_HELP},         {0},
	};
	int c;

	opterr = 0;
	optind = 0; /* inside Python it may have been used before */
	while ((c = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			e->filter_text = optarg;
			break;
		case OPT_FROM:
			e->span.from = optarg;
			break;
		case OPT_TO:
			e->span.to = optarg;
			break;
		case OPT_FORMAT:
			if (!strcmp(optarg, "text"))
				e->format = FORMAT_TEXT;
			else if (!strcmp(optarg, "json"))
				e->format = FORMAT_JSON;
			else if (!strcmp(optarg, "nitro"))
				e->format = FORMAT_NITRO;
			else
				return command_misused("events", "format \"%s\" is none of text, json, nitro", optarg);
			break;
		case OPT_TRAPS:
			e->traps = true;
			break;
		case OPT_SHOW_FDS:
			e->show_fds = true;
			break;
		case OPT_LOCAL:
			e->output.local = true;
			break;
		case OPT_ASSUME:
			e->assume_linux = true;
			break;
		case OPT_COUNT:
			if (!read_count(e, optarg))
				return command_misused("events", "--count \"%s\": want a number, not 0", optarg);
			break;
		case OPT_THREADS:
			if (!command_threads(optarg, &e->nr_threads))
				return command_misused("events", "--threads \"%s\": want a number from 1 to %u", optarg,
						       CALL_POOL_MAX_THREADS);
			break;
		case OPT_NO_FDS:
			e->no_fds = true;
			break;
		case OPT_READ_ALL:
			e->read_all = true;
			break;
		case OPT_FOLLOW:
			e->follow = true;
			break;
		case OPT_NEW:
			e->only_new = true;
			break;
		case OPT_HOOKS:
			e->hooks_file = optarg;
			break;
		case OPT_COLOR:
			if (!terminal_set_color(&e->output.terminal, optarg))
				return command_misused("events", "--color \"%s\" is none of auto, always, never",
						       optarg);
			break;
		case OPT_PAGER:
			e->output.terminal.no_pager = true;
			break;
		case OPT_CHECK:
			e->check = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("events", argv);
		}
	}
	if (e->only_new && (!e->follow || e->span.from))
		return command_misused("events", "--new goes with --follow only, and not with --from");
	if (e->follow && e->span.to)
		return command_misused("events", "--to does not go with --follow");
	if (e->no_fds && e->show_fds)
		return command_misused("events", "--no-fds does not go with --show-fds");
	if (e->check && !e->filter_text)
		return command_misused("events", "--check: there is no filter");
	return STATUS_GO_ON;
}

/* ---- calls ----------------------------------------------------------- */

/* Another one than was asked for is not shown. */
static void count_shown(struct events *e)
{
	e->shown++;
	e->stopped |= !command_write(&e->line) || (e->count && e->shown == e->count);
}

/* false: the line is to be left as it is. */
static bool take_outcome(struct events *e, struct vmtape_error *error, const struct hook_outcome *outcome)
{
	e->hooks_failed = error;
	e->stopped |= error || outcome->stop;
	return !error && !e->line.failed;
}

/* The hooks of the call whose line was appended. */
static void add_hook(struct events *e, const struct call *call)
{
	struct hook_outcome outcome;

	if (!take_outcome(e, hook_plugin_call(e->plugin, e->session, call, &outcome), &outcome))
		return;
	if (e->format == FORMAT_JSON)
		output_json_hook(&e->line, outcome.json);
	else
		output_text_hook(&e->line, outcome.json);
}

static void add_trap_hook(struct events *e, const struct trap_view *view, const struct call *call)
{
	struct hook_outcome outcome;

	if (!take_outcome(e, hook_plugin_trap(e->plugin, e->session, view, call, &outcome), &outcome))
		return;
	if (e->format == FORMAT_NITRO)
		output_nitro_hook(&e->line, outcome.json);
	else if (e->format == FORMAT_JSON)
		output_json_hook(&e->line, outcome.json);
	else
		output_text_hook(&e->line, outcome.json);
}

/* false: it does not match. */
static bool put_item(const struct events *e, struct strbuf *line, struct call_item *item)
{
	/* A gap is shown whatever the filter: what was lost may have matched. */
	if (!item->is_gap && !filter_match(e->filter, &item->call, 0))
		return false;
	item->call.show_fds = e->show_fds;
	if (item->is_gap && e->format == FORMAT_JSON)
		output_json_gap(line, item, session_clock(e->session));
	else if (item->is_gap)
		output_text_gap(line, item, session_clock(e->session), &e->output);
	else if (e->format == FORMAT_JSON)
		output_json_call(line, &item->call);
	else
		output_text_call(line, &item->call, &e->output);
	return true;
}

void events_show_item(struct events *e, struct call_item *item)
{
	if (!put_item(e, &e->line, item))
		return;
	if (!item->is_gap && e->plugin)
		add_hook(e, &item->call);
	if (item->is_gap)
		e->stopped |= !command_write(&e->line);
	else
		count_shown(e);
}

/* Hooks run in the order of what is shown, and may stop it at any call. */
static struct vmtape_error *show_with_hooks(struct events *e, struct call_stream *stream, struct progress *progress)
{
	struct call_stream_stats stats;
	struct vmtape_error *error = NULL;
	struct call_item item;
	bool more;

	while (!e->stopped) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		events_show_item(e, &item);
		call_stream_get_stats(stream, &stats);
		progress_show(progress, stats.records);
	}
	return error;
}

/* ---- by several threads ---------------------------------------------- */

/* What one thread has made of a batch. */
struct lines {
	struct strbuf text;
	uint32_t nr;  /* calls in it */
	size_t *ends; /* of each; with --count only */
	uint32_t room;
	struct call_item item;
};

struct showing {
	struct events *events;
	struct progress progress;
	struct vmtape_error *error; /* of what was made of a batch */
};

static void put_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	const struct showing *showing = ctx;
	const struct events *e = showing->events;
	struct lines *lines = worker;

	lines->nr = 0;
	if (e->count && lines->room < batch->nr) {
		size_t *ends = reallocarray(lines->ends, batch->nr, sizeof(*ends));

		if (!ends) {
			lines->text.failed = true;
			return;
		}
		lines->ends = ends;
		lines->room = batch->nr;
	}
	for (uint32_t i = 0; i < batch->nr && !(e->count && lines->nr == e->count); i++) {
		call_batch_item(batch, i, &lines->item);
		if (!put_item(e, &lines->text, &lines->item) || lines->item.is_gap)
			continue;
		if (e->count)
			lines->ends[lines->nr] = lines->text.len;
		lines->nr++;
	}
}

static bool write_batch(void *ctx, void *worker, const struct call_batch *batch)
{
	struct showing *showing = ctx;
	struct events *e = showing->events;
	struct lines *lines = worker;

	if (lines->text.failed) {
		showing->error = &vmtape_error_no_memory;
		return false;
	}
	if (e->count && lines->nr >= e->count - e->shown) {
		lines->nr = (uint32_t)(e->count - e->shown);
		lines->text.len = lines->ends[lines->nr - 1];
		e->stopped = true;
	}
	e->shown += lines->nr;
	e->stopped |= !command_write(&lines->text);
	progress_show(&showing->progress, batch->stats.records);
	return !e->stopped;
}

static struct vmtape_error *show_by_threads(struct showing *showing, struct call_stream *stream)
{
	struct call_pool_options options = {.nr_threads = showing->events->nr_threads};
	struct lines *lines;
	struct vmtape_error *error;

	lines = calloc(call_pool_workers(options.nr_threads), sizeof(*lines));
	if (!lines)
		return &vmtape_error_no_memory;
	error = call_pool_run(stream,
			      &(struct call_pool_job){.work = put_batch,
						      .deliver = write_batch,
						      .ctx = showing,
						      .workers = lines,
						      .worker_bytes = sizeof(*lines)},
			      &options);
	for (unsigned i = 0; i < call_pool_workers(options.nr_threads); i++) {
		strbuf_deinit(&lines[i].text);
		free(lines[i].ends);
	}
	free(lines);
	return error ? error : showing->error;
}

static struct vmtape_error *show_calls(struct events *e)
{
	struct call_stream_options options = {.from_tsc = e->span.from_tsc,
					      .to_tsc = e->span.to_tsc,
					      .fds = e->fds,
					      .filter = e->filter,
					      .read_all = e->read_all};
	struct showing showing = {.events = e};
	struct call_stream *stream;
	struct vmtape_error *error;

	if (!e->nr_threads)
		e->nr_threads = call_pool_default_threads();
	options.read_ahead = e->plugin ? 0 : call_pool_read_ahead(e->nr_threads);
	error = call_stream_create(&stream, e->session, &options);
	if (error)
		return error;
	progress_start(&showing.progress, "events", session_info(e->session)->nr_records);
	showing.progress.off |= e->output.terminal.paged;
	error = e->plugin ? show_with_hooks(e, stream, &showing.progress) : show_by_threads(&showing, stream);
	progress_end(&showing.progress);
	command_note_names(stream);
	call_stream_destroy(stream);
	return error;
}

/* ---- traps ----------------------------------------------------------- */

void events_show_trap(void *ctx, const struct trap_view *view, const struct call_thread *thread)
{
	struct events *e = ctx;
	bool enter = view->header.type == TRAP_ENTER, is_call = enter || view->header.type == TRAP_EXIT;
	struct call call;
	struct output_trap trap = {view, is_call ? &call : NULL, thread,
				   guest_clock_ns(session_clock(e->session), view->header.tsc)};

	if (e->stopped || view->header.tsc < e->span.from_tsc || view->header.tsc >= e->span.to_tsc)
		return;
	if (is_call)
		call_build(&call, e->session, enter ? CALL_OPEN : CALL_EXIT_ONLY, enter ? view : NULL,
			   enter ? NULL : view, thread, false);
	if (e->filter && view->header.type != TRAP_GAP &&
	    (!is_call || !filter_match(e->filter, &call, enter ? '>' : '<')))
		return;
	if (e->format == FORMAT_NITRO) {
		size_t start = e->line.len;

		strbuf_put(&e->line, e->shown ? ",\n" : "\n");
		if (!output_nitro_trap(&e->line, &trap)) {
			e->line.len = start;
			return;
		}
	} else if (e->format == FORMAT_JSON) {
		output_json_trap(&e->line, &trap);
	} else {
		output_text_trap(&e->line, &trap, &e->output);
	}
	if (is_call && e->plugin)
		add_trap_hook(e, view, &call);
	count_shown(e);
}

static struct vmtape_error *show_traps(struct events *e)
{
	const struct skip_question question = {e->filter, e->span.from_tsc, e->span.to_tsc, e->read_all || !e->filter};
	struct tracker_sink sink = {.record = events_show_trap, .ctx = e};
	struct tracker *tracker;
	struct skip_plan *skip;
	struct progress progress;
	struct vmtape_error *error = tracker_create(&tracker, e->session, &sink, e->span.from_tsc);
	bool more = true;

	if (error)
		return error;
	/* Without a filter, records that are no calls are shown, too. */
	error = skip_plan_create(&skip, e->session, &question);
	if (error) {
		tracker_destroy(tracker);
		return error;
	}
	if (e->filter)
		tracker_skip(tracker, skip);
	if (e->format == FORMAT_NITRO)
		strbuf_put_char(&e->line, '[');
	progress_start(&progress, "events", session_info(e->session)->nr_records);
	progress.off |= e->output.terminal.paged;
	while (!error && more && !e->stopped) {
		error = tracker_step_until(tracker, e->span.to_tsc, &more);
		progress_show(&progress, tracker_records(tracker));
	}
	progress_end(&progress);
	if (e->format == FORMAT_NITRO && !ferror(stdout)) {
		strbuf_put(&e->line, "\n]\n");
		command_write(&e->line);
	}
	tracker_destroy(tracker);
	skip_plan_destroy(skip);
	return error;
}

struct vmtape_error *events_prepare(struct events *e)
{
	struct filter_times times = {.local = e->output.local, .start_ns = session_start_ns(e->session)};
	struct vmtape_error *error = NULL;

	if (e->filter_text && !e->filter)
		error = filter_create(&e->filter, e->filter_text, &times);
	if (!error && events_are_traps(e) && filter_needs_fds(e->filter))
		error = vmtape_error_create(VMTAPE_ERROR_USAGE,
					    "fields of descriptors, and proc.cwd, proc.cmdline, "
					    "proc.pidns, container.id are of calls, not of raw traps");
	e->fds = e->show_fds || (e->format == FORMAT_JSON && !e->no_fds) || filter_needs_fds(e->filter);
	return error ? error : command_resolve_span(&e->span, e->session, e->output.local);
}

static struct vmtape_error *run(struct events *e, const char *path)
{
	struct session_options options = {.assume_linux = e->assume_linux};
	struct vmtape_error *error = NULL;

	/* A bad filter is told before a large tape is read; times in it need the tape's start. */
	if (e->filter_text && !strstr(e->filter_text, "evt.time"))
		error = filter_create(&e->filter, e->filter_text, NULL);
	if (!error && e->hooks_file)
		error = hook_plugin_open(&e->plugin, e->hooks_file);
	if (error)
		return error;
	/* Who follows sees each call at once; what hooks print is theirs. */
	e->output.terminal.no_pager |= e->follow || e->plugin;
	terminal_begin(&e->output.terminal);
	/* Hooks may do what they want; the next tape is in the folder of the one before. */
	if (e->follow && !e->plugin)
		error = command_confine(
			&(struct sandbox_room){.read = (char *[]){(char *)path}, .nr_read = 1, .read_beside = path});
	if (error)
		return error;
	error = e->follow || e->plugin ? session_open(&e->session, path, &options)
				       : command_open(&e->session, path, &options);
	if (!error && e->follow)
		return events_follow(e, path);
	if (!error)
		error = events_prepare(e);
	if (error)
		return error;
	command_note_guest(e->session);
	return events_are_traps(e) ? show_traps(e) : show_calls(e);
}

/* What hooks did wrong has been told as it came. */
static int judge_hooks(const struct events *e, int status)
{
	uint64_t failures = e->plugin ? hook_plugin_failures(e->plugin) : 0;

	if (!failures)
		return status;
	fprintf(stderr, "vmtape: hooks failed %" PRIu64 " time%s\n", failures, failures == 1 ? "" : "s");
	return status == STATUS_BAD ? status : STATUS_HOOKS;
}

static int check_filter(struct events *e)
{
	struct filter_times times = {.local = e->output.local};
	struct vmtape_error *error = filter_create(&e->filter, e->filter_text, &times);

	filter_destroy(e->filter);
	return error ? command_failed(error) : STATUS_DONE;
}

int cmd_events(int argc, char **argv)
{
	struct events e = {0};
	const char *path;
	struct vmtape_error *error;
	int status = read_options(&e, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	if (e.check)
		return check_filter(&e);
	path = command_operand("events", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = e.hooks_file && hook_plugin_is_foreign(e.hooks_file) ? hook_plugin_exec(argc, argv) : run(&e, path);
	if (error)
		vmtape_error_destroy(e.hooks_failed);
	else
		error = e.hooks_failed;
	if (!error && e.line.failed)
		error = &vmtape_error_no_memory;
	if (error) {
		fflush(stdout);
		status = command_failed(error);
	} else {
		status = command_finish(e.shown || e.interrupted ? STATUS_DONE : STATUS_NOTHING);
	}
	/* Behind the pager, which would scroll it away. */
	if (e.session)
		command_note_damage(e.session);
	status = judge_hooks(&e, status);
	hook_plugin_close(e.plugin);
	strbuf_deinit(&e.line);
	filter_destroy(e.filter);
	session_close(e.session);
	return status;
}
