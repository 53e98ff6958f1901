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

from weightsharing import _core
from weightsharing.backends.cpu import CpuExecutor
from weightsharing.backends.reference import ReferenceExecutor
from weightsharing.description import PoolingDescription, SharedDescription, SynapsesDescription
from weightsharing.expressions import OPCODES, parse_psp

LEVELS = _core.instruction_sets()
OPERATIONS = ("sum", "max", "min", "mean")
PADDINGS = (0.0, 0.0, 1.5, -0.75, "border", "reflect", "wrap", "ignore", "valid")
# Text, and whether the rates must be positive.
PSPS = (
    ("w*pre.r", False),
    ("w*pre.r", False),
    ("w*pre.r", False),
    ("w*log(1+pre.r)", True),
    ("-w*w*pre.r/2", False),
    ("w", False),
    ("pre.r", False),
    ("exp(-(w-pre.r)**2)", False),
    ("1.0 if pre.r > w else 0.0", False),
    ("max(w, pre.r) + min(w*pre.r, 0.5)", False),
)
# Factors of the specification's bounds: direct sums, and c of the other algorithms.
DIRECT, LOWRANK, WINOGRAD = 4, 8, 16


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


@st.composite
def regular_axis(draw, largest, padding):
    """Geometry and filter along one axis: pre, post, taps, stride, dilation, first."""
    taps = draw(st.integers(1, 5) | st.integers(1, min(12, largest)))
    stride = draw(st.sampled_from((1, 1, 1, 2, 3, 5)))
    dilation = draw(st.sampled_from((1, 1, 1, 2, 3)))
    post = draw(st.integers(1, max(1, largest // stride)))
    if padding == "valid":
        pre = (post - 1) * stride + (taps - 1) * dilation + 1 + draw(st.integers(0, stride - 1))
        return pre, post, taps, stride, dilation, 0
    return post * stride, post, taps, stride, dilation, draw(st.integers(0, stride - 1))


@st.composite
def shared_descriptions(draw):
    rank = draw(st.integers(1, 4))
    largest = {1: 300, 2: 40, 3: 12, 4: 6}[rank]
    padding = draw(st.sampled_from(PADDINGS))
    operation = draw(st.sampled_from(OPERATIONS))
    method = draw(st.sampled_from(("filter", "convolution")))
    layers = rank > 1 and draw(st.booleans())
    collapsed = 0 if layers else draw(st.integers(0, rank - 1))
    bank = not layers and rank - collapsed < 4 and draw(st.booleans())
    listed = draw(st.sampled_from((False, False, False, True)))
    axes = [draw(regular_axis(largest, padding)) for _ in range(rank)]
    pre, post, extent, strides, dilation, first = (list(column) for column in zip(*axes, strict=True))
    for axis in range(rank - collapsed, rank):
        pre[axis] = extent[axis] = draw(st.integers(1, 6 if rank > 2 else 20))
    if layers:
        post[-1] = pre[-1] = draw(st.integers(1, 40))
        for column in (extent, strides, dilation, first):
            column.pop()
    else:
        post = post[: rank - collapsed]
        post = post or [1]
    style = draw(st.sampled_from(("regular", "explicit")))
    options = {}
    if style == "explicit":
        fill, fill_anchor = ([1], [0]) if layers else ([], [])
        options = {"strides": (*strides, *fill), "dilation": (*dilation, *fill)}
        if padding != "valid":
            options["first"] = (*first, *(0 for _ in fill))
        if draw(st.booleans()):
            options["anchor"] = (*(draw(st.integers(0, taps - 1)) for taps in extent), *fill_anchor)
    elif padding == "valid":  # without strides the step is 1
        for axis in range(len(post) - layers):
            if axis < rank - collapsed:
                post[axis] = pre[axis] - extent[axis] + 1
                if post[axis] < 1:
                    pre[axis], post[axis] = extent[axis], 1
    extents = [tuple(extent)]
    if bank:
        filters = draw(st.sampled_from((1, 2, 3, 5, 8, 17, 33)))
        extents = [tuple(extent)] * filters
        fixed = collapsed or padding == "valid" or 1 in post
        if not fixed and draw(st.booleans()):  # several scales
            scales = [tuple(draw(st.integers(1, 5)) for _ in extent) for _ in range(2)]
            extents = [scales[draw(st.integers(0, 1))] for _ in range(filters)]
            options.pop("anchor", None)
        post = [*post, filters]
    if listed and padding != "valid":
        for name in ("strides", "first"):
            options.pop(name, None)
        units = draw(st.integers(1, 30))
        post = [units, len(extents)] if bank else [units]
        centres = [[draw(st.integers(0, size - 1)) for size in pre] for _ in range(units)]
        options["centres"] = np.array(centres, dtype=np.int64)
    psp, positive = draw(st.sampled_from(PSPS))
    description = SharedDescription(
        tuple(pre),
        tuple(post),
        tuple(extents),
        bank=bank,
        keep_last_dimension=layers,
        method=method,
        operation=operation,
        padding=padding,
        algorithm=draw(st.sampled_from(("auto", "direct"))),
        psp=parse_psp(psp),
        **options,
    )
    return description, positive


@st.composite
def pooling_descriptions(draw):
    rank = draw(st.integers(1, 4))
    largest = {1: 300, 2: 40, 3: 12, 4: 6}[rank]
    pre, post, extent, stride = [], [], [], []
    for _ in range(rank):
        n = draw(st.integers(1, largest))
        s = draw(st.sampled_from((1, 1, 2, 3)))
        e = draw(st.integers(1, 4) | st.integers(1, n))
        pre.append(n)
        stride.append(s)
        extent.append(e)
        post.append(draw(st.integers(1, (n - 1) // s + 1)))
    for axis in range(draw(st.integers(1, rank)), rank):
        del post[axis:]
        for covered in range(axis, rank):
            extent[covered] = pre[covered] + draw(st.integers(0, 1))
        break
    psp = draw(st.sampled_from(("pre.r", "pre.r", "pre.r*pre.r", "exp(-pre.r)")))
    return PoolingDescription(
        tuple(pre),
        tuple(post),
        tuple(extent),
        tuple(stride),
        draw(st.sampled_from(OPERATIONS)),
        psp=parse_psp(psp, allow_weight=False),
    )


@st.composite
def synapses_descriptions(draw):
    pre, post = draw(st.integers(1, 400)), draw(st.integers(1, 20))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = generator.random((post, pre)) < draw(st.sampled_from((0.0, 0.05, 0.5, 1.0)))
    psp, positive = draw(st.sampled_from(PSPS))
    description = SynapsesDescription(
        (pre,),
        (post,),
        np.concatenate(([0], np.cumsum(mask.sum(1)))).astype(np.int64),
        np.nonzero(mask)[1].astype(np.int64),
        draw(st.sampled_from(OPERATIONS)),
        psp=parse_psp(psp),
    )
    return description, positive


def bound(description, judge, rates, weights, report, eps):
    """Allowed difference from the float64 reference, per unit."""
    magnitude = judge.magnitude(rates)
    scale = 1.0 if description.operation in ("max", "min") else DIRECT
    if description.psp.text not in ("w*pre.r", "pre.r", "w"):
        # The rounding of a psp's functions comes on top: at most 4 ulp each, of arguments below about 4.
        if isinstance(description, PoolingDescription):
            return 16 * eps * (magnitude + 4)
        most = max((np.abs(array).max(initial=0.0) for array in weights), default=0.0)
        return (scale + 16) * eps * (magnitude + most + 1)
    allowed = (1.0 if scale == 1.0 else scale) * eps * magnitude
    if report.get("algorithm") in ("lowrank", "winograd"):
        factor = LOWRANK if report["algorithm"] == "lowrank" else WINOGRAD
        taps = max(array.size for array in weights)
        most = max(np.abs(array).max(initial=0.0) for array in weights)
        rate = max(
            np.abs(rates).max(initial=0.0),
            abs(description.padding) if not isinstance(description.padding, str) else 0,
        )
        share = taps if description.operation == "mean" else 1
        allowed = np.maximum(allowed, factor * eps * taps * most * rate / share)
    return allowed + 1e-300


def draw_numbers(generator, shape, dtype, positive, specials):
    values = generator.normal(size=shape)
    if positive:
        values = np.abs(values)
    if specials and values.size:
        places = generator.integers(0, values.size, size=2)
        values.flat[places] = generator.choice([np.nan, np.inf, -np.inf, 0.0], size=2)
    return values.astype(dtype)


def check(description, positive, dtype, seed, specials, batch, accumulate, threads):
    generator = np.random.default_rng(seed)
    rates = draw_numbers(generator, (batch, *description.pre), dtype, positive, specials in ("rates", "both"))
    if isinstance(description, SharedDescription):
        shapes = description.extents
    elif isinstance(description, SynapsesDescription):
        shapes = [description.column.shape]
    else:
        shapes = []
    weights = [
        draw_numbers(generator, s, dtype, False, specials in ("weights", "both") and i == 0)
        for i, s in enumerate(shapes)
    ]
    if generator.random() < 0.3 and isinstance(description, SharedDescription) and not specials:
        weights = [separable(generator, shape, dtype) for shape in shapes]
    event(str(compare(description, rates, weights, accumulate, threads)["family"]))


def compare(description, rates, weights, accumulate, threads):
    """Run every instruction set and compare with the reference; returns the last report."""
    dtype, batch = rates.dtype.type, len(rates)
    generator = np.random.default_rng(0)
    before = generator.normal(size=(batch, *description.post)).astype(dtype)

    judge, twin = ReferenceExecutor(description, np.float64), ReferenceExecutor(description, dtype)
    for reference in (judge, twin):
        if weights:
            reference.set_weights(weights if isinstance(description, SharedDescription) else weights[0])
    expected = np.zeros((batch, *description.post))
    with np.errstate(all="ignore"):
        judge.run(rates.astype(np.float64), expected, False)
        exact = np.zeros((batch, *description.post), dtype)
        twin.run(rates, exact, False)

    plain = description.psp.text in ("w*pre.r", "pre.r", "w")
    for level in LEVELS:
        with instruction_set(level):
            results = []
            for count in {1, threads}:
                executor = CpuExecutor(description, dtype, count)
                if weights:
                    executor.set_weights(weights)
                out = before.copy()
                executor.run(rates, out, accumulate)
                results.append(out)
        for out in results[1:]:
            np.testing.assert_array_equal(results[0], out)  # any number of threads
        out = results[0]
        report = executor.describe()
        if accumulate:
            # Adding rounds once more; where the sum is finite it must be that of a run on its own.
            alone = np.empty_like(out)
            executor.run(rates, alone, False)
            np.testing.assert_array_equal(before + alone, out)
            out = alone
        if plain and description.operation in ("max", "min"):
            np.testing.assert_array_equal(out, exact)
            continue
        np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(out[~finite], expected[~finite].astype(dtype))
        with np.errstate(all="ignore"):
            allowed = bound(
                description, judge, rates.astype(np.float64), weights, report, np.finfo(dtype).eps
            )
            allowed = np.where(np.isfinite(allowed), allowed, np.inf)
            excess = np.abs(out.astype(np.float64) - expected) - allowed
        assert not (excess[finite] > 0).any(), (level, report, excess[finite].max())
    return report


def separable(generator, shape, dtype):
    out = np.ones(())
    for size in shape:
        out = np.multiply.outer(out, generator.normal(size=size))
    return out.astype(dtype)


COMMON = {
    "dtype": st.sampled_from((np.float32, np.float64)),
    "seed": st.integers(0, 2**32),
    "specials": st.sampled_from((None, None, None, "rates", "weights", "both")),
    "batch": st.sampled_from((1, 1, 3)),
    "accumulate": st.booleans(),
    "threads": st.integers(2, 4),
}


@given(drawn=shared_descriptions(), **COMMON)
def test_shared(drawn, **common):
    check(*drawn, **common)


@given(description=pooling_descriptions(), **COMMON)
def test_pooling(description, **common):
    check(description, False, **common)


@given(drawn=synapses_descriptions(), **COMMON)
def test_synapses(drawn, **common):
    check(*drawn, **common)


@st.composite
def factored_filters(draw):
    """Filters that are sums of one or two products: the low-rank path, on every rank from 2 to 4."""
    rank = draw(st.integers(2, 4))
    largest = {2: 90, 3: 20, 4: 9}[rank]
    pre = tuple(draw(st.integers(3, largest)) for _ in range(rank))
    extent = tuple(draw(st.integers(3, {2: 17, 3: 7, 4: 5}[rank])) for _ in range(rank))
    layers = draw(st.booleans()) and rank > 2
    description = SharedDescription(
        pre,
        pre,
        (extent[:-1] if layers else extent,),
        keep_last_dimension=layers,
        method=draw(st.sampled_from(("filter", "convolution"))),
        operation=draw(st.sampled_from(("sum", "mean"))),
        padding=draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap", "ignore"))),
        psp=parse_psp(draw(st.sampled_from(("w*pre.r", "w*pre.r*pre.r")))),
    )
    return description, draw(st.integers(1, 2))


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


@st.composite
def winograd_banks(draw):
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7) | st.sampled_from((51, 60)))
    channels, filters = draw(st.integers(32, 34)), draw(st.integers(32, 34))
    return SharedDescription(
        (height, width, channels),
        (height, width, filters),
        ((3, 3, channels),) * filters,
        bank=True,
        method=draw(st.sampled_from(("filter", "convolution"))),
        operation=draw(st.sampled_from(("sum", "mean"))),
        padding=draw(st.sampled_from((0.0, 1.5, "border", "reflect", "wrap"))),
        psp=parse_psp("w*pre.r"),
    )


@given(description=winograd_banks(), **{**COMMON, "specials": st.sampled_from((None, "rates"))})
@settings(max_examples=max(5, settings().max_examples // 40))
def test_winograd(description, dtype, seed, specials, batch, accumulate, threads):
    generator = np.random.default_rng(seed)
    weights = [draw_numbers(generator, shape, dtype, False, False) for shape in description.extents]
    rates = draw_numbers(generator, (batch, *description.pre), dtype, False, specials == "rates")
    report = compare(description, rates, weights, accumulate, threads)
    assert report["algorithm"] == "winograd"


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_long_sums_keep_the_direct_bound(dtype):
    """Rounding of a long sum of one sign: within 4 eps of the sum of magnitudes, whatever the number of taps."""
    generator = np.random.default_rng(1)
    for shape, filters in (((61, 61), None), ((3721,), None), ((7, 7, 80), 8)):
        pre = tuple(generator.integers(1, 4, size=len(shape) - 1)) + shape[-1:] if filters else shape
        post = (*pre[:-1], filters) if filters else pre
        extents = (shape,) * (filters or 1)
        description = SharedDescription(
            tuple(map(int, pre)),
            tuple(map(int, post)),
            extents,
            bank=bool(filters),
            algorithm="direct",
            psp=parse_psp("w*pre.r"),
        )
        weights = [generator.random(extent).astype(dtype) for extent in extents]
        rates = generator.random((1, *description.pre)).astype(dtype)
        compare(description, rates, weights, False, 2)


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
