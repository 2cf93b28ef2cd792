/* SPDX-License-Identifier: MIT */
/* _vmtape.Tape */
#include "module.h"

PyObject *module_tape_type;

struct vmtape_tape *module_open_tape(PyObject *self)
{
	struct module_tape *t = (struct module_tape *)self;

	if (t && t->tape && !t->is_closing)
		return t->tape;
	PyErr_SetString(module_error, "the tape has been closed");
	return NULL;
}

/* Iterators that are still there use the tape: the last of them closes it. */
static void close_if_unused(struct module_tape *t)
{
	if (!t->is_closing || t->nr_users)
		return;
	if (!t->is_borrowed)
		vmtape_close(t->tape);
	t->tape = NULL;
}

void module_tape_release(PyObject *self)
{
	struct module_tape *t = (struct module_tape *)self;

	t->nr_users--;
	close_if_unused(t);
}

PyObject *module_tape_borrow(struct vmtape_tape *tape)
{
	PyObject *self = PyType_GenericAlloc((PyTypeObject *)module_tape_type, 0);

	if (!self)
		return NULL;
	((struct module_tape *)self)->tape = tape;
	((struct module_tape *)self)->is_borrowed = true;
	return self;
}

void module_tape_forget(PyObject *self)
{
	((struct module_tape *)self)->tape = NULL;
}

static PyObject *tape_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	PyObject *path = NULL, *self;
	struct vmtape_error *error;

	if (!PyArg_ParseTuple(args, "O&:Tape", PyUnicode_FSConverter, &path))
		return NULL;
	self = PyType_GenericAlloc(type, 0);
	if (self) {
		error = vmtape_open(&((struct module_tape *)self)->tape, PyBytes_AsString(path));
		if (error) {
			Py_CLEAR(self);
			module_raise(error);
		}
	}
	Py_DECREF(path);
	return self;
}

static void tape_dealloc(PyObject *self)
{
	struct module_tape *t = (struct module_tape *)self;

	if (!t->is_borrowed)
		vmtape_close(t->tape);
	module_free_object(self);
}

static PyObject *tape_close(PyObject *self, PyObject *unused)
{
	((struct module_tape *)self)->is_closing = true;
	close_if_unused((struct module_tape *)self);
	Py_RETURN_NONE;
}

static PyObject *tape_facts(PyObject *self, PyObject *unused)
{
	struct vmtape_tape *tape = module_open_tape(self);
	PyObject *facts = tape ? PyDict_New() : NULL;

	if (!facts)
		return NULL;
	if (module_set(facts, "start_ns", module_known(vmtape_start_ns(tape))) &&
	    module_set(facts, "end_ns", module_known(vmtape_end_ns(tape))) &&
	    module_set(facts, "records", PyLong_FromUnsignedLongLong(vmtape_nr_records(tape))) &&
	    module_set(facts, "snapshots", PyLong_FromUnsignedLong(vmtape_nr_snapshots(tape))))
		return facts;
	Py_DECREF(facts);
	return NULL;
}

static PyObject *tape_guest(PyObject *self, PyObject *unused)
{
	struct vmtape_tape *tape = module_open_tape(self);
	PyObject *guest = tape ? PyDict_New() : NULL;

	if (!guest)
		return NULL;
	if (module_set(guest, "banner", module_text(vmtape_guest_banner(tape))) &&
	    module_set(guest, "release", module_text(vmtape_guest_release(tape))) &&
	    module_set(guest, "problem", module_text(vmtape_guest_problem(tape))))
		return guest;
	Py_DECREF(guest);
	return NULL;
}

static PyObject *tape_parse_time(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	struct vmtape_error *error;
	uint64_t tsc;
	const char *text;

	if (!tape || !PyArg_ParseTuple(args, "s:parse_time", &text))
		return NULL;
	error = vmtape_parse_time(tape, text, &tsc);
	return error ? module_raise(error) : PyLong_FromUnsignedLongLong(tsc);
}

static PyObject *tape_tsc_at(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	long long time_ns;
	uint64_t tsc;

	if (!tape || !PyArg_ParseTuple(args, "L:tsc_at", &time_ns))
		return NULL;
	if (vmtape_tsc_at(tape, time_ns, &tsc))
		return PyLong_FromUnsignedLongLong(tsc);
	PyErr_SetString(module_error, "the tape has no clock (no snapshot), so that times can't be placed");
	return NULL;
}

static bool read_span(PyObject *args, const char *format, PyObject **cls, struct vmtape_span *span)
{
	unsigned long long from_tsc, to_tsc;

	*span = (struct vmtape_span){0};
	if (!PyArg_ParseTuple(args, format, cls, &span->filter, &from_tsc, &to_tsc))
		return false;
	span->from_tsc = from_tsc;
	/* A span that ends at 0 is empty, and not all. */
	span->to_tsc = to_tsc ? to_tsc : 1;
	return true;
}

static PyObject *tape_calls(PyObject *self, PyObject *args)
{
	struct vmtape_span span;
	PyObject *cls;

	if (!read_span(args, "OzKK:_calls", &cls, &span))
		return NULL;
	return module_calls_create(self, cls, &span);
}

static PyObject *tape_traps(PyObject *self, PyObject *args)
{
	struct vmtape_span span;
	PyObject *cls;

	if (!read_span(args, "OzKK:_traps", &cls, &span))
		return NULL;
	return module_traps_create(self, &span);
}

static PyObject *show_process(const struct vmtape_process *process)
{
	PyObject *dict = PyDict_New();

	if (!dict)
		return NULL;
	if (module_set(dict, "pid", module_known(process->pid)) &&
	    module_set(dict, "ppid", module_known(process->ppid)) &&
	    module_set(dict, "threads", PyLong_FromUnsignedLong(process->nr_threads)) &&
	    module_set(dict, "name", module_text(process->name)) &&
	    module_set(dict, "exe", module_text(process->exe)) && module_set(dict, "uid", module_known(process->uid)) &&
	    module_set(dict, "started_ns", module_known(process->started_ns)) &&
	    module_set(dict, "kernel_thread", PyBool_FromLong(process->kernel_thread)) &&
	    module_set(dict, "zombie", PyBool_FromLong(process->zombie)))
		return dict;
	Py_DECREF(dict);
	return NULL;
}

static PyObject *tape_processes(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	struct vmtape_processes *processes;
	struct vmtape_error *error;
	unsigned long long tsc;
	PyObject *list;

	if (!tape || !PyArg_ParseTuple(args, "K:_processes", &tsc))
		return NULL;
	error = vmtape_processes_create(&processes, tape, tsc);
	if (error)
		return module_raise(error);
	list = PyList_New(0);
	for (size_t i = 0; list && i < vmtape_processes_count(processes); i++) {
		PyObject *row = show_process(vmtape_processes_get(processes, i));

		if (!row || PyList_Append(list, row) < 0)
			Py_CLEAR(list);
		Py_XDECREF(row);
	}
	vmtape_processes_destroy(processes);
	return list;
}

static PyObject *tape_snapshot(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	struct vmtape_snapshot info;
	unsigned index;
	PyObject *dict;

	if (!tape || !PyArg_ParseTuple(args, "I:_snapshot", &index))
		return NULL;
	if (!vmtape_snapshot_info(tape, index, &info)) {
		PyErr_Format(PyExc_IndexError, "the tape has no snapshot %u", index);
		return NULL;
	}
	dict = PyDict_New();
	if (dict && module_set(dict, "tsc", PyLong_FromUnsignedLongLong(info.tsc)) &&
	    module_set(dict, "time_ns", module_known(info.time_ns)) &&
	    module_set(dict, "vcpus", PyLong_FromUnsignedLong(info.nr_vcpus)) &&
	    module_set(dict, "pages", PyLong_FromUnsignedLongLong(info.nr_pages)) &&
	    module_set(dict, "ram_bytes", PyLong_FromUnsignedLongLong(info.ram_bytes)) &&
	    module_set(dict, "base", PyBool_FromLong(info.base)))
		return dict;
	Py_XDECREF(dict);
	return NULL;
}

static PyObject *tape_registers(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	unsigned index, vcpu;
	PyObject *dict;
	const char *name;
	uint64_t value;

	if (!tape || !PyArg_ParseTuple(args, "II:_registers", &index, &vcpu))
		return NULL;
	dict = PyDict_New();
	for (unsigned i = 0; dict && (name = vmtape_register_name(i)); i++)
		if (vmtape_snapshot_register(tape, index, vcpu, name, &value) &&
		    !module_set(dict, name, PyLong_FromUnsignedLongLong(value)))
			Py_CLEAR(dict);
	return dict;
}

/* kind: 0 physical, 1 virtual by CR3, 2 of a process; whose is the CR3 or the process id. */
static PyObject *tape_read(PyObject *self, PyObject *args)
{
	struct vmtape_tape *tape = module_open_tape(self);
	unsigned long long tsc, whose, gva;
	struct vmtape_read result;
	struct vmtape_error *error;
	Py_ssize_t size_bytes;
	PyObject *buffer;
	int kind;

	if (!tape || !PyArg_ParseTuple(args, "iKKKn:_read", &kind, &tsc, &whose, &gva, &size_bytes))
		return NULL;
	if (size_bytes < 0 || size_bytes > MODULE_MAX_READ) {
		PyErr_Format(PyExc_ValueError, "a read of %zd bytes: want 0 to %u", size_bytes, MODULE_MAX_READ);
		return NULL;
	}
	buffer = PyBytes_FromStringAndSize(NULL, size_bytes);
	if (!buffer)
		return NULL;
	if (kind == 0)
		error = vmtape_read_physical(tape, tsc, gva, PyBytes_AsString(buffer), (size_t)size_bytes, &result);
	else if (kind == 1)
		error = vmtape_read_virtual(tape, tsc, whose, gva, PyBytes_AsString(buffer), (size_t)size_bytes,
					    &result);
	else
		error = vmtape_read_process(tape, tsc, (int32_t)whose, gva, PyBytes_AsString(buffer),
					    (size_t)size_bytes, &result);
	if (!error)
		return module_read_result(buffer, &result);
	Py_DECREF(buffer);
	return module_raise(error);
}

static PyMethodDef methods[] = {
	{"close", tape_close, METH_NOARGS, "Closes the file; what was read stays, and can't read memory any more."},
	{"_facts", tape_facts, METH_NOARGS, ""},
	{"_guest", tape_guest, METH_NOARGS, ""},
	{"_parse_time", tape_parse_time, METH_VARARGS, ""},
	{"_tsc_at", tape_tsc_at, METH_VARARGS, ""},
	{"_calls", tape_calls, METH_VARARGS, ""},
	{"_traps", tape_traps, METH_VARARGS, ""},
	{"_processes", tape_processes, METH_VARARGS, ""},
	{"_snapshot", tape_snapshot, METH_VARARGS, ""},
	{"_registers", tape_registers, METH_VARARGS, ""},
	{"_read", tape_read, METH_VARARGS, ""},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, tape_new},
	{Py_tp_dealloc, tape_dealloc},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "vmtape._vmtape.Tape",
	.basicsize = sizeof(struct module_tape),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

bool module_add_tape(PyObject *module)
{
	module_tape_type = module_new_type(module, &spec, "Tape");
	return module_tape_type;
}
