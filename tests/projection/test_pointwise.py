"""`PointwiseProjection`: unit to unit, with a delay for each unit."""

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.neurons import LINEAR


def counted(update, delays, history="zeros", steps=5, backend="cpu", **settings):
    """What post has at the end of each step, when pre counts 1, 2, 3, ... at the end of them."""
    network = ws.Network(update=update, backend=backend, **settings)
    pre = network.create((2, 2), ws.Neuron(equations="r += 1"))
    post = network.create((2, 2), LINEAR)
    ws.PointwiseProjection(pre, post, "exc", weight=10.0, delays=delays, history=history)
    network.compile()
    seen = []
    for _ in range(steps):
        network.step()
        seen.append(post.r)
    return np.stack(seen)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_delay_per_unit_feedforward(backend):
    seen = counted("feedforward", [[0.0, 1.0], [2.0, 3.9]], backend=backend)
    expected = [[10, 0, 0, 0], [20, 10, 0, 0], [30, 20, 10, 0], [40, 30, 20, 10], [50, 40, 30, 20]]
    np.testing.assert_array_equal(seen.reshape(5, 4), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_delay_per_unit_synchronous(backend):
    # Without delay and with one step a unit reads the rate of the step before.
    seen = counted("synchronous", [[0.0, 1.0], [2.0, 3.0]], backend=backend)
    expected = [[0, 0, 0, 0], [10, 10, 0, 0], [20, 20, 10, 0], [30, 30, 20, 10], [40, 40, 30, 20]]
    np.testing.assert_array_equal(seen.reshape(5, 4), expected)


@pytest.mark.parametrize("update", ["synchronous", "feedforward"])
def test_delays_that_are_all_alike_are_one_delay(update):
    np.testing.assert_array_equal(counted(update, np.full((2, 2), 2.0), "ones"), counted(update, 2.0, "ones"))


def test_history_and_batch():
    seen = counted("feedforward", [[1.0, 1.0], [2.0, 0.0]], np.full((2, 2), -5.0), batch=2, steps=2)
    assert seen.shape == (2, 2, 2, 2)
    np.testing.assert_array_equal(seen[:, 0].reshape(2, 4), [[-50, -50, -50, 10], [10, 10, -50, 20]])
    np.testing.assert_array_equal(seen[:, 0], seen[:, 1])


def test_weights_per_unit():
    network = ws.Network(update="feedforward")
    pre, post = network.create((2, 3)), network.create((2, 3), LINEAR)
    weights = np.arange(6.0).reshape(2, 3)
    projection = ws.PointwiseProjection(pre, post, "exc", weight=weights)
    pre.r = 2.0
    network.compile()
    network.step()
    np.testing.assert_array_equal(post.r, 2 * weights)
    np.testing.assert_array_equal(projection.weights, weights)
    for values in (weights + 1, (weights + 1).ravel(), 3.0):
        projection.weights = values
        network.step()
        np.testing.assert_array_equal(post.r, 2 * np.broadcast_to(np.reshape(values, -1), 6).reshape(2, 3))
    with pytest.raises(ValueError, match="weights has the shape"):
        projection.weights = np.ones((3, 2))


def test_weights_of_a_large_projection_are_no_matrix():
    network = ws.Network()
    pre, post = network.create((1000, 1000)), network.create((1000, 1000), LINEAR)
    assert ws.PointwiseProjection(pre, post, "exc").weights.shape == (1000, 1000)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"delays": [1.0, 2.0]}, "delays has the shape"),
        ({"delays": [[0.0, -1.0], [0.0, 0.0]]}, "positive"),
        ({"delays": [[0.0, np.nan], [0.0, 0.0]]}, "positive"),
        ({"delays": -1.0}, "delays"),
        ({"weight": np.ones(3)}, "weight has the shape"),
        ({"history": "past"}, "history"),
        ({"history": np.ones(3)}, "history has the shape"),
    ],
)
def test_bad_arguments_leave_no_projection(arguments, match):
    network = ws.Network()
    pre, post = network.create((2, 2)), network.create((2, 2), LINEAR)
    with pytest.raises(ValueError, match=match):
        ws.PointwiseProjection(pre, post, "exc", **arguments)
    assert network.projections == ()
    with pytest.raises(ValueError, match=r"size|units"):
        ws.PointwiseProjection(pre, network.create(3), "exc")
