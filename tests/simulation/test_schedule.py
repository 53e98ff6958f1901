"""The list of a step, item by item, on every backend: what networks are made of, without networks."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import emulated
from strategies.processes import run_python
from weightsharing.backends.device_modules import why_not_cuda
from weightsharing.backends.making import make_runner
from weightsharing.backends.targets import Target
from weightsharing.description.schedule import (
    CheckFinite,
    Combine,
    FillHistory,
    Frames,
    GatherHistory,
    NotFinite,
    PushHistory,
    Recording,
    Schedule,
    SetInput,
    Update,
)

cuda = pytest.mark.skipif(bool(why_not_cuda()), reason=f"CUDA cannot be used here: {why_not_cuda()}")


def runner_of(backend, *steps, dtype=np.float64, seed=3, first_trial=0, dt=0.5):
    return make_runner(Schedule(tuple(steps), dtype, dt, seed, first_trial), Target(backend))


def counting(batch=2, units=6, dtype=np.float64):
    """r = r + 1, from rates that tell units and trials apart."""
    rates = np.arange(batch * units, dtype=dtype).reshape(batch, units) * 100
    return rates, Update(ws.Neuron(equations="r = r + 1"), {"r": rates}, 0)


def test_frames_between_runs(backend):
    """What is shown changes from run to run; once or again and again, one frame for all trials or each its own."""
    rates = np.zeros((2, 3))
    shown = Frames()
    seen = np.zeros((30, 2, 3))
    runner = runner_of(backend, SetInput(shown, rates))

    def run(first, steps):
        runner.run(first, steps, [Recording(rates, None, seen, 0, 1)])
        assert runner.done == steps

    run(0, 2)
    shown.frames = np.arange(9.0).reshape(3, 3) + 1
    shown.starts = np.array([0, 1, 4], dtype=np.int64)
    shown.origin = 3
    run(2, 5)
    run(7, 3)
    shown.frames = -np.arange(12.0).reshape(2, 2, 3)
    shown.starts, shown.period, shown.origin = np.array([1, 2], dtype=np.int64), 4, 8
    for first, steps in ((10, 1), (11, 7), (18, 2), (20, 10)):
        run(first, steps)
    expected, now = np.zeros((30, 2, 3)), np.zeros((2, 3))
    first_movie, second_movie = np.arange(9.0).reshape(3, 3) + 1, -np.arange(12.0).reshape(2, 2, 3)
    for step in range(30):
        if step < 10 and step - 3 in (0, 1, 4):
            now = np.broadcast_to(first_movie[[0, 1, 4].index(step - 3)], (2, 3))
        if step >= 10 and (step - 8) % 4 in (1, 2):
            now = second_movie[(step - 8) % 4 - 1]
        expected[step] = now
    np.testing.assert_array_equal(seen, expected)


def test_records(backend):
    """Rows of all units and of some, with a period, over several runs; rows outside the record are not written."""
    rates, update = counting()
    start = rates.copy()
    every, some = np.full((12, 2, 6), -1.0), np.full((3, 2, 2), -1.0)
    ranks = np.array([5, 1], dtype=np.int64)
    runner = runner_of(backend, update)
    recordings = [Recording(rates, None, every, 2, 1), Recording(rates, ranks, some, 3, 4)]
    for first, steps in ((0, 5), (5, 1), (6, 40)):
        runner.run(first, steps, recordings)
    for row in range(12):
        np.testing.assert_array_equal(every[row], start + row + 3)
    for row in range(3):
        np.testing.assert_array_equal(some[row], start[:, ranks] + 4 + 4 * row)
    before = every.copy()
    runner.run(46, 3)
    np.testing.assert_array_equal(every, before)
    runner.fetch(rates)
    np.testing.assert_array_equal(rates, start + 49)


@pytest.mark.parametrize("operation", ["sum", "max", "min"])
def test_combine_and_gather(backend, operation):
    rates, update = counting()
    history = np.full((4, 2, 6), -7.0)
    delayed, total = np.zeros_like(rates), np.full_like(rates, 2.0)
    total[0, 0] = np.nan
    delays = np.array([0, 1, 2, 3, 4, 2], dtype=np.int32)
    start = rates.copy()
    runner = runner_of(
        backend,
        GatherHistory(rates, history, delays, delayed),
        Combine(delayed, total, operation, 4.0),
        update,
        PushHistory(rates, history),
    )
    runner.run(0, 6)
    for array in (delayed, total):
        runner.fetch(array)
    expected = np.full_like(rates, 2.0)
    expected[0, 0] = np.nan
    for step in range(6):
        # In step s the rates are start + s, and at the end of step s - d they were start + s - d + 1.
        past = np.where(delays == 0, start + step, start + step - delays + 1)
        past = np.where(delays > step, -7.0, past)
        change = {"sum": lambda a, b: a + b / 4.0, "max": np.maximum, "min": np.minimum}[operation]
        expected = change(expected, past)
    np.testing.assert_array_equal(delayed, past)
    np.testing.assert_array_equal(total, expected)


def test_history_of_the_first_frame(backend):
    rates, update = counting()
    history = np.zeros((3, 2, 6))
    runner = runner_of(backend, FillHistory(rates, history), update, PushHistory(rates, history))
    start = rates.copy()
    runner.run(0, 1)
    runner.fetch(history)
    np.testing.assert_array_equal(history, np.stack([start + 1, start, start]))
    runner.run(1, 1)
    runner.fetch(history)
    np.testing.assert_array_equal(history, np.stack([start + 1, start + 2, start]))
    runner.run(0, 1)  # as after a reset
    runner.fetch(history)
    np.testing.assert_array_equal(history, np.stack([start + 3, start + 2, start + 2]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operands_with_a_period(backend, dtype):
    """One value for each unit, for each filter, for all."""
    generator = np.random.default_rng(0)
    shapes = {"r": (2, 4, 5, 3), "a": (2, 1, 1, 3), "b": (2, 1, 1, 1)}
    arrays = {name: generator.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    neuron = ws.Neuron(parameters="a = 0.0\nb = 0.0 : population", equations="r = r + a + 10*b*t")
    expected = arrays["r"].copy()
    for step in range(3):
        expected = expected + arrays["a"] + dtype(10) * arrays["b"] * dtype(0.5 * step)
    runner = runner_of(backend, Update(neuron, arrays, 0), dtype=dtype)
    runner.run(0, 3)
    runner.fetch(arrays["r"])
    np.testing.assert_allclose(arrays["r"], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0, 2**40])
def test_noise_is_the_same_everywhere(backend, dtype, first):
    """Uniform numbers bit for bit, normal ones to a few roundings; trial b of the batch is trial first_trial + b."""
    neuron = ws.Neuron(equations="u = Uniform(0.0, 1.0)\nr = Normal(0.0, 1.0)")
    drawn = {}
    for name in ("reference", backend):
        arrays = {"r": np.zeros((3, 7, 9), dtype), "u": np.zeros((3, 7, 9), dtype)}
        runner = runner_of(name, Update(neuron, arrays, 5), dtype=dtype, seed=2**63 + 9, first_trial=4)
        runner.run(first, 2)
        for array in arrays.values():
            runner.fetch(array)
        drawn[name] = arrays
    np.testing.assert_array_equal(drawn[backend]["u"], drawn["reference"]["u"])
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(drawn[backend]["r"], drawn["reference"]["r"], rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize(("value", "after"), [("log(-1.0)", 4), ("1/(r - r)", 4), ("-1/(r - r)", 57)])
def test_the_first_value_that_is_not_finite(backend, value, after):
    """Which step, array and element it was, also where a device goes on and the value is finite again."""
    rates = np.ones((2, 6))
    other = np.ones((2, 6))
    equations = f"r = ({value} if (t == {after - 1}) and (which > 2.5) else 1.0)"
    neuron = ws.Neuron(parameters="which = 0.0", equations=equations)
    which = np.zeros((2, 6))
    which[1, 3:] = 3.0
    checks = CheckFinite(other, "a", "x"), CheckFinite(rates, "b", "r")
    runner = runner_of(backend, Update(neuron, {"r": rates, "which": which}, 0), *checks, dt=1.0)
    runner.run(0, 2)
    with pytest.raises(NotFinite) as caught:
        runner.run(2, 500)
    found = caught.value
    assert found.check is checks[1] and found.element == 9 and found.steps == after - 2
    assert found.steps <= runner.done <= 500
    expected = {"l": np.nan, "1": np.inf, "-": -np.inf}[value[0]]
    np.testing.assert_equal(found.value, expected)
    runner.run(600, 2)
    assert runner.done == 2


def test_interrupted_runs(backend):
    """Ctrl-C ends a run between two steps; the steps done are those that the arrays have seen."""
    rates, update = counting(1, 3)
    rows = np.zeros((10, 1, 3))
    runner = runner_of(backend, update)
    for step in range(60):  # short runs say nothing of how long the steps are
        runner.run(step, 1)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        runner.run(60, 2**50, [Recording(rates, None, rows, 65, 1)])
    assert time.perf_counter() - start < 20
    timer.join()
    assert 10 < runner.done < 2**50
    runner.fetch(rates)
    np.testing.assert_array_equal(rates[0], runner.done + 60 + np.arange(3) * 100)
    np.testing.assert_array_equal(rows[:, 0, 0], np.arange(10) + 66)


def chain(layers, size=64):
    """As the benchmark of small networks, compiled for CUDA."""
    with ws.Network(backend="cuda") as network:
        populations = [ws.Population((size, size), ws.Neuron(equations="r = 0.9*r + sum(exc)"))]
        for _ in range(layers - 1):
            populations.append(ws.Population((size, size), ws.Neuron(equations="r = sum(exc)")))
            ws.Convolution(populations[-2], populations[-1], "exc").connect_filter(np.full((3, 3), 0.1))
        ws.Convolution(populations[-1], populations[0], "exc").connect_filter(np.full((3, 3), 0.1))
    network.compile()
    return network, populations


@cuda
def test_launches_of_small_networks():
    """All projections side by side, then all updates; the counter costs nothing. With a record one more."""
    network, _ = chain(5)
    schedule = network._assembly.context.storage.runner
    assert schedule.launches() == ["level<float>"] * 2
    assert schedule.launches(recording=True) == ["level<float>"] * 3


@cuda
@pytest.mark.parametrize(
    ("options", "update", "launches"),
    [
        # The threads of an update keep the history and look for NaN as well.
        ({"delays": 3.0}, "synchronous", 2),
        # Eight filters that look back 0 to 7 steps, one after the other by the same threads.
        ({"time_axis": True}, "synchronous", 2),
        # A sum that is cleared begins a chain of its own.
        ({"time_axis": True, "operation": "max"}, "synchronous", 3),
        # A launch for each layer.
        ({}, "feedforward", 2),
    ],
)
def test_threads_go_on_with_what_they_have_left(options, update, launches):
    states = []
    for backend in ("cuda", "cpu"):
        with ws.Network(backend=backend, update=update, check_finite=True, dtype="float64") as network:
            layers = [ws.Population((9, 9))]
            weights = np.random.default_rng(0).normal(size=(8, 3, 3) if "time_axis" in options else (3, 3))
            for _ in range(2):
                layers.append(ws.Population((9, 9), ws.Neuron(equations="r = tanh(sum(exc))")))
                operation = options.get("operation", "sum")
                join = ws.Convolution(layers[-2], layers[-1], "exc", operation=operation).connect_filter
                join(weights, **{name: value for name, value in options.items() if name != "operation"})
        layers[0].r = np.random.default_rng(1).normal(size=(9, 9))
        network.compile()
        if backend == "cuda":
            assert len(network._assembly.context.storage.runner.launches()) == launches
        network.simulate(40.0)
        states.append(np.stack([layer.r for layer in layers]))
    np.testing.assert_allclose(*states, rtol=1e-11, atol=1e-11)


@cuda
def test_large_work_keeps_its_kernels():
    network, _ = chain(2, 300)
    names = network._assembly.context.storage.runner.launches()
    assert names == ["window_tile<float, 3, 3, sum>"] * 2 + ["update<float>"] * 2 + ["advance"]


@cuda
def test_launches_of_a_mixed_network():
    """Large and small work in one step: the order follows what needs what, and the results are the CPU's."""
    results = []
    for backend in ("cuda", "cpu"):
        with ws.Network(backend=backend, dtype="float64") as network:
            image, small = (
                ws.Population((300, 300)),
                ws.Population((3, 3), ws.Neuron(equations="r = sum(exc)")),
            )
            large = ws.Population((300, 300), ws.Neuron(equations="r = sum(exc) - 0.1*sum(inh)"))
            ws.Convolution(image, large, "exc").connect_filter(np.full((3, 3), 0.1), delays=3.0)
            ws.Pooling(large, small, "exc", operation="mean").connect_pooling(delays=2.0)
            ws.Projection(small, small, "exc").connect_all_to_all(0.01)
        image.r = np.random.default_rng(0).normal(size=(300, 300))
        network.compile()
        network.simulate(9.0)
        results.append((large.r, small.r))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@emulated
@pytest.mark.parametrize("period", [0, 150])
def test_movies_and_records_beyond_the_device_memory(period):
    """A run whose frames and rows do not fit is done in parts, with the same result."""
    done = run_python(
        f"""
        import numpy as np
        from weightsharing.backends.making import make_runner
        from weightsharing.backends.targets import Target
        from weightsharing.description.schedule import Frames, Recording, Schedule, SetInput

        period = {period}
        rates, shown, rows = np.zeros((1, 100)), Frames(), np.zeros((200, 1, 100))
        runner = make_runner(Schedule((SetInput(shown, rates),), np.float64, 1.0, 0), Target("cuda"))
        shown.frames = np.random.default_rng(0).normal(size=(150, 100))
        shown.starts, shown.period = np.arange(150), period
        runner.run(0, 220, [Recording(rates, None, rows, 5, 1)])
        place = np.arange(5, 205) % 150 if period else np.minimum(np.arange(5, 205), 149)
        np.testing.assert_array_equal(rows[:, 0], shown.frames[place])
        print(runner.done)
        """,
        WEIGHTSHARING_EMULATION_MEMORY="60000",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "220\n"
