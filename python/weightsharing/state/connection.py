"""`Connection`: what a connect method has made, and `Weights`, which several projections may share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checks.arrays import frozen
from ..checks.shapes import Array
from ..description.projections import Description

DEFAULT_PSP = "w*pre.r"


class Weights:
    """Values that a projection and its copies use.

    Attributes
    ----------
    arrays
        Read-only, C-contiguous, of the network's dtype: one per filter, or one with a value per synapse.
    version
        Changes with every assignment, so that each executor takes the new values before its next run.
    """

    def __init__(self, arrays: list[Array]) -> None:
        self.arrays = [frozen(array) for array in arrays]
        self.version = 0

    def assign(self, arrays: list[Array]) -> None:
        """Take other values of the same shapes."""
        self.arrays = [frozen(array) for array in arrays]
        self.version += 1


@dataclass(frozen=True, eq=False)
class Connection:
    """How one projection is connected.

    Attributes
    ----------
    description
        What is computed.
    delays
        In ms, one for all or one per post unit.
    history
        What delays and a time axis read before the start: a name, or an array.
    weights
        None for pooling.
    geometry
        The checked shapes, as `backends.core` made them; None where an executor checks them when it is made.
    time_taps
        Length of the time axis of the weights; None without one.
    """

    description: Description
    delays: float | Array = 0.0
    history: Any = "zeros"
    weights: Weights | None = None
    geometry: Any = None
    time_taps: int | None = None

    @property
    def taps(self) -> int:
        """Number of executors: one for each tap along time."""
        return self.time_taps or 1

    @property
    def version(self) -> int:
        """Changes whenever weights are assigned; -1 without weights."""
        return -1 if self.weights is None else self.weights.version

    @property
    def n_weights(self) -> int:
        """Number of weights: elements of all filters, or synapses; 0 for pooling."""
        return 0 if self.weights is None else sum(array.size for array in self.weights.arrays)

    def weights_at(self, lag: int) -> list[Array]:
        """The weights of one tap along time, or all of a projection without time axis."""
        assert self.weights is not None
        arrays = self.weights.arrays
        return arrays if self.time_taps is None else [array[lag] for array in arrays]
