"""The NumPy reference against arrays worked out by hand, against independent loops, and against ANNarchy's."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from strategies.folders import ORACLE
from weightsharing.backends.reference import ReferenceExecutor, axis_centres, centres, locate, tap_offsets
from weightsharing.description import (
    OPERATIONS,
    PADDINGS,
    PoolingDescription,
    SharedDescription,
    SynapsesDescription,
)
from weightsharing.expressions import parse_psp

NAN, INF = np.nan, np.inf


def shared(pre, post, weights, psp="w*pre.r", bank=False, **options):
    """Return an executor in float64 with its weights set; `weights` is one array, or a list for a bank."""
    filters = [np.asarray(one, dtype=float) for one in (weights if bank else [weights])]
    if options.get("centres") is not None:
        options["centres"] = np.asarray(options["centres"], dtype=np.int64)
    description = SharedDescription(
        pre=pre,
        post=post,
        extents=tuple(one.shape for one in filters),
        bank=bank,
        psp=parse_psp(psp),
        **options,
    )
    executor = ReferenceExecutor(description, np.float64)
    executor.set_weights(filters)
    return executor


def pooling(pre, post, extent, stride=None, operation="max", psp="pre.r"):
    description = PoolingDescription(
        pre, post, extent, stride or extent, operation, psp=parse_psp(psp, allow_weight=False)
    )
    return ReferenceExecutor(description, np.float64)


def synapses(pre, post, matrix, operation="sum", psp="w*pre.r"):
    """Return an executor for a matrix (post size, pre size) where NaN means no synapse."""
    matrix = np.asarray(matrix, dtype=float)
    present = ~np.isnan(matrix)
    row_start = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int64)
    column = np.nonzero(present)[1].astype(np.int64)
    description = SynapsesDescription(pre, post, row_start, column, operation, psp=parse_psp(psp))
    executor = ReferenceExecutor(description, np.float64)
    executor.set_weights(matrix[present])
    return executor


def once(executor, rates):
    """Run one trial that must overwrite whatever the output held."""
    out = np.full((1, *executor.description.post), NAN)
    executor.run(np.asarray(rates, dtype=float)[None], out, accumulate=False)
    return out[0]


# --- Taps, centres and padding, by hand ---------------------------------------------------------------------

RAMP = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("padding", "filtered"),
    [
        (0.0, [210, 321, 432, 43]),
        (5, [215, 321, 432, 543]),
        ("border", [211, 321, 432, 443]),
        ("reflect", [212, 321, 432, 343]),
        ("wrap", [214, 321, 432, 143]),
        ("ignore", [210, 321, 432, 43]),
    ],
)
def test_padding(padding, filtered):
    executor = shared((4,), (4,), [1, 10, 100], padding=padding)
    assert once(executor, RAMP).tolist() == filtered


def test_valid_fits_the_filter_inside():
    assert once(shared((4,), (2,), [1, 10, 100], padding="valid"), RAMP).tolist() == [321, 432]
    assert once(shared((4,), (2,), [1, 10, 100], padding="valid", method="convolution"), RAMP).tolist() == [
        123,
        234,
    ]
    assert once(shared((4,), (3,), [1, 10], padding="valid", method="convolution"), RAMP).tolist() == [
        12,
        23,
        34,
    ]
    assert once(shared((4,), (1,), [1, 10], padding="valid", dilation=(3,)), RAMP).tolist() == [41]
    assert once(shared((4,), (2,), [1, 10], padding="valid", strides=(2,)), RAMP).tolist() == [21, 43]
    assert once(shared((4,), (2,), [1, 10], padding="valid", dilation=(2,)), RAMP).tolist() == [31, 42]
    assert once(shared((4,), (2,), [1, 10, 100], padding="valid", anchor=(2,)), RAMP).tolist() == [321, 432]


@pytest.mark.parametrize(
    ("padding", "index"),
    [
        ("border", [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2]),
        ("reflect", [1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]),
        ("wrap", [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]),
    ],
)
def test_padding_far_outside(padding, index):
    rank, inside = locate(np.arange(-7, 8)[:, None], (3,), padding)
    assert rank.tolist() == index
    assert inside.all()


@pytest.mark.parametrize("padding", ["border", "reflect", "wrap"])
def test_padding_of_a_single_element(padding):
    rank, inside = locate(np.arange(-3, 4)[:, None], (1,), padding)
    assert rank.tolist() == [0] * 7
    assert inside.all()


@pytest.mark.parametrize("padding", [0.0, -1.5, "ignore", "valid"])
def test_inside_means_inside_along_every_axis(padding):
    corners = np.array([[0, 0], [1, 2], [-1, 0], [0, 3], [2, -1]])
    rank, inside = locate(corners, (2, 3), padding)
    assert inside.tolist() == [True, True, False, False, False]
    assert rank[:2].tolist() == [0, 5]


def test_even_and_odd_filters_in_both_methods():
    def both(weights):
        return [
            once(shared((4,), (4,), weights, method=method), RAMP).tolist()
            for method in ("filter", "convolution")
        ]

    assert both([7]) == [[7, 14, 21, 28]] * 2
    assert both([1, 10]) == [[21, 32, 43, 4], [1, 12, 23, 34]]
    assert both([1, 10, 100]) == [[210, 321, 432, 43], [12, 123, 234, 340]]
    assert both([1, 10, 100, 1000]) == [[3210, 4321, 432, 43], [12, 123, 1234, 2340]]


def test_tap_offsets():
    def offsets(count, **options):
        executor = shared((9,), (9,), np.ones(count), **options)
        return tap_offsets(executor.description, 0, (count,)).tolist()

    assert offsets(5) == [-2, -1, 0, 1, 2]
    assert offsets(4) == [-1, 0, 1, 2]
    assert offsets(4, method="convolution") == [1, 0, -1, -2]
    assert offsets(3, dilation=(2,)) == [-2, 0, 2]
    assert offsets(4, dilation=(3,), method="convolution") == [3, 0, -3, -6]
    assert offsets(3, anchor=(0,)) == [0, 1, 2]
    assert offsets(3, anchor=(2,), method="convolution") == [2, 1, 0]


@pytest.mark.parametrize(
    ("pre", "post", "options", "expected"),
    [
        (4, 4, {}, [0, 1, 2, 3]),
        (6, 3, {}, [0, 2, 4]),
        (9, 3, {}, [1, 4, 7]),
        (8, 2, {}, [1, 5]),
        (10, 2, {}, [2, 7]),
        (8, 1, {}, [3]),
        (9, 1, {}, [4]),
        (6, 3, {"first": (1,)}, [1, 3, 5]),
        (7, 3, {"strides": (3,)}, [0, 3, 6]),
        (7, 3, {"strides": (2,), "first": (1,)}, [1, 3, 5]),
        (9, 2, {"strides": (1,), "first": (4,)}, [4, 5]),
        (7, 3, {"padding": "valid", "strides": (2,)}, [1, 3, 5]),
        (7, 5, {"padding": "valid", "anchor": (0,)}, [0, 1, 2, 3, 4]),
        (7, 3, {"padding": "valid", "dilation": (2,)}, [2, 3, 4]),
    ],
)
def test_regular_centres(pre, post, options, expected):
    executor = shared((pre,), (post,), [1, 10, 100], **options)
    assert axis_centres(executor.description, 0, (3,)).tolist() == expected


def test_centres_of_the_documentation():
    description = shared((100, 100), (50, 50), np.ones((3, 3))).description
    assert centres(description)[10 * 50 + 10].tolist() == [20, 20]


def test_centres_in_rank_order_with_every_pre_axis():
    collapsed = shared((4, 2, 3), (2, 2), np.ones((3, 3, 3))).description
    assert centres(collapsed).tolist() == [[0, 0, 1], [0, 1, 1], [2, 0, 1], [2, 1, 1]]
    layers = shared((4, 2), (2, 2), np.ones(3), keep_last_dimension=True).description
    assert centres(layers).tolist() == [[0, 0], [0, 1], [2, 0], [2, 1]]
    bank = shared((4,), (2, 3), [np.ones(3)] * 3, bank=True).description
    assert centres(bank).tolist() == [[0], [2]]


def test_strides_first_dilation_and_anchor():
    ramp = [1, 2, 3, 4, 5, 6]
    assert once(shared((6,), (3,), [1, 10, 100]), ramp).tolist() == [210, 432, 654]
    assert once(shared((6,), (2,), [1, 10, 100], strides=(3,), first=(2,)), ramp).tolist() == [432, 65]
    assert once(shared((6,), (6,), [1, 10, 100], dilation=(2,)), ramp).tolist() == [
        310,
        420,
        531,
        642,
        53,
        64,
    ]
    assert once(shared((6,), (6,), [1, 10], anchor=(1,)), ramp).tolist() == [10, 21, 32, 43, 54, 65]


def test_two_dimensions():
    weights = np.arange(1.0, 10.0).reshape(3, 3)
    ones = np.ones((4, 4))
    assert once(shared((4, 4), (4, 4), weights), ones).tolist() == [
        [28, 39, 39, 24],
        [33, 45, 45, 27],
        [33, 45, 45, 27],
        [16, 21, 21, 12],
    ]
    # Outside elements are weighted like any other: 100 * (1+2+3+4+7) + (5+6+8+9).
    assert once(shared((4, 4), (4, 4), weights, padding=100.0), ones)[0, 0] == 1728


def test_a_filter_larger_than_pre():
    assert once(shared((2,), (2,), [1, 10, 100, 1000, 10000]), [1, 2]).tolist() == [2100, 210]
    assert once(shared((2,), (2,), [1, 10, 100, 1000, 10000], padding="wrap"), [1, 2]).tolist() == [
        12121,
        21212,
    ]


def test_listed_centres():
    executor = shared((4,), (5,), [1, 10, 100], centres=[[3], [0], [0], [2], [1]])
    assert once(executor, RAMP).tolist() == [43, 210, 210, 432, 321]
    rates = [[1, 2], [3, 4], [5, 6]]
    # Nothing is collapsed: post may have any shape and the filter any extent.
    executor = shared((3, 2), (2,), [[1, 10]], centres=[[1, 0], [2, 1]])
    assert once(executor, rates).tolist() == [43, 6]
    executor = shared((3, 2), (1, 2, 1), [[1, 10]], centres=[[1, 0], [2, 1]], method="convolution")
    assert once(executor, rates).tolist() == [[[3], [56]]]
    executor = shared((3, 2), (2,), [[1, 10]], centres=[[1, 0], [2, 1]], method="convolution")
    assert once(executor, rates).tolist() == [3, 56]
    executor = shared((3, 2), (2,), [[1, 10, 100]], centres=[[1, 0], [2, 1]])
    assert once(executor, rates).tolist() == [430, 65]
    bank = shared((4,), (2, 3), [[1], [10], [100]], bank=True, centres=[[3], [1]])
    assert once(bank, RAMP).tolist() == [[4, 40, 400], [2, 20, 200]]
    assert once(shared((4,), (2,), [1, 10], centres=[[2], [0]], padding="valid"), RAMP).tolist() == [43, 21]


def test_listed_centres_of_a_layer_name_the_slice():
    executor = shared((3, 2), (3,), [1, 10, 100], keep_last_dimension=True, centres=[[1, 1], [1, 0], [2, 1]])
    assert once(executor, [[1, 2], [3, 4], [5, 6]]).tolist() == [642, 531, 64]


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


# --- The executor -------------------------------------------------------------------------------------------


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
        assert executor.magnitude(rates).dtype == dtype
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
        assert shared((3,), (3,), [-1, 10], operation=operation).magnitude(rates)[0].tolist() == expected
    assert shared((3,), (3,), [-1, 10], operation="min").magnitude(rates)[0].tolist() == [20, 30, 3]
    assert pooling((3,), (1,), (3,), operation="sum").magnitude(rates).tolist() == [[6]]
    assert synapses((3,), (1,), [[1, 1, -1]]).magnitude(rates).tolist() == [[6]]


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
