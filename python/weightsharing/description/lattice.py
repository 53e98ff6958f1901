"""Where the taps of a description lie: the specification's section 2 (and the boxes of section 3) in NumPy.

Nothing here looks at the compiled core, which finds centres, offsets and shapes on its own: the reference computes with
these, so that a mistake in one of the two places shows as a difference.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from ..checks.shapes import Shape
from .projections import PoolingDescription, SharedDescription

Integers = NDArray[np.int64]


def filter_rank(description: SharedDescription) -> int:
    """Return the number of pre axes that a filter extends over: all, or all but the last when layer-wise."""
    return len(description.pre) - (1 if description.keep_last_dimension else 0)


def unit_shape(description: SharedDescription) -> Shape:
    """Return the grid of post units that one filter feeds: `post`, of a bank without its filter axis."""
    return description.post[:-1] if description.bank else description.post


def is_collapsed(description: SharedDescription, axis: int, extent: Shape) -> bool:
    """Tell whether a filter of this extent spans the whole pre axis (never with listed centres)."""
    if description.centres is not None:
        return False
    post = unit_shape(description)
    return axis >= len(post) or (post[axis] == 1 and extent[axis] == description.pre[axis])


def tap_offsets(description: SharedDescription, axis: int, extent: Shape) -> Integers:
    """Return, for every element along one filter axis, the pre coordinate it reads minus that of the centre.

    Parameters
    ----------
    description
        The projection.
    axis
        Axis of the filter.
    extent
        Shape of the filter.

    Returns
    -------
    int64 array (extent[axis],)

    Raises
    ------
    ValueError
        If the axis is collapsed and the filter does not span it.
    """
    size, element = extent[axis], np.arange(extent[axis], dtype=np.int64)
    convolution = description.method == "convolution"
    if is_collapsed(description, axis, extent):
        if size != description.pre[axis]:
            raise ValueError(
                f"weights: post {description.post} lacks axis {axis} of pre {description.pre}, so the filter "
                f"{extent} must span it with {description.pre[axis]} elements"
            )
        return (element[::-1] if convolution else element) - (size - 1) // 2
    origin = size // 2 if size % 2 else size // 2 - 1
    if description.anchor is not None:
        origin = description.anchor[axis]
    dilation = 1 if description.dilation is None else description.dilation[axis]
    return (-1 if convolution else 1) * dilation * (element - origin)


def axis_centres(description: SharedDescription, axis: int, extent: Shape) -> Integers:
    """Return the regular centres along one axis of the filter, one per post unit along that axis.

    Raises
    ------
    ValueError
        If pre is no whole multiple of post and nothing else places the centres, if a centre is outside pre, or
        if post does not have the size that ``padding='valid'`` gives.
    """
    pre, post = description.pre[axis], (*unit_shape(description), *description.pre)[axis]
    what = f"pre {description.pre}, post {description.post}, filter {extent}, axis {axis}"
    if is_collapsed(description, axis, extent):
        return np.array([(pre - 1) // 2], dtype=np.int64)
    if description.padding == "valid":
        if description.first is not None:
            raise ValueError(
                f"first={description.first}: padding='valid' places the first filter; leave first out"
            )
        stride = 1 if description.strides is None else description.strides[axis]
        offsets = tap_offsets(description, axis, extent)
        span = int(offsets.max() - offsets.min())
        units = (pre - span - 1) // stride + 1
        if pre <= span or units != post:
            raise ValueError(f"{what}: padding='valid' gives {max(units, 0)} units; give post that size")
        first = -int(offsets.min())
    elif description.strides is not None:
        stride = description.strides[axis]
        first = 0 if description.first is None else description.first[axis]
    else:
        stride = pre // post
        if stride * post != pre:
            raise ValueError(
                f"{what}: {pre} is no whole multiple of {post}; list the centres with subsampling"
            )
        first = (stride - 1) // 2 if description.first is None else description.first[axis]
    centres = first + stride * np.arange(post, dtype=np.int64)
    if centres.min() < 0 or centres.max() >= pre:
        raise ValueError(f"{what}: centres {centres.min()} to {centres.max()} must lie in 0 to {pre - 1}")
    return centres


def centres(description: SharedDescription, number: int = 0) -> Integers:
    """Return the pre coordinates that one filter is centred on.

    Parameters
    ----------
    description
        The projection.
    number
        Which filter of a bank. It matters only where filters of different extents have their own centres
        (``padding='valid'``).

    Returns
    -------
    int64 array (units, rank of pre)
        One row per post unit (of a bank: without the filter axis), in rank order. The centre of a collapsed
        axis is the middle, ``(P - 1) // 2``.

    Raises
    ------
    ValueError
        If the shapes of pre, post and the filter do not fit together.
    """
    pre, post, extent = description.pre, unit_shape(description), description.extents[number]
    if description.centres is not None:
        listed = np.asarray(description.centres, dtype=np.int64)
        if listed.shape != (prod(post), len(pre)):
            raise ValueError(f"subsampling: got shape {listed.shape}, expected {(prod(post), len(pre))}")
        if (listed < 0).any() or (listed >= pre).any():
            raise ValueError(f"subsampling: every centre must lie inside pre {pre}")
        return listed
    if len(post) > len(pre):
        raise ValueError(
            f"post {description.post} has more axes than pre {pre}: use a bank or list the centres"
        )
    along = [axis_centres(description, axis, extent) for axis in range(filter_rank(description))]
    if description.keep_last_dimension:
        if len(post) != len(pre) or post[-1] != pre[-1]:
            raise ValueError(
                f"keep_last_dimension: post {post} must have as many axes and slices as pre {pre}"
            )
        along.append(np.arange(pre[-1], dtype=np.int64))
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, len(pre))


def locate(coordinates: Integers, pre: Shape, padding: float | str) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the pre elements at some coordinates, as the padding continues pre beyond its borders.

    Parameters
    ----------
    coordinates
        int64 array (units, rank of pre), anywhere.
    pre
        Geometry of pre.
    padding
        A number or one of the specification's words.

    Returns
    -------
    rank : int64 array (units,)
        Rank of the pre unit; 0 where there is none.
    inside : bool array (units,)
        Whether there is one.
    """
    index = np.empty_like(coordinates)
    inside = np.ones(len(coordinates), dtype=np.bool_)
    for axis, size in enumerate(pre):
        x = coordinates[:, axis]
        if padding == "border":
            x = np.clip(x, 0, size - 1)
        elif padding == "wrap":
            x = x % size
        elif padding == "reflect":
            period = max(2 * (size - 1), 1)
            x = x % period
            x = np.where(x < size, x, period - x)
        index[:, axis] = x
        inside &= (x >= 0) & (x < size)
    index[~inside] = 0
    return np.ravel_multi_index(tuple(index.T), pre).astype(np.int64), inside


def pooling_corners(description: PoolingDescription) -> Integers:
    """Return the first pre element of every box, (post size, rank of pre); 0 along the axes that post lacks.

    Raises
    ------
    ValueError
        If a box is wholly outside pre, or does not cover an axis that post lacks.
    """
    pre, post, extent = description.pre, description.post, description.extent
    if len(post) > len(pre):
        raise ValueError(f"post {post} has more axes than pre {pre}")
    along = []
    for axis, size in enumerate(pre):
        if axis >= len(post) and extent[axis] < size:
            raise ValueError(
                f"extent {extent}: post {post} lacks axis {axis} of pre {pre}, the box must cover it"
            )
        count = post[axis] if axis < len(post) else 1
        corner = description.stride[axis] * np.arange(count, dtype=np.int64)
        if corner[-1] >= size:
            raise ValueError(
                f"extent {extent}, stride {description.stride}: the last box is outside pre {pre}"
            )
        along.append(corner)
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, len(pre))
