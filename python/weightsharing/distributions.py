"""Random values for weights and rates: ``Uniform`` and ``Normal``, named as in ANNarchy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arguments import finite_number


@dataclass(frozen=True)
class Uniform:
    """Values drawn evenly from the half-open interval [min, max).

    Parameters
    ----------
    min, max : float
        Bounds, finite, ``min <= max``. Equal bounds give that value always.

    Raises
    ------
    TypeError
        If a bound is not a real number.
    ValueError
        If a bound is not finite or ``min > max``.
    """

    min: float
    max: float

    def __post_init__(self) -> None:
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
class Normal:
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

    Raises
    ------
    TypeError
        If an argument is not a real number.
    ValueError
        If an argument is not finite, `sigma` is negative or ``min > max``.
    """

    mu: float
    sigma: float
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
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


def _check_order(distribution: str, lower: float, upper: float) -> None:
    if lower > upper:
        raise ValueError(
            f"{distribution}: min is {lower} and max is {upper}; expected min <= max. Swap the bounds."
        )
