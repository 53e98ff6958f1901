"""What the tables of differences from other systems are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import weightsharing as ws


@dataclass(frozen=True)
class Difference:
    """What the other system does, what is done here, and a function that raises if the latter is not true."""

    title: str
    there: str
    here: str
    check: Callable[[], None]


def pair(pre: Any, post: Any) -> tuple[ws.Population, ws.Population]:
    network = ws.Network(dtype="float64")
    return network.create(pre), network.create(post)
