"""Kernels that keep a tile of the input, and filters of low rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import weightsharing as ws
from strategies.agreement import (
    RATE,
    W_R,
    Judge,
    draw_case,
    separable,
)
from strategies.gpu import each_backend
from weightsharing.backends.cuda import CudaExecutor
from weightsharing.description.projections import PoolingDescription, SharedDescription
from weightsharing.language.expression import parse_psp

pytestmark = pytest.mark.thread_order


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
