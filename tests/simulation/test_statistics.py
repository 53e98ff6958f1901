"""What equations read of a whole population: mean, max, min, norms, the sum of all targets, noise drawn once."""

import math

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.networks import assert_close, state
from weightsharing.backends.reference.noise import noise, noise_key

DTYPES = ("float32", "float64")
ALL = "a = mean(r)\nb = max(r)\nc = min(r)\nd = norm1(r)\ne = norm2(r)"
# Units: one, less than a vector, odd, one block of the CPU and one more, several parts on a GPU.
GEOMETRIES = [(1,), (3,), (5, 7), (4096,), (4097,), (2048, 2), (100, 101)]


def whole(values):
    """The five values as NumPy computes them, in double precision."""
    values = np.asarray(values, dtype=np.float64).ravel()
    return [
        values.mean(), values.max(), values.min(), np.abs(values).sum(), np.sqrt(np.square(values).sum())
    ]  # fmt: skip


def population_of(equations, geometry, backend, rates, **settings):
    network = ws.Network(backend=backend, **settings)
    units = network.create(geometry, ws.Neuron(equations=equations))
    units.r = rates
    network.compile()
    return network, units


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_of_the_population(backend, geometry, dtype):
    rates = np.random.default_rng(1).normal(size=geometry)
    network, units = population_of(
        "\n".join(f"{line} : population" for line in ALL.splitlines()), geometry, backend, rates, dtype=dtype
    )
    network.step()
    np.testing.assert_allclose(
        [units.a, units.b, units.c, units.d, units.e],
        whole(rates.astype(dtype)),
        rtol=4 * np.finfo(dtype).eps,
        atol=4 * np.finfo(dtype).eps,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_of_what_rounds_in_one_direction(backend, dtype):
    """Within what the specification proves, against exact sums."""
    n, eps = 100_001, float(np.finfo(dtype).eps)
    one_large = np.full(n, 0.45 * 2.0**-53)
    one_large[0] = 1.0
    for values in (np.full(n, 0.1), np.linspace(0.1, 1.0, n), one_large, 1e-3 * one_large + 0.1):
        values = values.astype(dtype)
        network, units = population_of(
            "a = mean(r) : population\nb = norm1(r) : population\nc = norm2(r) : population",
            n, backend, values, dtype=dtype,
        )  # fmt: skip
        network.step()
        wide = values.astype(np.float64).tolist()
        total, squares = math.fsum(wide), math.fsum(x * x for x in wide)
        allowed = eps + (140 + math.log2(n)) * 2.0**-53
        for found, exact in ((units.a, total / n), (units.b, total), (units.c, math.sqrt(squares))):
            assert abs(float(found) - exact) <= allowed * exact


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_are_those_before_the_update(backend):
    """ANNarchy's own example: local variables get the values of the whole."""
    network, units = population_of(ALL + "\nr += 1", 6, backend, [2.0, 1.0, 0.0, -5.0, -3.0, -1.0])
    network.step()
    for name, expected in zip("abcde", [-1.0, 2.0, -5.0, 12.0, np.sqrt(40)], strict=True):
        np.testing.assert_allclose(getattr(units, name), [expected] * 6, rtol=1e-6)
    network.step()
    np.testing.assert_allclose(units.a, [0.0] * 6, atol=1e-6)


def test_rates_assigned_between_steps_count_at_once():
    network, units = population_of("x = mean(r) : population", 4, "cpu", 1.0)
    network.step()
    assert units.x == 1.0
    units.r = [1.0, 2.0, 3.0, 4.0]
    network.step()
    assert units.x == 2.5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_trials_are_reduced_one_by_one(backend, dtype):
    rates = np.random.default_rng(2).normal(size=(3, 61, 53))
    equation = "r = 0.5*r + mean(r) - 0.1*norm2(r) + max(r)"
    network, units = population_of(equation, (61, 53), backend, rates, dtype=dtype, batch=3)
    network.simulate(3)
    for trial in range(3):
        alone, unit = population_of(equation, (61, 53), backend, rates[trial], dtype=dtype)
        alone.simulate(3)
        np.testing.assert_array_equal(units.r[trial], unit.r)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 17, 4999])
def test_what_is_not_finite_stays(backend, value, place):
    rates = np.linspace(-1, 1, 5000)
    rates[place] = value
    network, units = population_of(ALL, 5000, backend, rates)
    with np.errstate(invalid="ignore"):
        expected = whole(rates)
    network.step()
    np.testing.assert_allclose([getattr(units, name)[0] for name in "abcde"], expected, rtol=1e-5)


@pytest.mark.parametrize("threads", [2, 3])
def test_values_do_not_depend_on_threads(threads):
    rates = np.random.default_rng(3).normal(size=100_001)
    results = []
    for count in (1, threads):
        network, units = population_of("r = r/norm2(r) + mean(r)", 100_001, "cpu", rates, threads=count)
        network.simulate(5)
        results.append(units.r)
    np.testing.assert_array_equal(*results)


def test_long_sums_are_accurate():
    network, units = population_of(
        "x = mean(r) : population\ny = norm1(r) : population", 3_000_000, "cpu", 0.1
    )
    network.step()
    assert units.x == np.float32(0.1)
    assert units.y == pytest.approx(3_000_000 * float(np.float32(0.1)), rel=1e-7)


def test_divisive_normalisation():
    """A use of it: rates are divided by their norm, whatever came in."""
    network = ws.Network(update="feedforward")
    signal = network.create(8)
    pool = network.create(8, ws.Neuron(equations="drive = sum(exc)\nr = drive"))
    normal = ws.Neuron("sigma = 1e-6 : population", "r = sum(exc)/(sigma + norm2(drive))\ndrive = sum(exc)")
    units = network.create(8, normal)
    ws.PointwiseProjection(signal, pool, "exc")
    ws.PointwiseProjection(pool, units, "exc")
    signal.r = np.arange(8.0)
    network.compile()
    network.simulate(3)  # a drive that lasts
    np.testing.assert_allclose(np.linalg.norm(units.r), 1.0, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("update", ["synchronous", "feedforward"])
def test_sum_of_all_targets(backend, update):
    network = ws.Network(backend=backend, update=update)
    pre = network.create((2, 3))
    both = network.create((2, 3), ws.Neuron(equations="r = sum() - 2*sum(inh)"))
    none = network.create((2, 3), ws.Neuron(equations="r = 1 + sum()"))
    ws.PointwiseProjection(pre, both, "exc", 2.0)
    ws.PointwiseProjection(pre, both, "inh", 0.5)
    ws.PointwiseProjection(pre, both, "context", -1.0)
    pre.r = np.arange(6.0).reshape(2, 3)
    network.compile()
    network.simulate(2)
    np.testing.assert_array_equal(both.r, 0.5 * np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(none.r, np.ones((2, 3)))
    assert both.neuron_type.targets == ("inh",)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["Uniform", "Normal"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_noise_of_the_population_is_drawn_once(backend, kind, dtype):
    """The draw of unit 0, for units of many blocks, and read again by their own equations."""
    equations = f"x = {kind}(0, 1) : population\nr = x + 0*Uniform(0, 1)"
    network = ws.Network(dtype=dtype, seed=7, batch=2, backend=backend)
    units = network.create((37, 11), ws.Neuron(equations=equations))
    network.compile()
    network.simulate(3)
    for trial in range(2):
        drawn = noise(kind.lower(), noise_key(7, 0, trial), 1, 2, 0, dtype == "float64")
        np.testing.assert_allclose(units.x[trial], drawn[0], rtol=16 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(units.r[trial], np.full((37, 11), units.x[trial]))
    assert units.x[0] != units.x[1]


def test_noise_of_the_population_differs_between_draws_and_steps():
    network = ws.Network(seed=1)
    equations = "x = Uniform(0, 1) : population\ny = Uniform(0, 1) : population\nr = Uniform(0, 1)"
    units = network.create(5, ws.Neuron(equations=equations))
    network.compile()
    seen = []
    for _ in range(4):
        network.step()
        seen += [units.x, units.y, *units.r]
    assert len(set(seen)) == len(seen)


def test_population_differential_equations_may_be_noisy():
    equations = "tau*dx/dt + x = Normal(0, 1) : population, exponential\nr = x"
    network = ws.Network(seed=2)
    units = network.create(300, ws.Neuron("tau = 5.0 : population", equations))
    other = ws.Network(seed=2, backend="reference")
    other.create(300, ws.Neuron("tau = 5.0 : population", equations))
    for one in (network, other):
        one.compile()
        one.simulate(20)
    assert_close(network, other)
    assert np.unique(units.r).size == 1 and units.r[0] != 0


def test_saved_networks_continue(tmp_path):
    def build():
        network = ws.Network(seed=4)
        pre = network.create(40, ws.Neuron(equations="x = Normal(0, 1) : population\nr = x + Uniform(0, 1)"))
        post = network.create(40, ws.Neuron(equations="r = sum() - mean(r) + 0.1*norm2(r)"))
        ws.PointwiseProjection(pre, post, "exc")
        ws.PointwiseProjection(pre, post, "inh", -0.2, delays=3.0)
        network.compile()
        return network

    whole_run, first, second = build(), build(), build()
    whole_run.simulate(9)
    first.simulate(4)
    first.save(tmp_path / "half.npz")
    second.load(tmp_path / "half.npz")
    second.simulate(5)
    for name, values in state(whole_run).items():
        np.testing.assert_array_equal(state(second)[name], values)


def test_evaluate_computes_what_is_not_given():
    neuron = ws.Neuron(equations="r = mean(v) + sum() : max=10\nv = norm1(v)")
    values = {
        "r": np.zeros(3),
        "v": np.array([1.0, -2.0, 4.0]),
        "sum(exc)": np.ones(3),
        "sum(inh)": np.ones(3),
    }
    neuron.evaluate(values, 1.0, 0.0)
    np.testing.assert_array_equal(values["r"], [3.0] * 3)
    np.testing.assert_array_equal(values["v"], [7.0] * 3)


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        ("r = mean(x)", "mean over the population takes the name of what has a value per unit .a, r"),
        ("r = norm1(2*r)", "norm1 over the population .*assign an expression to a variable first"),
        ("r = max(tau)", "max over the population"),
        ("r = mean(r, r)", "mean of a population"),
        ("r = min()", "min takes 2 or more arguments, not 0"),
        ("r = sum(2)", "sum takes the name of one target, as in sum.exc., or nothing for all"),
        ("r = unknown(r)", r"Allowed over the population: mean\(a\), max\(a\)"),
    ],
)
def test_wrong_calls_are_named(equations, message):
    with pytest.raises(ws.ExpressionError, match=message):
        ws.Neuron("tau = 1.0 : population\na = 2.0", equations)


def test_a_function_of_the_same_name_goes_first():
    neuron = ws.Neuron(equations="r = mean(2)\nx = min(r, 1)", functions="mean(x) = x + 1")
    values = {"r": np.zeros(1), "x": np.zeros(1)}
    neuron.evaluate(values, 1.0, 0.0)
    assert values["r"] == 3.0 and values["x"] == 1.0 and neuron.statistics == ()


def test_psps_see_no_population():
    pre, post = ws.Population(3), ws.Population(3)
    with pytest.raises(
        ws.ExpressionError, match="mean of a population is for the equations of a neuron only"
    ):
        ws.Convolution(pre, post, "exc", psp="w*mean(pre.r)")
