"""Shapes and other arguments of projections and of their connect methods."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import populations

pytestmark = pytest.mark.usefixtures("network")


@pytest.mark.parametrize(
    ("pre", "post", "extent", "arguments"),
    [
        ((7, 6), (3, 3), (3, 3), {}),
        ((6, 6), (12, 12), (3, 3), {}),
        ((6, 6, 3), (6, 6, 3), (3, 3), {}),
        ((6, 6, 3), (6, 6, 4), (3, 3), {"keep_last_dimension": True}),
        ((6, 6, 3), (6, 6, 3), (3,), {"keep_last_dimension": True}),
        ((6, 6, 3), (6, 6), (3, 3, 2), {}),
        ((6, 6), (6, 6, 4), (4, 3, 3), {}),
        ((6, 6), (6, 6, 4), (3, 3), {}),
        ((6, 6), (5, 5), (3, 3), {"padding": "valid"}),
        ((6, 6), (3, 3), (3, 3), {"strides": 3}),
        ((6, 6), (3, 3), (3, 3), {"strides": (2, 2, 2)}),
        ((6, 6), (3, 3), (3, 3), {"strides": 0}),
        ((6, 6), (6, 6), (3, 3), {"dilation": -1}),
        ((6, 6), (6, 6), (3, 3), {"anchor": 3}),
        ((6, 6), (3, 3), (3, 3), {"strides": 2, "first": 2}),
        ((6, 6), (6, 6), (3, 3), {"padding": "zeros"}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 6]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, -1]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 0.5]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, np.nan]]}),
        ((6, 6), (2,), (3, 3), {"subsampling": [[0, 0], [0, 1e300]]}),
        ((6, 6), (6, 6), (3, 3), {"delays": -1.0}),
        ((6, 6), (6, 6), (3, 3), {"delays": np.nan}),
        ((6, 6), (6, 6), (3, 3), {"algorithm": "fast"}),
    ],
)
def test_shapes_that_do_not_fit(pre, post, extent, arguments):
    projection = ws.Convolution(*populations(pre, post), "exc")
    with pytest.raises(ValueError) as raised:
        projection.connect_filter(np.ones(extent), **arguments)
    assert str(raised.value)
    assert not projection.connected and projection.delays == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": None},
        {"padding": True},
        {"padding": 1j},
        {"strides": 1.0},
        {"dilation": "2"},
        {"delays": "1"},
        {"delays": [0.0]},
        {"delays": ws.Uniform(0, 1)},
        {"keep_last_dimension": 1},
        {"subsampling": "all"},
    ],
)
def test_arguments_of_the_wrong_type(arguments):
    projection = ws.Convolution(*populations((6, 6), (6, 6)), "exc")
    with pytest.raises(TypeError, match=next(iter(arguments))):
        projection.connect_filter(np.ones((3, 3)), **arguments)
    assert not projection.connected


def test_bank_shapes_that_do_not_fit():
    for post, bank, arguments in [
        ((6, 6, 3), np.ones((4, 3, 3)), {}),
        ((6, 6, 4), np.ones((4, 3)), {}),
        ((6, 6, 2), [np.ones((3, 3)), np.ones(3)], {}),
        ((6, 6, 2), np.ones((2, 3)), {"keep_last_dimension": True}),
        ((6, 2), np.ones((2, 3, 3)), {}),
    ]:
        projection = ws.Convolution(*populations((6, 6), post), "exc")
        with pytest.raises(ValueError):
            projection.connect_filters(bank, **arguments)
        assert not projection.connected


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pre": None}, TypeError),
        ({"post": 3}, TypeError),
        ({"target": 1}, TypeError),
        ({"target": ""}, ValueError),
        ({"target": "sum(exc)"}, ValueError),
        ({"operation": "prod"}, ValueError),
        ({"psp": "w*post.r"}, ValueError),
        ({"psp": "w*rate"}, ValueError),
        ({"psp": "__import__('os')"}, ValueError),
        ({"psp": "(" * 10_000 + "w" + ")" * 10_000}, ValueError),
        ({"psp": 3}, TypeError),
        ({"backend": "gpu"}, ValueError),
        ({"threads": -1}, ValueError),
    ],
)
def test_refused_projections(network, arguments, error):
    pre, post = populations(3, 3)
    with pytest.raises(error, match=next(iter(arguments))):
        ws.SharedProjection(**{"pre": pre, "post": post, "target": "exc", **arguments})
    assert network.projections == ()


def test_connecting_twice_and_using_before():
    pre, post = populations((4, 4), (4, 4))
    projection = ws.SharedProjection(pre, post, "exc")
    for action in (
        lambda: projection(np.eye(4)),
        lambda: projection.weights,
        lambda: projection.n_weights,
        lambda: projection.describe(),
        lambda: projection.center(0),
        lambda: projection.receptive_field(0),
        lambda: ws.Copy(pre, post, "exc").connect_copy(projection),
    ):
        with pytest.raises(ws.StateError, match="connect"):
            action()
    with pytest.raises(ws.StateError):
        projection.weights = np.ones((3, 3))
    assert projection.convolve(np.ones((3, 3))) is projection
    for action in (
        lambda: projection.convolve(np.ones((1, 1))),
        lambda: projection.pooling(),
        lambda: projection.copy(projection),
    ):
        with pytest.raises(ws.StateError, match="already"):
            action()
    assert projection.weights.shape == (3, 3)
