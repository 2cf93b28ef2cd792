# SPDX-License-Identifier: MIT
"""Compares what strace saw inside the guest with what the tape says, thread by thread, call by call.

Two runs of each workload give the truth: under strace -e raw=all, whose numbers must equal the tape's values, and under
strace -v -s 4096, whose strings and texts must equal the tape's texts. A difference is either explained, by a name in
EXPLAINED and counted under it, or it fails the comparison.
"""
import argparse
import collections
import dataclasses
import difflib
import functools
import json
import os
import re
import sys

import strace_log
from compare_texts import plain, ways_apart

MASK64, MASK32 = (1 << 64) - 1, (1 << 32) - 1
# A string that the tape cut at its cap must still agree in this many bytes.
CUT_MIN_BYTES = 16


@dataclasses.dataclass
class Difference:
    kind: str           # missing, extra, value, string, text, error, result, signal
    tid: int
    truth: object       # StraceCall or None
    event: object       # dict or None
    detail: str = ""
    index: int = -1     # of the argument, on the tape
    shown: int = -1     # and in strace's line
    ways: frozenset = frozenset()  # if only these set two texts apart (compare_texts.ways_apart): names in EXPLAINED
    by_iret: bool = False  # its call returned by IRET, which the producer can't see


def restarted(difference):
    if difference.kind not in ("result", "error") or not (difference.truth.error or "").startswith("ERESTART"):
        return False
    # With a handler user space sees EINTR. A restarted call returns nothing, and is on both sides a second time; why
    # the kernel restarts it never leaves the kernel.
    error = difference.event.get("error") or ""
    return error == "EINTR" or error.startswith("ERESTART") or difference.event.get("ret") is None


def killed_at_exit(difference):
    """strace sees the result in a stop on the way out; SIGKILL or SIGTERM found the thread there. What the kernel had
    written for the program was not read again either: of an argument that begins on the tape as strace has it, the rest."""
    if not (difference.truth and difference.event and difference.truth.last and not difference.truth.moved
            and difference.event.get("ret") is None and difference.event.get("state") == "no-exit"):
        return False
    if difference.kind == "text":
        want, have = difference.truth.args[difference.shown], difference.event["args"][difference.index][1]["text"]
        return plain(want).startswith(plain(have))
    return difference.kind == "result"


EXPLAINED = (
    ("restart", "strace prints the kernel's own ERESTART…; user space gets EINTR, or the call is made again",
     restarted),
    ("killed-at-exit", "a thread's last call, whose result strace saw in the kernel and user space never did",
     killed_at_exit),
    ("killed-at-entry", "a thread that was killed in a call before strace could look at it",
     lambda d: d.kind == "extra" and d.detail == "killed at its entry"),
    ("upper-half", "an int's argument, of which strace shows all of the register",
     lambda d: d.kind == "value" and d.truth.name == "futex" and d.index in (2, 5)
     and (strace_log.number(d.truth.args[d.shown]) - as_int(d.event["args"][d.index][1]["value"])) & MASK32 == 0),
    ("sigreturn", "rt_sigreturn returns nothing: strace prints the RAX that it restored",
     lambda d: d.kind in ("result", "error") and d.truth.name == "rt_sigreturn"),
    ("before-strace", "calls that strace's child made before the execve with which strace's log starts",
     lambda d: d.kind == "extra" and d.detail == "before the log"),
    ("iret", "what KVM can't see: the exit of calls that leave by IRET: execs, INT 0x80, before a signal's handler",
     lambda d: d.by_iret),
    ("netlink", "strace takes netlink messages apart, the tape has their bytes",
     lambda d: d.kind == "text" and re.search(r"(^|\[|iov_base=)\[*\{nlmsg_len=", d.truth.args[d.shown])),
    ("bytes", "an option, or an address that was cut, which strace shows as bytes and the tape as what it is",
     lambda d: d.kind in ("string", "text") and d.truth.name in ("setsockopt", "getsockopt", "getsockname")
     and re.search('^"|sa_data="', d.truth.args[d.shown]) and d.event["args"][d.index][1].get("text", "").startswith("{")),
    ("received", "strace shows all of a buffer, the tape what was received",
     lambda d: d.truth and d.truth.name == "msgrcv" and d.kind == "text"
     and plain(d.truth.args[d.shown]).startswith(plain(d.event["args"][d.index][1]["text"])[:-2])),
    ("nested", "a pointer in a structure that a pointer in a structure leads to: the capture plan goes two steps",
     lambda d: "nested" in d.ways),
    ("interface", "a network interface's index, of which strace in the guest can ask the name",
     lambda d: "interface" in d.ways),
    ("abbreviated", "fields that the tape leaves out and says so by dots",
     lambda d: "abbreviated" in d.ways),
    ("more", "fields that strace leaves out", lambda d: d.ways == {"more"} and d.truth.name == "io_cancel"),
    ("fork-child", "a child's first return to user space, for which strace has no line",
     lambda d: d.kind == "extra" and d.event.get("state") == "exit-only"
     and d.event.get("syscall") in ("clone", "clone3", "fork", "vfork", None)),
)

# Arguments that strace decodes and the tape leaves as numbers: arrays that another argument counts, opaque records, and
# flags that are a number with bits of its own (swapon's priority, kexec's architecture).
LEFT = frozenset((
    "getdents.dirent", "kexec_load.flags", "mincore.vec", "modify_ldt.ptr", "move_pages.nodes", "move_pages.pages",
    "move_pages.status", "name_to_handle_at.handle", "open_by_handle_at.handle", "prctl.arg3", "swapon.swap_flags"))


def read_events(lines, tids=None):
    """{tid: [event]} of the JSON Lines of `vmtape events --format json`, in order of entry. Arguments become a list of
    (name, {value, text}), as a kernel may give two arguments of a call the same name."""
    threads = collections.defaultdict(list)

    def pairs(items):
        table = dict(items)
        if isinstance(table.get("args"), dict):
            table["args"] = list(table["args"].items())
        return table

    for line in lines:
        event = json.loads(line, object_pairs_hook=pairs)
        if tids is None or event.get("tid") in tids:
            threads[event.get("tid")].append(event)
    return threads


def as_int(value):
    if isinstance(value, str):
        return strace_log.number(value)
    return value


def same_number(truth, value):
    """An int argument is a 32-bit register to one side and a negative number to the other."""
    if truth is None or value is None:
        return False
    if (truth - value) & MASK64 == 0:
        return True
    if truth >> 31 == MASK64 >> 31:  # a negative int in a 64-bit register
        truth -= MASK64 + 1
    return (truth - value) & MASK32 == 0 and max(abs(truth), abs(value)) <= MASK32


def replaced(text):
    """One U+FFFD for each run of bytes that are no UTF-8: how many there are is a matter of the decoder's taste."""
    return re.sub("\ufffd+", "\ufffd", text)


def is_number(text):
    return strace_log.number(text) is not None


@functools.lru_cache
def uapi_names():
    """{number: name} of the installed headers, for calls that the guest's kernel lacks: the tape has the number only."""
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding="ascii") as header:
        return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read())}


# Where strace's texts leave out arguments: (which call, those that it shows).
WAKE_OPS = "FUTEX_WAKE_BITSET", "FUTEX_WAKE_BITSET_PRIVATE"
WAIT_OPS = tuple(f"FUTEX_WAIT_BITSET{end}" for end in ("", "_PRIVATE", "|FUTEX_CLOCK_REALTIME",
                                                      "_PRIVATE|FUTEX_CLOCK_REALTIME"))
LOCK_OPS = tuple(f"FUTEX_LOCK_PI{two}{end}" for two in ("", "2") for end in ("", "_PRIVATE"))
SHOWN = (
    (lambda call: call.name in ("preadv2", "pwritev2"), (0, 1, 2, 3, 5)),  # the offset's upper half
    (lambda call: call.name == "futex" and call.args[1] in WAKE_OPS, (0, 1, 2, 5)),
    (lambda call: call.name == "futex" and call.args[1] in WAIT_OPS, (0, 1, 2, 3, 5)),
    (lambda call: call.name == "futex" and call.args[1] in LOCK_OPS, (0, 1, 3)),
    (lambda call: call.name == "quotactl_fd" and len(call.args) == 3, (0, 1, 3)),  # Q_GETFMT is of no id
)


def shown_indexes(call):
    """Which of the call's arguments the texts of strace are."""
    for applies, indexes in SHOWN:
        if applies(call):
            return indexes[:len(call.args)]
    return range(len(call.args))


EXECS = ("execve", "execveat")


def not_read_again(difference):
    """An argument of which the tape lacks nothing but strings that were not in memory when the call began."""
    text = difference.event["args"][difference.index][1].get("text")
    if text is None or is_number(text):
        return True
    want, have = difference.truth.args[difference.shown], text
    if not (want.startswith("[") and have.startswith("[")):
        return False
    want, have = strace_log.split_args(want[1:-1]), strace_log.split_args(have[1:-1])
    return len(want) == len(have) and all(one == other or is_number(other) for one, other in zip(want, have))


def mark_irets(by_call):
    """Marks what is missing of calls that left by IRET, in one thread's [(StraceCall, [Difference])].

    These are successful execs, all by INT 0x80, and calls behind which a signal's handler ran: an rt_sigreturn follows,
    one for each. They have no result on the tape, nor what is read at the exit: results in memory, and strings that
    the kernel had to fetch from a file first.
    """
    handlers = 0
    for truth, found in reversed(by_call):
        if truth.name == "rt_sigreturn":
            handlers += 1
            continue
        event = found[0].event if found else {}
        if event.get("ret") is not None or event.get("error") or event.get("state") != "no-exit":
            continue
        by_handler = False
        if truth.name in EXECS:
            left = truth.ret == 0
        else:
            by_handler = event.get("abi") != "i386" and handlers > 0
            left = event.get("abi") == "i386" or by_handler
        handlers -= by_handler
        for one in found:
            one.by_iret = left and (one.kind in ("result", "error") or one.kind in ("string", "text") and not_read_again(one))


def alignment(want, have):
    """What goes with what, as difflib's opcodes. difflib takes seconds for a thread of thousands of calls; most threads
    have them all, behind those that were made before strace's log."""
    before = len(have) - len(want)
    if before >= 0 and have[before:] == want:
        return [("insert", 0, 0, 0, before)] * (before > 0) + [("equal", 0, len(want), before, len(have))]
    return difflib.SequenceMatcher(None, want, have, autojunk=False).get_opcodes()


class Comparison:
    """Totals and differences of one or more traced runs.

    iret_seen  False: recorded by KVM, which traps SYSRET only. A call that returns by IRET has no result on the tape.
    """

    def __init__(self, iret_seen=True):
        self.iret_seen = iret_seen
        self.total = self.matched = 0
        self.values = self.strings = self.texts = self.cut = self.signals = 0
        self.undecoded, self.decoded = collections.Counter(), set()
        self.explained = collections.Counter()
        self.unexplained = []
        self.processes = []
        self.names = set()

    # Each of these returns the differences of one argument, which has one place in strace's line, another on the tape.
    def compare_value(self, tid, truth, event, index, shown):
        self.values += 1
        want = strace_log.number(truth.args[shown])
        have = as_int(event["args"][index][1].get("value"))
        if want is None or same_number(want, have):
            return []
        return [Difference("value", tid, truth, event, f"{truth.args[shown]} is {have} on the tape", index, shown)]

    def compare_string(self, tid, truth, event, index, shown):
        """JSON can't hold bytes that are no UTF-8: both sides have U+FFFD there (the text form is exact)."""
        self.strings += 1
        argument = event["args"][index][1]
        text, have_whole = argument.get("text"), not argument.get("truncated")
        want, want_whole = strace_log.unquote(truth.args[shown])
        wrong = [Difference("string", tid, truth, event, f"{truth.args[shown]} is {text!r} on the tape", index, shown)]
        if text is None:
            return wrong
        want, have = replaced(want.decode("utf-8", "replace")), replaced(text)
        if have == want and have_whole == want_whole:
            return []
        if have_whole and want_whole:
            return wrong
        # A cut may go through a character, of which the longer string has all.
        have = have if have_whole else have.rstrip("\ufffd")
        want = want if want_whole else want.rstrip("\ufffd")
        length = min(len(have), len(want))
        shorter_is_cut = (len(have) >= len(want) or not have_whole) and (len(want) >= len(have) or not want_whole)
        if have[:length] != want[:length] or not shorter_is_cut or length < CUT_MIN_BYTES and not have_whole:
            return wrong
        self.cut += 1
        return []

    def compare_text(self, tid, truth, event, index, shown):
        """Symbols and structures: the tape may leave one undecoded, but what it says must be right."""
        want, argument = truth.args[shown], event["args"][index][1]
        text, value = argument.get("text"), as_int(argument.get("value"))
        name = f"{truth.name}.{event['args'][index][0]}"
        if want.startswith('"'):
            return self.compare_string(tid, truth, event, index, shown)
        if is_number(want):
            self.values += 1
            if same_number(strace_log.number(want), value):
                return []
            return [Difference("value", tid, truth, event, f"{want} is {value} on the tape", index, shown)]
        if text is None or is_number(text):
            self.undecoded[name] += 1
            return []
        self.decoded.add(name)
        self.texts += 1
        if plain(text) == plain(want):
            return []
        return [Difference("text", tid, truth, event, f"{want} is {text} on the tape", index, shown,
                           ways=frozenset(ways_apart(want, text) or ()))]

    def compare_result(self, tid, truth, event):
        ret, error = event.get("ret"), event.get("error")
        if truth.ret is None and truth.error is None:
            # No return at all: exit, or a thread that was killed in the call.
            if ret is None:
                return []
            return [Difference("result", tid, truth, event, f"no return, but {ret} on the tape")]
        if truth.error:
            if truth.error == error:
                return []
            return [Difference("error", tid, truth, event, f"{truth.error} is {error or ret} on the tape")]
        if error is not None or ret is None or not same_number(truth.ret, as_int(ret)):
            return [Difference("result", tid, truth, event, f"{truth.ret} is {error or ret} on the tape")]
        return []

    def compare_signal(self, tid, truth, event):
        """The signal whose handler ran at the call's end."""
        signal = event.get("signal")
        self.signals += signal is not None
        if signal is None or signal in truth.signals:
            return []
        return [Difference("signal", tid, truth, event, f"{signal} on the tape, and {truth.signals or 'none'} came")]

    def compare_call(self, tid, truth, event, compare_argument):
        differences = []
        # One side has no name for the call: by its number, it is the same (compare_thread).
        by_number = truth.name.startswith("syscall_") or event.get("syscall") is None
        if by_number:
            compare_argument = self.compare_value
        elif event.get("syscall") not in (truth.name, "sys_" + truth.name):
            differences.append(Difference("name", tid, truth, event, f"{event.get('syscall')} on the tape"))
        arguments = event.get("args") or []
        is_text = compare_argument == self.compare_text
        if truth.name != "clone" or not is_text:
            for shown, index in enumerate(shown_indexes(truth) if is_text else range(len(truth.args))):
                if index >= len(arguments):
                    # strace shows all six registers of a call that it does not know.
                    if not by_number:
                        differences.append(Difference("value", tid, truth, event, f"argument {index} is not there", index))
                    break
                differences += compare_argument(tid, truth, event, index, shown)
        return differences + self.compare_result(tid, truth, event) + self.compare_signal(tid, truth, event)

    def compare_thread(self, tid, truths, events, compare_argument):
        """strace's calls (StraceThread) and the tape's ([event]) of one thread, in order."""
        differences = []
        want = [call.name for call in truths]
        have = [event.get("syscall") or uapi_names().get(event.get("nr"), "?") for event in events]
        # A call that strace does not know, though the kernel may, and so the tape.
        numbers = [None if event.get("nr") is None else f"syscall_{event['nr']:#x}" for event in events]
        have = [number if number in want else name for name, number in zip(have, numbers)]
        by_call = []
        for what, i1, i2, j1, j2 in alignment(want, have):
            if what == "equal":
                for truth, event in zip(truths[i1:i2], events[j1:j2]):
                    found = self.compare_call(tid, truth, event, compare_argument)
                    by_call.append((truth, found))
                continue
            for truth in truths[i1:i2]:
                differences.append(Difference("missing", tid, truth, None, "not on the tape"))
            for event in events[j1:j2]:
                detail = "before the log" if i1 == 0 else "not in strace's log"
                killed = truths.killed if i1 == len(truths) else i1 and truths[i1 - 1].last
                if killed and event is events[j2 - 1] and event.get("state") == "no-exit":
                    detail = "killed at its entry"
                differences.append(Difference("extra", tid, None, event, detail))
        if not self.iret_seen:
            mark_irets(by_call)
        for _, found in by_call:
            differences += found
            self.matched += not any(not self.explanation(one) for one in found)
        self.total += len(truths)
        self.names.update(want)
        return differences

    @staticmethod
    def explanation(difference):
        for name, _, applies in EXPLAINED:
            if applies(difference):
                return name
        return None

    def add_run(self, label, threads, events, compare_argument):
        """One workload under strace: {tid: StraceThread} and {tid: [event]}."""
        for tid in sorted(threads):
            before = self.matched
            differences = self.compare_thread(tid, threads[tid], events.get(tid, []), compare_argument)
            process = next((event.get("process") for event in reversed(events.get(tid, []))), None)
            self.processes.append((label, tid, process, self.matched - before, len(threads[tid])))
            for difference in differences:
                name = self.explanation(difference)
                if name:
                    self.explained[name] += 1
                else:
                    self.unexplained.append(difference)

    def never_decoded(self):
        """Arguments that strace decodes, and the tape had as numbers each time, and that LEFT does not name."""
        return sorted(self.undecoded.keys() - self.decoded - LEFT)

    def report(self, out=sys.stdout, limit=200):
        for label, tid, process, matched, total in self.processes:
            out.write(f"  {label:5} {tid:6} {process or '?':16} {matched:5} / {total}\n")
        out.write(f"{self.matched} / {self.total} calls match ({len(self.names)} different system calls); "
                  f"{self.values} numbers, {self.strings} strings ({self.cut} of them cut by a limit), "
                  f"{self.texts} other texts, {self.signals} signals compared\n")
        for name, reason, _ in EXPLAINED:
            out.write(f"explained: {self.explained[name]:4} {name}: {reason}\n")
        if self.undecoded:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(self.undecoded.items()))
            out.write(f"left as a number by vmtape where strace decodes: {sum(self.undecoded.values())}: {names}\n")
        for difference in self.unexplained[:limit]:
            where = difference.truth.where if difference.truth else "tape"
            name = difference.truth.name if difference.truth else difference.event.get("syscall")
            out.write(f"DIFFERENCE {difference.kind} {where} {name}: {difference.detail[:400]}\n")
            if difference.truth:
                out.write(f"    strace: {difference.truth.line[:300]}\n")
            if difference.event:
                out.write(f"    tape:   {json.dumps(difference.event)[:600]}\n")
        if len(self.unexplained) > limit:
            out.write(f"... and {len(self.unexplained) - limit} more\n")
        out.write(f"{len(self.unexplained)} unexplained differences\n")


def compare(files, prefix, events, out=sys.stdout, iret_seen=True):
    """files: {path: bytes} with PREFIX/raw/t.TID and PREFIX/text/t.TID; events: lines of JSON. The Comparison."""
    comparison = Comparison(iret_seen)
    raw = strace_log.read_folder(files, f"{prefix}/raw/t")
    text = strace_log.read_folder(files, f"{prefix}/text/t")
    by_tid = read_events(events, raw.keys() | text.keys())
    comparison.add_run("raw", raw, by_tid, comparison.compare_value)
    comparison.add_run("text", text, by_tid, comparison.compare_text)
    comparison.report(out)
    return comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", help="folder with raw/t.TID and text/t.TID")
    parser.add_argument("events", help="output of vmtape events --format json")
    parser.add_argument("--no-iret", dest="iret_seen", action="store_false", help="the tape was recorded by KVM")
    options = parser.parse_args()
    files = {}
    for kind in ("raw", "text"):
        folder = os.path.join(options.truth, kind)
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as data:
                files[f"truth/{kind}/{name}"] = data.read()
    with open(options.events, encoding="utf-8", errors="surrogateescape") as events:
        comparison = compare(files, "truth", events, iret_seen=options.iret_seen)
    return 1 if comparison.unexplained or not comparison.total else 0


if __name__ == "__main__":
    sys.exit(main())
