"""Checks of numbers that a user passed: the value in plain Python, or an error that names the argument."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np


def finite_number(name: str, value: Any) -> float:
    """Return `value` as a float, or raise TypeError (not a real number) or ValueError (inf, NaN)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a real number.")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large; expected a number that a float can hold.") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}; expected a finite number.")
    return number


def positive_number(name: str, value: Any) -> float:
    """Return `value` as a float above 0, or raise TypeError or ValueError."""
    number = finite_number(name, value)
    if number <= 0.0:
        raise ValueError(f"{name} is {value!r}; expected a number above 0.")
    return number


def whole_number(name: str, value: Any) -> int:
    """Return `value` as an int, or raise TypeError; a float is refused even if it is whole."""
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a whole number.")
