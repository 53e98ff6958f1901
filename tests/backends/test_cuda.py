"""The CUDA and CuPy backends against the reference, over everything the specification allows.

Without a device the kernels run on the CPU in the emulation, when the package was built with it and
WEIGHTSHARING_CUDA=emulated is set; `make test` does both.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import weightsharing as ws
from strategies.agreement import (
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
from strategies.backends import ON_GPU, emulated
from strategies.gpu import Borrowed, each_backend, on_device
from strategies.processes import run_python
from weightsharing.backends.cuda import CudaExecutor, device_module
from weightsharing.description import PoolingDescription, SharedDescription
from weightsharing.expressions import parse_psp


def check(backend, description, positive, accumulate, **case):
    judge = Judge(description, *draw_case(description, positive, **case))
    executor = CudaExecutor(description, judge.dtype, backend)
    judge.check(executor, accumulate)
    event(str(executor.describe()["family"]))


@each_backend
@given(drawn=shared_descriptions(), **CASE)
def test_shared(backend, drawn, **case):
    check(backend, *drawn, **case)


@each_backend
@given(description=pooling_descriptions(), **CASE)
def test_pooling(backend, description, **case):
    check(backend, description, False, **case)


@each_backend
@given(drawn=synapses_descriptions(), **CASE)
def test_synapses(backend, drawn, **case):
    check(backend, *drawn, **case)


@each_backend
@given(drawn=factored_filters(), **CASE)
def test_products_of_filters(backend, drawn, **case):
    check(backend, drawn[0], False, **case)


@st.composite
def large_cases(draw):
    """Geometries large enough for the kernels that few units never reach: tiles, banks, listed centres."""
    kind = draw(st.sampled_from(("window", "bank", "gather", "gather of a bank")))
    operations = ("sum", "mean") if kind == "bank" else ("sum", "mean", "max", "min")
    padding = draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap", "ignore", "ignore", "ignore")))
    extent = draw(st.sampled_from(((3, 3), (5, 5), (7, 7))) | st.tuples(st.integers(1, 9), st.integers(1, 9)))
    filters = draw(st.integers(16, 40)) if kind == "bank" else draw(st.integers(2, 17))
    options = {"operation": draw(st.sampled_from(operations)), "padding": padding, "psp": W_R}
    pre = (draw(st.integers(16, 50)), draw(st.integers(32, 50)))
    if kind == "window":
        pre = (draw(st.integers(40, 70)), draw(st.integers(60, 140)))
        return SharedDescription(pre, pre, (extent,), **options)
    options["dilation"] = draw(st.sampled_from((None, (1, 2), (3, 1))))
    if kind == "bank":
        return SharedDescription(pre, (*pre, filters), (extent,) * filters, bank=True, **options)
    units = 2048 if kind == "gather" else 2048 // filters + 1
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    options["centres"] = np.stack([generator.integers(0, size, units) for size in pre], axis=1)
    if kind == "gather":
        return SharedDescription(pre, (units,), (extent,), **options)
    return SharedDescription(pre, (units, filters), (extent,) * filters, bank=True, **options)


@given(description=large_cases(), **CASE)
def test_large(description, accumulate, **case):
    rates, weights = draw_case(description, False, **case | {"batch": 1})
    executor = CudaExecutor(description, rates.dtype, ON_GPU[0])
    Judge(description, rates, weights).check(executor, accumulate)
    event(f"{executor.describe()['family']}: {executor.describe()['reason']}")


@st.composite
def tf32_banks(draw):
    height, width, channels = draw(st.integers(1, 9)), draw(st.integers(1, 20)), draw(st.integers(1, 40))
    filters = draw(st.sampled_from((1, 5, 32, 33, 70)))
    stride = draw(st.sampled_from((1, 1, 2)))
    collapsed = draw(st.booleans())
    extent = (draw(st.integers(1, 5)), draw(st.integers(1, 3)), channels if collapsed else 1)
    post = (height, width) if collapsed else (height, width, channels)
    return SharedDescription(
        (height * stride, width, channels),
        (*post, filters),
        (extent,) * filters,
        bank=True,
        method=draw(st.sampled_from(("filter", "convolution"))),
        operation=draw(st.sampled_from(("sum", "mean"))),
        padding=draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap", "ignore"))),
        algorithm="3xtf32",
        psp=parse_psp(draw(st.sampled_from(("w*pre.r", "w*pre.r", "w", "pre.r")))),
    )


@settings(max_examples=max(5, settings().max_examples // 3))
@given(description=tf32_banks(), magnitude=st.sampled_from((1.0, 1.0, 1e-36, 1e25)), **CASE)
def test_banks_on_tensor_cores(description, magnitude, accumulate, **case):
    rates, weights = draw_case(description, False, **case | {"dtype": np.float32})
    judge = Judge(description, rates * np.float32(magnitude), weights)
    executor = CudaExecutor(description, np.float32, ON_GPU[0])
    judge.check(executor, accumulate)
    assert executor.describe()["algorithm"] == "3xtf32"


@each_backend
def test_tensor_cores_in_a_network(backend):
    """Through the connect method and a captured step, beside the direct algorithm."""
    generator = np.random.default_rng(0)
    filters, rates = generator.normal(size=(20, 3, 3, 4)), generator.normal(size=(12, 10, 4))
    results = []
    for algorithm in ("direct", "3xtf32"):
        network = ws.Network(backend=backend)
        with network:
            pre = ws.Population((12, 10, 4))
            post = ws.Population((12, 10, 20), ws.Neuron(equations="r = sum(exc)"))
            projection = ws.Convolution(pre, post, "exc").connect_filters(filters, algorithm=algorithm)
        network.compile()
        pre.r = rates
        network.simulate(3)
        assert projection.describe()["algorithm"] == algorithm
        results.append(post.r)
    np.testing.assert_allclose(*results, atol=2e-5)
    assert (results[0] != results[1]).any()


BANK = SharedDescription((9, 9), (9, 9, 4), ((3, 3),) * 4, bank=True, algorithm="3xtf32", psp=W_R)


@pytest.mark.parametrize(
    ("changes", "dtype", "words"),
    (
        ({"post": (9, 9), "extents": ((3, 3),), "bank": False}, np.float32, "one filter"),
        ({}, np.float64, "float64"),
        ({"operation": "max"}, np.float32, "'max'"),
        ({"psp": parse_psp("max(w, pre.r)")}, np.float32, "psp"),
        ({"dilation": (2**31 - 1, 1)}, np.float32, "dilation"),
        ({"post": (2, 4), "centres": np.array([[1, 1], [2, 3]])}, np.float32, "subsampling"),
    ),
)
def test_tensor_cores_are_refused(changes, dtype, words):
    with pytest.raises(ValueError, match="algorithm='3xtf32'.*" + words + ".*Use algorithm='auto'"):
        CudaExecutor(replace(BANK, **changes), dtype, ON_GPU[0])


def test_far_taps_of_a_bank():
    """Twice the dilation does not fit 32 bits: such taps lie outside, they do not come back on the other side."""
    description = replace(
        BANK,
        post=(9, 9, 30),
        extents=((5, 3),) * 30,
        dilation=(2**31 - 1, 1),
        anchor=(0, 1),
        algorithm="direct",
    )
    rates, weights = draw_case(description, False, np.float32, 0, None, 1)
    Judge(description, rates, weights).check(CudaExecutor(description, np.float32, ON_GPU[0]), False)


@pytest.mark.parametrize("backend", ("cpu", "reference"))
def test_tensor_cores_need_the_cuda_backend(backend):
    with ws.Network(backend=backend):
        pre, post = ws.Population((9, 9)), ws.Population((9, 9, 4))
        projection = ws.Convolution(pre, post, "exc")
    with pytest.raises(ValueError, match=rf"3xtf32.*the backend is '{backend}'. Use algorithm='auto'"):
        projection.connect_filters(np.ones((4, 3, 3)), algorithm="3xtf32")
    with ws.Network():  # where the backend is open until a call or compile()
        pre, post = ws.Population((9, 9)), ws.Population((9, 9, 4))
        projection = ws.Convolution(pre, post, "exc").connect_filters(np.ones((4, 3, 3)), algorithm="3xtf32")
    with pytest.raises(ValueError, match=r"3xtf32.*cuda.*Use algorithm='auto'"):
        projection(np.zeros((9, 9)))


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


@emulated
@each_backend
@pytest.mark.parametrize(("devices", "reason"), (("0", "no CUDA device"), ("driver", "driver")))
def test_no_device(backend, devices, reason):
    """A backend asked for by name that is not there raises with the reason; the others work."""
    done = run_python(
        """
        import os
        import weightsharing as ws
        backend = os.environ["BACKEND"]
        print(ws.backends()[backend])
        try:
            ws.Network(backend=backend)
        except ValueError as error:
            print(error)
        with ws.Network():
            projection = ws.Convolution(ws.Population(3), ws.Population(3), "exc").connect_filter([1, 1, 1])
        print(projection([1, 2, 3]), projection.describe()["backend"])
        """,
        WEIGHTSHARING_EMULATION_DEVICES=devices,
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    assert sum(reason in line for line in done.stdout.splitlines()) == 2 and "[3. 6. 5.] cpu" in done.stdout


@emulated
@each_backend
def test_device_memory_exhausted(backend):
    """The error names the bytes asked for and free; what existed before goes on."""
    done = run_python(
        """
        import os
        import weightsharing as ws

        backend = os.environ["BACKEND"]
        network = ws.Network(backend=backend)
        small = network.create(1000, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(2)
        try:
            with ws.Network(backend=backend) as other:
                ws.Population(10_000_000, ws.Neuron(equations="r += 1"))
            other.compile()
        except MemoryError as error:
            print(error)
        network.simulate(3)
        print(small.r[0])
        """,
        WEIGHTSHARING_EMULATION_MEMORY="1000000",
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    message, value = done.stdout.splitlines()
    assert "40000000 bytes asked for" in message and "free" in message
    assert float(value) == 5


@emulated
@each_backend
def test_use_after_fork(backend):
    done = run_python(
        """
        import os
        import weightsharing as ws

        network = ws.Network(backend=os.environ["BACKEND"])
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
        """,
        BACKEND=backend,
    )
    assert done.returncode == 0, done.stderr
    assert "forked" in done.stdout and done.stdout.endswith("2.0\n")


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


@each_backend
def test_wrong_device_index(backend):
    with pytest.raises(IndexError, match="device 7"):
        device_module(backend).Array([3], "float32", 7)


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
def scattered(pre, units):
    """Listed centres anywhere in pre."""
    generator = np.random.default_rng(3)
    return np.stack([generator.integers(0, size, units) for size in pre], axis=1)


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
    "column": (SharedDescription((45, 70), (45, 70), ((5, 1),), padding="border", psp=W_R), "window"),
    "layers of a line": (
        SharedDescription((61, 37), (61, 37), ((7,),), keep_last_dimension=True, operation="max", psp=W_R),
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
    "3x3 ignore": (SharedDescription((67, 150), (67, 150), ((3, 3),), padding="ignore", psp=W_R), "window"),
    "7x7 mean, ignore": (
        SharedDescription((41, 140), (41, 140), ((7, 7),), operation="mean", padding="ignore", psp=W_R),
        "window",
    ),
    "5x5 max, ignore": (
        SharedDescription((41, 140), (41, 140), ((5, 5),), operation="max", padding="ignore", psp=W_R),
        "window",
    ),
    "any extents, ignore": (
        SharedDescription((45, 70), (45, 70), ((4, 9),), operation="mean", padding="ignore", psp=W_R),
        "window",
    ),
    "three axes, ignore": (
        SharedDescription((9, 20, 30), (9, 20, 30), ((3, 3, 2),), operation="min", padding="ignore", psp=W_R),
        "window",
    ),
    "layers, ignore": (
        SharedDescription(
            (30, 21, 5), (30, 21, 5), ((5, 3),), keep_last_dimension=True, padding="ignore", psp=W_R
        ),
        "window",
    ),
    "bank, ignore": (
        SharedDescription((14, 13, 6), (14, 13, 33), ((3, 3, 6),) * 33, bank=True, padding="ignore", psp=W_R),
        "bank",
    ),
    "bank mean, ignore": (
        SharedDescription(
            (30, 30), (15, 15, 17), ((4, 3),) * 17, bank=True, padding="ignore", operation="mean", psp=W_R
        ),
        "bank",
    ),
    "listed": (
        SharedDescription((60, 60), (2100,), ((5, 4),), centres=scattered((60, 60), 2100), psp=W_R),
        "gather",
    ),
    "listed max, ignore": (
        SharedDescription(
            (60, 60),
            (2100,),
            ((3, 3),),
            operation="max",
            padding="ignore",
            centres=scattered((60, 60), 2100),
            psp=W_R,
        ),
        "gather",
    ),
    "listed bank": (
        SharedDescription(
            (20, 30, 3),
            (130, 17),
            ((3, 3, 3),) * 17,
            bank=True,
            operation="mean",
            padding="reflect",
            centres=scattered((20, 30, 3), 130),
            psp=W_R,
        ),
        "gather",
    ),
    "listed bank, log": (
        SharedDescription(
            (20, 30),
            (300, 17),
            ((3, 3),) * 8 + ((5, 2),) * 9,
            bank=True,
            padding="ignore",
            centres=scattered((20, 30), 300),
            psp=parse_psp("w*log(1+pre.r)"),
        ),
        "gather",
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
    "pooling in whole vectors": (
        PoolingDescription((3, 62, 80), (3, 31, 40), (1, 2, 2), (1, 2, 2), "max", psp=RATE),
        "pool",
    ),
    "pooling of channels": (
        PoolingDescription((22, 31, 64), (11, 15, 64), (2, 2, 1), (2, 2, 1), "mean", psp=RATE),
        "pool",
    ),
    "pooling of four channels": (
        PoolingDescription((53, 80, 4), (26, 40, 4), (2, 2, 1), (2, 2, 1), "min", psp=RATE),
        "pool",
    ),
}


@each_backend
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", TILED)
@pytest.mark.parametrize("specials", (None, "rates", "both"))
def test_kernels_with_tiles(backend, case, dtype, specials):
    description, family = TILED[case]
    rates, weights = draw_case(description, "log" in case, dtype, 5, specials, 2)
    executor = CudaExecutor(description, dtype, backend)
    Judge(description, rates, weights).check(executor, True)
    report = executor.describe()
    assert report["family"] == family
    assert "one thread per unit" not in report["reason"]


@each_backend
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize(
    ("pre", "extent", "kernel"),
    (
        ((64, 256), (2, 2), "pool_2x2"),
        ((64, 64, 8), (2, 2, 1), "pool_2x2"),
        ((64, 64, 3), (2, 2, 1), "pool_rows"),
        ((96, 192), (3, 3), "pool_rows"),
        ((8, 8), (2, 2), "pool_naive"),
    ),
)
def test_pooling_says_which_kernel(backend, pre, extent, kernel, dtype):
    post = tuple(n // e for n, e in zip(pre, extent, strict=True))
    executor = CudaExecutor(PoolingDescription(pre, post, extent, extent, "max", psp=RATE), dtype, backend)
    assert executor.describe()["reason"].startswith(kernel + ":")


@each_backend
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize(
    "description",
    (
        SharedDescription((64, 64), (64, 64), ((7, 7),), operation="mean", algorithm="direct", psp=W_R),
        SharedDescription((64, 64), (64, 64, 16), ((7, 7),) * 16, bank=True, operation="mean", psp=W_R),
    ),
    ids=("window", "bank"),
)
def test_mean_divides(backend, description, dtype):
    """The mean of equal whole numbers is that number, which a multiplication with 1/49 would miss."""
    description = replace(description, padding="border")
    executor = CudaExecutor(description, dtype, backend)
    executor.set_weights([np.ones((7, 7), dtype)] * len(description.extents))
    rates = np.arange(1, 51, dtype=dtype).reshape(50, 1, 1) * np.ones((1, 64, 64), dtype)
    out = np.empty((50, *description.post), dtype)
    executor.run(rates, out, False)
    for number, result in zip(range(1, 51), out, strict=True):
        np.testing.assert_array_equal(result, number)


@each_backend
@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_low_rank_comes_and_goes(backend, dtype):
    """The launch list follows the weights: a separable filter, noise, a sum of two products, NaN."""
    description = SharedDescription((64, 70), (64, 70), ((11, 13),), psp=W_R)
    generator = np.random.default_rng(0)
    rates = generator.normal(size=(1, 64, 70)).astype(dtype)
    one, other = (separable(generator, (11, 13), dtype) for _ in range(2))
    noise = generator.normal(size=(11, 13)).astype(dtype)
    executor = CudaExecutor(description, dtype, backend)
    for weights, algorithm in (
        (one, "lowrank"),
        (noise, "direct"),
        (one + other, "lowrank"),
        (noise * np.nan, "direct"),
    ):
        Judge(description, rates, [weights.astype(dtype)]).check(executor, False)
        assert executor.describe()["algorithm"] == algorithm
    direct = CudaExecutor(replace(description, algorithm="direct"), dtype, backend)
    direct.set_weights([one])
    assert direct.describe()["algorithm"] == "direct"


@each_backend
def test_low_rank_in_a_captured_step(backend):
    """A step that was captured with one kernel is captured again when new weights choose another."""
    results = []
    for one in (backend, "reference"):
        network = ws.Network(backend=one, dtype="float64")
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


def test_long_sums_on_tensor_cores():
    """Within the direct bound too, where no sum cancels."""
    description = replace(LONG_SUMS["a bank"], algorithm="3xtf32")
    for constant in (None, 0.1, 0.37):
        check_long_sum(description, np.float32, constant, lambda d: CudaExecutor(d, np.float32, ON_GPU[0]))


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("constant", (None, 0.1, 0.37))
def test_long_sums_keep_the_direct_bound(case, dtype, constant):
    check_long_sum(
        LONG_SUMS[case], dtype, constant, lambda description: CudaExecutor(description, dtype, ON_GPU[0])
    )


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
