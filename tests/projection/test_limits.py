"""Extreme numbers: data that is not finite, delays beyond all memory, what can never be computed."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws


def test_nan_and_infinity_are_data():
    network = ws.Network(dtype="float64")
    pre, post = network.create(4), network.create(4)
    pre.r = [np.nan, 1.0, np.inf, -np.inf]
    projection = ws.Convolution(pre, post, "exc", psp="w").connect_filter([np.inf], padding=np.nan)
    assert (projection(pre.r) == np.inf).all()
    projection.weights = [np.nan]
    assert np.isnan(projection(pre.r)).all()


@pytest.mark.parametrize("delay", [2.0**30, 3e9, 1e18, 1e300, 1.7e308])
def test_delays_beyond_all_memory(delay):
    network = ws.Network(dt=0.5)
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match=r"delays is .* steps of dt = 0\.5 ms.*choose a smaller delay"):
        ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=delay)
    network.compile()


def test_delays_per_unit_beyond_all_memory():
    network = ws.Network()
    pre, post = network.create(2), network.create(2, ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match=r"delays is 1\.0 to 5000000000\.0 ms.*choose a smaller delay"):
        ws.PointwiseProjection(pre, post, "exc", delays=[1.0, 5e9])
    network.compile()


def test_histories_beyond_the_memory_there_is():
    network = ws.Network()
    pre, post = (
        network.create((1000, 1000)),
        network.create((1000, 1000), ws.Neuron(equations="r = sum(exc)")),
    )
    ws.PointwiseProjection(pre, post, "exc", delays=1e9)
    with pytest.raises(
        MemoryError, match=r"rates of 'pop0' in the last 1000000000 steps.*4,000,000,000,000,000 bytes"
    ):
        network.compile()


def test_a_projection_that_could_not_be_connected_does_not_hinder():
    network = ws.Network()
    pre, post = network.create((4, 4)), network.create((4, 4), ws.Neuron(equations="r = sum(exc)"))
    with pytest.raises(ValueError, match="filter"):
        ws.Convolution(pre, post, "exc").connect_filter(np.ones(3))
    ws.Convolution(pre, post, "exc").connect_filter(np.ones((1, 1)))
    forgotten = ws.Convolution(pre, post, "exc")
    with pytest.raises(ws.StateError, match="connect methods"):
        network.compile()
    forgotten.connect_filter(np.ones((1, 1)))
    pre.r = 1.0
    network.compile()
    network.step()
    assert len(network.projections) == 2 and (post.r == 2.0).all()


def test_long_delays_and_durations_are_counted_exactly():
    """A tolerance that grew with the number of steps would make a million steps one more."""
    network = ws.Network()
    pre, post = network.create(1), network.create(1, ws.Neuron(equations="r = sum(exc)"))
    ws.Convolution(pre, post, "exc").connect_filter([1.0], delays=1e6)
    network.compile()
    pre.r = 1.0
    network.simulate(1e6)
    assert post.r.item() == 0.0
    network.step()
    assert post.r.item() == 1.0
    for duration in (1e6 + 0.5, 1e300):
        with pytest.raises(ValueError, match="duration"):
            network.simulate(duration)
    assert network.time == 1e6 + 1


# --- What can never be computed is refused when it is connected --------------------------------------------


def test_delays_that_cannot_be_stored_leave_the_projection_free():
    network = ws.Network()
    pre, post = network.create(3), network.create(3, ws.Neuron(equations="r = sum(exc)"))
    projection = ws.Convolution(pre, post, "exc")
    with pytest.raises(ValueError, match="more than can be stored of the 3 units"):
        projection.connect_filter([1.0], delays=1e12)
    assert not projection.connected
    projection.connect_filter([1.0], delays=2.0)
    network.compile()


@pytest.mark.parametrize(
    ("settings", "arguments", "bank", "reason"),
    [
        ({}, {}, False, "this is one filter"),
        ({"dtype": "float64"}, {}, True, "the dtype is float64"),
        ({}, {"operation": "max"}, True, "the operation is 'max'"),
        ({}, {"psp": "min(w, pre.r)"}, True, "is not f.w. . g.pre.r."),
        ({"backend": "cpu"}, {}, True, "the backend is 'cpu'"),
    ],
)
def test_tensor_cores_that_cannot_serve_are_refused_when_connecting(settings, arguments, bank, reason):
    network = ws.Network(**settings)
    pre, post = network.create((3, 4)), network.create((3, 4, 2) if bank else (3, 4))
    projection = ws.Convolution(pre, post, "exc", **arguments)
    connect = projection.connect_filters if bank else projection.connect_filter
    weights = np.ones((2, 3, 3) if bank else (3, 3))
    with pytest.raises(ValueError, match=f"{reason}. Use algorithm='auto'"):
        connect(weights, algorithm="3xtf32")
    connect(weights)
    network.compile()


@pytest.mark.parametrize(
    ("equation", "parameters"),
    [
        ("r = t % p", "p = 0.0"),
        ("r = modulo(t, p)", "p = 0.0"),
        ("r = 1/(p*q)", "p = 1e-30\nq = 1e-30"),  # zero in float32
    ],
)
def test_divisors_that_parameters_make_zero(equation, parameters):
    network = ws.Network()
    network.create(2, ws.Neuron(parameters, equation))
    with pytest.raises(ValueError, match=r"p .* would divide by zero; assign another value"):
        network.compile()


@pytest.mark.parametrize("text", ["1/0", "1/(2 - 2)", "5 % 0", "10**400", "t + 2*(1/0)"])
def test_numbers_that_are_not_finite(text):
    with pytest.raises(ws.ExpressionError, match="no finite number"):
        ws.Neuron(equations=f"r = {text}")


def test_more_synapses_than_memory(monkeypatch):
    monkeypatch.setattr("weightsharing.description.connectors.free_memory", lambda: 1000)
    projection = ws.Projection(ws.Population(20), ws.Population(30), "exc")
    with pytest.raises(MemoryError, match="connect_all_to_all: 20 x 30 synapses need more than 4800 bytes"):
        projection.connect_all_to_all(1.0)
    assert not projection.connected


def test_weights_without_a_synapse_are_counted():
    projection = ws.Projection(ws.Population(2), ws.Population(2), "exc").connect_one_to_one(1.0)
    with pytest.raises(
        ValueError, match="2 weights where there is no synapse, the first from unit 1 to unit 0"
    ):
        projection.weights = np.ones((2, 2))
