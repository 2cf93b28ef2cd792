#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A ring tape over many rounds: it decodes from its oldest event on, with the right names, ended in good order or killed.

In the guest each script worker-N opens the file mark-N, itself and from a child that it forks, and nothing else of that
kind, so that every event tells whether its process was named rightly. They live for a moment, many at a time. One of
them was started before the first round began and lives on. Every event has a process, whenever that began.
"""
import argparse
import json
import os
import shutil
import signal
import time

from guest_vm import Guest, GuestError
from vm_env import Failures, Recorder, image, need_programs, qemu, say, vmtape, vmtape_events

SLOT_BYTES = 4 << 20
WORKERS = 40
LIMIT_S = 120  # for each time round, on a busy machine
# Bytes that don't compress go round in the page cache, so that each snapshot brings a megabyte.
START = f"""
mkdir -p /tmp/ring; cd /tmp/ring
for n in $(seq {WORKERS}) old; do
    printf '#!/bin/sh\\n: </tmp/ring/mark-%s\\n( : </tmp/ring/mark-%s )\\n: </tmp/ring/mark-%s\\n' $n $n $n >worker-$n
    chmod +x worker-$n; : >mark-$n
done
printf '#!/bin/sh\\nwhile :; do : </tmp/ring/mark-old; sleep 0.2; done\\n' >worker-old
cat >churn <<'END'
#!/bin/sh
n=0
while :; do
    n=$((n + 1)); [ $n -le {WORKERS} ] || n=1
    ./worker-$n
    dd if=/dev/urandom of=block bs=256K count=2 seek=$((n % 2 * 2)) conv=notrunc 2>/dev/null
done
END
cat >storm <<'END'
#!/bin/sh
while :; do
    for n in $(seq {WORKERS}); do
        ./worker-$n &
        [ $((n % 8)) != 0 ] || wait
    done
done
END
chmod +x churn storm
setsid ./worker-old </dev/null >/dev/null 2>&1 &
setsid ./churn </dev/null >/dev/null 2>&1 &
setsid ./storm </dev/null >/dev/null 2>&1 &
"""


def info(tape):
    status, out, err = vmtape("info", "--format", "json", tape)
    if status != 0:
        raise GuestError(f"vmtape info: status {status}: {err}")
    return json.loads(out)


def check_names(failures, label, tape):
    """Every event has a process, and each file was opened by the one that it is named for."""
    facts, events = info(tape), vmtape_events(tape)
    unnamed = [event for event in events if not event["process"]]
    doubted = [event for event in events if event.get("uncertain") and event["state"] == "complete"]
    marks = [(event["process"], os.path.basename(event["args"]["filename"]["text"]), event["time"]) for event in events
             if event["syscall"] in ("open", "openat") and event["args"]
             and "/mark-" in (event["args"]["filename"].get("text") or "")]
    wrong = [mark for mark in marks if mark[0].removeprefix("worker-") != mark[1].removeprefix("mark-")]
    failures.check(events and marks and not unnamed and not doubted and not wrong,
                   f"{label}: {facts['overwritten_slots']} slots overwritten, {facts['carried_identities']} tasks known from "
                   f"them; {len(events)} events of {len({e['tid'] for e in events})} threads: {len(unnamed)} without a process "
                   f"{sorted({e['tid'] for e in unnamed})[:5]}, {len(doubted)} of whom it is not certain; {len(marks)} files "
                   f"opened by whom the tape says, {len(wrong)} not {wrong[:3]}")
    return facts, events, marks


def look(failures, label, recorder, tape, copy):
    """A tape as a kill would leave it now."""
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        shutil.copyfile(tape, copy)
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    facts, _, _ = check_names(failures, label, copy)
    os.unlink(copy)
    return facts["carried_identities"]


def wait_for_rounds(failures, label, recorder, tape, ring_bytes, rounds):
    """Returns how many tasks were known from overwritten slots, of all looks, one for each round."""
    slots, end, done, carried = ring_bytes // SLOT_BYTES, time.monotonic() + LIMIT_S * (rounds + 1), 0, 0
    while done < rounds:
        overwritten = info(tape).get("overwritten_slots", 0)
        if overwritten >= (done + 1) * slots:
            done = overwritten // slots
            carried += look(failures, f"{label}, {done} times round", recorder, tape, tape + ".copy")
        elif recorder.process.poll() is not None:
            raise GuestError(f"the recorder ended: {recorder.log()}")
        elif time.monotonic() > end:
            raise GuestError(f"not {rounds} times round after {LIMIT_S * (rounds + 1)} s: {overwritten} slots")
        else:
            time.sleep(0.5)
    return carried


def check_tape(failures, label, tape, ring_bytes, rounds, killed):
    failures.check(os.path.getsize(tape) == ring_bytes, f"{label}: the file has the ring's {ring_bytes >> 20} MiB")
    status, out, _ = vmtape("verify", tape)
    failures.check(status == 0 and ("has no end" in out) == killed,
                   f"{label}: vmtape verify: status {status}: {' | '.join(out.splitlines()[-3:])}")
    facts, events, marks = check_names(failures, label, tape)
    failures.check(facts["overwritten_slots"] >= rounds * ring_bytes // SLOT_BYTES,
                   f"{label}: {facts['overwritten_slots'] * SLOT_BYTES / ring_bytes:.1f} times round")
    old = [mark for mark in marks if mark[1] == "mark-old"]
    failures.check(bool(old), f"{label}: the process from before the first round is there, by its name ({len(old)} times)")
    if marks:
        say(f"{label}: oldest event {events[0]['time']}, first file {marks[0][2]} by {marks[0][0]}, last {marks[-1][2]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ring-mb", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--keep", metavar="DIR", help="leave the tapes there")
    options = parser.parse_args()
    need_programs()
    failures = Failures()
    with Guest(qemu(), image("6.12"), "pti=on", smp=options.cpus, memory_mb=256) as guest:
        guest.wait_ready()
        folder = options.keep or guest.folder
        # The second one meets more of the guest's memory in use, and gets a larger ring.
        for label, rounds, ring_mb, killed in (("ended", options.rounds, options.ring_mb, False),
                                               ("killed", 1, options.ring_mb * 2, True)):
            ring_bytes = ring_mb << 20
            tape = os.path.join(folder, f"{label}.vmt")
            with Recorder(guest.socket_path, tape, "--ring-size", f"{ring_mb}M", "--snapshot-interval", "300ms",
                          "--force") as recorder:
                recorder.wait_for(r"plan \d+ is in force")
                if not killed:
                    guest.must(START)
                carried = wait_for_rounds(failures, label, recorder, tape, ring_bytes, rounds)
                if killed:
                    recorder.kill()
                else:
                    failures.check(recorder.stop() == 0, f"{label}: the recorder ends with status 0")
                say(recorder.log().splitlines()[-1])
                failures.check(carried > 0, f"{label}: {carried} times a task was known from overwritten slots")
                failures.check("too small" not in recorder.log(), f"{label}: the ring holds what it needs of the guest's memory")
            check_tape(failures, label, tape, ring_bytes, rounds, killed)
    failures.finish()


if __name__ == "__main__":
    main()
