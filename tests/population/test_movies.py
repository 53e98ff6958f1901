"""Movies given as arrays, shown by `run`."""

import itertools

import numpy as np
import pytest

import weightsharing as ws
from strategies.movies import FRAMES, filtered, frames, rates_at_each_step
from strategies.neurons import LINEAR


def test_a_movie_is_shown_frame_by_frame_and_holds(backend):
    network, movie, _ = filtered(backend)
    shown = frames(3, 3, 4)
    network.simulate(2)
    movie.set_movie(shown)
    assert movie._shown.content.frames is shown  # in place
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 5), shown[[0, 1, 2, 2, 2]])
    network.reset()
    assert not movie.r.any()
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 4), shown[[0, 1, 2, 2]])


def test_slow_and_repeated_movies(backend):
    network = ws.Network(dt=0.5)
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(FRAMES[:3], every=1.0, loop=True)
    network.compile(backend)
    expected = np.repeat(FRAMES[[0, 1, 2, 0, 1]], 2, axis=0)
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 10), expected)
    movie.set_movie(FRAMES[3:5].astype(int), loop=True)
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 3), FRAMES[[3, 4, 3]])


def test_any_layout_and_type(backend):
    network = ws.Network()
    movie = ws.MoviePopulation((2, 3), network=network)
    network.compile(backend)
    values = np.arange(24).reshape(4, 2, 3)
    for shown in (
        values.tolist(),
        values.astype(">f8"),
        np.asfortranarray(values, dtype=np.float32),
        values.astype(np.float32)[::-1],
        values > 3,
        np.where(values == 7, np.nan, values),
    ):
        movie.set_movie(shown)
        seen = rates_at_each_step(network, movie, 4)
        np.testing.assert_array_equal(seen, np.asarray(shown).astype(np.float32))


@pytest.mark.parametrize(
    ("movie", "error", "words"),
    [
        (FRAMES[:, :1], ValueError, r"movie has the shape \(6, 1\); expected \(frames, 2\)"),
        (FRAMES[0], ValueError, r"\(frames, 2\)"),
        (3.0, ValueError, "movie has the shape"),
        (FRAMES[:, np.newaxis], ValueError, "movie has the shape"),
        (FRAMES[:0], ValueError, "no frames"),
        ([], ValueError, "movie has the shape"),
        ([FRAMES[0], FRAMES[1], FRAMES[2, :1]], ValueError, "ragged"),
        (FRAMES.astype(complex), TypeError, "complex"),
        (FRAMES.astype(str), TypeError, "<U"),
        (np.ma.masked_array(FRAMES), TypeError, "masked"),
        (FRAMES * 1e300, ValueError, "does not fit float32"),
        ("movie.gif", TypeError, "VideoPopulation"),
        (None, TypeError, "movie"),
        (lambda: iter(FRAMES), TypeError, "movie"),
        ({1.0, 2.0}, TypeError, "movie is a set"),
    ],
)
def test_movies_that_are_refused(movie, error, words, backend):
    network = ws.Network()
    shown = ws.MoviePopulation(2, network=network)
    shown.set_movie(FRAMES)
    network.compile(backend)
    network.step()
    with pytest.raises(error, match=words):
        shown.set_movie(movie)
    with pytest.raises(error, match=words):
        network.run(movie)
    network.step()
    np.testing.assert_array_equal(shown.r, FRAMES[1])
    assert network.time == 2.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"every": 0.0}, ValueError),
        ({"every": 0.5}, ValueError),
        ({"every": -1.0}, ValueError),
        ({"every": "slow"}, TypeError),
        ({"loop": 2}, TypeError),
    ],
)
@pytest.mark.parametrize("movie", [FRAMES, iter(FRAMES)])
def test_arguments_of_a_movie_that_are_refused(movie, options, error):
    shown = ws.MoviePopulation(2, network=ws.Network())
    with pytest.raises(error, match=next(iter(options))):
        shown.set_movie(movie, **options)


# --- run ---


def test_run_returns_the_rates_of_every_step(backend):
    network, movie, out = filtered(backend)
    shown = frames(7, 3, 4)
    result = network.run(shown, output=out)
    assert result.shape == (7, 3, 4) and network.time == 7.0
    np.testing.assert_array_equal(result[-1], out.r)
    both = network.run(shown[:2], output=[movie, out])
    np.testing.assert_array_equal(both[0], shown[:2])
    assert both[1].shape == (2, 3, 4)
    assert network.run(shown[:1]) is None and network.run(shown[:1], output=[]) == []
    network.reset()
    np.testing.assert_array_equal(network.run(shown, output=out), result)


@pytest.mark.parametrize("update", ["synchronous", "feedforward"])
@pytest.mark.parametrize("history", ["zeros", "ones", "first_frame", "mean", "mirror", "full_copy"])
@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_movies_in_pieces_give_the_same(update, history, delay, backend):
    network, _, out = filtered(backend, history=history, update=update, delays=delay)
    shown = frames(9, 3, 4)
    whole = network.run(shown, output=out)
    network.reset()
    for cuts in ([4], [1, 2, 3], [7]):
        network.reset()
        pieces = [network.run(piece, output=out) for piece in np.split(shown, cuts)]
        if history in ("mean", "mirror", "full_copy"):
            # What stands before a movie is made from its first piece: the same from where nothing of it is left.
            last = 3 + int(delay)
            assert not np.array_equal(np.concatenate(pieces)[:1], whole[:1]) or history == "mirror"
            np.testing.assert_array_equal(np.concatenate(pieces)[last:], whole[last:])
        else:
            np.testing.assert_array_equal(np.concatenate(pieces), whole)


def filtered_by_hand(shown, before, weights, delay=0):
    """Correlate in time and space, with `before` as the frames up to step -1."""
    past = np.concatenate([before, shown])
    padded = np.pad(past, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros_like(shown)
    for step, (tau, i, j) in itertools.product(range(len(shown)), np.ndindex(*weights.shape)):
        row = len(before) + step - delay - tau
        result[step] += weights[tau, i, j] * padded[row, i : i + 3, j : j + 4]
    return result


@pytest.mark.parametrize("history", ["mean", "mirror", "full_copy"])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
@pytest.mark.parametrize("delay", [0, 2])
def test_histories_made_from_a_movie(history, count, delay, backend):
    network, _, out = filtered(backend, history=history, delays=float(delay))
    shown = frames(count, 3, 4)
    depth = 3 + delay
    ago = np.arange(depth, 0, -1)
    before = {
        "mean": np.full((depth, 3, 4), shown.mean()),
        "mirror": shown[(ago - 1) % count],
        "full_copy": shown[-ago % count],
    }[history]
    weights = np.random.default_rng(5).standard_normal((4, 3, 3))
    expected = filtered_by_hand(shown, before, weights, delay)
    np.testing.assert_allclose(network.run(shown, output=out), expected, atol=1e-12)


@pytest.mark.parametrize("history", ["zeros", "first_frame", "mean", "mirror", "full_copy"])
def test_movies_of_several_trials(history, backend):
    shown = frames(5, 2, 3, 4)
    network, _, out = filtered(backend, batch=2, history=history)
    results = network.run(shown, output=out)
    assert results.shape == (5, 2, 3, 4)
    network.reset()
    alike = network.run(shown[:, 1], output=out)
    single, _, alone = filtered(backend, history=history)
    for trial in range(2):
        single.reset()
        np.testing.assert_array_equal(single.run(shown[:, trial], output=alone), results[:, trial])
    np.testing.assert_array_equal(alike, results[:, [1, 1]])


def test_pushed_states_and_movies(backend):
    network, movie, out = filtered(backend, history="mirror")
    shown = frames(8, 3, 4)
    network.run(shown[:4], output=out)
    network.push_state()
    first = network.run(shown[4:], output=out)
    network.pop_state()
    assert network.time == 4.0
    np.testing.assert_array_equal(movie.r, shown[3])
    np.testing.assert_array_equal(network.run(shown[4:], output=out), first)


def test_the_movie_before_run_comes_back_with_the_state(backend):
    network, movie, _ = filtered(backend)
    shown = frames(8, 3, 4)
    movie.set_movie(shown)
    network.simulate(2)
    network.push_state()
    network.run(-shown[:3])
    network.pop_state()
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 2), shown[2:4])


def test_histories_of_movies_need_a_movie(backend):
    network, movie, _ = filtered(backend, history="mean")
    movie.set_movie(frames(3, 3, 4))
    with pytest.raises(ws.StateError, match="run"):
        network.simulate(1)
    network.run(frames(3, 3, 4))
    network.simulate(2)
    network.reset()
    with pytest.raises(ws.StateError, match="run"):
        network.step()
    other = ws.Network(update="feedforward")
    movie, still = ws.MoviePopulation(2, network=other), other.create(2, name="still")
    post = other.create(2, LINEAR)
    ws.Convolution(still, post, "exc").connect_filter(np.ones((2, 1)), time_axis=True, history="mirror")
    other.compile(backend)
    with pytest.raises(ValueError, match=r"'mirror' of 'still'.*shows none"):
        other.run(FRAMES)
    assert other.time == 0.0 and movie._shown.content is None


def test_several_movies(backend):
    network = ws.Network()
    one, two = ws.MoviePopulation(2, network=network), ws.MoviePopulation(1, network=network)
    other = ws.MoviePopulation(2, network=ws.Network())
    network.compile(backend)
    shown = {one: FRAMES, two: FRAMES[:, 1:]}
    results = network.run(shown, output=(two, one))
    np.testing.assert_array_equal(results[0], FRAMES[:, 1:])
    np.testing.assert_array_equal(results[1], FRAMES)
    network.run({one: FRAMES[:2]})
    assert two.r == FRAMES[-1, 1] and network.time == 8.0
    for wrong, words in [
        (FRAMES, "2 populations that show movies"),
        ({}, "empty"),
        ({one: FRAMES, two: FRAMES}, r"\(6, 2\)"),
        ({one: FRAMES, two: FRAMES[:3, :1]}, "differ in their number"),
        ({other: FRAMES}, "no MoviePopulation of this network"),
        ({"one": FRAMES}, "no MoviePopulation of this network"),
    ]:
        with pytest.raises(ValueError, match=words):
            network.run(wrong)
    assert network.time == 8.0


def test_arguments_of_run_that_are_refused(backend):
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    stranger = ws.Population(2, network=ws.Network())
    with pytest.raises(ws.StateError, match="compile"):
        network.run(FRAMES)
    network.compile(backend)
    for output, error in [
        (stranger, ValueError),
        ([movie, stranger], ValueError),
        ("r", TypeError),
        (3, TypeError),
    ]:
        with pytest.raises(error, match=r"output|another network"):
            network.run(FRAMES, output=output)
    with pytest.raises(TypeError, match=r"number of frames|how many frames"):
        network.run(iter(FRAMES))
    empty = ws.Network()
    empty.create(2)
    empty.compile(backend)
    with pytest.raises(ValueError, match="0 populations that show movies"):
        empty.run(FRAMES)
    assert network.time == 0.0 and movie._shown.content is None
