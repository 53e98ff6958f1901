"""What a neuron declares, parameters and variables, and the assignments that its equations come to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..checks.arrays import real_array
from .distributions import Normal, Uniform
from .expression import Expression
from .tree import Node, build

Locality = Literal["local", "filter", "population", "constant"]
Kind = Literal["float", "int", "bool"]
# A string is the name of a parameter that a variable starts from.
Initial = float | Uniform | Normal | str


@dataclass(frozen=True)
class Declaration:
    """A parameter, which only the user changes, or a variable, which the equations change.

    Attributes
    ----------
    name
        As in the equations.
    initial
        Its value at first: a number, or a distribution that each unit draws from; of a variable also the name
        of a parameter, whose value it starts with.
    locality
        ``'local'``: each unit has its own. ``'filter'``: one for each place on the last axis, which units of the
        same filter of a bank share. ``'population'`` and ``'constant'``: one for all units.
    type
        Which numbers it takes: any, whole ones, or 0 and 1.
    """

    name: str
    initial: Initial
    locality: Locality
    type: Kind = "float"

    @property
    def local(self) -> bool:
        """Whether each unit has its own value."""
        return self.locality == "local"

    def check_type(self, values: Any) -> None:
        """Raise ValueError unless it takes these values: numbers, or a distribution of them."""
        if self.type == "float":
            return
        expected = "a whole number" if self.type == "int" else "0 or 1 (False or True)"
        if isinstance(values, (Uniform, Normal)):
            raise ValueError(f"{self.name!r} is flagged {self.type}, and {values} draws other numbers.")
        array = real_array(self.name, values)
        right = (
            np.isin(array, (0, 1)) if self.type == "bool" else np.isfinite(array) & (array == np.floor(array))
        )
        if not right.all():
            wrong = array[~right].flat[0]
            raise ValueError(
                f"{self.name!r} is flagged {self.type}, but its value is {wrong}; expected {expected}."
            )


@dataclass(frozen=True)
class Assignment:
    """One step of an update: ``name = expression``, then the bounds, which keep NaN.

    Attributes
    ----------
    name
        A variable, or an intermediate value, spelled with brackets as in ``increment(v)``, that lives during
        the update only.
    expression
        Reads variables, parameters, constants, ``sum(target)``, ``t``, ``dt`` and intermediate values as they
        are when the step is executed. Its text is the equation the step comes from.
    minimum, maximum
        Bounds, which read the same.
    """

    name: str
    expression: Expression
    minimum: Expression | None = None
    maximum: Expression | None = None

    @cached_property
    def tree(self) -> Node:
        """Expression and bounds as one tree."""
        tree = self.expression.tree
        if self.minimum is not None:
            tree = build("maximum", tree, self.minimum.tree)
        if self.maximum is not None:
            tree = build("minimum", tree, self.maximum.tree)
        return tree
