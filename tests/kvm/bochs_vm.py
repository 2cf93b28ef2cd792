# SPDX-License-Identifier: MIT
"""L1 on an Intel machine with VMX, emulated by Debian's bochs at some 25 million instructions a second.

There is no way in once it runs: one script, given before, runs as soon as the modules are loaded; its output comes out
by the serial port. The same kernel, initramfs and modules as in l1_vm.py boot from an ISO image.
"""
import os
import re
import shutil
import subprocess
import tempfile
import time

import l1_log
from initramfs import Initramfs
from l1_parts import add_modules, l1_image, modules

# From tests/vm, which l1_parts has put on the path.
from guest_vm import GuestError, die_with_parent
from vm_env import skip

NEEDED = {"bochs": "/usr/bin/bochs-bin", "bochs's BIOS": "/usr/share/bochs/BIOS-bochs-latest",
          "a VGA BIOS": "/usr/share/bochs/VGABIOS-lgpl-latest", "genisoimage": "/usr/bin/genisoimage",
          "isolinux": "/usr/lib/ISOLINUX/isolinux.bin", "syslinux": "/usr/lib/syslinux/modules/bios/ldlinux.c32"}
CONFIGURATION = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest={memory_mb}, host={memory_mb}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={folder}/l1.iso, status=inserted
com1: enabled=1, mode=file, dev={folder}/serial
com2: enabled=1, mode=null
log: {folder}/bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""
LOADER = "default l1\nprompt 0\nlabel l1\n kernel vmlinuz\n append {append} initrd=initrd,parts\n"
APPEND = ("console=ttyS0 panic=-1 quiet no_timer_check nokaslr mitigations=off vmtape.run=/vmx/run "
          "rcupdate.rcu_cpu_stall_timeout=300 rcupdate.rcu_exp_cpu_stall_timeout=300000 "
          "sysctl.kernel.watchdog_thresh=60 sysctl.kernel.hung_task_timeout_secs=0 log_buf_len=4M")
# What is told is framed. The kernel has complaints of its own about this machine, all before the modules are loaded.
RUN = """#!/bin/sh
{{
echo "VMX-TAINT $(cat /proc/sys/kernel/tainted)"
echo VMX-KVM >/dev/kmsg
insmod /kvm/irqbypass.ko
insmod /kvm/kvm.ko && insmod /kvm/kvm-intel.ko {options} && ls -l /dev/kvm
echo "VMX-BEGIN $?"
sh /vmx/script
echo "VMX-END $?"
rmmod kvm-intel && rmmod kvm
echo "VMX-UNLOADED $?"
echo "VMX-TAINT $(cat /proc/sys/kernel/tainted)"
echo VMX-DMESG
dmesg | sed '1,/VMX-KVM/d'
echo VMX-DONE
}} </dev/null >/dev/ttyS0 2>&1
"""


class VmxResult:
    """What came out: status and output of the script, whether the modules could be unloaded, the kernel's troubles."""

    def __init__(self, text):
        text = text.replace("\r", "")
        found = re.search(r"VMX-TAINT (\d+)\n.*?VMX-BEGIN (\d+)\n(.*?)VMX-END (\d+)\n.*?VMX-UNLOADED (\d+)\n.*?"
                          r"VMX-TAINT (\d+)\n.*?VMX-DMESG\n(.*?)VMX-DONE", text, re.S)
        if not found:
            raise GuestError(f"L1 under bochs did not come to its end:\n{text[-4000:]}")
        taint_before, self.load_status, self.output = int(found[1]), int(found[2]), found[3]
        self.status, self.unload_status, taint, self.dmesg = int(found[4]), int(found[5]), int(found[6]), found[7]
        self.troubles = l1_log.troubles(self.dmesg) + [f"kernel is tainted: {why}"
                                                       for why in l1_log.taints(taint & ~taint_before)]


def need_bochs():
    for what, path in NEEDED.items():
        if not os.path.exists(path):
            skip(f"{what} is missing ({path}): scripts/deps --test installs it")


def make_iso(folder, archive, append):
    tree = os.path.join(folder, "iso")
    os.makedirs(os.path.join(tree, "isolinux"))
    image = l1_image()
    for name, path in {"vmlinuz": os.path.join(image, "vmlinuz"), "initrd": os.path.join(image, "initrd"),
                       "isolinux.bin": NEEDED["isolinux"], "ldlinux.c32": NEEDED["syslinux"]}.items():
        shutil.copyfile(path, os.path.join(tree, "isolinux", name))
    archive.save(os.path.join(tree, "isolinux", "parts"))
    with open(os.path.join(tree, "isolinux", "isolinux.cfg"), "w", encoding="ascii") as out:
        out.write(LOADER.format(append=append))
    subprocess.run(["genisoimage", "-quiet", "-o", os.path.join(folder, "l1.iso"), "-b", "isolinux/isolinux.bin", "-c",
                    "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", tree], check=True)
    shutil.rmtree(tree)


def run_in_bochs(script, archive=None, kind="patched", options="", memory_mb=512, timeout=600, progress=None):
    """Boots L1, loads the modules (kvm-intel with these options), runs the script, ends; the VmxResult.

    progress is called with what came out of the serial port so far, about once a second. GuestError after timeout seconds.
    """
    need_bochs()
    archive = archive or Initramfs()
    add_modules(archive, modules(kind))
    archive.add("/vmx/run", RUN.format(options=options).encode(), 0o755)
    archive.add("/vmx/script", script.encode())
    with tempfile.TemporaryDirectory(prefix="vmtape-bochs.") as folder:
        make_iso(folder, archive, APPEND)
        serial = os.path.join(folder, "serial")
        with open(os.path.join(folder, "bochsrc"), "w", encoding="ascii") as out:
            out.write(CONFIGURATION.format(folder=folder, memory_mb=memory_mb))
        # Debian's bochs waits in its debugger for this word.
        with open(os.path.join(folder, "debugger"), "w", encoding="ascii") as out:
            out.write("c\n")
        with open(os.path.join(folder, "screen"), "wb") as screen:
            process = subprocess.Popen(
                [NEEDED["bochs"], "-q", "-f", os.path.join(folder, "bochsrc"), "-rc", os.path.join(folder, "debugger")],
                stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, cwd=folder, preexec_fn=die_with_parent)
        try:
            text = watch(process, serial, timeout, progress)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if not text:
            with open(os.path.join(folder, "screen"), "rb") as screen:
                raise GuestError(f"bochs ended with {process.returncode}: {screen.read()[-2000:].decode(errors='replace')}")
        return VmxResult(text)


def watch(process, serial, timeout, progress):
    """The serial port's text once L1 is done, or bochs is gone."""
    end = time.monotonic() + timeout
    while True:
        text = ""
        if os.path.exists(serial):
            with open(serial, "rb") as data:
                text = data.read().decode(errors="replace")
        if progress:
            progress(text)
        if "VMX-DONE" in text or process.poll() is not None:
            return text
        if time.monotonic() > end:
            raise GuestError(f"bochs: not within {timeout} s; the serial port so far:\n{text[-3000:]}")
        time.sleep(1)
