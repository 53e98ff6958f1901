"""`Tracks`: the rows that a monitor keeps of a run, and the memory they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from ..checks.memory import counted, free_memory
from ..checks.numbers import finite_number, positive_number
from ..checks.shapes import Array, Shape
from ..checks.times import whole_steps
from ..description.schedule import Recording
from ..state.assembly import Keeper
from ..state.part import Part
from ..state.units import Units


class Track:
    """What is recorded of one variable.

    Attributes
    ----------
    recording
        Whether the next run is recorded.
    chunks
        Rows of earlier runs, each (n, B, kept units).
    spans
        First step and the one after the last of the time that the chunks come from.
    running
        What the present run keeps.
    """

    def __init__(self, recording: bool = False) -> None:
        self.recording = recording
        self.chunks: list[Array] = []
        self.spans: list[tuple[int, int]] = []
        self.taken: list[tuple[int, int]] | None = None  # spans of the last `take`
        self.running: Recording | None = None
        self.first = 0

    def begin(self, first: int, recording: Recording) -> None:
        """Begin a run at a step."""
        self.first, self.running = first, recording

    def so_far(self, steps_done: int) -> list[Array]:
        """All rows, those of the present run up to a step included."""
        running = self.running
        if running is None:
            return self.chunks
        count = max(0, -(-(steps_done - running.first) // running.period))
        # A part keeps the whole array alive, of which the system has given only those pages that were written.
        return [*self.chunks, running.rows[:count]]

    def end(self, steps_done: int) -> None:
        """Keep the rows of the steps that the run has completed."""
        if self.running is None:
            return
        self.chunks = [rows for rows in self.so_far(steps_done) if len(rows)]
        self.running = None
        if steps_done > self.first:
            if self.spans and self.spans[-1][1] == self.first:
                self.spans[-1] = (self.spans[-1][0], steps_done)
            else:
                self.spans.append((self.first, steps_done))

    def take(self, keep: bool) -> Array | None:
        """Return all chunks as one, if there are any, and forget them unless they are to be kept."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        rows = self.chunks[0] if self.chunks else None
        self.taken = list(self.spans)
        if not keep:
            self.chunks, self.spans = [], []
        elif rows is not None:
            rows = rows.view()
            rows.setflags(write=False)
        return rows

    def last_spans(self) -> list[tuple[int, int]]:
        """Spans of the last `take`; before the first one, those there are so far."""
        return self.spans if self.taken is None else self.taken

    def clear(self) -> None:
        """Forget all rows."""
        self.chunks, self.spans, self.taken, self.running = [], [], None, None


class Tracks:
    """All that is recorded of one population, or of some of its units, with one period.

    Attributes
    ----------
    units, part
        Whose values; the part is None for all units.
    made
        Step that the rows are counted from.
    period, offset
        In ms; a period of None is one step.
    by_name
        The tracks, by the name of the variable or of the sum, ``sum(target)``.
    """

    def __init__(self, units: Units, part: Part | None) -> None:
        self.units, self.part = units, part
        self.made = self.now
        self.period: float | None = None
        self.offset = 0.0
        self.by_name: dict[str, Track] = {}

    @property
    def now(self) -> int:
        """Steps done."""
        return self.units.context.clock.steps_done

    def set_period(self, period: float | None, offset: float | None) -> None:
        """Choose the period and its offset; raises before anything changes."""
        dt = self.units.context.dt
        period = None if period is None else positive_number("period", period)
        offset = 0.0 if offset is None else finite_number("period_offset", offset)
        steps = 1 if period is None else whole_steps("period", period, dt)
        if steps < 1:
            raise ValueError(f"period is {period} ms; expected at least one step, {dt} ms.")
        if whole_steps("period_offset", offset, dt) >= steps:
            raise ValueError(
                f"period_offset is {offset} ms; expected less than the period, {dt if period is None else period} ms."
            )
        self.period, self.offset = period, offset

    # --- Rows ---

    def taken(self, variable: str, keep: bool, reshape: bool) -> Array:
        """Return the rows of a variable as people get them, and forget them unless they are to be kept."""
        rows, shape = self.by_name[variable].take(keep), self._row_shape(variable, reshape)
        if rows is None:
            return np.zeros((0, *shape), dtype=self.units.dtype)
        return rows.reshape(len(rows), *shape)

    def _row_shape(self, variable: str, reshape: bool) -> Shape:
        """Shape of one row as people get it."""
        if not self._is_local(variable):
            own = self.units.own_shape(variable)
        elif self.part is None:
            own = self.units.geometry if reshape else (self.units.size,)
        else:
            own = self.part.shape if reshape else (self.part.size,)
        return self.units.context.outer(own)

    def _array(self, variable: str) -> Array:
        target = summed_target(variable)
        return self.units.array(variable) if target is None else self.units.sum_array(target)

    def _is_local(self, variable: str) -> bool:
        return summed_target(variable) is not None or self.units.locality(variable) == "local"

    def _kept(self, variable: str) -> int:
        """Number of values of one trial in a row."""
        if self._is_local(variable):
            return self.units.size if self.part is None else self.part.size
        return int(self._array(variable)[0].size)

    # --- Runs ---

    def _first_and_count(self, first: int, steps: int) -> tuple[int, int, int]:
        """First step of a run that is kept, number of those kept, and the period in steps."""
        dt = self.units.context.dt
        period = 1 if self.period is None else whole_steps("period", self.period, dt)
        offset = whole_steps("period_offset", self.offset, dt)
        wait = (self.made + offset - first) % period
        return first + wait, max(0, -(-(steps - wait) // period)), period

    def bytes_needed(self, first: int, steps: int) -> int:
        """Memory of the rows of a run."""
        count = self._first_and_count(first, steps)[1]
        trials, size = self.units.context.trials, self.units.dtype.itemsize
        return sum(
            count * trials * self._kept(name) * size
            for name, track in self.by_name.items()
            if track.recording
        )

    def begin(self, first: int, steps: int) -> None:
        """Allocate the rows of a run."""
        start, count, period = self._first_and_count(first, steps)
        for name, track in self.by_name.items():
            if not track.recording:
                continue
            ranks = self.part.ranks if self.part is not None and self._is_local(name) else None
            rows = np.empty((count, self.units.context.trials, self._kept(name)), dtype=self.units.dtype)
            track.begin(first, Recording(self._array(name), ranks, rows, start, period))

    def recordings(self) -> Iterator[Recording]:
        """What the backend is to keep during the present run."""
        for track in self.by_name.values():
            if track.running is not None and track.running.rows.size:
                yield track.running

    def end(self, steps_done: int) -> None:
        """Keep the rows of the steps that a run has completed."""
        for track in self.by_name.values():
            track.end(steps_done)

    def reset(self) -> None:
        """Forget all rows; time begins anew."""
        self.made = 0
        for track in self.by_name.values():
            track.clear()

    @contextmanager
    def between_runs(self) -> Iterator[None]:
        """End the present run, if there is one, and begin what is left of it: callbacks may change what is kept."""
        self.end(self.now)
        try:
            yield
        finally:
            self.begin_in_run()

    def begin_in_run(self) -> None:
        """Begin what is left of the present run, if there is one."""
        end = self.units.context.clock.run_end
        if end is not None:
            begin_all([self], self.now, end - self.now)


def begin_all(keepers: Iterable[Keeper], first: int, steps: int) -> None:
    """Allocate the rows of a run for all monitors.

    Raises
    ------
    MemoryError
        If they need more than is free; nothing has changed then.
    """
    begun = tuple(keepers)
    needed, free = sum(one.bytes_needed(first, steps) for one in begun), free_memory()
    if free is not None and needed > free:
        raise _too_much(needed, steps, f"{counted(free)} are free")
    try:
        for one in begun:
            one.begin(first, steps)
    except (MemoryError, ValueError) as error:  # NumPy's for arrays beyond every address
        for one in begun:
            one.end(first)
        raise _too_much(needed, steps, f"the system refused ({error})") from None


def _too_much(needed: int, steps: int, problem: str) -> MemoryError:
    return MemoryError(
        f"the monitors need {counted(needed)} for the rows of {steps} steps, {problem}. Record less: a longer "
        "period, a view of the population, fewer variables; or simulate in parts with get() in between."
    )


def summed_target(variable: str) -> str | None:
    """Return the target that ``sum(target)`` names, None for anything else."""
    name = variable[4:-1]
    found = variable.startswith("sum(") and variable.endswith(")") and name.isidentifier()
    return name if found else None
