#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Truth from inside the guest: workloads run under strace there, and the tape's account must agree, call by call.

One boot also serves: attach before boot or to a guest that has run for a while; `vmtape verify`; `ps` in the guest
against `vmtape ps --at` of that moment; and, as a control, that the comparison notices a tampered event.
"""
import argparse
import copy
import dataclasses
import io
import json
import os
import re

import compare
import strace_log
from guest_vm import Guest
from vm_env import (Failures, Recorder, image, need_programs, programs_initrd, qemu, say, vmtape, with_live_guest)

WORKLOADS = ("work_files", "work_process", "work_ipc", "shellwork.sh")
# As many different calls as there are, in many forms.
WIDE = ("work_paths", "work_mounts", "work_memory", "work_tasks", "work_net", "work_waits", "work_clocks", "work_admin",
        "work_server")
# Programs that others wrote, from an initramfs of their own.
REAL = ("real_build.sh", "real_data.sh", "real_fetch.sh")
SETS = {"base": WORKLOADS, "wide": WORKLOADS + WIDE, "real": REAL, "all": WORKLOADS + REAL + WIDE}
# Below these many calls, and these many different ones, a comparison says too little.
LEAST = {"base": (2000, 150), "wide": (5000, 300), "real": (2000, 60), "all": (7000, 300)}
TRUTH = "/tmp/truth"
# A program that runs before a late recorder comes, and on: its name can only come from the snapshot.
OLD_PROCESS = "cp /bin/busybox /tmp/elder; ln -sf /tmp/elder /tmp/sleep; (cd /tmp && ./sleep 1000) & echo $!"

# A script, run by way of a link, by its relative name: execve's argument tells little of what is executed. It and its
# child, which executes nothing, say what they are.
EXECUTABLES = """cd /tmp; ln -sf /bin/busybox sh
printf '%s\\n' '#!/tmp/sh' 'echo $$ $(readlink /proc/$$/exe)' '(read p x </proc/self/stat; echo $p $(readlink /proc/$p/exe))' >s
chmod +x s; ./s"""


def run_workloads(failures, guest, workloads=WORKLOADS, both=False):
    """{path: bytes} of strace's logs: each workload once with raw numbers, once with texts. both: these at the same
    time, which takes a guest of two vCPUs half as long; a workload never meets itself."""
    lanes = []
    for kind, options in (("raw", "-e raw=all"), ("text", "-v -s 4096")):
        names = workloads if kind == "raw" else workloads[::-1]
        lane = [f"until mkdir /tmp/lock.{name} 2>/dev/null; do sleep 0.1; done\n"
                f"strace -ff -qqq {options} -o {TRUTH}/{kind}/t {name} >/tmp/out.{kind} 2>&1 "
                f"|| {{ echo {name} {kind} $?; cat /tmp/out.{kind}; fails=1; }}\nrmdir /tmp/lock.{name}" for name in names]
        lanes.append("(\n" + "\n".join(["fails=0", *lane, "exit $fails"]) + "\n)")
    script = [f"rm -rf {TRUTH}; mkdir -p {TRUTH}/raw {TRUTH}/text; cd /tmp; fails=0"]
    if both:
        script += [lanes[0] + " &", lanes[1] + " || fails=1", "wait $! || fails=1"]
    else:
        script += [lane + " || fails=1" for lane in lanes]
    script.append("exit $fails")
    status, output = guest.run("\n".join(script), timeout=600)
    failures.check(status == 0, f"{len(workloads)} workloads ran to their end{output and ': '}{output[-2000:]}")
    return guest.pull(TRUTH)


def tampered(events, text_tids):
    """The same events without one call, with one result and one string changed, in a run that strace gave texts of."""
    events = copy.deepcopy(events)
    pick = [event for event in events if event.get("syscall") == "openat" and event.get("tid") in text_tids
            and (event.get("ret") or 0) > 2 and len(event["args"]["filename"].get("text", "")) > 3]
    pick[-1]["ret"] += 1
    pick[-2]["args"]["filename"]["text"] = "/somewhere/else"
    events.remove(pick[-3])
    return events


def task_name(name):
    """The kernel's own name: /proc shows what a worker works on behind it."""
    return re.sub(r"^(kworker/[^-+]*)[-+].*", r"\1", name)


def guest_processes(text):
    """{pid: (ppid, name)} of busybox ps -o pid,ppid,comm."""
    table = {}
    for line in text.splitlines()[1:]:
        pid, ppid, name = line.split(None, 2)
        table[int(pid)] = (int(ppid), task_name(name))
    return table


def tape_processes(text):
    """The same of vmtape ps --format json; and the pids of those that have ended and wait for their parents."""
    rows = [json.loads(line) for line in text.splitlines()]
    return ({row["pid"]: (row["ppid"], task_name(row["process"] or "?")) for row in rows},
            {row["pid"] for row in rows if row["state"] == "Z"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--append", default="")
    parser.add_argument("--attach", choices=("before", "late"), default="late")
    parser.add_argument("--smp", type=int, default=2)
    parser.add_argument("--cpu", default="max", help="max,la57=off: page tables of 4 levels")
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--private-ram", action="store_true", help="RAM that the recorder can't map")
    parser.add_argument("--set", choices=SETS, default="all" if os.environ.get("VMTAPE_LONG") else "base",
                        help="which workloads")
    parser.add_argument("--keep", help="folder for the tape, strace's logs and the events")
    options = parser.parse_args()
    need_programs()
    failures = Failures()
    with_live_guest(run, options, failures)
    failures.finish()


def run(options, failures):
    before = options.attach == "before"
    real = REAL[0] in SETS[options.set]
    with Guest(qemu(), image(options.kernel), options.append, smp=options.smp, paused=before,
               memory_mb=options.memory_mb + 512 * real, shared=not options.private_ram, cpu=options.cpu,
               more_initrd=(programs_initrd(),) if real else ()) as guest:
        folder = options.keep or guest.folder
        os.makedirs(folder, exist_ok=True)
        tape = os.path.join(folder, "truth.vmt")
        if os.path.exists(tape):
            os.unlink(tape)
        truth = record_truth(failures, guest, before, Recorder(guest.socket_path, tape, "--snapshot-interval", "5s"),
                             SETS[options.set], both=options.set != "base" and options.smp > 1)
        guest.power_off()
        least_calls, least_names = LEAST[options.set]
        check_tape(failures, tape, folder, truth, least_calls, least_names)


@dataclasses.dataclass
class Truth:
    """What the guest itself says about the time that is on the tape."""
    files: dict         # strace's logs, {path: bytes}
    exe_text: str       # of EXECUTABLES
    ps_text: str
    old: object         # pid of OLD_PROCESS, or None


def record_truth(failures, guest, before, with_recorder, workloads=WORKLOADS, both=False):
    """Records the workloads in a guest that runs (or, to be recorded before its boot, waits for cont); the Truth."""
    old = None
    if not before:
        guest.wait_ready()
        old = int(guest.must(OLD_PROCESS))
    with with_recorder as recorder:
        if before:
            recorder.wait_for(ATTACHED)
            guest.qmp("cont")
            guest.wait_ready()
        recorder.wait_for(PLAN_IN_FORCE)
        say(f"guest {guest.must('cut -c -100 /proc/version /proc/cmdline').strip()} is recorded, plan in force")
        files = run_workloads(failures, guest, workloads, both)
        say("workloads have run under strace")
        exe_text = guest.must(EXECUTABLES)
        ps_text = guest.must("sleep 1; ps -o pid,ppid,comm")
        failures.check(recorder.stop() == 0, "the recorder ends with status 0 on SIGINT")
        say("recorder: " + recorder.log().strip().replace("\n", "\n          "))
    return Truth(files, exe_text, ps_text, old)


def check_tape(failures, tape, folder, truth, least_calls=2000, least_names=150, iret_seen=True):
    """All that the tape says against the truth. iret_seen: whether the producer sees returns by IRET (compare.py)."""
    files, old = truth.files, truth.old
    status, out, err = vmtape("verify", tape)
    failures.check(status == 0, f"vmtape verify: status {status} {out.strip()[-300:]} {err.strip()[-300:]}")
    status, out, err = vmtape("info", tape)
    failures.check(status == 0 and "Linux version" in out, f"vmtape info: status {status}\n{out}{err}")
    status, text, err = vmtape("events", tape, "--format", "json")
    failures.check(status == 0 and not err.strip(), f"vmtape events: status {status} {err[-1000:]}")
    for threads in ("1", "5"):
        same = vmtape("events", tape, "--format", "json", "--threads", threads)[1] == text
        failures.check(same, f"with --threads {threads} events shows the same")
    lines = text.splitlines()
    say(f"{len(lines)} calls on the tape of {os.path.getsize(tape)} bytes")
    with open(os.path.join(folder, "events.json"), "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)
    for path, data in files.items():
        target = os.path.join(folder, path.lstrip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as out:
            out.write(data)

    report = io.StringIO()
    comparison = compare.compare(files, TRUTH, lines, report, iret_seen)
    say("comparison with strace:\n" + report.getvalue())
    failures.check(comparison.total > least_calls and len(comparison.names) >= least_names,
                   f"{comparison.total} calls of {len(comparison.names)} different system calls were compared")
    failures.check(not comparison.unexplained and comparison.matched == comparison.total,
                   f"{comparison.matched} / {comparison.total} calls agree with strace")

    if iret_seen:
        left = comparison.never_decoded()
        failures.check(not left, f"arguments that strace decodes and the tape never does: {left}")

    events = [json.loads(line) for line in lines]
    text_tids = strace_log.read_folder(files, f"{TRUTH}/text/t").keys()
    if any(event.get("process") == "work_files" for event in events):
        check_odd_bytes(failures, tape, files)
    tids = text_tids | strace_log.read_folder(files, f"{TRUTH}/raw/t").keys()
    traced = [event for event in events if event.get("tid") in tids]
    control = compare.compare(files, TRUTH, [json.dumps(one) for one in tampered(traced, text_tids)], io.StringIO(),
                              iret_seen)
    failures.check(len(control.unexplained) >= len(comparison.unexplained) + 3, "the comparison notices tampering")
    if old is not None:
        status, out, err = vmtape("ps", tape, "--format", "json")
        rows = [row for row in map(json.loads, out.splitlines()) if row["pid"] == old]
        failures.check(status == 0 and rows and rows[0]["process"] == "sleep" and rows[0]["exe"] == "/tmp/elder",
                       f"a process older than the recorder is known: {rows or err[-300:]}")
    check_executables(failures, events, truth.exe_text)
    check_ps(failures, tape, events, truth.ps_text, iret_seen)


def check_executables(failures, events, exe_text):
    """The last that the tape says of each process that said itself what it is."""
    want = {int(pid): exe for pid, exe in (line.split() for line in exe_text.splitlines())}
    have = {event["pid"]: event["exe"] for event in events if event.get("pid") in want}
    failures.check(len(want) == 2 and have == want, f"executables: /proc says {want}, the tape {have}")


def check_odd_bytes(failures, tape, files):
    """The text form escapes bytes as strace does: each string with bytes that are no UTF-8 must stand in it so."""
    status, text, _ = vmtape("events", tape)
    odd = set()
    for calls in strace_log.read_folder(files, f"{TRUTH}/text/t").values():
        for call in calls:
            odd.update(arg for arg in call.args if re.search(r"\\[2-3][0-7]{2}", arg) and arg.endswith('"')
                       and call.name in ("openat", "rename", "unlink"))
    absent = [arg for arg in odd if arg not in text]
    failures.check(status == 0 and odd and not absent,
                   f"{len(odd)} strings of odd bytes stand in the text form, {absent[:3]} do not")


def check_ps(failures, tape, events, ps_text, iret_seen):
    """The moment is that at which ps began to read /proc."""
    moments = [event["time"] for event in events if event.get("process") == "ps" and event.get("syscall") == "openat"
               and any(argument.get("text") == "/proc" for argument in (event["args"] or {}).values())]
    if not failures.check(moments, "the tape knows when ps read /proc"):
        return
    status, out, err = vmtape("ps", tape, "--at", moments[-1], "--format", "json")
    want, (have, ended) = guest_processes(ps_text), tape_processes(out)
    # A parent with a handler for SIGCHLD returns to that from wait4, by IRET: KVM can't see which child it took leave of.
    # One that a signal killed has made no call that tells its end, either.
    unseen_waits = {event["pid"] for event in events if event.get("syscall") in ("wait4", "waitid")
                    and event.get("state") == "no-exit"}
    mourned = [pid for pid, (parent, _) in have.items()
               if pid not in want and not iret_seen and (pid in ended or parent in unseen_waits)]
    for pid in mourned:
        del have[pid]
    differ = [pid for pid in sorted(want.keys() | have.keys()) if want.get(pid) != have.get(pid)]
    # Workers of the kernel come and go without a system call: between two snapshots nobody outside can know.
    workers = [pid for pid in differ if "kworker" in str((want.get(pid), have.get(pid)))]
    wrong = [f"{pid}: guest {want.get(pid)}, tape {have.get(pid)}" for pid in differ if pid not in workers]
    failures.check(status == 0 and len(want) > 20 and not wrong,
                   f"vmtape ps --at {moments[-1]} equals ps in the guest: {len(want)} processes, "
                   f"{len(wrong)} differ {wrong[:20]}, {len(workers)} kernel workers came or went, "
                   f"{len(mourned)} had ended and were waited for unseen {err[-300:]}")


# What vmtape-record says once its rings run, and once the plan that fits the guest is in force.
ATTACHED = r"recording"
PLAN_IN_FORCE = r"plan \d+ is in force"

if __name__ == "__main__":
    main()
