"""The reference against independent loops, and against what ANNarchy computed."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from strategies.folders import ORACLE
from strategies.reference import RAMP, once, pooling, shared, synapses
from weightsharing.description.lattice import centres
from weightsharing.description.projections import OPERATIONS, PADDINGS, SharedDescription

pytestmark = pytest.mark.python_only

# --- Independent loops --------------------------------------------------------------------------------------

REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}
PAD = {"border": {"mode": "edge"}, "reflect": {"mode": "reflect"}, "wrap": {"mode": "wrap"}}


def by_hand(rates, weights, strides, first, dilation, sign, padding, operation):
    """Extend the rates with np.pad, then visit every unit and every tap."""
    margin = 12
    if padding == "ignore":
        extended = np.pad(rates, margin, constant_values=np.nan)
    elif isinstance(padding, str):
        extended = np.pad(rates, margin, **PAD[padding])
    else:
        extended = np.pad(rates, margin, constant_values=padding)
    counts = [(p - 1 - f) // s + 1 for p, f, s in zip(rates.shape, first, strides, strict=True)]
    out = np.empty(counts)
    for unit in np.ndindex(*counts):
        contributions = []
        for tap in np.ndindex(*weights.shape):
            place = []
            for axis, size in enumerate(weights.shape):
                if counts[axis] == 1 and size == rates.shape[axis]:
                    place.append(margin + (tap[axis] if sign == 1 else size - 1 - tap[axis]))
                    continue
                middle = (size - 1) // 2
                centre = first[axis] + strides[axis] * unit[axis]
                place.append(margin + centre + sign * dilation[axis] * (tap[axis] - middle))
            if not np.isnan(extended[tuple(place)]):
                contributions.append(weights[tap] * extended[tuple(place)])
        out[unit] = REDUCE[operation](contributions)
    return out


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0.0, 0.75, "border", "reflect", "wrap", "ignore"])
@pytest.mark.parametrize("method", ["filter", "convolution"])
def test_against_padded_loops(rank, padding, method):
    random = np.random.default_rng([rank, len(str(padding)), len(method)])
    for operation in OPERATIONS:
        pre = tuple(int(n) for n in random.integers(2, 6, rank))
        rates = random.normal(size=pre)
        weights = random.normal(size=tuple(int(n) for n in random.integers(1, 4, rank)))
        strides = tuple(int(n) for n in random.integers(1, 3, rank))
        first = tuple(int(n) for n in random.integers(0, 2, rank))
        dilation = tuple(int(n) for n in random.integers(1, 3, rank))
        sign = 1 if method == "filter" else -1
        expected = by_hand(rates, weights, strides, first, dilation, sign, padding, operation)
        executor = shared(
            pre,
            expected.shape,
            weights,
            method=method,
            operation=operation,
            padding=padding,
            strides=strides,
            first=first,
            dilation=dilation,
        )
        np.testing.assert_allclose(once(executor, rates), expected, rtol=1e-13, atol=1e-13)
        # The same centres, listed; with those nothing is collapsed.
        if any(q == 1 and k == p for q, k, p in zip(expected.shape, weights.shape, pre, strict=True)):
            continue
        grid = [f + s * np.arange(q) for f, s, q in zip(first, strides, expected.shape, strict=True)]
        listed = shared(
            pre,
            expected.shape,
            weights,
            method=method,
            operation=operation,
            padding=padding,
            dilation=dilation,
            centres=list(itertools.product(*grid)),
        )
        np.testing.assert_array_equal(once(listed, rates), once(executor, rates))


@pytest.mark.parametrize("method", ["filter", "convolution"])
def test_a_layer_is_a_filter_per_slice(method):
    random = np.random.default_rng(3)
    rates, weights = random.normal(size=(4, 6, 3)), random.normal(size=(3, 2))
    options = {"method": method, "padding": "reflect", "operation": "mean"}
    layered = once(shared((4, 6, 3), (2, 6, 3), weights, keep_last_dimension=True, **options), rates)
    for layer in range(3):
        np.testing.assert_array_equal(
            layered[..., layer], once(shared((4, 6), (2, 6), weights, **options), rates[..., layer])
        )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_pooling_against_slices(operation):
    random = np.random.default_rng(4)
    rates = random.normal(size=(5, 4, 7, 3))
    extent, stride, post = (2, 3, 3, 2), (2, 3, 2, 1), (3, 2, 3, 3)
    expected = np.empty(post)
    for unit in np.ndindex(*post):
        box = tuple(slice(q * s, q * s + k) for q, s, k in zip(unit, stride, extent, strict=True))
        expected[unit] = REDUCE[operation](rates[box])
    executor = pooling(rates.shape, post, extent, stride, operation)
    np.testing.assert_allclose(once(executor, rates), expected, rtol=1e-13)


def test_dense_synapses_are_a_matrix_product():
    random = np.random.default_rng(5)
    matrix, rates = random.normal(size=(6, 12)), random.normal(size=(4, 3))
    result = once(synapses((4, 3), (2, 3), matrix), rates)
    np.testing.assert_allclose(result.ravel(), matrix @ rates.ravel(), rtol=1e-13)


def test_every_padding_is_known():
    for padding in PADDINGS:
        post = (2,) if padding == "valid" else (4,)
        assert once(shared((4,), post, [0, 1, 0], padding=padding), RAMP).size == post[0]


# --- What ANNarchy computed ---------------------------------------------------------------------------------


def recorded_single_projections():
    for path in sorted((ORACLE / "annarchy").glob("*.npz")):
        meta = json.loads(str(np.load(path)["meta"]))
        if not meta["quirks"] and len(meta["projections"]) == 1:
            yield pytest.param(path, id=path.stem)


def recorded_executor(meta, arrays):
    """Return the only projection as recorded, and its executor."""
    ((name, projection),) = meta["projections"].items()
    pre, post = (tuple(meta["populations"][projection[end]]["geometry"]) for end in ("pre", "post"))
    operation, psp, arguments = projection["operation"], projection["psp"], projection["kwargs"]
    weights = arrays.get(f"w_{name}")
    api = projection["api"].split(".")[1]
    if api in ("connect_pooling", "pooling"):
        quotient = (p // q for p, q in zip(pre, post, strict=False))
        extent = tuple(arguments.get("extent") or quotient)
        return projection, pooling(pre, post, extent, operation=operation, psp=psp)
    if api in ("connect_copy", "connect_from_matrix"):
        return projection, synapses(pre, post, weights, operation, psp)
    return projection, shared(
        pre,
        post,
        weights,
        psp,
        bank=api == "connect_filters" or arguments.get("multiple", False),
        keep_last_dimension=arguments.get("keep_last_dimension", False),
        method=arguments.get("method", "convolution") if api == "convolve" else "filter",
        operation=operation,
        padding=arguments.get("padding", 0.0),
        centres=arrays.get(f"subsampling_{name}"),
    )


@pytest.mark.parametrize("path", list(recorded_single_projections()))
def test_first_step_of_recorded_networks(path):
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    projection, executor = recorded_executor(meta, arrays)
    total = once(executor, arrays[f"in_{projection['pre']}"][0])
    equation = meta["populations"][projection["post"]]["equations"].replace(" ", "")
    assert equation in ("r=sum(exc)", "r=sum(exc):min=0.0")
    if equation.endswith("min=0.0"):
        total = np.maximum(total, 0.0)
    np.testing.assert_allclose(total, arrays[f"out_{projection['post']}"][0], rtol=0, atol=1e-12)
    coordinates = arrays.get(f"coords_{next(iter(meta['projections']))}")
    if coordinates is not None and isinstance(executor.description, SharedDescription):
        description = executor.description
        filters = description.post[-1] if description.bank else 1
        np.testing.assert_array_equal(centres(description), coordinates[::filters, : len(description.pre)])
