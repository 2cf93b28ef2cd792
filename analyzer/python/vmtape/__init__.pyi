# SPDX-License-Identifier: MIT
# Types of the package; what they mean is in its docstrings.
import datetime
import os
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, TypedDict, TypeVar

version: str

class Error(Exception): ...

_Time = str | int | datetime.datetime | Call | None
_Direction = Literal["enter", "exit"]
_Function = TypeVar("_Function", bound=Callable[..., object])

class Memory(bytes):
    captured: int
    snapshot: int | None
    snapshot_ns: int | None
    why: str | None

class Arg(int):
    name: str
    number: int
    @property
    def text(self) -> str: ...
    @property
    def string(self) -> str | None: ...

class Args(Mapping[str, Arg]):
    def __getitem__(self, key: str | int) -> Arg: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class Process:
    pid: int | None
    tid: int | None
    ppid: int | None
    name: str | None
    exe: str | None
    threads: int | None
    uid: int | None
    started_ns: int | None
    kernel_thread: bool | None
    zombie: bool | None
    def read_memory(self, gva: int, size: int) -> Memory: ...

class Event:
    direction: _Direction
    type: str
    time_ns: int | None
    tsc: int
    vcpu: int
    registers: dict[str, int]
    @property
    def vcpu_nb(self) -> int: ...
    @property
    def regs(self) -> Event: ...
    @property
    def sregs(self) -> Event: ...
    def __getattr__(self, name: str) -> int: ...

class Call:
    hook: Any
    @property
    def name(self) -> str | None: ...
    @property
    def nr(self) -> int | None: ...
    @property
    def abi(self) -> Literal["x86_64", "x32", "i386"]: ...
    @property
    def state(self) -> Literal["complete", "no-exit", "open", "exit-only"]: ...
    @property
    def time_ns(self) -> int | None: ...
    @property
    def duration_ns(self) -> int | None: ...
    @property
    def tsc(self) -> int: ...
    @property
    def vcpu(self) -> int: ...
    @property
    def ret(self) -> int | None: ...
    @property
    def ret_text(self) -> str: ...
    @property
    def error(self) -> str | None: ...
    @property
    def interrupted(self) -> bool: ...
    @property
    def signal(self) -> int | None: ...
    @property
    def uncertain(self) -> bool: ...
    @property
    def args(self) -> Args: ...
    @property
    def process(self) -> Process: ...
    @property
    def event(self) -> Event | None: ...
    def read_memory(self, gva: int, size: int, when: _Direction | None = None) -> Memory: ...
    def read_string(self, gva: int, size: int = 4096, when: _Direction | None = None) -> Memory: ...

class Trap:
    type: Literal["enter", "exit", "identity", "gap", "mark", "plan"]
    via: str
    abi: str
    flags: int
    vcpu: int
    seq: int
    tsc: int
    time_ns: int | None
    pid: int | None
    tid: int | None
    ppid: int | None
    process: str | None
    exe: str | None
    name: str | None
    nr: int | None
    registers: dict[str, int]
    fragments: list[tuple[int, bytes, bool]]
    lost_records: int

class _Guest(TypedDict):
    banner: str | None
    release: str | None
    problem: str | None

class _Snapshot(TypedDict):
    tsc: int
    time_ns: int | None
    vcpus: int
    pages: int
    ram_bytes: int
    base: bool

class _Calls(Iterator[Call]):
    @property
    def lost(self) -> int: ...

class Tape:
    def __init__(self, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /) -> None: ...
    def __enter__(self) -> Tape: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def start_ns(self) -> int | None: ...
    @property
    def end_ns(self) -> int | None: ...
    @property
    def records(self) -> int: ...
    @property
    def guest(self) -> _Guest: ...
    @property
    def snapshots(self) -> list[_Snapshot]: ...
    def calls(self, filter: str | None = None, from_: _Time = None, to: _Time = None) -> _Calls: ...
    def traps(self, filter: str | None = None, from_: _Time = None, to: _Time = None) -> Iterator[Trap]: ...
    def processes(self, at: _Time = None) -> list[Process]: ...
    def read_memory(
        self, gva: int, size: int, pid: int | None = None, cr3: int | None = None, at: _Time = None
    ) -> Memory: ...
    def read_physical(self, gpa: int, size: int, at: _Time = None) -> Memory: ...
    def registers(self, snapshot: int, vcpu: int = 0) -> dict[str, int]: ...

def hook(pattern: str, direction: Literal["enter", "exit", "both"] = "both") -> Callable[[_Function], _Function]: ...
