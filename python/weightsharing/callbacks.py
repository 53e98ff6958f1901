"""Functions that are called between steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Callback:
    """A function that `Network.every` decorated.

    Attributes
    ----------
    function
        Called with the number of its call.
    period, first
        In steps: called before the steps ``first + n * period``.
    """

    function: Callable[[int], Any]
    period: int
    first: int
