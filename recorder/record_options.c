/* SPDX-License-Identifier: MIT */
#include "record_options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trap_abi.h"

static const char usage[] = "Usage: vmtape-record --connect SOCKET -o OUT.vmt [OPTION]...\n"
			    "Record the system calls and the memory of a running VM to a tape.\n"
			    "\n"
			    "  --connect SOCKET         UNIX socket of the VM's vmtape-recorder object\n"
			    "  -o, --output OUT.vmt     the tape; must not exist yet\n"
			    "      --force              overwrite OUT.vmt\n"
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
			    "  --level N                zstd level, 1 to 19 (default 1)\n"
			    "  --quiet                  only errors and the summary\n"
			    "  --help, --version\n"
			    "\n"
			    "TIME is a number and ms, s, m or h; SIZE a number and K, M or G.\n"
			    "SIGINT or SIGTERM ends the recording in good order, a second one at once;\n"
			    "SIGUSR1 takes a snapshot now.\n"
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

static int set_level(const struct parser *parser, const char *text)
{
	const char *rest;
	uint64_t level;

	if (parse_number(text, &level, &rest) || *rest || level < 1 || level > 19)
		return record_error_set(parser->error, -EINVAL, "--level %s: want a number from 1 to 19", text);
	parser->out->level = (int)level;
	return 0;
}

enum {
	OPT_CONNECT = 256,
	OPT_PLAN,
	OPT_ON_FULL,
	OPT_ON_DISK_FULL,
	OPT_BLOCK_LIMIT,
	OPT_RING_BYTES,
	OPT_SNAPSHOT_INTERVAL,
	OPT_NO_SNAPSHOTS,
	OPT_DURATION,
	OPT_FLUSH,
	OPT_LEVEL,
	OPT_FORCE,
	OPT_FILTER,
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
	{"snapshot-interval", required_argument, NULL, OPT_SNAPSHOT_INTERVAL},
	{"no-snapshots", no_argument, NULL, OPT_NO_SNAPSHOTS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"flush", required_argument, NULL, OPT_FLUSH},
	{"level", required_argument, NULL, OPT_LEVEL},
	{"force", no_argument, NULL, OPT_FORCE},
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
	case OPT_FORCE:
		out->force = true;
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

int record_options_parse(struct record_options *out, int argc, char **argv, struct record_error *error)
{
	const struct parser parser = {out, error};
	int option, ret;

	*out = (struct record_options){
		.block_limit_ms = 1000,
		.ring_bytes = 8u << 20,
		.snapshot_interval_ms = 10000,
		.flush_ms = 1000,
		.level = 1,
	};
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":o:", long_options, NULL)) != -1) {
		if (option == ':')
			return record_error_set(error, -EINVAL, "%s: needs a value; try --help", argv[optind - 1]);
		if (option == '?')
			return record_error_set(error, -EINVAL, "%s: not an option of this command; try --help",
						argv[optind - 1]);
		ret = set_option(&parser, option, optarg);
		if (ret)
			return ret;
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
	return 0;
}
