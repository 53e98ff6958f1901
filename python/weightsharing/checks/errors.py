"""Errors beyond Python's own, and objects for which copying is one."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex


class StateError(ValueError, RuntimeError):
    """The object cannot do this now: not connected yet, connected already, not compiled, compiled already."""


class MovieError(ValueError):
    """A movie handed over a frame that does not fit; the network is as it was before the run."""


class ExpressionError(ValueError):
    """An expression or equation that cannot be used; the message shows where and lists what is allowed."""


class NotCopyable:
    """Part of a network, which holds what no other process can use: copy and pickle raise TypeError."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled; create another one with the same arguments."
        )
