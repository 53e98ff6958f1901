"""The step of a network as a flat list, and what a backend must provide to run it.

`simulation.compilation` writes the list once per `Network.compile`; the runner of a backend repeats it. All arrays are
C-contiguous, of the network's dtype, and carry a leading batch axis (1 without a batch). They are allocated
before the list is written and stay where they are until the network is compiled again: Python reads and
assigns them in place between runs, a runner may keep their addresses as long as it keeps the list alive.

Time: step `s` counts from 0 at compile and at reset. During step s, ``t = s * dt`` (ms).

Histories: an array (depth, B, \\*geometry) of earlier rates, those of step s in row ``s % depth``. They start
as what came before step 0. A reader of step s - n, n <= depth, comes before the `PushHistory` of its step.

The steps are executed in the order of the list; after them the recordings are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks.device_arrays import DeviceView
from ..checks.shapes import Array
from .neuron import Neuron


class Executor(Protocol):
    """A connected projection on some backend (`backends.making.make_executor`).

    Attributes
    ----------
    in_graph
        Whether a call was captured into a graph of the caller, which then names the memory of the weights.
        Never on the host.
    """

    in_graph: bool

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

    def run_on_device(self, rates: DeviceView, out: DeviceView, batch: int, stream: int) -> None:
        """Launch on a stream, for arrays on the device, without waiting.

        Raises
        ------
        TypeError
            If the executor computes on the host.
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
        In steps: with n > 0 the row of step s - n is read.
    out
        Sum of the target, (B, \\*post), or an array of its own that a `Combine` adds to it.
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
class Combine:
    """Reduce `values` into `out`, element by element; NaN in either stays.

    Attributes
    ----------
    operation
        ``'sum'``: ``out += values / divisor``. ``'max'``, ``'min'``: the larger or smaller one.
    """

    values: Array
    out: Array
    operation: Literal["sum", "max", "min"]
    divisor: float = 1.0


@dataclass(frozen=True)
class GatherHistory:
    """Collect the rates that a projection with one delay per unit reads.

    Attributes
    ----------
    rates, history
        As for `Project`.
    delays
        int32 array (units,), in steps: 0 takes `rates`, n > 0 the row of step s - n.
    out
        As `rates`.
    """

    rates: Array
    history: Array
    delays: NDArray[np.int32]
    out: Array


@dataclass(frozen=True)
class Reduce:
    """Compute what equations read of a whole population (`language.evaluation.statistic`).

    Attributes
    ----------
    values
        Of a variable, (B, \\*geometry).
    out
        (B, 1, ...).
    which
        ``'mean'``, ``'max'``, ``'min'``, ``'norm1'`` or ``'norm2'``.
    """

    values: Array
    out: Array
    which: str


@dataclass(frozen=True)
class Update:
    """Evaluate the equations of one population, in place.

    Attributes
    ----------
    neuron
        Its steps, in order.
    arrays
        Everything the equations name, except ``t`` and ``dt``: variables and parameters under their own name,
        sums as ``sum(target)``, values of the population as ``mean(v)``. Per unit: (B, \\*geometry); one for
        the population: (B, 1, ...), as many axes; one per filter: (B, 1, ..., filters).
    population
        Number of the population in its network, for its noise.
    """

    neuron: Neuron
    arrays: Mapping[str, Array]
    population: int


@dataclass(frozen=True)
class PushHistory:
    """Copy the rates of this moment into row ``s % depth`` of a history."""

    rates: Array
    history: Array


@dataclass(frozen=True)
class FillHistory:
    """In step 0: copy the rates of this moment into every row of a history."""

    rates: Array
    history: Array


class Frames:
    """What a timed input shows, and when; may change between runs.

    Attributes
    ----------
    frames
        (n, \\*geometry) or (n, B, \\*geometry), C-contiguous, or None for nothing.
    starts
        int64 array (n,), increasing from 0 or more: frame i is set before step ``origin + starts[i]``.
    period
        Steps after which the frames begin again, 0: never.
    origin
        Step that the starts are counted from.
    """

    def __init__(self) -> None:
        self.frames: Array | None = None
        self.starts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.period = 0
        self.origin = 0


@dataclass(frozen=True)
class SetInput:
    """Write the frame of this step, if there is one, over the rates of a population, in every trial."""

    input: Frames
    rates: Array


@dataclass(frozen=True)
class CheckFinite:
    """After the step: stop the run if an array holds NaN or infinity (`NotFinite`).

    Attributes
    ----------
    population, variable
        Whose values they are, for the message.
    """

    values: Array
    population: str
    variable: str


Step = (
    ClearSum
    | Project
    | Combine
    | GatherHistory
    | Reduce
    | Update
    | PushHistory
    | FillHistory
    | SetInput
    | CheckFinite
)


@dataclass(frozen=True)
class Recording:
    """Values that are kept during one run.

    Attributes
    ----------
    values
        Array of the schedule, (B, \\*geometry) or as `Update` describes.
    ranks
        int64 array of the units that are kept, or None for all.
    rows
        (n, B, kept units): row i is written at the end of step ``first + i * period``, as far as there are
        rows.
    first, period
        In steps.
    """

    values: Array
    ranks: NDArray[np.int64] | None
    rows: Array
    first: int
    period: int


class NotFinite(Exception):
    """A run stopped because of NaN or infinity in element `element` of the values of `check`.

    Attributes
    ----------
    value
        What the element was.
    steps
        Steps of the run after which it was so; at most those done.
    """

    def __init__(self, check: CheckFinite, element: int, value: float, steps: int) -> None:
        super().__init__(check.population, check.variable, element, value, steps)
        self.check, self.element, self.value, self.steps = check, element, value, steps


class Runner(Protocol):
    """Repeats a list of steps (`backends.making.make_runner`).

    Attributes
    ----------
    backend
        Name of its backend.
    device
        Number of the device that it computes on, None for the host.
    done
        Steps that the last `run` completed, also when it raised. After `NotFinite` it may be more than the
        steps until the value was found: a device computes on until the host looks, at least every 50 ms or so,
        and the arrays are those of the last step done.
    """

    @property
    def backend(self) -> str: ...
    @property
    def device(self) -> int | None: ...

    done: int

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        """Run steps ``first`` to ``first + steps - 1``; the network counts, a runner has no clock.

        Raises
        ------
        KeyboardInterrupt
            Between two steps, soon after a signal.
        NotFinite
            After a step that a `CheckFinite` objects to, the first such step of the run.
        """

    def fetch(self, array: Array) -> None:
        """Bring an array of the schedule up to date, before Python reads it."""

    def assigned(self, array: Array) -> None:
        """Take note that Python has changed an array of the schedule."""

    def device_array(self, array: Array) -> Any:
        """Return the twin of an array on the device, up to date.

        None if there is none: because no step names the array, or on the host.
        """

    def assign_on_device(self, array: Array, values: DeviceView, stream: int) -> bool:
        """Copy values within the device, after what the stream does now; False if there is no twin."""

    def launches(self, recording: bool = False) -> list[str]:
        """Name the kernels that a step launches, in order; none on the host."""


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
    seed, first_trial
        Of the network, for the noise of the equations: trial b of the arrays draws as trial
        ``first_trial + b``.
    """

    steps: tuple[Step, ...]
    dtype: Any
    dt: float
    seed: int
    first_trial: int = 0
