"""Calls in graphs that the user captures, and what errors of the device leave alone."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import emulated
from strategies.device_arrays import PREAMBLE, RATES, back, projection, stream_for_test
from strategies.gpu import on_device
from strategies.processes import run_python
from weightsharing.backends import device_modules
from weightsharing.checks.errors import StateError


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
        PREAMBLE
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
        PREAMBLE
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
