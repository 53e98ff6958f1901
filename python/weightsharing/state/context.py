"""`Context`: the settings of one network, and what all of its members share."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import DTypeLike

from ..backends.targets import Target, checked_target
from ..checks.errors import StateError
from ..checks.numbers import positive_number, whole_number
from ..checks.shapes import Array, Shape, checked_dtype
from ..description.histories import UpdateOrder
from ..language.distributions import Distribution
from .source import Source
from .storage import Storage


class Clock:
    """How far a network has come.

    Attributes
    ----------
    steps_done
        Since compile or reset.
    run_end
        Step at which the present run ends, None between runs.
    """

    def __init__(self) -> None:
        self.steps_done = 0
        self.run_end: int | None = None


class Context:
    """Settings of one network.

    Parameters
    ----------
    dt, dtype, seed, backend, threads, device, stream, batch, update, first_trial, check_finite
        As for `Network`.

    Attributes
    ----------
    source, storage, clock
        Random numbers, the way to the arrays, and the time.
    given, asked
        Where to compute, as far as anybody said: for the network, and with what compile() was given.
    placed, reason
        Where it is compiled for, everything decided, and why; None and an empty text before.

    Raises
    ------
    TypeError, ValueError, IndexError
        If a setting is not as described.
    """

    def __init__(
        self,
        dt: float = 1.0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        *,
        backend: str = "auto",
        threads: int | None = None,
        device: int | None = None,
        stream: Any = None,
        batch: int | None = None,
        update: UpdateOrder = "synchronous",
        first_trial: int = 0,
        check_finite: bool = False,
    ) -> None:
        self.given = checked_target("auto" if backend is None else backend, threads, device, stream)
        self.asked = self.given
        self.dt = positive_number("dt", dt)
        self.dtype = checked_dtype(dtype)
        self.batch = None if batch is None else _count("batch", batch, 1)
        self.first_trial = _count("first_trial", first_trial, 0)
        if update not in get_args(UpdateOrder):
            raise ValueError(
                f"update is {update!r}; expected one of {', '.join(map(repr, get_args(UpdateOrder)))}."
            )
        self.update: UpdateOrder = update
        if not isinstance(check_finite, (bool, np.bool_)):
            raise TypeError(f"check_finite is {check_finite!r}; expected True or False.")
        self.check_finite = bool(check_finite)
        self.source = Source(seed)
        self.storage = Storage()
        self.clock = Clock()
        self.placed: Target | None = None
        self.reason = ""

    @property
    def trials(self) -> int:
        """Length of the batch axis that every array has."""
        return self.batch or 1

    @property
    def time(self) -> float:
        """Simulated time in ms."""
        return self.clock.steps_done * self.dt

    def outer(self, shape: Shape) -> Shape:
        """Return a shape as people see it: with the batch axis if there is one."""
        return shape if self.batch is None else (self.batch, *shape)

    def draw(self, distribution: Distribution, shape: Shape) -> Array:
        """Draw values for every trial, (B, \\*shape)."""
        return self.source.draw(distribution, shape, range(self.first_trial, self.first_trial + self.trials))

    def require_open(self, action: str) -> None:
        """Raise StateError if the network is compiled."""
        if self.placed is not None:
            raise StateError(f"cannot {action}: the network is compiled already. Do so before compile().")

    def require_between_runs(self, action: str) -> None:
        """Raise StateError if a run is under way."""
        if self.clock.run_end is not None:
            raise StateError(
                f"{action}: a run is under way; neither a function that is called between the steps nor another "
                "thread can do this."
            )


def _count(name: str, value: Any, least: int) -> int:
    number = whole_number(name, value)
    if not least <= number < 2**31:
        raise ValueError(f"{name} is {number}; expected {least} or more, below 2**31.")
    return number
