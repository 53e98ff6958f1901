"""Checks of what a user passed as an extent, a number or a flag of a filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks.arrays import whole_tuple
from ..checks.numbers import whole_number


def checked_flag(name: str, value: Any) -> bool:
    """Return a truth value, or raise."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; expected True or False.")
    return bool(value)


def positive_whole(name: str, value: Any) -> int:
    """Return a whole number from 1, or raise."""
    number = whole_number(name, value)
    if number < 1:
        raise ValueError(f"{name} is {number}; expected at least 1.")
    return number


def checked_extents(name: str, values: Any) -> tuple[int, ...]:
    """Return entries for time, x and y, or raise."""
    entries = whole_tuple(name, values, 3, "one for time, x and y")
    if min(entries) < 1:
        raise ValueError(f"{name} is {entries}; expected at least 1 along each axis.")
    return entries


def checked_spatial_extents(name: str, values: Any) -> tuple[int, ...]:
    """Entries along x and y; one number stands for these two."""
    entries = checked_extents(name, values)
    if np.ndim(values) and entries[0] != 1:
        raise ValueError(f"{name} is {entries}; expected 1 along time, or a single number for x and y.")
    return entries[1:]


def with_time(name: str, values: Any) -> tuple[int, ...]:
    """Return entries for x and y behind a 1 for time, or raise."""
    return (1, *whole_tuple(name, values, 2, "one for x and y"))
