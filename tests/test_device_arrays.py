"""Arrays, streams and devices of the user: `device=`, `stream=`, DLPack, captures; and what `backend='auto'` takes."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import weightsharing as ws
from processes import run_python
from test_cuda import Borrowed, emulated, on_device
from weightsharing.backends import device_modules
from weightsharing.backends.targets import Target
from weightsharing.checks.device_arrays import CUDA, device_stream
from weightsharing.checks.errors import StateError

if device_modules.why_not_cuda():
    pytest.skip(f"CUDA cannot be used here: {device_modules.why_not_cuda()}", allow_module_level=True)

RATES = np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32)


def projection(psp="w*pre.r", backend="cuda", **options):
    with ws.Network(backend=backend):
        pre, post = ws.Population((8, 9)), ws.Population((8, 9))
        made = ws.Convolution(pre, post, "exc", psp, **options)
    return made.connect_filter(np.arange(9.0).reshape(3, 3) - 3)


def back(array):
    values = np.empty(array.shape, array.dtype)
    array.download(values)
    return values


def stream_for_test(device=0):
    return device_modules.cuda_module().TestStream(device)


class OnlyDLPack:
    """An array on a device whose library knows DLPack and nothing else."""

    def __init__(self, array, device=0, versions=True):
        self.array, self.number, self.versions = array, device, versions

    def __dlpack_device__(self):
        return CUDA, self.number

    def __dlpack__(self, **request):
        self.request = dict(request)
        if not self.versions and "max_version" in request:
            raise TypeError("unexpected max_version")
        return self.array.__dlpack__(**request)


# --- What 'auto' takes ---


@emulated
def test_the_emulation_is_no_gpu_for_auto():
    with ws.Network():
        pre, post = ws.Population(10**6), ws.Population(10**6)
        made = ws.Convolution(pre, post, "exc").connect_filter([1, 1, 1])
    made.network.compile()
    report = made.describe()
    assert report["backend"] == "cpu" and "emulation" in report["backend_reason"]
    for asked in ({"device": 0}, {"stream": 0}):
        with pytest.raises(ValueError, match="emulation"):
            made.network.compile(**asked)
    assert made.describe()["backend"] == "cpu"


def test_auto_takes_a_gpu_for_a_large_step(monkeypatch):
    """As on a machine with a GPU: the module that can be used here stands for it."""
    monkeypatch.setattr("weightsharing.simulation.placement.usable_gpus", lambda: ["cuda"])
    monkeypatch.setattr("weightsharing.simulation.placement.why_no_gpu", lambda: "")
    network = ws.Network()
    with network:
        pre, post = ws.Population((500, 500)), ws.Population((500, 500))
        large = ws.Convolution(pre, post, "exc").connect_filter(np.ones((31, 31)))
    assert large.describe()["backend"] == "cpu"  # before compile(): that of a call
    network.compile()
    assert large.describe()["backend"] == "cuda"
    assert "'auto' takes the GPU" in large.describe()["backend_reason"]
    assert large(np.ones((500, 500)))[250, 250] == 31 * 31  # on the host, where the array lies
    small = projection(backend="auto")
    small.network.compile()
    assert small.describe()["backend"] == "cpu" and "too little" in small.describe()["backend_reason"]
    small.network.compile(device=0)
    assert small.describe()["backend"] == "cuda"
    named = projection(backend="auto")
    named._given = Target("cpu")
    named.network.compile()
    assert named.describe()["backend"] == "cpu"


# --- device= and stream= ---


def test_devices_that_are_not_there():
    for make in (lambda: ws.Network(backend="cuda", device=99), lambda: projection(device=-1)):
        with pytest.raises(IndexError, match=r"this machine has \d+ CUDA device"):
            make()
    network = ws.Network(backend="cuda")
    with pytest.raises(IndexError, match="device is 99"):
        network.compile(device=99)
    for wrong in (1.0, True, "0"):
        with pytest.raises(TypeError, match="device"):
            ws.Network(backend="cuda", device=wrong)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("argument", ["device", "stream"])
def test_no_device_on_the_host(backend, argument):
    asked = {"backend": backend, argument: 0}
    with pytest.raises(ValueError, match=f"{argument} is 0, but the backend '{backend}'"):
        ws.Network(**asked)
    with pytest.raises(ValueError, match=argument):
        ws.Network().compile(**asked)
    if argument == "device":
        with pytest.raises(ValueError, match="device is 0, but the backend"):
            projection(backend=backend, device=0)
    ws.Network(backend="cuda", **{argument: 0}).compile(backend=backend)  # its own do not apply there


def test_streams_of_every_kind():
    class Cupy:
        ptr, device_id = 16, 1

    class Torch:
        cuda_stream, device = 17, type("device", (), {"index": 2})

    class Protocol:
        def __cuda_stream__(self):
            return 0, 18

    assert device_stream(None) is None
    for stream, address, device in (
        (15, 15, None),
        (Cupy(), 16, 1),
        (Torch(), 17, 2),
        (Protocol(), 18, None),
    ):
        found = device_stream(stream)
        assert (found.address, found.device, found.owner) == (address, device, stream)
    for wrong, error in ((1.5, TypeError), ("0", TypeError), (object(), TypeError), (-1, ValueError)):
        with pytest.raises(error, match="stream"):
            ws.Network(backend="cuda", stream=wrong)
    with pytest.raises(ValueError, match="stream belongs to device 1"):
        ws.Network(backend="cuda", device=0, stream=Cupy())
    with pytest.raises(ValueError, match="host"):
        projection()(RATES, stream=0)


@emulated
def test_a_network_on_the_stream_of_the_caller():
    """Steps, copies and graphs wait for what the stream does, also on the legacy stream, which cannot be captured."""
    for stream in (stream_for_test(), 0):
        network = ws.Network(backend="cuda", stream=stream)
        population = network.create(5, ws.Neuron(equations="r += 1"))
        network.compile()
        network.simulate(70)
        assert (population.r == 70).all()
        if stream:
            assert stream.queued == 0
    stream.synchronise() if stream else None


@emulated
def test_a_network_waits_for_work_on_its_stream():
    stream = stream_for_test()
    first = projection()
    there, out = on_device(RATES), on_device(np.zeros((1, 8, 9), np.float32))
    network = ws.Network(backend="cuda", stream=stream)
    with network:
        population = ws.Population((8, 9), ws.Neuron(equations="r = 2*r"))
    network.compile()
    expected = 2 * first(RATES)
    array = population.device_array()
    first(Borrowed(there), out=Borrowed(array, shape=(8, 9)), stream=stream)
    assert stream.queued  # nobody waited
    network.simulate(1)
    np.testing.assert_allclose(population.r, expected, rtol=1e-6)
    first(there, out=out.__class__([8, 9], "float32"), stream=stream)
    stream.synchronise()


@emulated
def test_a_network_cannot_become_part_of_a_graph():
    stream = stream_for_test()
    network = ws.Network(backend="cuda", stream=stream)
    population = network.create(5, ws.Neuron(equations="r += 1"))
    network.compile()
    network.simulate(1)
    stream.begin_capture()
    with pytest.raises(RuntimeError, match="cannot become part"):
        network.simulate(1)
    stream.end_capture()
    network.simulate(1)
    assert population.r[0] == 2


TWO_DEVICES = """
import numpy as np
import weightsharing as ws
import sys
sys.path.insert(0, "tests")
from test_device_arrays import *
"""


@emulated
def test_two_devices():
    done = run_python(
        TWO_DEVICES
        + """
module = device_modules.cuda_module()
for text in ("device is 2; this machine has 2 CUDA device",):
    try:
        ws.Network(backend="cuda", device=2)
    except IndexError as error:
        assert text in str(error), error

# A network, its state and its streams on the second one.
network = ws.Network(backend="cuda", device=1, seed=1)
with network:
    pre, post = ws.Population((8, 9)), ws.Population((8, 9), ws.Neuron(equations="r = sum(exc)"))
    made = ws.Convolution(pre, post, "exc", "w*pre.r**2").connect_filter(np.ones((3, 3)))
network.compile()
pre.r = RATES
network.simulate(40)
expected = made(RATES)
assert np.array_equal(post.r, expected) and post.device_array().device == 1
assert post.device_array().__dlpack_device__()[1] == 1
assert module.current_device() == 0
network.compile(device=0)
network.simulate(2)
assert np.array_equal(post.r, expected) and post.device_array().device == 0

# One projection, arrays of both.
made = projection("w*pre.r**2")
arrays = [(module.Array([8, 9], "float32", d), module.Array([8, 9], "float32", d)) for d in (0, 1)]
for weights in (None, np.ones((3, 3))):
    if weights is not None:
        made.weights = weights
    for r, out in arrays:
        r.upload(RATES)
        made(r, out=out)
        assert np.array_equal(back(out), made(RATES))
assert module.current_device() == 0
for fixed, words in ((made, "out lies on device 1; expected device 0, where r lies"),):
    try:
        fixed(arrays[0][0], out=arrays[1][1])
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError
fixed = projection(device=1)
try:
    fixed(*arrays[0])
except ValueError as error:
    assert "r lies on device 0; expected device 1, where the projection is" in str(error), error
else:
    raise AssertionError
fixed(*arrays[1])
try:
    fixed.network.compile()
except ValueError as error:
    assert "asks for device 1" in str(error), error
else:
    raise AssertionError
fixed.network.compile(device=1)
bare = [Borrowed(array) for array in arrays[1]]  # nothing but an address says where it lies
made(*bare)
assert np.array_equal(back(arrays[1][1]), made(RATES))
stream = module.TestStream(1)
made(*bare, stream=stream)
stream.synchronise()
try:
    pre.r = arrays[1][0]
except ValueError as error:
    assert "lies on device 1" in str(error), error
else:
    raise AssertionError
print("done")
""",
        WEIGHTSHARING_EMULATION_DEVICES="2",
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


# --- DLPack ---


def test_dlpack_of_the_state():
    network = ws.Network(backend="cuda")
    population = network.create((2, 3), ws.Neuron(equations="r += 1"))
    network.compile()
    array = population.device_array()
    kind, number = array.__dlpack_device__()
    assert number == 0
    for version, name in ((None, "dltensor"), ((0, 8), "dltensor"), ((1, 1), "dltensor_versioned")):
        capsule = array.__dlpack__(max_version=version)
        assert f'"{name}"' in repr(capsule)
        address, shape, dtype, strides, read_only = device_modules.cuda_module().dlpack_view(capsule)
        assert (shape, dtype, strides, read_only) == ((1, 2, 3), "f4", (6, 3, 1), False)
        assert address == array.__cuda_array_interface__["data"][0]
    for stream in (-1, 1, 2, None):
        array.__dlpack__(stream=stream, dl_device=(kind, 0), copy=False)
    for request, error in (
        ({"copy": True}, BufferError),
        ({"dl_device": (kind, 5)}, BufferError),
        ({"stream": 0}, ValueError),
        ({"stream": -2}, ValueError),
    ):
        with pytest.raises(error, match=next(iter(request))):
            array.__dlpack__(**request)
    with pytest.raises(TypeError, match="capsule"):
        device_modules.cuda_module().dlpack_view(None)


@emulated
def test_dlpack_keeps_its_owner_alive():
    network = ws.Network(backend="cuda")
    population = network.create((2, 3), ws.Neuron(equations="r += 1"))
    network.compile()
    seen = np.from_dlpack(population.device_array())
    population.r = 5.0
    np.testing.assert_array_equal(seen, np.full((1, 2, 3), 5.0, np.float32))
    network.simulate(1)
    assert (seen == 6).all()
    abandoned = population.device_array().__dlpack__()
    del network, population
    gc.collect()
    assert (seen == 6).all()
    before = device_modules.cuda_module().allocated_bytes()
    del seen, abandoned
    gc.collect()
    assert device_modules.cuda_module().allocated_bytes() < before


@pytest.mark.parametrize("versions", [True, False])
def test_arrays_that_know_only_dlpack(versions):
    made = projection()
    there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
    r, target = OnlyDLPack(there, versions=versions), OnlyDLPack(out, versions=versions)
    assert made(r, out=target) is target
    assert r.request["stream"] == 1  # the legacy stream, as DLPack writes it
    np.testing.assert_array_equal(back(out), made(RATES))
    with pytest.raises(TypeError, match="out is needed"):
        made(r)
    for elsewhere in (OnlyDLPack(out, device=1),):
        with pytest.raises(ValueError, match="out lies on device 1"):
            made(r, out=elsewhere)


def test_dlpack_arrays_of_the_wrong_kind():
    made = projection()
    out = on_device(np.zeros((8, 9), np.float32))

    class OfHost(OnlyDLPack):
        def __dlpack__(self, **request):
            return self.array.__dlpack__(max_version=(1, 0))

    read_only = np.zeros((8, 9), np.float32)
    read_only.setflags(write=False)
    for r, target, error, words in (
        (np.zeros((9, 8), np.float32).T, out, ValueError, "r is not C-contiguous"),
        (np.zeros((8, 9)), out, TypeError, "r has dtype float64"),
        (np.zeros((8, 9), np.complex64), out, TypeError, "no plain"),
        (RATES, read_only, ValueError, "read-only"),
    ):
        target = OfHost(target) if isinstance(target, np.ndarray) else target
        with pytest.raises(error, match=words):
            made(OfHost(r), out=target)


# --- Assigning arrays of a device ---


def test_assigning_an_array_of_the_device():
    network = ws.Network(backend="cuda")
    with network:
        pre = ws.Population((8, 9), ws.Neuron("tau = 10.0", "r = r + tau"))
    with pytest.raises(TypeError, match=r"\.get\(\).*\.cpu\(\)"):
        pre.r = on_device(RATES)
    network.compile()
    pre.r = on_device(RATES)
    np.testing.assert_array_equal(pre.r, RATES)
    pre.r = OnlyDLPack(on_device(RATES[None]))
    network.simulate(1)
    np.testing.assert_array_equal(pre.r, RATES + 10)
    for values, error, words in (
        (on_device(RATES.T), ValueError, "shape"),
        (on_device(RATES.astype(float)), TypeError, "dtype"),
        (Borrowed(on_device(RATES), strides=(4, 32)), ValueError, "contiguous"),
        (OnlyDLPack(on_device(RATES), device=3), ValueError, "device 3"),
    ):
        with pytest.raises(error, match=words):
            pre.r = values
    with pytest.raises(TypeError, match="parameter"):
        pre.tau = on_device(RATES)
    np.testing.assert_array_equal(pre.r, RATES + 10)
    network.compile(backend="cpu")
    with pytest.raises(TypeError, match=r"\.get\(\)"):
        pre.r = on_device(RATES)


def test_weights_are_prepared_on_the_host():
    made = projection()
    with pytest.raises(TypeError, match=r"weights lies on a CUDA device.*\.get\(\).*\.cpu\(\)"):
        made.weights = on_device(np.ones((3, 3), np.float32))


# --- Bad arrays on the device, and graphs of the caller ---


def test_device_arrays_that_do_not_fit():
    made = projection()
    there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
    host = RATES.__array_interface__["data"]
    for r, target, error, words in (
        (Borrowed(there, typestr="<f8"), out, TypeError, "dtype"),
        (Borrowed(there, shape=(9, 8)), out, ValueError, "shape"),
        (there, Borrowed(out, shape=(9, 8)), ValueError, "shape"),
        (there, Borrowed(out, typestr="<i4"), ValueError, "int32"),
        (there, Borrowed(out, strides=(4, 32)), ValueError, "contiguous"),
        (there, Borrowed(there), ValueError, "overlaps"),
        (there, RATES.copy(), TypeError, "host"),
        (Borrowed(there, data=host), out, ValueError, "r says.*the host's"),
    ):
        with pytest.raises(error, match=words):
            made(r, out=target)
    assert (back(out) == 0).all()


def test_arrays_of_a_place_that_dlpack_does_not_know():
    class Meta:
        def __dlpack_device__(self):
            raise ValueError("unknown device type")

    with pytest.raises(TypeError, match="r is a Meta; expected an array of real numbers"):
        projection()(Meta())


@emulated
@pytest.mark.parametrize("psp", ["w*pre.r", "w*pre.r**2", "log(1 + w*w*pre.r*pre.r)"])
def test_a_call_in_a_graph_of_the_caller(psp):
    """Captured: nothing is allocated, nothing waits; replayed: new rates, and the weights of the capture."""
    made, module, stream = projection(psp), device_modules.cuda_module(), stream_for_test()
    there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
    expected = made(RATES)
    made(there, out=out)
    before = module.allocated_bytes()
    stream.begin_capture()
    made(there, out=out, stream=stream)
    graph = stream.end_capture()  # spoilt by anything that allocates or waits
    assert module.allocated_bytes() == before and graph.operations >= 1
    made.weights = 2 * made.weights
    made(on_device(np.ones((3, 8, 9), np.float32)), out=on_device(np.ones((3, 8, 9), np.float32)))
    for scale in (1, 2):
        there.upload(scale * RATES)
        stream.replay(graph)
        stream.synchronise()
        fresh = projection(psp)
        np.testing.assert_array_equal(back(out), fresh(scale * RATES) if scale > 1 else expected)
    made(there, out=out)
    np.testing.assert_array_equal(back(out), made(2 * RATES))


@emulated
@pytest.mark.parametrize("why", ["new", "weights", "memory"])
def test_a_capture_that_would_allocate(why):
    """Refused before anything happens: the capture goes on."""
    made, stream = projection("w*pre.r**2"), stream_for_test()
    there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
    if why != "new":
        made(there, out=out)
    if why == "weights":
        made.weights = np.ones((3, 3))
    if why == "memory":
        there, out = (on_device(np.ones((5, 8, 9), np.float32)) for _ in "ab")
    stream.begin_capture()
    with pytest.raises((StateError, RuntimeError), match="once with arrays of this shape before"):
        made(there, out=out, stream=stream)
    assert stream.end_capture().operations == 0
    made(there, out=out)
    stream.begin_capture()
    made(there, out=out, stream=stream)
    assert stream.end_capture().operations


@emulated
@pytest.mark.parametrize("kind", ["projection", "network"])
def test_what_goes_during_a_capture_leaves_it_alone(kind):
    """The collector of garbage may come at any time."""
    made, stream = projection(), stream_for_test()
    there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
    made(there, out=out)
    if kind == "projection":
        going = projection("w*pre.r**2")
        going(there, out=on_device(np.zeros((8, 9), np.float32)))
    else:
        going = ws.Network(backend="cuda")
        going.create(5, ws.Neuron(equations="r += 1"))
        going.compile()
        going.simulate(40)
    stream.begin_capture()
    made(there, out=out, stream=stream)
    del going
    gc.collect()
    assert stream.end_capture().operations == 1


@emulated
def test_weights_change_behind_calls_that_still_run():
    """A call that is not done yet reads the weights of its time."""
    made, stream = projection(), stream_for_test()
    there, outs = on_device(RATES), [on_device(np.zeros((8, 9), np.float32)) for _ in "ab"]
    expected = [made(RATES), 2 * made(RATES)]
    made(there, out=outs[0], stream=stream)
    assert stream.queued
    made.weights = 2 * made.weights
    made(there, out=outs[1], stream=stream)
    stream.synchronise()
    for out, values in zip(outs, expected, strict=True):
        np.testing.assert_array_equal(back(out), values)


def test_calls_leave_the_memory_of_a_network_alone():
    """A psp with a function of the rate: a larger call must not take the memory that the network's graph names."""
    with ws.Network(backend="cuda") as network:
        pre, post = ws.Population((8, 9)), ws.Population((8, 9), ws.Neuron(equations="r = sum(exc)"))
        made = ws.Convolution(pre, post, "exc", "w*pre.r**2").connect_filter(np.ones((3, 3)))
    network.compile()
    pre.r = RATES
    network.simulate(40)
    expected = post.r
    batch = on_device(np.ones((50, 8, 9), np.float32))
    made(batch, out=on_device(np.ones((50, 8, 9), np.float32)))
    made(np.ones((60, 8, 9)))
    network.simulate(40)
    np.testing.assert_array_equal(post.r, expected)


# --- Errors of the device ---


@emulated
def test_an_error_in_one_network_leaves_the_others_alone():
    module = device_modules.cuda_module()
    networks = [ws.Network(backend="cuda") for _ in "ab"]
    populations = [network.create(5, ws.Neuron(equations="r += 1")) for network in networks]
    for network in networks:
        network.compile()
        network.simulate(2)
    made = projection()
    expected = made(RATES)
    module.plant_failures(1)
    with pytest.raises(RuntimeError, match="planted failure"):
        networks[0].simulate(3)
    networks[1].simulate(3)
    assert (populations[1].r == 5).all()
    np.testing.assert_array_equal(made(RATES), expected)
    populations[0].r = 1.0
    networks[0].compile()
    networks[0].simulate(40)
    assert (populations[0].r == 41).all()


@emulated
def test_device_memory_exhausted_by_a_call():
    done = run_python(
        TWO_DEVICES
        + """
made = projection()
there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
made(there, out=out)
try:
    made(np.ones((10000, 8, 9)))
except MemoryError as error:
    assert "2880000 bytes asked for" in str(error) and "free" in str(error), error
else:
    raise AssertionError
assert np.array_equal(made(RATES), back(out))
print("done")
""",
        WEIGHTSHARING_EMULATION_MEMORY="2000000",
    )
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


@emulated
def test_calls_after_a_fork():
    done = run_python(
        TWO_DEVICES
        + """
import os
made = projection()
there, out = on_device(RATES), on_device(np.zeros((8, 9), np.float32))
made(there, out=out)
child = os.fork()
if child == 0:
    for call in (lambda: made(there, out=out), lambda: made(RATES), lambda: on_device(RATES)):
        try:
            call()
        except RuntimeError as error:
            print("forked" in str(error), flush=True)
    os._exit(0)
os.waitpid(child, 0)
assert np.array_equal(made(RATES), back(out))
"""
    )
    assert done.returncode == 0 and done.stdout == "True\n" * 3, done.stdout + done.stderr
