"""The CUDA backend: the same descriptions and schedules, on a device, state and all.

The compiled module is imported at the first question whether CUDA can be used, never before.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..arrays import Array
from ..description import Description, PoolingDescription, SharedDescription
from ..device_arrays import DeviceStream, DeviceView, device_view
from ..expressions import OPCODES
from ..schedule import ClearSum, Project, PushHistory, Recording, Schedule, Update
from .cpu import core_geometry, core_program, core_psp

_NOISE = [OPCODES.index("uniform"), OPCODES.index("normal")]


@cache
def module(name: str) -> Any:
    """Import a compiled CUDA module of the package, or return the reason why that fails."""
    try:
        return importlib.import_module(f"weightsharing.{name}")
    except ImportError as error:
        return str(error)


def is_emulated() -> bool:
    """Whether the kernels run on the CPU, in the emulation: for tests, and built for them only."""
    return os.environ.get("WEIGHTSHARING_CUDA") == "emulated"


def _module() -> Any:
    return module("_cuda_emulated" if is_emulated() else "_cuda")


def device_count() -> int:
    """Return the number of CUDA devices; 0 where CUDA cannot be used."""
    return 0 if why_not_cuda() else int(_module().device_count())


def why_not_cuda() -> str:
    """Say why CUDA cannot be used here; an empty text if it can."""
    found = _module()
    if isinstance(found, str):
        return f"not built, because no nvcc was found when the package was installed ({found})"
    return str(found.why_not())


def device_array_view(name: str, array: Any, stream: int) -> DeviceView:
    """Look at an array on a device that will be used on a stream; see `device_view`."""
    return device_view(name, array, _module(), stream)


def capturing(stream: int, device: int) -> bool:
    """Whether what is launched on a stream becomes part of a graph."""
    return bool(_module().capturing(stream, device))


class CudaExecutor:
    """One connected projection on a CUDA device; arrays of the host are copied there and back.

    Attributes
    ----------
    in_graph
        Whether a call was captured into a graph of the caller, which then names the memory of the weights.
    """

    def __init__(self, description: Description, dtype: Any, device: int = 0) -> None:
        self.in_graph = False
        self._dtype = np.dtype(dtype).name
        self._arrays: dict[int, tuple[Any, Any]] = {}  # by number of trials
        engine = _module().Engine
        geometry = core_geometry(description)
        psp = core_psp(description)
        if isinstance(description, SharedDescription):
            value = 0.0 if isinstance(description.padding, str) else description.padding
            self.engine = engine.shared(
                geometry, description.operation, value, psp, self._dtype, description.algorithm, device
            )
        elif isinstance(description, PoolingDescription):
            self.engine = engine.pooling(geometry, description.operation, psp, self._dtype, device)
        else:
            self.engine = engine.synapses(geometry, description.operation, psp, self._dtype, device)

    def set_weights(self, weights: Sequence[Array]) -> None:
        self.engine.set_weights(list(weights))

    def run(self, rates: Array, out: Array, accumulate: bool) -> None:
        if len(rates) not in self._arrays:
            array = _module().Array
            self._arrays[len(rates)] = (
                array(list(rates.shape), self._dtype, self.engine.device),
                array(list(out.shape), self._dtype, self.engine.device),
            )
        rates_there, out_there = self._arrays[len(rates)]
        rates_there.upload(rates)
        if accumulate:
            out_there.upload(out)
        self.engine.run(rates_there, out_there, accumulate)
        out_there.download(out)

    def run_on_device(self, rates: DeviceView, out: DeviceView, batch: int, stream: int) -> None:
        """Launch on a stream, for arrays on the device, without waiting."""
        self.in_graph = self.in_graph or capturing(stream, self.engine.device)
        self.engine.run_at(rates.address, out.address, batch, False, stream)

    def describe(self) -> dict[str, object]:
        return {"backend": "cuda", **self.engine.describe()}


class CudaRunner:
    """A network's step as a list of launches, captured into a graph and replayed.

    Every array of the schedule has a twin on the device. What Python assigns goes there before the next run,
    what the device computes comes back when Python reads it.
    """

    done = 0

    def __init__(self, schedule: Schedule, device: int = 0, stream: DeviceStream | None = None) -> None:
        cuda = _module()
        self.device = device
        self._stream = stream  # keeps the caller's stream alive
        self._address = 0 if stream is None else stream.address
        self._twins: dict[int, tuple[Array, Any]] = {}
        self._stale_on_device: set[int] = set()
        self._stale_on_host: set[int] = set()
        self._written: set[int] = set()
        self._lent: set[int] = set()
        dtype = np.dtype(schedule.dtype).name
        self._dt = np.array([schedule.dt], dtype=schedule.dtype)
        self._schedule = cuda.Schedule(dtype, schedule.dt, device, stream and stream.address)
        for step in schedule.steps:
            if isinstance(step, ClearSum):
                self._schedule.clear(self._twin(step.out, written=True))
            elif isinstance(step, Project):
                assert isinstance(step.executor, CudaExecutor)
                history = None if step.history is None else self._twin(step.history)
                self._schedule.project(
                    step.executor.engine,
                    self._twin(step.rates),
                    history,
                    step.delay,
                    self._twin(step.out, written=True),
                    step.accumulate,
                )
            elif isinstance(step, Update):
                self._update(step)
            elif isinstance(step, PushHistory):
                self._schedule.push(self._twin(step.rates), self._twin(step.history, written=True))
            else:
                raise ValueError(f"backend 'cuda' cannot do {type(step).__name__} yet; choose 'cpu'.")

    def _twin(self, array: Array, written: bool = False) -> Any:
        key = id(array)
        if key not in self._twins:
            self._twins[key] = (array, _module().Array(list(array.shape), array.dtype.name, self.device))
            self._stale_on_device.add(key)
        if written:
            self._written.add(key)
        return self._twins[key][1]

    def _update(self, step: Update) -> None:
        program = step.neuron.program()
        if np.isin(program.code[:, 0], _NOISE).any():
            raise ValueError("backend 'cuda' cannot draw noise yet; choose 'cpu'.")
        rates = step.arrays["r"]
        batch = rates.shape[0]
        self._each_dt = np.broadcast_to(self._dt, (batch,)).copy()
        inputs = [
            None if name == "t" else self._twin(self._each_dt if name == "dt" else step.arrays[name])
            for name in program.inputs
        ]
        outputs = [self._twin(step.arrays[name], written=True) for name in program.outputs]
        self._schedule.update(core_program(program), inputs, outputs, batch, rates.size // batch)

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        self.done = 0
        for key in list(self._stale_on_device):
            array, twin = self._twins[key]
            twin.upload(array, self._address)
            self._stale_on_device.discard(key)
        self._stale_on_host |= self._written
        self._schedule.run(first, steps)
        self.done = steps

    def fetch(self, array: Array) -> None:
        key = id(array)
        if key in self._stale_on_host or key in self._lent:
            self._twins[key][1].download(array, self._address)
            self._stale_on_host.discard(key)

    def assigned(self, array: Array) -> None:
        key = id(array)
        if key in self._lent:
            self._twins[key][1].upload(array, self._address)
            self._stale_on_host.discard(key)
        elif key in self._twins:
            self._stale_on_host.discard(key)
            self._stale_on_device.add(key)

    def device_array(self, array: Array) -> Any:
        """The twin of an array, up to date; None if the schedule does not name the array."""
        key = id(array)
        if key not in self._twins:
            return None
        if key in self._stale_on_device:
            self._twins[key][1].upload(array, self._address)
            self._stale_on_device.discard(key)
        # The caller may write to it at any time: from now on the host asks whenever it reads.
        self._lent.add(key)
        return self._twins[key][1]

    def assign_on_device(self, array: Array, values: DeviceView, stream: int) -> bool:
        """Copy values within the device, after what the stream does now; False if no step names the array."""
        key = id(array)
        if key not in self._twins:
            return False
        self._twins[key][1].copy_from(values.address, stream)
        self._stale_on_device.discard(key)
        self._stale_on_host.add(key)
        return True
