"""A movie, a filter, and a population that it feeds."""

import numpy as np

import weightsharing as ws
from strategies.neurons import LINEAR

FRAMES = np.arange(1.0, 13.0).reshape(6, 2)


def rates_at_each_step(network, population, steps):
    seen = []
    for _ in range(steps):
        network.step()
        seen.append(population.r.copy())
    return np.array(seen)


def filtered(backend, batch=None, history="zeros", update="feedforward", **options):
    """A movie of 3x4 pixels, and what a spatio-temporal filter makes of it."""
    network = ws.Network(update=update, batch=batch, dtype="float64", seed=3)
    movie = ws.MoviePopulation((3, 4), network=network)
    out = network.create((3, 4), LINEAR)
    weights = np.random.default_rng(5).standard_normal((4, 3, 3))
    ws.Convolution(movie, out, "exc").connect_filter(weights, time_axis=True, history=history, **options)
    network.compile(backend)
    return network, movie, out


def frames(count, *shape):
    return np.random.default_rng(count).standard_normal((count, *shape))
