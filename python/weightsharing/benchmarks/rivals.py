"""The same workloads in other libraries, as fast as their users would write them.

Inputs are brought into the layout that a library likes best before anything is timed, and results go into given
arrays where a library can do that. What a library cannot express is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..checks.shapes import Array
from .devices import Device, TorchDevice, installed, set_tf32
from .harness import Engine, Row, try_engine
from .workloads import Chain, Workload

ROUNDED = 5e-3  # allowed error with TF32, whose products have 11 bits
STEPS_PER_GRAPH = 32


def _tf32(torch: Any, allowed: bool) -> None:
    set_tf32(torch.backends.cudnn, "conv", allowed)


def _both_precisions(torch: Any, name: str, call: Callable[[int], Any], read: Any) -> Iterator[Engine]:
    _, _, variant = name.partition("torch")
    yield Engine(name, call, read, prepare=partial(_tf32, torch, False))
    yield Engine(f"torch TF32{variant}", call, read, ROUNDED, partial(_tf32, torch, True))


def torch_engines(work: Workload, weights: Array, inputs: Sequence[Any], torch: Any) -> Iterator[Engine]:
    """Yield torch's ways, on tensors (batch, \\*pre); convolutions with and without TF32."""
    if len(work.pre) == 2:
        yield from _torch_planes(work, weights, [x[:, None] for x in inputs], torch)
    else:
        yield from _torch_layers(work, weights, inputs, torch)


def _torch_planes(work: Workload, weights: Array, inputs: list[Any], torch: Any) -> Iterator[Engine]:
    """One channel: (batch, 1, height, width)."""
    functional, half = torch.nn.functional, work.extent // 2
    size = work.extent

    def read(result: Any) -> Array:
        values: Array = result[:, 0].cpu().numpy()
        return values

    if work.form == "pooling" and work.stride == size:
        yield Engine("torch: max_pool2d", lambda n: functional.max_pool2d(inputs[n], size), read)
    elif work.form == "pooling":
        # Torch's windows lie around their unit, ours start there: the same numbers half a window further on.
        pool = functional.max_pool2d

        def shifted(result: Any) -> Array:
            return read(result[..., half:, half:])

        yield Engine("torch: max_pool2d", lambda n: pool(inputs[n], size, 1, half), shifted)
        yield Engine(
            "torch: separable",
            lambda n: pool(pool(inputs[n], (size, 1), 1, (half, 0)), (1, size), 1, (0, half)),
            shifted,
        )
    elif work.operation == "max":
        yield from _torch_taps(work, weights, inputs, torch, read)
    elif work.form == "lines":
        line = torch.from_numpy(work.line).to(inputs[0].device)
        down, across = line[None, None, :, None], line[None, None, None]
        conv = functional.conv2d

        def lines(n: int) -> Any:
            return conv(conv(inputs[n], down, padding=(half, 0)), across, padding=(0, half))

        yield from _both_precisions(torch, "torch: separable", lines, read)
    else:
        filters = torch.from_numpy(weights).to(inputs[0].device)[None, None]
        function = torch.log1p if work.function else lambda x: x
        yield from _both_precisions(
            torch, "torch", lambda n: functional.conv2d(function(inputs[n]), filters, padding=half), read
        )


def _torch_taps(
    work: Workload, weights: Array, inputs: list[Any], torch: Any, read: Callable[[Any], Array]
) -> Iterator[Engine]:
    half, (height, width) = work.extent // 2, work.pre
    padded = [torch.nn.functional.pad(x, (half,) * 4) for x in inputs]
    total, product = torch.empty_like(inputs[0]), torch.empty_like(inputs[0])
    taps = [(i, j, float(weights[i, j])) for i, j in np.ndindex(weights.shape)]

    def call(n: int) -> Any:
        for number, (i, j, weight) in enumerate(taps):
            shifted = padded[n][..., i : i + height, j : j + width]
            torch.mul(shifted, weight, out=product if number else total)
            if number:
                torch.maximum(total, product, out=total)
        return total

    yield Engine("torch: tap by tap", call, read)


def _torch_layers(work: Workload, weights: Array, inputs: Sequence[Any], torch: Any) -> Iterator[Engine]:
    """(batch, channels, height, width), in torch's two layouts; ours is the one with channels last."""
    functional, half, layers = torch.nn.functional, work.extent // 2, work.pre[-1]

    def read(result: Any) -> Array:
        values: Array = result.permute(0, 2, 3, 1).cpu().numpy()
        return values

    for variant, layout in (("channels last", torch.channels_last), ("planes", torch.contiguous_format)):
        name = f"torch: {variant}"
        xs = [x.permute(0, 3, 1, 2).contiguous(memory_format=layout) for x in inputs]
        if work.form == "pooling":
            pool = partial(functional.max_pool2d, kernel_size=work.extent, stride=work.stride)
            yield Engine(name, _each(pool, xs), read)
            continue
        filters = torch.from_numpy(weights).to(inputs[0].device)
        each_layer = work.form == "layers"
        planes = filters.expand(layers, 1, *filters.shape) if each_layer else filters.permute(0, 3, 1, 2)
        conv = partial(
            functional.conv2d,
            weight=planes.contiguous(memory_format=layout),
            padding=half,
            groups=layers if each_layer else 1,
        )
        yield from _both_precisions(torch, name, _each(conv, xs), read)


def _each(compute: Callable[[Any], Any], inputs: Sequence[Any]) -> Callable[[int], Any]:
    return lambda n: compute(inputs[n])


def why_not_ndimage(work: Workload) -> str:
    """Say why SciPy's filters cannot express a workload; an empty text if they can."""
    if work.form == "bank":
        return "has no sum over channels"
    if work.form != "pooling" and work.operation == "max":
        return "has no maximum of products"
    return ""


def ndimage_engine(
    work: Workload, weights: Array, inputs: Sequence[Any], arrays: Any, ndimage: Any
) -> Engine:
    """Return SciPy's way in CuPy, on arrays (1, \\*pre).

    Parameters
    ----------
    arrays, ndimage : module
        ``cupy`` and ``cupyx.scipy.ndimage``, or ``numpy`` and ``scipy.ndimage``.
    """
    xs = [arrays.asarray(x)[0] for x in inputs]
    out, middle = arrays.empty_like(xs[0]), arrays.empty_like(xs[0])
    filters = arrays.asarray(weights)
    each = (1,) * (len(work.pre) - 2)
    size = work.extent

    def pooled(n: int) -> Any:
        ndimage.maximum_filter(
            xs[n], (size, size, *each), output=out, mode="constant", cval=-np.inf,
            origin=(-(size // 2), -(size // 2), *(0 for _ in each)),
        )  # fmt: skip
        return out[:: work.stride, :: work.stride]

    def lines(n: int) -> Any:
        ndimage.correlate1d(xs[n], line, axis=0, output=middle, mode="constant")
        ndimage.correlate1d(middle, line, axis=1, output=out, mode="constant")
        return out

    def filtered(n: int) -> Any:
        x = arrays.log1p(xs[n]) if work.function else xs[n]
        ndimage.correlate(x, filters.reshape(size, size, *each), output=out, mode="constant")
        return out

    def read(result: Any) -> Array:
        values: Array = getattr(arrays, "asnumpy", np.asarray)(result)
        return values[None]

    if work.form == "lines":
        line = arrays.asarray(work.line)
        return Engine("cupyx: separable", lines, read)
    return Engine("cupyx", pooled if work.form == "pooling" else filtered, read)


def torch_chain(work: Chain, weights: Array, rates: Any, torch: Any) -> Engine:
    """Return torch's way to run the network; on a GPU many steps in one graph.

    Parameters
    ----------
    rates : tensor
        (height, width), of the first population.
    """
    state = [rates[None, None], *(torch.zeros_like(rates)[None, None] for _ in range(work.populations - 1))]
    filters = torch.from_numpy(weights).to(rates.device)[None, None]

    def step() -> None:
        new = [torch.nn.functional.conv2d(x, filters, padding=work.extent // 2) for x in state[:-1]]
        for x, values in zip(state[1:], new, strict=True):
            x.copy_(values)

    several: Callable[[], Any] = step
    per_call = work.steps
    if rates.is_cuda:
        _tf32(torch, False)
        aside = torch.cuda.Stream()
        with torch.cuda.stream(aside):  # choices and allocations of a first call cannot be captured
            for _ in range(3):
                step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(STEPS_PER_GRAPH):
                step()
        several, per_call = graph.replay, work.steps // STEPS_PER_GRAPH

    def call(_: int) -> Any:
        for _ in range(per_call):
            several()
        return state[-1]

    def read(result: Any) -> Array:
        values: Array = result[0].cpu().numpy()
        return values

    return Engine(f"torch: {'graph' if rates.is_cuda else 'steps'}", call, read)


def rivals_of(row: Row, weights: Array, inputs: Sequence[Any], device: Device) -> list[Engine]:
    """Return the engines of all libraries on this GPU; notes in the row what is left out or went wrong."""
    assert isinstance(row.work, Workload)
    work = row.work
    engines: list[Engine] = []
    if isinstance(device, TorchDevice):
        try:
            engines += torch_engines(work, weights, inputs, device.torch)
        except Exception as failure:  # no memory for its layouts, say: the others are measured still
            row.problems["torch"] = f"failed: {type(failure).__name__}: {failure}".splitlines()[0][:300]
    else:
        row.left_out["torch"] = "is not installed, or finds no GPU"
    cupy, ndimage = installed("cupy"), installed("cupyx.scipy.ndimage")
    reason = why_not_ndimage(work) if cupy and ndimage else "is not installed"
    if reason:
        row.left_out["cupyx"] = reason
    else:
        # On CuPy's default stream, which is torch's default stream too.
        engines += try_engine(row, "cupyx", lambda: ndimage_engine(work, weights, inputs, cupy, ndimage))
    return engines
