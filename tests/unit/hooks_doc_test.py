# SPDX-License-Identifier: MIT
"""hooks_doc_test.py BUILD CMAKE CC SANITIZE DOCUMENT MAKE_GUEST_TAPE HAS_PYTHON: runs the examples of docs/hooks.md.

A block ```LANGUAGE FILE is a file, a block ```console is commands ($ …) and what they print, both outputs together. All
is done against what `cmake --install` puts in place, in a folder of its own.
"""

import os
import re
import subprocess
import sys
import tempfile

build, cmake, cc, sanitize, document, make_guest_tape, has_python = sys.argv[1:]
has_python = has_python not in ("", "0", "FALSE", "OFF")


def blocks(text):
    for match in re.finditer(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match.group(1), match.group(2), match.group(3)


def script(path, lines):
    with open(path, "w") as out:
        out.write("#!/bin/sh\n" + lines + "\n")
    os.chmod(path, 0o755)


def environment(folder):
    prefix, tools = f"{folder}/usr", f"{folder}/tools"
    subprocess.run([cmake, "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    os.mkdir(tools)
    flags = f"-fsanitize={sanitize}" if sanitize else ""
    script(f"{tools}/cc", f'exec {cc} {flags} -Wall -Wextra -Wno-unused-parameter -Werror "$@"')
    preload = ""
    if "address" in sanitize:
        runtime = subprocess.run([cc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        preload = f"LD_PRELOAD={runtime.stdout.strip()} ASAN_OPTIONS=detect_leaks=0 "
    script(f"{tools}/python3", f'{preload}exec {sys.executable} "$@"')
    found = {"lib": [], "pc": [], "python": []}
    for path, folders, files in os.walk(prefix):
        if "libvmtape.so" in files:
            found["lib"].append(path)
        if "vmtape.pc" in files:
            found["pc"].append(path)
        if "vmtape" in folders and os.path.exists(f"{path}/vmtape/__init__.py"):
            found["python"].append(path)
    return dict(
        os.environ,
        PATH=f"{tools}:{prefix}/bin:{os.environ['PATH']}",
        LD_LIBRARY_PATH=":".join(found["lib"]),
        PKG_CONFIG_PATH=":".join(found["pc"]),
        PYTHONPATH=":".join(found["python"]),
        PYTHONDONTWRITEBYTECODE="1",
        LC_ALL="C.UTF-8",
    )


def steps(text):
    """Commands of a console block, each with what it prints."""
    command, expected = None, []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = line[2:], []
        else:
            expected.append(line)
    yield command, expected


def run(folder):
    failures = ran = 0
    env = environment(folder)
    work = f"{folder}/work"
    os.mkdir(work)
    subprocess.run([make_guest_tape, f"{work}/guest.vmt"], check=True)
    with open(document, encoding="utf-8") as source:
        text = source.read()
    for language, name, body in blocks(text):
        if name:
            with open(f"{work}/{name}", "w", encoding="utf-8") as out:
                out.write(body)
        if language != "console":
            continue
        for command, expected in steps(body):
            if not has_python and ".py" in command:
                print(f"left out, as the module vmtape was not built: {command}")
                continue
            done = subprocess.run(
                ["sh", "-c", command], cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
            )
            # A hook is named with its whole path.
            got = done.stdout.decode("utf-8", "replace").replace(os.path.realpath(work) + "/", "").splitlines()
            ran += 1
            if got == expected:
                continue
            failures += 1
            print(f"$ {command}\nprints\n" + "\n".join(got) + "\nand not\n" + "\n".join(expected))
    print(f"{ran} commands run, {failures} wrong")
    return 1 if failures or ran < 4 else 0


with tempfile.TemporaryDirectory() as place:
    sys.exit(run(place))
