"""Running a network: interruptions, callbacks, progress, checks for NaN, states kept and restored."""

import signal
import threading
import time
import warnings

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import BACKENDS, ON_GPU

COUNTER = ws.Neuron(equations="r += 1")


def counter(geometry=4, **settings):
    network = ws.Network(**settings)
    population = network.create(geometry, COUNTER)
    network.compile()
    return network, population


# --- Ctrl-C ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_stops_between_two_steps(backend):
    network, population = counter(backend=backend)
    main = threading.main_thread().ident
    sent = []

    def interrupt():
        time.sleep(0.3)
        sent.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        network.simulate(1e12)
    stopped = time.monotonic()
    sender.join()
    # The promise is 100 ms; ten times that is no proof of speed but shows that the run did not go on.
    assert stopped - sent[0] < 1.0
    steps = population.r[0]
    assert steps > 0 and (population.r == steps).all()
    assert network.time == steps or steps == 2.0**24  # where a float32 stops counting
    before = network.time
    network.simulate(3.0)
    assert network.time == before + 3.0


def test_a_signal_with_a_handler_of_its_own_does_not_stop_the_run():
    network, _population = counter()
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *arguments: seen.append(network.time))
    try:
        timer = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1))
        timer.start()
        while not seen:
            network.simulate(100_000.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert network.time % 100_000 == 0


# --- Callbacks and progress --------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [(20,), (7, 13), (1,) * 20, (3, 3, 4, 10)])
def test_callbacks_come_at_the_same_times_however_a_run_is_cut(pieces):
    network, population = counter(dt=0.5)
    calls = []

    @network.every(period=2.0, offset=0.5, wait=1.0)
    def note(number):
        calls.append((number, network.time, int(population.r[0])))

    for steps in pieces:
        network.simulate(0.5 * steps)
    assert calls == [(0, 1.5, 3), (1, 3.5, 7), (2, 5.5, 11), (3, 7.5, 15), (4, 9.5, 19)]


@pytest.mark.parametrize(
    ("period", "offset", "wait", "expected"),
    [
        (5.0, -1.0, 0.0, [4.0, 9.0]),
        (5.0, -1.0, 2.0, [6.0, 11.0]),
        (2.5, -2.5, 0.0, [0.0, 2.5, 5.0, 7.5, 10.0]),
        (5.0, -6.0, 0.0, [4.0, 9.0]),
        (0.5, -0.5, 11.0, [11.0, 11.5]),
    ],
)
def test_negative_offsets_count_from_the_end_of_a_period(period, offset, wait, expected):
    network, _ = counter(dt=0.5)
    calls = []
    network.every(period, offset, wait)(lambda number: calls.append((number, network.time)))
    network.simulate(12.0)
    assert calls == list(enumerate(expected))


def test_what_callbacks_assign_is_seen_by_the_next_step():
    network = ws.Network()
    pre = network.create(3)
    post = network.create(3, ws.Neuron(parameters="gain = 1.0 : population", equations="r = gain*sum(exc)"))
    projection = ws.Convolution(pre, post, "exc").connect_filter([1.0])
    network.compile()
    seen = []

    @network.every(1.0)
    def change(number):
        seen.append(post.r[0])
        pre.r = number + 1.0
        projection.weights = [10.0**number]
        post.gain = 2.0

    network.simulate(4.0)
    np.testing.assert_array_equal(seen, [0, 2, 40, 600])


def test_callbacks_can_be_switched_off_and_their_errors_leave_a_consistent_state():
    network, population = counter()
    calls = []

    @network.every(2.0)
    def note(number):
        calls.append(number)
        if number == 3:
            raise RuntimeError("enough")

    network.disable_callbacks()
    network.simulate(2.0)
    assert calls == []
    network.enable_callbacks()
    with pytest.raises(RuntimeError, match="enough"):
        network.simulate(10.0)
    assert calls == [1, 2, 3] and network.time == 6.0 and population.r[0] == 6.0
    network.clear_all_callbacks()
    network.simulate(4.0)
    assert calls == [1, 2, 3] and population.r[0] == 10.0


def test_callbacks_of_the_default_network():
    ws.clear()
    population = ws.Population(2, COUNTER)
    calls = []
    ws.every(3.0)(calls.append)
    ws.compile()
    ws.simulate(7.0)
    assert calls == [0, 1, 2] and population.r[0] == 7.0
    ws.disable_callbacks()
    ws.simulate(3.0)
    ws.enable_callbacks()
    ws.clear_all_callbacks()
    ws.simulate(3.0)
    assert calls == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0.0,), ValueError),
        ((-1.0,), ValueError),
        ((0.3,), ValueError),
        (("1",), TypeError),
        ((1.0, -0.5), ValueError),
        ((1.0, 0.5), ValueError),
        ((1.0, 0.0, -2.0), ValueError),
        ((1.0, np.nan), ValueError),
    ],
)
def test_bad_periods(arguments, error):
    network, _population = counter()
    with pytest.raises(error):
        network.every(*arguments)
    with pytest.raises(TypeError, match="function"):
        network.every(1.0)(3)


def test_progress_bar(capsys):
    network, population = counter()
    network.simulate(50_000.0, progress=True)
    assert population.r[0] == 50_000.0
    assert "50000/50000" in capsys.readouterr().err.replace(",", "")


# --- NaN ---------------------------------------------------------------------------------------------------

GROWING = ws.Neuron(equations="v = v*10 : init=1.0\nr = 1.0")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_value_that_is_not_finite_is_named(backend):
    network = ws.Network(backend=backend, check_finite=True)
    network.create(3, COUNTER, name="fine")
    population = network.create((2, 3), GROWING, name="growing")
    population.v = [[0, 0, 0], [0, 1, 0]]
    network.compile()
    with pytest.raises(FloatingPointError, match=r"'growing'.*v is inf at unit \(1, 1\) after step 39 "):
        network.simulate(100.0)
    assert population.v[1, 1] == np.inf
    if backend in ON_GPU:  # which finds it some steps later
        assert 39 <= network.time <= 100
    else:
        assert network.time == 39


def test_values_are_not_looked_at_unless_asked_to():
    network = ws.Network()
    population = network.create(3, GROWING)
    network.compile()
    network.simulate(100.0)
    assert (population.v == np.inf).all()
    with pytest.raises(TypeError, match="check_finite"):
        ws.Network(check_finite="yes")


def test_a_trial_that_is_not_finite_is_named():
    network = ws.Network(check_finite=True, batch=3)
    population = network.create(2, COUNTER)
    population.r = [[0, 0], [0, np.nan], [0, 0]]
    network.compile()
    with pytest.raises(FloatingPointError, match=r"r is nan at unit \(1,\) of trial 1 after step 1 "):
        network.simulate(5.0)


# --- States ------------------------------------------------------------------------------------------------


def noisy(**settings):
    network = ws.Network(seed=2, **settings)
    pre = network.create((3, 4), ws.Neuron(equations="r += Uniform(-1, 1)"))
    post = network.create((3, 4), ws.Neuron(equations="v = 0.5*v + sum(exc)\nr = v"))
    ws.PointwiseProjection(pre, post, "exc", delays=3.0)
    network.compile()
    return network, post


@pytest.mark.parametrize("update", ["synchronous", "feedforward"])
def test_a_pushed_state_is_a_copy(update):
    network, post = noisy(update=update)
    network.simulate(5.0)
    network.push_state()
    network.push_state()
    network.simulate(6.0)
    after = post.r
    network.pop_state()
    assert network.time == 5.0
    network.simulate(6.0)
    np.testing.assert_array_equal(post.r, after)
    network.pop_state()
    network.simulate(6.0)
    np.testing.assert_array_equal(post.r, after)
    with pytest.raises(ws.StateError, match="no state"):
        network.pop_state()


def test_states_of_another_compile_are_gone():
    network, _post = noisy()
    network.push_state()
    network.compile()
    with pytest.raises(ws.StateError):
        network.pop_state()


@pytest.mark.parametrize("batch", [None, 2])
def test_reset_starts_over(batch):
    network, post = noisy(batch=batch)
    network.simulate(7.0)
    first = post.r
    network.reset()
    assert network.time == 0.0 and (post.r == 0).all()
    network.simulate(7.0)
    np.testing.assert_array_equal(post.r, first)


def test_bad_settings():
    for arguments, error, match in (
        ({"batch": 0}, ValueError, "batch"),
        ({"batch": 1.5}, TypeError, "batch"),
        ({"first_trial": -1}, ValueError, "first_trial"),
        ({"update": "random"}, ValueError, "update"),
    ):
        with pytest.raises(error, match=match):
            ws.Network(**arguments)


def test_callbacks_follow_a_later_choice_of_dt():
    ws.clear()
    calls = []
    ws.every(2.0)(lambda number: calls.append(number))
    ws.setup(dt=0.5)
    population = ws.Population(2, COUNTER)
    ws.compile()
    ws.simulate(5.0)
    assert calls == [0, 1, 2] and population.r[0] == 10.0
    ws.clear()


def test_callbacks_cannot_start_over():
    network, _population = counter()
    network.push_state()
    for number, action in enumerate((network.reset, network.compile, network.pop_state, network.step)):
        network.clear_all_callbacks()
        network.every(1.0)(lambda _, action=action: action())
        with pytest.raises(ws.StateError, match="run is under way"):
            network.simulate(1.0)
        assert network.time == 0.0, number


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_are_not_finite_are_data(backend, dtype):
    network = ws.Network(dtype=dtype, backend=backend)
    pre, root = network.create(5), ws.Neuron(equations="v = sum(exc)^0.5; r = sum(inh)")
    post = network.create(5, root)
    ws.Projection(pre, post, "exc").connect_one_to_one(1.0)
    for weight in (1.0, -1.0):
        ws.Projection(pre, post, "inh").connect_one_to_one(weight)
    pre.r = [-np.inf, -0.0, 4.0, -1.0, np.inf]
    network.compile()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.step()
    assert repr(post.v.tolist()) == "[inf, 0.0, 2.0, nan, inf]"
    assert repr(post.r.tolist()) == "[nan, 0.0, 0.0, 0.0, nan]"
