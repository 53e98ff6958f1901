"""From units and links to the flat list of a step: orders, delays, histories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..backends.targets import Target
from ..checks.shapes import Array
from ..description.delays import delay_steps
from ..description.histories import first_frame
from ..description.projections import Operation
from ..description.schedule import (
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
from ..language.operations import ALL_TARGETS
from ..state.assembly import Assembly
from ..state.links import Link
from ..state.units import Units
from .histories import History

# Taps along time that are added up one after the other; longer sums add such partial sums, so that their
# rounding error stays small.
_CHUNK_TAPS = 32


@dataclass
class Compiled:
    """One step of a network, and the histories it reads."""

    steps: tuple[Step, ...]
    histories: tuple[History, ...]


def compile_steps(assembly: Assembly, target: Target) -> Compiled:
    """Write one step of a network as a flat list (see `description.schedule`).

    Parameters
    ----------
    assembly
        The network; every link is connected.
    target
        Where it will run, everything decided.

    Raises
    ------
    ValueError
        If projections of a feedforward network form a cycle without delay, a delay is more than can be stored,
        or a history does not fit.
    """
    executors = {link: link.executors_for_step(target) for link in assembly.links}
    return _Compilation(assembly, executors).compiled()


class _Compilation:
    def __init__(self, assembly: Assembly, executors: Mapping[Link, Sequence[Executor]]) -> None:
        context = assembly.context
        self.populations, self.links, self.executors = assembly.units, assembly.links, executors
        self.order, self.dt, self.check_finite = context.update, context.dt, context.check_finite
        self.delays = {one: delay_steps(one.delays, one.pre.size, self.dt, self.order) for one in self.links}
        self.histories: dict[tuple[Any, ...], History] = {}
        self.fed: set[tuple[Units, str]] = set()
        self.temporaries: dict[tuple[Any, ...], Array] = {}
        self.early: set[Link] = set()
        if self.order == "feedforward":
            self.early = self._early_readers()
            self.sorted = self._topological()
        else:
            self.sorted = list(self.populations)

    def compiled(self) -> Compiled:
        """The list, with histories as deep as their deepest readers."""
        for link in self.links:
            for history, depth in self._reads(link):
                history.depth = max(history.depth, depth)
        for history in self.histories.values():
            pre = history.units
            shape = (history.depth, *pre.shape("r"))
            try:
                history.array = np.zeros(shape, dtype=pre.dtype)
            except MemoryError:
                raise MemoryError(
                    f"the rates of {pre.name!r} in the last {history.depth} steps, an array {shape}, need "
                    f"{math.prod(shape) * pre.dtype.itemsize:,} bytes, more than is free; choose smaller delays, a "
                    "larger dt or a smaller batch."
                ) from None
            history.initial(np.zeros((1, *pre.shape("r"))))  # raises if it does not fit
        steps = list(self._feedforward() if self.order == "feedforward" else self._synchronous())
        if self.check_finite:
            steps += self._checks()
        return Compiled(tuple(steps), tuple(self.histories.values()))

    # --- Orders ---

    def _synchronous(self) -> Iterable[Step]:
        for population in self.populations:
            yield from self._shown(population)
        yield from self._fills(self.histories.values())
        for link in self.links:
            yield from self._project(link)
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
            for link in self.links:
                if link.post is population:
                    yield from self._project(link)
            yield from self._clears(population)
            yield from self._update(population)
            yield from self._fills(
                one for one in self.histories.values() if one.units is population and not one.early
            )
        yield from self._pushes("end")

    def _topological(self) -> list[Units]:
        """Populations so that each comes after those it reads in the same step."""
        reads: dict[Units, list[Units]] = {population: [] for population in self.populations}
        for link in self.links:
            if np.min(self.delays[link]) == 0 or (
                first_frame(link.connected().history) and link not in self.early
            ):
                reads[link.post].append(link.pre)
        ordered: list[Units] = []
        state: dict[Units, int] = {}
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

    def _early_readers(self) -> set[Link]:
        """Delayed links that want the first frame of what depends on them, in whatever order they come.

        All other readers of a first frame come after the population that they read.
        """
        wants = [
            one for one in self.links if first_frame(one.connected().history) and np.min(self.delays[one]) > 0
        ]
        reads: dict[Units, list[Units]] = {population: [] for population in self.populations}
        for link in self.links:
            if link in wants or np.min(self.delays[link]) == 0:
                reads[link.post].append(link.pre)

        def depends(population: Units, on: Units) -> bool:
            found, rest = {population}, [population]
            while rest:
                following = set(reads[rest.pop()]) - found
                found |= following
                rest.extend(following)
            return on in found

        return {one for one in wants if depends(one.pre, one.post)}

    # --- Histories ---

    def _reads(self, link: Link) -> Iterable[tuple[History, int]]:
        """Histories that a link reads, and how many steps they must reach back."""
        delay = self.delays[link]
        longest = int(np.max(delay))
        taps = link.connected().taps
        if longest:
            yield self._history(link, "end"), longest + taps - 1
        elif taps > 1:
            moment: Literal["start", "end"] = "start" if self.order == "synchronous" else "end"
            yield self._history(link, moment), taps - 1

    def _history(self, link: Link, moment: Literal["start", "end"]) -> History:
        pre, policy = link.pre, link.connected().history
        early = link in self.early
        key = (pre, policy if isinstance(policy, str) else id(policy), moment, early)
        if key not in self.histories:
            self.histories[key] = History(pre, policy, moment, early)
        return self.histories[key]

    def _fills(self, histories: Iterable[History]) -> Iterable[Step]:
        for history in histories:
            if first_frame(history.policy):
                yield FillHistory(history.units.array("r"), history.array)

    def _pushes(self, moment: Literal["start", "end"]) -> Iterable[Step]:
        for history in self.histories.values():
            if history.moment == moment:
                yield PushHistory(history.units.array("r"), history.array)

    # --- Populations ---

    def _shown(self, population: Units) -> Iterable[Step]:
        if population.shown is not None:
            yield SetInput(population.shown.frames, population.array("r"))

    def _clears(self, population: Units) -> Iterable[Step]:
        for target in population.neuron.targets if population.neuron else ():
            if (population, target) not in self.fed:
                yield ClearSum(population.sum_array(target))

    def _update(self, population: Units) -> Iterable[Step]:
        neuron = population.neuron
        if neuron is None or not neuron.steps:
            return
        neuron.check_divisors({name: population.array(name) for name in neuron.parameters})
        arrays = {name: population.array(name) for name in population.declared}
        arrays |= {name: population.constant_array(name) for name in neuron.constants}
        for target in neuron.targets:
            arrays[f"sum({target})"] = population.sum_array(target)
        if neuron.adds_all_targets:
            arrays[ALL_TARGETS] = total = np.zeros_like(population.array("r"))
            yield ClearSum(total)
            fed = [target for sink, target in self.fed if sink is population]
            for target in sorted(fed):
                yield Combine(population.sum_array(target), total, "sum")
        for which, variable in neuron.statistics:
            values = population.array(variable)
            arrays[f"{which}({variable})"] = out = np.zeros(
                (len(values), *(1,) * population.dimension), dtype=values.dtype
            )
            yield Reduce(values, out, which)
        yield Update(neuron, arrays, self.populations.index(population))

    def _checks(self) -> Iterable[Step]:
        for population in self.populations:
            names = population.neuron.variables if population.neuron else ("r",)
            for name in names:
                yield CheckFinite(population.array(name), population.name, name)

    # --- Projections ---

    def _project(self, link: Link) -> Iterable[Step]:
        delay = self.delays[link]
        out = link.post.sum_array(link.target)
        sink = (link.post, link.target)
        accumulate = sink in self.fed
        self.fed.add(sink)
        executors = self.executors[link]
        rates = link.pre.array("r")
        if isinstance(delay, np.ndarray):
            if delay.any():
                past = self._history(link, "end").array
                delayed = self._temporary(rates, "delayed")
                yield GatherHistory(rates, past, delay, delayed)
                rates = delayed
            yield Project(executors[0], rates, None, 0, out, accumulate)
            return
        histories = [history for history, _ in self._reads(link)]
        past_rates = histories[0].array if histories else None

        def tap(lag: int, to: Array, add: bool) -> Step:
            back = delay + lag
            return Project(executors[lag], rates, past_rates if back else None, back, to, add)

        if len(executors) == 1:
            yield tap(0, out, accumulate)
        elif link.operation in ("max", "min"):
            yield from self._extreme_over_time(link.operation, tap, len(executors), out, accumulate)
        else:
            yield from self._sum_over_time(link.operation, tap, len(executors), out, accumulate)

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
        """An array that only lives within one link, shared with those of the same shape."""
        key = (like.shape, use)
        if key not in self.temporaries:
            self.temporaries[key] = np.zeros_like(like)
        return self.temporaries[key]
