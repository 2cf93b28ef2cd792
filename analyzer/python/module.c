/* SPDX-License-Identifier: MIT */
#include "module.h"

#include <string.h>

PyObject *module_error;

PyObject *module_raise(struct vmtape_error *error)
{
	PyObject *text = module_text(vmtape_error_message(error));

	vmtape_error_free(error);
	if (text)
		PyErr_SetObject(module_error, text);
	Py_XDECREF(text);
	return NULL;
}

PyObject *module_text(const char *text)
{
	if (!text)
		Py_RETURN_NONE;
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

PyObject *module_known(int64_t number)
{
	if (number < 0)
		Py_RETURN_NONE;
	return PyLong_FromLongLong(number);
}

bool module_set(PyObject *dict, const char *key, PyObject *value)
{
	int result = value ? PyDict_SetItemString(dict, key, value) : -1;

	Py_XDECREF(value);
	return !result;
}

PyObject *module_read_result(PyObject *buffer, const struct vmtape_read *r)
{
	PyObject *why = module_text(r->why), *snapshot = module_known(r->snapshot),
		 *snapshot_ns = module_known(r->snapshot_ns), *bytes = NULL, *result = NULL;

	if (why && snapshot && snapshot_ns)
		bytes = PySequence_GetSlice(buffer, 0, (Py_ssize_t)r->size_bytes);
	if (bytes)
		result = Py_BuildValue("OnOKOO", bytes, (Py_ssize_t)r->captured_bytes, snapshot,
				       (unsigned long long)r->snapshot_tsc, snapshot_ns, why);
	Py_XDECREF(bytes);
	Py_XDECREF(why);
	Py_XDECREF(snapshot);
	Py_XDECREF(snapshot_ns);
	Py_DECREF(buffer);
	return result;
}

PyObject *module_registers(const struct vmtape_register *registers, size_t n)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < n; i++)
		if (!module_set(dict, registers[i].name, PyLong_FromUnsignedLongLong(registers[i].value)))
			Py_CLEAR(dict);
	return dict;
}

PyObject *module_new_type(PyObject *module, PyType_Spec *spec, const char *name)
{
	PyObject *type = PyType_FromSpec(spec);

	if (!type)
		return NULL;
	Py_INCREF(type);
	if (PyModule_AddObject(module, name, type) < 0) {
		Py_DECREF(type);
		Py_DECREF(type);
		return NULL;
	}
	return type;
}

void module_free_object(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	release(self);
	Py_DECREF(type);
}

static PyObject *plain(PyObject *module, PyObject *args)
{
	static const char *const kinds[] = {"names", "string", "cut"};
	const char *text;
	enum vmtape_text kind;
	PyObject *bytes, *result;
	Py_ssize_t size_bytes;

	if (!PyArg_ParseTuple(args, "y:plain", &text))
		return NULL;
	size_bytes = (Py_ssize_t)vmtape_text_plain(text, &kind, NULL, 0);
	bytes = PyBytes_FromStringAndSize(NULL, size_bytes);
	if (!bytes)
		return NULL;
	vmtape_text_plain(text, &kind, PyBytes_AsString(bytes), (size_t)size_bytes);
	result = Py_BuildValue("sO", kinds[kind], bytes);
	Py_DECREF(bytes);
	return result;
}

static PyMethodDef functions[] = {
	{"plain", plain, METH_VARARGS,
	 "plain(text: bytes) -> (kind, bytes): a text without strace's quotes and escapes"},
	{"events", module_events, METH_VARARGS, "events(argv, load): runs `vmtape events` with hooks; its exit status"},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "vmtape._vmtape", .m_size = -1,
					.m_methods = functions};

PyMODINIT_FUNC PyInit__vmtape(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (!module)
		return NULL;
	module_error = PyErr_NewExceptionWithDoc(
		"vmtape.Error", "A tape, a filter or a time that can't be used; the text says what, where, what to do.",
		NULL, NULL);
	Py_XINCREF(module_error);
	if (!module_error || PyModule_AddObject(module, "Error", module_error) < 0 ||
	    PyModule_AddStringConstant(module, "version", vmtape_version()) < 0 || !module_add_tape(module) ||
	    !module_add_calls(module)) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
