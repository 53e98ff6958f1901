"""What tests of a GPU share. A file that imports this one is skipped where no GPU backend can be used."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import ON_GPU
from weightsharing.backends.device_modules import device_module

if not ON_GPU:
    pytest.skip(f"no GPU backend can be used here: {ws.backends()}", allow_module_level=True)
each_backend = pytest.mark.parametrize("backend", ON_GPU)


class Borrowed:
    """An array of a library that offers the array interface and nothing else."""

    def __init__(self, array, **changes):
        self.owner = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}


def on_device(values, backend="cuda"):
    values = np.ascontiguousarray(values)
    array = device_module(backend).Array(list(values.shape), values.dtype.name)
    array.upload(values)
    return array


def chain(backend, delays=0.0):
    """Three populations, a filter, a max window over delayed rates, recurrent inhibition, an ODE."""
    network = ws.Network(backend=backend, dtype="float64", seed=1)
    leaky = ws.Neuron(
        parameters="tau = 10.0 : population",
        equations="tau*dv/dt + v = sum(exc) - sum(inh) : max=4.0\nr = max(v, 0) + 0.1*sin(t)",
    )
    with network:
        first, second = ws.Population((6, 8)), ws.Population((6, 8), leaky)
        third = ws.Population((3, 4), ws.Neuron(equations="r = sum(exc) + sum(nobody) : min=0.0"))
        filters = np.random.default_rng(0).normal(size=(3, 3))
        shared = ws.Convolution(first, second, "exc").connect_filter(filters, padding="border")
        ws.Convolution(second, second, "inh").connect_filter(0.1 * filters)
        ws.Convolution(first, second, "exc", operation="max").connect_filter(
            filters, delays=delays, padding="ignore"
        )
        ws.Pooling(second, third, "exc", operation="mean").connect_pooling(delays=delays)
    network.compile()
    return network, (first, second, third), shared
