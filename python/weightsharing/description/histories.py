"""What populations are taken to have done before a network starts, by name; and the orders of a step."""

from __future__ import annotations

from typing import Any, Literal

UpdateOrder = Literal["synchronous", "feedforward"]

HISTORIES = ("zeros", "ones", "first_frame", "mean", "mirror", "full_copy")
# Those that are made from a whole movie.
OF_MOVIES = ("mean", "mirror", "full_copy")


def first_frame(policy: Any) -> bool:
    """Whether the first frame stands for all that was before it."""
    return isinstance(policy, str) and policy == "first_frame"
