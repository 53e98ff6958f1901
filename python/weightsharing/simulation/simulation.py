"""`Simulation`: a compiled network, run step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.making import make_runner
from ..backends.targets import Target
from ..checks.errors import MovieError, StateError
from ..checks.memory import counted, free_memory
from ..checks.shapes import Array
from ..description.schedule import NotFinite, Recording, Runner, Schedule
from ..state.assembly import Assembly
from ..state.shown import Shown
from ..state.timetable import Timetable
from ..state.units import Units
from .callbacks import Callbacks
from .compilation import compile_steps
from .histories import History
from .placement import run_dtype
from .progress import progress_bar
from .tracks import begin_all


@dataclass(frozen=True)
class State:
    """Copies of arrays, with the arrays that they belong to, and where movies stand."""

    values: list[tuple[Array, Array]]
    steps_done: int
    draws: Any
    shown: list[tuple[Shown, Any]]


class Simulation:
    """A network that is compiled, and what belongs to it until it is compiled again.

    Parameters
    ----------
    assembly
        The network; every link is connected.
    target
        Where it runs, everything decided.
    callbacks
        Functions that are called between steps.

    Attributes
    ----------
    histories
        Earlier rates that its projections read.

    Raises
    ------
    ValueError
        If the network cannot be compiled; it is as it was then.
    """

    def __init__(self, assembly: Assembly, target: Target, callbacks: Callbacks) -> None:
        self.assembly, self.context = assembly, assembly.context
        self._callbacks = callbacks
        self._pushed: list[State] = []
        # What `reset` restores. Copied first: memory may be short, and the runner before is in charge until then.
        initial = [{name: units.array(name).copy() for name in units.declared} for units in assembly.units]
        self._initial_draws = self.context.source.state
        self.prepare(target)
        for units, values in zip(assembly.units, initial, strict=True):
            units.initial = values

    def prepare(self, target: Target) -> None:
        """Write the schedule and make what runs it, also for histories with other arrays."""
        context = self.context
        compiled = compile_steps(self.assembly, target)
        dtype = run_dtype(self.assembly)
        schedule = Schedule(compiled.steps, dtype, context.dt, context.source.seed, context.first_trial)
        self._runner: Runner = make_runner(schedule, target)
        self.histories: tuple[History, ...] = compiled.histories
        context.storage.runner = self._runner

    # --- Values and time ---

    def reset(self) -> None:
        """Return to the values, histories and time of the beginning; weights stay."""
        for units in self.assembly.units:
            for name, initial in units.initial.items():
                self.context.storage.fill(units.array(name), initial)
            for sums in units.sums.values():
                self.context.storage.fill(sums, 0.0)
        self.context.source.state = self._initial_draws
        self.restart()

    def restart(self) -> None:
        """Go to the time before step 0, with histories of what was before."""
        self.context.clock.steps_done = 0
        for keeper in self.assembly.keepers:
            keeper.reset()
        self._pushed.clear()
        for shown in self._shown():
            shown.again()
        for history in self.histories:
            if not history.of_movie:
                self.context.storage.fill(history.array, history.initial())

    def push(self) -> None:
        """Keep a copy of the present state, on a stack."""
        self._pushed.append(self._state())

    def pop(self) -> None:
        """Return to the state that was pushed last; raises StateError if none is left."""
        if not self._pushed:
            raise StateError("pop_state: no state was pushed.")
        self._restore(self._pushed.pop())

    def _state(self) -> State:
        """A copy of everything that a run changes."""
        storage = self.context.storage
        arrays = [
            array
            for units in self.assembly.units
            for array in (*map(units.array, units.declared), *units.sums.values())
        ]
        arrays += [history.array for history in self.histories]
        return State(
            [(array, storage.fetch(array).copy()) for array in arrays],
            self.context.clock.steps_done,
            self.context.source.state,
            [(shown, shown.state()) for shown in self._shown()],
        )

    def _restore(self, state: State) -> None:
        for array, values in state.values:
            self.context.storage.fill(array, values)
        self.context.clock.steps_done = state.steps_done
        self.context.source.state = state.draws
        for shown, what in state.shown:
            shown.restore(what)

    def _shown(self) -> list[Shown]:
        return [units.shown for units in self.assembly.units if units.shown is not None]

    # --- Running ---

    def run(
        self,
        steps: int,
        progress: bool = False,
        recordings: Sequence[Recording] = (),
        histories_known: bool = False,
    ) -> None:
        """Run some steps, in pieces: callbacks come in between, a movie may arrive frame by frame.

        Parameters
        ----------
        steps
            How many.
        progress
            Whether to show a progress bar.
        recordings
            What to keep beside that of the monitors.
        histories_known
            Whether the histories that are made from a whole movie are filled.
        """
        context, clock = self.context, self.context.clock
        context.require_between_runs("run")
        first, end = clock.steps_done, clock.steps_done + steps
        if steps and first == 0 and not histories_known:
            self._check_histories_known()
        bar = progress_bar(steps) if progress else None
        # A callback may set another movie.
        streaming = any(shown.streams or self._callbacks.functions for shown in self._shown())
        before = self._state() if streaming else None
        weights = [
            (one.weights, one.weights.arrays) for one in self.assembly.links if one.weights is not None
        ]
        try:
            begin_all(self.assembly.keepers, first, steps)
            clock.run_end = end
            while clock.steps_done < end:
                upto = min(self._callbacks.call(clock.steps_done, context.dt), end)
                if bar is not None:
                    upto = min(upto, clock.steps_done + bar.piece())
                self._run_piece(upto, recordings)
                if bar is not None:
                    bar.advance(clock.steps_done - first)
        except MovieError:
            # What a movie hands over is known only when it is asked: nothing of this run has happened.
            assert before is not None
            self._restore(before)
            for held, arrays in weights:
                if held.arrays is not arrays:
                    held.assign(arrays)
            raise
        finally:
            clock.run_end = None
            for keeper in self.assembly.keepers:
                keeper.end(clock.steps_done)
            if bar is not None:
                bar.close()

    def _run_piece(self, upto: int, recordings: Sequence[Recording]) -> None:
        """Run to a step at most, less if a movie has fewer frames ready."""
        clock, runner = self.context.clock, self._runner
        for shown in self._shown():
            upto = min(upto, shown.ready(clock.steps_done, upto))
        for link in self.assembly.links:
            link.executors_for_step()  # with the present weights
        kept = [*recordings, *(one for keeper in self.assembly.keepers for one in keeper.recordings())]
        try:
            runner.run(clock.steps_done, upto - clock.steps_done, kept)
        except NotFinite as found:
            raise self._not_finite(found, clock.steps_done + found.steps) from None
        finally:
            clock.steps_done += runner.done

    def _not_finite(self, found: NotFinite, steps: int) -> FloatingPointError:
        shape = found.check.values.shape
        place = tuple(int(entry) for entry in np.unravel_index(found.element, shape))
        trial = "" if self.context.batch is None else f" of trial {place[0]}"
        return FloatingPointError(
            f"{found.check.population!r}: {found.check.variable} is {found.value} at unit {place[1:]}{trial} after "
            f"step {steps} (t = {steps * self.context.dt:.15g} ms), the first value that is not finite."
        )

    # --- Whole movies ---

    def run_movies(
        self, movies: Mapping[Units, Array], output: Sequence[Units], progress: bool = False
    ) -> list[Array]:
        """Show whole movies, one frame in each step, and return what populations made of them.

        Parameters
        ----------
        movies
            Frames by the units that show them, all of one length.
        output
            Whose rates to return.
        progress
            Whether to show a progress bar.

        Returns
        -------
        list of ndarray (frames, \\*geometry), or (frames, batch, \\*geometry)
            Rates at the end of each step.

        Raises
        ------
        As `Network.run`.
        """
        steps = len(next(iter(movies.values())))
        kept = sum(one.array("r").nbytes for one in output)
        free = free_memory()
        if free is not None and kept * steps > free:
            raise MemoryError(
                f"output: the rates of {steps} frames need {counted(kept * steps)}, {counted(free)} are free; give the "
                "movie in pieces."
            )
        first = self.context.clock.steps_done
        if first == 0:
            self._fill_from(movies)
        screens = {units.shown: frames for units, frames in movies.items() if units.shown is not None}
        before = [(shown, shown.state()) for shown in screens]
        for shown, frames in screens.items():
            shown.show(Timetable(frames, 0.0, "every"), first)
        recordings = [
            Recording(rates, None, np.empty((steps, len(rates), rates[0].size), rates.dtype), first, 1)
            for rates in (one.array("r") for one in output)
        ]
        try:
            self.run(steps, progress, recordings, histories_known=True)
        except BaseException:
            if self.context.clock.steps_done == first:
                for shown, state in before:
                    shown.restore(state)
            raise
        return [
            recording.rows.reshape(steps, *self.context.outer(one.geometry))
            for one, recording in zip(output, recordings, strict=True)
        ]

    def _fill_from(self, movies: Mapping[Units, Array]) -> None:
        """Fill the histories that are made from a whole movie."""
        filled = []
        for history in self.histories:
            if not history.of_movie:
                continue
            movie = movies.get(history.units)
            if movie is None:
                raise ValueError(
                    f"history={history.policy!r} of {history.units.name!r} is made from a whole movie, and this "
                    "population shows none; choose another history."
                )
            filled.append((history.array, history.initial(movie)))
        for array, values in filled:
            self.context.storage.fill(array, values)

    def _check_histories_known(self) -> None:
        for history in self.histories:
            if history.of_movie:
                raise StateError(
                    f"history={history.policy!r} of {history.units.name!r} is made from a whole movie: "
                    "begin with run(movie), or choose another history."
                )
