"""Arrays of other libraries on a CUDA device: taken as they lie, computed on their stream, never copied."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from .description import Shape


@dataclass(frozen=True)
class DeviceView:
    """Where an array lies on a device.

    Attributes
    ----------
    address
        Of its first element.
    shape, dtype
        As NumPy has them.
    read_only
        Whether it must not be written to.
    device
        Number of the device, or None where the interface does not say.
    """

    address: int
    shape: Shape
    dtype: np.dtype[Any]
    read_only: bool
    device: int | None


def is_device_array(array: Any) -> bool:
    """Whether an array lies on a CUDA device: CuPy's, torch's CUDA tensors, anything with the array interface.

    A torch tensor on the CPU has the attribute too, and raises when it is asked for it.
    """
    try:
        return hasattr(array, "__cuda_array_interface__")
    except RuntimeError:  # a torch tensor that requires a gradient
        return True


def device_view(name: str, array: Any) -> DeviceView:
    """Look at an array on a device.

    Raises
    ------
    TypeError, ValueError
        If it is not C-contiguous, or refuses to be looked at.
    """
    try:
        interface = array.__cuda_array_interface__
    except RuntimeError as error:
        raise TypeError(f"{name} cannot be taken from the device: {error}") from error
    shape = tuple(int(size) for size in interface["shape"])
    dtype = np.dtype(interface["typestr"])
    strides = interface.get("strides")
    expected = []
    step = dtype.itemsize
    for size in reversed(shape):
        expected.append(step)
        step *= size
    if strides is not None and any(
        have != want and size > 1 for have, want, size in zip(strides, reversed(expected), shape, strict=True)
    ):
        raise ValueError(
            f"{name} is not C-contiguous; make it so with its library's ascontiguousarray() or contiguous()."
        )
    address, read_only = interface["data"]
    device = getattr(
        getattr(array, "device", None), "id", getattr(getattr(array, "device", None), "index", None)
    )
    return DeviceView(int(address), shape, dtype, bool(read_only), device)


def current_stream(array: Any) -> int:
    """Address of the stream that the array's library works on now; the legacy default stream if it has none."""
    library = type(array).__module__.partition(".")[0]
    # Only libraries that are imported already can have made the array.
    if library == "torch":
        return int(sys.modules["torch"].cuda.current_stream(array.device).cuda_stream)
    if library == "cupy":
        return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return 0


def empty_like(array: Any, shape: Shape) -> Any:
    """A new array of the same library, dtype and device.

    Raises
    ------
    TypeError
        If the library is another one than CuPy or torch.
    """
    library = type(array).__module__.partition(".")[0]
    if library == "torch":
        return sys.modules["torch"].empty(shape, dtype=array.dtype, device=array.device)
    if library == "cupy":
        return sys.modules["cupy"].empty(shape, dtype=array.dtype)
    raise TypeError(f"out is needed: a {type(array).__name__} gives no way to make another array; pass out=.")
