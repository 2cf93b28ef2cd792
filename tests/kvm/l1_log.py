# SPDX-License-Identifier: MIT
"""Judges what L1's kernel said: which lines of dmesg, and which bits of its taint, mean that something is broken."""
import re

TROUBLE = re.compile(
    r"WARNING|\bBUG\b|Oops|KASAN|KFENCE|UBSAN|KCSAN|[Ll]ockdep:|possible (recursive|circular) lock|inconsistent lock"
    r"|suspicious RCU|bad unlock balance|held lock freed|nested lock was not taken|lock held when returning"
    r"|general protection|unable to handle|double fault|stack guard page|stack segment|invalid opcode|divide error"
    r"|Call Trace|cut here|[Kk]ernel panic|detected (stalls|expedited)|self-detected stall|soft lockup|hard LOCKUP|blocked for more than"
    r"|scheduling while atomic|sleeping function called|refcount_t|list_(add|del) corruption|[Bb]ad page"
    r"|unchecked MSR|vmwrite failed|vmread failed|vmptrld|Unknown symbol"
    r"|disagrees about version|exported twice|segfault|traps: |nobody cared")
# Those that a report of many lines follows.
REPORT = re.compile(r"cut here|WARNING|BUG|Call Trace|Oops|possible (recursive|circular)|inconsistent|general protection")
# Not trouble: what the kernel says about its own command line.
ORDINARY = re.compile(r"[Cc]ommand line: ")

# /proc/sys/kernel/tainted: modules built elsewhere (12) and not signed (13) are what L1 is for.
TAINT_OF_OURS = 1 << 12 | 1 << 13
TAINTS = {0: "proprietary module", 1: "forced load", 2: "CPU out of specification", 3: "forced unload",
          4: "machine check", 5: "bad page", 7: "died: Oops or BUG", 9: "WARNING", 11: "firmware workaround",
          14: "soft lockup", 17: "randomised structures", 18: "in-kernel test"}


def troubles(dmesg):
    """The lines that mean trouble, each with what follows it: a report's first line tells too little."""
    lines = dmesg.splitlines()
    wanted = set()
    for index, line in enumerate(lines):
        if TROUBLE.search(line) and not ORDINARY.search(line):
            wanted.update(range(max(0, index - 1), min(len(lines), index + (30 if REPORT.search(line) else 2))))
    return [lines[index] for index in sorted(wanted)]


def taints(value):
    """What a taint value other than that of our modules tells."""
    value &= ~TAINT_OF_OURS
    return [TAINTS.get(bit, f"bit {bit}") for bit in range(32) if value >> bit & 1]
