"""Differences from ANNarchy in projections, with a check of every row."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from other_systems.differences import Difference, pair


def _check_nan() -> None:
    for operation in ("sum", "mean", "max", "min"):
        filtered = ws.Convolution(*pair(3, 3), "exc", operation=operation).connect_filter([1.0, 1.0, 1.0])
        assert np.isnan(filtered([np.nan, 1.0, 2.0])).tolist() == [True, True, False]


def _check_subsampling() -> None:
    centres = np.array([[0, 1], [2, 2], [3, 0]])
    filtered = ws.Convolution(*pair((4, 3), 3), "exc").connect_filter([[2.0]], subsampling=centres)
    assert filtered(np.arange(12.0).reshape(4, 3)).tolist() == [2.0, 16.0, 18.0]
    with pytest.raises(ValueError, match="centre"):
        ws.Convolution(*pair((4, 3), 3), "exc").connect_filter([[2.0]], subsampling=centres + 1)


def _check_padding_names() -> None:
    with pytest.raises(ValueError, match=r"padding is 'edge'.*'border'"):
        ws.Convolution(*pair(4, 4), "exc").connect_filter([1.0, 2.0], padding="edge")


def _check_one_step_delay() -> None:
    pre, post = ws.Network().create(2), None
    post = pre.network.create(2, ws.Neuron(equations="r = sum(exc)"))
    ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=1.0)
    pre.network.compile()
    pre.r = 3.0
    pre.network.step()
    assert post.r.tolist() == [3.0, 3.0]


def _check_layers_and_lines() -> None:
    rates = np.arange(24.0).reshape(4, 3, 2)
    layered = ws.SharedProjection(*pair((4, 3, 2), (4, 3, 2)), "exc")
    layered.convolve([[0.0, 1.0, 0.0]], keep_last_dimension=True)
    assert (layered(rates) == rates).all()
    line = ws.SharedProjection(*pair(4, 4), "exc").convolve([1.0, 10.0, 100.0])
    assert line([1.0, 2.0, 3.0, 4.0]).tolist() == [12.0, 123.0, 234.0, 340.0]


def _check_center() -> None:
    projection = ws.SharedProjection(*pair((8, 8), (4, 4)), "exc").convolve(np.ones((3, 3)))
    projection.network.compile()
    assert projection.center(1, 2) == projection.center((1, 2)) == projection.center(6) == (2, 4)


def _check_post_rank() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 4, 2\)"):
        ws.Convolution(*pair((4, 4), (4, 4, 2)), "exc").connect_filter(np.ones((3, 3)))


def _check_copy() -> None:
    pre, post = pair((2, 3), 4)
    original = ws.Projection(pre, post, "exc").connect_all_to_all(2.0, delays=3.0)
    copy = ws.Copy(pre, post, "inh", operation="max").connect_copy(original)
    assert copy(np.arange(6.0).reshape(2, 3)).tolist() == [10.0] * 4 and copy.delays == 3.0
    original.weights = 3.0
    assert copy(np.arange(6.0).reshape(2, 3)).tolist() == [15.0] * 4


PROJECTIONS = (
    Difference(
        "NaN",
        "A maximum or minimum skips NaN.",
        "NaN goes through all four operations, to every unit whose filter touches it and no further.",
        _check_nan,
    ),
    Difference(
        "`subsampling` as an array, and centres outside",
        "A NumPy array fails, although it is documented; centres are not checked.",
        "Lists and arrays are accepted. A centre outside pre is an error.",
        _check_subsampling,
    ),
    Difference(
        "Other words for `padding`",
        "Every string means `'border'`.",
        "`'border'`, `'reflect'`, `'wrap'`, `'ignore'` and `'valid'` have a meaning; other strings are "
        "errors.",
        _check_padding_names,
    ),
    Difference(
        "A delay of one step",
        "`delays` equal to `dt` fails in ANNarchy 5 with an AttributeError.",
        "It is no delay beyond the step that every projection takes.",
        _check_one_step_delay,
    ),
    Difference(
        "`SharedProjection` layer-wise, or with one dimension",
        "In ANNarchy 4.5 to 4.7 `keep_last_dimension`, and sums over filters of one dimension, do not "
        "compile.",
        "They compute what the documentation says.",
        _check_layers_and_lines,
    ),
    Difference(
        "`center()`",
        "Right before `compile()`, broken after; a tuple fails; gone in ANNarchy 5.",
        "A rank, coordinates or a tuple of coordinates, at any time, on every class with filters. It always "
        "has as many entries as pre has dimensions: for a bank the number of the filter is not appended.",
        _check_center,
    ),
    Difference(
        "One filter, and post with more dimensions than pre",
        "Not checked: undefined behaviour.",
        "An error that names both shapes.",
        _check_post_rank,
    ),
    Difference(
        "Copies",
        "`Copy` does not compile in ANNarchy 5 and `SharedProjection.copy` fails in 4.7; the documented "
        "delay of the original is not applied.",
        "All four operations; the weights are used by reference, and the delay is that of the original.",
        _check_copy,
    ),
)
