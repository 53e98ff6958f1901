"""Where the filter of one post unit lies, and what it reads."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks.numbers import whole_number
from ..checks.shapes import Array
from ..description.lattice import axis_centres, locate, tap_offsets, unit_shape
from ..description.projections import PoolingDescription, SharedDescription, SynapsesDescription
from ..population.grid import Grid
from ..state.links import Link


def filter_centre(link: Link, post: Grid, position: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the pre coordinates that the filter of one post unit is centred on; see `BaseProjection.center`."""
    connection = link.connected()
    description = connection.description
    if connection.geometry is None or not isinstance(description, SharedDescription):
        raise ValueError(f"{link!r} has no filters, so no centres; see receptive_field().")
    filters = len(description.extents)
    return tuple(connection.geometry.centre(_rank(link, post, position) // filters))


def receptive_field(link: Link, post: Grid, position: tuple[Any, ...]) -> tuple[NDArray[np.int64], Array]:
    """Return which pre units one post unit reads, and the weights; see `BaseProjection.receptive_field`."""
    description = link.description
    rank = _rank(link, post, position)
    if isinstance(description, SynapsesDescription):
        row = slice(description.row_start[rank], description.row_start[rank + 1])
        coordinates = np.stack(np.unravel_index(description.column[row], description.pre), axis=-1)
        return coordinates.astype(np.int64), link.with_weights()[1].arrays[0][row]
    if isinstance(description, PoolingDescription):
        corner = np.zeros(len(description.pre), dtype=np.int64)
        corner[: len(description.post)] = np.unravel_index(rank, description.post)
        starts = corner * description.stride
        ends = np.minimum(starts + description.extent, description.pre)
        box = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        coordinates = _grid(box)
        return coordinates, np.ones(len(coordinates), dtype=link.dtype)
    unit, number = divmod(rank, len(description.extents))
    extent = description.extents[number]
    taps = [offsets + middle for offsets, middle in zip(*_taps(description, unit, number), strict=True)]
    ranks, inside = locate(_grid(taps), description.pre, description.padding)
    coordinates = np.stack(np.unravel_index(ranks[inside], description.pre), axis=-1)
    values = link.with_weights()[1].arrays[number]
    flat = values.reshape(*values.shape[: values.ndim - len(extent)], prod(extent))
    return coordinates.astype(np.int64), flat[..., inside]


def _rank(link: Link, post: Grid, position: tuple[Any, ...]) -> int:
    """Turn a rank, or coordinates of a post unit in either form, into a checked rank."""
    description = link.description
    if len(position) == 1 and np.ndim(position[0]) == 0:
        rank = whole_number("rank", position[0])
        if not 0 <= rank < post.size:
            raise ValueError(f"rank is {rank}; post {post.geometry} has ranks 0 to {post.size - 1}.")
        return rank
    coordinates = tuple(position[0]) if len(position) == 1 else position
    if (
        isinstance(description, SharedDescription)
        and description.bank
        and len(coordinates) == post.dimension - 1
    ):
        coordinates = (*coordinates, 0)
    return post.rank_from_coordinates(coordinates)


def _grid(axes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All combinations of coordinates, last axis fastest, (n, number of axes)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)).astype(np.int64)


def _taps(
    description: SharedDescription, unit: int, number: int
) -> tuple[list[NDArray[np.int64]], list[int]]:
    """For each pre axis: the offsets of the taps of one filter, and its centre for one unit."""
    extent = description.extents[number]
    offsets = [tap_offsets(description, axis, extent) for axis in range(len(extent))]
    if description.keep_last_dimension:
        offsets.append(np.zeros(1, dtype=np.int64))
    if description.centres is not None:
        return offsets, description.centres[unit].tolist()
    place = np.unravel_index(unit, unit_shape(description))
    middles = []
    for axis in range(len(description.pre)):
        if axis == len(extent):  # the slice of a layer-wise filter
            middles.append(int(place[axis]))
            continue
        along = axis_centres(description, axis, extent)
        middles.append(int(along[place[axis] if axis < len(place) else 0]))
    return offsets, middles
