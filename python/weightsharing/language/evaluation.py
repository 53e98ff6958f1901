"""A tree computed with plain NumPy, and the statistics of a population that equations may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .operations import NOISE
from .tree import Node, compute

Draw = Callable[[str, int], ArrayLike]


def floating_dtype(arrays: Iterable[NDArray[Any]]) -> np.dtype[Any]:
    """Return the common type of `arrays` if it is a floating one, else float64."""
    dtypes = [array.dtype for array in arrays]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def evaluate_tree(
    tree: Node, values: Mapping[str, Any], dtype: np.dtype[Any], draw: Draw | None = None
) -> NDArray[Any]:
    """Compute a tree with plain NumPy, every operation in `dtype`.

    Parameters
    ----------
    values
        An array or number for every name that the tree reads.
    draw
        ``draw(kind, occurrence)`` gives the raw noise of a kind of `NOISE`: evenly in [0, 1), or standard
        normal.
    """
    known: dict[int, Any] = {}

    # One frame per level, so that the deepest tree stays far from Python's recursion limit.
    def value(node: Node) -> Any:
        if id(node) in known:
            return known[id(node)]
        result: Any
        if node.operation == "constant":
            result = dtype.type(node.value)
        elif node.operation == "name":
            result = np.asarray(values[str(node.value)], dtype=dtype)
        elif node.operation in NOISE:
            if draw is None:
                raise ValueError("draw: the expression contains noise; pass a function that draws it.")
            result = np.asarray(draw(node.operation, int(node.value or 0)), dtype=dtype)
        else:
            operands = []
            for argument in node.arguments:
                operands.append(value(argument))
            result = compute(node.operation, operands)
        known[id(node)] = result
        return result

    with np.errstate(all="ignore"):
        return np.asarray(value(tree))


def statistic(which: str, values: NDArray[Any]) -> NDArray[Any]:
    """Reduce all axes but the first, with double precision: what equations read of a population."""
    trials = values.reshape(len(values), -1).astype(np.float64)
    with np.errstate(all="ignore"):
        if which == "norm2":
            return np.asarray(np.sqrt(np.square(trials).sum(axis=1)))
        if which == "norm1":
            return np.asarray(np.abs(trials).sum(axis=1))
        return np.asarray(getattr(trials, which)(axis=1))
