#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast a question about a small part of a tape is answered, beside a full scan of the same tape.

The tape is that of bench_phase_tape: the benches' stream on two vCPUs, in which a thousandth of the calls, all in one
place, are ptrace. The question is `events -f 'evt.type = ptrace'`: once as it is, once with --read-all, which reads what the index
says cannot match, too. A second tape has a call that changes who runs every 100,000 events. CPU time (user and system) and
wall clock of the whole program, output to a pipe that is read; the median of several rounds with the lowest and the highest; both ways must
print the same. First line: wall clock until the first line is there, and of a question that matches at once.
"""
import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(command):
    """(CPU seconds, wall seconds, seconds until the first byte, hash of what is printed, largest RSS in MiB)."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    digest, first = hashlib.sha256(), None
    while True:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        first = first or time.monotonic() - begun
        if not piece:
            break
        digest.update(piece)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
    wall = time.monotonic() - begun
    return usage.ru_utime + usage.ru_stime, wall, first, digest.hexdigest(), usage.ru_maxrss / 1024


def text(samples, unit=1.0, digits=0):
    return "{:.{d}f} ({:.{d}f} - {:.{d}f})".format(*(f(samples) * unit for f in (statistics.median, min, max)), d=digits)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(TOP, "build"), help="folder with the built programs")
    parser.add_argument("--folder", help="where tapes are written (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=float, default=2e7)
    options = parser.parse_args()
    vmtape = os.path.join(options.build, "analyzer", "vmtape")
    maker = os.path.join(options.build, "bench", "bench_phase_tape")
    folder = tempfile.mkdtemp(prefix="vmtape-bench-", dir=options.folder)
    tape = os.path.join(folder, "phases.vmt")
    question = [vmtape, "events", "--threads", "1", "--no-pager", "--assume-linux", "-f", "evt.type = ptrace", tape]
    at_once = [vmtape, "events", "--threads", "1", "--no-pager", "--assume-linux", "--count", "1", tape]
    try:
        for forks in (0, 100000):
            subprocess.run([maker, tape, str(int(options.events)), str(forks)], check=True, stdout=subprocess.DEVNULL)
            rounds = {"some": [], "all": [], "at once": []}
            for _ in range(options.rounds):
                rounds["all"].append(run([*question, "--read-all"]))
                rounds["some"].append(run(question))
                rounds["at once"].append(run(at_once))
            if len({sample[3] for name in ("some", "all") for sample in rounds[name]}) != 1:
                raise SystemExit("what is printed differs")
            print(f"{options.events:.3g} events, {os.path.getsize(tape) / 2**20:.1f} MiB, "
                  + (f"one of {forks} changes who runs" if forks else "none changes who runs"))
            for name in ("all", "some"):
                cpu, wall, first, _, rss = zip(*rounds[name])
                print(f"  reads {name}: CPU {text(cpu, 1e3)} ms, wall {text(wall, 1e3)} ms, "
                      f"first line {text(first, 1e3)} ms, RSS {max(rss):.0f} MiB")
            ratio = [a[0] / s[0] for a, s in zip(rounds["all"], rounds["some"])]
            print(f"  less CPU, times: {text(ratio, digits=1)} (goal 50: "
                  f"{'yes' if statistics.median(ratio) >= 50 else 'no'})")
            first = [sample[2] for sample in rounds["at once"]]
            print(f"  first line of a question that matches at once: {text(first, 1e3)} ms (goal 100: "
                  f"{'yes' if statistics.median(first) <= 0.1 else 'no'})")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
