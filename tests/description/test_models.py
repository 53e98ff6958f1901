"""The ready-made neuron, and definitions with Parameter and Variable objects."""

import pickle

import numpy as np
import pytest

import weightsharing as ws


def test_leaky_integrator_by_hand():
    network = ws.Network(dtype="float64")
    neuron = ws.LeakyIntegrator(tau=5.0, B=0.5, T=0.25)
    population = network.create(2, neuron)
    assert neuron.targets == ("exc", "inh")
    assert (population.tau, population.T, population.B.tolist()) == (5.0, 0.25, [0.5, 0.5])
    population.B = [2.0, 0.1]
    network.compile()
    network.simulate(3.0)
    expected = (1 - np.exp(-3 / 5.0)) * np.array([2.0, 0.1])
    np.testing.assert_allclose(population.v, expected, rtol=1e-12)
    np.testing.assert_allclose(population.r, [expected[0] - 0.25, 0.0], rtol=1e-12)


def test_leaky_integrator_s_arguments():
    neuron = ws.LeakyIntegrator(
        sum="sum(ampa)/(1 + sum(gaba))", noise="0.5*Normal(0.0, 1.0)", B=ws.Uniform(0, 1)
    )
    assert neuron.targets == ("ampa", "gaba") and neuron.program().outputs == ("v", "r")
    assert neuron.parameters["B"].initial == ws.Uniform(0, 1) and neuron.parameters["B"].local
    again = pickle.loads(pickle.dumps(neuron))
    assert type(again) is ws.LeakyIntegrator and again.targets == neuron.targets
    network = ws.Network()
    assert network.create(3, ws.LeakyIntegrator).tau == 10.0
    for arguments in ({"sum": 3}, {"noise": 1.0}, {"tau": "10"}, {"B": None}):
        with pytest.raises(TypeError, match=next(iter(arguments))):
            ws.LeakyIntegrator(**arguments)
    with pytest.raises(ws.ExpressionError, match="unknown name 'exc'"):
        ws.LeakyIntegrator(sum="exc")


def test_parameters_as_objects():
    neuron = ws.Neuron(
        {
            "tau": ws.Parameter(10.0),
            "B": ws.Parameter(ws.Uniform(0, 1), locality="local"),
            "n": ws.Parameter(3, type=int),
            "on": ws.Parameter(True, "global", "bool"),
            "drawn": ws.Parameter(ws.Normal(0, 1)),
            "r": ws.Parameter(0.5, "local"),
        }
    )
    found = {key: (entry.initial, entry.locality) for key, entry in neuron.parameters.items()}
    assert found == {
        "tau": (10.0, "population"), "B": (ws.Uniform(0, 1), "local"), "n": (3.0, "population"),
        "on": (1.0, "population"), "drawn": (ws.Normal(0, 1), "population"), "r": (0.5, "local"),
    }  # fmt: skip
    assert isinstance(ws.Network(seed=1).create(3, neuron).drawn, float)


def test_variables_as_objects():
    neuron = ws.Neuron(
        {"tau": 10.0, "first": -0.5},
        [
            ws.Variable("tau*dv/dt + v = sum(exc)", init="first", min=-1, max="2*tau", method="exponential"),
            ws.Variable("n += 1", init=3, type=int, locality="global"),
            ws.Variable("u = u + 0.5", init=ws.Normal(0.5, 0.25, 0.0, 1.0)),
            ws.Variable("w = w", init=ws.Uniform(-1, 1)),
            "r = v + u + w : min=0.0",
        ],
    )
    same = ws.Neuron(
        {"tau": 10.0, "first": -0.5},
        """
        tau*dv/dt + v = sum(exc) : init=first, min=-1.0, max=2*tau, exponential
        n += 1 : init=3, int, population
        u = u + 0.5 : init=Normal(0.5, 0.25, 0.0, 1.0)
        w = w : init=Uniform(-1.0, 1.0)
        r = v + u + w : min=0.0
        """,
    )
    assert neuron.variables == same.variables and neuron.steps == same.steps
    alone = ws.Neuron({}, ws.Variable("r = t", max=3.0))
    assert alone.steps == ws.Neuron({}, "r = t : max=3.0").steps
    assert pickle.loads(pickle.dumps(neuron)).steps == neuron.steps


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ws.Parameter(1.0, "semiglobal"), ValueError, "synapses"),
        (lambda: ws.Parameter(1.0, "here"), ValueError, "locality is 'here'; expected 'global' or 'local'"),
        (lambda: ws.Parameter(1.0, type=complex), ValueError, "type is"),
        (lambda: ws.Parameter(None), TypeError, "Parameter: value"),
        (lambda: ws.Parameter(np.nan), ValueError, "Parameter: value"),
        (lambda: ws.Variable(3), TypeError, "equation"),
        (lambda: ws.Variable("r = 1", init=[1.0]), TypeError, "init"),
        (lambda: ws.Variable("r = 1", min=np.inf), ValueError, "min"),
        (lambda: ws.Variable("r = 1", method=3), TypeError, "method"),
        (lambda: ws.Neuron({"n": ws.Parameter(2.5, type="int")}), ValueError, "'n' is flagged int"),
        (
            lambda: ws.Neuron({}, [ws.Variable("dr/dt = 1", method="rk4")]),
            ValueError,
            "'rk4' is not available",
        ),
        (lambda: ws.Neuron({}, [ws.Variable("r = 1", method="explicit")]), ValueError, "method belongs"),
        (lambda: ws.Neuron({}, [ws.Variable("r = 1 : min=0", max=1)]), ValueError, "min=0"),
        (lambda: ws.Neuron({}, [3]), TypeError, "equations"),
    ],
)
def test_wrong_objects(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_variable_starts_from_a_parameter():
    network = ws.Network(seed=1)
    neuron = ws.Neuron(
        "first = Uniform(1, 2); common = 3.0 : population", "v = v : init=first\nu = u : init=common\nr = v"
    )
    population, other = network.create(3, neuron), network.create(3, neuron)
    np.testing.assert_array_equal(population.v, population.first)
    assert (population.u == 3.0).all() and len(np.unique(population.v)) == 3
    population[1:].first = 7.0
    population.common = 5.0
    other.u = 9.0
    other.set({"common": 6.0, "first": [1, 2, 3], "v": 8.0})
    assert population.v[0] < 2.0 and population.v[1:].tolist() == [7.0, 7.0] and (population.u == 5.0).all()
    assert (other.u == 9.0).all() and (other.v == 8.0).all()
    network.compile()
    population.common = 4.0
    assert (population.u == 5.0).all()
    network.reset()
    assert (population.u == 5.0).all() and population.common == 5.0
    with pytest.raises(ws.ExpressionError, match="'first' differs between units"):
        ws.Neuron("first = 1.0", "v = 1 : init=first, population\nr = v")
    with pytest.raises(ws.ExpressionError, match="unknown name 'v'"):
        ws.Neuron("first = 1.0", "v = 1\nu = 1 : init=v\nr = v")
