"""The session: which network new populations join, and what ``clear()`` forgets."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from threading import RLock

import numpy as np

from ..language.constants import forget_constants
from ..language.distributions import set_current_generator
from ..language.functions import forget_functions
from .assembly import Assembly


class Session:
    """The default network of this process, and the networks of the enclosing ``with`` blocks.

    Attributes
    ----------
    default
        Network of populations for which nothing else is said.
    make_holder
        Makes the `Network` that people hold of the default one, when somebody asks for it: populations and
        projections alone work without it. The package sets it.
    """

    def __init__(self) -> None:
        self.default = Assembly(is_default=True)
        self.make_holder: Callable[[Assembly], object] = _no_holder
        self._making = RLock()
        self._entered: ContextVar[tuple[Assembly, ...]] = ContextVar("weightsharing_networks", default=())

    def current(self) -> Assembly:
        """Return what new populations join: the network of the enclosing ``with``, else the default one."""
        entered = self._entered.get()
        return entered[-1] if entered else self.default

    def enter(self, assembly: Assembly) -> None:
        """Begin a ``with`` block."""
        self._entered.set((*self._entered.get(), assembly))

    def leave(self) -> None:
        """End the innermost ``with`` block."""
        self._entered.set(self._entered.get()[:-1])

    def clear(self) -> None:
        """Begin anew, with a default network of default settings; objects of the old one keep it."""
        forget_constants()
        forget_functions()
        self.default.is_default = False
        self.default = Assembly(is_default=True)

    def holder(self, assembly: Assembly) -> object:
        """Return the `Network` that people hold of an assembly."""
        with self._making:  # two threads get the same one
            if assembly.holder is None:
                assembly.holder = self.make_holder(assembly)
        return assembly.holder


def _no_holder(assembly: Assembly) -> object:
    raise RuntimeError("the package weightsharing is not imported whole.")


session = Session()


def _current_generator() -> np.random.Generator:
    return session.current().context.source.generator


set_current_generator(_current_generator)
