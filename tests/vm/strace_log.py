# SPDX-License-Identifier: MIT
"""Reads what strace -ff -qqq wrote: one file a thread, one call a line, nothing interleaved but signals."""
import dataclasses
import os
import re

OPEN, CLOSE = "([{", ")]}"
ESCAPES = {"n": 10, "t": 9, "r": 13, "v": 11, "f": 12, "a": 7, "b": 8, "e": 27}


@dataclasses.dataclass
class StraceCall:
    name: str
    args: list          # texts as strace printed them, comments and names of fields removed
    ret: object         # int, or None for "?"
    error: object       # "ENOENT", "ERESTARTSYS" or None
    line: str
    where: str          # file:line
    moved: bool = False # an exec that gave the thread another id: it returned under that
    last: bool = False  # of its thread, which another may follow under the same id: one that executed a program
    signals: list = dataclasses.field(default_factory=list)  # names of those that came at its end, or after it


class StraceThread(list):
    """The StraceCalls of one thread, in order. Of a thread that was killed in its first call there may be none."""
    killed = False      # behind the last of them, maybe in a call that strace could not look at any more


def scan(text, start, stop):
    """Index of the first character of stop at depth 0 from start on; quotes, brackets, comments are skipped over."""
    depth, i = 0, start
    while i < len(text):
        char = text[i]
        if char == '"':
            i += 1
            while i < len(text) and text[i] != '"':
                i += 2 if text[i] == "\\" else 1
        elif text.startswith("/*", i):
            i = text.index("*/", i) + 1
        elif depth == 0 and char in stop:
            return i
        elif char in OPEN:
            depth += 1
        elif char in CLOSE:
            depth -= 1
        i += 1
    return -1


def split_args(text):
    """The arguments of "a, {b, c}, "d, e""."""
    args, start = [], 0
    while True:
        end = scan(text, start, ",")
        args.append(text[start:end if end >= 0 else len(text)].strip())
        if end < 0:
            return [] if args == [""] else args
        start = end + 1


def unquote(text):
    """(bytes, whole) of a C string literal as strace prints it, whole being False for "abc"... ; None if it is none."""
    if not text.startswith('"'):
        return None
    out, i = bytearray(), 1
    while i < len(text) and text[i] != '"':
        char = text[i]
        if char != "\\":
            out += char.encode()
            i += 1
            continue
        octal = re.match(r"[0-7]{1,3}", text[i + 1:i + 4])
        hexa = re.match(r"x([0-9a-fA-F]{2})", text[i + 1:i + 4])
        if octal:
            out.append(int(octal[0], 8) & 255)
            i += 1 + len(octal[0])
        elif hexa:
            out.append(int(hexa[1], 16))
            i += 4
        else:
            char = text[i + 1:i + 2]
            out.append(ESCAPES.get(char, ord(char or "\\")))
            i += 2
    return bytes(out), not text.endswith("...")


def number(text):
    """The value of "12", "-1", "0x3f", "0x4d /* AF_??? */" or "NULL"; None for anything else."""
    text = re.sub(r"\s*/\*.*\*/$", "", text)
    if text == "NULL":
        return 0
    try:
        return int(text, 8 if re.fullmatch(r"0[0-7]+", text) else 0)
    except ValueError:
        return None


def parse_line(line, where):
    paren = line.find("(")
    end = scan(line, paren + 1, ")")
    if paren <= 0 or end < 0:
        raise ValueError(f"{where}: not a system call: {line}")
    name, rest = line[:paren], line[end + 1:].strip()
    if name == "restart_syscall":  # it has no argument; strace says what goes on
        paren = end - 1
    args = [re.sub(r"\s*<unfinished \.\.\.>$", "", arg) for arg in split_args(line[paren + 1:end])]
    # clone() and mmap-like printers name their fields: keep what stands behind the "=".
    args = [re.sub(r"^[a-z_]+=(?=[^=])", "", arg) for arg in args if arg]
    result = re.match(r"=\s+(\?|-?0x[0-9a-f]+|-?\d+)(?:\s+(E[A-Z0-9_]+))?", rest)
    if not result:
        raise ValueError(f"{where}: no result: {line}")
    ret = None if result[1] == "?" else number(result[1])
    return StraceCall(name, args, ret, result[2], line, where)


def read_folder(files, prefix):
    """{tid: StraceThread} of the files {path: bytes} whose path is prefix.TID."""
    threads = {}
    for path, data in files.items():
        if not path.startswith(prefix + "."):
            continue
        calls = threads.setdefault(int(path[len(prefix) + 1:]), StraceThread())
        for index, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
            # An exec by a thread that is not the first: its log ends there, and the result stands in the first one's
            # as "<... execve resumed>) = 0" (if it failed, the thread's log would have gone on).
            line, moved = re.subn(r" <pid changed to \d+ \.\.\.>$", ") = 0", line)
            if line.startswith("<... execve") and calls:
                calls[-1].last = True
            if re.search(r"<(detached|unfinished) \.\.\.>$|^\?+\(|= \? <unavailable>$", line):
                # The thread was killed before strace could read its registers: what stands there is nothing, or those
                # of another thread's call.
                calls.killed = True
                continue
            if line.startswith("+++ killed"):
                calls.killed = True
            delivered = re.match(r"--- (SIG\w+) \{", line)
            if delivered and calls:
                calls[-1].signals.append(delivered[1])
            if line.startswith(("+++", "---", "strace: ", "<...")) or not line:
                continue
            calls.append(parse_line(line, f"{os.path.basename(path)}:{index}"))
            calls[-1].moved = bool(moved)
            calls.killed = False
        if calls:
            calls[-1].last = True
    return threads
