"""An index such as ``[2:5, :]`` to the ranks of the units that it chooses."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import whole_number
from .shapes import Array, Shape

Ranks = NDArray[np.int64]


def selected(index: Any, geometry: Shape, owner: str) -> tuple[Ranks, Shape]:
    """Return the ranks that an index chooses among units of this geometry, and their shape.

    Raises
    ------
    IndexError
        If there is no such unit, or the index has too many axes.
    TypeError, ValueError
        If it is no index of the kinds that `PopulationView` lists.
    """
    size = math.prod(geometry)
    if isinstance(index, tuple):
        return _crossed(index, geometry, owner)
    if isinstance(index, slice):
        ranks = _sliced(index, size)
        return ranks, ranks.shape
    if isinstance(index, (list, np.ndarray)) and np.ndim(_array(index)):
        array = _array(index)
        if array.dtype == bool:
            if array.shape != geometry:
                raise IndexError(
                    f"the mask has the shape {array.shape}; expected {geometry}, the geometry of {owner}."
                )
            ranks = np.flatnonzero(array)
        else:
            ranks = listed(array, size, "index", owner)
            if len(np.unique(ranks)) < len(ranks):
                raise ValueError(f"index names a unit of {owner} twice; expected each once.")
        return ranks, ranks.shape
    return np.array([_whole(index, size, "rank", owner)], dtype=np.int64), ()


def _crossed(index: tuple[Any, ...], geometry: Shape, owner: str) -> tuple[Ranks, Shape]:
    """Ranks of all combinations of the coordinates that the entries of an index choose."""
    if sum(entry is Ellipsis for entry in index) > 1:
        raise IndexError(f"an index of {owner} has more than one '...'.")
    given = sum(entry is not Ellipsis for entry in index)
    if given > len(geometry):
        raise IndexError(f"the index has {given} entries; {owner} has {len(geometry)} axes.")
    at = next((at for at, entry in enumerate(index) if entry is Ellipsis), len(index))
    rest = (slice(None),) * (len(geometry) - given)
    ranks, shape = np.zeros((), dtype=np.int64), []
    entries = (*index[:at], *rest, *index[at + 1 :])
    for axis, (entry, size) in enumerate(zip(entries, geometry, strict=True)):
        if isinstance(entry, slice):
            chosen = _sliced(entry, size)
            shape.append(len(chosen))
        else:
            chosen = np.array([_whole(entry, size, f"axis {axis}: coordinate", owner)])
        ranks = ranks[..., None] * size + chosen
    return ranks.reshape(-1), tuple(shape)


def _array(values: Any) -> Array:
    try:
        return np.asarray(values)
    except ValueError:
        raise TypeError("the index is a ragged list; expected ranks.") from None


def listed(values: Any, size: int, argument: str, owner: str) -> Ranks:
    """Return ranks from a list or array of whole numbers with one axis, negative ones counted from the end."""
    array = _array(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"{argument} is an array of shape {array.shape}, {array.dtype}; expected ranks of {owner}, whole "
            "numbers in a list."
        )
    for extreme in (array.min(), array.max()) if array.size else ():
        _whole(extreme, size, "rank", owner)
    ranks: Ranks = array.astype(np.int64)
    return np.where(ranks < 0, ranks + size, ranks)


def _sliced(entry: slice, size: int) -> Ranks:
    for part in (entry.start, entry.stop, entry.step):
        if part is not None:
            whole_number("a part of the slice", part)
    return np.arange(*entry.indices(size), dtype=np.int64)


def _whole(entry: Any, size: int, what: str, owner: str) -> int:
    """A rank or coordinate, negative ones counted from the end."""
    if isinstance(entry, (bool, np.bool_)) or not hasattr(entry, "__index__"):
        raise TypeError(
            f"{what} is {entry!r} ({type(entry).__name__}); an index of {owner} is made of whole numbers and "
            "slices, or is one list of ranks or one boolean array of the geometry."
        )
    number = operator.index(entry)
    if not -size <= number < size:
        raise IndexError(f"{what} {number} is out of range: {owner} has {size} there.")
    return number + size if number < 0 else number
