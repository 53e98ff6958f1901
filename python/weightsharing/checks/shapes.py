"""Shapes and types of arrays: what the package calls them, and the checks of those that a user passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import whole_number

Array = NDArray[Any]
Shape = tuple[int, ...]

# Elements of the largest array whose bytes can still be counted.
MOST_UNITS = 2**58


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64, or raise."""
    try:
        name = "" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}; expected 'float32' or 'float64'.")
    return np.dtype(name)


def checked_geometry(geometry: Any) -> Shape:
    """Return the geometry of a population as a tuple, or raise."""
    if isinstance(geometry, (str, bytes)):
        raise TypeError(f"geometry is {geometry!r}; expected a whole number or a tuple of 1 to 4.")
    entries = tuple(geometry) if isinstance(geometry, (Sequence, np.ndarray)) else (geometry,)
    sizes = tuple(whole_number("geometry", entry) for entry in entries)
    if not 1 <= len(sizes) <= 4:
        raise ValueError(f"geometry is {sizes}, {len(sizes)} dimensions; expected 1 to 4.")
    if min(sizes) < 1:
        raise ValueError(f"geometry is {sizes}; every axis needs at least one unit.")
    if math.prod(sizes) > MOST_UNITS:
        raise ValueError(f"geometry is {sizes}: more units than can be addressed; choose a smaller one.")
    return sizes


def spelled_shape(shape: tuple[Any, ...]) -> str:
    """Spell a shape whose entries may be words, such as ``(frames, 3, 4)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
