"""The CUDA backend against the reference, over everything the specification allows.

Without a device the kernels run on the CPU in the emulation, when the package was built with it and
WEIGHTSHARING_CUDA=emulated is set; `make test` does both.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given

import weightsharing as ws
from agreement import (
    CASE,
    LONG_SUMS,
    RATE,
    W_R,
    Judge,
    check_long_sum,
    draw_case,
    factored_filters,
    pooling_descriptions,
    separable,
    shared_descriptions,
    synapses_descriptions,
)
from processes import run_python
from weightsharing.backends.cuda import CudaExecutor, why_not_cuda
from weightsharing.description import PoolingDescription, SharedDescription
from weightsharing.expressions import parse_psp

if why_not_cuda():  # test_device_arrays.py, which imports this file, is skipped with it
    pytest.skip(f"CUDA cannot be used here: {why_not_cuda()}", allow_module_level=True)

# What only an imitated device can be made to do.
emulated = pytest.mark.skipif(
    os.environ.get("WEIGHTSHARING_CUDA") != "emulated", reason="needs the emulation"
)


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
        projection(on_device(np.zeros(4, np.float32)))


@emulated
@pytest.mark.parametrize(("devices", "reason"), (("0", "no CUDA device"), ("driver", "driver")))
def test_no_device(devices, reason):
    """A backend asked for by name that is not there raises with the reason; the others work."""
    done = run_python(
        """
        import weightsharing as ws
        print(ws.backends()["cuda"])
        try:
            ws.Network(backend="cuda")
        except ValueError as error:
            print(error)
        with ws.Network():
            projection = ws.Convolution(ws.Population(3), ws.Population(3), "exc").connect_filter([1, 1, 1])
        print(projection([1, 2, 3]), projection.describe()["backend"])
        """,
        WEIGHTSHARING_EMULATION_DEVICES=devices,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(reason) == 2 and "[3. 6. 5.] cpu" in done.stdout


@emulated
def test_device_memory_exhausted():
    """The error names the bytes asked for and free; what existed before goes on."""
    done = run_python(
        """
        import numpy as np
        import weightsharing as ws

        network = ws.Network(backend="cuda")
        small = network.create(1000, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(2)
        try:
            with ws.Network(backend="cuda") as other:
                ws.Population(10_000_000, ws.Neuron(equations="r += 1"))
            other.compile()
        except MemoryError as error:
            print(error)
        network.simulate(3)
        print(small.r[0])
        """,
        WEIGHTSHARING_EMULATION_MEMORY="1000000",
    )
    assert done.returncode == 0, done.stderr
    message, value = done.stdout.splitlines()
    assert "40000000 bytes asked for" in message and "free" in message
    assert float(value) == 5


@emulated
def test_use_after_fork():
    done = run_python(
        """
        import os
        import weightsharing as ws

        network = ws.Network(backend="cuda")
        population = network.create(10, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(1)
        child = os.fork()
        if child == 0:
            try:
                network.simulate(1)
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        network.simulate(1)
        print(population.r[0])
        """
    )
    assert done.returncode == 0, done.stderr
    assert "forked" in done.stdout and done.stdout.endswith("2.0\n")


def test_wrong_device_index():
    from weightsharing.backends import cuda

    with pytest.raises(IndexError, match="device 7"):
        cuda._module().Array([3], "float32", 7)


@emulated
@pytest.mark.parametrize("order", ("reverse", "shuffled:1"))
def test_threads_in_any_order(order):
    """The same results whichever thread of a block runs first: nothing depends on an order that CUDA does not give."""
    script = """
        import hashlib
        import sys
        sys.path.insert(0, "tests")
        from test_cuda import chain
        network, populations, _ = chain("cuda", 3.0)
        import numpy as np
        populations[0].r = np.random.default_rng(0).normal(size=(6, 8))
        network.simulate(50)
        print(hashlib.sha256(b"".join(p.r.tobytes() for p in populations)).hexdigest())
        """
    forward, other = (run_python(script, WEIGHTSHARING_EMULATION_ORDER=o) for o in ("forward", order))
    assert forward.returncode == other.returncode == 0, forward.stderr + other.stderr
    assert forward.stdout == other.stdout != ""


# Shapes large enough for the kernels with tiles, and which family must take them.
TILED = {
    "3x3": (SharedDescription((67, 150), (67, 150), ((3, 3),), psp=W_R), "window"),
    "5x5 max": (
        SharedDescription((40, 133), (40, 133), ((5, 5),), operation="max", padding="wrap", psp=W_R),
        "window",
    ),
    "7x7 mean": (
        SharedDescription(
            (2, 40, 60), (2, 40, 60), ((1, 7, 7),), operation="mean", algorithm="direct", psp=W_R
        ),
        "window",
    ),
    "any extents": (SharedDescription((45, 70), (45, 70), ((4, 9),), padding="reflect", psp=W_R), "window"),
    "three axes": (SharedDescription((9, 20, 30), (9, 20, 30), ((3, 3, 2),), padding=1.5, psp=W_R), "window"),
    "layers": (
        SharedDescription((30, 21, 5), (30, 21, 5), ((5, 3),), keep_last_dimension=True, psp=W_R),
        "window",
    ),
    "valid": (SharedDescription((70, 70), (66, 64), ((5, 7),), padding="valid", psp=W_R), "window"),
    "log": (SharedDescription((60, 60), (60, 60), ((5, 5),), psp=parse_psp("w*log(1+pre.r)")), "window"),
    "bank": (SharedDescription((14, 13, 6), (14, 13, 33), ((3, 3, 6),) * 33, bank=True, psp=W_R), "bank"),
    "bank, half": (
        SharedDescription(
            (30, 30), (15, 15, 17), ((4, 3),) * 17, bank=True, padding="border", operation="mean", psp=W_R
        ),
        "bank",
    ),
    "pooling": (PoolingDescription((90, 121), (45, 61), (2, 2), (2, 2), "max", psp=RATE), "pool"),
    "pooling of layers": (
        PoolingDescription((40, 60, 3), (38, 29, 3), (3, 4, 1), (1, 2, 1), "mean", psp=RATE),
        "pool",
    ),
    "squares": (
        PoolingDescription(
            (100, 90), (50, 45), (2, 2), (2, 2), "sum", psp=parse_psp("pre.r**2", allow_weight=False)
        ),
        "pool",
    ),
}


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", TILED)
@pytest.mark.parametrize("specials", (None, "rates"))
def test_kernels_with_tiles(case, dtype, specials):
    description, family = TILED[case]
    rates, weights = draw_case(description, "log" in case, dtype, 5, specials, 2)
    executor = CudaExecutor(description, dtype)
    Judge(description, rates, weights).check(executor, True)
    report = executor.describe()
    assert report["family"] == family
    assert "one thread per unit" not in report["reason"]


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_low_rank_comes_and_goes(dtype):
    """The launch list follows the weights: a separable filter, noise, a sum of two products, NaN."""
    description = SharedDescription((64, 70), (64, 70), ((11, 13),), psp=W_R)
    generator = np.random.default_rng(0)
    rates = generator.normal(size=(1, 64, 70)).astype(dtype)
    one, other = (separable(generator, (11, 13), dtype) for _ in range(2))
    noise = generator.normal(size=(11, 13)).astype(dtype)
    executor = CudaExecutor(description, dtype)
    for weights, algorithm in (
        (one, "lowrank"),
        (noise, "direct"),
        (one + other, "lowrank"),
        (noise * np.nan, "direct"),
    ):
        Judge(description, rates, [weights.astype(dtype)]).check(executor, False)
        assert executor.describe()["algorithm"] == algorithm
    direct = CudaExecutor(replace(description, algorithm="direct"), dtype)
    direct.set_weights([one])
    assert direct.describe()["algorithm"] == "direct"


def test_low_rank_in_a_captured_step():
    """A step that was captured with one kernel is captured again when new weights choose another."""
    results = []
    for backend in ("cuda", "reference"):
        network = ws.Network(backend=backend, dtype="float64")
        with network:
            pre = ws.Population((50, 50))
            post = ws.Population((50, 50), ws.Neuron(equations="r = sum(exc)"))
            filters = separable(np.random.default_rng(0), (9, 9), np.float64)
            projection = ws.Convolution(pre, post, "exc").connect_filter(filters)
        network.compile()
        pre.r = np.random.default_rng(1).normal(size=(50, 50))
        seen = []
        for weights in (filters, np.random.default_rng(2).normal(size=(9, 9)), 2 * filters):
            projection.weights = weights
            network.simulate(40)
            seen.append(post.r)
        results.append(seen)
    np.testing.assert_allclose(*results, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("constant", (None, 0.1, 0.37))
def test_long_sums_keep_the_direct_bound(case, dtype, constant):
    check_long_sum(LONG_SUMS[case], dtype, constant, lambda description: CudaExecutor(description, dtype))


def test_state_on_the_device():
    """The array of a population is the one that the steps work on, in both directions."""
    network, (first, second, _), _ = chain("cuda")
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
