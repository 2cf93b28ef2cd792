/* SPDX-License-Identifier: MIT */
#include "hook_plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ARGS 256

struct hook_plugin {
	struct vmtape_hooks *hooks;
	struct vmtape_tape tape;
	void *library;
	const struct hook_host *host;
};

const struct hook_host *hook_host_python;

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);

	return length > n && !strcmp(text + length - n, end);
}

/* ---- Python ---------------------------------------------------------- */

bool hook_plugin_is_foreign(const char *file)
{
	return ends_with(file, ".py") && !hook_host_python;
}

/* Where the package vmtape is: beside the command in the folder of a build, else as it was installed. */
static struct vmtape_error *find_module(char *out, size_t size_bytes)
{
	static const char *const places[] = {"python", VMTAPE_PYTHON_PLACE};
	char command[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", command, sizeof(command) - 1);
	struct stat info;

	if (length < 0)
		return vmtape_error_create(VMTAPE_ERROR_IO, "/proc/self/exe: %s", strerror(errno));
	command[length] = '\0';
	slash = strrchr(command, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char probe[PATH_MAX + 64];

		snprintf(probe, sizeof(probe), "%s/%s/vmtape/__init__.py", command, places[i]);
		if (stat(probe, &info))
			continue;
		snprintf(out, size_bytes, "%s/%s", command, places[i]);
		return NULL;
	}
	return vmtape_error_create(VMTAPE_ERROR_NOT_FOUND,
				   "hooks in Python need the module vmtape, which is not in %s/%s: this vmtape was "
				   "built without it (python3-dev)",
				   command, VMTAPE_PYTHON_PLACE);
}

struct vmtape_error *hook_plugin_exec(int argc, char **argv)
{
	/* In place of the empty entry, which would be the current folder. */
	static const char start[] = "import sys; sys.path[0] = sys.argv.pop(1); import vmtape.host; "
				    "sys.exit(vmtape.host.main(sys.argv[1:]))";
	const char *python = getenv("VMTAPE_PYTHON");
	char module[PATH_MAX + 64];
	char *args[MAX_ARGS + 8];
	struct vmtape_error *error = find_module(module, sizeof(module));
	int n = 0;

	if (error)
		return error;
	if (!python || !*python)
		python = "python3";
	if (argc > MAX_ARGS)
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "more than %d arguments", MAX_ARGS);
	args[n++] = (char *)python;
	args[n++] = "-c";
	args[n++] = (char *)start;
	args[n++] = module;
	for (int i = 0; i < argc; i++)
		args[n++] = argv[i];
	args[n] = NULL;
	execvp(python, args);
	return vmtape_error_create(VMTAPE_ERROR_IO, "hooks in Python: %s: %s; VMTAPE_PYTHON may name another", python,
				   strerror(errno));
}

/* ---- shared objects -------------------------------------------------- */

static struct vmtape_error *load_library(struct hook_plugin *plugin, const char *file)
{
	/* Without a slash it would be looked for elsewhere. */
	char *path = realpath(file, NULL);
	int (*init)(struct vmtape_hooks * hooks);

	if (!path)
		return vmtape_error_create(VMTAPE_ERROR_IO, "%s: %s", file, strerror(errno));
	plugin->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	free(path);
	if (!plugin->library)
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "hooks: %s", dlerror());
	*(void **)&init = dlsym(plugin->library, "vmtape_plugin_init");
	if (!init)
		return vmtape_error_create(VMTAPE_ERROR_USAGE,
					   "%s: it does not define vmtape_plugin_init(), see docs/hooks.md", file);
	if (init(plugin->hooks))
		return vmtape_error_create(VMTAPE_ERROR_USAGE, "%s: its vmtape_plugin_init() has failed", file);
	return NULL;
}

static void unload_library(struct hook_plugin *plugin)
{
	void (*end)(void);

	if (!plugin->library)
		return;
	*(void **)&end = dlsym(plugin->library, "vmtape_plugin_end");
	if (end)
		end();
	dlclose(plugin->library);
}

/* ---- both ------------------------------------------------------------ */

struct vmtape_error *hook_plugin_open(struct hook_plugin **out, const char *file)
{
	struct hook_plugin *plugin = calloc(1, sizeof(*plugin));
	struct vmtape_error *error;

	*out = NULL;
	if (!plugin)
		return &vmtape_error_no_memory;
	plugin->tape.is_borrowed = true;
	error = vmtape_hooks_create(&plugin->hooks);
	if (!error)
		hook_set_log(plugin->hooks, stderr);
	if (error) {
	} else if (ends_with(file, ".py")) {
		plugin->host = hook_host_python;
		error = plugin->host->load(plugin->host->ctx, plugin->hooks, file);
	} else if (ends_with(file, ".so")) {
		error = load_library(plugin, file);
	} else {
		error = vmtape_error_create(VMTAPE_ERROR_USAGE, "hooks \"%s\": the name ends neither in .py nor in .so",
					    file);
	}
	if (error) {
		hook_plugin_close(plugin);
		return error;
	}
	*out = plugin;
	return NULL;
}

void hook_plugin_close(struct hook_plugin *plugin)
{
	if (!plugin)
		return;
	if (plugin->host)
		plugin->host->use(plugin->host->ctx, NULL);
	unload_library(plugin);
	public_memory_drop(&plugin->tape);
	vmtape_hooks_destroy(plugin->hooks);
	free(plugin);
}

static void use_session(struct hook_plugin *plugin, struct session *session)
{
	if (plugin->tape.session == session)
		return;
	public_memory_drop(&plugin->tape);
	plugin->tape.session = session;
	if (plugin->host)
		plugin->host->use(plugin->host->ctx, &plugin->tape);
}

struct vmtape_error *hook_plugin_call(struct hook_plugin *plugin, struct session *session, const struct call *call,
				      struct hook_outcome *out)
{
	use_session(plugin, session);
	return hook_set_call(plugin->hooks, &plugin->tape, call, out);
}

struct vmtape_error *hook_plugin_trap(struct hook_plugin *plugin, struct session *session, const struct trap_view *view,
				      const struct call *call, struct hook_outcome *out)
{
	use_session(plugin, session);
	return hook_set_trap(plugin->hooks, &plugin->tape, view, call, out);
}

void hook_plugin_forget(struct hook_plugin *plugin)
{
	if (plugin->host)
		plugin->host->use(plugin->host->ctx, NULL);
	public_memory_drop(&plugin->tape);
	plugin->tape.session = NULL;
}

uint64_t hook_plugin_failures(const struct hook_plugin *plugin)
{
	return vmtape_hooks_failed(plugin->hooks);
}
