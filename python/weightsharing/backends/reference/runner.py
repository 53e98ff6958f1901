"""Specification section 5: networks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np

from ...checks.shapes import Array
from ...description.schedule import (
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
    Reduce,
    Schedule,
    SetInput,
    Step,
    Update,
)
from ...language.evaluation import Draw, statistic
from ..host import HostRunner
from .noise import noise, noise_key


class ReferenceRunner(HostRunner):
    """A network's step, repeated in a plain Python loop.

    Parameters
    ----------
    schedule
        What one step does.
    """

    backend = "reference"

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        """Run steps ``first`` to ``first + steps - 1``."""
        self.done = 0
        with interrupts_between_steps() as check:
            for number in range(first, first + steps):
                for step in self.schedule.steps:
                    self._run(step, number)
                for recording in recordings:
                    self._keep(recording, number)
                self.done += 1
                for step in self.schedule.steps:
                    if isinstance(step, CheckFinite) and not np.isfinite(step.values).all():
                        element = int(np.argmin(np.isfinite(step.values)))
                        raise NotFinite(step, element, float(step.values.flat[element]), self.done)
                check()

    def _run(self, step: Step, number: int) -> None:
        if isinstance(step, ClearSum):
            step.out[...] = 0.0
        elif isinstance(step, Project):
            self._project(step, number)
        elif isinstance(step, Combine):
            self._combine(step)
        elif isinstance(step, GatherHistory):
            self._gather(step, number)
        elif isinstance(step, Reduce):
            step.out[...] = statistic(step.which, step.values).reshape(step.out.shape)
        elif isinstance(step, Update):
            draw = self._noise(step, number)
            step.neuron.evaluate(step.arrays, self.schedule.dt, number * self.schedule.dt, draw)
        elif isinstance(step, PushHistory):
            step.history[number % len(step.history)] = step.rates
        elif isinstance(step, FillHistory) and number == 0:
            step.history[...] = step.rates
        elif isinstance(step, SetInput):
            self._show(step.input, step.rates, number)

    @staticmethod
    def _project(step: Project, number: int) -> None:
        rates = step.rates
        if step.history is not None:
            rates = step.history[(number - step.delay) % len(step.history)]
        step.executor.run(rates, step.out, step.accumulate)

    @staticmethod
    def _combine(step: Combine) -> None:
        with np.errstate(all="ignore"):
            if step.operation == "sum":
                step.out[...] += step.values / step.out.dtype.type(step.divisor)
            else:
                combine = np.maximum if step.operation == "max" else np.minimum
                combine(step.out, step.values, out=step.out)

    @staticmethod
    def _gather(step: GatherHistory, number: int) -> None:
        delays = step.delays.reshape(step.rates.shape[1:])
        step.out[...] = step.rates
        for delay in np.unique(delays[delays > 0]):
            past = step.history[(number - delay) % len(step.history)]
            step.out[:, delays == delay] = past[:, delays == delay]

    @staticmethod
    def _show(shown: Frames, rates: Array, number: int) -> None:
        place = number - shown.origin
        if shown.frames is None or place < 0:
            return
        if shown.period:
            place %= shown.period
        found = np.flatnonzero(shown.starts == place)
        if found.size:
            rates[...] = shown.frames[found[0]]

    @staticmethod
    def _keep(recording: Recording, number: int) -> None:
        row, rest = divmod(number - recording.first, recording.period)
        if rest == 0 and 0 <= row < len(recording.rows):
            values = recording.values.reshape(len(recording.values), -1)
            recording.rows[row] = values if recording.ranks is None else values[:, recording.ranks]

    def _noise(self, step: Update, number: int) -> Draw:
        """Return what draws the noise of one population in one step."""
        rates = step.arrays["r"]
        trials = len(rates)
        double = rates.dtype == np.float64

        def draw(kind: str, occurrence: int) -> Array:
            once = kind.startswith("population_")
            shape = (1,) * (rates.ndim - 1) if once else rates.shape[1:]
            values = np.empty((trials, *shape), dtype=rates.dtype)
            for trial in range(trials):
                key = noise_key(self.schedule.seed, step.population, self.schedule.first_trial + trial)
                drawn = noise(kind.removeprefix("population_"), key, prod(shape), number, occurrence, double)
                values[trial] = drawn.reshape(shape)
            return values

        return draw


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back, and give a function that raises KeyboardInterrupt if it was pressed."""
    pressed: list[int] = []

    def check() -> None:
        if pressed:
            pressed.clear()
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else's, who decides what it means
        yield check
        return
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
    check()
