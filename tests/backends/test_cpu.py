"""The CPU backend against the reference, over everything the specification allows.

Hypothesis draws a description, rates and weights; every instruction set of this processor and 1 to 4 threads must
give what the reference gives in float64, within the bound of the specification, and the same bits for any number
of threads.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from strategies.agreement import (
    CASE,
    LONG_SUMS,
    W_R,
    Judge,
    check_long_sum,
    draw_case,
    draw_numbers,
    factored_filters,
    pooling_descriptions,
    separable,
    shared_descriptions,
    synapses_descriptions,
    winograd_banks,
)
from weightsharing import _core, filters
from weightsharing.backends.cpu import CpuExecutor
from weightsharing.description.projections import SharedDescription
from weightsharing.language.expression import parse_psp
from weightsharing.language.operations import OPCODES

pytestmark = pytest.mark.properties

LEVELS = _core.instruction_sets()


@contextmanager
def instruction_set(name):
    before = _core.instruction_set()
    _core.set_instruction_set(name)
    try:
        yield
    finally:
        _core.set_instruction_set(before)


def test_opcodes_are_the_same_in_python_and_cpp():
    assert tuple(_core.opcodes()) == tuple(OPCODES)


def compare(description, rates, weights, accumulate, threads):
    """Run every instruction set, with one and with several threads; returns the last report."""
    judge = Judge(description, rates, weights)
    for level in LEVELS:
        with instruction_set(level):
            executors = [CpuExecutor(description, rates.dtype, count) for count in (1, threads)]
            one, several = (judge.check(executor, accumulate) for executor in executors)
            np.testing.assert_array_equal(one, several)
    return executors[0].describe()


def check(description, positive, dtype, seed, specials, batch, accumulate, threads):
    rates, weights = draw_case(description, positive, dtype, seed, specials, batch)
    event(str(compare(description, rates, weights, accumulate, threads)["family"]))


COMMON = {**CASE, "threads": st.integers(2, 4)}


@given(drawn=shared_descriptions(), **COMMON)
def test_shared(drawn, **common):
    check(*drawn, **common)


@given(description=pooling_descriptions(), **COMMON)
def test_pooling(description, **common):
    check(description, False, **common)


@given(drawn=synapses_descriptions(), **COMMON)
def test_synapses(drawn, **common):
    check(*drawn, **common)


@given(drawn=factored_filters(), **{**COMMON, "specials": st.sampled_from((None, "rates", "huge"))})
def test_lowrank(drawn, dtype, seed, specials, batch, accumulate, threads):
    description, terms = drawn
    generator = np.random.default_rng(seed)
    extent = description.extents[0]
    weights = [sum(separable(generator, extent, np.float64) for _ in range(terms)).astype(dtype)]
    rates = draw_numbers(generator, (batch, *description.pre), dtype, False, specials == "rates")
    if specials == "huge":
        rates *= dtype(np.sqrt(np.finfo(dtype).max) / 100)
    report = compare(description, rates, weights, accumulate, threads)
    event(report["algorithm"])


def test_lowrank_is_chosen_for_gaussians_and_not_for_noise():
    x = np.exp(-(np.linspace(-2, 2, 21) ** 2))
    description = SharedDescription((128, 128), (128, 128), ((21, 21),), psp=parse_psp("w*pre.r"))
    executor = CpuExecutor(description, np.float32)
    executor.set_weights([np.outer(x, x).astype(np.float32)])
    assert executor.describe()["algorithm"] == "lowrank"
    executor.set_weights([np.random.default_rng(0).normal(size=(21, 21)).astype(np.float32)])
    assert executor.describe()["algorithm"] == "direct"
    executor.set_weights([np.full((21, 21), np.nan, np.float32)])
    assert executor.describe()["algorithm"] == "direct"


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_differences_of_gaussians_are_two_products(dtype):
    description = SharedDescription((128, 128), (128, 128), ((31, 31),), psp=W_R)
    executor = CpuExecutor(description, dtype)
    executor.set_weights([filters.dog((31, 31), 3.0, 6.0).astype(dtype)])
    assert "2 products" in str(executor.describe()["reason"])


@given(description=winograd_banks(), **{**COMMON, "specials": st.sampled_from((None, "rates"))})
@settings(max_examples=max(5, settings().max_examples // 40))
def test_winograd(description, dtype, seed, specials, batch, accumulate, threads):
    generator = np.random.default_rng(seed)
    weights = [draw_numbers(generator, shape, dtype, False, False) for shape in description.extents]
    rates = draw_numbers(generator, (batch, *description.pre), dtype, False, specials == "rates")
    report = compare(description, rates, weights, accumulate, threads)
    assert report["algorithm"] == "winograd"


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("constant", (None, 0.1, 0.37))
def test_long_sums_keep_the_direct_bound(case, dtype, constant):
    """Within 4 eps of the sum of magnitudes, whatever the number of taps: also where all terms are equal, so that
    every addition rounds the same way. Judged by exact summation of what is constant or drawn."""
    check_long_sum(LONG_SUMS[case], dtype, constant, lambda description: CpuExecutor(description, dtype, 2))


def test_kernels_of_an_instruction_set_export_nothing_else():
    """Code for a newer processor must not be picked by the linker for an older one: no weak symbols."""
    import shutil
    import subprocess

    if shutil.which("nm") is None:
        pytest.fail("nm (binutils) is needed to look into the compiled core")
    table = subprocess.run(["nm", "-C", _core.__file__], capture_output=True, text=True, check=True).stdout
    for line in table.splitlines():
        kind = line.split()[1] if not line.startswith(" ") else line.split()[0]
        if any(f"cpu::{level}::" in line for level in ("baseline", "v3", "v4")):
            assert kind not in "WVu", line


def test_fork_after_threads():
    """A child forked after threads were used must compute, on one thread, instead of hanging."""
    import os
    import signal

    description = SharedDescription((512, 512), (512, 512), ((5, 5),), psp=parse_psp("w*pre.r"))
    executor = CpuExecutor(description, np.float32, 2)
    executor.set_weights([np.ones((5, 5), np.float32)])
    rates, out = np.ones((1, 512, 512), np.float32), np.zeros((1, 512, 512), np.float32)
    executor.run(rates, out, False)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            out[:] = 0
            executor.run(rates, out, False)
            os._exit(0 if out[0, 100, 100] == 25 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_two_python_threads_share_an_executor():
    from concurrent.futures import ThreadPoolExecutor

    description = SharedDescription((256, 256), (256, 256), ((7, 7),), psp=parse_psp("w*pre.r"))
    executor = CpuExecutor(description, np.float32, 2)
    executor.set_weights([np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)])
    inputs = np.random.default_rng(1).normal(size=(8, 1, 256, 256)).astype(np.float32)
    expected = np.empty_like(inputs)
    for rates, out in zip(inputs, expected, strict=True):
        executor.run(rates, out, False)
    results = np.zeros_like(inputs)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: executor.run(inputs[i], results[i], False), range(8)))
    np.testing.assert_array_equal(results, expected)
