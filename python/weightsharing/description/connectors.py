"""Which pre units a `Projection` connects to which post units, in compressed rows; ANNarchy's formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks.arrays import real_array
from ..checks.memory import counted, free_memory
from ..checks.numbers import finite_number
from ..checks.shapes import Shape

Integers = NDArray[np.int64]
Values = NDArray[np.float64]


class Synapses(NamedTuple):
    """Synapses of post unit q are ``row_start[q] : row_start[q + 1]``; `column` holds their pre ranks."""

    row_start: Integers
    column: Integers


def all_to_all(pre_size: int, post_size: int, skip_self: bool) -> Synapses:
    """Return all pairs, with `skip_self` without those of equal rank."""
    needed, free = pre_size * post_size * np.dtype(np.int64).itemsize, free_memory()
    if free is not None and needed > free:
        raise MemoryError(
            f"connect_all_to_all: {pre_size} x {post_size} synapses need more than {counted(needed)}, "
            f"{counted(free)} are free; connect fewer units, or share weights (Convolution)."
        )
    if skip_self:
        return _by_row(post_size, lambda unit: np.delete(np.arange(pre_size), unit))
    return Synapses(
        np.arange(post_size + 1, dtype=np.int64) * pre_size,
        np.tile(np.arange(pre_size, dtype=np.int64), post_size),
    )


def one_to_one(pre_size: int, post_size: int) -> Synapses:
    """Return the pairs of equal rank."""
    if pre_size != post_size:
        raise ValueError(
            f"connect_one_to_one: pre has {pre_size} units and post {post_size}; the sizes must be equal."
        )
    return Synapses(np.arange(post_size + 1, dtype=np.int64), np.arange(pre_size, dtype=np.int64))


def fixed_probability(
    pre_size: int, post_size: int, probability: float, skip_self: bool, generator: np.random.Generator
) -> Synapses:
    """Return each pair with the given probability."""
    probability = finite_number("probability", probability)
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability is {probability}; expected a number from 0 to 1.")

    def row(unit: int) -> Integers:
        chosen = generator.random(pre_size) < probability
        if skip_self:
            chosen[unit] = False
        return np.flatnonzero(chosen)

    return _by_row(post_size, row)


def gaussians(
    pre: Shape,
    post: Shape,
    profile: list[tuple[float, float]],
    peak: float,
    limit: float,
    skip_self: bool,
) -> tuple[Synapses, Values]:
    """Return the pairs whose weight, a sum of Gaussians (amplitude, sigma), exceeds ``limit * abs(peak)``."""
    least = finite_number("limit", limit) * abs(peak)
    if limit < 0.0:
        raise ValueError(f"limit is {limit}; expected 0 or a positive fraction of the amplitude.")
    if len(pre) != len(post):
        raise ValueError(
            f"pre has the geometry {pre} and post {post}; their number of dimensions must be the same, "
            "because distances between coordinates are measured."
        )
    sources, places = _normalised(pre), _normalised(post)
    kept: list[Values] = []

    def row(unit: int) -> Integers:
        squared = ((sources - places[unit]) ** 2).sum(axis=1)
        weight = sum(amp * np.exp(-squared / (2.0 * sigma**2)) for amp, sigma in profile)
        chosen = np.abs(weight) > least
        if skip_self:
            chosen[unit] = False
        kept.append(weight[chosen])
        return np.flatnonzero(chosen)

    synapses = _by_row(len(places), row)
    return synapses, np.concatenate(kept)


def from_matrix(weights: Any, pre_size: int, post_size: int, pre_post: bool) -> tuple[Synapses, Values]:
    """Return the elements of a matrix (post, pre) that are neither NaN nor None."""
    array = _without_none(weights)
    expected = (pre_size, post_size) if pre_post else (post_size, pre_size)
    if array.shape != expected:
        order = "(pre.size, post.size)" if pre_post else "(post.size, pre.size)"
        raise ValueError(f"weights has the shape {array.shape}; expected {order} = {expected}.")
    matrix = array.T if pre_post else array
    rows, columns = np.nonzero(~np.isnan(matrix))
    starts = np.searchsorted(rows, np.arange(post_size + 1))
    return Synapses(starts.astype(np.int64), columns.astype(np.int64)), matrix[rows, columns]


def from_sparse(weights: Any, pre_size: int, post_size: int) -> tuple[Synapses, Values]:
    """Return the stored elements of a SciPy sparse matrix (pre, post)."""
    if not hasattr(weights, "tocsc"):
        raise TypeError(
            f"weights is a {type(weights).__name__}; expected a SciPy sparse matrix. "
            "Use connect_from_matrix for an array."
        )
    if weights.shape != (pre_size, post_size):
        raise ValueError(
            f"weights has the shape {weights.shape}; expected (pre.size, post.size) = "
            f"{(pre_size, post_size)}. A matrix (post.size, pre.size) needs .T."
        )
    columns = weights.tocsc().copy()
    columns.sum_duplicates()
    values = real_array("weights", columns.data).astype(np.float64)
    return Synapses(columns.indptr.astype(np.int64), columns.indices.astype(np.int64)), values


def _by_row(post_size: int, row: Callable[[int], Integers]) -> Synapses:
    rows = [row(unit) for unit in range(post_size)]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns in rows])])
    return Synapses(starts.astype(np.int64), np.concatenate(rows).astype(np.int64))


def _normalised(geometry: Shape) -> Values:
    """Coordinates of all units, each axis scaled to [0, 1], (size, number of axes)."""
    axes = [np.arange(size) / max(size - 1, 1) for size in geometry]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(geometry))


def _without_none(weights: Any) -> Values:
    """The matrix in float64, None replaced by NaN."""
    if hasattr(weights, "tocsc"):
        raise TypeError(
            f"weights is a sparse matrix ({type(weights).__name__}); use connect_from_sparse, which expects "
            "(pre.size, post.size)."
        )
    if isinstance(weights, np.ma.MaskedArray):
        raise TypeError("weights is a masked array; put NaN where there is no synapse, with .filled(np.nan).")
    try:
        array = np.asarray(weights)
    except ValueError as error:
        raise ValueError(f"weights: the nested list is ragged ({error}); expected a matrix.") from error
    if array.dtype == object and array.ndim == 0:
        raise TypeError(f"weights is a {type(weights).__name__}; expected a matrix of real numbers.")
    if array.dtype == object:
        missing = np.frompyfunc(lambda value: value is None, 1, 1)(array).astype(bool)
        weights = np.where(missing, np.nan, array).tolist()
    return real_array("weights", weights).astype(np.float64)
