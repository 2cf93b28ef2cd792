#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors and memory regions as the tape tells them are those that the guest's own /proc shows.

A program in the guest opens all kinds of files, copies, forks, execs and waits, while /proc is read. Three recordings of
one boot: from before the program began, attached when it waited, and of a program that opens and closes without rest with
a ring so small that records are lost. In the last, each file's content is its path: no descriptor may bear another's name
without a mark.
"""
import argparse
import ipaddress
import json
import os
import shutil
import signal
import time

from guest_vm import Guest
from vm_env import BUILD, Failures, Recorder, image, need_programs, qemu, say, skip, vmtape, vmtape_events, \
    with_live_guest

WORKLOAD = os.path.join(BUILD, "tests", "fd_workload")
LIST = ("for p in $(cut -d' ' -f2 /tmp/fd.pids); do echo \"cwd $p $(readlink /proc/$p/cwd)\"; "
        "for f in /proc/$p/fd/*; do echo \"fd $p ${f##*/} $(readlink $f)\"; done; done")
NET = "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp 2>/dev/null; echo UNIX; cat /proc/net/unix"
TCP_LISTEN = 0x0A
UNSURE = ("/tmp/fdw/marked/", "/marked_file", "/file")  # what mounts and hard links did to these, calls don't prove


def endpoint(text):
    """10.0.0.2:80 of /proc/net/tcp's words in hex."""
    address, port = text.split(":")
    words = b"".join(int(address[i:i + 8], 16).to_bytes(4, "little") for i in range(0, len(address), 8))
    ip = ipaddress.ip_address(words)
    return f"[{ip}]:{int(port, 16)}" if ip.version == 6 else f"{ip}:{int(port, 16)}"


def sockets(text):
    """What socket:[inode] is called by us."""
    inet, unix = text.split("UNIX\n")
    names = {}
    for line in inet.splitlines():
        words = line.split()
        if len(words) > 9 and words[0].endswith(":"):
            local, peer = endpoint(words[1]), endpoint(words[2])
            names[words[9]] = local if peer.endswith(":0") else f"{local}->{peer}"
    for line in unix.splitlines()[1:]:
        words = line.split()
        names[words[6]] = words[7] if len(words) > 7 else None
    return names


def truth(guest):
    """{pid: {fd: name}} by /proc, sockets with addresses; and where each process is."""
    files, places = {}, {}
    names = sockets(guest.must(NET))
    for line in guest.must(LIST).splitlines():
        kind, pid, *rest = line.split(" ", 3 if line.startswith("fd") else 2)
        if kind == "cwd":
            places[int(pid)] = rest[0]
            continue
        name = rest[1]
        if name.startswith("socket:["):
            name = ("socket", names.get(name[8:-1]))
        files.setdefault(int(pid), {})[int(rest[0])] = name
    return files, places


def told(tape, *options):
    status, out, err = vmtape("fds", tape, "--format", "json", *options)
    if status:
        return None, err
    files, places = {}, {}
    for line in out.split("\n"):
        if line:
            row = json.loads(line)
            if "cwd" in row:
                places[row["pid"]] = row["cwd"]
            else:
                files.setdefault(row["pid"], {})[row["num"]] = row
    return files, places


def agrees(row, name):
    """Is what we say of this descriptor what the guest says? A name that is not known is no contradiction for kinds
    whose names only a snapshot has."""
    if row.get("uncertain"):
        return isinstance(name, str) and name.startswith(UNSURE)
    if isinstance(name, tuple):
        if name[1] is None and row["type"] == "ipv4":
            return True  # its connection is over, and the kernel's list has it no more
        if row["type"] in ("ipv4", "ipv6"):
            local, _, peer = (row["name"] or "").partition("->")
            true_local, _, true_peer = (name[1] or "").partition("->")
            return peer == true_peer and (local == true_local or local.startswith("?"))
        return row["type"] == "unix" and (name[1] is None or row["name"] in (None, name[1]))
    if name.startswith(("anon_inode:[pidfd", "pidfd:[")):
        return row["type"] == "pidfd" and (row["name"].startswith("pid:") or row["name"] == name)
    if name.startswith("pipe:["):
        return row["type"] == "pipe" and row["name"] in (None, name)
    return row["name"] == name


def compare(failures, label, tape, files, places, *options):
    ours, our_places = told(tape, *options)
    if not failures.check(ours is not None, f"{label}: vmtape fds" + (f": {our_places}" if ours is None else "")):
        return
    for pid, fds in files.items():
        mine = ours.get(pid, {})
        bad = [(fd, name, mine.get(fd)) for fd, name in fds.items() if fd not in mine or not agrees(mine[fd], name)]
        extra = sorted(set(mine) - set(fds))
        failures.check(not bad and not extra, f"{label}: {len(fds)} descriptors of process {pid} agree"
                       + (f"; not: {bad}; ours alone: {[mine[fd] for fd in extra]}" if bad or extra else ""))
        named = sum(1 for fd in fds if fd in mine and mine[fd]["name"])
        say(f"{label}: {named} of {len(fds)} have a name")
    wrong = {pid: (place, our_places.get(pid)) for pid, place in places.items() if our_places.get(pid) != place}
    failures.check(not wrong, f"{label}: {len(places)} working directories" + (f": {wrong}" if wrong else ""))


def regions(text):
    """(start, end, permissions, file) of /proc/PID/maps; memory between heap and file has no name with us."""
    out = set()
    for line in text.splitlines():
        words = line.split(None, 5)
        start, end = (int(word, 16) for word in words[0].split("-"))
        if start < 1 << 63 and (len(words) < 6 or words[5] not in ("[vvar]", "[vvar_vclock]")):
            out.add((start, end, words[1], words[5] if len(words) > 5 and words[5].startswith("/") else ""))
    return joined(out)


def joined(parts):
    """Neighbours without a file that differ in nothing are one: the kernel joins them when it can."""
    out = []
    for part in sorted(parts):
        if out and not part[3] and out[-1][1] == part[0] and out[-1][2:] == part[2:]:
            out[-1] = (out[-1][0], part[1], *part[2:])
        else:
            out.append(part)
    return set(out)


def compare_maps(failures, label, tape, pid, text, *options):
    status, out, err = vmtape("maps", tape, "--pid", str(pid), "--format", "json", *options)
    if not failures.check(status == 0, f"{label}: vmtape maps: status {status} {err[-300:]}"):
        return
    theirs = regions(text)
    places = [(start, end) for start, end, *_ in theirs]
    ours = joined((int(row["start"], 16), int(row["end"], 16), row["permissions"], row["file"] or "")
                  for row in map(json.loads, filter(None, out.split("\n"))))
    # the kernel's own pages (vvar), which have no file, are not compared
    ours = {part for part in ours if part[3] or part[:2] in places or not is_between(part, text)}
    failures.check(ours == theirs, f"{label}: {len(theirs)} regions of process {pid} agree"
                   + ("" if ours == theirs else f"; ours alone {sorted(ours - theirs)}, theirs {sorted(theirs - ours)}"))


def is_between(part, text):
    """Is it the kernel's data for the vDSO?"""
    for line in text.splitlines():
        words = line.split(None, 5)
        if len(words) > 5 and words[5].startswith("[vvar"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            if start <= part[0] and part[1] <= end:
                return True
    return False


def pids(guest):
    return dict(line.split() for line in guest.must("cat /tmp/fd.pids").splitlines())


def wait_for(guest, *roles):
    for _ in range(300):
        if set(roles) <= set(pids(guest)):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{roles} never came")


def record_from_start(failures, guest):
    """The calls from before the program began; and --at, with what it closed later still open."""
    tape = os.path.join(guest.folder, "start.vmt")
    guest.must("rm -f /tmp/fd.pids; touch /tmp/fd.pids")
    with Recorder(guest.socket_path, tape, "--snapshot-interval", "1h") as recorder:
        recorder.wait_for("base snapshot taken")
        recorder.wait_for(r"plan \d+ is in force|plan stays in force", timeout=60)
        time.sleep(0.5)
        guest.begin_quietly("/bin/fd_workload state")
        wait_for(guest, "parent", "child")
        time.sleep(0.3)
        files, places = truth(guest)
        child_maps = guest.must(f"cat /proc/{pids(guest)['child']}/maps")
        recorder.process.send_signal(signal.SIGUSR1)
        recorder.wait_for("the snapshot taken")
        guest.must(f"kill -USR1 {pids(guest)['parent']}")
        wait_for(guest, "closed")
        later, later_places = truth(guest)
        parent_maps = guest.must(f"cat /proc/{pids(guest)['parent']}/maps")
        status = recorder.stop()
    failures.check(status == 0, f"from the start: the recorder ends with status {status}")
    parent = int(pids(guest)["parent"])
    calls = vmtape_events(tape, "-f", f"proc.pid = {parent} and evt.type = rt_sigtimedwait and evt.res >= 0")
    failures.check(bool(calls), "the call in which it waited")
    # The listing came while it waited: a moment after it began to.
    at = calls[-1]["time"]
    stamp, _, fraction = at.rstrip("Z").partition(".")
    at = f"{stamp}.{int(fraction[:9].ljust(9, '0')) + 1000:09d}Z"
    compare(failures, "from the start, while it waited", tape, {p: f for p, f in files.items() if p == parent},
            {p: c for p, c in places.items() if p == parent}, "--at", at)
    compare(failures, "from the start, at the end", tape, later, later_places)
    compare_maps(failures, "a snapshot and calls", tape, parent, parent_maps)
    compare_maps(failures, "a snapshot alone", tape, int(pids(guest)["child"]), child_maps)
    check_events(failures, tape, parent)
    guest.must(f"kill -USR2 {parent}; sleep 0.5")


def check_events(failures, tape, parent):
    """Fields of filters, and what --show-fds prints."""
    def count(text):
        return len(vmtape_events(tape, "-f", f"proc.pid = {parent} and {text}"))

    failures.check(count("fd.name = /tmp/fdw/relative and evt.type in (open, openat)") == 1, "fd.name of an open")
    failures.check(count("fd.type = ipv4 and evt.type = connect and fd.l4proto = tcp") == 1, "fd.type of a connect")
    failures.check(count("evt.type = sendto and fd.sport = 4711 and fd.sip = 127.0.0.1") == 1, "fd.sport of a send")
    failures.check(count("evt.type = accept4 and fd.lport = 4711") == 1, "fd.lport of an accept")
    failures.check(count("fd.name = /tmp/fdw/passed and evt.type = openat") == 1, "a file that is passed on")
    failures.check(count("proc.cwd = /tmp/fdw/dir and evt.type in (open, openat)") >= 1, "proc.cwd")
    failures.check(count("proc.cmdline = '/bin/fd_workload state'") > 20, "proc.cmdline")
    text = vmtape("events", tape, "--show-fds", "-f", f"proc.pid = {parent}")[1]
    for piece in ("dup2(", "</tmp/fdw/dir/moved>, 40", "<TCP:127.0.0.1:", "AT_FDCWD</tmp/fdw>", "<pipe",
                  "100</tmp/fdw/connected>"):
        failures.check(piece in text, f"--show-fds has {piece}")
    failures.check("</dev/null>" in text and "</dev/null?>" not in text, "another file's removal leaves /dev/null sure")
    touched = vmtape("files", tape, "-f", f"proc.pid = {parent}", "--format", "json")[1]
    paths = {json.loads(line)["path"] for line in touched.split("\n") if line}
    failures.check({"/etc/passwd", "/tmp/fdw/relative", "/tmp/fdw/dir/last"} <= paths, "vmtape files has the paths")
    talks = [json.loads(line) for line in vmtape("net", tape, "--format", "json")[1].split("\n") if line]
    sent = [talk for talk in talks if talk["pid"] == parent and talk["rport"] == 4711]
    failures.check(len(sent) == 1 and sent[0]["connects"] == 1 and sent[0]["bytes_out"] == 5, f"vmtape net: {sent}")


def record_late(failures, guest):
    """Attached when all is open: what is known comes from the snapshot alone."""
    tape = os.path.join(guest.folder, "late.vmt")
    guest.must("rm -f /tmp/fd.pids; touch /tmp/fd.pids")
    guest.begin_quietly("/bin/fd_workload state")
    wait_for(guest, "parent", "child")
    time.sleep(0.3)
    files, places = truth(guest)
    maps = {pid: guest.must(f"cat /proc/{pid}/maps") for pid in files}
    with Recorder(guest.socket_path, tape, "--snapshot-interval", "1h") as recorder:
        recorder.wait_for("base snapshot taken")
        status = recorder.stop()
    failures.check(status == 0, f"late: the recorder ends with status {status}")
    compare(failures, "late", tape, files, places)
    for pid, text in maps.items():
        compare_maps(failures, "late", tape, pid, text)
    guest.must(f"kill -USR2 {pids(guest)['parent']}; sleep 0.5")


def record_with_gaps(failures, guest):
    tape = os.path.join(guest.folder, "gaps.vmt")
    guest.begin_quietly("/bin/fd_workload churn 3")
    time.sleep(0.5)
    with Recorder(guest.socket_path, tape, "--ring-bytes", "64K", "--snapshot-interval", "1s", "--duration", "4s",
                  "--cpus", "0") as recorder:
        recorder.wait(90)
    guest.must("killall -9 fd_workload")
    events = vmtape_events(tape, "-f", "evt.type = pread64 and proc.name = fd_workload")
    gaps = sum("gap" in event for event in events)
    reads = [event for event in events if event.get("syscall") == "pread64" and event["process"] == "fd_workload"
             and (event["ret"] or 0) > 0 and not event.get("uncertain")]
    known = [event for event in reads if event.get("fd", {}).get("name")]
    sure = [event for event in known if not event["fd"].get("uncertain")]
    wrong = [event for event in sure if event["args"]["buf"].get("text") not in (event["fd"]["name"], None)]
    say(f"{gaps} gaps, {len(reads)} reads: {len(known)} with a name, {len(sure)} of them sure")
    failures.check(gaps > 0, f"{gaps} gaps")
    failures.check(len(sure) > 100, f"{len(sure)} names are sure")
    failures.check(not wrong, f"{len(wrong)} sure names are wrong{': ' + json.dumps(wrong[:3]) if wrong else ''}")
    return tape


def run_guest(failures, kernel, keep):
    with Guest(qemu(), image(kernel), smp=2) as guest:
        guest.wait_ready()
        with open(WORKLOAD, "rb") as program:
            guest.push({"/bin/fd_workload": (program.read(), 0o755)})
        guest.begin_quietly = lambda command: guest.must(f"setsid {command} </dev/null >/tmp/w.out 2>&1 &")
        try:
            record_from_start(failures, guest)
            record_late(failures, guest)
            record_with_gaps(failures, guest)
        finally:
            if keep:
                os.makedirs(keep, exist_ok=True)
                for name in ("start.vmt", "late.vmt", "gaps.vmt"):
                    if os.path.exists(os.path.join(guest.folder, name)):
                        shutil.copy(os.path.join(guest.folder, name), keep)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kernel", default="6.12", help="series of the guest's kernel")
    options.add_argument("--keep", metavar="FOLDER", help="copy the tapes there")
    options = options.parse_args()
    need_programs()
    if not os.access(WORKLOAD, os.X_OK):
        skip(f"{WORKLOAD} is not built")
    failures = Failures()
    with_live_guest(run_guest, failures, options.kernel, options.keep)
    failures.finish()


if __name__ == "__main__":
    main()
