"""The backends that can be used on this machine, and what marks a test that needs another."""

import os

import pytest

import weightsharing as ws
from weightsharing.backends.targets import GPU_BACKENDS

BACKENDS = [name for name, state in ws.backends().items() if state == "usable"]
ON_GPU = [name for name in BACKENDS if name in GPU_BACKENDS]

# What only an imitated device can be made to do.
emulated = pytest.mark.skipif(
    os.environ.get("WEIGHTSHARING_CUDA") != "emulated", reason="needs the emulation"
)
