"""Makes ``format-1.npz``, a saved network in the first format, and ``format-1-continued.npz``, what it became.

Both stay as they are: files of every release must be loaded by all later ones. All numbers are multiples of a
power of two that float64 holds exactly through all steps, so that the continuation is the same bit for bit on
every processor and backend.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import weightsharing as ws

FOLDER = Path(__file__).parent
STEPS_BEFORE, STEPS_AFTER = 5, 4


def build(seed: int) -> ws.Network:
    """A network with one of everything that a file holds; compiled."""
    network = ws.Network(dt=0.5, dtype="float64", seed=seed, batch=2, first_trial=3)
    pixel = network.create((6, 5), name="pixel")
    units = network.create(
        (6, 5),
        ws.Neuron(
            parameters="leak = 0.5 : population\noffset = 0.25\nbias = 0.125 : filter",
            equations=(
                "mp = leak*mp + sum(exc) + offset + bias\n"
                "r = mp + (1.0 if Uniform(0, 1) > 0.5 else 0.0) : min=0.0, max=64.0"
            ),
        ),
        name="units",
    )
    maps = network.create((6, 5, 2), ws.Neuron(equations="r = sum(exc)"), name="maps")
    pooled = network.create((3, 5, 2), ws.Neuron(equations="r = sum(exc)"), name="pooled")
    late = network.create((6, 5), ws.Neuron(equations="r = sum(exc) - sum(inh)"), name="late")

    filters = [np.arange(9.0).reshape(3, 3) / 8, np.ones((1, 5)) / 4]
    movie = np.stack([np.eye(3), np.ones((3, 3)) / 2])
    ws.Convolution(pixel, units, "exc").connect_filter(movie, time_axis=True, history="first_frame")
    ws.Convolution(units, maps, "exc").connect_filters(filters, delays=1.0)
    ws.Pooling(maps, pooled, "exc").connect_pooling()
    ws.PointwiseProjection(units, late, "exc", delays=np.arange(30.0).reshape(6, 5) % 4)
    drawn = ws.Projection(pixel, late, "exc").connect_fixed_probability(0.25, 0.5)
    ws.Copy(units, late, "inh").connect_copy(drawn)
    pixel.r = np.arange(60.0).reshape(2, 6, 5) % 7
    units.offset = np.arange(30.0).reshape(6, 5) / 4
    network.compile()
    return network


def rates(network: ws.Network) -> dict[str, np.ndarray]:
    """What is compared."""
    return {population.name: population.r for population in network.populations}


def main() -> None:
    """Write both files."""
    network = build(seed=1)
    network.simulate(STEPS_BEFORE * network.dt)
    network.populations[0].r = 3.0
    network.projections[3].weights = 0.5
    network.save(FOLDER / "format-1.npz")
    network.simulate(STEPS_AFTER * network.dt)
    np.savez(FOLDER / "format-1-continued.npz", **rates(network))


if __name__ == "__main__":
    main()
