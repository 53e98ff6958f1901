"""`Population`: units on a grid, their rates, and what their neuron's equations name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from .arguments import whole_number
from .arrays import Array, converted, frozen, shaped_array
from .description import Shape
from .distributions import Normal, Uniform
from .errors import NotCopyable
from .neuron import Neuron

if TYPE_CHECKING:
    from .network import Network

# Elements of the largest array whose bytes can still be counted.
MOST_UNITS = 2**58


class Population(NotCopyable):
    """Units on a grid of 1 to 4 dimensions.

    Parameters
    ----------
    geometry : int or tuple of int
        Number of units along each axis; C order, the last axis is the fastest.
    neuron : Neuron, optional
        Equations of the units. Without one the population holds the rates it is given.
    name : str, optional
        Shown in messages; default ``pop0``, ``pop1``, ...
    dtype : dtype, optional
        float32 or float64; default: that of the network.
    network : Network, optional
        Default: that of the enclosing ``with network:``, else the default network.

    Attributes
    ----------
    r
        Rates, an array (\\*geometry). Reading gives a read-only copy. Assign a number for all units, an
        array of this shape, or a distribution (`Uniform`, `Normal`); seen from the next step on.

    Every variable and parameter of the neuron is an attribute of this kind; one that is common to the whole
    population is a number.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, an assigned value is not real, has another shape or does not fit
        the dtype, or an equation of a compiled network would divide by zero; nothing has changed then.
    StateError
        If the network is compiled already.
    """

    def __init__(
        self,
        geometry: int | Sequence[int],
        neuron: Neuron | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Network | None = None,
    ) -> None:
        from .network import Network, current_network

        if network is not None and not isinstance(network, Network):
            raise TypeError(f"network is a {type(network).__name__}; expected a Network.")
        if neuron is not None and not isinstance(neuron, Neuron):
            raise TypeError(f"neuron is a {type(neuron).__name__}; expected a Neuron.")
        self._geometry = _checked_geometry(geometry)
        self._neuron, self._given_name = neuron, name
        taken = [name for name in self._declared() if name != "r" and hasattr(type(self), name)]
        if taken:
            raise ValueError(f"neuron: every population has an attribute {taken[0]!r}; choose another name.")
        self._own_dtype = None if dtype is None else checked_dtype(dtype)
        self._values: dict[str, Array] = {}
        self._sums: dict[str, Array] = {}
        self._network = current_network() if network is None else network
        with self._network._draws_undone_by_errors():
            for attribute, declared in self._declared().items():
                if declared is None:
                    continue
                if isinstance(declared.initial, (Uniform, Normal)):
                    self._array(attribute)  # drawn now, so that reading values changes no later draw
                else:
                    shaped_array(attribute, declared.initial, (), self.dtype)  # raises if it does not fit
            self._name = self._network._register_population(self, name)

    # --- Geometry ---

    @property
    def geometry(self) -> Shape:
        """Number of units along each axis."""
        return self._geometry

    shape = geometry

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self._geometry)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self._geometry)

    def __len__(self) -> int:
        return self.size

    def rank_from_coordinates(self, coordinates: int | Sequence[int]) -> int:
        """Return the rank (C order) of the unit at `coordinates`, one entry per axis.

        Raises
        ------
        TypeError, ValueError
            If they are no whole numbers or lie outside.
        """
        listed = coordinates if isinstance(coordinates, (Sequence, np.ndarray)) else (coordinates,)
        entries = tuple(whole_number("coordinates", entry) for entry in listed)
        where = f"of a unit of {self.name!r}, geometry {self._geometry}"
        if len(entries) != self.dimension:
            raise ValueError(f"coordinates are {entries}; expected {self.dimension} {where}.")
        rank = 0
        for axis, (entry, size) in enumerate(zip(entries, self._geometry, strict=True)):
            if not 0 <= entry < size:
                raise ValueError(
                    f"coordinates are {entries}; {entry} is out of range, axis {axis} has 0 to {size - 1}: "
                    f"expected those {where}."
                )
            rank = rank * size + entry
        return rank

    def coordinates_from_rank(self, rank: int) -> tuple[int, ...]:
        """Return the coordinates of the unit with this rank (C order).

        Raises
        ------
        TypeError, ValueError
            If it is no whole number or there is no such unit.
        """
        rest = whole_number("rank", rank)
        if not 0 <= rest < self.size:
            raise ValueError(f"rank is {rest}; {self.name!r} has ranks 0 to {self.size - 1}.")
        coordinates = []
        for size in reversed(self._geometry):
            rest, entry = divmod(rest, size)
            coordinates.append(entry)
        return tuple(reversed(coordinates))

    # --- What it belongs to ---

    @property
    def network(self) -> Network:
        """Network that the population belongs to."""
        return self._network

    @property
    def name(self) -> str:
        """Name of the population."""
        return self._name

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._network.dtype if self._own_dtype is None else self._own_dtype

    @property
    def neuron(self) -> Neuron | None:
        """Equations of the units, None for a population that holds what it is given."""
        return self._neuron

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._geometry} {self.dtype}>"

    # --- Values ---

    @property
    def r(self) -> Array:
        """Rates of the units."""
        rates: Array = self._read("r")
        return rates

    @r.setter
    def r(self, values: Any) -> None:
        self._assign("r", values)

    def sum(self, target: str) -> Array:
        """Return what the projections with this target added up to in the last step.

        Parameters
        ----------
        target : str
            A target nobody feeds is 0.

        Returns
        -------
        ndarray (\\*geometry)
            Read-only copy.
        """
        if not isinstance(target, str):
            raise TypeError(f"target is a {type(target).__name__}; expected a name such as 'exc'.")
        sums = self._sums.get(target)
        if sums is None:
            return frozen(np.zeros(self._geometry, self.dtype))
        return frozen(self._network._fetch(sums)[0].copy())

    def device_array(self, name: str = "r") -> Any:
        """Return a variable or parameter where it lies on the CUDA device, without a copy.

        Parameters
        ----------
        name : str
            Of the variable or parameter.

        Returns
        -------
        array of shape (1, \\*geometry)
            With ``__cuda_array_interface__``, as CuPy's and torch's functions take it. What is written to it
            counts as assigned. It is up to date until the next assignment from Python.

        Raises
        ------
        StateError
            If the network is not compiled for the backend ``'cuda'`` or ``'cupy'``.
        ValueError
            If there is no such variable, or the step does not use it.
        """
        if name not in self._declared():
            raise ValueError(f"name is {name!r}; the neuron has {', '.join(self._declared())}.")
        return self._network._on_device(self._array(name), f"{self.name!r}.{name}")

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what the class does not define.
        if name.startswith("_") or name not in self._declared():
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        return self._read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        elif name in self._declared():
            self._assign(name, value)
        else:
            raise AttributeError(
                f"{self.name!r} has no attribute {name!r}; its neuron has {', '.join(self._declared())}."
            )

    def _declared(self) -> Mapping[str, Any]:
        """Everything with a value: name, and what the neuron says about it."""
        return {"r": None} if self._neuron is None else self._neuron.attributes

    def _read(self, name: str) -> Any:
        values = self._network._fetch(self._array(name))[0]
        return frozen(values.copy()) if self._is_local(name) else values.item()

    def _assign(self, name: str, values: Any) -> None:
        shape = self._geometry if self._is_local(name) else ()
        array = self._array(name)
        with self._network._draws_undone_by_errors() as generator:
            if isinstance(values, (Uniform, Normal)):
                values = values.sample(shape, generator)
            checked = shaped_array(name, values, shape, self.dtype)
            # Before compile() parameters that depend on each other may be assigned one after the other.
            if self._network._compiled_for is not None and self._neuron is not None:
                present = {key: self._network._fetch(self._array(key))[0] for key in self._neuron.parameters}
                self._neuron.check_divisors(present | {name: checked}, name)
        self._network._fill(array, checked)

    def _is_local(self, name: str) -> bool:
        """Whether each unit has its own value."""
        declared = self._declared()[name]
        return declared is None or bool(declared.local)

    def _shape(self, name: str) -> Shape:
        """Shape of the array of a variable or parameter: the batch axis first, 1 without a batch."""
        return (1, *self._geometry) if self._is_local(name) else (1,) * (self.dimension + 1)

    def _array(self, name: str) -> Array:
        """The values of a variable or parameter, allocated when first used and then never moved."""
        if name not in self._values:
            values = np.zeros(self._shape(name), dtype=self.dtype)
            declared = self._declared()[name]
            initial = 0.0 if declared is None else declared.initial
            if isinstance(initial, (Uniform, Normal)):
                drawn = initial.sample(values.shape, self._network.random_generator)
                values[...] = converted(name, drawn, self.dtype)
            elif initial != 0.0:
                values[...] = shaped_array(name, initial, (), self.dtype)
            self._values[name] = values
        return self._values[name]

    def _fetch_all(self) -> None:
        """Bring all values up to date, before another runner takes them over."""
        for values in (*self._values.values(), *self._sums.values()):
            self._network._fetch(values)

    def _sum_array(self, target: str) -> Array:
        """The sum of a target, (batch, \\*geometry), allocated when first used and then never moved."""
        if target not in self._sums:
            self._sums[target] = np.zeros(self._shape("r"), dtype=self.dtype)
        return self._sums[target]

    def _move(self, network: Network, name: str, values: dict[str, Array]) -> None:
        """Join another network, with the values in its dtype."""
        self._network, self._name, self._values = network, name, values


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64, or raise."""
    try:
        name = "" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}; expected 'float32' or 'float64'.")
    return np.dtype(name)


def _checked_geometry(geometry: Any) -> Shape:
    if isinstance(geometry, (str, bytes)):
        raise TypeError(f"geometry is {geometry!r}; expected a whole number or a tuple of 1 to 4.")
    entries = tuple(geometry) if isinstance(geometry, (Sequence, np.ndarray)) else (geometry,)
    sizes = tuple(whole_number("geometry", entry) for entry in entries)
    if not 1 <= len(sizes) <= 4:
        raise ValueError(f"geometry is {sizes}, {len(sizes)} dimensions; expected 1 to 4.")
    if min(sizes) < 1:
        raise ValueError(f"geometry is {sizes}; every axis needs at least one unit.")
    if math.prod(sizes) > MOST_UNITS:
        raise ValueError(f"geometry is {sizes}: more units than can be addressed; choose a smaller one.")
    return sizes
