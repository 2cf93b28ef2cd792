#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Second decoder of tapes, written only from format/FORMAT.md: it proves that the document suffices.

Prints all that a whole tape holds as text, or compares that with a file (--expect). It checks structure, but not checksums:
the standard library has no XXH3. zstd comes from libzstd.so.1.
"""
import argparse
import ctypes
import difflib
import struct
import sys

META, PLAN, TRAPS, PAGES, SNAPSHOT, INDEX, END, PAGE_MAP = range(1, 9)
PAGE = 4096


class Broken(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Broken(message)


def zstd(data, raw_bytes):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    out = ctypes.create_string_buffer(raw_bytes)
    need(library.ZSTD_decompress(out, raw_bytes, data, len(data)) == raw_bytes, "payload does not decompress")
    return out.raw


def fnv(data):
    """A short name for contents (FNV-1a, 64 bits)."""
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{value:016x}"


def roaring32(data, at=0):
    """Members, and the offset behind the set."""
    cookie, = struct.unpack_from("<I", data, at)
    at += 4
    runs = bytes()
    if cookie & 0xffff == 12347:
        count = (cookie >> 16) + 1
        runs = data[at:at + (count + 7) // 8]
        at += len(runs)
    else:
        need(cookie == 12346, "no set here")
        count, = struct.unpack_from("<I", data, at)
        at += 4
    heads = [struct.unpack_from("<HH", data, at + 4 * i) for i in range(count)]
    at += 4 * count
    if not runs or count >= 4:
        at += 4 * count  # offsets, which are not needed to read all
    members = []
    for i, (key, cardinality) in enumerate(heads):
        high, cardinality = key << 16, cardinality + 1
        if runs and runs[i // 8] >> i % 8 & 1:
            number, = struct.unpack_from("<H", data, at)
            at += 2
            for _ in range(number):
                start, more = struct.unpack_from("<HH", data, at)
                at += 4
                members += range(high + start, high + start + more + 1)
        elif cardinality <= 4096:
            members += (high + low for low in struct.unpack_from(f"<{cardinality}H", data, at))
            at += 2 * cardinality
        else:
            bits = int.from_bytes(data[at:at + 8192], "little")
            members += (high + low for low in range(65536) if bits >> low & 1)
            at += 8192
    return members, at


def roaring64(data):
    count, = struct.unpack_from("<Q", data)
    at, members = 8, []
    for _ in range(count):
        high, = struct.unpack_from("<I", data, at)
        low, at = roaring32(data, at + 4)
        members += (high << 32 | member for member in low)
    return members


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


class Chunk:
    def __init__(self, data, at, end):
        need(data[at:at + 4] == b"CHNK", f"no chunk at {at}")
        (self.type, self.codec, self.layout, self.stored, self.raw, self.tag, self.slot, self.number, self.vcpu,
         _, self.items, self.min_tsc, self.max_tsc, self.first, self.last, _, self.hash,
         _) = struct.unpack_from("<HBBIIQIIHHIQQQQQQQ", data, at + 4)
        self.at = at
        self.end = at + 96 + self.stored + -self.stored % 8
        need(self.end <= end, f"chunk at {at} crosses the end")
        need(self.layout in ((1, 2) if self.type == SNAPSHOT else (1,)) and self.codec in (0, 1), f"chunk at {at}: layout or codec")
        need(self.codec == 0 or self.type in (TRAPS, PAGES), f"chunk at {at} must not be compressed")
        self.payload = data[at + 96:at + 96 + self.stored]
        need(not any(data[at + 96 + self.stored:self.end]), f"padding behind the chunk at {at}")
        if self.codec == 1:
            self.payload = zstd(self.payload, self.raw)
        need(len(self.payload) == self.raw, f"chunk at {at}: length")

    def entry(self, place):
        return (self.at - place, self.stored, self.raw, self.type, self.vcpu, self.codec, self.layout, 0, self.items,
                self.min_tsc, self.max_tsc, self.first, self.last)


class Tape:
    def __init__(self, data):
        need(data[:8] == bytes.fromhex("89564D540D0A1A0A"), "not a tape")
        self.version, length, self.slot_bytes, _, required = struct.unpack_from("<HHIQQ", data, 8)
        need(self.version == 1 and required == 0, "a newer version, or features that are not known")
        need(length == 256, "file header")
        self.uuid = data[32:48]
        self.created, = struct.unpack_from("<Q", data, 48)
        self.data = data
        self.chunks = []
        self.slots = []
        for number, place in enumerate(range(0, len(data), self.slot_bytes)):
            self.slot(number, place)
        need(len({chunk.tag for chunk in self.chunks}) == 1, "more than one tag")

    def of(self, type_):
        return [chunk for chunk in self.chunks if chunk.type == type_]

    def slot(self, number, place):
        data, end = self.data, min(place + self.slot_bytes, len(self.data))
        at = place or 256
        need(data[at:at + 8] == b"VMTSLOT\x1a", f"no slot at {at}")
        version, length, slot_bytes, sequence = struct.unpack_from("<HHIQ", data, at + 8)
        need((version, length, slot_bytes, sequence) == (1, 128, self.slot_bytes, number), f"slot header at {at}")
        need(data[at + 32:at + 48] == self.uuid, f"slot of another tape at {at}")
        at += 128
        chunks = []
        while not chunks or chunks[-1].type != INDEX:
            chunk = Chunk(data, at, end)
            need(chunk.slot == number & 0xffffffff and chunk.number == len(chunks), f"chunk at {at}: number")
            chunks.append(chunk)
            at = chunk.end
        closed = end == place + self.slot_bytes
        if closed:
            trailer = struct.unpack_from("<8sQII", data, end - 32)
            need(trailer == (b"VMTCLOS\x1a", number, chunks[-1].at - place, chunks[-1].tag & 0xffffffff),
                 f"trailer of slot {number}")
        else:
            need(at == len(data), "bytes behind the last index")
        self.slots.append((number, closed, chunks, self.index(place, chunks)))
        self.chunks += chunks

    @staticmethod
    def index(place, chunks):
        payload = chunks[-1].payload
        entries, sections, _ = struct.unpack_from("<IIQ", payload)
        need(entries == len(chunks) - 1, "index lists other chunks")
        at = 16
        for chunk in chunks[:-1]:
            entry = struct.unpack_from("<IIIHHBBHIQQQQ", payload, at)
            need(entry == chunk.entry(place), f"index entry of the chunk at {chunk.at}")
            at += 56
        found = {}
        for _ in range(sections):
            kind, length = struct.unpack_from("<II", payload, at)
            found[kind] = payload[at + 8:at + 8 + length]
            at += 8 + length
        need(at == len(payload), "bytes behind the index")
        return roaring32(found[1])[0], roaring64(found[2])

    # ---- contents ----

    def meta(self):
        lines = {}
        for chunk in self.of(META):
            for line in chunk.payload.decode().split("\n"):
                if line:
                    key, value = line.split("=", 1)
                    lines[key] = value
        return lines

    def records(self):
        """(tsc, vcpu, sequence number, type, bytes), each vCPU in its order, merged by TSC."""
        lanes = {}
        for chunk in self.of(TRAPS):
            at, count = 0, 0
            while at < chunk.raw:
                size, kind = struct.unpack_from("<IB", chunk.payload, at)
                seq, tsc = struct.unpack_from("<QQ", chunk.payload, at + 16)
                lanes.setdefault(chunk.vcpu, []).append((tsc, chunk.vcpu, seq, kind, chunk.payload[at:at + size]))
                at += size
                count += 1
            need(count == chunk.items, f"records of the chunk at {chunk.at}")
        at = dict.fromkeys(lanes, 0)
        while at:
            vcpu = min(at, key=lambda lane: (lanes[lane][at[lane]][0], lane))
            yield lanes[vcpu][at[vcpu]]
            at[vcpu] += 1
            if at[vcpu] == len(lanes[vcpu]):
                del at[vcpu]

    def pages(self):
        contents = {}
        for chunk in self.of(PAGES):
            need(chunk.items == chunk.last - chunk.first + 1 == chunk.raw // PAGE, f"pages of the chunk at {chunk.at}")
            for i in range(chunk.items):
                contents[chunk.first + i] = chunk.payload[i * PAGE:(i + 1) * PAGE]
        return contents

    @staticmethod
    def page_map(chunk):
        """{gfn: page number, or None for a zero page}"""
        ordinal, base, part, brought_bytes, zero_bytes, runs = struct.unpack_from("<QQIIII", chunk.payload)
        need((ordinal, part) == (chunk.first, chunk.last), f"map at {chunk.at}")
        at = 32 + brought_bytes
        brought, end = roaring32(chunk.payload, 32)
        need(end == at, "set B")
        zero, end = roaring32(chunk.payload, at)
        at += zero_bytes
        need(end == at, "set Z")
        numbers, predicted = [], 0
        for _ in range(runs):
            head, at = varint(chunk.payload, at)
            delta, at = varint(chunk.payload, at)
            first = predicted + (delta >> 1 ^ -(delta & 1)) & 0xffffffffffffffff
            numbers += (first + i * (head & 1) for i in range(head >> 1))
            predicted = numbers[-1] + 1
        need(at == len(chunk.payload) and len(numbers) == len(brought) - len(zero), f"runs of the map at {chunk.at}")
        zero, number = set(zero), iter(numbers)
        return {base + low: None if low in zero else next(number) for low in brought}

    def snapshots(self):
        """(fields, cost (empty in layout 1), ranges, registers, memory as {gfn: page number or None})"""
        memory = {}
        for chunk in sorted(self.of(SNAPSHOT), key=lambda snapshot: snapshot.first):
            fields = struct.unpack_from("<QQQQQIIQQIIII", chunk.payload)
            ordinal, flags, parts, nr_pages, nr_zero, nr_ranges, vcpus, regs = fields[0], *fields[5:12]
            at = 80
            cost = ()
            if chunk.layout == 2:
                cost = struct.unpack_from("<6Q", chunk.payload, at)
                need(fields[12], f"pauses of snapshot {ordinal}")
                at += 48
            ranges = [struct.unpack_from("<QQ", chunk.payload, at + 16 * i) for i in range(nr_ranges)]
            at += 16 * nr_ranges
            registers = struct.unpack_from(f"<{vcpus * regs}Q", chunk.payload, at)
            maps = sorted((page_map for page_map in self.of(PAGE_MAP) if page_map.first == ordinal),
                          key=lambda page_map: page_map.last)
            need([page_map.last for page_map in maps] == list(range(parts)), f"parts of snapshot {ordinal}")
            memory = {} if flags & 1 else dict(memory)
            brought = {}
            for page_map in maps:
                brought.update(self.page_map(page_map))
            need(len(brought) == nr_pages, f"pages of snapshot {ordinal}")
            need(sum(page is None for page in brought.values()) == nr_zero, f"zero pages of snapshot {ordinal}")
            memory.update(brought)
            yield fields, cost, ranges, registers, memory


def dump(data):
    tape = Tape(data)
    yield f"tape version {tape.version} uuid {tape.uuid.hex()} created {tape.created}"
    for number, closed, chunks, (nrs, spaces) in tape.slots:
        yield (f"slot {number} {'closed' if closed else 'open'} types {' '.join(str(c.type) for c in chunks)} "
               f"calls {' '.join(map(str, nrs))} spaces {' '.join(map(str, spaces))}")
    for key, value in sorted(tape.meta().items()):
        yield f"meta {key}={value}"
    for chunk in tape.of(PLAN):
        yield f"plan {chunk.first} {fnv(chunk.payload)}"
    for tsc, vcpu, seq, kind, raw in tape.records():
        yield f"record tsc {tsc} vcpu {vcpu} seq {seq} type {kind} bytes {len(raw)} {fnv(raw)}"
    contents = tape.pages()
    zero = bytes(PAGE)
    for fields, cost, ranges, registers, memory in tape.snapshots():
        yield (f"snapshot {fields[0]} id {fields[1]} tsc {fields[2]} realtime {fields[3]} pause {fields[4]} "
               f"base {fields[5] & 1} pages {fields[7]} zero {fields[8]}")
        if cost:
            yield (f"pauses {fields[12]} longest {cost[0]} duration {cost[1]} dirty {cost[2]} paused {cost[3]} "
                   f"protected {cost[4]} running {cost[5]}")
        yield f"registers {fields[10]} {fields[11]} {fnv(struct.pack(f'<{len(registers)}Q', *registers))}"
        for start, length in ranges:
            yield f"range {start} {length}"
            for gfn in range(start // PAGE, (start + length) // PAGE):
                if gfn in memory:
                    page = memory[gfn]
                    yield f"page {gfn} {fnv(zero if page is None else contents[page])}"
    for chunk in tape.of(END):
        records, lost, snapshots = struct.unpack_from("<QQQ", chunk.payload)
        yield f"end records {records} lost {lost} snapshots {snapshots} reason {chunk.payload[64:].decode()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tape")
    parser.add_argument("--expect", help="compare with this text instead of printing")
    arguments = parser.parse_args()
    with open(arguments.tape, "rb") as file:
        data = file.read()
    try:
        lines = [line + "\n" for line in dump(data)]
    except (Broken, struct.error, IndexError, KeyError) as error:
        sys.exit(f"{arguments.tape}: {error}")
    if not arguments.expect:
        sys.stdout.writelines(lines)
        return
    with open(arguments.expect, encoding="utf-8") as file:
        difference = list(difflib.unified_diff(file.readlines(), lines, arguments.expect, arguments.tape))
    sys.stdout.writelines(difference)
    sys.exit(bool(difference))


if __name__ == "__main__":
    main()
