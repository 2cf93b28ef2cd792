# SPDX-License-Identifier: MIT
"""The part of scripts/demo that needs a guest: boots it, records its workload, and prints what the tape tells."""
import argparse
import os
import subprocess
import sys
import time

from guest_vm import Guest, GuestError
from vm_env import VMTAPE, Recorder, image, qemu, vmtape_events, with_live_guest

WIDTH = 150
START = time.monotonic()


def step(text):
    print(f"[{time.monotonic() - START:5.1f} s] {text}", file=sys.stderr, flush=True)


def show(title, *arguments, lines=None, note=""):
    """Prints a command as a user would type it, and the first lines of what it says."""
    result = subprocess.run([VMTAPE, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False)
    words = " ".join(f"'{word}'" if " " in word else word for word in arguments)
    text = result.stdout.decode(errors="replace").splitlines()
    print(f"\n\033[1m{title}\033[0m{note}\n$ vmtape {words}" if sys.stdout.isatty() else
          f"\n{title}{note}\n$ vmtape {words}")
    for line in text[:lines]:
        print("  " + (line if len(line) <= WIDTH or lines is None else line[:WIDTH - 1] + "…"))
    if lines is not None and len(text) > lines:
        print(f"  … and {len(text) - lines} more lines")
    if result.returncode not in (0, 1):
        raise GuestError(f"vmtape {words}: status {result.returncode}: {result.stderr.decode(errors='replace')}")
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--tape", required=True)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    with_live_guest(record, options)
    step("the guest is gone; from here on there is only the tape")
    print_tape(options)


def record(options):
    with Guest(qemu(), image(options.kernel), smp=2) as guest:
        guest.wait_ready()
        step("the guest runs; vmtape-record attaches to it")
        log = os.path.join(guest.folder, "record.log")
        with Recorder(guest.socket_path, options.tape, "--force", log=log) as recorder:
            recorder.wait_for(r"plan \d+ is in force|plan stays in force")
            step("the guest does its work, knowing of nothing")
            guest.must("demo.sh >/tmp/demo.out 2>&1")
            guest.must("sleep 0.2")
            recorder.stop()
            print(recorder.log().strip(), file=sys.stderr)
        guest.power_off()


def print_tape(options):
    full = options.full
    show("Who was the guest, what is on the tape?", "info", options.tape)
    moment = [event["time"] for event in vmtape_events(options.tape, "-f", "proc.name = wget and evt.type = connect")]
    at = ["--at", moment[0]] if moment else []
    user = [] if full else ["--user"]
    show("Which processes were there while wget fetched a page?", "ps", options.tape, *at, *user)
    show("Which calls were the most frequent?", "stats", options.tape, lines=None if full else 16)
    show("What failed?", "events", options.tape, "-f", "evt.failed = true and proc.name in (cat, ls, wget, mv, sort)",
         lines=None if full else 8)
    show("What did cat, the web server and its client do?", "events", options.tape, "-f",
         "proc.name in (cat, httpd, wget)", lines=None if full else 45)
    show("Is the tape whole?", "verify", options.tape)
    size = os.path.getsize(options.tape)
    print(f"\nThe tape is {options.tape}, {size / 1e6:.1f} MB. Try for yourself: "
          f"{os.path.relpath(VMTAPE)} events {options.tape} -f 'evt.arg.filename contains passwd'")


if __name__ == "__main__":
    try:
        main()
    except GuestError as error:
        sys.exit(f"demo: {error}")
