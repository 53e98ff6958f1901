"""`Population`: units on a grid and everything that has a value there; `PopulationView`: some of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from ..checks.errors import NotCopyable
from ..checks.numbers import whole_number
from ..checks.porting import ported
from ..checks.selection import Ranks, listed, selected
from ..checks.shapes import Array, Shape, checked_dtype, checked_geometry
from ..description.neuron import Neuron
from ..state.assembly import Assembly
from ..state.part import Part
from ..state.session import session
from ..state.units import Units
from .grid import Grid
from .model import Model, model_of


class Population(Grid):
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

    _assembly: Assembly

    @ported
    def __init__(
        self,
        geometry: int | Sequence[int],
        neuron: Neuron | type[Neuron] | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Model | None = None,
    ) -> None:
        if network is not None and not isinstance(network, Model):
            raise TypeError(f"network is a {type(network).__name__}; expected a Network.")
        if isinstance(neuron, type) and issubclass(neuron, Neuron):
            neuron = neuron()
        if neuron is not None and not isinstance(neuron, Neuron):
            raise TypeError(f"neuron is a {type(neuron).__name__}; expected a Neuron.")
        self._assembly = session.current() if network is None else network._assembly
        units = Units(
            self._assembly.context,
            checked_geometry(geometry),
            neuron,
            None if dtype is None else checked_dtype(dtype),
            given_name=name,
            kind=type(self).__name__,
            handle=self,
        )
        self._units = units
        taken = [
            name
            for name in units.declared
            if name != "r" and (hasattr(type(self), name) or hasattr(PopulationView, name))
        ]
        if taken:
            raise ValueError(
                f"neuron: every population or view has an attribute {taken[0]!r}; choose another name."
            )
        with units.context.source.undone_by_errors():
            units.draw_first_values()
            self._assembly.add_units(units, name)
        units.read_constants()

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

    # --- What it belongs to ---

    @property
    def network(self) -> Model:
        """Network that the population belongs to."""
        return model_of(self._assembly)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._units.dtype

    @property
    def neuron_type(self) -> Neuron | None:
        """Equations of the units, None for a population that holds what it is given."""
        return self._units.neuron

    # --- Values ---

    @property
    def r(self) -> Array:
        """Rates of the units."""
        rates: Array = self._units.read("r")
        return rates

    @r.setter
    def r(self, values: Any) -> None:
        self._units.assign("r", values)

    @property
    def attributes(self) -> list[str]:
        """Names of the parameters and variables."""
        return list(self._units.declared)

    @property
    def parameters(self) -> list[str]:
        """Names of what only assignments change."""
        return self._units.parameters

    @property
    def variables(self) -> list[str]:
        """Names of what the equations change; `r` where the neuron gives no parameter of that name."""
        return self._units.variables

    def get(self, name: str) -> Any:
        """Return a variable or parameter, as the attribute of this name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        self._units.check_declared(name)
        return self._units.read(name)

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
        self._units.assign_all(values)

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
        return self._units.read_sum(target)

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
        units = self._units
        if name not in units.declared:
            raise ValueError(f"name is {name!r}; the neuron has {', '.join(units.declared)}.")
        return units.context.storage.on_device(units.array(name), f"{self.name!r}.{name}")

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what the class does not define.
        if name.startswith("_") or name not in self._units.declared:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        return self._units.read(name)

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
            self._units.assign(name, value)


class PopulationView(NotCopyable):
    """Some units of a population, usually taken by an index: ``pop[2:5, :]``.

    Parameters
    ----------
    population : Population
        To which the units belong; the view stays valid as long as it.
    ranks : list or array of int
        Ranks (C order) of the units, each once. Negative ones count from the end.
    geometry : tuple of int, optional
        Shape of the arrays that the view reads and takes; default: one axis.

    Raises
    ------
    IndexError
        If the population has no such unit.
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Every variable and parameter of the neuron is an attribute. Reading gives a read-only copy of the view's
    shape, a number for a single unit. What may be assigned is what a population takes, of the view's shape;
    distributions are drawn for the view's units only. In a network with a batch its axis comes first. What
    units share is read as the population reads it, and cannot be assigned here.

    An index counts as in ANNarchy: one whole number, slice or list counts units in the order of their ranks;
    several, separated by commas, are coordinates; a boolean array of the geometry chooses units. Negative
    numbers, steps and slices beyond the end mean what they mean in NumPy. An index of a view counts within the
    view. Views of one population are added to the view of all their units, ordered by rank.
    """

    _population: Population
    _units: Units
    _part: Part

    def __init__(
        self,
        population: Population,
        ranks: Sequence[int] | Array,
        geometry: int | Sequence[int] | None = None,
    ) -> None:
        if not isinstance(population, Population):
            raise TypeError(f"population is a {type(population).__name__}; expected a Population.")
        chosen = listed(ranks, population.size, "ranks", repr(population))
        if len(np.unique(chosen)) < len(chosen):
            raise ValueError(f"ranks name a unit of {population!r} twice; expected each once.")
        shape: Shape = (len(chosen),)
        if geometry is not None:
            entries = geometry if isinstance(geometry, (Sequence, np.ndarray)) else (geometry,)
            shape = tuple(whole_number("geometry", entry) for entry in entries)
            if min(shape, default=1) < 0 or math.prod(shape) != len(chosen):
                raise ValueError(f"geometry is {shape}; expected one of {len(chosen)} units.")
        self._take(population, chosen, shape)

    def _take(self, population: Population, ranks: Ranks, shape: Shape) -> None:
        ranks = np.array(ranks, dtype=np.int64)
        ranks.setflags(write=False)
        # Past __setattr__, which assigns values of the units.
        self.__dict__.update(_population=population, _units=population._units, _part=Part(ranks, shape))

    # --- Which units ---

    @property
    def population(self) -> Population:
        """Population that the units belong to."""
        return self._population

    @property
    def ranks(self) -> Ranks:
        """Ranks of the units in their population, an array (size,), read-only."""
        return self._part.ranks

    @property
    def rank(self) -> int:
        """Rank of the only unit.

        Raises
        ------
        ValueError
            If there are several units, or none.
        """
        if self.size != 1:
            raise ValueError(f"{self!r} has {self.size} units; read ranks.")
        return int(self.ranks[0])

    @property
    def geometry(self) -> Shape:
        """Shape of what is read and assigned, ``()`` for a single unit."""
        return self._part.shape

    shape = geometry

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.ranks)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> PopulationView:
        local, shape = selected(index, self.geometry, repr(self))
        return _view(self._population, self.ranks[local], shape)

    def __iter__(self) -> Iterator[PopulationView]:
        for rank in self.ranks:
            yield _view(self._population, np.array([rank]), ())

    def __add__(self, other: PopulationView) -> PopulationView:
        if not isinstance(other, PopulationView):
            return NotImplemented
        if other.population is not self._population:
            raise ValueError(f"{self!r} and {other!r} belong to different populations; add views of one.")
        ranks = np.union1d(self.ranks, other.ranks)
        return _view(self._population, ranks, ranks.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PopulationView):
            return NotImplemented
        return (
            self._population is other.population
            and self.geometry == other.geometry
            and np.array_equal(self.ranks, other.ranks)
        )

    def __hash__(self) -> int:
        return hash((id(self._population), self.geometry, self.ranks.tobytes()))

    def __repr__(self) -> str:
        ranks = np.array2string(self.ranks, threshold=8, edgeitems=3)
        return f"<PopulationView {self.geometry} of {self._population.name!r}, ranks {ranks}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(f"{self!r} is no array; read one of its values, such as .r.")

    # --- Values ---

    @property
    def attributes(self) -> list[str]:
        """Names of the parameters and variables."""
        return list(self._units.declared)

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return self._units.parameters

    @property
    def variables(self) -> list[str]:
        """Names of the variables."""
        return self._units.variables

    def get(self, name: str) -> Any:
        """Return a variable or parameter of these units; see `Population.get`."""
        self._units.check_declared(name)
        values = self._units.read(name)
        if self._units.locality(name) != "local":
            return values
        return self._part.of(values, self._units.dimension)

    def set(self, values: Mapping[str, Any]) -> None:
        """Assign variables and parameters of these units, all or none; see `Population.set`."""
        self._units.assign_all(values, self._part)

    def sum(self, target: str) -> Any:
        """Return what the projections with this target added up to at these units in the last step."""
        return self._part.of(self._units.read_sum(target), self._units.dimension)

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what the class does not define.
        if name.startswith("_") or name not in self._units.declared:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"{name!r} of a view cannot be assigned; take another view.")
        self.set({name: value})


def _view(population: Population, ranks: Ranks, shape: Shape) -> PopulationView:
    """Make a view of ranks that are known to be right."""
    view = object.__new__(PopulationView)
    view._take(population, ranks, shape)
    return view


def view_of(population: Population, index: Any) -> PopulationView:
    """Return the view that an index of a population stands for."""
    ranks, shape = selected(index, population.geometry, repr(population))
    return _view(population, ranks, shape)
