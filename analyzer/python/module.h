/* SPDX-License-Identifier: MIT */
/*
 * module.h - the extension module vmtape._vmtape, inside: objects over vmtape.h,
 * by Python's limited API. Functions return NULL, or false, with a Python
 * exception set, as is the custom there. The Python side is the package vmtape.
 */
#ifndef MODULE_H
#define MODULE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <stdbool.h>

#include "vmtape.h"

/* vmtape.Error, set at import. */
extern PyObject *module_error;
/* Raises it with the error's message, and frees that. NULL. */
PyObject *module_raise(struct vmtape_error *error);

/* ---- objects --------------------------------------------------------- */

/* tape NULL: closed. One that is borrowed is the command's. */
struct module_tape {
	PyObject_HEAD struct vmtape_tape *tape;
	bool is_borrowed;
	size_t nr_users; /* iterators, which must be gone before it is closed */
	bool is_closing;
};
extern PyObject *module_tape_type;
/* Adds its types to the module. */
bool module_add_tape(PyObject *module);
bool module_add_calls(PyObject *module);
/* NULL: raised that it is closed. */
struct vmtape_tape *module_open_tape(PyObject *tape);
void module_tape_release(PyObject *tape);
PyObject *module_tape_borrow(struct vmtape_tape *tape);
void module_tape_forget(PyObject *tape); /* what is borrowed is gone */

/* An object of cls, a subclass of _vmtape.Call, with a copy of the call. */
PyObject *module_call_create(PyObject *cls, PyObject *tape, const struct vmtape_call *call);
PyObject *module_calls_create(PyObject *tape, PyObject *cls, const struct vmtape_span *span);
PyObject *module_traps_create(PyObject *tape, const struct vmtape_span *span);

/* module_host.c: _vmtape.events(). */
PyObject *module_events(PyObject *module, PyObject *args);

/* ---- values ---------------------------------------------------------- */

/* None for NULL; bytes that are no UTF-8 become surrogates, as in os.fsdecode(). */
PyObject *module_text(const char *text);
/* None below 0. */
PyObject *module_known(int64_t number);
/* Sets dict[key], and releases value, which may be NULL: false then. */
bool module_set(PyObject *dict, const char *key, PyObject *value);
/* (bytes, captured, snapshot, snapshot_tsc, snapshot_ns, why); takes buffer, a bytes object of what was asked for. */
PyObject *module_read_result(PyObject *buffer, const struct vmtape_read *result);
/* dict of name: value */
PyObject *module_registers(const struct vmtape_register *registers, size_t n);
PyObject *module_new_type(PyObject *module, PyType_Spec *spec, const char *name);
void module_free_object(PyObject *self);

#define MODULE_MAX_READ (1u << 30)

#endif
