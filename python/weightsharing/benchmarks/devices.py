"""Where benchmarks run and how they are timed: through torch or CuPy on a GPU, NumPy on the host."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..checks.shapes import Array


def installed(module: str) -> Any:
    """Import a library, or return None."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def set_tf32(backend: Any, operation: str, allowed: bool) -> None:
    """Allow torch's products of TF32 for ``'conv'`` of cuDNN or ``'matmul'`` of cuBLAS, or forbid them."""
    part = getattr(backend, operation, backend)
    if hasattr(part, "fp32_precision"):  # torch 2.9 and newer, which warn about the other way
        part.fp32_precision = "tf32" if allowed else "ieee"
    else:
        part.allow_tf32 = allowed


class Device(Protocol):
    """A place for arrays, and a clock for what is computed there."""

    @property
    def name(self) -> str:
        """What people call it."""

    def upload(self, values: Array) -> Any:
        """Copy an array to the device."""

    def download(self, array: Any) -> Array:
        """Copy an array of the device to the host."""

    def copy(self, target: Any, source: Any) -> None:
        """Copy between two arrays of the device."""

    def seconds(self, call: Callable[[], object]) -> float:
        """Tell how long the device works on what `call` starts."""

    def release(self) -> None:
        """Give back memory that the library kept."""


class TorchDevice:
    """Tensors on the first GPU; events on torch's current stream tell the time."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.name: str = torch.cuda.get_device_name(0)
        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True

    def upload(self, values: Array) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(values)).cuda()

    def download(self, array: Any) -> Array:
        values: Array = array.cpu().numpy()
        return values

    def copy(self, target: Any, source: Any) -> None:
        target.copy_(source)

    def seconds(self, call: Callable[[], object]) -> float:
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        self.torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def release(self) -> None:
        self.torch.cuda.empty_cache()
        cupy = installed("cupy")
        if cupy:
            cupy.get_default_memory_pool().free_all_blocks()


class CupyDevice:
    """CuPy arrays on the first GPU, where torch is not installed; events on CuPy's current stream tell the time."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.name: str = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()

    def upload(self, values: Array) -> Any:
        return self.cupy.asarray(np.ascontiguousarray(values))

    def download(self, array: Any) -> Array:
        values: Array = array.get()
        return values

    def copy(self, target: Any, source: Any) -> None:
        self.cupy.copyto(target, source)

    def seconds(self, call: Callable[[], object]) -> float:
        start, end = (self.cupy.cuda.Event() for _ in range(2))
        self.cupy.cuda.runtime.deviceSynchronize()
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(start, end)) / 1e3

    def release(self) -> None:
        self.cupy.get_default_memory_pool().free_all_blocks()


def find_gpu() -> TorchDevice | CupyDevice | str:
    """Return the first GPU through torch, else through CuPy, else the reason why there is none."""
    torch, cupy = installed("torch"), installed("cupy")
    if torch and torch.cuda.is_available():
        return TorchDevice(torch)
    try:
        if cupy and cupy.cuda.runtime.getDeviceCount():
            return CupyDevice(cupy)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU was found ({error})"
    if not torch and not cupy:
        return "neither torch nor CuPy is installed, and one is needed for the arrays and the clock"
    return "neither torch nor CuPy finds a GPU"


def copy_bandwidth(device: Device, elements: int = 2**27, rounds: int = 20) -> float:
    """Measure bytes per second, read and written ones together, of a copy within the device."""
    source = device.upload(np.random.default_rng(0).random(elements, dtype=np.float32))
    target = device.upload(np.zeros(elements, np.float32))
    repeats = 10  # between two looks at the clock, which takes microseconds itself

    def copies() -> None:
        for _ in range(repeats):
            device.copy(target, source)

    copies()
    times = [device.seconds(copies) / repeats for _ in range(rounds)]
    return 2 * 4 * elements / float(np.median(times))


# Sixteen independent chains of multiply-adds per thread hide their latency; nothing else happens.
CHAINS = r"""
extern "C" __global__ void chains(float* out, float factor, float summand, int rounds) {
  float x[16];
#pragma unroll
  for (int k = 0; k < 16; ++k) x[k] = threadIdx.x + k;
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int repeat = 0; repeat < 8; ++repeat)
#pragma unroll
      for (int k = 0; k < 16; ++k) x[k] = fmaf(x[k], factor, summand);
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < 16; ++k) sum += x[k];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
"""


def multiply_add_peak(device: TorchDevice | CupyDevice, rounds: int = 10) -> tuple[float, str]:
    """Measure float32 flops per second, and tell of what: a kernel of multiply-adds, or a product of matrices."""
    found: list[tuple[float, str]] = []
    cupy = installed("cupy")
    if cupy:
        try:
            kernel = cupy.RawKernel(CHAINS, "chains")
            processors = cupy.cuda.runtime.getDeviceProperties(0)["multiProcessorCount"]
            blocks, threads, loops = 16 * processors, 256, 512
            out = cupy.empty(blocks * threads, cupy.float32)
            arguments = (out, cupy.float32(0.999), cupy.float32(0.001), cupy.int32(loops))

            def run() -> None:
                kernel((blocks,), (threads,), arguments)

            run()
            median = float(np.median([device.seconds(run) for _ in range(rounds)]))
            found.append((2 * 16 * 8 * loops * blocks * threads / median, "kernel of multiply-adds"))
        except Exception as error:  # CuPy may lack its compiler: then the product of matrices alone tells
            found.append((0.0, f"kernel of multiply-adds ({type(error).__name__})"))
    if isinstance(device, TorchDevice):
        size = 8192
        generator = np.random.default_rng(0)
        a, b = (
            device.upload(generator.random((size, size), dtype=np.float32) - np.float32(0.5)) for _ in "ab"
        )
        set_tf32(device.torch.backends.cuda, "matmul", False)
        c = a @ b
        median = float(
            np.median([device.seconds(lambda: device.torch.mm(a, b, out=c)) for _ in range(rounds)])
        )
        found.append((2 * size**3 / median, "product of matrices, TF32 off"))
    return max(found)
