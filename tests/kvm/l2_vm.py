# SPDX-License-Identifier: MIT
"""L2: a guest of the KVM in L1, by the patched QEMU that runs there. The host talks to its agent as to any Guest's.

L2's second serial port and its QMP are consoles of L1 (hvc0, hvc1), whose other ends are sockets of the host, so that
scripts go to L2 straight from here. Its disk, its console and its recorder's socket are files of L1, below /tmp/l2.
"""
import io
import json
import os
import re
import shlex

from l1_vm import L1

# From tests/vm, which l1_vm has put on the path.
from guest_vm import RECORDER_ID, GuestError, GuestPorts, LineSocket, wait_until
from vm_env import say

FOLDER = "/tmp/l2"
PORTS = ("agent", "qmp")
ATTEMPTS = 3


def run_emulated(failures, test):
    """Runs test(), again if L1 or L2 stops answering. With several busy vCPUs that happens in QEMU's emulation of SVM now and
    then (docs/decisions.md, 24), before a recorder is there, too, and says nothing of the modules; so each time is told, and
    the third one counts. A check that failed is never tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return test()
        except GuestError as error:
            if failures.count or attempt == ATTEMPTS:
                raise
            say(f"attempt {attempt} of {ATTEMPTS}: the emulated machine does not answer any more, another one is tried: {error}")


class L1ForL2(L1):
    """L1 with the two consoles that lead to L2."""

    def __init__(self, archive, **options):
        super().__init__(archive, **options)
        self.command += ["-device", "virtio-serial-pci"]
        for number, name in enumerate(PORTS):
            self.command += ["-chardev", f"socket,id=l2{name},path={self.port(name)},server=on,wait=off",
                             "-device", f"virtconsole,chardev=l2{name},id=con{number}"]

    def port(self, name):
        return os.path.join(self.folder, f"l2-{name}.sock")

    def start(self):
        super().start()
        self.must("for n in 0 1; do stty -F /dev/hvc$n raw -echo; done")


class L2(GuestPorts):
    """A guest in l1. In a with statement it runs; at the end of it, it is gone.

    smp, append, paused, recorder, memory_mb: as for Guest
    """

    def __init__(self, l1, append="", smp=1, memory_mb=384, recorder=True, paused=False):
        super().__init__()
        self.l1 = l1
        self.socket_path = f"{FOLDER}/recorder.sock"
        self.qemu_pid = 0
        self.command = " ".join([
            "qemu-system-x86_64 -L /usr/share/qemu -nodefaults -display none -no-reboot -accel kvm -cpu host",
            f"-machine q35,memory-backend=ram0 -object memory-backend-memfd,share=on,id=ram0,size={memory_mb}M",
            f"-m {memory_mb}M -smp {smp} -kernel /l2/vmlinuz -initrd /l2/initrd",
            f"-append 'console=ttyS0 panic=-1 quiet no_timer_check {append}'",
            f"-serial file:{FOLDER}/console -chardev serial,id=agent,path=/dev/hvc0 -serial chardev:agent",
            f"-drive if=none,id=disk,format=raw,file={FOLDER}/disk -device virtio-blk-pci,drive=disk",
            "-chardev serial,id=mon,path=/dev/hvc1 -mon chardev=mon,mode=control",
            f"-object vmtape-recorder,id={RECORDER_ID},socket={self.socket_path}" if recorder else "",
            "-S" if paused else ""])

    def start(self):
        self.agent = LineSocket(self.l1.port("agent"), self.l1.process)
        self.qmp_socket = LineSocket(self.l1.port("qmp"), self.l1.process)
        self.l1.must(f"rm -rf {FOLDER}; mkdir -p {FOLDER}; truncate -s 32M {FOLDER}/disk")
        self.l1.must(f"cd {FOLDER}; setsid {self.command} </dev/null >qemu.log 2>&1 & echo $! >{FOLDER}/pid")
        self.qemu_pid = int(self.l1.must(f"cat {FOLDER}/pid"))
        try:
            self.skip_to_greeting()
            self.qmp("qmp_capabilities")
        except GuestError as error:
            raise GuestError(f"L2's QEMU did not start: {error}\n{self.l1.run(f'cat {FOLDER}/qemu.log')[1][-2000:]}")

    def skip_to_greeting(self):
        """The console may still hold words of an L2 before this one."""
        while True:
            line = self.qmp_socket.read_line(60)
            try:
                if "QMP" in json.loads(line):
                    return
            except ValueError:
                continue

    def console(self):
        return self.l1.run(f"tail -c 4000 {FOLDER}/console; tail -n 5 {FOLDER}/qemu.log")[1]

    def pid(self):
        """Of QEMU, in L1."""
        return self.qemu_pid

    def alive(self):
        return self.l1.run(f"kill -0 {self.qemu_pid} 2>/dev/null")[0] == 0

    def open_disk(self):
        """L2's disk, brought out of L1."""
        return io.BytesIO(self.l1.pull(f"{FOLDER}/disk")[f"{FOLDER}/disk"])

    def kill(self):
        """SIGKILL for QEMU, and its end."""
        self.l1.run(f"kill -9 {self.qemu_pid}; while kill -0 {self.qemu_pid} 2>/dev/null; do usleep 20000; done")

    def close(self):
        if self.qemu_pid and self.l1.alive():
            self.kill()
        for connection in (self.agent, self.qmp_socket):
            if connection:
                connection.close()


class L1Recorder:
    """vmtape-record in L1, on the socket of L2's QEMU; like vm_env.Recorder. The tape is brought out by bring_tape()."""

    def __init__(self, l2, *options, tape="tape.vmt"):
        self.l1 = l2.l1
        self.tape = f"{FOLDER}/{tape}"
        self.log_path = f"{self.tape}.log"
        self.command = " ".join(["vmtape-record --connect", l2.socket_path, "-o", self.tape, *map(shlex.quote, options)])
        self.pid = 0
        self.ended = None

    def __enter__(self):
        # Its status is left in a file by the shell that waits for it.
        self.l1.must(f"(setsid {self.command} </dev/null >{self.log_path} 2>&1 & echo $! >{self.tape}.pid; wait $!; "
                     f"echo $? >{self.tape}.status) </dev/null >/dev/null 2>&1 &\n"
                     f"until [ -s {self.tape}.pid ]; do usleep 10000; done")
        self.pid = int(self.l1.must(f"cat {self.tape}.pid"))
        return self

    def __exit__(self, *exception):
        if self.ended is None and self.l1.alive():
            self.kill()

    def status(self):
        """The exit status, a signal's as the shell gives it; None while it runs."""
        text = self.l1.run(f"cat {self.tape}.status 2>/dev/null")[1].strip()
        return int(text) if text else None

    def log(self):
        return self.l1.run(f"cat {self.log_path}")[1]

    def wait_for(self, pattern, timeout=120):
        """Waits for a line of the recorder's output."""
        def found():
            if re.search(pattern, self.log()):
                return True
            status = self.status()
            if status is not None:
                raise GuestError(f"vmtape-record ended with {status}:\n{self.log()}")
            return False
        try:
            wait_until(found, timeout, f"'{pattern}' in the recorder's output", interval=0.3)
        except GuestError as error:
            raise GuestError(f"{error}, which is:\n{self.log()}") from None
        return self

    def wait(self, timeout=120):
        """Its exit status, once it has ended."""
        wait_until(lambda: self.status() is not None, timeout, "the end of the recorder", interval=0.2)
        self.ended = self.status()
        return self.ended

    def stop(self, timeout=120, name="INT"):
        """Stops it in good order; its exit status."""
        self.l1.run(f"kill -{name} {self.pid}")
        return self.wait(timeout)

    def kill(self):
        self.l1.run(f"kill -9 {self.pid} 2>/dev/null")
        self.wait(30)

    def bring_tape(self, path):
        """Copies the tape out of L1."""
        with open(path, "wb") as out:
            out.write(self.l1.pull(self.tape)[self.tape])
