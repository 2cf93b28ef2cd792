#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast a tape is read and shown, beside babeltrace2 on a CTF trace of the same events, in one run.

The events are those of bench/throughput.py, recorded by vmtape at level 1 and by LTTng-UST; an event is a record, so an
entry or an exit. CPU time (user and system) of the whole program, output to /dev/null; each figure is the median of
several rounds with the lowest and the highest, and in a round both sides take their turns. LTTng needs root, and its
packages and babeltrace2 (scripts/deps --bench); where they are missing only our figures are shown.

The tape has no memory of a guest, so calls are named by Linux's own numbers (--assume-linux) and processes are numbers.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile

from throughput import MIB, TOP, Ours, Peer, fail, lift_weight, say

NOBODY = "proc.pid = 1"


def cpu_s(command):
    """CPU seconds of a program that is to end well, or with 1: nothing found."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        fail(f"{' '.join(command)}: status {process.returncode}: {said.decode(errors='replace')[-400:]}")
    return usage.ru_utime + usage.ru_stime


def rates(samples, events):
    return [events / seconds / 1e6 for seconds in samples]


def text(samples):
    if not samples:
        return "-"
    return f"{statistics.median(samples):.2f} ({min(samples):.2f} - {max(samples):.2f})"


def main():
    allowed = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(TOP, "build"), help="folder with the built programs")
    parser.add_argument("--folder", help="where tape and trace are written (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=float, default=4e6)
    parser.add_argument("--busy-machine", action="store_true", help="as root: more weight than other sessions")
    options = parser.parse_args()
    if options.busy_machine:
        lift_weight()
    folder = tempfile.mkdtemp(prefix="vmtape-bench-", dir=options.folder)
    cpus = (allowed[0], allowed[-1])
    ours, peer, trace = Ours(options.build, folder, cpus), None, None
    vmtape = os.path.join(options.build, "analyzer", "vmtape")
    scan = os.path.join(options.build, "bench", "bench_read_all")
    try:
        count = int(options.events)
        recorded = ours.record("--rate", "500000", "--events", str(count), "--wait", "--level", "1", "--keep")
        events = {"vmtape": recorded["events"]}
        if shutil.which("babeltrace2"):
            peer = Peer(folder, cpus)
            why = peer.start()
            if why:
                say(f"no peer: {why}")
                peer = None
            else:
                result = peer.stream(500000, 3600, (8, 4 * MIB), events=count)
                trace, events["peer"] = result["folder"], result["stored"]
        else:
            say("no peer: babeltrace2 is not installed")
        ways = (
            ("every field of every event, in order of time", [scan, ours.tape],
             ["babeltrace2", trace, "--component=sink.utils.dummy"] if trace else None, "12 M/s, 8x"),
            ("calls joined and counted (vmtape stats)", [vmtape, "stats", ours.tape], None, ""),
            ("as text", [vmtape, "events", "--assume-linux", ours.tape], ["babeltrace2", trace] if trace else None,
             "2 M/s, 4x"),
            ("as JSON", [vmtape, "events", "--assume-linux", "--format", "json", ours.tape], None, "1.2 M/s"),
            ("a filter that nothing matches", [vmtape, "events", "--assume-linux", "-f", NOBODY, ours.tape], None, ""),
        )
        samples = {}
        for number in range(options.rounds):
            say(f"  round {number + 1} of {options.rounds}")
            for name, mine, theirs, _ in ways:
                samples.setdefault((name, "vmtape"), []).append(cpu_s(mine))
                if theirs:
                    samples.setdefault((name, "peer"), []).append(cpu_s(theirs))
        say("\n| what | vmtape, M events/s of CPU time | babeltrace2 | ratio | goal |")
        say("|---|---|---|---|---|")
        for name, mine, theirs, goal in ways:
            a = rates(samples[name, "vmtape"], events["vmtape"])
            b = rates(samples[name, "peer"], events["peer"]) if theirs else []
            ratio = f"{statistics.median(a) / statistics.median(b):.1f}" if b else ""
            say(f"| {name} | {text(a)} | {text(b)} | {ratio} | {goal} |")
        say("\nCommands:")
        for _, mine, theirs, _ in ways:
            for command in filter(None, (mine, theirs)):
                say("  " + " ".join(command).replace(TOP + "/", "").replace(ours.tape, "FILE.vmt")
                    .replace(trace or ours.tape, "TRACE"))
    finally:
        if peer:
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
