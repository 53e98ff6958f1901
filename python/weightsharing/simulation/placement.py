"""Where a network runs, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.choice import Work, choose, least_work
from ..backends.targets import Target, check_stream_device, get_num_threads, usable_gpus, why_no_gpu
from ..state.assembly import Assembly


def place(assembly: Assembly, asked: Target) -> tuple[Target, str]:
    """Return where to run what was asked for, everything decided, and the reason.

    Raises
    ------
    ValueError
        If the populations differ in dtype, a projection asks for another backend or device, or a GPU is asked for
        and there is none.
    """
    target, reason = _chosen(assembly, asked)
    _check_uniform(assembly, target)
    return target, reason


def run_dtype(assembly: Assembly) -> np.dtype[Any]:
    """Return the dtype of a network's arrays: that of its populations."""
    return assembly.units[0].dtype if assembly.units else assembly.context.dtype


def _chosen(assembly: Assembly, asked: Target) -> tuple[Target, str]:
    reason = "asked for by name"
    if asked.backend == "auto":
        own = [link.given for link in assembly.links]
        named = [one.backend for one in own if one.backend not in (None, "auto")]
        asks_for_gpu = any(one.device is not None for one in (asked, *own)) or asked.stream is not None
        backend, reason = choose(
            _work(assembly),
            asked.threads or get_num_threads(),
            usable_gpus,
            why_no_gpu,
            [name for name in named if name is not None],
            asks_for_gpu,
        )
        asked = Target(backend).over(asked)
    if asked.on_gpu:
        of_stream = None if asked.stream is None else asked.stream.device
        device = next(number for number in (asked.device, of_stream, 0) if number is not None)
        if asked.stream is not None:
            check_stream_device(asked.stream, device)
        asked = replace(asked, device=device)
    return asked, reason


def _work(assembly: Assembly) -> Work:
    """What one step moves and computes at least."""
    work, dtype, trials = Work(0.0, 0.0, 0), run_dtype(assembly), assembly.context.trials
    for link in assembly.links:
        taps = link.connected().taps
        moved, computed = least_work(link.description, dtype)
        work += Work(moved * taps * trials, computed * taps * trials, taps)
    for one in assembly.units:
        if one.neuron is not None and one.neuron.steps:
            program = one.neuron.program()
            arrays = len(program.inputs) + len(program.outputs)
            units = one.size * trials
            work += Work(dtype.itemsize * units * arrays, units * len(program.code), 1)
    return work


def _check_uniform(assembly: Assembly, target: Target) -> None:
    """Raise unless all links are of one dtype, backend and device."""
    for link in assembly.links:
        own = link.given
        if own.backend not in (None, "auto", target.backend):
            raise ValueError(
                f"{link!r} asks for the backend {own.backend!r}, the network is compiled for "
                f"{target.backend!r}; leave one of them out."
            )
        if own.device not in (None, target.device):
            where = f"device {target.device}" if target.on_gpu else f"the backend {target.backend!r}"
            raise ValueError(
                f"{link!r} asks for device {own.device}, the network is compiled for {where}; leave one of them out."
            )
    if len({one.dtype for one in assembly.units}) > 1:
        listed = ", ".join(f"{one.name!r}: {one.dtype}" for one in assembly.units)
        raise ValueError(f"the populations of a network need one dtype, got {listed}.")
