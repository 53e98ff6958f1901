"""The plan of CUDA launches for devices with less and less shared memory: what it chooses always fits.

`emulation/test_launch_plans.cpp` holds the cases: the plan is plain C++ that needs no device.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SOURCES = TESTS.parent / "csrc"


def test_kernels_fit_the_shared_memory(tmp_path: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    program = tmp_path / "test_launch_plans"
    command = [
        *compiler.split(),
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{SOURCES}",
        f"-I{SOURCES / 'include'}",
        str(TESTS / "emulation" / "test_launch_plans.cpp"),
        *map(str, sorted((SOURCES / "plan").glob("*.cpp"))),
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 1000
