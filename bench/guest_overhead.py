#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What recording costs the guest: the same workloads in one QEMU, with and without a recorder, in turn.

CPU time is the host's, of all threads of the QEMU process, from /proc/PID/stat (10 ms ticks); so a busy machine
disturbs it little. Each round does every workload once with recording off and once on; the slow-down is the median of
the rounds' own ratios, with the lowest and the highest. The auto plan is in force before a recorded workload starts.

Needs a built vmtape (VMTAPE_BUILD, default build/), the patched QEMU and the guests; see tests/vm/vm_env.py.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))

from guest_vm import Guest  # noqa: E402
from vm_env import Recorder, compiler_initrd, image, need_programs, qemu, say  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
TREE = ("mkdir -p /tmp/tree; cd /tmp/tree; "
        "for d in $(seq 40); do mkdir d$d; (cd d$d; seq 100 | sed s/^/f/ | xargs touch); done")
COMPILE = "cc1 -fpreprocessed -quiet -O2 unit.i -o unit.s && as unit.s -o unit.o"
# name, script, goal for the slow-down in per cent (None: none set)
WORKLOADS = (
    ("getppid", "call_loop 3000000", None),
    ("find", "for i in $(seq 30); do find /tmp/tree -type f -size -1 | wc -l; done", 5),
    ("compile", f"cd /tmp; for i in 1 2; do {COMPILE} || exit; done", 5),
)


def cpu_seconds(pid):
    """User and system time of all threads of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def preprocessed_source():
    """A compilation unit of some size that needs no headers in the guest."""
    source = os.path.join(TOP, "tests", "vm", "work_process.c")
    return subprocess.run(["gcc", "-E", "-P", source], stdout=subprocess.PIPE, check=True).stdout


def measure(guest, script):
    before = cpu_seconds(guest.pid())
    guest.must(script, timeout=600)
    return cpu_seconds(guest.pid()) - before


def run_rounds(guest, rounds, folder):
    """{workload: [(off, on, events, recorder's CPU seconds)]}"""
    results = {name: [] for name, _, _ in WORKLOADS}
    for number in range(rounds):
        off, on = {}, {}
        # Every second round the other way round, so that a drift of the machine does not favour one side.
        for recording in ((False, True) if number % 2 == 0 else (True, False)):
            if not recording:
                for name, script, _ in WORKLOADS:
                    off[name] = measure(guest, script)
                continue
            for name, script, _ in WORKLOADS:
                tape = os.path.join(folder, "bench.vmt")
                with Recorder(guest.socket_path, tape, "--force") as recorder:
                    recorder.wait_for(r"plan \d+ is in force")
                    before = cpu_seconds(recorder.process.pid)
                    taken = measure(guest, script)
                    recorder_cpu = cpu_seconds(recorder.process.pid) - before
                    recorder.stop()
                    found = re.search(r"([\d,]+) events, (.*?)\b(?i:lost)", recorder.log())
                on[name] = (taken, int(found[1].replace(",", "")), recorder_cpu,
                            int(re.sub(r"\D", "", found[2]) or 0))
        for name in results:
            results[name].append((off[name], *on[name]))
        say(f"round {number + 1} of {rounds} done")
    return results


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} – {form.format(max(values))})"


def print_table(results):
    print("\n| workload | QEMU's CPU s, off | on | slow-down | goal | events | recorder's CPU s | lost |")
    print(f"|{'---|' * 8}")
    for name, _, goal in WORKLOADS:
        rows = results[name]
        ratios = [(on / off - 1) * 100 for off, on, *_ in rows]
        print(f"| {name} | {spread([row[0] for row in rows], '{:.2f}')} | {spread([row[1] for row in rows], '{:.2f}')} "
              f"| {spread(ratios, '{:+.1f} %')} | {f'≤ {goal} %' if goal else '–'} "
              f"| {statistics.median(row[2] for row in rows):,.0f} | {spread([row[3] for row in rows], '{:.2f}')} "
              f"| {statistics.median(row[4] for row in rows):,.0f} |")
    print("\nmedian (lowest – highest)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--append", default="")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("fewer than 5 rounds tell nothing")
    need_programs()
    with tempfile.TemporaryDirectory(prefix="vmtape-bench.") as folder, \
            Guest(qemu(), image(options.kernel), options.append, smp=1, memory_mb=1024,
                  more_initrd=[compiler_initrd()]) as guest:
        guest.wait_ready()
        guest.push({"/tmp/unit.i": preprocessed_source()})
        guest.must(TREE, timeout=120)
        for _, script, _ in WORKLOADS:
            guest.must(script, timeout=600)
        say(f"guest {guest.must('uname -r').strip()}, 1 vCPU, warm; QEMU {guest.qmp('query-version')['package'] or ''}"
            f"; host load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        print_table(run_rounds(guest, options.rounds, folder))


if __name__ == "__main__":
    main()
