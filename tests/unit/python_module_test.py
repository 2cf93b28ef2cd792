# SPDX-License-Identifier: MIT
"""python_module_test.py VMTAPE MAKE_GUEST_TAPE: the module vmtape, and what `vmtape events --hooks` does with files that are
not as they should be. The module comes by PYTHONPATH."""

import datetime
import gc
import json
import os
import subprocess
import sys
import tempfile
import weakref

import vmtape

command, make_guest_tape = sys.argv[1:]
PATH, BUFFER, PAGE = 0x7F0000001000, 0x7F0000001100, 0x700000
START_NS = 1767323045000000000


def raises(kind, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except kind as error:
        return str(error)
    raise AssertionError(f"{function} did not raise {kind}")


def check_tape(path):
    tape = vmtape.Tape(path)
    assert vmtape.version.count(".") == 2
    assert "nowhere" in raises(vmtape.Error, vmtape.Tape, "/nowhere/x.vmt")
    assert tape.guest["release"] == "6.66.0-test" and tape.guest["problem"] is None
    assert tape.records == 12 and tape.start_ns == START_NS + 1000 + 1000 and tape.end_ns == START_NS + 9000
    assert [s["base"] for s in tape.snapshots] == [True]
    assert tape.registers(0)["cr3"] == 0x6000 and tape.registers(1) == {} and tape.registers(0, 7) == {}

    calls = list(tape.calls())
    assert [call.name for call in calls] == ["openat", "read", "stat", "openat", None, "read"]
    opened, read, stat, refused, unnamed, unfinished = calls
    assert opened.args["filename"].string == "/etc/passwd" and opened.args["filename"] == PATH
    assert opened.args[0].number == -100 and opened.args[0].text == "AT_FDCWD" and opened.args["dfd"].string is None
    assert opened.args[-1].name == "mode" and list(opened.args) == ["dfd", "filename", "flags", "mode"]
    assert raises(KeyError, lambda: opened.args["nothing"])
    assert (opened.state, opened.ret, opened.error, opened.duration_ns) == ("complete", 3, None, 1000)
    assert opened.time_ns == START_NS + 2000 and opened.tsc == 2000 and opened.event is None and opened.hook is None
    assert (opened.process.pid, opened.process.name, opened.process.exe) == (100, "app", "/mnt/bin/app")
    assert stat.error == "ENOENT" and stat.process.tid == 101 and "\x1b" not in repr(stat)
    assert refused.process.ppid is None and refused.error == "EACCES" and unnamed.nr == 999
    assert unfinished.state == "open" and unfinished.ret is None and unfinished.ret_text == "?"

    memory = read.read_memory(BUFFER, 16)
    assert memory == b"root:x:0he read\0" and memory.captured == 8 and memory.why is None
    assert memory.snapshot == 0 and memory.snapshot_ns == START_NS + 1000
    assert read.read_memory(BUFFER, 16, when="enter") == b"before the read\0"
    assert raises(ValueError, read.read_memory, BUFFER, 16, when="later")
    assert raises(ValueError, read.read_memory, BUFFER, -1) and raises(ValueError, read.read_memory, BUFFER, 1 << 40)
    assert refused.read_string(refused.args[1]) == b"/etc/shadow"
    short = refused.process.read_memory(refused.args[1], 64)
    assert len(short) == 12 and "address space" in short.why
    assert tape.read_memory(BUFFER, 6, pid=100) == b"before" and tape.read_memory(BUFFER, 6, cr3=0x6000) == b"before"
    assert tape.read_memory(BUFFER, 6, pid=200).why and raises(ValueError, tape.read_memory, BUFFER, 6)
    assert tape.read_physical(PAGE, 11) == b"/etc/passwd" and tape.read_physical(1 << 40, 8) == b""

    at = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    for time in (START_NS + 6000, at, "03:04:05.000006", "+0.000004", stat):
        assert [call.name for call in tape.calls(from_=time)][0] == "stat", time
        assert len(list(tape.calls(to=time))) == 2, time
    assert raises(ValueError, tape.calls, from_=datetime.datetime(2026, 1, 2))
    assert raises(vmtape.Error, tape.calls, from_="soon") and raises(vmtape.Error, tape.calls, filter="proc.")
    assert len(list(tape.calls(filter="evt.failed"))) == 3 and tape.calls().lost == 0

    traps = list(tape.traps())
    assert len(traps) == 12 and traps[0].registers["rax"] == 257 and traps[0].fragments[0][1] == b"/etc/passwd"
    assert traps[6].type == "identity" and [t.type for t in tape.traps(filter="evt.dir = <")] == ["exit"] * 5
    processes = {process.pid: process for process in tape.processes()}
    assert processes[100].threads == 2 and processes[100].uid == 1100 and processes[200].name == "cat"
    assert processes[100].read_memory(BUFFER, 6) == b"before" and processes[2].kernel_thread and processes[103].zombie
    assert 200 not in [process.pid for process in tape.processes(at="+0.000001")]

    # What came from a tape outlives it, but for its memory; iterators end.
    iterator = tape.calls()
    next(iterator)
    tape.close()
    assert opened.args["filename"].string == "/etc/passwd"
    for use in (lambda: next(iterator), tape.calls, lambda: opened.read_memory(PATH, 1), lambda: tape.guest):
        assert raises(vmtape.Error, use) == "the tape has been closed"
    tape.close()
    with vmtape.Tape(os.fsencode(path)) as again:
        kept = next(iter(again.calls()))
    assert kept.name == "openat" and raises(TypeError, vmtape.Call)


def check_cycles(path):
    """What a tape keeps of itself goes with it, and so does its file."""
    before = len(os.listdir("/proc/self/fd"))
    for keep in (
        lambda tape: tape.calls(),
        lambda tape: tape.traps(),
        lambda tape: next(iter(tape.calls())),
        lambda tape: list(tape.calls()),
    ):
        tape = vmtape.Tape(path)
        tape.keep = keep(tape)
        gone = weakref.ref(tape)
        del tape
        gc.collect()
        assert gone() is None, keep
        # a call that holds itself, by what a hook has put there
        call = next(iter(vmtape.Tape(path).calls()))
        call.hook = {"again": call}
        del call
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before
    # one that asks for more as it goes
    class Last:
        def __del__(self):
            seen.append(next(self.calls).name)

    seen, last, tape = [], Last(), vmtape.Tape(path)
    last.calls, last.tape, tape.last = tape.calls(), tape, last
    del last, tape
    gc.collect()
    assert seen == ["openat"] and len(os.listdir("/proc/self/fd")) == before


def events(path, source, *options, name="hooks.py"):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/{name}", "w", encoding="utf-8") as out:
            out.write(source)
        done = subprocess.run(
            [command, "events", path, "--hooks", f"{folder}/{name}", *options], capture_output=True, text=True, timeout=60
        )
    return done.returncode, done.stdout, done.stderr


def refused(path, part, source, **keywords):
    status, out, err = events(path, source, **keywords)
    assert status == 2 and not out and part in err, (status, out, err)


def check_hooks(path):
    refused(path, "hooks.py:2: SyntaxError", "\ndef enter_openat(:\n")
    refused(path, "hooks.py:1: ZeroDivisionError", "1 / 0\n")
    refused(path, "no function in it is named enter_", "enter = 1\n")
    refused(path, "ends neither in .py nor in .so", "", name="hooks.txt")
    refused(path, "hooks.so", "no object", name="hooks.so")
    done = subprocess.run([command, "events", path, "--hooks", "/nowhere/h.py"], capture_output=True, text=True)
    assert done.returncode == 2 and "No such file" in done.stderr, done
    status, _, err = events(path, "def enter_all(s): pass\n", "--frobnicate")
    assert status == 2 and "--frobnicate" in err

    # Each of its kind once: an exception, a value that JSON has not, a bad name.
    source = "def enter_stat(s):\n    raise OSError('gone')\ndef exit_read(s):\n    s.hook = {1, 2}\n"
    status, out, err = events(path, source + "def exit_openat(s):\n    s.hook = s.event.rbx\n", "--format", "json")
    assert status == 3 and len(out.splitlines()) == 6, (status, out, err)
    assert all("hook" not in json.loads(line) for line in out.splitlines())
    assert "entry of stat" in err and "hooks.py:2: OSError: gone" in err and "TypeError" in err
    assert "hooks failed 4 times" in err and "no register 'rbx'" in err

    source = "n = 0\ndef enter_all(s):\n    global n\n    n += 1\n    s.hook = n\n    return n < 3\n"
    status, out, err = events(path, source, "--format", "json")
    assert status == 0 and [json.loads(line)["hook"] for line in out.splitlines()] == [1, 2, 3], (out, err)
    status, out, err = events(path, source.replace("return n < 3", "raise SystemExit"), "--format", "json")
    assert status == 0 and len(out.splitlines()) == 1, (out, err)
    status, out, err = events(path, source.replace("    return n < 3\n", ""), "--format", "nitro", "--count", "4")
    items = json.loads(out)
    assert status == 0 and [item.get("hook") for item in items] == [1, None, 2, None] and not err, (out, err)

    # Followed to its end: calls as they are over; and with traps of their own.
    source = "kept = []\ndef exit_all(s):\n    kept.append(s)\n    s.hook = [k.name for k in kept]\n"
    status, out, err = events(path, source, "--follow", "--format", "json", "-f", "proc.name = cat")
    assert status == 0 and json.loads(out.splitlines()[-1])["hook"] == ["openat", None], (out, err)
    status, out, err = events(path, source, "--traps", "--format", "json", "-f", "evt.type = stat")
    assert status == 0 and [json.loads(line).get("hook") for line in out.splitlines()] == [None, ["stat"]], (out, err)
    # Bytes that are no UTF-8, and what a print writes.
    status, out, err = events(path, "def enter_stat(s):\n    s.hook = '\\udc80\\x1b'\n    print('here')\n", "--format", "json")
    assert status == 0 and '"hook": "\ufffd\\u001b"' in out and err == "here\n", (out, err)
    # Only the first are told.
    source = "import vmtape\ndef fail(s): raise ValueError\n" + "".join(
        f"@vmtape.hook('*')\ndef h{i}(s): fail(s)\n" for i in range(4)
    )
    status, out, err = events(path, source)
    assert status == 3 and "hooks failed 44 times" in err and len(err.splitlines()) == 22, err


with tempfile.TemporaryDirectory() as place:
    tape_path = f"{place}/guest.vmt"
    subprocess.run([make_guest_tape, tape_path], check=True)
    check_tape(tape_path)
    check_cycles(tape_path)
    check_hooks(tape_path)
