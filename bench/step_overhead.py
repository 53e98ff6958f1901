"""What a step costs beside its arithmetic: three populations of 8x8 units, joined by two 3x3 filters.

    python bench/step_overhead.py [--output bench/results/step-overhead.json]

Every network is checked against the reference backend first. Then it runs in rounds, interleaved with the others, and
the median of the rounds is printed, in microseconds per step. The goal is less than 2 for the plain chain.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np

import weightsharing as ws

ROUNDS, STEPS = 15, 20_000


def chain(backend: str, neuron: ws.Neuron, update: str = "synchronous", delays: float = 0.0) -> ws.Network:
    """Three populations in a row; the first one holds its rates."""
    network = ws.Network(seed=1, backend=backend, threads=1, update=update)
    filters = np.random.default_rng(0).normal(size=(2, 3, 3)) / 9
    layers = [network.create((8, 8)), network.create((8, 8), neuron), network.create((8, 8), neuron)]
    for pre, post, weights in zip(layers, layers[1:], filters, strict=False):
        ws.Convolution(pre, post, "exc").connect_filter(weights, delays=delays)
    layers[0].r = ws.Uniform(0, 1)
    network.compile()
    return network


NETWORKS = {
    "assignment": lambda backend: chain(backend, ws.Neuron(equations="r = sum(exc) : min=0.0")),
    "leaky": lambda backend: chain(
        backend, ws.Neuron(parameters="tau = 10.0 : population", equations="tau*dr/dt + r = sum(exc)")
    ),
    "feedforward": lambda backend: chain(backend, ws.Neuron(equations="r = sum(exc)"), "feedforward"),
    "delayed": lambda backend: chain(backend, ws.Neuron(equations="r = sum(exc)"), delays=5.0),
    "noisy": lambda backend: chain(backend, ws.Neuron(equations="r = sum(exc) + Normal(0, 0.1)")),
}


def check(name: str) -> None:
    """Raise unless the CPU gives what the reference gives."""
    ours, judge = NETWORKS[name]("cpu"), NETWORKS[name]("reference")
    for network in (ours, judge):
        network.simulate(20.0)
    for one, other in zip(ours.populations, judge.populations, strict=True):
        np.testing.assert_allclose(one.r, other.r, rtol=1e-5, atol=1e-6)


def measure() -> dict[str, dict[str, float]]:
    """Microseconds per step: median and half the distance of the quartiles, for each network."""
    networks = {name: make("cpu") for name, make in NETWORKS.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS):
        for name, network in networks.items():
            start = time.perf_counter()
            network.simulate(float(STEPS))
            times[name].append((time.perf_counter() - start) / STEPS * 1e6)
    return {
        name: {
            "microseconds": round(statistics.median(listed), 3),
            "spread": round((np.quantile(listed, 0.75) - np.quantile(listed, 0.25)) / 2, 3),
        }
        for name, listed in times.items()
    }


def main() -> None:
    """Check, measure, print, and write the numbers to a file if one was named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args()
    for name in NETWORKS:
        check(name)
    found = measure()
    for name, entry in found.items():
        print(f"{name:12} {entry['microseconds']:7.3f} us per step (+- {entry['spread']:.3f})")
    if arguments.output:
        record = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        arguments.output.write_text(json.dumps(record | {"networks": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
