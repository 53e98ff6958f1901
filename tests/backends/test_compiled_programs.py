"""Psps and equations compiled into kernels, instead of interpreted by them.

Without a GPU the imitated NVRTC has the C++ compiler do it, see tests/emulation/nvrtc_emulated.py.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import weightsharing as ws
from strategies.agreement import Judge, draw_case
from strategies.backends import ON_GPU
from weightsharing import _core
from weightsharing.backends import device_modules, nvrtc
from weightsharing.backends.cuda import CudaExecutor
from weightsharing.backends.device_modules import device_module
from weightsharing.description.projections import SharedDescription, SynapsesDescription
from weightsharing.language.expression import parse_psp

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.7, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan]
CONSTANTS = [*SPECIAL, 1 / 3, 5e-324, 1.7e308, -(2.0**-126)]


def is_missing_compiler():
    if os.environ.get("WEIGHTSHARING_CUDA") != "emulated":
        return isinstance(nvrtc.find_compiler(), str)
    import nvrtc_emulated

    return nvrtc_emulated.find_compiler() is None


needs_compiler = pytest.mark.skipif(
    not ON_GPU or is_missing_compiler(), reason="needs a GPU backend and NVRTC, or a C++ compiler"
)


@pytest.fixture(params=ON_GPU)
def backend(request):
    """A backend; `compiled` decides what it does with programs, in the end what it did before."""
    yield request.param
    compiled(request.param, os.environ.get("WEIGHTSHARING_PROGRAMS") != "interpreted")


def compiled(backend, programs):
    device_modules.set_compiler(device_module(backend), programs)


def every_operation():
    """Every operation on the inputs x, y and z, and every awkward constant, each an output."""
    names = _core.opcodes()
    code = [(names.index("load"), slot, slot, 0, 0) for slot in range(3)]
    output = 0
    for name in names:
        if name not in ("constant", "load", "store", "uniform", "normal"):
            code.append((names.index(name), 3, 0, 1, 2))
            code.append((names.index("store"), output, 3, 0, 0))
            output += 1
    for occurrence, name in enumerate(("uniform", "normal", "uniform", "normal")):
        code.append((names.index(name), 3, occurrence, 0, 0))
        code.append((names.index("store"), output, 3, 0, 0))
        output += 1
    for k in range(len(CONSTANTS)):
        code.append((names.index("constant"), 3, k, 0, 0))
        code.append((names.index("store"), output, 3, 0, 0))
        output += 1
    rows = np.array(code, np.int32)
    return _core.Program(code=rows, constants=CONSTANTS, slots=4, inputs=3, outputs=output), output


@needs_compiler
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_every_operation_is_that_of_the_interpreter(backend, dtype):
    program, outputs = every_operation()
    with np.errstate(over="ignore"):
        inputs = [part.ravel().astype(dtype) for part in np.meshgrid(SPECIAL, SPECIAL, [0.0, 7.0])]
    module = device_module(backend)
    results = []
    for programs in (True, False):
        compiled(backend, programs)
        there = [module.Array([one.size], dtype) for one in (*inputs, *[inputs[0]] * outputs)]
        for array, values in zip(there, inputs, strict=False):
            array.upload(values)
        schedule = module.Schedule(dtype, 1.0, together=False)
        schedule.update(program, there[:3], there[3:], 1, inputs[0].size, 3, 0, 0)
        schedule.run(0, 1)
        back = [np.empty_like(inputs[0]) for _ in range(outputs)]
        for array, values in zip(there[3:], back, strict=True):
            array.download(values)
        results.append(np.array(back))
    np.testing.assert_array_equal(*results)
    # Zeros compare equal whatever their sign is.
    zero = results[0] == 0
    np.testing.assert_array_equal(np.signbit(results[0][zero]), np.signbit(results[1][zero]))
    with np.errstate(over="ignore"):
        expected = np.array(CONSTANTS).astype(dtype)
    np.testing.assert_array_equal(results[0][-len(CONSTANTS) :, 0], expected)


PSP = parse_psp("max(w, pre.r) + (0.5 if pre.r < w else exp(-(w-pre.r)**2))")
KERNELS = {
    "window": SharedDescription((9, 8), (9, 8), ((3, 2),), padding="wrap", psp=PSP),
    "a constant g": SharedDescription((5, 4), (5, 4), ((3, 2),), padding=1.0, psp=parse_psp("w")),
    "listed centres": SharedDescription(
        (9, 8), (3,), ((3, 3),), operation="mean", centres=np.array([[2, 0], [8, 7], [5, 5]]), psp=PSP
    ),
    "short rows": SynapsesDescription((3,), (2,), np.array([0, 2, 3]), np.array([0, 2, 1]), psp=PSP),
    "long rows": SynapsesDescription((50,), (1,), np.array([0, 50]), np.arange(50), "max", psp=PSP),
}


@needs_compiler
@pytest.mark.parametrize("case", KERNELS)
def test_every_kernel_with_a_psp(backend, case):
    compiled(backend, True)
    rates, weights = draw_case(KERNELS[case], False, np.float32, 3, "rates", 2)
    executor = CudaExecutor(KERNELS[case], np.float32, backend)
    Judge(KERNELS[case], rates, weights).check(executor, True)
    assert executor.describe()["program"] == "compiled by NVRTC"
    compiled(backend, False)
    assert CudaExecutor(KERNELS[case], np.float32, backend).describe()["program"] == "interpreted"


@needs_compiler
def test_network(backend, monkeypatch):
    """Equations, g of a psp that splits, padding that g is applied to; captured and replayed.

    Work that shares a launch is interpreted, with the same bits as programs in launches of their own.
    """
    neuron = ws.Neuron(
        parameters="tau = 10.0 : population",
        equations="tau*dv/dt + v = sum(exc) : max=4.0\nn += 1 : population\n"
        "r = v + 0.1*sin(t) + n + Uniform(0, 1) * Normal(0, 1)",
    )
    results = []
    for where, programs, launches in (
        (backend, True, "apart"),
        (backend, True, "together"),
        (backend, False, "together"),
        ("reference", False, ""),
    ):
        monkeypatch.setenv("WEIGHTSHARING_CUDA_LAUNCHES", launches)
        if where == backend:
            compiled(backend, programs)
        with ws.Network(dtype="float64", seed=1) as network:
            pre, post = ws.Population((6, 8)), ws.Population((6, 8), neuron)
            projection = ws.Convolution(pre, post, "exc", psp="w*exp(-pre.r)", backend=where)
            projection.connect_filter(np.random.default_rng(0).normal(size=(3, 3)), padding=0.5)
        network.compile(where)
        pre.r = np.random.default_rng(2).normal(size=(6, 8))
        network.simulate(40)
        results.append((post.r, post.v))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_allclose(results[0], results[3], rtol=1e-12, atol=1e-12)


def test_text_holds_names_and_numbers_only():
    program, _ = every_operation()
    text = program.text()
    assert "const T v3 = op_add(v0, v1);" in text and "op_select(v0, v1, v2)" in text
    assert "T(0x15555555555555p-54)" in text  # 1/3
    for line in text.splitlines()[2:-1]:
        assert line.startswith(("  const T v", "  store(")) and line.endswith(");")


def test_slot_read_before_it_is_written():
    code = np.array([[_core.opcodes().index("negate"), 0, 0, 0, 0]], np.int32)
    with pytest.raises(ValueError, match="read before"):
        _core.Program(code=code, constants=[], slots=1, inputs=0, outputs=0).text()


class Recorder:
    """A compiler that counts."""

    version = (13, 0)
    architectures = frozenset((80, 90))
    calls = 0

    def compile(self, source, headers, options, kernel):
        assert options[-1] in ("-arch=sm_80", "-arch=sm_90")
        self.calls += 1
        if "broken" in source:
            raise nvrtc.CompilerError("kernel.cu(7): error: identifier undefined")
        return f"code {self.calls}\n\0".encode(), f"entry of {kernel}"


def test_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSHARING_CACHE", str(tmp_path / "new"))
    compiler, headers = Recorder(), {"a.cuh": "text"}
    first = nvrtc.compile_kernel(compiler, headers, "copy<float>", "", 90)
    assert first == (b"code 1\n\0", "entry of copy<float>")
    assert nvrtc.compile_kernel(compiler, headers, "copy<float>", "", 90) == first
    # Whatever the code depends on.
    for other in (
        ({"a.cuh": "texts"}, "copy<float>", "", 90),
        (headers, "copy<double>", "", 90),
        (headers, "copy<float>", "program", 90),
        (headers, "copy<float>", "", 80),
    ):
        assert nvrtc.compile_kernel(compiler, *other) != first
    assert compiler.calls == 5
    for content in (b"", b"nonsense", b"0\n\n", None):
        for file in (tmp_path / "new").iterdir():
            file.write_bytes(file.read_bytes()[:-1] if content is None else content)
        calls = compiler.calls
        nvrtc.compile_kernel(compiler, headers, "copy<float>", "", 90)
        assert compiler.calls == calls + 1
    assert nvrtc.compile_kernel(compiler, headers, "copy<float>", "", 90)[0] == b"code 9\n\0"


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WEIGHTSHARING_CACHE", str(tmp_path / "file"))
    compiler = Recorder()
    for calls in (1, 2):
        nvrtc.compile_kernel(compiler, {}, "copy<float>", "", 90)
        assert compiler.calls == calls


def test_devices_newer_than_nvrtc():
    """Code for 8.0 runs on 8.9, code for 9.0 on nothing that came later."""
    assert [nvrtc.target_of(Recorder(), one) for one in (75, 80, 89, 90, 100)] == [None, 80, 80, 90, None]


def test_source_that_does_not_compile(tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTSHARING_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"internal error: NVRTC 13.0.* sm_90(.|\n)*identifier undefined"):
        nvrtc.compile_kernel(Recorder(), {}, "update<float>", "broken", 90)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("cupy" not in ON_GPU, reason="needs the CuPy backend")
def test_compiler_error_leaves_the_network_usable(monkeypatch):
    """The error comes before anything runs; with a compiler that works the same network goes on."""
    monkeypatch.setenv("WEIGHTSHARING_CUDA_LAUNCHES", "apart")  # what shares a launch is not compiled
    with ws.Network(backend="cupy") as network:
        population = ws.Population(3, ws.Neuron(equations="r += 12.5"))
    network.compile()
    network.simulate(1)
    other = ws.Network(backend="cupy")
    second = other.create(3, ws.Neuron(equations="r += 13.5"))
    module = device_module("cupy")

    def refuse(kernel, program, architecture):
        raise nvrtc.CompilerError("no")

    module.set_compiler(refuse, True)
    try:
        with pytest.raises(nvrtc.CompilerError, match="no"):
            other.compile()
            other.simulate(1)
    finally:
        compiled("cupy", os.environ.get("WEIGHTSHARING_PROGRAMS") != "interpreted")
    network.simulate(1)
    other.compile()
    other.simulate(1)
    assert (population.r[0], second.r[0]) == (25, 13.5)


def test_modules_carry_the_sources():
    sources = device_module(ON_GPU[0]).kernel_sources() if ON_GPU else {}
    for name, text in sources.items():
        for line in text.splitlines():
            if line.startswith('#include "') and "emulation.h" not in line:
                assert line.split('"')[1] in sources, f"{name} includes what NVRTC is not given: {line}"


def test_find_compiler_says_what_is_missing(monkeypatch):
    monkeypatch.setenv("WEIGHTSHARING_CUDA", "")
    for name in ("cuda.bindings.nvrtc", "cupy.cuda"):
        monkeypatch.setitem(sys.modules, name, None)
    reason = nvrtc.find_compiler.__wrapped__()
    assert isinstance(reason, str) and "cuda.bindings" in reason and "cupy" in reason
