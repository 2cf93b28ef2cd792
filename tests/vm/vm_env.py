# SPDX-License-Identifier: MIT
"""Where the whole-VM tests find QEMU, guests and vmtape's programs, and how they run a recorder.

Environment: VMTAPE_BUILD is the build folder (default: build/ of the checkout), VMTAPE_QEMU a QEMU binary to be used
instead of the one that qemu/build makes. What is missing and can't be made skips the test: exit status 77 and a reason.
"""
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

from guest_vm import GuestError, GuestStalled, die_with_parent, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("VMTAPE_BUILD", os.path.join(TOP, "build"))
RECORD = os.path.join(BUILD, "recorder", "vmtape-record")
VMTAPE = os.path.join(BUILD, "analyzer", "vmtape")
SKIP = 77


def skip(reason):
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIP)


def say(text):
    print(f"[{time.monotonic() - START:5.1f} s] {text}", flush=True)


START = time.monotonic()


def made_by(command, what):
    """The last line that a build script prints, which is the path of what it made."""
    if not os.access(command[0], os.X_OK):
        skip(f"no {what}: {command[0]} is not there")
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    lines = result.stdout.split("\n")
    path = lines[-2] if len(lines) > 1 else ""
    if result.returncode != 0 or not os.path.exists(path):
        skip(f"no {what}: {' '.join(command)} ended with status {result.returncode}: {result.stderr[-600:].strip()}")
    return path


@functools.lru_cache
def qemu():
    """Path of the patched QEMU, built now if need be."""
    path = os.environ.get("VMTAPE_QEMU") or made_by([os.path.join(TOP, "qemu", "build")], "patched QEMU")
    if not os.access(path, os.X_OK):
        skip(f"VMTAPE_QEMU={path} is not a program")
    return path


@functools.lru_cache
def image(series):
    """Folder of a guest's kernel and initrd, made now if need be."""
    return made_by([os.path.join(TOP, "scripts", "guest"), series], f"guest with kernel {series}")


@functools.lru_cache
def compiler_initrd():
    """An initramfs with gcc's cc1 and as, to go behind a guest's own."""
    return made_by([os.path.join(TOP, "scripts", "guest"), "--compiler"], "compiler for the guest")


@functools.lru_cache
def programs_initrd():
    """An initramfs with tar, gcc, python3, curl and sqlite3, to go behind a guest's own."""
    return made_by([os.path.join(TOP, "scripts", "guest"), "--programs"], "programs for the guest")


def need_programs():
    for path in (RECORD, VMTAPE):
        if not os.access(path, os.X_OK):
            skip(f"{path} is not built")


def with_live_guest(function, *arguments):
    """Runs a round of a test, and once more if its guest stalled while it booted."""
    for attempt in range(3):
        try:
            return function(*arguments)
        except GuestStalled as error:
            if attempt == 2:
                raise
            say(f"the guest stalled while it booted, this round again: {str(error)[-300:]}")
    return None


class Failures:
    """Collects what failed, so that one boot can serve many checks."""

    def __init__(self):
        self.count = self.checks = 0

    def check(self, good, what):
        self.checks += 1
        if not good:
            self.count += 1
        say(f"{'ok  ' if good else 'FAIL'} {what}")
        return good

    def finish(self):
        say(f"{self.checks - self.count} of {self.checks} checks passed")
        sys.exit(1 if self.count else 0)


class Running:
    """A program that ends with the with statement; its output goes to a file, what it says there, too, or to another."""

    def __init__(self, command, out_path, said_path=None):
        self.command, self.out_path, self.said_path = command, out_path, said_path
        self.process = None

    def __enter__(self):
        with open(self.out_path, "wb") as out, open(self.said_path or os.devnull, "wb") as said:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=said if self.said_path else out, preexec_fn=die_with_parent)
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Recorder(Running):
    """vmtape-record on a guest's socket; its output is in self.log(). Ends with the with statement."""

    def __init__(self, socket_path, tape, *options, log=None):
        self.tape = tape
        self.log_path = log or tape + ".log"
        super().__init__([RECORD, "--connect", socket_path, "-o", tape, *options], self.log_path)

    def log(self):
        with open(self.log_path, "rb") as text:
            return text.read().decode(errors="replace")

    def wait_for(self, pattern, timeout=60):
        """Waits for a line of the recorder's output."""
        def found():
            if re.search(pattern, self.log()):
                return True
            if self.process.poll() is not None:
                raise GuestError(f"vmtape-record ended with {self.process.returncode}:\n{self.log()}")
            return False
        try:
            wait_until(found, timeout, f"'{pattern}' in the recorder's output")
        except GuestError as error:
            raise GuestError(f"{error}, which is:\n{self.log()}") from None
        return self

    def wait(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self, timeout=60, number=signal.SIGINT):
        """Stops it in good order; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()


def vmtape(*arguments, timeout=300):
    """(exit status, stdout, stderr) of the vmtape command."""
    result = subprocess.run([VMTAPE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=timeout, check=False)
    return result.returncode, result.stdout.decode(errors="surrogateescape"), result.stderr.decode(errors="replace")


def vmtape_events(tape, *arguments):
    """The events of a tape as dicts; raises GuestError if vmtape does not succeed."""
    status, out, err = vmtape("events", tape, "--format", "json", *arguments)
    if status not in (0, 1):
        raise GuestError(f"vmtape events: status {status}: {err}")
    # Not splitlines(): a string may hold other line ends than ours.
    return [json.loads(line) for line in out.split("\n") if line]
