/* SPDX-License-Identifier: MIT */
/* vmtape maps - a process's memory regions at a time. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_report.h"
#include "command.h"
#include "process_maps.h"

struct maps {
	const char *at;
	int64_t pid; /* -1: not given */
	bool local;
	enum report_format format;
	struct session *session;
	struct strbuf line;
};

static const char help[] =
	"Usage: vmtape maps TAPE --pid PID [OPTION]...\n"
	"Show a process's memory regions at a time, as /proc/PID/maps in the guest would have: those of the last "
	"snapshot\n"
	"before it, and what mmap, munmap, mprotect, mremap and brk have changed since.\n\n"
	"      --pid PID         of this process\n"
	"      --at TIME         HH:MM:SS[.frac], +SECONDS from the start, ISO 8601; default: the end of the tape\n"
	"      --format FORMAT   text (default), json: one object a line, csv\n"
	"      --local           the time of --at is in the local time zone, not UTC\n"
	"      --help            this text\n\n"
	"? behind a region: its file, or it itself, is not sure, as records were lost.\n"
	"Exit status: 0 done, 1 nothing is known of the process's memory then, 2 bad usage or bad input.\n";

static const char *permissions_text(uint8_t permissions, char out[5])
{
	out[0] = permissions & MAP_READ ? 'r' : '-';
	out[1] = permissions & MAP_WRITE ? 'w' : '-';
	out[2] = permissions & MAP_EXEC ? 'x' : '-';
	out[3] = permissions & MAP_IS_SHARED ? 's' : 'p';
	out[4] = '\0';
	return out;
}

static void put(struct maps *m, const struct map_region *region, bool uncertain)
{
	char permissions[5];
	const char *name = region->file ? region->file : region->what;
	struct strbuf *out = &m->line;

	permissions_text(region->permissions, permissions);
	uncertain |= region->uncertain;
	if (m->format == REPORT_JSON) {
		strbuf_printf(out,
			      "{\"start\": \"0x%" PRIx64 "\", \"end\": \"0x%" PRIx64 "\", \"permissions\": \"%s\", "
			      "\"offset\": \"0x%" PRIx64 "\", \"file\": ",
			      region->start, region->end, permissions, region->offset_bytes);
		if (region->file)
			report_put_json(out, region->file, strlen(region->file));
		else
			strbuf_put(out, "null");
		if (region->what[0])
			strbuf_printf(out, ", \"what\": \"%s\"", region->what);
		strbuf_put(out, uncertain ? ", \"uncertain\": true}\n" : "}\n");
	} else if (m->format == REPORT_CSV) {
		strbuf_printf(out, "0x%" PRIx64 ",0x%" PRIx64 ",%s,0x%" PRIx64 ",%d,", region->start, region->end,
			      permissions, region->offset_bytes, uncertain);
		report_put_csv(out, name, strlen(name));
		strbuf_put_char(out, '\n');
	} else {
		strbuf_printf(out, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " %s", region->start, region->end,
			      permissions, region->offset_bytes, uncertain ? "? " : "");
		strbuf_put_escaped(out, name, strlen(name));
		strbuf_put_char(out, '\n');
	}
}

static struct vmtape_error *run(struct maps *m, const char *path, bool *known)
{
	uint64_t tsc = UINT64_MAX;
	struct process_maps maps;
	struct vmtape_error *error = command_open(&m->session, path, NULL);

	if (!error && m->at)
		error = command_resolve_time(m->at, m->session, m->local, &tsc);
	if (error)
		return error;
	command_note_guest(m->session);
	error = process_maps_create(&maps, m->session, (int32_t)m->pid, tsc);
	if (error)
		return error;
	*known = maps.known && maps.count;
	if (m->format == REPORT_CSV)
		strbuf_put(&m->line, "start,end,permissions,offset,uncertain,name\n");
	for (size_t i = 0; i < maps.count; i++) {
		put(m, &maps.regions[i], maps.uncertain);
		if (!command_write(&m->line))
			break;
	}
	if (maps.partial && *known)
		fprintf(stderr, "vmtape: no snapshot before that time shows this program: there was more than this\n");
	process_maps_deinit(&maps);
	return NULL;
}

static bool read_pid(struct maps *m, const char *text)
{
	char *end;

	errno = 0;
	m->pid = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && m->pid <= INT32_MAX;
}

int cmd_maps(int argc, char **argv)
{
	enum { OPT_AT = 256, OPT_PID, OPT_FORMAT, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"at", required_argument, NULL, OPT_AT},         {"pid", required_argument, NULL, OPT_PID},
		{"format", required_argument, NULL, OPT_FORMAT}, {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	struct maps m = {.pid = -1};
	struct vmtape_error *error;
	const char *path;
	bool known = false;
	int status, c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_AT:
			m.at = optarg;
			break;
		case OPT_PID:
			if (!read_pid(&m, optarg))
				return command_misused("maps", "--pid \"%s\" is no process id", optarg);
			break;
		case OPT_FORMAT:
			m.format = !strcmp(optarg, "json")  ? REPORT_JSON
				   : !strcmp(optarg, "csv") ? REPORT_CSV
							    : REPORT_TEXT;
			if (m.format == REPORT_TEXT && strcmp(optarg, "text"))
				return command_misused("maps", "format \"%s\" is none of text, json, csv", optarg);
			break;
		case OPT_LOCAL:
			m.local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("maps", argv);
		}
	}
	path = command_operand("maps", argc, argv, "tape");
	if (!path)
		return STATUS_BAD;
	if (m.pid < 0)
		return command_misused("maps", "--pid is missing: whose memory?");
	error = run(&m, path, &known);
	status = error ? command_failed(error) : command_finish(known ? STATUS_DONE : STATUS_NOTHING);
	strbuf_deinit(&m.line);
	session_close(m.session);
	return status;
}
