"""What convis computes against its own documentation, and so does this library, with a check of every row."""

from __future__ import annotations

import numpy as np
import pytest

from other_systems.convis_layers import close, conv, random_movie
from other_systems.differences import Difference
from weightsharing import temporal


def _check_flip() -> None:
    pattern = random_movie(2, 3, 3)
    layer = conv(pattern, flip=False)
    assert layer.run(pattern)[1, 1, 1] == pytest.approx((pattern**2).sum(), rel=1e-5)
    impulse = np.zeros((3, 3, 3))
    impulse[1, 1, 1] = 1.0
    close(conv(pattern).run(impulse)[1:], pattern)


def _check_rf_flip() -> None:
    pattern, layer = random_movie(2, 3, 3), temporal.RF(bias=False)
    layer.set_weight(pattern, flip=False)
    assert layer.run(pattern)[1, 0, 0] == pytest.approx((pattern**2).sum(), rel=1e-5)


def _check_even() -> None:
    for flip, centre in ((False, 2), (True, 1)):
        weight, movie = np.zeros((4, 4)), random_movie(1, 6, 6)
        weight[centre, centre] = 1.0
        close(conv(weight, flip=flip).run(movie), movie)


def _check_single_channel() -> None:
    layer = temporal.Conv3d(2, 3)
    layer.set_weight(np.ones((2, 2)), preserve_channels=True)
    assert layer.weight.shape == (3, 2, 1, 2, 2)
    layer.set_weight(np.ones((2, 2)))
    assert (layer.in_channels, layer.out_channels) == (1, 1)


def _check_conv2d_axes() -> None:
    layer = temporal.Conv2d()
    layer.set_weight(np.ones((4, 2, 3, 3)))
    assert (layer.out_channels, layer.in_channels) == (4, 2)
    layer.set_weight(np.ones((4, 3, 3)))
    assert (layer.out_channels, layer.in_channels) == (1, 4)


def _check_ceiling() -> None:
    assert temporal.NLRectify().run(np.full((1, 1, 1), 2e6)).item() == 1e6
    layer = temporal.LN()
    layer.set_weight(1.0)
    assert layer.run(np.full((1, 1, 1), 2e6)).item() == 2e6


def _check_low_pass_gain() -> None:
    result = temporal.TemporalLowPassFilterRecursive(0.004).run(np.ones((60, 1, 1)))
    decay = np.exp(-1.0 / 4.0)
    assert result[-1].item() == pytest.approx((1 + decay) / (1 - decay) / 8.0, rel=1e-5)


def _check_gauss_axes() -> None:
    rows, columns = temporal.gauss_filter_2d(x_sig=0.1, y_sig=0.2).shape
    assert rows > columns


def _check_dilation() -> None:
    layer = temporal.Conv3d(1, 1, (1, 3, 3), dilation=2)
    assert layer.run(np.ones((1, 8, 8))).shape == (1, 6, 6)


SAME = (
    Difference(
        "`set_weight(w)`, `flip=True`",
        "“Corresponds 1:1 to patterns it matches”.",
        "This holds for `flip=False`. With `flip=True` the weights are the impulse response: `w[0]` meets the newest "
        "frame.",
        _check_flip,
    ),
    Difference(
        "`RF`, `flip=True`",
        "As above.",
        "The weights lie on the image rotated by 180 degrees: a pattern needs `flip=False`.",
        _check_rf_flip,
    ),
    Difference(
        "Filters of even extent K",
        "Weight 6 of 10 is the centre, counted from 1.",
        "Centred on weight K/2 of those stored (`flip=False`), on K/2 - 1 of those given to be flipped.",
        _check_even,
    ),
    Difference(
        "Weights without channels",
        "Not said.",
        "The layer has a single channel then, whatever it had, unless `preserve_channels=True`.",
        _check_single_channel,
    ),
    Difference(
        "`Conv2d.set_weight`",
        "Other orders of the axes of 3 and 4 dimensions.",
        "4 dimensions are (out, in, x, y), 3 are (in, x, y).",
        _check_conv2d_axes,
    ),
    Difference(
        "`NLRectify` and its like",
        "No ceiling is mentioned.",
        "At most 1e6; `LN` has no ceiling.",
        _check_ceiling,
    ),
    Difference(
        "`TemporalLowPassFilterRecursive`",
        "Not said.",
        "A constant movie is multiplied by a little more than 1: 1.005 for 4 steps.",
        _check_low_pass_gain,
    ),
    Difference(
        "`gauss_filter_2d(x_sig, y_sig)`",
        "Not said.",
        "`y_sig` belongs to axis 0 and `x_sig` to axis 1.",
        _check_gauss_axes,
    ),
    Difference(
        "Dilation",
        "Not said.",
        "The padding does not grow with the dilation d: (d-1)*(K-1) pixels less.",
        _check_dilation,
    ),
)
