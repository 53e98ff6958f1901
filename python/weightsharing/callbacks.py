"""Functions that are called between steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .compilation import whole_steps


@dataclass(frozen=True)
class Callback:
    """A function that `Network.every` decorated.

    Attributes
    ----------
    function
        Called with the number of its call.
    period, first
        In ms: called before the steps that begin at ``first + n * period``.
    """

    function: Callable[[int], Any]
    period: float
    first: float


def period_in_steps(period: float, first: float, dt: float) -> tuple[int, int]:
    """Return both times in steps.

    Raises
    ------
    ValueError
        If they are no whole numbers of steps, or the period is none at all.
    """
    steps = whole_steps("period", period, dt)
    if steps < 1:
        raise ValueError(f"period is {period} ms; expected at least one step, {dt} ms.")
    return steps, whole_steps("offset + wait", first, dt)
