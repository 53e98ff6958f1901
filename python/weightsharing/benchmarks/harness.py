"""Checks every engine's answer, then times all that are right in turns, and writes a table.

A rate or time stands for the median over the rounds. In a round every engine computes several input sets in turn,
so that no set is found in a cache, and for long enough that the clock does not matter.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checks.shapes import Array
from .devices import Device
from .workloads import Chain, Workload

OURS = "weightsharing"
EXACT = 2e-5  # of the largest expected value: what float32 must reach
ROUND = 0.02  # seconds that an engine is called for, per round


@dataclass(frozen=True)
class Engine:
    """A way to compute a workload.

    Attributes
    ----------
    name
        ``library`` or ``library: how``.
    call
        Computes the input set of a number and returns the result as the library has it.
    read
        Turns such a result into an array of the host, (batch, \\*post). Units at the far end may be missing.
    tolerance
        Error allowed, of the largest expected value. An engine that needs more than `EXACT` is no rival.
    prepare
        Called before the engine's turn.
    """

    name: str
    call: Callable[[int], Any]
    read: Callable[[Any], Array]
    tolerance: float = EXACT
    prepare: Callable[[], object] = lambda: None

    @property
    def library(self) -> str:
        """Name of the library."""
        return self.name.split(":")[0]


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches at best: bytes and float32 flops per second."""

    bandwidth: float
    flops: float

    def bound(self, work: Workload | Chain) -> tuple[float, str]:
        """Return the least seconds that a call can take, and what limits it."""
        flops = work.flops / self.flops if self.flops else 0.0  # 0: could not be measured
        return max((work.bytes / self.bandwidth, "bytes"), (flops, "flops"))


@dataclass
class Row:
    """A workload and what came out; times in seconds per call (of a network: per step)."""

    work: Workload | Chain
    sets: int = 0
    how: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)  # between the quartiles, of the median
    errors: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)  # engines that are wrong or failed
    left_out: dict[str, str] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)

    def rival(self, library: str | None = None) -> str | None:
        """Name the fastest exact engine of others, or of one library."""
        known = [
            name
            for name in self.seconds
            if name in self.exact and name != OURS and library in (None, name.split(":")[0])
        ]
        return min(known, key=self.seconds.__getitem__, default=None)

    def best(self, library: str) -> str | None:
        """Name the fastest engine of a library, exact or not."""
        known = [name for name in self.seconds if name.split(":")[0] == library]
        return min(known, key=self.seconds.__getitem__, default=None)

    def speedup(self, library: str | None = None) -> float | None:
        """Return how many times faster we are than the best rival."""
        rival = self.rival(library)
        if rival is None or OURS not in self.seconds:
            return None
        return self.seconds[rival] / self.seconds[OURS]

    def reached(self, goal: str, ceilings: Ceilings) -> float | None:
        """Return what was reached of a goal; None if it was not measured."""
        if goal not in ("bound", "steps per second"):
            return self.speedup(goal)
        if OURS not in self.seconds:
            return None
        return (1.0 if goal == "steps per second" else ceilings.bound(self.work)[0]) / self.seconds[OURS]

    def record(self, ceilings: Ceilings) -> dict[str, Any]:
        """Return everything as plain numbers and texts."""
        work = self.work
        seconds, by = ceilings.bound(work)
        speedup = self.speedup()
        return {
            "workload": work.name,
            "bytes": work.bytes,
            "flops": work.flops,
            "input sets": self.sets,
            "ours": self.how,
            "engines": {
                name: {"ms": 1e3 * time, "spread": self.spread[name], "error": self.errors[name]}
                for name, time in self.seconds.items()
            },
            "wrong or failed": self.problems,
            "left out": self.left_out,
            "best rival": self.rival(),
            "ours / best rival": None if speedup is None else 1 / speedup,
            "bound": {"ms": 1e3 * seconds, "by": by, "reached": self.reached("bound", ceilings)},
            "goals": {
                goal: {"wanted": wanted, "reached": self.reached(goal, ceilings)}
                for goal, wanted in work.goals.items()
            },
        }


def relative_error(result: Array, units: Array, expected: Array) -> float:
    """Return the largest error at some units, of the largest expected value; inf if anything is not finite."""
    if result.ndim != units.shape[1] or not np.isfinite(result).all():
        return float("inf")
    inside = (units < result.shape).all(1)
    if not inside.any():
        return float("inf")
    difference = result[tuple(units[inside].T)] - expected[inside]
    return float(np.abs(difference).max() / np.abs(expected).max())


def run_row(
    row: Row,
    engines: Sequence[Engine],
    device: Device,
    expected: Callable[[int], tuple[Array, Array]],
    rounds: int,
    duration: float = ROUND,
) -> Row:
    """Check and time the engines of a row.

    Parameters
    ----------
    row : Row
        With its workload, number of input sets, and engines left out; the rest is filled in.
    expected : callable
        Returns units and their values in float64 for the input set of a number.
    rounds : int
        At least 2.
    duration : float
        Seconds that an engine is called for, per round.
    """
    measurement = _Measurement(row, device, expected, duration)
    turns = (measurement.first_look, *[measurement.time] * rounds, measurement.last_look)
    for number, turn in enumerate(turns):
        for engine in engines if number % 2 else reversed(engines):
            if engine.name in row.problems:
                continue
            try:
                engine.prepare()
                turn(engine)
            except Exception as failure:  # as in try_engine
                row.problems[engine.name] = _words(failure)
    for engine in engines:
        if engine.name not in row.problems:
            measurement.note(engine)
    return row


class _Measurement:
    """The turns that every engine of a row takes, and what they measured."""

    def __init__(
        self, row: Row, device: Device, expected: Callable[[int], tuple[Array, Array]], duration: float
    ) -> None:
        self.row, self.device, self.duration = row, device, duration
        self.last = row.sets - 1
        self.answers = {n: expected(n) for n in {0, self.last}}
        self.calls: dict[str, int] = {}
        self.times: dict[str, list[float]] = {}

    def first_look(self, engine: Engine) -> None:
        """Check one call, and find out how many fill the duration."""
        self.check(engine, 0, "")
        once = self.device.seconds(lambda: engine.call(self.last))
        self.calls[engine.name] = max(1, min(1000, round(self.duration / max(once, 1e-9))))

    def time(self, engine: Engine) -> None:
        """Measure so many calls, after one that is not measured."""
        times, count = self.times.setdefault(engine.name, []), self.calls[engine.name]
        first = len(times) * (count + 1)
        engine.call(first % self.row.sets)

        def several() -> None:
            for n in range(first + 1, first + 1 + count):
                engine.call(n % self.row.sets)

        times.append(self.device.seconds(several) / count / self.row.work.steps)

    def last_look(self, engine: Engine) -> None:
        """Check again after thousands of calls, on another set: a race need not show the first time."""
        self.check(engine, self.last, ", seen after timing")

    def check(self, engine: Engine, n: int, when: str) -> None:
        """Compare one result with what is expected."""
        row = self.row
        error = relative_error(engine.read(engine.call(n)), *self.answers[n])
        row.errors[engine.name] = max(error, row.errors.get(engine.name, 0.0))
        if not error <= engine.tolerance:
            row.problems[engine.name] = f"wrong: relative error {error:.2g}{when}"

    def note(self, engine: Engine) -> None:
        """Fill in what an engine without problems took."""
        row = self.row
        lower, median, upper = statistics.quantiles(self.times[engine.name], n=4)
        row.seconds[engine.name], row.spread[engine.name] = median, (upper - lower) / median
        if engine.tolerance <= EXACT:
            row.exact.add(engine.name)


def our_engine(row: Row, weights: Array, inputs: Sequence[Any], device: Device, backend: str) -> Engine:
    """Make the engine that calls our projection on arrays of the device, into arrays that hold NaN at first."""
    assert isinstance(row.work, Workload)
    projection = row.work.projection(weights, backend)
    nothing = np.full(row.work.result, np.nan, np.float32)
    outs = [device.upload(nothing) for _ in inputs]
    described = projection.describe()
    row.how = {key: str(described[key]) for key in ("family", "algorithm", "reason")}
    return Engine(OURS, lambda n: projection(inputs[n], out=outs[n]), device.download)


def our_chain(row: Row, weights: Array, rates: Array, backend: str) -> Engine:
    """Make the engine that runs our network for the chain's number of steps."""
    assert isinstance(row.work, Chain)
    network, populations = row.work.network(rates, weights, backend)
    runner = network._assembly.context.storage.runner
    if runner is not None and runner.launches():
        row.how["algorithm"] = f"{len(runner.launches())} launches per step"
    duration = row.work.steps * network.dt

    def call(_: int) -> Array:
        network.simulate(duration)
        return np.array(populations[-1].r)  # waits for the last step

    return Engine(OURS, call, lambda result: result[None])


def try_engine(row: Row, name: str, make: Callable[[], Engine]) -> list[Engine]:
    """Return the engine in a list, or an empty one, having noted what went wrong."""
    try:
        return [make()]
    except Exception as failure:  # whatever a library throws: the other engines are measured still
        row.problems[name] = _words(failure)
        return []


def _words(failure: Exception) -> str:
    return f"failed: {type(failure).__name__}: {failure}".splitlines()[0][:300]


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"


def _cells(row: Row, ceilings: Ceilings, libraries: Sequence[str]) -> Iterator[str]:
    yield row.work.name
    if OURS in row.seconds:
        how = ", ".join(filter(None, (row.how.get("family", ""), row.how.get("algorithm", ""))))
        yield f"{_milliseconds(row.seconds[OURS])} ({how}, ±{row.spread[OURS] / 2:.0%})"
        bound, by = ceilings.bound(row.work)
        rates = f"{row.work.bytes / row.seconds[OURS] / 1e9:.0f} GB/s"
        if by == "flops":
            rates = f"{row.work.flops / row.seconds[OURS] / 1e12:.1f} TFLOP/s"
        of_bound = f"{bound / row.seconds[OURS]:.0%} of {by}, {rates}"
        yield f"{1 / row.seconds[OURS]:,.0f} steps/s" if isinstance(row.work, Chain) else of_bound
    else:
        yield row.problems.get(OURS, "not run").split(":")[0]
        yield "-"
    for library in libraries:
        name = row.best(library)
        if name is None:
            wrong = [text for one, text in row.problems.items() if one.split(":")[0] == library]
            yield wrong[0].split(":")[0] if wrong else "-"
        else:
            variant = name.partition(": ")[2]
            yield _milliseconds(row.seconds[name]) + (f" ({variant})" if variant else "")
    speedup = row.speedup()
    yield "-" if speedup is None else f"{1 / speedup:.2f}"
    yield "; ".join(
        _goal(goal, wanted, row.reached(goal, ceilings)) for goal, wanted in row.work.goals.items()
    )


def _goal(goal: str, wanted: float, reached: float | None) -> str:
    if reached is None:
        return f"{goal}: not measured"
    met = "met" if reached >= wanted else "MISSED"
    if goal == "bound":
        return f"bound {reached:.0%} of {wanted:.0%}: {met}"
    if goal == "steps per second":
        return f"{reached:,.0f} steps/s of {wanted:,.0f}: {met}"
    return f"{goal} {reached:.2f}x of {wanted:.2f}x: {met}"


def table(rows: Sequence[Row], ceilings: Ceilings) -> Iterator[str]:
    """Yield the lines of a table in Markdown, and after it what went wrong and what was left out."""
    libraries: list[str] = []
    for row in rows:
        for name in (*row.seconds, *row.problems, *row.left_out):
            library = name.split(":")[0]
            if library != OURS and library not in libraries:
                libraries.append(library)
    heads = ["workload", f"{OURS}, ms", "of the bound", *(f"{one}, ms" for one in libraries)]
    heads += ["ours / best float32 rival", "goals"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(_cells(row, ceilings, libraries))} |"
    yield from _notes("Wrong or failed, so not timed:", rows, lambda row: row.problems)
    yield from _notes("Left out:", rows, lambda row: row.left_out)


def _notes(title: str, rows: Sequence[Row], texts: Callable[[Row], Mapping[str, str]]) -> Iterator[str]:
    where: dict[str, list[str]] = {}
    for row in rows:
        for name, text in texts(row).items():
            where.setdefault(f"{name}: {text}", []).append(row.work.name)
    if where:
        yield from ("", title, "")
    for note, names in where.items():
        yield f"- {note} ({'all' if len(names) == len(rows) > 1 else '; '.join(names)})"
