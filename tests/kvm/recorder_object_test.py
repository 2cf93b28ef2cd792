#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The test of the QEMU series in L1: with the patched modules its KVM part must run, which it skips on other hosts.

A client of its own drives the vmtape-recorder object of a QEMU whose firmware makes system calls: records, both
policies, a wild consumer, snapshots with registers and marks, reset. With Debian's own modules START is refused, and
the refusal must name the remedy.
"""
import os
import re

from kept_result import inputs_key, run_kept
from l1_parts import FIRMWARE, new_archive
from l1_vm import L1
from vm_env import Failures, qemu, say, skip

PREFIX = "/x86_64/vmtape-recorder/kvm"
PATCHED = ("traps", "block", "wild-consumer", "snapshot")
STOCK = ("without-trap",)


def test_program():
    path = os.path.join(os.path.dirname(qemu()), "vmtape-recorder-test")
    if not os.access(path, os.X_OK):
        skip(f"{path} is not there: qemu/build --test makes it")
    return path


def check_kind(failures, program, kind, vendor, wanted):
    """Runs the KVM part in an L1 with modules of this kind; each wanted test must have passed, none been skipped."""
    archive = new_archive()
    archive.program("/usr/bin/qemu-system-x86_64", qemu())
    archive.program("/usr/bin/vmtape-recorder-test", program)
    for path in FIRMWARE:
        archive.add(f"/usr/share/qemu/{os.path.basename(path)}", os.path.realpath(path))
    with L1(archive, kind=kind) as l1:
        what = f"{kind} modules {vendor}".strip()
        say(f"L1 is up, {l1.load_kvm(vendor=vendor)} is loaded: {what}")
        status, output = l1.run(f"cd /tmp; QTEST_QEMU_BINARY=/usr/bin/qemu-system-x86_64 vmtape-recorder-test -p {PREFIX} 2>&1",
                                timeout=600)
        passed = re.findall(rf"^ok \d+ {PREFIX}/(\S+)$", output, re.M)
        failures.check(status == 0 and set(wanted) <= set(passed),
                       f"{what}: status {status}, passed: {', '.join(passed) or 'none'}"
                       + ("" if status == 0 else f"\n{output[-3000:]}"))
        if kind == "stock":
            failures.check("kvm/README.md" in output, f"{what}: the refusal names the remedy")
        l1.unload_kvm()
        l1.check_log(failures, f"after the object's test, {what}")


def run(failures, program):
    check_kind(failures, program, "stock", "", STOCK)
    check_kind(failures, program, "patched", "", PATCHED)
    check_kind(failures, program, "patched", "npt=0", PATCHED)


def main():
    program = test_program()
    failures = Failures()
    run_kept("recorder-object", inputs_key("recorder-object", program), lambda: run(failures, program), failures)


if __name__ == "__main__":
    main()
