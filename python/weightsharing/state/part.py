"""`Part`: some units of a population, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checks.arrays import frozen
from ..checks.selection import Ranks
from ..checks.shapes import Array, Shape


@dataclass(frozen=True, eq=False)
class Part:
    """Some units of a population.

    Attributes
    ----------
    ranks
        Of the units, (size,).
    shape
        Of what is read and assigned, ``()`` for a single unit.
    """

    ranks: Ranks
    shape: Shape

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.ranks)

    def of(self, values: Array, axes: int) -> Any:
        """Choose from values of the population, whose last `axes` axes are the geometry; others stay."""
        batch = values.shape[: values.ndim - axes]
        chosen = values.reshape(*batch, -1)[..., self.ranks].reshape((*batch, *self.shape))
        return frozen(chosen) if chosen.ndim else chosen.item()

    def placed(self, values: Array, whole: Array) -> Array:
        """Return a copy of the array of the population, (B, \\*geometry), with values (1 or B, \\*shape) in it."""
        placed = whole.copy()
        placed.reshape(len(whole), -1)[:, self.ranks] = values.reshape(len(values), self.size)
        return placed
