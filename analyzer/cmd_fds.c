/* SPDX-License-Identifier: MIT */
/* vmtape fds - what the guest's processes had open at a time. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_fd_text.h"
#include "call_report.h"
#include "command.h"
#include "process_fds.h"
#include "process_moment.h"

enum fds_format { FDS_TEXT, FDS_JSON, FDS_CSV };

struct fds {
	const char *at;
	int64_t pid; /* -1: all */
	bool local;
	enum fds_format format;
	struct session *session;
	struct strbuf line;
	const struct process_thread *process;
	size_t shown;
	bool stopped;
};

static const char help[] =
	"Usage: vmtape fds TAPE [OPTION]...\n"
	"Show the working directory and the open files of each process at a time, as lsof in the guest would have.\n\n"
	"      --at TIME         HH:MM:SS[.frac], +SECONDS from the start, ISO 8601; default: the end of the tape\n"
	"      --pid PID         of this process only\n"
	"      --format FORMAT   text (default), json: one object a line, csv\n"
	"      --local           the times of --at are in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"FL: c closed on exec, ? may be another, or called otherwise, by now: vmtape-fds(1). Descriptors of which "
	"nothing is "
	"known are left "
	"out.\n"
	"Exit status: 0 done, 1 nothing is known to be open, 2 bad usage or bad input.\n";

static void put_comm(struct strbuf *out, const struct process_thread *process, bool json)
{
	if (json)
		strbuf_put_json(out, process->comm, strlen(process->comm));
	else
		strbuf_put_escaped(out, process->comm, strlen(process->comm));
}

/* what: "cwd", or the descriptor's number. */
static void put_text(struct fds *f, const char *what, const struct process_fd *fd, const char *type, const char *name,
		     size_t name_len)
{
	struct strbuf comm = {0};

	put_comm(&comm, f->process, false);
	strbuf_printf(&f->line, "%7" PRId32 " %-15s %5s %c%c %-9s ", f->process->pid, comm.data ? comm.data : "?", what,
		      fd->cloexec ? 'c' : ' ', fd->uncertain ? '?' : ' ', type);
	strbuf_put_escaped(&f->line, name, name_len);
	strbuf_put_char(&f->line, '\n');
	strbuf_deinit(&comm);
}

static void put_row(struct fds *f, const char *what, const struct process_fd *fd, const char *type, const char *name,
		    size_t name_len)
{
	strbuf_printf(&f->line, "%" PRId32 ",", f->process->pid);
	report_put_csv(&f->line, f->process->comm, strlen(f->process->comm));
	strbuf_printf(&f->line, ",%s,%d,%d,%s,", what, fd->cloexec, fd->uncertain, type);
	report_put_csv(&f->line, name, name_len);
	strbuf_put_char(&f->line, '\n');
}

static void put_object(struct fds *f, const struct process_fd *fd, const char *cwd)
{
	strbuf_printf(&f->line, "{\"pid\": %" PRId32 ", \"process\": \"", f->process->pid);
	put_comm(&f->line, f->process, true);
	if (cwd) {
		strbuf_put(&f->line, "\", \"cwd\": \"");
		strbuf_put_json(&f->line, cwd, strlen(cwd));
		strbuf_put_char(&f->line, '"');
	} else {
		strbuf_printf(&f->line, "\", \"num\": %" PRId32 ", ", fd->fd);
		fd_object_put_json(fd->object, &f->line);
		strbuf_printf(&f->line, ", \"cloexec\": %s", fd->cloexec ? "true" : "false");
	}
	strbuf_put(&f->line, fd->uncertain ? ", \"uncertain\": true}\n" : "}\n");
}

static void show(struct fds *f, const struct process_fd *fd, const char *cwd)
{
	const char *type = cwd ? "directory" : fd_object_type(fd->object), *protocol = NULL;
	struct strbuf name = {0};
	char what[16] = "cwd";

	if (f->stopped)
		return;
	if (!cwd) {
		snprintf(what, sizeof(what), "%" PRId32, fd->fd);
		fd_object_put_name(fd->object, &name);
		protocol = fd_object_protocol(fd->object);
	} else {
		strbuf_put(&name, cwd);
	}
	if (protocol)
		type = protocol;
	if (f->format == FDS_JSON)
		put_object(f, fd, cwd);
	else if (f->format == FDS_CSV)
		put_row(f, what, fd, type ? type : "", name.data ? name.data : "", name.len);
	else
		put_text(f, what, fd, type ? type : "?", name.data ? name.data : "", name.len);
	strbuf_deinit(&name);
	f->shown++;
	f->stopped = !command_write(&f->line);
}

static void show_fd(void *ctx, const struct process_fd *fd)
{
	show(ctx, fd, NULL);
}

static void show_process(struct fds *f, const struct processes *processes)
{
	struct process_fd place = {.fd = -1};
	const char *cwd = process_fds_cwd(processes, f->process->tid, &place.uncertain);

	if (cwd[0])
		show(f, &place, cwd);
	process_fds_each(processes, f->process->tid, show_fd, f);
}

static struct vmtape_error *run(struct fds *f, const char *path)
{
	struct tracker_sink sink = {0};
	const struct process_thread **threads;
	struct tracker *moment;
	uint64_t tsc = UINT64_MAX;
	size_t count;
	struct vmtape_error *error = command_open(&f->session, path, NULL);

	if (!error && f->at)
		error = command_resolve_time(f->at, f->session, f->local, &tsc);
	if (error)
		return error;
	command_note_guest(f->session);
	error = process_moment_create(&moment, f->session, &sink, tsc);
	if (error)
		return error;
	error = process_moment_processes(moment, &threads, &count);
	if (!error && f->format == FDS_TEXT)
		strbuf_printf(&f->line, "%7s %-15s %5s %s %-9s %s\n", "PID", "PROCESS", "FD", "FL", "TYPE", "NAME");
	else if (!error && f->format == FDS_CSV)
		strbuf_put(&f->line, "pid,process,fd,cloexec,uncertain,type,name\n");
	for (size_t i = 0; !error && i < count; i++) {
		f->process = threads[i];
		if (f->pid < 0 || f->process->pid == f->pid)
			show_process(f, tracker_processes(moment));
	}
	if (!error)
		free(threads);
	tracker_destroy(moment);
	return error;
}

static bool read_pid(struct fds *f, const char *text)
{
	char *end;

	errno = 0;
	f->pid = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && f->pid <= INT32_MAX;
}

int cmd_fds(int argc, char **argv)
{
	enum { OPT_AT = 256, OPT_PID, OPT_FORMAT, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"at", required_argument, NULL, OPT_AT},         {"pid", required_argument, NULL, OPT_PID},
		{"format", required_argument, NULL, OPT_FORMAT}, {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	struct fds f = {.pid = -1};
	struct vmtape_error *error;
	const char *path;
	int status, c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_AT:
			f.at = optarg;
			break;
		case OPT_PID:
			if (!read_pid(&f, optarg))
				return command_misused("fds", "--pid \"%s\" is no process id", optarg);
			break;
		case OPT_FORMAT:
			f.format = !strcmp(optarg, "json") ? FDS_JSON : !strcmp(optarg, "csv") ? FDS_CSV : FDS_TEXT;
			if (f.format == FDS_TEXT && strcmp(optarg, "text"))
				return command_misused("fds", "format \"%s\" is none of text, json, csv", optarg);
			break;
		case OPT_LOCAL:
			f.local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("fds", argv);
		}
	}
	path = command_operand("fds", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	error = run(&f, path);
	status = error ? command_failed(error) : command_finish(f.shown ? STATUS_DONE : STATUS_NOTHING);
	strbuf_deinit(&f.line);
	session_close(f.session);
	return status;
}
