"""Results of convis that cannot be meant, with a check of every row."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from other_systems.convis_layers import close, conv, random_movie
from other_systems.differences import Difference
from weightsharing import temporal


def _check_chunks() -> None:
    movie = random_movie(12, 2, 3)
    for taps, dt in ((4, 2), (6, 2), (6, 3), (6, 4)):
        layer = conv(np.arange(1.0, taps + 1.0))
        whole = layer.run(movie)
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(movie, dt=dt), whole)


def _check_delay_chunks() -> None:
    movie, layer = random_movie(14, 2, 2), temporal.Delay(3)
    computed = np.concatenate([layer.run(piece) for piece in (movie[:10], movie[10:12], movie[12:])])
    np.testing.assert_array_equal(computed[3:], movie[:-3])


def _check_mode() -> None:
    movie = random_movie(3, 2, 2)
    assert temporal.TimePadding(2, mode="zeros").run(movie)[:2].tolist() == np.zeros((2, 2, 2)).tolist()
    np.testing.assert_array_equal(temporal.TimePadding(2).run(movie)[:2], movie[[0, 0]])


def _check_mirror() -> None:
    movie = random_movie(3, 2, 2)
    np.testing.assert_array_equal(temporal.TimePadding(2, "mirror").run(movie)[:2], movie[[1, 0]])


def _check_mean() -> None:
    movie = random_movie(2, 1, 3, 2, 2)
    before = temporal.TimePadding(1, "mean").run(movie)[:, 0, 0, 0, 0]
    close(before, movie.mean(axis=(1, 2, 3, 4)))


def _check_variable_delay() -> None:
    movie = random_movie(4, 2, 3)
    delays = [[0, 1, 2], [1, 0, 0]]
    result = temporal.VariableDelay(delays).run(movie)
    np.testing.assert_array_equal(result[2:, 0, 2], movie[:2, 0, 2])
    np.testing.assert_array_equal(result[1:, 1, 0], movie[:3, 1, 0])
    np.testing.assert_array_equal(temporal.VariableDelay().run(movie), movie)
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        temporal.VariableDelay(np.ones((3, 2))).run(movie)


def _check_bias_length() -> None:
    layer = temporal.Conv3d()
    layer.set_weight(np.ones((3, 1, 1, 1, 1)))
    layer.bias = [1.0, 2.0, 3.0]
    assert layer.run(np.zeros((1, 1, 1, 1, 1))).ravel().tolist() == [1.0, 2.0, 3.0]


def _check_normalize() -> None:
    with pytest.raises(ValueError, match="sums to 0"):
        temporal.Conv3d().set_weight([1.0, -1.0], normalize=True)


def _check_highpass() -> None:
    layer = temporal.Conv3d()
    layer.highpass_exponential(0.005)
    np.testing.assert_array_equal(layer.weight.ravel()[::-1], temporal.exponential_highpass_filter_1d(0.005))
    assert len(layer.weight.ravel()) == 16


def _check_rf_pixel() -> None:
    movie, layer = random_movie(3, 4, 4), temporal.RF()
    layer.set_weight([2.0])
    close(layer.run(movie)[:, 0, 0], 2.0 * movie[:, 0, 0])


def _check_rf_channels() -> None:
    movie = random_movie(1, 5, 12, 3, 3)
    means = movie[0].sum(axis=0).mean(axis=(1, 2))
    close(temporal.RF(5, 1, (10, 1, 1)).run(movie)[0, 0, 9, 0, 0], means[:10].mean())


def _check_conv2d() -> None:
    layer = temporal.Conv2d(2, 3, (3, 3))
    layer.set_weight(np.ones((3, 2, 3, 3)))
    layer.bias = 1.0
    assert layer.run(np.zeros((1, 2, 1, 4, 4))).tolist() == np.ones((1, 3, 1, 4, 4)).tolist()


def _check_conv1d() -> None:
    layer = temporal.Conv1d(2, 3, 4)
    assert not layer.bias.any()
    layer.set_weight(np.ones((3, 2, 4)))
    assert layer.run(np.ones((1, 2, 5, 2, 2))).tolist() == np.full((1, 3, 5, 2, 2), 8.0).tolist()


def _check_low_pass() -> None:
    movie, layer = random_movie(2, 3, 6, 2, 2), temporal.TemporalLowPassFilterRecursive(0.005)
    together = layer.run(movie)
    for trial, channel in np.ndindex(2, 3):
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(movie[trial, channel]), together[trial, channel])


def _check_smooth_batch() -> None:
    movie, layer = random_movie(2, 1, 5, 4, 4), temporal.SmoothConv(2, 0.01, (3, 3))
    assert not layer.run(movie).any()
    for filters in layer.g:
        filters.set_weight(np.ones((3, 3)))
    layer.clear_state()
    result = layer.run(movie)
    layer.clear_state()
    assert result.shape == movie.shape
    np.testing.assert_array_equal(layer.run(movie[1:]), result[1:])


def _check_sum() -> None:
    movie = random_movie(2, 3, 4, 2, 2)
    close(temporal.Sum(dim=1).run(movie), movie.sum(axis=1, keepdims=True))


def _check_diff() -> None:
    movie = random_movie(4, 2, 2)
    close(temporal.Diff().run(movie), np.diff(movie, axis=0, prepend=movie[:1]))


def _check_push() -> None:
    movie, layer = random_movie(6, 2, 2), temporal.Diff()
    layer.run(movie[:2])
    layer.push_state()
    first = layer.run(movie[2:])
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie[2:]), first)


def _check_batch_change() -> None:
    layer = temporal.Diff()
    layer.run(random_movie(1, 1, 2, 3, 3))
    with pytest.raises(ws.StateError, match=r"batch of 2, the memory .* batch of 1.*clear_state"):
        layer.run(random_movie(2, 1, 2, 3, 3))


def _check_kernel_cascade() -> None:
    assert temporal.ExponentialKernel(0.01, n=2, length=40).shape == (80,)


DEFECTS = (
    Difference(
        "Frames of the memory, where pieces are shorter than the filter",
        "With fewer frames per piece than the memory has, and a memory that is no multiple of them (4 weights in "
        "time and `dt=2`, say), the memory is filled up with present frames in between. Results depend on `dt`.",
        "A result does not depend on `dt`.",
        _check_chunks,
    ),
    Difference(
        "`Delay`, after a long piece",
        "Short pieces after a long one: zeros come in between.",
        "The frames as they came.",
        _check_delay_chunks,
    ),
    Difference(
        "`TimePadding(length, mode)`",
        "`mode` is ignored: it is `'first_frame'` until the attribute is assigned.",
        "`mode` is used. The default is `'first_frame'`.",
        _check_mode,
    ),
    Difference(
        "Mode `'mirror'`", "Fails: arrays with negative strides.", "The first piece backwards.", _check_mirror
    ),
    Difference(
        "Mode `'mean'` of a batch",
        "One mean over all trials.",
        "Trials are independent: each has its own mean, over time, pixels and channels.",
        _check_mean,
    ),
    Difference(
        "`VariableDelay(delays)`",
        "Reads `delays[y, x]`; images that are not square fail. Delays that are missing or of another size are 1.",
        "Reads `delays[x, y]`. Missing delays are 0. Delays of another size are an error.",
        _check_variable_delay,
    ),
    Difference(
        "Weights for another number of channels, and the bias",
        "The bias keeps its length, and the next run fails.",
        "The bias has the new length, and is 0 again.",
        _check_bias_length,
    ),
    Difference(
        "`normalize=True` of weights that sum to 0", "Infinity and NaN.", "An error.", _check_normalize
    ),
    Difference(
        "`highpass_exponential(tau)`",
        "Without `resolution` it is the identity.",
        "The high-pass filter, at 1000 steps per second.",
        _check_highpass,
    ),
    Difference(
        "`RF` with weights of one pixel",
        "Replaced by the mean over the image, also those that were set.",
        "Used as they are. The mean over the image only stands where no weights were set.",
        _check_rf_pixel,
    ),
    Difference(
        "`RF` of several channels without weights",
        "Fails, although it is the example of the documentation.",
        "The mean over time and image, summed over channels.",
        _check_rf_channels,
    ),
    Difference(
        "`Conv2d` of several channels",
        "NumPy weights of the present shape fail, and so does the bias of several channels.",
        "Both work.",
        _check_conv2d,
    ),
    Difference(
        "`Conv1d` of several channels",
        "Only as many channels out as in. All biases but the first start at random.",
        "Any number. Biases start at 0.",
        _check_conv1d,
    ),
    Difference(
        "`TemporalLowPassFilterRecursive` of a batch or of several channels",
        "Time and channels get mixed.",
        "Each pixel of each channel and trial by itself.",
        _check_low_pass,
    ),
    Difference(
        "`SmoothConv`",
        "Sums over the trials of a batch too. Its weights start at random.",
        "Sums over its components. Its weights start at 0, as all others.",
        _check_smooth_batch,
    ),
    Difference("`Sum(dim)`", "Fails.", "Sums over the channels.", _check_sum),
    Difference("`Diff()`", "Fails.", "The difference of frames, 0 for the first.", _check_diff),
    Difference(
        "`push_state()`, `run()`, `pop_state()`",
        "The frames are shared, not copied: without `clear_state()` in between the state is not restored.",
        "Copies: restored whatever happened in between.",
        _check_push,
    ),
    Difference(
        "Another number of trials or channels, while there is memory",
        "An error of torch about sizes.",
        "The error that names both shapes and `clear_state()`, as for another image size. The memory is as it was.",
        _check_batch_change,
    ),
    Difference("`ExponentialKernel(n=2)`", "Fails.", "The cascade.", _check_kernel_cascade),
)
