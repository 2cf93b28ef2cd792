/* SPDX-License-Identifier: MIT */
/*
 * call_groups.h - calls counted together by what they have in common: the same
 * system call, process, thread, vCPU, result, file, or several of these. Bounded:
 * what has no room is counted under "(others)". One thread an object.
 */
#ifndef CALL_GROUPS_H
#define CALL_GROUPS_H

#include "call_stream.h"
#include "filter.h"
#include "histogram.h"
#include "u64_map.h"

#define CALL_GROUPS_MAX   32768u
#define CALL_GROUPS_CALLS 1024u

enum call_key {
	CALL_KEY_SYSCALL,
	CALL_KEY_PROCESS,
	CALL_KEY_THREAD,
	CALL_KEY_VCPU,
	CALL_KEY_ERRNO,
	CALL_KEY_FILE, /* the path that the call was given, else that of its descriptor */
	CALL_KEYS
};
extern const char *const call_key_names[CALL_KEYS]; /* "syscall" */

struct call_group {
	uint64_t keys[CALL_KEYS];
	char *names[CALL_KEYS];     /* escaped; NULL: not grouped by that */
	char *raw_names[CALL_KEYS]; /* as the guest has them; NULL: the same */
	char comm[16 + 1];          /* of the process or thread, its last one */
	bool is_led;                /* that is of a leader */
	uint64_t count, errors;
	struct histogram latency;
};

/* Zero-initialise, then set by, and what else is not counted. */
struct call_groups {
	bool by[CALL_KEYS];
	bool without_pid;     /* processes and threads by name alone: for those of different guests */
	unsigned nr_threads;  /* that count; 0: call_pool_default_threads() */
	uint32_t batch_calls; /* call_pool_options */
	struct u64_map index;
	struct call_group **list;
	size_t count, room;
	struct call_group *others; /* one of the list */
	uint64_t lost_records;
};
void call_groups_deinit(struct call_groups *groups);

/* "syscall,errno"; false: there is no such key, or it is named twice. */
bool call_groups_parse(struct call_groups *groups, const char *text);

/* All calls of a part of the tape that match; filter may be NULL. By file, descriptors are followed, whatever the
 * options say. progress gets the records read so far. */
struct vmtape_error *call_groups_count(struct call_groups *groups, struct session *session, const struct filter *filter,
				       const struct call_stream_options *options,
				       void (*progress)(void *ctx, uint64_t nr_records), void *ctx);

/* What it is grouped by, in the order of enum call_key: "openat, cat[231]"; escaped unless raw. */
void call_group_put_name(const struct call_group *group, bool raw, struct strbuf *out);

/* "12.3 us": three digits, as more would not be right. */
void call_put_span(struct strbuf *out, uint64_t ns);

#endif
