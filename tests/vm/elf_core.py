# SPDX-License-Identifier: MIT
"""Reads an ELF core of a guest's physical memory: segments, notes, VMCOREINFO, and the kernel's own page tables."""
import struct


class ElfCore:
    """path of the core. segments: [(guest-physical address, length, file offset)]; virtual: the same with the
    virtual address; notes: [(name, type, bytes)]."""

    def __init__(self, path):
        self.file = open(path, "rb")
        head = self.file.read(64)
        assert head[:7] == b"\x7fELF\x02\x01\x01", "an ELF64 file, little-endian"
        self.type, self.machine = struct.unpack_from("<HH", head, 16)
        at, = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        self.segments, self.notes, self.virtual = [], [], []
        for i in range(count):
            self.file.seek(at + i * size)
            kind, _, offset, virtual, physical, filesz, memsz, _ = struct.unpack("<IIQQQQQQ", self.file.read(56))
            if kind == 4:
                self.file.seek(offset)
                self.read_notes(self.file.read(filesz))
            elif kind == 1:
                assert filesz == memsz
                self.segments.append((physical, filesz, offset))
                self.virtual.append((physical, filesz, virtual))
        # One that lies in another one brings nothing new.
        self.segments = sorted(one for one in self.segments if not any(
            other != one and other[0] <= one[0] and one[0] + one[1] <= other[0] + other[1] for other in self.segments))

    def read_notes(self, data):
        at = 0
        while at < len(data):
            name_len, desc_len, kind = struct.unpack_from("<III", data, at)
            name = data[at + 12:at + 12 + name_len].rstrip(b"\0").decode()
            at += 12 + (name_len + 3) // 4 * 4
            self.notes.append((name, kind, data[at:at + desc_len]))
            at += (desc_len + 3) // 4 * 4

    def note(self, name):
        return [desc for given, _, desc in self.notes if given == name]

    def read(self, physical, length):
        """Bytes of memory; None where it is in no segment."""
        for start, size, offset in self.segments:
            if start <= physical and physical + length <= start + size:
                self.file.seek(offset + physical - start)
                return self.file.read(length)
        return None

    def vmcoreinfo(self):
        """{key: value} of the VMCOREINFO note."""
        lines = self.note("VMCOREINFO")[0].decode().split("\n")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def read_kernel(self, info, address, length):
        """Memory at a kernel address, by the page tables that VMCOREINFO tells of; within a page."""
        levels = 5 if info.get("NUMBER(pgtable_l5_enabled)") == "1" else 4
        # __START_KERNEL_map: the kernel's image lies there, moved by KASLR, at phys_base
        table = int(info["SYMBOL(swapper_pg_dir)"], 16) - 0xffffffff80000000 + int(info["NUMBER(phys_base)"])
        for level in range(levels - 1, -1, -1):
            shift = 12 + 9 * level
            raw = self.read(table + (address >> shift & 511) * 8, 8)
            entry, = struct.unpack("<Q", raw)
            assert entry & 1, f"0x{address:x} is mapped"
            table = entry & 0x000ffffffffff000
            if level and entry & 0x80:
                table &= -1 << shift
                return self.read(table + (address & ((1 << shift) - 1)), length)
        return self.read(table + (address & 4095), length)
