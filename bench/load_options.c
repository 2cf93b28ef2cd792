/* SPDX-License-Identifier: MIT */
#include "load_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"
#include "level_policy.h"
#include "trap_ring_producer.h"

static const char usage[] =
	"Usage: bench_recorder_load [OPTION]... FILE.vmt\n"
	"Load the real recorder with a stream of events, and say what it cost. FILE.vmt is overwritten, and removed.\n"
	"\n"
	"  --rate N           events a second; 0, the default: as many as there is room for\n"
	"  --seconds N        how long (default 5)\n"
	"  --events N         how many, instead\n"
	"  --idle             no event at all\n"
	"  --ring-kib N       size of the ring, a power of two (default 8192)\n"
	"  --flush-ms N       as vmtape-record --flush (default 1000)\n"
	"  --level N|auto     as vmtape-record --level (default auto), and 0: rows as they are,\n"
	"                     -1, -3, -5: faster, -100: predicted, but not compressed\n"
	"  --cpus LIST        where the recorder runs\n"
	"  --producer-cpus LIST\n"
	"  --no-paths         leave out the paths\n"
	"  --wait             wait for room in the ring, as policy \"block\"; else events are lost\n"
	"  --read-back        check that each event is on the tape, or a gap record tells of it\n"
	"  --sample N         print resident memory, without the ring, each N seconds\n"
	"  --rest N           no events for the last N seconds, then print memory once more\n"
	"  --discard          give back what lies 1 GiB behind, for recordings larger than the disk\n"
	"  --keep             do not remove the file\n";

static void refuse(const char *why)
{
	fprintf(stderr, "recorder_load: %s\n", why);
	exit(2);
}

static double take_number(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0)) {
		fprintf(stderr, "recorder_load: --%s %s: want a number\n", name, text);
		exit(2);
	}
	return value;
}

void load_options_parse(struct load_options *out, int argc, char **argv)
{
	enum {
		RATE = 256,
		SECONDS,
		EVENTS,
		IDLE,
		RING,
		FLUSH,
		LEVEL,
		CPUS,
		PRODUCER,
		NO_PATHS,
		WAIT,
		READ,
		SAMPLE,
		REST,
		DISCARD,
		KEEP,
		HELP
	};
	static const struct option names[] = {
		{"rate", 1, NULL, RATE},         {"seconds", 1, NULL, SECONDS}, {"events", 1, NULL, EVENTS},
		{"idle", 0, NULL, IDLE},         {"ring-kib", 1, NULL, RING},   {"flush-ms", 1, NULL, FLUSH},
		{"level", 1, NULL, LEVEL},       {"cpus", 1, NULL, CPUS},       {"producer-cpus", 1, NULL, PRODUCER},
		{"no-paths", 0, NULL, NO_PATHS}, {"wait", 0, NULL, WAIT},       {"read-back", 0, NULL, READ},
		{"sample", 1, NULL, SAMPLE},     {"rest", 1, NULL, REST},       {"discard", 0, NULL, DISCARD},
		{"keep", 0, NULL, KEEP},         {"help", 0, NULL, HELP},       {NULL, 0, NULL, 0},
	};
	struct record_error error = {0};
	int option, at;

	*out = (struct load_options){.seconds = 5, .ring_bytes = 8 << 20, .flush_ms = 1000, .level = LEVEL_AUTO};
	while ((option = getopt_long(argc, argv, "", names, &at)) != -1) {
		switch (option) {
		case RATE:
			out->rate = take_number("rate", optarg);
			break;
		case SECONDS:
			out->seconds = take_number("seconds", optarg);
			break;
		case EVENTS:
			out->events = (uint64_t)take_number("events", optarg);
			break;
		case IDLE:
			out->idle = true;
			break;
		case RING:
			out->ring_bytes = (uint64_t)take_number("ring-kib", optarg) << 10;
			break;
		case FLUSH:
			out->flush_ms = (uint64_t)take_number("flush-ms", optarg);
			break;
		case LEVEL:
			if (strcmp(optarg, "auto"))
				out->level = atoi(optarg);
			break;
		case CPUS:
		case PRODUCER:
			if (cpu_list_parse(option == CPUS ? &out->cpus : &out->producer_cpus, optarg, &error))
				refuse(error.message);
			*(option == CPUS ? &out->pinned : &out->producer_pinned) = true;
			break;
		case NO_PATHS:
			out->no_paths = true;
			break;
		case WAIT:
			out->wait_for_room = true;
			break;
		case READ:
			out->read_back = true;
			break;
		case SAMPLE:
			out->sample_s = take_number("sample", optarg);
			break;
		case REST:
			out->rest_s = take_number("rest", optarg);
			break;
		case DISCARD:
			out->discard = true;
			break;
		case KEEP:
			out->keep = true;
			break;
		default:
			fputs(usage, option == HELP ? stdout : stderr);
			exit(option == HELP ? 0 : 2);
		}
	}
	if (optind + 1 != argc || !trap_ring_data_bytes_valid(out->ring_bytes) || (out->discard && out->read_back)) {
		fputs(usage, stderr);
		exit(2);
	}
	out->path = argv[optind];
}
