#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real stream of system calls as raw trap records, for bench_trap_layout: runs a command under perf, system-wide, and writes
what a Linux guest's plan would record of it, one file a CPU.

    bench/trap_stream.py OUT [COMMAND ARG…]      writes OUT.0, OUT.1 …

Registers and times are those of the calls. Made up, as perf doesn't tell: the addresses of task_struct and page tables (one
for each thread and process) and the TSC below the nanosecond (noise, at 2.45 GHz). There is no argument memory: measure a
tape for that. Without a command: find, stat, git, gcc, tar, grep and python over this repository. Needs perf and root.
"""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORKLOAD = r"""
cd "$0"
find /usr/include -printf %s >/dev/null
for file in format/*.[ch]; do stat "$file"; done >/dev/null
git status >/dev/null; git log --stat -20 >/dev/null; git grep -l trap >/dev/null
for file in analyzer/linux/arg_*.c; do gcc -O1 -Iformat -Ianalyzer -Ianalyzer/linux -c "$file" -o /dev/null; done 2>/dev/null
tar cf - format analyzer tests docs /usr/share/doc/a* | cat >/dev/null
grep -r magic format analyzer >/dev/null
for i in 1 2 3 4 5 6 7 8 9; do true; head -3 format/FORMAT.md | wc -l >/dev/null; /bin/true; done
python3 - <<'END'
import glob
for name in glob.glob("/usr/lib/python3*/**/*.py", recursive=True)[:2000]:
    with open(name, "rb") as file:
        file.read()
END
"""
TSC_GHZ = 2.45
ENTER, EXIT, IDENTITY = 1, 2, 3
SYSCALL, SYSRET = 1, 2
RAX, RDX, RSP, RSI, RDI, R8, R9, R10 = 0, 2, 4, 6, 7, 8, 9, 10
RIP, CR3, KERNEL_GS_BASE, TASK, TASK_ID, NR = 16, 18, 21, 22, 23, 24
ARGUMENTS = (RDI, RSI, RDX, R10, R8, R9)
LINE = re.compile(r"^\s*(.*?)\s+(\d+)/(\d+)\s+\[(\d+)\]\s+(\d+)\.(\d{9}):\s+raw_syscalls:sys_(enter|exit): "
                  r"NR (-?\d+) (.*?) ABI:2 .*?\bSP:0x([0-9a-f]+)\s+IP:0x([0-9a-f]+)")


class Stream:
    def __init__(self):
        self.chance = random.Random(1)
        self.cpus, self.tasks, self.spaces, self.entered = {}, {}, {}, {}

    def add(self, cpu, kind, via, tsc, registers):
        out = self.cpus.setdefault(cpu, {"records": [], "who": None})
        mask = sum(1 << register for register in registers)
        body = b"".join(struct.pack("<Q", registers[register] & 2**64 - 1) for register in sorted(registers))
        out["records"].append(struct.pack("<IBBBBHHIQQ", 32 + len(body), kind, 0, via, 0, cpu, 0, mask,
                                          len(out["records"]), tsc) + body)

    def take(self, line):
        found = LINE.match(line)
        if not found or found[1] == "perf":
            return
        pid, tid, cpu, seconds, ns = map(int, found.groups()[1:6])
        what, number, rest = found.groups()[6:9]
        tsc = int(((seconds * 10**9 + ns) + self.chance.random()) * TSC_GHZ)
        task = self.tasks.setdefault(tid, 0xFFFF888000000000 + self.chance.randrange(1 << 18) * 0x2000)
        space = self.spaces.setdefault(pid, self.chance.randrange(1 << 20) << 13)
        who = {CR3: space, TASK: task, TASK_ID: tid | pid << 32}
        if self.cpus.get(cpu, {}).get("who") != who:
            self.add(cpu, IDENTITY, 0, tsc, {**who, KERNEL_GS_BASE: 0})
            self.cpus[cpu]["who"] = who
        registers = {**who, RSP: int(found[10], 16), RIP: int(found[11], 16)}
        if what == "enter":
            values = (int(value, 16) for value in rest.strip("()").split(", "))
            registers.update(zip(ARGUMENTS, values))
            registers[RAX] = self.entered[tid] = int(number)
            self.add(cpu, ENTER, SYSCALL, tsc, registers)
        else:
            registers[RAX] = int(rest.split("=")[1])
            if tid in self.entered:
                registers[NR] = self.entered.pop(tid)
            self.add(cpu, EXIT, SYSRET, tsc, registers)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    command = sys.argv[2:] or ["sh", "-c", WORKLOAD, TOP]
    stream = Stream()
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        subprocess.run(["perf", "record", "-q", "-a", "-e", "raw_syscalls:sys_enter", "-e", "raw_syscalls:sys_exit",
                        "--user-regs=sp,ip", "-m", "8192", "-o", data, "--", *command], check=True,
                       stdout=subprocess.DEVNULL)
        with subprocess.Popen(["perf", "script", "-i", data, "--ns", "-F", "comm,tid,pid,cpu,time,event,trace,uregs"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as script:
            for line in script.stdout:
                stream.take(line)
    if not stream.cpus:
        sys.exit("trap_stream.py: perf recorded no system call")
    for cpu, out in sorted(stream.cpus.items()):
        with open(f"{sys.argv[1]}.{cpu}", "wb") as file:
            file.write(b"".join(out["records"]))
        print(f"{sys.argv[1]}.{cpu}: {len(out['records'])} records")


if __name__ == "__main__":
    main()
