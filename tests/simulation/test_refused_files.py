"""Files that are refused: damaged, foreign, or of another network."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weightsharing as ws
from strategies.saving import assert_same, build, state


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
