"""The emulation that runs the CUDA kernels on the CPU: bugs planted in small kernels must be caught.

`emulation/test_emulation.cpp` holds the kernels. It is compiled here, without and with sanitizers, because which
of them sees a bug is part of what is promised.
"""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from strategies.folders import REPOSITORY, TESTS

SOURCE = TESTS / "emulation" / "test_emulation.cpp"
BUILDS = {
    "plain": ["-O0"],
    "ucontext": ["-O0", "-DEMULATION_UCONTEXT"],  # how fibers switch on other processors than x86-64
    "address": ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-O0", "-g1", "-fsanitize=thread"],
}
ORDERS = ["forward", "reverse", "shuffled:1", "shuffled:2"]
WRONG, REFUSED = 1, 2  # exit statuses of the program
SANITIZER = 66

# Name of the case, build, thread order, exit status, words of the message.
PLANTED = [
    ("no_barrier", "plain", "forward", WRONG, "a unit has another value"),
    ("no_barrier", "plain", "reverse", WRONG, "a unit has another value"),
    ("no_barrier", "thread", "forward", SANITIZER, "data race"),
    ("no_second_barrier", "plain", "forward", WRONG, "a unit has another value"),
    ("no_second_barrier", "thread", "reverse", SANITIZER, "data race"),
    ("no_warp_barrier", "plain", "forward", WRONG, "a unit has another value"),
    ("no_warp_barrier", "thread", "forward", SANITIZER, "data race"),
    ("shared_index", "plain", "forward", WRONG, "a unit has another value"),
    ("shared_index", "address", "forward", SANITIZER, "index 96 out of bounds for type 'float [96]'"),
    ("dynamic_shared_index", "address", "forward", SANITIZER, "heap-buffer-overflow"),
    ("misaligned", "address", "forward", SANITIZER, "misaligned address"),
    ("no_guard", "address", "forward", SANITIZER, "heap-buffer-overflow"),
    ("no_guard_after_barrier", "address", "reverse", SANITIZER, "heap-buffer-overflow"),
    ("use_after_free", "address", "forward", SANITIZER, "heap-use-after-free"),
    ("early_return", "plain", "forward", REFUSED, "deadlock: 17 of 96 threads wait"),
    ("early_return", "address", "reverse", REFUSED, "deadlock: 17 of 96 threads wait"),
    ("early_return", "thread", "shuffled:1", REFUSED, "deadlock: 17 of 96 threads wait"),
    ("early_return", "ucontext", "forward", REFUSED, "deadlock: 17 of 96 threads wait"),
    ("other_line", "plain", "forward", REFUSED, "wait at different places: __syncthreads at"),
    ("no_async_wait", "plain", "forward", REFUSED, "cp.async copies that it never waited for"),
    ("late_async_wait", "plain", "forward", WRONG, "a unit has another value"),
    ("short_async_wait", "plain", "forward", WRONG, "a unit has another value"),
    ("no_async_commit", "plain", "forward", REFUSED, "cp.async copies that it never waited for"),
    ("misaligned_async", "plain", "forward", REFUSED, "is not aligned"),
    ("caller_not_named", "plain", "forward", REFUSED, "lane 16 is not in its mask 0000ffff"),
    ("source_not_named", "plain", "forward", REFUSED, "reads lane 23, which its mask 0000ffff does not name"),
    ("lane_ended", "plain", "forward", REFUSED, "deadlock: 93 of 96 threads wait"),
    ("divergent_shuffle", "plain", "forward", REFUSED, "wait at different places: __shfl_xor_sync at"),
    ("beyond_the_block", "plain", "forward", REFUSED, "names lanes beyond the block"),
    ("no_atomic", "thread", "forward", SANITIZER, "data race"),
    ("blocks_in_a_chain", "plain", "reverse", WRONG, "to[8] == sum"),
    ("blocks_in_a_chain", "plain", "shuffled:1", WRONG, "to[8] == sum"),
    ("blocks_in_a_chain", "thread", "forward", SANITIZER, "data race"),
    ("blocks_at_one_element", "thread", "forward", SANITIZER, "data race"),
    ("unsafe_capture", "plain", "forward", REFUSED, "cudaErrorStreamCaptureInvalidated"),
    ("no_stream_wait", "plain", "forward", WRONG, "device.doubled()"),
    ("too_deep", "address", "forward", SANITIZER, "stack-overflow"),
    ("too_deep", "plain", "forward", -11, ""),
]

Run = Callable[[str, str, str], subprocess.CompletedProcess[str]]


def _environment(order: str = "forward") -> dict[str, str]:
    # Without what this process itself was told about sanitizers and the emulation.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "LD_PRELOAD" and not name.endswith("SAN_OPTIONS") and not name.startswith("WEIGHTSHARING_")
    }
    # Looking for leaks needs the right to trace processes.
    return kept | {
        "WEIGHTSHARING_EMULATION_ORDER": order,
        "ASAN_OPTIONS": f"exitcode={SANITIZER}:detect_leaks=0",
        "UBSAN_OPTIONS": f"exitcode={SANITIZER}",
        "TSAN_OPTIONS": f"exitcode={SANITIZER}:halt_on_error=1",
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run one case of one build; a build that this compiler cannot make is skipped."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("emulation")
    include = [f"-I{REPOSITORY / 'csrc'}", f"-I{TESTS / 'emulation'}"]
    command = [
        *compiler.split(),
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
        *include,
        str(SOURCE),
    ]
    compilations = {
        build: subprocess.Popen(
            [*command, *options, "-o", str(folder / build)],
            env=_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for build, options in BUILDS.items()
    }
    errors = {build: compilation.communicate()[1] for build, compilation in compilations.items()}
    # ThreadSanitizer knows few layouts of the address space; without randomisation it gets one of them.
    fixed = ["setarch", "--addr-no-randomize"]
    prefix = fixed if shutil.which("setarch") and subprocess.run([*fixed, "true"]).returncode == 0 else []

    def run_case(name: str, build: str, order: str) -> subprocess.CompletedProcess[str]:
        if compilations[build].returncode:
            if "sanitize" in " ".join(BUILDS[build]) and "cannot find" in errors[build]:
                pytest.skip(f"no sanitizer library for {compiler}")
            pytest.fail(f"{build}:\n{errors[build]}")
        command = [*(prefix if build == "thread" else []), str(folder / build), name]
        done = subprocess.run(command, env=_environment(order), capture_output=True, text=True, timeout=60)
        if "unexpected memory mapping" in done.stderr:
            pytest.skip("ThreadSanitizer does not run on this machine")
        return done

    return run_case


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", BUILDS)
def test_correct_kernels_pass(run: Run, build: str, order: str) -> None:
    done = run("correct", build, order)
    assert done.returncode == 0, _said(done)


@pytest.mark.parametrize(("name", "build", "order", "status", "words"), PLANTED)
def test_a_planted_bug_is_caught(
    run: Run, name: str, build: str, order: str, status: int, words: str
) -> None:
    done = run(name, build, order)
    assert done.returncode == status, _said(done)
    assert words in done.stdout + done.stderr


def test_every_planted_bug_is_listed(run: Run) -> None:
    names = run("", "plain", "forward").stdout.split()
    assert set(names) == {"correct"} | {case[0] for case in PLANTED}
