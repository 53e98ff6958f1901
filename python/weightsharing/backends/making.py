"""The executor of a projection and the runner of a network, on the backend that a target names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..description.projections import Description, SharedDescription
from ..description.schedule import Executor, Runner, Schedule
from .core import Geometry
from .cpu import CpuExecutor, CpuRunner
from .cuda import CudaExecutor, CudaRunner
from .reference.executor import ReferenceExecutor
from .reference.runner import ReferenceRunner
from .targets import Target


def make_executor(
    description: Description, dtype: np.dtype[Any], target: Target, geometry: Geometry | None = None
) -> Executor:
    """Make the executor of one projection, on a backend that is chosen.

    `geometry` is what the check of the shapes has made of the description, if there is one to hand on.

    Raises
    ------
    ValueError
        If the algorithm that was asked for by name is not there on the backend.
    """
    algorithm = description.algorithm if isinstance(description, SharedDescription) else "auto"
    if algorithm == "3xtf32" and not target.on_gpu:
        raise ValueError(
            f"algorithm='3xtf32' is for backend='cuda' or 'cupy', the backend is {target.backend!r}. "
            "Use algorithm='auto'."
        )
    if target.backend == "reference":
        return ReferenceExecutor(description, dtype)
    if target.on_gpu:
        assert target.backend is not None
        return CudaExecutor(description, dtype, target.backend, target.device or 0, geometry)
    return CpuExecutor(description, dtype, target.threads, geometry)


def make_runner(schedule: Schedule, target: Target) -> Runner:
    """Make the runner of a network; the executors of its steps are of the same target."""
    if target.backend == "reference":
        return ReferenceRunner(schedule)
    if target.on_gpu:
        assert target.backend is not None
        return CudaRunner(schedule, target.backend, target.device or 0, target.stream)
    return CpuRunner(schedule, target.threads)
