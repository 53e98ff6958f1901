"""What is measured: each computation once, with its bytes, its flops, and its answer in float64.

Bytes are the fewest that any implementation moves through memory: each rate read once, each result written once.
Flops are the fewest known, with two for a multiply-add; any other operation takes the place of a multiply-add and
counts as two as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, log2, prod
from typing import Any, Literal

import numpy as np

from ..checks.shapes import Array, Shape
from ..description.neuron import Neuron
from ..description.projections import Operation
from ..network.network import Network
from ..population.population import Population
from ..projection.shared import SharedProjection

FLOAT = 4  # bytes
Form = Literal["filter", "lines", "layers", "bank", "pooling"]


@dataclass(frozen=True)
class Workload:
    """One projection of float32 rates.

    Attributes
    ----------
    form
        ``filter``: one filter over (height, width). ``lines``: the same with a filter that is the product of two
        lines. ``layers``: one filter on each layer of (height, width, layers). ``bank``: filters over
        (height, width, channels). ``pooling``: windows that start at ``unit * stride``, clipped at the end.
    extent
        Elements of the filter or window, along height and along width.
    function
        What the psp does to a rate: ``''`` (nothing) or ``log1p``.
    goals
        Least fraction of the bound (``bound``), least speed-up over a rival (by its name).
    """

    name: str
    form: Form
    pre: Shape
    post: Shape
    extent: int
    stride: int = 1
    operation: Operation = "sum"
    function: Literal["", "log1p"] = ""
    batch: int = 1
    goals: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1  # that one call of an engine computes

    @property
    def result(self) -> Shape:
        """Shape of the result."""
        return (self.batch, *self.post)

    @property
    def weight_shape(self) -> Shape:
        """Shape of the filter or bank; empty for a pooling."""
        square = (self.extent, self.extent)
        if self.form == "bank":
            return (self.post[-1], *square, self.pre[-1])
        return () if self.form == "pooling" else square

    @property
    def bytes(self) -> int:
        """Fewest bytes that a call moves."""
        weights = prod(self.weight_shape) if self.weight_shape else 0
        return FLOAT * (self.batch * (prod(self.pre) + prod(self.post)) + weights)

    @property
    def flops(self) -> int:
        """Fewest flops of a call."""
        taps = self.extent**2
        if self.form == "pooling" and self.stride < self.extent:
            operations = 2 * ceil(log2(self.extent))  # windows from windows of half the size, axis by axis
        elif self.form == "pooling":
            operations = taps - 1
        elif self.form == "lines":
            operations = 2 * self.extent
        elif self.form == "bank":
            operations = taps * self.pre[-1]
        else:
            operations = taps * (1 if self.operation == "sum" else 2)  # max: a product and a comparison
        of_rates = 2 if self.function else 0  # an addition and the function itself
        return 2 * self.batch * (operations * prod(self.post) + of_rates * prod(self.pre))

    def random_rates(self, generator: np.random.Generator) -> Array:
        """Draw rates, (batch, \\*pre), between -0.5 and 0.5."""
        rates = generator.random((self.batch, *self.pre), dtype=np.float32)
        rates -= np.float32(0.5)
        return rates

    def random_weights(self, generator: np.random.Generator) -> Array:
        """Draw weights; `lines` has a Gaussian."""
        if self.form == "lines":
            square: Array = np.outer(self.line, self.line)
            return square
        return generator.uniform(-0.5, 0.5, self.weight_shape).astype(np.float32)

    @property
    def line(self) -> Array:
        """The line that the filter of `lines` is the product of with itself."""
        line: Array = np.exp(-(np.linspace(-3, 3, self.extent) ** 2) / 2)
        line /= line.sum()
        return line.astype(np.float32)

    def projection(self, weights: Array, backend: str) -> SharedProjection:
        """Make the projection, connected."""
        psp = f"w*{'log(1 + pre.r)' if self.function else 'pre.r'}"
        with Network(backend=backend):
            projection = SharedProjection(
                Population(self.pre), Population(self.post), "exc", psp, self.operation
            )
        if self.form == "pooling":
            each = (1,) * (len(self.pre) - 2)
            return projection.pooling((self.extent, self.extent, *each), (self.stride, self.stride, *each))
        return projection.convolve(
            weights,
            method="filter",
            keep_last_dimension=self.form == "layers",
            multiple=self.form == "bank",
        )

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Choose units of the result, (count, axes), many of them along its edges."""
        shape = np.array(self.result)
        units = generator.integers(0, shape, (count, len(shape)))
        near = generator.integers(0, np.minimum(shape, self.extent), units.shape)
        side = generator.integers(0, 8, units.shape)
        units = np.where(side == 0, near, np.where(side == 1, shape - 1 - near, units))
        corners = np.array(list(np.ndindex((2,) * len(shape)))) * (shape - 1)
        units[: len(corners)] = corners[:count]
        return units

    def expected(self, rates: Array, weights: Array, units: Array) -> Array:
        """Compute chosen units of the result, tap by tap in float64."""
        trial, row, column = units[:, :3].T
        pooling = self.form == "pooling"
        before = 0 if pooling else (self.extent - 1) // 2
        best = self.operation == "max"
        total = np.full(len(units), -np.inf if best else 0.0)
        for i, j in np.ndindex(self.extent, self.extent):
            y, x = row * self.stride + i - before, column * self.stride + j - before
            inside = (y >= 0) & (y < self.pre[0]) & (x >= 0) & (x < self.pre[1])
            at: tuple[Array, ...] = (trial, np.where(inside, y, 0), np.where(inside, x, 0))
            if len(self.pre) == 3 and self.form != "bank":
                at = (*at, units[:, 3])
            r = rates[at].astype(np.float64)
            r = np.log1p(r) if self.function else r
            if self.form == "bank":
                r = (r * weights[units[:, 3], i, j].astype(np.float64)).sum(-1)
            elif not pooling:
                r = r * float(weights[i, j])
            # Outside pre a filter meets zeros, a window nothing.
            r = np.where(inside, r, -np.inf if pooling else 0.0)
            total = np.maximum(total, r) if best else total + r
        return total


@dataclass(frozen=True)
class Chain:
    """A network of equal populations, each reading the one before it through a filter; one call runs many steps."""

    name: str
    populations: int
    size: int
    extent: int
    steps: int = 9600
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def layer(self) -> Workload:
        """One projection of the chain."""
        shape = (self.size, self.size)
        return Workload(self.name, "filter", shape, shape, self.extent)

    @property
    def bytes(self) -> int:
        """Fewest bytes that a step moves: all rates read, all but the first written."""
        return FLOAT * (2 * self.populations - 1) * self.size**2

    @property
    def flops(self) -> int:
        """Fewest flops of a step."""
        return (self.populations - 1) * self.layer.flops

    def random_filter(self, generator: np.random.Generator) -> Array:
        """Draw a filter that lets rates neither grow nor vanish soon."""
        weights = self.layer.random_weights(generator)
        weights /= np.abs(weights).sum()
        return weights

    def network(self, rates: Array, weights: Array, backend: str) -> tuple[Network, list[Population]]:
        """Make the network, compiled; the first population keeps its rates."""
        network = Network(backend=backend)
        shape = (self.size, self.size)
        with network:
            first = Population(shape)
            chain = [first]
            for _ in range(self.populations - 1):
                chain.append(Population(shape, Neuron(equations="r = sum(exc)")))
                SharedProjection(chain[-2], chain[-1], "exc").convolve(weights, method="filter")
        first.r = rates
        network.compile()
        return network, chain

    def expected(self, rates: Array, weights: Array) -> tuple[Array, Array]:
        """Compute the last population once the first one's rates have reached it: units and their rates."""
        units = np.array(list(np.ndindex(1, self.size, self.size)))
        for _ in range(self.populations - 1):
            rates = self.layer.expected(rates.reshape(1, self.size, self.size), weights, units)
        return units, rates


def gpu_workloads(height: int = 16384) -> list[Workload]:
    """List the projections for GPUs; by default 512 MiB per array, where a launch costs nothing.

    Parameters
    ----------
    height : int
        Units along the first axis of the largest arrays, a power of 2 from 64.
    """
    plane = (height, height // 2)
    half = (height // 2, height // 4)
    layered = (height // 16, height // 8, 64)
    halved = (height // 32, height // 16, 64)
    small = min(128, height // 8)
    cupyx = {"cupyx": 4.0}

    def size(shape: Shape) -> str:
        return "x".join(map(str, shape))

    def one(what: str, form: Form, extent: int, goals: Mapping[str, float], **more: Any) -> Workload:
        return Workload(f"{what}, {size(plane)}", form, plane, plane, extent, goals=goals, **more)

    return [
        one("3x3 filter", "filter", 3, {"bound": 0.80, **cupyx}),
        one("5x5 filter", "filter", 5, {"bound": 0.80, **cupyx}),
        one("7x7 filter", "filter", 7, {"bound": 0.65, **cupyx}),
        one("31x31 Gaussian", "lines", 31, cupyx),
        one("sum of w*log(1+r), 5x5", "filter", 5, cupyx, function="log1p"),
        one("max of w*r, 5x5", "filter", 5, {}, operation="max"),
        one("5x5 max at every unit", "pooling", 5, cupyx, operation="max"),
        Workload(
            f"2x2 max pooling, {size(plane)}",
            "pooling", plane, half, 2, 2, "max", goals={"bound": 0.85, **cupyx},
        ),
        Workload(
            f"2x2 max pooling, {size(layered)}",
            "pooling", layered, halved, 2, 2, "max", goals={"bound": 0.85, **cupyx},
        ),
        Workload(
            f"5x5 on each layer of {size(layered)}",
            "layers", layered, layered, 5, goals={"torch": 1.5, **cupyx},
        ),
        Workload(
            f"64 filters 3x3x64, 16 of {small}x{small}x64",
            "bank", (small, small, 64), (small, small, 64), 3, batch=16, goals={"torch": 1.0},
        ),
    ]  # fmt: skip


def gpu_chain() -> Chain:
    """Return the network for GPUs."""
    return Chain("chain of 5 populations 64x64, 3x3 filters", 5, 64, 3, goals={"steps per second": 100_000})
