"""`device=` and `stream=` of the user, and what `backend='auto'` takes."""

from __future__ import annotations

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import emulated
from strategies.device_arrays import PREAMBLE, RATES, projection, stream_for_test
from strategies.gpu import Borrowed, on_device
from strategies.processes import run_python
from weightsharing.backends.targets import Target
from weightsharing.checks.device_arrays import device_stream

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
    named._link.given = Target("cpu")
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


@emulated
def test_two_devices():
    done = run_python(
        PREAMBLE
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
