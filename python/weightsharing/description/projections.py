"""What a connected projection is: plain, checked, immutable data that every backend understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..checks.shapes import Shape
from ..language.expression import Expression

Operation = Literal["sum", "max", "min", "mean"]
Method = Literal["filter", "convolution"]
Algorithm = Literal["auto", "direct", "3xtf32"]

OPERATIONS: tuple[Operation, ...] = ("sum", "max", "min", "mean")
PADDINGS = ("border", "reflect", "wrap", "ignore", "valid")


@dataclass(frozen=True)
class SharedDescription:
    """One filter, or a bank of filters, moved over the pre population (specification section 2).

    Attributes
    ----------
    pre, post
        Geometries. A bank's filter axis is the last one of `post`.
    extents
        Shape of each filter as the user gave it (rank of `pre`, or one less with `keep_last_dimension`);
        one entry for a single filter, ``post[-1]`` entries for a bank.
    padding
        A number, or one of ``'border' 'reflect' 'wrap' 'ignore' 'valid'``.
    strides, dilation, first, anchor
        One entry per axis of the filter, or None for the specification's default.
    centres
        int64 array (number of centres, rank of pre), or None for regular centres.
    algorithm
        ``'direct'`` forces the plain algorithm, ``'auto'`` lets the plan choose, ``'3xtf32'`` asks for tensor
        cores.
    """

    pre: Shape
    post: Shape
    extents: tuple[Shape, ...]
    bank: bool = False
    keep_last_dimension: bool = False
    method: Method = "filter"
    operation: Operation = "sum"
    padding: float | str = 0.0
    strides: Shape | None = None
    dilation: Shape | None = None
    first: Shape | None = None
    anchor: Shape | None = None
    centres: NDArray[np.int64] | None = None
    algorithm: Algorithm = "auto"
    psp: Expression = field(kw_only=True)


@dataclass(frozen=True)
class PoolingDescription:
    """A reduction over a box without weights (specification section 3)."""

    pre: Shape
    post: Shape
    extent: Shape
    stride: Shape
    operation: Operation = "max"
    psp: Expression = field(kw_only=True)


@dataclass(frozen=True)
class SynapsesDescription:
    """Individual weights in compressed rows, one row per post unit (specification section 4).

    Attributes
    ----------
    row_start
        int64 array (post size + 1): synapses of post unit q are ``row_start[q] : row_start[q + 1]``.
    column
        int64 array (number of synapses): rank of the pre unit of each synapse.
    """

    pre: Shape
    post: Shape
    row_start: NDArray[np.int64]
    column: NDArray[np.int64]
    operation: Operation = "sum"
    psp: Expression = field(kw_only=True)


Description = SharedDescription | PoolingDescription | SynapsesDescription
