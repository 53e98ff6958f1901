"""The reference by hand: operations, layers, banks, pooling and synapses."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.reference import INF, NAN, RAMP, once, pooling, shared, synapses
from weightsharing.description.lattice import centres
from weightsharing.description.projections import OPERATIONS

pytestmark = pytest.mark.python_only

# --- Operations ---------------------------------------------------------------------------------------------


def test_mean_divides_by_the_taps_of_one_filter():
    expected = np.array([210, 321, 432, 43])
    mean = shared((4,), (4,), [1, 10, 100], operation="mean")
    np.testing.assert_allclose(once(mean, RAMP), expected / 3, rtol=1e-15)
    bank = shared((4,), (4, 2), [[1, 10, 100]] * 2, operation="mean", bank=True)
    np.testing.assert_allclose(once(bank, RAMP), np.stack([expected / 3] * 2, axis=-1), rtol=1e-15)
    ignore = shared((4,), (4,), [1, 10, 100], operation="mean", padding="ignore")
    np.testing.assert_allclose(once(ignore, RAMP), expected / [2, 3, 3, 2], rtol=1e-15)


@pytest.mark.parametrize(
    ("operation", "padding", "expected"),
    [
        ("max", 0.0, [0, -1, -2, 0]),
        ("max", "ignore", [-1, -1, -2, -3]),
        ("max", "border", [-1, -1, -2, -3]),
        ("max", 5.0, [5, -1, -2, 5]),
        ("min", 0.0, [-2, -3, -4, -4]),
        ("min", -9, [-9, -3, -4, -9]),
        ("min", "ignore", [-2, -3, -4, -4]),
        ("min", "wrap", [-4, -3, -4, -4]),
    ],
)
def test_true_maximum_and_minimum(operation, padding, expected):
    executor = shared((4,), (4,), [1, 1, 1], operation=operation, padding=padding)
    assert once(executor, [-1, -2, -3, -4]).tolist() == expected


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_unit_without_any_tap_inside_gets_nothing(operation):
    executor = shared((3,), (3,), [1, 1], anchor=(3,), padding="ignore", operation=operation)
    assert once(executor, [4, 5, 6]).tolist() == [0, 0, 4]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("padding", [0.0, "border", "ignore"])
def test_nan_propagates_to_the_taps_that_touch_it(operation, padding):
    executor = shared((5,), (5,), [1, 1, 1], operation=operation, padding=padding)
    assert np.isnan(once(executor, [1, NAN, 3, 4, 5])).tolist() == [True, True, True, False, False]
    executor = shared((5,), (5,), [NAN, 1, 1], operation=operation, padding=padding)
    assert np.isnan(once(executor, [1, 2, 3, 4, 5])).tolist() == [padding != "ignore", True, True, True, True]


def test_infinity_stays_where_it_is():
    assert once(shared((4,), (4,), [1, 1, 1]), [INF, 1, 1, 1]).tolist() == [INF, INF, 3, 2]
    assert once(shared((4,), (4,), [1, 1, 1], operation="max"), [-INF, -1, -2, -3]).tolist() == [0, -1, -1, 0]
    assert once(shared((2,), (2,), [1], operation="max"), [-INF, INF]).tolist() == [-INF, INF]
    assert once(shared((2,), (2,), [1], operation="min"), [-INF, INF]).tolist() == [-INF, INF]
    # An infinite weight meets the 0.0 outside: 0 * inf.
    assert np.isnan(once(shared((3,), (3,), [INF, 1, 1]), [1, 2, 3])).tolist() == [True, False, False]
    assert once(shared((3,), (3,), [INF, 1, 1], padding="ignore"), [1, 2, 3]).tolist() == [3, INF, INF]


def test_psp_applies_to_padding_too():
    squares = shared((3,), (3,), [1, 2], psp="(w - pre.r)**2", padding=4.0)
    assert once(squares, [1, 2, 3]).tolist() == [0 + 0, 1 + 1, 4 + 4]
    logarithm = shared((2,), (2,), [1, 3], psp="w*log(1.0 + pre.r)", padding=0.5)
    np.testing.assert_allclose(
        once(logarithm, [1, 2]), [np.log(2) + 3 * np.log(3), np.log(3) + 3 * np.log(1.5)], rtol=1e-15
    )
    assert once(shared((3,), (3,), [1, 2, 3], psp="w"), [7, 8, 9]).tolist() == [6, 6, 6]
    assert once(shared((3,), (3,), [1, 2, 3], psp="1.0", padding="ignore"), [7, 8, 9]).tolist() == [2, 3, 2]


# --- Collapsed axes, layers and banks -----------------------------------------------------------------------


def test_collapsed_axes():
    rates = [[1, 2, 3], [4, 5, 6]]
    weights = [[1, 10, 100]]
    for post in [(2,), (2, 1)]:
        assert once(shared((2, 3), post, weights), rates).ravel().tolist() == [321, 654]
        reversed_taps = shared((2, 3), post, weights, method="convolution")
        assert once(reversed_taps, rates).ravel().tolist() == [123, 456]
    # Strides, dilation and anchor have no meaning along a collapsed axis.
    executor = shared((2, 3), (1,), weights, strides=(2, 2), dilation=(2, 2), anchor=(0, 0))
    assert once(executor, rates).tolist() == [321]


def test_collapsed_axis_of_even_size_reads_every_element():
    assert once(shared((4,), (1,), [1, 10, 100, 1000]), RAMP).tolist() == [4321]
    assert once(shared((4,), (1,), [1, 10, 100, 1000], method="convolution"), RAMP).tolist() == [1234]
    assert once(shared((2, 2), (2,), [[1, 10]], method="convolution"), [[1, 2], [3, 4]]).tolist() == [12, 34]


def test_several_collapsed_axes():
    rates = np.arange(1.0, 13.0).reshape(2, 3, 2)
    weights = 10.0 ** np.arange(6).reshape(1, 3, 2)
    assert once(shared((2, 3, 2), (2,), weights), rates).tolist() == [654321, 1320987]


def test_an_axis_of_equal_rank_is_ordinary():
    rates = [[1, 2, 3], [4, 5, 6]]
    assert once(shared((2, 3), (2, 3), [[1, 10]]), rates).tolist() == [[21, 32, 3], [54, 65, 6]]
    assert once(shared((5,), (1,), [1, 10, 100]), [1, 2, 3, 4, 5]).tolist() == [432]


def test_keep_last_dimension():
    rates = [[1, 2], [3, 4], [5, 6]]
    assert once(shared((3, 2), (3, 2), [1, 10, 100], keep_last_dimension=True), rates).tolist() == [
        [310, 420],
        [531, 642],
        [53, 64],
    ]
    assert once(
        shared((3, 2), (1, 2), [1, 10, 100], keep_last_dimension=True, method="convolution"), rates
    ).tolist() == [[135, 246]]
    assert once(
        shared((3, 2), (2, 2), [1, 10], keep_last_dimension=True, padding="valid"), rates
    ).tolist() == [
        [31, 42],
        [53, 64],
    ]


def test_banks():
    assert once(shared((4,), (4, 2), [[1, 10], [100, 1000]], bank=True), RAMP).tolist() == [
        [21, 2100],
        [32, 3200],
        [43, 4300],
        [4, 400],
    ]
    colours = [[[[1, 0, 0]]], [[[0, 1, 0]]], [[[1, 10, 100]]]]
    rates = [[[1, 2, 3], [4, 5, 6]]]
    assert once(shared((1, 2, 3), (1, 2, 3), colours, bank=True), rates).tolist() == [
        [[1, 2, 321], [4, 5, 654]]
    ]
    assert once(shared((1, 2, 3), (1, 2, 3), colours, bank=True, method="convolution"), rates).tolist() == [
        [[3, 2, 123], [6, 5, 456]]
    ]
    # Post keeps the third axis: an ordinary axis of a filter in three dimensions.
    kept = shared((1, 2, 3), (1, 2, 3, 1), [[[[1, 10]]]], bank=True)
    assert once(kept, rates)[..., 0].tolist() == [[[21, 32, 3], [54, 65, 6]]]


def test_banks_of_different_extents():
    bank = shared((4,), (4, 2), [[1, 10, 100], [5]], bank=True, operation="mean")
    np.testing.assert_allclose(once(bank, RAMP), [[70, 5], [107, 10], [144, 15], [43 / 3, 20]], rtol=1e-15)
    # The first filter spans the axis and is reversed as a whole, the second has its centre at 1.
    bank = shared((4,), (1, 2), [[1, 10, 100, 1000], [1, 10]], bank=True, method="convolution")
    assert once(bank, RAMP).tolist() == [[1234, 12]]
    # Two extents of the same valid size: each has its first tap at 0.
    bank = shared((5,), (2, 2), [[1, 10], [1, 10, 100]], bank=True, padding="valid", strides=(2,))
    assert once(bank, [1, 2, 3, 4, 5]).tolist() == [[21, 321], [43, 543]]
    assert [centres(bank.description, number).ravel().tolist() for number in (0, 1)] == [[0, 2], [1, 3]]


# --- Pooling and synapses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "expected"), [("sum", [3, 12]), ("mean", [1, 4]), ("max", [2, 5]), ("min", [0, 3])]
)
def test_pooling(operation, expected):
    assert once(pooling((6,), (2,), (3,), operation=operation), range(6)).tolist() == expected


def test_pooling_with_overlap_and_clipped_windows():
    rates = [1, 2, 3, 4, 5]
    assert once(pooling((5,), (3,), (3,), (2,), "sum"), rates).tolist() == [6, 12, 5]
    assert once(pooling((5,), (3,), (3,), (2,), "mean"), rates).tolist() == [2, 4, 5]
    assert once(pooling((5,), (5,), (2,), (1,), "max"), rates).tolist() == [2, 3, 4, 5, 5]
    grid = np.arange(12.0).reshape(3, 4)
    assert once(pooling((3, 4), (2, 2), (2, 3), operation="mean"), grid).tolist() == [[3, 5], [9, 11]]
    assert once(pooling((3, 4), (2, 2), (2, 3), operation="min"), -grid).tolist() == [[-6, -7], [-10, -11]]


def test_pooling_over_axes_that_post_lacks():
    grid = np.arange(12.0).reshape(2, 2, 3)
    assert once(pooling((2, 2, 3), (2, 2), (1, 1, 3)), grid).tolist() == [[2, 5], [8, 11]]
    assert once(pooling((2, 2, 3), (1,), (2, 2, 5), operation="mean"), grid).tolist() == [5.5]
    assert once(pooling((2, 2, 3), (1, 1, 3), (2, 2, 1), operation="min"), grid).tolist() == [[[0, 1, 2]]]


def test_pooling_psp_and_nan():
    assert once(pooling((4,), (2,), (2,), operation="sum", psp="pre.r * pre.r"), RAMP).tolist() == [5, 25]
    for operation in OPERATIONS:
        executor = pooling((4,), (2,), (2,), operation=operation)
        assert np.isnan(once(executor, [NAN, 1, INF, 2])).tolist() == [True, False]
        assert np.isnan(once(executor, [1, NAN, -INF, 2])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("sum", [-1, 0, 21]), ("mean", [-0.5, 0, 7]), ("max", [2, 0, 12]), ("min", [-3, 0, 3])],
)
def test_synapses(operation, expected):
    matrix = [[2, NAN, -1], [NAN, NAN, NAN], [3, 3, 4]]
    assert once(synapses((3,), (3,), matrix, operation), [1, 2, 3]).tolist() == expected


def test_synapses_negative_maximum_psp_and_nan():
    assert once(synapses((2,), (1, 1), [[-1, -2]], "max"), [1, 2]).tolist() == [[-1]]
    assert once(synapses((1, 2), (2,), [[2, NAN], [NAN, 3]], psp="w + pre.r"), [[10, 20]]).tolist() == [
        12,
        23,
    ]
    for operation in OPERATIONS:
        rates = [NAN, 1]
        assert np.isnan(once(synapses((2,), (2,), [[1, 1], [NAN, 1]], operation), rates)).tolist() == [
            True,
            False,
        ]
    empty = synapses((2,), (2,), np.full((2, 2), NAN))
    assert once(empty, [1, 2]).tolist() == [0, 0]
