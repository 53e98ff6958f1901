"""The CUDA kernels on the CPU: every naive and every fast one against plain loops.

`emulation/kernels/` holds the cases, a file for each family. They are compiled once, with the sanitizers for
addresses and undefined behaviour, and run in three orders in which threads may take turns. `make races` compiles
them with the one for data races instead.
"""

import os
import subprocess

import pytest

from emulation import programs

pytestmark = pytest.mark.sanitized_by_itself

RACES = os.environ.get("WEIGHTSHARING_KERNEL_SANITIZERS") == "thread"
# Of each kernel, dtype and order; the sanitizer for data races is slow, and looks at accesses, not at values.
CASES = 12 if RACES else 40


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled:1"])
def test_kernels_agree_with_plain_loops(order: str) -> None:
    name = "test_kernels-" + ("thread" if RACES else "address")
    sources = [programs.EMULATION / "test_kernels.cpp", *sorted(programs.EMULATION.glob("kernels/*.cpp"))]
    try:
        program = programs.build(name, sources, ["-O1", *(programs.THREAD if RACES else programs.ADDRESS)])
    except programs.NoSanitizer:
        program = programs.build("test_kernels-plain", sources, ["-O1"])
    done = subprocess.run(
        [*(programs.without_randomisation() if RACES else []), str(program), str(CASES)],
        capture_output=True,
        text=True,
        env=programs.environment(
            WEIGHTSHARING_EMULATION_ORDER=order,
            ASAN_OPTIONS="detect_leaks=0",  # looking for leaks needs the right to trace processes
            TSAN_OPTIONS="halt_on_error=1",
        ),
        timeout=600,
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer does not run on this machine")
    assert done.returncode == 0, done.stdout + done.stderr
    values_per_case = 25_000  # fewer than there are, so that a loop that compares nothing is noticed
    assert int(done.stdout.split()[0]) > values_per_case * CASES
