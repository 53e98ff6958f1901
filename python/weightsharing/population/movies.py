"""`MoviePopulation`: a population that shows a movie, frame by frame."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from ..checks.numbers import positive_number
from ..checks.shapes import Array
from ..state.stream import Stream
from ..state.timetable import Timetable
from .inputs import TimedInput


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
        self._shown.show(self._movie(movie, between, bool(loop)), self._units.context.clock.steps_done)

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
        return super()._whole_movie(movie)


def _is_stream(movie: Any) -> bool:
    """Whether a movie hands over its frames one by one."""
    return isinstance(movie, Iterable) and not (
        isinstance(movie, (Sequence, Mapping, Set, np.ndarray, os.PathLike)) or hasattr(movie, "__array__")
    )
