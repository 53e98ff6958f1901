"""`Population`: units on a grid, their rates, and what their neuron's equations name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from .checks.arrays import converted, frozen, real_array, shaped_array
from .checks.device_arrays import is_device_array
from .checks.errors import NotCopyable
from .checks.numbers import finite_number, whole_number
from .checks.porting import ported
from .checks.shapes import Array, Shape, checked_dtype, checked_geometry
from .description.neuron import Neuron
from .description.schedule import Frames
from .language.constants import Constant
from .language.distributions import Normal, Uniform
from .views import PopulationView, view_of

if TYPE_CHECKING:
    from .network import Network


class Population(NotCopyable):
    """Units on a grid of 1 to 4 dimensions.

    Parameters
    ----------
    geometry : int or tuple of int
        Number of units along each axis; C order, the last axis is the fastest.
    neuron : Neuron, optional
        Equations of the units, or a class of ready-made ones. Without one the population holds the rates it is given.
    name : str, optional
        Shown in messages; default ``pop0``, ``pop1``, ...
    dtype : dtype, optional
        float32 or float64; default: that of the network.
    network : Network, optional
        Default: that of the enclosing ``with network:``, else the default network.

    Attributes
    ----------
    r
        Rates, an array (\\*geometry), in a network with a batch (batch, \\*geometry). Reading gives a
        read-only copy. Assign a number for all units, an array of this shape, or a distribution (`Uniform`,
        `Normal`); seen from the next step on. With a batch, an array (\\*geometry) is taken for every trial.
        In a network compiled for a GPU also an array on that device (CuPy, torch), which is not copied through
        the host.

    Every variable and parameter of the neuron is an attribute of this kind; one that is common to the whole
    population is a number. An index, such as ``pop[2:5, :]``, gives a `PopulationView` of some units.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, an assigned value is not real, has another shape or does not fit
        the dtype, or an equation of a compiled network would divide by zero; nothing has changed then.
    StateError
        If the network is compiled already.
    """

    @ported
    def __init__(
        self,
        geometry: int | Sequence[int],
        neuron: Neuron | type[Neuron] | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Network | None = None,
    ) -> None:
        from .network import Network, current_network

        if network is not None and not isinstance(network, Network):
            raise TypeError(f"network is a {type(network).__name__}; expected a Network.")
        if isinstance(neuron, type) and issubclass(neuron, Neuron):
            neuron = neuron()
        if neuron is not None and not isinstance(neuron, Neuron):
            raise TypeError(f"neuron is a {type(neuron).__name__}; expected a Neuron.")
        self._geometry = checked_geometry(geometry)
        self._neuron, self._given_name = neuron, name
        taken = [
            name
            for name in self._declared()
            if name != "r" and (hasattr(type(self), name) or hasattr(PopulationView, name))
        ]
        if taken:
            raise ValueError(
                f"neuron: every population or view has an attribute {taken[0]!r}; choose another name."
            )
        self._own_dtype = None if dtype is None else checked_dtype(dtype)
        self._values: dict[str, Array] = {}
        self._frames: Frames | None = None  # of populations that show a movie
        self._sums: dict[str, Array] = {}
        self._constants: dict[str, Array] = {}
        self._assigned: set[str] = set()
        self._network = current_network() if network is None else network
        with self._network._draws_undone_by_errors():
            for attribute, declared in self._declared().items():
                if declared is None:
                    continue
                if isinstance(declared.initial, (Uniform, Normal)):
                    self._array(attribute)  # drawn now, so that reading values changes no later draw
                elif not isinstance(declared.initial, str):
                    shaped_array(attribute, declared.initial, (), self.dtype)  # raises if it does not fit
            self._name = self._network._register_population(self, name)
        for value in () if self._neuron is None else self._neuron.constants.values():
            if isinstance(value, Constant):
                value.readers.add(self)

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

    def normalized_coordinates_from_rank(self, rank: int, norm: float = 1.0) -> tuple[float, ...]:
        """Return the coordinates of a unit, each axis scaled to run from 0 to `norm`; 0 on an axis of one unit.

        Raises
        ------
        TypeError, ValueError
            If `rank` is no whole number, there is no such unit, or `norm` is no finite number.
        """
        scale = finite_number("norm", norm)
        coordinates = self.coordinates_from_rank(rank)
        return tuple(
            scale * entry / (size - 1) if size > 1 else 0.0
            for entry, size in zip(coordinates, self._geometry, strict=True)
        )

    # --- Some of its units ---

    def __getitem__(self, index: Any) -> PopulationView:
        return view_of(self, index)

    def __iter__(self) -> Iterator[PopulationView]:
        return (view_of(self, rank) for rank in range(self.size))

    @property
    def neurons(self) -> Iterator[PopulationView]:
        """Every unit, in the order of the ranks."""
        return iter(self)

    def neuron(self, *coordinates: Any) -> PopulationView:
        """Return a view of one unit.

        Parameters
        ----------
        *coordinates : int
            Its rank, or one coordinate per axis, which may be given as a tuple. Negative ones count from the
            end.

        Raises
        ------
        IndexError
            If there is no such unit.
        TypeError
            If this is no rank, nor one whole number per axis.
        """
        index = coordinates[0] if len(coordinates) == 1 else coordinates
        if isinstance(index, (tuple, list)) and len(index) == self.dimension:
            index = tuple(index)
        view = view_of(self, index)
        if view.geometry != ():
            raise TypeError(
                f"neuron: {index!r} is neither a rank of {self!r} nor {self.dimension} coordinates."
            )
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(f"{self!r} is no array; read one of its values, such as .r.")

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
    def neuron_type(self) -> Neuron | None:
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

    @property
    def attributes(self) -> list[str]:
        """Names of the parameters and variables."""
        return list(self._declared())

    @property
    def parameters(self) -> list[str]:
        """Names of what only assignments change."""
        return [] if self._neuron is None else list(self._neuron.parameters)

    @property
    def variables(self) -> list[str]:
        """Names of what the equations change; `r` where the neuron gives no parameter of that name."""
        return ["r"] if self._neuron is None else list(self._neuron.variables)

    def get(self, name: str) -> Any:
        """Return a variable or parameter, as the attribute of this name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        self._check_declared(name)
        return self._read(name)

    def set(self, values: Mapping[str, Any]) -> None:
        """Assign several variables and parameters: all of them, or none if one is refused.

        Parameters
        ----------
        values : dict
            Names, and what could be assigned to the attribute of this name.

        Raises
        ------
        AttributeError
            If the neuron has no such variable or parameter.
        TypeError, ValueError
            As for an assignment.
        """
        self._assign_all(values)

    def sum(self, target: str) -> Array:
        """Return what the projections with this target added up to in the last step.

        Parameters
        ----------
        target : str
            A target nobody feeds is 0.

        Returns
        -------
        ndarray (\\*geometry), or (batch, \\*geometry)
            Read-only copy.
        """
        if not isinstance(target, str):
            raise TypeError(f"target is a {type(target).__name__}; expected a name such as 'exc'.")
        sums = self._sums.get(target)
        if sums is None:
            return frozen(np.zeros(self._outer(self._geometry), self.dtype))
        return frozen(self._network._fetch(sums).reshape(self._outer(self._geometry)).copy())

    def device_array(self, name: str = "r") -> Any:
        """Return a variable or parameter where it lies on the CUDA device, without a copy.

        Parameters
        ----------
        name : str
            Of the variable or parameter.

        Returns
        -------
        array of shape (batch, \\*geometry), 1 without a batch
            With ``__cuda_array_interface__`` and DLPack, as CuPy's and torch's functions take it. What is
            written to it on the default stream counts as assigned; wait for another stream before the next step,
            or give the network that stream. It is up to date until the next assignment from Python.

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
        defined = getattr(type(self), name, None)
        if callable(defined):
            raise AttributeError(f"{name!r} of a population is a method, which cannot be assigned.")
        if isinstance(defined, property) and defined.fset is None:
            raise AttributeError(
                f"{name!r} of {self.name!r} cannot be assigned: it is fixed when a population is created."
            )
        if name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            self._assign(name, value)

    def _declared(self) -> Mapping[str, Any]:
        """Everything with a value: name, and what the neuron says about it."""
        return {"r": None} if self._neuron is None else self._neuron.attributes

    def _read(self, name: str) -> Any:
        shape = self._outer(self._own_shape(name))
        values = self._network._fetch(self._array(name)).reshape(shape)
        return frozen(values.copy()) if shape else values.item()

    def _assign(self, name: str, values: Any) -> None:
        if is_device_array(values):
            self._check_assignable_on_device(name)
            self._network._assign_on_device(
                self._array(name), name, values, self._outer(self._own_shape(name))
            )
            return
        self._assign_all({name: values})

    def _assign_all(self, values: Mapping[str, Any], view: PopulationView | None = None) -> None:
        """Assign to all units, or to those of a view; nothing has changed after an error."""
        if not isinstance(values, Mapping):
            raise TypeError(f"values is a {type(values).__name__}; expected a dict of names and values.")
        for name in values:
            self._check_declared(name)
        with self._network._draws_undone_by_errors():
            checked = {name: self._checked(name, given, view) for name, given in values.items()}
            # Before compile() parameters that depend on each other may be assigned one after the other.
            if self._network._compiled_for is not None and self._neuron is not None:
                present = {key: self._network._fetch(self._array(key)) for key in self._neuron.parameters}
                self._neuron.check_divisors(present | checked, checked)
        for name, array in checked.items():
            self._network._fill(self._array(name), array)
        self._assigned |= checked.keys()
        if self._network._compiled_for is None:
            self._start_anew()

    def _start_anew(self) -> None:
        """Give variables whose `init` names a parameter its present value."""
        for name, declared in self._declared().items():
            if declared is not None and isinstance(declared.initial, str) and name not in self._assigned:
                self._array(name)[...] = self._array(declared.initial)

    def _checked(self, name: str, values: Any, view: PopulationView | None) -> Array:
        """Return what an assignment means for the array of a variable or parameter."""
        array = self._array(name)
        if view is not None and self._locality(name) != "local":
            raise ValueError(
                f"{name} is common to units of {self.name!r}, so that it cannot be assigned for some of "
                "them; assign it to the population."
            )
        declared = self._declared()[name]
        if declared is not None:
            declared.check_type(values)
        shape = self._own_shape(name) if view is None else view.geometry
        if isinstance(values, (Uniform, Normal)):
            checked = converted(name, self._network._drawn(values, shape), self.dtype)
        else:
            checked = self._each_trial(name, values, shape)
        if view is not None:
            checked = view._placed(checked, self._network._fetch(array))
        return checked.reshape(-1, *array.shape[1:])

    def _check_declared(self, name: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name is {name!r} ({type(name).__name__}); expected text.")
        if name not in self._declared():
            raise AttributeError(
                f"{self.name!r} has no attribute {name!r}; its neuron has {', '.join(self._declared())}."
            )

    def _each_trial(self, name: str, values: Any, shape: Shape) -> Array:
        """Check values of this shape, or with the batch axis in front; returned with a leading axis."""
        array = real_array(name, values)
        if self._network.batch is not None and array.shape == (self._network.batch, *shape):
            return converted(name, array, self.dtype)
        if array.shape not in ((), shape) and self._network.batch is not None:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected {shape}, one number for all, or one of them for each "
                f"trial: {(self._network.batch, *shape)}."
            )
        return shaped_array(name, array, shape, self.dtype)[np.newaxis]

    def _outer(self, shape: Shape) -> Shape:
        """A shape as the user sees it: with the batch axis if the network has one."""
        return shape if self._network.batch is None else (self._network.batch, *shape)

    def _check_assignable_on_device(self, name: str) -> None:
        declared = self._declared().get(name)
        if declared is not None and (name in self.parameters or declared.type != "float"):
            kind = "a parameter" if name in self.parameters else f"flagged {declared.type}"
            raise TypeError(
                f"{name} is {kind}, which is checked on the host when it is assigned; copy the values there "
                "first, with .get() (CuPy) or .cpu() (torch)."
            )

    def _locality(self, name: str) -> str:
        declared = self._declared()[name]
        return "local" if declared is None else declared.locality

    def _own_shape(self, name: str) -> Shape:
        """Shape of one trial's values of a variable or parameter, () for one that is common to all units."""
        locality = self._locality(name)
        if locality == "local":
            return self._geometry
        return self._geometry[-1:] if locality == "filter" else ()

    def _shape(self, name: str) -> Shape:
        """Shape of the array of a variable or parameter: the batch axis first, then as many axes as units have."""
        own = self._own_shape(name)
        return (self._network._trials, *(1,) * (self.dimension - len(own)), *own)

    def _array(self, name: str) -> Array:
        """The values of a variable or parameter, allocated when first used and then never moved."""
        if name not in self._values:
            shape = self._shape(name)
            try:
                values = np.zeros(shape, dtype=self.dtype)
            except MemoryError:
                raise MemoryError(
                    f"{name} of {self._geometry} units, an array {shape}, needs "
                    f"{math.prod(shape) * self.dtype.itemsize:,} bytes, more than is free; choose a smaller geometry "
                    "or batch."
                ) from None
            declared = self._declared()[name]
            initial = 0.0 if declared is None else declared.initial
            if isinstance(initial, str):
                values[...] = self._array(initial)
            elif isinstance(initial, (Uniform, Normal)):
                drawn = self._network._drawn(initial, values.shape[1:])
                values[...] = converted(name, drawn, self.dtype)
            elif initial != 0.0:
                values[...] = shaped_array(name, initial, (), self.dtype)
            self._values[name] = values
        return self._values[name]

    # A population that shows a movie whose frames are not all there yet.
    _streams = False

    def _show(self, first: int, upto: int) -> int:
        """Have the frames of the next steps ready; return the step up to which they are."""
        return upto

    def _constant_array(self, name: str) -> Array:
        """The present value of a constant, in an array that is allocated when first used and never moved."""
        if name not in self._constants:
            shape = (self._network._trials, *(1,) * self.dimension)
            self._constants[name] = np.zeros(shape, dtype=self.dtype)
        assert self._neuron is not None
        value = shaped_array(f"constants: {name}", self._neuron.constants[name], (), self.dtype)
        self._network._fill(self._constants[name], value)
        return self._constants[name]

    def constant_changed(self, name: str) -> None:
        """Take the present value of a constant."""
        self._constant_array(name)

    def check_constant(self, name: str, value: float) -> None:
        """Raise if a constant cannot have this value."""
        shaped_array(f"Constant {name!r}", value, (), self.dtype)
        if self._network._compiled_for is not None and self._neuron is not None:
            present = {key: self._network._fetch(self._array(key)) for key in self._neuron.parameters}
            self._neuron.check_divisors(present | {name: value}, (name,))

    def _check_shown(self) -> None:
        """Raise if what is shown does not fit the network that is about to be compiled."""

    def _show_again(self) -> None:
        """Begin again at step 0."""

    def _shown_state(self) -> Any:
        """What `_restore_shown` needs to show the same again."""

    def _restore_shown(self, state: Any) -> None:
        """Show what was shown, counted from the same step."""

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
        self._network, self._name = network, name
        self._values = {
            key: np.ascontiguousarray(np.broadcast_to(array, (network._trials, *array.shape[1:])))
            for key, array in values.items()
        }
        self._constants = {}
