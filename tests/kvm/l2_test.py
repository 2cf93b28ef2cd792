#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Linux guest, L2, on the patched KVM in L1, recorded there by vmtape-record: the tape must agree with strace in L2.

The tape is brought out of L1 and analysed here, with the same comparison, call by call, as tapes of TCG (truth_test.py).
KVM does not see returns by IRET: the results of successful execs and of calls that a signal's handler follows are not
on the tape, which compare.py excuses by name and counts.
"""
import argparse
import os
import re
import tempfile

from kept_result import inputs_key, run_kept
from l1_parts import add_l2, new_archive
from l2_vm import L2, L1ForL2, L1Recorder, run_emulated
from truth_test import WORKLOADS, check_tape, record_truth
from vm_env import Failures, image, need_programs, say

# Calls and kinds of calls that must at least have been compared: of all workloads, and of the shortest.
FULL, SHORT = (WORKLOADS, 2000, 150), (("work_files", "shellwork.sh"), 1000, 80)


def check_statistics(failures, l1, l2):
    """KVM counted what it recorded, and nothing was lost. debugfs holds the sums over the vCPUs."""
    l1.must("grep -q ' /sys/kernel/debug ' /proc/mounts || mount -t debugfs debugfs /sys/kernel/debug")
    text = l1.must(f"cd /sys/kernel/debug/kvm/{l2.pid()}-*/ && grep . syscall_trap_*")
    counts = {name: int(value) for name, value in re.findall(r"^syscall_trap_(\w+):(\d+)$", text, re.M)}
    say("KVM's statistics: " + ", ".join(f"{name} {value:,}" for name, value in sorted(counts.items())))
    failures.check(counts.get("enter", 0) > 1000 and counts.get("lost") == 0,
                   "KVM's statistics count the traps, and none as lost")


def run(failures, options):
    before = options.attach == "before"
    workloads, least_calls, least_names = SHORT if options.short else FULL
    archive = new_archive()
    add_l2(archive, image("6.12"))
    with tempfile.TemporaryDirectory(prefix="vmtape-l2.") as scratch, \
            L1ForL2(archive, memory_mb=2048, smp=options.smp) as l1:
        folder = options.keep or scratch
        os.makedirs(folder, exist_ok=True)
        tape = os.path.join(folder, "truth.vmt")
        say(f"L1 is up, {l1.load_kvm(vendor=options.vendor)} {options.vendor} is loaded")
        with L2(l1, options.append, smp=options.smp, paused=before) as l2:
            recorder = L1Recorder(l2, "--snapshot-interval", "10s")
            truth = record_truth(failures, l2, before, recorder, workloads)
            check_statistics(failures, l1, l2)
            recorder.bring_tape(tape)
        l1.unload_kvm()
        l1.check_log(failures, "with L2 gone and the modules unloaded")
        check_tape(failures, tape, folder, truth, least_calls, least_names, iret_seen=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attach", choices=("before", "late"), default="late")
    parser.add_argument("--smp", type=int, default=1, help="vCPUs of L2, and CPUs of L1")
    parser.add_argument("--append", default="pti=on", help="words for L2's kernel command line")
    parser.add_argument("--vendor", default="", help="options of kvm_amd, as npt=0")
    parser.add_argument("--short", action="store_true", help="fewer workloads")
    parser.add_argument("--keep", help="folder for the tape, strace's logs and the events")
    options = parser.parse_args()
    need_programs()
    failures = Failures()
    run_kept(f"l2-{options.attach}-smp{options.smp}{'-' + options.vendor if options.vendor else ''}",
             inputs_key("l2", image("6.12"), with_l2=True), lambda: run_emulated(failures, lambda: run(failures, options)),
             failures)


if __name__ == "__main__":
    main()
