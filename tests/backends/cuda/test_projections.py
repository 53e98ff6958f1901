"""The CUDA and CuPy backends against the reference, over everything the specification allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from strategies.agreement import (
    CASE,
    LONG_SUMS,
    W_R,
    Judge,
    check_long_sum,
    draw_case,
    factored_filters,
    pooling_descriptions,
    shared_descriptions,
    synapses_descriptions,
)
from strategies.backends import ON_GPU
from strategies.gpu import each_backend
from weightsharing.backends.cuda import CudaExecutor
from weightsharing.description.projections import SharedDescription

pytestmark = [pytest.mark.properties, pytest.mark.thread_order]


def check(backend, description, positive, accumulate, **case):
    judge = Judge(description, *draw_case(description, positive, **case), case["data"] != "random")
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
    Judge(description, rates, weights, case["data"] != "random").check(executor, accumulate)
    event(f"{executor.describe()['family']}: {executor.describe()['reason']}")


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


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("data", (None, 0.1, 0.37, "ramp", "one large"))
def test_long_sums_keep_the_direct_bound(case, dtype, data):
    check_long_sum(
        LONG_SUMS[case], dtype, data, lambda description: CudaExecutor(description, dtype, ON_GPU[0])
    )
