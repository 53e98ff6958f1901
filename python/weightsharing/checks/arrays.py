"""Checks of arrays that a user passed: the values in the type wanted, or an error that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .device_arrays import is_device_array
from .numbers import whole_number
from .shapes import Array, Shape


def real_array(name: str, values: Any) -> Array:
    """Return `values` as an array of real numbers, integers or booleans, without a copy where possible.

    Raises
    ------
    TypeError
        If they are masked, complex numbers, objects, text or anything else that is no real number.
    ValueError
        If a nested list is ragged.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array; expected every number. Fill in those that are missing first, for "
            "example with .filled(0.0)."
        )
    if is_device_array(values):
        raise TypeError(
            f"{name} lies on a CUDA device; expected an array of the host. Copy it first, with .get() (CuPy) or "
            ".cpu() (torch)."
        )
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{name}: the nested list is ragged or holds something that is no number ({error}); expected an "
            "array of real numbers, every row of the same length."
        ) from error
    if array.dtype == object and not isinstance(values, np.ndarray) and _are_numbers(array):
        try:
            return array.astype(np.float64)
        except OverflowError:
            raise ValueError(f"{name}: a number is too large for a float; use smaller numbers.") from None
    if array.dtype == object and array.ndim == 0:
        raise TypeError(f"{name} is a {type(values).__name__}; expected an array of real numbers.")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected real or integer numbers. Convert the values first, "
            "for example with .real or .astype('float64')."
        )
    return array


def _are_numbers(array: Array) -> bool:
    """Whether the objects are Python's numbers, of which integers may be longer than any of NumPy's."""
    return all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in array.flat)


def shaped_array(name: str, values: Any, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return real `values` of exactly this shape, or one number for all, in a new array of `dtype`."""
    array = real_array(name, values)
    if array.shape not in ((), shape):
        raise ValueError(f"{name} has the shape {array.shape}; expected {shape}, or one number for all.")
    return converted(name, np.broadcast_to(array, shape), dtype)


def converted(name: str, array: Array, dtype: DTypeLike) -> Array:
    """Return the values in a new C-contiguous array of `dtype`.

    Raises
    ------
    ValueError
        If a finite number is too large for `dtype`; infinity and NaN stay what they are.
    """
    try:
        with np.errstate(over="raise"):
            return np.array(array, dtype=dtype, order="C")
    except FloatingPointError:
        largest = np.finfo(np.dtype(dtype)).max
        raise ValueError(
            f"{name}: a finite number does not fit {np.dtype(dtype)}, whose largest is {largest}; use smaller "
            "numbers, or a network of dtype float64."
        ) from None


def frozen(array: Array) -> Array:
    """Return an array that owns its values read-only, and such that NumPy refuses to make it writable."""
    array.setflags(write=False)
    return array.view()


def whole_tuple(name: str, values: Any, axes: int, what: str = "one entry per axis of pre") -> Shape:
    """Return whole numbers as a tuple; one number stands for all axes.

    Raises
    ------
    TypeError
        If an entry is not a whole number.
    ValueError
        If there is another number of entries, or one is beyond 2**62.
    """
    if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or np.ndim(values) == 0:
        return _countable(name, (whole_number(name, values),) * axes)
    entries = tuple(whole_number(f"{name}[{axis}]", value) for axis, value in enumerate(values))
    if len(entries) != axes:
        raise ValueError(f"{name} is {entries}; expected one number or {what} ({axes}).")
    return _countable(name, entries)


def _countable(name: str, entries: Shape) -> Shape:
    """Return the entries if they are of a size that 64-bit integers can still add up."""
    if any(abs(entry) >= 2**62 for entry in entries):
        raise ValueError(f"{name} is {entries}; expected numbers below 2**62.")
    return entries


def check_output(out: Any, shape: Shape, dtype: np.dtype[Any], rates: Array) -> None:
    """Raise unless `out` can take a result of this shape and dtype in place."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}; expected a NumPy array of shape {shape}, {dtype}.")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}; expected exactly {dtype}.")
    if out.shape != shape:
        raise ValueError(f"out has the shape {out.shape}; expected {shape}.")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass an array that can be written.")
    if not (out.flags.c_contiguous and out.flags.aligned):
        raise ValueError(f"out has the strides {out.strides}; expected a C-contiguous, aligned array.")
    if np.shares_memory(out, rates):
        raise ValueError("out overlaps the rates in memory; pass a separate array.")
