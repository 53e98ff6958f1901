"""Differential equations: the three methods, and which texts are linear."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.neurons import shown, step
from weightsharing.description.neuron import Neuron

pytestmark = pytest.mark.python_only


@pytest.mark.parametrize(
    "equation",
    [
        "tau*dr/dt + r = sum(exc) + B", "tau * dr / dt = sum(exc) + B - r", "dr/dt = (sum(exc) + B - r)/tau",
        "tau*dr/dt + r - B - sum(exc) = 0", "0 = -tau*dr/dt + B - r + sum(exc)", "sum(exc) - r = tau*dr/dt - B",
        "r = -tau*dr/dt + B + sum(exc)", "B = tau*dr/dt + r - sum(exc)", "-dr/dt*tau = r - (B + sum(exc))",
        "(dr/dt)*tau/2 + dr/dt*(tau/2) = sum(exc) + B - r", "dr/dt - (sum(exc) + B)/tau = -r/tau",
        "(tau*dr/dt + r)/3 = (sum(exc) + B)/3", "tau*dr/dt = if B > 0: sum(exc) + B - r else: 0",
        "(if B > 0: tau*dr/dt else: dr/dt) = B + sum(exc) - r",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["explicit", "exponential", "midpoint"])
def test_every_form_that_is_linear_in_the_derivative(equation, method):
    neuron = Neuron("tau = 8.0 : population\nB = 0.5", f"{equation} : {method}, init=0.25")
    got = step(neuron, dt=2.0, **{"sum(exc)": 3.0})["r"]
    change = 3.5 - 0.25
    portion = {"explicit": 2 / 8, "exponential": 1 - np.exp(-2 / 8), "midpoint": 2 / 8 * (1 - 1 / 8)}[method]
    assert got == pytest.approx(0.25 + portion * change, rel=1e-14)
    assert neuron.variables["r"].initial == 0.25 and neuron.steps[-1].name == "r"


def test_explicit_euler_is_what_annarchy_writes():
    assert shown(Neuron("tau = 10.0", "tau*dr/dt + r = sum(exc)")) == {
        "r": "(r + (dt * ((sum(exc) - r) / tau)))"
    }


def test_consecutive_equations_use_the_old_values():
    together = Neuron(equations="dx/dt = -y : init=1; dy/dt = x : init=2\nr = x")
    assert step(together, dt=0.5, x=1.0, y=2.0) == {"x": 0.0, "y": 2.5, "r": 0.0}
    apart = Neuron(equations="dx/dt = -y : init=1\nr = x\ndy/dt = x : init=2")
    assert step(apart, dt=0.5, x=1.0, y=2.0) == {"x": 0.0, "r": 0.0, "y": 2.0}
    # Bounds are applied after the increments.
    bounded = Neuron(equations="dx/dt = -y : min = 0.75; dy/dt = x; r = x")
    assert step(bounded, dt=0.5, x=1.0, y=2.0) == {"x": 0.75, "y": 2.5, "r": 0.75}


def test_exponential_is_exact_for_a_constant_input():
    neuron = Neuron("tau = 3.0; k = 0.7", "dr/dt = -k*r + (1 - r)/tau*2 + 0.1 : exponential")
    decay, drive = 0.7 + 2 / 3, 2 / 3 + 0.1
    assert step(neuron, dt=5.0, r=0.2)["r"] == pytest.approx(
        drive / decay + (0.2 - drive / decay) * np.exp(-decay * 5.0), rel=1e-14
    )
    # Without decay, for ever or for now, Euler's step is exact.
    assert step(Neuron("", "dr/dt = 2 : exponential"), dt=0.5)["r"] == 1.0
    shunted = Neuron("", "dr/dt = sum(exc) - sum(inh)*r : exponential")
    assert step(shunted, dt=0.5, **{"sum(exc)": 3.0, "sum(inh)": 0.0})["r"] == 1.5
    # A step much smaller than tau keeps its accuracy in float32.
    values = {"r": np.zeros(1, np.float32), "tau": np.full(1, 1e7, np.float32)}
    Neuron("tau=1", "tau*dr/dt + r = 1 : exponential").evaluate(values, 1.0, 0.0)
    assert values["r"][0] == pytest.approx(1e-7, rel=1e-6)


def test_exponential_takes_a_limit_that_is_exact():
    tree = repr(Neuron("tau = 10.0", "tau*dr/dt + r = sum(exc) : exponential").steps[0].tree)
    assert tree == "(r + ((-expm1(((-1.0 * dt) / tau))) * (sum(exc) - r)))"


def test_midpoints_of_consecutive_equations_are_joint():
    neuron = Neuron(equations="dx/dt = y : midpoint; dy/dt = -x : midpoint; dr/dt = x + y")
    # Of x = 1, y = 2 with dt = 1 the midpoints are 2 and 1.5; r is explicit and takes the old values.
    assert step(neuron, x=1.0, y=2.0, r=0.0) == {"x": 2.5, "y": 0.0, "r": 3.0}


def test_midpoint_has_second_order():
    neuron = Neuron(equations="dx/dt = -y : midpoint; dy/dt = x : midpoint; r = x")

    def error(dt):
        values = {"x": np.ones(1), "y": np.zeros(1), "r": np.zeros(1)}
        for number in range(round(1.0 / dt)):
            neuron.evaluate(values, dt, number * dt)
        return abs(values["x"][0] - np.cos(1.0))

    assert 3.7 < error(0.02) / error(0.01) < 4.3


def test_methods_may_be_mixed():
    neuron = Neuron(
        "tau=2.0", "dx/dt = -y*x : midpoint\ntau*dy/dt + y = x : exponential\ndz/dt = x + y\nr = z"
    )
    got = step(neuron, dt=0.5, x=1.0, y=2.0, z=0.0)
    assert got["x"] == pytest.approx(1 - 0.5 * 2 * (1 - 0.25 * 2)) and got["z"] == 1.5
    assert got["y"] == pytest.approx(2 + (1 - np.exp(-0.25)) * (1 - 2))


def test_names_that_look_like_derivatives():
    assert step(Neuron("dopa = 3.0", "r = dopa/dt"), dt=0.5)["r"] == 6.0
    assert step(Neuron("dr = 3.0", "r = dr/dt"), dt=0.5)["r"] == 6.0
    assert step(Neuron("d = 3.0", "r = d/dt"), dt=0.5)["r"] == 6.0


numbers = st.floats(-3, 3).map(lambda value: round(value, 3))


@given(numbers, numbers, numbers, st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([0.7, 10.0, 30.0]))
def test_any_linear_equation_is_solved_right(a, b, x, dt, tau):
    text = f"tau*({a}*dr/dt - r) = {b}*(r - dr/dt)*tau - 3*tau*dr/dt*2 + sum(exc)"
    factor = a + b + 6
    if abs(factor) < 0.1:
        return
    slope = ((1 + b) * tau * x + 0.75) / (factor * tau)
    for method in ("explicit", "exponential"):
        neuron = Neuron(f"tau = {tau}", f"{text} : {method}")
        rate = (1 + b) / factor
        portion = dt if method == "explicit" or rate == 0 else np.expm1(rate * dt) / rate
        got = step(neuron, dt=dt, r=x, **{"sum(exc)": 0.75})["r"]
        assert got == pytest.approx(x + portion * slope, rel=1e-9, abs=1e-9)
