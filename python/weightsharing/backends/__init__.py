"""Where projections and networks are computed: `backends` lists the ways, a name chooses one.

========== =========================================================================
reference  NumPy, as plain as the specification: slow, the judge of the others
cpu        compiled loops, vectorised and threaded; what ``'auto'`` means
cuda       hand-written kernels on an NVIDIA GPU, state stays there
========== =========================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..arguments import whole_number
from ..description import Description, SharedDescription
from ..schedule import Executor, Runner, Schedule
from .cpu import CpuExecutor, CpuRunner
from .cuda import CudaExecutor, CudaRunner, why_not_cuda
from .reference import ReferenceExecutor, ReferenceRunner


def backends() -> dict[str, str]:
    """Tell which backends can be used.

    Returns
    -------
    dict
        Name of every backend and ``'usable'``, or the reason why it cannot be used here.
    """
    return {"cpu": "usable", "cuda": why_not_cuda() or "usable", "reference": "usable"}


def usable_backend(name: str) -> str:
    """Return the backend that a name given by the user means.

    Raises
    ------
    ValueError
        If there is no such backend, or it cannot be used here; the message says why.
    """
    if name == "auto":
        return "cpu"
    known = backends()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"backend is {name!r}; expected 'auto' or one of {', '.join(map(repr, known))}.")
    if known[name] != "usable":
        raise ValueError(f"backend {name!r} cannot be used here: {known[name]}. Choose 'auto'.")
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
    """Make the executor of one projection; `backend` as `usable_backend` returns it.

    Raises
    ------
    ValueError
        If the algorithm that was asked for by name is not there on the backend.
    """
    algorithm = description.algorithm if isinstance(description, SharedDescription) else "auto"
    if algorithm == "3xtf32" and backend != "cuda":
        raise ValueError(
            f"algorithm='3xtf32' is for backend='cuda', the backend is {backend!r}. Use algorithm='auto'."
        )
    if backend == "reference":
        return ReferenceExecutor(description, dtype)
    if backend == "cuda":
        return CudaExecutor(description, dtype)
    return CpuExecutor(description, dtype, threads)


def make_runner(schedule: Schedule, backend: str, threads: int | None) -> Runner:
    """Make the runner of a network; the executors of its steps are of the same backend."""
    if backend == "reference":
        return ReferenceRunner(schedule)
    if backend == "cuda":
        return CudaRunner(schedule)
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
