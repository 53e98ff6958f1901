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
    DATA,
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


def compare(description, rates, weights, accumulate, threads, proved=False):
    """Run every instruction set, with one and with several threads; returns the last report."""
    judge = Judge(description, rates, weights, proved)
    for level in LEVELS:
        with instruction_set(level):
            executors = [CpuExecutor(description, rates.dtype, count) for count in (1, threads)]
            one, several = (judge.check(executor, accumulate) for executor in executors)
            np.testing.assert_array_equal(one, several)
    return executors[0].describe()


def check(description, positive, dtype, seed, specials, batch, accumulate, threads, data):
    rates, weights = draw_case(description, positive, dtype, seed, specials, batch, data)
    report = compare(description, rates, weights, accumulate, threads, data != "random")
    event(f"{report['family']}, {data}")


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
def test_lowrank(drawn, dtype, seed, specials, batch, accumulate, threads, data):
    description, terms = drawn
    generator = np.random.default_rng(seed)
    extent = description.extents[0]
    weights = [sum(separable(generator, extent, np.float64, data) for _ in range(terms)).astype(dtype)]
    rates = draw_numbers(generator, (batch, *description.pre), dtype, False, specials == "rates", data)
    if specials == "huge":
        rates *= dtype(np.sqrt(np.finfo(dtype).max) / 100)
    report = compare(description, rates, weights, accumulate, threads, data != "random")
    event(f"{report['algorithm']}, {data}")


@pytest.mark.parametrize("data", (*DATA[-3:], 0.55, 0.89))
@pytest.mark.parametrize("extent", ((21, 21), (32, 32), (64, 64), (15, 15, 15)))
def test_lowrank_error_that_was_measured(extent, data):
    """Within c = 8 of the specification, which nobody has proved, also of sums that all round in one direction."""
    pre = tuple(size + 4 for size in extent)
    description = SharedDescription(pre, pre, (extent,), psp=W_R)
    generator = np.random.default_rng(1)
    if isinstance(data, float):
        weights, rates = np.full(extent, data, np.float32), np.full((1, *pre), 1.2 * data, np.float32)
    else:
        weights = separable(generator, extent, np.float32, data)
        rates = draw_numbers(generator, (1, *pre), np.float32, False, False, data)
    judge = Judge(description, rates, [weights], proved=False)
    executor = CpuExecutor(description, np.float32)
    judge.check(executor, False)
    assert executor.describe()["algorithm"] == "lowrank"


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
def test_winograd(description, dtype, seed, specials, batch, accumulate, threads, data):
    generator = np.random.default_rng(seed)
    weights = [draw_numbers(generator, shape, dtype, False, False, data) for shape in description.extents]
    rates = draw_numbers(generator, (batch, *description.pre), dtype, False, specials == "rates", data)
    report = compare(description, rates, weights, accumulate, threads, data != "random")
    assert report["algorithm"] == "winograd"


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", LONG_SUMS)
@pytest.mark.parametrize("data", (None, 0.1, 0.37, "ramp", "one large"))
def test_long_sums_keep_the_direct_bound(case, dtype, data):
    """Whatever the number of taps, also where every addition rounds the same way."""
    check_long_sum(LONG_SUMS[case], dtype, data, lambda description: CpuExecutor(description, dtype, 2))


def test_a_bank_is_one_again_with_finite_weights():
    """With padding='ignore' a weight that is not finite needs another plan, until the next weights."""
    description = SharedDescription(
        (9, 9), (9, 9, 32), ((3, 3),) * 32, bank=True, padding="ignore", operation="mean", psp=W_R
    )
    weights = list(np.random.default_rng(0).normal(size=(32, 3, 3)).astype(np.float32))
    rates = np.random.default_rng(1).normal(size=(1, 9, 9)).astype(np.float32)
    executor = CpuExecutor(description, np.float32)
    for spoilt, family in ((False, "bank"), (True, "window"), (False, "bank")):
        now = [np.full_like(weights[0], np.inf), *weights[1:]] if spoilt else weights
        Judge(description, rates, now).check(executor, False)
        assert executor.describe()["family"] == family


def test_reasons_are_told_apart():
    """Banks of 2 and of 12 filters: the words of one end like those of the other."""
    extents = ((3, 3),) * 12 + ((5, 5),) * 2
    description = SharedDescription((9, 9), (9, 9, 14), extents, bank=True, psp=W_R)
    with instruction_set("baseline"):
        executor = CpuExecutor(description, np.float32)
    assert (
        executor.describe()["reason"] == "12 filters fill the vector lanes; 2 filters fill the vector lanes"
    )
    assert executor.describe()["family"] == "bank"


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
