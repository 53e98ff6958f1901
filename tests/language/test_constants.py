"""Constants: named numbers in equations, changed before and after compile, and in Python's arithmetic."""

import copy
import math
import pickle

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS
from weightsharing.language.constants import known_constants


def test_a_constant_is_read_without_a_parameter():
    ws.Constant("tau", 10.0)
    ws.Constant("unused", 1.0)
    neuron = ws.Neuron(equations="tau*dr/dt + r = 1.0")
    assert list(neuron.constants) == ["tau"] and not neuron.parameters
    population = ws.Population(2, neuron)
    ws.compile()
    ws.step()
    np.testing.assert_allclose(population.r, 0.1, rtol=1e-6)


def test_the_names_of_the_neuron_go_first():
    for name in ("a", "b", "v", "x", "d"):
        ws.Constant(name, 100.0)
    neuron = ws.Neuron(
        {"a": 1.0}, "v = 2.0\n10*dx/dt + x = a ; r = a + b + v + d + f(x)", "f(y) = d*y", constants={"b": 3.0}
    )
    assert set(neuron.constants) == {"b", "d"} and set(neuron.variables) == {"v", "x", "r"}
    values = {name: np.zeros(1) for name in neuron.variables} | {"a": np.ones(1)}
    neuron.evaluate(values, 1.0, 0.0)
    assert values["r"][0] == 1.0 + 3.0 + 2.0 + 100.0 + 100.0 * 0.1
    with pytest.raises(ws.ExpressionError, match="'b' is a constant already"):
        ws.Neuron(equations="b = 1\nr = b", constants={"b": 3.0})


def test_constants_in_functions_bounds_and_values_of_parameters():
    ws.Constant("top", 0.75)
    neuron = ws.Neuron(
        "gain = 2*top : population; start = Uniform(top, 1)", "v = t : init=-top\nr = f(v) : max=top",
        "f(x) = x + 4*top",
    )  # fmt: skip
    assert neuron.parameters["gain"].initial == 1.5 and neuron.variables["v"].initial == -0.75
    assert neuron.parameters["start"].initial == ws.Uniform(0.75, 1.0)
    assert ws.Neuron({"gain": "top", "other": ws.Constant("z", 3.0)}).parameters["gain"].initial == 0.75
    with pytest.raises(TypeError, match=r"parameters: gain is 'tip'.*top, z"):
        ws.Neuron({"gain": "tip"})


@pytest.mark.parametrize("backend", BACKENDS)
def test_changes_are_seen_before_and_after_compile(backend):
    k = ws.Constant("k", 1.0)
    neuron = ws.Neuron("tau = 2.0", "r = k/tau")
    networks = [ws.Network(dtype=dtype, backend=backend) for dtype in ("float32", "float64")]
    populations = [network.create((2, 3), neuron) for network in networks]
    k.set(3.0)
    for network in networks:
        network.compile()
        network.step()
    assert all((population.r == 1.5).all() for population in populations)
    k.value = 5.0
    assert all((population.r == 1.5).all() for population in populations)
    for network in networks:
        network.reset()
        network.simulate(2.0)
    assert k.value == 5.0 and all((population.r == 2.5).all() for population in populations)
    networks[0].compile(backend="reference")
    networks[0].step()
    assert (populations[0].r == 2.5).all()


def test_a_moved_population_follows_too():
    k = ws.Constant("k", 1.0)
    population = ws.Population(2, ws.Neuron(equations="r = k"))
    k.set(2.0)
    network = ws.Network(dtype="float64")
    network.create(population)
    network.compile()
    k.set(math.pi)
    network.step()
    assert (population.r == math.pi).all()


def test_refused_values_change_nothing():
    k = ws.Constant("k", 4.0)
    network = ws.Network()
    population = network.create(2, ws.Neuron("a = 2.0 : population", "r = 1/(k - a)"))
    for value, error in [("3", TypeError), (None, TypeError), (np.nan, ValueError), (np.inf, ValueError)]:
        with pytest.raises(error, match="Constant 'k': value"):
            k.set(value)
    with pytest.raises(ValueError, match=r"Constant 'k'.*float32"):
        k.set(1e300)
    k.set(2.0)
    with pytest.raises(ValueError, match="divide by zero"):
        network.compile()
    k.set(4.0)
    network.compile()
    with pytest.raises(ValueError, match=r"a = 2.0 and k = 2.0: the equation 'r = 1/\(k - a\)'"):
        k.set(2.0)
    with pytest.raises(ValueError, match="divide by zero"):
        population.a = 4.0
    network.step()
    assert k == 4.0 and (population.r == 0.5).all()


def test_wrong_definitions():
    for name in ("r", "t", "dt", "pi", "2x", "a b", "", "sum", "if"):
        with pytest.raises(ws.ExpressionError, match=r"Constant: name.*name"):
            ws.Constant(name, 1.0)
    for name, value, error in [(3, 1.0, TypeError), ("a", "b", TypeError), ("a", np.inf, ValueError)]:
        with pytest.raises(error, match="Constant"):
            ws.Constant(name, value)
    assert not known_constants()
    tau = ws.Constant("tau", 1.0)
    with pytest.raises(ws.ExpressionError, match=r"unknown name 'tua'(.|\n)*Allowed names: .*tau"):
        ws.Neuron(equations="r = tua")
    for use in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match="Constant cannot be copied"):
            use(tau)


def test_clear_and_redefinition():
    first = ws.Constant("k", 1.0)
    old = ws.Neuron(equations="r = k")
    second = ws.Constant("k", 2.0)
    new = ws.Neuron(equations="r = k")
    assert old.constants["k"] is first and new.constants["k"] is second
    ws.clear()
    with pytest.raises(ws.ExpressionError, match="unknown name 'k'"):
        ws.Neuron(equations="r = k")
    population = ws.Population(1, new)
    second.set(3.0)
    ws.compile()
    ws.step()
    assert population.r == 3.0


def test_a_pickled_neuron_keeps_the_present_value():
    k = ws.Constant("k", 1.0)
    neuron = ws.Neuron(equations="r = k + j", constants={"j": 0.5})
    k.set(2.0)
    stored = pickle.dumps(neuron)
    ws.clear()
    assert pickle.loads(stored).constants == {"k": 2.0, "j": 0.5}


def test_arithmetic_as_a_float():
    k = ws.Constant("k", 20)
    product = k * ws.Constant("factor", 0.1)
    assert (product, type(product)) == (2.0, float)
    k.set(7.5)
    assert (k + 1, 1 + k, k - 1, 1 - k, 2 * k, k / 3, 3 / k) == (8.5, 8.5, 6.5, -6.5, 15.0, 2.5, 0.4)
    assert (k // 2, 20 // k, k % 2, 20 % k, k**2, 2**k) == (3.0, 2.0, 1.5, 5.0, 56.25, 2**7.5)
    assert (-k, +k, abs(-k), round(k), round(k, 1), int(k), float(k)) == (-7.5, 7.5, 7.5, 8, 7.5, 7, 7.5)
    assert (math.floor(k), math.ceil(k), math.trunc(k), math.sqrt(k)) == (7, 8, 7, 7.5**0.5)
    assert k == 7.5 and k != 20 and k < 8 and k <= 7.5 and k > 7 and k >= 7.5 and bool(k)
    assert (repr(k), str(k), f"{k}") == ("Constant('k', 7.5)", "7.5", "7.5")
    np.testing.assert_array_equal(np.arange(3) * k, k * np.arange(3))
    population = ws.Population(2, ws.Neuron("b = 0.0"))
    population.b = k
    assert (population.b == 7.5).all() and ws.Normal(k, 0.0).mu == 7.5
    assert ws.Neuron({"tau": k}).parameters["tau"].initial == 7.5
    k.set(0.0)
    with pytest.raises(ZeroDivisionError):
        _ = 1 / k
