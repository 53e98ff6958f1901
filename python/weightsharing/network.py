"""`Network`: populations and projections, compiled into a schedule and run; and the default network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from .arguments import finite_number, positive_number, whole_number
from .arrays import Array, converted, shaped_array
from .backends import make_runner, thread_count, usable_backend
from .backends.cuda import CudaRunner
from .errors import NotCopyable, StateError
from .expressions import OPCODES
from .population import MOST_UNITS, Population, checked_dtype
from .schedule import ClearSum, Project, PushHistory, Runner, Schedule, Step, Update

if TYPE_CHECKING:
    from .neuron import Neuron
    from .projection import BaseProjection, Synapse

_NOISE = [OPCODES.index("uniform"), OPCODES.index("normal")]


class Network(NotCopyable):
    """Populations and projections that are simulated together, step by step.

    In one step every projection reads the rates of the step before (or those assigned since) and adds to its
    target, then every population evaluates its equations: a layer costs one step.

    Parameters
    ----------
    dt : float
        Length of a step in ms.
    dtype : {'float32', 'float64'}
        Of all rates, weights and sums.
    seed : int, optional
        For everything drawn: weights, rates, noise. Default: another one each time.
    backend : str
        Name of a backend (`backends`), or ``'auto'``.
    threads : int, optional
        For the CPU backend; default: `get_num_threads`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network()
    >>> signal = network.create(6)
    >>> edges = network.create(6, ws.Neuron(equations="r = sum(exc) : min=0.0"))
    >>> projection = ws.Convolution(signal, edges, "exc").connect_filter([-1.0, 1.0])
    >>> signal.r = [0, 0, 2, 2, 3, 3]
    >>> network.compile()
    >>> network.simulate(1.0)
    >>> edges.r
    array([0., 2., 0., 1., 0., 0.], dtype=float32)
    """

    def __init__(
        self,
        dt: float = 1.0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        *,
        backend: str = "auto",
        threads: int | None = None,
    ) -> None:
        usable_backend(backend)
        self._dt = positive_number("dt", dt)
        self._dtype = checked_dtype(dtype)
        self._backend, self._threads = backend, thread_count(threads)
        self._backend_by_name = backend != "auto"
        self._set_seed(seed)
        self._populations: list[Population] = []
        self._projections: list[BaseProjection] = []
        self._compiled_for: tuple[str, int | None] | None = None
        self._runner: Runner | None = None
        self._histories: dict[Population, Array] = {}
        self._initial: dict[Population, dict[str, Array]] = {}
        self._initial_draws = self._random_generator.bit_generator.state
        self._steps_done = 0

    def __setattr__(self, name: str, value: Any) -> None:
        # A subclass may keep its populations and projections as attributes.
        if not name.startswith("_") and type(self) is Network:
            raise AttributeError(
                f"a Network has no attribute {name!r} to assign; dt, dtype, seed, backend and threads are "
                "arguments of Network()."
            )
        object.__setattr__(self, name, value)

    # --- Settings ---

    @property
    def dt(self) -> float:
        """Length of a step in ms."""
        return self._dt

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._dtype

    @property
    def seed(self) -> int:
        """What everything drawn depends on."""
        return self._seed

    @property
    def time(self) -> float:
        """Simulated time in ms since compile or reset."""
        return self._steps_done * self._dt

    @property
    def populations(self) -> tuple[Population, ...]:
        """All populations, in the order of their creation."""
        return tuple(self._populations)

    @property
    def projections(self) -> tuple[BaseProjection, ...]:
        """All projections, in the order of their creation."""
        return tuple(self._projections)

    @property
    def random_generator(self) -> np.random.Generator:
        """Source of drawn weights and rates."""
        return self._random_generator

    def __repr__(self) -> str:
        return (
            f"<Network of {len(self._populations)} populations and {len(self._projections)} projections, "
            f"dt {self.dt} ms, {self.dtype}, t {self.time} ms>"
        )

    def __enter__(self) -> Network:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _entered.set(_entered.get()[:-1])

    # --- Building ---

    def create(
        self,
        geometry: Any = None,
        neuron: Neuron | None = None,
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
        self._adopt(population)
        return population

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
        from .projection import BaseProjection, Projection

        if isinstance(pre, BaseProjection):
            pre, projection = None, pre
        if projection is None:
            if not isinstance(pre, Population) or not isinstance(post, Population) or target is None:
                raise TypeError("connect: give pre, post and target, or a projection.")
            self._check_member(pre)
            return Projection(pre, post, target, synapse, name)
        if not isinstance(projection, BaseProjection):
            raise TypeError(f"projection is a {type(projection).__name__}; expected a projection.")
        if (pre, post, target, synapse, name) != (None,) * 5:
            raise ValueError("connect: give either a projection, or pre, post and target.")
        self._check_member(projection.pre)
        return projection

    def _check_member(self, population: Population) -> None:
        if population.network is not self:
            raise ValueError(f"{population!r} belongs to another network; create it in this one.")

    def _check_open(self, action: str) -> None:
        if self._compiled_for is not None:
            raise StateError(f"cannot {action}: the network is compiled already. Do so before compile().")

    def _register_population(self, population: Population, name: str | None) -> str:
        self._check_open("add a population")
        own = population._own_dtype
        if self is not _default and own is not None and own != self._dtype:
            raise ValueError(f"dtype is {own}, the network has {self._dtype}; leave dtype out.")
        name = _checked_name(name, "pop", self._populations)
        self._populations.append(population)
        return name

    def _register_projection(self, projection: BaseProjection, name: str | None) -> str:
        self._check_open("add a projection")
        name = _checked_name(name, "proj", self._projections)
        self._projections.append(projection)
        return name

    def _adopt(self, population: Population) -> None:
        """Take a population over from the default network."""
        home = population.network
        if home is self:
            return
        if home is not _default:
            raise ValueError(f"{population!r} belongs to another network; create it in this one.")
        if any(population in (one.pre, one.post) for one in home._projections):
            raise ValueError(f"{population!r} has projections in the default network; create it in this one.")
        home._check_open("move a population")
        values = {key: converted(key, array, self._dtype) for key, array in population._values.items()}
        name = self._register_population(population, population._given_name)
        home._populations.remove(population)
        population._move(self, name, values)

    # --- Running ---

    def compile(self, backend: str | None = None, threads: int | None = None) -> None:
        """Prepare the network for simulation; nothing can be added any more.

        The values of this moment are those that `reset` restores. Called again, it starts over from the
        values of that moment, with empty histories and at time 0, for example on another backend.

        Parameters
        ----------
        backend, threads
            As for `Network`; default: those of the network.

        Raises
        ------
        StateError
            If a projection is not connected.
        TypeError, ValueError
            If an argument is not as described, the populations differ in dtype, or a projection asks for
            another backend by name.
        """
        kind = (
            usable_backend(self._backend if backend is None else backend),
            self._threads if threads is None else thread_count(threads),
        )
        by_name = (self._backend if backend is None else backend) != "auto"
        self._check_uniform(kind[0])
        for population in self._populations:
            population._fetch_all()
        histories = self._new_histories()
        schedule = Schedule(tuple(self._steps(histories, kind)), self._run_dtype(), self._dt, self._seed)
        self._runner = make_runner(schedule, *kind)
        self._histories = histories
        self._compiled_for, self._backend_by_name = kind, by_name
        self._initial = {
            population: {name: population._array(name).copy() for name in population._declared()}
            for population in self._populations
        }
        self._initial_draws = self._random_generator.bit_generator.state
        self._steps_done = 0

    def simulate(self, duration: float) -> None:
        """Run for a time.

        Parameters
        ----------
        duration : float
            In ms, a whole number of steps of `dt` and not negative.

        Raises
        ------
        StateError
            If the network is not compiled.
        TypeError, ValueError
            If the duration is not as described.
        """
        self._run(_whole_steps(duration, self._dt))

    def step(self) -> None:
        """Run one step.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._run(1)

    def reset(self) -> None:
        """Return to the values, histories and time of `compile`; weights stay as they are.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._check_compiled()
        for population, values in self._initial.items():
            for name, initial in values.items():
                self._fill(population._array(name), initial)
            for sums in population._sums.values():
                self._fill(sums, 0.0)
        for history in self._histories.values():
            self._fill(history, 0.0)
        self._random_generator.bit_generator.state = self._initial_draws
        self._steps_done = 0

    def _fetch(self, array: Array) -> Array:
        """Return an array of a population, up to date."""
        if self._runner is not None:
            self._runner.fetch(array)
        return array

    def _on_device(self, array: Array, name: str) -> Any:
        """Return the twin of an array on the CUDA device."""
        if not isinstance(self._runner, CudaRunner):
            raise StateError(
                "there is no device array: the network is not compiled for the backend 'cuda' or 'cupy'."
            )
        twin = self._runner.device_array(array)
        if twin is None:
            raise ValueError(f"{name} is not on the device: nothing in a step uses it.")
        return twin

    def _fill(self, array: Array, values: Any) -> None:
        """Assign to an array of a population or history."""
        array[...] = values
        if self._runner is not None:
            self._runner.assigned(array)

    @contextmanager
    def _draws_undone_by_errors(self) -> Iterator[np.random.Generator]:
        """Lend the source of random numbers; an error leaves it as it was."""
        before = self._random_generator.bit_generator.state
        try:
            yield self._random_generator
        except BaseException:
            self._random_generator.bit_generator.state = before
            raise

    def _run(self, steps: int) -> None:
        runner = self._check_compiled()
        for projection in self._projections:
            projection._ready_executor()
        runner.run(self._steps_done, steps)
        self._steps_done += steps

    def _check_compiled(self) -> Runner:
        if self._runner is None:
            raise StateError("the network is not compiled; call compile() first.")
        return self._runner

    @property
    def _kind_in_use(self) -> tuple[str, int | None]:
        """Backend and threads: those compiled for, before that those of the network."""
        return self._compiled_for or (usable_backend(self._backend), self._threads)

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        seed = whole_number("seed", seed)
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2**64 - 1.")
        self._seed = seed
        self._random_generator = np.random.default_rng(seed)

    # --- The schedule ---

    def _check_uniform(self, backend: str) -> None:
        """Raise unless all projections are connected, and all of one dtype and backend."""
        for projection in self._projections:
            projection._connected()
            own = projection._backend
            if own is not None and own != backend:
                raise ValueError(
                    f"{projection!r} asks for the backend {own!r}, the network is compiled for {backend!r}; "
                    "leave one of them out."
                )
        if len({population.dtype for population in self._populations}) > 1:
            listed = ", ".join(f"{one.name!r}: {one.dtype}" for one in self._populations)
            raise ValueError(f"the populations of a network need one dtype, got {listed}.")

    def _run_dtype(self) -> np.dtype[Any]:
        return self._populations[0].dtype if self._populations else self._dtype

    def _delay_steps(self, projection: BaseProjection) -> int:
        """Delay of a projection in steps; up to one step is no delay."""
        exact = projection.delays / self._dt
        if exact * projection.pre.size >= MOST_UNITS:
            raise ValueError(
                f"delays is {projection.delays} ms, {exact} steps of dt = {self._dt} ms: more than can be stored "
                f"of the {projection.pre.size} units of pre; choose a smaller delay."
            )
        steps = math.floor(exact + _tolerance(exact))
        return steps if steps > 1 else 0

    def _new_histories(self) -> dict[Population, Array]:
        """One ring buffer per population that is read with a delay, as deep as its deepest reader."""
        depths: dict[Population, int] = {}
        for projection in self._projections:
            delay = self._delay_steps(projection)
            if delay:
                depths[projection.pre] = max(delay, depths.get(projection.pre, 0))
        return {
            population: np.zeros((depth, *population._shape("r")), dtype=population.dtype)
            for population, depth in depths.items()
        }

    def _steps(self, histories: dict[Population, Array], kind: tuple[str, int | None]) -> list[Step]:
        """Write one step of the network as a flat list (see `schedule`)."""
        steps: list[Step] = []
        fed: set[tuple[Population, str]] = set()
        for projection in self._projections:
            delay = self._delay_steps(projection)
            sink = (projection.post, projection.target)
            steps.append(
                Project(
                    executor=projection._ready_executor(kind),
                    rates=projection.pre._array("r"),
                    history=histories[projection.pre] if delay else None,
                    delay=delay,
                    out=projection.post._sum_array(projection.target),
                    accumulate=sink in fed,
                )
            )
            fed.add(sink)
        updates: list[Step] = []
        for population in self._populations:
            neuron = population.neuron
            if neuron is None or not neuron.steps:
                continue
            if np.isin(neuron.program().code[:, 0], _NOISE).any():
                raise ValueError(f"{population!r}: its equations draw noise, which no backend can do yet.")
            neuron.check_divisors({name: population._array(name) for name in neuron.parameters})
            arrays = {name: population._array(name) for name in population._declared()}
            for name, value in neuron.constants.items():
                one = (1,) * (population.dimension + 1)
                arrays[name] = shaped_array(f"constants: {name}", value, one, population.dtype)
            for target in neuron.targets:
                arrays[f"sum({target})"] = population._sum_array(target)
                if (population, target) not in fed:
                    steps.append(ClearSum(population._sum_array(target)))
            updates.append(Update(neuron, arrays))
        pushes = [PushHistory(population._array("r"), history) for population, history in histories.items()]
        return [*steps, *updates, *pushes]


def _checked_name(name: str | None, prefix: str, others: Sequence[Population | BaseProjection]) -> str:
    """Return the name given, or a new one: no two of `others` have the same."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is a {type(name).__name__}; expected text.")
    taken = {other.name for other in others}
    if name in taken:
        raise ValueError(f"name is {name!r}, which the network has already; choose another one.")
    return name or next(word for word in map(f"{prefix}{{}}".format, count(len(others))) if word not in taken)


def _tolerance(steps: float) -> float:
    """How far a quotient of times may lie from the number of steps that is meant: 0.3 / 0.1 must be 3."""
    return max(1e-6, 1e-15 * steps)


def _whole_steps(duration: Any, dt: float) -> int:
    """Number of steps in a time, or an error that says which times are possible."""
    time = finite_number("duration", duration)
    if time < 0.0:
        raise ValueError(f"duration is {time} ms; expected 0 or more.")
    if time / dt >= 2.0**62:
        raise ValueError(f"duration is {time} ms, more steps of dt = {dt} ms than can be counted.")
    steps = round(time / dt)
    if abs(time / dt - steps) > _tolerance(steps):
        raise ValueError(
            f"duration is {time} ms, {time / dt} steps of dt = {dt} ms; expected a whole number of steps, "
            f"for example {max(steps, 1) * dt:.15g} ms."
        )
    return steps


_default = Network()
_entered: ContextVar[tuple[Network, ...]] = ContextVar("weightsharing_networks", default=())


def current_network() -> Network:
    """Return the network that new populations join: that of the enclosing ``with``, else the default one."""
    entered = _entered.get()
    return entered[-1] if entered else _default


def clear() -> None:
    """Start a new default network with default settings; objects of the old one keep it."""
    global _default
    _default = Network()


def setup(dt: float | None = None, dtype: DTypeLike | None = None, seed: int | None = None) -> None:
    """Change settings of the default network; those left out stay as they are.

    Parameters
    ----------
    dt, dtype, seed
        As for `Network`.

    Raises
    ------
    StateError
        If the network is compiled already, or `dtype` comes after the first population.
    TypeError, ValueError
        If an argument is not as described; nothing has changed then.
    """
    network = _default
    network._check_open("change settings")
    new_dt = network._dt if dt is None else positive_number("dt", dt)
    new_dtype = network._dtype if dtype is None else checked_dtype(dtype)
    if new_dtype != network._dtype and network._populations:
        raise StateError("setup: dtype must be chosen before the first population is created; clear() first.")
    if seed is not None:
        network._set_seed(seed)
    network._dt, network._dtype = new_dt, new_dtype


def compile(backend: str | None = None, threads: int | None = None) -> None:
    """Compile the default network; see `Network.compile`."""
    _default.compile(backend, threads)


def simulate(duration: float) -> None:
    """Run the default network for a time in ms; see `Network.simulate`."""
    _default.simulate(duration)


def step() -> None:
    """Run the default network for one step; see `Network.step`."""
    _default.step()


def reset() -> None:
    """Reset the default network; see `Network.reset`."""
    _default.reset()
