"""Neurons: ANNarchy's language, what it is reduced to, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.programs import run_program, same
from weightsharing.distributions import Normal, Uniform
from weightsharing.expressions import ExpressionError, build, constant, evaluate_tree
from weightsharing.neuron import Neuron


def arrays(neuron, shape=(4, 3), dtype=np.float64, seed=0, **given):
    """Everything a neuron reads: its initial values, random sums, and what is given."""
    generator = np.random.default_rng(seed)
    values = {}
    for key, attribute in neuron.attributes.items():
        initial = attribute.initial
        if isinstance(initial, (Uniform, Normal)):
            initial = initial.sample(shape if attribute.local else (1, 1), generator)
        values[key] = np.full(shape if attribute.local else (1, 1), initial, dtype=dtype)
    for target in neuron.targets:
        values[f"sum({target})"] = generator.normal(size=shape).astype(dtype)
    for key, value in given.items():
        values[key] = np.array(np.broadcast_to(value, shape), dtype=dtype)
    return values


def raw_noise(shape=(4, 3), seed=1):
    """The noise of one step: the same array whenever one occurrence is asked for."""
    return lambda kind, occurrence: getattr(np.random.default_rng([seed, occurrence]), {
        "uniform": "random", "normal": "standard_normal"}[kind])(shape)  # fmt: skip


def step(neuron, dt=1.0, t=0.0, draw=None, **given):
    """One update of a single unit; numbers in, numbers out."""
    values = arrays(neuron, (1, 1), **given)
    neuron.evaluate(values, dt, t, draw)
    return {key: float(values[key][0, 0]) for key in neuron.variables}


def shown(neuron):
    return {entry.name: repr(entry.tree) for entry in neuron.steps}


# ------------------------------------------------------------------------------- neurons as people write them

MODELS = {
    "leaky integrator": dict(
        parameters="""
            tau = 10.0 : population
            B = 0.0
            T = 0.1 : population
        """,
        equations="""
            tau * dv/dt + v = sum(exc) - sum(inh) + B : exponential
            r = pos(v - T)
        """,
    ),
    "noisy field": dict(
        parameters="tau = 10.0 : population",
        equations="tau * dr/dt + r = sum(exc) + sum(inh) + Uniform(-0.5, 0.5) : min=0.0, max=1.0",
    ),
    "field input": dict(
        parameters="baseline = 0.3",
        equations="""
            noise = Uniform(-0.5, 0.5)
            r = pos(baseline + noise)
        """,
    ),
    "bar learning": dict(
        parameters=["tau = 10.0 : population"], equations=["tau * dr/dt + r = sum(exc) - sum(inh) : min=0.0"]
    ),
    "held rates": dict(parameters="r = 0.0"),
    "hybrid input": dict(parameters="baseline = 0.0", equations="r = baseline"),
    "phasic": dict(
        parameters="""
            tau = 10.0 : population
            tau_adaptation = 500.0 : population
            K_adaptation = 1.0 : population
        """,
        equations="""
            g_dopa = sum(dopa)
            noise = Uniform(-0.1, 0.1)
            tau_adaptation * dadapted/dt + adapted = sum(exc)       # slow
            tau*dmp/dt + mp = pos(sum(exc) - K_adaptation * adapted)
                              - sum(inh) + noise : init = 0.2
            r = pos(mp) : max = 2.0
        """,
    ),
    "shunting": dict(
        parameters="tau = 10.0, \n threshold = 1.0,",
        equations="""
            tau*dmp/dt + mp = sum(exc) / (1.0 + pos(sum(inh))) - threshold*sum(dopa)
            r = if mp < 1.0 :
                    if mp > 0.: mp
                    else: 0.
                else:
                    1. : init = 0.6
        """,
    ),
    "basal ganglia": dict(
        parameters="""
            tau = 10.0; baseline = 0.4; noise = 0.1 : population
            tau_trace = 120.0 : population
            lesion = 1.0
        """,
        equations="""
            tau*dmp/dt + mp = sum(exc) - sum(inh) + baseline + noise*Uniform(-1.0,1.0)
            r = lesion*pos(mp)
            tau_trace*dtrace/dt + trace = r
        """,
    ),
    "up and down": dict(
        parameters="tau_up = 10.0 : population\ntau_down = 20.0 : population\nbaseline = 0.7",
        equations="""
            base = baseline + Normal(0.0, 0.1) : min=0.0
            dr/dt = if (baseline>0.01): (base-r)/tau_up else: -r/tau_down : min=0.0
        """,
    ),
    "sigmoid": dict(
        parameters="tau = 5.0; k = 4.0 : population; x0 = 0.5",
        equations="""
            tau*dv/dt = sum(exc) - v : exponential
            r = sigmoid(v, k, x0) - sigmoid(0, k, x0) : min=0.0
        """,
        functions="""
            logistic(x) = 1.0 / (1.0 + exp(-x))
            sigmoid(x, k, x0) = logistic(k*(x - x0))
        """,
    ),
    "sliding threshold": dict(
        parameters="tau = 10.0; tau_theta = 1000.0 : population",
        equations="""
            tau*dv/dt + v = sum(exc)
            r = v : min = 0.0
            tau_theta*dtheta/dt = r^2 - theta : init = 0.1, min = 0.0
        """,
    ),
    "oscillator": dict(
        parameters="f = 10.0; phi = pi/4",
        equations="""
            ts = t / 1000.0
            r = 10.0 * (sin(2*pi*f*ts + phi) + 1.0)
        """,
    ),
    "wilson cowan": dict(
        parameters="tau_e = 10.0; tau_i = 20.0; a = 1.5; b = 1.2",
        equations="""
            tau_e*de/dt = -e + (1 - e)*tanh(pos(a*e - b*i + sum(exc))) : midpoint, init=0.1
            tau_i*di/dt = -i + (1 - i)*tanh(pos(a*e)) : midpoint, init=0.05
            r = e
        """,
    ),
    "reservoir": dict(
        parameters="tau = 30.0 : population; g = 1.0 : population",
        equations="tau*dx/dt + x = sum(in) + g*sum(rec) + noise\nr = tanh(x)\nnoise = Normal(0, 0.01)",
    ),
    "counter": dict(
        parameters="limit = 3 : population, int",
        equations="""
            n += 1.0 : population, init=-1
            phase = modulo(n, limit)
            active = ite(phase == 0 and (sum(exc) > 0 or not(n < 5)), 1.0, 0.0) : bool
            r = 0.9*r + 0.1*active
        """,
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", MODELS)
def test_models_run_and_their_programs_agree(model, dtype):
    neuron = Neuron(**MODELS[model])
    values = arrays(neuron, dtype=dtype)
    program = neuron.program()
    assert set(program.outputs) == {entry.name for entry in neuron.steps if entry.name in neuron.variables}
    assert set(program.inputs) <= {*values, "t", "dt"} and program is neuron.program()
    neuron.check_divisors(values)
    for number in range(5):
        draw = raw_noise(seed=number)
        expected = run_program(program, {**values, "t": number * 0.5, "dt": 0.5}, dtype, draw)
        neuron.evaluate(values, 0.5, number * 0.5, draw)
        for key in program.outputs:
            assert values[key].dtype == dtype and np.isfinite(values[key]).all()
            if values[key].shape == (1, 1):
                expected[key] = expected[key][:1, :1]
            same(expected[key], values[key])


# ----------------------------------------------------------------------------------------------- declarations


def test_parameters():
    neuron = Neuron(
        parameters="""
            tau = 10.0 : population     # ms
            B = -2*pi
            n = 3 : int, constant; flag = True : bool
            start = Uniform(0.0, 1/2)
            r = 0.5,
        """
    )
    found = {key: (entry.initial, entry.locality, entry.local) for key, entry in neuron.parameters.items()}
    assert found == {
        "tau": (10.0, "population", False),
        "B": (-2 * np.pi, "local", True),
        "n": (3.0, "constant", False),
        "flag": (1.0, "local", True),
        "start": (Uniform(0.0, 0.5), "local", True),
        "r": (0.5, "local", True),
    }
    assert (
        not neuron.variables
        and not neuron.steps
        and not neuron.targets
        and neuron.attributes == neuron.parameters
    )
    neuron = Neuron(parameters={"tau": 10, "B": Normal(0.0, 1.0), "r": 0.0}, equations="r += B/tau" * 0)
    assert [entry.locality for entry in neuron.parameters.values()] == ["population", "local", "local"]


def test_variables_and_initial_values():
    neuron = Neuron(
        equations="v = 1 : init = -0.5\nphase += dt : population\nr = v : init=Normal(0, 1, -1, 1)"
    )
    assert {key: (entry.initial, entry.locality) for key, entry in neuron.variables.items()} == {
        "v": (-0.5, "local"),
        "phase": (0.0, "population"),
        "r": (Normal(0, 1, -1, 1), "local"),
    }


def test_the_rate_is_always_there():
    assert Neuron().variables["r"].local and not Neuron().steps
    neuron = Neuron("tau = 10.0", "tau*dtrace/dt + trace = r")
    assert set(neuron.variables) == {"trace", "r"} and neuron.program().outputs == ("trace",)
    with pytest.raises(ExpressionError, match="no equation defines or reads r"):
        Neuron(equations="v = sum(exc)")
    for arguments in (dict(parameters="r = 0 : population"), dict(equations="r = t : population")):
        with pytest.raises(ExpressionError, match="own rate"):
            Neuron(**arguments)


def test_targets_are_found_everywhere_and_in_order():
    neuron = Neuron(equations="v = sum( b ) - sum(a)\nr = v*sum(a) : max = sum(limit)")
    assert neuron.targets == ("b", "a", "limit")
    assert set(neuron.program().inputs) == {"sum(b)", "sum(a)", "sum(limit)"}
    # Nobody feeds them: 0.
    values = {"v": np.ones(2), "r": np.ones(2)}
    neuron.evaluate(values, 1.0, 0.0)
    assert not values["v"].any() and not values["r"].any()


def test_neurons_cannot_be_changed():
    neuron = Neuron("tau = 10.0", "tau*dr/dt + r = sum(exc)", name="plain", description="a test")
    assert (neuron.name, neuron.description) == ("plain", "a test")
    assert repr(neuron) == "Neuron(plain; tau = 10.0; tau*dr/dt + r = sum(exc))"
    with pytest.raises(AttributeError, match="cannot be changed"):
        neuron.name = "other"
    with pytest.raises(TypeError):
        neuron.parameters["tau"] = None


def test_subclasses_work_as_in_annarchy():
    class Rectifier(Neuron):
        def __init__(self, slope=1.0):
            super().__init__(parameters=f"slope = {slope}", equations="r = pos(slope*sum(exc))")

    assert step(Rectifier(2.0), **{"sum(exc)": 3.0})["r"] == 6.0


# -------------------------------------------------------------------------------------------------- equations


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


# ------------------------------------------------------------------------------------- differential equations


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


# ----------------------------------------------------------------------------------------------------- errors


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


def test_zero_divisors_are_named_before_a_run():
    neuron = Neuron(
        "tau = 0.0 : population; a = 1.0; b = 1.0; s = Uniform(0, 1)",
        """
        tau*dv/dt + v*sum(inh) = sum(exc) : exponential
        r = v/(a - b*2) + v/(1 + v) + 1/s + (if a > 0: 1/a else: 0)
        """,
    )
    with pytest.raises(ValueError, match=r"tau = 0\.0: the equation 'tau\*dv/dt \+ v\*sum"):
        neuron.check_divisors({})
    neuron.check_divisors({"tau": np.ones((1, 1))})
    with pytest.raises(ValueError, match=r"a \(per unit\) and b = 1\.0"):
        neuron.check_divisors({"tau": 1.0, "a": np.array([1.0, 2.0, 3.0])})
    neuron.check_divisors({"tau": 1.0, "a": 0.0})
    with pytest.raises(ValueError, match=r"s = 0\.0"):
        neuron.check_divisors({"tau": 1.0, "s": np.zeros(1)})


@pytest.mark.parametrize(
    "right",
    [
        "if sum(exc) > 0: 1.0 else: sum(exc)/a",
        "if 0.5: 1.0 else: sum(exc)/a",
        "a or 1/a",
        "(a != 0) and 1/a",
        "sum(exc) and (1 + 1/a)",
    ],
)
def test_divisors_that_need_not_count_may_be_zero(right):
    Neuron("a = 0.0", f"r = {right}").check_divisors({})
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        Neuron("a = 0.0", f"r = 1/a + ({right})").check_divisors({})


@pytest.mark.parametrize("right", ["if 1/a > 0: 1.0 else: 2.0", "1/a or 2", "1/a and 2"])
def test_divisors_in_a_condition_always_count(right):
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        Neuron("a = 0.0", f"r = {right}").check_divisors({})


def test_divisors_of_one_changed_parameter():
    neuron = Neuron("a = 0.0; b = 1.0; c = 1.0", "r = 1/a + 1/b + c")
    neuron.check_divisors({}, ("b",))
    neuron.check_divisors({}, ("c",))
    with pytest.raises(ValueError, match=r"a = 0\.0"):
        neuron.check_divisors({}, ("a",))


class Leaky(Neuron):
    def __init__(self, tau):
        super().__init__({"tau": tau, "s": Uniform(0, 1)}, ["tau*dr/dt + r = f(K)"], "f(x) = x*x", name="leaky",
                         constants={"K": 3.0})  # fmt: skip


def test_neurons_are_pickled_and_copied():
    assert copy.copy(NEURON) is NEURON and copy.deepcopy(NEURON) is NEURON
    for neuron in (Leaky(5.0), *(Neuron(**model) for model in MODELS.values())):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(neuron, protocol))
            assert type(again) is type(neuron) and repr(again) == repr(neuron)
            assert again.steps == neuron.steps and again.attributes == neuron.attributes
            assert again.constants == neuron.constants and again.name == neuron.name


NEURON = Neuron("tau = 10.0", "tau*dr/dt + r = sum(exc)")


def test_steps_suffice_to_execute_a_neuron():
    """What a backend does: evaluate every step in turn and keep its value."""
    neuron = Neuron(**MODELS["wilson cowan"])
    values = arrays(neuron)
    kept = dict(values, t=0.0, dt=1.0)
    for entry in neuron.steps:
        kept[entry.name] = evaluate_tree(entry.tree, kept, np.dtype(np.float64))
    neuron.evaluate(values, 1.0, 0.0)
    for key in neuron.variables:
        same(kept[key], values[key])


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
