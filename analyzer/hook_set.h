/* SPDX-License-Identifier: MIT */
/*
 * hook_set.h - the hooks of vmtape.h from inside: run over one call or one
 * record at a time, as `vmtape events` does. One thread an object.
 */
#ifndef HOOK_SET_H
#define HOOK_SET_H

#include "public_call.h"

/* Called when the hooks of a call, or of a trap, are through, if any of them ran. */
typedef void hook_after_fn(void *ctx, struct vmtape_event *event);
void hook_set_after(struct vmtape_hooks *hooks, hook_after_fn *after, void *ctx);
/* false: no hook is for it, and hook_set_call() and _trap() would do nothing. */
bool hook_set_wants(const struct vmtape_hooks *hooks, const struct call *call);

/*
 * *json: what was put, as one object; NULL: nothing; valid until the next one is run. *stop: a hook has said so.
 * Failures are counted and, with a log, told there with the event.
 */
struct hook_outcome {
	const char *json;
	bool stop;
};
struct vmtape_error *hook_set_call(struct vmtape_hooks *hooks, struct vmtape_tape *tape, const struct call *call,
				   struct hook_outcome *out);
/* Of a record by itself; call is what it alone tells of. */
struct vmtape_error *hook_set_trap(struct vmtape_hooks *hooks, struct vmtape_tape *tape, const struct trap_view *view,
				   const struct call *call, struct hook_outcome *out);

/* In place of what was put by key; one line of JSON, copied. false: no memory. */
bool hook_event_set_json(struct vmtape_event *event, const char *json);
/* Rises with each call or trap that is run: entry and exit of a call have the same. */
uint64_t hook_event_number(const struct vmtape_event *event);
/* "12:00:01.123456 cat[231] openat": which call a message is about. */
void hook_event_describe(const struct vmtape_event *event, struct strbuf *out);

/* Told on stderr up to a number of times, and counted. */
void hook_set_complain(struct vmtape_hooks *hooks, const struct vmtape_event *event, const char *what);
void hook_set_log(struct vmtape_hooks *hooks, FILE *log); /* NULL: nothing is told */

#endif
