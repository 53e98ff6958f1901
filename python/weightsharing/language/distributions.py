"""Random values for weights and rates: ``Uniform`` and ``Normal``, named as in ANNarchy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..checks.numbers import finite_number, whole_number

# Of the network that is current; without networks every draw is another one.
_current_generator: Callable[[], np.random.Generator] = np.random.default_rng


def set_current_generator(current: Callable[[], np.random.Generator]) -> None:
    """Let `get_values` draw from the generator that a function gives at that time."""
    global _current_generator
    _current_generator = current


class _Distribution:
    """What distributions have in common."""

    rng: np.random.Generator | None

    def sample(self, shape: int | tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw a float64 array of the given shape; the generator alone decides the values."""
        raise NotImplementedError

    def get_values(self, shape: int | Sequence[int]) -> NDArray[np.float64]:
        """Draw an array.

        Parameters
        ----------
        shape : int or tuple of int
            Its shape.

        Returns
        -------
        float64 array
            From `rng`; without one from the source of random numbers of the enclosing ``with network:``, else of the
            default network, so that `set_seed` decides the values.

        Raises
        ------
        TypeError, ValueError
            If `shape` is not as described.
        """
        entries = (
            shape if isinstance(shape, (Sequence, np.ndarray)) and not isinstance(shape, str) else [shape]
        )
        sizes = tuple(whole_number("shape", entry) for entry in entries)
        if min(sizes, default=0) < 0:
            raise ValueError(f"shape is {sizes}; expected sizes of 0 or more.")
        return self.sample(sizes, self.rng or _current_generator())


@dataclass(frozen=True)
class Uniform(_Distribution):
    """Values drawn evenly from the half-open interval [min, max).

    Parameters
    ----------
    min, max : float
        Bounds, finite, ``min <= max``. Equal bounds give that value always.
    rng : numpy.random.Generator, optional
        Source of all values drawn. Default: that of the network, which its seed decides.

    Raises
    ------
    TypeError
        If a bound is not a real number, or `rng` no generator.
    ValueError
        If a bound is not finite or ``min > max``.
    """

    min: float
    max: float
    rng: np.random.Generator | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_generator("Uniform", self.rng)
        _store(self, min=finite_number("Uniform: min", self.min), max=finite_number("Uniform: max", self.max))
        _check_order("Uniform", self.min, self.max)
        if not math.isfinite(self.max - self.min):
            raise ValueError(
                f"Uniform: the width max - min of [{self.min}, {self.max}) is too large for a float; "
                "choose closer bounds."
            )

    def sample(self, shape: int | tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw a float64 array of the given shape; the generator alone decides the values."""
        return np.asarray(generator.uniform(self.min, self.max, size=shape), dtype=np.float64)


@dataclass(frozen=True)
class Normal(_Distribution):
    """Values drawn from a normal distribution, optionally clipped.

    Parameters
    ----------
    mu : float
        Mean, finite.
    sigma : float
        Standard deviation, finite and not negative. 0 gives `mu` always.
    min, max : float, optional
        A value below `min` becomes `min`, one above `max` becomes `max` (clipped, not drawn again, as in
        ANNarchy).
    rng : numpy.random.Generator, optional
        Source of all values drawn. Default: that of the network, which its seed decides.

    Raises
    ------
    TypeError
        If an argument is not a real number, or `rng` no generator.
    ValueError
        If an argument is not finite, `sigma` is negative or ``min > max``.
    """

    mu: float
    sigma: float
    min: float | None = None
    max: float | None = None
    rng: np.random.Generator | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_generator("Normal", self.rng)
        _store(
            self,
            mu=finite_number("Normal: mu", self.mu),
            sigma=finite_number("Normal: sigma", self.sigma),
            min=None if self.min is None else finite_number("Normal: min", self.min),
            max=None if self.max is None else finite_number("Normal: max", self.max),
        )
        if self.sigma < 0:
            raise ValueError(f"Normal: sigma is {self.sigma}; expected a standard deviation of 0 or more.")
        if self.min is not None and self.max is not None:
            _check_order("Normal", self.min, self.max)

    def sample(self, shape: int | tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw a float64 array of the given shape; the generator alone decides the values."""
        values = np.asarray(generator.normal(self.mu, self.sigma, size=shape), dtype=np.float64)
        if self.min is not None:
            values = np.maximum(values, self.min)
        if self.max is not None:
            values = np.minimum(values, self.max)
        return values


Distribution = Uniform | Normal


def _store(distribution: Uniform | Normal, **values: float | None) -> None:
    for name, value in values.items():
        object.__setattr__(distribution, name, value)


def _check_generator(distribution: str, rng: object) -> None:
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{distribution}: rng is a {type(rng).__name__}; expected a generator, numpy.random.default_rng(seed)."
        )


def _check_order(distribution: str, lower: float, upper: float) -> None:
    if lower > upper:
        raise ValueError(
            f"{distribution}: min is {lower} and max is {upper}; expected min <= max. Swap the bounds."
        )
