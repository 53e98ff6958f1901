"""`PointwiseProjection`: unit to unit, with a delay per unit if need be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks.arrays import frozen, real_array, shaped_array
from ..checks.shapes import Array
from ..description import connectors
from ..description.projections import SynapsesDescription
from ..language.distributions import Normal, Uniform
from ..population.population import Population
from ..state.connection import DEFAULT_PSP, Connection, Weights
from .base import BaseProjection
from .connecting import checked_history, synapse_values, uniform_delay


class PointwiseProjection(BaseProjection):
    """Projection from every pre unit to the post unit of the same rank, connected when it is made.

    Parameters
    ----------
    pre, post : Population
        With as many units.
    target, name, backend, threads, device
        As for `BaseProjection`.
    weight : float, array_like, Uniform or Normal
        One for all, or one per unit (\\*post).
    delays : float or array_like
        In ms, one for all or one per post unit (\\*post). They are rounded down to whole steps. In a
        synchronous network up to one step is no extra delay.
    history : str or array_like
        What a delay reads before the start, as for `Convolution.connect_filter`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; the network is as it was then.
    StateError
        If the network is compiled already.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network(update="feedforward")
    >>> signal, late = network.create(3), network.create(3, ws.Neuron(equations="r = sum(exc)"))
    >>> projection = ws.PointwiseProjection(signal, late, "exc", delays=[0.0, 1.0, 2.0])
    >>> network.compile()
    >>> signal.r = 1.0
    >>> network.step()
    >>> late.r
    array([1., 0., 0.], dtype=float32)
    """

    def __init__(
        self,
        pre: Population,
        post: Population,
        target: str,
        weight: Any = 1.0,
        delays: Any = 0.0,
        history: Any = "zeros",
        name: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        super().__init__(pre, post, target, DEFAULT_PSP, "sum", name, backend, threads, device)
        try:
            self._connect_units(weight, delays, history)
        except BaseException:
            self._assembly.links.remove(self._link)
            raise

    @property
    def weights(self) -> Array:
        """Weights, one per unit (\\*post), read-only; assign a number, or an array of this shape or (post.size,).

        Raises
        ------
        TypeError, ValueError
            If those assigned are no real numbers, have another shape or do not fit the dtype.
        """
        return frozen(self._link.with_weights()[1].arrays[0].reshape(self.post.geometry))

    @weights.setter
    def weights(self, values: Any) -> None:
        description, weights = self._link.with_weights()
        assert isinstance(description, SynapsesDescription)
        weights.assign([self._unit_weights("weights", description, values)])

    def _unit_weights(self, name: str, description: SynapsesDescription, values: Any) -> Array:
        """Return one weight per unit, (post.size,)."""
        if isinstance(values, (Uniform, Normal)):
            return synapse_values(self._link, description, values, exact=False)
        array = real_array(name, values)
        if array.shape not in ((), (self.post.size,), self.post.geometry):
            raise ValueError(
                f"{name} has the shape {array.shape}; expected one number, or one per unit of post "
                f"{self.post.geometry}."
            )
        return shaped_array(name, array.reshape(-1) if array.ndim else array, (self.post.size,), self.dtype)

    def _connect_units(self, weight: Any, delays: Any, history: Any) -> None:
        synapses = connectors.one_to_one(self.pre.size, self.post.size)
        description = SynapsesDescription(
            self.pre.geometry, self.post.geometry, *synapses, psp=self._link.psp
        )
        checked_delays = self._checked_delays(delays)
        history = checked_history(self._link, history)
        values = self._unit_weights("weight", description, weight)
        self._link.connect(Connection(description, checked_delays, history, Weights([values])))

    def _checked_delays(self, delays: Any) -> float | Array:
        if isinstance(delays, (Uniform, Normal)) or np.ndim(delays) == 0:
            return uniform_delay(delays)
        times = real_array("delays", delays).astype(np.float64)
        if times.shape != self.post.geometry:
            raise ValueError(
                f"delays has the shape {times.shape}; expected one number, or one per unit of post "
                f"{self.post.geometry}."
            )
        wrong = ~(np.isfinite(times) & (times >= 0.0))
        if wrong.any():
            unit = tuple(int(entry) for entry in np.argwhere(wrong)[0])
            raise ValueError(
                f"delays is {times[unit]} at unit {unit}; expected 0 or a positive number of ms for every unit."
            )
        return frozen(times)
