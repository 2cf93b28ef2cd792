#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmtape memory: what it exports is what QEMU itself dumps of the same guest, at the same moment.

The guest is paused, a snapshot is taken and QEMU's dump-guest-memory is run; then every page and every register of the
exported core must be as in QEMU's dump, raw and LiME must hold the same bytes, and the kernel's VMCOREINFO must lead to
the kernel's own name. With --symbols, or VMTAPE_LONG set, crash and drgn open the core with the kernel's debug symbols (280 MB are fetched, and
2 GB unpacked) and must list the processes that vmtape ps lists.
"""
import argparse
import glob
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess

from elf_core import ElfCore
from guest_vm import Guest, wait_until
from vm_env import (BUILD, RECORD, TOP, VMTAPE, Failures, Recorder, image, need_programs, qemu, say, skip, vmtape,
                    with_live_guest)

WORK = "cd /tmp; sh -c 'sleep 1234 & sleep 2345 & exec sleep 3456' >/dev/null 2>&1 & for i in 1 2 3; do ls / >/dev/null; done"
DRGN = """
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    if task.group_leader == task:
        print("TASK", task.pid.value_(), task.comm.string_().decode())
"""


def send(control, *words):
    result = subprocess.run([RECORD, "--send", control, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False)
    return result.returncode, result.stdout


def snapshots(tape):
    return json.loads(vmtape("info", "--format", "json", tape)[1])["snapshots"]


def record(failures, guest, folder):
    """A tape with a snapshot of the moment of QEMU's dump; paths of both, and that snapshot's number."""
    tape, dump, control = (os.path.join(folder, name) for name in ("guest.vmt", "qemu.core", "control.sock"))
    with Recorder(guest.socket_path, tape, "--snapshot-interval", "1h", "--control", control, "--force") as recorder:
        recorder.wait_for(r"plan \d+ is in force", timeout=120)
        guest.must(WORK)
        guest.must("sleep 0.5")
        guest.qmp("stop")
        status, answer = send(control, "snapshot")
        failures.check(status == 0, f"a snapshot of the paused guest is asked for: {answer.strip()}")
        wanted = json.loads(answer)["id"]
        wait_until(lambda: snapshots(tape)[-1]["id"] == wanted, 60, "that snapshot on the tape")
        number = len(snapshots(tape)) - 1
        guest.qmp("dump-guest-memory", timeout=120, paging=False, protocol="file:" + dump)
        guest.qmp("cont")
        guest.must("for i in 1 2 3 4; do date >/tmp/later; sleep 0.3; done")
        failures.check(recorder.stop() == 0, "the recorder ends in good order")
    return tape, dump, number


def export(failures, tape, path, *words):
    if os.path.exists(path):
        os.unlink(path)
    status, _, err = vmtape("memory", tape, "-o", path, *words)
    failures.check(status == 0, f"vmtape memory {' '.join(words)}: status {status}: {err.strip()}")
    return err


def compare_memory(failures, ours, theirs):
    """Page by page. What QEMU's dump has and the tape does not say is RAM (the firmware's ROM) is not compared."""
    pages, different = 0, []
    for start, size, _ in ours.segments:
        for address in range(start, start + size, 4096):
            mine, other = ours.read(address, 4096), theirs.read(address, 4096)
            if other is None:
                continue
            pages += 1
            if mine != other:
                different.append(hex(address))
    total = sum(size for _, size, _ in ours.segments) // 4096
    failures.check(pages == total and not different,
                   f"{pages} of {total} pages are in QEMU's dump, {len(different)} differ {different[:8]}")


def registers(core):
    return [struct.unpack_from("<27Q", desc, 112) for desc in core.note("CORE")]


def check_core(failures, core, theirs, guest_release):
    failures.check(core.type == 4 and core.machine == 62, "an ELF core of x86-64")
    compare_memory(failures, core, theirs)
    failures.check(registers(core) == registers(theirs) and len(registers(core)) == 2,
                   f"registers of both vCPUs are QEMU's: {registers(core)} {registers(theirs)}"
                   if registers(core) != registers(theirs) else "registers of both vCPUs are QEMU's")
    # Control registers and tables of QEMU's own note, without what segments have in limits and flags.
    mine, other = core.note("QEMU"), theirs.note("QEMU")
    same = len(mine) == len(other) == 2 and all(a[:152] == b[:152] and a[392:440] == b[392:440] and len(a) == len(b)
                                                for a, b in zip(mine, other))
    failures.check(same, "control registers of both vCPUs are QEMU's")
    info = core.vmcoreinfo()
    text = int(info["SYMBOL(_stext)"], 16)
    by_tables = core.read_kernel(info, text, 256)
    by_segment = [core.read(start + text - virtual, 256) for start, size, virtual in core.virtual
                  if virtual <= text < virtual + size]
    failures.check(by_segment == [by_tables] and by_tables, "a segment has the kernel's image at its address")
    failures.check(info.get("OSRELEASE") == guest_release, f"VMCOREINFO is of {info.get('OSRELEASE')}")
    name = core.read_kernel(info, int(info["SYMBOL(init_uts_ns)"], 16) + int(info["OFFSET(uts_namespace.name)"]), 390)
    names = [part.split(b"\0")[0].decode() for part in (name[i:i + 65] for i in range(0, 390, 65))]
    failures.check(names[0] == "Linux" and names[2] == guest_release, f"and its symbols lead to the kernel's name: {names[:3]}")


def check_forms(failures, tape, folder, core, moment):
    """The other formats, and pipes, hold the same bytes."""
    raw, lime = os.path.join(folder, "guest.raw"), os.path.join(folder, "guest.lime")
    export(failures, tape, raw, "--at", moment, "--format", "raw")
    export(failures, tape, lime, "--at", moment, "--format", "lime")
    end = max(start + size for start, size, _ in core.segments)
    failures.check(os.path.getsize(raw) == end, "raw is as long as the highest address")
    failures.check(os.stat(raw).st_blocks * 512 < end, "and has holes")
    with open(raw, "rb") as a, open(lime, "rb") as b:
        same = True
        for start, size, _ in core.segments:
            a.seek(start)
            magic, version, first, last = struct.unpack("<IIQQ8x", b.read(32))
            same = same and (magic, version, first, last) == (0x4c694d45, 1, start, start + size - 1)
            bytes_raw, bytes_lime = a.read(size), b.read(size)
            same = same and bytes_raw == bytes_lime == core.read(start, size)
        failures.check(same and not b.read(1), "raw and LiME hold the core's bytes")
    for form in ("elf", "raw", "lime"):
        whole = os.path.join(folder, {"elf": "guest.core", "raw": "guest.raw", "lime": "guest.lime"}[form])
        with open(whole, "rb") as data:
            want = hashlib.sha1(data.read()).digest()
        piped = subprocess.run([VMTAPE, "memory", tape, "-o", "-", "--at", moment, "--format", form],
                               stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False)
        failures.check(hashlib.sha1(piped.stdout).digest() == want, f"{form} through a pipe is the same")
    status, _, err = vmtape("memory", tape, "-o", raw, "--format", "raw")
    failures.check(status == 2 and "--force" in err, "an existing file is kept")
    status, _, err = vmtape("memory", tape, "-o", raw, "--format", "raw", "--force")
    failures.check(status == 0 and os.path.getsize(raw) == end, "unless --force is given")
    failures.check(not glob.glob(raw + ".*"), "nothing else is left in the folder")


def processes(tape, moment):
    status, out, err = vmtape("ps", tape, "--format", "json", "--at", moment)
    assert status == 0, err
    return {(row["pid"], row["process"]) for row in map(json.loads, out.splitlines())}


def symbols(release, kernel_version):
    """The kernel with its debug symbols."""
    cache = os.environ.get("VMTAPE_CACHE", os.path.expanduser("~/.cache/vmtape"))
    path = os.path.join(cache, "symbols", f"vmlinux-{release}")
    if os.path.exists(path):
        return path
    version = re.search(r"Debian (\S+)", kernel_version)
    if not version:
        skip(f"no Debian kernel: {kernel_version}")
    for suite in ("bookworm-security", "bookworm"):
        found = subprocess.run([os.path.join(TOP, "scripts", "deb-fetch"), "--cached", suite,
                                f"linux-image-{release}-dbg={version.group(1)}"], stdout=subprocess.PIPE, text=True, check=False)
        if found.returncode == 0:
            break
    else:
        skip(f"no mirror has linux-image-{release}-dbg any more")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with subprocess.Popen(["dpkg", "--fsys-tarfile", found.stdout.strip()], stdout=subprocess.PIPE) as archive, \
         open(path + ".part", "wb") as out:
        subprocess.run(["tar", "-xO", f"./usr/lib/debug/boot/vmlinux-{release}"], stdin=archive.stdout, stdout=out, check=True)
    os.rename(path + ".part", path)
    return path


def check_debuggers(failures, tape, moment, path, folder, vmlinux):
    want = processes(tape, moment)
    script = os.path.join(folder, "tasks.py")
    with open(script, "w", encoding="utf-8") as out:
        out.write(DRGN)
    if not shutil.which("drgn") or not shutil.which("crash"):
        skip("drgn or crash is not installed: scripts/deps --test")
    result = subprocess.run(["drgn", "-c", path, "-s", vmlinux, script], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    tasks = {(int(pid), comm) for pid, comm in re.findall(r"^TASK (\d+) (.*)$", result.stdout, re.M)}
    failures.check(len(tasks) > 20 and tasks == want,
                   f"drgn lists {len(tasks)} processes, vmtape ps {len(want)}; only drgn: {sorted(tasks - want)[:5]}, "
                   f"only vmtape: {sorted(want - tasks)[:5]}")
    if tasks != want:
        say(result.stdout[-3000:])
    # Debian 12's crash does not find the tasks of its kernel, whose struct pid is younger than it: only that it opens.
    result = subprocess.run(["crash", vmlinux, path], input="sys\nexit\n", stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    opened = re.search(r"RELEASE: (\S+)", result.stdout)
    if not failures.check(opened and opened.group(1) in vmlinux and "DUMPFILE: " + path in result.stdout,
                          "crash opens the core"):
        say(result.stdout[-3000:])


def run_guest(failures, options, with_symbols):
    # Debian 12's crash finds no task of a guest with page tables of five levels.
    cpu = "max,la57=off" if with_symbols else "max"
    with Guest(qemu(), image(options.kernel), smp=2, memory_mb=256, cpu=cpu) as guest:
        guest.wait_ready()
        folder = options.keep or guest.folder
        os.makedirs(folder, exist_ok=True)
        release, version = guest.must("uname -r").strip(), guest.must("uname -v").strip()
        tape, dump, number = record(failures, guest, folder)
        path = os.path.join(folder, "guest.core")
        moment = snapshots(tape)[number]["time"]
        err = export(failures, tape, path, "--at", moment)
        failures.check(f"snapshot {number}, of" in err, "the message names the snapshot")
        status, _, err = vmtape("memory", tape, "-o", os.path.join(folder, "none"), "--at", "2001-01-01T00:00:00Z")
        failures.check(status == 1 and "the first snapshot is of" in err, "a time before the first snapshot is refused")
        core = ElfCore(path)
        check_core(failures, core, ElfCore(dump), release)
        check_forms(failures, tape, folder, core, moment)
        if with_symbols:
            check_debuggers(failures, tape, moment, path, folder, symbols(release, version))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="6.1", choices=("6.1", "6.12"))
    parser.add_argument("--symbols", action="store_true", help="open the core with crash and drgn")
    parser.add_argument("--keep", help="folder for the tape, QEMU's dump and the exports")
    options = parser.parse_args()
    need_programs()
    failures = Failures()
    with_live_guest(run_guest, failures, options, False)
    if options.symbols or os.environ.get("VMTAPE_LONG"):
        with_live_guest(run_guest, failures, options, True)
    else:
        say("NOT DONE: opening the core with crash and drgn; that is for --symbols and scripts/test --long")
    failures.finish()


if __name__ == "__main__":
    main()
