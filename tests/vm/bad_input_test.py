#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What bad input gets: exit status 2 and one line that names what is wrong, nothing overwritten, nothing lost.

Sockets that are missing, somebody else's or of another version on either side; plans, filters, options; a full disk; a
tape that is none, truncated anywhere, or corrupted at random bytes.
"""
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

from guest_vm import Guest, wait_until
from vm_env import RECORD, VMTAPE, Failures, Recorder, image, need_programs, qemu, say, vmtape, vmtape_events

HEADER = struct.Struct("<IHHII")    # magic, type, nr_fds, request, size_bytes (format/producer_proto.h)
MAGIC, HELLO, WELCOME, ERROR = 0x45504154, 1, 2, 16


def fails_cleanly(failures, label, command, words=(), lines=1, timeout=60):
    """The command ends with status 2 and `lines` lines on stderr, the last of which holds each of the words."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=timeout, check=False)
        status, text = result.returncode, result.stderr.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        status, text = "none: it hangs", ""
    got = text.splitlines()
    good = status == 2 and got and (lines is None or len(got) <= lines)
    good = good and all(word.lower() in got[-1].lower() for word in words)
    good = good and all(char.isprintable() for line in got for char in line.replace("\r", ""))
    failures.check(good, f"{label}: status {status}: {text[-300:]}")


class FakeProducer:
    """A server on a UNIX socket that answers the first message with given bytes, and then holds or hangs up."""

    def __init__(self, path, answer, hold=False):
        self.answer, self.hold = answer, hold
        self.server = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.unlink(path)
        self.server.bind(path)
        self.server.listen(4)
        self.clients = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.server.accept()
                client.recv(4096)
                client.sendall(self.answer)
            except OSError:
                return
            self.clients.append(client)
            if not self.hold:
                client.close()

    def close(self):
        self.server.close()
        for client in self.clients:
            client.close()


def message(kind, body, request=1, magic=MAGIC, size=None):
    return HEADER.pack(magic, kind, 0, request, len(body) if size is None else size) + body


def welcome(version=1, abi=1):
    return struct.pack("<HHIIIQ16s64s64s", version, 1, abi, 1, 4096, 0, bytes(16), b"fake", b"10.0.0")


def check_sockets(failures, folder):
    out = os.path.join(folder, "socket.vmt")
    path = os.path.join(folder, "fake.sock")
    connect = [RECORD, "--connect", path, "-o", out]
    fails_cleanly(failures, "no such socket", [RECORD, "--connect", folder + "/absent", "-o", out], ("absent",))
    plain = os.path.join(folder, "plain")
    with open(plain, "w", encoding="ascii") as file:
        file.write("text\n")
    fails_cleanly(failures, "a file, not a socket", [RECORD, "--connect", plain, "-o", out], ("plain",))
    answers = {
        "somebody else's socket": b'{"QMP": {"version": {}}}\r\n' * 4,
        "hangs up at once": b"",
        "another version": message(WELCOME, welcome(version=99)),
        "another record layout": message(WELCOME, welcome(abi=99)),
        "too short a welcome": message(WELCOME, b"abc"),
        "a message of 4 GiB": message(WELCOME, welcome(), size=0xffffffff),
        "an error with control characters": message(ERROR, struct.pack("<i252s", 16, b"busy\x1b[31m\x07\nsecond line")),
        "an answer to another request": message(WELCOME, welcome(), request=77),
    }
    for label, answer in answers.items():
        fake = FakeProducer(path, answer)
        fails_cleanly(failures, "producer: " + label, connect)
        fake.close()
    fake = FakeProducer(path, b"", hold=True)
    fails_cleanly(failures, "producer: never answers", connect)
    fake.close()
    failures.check(not os.path.exists(out), "no tape is left behind by a recorder that never got a guest")


def check_record_options(failures, guest):
    folder = guest.folder
    out = os.path.join(folder, "options.vmt")
    base = [RECORD, "--connect", guest.socket_path, "-o", out]
    bad_plan = os.path.join(folder, "bad.plan")
    with open(bad_plan, "w", encoding="ascii") as file:
        file.write("openat enter +0(arg1):string\nopenat enter nonsense\n")
    cases = {
        "no arguments": [RECORD],
        "no output": [RECORD, "--connect", guest.socket_path],
        "unknown option": [*base, "--frobnicate"],
        "a word too many": [*base, "word"],
        "policy": [*base, "--on-full", "perhaps"],
        "ring size": [*base, "--ring-bytes", "lots"],
        "duration": [*base, "--duration", "soon"],
        "snapshot interval": [*base, "--snapshot-interval", "-1s"],
        "no such plan": [*base, "--plan", folder + "/absent.plan"],
        "bad plan": [*base, "--plan", bad_plan],
        "output in no folder": [RECORD, "--connect", guest.socket_path, "-o", folder + "/absent/x.vmt"],
        "output that can't be written": [RECORD, "--connect", guest.socket_path, "-o", "/proc/x.vmt"],
        "output is a folder": [RECORD, "--connect", guest.socket_path, "-o", folder],
    }
    for label, command in cases.items():
        fails_cleanly(failures, "record: " + label, command)
    keep = os.path.join(folder, "keep.vmt")
    with open(keep, "wb") as file:
        file.write(b"precious")
    fails_cleanly(failures, "record: output exists", [RECORD, "--connect", guest.socket_path, "-o", keep],
                  ("keep.vmt", "--force"))
    with open(keep, "rb") as file:
        failures.check(file.read() == b"precious", "an existing file is left as it was")


def check_full_disk(failures, guest):
    mount = os.path.join(guest.folder, "small")
    os.mkdir(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48M", "small", mount], stderr=subprocess.DEVNULL,
                      check=False).returncode:
        say("not root: the full disk is not tried")
        return
    try:
        tape = os.path.join(mount, "full.vmt")
        guest.must("call_loop 1000000000 >/dev/null 2>&1 &")
        fails_cleanly(failures, "full disk", [RECORD, "--connect", guest.socket_path, "-o", tape, "--duration", "60s",
                                             "--on-disk-full", "stop"],
                      (), lines=None, timeout=90)
        status, out, err = vmtape("stats", tape)
        failures.check(status == 0 and "getppid" in out,
                       f"what was written is still there: status {status} {err[-300:]}\n{out[:300]}")
        guest.must("killall call_loop")
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def talk(path, data, wait=5):
    """What QEMU's object answers to raw bytes."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(wait)
    client.connect(path)
    answer = b""
    try:
        client.sendall(data)
        while True:
            part = client.recv(65536)
            if not part:
                break
            answer += part
    except (socket.timeout, ConnectionError):
        pass
    client.close()
    return answer


def check_producer(failures, guest):
    """The other side of the socket: QEMU refuses, says why, and lives."""
    path = guest.socket_path
    answer = talk(path, message(HELLO, struct.pack("<HHI", 99, 120, 1)), 2)
    failures.check(len(answer) >= HEADER.size and HEADER.unpack_from(answer)[1] == ERROR,
                   f"QEMU refuses a client of version 99: {answer[16:120]!r}")
    answer = talk(path, message(HELLO, struct.pack("<HHI", 1, 1, 99)), 2)
    failures.check(len(answer) >= HEADER.size and HEADER.unpack_from(answer)[1] == ERROR,
                   f"QEMU refuses a client of another record layout: {answer[16:120]!r}")
    rng = random.Random(1)
    for data in (b"GET / HTTP/1.0\r\n\r\n", message(HELLO, b"", size=0xffffffff), message(77, b"x"), b"\0" * 100000,
                 *(rng.randbytes(rng.randint(1, 300)) for _ in range(30)),
                 *(message(HELLO, struct.pack("<HHI", 1, 1, 1)) + message(rng.randint(1, 20), rng.randbytes(
                     rng.randint(0, 200)), 2) for _ in range(60))):
        talk(path, data, 0.3)
    failures.check(guest.alive() and guest.run("echo alive")[1] == "alive\n", "QEMU and guest survive 94 bad clients")
    tape = os.path.join(guest.folder, "first.vmt")
    with Recorder(path, tape, "--duration", "6s") as first:
        guest.must("for i in 1 2 3 4 5; do shellwork.sh >/dev/null 2>&1; done &")
        wait_until(lambda: os.path.exists(tape), 20, "the tape")
        time.sleep(1)
        fails_cleanly(failures, "a second recorder", [RECORD, "--connect", path, "-o", guest.folder + "/second.vmt"])
        failures.check(first.wait() == 0, "the first recorder is not disturbed")
    return tape


def check_vmtape_options(failures, tape, folder):
    text = os.path.join(folder, "text.vmt")
    with open(text, "w", encoding="ascii") as file:
        file.write("This is not a tape.\n" * 100)
    empty = os.path.join(folder, "empty.vmt")
    with open(empty, "wb"):
        pass
    fails_cleanly(failures, "vmtape: no command", [VMTAPE], lines=None)
    cases = {
        "unknown command": [VMTAPE, "frobnicate", tape],
        "no tape": [VMTAPE, "info"],
        "missing tape": [VMTAPE, "info", folder + "/absent.vmt"],
        "a text file": [VMTAPE, "info", text],
        "an empty file": [VMTAPE, "events", empty],
        "a folder": [VMTAPE, "verify", folder],
        "unknown option": [VMTAPE, "events", tape, "--frobnicate"],
        "unknown format": [VMTAPE, "events", tape, "--format", "xml"],
        "filter: unknown field": [VMTAPE, "events", tape, "-f", "proc.colour = red"],
        "filter: no end": [VMTAPE, "events", tape, "-f", "proc.name = (cat"],
        "filter: operator": [VMTAPE, "events", tape, "-f", "proc.name =="],
        "filter: not a number": [VMTAPE, "events", tape, "-f", "proc.pid > many"],
        "time": [VMTAPE, "events", tape, "--from", "yesterdayish"],
        "time of ps": [VMTAPE, "ps", tape, "--at", "25:99"],
        "plan to an existing file": [VMTAPE, "plan", tape, "-o", text],
    }
    for label, command in cases.items():
        fails_cleanly(failures, "vmtape: " + label, command)


def check_damaged_tapes(failures, tape, folder):
    """Truncated and corrupted tapes: a status, never a crash or a hang, and verify notices each changed byte."""
    with open(tape, "rb") as file:
        good = file.read()
    rng = random.Random(2)
    damaged = os.path.join(folder, "damaged.vmt")

    def run(*arguments):
        try:
            return vmtape(*arguments, timeout=60)
        except subprocess.TimeoutExpired:
            return "hangs", "", ""

    bad = []
    lengths = [0, 1, 7, 8, 63, 64, 511, 4095, 4096, len(good) - 1, *(rng.randrange(len(good)) for _ in range(20))]
    for length in lengths:
        with open(damaged, "wb") as file:
            file.write(good[:length])
        for command in ("info", "verify", "events"):
            status, _, err = run(command, damaged)
            if status not in (0, 1, 2) or (status == 2 and not err.strip()):
                bad.append(f"{command} at length {length}: status {status} {err[-200:]}")
    failures.check(not bad, f"{len(lengths)} truncations: always a clean end {bad[:5]}")
    bad, unnoticed = [], []
    whole = vmtape("events", tape, "--format", "json")[1]
    offsets = [*range(0, 64, 4), *(rng.randrange(len(good)) for _ in range(60))]
    for offset in offsets:
        data = bytearray(good)
        data[offset] ^= rng.randrange(1, 256)
        with open(damaged, "wb") as file:
            file.write(data)
        for command in ("verify", "events", "ps"):
            status, _, err = run(command, damaged)
            if status not in (0, 1, 2) or (status == 2 and not err.strip()):
                bad.append(f"{command} at offset {offset}: status {status} {err[-200:]}")
            # What lies between the end of a slot's data and the next slot means nothing: then nothing may change.
            if command == "verify" and status == 0 and run("events", damaged, "--format", "json")[1] != whole:
                unnoticed.append(offset)
    failures.check(not bad, f"{len(offsets)} changed bytes: always a clean end {bad[:5]}")
    failures.check(not unnoticed, f"vmtape verify notices each changed byte that matters; not those at {unnoticed}")
    data = bytearray(good)
    with open(damaged, "wb") as file:
        file.write(data[:len(data) // 2] + rng.randbytes(65536) + data[len(data) // 2:])
    status, _, err = run("events", damaged)
    failures.check(status in (0, 1, 2), f"64 KiB of noise put in the middle: status {status} {err[-200:]}")


def main():
    need_programs()
    failures = Failures()
    with Guest(qemu(), image("6.12"), smp=2, memory_mb=256) as guest:
        guest.wait_ready()
        check_sockets(failures, guest.folder)
        check_record_options(failures, guest)
        tape = check_producer(failures, guest)
        failures.check(len(vmtape_events(tape)) > 10, "the tape that is to be damaged holds calls")
        check_vmtape_options(failures, tape, guest.folder)
        check_damaged_tapes(failures, tape, guest.folder)
        check_full_disk(failures, guest)
    failures.finish()


if __name__ == "__main__":
    sys.exit(main())
