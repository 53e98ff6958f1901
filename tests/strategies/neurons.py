"""A neuron that shows its sum, and one update of any neuron in NumPy."""

import numpy as np

import weightsharing as ws
from weightsharing.language.distributions import Normal, Uniform

LINEAR = ws.Neuron(equations="r = sum(exc)")


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
