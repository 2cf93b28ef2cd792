#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The series' selftests on VMX, with the same modules, in L1 under bochs, which is slow: small counts, a few tests.

--no-ept runs with shadow paging. bochs has no NRIPS-like help and runs one CPU; what it does not emulate (RF in RFLAGS
at a fault's exit) is tested by the selftests with hand-made state on SVM.
"""
import argparse
import re
import shlex

from bochs_vm import need_bochs, run_in_bochs
from initramfs import Initramfs
from kept_result import inputs_key, run_kept
from l1_parts import add_selftests, selftests
from vm_env import Failures, say

# Those that show what differs between the vendors, first, with as few rounds as tell something.
TESTS = (("syscall_trap_records_test", "-n 300"),)


def chosen():
    """[(name, arguments)]: each test of the series, those above with their arguments."""
    arguments = dict(TESTS)
    names = [name for name in selftests() if name.endswith("_test")]
    return [(name, arguments.get(name, "")) for name in names]


def script(tests):
    lines = ["failed=0"]
    for name, arguments in tests:
        lines += [f"echo RUN {name}", f"/selftests/{name} {arguments}", f"echo STATUS {shlex.quote(name)} $? $(cut -d' ' -f1 /proc/uptime)"]
    return "\n".join(lines) + "\n"


class Progress:
    """Says which test begins or ended, as soon as the serial port tells."""

    def __init__(self):
        self.told = 0

    def __call__(self, text):
        lines = re.findall(r"^(?:RUN|STATUS|VMX-BEGIN) .*$", text.replace("\r", ""), re.M)
        for line in lines[self.told:]:
            say(f"bochs: {line}")
        self.told = len(lines)


def run(failures, ept, tests, timeout):
    archive = Initramfs()
    add_selftests(archive, [name for name, _ in tests])
    result = run_in_bochs(f"cat /sys/module/kvm_intel/parameters/ept\n{script(tests)}", archive,
                          options="" if ept else "ept=0", timeout=timeout, progress=Progress())
    failures.check(result.load_status == 0, f"kvm-intel is loaded: status {result.load_status}")
    failures.check(result.output.startswith("Y" if ept else "N"), f"extended page tables are {'on' if ept else 'off'}")
    for name, _ in tests:
        found = re.search(rf"^RUN {name}$(.*?)^STATUS {name} (\d+)", result.output, re.M | re.S)
        status = int(found[2]) if found else None
        failures.check(status == 0, f"{name}: status {status}" + ("" if status == 0 else f"\n{found[1][-3000:] if found else ''}"))
    failures.check(result.unload_status == 0, f"the modules can be unloaded: status {result.unload_status}")
    failures.check(not result.troubles, "dmesg of L1 is clean" + "".join(f"\n    {line}" for line in result.troubles))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-ept", dest="ept", action="store_false", help="shadow paging instead of EPT")
    parser.add_argument("--timeout", type=int, default=900, help="seconds until bochs is given up")
    parser.add_argument("tests", nargs="*", help="only these")
    options = parser.parse_args()
    need_bochs()
    tests = [one for one in chosen() if not options.tests or one[0] in options.tests]
    failures = Failures()
    run_kept("vmx" if options.ept else "vmx-noept", inputs_key("vmx", with_selftests=True),
             lambda: run(failures, options.ept, tests, options.timeout), failures)


if __name__ == "__main__":
    main()
