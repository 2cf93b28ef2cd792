#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How much a guest of 1 GiB feels of its snapshots, beside what QEMU itself offers, on the same guest in one run.

A program in the guest (tests/vm/page_writer.c) dirties memory: a part of RAM once, or so many pages a second. The
figures of each snapshot are those that the recorder stores in the tape: the pause is the sum over all pauses of a
snapshot. "Stall" is the longest time for which the guest's program did not run while the snapshot was taken; a busy
host makes it longer. CPU time is the host's, of QEMU and recorder, less what the guest's program took in as long a time
without a snapshot (steady load only). Whole snapshots are compared with dump-guest-memory, migration to a file and savevm
(snapshot-save into a qcow2 file). The recorder's memory is the most that it ever had, less the rings'.

Needs a built vmtape (VMTAPE_BUILD, default build/), the patched QEMU and a guest; see tests/vm/vm_env.py.
"""
import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))

from guest_vm import Guest, GuestError, wait_until  # noqa: E402
from vm_env import Recorder, image, need_programs, qemu, say, vmtape  # noqa: E402

RAM_MB = 1024
RAM_PAGES = RAM_MB << 8
FILE_MB = 448
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
WRITER = f"page_writer /tmp/pages {FILE_MB} 0x766d7461706521"
ONCE = tuple((percent, run) for percent in (1, 5, 20) for run in (1, 64))
OURS = "vmtape, base snapshot"
RATES = (5000, 20000, 100000, 0)


def cpu_seconds(*pids):
    """User and system time of all threads of these processes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_S


def memory_mib(pid):
    """The most memory that a process has had so far, less what it shares with others now: the rings."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        kib = dict(re.findall(r"^(VmHWM|RssShmem):\s+(\d+) kB", status.read(), re.M))
    return (int(kib["VmHWM"]) - int(kib["RssShmem"])) / 1024


def print_memory(values):
    print(f"memory of the recorder: {max(values):.1f} MiB at most (goal 64): {verdict(max(values) <= 64)}", flush=True)


def verdict(met):
    return "yes" if met else "no"


def snapshots_of(tape):
    status, out, err = vmtape("info", "--format", "json", tape)
    if status not in (0, 1):
        raise GuestError(f"vmtape info: {err}")
    return json.loads(out)


def wait_idle(pid):
    """Waits until a process has used no CPU time for a while; when it did so last."""
    last, at = cpu_seconds(pid), time.monotonic()
    while time.monotonic() - at < 0.15:
        time.sleep(0.01)
        if cpu_seconds(pid) != last:
            last, at = cpu_seconds(pid), time.monotonic()
    return at


def take_snapshot(guest, recorder, known):
    """Asks for a snapshot and waits until the tape has it: CPU seconds of QEMU and recorder, and how long it took."""
    before, began = cpu_seconds(guest.pid(), recorder.process.pid), time.monotonic()
    recorder.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: recorder.log().count("snapshot taken") > known, 120, "a snapshot")
    qemu_cpu = cpu_seconds(guest.pid())
    wall = wait_idle(recorder.process.pid) - began
    return {"cpu": qemu_cpu + cpu_seconds(recorder.process.pid) - before, "wall": wall}


def open_recorder(guest, folder, name):
    tape = os.path.join(folder, name + ".vmt")
    return Recorder(guest.socket_path, tape, "--force", "--plan", "none", "--snapshot-interval", "1h"), tape


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} – {form.format(max(values))})"


HEAD = ("| load | dirty pages | pauses | pause ms | longest ms | goal ms | met | copied in the pause | protected | while running "
        "| wall s | CPU s | stall ms |")


def print_row(name, shots, stalls=()):
    """One line of the table from the figures of several snapshots; the goal is set for each by its own dirty pages."""
    def column(key, scale=1):
        return [shot.get(key, 0) / scale for shot in shots]

    pauses, dirty = column("pause_ns", 1e6), column("dirty_pages")
    goals = [2 + pages * 1e-4 for pages in dirty]
    met = sum(pause <= goal for pause, goal in zip(pauses, goals))
    print(f"| {name} | {spread(dirty, '{:.0f}')} | {spread(column('pauses'), '{:.0f}')} | {spread(pauses)} "
          f"| {spread(column('longest_pause_ns', 1e6))} | {statistics.median(goals):.1f} | {met} of {len(shots)} "
          f"| {spread(column('pages_in_pause'), '{:.0f}')} | {spread(column('pages_protected'), '{:.0f}')} "
          f"| {spread(column('pages_running'), '{:.0f}')} "
          f"| {spread([shot['wall'] for shot in shots])} | {spread([shot['cpu'] for shot in shots])} "
          f"| {spread(stalls, '{:.1f}') if stalls else '–'} |", flush=True)


def with_figures(tape, taken):
    """The tape's figures of the snapshots with these numbers, joined with what was measured outside."""
    stored = snapshots_of(tape)["snapshots"]
    return [{**stored[number - 1], **outside} for number, outside in taken]


def bench_once(guest, folder, repetitions):
    recorder, tape = open_recorder(guest, folder, "once")
    taken = {case: [] for case in ONCE}
    with recorder:
        recorder.wait_for("base snapshot taken", timeout=120)
        number = 1
        for _ in range(repetitions):
            for percent, run in ONCE:
                guest.must(f"{WRITER} once {RAM_PAGES * percent // 100} {run}", timeout=120)
                outside = take_snapshot(guest, recorder, number)
                number += 1
                taken[percent, run].append((number, outside))
        memory = memory_mib(recorder.process.pid)
        recorder.stop()
    for percent, run in ONCE:
        print_row(f"{percent} % once, runs of {run}", with_figures(tape, taken[percent, run]))
    return [memory]


def bench_steady(guest, folder, repetitions, rates):
    memory = []
    for rate, run in ((rate, run) for rate in rates for run in (1, 64)):
        guest.must(f"{WRITER} steady {rate} {run} >/tmp/writer.log 2>&1 & echo $! >/tmp/writer.pid; "
                   "while ! grep -q writing /tmp/writer.log; do sleep 0.1; done")
        recorder, tape = open_recorder(guest, folder, "steady")
        taken, stalls = [], []
        with recorder:
            recorder.wait_for("base snapshot taken", timeout=120)
            for number in range(1, repetitions + 1):
                guest.must("kill -USR1 $(cat /tmp/writer.pid)")
                time.sleep(1)
                idle = cpu_seconds(guest.pid(), recorder.process.pid)
                time.sleep(0.5)
                idle = (cpu_seconds(guest.pid(), recorder.process.pid) - idle) / 0.5
                outside = take_snapshot(guest, recorder, number)
                outside["cpu"] -= idle * outside["wall"]
                taken.append((number + 1, outside))
                told = guest.must("kill -USR1 $(cat /tmp/writer.pid); sleep 0.3; tail -n 1 /tmp/writer.log")
                stalls.append(int(re.search(r"longest_gap_us (\d+)", told)[1]) / 1000)
            memory.append(memory_mib(recorder.process.pid))
            recorder.stop()
        guest.must("kill $(cat /tmp/writer.pid)")
        name = f"{rate:,} pages/s" if rate else "as fast as it can"
        print_row(f"{name}, runs of {run}", with_figures(tape, taken), stalls)
    return memory


# ---- whole memory, beside QEMU's own means -----------------------------------------------------------------------------


def dump(guest, path, form):
    """The guest is stopped for as long as it takes: pause None."""
    guest.qmp("dump-guest-memory", timeout=300, paging=False, protocol=f"file:{path}", format=form)
    return None, 0


def migrate(guest, path):
    guest.qmp("migrate-set-parameters", max_bandwidth=1 << 40)
    guest.qmp("migrate", uri=f"file:{path}")
    try:
        wait_until(lambda: guest.qmp("query-migrate").get("status") in ("completed", "failed"), 300, "migration", 0.01)
        if guest.qmp("query-migrate")["status"] != "completed":
            raise GuestError(f"migration: {guest.qmp('query-migrate').get('error-desc')}")
        return guest.qmp("query-migrate")["downtime"]
    finally:
        wait_until(lambda: guest.qmp("query-status")["status"] != "finish-migrate", 30, "the end of the migration")
        guest.qmp("cont")


def run_job(guest, command, **arguments):
    """A job of QEMU's, until it is over."""
    guest.qmp(command, timeout=300, **{"job-id": "bench"}, **arguments)

    def job():
        return next(job for job in guest.qmp("query-jobs", timeout=300) if job["id"] == "bench")
    wait_until(lambda: job()["status"] == "concluded", 300, command, 0.01)
    why = job().get("error")
    guest.qmp("job-dismiss", id="bench")
    if why:
        raise GuestError(f"{command}: {why}")


def add_qcow2(guest, path):
    """An empty disk for savevm, that the guest does not see."""
    with open(path, "wb"):
        pass
    guest.qmp("blockdev-add", driver="file", filename=path, **{"node-name": "bench-file"})
    run_job(guest, "blockdev-create", options={"driver": "qcow2", "file": "bench-file", "size": 1 << 20})
    guest.qmp("blockdev-add", driver="qcow2", file="bench-file", **{"node-name": "bench-disk"})


def remove_qcow2(guest):
    for node in ("bench-disk", "bench-file"):
        guest.qmp("blockdev-del", **{"node-name": node})


def save(guest):
    """The guest is stopped for as long as it takes: pause None."""
    run_job(guest, "snapshot-save", tag="bench", vmstate="bench-disk", devices=["bench-disk"])
    return None, 0


def record_base(guest, path, memory):
    """A recorder's first snapshot; its pause in ms and the CPU seconds of the recorder, which ends with it."""
    with Recorder(guest.socket_path, path, "--force", "--plan", "none", "--snapshot-interval", "1h") as recorder:
        recorder.wait_for("base snapshot taken", timeout=120)
        wait_idle(recorder.process.pid)
        cpu = cpu_seconds(recorder.process.pid)
        memory.append(memory_mib(recorder.process.pid))
        recorder.kill()
    return snapshots_of(path)["snapshots"][0]["pause_ns"] / 1e6, cpu


def bench_whole(guest, folder, repetitions, kdump):
    path = os.path.join(folder, "whole")
    formats = [form for form in guest.qmp("query-dump-guest-memory-capability")["formats"]
               if form == "elf" or (form == "kdump-zlib" and kdump)]
    results, memory = {}, []

    def run(name, take):
        if os.path.exists(path) and name != "savevm":
            os.unlink(path)
        before, began = cpu_seconds(guest.pid()), time.monotonic()
        try:
            pause, more_cpu = take()
        except GuestError as error:
            say(f"{name}: {error}")
            return
        wall = time.monotonic() - began
        cpu = cpu_seconds(guest.pid()) - before + more_cpu
        row = (wall, wall * 1000 if pause is None else pause, cpu, os.stat(path).st_size / 2**20)
        results.setdefault(name, []).append(row)
        say("{}: {:.2f} s, guest stopped for {:.1f} ms, CPU {:.2f} s, {:.0f} MiB".format(name, *row))

    def zstd(source):
        subprocess.run(f"zstd -q -1 -T1 -c {source} >{path}", shell=True, check=True)
        return 0, 0

    for _ in range(repetitions):
        for form in formats:
            run(f"dump-guest-memory {form}", lambda form=form: dump(guest, path, form))
            if form == "elf":
                os.rename(path, path + ".elf")
                run("zstd -1 of that file, one thread", lambda: zstd(path + ".elf"))
                os.unlink(path + ".elf")
        run("migrate to file", lambda: (migrate(guest, path), 0))
        os.unlink(path)
        add_qcow2(guest, path)
        run("savevm", lambda: save(guest))
        remove_qcow2(guest)
        run(OURS, lambda: record_base(guest, path, memory))
    print_whole(results)
    return memory


def print_whole(results):
    """A line for each peer; how much slower and larger it is than our own snapshot of the same round, with the goals."""
    ours = results[OURS]
    print("\n| whole memory | wall s | guest stopped ms | CPU s | MiB | vmtape is faster, times | goal 3 | is smaller, times "
          "| goal 2 | stops it for less, times |\n|---|---|---|---|---|---|---|---|---|---|")
    for name, rows in results.items():
        line = (f"| {name} | {spread([row[0] for row in rows])} | {spread([row[1] for row in rows])} "
                f"| {spread([row[2] for row in rows])} | {spread([row[3] for row in rows], '{:.0f}')} |")
        if name == OURS:
            line += " – | – | – | – | – |"
        else:
            faster, smaller, stops = ([peer[column] / own[column] for peer, own in zip(rows, ours)]
                                      for column in (0, 3, 1))
            line += (f" {spread(faster)} | {verdict(statistics.median(faster) >= 3)} | {spread(smaller)} "
                     f"| {verdict(statistics.median(smaller) >= 2)} | {spread(stops, '{:.0f}')} |")
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--no-kdump", action="store_true", help="leave out the compressed dump, which takes half a minute")
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=RATES,
                        help="pages a second, 0: as fast as it can")
    parser.add_argument("--only", choices=("once", "steady", "whole"), action="append")
    options = parser.parse_args()
    parts, memory = options.only or ("once", "steady", "whole"), []
    need_programs()
    with tempfile.TemporaryDirectory(prefix="vmtape-bench.") as folder, \
            Guest(qemu(), image(options.kernel), smp=options.smp, memory_mb=RAM_MB) as guest:
        guest.wait_ready()
        guest.must(f"{WRITER} fill 0 1", timeout=120)
        say(f"guest {guest.must('uname -r').strip()}, {options.smp} vCPU, {RAM_MB} MiB; host load "
            f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; {options.repetitions} snapshots each, "
            "median (lowest – highest)")
        if "once" in parts or "steady" in parts:
            print(f"\n{HEAD}\n|{'---|' * HEAD.count(' |')}")
        if "once" in parts:
            memory += bench_once(guest, folder, options.repetitions)
        if "steady" in parts:
            memory += bench_steady(guest, folder, options.repetitions, options.rates)
        if "whole" in parts:
            memory += bench_whole(guest, folder, options.repetitions, not options.no_kdump)
        print_memory(memory)


if __name__ == "__main__":
    main()
