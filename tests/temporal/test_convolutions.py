"""Convolutions of movies, and their weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.temporal import HISTORIES, before, random
from weightsharing import temporal

PADDINGS = {"replicate": "edge", "constant": "constant", "reflect": "reflect", "circular": "wrap"}


def convolved(movie, weight, stride=(1, 1), dilation=(1, 1), padding="replicate", autopad=True):
    """The formula of `Conv3d` for a movie that has T - 1 frames before those of the result."""
    _, _, taps, *extents = weight.shape
    if autopad:
        around = [(k // 2, k - k // 2 - 1) for k in extents]
        movie = np.pad(movie, [(0, 0)] * 3 + around, mode=PADDINGS[padding])
    frames = movie.shape[2] - taps + 1
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(movie.shape[3:], extents, stride, dilation, strict=True)
    ]
    result = np.zeros((len(movie), len(weight), frames, *sizes))
    for k, i, j in itertools.product(range(taps), *map(range, extents)):
        columns = (
            slice(d * o, d * o + s * n, s) for o, d, s, n in zip((i, j), dilation, stride, sizes, strict=True)
        )
        seen = movie[(slice(None), slice(None), slice(k, k + frames), *columns)]
        result += np.einsum("oc,bctxy->botxy", weight[:, :, k, i, j], seen)
    return result


@st.composite
def convolutions(draw):
    channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extent = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    image = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    options = {
        "stride": stride,
        "dilation": dilation,
        "autopad": draw(st.booleans()),
        "padding": draw(st.sampled_from(sorted(PADDINGS))),
    }
    for n, k, d in zip(image, extent[1:], dilation, strict=True):
        padded = n + k - 1 if options["autopad"] else n
        assume(padded > d * (k - 1) and (options["padding"] != "reflect" or n > k // 2))
    movie = random(draw(st.integers(1, 2)), channels[1], draw(st.integers(1, 7)), *image)
    return random(*channels, *extent, seed=1), movie, draw(st.sampled_from(HISTORIES)), options


def conv3d(weight, history, options, dtype="float64", backend="auto"):
    layer = temporal.Conv3d(
        weight.shape[1],
        weight.shape[0],
        weight.shape[2:],
        stride=(1, *options["stride"]),
        dilation=(1, *options["dilation"]),
        autopad=options["autopad"],
    )
    layer.compile(backend=backend, dtype=dtype)
    layer.autopad_mode, layer.time_pad.mode = options["padding"], history
    layer.set_weight(weight, flip=False)
    layer.bias = np.arange(1.0, len(weight) + 1.0)
    return layer


@given(convolutions(), st.sampled_from(BACKENDS))
def test_conv3d_is_its_formula(case, backend):
    weight, movie, history, options = case
    layer = conv3d(weight, history, options, backend=backend)
    extended = np.concatenate([before(movie, history, weight.shape[2] - 1), movie], axis=2)
    expected = convolved(extended, weight, **options) + np.arange(1.0, len(weight) + 1.0).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(layer.run(movie), expected, rtol=1e-12, atol=1e-12)


@given(convolutions(), st.integers(1, 5))
def test_pieces_give_the_whole(case, dt):
    weight, movie, history, options = case
    assume(history in ("first_frame", "zeros", "ones"))
    layer = conv3d(weight, history, options, dtype="float32")
    whole = layer.run(movie)
    layer.clear_state()
    np.testing.assert_array_equal(layer.run(movie, dt=dt), whole)
    layer.clear_state()
    half = (movie.shape[2] + 1) // 2
    runs = [layer.run(part) for part in (movie[:, :, :half], movie[:, :, half:]) if part.shape[2]]
    np.testing.assert_array_equal(np.concatenate(runs, axis=2), whole)


@pytest.mark.parametrize("history", HISTORIES)
def test_histories_are_made_from_the_first_piece(history):
    layer, movie = temporal.Conv3d(), random(1, 1, 10, 2, 3)
    weight = random(1, 1, 6, 2, 2)
    layer.set_weight(weight, flip=False)
    layer.time_pad.mode = history
    extended = np.concatenate([before(movie[:, :, :4], history, 5), movie], axis=2)
    np.testing.assert_allclose(layer.run(movie, dt=4), convolved(extended, weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("autopad", [True, False])
def test_a_filter_as_long_as_the_image(autopad):
    """A result of one pixel, whose filter lies around the first pixel and not on the whole image."""
    weight, movie = random(2, 2, 2, 3, 4), random(1, 2, 3, 3, 4)
    layer = temporal.Conv3d(2, 2, stride=(1, 4, 4), autopad=autopad)
    layer.compile(dtype="float64")
    layer.set_weight(weight, flip=False)
    extended = np.concatenate([before(movie, "first_frame", 1), movie], axis=2)
    expected = convolved(extended, weight, (4, 4), autopad=autopad)
    assert expected.shape[3:] == (1, 1)
    np.testing.assert_allclose(layer.run(movie), expected, rtol=1e-12, atol=1e-12)


def test_flip_makes_the_weights_the_impulse_response():
    weight, impulse = random(3, 3, 3), np.zeros((5, 5, 5))
    impulse[1, 2, 2] = 1.0
    layer = temporal.Conv3d(bias=False)
    layer.set_weight(weight)
    response = layer.run(impulse)
    np.testing.assert_allclose(response[1:4, 1:4, 1:4], weight, rtol=1e-6)
    assert not response[0].any()
    np.testing.assert_array_equal(layer.weight[0, 0], weight[::-1, ::-1, ::-1])


def test_groups_do_not_mix():
    movie, weight = random(1, 4, 5, 4, 4), random(6, 2, 2, 3, 3)
    layer = temporal.Conv3d(4, 6, (2, 3, 3), groups=2)
    layer.set_weight(weight)
    result = layer.run(movie)
    for group in range(2):
        alone = temporal.Conv3d(2, 3)
        alone.set_weight(weight[3 * group : 3 * group + 3])
        expected = alone.run(movie[:, 2 * group : 2 * group + 2])
        np.testing.assert_allclose(result[:, 3 * group : 3 * group + 3], expected, rtol=1e-5, atol=1e-6)
    layer.clear_state()
    layer.set_weight(np.ones((2, 3, 3)), preserve_channels=True)
    assert layer.weight.shape == (6, 2, 2, 3, 3)


def test_without_time_pad_nothing_is_remembered():
    layer, movie = temporal.Conv3d(time_pad=False), random(1, 1, 9, 3, 3)
    weight = random(3, 2, 2)
    layer.set_weight(weight, flip=False)
    pieces = [movie[:, :, :5], movie[:, :, 5:]]
    expected = np.concatenate([convolved(piece, weight[None, None]) for piece in pieces], axis=2)
    np.testing.assert_allclose(layer.run(movie, dt=5), expected, rtol=1e-4, atol=1e-5)
    assert layer.run(random(1, 1, 3, 4, 5)).shape == (1, 1, 1, 4, 5)
    with pytest.raises(ValueError, match="needs 3"):
        layer.run(movie, dt=2)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (temporal.Conv3d, [((2,), (1, 1, 2, 1, 1)), ((2, 3), (1, 1, 1, 2, 3)), ((4, 2, 3), (1, 1, 4, 2, 3))]),
        (temporal.Conv2d, [((2, 3), (1, 1, 2, 3)), ((4, 2, 3), (1, 4, 2, 3)), ((5, 4, 2, 3), (5, 4, 2, 3))]),
        (temporal.Conv1d, [((4,), (1, 1, 4)), ((2, 3, 4), (2, 3, 4))]),
    ],
)
def test_shapes_of_weights(layer, shapes):
    one = layer()
    for shape, full in shapes:
        one.set_weight(np.ones(shape))
        assert one.weight.shape == full
        assert (one.out_channels, one.in_channels) == full[:2] and one.bias.shape == full[:1]
    one.set_weight(2.0, normalize=True)
    np.testing.assert_allclose(one.weight, 1.0 / np.prod(shapes[-1][1]))


def test_weights_may_change_between_runs():
    layer, movie = temporal.Conv3d(bias=False), random(6, 3, 3)
    layer.set_weight([0.0, 1.0])
    first = layer.run(movie[:3])
    layer.set_weight([0.0, 2.0])
    second = layer.run(movie[3:])
    np.testing.assert_array_equal(first, movie[[0, 0, 1]].astype("f4"))
    np.testing.assert_array_equal(second, 2 * movie[2:5].astype("f4"))
    layer.set_weight([1.0, 2.0, 3.0])
    with pytest.raises(ws.StateError, match=r"shape of weights.*clear_state"):
        layer.run(movie)
    layer.set_weight([0.0, 1.0])
    np.testing.assert_array_equal(layer.run(movie[:1])[0], movie[5].astype("f4"))
    layer.clear_state()
    layer.set_weight([1.0, 2.0, 3.0])
    layer.run(movie)


def test_weights_survive_what_resets_values():
    layer, movie = temporal.Conv3d(), random(4, 3, 3)
    layer.set_weight([1.0, 1.0])
    before = layer.run(movie)
    layer.bias = 3.0
    layer.clear_state()
    np.testing.assert_allclose(layer.run(movie), before + 3.0, rtol=1e-5)
    layer.push_state()
    layer.bias = 1.0
    layer.pop_state()
    layer.clear_state()
    np.testing.assert_allclose(layer.run(movie), before + 1.0, rtol=1e-5)


def test_receptive_fields_are_means_until_weights_are_set():
    layer, movie = temporal.RF(kernel_size=(2, 1, 1)), random(5, 3, 4)
    means = movie.mean(axis=(1, 2))
    expected = (means + means[[0, 0, 1, 2, 3]]) / 2.0
    np.testing.assert_allclose(layer.run(movie)[:, 0, 0], expected, rtol=1e-5, atol=1e-6)
    layer.clear_state()
    assert layer.run(random(2, 6, 6)).shape == (2, 1, 1)
    layer.clear_state()
    layer.run(movie)
    assert layer.weight.shape == (1, 1, 2, 3, 4)
    layer.set_weight(2.0 * layer.weight, flip=False)
    layer.clear_state()
    np.testing.assert_allclose(layer.run(movie)[:, 0, 0], 2.0 * expected, rtol=1e-5, atol=1e-6)
