"""Checks that all connect methods share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks.arrays import converted, frozen, real_array, shaped_array
from ..checks.numbers import finite_number
from ..checks.shapes import Array, Shape, spelled_shape
from ..description.histories import HISTORIES
from ..description.projections import OPERATIONS, SynapsesDescription
from ..language.distributions import Normal, Uniform
from ..state.links import Link


def checked_history(link: Link, history: Any) -> Any:
    """Check what stands for the rates before the start: a name, or frames of the pre population."""
    if isinstance(history, str):
        if history not in HISTORIES:
            raise ValueError(
                f"history is {history!r}; expected one of {', '.join(map(repr, HISTORIES))}, or an array."
            )
        return history
    pre, batch = link.pre, link.context.batch
    frames = converted("history", real_array("history", history), link.dtype)
    expected = [pre.geometry, ("steps", *pre.geometry)]
    if batch is not None:
        expected.append(("steps", batch, *pre.geometry))
    if not any(
        len(shape) == frames.ndim
        and all(want in ("steps", have) for want, have in zip(shape, frames.shape, strict=True))
        for shape in expected
    ):
        listed = ", ".join(map(spelled_shape, expected))
        raise ValueError(
            f"history has the shape {frames.shape}; expected one of {listed}, the oldest step first."
        )
    return frozen(frames)


def check_operation(operation: Any) -> None:
    """Raise ValueError unless this is an operation."""
    if operation not in OPERATIONS:
        raise ValueError(f"operation is {operation!r}; expected one of {', '.join(map(repr, OPERATIONS))}.")


def uniform_delay(delays: Any) -> float:
    """Check a delay in ms that holds for the whole projection."""
    if isinstance(delays, (Uniform, Normal)) or np.ndim(delays) > 0:
        raise TypeError(f"delays is {delays!r}; expected one number, the delay of the whole projection.")
    delay = finite_number("delays", delays)
    if delay < 0.0:
        raise ValueError(f"delays is {delay}; expected 0 or a positive number of ms.")
    return delay


def filter_arrays(weights: Any, bank: bool, dtype: DTypeLike) -> list[Array]:
    """Return one C-contiguous array per filter, copied; a bank is an array or a list of filters."""
    if isinstance(weights, (Uniform, Normal)):
        raise TypeError("weights: a distribution has no shape; draw an array with its sample() method.")
    if bank and isinstance(weights, (list, tuple)):
        filters = [real_array(f"weights[{number}]", one) for number, one in enumerate(weights)]
    elif bank:
        array = real_array("weights", weights)
        filters = list(array) if array.ndim else []
    else:
        filters = [real_array("weights", weights)]
    if not filters:
        raise ValueError("weights: expected a bank of at least one filter, filters on axis 0.")
    for number, array in enumerate(filters):
        name = f"weights[{number}]" if bank else "weights"
        if array.ndim == 0 or array.size == 0:
            raise ValueError(
                f"{name} has the shape {array.shape}; expected a filter with at least one dimension and "
                "one element."
            )
        if array.ndim != filters[0].ndim:
            raise ValueError(
                f"{name} has {array.ndim} dimensions and weights[0] {filters[0].ndim}; the filters of a bank "
                "may differ in extent, not in their number of dimensions."
            )
    names = [f"weights[{number}]" for number in range(len(filters))] if bank else ["weights"]
    return [converted(name, array, dtype) for name, array in zip(names, filters, strict=True)]


def synapse_values(link: Link, synapses: SynapsesDescription, weights: Any, exact: bool) -> Array:
    """Return one weight per synapse: from a number, a distribution, one each, or a whole matrix.

    With `exact` the matrix may name no weight where there is no synapse.
    """
    count = len(synapses.column)
    if isinstance(weights, (Uniform, Normal)):
        with link.context.source.undone_by_errors() as generator:
            return converted("weights", weights.sample(count, weights.rng or generator), link.dtype)
    array = real_array("weights", weights)
    if array.shape in ((), (count,)):
        return shaped_array("weights", array, (count,), link.dtype)
    whole = (link.post.size, link.pre.size)
    if array.shape != whole:
        raise ValueError(
            f"weights has the shape {array.shape}; expected one number, one weight per synapse "
            f"({count},), or the matrix (post.size, pre.size) = {whole}."
        )
    rows = synapse_rows(synapses)
    if exact:
        elsewhere = np.ones(whole, dtype=bool)
        elsewhere[rows, synapses.column] = False
        named = elsewhere & ~np.isnan(array)
        if named.any():
            post, pre = (int(entry) for entry in np.argwhere(named)[0])
            raise ValueError(
                f"weights names {np.count_nonzero(named)} weights where there is no synapse, the first from unit "
                f"{pre} to unit {post}; put NaN there."
            )
    return converted("weights", array[rows, synapses.column], link.dtype)


def synapse_rows(synapses: SynapsesDescription) -> NDArray[np.int64]:
    """Rank of the post unit of every synapse."""
    return np.repeat(np.arange(len(synapses.row_start) - 1), np.diff(synapses.row_start))


def spelled_extents(extents: tuple[Shape, ...]) -> str:
    """Shapes of filters, those of a regular bank once."""
    if len(set(extents)) == 1:
        return f"{extents[0]}" if len(extents) == 1 else f"{len(extents)} x {extents[0]}"
    return ", ".join(map(str, extents))
