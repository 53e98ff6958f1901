"""`Pooling`: a reduction over boxes of the pre population, without weights."""

from __future__ import annotations

from typing import Any

from ..backends.core import pooling_geometry
from ..checks.arrays import whole_tuple
from ..checks.porting import ported
from ..checks.shapes import Shape
from ..description.projections import Operation, PoolingDescription
from ..language.expression import Expression, parse_psp
from ..population.population import Population
from ..state.connection import Connection
from ..state.links import Link
from .base import BaseProjection
from .connecting import checked_history, uniform_delay


class Pooling(BaseProjection):
    """Projection in which every post unit reduces a box of the pre population.

    Parameters
    ----------
    pre, post, target, name, backend, threads, device
        As for `BaseProjection`.
    psp : str
        Contribution of one unit, an expression of ``pre.r`` alone.
    operation : {'max', 'min', 'mean', 'sum'}
        How the contributions are reduced.

    Examples
    --------
    >>> import numpy as np, weightsharing as ws
    >>> with ws.Network():
    ...     image, pooled = ws.Population((4, 6)), ws.Population((2, 3))
    ...     projection = ws.Pooling(image, pooled, "exc", operation="mean").connect_pooling()
    >>> projection(np.ones((4, 6))).shape
    (2, 3)
    """

    @ported
    def __init__(
        self,
        pre: Population,
        post: Population,
        target: str,
        psp: str = "pre.r",
        operation: Operation = "max",
        name: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        super().__init__(pre, post, target, psp, operation, name, backend, threads, device)

    @staticmethod
    def _parse_psp(psp: str) -> Expression:
        return parse_psp(psp, allow_weight=False)

    def connect_pooling(
        self,
        extent: int | Shape | None = None,
        delays: float = 0.0,
        stride: int | Shape | None = None,
        history: Any = "zeros",
    ) -> Pooling:
        """Connect each post unit q to the box of pre that starts at ``q * stride``.

        Parameters
        ----------
        extent : int or tuple of int, optional
            Shape of the boxes, one for all axes or one per axis of pre. Default: pre's geometry divided by
            post's, which must be whole. An axis that post lacks must be covered.
        delays : float
            In ms.
        stride : int or tuple of int, optional
            Distance between boxes, default `extent`; less lets them overlap. Boxes that reach outside pre are
            clipped, and a mean divides by what is inside.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.

        Returns
        -------
        Pooling
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described or the shapes do not fit; nothing has changed then.
        """
        connect_pooling(self._link, self._link.psp, extent, stride, delays, history)
        return self

    def pooling(
        self,
        extent: int | Shape | None = None,
        stride: int | Shape | None = None,
        delays: float = 0.0,
        history: Any = "zeros",
    ) -> Pooling:
        """Connect as `connect_pooling`, which has the arguments in another order."""
        connect_pooling(self._link, self._link.psp, extent, stride, delays, history)
        return self


def connect_pooling(link: Link, psp: Expression, extent: Any, stride: Any, delays: Any, history: Any) -> None:
    """Check the arguments of a connect method, and connect as a pooling."""
    link.require_free()
    pre, post = link.pre.geometry, link.post.geometry
    delays, history = uniform_delay(delays), checked_history(link, history)
    geometry = pooling_geometry(
        pre,
        post,
        None if extent is None else whole_tuple("extent", extent, len(pre)),
        None if stride is None else whole_tuple("stride", stride, len(pre)),
    )
    # Boxes are clipped anyhow; counting the elements of a larger one could overflow.
    within = tuple(map(min, geometry.extent, pre))
    description = PoolingDescription(pre, post, within, tuple(geometry.stride), link.operation, psp=psp)
    link.connect(Connection(description, delays, history))


def pooling_psp(psp: Expression) -> Expression:
    """Return the psp that a `SharedProjection` pools with: its default means ``pre.r``."""
    if psp.is_default:
        return parse_psp("pre.r", allow_weight=False)
    if "w" in psp.names:
        raise ValueError(f"psp is {psp.text!r}; pooling has no weights, use an expression of pre.r alone.")
    return psp
