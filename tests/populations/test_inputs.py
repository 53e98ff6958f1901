"""Inputs: `InputArray`, `TimedArray`, `MoviePopulation`, `Network.run`."""

import itertools
import warnings

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import ON_GPU
from weightsharing.inputs import Stream

LINEAR = ws.Neuron(equations="r = sum(exc)")
FRAMES = np.arange(1.0, 13.0).reshape(6, 2)


def rates_at_each_step(network, population, steps):
    seen = []
    for _ in range(steps):
        network.step()
        seen.append(population.r.copy())
    return np.array(seen)


def expected_rates(frames, starts, steps, period=0):
    """What is shown at the end of each step, by the definition; 0 before the first frame."""
    shown, rates = np.zeros(frames.shape[1:]), []
    for step in range(steps):
        place = step % period if period else step
        for frame, start in zip(frames, starts, strict=False):
            if start == place:
                shown = frame
        rates.append(shown)
    return np.array(rates)


# --- InputArray ---


def test_an_input_array_holds_what_it_is_given(backend):
    network = ws.Network(backend=backend)
    given = ws.InputArray((2, 2), "signal", copied=False)
    signal = network.create(given)
    assert signal is given and signal.network is network and network.get_population("signal") is signal
    signal.r = [[1.0, 2.0], [3.0, 4.0]]
    post = network.create((2, 2), LINEAR)
    network.connect(signal, post, "exc").one_to_one(2.0)
    monitor = network.monitor(signal, "r")
    network.compile()
    network.simulate(2.0)
    signal.r = 5.0
    network.step()
    assert post.r.tolist() == [[10.0, 10.0], [10.0, 10.0]]
    assert monitor.get("r")[:, 0, 1].tolist() == [2.0, 2.0, 5.0]
    network.reset()
    assert signal.r.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with ws.Network() as other:
        assert ws.InputArray(3).network is other and ws.InputArray(geometry=2, network=ws.Network()).size == 2
    for arguments, error in (((), TypeError), (("3",), TypeError), (((0, 2),), ValueError)):
        with pytest.raises(error, match="geometry"):
            ws.InputArray(*arguments)
    with pytest.raises(TypeError, match="net_id=1"):
        ws.InputArray(3, net_id=1)


# --- TimedArray ---


@pytest.mark.parametrize(
    ("options", "starts", "period"),
    [
        ({}, range(6), 0),
        ({"schedule": 0.0}, range(6), 0),
        ({"schedule": 1.5}, range(0, 18, 3), 0),
        ({"schedule": [1.0, 1.5, 4.0, 4.5, 6.0, 9.5]}, [2, 3, 8, 9, 12, 19], 0),
        ({"period": 3.0}, range(6), 6),
        ({"period": 2.0}, range(6), 4),
        ({"period": 5.0}, range(6), 10),
        ({"schedule": 1.0, "period": 4.0}, range(0, 12, 2), 8),
        ({"schedule": np.array([0, 1, 2, 3, 4, 5]), "period": 5.5}, range(0, 12, 2), 11),
    ],
)
def test_frames_are_set_before_their_steps(options, starts, period, backend):
    network = ws.Network(dt=0.5)
    timed = ws.TimedArray(FRAMES, network=network, **options)
    reader = network.create(2, LINEAR)
    ws.Projection(timed, reader, "exc").connect_one_to_one(1.0)
    network.compile(backend)
    expected = expected_rates(FRAMES, starts, 25, period)
    seen, read = [], []
    for _ in range(25):
        network.step()
        seen.append(timed.r)
        read.append(reader.r)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(read, expected)  # a projection reads the frame in its own step
    network.reset()
    network.simulate(7.5)
    np.testing.assert_array_equal(timed.r, expected[14])
    network.simulate(1.0)
    np.testing.assert_array_equal(timed.r, expected[16])


def test_times_are_whole_steps_in_spite_of_division_errors(backend):
    network = ws.Network(dt=0.1)
    timed = ws.TimedArray(FRAMES[:3], schedule=[0.3, 0.6, 0.7], period=0.9, network=network)
    network.compile(backend)
    seen = rates_at_each_step(network, timed, 20)
    np.testing.assert_array_equal(seen, expected_rates(FRAMES, [3, 6, 7], 20, 9))
    np.testing.assert_allclose(timed.schedule, [0.3, 0.6, 0.7])


def test_attributes_of_a_timed_array():
    network = ws.Network(dt=0.5)
    timed = ws.TimedArray(FRAMES.tolist(), network=network)
    assert timed.geometry == (2,) and timed.period == -1.0
    np.testing.assert_array_equal(timed.rates, FRAMES)
    np.testing.assert_array_equal(timed.schedule, np.arange(6) * 0.5)
    with pytest.raises(ValueError, match="read-only"):
        timed.rates[0] = 3.0
    timed.period, timed.schedule = 8.0, 1.0
    np.testing.assert_array_equal(timed.schedule, np.arange(6.0))
    timed.rates = FRAMES[:2]
    assert timed.period == 8.0 and len(timed.schedule) == 2
    timed.update(FRAMES, [0.0, 1.0, 3.0, 4.0, 5.0, 6.0])
    assert timed.period == -1.0 and timed.schedule.tolist() == [0, 1, 3, 4, 5, 6]


def test_a_timed_array_without_rates_yet(backend):
    network = ws.Network()
    timed = ws.TimedArray(geometry=(1, 2), network=network)
    assert timed.rates is None and timed.schedule.size == 0 and timed.period == -1.0
    with pytest.raises(ws.StateError, match="update"):
        timed.schedule = 2.0
    network.compile(backend)
    network.simulate(2)
    assert not timed.r.any()
    timed.update(FRAMES.reshape(6, 1, 2))  # times count from compile
    network.step()
    np.testing.assert_array_equal(timed.r, FRAMES[2:3])
    timed.reset()
    assert not timed.r.any()
    network.step()
    np.testing.assert_array_equal(timed.r, FRAMES[:1])
    timed.r = 7.0
    assert (timed.r == 7.0).all()
    network.step()
    np.testing.assert_array_equal(timed.r, FRAMES[1:2])


def test_a_timed_array_that_is_its_own_owner():
    network = ws.Network()
    frames = FRAMES.astype(np.float32)
    timed = ws.TimedArray(frames, network=network)
    frames[:] = 0
    np.testing.assert_array_equal(timed.rates, FRAMES)


def test_timed_arrays_of_several_trials(backend):
    network = ws.Network(batch=3)
    frames = np.random.default_rng(1).random((4, 3, 2)).astype(np.float32)
    each = ws.TimedArray(frames, geometry=2, network=network)
    alike = ws.TimedArray(frames[:, 0], network=network)
    network.compile(backend)
    np.testing.assert_array_equal(rates_at_each_step(network, each, 4), frames)
    np.testing.assert_array_equal(alike.r, np.broadcast_to(frames[3, 0], (3, 2)))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "rates, or a geometry"),
        ({"rates": [1.0, 2.0]}, ValueError, r"\(2,\).*frames"),
        (
            {"rates": FRAMES, "geometry": 3},
            ValueError,
            r"rates has the shape \(6, 2\); expected \(frames, 3\)",
        ),
        ({"rates": FRAMES[:0]}, ValueError, "no frames"),
        ({"rates": [[1.0], [1.0, 2.0]]}, ValueError, "ragged"),
        ({"rates": FRAMES * 1j}, TypeError, "complex"),
        ({"rates": FRAMES * 1e300}, ValueError, "does not fit float32"),
        ({"rates": FRAMES, "schedule": -1.0}, ValueError, "schedule is -1.0"),
        ({"rates": FRAMES, "schedule": 0.7}, ValueError, "whole number of steps"),
        ({"rates": FRAMES, "schedule": 1e-9}, ValueError, "schedule.*at least one step"),
        ({"rates": FRAMES, "schedule": "often"}, TypeError, "schedule"),
        ({"rates": FRAMES, "schedule": 1e300}, ValueError, "schedule.*counted"),
        ({"rates": FRAMES, "schedule": float("nan")}, ValueError, "schedule"),
        ({"rates": FRAMES[:2], "schedule": [0.0, 0.3]}, ValueError, r"schedule\[1\] is 0.3"),
        ({"rates": FRAMES[:2], "schedule": [0.0, float("nan")]}, ValueError, r"schedule\[1\]"),
        ({"rates": FRAMES[:2], "schedule": [-1.0, 0.0]}, ValueError, r"schedule\[0\] is -1"),
        ({"rates": FRAMES[:2], "schedule": [1.0, 1.0]}, ValueError, "increase"),
        ({"rates": FRAMES[:2], "schedule": [2.0, 1.0]}, ValueError, "increase"),
        ({"rates": FRAMES[:2], "schedule": []}, ValueError, "schedule has the shape"),
        ({"rates": FRAMES[:2], "schedule": [0.0, 1.0, 2.0]}, ValueError, "3 times for 2 frames"),
        ({"rates": FRAMES, "period": 0.0}, ValueError, "period is 0"),
        ({"rates": FRAMES, "period": 0.25}, ValueError, "period.*whole number"),
        ({"rates": FRAMES, "period": "long"}, TypeError, "period"),
        ({"rates": FRAMES[:1], "schedule": [4.0], "period": 2.0}, ValueError, "no frame is shown"),
        ({"rates": FRAMES, "network": 3}, TypeError, "network"),
    ],
)
def test_timed_arrays_that_are_refused(arguments, error, words):
    network = ws.Network(dt=0.5)
    network.create(1)
    with network, pytest.raises(error, match=words):
        ws.TimedArray(**arguments)
    assert len(network.populations) == 1


def test_a_refused_update_changes_nothing(backend):
    network = ws.Network()
    timed = ws.TimedArray(FRAMES, period=6.0, network=network)
    network.compile(backend)
    network.simulate(4)
    for change in (
        lambda: timed.update(FRAMES[:, :1]),
        lambda: timed.update(FRAMES, 0.5),
        lambda: setattr(timed, "period", 0.5),
        lambda: setattr(timed, "schedule", [1.0, 0.0, 2.0, 3.0, 4.0, 5.0]),
    ):
        with pytest.raises(ValueError, match=r"rates|schedule|period"):
            change()
    np.testing.assert_array_equal(rates_at_each_step(network, timed, 4), FRAMES[[4, 5, 0, 1]])


def test_a_short_schedule_warns(backend):
    network = ws.Network()
    with pytest.warns(UserWarning, match="2 times for the 6 frames"):
        timed = ws.TimedArray(FRAMES, schedule=[0.0, 2.0], network=network)
    with pytest.warns(UserWarning, match="2 times") as record:
        timed.update(FRAMES, schedule=[0.0, 2.0])
    assert record[0].filename == __file__
    network.compile(backend)
    np.testing.assert_array_equal(rates_at_each_step(network, timed, 5), FRAMES[[0, 0, 1, 1, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            timed.update(FRAMES + 1, schedule=[0.0])
    np.testing.assert_array_equal(timed.rates, FRAMES[:2])


def test_step_length_chosen_after_the_timed_array():
    timed = ws.TimedArray(FRAMES, schedule=1.0)
    always = ws.TimedArray(FRAMES)
    ws.setup(dt=0.5)
    ws.compile()
    ws.simulate(2.0)
    np.testing.assert_array_equal(timed.r, FRAMES[1])
    np.testing.assert_array_equal(always.r, FRAMES[3])
    ws.clear()
    ws.TimedArray(FRAMES, schedule=1.0)
    ws.setup(dt=0.75)
    with pytest.raises(ValueError, match=r"schedule.*whole number"):
        ws.compile()


def test_moving_a_timed_array_to_another_network():
    timed, movie = ws.TimedArray(FRAMES), ws.MoviePopulation(2)
    movie.set_movie(FRAMES.astype(np.float32))
    network = ws.Network(dtype="float64", batch=2, dt=0.5)
    network.create(population=timed)
    network.create(population=movie)
    network.compile("cpu")
    network.simulate(1.0)
    np.testing.assert_array_equal(timed.r, [FRAMES[1]] * 2)
    np.testing.assert_array_equal(movie.r, [FRAMES[1]] * 2)


def test_state_keeps_where_a_timed_array_stands(backend):
    network = ws.Network()
    timed = ws.TimedArray(FRAMES, network=network)
    network.compile(backend)
    network.simulate(2)
    network.push_state()
    timed.reset()
    network.step()
    timed.update(-FRAMES)
    network.step()
    np.testing.assert_array_equal(timed.r, -FRAMES[1])
    network.pop_state()
    np.testing.assert_array_equal(timed.r, FRAMES[1])
    np.testing.assert_array_equal(rates_at_each_step(network, timed, 2), FRAMES[2:4])


# --- Movies: arrays ---


def filtered(backend, batch=None, history="zeros", update="feedforward", **options):
    """A movie of 3x4 pixels, and what a spatio-temporal filter makes of it."""
    network = ws.Network(update=update, batch=batch, dtype="float64", seed=3)
    movie = ws.MoviePopulation((3, 4), network=network)
    out = network.create((3, 4), LINEAR)
    weights = np.random.default_rng(5).standard_normal((4, 3, 3))
    ws.Convolution(movie, out, "exc").connect_filter(weights, time_axis=True, history=history, **options)
    network.compile(backend)
    return network, movie, out


def frames(count, *shape):
    return np.random.default_rng(count).standard_normal((count, *shape))


def test_a_movie_is_shown_frame_by_frame_and_holds(backend):
    network, movie, _ = filtered(backend)
    shown = frames(3, 3, 4)
    network.simulate(2)
    movie.set_movie(shown)
    assert movie._shown.frames is shown  # in place
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
    assert other.time == 0.0 and movie._shown is None


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
    assert network.time == 0.0 and movie._shown is None


# --- Movies: iterators ---


def small_buffer(monkeypatch, rows=3):
    monkeypatch.setattr("weightsharing.inputs._BUFFER_FRAMES", rows)


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
    assert len(movie._shown.buffer) == 3


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
            *(network._fetch(history.array).copy() for history in network._histories),
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
    assert isinstance(slow._shown, Stream)


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
