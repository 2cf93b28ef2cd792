# SPDX-License-Identifier: MIT
"""Runs `vmtape events --hooks FILE.py`, for the command; nothing here is for import by users."""

import json
import os
import re
import signal
import sys
import traceback
import types

from . import Call, Error, _vmtape

_file = None  # of the hooks
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_surrogates = re.compile("[\ud800-\udfff]")
_controls = re.compile("[\x7f-\x9f]")


def describe(error, trace):
    """In one line: where in the file of the hooks, and what."""
    frames = traceback.extract_tb(trace)
    mine = [frame for frame in frames if frame.filename == _file] or frames
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}: "
    else:
        where = f"{mine[-1].filename}:{mine[-1].lineno}: " if mine else ""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    text = (where + text).replace("\n", " ").encode("utf-8", "backslashreplace").decode()
    # The guest may have a part in it.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def dumps(value):
    """JSON in one line, of UTF-8."""
    text = _controls.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value))
    return text if text.isascii() else _surrogates.sub("\ufffd", text)


def _hooks_of(module):
    found = []
    for name, value in vars(module).items():
        if not callable(value):
            continue
        marks = getattr(value, "_vmtape_hooks", None)
        if isinstance(marks, list):
            found += [(direction, pattern, value) for direction, pattern in marks]
            continue
        direction, _, call = name.partition("_")
        if direction in ("enter", "exit") and call:
            found.append((direction, "*" if call == "all" else call, value))
    return found


def load(file):
    """What module_host.c asks for: the class of calls, the hooks, how to write JSON, how to tell of an exception."""
    global _file
    _file = os.path.abspath(file)
    module = types.ModuleType("vmtape_hooks")
    module.__file__ = _file
    sys.modules[module.__name__] = module
    sys.path.insert(1, os.path.dirname(_file))
    try:
        with open(_file, "rb") as source:
            exec(compile(source.read(), _file, "exec"), module.__dict__)
    except OSError as error:
        raise Error(f"{file}: {error.strerror}" if error.filename == _file else describe(error, error.__traceback__))
    except Exception as error:
        raise Error(describe(error, error.__traceback__)) from None
    hooks = _hooks_of(module)
    if not hooks:
        raise Error(f"{file}: no function in it is named enter_… or exit_…, or marked with @vmtape.hook()")
    return Call, hooks, dumps, describe


def main(argv):
    """The command's exit status. Standard output is the events': what hooks print goes to standard error."""
    sys.stdout = sys.stderr
    # Python would see Ctrl-C only when a hook runs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _vmtape.events(argv, load)
