/* SPDX-License-Identifier: MIT */
/* vmtape ps - the guest's processes at a time, as a tree. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "output/output.h"
#include "process_list.h"
#include "table.h"
#include "terminal.h"

enum column {
	COL_PID,
	COL_PPID,
	COL_TID,
	COL_THREADS,
	COL_UID,
	COL_STATE,
	COL_SYSCALL,
	COL_START,
	COL_NAME,
	COL_EXE,
	NR_COLUMNS
};

static const struct table_column columns[NR_COLUMNS] = {
	{"pid", "PID", 7, false, false},        {"ppid", "PPID", 7, false, false},
	{"tid", "TID", 7, false, true},         {"threads", "THR", 4, false, false},
	{"uid", "UID", 5, false, false},        {"state", "S", 1, false, false},
	{"syscall", "IN", -16, false, false},   {"start_time", "START (UTC)", -23, false, false},
	{"process", "NAME", -16, false, false}, {"exe", "EXE", -20, false, false},
};

struct ps {
	const char *at, *fields;
	bool local, user_only, threads, tree, flat;
	struct session *session;
	struct terminal terminal;
	struct table_column columns[NR_COLUMNS];
	struct table table;
	uint64_t tsc;
};

static const char help[] =
	"Usage: vmtape ps TAPE [OPTION]...\n"
	"Show the processes that the guest had at a time, as ps in the guest would have shown them then.\n\n"
	"      --at TIME         HH:MM:SS[.frac], +SECONDS from the start, ISO 8601; default: the end of the tape\n"
	"      --user            no kernel threads\n"
	"      --threads         the threads of each process, too\n"
	"      --tree            children under their parent (default in text)\n"
	"      --flat            no tree\n"
	"      --fields LIST     only these columns: pid, ppid, tid, threads, uid, state, syscall, start_time, "
	"process,\n"
	"                        exe\n"
	"      --format FORMAT   text (default), csv, or json: one object a line\n"
	"      --color WHEN      auto (default), always or never\n"
	"      --no-pager        no pager on a terminal\n"
	"      --local           times in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"S is R (in user mode), S (in the system call under IN), Z (ended, not yet waited for), K (kernel thread) or "
	"?.\n"
	"Exit status: 0 done, 1 no process is known, 2 bad usage or bad input.\n";

static char state_of(const struct process_thread *thread)
{
	if (thread->zombie)
		return 'Z';
	if (thread->kernel_thread)
		return 'K';
	if (!thread->trapped)
		return '?';
	return thread->in_call ? 'S' : 'R';
}

static const char *call_of(const struct ps *ps, const struct process_thread *thread, uint64_t tsc)
{
	const struct linux_syscall *syscall =
		thread->in_call && !thread->zombie
			? session_syscall(ps->session, tsc, thread->call_abi, thread->call_nr)
			: NULL;

	return syscall ? syscall->name : NULL;
}

/* What is shown on a line: a process by its leader, or another thread of it. */
struct line {
	const struct process_row *row;
	const struct process_thread *thread;
	int64_t started_ns;
	bool is_leader;
};

static void put_name(const struct ps *ps, struct strbuf *out, const struct line *line)
{
	const struct process_thread *thread = line->thread;
	size_t depth = line->row->depth + (ps->threads && !line->is_leader);

	for (size_t i = 0; ps->tree && i < depth && i < 32; i++)
		strbuf_put(out, i + 1 == depth || i == 31 ? line->is_leader ? "\\_ " : "|- " : "   ");
	if (thread->kernel_thread && ps->table.form == TABLE_TEXT)
		strbuf_put_char(out, '[');
	if (thread->comm[0])
		strbuf_put_escaped(out, thread->comm, strlen(thread->comm));
	else
		strbuf_put_char(out, '?');
	if (thread->kernel_thread && ps->table.form == TABLE_TEXT)
		strbuf_put_char(out, ']');
}

static struct table_cell number(int64_t value, bool known)
{
	if (known)
		return (struct table_cell){.kind = CELL_NUMBER, .number = value};
	return (struct table_cell){.kind = CELL_UNKNOWN};
}

static struct table_cell text(const char *value)
{
	return (struct table_cell){.kind = CELL_TEXT, .text = value};
}

/* In text, what is not known is "?": "-" is a thread that is in no call. */
static void put_row(const struct ps *ps, struct strbuf *out, const struct line *line)
{
	const struct process_thread *thread = line->thread;
	const char *call = call_of(ps, thread, ps->tsc);
	bool is_text = ps->table.form == TABLE_TEXT, faint = is_text && thread->kernel_thread;
	struct table_cell cells[NR_COLUMNS] = {0};
	struct strbuf name = {0}, start = {0}, exe = {0};
	char state[2] = {state_of(thread), '\0'};

	cells[COL_PID] = number(thread->pid, true);
	cells[COL_PPID] = number(line->row->ppid, line->row->ppid >= 0);
	cells[COL_TID] = number(thread->tid, thread->tid >= 0);
	cells[COL_THREADS] = number(line->row->nr_threads, true);
	cells[COL_UID] = number(thread->uid, thread->uid_known);
	cells[COL_STATE] = text(state);
	if (call)
		cells[COL_SYSCALL] = text(call);
	if (line->started_ns >= 0) {
		if (is_text)
			time_put_date(&start, line->started_ns, ps->local);
		else
			time_put_iso(&start, line->started_ns);
		cells[COL_START] = text(start.data ? start.data : "?");
	}
	put_name(ps, &name, line);
	if (thread->comm[0] || is_text)
		cells[COL_NAME] = text(name.data ? name.data : "?");
	cells[COL_NAME].raw = thread->comm;
	strbuf_put_escaped(&exe, line->row->exe, strlen(line->row->exe));
	if (line->row->exe[0] || is_text)
		cells[COL_EXE] = text(exe.data ? exe.data : "");
	cells[COL_EXE].raw = line->row->exe;
	for (size_t i = 0; i < NR_COLUMNS && is_text; i++)
		if (cells[i].kind == CELL_UNKNOWN && i != COL_SYSCALL)
			cells[i] = text("?");
	if (faint)
		terminal_style(&ps->terminal, out, STYLE_FAINT);
	table_put_row(&ps->table, out, cells);
	if (faint)
		terminal_plain(&ps->terminal, out);
	strbuf_deinit(&name);
	strbuf_deinit(&start);
	strbuf_deinit(&exe);
}

static void put_object(const struct ps *ps, struct strbuf *out, const struct line *line)
{
	const struct process_row *row = line->row;
	const struct process_thread *leader = line->thread;
	struct call_thread thread = {.pid = leader->pid, .tid = leader->tid, .ppid = row->ppid, .exe = row->exe};
	const char *call = call_of(ps, leader, ps->tsc);

	memcpy(thread.comm, leader->comm, sizeof(thread.comm));
	strbuf_put_char(out, '{');
	output_json_thread(out, &thread);
	strbuf_printf(out, ", \"threads\": %u, \"uid\": ", row->nr_threads);
	if (leader->uid_known)
		strbuf_put_u64(out, leader->uid);
	else
		strbuf_put(out, "null");
	strbuf_printf(out, ", \"state\": \"%c\", \"syscall\": ", state_of(leader));
	if (call)
		strbuf_printf(out, "\"%s\"", call);
	else
		strbuf_put(out, "null");
	strbuf_printf(out, ", \"kernel_thread\": %s, \"start_time\": ", leader->kernel_thread ? "true" : "false");
	if (line->started_ns >= 0) {
		strbuf_put_char(out, '"');
		time_put_iso(out, line->started_ns);
		strbuf_put(out, "\"}\n");
	} else {
		strbuf_put(out, "null}\n");
	}
}

static bool put_line(const struct ps *ps, struct strbuf *out, const struct line *line)
{
	if (ps->table.form == TABLE_JSON && !ps->fields)
		put_object(ps, out, line);
	else
		put_row(ps, out, line);
	return command_write(out);
}

static bool put_process(const struct ps *ps, struct strbuf *out, const struct process_list *list,
			const struct process_row *row)
{
	struct line line = {row, &row->leader, row->started_ns, true};
	const struct process_list_thread *threads;
	size_t count;
	bool good = put_line(ps, out, &line);

	threads = process_list_threads(list, row, &count);
	for (size_t i = 0; i < count && ps->threads && good; i++) {
		if (threads[i].thread.tid == row->leader.tid)
			continue;
		line = (struct line){row, &threads[i].thread, threads[i].started_ns, false};
		good = put_line(ps, out, &line);
	}
	return good;
}

static struct vmtape_error *run(struct ps *ps, const char *path, size_t *shown)
{
	struct process_list list;
	struct strbuf line = {0};
	struct vmtape_error *error;

	terminal_begin(&ps->terminal);
	error = command_open(&ps->session, path, NULL);
	ps->tsc = UINT64_MAX;
	if (!error && ps->at)
		error = command_resolve_time(ps->at, ps->session, ps->local, &ps->tsc);
	if (error)
		return error;
	command_note_guest(ps->session);
	error = process_list_create(&list, ps->session, ps->tsc);
	if (error)
		return error;
	command_note_damage(ps->session);
	ps->table.bold = ps->terminal.color;
	if (list.count || ps->table.form == TABLE_CSV)
		table_put_head(&ps->table, &line);
	for (size_t i = 0; i < list.count; i++) {
		if (ps->user_only && list.rows[i].leader.kernel_thread)
			continue;
		++*shown;
		if (!put_process(ps, &line, &list, &list.rows[i]))
			break;
	}
	command_write(&line);
	process_list_deinit(&list);
	strbuf_deinit(&line);
	return NULL;
}

static int finish_options(struct ps *ps)
{
	if (ps->tree && ps->flat)
		return command_misused("ps", "--tree and --flat exclude each other");
	if (ps->tree && ps->table.form != TABLE_TEXT)
		return command_misused("ps", "--tree is for text; csv and json have ppid");
	ps->tree = ps->table.form == TABLE_TEXT && !ps->flat;
	if (ps->local)
		ps->columns[COL_START].title = "START";
	if (ps->threads && !ps->fields) {
		/* Behind the parent's number. */
		memmove(ps->table.chosen + COL_TID + 1, ps->table.chosen + COL_TID,
			(ps->table.nr_chosen - COL_TID) * sizeof(ps->table.chosen[0]));
		ps->table.chosen[COL_TID] = COL_TID;
		ps->table.nr_chosen++;
	}
	return ps->fields && !command_choose_fields("ps", &ps->table, ps->fields) ? STATUS_BAD : STATUS_GO_ON;
}

static int read_options(struct ps *ps, int argc, char **argv)
{
	enum {
		OPT_AT = 256,
		OPT_USER,
		OPT_THREADS,
		OPT_TREE,
		OPT_FLAT,
		OPT_FIELDS,
		OPT_FORMAT,
		OPT_COLOR,
		OPT_PAGER,
		OPT_LOCAL,
		OPT_HELP
	};
	static const struct option options[] = {
		{"at", required_argument, NULL, OPT_AT},         {"user", no_argument, NULL, OPT_USER},
		{"threads", no_argument, NULL, OPT_THREADS},     {"tree", no_argument, NULL, OPT_TREE},
		{"flat", no_argument, NULL, OPT_FLAT},           {"fields", required_argument, NULL, OPT_FIELDS},
		{"format", required_argument, NULL, OPT_FORMAT}, {"color", required_argument, NULL, OPT_COLOR},
		{"no-pager", no_argument, NULL, OPT_PAGER},      {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	int c;

	memcpy(ps->columns, columns, sizeof(columns));
	table_init(&ps->table, ps->columns, NR_COLUMNS);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_AT:
			ps->at = optarg;
			break;
		case OPT_USER:
			ps->user_only = true;
			break;
		case OPT_THREADS:
			ps->threads = true;
			break;
		case OPT_TREE:
			ps->tree = true;
			break;
		case OPT_FLAT:
			ps->flat = true;
			break;
		case OPT_FIELDS:
			ps->fields = optarg;
			break;
		case OPT_FORMAT:
			if (!table_set_form(&ps->table, optarg))
				return command_misused("ps", "format \"%s\" is none of text, csv, json", optarg);
			break;
		case OPT_COLOR:
			if (!terminal_set_color(&ps->terminal, optarg))
				return command_misused("ps", "--color \"%s\" is none of auto, always, never", optarg);
			break;
		case OPT_PAGER:
			ps->terminal.no_pager = true;
			break;
		case OPT_LOCAL:
			ps->local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("ps", argv);
		}
	}
	return finish_options(ps);
}

int cmd_ps(int argc, char **argv)
{
	struct ps ps = {0};
	struct vmtape_error *error;
	const char *path;
	size_t shown = 0;
	int status = read_options(&ps, argc, argv);

	if (status != STATUS_GO_ON)
		return status;
	path = command_operand("ps", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = run(&ps, path, &shown);
	status = error ? command_failed(error) : command_finish(shown ? STATUS_DONE : STATUS_NOTHING);
	session_close(ps.session);
	return status;
}
