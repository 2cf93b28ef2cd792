#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast a tape is read and shown, beside babeltrace2 and sysdig, in one run.

The events are those of bench/throughput.py, recorded by vmtape at level 1 and by LTTng-UST for babeltrace2; an event is a
record, so an entry or an exit. sysdig reads a capture file that bench_scap_file writes from the tape: as many events, with
fewer fields, as it can't capture without a driver. CPU time (user and system) of the whole program, output to /dev/null;
each figure is the median of several rounds with the lowest and the highest, and in a round all take their turns. LTTng needs
root and its packages (scripts/deps --bench brings them, and both peers); what is missing is left out.

The tape has no memory of a guest, so calls are named by Linux's own numbers (--assume-linux) and processes are numbers.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from throughput import MIB, TOP, Ours, Peer, fail, lift_weight, say

NOBODY = "proc.pid = 1"
WHO = ("vmtape", "babeltrace2", "sysdig")
SYSDIG_LINE = "%evt.time %proc.name %thread.tid %evt.dir %evt.type %evt.args"


def run(command):
    """CPU and wall seconds of a program that is to end well, or with 1: nothing found."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        fail(f"{' '.join(command)}: status {process.returncode}: {said.decode(errors='replace')[-400:]}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began


def rates(samples, events):
    return [events / seconds / 1e6 for seconds in samples]


def make_scap(build, tape, path):
    """As many events for sysdig; returns their number."""
    made = subprocess.run([os.path.join(build, "bench", "bench_scap_file"), tape, path], capture_output=True, text=True,
                          check=False)
    if made.returncode:
        fail(f"bench_scap_file: {made.stderr}")
    return int(made.stdout.split()[1])


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
    ours, peer, trace, scap = Ours(options.build, folder, cpus), None, None, None
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
                say(f"no babeltrace2: {why}")
                peer = None
            else:
                result = peer.stream(500000, 3600, (8, 4 * MIB), events=count)
                trace, events["babeltrace2"] = result["folder"], result["stored"]
        else:
            say("no babeltrace2: it is not installed")
        if shutil.which("sysdig"):
            scap = os.path.join(folder, "peer.scap")
            events["sysdig"] = make_scap(options.build, ours.tape, scap)
        else:
            say("no sysdig: it is not installed")
        show = [vmtape, "events", "--assume-linux", "--threads", "1"]
        read = "every field of every event, in order of time"
        ways = (
            (read, {"vmtape": [scan, ours.tape],
                    "babeltrace2": trace and ["babeltrace2", trace, "--component=sink.utils.dummy"],
                    "sysdig": scap and ["sysdig", "-r", scap, "evt.num<0"]}, "12 M/s, 8x, 2.5x"),
            ("calls joined and counted (vmtape stats)", {"vmtape": [vmtape, "stats", "--threads", "1", ours.tape]}, ""),
            ("as text", {"vmtape": show + [ours.tape], "babeltrace2": trace and ["babeltrace2", trace],
                         "sysdig": scap and ["sysdig", "-r", scap, "-p", SYSDIG_LINE]}, "2 M/s, 4x, 3.5x"),
            ("as JSON", {"vmtape": show + ["--format", "json", ours.tape],
                         "sysdig": scap and ["sysdig", "-r", scap, "-j"]}, "1.2 M/s"),
            ("a filter that nothing matches", {"vmtape": show + ["-f", NOBODY, ours.tape],
                                               "sysdig": scap and ["sysdig", "-r", scap, NOBODY]}, ""),
        )
        samples, two = {}, [scan, "--threads", "2", ours.tape]
        for number in range(options.rounds):
            say(f"  round {number + 1} of {options.rounds}")
            for name, commands, _ in ways:
                for who in WHO:
                    if commands.get(who):
                        samples.setdefault((name, who), []).append(run(commands[who]))
            samples.setdefault((read, "two"), []).append(run(two))
        say(f"\n| what, M events/s of CPU time | {' | '.join(WHO)} | vmtape is faster, times | goal |")
        say("|---|" + "---|" * (len(WHO) + 2))
        for name, commands, goal in ways:
            found = {who: rates([cpu for cpu, _ in samples[name, who]], events[who])
                     for who in WHO if (name, who) in samples}
            ratios = [f"{statistics.median(found['vmtape']) / statistics.median(found[who]):.1f} ({who})"
                      for who in WHO[1:] if who in found]
            say(f"| {name} | {' | '.join(text(found.get(who)) for who in WHO)} | {', '.join(ratios)} | {goal} |")
        alone = [wall for _, wall in samples[read, "vmtape"]]
        both = [wall for _, wall in samples[read, "two"]]
        say(f"\nEvery field, by the clock: one core {text(rates(alone, events['vmtape']))} M events/s, two "
            f"{text(rates(both, events['vmtape']))}: {min(alone) / min(both):.2f} times (fastest rounds; goal 1.8); CPU time of "
            f"two {text(rates([cpu for cpu, _ in samples[read, 'two']], events['vmtape']))}")
        say("\nCommands:")
        for command in [command for _, commands, _ in ways for command in commands.values() if command] + [two]:
            line = " ".join(command).replace(TOP + "/", "").replace(ours.tape, "FILE.vmt")
            for path, word in ((trace, "TRACE"), (scap, "FILE.scap")):
                line = line.replace(path, word) if path else line
            say("  " + line)
    finally:
        if peer:
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
