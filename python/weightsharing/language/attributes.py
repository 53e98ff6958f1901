"""`Parameter` and `Variable`: entries of a neuron's definition in ANNarchy's newer form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checks.numbers import finite_number
from .distributions import Normal, Uniform

_LOCALITIES = {"local": "local", "global": "population", "population": "population"}
_TYPES: dict[Any, str] = {name: name for name in ("float", "int", "bool")}
_TYPES |= {float: "float", int: "int", bool: "bool"}


@dataclass(frozen=True)
class Parameter:
    """Value of a parameter in the dict ``parameters`` of a `Neuron`.

    Parameters
    ----------
    value : float, int, bool, Uniform, Normal or str
        A string names a `Constant`, whose present value is taken.
    locality : {'global', 'local'}
        One value for the whole population, or one per unit.
    type : {float, int, bool}, or their names
        What kind of number it is.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    value: float | Uniform | Normal | str
    locality: str = "global"
    type: Any = "float"

    def __post_init__(self) -> None:
        _check_kind("Parameter", self.locality, self.type)
        if not isinstance(self.value, (bool, Uniform, Normal, str)):
            finite_number("Parameter: value", self.value)

    @property
    def flags(self) -> tuple[str, Any]:
        """Locality and type as a neuron's text spells them."""
        return _LOCALITIES[self.locality], _TYPES[self.type]


@dataclass(frozen=True)
class Variable:
    """One equation of a `Neuron`, with its flags as arguments.

    Parameters
    ----------
    equation : str
        One equation without flags.
    init : float, int, bool, Uniform, Normal or str, optional
        Initial value, default 0; a string names a parameter or constant.
    min, max : float or str, optional
        Bounds; a string is an expression.
    method : str, optional
        Of a differential equation: ``'explicit'``, ``'exponential'`` or ``'midpoint'``.
    locality : {'local', 'global'}
        One value per unit, or one for the whole population.
    type : {float, int, bool}, or their names
        What kind of number it is.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described. What is wrong in texts the neuron finds.
    """

    equation: str
    init: float | Uniform | Normal | str | None = None
    min: float | str | None = None
    max: float | str | None = None
    method: str | None = None
    locality: str = "local"
    type: Any = "float"

    def __post_init__(self) -> None:
        _check_kind("Variable", self.locality, self.type)
        for name, text in (("equation", self.equation), ("method", self.method)):
            if not isinstance(text, str) and not (text is None and name == "method"):
                raise TypeError(f"Variable: {name} is {text!r} ({type(text).__name__}); expected text.")
        for name, value in (("init", self.init), ("min", self.min), ("max", self.max)):
            if isinstance(value, (Uniform, Normal)) and name == "init":
                continue
            if value is not None and not isinstance(value, (bool, str)):
                finite_number(f"Variable: {name}", value)

    @property
    def text(self) -> str:
        """Equation and flags as a neuron's text spells them."""
        flags = [
            f"{name}={_spelled(value)}"
            for name, value in (("init", self.init), ("min", self.min), ("max", self.max))
            if value is not None
        ]
        flags += [self.method] if self.method else []
        flags += [
            flag
            for flag in (_LOCALITIES[self.locality], _TYPES[self.type])
            if flag in ("population", "int", "bool")
        ]
        return f"{self.equation.rstrip()} : {', '.join(flags)}" if flags else self.equation


def _check_kind(owner: str, locality: Any, kind: Any) -> None:
    if locality in ("semiglobal", "postsynaptic", "projection"):
        raise ValueError(f"{owner}: the locality {locality!r} belongs to synapses; use 'global' or 'local'.")
    if locality not in _LOCALITIES:
        raise ValueError(f"{owner}: locality is {locality!r}; expected 'global' or 'local'.")
    if kind not in _TYPES:
        raise ValueError(f"{owner}: type is {kind!r}; expected float, int or bool.")


def _spelled(value: Any) -> str:
    if isinstance(value, Uniform):
        return f"Uniform({value.min!r}, {value.max!r})"
    if isinstance(value, Normal):
        bounds = [value.mu, value.sigma, *([] if value.min is None else [value.min])]
        if value.max is not None:
            if value.min is None:
                raise ValueError(f"Variable: init is {value!r}; give it a min too.")
            bounds.append(value.max)
        return f"Normal({', '.join(map(repr, bounds))})"
    return value if isinstance(value, str) else repr(float(value))
