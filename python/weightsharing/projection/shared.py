"""`SharedProjection`: convolution, pooling and copy in one class, with ANNarchy's older names."""

from __future__ import annotations

from typing import Any

from ..checks.shapes import Shape
from ..description.projections import Algorithm, Method
from .base import BaseProjection
from .convolution import connect_filters
from .copies import connect_copy
from .pooling import connect_pooling, pooling_psp


class SharedProjection(BaseProjection):
    """Projection whose weights are shared by the post units; one of its three connect methods says how.

    Parameters
    ----------
    pre, post, target, psp, operation, name, backend, threads, device
        As for `BaseProjection`.

    Examples
    --------
    >>> import numpy as np, weightsharing as ws
    >>> with ws.Network():
    ...     pre, post = ws.Population((100, 100)), ws.Population((50, 50))
    ...     projection = ws.SharedProjection(pre, post, "exc").convolve(np.ones((3, 3)))
    >>> projection.center(10, 10)
    (20, 20)
    """

    def convolve(
        self,
        weights: Any,
        delays: float = 0.0,
        method: Method = "convolution",
        keep_last_dimension: bool = False,
        multiple: bool = False,
        padding: float | str = 0.0,
        subsampling: Any = None,
        strides: int | Shape | None = None,
        dilation: int | Shape | None = None,
        first: int | Shape | None = None,
        anchor: int | Shape | None = None,
        algorithm: Algorithm = "auto",
        time_axis: bool = False,
        history: Any = "zeros",
    ) -> SharedProjection:
        """Connect with one filter, or with a bank of filters.

        Parameters
        ----------
        weights, delays, keep_last_dimension, padding, subsampling
        strides, dilation, first, anchor, algorithm, time_axis, history
            As for `Convolution.connect_filter`; with `multiple` as for `Convolution.connect_filters`.
        method : {'convolution', 'filter'}
            ``'convolution'`` flips the filter: element k meets pre at ``centre - dilation * (k - c)``.
            ``'filter'`` does not.
        multiple : bool
            Whether `weights` is a bank, its filters on axis 0 and on the last axis of post.

        Returns
        -------
        SharedProjection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described or the shapes do not fit; nothing has changed then.
        """
        connect_filters(
            self._link,
            weights,
            method=method,
            bank=multiple,
            delays=delays,
            keep_last_dimension=keep_last_dimension,
            padding=padding,
            subsampling=subsampling,
            strides=strides,
            dilation=dilation,
            first=first,
            anchor=anchor,
            algorithm=algorithm,
            time_axis=time_axis,
            history=history,
        )
        return self

    def pooling(
        self,
        extent: int | Shape | None = None,
        stride: int | Shape | None = None,
        delays: float = 0.0,
        history: Any = "zeros",
    ) -> SharedProjection:
        """Connect as `Pooling.connect_pooling`.

        The default psp means ``pre.r`` here. The default operation of this class is ``'sum'``.
        """
        link = self._link
        connect_pooling(link, pooling_psp(link.psp), extent, stride, delays, history)
        return self

    def copy(self, projection: BaseProjection) -> SharedProjection:
        """Connect with the weights of another projection, by reference, as `Copy.connect_copy`."""
        connect_copy(self._link, projection)
        return self
