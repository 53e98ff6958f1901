"""The emulation that runs the CUDA kernels on the CPU: bugs planted in small kernels must be caught.

`emulation/planted/` holds the kernels. They are compiled here, without and with sanitizers, because which of them
sees a bug is part of what is promised.
"""

import subprocess

import pytest

from emulation import programs

pytestmark = pytest.mark.sanitized_by_itself

BUILDS = {
    "plain": ["-O0"],
    "ucontext": ["-O0", "-DEMULATION_UCONTEXT"],  # how fibers switch on other processors than x86-64
    "address": ["-O0", *programs.ADDRESS],
    "thread": ["-O0", *programs.THREAD],
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


def run(name: str, build: str, order: str) -> subprocess.CompletedProcess[str]:
    """Run one case of one build; a build that this compiler cannot make is skipped."""
    source = programs.EMULATION / "test_emulation.cpp"
    try:
        program = programs.build(f"test_emulation-{build}", [source], BUILDS[build])
    except programs.NoSanitizer as missing:
        pytest.skip(str(missing))
    environment = programs.environment(
        WEIGHTSHARING_EMULATION_ORDER=order,
        # Looking for leaks needs the right to trace processes.
        ASAN_OPTIONS=f"exitcode={SANITIZER}:detect_leaks=0",
        UBSAN_OPTIONS=f"exitcode={SANITIZER}",
        TSAN_OPTIONS=f"exitcode={SANITIZER}:halt_on_error=1",
    )
    command = [*(programs.without_randomisation() if build == "thread" else []), str(program), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run on this machine")
    return done


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", BUILDS)
def test_correct_kernels_pass(build: str, order: str) -> None:
    done = run("correct", build, order)
    assert done.returncode == 0, _said(done)


@pytest.mark.parametrize(("name", "build", "order", "status", "words"), PLANTED)
def test_a_planted_bug_is_caught(name: str, build: str, order: str, status: int, words: str) -> None:
    done = run(name, build, order)
    assert done.returncode == status, _said(done)
    assert words in done.stdout + done.stderr


def test_every_planted_bug_is_listed() -> None:
    names = run("", "plain", "forward").stdout.split()
    assert set(names) == {"correct"} | {case[0] for case in PLANTED}
