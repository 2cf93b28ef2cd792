# SPDX-License-Identifier: MIT
"""What goes into L1, the machine whose KVM is tested: its image, the modules, the selftests, QEMU, the recorder.

L1's kernel must be exactly the one that the modules are built for, which kvm/base pins; scripts/guest makes its image.
VMTAPE_KVM names a folder with modules to be used instead of those that kvm/build makes, VMTAPE_KVM_UNPATCHED the same for
those without the patches, VMTAPE_KVM_SELFTESTS the selftests' folder. VMTAPE_L1 names a folder with a kernel (vmlinuz) and
all of its modules, to be L1's instead: what kvm/debug-kernel prints.
"""
import functools
import glob
import hashlib
import lzma
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))

from initramfs import Initramfs  # noqa: E402
from vm_env import RECORD, VMTAPE, made_by, qemu, skip  # noqa: E402

MODULES = ("kvm", "kvm-amd", "kvm-intel")
FIRMWARE = ("/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios-microvm.bin", "/usr/share/qemu/kvmvapic.bin",
            "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/pvh.bin")
KVM_BUILD = os.path.join(TOP, "kvm", "build")


def cache_folder(*names):
    path = os.path.join(os.environ.get("VMTAPE_CACHE", os.path.expanduser("~/.cache/vmtape")), *names)
    os.makedirs(path, exist_ok=True)
    return path


@functools.lru_cache
def base(key):
    """A value of kvm/base."""
    with open(os.path.join(TOP, "kvm", "base"), encoding="utf-8") as text:
        found = re.search(rf"^{key}=(.*)$", text.read(), re.M)
    if not found:
        raise KeyError(f"kvm/base has no {key}")
    return found[1]


@functools.lru_cache
def kernel_package():
    """The package file of the kernel that the modules are for."""
    package = f"linux-image-{base('release')}-cloud-amd64"
    return made_by([os.path.join(TOP, "scripts", "deb-fetch"), "--cached", base("suite"),
                    f"{package}={base('debian_version')}"], package)


@functools.lru_cache
def l1_image():
    """Folder with vmlinuz and initrd of L1: a test guest like the others, of the pinned kernel."""
    os.environ["VMTAPE_KERNEL_6_12"] = kernel_package()
    try:
        return os.path.realpath(made_by([os.path.join(TOP, "scripts", "guest"), "6.12"], "L1"))
    finally:
        del os.environ["VMTAPE_KERNEL_6_12"]


def l1_kernel():
    """Path of L1's kernel."""
    return os.path.join(os.environ.get("VMTAPE_L1") or l1_image(), "vmlinuz")


@functools.lru_cache
def stock_modules():
    """Folder with the KVM modules of the kernel's own package, and irqbypass.ko, which is never built again."""
    package = kernel_package()
    with open(package, "rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()[:16] if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(file.read()).hexdigest()[:16]
    folder = os.path.join(cache_folder("l1"), f"stock-{key}")
    if os.path.isdir(folder):
        return folder
    with tempfile.TemporaryDirectory(dir=cache_folder("l1")) as unpacked:
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        part = os.path.join(unpacked, "part")
        os.mkdir(part)
        for name in (*MODULES, "irqbypass"):
            [path] = glob.glob(f"{unpacked}/lib/modules/*/kernel/**/{name}.ko.xz", recursive=True)
            with lzma.open(path) as module, open(os.path.join(part, f"{name}.ko"), "wb") as out:
                out.write(module.read())
        try:
            os.rename(part, folder)
        except OSError:
            # Another test made it at the same time.
            if not os.path.isdir(folder):
                raise
    return folder


@functools.lru_cache
def modules(kind="patched"):
    """Folder with kvm.ko, kvm-amd.ko, kvm-intel.ko. kind: patched, unpatched (built the same way), or stock."""
    if kind == "stock":
        return stock_modules()
    if kind == "patched" and "VMTAPE_L1" in os.environ:
        return os.environ["VMTAPE_L1"]
    variable, option = {"patched": ("VMTAPE_KVM", []), "unpatched": ("VMTAPE_KVM_UNPATCHED", ["--unpatched"])}[kind]
    folder = os.environ.get(variable) or made_by([KVM_BUILD, *option], f"{kind} KVM modules")
    for name in MODULES:
        if not os.path.exists(os.path.join(folder, f"{name}.ko")):
            skip(f"{folder} has no {name}.ko")
    return folder


@functools.lru_cache
def selftests():
    """{name: path} of the series' own tests."""
    folder = os.environ.get("VMTAPE_KVM_SELFTESTS") or made_by([KVM_BUILD, "--selftests"], "KVM selftests")
    return {name: os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if os.access(os.path.join(folder, name), os.X_OK) and os.path.isfile(os.path.join(folder, name))}


def add_modules(archive, folder):
    """At /kvm; load_kvm() of l1_vm.py loads them."""
    archive.add("/kvm/irqbypass.ko", os.path.join(os.environ.get("VMTAPE_L1") or stock_modules(), "irqbypass.ko"))
    for name in MODULES:
        archive.add(f"/kvm/{name}.ko", stripped(os.path.join(folder, f"{name}.ko")))


def stripped(path):
    """The bytes of a module without its debug information, which is most of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "module.ko")
        subprocess.run(["strip", "-g", "-o", out, path], check=True)
        with open(out, "rb") as data:
            return data.read()


def add_selftests(archive, names=None):
    """At /selftests; names: only these."""
    for name, path in selftests().items():
        if names is None or name in names:
            archive.program(f"/selftests/{name}", path)


def add_compiled(archive, name):
    """A program of this folder, static, in /usr/bin."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, name)
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-static", "-o", out,
                        os.path.join(TOP, "tests", "kvm", f"{name}.c")], check=True)
        archive.add(f"/usr/bin/{name}", out, 0o755)


def add_l2(archive, image):
    """QEMU and its firmware, the recorder, vmtape (which makes the plan), and the kernel and initramfs of an L2 guest at /l2."""
    archive.program("/usr/bin/qemu-system-x86_64", qemu())
    for path in FIRMWARE:
        archive.add(f"/usr/share/qemu/{os.path.basename(path)}", os.path.realpath(path))
    archive.program("/usr/bin/vmtape-record", RECORD)
    archive.program("/usr/bin/vmtape", VMTAPE)
    for name in ("vmlinuz", "initrd"):
        archive.add(f"/l2/{name}", os.path.join(image, name))


def files_hash(*paths):
    """Of the contents of files, and of all files in folders."""
    digest = hashlib.sha256()
    for path in paths:
        names = [path] if os.path.isfile(path) else sorted(
            os.path.join(folder, name) for folder, _, files in os.walk(path) for name in files
            if not name.endswith(".pyc"))
        for name in names:
            with open(name, "rb") as data:
                digest.update(f"{os.path.basename(name)}\0".encode())
                digest.update(hashlib.sha256(data.read()).digest())
    return digest.hexdigest()


def new_archive():
    return Initramfs()
