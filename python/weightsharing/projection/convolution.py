"""`Convolution`: one filter, or a bank of filters, moved over the pre population."""

from __future__ import annotations

import numbers
from math import prod
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..backends.core import shared_geometry
from ..checks.arrays import frozen, real_array, shaped_array, whole_tuple
from ..checks.shapes import Array, Shape
from ..description.projections import PADDINGS, Algorithm, Method, SharedDescription
from ..state.connection import Connection, Weights
from ..state.links import Link
from .base import BaseProjection
from .connecting import checked_history, filter_arrays, uniform_delay


class Convolution(BaseProjection):
    """Projection whose post units all use the same filter, or bank of filters, as a cross-correlation.

    Post unit q reads pre at ``centre(q) + dilation * (k - c)`` for every element k of the filter, whose
    centre c is its middle element, or the left one of the two.

    Parameters
    ----------
    pre, post, target, psp, operation, name, backend, threads, device
        As for `BaseProjection`.

    Examples
    --------
    >>> import numpy as np, weightsharing as ws
    >>> with ws.Network():
    ...     image, edges = ws.Population((4, 4)), ws.Population((4, 4))
    ...     projection = ws.Convolution(image, edges, "exc").connect_filter([[-1.0, 0.0, 1.0]])
    >>> projection(np.eye(4))[0]
    array([ 0., -1.,  0.,  0.], dtype=float32)
    """

    def connect_filter(
        self,
        weights: Any,
        delays: float = 0.0,
        keep_last_dimension: bool = False,
        padding: float | str = 0.0,
        subsampling: Any = None,
        strides: int | Shape | None = None,
        dilation: int | Shape | None = None,
        first: int | Shape | None = None,
        anchor: int | Shape | None = None,
        algorithm: Algorithm = "auto",
        time_axis: bool = False,
        history: Any = "zeros",
    ) -> Convolution:
        """Connect with one filter.

        Parameters
        ----------
        weights : array_like
            As many dimensions as pre; one less with `keep_last_dimension`.
        delays : float
            In ms.
        keep_last_dimension : bool
            Whether to apply the filter to each slice of the last axis, which pre and post share.
        padding : float or {'border', 'reflect', 'wrap', 'ignore', 'valid'}
            What a filter meets outside pre: units of that rate, the nearest unit, the mirrored or periodic
            continuation, nothing; ``'valid'``: filters may not reach outside.
        subsampling : array_like of int, optional
            (post.size, pre.dimension): the centre for each post unit, in rank order. By default pre's
            geometry is a whole multiple of post's, and the centres lie evenly.
        strides : int or tuple of int, optional
            Distance between centres, one for all axes or one per axis of pre.
        dilation : int or tuple of int, optional
            Distance between the pre units that neighbouring elements meet, default 1.
        first : int or tuple of int, optional
            Pre coordinate of the first centre; default 0 when `strides` is given.
        anchor : int or tuple of int, optional
            Element of the filter that lies on the centre.
        algorithm : {'auto', 'direct', '3xtf32'}
            ``'direct'`` computes tap by tap; ``'auto'`` takes whatever is fastest here (see `describe`).
            ``'3xtf32'`` computes a bank on the tensor cores of a CUDA device (compute capability 8.0 or newer),
            with three products of TF32 numbers for each product of float32: float32, operation 'sum' or
            'mean', psp f(w) * g(pre.r), regular centres. Of n taps the error is expected to stay below
            16 * eps * n * max|w| * max|r| over the window (eps = 2**-23), plus n * 2**-126; this cannot be proved,
            as no vendor says how tensor cores round. ``'auto'`` does not choose it: how fast it is has not been
            measured yet.
        time_axis : bool
            Whether the first axis of the weights (of each filter of a bank) is time: element 0 meets the rates
            that the projection would read without it, element n those of n steps earlier. Time is never
            flipped.
        history : str or array_like
            What delays and a time axis read before the start: ``'zeros'``, ``'ones'``, ``'first_frame'``, or
            an array of the geometry of pre, or of as many such frames as are reached back to (steps,
            \\*geometry), the oldest first. When the network is given a whole movie by `Network.run`, also
            its ``'mean'`` over time and units, the movie backwards (``'mirror'``) or the movie itself
            (``'full_copy'``).

        Returns
        -------
        Convolution
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
            method="filter",
            bank=False,
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

    def connect_filters(
        self,
        weights: Any,
        delays: float = 0.0,
        keep_last_dimension: bool = False,
        padding: float | str = 0.0,
        subsampling: Any = None,
        strides: int | Shape | None = None,
        dilation: int | Shape | None = None,
        first: int | Shape | None = None,
        anchor: int | Shape | None = None,
        algorithm: Algorithm = "auto",
        time_axis: bool = False,
        history: Any = "zeros",
    ) -> Convolution:
        """Connect with a bank of filters: the last axis of post has one unit for each.

        Parameters
        ----------
        weights : array_like, or list of array_like
            Filters on axis 0, each with as many dimensions as pre. In a list their extents may differ.
        keep_last_dimension : bool
            Cannot be combined with a bank.
        subsampling : array_like of int, optional
            (post.size / filters, pre.dimension), as for `connect_filter`.
        delays, padding, strides, dilation, first, anchor, algorithm, time_axis, history
            As for `connect_filter`.

        Returns
        -------
        Convolution
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
            method="filter",
            bank=True,
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


def connect_filters(
    link: Link,
    weights: Any,
    *,
    method: Any,
    bank: Any,
    delays: Any,
    keep_last_dimension: Any,
    padding: Any,
    subsampling: Any,
    strides: Any,
    dilation: Any,
    first: Any,
    anchor: Any,
    algorithm: Any,
    time_axis: Any,
    history: Any,
) -> None:
    """Check the arguments of a connect method, and connect with one filter or a bank."""
    link.require_free()
    pre, post = link.pre.geometry, link.post.geometry
    flags = {"keep_last_dimension": keep_last_dimension, "multiple": bank, "time_axis": time_axis}
    for name, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise TypeError(f"{name} is {flag!r}; expected True or False.")
    delays, history = uniform_delay(delays), checked_history(link, history)
    filters = filter_arrays(weights, bank, link.dtype)
    extents = tuple(array.shape for array in filters)
    time_taps = _time_taps(extents) if time_axis else None
    if time_taps is not None:
        extents = tuple(extent[1:] for extent in extents)
    layerwise = bool(keep_last_dimension)
    description = SharedDescription(
        pre,
        post,
        extents,
        bool(bank),
        layerwise,
        _one_of("method", method, get_args(Method)),
        link.operation,
        _padding(padding, link.dtype),
        strides=_per_axis("strides", strides, len(pre), layerwise, 1),
        dilation=_per_axis("dilation", dilation, len(pre), layerwise, 1),
        first=_per_axis("first", first, len(pre), layerwise, 0),
        anchor=_per_axis("anchor", anchor, len(pre), layerwise, 0),
        centres=_listed(subsampling, pre, post[:-1] if bank else post),
        algorithm=_one_of("algorithm", algorithm, get_args(Algorithm)),
        psp=link.psp,
    )
    if description.algorithm == "3xtf32":
        _check_tf32(link, description)
    geometry = shared_geometry(description)
    link.connect(Connection(description, delays, history, Weights(filters), geometry, time_taps))


def _check_tf32(link: Link, description: SharedDescription) -> None:
    """Raise where '3xtf32' can never be had; what depends on the device is asked when that is known."""
    backend = link.asked().backend
    reasons = {
        "this is one filter": not description.bank,
        f"the dtype is {link.dtype}": link.dtype != np.float32,
        f"the operation is {description.operation!r}": description.operation not in ("sum", "mean"),
        f"the psp {description.psp.text!r} is not f(w) * g(pre.r)": description.psp.split() is None,
        "the centres are listed (subsampling)": description.centres is not None,
        f"the backend is {backend!r}": backend in ("cpu", "reference"),
    }
    reason = next((text for text, holds in reasons.items() if holds), None)
    if reason:
        raise ValueError(
            "algorithm='3xtf32' is for float32 banks of regular filters, operation 'sum' or 'mean', with a psp "
            f"f(w) * g(pre.r), on CUDA devices of compute capability 8.0 or newer; {reason}. Use algorithm='auto'."
        )


def _time_taps(shapes: tuple[Shape, ...]) -> int:
    """Length of the time axis, the first one of every filter."""
    taps = {shape[0] for shape in shapes}
    if len(taps) > 1:
        raise ValueError(
            f"weights: the filters have {sorted(taps)} elements along time; with time_axis=True all filters of a bank "
            "need as many, put zeros at the end of the shorter ones."
        )
    if len(shapes[0]) < 2:
        raise ValueError(
            f"weights has the shape {shapes[0]}; with time_axis=True expected time first and then the filter, "
            "at least two dimensions."
        )
    return taps.pop()


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}.")
    return value


def _padding(padding: Any, dtype: np.dtype[Any]) -> float | str:
    if isinstance(padding, str) and padding in PADDINGS:
        return padding
    if isinstance(padding, numbers.Real) and not isinstance(padding, (bool, np.bool_)):
        try:
            number = float(padding)
        except OverflowError:
            raise ValueError("padding is too large; expected a number that a float can hold.") from None
        shaped_array("padding", number, (), dtype)  # raises for a finite number that does not fit
        return number
    expected = f"expected a number or one of {', '.join(map(repr, PADDINGS))}."
    raise (ValueError if isinstance(padding, str) else TypeError)(f"padding is {padding!r}; {expected}")


def _per_axis(name: str, values: Any, axes: int, layerwise: bool, slice_entry: int) -> Shape | None:
    """One entry per axis of pre; a layer-wise filter has none on the last axis, so it may be left out."""
    if values is None:
        return None
    if layerwise and np.ndim(values) == 1 and len(values) == axes - 1:
        values = (*values, slice_entry)
    return whole_tuple(name, values, axes)


def _listed(subsampling: Any, pre: Shape, units: Shape) -> NDArray[np.int64] | None:
    """Centre coordinates of the post units of one filter, checked for whole numbers and shape."""
    if subsampling is None:
        return None
    centres: Array = real_array("subsampling", subsampling)
    expected = (prod(units), len(pre))
    if centres.shape != expected:
        raise ValueError(
            f"subsampling has the shape {centres.shape}; expected {expected}, the coordinates in pre {pre} "
            f"of one centre for each post unit, those of one filter {units}."
        )
    if centres.dtype.kind == "b" or not (np.isfinite(centres) & (centres == np.floor(centres))).all():
        raise ValueError("subsampling: the coordinates of the centres must be whole numbers.")
    if (np.abs(centres.astype(np.float64)) >= 2.0**62).any():
        raise ValueError(f"subsampling: a centre lies outside pre {pre}.")
    return frozen(centres.astype(np.int64))
