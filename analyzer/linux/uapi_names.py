#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tables of names and numbers out of the installed C headers, as uapi_names.rules asks.

usage: uapi_names.py COMPILER RULES OUTPUT.c OUTPUT.h

The compiler lists the macros and enumerators of a unit's headers, in their order, and says what each
is worth. What it refuses (a name of a macro whose types are in no header, say) is left out.
"""
import functools
import os
import re
import subprocess
import sys

MACRO = re.compile(r"#define[ \t]+([A-Za-z_]\w*)[ \t]+(\S.*)")
LINE_MARK = re.compile(r'# \d+ "([^"]*)"')
ENUM = re.compile(r"\benum\b[^{};()]*\{([^{}]*)\}")
ENUMERATOR = re.compile(r"(?:^|,)\s*([A-Za-z_]\w*)")
VALUE = re.compile(r'\.ascii\s+"->(\d+) [$#]?(-?\d+)"')
ERROR_LINE = re.compile(r"^line:(\d+):\d+: (?:fatal )?error:", re.M)
MAX_ROUNDS = 20


def die(message):
    sys.exit(f"uapi_names.py: {message}")


@functools.lru_cache(maxsize=None)
def all_errors(compiler):
    """The option for every error, not only the first 20; gcc has no such limit."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return ["-ferror-limit=0"] if "clang" in done.stdout else []


class Unit:
    """Headers that go together in one translation unit, and the sets that are made of them."""

    def __init__(self, compiler, headers):
        self.compiler = compiler
        self.headers = headers
        self.sets = []
        self.files = set()
        self.bodies = {}

    def includes(self):
        # termbits and its kin need nothing; many others need the types first
        return "#include <stddef.h>\n#include <stdint.h>\n" + "".join(f"#include <{h}>\n" for h in self.headers)

    def run(self, arguments, source):
        return subprocess.run([self.compiler, "-x", "c", "-std=gnu11", "-w", "-D_GNU_SOURCE",
                               *all_errors(self.compiler), *arguments, "-"],
                              input=source, capture_output=True, text=True, check=False,
                              env={**os.environ, "LC_ALL": "C"})

    def read(self):
        """Names in the order in which the headers have them."""
        done = self.run(["-E", "-dD"], self.includes())
        if done.returncode:
            die(f"{' '.join(self.headers)}: {done.stderr.strip()}")
        plain = []
        for line in done.stdout.splitlines():
            mark = LINE_MARK.match(line)
            if mark:
                self.files.add(mark.group(1))
                continue
            macro = MACRO.match(line)
            if macro:
                self.bodies.setdefault(macro.group(1), macro.group(2))
            plain.append(line if not line.startswith("#") else "")
        for body in ENUM.findall("\n".join(plain)):
            for name in ENUMERATOR.findall(re.sub(r"\([^()]*\)", "", re.sub(r"=[^,]*", "", body))):
                self.bodies[name] = self.bodies.get(name) or "enum"

    def values(self, names, required=True):
        """Name to number, without those that are none."""
        names = list(dict.fromkeys(names))
        for _ in range(MAX_ROUNDS):
            if not names:
                break
            source = self.includes() + "#undef unix\n#undef linux\nvoid f(void)\n{\n"
            for i, name in enumerate(names):
                source += f'#line {i + 1} "line"\n__asm__ volatile(".ascii \\"->{i} %0\\"" : : "i"((long long)({name})));\n'
            done = self.run(["-S", "-O0", "-o", "-"], source + "}\n")
            if not done.returncode:
                return {names[int(i)]: int(value) for i, value in VALUE.findall(done.stdout)}
            bad = {int(line) - 1 for line in ERROR_LINE.findall(done.stderr)}
            if not bad:
                if required:
                    die(f"{' '.join(self.headers)}: {done.stderr.strip()}")
                return {}
            names = [name for i, name in enumerate(names) if i not in bad]
        if names and required:
            die(f"{' '.join(self.headers)}: still errors after {MAX_ROUNDS} rounds: {done.stderr.strip()}")
        return {}


class NameSet:
    """One line of the rules: SET PATTERN [OPTION…]"""

    def __init__(self, words, where):
        self.name, pattern = words[0], words[1]
        self.where = where
        self.options = {}
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            die(f"{where}: {pattern}: {error}")
        for word in words[2:]:
            key, _, value = word.partition("=")
            if key not in ("unknown", "mask", "wide", "decimal", "huge", "first", "skip", "add", "sort", "query"):
                die(f"{where}: '{key}' is no option")
            self.options[key] = value

    def list_option(self, key):
        return [item for item in self.options.get(key, "").split(",") if item]

    def wanted(self, unit):
        skip = re.compile(self.options.get("skip", r"$^"))
        names = [n for n in unit.bodies if self.pattern.fullmatch(n) and not skip.fullmatch(n)]
        return list(dict.fromkeys(self.list_option("first") + names))

    def entries(self, unit, values):
        width = 64 if "wide" in self.options else 32
        result = {}
        for name in self.wanted(unit):
            if name in values:
                result.setdefault(values[name] & (1 << width) - 1, name)
        for item in self.list_option("add"):
            name, _, number = item.partition(":")
            result.setdefault(int(number, 0), name)
        pairs = list(result.items())
        if "sort" in self.options:
            pairs.sort()
        if not pairs:
            die(f"{self.where}: the headers have no name like {self.pattern.pattern}")
        return pairs

    def text(self, unit, values):
        lines = [f"static const struct named_value {self.name}_values[] = {{"]
        lines += [f'\t{{{value:#x}u{"ll" if value >> 32 else ""}, "{name}"}},'
                  for value, name in self.entries(unit, values)]
        lines.append("};")
        mask = self.options.get("mask", "0")
        number = values.get(mask) if not mask[0].isdigit() else int(mask, 0)
        if number is None:
            die(f"{self.where}: the headers have no {mask}")
        quoted = {key: f'"{self.options[key]}"' if key in self.options else "NULL" for key in ("unknown", "huge")}
        lines.append(f"const struct name_set names_{self.name} = {{{self.name}_values, sizeof({self.name}_values) / "
                     f"sizeof({self.name}_values[0]), {quoted['unknown']}, {number:#x}, {quoted['huge']}, "
                     f"{self.options.get('query', '0')}, {str('wide' in self.options).lower()}, "
                     f"{str('decimal' in self.options).lower()}}};")
        return "\n".join(lines) + "\n"


REQUEST = re.compile(r"\b_S?IO[WR]*(?:_BAD)?\b|\b(?:DRM|SIOC|UI|TUN|VHOST|SNDRV)?_?IO[WR]*\(|\bIOCTL\b")
ODD_REQUESTS = re.compile(r"(?:TC|TIO|FIO)[A-Z0-9_]+|SIOC[A-Z0-9]+|(?:GIO|PIO|KD|VT)_?[A-Z0-9_]+|BLK[A-Z0-9]+|CDROM[A-Z0-9_]+|HDIO_[A-Z_]+")
NO_REQUEST = re.compile(r"(?:KD|VT)_[A-Z]*(?:AUTO|TEXT|GRAPHICS|ACKACQ)|.*_(?:MAGIC|BASE|TYPE|MAX|LAST|FIRST)|TIOC_?PKT_.*|TIOCM_.*|TIOCSER_.*|"
                        r"CDROM_(?:PACKET_SIZE|MAX_SLOTS|LBA|MSF|LEADOUT|DATA_TRACK|AUDIO_.*)|VTIME|VT_EVENT_.*|KD_FONT_.*|"
                        r"TIOCINQ|VT_PROCESS|VT_MAX_EVENT|VBG_IOCTL_VMMDEV_REQUEST_BIG|KD_TEXT\d|HDIO_DRIVE_\w+_HDR_SIZE|CDROM_GET_UPC|SIOC(?:DEVPRIVATE|PROTOPRIVATE|IWFIRST|IWLAST|IWFIRSTPRIV|IWLASTPRIV)")
ODD_HEADERS = ("asm/ioctls.h", "linux/sockios.h", "linux/kd.h", "linux/vt.h", "linux/fs.h", "linux/cdrom.h",
               "linux/hdreg.h", "asm-generic/ioctls.h", "asm-generic/sockios.h")
SUBSYSTEMS = ("asm", "asm-generic", "drm", "linux", "misc", "mtd", "rdma", "scsi", "sound", "video", "xen")


def request_headers(unit):
    """Headers that define requests, by the folders of the one that every unit has."""
    folders = {os.path.dirname(os.path.dirname(f)) for f in unit.files if re.search(r"/(?:linux|asm)/[a-z_0-9]+\.h$", f)}
    found = {}
    for top in sorted(folders):
        for sub in SUBSYSTEMS:
            for folder, _, names in os.walk(os.path.join(top, sub)):
                for name in sorted(names):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8", errors="replace") as file:
                        text = file.read()
                    header = os.path.relpath(path, top)
                    if header in ODD_HEADERS or re.search(r"^#\s*define[^\n]*(?:\\\n[^\n]*)*\b_S?IO[WR]*\(", text, re.M):
                        found[header] = text
    return found


CONTINUED = re.compile(r"\\\n[ \t]*")
# What the types of some requests need, for headers that do not bring it themselves.
MORE_HEADERS = ["asm/ioctl.h", "sys/types.h", "sys/socket.h", "linux/types.h", "linux/if.h", "time.h", "asm/termbits.h", "linux/fiemap.h"]


def request_names(header, text):
    """The macros of a header that look like requests."""
    bodies = dict(re.findall(r"^#[ \t]*define[ \t]+([A-Z_][A-Z0-9_]*)[ \t]+(\S.*)", CONTINUED.sub(" ", text), re.M))
    return [name for name, body in bodies.items() if not NO_REQUEST.fullmatch(name)
            and (REQUEST.search(body) or (header in ODD_HEADERS and ODD_REQUESTS.fullmatch(name)))]


BATCH = 12


def batches(wanted):
    """Headers by the dozen, none of which defines a name that another of its batch does."""
    batch, names = [], set()
    for header, own in wanted.items():
        if len(batch) == BATCH or names & set(own):
            yield batch
            batch, names = [], set()
        batch.append(header)
        names |= set(own)
    if batch:
        yield batch


def ioctl_entries(compiler, unit, skip_headers):
    """Request to its names, of all headers that there are."""
    wanted = {header: request_names(header, text) for header, text in sorted(request_headers(unit).items())
              if header not in skip_headers}
    wanted = {header: names for header, names in wanted.items() if names}
    values = {}
    for batch in batches(wanted):
        # headers that do not go together give nothing, and are asked one by one
        values |= Unit(compiler, ["asm/ioctl.h"] + batch).values([n for h in batch for n in wanted[h]], required=False)
    requests = {}
    for header, names in wanted.items():
        left = [name for name in names if name not in values]
        own = {name: values[name] for name in names if name in values}
        own |= Unit(compiler, ["asm/ioctl.h", header]).values(left, required=False)
        left = [name for name in left if name not in own]
        own |= Unit(compiler, MORE_HEADERS + [header]).values(left, required=False)
        for name, value in own.items():
            if value & 0xffffffff:
                requests.setdefault(value & 0xffffffff, set()).add(name)
    return {value: " or ".join(sorted(names)) for value, names in sorted(requests.items())}


def main():
    if len(sys.argv) != 5:
        die("usage: uapi_names.py COMPILER RULES OUTPUT.c OUTPUT.h")
    compiler, rules, source, header = sys.argv[1:]
    units, ioctls, unit = [], None, None
    with open(rules, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split("#", 1)[0].split()
            where = f"{rules}: line {number}"
            if not words:
                continue
            if words[0] == "unit":
                unit = Unit(compiler, words[1:])
                unit.read()
                units.append(unit)
            elif words[0] == "ioctls":
                ioctls = (unit, words[1:])
            elif len(words) < 2 or not unit:
                die(f"{where}: SET PATTERN [OPTION…] expected, behind a line 'unit HEADER…'")
            else:
                unit.sets.append(NameSet(words, where))
    text = '/* Made by uapi_names.py from the installed headers. */\n#include "uapi_names.h"\n\n'
    names = []
    for unit in units:
        wanted = [name for s in unit.sets for name in s.wanted(unit) + [s.options.get("mask", "")] if name and not name[0].isdigit()]
        values = unit.values(wanted)
        for name_set in unit.sets:
            text += name_set.text(unit, values) + "\n"
            names.append(name_set.name)
    if ioctls:
        entries = ioctl_entries(compiler, *ioctls)
        text += "const struct named_value ioctl_requests[] = {\n"
        text += "".join(f'\t{{{value:#x}u, "{name}"}},\n' for value, name in entries.items())
        text += "};\nconst size_t nr_ioctl_requests = sizeof(ioctl_requests) / sizeof(ioctl_requests[0]);\n"
    declarations = ('/* Made by uapi_names.py from the installed headers. */\n#ifndef UAPI_NAMES_H\n#define UAPI_NAMES_H\n\n'
                    '#include "linux/name_set.h"\n\n')
    declarations += "".join(f"extern const struct name_set names_{name};\n" for name in names)
    declarations += ("/* sorted by value */\nextern const struct named_value ioctl_requests[];\n"
                     "extern const size_t nr_ioctl_requests;\n\n#endif\n")
    for path, content in ((source, text), (header, declarations)):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


if __name__ == "__main__":
    main()
