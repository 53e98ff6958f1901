"""The plan of CUDA launches for devices with less and less shared memory: what it chooses always fits.

`emulation/test_launch_plans.cpp` holds the cases: the plan is plain C++ that needs no device.
"""

import subprocess

import pytest

from emulation import programs
from strategies.folders import REPOSITORY

pytestmark = pytest.mark.sanitized_by_itself


def test_kernels_fit_the_shared_memory() -> None:
    plan = sorted((REPOSITORY / "csrc" / "plan").glob("*.cpp"))
    sources = [programs.EMULATION / "test_launch_plans.cpp", *plan]
    program = programs.build("test_launch_plans", sources, ["-O1"])
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 1000
