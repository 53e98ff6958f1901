"""Filters in time and space with convis' names and definitions: plain arrays, in its units.

Time constants are in seconds, extents in space in degrees; `Resolution` says how many steps and pixels that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks.numbers import finite_number, positive_number, whole_number

Response = NDArray[np.float64]

# convis takes the value of a falling exponential this far into each step.
_WITHIN_STEP = 0.4


@dataclass(frozen=True)
class Resolution:
    """How finely time and space are divided, and where filters are cut off.

    Parameters
    ----------
    steps_per_second : float
        Frames per second.
    pixel_per_degree : float
        Pixels per degree of the visual field.
    filter_epsilon : float
        Filters end about where they fall below this value.

    Raises
    ------
    TypeError, ValueError
        If one of them is no finite number above 0.
    """

    steps_per_second: float = 1000.0
    pixel_per_degree: float = 10.0
    filter_epsilon: float = 0.001

    def __post_init__(self) -> None:
        for name in ("steps_per_second", "pixel_per_degree", "filter_epsilon"):
            positive_number(name, getattr(self, name))


def checked_resolution(resolution: Any) -> Resolution:
    """Return a resolution; None is the default one."""
    if resolution is None:
        return Resolution()
    if not isinstance(resolution, Resolution):
        raise TypeError(f"resolution is a {type(resolution).__name__}; expected a Resolution.")
    return resolution


def exponential_filter_1d(
    tau: float,
    n: int = 0,
    normalize: bool = True,
    resolution: Resolution | None = None,
    amplification: float = 1.0,
    max_length: int = 1000,
    min_steps: int = 10,
    even: bool | None = None,
) -> Response:
    """Falling exponential, or the response of a cascade of them; element k belongs to the frame k steps ago.

    With ``T = tau * steps_per_second`` and ``a = amplification / T``, the exponential (n = 0) is
    ``a * exp(-(k + 0.4) / T)``, cut off where it falls below `filter_epsilon`. The cascade (n > 0) is
    ``amplification * (n*t)**n * exp(-n*t/T) / ((n-1)! * T**(n+1))`` for t = 1, 2, ...

    Parameters
    ----------
    tau : float
        Time constant in seconds.
    n : int
        Stages of the cascade.
    normalize : bool
        False leaves out the factor a of the exponential.
    resolution : Resolution, optional
        Default: ``Resolution()``.
    amplification : float
        Sum of the filter, approximately.
    max_length, min_steps : int
        Bounds of the number of elements; that of a cascade is n times a number that has the first bound only.
    even : bool, optional
        Whether that number is to be even or odd; one more is taken where it must be.

    Returns
    -------
    ndarray (elements,)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    An exponential of a long time constant is low: at 1000 steps per second one of 1 s begins at the default
    `filter_epsilon`, and `min_steps` elements are all that is left. Choose a smaller `filter_epsilon` for such.
    """
    resolution = checked_resolution(resolution)
    steps = positive_number("tau", tau) * resolution.steps_per_second
    amplification = positive_number("amplification", amplification)
    n, most, least = _whole("n", n, 0), _whole("max_length", max_length, 1), _whole("min_steps", min_steps, 1)
    if n > 0:
        length = min(int(-steps * math.log(resolution.filter_epsilon / amplification)) - n, most)
        return _cascade(steps, n, amplification, max(_of_parity(length, even), 1))
    height = amplification / steps
    length = int(-steps * math.log(resolution.filter_epsilon / height)) + 1
    length = _of_parity(min(max(length, least), most), even)
    if length <= 1:
        return np.ones(1)
    return (height if normalize else 1.0) * _falling(steps, length)


def exponential_highpass_filter_1d(
    tau: float, relative_weight: float = 0.1, resolution: Resolution | None = None, **options: Any
) -> Response:
    """The present frame, less a part of the exponential mean of those before.

    Parameters
    ----------
    tau : float
        Time constant in seconds.
    relative_weight : float
        Of the mean, > 0; a constant movie is multiplied by about 1 - `relative_weight`.
    resolution : Resolution, optional
        Default: ``Resolution()``.
    **options
        ``n``, ``normalize``, ``max_length``, ``min_steps`` and ``even`` of `exponential_filter_1d`.

    Returns
    -------
    ndarray (elements,)
        Element k belongs to the frame k steps ago.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    weight = positive_number("relative_weight", relative_weight)
    mean = exponential_filter_1d(tau, resolution=resolution, amplification=weight, **options)
    return np.concatenate([[1.0], -mean])


def gauss_filter_2d(
    x_sig: float,
    y_sig: float,
    resolution: Resolution | None = None,
    even: bool | None = None,
    border_factor: float = 1.0,
) -> Response:
    """Gaussian of two dimensions, cut off where it falls below `filter_epsilon`.

    Parameters
    ----------
    x_sig, y_sig : float
        Standard deviations in degrees, 0 for a single pixel. As in convis, `y_sig` belongs to axis 0 of the
        result and `x_sig` to axis 1.
    resolution : Resolution, optional
        Default: ``Resolution()``.
    even : bool, optional
        True: even extents. Default: odd ones.
    border_factor : float
        Factor of the extents.

    Returns
    -------
    ndarray (rows, columns)
        The density at the pixels: the sum is a little below 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    resolution = checked_resolution(resolution)
    factor = positive_number("border_factor", border_factor)
    axes = []
    for name, value in (("y_sig", y_sig), ("x_sig", x_sig)):
        sigma = finite_number(name, value) * resolution.pixel_per_degree
        if sigma < 0.0:
            raise ValueError(f"{name} is {value!r}; expected 0 or more.")
        axes.append(_gauss_axis(sigma, resolution.filter_epsilon, bool(even), factor))
    return np.outer(*axes)


def ExponentialKernel(
    tau: float = 0.01,
    n: int = 0,
    amplification: float = 1.0,
    length: int = 100,
    resolution: Resolution | None = None,
) -> Response:
    """As `exponential_filter_1d`, of a given length.

    Parameters
    ----------
    tau, n, amplification, resolution
        As for `exponential_filter_1d`.
    length : int
        Number of elements; a cascade has n times as many.

    Returns
    -------
    ndarray (elements,)

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    steps = positive_number("tau", tau) * checked_resolution(resolution).steps_per_second
    n, length = _whole("n", n, 0), _whole("length", length, 1)
    amplification = finite_number("amplification", amplification)
    if n > 0:
        return _cascade(steps, n, amplification, length)
    return amplification / steps * _falling(steps, length)


def _falling(steps: float, length: int) -> Response:
    values: Response = np.exp(-(np.arange(length) + _WITHIN_STEP) / steps)
    return values


def _cascade(steps: float, n: int, amplification: float, length: int) -> Response:
    t = np.arange(1.0, n * length + 1.0)
    # In logarithms, since the powers of a long cascade are beyond any float.
    exponents = n * np.log(n * t) - n * t / steps - math.lgamma(n) - (n + 1) * math.log(steps)
    values: Response = amplification * np.exp(exponents)
    return values


def _gauss_axis(sigma: float, epsilon: float, even: bool, factor: float) -> Response:
    height = math.inf if sigma == 0.0 else 1.0 / (sigma * math.sqrt(2.0 * math.pi))
    if sigma == 0.0 or height <= epsilon:
        return np.ones(1)
    reach = math.ceil(factor * math.sqrt(-2.0 * sigma**2 * math.log(epsilon / height)))
    positions = np.arange(-reach + 0.5, reach) if even else np.arange(1.0 - reach, reach)
    values: Response = np.clip(height * np.exp(-(positions**2) / (2.0 * sigma**2)), 0.0, 1.0)
    return values


def _of_parity(length: int, even: bool | None) -> int:
    return length if even is None or (length % 2 == 0) == bool(even) else length + 1


def _whole(name: str, value: Any, least: int) -> int:
    number = whole_number(name, value)
    if number < least:
        raise ValueError(f"{name} is {number}; expected at least {least}.")
    return number
