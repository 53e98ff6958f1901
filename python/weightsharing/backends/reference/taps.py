"""Taps: what every post unit reads, one element at a time; and the reduction of their contributions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks.shapes import Array
from ...description.lattice import Integers, centres, locate, pooling_corners, tap_offsets
from ...description.projections import Operation, PoolingDescription, SharedDescription, SynapsesDescription

# Sums are added up wider than any result, so that their own rounding does not blur a judgement.
ACCUMULATOR = np.longdouble


@dataclass(frozen=True)
class Tap:
    """One element of a filter, a box or a row of synapses, seen from every post unit at once.

    Attributes
    ----------
    rank
        int64 array (units,): the pre unit read.
    inside
        bool array (units,): False where there is no such pre unit.
    weight
        A number, an array (units,), or None where there are no weights.
    """

    rank: Integers
    inside: NDArray[np.bool_]
    weight: Array | None = None


def shared_taps(description: SharedDescription, number: int, weights: Array) -> Iterator[Tap]:
    """Yield the taps of one filter, last axis fastest (specification section 2)."""
    centre, extent = centres(description, number), description.extents[number]
    offsets = [tap_offsets(description, axis, extent) for axis in range(len(extent))]
    for element in np.ndindex(*extent):
        coordinates = centre.copy()
        for axis, k in enumerate(element):
            coordinates[:, axis] += offsets[axis][k]
        rank, inside = locate(coordinates, description.pre, description.padding)
        yield Tap(rank, inside, weights[element])


def pooling_taps(description: PoolingDescription) -> Iterator[Tap]:
    """Yield the elements of the pooling box, last axis fastest (specification section 3)."""
    corner = pooling_corners(description)
    for element in np.ndindex(*description.extent):
        yield Tap(*locate(corner + np.array(element, dtype=np.int64), description.pre, "ignore"))


def synapse_taps(description: SynapsesDescription, weights: Array) -> Iterator[Tap]:
    """Yield the first synapse of every post unit, then the second, ... (specification section 4)."""
    start, count = description.row_start[:-1], np.diff(description.row_start)
    for number in range(int(count.max(initial=0))):
        inside = number < count
        synapse = np.where(inside, start + number, 0)
        yield Tap(description.column[synapse], inside, weights[synapse])


class Reduction:
    """The contributions of the taps, reduced as they come; NaN propagates.

    Parameters
    ----------
    operation
        'sum', 'mean', 'max' or 'min'.
    shape
        (batch, units).
    dtype
        Type of the contributions and of the result.
    """

    def __init__(self, operation: Operation, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        start = {"sum": 0.0, "mean": 0.0, "max": -np.inf, "min": np.inf}[operation]
        self.operation, self.dtype = operation, dtype
        self.value = np.full(shape, start, dtype=ACCUMULATOR if operation in ("sum", "mean") else dtype)
        self.count = np.zeros(shape[1], dtype=np.int64)

    def add(self, contribution: Array, takes_part: NDArray[np.bool_]) -> None:
        """Take one tap's contributions (batch, units), where it takes part (units,)."""
        combine = {"sum": np.add, "mean": np.add, "max": np.maximum, "min": np.minimum}[self.operation]
        self.value = np.where(takes_part, combine(self.value, contribution), self.value)
        self.count += takes_part

    def result(self) -> Array:
        """Return the reduced values (batch, units); 0 for a unit without any tap."""
        value = self.value
        if self.operation == "mean":
            value = value / np.maximum(self.count, 1)
        return np.where(self.count > 0, value, 0).astype(self.dtype)
