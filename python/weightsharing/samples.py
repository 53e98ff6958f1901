"""Movies to try a model with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks.numbers import finite_number, whole_number

__all__ = ["moving_grating"]


def moving_grating(
    t: int = 2000, x: int = 20, y: int = 20, vt: float = 1.0 / 200.0, vx: float = 3.0, vy: float = 2.0
) -> NDArray[np.float64]:
    """Grating that moves, ``sin(vt * time + vx * horizontal + vy * vertical)``.

    Parameters
    ----------
    t, x, y : int
        Number of frames, and their extents.
    vt : float
        Radians per unit of `time`, which runs evenly from 0 in the first frame to `t` in the last one.
    vx, vy : float
        Radians per unit along x and y, which run evenly from -1 to 1 over the image.

    Returns
    -------
    ndarray (t, x, y)
        float64, from -1 to 1.

    Raises
    ------
    TypeError, ValueError
        If an extent is no whole number from 1 on, or a speed no finite number.
    """
    extents = [_extent(name, value) for name, value in (("t", t), ("x", x), ("y", y))]
    speeds = [finite_number(name, value) for name, value in (("vt", vt), ("vx", vx), ("vy", vy))]
    ends = ((0.0, float(extents[0])), (-1.0, 1.0), (-1.0, 1.0))
    axes = [
        speed * np.linspace(*end, extent) for speed, end, extent in zip(speeds, ends, extents, strict=True)
    ]
    return np.sin(axes[0][:, np.newaxis, np.newaxis] + axes[1][:, np.newaxis] + axes[2])


def _extent(name: str, value: Any) -> int:
    extent = whole_number(name, value)
    if extent < 1:
        raise ValueError(f"{name} is {extent}; expected at least 1.")
    return extent
