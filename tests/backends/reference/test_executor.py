"""The executor of the reference: batches, types, weights, and wrong arrays."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.agreement import magnitude_of
from strategies.reference import NAN, RAMP, once, pooling, shared, synapses
from weightsharing.backends.reference.executor import ReferenceExecutor
from weightsharing.description.projections import PoolingDescription, SharedDescription
from weightsharing.language.expression import parse_psp

pytestmark = pytest.mark.python_only


def test_batch_and_accumulation():
    executor = shared((4,), (4, 2), [[1, 10], [100, 1000]], bank=True)
    rates = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1]])
    out = np.ones((2, 4, 2))
    executor.run(rates, out, accumulate=True)
    for trial in range(2):
        np.testing.assert_array_equal(out[trial], 1 + once(executor, rates[trial]))


def test_accumulation_adds_nothing_without_synapses():
    out = np.array([[5.0, 6.0]])
    synapses((1,), (2,), [[NAN], [2]], "min").run(np.array([[3.0]]), out, accumulate=True)
    assert out.tolist() == [[5, 12]]


def test_weights_are_copied_and_can_be_set_again():
    executor = shared((1,), (1,), [2])
    weights = np.array([3.0])
    executor.set_weights([weights])
    weights[0] = 9
    assert once(executor, [1]).tolist() == [3]


def test_computes_in_the_type_asked_for():
    description = SharedDescription((2,), (1,), ((2,),), psp=parse_psp("w*pre.r"))
    rates = np.array([[1.0 + 2.0**-12, -1.0]], dtype=np.float32)
    weights = [np.array([1.0 + 2.0**-12, 1.0], dtype=np.float32)]
    results = {}
    for dtype in (np.float32, np.float64):
        executor = ReferenceExecutor(description, dtype)
        executor.set_weights(weights)
        out = np.empty((1, 1), dtype=dtype)
        executor.run(rates, out, accumulate=False)
        results[dtype] = out[0, 0]
        assert magnitude_of(executor, rates).dtype == dtype
    # (1 + e)**2 - 1 = 2 e + e**2, and e**2 is lost when the product is rounded to float32.
    assert results[np.float32] == 2.0**-11
    assert results[np.float64] == 2.0**-11 + 2.0**-24


def test_sums_are_not_blurred_by_their_own_rounding():
    description = PoolingDescription((2**12,), (1,), (2**12,), (2**12,), "sum", psp=parse_psp("pre.r", False))
    rates = np.full((1, 2**12), 0.1, dtype=np.float32)
    out = np.empty((1, 1), dtype=np.float32)
    ReferenceExecutor(description, np.float32).run(rates, out, accumulate=False)
    assert out[0, 0] == np.float32(0.1) * 2**12


def test_magnitude():
    rates = np.array([[1.0, -2, 3]])
    for operation, expected in [("sum", [21, 32, 3]), ("mean", [10.5, 16, 1.5]), ("max", [20, 30, 3])]:
        assert magnitude_of(shared((3,), (3,), [-1, 10], operation=operation), rates)[0].tolist() == expected
    assert magnitude_of(shared((3,), (3,), [-1, 10], operation="min"), rates)[0].tolist() == [20, 30, 3]
    assert magnitude_of(pooling((3,), (1,), (3,), operation="sum"), rates).tolist() == [[6]]
    assert magnitude_of(synapses((3,), (1,), [[1, 1, -1]]), rates).tolist() == [[6]]


def test_describe():
    families = {
        "window": shared((4,), (4,), [1, 1]),
        "bank": shared((4,), (4, 1), [[1, 1]], bank=True),
        "gather": shared((4,), (1,), [1, 1], centres=[[0]]),
        "pool": pooling((4,), (2,), (2,)),
        "synapses": synapses((2,), (1,), [[1, NAN]]),
    }
    for family, executor in families.items():
        described = executor.describe()
        assert described["family"] == family
        assert described["backend"] == "reference"
        assert described["algorithm"] == "direct"
        assert described["reason"]
    assert families["window"].describe()["bytes"] == 8 * (4 + 4 + 2)
    assert families["window"].describe()["flops"] == 2 * 4 * 2
    assert families["pool"].describe()["flops"] == 4
    assert families["synapses"].describe()["flops"] == 2


@pytest.mark.parametrize(
    ("pre", "post", "weights", "options", "match"),
    [
        ((7,), (3,), [1, 1, 1], {}, "subsampling"),
        ((3,), (6,), [1], {}, "whole multiple"),
        ((4, 3), (4,), [[1, 1]], {}, "span"),
        ((4,), (4, 1), [1], {}, "more axes"),
        ((4,), (3,), [1], {"strides": (2,)}, "centres 0 to 4"),
        ((4,), (4,), [1, 1, 1], {"padding": "valid"}, "gives 2 units"),
        ((2,), (1,), [1, 1, 1], {"padding": "valid"}, "gives 0 units"),
        ((4,), (2,), [1, 1, 1], {"padding": "valid", "first": (1,)}, "leave first out"),
        ((4,), (1,), [1, 1, 1], {"padding": "valid", "centres": [[0]]}, "reaches -1 to 1"),
        ((4,), (1,), [1], {"centres": [[4]]}, "inside pre"),
        ((4,), (2,), [1], {"centres": [[0]]}, "subsampling"),
        ((4, 3), (4, 2), [1], {"keep_last_dimension": True}, "slices"),
        ((4, 3), (4, 3), [1], {}, "2 for pre"),
        ((4,), (4, 3), [[1], [1]], {"bank": True}, "2 filters"),
    ],
)
def test_shapes_that_do_not_fit(pre, post, weights, options, match):
    with pytest.raises(ValueError, match=match):
        shared(pre, post, weights, **options)


def test_pooling_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="outside"):
        pooling((4,), (3,), (2,))
    with pytest.raises(ValueError, match="cover"):
        pooling((4, 3), (2,), (2, 2))
    with pytest.raises(ValueError, match="more axes"):
        pooling((4,), (2, 1), (2,))


def test_wrong_arrays():
    executor = shared((4,), (2,), [1, 1])
    with pytest.raises(ValueError, match="expected"):
        executor.set_weights([np.ones(3)])
    with pytest.raises(ValueError, match="rates"):
        executor.run(np.ones((1, 5)), np.ones((1, 2)), accumulate=False)
    with pytest.raises(ValueError, match="out"):
        executor.run(np.ones((1, 4)), np.ones((1, 1)), accumulate=False)
    with pytest.raises(TypeError, match="pooling"):
        pooling((4,), (2,), (2,)).set_weights([np.ones(2)])
    with pytest.raises(ValueError, match="set_weights"):
        once(ReferenceExecutor(executor.description, np.float64), RAMP)
