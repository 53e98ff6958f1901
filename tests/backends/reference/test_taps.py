"""The reference by hand: taps, centres and padding."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.reference import RAMP, once, shared
from weightsharing.description.lattice import axis_centres, centres, locate, tap_offsets

pytestmark = pytest.mark.python_only


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
