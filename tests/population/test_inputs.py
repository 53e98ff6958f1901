"""Input arrays and timed arrays."""

import warnings

import numpy as np
import pytest

import weightsharing as ws
from strategies.movies import FRAMES, rates_at_each_step
from strategies.neurons import LINEAR


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
