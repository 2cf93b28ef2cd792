/* SPDX-License-Identifier: MIT */
/* events.h - what the parts of `vmtape events` share. Only for the command. */
#ifndef EVENTS_H
#define EVENTS_H

#include "call_stream.h"
#include "command.h"
#include "filter.h"
#include "hook_plugin.h"
#include "output/output.h"

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_NITRO,
};

struct events {
	const char *filter_text, *hooks_file;
	struct command_span span;
	enum format format;
	bool traps, assume_linux, follow, only_new, check;
	bool show_fds;       /* text: names behind descriptors */
	bool read_all;       /* though the index says where nothing can match */
	bool no_fds;         /* json: without them */
	bool fds;            /* descriptors are to be followed */
	uint64_t count;      /* to be shown; 0: all */
	unsigned nr_threads; /* 0: call_pool_default_threads() */
	struct output_options output;
	struct session *session;
	struct filter *filter;
	struct hook_plugin *plugin;        /* NULL: no hooks */
	struct vmtape_error *hooks_failed; /* which ends it */
	struct strbuf line;
	uint64_t shown;
	bool stopped;     /* nothing more is to be written */
	bool interrupted; /* by a signal */
};

static inline bool events_are_traps(const struct events *e)
{
	return e->traps || e->format == FORMAT_NITRO;
}

/* What needs the opened tape: times in the filter and in --from. */
struct vmtape_error *events_prepare(struct events *e);
/* Writes it if it matches, and stops at the last one that is wanted. */
void events_show_item(struct events *e, struct call_item *item);
/* A tracker's record; ctx: struct events. */
void events_show_trap(void *ctx, const struct trap_view *view, const struct call_thread *thread);
/* events_follow.c: all of a tape that is being written, from path, which e->session has open. */
struct vmtape_error *events_follow(struct events *e, const char *path);

#endif
