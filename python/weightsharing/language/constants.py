"""`Constant`: a named number that the equations of every neuron may read."""

from __future__ import annotations

import math
import numbers
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ..checks.errors import NotCopyable
from ..checks.numbers import finite_number
from ..checks.porting import ported
from ..checks.shapes import Array
from .statements import check_constant_name


class ConstantReader(Protocol):
    """What reads constants, and is asked and told when one changes."""

    def check_constant(self, name: str, value: float) -> None:
        """Raise ValueError if the constant cannot have this value."""

    def constant_changed(self, name: str) -> None:
        """Take the present value of the constant."""


_known: dict[str, Constant] = {}


class Constant(NotCopyable, numbers.Real):
    """A named number that equations may read without a parameter of that name, as in ANNarchy.

    Parameters
    ----------
    name : str
        As in the equations of the neurons that are defined afterwards, in whatever network they are used. What
        a neuron calls by the same name itself (a parameter, a variable, an entry of its ``constants``) goes
        first. A second constant of the same name takes its place in neurons that are defined after it.
    value : float
        Finite; may be computed from other constants, whose later changes it does not follow.

    Attributes
    ----------
    name : str
    value : float
        Assigning it is `set`.

    Raises
    ------
    TypeError
        If the name is no text or the value no number.
    ValueError
        If the name cannot be used in equations or the value is not finite.

    Notes
    -----
    In Python a constant is a number like a float: it computes with its present value and results are floats.

    A change is seen by all neurons that read the constant: before ``compile()`` as if it had been defined so,
    afterwards from the next step on. `Network.reset` leaves constants as they are. ``clear()`` takes them away
    from neurons that are defined afterwards. The `init` of a variable and the values of parameters take the
    number of the moment when the neuron is defined, and so does a neuron that is pickled.

    Examples
    --------
    >>> from weightsharing import Constant, Neuron
    >>> tau = Constant("tau", 20.0)
    >>> neuron = Neuron(equations="tau*dr/dt + r = sum(exc)")
    >>> tau / 2
    10.0
    >>> tau.set(10.0)
    """

    @ported
    def __init__(self, name: str, value: float) -> None:
        check_constant_name("Constant: name", name)
        self._name = name
        self._value = finite_number(f"Constant {name!r}: value", value)
        self._readers: weakref.WeakSet[ConstantReader] = weakref.WeakSet()
        _known[name] = self

    @property
    def name(self) -> str:
        """Name in the equations."""
        return self._name

    @property
    def value(self) -> float:
        """Present value."""
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        self.set(value)

    def set(self, value: float) -> None:
        """Change the value in all networks.

        Raises
        ------
        TypeError, ValueError
            If the value is no finite number, does not fit the dtype of a network, or an equation of a compiled
            network would divide by zero; nothing has changed then.
        """
        number = finite_number(f"Constant {self._name!r}: value", value)
        readers = tuple(self._readers)
        for reader in readers:
            reader.check_constant(self._name, number)
        self._value = number
        for reader in readers:
            reader.constant_changed(self._name)

    def __repr__(self) -> str:
        return f"Constant({self._name!r}, {self._value})"

    def __str__(self) -> str:
        return str(self._value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._value, dtype=dtype)

    def __float__(self) -> float:
        return self._value

    def __int__(self) -> int:
        return int(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == other

    __hash__ = None  # type: ignore[assignment]  # equal numbers may become different ones

    def __lt__(self, other: Any) -> bool:
        return bool(self._value < other)

    def __le__(self, other: Any) -> bool:
        return bool(self._value <= other)

    def __gt__(self, other: Any) -> bool:
        return bool(self._value > other)

    def __ge__(self, other: Any) -> bool:
        return bool(self._value >= other)

    def __neg__(self) -> float:
        return -self._value

    def __pos__(self) -> float:
        return self._value

    def __abs__(self) -> float:
        return abs(self._value)

    def __trunc__(self) -> int:
        return math.trunc(self._value)

    def __floor__(self) -> int:
        return math.floor(self._value)

    def __ceil__(self) -> int:
        return math.ceil(self._value)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._value, digits)

    def __add__(self, other: Any) -> Any:
        return self._value + other

    def __radd__(self, other: Any) -> Any:
        return other + self._value

    def __sub__(self, other: Any) -> Any:
        return self._value - other

    def __rsub__(self, other: Any) -> Any:
        return other - self._value

    def __mul__(self, other: Any) -> Any:
        return self._value * other

    def __rmul__(self, other: Any) -> Any:
        return other * self._value

    def __truediv__(self, other: Any) -> Any:
        return self._value / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self._value

    def __floordiv__(self, other: Any) -> Any:
        return self._value // other

    def __rfloordiv__(self, other: Any) -> Any:
        return other // self._value

    def __mod__(self, other: Any) -> Any:
        return self._value % other

    def __rmod__(self, other: Any) -> Any:
        return other % self._value

    def __pow__(self, other: Any) -> Any:
        return self._value**other

    def __rpow__(self, other: Any) -> Any:
        return other**self._value


def tell_of_changes(reader: ConstantReader, values: Iterable[object]) -> None:
    """Tell a reader, from now on and as long as it lives, when one of these changes that are constants."""
    for value in values:
        if isinstance(value, Constant):
            value._readers.add(reader)  # noqa: SLF001  (of this file, and no name for users)


def known_constants() -> dict[str, Constant]:
    """Return the constants that a neuron defined now may read."""
    return dict(_known)


def forget_constants() -> None:
    """Take all constants away from neurons that are defined from now on."""
    _known.clear()
