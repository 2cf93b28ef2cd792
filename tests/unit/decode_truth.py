#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the decoder's account of a program with strace's, line by line.

usage: decode_truth.py DECODE_TRACER WORKLOAD; exit status 77: skipped
"""
import ctypes
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

ADDR_NO_RANDOMIZE = 0x0040000
# Calls whose numbers name a process, or whose text is the decoder's own choice.
PIDS = re.compile(r"^(clone|wait4|kill|getpid|set_tid_address|rseq|set_robust_list|rt_sigqueueinfo|process_vm_readv|process_vm_writev)\b")
# Random bytes: strace prints all of them in hex, the decoder as any other buffer.
LEFT_OUT = re.compile(r"^(getrandom)\b")


def same_addresses():
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def run(command, folder):
    if os.path.exists(folder):
        shutil.rmtree(folder)
    os.mkdir(folder)
    environment = {"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0", "TZ": "UTC", "LC_ALL": "C"}
    return subprocess.run(command, cwd=folder, env=environment, preexec_fn=same_addresses, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode


def lines(path, skip_first):
    with open(path, encoding="utf-8", errors="surrogateescape") as log:
        text = [line for line in log.read().splitlines() if not line.startswith(("---", "+++", "[ Process"))]
    result = []
    for line in text[skip_first:]:
        if LEFT_OUT.match(line):
            continue
        # strace names the call that these stand for
        line = re.sub(r"^socketcall\(SYS_(\w+), \[(.*)\]\) = ", lambda m: f"{m[1].lower()}({m[2]}) = ", line)
        line = re.sub(r"^ipc\((\w+), \[(.*)\]\) = ", r"\1(\2) = ", line)
        # … and ipc's semctl with the union that its pointer points at in brackets
        line = re.sub(r"^(semctl\(.*), \[(\w+)\]\)(\s+= )", r"\1, \2)\3", line)
        line = re.sub(r"\)\s+= ", ") = ", line)
        if PIDS.match(line):
            line = re.sub(r"(?<![0-9a-fx])[0-9]{2,7}(?![0-9])", "PID", line)
        # numbers of System V's objects go on from run to run
        line = re.sub(r"^((?:shm|msg|sem)(?:get)\(.* = )[0-9]+$", r"\1ID", line)
        line = re.sub(r"^((?:shm|msg|sem)[a-z]+\()[0-9]+(?=,)", r"\1ID", line)
        result.append(line)
    return result


def main():
    tracer, workload = sys.argv[1:3]
    if not shutil.which("strace"):
        print("skipped: strace is not installed")
        return 77
    with tempfile.TemporaryDirectory() as base:
        ours, truth, folder = (os.path.join(base, name) for name in ("ours", "truth", "folder"))
        status = run([tracer, ours, workload], folder)
        if status == 77 or (status == 0 and run(["strace", "-s", "256", "-o", truth, workload], folder) != 7):
            print("skipped: tracing is not allowed here")
            return 77
        if status:
            print(f"{tracer} failed: {status}")
            return 1
        have, want = lines(ours, 0), lines(truth, 1)  # the tracer starts behind the execve
    names = {line.split("(")[0] for line in want}
    differences = [line for line in difflib.unified_diff(want, have, "strace", "decoded", lineterm="", n=0)]
    print("\n".join(differences))
    print(f"{len(want)} calls, {len(names)} different ones, {len(differences)} lines of difference")
    return 1 if differences or len(names) < 60 else 0


if __name__ == "__main__":
    sys.exit(main())
