/* SPDX-License-Identifier: MIT */
/* vmtape stats - counts, errors and latencies of calls, by what they have in common. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_groups.h"
#include "call_pool.h"
#include "command.h"
#include "table.h"
#include "terminal.h"

/* The columns of what it is grouped by come last, in the order of enum call_key. */
enum column {
	COL_COUNT,
	COL_ERRORS,
	COL_MEASURED,
	COL_TOTAL,
	COL_P50,
	COL_P90,
	COL_P99,
	COL_MAX,
	COL_NAME,
	COL_KEYS,
	NR_COLUMNS = COL_KEYS + CALL_KEYS
};

static const struct table_column columns[NR_COLUMNS] = {
	{"count", "COUNT", 10, false, false},     {"errors", "ERRORS", 8, false, false},
	{"measured", "TIMED", 10, false, true},   {"total_ns", "TOTAL", 9, true, false},
	{"p50_ns", "P50", 9, true, false},        {"p90_ns", "P90", 9, true, false},
	{"p99_ns", "P99", 9, true, false},        {"max_ns", "MAX", 9, true, false},
	{"name", "NAME", -30, false, false},      {"syscall", "SYSCALL", -20, false, true},
	{"process", "PROCESS", -22, false, true}, {"thread", "THREAD", -22, false, true},
	{"vcpu", "VCPU", -8, false, true},        {"errno", "ERRNO", -12, false, true},
	{"file", "FILE", -30, false, true},
};

struct stats {
	bool local, read_all;
	const char *filter_text, *fields, *by;
	struct command_span span;
	struct terminal terminal;
	struct session *session;
	struct filter *filter;
	struct call_groups groups;
	struct table table;
	size_t top; /* 0: all */
	enum column sort;
	struct progress progress;
};

static const char help[] =
	"Usage: vmtape stats TAPE [OPTION]...\n"
	"Count system calls and their errors, and tell how long they took.\n\n"
	"      --by WHAT[,WHAT]  syscall (default), process, thread, vcpu, errno, file (the path that was given, else "
	"the "
	"descriptor's)\n"
	"  -f, --filter FILTER   only calls that match, as in vmtape events\n"
	"      --from TIME       entered at TIME or later\n"
	"      --to TIME         entered before TIME\n"
	"      --sort FIELD      count (default), errors, measured, total_ns, p50_ns, p90_ns, p99_ns, max_ns or name\n"
	"      --top N           the first N lines only\n"
	"      --fields LIST     only these columns: the above, measured, and what it is --by\n"
	"      --format FORMAT   text (default), csv, or json: one object a line\n"
	"      --color WHEN      auto (default), always or never\n"
	"      --no-pager        no pager on a terminal\n"
	"      --read-all        read also what the tape's index says cannot match\n"
	"      --local           times of the options are local time, not UTC\n"
	"      --threads N       work by N threads; by default as many as there are CPUs, and 4 at most\n"
	"      --help            this text\n\n"
	"Percentiles are right to 1/16. Exit status: 0 done, 1 no call matched, 2 bad usage or bad input.\n";

/* ---- options --------------------------------------------------------- */

static int set_sort(struct stats *s, const char *name)
{
	for (size_t i = 0; i <= COL_NAME; i++) {
		if (strcmp(columns[i].name, name))
			continue;
		s->sort = (enum column)i;
		return STATUS_GO_ON;
	}
	return command_misused("stats",
			       "--sort \"%s\" is none of count, errors, measured, total_ns, p50_ns, p90_ns, p99_ns, "
			       "max_ns, name",
			       name);
}

/* What it is by is known only when all options are read. */
static int choose_columns(struct stats *s)
{
	int nr_by = 0;

	if (!s->by)
		s->groups.by[CALL_KEY_SYSCALL] = true;
	for (unsigned i = 0; i < CALL_KEYS; i++)
		nr_by += s->groups.by[i];
	if (s->table.form != TABLE_TEXT && !s->fields) {
		s->table.nr_chosen = 0;
		for (size_t i = 0; i < NR_COLUMNS; i++)
			if (i < COL_KEYS || (nr_by > 1 && s->groups.by[i - COL_KEYS]))
				s->table.chosen[s->table.nr_chosen++] = i;
		/* The name comes first in CSV and JSON. */
		memmove(s->table.chosen + 1, s->table.chosen, COL_NAME * sizeof(s->table.chosen[0]));
		s->table.chosen[0] = COL_NAME;
	}
	return s->fields && !command_choose_fields("stats", &s->table, s->fields) ? STATUS_BAD : STATUS_GO_ON;
}

static int read_options(struct stats *s, int argc, char **argv)
{
	enum {
		OPT_BY = 256,
		OPT_FROM,
		OPT_TO,
		OPT_SORT,
		OPT_TOP,
		OPT_FIELDS,
		OPT_FORMAT,
		OPT_COLOR,
		OPT_PAGER,
		OPT_LOCAL,
		OPT_THREADS,
		OPT_READ_ALL,
		OPT_HELP
	};
	static const struct option options[] = {
		{"by", required_argument, NULL, OPT_BY},
		{"filter", required_argument, NULL, 'f'},
		{"from", required_argument, NULL, OPT_FROM},
		{"to", required_argument, NULL, OPT_TO},
		{"sort", required_argument, NULL, OPT_SORT},
		{"top", required_argument, NULL, OPT_TOP},
		{"fields", required_argument, NULL, OPT_FIELDS},
		{"format", required_argument, NULL, OPT_FORMAT},
		{"color", required_argument, NULL, OPT_COLOR},
		{"no-pager", no_argument, NULL, OPT_PAGER},
		{"local", no_argument, NULL, OPT_LOCAL},
		{"threads", required_argument, NULL, OPT_THREADS},
		{"read-all", no_argument, NULL, OPT_READ_ALL},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	uint64_t top;
	int c;

	table_init(&s->table, columns, NR_COLUMNS);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (c) {
		case OPT_BY:
			s->by = optarg;
			if (!*optarg || !call_groups_parse(&s->groups, optarg))
				return command_misused("stats",
						       "--by \"%s\" is no list of syscall, process, thread, vcpu, "
						       "errno, file",
						       optarg);
			break;
		case 'f':
			s->filter_text = optarg;
			break;
		case OPT_FROM:
			s->span.from = optarg;
			break;
		case OPT_TO:
			s->span.to = optarg;
			break;
		case OPT_SORT:
			if (set_sort(s, optarg) != STATUS_GO_ON)
				return STATUS_BAD;
			break;
		case OPT_TOP:
			if (!command_number(optarg, &top) || !top)
				return command_misused("stats", "--top: want a number, not %s", optarg);
			s->top = (size_t)top;
			break;
		case OPT_READ_ALL:
			s->read_all = true;
			break;
		case OPT_FIELDS:
			s->fields = optarg;
			break;
		case OPT_FORMAT:
			if (!table_set_form(&s->table, optarg))
				return command_misused("stats", "format \"%s\" is none of text, csv, json", optarg);
			break;
		case OPT_COLOR:
			if (!terminal_set_color(&s->terminal, optarg))
				return command_misused("stats", "--color \"%s\" is none of auto, always, never",
						       optarg);
			break;
		case OPT_PAGER:
			s->terminal.no_pager = true;
			break;
		case OPT_LOCAL:
			s->local = true;
			break;
		case OPT_THREADS:
			if (!command_threads(optarg, &s->groups.nr_threads))
				return command_misused("stats", "--threads \"%s\": want a number from 1 to %u", optarg,
						       CALL_POOL_MAX_THREADS);
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("stats", argv);
		}
	}
	return choose_columns(s);
}

/* ---- output ---------------------------------------------------------- */

struct row {
	const struct call_group *group;
	char *name, *raw_name;
	uint64_t value; /* sorted by */
};

static uint64_t value_of(const struct call_group *group, enum column column)
{
	switch (column) {
	case COL_COUNT:
		return group->count;
	case COL_ERRORS:
		return group->errors;
	case COL_MEASURED:
		return group->latency.count;
	case COL_TOTAL:
		return group->latency.total;
	case COL_P50:
		return histogram_percentile(&group->latency, 0.5);
	case COL_P90:
		return histogram_percentile(&group->latency, 0.9);
	case COL_P99:
		return histogram_percentile(&group->latency, 0.99);
	case COL_MAX:
		return group->latency.max;
	default:
		return 0;
	}
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void put_row(struct stats *s, struct strbuf *out, const struct row *row)
{
	struct table_cell cells[NR_COLUMNS] = {0};

	for (size_t i = 0; i < COL_NAME; i++) {
		uint64_t value = value_of(row->group, (enum column)i);

		if (s->table.form == TABLE_TEXT && columns[i].is_span && !row->group->latency.count)
			continue;
		cells[i].kind = CELL_NUMBER;
		cells[i].number = value < INT64_MAX ? (int64_t)value : INT64_MAX;
	}
	cells[COL_NAME] = (struct table_cell){.kind = CELL_TEXT, .text = row->name, .raw = row->raw_name};
	for (size_t i = 0; i < CALL_KEYS; i++)
		if (row->group->names[i])
			cells[COL_KEYS + i] = (struct table_cell){
				.kind = CELL_TEXT, .text = row->group->names[i], .raw = row->group->raw_names[i]};
	if (s->table.form == TABLE_TEXT && row->group->errors == row->group->count)
		terminal_style(&s->terminal, out, STYLE_ERROR);
	table_put_row(&s->table, out, cells);
	if (s->table.form == TABLE_TEXT && row->group->errors == row->group->count)
		terminal_plain(&s->terminal, out);
}

static void free_rows(struct row *rows, size_t count)
{
	for (size_t i = 0; i < count && rows; i++) {
		free(rows[i].name);
		free(rows[i].raw_name);
	}
	free(rows);
}

static char *name_of(const struct call_group *group, bool raw)
{
	struct strbuf name = {0};
	char *copy;

	call_group_put_name(group, raw, &name);
	copy = name.failed ? NULL : strdup(name.data ? name.data : "?");
	strbuf_deinit(&name);
	return copy;
}

static struct row *make_rows(const struct stats *s)
{
	struct row *rows = calloc(s->groups.count + 1, sizeof(*rows));

	for (size_t i = 0; i < s->groups.count && rows; i++) {
		rows[i].group = s->groups.list[i];
		rows[i].name = name_of(rows[i].group, false);
		rows[i].raw_name = name_of(rows[i].group, true);
		rows[i].value = value_of(rows[i].group, s->sort);
		if (rows[i].name && rows[i].raw_name)
			continue;
		free_rows(rows, i + 1);
		return NULL;
	}
	return rows;
}

static struct vmtape_error *print(struct stats *s)
{
	struct row *rows = make_rows(s);
	struct strbuf line = {0};
	size_t left = s->top ? s->top : SIZE_MAX;

	if (!rows)
		return &vmtape_error_no_memory;
	qsort(rows, s->groups.count, sizeof(*rows), compare_rows);
	s->table.bold = s->terminal.color;
	table_put_head(&s->table, &line);
	command_write(&line);
	for (size_t i = 0; i < s->groups.count && left; i++, left--) {
		put_row(s, &line, &rows[i]);
		if (!command_write(&line))
			break;
	}
	if (s->groups.lost_records && s->table.form == TABLE_TEXT) {
		terminal_style(&s->terminal, &line, STYLE_ERROR);
		strbuf_printf(&line, "%" PRIu64 " records were lost; what they told of is missing here.\n",
			      s->groups.lost_records);
		terminal_plain(&s->terminal, &line);
		command_write(&line);
	}
	strbuf_deinit(&line);
	free_rows(rows, s->groups.count);
	return NULL;
}

static void progressed(void *ctx, uint64_t nr_records)
{
	progress_show(ctx, nr_records);
}

static struct vmtape_error *run(struct stats *s, const char *path)
{
	struct filter_times times = {.local = s->local};
	struct call_stream_options options = {0};
	struct vmtape_error *error;

	terminal_begin(&s->terminal);
	error = command_open(&s->session, path, NULL);
	if (error)
		return error;
	times.start_ns = session_start_ns(s->session);
	if (s->filter_text)
		error = filter_create(&s->filter, s->filter_text, &times);
	if (!error)
		error = command_resolve_span(&s->span, s->session, s->local);
	if (error)
		return error;
	command_note_guest(s->session);
	options.from_tsc = s->span.from_tsc;
	options.to_tsc = s->span.to_tsc;
	options.fds = filter_needs_fds(s->filter);
	options.read_all = s->read_all;
	progress_start(&s->progress, "stats", session_info(s->session)->nr_records);
	error = call_groups_count(&s->groups, s->session, s->filter, &options, progressed, &s->progress);
	progress_end(&s->progress);
	command_note_damage(s->session);
	return error ? error : print(s);
}

int cmd_stats(int argc, char **argv)
{
	struct stats s = {0};
	const char *path;
	struct vmtape_error *error;
	int status = read_options(&s, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	path = command_operand("stats", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = run(&s, path);
	status = error ? command_failed(error) : command_finish(s.groups.count ? STATUS_DONE : STATUS_NOTHING);
	call_groups_deinit(&s.groups);
	filter_destroy(s.filter);
	session_close(s.session);
	return status;
}
