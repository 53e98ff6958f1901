"""What the backends that compute on the host's own arrays have in common: there is nothing on a device."""

from __future__ import annotations

from typing import Any

from ..checks.device_arrays import DeviceView
from ..checks.shapes import Array


class HostExecutor:
    """Part of every executor that computes arrays of the host."""

    in_graph = False

    def run_on_device(self, rates: DeviceView, out: DeviceView, batch: int, stream: int) -> None:
        """Raise TypeError: arrays on a device are for the backends of a GPU."""
        raise TypeError(f"a {type(self).__name__} computes arrays of the host, not those on a device.")


class HostRunner:
    """Part of every runner that computes on the arrays themselves."""

    done = 0
    device: int | None = None

    def fetch(self, array: Array) -> None:
        """Nothing to do: there is one array only."""

    def assigned(self, array: Array) -> None:
        """Nothing to do: there is one array only."""

    def device_array(self, array: Array) -> Any:
        """None: there is no twin on a device."""
        return None

    def assign_on_device(self, array: Array, values: DeviceView, stream: int) -> bool:
        """False: there is no twin on a device."""
        return False

    def launches(self, recording: bool = False) -> list[str]:
        """No kernels."""
        return []
