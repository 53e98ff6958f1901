"""`Timetable`: frames that are all there, and when each is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..checks.shapes import Array
from ..checks.times import steps_of_at_least_one, whole_steps


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
                spelled = np.array2string(self.times, threshold=12, separator=", ")
                raise ValueError(f"{self.name} is {spelled}; expected times that increase.")
        if period:
            starts = starts[: np.searchsorted(starts, period)]
        if not len(starts):
            raise ValueError(f"period is {self.period} ms: no frame is shown before it ends.")
        return starts, period
