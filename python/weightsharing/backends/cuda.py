"""The CUDA backend: the same descriptions and schedules, on a device, state and all.

The compiled module is imported at the first question whether CUDA can be used, never before. The CuPy backend is the
same code over another module.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..checks.device_arrays import DeviceStream, DeviceView, device_view
from ..checks.shapes import Array
from ..description.projections import Description, PoolingDescription, SharedDescription
from ..description.schedule import (
    CheckFinite,
    ClearSum,
    Combine,
    FillHistory,
    Frames,
    GatherHistory,
    NotFinite,
    Project,
    PushHistory,
    Recording,
    Reduce,
    Schedule,
    SetInput,
    Step,
    Update,
)
from .cpu import core_geometry, core_program, core_psp
from .cupy import driver_module
from .nvrtc import compile_kernel, emulated, find_compiler, why_not_for


@cache
def module(name: str) -> Any:
    """Import a compiled CUDA module of the package, or return the reason why that fails."""
    try:
        return importlib.import_module(f"weightsharing.{name}")
    except ImportError as error:
        return str(error)


def _module() -> Any:
    # The emulation runs the kernels on the CPU: for tests, and built for them only.
    return module("_cuda_emulated" if emulated() else "_cuda")


@cache
def device_module(backend: str) -> Any:
    """Return the module of a backend that can be used, ``'cuda'`` or ``'cupy'``, with NVRTC where it is there."""
    found = driver_module() if backend == "cupy" else _module()
    # For comparisons: the interpreter although NVRTC is there.
    _set_compiler(found, os.environ.get("WEIGHTSHARING_PROGRAMS") != "interpreted")
    return found


def _set_compiler(module: Any, programs: bool) -> None:
    """Give NVRTC to a module, if there is one for all devices; `programs`: for psps and equations too."""
    compiler = find_compiler()
    if isinstance(compiler, str):
        return
    for device in range(module.device_count()):
        if why_not_for(compiler, module.driver_version(), module.architecture(device)):
            programs = False
    headers = module.kernel_sources()

    def compile(kernel: str, program: str, architecture: int) -> tuple[bytes, str]:
        return compile_kernel(compiler, headers, kernel, program, architecture)

    module.set_compiler(compile, programs)


def device_count(backend: str) -> int:
    """Return the number of CUDA devices for a backend that can be used."""
    return int(device_module(backend).device_count())


def why_not_cuda() -> str:
    """Say why CUDA cannot be used here; an empty text if it can."""
    found = _module()
    if isinstance(found, str):
        return f"not built, because no nvcc was found when the package was installed ({found})"
    return str(found.why_not())


def device_array_view(name: str, array: Any, stream: int, backend: str) -> DeviceView:
    """Look at an array on a device that will be used on a stream; see `device_view`."""
    return device_view(name, array, device_module(backend), stream)


def capturing(stream: int, device: int, backend: str) -> bool:
    """Whether what is launched on a stream becomes part of a graph."""
    return bool(device_module(backend).capturing(stream, device))


class CudaExecutor:
    """One connected projection on a CUDA device; arrays of the host are copied there and back.

    Attributes
    ----------
    in_graph
        Whether a call was captured into a graph of the caller, which then names the memory of the weights.
    """

    def __init__(self, description: Description, dtype: Any, backend: str = "cuda", device: int = 0) -> None:
        self.in_graph = False
        self._backend = backend
        self._dtype = np.dtype(dtype).name
        self._arrays: dict[int, tuple[Any, Any]] = {}  # by number of trials
        engine = device_module(backend).Engine
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
            array = device_module(self._backend).Array
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
        self.in_graph = self.in_graph or capturing(stream, self.engine.device, self._backend)
        self.engine.run_at(rates.address, out.address, batch, False, stream)

    def describe(self) -> dict[str, object]:
        return {"backend": self._backend, **self.engine.describe()}


class CudaRunner:
    """A network's step as a list of launches, captured into a graph and replayed.

    Every array of the schedule has a twin on the device. What Python assigns goes there before the next run,
    what the device computes comes back when Python reads it.
    """

    done = 0

    def __init__(
        self, schedule: Schedule, backend: str = "cuda", device: int = 0, stream: DeviceStream | None = None
    ) -> None:
        self._module = device_module(backend)
        self.backend, self.device = backend, device
        self._stream = stream  # keeps the caller's stream alive
        self._address = 0 if stream is None else stream.address
        self._twins: dict[int, tuple[Array, Any]] = {}
        self._stale_on_device: set[int] = set()
        self._stale_on_host: set[int] = set()
        self._written: set[int] = set()
        self._lent: set[int] = set()
        self._inputs: list[tuple[int, Frames]] = []
        self._checks: list[CheckFinite] = []
        self._dt = np.array([schedule.dt], dtype=schedule.dtype)
        self._seed, self._first_trial = schedule.seed, schedule.first_trial
        together = os.environ.get("WEIGHTSHARING_CUDA_LAUNCHES") != "apart"
        dtype, address = np.dtype(schedule.dtype).name, stream and stream.address
        self._schedule = self._module.Schedule(dtype, schedule.dt, device, address, together)
        for step in schedule.steps:
            self._add(step)

    def _add(self, step: Step) -> None:
        schedule, twin, written = self._schedule, self._twin, self._written_twin
        if isinstance(step, ClearSum):
            schedule.clear(written(step.out))
        elif isinstance(step, Project):
            assert isinstance(step.executor, CudaExecutor)
            history = None if step.history is None else twin(step.history)
            engine = step.executor.engine
            schedule.project(
                engine, twin(step.rates), history, step.delay, written(step.out), step.accumulate
            )
        elif isinstance(step, Combine):
            schedule.combine(twin(step.values), written(step.out), step.operation, step.divisor)
        elif isinstance(step, GatherHistory):
            schedule.gather_history(twin(step.rates), twin(step.history), step.delays, written(step.out))
        elif isinstance(step, Reduce):
            schedule.statistic(twin(step.values), written(step.out), step.which)
        elif isinstance(step, Update):
            self._update(step)
        elif isinstance(step, PushHistory):
            schedule.push(twin(step.rates), written(step.history))
        elif isinstance(step, FillHistory):
            schedule.fill_history(twin(step.rates), written(step.history))
        elif isinstance(step, SetInput):
            self._inputs.append((schedule.input(written(step.rates), len(step.rates)), step.input))
        else:
            schedule.check_finite(twin(step.values))
            self._checks.append(step)

    def _written_twin(self, array: Array) -> Any:
        self._written.add(id(array))
        return self._twin(array)

    def _twin(self, array: Array) -> Any:
        key = id(array)
        if key not in self._twins:
            self._twins[key] = (array, self._module.Array(list(array.shape), array.dtype.name, self.device))
            self._stale_on_device.add(key)
        return self._twins[key][1]

    def _update(self, step: Update) -> None:
        program = step.neuron.program()
        rates = step.arrays["r"]
        batch = rates.shape[0]
        dt = np.broadcast_to(self._dt, (batch,)).copy()
        inputs = [
            None if name == "t" else self._twin(dt if name == "dt" else step.arrays[name])
            for name in program.inputs
        ]
        outputs = [self._written_twin(step.arrays[name]) for name in program.outputs]
        self._schedule.update(
            core_program(program),
            inputs,
            outputs,
            batch,
            rates.size // batch,
            self._seed,
            step.population,
            self._first_trial,
        )

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        self.done = 0
        schedule = self._schedule
        records = [(self._twin(r.values), r.ranks, r.rows, r.first, r.period) for r in recordings]
        for key in list(self._stale_on_device):
            array, twin = self._twins[key]
            twin.upload(array, self._address)
            self._stale_on_device.discard(key)
        for number, shown in self._inputs:
            schedule.set_frames(number, shown.frames, shown.starts, shown.period, shown.origin)
        self._stale_on_host |= self._written
        schedule.set_records(records)
        if self._lent and self._stream is None:
            # What the user's libraries write on the default stream; the network's own does not wait for that.
            self._module.synchronise(self.device)
        try:
            found = schedule.run(first, steps)
        finally:
            self.done = schedule.done
            schedule.set_records([])
        if found is not None:
            number, element, step, value = found
            raise NotFinite(self._checks[number], element, value, step + 1 - first)

    def launches(self, recording: bool = False) -> list[str]:
        """Name the kernels that a step launches, in order."""
        names: list[str] = self._schedule.launches(recording)
        return names

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
