"""Delays in steps."""

from __future__ import annotations

import numpy as np

from ..checks.shapes import MOST_UNITS, Array
from ..checks.times import tolerance
from .histories import UpdateOrder


def delay_steps(delays: float | Array, pre_size: int, dt: float, order: UpdateOrder) -> Array | int:
    """Delays in steps: one number, or an int32 array with one per post unit.

    In the synchronous order up to one step is no extra delay: the projection reads the rates of the step
    before anyhow.
    """
    with np.errstate(over="ignore"):
        exact = np.asarray(delays, dtype=np.float64) / dt
    longest = float(exact.max(initial=0.0))
    if longest * pre_size >= MOST_UNITS or longest >= 2.0**31 - 1:
        raise ValueError(
            f"delays is {spelled_delays(delays)} ms, up to {longest:.15g} steps of dt = {dt} ms: more than can "
            f"be stored of the {pre_size} units of pre; choose a smaller delay."
        )
    steps = np.floor(exact + tolerance(exact)).astype(np.int32)
    if order == "synchronous":
        steps = np.where(steps > 1, steps, 0).astype(np.int32)
    return steps if steps.ndim else int(steps)


def spelled_delays(delays: float | Array) -> str:
    """A delay for messages; of one per unit the smallest and the largest."""
    return f"{delays}" if np.ndim(delays) == 0 else f"{np.min(delays)} to {np.max(delays)}"
