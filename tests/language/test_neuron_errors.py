"""Texts of neurons that are refused, and the place that the message shows."""

import pytest

from weightsharing.checks.errors import ExpressionError
from weightsharing.description.neuron import Neuron

pytestmark = pytest.mark.python_only


@pytest.mark.parametrize(
    ("argument", "text", "line", "column", "message"),
    [
        ("equations", "r = q", "r = q", 4, "unknown name 'q'"),
        ("equations", "v = 1\nr = v +\n  3*q\nx = 1", "  3*q", 4, "unknown name 'q'"),
        ("equations", "r = increment(r)", None, 4, "unknown function 'increment'"),
        ("equations", "r = pre.r", None, 4, "unknown name 'pre.r'"),
        ("equations", "tau*dr/dt*dr/dt = r", None, 4, "not linear in dr/dt"),
        ("equations", "dr/dt = sin(dr/dt)", None, 0, "not linear in dr/dt"),
        ("equations", "1/(dr/dt) = r", None, 3, "not linear in dr/dt"),
        ("equations", "dr/dt = r*r : exponential", None, 0, "not linear in r"),
        ("equations", "dr/dt + r = dr/dt", None, 0, "cancels out"),
        ("equations", "dr/dt = dv/dt", None, 8, "one derivative"),
        ("equations", "dr/dt = 1; dr/dt = 2", None, 11, "two differential equations"),
        ("equations", "dr/dt += 1", None, 6, "needs ="),
        ("equations", "dr/dt = 1 : rk4", None, 12, "the method 'rk4' is not available"),
        ("equations", "dr/dt = 1 : event-driven", None, 12, "not available"),
        ("equations", "dr/dt = 1 : exponential, midpoint", None, 25, "only one"),
        ("equations", "r = 1 : explicit", None, 8, "belongs to a differential equation"),
        ("equations", "r + v = 1", None, 0, "left side"),
        ("equations", "3 = 1", None, 0, "name of a variable"),
        ("equations", "r", None, 0, "needs one ="),
        ("equations", "= 3", None, 0, "needs one ="),
        ("equations", "r = ", None, 3, "empty"),
        ("equations", "r = v = 2", None, 6, "needs one ="),
        ("equations", "r = (1 + \n v = 2", "r = (1 + ", 4, "not closed"),
        ("equations", "r = 1 : foo", None, 8, "unexpected flag 'foo'; there are init="),
        ("equations", "r = if r > 1: 2 else: 3 : foo", None, 26, "unexpected flag 'foo'"),
        ("equations", "r = (2 if r > 1 else 3) : foo", None, 26, "unexpected flag 'foo'"),
        ("equations", "r = 1 : min 3", None, 8, "unexpected flag 'min'"),
        ("equations", "r = 1 :", None, 6, "unexpected ':'"),
        ("equations", "r = 1 : foo=3", None, 8, "unexpected flag 'foo'"),
        ("equations", "r = 1 : min=0, foo", None, 15, "unexpected flag 'foo'"),
        ("equations", "r = 1 : min", None, 8, "unexpected flag 'min'"),
        ("equations", "r = 1 : population=3", None, 8, "unexpected flag"),
        ("equations", "r = 1 : min=0, min=1", None, 15, "given twice"),
        ("equations", "r = 1 : min=", None, 8, "empty"),
        ("equations", "r = 1 : max=q", None, 12, "unknown name"),
        ("equations", "r = 1 : init=tua", None, 13, "unknown name"),
        ("equations", "r = 1 : init=Uniform(2, 1)", None, 13, "min <= max"),
        ("equations", "r = 1; r += 1 : init=2", None, 16, "first equation"),
        ("equations", "t = 1", None, 0, "cannot be used as a name"),
        ("equations", "max = 1", None, 0, "cannot be used as a name"),
        ("equations", "tau = 1", None, 0, "is a parameter already"),
        ("equations", "r = sum(1)", None, 4, "one target"),
        ("equations", "r = max()", None, 4, "takes 2 or more"),
        ("equations", "r = Uniform(1)", None, 4, "takes 2 arguments"),
        ("equations", "r = " + "(" * 60 + "1" + ")" * 60, None, 54, "nested"),
        ("parameters", "a = 1\nb = a", "b = a", 4, "unknown name 'a'"),
        ("parameters", "a = 1\na = 2", "a = 2", 0, "defined twice"),
        ("parameters", "a", None, 0, "needs one ="),
        ("parameters", "a += 1", None, 0, "name = value"),
        ("parameters", "2 = 1", None, 0, "name = value"),
        ("parameters", "a = ", None, 3, "empty"),
        ("parameters", "a = 1 : min=0", None, 8, "a parameter has no 'min'"),
        ("parameters", "a = 1.5 : int", None, 0, "flagged int"),
        ("parameters", "dt = 1", None, 0, "cannot be used as a name"),
        ("parameters", "a.b = 1", None, 0, "cannot be used as a name"),
        ("parameters", "_g = 1", None, 0, "begins with '_'"),
        ("equations", "r = 1\n_v = 1", "_v = 1", 0, "begins with '_'"),
        ("equations", "r = 1\nd_v/dt = 1", "d_v/dt = 1", 0, "begins with '_'"),
        ("equations", "r = Uniform(1, 0)", None, 4, "Uniform: min is 1.0 and max is 0.0"),
        ("equations", "r = 2*Normal(0, -1)", None, 6, "Normal: sigma is -1.0"),
        ("equations", "r = Normal(tau, -1)", None, 4, "Normal: sigma is -1.0"),
        ("equations", "r = Normal(0, tau, 2, 1)", None, 4, "Normal: min is 2.0 and max is 1.0"),
        (
            "equations",
            "r = 1 : quick",
            None,
            8,
            "there are init=, min=, max=, filter, population, constant, float, ",
        ),
        ("equations", "r = 1 : int, bool", None, 13, "one type is expected, not int and bool"),
        ("equations", "r = 1 : int, int", None, 13, "one type is expected"),
        ("equations", "r = t : min=5, max=1", None, 8, "min is 5.0 and max is 1.0"),
        ("equations", "r = 1 : int; r += 1 : bool", None, 22, "the type belongs to the first equation"),
        ("equations", "r = 1 : int, init=0.5", None, 13, "'r' is flagged int, but its value is 0.5"),
        ("equations", "r = 1 : init=tau, int", None, 8, "'r' is flagged int, but 'tau' is not"),
        ("parameters", "a = 1 : float, bool", None, 15, "one type is expected"),
        ("parameters", "a = 1 : filter, population", None, 16, "filter and population contradict"),
        ("parameters", "a = 2 : bool", None, 0, "'a' is flagged bool, but its value is 2.0"),
        ("parameters", "a = Uniform(0, 1) : bool", None, 0, "'a' is flagged bool, and Uniform"),
        ("functions", "f(x) = y", None, 7, "unknown name 'y'"),
        ("functions", "f(x) = f(x)", None, 7, "unknown function 'f'"),
        ("functions", "f(x) = Uniform(0, 1)", None, 7, "unknown function"),
        ("functions", "f(x) = sum(exc)", None, 7, "unknown function"),
        ("functions", "f() = 3", None, 0, "such as"),
        ("functions", "f = 3", None, 0, "such as"),
        ("functions", "f(x = 3", None, 1, "not closed"),
        ("functions", "f(x, 2) = 3", None, 0, "such as"),
        ("functions", "f(x, x) = 3", None, 2, "named twice"),
        ("functions", "f(x) = 3 : min=0", None, 11, "a function has no 'min'"),
        ("functions", "f(x) = 3 : int", None, 11, "expected 2 types"),
    ],
)
def test_errors_show_the_place(argument, text, line, column, message):
    given = {"parameters": "tau = 1.0", **{argument: text}}
    with pytest.raises(ExpressionError) as caught:
        Neuron(**given)
    first, place, caret = str(caught.value).split("\n")[:3]
    assert first.startswith(f"{argument}: ") and message in first
    if len(text) < 60:
        assert place == "    " + (text if line is None else line) and caret == " " * (4 + column) + "^"


def test_other_errors():
    for argument in ("parameters", "equations", "functions", "name", "description"):
        with pytest.raises(TypeError, match=argument):
            Neuron(**{argument: 3})
    with pytest.raises(TypeError, match="parameters: tau"):
        Neuron(parameters={"tau": "10"})
    with pytest.raises(ExpressionError, match="parameters"):
        Neuron(parameters={"not a name": 1.0})
    with pytest.raises(TypeError, match="constants: mu"):
        Neuron(constants={"mu": None})
    for argument in ("parameters", "constants"):
        for key in (
            "not a name",
            "2x",
            "a.b",
            "",
            " a",
            "if",
            "t",
            "sum",
            *["_a"] * (argument == "parameters"),
        ):
            with pytest.raises(ExpressionError, match=f"{argument}: .*name"):
                Neuron(**{argument: {key: 1.0}})
        for key in (3, None, b"a"):
            with pytest.raises(TypeError, match=f"{argument}: .*expected a name"):
                Neuron(**{argument: {key: 1.0}})
    with pytest.raises(TypeError, match="constants is 3"):
        Neuron(constants=3)
    with pytest.raises(ExpressionError, match="constants: r is the rate"):
        Neuron(constants={"r": 1.0})
    for argument in ("parameters", "constants"):
        with pytest.raises(ValueError, match=f"{argument}: a is too large"):
            Neuron(**{argument: {"a": 10**400}})
    with pytest.raises(ExpressionError, match="is a constant already"):
        Neuron(equations="mu = 2", constants={"mu": 1.0})
    doubling = "\n".join(["f0(x) = x*x", *(f"f{i}(x) = f{i - 1}(f{i - 1}(x))" for i in range(1, 30))])
    with pytest.raises(ExpressionError, match="nested too deeply or too long"):
        Neuron(functions=doubling)
    with pytest.raises(ExpressionError, match="at most 64"):
        crowd = "\n".join(f"x{i} = sum(exc) + x{(i + 1) % 80}*{i}" for i in range(80))
        Neuron(equations=crowd + "\nr = x0").program()


@pytest.mark.parametrize("reads", ["sum(exc)", "sum()", "B", "v"])
def test_variables_of_the_population_do_not_depend_on_the_unit(reads):
    for equations in (f"v = t; p = {reads} : population", f"dp/dt = {reads} : population; dv/dt = {reads}"):
        with pytest.raises(ExpressionError, match="differs between units"):
            Neuron("B = 0.0", equations + "; r = p")
    neuron = Neuron(
        "a = 1.0 : population", "p += a*dt : population; dq/dt = p : population; dz/dt = q; r = q"
    )
    assert [neuron.variables[key].local for key in "pqzr"] == [False, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"equations": "r = 1", "spike": "v > 1"}, TypeError, "spike: spiking neurons are not available"),
        ({"equations": "r = 1", "reset": "v = 0"}, TypeError, "reset: spiking"),
        ({"equations": "r = 1", "refractory": 5.0}, TypeError, "refractory: spiking"),
        ({"equation": "r = 1"}, TypeError, "no argument 'equation'"),
        ({"equations": "r = Exponential(1.0)"}, ExpressionError, "distribution Exponential is not available"),
        ({"equations": "dr/dt = 1 : implicit"}, ExpressionError, "'implicit' is not available"),
    ],
)
def test_what_is_not_there_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Neuron(**arguments)
