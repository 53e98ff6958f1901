"""`Source`: where everything drawn in one network comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..checks.numbers import whole_number
from ..checks.shapes import Array, Shape
from ..language.distributions import Distribution


class Source:
    """A seed, and the generator of random numbers that it starts.

    Attributes
    ----------
    seed
        What everything drawn depends on. The noise of equations depends on it alone.
    generator
        Source of drawn weights and rates.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.start(seed)

    def start(self, seed: int | None) -> None:
        """Begin anew from a seed; without one, from another one each time.

        Raises
        ------
        TypeError, ValueError
            If it is no whole number from 0 to 2**64 - 1.
        """
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        seed = whole_number("seed", seed)
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2**64 - 1.")
        self.seed = seed
        self.generator = np.random.default_rng(seed)

    @property
    def state(self) -> Any:
        """Where the generator stands; assign it to go back there."""
        return self.generator.bit_generator.state

    @state.setter
    def state(self, state: Any) -> None:
        self.generator.bit_generator.state = state

    def draw(self, distribution: Distribution, shape: Shape, trials: Iterable[int]) -> Array:
        """Draw values for every trial, (B, \\*shape): those of a trial are the same in any batch it is part of."""
        words = int(self.generator.integers(2**63))
        return np.stack(
            [
                distribution.sample(shape, distribution.rng or np.random.default_rng([words, trial]))
                for trial in trials
            ]
        )

    @contextmanager
    def undone_by_errors(self) -> Iterator[np.random.Generator]:
        """Lend the generator; an error leaves it as it was."""
        before = self.state
        try:
            yield self.generator
        except BaseException:
            self.state = before
            raise
