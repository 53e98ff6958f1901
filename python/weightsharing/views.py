"""`PopulationView`: some units of a population, read and assigned together."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .checks.arrays import frozen
from .checks.errors import NotCopyable
from .checks.numbers import whole_number
from .checks.shapes import Array, Shape

if TYPE_CHECKING:
    from .population import Population

Ranks = NDArray[np.int64]


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
    _ranks: Ranks
    _shape: Shape

    def __init__(
        self,
        population: Population,
        ranks: Sequence[int] | Array,
        geometry: int | Sequence[int] | None = None,
    ) -> None:
        from .population import Population

        if not isinstance(population, Population):
            raise TypeError(f"population is a {type(population).__name__}; expected a Population.")
        listed = _listed(ranks, population.size, "ranks", repr(population))
        if len(np.unique(listed)) < len(listed):
            raise ValueError(f"ranks name a unit of {population!r} twice; expected each once.")
        shape: Shape = (len(listed),)
        if geometry is not None:
            entries = geometry if isinstance(geometry, (Sequence, np.ndarray)) else (geometry,)
            shape = tuple(whole_number("geometry", entry) for entry in entries)
            if min(shape, default=1) < 0 or math.prod(shape) != len(listed):
                raise ValueError(f"geometry is {shape}; expected one of {len(listed)} units.")
        self._take(population, listed, shape)

    def _take(self, population: Population, ranks: Ranks, shape: Shape) -> None:
        ranks = np.array(ranks, dtype=np.int64)
        ranks.setflags(write=False)
        self.__dict__.update(_population=population, _ranks=ranks, _shape=shape)

    # --- Which units ---

    @property
    def population(self) -> Population:
        """Population that the units belong to."""
        return self._population

    @property
    def ranks(self) -> Ranks:
        """Ranks of the units in their population, an array (size,), read-only."""
        return self._ranks

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
        return int(self._ranks[0])

    @property
    def geometry(self) -> Shape:
        """Shape of what is read and assigned, ``()`` for a single unit."""
        return self._shape

    shape = geometry

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self._ranks)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> PopulationView:
        local, shape = selected(index, self._shape, repr(self))
        return _view(self._population, self._ranks[local], shape)

    def __iter__(self) -> Iterator[PopulationView]:
        for rank in self._ranks:
            yield _view(self._population, np.array([rank]), ())

    def __add__(self, other: PopulationView) -> PopulationView:
        if not isinstance(other, PopulationView):
            return NotImplemented
        if other._population is not self._population:
            raise ValueError(f"{self!r} and {other!r} belong to different populations; add views of one.")
        ranks = np.union1d(self._ranks, other._ranks)
        return _view(self._population, ranks, ranks.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PopulationView):
            return NotImplemented
        return (
            self._population is other._population
            and self._shape == other._shape
            and np.array_equal(self._ranks, other._ranks)
        )

    def __hash__(self) -> int:
        return hash((id(self._population), self._shape, self._ranks.tobytes()))

    def __repr__(self) -> str:
        ranks = np.array2string(self._ranks, threshold=8, edgeitems=3)
        return f"<PopulationView {self._shape} of {self._population.name!r}, ranks {ranks}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(f"{self!r} is no array; read one of its values, such as .r.")

    # --- Values ---

    @property
    def attributes(self) -> list[str]:
        """Names of the parameters and variables."""
        return self._population.attributes

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return self._population.parameters

    @property
    def variables(self) -> list[str]:
        """Names of the variables."""
        return self._population.variables

    def get(self, name: str) -> Any:
        """Return a variable or parameter of these units; see `Population.get`."""
        values = self._population.get(name)
        return self._of_units(values) if self._population._locality(name) == "local" else values

    def set(self, values: Mapping[str, Any]) -> None:
        """Assign variables and parameters of these units, all or none; see `Population.set`."""
        self._population._assign_all(values, self)

    def sum(self, target: str) -> Any:
        """Return what the projections with this target added up to at these units in the last step."""
        return self._of_units(self._population.sum(target))

    def _of_units(self, values: Array) -> Any:
        """Choose from values of the population, whose axes before the geometry stay."""
        batch = values.shape[: values.ndim - self._population.dimension]
        chosen = values.reshape(*batch, -1)[..., self._ranks].reshape((*batch, *self._shape))
        return frozen(chosen) if chosen.ndim else chosen.item()

    def _placed(self, values: Array, whole: Array) -> Array:
        """Return a copy of the array of the population, (B, \\*geometry), with values (1 or B, \\*view) in it."""
        placed = whole.copy()
        placed.reshape(len(whole), -1)[:, self._ranks] = values.reshape(len(values), self.size)
        return placed

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what the class does not define.
        if name.startswith("_") or name not in self._population._declared():
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


def selected(index: Any, geometry: Shape, owner: str) -> tuple[Ranks, Shape]:
    """Return the ranks that an index chooses among units of this geometry, and their shape.

    Raises
    ------
    IndexError
        If there is no such unit, or the index has too many axes.
    TypeError, ValueError
        If it is no index of the kinds that `PopulationView` lists.
    """
    size = math.prod(geometry)
    if isinstance(index, tuple):
        return _crossed(index, geometry, owner)
    if isinstance(index, slice):
        ranks = _sliced(index, size)
        return ranks, ranks.shape
    if isinstance(index, (list, np.ndarray)) and np.ndim(_array(index)):
        array = _array(index)
        if array.dtype == bool:
            if array.shape != geometry:
                raise IndexError(
                    f"the mask has the shape {array.shape}; expected {geometry}, the geometry of {owner}."
                )
            ranks = np.flatnonzero(array)
        else:
            ranks = _listed(array, size, "index", owner)
            if len(np.unique(ranks)) < len(ranks):
                raise ValueError(f"index names a unit of {owner} twice; expected each once.")
        return ranks, ranks.shape
    return np.array([_whole(index, size, "rank", owner)], dtype=np.int64), ()


def _crossed(index: tuple[Any, ...], geometry: Shape, owner: str) -> tuple[Ranks, Shape]:
    """Ranks of all combinations of the coordinates that the entries of an index choose."""
    if sum(entry is Ellipsis for entry in index) > 1:
        raise IndexError(f"an index of {owner} has more than one '...'.")
    given = sum(entry is not Ellipsis for entry in index)
    if given > len(geometry):
        raise IndexError(f"the index has {given} entries; {owner} has {len(geometry)} axes.")
    at = next((at for at, entry in enumerate(index) if entry is Ellipsis), len(index))
    rest = (slice(None),) * (len(geometry) - given)
    ranks, shape = np.zeros((), dtype=np.int64), []
    entries = (*index[:at], *rest, *index[at + 1 :])
    for axis, (entry, size) in enumerate(zip(entries, geometry, strict=True)):
        if isinstance(entry, slice):
            chosen = _sliced(entry, size)
            shape.append(len(chosen))
        else:
            chosen = np.array([_whole(entry, size, f"axis {axis}: coordinate", owner)])
        ranks = ranks[..., None] * size + chosen
    return ranks.reshape(-1), tuple(shape)


def _array(values: Any) -> Array:
    try:
        return np.asarray(values)
    except ValueError:
        raise TypeError("the index is a ragged list; expected ranks.") from None


def _listed(values: Any, size: int, argument: str, owner: str) -> Ranks:
    """Ranks from a list or array of whole numbers with one axis."""
    array = _array(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"{argument} is an array of shape {array.shape}, {array.dtype}; expected ranks of {owner}, whole "
            "numbers in a list."
        )
    for extreme in (array.min(), array.max()) if array.size else ():
        _whole(extreme, size, "rank", owner)
    ranks: Ranks = array.astype(np.int64)
    return np.where(ranks < 0, ranks + size, ranks)


def _sliced(entry: slice, size: int) -> Ranks:
    for part in (entry.start, entry.stop, entry.step):
        if part is not None:
            whole_number("a part of the slice", part)
    return np.arange(*entry.indices(size), dtype=np.int64)


def _whole(entry: Any, size: int, what: str, owner: str) -> int:
    """A rank or coordinate, negative ones counted from the end."""
    if isinstance(entry, (bool, np.bool_)) or not hasattr(entry, "__index__"):
        raise TypeError(
            f"{what} is {entry!r} ({type(entry).__name__}); an index of {owner} is made of whole numbers and "
            "slices, or is one list of ranks or one boolean array of the geometry."
        )
    number = operator.index(entry)
    if not -size <= number < size:
        raise IndexError(f"{what} {number} is out of range: {owner} has {size} there.")
    return number + size if number < 0 else number
