"""Durations in whole steps, and how far a quotient of times may be off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def whole_steps(name: str, duration: float, dt: float) -> int:
    """Number of steps in a time, or an error that says which times are possible."""
    if duration < 0.0:
        raise ValueError(f"{name} is {duration} ms; expected 0 or more.")
    if duration / dt >= 2.0**62:
        raise ValueError(f"{name} is {duration} ms, more steps of dt = {dt} ms than can be counted.")
    steps = math.floor(duration / dt + 0.5)
    if abs(duration / dt - steps) > tolerance(steps):
        raise ValueError(
            f"{name} is {duration} ms, {duration / dt} steps of dt = {dt} ms; expected a whole number of steps, "
            f"for example {max(steps, 1) * dt:.15g} ms."
        )
    return steps


def steps_of_at_least_one(name: str, duration: float, dt: float) -> int:
    """Number of steps in a time that may not be 0."""
    steps = whole_steps(name, duration, dt)
    if steps < 1:
        raise ValueError(f"{name} is {duration} ms; expected at least one step, {dt} ms.")
    return steps


def tolerance(steps: Any) -> Any:
    """How far a quotient of times may lie from the number of steps that is meant: 0.3 / 0.1 must be 3."""
    return np.maximum(1e-6, 1e-15 * steps)
