"""Movies given as iterators."""

import itertools

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import ON_GPU
from strategies.movies import FRAMES, filtered, frames, rates_at_each_step
from weightsharing.state.stream import Stream


def small_buffer(monkeypatch, rows=3):
    monkeypatch.setattr("weightsharing.state.stream._BUFFER_FRAMES", rows)


def endless():
    for number in itertools.count():
        yield np.array([number, -number])


def test_endless_movies(backend, monkeypatch):
    small_buffer(monkeypatch)
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(endless())
    network.compile(backend)
    for steps in (1, 2, 10, 7):
        network.simulate(steps)
        assert movie.r.tolist() == [network.time - 1, 1 - network.time]
    assert len(movie._shown.content.buffer) == 3


def test_iterators_are_asked_only_for_the_frames_of_a_run(backend):
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    network.compile(backend)
    asked = []
    movie.set_movie((asked.append(number) or FRAMES[number]) for number in range(6))
    assert asked == []
    network.simulate(2)
    assert asked == [0, 1]


@pytest.mark.parametrize("every", [1, 3])
def test_an_iterator_shows_what_an_array_shows(every, backend, monkeypatch):
    small_buffer(monkeypatch)
    results = []
    for movie in (frames(5, 3, 4), iter(frames(5, 3, 4))):
        network, shown, out = filtered(backend, update="synchronous", history="first_frame")
        shown.set_movie(movie, every=float(every))
        seen = []
        for steps in (1, 2, 4, 1, 1, 9):
            network.simulate(steps)
            seen.append((shown.r, out.r))
        results.append(seen)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


class Again:
    """Frames that can be iterated over as often as one likes."""

    def __init__(self, frames):
        self.frames = frames

    def __iter__(self):
        return iter(self.frames)


def test_movies_that_can_be_iterated_over_again(backend, monkeypatch):
    small_buffer(monkeypatch)
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(Again(FRAMES[:4]), loop=True)
    network.compile(backend)
    expected = FRAMES[np.arange(11) % 4]
    np.testing.assert_array_equal(rates_at_each_step(network, movie, 11), expected)
    network.reset()
    network.simulate(3)
    network.push_state()
    network.simulate(7)
    np.testing.assert_array_equal(movie.r, FRAMES[9 % 4])
    network.pop_state()
    network.simulate(2)
    np.testing.assert_array_equal(movie.r, FRAMES[4 % 4])


def test_a_generator_cannot_go_back(backend):
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(iter(FRAMES))
    network.compile(backend)
    network.simulate(2)
    network.simulate(1)
    network.reset()
    with pytest.raises(ws.StateError, match="set_movie"):
        network.simulate(1)
    assert network.time == 0.0
    movie.set_movie(FRAMES)
    network.simulate(1)
    np.testing.assert_array_equal(movie.r, FRAMES[0])


def test_one_shot_movies_do_not_loop():
    movie = ws.MoviePopulation(2, network=ws.Network())
    with pytest.raises(ValueError, match="loop"):
        movie.set_movie(endless(), loop=True)


def bad_movie(good, bad):
    yield from good
    yield bad


def failing():
    yield FRAMES[0]
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("movie", "words"),
    [
        (lambda: bad_movie(FRAMES[:4], np.ones(3)), r"frame 4 of the movie of 'm' has the shape \(3,\)"),
        (lambda: bad_movie(FRAMES[:4], 1j * FRAMES[0]), "frame 4.*complex"),
        (lambda: bad_movie(FRAMES[:4], "text"), "frame 4"),
        (lambda: bad_movie(FRAMES[:4], None), "frame 4"),
        (lambda: bad_movie(FRAMES[:4], [[1], [1, 2]]), "frame 4.*ragged"),
        (lambda: bad_movie(FRAMES[:4], [1e300, 0.0]), "frame 4.*does not fit"),
        (failing, "frame 1: OSError: the disk is gone"),
        (lambda: iter([]), "no frames"),
        (lambda: Again([]), "no frames"),
    ],
)
@pytest.mark.parametrize("rows", [2, 100])
def test_a_bad_frame_leaves_the_network_as_it_was(movie, words, rows, backend, monkeypatch):
    small_buffer(monkeypatch, rows)
    network = ws.Network(seed=1)
    shown = ws.MoviePopulation(2, name="m", network=network)
    noisy = ws.Neuron(equations="r = sum(exc) + r + Uniform(0, 1)")
    post = network.create(2, noisy)
    weights = np.array([[1.0], [2.0], [3.0]])
    ws.Convolution(shown, post, "exc").connect_filter(weights, time_axis=True)
    network.compile(backend)
    shown.r = [5.0, 6.0]
    network.simulate(3)

    def state():
        arrays = [
            shown.r,
            post.r,
            post.sum("exc"),
            *(
                network._assembly.context.storage.fetch(history.array).copy()
                for history in network._simulation.histories
            ),
        ]
        return arrays, network.time, network.random_generator.bit_generator.state

    before = state()
    shown.set_movie(movie())
    for error, message in [(ws.MovieError, words), ((ws.MovieError, ws.StateError), "movie of 'm'")]:
        with pytest.raises(error, match=message):
            network.simulate(6)
        after = state()
        for one, other in zip(before[0], after[0], strict=True):
            np.testing.assert_array_equal(one, other)
        assert before[1:] == after[1:]
    shown.set_movie(FRAMES)
    network.simulate(2)
    np.testing.assert_array_equal(shown.r, FRAMES[1])


def test_frames_before_a_bad_one_are_kept_where_they_fit_into_the_buffer(backend):
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(bad_movie(FRAMES[:4], np.ones(3)))
    network.compile(backend)
    with pytest.raises(ws.MovieError, match="frame 4"):
        network.simulate(5)
    network.simulate(4)
    np.testing.assert_array_equal(movie.r, FRAMES[3])
    with pytest.raises(ws.MovieError, match="frame 4"):
        network.step()


def test_a_bad_frame_elsewhere_undoes_a_run(backend):
    network = ws.Network()
    movie, other = ws.MoviePopulation(2, network=network), ws.MoviePopulation(2, network=network)
    movie.set_movie(FRAMES)
    other.set_movie(bad_movie(FRAMES[:3], 3))
    network.compile(backend)
    network.simulate(1)
    with pytest.raises(ws.MovieError):
        network.run({movie: -FRAMES})
    assert network.time == 1.0
    other.set_movie(FRAMES)
    network.simulate(1)
    np.testing.assert_array_equal(movie.r, FRAMES[1])


def test_a_run_that_stops_keeps_the_frames_that_were_not_shown(backend):
    network = ws.Network(check_finite=True)
    movie = ws.MoviePopulation(2, network=network)
    shown = FRAMES.copy()
    shown[2, 1] = np.nan
    movie.set_movie(iter(shown))
    network.compile(backend)
    with pytest.raises(FloatingPointError, match=r"unit \(1,\) after step 3"):
        network.simulate(6)
    if backend in ON_GPU:  # which finds it some steps later
        assert 3 <= network.time <= 6
    else:
        assert network.time == 3
        network.simulate(2)
        np.testing.assert_array_equal(movie.r, FRAMES[4])
    network.simulate(6 - network.time)
    np.testing.assert_array_equal(movie.r, FRAMES[5])


def test_movies_and_callbacks(backend, monkeypatch):
    small_buffer(monkeypatch)
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(endless())
    network.compile(backend)
    seen = []
    network.every(5.0, wait=2.0)(lambda number: seen.append((number, *movie.r)))
    network.simulate(14)
    assert seen == [(0, 1, -1), (1, 6, -6), (2, 11, -11)]


def test_a_movie_that_a_callback_sets(backend):
    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    network.compile(backend)
    network.step()
    movies = [iter(FRAMES), bad_movie(FRAMES[:1], 3.0)]
    network.every(3.0, wait=1.0)(lambda number: movie.set_movie(movies[number]))
    network.simulate(3)
    np.testing.assert_array_equal(movie.r, FRAMES[2])
    with pytest.raises(ws.MovieError, match="frame 1"):
        network.simulate(3)
    np.testing.assert_array_equal(movie.r, FRAMES[2])
    assert network.time == 4.0
    network.disable_callbacks()
    network.step()
    np.testing.assert_array_equal(movie.r, FRAMES[3])


def test_frames_for_each_trial_and_for_all(backend):
    network = ws.Network(batch=2)
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(iter([FRAMES[0], FRAMES[:2]]))
    network.compile(backend)
    network.step()
    np.testing.assert_array_equal(movie.r, FRAMES[[0, 0]])
    network.step()
    np.testing.assert_array_equal(movie.r, FRAMES[:2])


def test_an_interrupted_iterator_does_not_go_on_silently():
    def interrupted():
        yield FRAMES[0]
        raise KeyboardInterrupt

    network = ws.Network()
    movie = ws.MoviePopulation(2, network=network)
    movie.set_movie(interrupted())
    network.compile("reference")
    with pytest.raises(KeyboardInterrupt):
        network.simulate(3)
    with pytest.raises(ws.MovieError, match=r"frame 1.*KeyboardInterrupt"):
        network.simulate(3)
    assert network.time == 0.0


def test_two_movies_of_one_network_need_not_be_equally_fast(backend, monkeypatch):
    small_buffer(monkeypatch)
    network = ws.Network()
    fast, slow = ws.MoviePopulation(2, network=network), ws.MoviePopulation(2, network=network)
    fast.set_movie(endless())
    slow.set_movie(endless(), every=4.0)
    network.compile(backend)
    network.simulate(23)
    assert fast.r[0] == 22 and slow.r[0] == 22 // 4
    assert isinstance(slow._shown.content, Stream)


def test_a_movie_that_fails_takes_back_the_weights_of_callbacks():
    network = ws.Network()
    shown = ws.MoviePopulation((2,), network=network)
    post = network.create(2, ws.Neuron(equations="r = sum(exc)"))
    projection = ws.Convolution(shown, post, "exc").connect_filter([1.0])
    network.compile()
    shown.set_movie(iter([np.ones(2)] * 4 + [np.ones(3)]))

    @network.every(1.0)
    def change(number):
        projection.weights = [number + 2.0]

    with pytest.raises(ws.MovieError):
        network.simulate(10.0)
    np.testing.assert_array_equal(projection.weights, [1.0])
    assert network.time == 0.0
