"""Delays of whole frames: `TimePadding`, `Delay`, `VariableDelay`, `Diff`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..checks.arrays import frozen, real_array
from ..checks.numbers import whole_number
from ..checks.shapes import Array
from ..description.histories import HISTORIES
from ..population.population import Population
from ..projection.pointwise import PointwiseProjection
from .layer import Built, Layer, linear, one_to_one


class TimePadding(Layer):
    """Earlier frames before those of each piece: n frames give ``length + n``.

    Parameters
    ----------
    length : int
        Number of earlier frames.
    mode : {'first_frame', 'zeros', 'ones', 'mean', 'mirror', 'full_copy'}
        What stands before the first frame of all: the first frame, that number, or, made from the first piece:
        its mean over time, pixels and channels (of each trial of a batch), its frames backwards, its frames.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    def __init__(self, length: int = 0, mode: str = "first_frame") -> None:
        super().__init__()
        self.length, self.mode = length, mode

    @property
    def length(self) -> int:
        """Number of earlier frames."""
        return self._length

    @length.setter
    def length(self, length: int) -> None:
        self._length = checked_steps("length", length)

    @property
    def mode(self) -> str:
        """What stands before the first frame of all."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in HISTORIES:
            raise ValueError(f"mode is {mode!r}; expected one of {', '.join(map(repr, HISTORIES))}.")
        self._mode = mode

    @property
    def _remembers(self) -> bool:  # type: ignore[override]
        return self._length > 0

    @property
    def _history(self) -> str:  # type: ignore[override]
        return self._mode if self._length else ""

    @property
    def _added_frames(self) -> int:  # type: ignore[override]
        return self._length

    def _structure(self) -> Hashable:
        return self._length, self._mode

    def _build(self, pre: Population) -> Built:
        post = Population(pre.geometry, linear())
        one_to_one(pre, post, delay=self._length, history=self._mode)
        return Built(post)


class Delay(Layer):
    """The movie, some frames later; zeros come first.

    Parameters
    ----------
    delay : int
        In frames.
    length : int
        Number of frames that are repeated before those of each piece: n frames give ``length + n``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    def __init__(self, delay: int = 0, length: int = 0) -> None:
        super().__init__()
        self.delay, self.length = delay, length

    @property
    def delay(self) -> int:
        """Delay in frames."""
        return self._delay

    @delay.setter
    def delay(self, delay: int) -> None:
        self._delay = checked_steps("delay", delay)

    @property
    def length(self) -> int:
        """Number of frames that are repeated before those of each piece."""
        return self._length

    @length.setter
    def length(self, length: int) -> None:
        self._length = checked_steps("length", length)

    @property
    def _remembers(self) -> bool:  # type: ignore[override]
        return self._delay + self._length > 0

    @property
    def _added_frames(self) -> int:  # type: ignore[override]
        return self._length

    def _structure(self) -> Hashable:
        return self._delay, self._length

    def _build(self, pre: Population) -> Built:
        post = Population(pre.geometry, linear())
        one_to_one(pre, post, delay=self._delay + self._length)
        return Built(post)


class VariableDelay(Layer):
    """Each pixel with a delay of its own; zeros come first.

    Parameters
    ----------
    delays : array_like (x, y), or float
        In frames, rounded down to whole ones; one number for all pixels. All channels have the same.

    Raises
    ------
    TypeError, ValueError
        If they are not as described.
    """

    def __init__(self, delays: Any = 0.0) -> None:
        super().__init__()
        self.delays = delays

    @property
    def delays(self) -> Array:
        """Delays in whole frames, (x, y) or a single one."""
        return self._delays

    @delays.setter
    def delays(self, delays: Any) -> None:
        given = real_array("delays", delays).astype(np.float64)
        if given.ndim not in (0, 2):
            raise ValueError(f"delays has the shape {given.shape}; expected (x, y), or one number.")
        wrong = ~(np.isfinite(given) & (given >= 0.0))
        if wrong.any():
            place = tuple(int(entry) for entry in np.argwhere(wrong)[0])
            raise ValueError(
                f"delays is {given[place]}{f' at pixel {place}' if place else ''}; expected 0 or a positive number "
                "of frames for every pixel."
            )
        self._delays = frozen(np.floor(given))

    @property
    def _remembers(self) -> bool:  # type: ignore[override]
        return bool(self._delays.any())

    def _structure(self) -> Hashable:
        return self._delays.shape, self._delays.tobytes()

    def _build(self, pre: Population) -> Built:
        delays = self._delays
        if delays.ndim and delays.shape != pre.geometry[:2]:
            raise ValueError(
                f"delays has the shape {delays.shape}; expected that of the image, {pre.geometry[:2]}."
            )
        post = Population(pre.geometry, linear())
        times = (delays[..., np.newaxis] if delays.ndim else delays) * pre.network.dt
        PointwiseProjection(pre, post, "exc", delays=np.broadcast_to(times, pre.geometry))
        return Built(post)


class Diff(Layer):
    """Difference of each frame and the one before; 0 for the first."""

    _remembers = True

    def _build(self, pre: Population) -> Built:
        post = Population(pre.geometry, linear())
        one_to_one(pre, post)
        one_to_one(pre, post, weight=-1.0, delay=1, history="first_frame")
        return Built(post)


def checked_steps(name: str, value: Any) -> int:
    """Return a number of frames, or raise TypeError or ValueError."""
    steps = whole_number(name, value)
    if not 0 <= steps < 2**31:
        raise ValueError(f"{name} is {steps}; expected a number of frames, 0 or more.")
    return steps
