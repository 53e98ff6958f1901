"""The functions that act on the default network, which is there from the beginning."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numpy.typing import DTypeLike

from ..backends.targets import checked_threads, set_num_threads
from ..checks.errors import StateError
from ..checks.numbers import positive_number
from ..checks.porting import ported
from ..checks.shapes import checked_dtype
from ..population.population import Population
from ..projection.base import BaseProjection
from ..state.session import session
from .network import Network

F = TypeVar("F", bound=Callable[[int], Any])


def default_network() -> Network:
    """Return the network of populations for which nothing else is said."""
    return cast(Network, session.holder(session.default))


@ported
def clear() -> None:
    """Start a new default network with default settings; objects of the old one keep it.

    Neurons that are defined afterwards know no `Constant` and no added function from before.
    """
    session.clear()


@ported
def setup(
    dt: float | None = None,
    dtype: DTypeLike | None = None,
    seed: int | None = None,
    num_threads: int | None = None,
) -> None:
    """Change settings of the default network; those left out stay as they are.

    Parameters
    ----------
    dt, dtype, seed
        As for `Network`.
    num_threads : int, optional
        As `set_num_threads`, so for all networks that are given no number of their own.

    Raises
    ------
    StateError
        If the network is compiled already, or `dtype` comes after the first population.
    TypeError, ValueError
        If an argument is not as described; nothing has changed then.
    """
    context = session.default.context
    context.require_open("change settings")
    new_dt = context.dt if dt is None else positive_number("dt", dt)
    new_dtype = context.dtype if dtype is None else checked_dtype(dtype)
    if new_dtype != context.dtype and session.default.units:
        raise StateError("setup: dtype must be chosen before the first population is created; clear() first.")
    threads = checked_threads(num_threads, "num_threads")
    if seed is not None:
        context.source.start(seed)
    if threads is not None:
        set_num_threads(threads)
    context.dt, context.dtype = new_dt, new_dtype


@ported
def compile(
    backend: str | None = None, threads: int | None = None, device: int | None = None, stream: Any = None
) -> None:
    """Compile the default network; see `Network.compile`."""
    default_network().compile(backend, threads, device, stream)


@ported
def simulate(duration: float, progress: bool = False, measure_time: bool = False) -> None:
    """Run the default network for a time in ms; see `Network.simulate`."""
    default_network().simulate(duration, progress, measure_time)


@ported
def every(period: float, offset: float = 0.0, wait: float = 0.0) -> Callable[[F], F]:
    """Decorate a function that the default network calls between steps; see `Network.every`."""
    return default_network().every(period, offset, wait)


@ported
def enable_callbacks() -> None:
    """Call the functions of `every` again; see `Network.enable_callbacks`."""
    default_network().enable_callbacks()


@ported
def disable_callbacks() -> None:
    """Do not call the functions of `every` for now; see `Network.disable_callbacks`."""
    default_network().disable_callbacks()


@ported
def clear_all_callbacks() -> None:
    """Forget all functions of `every`; see `Network.clear_all_callbacks`."""
    default_network().clear_all_callbacks()


@ported
def step() -> None:
    """Run the default network for one step; see `Network.step`."""
    default_network().step()


@ported
def reset() -> None:
    """Reset the default network; see `Network.reset`."""
    default_network().reset()


@ported
def save(path: str | os.PathLike[str]) -> None:
    """Write the state of the default network to a file; see `Network.save`."""
    default_network().save(path)


@ported
def load(path: str | os.PathLike[str]) -> None:
    """Return the default network to a saved state; see `Network.load`."""
    default_network().load(path)


@ported
def get_time() -> float:
    """Return the simulated time of the default network in ms."""
    return default_network().time


@ported
def get_current_step() -> int:
    """Return the number of steps that the default network has done."""
    return default_network().current_step


@ported
def dt() -> float:
    """Return the length of a step of the default network in ms."""
    return default_network().dt


@ported
def set_seed(seed: int) -> None:
    """Draw from another seed in the default network; see `Network.set_seed`."""
    default_network().set_seed(seed)


@ported
def populations() -> list[Population]:
    """Return all populations of the default network."""
    return default_network().get_populations()


@ported
def projections(
    post: Population | str | None = None, pre: Population | str | None = None, target: str | None = None
) -> list[BaseProjection]:
    """Return projections of the default network; see `Network.get_projections`."""
    return default_network().get_projections(post, pre, target)


@ported
def get_population(name: str) -> Population:
    """Return a population of the default network by its name; see `Network.get_population`."""
    return default_network().get_population(name)


@ported
def get_projection(name: str) -> BaseProjection:
    """Return a projection of the default network by its name; see `Network.get_projection`."""
    return default_network().get_projection(name)
