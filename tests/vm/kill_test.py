#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SIGKILL at random moments, of the recorder (ten times in one guest) or of QEMU (ten guests).

The guest goes on, a new recorder attaches, every tape opens and verifies without repair and holds all but the last
second. Every count is printed. The seed of the random moments is printed and can be given again.
"""
import argparse
import datetime
import os
import random
import time

from guest_vm import Guest, wait_until
from vm_env import Failures, Recorder, image, need_programs, qemu, say, vmtape, vmtape_events, with_live_guest

ROUNDS = 10
MOST_LOST_S = 1.0
# Makes system calls all the time, so that the last event on a tape tells how much is missing.
COUNTER = "i=0; while :; do i=$((i+1)); echo $i >/tmp/counter; usleep 2000; done"
# The counter empties the file before it writes it: who reads in between reads again. By cat, at once, for the shell's
# own read goes byte by byte.
READ_COUNTER = "n=; until [ -n \"$n\" ]; do n=$(cat /tmp/counter); done; echo $n"


def last_event_time(tape):
    """Host time of the newest trap on a tape; 0 if there is none."""
    events = vmtape_events(tape)
    times = [datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
             + (event.get("duration_ns") or 0) / 1e9 for event in events[-500:] if event.get("time")]
    return (max(times) if times else 0), len(events)


def check_killed_tape(failures, label, tape, killed_at, recorded_s):
    status, _, err = vmtape("verify", tape)
    failures.check(status == 0, f"{label}: vmtape verify, status {status} {err[-200:]}")
    status, out, err = vmtape("info", tape)
    failures.check(status == 0, f"{label}: vmtape info, status {status} {err[-200:]}")
    last, count = last_event_time(tape)
    lost = killed_at - last if last else recorded_s
    failures.check(lost <= MOST_LOST_S, f"{label}: killed after {recorded_s:.2f} s, {count} calls on the tape, "
                   f"the last {lost:.3f} s is missing")
    return lost


def kill_recorder(failures, rng, series):
    worst = 0
    with Guest(qemu(), image(series), smp=2) as guest:
        guest.wait_ready()
        guest.must(f"({COUNTER}) >/dev/null 2>&1 & sleep 1")
        for number in range(1, ROUNDS + 1):
            tape = os.path.join(guest.folder, f"killed{number}.vmt")
            started = time.time()
            with Recorder(guest.socket_path, tape) as recorder:
                wait_until(lambda: os.path.exists(tape), 20, "the tape")
                time.sleep(rng.uniform(0.0, 4.0))
                killed_at = time.time()
                recorder.kill()
            before = int(guest.must(READ_COUNTER))
            after = int(guest.must(f"sleep 0.3; {READ_COUNTER}"))
            failures.check(after > before, f"recorder kill {number}: the guest goes on ({before} to {after})")
            worst = max(worst, check_killed_tape(failures, f"recorder kill {number}", tape, killed_at,
                                                 killed_at - started))
        tape = os.path.join(guest.folder, "last.vmt")
        with Recorder(guest.socket_path, tape, "--duration", "3s") as recorder:
            failures.check(recorder.wait() == 0, f"after {ROUNDS} kills a recorder attaches and ends well")
        status, out, err = vmtape("verify", tape)
        failures.check(status == 0, f"its tape verifies: status {status} {err[-200:]}")
        failures.check(len(vmtape_events(tape)) > 100, "its tape holds calls")
    say(f"{ROUNDS} recorders killed; the most that was lost is {worst:.3f} s")


def kill_one_qemu(failures, rng, series, number):
    with Guest(qemu(), image(series), "vmtape.run=shellwork.sh", smp=2, paused=True) as guest:
        tape = os.path.join(guest.folder, "killed.vmt")
        started = time.time()
        with Recorder(guest.socket_path, tape) as recorder:
            wait_until(lambda: os.path.exists(tape), 20, "the tape")
            guest.qmp("cont")
            guest.wait_ready()
            guest.must(f"({COUNTER}) >/dev/null 2>&1 &")
            time.sleep(rng.uniform(0.0, 4.0))
            killed_at = time.time()
            guest.kill()
            status = recorder.wait(30)
            log = recorder.log()
        failures.check(status == 0 and "the VM ended" in log,
                       f"QEMU kill {number}: the recorder ends with status {status} and says so: "
                       f"{log.strip().splitlines()[-1] if log.strip() else ''}")
        return check_killed_tape(failures, f"QEMU kill {number}", tape, killed_at, killed_at - started)


def kill_qemu(failures, rng, series):
    worst = max(with_live_guest(kill_one_qemu, failures, rng, series, number) for number in range(1, ROUNDS + 1))
    say(f"QEMU killed {ROUNDS} times; the most that was lost is {worst:.3f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("victim", choices=("recorder", "qemu"))
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    need_programs()
    say(f"seed {options.seed}")
    failures = Failures()
    (kill_recorder if options.victim == "recorder" else kill_qemu)(failures, random.Random(options.seed),
                                                                  options.kernel)
    failures.finish()


if __name__ == "__main__":
    main()
