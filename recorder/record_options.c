/* SPDX-License-Identifier: MIT */
#include "record_options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"
#include "level_policy.h"
#include "tape.h"
#include "tape_series.h"
#include "trap_abi.h"

#define TRIGGER_REST_MS 10000

static const char usage[] =
	"Usage: vmtape-record --connect SOCKET -o OUT.vmt [OPTION]...\n"
	"Record the system calls and the memory of a running VM to a tape.\n"
	"\n"
	"  --connect SOCKET         UNIX socket of the VM's vmtape-recorder object\n"
	"  -o, --output OUT.vmt     the tape; must not exist yet\n"
	"      --force              overwrite OUT.vmt\n"
	"  --ring-size SIZE         a tape of this size (32M or more) that never grows: the\n"
	"                           oldest events are overwritten, the others stay readable\n"
	"  --plan auto|generic|none|FILE\n"
	"                           what memory to take at each trap: found out from the\n"
	"                           guest (auto, the default), 64 bytes at each argument,\n"
	"                           registers only, or a plan as `vmtape plan --binary`\n"
	"                           writes it\n"
	"  --filter EXPR            record only these calls, by evt.type, evt.abi, evt.dir, as\n"
	"                           'evt.type in (openat, execve)', once the guest is known\n"
	"  --on-full drop|block     when the disk is too slow: lose events, and count and\n"
	"                           place them (drop, the default), or let the guest wait\n"
	"  --on-disk-full wait|stop when there is no room for the tape: wait for it, and go on\n"
	"                           then (the default), or end the recording\n"
	"  --block-limit TIME       longest wait of the guest at a time (default 1s)\n"
	"  --ring-bytes SIZE        buffer of each vCPU, a power of two (default 8M)\n"
	"  --snapshot-interval TIME memory snapshots (default 10s)\n"
	"  --no-snapshots           record no memory; names cannot be found then\n"
	"  --duration TIME          stop by itself\n"
	"  --flush TIME             what is older is in the file, whatever happens (default 1s)\n"
	"  --level auto|N           zstd level: as high as the load permits (auto, the default),\n"
	"                           or 1 to 19\n"
	"  --cpus LIST              run on these CPUs only, such as 0,2-3\n"
	"  --sign-key KEY.pem       sign what is recorded with this Ed25519 key, at least each\n"
	"                           second (see docs/evidence.md)\n"
	"  --max-size SIZE          end when the tape has this size\n"
	"  --max-age TIME           end when the tape is as old as that\n"
	"  --rotate                 go on in the next tape instead; -o then has a time in its\n"
	"                           name, as vm-%Y%m%dT%H%M%SZ.vmt\n"
	"  --keep N                 with --rotate: remove the oldest tapes of this VM, so that\n"
	"                           N are left\n"
	"  --keep-size SIZE         the same, so that they have this size together\n"
	"  --on-trigger freeze|copy[:PATTERN]\n"
	"                           what a trigger does (SIGUSR1, SIGUSR2, --send): end the tape,\n"
	"                           or copy it, as it is then, to a file with the time in its name\n"
	"  --trigger-after TIME     record on for so long first (default 0)\n"
	"  --trigger-when FILTER    a call that matches is a trigger, too: a filter as of\n"
	"                           `vmtape events`, as 'proc.name = sshd and evt.type = execve'\n"
	"  --trigger-rest TIME      a trigger by a call takes in those of so long after it\n"
	"                           (default 10s)\n"
	"  --control SOCKET         take commands there\n"
	"  --note TEXT              kept in the tape, for who reads it\n"
	"  --start-reason TEXT      why it is recorded, kept in the tape\n"
	"  --metrics PATH           figures for Prometheus: a file, replaced once a second, or\n"
	"                           unix:SOCKET, served by HTTP\n"
	"  --quiet                  only errors and the summary\n"
	"  --help, --version\n"
	"\n"
	"TIME is a number and ms, s, m or h; SIZE a number and K, M or G.\n"
	"SIGINT or SIGTERM ends the recording in good order, a second one at once;\n"
	"SIGUSR1 takes a snapshot now (with --on-trigger: it is a trigger).\n"
	"\n"
	"       vmtape-record --send SOCKET COMMAND\n"
	"Send a command to a recorder's --control socket, and print its answer: status, snapshot,\n"
	"rotate, stop [TEXT], note TEXT, trigger [TEXT]. Exit status: 0 done, 1 refused.\n"
	"\n"
	"Exit status: 0 recorded, 2 bad usage or an error.\n";

static int parse_number(const char *text, uint64_t *out, const char **unit)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	*unit = end;
	return 0;
}

static int scale(uint64_t *value, uint64_t factor)
{
	return __builtin_mul_overflow(*value, factor, value) ? -ERANGE : 0;
}

int parse_duration_ms(const char *text, uint64_t bare_unit_ms, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}};
	const char *unit;
	int ret = parse_number(text, out, &unit);

	if (ret)
		return ret;
	if (!*unit)
		return scale(out, bare_unit_ms);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].unit))
			return scale(out, units[i].ms);
	return -EINVAL;
}

int parse_size_bytes(const char *text, uint64_t *out)
{
	static const char letters[] = "KMG";
	const char *unit, *letter;
	int ret = parse_number(text, out, &unit);

	if (ret || !*unit)
		return ret;
	letter = strchr(letters, toupper((unsigned char)*unit));
	if (!letter)
		return -EINVAL;
	unit++;
	if (strcmp(unit, "") && strcmp(unit, "B") && strcmp(unit, "iB"))
		return -EINVAL;
	return scale(out, 1ull << (10 * (letter - letters + 1)));
}

struct parser {
	struct record_options *out;
	struct record_error *error;
};

static int get_duration(const struct parser *parser, const char *option, const char *text, uint64_t bare_unit_ms,
			uint64_t min_ms, uint64_t max_ms, uint64_t *out)
{
	if (parse_duration_ms(text, bare_unit_ms, out) || *out < min_ms || *out > max_ms)
		return record_error_set(parser->error, -EINVAL,
					"--%s %s: want a time from %llums to %llus, such as 500ms, 10s or 2m", option,
					text, (unsigned long long)min_ms, (unsigned long long)max_ms / 1000);
	return 0;
}

static int set_plan(const struct parser *parser, const char *text)
{
	struct record_options *out = parser->out;

	if (!strcmp(text, "auto"))
		out->plan = PLAN_CHOICE_AUTO;
	else if (!strcmp(text, "generic"))
		out->plan = PLAN_CHOICE_GENERIC;
	else if (!strcmp(text, "none"))
		out->plan = PLAN_CHOICE_NONE;
	else if (*text)
		out->plan = PLAN_CHOICE_FILE;
	else
		return record_error_set(parser->error, -EINVAL, "--plan: want auto, generic, none or a file");
	out->plan_path = out->plan == PLAN_CHOICE_FILE ? text : NULL;
	return 0;
}

static int set_on_full(const struct parser *parser, const char *text)
{
	if (strcmp(text, "drop") && strcmp(text, "block"))
		return record_error_set(parser->error, -EINVAL, "--on-full %s: want drop or block", text);
	parser->out->block = !strcmp(text, "block");
	return 0;
}

static int set_on_disk_full(const struct parser *parser, const char *text)
{
	if (strcmp(text, "wait") && strcmp(text, "stop"))
		return record_error_set(parser->error, -EINVAL, "--on-disk-full %s: want wait or stop", text);
	parser->out->stop_when_full = !strcmp(text, "stop");
	return 0;
}

static int set_ring_bytes(const struct parser *parser, const char *text)
{
	uint64_t *bytes = &parser->out->ring_bytes;

	if (parse_size_bytes(text, bytes) || *bytes < TRAP_RING_MIN_BYTES || *bytes > TRAP_RING_MAX_BYTES ||
	    (*bytes & (*bytes - 1)))
		return record_error_set(parser->error, -EINVAL,
					"--ring-bytes %s: want a power of two from 64K to 1G, such as 8M", text);
	return 0;
}

static int set_ring_size(const struct parser *parser, const char *text)
{
	uint64_t *bytes = &parser->out->tape_ring_bytes;

	if (parse_size_bytes(text, bytes) || *bytes < TAPE_RING_MIN_BYTES || *bytes > TAPE_RING_MAX_BYTES)
		return record_error_set(parser->error, -EINVAL, "--ring-size %s: want a size from %lluM to %lluG", text,
					TAPE_RING_MIN_BYTES >> 20, TAPE_RING_MAX_BYTES >> 30);
	*bytes -= *bytes % TAPE_SLOT_BYTES;
	return 0;
}

static int set_level(const struct parser *parser, const char *text)
{
	const char *rest;
	uint64_t level;

	if (!strcmp(text, "auto")) {
		parser->out->level = LEVEL_AUTO;
		return 0;
	}
	if (parse_number(text, &level, &rest) || *rest || level < 1 || level > 19)
		return record_error_set(parser->error, -EINVAL, "--level %s: want auto or a number from 1 to 19", text);
	parser->out->level = (int)level;
	return 0;
}

static int get_size(const struct parser *parser, const char *option, const char *text, uint64_t *out)
{
	if (parse_size_bytes(text, out) || *out < TAPE_SLOT_BYTES)
		return record_error_set(parser->error, -EINVAL,
					"--%s %s: want a size of at least %uM, such as 512M or 4G", option, text,
					TAPE_SLOT_BYTES >> 20);
	return 0;
}

static int set_keep(const struct parser *parser, const char *text)
{
	const char *rest;

	if (parse_number(text, &parser->out->keep_count, &rest) || *rest || !parser->out->keep_count)
		return record_error_set(parser->error, -EINVAL,
					"--keep %s: want a number of tapes, the one being written included", text);
	return 0;
}

static int set_on_trigger(const struct parser *parser, const char *text)
{
	struct record_options *out = parser->out;

	if (!strcmp(text, "freeze"))
		out->on_trigger = TRIGGER_FREEZE;
	else if (!strcmp(text, "copy") || !strncmp(text, "copy:", 5))
		out->on_trigger = TRIGGER_COPY;
	else
		return record_error_set(parser->error, -EINVAL, "--on-trigger %s: want freeze, copy or copy:PATTERN",
					text);
	out->copy_pattern = !strncmp(text, "copy:", 5) ? text + 5 : NULL;
	return out->copy_pattern ? tape_series_check(out->copy_pattern, parser->error) : 0;
}

static int set_text(const struct parser *parser, const char *option, const char *text, const char **out)
{
	if (!*text || strlen(text) > RECORD_TEXT_MAX_BYTES)
		return record_error_set(parser->error, -EINVAL, "--%s: want a text of at most %d bytes", option,
					RECORD_TEXT_MAX_BYTES);
	*out = text;
	return 0;
}

static int set_cpus(const struct parser *parser, const char *text)
{
	struct record_error why = {0};

	if (cpu_list_parse(&parser->out->cpus, text, &why))
		return record_error_set(parser->error, -EINVAL, "--cpus: %s", why.message);
	parser->out->is_pinned = true;
	return 0;
}

enum {
	OPT_CONNECT = 256,
	OPT_PLAN,
	OPT_ON_FULL,
	OPT_ON_DISK_FULL,
	OPT_BLOCK_LIMIT,
	OPT_RING_BYTES,
	OPT_RING_SIZE,
	OPT_SNAPSHOT_INTERVAL,
	OPT_NO_SNAPSHOTS,
	OPT_DURATION,
	OPT_FLUSH,
	OPT_LEVEL,
	OPT_CPUS,
	OPT_FORCE,
	OPT_SIGN_KEY,
	OPT_FILTER,
	OPT_MAX_SIZE,
	OPT_MAX_AGE,
	OPT_ROTATE,
	OPT_KEEP,
	OPT_KEEP_SIZE,
	OPT_ON_TRIGGER,
	OPT_TRIGGER_AFTER,
	OPT_TRIGGER_WHEN,
	OPT_TRIGGER_REST,
	OPT_CONTROL,
	OPT_SEND,
	OPT_NOTE,
	OPT_START_REASON,
	OPT_METRICS,
	OPT_QUIET,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"connect", required_argument, NULL, OPT_CONNECT},
	{"output", required_argument, NULL, 'o'},
	{"plan", required_argument, NULL, OPT_PLAN},
	{"filter", required_argument, NULL, OPT_FILTER},
	{"on-full", required_argument, NULL, OPT_ON_FULL},
	{"on-disk-full", required_argument, NULL, OPT_ON_DISK_FULL},
	{"block-limit", required_argument, NULL, OPT_BLOCK_LIMIT},
	{"ring-bytes", required_argument, NULL, OPT_RING_BYTES},
	{"ring-size", required_argument, NULL, OPT_RING_SIZE},
	{"snapshot-interval", required_argument, NULL, OPT_SNAPSHOT_INTERVAL},
	{"no-snapshots", no_argument, NULL, OPT_NO_SNAPSHOTS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"flush", required_argument, NULL, OPT_FLUSH},
	{"level", required_argument, NULL, OPT_LEVEL},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"force", no_argument, NULL, OPT_FORCE},
	{"sign-key", required_argument, NULL, OPT_SIGN_KEY},
	{"max-size", required_argument, NULL, OPT_MAX_SIZE},
	{"max-age", required_argument, NULL, OPT_MAX_AGE},
	{"rotate", no_argument, NULL, OPT_ROTATE},
	{"keep", required_argument, NULL, OPT_KEEP},
	{"keep-size", required_argument, NULL, OPT_KEEP_SIZE},
	{"on-trigger", required_argument, NULL, OPT_ON_TRIGGER},
	{"trigger-after", required_argument, NULL, OPT_TRIGGER_AFTER},
	{"trigger-when", required_argument, NULL, OPT_TRIGGER_WHEN},
	{"trigger-rest", required_argument, NULL, OPT_TRIGGER_REST},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"send", required_argument, NULL, OPT_SEND},
	{"note", required_argument, NULL, OPT_NOTE},
	{"start-reason", required_argument, NULL, OPT_START_REASON},
	{"metrics", required_argument, NULL, OPT_METRICS},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static int set_option(const struct parser *parser, int option, const char *text)
{
	const uint64_t day_ms = 86400000;
	struct record_options *out = parser->out;
	uint64_t ms;
	int ret;

	switch (option) {
	case OPT_CONNECT:
		out->socket_path = text;
		return 0;
	case 'o':
		out->out_path = text;
		return 0;
	case OPT_PLAN:
		return set_plan(parser, text);
	case OPT_FILTER:
		out->filter = text;
		return 0;
	case OPT_ON_FULL:
		return set_on_full(parser, text);
	case OPT_ON_DISK_FULL:
		return set_on_disk_full(parser, text);
	case OPT_BLOCK_LIMIT:
		ret = get_duration(parser, "block-limit", text, 1, 1, 60000, &ms);
		out->block_limit_ms = (uint32_t)ms;
		return ret;
	case OPT_RING_BYTES:
		return set_ring_bytes(parser, text);
	case OPT_RING_SIZE:
		return set_ring_size(parser, text);
	case OPT_SNAPSHOT_INTERVAL:
		return get_duration(parser, "snapshot-interval", text, 1000, 100, day_ms, &out->snapshot_interval_ms);
	case OPT_NO_SNAPSHOTS:
		out->no_snapshots = true;
		return 0;
	case OPT_DURATION:
		return get_duration(parser, "duration", text, 1000, 1, 365 * day_ms, &out->duration_ms);
	case OPT_FLUSH:
		return get_duration(parser, "flush", text, 1000, 50, 60000, &out->flush_ms);
	case OPT_LEVEL:
		return set_level(parser, text);
	case OPT_CPUS:
		return set_cpus(parser, text);
	case OPT_FORCE:
		out->force = true;
		return 0;
	case OPT_SIGN_KEY:
		out->sign_key_path = text;
		return 0;
	case OPT_MAX_SIZE:
		return get_size(parser, "max-size", text, &out->max_bytes);
	case OPT_MAX_AGE:
		return get_duration(parser, "max-age", text, 1000, 1000, 365 * day_ms, &out->max_age_ms);
	case OPT_ROTATE:
		out->rotate = true;
		return 0;
	case OPT_KEEP:
		return set_keep(parser, text);
	case OPT_KEEP_SIZE:
		return get_size(parser, "keep-size", text, &out->keep_bytes);
	case OPT_ON_TRIGGER:
		return set_on_trigger(parser, text);
	case OPT_TRIGGER_AFTER:
		return get_duration(parser, "trigger-after", text, 1000, 0, day_ms, &out->trigger_after_ms);
	case OPT_TRIGGER_WHEN:
		out->trigger_when = text;
		return 0;
	case OPT_TRIGGER_REST:
		return get_duration(parser, "trigger-rest", text, 1000, 0, day_ms, &out->trigger_rest_ms);
	case OPT_CONTROL:
		if (!*text)
			return record_error_set(parser->error, -EINVAL, "--control: want the path of a socket");
		out->control_path = text;
		return 0;
	case OPT_SEND:
		out->send_path = text;
		return 0;
	case OPT_NOTE:
		return set_text(parser, "note", text, &out->note);
	case OPT_START_REASON:
		return set_text(parser, "start-reason", text, &out->start_reason);
	case OPT_METRICS:
		if (!*text || !strcmp(text, "unix:"))
			return record_error_set(parser->error, -EINVAL,
						"--metrics: want a file, or unix: and a socket");
		out->metrics = text;
		return 0;
	case OPT_QUIET:
		out->quiet = true;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		return 1;
	case OPT_VERSION:
		puts("vmtape-record " VMTAPE_VERSION);
		return 1;
	default:
		return -EINVAL;
	}
}

/* What only makes sense together. */
static int check_rotation(const struct record_options *options, struct record_error *error)
{
	if (options->tape_ring_bytes && (options->rotate || options->max_bytes))
		return record_error_set(
			error, -EINVAL,
			"--ring-size: the tape stays as large as that; --rotate and --max-size do not go "
			"with it");
	if (!options->rotate && (options->keep_count || options->keep_bytes))
		return record_error_set(error, -EINVAL, "--keep and --keep-size go with --rotate only");
	if (!options->rotate)
		return 0;
	if (options->force)
		return record_error_set(error, -EINVAL, "--force does not go with --rotate, which overwrites nothing");
	if (!options->max_bytes && !options->max_age_ms && !options->control_path)
		return record_error_set(error, -EINVAL,
					"--rotate: needs --max-size, --max-age or --control, to know when");
	if (options->keep_bytes && options->keep_bytes < 2 * options->max_bytes)
		return record_error_set(error, -EINVAL,
					"--keep-size: must be at least twice --max-size, or nothing but the tape being "
					"written would be kept");
	return tape_series_check(options->out_path, error);
}

int record_options_parse(struct record_options *out, int argc, char **argv, struct record_error *error)
{
	const struct parser parser = {out, error};
	int option, ret;

	*out = (struct record_options){
		.block_limit_ms = 1000,
		.ring_bytes = 8u << 20,
		.snapshot_interval_ms = 10000,
		.flush_ms = 1000,
		.trigger_rest_ms = UINT64_MAX,
		.level = LEVEL_AUTO,
	};
	/* The command line ends where a command to be sent begins, which may look like an option. */
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "+:o:", long_options, NULL)) != -1) {
		if (option == ':')
			return record_error_set(error, -EINVAL, "%s: needs a value; try --help", argv[optind - 1]);
		if (option == '?')
			return record_error_set(error, -EINVAL, "%s: not an option of this command; try --help",
						argv[optind - 1]);
		ret = set_option(&parser, option, optarg);
		if (ret)
			return ret;
	}
	if (out->send_path && optind >= argc)
		return record_error_set(error, -EINVAL, "--send: a command is missing; try --help");
	if (out->send_path) {
		out->words = argv + optind;
		out->nr_words = (unsigned)(argc - optind);
		return 0;
	}
	if (optind < argc)
		return record_error_set(error, -EINVAL, "%s: an argument too many; try --help", argv[optind]);
	if (!out->socket_path || !*out->socket_path)
		return record_error_set(error, -EINVAL, "--connect SOCKET is missing; try --help");
	if (!out->out_path || !*out->out_path)
		return record_error_set(error, -EINVAL, "-o OUT.vmt is missing; try --help");
	if (out->filter && (out->plan != PLAN_CHOICE_AUTO || out->no_snapshots))
		return record_error_set(error, -EINVAL,
					"--filter: needs --plan auto and snapshots, as only then "
					"names of calls are known");
	if (out->trigger_after_ms && out->on_trigger == TRIGGER_NONE)
		return record_error_set(error, -EINVAL, "--trigger-after goes with --on-trigger only");
	if (out->trigger_rest_ms == UINT64_MAX)
		out->trigger_rest_ms = TRIGGER_REST_MS;
	else if (!out->trigger_when)
		return record_error_set(error, -EINVAL, "--trigger-rest goes with --trigger-when only");
	if (out->trigger_when && out->on_trigger == TRIGGER_NONE)
		return record_error_set(error, -EINVAL, "--trigger-when goes with --on-trigger only");
	if (out->trigger_when && out->no_snapshots)
		return record_error_set(error, -EINVAL,
					"--trigger-when: needs snapshots, as only then names of processes and calls "
					"are known");
	return check_rotation(out, error);
}
