"""Banks of filters on tensor cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weightsharing as ws
from strategies.agreement import (
    CASE,
    LONG_SUMS,
    W_R,
    Judge,
    check_long_sum,
    draw_case,
)
from strategies.backends import ON_GPU
from strategies.gpu import each_backend
from weightsharing.backends.cuda import CudaExecutor
from weightsharing.description.projections import SharedDescription
from weightsharing.language.expression import parse_psp

pytestmark = [pytest.mark.properties, pytest.mark.thread_order]


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
    judge = Judge(description, rates * np.float32(magnitude), weights, case["data"] != "random")
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


def test_long_sums_on_tensor_cores():
    """Within the direct bound too, where no sum cancels."""
    description = replace(LONG_SUMS["a bank"], algorithm="3xtf32")
    for constant in (None, 0.1, 0.37):
        check_long_sum(description, np.float32, constant, lambda d: CudaExecutor(d, np.float32, ON_GPU[0]))
