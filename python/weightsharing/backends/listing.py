"""A schedule handed step by step to a compiled one: written once, for the CPU and for GPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checks.shapes import Array
from ..description.schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    Executor,
    FillHistory,
    Frames,
    GatherHistory,
    Project,
    PushHistory,
    Reduce,
    Schedule,
    SetInput,
    Update,
)
from .core import core_program


@dataclass
class Listed:
    """What a run needs to know of the steps that were handed over.

    Attributes
    ----------
    inputs
        Number of each timed input in the compiled schedule, and what it shows.
    checks
        In the order of their numbers in the compiled schedule.
    """

    inputs: list[tuple[int, Frames]] = field(default_factory=list)
    checks: list[CheckFinite] = field(default_factory=list)

    def set_frames(self, compiled: Any) -> None:
        """Hand over what the inputs show now, before a run."""
        for number, shown in self.inputs:
            compiled.set_frames(number, shown.frames, shown.starts, shown.period, shown.origin)


def write(
    schedule: Schedule,
    compiled: Any,
    engine: Callable[[Executor], Any],
    array: Callable[[Array], Any],
    written: Callable[[Array], Any],
) -> Listed:
    """Hand over every step, in order.

    Parameters
    ----------
    schedule
        What one step of the network does.
    compiled
        An empty schedule of `_core` or of a device module; their methods are the same.
    engine
        Gives what the compiled schedule takes for an executor.
    array, written
        Give what it takes for an array that is read, and for one that is written to.
    """
    listed = Listed()
    for step in schedule.steps:
        if isinstance(step, SetInput):
            listed.inputs.append((compiled.input(written(step.rates), len(step.rates)), step.input))
        elif isinstance(step, CheckFinite):
            compiled.check_finite(array(step.values))
            listed.checks.append(step)
        elif isinstance(step, Project):
            _write_project(step, compiled, engine, array, written)
        elif isinstance(step, Update):
            _write_update(step, schedule, compiled, array, written)
        else:
            _write_plain(step, compiled, array, written)
    return listed


def _write_plain(
    step: ClearSum | Combine | GatherHistory | Reduce | PushHistory | FillHistory,
    compiled: Any,
    array: Callable[[Array], Any],
    written: Callable[[Array], Any],
) -> None:
    """Hand over a step that is nothing but its arrays."""
    if isinstance(step, ClearSum):
        compiled.clear(written(step.out))
    elif isinstance(step, Combine):
        compiled.combine(array(step.values), written(step.out), step.operation, step.divisor)
    elif isinstance(step, GatherHistory):
        compiled.gather_history(array(step.rates), array(step.history), step.delays, written(step.out))
    elif isinstance(step, Reduce):
        compiled.statistic(array(step.values), written(step.out), step.which)
    elif isinstance(step, PushHistory):
        compiled.push(array(step.rates), written(step.history))
    else:
        compiled.fill_history(array(step.rates), written(step.history))


def _write_project(
    step: Project,
    compiled: Any,
    engine: Callable[[Executor], Any],
    array: Callable[[Array], Any],
    written: Callable[[Array], Any],
) -> None:
    rates, history = array(step.rates), None if step.history is None else array(step.history)
    compiled.project(engine(step.executor), rates, history, step.delay, written(step.out), step.accumulate)


def _write_update(
    step: Update,
    schedule: Schedule,
    compiled: Any,
    array: Callable[[Array], Any],
    written: Callable[[Array], Any],
) -> None:
    program = step.neuron.program()
    rates = step.arrays["r"]
    batch = rates.shape[0]
    dt = np.full(batch, schedule.dt, dtype=schedule.dtype)
    inputs = [
        None if name == "t" else array(dt if name == "dt" else step.arrays[name]) for name in program.inputs
    ]
    outputs = [written(step.arrays[name]) for name in program.outputs]
    compiled.update(
        core_program(program),
        inputs,
        outputs,
        batch,
        rates.size // batch,
        schedule.seed,
        step.population,
        schedule.first_trial,
    )
