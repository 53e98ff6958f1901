"""Uniform and Normal: values, checks, immutability."""

import dataclasses
import math

import numpy as np
import pytest

import weightsharing as ws
from weightsharing.language.distributions import Normal, Uniform

pytestmark = pytest.mark.python_only


def generator():
    return np.random.default_rng(7)


@pytest.mark.parametrize("shape", [5, (3,), (2, 3, 4), (0,), ()])
def test_samples_are_float64_of_the_shape_and_follow_the_generator(shape):
    for distribution in (Uniform(-1, 2), Normal(0.5, 2.0)):
        values = distribution.sample(shape, generator())
        assert isinstance(values, np.ndarray) and values.dtype == np.float64
        assert values.shape == ((shape,) if isinstance(shape, int) else shape)
        np.testing.assert_array_equal(values, distribution.sample(shape, generator()))


def test_uniform_fills_its_interval():
    values = Uniform(-1.0, 3.0).sample(100_000, generator())
    assert values.min() >= -1.0 and values.max() < 3.0
    assert values.mean() == pytest.approx(1.0, abs=0.02)
    assert values.std() == pytest.approx(4 / math.sqrt(12), abs=0.02)
    np.testing.assert_array_equal(Uniform(2, 2).sample(4, generator()), 2.0)


def test_normal_moments_and_clipping():
    values = Normal(1.0, 2.0).sample(100_000, generator())
    assert values.mean() == pytest.approx(1.0, abs=0.03) and values.std() == pytest.approx(2.0, abs=0.03)
    clipped = Normal(1.0, 2.0, min=0.0, max=2.5).sample(100_000, generator())
    np.testing.assert_array_equal(clipped, np.clip(values, 0.0, 2.5))
    np.testing.assert_array_equal(Normal(3.0, 0.0).sample(4, generator()), 3.0)


def test_they_are_immutable_values():
    assert repr(Uniform(0, 1)) == "Uniform(min=0.0, max=1.0)"
    assert repr(Normal(0, np.float32(1), max=2)) == "Normal(mu=0.0, sigma=1.0, min=None, max=2.0)"
    assert Uniform(0, 1) == Uniform(0.0, 1.0) and hash(Normal(0, 1)) == hash(Normal(0.0, 1.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Uniform(0, 1).min = 3.0


def test_get_values_draw_from_a_network_or_from_a_generator():
    ws.clear()
    ws.setup(seed=3)
    first, second = Uniform(0, 1).get_values((2, 3)), Normal(0, 1).get_values(4)
    assert first.shape == (2, 3) and second.shape == (4,) and Uniform(0, 1).get_values(()).shape == ()
    ws.set_seed(3)
    np.testing.assert_array_equal(Uniform(0, 1).get_values([2, 3]), first)
    with ws.Network(seed=3):
        np.testing.assert_array_equal(Uniform(0, 1).get_values(np.array([2, 3])), first)
    np.testing.assert_array_equal(Normal(0, 1).get_values(4), second)
    own = Normal(0, 1, rng=generator())
    np.testing.assert_array_equal(own.get_values(5), generator().normal(size=5))
    ws.clear()


def test_an_own_generator_draws_weights_and_rates():
    drawn = generator().uniform(0, 1, size=(3, 2, 2))
    with ws.Network(dtype="float64", batch=2):
        own = Uniform(0, 1, rng=generator())
        pre, post = ws.Population(2, ws.Neuron({"r": own})), ws.Population(2)
        weights = ws.Projection(pre, post, "exc").connect_all_to_all(own).weights
    np.testing.assert_array_equal(pre.r, drawn[0])
    np.testing.assert_array_equal(weights, drawn[1])
    pre.r = own
    np.testing.assert_array_equal(pre.r, drawn[2])
    assert own == Uniform(0, 1) and hash(own) == hash(Uniform(0, 1))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Uniform(1, 0), ValueError, "min is 1.0 and max is 0.0"),
        (lambda: Uniform("0", 1), TypeError, "min is '0'"),
        (lambda: Uniform(0, 1j), TypeError, "max"),
        (lambda: Uniform(0, math.inf), ValueError, "max"),
        (lambda: Uniform(math.nan, 1), ValueError, "min"),
        (lambda: Uniform(-1.7e308, 1.7e308), ValueError, "width"),
        (lambda: Normal(0, -1), ValueError, "sigma is -1.0"),
        (lambda: Normal(None, 1), TypeError, "mu"),
        (lambda: Normal(0, True), TypeError, "sigma"),
        (lambda: Normal(0, 1, min=2, max=1), ValueError, "min <= max"),
        (lambda: Normal(0, 1, min=[0]), TypeError, "min"),
        (lambda: Normal(0, 1, rng=3), TypeError, "rng is a int"),
        (lambda: Uniform(0, 1, rng="x"), TypeError, "rng is a str"),
        (lambda: Uniform(0, 1).get_values(2.0), TypeError, "shape is 2.0"),
        (lambda: Uniform(0, 1).get_values("3"), TypeError, "shape is '3'"),
        (lambda: Normal(0, 1).get_values((2, -1)), ValueError, "shape is"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
