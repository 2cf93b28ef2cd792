# SPDX-License-Identifier: MIT
"""A test guest in QEMU: boots it, runs shell scripts in it, brings files out of it, and always ends it.

The guest's agent (guest/agent) listens on the second serial port; files come out as a tar on a virtio disk.
Times are seconds; a guest that does not answer in time raises GuestError with the tail of its console.
"""
import base64
import ctypes
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time

FIRMWARE = ("/usr/share/seabios", "/usr/share/qemu")
DISK_BYTES = 64 << 20
RECORDER_ID = "rec0"


class GuestError(Exception):
    """The guest or QEMU did not do what was asked of it."""


class GuestStalled(GuestError):
    """The kernel says that a CPU's timer stands still. Seen once in some 350 boots of two vCPUs under TCG on a busy
    machine, while no recorder was attached; nothing can be tested in such a guest."""


def die_with_parent():
    """For preexec_fn: the child is killed when the test ends, however it ends (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_until(condition, timeout, what, interval=0.02):
    """Polls until condition() is true and returns its value; raises GuestError after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise GuestError(f"{what}: not within {timeout} s")
        time.sleep(interval)


class LineSocket:
    """Reads lines from a UNIX stream socket with a deadline; connects when the server is there, if it lives."""

    def __init__(self, path, process, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.buffer = b""

        def connect():
            try:
                self.socket.connect(path)
                return True
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None:
                    raise GuestError(f"status {process.returncode}") from None
                return False

        wait_until(connect, timeout, f"connecting to {os.path.basename(path)}")

    def send(self, data):
        self.socket.settimeout(30)
        try:
            self.socket.sendall(data)
        except ConnectionError:
            raise GuestError("QEMU closed the connection") from None

    def read_line(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise GuestError(f"no answer within {timeout} s")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not data:
                raise GuestError("QEMU closed the connection")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def close(self):
        self.socket.close()


class GuestPorts:
    """What one can do with a guest over its agent's port and its QMP. A subclass connects self.agent and
    self.qmp_socket in start(), and knows the guest's console(), whether it is alive(), and its disk. In a with
    statement it runs; at the end of it, it is closed."""

    def __init__(self):
        self.agent = None
        self.qmp_socket = None
        self.qmp_lock = threading.Lock()
        self.request = 0
        self.events = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception):
        self.close()

    def qmp(self, command, timeout=30, **arguments):
        """Runs a QMP command and returns its answer; raises GuestError with QEMU's words if it fails."""
        message = {"execute": command}
        if arguments:
            message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        with self.qmp_lock:
            self.qmp_socket.send(json.dumps(message).encode() + b"\n")
            while True:
                answer = json.loads(self.qmp_socket.read_line(timeout))
                if "event" in answer:
                    self.events.append(answer)
                elif "error" in answer:
                    raise GuestError(f"QMP {command}: {answer['error'].get('desc')}")
                else:
                    return answer.get("return")

    def wait_ready(self, timeout=120):
        """Waits for the agent: from then on run() works."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self.agent.read_line(min(5, max(0.1, end - time.monotonic())))
            except GuestError:
                line = b""
            if line.startswith(b"AGENT "):
                return self
            if not line and "detected stalls on CPUs" in self.console():
                raise GuestStalled(f"a vCPU's timer stalled during the boot:\n{self.console()[-2000:]}")
            if not self.alive() or time.monotonic() > end:
                raise GuestError(f"the guest is not up after {timeout} s; its console:\n{self.console()[-2000:]}")

    def begin(self, script):
        """Sends a script without waiting for it; finish() takes its answer."""
        self.request += 1
        text = base64.b64encode(script.encode())
        lines = [*(text[start:start + 1000] for start in range(0, len(text), 1000)), b"."]
        try:
            self.agent.send(b"".join(b"%d %s\n" % (self.request, line) for line in lines))
        except GuestError as error:
            raise GuestError(f"script {self.request}: {error}; the guest's console:\n{self.console()[-2000:]}") from None
        return self.request

    def finish(self, request, timeout=60):
        """(exit status, output) of a script that begin() sent."""
        begin, end = b"BEGIN %d" % request, b"END %d " % request
        output = []
        inside = False
        while True:
            try:
                line = self.agent.read_line(timeout)
            except GuestError as error:
                raise GuestError(f"script {request}: {error}; the guest's console:\n{self.console()[-2000:]}")
            if line == begin:
                inside = True
            elif line.startswith(end):
                return int(line[len(end):]), base64.b64decode(b"".join(output)).decode(errors="replace")
            elif inside:
                output.append(line)

    def run(self, script, timeout=60):
        """Runs a shell script in the guest; (exit status, output, stderr included)."""
        return self.finish(self.begin(script), timeout)

    def must(self, script, timeout=60):
        """Like run(), but a status other than 0 is an error; returns the output."""
        status, output = self.run(script, timeout)
        if status != 0:
            raise GuestError(f"in the guest, status {status}: {script}\n{output}")
        return output

    def pull(self, *paths, timeout=120):
        """Brings files out of the guest: {path: bytes}. Folders bring all files in them."""
        names = " ".join(path.lstrip("/") for path in paths)
        self.must(f"tar -C / -cf - {names} | dd of=/dev/vda bs=1M conv=notrunc,fsync", timeout)
        files = {}
        with self.open_disk() as disk, tarfile.open(fileobj=disk, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    files["/" + member.name] = archive.extractfile(member).read()
        return files


class Guest(GuestPorts):
    """One virtual machine. Use it in a with statement: start() on entry, QEMU is gone on exit.

    qemu        path of the QEMU binary
    image       folder with vmlinuz and initrd (scripts/guest); None: nothing to boot, the firmware looks for a disk
    append      more words for the kernel command line
    recorder    whether the vmtape-recorder object is there from the start; its socket is self.socket_path
    shared      guest RAM in a shareable memfd, which a recorder can map
    paused      do not run the vCPUs before cont()
    more_initrd further initramfs archives, behind the image's own
    accel       QEMU's -accel
    """

    def __init__(self, qemu, image, append="", smp=2, memory_mb=512, recorder=True, shared=True, paused=False,
                 more_initrd=(), arguments=(), cpu="max", accel="tcg,thread=multi"):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="vmtape-vm.")
        self.socket_path = os.path.join(self.folder, "recorder.sock")
        self.console_path = os.path.join(self.folder, "console.log")
        self.disk_path = os.path.join(self.folder, "disk.img")
        self.process = None
        with open(self.disk_path, "wb") as disk:
            disk.truncate(DISK_BYTES)
        kernel = []
        if image:
            # On a busy machine the emulated timer may come too late for the kernel's check of it, which would panic.
            kernel = ["-kernel", os.path.join(image, "vmlinuz"), "-initrd", self.join_initrd(image, more_initrd),
                      "-append", f"console=ttyS0 panic=-1 quiet no_timer_check {append}".strip()]
        memory = "memory-backend-memfd,share=on" if shared else "memory-backend-ram"
        self.command = [
            qemu, *[word for folder in FIRMWARE for word in ("-L", folder)],
            "-nodefaults", "-display", "none", "-no-reboot", "-accel", accel, "-cpu", cpu,
            "-machine", "q35,memory-backend=ram0", "-object", f"{memory},id=ram0,size={memory_mb}M",
            "-m", f"{memory_mb}M", "-smp", str(smp), "-name", "guest",
            *kernel, "-serial", f"file:{self.console_path}",
            "-chardev", f"socket,id=agent,path={self.folder}/agent.sock,server=on,wait=off", "-serial", "chardev:agent",
            "-drive", f"if=none,id=disk,format=raw,file={self.disk_path}", "-device", "virtio-blk-pci,drive=disk",
            "-qmp", f"unix:{self.folder}/qmp.sock,server=on,wait=off",
        ]
        if recorder:
            self.command += ["-object", f"vmtape-recorder,id={RECORDER_ID},socket={self.socket_path}"]
        if paused:
            self.command.append("-S")
        self.command += arguments

    def join_initrd(self, image, more_initrd):
        """The image's initramfs with others behind it, each at a multiple of 4 bytes as the kernel wants it."""
        initrd = os.path.join(image, "initrd")
        if not more_initrd:
            return initrd
        joined = os.path.join(self.folder, "initrd")
        with open(joined, "wb") as out:
            for part in (initrd, *more_initrd):
                with open(part, "rb") as data:
                    shutil.copyfileobj(data, out)
                out.write(b"\0" * (-out.tell() % 4))
        return joined

    def start(self):
        log = os.path.join(self.folder, "qemu.log")
        with open(log, "wb") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=die_with_parent)
        try:
            self.qmp_socket = LineSocket(f"{self.folder}/qmp.sock", self.process)
            self.agent = LineSocket(f"{self.folder}/agent.sock", self.process)
            self.qmp_socket.read_line(20)
            self.qmp("qmp_capabilities")
        except (GuestError, OSError) as error:
            with open(log, "rb") as text:
                raise GuestError(f"QEMU did not start: {error}\n{text.read()[-2000:].decode(errors='replace')}")

    def console(self):
        with open(self.console_path, "rb") as text:
            return text.read().decode(errors="replace")

    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def open_disk(self):
        """The guest's disk, for reading, as far as it is written."""
        return open(self.disk_path, "rb")

    def push(self, files, timeout=120):
        """Brings files into the guest: {path: bytes or (bytes, mode)}."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path, content in files.items():
                body, mode = content if isinstance(content, tuple) else (content, 0o644)
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode = len(body), mode
                archive.addfile(member, io.BytesIO(body))
        with open(self.disk_path, "r+b") as disk:
            disk.write(data.getvalue())
        self.must("echo 3 >/proc/sys/vm/drop_caches; blockdev --flushbufs /dev/vda; tar -C / -xf /dev/vda", timeout)

    def power_off(self, timeout=30):
        """Asks the guest to power off, which ends QEMU."""
        self.begin("poweroff -f")
        self.process.wait(timeout)

    def kill(self):
        """SIGKILL for QEMU."""
        self.process.kill()
        self.process.wait()

    def close(self):
        for connection in (self.agent, self.qmp_socket):
            if connection:
                connection.close()
        if self.alive():
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
