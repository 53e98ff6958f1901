"""Networks drawn by Hypothesis: descriptions that build the same network again and again, on any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import weightsharing as ws

GEOMETRIES = ((6, 8), (6, 8), (3, 4), (6, 8, 2), (24,))
# Parameters and equations; None is a population that holds what it is given.
NEURONS = (
    None,
    ("", "r = 0.5*r + 0.3*sum(exc) - 0.2*sum(inh)"),
    (
        "tau = 10.0 : population\nbias = 0.25",
        "tau*dv/dt + v = sum(exc) - sum(inh) + bias : max=4.0\nr = max(v, 0) + 0.1*sin(t)",
    ),
    ("", "n += 1 : population\nr = 0.1*n + 0.2*sum(exc)"),
    ("", "r = 0.3*sum(exc) - 0.1*sum(inh) : min=-1.5, max=1.5"),
    ("", "m = mean(r) - 0.1*min(r) : population\nr = 0.2*sum() + m + 0.3*r/(1 + norm2(r)) : max=5.0"),
)
NOISY = (
    ("", "r = 0.3*sum(exc) + Uniform(-1.0, 1.0)"),
    ("", "r = 0.2*r + 0.1*sum(exc) + Normal(0.0, 1.0)"),
    ("", "x = Normal(0.0, 1.0) : population\nr = 0.2*sum(inh) + 0.5*x*Uniform(0.0, 1.0) + 0.1*max(r)"),
    ("", "x = Uniform(0.0, 2.0)\nr = 0.3*sum(exc) + x*Normal(0.1, 0.5) - Uniform(0.0, 1.0) : min=-3.0"),
)


@dataclass(frozen=True)
class Link:
    """One projection: numbers of its populations, its kind and the options of its connect method."""

    pre: int
    post: int
    kind: str
    target: str
    operation: str
    options: dict[str, Any]
    extent: tuple[int, ...] = ()


@dataclass(frozen=True)
class NetworkCase:
    """What is needed to build a network."""

    geometries: tuple[tuple[int, ...], ...]
    neurons: tuple[tuple[str, str] | None, ...]
    links: tuple[Link, ...]
    dtype: str
    update: str
    batch: int | None
    seed: int

    @property
    def noisy(self) -> bool:
        return any(neuron in NOISY for neuron in self.neurons)

    def build(self, backend: str, **changes: Any) -> ws.Network:
        """Build and compile; `changes` are arguments of the network. Trial b begins as trial first_trial + b."""
        arguments = {"batch": self.batch, "first_trial": 0, **changes}
        network = ws.Network(0.5, self.dtype, self.seed, backend=backend, update=self.update, **arguments)
        with network:
            for geometry, neuron in zip(self.geometries, self.neurons, strict=True):
                ws.Population(geometry, neuron and ws.Neuron(parameters=neuron[0], equations=neuron[1]))
            for number, link in enumerate(self.links):
                connect(network, link, np.random.default_rng((self.seed, number)))
        trials = range(arguments["first_trial"], arguments["first_trial"] + (arguments["batch"] or 1))
        for number, population in enumerate(network.populations):
            rates = [
                np.random.default_rng((self.seed, number, trial)).normal(size=population.geometry)
                for trial in trials
            ]
            population.r = np.stack(rates) if arguments["batch"] else rates[0]
        network.compile()
        return network


def connect(network: ws.Network, link: Link, generator: np.random.Generator) -> None:
    pre, post = network.populations[link.pre], network.populations[link.post]
    if link.kind in ("filter", "bank"):
        weights = generator.normal(size=link.extent) / np.sqrt(np.prod(link.extent))
        if link.kind == "bank":
            weights = np.stack([weights, -0.5 * weights])
        projection = ws.Convolution(pre, post, link.target, operation=link.operation)
        join = projection.connect_filters if link.kind == "bank" else projection.connect_filter
        join(weights, **link.options)
    elif link.kind == "pooling":
        ws.Pooling(pre, post, link.target, operation=link.operation).connect_pooling(**link.options)
    else:
        projection = ws.Projection(pre, post, link.target, synapse=ws.Synapse(operation=link.operation))
        if link.kind == "one to one":
            projection.connect_one_to_one(0.5, **link.options)
        else:
            matrix = generator.normal(size=(post.size, pre.size)) / 5
            matrix[generator.random(matrix.shape) < 0.8] = np.nan
            projection.connect_from_matrix(matrix, **link.options)


@st.composite
def links(draw: Any, geometries: Any, neurons: Any, update: str) -> Link:
    pre = draw(st.integers(0, len(geometries) - 1))
    post = draw(st.sampled_from([k for k, neuron in enumerate(neurons) if neuron]))
    shapes = geometries[pre], geometries[post]
    kinds = ["synapses"]
    if shapes[0] == shapes[1]:
        kinds += ["filter", "filter", "one to one"]
    elif shapes[0] == (6, 8) and shapes[1] == (3, 4):
        kinds += ["filter", "pooling"]
    elif shapes == ((6, 8), (6, 8, 2)):
        kinds += ["bank"]
    kind = draw(st.sampled_from(kinds))
    # In the feedforward order a cycle needs a delay; in the synchronous one a step is no extra delay.
    least = 1 if update == "feedforward" and post <= pre else 0
    steps = draw(st.sampled_from([delay for delay in (0, 0, 1, 2, 3) if delay >= least]))
    options: dict[str, Any] = {"delays": 0.5 * steps}
    if draw(st.booleans()):
        options["history"] = draw(st.sampled_from(("ones", "first_frame")))
    extent: tuple[int, ...] = ()
    if kind in ("filter", "bank"):
        extent = tuple(draw(st.integers(1, 3)) for _ in shapes[0])
        options["padding"] = draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap", "ignore")))
        if draw(st.sampled_from((False, False, True))):
            options["time_axis"] = True
            extent = (draw(st.integers(1, 4)), *extent)
    return Link(
        pre,
        post,
        kind,
        draw(st.sampled_from(("exc", "exc", "inh"))),
        draw(st.sampled_from(("sum", "sum", "mean", "max", "min"))),
        options,
        extent,
    )


@st.composite
def networks(draw: Any, noise: bool = True) -> NetworkCase:
    """2 to 6 populations of neurons of all kinds, and projections of all kinds between them."""
    count = draw(st.integers(2, 6))
    geometries = tuple(draw(st.sampled_from(GEOMETRIES)) for _ in range(count))
    kinds = NEURONS + (NOISY if noise else ())
    neurons = [draw(st.sampled_from(kinds)) for _ in range(count)]
    neurons[-1] = draw(st.sampled_from(kinds[1:]))
    update = draw(st.sampled_from(("synchronous", "feedforward")))
    drawn = draw(st.lists(links(geometries, neurons, update), min_size=1, max_size=8))
    return NetworkCase(
        geometries,
        tuple(neurons),
        tuple(drawn),
        draw(st.sampled_from(("float32", "float64"))),
        update,
        draw(st.sampled_from((None, None, 1, 3))),
        draw(st.integers(0, 2**32)),
    )


def state(network: ws.Network) -> dict[str, np.ndarray]:
    """All variables and sums of all populations, with the batch axis."""
    values = {}
    for population in network.populations:
        neuron = population.neuron_type
        for name in neuron.variables if neuron else ("r",):
            values[f"{population.name}.{name}"] = np.array(getattr(population, name))
        for target in neuron.targets if neuron else ():
            values[f"{population.name}.sum({target})"] = np.array(population.sum(target))
    return values


def assert_close(one: ws.Network, other: ws.Network) -> None:
    """Assert that two networks agree up to the rounding of a few steps."""
    first, second = state(one), state(other)
    tolerance = 1e-11 if one.dtype == np.float64 else 1e-4
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_same(one: ws.Network, other: ws.Network) -> None:
    """Assert that two networks agree bit for bit."""
    first, second = state(one), state(other)
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
