"""The step of a network as a flat list, and what a backend must provide to run it.

`Network.compile` writes the list once; the runner of a backend repeats it. All arrays are C-contiguous, of
the network's dtype, and carry a leading batch axis (1 without a batch). They are allocated before the list is
written and stay where they are until the network is compiled again: Python reads and assigns them in place
between runs, a runner may keep their addresses as long as it keeps the list alive.

Time: step `s` counts from 0 at compile and at reset. During step s, ``t = s * dt`` (ms).

Histories: an array (depth, B, \\*geometry) of the rates at the end of earlier steps; the end of step s lies
in row ``s % depth``. They start as what came before step 0 (zeros). A projection with a delay of n steps
reads row ``(s - n) % depth``, n <= depth; it still holds step s - n, because `PushHistory` comes last.

Order within a step: all `ClearSum` and `Project`, then all `Update`, then all `PushHistory`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .arrays import Array
from .neuron import Neuron


class Executor(Protocol):
    """A connected projection on some backend (`backends.make_executor`)."""

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Take the weights, C-contiguous and of the executor's dtype.

        One array per filter in the shape of its extent, or for synapses a single one of shape (number of
        synapses,). Never called for pooling; otherwise called before the first `run`, and again between runs
        whenever the values changed.
        """

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        """Compute all post units: `rates` (B, \\*pre) and `out` (B, \\*post), C-contiguous, not overlapping.

        Every element of `out` is overwritten, or with `accumulate` added to. A unit without a synapse gets 0.
        """

    def describe(self) -> dict[str, object]:
        """Say what runs and why: backend, family, algorithm, reason, bytes, flops, ..."""


@dataclass(frozen=True)
class ClearSum:
    """Set the sum of a target that no projection feeds to 0."""

    out: Array


@dataclass(frozen=True)
class Project:
    """Let one projection read its pre population.

    Attributes
    ----------
    executor
        Of the backend that the network is compiled for.
    rates
        Rates of pre now, (B, \\*pre); what is read when `delay` is 0.
    history
        (depth, B, \\*pre), or None when `delay` is 0.
    delay
        In steps: 0, or 2 and more.
    out
        Sum of the target, (B, \\*post).
    accumulate
        False for the first projection of a target: it overwrites the sum of the step before.
    """

    executor: Executor
    rates: Array
    history: Array | None
    delay: int
    out: Array
    accumulate: bool


@dataclass(frozen=True)
class Update:
    """Evaluate the equations of one population, in place.

    Attributes
    ----------
    neuron
        Its steps, in order.
    arrays
        Everything the equations name, except ``t`` and ``dt``: variables and parameters under their own name,
        sums as ``sum(target)``. Per unit: (B, \\*geometry); one for the population: (B, 1, ...), as many
        axes.
    """

    neuron: Neuron
    arrays: Mapping[str, Array]


@dataclass(frozen=True)
class PushHistory:
    """Copy the rates at the end of the step into row ``s % depth`` of a history."""

    rates: Array
    history: Array


Step = ClearSum | Project | Update | PushHistory


class Runner(Protocol):
    """Repeats a list of steps (`backends.make_runner`)."""

    def run(self, first: int, steps: int) -> None:
        """Run steps ``first`` to ``first + steps - 1``; the network counts, a runner has no clock."""

    def fetch(self, array: Array) -> None:
        """Bring an array of the schedule up to date, before Python reads it."""

    def assigned(self, array: Array) -> None:
        """Take note that Python has changed an array of the schedule."""


class HostRunner:
    """Part of every runner that computes on the arrays themselves."""

    def fetch(self, array: Array) -> None:
        """Nothing to do: there is one array only."""

    def assigned(self, array: Array) -> None:
        """Nothing to do: there is one array only."""


@dataclass(frozen=True)
class Schedule:
    """What a runner is made from.

    Attributes
    ----------
    steps
        One step of the network.
    dtype
        float32 or float64.
    dt
        Length of a step in ms.
    seed
        Of the network, for the noise of the equations.
    """

    steps: tuple[Step, ...]
    dtype: Any
    dt: float
    seed: int
