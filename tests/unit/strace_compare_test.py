# SPDX-License-Identifier: MIT
"""The comparison with strace itself: logs as strace leaves them of threads that are killed or that execute a program,
and what must not pass as one of these."""
import collections
import io
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vm"))

import compare

NUMBERS = {"read": 0, "close": 3, "pause": 34, "execve": 59, "clone": 56}
READ, CLOSE, KILLED = "read(0x3, 0x7f00, 0x10) = 0x10", "close(0x3) = 0", "+++ killed by SIGKILL +++"


def event(name, args=(), ret=0, state="complete", tid=7):
    """A call as `vmtape events --format json` prints it, as far as the comparison looks at it."""
    names = ("fd", "buf", "count")
    return {"syscall": name, "nr": NUMBERS.get(name), "tid": tid, "process": "program", "state": state, "ret": ret,
            "args": {names[i]: {"value": value} for i, value in enumerate(args)}}


def read_event(**changes):
    return event("read", (3, 0x7f00, 16), **{"ret": 16, **changes})


def close_event(**changes):
    return event("close", (3,), **changes)


def at_entry(name, *args):
    return event(name, args, ret=None, state="no-exit")


class Compare(unittest.TestCase):
    def compare(self, log, events):
        """log: lines of thread 7 under strace -e raw=all. (unexplained differences' details, explained by name)."""
        files = {"truth/raw/t.7": "".join(line + "\n" for line in log).encode()}
        comparison = compare.compare(files, "truth", [json.dumps(one) for one in events], io.StringIO())
        explained = collections.Counter({name: count for name, count in comparison.explained.items() if count})
        return [one.detail for one in comparison.unexplained], explained

    def check(self, log, events, unexplained, explained):
        self.assertEqual(self.compare(log, events), (unexplained, collections.Counter(explained)))

    def test_the_same(self):
        self.check([READ, CLOSE, "+++ exited with 0 +++"], [read_event(), close_event()], [], [])

    def test_what_differs_is_found(self):
        self.check([READ, CLOSE], [read_event(), event("close", (4,))], ["0x3 is 4 on the tape"], [])
        self.check([READ, CLOSE], [read_event(ret=15), close_event()], ["16 is 15 on the tape"], [])
        self.check([READ, CLOSE], [read_event()], ["not on the tape"], [])
        self.check([READ], [read_event(), close_event()], ["not in strace's log"], [])
        self.check([READ, READ], [read_event(), close_event(), read_event()], ["not in strace's log"], [])

    def test_killed_in_a_call_that_strace_did_not_see(self):
        for sign in ("close(0x4) = ? <unavailable>", "???()", "???( <unfinished ...>", "read( <detached ...>", KILLED):
            with self.subTest(sign):
                self.check([READ, sign], [read_event(), at_entry("pause")], [], ["killed-at-entry"])

    def test_killed_in_its_first_call(self):
        born = event("clone", ret=0, state="exit-only")
        for sign in ("???()", "close(0x4) = ? <unavailable>", KILLED):
            with self.subTest(sign):
                self.check([sign], [at_entry("pause")], [], ["killed-at-entry"])
                self.check([sign], [born, at_entry("pause")], [], ["killed-at-entry", "before-strace"])

    def test_killed_is_one_call_and_the_last(self):
        self.check([READ, KILLED], [read_event(), at_entry("pause"), at_entry("pause")], ["not in strace's log"],
                   ["killed-at-entry"])
        self.check([READ, KILLED], [read_event(), close_event()], ["not in strace's log"], [])
        self.check([READ, "???()", CLOSE], [read_event(), close_event(), at_entry("pause")], ["not in strace's log"], [])

    def test_killed_at_the_exit_of_its_last_call(self):
        self.check([CLOSE, READ, KILLED], [close_event(), at_entry("read", 3, 0x7f00, 16)], [], ["killed-at-exit"])
        self.check([READ, CLOSE], [at_entry("read", 3, 0x7f00, 16), close_event()], ["16 is None on the tape"], [])

    def test_exec_by_another_thread(self):
        """The first thread is killed, and the one that executed goes on under its id."""
        log = [READ, "???()", "<... execve resumed>) = 0", CLOSE]
        self.check(log, [read_event(), at_entry("pause"), close_event()], [], ["killed-at-entry"])
        self.check(log, [read_event(), event("pause"), close_event()], ["not in strace's log"], [])


if __name__ == "__main__":
    unittest.main()
