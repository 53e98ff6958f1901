"""The CUDA kernels on the CPU: every naive and every fast one against plain loops.

`emulation/test_kernels.cpp` holds the cases. It is compiled once, with the sanitizers for addresses and undefined
behaviour, and run in three orders in which threads may take turns.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SOURCES = TESTS.parent / "csrc"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CASES = 40  # of each kernel, dtype and order


def _environment(order: str) -> dict[str, str]:
    # Without what this process itself was told about sanitizers and the emulation.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "LD_PRELOAD" and not name.endswith("SAN_OPTIONS") and not name.startswith("WEIGHTSHARING_")
    }
    # Looking for leaks needs the right to trace processes.
    return kept | {"WEIGHTSHARING_EMULATION_ORDER": order, "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    path = tmp_path_factory.mktemp("kernels") / "test_kernels"
    command = [
        *compiler.split(),
        "-std=c++17",
        "-O1",
        "-g1",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{SOURCES}",
        f"-I{TESTS / 'emulation'}",
        str(TESTS / "emulation" / "test_kernels.cpp"),
        "-o",
        str(path),
    ]
    done = subprocess.run(
        [*command, *SANITIZERS], capture_output=True, text=True, env=_environment("forward")
    )
    if done.returncode and "sanitize" in done.stderr:  # a compiler without their libraries
        done = subprocess.run(command, capture_output=True, text=True, env=_environment("forward"))
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled:1"])
def test_kernels_agree_with_plain_loops(program: Path, order: str) -> None:
    done = subprocess.run(
        [str(program), str(CASES)], capture_output=True, text=True, env=_environment(order), timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 1_000_000
