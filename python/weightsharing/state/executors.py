"""`Executors`: what computes one projection, on every target that was asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..backends.making import make_executor
from ..backends.targets import Target
from ..description.schedule import Executor
from .connection import Connection

# Backend, threads or device, and whether for calls on a device.
Key = tuple[str | None, int, bool]


class Executors:
    """Executors of one projection by target, kept with the version of the weights that they have.

    Parameters
    ----------
    threads
        Those that the projection asked for itself.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._made: dict[Key, tuple[list[Executor], int]] = {}
        self._in_graphs: list[Executor] = []  # whose memory graphs of callers name

    def ready(
        self, connection: Connection, dtype: np.dtype[Any], target: Target, called: bool
    ) -> list[Executor]:
        """Return executors with the present weights: one for each tap along time, the newest step first.

        Parameters
        ----------
        connection
            What they compute.
        dtype
            float32 or float64.
        target
            Everything decided.
        called
            Whether for a call, not for a step.
        """
        key = self._key(target, called)
        executors, version = self._made.get(key, ([], -1))
        if version == connection.version and executors:
            return executors
        if any(one.in_graph for one in executors):
            self._in_graphs += executors  # the graph keeps the weights that it was captured with
            executors = []
        if not executors:
            target = dataclasses.replace(target, threads=self._threads or target.threads)
            executors = [
                make_executor(connection.description, dtype, target, connection.geometry)
                for _ in range(connection.taps)
            ]
        if connection.weights is not None:
            for lag, executor in enumerate(executors):
                executor.set_weights(connection.weights_at(lag))
        self._made[key] = executors, connection.version
        return executors

    def ready_for_call(self, connection: Connection, target: Target) -> bool:
        """Whether a call would find an executor with the present weights."""
        _, version = self._made.get(self._key(target, True), (None, -2))
        return version == connection.version

    def forget(self) -> None:
        """Make all anew, for another description; what graphs name stays."""
        for executors, _ in self._made.values():
            self._in_graphs += [one for one in executors if one.in_graph]
        self._made = {}

    def forget_steps_elsewhere(self, target: Target) -> None:
        """Free what steps of an earlier compile used."""
        used = self._key(target, False)
        self._made = {key: kept for key, kept in self._made.items() if key == used or key[2]}

    def _key(self, target: Target, called: bool) -> Key:
        """What tells executors apart. Calls on a GPU have their own: a step must not wait for their streams."""
        if target.on_gpu:
            return target.backend, target.device or 0, called
        return target.backend, self._threads or target.threads or 0, False
