"""From populations and projections to the flat list of a step: orders, delays, histories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .checks.shapes import Array
from .description.delays import delay_steps
from .description.histories import OF_MOVIES, UpdateOrder, first_frame
from .description.projections import Operation
from .description.schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    Executor,
    FillHistory,
    GatherHistory,
    Project,
    PushHistory,
    Reduce,
    SetInput,
    Step,
    Update,
)
from .language.operations import ALL_TARGETS
from .population import Population

if TYPE_CHECKING:
    from .projection import BaseProjection


# Taps along time that are added up one after the other; longer sums add such partial sums, so that their
# rounding error stays small.
_CHUNK_TAPS = 32


@dataclass(eq=False)
class History:
    """Earlier rates of one population, and what stands for those before step 0.

    Attributes
    ----------
    population, policy
        Whose rates, and the `history=` of the projections that read them.
    moment
        ``'end'``: rates at the end of a step. ``'start'``: rates as the projections of a step read them, which
        differ from those of the end of the step before where Python or a movie assigned them in between.
    early
        Whether it begins with the rates from before step 0, as its readers come before the population's own
        update (feedforward order only).
    depth
        In steps.
    array
        (depth, B, \\*geometry), step s in row ``s % depth``.
    """

    population: Population
    policy: Any
    moment: Literal["start", "end"]
    early: bool
    depth: int = 0
    array: Array = field(default_factory=lambda: np.zeros(0))

    def initial(self, movie: Array | None = None) -> Array | float:
        """Return what stands in the array before step 0, oldest first."""
        if isinstance(self.policy, str) and self.policy in OF_MOVIES:
            assert movie is not None
            before = before_movie(movie, self.policy, self.depth, self.population.dimension)
            return before.reshape(self.depth, -1, *self.population.geometry)
        if isinstance(self.policy, str):
            return 1.0 if self.policy == "ones" else 0.0
        return self._given(np.asarray(self.policy))

    def _given(self, given: Array) -> Array:
        """The last `depth` frames of an array that the user gave, with the batch axis."""
        axes = self.population.dimension
        if given.ndim == axes:
            return given[np.newaxis, np.newaxis]
        if len(given) < self.depth:
            raise ValueError(
                f"history of {self.population.name!r} has {len(given)} frames; expected at least {self.depth}, as "
                "many steps as its projections reach back, or a single frame of the geometry."
            )
        last = given[len(given) - self.depth :]
        return last[:, np.newaxis] if given.ndim == axes + 1 else last


def before_movie(movie: Array, policy: str, frames: int, axes: int) -> Array:
    """Return the frames (frames, \\*frame) that stand before a movie (t, [batch], \\*frame), per trial.

    `axes` is the number of axes of a frame.

    ``'mean'``: the mean over time and units. ``'mirror'``: the movie backwards, so that its first frame comes
    twice. ``'full_copy'``: the movie itself. Movies that are too short are repeated.
    """
    if policy == "mean":
        # Copied, so that a trial's mean is rounded as if it were alone.
        trials = movie.reshape(len(movie), -1, *movie.shape[movie.ndim - axes :])
        means = [np.ascontiguousarray(trials[:, b]).mean(dtype=np.float64) for b in range(trials.shape[1])]
        each = np.array(means).reshape(-1, *(1,) * axes) if movie.ndim > axes + 1 else np.array(means[0])
        return np.broadcast_to(each, (frames, *movie.shape[1:]))
    steps = np.arange(-frames, 0)
    return movie[(-1 - steps if policy == "mirror" else steps) % len(movie)]


@dataclass
class Compiled:
    """One step of a network, and the histories it reads."""

    steps: tuple[Step, ...]
    histories: tuple[History, ...]


def compile_steps(
    populations: Sequence[Population],
    projections: Sequence[BaseProjection],
    executors: Mapping[BaseProjection, Sequence[Executor]],
    order: UpdateOrder,
    dt: float,
    check_finite: bool,
) -> Compiled:
    """Write one step of a network as a flat list (see `schedule`).

    Raises
    ------
    ValueError
        If projections of a feedforward network form a cycle without delay, a delay is more than can be stored,
        or a history does not fit.
    """
    return _Compilation(populations, projections, executors, order, dt, check_finite).compiled()


class _Compilation:
    def __init__(
        self,
        populations: Sequence[Population],
        projections: Sequence[BaseProjection],
        executors: Mapping[BaseProjection, Sequence[Executor]],
        order: UpdateOrder,
        dt: float,
        check_finite: bool,
    ) -> None:
        self.populations, self.projections, self.executors = populations, projections, executors
        self.order, self.dt, self.check_finite = order, dt, check_finite
        self.delays = {one: delay_steps(one.delays, one.pre.size, dt, order) for one in projections}
        self.histories: dict[tuple[Any, ...], History] = {}
        self.fed: set[tuple[Population, str]] = set()
        self.temporaries: dict[tuple[Any, ...], Array] = {}
        self.early: set[BaseProjection] = set()
        if order == "feedforward":
            self.early = self._early_readers()
            self.sorted = self._topological()
        else:
            self.sorted = list(populations)

    def compiled(self) -> Compiled:
        """The list, with histories as deep as their deepest readers."""
        for projection in self.projections:
            for history, depth in self._reads(projection):
                history.depth = max(history.depth, depth)
        for history in self.histories.values():
            pre = history.population
            shape = (history.depth, *pre._shape("r"))
            try:
                history.array = np.zeros(shape, dtype=pre.dtype)
            except MemoryError:
                raise MemoryError(
                    f"the rates of {pre.name!r} in the last {history.depth} steps, an array {shape}, need "
                    f"{math.prod(shape) * pre.dtype.itemsize:,} bytes, more than is free; choose smaller delays, a "
                    "larger dt or a smaller batch."
                ) from None
            history.initial(np.zeros((1, *pre._shape("r"))))  # raises if it does not fit
        steps = list(self._feedforward() if self.order == "feedforward" else self._synchronous())
        if self.check_finite:
            steps += self._checks()
        return Compiled(tuple(steps), tuple(self.histories.values()))

    # --- Orders ---

    def _synchronous(self) -> Iterable[Step]:
        for population in self.populations:
            yield from self._shown(population)
        yield from self._fills(self.histories.values())
        for projection in self.projections:
            yield from self._project(projection)
        # Kept before the updates overwrite them.
        yield from self._pushes("start")
        for population in self.populations:
            yield from self._clears(population)
        for population in self.populations:
            yield from self._update(population)
        yield from self._pushes("end")

    def _feedforward(self) -> Iterable[Step]:
        for population in self.populations:
            yield from self._shown(population)
        yield from self._fills(one for one in self.histories.values() if one.early)
        for population in self.sorted:
            for projection in self.projections:
                if projection.post is population:
                    yield from self._project(projection)
            yield from self._clears(population)
            yield from self._update(population)
            yield from self._fills(
                one for one in self.histories.values() if one.population is population and not one.early
            )
        yield from self._pushes("end")

    def _topological(self) -> list[Population]:
        """Populations so that each comes after those it reads in the same step."""
        reads: dict[Population, list[Population]] = {population: [] for population in self.populations}
        for projection in self.projections:
            if np.min(self.delays[projection]) == 0 or (
                first_frame(projection._history) and projection not in self.early
            ):
                reads[projection.post].append(projection.pre)
        ordered: list[Population] = []
        state: dict[Population, int] = {}
        for start in self.populations:
            # Depth first with a stack of its own: chains may be longer than Python's recursion limit.
            stack = [(start, iter(reads[start]))]
            if start in state:
                continue
            state[start] = 1
            while stack:
                population, rest = stack[-1]
                following = next(rest, None)
                if following is None:
                    stack.pop()
                    state[population] = 2
                    ordered.append(population)
                elif following not in state:
                    state[following] = 1
                    stack.append((following, iter(reads[following])))
                elif state[following] == 1:
                    path = [one for one, _ in stack]
                    cycle = [*path[path.index(following) :], following][::-1]
                    raise ValueError(
                        f"feedforward: the populations {' -> '.join(repr(one.name) for one in cycle)} form a "
                        f"cycle within one step; give one of its projections a delay of at least dt = {self.dt} ms, or "
                        "use update='synchronous'."
                    )
        return ordered

    def _early_readers(self) -> set[BaseProjection]:
        """Delayed projections that want the first frame of what depends on them, in whatever order they come.

        All other readers of a first frame come after the population that they read.
        """
        wants = [
            one for one in self.projections if first_frame(one._history) and np.min(self.delays[one]) > 0
        ]
        reads: dict[Population, list[Population]] = {population: [] for population in self.populations}
        for projection in self.projections:
            if projection in wants or np.min(self.delays[projection]) == 0:
                reads[projection.post].append(projection.pre)

        def depends(population: Population, on: Population) -> bool:
            found, rest = {population}, [population]
            while rest:
                following = set(reads[rest.pop()]) - found
                found |= following
                rest.extend(following)
            return on in found

        return {one for one in wants if depends(one.pre, one.post)}

    # --- Histories ---

    def _reads(self, projection: BaseProjection) -> Iterable[tuple[History, int]]:
        """Histories that a projection reads, and how many steps they must reach back."""
        delay = self.delays[projection]
        longest = int(np.max(delay))
        taps = projection._time_taps or 1
        if longest:
            yield self._history(projection, "end"), longest + taps - 1
        elif taps > 1:
            moment: Literal["start", "end"] = "start" if self.order == "synchronous" else "end"
            yield self._history(projection, moment), taps - 1

    def _history(self, projection: BaseProjection, moment: Literal["start", "end"]) -> History:
        pre, policy = projection.pre, projection._history
        early = projection in self.early
        key = (pre, policy if isinstance(policy, str) else id(policy), moment, early)
        if key not in self.histories:
            self.histories[key] = History(pre, policy, moment, early)
        return self.histories[key]

    def _fills(self, histories: Iterable[History]) -> Iterable[Step]:
        for history in histories:
            if first_frame(history.policy):
                yield FillHistory(history.population._array("r"), history.array)

    def _pushes(self, moment: Literal["start", "end"]) -> Iterable[Step]:
        for history in self.histories.values():
            if history.moment == moment:
                yield PushHistory(history.population._array("r"), history.array)

    # --- Populations ---

    def _shown(self, population: Population) -> Iterable[Step]:
        if population._frames is not None:
            yield SetInput(population._frames, population._array("r"))

    def _clears(self, population: Population) -> Iterable[Step]:
        for target in population.neuron_type.targets if population.neuron_type else ():
            if (population, target) not in self.fed:
                yield ClearSum(population._sum_array(target))

    def _update(self, population: Population) -> Iterable[Step]:
        neuron = population.neuron_type
        if neuron is None or not neuron.steps:
            return
        neuron.check_divisors({name: population._array(name) for name in neuron.parameters})
        arrays = {name: population._array(name) for name in population._declared()}
        arrays |= {name: population._constant_array(name) for name in neuron.constants}
        for target in neuron.targets:
            arrays[f"sum({target})"] = population._sum_array(target)
        if neuron.adds_all_targets:
            arrays[ALL_TARGETS] = total = np.zeros_like(population._array("r"))
            yield ClearSum(total)
            fed = [target for sink, target in self.fed if sink is population]
            for target in sorted(fed):
                yield Combine(population._sum_array(target), total, "sum")
        for which, variable in neuron.statistics:
            values = population._array(variable)
            arrays[f"{which}({variable})"] = out = np.zeros(
                (len(values), *(1,) * population.dimension), dtype=values.dtype
            )
            yield Reduce(values, out, which)
        yield Update(neuron, arrays, self.populations.index(population))

    def _checks(self) -> Iterable[Step]:
        for population in self.populations:
            names = population.neuron_type.variables if population.neuron_type else ("r",)
            for name in names:
                yield CheckFinite(population._array(name), population.name, name)

    # --- Projections ---

    def _project(self, projection: BaseProjection) -> Iterable[Step]:
        delay = self.delays[projection]
        out = projection.post._sum_array(projection.target)
        sink = (projection.post, projection.target)
        accumulate = sink in self.fed
        self.fed.add(sink)
        executors = self.executors[projection]
        rates = projection.pre._array("r")
        if isinstance(delay, np.ndarray):
            if delay.any():
                past = self._history(projection, "end").array
                delayed = self._temporary(rates, "delayed")
                yield GatherHistory(rates, past, delay, delayed)
                rates = delayed
            yield Project(executors[0], rates, None, 0, out, accumulate)
            return
        histories = [history for history, _ in self._reads(projection)]
        past_rates = histories[0].array if histories else None

        def tap(lag: int, to: Array, add: bool) -> Step:
            back = delay + lag
            return Project(executors[lag], rates, past_rates if back else None, back, to, add)

        if len(executors) == 1:
            yield tap(0, out, accumulate)
        elif projection.operation in ("max", "min"):
            yield from self._extreme_over_time(projection.operation, tap, len(executors), out, accumulate)
        else:
            yield from self._sum_over_time(projection.operation, tap, len(executors), out, accumulate)

    def _extreme_over_time(
        self, operation: Any, tap: Any, taps: int, out: Array, accumulate: bool
    ) -> Iterable[Step]:
        best, one = self._temporary(out, "best"), self._temporary(out, "one")
        yield tap(0, best, False)
        for lag in range(1, taps):
            yield tap(lag, one, False)
            yield Combine(one, best, operation)
        if not accumulate:
            yield ClearSum(out)
        yield Combine(best, out, "sum")

    def _sum_over_time(
        self, operation: Operation, tap: Any, taps: int, out: Array, accumulate: bool
    ) -> Iterable[Step]:
        if operation == "sum" and taps <= _CHUNK_TAPS:
            for lag in range(taps):
                yield tap(lag, out, accumulate or lag > 0)
            return
        total, part = self._temporary(out, "total"), self._temporary(out, "part")
        for first in range(0, taps, _CHUNK_TAPS):
            for lag in range(first, min(first + _CHUNK_TAPS, taps)):
                yield tap(lag, part if first else total, lag > first)
            if first:
                yield Combine(part, total, "sum")
        if not accumulate:
            yield ClearSum(out)
        # Every moment counts the same number of taps, so the mean over all is the mean of the means.
        yield Combine(total, out, "sum", float(taps) if operation == "mean" else 1.0)

    def _temporary(self, like: Array, use: str) -> Array:
        """An array that only lives within one projection, shared with those of the same shape."""
        key = (like.shape, use)
        if key not in self.temporaries:
            self.temporaries[key] = np.zeros_like(like)
        return self.temporaries[key]
