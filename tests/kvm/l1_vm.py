# SPDX-License-Identifier: MIT
"""L1: a Debian kernel in QEMU's TCG, which emulates an AMD machine with SVM, so that KVM runs in it for real.

It is a Guest (tests/vm/guest_vm.py) of the pinned kernel; load_kvm() loads the modules that are tested. dmesg of L1 is
judged at the end of each test: a slow emulator must not look like a stall, so L1 boots with generous timeouts.
"""
import os
import re
import tempfile

import l1_log
from l1_parts import add_modules, l1_image, l1_kernel, modules, new_archive

# From tests/vm, which l1_parts has put on the path.
from guest_vm import Guest, GuestError
from vm_env import qemu

PATIENCE = ("rcupdate.rcu_cpu_stall_timeout=300 rcupdate.rcu_exp_cpu_stall_timeout=300000 "
            "sysctl.kernel.watchdog_thresh=60 sysctl.kernel.hung_task_timeout_secs=600 tsc=reliable log_buf_len=8M")
# A tape of a guest's boot is some 80 MB.
DISK_BYTES = 512 << 20
ICOUNT = ("-icount", "shift=0,sleep=off")


class L1(Guest):
    """Use it in a with statement; it is booted, and up, inside.

    archive   Initramfs of what L1 shall hold besides its modules, or None
    kind      which modules lie in /kvm: patched, unpatched, stock (l1_parts.modules())
    icount    one vCPU whose TSC counts instructions, for figures instead of times
    parallel  False: its CPUs take turns, as QEMU's SVM does not always stand the load of many guests' vCPUs
    """

    def __init__(self, archive=None, kind="patched", smp=2, memory_mb=2048, icount=False, append="", arguments=(),
                 parallel=True):
        archive = archive or new_archive()
        add_modules(archive, modules(kind))
        self.log_lines = self.taint = 0
        self.parts = tempfile.TemporaryDirectory(prefix="vmtape-l1.")
        more = archive.save(os.path.join(self.parts.name, "parts"))
        for name, path in (("vmlinuz", l1_kernel()), ("initrd", os.path.join(l1_image(), "initrd"))):
            os.symlink(path, os.path.join(self.parts.name, name))
        super().__init__(qemu(), self.parts.name, f"{PATIENCE} {append}".strip(), smp=1 if icount else smp,
                         memory_mb=memory_mb, recorder=False, shared=False, more_initrd=[more],
                         accel="tcg,thread=multi" if parallel and not icount else "tcg,thread=single",
                         arguments=[*(ICOUNT if icount else ()), *arguments])
        os.truncate(self.disk_path, DISK_BYTES)

    def start(self):
        super().start()
        self.wait_ready(180)

    def close(self):
        super().close()
        self.parts.cleanup()

    def load_kvm(self, kvm="", vendor=""):
        """Loads the modules with these options ("npt=0"); /dev/kvm is there then. The name of the vendor's module."""
        name = "kvm-intel" if self.run("grep -qw vmx /proc/cpuinfo")[0] == 0 else "kvm-amd"
        self.must(f"grep -q '^irqbypass ' /proc/modules || insmod /kvm/irqbypass.ko; "
                  f"insmod /kvm/kvm.ko {kvm} && insmod /kvm/{name}.ko {vendor} && ls -l /dev/kvm")
        return name

    def unload_kvm(self):
        """Raises GuestError if the modules are in use."""
        self.must("for m in kvm_amd kvm_intel; do ! grep -q \"^$m \" /proc/modules || rmmod $m || exit; done; "
                  "rmmod kvm")

    def dmesg(self):
        return self.must("dmesg -r 2>/dev/null || dmesg", timeout=120)

    def troubles(self):
        """What L1's kernel has had to complain about since this was last asked: lines of dmesg, reasons of its taint."""
        taint = int(self.must("cat /proc/sys/kernel/tainted"))
        lines = self.dmesg().splitlines()
        new, self.log_lines = lines[self.log_lines:], len(lines)
        reasons = [f"kernel is tainted: {reason}" for reason in l1_log.taints(taint & ~self.taint)]
        self.taint |= taint
        return l1_log.troubles("\n".join(new)) + reasons

    def check_log(self, failures, what):
        """A check that L1's kernel has nothing to complain about; its lines are shown if it has."""
        lines = self.troubles()
        return failures.check(not lines, f"dmesg of L1 is clean {what}" + "".join(f"\n    {line}" for line in lines[:120]))

    def timed(self, script, timeout=60):
        """(status, output, seconds by L1's own clock) of a script."""
        status, output = self.run(f"a=$(cut -d' ' -f1 /proc/uptime)\n( {script}\n)\ns=$?\n"
                                  "echo; echo TIMED $a $(cut -d' ' -f1 /proc/uptime); exit $s", timeout)
        found = re.search(r"\nTIMED ([\d.]+) ([\d.]+)\n$", output)
        if not found:
            raise GuestError(f"L1 told no times: {output[-300:]}")
        return status, output[:found.start()], float(found[2]) - float(found[1])
