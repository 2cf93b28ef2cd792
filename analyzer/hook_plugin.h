/* SPDX-License-Identifier: MIT */
/*
 * hook_plugin.h - a FILE of `vmtape events --hooks`: a shared object, which is
 * loaded, or Python, for which the command is run again inside Python, by the
 * module vmtape. Only for the command; one thread an object.
 */
#ifndef HOOK_PLUGIN_H
#define HOOK_PLUGIN_H

#include "hook_set.h"

/* Who runs hooks of another language in this process. */
struct hook_host {
	/* Adds the file's hooks. */
	struct vmtape_error *(*load)(void *ctx, struct vmtape_hooks *hooks, const char *file);
	/* The events that follow are of this tape; NULL: there is none any more. */
	void (*use)(void *ctx, struct vmtape_tape *tape);
	void *ctx;
};
/* Of Python; NULL: this process is not Python's. */
extern const struct hook_host *hook_host_python;

/* The file is Python's, and this process is not: hook_plugin_exec() is to be called. */
bool hook_plugin_is_foreign(const char *file);
/* `vmtape argv` in Python instead of this process; returns only when that fails. argv[0] is the subcommand. */
struct vmtape_error *hook_plugin_exec(int argc, char **argv);

struct hook_plugin;
struct vmtape_error *hook_plugin_open(struct hook_plugin **out, const char *file);
/* Before the last session that it has seen is closed. NULL is allowed. */
void hook_plugin_close(struct hook_plugin *plugin);
/* As hook_set_call() and hook_set_trap(). */
struct vmtape_error *hook_plugin_call(struct hook_plugin *plugin, struct session *session, const struct call *call,
				      struct hook_outcome *out);
struct vmtape_error *hook_plugin_trap(struct hook_plugin *plugin, struct session *session, const struct trap_view *view,
				      const struct call *call, struct hook_outcome *out);
/* The session of the events so far is about to be closed, another one comes. */
void hook_plugin_forget(struct hook_plugin *plugin);
uint64_t hook_plugin_failures(const struct hook_plugin *plugin);

#endif
