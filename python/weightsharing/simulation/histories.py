"""`History`: earlier rates of one population, and what stands for those before the first step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..checks.shapes import Array
from ..description.histories import OF_MOVIES
from ..state.units import Units


@dataclass(eq=False)
class History:
    """Earlier rates of one population, and what stands for those before step 0.

    Attributes
    ----------
    units, policy
        Whose rates, and the `history=` of the projections that read them.
    moment
        ``'end'``: rates at the end of a step. ``'start'``: rates as the projections of a step read them, which
        differ from those of the end of the step before where Python or a movie assigned them in between.
    early
        Whether it begins with the rates from before step 0, as its readers come before the population's own
        update (feedforward order only).
    depth
        In steps.
    array
        (depth, B, \\*geometry), step s in row ``s % depth``.
    """

    units: Units
    policy: Any
    moment: Literal["start", "end"]
    early: bool
    depth: int = 0
    array: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def of_movie(self) -> bool:
        """Whether it is made from a whole movie."""
        return isinstance(self.policy, str) and self.policy in OF_MOVIES

    def initial(self, movie: Array | None = None) -> Array | float:
        """Return what stands in the array before step 0, oldest first."""
        if self.of_movie:
            assert movie is not None
            before = before_movie(movie, self.policy, self.depth, self.units.dimension)
            return before.reshape(self.depth, -1, *self.units.geometry)
        if isinstance(self.policy, str):
            return 1.0 if self.policy == "ones" else 0.0
        return self._given(np.asarray(self.policy))

    def _given(self, given: Array) -> Array:
        """The last `depth` frames of an array that the user gave, with the batch axis."""
        axes = self.units.dimension
        if given.ndim == axes:
            return given[np.newaxis, np.newaxis]
        if len(given) < self.depth:
            raise ValueError(
                f"history of {self.units.name!r} has {len(given)} frames; expected at least {self.depth}, as "
                "many steps as its projections reach back, or a single frame of the geometry."
            )
        last = given[len(given) - self.depth :]
        return last[:, np.newaxis] if given.ndim == axes + 1 else last


def before_movie(movie: Array, policy: str, frames: int, axes: int) -> Array:
    """Return the frames (frames, \\*frame) that stand before a movie (t, [batch], \\*frame), per trial.

    `axes` is the number of axes of a frame.

    ``'mean'``: the mean over time and units. ``'mirror'``: the movie backwards, so that its first frame comes
    twice. ``'full_copy'``: the movie itself. Movies that are too short are repeated.
    """
    if policy == "mean":
        # Copied, so that a trial's mean is rounded as if it were alone.
        trials = movie.reshape(len(movie), -1, *movie.shape[movie.ndim - axes :])
        means = [np.ascontiguousarray(trials[:, b]).mean(dtype=np.float64) for b in range(trials.shape[1])]
        each = np.array(means).reshape(-1, *(1,) * axes) if movie.ndim > axes + 1 else np.array(means[0])
        return np.broadcast_to(each, (frames, *movie.shape[1:]))
    steps = np.arange(-frames, 0)
    return movie[(-1 - steps if policy == "mirror" else steps) % len(movie)]
