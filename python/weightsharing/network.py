"""`Network`: populations and projections, compiled into a schedule and run; and the default network."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from weakref import WeakSet

import numpy as np
from numpy.typing import DTypeLike

from .backends.choice import Work, choose, least_work
from .backends.cuda import CudaRunner
from .backends.device_modules import device_array_view
from .backends.making import make_runner
from .backends.targets import (
    Target,
    check_stream_device,
    checked_target,
    checked_threads,
    get_num_threads,
    set_num_threads,
    usable_gpus,
    why_no_gpu,
)
from .callbacks import Callback, Times
from .checks.arrays import converted
from .checks.device_arrays import current_stream
from .checks.errors import MovieError, NotCopyable, StateError
from .checks.memory import counted, free_memory
from .checks.numbers import finite_number, positive_number, whole_number
from .checks.porting import ported
from .checks.shapes import Array, Shape, checked_dtype
from .checks.times import whole_steps
from .compilation import History, compile_steps
from .description.histories import OF_MOVIES, UpdateOrder
from .description.neuron import Neuron
from .description.schedule import NotFinite, Recording, Runner, Schedule
from .language.constants import forget_constants
from .language.distributions import Distribution, set_current_generator
from .language.functions import forget_functions
from .monitors import Monitor, begin_all
from .persistence import load as load_network
from .persistence import save as save_network
from .population import Population
from .progress import progress_bar

if TYPE_CHECKING:
    from .inputs import MoviePopulation
    from .projection import BaseProjection, Synapse
    from .summary import Summary
    from .views import PopulationView


F = TypeVar("F", bound=Callable[[int], Any])


class Network(NotCopyable):
    """Populations and projections that are simulated together, step by step.

    In one step of a synchronous network every projection reads the rates of the step before (or those assigned
    since) and adds to its target, then every population evaluates its equations: a layer costs one step. In a
    feedforward network the populations take turns, each after those it reads: a chain has no latency.

    Parameters
    ----------
    dt : float
        Length of a step in ms.
    dtype : {'float32', 'float64'}
        Of all rates, weights and sums.
    seed : int, optional
        For everything drawn: weights, rates, noise. Default: another one each time.
    backend : str
        Name of a backend (`backends`), or ``'auto'``: a GPU where one can be used and a step is large enough to
        gain by it, else the CPU. ``describe()["backend_reason"]`` of a projection says why.
    threads : int, optional
        For the CPU backend; default: `get_num_threads`.
    batch : int, optional
        Number of independent trials that are simulated together, with the same weights: all values have a
        leading axis (batch, ...) then. A value without it is taken for every trial.
    update : {'synchronous', 'feedforward'}
        Order of a step.
    first_trial : int
        Number of the first trial: trial b of a batch draws the same noise and values as a network whose
        `first_trial` is b.
    check_finite : bool
        Whether to stop with an error after the first step that leaves NaN or infinity in a variable. The error
        names that step; a GPU, which nobody asks in every step, goes on for some more (`time` counts them).
    device : int, optional
        For a GPU: its number; default: that of `stream`, else 0.
    stream : int or stream, optional
        For a GPU: CUDA stream that all steps run on, as an address, a stream of CuPy or torch, or anything with
        ``__cuda_stream__``. Default: one of its own. `simulate` returns when the steps are done in any case.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is not as described.
    StateError
        If a subclass calls ``super().__init__()`` after it created something.

    Notes
    -----
    A subclass may create its populations in an ``__init__`` of its own. It calls that of this class first, to choose
    settings, or not at all. `dt` and `seed` can be given to every subclass by name: where its ``__init__`` does not
    take them, they go to the network directly, and count more than what it chooses.

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

    _taken: Mapping[str, Any] = {}  # settings that were given to a subclass, see `_ready_before`

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _ready_before(cls.__init__)  # type: ignore[method-assign]

    @ported
    def __init__(
        self,
        dt: float = 1.0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        *,
        backend: str = "auto",
        threads: int | None = None,
        device: int | None = None,
        stream: Any = None,
        batch: int | None = None,
        update: UpdateOrder = "synchronous",
        first_trial: int = 0,
        check_finite: bool = False,
    ) -> None:
        if self._is_ready() and (self._populations or self._callbacks):
            raise StateError(
                f"{type(self).__name__}: super().__init__() would forget what was created before; call it first."
            )
        dt, seed = self._taken.get("dt", dt), self._taken.get("seed", seed)
        asked = checked_target("auto" if backend is None else backend, threads, device, stream)
        self._dt = positive_number("dt", dt)
        self._dtype = checked_dtype(dtype)
        self._given = self._asked = asked  # for the network; with what compile() was given
        self._batch = None if batch is None else _count("batch", batch, 1)
        self._first_trial = _count("first_trial", first_trial, 0)
        if update not in get_args(UpdateOrder):
            raise ValueError(
                f"update is {update!r}; expected one of {', '.join(map(repr, get_args(UpdateOrder)))}."
            )
        self._update = update
        if not isinstance(check_finite, (bool, np.bool_)):
            raise TypeError(f"check_finite is {check_finite!r}; expected True or False.")
        self._check_finite = bool(check_finite)
        self._set_seed(seed)
        self._populations: list[Population] = []
        self._projections: list[BaseProjection] = []
        self._compiled_for: Target | None = None
        self._reason = ""  # why this backend
        self._runner: Runner | None = None
        self._histories: tuple[History, ...] = ()
        self._initial: dict[Population, dict[str, Array]] = {}
        self._initial_draws = self._random_generator.bit_generator.state
        self._steps_done = 0
        self._monitors: WeakSet[Monitor] = WeakSet()
        self._run_end: int | None = None  # step at which the present run ends
        self._callbacks: list[Callback] = []
        self._callbacks_enabled = True
        self._pushed: list[_State] = []

    def _is_ready(self) -> bool:
        """Whether `Network.__init__` was called."""
        return "_pushed" in vars(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(Network, name, None), property):
            raise AttributeError(
                f"{name!r} of a Network cannot be assigned; its settings are arguments of Network()."
            )
        # A subclass may keep its populations and projections as attributes.
        if not name.startswith("_") and type(self) is Network:
            raise AttributeError(
                f"a Network has no attribute {name!r} to assign; its settings are arguments of Network()."
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
    def batch(self) -> int | None:
        """Number of trials, None without a batch axis."""
        return self._batch

    @property
    def update(self) -> UpdateOrder:
        """Order of a step: ``'synchronous'`` or ``'feedforward'``."""
        return self._update

    @property
    def first_trial(self) -> int:
        """Number of the first trial."""
        return self._first_trial

    @property
    def _trials(self) -> int:
        """Length of the batch axis that every array has."""
        return self._batch or 1

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
    def current_step(self) -> int:
        """Number of steps done since compile or reset."""
        return self._steps_done

    def get_time(self) -> float:
        """Return the simulated time in ms, as `time`."""
        return self.time

    def get_current_step(self) -> int:
        """Return the number of steps done, as `current_step`."""
        return self.current_step

    def get_populations(self) -> list[Population]:
        """Return all populations, as `populations`."""
        return list(self._populations)

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
                self._check_member(population)
        return [
            one
            for one in self._projections
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
        return _named("population", name, self._populations)

    def get_projection(self, name: str) -> BaseProjection:
        """Return the projection of this name.

        Raises
        ------
        ValueError
            If there is none.
        """
        return _named("projection", name, self._projections)

    @ported
    def set_seed(self, seed: int) -> None:
        """Draw weights, values and noise from another seed from now on; what is drawn already stays.

        Raises
        ------
        StateError
            If the network is compiled already.
        TypeError, ValueError
            If `seed` is no whole number from 0 to 2**64 - 1.
        """
        self._check_open("change the seed")
        self._set_seed(whole_number("seed", seed))

    @property
    def random_generator(self) -> np.random.Generator:
        """Source of drawn weights and rates."""
        return self._random_generator

    def __repr__(self) -> str:
        return (
            f"<Network of {len(self._populations)} populations and {len(self._projections)} projections, "
            f"dt {self.dt} ms, {self.dtype}, t {self.time} ms>"
        )

    def summary(self) -> Summary:
        """Return tables of all populations and projections: geometries, weights, how each is computed.

        Returns
        -------
        Summary
            Prints as tables; its attribute `weights` is the number of all weights, biases (parameters with the
            flag ``: filter``) included.
        """
        from .summary import Summary

        return Summary(self)

    def __enter__(self) -> Network:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _entered.set(_entered.get()[:-1])

    # --- Building ---

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
        self._adopt(population)
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
            self._check_member(population)
        return Monitor(obj, variables, period, period_offset, start, name)

    def _check_member(self, population: Population) -> None:
        if population.network is not self:
            raise ValueError(f"{population!r} belongs to another network; create it in this one.")

    def _forget_population(self, population: Population) -> None:
        """Take back the registration of one that turned out to be wrong."""
        self._populations.remove(population)

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

    def _forget_projection(self, projection: BaseProjection) -> None:
        """Take back a projection that could not be connected."""
        self._projections.remove(projection)

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
        moving = [monitor for monitor in home._monitors if monitor._population is population]
        home._monitors.difference_update(moving)
        self._monitors.update(moving)

    # --- Running ---

    @ported
    def compile(
        self,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
        stream: Any = None,
    ) -> None:
        """Prepare the network for simulation; nothing can be added any more.

        Projections whose connect method raised are left out. The values of this moment are those that `reset`
        restores. Called again, it starts over from the
        values of that moment, with empty histories and monitors and at time 0, for example on another backend.

        Parameters
        ----------
        backend, threads, device, stream
            As for `Network`; default: those of the network.

        Raises
        ------
        StateError
            If a projection is not connected.
        TypeError, ValueError, IndexError
            If an argument is not as described, the populations differ in dtype, or a projection asks for
            another backend or device.
        """
        self._check_between_runs("compile")
        asked = checked_target(backend, threads, device, stream).over(self._given)
        # Whoever called a connect method that raised knows; often the corrected line made another projection.
        self._projections = [one for one in self._projections if one.connected or not one._attempted]
        for projection in self._projections:
            projection._connected()
        target, reason = self._chosen(asked)
        self._check_uniform(target)
        for population in self._populations:
            population._check_shown()
            population._fetch_all()
        self._prepare(target)
        self._compiled_for, self._asked, self._reason = target, asked, reason
        for projection in self._projections:
            projection._forget_other_executors(target)
        self._initial = {
            population: {name: population._array(name).copy() for name in population._declared()}
            for population in self._populations
        }
        self._initial_draws = self._random_generator.bit_generator.state
        self._restart()

    def _prepare(self, target: Target) -> None:
        """Write the schedule and make what runs it."""
        executors = {one: one._ready_executors(target) for one in self._projections}
        compiled = compile_steps(
            self._populations, self._projections, executors, self._update, self._dt, self._check_finite
        )
        schedule = Schedule(compiled.steps, self._run_dtype(), self._dt, self._seed, self._first_trial)
        self._runner = make_runner(schedule, target)
        self._histories = compiled.histories

    @ported
    def simulate(self, duration: float, progress: bool = False, measure_time: bool = False) -> None:
        """Run for a time. Ctrl-C stops between two steps.

        Parameters
        ----------
        duration : float
            In ms, a whole number of steps of `dt` and not negative.
        progress : bool
            Whether to show a progress bar; needs tqdm.
        measure_time : bool
            Whether to print how long it took.

        Raises
        ------
        StateError
            If the network is not compiled.
        TypeError, ValueError
            If the duration is not as described.
        FloatingPointError
            With `check_finite`: after the first step that leaves NaN or infinity in a variable.
        ImportError
            If there is no tqdm for the progress bar.
        """
        steps = whole_steps("duration", finite_number("duration", duration), self._dt)
        if not isinstance(measure_time, (bool, np.bool_)):
            raise TypeError(f"measure_time is {measure_time!r}; expected True or False.")
        begin = perf_counter()
        self._run(steps, progress)
        if measure_time:
            took = perf_counter() - begin
            print(f"Simulating {duration / 1000.0:g} seconds of the network took {took:g} seconds.")

    @ported
    def step(self) -> None:
        """Run one step.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._run(1)

    def run(self, movie: Any, output: Any = None, progress: bool = False) -> Any:
        """Show a whole movie, one frame in each step, and return what populations made of it.

        A second movie continues where the first one ended: histories, delays and variables carry over, so a
        movie that is cut into pieces gives the same as the whole. Only the histories ``'mean'``, ``'mirror'``
        and ``'full_copy'`` are made from the movie that is given at step 0.

        Parameters
        ----------
        movie : array_like, or dict
            For the network's only `MoviePopulation`: (frames, \\*geometry), in a network with a batch also
            (frames, batch, \\*geometry), or whatever else `set_movie` takes and has a known number of frames.
            A dict gives one movie to each of several populations, all with the same number of frames.
        output : Population, or sequence of Population, optional
            Whose rates to return.
        progress : bool
            Whether to show a progress bar; needs tqdm.

        Returns
        -------
        ndarray (frames, \\*geometry), or (frames, batch, \\*geometry)
            Rates of `output` at the end of each step; a list of such arrays for a sequence of populations, None
            without `output`.

        Raises
        ------
        StateError
            If the network is not compiled.
        TypeError, ValueError
            If the movie does not fit the population, `output` is not as described, or a projection asks for a
            history made from a movie and its pre population shows none. Nothing has changed then.
        MemoryError
            If the rates to return need more than is free. Nothing has changed then.
        FloatingPointError, ImportError
            As for `simulate`.

        Notes
        -----
        The movie stays that of the population: after `reset` it begins again.
        """
        from .inputs import Timetable

        self._check_compiled()
        movies = {shown: shown._whole_movie(one) for shown, one in self._movies(movie).items()}
        lengths = {len(frames) for frames in movies.values()}
        if len(lengths) > 1:
            listed = ", ".join(f"{one.name!r}: {len(frames)}" for one, frames in movies.items())
            raise ValueError(
                f"movie: the movies differ in their number of frames ({listed}); cut them alike."
            )
        single = isinstance(output, Population)
        recorded = self._checked_outputs([output] if single else [] if output is None else output)
        steps = lengths.pop()
        kept = sum(one._array("r").nbytes for one in recorded)
        free = free_memory()
        if free is not None and kept * steps > free:
            raise MemoryError(
                f"output: the rates of {steps} frames need {counted(kept * steps)}, {counted(free)} are free; give the "
                "movie in pieces."
            )
        if self._steps_done == 0:
            self._fill_from(movies)
        first, before = self._steps_done, [(one, one._shown_state()) for one in movies]
        for shown, frames in movies.items():
            shown._set_shown(Timetable(frames, 0.0, "every"), first)
        recordings = [
            Recording(rates, None, np.empty((steps, len(rates), rates[0].size), rates.dtype), first, 1)
            for rates in (one._array("r") for one in recorded)
        ]
        try:
            self._run(steps, progress, recordings, histories_known=True)
        except BaseException:
            if self._steps_done == first:
                for shown, state in before:
                    shown._restore_shown(state)
            raise
        results = [
            recording.rows.reshape(steps, *one._outer(one.geometry))
            for one, recording in zip(recorded, recordings, strict=True)
        ]
        return results[0] if single else None if output is None else results

    def _movies(self, movie: Any) -> dict[MoviePopulation, Any]:
        """Which population is to show which movie."""
        from .inputs import MoviePopulation

        showing = [one for one in self._populations if isinstance(one, MoviePopulation)]
        if not isinstance(movie, Mapping):
            if len(showing) != 1:
                raise ValueError(
                    f"movie: the network has {len(showing)} populations that show movies; expected one, or a dict "
                    "{population: movie}."
                )
            return {showing[0]: movie}
        if not movie:
            raise ValueError("movie is an empty dict; expected {population: movie}.")
        for key in movie:
            if key not in showing:
                raise ValueError(f"movie: {key!r} is no MoviePopulation of this network.")
        return dict(movie)

    def _checked_outputs(self, output: Any) -> list[Population]:
        if not isinstance(output, Sequence) or not all(isinstance(one, Population) for one in output):
            raise TypeError(f"output is {output!r}; expected a population, or a sequence of populations.")
        for one in output:
            self._check_member(one)
        return list(output)

    def _fill_from(self, movies: Mapping[MoviePopulation, Array]) -> None:
        """Fill the histories that are made from a whole movie."""
        filled = []
        for history in self._histories_of_movies():
            movie = next((frames for one, frames in movies.items() if one is history.population), None)
            if movie is None:
                raise ValueError(
                    f"history={history.policy!r} of {history.population.name!r} is made from a whole movie, and this "
                    "population shows none; choose another history."
                )
            filled.append((history.array, history.initial(movie)))
        for array, values in filled:
            self._fill(array, values)

    @ported
    def every(self, period: float, offset: float = 0.0, wait: float = 0.0) -> Callable[[F], F]:
        """Decorate a function that is called between steps, whenever a period of simulated time has passed.

        Parameters
        ----------
        period : float
            Time between two calls in ms, a whole number of steps.
        offset, wait : float
            The first call comes before the step that begins at ``offset + wait``. A negative `offset` is
            counted from the end of a period: with a period of 5.0 ms, -1.0 means 4.0.

        Returns
        -------
        decorator
            The function gets one argument, the number of periods that have passed since the time of the first
            call. It may assign rates, parameters and weights. Calls lie at the same times however a run is cut
            into calls of `simulate`.

        Raises
        ------
        TypeError, ValueError
            If a time is not as described.
        """
        times = Times(
            positive_number("period", period), finite_number("offset", offset), finite_number("wait", wait)
        )
        times.in_steps(self._dt)  # raises

        def decorated(function: F) -> F:
            if not callable(function):
                raise TypeError(
                    f"every: got a {type(function).__name__}; expected a function of one argument."
                )
            self._callbacks.append(Callback(function, times))
            return function

        return decorated

    @ported
    def enable_callbacks(self) -> None:
        """Call the functions of `every` again."""
        self._callbacks_enabled = True

    @ported
    def disable_callbacks(self) -> None:
        """Do not call the functions of `every` until `enable_callbacks`."""
        self._callbacks_enabled = False

    @ported
    def clear_all_callbacks(self) -> None:
        """Forget all functions of `every`."""
        self._callbacks.clear()

    @ported
    def reset(self) -> None:
        """Return to the values, histories and time of `compile`; monitors are emptied, weights stay.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._check_compiled()
        self._check_between_runs("reset")
        for population, values in self._initial.items():
            for name, initial in values.items():
                self._fill(population._array(name), initial)
            for sums in population._sums.values():
                self._fill(sums, 0.0)
        self._random_generator.bit_generator.state = self._initial_draws
        self._restart()

    def _restart(self) -> None:
        """Go to the time before step 0, with histories of what was before."""
        self._steps_done = 0
        for monitor in self._monitors:
            monitor._reset()
        self._pushed.clear()
        for population in self._populations:
            population._show_again()
        for history in self._histories:
            if history not in self._histories_of_movies():
                self._fill(history.array, history.initial())

    def push_state(self) -> None:
        """Keep a copy of all values, histories, the time and the source of random numbers, on a stack.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._check_compiled()
        self._pushed.append(self._state())

    def pop_state(self) -> None:
        """Return to the state that was pushed last.

        Raises
        ------
        StateError
            If none is left, or the network was compiled again since.
        """
        self._check_compiled()
        self._check_between_runs("pop_state")
        if not self._pushed:
            raise StateError("pop_state: no state was pushed.")
        self._restore(self._pushed.pop())

    @ported
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that further steps depend on to a file.

        That is: all weights, also which synapses there are, all variables, parameters and sums, histories,
        the number of steps done, seed, `first_trial` and the source of random numbers, and where timed inputs
        stand. Monitors, callbacks, pushed states, the frames of timed inputs and the values that `reset`
        returns to are not saved: the program that builds the network makes them again.

        Parameters
        ----------
        path : str or path
            By custom with the suffix ``.npz``; `numpy.load` reads the file. A file of this name is replaced once
            the new one is complete and on the disk: after a crash there is the old one or the new one.

        Raises
        ------
        StateError
            If the network is not compiled.
        OSError
            If the file cannot be written.
        """
        save_network(self, path)

    @ported
    def load(self, path: str | os.PathLike[str]) -> None:
        """Return to the state that was saved, also in another process or on another backend.

        The network must be built and compiled as the saved one was. On the same backend it continues bit for
        bit as that would have continued. Seed and `first_trial` become those of the file; a connection that
        was drawn at random becomes the saved one. Monitors keep what they recorded, and `reset` still returns
        to the values of this network's own ``compile()``.

        Parameters
        ----------
        path : str or path
            A file that `save` wrote.

        Raises
        ------
        StateError
            If the network is not compiled.
        OSError
            If the file cannot be read.
        ValueError
            If the file is none of ours, damaged, or written by a later version, or the network differs from
            the saved one: in dt, dtype, batch or update order, in names, geometries or variables of populations,
            in names, kinds, shapes or delays of projections, in histories or constants, in equations, psps,
            operations or paddings. The message names the first difference. Nothing has changed then.
        """
        load_network(self, path)

    def _state(self) -> _State:
        """A copy of everything that a run changes."""
        arrays = [self._fetch(array) for array in self._state_arrays()]
        draws = self._random_generator.bit_generator.state
        shown = [(population, population._shown_state()) for population in self._populations]
        return _State([(array, array.copy()) for array in arrays], self._steps_done, draws, shown)

    def _restore(self, state: _State) -> None:
        for array, values in state.values:
            self._fill(array, values)
        self._steps_done = state.steps_done
        self._random_generator.bit_generator.state = state.draws
        for population, shown in state.shown:
            population._restore_shown(shown)

    def _state_arrays(self) -> list[Array]:
        """Every array that a run changes: values, sums, histories."""
        arrays = [
            array
            for population in self._populations
            for array in (*map(population._array, population._declared()), *population._sums.values())
        ]
        return arrays + [history.array for history in self._histories]

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

    def _drawn(self, distribution: Distribution, shape: Shape) -> Array:
        """Draw values for every trial, (B, \\*shape): those of a trial are the same in any batch it is part of."""
        words = int(self._random_generator.integers(2**63))
        trials = range(self._first_trial, self._first_trial + self._trials)
        return np.stack(
            [
                distribution.sample(shape, distribution.rng or np.random.default_rng([words, trial]))
                for trial in trials
            ]
        )

    def _assign_on_device(self, array: Array, name: str, values: Any, shape: Shape) -> None:
        """Assign an array of a CUDA device to one of a population, within the device."""
        if not isinstance(self._runner, CudaRunner):
            raise TypeError(
                f"{name}: the array lies on a CUDA device, and the network is not compiled for one; copy it to the "
                "host first, with .get() (CuPy) or .cpu() (torch)."
            )
        stream = current_stream(values)
        view = device_array_view(name, values, stream, self._runner.backend)
        if view.dtype != array.dtype:
            raise TypeError(
                f"{name} has dtype {view.dtype}; expected {array.dtype}, as nothing is converted there."
            )
        if view.shape not in (shape, array.shape):
            raise ValueError(f"{name} has the shape {view.shape}; expected {shape}.")
        if view.device not in (None, self._runner.device):
            raise ValueError(
                f"{name} lies on device {view.device}, the network on device {self._runner.device}."
            )
        if not self._runner.assign_on_device(array, view, stream):
            raise ValueError(f"{name} is not on the device: nothing in a step uses it.")

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

    def _run(
        self,
        steps: int,
        progress: bool = False,
        recordings: Sequence[Recording] = (),
        histories_known: bool = False,
    ) -> None:
        """Run some steps, in pieces: callbacks come in between, a movie may arrive frame by frame."""
        self._check_compiled()
        self._check_between_runs("run")
        first, end = self._steps_done, self._steps_done + steps
        if steps and first == 0 and not histories_known:
            self._check_histories_known()
        show = progress_bar(steps) if progress else None
        # A callback may set another movie.
        streaming = any(
            population._streams or (self._callbacks and population._frames is not None)
            for population in self._populations
        )
        before = self._state() if streaming else None
        weights = [
            (one._weights, one._weights.arrays) for one in self._projections if one._weights is not None
        ]
        try:
            begin_all(self._monitors, first, steps)
            self._run_end = end
            while self._steps_done < end:
                upto = min(self._call_back(), end)
                if show is not None:
                    upto = min(upto, self._steps_done + show.piece())
                self._run_piece(upto, recordings)
                if show is not None:
                    show.advance(self._steps_done - first)
        except MovieError:
            # What a movie hands over is known only when it is asked: nothing of this run has happened.
            assert before is not None
            self._restore(before)
            for held, arrays in weights:
                if held.arrays is not arrays:
                    held.assign(arrays)
            raise
        finally:
            self._run_end = None
            for monitor in self._monitors:
                monitor._end(self._steps_done)
            if show is not None:
                show.close()

    def _run_piece(self, upto: int, recordings: Sequence[Recording]) -> None:
        """Run to a step at most, less if a movie has fewer frames ready."""
        runner = self._check_compiled()
        for population in self._populations:
            upto = min(upto, population._show(self._steps_done, upto))
        for projection in self._projections:
            projection._ready_executors()
        kept = [*recordings, *(one for monitor in self._monitors for one in monitor._recordings())]
        try:
            runner.run(self._steps_done, upto - self._steps_done, kept)
        except NotFinite as found:
            raise self._not_finite(found, self._steps_done + found.steps) from None
        finally:
            self._steps_done += runner.done

    def _call_back(self) -> int:
        """Call the functions that are due before the next step; return the step before which others are."""
        upcoming = 2**62
        for callback in self._callbacks if self._callbacks_enabled else ():
            period, first = callback.times.in_steps(self._dt)
            wait = first - self._steps_done
            if wait <= 0 and wait % period == 0:
                callback.function(-wait // period)
            upcoming = min(upcoming, self._steps_done + (wait if wait > 0 else wait % period or period))
        return upcoming

    def _histories_of_movies(self) -> list[History]:
        return [one for one in self._histories if isinstance(one.policy, str) and one.policy in OF_MOVIES]

    def _check_histories_known(self) -> None:
        for history in self._histories_of_movies():
            raise StateError(
                f"history={history.policy!r} of {history.population.name!r} is made from a whole movie: "
                "begin with run(movie), or choose another history."
            )

    def _not_finite(self, found: NotFinite, steps: int) -> FloatingPointError:
        shape = found.check.values.shape
        place = tuple(int(entry) for entry in np.unravel_index(found.element, shape))
        trial = "" if self._batch is None else f" of trial {place[0]}"
        return FloatingPointError(
            f"{found.check.population!r}: {found.check.variable} is {found.value} at unit {place[1:]}{trial} after "
            f"step {steps} (t = {steps * self._dt:.15g} ms), the first value that is not finite."
        )

    def _check_between_runs(self, action: str) -> None:
        if self._run_end is not None:
            raise StateError(
                f"{action}: a run is under way; neither a function that is called between the steps nor another "
                "thread can do this."
            )

    def _check_compiled(self) -> Runner:
        if self._runner is None:
            raise StateError("the network is not compiled; call compile() first.")
        return self._runner

    def _chosen(self, asked: Target) -> tuple[Target, str]:
        """Return where to run what was asked for, everything decided, and the reason."""
        reason = "asked for by name"
        if asked.backend == "auto":
            own = [projection._given for projection in self._projections]
            named = [one.backend for one in own if one.backend not in (None, "auto")]
            asks_for_gpu = any(one.device is not None for one in (asked, *own)) or asked.stream is not None
            backend, reason = choose(
                self._work(),
                asked.threads or get_num_threads(),
                usable_gpus,
                why_no_gpu,
                [name for name in named if name is not None],
                asks_for_gpu,
            )
            asked = Target(backend).over(asked)
        if asked.on_gpu:
            of_stream = None if asked.stream is None else asked.stream.device
            device = next(number for number in (asked.device, of_stream, 0) if number is not None)
            if asked.stream is not None:
                check_stream_device(asked.stream, device)
            asked = replace(asked, device=device)
        return asked, reason

    def _work(self) -> Work:
        """What one step moves and computes at least."""
        work, dtype = Work(0.0, 0.0, 0), self._run_dtype()
        for projection in self._projections:
            taps = projection._time_taps or 1
            moved, computed = least_work(projection._connected(), dtype)
            work += Work(moved * taps * self._trials, computed * taps * self._trials, taps)
        for population in self._populations:
            neuron = population.neuron_type
            if neuron is not None and neuron.steps:
                program = neuron.program()
                arrays = len(program.inputs) + len(program.outputs)
                units = population.size * self._trials
                work += Work(dtype.itemsize * units * arrays, units * len(program.code), 1)
        return work

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        seed = whole_number("seed", seed)
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2**64 - 1.")
        self._seed = seed
        self._random_generator = np.random.default_rng(seed)

    # --- The schedule ---

    def _check_uniform(self, target: Target) -> None:
        """Raise unless all projections are of one dtype, backend and device."""
        for projection in self._projections:
            own = projection._given
            if own.backend not in (None, "auto", target.backend):
                raise ValueError(
                    f"{projection!r} asks for the backend {own.backend!r}, the network is compiled for "
                    f"{target.backend!r}; leave one of them out."
                )
            if own.device not in (None, target.device):
                where = f"device {target.device}" if target.on_gpu else f"the backend {target.backend!r}"
                raise ValueError(
                    f"{projection!r} asks for device {own.device}, the network is compiled for {where}; leave one of "
                    "them out."
                )
        if len({population.dtype for population in self._populations}) > 1:
            listed = ", ".join(f"{one.name!r}: {one.dtype}" for one in self._populations)
            raise ValueError(f"the populations of a network need one dtype, got {listed}.")

    def _run_dtype(self) -> np.dtype[Any]:
        return self._populations[0].dtype if self._populations else self._dtype


def _ready_before(init: Callable[..., None]) -> Callable[..., None]:
    """Let the ``__init__`` of a subclass begin with a network that is ready, as in ANNarchy.

    `dt` and `seed` that it does not take become settings of the network.
    """
    parameters = inspect.signature(init).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    words = () if takes_all else tuple({"dt", "seed"} - parameters.keys())

    @functools.wraps(init)
    def call(network: Network, *args: Any, **kwargs: Any) -> None:
        taken = {word: kwargs.pop(word) for word in words if word in kwargs}
        if taken or not network._is_ready():
            given = {word: value for word, value in taken.items() if value is not None}
            network._taken = {**network._taken, **given}
            Network.__init__(network)
        init(network, *args, **kwargs)

    return call


def _checked_name(name: str | None, prefix: str, others: Sequence[Population | BaseProjection]) -> str:
    """Return the name given, or a new one: no two of `others` have the same."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is a {type(name).__name__}; expected text.")
    taken = {other.name for other in others}
    if name in taken:
        raise ValueError(f"name is {name!r}, which the network has already; choose another one.")
    return name or next(word for word in map(f"{prefix}{{}}".format, count(len(others))) if word not in taken)


Named = TypeVar("Named", "Population", "BaseProjection")


def _named(kind: str, name: str, members: Sequence[Named]) -> Named:
    for one in members:
        if one.name == name:
            return one
    raise ValueError(
        f"name is {name!r}; expected that of a {kind}: {', '.join(repr(one.name) for one in members) or 'none yet'}."
    )


def _count(name: str, value: Any, least: int) -> int:
    number = whole_number(name, value)
    if not least <= number < 2**31:
        raise ValueError(f"{name} is {number}; expected {least} or more, below 2**31.")
    return number


@dataclass(frozen=True)
class _State:
    """Copies of arrays, with the arrays that they belong to, and where movies stand."""

    values: list[tuple[Array, Array]]
    steps_done: int
    draws: Any
    shown: list[tuple[Population, Any]]


_default = Network()
_entered: ContextVar[tuple[Network, ...]] = ContextVar("weightsharing_networks", default=())


def current_network() -> Network:
    """Return the network that new populations join: that of the enclosing ``with``, else the default one."""
    entered = _entered.get()
    return entered[-1] if entered else _default


@ported
def clear() -> None:
    """Start a new default network with default settings; objects of the old one keep it.

    Neurons that are defined afterwards know no `Constant` and no added function from before.
    """
    global _default
    forget_constants()
    forget_functions()
    _default = Network()


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
    network = _default
    network._check_open("change settings")
    new_dt = network._dt if dt is None else positive_number("dt", dt)
    new_dtype = network._dtype if dtype is None else checked_dtype(dtype)
    if new_dtype != network._dtype and network._populations:
        raise StateError("setup: dtype must be chosen before the first population is created; clear() first.")
    checked_threads(num_threads, "num_threads")  # raises
    if seed is not None:
        network._set_seed(seed)
    if num_threads is not None:
        set_num_threads(num_threads)
    network._dt, network._dtype = new_dt, new_dtype


@ported
def compile(
    backend: str | None = None, threads: int | None = None, device: int | None = None, stream: Any = None
) -> None:
    """Compile the default network; see `Network.compile`."""
    _default.compile(backend, threads, device, stream)


@ported
def simulate(duration: float, progress: bool = False, measure_time: bool = False) -> None:
    """Run the default network for a time in ms; see `Network.simulate`."""
    _default.simulate(duration, progress, measure_time)


@ported
def every(period: float, offset: float = 0.0, wait: float = 0.0) -> Callable[[F], F]:
    """Decorate a function that the default network calls between steps; see `Network.every`."""
    return _default.every(period, offset, wait)


@ported
def enable_callbacks() -> None:
    """Call the functions of `every` again; see `Network.enable_callbacks`."""
    _default.enable_callbacks()


@ported
def disable_callbacks() -> None:
    """Do not call the functions of `every` for now; see `Network.disable_callbacks`."""
    _default.disable_callbacks()


@ported
def clear_all_callbacks() -> None:
    """Forget all functions of `every`; see `Network.clear_all_callbacks`."""
    _default.clear_all_callbacks()


@ported
def step() -> None:
    """Run the default network for one step; see `Network.step`."""
    _default.step()


@ported
def reset() -> None:
    """Reset the default network; see `Network.reset`."""
    _default.reset()


@ported
def save(path: str | os.PathLike[str]) -> None:
    """Write the state of the default network to a file; see `Network.save`."""
    _default.save(path)


@ported
def load(path: str | os.PathLike[str]) -> None:
    """Return the default network to a saved state; see `Network.load`."""
    _default.load(path)


@ported
def get_time() -> float:
    """Return the simulated time of the default network in ms."""
    return _default.time


@ported
def get_current_step() -> int:
    """Return the number of steps that the default network has done."""
    return _default.current_step


@ported
def dt() -> float:
    """Return the length of a step of the default network in ms."""
    return _default.dt


@ported
def set_seed(seed: int) -> None:
    """Draw from another seed in the default network; see `Network.set_seed`."""
    _default.set_seed(seed)


@ported
def populations() -> list[Population]:
    """Return all populations of the default network."""
    return _default.get_populations()


@ported
def projections(
    post: Population | str | None = None, pre: Population | str | None = None, target: str | None = None
) -> list[BaseProjection]:
    """Return projections of the default network; see `Network.get_projections`."""
    return _default.get_projections(post, pre, target)


@ported
def get_population(name: str) -> Population:
    """Return a population of the default network by its name; see `Network.get_population`."""
    return _default.get_population(name)


@ported
def get_projection(name: str) -> BaseProjection:
    """Return a projection of the default network by its name; see `Network.get_projection`."""
    return _default.get_projection(name)


set_current_generator(lambda: current_network().random_generator)
