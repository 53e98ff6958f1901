"""What tests of a GPU share. A file that imports this one is skipped where no GPU backend can be used."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import ON_GPU
from weightsharing.backends import cuda
from weightsharing.backends.cuda import device_module

if not ON_GPU:
    pytest.skip(f"no GPU backend can be used here: {ws.backends()}", allow_module_level=True)
RATES = np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32)
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


def projection(psp="w*pre.r", backend="cuda", **options):
    with ws.Network(backend=backend):
        pre, post = ws.Population((8, 9)), ws.Population((8, 9))
        made = ws.Convolution(pre, post, "exc", psp, **options)
    return made.connect_filter(np.arange(9.0).reshape(3, 3) - 3)


def back(array):
    values = np.empty(array.shape, array.dtype)
    array.download(values)
    return values


def stream_for_test(device=0):
    return cuda._module().TestStream(device)
