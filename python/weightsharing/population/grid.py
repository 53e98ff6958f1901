"""`Grid`: units in a geometry, their ranks and coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ..checks.errors import NotCopyable
from ..checks.halves import half_of
from ..checks.numbers import finite_number, whole_number
from ..checks.shapes import Shape
from ..state.units import Units


@half_of("Population")
class Grid(NotCopyable):
    """Units on a grid of 1 to 4 dimensions, C order: the last axis is the fastest."""

    _units: Units

    @property
    def geometry(self) -> Shape:
        """Number of units along each axis."""
        return self._units.geometry

    shape = geometry

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self.geometry)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.geometry)

    def __len__(self) -> int:
        return self.size

    @property
    def name(self) -> str:
        """Name of the population."""
        return self._units.name

    def __repr__(self) -> str:
        return self._units.spelled()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(f"{self!r} is no array; read one of its values, such as .r.")

    def rank_from_coordinates(self, coordinates: int | Sequence[int]) -> int:
        """Return the rank (C order) of the unit at `coordinates`, one entry per axis.

        Raises
        ------
        TypeError, ValueError
            If they are no whole numbers or lie outside.
        """
        listed = coordinates if isinstance(coordinates, (Sequence, np.ndarray)) else (coordinates,)
        entries = tuple(whole_number("coordinates", entry) for entry in listed)
        where = f"of a unit of {self.name!r}, geometry {self.geometry}"
        if len(entries) != self.dimension:
            raise ValueError(f"coordinates are {entries}; expected {self.dimension} {where}.")
        rank = 0
        for axis, (entry, size) in enumerate(zip(entries, self.geometry, strict=True)):
            if not 0 <= entry < size:
                raise ValueError(
                    f"coordinates are {entries}; {entry} is out of range, axis {axis} has 0 to {size - 1}: "
                    f"expected those {where}."
                )
            rank = rank * size + entry
        return rank

    def coordinates_from_rank(self, rank: int) -> tuple[int, ...]:
        """Return the coordinates of the unit with this rank (C order).

        Raises
        ------
        TypeError, ValueError
            If it is no whole number or there is no such unit.
        """
        rest = whole_number("rank", rank)
        if not 0 <= rest < self.size:
            raise ValueError(f"rank is {rest}; {self.name!r} has ranks 0 to {self.size - 1}.")
        coordinates = []
        for size in reversed(self.geometry):
            rest, entry = divmod(rest, size)
            coordinates.append(entry)
        return tuple(reversed(coordinates))

    def normalized_coordinates_from_rank(self, rank: int, norm: float = 1.0) -> tuple[float, ...]:
        """Return the coordinates of a unit, each axis scaled to run from 0 to `norm`; 0 on an axis of one unit.

        Raises
        ------
        TypeError, ValueError
            If `rank` is no whole number, there is no such unit, or `norm` is no finite number.
        """
        scale = finite_number("norm", norm)
        coordinates = self.coordinates_from_rank(rank)
        return tuple(
            scale * entry / (size - 1) if size > 1 else 0.0
            for entry, size in zip(coordinates, self.geometry, strict=True)
        )
