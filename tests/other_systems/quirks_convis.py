"""Where this library answers differently from convis: the one table, with a check of every row.

`DEFECTS` are results of convis that cannot be meant, `CHOICES` calls that mean something else here or are refused,
`SAME` what convis computes against its own documentation, and so does this library. The second half of
docs/differences-from-convis.md is written from these tables:

    PYTHONPATH=tests python tests/other_systems/quirks_convis.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import weightsharing as ws
from strategies.folders import REPOSITORY
from weightsharing import samples, temporal

PAGE = REPOSITORY / "docs" / "differences-from-convis.md"
MARK = "<!-- Written from here on by tests/other_systems/quirks_convis.py: change the tables there and run it. -->\n"


@dataclass(frozen=True)
class Difference:
    """A row: what convis does, what is done here, and a function that raises if the latter is not true."""

    title: str
    convis: str
    here: str
    check: Callable[[], None]


def _movie(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape).astype("f4")


def _conv(weight: object, **options: object) -> temporal.Conv3d:
    layer = temporal.Conv3d(bias=False)
    layer.set_weight(weight, **options)
    return layer


def _close(computed: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)


# --- Defects ------------------------------------------------------------------------------------------------


def _check_chunks() -> None:
    movie = _movie(12, 2, 3)
    for taps, dt in ((4, 2), (6, 2), (6, 3), (6, 4)):
        layer = _conv(np.arange(1.0, taps + 1.0))
        whole = layer.run(movie)
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(movie, dt=dt), whole)


def _check_delay_chunks() -> None:
    movie, layer = _movie(14, 2, 2), temporal.Delay(3)
    computed = np.concatenate([layer.run(piece) for piece in (movie[:10], movie[10:12], movie[12:])])
    np.testing.assert_array_equal(computed[3:], movie[:-3])


def _check_mode() -> None:
    movie = _movie(3, 2, 2)
    assert temporal.TimePadding(2, mode="zeros").run(movie)[:2].tolist() == np.zeros((2, 2, 2)).tolist()
    np.testing.assert_array_equal(temporal.TimePadding(2).run(movie)[:2], movie[[0, 0]])


def _check_mirror() -> None:
    movie = _movie(3, 2, 2)
    np.testing.assert_array_equal(temporal.TimePadding(2, "mirror").run(movie)[:2], movie[[1, 0]])


def _check_mean() -> None:
    movie = _movie(2, 1, 3, 2, 2)
    before = temporal.TimePadding(1, "mean").run(movie)[:, 0, 0, 0, 0]
    _close(before, movie.mean(axis=(1, 2, 3, 4)))


def _check_variable_delay() -> None:
    movie = _movie(4, 2, 3)
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
    movie, layer = _movie(3, 4, 4), temporal.RF()
    layer.set_weight([2.0])
    _close(layer.run(movie)[:, 0, 0], 2.0 * movie[:, 0, 0])


def _check_rf_channels() -> None:
    movie = _movie(1, 5, 12, 3, 3)
    means = movie[0].sum(axis=0).mean(axis=(1, 2))
    _close(temporal.RF(5, 1, (10, 1, 1)).run(movie)[0, 0, 9, 0, 0], means[:10].mean())


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
    movie, layer = _movie(2, 3, 6, 2, 2), temporal.TemporalLowPassFilterRecursive(0.005)
    together = layer.run(movie)
    for trial, channel in np.ndindex(2, 3):
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(movie[trial, channel]), together[trial, channel])


def _check_smooth_batch() -> None:
    movie, layer = _movie(2, 1, 5, 4, 4), temporal.SmoothConv(2, 0.01, (3, 3))
    assert not layer.run(movie).any()
    for filters in layer.g:
        filters.set_weight(np.ones((3, 3)))
    layer.clear_state()
    result = layer.run(movie)
    layer.clear_state()
    assert result.shape == movie.shape
    np.testing.assert_array_equal(layer.run(movie[1:]), result[1:])


def _check_sum() -> None:
    movie = _movie(2, 3, 4, 2, 2)
    _close(temporal.Sum(dim=1).run(movie), movie.sum(axis=1, keepdims=True))


def _check_diff() -> None:
    movie = _movie(4, 2, 2)
    _close(temporal.Diff().run(movie), np.diff(movie, axis=0, prepend=movie[:1]))


def _check_push() -> None:
    movie, layer = _movie(6, 2, 2), temporal.Diff()
    layer.run(movie[:2])
    layer.push_state()
    first = layer.run(movie[2:])
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie[2:]), first)


def _check_batch_change() -> None:
    layer = temporal.Diff()
    layer.run(_movie(1, 1, 2, 3, 3))
    with pytest.raises(ws.StateError, match=r"batch of 2, the memory .* batch of 1.*clear_state"):
        layer.run(_movie(2, 1, 2, 3, 3))


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
        "Counts. The default is `'first_frame'`.",
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
        "Reads `delays[x, y]`. None are 0, those of another size an error.",
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


# --- Choices ------------------------------------------------------------------------------------------------


def _check_arrays() -> None:
    layer = temporal.Conv3d()
    for shape in ((1, 1, 3, 2, 2), (3, 2, 2)):
        result = layer.run(np.ones(shape))
        assert isinstance(result, np.ndarray) and result.shape == shape and result.dtype == np.float32


def _check_read_only() -> None:
    layer = temporal.Conv3d(1, 2)
    with pytest.raises(ValueError, match="read-only"):
        layer.bias[0] = 1.0
    layer.bias = [1.0, 2.0]
    with pytest.raises(AttributeError, match="autopad_mod"):
        layer.autopad_mod = "circular"


def _check_adjust_padding() -> None:
    with pytest.raises(TypeError, match="adjust_padding"):
        temporal.Conv3d(adjust_padding=True)
    with pytest.raises(TypeError, match="adjust_padding"):
        temporal.Conv3d().exponential(0.01, adjust_padding=True)


def _check_time_steps() -> None:
    for name in ("stride", "dilation"):
        with pytest.raises(ValueError, match="1 along time"):
            temporal.Conv3d(**{name: (2, 1, 1)})


def _check_longer_filter() -> None:
    layer = _conv([1.0, 1.0])
    layer.run(_movie(3, 2, 2))
    layer.set_weight([1.0, 1.0, 1.0])
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.run(_movie(3, 2, 2))


def _check_rf_size() -> None:
    layer = temporal.RF()
    layer.set_weight(np.ones((2, 2, 2)))
    layer.run(_movie(3, 4, 4))
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.run(_movie(3, 5, 5))


def _check_inner_memory() -> None:
    inner, movie = temporal.Diff(), _movie(4, 2, 2)
    chain = temporal.Sequential(inner)
    whole = chain.run(movie)
    chain.clear_state()
    chain.run(movie[:2])
    inner.run(movie)
    inner.clear_state()
    np.testing.assert_array_equal(chain.run(movie[2:]), whole[2:])


def _check_nonlinearities() -> None:
    with pytest.raises(TypeError, match=r"Nonlinearity\('r = ...'\)"):
        temporal.LNCascade(nonlinearity=np.abs)
    cascade = temporal.LNCascade(1, nonlinearity=temporal.Nonlinearity("r = abs(sum(exc))"))
    cascade.linearities[0].set_weight(-1.0)
    np.testing.assert_array_equal(cascade.run(np.ones((1, 1, 1))), np.ones((1, 1, 1)))


def _check_sum_axes() -> None:
    movies = [_movie(2, 3, 4, 2, 2), _movie(2, 1, 4, 2, 2)]
    _close(temporal.sum(*movies), np.concatenate(movies, axis=1).sum(axis=1, keepdims=True))
    for dim in range(5):
        _close(temporal.sum(movies[0], movies[0], dim=dim), 2.0 * movies[0].sum(axis=dim, keepdims=True))
    with pytest.raises(ValueError, match="trials are independent"):
        temporal.Sum(dim=0)


def _check_gauss_arguments() -> None:
    with pytest.raises(TypeError, match="normalize"):
        temporal.gauss_filter_2d(0.1, 0.1, normalize=True)
    with pytest.raises(TypeError, match="'p'"):
        samples.moving_grating(p=1.0)


def _check_absent() -> None:
    for name in ("TemporalHighPassFilterRecursive", "SpatialRecursiveFilter"):
        assert not hasattr(temporal, name)


CHOICES = (
    Difference(
        "What goes in and comes out",
        "Tensors of torch with gradients; 5 dimensions, without `dt`.",
        "NumPy arrays, float32 unless `compile(dtype='float64')`; 5 dimensions or 3. There are no gradients.",
        _check_arrays,
    ),
    Difference(
        "Weights and biases",
        "`conv.bias.data[0] = 1.0`",
        "Read-only arrays, so that no change is lost: `conv.bias = 1.0`, `conv.set_weight(w)`. Assigning an attribute "
        "that a layer does not have is an error.",
        _check_read_only,
    ),
    Difference(
        "`adjust_padding`",
        "Pads with zeros as well; the result is larger than the image.",
        "There is no such argument.",
        _check_adjust_padding,
    ),
    Difference(
        "Stride and dilation in time",
        "Applied to each piece by itself, so results depend on `dt`.",
        "An error. In space both work.",
        _check_time_steps,
    ),
    Difference(
        "Weights of another extent, while there is memory",
        "The history becomes longer.",
        "The next run is an error that names `clear_state()`.",
        _check_longer_filter,
    ),
    Difference(
        "`RF`: another image size, while there is memory",
        "Goes on.",
        "An error, as for all layers with memory.",
        _check_rf_size,
    ),
    Difference(
        "The memory of a layer within a model",
        "Belongs to the layer: run alone, it changes the model.",
        "Belongs to the model whose `run` is called, and so do `clear_state`, `push_state` and `pop_state`.",
        _check_inner_memory,
    ),
    Difference(
        "Functions as nonlinearities",
        "`LNCascade(nonlinearity=lambda x: x**2)`",
        "A layer, or an equation: `LNCascade(nonlinearity=Nonlinearity('r = sum(exc)^2'))`.",
        _check_nonlinearities,
    ),
    Difference(
        "`sum(*xs, dim)`",
        "By default the sum over the trials, `dim=0`.",
        "By default the sum over the channels, `dim=1`, which is all that the layer `Sum` can do.",
        _check_sum_axes,
    ),
    Difference(
        "Arguments without effect",
        "`normalize` of `gauss_filter_2d`, `p` of `moving_grating`.",
        "Left out.",
        _check_gauss_arguments,
    ),
    Difference(
        "`TemporalHighPassFilterRecursive`, `SpatialRecursiveFilter`, models of the retina",
        "Provided; the first loses a frame at the start of each piece.",
        "Not provided.",
        _check_absent,
    ),
)


# --- The same, against convis' documentation ----------------------------------------------------------------


def _check_flip() -> None:
    pattern = _movie(2, 3, 3)
    layer = _conv(pattern, flip=False)
    assert layer.run(pattern)[1, 1, 1] == pytest.approx((pattern**2).sum(), rel=1e-5)
    impulse = np.zeros((3, 3, 3))
    impulse[1, 1, 1] = 1.0
    _close(_conv(pattern).run(impulse)[1:], pattern)


def _check_rf_flip() -> None:
    pattern, layer = _movie(2, 3, 3), temporal.RF(bias=False)
    layer.set_weight(pattern, flip=False)
    assert layer.run(pattern)[1, 0, 0] == pytest.approx((pattern**2).sum(), rel=1e-5)


def _check_even() -> None:
    for flip, centre in ((False, 2), (True, 1)):
        weight, movie = np.zeros((4, 4)), _movie(1, 6, 6)
        weight[centre, centre] = 1.0
        _close(_conv(weight, flip=flip).run(movie), movie)


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
        "That is `flip=False`. With `flip=True` the weights are the impulse response, `w[0]` meets the newest frame.",
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


# --- The page -----------------------------------------------------------------------------------------------


def rendering() -> str:
    """Return the part of the page that the tables say."""
    lines = [MARK]
    for title, there, table in (
        ("Defects of convis that are left out", "convis", DEFECTS),
        ("Choices", "convis", CHOICES),
        ("The same as convis computes, and not what its documentation says", "convis' documentation", SAME),
    ):
        lines += [f"## {title}", "", f"| | {there} | here |", "|---|---|---|"]
        lines += [f"| {row.title} | {row.convis} | {row.here} |" for row in table]
        lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    head = PAGE.read_text().split(MARK)[0]
    PAGE.write_text(head + rendering())
