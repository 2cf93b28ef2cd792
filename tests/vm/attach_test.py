#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A recorder attached at a random moment of the guest's boot: what is found out too early must not stay wrong.

While the kernel boots, page tables, per-CPU areas and the decision on PTI change under whoever looks. After it the
tape must name who did what, with paths, and the recorder must have come to a plan that fits.
"""
import argparse
import os
import random
import time

from guest_vm import Guest, GuestError
from vm_env import Failures, Recorder, image, need_programs, qemu, say, vmtape, vmtape_events, with_live_guest

BOOT_S = 3.0


def attach_once(failures, series, append, delay):
    label = f"{series} {append}, attached {delay:.2f} s into the boot"
    with Guest(qemu(), image(series), append, smp=2, paused=True) as guest:
        tape = os.path.join(guest.folder, "boot.vmt")
        guest.qmp("cont")
        time.sleep(delay)
        with Recorder(guest.socket_path, tape) as recorder:
            guest.wait_ready()
            try:
                recorder.wait_for(r"plan \d+ is in force")
            except GuestError as error:
                failures.check(False, f"{label}: {error}")
                return
            # A plan of early boot gets the time that the recorder takes to notice.
            time.sleep(2)
            guest.must("sh -c 'cat /etc/passwd /no/such/file 2>/dev/null; exit 0'")
            status = recorder.stop()
            log = recorder.log()
        failures.check(status == 0, f"{label}: the recorder ends with status {status}")
        status, _, err = vmtape("verify", tape)
        failures.check(status == 0, f"{label}: vmtape verify: status {status} {err[-200:]}")
        calls = [(event["process"], event["args"]["filename"].get("text"), event["error"])
                 for event in vmtape_events(tape, "-f", "evt.type = openat") if event["args"]]
        good = {("cat", "/etc/passwd", None), ("cat", "/no/such/file", "ENOENT")} <= set(calls)
        failures.check(good, f"{label}: the tape names cat and what it opened"
                       + ("" if good else f"; instead {calls[-4:]}\n{log}\n{vmtape('info', tape)[1]}"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    need_programs()
    say(f"seed {options.seed}")
    rng = random.Random(options.seed)
    failures = Failures()
    for number in range(options.rounds):
        # The first moments are spread over the boot, so that each part of it is met.
        delay = (number + rng.random()) * BOOT_S / options.rounds
        with_live_guest(attach_once, failures, ("6.1", "6.12")[number % 2], ("pti=on", "nopti")[number // 2 % 2], delay)
    failures.finish()


if __name__ == "__main__":
    main()
