"""`Shown`: what a timed input shows, and the frames of it that the next steps need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..checks.arrays import converted, real_array
from ..checks.errors import MovieError
from ..checks.shapes import Array, Shape, spelled_shape
from ..description.schedule import Frames
from .context import Context
from .stream import Stream
from .timetable import Timetable


class Screen(Protocol):
    """Where frames are shown: the units of one population."""

    context: Context
    name: str
    geometry: Shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""

    def array(self, name: str) -> Array:
        """The values of a variable."""


class Shown:
    """What a timed input shows: nothing, a timetable or a stream.

    Parameters
    ----------
    screen
        The units whose rates it sets.
    as_rates
        Gives the rates that an array of frames stands for.
    whole_movie
        Gives the frames of what people pass as a movie whose number of frames is known.

    Attributes
    ----------
    content
        A `Timetable`, a `Stream`, or None.
    frames
        What the schedule reads.
    """

    def __init__(
        self, screen: Screen, as_rates: Callable[[Array], Array], whole_movie: Callable[[Any], Array]
    ) -> None:
        self._screen, self._as_rates, self.whole_movie = screen, as_rates, whole_movie
        self.content: Timetable | Stream | None = None
        self.frames = Frames()

    @property
    def streams(self) -> bool:
        """Whether frames are handed over in the course of a run."""
        return isinstance(self.content, Stream)

    def show(self, content: Timetable | Stream | None, origin: int) -> None:
        """Show this, counted from step `origin`; raises before anything changes."""
        frames, dt = self.frames, self._screen.context.dt
        if isinstance(content, Timetable):
            starts, period = content.starts(dt)
            frames.frames, frames.starts, frames.period = content.frames[: len(starts)], starts, period
        else:
            if content is not None:
                content.steps(dt)
            frames.frames, frames.starts, frames.period = None, np.zeros(0, dtype=np.int64), 0
        self.content, frames.origin = content, origin

    def as_frames(self, name: str, values: Any, new: bool) -> Array:
        """Check frames; the array itself where it can be used as it is, unless a `new` one is wanted."""
        array, dtype = real_array(name, values), self._screen.dtype
        if array.ndim == 0 or array.shape[1:] not in self._shapes():
            expected = " or ".join(spelled_shape(("frames", *shape)) for shape in self._shapes())
            raise ValueError(
                f"{name} has the shape {array.shape}; expected {expected}, the frames of {self.name!r}."
            )
        if not len(array):
            raise ValueError(f"{name} has the shape {array.shape}, no frames; expected at least one.")
        array = self._as_rates(array)
        usable = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
        return array if usable and not new else converted(name, array, dtype)

    def _shapes(self) -> list[Shape]:
        """Shapes that a frame may have."""
        geometry, batch = self._screen.geometry, self._screen.context.batch
        return [geometry] if batch is None else [geometry, (batch, *geometry)]

    # --- What a run asks for ---

    def ready(self, first: int, upto: int) -> int:
        """Have the frames of the next steps ready; return the step up to which they are."""
        stream = self.content
        if not isinstance(stream, Stream):
            return upto
        shown, every = self.frames, stream.steps(self._screen.context.dt)
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

    def check(self) -> None:
        """Raise if what is shown does not fit the network, to which the population may have moved since."""
        content, dt = self.content, self._screen.context.dt
        if isinstance(content, Stream):
            content.steps(dt)
        elif content is not None:
            moved = replace(content, frames=self.as_frames("frames", content.frames, new=False))
            moved.starts(dt)
            self.content = moved

    def again(self) -> None:
        """Begin again at step 0."""
        self.show(self.content, 0)

    def state(self) -> Any:
        """Return what `restore` needs to show the same again, counted from the same step."""
        return self.content, self.frames.origin

    def restore(self, state: Any) -> None:
        """Show what was shown."""
        self.show(*state)

    # --- For streams, as `stream.Receiver` ---

    @property
    def name(self) -> str:
        """Name of the population."""
        return self._screen.name

    @property
    def rates(self) -> Array:
        """Rates of the population."""
        return self._screen.array("r")

    def copy_frame(self, frame: Any, row: Array, number: int) -> None:
        """Copy a frame of an iterator; raises MovieError if it does not fit."""
        name = f"frame {number} of the movie of {self.name!r}"
        try:
            array = real_array(name, frame)
        except (TypeError, ValueError) as error:
            raise MovieError(str(error)) from error
        if array.shape not in self._shapes():
            expected = " or ".join(map(str, self._shapes()))
            raise MovieError(f"{name} has the shape {array.shape}; expected {expected}.")
        try:
            with np.errstate(over="raise"):
                row[...] = self._as_rates(array)
        except TypeError as error:
            raise MovieError(f"{name}: {error}") from error
        except FloatingPointError:
            raise MovieError(f"{name} holds a finite number that does not fit {row.dtype}.") from None
