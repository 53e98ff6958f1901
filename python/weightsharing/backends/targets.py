"""Where projections and networks are computed: `backends` lists the ways, a name chooses one.

========== =========================================================================
reference  NumPy, as plain as the specification: slow, the judge of the others
cpu        compiled loops, vectorised and threaded
cuda       hand-written kernels on an NVIDIA GPU, state stays there
cupy       the same kernels, compiled by NVRTC when they are needed: for a package built without nvcc
========== =========================================================================

``'auto'`` takes one of the last three, see `choice.choose`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..checks.device_arrays import DeviceStream, device_stream
from ..checks.numbers import whole_number
from . import core
from .device_modules import device_count, why_not_cuda, why_not_cupy
from .nvrtc import emulated

# Those that compute on a GPU, in the order in which 'auto' prefers them.
GPU_BACKENDS = ("cuda", "cupy")


@dataclass(frozen=True)
class Target:
    """Where something is computed; None where nothing was asked for.

    Attributes
    ----------
    backend
        Name of a backend, ``'auto'`` where the choice is still open.
    threads
        For the CPU backend.
    device, stream
        For a GPU: its number, and the stream that everything is launched on.
    """

    backend: str | None = None
    threads: int | None = None
    device: int | None = None
    stream: DeviceStream | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether the backend computes on a GPU."""
        return self.backend in GPU_BACKENDS

    def over(self, other: Target) -> Target:
        """Return this target, and the other one's entries where this one has none that would apply."""
        backend = self.backend or other.backend
        on_host = backend is not None and backend != "auto" and backend not in GPU_BACKENDS
        return Target(
            backend,
            self.threads or other.threads,
            other.device if self.device is None and not on_host else self.device,
            other.stream if self.stream is None and not on_host else self.stream,
        )


def _nothing() -> str:
    return ""


_WHY_NOT: dict[str, Callable[[], str]] = {
    "cpu": _nothing,
    "cuda": why_not_cuda,
    "cupy": why_not_cupy,
    "reference": _nothing,
}


def backends() -> dict[str, str]:
    """Tell which backends can be used.

    Returns
    -------
    dict
        Name of every backend and ``'usable'``, or the reason why it cannot be used here.
    """
    return {name: why_not() or "usable" for name, why_not in _WHY_NOT.items()}


def usable_gpus() -> list[str]:
    """List the backends that ``'auto'`` may take for a GPU: those usable, the emulation is none."""
    return [] if emulated() else [name for name in GPU_BACKENDS if not _WHY_NOT[name]()]


def why_no_gpu() -> str:
    """Say why ``'auto'`` has no GPU to take; an empty text if it has one."""
    if emulated():
        return "the emulation is none"
    return "" if usable_gpus() else why_not_on_gpu()


def why_not_on_gpu() -> str:
    """Say why no backend can use a GPU."""
    return "; ".join(f"{name}: {_WHY_NOT[name]()}" for name in GPU_BACKENDS)


def backend_on_gpu(asked: Target) -> str | None:
    """Return the backend that computes arrays on a GPU, the emulation included; None if none can."""
    if asked.on_gpu:
        return asked.backend
    return next((name for name in GPU_BACKENDS if not _WHY_NOT[name]()), None)


def checked_target(backend: str | None, threads: int | None, device: int | None, stream: Any) -> Target:
    """Check what a user asked for; None where nothing was.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is not as described, cannot be used here, or does not fit the backend.
    """
    if backend is not None:
        usable_backend(backend)
    target = Target(
        backend, checked_threads(threads), _checked_device(backend, device), device_stream(stream)
    )
    if backend in (None, "auto", *GPU_BACKENDS):
        if target.device is not None and target.stream is not None:
            check_stream_device(target.stream, target.device)
        return target
    for name, value in (("device", device), ("stream", stream)):
        if value is not None:
            raise ValueError(
                f"{name} is {value!r}, but the backend {backend!r} computes on the host; leave {name} out or choose "
                f"backend='cuda' or 'cupy'."
            )
    return target


def _checked_device(backend: str | None, device: int | None) -> int | None:
    if device is None:
        return None
    number = whole_number("device", device)
    on_gpu = backend_on_gpu(Target(backend))
    if on_gpu is None:
        raise ValueError(
            f"device is {number}, but this machine has no CUDA device to use: {why_not_on_gpu()}."
        )
    count = device_count(on_gpu)
    if not 0 <= number < count:
        raise IndexError(f"device is {number}; this machine has {count} CUDA device(s), numbered from 0.")
    if on_gpu == "cupy" and (reason := why_not_cupy(number)):
        raise ValueError(f"device is {number}, which the backend 'cupy' cannot use: {reason}.")
    return number


def check_stream_device(stream: DeviceStream, device: int) -> None:
    """Raise if a stream is known to belong to another device."""
    if stream.device is not None and stream.device != device:
        raise ValueError(
            f"stream belongs to device {stream.device}; expected one of device {device}, where the arrays lie."
        )


def usable_backend(name: str) -> str:
    """Return the name of a backend given by the user if it can be used here.

    Raises
    ------
    ValueError
        If there is no such backend, or it cannot be used here; the message says why.
    """
    if name == "auto":
        return name
    if not isinstance(name, str) or name not in _WHY_NOT:
        raise ValueError(f"backend is {name!r}; expected 'auto' or one of {', '.join(map(repr, _WHY_NOT))}.")
    if reason := _WHY_NOT[name]():
        raise ValueError(f"backend {name!r} cannot be used here: {reason}. Choose 'auto'.")
    return name


def checked_threads(threads: int | None, name: str = "threads") -> int | None:
    """Check a number of threads given by the user; None means `get_num_threads` at the time of the run."""
    if threads is None:
        return None
    count = whole_number(name, threads)
    if not 1 <= count <= 1024:
        raise ValueError(f"{name} is {count}; expected 1 to 1024.")
    return count


def set_num_threads(threads: int) -> None:
    """Set how many threads the CPU backend uses where nothing else is asked for.

    Parameters
    ----------
    threads : int
        At least 1. Results do not depend on it.
    """
    if threads is None:
        raise TypeError("threads is None; expected a whole number.")
    count = checked_threads(threads)
    assert count is not None
    core.set_thread_count(count)


def get_num_threads() -> int:
    """Return how many threads the CPU backend uses where nothing else is asked for (at first: OpenMP's)."""
    return core.thread_count()
