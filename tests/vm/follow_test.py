#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tape that is followed while it is written, and a call that is a trigger.

`vmtape events --follow`, begun before the first snapshot is on the tape, shows the calls that reading the tape afterwards
shows, of an append tape and from tape to tape of a series. A recorder with --trigger-when freezes a ring, or copies it,
when a named program opens a named file; not when another program does, or it another file; and again when the process
that looks for the call was killed.
"""
import argparse
import collections
import glob
import json
import os
import re
import signal
import time

from guest_vm import Guest, GuestError, wait_until
from vm_env import VMTAPE, Failures, Recorder, Running, image, need_programs, qemu, say, vmtape

WORK = """
cd /tmp; echo hello >a; for i in 1 2 3; do cat a a >b; ls -l /tmp >/dev/null; done
(sleep 1; echo late >c) & grep -c root /etc/passwd; wait; dd if=/dev/zero of=d bs=4k count=200 2>/dev/null; rm -f a b c d
"""
SECRET = "/tmp/secret"
FILTER = f'proc.name = cat and evt.type in (open, openat) and evt.arg.filename = "{SECRET}"'


class Follower(Running):
    """vmtape events --follow on a tape; its lines are in self.lines() and what it says in self.said()."""

    def __init__(self, tape, *arguments):
        self.path = tape + ".follow"
        super().__init__([VMTAPE, "events", "--follow", *arguments, tape], self.path, self.path + ".said")

    def text(self):
        with open(self.path, "rb") as text:
            return text.read().decode(errors="surrogateescape")

    def lines(self):
        return self.text().split("\n")[:-1]

    def said(self):
        with open(self.path + ".said", "rb") as text:
            return text.read().decode(errors="replace")


def bare(line):
    """Without times: behind the last snapshot that there is so far they are by the TSC's frequency alone."""
    return re.sub(r" <\d+\.\d+>", "", line.split(" ", 1)[1])


def read_afterwards(tapes):
    lines = []
    for tape in tapes:
        status, out, err = vmtape("events", tape)
        if status != 0:
            raise GuestError(f"vmtape events {tape}: status {status}: {err}")
        lines += out.split("\n")[:-1]
    return lines


def check_same(failures, label, followed, afterwards):
    a, b = collections.Counter(map(bare, followed)), collections.Counter(map(bare, afterwards))
    more, less = list((a - b).elements()), list((b - a).elements())
    failures.check(followed and not more and not less,
                   f"{label}: {len(followed)} lines while it was written, {len(afterwards)} afterwards; only then: "
                   f"{len(more)} {more[:3]}, only afterwards: {len(less)} {less[:3]}")


def test_append(failures, guest, folder):
    tape = os.path.join(folder, "append.vmt")
    with Recorder(guest.socket_path, tape, "--snapshot-interval", "2s", "--force") as recorder:
        recorder.wait_for(r"recording ")
        with Follower(tape) as follower:
            recorder.wait_for(r"plan \d+ is in force")
            for _ in range(3):
                guest.must(WORK)
            begun = time.monotonic()
            guest.must("cat /etc/hostname-not-there 2>/dev/null || :")
            wait_until(lambda: "hostname-not-there" in follower.text(), 30, "a call in the follower's output")
            say(f"a call is shown {time.monotonic() - begun:.1f} s after the guest's shell was asked for it")
            failures.check(recorder.process.poll() is None, "append: shown while it is recorded")
            failures.check(recorder.stop() == 0, "append: the recorder ends with status 0")
            failures.check(follower.process.wait(60) == 0, f"append: the follower ends with the tape: {follower.said()}")
            failures.check("waiting for the first snapshot" in follower.said(), "append: it said what it waited for")
            failures.check("later than" not in follower.said(), "append: no record came late")
            check_same(failures, "append", follower.lines(), read_afterwards([tape]))


def test_series(failures, guest, folder):
    pattern = os.path.join(folder, "series-%Y%m%dT%H%M%SZ.vmt")
    for old in glob.glob(os.path.join(folder, "series-*")):
        os.remove(old)
    with Recorder(guest.socket_path, pattern, "--snapshot-interval", "2s", "--rotate", "--max-age", "6s",
                  log=os.path.join(folder, "series.log")) as recorder:
        recorder.wait_for(r"recording ")
        first = glob.glob(os.path.join(folder, "series-*.vmt"))[0]
        with Follower(first) as follower:
            recorder.wait_for(r"plan \d+ is in force")
            for _ in range(8):
                guest.must(WORK)
            failures.check(recorder.stop() == 0, "series: the recorder ends with status 0")
            failures.check(follower.process.wait(60) == 0, f"series: the follower ends with the last tape: {follower.said()}")
            tapes = sorted(glob.glob(os.path.join(folder, "series-*.vmt")))
            failures.check(len(tapes) > 1, f"series: {len(tapes)} tapes")
            check_same(failures, "series", follower.lines(), read_afterwards(tapes))


def test_interrupt(failures, guest, folder):
    tape = os.path.join(folder, "interrupt.vmt")
    with Recorder(guest.socket_path, tape, "--force") as recorder:
        recorder.wait_for(r"plan \d+ is in force")
        with Follower(tape, "--count", "5") as follower:
            guest.must(WORK)
            failures.check(follower.process.wait(60) == 0 and len(follower.lines()) == 5, "--count 5: five lines, status 0")
        with Follower(tape, "-f", "proc.name = nobody") as follower:
            time.sleep(2)
            follower.process.send_signal(signal.SIGINT)
            failures.check(follower.process.wait(10) == 0 and not follower.lines(), "SIGINT: status 0")
        recorder.stop()


def info(tape):
    status, out, err = vmtape("info", "--format", "json", tape)
    if status != 0:
        raise GuestError(f"vmtape info: status {status}: {err}")
    return json.loads(out)


def prepare(guest):
    guest.must(f"echo secret >{SECRET}; echo other >{SECRET}-not")
    return [f"head -n 1 {SECRET}", f"cat {SECRET}-not", f"ls -l {SECRET}"]


def check_inside(failures, label, tape):
    status, out, _ = vmtape("events", "-f", FILTER, tape)
    failures.check(status == 0 and SECRET in out, f"{label}: the call is on it: {out.splitlines()[-1:]}")
    return out


def test_freeze(failures, guest, folder):
    tape = os.path.join(folder, "freeze.vmt")
    others = prepare(guest)
    with Recorder(guest.socket_path, tape, "--ring-size", "64M", "--snapshot-interval", "2s", "--force", "--on-trigger",
                  "freeze", "--trigger-after", "500ms", "--trigger-when", FILTER) as recorder:
        recorder.wait_for(r"plan \d+ is in force")
        for other in others * 2:
            guest.must(other)
        time.sleep(5)
        failures.check(recorder.process.poll() is None and "trigger: a call" not in recorder.log(),
                       "freeze: nothing fired by other programs or other files")
        begun = time.monotonic()
        guest.must(f"cat {SECRET}")
        failures.check(recorder.wait(60) == 0, f"freeze: the recorder ends by itself, with status 0, "
                       f"{time.monotonic() - begun:.1f} s after the call was asked for")
        log = recorder.log()
        say(" | ".join(line for line in log.splitlines() if "trigger" in line or "matched" in line))
        failures.check(re.search(r"trigger: a call matched: .* cat\[\d+.*" + SECRET, log), "freeze: the log has the call")
    check_inside(failures, "freeze", tape)
    status, out, _ = vmtape("verify", tape)
    failures.check(status == 0, f"freeze: vmtape verify: {out.splitlines()[-1:]}")
    failures.check("frozen by a trigger: a call matched" in json.dumps(info(tape)), "freeze: the tape's reason has it, too")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as text:
        return [int(child) for child in text.read().split()]


def test_copy(failures, guest, folder):
    tape = os.path.join(folder, "copy.vmt")
    for old in glob.glob(os.path.join(folder, "copy-trigger-*")):
        os.remove(old)
    prepare(guest)
    with Recorder(guest.socket_path, tape, "--ring-size", "64M", "--snapshot-interval", "2s", "--force", "--on-trigger",
                  "copy", "--trigger-rest", "2s", "--trigger-when", FILTER) as recorder:
        recorder.wait_for(r"plan \d+ is in force")
        guest.must(f"for i in 1 2 3 4 5; do cat {SECRET}; done")
        recorder.wait_for(r"copy-trigger-.*: the tape as it was")
        recorder.wait_for(r"4 more calls matched meanwhile", 30)
        failures.check(recorder.log().count("a call matched") == 1, "copy: five calls are one trigger")
        os.kill(children(recorder.process.pid)[0], signal.SIGKILL)
        recorder.wait_for(r"nobody looks for calls .* killed by signal 9; again in 1 s")
        recorder.wait_for(r"are looked for again")
        time.sleep(4)
        failures.check(recorder.log().count("a call matched") == 1, "copy: what was before is no trigger again")
        guest.must(f"cat {SECRET}")
        wait_until(lambda: recorder.log().count(": the tape as it was") == 2, 60, "a second copy")
        failures.check(recorder.stop() == 0, "copy: the recorder ends with status 0")
        say(" | ".join(line for line in recorder.log().splitlines() if "CPU time" in line))
    copies = sorted(glob.glob(os.path.join(folder, "copy-trigger-*")))
    failures.check(len(copies) == 2, f"copy: {len(copies)} copies")
    for copy in copies:
        check_inside(failures, os.path.basename(copy), copy)
        status, out, _ = vmtape("verify", copy)
        failures.check(status == 0, f"{os.path.basename(copy)}: vmtape verify: {out.splitlines()[-1:]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", metavar="DIR", help="leave the tapes there")
    parser.add_argument("--only", metavar="NAME", help="this part: append, series, interrupt, freeze, copy")
    options = parser.parse_args()
    need_programs()
    failures = Failures()
    parts = {"append": test_append, "series": test_series, "interrupt": test_interrupt, "freeze": test_freeze,
             "copy": test_copy}
    with Guest(qemu(), image("6.12"), "pti=on", smp=2, memory_mb=256) as guest:
        guest.wait_ready()
        for name, part in parts.items():
            if options.only in (None, name):
                part(failures, guest, options.keep or guest.folder)
    failures.finish()


if __name__ == "__main__":
    main()
