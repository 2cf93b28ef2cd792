# SPDX-License-Identifier: MIT
"""Read tapes of vmtape: who the guest was, which system calls its processes made, what was in its memory.

    import vmtape
    with vmtape.Tape("guest.vmt") as tape:
        for call in tape.calls(filter="proc.name = cat", from_="+1.5"):
            print(call.process.name, call.name, call.args["filename"].text, call.ret_text)

Times are given as text ("12:00:01.5", "+1.5" seconds from the start of the tape, ISO 8601), as an aware datetime, as an
int (ns since 1970, UTC), or as a Call (its entry). What is not known is None. Bytes of the guest that are no UTF-8 are
surrogates in strings, as in os.fsdecode(). A tape, and what came from it, is used by one thread at a time.
"""

import datetime
from collections.abc import Mapping

from . import _vmtape
from ._vmtape import Error

__all__ = ["Arg", "Args", "Call", "Error", "Event", "Memory", "Process", "Tape", "Trap", "hook", "version"]

#: Version of the library.
version = _vmtape.version

_END = 2**64 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def _shown(text):
    """Without control characters, which the guest may have chosen."""
    return repr(text)[1:-1] if isinstance(text, str) else "?"


class Memory(bytes):
    """Bytes of the guest. There may be fewer than were asked for: why then says what was in the way.

    captured: how many were copied at the call itself; the others are as old as the snapshot.
    snapshot: its number, snapshot_ns: its time (ns since 1970, UTC); None: no byte is of a snapshot.
    why: None if all was read.
    """

    captured: int
    snapshot: "int | None"
    snapshot_ns: "int | None"
    why: "str | None"

    @classmethod
    def _make(cls, result):
        data, captured, snapshot, _, snapshot_ns, why = result
        memory = cls(data)
        memory.captured = captured
        memory.snapshot = snapshot
        memory.snapshot_ns = snapshot_ns
        memory.why = why
        return memory


class Arg(int):
    """An argument: the register's value (unsigned, 64 bits), with what it means.

    name: as the guest's kernel calls it; number: by its C type (so -100 for AT_FDCWD); text: as strace shows it.
    """

    name: str
    number: int
    _text: bytes

    @property
    def text(self):
        """As strace shows it: '"/etc/passwd"', 'O_RDONLY|O_CLOEXEC'."""
        return self._text.decode("utf-8", "surrogateescape")

    @property
    def string(self):
        """The guest's string without quotes and escapes (as far as it was captured); None: it is none."""
        kind, data = _vmtape.plain(self._text)
        return None if kind == "names" else data.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return f"<Arg {self.name}={self.text}>"


class Args(Mapping):
    """Arguments of a call, by name or by position from 0, in their order. Empty if they are not known."""

    __slots__ = ("_rows",)

    def __init__(self, rows):
        self._rows = rows

    def _name(self, position):
        # Some kernels give two arguments of a call one name.
        name = self._rows[position][0]
        again = any(row[0] == name for row in self._rows[:position])
        return f"{name}_{position}" if again else name

    def _arg(self, position):
        _, value, number, text = self._rows[position]
        arg = Arg(value)
        arg.name = self._name(position)
        arg.number = number
        arg._text = text
        return arg

    def __getitem__(self, key):
        if isinstance(key, int):
            return self._arg(range(len(self._rows))[key])
        for position in range(len(self._rows)):
            if self._name(position) == key:
                return self._arg(position)
        raise KeyError(key)

    def __contains__(self, key):
        return key in range(len(self._rows)) if isinstance(key, int) else any(name == key for name in self)

    def get(self, key, default=None):
        """The argument; default if there is none of that name or position."""
        return self[key] if key in self else default

    def __iter__(self):
        return (self._name(position) for position in range(len(self._rows)))

    def __len__(self):
        return len(self._rows)

    def __repr__(self):
        return "(" + ", ".join(f"{arg.name}={arg.text}" for arg in self.values()) + ")"


class Process:
    """Who made a call, or, from Tape.processes(), a process at a time. Unknown is None.

    pid, tid, ppid: numbers; name: of the thread (of a process, of its first one); exe: path of its program.
    Only of Tape.processes(): threads (their number), uid, started_ns (ns since 1970, UTC), kernel_thread, zombie.
    """

    __slots__ = ("pid", "tid", "ppid", "name", "exe", "threads", "uid", "started_ns", "kernel_thread", "zombie", "_read")

    def __init__(self, read, **fields):
        self._read = read
        for field in self.__slots__[:-1]:
            setattr(self, field, fields.get(field))

    def read_memory(self, gva, size):
        """Memory of the process at a virtual address: Memory of size bytes, or of those that are on the tape.

        At the time of the call, or of the list, that this process is from. Error: the file can't be read.
        """
        return self._read(gva, size)

    def __repr__(self):
        return f"<Process {_shown(self.name)}[{self.pid}]>"


class Event:
    """The trap that a hook is called for.

    direction: "enter" or "exit"; type: "syscall", "sysret", "sysenter", …; vcpu; tsc: guest's time stamp counter;
    time_ns: ns since 1970, UTC, or None. Registers that the trap has are attributes: cr3, rax, rip, …
    """

    __slots__ = ("direction", "type", "time_ns", "tsc", "vcpu", "registers")

    def __init__(self, trap):
        self.direction, self.type, self.time_ns, self.tsc, self.vcpu, self.registers = trap

    def __getattr__(self, name):
        if name == "registers" or name not in self.registers:
            raise AttributeError(f"the trap has no register {name!r}")
        return self.registers[name]

    @property
    def vcpu_nb(self):
        """vcpu, by Nitro's name."""
        return self.vcpu

    @property
    def regs(self):
        """The event itself: Nitro has event.regs.rax and event.sregs.cr3."""
        return self

    sregs = regs

    def __repr__(self):
        return f"<Event {self.direction} vcpu={self.vcpu} tsc={self.tsc}>"


class Call(_vmtape.Call):
    """A system call, its entry and exit joined; what a hook gets as `syscall`.

    hook: of a hook's own choice, any value that JSON has; it is shown with the call. Shared by entry and exit.
    """

    # None to begin with: module_call_create().
    __slots__ = ("hook", "_trap", "_kept_args")

    @property
    def args(self):
        """Its arguments: Args."""
        if self._kept_args is None:
            self._kept_args = Args(self._args)
        return self._kept_args

    @property
    def process(self):
        """Who made it: Process."""
        return Process(self.read_memory, pid=self._pid, tid=self._tid, ppid=self._ppid, name=self._process, exe=self._exe)

    @property
    def event(self):
        """In a hook, the trap that it is called for: Event; else None."""
        return None if self._trap is None else Event(self._trap)

    def _at_exit(self, when):
        if when is None:
            return self._trap is None or self._trap[0] == "exit"
        if when not in ("enter", "exit"):
            raise ValueError(f'when is "enter" or "exit", not {when!r}')
        return when == "exit"

    def read_memory(self, gva, size, when=None):
        """Memory of the process that made the call, at its entry or its exit: Memory.

        when: "enter" or "exit"; None: in a hook the trap that it is called for, else the exit.
        First of what the call's traps captured, then of the last snapshot before, if the process had this address space
        then. Error: the tape is closed, or can't be read.
        """
        return Memory._make(self._read(self._at_exit(when), int(gva), size, False))

    def read_string(self, gva, size=4096, when=None):
        """The same up to a NUL, which is not part of it; why tells if there was none within size bytes."""
        return Memory._make(self._read(self._at_exit(when), int(gva), size, True))

    def __repr__(self):
        return f"<Call {_shown(self._process)}[{self._pid}] {self.name or self.nr}{self.args!r} = {self.ret_text}>"


class Trap:
    """A record of a vCPU, in order of time.

    type: "enter", "exit", "identity", "gap", "mark" or "plan"; via, abi, flags, vcpu, seq, tsc, time_ns (ns since 1970,
    UTC), pid, tid, ppid, process, exe, name, nr; registers: dict by name; fragments: list of (gva, bytes, whole);
    lost_records: of a gap. Unknown is None.
    """

    def __init__(self, fields):
        self.__dict__.update(fields)

    def __repr__(self):
        return f"<Trap {self.type} vcpu={self.vcpu} seq={self.seq} {self.name or ''}>"


class Tape(_vmtape.Tape):
    """A tape in a file: finished, cut off, or still being written (what is there when it is opened).

    Error: it can't be opened. To be closed with close(), or by `with`; iterators keep it open.
    """

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _tsc(self, when, otherwise):
        if when is None:
            return otherwise
        if isinstance(when, _vmtape.Call):
            return when.tsc
        if isinstance(when, str):
            return self._parse_time(when)
        if isinstance(when, datetime.datetime):
            if when.tzinfo is None:
                raise ValueError("a datetime without time zone is no point in time")
            since = when - _EPOCH
            when = (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000
        return self._tsc_at(when)

    @property
    def start_ns(self):
        """Time of the first thing on it, in ns since 1970, UTC; None: it has no clock."""
        return self._facts()["start_ns"]

    @property
    def end_ns(self):
        """Time of the last thing on it."""
        return self._facts()["end_ns"]

    @property
    def records(self):
        """Number of records (traps)."""
        return self._facts()["records"]

    @property
    def guest(self):
        """{"banner": …, "release": …, "problem": …}, found in the guest's memory at the first question.

        banner and release are None if it is not identified, and problem says why; else problem is None.
        """
        return self._guest()

    def calls(self, filter=None, from_=None, to=None):
        """Iterator over Call, in order of entry: those that match filter (as in vmtape-events(1)) and were entered at
        from_ or later, before to. Its .lost is the number of records known to be lost so far. Ctrl-C is seen between
        calls that match.

        Error: the filter (it says which column), a time, or the file.
        """
        return self._calls(Call, filter, self._tsc(from_, 0), self._tsc(to, _END))

    def traps(self, filter=None, from_=None, to=None):
        """Iterator over Trap, in order of time; filter, from_, to and Error as of calls()."""
        return map(Trap, self._traps(None, filter, self._tsc(from_, 0), self._tsc(to, _END)))

    def processes(self, at=None):
        """List of Process at a time (None: the end), children behind their parents.

        Their read_memory() reads the last snapshot before. Error: a time, or the file.
        """
        tsc = self._tsc(at, _END)

        def reader(pid):
            return lambda gva, size: Memory._make(self._read(2, tsc, pid, int(gva), size))

        rows = self._processes(tsc)
        return [Process(reader(row["pid"] if row["pid"] is not None else 2**31), tid=row["pid"], **row) for row in rows]

    def read_memory(self, gva, size, pid=None, cr3=None, at=None):
        """Virtual memory of a process, or of the address space of a CR3, at the last snapshot before a time: Memory.

        Error: the file can't be read. ValueError: neither or both of pid and cr3.
        """
        if (pid is None) == (cr3 is None):
            raise ValueError("give one of pid and cr3")
        if pid is not None:
            return Memory._make(self._read(2, self._tsc(at, _END), pid, int(gva), size))
        return Memory._make(self._read(1, self._tsc(at, _END), cr3, int(gva), size))

    def read_physical(self, gpa, size, at=None):
        """Guest-physical memory at the last snapshot before a time: Memory."""
        return Memory._make(self._read(0, self._tsc(at, _END), 0, gpa, size))

    @property
    def snapshots(self):
        """List of dicts: tsc, time_ns (ns since 1970, UTC), vcpus, pages (that it brings), ram_bytes, base."""
        return [self._snapshot(i) for i in range(self._facts()["snapshots"])]

    def registers(self, snapshot, vcpu=0):
        """Registers of a vCPU at a snapshot, by number from 0: dict by name ("rip", "cr3", "lstar", …); empty: none."""
        return self._registers(snapshot, vcpu)


def hook(pattern, direction="both"):
    """Decorator for a file of hooks: the function is called for calls whose name matches (as of glob(7)).

        @vmtape.hook("open*", "exit")
        def opened(syscall): ...

    direction: "enter", "exit" or "both". "*" matches calls without a name, too.
    """
    if direction not in ("enter", "exit", "both"):
        raise ValueError(f'direction is "enter", "exit" or "both", not {direction!r}')

    def mark(function):
        directions = ("enter", "exit") if direction == "both" else (direction,)
        marks = getattr(function, "_vmtape_hooks", [])
        function._vmtape_hooks = marks + [(each, pattern) for each in directions]
        return function

    return mark
