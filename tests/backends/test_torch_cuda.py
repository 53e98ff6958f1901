"""Calls with arrays of torch and CuPy on a GPU: on their streams, inside their graphs, without copies.

Without a GPU everything here is skipped; `make gpu` runs it.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import weightsharing as ws
from weightsharing.backends.device_modules import why_not_cuda

try:
    import torch
except ImportError:
    torch = None
try:
    import cupy
except ImportError:
    cupy = None

if os.environ.get("WEIGHTSHARING_CUDA") == "emulated" or why_not_cuda():
    pytest.skip("no GPU", allow_module_level=True)
if torch is not None and not torch.cuda.is_available():
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="no GPU for torch, or no torch")
needs_cupy = pytest.mark.skipif(cupy is None, reason="no CuPy")
PSPS = ["w*pre.r", "w*pre.r**2", "log(1 + w*w*pre.r*pre.r)"]
RATES = np.random.default_rng(0).normal(size=(3, 64, 96)).astype(np.float32)


def projection(psp="w*pre.r", backend="auto"):
    with ws.Network(backend=backend):
        pre, post = ws.Population((64, 96)), ws.Population((64, 96))
        made = ws.Convolution(pre, post, "exc", psp)
    return made.connect_filter(np.random.default_rng(1).normal(size=(5, 5)))


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@needs_torch
@pytest.mark.parametrize("psp", PSPS)
def test_torch_graph(psp):
    """Captured with torch.cuda.graph, replayed with other rates."""
    made, judge = projection(psp), projection(psp, "reference")
    r, out = torch.empty((3, 64, 96), device="cuda"), torch.empty((3, 64, 96), device="cuda")
    r.copy_(torch.from_numpy(RATES))
    made(r, out=out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made(r, out=out)
    made.weights = 3 * np.asarray(made.weights)  # the graph keeps those of its capture
    for scale in (1, 2):
        r.copy_(torch.from_numpy(scale * RATES))
        out.zero_()
        graph.replay()
        assert_close(out.cpu().numpy(), judge(scale * RATES))


@needs_torch
def test_torch_graph_of_several_steps():
    made, judge = projection(), projection(backend="reference")
    a, b = torch.empty((64, 96), device="cuda"), torch.empty((64, 96), device="cuda")
    made(a, out=b)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made(a, out=b)
        a.copy_(torch.tanh(b))
    a.copy_(torch.from_numpy(RATES[0]))
    wanted = RATES[0]
    for _ in range(4):
        graph.replay()
        wanted = np.tanh(judge(wanted))
    assert_close(a.cpu().numpy(), wanted)


@needs_torch
@pytest.mark.parametrize("given", [False, True])
def test_torch_streams(given):
    """The current stream of torch, or the one given: behind the work that it has, without waiting."""
    made, judge = projection(), projection(backend="reference")
    made(torch.zeros((64, 96), device="cuda"))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        r = torch.zeros((3, 64, 96), device="cuda")
        torch.cuda._sleep(20_000_000)
        r.copy_(torch.from_numpy(RATES))
        out = torch.empty_like(r)
        if not given:
            made(r, out=out)
    if given:
        made(r, out=out, stream=stream)
    stream.synchronize()
    assert_close(out.cpu().numpy(), judge(RATES))
    assert torch.cuda.current_device() == 0


@needs_torch
def test_torch_dlpack_and_network_stream():
    """State handed out by DLPack is the state; a network on torch's stream needs no other synchronisation."""
    stream = torch.cuda.Stream()
    network = ws.Network(backend="cuda", stream=stream)
    population = network.create((64, 96), ws.Neuron(equations="r = r + 1"))
    network.compile()
    network.simulate(1)
    state = torch.from_dlpack(population.device_array())
    assert state.is_cuda and (state == 1).all()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(20_000_000)
        state += 5
    network.simulate(40)
    assert (population.r == 46).all()
    with torch.cuda.stream(stream):
        population.r = torch.full((64, 96), 3.0, device="cuda")
    network.simulate(1)
    assert (population.r == 4).all()


@needs_torch
def test_torch_bad_input():
    made = projection()
    r = torch.zeros((64, 96), device="cuda")
    for wrong, error in (
        (r.double(), TypeError),
        (torch.zeros((96, 64), device="cuda").T, ValueError),
        (torch.zeros((64, 95), device="cuda"), ValueError),
        (torch.zeros((64, 96), device="cuda", requires_grad=True), TypeError),
    ):
        with pytest.raises(error, match=r"^r "):
            made(wrong)
    with pytest.raises(ValueError, match="overlaps"):
        made(r, out=r)
    with pytest.raises(TypeError, match=r"\.cpu\(\)"):
        made.weights = torch.ones((5, 5), device="cuda")


@needs_cupy
@pytest.mark.parametrize("psp", PSPS)
def test_cupy_graph_and_streams(psp):
    made, judge = projection(psp), projection(psp, "reference")
    r, out = cupy.asarray(RATES), cupy.empty((3, 64, 96), cupy.float32)
    made(r, out=out)
    assert_close(out.get(), judge(RATES))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.runtime.deviceSynchronize()
    with stream:
        stream.begin_capture()
        made(r, out=out)
        graph = stream.end_capture()
    r.set(2 * RATES)
    cupy.cuda.runtime.deviceSynchronize()
    graph.launch(stream)
    stream.synchronize()
    assert_close(out.get(), judge(2 * RATES))
    r.set(RATES)
    cupy.cuda.runtime.deviceSynchronize()
    made(r, out=out, stream=stream)
    stream.synchronize()
    assert_close(out.get(), judge(RATES))
