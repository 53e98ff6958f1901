"""Monitors: which steps, which units, which shapes; runs cut anywhere; memory."""

import copy
import gc
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS, ON_GPU
from weightsharing.checks import memory
from weightsharing.simulation import tracks

NOISY = ws.Neuron(
    parameters="gain = 1.0 : population\noffset = 0.5\nbias = 0.1 : filter",
    equations="mp = 0.5*mp + sum(exc) + offset + bias + 0.1*Normal(0, 1)\nmean = t : population\nr = gain*mp",
)


def build(batch=None, geometry=(3, 4)):
    network = ws.Network(seed=5, batch=batch)
    source = network.create(geometry)
    units = network.create(geometry, NOISY, name="units")
    weights = np.ones((3,) * len(geometry)) / 9
    ws.Convolution(source, units, "exc").connect_filter(weights)
    source.r = ws.Uniform(0, 1)
    return network, units


@given(
    name=st.sampled_from(BACKENDS),
    batch=st.sampled_from((None, 1, 3)),
    cuts=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    period=st.integers(1, 6),
    offset=st.integers(0, 5),
    index=st.sampled_from((None, slice(None), (slice(0, 2), slice(1, 4)), (1, 2), [7, 0, 3], slice(0, 0))),
    made=st.sampled_from(("before", "after", "during")),
)
def test_what_is_recorded_is_what_is_read_after_each_step(name, batch, cuts, period, offset, index, made):
    offset %= period
    variables = ["r", "mp", "sum(exc)", "offset", "gain", "mean", "bias"]

    def record(network, units):
        obj = units if index is None else units[index]
        return network.monitor(obj, variables, period=float(period), period_offset=float(offset))

    network, units = build(batch)
    first = 3 if made == "during" else 0
    if made == "before":
        monitor = record(network, units)
    network.compile(name)
    if made == "after":
        monitor = record(network, units)
    network.simulate(first)
    if made == "during":
        monitor = record(network, units)
    for steps in cuts:
        network.simulate(steps)
    found = monitor.get()

    network, units = build(batch)
    network.compile(name)
    network.simulate(first)
    expected = {variable: [] for variable in variables}
    for step in range(first, first + sum(cuts)):
        network.step()
        if (step - first) % period == offset:
            obj = units if index is None else units[index]
            for variable in variables:
                expected[variable].append(obj.sum("exc") if "sum" in variable else obj.get(variable))
    outer = () if batch is None else (batch,)
    shapes = {"gain": (), "mean": (), "bias": (4,)}
    view = units.geometry if index is None else units[index].geometry
    assert list(found) == variables
    for variable, rows in expected.items():
        shape = (len(rows), *outer, *shapes.get(variable, view))
        assert found[variable].shape == shape and found[variable].dtype == np.float32
        np.testing.assert_array_equal(found[variable], np.array(rows, dtype=np.float32).reshape(shape))


@given(
    st.lists(
        st.tuples(st.sampled_from(("run", "pause", "resume", "keep", "get")), st.integers(0, 5)), max_size=12
    )
)
def test_pauses_and_takings_cut_one_recording(actions):
    network, units = build()
    whole, parts = network.monitor(units, "r"), network.monitor(units, "r", period=2.0)
    network.compile()
    recording, steps, taken, kept, done = True, [], [], [], 0
    for action, number in actions:
        if action == "run":
            network.simulate(number)
            if recording:
                steps += [step for step in range(done, done + number) if step % 2 == 0]
            done += number
        elif action in ("pause", "resume"):
            getattr(parts, action)()
            recording = action == "resume"
        elif action == "keep":
            kept = parts.get("r", keep=True)
            assert not (kept.size and kept.flags.writeable)
        else:
            taken.append(parts.get("r"))
            kept = []
    last = parts["r"]
    assert len(last) >= len(kept)
    taken.append(last)
    np.testing.assert_array_equal(np.concatenate(taken), whole.get("r")[steps])


def test_times_are_those_of_the_last_taking():
    network, units = build()
    network.compile()
    network.simulate(2)
    monitor = network.monitor(units, ["r", "mp"], start=False)
    network.simulate(3)
    monitor.start("r")
    assert monitor.times() == {"r": {"start": [], "stop": []}, "mp": {"start": [], "stop": []}}
    network.simulate(4)
    network.simulate(1)
    monitor.pause()
    network.simulate(5)
    monitor.resume()
    network.simulate(2)
    assert monitor.times("r") == {"r": {"start": [5, 15], "stop": [10, 17]}}
    assert monitor.get("r").shape == (7, 3, 4)
    network.simulate(1)
    assert monitor.times()["r"] == {"start": [5, 15], "stop": [10, 17]}
    assert monitor.times()["mp"] == {"start": [15], "stop": [18]}
    assert monitor.get("mp").shape == (3, 3, 4) and monitor.get("r").shape == (1, 3, 4)
    assert monitor.times("r") == {"r": {"start": [17], "stop": [18]}}


def test_shapes_of_get():
    network, units = build(batch=2)
    monitor = ws.Monitor(units, ["r", "gain"])
    network.compile()
    assert monitor.get("r").shape == (0, 2, 3, 4) and monitor.get("r", reshape=False).shape == (0, 2, 12)
    network.simulate(3)
    assert list(monitor.get(keep=True)) == ["r", "gain"]
    assert list(monitor.get("r", keep=True, force_dict=True)) == ["r"]
    assert isinstance(monitor.get(["r"], keep=True), np.ndarray)
    assert monitor.get("r", keep=True, reshape=False).shape == (3, 2, 12)
    assert monitor.size_in_bytes == 3 * 2 * (12 + 1) * 4
    first = monitor["r"]
    assert first.flags.writeable and len(first) == 3 and len(monitor["r"]) == 0
    assert monitor.size_in_bytes == 3 * 2 * 4
    network.simulate(1)
    network.simulate(1)
    assert monitor.get("r", reshape=False).shape == (2, 2, 12)
    assert monitor.name == "Monitor_units" and monitor.object is units
    assert (monitor.period, monitor.period_offset, monitor.variables) == (1.0, 0.0, ["r", "gain"])
    assert "units" in repr(monitor)


def test_rows_of_one_run_are_not_copied():
    network, units = build()
    monitor = network.monitor(units, "r")
    network.compile()
    network.simulate(3)
    kept = monitor.get("r", keep=True)
    assert np.shares_memory(kept, monitor.get("r"))


def test_the_default_network_and_networks_entered():
    ws.setup(dt=0.5)
    pop = ws.Population(2, ws.Neuron(equations="r = t"))
    monitor = ws.Monitor(pop, "r", period=1.0, period_offset=0.5)
    ws.compile()
    ws.simulate(3.0)
    assert monitor["r"][:, 0].tolist() == [0.5, 1.5, 2.5]
    with ws.Network() as network:
        pop = ws.Population(2, ws.Neuron(equations="r = t"))
        monitor = ws.Monitor(pop[1], "r")
    network.compile()
    network.simulate(2)
    assert monitor["r"].tolist() == [0, 1]


def test_a_population_takes_its_monitors_to_another_network():
    pop = ws.Population(2, ws.Neuron(equations="r = t"))
    monitor = ws.Monitor(pop, "r")
    network = ws.Network()
    network.create(pop)
    network.compile()
    network.simulate(2)
    assert monitor["r"][:, 0].tolist() == [0, 1]


def test_a_new_period_counts_from_now():
    network = ws.Network()
    clock = network.create(1, ws.Neuron(equations="r = t"))
    monitor = network.monitor(clock, "r", period=4.0, period_offset=1.0)
    network.compile()
    network.simulate(7)
    monitor.start(period=3.0)
    with pytest.raises(ValueError, match="period_offset"):
        monitor.start(period=1.0)
    network.simulate(7)
    assert monitor["r"].ravel().tolist() == [1, 5, 8, 11]
    assert monitor.period == 3.0


def test_reset_and_compile_empty_monitors(backend):
    network, units = build()
    network.compile(backend)
    network.simulate(2)
    monitor = network.monitor(units, "r", period=5.0)
    network.simulate(6)
    assert len(monitor.get("r", keep=True)) == 2
    for start_over in (network.reset, lambda: network.compile(backend)):
        start_over()
        assert monitor.get("r", keep=True).shape == (0, 3, 4)
        assert monitor.times() == {"r": {"start": [], "stop": []}}
        network.simulate(6)
        assert len(monitor.get("r", keep=True)) == 2
        assert monitor.times("r") == {"r": {"start": [0], "stop": [6]}}


def test_stop_forgets():
    network, units = build()
    monitor = network.monitor(units, ["r", "mp"])
    network.compile()
    network.simulate(2)
    monitor.stop()
    network.simulate(2)
    assert monitor.variables == [] and monitor.get() == {} and monitor.size_in_bytes == 0
    with pytest.raises(ValueError, match="'r' is not recorded"):
        monitor.get("r")
    monitor.start("mp")
    network.simulate(2)
    assert monitor.get("mp").shape == (2, 3, 4)


def test_a_monitor_that_nobody_holds_is_gone():
    network, units = build()
    monitor = network.monitor(units, "r")
    network.compile()
    network.simulate(2)
    assert len(network._assembly.keepers) == 1
    del monitor
    gc.collect()
    assert len(network._assembly.keepers) == 0
    network.simulate(2)


def test_callbacks_may_change_monitors(backend):
    network = ws.Network()
    clock = network.create(1, ws.Neuron(equations="r = t"))
    monitor, whole = network.monitor(clock, "r", period=2.0), network.monitor(clock, "r")
    late, taken = [], []

    @network.every(5.0, offset=5.0)
    def change(call):
        if call == 0:
            taken.append(monitor["r"].ravel().tolist())
            assert monitor.times("r") == {"r": {"start": [0], "stop": [5]}}
            late.append(network.monitor(clock, "r", period=4.0))
        elif call == 1:
            assert monitor.size_in_bytes == 2 * 4
            monitor.pause()
        else:
            monitor.resume()

    network.compile(backend)
    network.simulate(18)
    assert taken == [[0, 2, 4]]
    assert monitor["r"].ravel().tolist() == [6, 8, 16]
    assert monitor.times("r") == {"r": {"start": [5, 15], "stop": [10, 18]}}
    assert late[0]["r"].ravel().tolist() == [5, 9, 13, 17]
    assert whole["r"].ravel().tolist() == list(range(18))


def test_a_run_cannot_begin_within_a_run():
    network = ws.Network()
    clock = network.create(1, ws.Neuron(equations="r = t"))
    monitor = network.monitor(clock, "r")
    network.every(3.0, offset=3.0)(lambda call: network.step())
    network.compile()
    with pytest.raises(ws.StateError, match="run is under way"):
        network.simulate(5)
    assert monitor["r"].ravel().tolist() == [0, 1, 2] and network.time == 3.0
    network.clear_all_callbacks()
    network.simulate(1)


def test_what_was_done_before_an_error_is_kept(backend):
    network = ws.Network(check_finite=True)
    clock = network.create(1, ws.Neuron(equations="r = 1/(4 - t)"))
    monitor = network.monitor(clock, "r", period=2.0)
    network.compile(backend)
    with pytest.raises(FloatingPointError):
        network.simulate(100)
    # A GPU notices a few steps later; they have happened then.
    with np.errstate(divide="ignore"):
        expected = 1 / (4 - np.arange(0, network.time, 2, dtype=np.float32))
    np.testing.assert_allclose(monitor["r"].ravel(), expected, rtol=1e-6)
    assert network.time == 5.0 or backend in ON_GPU


def test_rows_of_an_interrupted_run_are_kept(backend):
    done, wait = 0, 0.05
    while done == 0:  # on a busy machine Ctrl-C may come before the first step
        network = ws.Network()
        clock = network.create(1, ws.Neuron(equations="r = t"))
        monitor, all_at_once = network.monitor(clock, "r", period=3.0), network.monitor(clock, "r")
        network.compile(backend)
        timer = threading.Timer(wait, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            network.simulate(10**7)
        timer.join()
        done, wait = int(network.time), 2 * wait
    assert done < 10**7
    network.simulate(4)
    np.testing.assert_array_equal(all_at_once["r"].ravel(), np.arange(done + 4))
    np.testing.assert_array_equal(monitor["r"].ravel(), np.arange(0, done + 4, 3))
    assert monitor.times("r") == {"r": {"start": [0], "stop": [done + 4]}}


def test_memory_that_is_not_there_is_refused_with_the_number(monkeypatch):
    network, units = build()
    monitor, other = network.monitor(units, "r"), network.monitor(units, "mp", period=2.0)
    network.compile()
    network.simulate(1)
    before = units.r
    monkeypatch.setattr(tracks, "free_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"7200 bytes .* 100 steps, 1000 bytes .*longer period"):
        network.simulate(100)
    assert network.time == 1.0 and (units.r == before).all()
    network.simulate(10)
    assert len(monitor["r"]) == 11 and len(other["mp"]) == 6
    # Where nothing is known about what is free, the system says no.
    monkeypatch.setattr(tracks, "free_memory", lambda: None)
    for steps in (2.0**50, 2.0**60):
        with pytest.raises(MemoryError, match="the system refused"):
            network.simulate(steps)
    assert network.time == 11.0
    network.simulate(1)
    assert len(monitor["r"]) == 1


def test_free_memory_is_plausible():
    assert 2**20 < memory.free_memory() < 2**50


def test_bad_arguments():
    network, units = build()
    other = ws.Network()
    for arguments, error, words in (
        ((3, "r"), TypeError, "obj is a int"),
        ((units, "x"), ValueError, "no 'x'"),
        ((units, "sum(exc"), ValueError, "no 'sum"),
        ((units, "sum( exc)"), ValueError, "no 'sum"),
        ((units, ["r", 3]), TypeError, "variables"),
        ((units, 3), TypeError, "variables"),
        ((units, "r", 0.0), ValueError, "period"),
        ((units, "r", 0.3), ValueError, "period is 0.3"),
        ((units, "r", 2.0, 2.0), ValueError, "period_offset is 2.0"),
        ((units, "r", 2.0, -1.0), ValueError, "period_offset is -1"),
        ((units, "r", None, 1.0), ValueError, "less than the period, 1.0"),
        ((units, "r", 2.0, 0.0, 1), TypeError, "start"),
        ((units, "r", 2.0, 0.0, True, 3), TypeError, "name"),
    ):
        with pytest.raises(error, match=words):
            network.monitor(*arguments)
    with pytest.raises(ValueError, match="another network"):
        other.monitor(units[0], "r")
    assert len(network._assembly.keepers) == 0
    monitor = network.monitor(units, "r")
    with pytest.raises(ValueError, match="'mp' is not recorded"):
        monitor.get(["r", "mp"])
    with pytest.raises(ValueError, match="not recorded"):
        monitor.times("mp")
    with pytest.raises(ValueError, match="no 'y'"):
        monitor.start("y")
    with pytest.raises(TypeError, match="copied"):
        copy.copy(monitor)
