#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each snapshot is memory at one moment, however fast the guest writes and whatever way its pages take.

A program in the guest writes pages in a known order; page_order_check finds in the tape whether each snapshot's pages
keep that order. Rounds with RAM that the recorder reads itself and with RAM that only QEMU can read. As a control, the
same check must notice pages that come from a snapshot later.
"""
import json
import os
import subprocess
import time

from guest_vm import Guest
from vm_env import BUILD, Failures, Recorder, image, need_programs, qemu, say, skip, vmtape, with_live_guest

FILE_MB = 64
PAGES = FILE_MB << 8
CHECK = os.path.join(BUILD, "tests", "page_order_check")
# pages a second (0: as fast as it can), pages in a run
LOADS = ((2000, 1), (0, 1), (0, 64))


def record(guest, tape, tag, rate, run):
    """A tape of a guest that writes all the while."""
    writer = f"page_writer /tmp/pages {FILE_MB} {tag}"
    guest.must(f"rm -f /tmp/pages /tmp/writer.log; {writer} fill 0 {run}; {writer} steady {rate} {run} >/tmp/writer.log & "
               "echo $! >/tmp/writer.pid; while ! grep -q writing /tmp/writer.log; do sleep 0.1; done", timeout=120)
    with Recorder(guest.socket_path, tape, "--plan", "none", "--snapshot-interval", "400ms") as recorder:
        recorder.wait_for("base snapshot taken", timeout=120)
        time.sleep(3)
        status = recorder.stop(timeout=120)
        log = recorder.log()
    guest.must("kill $(cat /tmp/writer.pid)")
    return status, log


def check_tape(failures, label, tape, tag):
    """The snapshots as vmtape info tells of them."""
    for words, what in (((), "each snapshot is of one moment"), (("--mix",), "the control: other pages are noticed")):
        result = subprocess.run([CHECK, tape, str(tag), str(PAGES), *words], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        failures.check(result.returncode == 0, f"{label}: {what}")
        if result.returncode:
            say(result.stdout)
    status, _, err = vmtape("verify", tape)
    failures.check(status == 0, f"{label}: vmtape verify: status {status} {err[-200:]}")
    snapshots = json.loads(vmtape("info", "--format", "json", tape)[1])["snapshots"]
    told = all(0 < shot["longest_pause_ns"] <= shot["pause_ns"] and shot["pauses"] > 0 and
               shot["pages_in_pause"] + shot["pages_protected"] + shot["pages_running"] > 0 for shot in snapshots)
    failures.check(told, f"{label}: the tape tells what each snapshot cost")
    say(f"{len(snapshots)} snapshots, paused for {[round(shot['pause_ns'] / 1e6, 1) for shot in snapshots]} ms, pages "
        f"protected {[shot['pages_protected'] for shot in snapshots]}")
    return snapshots


def run_guest(failures, shared):
    with Guest(qemu(), image("6.12"), smp=2, memory_mb=384, shared=shared) as guest:
        guest.wait_ready()
        protected = 0
        # Each load has a tag of its own: free memory still holds the pages of the one before.
        for tag, (rate, run) in enumerate(LOADS if shared else LOADS[-1:], 0x6f6e65206d6f6d65):
            label = f"RAM {'shared' if shared else 'private'}, {rate or 'unlimited'} pages/s in runs of {run}"
            tape = os.path.join(guest.folder, f"{rate}-{run}.vmt")
            status, log = record(guest, tape, tag, rate, run)
            failures.check(status == 0, f"{label}: the recorder ends with status {status}"
                           + ("" if status == 0 else f":\n{log}"))
            protected += sum(shot["pages_protected"] for shot in check_tape(failures, label, tape, tag))
            os.unlink(tape)
        if os.access("/dev/userfaultfd", os.R_OK | os.W_OK):
            failures.check(protected > 0, f"{protected} pages were protected in a pause and copied behind it")


def main():
    need_programs()
    if not os.access(CHECK, os.X_OK):
        skip(f"{CHECK} is not built")
    failures = Failures()
    for shared in (True, False):
        with_live_guest(run_guest, failures, shared)
    failures.finish()


if __name__ == "__main__":
    main()
