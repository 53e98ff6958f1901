"""Weights: read, assigned, refused."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.projections import convolution, populations

pytestmark = pytest.mark.usefixtures("network")


def test_weights_are_read_only_and_assignable():
    projection = convolution((4, 4), (4, 4), np.ones((1, 1), int))
    before = projection.weights
    assert before.dtype == np.float32 and before.shape == (1, 1)
    with pytest.raises(ValueError, match="read-only"):
        before[0, 0] = 2
    np.testing.assert_array_equal(projection(np.eye(4)), np.eye(4))
    projection.weights = [[3.0]]
    np.testing.assert_array_equal(projection(np.eye(4)), 3 * np.eye(4))
    assert before[0, 0] == 1.0
    for wrong, error in (
        (np.ones(1), ValueError),
        (np.ones((1, 2)), ValueError),
        ([["3"]], TypeError),
        (3.0, ValueError),
    ):
        with pytest.raises(error, match="weights"):
            projection.weights = wrong
    assert projection.weights[0, 0] == 3.0


def test_weights_are_copied_when_connecting():
    weights = np.ones((1, 1), np.float32)
    projection = convolution((4, 4), (4, 4), weights)
    weights[...] = 5.0
    assert projection.weights[0, 0] == 1.0


def test_banks():
    regular = convolution((5, 5), (5, 5, 2), np.arange(18.0).reshape(2, 3, 3), "connect_filters")
    assert regular.weights.shape == (2, 3, 3) and regular.n_weights == 18
    regular.weights = np.zeros((2, 3, 3))
    scales = convolution((5, 5), (5, 5, 2), [np.ones((3, 3)), [[2.0]]], "connect_filters")
    assert [array.shape for array in scales.weights] == [(3, 3), (1, 1)] and scales.n_weights == 10
    with pytest.raises(TypeError, match="item assignment"):
        scales.weights[0] = np.zeros((3, 3))
    scales.weights = [np.zeros((3, 3)), np.ones((1, 1))]
    np.testing.assert_array_equal(scales(np.eye(5)), np.stack([np.zeros((5, 5)), np.eye(5)], axis=-1))
    with pytest.raises(ValueError, match="shapes"):
        scales.weights = [np.ones((1, 1)), np.ones((3, 3))]


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        (np.ones((3, 3), complex), TypeError),
        (np.ones((3, 3), object), TypeError),
        ([["a"]], TypeError),
        ([[1.0, 2.0], [3.0]], ValueError),
        (1.0, ValueError),
        (np.ones((0, 3)), ValueError),
        ([], ValueError),
        (ws.Uniform(0, 1), TypeError),
        (None, TypeError),
    ],
)
@pytest.mark.parametrize("method", ["connect_filter", "connect_filters"])
def test_refused_weights(weights, error, method):
    post = (6, 6) if method == "connect_filter" else (6, 6, 2)
    projection = ws.Convolution(*populations((6, 6), post), "exc")
    if method == "connect_filters" and error is TypeError and isinstance(weights, np.ndarray):
        weights = np.stack([weights, weights])
    with pytest.raises((error, ValueError), match=r"weights|filter"):
        getattr(projection, method)(weights)
    assert not projection.connected
    getattr(projection, method)(np.ones((2, 3, 3)) if method == "connect_filters" else np.ones((3, 3)))


def test_read_only_weights_stay_read_only():
    synapses = ws.Projection(*populations(3, 3), "exc").connect_all_to_all(1.0)
    for values in (
        convolution((4, 4), (4, 4), np.ones((1, 1))).weights,
        convolution((4, 4), (4, 4, 2), np.ones((2, 1, 1)), "connect_filters").weights,
        convolution((4, 4), (4, 4, 2), [np.ones((1, 1)), np.ones((1, 3))], "connect_filters").weights[1],
        synapses.weights,
        synapses.receptive_field(0)[1],
    ):
        with pytest.raises(ValueError, match="WRITEABLE"):
            values.flags.writeable = True
    assert (synapses.weights == 1.0).all()


def test_numbers_that_do_not_fit_the_dtype(network):
    pre, post = populations((4, 4), (4, 4))
    huge = np.array([[1.0, 1e300]])
    projection = ws.Convolution(pre, post, "exc")
    for weights, arguments, says in (
        (huge, {}, "^weights: .*float32"),
        (huge.tolist(), {}, "^weights: .*float32"),
        ([[1.0]], {"padding": 1e300}, "^padding: .*float32"),
        ([[1.0]], {"padding": 10**400}, "^padding is too large"),
    ):
        with pytest.raises(ValueError, match=says):
            projection.connect_filter(weights, **arguments)
        assert not projection.connected
    bank = ws.Convolution(pre, ws.Population((4, 4, 2)), "exc")
    with pytest.raises(ValueError, match=r"^weights\[1\]: .*float32"):
        bank.connect_filters([[[1.0]], huge])
    projection.connect_filter([[np.inf]], padding=-np.inf)
    with pytest.raises(ValueError, match=r"^weights: .*float32"):
        projection.weights = [[-1e39]]
    with pytest.raises(ValueError, match=r"^r: .*float32"):
        projection(np.full((4, 4), 1e300))
    synapses = ws.Projection(pre, post, "exc")
    before = network.random_generator.bit_generator.state
    for weights in (1e300, ws.Uniform(1e299, 1e300), np.full((16, 16), 1e300)):
        with pytest.raises(ValueError, match=r"^weights: .*float32"):
            synapses.connect_all_to_all(weights)
    with pytest.raises(ValueError, match=r"^weights: .*float32"):
        synapses.connect_from_matrix(np.full((16, 16), 1e300))
    assert not synapses.connected and network.random_generator.bit_generator.state == before


def test_masked_arrays():
    pre, post = populations((4, 4), (4, 4))
    masked = np.ma.array(np.ones((4, 4)), mask=np.eye(4))
    projection = ws.Convolution(pre, post, "exc")
    with pytest.raises(TypeError, match=r"^weights is a masked array"):
        projection.connect_filter(masked)
    with pytest.raises(TypeError, match=r"^weights\[1\] is a masked array"):
        ws.Convolution(pre, ws.Population((4, 4, 2)), "exc").connect_filters([np.ones((4, 4)), masked])
    projection.connect_filter([[1.0]])
    with pytest.raises(TypeError, match=r"^r is a masked array"):
        projection(masked)
    with pytest.raises(TypeError, match=r"^weights is a masked array"):
        projection.weights = masked
    field = ws.Population(4)
    with pytest.raises(TypeError, match=r"^weights is a masked array.*NaN"):
        ws.Projection(field, field, "exc").connect_from_matrix(masked)


def test_nan_weights_are_data():
    projection = convolution((3, 3), (3, 3), [[np.nan]])
    assert np.isnan(projection(np.ones((3, 3)))).all()
