"""Layers of `temporal`: their definitions in plain NumPy, memory, chains and wrong arguments."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS
from weightsharing import samples, temporal

PADDINGS = {"replicate": "edge", "constant": "constant", "reflect": "reflect", "circular": "wrap"}
HISTORIES = ("first_frame", "zeros", "ones", "mean", "mirror", "full_copy")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def before(piece, mode, frames):
    """Frames that stand before the first piece (batch, channel, time, x, y)."""
    if mode in ("zeros", "ones"):
        return np.full_like(piece[:, :, :1], mode == "ones").repeat(frames, 2)
    if mode == "first_frame":
        return piece[:, :, :1].repeat(frames, 2)
    if mode == "mean":
        mean = piece.mean(axis=(1, 2, 3, 4), keepdims=True)
        return np.broadcast_to(mean, (*piece.shape[:2], frames, *piece.shape[3:]))
    source = piece[:, :, ::-1] if mode == "mirror" else piece
    repeated = np.concatenate([source] * (frames // piece.shape[2] + 1), axis=2)
    return repeated[:, :, repeated.shape[2] - frames :]


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


# --- Convolutions ---


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


# --- Delays ---


@given(st.integers(0, 4), st.integers(0, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_delays_with_a_length(delay, length, chunks):
    layer, movie = temporal.Delay(delay, length), random(1, 2, sum(chunks), 2, 2).astype("f4")
    past = np.concatenate([np.zeros((1, 2, delay + length, 2, 2), "f4"), movie], axis=2)
    start = 0
    for chunk in chunks:
        result = layer.run(movie[:, :, start : start + chunk])
        np.testing.assert_array_equal(result, past[:, :, start : start + length + chunk])
        start += chunk


@given(st.integers(0, 5), st.sampled_from(HISTORIES), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_time_padding(length, mode, chunks):
    layer, movie = temporal.TimePadding(length, mode), random(2, 1, sum(chunks), 2, 3)
    layer.compile(dtype="float64")
    past = np.concatenate([before(movie[:, :, : chunks[0]], mode, length), movie], axis=2)
    start = 0
    for chunk in chunks:
        result = layer.run(movie[:, :, start : start + chunk])
        np.testing.assert_allclose(result, past[:, :, start : start + length + chunk], rtol=1e-14, atol=1e-15)
        start += chunk


def test_delays_of_pixels_are_the_same_for_all_channels():
    delays, movie = np.array([[0.0, 1.9, 2.0], [3.0, 0.5, 1.0]]), random(2, 2, 6, 2, 3).astype("f4")
    result = temporal.VariableDelay(delays).run(movie, dt=4)
    for x, y in np.ndindex(2, 3):
        late = int(delays[x, y])
        np.testing.assert_array_equal(result[:, :, late:, x, y], movie[:, :, : 6 - late, x, y])
        assert not result[:, :, :late, x, y].any()
    np.testing.assert_array_equal(temporal.VariableDelay().run(movie), movie)


# --- Chains ---


def test_a_chain_has_no_latency():
    movie = random(1, 1, 6, 3, 3)
    chain = temporal.Sequential(*(temporal.Conv3d() for _ in range(4)), temporal.NLSquare())
    for i in range(4):
        chain[i].set_weight(1.0)
    np.testing.assert_allclose(chain.run(movie), movie**2, rtol=1e-5)


def test_chains_of_several_networks_compute_one_layer_after_the_other():
    movie = random(1, 1, 9, 4, 4).astype("f4")

    def layers():
        first, last = temporal.Conv3d(bias=False), temporal.Conv3d(bias=False, time_pad=False)
        first.set_weight(random(3, 2, 2, seed=1))
        first.time_pad.mode = "mirror"
        last.set_weight(random(2, 1, 1, seed=2))
        return [temporal.NLRectify(), first, temporal.Diff(), temporal.TimePadding(2, "mean"), last]

    alone, chain = layers(), temporal.Sequential(*layers())
    for piece in (movie[:, :, :5], movie[:, :, 5:]):
        expected = piece
        for layer in alone:
            expected = layer.run(expected)
        np.testing.assert_array_equal(chain.run(piece), expected)
    assert expected.shape[2] == 4 + 2 - 1


def test_cascades_end_with_the_default_nonlinearity():
    cascade, movie = temporal.LNCascade(n=1), random(5, 3, 3)
    cascade.linearities[0].set_weight(2.0)
    cascade.add_layer(temporal.Diff(), temporal.Nonlinearity("r = abs(sum(exc))"))
    cascade.add_layer()
    cascade.linearities[2] = None
    rectified = np.maximum(2.0 * movie, 0.0)
    expected = np.abs(np.diff(rectified, axis=0, prepend=rectified[:1]))
    np.testing.assert_allclose(cascade.run(movie), expected, rtol=1e-5, atol=1e-6)
    cascade.nonlinearities[1] = temporal.NLRectify()
    with pytest.raises(ws.StateError, match="structure of the model"):
        cascade.run(movie)
    cascade.clear_state()
    np.testing.assert_allclose(
        cascade.run(movie),
        np.maximum(np.diff(rectified, axis=0, prepend=rectified[:1]), 0.0),
        rtol=1e-5,
        atol=1e-6,
    )


def some_layers():
    filters, spatial, temporal_only = temporal.Conv3d(), temporal.Conv2d(), temporal.Conv1d(bias=False)
    filters.set_weight(random(3, 2, 3, seed=1))
    spatial.set_weight(random(3, 3, seed=2))
    temporal_only.exponential(0.002)
    return {
        "filters": filters,
        "spatial": spatial,
        "exponential": temporal_only,
        "low pass": temporal.TemporalLowPassFilterRecursive(0.003),
        "delay": temporal.Delay(2),
        "delays": temporal.VariableDelay(np.arange(12.0).reshape(3, 4) / 3.0),
        "difference": temporal.Diff(),
        "rectifier": temporal.NLRectify(),
    }


@given(
    st.lists(st.sampled_from(sorted(some_layers())), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_pieces_of_chains(names, lengths):
    """Any cut gives the same, on every backend, and the same as one layer after the other."""
    movie = random(2, 1, sum(lengths), 3, 4)
    expected = movie
    for name in names:
        layer = some_layers()[name]
        layer.compile(backend="reference", dtype="float64")
        expected = layer.run(expected)
    for backend in BACKENDS:
        chain = temporal.Sequential(*(some_layers()[name] for name in names))
        chain.compile(backend=backend, dtype="float64")
        ends = np.cumsum(lengths)
        pieces = [
            chain.run(movie[:, :, end - length : end]) for end, length in zip(ends, lengths, strict=True)
        ]
        whole = np.concatenate(pieces, axis=2)
        np.testing.assert_allclose(whole, expected, rtol=1e-11, atol=1e-11)
        chain.clear_state()
        np.testing.assert_array_equal(chain.run(movie), whole)


def test_an_empty_chain_shows_the_movie():
    movie = random(1, 2, 3, 2, 2).astype("f4")
    np.testing.assert_array_equal(temporal.Sequential().run(movie), movie)


def test_smooth_convolutions_add_up_their_components():
    layer, movie = temporal.SmoothConv(2, 0.01, (2, 3)), random(1, 1, 7, 4, 4)
    for i, filters in enumerate(layer.g):
        filters.set_weight(random(1, 2, 3, seed=i))
    whole = layer.run(movie)
    layer.clear_state()
    parts = layer.get_all_components(movie, dt=3)
    assert parts.shape == (1, 2, 7, 4, 4)
    np.testing.assert_allclose(parts.sum(axis=1, keepdims=True), whole, rtol=1e-4, atol=1e-6)


# --- Memory ---


def low_pass():
    layer = temporal.Sequential(temporal.TemporalLowPassFilterRecursive(0.004), temporal.Diff())
    return layer, random(1, 1, 12, 3, 4).astype("f4")


def test_pop_restores_what_was_pushed_whatever_ran_since():
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :4])
    layer.push_state()
    layer.run(movie[:, :, 7:])
    layer.push_state()
    layer.clear_state()
    layer.run(random(2, 3, 4, 5, 6))
    layer.pop_state()
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie[:, :, 4:]), whole[:, :, 4:])
    with pytest.raises(ws.StateError, match="no state was pushed"):
        layer.pop_state()


def test_pushing_before_the_first_run():
    layer, movie = low_pass()
    layer.push_state()
    whole = layer.run(movie)
    layer.pop_state()
    np.testing.assert_array_equal(layer.run(movie), whole)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 1, 2, 4, 4), r"image size \(4, 4\), 1 channels.*memory the image size \(3, 4\).*clear_state"),
        ((1, 2, 2, 3, 4), "2 channels and a batch of 1"),
        ((3, 1, 2, 3, 4), "batch of 3"),
    ],
)
def test_another_shape_leaves_the_memory_as_it_was(shape, words):
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :5])
    with pytest.raises(ws.StateError, match=words):
        layer.run(np.zeros(shape))
    with pytest.raises(ws.StateError, match="clear_state"):
        layer.compile(dtype="float64")
    np.testing.assert_array_equal(layer.run(movie[:, :, 5:]), whole[:, :, 5:])
    layer.clear_state()
    assert layer.run(np.zeros(shape)).shape == shape


def test_without_memory_any_shape_will_do():
    layer = temporal.Sequential(temporal.Conv2d(), temporal.NLRectify())
    for shape in [(1, 1, 2, 3, 3), (2, 1, 5, 4, 3), (4, 2, 2)]:
        assert layer.run(np.ones(shape)).shape == shape


def test_a_movie_that_does_not_fit_is_found_before_the_first_frame():
    layer, movie = low_pass()
    whole = layer.run(movie)
    layer.clear_state()
    layer.run(movie[:, :, :5])
    wrong = np.zeros((1, 1, 4, 3, 4))
    wrong[0, 0, 3] = 1e300
    with pytest.raises(ValueError, match="movie: a finite number does not fit float32"):
        layer.run(wrong, dt=1)
    np.testing.assert_array_equal(layer.run(movie[:, :, 5:]), whole[:, :, 5:])


def test_equations_with_a_state_are_memory():
    total = temporal.Nonlinearity("r += sum(exc)")
    assert total.run(np.ones((3, 1, 1))).ravel().tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ws.StateError, match="clear_state"):
        total.run(np.ones((3, 2, 2)))
    assert total.run(np.ones((2, 1, 1)), dt=1).ravel().tolist() == [4.0, 5.0]


def test_trials_of_a_batch_are_independent():
    layer, _ = low_pass()
    trials = random(3, 1, 6, 3, 4)
    together = layer.run(trials)
    for trial in range(3):
        layer.clear_state()
        np.testing.assert_array_equal(layer.run(trials[trial : trial + 1]), together[trial : trial + 1])


def test_backends_and_dtypes():
    movie, results = random(1, 1, 8, 5, 5), {}
    for backend, dtype in itertools.product(BACKENDS, ["float32", "float64"]):
        cascade = temporal.LNCascade(n=2)
        for i, filters in enumerate(cascade.linearities):
            filters.set_weight(random(3, 3, 2, seed=i))
        cascade.compile(backend=backend, dtype=dtype)
        results[backend, dtype] = cascade.run(movie, dt=3)
        assert results[backend, dtype].dtype == dtype
    for result in results.values():
        np.testing.assert_allclose(result, results["reference", "float64"], rtol=1e-4, atol=1e-5)
    for backend in BACKENDS:
        np.testing.assert_allclose(
            results[backend, "float64"], results["reference", "float64"], rtol=1e-12, atol=1e-13
        )


# --- Ready-made responses and movies ---


def test_responses():
    np.testing.assert_allclose(temporal.exponential_filter_1d(0.02).sum(), 1.0, rtol=0.02)
    np.testing.assert_allclose(temporal.exponential_filter_1d(0.02, n=4).sum(), 1.0, rtol=0.02)
    np.testing.assert_allclose(temporal.exponential_highpass_filter_1d(0.02, 0.5).sum(), 0.5, rtol=0.05)
    np.testing.assert_allclose(temporal.gauss_filter_2d(0.3, 0.2).sum(), 1.0, rtol=0.01)
    assert temporal.gauss_filter_2d(0.0, 0.0).tolist() == [[1.0]]
    for even in (True, False):
        assert len(temporal.exponential_filter_1d(0.02, even=even)) % 2 == 1 - even
    fine = temporal.Resolution(steps_per_second=10_000.0)
    assert len(temporal.exponential_filter_1d(0.005, resolution=fine)) == 150
    assert len(temporal.exponential_filter_1d(0.05, resolution=fine)) == 347
    finer = temporal.Resolution(filter_epsilon=1e-9)
    assert len(temporal.exponential_filter_1d(0.5, resolution=finer)) == 1000


def test_moving_gratings_move():
    movie = samples.moving_grating(t=50, x=6, y=5, vt=0.2, vx=1.0, vy=0.0)
    assert movie.shape == (50, 6, 5) and movie.dtype == np.float64
    assert np.abs(movie).max() <= 1.0
    np.testing.assert_array_equal(movie[..., 0], movie[..., -1])
    np.testing.assert_allclose(movie[7, 2, 3], np.sin(0.2 * 7 * 50 / 49 + (-1 + 2 * 2 / 5)), rtol=1e-12)


# --- Wrong arguments ---

REFUSED = [
    (lambda: temporal.Conv3d(0), ValueError, "in_channels is 0"),
    (lambda: temporal.Conv3d(1, 1, (1, 2)), ValueError, "kernel_size"),
    (lambda: temporal.Conv3d(1, 1, 0), ValueError, "kernel_size"),
    (lambda: temporal.Conv3d(1.0), TypeError, "in_channels"),
    (lambda: temporal.Conv3d(bias=1), TypeError, "bias"),
    (lambda: temporal.Conv3d(time_pad="yes"), TypeError, "time_pad"),
    (lambda: temporal.Conv3d(stride=(2, 1, 1)), ValueError, "stride is .* along time"),
    (lambda: temporal.Conv3d(dilation=0), ValueError, "dilation"),
    (lambda: temporal.Conv3d(3, 4, groups=2), ValueError, "groups is 2"),
    (lambda: temporal.Conv2d(stride=(1, 2, 2)), ValueError, "stride"),
    (lambda: temporal.Conv1d(kernel_size=(1, 2)), ValueError, "kernel_size"),
    (lambda: temporal.RF(rf_mode="random"), ValueError, "rf_mode"),
    (lambda: temporal.Conv3d().set_weight(np.ones((2, 2, 2, 2))), ValueError, r"\(2, 2, 2, 2\)"),
    (lambda: temporal.Conv2d().set_weight(np.ones(3)), ValueError, "dimensions"),
    (lambda: temporal.Conv3d().set_weight([]), ValueError, "empty"),
    (lambda: temporal.Conv3d().set_weight([1j]), TypeError, "complex"),
    (lambda: temporal.Conv3d().set_weight([1.0, -1.0], normalize=True), ValueError, "sums to 0"),
    (lambda: temporal.Conv3d().set_weight([1.0], flip=None), TypeError, "flip"),
    (lambda: setattr(temporal.Conv3d(), "bias", [1.0, 2.0]), ValueError, "bias"),
    (lambda: setattr(temporal.Conv3d(), "autopad_mode", "mirror"), ValueError, "autopad_mode is 'mirror'"),
    (lambda: setattr(temporal.Conv3d().time_pad, "mode", "last_frame"), ValueError, "mode is 'last_frame'"),
    (lambda: setattr(temporal.Conv3d(), "weigth", 1.0), AttributeError, "weigth"),
    (lambda: temporal.Conv3d().exponential(0.0), ValueError, "tau"),
    (lambda: temporal.Conv3d().gaussian(-1.0), ValueError, "_sig"),
    (lambda: temporal.Conv3d().gaussian(1.0, resolution=1000), TypeError, "resolution"),
    (lambda: temporal.TimePadding(-1), ValueError, "length is -1"),
    (lambda: temporal.TimePadding(1, "last"), ValueError, "mode"),
    (lambda: temporal.Delay(-1), ValueError, "delay is -1"),
    (lambda: temporal.Delay(1.5), TypeError, "delay"),
    (lambda: temporal.VariableDelay([[1.0, -1.0]]), ValueError, "delays"),
    (lambda: temporal.VariableDelay([[np.nan]]), ValueError, "delays"),
    (lambda: temporal.VariableDelay([1.0]), ValueError, r"\(1,\)"),
    (lambda: setattr(temporal.NLSquare(), "scale", np.nan), ValueError, "scale"),
    (lambda: temporal.TemporalLowPassFilterRecursive(0.0), ValueError, "tau"),
    (lambda: temporal.SmoothConv(0), ValueError, "n is 0"),
    (lambda: temporal.SmoothConv(2, 0.1, (3, 3, 3)), ValueError, "spatial_filter"),
    (lambda: temporal.Nonlinearity("r = sum(exc"), ws.ExpressionError, "sum"),
    (lambda: temporal.Sequential(np.abs), TypeError, "Nonlinearity"),
    (lambda: temporal.LNCascade(nonlinearity=abs), TypeError, "nonlinearity"),
    (lambda: temporal.LNCascade().add_layer(nonlinear=abs), TypeError, "nonlinear"),
    (lambda: temporal.Sum(0), ValueError, "dim is 0"),
    (lambda: temporal.sum(), ValueError, "at least one movie"),
    (lambda: temporal.sum(np.ones((1, 1, 1, 1, 1)), dim=5), ValueError, "dim is 5"),
    (lambda: temporal.sum(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 2, 2))), ValueError, "equal but"),
    (lambda: temporal.Resolution(0.0), ValueError, "steps_per_second"),
    (lambda: temporal.exponential_filter_1d(1.0, n=-1), ValueError, "n is -1"),
    (lambda: temporal.Conv3d().compile(backend="gpu"), ValueError, "gpu"),
    (lambda: samples.moving_grating(t=0), ValueError, "t is 0"),
    (lambda: samples.moving_grating(vx=np.inf), ValueError, "vx"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2))), ValueError, r"\(2, 2\).*time"),
    (lambda: temporal.Conv3d().run(np.ones((0, 2, 2))), ValueError, r"\(0, 2, 2\)"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2, 2)), dt=0), ValueError, "dt is 0"),
    (lambda: temporal.Conv3d().run(np.ones((2, 2, 2)), dt=1.0), TypeError, "dt"),
    (lambda: temporal.Conv3d().run(np.ones((1, 2, 2, 2, 2))), ValueError, "for 1 channels, the movie has 2"),
    (lambda: temporal.Conv3d(1, 2).run(np.ones((2, 2, 2))), ValueError, "2 channels; give it as"),
    (
        lambda: temporal.Conv3d(1, 1, (1, 3, 3), autopad=False).run(np.ones((2, 2, 2))),
        ValueError,
        "do not fit",
    ),
    (
        lambda: temporal.VariableDelay(np.ones((2, 3))).run(np.ones((2, 3, 2))),
        ValueError,
        r"\(2, 3\).*\(3, 2\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_wrong_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_wrong_weight_leaves_the_one_before():
    layer = temporal.Conv3d(1, 2)
    layer.set_weight(random(2, 1, 2, 2, 2))
    before = layer.weight.copy()
    for wrong in (np.zeros((3, 3)), np.ones((2, 2, 2, 2))):
        with pytest.raises(ValueError, match="w "):
            layer.set_weight(wrong, normalize=True)
    np.testing.assert_array_equal(layer.weight, before)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 1.0


def test_settings_do_not_change_under_pushed_states():
    layer = temporal.Conv1d()
    layer.set_weight([1.0, 2.0, 3.0])
    layer.run(np.ones((4, 2, 2)))
    layer.push_state()
    layer.clear_state()
    with pytest.raises(ws.StateError, match="pushed states, which belong to the present settings"):
        layer.compile(dtype="float64")
    layer.pop_state()
    layer.clear_state()
    layer.compile(dtype="float64")
    assert layer.run(np.ones((2, 2, 2))).dtype == np.float64
