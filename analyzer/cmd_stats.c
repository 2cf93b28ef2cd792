/* SPDX-License-Identifier: MIT */
/* vmtape stats - counts, errors and latencies by system call, process or vCPU. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_stream.h"
#include "command.h"
#include "filter.h"
#include "histogram.h"
#include "linux/arg_decode.h"
#include "output/output.h"
#include "u64_map.h"

#define MAX_GROUPS 65536u /* a tape may name more processes than that; the rest are counted together */

enum grouping {
	BY_SYSCALL,
	BY_PROCESS,
	BY_VCPU,
};

struct group {
	char *name;
	char comm[16 + 1]; /* by process: the name that it bears now */
	uint64_t count, errors;
	struct histogram latency;
};

struct stats {
	enum grouping by;
	bool json, local;
	const char *filter_text;
	struct command_span span;
	struct session *session;
	struct filter *filter;
	struct u64_map index;
	struct group **groups;
	size_t nr_groups, room;
	uint64_t lost_records;
};

static const char help[] =
	"Usage: vmtape stats TAPE [OPTION]...\n"
	"Count system calls and their errors, and tell how long they took.\n\n"
	"      --by WHAT         syscall (default), process or vcpu\n"
	"  -f, --filter FILTER   only calls that match, as in vmtape events\n"
	"      --from TIME       entered at TIME or later\n"
	"      --to TIME         entered before TIME\n"
	"      --format FORMAT   text (default) or json: one object a line\n"
	"      --local           times of the options are local time, not UTC\n"
	"      --help            this text\n\n"
	"Percentiles are right to 1/16. Exit status: 0 done, 1 no call matched, 2 bad usage or bad input.\n";

static int read_options(struct stats *s, int argc, char **argv)
{
	enum { OPT_BY = 256, OPT_FROM, OPT_TO, OPT_FORMAT, OPT_LOCAL, OPT_HELP };
	static const struct option options[] = {
		{"by", required_argument, NULL, OPT_BY},         {"filter", required_argument, NULL, 'f'},
		{"from", required_argument, NULL, OPT_FROM},     {"to", required_argument, NULL, OPT_TO},
		{"format", required_argument, NULL, OPT_FORMAT}, {"local", no_argument, NULL, OPT_LOCAL},
		{"help", no_argument, NULL, OPT_HELP},           {0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (c) {
		case OPT_BY:
			if (!strcmp(optarg, "syscall"))
				s->by = BY_SYSCALL;
			else if (!strcmp(optarg, "process"))
				s->by = BY_PROCESS;
			else if (!strcmp(optarg, "vcpu"))
				s->by = BY_VCPU;
			else
				return command_misused("stats", "--by \"%s\" is none of syscall, process, vcpu",
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
		case OPT_FORMAT:
			s->json = !strcmp(optarg, "json");
			if (!s->json && strcmp(optarg, "text"))
				return command_misused("stats", "format \"%s\" is none of text, json", optarg);
			break;
		case OPT_LOCAL:
			s->local = true;
			break;
		case OPT_HELP:
			fputs(help, stdout);
			return command_finish(STATUS_DONE);
		default:
			return command_bad_option("stats", argv);
		}
	}
	return STATUS_GO_ON;
}

/* ---- counting -------------------------------------------------------- */

static uint64_t key_of(const struct stats *s, const struct call *call)
{
	switch (s->by) {
	case BY_SYSCALL:
		return call->nr_known ? (uint64_t)call->abi << 32 | call->nr : UINT64_MAX;
	case BY_PROCESS:
		return (uint64_t)(int64_t)call->thread.pid;
	default:
		return call->vcpu;
	}
}

static void put_name(const struct stats *s, const struct call *call, struct strbuf *out)
{
	char buffer[32];

	switch (s->by) {
	case BY_SYSCALL:
		strbuf_put(out, call_shown_name(call, buffer, sizeof(buffer)));
		if (call->abi != TRAP_ABI_X86_64)
			strbuf_printf(out, "/%s", output_abi_name(call->abi));
		break;
	case BY_PROCESS: {
		/* Threads have names of their own; the process is what they share. */
		struct call_thread thread = call->thread;

		thread.tid = thread.pid;
		thread.uncertain = false;
		output_put_thread(out, &thread, 0);
		break;
	}
	default:
		strbuf_printf(out, "vCPU %u", call->vcpu);
		break;
	}
}

static struct group *new_group(struct stats *s, const char *name)
{
	struct group *group = calloc(1, sizeof(*group));

	if (s->nr_groups == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		struct group **groups = realloc(s->groups, room * sizeof(*groups));

		if (!groups) {
			free(group);
			return NULL;
		}
		s->groups = groups;
		s->room = room;
	}
	if (!group)
		return NULL;
	group->name = strdup(name);
	if (!group->name) {
		free(group);
		return NULL;
	}
	s->groups[s->nr_groups++] = group;
	return group;
}

/* A process is shown by its last name: it is forked under its parent's. */
static void rename_group(const struct stats *s, struct group *group, const struct call *call)
{
	struct strbuf name = {0};
	char *copy;

	if (call->thread.tid != call->thread.pid || !strcmp(group->comm, call->thread.comm))
		return;
	memcpy(group->comm, call->thread.comm, sizeof(group->comm));
	put_name(s, call, &name);
	copy = strdup(name.data ? name.data : "?");
	strbuf_deinit(&name);
	if (!copy)
		return;
	free(group->name);
	group->name = copy;
}

static struct vmtape_error *count(struct stats *s, const struct call *call)
{
	struct strbuf name = {0};
	struct group *group;
	uint64_t key = key_of(s, call), at;

	if (u64_map_get(&s->index, key, &at)) {
		group = s->groups[at];
	} else if (s->nr_groups == MAX_GROUPS + 1) {
		group = s->groups[MAX_GROUPS];
	} else {
		put_name(s, call, &name);
		group = new_group(s, s->nr_groups == MAX_GROUPS ? "(others)" : name.data ? name.data : "?");
		strbuf_deinit(&name);
		if (!group)
			return &vmtape_error_no_memory;
		if (s->nr_groups <= MAX_GROUPS && !u64_map_set(&s->index, key, s->nr_groups - 1))
			return &vmtape_error_no_memory;
	}
	if (s->by == BY_PROCESS && call->thread.pid >= 0 &&
	    (s->nr_groups <= MAX_GROUPS || group != s->groups[MAX_GROUPS]))
		rename_group(s, group, call);
	group->count++;
	group->errors += call_error_name(call) != NULL;
	if (call->duration_ns >= 0)
		histogram_add(&group->latency, (uint64_t)call->duration_ns);
	return NULL;
}

static struct vmtape_error *count_all(struct stats *s)
{
	struct call_stream_options options = {
		.from_tsc = s->span.from_tsc, .to_tsc = s->span.to_tsc, .fds = filter_needs_fds(s->filter)};
	struct call_stream_stats stats;
	struct call_stream *stream;
	struct call_item item;
	struct progress progress;
	struct vmtape_error *error = call_stream_create(&stream, s->session, &options);
	bool more = true;

	if (error)
		return error;
	progress_start(&progress, "stats", session_info(s->session)->nr_records);
	while (!error) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		if (item.is_gap)
			s->lost_records += item.gap.lost_records;
		else if (filter_match(s->filter, &item.call, 0))
			error = count(s, &item.call);
		call_stream_get_stats(stream, &stats);
		progress_show(&progress, stats.records);
	}
	progress_end(&progress);
	call_stream_destroy(stream);
	return error;
}

/* ---- output ---------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* "12.3 us": three digits, as more would not be right. */
static void put_span(struct strbuf *out, uint64_t ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	double value = (double)ns;
	char text[32];
	int unit = 0;

	while (value >= 999.5 && unit < 3) {
		value /= 1000;
		unit++;
	}
	snprintf(text, sizeof(text), "%.*f %s",
		 unit == 0 || value >= 99.95 ? 0
		 : value >= 9.995            ? 1
					     : 2,
		 value, units[unit]);
	strbuf_printf(out, "%9s", text);
}

static void put_row(struct strbuf *out, const struct group *g)
{
	strbuf_printf(out, "%10" PRIu64 " %8" PRIu64 " ", g->count, g->errors);
	if (!g->latency.count) {
		strbuf_printf(out, "%9s %9s %9s %9s %9s", "-", "-", "-", "-", "-");
	} else {
		put_span(out, g->latency.total);
		strbuf_put_char(out, ' ');
		put_span(out, histogram_percentile(&g->latency, 0.5));
		strbuf_put_char(out, ' ');
		put_span(out, histogram_percentile(&g->latency, 0.9));
		strbuf_put_char(out, ' ');
		put_span(out, histogram_percentile(&g->latency, 0.99));
		strbuf_put_char(out, ' ');
		put_span(out, g->latency.max);
	}
	strbuf_printf(out, "  %s\n", g->name);
}

static void put_object(struct strbuf *out, const struct group *g)
{
	strbuf_put(out, "{\"name\": \"");
	strbuf_put_json(out, g->name, strlen(g->name));
	strbuf_printf(out, "\", \"count\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"measured\": %" PRIu64, g->count,
		      g->errors, g->latency.count);
	strbuf_printf(out,
		      ", \"total_ns\": %" PRIu64 ", \"p50_ns\": %" PRIu64 ", \"p90_ns\": %" PRIu64
		      ", \"p99_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 "}\n",
		      g->latency.total, histogram_percentile(&g->latency, 0.5), histogram_percentile(&g->latency, 0.9),
		      histogram_percentile(&g->latency, 0.99), g->latency.max);
}

static void print(struct stats *s)
{
	struct strbuf line = {0};

	if (s->nr_groups)
		qsort(s->groups, s->nr_groups, sizeof(struct group *), by_count);
	if (!s->json)
		strbuf_printf(&line, "%10s %8s %9s %9s %9s %9s %9s  %s\n", "COUNT", "ERRORS", "TOTAL", "P50", "P90",
			      "P99", "MAX", "NAME");
	for (size_t i = 0; i < s->nr_groups; i++) {
		if (s->json)
			put_object(&line, s->groups[i]);
		else
			put_row(&line, s->groups[i]);
		if (!command_write(&line))
			break;
	}
	if (s->lost_records && !s->json) {
		strbuf_printf(&line, "%" PRIu64 " records were lost; what they told of is missing here.\n",
			      s->lost_records);
		command_write(&line);
	}
	strbuf_deinit(&line);
}

static struct vmtape_error *run(struct stats *s, const char *path)
{
	struct filter_times times = {.local = s->local};
	struct vmtape_error *error = command_open(&s->session, path, NULL);

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
	return count_all(s);
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
	if (error) {
		status = command_failed(error);
	} else {
		print(&s);
		status = command_finish(s.nr_groups ? STATUS_DONE : STATUS_NOTHING);
	}
	for (size_t i = 0; i < s.nr_groups; i++) {
		free(s.groups[i]->name);
		free(s.groups[i]);
	}
	free(s.groups);
	u64_map_deinit(&s.index);
	filter_destroy(s.filter);
	session_close(s.session);
	return status;
}
