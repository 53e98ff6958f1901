"""The CuPy backend: the kernels of the CUDA backend where no nvcc built them.

CuPy allocates device memory and NVRTC compiles; everything else is the module `_cupy` on the driver that CuPy has
loaded. CuPy is imported at the first question whether it can be used, never before.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .nvrtc import emulated, find_compiler, why_not_for


def _cupy() -> Any:
    # The imitation is in the tests.
    return importlib.import_module("cupy_emulated" if emulated() else "cupy")


def allocate(bytes: int, device: int) -> tuple[int, Any]:
    """Take device memory from CuPy's allocator: its address, and the object that owns it.

    Raises
    ------
    MemoryError
        If there is not enough.
    """
    cuda = _cupy().cuda
    with cuda.Device(device):
        memory = cuda.alloc(bytes)
        # The pool hands out what an array had whose last kernel may still run on CuPy's stream.
        cuda.get_current_stream().synchronize()
    return int(memory.ptr), memory


@cache
def driver_module() -> ModuleType:
    """Import the module and tell it where driver and memory come from."""
    module = importlib.import_module("weightsharing._cupy")
    if emulated():
        module.set_driver(str(Path(__file__).parent.parent / "_driver_emulated.so"))
    module.set_allocator(allocate)
    return module


@cache
def why_not_cupy(device: int = 0) -> str:
    """Say why the CuPy backend cannot use a device; an empty text if it can."""
    if not emulated() and importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed: pip install cupy-cuda13x nvidia-cuda-nvrtc"
    module = driver_module()
    if reason := str(module.why_not()):
        return reason
    try:
        _cupy()
    # CuPy without a library that it needs, or of another CUDA: what it raises is its own affair.
    except Exception as error:
        return f"CuPy cannot be imported ({type(error).__name__}: {error})"
    compiler = find_compiler()
    if isinstance(compiler, str):
        return f"CuPy has no NVRTC: pip install nvidia-cuda-nvrtc ({compiler})"
    return why_not_for(compiler, module.driver_version(), module.architecture(device))
