"""`Link`: one projection of a network, as its step sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.targets import Target, usable_gpus
from ..checks.errors import StateError
from ..checks.shapes import Array
from ..description.delays import delay_steps
from ..description.projections import (
    Description,
    Operation,
    PoolingDescription,
    SharedDescription,
    SynapsesDescription,
)
from ..description.schedule import Executor
from ..language.expression import Expression
from .connection import Connection, Weights
from .context import Context
from .executors import Executors
from .units import Units


class Link:
    """One projection of a network.

    Attributes
    ----------
    pre, post
        Units that are read and fed.
    target, psp, operation
        As for `BaseProjection`.
    given
        Where to compute, as far as the projection says so itself.
    kind
        Name of the class that people see, for messages and files.
    name
        Unique in the network, which gives it (`Assembly.add_link`).
    connection
        None until a connect method has succeeded.
    attempted
        Whether one was called; without a connection, it raised.
    executors
        What computes it.
    handle
        What people hold. It is kept here so that it lives as long as the network; nothing here asks it for more
        than its repr.
    """

    def __init__(
        self,
        pre: Units,
        post: Units,
        target: str,
        psp: Expression,
        operation: Operation,
        given: Target,
        kind: str,
        handle: object = None,
    ) -> None:
        self.pre, self.post, self.target = pre, post, target
        self.psp, self.operation, self.given = psp, operation, given
        self.kind, self.handle = kind, handle
        self.name = ""
        self.connection: Connection | None = None
        self.attempted = False
        self.executors = Executors(given.threads)
        # What was asked for in the network, here or there, and where arrays of the host are computed: see `asked`.
        self._asked = Target(), Target(), Target()

    def __repr__(self) -> str:
        """As people see it, whose class may have another one than `spelled`."""
        return self.spelled() if self.handle is None else repr(self.handle)

    def spelled(self) -> str:
        """Return what messages call it."""
        state = "" if self.connection is not None else ", not connected"
        return f"<{self.kind} {self.pre.name} -> {self.post.name} ({self.target!r}{state})>"

    @property
    def context(self) -> Context:
        """Of the network."""
        return self.pre.context

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, that of the populations."""
        return self.pre.dtype

    # --- Connecting ---

    def require_free(self) -> None:
        """Raise if the projection cannot be connected; the first thing a connect method does."""
        if self.connection is not None:
            raise StateError(f"{self!r} is connected already; create another projection.")
        self.context.require_open("connect a projection")
        self.attempted = True

    def connect(self, connection: Connection) -> None:
        """Take what a connect method has made; raises for a delay that is too long."""
        delay_steps(connection.delays, self.pre.size, self.context.dt, self.context.update)
        self.connection = connection

    def reconnect(self, connection: Connection) -> None:
        """Take another connection of the same kind and geometries; executors are made anew."""
        self.executors.forget()
        self.connection = connection

    def connected(self) -> Connection:
        """Return the connection, or raise StateError."""
        if self.connection is None:
            raise StateError(f"{self!r}: call one of its connect methods first.")
        return self.connection

    @property
    def description(self) -> Description:
        """What is computed; raises StateError if nothing is connected."""
        return self.connected().description

    @property
    def weights(self) -> Weights | None:
        """Weights; None for pooling, and for a projection that is not connected."""
        return None if self.connection is None else self.connection.weights

    @property
    def delays(self) -> float | Array:
        """In ms."""
        return 0.0 if self.connection is None else self.connection.delays

    def with_weights(self) -> tuple[SharedDescription | SynapsesDescription, Weights]:
        """Return the description and the weights; raises ValueError if there are none."""
        connection = self.connected()
        if connection.weights is None or isinstance(connection.description, PoolingDescription):
            raise ValueError(f"{self!r} is a pooling and has no weights.")
        return connection.description, connection.weights

    # --- Where it is computed ---

    def asked(self) -> Target:
        """What was asked for here or for the network; the choice may be open."""
        return self._targets()[1]

    def target_on_host(self) -> Target:
        """Where arrays of the host are computed."""
        return self._targets()[2]

    def _targets(self) -> tuple[Target, Target, Target]:
        of_network = self.context.asked
        if self._asked[0] is not of_network:
            asked = on_host = self.given.over(of_network)
            if asked.backend == "auto":  # arrays of the host stay there, unless a device is named
                gpus = usable_gpus() if asked.device is not None else []
                on_host = Target(gpus[0] if gpus else "cpu").over(asked)
            self._asked = of_network, asked, on_host
        return self._asked

    def executors_for_step(self, target: Target | None = None) -> list[Executor]:
        """Return executors with the present weights; default: of the compiled network."""
        target = target or self.context.placed
        assert target is not None
        return self.executors.ready(self.connected(), self.dtype, target, called=False)

    def executor_for_call(self, target: Target) -> Executor:
        """Return the executor of a call with plain arrays."""
        connection = self.connected()
        if connection.time_taps is not None:
            raise StateError(
                f"{self!r} has a time axis: it reads a history, which only a network has; use simulate() or run()."
            )
        return self.executors.ready(connection, self.dtype, target, called=True)[0]

    def executor_to_describe(self) -> Executor:
        """Return the executor of the compiled network, before that the one of calls."""
        if self.context.placed is not None:
            return self.executors_for_step()[0]
        return self.executors.ready(self.connected(), self.dtype, self.target_on_host(), called=True)[0]

    def reason(self) -> str:
        """Say why the executor to describe is on its backend."""
        if self.context.placed is not None:
            return self.context.reason
        if self.asked().backend == "auto":
            return "'auto' takes the CPU for arrays of the host, which need no copies to a device there"
        return "asked for by name"
