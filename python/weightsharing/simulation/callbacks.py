"""Functions that are called between steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..checks.times import whole_steps


@dataclass(frozen=True)
class Times:
    """When a function is called: before the steps that begin at ``wait + offset + n * period``, all in ms.

    A negative offset is counted from the end of a period.
    """

    period: float
    offset: float
    wait: float

    def in_steps(self, dt: float) -> tuple[int, int]:
        """Return the period and the time of the first call in steps.

        Raises
        ------
        ValueError
            If a time is no whole number of steps, the period is none at all, or `wait` is negative.
        """
        period = whole_steps("period", self.period, dt)
        if period < 1:
            raise ValueError(f"period is {self.period} ms; expected at least one step, {dt} ms.")
        first = whole_steps("wait", self.wait, dt)
        if self.offset < 0.0:
            return period, first + -whole_steps("the negative offset", -self.offset, dt) % period
        return period, first + whole_steps("offset", self.offset, dt)


@dataclass(frozen=True)
class Callback:
    """A function that `Network.every` decorated.

    Attributes
    ----------
    function
        Called with the number of its call.
    times
        When.
    """

    function: Callable[[int], Any]
    times: Times


class Callbacks:
    """The functions of one network, in the order in which they were decorated.

    Attributes
    ----------
    functions
        All of them.
    enabled
        Whether they are called.
    """

    def __init__(self) -> None:
        self.functions: list[Callback] = []
        self.enabled = True

    def call(self, step: int, dt: float) -> int:
        """Call those that are due before this step; return the step before which others are."""
        upcoming = 2**62
        for callback in self.functions if self.enabled else ():
            period, first = callback.times.in_steps(dt)
            wait = first - step
            if wait <= 0 and wait % period == 0:
                callback.function(-wait // period)
            upcoming = min(upcoming, step + (wait if wait > 0 else wait % period or period))
        return upcoming
