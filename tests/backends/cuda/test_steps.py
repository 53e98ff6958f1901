"""Steps of networks, and calls of projections, on a GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import ON_GPU, emulated
from strategies.gpu import Borrowed, chain, each_backend, on_device
from strategies.processes import run_python

pytestmark = pytest.mark.thread_order


@each_backend
@pytest.mark.parametrize("delays", (0.0, 3.0))
def test_network_equals_reference(backend, delays):
    runs = []
    for one in (backend, "reference"):
        network, populations, shared = chain(one, delays)
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
        runs.append(seen)
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@each_backend
def test_population_wide_variable(backend):
    """One value for all units, written and read in the same step, on more units than one block has."""
    neuron = ws.Neuron(equations="n += 1 : population\nr = n")
    results = []
    for one in (backend, "reference"):
        network = ws.Network(backend=one)
        population = network.create(1000, neuron)
        network.compile()
        network.simulate(4)
        results.append((population.n, population.r))
    assert results[0][0] == results[1][0] == 4
    np.testing.assert_array_equal(results[0][1], results[1][1])


@each_backend
def test_projection_called_with_device_arrays(backend):
    with ws.Network(backend=backend):
        pre, post = ws.Population((8, 9)), ws.Population((8, 9))
        projection = ws.Convolution(pre, post, "exc").connect_filter(np.arange(9.0).reshape(3, 3))
    rates = np.random.default_rng(0).normal(size=(2, 8, 9)).astype(np.float32)
    there, out = on_device(rates, backend), on_device(np.zeros((2, 8, 9), np.float32), backend)
    assert projection(there, out=out) is out
    back = np.empty((2, 8, 9), np.float32)
    out.download(back)
    np.testing.assert_array_equal(back, projection(rates))

    wrong = on_device(np.zeros((2, 8, 8), np.float32), backend)
    double = on_device(np.zeros((2, 8, 9)), backend)
    address = out.__cuda_array_interface__["data"][0]
    for r, target, error, words in (
        (there, None, TypeError, "out is needed"),
        (there, wrong, ValueError, "out"),
        (double, out, TypeError, "dtype"),
        (there, there, ValueError, "overlaps"),
        (there, back, TypeError, "host"),
        (there, Borrowed(out, data=(address, True)), ValueError, "read-only"),
        (Borrowed(there, strides=(4, 72, 8)), out, ValueError, "C-contiguous"),
    ):
        with pytest.raises(error, match=words):
            projection(r, out=target)


def test_device_arrays_need_the_cuda_backend():
    with ws.Network(backend="cpu"):
        pre, post = ws.Population(4), ws.Population(4)
        projection = ws.Convolution(pre, post, "exc").connect_filter(np.ones(3))
    with pytest.raises(ValueError, match="backend='cuda'"):
        projection(on_device(np.zeros(4, np.float32), ON_GPU[0]))


@each_backend
def test_every_call_in_a_thread_of_its_own(backend):
    """Python may call from any thread; the driver knows in each thread anew which device is meant."""

    def elsewhere(function, *arguments):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *arguments).result()

    network, (first, second, _), shared = elsewhere(chain, backend)
    rates = np.arange(48.0).reshape(6, 8)
    elsewhere(setattr, first, "r", rates)
    elsewhere(network.simulate, 3)
    seen = elsewhere(getattr, second, "r")
    called = elsewhere(shared, rates)
    elsewhere(setattr, shared, "weights", shared.weights)
    twin, back = elsewhere(first.device_array), np.empty((1, 6, 8))
    elsewhere(twin.download, back)
    np.testing.assert_array_equal(back[0], rates)
    network, (first, second, _), shared = chain(backend)
    first.r = rates
    network.simulate(3)
    np.testing.assert_array_equal(seen, second.r)
    np.testing.assert_array_equal(called, shared(rates))


@emulated
@pytest.mark.parametrize("order", ("reverse", "shuffled:1"))
def test_threads_in_any_order(order):
    """The same results whichever thread of a block runs first: nothing depends on an order that CUDA does not give."""
    script = """
        import hashlib
        from strategies.gpu import chain
        network, populations, _ = chain("cuda", 3.0)
        import numpy as np
        populations[0].r = np.random.default_rng(0).normal(size=(6, 8))
        network.simulate(50)
        print(hashlib.sha256(b"".join(p.r.tobytes() for p in populations)).hexdigest())
        """
    forward, other = (run_python(script, WEIGHTSHARING_EMULATION_ORDER=o) for o in ("forward", order))
    assert forward.returncode == other.returncode == 0, forward.stderr + other.stderr
    assert forward.stdout == other.stdout != ""


@each_backend
def test_state_on_the_device(backend):
    """The array of a population is the one that the steps work on, in both directions."""
    network, (first, second, _), _ = chain(backend)
    first.r = np.arange(48.0).reshape(6, 8)
    there = first.device_array()
    back = np.empty((1, 6, 8))
    there.download(back)
    np.testing.assert_array_equal(back[0], first.r)
    there.upload(2 * back)
    np.testing.assert_array_equal(first.r, 2 * back[0])
    network.simulate(2)
    second.device_array("v").download(back)
    np.testing.assert_array_equal(back[0], second.v)
    with pytest.raises(ValueError, match="the neuron has"):
        second.device_array("x")
    on_cpu = ws.Network(backend="cpu")
    population = on_cpu.create(3)
    with pytest.raises(RuntimeError, match="cuda"):
        population.device_array()
