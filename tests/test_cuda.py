"""The CUDA backend against the reference, over everything the specification allows.

Without a device the kernels run on the CPU in the emulation, when the package was built with it and
WEIGHTSHARING_CUDA=emulated is set; `make test` does both.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given

import weightsharing as ws
from agreement import (
    CASE,
    Judge,
    draw_case,
    factored_filters,
    pooling_descriptions,
    shared_descriptions,
    synapses_descriptions,
)
from weightsharing.backends.cuda import CudaExecutor, why_not_cuda

if why_not_cuda():
    pytest.skip(f"CUDA cannot be used here: {why_not_cuda()}", allow_module_level=True)


def check(description, positive, accumulate, **case):
    judge = Judge(description, *draw_case(description, positive, **case))
    executor = CudaExecutor(description, judge.dtype)
    judge.check(executor, accumulate)
    event(str(executor.describe()["family"]))


@given(drawn=shared_descriptions(), **CASE)
def test_shared(drawn, **case):
    check(*drawn, **case)


@given(description=pooling_descriptions(), **CASE)
def test_pooling(description, **case):
    check(description, False, **case)


@given(drawn=synapses_descriptions(), **CASE)
def test_synapses(drawn, **case):
    check(*drawn, **case)


@given(drawn=factored_filters(), **CASE)
def test_products_of_filters(drawn, **case):
    check(drawn[0], False, **case)


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


@pytest.mark.parametrize("delays", (0.0, 3.0))
def test_network_equals_reference(delays):
    runs = {}
    for backend in ("cuda", "reference"):
        network, populations, shared = chain(backend, delays)
        generator = np.random.default_rng(2)
        seen = []
        for duration in (1, 2, 5, 40, 1):
            populations[0].r = generator.normal(size=(6, 8))
            network.simulate(duration)
            seen += [population.r for population in populations] + [populations[1].sum("exc")]
            if duration == 5:
                shared.weights = shared.weights * 0.5  # a graph exists already: the next step must see it
        network.reset()
        network.simulate(3)
        seen += [population.r for population in populations]
        runs[backend] = seen
    for one, other in zip(runs["cuda"], runs["reference"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_population_wide_variable():
    """One value for all units, written and read in the same step, on more units than one block has."""
    neuron = ws.Neuron(equations="n += 1 : population\nr = n")
    results = []
    for backend in ("cuda", "reference"):
        network = ws.Network(backend=backend)
        population = network.create(1000, neuron)
        network.compile()
        network.simulate(4)
        results.append((population.n, population.r))
    assert results[0][0] == results[1][0] == 4
    np.testing.assert_array_equal(results[0][1], results[1][1])


class Borrowed:
    """An array of a library that offers the array interface and nothing else."""

    def __init__(self, array, **changes):
        self.owner = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}


def on_device(values):
    from weightsharing.backends import cuda

    values = np.ascontiguousarray(values)
    array = cuda._module().Array(list(values.shape), values.dtype.name)
    array.upload(values)
    return array


def test_projection_called_with_device_arrays():
    with ws.Network(backend="cuda"):
        pre, post = ws.Population((8, 9)), ws.Population((8, 9))
        projection = ws.Convolution(pre, post, "exc").connect_filter(np.arange(9.0).reshape(3, 3))
    rates = np.random.default_rng(0).normal(size=(2, 8, 9)).astype(np.float32)
    there, out = on_device(rates), on_device(np.zeros((2, 8, 9), np.float32))
    assert projection(there, out=out) is out
    back = np.empty((2, 8, 9), np.float32)
    out.download(back)
    np.testing.assert_array_equal(back, projection(rates))

    wrong = on_device(np.zeros((2, 8, 8), np.float32))
    double = on_device(np.zeros((2, 8, 9)))
    address = there.__cuda_array_interface__["data"][0]
    for r, target, error, words in (
        (there, None, TypeError, "out is needed"),
        (there, wrong, ValueError, "out"),
        (double, out, TypeError, "dtype"),
        (there, there, ValueError, "overlaps"),
        (there, back, TypeError, "host"),
        (there, Borrowed(out, data=(address + 4096, True)), ValueError, "read-only"),
        (Borrowed(there, strides=(4, 72, 8)), out, ValueError, "C-contiguous"),
    ):
        with pytest.raises(error, match=words):
            projection(r, out=target)


def test_device_arrays_need_the_cuda_backend():
    with ws.Network(backend="cpu"):
        pre, post = ws.Population(4), ws.Population(4)
        projection = ws.Convolution(pre, post, "exc").connect_filter(np.ones(3))
    with pytest.raises(ValueError, match="backend='cuda'"):
        projection(on_device(np.zeros(4, np.float32)))
