"""Ready-made filters: plain float64 arrays for ``connect_filter``, ``connect_filters`` and ``convolve``.

Units: extents, sigmas and wavelengths count units of the pre population (pixels, for an image); angles and
phases are radians. An axis of extent K has its taps at the positions ``k - (K - 1) / 2``, k = 0 .. K-1, so
every filter lies symmetrically around the middle of its extent, even extents included.

Filters are written as they meet the rates with ``method='filter'`` (cross-correlation): a filter responds
most to a patch that looks like it. ``method='convolution'`` flips them, which matters for `sobel` and for
Gabor filters of odd phase only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks.numbers import finite_number, positive_number, whole_number

__all__ = [
    "box",
    "dog",
    "gabor",
    "gabor_bank",
    "gabor_bank_multiscale",
    "gaussian",
    "laplacian",
    "sobel",
]

Filter = NDArray[np.float64]
Extent = int | Sequence[int]

# Standard deviation per wavelength of a Gabor filter whose frequency band is one octave wide at half height.
_ONE_OCTAVE = 3.0 / math.pi * math.sqrt(math.log(2.0) / 2.0)

# A filter whose absolute sum is below this fraction of its envelope holds rounding errors only.
_VANISHING = 1e-12


def gaussian(extent: Extent, sigma: float | Sequence[float], normalise: str = "sum") -> Filter:
    """Gaussian of 1 to 4 dimensions, ``exp(-sum_a x_a**2 / (2 sigma_a**2))``.

    Parameters
    ----------
    extent : int or sequence of int
        Shape of the filter; an integer is a filter of one axis.
    sigma : float or sequence of float
        Standard deviation in units, one for all axes or one per axis, > 0.
    normalise : {'sum', 'peak', 'density'}
        ``'sum'``: the weights sum to 1. ``'peak'``: the formula as it stands, 1 at the middle (which lies
        between the taps of an even extent). ``'density'``: the formula divided by
        ``prod_a sigma_a * sqrt(2 pi)``, whose integral over all space is 1.

    Returns
    -------
    ndarray
        float64, shape `extent`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, number of entries or range.
    """
    shape = _shape("extent", extent)
    sigmas = _per_axis("sigma", sigma, len(shape))
    _choice("normalise", normalise, ("sum", "peak", "density"))
    return _outer(
        [_gaussian_axis(size, axis_sigma, normalise) for size, axis_sigma in zip(shape, sigmas, strict=True)]
    )


def dog(
    extent: Extent,
    sigma_centre: float | Sequence[float],
    sigma_surround: float | Sequence[float],
    amplitude_centre: float = 1.0,
    amplitude_surround: float = 1.0,
    normalise: str = "sum",
) -> Filter:
    """Difference of two Gaussians, centre minus surround, of 1 to 4 dimensions.

    ``amplitude_centre * gaussian(extent, sigma_centre, normalise)
    - amplitude_surround * gaussian(extent, sigma_surround, normalise)``

    Parameters
    ----------
    extent : int or sequence of int
        Shape of the filter; an integer is a filter of one axis.
    sigma_centre, sigma_surround : float or sequence of float
        Standard deviations in units, one for all axes or one per axis, > 0.
    amplitude_centre, amplitude_surround : float
        Factors of the two Gaussians, finite.
    normalise : {'sum', 'peak', 'density'}
        How each of the two Gaussians is scaled before its amplitude, see `gaussian`. With ``'sum'`` and
        equal amplitudes the filter sums to 0 and gives no response to uniform rates.

    Returns
    -------
    ndarray
        float64, shape `extent`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, number of entries or range.
    """
    shape = _shape("extent", extent)
    centre = gaussian(shape, _per_axis("sigma_centre", sigma_centre, len(shape)), normalise)
    surround = gaussian(shape, _per_axis("sigma_surround", sigma_surround, len(shape)), normalise)
    return (
        finite_number("amplitude_centre", amplitude_centre) * centre
        - finite_number("amplitude_surround", amplitude_surround) * surround
    )


def gabor(
    extent: Extent,
    wavelength: float,
    orientation: float = 0.0,
    phase: float = 0.0,
    sigma: float | None = None,
    aspect: float = 1.0,
    balanced: bool = True,
    normalise: str = "absolute",
) -> Filter:
    """Gabor filter: a plane wave under a Gaussian envelope, two-dimensional.

    With x along axis 1 (columns, to the right) and y along axis 0 (rows, downwards), both 0 in the middle::

        u =  x cos(orientation) + y sin(orientation)
        v = -x sin(orientation) + y cos(orientation)
        envelope = exp(-(u**2 + (aspect * v)**2) / (2 sigma**2))
        weights  = envelope * cos(2 pi u / wavelength + phase)

    Parameters
    ----------
    extent : int or (int, int)
        Rows and columns; an integer is a square.
    wavelength : float
        Period of the wave in units, > 0.
    orientation : float
        Direction in which the wave travels, radians from axis 1 towards axis 0. 0 responds to upright bars
        and edges, pi/2 to lying ones.
    phase : float
        Radians. 0: even, bright in the middle; pi/2: odd, an edge that is bright where u is negative.
    sigma : float, optional
        Standard deviation of the envelope along the wave, in units. Default: ``0.562 * wavelength``, a
        frequency band one octave wide.
    aspect : float
        sigma along the wave divided by sigma along the bars; below 1 the filter is longer than wide.
    balanced : bool
        Subtract that multiple of the envelope which makes the weights sum to 0, so that uniform rates give
        no response.
    normalise : {'absolute', 'peak'}
        ``'absolute'``: the absolute weights sum to 1, so rates in [0, 1] give responses in [-1, 1] at every
        scale. ``'peak'``: the envelope is 1 in the middle, nothing is rescaled.

    Returns
    -------
    ndarray
        float64, shape (rows, columns).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range, or the filter vanishes (a single tap once balanced, say).
    """
    rows, columns = _plane("extent", extent)
    wavelength = positive_number("wavelength", wavelength)
    sigma = _ONE_OCTAVE * wavelength if sigma is None else positive_number("sigma", sigma)
    aspect = positive_number("aspect", aspect)
    orientation = finite_number("orientation", orientation)
    phase = finite_number("phase", phase)
    _choice("normalise", normalise, ("absolute", "peak"))

    y = _positions(rows)[:, np.newaxis]
    x = _positions(columns)[np.newaxis, :]
    u = x * math.cos(orientation) + y * math.sin(orientation)
    v = -x * math.sin(orientation) + y * math.cos(orientation)
    with np.errstate(over="ignore"):
        envelope = np.exp(-0.5 * ((u / sigma) ** 2 + (aspect * v / sigma) ** 2))
    weights = envelope * np.cos(2.0 * math.pi * u / wavelength + phase)
    total = float(envelope.sum())
    if balanced and total > 0.0:
        weights -= envelope * (weights.sum() / total)
    if normalise == "peak":
        return weights
    absolute = float(np.abs(weights).sum())
    if not absolute > _VANISHING * total:
        raise ValueError(
            f"gabor: all weights vanish for extent {(rows, columns)}, wavelength {wavelength:g}, phase "
            f"{phase:g}, sigma {sigma:g}, balanced={balanced}; a sum of absolute weights of 1 is out of "
            "reach. Choose a larger extent or sigma, another phase, or normalise='peak'."
        )
    return weights / absolute


def gabor_bank(
    extent: Extent,
    wavelengths: float | Sequence[float],
    orientations: int | Sequence[float] = 8,
    phases: float | Sequence[float] = 0.0,
    *,
    sigma: float | None = None,
    aspect: float = 1.0,
    balanced: bool = True,
    normalise: str = "absolute",
) -> Filter:
    """Gabor filters of all given wavelengths, orientations and phases, in one extent.

    Parameters
    ----------
    extent : int or (int, int)
        Rows and columns of every filter; an integer is a square.
    wavelengths : float or sequence of float
        Periods in units.
    orientations : int or sequence of float
        An integer n: the n angles ``i * pi / n``. Otherwise the angles in radians.
    phases : float or sequence of float
        Radians.
    sigma, aspect, balanced, normalise
        As for `gabor`; the default `sigma` follows each wavelength.

    Returns
    -------
    ndarray
        float64, shape (filters, rows, columns): weights for ``connect_filters``. The wavelength varies
        slowest, the phase fastest: filter ``(i * orientations + j) * phases + k``.

    Raises
    ------
    TypeError, ValueError
        As `gabor`; also for an empty list.
    """
    plane = _plane("extent", extent)
    angles, shifts = _angles(orientations), _several("phases", phases)
    return np.stack(
        [
            gabor(plane, wavelength, angle, shift, sigma, aspect, balanced, normalise)
            for wavelength in _several("wavelengths", wavelengths)
            for angle in angles
            for shift in shifts
        ]
    )


def gabor_bank_multiscale(
    wavelengths: float | Sequence[float],
    orientations: int | Sequence[float] = 8,
    phases: float | Sequence[float] = 0.0,
    *,
    aspect: float = 1.0,
    balanced: bool = True,
    normalise: str = "absolute",
) -> list[Filter]:
    """Gabor filters of all given wavelengths, orientations and phases, each in the extent it needs.

    Parameters
    ----------
    wavelengths, orientations, phases, aspect, balanced, normalise
        As for `gabor_bank`; the standard deviation is ``0.562 * wavelength``.

    Returns
    -------
    list of ndarray
        float64 arrays of shape (K, K), in the order of `gabor_bank`. K is odd and reaches 3 standard
        deviations of the longer axis of the envelope to each side. ``connect_filters`` takes such a list as
        one bank.

    Raises
    ------
    TypeError, ValueError
        As `gabor`; also for an empty list.
    """
    aspect = positive_number("aspect", aspect)
    angles, shifts = _angles(orientations), _several("phases", phases)
    bank = []
    for wavelength in _several("wavelengths", wavelengths):
        reach = 3.0 * _ONE_OCTAVE * positive_number("wavelengths", wavelength) / min(aspect, 1.0)
        plane = (2 * math.ceil(reach) + 1,) * 2
        bank += [
            gabor(plane, wavelength, angle, shift, None, aspect, balanced, normalise)
            for angle in angles
            for shift in shifts
        ]
    return bank


def box(extent: Extent, normalise: str = "sum") -> Filter:
    """Equal weights over 1 to 4 dimensions.

    Parameters
    ----------
    extent : int or sequence of int
        Shape of the filter; an integer is a filter of one axis.
    normalise : {'sum', 'peak'}
        ``'sum'``: the weights sum to 1 (a moving mean). ``'peak'``: every weight is 1.

    Returns
    -------
    ndarray
        float64, shape `extent`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.
    """
    shape = _shape("extent", extent)
    _choice("normalise", normalise, ("sum", "peak"))
    return np.full(shape, 1.0 / math.prod(shape) if normalise == "sum" else 1.0)


def laplacian(dimension: int = 2, diagonal: bool = False) -> Filter:
    """Discrete Laplacian, extent 3 along each axis; not rescaled, the weights sum to 0.

    Parameters
    ----------
    dimension : int
        Number of axes, 1 to 4.
    diagonal : bool
        False: 1 at the ``2 * dimension`` neighbours along the axes and ``-2 * dimension`` in the middle,
        exactly the second derivative of a quadratic (units: rate per unit squared). True: 1 at all
        ``3**dimension - 1`` neighbours and minus their number in the middle.

    Returns
    -------
    ndarray
        float64, shape ``(3,) * dimension``.

    Raises
    ------
    TypeError, ValueError
        If `dimension` is not a whole number from 1 to 4.
    """
    dimension = _dimension(dimension)
    distance = np.abs(np.indices((3,) * dimension) - 1).sum(axis=0)
    weights = np.where(distance > 0 if diagonal else distance == 1, 1.0, 0.0)
    weights[distance == 0] = -weights.sum()
    return weights


def sobel(axis: int = 0, dimension: int = 2, normalise: bool = False) -> Filter:
    """Sobel filter: the derivative along one axis, smoothed along the others, extent 3 along each axis.

    The outer product of (-1, 0, 1) along `axis` and (1, 2, 1) along every other axis: positive where the
    rate grows with the index.

    Parameters
    ----------
    axis : int
        Axis of the derivative; negative numbers count from the last one.
    dimension : int
        Number of axes, 1 to 4.
    normalise : bool
        False: the integers above. True: divided by ``2 * 4**(dimension - 1)``, so that the response is the
        slope in rate per unit.

    Returns
    -------
    ndarray
        float64, shape ``(3,) * dimension``.

    Raises
    ------
    TypeError, ValueError
        If `dimension` is not a whole number from 1 to 4, or `axis` is not one of its axes.
    """
    dimension = _dimension(dimension)
    axis = whole_number("axis", axis)
    if not -dimension <= axis < dimension:
        raise ValueError(
            f"axis is {axis}; a filter of {dimension} axes has the axes {-dimension} to {dimension - 1}."
        )
    factors = [np.array([1.0, 2.0, 1.0])] * dimension
    factors[axis] = np.array([-1.0, 0.0, 1.0])
    weights = _outer(factors)
    return weights / (2.0 * 4.0 ** (dimension - 1)) if normalise else weights


def _positions(size: int) -> Filter:
    return np.arange(size, dtype=np.float64) - (size - 1) / 2.0


def _outer(factors: Sequence[Filter]) -> Filter:
    weights: Filter = np.ones(())
    for factor in factors:
        weights = np.multiply.outer(weights, factor)
    return weights


def _gaussian_axis(size: int, sigma: float, normalise: str) -> Filter:
    squares = _positions(size) ** 2
    if normalise == "sum":
        # The nearest taps get exponent 0: the sum is at least 1 however small sigma is beside half a unit.
        squares -= squares.min()
    with np.errstate(over="ignore"):
        values = np.exp(-0.5 * squares / sigma / sigma)
    if normalise == "sum":
        values /= values.sum()
    elif normalise == "density":
        values /= sigma * math.sqrt(2.0 * math.pi)
    return values


def _dimension(value: Any) -> int:
    dimension = whole_number("dimension", value)
    if not 1 <= dimension <= 4:
        raise ValueError(f"dimension is {dimension}; filters have 1 to 4 axes.")
    return dimension


def _shape(name: str, extent: Any) -> tuple[int, ...]:
    sizes = list(extent) if isinstance(extent, Iterable) else [extent]
    shape = tuple(whole_number(name, size) for size in sizes)
    if not 1 <= len(shape) <= 4:
        raise ValueError(f"{name} is {extent!r} with {len(shape)} axes; filters have 1 to 4.")
    if min(shape) < 1:
        raise ValueError(f"{name} is {extent!r}; expected at least 1 along each axis.")
    return shape


def _plane(name: str, extent: Any) -> tuple[int, int]:
    shape = _shape(name, extent)
    if not isinstance(extent, Iterable):
        shape *= 2
    if len(shape) != 2:
        raise ValueError(
            f"{name} is {extent!r} with {len(shape)} axes; expected (rows, columns), or one integer for both."
        )
    return shape[0], shape[1]


def _several(name: str, values: Any) -> list[float]:
    entries = [finite_number(name, value) for value in (values if isinstance(values, Iterable) else [values])]
    if not entries:
        raise ValueError(f"{name} is empty; expected at least one number.")
    return entries


def _per_axis(name: str, values: Any, dimension: int) -> list[float]:
    if not isinstance(values, Iterable):
        return [positive_number(name, values)] * dimension
    entries = [positive_number(name, value) for value in values]
    if len(entries) != dimension:
        raise ValueError(
            f"{name} is {values!r} with {len(entries)} entries; the extent has {dimension} axes. "
            "Give one number, or one per axis."
        )
    return entries


def _angles(orientations: Any) -> list[float]:
    if isinstance(orientations, Iterable):
        return _several("orientations", orientations)
    count = whole_number("orientations", orientations)
    if count < 1:
        raise ValueError(f"orientations is {count}; expected at least 1, or a list of angles in radians.")
    return [index * math.pi / count for index in range(count)]


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}.")
