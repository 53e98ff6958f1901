"""What stands before the first step, against arrays that convis produced and in both orders of update."""

import json

import numpy as np
import pytest

import weightsharing as ws
from strategies.folders import ORACLE
from strategies.neurons import LINEAR


def load(path):
    """The arrays of a case and its description, movies as (time, x, y)."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    case = json.loads(str(arrays.pop("params")))
    for name in ("input", "output"):
        assert arrays[name].shape[:2] == (1, 1)
        arrays[name] = arrays[name][0, 0]
    return arrays, case


def lags(geometry, count, delay, history, backend):
    """A network, and a population whose last axis holds the movie of 0, 1, ..., `count` steps before `delay`."""
    net = ws.Network(update="feedforward")
    movie, out = ws.MoviePopulation(geometry, network=net), net.create((*geometry, count + 1), LINEAR)
    weights = np.eye(count + 1).reshape(count + 1, count + 1, 1, 1)
    ws.Convolution(movie, out, "exc").connect_filters(
        weights, delays=float(delay), time_axis=True, history=history
    )
    net.compile(backend)
    return net, out


@pytest.mark.parametrize(
    "path",
    sorted(file for kind in ("timepadding", "delay") for file in (ORACLE / "convis").glob(f"{kind}_*.npz")),
    ids=lambda path: path.stem,
)
def test_time_padding_and_delays_of_convis(path, backend):
    arrays, case = load(path)
    length, delay = case["constructor"]["length"], case["constructor"].get("delay", 0)
    # convis's Delay begins with zeros, its TimePadding as it is told.
    history = case.get("attributes", {}).get("mode", "zeros")
    net, out = lags(arrays["input"].shape[1:], length, delay, history, backend)
    ends = np.cumsum(case["chunks"])
    padded = []
    for chunk in np.split(arrays["input"], ends[:-1]):
        seen = net.run(chunk, output=out)
        padded += [*np.moveaxis(seen[0], -1, 0)[:0:-1], *seen[..., 0]]
        for lag in range(length + 1):
            np.testing.assert_array_equal(seen[..., lag], np.array(padded[-len(chunk) - lag :])[: len(chunk)])
    np.testing.assert_allclose(padded, arrays["output"], **case["tolerance"])


def test_diff_of_convis(backend):
    arrays, case = load(ORACLE / "convis" / "diff.npz")
    geometry = arrays["input"].shape[1:]
    net = ws.Network(update="feedforward")
    movie, out = ws.MoviePopulation(geometry, network=net), net.create(geometry, LINEAR)
    ws.Convolution(movie, out, "exc").connect_filter(
        np.array([1.0, -1.0]).reshape(2, 1, 1), time_axis=True, history="first_frame"
    )
    net.compile(backend)
    results = [
        net.run(chunk, output=out) for chunk in np.split(arrays["input"], np.cumsum(case["chunks"])[:-1])
    ]
    np.testing.assert_allclose(np.concatenate(results), arrays["output"], **case["tolerance"])


@pytest.mark.parametrize("name", ["conv3d_history_zeros", "conv3d_history_mirror"])
def test_histories_of_filters_of_convis(name, backend):
    arrays, case = load(ORACLE / "convis" / f"{name}.npz")
    geometry = arrays["input"].shape[1:]
    net = ws.Network(update="feedforward")
    movie, out = ws.MoviePopulation(geometry, network=net), net.create(geometry, LINEAR)
    weights = arrays["weight_stored"][0, 0][::-1]  # oldest step first there
    ws.Convolution(movie, out, "exc").connect_filter(
        weights, padding="border", time_axis=True, history=case["attributes"]["time_pad.mode"]
    )
    net.compile(backend)
    results = [
        net.run(chunk, output=out) for chunk in np.split(arrays["input"], np.cumsum(case["chunks"])[:-1])
    ]
    np.testing.assert_allclose(np.concatenate(results), arrays["output"], **case["tolerance"])


# --- Both orders, delays and the moment that is kept ---

MOVIE = np.arange(1.0, 9.0)[:, np.newaxis]


@pytest.mark.parametrize("update", ["synchronous", "feedforward"])
@pytest.mark.parametrize("delay", [0, 1, 2, 4])
@pytest.mark.parametrize("taps", [None, 1, 3])
@pytest.mark.parametrize(
    "history", ["zeros", "ones", "first_frame", "mean", "mirror", "full_copy", [-1.0], -np.arange(1.0, 9.0)]
)
def test_what_comes_before_the_first_step(update, delay, taps, history, backend):
    net = ws.Network(update=update, dtype="float64")
    movie, out = ws.MoviePopulation(1, network=net), net.create(1, LINEAR)
    weights = [1.0] if taps is None else np.array([1.0, 10.0, 100.0])[:taps, np.newaxis]
    given = np.array(history)[:, np.newaxis] if isinstance(history, np.ndarray) else history
    ws.Convolution(movie, out, "exc").connect_filter(
        weights, delays=float(delay), time_axis=taps is not None, history=given
    )
    net.compile(backend)
    before = {
        "zeros": np.zeros(8),
        "ones": np.ones(8),
        "first_frame": np.full(8, MOVIE[0]),
        "mean": np.full(8, MOVIE.mean()),
        "mirror": MOVIE[::-1, 0],
        "full_copy": MOVIE[:, 0],
    }
    past = before[history] if isinstance(history, str) else np.broadcast_to(np.asarray(history), 8)
    past = np.concatenate([past, MOVIE[:, 0]])
    # In a synchronous network up to one step is no extra delay: a movie is read in the step it is set in.
    steps = 0 if update == "synchronous" and delay == 1 else delay
    expected = [
        sum(10.0**tau * past[8 + step - steps - tau] for tau in range(taps or 1)) for step in range(8)
    ]
    np.testing.assert_allclose(net.run(MOVIE, output=out)[:, 0], expected, rtol=1e-14)
    net.reset()
    np.testing.assert_allclose(net.run(MOVIE, output=out)[:, 0], expected, rtol=1e-14)


def test_a_synchronous_time_axis_reads_what_was_assigned_between_steps(backend):
    net = ws.Network(dtype="float64")
    pre, out = net.create(1), net.create(1, LINEAR)
    ws.Convolution(pre, out, "exc").connect_filter([[1.0], [10.0], [100.0]], time_axis=True)
    net.compile(backend)
    seen = []
    for rate in (1.0, 2.0, 3.0):
        pre.r = rate
        net.step()
        seen.append(out.r.item())
    assert seen == [1.0, 12.0, 123.0]


def test_recurrent_time_axes_of_a_synchronous_network(backend):
    net = ws.Network(dtype="float64")
    one = net.create(1, ws.Neuron(equations="r = sum(exc) + 1"))
    ws.Convolution(one, one, "exc").connect_filter([[1.0], [-2.0]], time_axis=True, history="ones")
    net.compile(backend)
    rates = [1.0, 0.0]  # before the start, and when it starts
    for _ in range(6):
        net.step()
        rates.append(1.0 + rates[-1] - 2.0 * rates[-2])
        assert one.r.item() == rates[-1]


def test_mean_is_that_of_each_trial(backend):
    shown = np.random.default_rng(1).random((5, 2, 3)).astype(np.float32)
    net = ws.Network(batch=2, update="feedforward")
    movie, out = ws.MoviePopulation(3, network=net), net.create(3, LINEAR)
    ws.Convolution(movie, out, "exc").connect_filter([1.0], delays=1.0, history="mean")
    net.compile(backend)
    first = net.run(shown, output=out)[0]
    expected = np.broadcast_to(shown.mean(axis=(0, 2))[:, np.newaxis], (2, 3))
    np.testing.assert_allclose(first, expected, rtol=1e-6)
    net.reset()
    np.testing.assert_allclose(net.run(shown[:, 1], output=out)[0], shown[:, 1].mean(), rtol=1e-6)


@pytest.mark.parametrize("history", ["mean", "mirror", "full_copy"])
def test_movies_may_be_data_that_is_not_finite(history, backend):
    net = ws.Network(update="feedforward")
    movie, out = ws.MoviePopulation(1, network=net), net.create(1, LINEAR)
    ws.Convolution(movie, out, "exc").connect_filter([1.0], delays=1.0, history=history)
    net.compile(backend)
    result = net.run([[np.nan], [2.0]], output=out).ravel()
    np.testing.assert_array_equal(result, [2.0 if history == "full_copy" else np.nan, np.nan])
