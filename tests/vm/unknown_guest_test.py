#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What vmtape can't identify still gives all that it has: raw numbers and registers, and a plain statement.

A machine in which nothing has run, one that only has its firmware, and a Linux of which no memory was recorded.
"""
import os
import time

from guest_vm import Guest
from vm_env import Failures, Recorder, image, need_programs, qemu, vmtape, vmtape_events


def record(failures, label, guest, *options):
    tape = os.path.join(guest.folder, f"{label.replace(' ', '-')}.vmt")
    with Recorder(guest.socket_path, tape, "--duration", "3s", *options) as recorder:
        status = recorder.wait(60)
        failures.check(status == 0, f"{label}: the recorder ends with status {status}")
    status, _, err = vmtape("verify", tape)
    failures.check(status == 0, f"{label}: vmtape verify, status {status} {err[-300:]}")
    status, out, err = vmtape("info", tape)
    text = (out + err).lower()
    failures.check(status == 0 and ("not found" in text or "unknown" in text or "not identified" in text),
                   f"{label}: vmtape info says that the guest is unknown, and why\n{out}{err}")
    status, out, err = vmtape("events", tape)
    failures.check(status in (0, 1) and len(err.splitlines()) <= 20,
                   f"{label}: vmtape events, status {status} {err[-300:]}")
    return tape


def main():
    need_programs()
    failures = Failures()
    with Guest(qemu(), image("6.12"), paused=True) as guest:
        record(failures, "nothing has run", guest)
        guest.qmp("cont")
        guest.wait_ready()
        failures.check(guest.run("echo alive")[1] == "alive\n", "nothing has run: the guest boots afterwards")
    with Guest(qemu(), None) as guest:
        time.sleep(1)
        record(failures, "firmware only", guest)
    with Guest(qemu(), image("6.12")) as guest:
        guest.wait_ready()
        guest.begin("i=0; while [ $i -lt 40 ]; do i=$((i+1)); cat /etc/passwd >/dev/null; sleep 0.1; done")
        tape = record(failures, "no memory", guest, "--no-snapshots", "--plan", "generic")
        events = vmtape_events(tape)
        complete = [event for event in events if event.get("state") == "complete"]
        failures.check(len(complete) > 50, f"no memory: {len(complete)} calls paired without knowing the guest")
        failures.check(all(isinstance(event.get("nr"), int) for event in complete), "no memory: numbers are there")
        failures.check(any('"/etc/passwd"' in str(argument.get("text", "")) or "/etc/passwd" in str(argument)
                           for event in events for argument in (event.get("args") or {}).values()),
                       "no memory: the generic plan caught the path")
        status, out, _ = vmtape("events", tape, "--traps")
        failures.check(status == 0 and len(out.splitlines()) >= 2 * len(complete), "no memory: raw traps are shown")
    failures.finish()


if __name__ == "__main__":
    main()
