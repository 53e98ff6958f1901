"""Populations whose rates are given: `InputArray`, and `TimedArray` by a timetable."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks.arrays import frozen, real_array
from ..checks.errors import StateError
from ..checks.numbers import finite_number
from ..checks.porting import ported
from ..checks.shapes import Array
from ..state.shown import Shown
from ..state.timetable import Timetable
from .model import Model
from .population import Population


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
        network: Model | None = None,
    ) -> None:
        super().__init__(geometry, name=name, dtype=dtype, network=network)


class TimedInput(Population):
    """Population whose rates are set before steps that a timetable or a stream says.

    Between them the rates hold; what is assigned to `r` holds until the next frame.
    """

    _shown: Shown

    def __init__(
        self,
        geometry: int | Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Model | None = None,
    ) -> None:
        super().__init__(geometry, name=name, dtype=dtype, network=network)
        self._shown = self._units.shown = Shown(self._units, self._as_rates, self._whole_movie)

    @staticmethod
    def _as_rates(array: Array) -> Array:
        """Rates that a frame of these values stands for."""
        return array

    def _whole_movie(self, movie: Any) -> Array:
        """Check a movie whose frames are all there."""
        return self._shown.as_frames("movie", movie, new=False)


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
        network: Model | None = None,
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
                self._assembly.units.remove(self._units)
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
        frames = self._shown.as_frames("rates", rates, new=True)
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
        shown = Timetable(frozen(frames), times, "schedule", end)
        self._shown.show(shown, self._shown.frames.origin)

    def reset(self) -> None:
        """Begin again: times count from the next step, and the rates are those of `compile`."""
        units = self._units
        self._shown.show(self._shown.content, units.context.clock.steps_done)
        units.context.storage.fill(units.array("r"), units.initial.get("r", 0.0))

    @property
    def rates(self) -> Array | None:
        """Frames that are shown, read-only; assign others of any number (`schedule` and `period` stay)."""
        return None if self._shown.content is None else self._timetable().frames

    @rates.setter
    def rates(self, rates: Any) -> None:
        if self._shown.content is None:
            self._update(rates, 0.0, -1.0)
        else:
            self._update(rates, self._given_schedule(), self._timetable().period)

    @property
    def schedule(self) -> NDArray[np.float64]:
        """Time of each frame in ms; assign a number or a list of them."""
        if self._shown.content is None:
            return np.zeros(0)
        times = self._timetable().times
        if isinstance(times, float):
            between = self._units.context.dt if times == 0.0 else times
            return np.arange(len(self._timetable().frames), dtype=np.float64) * between
        return times.copy()

    @schedule.setter
    def schedule(self, schedule: float | Sequence[float]) -> None:
        self._update(self._timetable().frames, schedule, self._timetable().period)

    @property
    def period(self) -> float:
        """Time in ms after which the frames begin again, -1.0 for never."""
        return -1.0 if self._shown.content is None else max(self._timetable().period, -1.0)

    @period.setter
    def period(self, period: float) -> None:
        self._update(self._timetable().frames, self._given_schedule(), period)

    def _given_schedule(self) -> Any:
        return self._timetable().times

    def _timetable(self) -> Timetable:
        timetable = self._shown.content
        if not isinstance(timetable, Timetable):
            raise StateError(f"{self.name!r} has no rates yet; give them by update().")
        return timetable


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
