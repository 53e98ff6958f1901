"""The CUDA backend: the same descriptions and schedules, on a device, state and all.

The CuPy backend is the same code over another module, see `device_modules`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks.device_arrays import DeviceStream, DeviceView
from ..checks.shapes import Array
from ..description.projections import Description, PoolingDescription, SharedDescription
from ..description.schedule import Executor, NotFinite, Recording, Schedule
from .core import Geometry, core_geometry, core_psp
from .device_modules import capturing, device_module
from .listing import write


class CudaExecutor:
    """One connected projection on a CUDA device; arrays of the host are copied there and back.

    `geometry` is what `core_geometry` gives, made here if it is left out.

    Attributes
    ----------
    in_graph
        Whether a call was captured into a graph of the caller, which then names the memory of the weights.
    """

    def __init__(
        self,
        description: Description,
        dtype: Any,
        backend: str = "cuda",
        device: int = 0,
        geometry: Geometry | None = None,
    ) -> None:
        self.in_graph = False
        self._backend = backend
        self._dtype = np.dtype(dtype).name
        self._arrays: dict[int, tuple[Any, Any]] = {}  # by number of trials
        engine = device_module(backend).Engine
        geometry = core_geometry(description) if geometry is None else geometry
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


def _engine(executor: Executor) -> Any:
    assert isinstance(executor, CudaExecutor)
    return executor.engine


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
        together = os.environ.get("WEIGHTSHARING_CUDA_LAUNCHES") != "apart"
        dtype, address = np.dtype(schedule.dtype).name, stream and stream.address
        self._schedule = self._module.Schedule(dtype, schedule.dt, device, address, together)
        self._listed = write(schedule, self._schedule, _engine, self._twin, self._written_twin)

    def _written_twin(self, array: Array) -> Any:
        self._written.add(id(array))
        return self._twin(array)

    def _twin(self, array: Array) -> Any:
        key = id(array)
        if key not in self._twins:
            self._twins[key] = (array, self._module.Array(list(array.shape), array.dtype.name, self.device))
            self._stale_on_device.add(key)
        return self._twins[key][1]

    def run(self, first: int, steps: int, recordings: Sequence[Recording] = ()) -> None:
        self.done = 0
        schedule = self._schedule
        records = [(self._twin(r.values), r.ranks, r.rows, r.first, r.period) for r in recordings]
        for key in list(self._stale_on_device):
            array, twin = self._twins[key]
            twin.upload(array, self._address)
            self._stale_on_device.discard(key)
        self._listed.set_frames(schedule)
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
            raise NotFinite(self._listed.checks[number], element, value, step + 1 - first)

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
