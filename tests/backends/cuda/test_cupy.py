"""The CuPy backend: what it needs, and what it does with memory. That it computes the same is in the other files."""

from __future__ import annotations

import os

import numpy as np
import pytest

import weightsharing as ws
from strategies.processes import output_of
from weightsharing.backends import cupy, device_modules
from weightsharing.backends.device_modules import device_module

USABLE = ws.backends()["cupy"] == "usable"
usable = pytest.mark.skipif(not USABLE, reason="needs the CuPy backend")


class Driver:
    """A module `_cupy` on a machine that can be told what it is like."""

    def __init__(self, reason="", version=13000):
        self.reason, self.version = reason, version

    def why_not(self):
        return self.reason

    def driver_version(self):
        return self.version

    def architecture(self, device):
        return 90


class Nvrtc:
    version = (13, 0)

    def __init__(self, *architectures):
        self.architectures = frozenset(architectures)


def fail():
    raise OSError("libcudart.so.13: cannot open")


@pytest.mark.parametrize(
    ("installed", "driver", "imported", "compiler", "reason"),
    (
        (False, Driver(), object, Nvrtc(90), "CuPy is not installed: pip install"),
        (True, Driver("no NVIDIA driver (libcuda.so.1)"), fail, "none", "no NVIDIA driver"),
        (True, Driver("no CUDA device"), fail, "none", "no CUDA device"),
        (True, Driver(), fail, Nvrtc(90), "CuPy cannot be imported (OSError: libcudart"),
        (True, Driver(), object, "it is missing", "pip install nvidia-cuda-nvrtc (it is missing)"),
        (True, Driver(version=12080), object, Nvrtc(90), "it knows CUDA 12.8, NVRTC compiles for CUDA 13.0"),
        (True, Driver(), object, Nvrtc(80, 100), "NVRTC 13.0 cannot compile for this device (sm_90)"),
        (True, Driver(version=13020), object, Nvrtc(80, 90, 100), ""),
    ),
)
def test_why_not(monkeypatch, installed, driver, imported, compiler, reason):
    """The first thing that is missing, and CuPy is imported only when nothing else is."""
    monkeypatch.setattr(device_modules, "emulated", lambda: False)
    monkeypatch.setattr(
        device_modules.importlib.util, "find_spec", lambda name: object() if installed else None
    )
    monkeypatch.setattr(device_modules, "driver_module", lambda: driver)
    monkeypatch.setattr(device_modules, "library", imported)
    monkeypatch.setattr(device_modules, "find_compiler", lambda: compiler)
    said = device_modules.why_not_cupy.__wrapped__()
    assert reason in said and bool(said) == bool(reason)


def test_without_a_driver():
    said = output_of(
        """
        from weightsharing import _cupy
        _cupy.set_driver("/nowhere/libcuda.so.1")
        print(_cupy.device_count(), _cupy.driver_version(), _cupy.why_not())
        try:
            _cupy.Array([3], "float32")
        except RuntimeError as error:
            print(error)
        """
    )
    assert said.startswith("0 0 no NVIDIA driver (/nowhere") and "CUDA cannot be used: no NVIDIA" in said


def test_with_a_library_that_is_no_driver():
    said = output_of(
        """
        from weightsharing import _core, _cupy
        _cupy.set_driver(_core.__file__)
        print(_cupy.device_count(), _cupy.why_not())
        """
    )
    assert said == "0 the NVIDIA driver is too old: its library has no function cuInit\n"


@pytest.mark.skipif(os.environ.get("WEIGHTSHARING_CUDA") != "emulated", reason="needs the emulation")
def test_memory_is_given_back():
    """Many networks one after the other fit where two at a time do not."""
    said = output_of(
        """
        import gc
        import weightsharing as ws
        for k in range(5):
            network = ws.Network(backend="cupy")
            population = network.create(100_000, ws.Neuron(equations="r += 1"))
            network.compile()
            network.simulate(2)
            print(population.r[-1])
            del network, population
            gc.collect()  # populations and networks know each other
        """,
        WEIGHTSHARING_EMULATION_MEMORY="700000",
    )
    assert said == "2.0\n" * 5


@pytest.mark.skipif(os.environ.get("WEIGHTSHARING_CUDA") != "emulated", reason="needs the emulation")
def test_the_caller_keeps_its_context():
    """A network on another device leaves the thread the context that it had, also none."""
    said = output_of(
        """
        import ctypes
        import numpy as np
        import weightsharing as ws
        from cupy_emulated import _driver

        def context():
            current = ctypes.c_void_p()
            assert not _driver.cuCtxGetCurrent(ctypes.byref(current))
            return current.value

        for wanted in (None, 1, 2):  # none, device 0, device 1
            assert not _driver.cuCtxSetCurrent(ctypes.c_void_p(wanted))
            with ws.Network(backend="cupy", device=1) as network:
                pre, post = ws.Population((4, 4)), ws.Population((4, 4), ws.Neuron(equations="r = sum(exc)"))
                join = ws.Convolution(pre, post, "exc", "w*pre.r**2").connect_filter(np.ones((3, 3)), padding=2.0)
            network.compile()
            pre.r = 2.0
            network.simulate(3)
            print(post.r[0, 0], join(np.ones((4, 4)))[1, 1], post.device_array().__dlpack_device__(), context())
        """,
        WEIGHTSHARING_EMULATION_DEVICES="2",
    )
    assert said == "".join(f"36.0 9.0 (2, 1) {context}\n" for context in (None, 1, 2))


@usable
def test_allocator_that_fails():
    """What the allocator raises comes through; with the right one everything goes on."""
    module = device_module("cupy")

    def broken(bytes, device):
        raise ZeroDivisionError("allocator")

    module.set_allocator(broken)
    try:
        with pytest.raises(ZeroDivisionError, match="allocator"):
            module.Array([3], "float32")
    finally:
        module.set_allocator(cupy.allocate)
    array = module.Array([3], "float32")
    array.upload(np.arange(3, dtype=np.float32))
    back = np.empty(3, np.float32)
    array.download(back)
    assert back.tolist() == [0, 1, 2]


@usable
def test_every_kernel_has_a_name_and_an_expression():
    module = device_module("cupy")
    expressions = module.kernel_expressions()
    assert sorted(expressions) == sorted(module.kernel_names())
    assert expressions["bank_gemm<double, 32>"] == "bank_gemm<double, 32, 64, 4, 4>"
