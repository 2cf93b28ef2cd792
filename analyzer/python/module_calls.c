/* SPDX-License-Identifier: MIT */
/* _vmtape.Call and the iterators. */
#include "module.h"

struct module_call {
	PyObject_HEAD struct vmtape_call *call;
	PyObject *tape;
};

/* One of the two; both NULL: at the end. */
struct module_iterator {
	PyObject_HEAD struct vmtape_calls *calls;
	struct vmtape_traps *traps;
	PyObject *tape;
	PyObject *cls; /* of calls */
};

static PyObject *call_type, *iterator_type;

/* ---- calls ----------------------------------------------------------- */

PyObject *module_call_create(PyObject *cls, PyObject *tape, const struct vmtape_call *call)
{
	/* Of vmtape.Call; asking for one that is not set would be slow. */
	static const char *const slots[] = {"hook", "_trap", "_kept_args"};
	PyObject *self = PyType_GenericAlloc((PyTypeObject *)cls, 0);
	struct module_call *c = (struct module_call *)self;

	if (!self)
		return NULL;
	c->call = vmtape_call_copy(call);
	if (!c->call) {
		Py_DECREF(self);
		return PyErr_NoMemory();
	}
	Py_INCREF(tape);
	c->tape = tape;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		if (PyObject_SetAttrString(self, slots[i], Py_None) < 0) {
			Py_DECREF(self);
			return NULL;
		}
	}
	return self;
}

/* tape.first = call, and its like, are cycles. */
static int call_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct module_call *)self)->tape);
	return 0;
}

static int call_clear(PyObject *self)
{
	Py_CLEAR(((struct module_call *)self)->tape);
	return 0;
}

static void call_dealloc(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	vmtape_call_free(((struct module_call *)self)->call);
	call_clear(self);
	module_free_object(self);
}

enum call_member {
	CALL_NAME,
	CALL_NR,
	CALL_ABI,
	CALL_STATE,
	CALL_TIME,
	CALL_DURATION,
	CALL_TSC,
	CALL_VCPU,
	CALL_PID,
	CALL_TID,
	CALL_PPID,
	CALL_PROCESS,
	CALL_EXE,
	CALL_ARGS,
	CALL_RET,
	CALL_RET_TEXT,
	CALL_ERROR,
	CALL_INTERRUPTED,
	CALL_UNCERTAIN,
	CALL_SIGNAL,
};

static PyObject *show_args(const struct vmtape_call *call)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < call->nr_args; i++) {
		const struct vmtape_arg *arg = &call->args[i];
		PyObject *name = module_text(arg->name), *item = NULL;

		if (name)
			item = Py_BuildValue("OKLy", name, (unsigned long long)arg->value, (long long)arg->number,
					     arg->text);
		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
		Py_XDECREF(name);
	}
	return list;
}

static PyObject *call_get(PyObject *self, void *closure)
{
	static const char *const states[] = {"complete", "no-exit", "open", "exit-only"};
	const struct vmtape_call *call = ((struct module_call *)self)->call;

	switch ((enum call_member)(uintptr_t)closure) {
	case CALL_NAME:
		return module_text(call->name);
	case CALL_NR:
		return module_known(call->nr);
	case CALL_ABI:
		return module_text(call->abi);
	case CALL_STATE:
		return module_text(states[call->state]);
	case CALL_TIME:
		return module_known(call->time_ns);
	case CALL_DURATION:
		return module_known(call->duration_ns);
	case CALL_TSC:
		return PyLong_FromUnsignedLongLong(call->tsc);
	case CALL_VCPU:
		return PyLong_FromUnsignedLong(call->vcpu);
	case CALL_PID:
		return module_known(call->pid);
	case CALL_TID:
		return module_known(call->tid);
	case CALL_PPID:
		return module_known(call->ppid);
	case CALL_PROCESS:
		return module_text(call->process);
	case CALL_EXE:
		return module_text(call->exe);
	case CALL_ARGS:
		return show_args(call);
	case CALL_RET:
		if (!call->ret_known)
			Py_RETURN_NONE;
		return PyLong_FromLongLong(call->ret);
	case CALL_RET_TEXT:
		return module_text(call->ret_text);
	case CALL_ERROR:
		return module_text(call->error_name);
	case CALL_INTERRUPTED:
		return PyBool_FromLong(call->interrupted);
	case CALL_UNCERTAIN:
		return PyBool_FromLong(call->uncertain);
	case CALL_SIGNAL:
		return module_known(call->signal);
	}
	Py_RETURN_NONE;
}

/* (at_exit, gva, size, is_string) */
static PyObject *call_read(PyObject *self, PyObject *args)
{
	struct module_call *c = (struct module_call *)self;
	struct vmtape_read result;
	struct vmtape_error *error;
	unsigned long long gva;
	Py_ssize_t size_bytes;
	enum vmtape_direction when;
	PyObject *buffer;
	int at_exit, is_string;

	if (!module_open_tape(c->tape) ||
	    !PyArg_ParseTuple(args, "pKnp:_read", &at_exit, &gva, &size_bytes, &is_string))
		return NULL;
	if (size_bytes < 0 || size_bytes > MODULE_MAX_READ) {
		PyErr_Format(PyExc_ValueError, "a read of %zd bytes: want 0 to %u", size_bytes, MODULE_MAX_READ);
		return NULL;
	}
	buffer = PyBytes_FromStringAndSize(NULL, size_bytes);
	if (!buffer)
		return NULL;
	when = at_exit ? VMTAPE_EXIT : VMTAPE_ENTER;
	error = is_string ? vmtape_call_read_string(c->call, when, gva, PyBytes_AsString(buffer), (size_t)size_bytes,
						    &result)
			  : vmtape_call_read(c->call, when, gva, PyBytes_AsString(buffer), (size_t)size_bytes, &result);
	if (!error)
		return module_read_result(buffer, &result);
	Py_DECREF(buffer);
	return module_raise(error);
}

#define MEMBER(name, number, doc)                                      \
	{                                                              \
		name, call_get, NULL, doc, (void *)(uintptr_t)(number) \
	}
static PyGetSetDef call_members[] = {
	MEMBER("name", CALL_NAME, "\"openat\"; None: not known"),
	MEMBER("nr", CALL_NR, "its number; None: not known"),
	MEMBER("abi", CALL_ABI, "\"x86_64\", \"x32\" or \"i386\""),
	MEMBER("state", CALL_STATE, "\"complete\", \"no-exit\", \"open\" or \"exit-only\", as in vmtape-events(1)"),
	MEMBER("time_ns", CALL_TIME, "of the entry, in ns since 1970, UTC; None: the tape has no clock"),
	MEMBER("duration_ns", CALL_DURATION, "from entry to exit, in ns; None: not known"),
	MEMBER("tsc", CALL_TSC, "the guest's time stamp counter at the entry"),
	MEMBER("vcpu", CALL_VCPU, "of the entry"),
	MEMBER("_pid", CALL_PID, NULL),
	MEMBER("_tid", CALL_TID, NULL),
	MEMBER("_ppid", CALL_PPID, NULL),
	MEMBER("_process", CALL_PROCESS, NULL),
	MEMBER("_exe", CALL_EXE, NULL),
	MEMBER("_args", CALL_ARGS, NULL),
	MEMBER("ret", CALL_RET, "the result; None: not known"),
	MEMBER("ret_text", CALL_RET_TEXT, "the result as strace shows it"),
	MEMBER("error", CALL_ERROR, "\"ENOENT\"; None: it did not fail, or it is not known"),
	MEMBER("interrupted", CALL_INTERRUPTED, "a signal handler ran at its end"),
	MEMBER("signal", CALL_SIGNAL, "number of the signal whose handler that was; None: not known"),
	MEMBER("uncertain", CALL_UNCERTAIN, "records were lost that may belong to it"),
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef call_methods[] = {
	{"_read", call_read, METH_VARARGS, ""},
	{NULL, NULL, 0, NULL},
};

/* None is made but by a tape. */
static PyObject *refuse_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	PyErr_SetString(PyExc_TypeError, "calls are made by Tape.calls()");
	return NULL;
}

static PyType_Slot call_slots[] = {
	{Py_tp_dealloc, call_dealloc},
	{Py_tp_traverse, call_traverse},
	{Py_tp_clear, call_clear},
	{Py_tp_getset, call_members},
	{Py_tp_methods, call_methods},
	{Py_tp_new, refuse_new},
	{0, NULL},
};

/* ---- iterators ------------------------------------------------------- */

static PyObject *iterator_create(PyObject *tape, PyObject *cls)
{
	struct module_iterator *it = (struct module_iterator *)PyType_GenericAlloc((PyTypeObject *)iterator_type, 0);

	if (!it)
		return NULL;
	Py_INCREF(tape);
	it->tape = tape;
	((struct module_tape *)tape)->nr_users++;
	Py_XINCREF(cls);
	it->cls = cls;
	return (PyObject *)it;
}

PyObject *module_calls_create(PyObject *tape, PyObject *cls, const struct vmtape_span *span)
{
	struct vmtape_tape *open = module_open_tape(tape);
	PyObject *self;
	struct vmtape_error *error;

	if (!open)
		return NULL;
	if (!PyType_Check(cls) || !PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)call_type)) {
		PyErr_SetString(PyExc_TypeError, "calls are of a subclass of _vmtape.Call");
		return NULL;
	}
	self = iterator_create(tape, cls);
	if (!self)
		return NULL;
	error = vmtape_calls_create_span(&((struct module_iterator *)self)->calls, open, span);
	if (!error)
		return self;
	Py_DECREF(self);
	return module_raise(error);
}

PyObject *module_traps_create(PyObject *tape, const struct vmtape_span *span)
{
	struct vmtape_tape *open = module_open_tape(tape);
	PyObject *self = open ? iterator_create(tape, NULL) : NULL;
	struct vmtape_error *error;

	if (!self)
		return NULL;
	error = vmtape_traps_create(&((struct module_iterator *)self)->traps, open, span);
	if (!error)
		return self;
	Py_DECREF(self);
	return module_raise(error);
}

static int iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct module_iterator *)self)->tape);
	Py_VISIT(((struct module_iterator *)self)->cls);
	return 0;
}

/* What reads the tape goes before the tape may. */
static int iterator_clear(PyObject *self)
{
	struct module_iterator *it = (struct module_iterator *)self;
	PyObject *tape = it->tape;

	vmtape_calls_destroy(it->calls);
	vmtape_traps_destroy(it->traps);
	it->calls = NULL;
	it->traps = NULL;
	it->tape = NULL;
	if (tape)
		module_tape_release(tape);
	Py_XDECREF(tape);
	Py_CLEAR(it->cls);
	return 0;
}

static void iterator_dealloc(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	iterator_clear(self);
	module_free_object(self);
}

static PyObject *show_fragments(const struct vmtape_trap *trap)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < trap->nr_fragments; i++) {
		const struct vmtape_fragment *fragment = &trap->fragments[i];
		PyObject *whole = PyBool_FromLong(fragment->whole);
		PyObject *item = Py_BuildValue("Ky#O", (unsigned long long)fragment->gva, (const char *)fragment->bytes,
					       (Py_ssize_t)fragment->size_bytes, whole);

		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
		Py_DECREF(whole);
	}
	return list;
}

static PyObject *show_trap(const struct vmtape_trap *trap)
{
	PyObject *dict = PyDict_New();

	if (!dict)
		return NULL;
	if (module_set(dict, "type", module_text(trap->type)) && module_set(dict, "via", module_text(trap->via)) &&
	    module_set(dict, "abi", module_text(trap->abi)) &&
	    module_set(dict, "flags", PyLong_FromUnsignedLong(trap->flags)) &&
	    module_set(dict, "vcpu", PyLong_FromUnsignedLong(trap->vcpu)) &&
	    module_set(dict, "seq", PyLong_FromUnsignedLongLong(trap->seq)) &&
	    module_set(dict, "tsc", PyLong_FromUnsignedLongLong(trap->tsc)) &&
	    module_set(dict, "time_ns", module_known(trap->time_ns)) &&
	    module_set(dict, "pid", module_known(trap->pid)) && module_set(dict, "tid", module_known(trap->tid)) &&
	    module_set(dict, "ppid", module_known(trap->ppid)) &&
	    module_set(dict, "process", module_text(trap->process)) &&
	    module_set(dict, "exe", module_text(trap->exe)) && module_set(dict, "name", module_text(trap->name)) &&
	    module_set(dict, "nr", module_known(trap->nr)) &&
	    module_set(dict, "registers", module_registers(trap->registers, trap->nr_registers)) &&
	    module_set(dict, "fragments", show_fragments(trap)) &&
	    module_set(dict, "lost_records", PyLong_FromUnsignedLongLong(trap->lost_records)))
		return dict;
	Py_DECREF(dict);
	return NULL;
}

static PyObject *iterator_next(PyObject *self)
{
	struct module_iterator *it = (struct module_iterator *)self;
	const struct vmtape_call *call = NULL;
	const struct vmtape_trap *trap = NULL;
	struct vmtape_error *error;

	if (!module_open_tape(it->tape))
		return NULL;
	error = it->calls ? vmtape_calls_next(it->calls, &call) : vmtape_traps_next(it->traps, &trap);
	if (error)
		return module_raise(error);
	if (call)
		return module_call_create(it->cls, it->tape, call);
	return trap ? show_trap(trap) : NULL;
}

static PyObject *iterator_self(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

static PyObject *iterator_lost(PyObject *self, void *closure)
{
	struct module_iterator *it = (struct module_iterator *)self;

	return PyLong_FromUnsignedLongLong(it->calls ? vmtape_calls_lost(it->calls) : 0);
}

static PyGetSetDef iterator_members[] = {
	{"lost", iterator_lost, NULL, "records known to be lost so far", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot iterator_slots[] = {
	{Py_tp_dealloc, iterator_dealloc}, {Py_tp_traverse, iterator_traverse},
	{Py_tp_clear, iterator_clear},     {Py_tp_iter, iterator_self},
	{Py_tp_iternext, iterator_next},   {Py_tp_getset, iterator_members},
	{Py_tp_new, refuse_new},           {0, NULL},
};

static PyType_Spec call_spec = {
	.name = "vmtape._vmtape.Call",
	.basicsize = sizeof(struct module_call),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = call_slots,
};

static PyType_Spec iterator_spec = {
	.name = "vmtape._vmtape.Iterator",
	.basicsize = sizeof(struct module_iterator),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = iterator_slots,
};

bool module_add_calls(PyObject *module)
{
	call_type = module_new_type(module, &call_spec, "Call");
	iterator_type = call_type ? module_new_type(module, &iterator_spec, "Iterator") : NULL;
	return iterator_type;
}
