#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What recording in KVM costs the host's CPU: instructions that it executes for one round trip, SYSCALL and SYSRET.

L1 runs under QEMU's TCG with -icount, which makes its TSC count instructions (tests/kvm/l1_vm.py); a guest in it does
nothing but system calls, by the series' own selftest syscall_trap_perf. Counts repeat to 0.1 per cent on any machine,
where times would be noise. They leave out what instructions do not tell: a world switch costs real hardware some 1,350
cycles on top, an exit to user space more, and this CPU has no NRIPS or decode assists. So ratios are what to trust.

The figures kept in kvm_cost.json are of the modules as they were last measured by --keep. --check fails where a figure
is 3 per cent over the kept one, or over a goal.
"""
import argparse
import json
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TOP, "tests", "kvm"), os.path.join(TOP, "tests", "vm")]

from kept_result import inputs_key, run_kept  # noqa: E402
from l1_parts import add_selftests, new_archive  # noqa: E402
from l1_vm import L1  # noqa: E402
from vm_env import Failures, say  # noqa: E402

KEPT = os.path.join(TOP, "bench", "kvm_cost.json")
PROGRAM = "syscall_trap_perf"
ROUNDS = 20000
# L1 settles in this many seconds of its own time, which pass at once when it idles.
SETTLE_S = 8
GROWTH = 1.03
OFF_GROWTH = 1.005
# name of a figure, modules, mode of the program, what it is, goal, aim
FIGURES = (
    ("untrapped", "unpatched", "off", "unpatched KVM, loop of system calls", None, None),
    ("untrapped_patched", "patched", "off", "patched, recording off", None, None),
    ("exits_unpatched", "unpatched", "exit", "unpatched KVM, an exit to user space for each event", None, None),
    ("exits_patched", "patched", "exit", "the same, patched, recording off", None, None),
    ("registers", "patched", "none", "recorded in the kernel, registers only", 2500, 1600),
    ("openat", "patched", "openat", "recorded in the kernel, openat with its path", 4000, None),
)
# The same thing measured with both modules: what the patch costs while nothing is recorded.
OFF_PAIRS = (("untrapped", "untrapped_patched"), ("exits_unpatched", "exits_patched"))


def measure(kind):
    """{figure: instructions a round trip} of all figures that these modules give."""
    archive = new_archive()
    add_selftests(archive, [PROGRAM])
    results = {}
    with L1(archive, kind=kind, icount=True, memory_mb=1024) as l1:
        l1.load_kvm()
        for name, modules, mode, _, _, _ in FIGURES:
            if modules != kind:
                continue
            output = l1.must(f"sleep {SETTLE_S}; /selftests/{PROGRAM} {ROUNDS} {mode}", timeout=300)
            results[name] = float(re.search(r"^ticks_per_round_trip_median ([\d.]+)$", output, re.M)[1])
            say(f"{kind} modules, {mode}: {results[name]:,.1f}")
        troubles = l1.troubles()
        if troubles:
            raise SystemExit("L1's kernel complains:\n" + "\n".join(troubles))
    return results


def print_table(results, kept):
    print(f"\n| instructions for a round trip | count | of unpatched with exits | kept figure | goal |\n|{'---|' * 5}")
    for name, _, _, what, goal, aim in FIGURES:
        goals = "–" if goal is None else f"≤ {goal:,}" + (f", aim {aim:,}" if aim else "")
        old = kept.get(name)
        print(f"| {what} | {results[name]:,.1f} | {results[name] / results['exits_unpatched']:.2f} "
              f"| {'–' if old is None else f'{old:,.1f} ({(results[name] / old - 1) * 100:+.2f} %)'} | {goals} |")
    for unpatched, patched in OFF_PAIRS:
        print(f"\npatched, recording off, {dict((f[0], f[3]) for f in FIGURES)[unpatched].split(', ')[1]}: "
              f"{(results[patched] / results[unpatched] - 1) * 100:+.2f} % (goal: ≤ +{(OFF_GROWTH - 1) * 100:.1f} %)", end="")
    print("\n", flush=True)


def check(failures, results, kept):
    for name, _, _, what, goal, _ in FIGURES:
        if goal is not None:
            failures.check(results[name] <= goal, f"{what}: {results[name]:,.1f}, goal {goal:,}")
        if failures.check(name in kept, f"{what}: there is a kept figure"):
            failures.check(results[name] <= kept[name] * GROWTH,
                           f"{what}: {results[name]:,.1f}, kept {kept[name]:,.1f}, at most 3 % more")
    for unpatched, patched in OFF_PAIRS:
        failures.check(results[patched] <= results[unpatched] * OFF_GROWTH,
                       f"recording off: {results[patched]:,.1f} with the patch, {results[unpatched]:,.1f} without, "
                       "at most 0.5 % more")


def read_kept():
    if not os.path.exists(KEPT):
        return {}
    with open(KEPT, encoding="utf-8") as text:
        return json.load(text)["instructions_per_round_trip"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit status 1 where a figure is over its limit")
    parser.add_argument("--keep", action="store_true", help="write the figures to kvm_cost.json")
    options = parser.parse_args()
    failures = Failures()
    kept = read_kept()

    def run():
        results = {**measure("unpatched"), **measure("patched")}
        print_table(results, kept)
        if options.check:
            check(failures, results, kept)
        if options.keep:
            with open(KEPT, "w", encoding="utf-8") as out:
                json.dump({"program": f"{PROGRAM} {ROUNDS}", "instructions_per_round_trip": results}, out, indent=2)
                out.write("\n")

    if options.check and not options.keep:
        key = inputs_key("cost", os.path.abspath(__file__), KEPT, kinds=("patched", "unpatched"), with_selftests=True)
        run_kept("cost", key, run, failures)
    run()


if __name__ == "__main__":
    main()
