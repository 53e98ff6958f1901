"""`Storage`: where the arrays of one network are now, in Python or on a device."""

from __future__ import annotations

from typing import Any

from ..backends.device_modules import device_array_view
from ..checks.device_arrays import current_stream
from ..checks.errors import StateError
from ..checks.shapes import Array, Shape
from ..description.schedule import Runner


class Storage:
    """The way to arrays that a runner may keep copies of.

    Attributes
    ----------
    runner
        What repeats the step of the network; None before it is compiled, when the arrays are all there is.
    """

    def __init__(self) -> None:
        self.runner: Runner | None = None

    def fetch(self, array: Array) -> Array:
        """Return an array, up to date."""
        if self.runner is not None:
            self.runner.fetch(array)
        return array

    def fill(self, array: Array, values: Any) -> None:
        """Assign to all of an array."""
        array[...] = values
        if self.runner is not None:
            self.runner.assigned(array)

    def on_device(self, array: Array, name: str) -> Any:
        """Return the twin of an array on the device that the network is compiled for.

        Raises
        ------
        StateError
            If there is no such device.
        ValueError
            If no step uses the array; `name` is said in the message.
        """
        if self.runner is None or self.runner.device is None:
            raise StateError(
                "there is no device array: the network is not compiled for the backend 'cuda' or 'cupy'."
            )
        twin = self.runner.device_array(array)
        if twin is None:
            raise ValueError(f"{name} is not on the device: nothing in a step uses it.")
        return twin

    def assign_on_device(self, array: Array, name: str, values: Any, shape: Shape) -> None:
        """Assign an array that lies on a device to one of the network, within the device.

        Raises
        ------
        TypeError
            If the network is not compiled for a device, or the dtype is another one.
        ValueError
            If the shape (that of the array or `shape`) or the device is another one, or no step uses the array.
        """
        if self.runner is None or self.runner.device is None:
            raise TypeError(
                f"{name}: the array lies on a CUDA device, and the network is not compiled for one; copy it to the "
                "host first, with .get() (CuPy) or .cpu() (torch)."
            )
        stream = current_stream(values)
        view = device_array_view(name, values, stream, self.runner.backend)
        if view.dtype != array.dtype:
            raise TypeError(
                f"{name} has dtype {view.dtype}; expected {array.dtype}, as nothing is converted there."
            )
        if view.shape not in (shape, array.shape):
            raise ValueError(f"{name} has the shape {view.shape}; expected {shape}.")
        if view.device not in (None, self.runner.device):
            raise ValueError(
                f"{name} lies on device {view.device}, the network on device {self.runner.device}."
            )
        if not self.runner.assign_on_device(array, view, stream):
            raise ValueError(f"{name} is not on the device: nothing in a step uses it.")
