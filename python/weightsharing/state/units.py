"""`Units`: the arrays of one population."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks.arrays import converted, frozen, real_array, shaped_array
from ..checks.device_arrays import is_device_array
from ..checks.shapes import Array, Shape
from ..description.neuron import Neuron
from ..language.constants import tell_of_changes
from ..language.distributions import Normal, Uniform
from .context import Context
from .part import Part
from .shown import Shown


class Units:
    """One population of a network: its geometry, its neuron, and an array for everything that has a value.

    Attributes
    ----------
    context
        Of the network that they belong to.
    name
        Unique in the network, which gives it (`Assembly.add_units`).
    geometry, neuron
        As for `Population`; None for units that hold what they are given.
    own_dtype
        Where it is not that of the network.
    given_name
        What the user asked for.
    kind
        Name of the class that people see, for messages.
    values
        Variables and parameters by name, each (B, \\*shape), allocated when first used and then never moved.
    sums
        By target, likewise.
    initial
        Copies of the values that `Network.reset` restores, empty before compile().
    shown
        What a timed input shows, None for other populations.
    handle
        What people hold. It is kept here so that it lives as long as the network; nothing here asks it for more
        than its repr.
    """

    def __init__(
        self,
        context: Context,
        geometry: Shape,
        neuron: Neuron | None = None,
        own_dtype: np.dtype[Any] | None = None,
        given_name: str | None = None,
        kind: str = "Population",
        handle: object = None,
    ) -> None:
        self.context = context
        self.geometry, self.neuron, self.own_dtype = geometry, neuron, own_dtype
        self.given_name, self.kind, self.handle = given_name, kind, handle
        self.name = ""
        self.values: dict[str, Array] = {}
        self.sums: dict[str, Array] = {}
        self.initial: dict[str, Array] = {}
        self.shown: Shown | None = None
        self._constants: dict[str, Array] = {}
        self._assigned: set[str] = set()

    def __repr__(self) -> str:
        """As people see them, whose class may have another one than `spelled`."""
        return self.spelled() if self.handle is None else repr(self.handle)

    def spelled(self) -> str:
        """Return what messages call them."""
        return f"<{self.kind} {self.name!r} {self.geometry} {self.dtype}>"

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self.geometry)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.geometry)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.context.dtype if self.own_dtype is None else self.own_dtype

    # --- What has a value ---

    @property
    def declared(self) -> Mapping[str, Any]:
        """Everything with a value: name, and what the neuron says about it, None for the `r` of no neuron."""
        return {"r": None} if self.neuron is None else self.neuron.attributes

    @property
    def parameters(self) -> list[str]:
        """Names of what only assignments change."""
        return [] if self.neuron is None else list(self.neuron.parameters)

    @property
    def variables(self) -> list[str]:
        """Names of what the equations change; `r` where the neuron gives no parameter of that name."""
        return ["r"] if self.neuron is None else list(self.neuron.variables)

    def check_declared(self, name: Any) -> None:
        """Raise AttributeError, or TypeError, unless this is the name of a variable or parameter."""
        if not isinstance(name, str):
            raise TypeError(f"name is {name!r} ({type(name).__name__}); expected text.")
        if name not in self.declared:
            raise AttributeError(
                f"{self.name!r} has no attribute {name!r}; its neuron has {', '.join(self.declared)}."
            )

    def locality(self, name: str) -> str:
        """Return ``'local'``, ``'filter'`` or ``'population'``: who shares a value."""
        declared = self.declared[name]
        return "local" if declared is None else str(declared.locality)

    # --- Shapes ---

    def own_shape(self, name: str) -> Shape:
        """Shape of one trial's values of a variable or parameter, () for one that is common to all units."""
        locality = self.locality(name)
        if locality == "local":
            return self.geometry
        return self.geometry[-1:] if locality == "filter" else ()

    def shape(self, name: str) -> Shape:
        """Shape of the array of a variable or parameter: the batch axis first, then as many axes as units have."""
        own = self.own_shape(name)
        return (self.context.trials, *(1,) * (self.dimension - len(own)), *own)

    # --- Arrays ---

    def array(self, name: str) -> Array:
        """The values of a variable or parameter."""
        if name not in self.values:
            self.values[name] = self._first_values(name)
        return self.values[name]

    def _first_values(self, name: str) -> Array:
        shape = self.shape(name)
        try:
            values = np.zeros(shape, dtype=self.dtype)
        except MemoryError:
            raise MemoryError(
                f"{name} of {self.geometry} units, an array {shape}, needs "
                f"{math.prod(shape) * self.dtype.itemsize:,} bytes, more than is free; choose a smaller geometry "
                "or batch."
            ) from None
        declared = self.declared[name]
        initial = 0.0 if declared is None else declared.initial
        if isinstance(initial, str):
            values[...] = self.array(initial)
        elif isinstance(initial, (Uniform, Normal)):
            drawn = self.context.draw(initial, values.shape[1:])
            values[...] = converted(name, drawn, self.dtype)
        elif initial != 0.0:
            values[...] = shaped_array(name, initial, (), self.dtype)
        return values

    def draw_first_values(self) -> None:
        """Draw what is drawn, so that reading values changes no later draw; raises if a value does not fit."""
        for name, declared in self.declared.items():
            if declared is None:
                continue
            if isinstance(declared.initial, (Uniform, Normal)):
                self.array(name)
            elif not isinstance(declared.initial, str):
                shaped_array(name, declared.initial, (), self.dtype)

    def sum_array(self, target: str) -> Array:
        """The sum of a target, (B, \\*geometry), allocated when first used and then never moved."""
        if target not in self.sums:
            self.sums[target] = np.zeros(self.shape("r"), dtype=self.dtype)
        return self.sums[target]

    def fetch_all(self) -> None:
        """Bring all values up to date, before another runner takes them over."""
        for values in (*self.values.values(), *self.sums.values()):
            self.context.storage.fetch(values)

    # --- Reading and assigning ---

    def read(self, name: str) -> Any:
        """Return a variable or parameter: a read-only copy, a number for one that is common to all units."""
        shape = self.context.outer(self.own_shape(name))
        values = self.context.storage.fetch(self.array(name)).reshape(shape)
        return frozen(values.copy()) if shape else values.item()

    def read_sum(self, target: str) -> Array:
        """Return a read-only copy of a sum, 0 of a target that nobody feeds."""
        if not isinstance(target, str):
            raise TypeError(f"target is a {type(target).__name__}; expected a name such as 'exc'.")
        shape = self.context.outer(self.geometry)
        sums = self.sums.get(target)
        if sums is None:
            return frozen(np.zeros(shape, self.dtype))
        return frozen(self.context.storage.fetch(sums).reshape(shape).copy())

    def assign(self, name: str, values: Any) -> None:
        """Assign a variable or parameter; values on a device stay there."""
        if not is_device_array(values):
            self.assign_all({name: values})
            return
        self._check_assignable_on_device(name)
        shape = self.context.outer(self.own_shape(name))
        self.context.storage.assign_on_device(self.array(name), name, values, shape)

    def assign_all(self, values: Mapping[str, Any], part: Part | None = None) -> None:
        """Assign to all units, or to some; nothing has changed after an error."""
        if not isinstance(values, Mapping):
            raise TypeError(f"values is a {type(values).__name__}; expected a dict of names and values.")
        for name in values:
            self.check_declared(name)
        with self.context.source.undone_by_errors():
            checked = {name: self._checked(name, given, part) for name, given in values.items()}
            # Before compile() parameters that depend on each other may be assigned one after the other.
            self._check_divisors(checked, checked)
        for name, array in checked.items():
            self.context.storage.fill(self.array(name), array)
        self._assigned |= checked.keys()
        if self.context.placed is None:
            self._start_anew()

    def _start_anew(self) -> None:
        """Give variables whose `init` names a parameter its present value."""
        for name, declared in self.declared.items():
            if declared is not None and isinstance(declared.initial, str) and name not in self._assigned:
                self.array(name)[...] = self.array(declared.initial)

    def _check_divisors(self, new: Mapping[str, Any], changed: Any) -> None:
        """Raise if an equation of a compiled network would divide by zero."""
        if self.context.placed is not None and self.neuron is not None:
            fetch = self.context.storage.fetch
            present = {key: fetch(self.array(key)) for key in self.neuron.parameters}
            self.neuron.check_divisors(present | dict(new), changed)

    def _checked(self, name: str, values: Any, part: Part | None) -> Array:
        """Return what an assignment means for the array of a variable or parameter."""
        array = self.array(name)
        if part is not None and self.locality(name) != "local":
            raise ValueError(
                f"{name} is common to units of {self.name!r}, so that it cannot be assigned for some of "
                "them; assign it to the population."
            )
        declared = self.declared[name]
        if declared is not None:
            declared.check_type(values)
        shape = self.own_shape(name) if part is None else part.shape
        if isinstance(values, (Uniform, Normal)):
            checked = converted(name, self.context.draw(values, shape), self.dtype)
        else:
            checked = self._each_trial(name, values, shape)
        if part is not None:
            checked = part.placed(checked, self.context.storage.fetch(array))
        return checked.reshape(-1, *array.shape[1:])

    def _each_trial(self, name: str, values: Any, shape: Shape) -> Array:
        """Check values of this shape, or with the batch axis in front; returned with a leading axis."""
        array, batch = real_array(name, values), self.context.batch
        if batch is not None and array.shape == (batch, *shape):
            return converted(name, array, self.dtype)
        if array.shape not in ((), shape) and batch is not None:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected {shape}, one number for all, or one of them for each "
                f"trial: {(batch, *shape)}."
            )
        return shaped_array(name, array, shape, self.dtype)[np.newaxis]

    def _check_assignable_on_device(self, name: str) -> None:
        declared = self.declared.get(name)
        if declared is not None and (name in self.parameters or declared.type != "float"):
            kind = "a parameter" if name in self.parameters else f"flagged {declared.type}"
            raise TypeError(
                f"{name} is {kind}, which is checked on the host when it is assigned; copy the values there "
                "first, with .get() (CuPy) or .cpu() (torch)."
            )

    # --- Constants, as `language.constants.Reader` ---

    def read_constants(self) -> None:
        """Ask to be told when a `Constant` of the neuron changes."""
        if self.neuron is not None:
            tell_of_changes(self, self.neuron.constants.values())

    def constant_array(self, name: str) -> Array:
        """The present value of a constant, in an array that is allocated when first used and never moved."""
        if name not in self._constants:
            shape = (self.context.trials, *(1,) * self.dimension)
            self._constants[name] = np.zeros(shape, dtype=self.dtype)
        assert self.neuron is not None
        value = shaped_array(f"constants: {name}", self.neuron.constants[name], (), self.dtype)
        self.context.storage.fill(self._constants[name], value)
        return self._constants[name]

    def check_constant(self, name: str, value: float) -> None:
        """Raise if a constant cannot have this value."""
        shaped_array(f"Constant {name!r}", value, (), self.dtype)
        self._check_divisors({name: value}, (name,))

    def constant_changed(self, name: str) -> None:
        """Take the new value of a constant."""
        self.constant_array(name)

    # --- Networks ---

    def values_for(self, context: Context) -> dict[str, Array]:
        """Return the values as another network would hold them; raises ValueError if one does not fit its dtype."""
        values = {key: converted(key, array, context.dtype) for key, array in self.values.items()}
        return {
            key: np.ascontiguousarray(np.broadcast_to(array, (context.trials, *array.shape[1:])))
            for key, array in values.items()
        }

    def move(self, context: Context, values: dict[str, Array]) -> None:
        """Join another network, with these values."""
        self.context, self.values, self._constants = context, values, {}
