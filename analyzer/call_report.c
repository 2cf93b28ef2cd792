/* SPDX-License-Identifier: MIT */
#include "call_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool read_top(struct report *r, const char *text)
{
	char *end;

	errno = 0;
	r->top = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && r->top;
}

static int read_options(struct report *r, int argc, char **argv)
{
	enum { OPT_FROM = 256, OPT_TO, OPT_FORMAT, OPT_TOP, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"filter", required_argument, NULL, 'f'},  {"from", required_argument, NULL, OPT_FROM},
		{"to", required_argument, NULL, OPT_TO},   {"format", required_argument, NULL, OPT_FORMAT},
		{"top", required_argument, NULL, OPT_TOP}, {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},     {0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			r->filter_text = optarg;
			break;
		case OPT_FROM:
			r->span.from = optarg;
			break;
		case OPT_TO:
			r->span.to = optarg;
			break;
		case OPT_FORMAT:
			r->format = !strcmp(optarg, "json")  ? REPORT_JSON
				    : !strcmp(optarg, "csv") ? REPORT_CSV
							     : REPORT_TEXT;
			if (r->format == REPORT_TEXT && strcmp(optarg, "text"))
				return command_misused(r->name, "format \"%s\" is none of text, json, csv", optarg);
			break;
		case OPT_TOP:
			if (!read_top(r, optarg))
				return command_misused(r->name, "--top \"%s\": want a number, not 0", optarg);
			break;
		case OPT_LOCAL:
			r->local = true;
			break;
		case OPT_HELP:
			fputs(r->help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option(r->name, argv);
		}
	}
	return STATUS_GO_ON;
}

static struct vmtape_error *take_all(struct report *r)
{
	struct call_stream_options options = {.from_tsc = r->span.from_tsc, .to_tsc = r->span.to_tsc, .fds = true};
	struct call_stream_stats stats;
	struct call_stream *stream;
	struct call_item item;
	struct progress progress;
	struct vmtape_error *error = call_stream_create(&stream, r->session, &options);
	bool more = true;

	if (error)
		return error;
	progress_start(&progress, r->name, session_info(r->session)->nr_records);
	while (!error) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		if (item.is_gap)
			r->gaps++;
		else if (filter_match(r->filter, &item.call, 0))
			error = r->take(r, &item.call);
		call_stream_get_stats(stream, &stats);
		progress_show(&progress, stats.records);
	}
	progress_end(&progress);
	command_note_names(stream);
	call_stream_destroy(stream);
	return error;
}

static struct vmtape_error *run(struct report *r, const char *path)
{
	struct filter_times times = {.local = r->local};
	struct vmtape_error *error = command_open(&r->session, path, NULL);

	if (error)
		return error;
	times.start_ns = session_start_ns(r->session);
	if (r->filter_text)
		error = filter_create(&r->filter, r->filter_text, &times);
	if (!error)
		error = command_resolve_span(&r->span, r->session, r->local);
	if (error)
		return error;
	command_note_guest(r->session);
	error = take_all(r);
	command_note_damage(r->session);
	if (error)
		return error;
	error = r->show(r);
	if (r->rest)
		fprintf(stderr,
			"vmtape: %" PRIu64 " calls are not in these rows, which are %u, the most that are kept\n",
			r->rest, REPORT_MAX_ROWS);
	if (r->gaps)
		fprintf(stderr, "vmtape: records were lost in %" PRIu64 " places: there was more than this\n", r->gaps);
	return error;
}

int report_main(struct report *r, int argc, char **argv)
{
	struct vmtape_error *error;
	const char *path;
	int status = read_options(r, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	path = command_operand(r->name, argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = run(r, path);
	status = error ? command_failed(error) : command_finish(r->shown ? STATUS_DONE : STATUS_NOTHING);
	strbuf_deinit(&r->line);
	filter_destroy(r->filter);
	session_close(r->session);
	return status;
}

bool report_row(struct report *r)
{
	r->shown++;
	return command_write(&r->line) && (!r->top || r->shown < r->top);
}

/* ---- pieces --------------------------------------------------------------- */

void report_put_csv(struct strbuf *out, const char *text, size_t n)
{
	bool quote = n && (memchr(text, ',', n) || memchr(text, '"', n));

	if (quote)
		strbuf_put_char(out, '"');
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			strbuf_put(out, "\"\"");
		else
			strbuf_put_escaped(out, text + i, 1);
	}
	if (quote)
		strbuf_put_char(out, '"');
}

void report_put_json(struct strbuf *out, const char *text, size_t n)
{
	strbuf_put_char(out, '"');
	strbuf_put_json(out, text, n);
	strbuf_put_char(out, '"');
}

static void put_time(struct strbuf *out, const char *key, int64_t ns)
{
	strbuf_printf(out, ", \"%s\": ", key);
	if (ns < 0) {
		strbuf_put(out, "null");
		return;
	}
	strbuf_put_char(out, '"');
	time_put_iso(out, ns);
	strbuf_put_char(out, '"');
}

void report_put_times(struct strbuf *out, int64_t first_ns, int64_t last_ns)
{
	put_time(out, "first_time", first_ns);
	put_time(out, "last_time", last_ns);
}
