/* SPDX-License-Identifier: MIT */
/* vmtape diff - two recordings beside each other: which calls became slower, more, or failed more. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_groups.h"
#include "command.h"
#include "table.h"
#include "terminal.h"

enum column {
	COL_COUNT_A,
	COL_COUNT_B,
	COL_ERRORS_A,
	COL_ERRORS_B,
	COL_TOTAL_A,
	COL_TOTAL_B,
	COL_CHANGE,
	COL_P50_A,
	COL_P50_B,
	COL_P50_RATIO,
	COL_P90_A,
	COL_P90_B,
	COL_P90_RATIO,
	COL_P99_A,
	COL_P99_B,
	COL_P99_RATIO,
	COL_NAME,
	NR_COLUMNS
};

static const struct table_column columns[NR_COLUMNS] = {
	{"count_a", "COUNT A", 9, false, false},   {"count_b", "COUNT B", 9, false, false},
	{"errors_a", "ERR A", 7, false, false},    {"errors_b", "ERR B", 7, false, false},
	{"total_a_ns", "TOTAL A", 8, true, false}, {"total_b_ns", "TOTAL B", 8, true, false},
	{"change_ns", "CHANGE", 9, true, false},   {"p50_a_ns", "P50 A", 8, true, false},
	{"p50_b_ns", "P50 B", 8, true, false},     {"p50_ratio", "B/A", 6, false, false},
	{"p90_a_ns", "P90 A", 8, true, true},      {"p90_b_ns", "P90 B", 8, true, true},
	{"p90_ratio", "B/A", 6, false, true},      {"p99_a_ns", "P99 A", 8, true, false},
	{"p99_b_ns", "P99 B", 8, true, false},     {"p99_ratio", "B/A", 6, false, false},
	{"name", "NAME", -30, false, false},
};

struct diff {
	const char *filter_text, *fields;
	size_t top; /* 0: all */
	struct call_groups groups[2];
	struct terminal terminal;
	struct table table;
};

/* What one recording says of a name. */
struct side {
	uint64_t count, errors, measured, total, p50, p90, p99;
};
struct row {
	const char *name, *raw_name;
	struct side sides[2];
};

static const char help[] =
	"Usage: vmtape diff A B [OPTION]...\n"
	"Compare the calls of two tapes: counts, errors, times and latencies, largest change in total time first.\n\n"
	"      --by WHAT[,WHAT]  syscall (default), process (by its name), errno, file (the path that was given,\n"
	"                        else the descriptor's)\n"
	"  -f, --filter FILTER   only calls that match, as in vmtape events\n"
	"      --top N           the first N lines only\n"
	"      --fields LIST     only these columns\n"
	"      --format FORMAT   text (default), csv, or json: one object a line\n"
	"      --color WHEN      auto (default), always or never\n"
	"      --no-pager        no pager on a terminal\n"
	"      --help            this text\n\n"
	"Exit status: 0 done, 1 no call matched in either, 2 bad usage or bad input.\n";

/* ---- rows ------------------------------------------------------------ */

struct named {
	char *name, *raw_name;
	const struct call_group *group;
	unsigned side;
};

static int compare_names(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int by_name = strcmp(x->name, y->name);

	return by_name ? by_name : (x->side > y->side) - (x->side < y->side);
}

static uint64_t change_of(const struct row *row)
{
	uint64_t a = row->sides[0].total, b = row->sides[1].total;

	return a > b ? a - b : b - a;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t x_count = x->sides[0].count + x->sides[1].count, y_count = y->sides[0].count + y->sides[1].count;

	if (change_of(x) != change_of(y))
		return change_of(x) < change_of(y) ? 1 : -1;
	if (x_count != y_count)
		return x_count < y_count ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void close_side(struct side *side, const struct histogram *latency)
{
	side->measured = latency->count;
	side->total = latency->total;
	side->p50 = histogram_percentile(latency, 0.5);
	side->p90 = histogram_percentile(latency, 0.9);
	side->p99 = histogram_percentile(latency, 0.99);
}

/* Groups of one name are one row: processes that bear it, in either recording. */
static size_t fold(const struct named *list, size_t count, struct row *rows)
{
	struct histogram latency;
	size_t nr_rows = 0;

	for (size_t i = 0; i < count;) {
		struct row *row = &rows[nr_rows++];

		*row = (struct row){.name = list[i].name, .raw_name = list[i].raw_name};
		for (unsigned side = 0; side < 2; side++) {
			memset(&latency, 0, sizeof(latency));
			for (; i < count && list[i].side == side && !strcmp(list[i].name, row->name); i++) {
				row->sides[side].count += list[i].group->count;
				row->sides[side].errors += list[i].group->errors;
				histogram_merge(&latency, &list[i].group->latency);
			}
			close_side(&row->sides[side], &latency);
		}
	}
	return nr_rows;
}

static void free_names(struct named *list, size_t count)
{
	for (size_t i = 0; i < count && list; i++) {
		free(list[i].name);
		free(list[i].raw_name);
	}
	free(list);
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

static struct named *name_all(const struct diff *d, size_t *count)
{
	struct named *list = calloc(d->groups[0].count + d->groups[1].count + 1, sizeof(*list));

	*count = 0;
	for (unsigned side = 0; side < 2 && list; side++) {
		for (size_t i = 0; i < d->groups[side].count; i++) {
			struct named *named = &list[(*count)++];

			named->group = d->groups[side].list[i];
			named->name = name_of(named->group, false);
			named->raw_name = name_of(named->group, true);
			named->side = side;
			if (named->name && named->raw_name)
				continue;
			free_names(list, *count);
			*count = 0;
			return NULL;
		}
	}
	if (list)
		qsort(list, *count, sizeof(*list), compare_names);
	return list;
}

/* ---- output ---------------------------------------------------------- */

static struct table_cell number(uint64_t value)
{
	return (struct table_cell){.kind = CELL_NUMBER, .number = value < INT64_MAX ? (int64_t)value : INT64_MAX};
}

static void put_pair(struct table_cell *cells, enum column first, const struct row *row, size_t offset)
{
	for (unsigned i = 0; i < 2; i++)
		if (row->sides[i].measured)
			cells[first + i] = number(*(const uint64_t *)((const char *)&row->sides[i] + offset));
	if (cells[first].kind == CELL_NUMBER && cells[first + 1].kind == CELL_NUMBER && cells[first].number)
		cells[first + 2] = (struct table_cell){
			.kind = CELL_RATIO, .ratio = (double)cells[first + 1].number / (double)cells[first].number};
}

static void put_row(const struct diff *d, struct strbuf *out, const struct row *row)
{
	const struct side *a = &row->sides[0], *b = &row->sides[1];
	struct table_cell cells[NR_COLUMNS] = {0};
	size_t start;

	cells[COL_COUNT_A] = number(a->count);
	cells[COL_COUNT_B] = number(b->count);
	cells[COL_ERRORS_A] = number(a->errors);
	cells[COL_ERRORS_B] = number(b->errors);
	cells[COL_TOTAL_A] = number(a->total);
	cells[COL_TOTAL_B] = number(b->total);
	cells[COL_CHANGE] = number(change_of(row));
	if (b->total < a->total)
		cells[COL_CHANGE].number = -cells[COL_CHANGE].number;
	put_pair(cells, COL_P50_A, row, offsetof(struct side, p50));
	put_pair(cells, COL_P90_A, row, offsetof(struct side, p90));
	put_pair(cells, COL_P99_A, row, offsetof(struct side, p99));
	cells[COL_NAME] = (struct table_cell){.kind = CELL_TEXT, .text = row->name, .raw = row->raw_name};
	/* Slower or failing more often stands out, what is in one of them only steps back. */
	if (d->table.form == TABLE_TEXT && (!a->count || !b->count))
		terminal_style(&d->terminal, out, STYLE_FAINT);
	else if (d->table.form == TABLE_TEXT &&
		 ((a->measured && b->p50 > a->p50 + a->p50 / 5) || b->errors > a->errors))
		terminal_style(&d->terminal, out, STYLE_ERROR);
	start = out->len;
	table_put_row(&d->table, out, cells);
	if (d->table.form == TABLE_TEXT && start)
		terminal_plain(&d->terminal, out);
}

static struct vmtape_error *print(struct diff *d, char **paths)
{
	size_t count, nr_rows, left = d->top ? d->top : SIZE_MAX;
	struct named *list = name_all(d, &count);
	struct row *rows = list ? calloc(count + 1, sizeof(*rows)) : NULL;
	struct strbuf line = {0};

	if (rows) {
		nr_rows = fold(list, count, rows);
		qsort(rows, nr_rows, sizeof(*rows), compare_rows);
		d->table.bold = d->terminal.color;
		table_put_head(&d->table, &line);
		for (size_t i = 0; i < nr_rows && left && command_write(&line); i++, left--)
			put_row(d, &line, &rows[i]);
		command_write(&line);
		for (unsigned i = 0; i < 2 && d->table.form == TABLE_TEXT; i++) {
			if (!d->groups[i].lost_records)
				continue;
			strbuf_printf(&line, "%s: %" PRIu64 " records were lost; what they told of is missing here.\n",
				      paths[i], d->groups[i].lost_records);
			command_write(&line);
		}
	}
	free_names(list, count);
	free(rows);
	strbuf_deinit(&line);
	return rows ? NULL : &vmtape_error_no_memory;
}

/* ---- work ------------------------------------------------------------ */

static void progressed(void *ctx, uint64_t nr_records)
{
	progress_show(ctx, nr_records);
}

static struct vmtape_error *count_tape(struct diff *d, const char *path, struct session *session,
				       struct call_groups *groups)
{
	struct call_stream_options options = {.to_tsc = UINT64_MAX, .read_all = true};
	struct filter_times times = {.start_ns = session_start_ns(session)};
	struct filter *filter = NULL;
	struct progress progress;
	struct vmtape_error *error = NULL;

	if (d->filter_text)
		error = filter_create(&filter, d->filter_text, &times);
	options.fds = filter_needs_fds(filter);
	if (!error) {
		command_note_guest(session);
		progress_start(&progress, path, session_info(session)->nr_records);
		error = call_groups_count(groups, session, filter, &options, progressed, &progress);
		progress_end(&progress);
		command_note_damage(session);
	}
	filter_destroy(filter);
	return error;
}

/* Both are opened first: who misspelt the second one need not wait for the first. */
static struct vmtape_error *run(struct diff *d, char **paths)
{
	struct session *sessions[2] = {NULL, NULL};
	struct vmtape_error *error;

	terminal_begin(&d->terminal);
	error = command_open_all(sessions, paths, 2);
	for (unsigned i = 0; i < 2 && !error; i++)
		error = count_tape(d, paths[i], sessions[i], &d->groups[i]);
	session_close(sessions[0]);
	session_close(sessions[1]);
	return error ? error : print(d, paths);
}

static int set_by(struct diff *d, const char *text)
{
	for (unsigned i = 0; i < 2; i++)
		if (!*text || !call_groups_parse(&d->groups[i], text))
			return command_misused("diff", "--by \"%s\" is no list of syscall, process, errno, file", text);
	if (d->groups[0].by[CALL_KEY_THREAD] || d->groups[0].by[CALL_KEY_VCPU])
		return command_misused("diff", "--by \"%s\": threads and vCPUs of two guests are not the same", text);
	return STATUS_GO_ON;
}

static int finish_options(struct diff *d, int nr_tapes)
{
	if (d->fields && !command_choose_fields("diff", &d->table, d->fields))
		return STATUS_BAD;
	for (size_t i = 0; !d->fields && d->table.form != TABLE_TEXT && i < NR_COLUMNS; i++) {
		d->table.chosen[i] = i;
		d->table.nr_chosen = NR_COLUMNS;
	}
	for (unsigned i = 0; i < 2; i++) {
		bool any = false;

		for (unsigned k = 0; k < CALL_KEYS; k++)
			any = any || d->groups[i].by[k];
		d->groups[i].by[CALL_KEY_SYSCALL] = d->groups[i].by[CALL_KEY_SYSCALL] || !any;
		d->groups[i].without_pid = true;
	}
	if (nr_tapes != 2)
		return command_misused("diff", "name two tapes, not %d", nr_tapes);
	return STATUS_GO_ON;
}

static int read_options(struct diff *d, int argc, char **argv)
{
	enum { OPT_BY = 256, OPT_TOP, OPT_FIELDS, OPT_FORMAT, OPT_COLOR, OPT_PAGER, OPT_HELP };
	static const struct option options[] = {
		{"by", required_argument, NULL, OPT_BY},
		{"filter", required_argument, NULL, 'f'},
		{"top", required_argument, NULL, OPT_TOP},
		{"fields", required_argument, NULL, OPT_FIELDS},
		{"format", required_argument, NULL, OPT_FORMAT},
		{"color", required_argument, NULL, OPT_COLOR},
		{"no-pager", no_argument, NULL, OPT_PAGER},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	uint64_t top;
	int c;

	table_init(&d->table, columns, NR_COLUMNS);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (c) {
		case OPT_BY:
			if (set_by(d, optarg) != STATUS_GO_ON)
				return STATUS_BAD;
			break;
		case 'f':
			d->filter_text = optarg;
			break;
		case OPT_TOP:
			if (!command_number(optarg, &top) || !top)
				return command_misused("diff", "--top: want a number, not %s", optarg);
			d->top = (size_t)top;
			break;
		case OPT_FIELDS:
			d->fields = optarg;
			break;
		case OPT_FORMAT:
			if (!table_set_form(&d->table, optarg))
				return command_misused("diff", "format \"%s\" is none of text, csv, json", optarg);
			break;
		case OPT_COLOR:
			if (!terminal_set_color(&d->terminal, optarg))
				return command_misused("diff", "--color \"%s\" is none of auto, always, never", optarg);
			break;
		case OPT_PAGER:
			d->terminal.no_pager = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("diff", argv);
		}
	}
	return finish_options(d, argc - optind);
}

int cmd_diff(int argc, char **argv)
{
	struct diff d = {0};
	struct vmtape_error *error;
	int status = read_options(&d, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	error = run(&d, argv + optind);
	if (error)
		status = command_failed(error);
	else
		status = command_finish(d.groups[0].count + d.groups[1].count ? STATUS_DONE : STATUS_NOTHING);
	call_groups_deinit(&d.groups[0]);
	call_groups_deinit(&d.groups[1]);
	return status;
}
