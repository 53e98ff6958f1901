"""What ``backend='auto'`` takes, decided by an estimate that anybody can repeat.

A step is estimated from the bytes it must move and the flops it must compute: the slower of the two counts, on a GPU
plus what launching costs. The speeds are those of ordinary machines, not measured ones, and the GPU must win by a
factor of two, so that a small network stays where nothing has to be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..description.lattice import unit_shape
from ..description.projections import Description, PoolingDescription, SynapsesDescription

# Bytes per second, flops per second of float32.
CPU_BANDWIDTH, CPU_FLOPS_PER_THREAD = 20e9, 30e9
GPU_BANDWIDTH, GPU_FLOPS = 500e9, 5e12
# Seconds per kernel in a graph.
LAUNCH = 3e-6
GAIN = 2.0


@dataclass(frozen=True)
class Work:
    """What one step does at least.

    Attributes
    ----------
    bytes, flops
        Moved and computed.
    launches
        Kernels that a GPU runs for it.
    """

    bytes: float
    flops: float
    launches: int

    def __add__(self, other: Work) -> Work:
        return Work(self.bytes + other.bytes, self.flops + other.flops, self.launches + other.launches)

    def seconds_on_cpu(self, threads: int) -> float:
        """Return the estimate for the CPU."""
        return max(self.bytes / CPU_BANDWIDTH, self.flops / (threads * CPU_FLOPS_PER_THREAD))

    def gains(self, threads: int) -> bool:
        """Whether a GPU is worth it."""
        return GAIN * self.seconds_on_gpu() <= self.seconds_on_cpu(threads)

    def seconds_on_gpu(self) -> float:
        """Return the estimate for a GPU."""
        return self.launches * LAUNCH + max(self.bytes / GPU_BANDWIDTH, self.flops / GPU_FLOPS)


def least_work(description: Description, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the bytes that one trial moves and the flops that it computes at least, tap by tap."""
    if isinstance(description, PoolingDescription):
        weights, flops = 0, prod(description.post) * prod(description.extent)
    elif isinstance(description, SynapsesDescription):
        weights = len(description.column)
        flops = 2 * weights
    else:
        weights = sum(prod(extent) for extent in description.extents)
        flops = 2 * prod(unit_shape(description)) * weights
    return dtype.itemsize * (prod(description.pre) + prod(description.post) + weights), flops


def choose(
    work: Work,
    threads: int,
    find_gpus: Callable[[], Sequence[str]],
    why_no_gpu: Callable[[], str],
    named: Sequence[str],
    asks_for_gpu: bool,
) -> tuple[str, str]:
    """Choose the backend of a network that was left to ``'auto'``.

    Parameters
    ----------
    work
        Of one step.
    threads
        Of the CPU.
    find_gpus
        Lists the backends that can use a GPU here, the best one first. Asked only where it matters: the question
        starts the driver, which a process that forks later must not have done.
    why_no_gpu
        Tells the reason where there are none.
    named
        Backends that projections of the network ask for by name.
    asks_for_gpu
        Whether a device or a stream was given.

    Returns
    -------
    backend, reason : str
        Name of the backend, and a sentence for people.

    Raises
    ------
    ValueError
        If a GPU is asked for and there is none.
    """
    if named:
        return named[0], "'auto' takes the backend that a projection asks for by name"
    microseconds = 1e6 * work.seconds_on_gpu(), 1e6 * work.seconds_on_cpu(threads)
    estimate = "a step is estimated at {:.3g} us on a GPU and {:.3g} us on the CPU".format(*microseconds)
    if not asks_for_gpu and not work.gains(threads):
        return "cpu", f"'auto' takes the CPU, without a look for a GPU: {estimate}, too little to gain"
    gpus = find_gpus()
    if asks_for_gpu and not gpus:
        raise ValueError(f"device or stream is given, but no GPU can be used: {why_no_gpu()}.")
    if not gpus:
        return "cpu", f"'auto' takes the CPU: no GPU can be used ({why_no_gpu()})"
    return gpus[0], "'auto' takes the GPU" + (
        ", as device or stream asks" if asks_for_gpu else f": {estimate}"
    )
