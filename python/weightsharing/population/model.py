"""`Model`: what a population may know of its network."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ..checks.errors import NotCopyable
from ..checks.halves import half_of
from ..description.histories import UpdateOrder
from ..state.assembly import Assembly
from ..state.session import session


@half_of("Network")
class Model(NotCopyable):
    """The settings of a network, and its time.

    `Network` is the only kind that people make. Populations and projections, which it is made of, know this much
    of it.
    """

    _assembly: Assembly

    @property
    def dt(self) -> float:
        """Length of a step in ms."""
        return self._assembly.context.dt

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._assembly.context.dtype

    @property
    def seed(self) -> int:
        """What everything drawn depends on."""
        return self._assembly.context.source.seed

    @property
    def batch(self) -> int | None:
        """Number of trials, None without a batch axis."""
        return self._assembly.context.batch

    @property
    def update(self) -> UpdateOrder:
        """Order of a step: ``'synchronous'`` or ``'feedforward'``."""
        return self._assembly.context.update

    @property
    def first_trial(self) -> int:
        """Number of the first trial."""
        return self._assembly.context.first_trial

    @property
    def time(self) -> float:
        """Simulated time in ms since compile or reset."""
        return self._assembly.context.time

    @property
    def current_step(self) -> int:
        """Number of steps done since compile or reset."""
        return self._assembly.context.clock.steps_done

    def get_time(self) -> float:
        """Return the simulated time in ms, as `time`."""
        return self.time

    def get_current_step(self) -> int:
        """Return the number of steps done, as `current_step`."""
        return self.current_step

    @property
    def random_generator(self) -> np.random.Generator:
        """Source of drawn weights and rates."""
        return self._assembly.context.source.generator


def model_of(assembly: Assembly) -> Model:
    """Return the network that people hold of an assembly."""
    return cast(Model, session.holder(assembly))
