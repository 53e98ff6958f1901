"""A projection called on plain arrays, of the host or of a device."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..backends.device_modules import capturing, device_array_view
from ..backends.targets import Target, backend_on_gpu, check_stream_device, why_not_on_gpu
from ..checks.arrays import check_output, converted, real_array
from ..checks.device_arrays import DeviceView, current_stream, device_stream, empty_like, is_device_array
from ..checks.errors import StateError
from ..checks.shapes import Array, Shape
from ..state.links import Link


def call(link: Link, r: Any, out: Any, stream: Any) -> Any:
    """Compute plain arrays; see `BaseProjection.__call__`."""
    pre, post = link.description.pre, link.description.post
    if is_device_array(r):
        return _call_on_device(link, pre, post, r, out, stream)
    if stream is not None:
        raise ValueError("stream is given, but r lies on the host; leave stream out, the call waits anyhow.")
    return _call_on_host(link, pre, post, r, out)


def _batch(shape: Shape, pre: Shape) -> Shape:
    """Check the shape of the rates; return the batch axis, if there is one."""
    batch = shape[:1] if len(shape) == len(pre) + 1 else ()
    if shape != (*batch, *pre):
        raise ValueError(
            f"r has the shape {shape}; expected that of pre, {pre}, or with a leading "
            f"batch axis (batch, {', '.join(map(str, pre))})."
        )
    return batch


def _call_on_host(link: Link, pre: Shape, post: Shape, r: Any, out: Any) -> Array:
    rates, dtype = real_array("r", r), link.dtype
    batch = _batch(rates.shape, pre)
    shape = (*batch, *post)
    if out is None:
        out = np.empty(shape, dtype=dtype)
    else:
        check_output(out, shape, dtype, rates)
    trials = prod(batch)
    if trials:
        if rates.dtype != dtype:
            rates = converted("r", rates, dtype)
        rates = np.require(rates, requirements=("C_CONTIGUOUS", "ALIGNED"))
        executor = link.executor_for_call(link.target_on_host())
        executor.run(rates.reshape(trials, *pre), out.reshape(trials, *post), False)
    result: Array = out
    return result


def _call_on_device(link: Link, pre: Shape, post: Shape, r: Any, out: Any, stream: Any) -> Any:
    """Compute arrays that lie on a CUDA device, without waiting."""
    asked, dtype = link.asked(), link.dtype
    backend = _device_backend(asked)
    given = device_stream(stream)
    address = current_stream(r) if given is None else given.address
    rates = device_array_view("r", r, address, backend)
    if rates.dtype != dtype:
        raise TypeError(f"r has dtype {rates.dtype}; expected {dtype}, arrays on a device are not converted.")
    batch = _batch(rates.shape, pre)
    shape = (*batch, *post)
    out = empty_like(r, shape) if out is None else out
    if not is_device_array(out):
        raise TypeError(
            f"out is a {type(out).__name__} of the host; expected an array on the device, as r is."
        )
    result = device_array_view("out", out, address, backend)
    if (result.shape, result.dtype) != (shape, dtype) or result.read_only:
        kind = "read-only " if result.read_only else ""
        raise ValueError(
            f"out is a {kind}{result.dtype} array of the shape {result.shape}; expected a writable {dtype} "
            f"array of the shape {shape}."
        )
    device = _common_device(asked, rates, result)
    if given is not None:
        check_stream_device(given, device)
    if _overlap(rates, result):
        raise ValueError("out overlaps r; give an array of its own.")
    if prod(batch):
        target = Target(backend, device=device)
        if capturing(address, device, backend) and not link.executors.ready_for_call(
            link.connected(), target
        ):
            raise StateError(
                "the stream is captured, and the projection has nothing on the device yet or new weights: call "
                "it once with arrays of this shape before the capture."
            )
        link.executor_for_call(target).run_on_device(rates, result, prod(batch), address)
    return out


def _device_backend(asked: Target) -> str:
    """Return the backend for arrays on a device, or raise ValueError if there is none."""
    if asked.backend != "auto" and not asked.on_gpu:
        raise ValueError(
            f"r lies on a CUDA device, but the projection or its network asks for the backend "
            f"{asked.backend!r}; give it backend='cuda', 'cupy' or 'auto'."
        )
    backend = backend_on_gpu(asked)
    if backend is None:
        raise ValueError(f"r lies on a CUDA device, but CUDA cannot be used here: {why_not_on_gpu()}.")
    return backend


def _common_device(asked: Target, rates: DeviceView, result: DeviceView) -> int:
    """Return the number of the device that all lie on, or raise ValueError."""
    device = next(one for one in (asked.device, rates.device, result.device, 0) if one is not None)
    for name, view in (("r", rates), ("out", result)):
        if view.device not in (None, device):
            raise ValueError(
                f"{name} lies on device {view.device}; expected device {device}, where "
                + ("the projection is." if asked.device is not None else "r lies.")
            )
    return device


def _overlap(one: DeviceView, other: DeviceView) -> bool:
    """Whether two C-contiguous arrays share memory."""
    ends = [view.address + prod(view.shape) * view.dtype.itemsize for view in (one, other)]
    return one.address < ends[1] and other.address < ends[0]
