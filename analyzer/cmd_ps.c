/* SPDX-License-Identifier: MIT */
/* vmtape ps - the guest's processes at a time, as a tree. */
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "output/output.h"
#include "process_list.h"

struct ps {
	const char *at;
	bool json, local, user_only;
	struct session *session;
};

static const char help[] =
	"Usage: vmtape ps TAPE [OPTION]...\n"
	"Show the processes that the guest had at a time, as ps in the guest would have shown them then.\n\n"
	"      --at TIME         HH:MM:SS[.frac], +SECONDS from the start, ISO 8601; default: the end of the tape\n"
	"      --user            no kernel threads\n"
	"      --format FORMAT   text (default) or json: one object a line\n"
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

static void put_number(struct strbuf *out, int width, bool known, int64_t value)
{
	if (known)
		strbuf_printf(out, "%*" PRId64 " ", width, value);
	else
		strbuf_printf(out, "%*s ", width, "?");
}

static void put_row(const struct ps *ps, struct strbuf *out, const struct process_row *row, uint64_t tsc)
{
	const struct process_thread *leader = &row->leader;
	const char *call = call_of(ps, leader, tsc);

	put_number(out, 7, true, leader->pid);
	put_number(out, 7, row->ppid >= 0, row->ppid);
	put_number(out, 4, true, row->nr_threads);
	put_number(out, 5, leader->uid_known, leader->uid);
	strbuf_printf(out, "%c %-16.16s ", state_of(leader), call ? call : "-");
	if (row->started_ns >= 0)
		time_put_date(out, row->started_ns, ps->local);
	else
		strbuf_printf(out, "%-23s", "?");
	strbuf_put_char(out, ' ');
	for (size_t i = 0; i < row->depth && i < 32; i++)
		strbuf_put(out, i + 1 == row->depth || i == 31 ? "\\_ " : "   ");
	if (leader->kernel_thread)
		strbuf_put_char(out, '[');
	if (leader->comm[0])
		strbuf_put_escaped(out, leader->comm, strlen(leader->comm));
	else
		strbuf_put_char(out, '?');
	if (leader->kernel_thread)
		strbuf_put_char(out, ']');
	if (row->exe[0]) {
		strbuf_put(out, "  ");
		strbuf_put_escaped(out, row->exe, strlen(row->exe));
	}
	strbuf_put_char(out, '\n');
}

static void put_object(const struct ps *ps, struct strbuf *out, const struct process_row *row, uint64_t tsc)
{
	const struct process_thread *leader = &row->leader;
	struct call_thread thread = {.pid = leader->pid, .tid = leader->tid, .ppid = row->ppid, .exe = row->exe};
	const char *call = call_of(ps, leader, tsc);

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
	if (row->started_ns >= 0) {
		strbuf_put_char(out, '"');
		time_put_iso(out, row->started_ns);
		strbuf_put(out, "\"}\n");
	} else {
		strbuf_put(out, "null}\n");
	}
}

static struct vmtape_error *run(struct ps *ps, const char *path, size_t *shown)
{
	uint64_t tsc = UINT64_MAX;
	struct process_list list;
	struct strbuf line = {0};
	struct vmtape_error *error = command_open(&ps->session, path, NULL);

	if (!error && ps->at)
		error = command_resolve_time(ps->at, ps->session, ps->local, &tsc);
	if (error)
		return error;
	command_note_guest(ps->session);
	error = process_list_create(&list, ps->session, tsc);
	if (error)
		return error;
	if (!ps->json && list.count)
		strbuf_printf(&line, "%7s %7s %4s %5s S %-16s %-23s %s\n", "PID", "PPID", "THR", "UID", "IN",
			      ps->local ? "START" : "START (UTC)", "NAME  EXE");
	for (size_t i = 0; i < list.count; i++) {
		if (ps->user_only && list.rows[i].leader.kernel_thread)
			continue;
		++*shown;
		if (ps->json)
			put_object(ps, &line, &list.rows[i], tsc);
		else
			put_row(ps, &line, &list.rows[i], tsc);
		if (!command_write(&line))
			break;
	}
	process_list_deinit(&list);
	strbuf_deinit(&line);
	return NULL;
}

int cmd_ps(int argc, char **argv)
{
	enum { OPT_AT = 256, OPT_USER, OPT_FORMAT, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"at", required_argument, NULL, OPT_AT},         {"user", no_argument, NULL, OPT_USER},
		{"format", required_argument, NULL, OPT_FORMAT}, {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	struct ps ps = {0};
	struct vmtape_error *error;
	const char *path;
	size_t shown = 0;
	int status, c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_AT:
			ps.at = optarg;
			break;
		case OPT_USER:
			ps.user_only = true;
			break;
		case OPT_FORMAT:
			ps.json = !strcmp(optarg, "json");
			if (!ps.json && strcmp(optarg, "text"))
				return command_misused("ps", "format \"%s\" is none of text, json", optarg);
			break;
		case OPT_LOCAL:
			ps.local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("ps", argv);
		}
	}
	path = command_operand("ps", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = run(&ps, path, &shown);
	status = error ? command_failed(error) : command_finish(shown ? STATUS_DONE : STATUS_NOTHING);
	session_close(ps.session);
	return status;
}
