"""`Building`: what a network consists of, and how it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from ..checks.halves import half_of
from ..checks.porting import ported
from ..description.neuron import Neuron
from ..population.model import Model
from ..population.population import Population, PopulationView
from ..projection.base import BaseProjection
from ..projection.synapses import Projection, Synapse
from ..state.assembly import Assembly
from ..state.session import session
from .monitors import Monitor


@half_of("Network")
class Building(Model):
    """The half of `Network` that adds members and finds them."""

    @property
    def populations(self) -> tuple[Population, ...]:
        """All populations, in the order of their creation."""
        return tuple(self.get_populations())

    @property
    def projections(self) -> tuple[BaseProjection, ...]:
        """All projections, in the order of their creation."""
        return tuple(_projections(self._assembly))

    def get_populations(self) -> list[Population]:
        """Return all populations, as `populations`."""
        return [cast(Population, units.handle) for units in self._assembly.units]

    @ported
    def get_projections(
        self,
        post: Population | str | None = None,
        pre: Population | str | None = None,
        target: str | None = None,
    ) -> list[BaseProjection]:
        """Return the projections that fit what is given, in the order of their creation; there may be none.

        Parameters
        ----------
        post, pre : Population or str, optional
            The population fed or read, or its name.
        target : str, optional
            Name of the target.

        Raises
        ------
        ValueError
            If a population does not belong to the network, or there is none of this name.
        """
        fed, read = (self.get_population(one) if isinstance(one, str) else one for one in (post, pre))
        for population in (fed, read):
            if population is not None:
                check_member(self._assembly, population)
        return [
            one
            for one in _projections(self._assembly)
            if (fed is None or one.post is fed)
            and (read is None or one.pre is read)
            and (target is None or one.target == target)
        ]

    def get_population(self, name: str) -> Population:
        """Return the population of this name.

        Raises
        ------
        ValueError
            If there is none.
        """
        return _named("population", name, self.get_populations())

    def get_projection(self, name: str) -> BaseProjection:
        """Return the projection of this name.

        Raises
        ------
        ValueError
            If there is none.
        """
        return _named("projection", name, _projections(self._assembly))

    @ported
    def create(
        self,
        geometry: Any = None,
        neuron: Neuron | type[Neuron] | None = None,
        name: str | None = None,
        population: Population | None = None,
    ) -> Population:
        """Add a population.

        Parameters
        ----------
        geometry, neuron, name
            As for `Population`.
        population : Population, optional
            One that was made for the default network and has no projections yet; it moves here. May be given
            as the first argument too.

        Returns
        -------
        Population
            The new or moved one.

        Raises
        ------
        StateError
            If one of the networks is compiled already.
        TypeError, ValueError
            If an argument is not as described.
        """
        if isinstance(geometry, Population):
            geometry, population = None, geometry
        if population is None:
            return Population(geometry, neuron, name, network=self)
        if not isinstance(population, Population):
            raise TypeError(f"population is a {type(population).__name__}; expected a Population.")
        if (geometry, neuron, name) != (None, None, None):
            raise ValueError("create: give either a population, or a geometry with neuron and name.")
        self._assembly.adopt(population._units, population._assembly)
        population._assembly = self._assembly
        return population

    @ported
    def connect(
        self,
        pre: Any = None,
        post: Population | None = None,
        target: str | None = None,
        synapse: Synapse | None = None,
        name: str | None = None,
        projection: BaseProjection | None = None,
    ) -> Any:
        """Add a projection between two populations of this network.

        Parameters
        ----------
        pre, post, target, synapse, name
            As for `Projection`.
        projection : BaseProjection, optional
            A projection of any kind between two populations of this network, to which it belongs anyhow. May
            be given as the first argument too.

        Returns
        -------
        Projection, or the projection given
            To be connected by one of its connect methods.

        Raises
        ------
        StateError
            If the network is compiled already.
        TypeError, ValueError
            If an argument is not as described.
        """
        if isinstance(pre, BaseProjection):
            pre, projection = None, pre
        if projection is None:
            if not isinstance(pre, Population) or not isinstance(post, Population) or target is None:
                raise TypeError("connect: give pre, post and target, or a projection.")
            check_member(self._assembly, pre)
            return Projection(pre, post, target, synapse, name)
        if not isinstance(projection, BaseProjection):
            raise TypeError(f"projection is a {type(projection).__name__}; expected a projection.")
        if (pre, post, target, synapse, name) != (None,) * 5:
            raise ValueError("connect: give either a projection, or pre, post and target.")
        check_member(self._assembly, projection.pre)
        return projection

    def monitor(
        self,
        obj: Population | PopulationView,
        variables: str | Sequence[str],
        period: float | None = None,
        period_offset: float | None = None,
        start: bool = True,
        name: str | None = None,
    ) -> Monitor:
        """Record variables of a population of this network, or of a view of one.

        Parameters
        ----------
        obj, variables, period, period_offset, start, name
            As for `Monitor`.

        Returns
        -------
        Monitor
            Records as long as somebody holds it.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        population = getattr(obj, "population", obj)
        if isinstance(population, Population):
            check_member(self._assembly, population)
        return Monitor(obj, variables, period, period_offset, start, name)


def check_member(assembly: Assembly, population: Population) -> None:
    """Raise ValueError unless a population belongs to the network."""
    if population.network is not session.holder(assembly):
        raise ValueError(f"{population!r} belongs to another network; create it in this one.")


def _projections(assembly: Assembly) -> list[BaseProjection]:
    """What people hold of the projections."""
    return [cast(BaseProjection, link.handle) for link in assembly.links]


Named = TypeVar("Named", Population, BaseProjection)


def _named(kind: str, name: str, members: Sequence[Named]) -> Named:
    for one in members:
        if one.name == name:
            return one
    raise ValueError(
        f"name is {name!r}; expected that of a {kind}: {', '.join(repr(one.name) for one in members) or 'none yet'}."
    )
