#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmtape-record --filter: the producer itself leaves out the other calls, and what is left is complete and named."""
import os

from guest_vm import Guest
from vm_env import Failures, Recorder, image, need_programs, qemu, vmtape, vmtape_events

LOOP = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); cat /etc/passwd /no/such/file; sleep 0.1; done >/dev/null 2>&1"


def main():
    need_programs()
    failures = Failures()
    with Guest(qemu(), image("6.12")) as guest:
        guest.wait_ready()
        guest.begin(LOOP)
        tape = os.path.join(guest.folder, "filter.vmt")
        with Recorder(guest.socket_path, tape, "--duration", "5s", "--filter",
                      "evt.type in (openat, exit_group)") as recorder:
            status = recorder.wait(60)
            failures.check(status == 0, f"the recorder ends with status {status}")
        status, _, err = vmtape("verify", tape)
        failures.check(status == 0, f"vmtape verify, status {status} {err[-300:]}")
        events = vmtape_events(tape)
        # Until the guest was identified, everything was recorded: the last call of another kind ends that time.
        others = [i for i, event in enumerate(events) if event.get("syscall") not in ("openat", "exit_group")]
        events = events[others[-1] + 1 if others else 0:]
        opened = [event for event in events if event["syscall"] == "openat" and event["process"] == "cat"]
        paths = {event["args"]["filename"].get("text") for event in opened}
        failures.check(len(opened) > 20, f"{len(opened)} openat of cat")
        failures.check({"/etc/passwd", "/no/such/file"} <= paths, f"their paths: {sorted(map(str, paths))}")
        failures.check(all(event["state"] == "complete" and (event["ret"] >= 0 or event["error"] == "ENOENT")
                           for event in opened), "each has its result")
    failures.finish()


if __name__ == "__main__":
    main()
