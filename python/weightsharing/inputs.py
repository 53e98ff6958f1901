"""Populations whose rates are given: `InputArray`, `TimedArray` (by a timetable), `MoviePopulation` (by a movie)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .checks.arrays import converted, frozen, real_array
from .checks.errors import MovieError, StateError
from .checks.numbers import finite_number, positive_number
from .checks.porting import ported
from .checks.shapes import Array, spelled_shape
from .checks.times import steps_of_at_least_one, whole_steps
from .description.schedule import Frames
from .population import Population

if TYPE_CHECKING:
    from .network import Network

# Of the frames that are taken from an iterator at once.
_BUFFER_FRAMES, _BUFFER_BYTES = 256, 2**24

# What no iterator hands over.
_END = object()


@dataclass(frozen=True)
class Timetable:
    """Frames that are all there, and when each is shown.

    Attributes
    ----------
    frames
        (n, \\*geometry) or (n, batch, \\*geometry).
    times
        In ms: one for each frame, or the distance between two of them, 0.0 for one step.
    name
        Of the argument that `times` comes from, for messages.
    period
        In ms; 0 or less: the frames are shown once.
    loop
        Whether they are shown again as soon as all were shown, instead.
    """

    frames: Array
    times: float | NDArray[np.float64]
    name: str
    period: float = -1.0
    loop: bool = False

    def starts(self, dt: float) -> tuple[NDArray[np.int64], int]:
        """Return the step of each frame that is shown, and the period in steps, 0 for none.

        Raises
        ------
        ValueError
            If a time is not a whole number of steps, or they do not increase.
        """
        period = 0 if self.period <= 0.0 else steps_of_at_least_one("period", self.period, dt)
        if isinstance(self.times, float):
            between = 1 if self.times == 0.0 else steps_of_at_least_one(self.name, self.times, dt)
            if between * len(self.frames) >= 2**62:
                raise ValueError(f"{self.name} is {self.times} ms: too many steps to be counted.")
            starts = np.arange(len(self.frames), dtype=np.int64) * between
            period = between * len(self.frames) if self.loop else period
        else:
            listed = [whole_steps(f"{self.name}[{i}]", float(time), dt) for i, time in enumerate(self.times)]
            starts = np.array(listed, dtype=np.int64)
            if np.any(np.diff(starts) <= 0):
                raise ValueError(f"{self.name} is {_brief(self.times)}; expected times that increase.")
        if period:
            starts = starts[: np.searchsorted(starts, period)]
        if not len(starts):
            raise ValueError(f"period is {self.period} ms: no frame is shown before it ends.")
        return starts, period


class Stream:
    """Frames that an iterator hands over one by one; those of the next steps lie in a buffer.

    Attributes
    ----------
    every
        Time between two frames in ms, 0.0 for one step.
    buffer
        (rows, batch, \\*geometry): frames `low`, `low` + 1, ..., `count` of them.
    ended
        Whether the iterator has no more.
    """

    def __init__(self, source: Iterable[Any], every: float, loop: bool) -> None:
        self.every, self._source, self._loop = every, source, loop
        self._iterator = iter(source)
        self._once = self._iterator is source
        self.buffer: Array | None = None
        self._begin()

    def _begin(self) -> None:
        self.low = self.count = 0
        self.ended = False
        self._taken_since_start = 0
        self._failed: MovieError | None = None

    def steps(self, dt: float) -> int:
        """Steps between two frames."""
        return 1 if self.every == 0.0 else steps_of_at_least_one("every", self.every, dt)

    def hold(self, wanted: int, end: int, population: MoviePopulation) -> None:
        """Have frames from `wanted` to before `end` in the buffer, as far as there are so many and they fit.

        Raises
        ------
        MovieError
            If a frame does not fit the population.
        StateError
            If time went back, and the frames cannot be handed over again.
        """
        if self.buffer is None:
            rates = population._array("r")
            rows = max(1, min(_BUFFER_FRAMES, _BUFFER_BYTES // rates.nbytes))
            self.buffer = np.empty((rows, *rates.shape), dtype=rates.dtype)
        if wanted < self.low:
            if self._once:
                raise StateError(
                    f"the movie of {population.name!r} was taken from an iterator up to frame {self.low - 1}, and "
                    f"frame {wanted} comes next: it cannot be handed over again. Give the movie anew by set_movie(), "
                    "as an array or as an object that can be iterated over several times."
                )
            self._iterator = iter(self._source)
            self._begin()
        if wanted < self.low + self.count:
            return
        self.low, self.count = self.low + self.count, 0
        while self.low < wanted and self._take(self.buffer[0], population):
            self.low += 1
        while self.low + self.count < end and self.count < len(self.buffer):
            if not self._take(self.buffer[self.count], population):
                return
            self.count += 1

    def _take(self, row: Array, population: MoviePopulation) -> bool:
        """Copy the next frame; False if there is none."""
        if self._failed is not None:
            raise self._failed
        number = self.low + self.count
        try:
            frame = self._next(population, number)
            if frame is _END:
                self.ended = True
                return False
            population._copy_frame(frame, row, number)
        except MovieError as error:
            self._failed = error
            raise
        self._taken_since_start += 1
        return True

    def _next(self, population: MoviePopulation, number: int) -> Any:
        """The next frame of the iterator, which begins again where that was asked for, or `_END`."""
        if self.ended:
            return _END
        try:
            for frame in self._iterator:
                return frame
            if not self._taken_since_start:
                raise MovieError(f"the movie of {population.name!r} has no frames.")
            if not self._loop:
                return _END
            self._iterator = iter(self._source)
            self._taken_since_start = 0
        except MovieError:
            raise
        except BaseException as error:
            # What was interrupted in the middle of a frame goes on with another one, or not at all.
            self._failed = MovieError(
                f"the movie of {population.name!r} failed at frame {number}: {type(error).__name__}: {error}"
            )
            if not isinstance(error, Exception):
                raise
            raise self._failed from error
        return self._next(population, number)


class InputArray(Population):
    """Population that holds the rates assigned to `r`; what `Population` without a neuron is, by ANNarchy's name.

    Parameters
    ----------
    geometry, name, dtype, network
        As for `Population`.

    Raises
    ------
    TypeError, ValueError, StateError
        As for `Population`.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network()
    >>> signal = network.create(ws.InputArray(geometry=3))
    >>> signal.r = [1.0, 2.0, 4.0]
    >>> signal.network is network
    True
    """

    @ported
    def __init__(
        self,
        geometry: int | Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Network | None = None,
    ) -> None:
        super().__init__(geometry, name=name, dtype=dtype, network=network)


class TimedInput(Population):
    """Population whose rates are set before steps that a timetable says.

    Between them the rates hold; what is assigned to `r` holds until the next frame.
    """

    def __init__(
        self,
        geometry: int | Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Network | None = None,
    ) -> None:
        super().__init__(geometry, name=name, dtype=dtype, network=network)
        self._frames: Frames = Frames()
        self._shown: Timetable | Stream | None = None

    def _set_shown(self, shown: Timetable | Stream | None, origin: int) -> None:
        """Show this, counted from step `origin`; raises before anything changes."""
        frames = self._frames
        if isinstance(shown, Timetable):
            starts, period = shown.starts(self.network.dt)
            frames.frames, frames.starts, frames.period = shown.frames[: len(starts)], starts, period
        else:
            if shown is not None:
                shown.steps(self.network.dt)
            frames.frames, frames.starts, frames.period = None, np.zeros(0, dtype=np.int64), 0
        self._shown, frames.origin = shown, origin

    def _as_frames(self, name: str, values: Any, new: bool) -> Array:
        """Check frames; the array itself where it can be used as it is, unless a `new` one is wanted."""
        array = real_array(name, values)
        if array.ndim == 0 or array.shape[1:] not in self._frame_shapes():
            expected = " or ".join(spelled_shape(("frames", *shape)) for shape in self._frame_shapes())
            raise ValueError(
                f"{name} has the shape {array.shape}; expected {expected}, the frames of {self.name!r}."
            )
        if not len(array):
            raise ValueError(f"{name} has the shape {array.shape}, no frames; expected at least one.")
        array = self._as_rates(array)
        usable = array.dtype == self.dtype and array.flags.c_contiguous and array.flags.aligned
        return array if usable and not new else converted(name, array, self.dtype)

    def _frame_shapes(self) -> list[tuple[int, ...]]:
        batch = self.network.batch
        return [self.geometry] if batch is None else [self.geometry, (batch, *self.geometry)]

    def _as_rates(self, array: Array) -> Array:
        """Rates that a frame of these values stands for."""
        return array

    # --- What the network asks for ---

    def _check_shown(self) -> None:
        shown = self._shown
        if isinstance(shown, Stream):
            shown.steps(self.network.dt)
        elif shown is not None:
            # The population may have moved to another network since.
            frames = self._as_frames("frames", shown.frames, new=False)
            moved = replace(shown, frames=frames)
            moved.starts(self.network.dt)
            self._shown = moved

    def _show_again(self) -> None:
        self._set_shown(self._shown, 0)

    def _shown_state(self) -> Any:
        return self._shown, self._frames.origin

    def _restore_shown(self, state: Any) -> None:
        self._set_shown(*state)


class TimedArray(TimedInput):
    """Population that shows given rates at given times.

    Frame i is set before the step that begins at ``schedule[i]``, so projections read it in that very step;
    between two frames the rates hold, also after the last one. Before the first one they are 0, or what was
    assigned to `r`. Times count from `compile` of the network, its `reset`, or the last `reset` of the
    population, whatever came last.

    Parameters
    ----------
    rates : array_like (frames, \\*geometry), optional
        In a network with a batch, (frames, batch, \\*geometry) is possible too; give the geometry then.
    geometry : int or tuple of int, optional
        Default: that of one frame of `rates`. One of the two must be given.
    schedule : float or sequence of float
        Time between two frames in ms, 0.0 for one step of the network; or the time of each frame in ms,
        increasing. Frames beyond the last time are not shown.
    period : float
        Time in ms after which the frames begin again; those that come later are not shown. A negative number:
        never.
    name, dtype, network
        As for `Population`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or a time is not a whole number of steps (checked again by
        `compile`); there is no new population then.

    Warns
    -----
    UserWarning
        If `schedule` lists fewer times than there are frames.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network()
    >>> signal = ws.TimedArray([[1.0, 0.0], [0.0, 1.0]], schedule=2.0, network=network)
    >>> network.compile()
    >>> network.simulate(2.0)
    >>> signal.r
    array([1., 0.], dtype=float32)
    >>> network.simulate(1.0)
    >>> signal.r
    array([0., 1.], dtype=float32)
    """

    @ported
    def __init__(
        self,
        rates: Any = None,
        geometry: int | Sequence[int] | None = None,
        schedule: float | Sequence[float] = 0.0,
        period: float = -1.0,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Network | None = None,
    ) -> None:
        if geometry is None:
            if rates is None:
                raise ValueError("TimedArray: expected rates, or a geometry.")
            rates = real_array("rates", rates)
            if rates.ndim < 2:
                raise ValueError(
                    f"rates has the shape {rates.shape}; expected (frames, *geometry), for example (frames, 1) for a "
                    "single unit."
                )
            geometry = rates.shape[1:]
        super().__init__(geometry, name, dtype, network)
        if rates is not None:
            try:
                self._update(rates, schedule, period, 4)
            except BaseException:
                self.network._forget_population(self)
                raise

    @ported
    def update(self, rates: Any, schedule: float | Sequence[float] = 0.0, period: float = -1.0) -> None:
        """Show other rates from the next step on; times count from where they counted before.

        Parameters
        ----------
        rates, schedule, period
            As for `TimedArray`; what is left out has its default again.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; nothing has changed then.

        Warns
        -----
        UserWarning
            As for `TimedArray`.
        """
        self._update(rates, schedule, period, 4)

    def _update(self, rates: Any, schedule: Any, period: Any, caller: int = 3) -> None:
        """Show other rates; a warning names the line `caller` calls up, which is that of the user."""
        frames = self._as_frames("rates", rates, new=True)
        times = _checked_schedule(schedule, len(frames))
        end = finite_number("period", period)
        if end == 0.0:
            raise ValueError("period is 0 ms; expected a time above 0, or -1.0 for none.")
        if not isinstance(times, float):
            if len(times) < len(frames):
                warnings.warn(
                    f"schedule lists {len(times)} times for the {len(frames)} frames of rates: those beyond are "
                    "not shown.",
                    stacklevel=caller,
                )
            frames = frames[: len(times)]
        self._set_shown(Timetable(frozen(frames), times, "schedule", end), self._frames.origin)

    def reset(self) -> None:
        """Begin again: times count from the next step, and the rates are those of `compile`."""
        network = self.network
        self._set_shown(self._shown, network._steps_done)
        initial = network._initial.get(self)
        network._fill(self._array("r"), 0.0 if initial is None else initial["r"])

    @property
    def rates(self) -> Array | None:
        """Frames that are shown, read-only; assign others of any number (`schedule` and `period` stay)."""
        return None if self._shown is None else self._timetable().frames

    @rates.setter
    def rates(self, rates: Any) -> None:
        if self._shown is None:
            self._update(rates, 0.0, -1.0)
        else:
            self._update(rates, self._given_schedule(), self._timetable().period)

    @property
    def schedule(self) -> NDArray[np.float64]:
        """Time of each frame in ms; assign a number or a list of them."""
        shown = self._shown
        if shown is None:
            return np.zeros(0)
        times = self._timetable().times
        if isinstance(times, float):
            between = self.network.dt if times == 0.0 else times
            return np.arange(len(self._timetable().frames), dtype=np.float64) * between
        return times.copy()

    @schedule.setter
    def schedule(self, schedule: float | Sequence[float]) -> None:
        self._update(self._timetable().frames, schedule, self._timetable().period)

    @property
    def period(self) -> float:
        """Time in ms after which the frames begin again, -1.0 for never."""
        return -1.0 if self._shown is None else max(self._timetable().period, -1.0)

    @period.setter
    def period(self, period: float) -> None:
        self._update(self._timetable().frames, self._given_schedule(), period)

    def _given_schedule(self) -> Any:
        return self._timetable().times

    def _timetable(self) -> Timetable:
        if not isinstance(self._shown, Timetable):
            raise StateError(f"{self.name!r} has no rates yet; give them by update().")
        return self._shown


class MoviePopulation(TimedInput):
    """Population that shows a movie, frame by frame.

    Every frame is set before the step that begins when it is due, so projections read it in that very step.
    After the last frame the rates hold.

    Parameters
    ----------
    geometry, name, dtype, network
        As for `Population`.

    Examples
    --------
    >>> import numpy as np
    >>> import weightsharing as ws
    >>> network = ws.Network(update="feedforward")
    >>> movie = ws.MoviePopulation((2, 2), network=network)
    >>> change = network.create((2, 2), ws.Neuron(equations="r = sum(exc)"))
    >>> weights = np.array([1.0, -1.0]).reshape(2, 1, 1)
    >>> projection = ws.Convolution(movie, change, "exc").connect_filter(weights, time_axis=True)
    >>> network.compile()
    >>> shown = np.arange(12.0).reshape(3, 2, 2)
    >>> network.run(shown, output=change)[:, 1, 1]
    array([3., 4., 4.], dtype=float32)
    """

    def set_movie(self, movie: Any, every: float | None = None, loop: bool = False) -> None:
        """Show a movie from the next step on, instead of the one before.

        Parameters
        ----------
        movie : array_like or iterable
            Array (frames, \\*geometry), in a network with a batch also (frames, batch, \\*geometry). One that
            is C-contiguous and of the population's dtype is used in place: do not change it while it is
            shown. Others are converted once.
            Or a generator, or any other object that can be iterated over, of such frames; it may be endless.
            They are taken in the course of the run, a bounded number ahead.
        every : float, optional
            Time from one frame to the next in ms, a whole number of steps. Default: one step.
        loop : bool
            Whether to begin again after the last frame, `every` later. Not possible with a generator, which
            hands its frames over once.

        Raises
        ------
        TypeError, ValueError
            If the movie or an argument is not as described; the movie before stays then.

        Notes
        -----
        After `Network.reset` the movie begins again at step 0, after `Network.pop_state` it goes on where it
        was. A generator cannot go back: the next run raises `StateError` then, unless a new movie was set.
        If an iterator hands over a frame that does not fit, the run raises `MovieError`, and the network is as
        it was before that run; frames handed over before may be lost.
        """
        between = 0.0 if every is None else positive_number("every", every)
        if not isinstance(loop, (bool, np.bool_)):
            raise TypeError(f"loop is {loop!r}; expected True or False.")
        self._set_shown(self._movie(movie, between, bool(loop)), self.network._steps_done)

    def _movie(self, movie: Any, every: float, loop: bool) -> Timetable | Stream:
        if _is_stream(movie):
            if loop and isinstance(movie, Iterator):
                raise ValueError(
                    "loop is True, and the movie an iterator, which hands over its frames once; give an array, a list "
                    "or an object that can be iterated over several times."
                )
            return Stream(movie, every, loop)
        return Timetable(self._whole_movie(movie), every, "every", loop=loop)

    def _whole_movie(self, movie: Any) -> Array:
        """Check a movie whose frames are all there."""
        if _is_stream(movie):
            raise TypeError(
                f"movie is a {type(movie).__name__}, which does not say how many frames it has; give an array or a "
                "list, or use set_movie() and simulate()."
            )
        if isinstance(movie, (str, os.PathLike)):
            raise TypeError(f"movie is the path {os.fspath(movie)!r}; a VideoPopulation reads files.")
        return self._as_frames("movie", movie, new=False)

    @property
    def _streams(self) -> bool:  # type: ignore[override]
        return isinstance(self._shown, Stream)

    def _show(self, first: int, upto: int) -> int:
        stream = self._shown
        if not isinstance(stream, Stream):
            return upto
        shown, every = self._frames, stream.steps(self.network.dt)
        wanted, end = (-((shown.origin - step) // every) for step in (first, upto))
        stream.hold(wanted, end, self)
        shown.frames, shown.starts = None, np.zeros(0, dtype=np.int64)
        if stream.count:
            assert stream.buffer is not None
            shown.frames = stream.buffer[: stream.count]
            shown.starts = np.arange(stream.low, stream.low + stream.count, dtype=np.int64) * every
        if stream.ended:
            return upto
        return min(upto, shown.origin + (stream.low + stream.count) * every)

    def _copy_frame(self, frame: Any, row: Array, number: int) -> None:
        """Copy a frame of an iterator; raises MovieError if it does not fit."""
        name = f"frame {number} of the movie of {self.name!r}"
        try:
            array = real_array(name, frame)
        except (TypeError, ValueError) as error:
            raise MovieError(str(error)) from error
        if array.shape not in self._frame_shapes():
            expected = " or ".join(map(str, self._frame_shapes()))
            raise MovieError(f"{name} has the shape {array.shape}; expected {expected}.")
        try:
            with np.errstate(over="raise"):
                row[...] = self._as_rates(array)
        except TypeError as error:
            raise MovieError(f"{name}: {error}") from error
        except FloatingPointError:
            raise MovieError(f"{name} holds a finite number that does not fit {row.dtype}.") from None


def _is_stream(movie: Any) -> bool:
    """Whether a movie hands over its frames one by one."""
    return isinstance(movie, Iterable) and not (
        isinstance(movie, (Sequence, Mapping, Set, np.ndarray, os.PathLike)) or hasattr(movie, "__array__")
    )


def _checked_schedule(schedule: Any, frames: int) -> float | NDArray[np.float64]:
    if np.ndim(schedule) == 0:
        between = finite_number("schedule", schedule)
        if between < 0.0:
            raise ValueError(f"schedule is {between} ms; expected 0.0 for every step, or a time above 0.")
        return between
    times = real_array("schedule", schedule)
    if times.ndim != 1 or not len(times):
        raise ValueError(
            f"schedule has the shape {times.shape}; expected one number, or a list with the time of each frame."
        )
    if len(times) > frames:
        raise ValueError(f"schedule lists {len(times)} times for {frames} frames; expected at most as many.")
    return frozen(np.array([finite_number(f"schedule[{i}]", float(t)) for i, t in enumerate(times)]))


def _brief(times: NDArray[np.float64]) -> str:
    return np.array2string(times, threshold=12, separator=", ")
