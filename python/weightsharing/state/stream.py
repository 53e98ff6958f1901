"""`Stream`: frames that an iterator hands over one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ..checks.errors import MovieError, StateError
from ..checks.shapes import Array
from ..checks.times import steps_of_at_least_one

# Of the frames that are taken from an iterator at once.
_BUFFER_FRAMES, _BUFFER_BYTES = 256, 2**24

# Stands for the frame after the last one.
_END = object()


class Receiver(Protocol):
    """Who takes the frames of a stream."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def rates(self) -> Array:
        """What a frame is written to: its shape and dtype are those of the buffer's rows."""

    def copy_frame(self, frame: Any, row: Array, number: int) -> None:
        """Copy a frame; raises MovieError if it does not fit."""


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

    def hold(self, wanted: int, end: int, receiver: Receiver) -> None:
        """Have frames from `wanted` to before `end` in the buffer, as far as there are so many and they fit.

        Raises
        ------
        MovieError
            If a frame does not fit.
        StateError
            If time went back, and the frames cannot be handed over again.
        """
        if self.buffer is None:
            rates = receiver.rates
            rows = max(1, min(_BUFFER_FRAMES, _BUFFER_BYTES // rates.nbytes))
            self.buffer = np.empty((rows, *rates.shape), dtype=rates.dtype)
        if wanted < self.low:
            if self._once:
                raise StateError(
                    f"the movie of {receiver.name!r} was taken from an iterator up to frame {self.low - 1}, and "
                    f"frame {wanted} comes next: it cannot be handed over again. Give the movie anew by set_movie(), "
                    "as an array or as an object that can be iterated over several times."
                )
            self._iterator = iter(self._source)
            self._begin()
        if wanted < self.low + self.count:
            return
        self.low, self.count = self.low + self.count, 0
        while self.low < wanted and self._take(self.buffer[0], receiver):
            self.low += 1
        while self.low + self.count < end and self.count < len(self.buffer):
            if not self._take(self.buffer[self.count], receiver):
                return
            self.count += 1

    def _take(self, row: Array, receiver: Receiver) -> bool:
        """Copy the next frame; False if there is none."""
        if self._failed is not None:
            raise self._failed
        number = self.low + self.count
        try:
            frame = self._next(receiver.name, number)
            if frame is _END:
                self.ended = True
                return False
            receiver.copy_frame(frame, row, number)
        except MovieError as error:
            self._failed = error
            raise
        self._taken_since_start += 1
        return True

    def _next(self, name: str, number: int) -> Any:
        """The next frame of the iterator, which begins again where that was asked for, or `_END`."""
        if self.ended:
            return _END
        try:
            for frame in self._iterator:
                return frame
            if not self._taken_since_start:
                raise MovieError(f"the movie of {name!r} has no frames.")
            if not self._loop:
                return _END
            self._iterator = iter(self._source)
            self._taken_since_start = 0
        except MovieError:
            raise
        except BaseException as error:
            # What was interrupted in the middle of a frame goes on with another one, or not at all.
            self._failed = MovieError(
                f"the movie of {name!r} failed at frame {number}: {type(error).__name__}: {error}"
            )
            if not isinstance(error, Exception):
                raise
            raise self._failed from error
        return self._next(name, number)
