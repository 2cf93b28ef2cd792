/* SPDX-License-Identifier: MIT */
/* vmtape.h: hooks. */
#include "hook_set.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_stream.h"

#define MAX_TOLD 20

struct hook {
	enum vmtape_direction direction;
	char *name; /* NULL: all */
	bool is_pattern;
	vmtape_hook_fn *fn;
	void *ctx;
};

struct hook_member {
	char *key, *json;
};

/* The public pointer is that of the whole. */
struct hook_event {
	struct vmtape_event shown;
	struct vmtape_hooks *hooks;
};

struct vmtape_hooks {
	struct hook *hooks;
	size_t nr_hooks, room;
	hook_after_fn *after;
	void *after_ctx;
	FILE *log;
	uint64_t failures, number;
	struct public_call call;
	struct public_trap trap;
	struct hook_member *members; /* what was put on the event at hand */
	size_t nr_members, members_room;
	struct strbuf json;
	bool is_json_given;
};

struct vmtape_error *vmtape_hooks_create(struct vmtape_hooks **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? NULL : &vmtape_error_no_memory;
}

static void drop_members(struct vmtape_hooks *hooks)
{
	for (size_t i = 0; i < hooks->nr_members; i++) {
		free(hooks->members[i].key);
		free(hooks->members[i].json);
	}
	hooks->nr_members = 0;
	hooks->is_json_given = false;
	strbuf_reset(&hooks->json);
}

void vmtape_hooks_destroy(struct vmtape_hooks *hooks)
{
	if (!hooks)
		return;
	drop_members(hooks);
	free(hooks->members);
	strbuf_deinit(&hooks->json);
	public_call_deinit(&hooks->call);
	public_trap_deinit(&hooks->trap);
	for (size_t i = 0; i < hooks->nr_hooks; i++)
		free(hooks->hooks[i].name);
	free(hooks->hooks);
	free(hooks);
}

struct vmtape_error *vmtape_hooks_add(struct vmtape_hooks *hooks, enum vmtape_direction direction, const char *name,
				      vmtape_hook_fn *fn, void *ctx)
{
	struct hook hook = {.direction = direction, .fn = fn, .ctx = ctx};

	if (hooks->nr_hooks == hooks->room) {
		size_t room = hooks->room ? hooks->room * 2 : 8;
		void *more = realloc(hooks->hooks, room * sizeof(*hooks->hooks));

		if (!more)
			return &vmtape_error_no_memory;
		hooks->hooks = more;
		hooks->room = room;
	}
	if (strcmp(name, "*")) {
		hook.name = strdup(name);
		if (!hook.name)
			return &vmtape_error_no_memory;
		hook.is_pattern = strpbrk(name, "*?[\\");
	}
	hooks->hooks[hooks->nr_hooks++] = hook;
	return NULL;
}

void hook_set_after(struct vmtape_hooks *hooks, hook_after_fn *after, void *ctx)
{
	hooks->after = after;
	hooks->after_ctx = ctx;
}

void hook_set_log(struct vmtape_hooks *hooks, FILE *log)
{
	hooks->log = log;
}

uint64_t vmtape_hooks_failed(const struct vmtape_hooks *hooks)
{
	return hooks->failures;
}

/* ---- what hooks put -------------------------------------------------- */

static struct vmtape_hooks *hooks_of(struct vmtape_event *event)
{
	return ((struct hook_event *)event)->hooks;
}

static bool put_member(struct vmtape_hooks *hooks, const char *key, char *json)
{
	struct hook_member *member = NULL;

	if (!json)
		return false;
	for (size_t i = 0; i < hooks->nr_members && !member; i++)
		if (!strcmp(hooks->members[i].key, key))
			member = &hooks->members[i];
	if (!member) {
		if (hooks->nr_members == hooks->members_room) {
			size_t room = hooks->members_room + 8;
			void *more = realloc(hooks->members, room * sizeof(*hooks->members));

			if (!more)
				goto fail;
			hooks->members = more;
			hooks->members_room = room;
		}
		member = &hooks->members[hooks->nr_members];
		member->json = NULL;
		member->key = strdup(key);
		if (!member->key)
			goto fail;
		hooks->nr_members++;
	}
	free(member->json);
	member->json = json;
	return true;
fail:
	free(json);
	return false;
}

/* The buffer's bytes, which are then the caller's; NULL: no memory. */
static char *take_bytes(struct strbuf *buf)
{
	if (!buf->failed)
		return buf->data;
	strbuf_deinit(buf);
	return NULL;
}

bool vmtape_event_put_text(struct vmtape_event *event, const char *key, const char *text)
{
	struct strbuf json = {0};

	strbuf_put_char(&json, '"');
	strbuf_put_json(&json, text, strlen(text));
	strbuf_put_char(&json, '"');
	return put_member(hooks_of(event), key, take_bytes(&json));
}

bool vmtape_event_put_number(struct vmtape_event *event, const char *key, int64_t number)
{
	struct strbuf json = {0};

	strbuf_put_i64(&json, number);
	return put_member(hooks_of(event), key, take_bytes(&json));
}

bool hook_event_set_json(struct vmtape_event *event, const char *json)
{
	struct vmtape_hooks *hooks = hooks_of(event);

	strbuf_reset(&hooks->json);
	strbuf_put(&hooks->json, json);
	hooks->is_json_given = !hooks->json.failed;
	return hooks->is_json_given;
}

static const char *json_of(struct vmtape_hooks *hooks)
{
	struct strbuf *json = &hooks->json;

	if (hooks->is_json_given)
		return json->data;
	if (!hooks->nr_members)
		return NULL;
	strbuf_reset(json);
	for (size_t i = 0; i < hooks->nr_members; i++) {
		strbuf_put(json, i ? ", \"" : "{\"");
		strbuf_put_json(json, hooks->members[i].key, strlen(hooks->members[i].key));
		strbuf_put(json, "\": ");
		strbuf_put(json, hooks->members[i].json);
	}
	strbuf_put_char(json, '}');
	return json->failed ? NULL : json->data;
}

const char *vmtape_event_hook(struct vmtape_event *event)
{
	return json_of(hooks_of(event));
}

/* ---- messages -------------------------------------------------------- */

uint64_t hook_event_number(const struct vmtape_event *event)
{
	return ((const struct hook_event *)event)->hooks->number;
}

void hook_event_describe(const struct vmtape_event *event, struct strbuf *out)
{
	const struct vmtape_call *call = event->call;

	time_put_clock(out, event->trap->time_ns, false);
	strbuf_put_char(out, ' ');
	strbuf_put_escaped(out, call->process ? call->process : "?", strlen(call->process ? call->process : "?"));
	if (call->pid >= 0)
		strbuf_printf(out, "[%d]", call->pid);
	strbuf_printf(out, " %s of ", event->direction == VMTAPE_ENTER ? "entry" : "exit");
	if (call->name)
		strbuf_put_escaped(out, call->name, strlen(call->name));
	else
		strbuf_printf(out, "syscall %" PRId64, call->nr);
}

void hook_set_complain(struct vmtape_hooks *hooks, const struct vmtape_event *event, const char *what)
{
	struct strbuf text = {0};

	hooks->failures++;
	if (!hooks->log || hooks->failures > MAX_TOLD)
		return;
	hook_event_describe(event, &text);
	fprintf(hooks->log, "vmtape: hook failed at %s: %s\n", text.data ? text.data : "?", what);
	if (hooks->failures == MAX_TOLD)
		fprintf(hooks->log, "vmtape: further failures of hooks are only counted\n");
	strbuf_deinit(&text);
}

/* ---- running --------------------------------------------------------- */

static bool matches(const struct hook *hook, const struct call *call)
{
	if (!hook->name)
		return true;
	if (!call->syscall)
		return false;
	if (hook->is_pattern)
		return !fnmatch(hook->name, call->syscall->name, 0);
	return !strcmp(hook->name, call->syscall->name);
}

static bool wants(const struct vmtape_hooks *hooks, const struct call *call, enum vmtape_direction direction)
{
	for (size_t i = 0; i < hooks->nr_hooks; i++)
		if (hooks->hooks[i].direction == direction && matches(&hooks->hooks[i], call))
			return true;
	return false;
}

bool hook_set_wants(const struct vmtape_hooks *hooks, const struct call *call)
{
	return (call->has_enter && wants(hooks, call, VMTAPE_ENTER)) ||
	       (call->has_exit && wants(hooks, call, VMTAPE_EXIT));
}

static struct vmtape_error *run_direction(struct vmtape_hooks *hooks, struct hook_event *event, const struct call *call,
					  const struct trap_view *view, struct hook_outcome *out)
{
	struct vmtape_error *error;

	if (!wants(hooks, call, event->shown.direction))
		return NULL;
	error = public_trap_show(&hooks->trap, event->shown.tape, view, call, &call->thread);
	if (error)
		return error;
	for (size_t i = 0; i < hooks->nr_hooks; i++) {
		const struct hook *hook = &hooks->hooks[i];
		int result;

		if (hook->direction != event->shown.direction || !matches(hook, call))
			continue;
		result = hook->fn(hook->ctx, &event->shown);
		out->stop |= result == VMTAPE_HOOK_STOP;
		if (result < 0)
			hook_set_complain(hooks, &event->shown, "it says so");
	}
	return NULL;
}

static void begin(struct vmtape_hooks *hooks, struct vmtape_tape *tape, const struct call *call,
		  struct hook_event *event)
{
	hooks->number++;
	drop_members(hooks);
	public_call_show(&hooks->call, tape, call);
	*event = (struct hook_event){
		.shown = {.tape = tape, .call = &hooks->call.shown, .trap = &hooks->trap.shown},
		.hooks = hooks,
	};
}

static void finish(struct vmtape_hooks *hooks, struct hook_event *event, struct hook_outcome *out)
{
	if (hooks->after)
		hooks->after(hooks->after_ctx, &event->shown);
	out->json = json_of(hooks);
}

struct vmtape_error *hook_set_call(struct vmtape_hooks *hooks, struct vmtape_tape *tape, const struct call *call,
				   struct hook_outcome *out)
{
	struct vmtape_error *error = NULL;
	struct hook_event event;

	*out = (struct hook_outcome){0};
	if (!hook_set_wants(hooks, call))
		return NULL;
	begin(hooks, tape, call, &event);
	event.shown.direction = VMTAPE_ENTER;
	if (call->has_enter)
		error = run_direction(hooks, &event, call, &call->enter, out);
	event.shown.direction = VMTAPE_EXIT;
	if (!error && call->has_exit)
		error = run_direction(hooks, &event, call, &call->exit, out);
	if (!error)
		finish(hooks, &event, out);
	return error;
}

struct vmtape_error *hook_set_trap(struct vmtape_hooks *hooks, struct vmtape_tape *tape, const struct trap_view *view,
				   const struct call *call, struct hook_outcome *out)
{
	struct vmtape_error *error;
	struct hook_event event;

	*out = (struct hook_outcome){0};
	if (!hook_set_wants(hooks, call))
		return NULL;
	begin(hooks, tape, call, &event);
	event.shown.direction = view->header.type == TRAP_ENTER ? VMTAPE_ENTER : VMTAPE_EXIT;
	error = run_direction(hooks, &event, call, view, out);
	if (!error)
		finish(hooks, &event, out);
	return error;
}

struct vmtape_error *vmtape_hooks_run(struct vmtape_hooks *hooks, struct vmtape_tape *tape,
				      const struct vmtape_span *span)
{
	struct call_stream_options options = {.read_all = true,
					      .from_tsc = span ? span->from_tsc : 0,
					      .to_tsc = span && span->to_tsc ? span->to_tsc : UINT64_MAX};
	struct hook_outcome outcome = {0};
	struct call_stream *stream = NULL;
	struct filter *filter = NULL;
	struct call_item item;
	struct vmtape_error *error = public_filter(&filter, tape, span ? span->filter : NULL);
	bool more = true;

	options.fds = filter_needs_fds(filter);
	if (!error)
		error = call_stream_create(&stream, tape->session, &options);
	while (!error && !outcome.stop) {
		error = call_stream_next(stream, &item, &more);
		if (error || !more)
			break;
		if (!item.is_gap && filter_match(filter, &item.call, 0))
			error = hook_set_call(hooks, tape, &item.call, &outcome);
	}
	call_stream_destroy(stream);
	filter_destroy(filter);
	return error;
}
