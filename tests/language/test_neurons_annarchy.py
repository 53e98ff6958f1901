"""Rate-coded neurons of the kinds that ANNarchy's manual and examples define, run on the CPU and the reference.

The models are theirs, the texts are ours: every form of the language that their definitions use occurs here,
under the name of the page or example that uses it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import weightsharing as ws

# name: what Neuron is given. Constants and functions that a definition needs are in SURROUNDINGS.
DEFINITIONS = {
    # Manual, "Rate-coded neurons": the first definition, with a function beside it.
    "leaky integrator": lambda: ws.Neuron(
        parameters=dict(tau=10.0, baseline=-0.2),
        equations=["tau * dv/dt + v = baseline + sum(exc)", "r = pos(v)"],
        functions="""
            sigmoid(x) = 1.0 / (1.0 + exp(-x))
        """,
    ),
    # The same in the older form of strings, with flags.
    "leaky integrator, strings": lambda: ws.Neuron(
        parameters="""
            tau = 10.0 : population
            baseline = -0.2
        """,
        equations="""
            tau * dv/dt + v = baseline + sum(exc) : init=-1.0, max=10.0, exponential
            r = v : min=0.0
        """,
    ),
    # Manual, "Equation parser": one ODE in the forms that mean the same.
    "forms of an equation": lambda: ws.Neuron(
        parameters=dict(tau=ws.Parameter(10.0), baseline=ws.Parameter(0.3, locality="local")),
        equations=[
            "tau * da/dt = baseline - a",
            "tau * db/dt + b = baseline",
            "tau * dc/dt + c - baseline = 0",
            "dv/dt = (baseline - v) / tau",
            "e += dt/tau * (baseline - e)",
            "r = a + b + c + v + e",
        ],
    ),
    # Manual, "Equation parser": initial values and bounds by parameters, method as an argument.
    "variables as objects": lambda: ws.Neuron(
        parameters=dict(tau=10.0, baseline=-0.1, first=-0.3, top=0.5),
        equations=[
            ws.Variable("count += 1", init=-1, type=int, locality="global"),
            ws.Variable("tau*dv/dt + v = baseline + sum(exc)", init="first", max="top", method="exponential"),
            ws.Variable("r = v", min=0.0),
        ],
    ),
    # Manual, "Equation parser": constants, one computed from others.
    "constants": lambda: ws.Neuron(equations=["real_tau * dr/dt + r = 1.0 + sum(exc) : max = ceiling"]),
    # Manual, "Equation parser": time in seconds, pi, a phase.
    "oscillation": lambda: ws.Neuron(
        parameters="f = 10.0; phase = pi/4",
        equations="""
            seconds = t / 1000.0
            r = 10.0 * (sin(2*pi*f*seconds + phase) + 1.0)
        """,
    ),
    # Manual, "Equation parser": nested conditionals over several lines, flags after the last.
    "piecewise linear": lambda: ws.Neuron(
        parameters="tau = 10.0 : population",
        equations="""
            tau*dmp/dt + mp = 3.0*sum(exc) - sum(inh)
            rate = if mp < 1. :
                       if mp > 0.:
                           mp
                       else:
                           0.
                   else:
                       1. : init = 0.6
            same = clip(mp, 0.0, 1.0)
            r = ite(mp > 0.0, ite(mp < 1.0, mp, 1.0), 0.0) + ite(rate is same, 1.0, 0.0)
        """,
    ),
    # Manual, "Equation parser": logic, comparisons, and a boolean parameter.
    "conditions": lambda: ws.Neuron(
        parameters="condition = true : bool; limit = 3 : int, population",
        equations="""
            x += 1 : int
            y = modulo(x, limit)
            flag = if (y > 0) and ( (sum(exc) < 0.1) or (not(condition)) or (x is not 4) ):
                       1.0
                   else:
                       0.0 : bool
            r = power(y, 3) + x^2 + flag
        """,
    ),
    # Manual, "Equation parser": functions, local, added, with types.
    "functions": lambda: ws.Neuron(
        parameters=dict(T=0.2),
        equations=["n = counted(n, sum(exc), T) : int", "r = transfer(sum(exc), 0.0) + 0.1*n + logistic(n)"],
        functions="""
            transfer(x, t) = if x > t: if x > 2*t + 0.5: (x - 2*t)^2 else: x - t else: 0.
            counted(c, v, t) = if v > t : c + 1 else: c : int, int, float, float
        """,
    ),
    # Example "Neural field": a field without noise, bounded.
    "neural field": lambda: ws.Neuron(
        parameters="tau = 10.0 : population",
        equations="tau * dr/dt + r = sum(exc) + sum(inh) : min=0.0, max=1.0",
    ),
    # Example "Bar learning": inputs that are held, a neuron that learns.
    "held rates": lambda: ws.Neuron(parameters="r = 0.0"),
    "bar learning": lambda: ws.Neuron(
        parameters=dict(tau=10.0),
        equations=ws.Variable("tau * dr/dt + r = sum(exc) - sum(inh)", min=0.0),
    ),
    # Example "Hybrid networks": a baseline transmitted as it is.
    "baseline": lambda: ws.Neuron(parameters="baseline = 0.25", equations="r = baseline"),
    # Example "Structural plasticity".
    "structural plasticity": lambda: ws.Neuron(
        parameters="""
            tau = 10.0 : population
            baseline = 0.4
        """,
        equations="""
            tau * dr/dt + r = baseline + sum(exc) : min = 0.0
        """,
    ),
    # Manual, "Structural plasticity": a slow mean of the rate.
    "sliding mean": lambda: ws.Neuron(
        parameters=dict(tau=10.0, baseline=0.2, tau_mean=100000.0),
        equations=[
            "tau * dv/dt + v = baseline + sum(exc)",
            "r = pos(v)",
            ws.Variable("tau_mean * dmean_r/dt = (r - mean_r)", init=0.5),
        ],
    ),
    # Example "Basal ganglia": a disinhibited nucleus.
    "disinhibition": lambda: ws.Neuron(
        parameters=dict(tau=10.0, B=1.0),
        equations=["tau*dv/dt + v = B - sum(inh)", "r= pos(v)"],
    ),
    # Example "BOLD monitoring": a balloon model's equations on a rate, several ODEs and powers.
    "haemodynamics": lambda: ws.Neuron(
        parameters="""
            second = 1000.0 : population
            kappa = 0.65; gamma = 0.41; alpha = 0.32; E_0 = 0.34; V_0 = 0.02
        """,
        equations="""
            I_CBF = sum(exc)
            second*ds/dt = I_CBF - kappa*s - gamma*(f_in - 1) : init=0
            df_in/dt = s/second : init=1, min=0.01
            E = 1 - (1 - E_0)^(1/f_in) : init=0.34
            f_out = v^(1/alpha) : init=1
            dq/dt = (f_in*E/E_0 - q/v*f_out)/second : init=1
            second * dv/dt = f_in - f_out : init=1, min=0.01
            r = V_0*(7*E_0*(1 - q) + 2*(1 - q/v) + (2*E_0 - 0.2)*(1 - v))
        """,
    ),
    # Example "Izhikevich", as a rate model: a quadratic pair, solved together.
    "quadratic pair": lambda: ws.Neuron(
        parameters="a = 0.02; b = 0.2; I = 4.0",
        equations="""
            dv/dt = 0.04*v^2 + 5.0*v + 140.0 - u + I + sum(exc) : init = -65.0, max = 30.0, midpoint
            du/dt = a*(b*v - u) : init = -13.0, midpoint
            r = pos(v + 65.0)/100.0
        """,
    ),
    # Manual, "Numerical methods": three solvers beside each other.
    "methods": lambda: ws.Neuron(
        parameters="tau = 10.0; I = 0.5",
        equations="""
            tau*dx/dt = -x - u + I + sum(exc) : explicit
            tau*du/dt = -u + I : exponential
            tau*dy/dt = -y - u + I : midpoint
            r = pos(x + y)
        """,
    ),
    # Manual, "Populations": a sigmoid with a slope.
    "sigmoid": lambda: ws.Neuron(
        parameters=dict(tau=10.0, slope=2.0, baseline=-0.2),
        equations=["tau * dv/dt + v = baseline + sum(exc)", "r = sigmoid(v, slope)"],
        functions="""
            sigmoid(x, k) = 1.0 / (1.0 + exp(-x*k))
        """,
    ),
    # Reference, "LeakyIntegrator".
    "ready-made": lambda: ws.LeakyIntegrator(tau=5.0, B=0.5, T=0.1),
}

NOISY = {
    # Example "Neural field".
    "noisy field": lambda: ws.Neuron(
        parameters="tau = 10.0 : population",
        equations="tau * dr/dt + r = sum(exc) + sum(inh) + Uniform(-0.5, 0.5) : min=0.0, max=1.0",
    ),
    "noisy input": lambda: ws.Neuron("baseline = 0.0", "r = pos(baseline + Uniform(-0.5, 0.5))"),
    # Manual, "Inputs".
    "noisy sine": lambda: ws.Neuron(equations="r = 2 + 2*sin(t/100) + Uniform(0, 1)"),
    # Example "Basal ganglia".
    "noisy cortex": lambda: ws.Neuron(
        parameters=dict(tau=10.0, noise=0.1),
        equations=[
            "tau*dv/dt + v = sum(exc) - sum(inh) + noise * Uniform(-1, 1)",
            ws.Variable("r = clip(v, 0.0, 1.0)", init=ws.Uniform(0.0, 1.0)),
        ],
    ),
    # Example "Reservoir computing".
    "reservoir": lambda: ws.Neuron(
        parameters=dict(tau=30.0, g=1.0, noise=0.01),
        equations=["tau * dx/dt + x = sum(in) + g * sum(exc) + noise * Uniform(-1, 1)", "r = tanh(x)"],
    ),
    # Example "Miconi network": perturbations, and a parameter with the name of a flag.
    "perturbed reservoir": lambda: ws.Neuron(
        parameters="""
            tau = 30.0 : population # ms
            constant = 0.0 # for units whose rate is held
            alpha = 0.05 : population; f = 3.0 : population; A = 16. : population
        """,
        equations="""
            # Does a perturbation come?
            perturbation = if Uniform(0.0, 1.0) < f/1000.: 1.0 else: 0.0
            noise = if perturbation > 0.5: A * Uniform(-1.0, 1.0) else: 0.0

            x += dt*(sum(in) + sum(exc) - x + noise)/tau
            rprev = r # before it changes
            r = if constant == 0.0: tanh(x) else: tanh(constant)
            delta_x = x - x_mean
            x_mean = alpha * x_mean + (1 - alpha) * x
        """,
    ),
    # Manual, "Random distributions".
    "noise between parameters": lambda: ws.Neuron(
        parameters=dict(low=-0.1, high=0.1),
        equations=["noise += low + (high - low)*Uniform(0, 1) + Normal(0.0, high)", "r = noise"],
    ),
    # Reference, "LeakyIntegrator".
    "ready-made with noise": lambda: ws.LeakyIntegrator(noise="Normal(0.0, 1.0)"),
}


@pytest.fixture(autouse=True)
def surroundings():
    ws.clear()
    tau, factor = ws.Constant("tau", 20), ws.Constant("factor", 0.1)
    ws.Constant("real_tau", tau * factor)
    ws.Constant("ceiling", 0.8)
    ws.add_function("logistic(x) = 1.0 / (1.0 + exp(-x))")
    yield
    ws.clear()


def simulated(neuron, backend, dtype, steps=25):
    """Values of all variables after some steps, with constant random input to every target."""
    network = ws.Network(dt=0.5, dtype=dtype, seed=3, backend=backend)
    population = network.create((3, 5), neuron)
    for target in neuron.targets:
        source = network.create((3, 5))
        source.r = ws.Uniform(-0.5, 1.0)
        ws.Projection(source, population, target).connect_one_to_one(0.75)
    network.compile()
    network.simulate(0.5 * steps)
    return {name: population.get(name) for name in population.variables}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_runs_alike_on_cpu_and_reference(name, dtype):
    neuron = DEFINITIONS[name]()
    found, expected = (simulated(neuron, backend, dtype) for backend in ("cpu", "reference"))
    precision = 2e-5 if dtype == "float32" else 1e-12
    for variable, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(found[variable], values, rtol=precision, atol=precision)


@pytest.mark.parametrize("name", NOISY)
def test_a_definition_with_noise_is_read(name):
    neuron = NOISY[name]()
    assert "r" in neuron.program().outputs
    population = ws.Network(dtype="float64").create((2, 3), neuron)
    values = {name: np.full((2, 3), population.get(name)) for name in population.attributes}
    loud = {name: array.copy() for name, array in values.items()}
    for noise, given in ((0.001, values), (0.75, loud)):
        neuron.evaluate(given, 1.0, 5.0, lambda kind, occurrence, noise=noise: np.full((2, 3), noise))
        assert all(np.isfinite(array).all() for array in given.values())
    assert any(not np.array_equal(values[name], loud[name]) for name in values)


def run(name, steps, dt=1.0, **inputs):
    """A population of one unit after some steps in double precision, with these inputs."""
    network = ws.Network(dt=dt, dtype="float64")
    population = network.create(1, DEFINITIONS[name]())
    for target, rate in inputs.items():
        source = network.create(1)
        source.r = rate
        ws.Projection(source, population, target).connect_one_to_one(1.0)
    network.compile()
    network.simulate(steps * dt)
    return population.neuron(0)


def test_forms_of_an_equation_by_hand():
    unit = run("forms of an equation", 3)
    expected = 0.3 * (1 - 0.9**3)
    assert [unit.get(name) for name in "abcve"] == pytest.approx([expected] * 5, rel=1e-12)
    assert unit.r == pytest.approx(5 * expected, rel=1e-12)


def test_exponential_with_bounds_by_hand():
    # v0 = -1, v -> 0.5 with a decay of exp(-0.2) per step of 2 ms.
    unit = run("leaky integrator, strings", 4, dt=2.0, exc=0.7)
    assert unit.v == pytest.approx(0.5 - 1.5 * math.exp(-0.8), rel=1e-12) and unit.r == 0.0
    unit = run("leaky integrator, strings", 9, dt=2.0, exc=0.7)
    assert unit.r == unit.v == pytest.approx(0.5 - 1.5 * math.exp(-1.8), rel=1e-12)


def test_conditions_by_hand():
    # x = 1, 2, 3, 4; y = x % 3; at x = 4 nothing of the condition holds: the input is 0.5.
    assert [run("conditions", steps, exc=0.5).r for steps in (1, 2, 3, 4, 5)] == [3.0, 13.0, 9.0, 17.0, 34.0]


def test_functions_by_hand():
    unit = run("functions", 2, exc=0.25)
    assert unit.n == 2.0
    assert unit.r == pytest.approx(0.25 + 0.2 + 1 / (1 + math.exp(-2)), rel=1e-12)
    assert run("functions", 1, exc=0.75).r == pytest.approx(0.5625 + 0.1 + 1 / (1 + math.exp(-1)), rel=1e-12)
    assert run("functions", 3, exc=-1.0).r == 0.5


def test_variables_as_objects_by_hand():
    unit = run("variables as objects", 2, exc=0.4)
    assert unit.count == 1.0 and unit.v == pytest.approx(0.3 - 0.6 * math.exp(-0.2), rel=1e-12)
    assert run("variables as objects", 50, exc=0.9).r == 0.5


def test_constants_by_hand():
    # real_tau is 2 ms: r halves its distance to 1 in each step, up to the ceiling.
    assert [run("constants", steps).r for steps in (1, 2, 3)] == [0.5, 0.75, 0.8]
