"""Arrays of other libraries on a CUDA device: taken as they lie, computed on their stream, never copied."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .numbers import whole_number
from .shapes import Shape

CUDA, CUDA_MANAGED = 2, 13  # kinds of devices that DLPack knows


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
        Number of the device, or None where nothing says it.
    """

    address: int
    shape: Shape
    dtype: np.dtype[Any]
    read_only: bool
    device: int | None


@dataclass(frozen=True)
class DeviceStream:
    """A stream that the caller owns.

    Attributes
    ----------
    address
        Of the CUDA stream.
    device
        Number of its device, or None where its library does not say it.
    owner
        What keeps it alive.
    """

    address: int
    device: int | None = None
    owner: Any = field(default=None, compare=False)


def device_stream(stream: Any) -> DeviceStream | None:
    """Return the stream that a user gave: an address, or a stream of CuPy, torch or another library.

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    if stream is None:
        return None
    device = getattr(stream, "device_id", getattr(getattr(stream, "device", None), "index", None))
    if hasattr(stream, "__cuda_stream__"):
        owned = stream.__cuda_stream__
        address = (owned() if callable(owned) else owned)[1]
    else:
        address = getattr(stream, "cuda_stream", getattr(stream, "ptr", stream))
    try:
        address = whole_number("stream", address)
    except TypeError:
        raise TypeError(
            f"stream is a {type(stream).__name__}; expected the address of a CUDA stream, a stream of CuPy or torch, "
            "or an object with __cuda_stream__."
        ) from None
    if not 0 <= address < 2**64:
        raise ValueError(f"stream is {address}; expected the address of a CUDA stream.")
    return DeviceStream(address, device if isinstance(device, int) and device >= 0 else None, stream)


def is_device_array(array: Any) -> bool:
    """Whether an array lies on a CUDA device: CuPy's, torch's CUDA tensors, anything with the array interface or
    DLPack that says so.

    A torch tensor on the CPU has the attributes too, and raises when it is asked for the first.
    """
    if isinstance(array, np.ndarray):
        return False
    try:
        if hasattr(array, "__cuda_array_interface__"):
            return True
    except RuntimeError:  # a torch tensor that requires a gradient
        return True
    return _dlpack_device(array) is not None


def _dlpack_device(array: Any) -> int | None:
    """Number of the CUDA device that DLPack says the array lies on, or None."""
    if isinstance(array, type) or not hasattr(array, "__dlpack_device__"):
        return None
    try:
        kind, number = array.__dlpack_device__()
    except (BufferError, RuntimeError, ValueError):  # a place that DLPack has no number for
        return None
    return int(number) if kind in (CUDA, CUDA_MANAGED) else None


def device_view(name: str, array: Any, cuda: Any, stream: int = 0) -> DeviceView:
    """Look at an array on a device.

    Parameters
    ----------
    name
        Of the argument, for messages.
    array
        For which `is_device_array` holds.
    cuda
        The compiled module.
    stream
        That the array will be used on, 0 for the legacy one.

    Raises
    ------
    TypeError, ValueError
        If it is not C-contiguous, or refuses to be looked at.
    """
    try:
        interface = getattr(array, "__cuda_array_interface__", None)
    except RuntimeError as error:
        raise TypeError(f"{name} cannot be taken from the device: {error}") from error
    if interface is not None:
        address, read_only = interface["data"]
        shape, dtype = tuple(int(size) for size in interface["shape"]), np.dtype(interface["typestr"])
        strides = interface.get("strides")
    else:
        try:
            address, shape, typestr, strides, read_only = cuda.dlpack_view(_capsule(array, stream or 1))
        except (BufferError, TypeError) as error:
            raise TypeError(f"{name} cannot be taken from the device: {error}") from error
        dtype = np.dtype(typestr)
        strides = strides and tuple(step * dtype.itemsize for step in strides)
    if strides is not None and not _in_c_order(shape, strides, dtype.itemsize):
        raise ValueError(
            f"{name} is not C-contiguous; make it so with its library's ascontiguousarray() or contiguous()."
        )
    return DeviceView(
        int(address), shape, dtype, bool(read_only), _device_of(name, array, int(address), cuda)
    )


def _capsule(array: Any, stream: int) -> Any:
    try:
        return array.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # from before DLPack had versions
        return array.__dlpack__(stream=stream)


def _in_c_order(shape: Shape, strides: Shape, itemsize: int) -> bool:
    expected = itemsize
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def _device_of(name: str, array: Any, address: int, cuda: Any) -> int | None:
    device = getattr(array, "device", None)
    for number in (device, getattr(device, "id", None), getattr(device, "index", None)):
        if isinstance(number, int):
            return number
    number = _dlpack_device(array)
    if number is None and address:
        number = int(cuda.device_of(address))
        if number == -2:
            raise ValueError(f"{name} says that it lies on a CUDA device, but its memory is the host's.")
    return None if number == -1 else number


def current_stream(array: Any) -> int:
    """Address of the stream that the array's library works on now; the legacy default stream if it has none."""
    library = type(array).__module__.partition(".")[0]
    # Only libraries that are imported already can have made the array.
    if library == "torch":
        return int(sys.modules["torch"].cuda.current_stream(array.device).cuda_stream)
    if library == "cupy":
        with array.device:
            return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    interface = getattr(array, "__cuda_array_interface__", {})
    return int(interface.get("stream") or 0)


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
        with array.device:
            return sys.modules["cupy"].empty(shape, dtype=array.dtype)
    raise TypeError(f"out is needed: a {type(array).__name__} gives no way to make another array; pass out=.")
