"""Neurons: what they declare, whole models, and what one does with a neuron."""

import copy
import pickle

import numpy as np
import pytest

from strategies.neurons import arrays, raw_noise, step
from strategies.programs import run_program, same
from weightsharing.checks.errors import ExpressionError
from weightsharing.description.neuron import Neuron
from weightsharing.language.distributions import Normal, Uniform
from weightsharing.language.evaluation import evaluate_tree

pytestmark = pytest.mark.python_only

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
