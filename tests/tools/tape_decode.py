#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Second decoder of tapes, written only from format/FORMAT.md: it proves that the document suffices.

Prints all that a whole tape holds as text, or compares that with a file (--expect). It checks structure and the hash chain, but
not checksums: the standard library has no XXH3. zstd comes from libzstd.so.1; signatures are checked if the package
cryptography is there, else stderr says that they were not.
"""
import argparse
import ctypes
import difflib
import hashlib
import struct
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

META, PLAN, TRAPS, PAGES, SNAPSHOT, INDEX, END, PAGE_MAP, SIGNATURE = range(1, 10)
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
    size = library.ZSTD_decompress(out, raw_bytes, data, len(data))
    need(size <= raw_bytes, "payload does not decompress")
    return out.raw[:size]


def blake(*parts):
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def check_signature(payload):
    if not Ed25519PublicKey:
        return
    try:
        Ed25519PublicKey.from_public_bytes(payload[:32]).verify(
            payload[120:], b"vmtape tape signature, version 1" + payload[:120])
    except InvalidSignature:
        raise Broken("a signature is not valid") from None


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


MASK = 2**64 - 1
ENTER, EXIT = 1, 2
RAX, RCX, RDX, RSP, RSI, RDI, R11, CR3, TASK, NR = 0, 1, 2, 4, 6, 7, 11, 18, 22, 24
OF_TASK = (CR3, 19, 20, 21, TASK, 23)  # and the bases of FS and GS, and TASK_ID


def unzigzag(value):
    return value >> 1 ^ -(value & 1)


def hash32(value):
    return (value * 0x9E3779B97F4A7C15 & MASK) >> 32


class Stream:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(count <= len(self.data) - self.at, "a stream ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "little")

    def varint(self):
        value, self.at = varint(self.data, self.at)
        return value


class Shape:
    def __init__(self, head, call):
        self.head, self.call = head, call
        self.type, self.fragments, mask = head[0], *struct.unpack_from("<HI", head, 6)
        self.registers = [bit for bit in range(32) if mask >> bit & 1]
        self.task_register = next((register for register in (TASK, CR3) if register in self.registers), None)
        self.place = self.follower = None
        self.descriptions = [[bytes(4), 0] for _ in range(8)]

    @staticmethod
    def call_register(head):
        register = RAX if head[0] == ENTER else NR
        return register if struct.unpack_from("<I", head, 8)[0] >> register & 1 else None

    def known(self):
        return {register for register in (self.call_register(self.head), self.task_register, RSP)
                if register in self.registers}


class Task:
    def __init__(self, place):
        self.place, self.number, self.stack, self.history, self.last = place, 0, 0, 0, {}
        self.forget()

    def forget(self):
        self.record = self.entry = None  # (shape, place of its row)
        self.in_call = False


class Row:
    def __init__(self):
        self.key = None
        self.clear()

    def clear(self):
        self.mask, self.values, self.steps = 0, [0] * 32, [0] * 32
        self.exit_mask, self.results, self.result_steps = 0, [0] * 4, [0] * 4


class Layout2:
    """Rows of a TRAPS payload of layout 2."""

    def __init__(self, payload, raw):
        at, lengths, streams = 0, [], []
        for _ in range(14):
            length, at = varint(payload, at)
            lengths.append(length)
        for length in lengths:
            streams.append(Stream(payload[at:at + length]))
            at += length
        need(at == len(payload) <= raw, "streams do not make up the payload")
        (self.time_0, self.time_1, self.time_1_exit, self.values_1, self.low, self.next_byte, self.masks, self.codes,
         self.tokens, self.rest, self.controls, self.aux, self.fragments, self.bytes) = streams
        self.next = self.tsc = self.address = 0
        self.tasks = [Task(place) for place in range(64)]
        self.task = self.tasks[0]
        self.forget()
        self.stacks = [0] * 4096
        self.contents, self.made, self.contents_at = {}, 0, {}  # {number: [bytes, address]}
        self.rows = bytearray()
        while len(self.rows) < raw:
            self.rows += self.record()
        need(len(self.rows) == raw and all(stream.at == len(stream.data) for stream in streams), "lengths do not fit")

    def forget(self):
        self.shapes, self.kept, self.behind_three, self.behind_one = [], [Row() for _ in range(2048)], {}, {}
        for task in self.tasks:
            task.forget()

    def record(self):
        token = self.tokens.number(1)
        need(token <= 32, "a token that is not known")
        if token == 32:
            size = self.aux.varint() * 8
            record = struct.pack("<I", size) + self.bytes.take(size - 4)
            number, self.tsc = struct.unpack_from("<QQ", record, 16)
            self.next = number + 1 & MASK
            return record
        if token & 4:
            place = self.codes.number(1)
            need(place < 64 or place == 255, "a task that can't be")
            if place == 255:
                number = self.aux.number(8)
                self.task = self.tasks[hash32(number) % 64]
                self.task.number = number
            else:
                self.task = self.tasks[place]
        code = self.code(token)
        shape = self.shapes[code]
        if token & 16:
            self.next = self.next + unzigzag(self.aux.varint()) & MASK
        upper = (self.time_1_exit if shape.type == EXIT else self.time_1).number(1)
        if upper == 255:
            upper += self.aux.varint()
        self.tsc = self.tsc + (upper << 8) + self.time_0.number(1) & MASK
        head = shape.head + struct.pack("<QQ", self.next, self.tsc)
        self.next = self.next + 1 & MASK
        values = self.paired(shape, token) if self.follow(shape, code) else self.registers(shape, token)
        body = struct.pack(f"<{len(values)}Q", *values)
        for i in range(shape.fragments):
            body += self.fragment(shape, min(i, 7), values)
        return struct.pack("<I", 4 + len(head) + len(body)) + head + body

    def follow(self, shape, code):
        """Whether the record is the exit of its task's entry."""
        task = self.task
        paired = task.in_call and shape.type == EXIT
        if task.in_call:
            task.entry[0].follower = code
        else:
            self.behind_three[hash32(task.history & 0xFFFFFF) % 4096] = self.behind_one[task.history & 0xFF] = code
        if not paired:
            task.history = (task.history << 8 | code) & 0xFFFFFFFF
        task.in_call = shape.type == ENTER
        return paired

    def code(self, token):
        if not token & 2:
            if self.task.in_call:
                code = self.task.entry[0].follower
            else:
                place = hash32(self.task.history & 0xFFFFFF) % 4096
                code = self.behind_three.get(place, self.behind_one.get(self.task.history & 0xFF))
            need(code is not None, "no shape is expected")
            return code
        code = self.codes.number(1)
        if code == 252:
            if len(self.shapes) == 252:
                self.forget()
            code = len(self.shapes)
            head = self.aux.take(12)
            self.shapes.append(Shape(head, None if Shape.call_register(head) is None else self.aux.varint()))
        need(code < len(self.shapes), "a code that is not in use")
        return code

    def paired(self, shape, token):
        """Registers of an exit behind its entry, whose row tells what is expected."""
        task, before = self.task, 0
        enter, place = task.entry
        row = self.kept[place]
        if RSP in shape.registers and token & 8:
            expected = task.stack
            task.stack = task.last[RSP] = self.value(expected, 0, RSP, before)
            before = task.stack - expected & MASK
        known = {Shape.call_register(shape.head): shape.call, RSP: task.stack, shape.task_register: task.number}
        where = []  # (numbers, steps, place in them), of each register
        for register in shape.registers:
            own = {RAX: 0, RCX: 1, R11: 2}.get(register, None if register in enter.registers else 3)
            where.append((row.values, row.steps, enter.registers.index(register)) if own is None else
                         (row.results, row.result_steps, own))
        values = [known[register] if register in shape.known() else numbers[at]
                  for register, (numbers, _, at) in zip(shape.registers, where)]
        if token & 1:
            row.exit_mask = self.masks.number((len(values) + 7) // 8)
        for i in range(32):
            if row.exit_mask >> i & 1:
                need(i < len(values) and shape.registers[i] not in shape.known(), "a mask that can't be")
                numbers, steps, at = where[i]
                values[i] = self.value(numbers[at], steps[at], shape.registers[i], before)
                before = values[i] - numbers[at] & MASK
                task.last[shape.registers[i]] = values[i]
                if numbers is row.results:
                    steps[at] = before if before < 2**31 or before >= 2**64 - 2**31 else 0
                    numbers[at] = values[i]
        return values

    def registers(self, shape, token):
        task, before, stack = self.task, 0, 0
        count = len(shape.registers)
        if RSP in shape.registers:
            place = hash32(task.history & 0xFFFFFF ^ (task.place + 1) << 32) % 4096
            expected = stack = task.stack if shape.type == EXIT else self.stacks[place]
            if token & 8:
                stack = self.value(expected, 0, RSP, before)
                before = stack - expected & MASK
                task.last[RSP] = stack
                if shape.type != EXIT:
                    self.stacks[place] = stack
            task.stack = stack
        row = self.row(shape, stack)
        known = {Shape.call_register(shape.head): shape.call, RSP: stack, shape.task_register: task.number}
        for i, register in enumerate(shape.registers):
            if register in shape.known():
                row.values[i] = known[register]
        if token & 1:
            row.mask = self.masks.number((count + 7) // 8)
        for i in range(32):
            if row.mask >> i & 1:
                need(i < count and shape.registers[i] not in shape.known(), "a mask that can't be")
                value = self.value(row.values[i], row.steps[i], shape.registers[i], before)
                before = value - row.values[i] & MASK
                row.steps[i] = before if before < 2**31 or before >= 2**64 - 2**31 else 0
                row.values[i] = task.last[shape.registers[i]] = value
        return row.values[:count]

    def row(self, shape, stack):
        task = self.task
        key = (hash32(stack) + (task.history & 0xFFFF) * 0x85EBCA6B) & 0xFFFFFFFF | 1
        place = hash32(key) % 2048
        row = self.kept[place]
        if row.key != key:
            row.key = key
            count = len(shape.registers)
            if shape.place is None:
                row.clear()
            else:
                last = self.kept[shape.place]
                row.mask, row.exit_mask = last.mask, last.exit_mask
                row.results, row.result_steps = list(last.results), list(last.result_steps)
                row.values[:count] = last.values[:count]
                row.steps[:count] = last.steps[:count]
            if task.record:
                other, where = task.record
                for i, register in enumerate(shape.registers):
                    stays = register not in (RAX, RCX, R11) if shape.type == EXIT else register in OF_TASK
                    if stays and register in other.registers:
                        row.values[i] = self.kept[where].values[other.registers.index(register)]
        shape.place = place
        task.record = shape, place
        if shape.type == ENTER:
            task.entry = shape, place
        return row

    def value(self, row, step, register, before):
        last = self.task.last
        control = self.controls.number(1)
        need(control <= 24, "a control that is not known")
        if control == 0:
            return last.get(register, 0)
        if control == 11:
            return row + before & MASK
        if control == 24:
            return row + step & MASK
        if control >= 20:
            return last.get((RAX, RDX, RSI, RDI)[control - 20], 0)
        base, size = ((row, control) if control <= 8 else (0, control - 8) if control <= 10 else
                      (last.get(register, 0), control - 11))
        if size == 1:
            return base + unzigzag(self.values_1.number(1)) & MASK
        value = self.low.number(1) | self.next_byte.number(1) << 8 | self.rest.number(size - 2) << 16
        return base + unzigzag(value) & MASK

    def fragment(self, shape, number, values):
        head = self.fragments.number(1)
        need(head <= 5, "a fragment that is not known")
        description = shape.descriptions[number]
        if head & 1:
            description[0] = self.aux.take(4)
        source, status, label, want = description[0]
        address = 0
        if source < len(values):
            address = values[source]
        elif source == 32:
            address = self.address + unzigzag(self.aux.varint()) & MASK
            description[1] = address - self.task.number & MASK
        elif source == 34:
            address = self.task.number + description[1] & MASK
        elif source == 33:
            need(head & 4, "an address and contents that come from each other")
        else:
            need(64 <= source < 96, "a source that is not known")
            entry = self.task.entry
            if entry and source - 64 in entry[0].registers:
                address = self.kept[entry[1]].values[entry[0].registers.index(source - 64)]
        if head < 2:
            number = None
            length = self.fragments.number(1)
            if length == 255:
                length = self.aux.number(2)
            contents = self.bytes.take(length)
            if 4 <= length <= 254:
                number = self.made % 1024
                self.made += 1
                self.contents[number] = [contents, 0]
        else:
            number = self.fragments.number(2) if head & 4 else self.contents_at.get(hash32(address) % 2048)
            need(number in self.contents, "contents that are not there")
            contents = self.contents[number][0]
            length = len(contents)
        if source == 33:
            address = self.contents[number][1]
        want = self.aux.varint() if want == 3 else (length, length + 1, 0)[want]
        self.address = address
        if number is not None:
            self.contents[number][1] = address
            self.contents_at[hash32(address) % 2048] = number
        return struct.pack("<QIHBB", address, want, length, status, label) + contents + bytes(-length % 8)


class Chunk:
    def __init__(self, data, at, end):
        need(data[at:at + 4] == b"CHNK", f"no chunk at {at}")
        (self.type, self.codec, self.layout, self.stored, self.raw, self.tag, self.slot, self.number, self.vcpu,
         self.flags, self.items, self.min_tsc, self.max_tsc, self.first, self.last, _, self.hash,
         _) = struct.unpack_from("<HBBIIQIIHHIQQQQQQQ", data, at + 4)
        self.at = at
        self.end = at + 96 + self.stored + -self.stored % 8
        need(self.end <= end, f"chunk at {at} crosses the end")
        need(self.layout == 1 or self.layout == 2 and self.type in (TRAPS, PAGES, SNAPSHOT), f"chunk at {at}: layout")
        need(self.codec in (0, 1), f"chunk at {at}: codec")
        need(self.codec == 0 or self.type in (TRAPS, PAGES), f"chunk at {at} must not be compressed")
        self.payload = data[at + 96:at + 96 + self.stored]
        need(not any(data[at + 96 + self.stored:self.end]), f"padding behind the chunk at {at}")
        self.numbers = range(self.first, self.last + 1)
        if (self.layout, self.type) == (2, PAGES):
            self.numbers = self.page_numbers()
        if self.codec == 1:
            self.payload = zstd(self.payload, self.raw)
        if (self.layout, self.type) == (2, TRAPS):
            self.payload = Layout2(self.payload, self.raw).rows
        need(len(self.payload) == self.raw, f"chunk at {at}: length")

    def page_numbers(self):
        """Takes the list off the payload."""
        numbers, at = [self.first], 0
        while len(numbers) < self.items:
            step, at = varint(self.payload, at)
            numbers.append(numbers[-1] + 1 + step)
        need(numbers[-1] == self.last, f"page numbers of the chunk at {self.at}")
        self.payload = self.payload[at:]
        return numbers

    def entry(self, place):
        return (self.at - place, self.stored, self.raw, self.type, self.vcpu, self.codec, self.layout, self.flags, self.items,
                self.min_tsc, self.max_tsc, self.first, self.last)


class Tape:
    def __init__(self, data):
        need(data[:8] == bytes.fromhex("89564D540D0A1A0A"), "not a tape")
        self.version, length, self.slot_bytes, compatible, required = struct.unpack_from("<HHIQQ", data, 8)
        need(self.version == 1 and required in (0, 1), "a newer version, or features that are not known")
        need(length == 256, "file header")
        self.uuid = data[32:48]
        self.created, = struct.unpack_from("<Q", data, 48)
        self.data = data
        self.root = blake(data[:256])
        self.chain = self.root if compatible & 1 else None
        self.signatures = []
        self.chunks = []
        self.slots = []
        self.first_snapshot = 0
        self.places, = struct.unpack_from("<I", data, 56) if required & 1 else (0,)
        for number, place in self.order():
            self.slot(number, place)
        need(len({chunk.tag for chunk in self.chunks}) == 1, "more than one tag")

    def order(self):
        """(number, offset of its place) of each slot, the oldest first."""
        places = range(0, len(self.data), self.slot_bytes)
        if not self.places:
            return enumerate(places)
        need(len(places) <= self.places, "more places than the ring has")
        order = sorted((struct.unpack_from("<Q", self.data, (place or 256) + 16)[0], place) for place in places)
        need(all(number % self.places == place // self.slot_bytes for number, place in order), "a slot in another's place")
        return order

    def of(self, type_):
        return [chunk for chunk in self.chunks if chunk.type == type_]

    def slot(self, number, place):
        data, end = self.data, min(place + self.slot_bytes, len(self.data))
        at = place or 256
        need(data[at:at + 8] == b"VMTSLOT\x1a", f"no slot at {at}")
        version, length, slot_bytes, sequence = struct.unpack_from("<HHIQ", data, at + 8)
        need((version, length, slot_bytes, sequence) == (1, 128, self.slot_bytes, number), f"slot header at {at}")
        need(data[at + 32:at + 48] == self.uuid, f"slot of another tape at {at}")
        if self.places:
            self.first_snapshot, places = struct.unpack_from("<QI", data, at + 96)
            need(places == self.places, f"slot header at {at}: places")
        if self.chain and not self.chunks:
            self.chain = data[at + 64:at + 96] if number else self.chain  # what came before is not there any more
        need(data[at + 64:at + 96] == (self.chain or bytes(32)), f"hash chain at {at}")
        self.link(data[at:at + 128])
        at += 128
        chunks = []
        while not chunks or chunks[-1].type != INDEX:
            chunk = Chunk(data, at, end)
            need(chunk.slot == number & 0xffffffff and chunk.number == len(chunks), f"chunk at {at}: number")
            if chunk.type == SIGNATURE:
                self.sign(number, chunk)
            self.link(data[at:at + 96], blake(data[at + 96:chunk.end]))
            chunks.append(chunk)
            at = chunk.end
        trailer = struct.unpack_from("<8sQII", data, end - 32)
        closed = trailer == (b"VMTCLOS\x1a", number, chunks[-1].at - place, chunks[-1].tag & 0xffffffff)
        need(closed or any(chunk.type == END for chunk in chunks), f"trailer of slot {number}")
        need(closed or self.places or at == len(data), "bytes behind the last index")
        self.slots.append((number, closed, chunks, self.index(place, chunks)))
        self.chunks += chunks

    def link(self, *parts):
        if self.chain:
            self.chain = blake(self.chain, *parts)

    def sign(self, slot, chunk):
        need(len(chunk.payload) == 184 and self.chain, f"signature at {chunk.at}")
        key, root, value, seq, time, number, reserved = struct.unpack_from("<32s32s32sQQII", chunk.payload)
        need((root, value, seq, number, reserved) == (self.root, self.chain, slot, chunk.number, 0),
             f"signature at {chunk.at}: it signs something else")
        check_signature(chunk.payload)
        self.signatures.append((seq, number, time, key, value))

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
        if 3 in found:
            Tape.briefs(found[3], [chunk for chunk in chunks if chunk.type == TRAPS and not chunk.flags & 1])
        return roaring32(found[1])[0], roaring64(found[2])

    @staticmethod
    def briefs(section, chunks):
        """Section 3 of an index, compared with the records."""
        number, at = varint(section, 0)
        texts = []
        for _ in range(number):
            size, = struct.unpack_from("<I", section, at)
            texts.append(section[at:at + size])
            at += size
        need(len(set(texts)) == len(texts), "a text of briefs is there twice")
        for chunk in chunks:
            flags = section[at]
            at += 1
            if not flags:
                continue
            count, at = varint(section, at)
            numbers, rows, last, tsc = [], [], 0, chunk.min_tsc
            for _ in range(count):
                step, at = varint(section, at)
                last += step
                numbers.append(last)
            count, at = varint(section, at)
            for _ in range(count):
                text, at = varint(section, at)
                step, at = varint(section, at)
                tsc = (tsc + unzigzag(step)) % 2**64
                rows.append((tsc, texts[text]))
            need((flags, numbers, rows) == Tape.brief(chunk), f"brief of the chunk at {chunk.at}")
        need(at == len(section), "bytes behind the briefs")

    @staticmethod
    def brief(chunk):
        """What section 3 has to say of a chunk: flags, system calls, rows."""
        flags, numbers, rows, known = 1, set(), [], {}
        for tsc, _, _, kind, record in Tape.rows(chunk):
            abi, fragments, mask = record[5], *struct.unpack_from("<HI", record, 10)
            registers = [bit for bit in range(32) if mask >> bit & 1]
            values = dict(zip(registers, struct.unpack_from(f"<{len(registers)}Q", record, 32)))
            call = {1: 0, 2: 24}.get(kind)
            if call is not None and call in values:
                nr = values[call] & (0xbfffffff if abi == 1 else 0xffffffff)
                numbers.add(abi << 28 | nr & 0xfffffff)
            elif call is not None:
                flags |= 2
            if kind not in (1, 2, 3):
                continue
            if not values.get(22):
                flags |= 4 * (kind != 3)
                continue
            names = {bit: values[bit] for bit in (22, 23) if bit in values}
            tail = record[32 + 8 * len(registers):] if kind == 3 else b""
            registers_kept = struct.pack(f"<{len(names)}Q", *names.values())
            row = struct.pack("<IB5xHIQQ", 32 + len(registers_kept) + len(tail), 3, fragments if kind == 3 else 0,
                              sum(1 << bit for bit in names), 0, 0) + registers_kept + tail
            before = known.get(values[22])
            if before and before[0] == names and (kind != 3 or before[1] == row):
                continue
            known[values[22]] = names, row if kind == 3 else None
            rows.append((tsc, row))
        return flags, sorted(numbers), rows

    # ---- contents ----

    def meta(self):
        lines = {}
        for chunk in self.of(META):
            for line in chunk.payload.decode().split("\n"):
                if line:
                    key, value = line.split("=", 1)
                    lines[key] = value
        return lines

    @staticmethod
    def rows(chunk):
        at, count = 0, 0
        while at < chunk.raw:
            size, kind, vcpu = struct.unpack_from("<IB3xH", chunk.payload, at)
            seq, tsc = struct.unpack_from("<QQ", chunk.payload, at + 16)
            yield tsc, vcpu, seq, kind, chunk.payload[at:at + size]
            at += size
            count += 1
        need(count == chunk.items, f"records of the chunk at {chunk.at}")

    def carried(self):
        """(TSC up to which some may be missing, records) of the oldest slot; those of other slots are looked at, too."""
        found = 0, []
        for number, _, chunks, _ in reversed(self.slots):
            for chunk in chunks:
                if chunk.type == TRAPS and chunk.flags & 1:
                    rows = list(self.rows(chunk))
                    need(all(row[3] == 3 for row in rows) and rows == sorted(rows, key=lambda row: row[0]),
                         f"carried records of the chunk at {chunk.at}")
                    need(number and chunk is chunks[0] and not chunk.last, f"carried records at {chunk.at}: place")
                    found = chunk.first, rows
        return found if self.slots[0][0] else (0, [])

    def records(self):
        """(tsc, vcpu, sequence number, type, bytes), each vCPU in its order, merged by TSC."""
        lanes = {}
        for chunk in self.of(TRAPS):
            need((chunk.vcpu == 65535) == (chunk.flags & 1), f"vCPU of the chunk at {chunk.at}")
            if not chunk.flags & 1:
                lanes.setdefault(chunk.vcpu, []).extend(self.rows(chunk))
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
            need(chunk.items == len(chunk.numbers) == chunk.raw // PAGE, f"pages of the chunk at {chunk.at}")
            for i, number in enumerate(chunk.numbers):
                content = chunk.payload[i * PAGE:(i + 1) * PAGE]
                need(contents.setdefault(number, content) == content, f"page {number} is there twice")
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
        """(fields, cost (empty in layout 1), ranges, registers, memory as {gfn: page number or None}) of those that count"""
        newest = {}
        for chunk in self.of(SNAPSHOT):
            full = chunk.flags & 2
            if full or not newest.get(chunk.first, chunk).flags & 2:
                newest[chunk.first] = chunk
        bases = [ordinal for ordinal, chunk in newest.items()
                 if ordinal <= self.first_snapshot and struct.unpack_from("<I", chunk.payload, 40)[0] & 1]
        memory = {}
        for ordinal in sorted(newest):
            if ordinal >= max(bases):
                snapshot = self.snapshot(newest[ordinal], memory)
                memory = snapshot[4]
                if ordinal >= self.first_snapshot:
                    yield snapshot

    def snapshot(self, chunk, memory):
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
        maps = {page_map.last: page_map for page_map in self.of(PAGE_MAP)
                if (page_map.first, page_map.flags & 2) == (ordinal, chunk.flags & 2)}
        need(sorted(maps) == list(range(parts)), f"parts of snapshot {ordinal}")
        brought = {}
        for part in range(parts):
            brought.update(self.page_map(maps[part]))
        need(len(brought) == nr_pages, f"pages of snapshot {ordinal}")
        need(sum(page is None for page in brought.values()) == nr_zero, f"zero pages of snapshot {ordinal}")
        memory = {} if flags & 1 else dict(memory)
        memory.update(brought)
        return fields, cost, ranges, registers, memory


def dump(data):
    tape = Tape(data)
    yield f"tape version {tape.version} uuid {tape.uuid.hex()} created {tape.created}"
    for number, closed, chunks, (nrs, spaces) in tape.slots:
        yield (f"slot {number} {'closed' if closed else 'open'} types {' '.join(str(c.type) for c in chunks)} "
               f"calls {' '.join(map(str, nrs))} spaces {' '.join(map(str, spaces))}")
    for seq, number, time, key, value in tape.signatures:
        yield f"signature slot {seq} chunk {number} time {time} key {key.hex()} value {value.hex()}"
    if tape.chain:
        yield f"chain value {tape.chain.hex()}"
    for key, value in sorted(tape.meta().items()):
        yield f"meta {key}={value}"
    for chunk in tape.of(PLAN):
        yield f"plan {chunk.first} {fnv(chunk.payload)}"
    since, carried = tape.carried()
    if carried:
        yield f"carried since {since}"
    for tsc, vcpu, seq, kind, raw in carried:
        yield f"carried tsc {tsc} vcpu {vcpu} seq {seq} type {kind} bytes {len(raw)} {fnv(raw)}"
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
    if not Ed25519PublicKey and any(line.startswith("signature ") for line in lines):
        print(f"{arguments.tape}: signatures were not checked: no package cryptography", file=sys.stderr)
    if not arguments.expect:
        sys.stdout.writelines(lines)
        return
    with open(arguments.expect, encoding="utf-8") as file:
        difference = list(difflib.unified_diff(file.readlines(), lines, arguments.expect, arguments.tape))
    sys.stdout.writelines(difference)
    sys.exit(bool(difference))


if __name__ == "__main__":
    main()
