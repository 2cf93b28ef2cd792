/* SPDX-License-Identifier: MIT */
/* record_options.h - the command line of vmtape-record. Strings point into argv. */
#ifndef RECORD_OPTIONS_H
#define RECORD_OPTIONS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "report.h"

#define RECORD_TEXT_MAX_BYTES 400 /* of a note or a reason */

enum plan_choice {
	PLAN_CHOICE_AUTO,
	PLAN_CHOICE_GENERIC,
	PLAN_CHOICE_NONE,
	PLAN_CHOICE_FILE,
};

enum trigger_choice { TRIGGER_NONE, TRIGGER_FREEZE, TRIGGER_COPY };

struct record_options {
	const char *socket_path;
	const char *out_path;
	enum plan_choice plan;
	const char *plan_path; /* of PLAN_CHOICE_FILE */
	const char *filter;    /* NULL: all calls */
	bool block;
	uint32_t block_limit_ms;
	uint64_t ring_bytes;      /* of one vCPU */
	uint64_t tape_ring_bytes; /* size of a ring tape; 0: the tape grows */
	uint64_t snapshot_interval_ms;
	uint64_t duration_ms; /* 0: until stopped */
	uint64_t flush_ms;
	int level; /* of zstd; LEVEL_AUTO */
	bool is_pinned;
	cpu_set_t cpus;            /* of is_pinned */
	const char *sign_key_path; /* NULL: not signed */
	enum trigger_choice on_trigger;
	const char *copy_pattern; /* of TRIGGER_COPY; NULL: beside the tape */
	uint64_t trigger_after_ms;
	const char *trigger_when; /* filter of calls; NULL: none is looked for */
	uint64_t trigger_rest_ms; /* from one trigger by a call to the next */
	const char *control_path; /* NULL: none */
	const char *send_path;    /* NULL: record; else send words there */
	char *const *words;
	unsigned nr_words;
	const char *note;         /* NULL: none */
	const char *start_reason; /* NULL: found out */
	uint64_t max_bytes;       /* of a tape; 0: no limit */
	uint64_t max_age_ms;      /* of a tape; 0: no limit */
	bool rotate;              /* go on in another tape: out_path is a pattern */
	uint64_t keep_count;      /* tapes; 0: all */
	uint64_t keep_bytes;      /* of all tapes; 0: all */
	const char *metrics;      /* "unix:SOCKET" or a file; NULL: none */
	bool stop_when_full;      /* the disk; else wait for room */
	bool no_snapshots;
	bool force;
	bool quiet;
};

/* 0: go on; 1: --help or --version was served; -EINVAL and a message that names the option. */
int record_options_parse(struct record_options *out, int argc, char **argv, struct record_error *error);

/* "500ms", "10s", "2m", "1h"; a bare number counts in bare_unit_ms. */
int parse_duration_ms(const char *text, uint64_t bare_unit_ms, uint64_t *out);
/* "65536", "64K", "8M", "1G". */
int parse_size_bytes(const char *text, uint64_t *out);

#endif
