"""The one door to the compiled modules for GPUs: which is there, and why not.

``cuda`` is the module built by nvcc. ``cupy`` is the same code for a package built without it: CuPy allocates device
memory and NVRTC compiles; everything else is the module `_cupy` on the driver that CuPy has loaded. Both are imported
at the first question whether they can be used, never before.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..checks.device_arrays import DeviceView, device_view
from .cupy import allocate, library
from .nvrtc import compile_kernel, emulated, find_compiler, why_not_for


@cache
def _imported(name: str) -> Any:
    """Import a compiled CUDA module of the package, or return the reason why that fails."""
    try:
        return importlib.import_module(f"weightsharing.{name}")
    except ImportError as error:
        return str(error)


def cuda_module() -> Any:
    """Import the module that nvcc built, or return the reason why that fails."""
    # The emulation runs the kernels on the CPU: for tests, and built for them only.
    return _imported("_cuda_emulated" if emulated() else "_cuda")


@cache
def device_module(backend: str) -> Any:
    """Return the module of a backend that can be used, ``'cuda'`` or ``'cupy'``, with NVRTC where it is there."""
    found = driver_module() if backend == "cupy" else cuda_module()
    # For comparisons: the interpreter although NVRTC is there.
    set_compiler(found, os.environ.get("WEIGHTSHARING_PROGRAMS") != "interpreted")
    return found


def set_compiler(module: Any, programs: bool) -> None:
    """Give NVRTC to a module, if there is one for all devices; `programs`: for psps and equations too."""
    compiler = find_compiler()
    if isinstance(compiler, str):
        return
    for device in range(module.device_count()):
        if why_not_for(compiler, module.driver_version(), module.architecture(device)):
            programs = False
    headers = module.kernel_sources()

    def compile(kernel: str, program: str, architecture: int) -> tuple[bytes, str]:
        return compile_kernel(compiler, headers, kernel, program, architecture)

    module.set_compiler(compile, programs)


def device_count(backend: str) -> int:
    """Return the number of CUDA devices for a backend that can be used."""
    return int(device_module(backend).device_count())


def why_not_cuda() -> str:
    """Say why CUDA cannot be used here; an empty text if it can."""
    found = cuda_module()
    if isinstance(found, str):
        return f"not built when the package was installed: no nvcc was found, or CUDA was left out ({found})"
    return str(found.why_not())


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
        library()
    # CuPy without a library that it needs, or of another CUDA: what it raises is its own affair.
    except Exception as error:
        return f"CuPy cannot be imported ({type(error).__name__}: {error})"
    compiler = find_compiler()
    if isinstance(compiler, str):
        return f"CuPy has no NVRTC: pip install nvidia-cuda-nvrtc ({compiler})"
    return why_not_for(compiler, module.driver_version(), module.architecture(device))


def device_array_view(name: str, array: Any, stream: int, backend: str) -> DeviceView:
    """Look at an array on a device that will be used on a stream; see `device_view`."""
    return device_view(name, array, device_module(backend), stream)


def capturing(stream: int, device: int, backend: str) -> bool:
    """Whether what is launched on a stream becomes part of a graph."""
    return bool(device_module(backend).capturing(stream, device))
