"""Classes that are written in several files, and are one class for people."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def half_of(name: str) -> Callable[[C], C]:
    """Decorate a base class whose methods are those of the class `name` in everything that people read.

    Python takes the name of a method for its own messages: ``Network.simulate() missing 1 required positional
    argument``, not that of a class that nobody has heard of.
    """

    def renamed(half: C) -> C:
        for member in vars(half).values():
            while inspect.isfunction(member):
                member.__qualname__ = f"{name}.{member.__name__}"
                member = getattr(member, "__wrapped__", None)
        return half

    return renamed
