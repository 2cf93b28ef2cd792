/* SPDX-License-Identifier: MIT */
/* vmtape verify - every checksum, index and sequence of a tape. */
#include <inttypes.h>
#include <string.h>

#include "command.h"

static const char help[] =
	"Usage: vmtape verify TAPE [OPTION]...\n"
	"Read the whole tape and check every checksum, index and sequence.\n\n"
	"  -q, --quiet   no summary; the exit status tells\n"
	"      --help    this text\n\n"
	"A tape whose recorder was killed, or is still at work, is sound up to where it ends: status 0, and said so.\n"
	"Exit status: 0 sound, 1 damaged, 2 bad usage, or not a tape.\n";

struct verification {
	const char *path;
	struct strbuf line;
	uint64_t notices;
};

/* How the reader begins a problem that a killed recorder leaves, and nothing worse. */
static const char cut_off[] = "cut off: ";

static void report(void *ctx, uint64_t offset, const char *message)
{
	struct verification *v = ctx;

	v->notices += !strncmp(message, cut_off, strlen(cut_off));
	strbuf_put(&v->line, v->path);
	strbuf_put(&v->line, ": ");
	if (offset != TAPE_NO_OFFSET)
		strbuf_printf(&v->line, "offset %" PRIu64 ": ", offset);
	strbuf_put_escaped(&v->line, message, strlen(message));
	strbuf_put_char(&v->line, '\n');
	command_write(&v->line);
}

static void summarise(const struct tape_info *info, uint64_t problems, struct strbuf *line)
{
	strbuf_printf(
		line, "%" PRIu64 " record%s on %u vCPU%s, %u snapshot%s, %u plan%s in %u slot%s, %" PRIu64 " bytes: ",
		info->nr_records, info->nr_records == 1 ? "" : "s", info->nr_vcpus, info->nr_vcpus == 1 ? "" : "s",
		info->nr_snapshots, info->nr_snapshots == 1 ? "" : "s", info->nr_plans, info->nr_plans == 1 ? "" : "s",
		info->nr_slots, info->nr_slots == 1 ? "" : "s", info->size_bytes);
	if (problems)
		strbuf_printf(line, "%" PRIu64 " problem%s\n", problems, problems == 1 ? "" : "s");
	else if (info->finished)
		strbuf_put(line, "sound\n");
	else
		strbuf_put(line, "sound as far as it goes, but it has no end: the recorder was killed, or is still "
				 "writing\n");
	command_write(line);
}

int cmd_verify(int argc, char **argv)
{
	static const struct option options[] = {
		{"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct verification v = {0};
	struct session *session;
	struct vmtape_error *error;
	uint64_t problems;
	bool quiet = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "q", options, NULL)) != -1) {
		switch (c) {
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("verify", argv);
		}
	}
	v.path = command_operand("verify", argc, argv, "tape");
	if (!v.path)
		return STATUS_BAD;
	error = session_open(&session, v.path, NULL);
	if (error)
		return command_failed(error);
	problems = tape_reader_verify(session_reader(session), report, &v);
	problems -= problems < v.notices ? problems : v.notices;
	if (!quiet)
		summarise(session_info(session), problems, &v.line);
	strbuf_deinit(&v.line);
	session_close(session);
	return command_finish(problems ? STATUS_NOTHING : STATUS_DONE);
}
