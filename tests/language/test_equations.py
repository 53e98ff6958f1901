"""Equations: assignments, increments, bounds, types, functions and noise."""

import pickle

import numpy as np
import pytest

import weightsharing as ws
from strategies.neurons import step
from weightsharing.checks.errors import ExpressionError
from weightsharing.description.neuron import Neuron
from weightsharing.language.distributions import Uniform
from weightsharing.language.tree import build, constant

pytestmark = pytest.mark.python_only


def test_assignments_see_new_values_in_written_order():
    neuron = Neuron(equations="a = r + 1; b = a*10\nr = a + b; c = r")
    assert step(neuron, r=1.0) == {"a": 2.0, "b": 20.0, "r": 22.0, "c": 22.0}
    assert neuron.program().inputs == ("r",)


def test_increments():
    neuron = Neuron(equations="a += 2; b -= a; c *= 3; d /= 4; r = r")
    assert step(neuron, a=1.0, b=1.0, c=1.0, d=1.0) == {"a": 3.0, "b": -2.0, "c": 3.0, "d": 0.25, "r": 0.0}


def test_bounds_follow_each_equation_and_keep_nan():
    neuron = Neuron("low = -1.0; high = 2.0", "v = sum(exc) : max = high + low, min = low\nr = v")
    got = [step(neuron, **{"sum(exc)": value})["r"] for value in (-5.0, 0.5, 7.0, np.inf, np.nan)]
    np.testing.assert_array_equal(got, [-1.0, 0.5, 1.0, 1.0, np.nan])


def test_types_of_variables():
    neuron = Neuron(equations="n = sum(exc) : int\nb = sum(exc) : bool\nr = n")
    got = [
        (step(neuron, **{"sum(exc)": x})["n"], step(neuron, **{"sum(exc)": x})["b"]) for x in (2.7, -2.7, 0.0)
    ]
    assert got == [(2.0, 1.0), (-2.0, 1.0), (0.0, 0.0)]


def test_every_equation_of_a_variable_has_its_type():
    neuron = Neuron(equations="n = 1 : int; n += 2.75; r = n")
    assert step(neuron) == {"n": 3.0, "r": 3.0}


def test_square_roots_by_powers_are_those_of_c():
    with np.errstate(all="raise"):
        for parameters, exponent in (("e = 0.5", "e"), ("e = 0.5 : population", "e"), ("", "0.5")):
            neuron = Neuron(parameters, f"r = v^{exponent}; v = v")
            for dtype in (np.float32, np.float64):
                values = {"v": np.array([-np.inf, -0.0, 4.0, -1.0, np.nan], dtype), "r": np.zeros(5, dtype)}
                neuron.evaluate(values | {"e": np.array([0.5], dtype)}, 1.0, 0.0)
                assert repr(values["r"].tolist()) == "[inf, 0.0, 2.0, nan, nan]"
        folded = build("power", constant(-np.inf), constant(0.5))
        assert folded.value == np.inf


def test_statements_over_several_lines():
    neuron = Neuron(
        equations="""
            r = (1.0   # a comment; with a semicolon = and more
                 + 2.0)
                * 3.0
                : init = 0.5
            v = if r > 5.0:
                    min(r, 7.0, 8.0)
                else:
                    clip(r, 0.0, 1.0) : min=1.0, max=clip(6.5, 0, 10)
        """
    )
    assert step(neuron) == {"r": 9.0, "v": 6.5} and neuron.variables["r"].initial == 0.5


def test_functions_are_written_out():
    functions = "half(x) = x/2 : float, float\nmean(x, y) = half(x) + half(y)\nstep(x) = if x > 0: 1 else: 0"
    neuron = Neuron("y = 5.0", "r = mean(y, half(8)) + step(-y) + pos(-1)", functions)
    assert step(neuron)["r"] == 4.5
    # Arguments are values, not text, and may have the names of variables.
    assert step(Neuron("y = 5.0", "r = twice(1 + y)", "twice(y) = y*2"))["r"] == 12.0
    # A function of one's own goes before one of ours.
    assert step(Neuron("", "r = pos(3)", "pos(x) = -x"))["r"] == -3.0


def test_extra_values():
    """Names in quotes, as scripts for ANNarchy keep their numbers in one dictionary."""
    values = {
        "tau": 20.0, "time of layer 4 (ms); 'x'": np.float32(3), "n": 2, "on": True, "drawn": Uniform(0, 1),
        "not used": "text", 5: None,
    }  # fmt: skip
    neuron = Neuron(
        """
            tau = 'tau' : population  # in ms
            b = "time of layer 4 (ms); 'x'" : population ; n = "n" : int, population
            on = 'on' : bool
            local = 'drawn',
        """,
        "tau*dr/dt + r = b*n",
        extra_values=values,
    )
    initial = {key: parameter.initial for key, parameter in neuron.parameters.items()}
    assert initial == {"tau": 20.0, "b": 3.0, "n": 2.0, "on": 1.0, "local": Uniform(0, 1)}
    assert not neuron.parameters["tau"].local and neuron.parameters["local"].local
    again = pickle.loads(pickle.dumps(neuron))
    assert again.parameters == neuron.parameters and repr(again) == repr(neuron)
    for parameters, extra, error, says in (
        (
            "a = 'b'",
            {"c": 1.0},
            ExpressionError,
            r"extra_values has no 'b'; it has 'c'\n    a = 'b'\n        \^",
        ),
        ("a = 'b'", None, ExpressionError, "it has nothing"),
        ("a = 'b'", {"b": "c"}, TypeError, "extra_values: b is 'c'"),
        ("a = 'b'", {"b": [1.0]}, TypeError, "extra_values: b"),
        ("a = 'b'", {"b": np.nan}, ValueError, "extra_values: b"),
        ("a = 'b' : int", {"b": 1.5}, ExpressionError, "flagged int"),
        ("a = 2*'b'", {"b": 1.0}, ExpressionError, "whole value of a parameter"),
        ("a = 'b", {"b": 1.0}, ExpressionError, "unexpected character"),
        ("'b' = 1", {"b": 1.0}, ExpressionError, "expected 'name = value'"),
        ("a = 1", 3, TypeError, "extra_values is 3"),
    ):
        with pytest.raises(error, match=says):
            Neuron(parameters, "r = a", extra_values=extra)
    with pytest.raises(ExpressionError, match="unexpected character"):
        Neuron(equations="r = 'b'", extra_values={"b": 1.0})


def test_constants_are_inputs():
    neuron = Neuron("a = 1.0", "r = a*mu", constants={"mu": 0.2, "a": 7.0, "unused": 1.0})
    assert neuron.constants == {"mu": 0.2} and "mu" in neuron.program().inputs
    assert step(neuron)["r"] == 0.2 and step(neuron, mu=3.0)["r"] == 3.0


# ------------------------------------------------------------------------------------------------------ noise


def test_every_occurrence_draws_once():
    asked = []

    def draw(kind, occurrence):
        asked.append((kind, occurrence))
        return {0: 0.25, 1: 0.5, 2: 2.0}[occurrence]

    neuron = Neuron("s = 3.0", "dx/dt = square(Uniform(-1, 1)) : midpoint\nr = Uniform(0, s) + Normal(10, s) + x",
                    "square(x) = x*x")  # fmt: skip
    got = step(neuron, draw=draw)
    assert got["x"] == 0.25 and got["r"] == 0.5 * 3 + 10 + 2 * 3 + 0.25
    assert asked == [("uniform", 0), ("uniform", 1), ("normal", 2)]
    assert step(Neuron("", "r = Normal(0, 5, -1, 1)"), draw=lambda kind, occurrence: 3.0)["r"] == 1.0
    with pytest.raises(ValueError, match="draw"):
        step(neuron)


# ---------------------------------------------------------------------- what other scripts of ANNarchy's write


def test_flags_are_names_too_where_nothing_else_is_meant():
    neuron = Neuron(
        "constant = 0.5; population = 2.0 : population",
        "r = if population > t : constant else: constant\nv = if t > 1: 1 else: population : constant, init=2",
    )
    assert neuron.parameters["constant"].local and not neuron.parameters["population"].local
    assert step(Neuron("constant = 0.5", "r = if t > 1: 1 else: constant"))["r"] == 0.5
    assert neuron.variables["v"].locality == "constant" and neuron.variables["v"].initial == 2.0


def test_booleans_in_lower_case():
    neuron = Neuron("on = true : bool; off = false", "r = if on is true: 1 else: 2")
    assert [entry.initial for entry in neuron.parameters.values()] == [1.0, 0.0]
    assert step(neuron)["r"] == 1.0


def test_types_of_functions():
    functions = (
        "count(c, v, t) = if v > t : c + 1.5 else: c : int, int, float, float\nany(x) = x : bool, float"
    )
    neuron = Neuron("a = 2.75", "r = count(a, 3.0, 2.5)\nv = count(-a, 1, 2)\nu = any(a)", functions)
    assert step(neuron) == {"r": 3.0, "v": -2.0, "u": 1.0}


def test_added_functions():
    ws.clear()
    ws.Constant("k", 3.0)
    ws.add_function("gain(t) = k*t")
    ws.add_function("twice(x) = 2*gain(x)")
    neuron = Neuron(equations="r = twice(1.5) + own(1)", functions="own(x) = gain(x)")
    assert step(neuron)["r"] == 12.0
    # One that is not called may need a constant that the neuron hides.
    assert step(Neuron(equations="k = 2\nr = k"))["r"] == 2.0
    assert step(Neuron(equations="r = gain(1)", functions="gain(x) = 7*x"))["r"] == 7.0
    ws.add_function("gain(x) = 5")
    assert step(Neuron(equations="r = gain(1)"))["r"] == 5.0
    for wrong, error in [(3, TypeError), ("f(x) = y", ValueError), ("", ValueError), ("f = 1", ValueError)]:
        with pytest.raises(error):
            ws.add_function(wrong)
    with pytest.raises(ExpressionError, match="2 definitions"):
        ws.add_function("f(x) = x\ng(x) = x")
    again = pickle.dumps(neuron)
    ws.clear()
    assert step(pickle.loads(again))["r"] == 12.0
    with pytest.raises(ExpressionError, match="unknown function 'gain'"):
        Neuron(equations="r = gain(1)")
