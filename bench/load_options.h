/* SPDX-License-Identifier: MIT */
/* load_options.h - the command line of bench_recorder_load. Strings point into argv. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct load_options {
	const char *path;
	double rate, seconds;
	uint64_t events; /* 0: by seconds */
	uint64_t ring_bytes;
	uint64_t flush_ms;
	int level;
	bool pinned, producer_pinned;
	cpu_set_t cpus, producer_cpus;
	bool idle, no_paths, wait_for_room, read_back, keep, discard;
	double sample_s; /* of memory; 0: none */
	double rest_s;   /* without events, before the end */
};

/* Ends the process where the options make no sense, and after --help. */
void load_options_parse(struct load_options *out, int argc, char **argv);

#endif
