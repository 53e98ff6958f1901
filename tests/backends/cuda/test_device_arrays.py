"""Arrays on the device: DLPack, assignment, and those that do not fit."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import weightsharing as ws
from strategies.backends import emulated
from strategies.device_arrays import RATES, back, projection
from strategies.gpu import Borrowed, on_device
from weightsharing.backends import device_modules
from weightsharing.checks.device_arrays import CUDA


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


# --- Arrays that do not fit ---


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
