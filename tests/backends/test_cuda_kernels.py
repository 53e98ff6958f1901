"""The CUDA kernels on the CPU: every naive and every fast one against plain loops.

`emulation/test_kernels.cpp` holds the cases. It is compiled once, with the sanitizers for addresses and undefined
behaviour, and run in three orders in which threads may take turns. `make races` compiles it with the one for data races
instead.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from strategies.folders import REPOSITORY, TESTS

SOURCES = REPOSITORY / "csrc"
SANITIZERS = os.environ.get("WEIGHTSHARING_KERNEL_SANITIZERS", "address,undefined")
# Of each kernel, dtype and order; the sanitizer for data races is slow, and looks at accesses, not at values.
CASES = 12 if SANITIZERS == "thread" else 40


def _environment(order: str) -> dict[str, str]:
    # Without what this process itself was told about sanitizers and the emulation.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "LD_PRELOAD" and not name.endswith("SAN_OPTIONS") and not name.startswith("WEIGHTSHARING_")
    }
    # Looking for leaks needs the right to trace processes.
    return kept | {
        "WEIGHTSHARING_EMULATION_ORDER": order,
        "ASAN_OPTIONS": "detect_leaks=0",
        "TSAN_OPTIONS": "halt_on_error=1",
    }


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
        "-pthread",
        f"-I{SOURCES}",
        f"-I{TESTS / 'emulation'}",
        str(TESTS / "emulation" / "test_kernels.cpp"),
        "-o",
        str(path),
    ]
    sanitizers = [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
    done = subprocess.run(
        [*command, *sanitizers], capture_output=True, text=True, env=_environment("forward")
    )
    if done.returncode and "sanitize" in done.stderr:  # a compiler without their libraries
        done = subprocess.run(command, capture_output=True, text=True, env=_environment("forward"))
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled:1"])
def test_kernels_agree_with_plain_loops(program: Path, order: str) -> None:
    # ThreadSanitizer knows few layouts of the address space; without randomisation it gets one of them.
    fixed = ["setarch", "--addr-no-randomize"] if SANITIZERS == "thread" else []
    done = subprocess.run(
        [*fixed, str(program), str(CASES)],
        capture_output=True,
        text=True,
        env=_environment(order),
        timeout=600,
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run on this machine")
    assert done.returncode == 0, done.stdout + done.stderr
    values_per_case = 25_000  # fewer than there are, so that a loop that compares nothing is noticed
    assert int(done.stdout.split()[0]) > values_per_case * CASES
