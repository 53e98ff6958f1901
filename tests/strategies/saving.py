"""A network with all that a file keeps, and everything that can be read of it."""

import json

import numpy as np

import weightsharing as ws

NOISY = ws.Neuron(
    parameters="gain = 0.9 : population\noffset = 0.5\nbias = 0.1 : filter",
    equations="mp = 0.5*mp + sum(exc) + offset + bias + 0.1*Normal(0, 1)\nr = gain*mp : init=Uniform(0, 1)",
)


def build(seed, batch=None, dtype="float32", update="feedforward", delay=2.0, history="zeros", backend="cpu"):
    """A network with random parts: those of another seed are not the same."""
    network = ws.Network(dt=0.5, seed=seed, batch=batch, dtype=dtype, update=update)
    pre = network.create((5, 6), name="pre")
    units = network.create((5, 6), NOISY, name="units")
    late = network.create(4, ws.Neuron(equations="r = sum(exc) - sum(inh)"), name="late")
    generator = network.random_generator
    ws.Convolution(pre, units, "exc").connect_filter(
        generator.normal(size=(2, 3, 3)), time_axis=True, delays=delay, history=history
    )
    drawn = ws.Projection(units, late, "exc", name="drawn").connect_fixed_probability(0.4, ws.Uniform(0, 1))
    ws.Copy(units, late, "inh").connect_copy(drawn)
    ws.PointwiseProjection(
        pre, units, "exc", weight=ws.Uniform(0, 1), delays=np.arange(30.0).reshape(5, 6) % 3
    )
    pre.r = ws.Uniform(0, 1)
    network.compile(backend)
    return network


def state(network):
    """Everything that can be read."""
    found = {"time": network.time, "seed": network.seed, "first trial": network.first_trial}
    found["draws"] = json.dumps(network.random_generator.bit_generator.state)
    for population in network.populations:
        for name in population.attributes if population is not network.populations[0] else ["r"]:
            found[f"{population.name} {name}"] = population.get(name)
        for target in ("exc", "inh"):
            found[f"{population.name} sum({target})"] = population.sum(target)
    for projection in network.projections:
        weights = projection._link.weights
        if weights is not None:
            for number, array in enumerate(weights.arrays):
                found[f"{projection.name} weights {number}"] = array
        found[f"{projection.name} column"] = getattr(projection._link.description, "column", None)
    for number, history in enumerate(network._simulation.histories):
        found[f"history {number}"] = network._assembly.context.storage.fetch(history.array).copy()
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
