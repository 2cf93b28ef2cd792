# SPDX-License-Identifier: MIT
"""Expensive tests need not run again when nothing that they depend on has changed: their last good result is kept.

What they depend on is hashed by content: modules, selftests, L1's image, QEMU, our programs, the scripts. A result from
the cache is announced with its date, and shown whole. VMTAPE_KVM_FORCE=1 runs the test in any case. Only a result
without a failure is ever kept.
"""
import datetime
import hashlib
import io
import os
import sys

from l1_parts import TOP, cache_folder, files_hash, l1_image, l1_kernel, modules, selftests
from vm_env import RECORD, VMTAPE, qemu


class Tee(io.TextIOBase):
    """Standard output, and a copy of it."""

    def __init__(self, out):
        self.out = out
        self.copy = io.StringIO()

    def write(self, text):
        self.copy.write(text)
        return self.out.write(text)

    def flush(self):
        self.out.flush()


def inputs_key(name, *more, kinds=("patched",), with_selftests=False, with_l2=False):
    """A hash of all that can make a difference to a test of this name. more: words, paths of files."""
    digest = hashlib.sha256(name.encode())
    paths = [os.path.join(TOP, "tests", "kvm"), os.path.join(TOP, "tests", "vm"), qemu()]
    paths += [l1_kernel(), os.path.join(l1_image(), "initrd")]
    paths += [os.path.join(modules(kind), f"{module}.ko") for kind in kinds for module in ("kvm", "kvm-amd", "kvm-intel")]
    if with_selftests:
        paths += selftests().values()
    if with_l2:
        paths += [RECORD, VMTAPE, os.path.join(os.path.dirname(VMTAPE), "libvmtape.so")]
    for word in (*more, *sys.argv[1:]):
        if os.path.isfile(word):
            paths.append(word)
        else:
            digest.update(f"{word}\0".encode())
    digest.update(files_hash(*(path for path in paths if os.path.exists(path))).encode())
    return digest.hexdigest()[:24]


class KeptResult:
    """with KeptResult(name, key) as kept: if not kept.found: run the test, kept.keep() when it passed."""

    def __init__(self, name, key):
        self.name = name
        self.path = os.path.join(cache_folder("kvm-results"), f"{name}-{key}")
        self.found = os.path.exists(self.path) and not os.environ.get("VMTAPE_KVM_FORCE")
        self.tee = None

    def __enter__(self):
        if self.found:
            when = datetime.datetime.fromtimestamp(os.path.getmtime(self.path)).isoformat(" ", "seconds")
            print(f"NOT RUN AGAIN: nothing that {self.name} depends on has changed since {when}, when it passed and said:")
            with open(self.path, encoding="utf-8") as text:
                for line in text:
                    print("  | " + line.rstrip("\n"))
            print(f"NOT RUN AGAIN: the above is of {when}; VMTAPE_KVM_FORCE=1 runs it", flush=True)
        else:
            self.tee = sys.stdout = Tee(sys.stdout)
        return self

    def __exit__(self, *exception):
        if self.tee:
            sys.stdout = self.tee.out

    def keep(self):
        """The test has passed."""
        part = f"{self.path}.{os.getpid()}"
        with open(part, "w", encoding="utf-8") as out:
            out.write(self.tee.copy.getvalue())
        os.rename(part, self.path)


def run_kept(name, key, test, failures):
    """Runs test(), which counts in failures, unless its result is kept; ends the program with its status."""
    with KeptResult(name, key) as kept:
        if kept.found:
            sys.exit(0)
        test()
        if failures.count == 0 and failures.checks > 0:
            kept.keep()
    failures.finish()
