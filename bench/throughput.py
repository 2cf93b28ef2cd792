#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the recorder costs and how fast it is, beside LTTng-UST, in one run: a table with the goals beside the figures.

Each figure is the median of several rounds, with the lowest and the highest; in a round both sides take their turns.
CPU time is the threads' own, from clocks and /proc. Both sides get the same events (bench/event_stream.c), the same
pace and rings of the same size. LTTng needs root, and its packages (scripts/deps --bench); where it is missing, only our
figures are shown. Other work on the machine disturbs rates more than CPU time: --busy-machine lifts the weight of this
run, both sides of it, over that of other sessions.

Parts: append (one event into a ring), cpu (all of the way to the disk), rate (the highest one without loss, with the
recorder on one CPU), size (bytes an event), idle, memory.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(BENCH)
MIB = 1 << 20
PARTS = ("append", "cpu", "rate", "size", "idle", "memory")
PEER_EVENTS = "vmtape_bench:*"


def say(text):
    print(text, flush=True)


def fail(text):
    sys.exit(f"throughput.py: {text}")


class Figures:
    """Rows of the table: name, goal, ours and the peer's samples."""

    def __init__(self):
        self.rows = []

    def add(self, name, unit, ours, peer=None, goal="", met=None):
        self.rows.append((name, unit, ours, peer, goal, met))

    @staticmethod
    def text(samples, unit):
        if not samples:
            return "-"
        digits = 0 if unit == "events/s" else 2 if min(samples) < 10 else 1
        middle, low, high = statistics.median(samples), min(samples), max(samples)
        spread = f" ({low:,.{digits}f} - {high:,.{digits}f})" if low != high else ""
        return f"{middle:,.{digits}f}{spread}"

    def print(self):
        say("\n| what | unit | vmtape, median (lowest - highest) | LTTng-UST | ratio | goal | met |")
        say("|---|---|---|---|---|---|---|")
        for name, unit, ours, peer, goal, met in self.rows:
            ratio = ""
            if peer and ours and statistics.median(ours):
                a, b = statistics.median(peer), statistics.median(ours)
                ratio = f"{b / a if unit == 'events/s' else a / b:.2f}"
            verdict = "" if met is None else "yes" if met else "no"
            cells = (name, unit, self.text(ours, unit), self.text(peer, unit), ratio, goal, verdict)
            say(f"| {' | '.join(cells)} |")


def run(command, **options):
    """Output of a program; what fails ends the run."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if result.returncode:
        fail(f"{' '.join(command)}: status {result.returncode}: {result.stdout[-400:]}{result.stderr[-400:]}")
    return result.stdout


def values(output):
    """{name: number} of "name number" lines; {name: [numbers]} of those that come more than once."""
    found = {}
    for name, number in re.findall(r"^(\w+) ([\d.]+)$", output, re.M):
        if name in found:
            found[name] = (found[name] if isinstance(found[name], list) else [found[name]]) + [float(number)]
        else:
            found[name] = float(number)
    return found


class Ours:
    """The programs of this folder."""

    def __init__(self, build, folder, cpus):
        self.load = os.path.join(build, "bench", "bench_recorder_load")
        self.ring = os.path.join(build, "bench", "bench_ring_append")
        self.tape = os.path.join(folder, "bench.vmt")
        self.producer_cpu, self.recorder_cpu = cpus
        for program in (self.load, self.ring):
            if not os.access(program, os.X_OK):
                fail(f"{program} is not there: build it first (cmake --build), or name the folder with --build")
        self.commands = set()

    def append(self):
        return values(run(["taskset", "-c", str(self.producer_cpu), self.ring, "call"]))["append_ns"]

    def record(self, *options):
        command = [self.load, *options, self.tape]
        shown = " ".join([os.path.relpath(self.load, TOP), *options, "FILE.vmt"])
        self.commands.add(re.sub(r"--rate [1-9]\d{6,}(?= .*--cpus)", "--rate RATE", shown))
        output = run(command)
        result = values(output)
        result["text"] = output
        return result


class Peer:
    """LTTng-UST with a session daemon of its own."""

    def __init__(self, folder, cpus):
        self.folder = folder
        self.program = os.path.join(folder, "lttng_peer")
        self.producer_cpu, self.recorder_cpu = cpus
        self.environment = dict(os.environ, LTTNG_HOME=folder, LTTNG_UST_REGISTER_TIMEOUT="-1")
        self.daemon = None
        self.commands = set()

    def start(self):
        """None, or why there is no peer."""
        for program in ("lttng", "lttng-sessiond"):
            if not shutil.which(program):
                return f"{program} is not installed"
        if os.geteuid():
            return "LTTng's session daemon is started as root only"
        if subprocess.run(["pgrep", "-x", "lttng-sessiond"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
            return "another lttng-sessiond runs"
        compiled = subprocess.run(
            ["gcc", "-O2", "-std=gnu11", "-D_GNU_SOURCE", f"-I{BENCH}", f"{BENCH}/lttng_peer.c",
             f"{BENCH}/event_stream.c", "-o", self.program, "-llttng-ust", "-ldl"],
            stderr=subprocess.PIPE, text=True, check=False)
        if compiled.returncode:
            return "lttng_peer.c does not compile (liblttng-ust-dev?): " + compiled.stderr.strip()[:200]
        self.daemon = subprocess.Popen(["lttng-sessiond", "--no-kernel"], env=self.environment,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if self.lttng("list", check=False) is not None:
                return None
            time.sleep(0.1)
        self.stop()
        return "lttng-sessiond does not answer"

    def stop(self):
        if self.daemon:
            self.lttng("destroy", "-a", check=False)
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(20)
            self.daemon = None

    def lttng(self, *words, check=True):
        result = subprocess.run(["lttng", *words], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            if check:
                fail(f"lttng {' '.join(words)}: {result.stdout}{result.stderr}")
            return None
        return result.stdout

    def consumer_pids(self):
        found = subprocess.run(["pgrep", "-x", "lttng-consumerd"], stdout=subprocess.PIPE, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def consumer_ns(self):
        """CPU time of the consumer's threads so far."""
        total = 0
        for pid in self.consumer_pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        return total

    def pin_consumer(self):
        for pid in self.consumer_pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), {self.recorder_cpu})

    def session(self, snapshot, buffers, pinned=False):
        """Makes and starts a session with buffers (number, bytes each)."""
        out = os.path.join(self.folder, "ctf")
        shutil.rmtree(out, ignore_errors=True)
        self.lttng("create", "bench", "--snapshot" if snapshot else f"--output={out}")
        self.lttng("enable-channel", "-u", "c", f"--num-subbuf={buffers[0]}", f"--subbuf-size={buffers[1]}",
                   "--overwrite" if snapshot else "--discard")
        self.lttng("enable-event", "-u", "-c", "c", PEER_EVENTS)
        self.lttng("start")
        self.commands.add(f"lttng enable-channel -u c --num-subbuf={buffers[0]} --subbuf-size={buffers[1]} "
                          f"--{'overwrite (snapshot session)' if snapshot else 'discard'}; "
                          f"lttng enable-event -u -c c '{PEER_EVENTS}'")
        if pinned:
            self.pin_consumer()
        return out

    def append(self, repetitions, buffers):
        self.session(True, buffers)
        result = values(run([self.program, "append", str(self.producer_cpu), str(repetitions)], env=self.environment))
        self.lttng("destroy", "-a")
        return result["append_ns"]

    def stream(self, rate, seconds, buffers, pinned=False, events=1 << 62, no_paths=False):
        """Events to disk; the trace is left in result["folder"]."""
        out = self.session(False, buffers, pinned)
        before = self.consumer_ns()
        cpu = self.producer_cpu if pinned else -1
        self.commands.add(f"lttng_peer stream {cpu} RATE {seconds:g} {events}")
        command = [self.program, "stream", str(cpu), f"{rate:.0f}", f"{seconds:g}", str(events)]
        result = values(run(command + (["no-paths"] if no_paths else []), env=self.environment))
        self.lttng("stop")
        discarded = re.search(r"Discarded events: +(\d+)", self.lttng("list", "bench"))
        result["lost"] = float(discarded[1]) if discarded else 0
        result["stored"] = result["events"] - result["lost"]
        result["consumer_ns"] = (self.consumer_ns() - before) / max(1, result["stored"])
        self.lttng("destroy", "-a")
        result["folder"] = out
        result["bytes"] = sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(out)
                              for name in names if name != "metadata" and not name.endswith(".idx"))
        return result


def zstd_bytes(folder, level):
    """(bytes, CPU ns) of the streams of a trace, compressed."""
    total = spent = 0
    for path, _, names in os.walk(folder):
        for name in names:
            if name == "metadata" or name.endswith(".idx"):
                continue
            before = os.times()
            packed = subprocess.run(["sh", "-c", f'zstd -q -{level} -c "$0" | wc -c', os.path.join(path, name)],
                                    stdout=subprocess.PIPE, text=True, check=True)
            after = os.times()
            spent += (after.children_user + after.children_system) - (before.children_user + before.children_system)
            total += int(packed.stdout)
    return total, spent * 1e9


class Bench:
    def __init__(self, options, ours, peer):
        self.options, self.ours, self.peer = options, ours, peer
        self.figures = Figures()

    def rounds(self):
        for n in range(self.options.rounds):
            say(f"  round {n + 1} of {self.options.rounds}")
            yield n

    def append(self):
        ours, peer = [], []
        for _ in self.rounds():
            ours.append(statistics.median(self.ours.append()))
            if self.peer:
                peer.append(statistics.median(self.peer.append(21, (8, 2 * MIB))))
        met = statistics.median(peer) / statistics.median(ours) >= 6 if peer else None
        self.figures.add("1. an event with 6 arguments and 32 bytes into a ring of 16 MiB", "ns CPU", ours, peer,
                         "6x less", met)

    def cpu(self):
        ours, peer, parts = [], [], {"producer": [], "recorder": [], "peer's producer": [], "peer's consumer": []}
        packed = []
        rate, seconds = self.options.cpu_rate, self.options.seconds
        lost = 0
        for _ in self.rounds():
            result = self.ours.record("--rate", f"{rate:.0f}", "--seconds", f"{seconds:g}", "--level", "1")
            lost += result["lost"]
            parts["producer"].append(result["producer_ns"])
            parts["recorder"].append(result["recorder_ns"])
            ours.append(result["producer_ns"] + result["recorder_ns"])
            if self.peer:
                result = self.peer.stream(rate, seconds, (8, MIB))
                lost += result["lost"]
                parts["peer's producer"].append(result["producer_ns"])
                parts["peer's consumer"].append(result["consumer_ns"])
                peer.append(result["producer_ns"] + result["consumer_ns"])
                packed.append(peer[-1] + zstd_bytes(result["folder"], 1)[1] / max(1, result["stored"]))
        met = statistics.median(peer) / statistics.median(ours) >= 2 if peer else None
        self.figures.add(f"2. producer to disk at {rate / 1e6:g} M events/s", "ns CPU an event", ours, peer, "2x less",
                         met)
        if packed:
            met = statistics.median(packed) / statistics.median(ours) >= 2
            self.figures.add("   the same, LTTng's trace compressed by zstd -1", "ns CPU an event", ours, packed,
                             "2x less", met)
        self.figures.add("   of it the producer", "ns CPU an event", parts["producer"], parts["peer's producer"])
        self.figures.add("   of it the recorder (LTTng: the consumer)", "ns CPU an event", parts["recorder"],
                         parts["peer's consumer"])
        if lost:
            say(f"  {lost:,.0f} events were lost in this part, by both sides together")

    def loses(self, rate, ring_kib, seconds):
        cpus = ("--cpus", str(self.ours.recorder_cpu), "--producer-cpus", str(self.ours.producer_cpu))
        result = self.ours.record("--rate", f"{rate:.0f}", "--seconds", f"{seconds:g}", "--ring-kib", str(ring_kib),
                                  *cpus)
        return result["lost"] > 0, result["rate"]

    def peer_loses(self, rate, buffers, seconds):
        result = self.peer.stream(rate, seconds, buffers, pinned=True)
        return result["lost"] > 0, result["rate"]

    def best_rate(self, attempt, start):
        """The highest rate, as it was achieved, that lost nothing: a coarse climb, then halving of the last step."""
        low, best, rate, high = 0.0, 0.0, start, 0.0
        while 1e5 <= rate < 40e6 and not (low and high):
            lost, achieved = attempt(rate)
            say(f"    {rate / 1e6:.2f} M/s: {'lost' if lost else 'none lost'}, {achieved / 1e6:.2f} M/s made")
            if lost:
                high, rate = rate, rate / 1.5
                continue
            low, best = rate, max(best, achieved)
            # A producer that can't go faster is no limit of the recorder, and ends the search.
            if achieved < rate * 0.97:
                return best
            rate *= 1.5
        while high / max(low, 1e5) > 1.06:
            rate = (low + high) / 2
            lost, achieved = attempt(rate)
            say(f"    {rate / 1e6:.2f} M/s: {'lost' if lost else 'none lost'}, {achieved / 1e6:.2f} M/s made")
            if lost:
                high = rate
            else:
                low, best = rate, max(best, achieved)
        return best

    def rate(self):
        seconds = self.options.rate_seconds
        ours, peer = [], []
        for _ in self.rounds():
            # Later rounds begin near what the first one found: a few attempts are enough.
            start, peer_start = (ours[0] * 0.8 if ours else 2e6), (peer[0] * 0.8 if peer else 1e6)
            ours.append(self.best_rate(lambda rate: self.loses(rate, 8192, seconds), start))
            if self.peer:
                peer.append(self.best_rate(lambda rate: self.peer_loses(rate, (8, 4 * MIB), seconds), peer_start))
        met = statistics.median(ours) >= 8e6 and (not peer or statistics.median(ours) >= 3 * statistics.median(peer))
        self.figures.add(f"3. rate without loss, recorder on one CPU, ring of 8 MiB (LTTng 8 of 4 MiB), {seconds:g} s",
                         "events/s", ours, peer, "8 M, 3x", met)
        # Reading back compares each event, its number and the gaps with what was made; it fails if one is wrong.
        result = self.ours.record("--rate", "0", "--seconds", f"{min(seconds, 10):g}", "--ring-kib", "1024", "--cpus",
                                  str(self.ours.recorder_cpu), "--producer-cpus", str(self.ours.producer_cpu),
                                  "--read-back")
        unknown = result["events"] + result["lost"] - result["read_back_events"] - result["read_back_lost"]
        self.figures.add(f"   ring of 1 MiB at full speed: {result['lost']:,.0f} lost, {result['events']:,.0f} stored, "
                         f"{result['read_back_gaps']:,.0f} gaps tell where", "events not accounted for", [unknown], None,
                         "0", not unknown and not result["read_back_wrong"])

    def size(self):
        count = 4000000
        rows = {}
        for no_paths in (False, True):
            options = ("--no-paths",) if no_paths else ()
            result = self.ours.record("--rate", "500000", "--events", str(count), "--wait", "--level", "1", *options)
            rows["ours", no_paths] = result["bytes_per_event"]
            rows["path"] = result["path_bytes_per_event"]
            auto = self.ours.record("--rate", "200000", "--events", str(count // 4), "--wait", *options)
            rows["auto", no_paths] = auto["bytes_per_event"]
            if self.peer:
                result = self.peer.stream(500000, 3600, (8, 4 * MIB), events=count, no_paths=no_paths)
                packed, spent = zstd_bytes(result["folder"], 1)
                rows["peer", no_paths] = packed / result["stored"]
                rows["peer raw", no_paths] = result["bytes"] / result["stored"]
                rows["peer cost", no_paths] = spent / result["stored"]
        with_paths = f"   with paths, {rows['path']:.1f} bytes an event raw"
        for no_paths, name in ((True, "4. without paths"), (False, with_paths)):
            peer = [rows["peer", no_paths]] if self.peer else None
            met = rows["peer", no_paths] / rows["ours", no_paths] >= 2.5 if self.peer else None
            self.figures.add(f"{name}, level 1 (CTF zstd -1)", "bytes an event", [rows["ours", no_paths]], peer,
                             "2.5x less", met)
        for no_paths, name in ((True, "without"), (False, "with")):
            self.figures.add(f"   {name} paths, level auto on a quiet machine (CTF raw)", "bytes an event",
                             [rows["auto", no_paths]], [rows["peer raw", no_paths]] if self.peer else None)
        if self.peer:
            say(f"  zstd -1 of the CTF took {rows['peer cost', False]:.0f} ns CPU an event")

    def idle(self):
        result = self.ours.record("--idle", "--seconds", "30")
        switches = re.findall(r"^thread_(\S+) [\d.]+ ms CPU, ([\d.]+) voluntary", result["text"], re.M)
        say("  " + ", ".join(f"{name} {number}/s" for name, number in switches))
        threads = [float(number) for name, number in switches if name.startswith("vmtape")]
        self.figures.add("idle VM: CPU of the recorder, start and end of it included", "ms a minute",
                         [result["recorder_cpu_ms_per_minute"]])
        self.figures.add("idle VM: wake-ups, average of the threads", "a second", [sum(threads) / len(threads)], None,
                         "below 1", sum(threads) / len(threads) < 1)

    def memory(self):
        events = self.options.events
        result = self.ours.record("--events", f"{events:.0f}", "--wait", "--sample", f"{self.options.sample:g}",
                                  "--discard", "--rest", "13")
        curve = re.findall(r"^memory ([\d.]+) s, (\d+) events, (\d+) KiB$", result["text"], re.M)
        for seconds, count, kib in curve:
            say(f"  {float(seconds):7.1f} s {int(count):14,} events {int(kib):8,} KiB")
        most = result["memory_most_kib"] / 1024
        self.figures.add(f"6. most memory in {events:.0e} events, without the ring", "MiB", [most], None, "64",
                         most <= 64)
        self.figures.add("   13 s after the last event", "MiB", [result["memory_after_rest_kib"] / 1024])


def lift_weight():
    """The scheduler shares CPUs between sessions first: nice values of their processes count only inside."""
    try:
        # A shell's job leads its process group and can't leave the session, which is lifted then as a whole.
        if os.getpid() != os.getpgid(0):
            os.setsid()
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write("-20")
    except OSError as error:
        fail(f"--busy-machine: {error}")


def main():
    allowed = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--build", default=os.path.join(TOP, "build"), help="folder with the built programs")
    parser.add_argument("--folder", help="where tapes and traces are written (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each run of part cpu")
    parser.add_argument("--cpu-rate", type=float, default=1e6, help="events a second of part cpu")
    parser.add_argument("--rate-seconds", type=float, default=6, help="of each attempt of part rate")
    parser.add_argument("--events", type=float, default=1e8, help="of part memory; 1e9 is a day's recording")
    parser.add_argument("--sample", type=float, default=5, help="seconds between samples of memory")
    parser.add_argument("--cpus", default=f"{allowed[0]},{allowed[-1]}", help="producer's CPU, recorder's CPU")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--busy-machine", action="store_true", help="as root: more weight than other sessions")
    options = parser.parse_args()
    cpus = tuple(int(cpu) for cpu in options.cpus.split(","))
    if len(cpus) != 2 or not set(cpus) <= set(allowed):
        fail(f"--cpus {options.cpus}: want two of {allowed}")
    if options.busy_machine:
        lift_weight()
    folder = tempfile.mkdtemp(prefix="vmtape-bench-", dir=options.folder)
    ours, peer = Ours(options.build, folder, cpus), None
    try:
        if not options.no_peer:
            peer = Peer(folder, cpus)
            why = peer.start()
            if why:
                say(f"no peer: {why}")
                peer = None
        bench = Bench(options, ours, peer)
        for part in options.parts or PARTS:
            say(f"{part}:")
            getattr(bench, part)()
        bench.figures.print()
        say("\nCommands of our side:")
        for command in sorted(ours.commands):
            say(f"  {command}")
        if peer:
            say("Commands of LTTng's side, in a session of its own (lttng create ...):")
            for command in sorted(peer.commands):
                say(f"  {command}")
    finally:
        if peer:
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
