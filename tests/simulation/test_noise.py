"""Noise in equations: Philox by its published vectors, the same everywhere, whatever a run is cut into."""

import numpy as np
import pytest

import weightsharing as ws
from weightsharing.backends.reference.noise import noise, noise_key, philox

DTYPES = ("float32", "float64")
COMPILED = [name for name, state in ws.backends().items() if state == "usable" and name != "reference"]


def drawn(equation, geometry=(5, 67), steps=3, dtype="float32", seed=7, backend="cpu", **settings):
    """Rates after some steps of populations that only draw."""
    threads = settings.pop("threads", None)
    network = ws.Network(dtype=dtype, seed=seed, backend=backend, threads=threads, **settings)
    population = network.create(geometry, ws.Neuron(equations=equation))
    network.compile()
    network.simulate(float(steps))
    return population.r


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_philox(counter, key, expected):
    assert tuple(int(word) for word in philox(counter, key)) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", [(1,), (3,), (128,), (131,), (5, 67), (3000,)])
@pytest.mark.parametrize("backend", COMPILED)
def test_uniform_noise_has_the_same_bits_everywhere(backend, dtype, geometry):
    for steps in (1, 4):
        ours = drawn("r = Uniform(0, 1)", geometry, steps, dtype, backend=backend)
        theirs = drawn("r = Uniform(0, 1)", geometry, steps, dtype, backend="reference")
        np.testing.assert_array_equal(ours, theirs)
        assert (ours >= 0).all() and (ours < 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", COMPILED)
def test_normal_noise_agrees_to_a_few_ulp(backend, dtype):
    ours = drawn("r = Normal(0, 1)", (20_001,), 2, dtype, backend=backend)
    theirs = drawn("r = Normal(0, 1)", (20_001,), 2, dtype, backend="reference")
    np.testing.assert_allclose(ours, theirs, rtol=16 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_distribution_of_the_draws(kind, dtype):
    values = noise(kind, noise_key(1, 0, 0), 200_000, 5, 0, dtype == "float64").astype(np.float64)
    mean, variance = (0.5, 1 / 12) if kind == "uniform" else (0.0, 1.0)
    # Six standard errors.
    assert abs(values.mean() - mean) < 6 * np.sqrt(variance / values.size)
    assert abs(values.var() - variance) < 6 * variance * np.sqrt(2 / values.size)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 6 / np.sqrt(values.size)
    assert np.unique(values).size > 0.98 * values.size


def test_every_draw_is_another_one():
    first = drawn("r = Uniform(0, 1)", steps=1)
    assert (first != drawn("r = Uniform(0, 1)", steps=2)).mean() > 0.99
    assert (first != drawn("r = Uniform(0, 1)", steps=1, seed=8)).mean() > 0.99
    assert (first != drawn("r = Uniform(0, 1)", steps=1, first_trial=1)).mean() > 0.99
    assert (drawn("r = Uniform(0, 1) - Uniform(0, 1)", steps=1) != 0).mean() > 0.99
    network = ws.Network(seed=7)
    one, other = (network.create(100, ws.Neuron(equations="r = Uniform(0, 1)")) for _ in range(2))
    network.compile()
    network.step()
    assert (one.r != other.r).mean() > 0.99


def test_noise_does_not_depend_on_threads_or_chunks():
    whole = drawn("r += Normal(0, 1)", (100, 101), 6, threads=1)
    np.testing.assert_array_equal(whole, drawn("r += Normal(0, 1)", (100, 101), 6, threads=3))
    network = ws.Network(seed=7)
    population = network.create((100, 101), ws.Neuron(equations="r += Normal(0, 1)"))
    network.compile()
    for steps in (1, 2, 3):
        network.simulate(steps)
    np.testing.assert_array_equal(whole, population.r)


def test_reset_draws_the_same_again():
    network = ws.Network(seed=3)
    population = network.create(50, ws.Neuron(equations="r += Uniform(-1, 1)"))
    network.compile()
    network.simulate(4)
    before = population.r
    network.reset()
    network.simulate(4)
    np.testing.assert_array_equal(before, population.r)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", COMPILED)
def test_a_trial_of_a_batch_is_a_run_of_its_own(backend, dtype):
    settings = {"dtype": dtype, "backend": backend}
    batch = drawn("r += Normal(0, 1) + Uniform(0, 1)", (9, 15), 4, batch=3, **settings)
    for trial in range(3):
        alone = drawn("r += Normal(0, 1) + Uniform(0, 1)", (9, 15), 4, first_trial=trial, **settings)
        np.testing.assert_array_equal(batch[trial], alone)


def test_initial_values_of_a_trial_are_those_of_a_run_of_its_own():
    def values(**settings):
        network = ws.Network(seed=5, **settings)
        population = network.create((3, 4), ws.Neuron(equations="v = r : init=Normal(0, 1)\nr = v"))
        given = network.create((3, 4))
        given.r = ws.Uniform(0, 1)
        return population.v, given.r

    for whole, *alone in zip(values(batch=2), values(), values(first_trial=1), strict=True):
        np.testing.assert_array_equal(whole, np.stack(alone))
