"""Saving a network and going on with it."""

import importlib.util
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.folders import TESTS
from strategies.saving import assert_same, build, state
from weightsharing.simulation import saving

SAVED = TESTS / "saved"


@given(
    backend=st.sampled_from(BACKENDS),
    batch=st.sampled_from((None, 1, 3)),
    dtype=st.sampled_from(("float32", "float64")),
    update=st.sampled_from(("synchronous", "feedforward")),
    delay=st.sampled_from((0.0, 0.5, 2.0)),
    history=st.sampled_from(("zeros", "ones", "first_frame")),
    seed=st.sampled_from((1, 2)),
    before=st.integers(0, 6),
    other=st.integers(0, 6),
    after=st.integers(0, 6),
)
@settings(max_examples=25)
def test_what_is_loaded_continues_as_if_nothing_had_happened(
    tmp_path_factory, backend, batch, dtype, update, delay, history, seed, before, other, after
):
    path = tmp_path_factory.mktemp("saved") / "network.npz"
    kind = (batch, dtype, update, delay, history, backend)
    network = build(1, *kind)
    network.simulate(before * 0.5)
    network.projections[0].weights = network.projections[0].weights / 2
    network.populations[1].offset = ws.Normal(0, 1)
    network.save(path)
    expected = [state(network)]

    loaded = build(seed, *kind)
    loaded.simulate(other * 0.5)
    loaded.load(path)
    assert_same(state(loaded), expected[0])
    for each in (network, loaded):
        each.simulate(after * 0.5)
        each.populations[0].r = ws.Uniform(0, 1)
        each.step()
    assert_same(state(loaded), state(network))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_of_format_1_is_loaded_for_ever(backend):
    # Exact in float64 on every processor and backend: see the program that made the file.
    spec = importlib.util.spec_from_file_location("make_format_1", SAVED / "make_format_1.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    network = program.build(seed=77)
    network.compile(backend)
    network.load(SAVED / "format-1.npz")
    assert (network.time, network.seed, network.first_trial) == (2.5, 1, 3)
    network.simulate(program.STEPS_AFTER * network.dt)
    with np.load(SAVED / "format-1-continued.npz") as expected:
        assert_same(program.rates(network), dict(expected))


def test_a_network_saved_on_one_backend_goes_on_with_another(tmp_path):
    network, loaded = build(1), build(2, backend="reference")
    network.simulate(3)
    network.save(tmp_path / "a.npz")
    loaded.load(tmp_path / "a.npz")
    network.simulate(3)
    loaded.simulate(3)
    np.testing.assert_allclose(loaded.populations[2].r, network.populations[2].r, rtol=1e-4, atol=1e-5)


def test_the_default_network_and_numpy(tmp_path):
    def program():
        ws.clear()
        pop = ws.Population(3, ws.Neuron(equations="r = r + 1"))
        ws.compile()
        return pop

    program()
    ws.simulate(4)
    ws.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["population/0/r"].tolist() == [[4, 4, 4]]
    pop = program()
    ws.load(str(tmp_path / "a.npz"))
    assert pop.r.tolist() == [4, 4, 4]
    ws.reset()
    assert pop.r.tolist() == [0, 0, 0]


def test_monitors_keep_what_they_have_and_reset_its_values(tmp_path):
    network = build(1)
    monitor = network.monitor(network.populations[1], "r", period=2.0)
    start = network.populations[1].r
    network.simulate(3)
    network.save(tmp_path / "a.npz")
    network.simulate(2)
    whole = monitor.get("r", keep=True)
    network.load(tmp_path / "a.npz")
    network.simulate(2)
    found = monitor["r"]
    assert len(found) == 4 and monitor.times("r") == {"r": {"start": [0, 3], "stop": [5, 5]}}
    np.testing.assert_array_equal(found[3], whole[2])
    network.reset()
    np.testing.assert_array_equal(network.populations[1].r, start)


def test_copies_share_what_was_loaded(tmp_path):
    network, loaded = build(1), build(2)
    network.save(tmp_path / "a.npz")
    loaded.load(tmp_path / "a.npz")
    drawn, copied = loaded.projections[1:3]
    drawn.weights = 2.0
    np.testing.assert_array_equal(copied.weights, drawn.weights)
    assert np.isfinite(copied.weights).sum() == network.projections[1].n_weights


@pytest.mark.parametrize("stream", [False, True])
def test_timed_inputs_go_on_where_they_stood(tmp_path, stream):
    def program():
        network = ws.Network()
        timed = ws.TimedArray(np.arange(10.0)[:, None], schedule=2.0, network=network)
        movie = ws.MoviePopulation(1, network=network)
        frames = np.arange(20.0)[:, None]
        movie.set_movie(iter(frames) if stream else frames)
        network.compile()
        return network, timed, movie

    network, *shown = program()
    network.simulate(3)
    shown[0].reset()
    network.simulate(5)
    network.save(tmp_path / "a.npz")
    loaded, *others = program()
    loaded.load(tmp_path / "a.npz")
    assert [one.r.item() for one in others] == [2.0, 7.0]
    for _ in range(3):
        for each in (network, loaded):
            each.step()
        assert [one.r.item() for one in others] == [one.r.item() for one in shown]
    assert [one.r.item() for one in others] == [3.0, 10.0]


def test_files_are_equal_where_states_are(tmp_path):
    for name in "ab":
        network = build(1)
        network.simulate(2)
        network.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_replaces_a_file_only_when_it_is_complete(tmp_path, monkeypatch):
    network, path = build(1), tmp_path / "a.npz"
    network.save(path)
    network.simulate(1)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    for owner, name in ((os, "fsync"), (os, "replace"), (saving, "_write")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(OSError, match="no space left"):
                network.save(path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.npz"]
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    network.save(link)
    assert link.is_symlink() and path.read_bytes() != before
    with pytest.raises(FileNotFoundError):
        network.save(tmp_path / "none" / "a.npz")
