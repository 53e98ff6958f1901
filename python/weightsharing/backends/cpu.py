"""The CPU backend: hands descriptions, weights and arrays to the C++ core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks.shapes import Array
from ..description.projections import Description, PoolingDescription, SharedDescription
from ..description.schedule import Executor, NotFinite, Recording, Schedule
from . import core
from .host import HostExecutor, HostRunner
from .listing import write


class CpuExecutor(HostExecutor):
    """One connected projection on the CPU; `geometry` is what `core_geometry` gives, made here if it is left out."""

    def __init__(
        self,
        description: Description,
        dtype: Any,
        threads: int | None = None,
        geometry: core.Geometry | None = None,
    ) -> None:
        shapes: Any = core.core_geometry(description) if geometry is None else geometry
        psp = core.core_psp(description)
        kind = (np.dtype(dtype).name, threads or 0)
        if isinstance(description, SharedDescription):
            value = 0.0 if isinstance(description.padding, str) else description.padding
            name, count = kind
            self.engine = core.Engine.shared(
                shapes, description.operation, value, psp, name, description.algorithm, count
            )
        elif isinstance(description, PoolingDescription):
            self.engine = core.Engine.pooling(shapes, description.operation, psp, *kind)
        else:
            self.engine = core.Engine.synapses(shapes, description.operation, psp, *kind)

    def set_weights(self, weights: Sequence[Array]) -> None:
        self.engine.set_weights(list(weights))

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        self.engine.run(rates, out, accumulate)

    def describe(self) -> dict[str, object]:
        return {"backend": "cpu", **self.engine.describe()}


def _engine(executor: Executor) -> core.Engine:
    assert isinstance(executor, CpuExecutor)
    return executor.engine


def _itself(array: Array) -> Array:
    return array


class CpuRunner(HostRunner):
    """A network's step as a flat list in C++; the loop over the steps holds no Python and no lock."""

    backend = "cpu"

    def __init__(self, schedule: Schedule, threads: int | None = None) -> None:
        self._schedule = core.Schedule(np.dtype(schedule.dtype).name, schedule.dt, threads or 0)
        self._listed = write(schedule, self._schedule, _engine, _itself, _itself)

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        schedule = self._schedule
        self._listed.set_frames(schedule)
        schedule.set_records([(r.values, r.ranks, r.rows, r.first, r.period) for r in recordings])
        try:
            found = schedule.run(first, steps)
        finally:
            self.done = schedule.done
            schedule.set_records([])
        if found is not None:
            number, element = found
            check = self._listed.checks[number]
            raise NotFinite(check, element, float(check.values.flat[element]), self.done)
