"""The CPU backend: hands descriptions, weights and arrays to the C++ core."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import _core
from ..checks.shapes import Array
from ..description.projections import Description, PoolingDescription, SharedDescription
from ..description.schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    FillHistory,
    Frames,
    GatherHistory,
    HostRunner,
    NotFinite,
    Project,
    PushHistory,
    Recording,
    Reduce,
    Schedule,
    SetInput,
    Step,
    Update,
)
from ..language.expressions import Expression, Program


def shared_geometry(description: SharedDescription) -> _core.SharedGeometry:
    """Check the shapes of a filter or bank; raises ValueError that names them and the remedy."""
    padding = description.padding if isinstance(description.padding, str) else "constant"
    return _core.SharedGeometry(
        pre=description.pre,
        post=description.post,
        extents=list(description.extents),
        bank=description.bank,
        keep_last_dimension=description.keep_last_dimension,
        flip=description.method == "convolution",
        padding=padding,
        strides=description.strides,
        dilation=description.dilation,
        first=description.first,
        anchor=description.anchor,
        centres=description.centres,
    )


def core_program(program: Program) -> _core.Program:
    """Hand bytecode to the core, which checks it."""
    return _core.Program(
        code=program.code,
        constants=list(program.constants),
        slots=program.slots,
        inputs=len(program.inputs),
        outputs=len(program.outputs),
    )


def _one_sided(expression: Expression, name: str) -> _core.Program | None:
    return None if expression.is_identity else core_program(expression.program((name,)))


def core_geometry(description: Description) -> Any:
    """Check the shapes of any description; raises ValueError that names them and the remedy."""
    if isinstance(description, SharedDescription):
        return shared_geometry(description)
    if isinstance(description, PoolingDescription):
        return _core.PoolingGeometry(
            pre=description.pre, post=description.post, extent=description.extent, stride=description.stride
        )
    return _core.SynapsesGeometry(
        pre=prod(description.pre),
        post=prod(description.post),
        row_start=description.row_start,
        column=description.column,
    )


def core_psp(description: Description) -> _core.Psp:
    """Split the psp into f(w) * g(pre.r) where that is possible; the identity needs no program."""
    psp = description.psp
    if isinstance(description, PoolingDescription):
        return _core.Psp(rate=_one_sided(psp, "pre.r"))
    parts = psp.split()
    if parts is None:
        return _core.Psp(general=core_program(psp.program(("w", "pre.r"))))
    of_weight, of_rate = parts
    return _core.Psp(weight=_one_sided(of_weight, "w"), rate=_one_sided(of_rate, "pre.r"))


class CpuExecutor:
    """One connected projection on the CPU."""

    def __init__(self, description: Description, dtype: Any, threads: int | None = None) -> None:
        geometry, psp = core_geometry(description), core_psp(description)
        kind = (np.dtype(dtype).name, threads or 0)
        if isinstance(description, SharedDescription):
            value = 0.0 if isinstance(description.padding, str) else description.padding
            name, count = kind
            self.engine = _core.Engine.shared(
                geometry, description.operation, value, psp, name, description.algorithm, count
            )
        elif isinstance(description, PoolingDescription):
            self.engine = _core.Engine.pooling(geometry, description.operation, psp, *kind)
        else:
            self.engine = _core.Engine.synapses(geometry, description.operation, psp, *kind)

    def set_weights(self, weights: Sequence[Array]) -> None:
        self.engine.set_weights(list(weights))

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        self.engine.run(rates, out, accumulate)

    def describe(self) -> dict[str, object]:
        return {"backend": "cpu", **self.engine.describe()}


class CpuRunner(HostRunner):
    """A network's step as a flat list in C++; the loop over the steps holds no Python and no lock."""

    def __init__(self, schedule: Schedule, threads: int | None = None) -> None:
        self._schedule = _core.Schedule(np.dtype(schedule.dtype).name, schedule.dt, threads or 0)
        self._dt = np.array([schedule.dt], dtype=schedule.dtype)
        self._seed, self._first_trial = schedule.seed, schedule.first_trial
        self._inputs: list[tuple[int, Frames]] = []
        self._checks: list[CheckFinite] = []
        for step in schedule.steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        schedule = self._schedule
        if isinstance(step, ClearSum):
            schedule.clear(step.out)
        elif isinstance(step, Project):
            assert isinstance(step.executor, CpuExecutor)
            engine = step.executor.engine
            schedule.project(engine, step.rates, step.history, step.delay, step.out, step.accumulate)
        elif isinstance(step, Combine):
            schedule.combine(step.values, step.out, step.operation, step.divisor)
        elif isinstance(step, GatherHistory):
            schedule.gather_history(step.rates, step.history, step.delays, step.out)
        elif isinstance(step, Reduce):
            schedule.statistic(step.values, step.out, step.which)
        elif isinstance(step, Update):
            self._update(step)
        elif isinstance(step, PushHistory):
            schedule.push(step.rates, step.history)
        elif isinstance(step, FillHistory):
            schedule.fill_history(step.rates, step.history)
        elif isinstance(step, SetInput):
            self._inputs.append((schedule.input(step.rates, len(step.rates)), step.input))
        else:
            schedule.check_finite(step.values)
            self._checks.append(step)

    def _update(self, step: Update) -> None:
        program = step.neuron.program()
        rates = step.arrays["r"]
        batch = rates.shape[0]
        dt = np.broadcast_to(self._dt, (batch,)).copy()
        inputs = [
            None if name == "t" else dt if name == "dt" else step.arrays[name] for name in program.inputs
        ]
        outputs = [step.arrays[name] for name in program.outputs]
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
        schedule = self._schedule
        for number, shown in self._inputs:
            schedule.set_frames(number, shown.frames, shown.starts, shown.period, shown.origin)
        schedule.set_records([(r.values, r.ranks, r.rows, r.first, r.period) for r in recordings])
        try:
            found = schedule.run(first, steps)
        finally:
            self.done = schedule.done
            schedule.set_records([])
        if found is not None:
            number, element = found
            check = self._checks[number]
            raise NotFinite(check, element, float(check.values.flat[element]), self.done)
