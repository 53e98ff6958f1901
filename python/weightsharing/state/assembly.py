"""`Assembly`: all of one network, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Protocol
from weakref import WeakSet

from ..description.schedule import Recording
from .context import Context
from .links import Link
from .units import Units


class Keeper(Protocol):
    """Keeps values of some units in the course of a run (`simulation.tracks.Tracks`)."""

    units: Units

    def bytes_needed(self, first: int, steps: int) -> int:
        """Memory that a run from step `first` on needs."""

    def begin(self, first: int, steps: int) -> None:
        """Allocate it."""

    def recordings(self) -> Iterable[Recording]:
        """What is kept of the present run."""

    def end(self, steps_done: int) -> None:
        """Take what the present run has completed."""

    def reset(self) -> None:
        """Forget everything; time begins anew."""


class Assembly:
    """The units and links of one network, and the settings that they share.

    Attributes
    ----------
    context
        The settings.
    units, links
        In the order in which they were added.
    keepers
        Of what monitors record; a monitor that nobody holds is gone.
    is_default
        Whether new populations join it where nothing else is said. Its dtype may still change, and its
        populations may move to other networks.
    holder
        The `Network` that people hold, None until somebody asks for it. Nothing here looks into it.
    """

    def __init__(self, context: Context | None = None, is_default: bool = False) -> None:
        self.context = Context() if context is None else context
        self.units: list[Units] = []
        self.links: list[Link] = []
        self.keepers: WeakSet[Keeper] = WeakSet()
        self.is_default = is_default
        self.holder: object = None

    def add_units(self, units: Units, name: str | None) -> None:
        """Add a population, and name it.

        Raises
        ------
        StateError
            If the network is compiled.
        TypeError, ValueError
            If the name is no text or taken, or the dtype is another one.
        """
        self.context.require_open("add a population")
        own, dtype = units.own_dtype, self.context.dtype
        if not self.is_default and own is not None and own != dtype:
            raise ValueError(f"dtype is {own}, the network has {dtype}; leave dtype out.")
        units.name = _unique_name(name, "pop", [one.name for one in self.units])
        self.units.append(units)

    def add_link(self, link: Link, name: str | None) -> None:
        """Add a projection, and name it; raises as `add_units`."""
        self.context.require_open("add a projection")
        link.name = _unique_name(name, "proj", [one.name for one in self.links])
        self.links.append(link)

    def adopt(self, units: Units, home: Assembly) -> None:
        """Take a population over from the default network.

        Raises
        ------
        StateError
            If one of the networks is compiled.
        ValueError
            If the population belongs to a network that is not the default one, has projections, or its name is
            taken or a value does not fit the dtype here; nothing has changed then.
        """
        if home is self:
            return
        if not home.is_default:
            raise ValueError(f"{units!r} belongs to another network; create it in this one.")
        if any(units in (one.pre, one.post) for one in home.links):
            raise ValueError(f"{units!r} has projections in the default network; create it in this one.")
        home.context.require_open("move a population")
        values = units.values_for(self.context)
        self.add_units(units, units.given_name)
        home.units.remove(units)
        units.move(self.context, values)
        moving = [keeper for keeper in home.keepers if keeper.units is units]
        home.keepers.difference_update(moving)
        self.keepers.update(moving)


def _unique_name(name: str | None, prefix: str, taken: Sequence[str]) -> str:
    """Return the name given, or a new one that nobody has."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is a {type(name).__name__}; expected text.")
    if name in taken:
        raise ValueError(f"name is {name!r}, which the network has already; choose another one.")
    return name or next(word for word in map(f"{prefix}{{}}".format, count(len(taken))) if word not in taken)
