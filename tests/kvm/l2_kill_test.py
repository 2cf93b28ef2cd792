#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""On the patched KVM, with a busy L2 of two vCPUs: recorders come and go, stop, are killed; at last QEMU is killed.

The guest goes on each time, a stopped recorder holds it up no longer than its policy says, the tapes verify, and L1 is
well: its dmesg is clean, and the modules can be unloaded. The seed of the random moments can be given again.
"""
import argparse
import os
import random
import tempfile
import time

from kept_result import inputs_key, run_kept
from l1_parts import add_l2, new_archive
from l2_vm import L2, L1ForL2, L1Recorder, run_emulated

# From tests/vm, which l1_parts has put on the path.
from guest_vm import wait_until
from truth_test import ATTACHED, PLAN_IN_FORCE
from vm_env import Failures, image, need_programs, say, vmtape, vmtape_events

ROUNDS = 4
# Two of them keep both vCPUs in system calls; the counters tell that they go on.
BUSY = "for n in 1 2; do (i=0; while :; do i=$((i+1)); echo $i >/tmp/counter$n; done) >/dev/null 2>&1 & done; sleep 1"
# By cat, at once: the shell's own read goes byte by byte, and the file may be emptied in between.
READ = "for n in 1 2; do c=; until [ -n \"$c\" ]; do c=$(cat /tmp/counter$n); done; echo $c; done"


def counters(l2, timeout=60):
    return [int(line) for line in l2.must(READ, timeout).split()]


def check_goes_on(failures, l2, what, timeout=60):
    before = counters(l2, timeout)
    after = counters(l2, timeout)
    for _ in range(20):
        if all(new > old for old, new in zip(before, after)):
            break
        time.sleep(0.2)
        after = counters(l2, timeout)
    failures.check(all(new > old for old, new in zip(before, after)), f"{what}: L2 goes on, {before} to {after}")


def check_tape(failures, recorder, folder, what):
    """A tape of a recorder that was killed: it verifies, and holds calls."""
    tape = os.path.join(folder, "killed.vmt")
    recorder.bring_tape(tape)
    status, _, err = vmtape("verify", tape)
    failures.check(status == 0, f"{what}: vmtape verify, status {status} {err[-300:]}")
    calls = len(vmtape_events(tape))
    failures.check(calls > 100, f"{what}: {calls} calls on the tape")
    recorder.l1.must(f"rm -f {recorder.tape}*")


def come_and_go(failures, rng, l2, folder):
    for number in range(1, ROUNDS + 1):
        with L1Recorder(l2, "--no-snapshots", tape=f"gone{number}.vmt") as recorder:
            recorder.wait_for(ATTACHED)
            # Longer than --flush on a slow machine: what was not flushed a killed recorder may lose.
            time.sleep(rng.uniform(2.0, 4.0))
            killed = number % 2 == 0
            if killed:
                recorder.kill()
            else:
                failures.check(recorder.stop() == 0, f"recorder {number} ends in good order")
            check_goes_on(failures, l2, f"recorder {number} {'killed' if killed else 'gone'}")
            check_tape(failures, recorder, folder, f"recorder {number}")


def stop_recorder(failures, l2, policy):
    """SIGSTOP: the rings fill. In drop mode the guest does not wait, in block mode at most so long a record."""
    with L1Recorder(l2, "--no-snapshots", "--on-full", policy, "--block-limit", "20ms",
                    "--ring-bytes", "64K", tape=f"{policy}.vmt") as recorder:
        recorder.wait_for(ATTACHED)
        l2.l1.must(f"kill -STOP {recorder.pid}")
        check_goes_on(failures, l2, f"recorder stopped, --on-full {policy}", 120)
        l2.l1.must(f"kill -CONT {recorder.pid}")
        status = recorder.stop()
        failures.check(status == 0, f"the stopped recorder goes on and ends with status {status}")
        say("recorder: " + recorder.log().strip().splitlines()[-1])


def kill_qemu(failures, rng, l1, l2, folder):
    with L1Recorder(l2, tape="last.vmt") as recorder:
        recorder.wait_for(PLAN_IN_FORCE)
        time.sleep(rng.uniform(0.5, 3.0))
        l2.kill()
        status = recorder.wait()
        failures.check(status == 0 and "the VM ended" in recorder.log(),
                       f"QEMU killed: the recorder ends with status {status}: {recorder.log().strip().splitlines()[-1]}")
        check_tape(failures, recorder, folder, "QEMU killed")
    wait_until(lambda: l1.run("rmmod kvm_amd")[0] == 0, 20, "kvm_amd unused")
    failures.check(l1.run("rmmod kvm")[0] == 0, "the modules can be unloaded")


def run(failures, rng):
    archive = new_archive()
    add_l2(archive, image("6.12"))
    # Two vCPUs that never rest are what QEMU's SVM does not always stand on two CPUs of L1 in parallel: an L1 whose memory is
    # another's panics. In turns, vCPUs wait a whole slice for each other's interrupts, and L2 does not boot. So it has one.
    with tempfile.TemporaryDirectory(prefix="vmtape-l2.") as folder, L1ForL2(archive, smp=1) as l1:
        l1.load_kvm()
        with L2(l1, "pti=on", smp=2) as l2:
            l2.wait_ready(180)
            l2.must(BUSY)
            come_and_go(failures, rng, l2, folder)
            for policy in ("drop", "block"):
                stop_recorder(failures, l2, policy)
            l1.check_log(failures, "before QEMU is killed")
            kill_qemu(failures, rng, l1, l2, folder)
        l1.check_log(failures, "at the end")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    need_programs()
    say(f"seed {options.seed}")
    failures = Failures()
    run_kept("l2-kills", inputs_key("l2-kills", image("6.12"), with_l2=True),
             lambda: run_emulated(failures, lambda: run(failures, random.Random(options.seed))), failures)


if __name__ == "__main__":
    main()
