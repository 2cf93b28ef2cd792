/* SPDX-License-Identifier: MIT */
/*
 * _vmtape.events(): the command's `events` inside Python. The file's functions
 * are loaded by the package's host.py; here they are called.
 */
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "hook_plugin.h"

struct python_hook {
	PyObject *function;
	struct python_hook *next;
	struct host *host;
};

struct host {
	PyObject *load; /* load(file) -> (cls, [(direction, name, function)], dumps, describe) */
	PyObject *cls, *dumps, *describe;
	PyObject *tape; /* of the events at hand; borrowed from the command */
	struct vmtape_hooks *hooks;
	struct python_hook *functions;
	PyObject *call; /* of the event at hand: both directions have the same */
	uint64_t number;
};

/* The exception that is set, as text of one line. */
static void complain(struct host *host, struct vmtape_event *event)
{
	PyObject *type, *value, *trace, *text = NULL;
	const char *what = NULL;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (value)
		text = PyObject_CallFunctionObjArgs(host->describe, value, trace ? trace : Py_None, NULL);
	if (text)
		what = PyUnicode_AsUTF8AndSize(text, NULL);
	hook_set_complain(host->hooks, event, what ? what : "an exception that can't be shown");
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

static PyObject *event_of(const struct vmtape_event *event)
{
	const struct vmtape_trap *trap = event->trap;
	PyObject *registers = module_registers(trap->registers, trap->nr_registers), *time = NULL, *result = NULL;

	if (registers)
		time = module_known(trap->time_ns);
	if (time)
		result = Py_BuildValue("ssOKIO", trap->type, trap->via, time, (unsigned long long)trap->tsc, trap->vcpu,
				       registers);
	Py_XDECREF(time);
	Py_XDECREF(registers);
	return result;
}

/* The call's object, with the event at hand set. */
static PyObject *call_of(struct host *host, struct vmtape_event *event)
{
	PyObject *at;
	int result;

	if (!host->tape)
		return PyErr_NoMemory();
	if (!host->call || host->number != hook_event_number(event)) {
		Py_CLEAR(host->call);
		host->call = module_call_create(host->cls, host->tape, event->call);
		host->number = hook_event_number(event);
	}
	if (!host->call)
		return NULL;
	at = event_of(event);
	result = at ? PyObject_SetAttrString(host->call, "_trap", at) : -1;
	Py_XDECREF(at);
	return result < 0 ? NULL : host->call;
}

static int run_hook(void *ctx, struct vmtape_event *event)
{
	struct python_hook *hook = ctx;
	PyObject *call = call_of(hook->host, event);
	PyObject *result = call ? PyObject_CallFunctionObjArgs(hook->function, call, NULL) : NULL;
	int stop = result == Py_False ? VMTAPE_HOOK_STOP : VMTAPE_HOOK_GO_ON;

	if (result) {
		Py_DECREF(result);
		return stop;
	}
	/* sys.exit() and Ctrl-C are no mistakes of a hook. */
	stop = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) || PyErr_ExceptionMatches(PyExc_SystemExit);
	if (stop)
		PyErr_Clear();
	else
		complain(hook->host, event);
	return stop ? VMTAPE_HOOK_STOP : VMTAPE_HOOK_GO_ON;
}

/* What the hooks left in call.hook. */
static void after_hooks(void *ctx, struct vmtape_event *event)
{
	struct host *host = ctx;
	PyObject *hook, *json = NULL;
	const char *text = NULL;

	if (!host->call || host->number != hook_event_number(event))
		return;
	hook = PyObject_GetAttrString(host->call, "hook");
	if (hook && hook != Py_None) {
		json = PyObject_CallFunctionObjArgs(host->dumps, hook, NULL);
		text = json ? PyUnicode_AsUTF8AndSize(json, NULL) : NULL;
	}
	if (text)
		hook_event_set_json(event, text);
	else if (PyErr_Occurred())
		complain(host, event);
	Py_XDECREF(json);
	Py_XDECREF(hook);
}

static struct vmtape_error *add_function(struct host *host, const char *direction, const char *name, PyObject *function)
{
	struct python_hook *hook = calloc(1, sizeof(*hook));

	if (!hook)
		return &vmtape_error_no_memory;
	Py_INCREF(function);
	*hook = (struct python_hook){.function = function, .next = host->functions, .host = host};
	host->functions = hook;
	return vmtape_hooks_add(host->hooks, strcmp(direction, "exit") ? VMTAPE_ENTER : VMTAPE_EXIT, name, run_hook,
				hook);
}

static struct vmtape_error *add_functions(struct host *host, PyObject *list)
{
	struct vmtape_error *error = NULL;
	Py_ssize_t n = PyList_Size(list);

	for (Py_ssize_t i = 0; i < n && !error; i++) {
		const char *direction, *name;
		PyObject *function;

		if (!PyArg_ParseTuple(PyList_GetItem(list, i), "ssO", &direction, &name, &function))
			return vmtape_error_create(VMTAPE_ERROR_USAGE, "the module vmtape is not of this version");
		error = add_function(host, direction, name, function);
	}
	return error;
}

/* load() raises vmtape.Error with a text for people; anything else is told by Python. */
static struct vmtape_error *load_error(const char *file)
{
	PyObject *type, *value, *trace, *text = NULL;
	const char *what = NULL;
	struct vmtape_error *error;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	text = value ? PyObject_Str(value) : NULL;
	what = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
	error = vmtape_error_create(VMTAPE_ERROR_USAGE, "hooks: %s", what ? what : file);
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
	return error;
}

static struct vmtape_error *load(void *ctx, struct vmtape_hooks *hooks, const char *file)
{
	struct host *host = ctx;
	PyObject *name = PyUnicode_DecodeFSDefault(file), *result = NULL, *list;
	struct vmtape_error *error;

	host->hooks = hooks;
	if (name)
		result = PyObject_CallFunctionObjArgs(host->load, name, NULL);
	Py_XDECREF(name);
	if (!result || !PyArg_ParseTuple(result, "OOOO", &host->cls, &list, &host->dumps, &host->describe)) {
		host->cls = host->dumps = host->describe = NULL;
		Py_XDECREF(result);
		return load_error(file);
	}
	Py_INCREF(host->cls);
	Py_INCREF(host->dumps);
	Py_INCREF(host->describe);
	error = add_functions(host, list);
	Py_DECREF(result);
	hook_set_after(hooks, after_hooks, host);
	return error;
}

static void use(void *ctx, struct vmtape_tape *tape)
{
	struct host *host = ctx;

	Py_CLEAR(host->call);
	if (host->tape)
		module_tape_forget(host->tape);
	Py_CLEAR(host->tape);
	if (tape)
		host->tape = module_tape_borrow(tape);
}

static void host_deinit(struct host *host)
{
	while (host->functions) {
		struct python_hook *hook = host->functions;

		host->functions = hook->next;
		Py_DECREF(hook->function);
		free(hook);
	}
	Py_XDECREF(host->call);
	Py_XDECREF(host->tape);
	Py_XDECREF(host->cls);
	Py_XDECREF(host->dumps);
	Py_XDECREF(host->describe);
}

static void free_args(char **argv, Py_ssize_t n)
{
	for (Py_ssize_t i = 0; argv && i < n; i++)
		free(argv[i]);
	free(argv);
}

static char **copy_args(PyObject *list, Py_ssize_t n)
{
	char **argv = calloc((size_t)n + 1, sizeof(*argv));

	for (Py_ssize_t i = 0; argv && i < n; i++) {
		PyObject *bytes = NULL;

		if (!PyUnicode_FSConverter(PyList_GetItem(list, i), &bytes)) {
			free_args(argv, n);
			return NULL;
		}
		argv[i] = strdup(PyBytes_AsString(bytes));
		Py_DECREF(bytes);
	}
	if (!argv)
		PyErr_NoMemory();
	return argv;
}

PyObject *module_events(PyObject *module, PyObject *args)
{
	struct host host = {0};
	struct hook_host ways = {load, use, &host};
	PyObject *list;
	char **argv, **given;
	Py_ssize_t n;
	int status;

	if (!PyArg_ParseTuple(args, "OO:events", &list, &host.load))
		return NULL;
	n = PyList_Size(list);
	if (n < 1) {
		PyErr_SetString(PyExc_ValueError, "events: no arguments");
		return NULL;
	}
	argv = copy_args(list, n);
	/* getopt_long() changes the order. */
	given = argv ? malloc(((size_t)n + 1) * sizeof(*given)) : NULL;
	if (!given) {
		free_args(argv, n);
		return PyErr_Occurred() ? NULL : PyErr_NoMemory();
	}
	memcpy(given, argv, ((size_t)n + 1) * sizeof(*given));
	hook_host_python = &ways;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	status = cmd_events((int)n, given);
	hook_host_python = NULL;
	host_deinit(&host);
	free(given);
	free_args(argv, n);
	return PyLong_FromLong(status);
}
