"""Test programs in C++: compiled by the test that needs one first, and found there by all others.

What was compiled stays in `build/programs` until a source or the command changes: the workers of pytest-xdist, the
stages of continuous integration and the next run share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from strategies.folders import REPOSITORY, TESTS

EMULATION = TESTS / "emulation"
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", "-fvisibility=hidden"]
INCLUDE = [f"-I{folder}" for folder in (REPOSITORY / "csrc", REPOSITORY / "csrc" / "include", EMULATION)]

ADDRESS = ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD = ["-g1", "-fsanitize=thread", "-fno-sanitize-recover=all"]


class NoSanitizer(Exception):
    """The compiler has no libraries for its sanitizers."""


def environment(**own: str) -> Mapping[str, str]:
    """The variables of a program, without what this process was told about sanitizers and the emulation."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "LD_PRELOAD" and not name.endswith("SAN_OPTIONS") and not name.startswith("WEIGHTSHARING_")
    }
    return {**kept, **own}


def build(name: str, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """The path of a program; skips the test where there is no compiler."""
    named = os.environ.get("CXX")
    compiler = named or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    command = [*shlex.split(compiler), *FLAGS, *options, *INCLUDE]
    folder = REPOSITORY / "build" / "programs" / name
    folder.mkdir(parents=True, exist_ok=True)
    program, stamp = folder / "program", folder / "inputs"
    inputs = _inputs(command, sources)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be compiling it
        if program.exists() and stamp.exists() and stamp.read_text() == inputs:
            return program
        stamp.unlink(missing_ok=True)
        objects = [folder / f"{source.stem}.o" for source in sources]
        cache = [found] if (found := shutil.which("ccache")) else []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            compiling = [
                pool.submit(_run, [*cache, *command, "-c", str(source), "-o", str(to)])
                for source, to in zip(sources, objects, strict=True)
            ]
        errors = "".join(each.result() for each in compiling)
        errors = errors or _run([*command, *map(str, objects), "-o", str(program)])
        if "cannot find" in errors and any("sanitize" in option for option in options):
            raise NoSanitizer(f"no sanitizer library for {compiler}")
        assert not errors, errors
        stamp.write_text(inputs)
    return program


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    return done.stderr if done.returncode else ""


def _inputs(command: Sequence[str], sources: Sequence[Path]) -> str:
    """A digest of everything that a program is made from."""
    digest = hashlib.sha256(repr((command, sources)).encode())
    digest.update(subprocess.run([command[0], "--version"], capture_output=True).stdout)
    for folder in (REPOSITORY / "csrc", EMULATION):
        for file in sorted(folder.rglob("*")):
            if file.suffix in {".h", ".cpp", ".cuh", ".cu", ".def"}:
                digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()


def without_randomisation() -> list[str]:
    """Words before a command; ThreadSanitizer knows few layouts of the address space, and gets one of them."""
    fixed = ["setarch", "--addr-no-randomize"]
    return fixed if shutil.which(fixed[0]) and subprocess.run([*fixed, "true"]).returncode == 0 else []
