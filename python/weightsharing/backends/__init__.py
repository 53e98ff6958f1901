"""Where projections and networks are computed: `backends` lists the ways, a name chooses one.

========== =========================================================================
reference  NumPy, as plain as the specification: slow, the judge of the others
cpu        compiled loops, vectorised and threaded; what ``'auto'`` means
cuda       hand-written kernels on an NVIDIA GPU, state stays there
cupy       the same kernels, compiled by NVRTC when they are needed: for a package built without nvcc
========== =========================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from ..arguments import whole_number
from ..description import Description
from ..schedule import Executor, Runner, Schedule
from .cpu import CpuExecutor, CpuRunner
from .cuda import CudaExecutor, CudaRunner, why_not_cuda
from .cupy import why_not_cupy
from .reference import ReferenceExecutor, ReferenceRunner


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


def usable_backend(name: str) -> str:
    """Return the backend that a name given by the user means.

    Raises
    ------
    ValueError
        If there is no such backend, or it cannot be used here; the message says why.
    """
    if name == "auto":
        return "cpu"
    if not isinstance(name, str) or name not in _WHY_NOT:
        raise ValueError(f"backend is {name!r}; expected 'auto' or one of {', '.join(map(repr, _WHY_NOT))}.")
    if reason := _WHY_NOT[name]():
        raise ValueError(f"backend {name!r} cannot be used here: {reason}. Choose 'auto'.")
    return name


def thread_count(threads: int | None) -> int | None:
    """Check a number of threads given by the user; None means `get_num_threads` at the time of the run."""
    if threads is None:
        return None
    count = whole_number("threads", threads)
    if not 1 <= count <= 1024:
        raise ValueError(f"threads is {count}; expected 1 to 1024.")
    return count


def make_executor(
    description: Description, dtype: np.dtype[Any], backend: str, threads: int | None
) -> Executor:
    """Make the executor of one projection; `backend` as `usable_backend` returns it."""
    if backend == "reference":
        return ReferenceExecutor(description, dtype)
    if backend in ("cuda", "cupy"):
        return CudaExecutor(description, dtype, backend)
    return CpuExecutor(description, dtype, threads)


def make_runner(schedule: Schedule, backend: str, threads: int | None) -> Runner:
    """Make the runner of a network; the executors of its steps are of the same backend."""
    if backend == "reference":
        return ReferenceRunner(schedule)
    if backend in ("cuda", "cupy"):
        return CudaRunner(schedule, backend)
    return CpuRunner(schedule, threads)


def set_num_threads(threads: int) -> None:
    """Set how many threads the CPU backend uses where nothing else is asked for.

    Parameters
    ----------
    threads : int
        At least 1. Results do not depend on it.
    """
    if threads is None:
        raise TypeError("threads is None; expected a whole number.")
    count = thread_count(threads)
    assert count is not None
    _core.set_thread_count(count)


def get_num_threads() -> int:
    """Return how many threads the CPU backend uses where nothing else is asked for (at first: OpenMP's)."""
    return _core.thread_count()
