"""CuPy, which allocates the device memory of its backend; imported at the first question whether it can be used."""

from __future__ import annotations

import importlib
from typing import Any

from .nvrtc import emulated


def library() -> Any:
    """Import CuPy, or what the tests have in its place."""
    # The imitation is in the tests.
    return importlib.import_module("cupy_emulated" if emulated() else "cupy")


def allocate(bytes: int, device: int) -> tuple[int, Any]:
    """Take device memory from CuPy's allocator: its address, and the object that owns it.

    Raises
    ------
    MemoryError
        If there is not enough.
    """
    cuda = library().cuda
    with cuda.Device(device):
        memory = cuda.alloc(bytes)
        # The pool hands out what an array had whose last kernel may still run on CuPy's stream.
        cuda.get_current_stream().synchronize()
    return int(memory.ptr), memory
