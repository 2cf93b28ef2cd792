/* SPDX-License-Identifier: MIT */
/*
 * filter.h - "proc.name = cat and evt.type in (openat, read)": which calls to
 * show. Field names are those of Falco and sysdig; docs are in vmtape-events(1).
 * A comparison with something that is not known is false, != too.
 */
#ifndef FILTER_H
#define FILTER_H

#include "call.h"
#include "error.h"

#define FILTER_MAX_BYTES 16384
#define FILTER_MAX_NODES 4096
#define FILTER_MAX_DEPTH 100

struct filter;

/* Where times in a filter count from, and how they are meant. */
struct filter_times {
	int64_t start_ns;
	bool local;
};

/* times may be NULL: evt.time is not allowed then. The error names the column. */
struct vmtape_error *filter_create(struct filter **out, const char *text, const struct filter_times *times);
void filter_destroy(struct filter *filter);

/* A field that can't be decided at the trap, before anything else is known of the call; NULL: all can. */
const char *filter_needs(const struct filter *filter);

/* Some field is of descriptors, or of what is followed with them: call_stream_options.fds. filter may be NULL. */
bool filter_needs_fds(const struct filter *filter);

/* dir: '>' or '<' of a single trap, 0: the whole call. A NULL filter matches all. */
bool filter_match(const struct filter *filter, const struct call *call, char dir);

/*
 * Can a call match of which only this is known? Never false of one that matches. call has abi, nr, nr_known and
 * syscall; its time is between from_ns and to_ns (0 and INT64_MAX: not known). A NULL filter matches all.
 */
struct filter_reach {
	const struct call *call; /* NULL: any */
	int64_t from_ns, to_ns;
};
bool filter_may_match(const struct filter *filter, const struct filter_reach *reach);
/* It asks for the time of a call. */
bool filter_asks_time(const struct filter *filter);

/* The call's name as shown, "syscall_500" when it has none, "?" when not even its number is known. */
const char *call_shown_name(const struct call *call, char *buffer, size_t size_bytes);

#endif
