"""The CUDA backend: the same descriptions and schedules, on a device, state and all.

The compiled module is imported at the first question whether CUDA can be used, never before.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..arrays import Array
from ..description import Description, PoolingDescription, SharedDescription
from ..schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    FillHistory,
    Frames,
    GatherHistory,
    NotFinite,
    Project,
    PushHistory,
    Recording,
    Schedule,
    SetInput,
    Step,
    Update,
)
from .cpu import core_geometry, core_program, core_psp


@cache
def module(name: str) -> Any:
    """Import a compiled CUDA module of the package, or return the reason why that fails."""
    try:
        return importlib.import_module(f"weightsharing.{name}")
    except ImportError as error:
        return str(error)


def _module() -> Any:
    # The emulation runs the kernels on the CPU: for tests, and built for them only.
    emulated = os.environ.get("WEIGHTSHARING_CUDA") == "emulated"
    return module("_cuda_emulated" if emulated else "_cuda")


def why_not_cuda() -> str:
    """Say why CUDA cannot be used here; an empty text if it can."""
    found = _module()
    if isinstance(found, str):
        return f"not built, because no nvcc was found when the package was installed ({found})"
    return str(found.why_not())


class CudaExecutor:
    """One connected projection on a CUDA device; arrays of the host are copied there and back."""

    def __init__(self, description: Description, dtype: Any) -> None:
        self._dtype = np.dtype(dtype).name
        self._arrays: dict[int, tuple[Any, Any]] = {}  # by number of trials
        engine = _module().Engine
        geometry = core_geometry(description)
        psp = core_psp(description)
        if isinstance(description, SharedDescription):
            value = 0.0 if isinstance(description.padding, str) else description.padding
            self.engine = engine.shared(
                geometry, description.operation, value, psp, self._dtype, description.algorithm
            )
        elif isinstance(description, PoolingDescription):
            self.engine = engine.pooling(geometry, description.operation, psp, self._dtype)
        else:
            self.engine = engine.synapses(geometry, description.operation, psp, self._dtype)

    def set_weights(self, weights: Sequence[Array]) -> None:
        self.engine.set_weights(list(weights))

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        if len(rates) not in self._arrays:
            array = _module().Array
            self._arrays[len(rates)] = (
                array(list(rates.shape), self._dtype),
                array(list(out.shape), self._dtype),
            )
        rates_there, out_there = self._arrays[len(rates)]
        rates_there.upload(rates)
        if accumulate:
            out_there.upload(out)
        self.engine.run(rates_there, out_there, accumulate)
        out_there.download(out)

    def describe(self) -> dict[str, object]:
        return {"backend": "cuda", **self.engine.describe()}


class CudaRunner:
    """A network's step as a list of launches, captured into a graph and replayed.

    Every array of the schedule has a twin on the device. What Python assigns goes there before the next run,
    what the device computes comes back when Python reads it.
    """

    done = 0

    def __init__(self, schedule: Schedule) -> None:
        self._twins: dict[int, tuple[Array, Any]] = {}
        self._stale_on_device: set[int] = set()
        self._stale_on_host: set[int] = set()
        self._written: set[int] = set()
        self._lent: set[int] = set()
        self._inputs: list[tuple[int, Frames]] = []
        self._checks: list[CheckFinite] = []
        self._dt = np.array([schedule.dt], dtype=schedule.dtype)
        self._seed, self._first_trial = schedule.seed, schedule.first_trial
        together = os.environ.get("WEIGHTSHARING_CUDA_LAUNCHES") != "apart"
        self._schedule = _module().Schedule(np.dtype(schedule.dtype).name, schedule.dt, together=together)
        for step in schedule.steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        schedule, twin, written = self._schedule, self._twin, self._written_twin
        if isinstance(step, ClearSum):
            schedule.clear(written(step.out))
        elif isinstance(step, Project):
            assert isinstance(step.executor, CudaExecutor)
            history = None if step.history is None else twin(step.history)
            engine = step.executor.engine
            schedule.project(
                engine, twin(step.rates), history, step.delay, written(step.out), step.accumulate
            )
        elif isinstance(step, Combine):
            schedule.combine(twin(step.values), written(step.out), step.operation, step.divisor)
        elif isinstance(step, GatherHistory):
            schedule.gather_history(twin(step.rates), twin(step.history), step.delays, written(step.out))
        elif isinstance(step, Update):
            self._update(step)
        elif isinstance(step, PushHistory):
            schedule.push(twin(step.rates), written(step.history))
        elif isinstance(step, FillHistory):
            schedule.fill_history(twin(step.rates), written(step.history))
        elif isinstance(step, SetInput):
            self._inputs.append((schedule.input(written(step.rates), len(step.rates)), step.input))
        else:
            schedule.check_finite(twin(step.values))
            self._checks.append(step)

    def _written_twin(self, array: Array) -> Any:
        self._written.add(id(array))
        return self._twin(array)

    def _twin(self, array: Array) -> Any:
        key = id(array)
        if key not in self._twins:
            self._twins[key] = (array, _module().Array(list(array.shape), array.dtype.name))
            self._stale_on_device.add(key)
        return self._twins[key][1]

    def _update(self, step: Update) -> None:
        program = step.neuron.program()
        rates = step.arrays["r"]
        batch = rates.shape[0]
        dt = np.broadcast_to(self._dt, (batch,)).copy()
        inputs = [
            None if name == "t" else self._twin(dt if name == "dt" else step.arrays[name])
            for name in program.inputs
        ]
        outputs = [self._written_twin(step.arrays[name]) for name in program.outputs]
        self._schedule.update(
            core_program(program),
            inputs,
            outputs,
            batch,
            rates.size // batch,
            self._seed,
            step.population,
            self._first_trial,
        )

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        self.done = 0
        schedule = self._schedule
        records = [(self._twin(r.values), r.ranks, r.rows, r.first, r.period) for r in recordings]
        for key in list(self._stale_on_device):
            array, twin = self._twins[key]
            twin.upload(array)
            self._stale_on_device.discard(key)
        for number, shown in self._inputs:
            schedule.set_frames(number, shown.frames, shown.starts, shown.period, shown.origin)
        self._stale_on_host |= self._written
        schedule.set_records(records)
        try:
            found = schedule.run(first, steps)
        finally:
            self.done = schedule.done
            schedule.set_records([])
        if found is not None:
            number, element, step, value = found
            raise NotFinite(self._checks[number], element, value, step + 1 - first)

    def launches(self, recording: bool = False) -> list[str]:
        """Name the kernels that a step launches, in order."""
        names: list[str] = self._schedule.launches(recording)
        return names

    def fetch(self, array: Array) -> None:
        key = id(array)
        if key in self._stale_on_host or key in self._lent:
            self._twins[key][1].download(array)
            self._stale_on_host.discard(key)

    def assigned(self, array: Array) -> None:
        key = id(array)
        if key in self._lent:
            self._twins[key][1].upload(array)
            self._stale_on_host.discard(key)
        elif key in self._twins:
            self._stale_on_host.discard(key)
            self._stale_on_device.add(key)

    def device_array(self, array: Array) -> Any:
        """The twin of an array, up to date; None if the schedule does not name the array."""
        key = id(array)
        if key not in self._twins:
            return None
        if key in self._stale_on_device:
            self._twins[key][1].upload(array)
            self._stale_on_device.discard(key)
        # The caller may write to it at any time: from now on the host asks whenever it reads.
        self._lent.add(key)
        return self._twins[key][1]
