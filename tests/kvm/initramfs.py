# SPDX-License-Identifier: MIT
"""Writes initramfs archives (cpio, format newc): files, links, programs with their libraries. They go behind others.

What is not compressed is unpacked at the speed of a copy, which counts where the kernel runs in an emulator.
"""
import hashlib
import os
import re
import stat
import subprocess


def libraries(program):
    """Paths of the shared libraries of a program, its loader included; none for a static one."""
    result = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            env={**os.environ, "LD_LIBRARY_PATH": ""}, check=False)
    return re.findall(r"(/\S+) \(0x", result.stdout) if result.returncode == 0 else []


class Initramfs:
    """Files by path. The same contents give the same bytes: no times, no owners, sorted."""

    def __init__(self):
        self.entries = {}

    def folder(self, path):
        path = path.strip("/")
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b"")

    def add(self, path, data, mode=0o644):
        """A file; data is bytes, or the path of a file to read."""
        if isinstance(data, str):
            with open(data, "rb") as file:
                data = file.read()
        self.folder(os.path.dirname(path))
        self.entries[path.strip("/")] = (stat.S_IFREG | mode, data)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self.entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def program(self, path, source):
        """A program and all libraries that it is linked to, those at the places where its loader looks for them."""
        self.add(path, source, 0o755)
        for library in libraries(source):
            self.add(library, library, 0o755)

    def write(self, out):
        for number, (path, (mode, data)) in enumerate(sorted(self.entries.items()), 1):
            write_entry(out, path, number, mode, data)
        write_entry(out, "TRAILER!!!", 0, 0, b"")

    def save(self, path):
        with open(path, "wb") as out:
            self.write(out)
        return path

    def hash(self):
        """Tells apart all that differs in a path, a mode or a byte."""
        digest = hashlib.sha256()
        for path, (mode, data) in sorted(self.entries.items()):
            digest.update(f"{path}\0{mode}\0{len(data)}\0".encode())
            digest.update(data)
        return digest.hexdigest()


def write_entry(out, path, inode, mode, data):
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    out.write(header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4))
