"""Saved networks: they continue bit for bit, and nothing but a whole file of the same network is taken."""

import importlib.util
import io
import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weightsharing as ws
from strategies.backends import BACKENDS
from strategies.folders import TESTS
from weightsharing import persistence

SAVED = TESTS / "saved"
NOISY = ws.Neuron(
    parameters="gain = 0.9 : population\noffset = 0.5\nbias = 0.1 : filter",
    equations="mp = 0.5*mp + sum(exc) + offset + bias + 0.1*Normal(0, 1)\nr = gain*mp : init=Uniform(0, 1)",
)


def build(seed, batch=None, dtype="float32", update="feedforward", delay=2.0, history="zeros", backend="cpu"):
    """A network with random parts: those of another seed are not the same."""
    network = ws.Network(dt=0.5, seed=seed, batch=batch, dtype=dtype, update=update)
    pre = network.create((5, 6), name="pre")
    units = network.create((5, 6), NOISY, name="units")
    late = network.create(4, ws.Neuron(equations="r = sum(exc) - sum(inh)"), name="late")
    generator = network.random_generator
    ws.Convolution(pre, units, "exc").connect_filter(
        generator.normal(size=(2, 3, 3)), time_axis=True, delays=delay, history=history
    )
    drawn = ws.Projection(units, late, "exc", name="drawn").connect_fixed_probability(0.4, ws.Uniform(0, 1))
    ws.Copy(units, late, "inh").connect_copy(drawn)
    ws.PointwiseProjection(
        pre, units, "exc", weight=ws.Uniform(0, 1), delays=np.arange(30.0).reshape(5, 6) % 3
    )
    pre.r = ws.Uniform(0, 1)
    network.compile(backend)
    return network


def state(network):
    """Everything that can be read."""
    found = {"time": network.time, "seed": network.seed, "first trial": network.first_trial}
    found["draws"] = json.dumps(network.random_generator.bit_generator.state)
    for population in network.populations:
        for name in population.attributes if population is not network.populations[0] else ["r"]:
            found[f"{population.name} {name}"] = population.get(name)
        for target in ("exc", "inh"):
            found[f"{population.name} sum({target})"] = population.sum(target)
    for projection in network.projections:
        if projection._weights is not None:
            for number, array in enumerate(projection._weights.arrays):
                found[f"{projection.name} weights {number}"] = array
        found[f"{projection.name} column"] = getattr(projection._description, "column", None)
    for number, history in enumerate(network._histories):
        found[f"history {number}"] = network._fetch(history.array).copy()
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


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

    for owner, name in ((os, "fsync"), (os, "replace"), (persistence, "_write")):
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


# --- What is refused ---------------------------------------------------------------------------------------


def test_only_a_compiled_network_between_runs_is_saved_and_loaded(tmp_path):
    network = ws.Network()
    network.create(2)
    for action in (network.save, network.load):
        with pytest.raises(ws.StateError, match="compile"):
            action(tmp_path / "a.npz")
    assert os.listdir(tmp_path) == []
    network.compile()
    network.every(1.0)(lambda call: network.save(tmp_path / "a.npz"))
    network.simulate(2)
    network.clear_all_callbacks()
    network.every(1.0)(lambda call: network.load(tmp_path / "a.npz"))
    with pytest.raises(ws.StateError, match="run is under way"):
        network.simulate(2)
    network.clear_all_callbacks()
    network.load(tmp_path / "a.npz")
    assert network.time == 1.0
    with pytest.raises(FileNotFoundError):
        network.load(tmp_path / "b.npz")


LINEAR = "r = k*sum(exc)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dt": 0.5}, "dt is 1.0 in the file, 0.5 in this network"),
        ({"dtype": "float64"}, "dtype is 'float32' in the file, 'float64'"),
        ({"batch": 2}, "batch is None in the file, 2"),
        ({"update": "feedforward"}, "update is 'synchronous'"),
        ({"name": "other"}, r"populations\[1\] 'other': name is 'units'"),
        ({"geometry": (4, 5)}, r"populations\[0\] 'pop0': geometry is \(4, 4\) in the file, \(4, 5\)"),
        (
            {"equations": "v = 1\nr = sum(exc)"},
            r"populations\[1\] 'units': values: v is 'nothing' in the file, 'local'",
        ),
        ({"equations": "r = k*sum(exc) + sum(inh)"}, r"targets is \['exc'\]"),
        ({"constants": {"k": 2.0}}, r"constants: k is 1.0 in the file, 2.0"),
        ({"more": True}, "populations is 2 in the file, 3 in this network"),
        ({"kind": ws.SharedProjection}, r"projections\[0\] 'proj0': kind is 'Convolution'"),
        ({"weights": np.ones((3, 5))}, r"weights is \[\[3, 3\]\] in the file, \[\[3, 5\]\]"),
        ({"delays": 3.0}, r"delays is 2.0 in the file, 3.0"),
        ({"history": "ones"}, r"histories\[0\]: before the start is 'zeros'"),
        ({"target": "inh"}, r"targets is \['exc'\] in the file, \['inh', 'exc'\]"),
    ],
)
def test_another_network_is_refused_with_the_first_difference(tmp_path, change, words):
    def program(
        dt=1.0, dtype="float32", batch=None, update="synchronous", name="units", geometry=(4, 4), equations=LINEAR,
        constants=None, more=False, kind=ws.Convolution, weights=None, delays=2.0, history="zeros",
        target="exc",
    ):  # fmt: skip
        network = ws.Network(dt=dt, dtype=dtype, batch=batch, update=update)
        pre = network.create(geometry)
        post = network.create(
            geometry, ws.Neuron(equations=equations, constants=constants or {"k": 1.0}), name=name
        )
        if more:
            network.create(2)
        connected = kind(pre, post, target)
        connect = connected.convolve if kind is ws.SharedProjection else connected.connect_filter
        connect(np.ones((3, 3)) if weights is None else weights, delays=delays, history=history)
        pre.r = 2.0
        network.compile()
        return network

    program().save(tmp_path / "a.npz")
    network = program(**change)
    network.simulate(2.0)
    before = [(one.r, network.time) for one in network.populations]
    with pytest.raises(ValueError, match=words):
        network.load(tmp_path / "a.npz")
    for one, (rates, time) in zip(network.populations, before, strict=True):
        assert (one.r == rates).all() and network.time == time


def saved(tmp_path_factory, _cache=[]):  # noqa: B006
    if not _cache:
        path = tmp_path_factory.mktemp("saved") / "a.npz"
        network = build(1)
        network.simulate(3)
        network.save(path)
        _cache.append((path.read_bytes(), state(network)))
    return _cache[0]


@pytest.fixture
def refused(tmp_path):
    """Check that a network refuses a file, and that it is as it was."""
    network = build(2)
    network.simulate(1)
    before = state(network)

    def check(content, words):
        path = tmp_path / "refused.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words) as caught:
            network.load(path)
        assert "refused.npz" in str(caught.value)
        assert_same(state(network), before)

    return check


@given(data=st.data())
@settings(max_examples=60)
def test_damaged_files_are_refused_whatever_is_damaged(tmp_path_factory, data):
    content, expected = saved(tmp_path_factory)
    network = build(2)
    before = state(network)
    damaged = bytearray(content)
    if data.draw(st.booleans(), label="cut off"):
        del damaged[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3), label="changes")):
        if damaged:
            at = data.draw(st.integers(0, len(damaged) - 1) | st.integers(-2500, -1))
            damaged[at % len(damaged)] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    path.write_bytes(damaged)
    try:
        network.load(path)
    except ValueError as error:
        assert str(path) in str(error)
        assert_same(state(network), before)
    else:
        # Some bytes of an archive mean nothing, such as dates.
        assert_same(state(network), expected)


def rewritten(content, changes, compression=zipfile.ZIP_STORED, header=None):
    """The same archive with other members; None leaves one out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if header is not None:
        text = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
        header(text)
        members["header.npy"] = npy(np.frombuffer(json.dumps(text).encode(), dtype=np.uint8))
    members |= changes
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, member in members.items():
            if member is not None:
                archive.writestr(name, member)
    return out.getvalue()


def npy(array, **options):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **options)
    return out.getvalue()


def claiming(shape, dtype="<f4"):
    """An array that claims to be larger than it is."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"shape": shape, "fortran_order": False, "descr": dtype})
    return out.getvalue() + bytes(8)


RATES = "population/0/r.npy"


def test_foreign_files_are_refused(refused, tmp_path_factory):
    content, _ = saved(tmp_path_factory)
    assert_same(*[dict(np.load(io.BytesIO(one))) for one in (rewritten(content, {}), content)])
    for foreign, words in (
        (b"", "no complete file"),
        (b"hello", "no complete file"),
        (content[:-1], "no complete file"),
        (content[: len(content) // 2], "no complete file"),
        (npy(np.zeros(3)), "no complete file"),
        (rewritten(content, {"header.npy": None}), "no header"),
        (rewritten(content, {"header.npy": b"{}"}), "no array"),
        (rewritten(content, {"header.npy": npy(np.zeros(3, dtype=np.uint8))}), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update(kind="other")), "not the file of a network"),
        (rewritten(content, {}, header=lambda text: text.pop("seed")), "without 'seed'"),
        (rewritten(content, {}, header=lambda text: text.update(format="1")), "format '1'"),
        (
            rewritten(content, {}, header=lambda text: text.update(format=2, weightsharing="9.1")),
            "format 2, written by weightsharing 9.1; this version reads formats up to 1",
        ),
        (rewritten(content, {}, header=lambda text: text.update(seed=-1)), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update({"steps done": 1.5})), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update({"random generator": {}})), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update({"shown from": {"0": 1}})), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update({"synapses": [1]})), "damaged header"),
        (rewritten(content, {}, header=lambda text: text.update({"synapses": {}})), "synapses"),
        (rewritten(content, {}, header=lambda text: text.update(network=3)), "another network"),
    ):
        refused(foreign, words)


def test_arrays_are_refused_before_they_are_read(refused, tmp_path_factory):
    content, _ = saved(tmp_path_factory)
    objects = np.array([[{}] * 30], dtype=object).reshape(1, 5, 6)
    for changes, words in (
        ({RATES: None}, "no array 'population/0/r'"),
        ({RATES: b"junk"}, "no array"),
        ({RATES: npy(objects, allow_pickle=True)}, "Python objects"),
        ({RATES: npy(np.zeros((1, 5, 6)))}, r"type float64; expected \(1, 5, 6\), float32"),
        ({RATES: npy(np.zeros((1, 5, 7), dtype="<f4"))}, r"shape \(1, 5, 7\)"),
        ({RATES: npy(np.zeros((1, 5, 6), dtype=">f4"))}, "type >f4"),
        ({RATES: npy(np.zeros((1, 5, 6), dtype="<f4", order="F"))}, "Fortran"),
        ({RATES: npy(np.zeros((1, 5, 6), dtype="<f4"), version=(2, 0))}, "no array"),
        ({RATES: claiming((1, 5, 6))}, "not what its shape needs"),
        ({RATES: npy(np.zeros((1, 5, 6), dtype="<f4")) + b"more"}, "not what its shape needs"),
        ({RATES: claiming((2**40, 5, 6))}, "shape"),
        ({"projection/1/column.npy": claiming((2**40,), "<i8")}, "shape"),
        ({"projection/1/column.npy": claiming((100,), "<i8")}, "not what its shape needs"),
        ({"more.npy": npy(np.zeros(2))}, "'more.npy', which no network"),
        ({"header.npy": claiming((2**50,), "|u1")}, "shape"),
        ({"projection/3/delays.npy": npy(np.ones((5, 6)))}, "other delays of 'proj3'"),
    ):
        refused(rewritten(content, changes), words)
    refused(rewritten(content, {}, zipfile.ZIP_DEFLATED), "compressed")


def test_impossible_synapses_are_refused(refused, tmp_path_factory):
    content, _ = saved(tmp_path_factory)
    with np.load(io.BytesIO(content)) as arrays:
        rows, column = arrays["projection/1/row_start"], arrays["projection/1/column"]
    for name, wrong in (
        ("column", column + 1000),
        ("column", -column - 1),
        ("row_start", rows + 1),
        ("row_start", rows[::-1]),
    ):
        refused(
            rewritten(content, {f"projection/1/{name}.npy": npy(np.ascontiguousarray(wrong))}), "impossible"
        )


def test_values_that_equations_divide_by_must_not_be_zero(tmp_path):
    def program():
        network = ws.Network()
        network.create(2, ws.Neuron(parameters="tau = 2.0", equations="r = 1/tau"))
        network.compile()
        return network

    program().save(tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    zero = npy(np.zeros((1, 2), dtype=np.float32))
    (tmp_path / "a.npz").write_bytes(rewritten(content, {"population/0/tau.npy": zero}))
    with pytest.raises(ValueError, match="tau"):
        program().load(tmp_path / "a.npz")


def test_another_meaning_is_another_network(tmp_path):
    """Equations, psps, operations and paddings; how they are written does not count."""

    def built(equation="r = 2*sum(exc)", psp="w*pre.r", padding=0.0, operation="sum"):
        network = ws.Network()
        pre, post = network.create((4, 5)), network.create((4, 5), ws.Neuron(equations=equation))
        ws.Convolution(pre, post, "exc", psp, operation).connect_filter(np.ones((3, 3)), padding=padding)
        network.compile()
        return network

    built().save(tmp_path / "saved.npz")
    built(equation="r =  2 * sum(exc)", psp="w * pre.r").load(tmp_path / "saved.npz")
    for change, words in (
        ({"equation": "r = 3*sum(exc)"}, "equations"),
        ({"psp": "w*pre.r^2"}, "psp"),
        ({"padding": "wrap"}, "padding is 0.0 in the file, 'wrap' in this network"),
        ({"operation": "max"}, "operation"),
    ):
        network = built(**change)
        before = network.populations[1].r
        with pytest.raises(ValueError, match=f"is of another network: .*{words}"):
            network.load(tmp_path / "saved.npz")
        np.testing.assert_array_equal(network.populations[1].r, before)


def test_paths_that_are_none(tmp_path):
    network = build(1)
    for action in (network.save, network.load):
        with pytest.raises(TypeError, match=f"{action.__name__}: path is None"):
            action(None)
    with pytest.raises(FileNotFoundError, match="load: there is no file"):
        network.load(tmp_path / "missing.npz")
    for path in (tmp_path, tmp_path / "nowhere" / "file.npz"):
        with pytest.raises(FileNotFoundError, match=r"save: .* is a folder, or lies in none"):
            network.save(path)
